#include "imaptest.h"

#include "imap/date.h"
#include "imap/flags.h"
#include "imap/seqset.h"
#include "imap/utf7.h"

static struct seqset set;

static enum status parse(const char *text)
{
    return seqset_parse_text(slice_str(text), &test_arena, &set);
}

static const char *resolved(const char *text, uint32_t max)
{
    struct ranges out;
    struct buf formatted;
    ranges_init(&out, 0);
    buf_init(&formatted, 0);
    assert_int_equal(parse(text), OK);
    assert_int_equal(seqset_resolve(&set, max, &out), OK);
    ranges_format(&out, &formatted);
    const char *copy = cstr(buf_slice(&formatted));
    buf_fini(&formatted);
    ranges_fini(&out);
    return copy;
}

static void sets(void **state)
{
    (void)state;
    assert_string_equal(resolved("1:3,7", 0), "1:3,7");
    assert_string_equal(resolved("7,3:1,2", 9), "1:3,7");
    assert_string_equal(resolved("*", 9), "9");
    assert_string_equal(resolved("5:*", 3), "3:5");
    assert_string_equal(resolved("*:4,*", 9), "4:9");
    assert_string_equal(resolved("*,1", 0), "1");
    assert_string_equal(resolved("1:*", 0), "");
    assert_string_equal(resolved("1:4294967295", 9), "1:4294967295");
    assert_int_equal(parse("3:9,12,*"), OK);
    assert_true(set.has_star && !set.is_sorted && set.highest == 12);
    assert_int_equal(parse("3:9,12"), OK);
    assert_true(set.is_sorted && !set.has_star);
    assert_int_equal(parse("3:9,9"), OK);
    assert_false(set.is_sorted);
    assert_int_equal(parse("$"), OK);
    assert_true(set.is_saved && set.n == 0);
    static const char *const bad[] = {"",  "0",   "1,",         ",1",  "1:",  ":1", "1:2:3",
                                      "x", "1 2", "4294967296", "$,1", "1:0", "**", "-1"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i]), SYNTAX);
    }
}

static void many_parts_in_the_worst_order(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    for (unsigned i = 60000; i > 0; i--) {
        buf_printf(&text, "%u,", 2 * i);
    }
    buf_truncate(&text, text.len - 1);
    struct ranges out;
    ranges_init(&out, 0);
    assert_int_equal(seqset_parse_text(buf_slice(&text), &test_arena, &set), OK);
    assert_int_equal(seqset_resolve(&set, 1, &out), OK);
    assert_int_equal(out.n, 60000);
    ranges_fini(&out);
    ranges_init(&out, 100);
    assert_int_equal(seqset_resolve(&set, 1, &out), LIMIT);
    ranges_fini(&out);
    for (unsigned i = 0; i < 6000; i++) {
        buf_add_str(&text, ",1");
    }
    assert_int_equal(seqset_parse_text(buf_slice(&text), &test_arena, &set), LIMIT);
    buf_fini(&text);
}

static enum status client_flags(const char *text, struct imap_flag_list *out)
{
    struct lexer lx;
    lexer_init(&lx, unit_of(slice_str(text)), LEXER_LENIENT);
    enum status st = flags_parse_client(&lx, &test_arena, out);
    lexer_end(&lx);
    return st != OK ? st : lexer_status(&lx);
}

static void flags(void **state)
{
    (void)state;
    struct imap_flag_list list;
    assert_int_equal(client_flags("(\\seen \\DRAFT a A $b)", &list), OK);
    assert_int_equal(list.system, IMAP_FLAG_SEEN | IMAP_FLAG_DRAFT);
    assert_int_equal(list.keywords_n, 2);
    assert_int_equal(client_flags("\\Seen a", &list), OK);
    assert_int_equal(list.keywords_n, 1);
    assert_int_equal(client_flags("()", &list), OK);
    static const char *const bad[] = {"(\\Recent)", "(\\*)", "(\\Foo)", "(a",
                                      "a)",         "",      "(a(b))",  "(\"a\")"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(client_flags(bad[i], &list), SYNTAX);
    }
    struct lexer lx;
    lexer_init(&lx, unit_of(SLICE("(\\Recent \\XFoo  a \\*)")), LEXER_LENIENT);
    assert_int_equal(flags_parse_server(&lx, &test_arena, &list), OK);
    assert_int_equal(list.system, IMAP_FLAG_RECENT | IMAP_FLAG_ANY);
    assert_int_equal(list.keywords_n, 2);
    assert_string_equal(flag_name(IMAP_FLAG_FLAGGED), "\\Flagged");
    assert_int_equal(flag_find(SLICE("\\deleted")), IMAP_FLAG_DELETED);
}

