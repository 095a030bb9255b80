#include "imaptest.h"

#include "imap/searchcanon.h"
#include "searchmodel.h"

static enum status try_parse(const char *text, struct search_node **root)
{
    struct lexer lx;
    lexer_init(&lx, unit_of(slice_str(text)), LEXER_LENIENT);
    return search_parse(&lx, &test_arena, root);
}

static struct search_node *parse(const char *text)
{
    struct search_node *root;
    assert_int_equal(try_parse(text, &root), OK);
    return root;
}

static struct search_node *normal_of(const struct search_node *root)
{
    struct search_node *out;
    assert_int_equal(search_normalize(root, &test_arena, &out), OK);
    assert_null(out->next);
    return out;
}

static struct search_node *normal(const char *text)
{
    return normal_of(parse(text));
}

static const char *written(const struct search_node *node)
{
    struct outcmd cmd;
    struct buf out;
    outcmd_init(&cmd);
    buf_init(&out, 0);
    assert_int_equal(search_write(node, searchmodel_resolve, NULL, &cmd), OK);
    assert_true(outcmd_ok(&cmd));
    outcmd_inline(&cmd, &out);
    const char *text = cstr(buf_slice(&out));
    buf_fini(&out);
    outcmd_fini(&cmd);
    return text;
}

