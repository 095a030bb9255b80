#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "imap/lexer.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 * 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static struct lexer lex(const char *text)
{
    struct lexer lx;
    lexer_init(&lx, unit_of(slice_str(text)), LEXER_LENIENT);
    return lx;
}

#define ASSERT_SLICE(s, literal) assert_true(slice_eq((s), SLICE(literal)))

static void atoms_tags_flags_numbers(void **state)
{
    (void)state;
    struct lexer lx = lex("a1] \\Seen \\* $Fwd 4294967295 9223372036854775807 NIL nilly");
    ASSERT_SLICE(lexer_tag(&lx), "a1]");
    lexer_sp(&lx);
    ASSERT_SLICE(lexer_flag(&lx), "\\Seen");
    lexer_sp(&lx);
    ASSERT_SLICE(lexer_flag(&lx), "\\*");
    lexer_sp(&lx);
    ASSERT_SLICE(lexer_flag(&lx), "$Fwd");
    lexer_sp(&lx);
    assert_int_equal(lexer_number(&lx), UINT32_MAX);
    lexer_sp(&lx);
    assert_true(lexer_number64(&lx) == INT64_MAX);
    lexer_sp(&lx);
    assert_true(lexer_nil(&lx));
    lexer_sp(&lx);
    assert_false(lexer_nil(&lx));
    ASSERT_SLICE(lexer_atom(&lx), "nilly");
    assert_true(lexer_at_end(&lx));
    assert_int_equal(lexer_status(&lx), OK);
}

static void bad_tags_and_numbers(void **state)
{
    (void)state;
    const char *const tags[] = {"+ x", "a+ x", "* x", "(a", "\"a\"", " a", "", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        struct lexer lx = lex(tags[i]);
        assert_int_equal(lexer_tag(&lx).len, 0);
        assert_int_equal(lexer_status(&lx), SYNTAX);
    }
    const char *const numbers[] = {"4294967296", "-1", "", "x", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct lexer lx = lex(numbers[i]);
        assert_int_equal(lexer_number(&lx), 0);
        assert_int_equal(lexer_status(&lx), SYNTAX);
    }
    struct lexer lx = lex("9223372036854775808");
    (void)lexer_number64(&lx);
    assert_int_equal(lexer_status(&lx), SYNTAX);
}

static void failure_sticks(void **state)
{
    (void)state;
    struct lexer lx = lex("abc def");
    lexer_expect(&lx, 'x');
    assert_int_equal(lexer_status(&lx), SYNTAX);
    lexer_fail(&lx, LIMIT);
    assert_int_equal(lexer_status(&lx), SYNTAX);
    assert_int_equal(lexer_atom(&lx).len, 0);
    assert_int_equal(lexer_peek(&lx), 0);
    assert_false(lexer_take(&lx, 'a'));
    assert_int_equal(lexer_value(&lx).raw.len, 0);
    assert_true(lexer_at_end(&lx));
}

static void strings_decode(void **state)
{
    (void)state;
    struct lexer lx =
        lex("INBOX \"a \\\"b\\\\\" {5}\r\nx\r\n)y \"\" foo]bar ~{1}\r\nz \"\xc3\xa4\"");
    ASSERT_SLICE(lexer_astring(&lx, &arena), "INBOX");
    lexer_sp(&lx);
    ASSERT_SLICE(lexer_astring(&lx, &arena), "a \"b\\");
    lexer_sp(&lx);
    ASSERT_SLICE(lexer_astring(&lx, &arena), "x\r\n)y");
    lexer_sp(&lx);
    struct slice empty = lexer_nstring(&lx, &arena);
    assert_int_equal(empty.len, 0);
    assert_non_null(empty.data);
    lexer_sp(&lx);
    ASSERT_SLICE(lexer_astring(&lx, &arena), "foo]bar");
    lexer_sp(&lx);
    ASSERT_SLICE(lexer_string(&lx, &arena), "z");
    lexer_sp(&lx);
    ASSERT_SLICE(lexer_string(&lx, &arena), "\xc3\xa4");
    lexer_end(&lx);
    assert_int_equal(lexer_status(&lx), OK);
    lx = lex("nil");
    assert_null(lexer_nstring(&lx, &arena).data);
    lx = lex("%/Ab*]");
    ASSERT_SLICE(lexer_list_mailbox(&lx, &arena), "%/Ab*]");
}

