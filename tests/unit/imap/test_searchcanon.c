#include "imaptest.h"

#include "imap/searchcanon.h"

static struct search_node *parse(const char *text)
{
    struct lexer lx;
    struct search_node *root;
    lexer_init(&lx, unit_of(slice_str(text)), LEXER_LENIENT);
    assert_int_equal(search_parse(&lx, &test_arena, &root), OK);
    return root;
}

static struct search_node *normal(const char *text)
{
    struct search_node *root;
    assert_int_equal(search_normalize(parse(text), &test_arena, &root), OK);
    return root;
}

static const char *written(const struct search_node *node)
{
    struct buf out;
    buf_init(&out, 0);
    assert_int_equal(search_canonical(node, &out), OK);
    const char *text = cstr(buf_slice(&out));
    buf_fini(&out);
    return text;
}

static void forms(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"NOT NOT SEEN", "SEEN"},
        {"ALL ALL", "ALL"},
        {"ALL SEEN ALL", "SEEN"},
        {"OR ALL SEEN", "ALL"},
        {"NOT ALL SEEN", "NOT ALL"},
        {"OR NOT ALL SEEN", "SEEN"},
        {"NOT ALL FROM a", "(FROM \"a\" NOT ALL)"}, /* the upstream is still asked whether it can */
        {"SUBJECT b FROM a", "(FROM \"a\" SUBJECT \"b\")"},
        {"OR TO c OR FROM a CC b", "OR CC \"b\" OR FROM \"a\" TO \"c\""},
        {"OR SEEN OR DRAFT SEEN", "OR DRAFT SEEN"},
        {"SEEN FROM a SUBJECT b DRAFT", "((FROM \"a\" SUBJECT \"b\") DRAFT SEEN)"},
        {"FROM a YOUNGER 5 SUBJECT b OLDER 3",
         "((FROM \"a\" SUBJECT \"b\") (OLDER 3 YOUNGER 5))"},
        {"NOT FROM a NOT TO b", "NOT OR FROM \"a\" TO \"b\""},
        {"NOT FROM a NOT OR TO b CC c", "NOT OR CC \"c\" OR FROM \"a\" TO \"b\""},
        {"SEEN NOT FROM a NOT TO b", "(NOT OR FROM \"a\" TO \"b\" SEEN)"},
        {"UNSEEN UNDRAFT", "(UNDRAFT UNSEEN)"},
        {"HEADER List-ID Aa", "HEADER \"list-id\" \"Aa\""},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        assert_string_equal(written(normal(pairs[i][0])), pairs[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