static void forms(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"NOT NOT SEEN", "SEEN"},
        {"NOT NOT NOT SEEN", "UNSEEN"},
        {"ALL ALL", "ALL"},
        {"NOT NOT ALL", "ALL"},
        {"ALL SEEN ALL", "SEEN"},
        {"OR ALL SEEN", "ALL"},
        {"NOT ALL SEEN", "NOT ALL"},
        {"OR NOT ALL SEEN", "SEEN"},
        {"SUBJECT b FROM a", "FROM \"a\" SUBJECT \"b\""},
        {"OR TO c OR FROM a CC b", "OR CC \"b\" OR FROM \"a\" TO \"c\""},
        {"OR OR TO d CC b OR FROM a BCC c", "OR OR BCC \"c\" CC \"b\" OR FROM \"a\" TO \"d\""},
        {"OR SEEN OR DRAFT SEEN", "OR DRAFT SEEN"},
        {"(SEEN (DRAFT (SEEN FLAGGED)))", "DRAFT FLAGGED SEEN"},
        {"SEEN FROM a SUBJECT b DRAFT", "(FROM \"a\" SUBJECT \"b\") DRAFT SEEN"},
        {"OR SEEN OR FROM a SUBJECT b", "OR OR FROM \"a\" SUBJECT \"b\" SEEN"},
        {"FROM a YOUNGER 5 SUBJECT b OLDER 3", "(FROM \"a\" SUBJECT \"b\") (OLDER 3 YOUNGER 5)"},
        {"FROM a OR SEEN TO b CC c", "(CC \"c\" FROM \"a\") OR SEEN TO \"b\""},
        /* one sign for one set: the positive is asked */
        {"NOT FROM a NOT TO b", "NOT OR FROM \"a\" TO \"b\""},
        {"NOT FROM a NOT OR TO b CC c", "NOT OR CC \"c\" OR FROM \"a\" TO \"b\""},
        {"OR NOT FROM a TO b", "NOT (FROM \"a\" NOT TO \"b\")"},
        {"SEEN NOT FROM a NOT TO b", "NOT OR FROM \"a\" TO \"b\" SEEN"},
        {"FROM a NOT FROM a", "FROM \"a\" NOT FROM \"a\""},
        {"OR NOT FROM a FROM a", "NOT (FROM \"a\" NOT FROM \"a\")"},
        /* what the model answers needs no sign */
        {"UNSEEN UNDRAFT", "UNDRAFT UNSEEN"},
        {"NOT OR SEEN DRAFT", "UNDRAFT UNSEEN"},
        {"NOT (SEEN FROM a)", "OR NOT FROM \"a\" UNSEEN"},
        /* strings stay, names of fields do not */
        {"HEADER List-ID Aa", "HEADER \"list-id\" \"Aa\""},
        {"since \"01-feb-2026\" larger 007", "LARGER 7 SINCE 1-Feb-2026"},
        /* equal in all but one thing is not equal */
        {"HEADER b x HEADER a x", "HEADER \"a\" \"x\" HEADER \"b\" \"x\""},
        {"UID 3 UID 2", "UID 2 UID 3"},
        {"UID 2,3 UID 2", "UID 2 UID 2:3"},
        {"ON 3-Feb-2026 ON 2-Feb-2026", "ON 2-Feb-2026 ON 3-Feb-2026"},
        {"X-FOO a X-FOO \"a\" X-FOO \"a\" \"b\"", "X-FOO a X-FOO \"a\" X-FOO \"a\" \"b\""},
        {"OR FROM a (TO b CC c) OR FROM a (TO b CC d)",
         "OR (CC \"c\" TO \"b\") FROM \"a\" OR (CC \"d\" TO \"b\") FROM \"a\""},
        /* one bound for each key and sign: Dovecot takes the wrong one of two that are negated */
        {"SINCE 1-Feb-2026 SINCE 13-Sep-2020 SINCE 2-Feb-2026", "SINCE 2-Feb-2026"},
        {"OR SINCE 1-Feb-2026 SINCE 13-Sep-2020", "SINCE 13-Sep-2020"},
        {"NOT SENTSINCE 1-Feb-2026 NOT SENTSINCE 13-Sep-2020", "NOT SENTSINCE 13-Sep-2020"},
        {"OR SINCE 29-Feb-2021 SINCE 2-Mar-2021", "OR SINCE 2-Mar-2021 SINCE 29-Feb-2021"},
        {"SINCE 31-Feb-2021 SINCE 2-Mar-2021 SINCE 1-Mar-2021", "SINCE 2-Mar-2021 SINCE 31-Feb-2021"},
        {"NOT OR SENTBEFORE 1-Feb-2026 SENTBEFORE 13-Dec-2025", "NOT SENTBEFORE 1-Feb-2026"},
        {"OR NOT SMALLER 10 NOT SMALLER 9", "NOT SMALLER 9"},
        {"LARGER 10 LARGER 9 SEEN NOT LARGER 20 NOT LARGER 30", "(LARGER 10 NOT LARGER 20) SEEN"},
        {"OR LARGER 10 OR FROM a OR LARGER 9 NOT SMALLER 9", "OR FROM \"a\" OR LARGER 9 NOT SMALLER 9"},
        {"SINCE 1-Feb-2026 SENTSINCE 2-Feb-2026", "SENTSINCE 2-Feb-2026 SINCE 1-Feb-2026"},
        {"ON 1-Feb-2026 ON 2-Feb-2026", "ON 1-Feb-2026 ON 2-Feb-2026"},
        /* but what the upstream may have to refuse stays */
        {"SMALLER 5 SMALLER 4294967296 SMALLER 3 FROM a SMALLER 4", "FROM \"a\" SMALLER 3 SMALLER 4294967296"},
        {"LARGER 5 LARGER 4294967295 LARGER 4294967296", "LARGER 4294967295 LARGER 4294967296"},
        {"SINCE 1-Jan-0001 SINCE 1-Jan-1970 SINCE 31-Dec-1969 SINCE 2-Jan-1970",
         "SINCE 1-Jan-0001 SINCE 2-Jan-1970 SINCE 31-Dec-1969"},
        /* nothing goes that the upstream may have to refuse */
        {"NOT ALL FROM a SEEN", "NOT ALL FROM \"a\""},
        {"OR ALL X-FOO", "OR ALL X-FOO"},
        {"X-B x X-A", "X-A (X-B x)"},
        /* inside FUZZY nothing is ours to change */
        {"FUZZY (TO b FROM a NOT NOT SEEN)", "FUZZY (TO \"b\" FROM \"a\" NOT UNSEEN)"},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        assert_string_equal(written(normal(pairs[i][0])), pairs[i][1]);
    }
}

