#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/uidset.h"

enum { SPACE = 3000 };

/* The same set twice: as ranges and as one boolean per number. */
struct twin {
    struct ranges set;
    bool has[SPACE];
};

static void fill(struct twin *twin, size_t intervals)
{
    ranges_reset(&twin->set);
    memset(twin->has, 0, sizeof(twin->has));
    for (size_t i = 0; i < intervals; i++) {
        uint32_t first = 1 + (uint32_t)rand() % (SPACE - 20);
        uint32_t last = first + (uint32_t)rand() % 4;
        ranges_add(&twin->set, first, last);
        for (uint32_t v = first; v <= last; v++) {
            twin->has[v] = true;
        }
    }
}

static void check_equal(const struct ranges *set, const bool has[SPACE])
{
    for (uint32_t v = 0; v < SPACE; v++) {
        assert_int_equal(ranges_has(set, v), has[v]);
    }
    for (size_t i = 0; i < set->n; i++) {
        assert_true(set->at[i].first <= set->at[i].last);
        assert_true(i == 0 || set->at[i].first > set->at[i - 1].last + 1);
    }
}

static void test_algebra_equals_booleans(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 5, 8, 9, 40, 400};
    struct twin a;
    struct twin b;
    ranges_init(&a.set, 0);
    ranges_init(&b.set, 0);
    for (int round = 0; round < 300; round++) {
        fill(&a, sizes[rand() % 7]);
        fill(&b, sizes[rand() % 7]);
        if (round % 2 == 0) {
            ranges_unite(&a.set, &b.set);
        } else {
            ranges_subtract(&a.set, &b.set);
        }
        for (size_t v = 0; v < SPACE; v++) {
            a.has[v] = round % 2 == 0 ? a.has[v] || b.has[v] : a.has[v] && !b.has[v];
        }
        check_equal(&a.set, a.has);
        uint32_t cut = (uint32_t)rand() % SPACE;
        ranges_clip(&a.set, cut);
        memset(a.has + cut + 1, 0, SPACE - cut - 1);
        check_equal(&a.set, a.has);
        check_equal(&b.set, b.has);
    }
    ranges_fini(&a.set);
    ranges_fini(&b.set);
}

static void test_algebra_at_the_ends_of_the_number_space(void **state)
{
    (void)state;
    struct ranges a;
    struct ranges b;
    ranges_init(&a, 0);
    ranges_init(&b, 0);
    for (uint32_t i = 0; i < 10; i++) {
        ranges_add(&b, 10 * i, 10 * i + 1);
    }
    ranges_add(&b, UINT32_MAX - 1, UINT32_MAX);
    ranges_unite(&a, &b);
    assert_int_equal(ranges_count(&a), 22);
    ranges_add(&a, 0, UINT32_MAX);
    ranges_subtract(&a, &b);
    assert_false(ranges_has(&a, UINT32_MAX));
    assert_true(ranges_has(&a, UINT32_MAX - 2));
    assert_int_equal(ranges_count(&a), (1ULL << 32) - 22);
    ranges_clip(&a, UINT32_MAX);
    assert_int_equal(ranges_count(&a), (1ULL << 32) - 22);
    ranges_fini(&a);
    ranges_fini(&b);
}

static void test_append_joins_and_obeys_the_maximum(void **state)
{
    (void)state;
    struct ranges set;
    ranges_init(&set, 2);
    ranges_append(&set, 3, 4);
    ranges_append(&set, 5, 9);
    assert_int_equal(set.n, 1);
    ranges_append(&set, 11, 11);
    assert_true(ranges_ok(&set));
    ranges_append(&set, 13, 13);
    assert_false(ranges_ok(&set));
    assert_int_equal(ranges_count(&set), 8);
    ranges_fini(&set);
}

static void test_rank_and_select_equal_counting(void **state)
{
    (void)state;
    struct twin twin;
    struct uidset set;
    ranges_init(&twin.set, 0);
    uidset_init(&set);
    static const size_t sizes[] = {0, 1, 8, 9, 300};
    for (int round = 0; round < 40; round++) {
        fill(&twin, sizes[round % 5]);
        uidset_reset(&set);
        uidset_unite(&set, &twin.set);
        uint32_t n = 0;
        for (uint32_t v = 0; v < SPACE; v++) {
            n += twin.has[v];
            assert_int_equal(uidset_rank(&set, v), n);
            if (twin.has[v]) {
                assert_int_equal(uidset_select(&set, n), v);
            }
        }
        assert_int_equal(uidset_count(&set), n);
        assert_int_equal(uidset_select(&set, 0), 0);
        assert_int_equal(uidset_select(&set, n + 1), 0);
    }
    uidset_fini(&set);
    ranges_fini(&twin.set);
}

static void test_uidset_reset_gives_memory_back(void **state)
{
    (void)state;
    struct uidset set;
    uidset_init(&set);
    struct ranges many;
    ranges_init(&many, 0);
    for (uint32_t i = 1; i < 5000; i++) {
        ranges_append(&many, i * 2, i * 2);
    }
    uidset_unite(&set, &many);
    assert_int_equal(uidset_rank(&set, 5000), 2500);
    assert_true(uidset_has(&set, 4000));
    uidset_subtract(&set, &many);
    assert_true(uidset_empty(&set));
    uidset_reset(&set);
    assert_null(set.set.at);
    ranges_fini(&many);
    uidset_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_algebra_equals_booleans),
        cmocka_unit_test(test_algebra_at_the_ends_of_the_number_space),
        cmocka_unit_test(test_append_joins_and_obeys_the_maximum),
        cmocka_unit_test(test_rank_and_select_equal_counting),
        cmocka_unit_test(test_uidset_reset_gives_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
