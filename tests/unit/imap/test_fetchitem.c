#include "imaptest.h"

#include "imap/fetchitem.h"

static struct fetch_item item;

static enum status parse(const char *text)
{
    return fetch_item_parse(slice_str(text), &test_arena, &item);
}

static const struct {
    const char *text;
    const char *key;
    const char *upstream;
    const char *label;
    bool sets_seen;
} cases[] = {
    {"flags", "FLAGS", "FLAGS", "FLAGS", false},
    {"Envelope", "ENVELOPE", "ENVELOPE", "ENVELOPE", false},
    {"BODY", "BODY", "BODY", "BODY", false},
    {"bodystructure", "BODYSTRUCTURE", "BODYSTRUCTURE", "BODYSTRUCTURE", false},
    {"BODY[]", "BODY[]", "BODY.PEEK[]", "BODY[]", true},
    {"body.peek[]<0.2048>", "BODY[]", "BODY.PEEK[]", "BODY[]<0>", false},
    {"BODY.PEEK [HEADER]", "BODY[HEADER]", "BODY.PEEK[HEADER]", "BODY[HEADER]", false},
    {"BODY[1.2.mime]", "BODY[1.2.MIME]", "BODY.PEEK[1.2.MIME]", "BODY[1.2.MIME]", true},
    {"BODY[3]<5877469.2925661>", "BODY[3]", "BODY.PEEK[3]", "BODY[3]<5877469>", true},
    {"BODY.PEEK[HEADER.FIELDS (Date \"from\" {2}\r\nCc date)]",
     "BODY[HEADER.FIELDS (CC DATE FROM)]", "BODY.PEEK[HEADER.FIELDS (CC DATE FROM)]",
     "BODY[HEADER.FIELDS (Date from Cc date)]", false},
    {"BODY[1.header.fields.not (a\"b)]", NULL, NULL, NULL, false},
    {"BODY[1.header.fields.not (\"x(y\" b)]", "BODY[1.HEADER.FIELDS.NOT (B \"X(Y\")]",
     "BODY.PEEK[1.HEADER.FIELDS.NOT (B \"X(Y\")]", "BODY[1.HEADER.FIELDS.NOT (\"x(y\" b)]", true},
    {"RFC822", "BODY[]", "BODY.PEEK[]", "RFC822", true},
    {"rfc822.peek", "BODY[]", "BODY.PEEK[]", "RFC822", false},
    {"RFC822.HEADER", "BODY[HEADER]", "BODY.PEEK[HEADER]", "RFC822.HEADER", false},
    {"RFC822.TEXT", "BODY[TEXT]", "BODY.PEEK[TEXT]", "RFC822.TEXT", true},
    {"RFC822.SIZE", "RFC822.SIZE", "RFC822.SIZE", "RFC822.SIZE", false},
    {"BINARY[1]<3.4>", "BINARY[1]", "BINARY.PEEK[1]", "BINARY[1]<3>", true},
    {"BINARY.SIZE[1.2]", "BINARY.SIZE[1.2]", "BINARY.SIZE[1.2]", "BINARY.SIZE[1.2]", false},
    {"PREVIEW (LAZY)", "PREVIEW", "PREVIEW (LAZY)", "PREVIEW", false},
    {"x-gm-msgid", "X-GM-MSGID", "X-GM-MSGID", "X-GM-MSGID", false},
    {"x-guid", "X-GUID", "X-GUID", "X-GUID", false},
    {"BODY[", NULL, NULL, NULL, false},
    {"BODY.PEEK", NULL, NULL, NULL, false},
    {"BODY[MIME]", NULL, NULL, NULL, false},
    {"BODY[1.FOO]", NULL, NULL, NULL, false},
    {"BODY[HEADER.FIELDS]", NULL, NULL, NULL, false},
    {"BODY[HEADER.FIELDS ()]", NULL, NULL, NULL, false},
    {"BODY[HEADER.FIELDS (a:b)]", NULL, NULL, NULL, false},
    {"BODY[HEADER.FIELDS ({3}\r\na\r\n)]", NULL, NULL, NULL, false},
    {"BODY[]<0.0>", NULL, NULL, NULL, false},
    {"BODY[]<0>", NULL, NULL, NULL, false},
    {"BODY[1.]x", NULL, NULL, NULL, false},
    {"BODY[01]", NULL, NULL, NULL, false},
    {"BINARY[HEADER]", NULL, NULL, NULL, false},
    {"FOO[1]", NULL, NULL, NULL, false},
    {"FLAGS)", NULL, NULL, NULL, false},
    {"", NULL, NULL, NULL, false},
};

static void every_item(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum status st = parse(cases[i].text);
        if (cases[i].key == NULL) {
            assert_int_equal(st, SYNTAX);
            continue;
        }
        assert_int_equal(st, OK);
        ASSERT_TEXT(item.key, cases[i].key);
        ASSERT_TEXT(item.upstream, cases[i].upstream);
        ASSERT_TEXT(item.label, cases[i].label);
        assert_int_equal(item.sets_seen, cases[i].sets_seen);
    }
}

