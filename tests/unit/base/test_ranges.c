#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/ranges.h"

enum { SMALL = 64 };

static void assert_same(const struct ranges *set, const bool *naive)
{
    uint64_t rank = 0;
    for (uint32_t v = 1; v < SMALL; v++) {
        assert_int_equal(ranges_has(set, v), naive[v]);
        rank += naive[v];
        assert_int_equal(ranges_rank(set, v), rank);
    }
    for (size_t i = 1; i < set->n; i++) {
        assert_true(set->at[i].first > set->at[i - 1].last + 1);
    }
}

static void behaves_as_an_array_of_booleans(void **state)
{
    (void)state;
    struct ranges set;
    bool naive[SMALL] = {false};
    unsigned seed = 7;
    ranges_init(&set, 0);
    for (int round = 0; round < 20000; round++) {
        uint32_t a = 1 + (uint32_t)rand_r(&seed) % (SMALL - 1);
        uint32_t b = a + (uint32_t)rand_r(&seed) % 6;
        b = b < SMALL ? b : SMALL - 1;
        bool add = rand_r(&seed) % 2 == 0;
        if (add) {
            ranges_add(&set, b, a);
        } else {
            ranges_remove(&set, a, b);
        }
        for (uint32_t v = a; v <= b; v++) {
            naive[v] = add;
        }
        assert_same(&set, naive);
    }
    ranges_fini(&set);
}

static void parses_what_it_formats(void **state)
{
    (void)state;
    struct ranges set;
    struct buf text;
    ranges_init(&set, 3);
    buf_init(&text, 0);
    assert_int_equal(ranges_parse(&set, SLICE("7,1:3,4,4294967295:4294967290")), OK);
    ranges_format(&set, &text);
    assert_true(slice_eq(buf_slice(&text), SLICE("1:4,7,4294967290:4294967295")));
    assert_int_equal(ranges_parse(&set, SLICE("1,3,5,7")), LIMIT);
    const char *bad[] = {"", "0", "1,", ",1", "1:", ":1", "1:0", "a", "1:2:3", "*", "4294967296"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ranges_parse(&set, slice_str(bad[i])), SYNTAX);
    }
    ranges_fini(&set);
    buf_fini(&text);
}

static void intersects(void **state)
{
    (void)state;
    struct ranges a, b, out;
    ranges_init(&a, 0);
    ranges_init(&b, 0);
    ranges_init(&out, 0);
    ranges_add(&a, 1, 10);
    ranges_add(&a, 20, 30);
    ranges_add(&b, 5, 25);
    ranges_intersect(&a, &b, &out);
    assert_int_equal(out.n, 2);
    assert_int_equal(ranges_count(&out), 12);
    uint32_t next;
    assert_true(ranges_next(&out, 11, &next));
    assert_int_equal(next, 20);
    assert_false(ranges_next(&out, 26, &next));
    ranges_fini(&a);
    ranges_fini(&b);
    ranges_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_as_an_array_of_booleans),
        cmocka_unit_test(parses_what_it_formats),
        cmocka_unit_test(intersects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
