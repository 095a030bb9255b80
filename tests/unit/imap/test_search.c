#include "imaptest.h"

#include "imap/searchtree.h"

static struct search_node *root;

static enum status parse(const char *text)
{
    struct lexer lx;
    lexer_init(&lx, unit_of(slice_str(text)), LEXER_LENIENT);
    return search_parse(&lx, &test_arena, &root);
}

/* Message numbers are UIDs less 100; 1..5 exist; "$" is empty. */
static enum status resolve(void *arg, const struct search_node *leaf, struct ranges *out)
{
    int *calls = arg;
    ++*calls;
    if (leaf->key == SEARCH_UID) {
        return seqset_resolve(&leaf->set, 105, out);
    }
    struct ranges seqs;
    ranges_init(&seqs, 0);
    enum status st = seqset_resolve(&leaf->set, 5, &seqs);
    ranges_reset(out);
    for (size_t i = 0; i < seqs.n; i++) {
        ranges_add(out, seqs.at[i].first + 100, seqs.at[i].last + 100);
    }
    ranges_fini(&seqs);
    return st;
}

static const char *written(const char *text)
{
    int calls = 0;
    struct outcmd out;
    struct buf flat;
    if (parse(text) != OK) {
        return "SYNTAX";
    }
    outcmd_init(&out);
    buf_init(&flat, 0);
    assert_int_equal(search_write(root, resolve, &calls, &out), OK);
    assert_true(outcmd_ok(&out));
    outcmd_inline(&out, &flat);
    const char *copy = cstr(buf_slice(&flat));
    buf_fini(&flat);
    outcmd_fini(&out);
    return copy;
}

static void every_key_is_written_again(void **state)
{
    (void)state;
    static const char *const same[] = {"ALL",
                                       "ANSWERED",
                                       "UNDELETED",
                                       "KEYWORD $X",
                                       "UNKEYWORD $X",
                                       "NEW",
                                       "OLD",
                                       "RECENT",
                                       "MODSEQ 12",
                                       "BCC \"a\"",
                                       "BODY \"a b\"",
                                       "CC \"\"",
                                       "FROM \"x\\\"y\"",
                                       "SUBJECT \"a\"",
                                       "TEXT \"a\"",
                                       "TO \"a\"",
                                       "HEADER \"Message-ID\" \"<1@x>\"",
                                       "BEFORE 1-Feb-2026",
                                       "ON 12-Mar-2026",
                                       "SINCE 1-Apr-2026",
                                       "SENTBEFORE 1-Feb-2026",
                                       "SENTON 1-Feb-2026",
                                       "SENTSINCE 1-Feb-2026",
                                       "SAVEDBEFORE 1-Feb-2026",
                                       "SAVEDON 1-Feb-2026",
                                       "SAVEDSINCE 1-Feb-2026",
                                       "SAVEDATESUPPORTED",
                                       "LARGER 1",
                                       "SMALLER 9",
                                       "OLDER 86400",
                                       "YOUNGER 5",
                                       "EMAILID M1",
                                       "THREADID T1",
                                       "X-GM-RAW \"has:x\"",
                                       "X-GM-LABELS \"a\"",
                                       "X-GM-MSGID 17",
                                       "X-GM-THRID 18",
                                       "OR SEEN (DRAFT FLAGGED)",
                                       "NOT FROM \"x\"",
                                       "SUBJECT {4}\r\n\xc3\xa4\r\n",
                                       "OR SEEN OR DRAFT NOT (ALL ALL)",
                                       "NOT (SEEN DRAFT)"};
    for (size_t i = 0; i < COUNT(same); i++) {
        assert_string_equal(written(same[i]), same[i]);
    }
    assert_string_equal(written("not seen"), "UNSEEN");
    assert_string_equal(written("NOT (SEEN )"), "UNSEEN");
    assert_string_equal(written("((SEEN))  DRAFT "), "SEEN DRAFT");
    assert_string_equal(written("since \"01-feb-2026\" from joe"), "SINCE 1-Feb-2026 FROM \"joe\"");
    assert_string_equal(written("MODSEQ \"/flags/\\\\draft\" all 620162338"), "MODSEQ 620162338");
}