static void details(void **state)
{
    (void)state;
    assert_int_equal(parse("BODY[2.3.HEADER.FIELDS (b A)]<7.9>"), OK);
    assert_int_equal(item.kind, FETCH_SECTION);
    assert_int_equal(item.section, SECTION_FIELDS);
    ASSERT_TEXT(item.part, "2.3");
    assert_int_equal(item.fields_n, 2);
    ASSERT_TEXT(item.fields[0], "A");
    assert_true(item.has_partial && item.offset == 7 && item.count == 9);
    assert_int_equal(parse("RFC822"), OK);
    assert_int_equal(item.section, SECTION_WHOLE);
    assert_int_equal(parse("BODY[1]"), OK);
    assert_int_equal(item.section, SECTION_PART);
    assert_int_equal(fetch_kind_traits(FETCH_SECTION), FETCH_IS_IMMUTABLE | FETCH_IS_CONTENT);
    assert_int_equal(fetch_kind_traits(FETCH_FLAGS), FETCH_IS_MODEL);
    assert_int_equal(fetch_kind_traits(FETCH_OTHER), 0);
    assert_int_equal(fetch_kind_traits(FETCH_PREVIEW), 0);
    assert_string_equal(fetch_kind_name(FETCH_ENVELOPE), "ENVELOPE");
    assert_null(fetch_kind_name(FETCH_SECTION));
}

static struct fetch_items items;

static enum status parse_list(const char *text)
{
    struct lexer lx;
    lexer_init(&lx, unit_of(slice_str(text)), LEXER_LENIENT);
    enum status st = fetch_items_parse(&lx, &test_arena, &items);
    lexer_end(&lx);
    return st != OK ? st : lexer_status(&lx);
}

static void lists_and_macros(void **state)
{
    (void)state;
    assert_int_equal(parse_list("full"), OK);
    assert_int_equal(items.n, 5);
    assert_int_equal(items.at[4].kind, FETCH_BODY);
    assert_int_equal(parse_list("FAST"), OK);
    assert_int_equal(items.n, 3);
    assert_int_equal(parse_list("(FAST)"), SYNTAX);
    assert_int_equal(parse_list("(UID  FLAGS uid )"), OK);
    assert_int_equal(items.n, 2);
    assert_int_equal(parse_list("(BODY.PEEK[] BODY[] MODSEQ)"), OK);
    assert_int_equal(items.n, 2);
    assert_true(items.sets_seen && items.has_modseq);
    assert_int_equal(parse_list("(BODY[]<0.5> BODY[]<0.6>)"), OK);
    assert_int_equal(items.n, 2);
    assert_int_equal(parse_list("()"), SYNTAX);
    assert_int_equal(parse_list("(FLAGS"), SYNTAX);
    assert_int_equal(parse_list("(FLAGS)x"), SYNTAX);
    assert_int_equal(parse_list("ALLx"), OK); /* an unknown atom */
    assert_int_equal(items.at[0].kind, FETCH_OTHER);
}

static void names_of_responses(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *key;
        enum fetch_kind kind;
    } names[] = {
        {"BODY[HEADER.FIELDS (\"Date\" FROM)]<0>", "BODY[HEADER.FIELDS (DATE FROM)]",
         FETCH_SECTION},
        {"BODY[HEADER.FIELDS (FROM date {4}\r\nDATE)]", "BODY[HEADER.FIELDS (DATE FROM)]",
         FETCH_SECTION},
        {"body[]<12>", "BODY[]", FETCH_SECTION},
        {"BODY[1.2.mime]", "BODY[1.2.MIME]", FETCH_SECTION},
        {"RFC822.TEXT", "BODY[TEXT]", FETCH_SECTION},
        {"rfc822", "BODY[]", FETCH_SECTION},
        {"envelope", "ENVELOPE", FETCH_ENVELOPE},
        {"BINARY[1]", "BINARY[1]", FETCH_BINARY},
        {"X-FOO", "X-FOO", FETCH_OTHER},
        {"FOO[1]", "FOO[1]", FETCH_OTHER},
    };
    struct fetch_name name;
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_int_equal(fetch_name_parse(slice_str(names[i].name), &test_arena, &name), OK);
        ASSERT_TEXT(name.key, names[i].key);
        assert_int_equal(name.kind, names[i].kind);
        assert_int_equal(fetch_kind_find(slice_str(names[i].name)), names[i].kind);
    }
    assert_int_equal(fetch_name_parse(SLICE("BODY[]<12>"), &test_arena, &name), OK);
    assert_true(name.has_offset && name.offset == 12);
    assert_int_equal(fetch_name_parse(SLICE("BODY[FOO]"), &test_arena, &name), SYNTAX);
    assert_int_equal(fetch_name_parse(SLICE("BODY[HEADER"), &test_arena, &name), SYNTAX);
    struct slice list[] = {SLICE("to"), SLICE("Cc"), SLICE("TO")};
    ASSERT_TEXT(fetch_fields_key(&test_arena, list, 3, false), "BODY[HEADER.FIELDS (CC TO)]");
    ASSERT_TEXT(fetch_fields_key(&test_arena, list, 1, true), "BODY[HEADER.FIELDS.NOT (TO)]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_item),
        TEST(details),
        TEST(lists_and_macros),
        TEST(names_of_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
