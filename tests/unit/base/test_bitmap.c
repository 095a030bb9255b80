#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/bitmap.h"

/* Compared with an array of booleans over SPAN numbers that begin at @base: several containers of
 * the library, and the same again at the end of all numbers. */
enum { SPAN = 3 * 65536 };

struct pair {
    struct bitmap *set;
    bool *naive;
};

static struct pair pair_new(void)
{
    return (struct pair){bitmap_create(), alloc_zero(SPAN)};
}

static void pair_end(struct pair *pair)
{
    bitmap_destroy(&pair->set);
    assert_null(pair->set);
    alloc_free(pair->naive);
}

static uint32_t draw(unsigned *seed, uint32_t below)
{
    return (uint32_t)rand_r(seed) % below;
}

/* Long runs, short ones, single members scattered densely or thinly: each kind of container comes.
 */
static void pair_change(struct pair *pair, uint32_t base, unsigned *seed)
{
    static const uint32_t longest[] = {1, 4, 300, 70000};
    static const uint32_t times[] = {9000, 3000, 40, 1};
    uint32_t kind = draw(seed, 4);
    bool add = draw(seed, 3) != 0;
    uint32_t from = draw(seed, SPAN);
    uint32_t width = 1 + draw(seed, 100000);
    for (uint32_t n = 1 + draw(seed, times[kind]); n > 0; n--) {
        uint32_t first = (from + draw(seed, width)) % SPAN;
        uint32_t last = first + draw(seed, longest[kind]);
        last = last < SPAN ? last : SPAN - 1;
        if (add) {
            bitmap_add(pair->set, base + last, base + first);
        } else {
            bitmap_remove(pair->set, base + last, base + first);
        }
        memset(pair->naive + first, add, last - first + 1);
    }
}

static void assert_edges(const struct pair *pair, uint32_t base, uint64_t count, uint32_t low,
                         uint32_t high)
{
    uint32_t value = 0;
    assert_int_equal(bitmap_count(pair->set), count);
    assert_int_equal(bitmap_empty(pair->set), count == 0);
    assert_int_equal(bitmap_min(pair->set, &value), count > 0);
    assert_true(count == 0 || value == base + low);
    assert_int_equal(bitmap_max(pair->set, &value), count > 0);
    assert_true(count == 0 || value == base + high);
}

static void assert_same(const struct pair *pair, uint32_t base)
{
    struct ranges all;
    uint64_t count = 0;
    uint32_t low = 0;
    uint32_t high = 0;
    size_t runs = 0;
    ranges_init(&all, 0);
    bitmap_to_ranges(pair->set, &all);
    for (uint32_t i = 0; i < SPAN; i++) {
        if (!pair->naive[i]) {
            continue;
        }
        low = count == 0 ? i : low;
        high = i;
        count++;
        if (i == 0 || !pair->naive[i - 1]) {
            assert_true(runs < all.n && all.at[runs].first == base + i);
            runs++;
        }
        if (i == SPAN - 1 || !pair->naive[i + 1]) {
            assert_true(all.at[runs - 1].last == base + i);
        }
    }
    assert_int_equal(all.n, runs);
    assert_edges(pair, base, count, low, high);
    ranges_fini(&all);
}

static void assert_asked(const struct pair *pair, uint32_t base, unsigned *seed)
{
    for (int i = 0; i < 200; i++) {
        uint32_t at = draw(seed, SPAN);
        uint32_t next = at;
        uint32_t value;
        assert_int_equal(bitmap_has(pair->set, base + at), pair->naive[at]);
        while (next < SPAN && !pair->naive[next]) {
            next++;
        }
        assert_int_equal(bitmap_next(pair->set, base + at, &value), next < SPAN);
        assert_true(next == SPAN || value == base + next);
    }
}