static void sets_become_uids(void **state)
{
    (void)state;
    assert_string_equal(written("2:3,5 UNSEEN"), "UID 102:103,105 UNSEEN");
    assert_string_equal(written("*"), "UID 105");
    assert_string_equal(written("UID 999:*"), "UID 105:999");
    assert_string_equal(written("OR $ NOT UID 7"), "OR NOT ALL NOT UID 7");
    assert_string_equal(written("NOT $ SEEN"), "ALL SEEN"); /* Courier refuses NOT NOT ALL */
    assert_string_equal(written("NOT 2 SEEN"), "NOT UID 102 SEEN");
    assert_int_equal(parse("1:2 FROM a $"), OK);
    assert_int_equal(root->classes,
                     SEARCH_IS_MUTABLE | SEARCH_IS_IMMUTABLE | SEARCH_USES_SEQ | SEARCH_USES_SAVED);
    struct outcmd out;
    outcmd_init(&out);
    assert_int_equal(search_write(root, NULL, NULL, &out), PROTOCOL);
    outcmd_fini(&out);
}

/* What we do not know is the upstream's to refuse; nothing but tokens of ours is sent. */
static void unknown_keys_are_written_anew(void **state)
{
    (void)state;
    static const char *const same[] = {"X-FOO bar",
                                       "X-FOO 17 SEEN",
                                       "X-FOO \"bar\" \"x\" SEEN",
                                       "X-FOO 1-Feb-2026 \"x\" SEEN",
                                       "NOT X-FOO bar OR X-FOO a X-BAR",
                                       "OR OR SEEN UID 1 OR DRAFT X-FOO",
                                       "OR X-FOO OR OR SEEN UID 1 OR DRAFT FLAGGED",
                                       "X-FOO b a X-BAR d c (e f) SEEN X-FOO",
                                       "X-FOO (X-BAR) NOT X-FOO X-BAR NOT (X-FOO X-BAR)",
                                       "ANNOTATION /comment/* value.priv \"x\" SEEN",
                                       "INTHREAD REFERENCES FROM \"x\"",
                                       "FUZZY (FROM \"x\" SEEN)",
                                       "NOT FUZZY UNSEEN",
                                       "OR OR YOUNGER 5 NOT (SEEN YOUNGER 5) UNANSWERED",
                                       "(SEEN DRAFT) YOUNGER 5",
                                       "YOUNGER 5 (SEEN DRAFT)",
                                       "OR OR OR SEEN DRAFT FLAGGED YOUNGER 5",
                                       "X-FOO (SEEN)",
                                       "X-FOO ((DRAFT SEEN)) SEEN",
                                       "X-FOO NOT (SEEN) NOT ((KEYWORD x)) UNSEEN",
                                       "X-FOO NOT (UID 1) ((X-BAR)) OR (SEEN) (UNSEEN)",
                                       "FILTER on-the-road",
                                       "X-FOO {2}\r\n\xc3\xa4"};
    for (size_t i = 0; i < COUNT(same); i++) {
        assert_string_equal(written(same[i]), same[i]);
        assert_int_equal(root->classes & SEARCH_IS_IMMUTABLE, 0);
        assert_true((root->classes & SEARCH_IS_VOLATILE) != 0);
    }
    assert_string_equal(written("fuzzy  subject x"), "FUZZY SUBJECT \"x\"");
    assert_string_equal(written("X-FOO {3}\r\na b X-BAR]"), "SYNTAX");
    assert_string_equal(written("X-FOO {3}\r\na b (SEEN)"), "X-FOO \"a b\" (SEEN)");
    assert_string_equal(written("X-FOO"), "X-FOO");
    assert_string_equal(written("(X-FOO) X-BAR"), "(X-FOO) X-BAR");
    assert_string_equal(written("X-FOO seen"), "X-FOO SEEN");
    assert_string_equal(written("X-FOO 2"), "X-FOO 2");
    assert_string_equal(written("X-FOO * $"), "X-FOO UID 105 NOT ALL");
    assert_string_equal(written("FUZZY 2"), "FUZZY UID 102");
    assert_int_equal(root->classes, SEARCH_IS_VOLATILE | SEARCH_USES_SEQ);
    assert_int_equal(parse("X-FOO {2}\r\n\xc3\xa4"), OK);
    assert_int_equal(root->classes, SEARCH_IS_VOLATILE | SEARCH_USES_8BIT | SEARCH_IS_GUESSED);
}