static void what_must_differ(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"HEADER FROM x", "FROM x"},
        {"FROM x", "FROM X"},
        {"FROM \"x \"", "FROM x"},
        {"HEADER x \"\"", "HEADER x x"},
        {"FROM a SUBJECT b", "FROM b SUBJECT a"},
        {"FROM a SUBJECT b", "OR FROM a SUBJECT b"},
        {"BEFORE 1-Feb-2026", "SENTBEFORE 1-Feb-2026"},
        {"NOT BEFORE 1-Feb-2026", "SINCE 1-Feb-2026"}, /* a mail without a date is neither */
        {"NOT LARGER 5", "SMALLER 5"},
        {"TEXT x", "BODY x"},
        {"X-FOO a", "X-FOO \"a\""},
        {"FUZZY TEXT x", "TEXT x"},
        {"EMAILID a", "EMAILID A"},
        {"OLDER 5", "YOUNGER 5"},
        {"RECENT", "NEW"},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        assert_string_not_equal(written(normal(pairs[i][0])), written(normal(pairs[i][1])));
    }
}

/* --- random trees ------------------------------------------------------------------------------- */

static uint32_t seed;

static unsigned roll(unsigned n)
{
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 8) % n;
}

enum tree_kind { TREE_AND, TREE_OR, TREE_NOT, TREE_LEAF };

struct tree {
    enum tree_kind kind;
    size_t leaf;
    size_t n;
    struct tree *children[4];
};

/* Each in several spellings. */
static const char *const leaves[][3] = {
    {"SEEN", "seen", "NOT UNSEEN"},
    {"DELETED", "deleted", "NOT UNDELETED"},
    {"KEYWORD $X", "keyword $X", "NOT UNKEYWORD $X"},
    {"RECENT", "recent", "NOT NOT RECENT"},
    {"MODSEQ 5", "MODSEQ 05", "MODSEQ \"/flags/x\" all 5"},
    {"UID 2,5:7", "uid 2,5:7", "UID 2,5:7"},
    {"ALL", "all", "OR ALL SEEN"},
    {"NOT ALL", "NOT (ALL)", "NOT ALL DELETED"},
    {"FROM a", "from \"a\"", "FROM {1}\r\na"},
    {"SUBJECT \"a b\"", "Subject {3}\r\na b", "(SUBJECT \"a b\")"},
    {"TEXT {2}\r\n\xc3\xa4", "TEXT {2+}\r\n\xc3\xa4", "text {2}\r\n\xc3\xa4"},
    {"HEADER List-Id q", "HEADER LIST-ID \"q\"", "HEADER {7}\r\nlist-id q"},
    {"HEADER X-Id q", "HEADER x-id q", "header X-ID {1}\r\nq"},
    {"HEADER List-Id r", "HEADER LIST-ID \"r\"", "HEADER list-id r"},
    {"UID 2,5:8", "uid 2,5:8", "UID 2,5:8"},
    {"UID 2", "uid 02", "NOT NOT UID 2"},
    {"LARGER 6", "LARGER 006", "larger 6 LARGER 4"},
    {"SENTBEFORE 1-Feb-2026", "sentbefore 01-Feb-2026", "NOT NOT SENTBEFORE 1-feb-2026"},
    {"SENTBEFORE 1-Mar-2026", "sentbefore 01-Mar-2026", "OR SENTBEFORE 1-mar-2026 SENTBEFORE 2-Feb-2026"},
    {"FLAGGED", "flagged", "NOT UNFLAGGED"},
    {"X-FOO \"a\"", "X-FOO {1}\r\na", "(X-FOO \"a\")"},
    {"X-FOO a", "X-FOO a", "(X-FOO a)"},
    {"SINCE 1-Feb-2026", "SINCE 01-feb-2026", "SINCE \"1-Feb-2026\""},
    {"LARGER 5", "LARGER 005", "larger 5"},
    {"YOUNGER 5", "younger 5", "NOT NOT YOUNGER 5"},
    {"FUZZY TEXT x", "fuzzy TEXT \"x\"", "FUZZY (TEXT x)"},
    {"X-BAR", "X-BAR", "NOT NOT X-BAR"},
    {"X-FOO \"a\" \"b\"", "X-FOO {1}\r\na \"b\"", "(X-FOO \"a\" {1}\r\nb)"},
};