static void assert_kept(const struct pair *pair)
{
    struct buf octets;
    struct ranges all;
    buf_init(&octets, 0);
    ranges_init(&all, 0);
    bitmap_write(pair->set, &octets);
    assert_int_equal(octets.len, bitmap_bytes(pair->set));
    struct bitmap *back = bitmap_read(buf_slice(&octets));
    assert_non_null(back);
    assert_true(bitmap_equal(back, pair->set));
    bitmap_clear(back);
    assert_true(bitmap_empty(back));
    bitmap_to_ranges(pair->set, &all);
    bitmap_add_ranges(back, &all);
    assert_true(bitmap_equal(back, pair->set));
    bitmap_destroy(&back);
    ranges_fini(&all);
    buf_fini(&octets);
}

static void assert_compared(const struct pair *a, const struct pair *b)
{
    bool equal = true;
    bool subset = true;
    bool meets = false;
    for (uint32_t i = 0; i < SPAN; i++) {
        equal = equal && a->naive[i] == b->naive[i];
        subset = subset && (!a->naive[i] || b->naive[i]);
        meets = meets || (a->naive[i] && b->naive[i]);
    }
    assert_int_equal(bitmap_equal(a->set, b->set), equal);
    assert_int_equal(bitmap_is_subset(a->set, b->set), subset);
    assert_int_equal(bitmap_meets(a->set, b->set), meets);
}

static void pair_combine(struct pair *a, const struct pair *b, uint32_t how)
{
    if (how == 0) {
        bitmap_and(a->set, b->set);
    } else if (how == 1) {
        bitmap_or(a->set, b->set);
    } else {
        bitmap_andnot(a->set, b->set);
    }
    for (uint32_t i = 0; i < SPAN; i++) {
        bool x = a->naive[i];
        bool y = b->naive[i];
        a->naive[i] = how == 0 ? x && y : how == 1 ? x || y : x && !y;
    }
}

static void run_rounds(uint32_t base, unsigned seed)
{
    struct pair a = pair_new();
    struct pair b = pair_new();
    for (int round = 0; round < 60; round++) {
        pair_change(&a, base, &seed);
        pair_change(&b, base, &seed);
        if (round % 3 == 0) {
            assert_kept(&b);
        }
        pair_combine(&a, &b, draw(&seed, 3));
        assert_same(&a, base);
        assert_asked(&a, base, &seed);
        assert_compared(&a, &b);
        pair_combine(round % 2 == 0 ? &a : &b, round % 2 == 0 ? &b : &a, 1);
        assert_compared(&a, &b);
        assert_kept(&a);
        if (round % 25 == 24) {
            struct bitmap *copy = bitmap_copy(a.set);
            bitmap_clear(a.set);
            assert_true(bitmap_empty(a.set));
            bitmap_destroy(&a.set);
            a.set = copy;
            bitmap_clear(b.set);
            memset(b.naive, 0, SPAN);
        }
    }
    pair_end(&a);
    pair_end(&b);
}

static void behaves_as_an_array_of_booleans(void **state)
{
    (void)state;
    run_rounds(0, 11);
    run_rounds(7 * 65536, 12);
}

static void goes_to_the_end_of_all_numbers(void **state)
{
    (void)state;
    run_rounds(UINT32_MAX - SPAN + 1, 13);
}

static void a_set_may_be_both_sides(void **state)
{
    (void)state;
    struct bitmap *set = bitmap_create();
    bitmap_add_array(set, (const uint32_t[]){9, 3, 3, 70000, 0}, 5);
    bitmap_and(set, set);
    bitmap_or(set, set);
    assert_int_equal(bitmap_count(set), 4);
    assert_true(bitmap_is_subset(set, set));
    bitmap_andnot(set, set);
    assert_true(bitmap_empty(set));
    bitmap_destroy(&set);
    bitmap_destroy(&set);
}

static void all_numbers_fit(void **state)
{
    (void)state;
    struct bitmap *set = bitmap_create();
    struct ranges all;
    ranges_init(&all, 0);
    bitmap_add(set, 0, UINT32_MAX);
    assert_int_equal(bitmap_count(set), (uint64_t)UINT32_MAX + 1);
    bitmap_to_ranges(set, &all);
    assert_int_equal(all.n, 1);
    assert_true(all.at[0].first == 0 && all.at[0].last == UINT32_MAX);
    ranges_fini(&all);
    bitmap_destroy(&set);
}

