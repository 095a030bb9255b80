#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/flagset.h"

/* Id of the set of up to four flags. */
static uint32_t set_of(struct flags *flags, const char *a, const char *b, const char *c)
{
    struct flag_list list = {0};
    const char *names[] = {a, b, c};
    for (size_t i = 0; i < 3; i++) {
        if (names[i] != NULL) {
            assert_int_equal(flag_list_add(&list, flags, slice_str(names[i])), OK);
        }
    }
    uint32_t id = UINT32_MAX;
    assert_int_equal(flags_intern(flags, &list, &id), OK);
    return id;
}

static void assert_text(struct flags *flags, uint32_t id, const char *text)
{
    struct slice is = flags_text(flags, id);
    assert_int_equal(is.len, strlen(text));
    assert_memory_equal(is.data, text, is.len);
}

static void test_equal_sets_have_one_id(void **state)
{
    (void)state;
    struct flags *flags = flags_create();
    assert_text(flags, FLAGS_NONE, "()");
    uint32_t a = set_of(flags, "\\Seen", "$Forwarded", "Work");
    uint32_t b = set_of(flags, "WORK", "\\sEEN", "$forwarded");
    assert_int_equal(a, b);
    assert_text(flags, a, "(\\Seen $Forwarded Work)");
    assert_int_not_equal(a, set_of(flags, "\\Seen", "Work", NULL));
    assert_int_equal(set_of(flags, NULL, NULL, NULL), FLAGS_NONE);
    assert_int_equal(set_of(flags, "\\Recent", NULL, NULL), FLAGS_NONE);
    assert_int_equal(flags_bits(flags, a), FLAG_SEEN);
    uint16_t work = 99;
    assert_true(flags_find_keyword(flags, SLICE("wOrK"), &work));
    assert_true(flags_has_keyword(flags, a, work));
    assert_false(flags_has_keyword(flags, FLAGS_NONE, work));
    assert_false(flags_find_keyword(flags, SLICE("none"), &work));
    flags_destroy(&flags);
    assert_null(flags);
}

static void test_all_system_flags_and_vendor_flags(void **state)
{
    (void)state;
    struct flags *flags = flags_create();
    struct flag_list list = {.bits = 0xff};
    uint32_t id;
    assert_int_equal(flags_intern(flags, &list, &id), OK);
    assert_text(flags, id, "(\\Answered \\Flagged \\Deleted \\Seen \\Draft)");
    assert_text(flags, set_of(flags, "\\Junk", NULL, NULL), "(\\Junk)");
    assert_int_equal(flag_bit_named(SLICE("\\draft")), FLAG_DRAFT);
    assert_int_equal(flag_bit_named(SLICE("Draft")), 0);
    flags_destroy(&flags);
}

static void test_operations(void **state)
{
    (void)state;
    struct flags *flags = flags_create();
    uint32_t base = set_of(flags, "\\Seen", "a", "b");
    uint32_t other = set_of(flags, "\\Seen", "b", "c");
    uint32_t id;
    assert_int_equal(flags_apply(flags, base, FLAG_OP_ADD, other, &id), OK);
    assert_text(flags, id, "(\\Seen a b c)");
    assert_int_equal(flags_apply(flags, base, FLAG_OP_REMOVE, other, &id), OK);
    assert_text(flags, id, "(a)");
    assert_int_equal(flags_apply(flags, base, FLAG_OP_SET, other, &id), OK);
    assert_int_equal(id, other);
    assert_int_equal(flags_apply(flags, base, FLAG_OP_ADD, FLAGS_NONE, &id), OK);
    assert_int_equal(id, base);
    flags_destroy(&flags);
}

static void test_names_that_would_break_the_list_are_refused(void **state)
{
    (void)state;
    struct flags *flags = flags_create();
    uint16_t id;
    static const char *const bad[] = {"", "a b", "a(", ")", "\"q\"", "a\r\n", "\x7f"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(flags_keyword(flags, slice_str(bad[i]), &id), SYNTAX);
    }
    char longest[FLAGS_KEYWORD_LEN + 1];
    memset(longest, 'k', sizeof(longest));
    assert_int_equal(flags_keyword(flags, slice_of(longest, sizeof(longest)), &id), LIMIT);
    assert_int_equal(flags_keyword(flags, slice_of(longest, sizeof(longest) - 1), &id), OK);
    assert_false(flags_find_keyword(flags, slice_of(longest, sizeof(longest)), &id));
    assert_int_equal(flags_keyword_n(flags), 1);
    flags_destroy(&flags);
}