static void bad_programs(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "(SEEN",
                                      "SEEN)",
                                      "()",
                                      "OR SEEN",
                                      "NOT",
                                      "SUBJECT",
                                      "HEADER a",
                                      "BEFORE 31-Foo-2026",
                                      "BEFORE 132-Jan-2026",
                                      "LARGER x",
                                      "UID",
                                      "UID x",
                                      "1:",
                                      "0",
                                      "FUZZY",
                                      "FILTER",
                                      "X-FOO \"a",
                                      "X-FOO {1}\r\na\r\nSEEN",
                                      "ANNOTATION a b",
                                      "INTHREAD REFS",
                                      "\\FOO",
                                      "KEYWORD \\Seen",
                                      "MODSEQ x",
                                      "MODSEQ \"/flags/x\" foo 1",
                                      "TEXT {5}\r\nab"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i]), SYNTAX);
    }
}

static void bounds(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    for (int i = 0; i < SEARCH_NODES_MAX; i++) {
        buf_add_str(&text, "SEEN ");
    }
    assert_int_equal(parse(cstr(buf_slice(&text))), LIMIT);
    buf_truncate(&text, 5 * (SEARCH_NODES_MAX - 2));
    assert_int_equal(parse(cstr(buf_slice(&text))), OK);
    buf_fini(&text);
}

/* N times @open, @key, N times @close, on one line. */
static enum status parse_nested(size_t n, const char *open, const char *key, const char *close)
{
    struct buf text;
    buf_init(&text, 0);
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&text, open);
    }
    buf_add_str(&text, key);
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&text, close);
    }
    enum status st = parse(cstr(buf_slice(&text)));
    buf_fini(&text);
    return st;
}

/* Programs write "one of these hundred senders" in these ways.  It goes as they wrote it. */
static void what_is_flat_may_be_written_deep(void **state)
{
    (void)state;
    static const struct {
        const char *open, *key, *close;
    } flat[] = {{"OR FROM a ", "FROM b", ""},
                {"OR ", "FROM b", " FROM a"},
                {"(OR ", "FROM b", " FROM a)"},
                {"OR (FROM a) (", "FROM b", ")"},
                {"(FROM a ", "FROM b", ")"},
                {"(", "FROM b", ")"}};
    for (size_t i = 0; i < COUNT(flat); i++) {
        assert_int_equal(parse_nested(500, flat[i].open, flat[i].key, flat[i].close), OK);
        assert_true(root->child->height <= 2);
        assert_int_equal(parse_nested(SEARCH_NESTING_MAX + 1, flat[i].open, flat[i].key, flat[i].close),
                         LIMIT);
    }
    assert_int_equal(parse_nested(SEARCH_DEPTH_MAX / 2 - 2, "OR FROM a (FROM b ", "FROM c", ")"), OK);
    assert_int_equal(parse_nested(SEARCH_DEPTH_MAX / 2, "OR FROM a (FROM b ", "FROM c", ")"), LIMIT);
    assert_int_equal(parse_nested(SEARCH_DEPTH_MAX, "NOT ", "FROM c", ""), LIMIT);
    assert_int_equal(parse_nested(SEARCH_DEPTH_MAX, "FUZZY ", "FROM c", ""), LIMIT);
    assert_string_equal(written("OR (OR SEEN (OR FLAGGED DRAFT)) ANSWERED"),
                        "OR OR SEEN OR FLAGGED DRAFT ANSWERED");
    assert_string_equal(written("(SEEN (FLAGGED DRAFT)) ANSWERED"), "(SEEN (FLAGGED DRAFT)) ANSWERED");
}