static void dates_as_seconds(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } cases[] = {{" 1-Jan-1970 00:00:00 +0000", 0},
                 {"29-Feb-2000 12:30:15 +0100", 951823815},
                 {"1-Mar-2024 00:00:00 +0000", 1709251200},
                 {"31-Dec-1999 23:59:59 -0730", 946711799},
                 {"01-Feb-2026 10:11:12 +0000", 1769940672}};
    int64_t seconds;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(date_time_seconds(slice_str(cases[i].text), &seconds));
        assert_int_equal(seconds, cases[i].seconds);
    }
    assert_false(date_time_seconds(SLICE("32-Jan-1970 00:00:00 +0000"), &seconds));
    assert_false(date_time_seconds(SLICE(""), &seconds));
}

static void dates(void **state)
{
    (void)state;
    char day[DATE_TEXT_MAX + 1];
    char time[DATE_TIME_TEXT_MAX + 1];
    assert_true(date_check(SLICE("01-feb-2026"), day));
    assert_string_equal(day, "1-Feb-2026");
    assert_true(date_check(SLICE("31-DEC-0001"), day));
    assert_string_equal(day, "31-Dec-0001");
    static const char *const bad[] = {"",           "1-Feb-26",     "1-Foo-2026",
                                      "1 Jan 2026", "001-Jan-2026", "x1-Jan-2026"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(date_check(slice_str(bad[i]), day));
        assert_false(date_exists(slice_str(bad[i])));
    }
    static const char *const odd[] = {"32-Jan-2026", "30-Feb-2026", "0-Jan-2026", "29-Feb-2026",
                                      "29-Feb-1900"};
    for (size_t i = 0; i < COUNT(odd); i++) {
        assert_true(date_check(slice_str(odd[i]), day));
        assert_string_equal(day, odd[i]);
        assert_false(date_exists(slice_str(day)));
    }
    assert_true(date_exists(SLICE("29-Feb-2000")) && date_exists(SLICE("31-Dec-0001")));
    assert_true(date_time_check(SLICE(" 1-feb-2026 10:11:12 +0100"), time));
    assert_string_equal(time, " 1-Feb-2026 10:11:12 +0100");
    assert_true(date_time_check(SLICE("01-Feb-2026 10:11:12 -0130"), time));
    assert_string_equal(time, " 1-Feb-2026 10:11:12 -0130");
    assert_true(date_time_check(SLICE("1-Feb-2026 10:11:12 -0130"), time));
    assert_true(date_time_check(SLICE("23-Nov-2026 07:00:00 +0000"), time));
    static const char *const bad_times[] = {"",
                                            "23-Nov-2026 24:00:00 +0000",
                                            "23-Nov-2026 07:60:00 +0000",
                                            "23-Nov-2026 07:00:61 +0000",
                                            "23-Nov-2026 07:00:00 0000",
                                            "23-Nov-2026 07:00:00 +0060",
                                            "23-Nov-2026 07:00:00 +000x",
                                            "  -Nov-2026 07:00:00 +0000",
                                            "23-Nov-2026T07:00:00 +0000",
                                            "-3-Nov-2026 07:00:00 +0000"};
    for (size_t i = 0; i < COUNT(bad_times); i++) {
        assert_false(date_time_check(slice_str(bad_times[i]), time));
    }
}

static void utf7_names(void **state)
{
    (void)state;
    static const struct {
        const char *utf7;
        const char *utf8;
    } names[] = {
        {"INBOX", "INBOX"},
        {"A&-B", "A&B"},
        {"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
        {"&U,BTFw-/&ZeVnLIqe-", "\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"&2D3eAA-", "\xf0\x9f\x98\x80"},
        {"", ""},
    };
    struct buf out;
    buf_init(&out, 0);
    for (size_t i = 0; i < COUNT(names); i++) {
        buf_reset(&out);
        assert_int_equal(utf7_to_utf8(slice_str(names[i].utf7), &out), OK);
        ASSERT_TEXT(buf_slice(&out), names[i].utf8);
        buf_reset(&out);
        assert_int_equal(utf7_from_utf8(slice_str(names[i].utf8), &out), OK);
        ASSERT_TEXT(buf_slice(&out), names[i].utf7);
    }
    static const char *const bad[] = {"&",     "&APw",     "&!-",   "&AGE-", "&2D0-",
                                      "&3gA-", "\xc3\xbc", "&APx-", "&AP-",  "a\x01"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(utf7_to_utf8(slice_str(bad[i]), &out), SYNTAX);
    }
    static const char *const bad8[] = {
        "\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\x80"};
    for (size_t i = 0; i < COUNT(bad8); i++) {
        assert_int_equal(utf7_from_utf8(slice_str(bad8[i]), &out), SYNTAX);
    }
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sets), TEST(many_parts_in_the_worst_order), TEST(flags), TEST(dates),
        TEST(dates_as_seconds), TEST(utf7_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