/* A block of bits that loses all but some thousand members by one range. */
static void few_are_left_of_many(void **state)
{
    (void)state;
    struct bitmap *set = bitmap_create();
    struct buf octets;
    for (uint32_t i = 0; i < 16000; i += 2) {
        bitmap_add(set, i, i);
    }
    bitmap_remove(set, 100, 9000);
    assert_int_equal(bitmap_count(set), 8000 - 4451);
    buf_init(&octets, 0);
    bitmap_write(set, &octets);
    struct bitmap *back = bitmap_read(buf_slice(&octets));
    assert_non_null(back);
    assert_true(bitmap_equal(back, set));
    bitmap_destroy(&back);
    bitmap_destroy(&set);
    buf_fini(&octets);
}

/* Each form that octets take: nothing, runs without and with offsets, few members, many, all mixed.
 */
static struct bitmap *sample(int which)
{
    struct bitmap *set = bitmap_create();
    for (uint32_t i = 0; i < 40 && which > 0; i++) {
        if (which == 1 || which == 4) {
            bitmap_add(set, 65536 * (i % 2) + i * 100, 65536 * (i % 2) + i * 100 + 9);
        }
        if (which == 2 || which == 4) {
            bitmap_add(set, 65536 * (4 + i % 3) + i * 777, 65536 * (4 + i % 3) + i * 777);
        }
        if (which == 3 || which == 4) {
            for (uint32_t j = 0; j < 600; j++) {
                bitmap_add(set, 65536 * 9 + i * 1500 + 2 * j, 65536 * 9 + i * 1500 + 2 * j);
            }
        }
    }
    return set;
}

/* Whatever was read must be a sound set: its members come out ascending, as many as it says, and
 * putting them in again gives the same set. */
static bool assert_refused_or_sound(struct slice octets)
{
    char *exact = alloc_zero(octets.len); /* so that ASan sees a step beyond the end */
    memcpy(exact, octets.data, octets.len);
    struct bitmap *set = bitmap_read(slice_of(exact, octets.len));
    alloc_free(exact);
    if (set == NULL) {
        return false;
    }
    struct ranges all;
    struct bitmap *again = bitmap_create();
    ranges_init(&all, 0);
    bitmap_to_ranges(set, &all);
    assert_int_equal(ranges_count(&all), bitmap_count(set));
    bitmap_add_ranges(again, &all);
    assert_true(bitmap_equal(again, set));
    bitmap_and(again, set);
    bitmap_or(again, set);
    assert_true(bitmap_is_subset(set, again) && bitmap_is_subset(again, set));
    bitmap_andnot(again, set);
    assert_true(bitmap_empty(again));
    bitmap_destroy(&again);
    bitmap_destroy(&set);
    ranges_fini(&all);
    return true;
}

static void damaged_octets_are_refused_or_sound(void **state)
{
    (void)state;
    unsigned seed = 5;
    size_t refused = 0;
    for (int which = 0; which < 5; which++) {
        struct bitmap *set = sample(which);
        struct buf octets;
        buf_init(&octets, 0);
        bitmap_write(set, &octets);
        assert_true(assert_refused_or_sound(buf_slice(&octets)));
        for (size_t n = 0; n < octets.len; n += n < 600 ? 1 : 97) {
            assert_false(assert_refused_or_sound(slice_of(octets.data, n)));
        }
        for (int i = 0; i < 4000; i++) {
            size_t at = draw(&seed, i % 2 == 0 || octets.len < 80 ? (uint32_t)octets.len : 80);
            char before = octets.data[at];
            int other = i % 3 == 0 ? before ^ (1 << draw(&seed, 8)) : (int)draw(&seed, 256);
            octets.data[at] = (char)other;
            refused += !assert_refused_or_sound(buf_slice(&octets));
            octets.data[at] = before;
        }
        buf_add_char(&octets, '\0');
        assert_false(assert_refused_or_sound(buf_slice(&octets)));
        buf_fini(&octets);
        bitmap_destroy(&set);
    }
    assert_true(refused > 10000);
}