static const char *chain(size_t n, const char *open, const char *last, const char *close)
{
    struct buf text;
    buf_init(&text, 0);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&text, open, (int)i);
    }
    buf_add_str(&text, last);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&text, close, (int)i);
    }
    const char *copy = cstr(buf_slice(&text));
    buf_fini(&text);
    return copy;
}

/* Clients of Gmail ask so; what is not to be kept may go whole, and then as it was written. */
static void chains_of_what_is_never_kept(void **state)
{
    (void)state;
    const char *const chains[] = {
        chain(200, "OR X-GM-RAW \"from:a%d\" ", "X-GM-RAW \"last\"", ""),
        chain(200, "OR ", "X-GM-RAW \"first\"", " X-GM-RAW \"b%d\""),
        chain(200, "OR X-GM-THRID 9%d ", "X-GM-THRID 8", ""),
        chain(200, "OR FUZZY FROM \"a%d\" ", "FUZZY FROM \"last\"", ""),
        chain(100, "OR FROM \"a%d\" ", "YOUNGER 5", ""),
        chain(100, "OR ", "YOUNGER 5", " FROM \"a%d\""),
        chain(1, "OR YOUNGER 5 ", chain(100, "OR FROM \"a%d\" ", "SEEN", ""), ""),
        chain(100, "(FROM \"a%d\" ", "YOUNGER 5 SEEN", ")"),
        chain(100, "(", "YOUNGER 5 SEEN", " FROM \"a%d\")"),
        chain(100, "OR X-FOO b%d ", "X-FOO last", ""),
        chain(SEARCH_NESTING_MAX - 2, "OR X-GM-RAW \"a%d\" ", "UNSEEN", ""),
    };
    for (size_t i = 0; i < COUNT(chains); i++) {
        assert_string_equal(written(chains[i]), chains[i]);
        assert_true(root->child->height <= 3);
    }
    assert_int_equal(parse_nested(SEARCH_DEPTH_MAX / 2, "OR X-GM-RAW a (YOUNGER 5 ", "FROM c", ")"), LIMIT);
    assert_int_equal(parse_nested(SEARCH_NESTING_MAX, "OR X-GM-RAW a ", "FROM c", ""), LIMIT);
}

/* What the grammar forbids, and servers take. */
static void strings_that_are_none(void **state)
{
    (void)state;
    assert_string_equal(written("KEYWORD \"Work\""), "KEYWORD Work");
    assert_string_equal(written("UNKEYWORD \"a b\""), "UNKEYWORD \"a b\"");
    assert_string_equal(written("HEADER Message-ID <a%b*c@d>"), "HEADER \"Message-ID\" \"<a%b*c@d>\"");
}

static void days_that_there_are_not(void **state)
{
    (void)state;
    assert_string_equal(written("SINCE 31-feb-2021 BEFORE 00-Jan-2026"),
                        "SINCE 31-Feb-2021 BEFORE 0-Jan-2026");
    assert_true((root->classes & SEARCH_IS_ODD) != 0);
    assert_int_equal(parse("SINCE 28-Feb-2021"), OK);
    assert_true((root->classes & SEARCH_IS_ODD) == 0);
}

