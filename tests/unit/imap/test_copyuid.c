/* COPYUID: which message became which, and when that cannot be said (T16). */
#include <stdio.h>

#include "imap/copyuid.h"
#include "imaptest.h"

static enum status pairs_of(const char *code, size_t max_n, struct copyuid *out)
{
    static char line[512];
    struct response response;
    (void)snprintf(line, sizeof(line), "* OK [COPYUID %s] Moved", code);
    struct unit unit = {.text = slice_str(line)};
    assert_int_equal(response_parse(unit, &response), OK);
    return copyuid_pairs(&response, max_n, &test_arena, out);
}

static void check(const char *code, const char *expected)
{
    struct copyuid copied;
    char text[512] = "";
    assert_int_equal(pairs_of(code, 100, &copied), OK);
    for (size_t i = 0; i < copied.n; i++) {
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u>%u",
                       i > 0 ? " " : "", copied.pairs[i].source, copied.pairs[i].dest);
    }
    assert_string_equal(text, expected);
}

static void sets_pair_up_in_the_order_said(void **state)
{
    (void)state;
    check("38505 304,319:320 3956:3958", "304>3956 319>3957 320>3958");
    check("1 7 9", "7>9");
    check("1 9,3,5:6 20,10:12", "9>20 3>10 5>11 6>12");
}

static void what_is_in_doubt_is_not_paired(void **state)
{
    struct copyuid copied;
    (void)state;
    assert_int_equal(pairs_of("1 1:3 10:11", 100, &copied), STALE); /* not of equal length */
    assert_int_equal(pairs_of("1 1:2 10:12", 100, &copied), STALE);
    assert_int_equal(pairs_of("1 3:1 10:12", 100, &copied), STALE); /* downwards */
    assert_int_equal(pairs_of("1 1:3 12:10", 100, &copied), STALE);
    assert_int_equal(pairs_of("1 1,1,2 10:12", 100, &copied), STALE); /* twice */
    assert_int_equal(pairs_of("1 1:3 10,11,10", 100, &copied), STALE);
    assert_int_equal(pairs_of("1 1:3,2 10:13", 100, &copied), STALE);
}

static void the_number_is_bounded(void **state)
{
    struct copyuid copied;
    (void)state;
    assert_int_equal(pairs_of("1 1:100 101:200", 100, &copied), OK);
    assert_int_equal(copied.n, 100);
    assert_int_equal(pairs_of("1 1:101 101:201", 100, &copied), LIMIT);
    assert_int_equal(pairs_of("1 1:4294967290 1:4294967290", 100, &copied), LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sets_pair_up_in_the_order_said),
        TEST(what_is_in_doubt_is_not_paired),
        TEST(the_number_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