static struct tree *grow(unsigned depth)
{
    struct tree *tree = arena_alloc(&test_arena, sizeof(*tree));
    assert_non_null(tree);
    tree->kind = depth == 0 ? TREE_LEAF : (enum tree_kind)roll(4);
    tree->leaf = roll(COUNT(leaves));
    tree->n = tree->kind == TREE_LEAF ? 0 : tree->kind == TREE_NOT ? 1 : 2 + roll(3);
    for (size_t i = 0; i < tree->n; i++) {
        tree->children[i] = grow(depth - 1);
    }
    return tree;
}

static void spell(const struct tree *tree, bool is_negative, struct buf *out);

/* The children from @i on, in the order of @at, under @kind. */
static void spell_some(struct tree *const *at, size_t n, enum tree_kind kind, bool is_negative,
                       struct buf *out)
{
    if (n == 1) {
        spell(at[0], is_negative, out);
        return;
    }
    size_t left = 1 + roll((unsigned)n - 1);
    buf_add_str(out, kind == TREE_OR ? "OR " : roll(8) == 0 ? "(ALL " : "(");
    spell_some(at, left, kind, is_negative, out);
    buf_add_str(out, " ");
    spell_some(at + left, n - left, kind, is_negative, out);
    if (kind == TREE_AND && roll(8) == 0) {
        buf_add_str(out, " ");
        spell(at[0], is_negative, out); /* once more */
    }
    buf_add_str(out, kind == TREE_OR ? "" : ")");
}

/* Some way to say it, or its contrary. */
static void spell(const struct tree *tree, bool is_negative, struct buf *out)
{
    struct tree *order[4];
    if (tree->kind == TREE_NOT) {
        spell(tree->children[0], !is_negative, out);
        return;
    }
    bool is_pushed = is_negative && tree->kind != TREE_LEAF && roll(2) == 0; /* De Morgan */
    if (is_negative && !is_pushed) {
        buf_add_str(out, "NOT ");
    }
    if (roll(16) == 0) {
        buf_add_str(out, "NOT NOT ");
    }
    if (tree->kind == TREE_LEAF) {
        buf_add_str(out, "(");
        buf_add_str(out, leaves[tree->leaf][roll(3)]);
        buf_add_str(out, ")");
        return;
    }
    memcpy(order, tree->children, sizeof(order));
    for (size_t i = tree->n - 1; i > 0; i--) {
        size_t j = roll((unsigned)i + 1);
        struct tree *other = order[i];
        order[i] = order[j];
        order[j] = other;
    }
    enum tree_kind kind = tree->kind;
    if (is_pushed) {
        kind = kind == TREE_AND ? TREE_OR : TREE_AND;
    }
    spell_some(order, tree->n, kind, is_pushed, out);
}

static const char *spelled(const struct tree *tree)
{
    struct buf out;
    buf_init(&out, 0);
    spell(tree, false, &out);
    const char *text = cstr(buf_slice(&out));
    buf_fini(&out);
    return text;
}

static void no_child_twice(const struct search_node *node)
{
    for (const struct search_node *a = node->child; a != NULL; a = a->next) {
        for (const struct search_node *b = a->next; b != NULL; b = b->next) {
            assert_string_not_equal(written(a), written(b));
        }
        no_child_twice(a);
    }
}

/* What is tangled is no part, but for sizes and dates in doubt all else is. */
static void check_parts(const struct search_node *node)
{
    if (node->key != SEARCH_NOT && searchmodel_is_pure(node)) {
        assert_int_equal(search_is_part(node), !searchmodel_is_tangled(node));
    }
    for (const struct search_node *child = node->child; child != NULL && !search_is_part(node);
         child = child->next) {
        check_parts(child);
    }
}

static void check_one(const struct tree *tree)
{
    struct search_node *roots[2], *back;
    if (try_parse(spelled(tree), &roots[0]) != OK || try_parse(spelled(tree), &roots[1]) != OK) {
        return; /* deeper than may be: De Morgan and doubles add to it */
    }
    const struct search_node *canonical = normal_of(roots[0]);
    const char *text = written(canonical);
    assert_true(searchmodel_is_canonical(canonical));
    no_child_twice(canonical);
    check_parts(canonical);
    assert_string_equal(text, written(normal_of(roots[1])));
    assert_string_equal(text, written(normal_of(canonical)));
    for (uint32_t message = 0; message < 32; message++) {
        bool expected = search_match(roots[0], searchmodel_leaf, &message);
        assert_int_equal(search_match(roots[1], searchmodel_leaf, &message), expected);
        assert_int_equal(search_match(canonical, searchmodel_leaf, &message), expected);
    }
    assert_int_equal(try_parse(text, &back), OK);
    assert_string_equal(text, written(normal_of(back)));
}