static void bad_strings(void **state)
{
    (void)state;
    const char *const bad[] = {"\"abc",    "\"abc\\\"", "\"a\rb\"", "{5}\r\nabc",
                               "{5}abcde", "{x}\r\n",   "{5\r\n",   "(",
                               "",         "%",         "\\Seen",   "\""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct lexer lx = lex(bad[i]);
        (void)lexer_astring(&lx, &arena);
        assert_int_equal(lexer_status(&lx), SYNTAX);
    }
    struct lexer lx;
    lexer_init(&lx, unit_of(SLICE("{3}\r\na\0b")), LEXER_LENIENT);
    (void)lexer_astring(&lx, &arena);
    assert_int_equal(lexer_status(&lx), SYNTAX);
    lexer_init(&lx, unit_of(SLICE("{3}\r\na\0b")), LEXER_LENIENT);
    ASSERT_SLICE(lexer_value(&lx).content, "a\0b");
}

static void a_full_arena_is_a_limit(void **state)
{
    (void)state;
    struct arena small;
    arena_init(&small, 4);
    struct lexer lx = lex("\"a\\\"b\"");
    (void)lexer_string(&lx, &small);
    assert_int_equal(lexer_status(&lx), LIMIT);
    arena_reset(&small);
}

static void values_of_any_shape(void **state)
{
    (void)state;
    struct lexer lx = lex("(\"a)\" (NIL {2}\r\n))(1))) 42 \"q\\\"\" NIL \\Seen {1}\r\n( ()");
    ASSERT_SLICE(lexer_value_raw(&lx), "(\"a)\" (NIL {2}\r\n))(1)))");
    lexer_sp(&lx);
    struct lexer_value value = lexer_value(&lx);
    assert_int_equal(value.kind, VALUE_ATOM);
    ASSERT_SLICE(value.content, "42");
    lexer_sp(&lx);
    value = lexer_value(&lx);
    assert_int_equal(value.kind, VALUE_QUOTED);
    ASSERT_SLICE(value.content, "q\\\"");
    ASSERT_SLICE(value_text(&value, &arena), "q\"");
    lexer_sp(&lx);
    value = lexer_value(&lx);
    assert_int_equal(value.kind, VALUE_NIL);
    assert_null(value_text(&value, &arena).data);
    lexer_sp(&lx);
    ASSERT_SLICE(lexer_value(&lx).content, "\\Seen");
    lexer_sp(&lx);
    value = lexer_value(&lx);
    assert_int_equal(value.kind, VALUE_LITERAL);
    ASSERT_SLICE(value.content, "(");
    lexer_sp(&lx);
    assert_int_equal(lexer_value(&lx).kind, VALUE_LIST);
    lexer_end(&lx);
    assert_int_equal(lexer_status(&lx), OK);
}

