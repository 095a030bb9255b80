/* Lists of header fields and their union. */
#include <stdio.h>

#include "imaptest.h"

#include "../../../proxy/account/fieldlists_p.h"

static struct fetch_item list_item(const char *names)
{
    struct fetch_item item;
    struct buf text;
    buf_init(&text, 0);
    buf_printf(&text, "BODY.PEEK[HEADER.FIELDS (%s)]", names);
    assert_int_equal(fetch_item_parse(arena_copy(&test_arena, buf_slice(&text)), &test_arena, &item),
                     OK);
    buf_fini(&text);
    return item;
}

static bool note(struct fieldlists *lists, const char *names, bool *is_new_out)
{
    struct fetch_item item = list_item(names);
    return fieldlists__note(lists, &item, is_new_out);
}

/* What is asked upstream for the list. */
static const char *widened(const struct fieldlists *lists, const char *names)
{
    struct fetch_item item = list_item(names);
    struct fetch_item wide;
    return fieldlists__widen(lists, &item, &test_arena, &wide) ? cstr(wide.upstream) : "itself";
}

static const char *written(const struct fieldlists *lists)
{
    struct buf text;
    buf_init(&text, 0);
    fieldlists__write(lists, &text);
    const char *copy = cstr(buf_slice(&text));
    buf_fini(&text);
    return copy;
}

static void a_list_is_widened_to_the_union(void **state)
{
    (void)state;
    struct fieldlists lists = {.n = 0};
    bool is_new;
    assert_true(note(&lists, "subject From", &is_new));
    assert_true(is_new);
    assert_string_equal(widened(&lists, "Subject FROM"), "itself");
    assert_true(note(&lists, "from SUBJECT From", &is_new));
    assert_false(is_new);
    assert_true(note(&lists, "To", &is_new));
    assert_true(is_new);
    assert_string_equal(widened(&lists, "To"), "BODY.PEEK[HEADER.FIELDS (FROM SUBJECT TO)]");
    assert_string_equal(widened(&lists, "Subject From To"), "itself");
    assert_string_equal(written(&lists), "FROM SUBJECT;TO");
    assert_true(note(&lists, "Subject From", &is_new)); /* newest last */
    assert_string_equal(written(&lists), "TO;FROM SUBJECT");
    fieldlists__fini(&lists);
}

static void what_needs_quotes_is_asked_as_it_is(void **state)
{
    (void)state;
    struct fieldlists lists = {.n = 0};
    bool is_new;
    assert_false(note(&lists, "\"X(y)\"", &is_new));
    assert_false(note(&lists, "From X;Y", &is_new));
    assert_int_equal(lists.n, 0);
    fieldlists__fini(&lists);
}

/* The others' union does not answer it. */
static void what_is_not_in_the_union_is_asked_as_it_is(void **state)
{
    (void)state;
    struct fieldlists lists = {.n = 0};
    bool is_new;
    char long_names[FIELDLISTS_BYTES_MAX + 100];
    assert_true(note(&lists, "Date From Subject To X-A", &is_new));
    assert_false(note(&lists, "\"X(y)\" Subject", &is_new));
    assert_string_equal(widened(&lists, "\"X(y)\" Subject"), "itself");
    memset(long_names, 'y', sizeof(long_names) - 1);
    long_names[sizeof(long_names) / 2] = ' ';
    long_names[sizeof(long_names) - 1] = '\0';
    assert_false(note(&lists, long_names, &is_new));
    assert_string_equal(widened(&lists, long_names), "itself");
    assert_string_equal(widened(&lists, "Subject X-B"), "itself"); /* pushed out since it was noted */
    assert_string_equal(widened(&lists, "X-B"), "itself");
    fieldlists__fini(&lists);
}

static void the_oldest_lists_go(void **state)
{
    (void)state;
    struct fieldlists lists = {.n = 0};
    bool is_new;
    char names[FIELDLISTS_BYTES_MAX];
    for (int i = 0; i < 2 * FIELDLISTS_MAX; i++) {
        assert_true(snprintf(names, sizeof(names), "X-%d", i) > 0);
        assert_true(note(&lists, names, &is_new));
        assert_true(lists.n <= FIELDLISTS_MAX);
    }
    assert_string_equal(written(&lists), "X-8;X-9;X-10;X-11;X-12;X-13;X-14;X-15");
    memset(names, 'y', sizeof(names) - 1);
    memset(names + 341, 'z', 340);
    names[340] = ' ';
    names[681] = '\0';
    assert_true(note(&lists, "short", &is_new));
    assert_true(note(&lists, names, &is_new)); /* alone it fits */
    assert_in_range(lists.n, 2, FIELDLISTS_MAX - 1);
    assert_string_equal(lists.at[lists.n - 2], "SHORT");
    assert_true(note(&lists, "one-more-that-is-not-short", &is_new));
    assert_int_equal(lists.n, 1);
    fieldlists__fini(&lists);
}

static void kept_and_taken_up_again(void **state)
{
    (void)state;
    struct fieldlists lists = {.n = 0};
    fieldlists__read(&lists, SLICE("DATE FROM;;TO;X"));
    assert_string_equal(written(&lists), "DATE FROM;TO;X");
    assert_string_equal(widened(&lists, "To"), "BODY.PEEK[HEADER.FIELDS (DATE FROM TO X)]");
    fieldlists__fini(&lists);
    fieldlists__read(&lists, SLICE("1;2;3;4;5;6;7;8;9;10"));
    assert_int_equal(lists.n, FIELDLISTS_MAX);
    fieldlists__fini(&lists);
    fieldlists__read(&lists, SLICE(""));
    assert_int_equal(lists.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_list_is_widened_to_the_union),
        TEST(what_needs_quotes_is_asked_as_it_is),
        TEST(what_is_not_in_the_union_is_asked_as_it_is),
        TEST(the_oldest_lists_go),
        TEST(kept_and_taken_up_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