static void equal_meanings_have_one_form(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        seed = i * 2654435761U;
        check_one(grow(1 + i % 5));
        arena_reset(&test_arena);
        arena_init(&test_arena, 4 * 1024 * 1024);
    }
}

/* --- parts -------------------------------------------------------------------------------------- */

/* "name;name;..." with "!" before a volatile one, "?" before one that is not plain. */
static const char *parts(const char *text, const char *charset)
{
    struct search_part at[SEARCH_PARTS_MAX];
    size_t n;
    struct buf out;
    buf_init(&out, 0);
    assert_int_equal(search_parts(normal(text), slice_str(charset), at, &n), OK);
    for (size_t i = 0; i < n; i++) {
        assert_true(search_is_part(at[i].node));
        buf_add_str(&out, i > 0 ? ";" : "");
        buf_add_str(&out, at[i].is_volatile ? "!" : "");
        buf_add_str(&out, at[i].is_plain ? "" : "?");
        assert_int_equal(search_part_name(&at[i], slice_str(charset), &out), OK);
    }
    const char *all = cstr(buf_slice(&out));
    buf_fini(&out);
    return all;
}

static void parts_are_what_the_upstream_answers(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"ALL", ""},
        {"UNSEEN 1:5 UID 3 MODSEQ 5 NEW", ""},
        {"FROM a", "FROM \"a\""},
        {"NOT FROM a", "FROM \"a\""},
        {"UNSEEN FROM a SUBJECT b", "(FROM \"a\" SUBJECT \"b\")"},
        {"UNSEEN NOT FROM a NOT SUBJECT b", "OR FROM \"a\" SUBJECT \"b\""},
        {"OR (SEEN FROM a) (UNSEEN FROM b)", "FROM \"a\";FROM \"b\""},
        {"FROM a YOUNGER 5", "FROM \"a\";!?YOUNGER 5"},
        {"OR FROM a SAVEDSINCE 1-Feb-2026", "?OR FROM \"a\" SAVEDSINCE 1-Feb-2026"},
        {"EMAILID a", "?EMAILID a"},
        {"FUZZY SUBJECT x FROM a", "FROM \"a\";!?FUZZY SUBJECT \"x\""},
        {"X-GM-RAW x X-FOO 5 SEEN", "!?(X-FOO 5 X-GM-RAW \"x\")"},
        {"LARGER 4294967295", "LARGER 4294967295"},
        {"LARGER 4294967296", "?LARGER 4294967296"},
        {"OR FROM a SMALLER 4294967296", "?OR FROM \"a\" SMALLER 4294967296"},
        {"SINCE 1-Jan-1970", "SINCE 1-Jan-1970"},
        {"SENTON 31-Dec-1969", "?SENTON 31-Dec-1969"},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        assert_string_equal(parts(pairs[i][0], ""), pairs[i][1]);
    }
    assert_false(search_is_part(normal("NOT FROM a")));
    assert_false(search_is_part(normal("SEEN")));
    assert_false(search_is_part(normal("SEEN FROM a")));
    assert_true(search_is_part(normal("FUZZY SEEN")));
}