#define REFUSED(...)                                                                               \
    assert_null(bitmap_read(slice_of((const unsigned char[]){__VA_ARGS__},                         \
                                     sizeof(const unsigned char[]){__VA_ARGS__})))

static void each_lie_is_seen(void **state)
{
    (void)state;
    const unsigned char sound[] = {0x3a, 0x30, 0,  0, 1, 0, 0, 0, 5, 0,
                                   1,    0,    16, 0, 0, 0, 1, 0, 2, 0};
    struct bitmap *set = bitmap_read(slice_of(sound, sizeof sound));
    assert_non_null(set);
    assert_true(bitmap_has(set, 5 * 65536 + 1) && bitmap_has(set, 5 * 65536 + 2));
    bitmap_destroy(&set);
    REFUSED(0);
    /* another cookie; its unused half; a count of containers beyond all */
    REFUSED(0x3c, 0x30, 0, 0, 1, 0, 0, 0, 5, 0, 1, 0, 16, 0, 0, 0, 1, 0, 2, 0);
    REFUSED(0x3a, 0x30, 1, 0, 1, 0, 0, 0, 5, 0, 1, 0, 16, 0, 0, 0, 1, 0, 2, 0);
    REFUSED(0x3a, 0x30, 0, 0, 0xff, 0xff, 0xff, 0xff, 5, 0, 1, 0, 16, 0, 0, 0, 1, 0, 2, 0);
    /* the container elsewhere; members that do not ascend; fewer than said */
    REFUSED(0x3a, 0x30, 0, 0, 1, 0, 0, 0, 5, 0, 1, 0, 18, 0, 0, 0, 1, 0, 2, 0);
    REFUSED(0x3a, 0x30, 0, 0, 1, 0, 0, 0, 5, 0, 1, 0, 16, 0, 0, 0, 2, 0, 2, 0);
    REFUSED(0x3a, 0x30, 0, 0, 1, 0, 0, 0, 5, 0, 2, 0, 16, 0, 0, 0, 1, 0, 2, 0);
    /* two containers of the same high half */
    REFUSED(0x3a, 0x30, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 24, 0, 0, 0, 26, 0, 0, 0, 1, 0, 2,
            0);
    /* runs: a count that is wrong, beyond the end, touching, overlapping, none */
    REFUSED(0x3b, 0x30, 0, 0, 1, 5, 0, 1, 0, 1, 0, 7, 0, 2, 0);
    REFUSED(0x3b, 0x30, 0, 0, 1, 5, 0, 2, 0, 1, 0, 0xfe, 0xff, 2, 0);
    REFUSED(0x3b, 0x30, 0, 0, 1, 5, 0, 1, 0, 2, 0, 7, 0, 0, 0, 8, 0, 0, 0);
    REFUSED(0x3b, 0x30, 0, 0, 1, 5, 0, 3, 0, 2, 0, 7, 0, 1, 0, 8, 0, 1, 0);
    REFUSED(0x3b, 0x30, 0, 0, 1, 5, 0, 0, 0, 0, 0);
    const unsigned char runs[] = {0x3b, 0x30, 0, 0, 1, 5, 0, 2, 0, 1, 0, 7, 0, 2, 0};
    set = bitmap_read(slice_of(runs, sizeof runs));
    assert_non_null(set);
    assert_int_equal(bitmap_count(set), 3);
    bitmap_destroy(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_as_an_array_of_booleans),
        cmocka_unit_test(goes_to_the_end_of_all_numbers),
        cmocka_unit_test(a_set_may_be_both_sides),
        cmocka_unit_test(all_numbers_fit),
        cmocka_unit_test(few_are_left_of_many),
        cmocka_unit_test(damaged_octets_are_refused_or_sound),
        cmocka_unit_test(each_lie_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