static void holes_are_streamed_values(void **state)
{
    (void)state;
    struct slice text = SLICE("(A {3}\r\n B ~{4294967296}\r\n C {1}\r\nx)");
    const struct unit_hole holes[] = {{8, 3}, {26, 4294967296}};
    struct lexer lx;
    lexer_init(&lx, (struct unit){.text = text, .holes = holes, .holes_n = 2}, LEXER_LENIENT);
    assert_true(slice_eq(lexer_value_raw(&lx), text));
    lexer_init(&lx, (struct unit){.text = text, .holes = holes, .holes_n = 2}, LEXER_LENIENT);
    lexer_expect(&lx, '(');
    lexer_expect(&lx, 'A');
    lexer_sp(&lx);
    struct lexer_value value = lexer_value(&lx);
    assert_int_equal(value.kind, VALUE_STREAMED);
    assert_int_equal(value.size, 3);
    lexer_sp(&lx);
    /* the same through a part of the unit */
    struct unit part = unit_from((struct unit){.text = text, .holes = holes, .holes_n = 2}, 11);
    lexer_init(&lx, part, LEXER_LENIENT);
    uint64_t size;
    bool is_literal8;
    assert_true(lexer_streamed(&lx, &size, &is_literal8));
    assert_true(size == 4294967296 && is_literal8);
    lexer_sp(&lx);
    lexer_expect(&lx, 'C');
    lexer_sp(&lx);
    assert_false(lexer_streamed(&lx, &size, &is_literal8));
    /* a streamed literal cannot stand where its text is needed */
    lexer_init(&lx, part, LEXER_LENIENT);
    (void)lexer_astring(&lx, &arena);
    assert_int_equal(lexer_status(&lx), SYNTAX);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    char deep[2 * (LEXER_DEPTH_MAX + 1)];
    memset(deep, '(', LEXER_DEPTH_MAX + 1);
    memset(deep + LEXER_DEPTH_MAX + 1, ')', LEXER_DEPTH_MAX + 1);
    struct lexer lx;
    lexer_init(&lx, unit_of(slice_of(deep, sizeof(deep))), LEXER_LENIENT);
    (void)lexer_value(&lx);
    assert_int_equal(lexer_status(&lx), LIMIT);
    lexer_init(&lx, unit_of(slice_of(deep + 1, sizeof(deep) - 2)), LEXER_LENIENT);
    assert_int_equal(lexer_value(&lx).raw.len, sizeof(deep) - 2);
}

static void item_names(void **state)
{
    (void)state;
    const char *const good[] = {"FLAGS",
                                "BODY[]",
                                "BODY[1.2.MIME]<0>",
                                "BODY.PEEK[]<0.2048>",
                                "BODY[HEADER.FIELDS (\"D]ate\" {2}\r\n]x FROM)]<5>",
                                "X-GM-LABELS",
                                "RFC822.SIZE"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct lexer lx = lex(good[i]);
        assert_true(slice_eq(lexer_item_name(&lx), slice_str(good[i])));
        assert_true(lexer_ok(&lx));
    }
    const char *const bad[] = {"",         "[]",         "BODY[",      "BODY[\"]",     "BODY[]<",
                               "BODY[]<1", "BODY[]<1.>", "BODY[\x01]", "BODY[{9}\r\n]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct lexer lx = lex(bad[i]);
        (void)lexer_item_name(&lx);
        assert_int_equal(lexer_status(&lx), SYNTAX);
    }
}

static void spaces_strict_and_lenient(void **state)
{
    (void)state;
    struct lexer lx = lex("(A  B ) ");
    lexer_expect(&lx, '(');
    (void)lexer_atom(&lx);
    assert_true(lexer_list_more(&lx));
    (void)lexer_atom(&lx);
    assert_false(lexer_list_more(&lx));
    lexer_expect(&lx, ')');
    lexer_end(&lx);
    assert_true(lexer_ok(&lx));
    lexer_init(&lx, unit_of(SLICE("A  B")), LEXER_STRICT);
    (void)lexer_atom(&lx);
    lexer_sp(&lx);
    (void)lexer_atom(&lx);
    assert_false(lexer_ok(&lx));
    lexer_init(&lx, unit_of(SLICE("A ")), LEXER_STRICT);
    (void)lexer_atom(&lx);
    lexer_end(&lx);
    assert_false(lexer_ok(&lx));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(atoms_tags_flags_numbers),
        cmocka_unit_test(bad_tags_and_numbers),
        cmocka_unit_test(failure_sticks),
        cmocka_unit_test(strings_decode),
        cmocka_unit_test(bad_strings),
        cmocka_unit_test(a_full_arena_is_a_limit),
        cmocka_unit_test(values_of_any_shape),
        cmocka_unit_test(holes_are_streamed_values),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(item_names),
        cmocka_unit_test(spaces_strict_and_lenient),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