/* What stands twice in a tree is asked by itself, and so is what stands beside it. */
static void tangled_trees_are_asked_in_pieces(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"FROM a NOT FROM a", "FROM \"a\";FROM \"a\""},
        {"NOT (FROM a NOT FROM a) SEEN", "FROM \"a\";FROM \"a\""},
        {"OR FROM a NOT OR OR TO b SUBJECT c NOT TO b", "FROM \"a\";SUBJECT \"c\";TO \"b\";TO \"b\""},
        {"OR (FROM a TO b) (FROM a CC c)", "(CC \"c\" FROM \"a\");(FROM \"a\" TO \"b\")"},
        {"OR (FROM a TO b) (CC a TO c)", "OR (CC \"a\" TO \"c\") (FROM \"a\" TO \"b\")"},
        {"OR (FROM a TO b) (HEADER FROM a CC c)", "OR (CC \"c\" HEADER \"from\" \"a\") (FROM \"a\" TO \"b\")"},
        /* bounds beside each other are one interval; elsewhere in the tree Dovecot mixes them up */
        {"SINCE 1-Feb-2026 NOT SINCE 3-Feb-2026 BEFORE 3-Feb-2026",
         "(BEFORE 3-Feb-2026 SINCE 1-Feb-2026 NOT SINCE 3-Feb-2026)"},
        {"LARGER 1 OR FROM a SMALLER 9", "LARGER 1;OR FROM \"a\" SMALLER 9"},
        {"LARGER 1 OR FROM a SINCE 1-Feb-2026", "(LARGER 1 OR FROM \"a\" SINCE 1-Feb-2026)"},
        {"SENTON 1-Feb-2026 OR FROM a SINCE 1-Feb-2026", "(OR FROM \"a\" SINCE 1-Feb-2026 SENTON 1-Feb-2026)"},
        {"OR (SINCE 1-Feb-2026 BEFORE 3-Feb-2026) (ON 9-Feb-2026 FROM a)",
         "(BEFORE 3-Feb-2026 SINCE 1-Feb-2026);(FROM \"a\" ON 9-Feb-2026)"},
        {"OR ON 1-Feb-2026 ON 2-Feb-2026", "OR ON 1-Feb-2026 ON 2-Feb-2026"},
        {"LARGER 4294967296 LARGER 1", "LARGER 1;?LARGER 4294967296"},
        /* as deep as it takes */
        {"OR (FROM a OR TO b (CC c FROM a)) (OR CC e FROM f TO b)",
         "FROM \"a\";OR (CC \"c\" FROM \"a\") TO \"b\";(OR CC \"e\" FROM \"f\" TO \"b\")"},
        /* what the model answers does not count, nor what is in another part */
        {"OR (SEEN FROM a) (UNSEEN FROM a)", "FROM \"a\";FROM \"a\""},
        {"OR (SEEN FROM a TO b) (UNSEEN FROM a CC b)", "(CC \"b\" FROM \"a\");(FROM \"a\" TO \"b\")"},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        assert_string_equal(parts(pairs[i][0], ""), pairs[i][1]);
    }
}

/* N times @open with its number, and @last. */
static const char *chain(int n, const char *open, const char *last)
{
    struct buf text;
    buf_init(&text, 0);
    for (int i = 0; i < n; i++) {
        buf_printf(&text, open, i);
    }
    buf_add_str(&text, last);
    const char *copy = cstr(buf_slice(&text));
    buf_fini(&text);
    return copy;
}

/* What a client writes as a chain is one node, and one part for all of a class. */
static void chains_are_one(void **state)
{
    (void)state;
    const char *const senders = chain(99, "OR FROM a%d ", "FROM last");
    const struct {
        const char *text;
        size_t parts;
    } chains[] = {
        {chain(200, "OR X-GM-RAW a%d ", "X-GM-RAW last"), 1},
        {chain(200, "OR X-GM-THRID 9%d ", "X-GM-THRID 8"), 1},
        {chain(200, "OR FUZZY FROM a%d ", "FUZZY FROM last"), 1},
        {chain(100, "OR FROM a%d ", "YOUNGER 5"), 2},
        {chain(1, "OR YOUNGER %d ", senders), 2},
        {chain(1, "NOT OR YOUNGER %d ", senders), 2},
        /* as deep as may be, in little memory */
        {chain(SEARCH_NESTING_MAX - 2, "OR X-GM-RAW a%d ", "UNSEEN"), 1},
        {chain(SEARCH_NESTING_MAX - 2, "OR FROM a%d ", "YOUNGER 5"), 2},
    };
    for (size_t i = 0; i < COUNT(chains); i++) {
        struct search_part at[SEARCH_PARTS_MAX];
        struct search_node *out;
        struct arena little;
        size_t n;
        arena_init(&little, 1024 * 1024);
        assert_int_equal(search_normalize(parse(chains[i].text), &little, &out), OK);
        assert_true(searchmodel_is_canonical(out));
        assert_int_equal(search_parts(out, SLICE(""), at, &n), OK);
        assert_int_equal(n, chains[i].parts);
        arena_reset(&little);
    }
    assert_string_equal(parts("OR (OR FROM c (OR TO b YOUNGER 5)) FROM a", ""),
                        "OR FROM \"a\" OR FROM \"c\" TO \"b\";!?YOUNGER 5");
}