static void test_limits(void **state)
{
    (void)state;
    struct flags *flags = flags_create();
    struct flag_list list = {0};
    char name[16];
    uint16_t id;
    for (int i = 0; i < FLAGS_KEYWORDS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "kw%d", i);
        assert_int_equal(flags_keyword(flags, slice_str(name), &id), OK);
        assert_int_equal(id, i);
        if (i < FLAGS_SET_MAX) {
            assert_int_equal(flag_list_add(&list, flags, slice_str(name)), OK);
        }
    }
    assert_int_equal(flags_keyword(flags, SLICE("onemore"), &id), LIMIT);
    assert_int_equal(flags_keyword(flags, SLICE("KW4095"), &id), OK);
    assert_int_equal(id, 4095);
    assert_int_equal(flag_list_add(&list, flags, SLICE("kw4000")), LIMIT);
    assert_int_equal(flag_list_add(&list, flags, SLICE("kw7")), OK);
    uint32_t full;
    uint32_t sum;
    assert_int_equal(flags_intern(flags, &list, &full), OK);
    assert_int_equal(flags_apply(flags, full, FLAG_OP_ADD, set_of(flags, "kw4000", NULL, NULL),
                                 &sum), LIMIT);
    flags_destroy(&flags);
}

static void test_table_is_bounded_and_sweep_frees_it(void **state)
{
    (void)state;
    struct flags *flags = flags_create();
    uint32_t kept = set_of(flags, "kept", NULL, NULL);
    flags_ref(flags, kept, 1);
    struct flag_list list = {.n = FLAGS_SET_MAX};
    char name[FLAGS_KEYWORD_LEN];
    memset(name, 'x', sizeof(name));
    for (uint16_t i = 0; i < FLAGS_SET_MAX; i++) {
        (void)snprintf(name, 8, "%06u", i);
        name[6] = 'y';
        assert_int_equal(flags_keyword(flags, slice_of(name, sizeof(name)), &list.keyword[i]), OK);
    }
    enum status st = OK;
    uint32_t id = 0;
    uint32_t n = 0;
    for (; st == OK && n < 2000; n++) {
        list.bits = (uint8_t)(n % 32);
        if (list.bits == 0) {
            list.n--;
        }
        st = flags_intern(flags, &list, &id);
    }
    assert_int_equal(st, LIMIT);
    assert_true(n > 100);
    flags_sweep(flags);
    assert_true(flags_id_end(flags) <= kept + 1);
    assert_true(flags_is_live(flags, kept));
    assert_false(flags_is_live(flags, id));
    assert_int_equal(flags_intern(flags, &list, &id), OK);
    assert_int_equal(set_of(flags, "KEPT", NULL, NULL), kept);
    flags_unref(flags, kept, 1);
    flags_destroy(&flags);
}

static void test_many_sets_against_their_texts(void **state)
{
    (void)state;
    struct flags *flags = flags_create();
    enum { N = 2000 };
    static uint32_t id[N];
    char name[16];
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < N; i++) {
            struct flag_list list = {.bits = (uint8_t)(i % 32)};
            for (uint32_t k = 0; k < 7; k++) {
                if ((i / 32 >> k & 1) != 0) {
                    (void)snprintf(name, sizeof(name), "k%u", (k + round) % 7);
                    assert_int_equal(flag_list_add(&list, flags, slice_str(name)), OK);
                }
            }
            uint32_t got;
            assert_int_equal(flags_intern(flags, &list, &got), OK);
            if (round == 0) {
                id[i] = got;
            }
            assert_true(flags_is_live(flags, got));
        }
        if (round == 0) {
            for (uint32_t i = 0; i < N; i += 3) {
                flags_ref(flags, id[i], 1);
            }
            flags_sweep(flags);
        }
    }
    for (uint32_t i = 0; i < N; i += 3) {
        assert_true(flags_is_live(flags, id[i]));
        assert_int_equal(flags_bits(flags, id[i]), i % 32);
        size_t n;
        (void)flags_keywords_of(flags, id[i], &n);
        assert_int_equal(n, __builtin_popcount(i / 32));
        for (uint32_t j = 0; j < i; j += 3) {
            assert_int_not_equal(id[i], id[j]);
        }
    }
    flags_destroy(&flags);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_sets_have_one_id),
        cmocka_unit_test(test_all_system_flags_and_vendor_flags),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_names_that_would_break_the_list_are_refused),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_table_is_bounded_and_sweep_frees_it),
        cmocka_unit_test(test_many_sets_against_their_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