static void texts_that_a_server_may_refuse(void **state)
{
    (void)state;
    static const char *const odd[] = {"TEXT {1}\r\n\a", "SUBJECT {2}\r\n\r\n", "HEADER {1}\r\n\x7f x", "HEADER \"\" x",
                                      "HEADER \"a b\" x", "HEADER a: x"};
    static const char *const usual[] = {"TEXT \"\"", "HEADER a \"b: c\"", "FROM {1}\r\n\xe9"};
    for (size_t i = 0; i < COUNT(odd); i++) {
        assert_int_equal(parse(odd[i]), OK);
        assert_true((root->classes & SEARCH_IS_ODD) != 0);
    }
    for (size_t i = 0; i < COUNT(usual); i++) {
        assert_int_equal(parse(usual[i]), OK);
        assert_true((root->classes & SEARCH_IS_ODD) == 0);
    }
}

static void classes_tell_who_answers(void **state)
{
    (void)state;
    assert_int_equal(parse("OR UNSEEN KEYWORD x"), OK);
    assert_int_equal(root->classes, SEARCH_IS_MUTABLE);
    assert_int_equal(parse("SUBJECT {2}\r\n\xc3\xa4"), OK);
    assert_int_equal(root->classes, SEARCH_IS_IMMUTABLE | SEARCH_USES_8BIT);
    assert_int_equal(parse("YOUNGER 5 MODSEQ 1 RECENT"), OK);
    assert_int_equal(root->classes, SEARCH_IS_VOLATILE | SEARCH_IS_MUTABLE | SEARCH_USES_MODSEQ |
                                        SEARCH_USES_RECENT);
}

static void canonical_names(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 0);
    assert_int_equal(parse("(from {3}\r\njoe) (subject x)"), OK);
    assert_int_equal(search_canonical(root, &out), OK);
    ASSERT_TEXT(buf_slice(&out), "(FROM \"joe\" SUBJECT \"x\")");
    buf_reset(&out);
    assert_int_equal(search_canonical(root->child, &out), OK);
    ASSERT_TEXT(buf_slice(&out), "FROM \"joe\"");
    assert_int_equal(parse("1"), OK);
    assert_int_equal(search_canonical(root, &out), PROTOCOL);
    buf_fini(&out);
}

static bool has_flag(void *arg, const struct search_node *leaf)
{
    unsigned *flags = arg;
    assert_int_equal(leaf->key, SEARCH_FLAG);
    return (*flags & leaf->flag) != 0;
}

static bool matches(const char *text, unsigned flags)
{
    assert_int_equal(parse(text), OK);
    return search_match(root, has_flag, &flags);
}

static void count_leaf(void *arg, const struct search_node *leaf)
{
    (void)leaf;
    ++*(int *)arg;
}

static void matching(void **state)
{
    (void)state;
    assert_true(matches("SEEN", IMAP_FLAG_SEEN));
    assert_false(matches("UNSEEN", IMAP_FLAG_SEEN));
    assert_true(matches("OR SEEN DRAFT UNDELETED", IMAP_FLAG_DRAFT));
    assert_false(matches("OR SEEN DRAFT UNDELETED", IMAP_FLAG_DRAFT | IMAP_FLAG_DELETED));
    assert_true(matches("ALL", 0));
    assert_false(matches("NOT ALL", 0));
    assert_true(matches("NOT (SEEN DRAFT)", IMAP_FLAG_SEEN));
    int leaves = 0;
    search_visit(root, count_leaf, &leaves);
    assert_int_equal(leaves, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_key_is_written_again), TEST(sets_become_uids),
        TEST(unknown_keys_are_written_anew), TEST(bad_programs), TEST(texts_that_a_server_may_refuse), TEST(bounds),
        TEST(what_is_flat_may_be_written_deep), TEST(chains_of_what_is_never_kept),
        TEST(strings_that_are_none), TEST(days_that_there_are_not),
        TEST(classes_tell_who_answers),   TEST(canonical_names),  TEST(matching),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