/* One moment, one question. */
static void tangled_and_volatile_goes_whole(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "X-FOO 1 NOT X-FOO 1",
        "SEEN FROM a OR (OLDER 5 X-FOO 1) (YOUNGER 5 X-FOO 2)",
        "OR (X-GM-RAW a X-FOO 1) (X-GM-RAW a X-FOO 2)",
    };
    struct search_part at[SEARCH_PARTS_MAX];
    size_t n;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(search_parts(normal(texts[i]), SLICE(""), at, &n), LIMIT);
    }
    assert_string_equal(parts("OR OLDER 5 YOUNGER 3", ""), "!?OR OLDER 5 YOUNGER 3");
}

static void names_carry_the_charset_that_matters(void **state)
{
    (void)state;
    static const char *const triples[][3] = {
        {"FROM a", "", "FROM \"a\""},
        {"FROM a", "utf-8", "FROM \"a\""},
        {"FROM a", "US-ASCII", "FROM \"a\""},
        {"FROM a", "iso-2022-jp", "?ISO-2022-JP FROM \"a\""},
        {"FROM a", "OR FROM \"a\"", "?\"OR FROM \\\"A\\\"\" FROM \"a\""},
        {"FROM {2}\r\n\xc3\xa4", "", "UTF-8 FROM {2}\r\n\xc3\xa4"},
        {"FROM {2}\r\n\xc3\xa4", "UTF-8", "UTF-8 FROM {2}\r\n\xc3\xa4"},
        {"FROM {2}\r\n\xc3\xa4", "us-ascii", "?US-ASCII FROM {2}\r\n\xc3\xa4"},
        {"FROM {2}\r\n\xc3\xa4 SEEN", "ISO-8859-1", "?ISO-8859-1 FROM {2}\r\n\xc3\xa4"},
    };
    for (size_t i = 0; i < COUNT(triples); i++) {
        assert_string_equal(parts(triples[i][0], triples[i][1]), triples[i][2]);
    }
}

static void bounds(void **state)
{
    (void)state;
    struct search_part at[SEARCH_PARTS_MAX];
    size_t n;
    struct buf text;
    buf_init(&text, 0);
    for (int i = 0; i <= SEARCH_PARTS_MAX; i++) {
        buf_printf(&text, "OR (SEEN FROM a%d) FLAGGED ", i);
    }
    assert_int_equal(search_parts(normal(cstr(buf_slice(&text))), SLICE(""), at, &n), LIMIT);
    buf_reset(&text);
    for (int i = 0; i < SEARCH_NODES_MAX - 1; i++) {
        buf_printf(&text, "FROM a%d ", i);
    }
    assert_int_equal(search_parts(normal(cstr(buf_slice(&text))), SLICE(""), at, &n), OK);
    assert_int_equal(n, 1);
    const struct search_node *many = parse(cstr(buf_slice(&text)));
    struct search_node *out;
    struct arena tiny, job;
    arena_init(&tiny, 64 * 1024);
    arena_init(&job, 4 * 1024 * 1024);
    assert_int_equal(search_normalize(many, &tiny, &out), LIMIT);
    assert_null(out);
    assert_int_equal(search_normalize(many, &job, &out), OK);
    arena_reset(&tiny);
    arena_reset(&job);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(forms),
        TEST(what_must_differ),
        TEST(equal_meanings_have_one_form),
        TEST(parts_are_what_the_upstream_answers),
        TEST(tangled_trees_are_asked_in_pieces),
        TEST(chains_are_one),
        TEST(tangled_and_volatile_goes_whole),
        TEST(names_carry_the_charset_that_matters),
        TEST(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
