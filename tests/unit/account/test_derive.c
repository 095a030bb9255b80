/* Deriving, and looking up what is kept. */
#include "plan_fixture.h"

#include "account/derive.h"

/* BODY[] of @uid arrives and is kept. */
static void keep(struct wire *wire, uint32_t uid, const char *item, const char *label,
                 const char *octets)
{
    struct pending *pending = ask(wire, uid, item);
    wire_rest(wire);
    size_t command = wire->commands_n - 1;
    say(wire, "* 1 FETCH (UID %u %s {%zu}\r\n%s)\r\n%zu OK done\r\n", uid, label, strlen(octets),
        octets, command);
    wire_rest(wire);
    assert_int_equal(state_of(wire, pending, item), VALUE_HERE);
    release(wire, pending);
}

#define HEADER "Subject: one\r\nFrom: a@b\r\nX-Long: first\r\n second\r\nsubject: two\r\n\r\n"
#define TEXT "line\r\nlast"

/* Grown to a size that is kept as an item, inline as content, or streamed. */
static char *message_of(size_t text_n)
{
    char *text = pattern(text_n);
    char *message = NULL;
    assert_true(asprintf(&message, HEADER "%s", text) >= 0);
    alloc_free(text);
    return message;
}

static void derives_from_a_whole_message(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 10, 5000, 15999, 20000, 200000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct wire wire;
        wire_open(&wire);
        char *message = message_of(sizes[i]);
        char *text = pattern(sizes[i]);
        keep(&wire, 3, "RFC822", "BODY[]", message);
        assert_found(&wire, 3, "BODY.PEEK[]", message);
        assert_found(&wire, 3, "RFC822", message);
        assert_found(&wire, 3, "BODY[HEADER]", HEADER);
        assert_found(&wire, 3, "RFC822.HEADER", HEADER);
        assert_found(&wire, 3, "BODY[TEXT]", text);
        assert_found(&wire, 3, "RFC822.TEXT", text);
        assert_found(&wire, 3, "BODY[HEADER.FIELDS (SUBJECT)]",
                     "Subject: one\r\nsubject: two\r\n\r\n");
        assert_found(&wire, 3, "BODY[HEADER.FIELDS (None X-LONG)]",
                     "X-Long: first\r\n second\r\n\r\n");
        assert_found(&wire, 3, "BODY[HEADER.FIELDS (None)]", "\r\n");
        assert_found(&wire, 3, "BODY[HEADER.FIELDS.NOT (Subject x-long)]", "From: a@b\r\n\r\n");
        assert_found(&wire, 3, "BODY[TEXT]<3.4>", text); /* whole: the session cuts */
        assert_false(found(&wire, 3, "BODY[TEXT]<3.4>", NULL).is_part);
        static const char *const never[] = {"RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY",
                                            "BODY[1]", "BODY[1.MIME]", "BODY[1.HEADER]",
                                            "BODY[1.HEADER.FIELDS (Subject)]", "BINARY[]",
                                            "FLAGS", "X-FOO"};
        for (size_t k = 0; k < sizeof(never) / sizeof(never[0]); k++) {
            assert_false(is_found(&wire, 3, never[k]));
            assert_false(is_found(&wire, 4, never[k]));
        }
        alloc_free(text);
        free(message);
        wire_close(&wire);
    }
}

static void derives_nothing_from_a_malformed_message(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "Subject: one\nFrom: x\n\nbare LF",
        "Subject: one\r\n\r\nbare\rCR",
        "Subject : one\r\n\r\nspace before colon",
        "Subject: header only\r\n",
        "no field\r\n\r\ntext",
        "Content-Type: multipart/mixed\r\n\r\nno boundary",
    };
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        struct wire wire;
        wire_open(&wire);
        keep(&wire, 3, "BODY[]", "BODY[]", messages[i]);
        assert_found(&wire, 3, "BODY[]", messages[i]);
        assert_false(is_found(&wire, 3, "BODY[HEADER]"));
        assert_false(is_found(&wire, 3, "BODY[TEXT]"));
        assert_false(is_found(&wire, 3, "BODY[HEADER.FIELDS (SUBJECT)]"));
        wire_close(&wire);
    }
    /* The flaw is far from the header. */
    struct wire wire;
    wire_open(&wire);
    char *message = message_of(300000);
    message[250000] = '\n';
    keep(&wire, 3, "BODY[]", "BODY[]", message);
    assert_false(is_found(&wire, 3, "BODY[HEADER]"));
    free(message);
    wire_close(&wire);
}

/* A resumed download is checked as a whole. */
static void checks_a_resumed_message(void **state)
{
    (void)state;
    for (int bad = 0; bad < 2; bad++) {
        struct wire wire;
        wire_open(&wire);
        char *message = message_of(30000);
        if (bad) {
            message[25000] = '\r'; /* within the first piece */
        }
        size_t n = strlen(message);
        struct pending *a = ask(&wire, 1, "BODY[]");
        wire_rest(&wire);
        say(&wire, "* 1 FETCH (UID 1 BODY[] {%zu}\r\n%.29000s", n, message);
        wire_lose(&wire, NETWORK);
        wire_rest(&wire);
        say(&wire, "* 1 FETCH (UID 1 BODY[]<29000> {%zu}\r\n%s)\r\n1 OK done\r\n", n - 29000,
            message + 29000);
        assert_found(&wire, 1, "BODY[]", message);
        assert_int_equal(is_found(&wire, 1, "BODY[HEADER]"), !bad);
        release(&wire, a);
        free(message);
        wire_close(&wire);
    }
}

static void derives_lists_from_headers_and_longer_lists(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    keep(&wire, 1, "BODY[HEADER]", "BODY[HEADER]", HEADER);
    assert_found(&wire, 1, "BODY[HEADER.FIELDS (from)]", "From: a@b\r\n\r\n");
    assert_false(is_found(&wire, 1, "BODY[TEXT]"));
    assert_false(is_found(&wire, 1, "BODY[]"));
    keep(&wire, 2, "BODY[HEADER.FIELDS (Subject From Date)]",
         "BODY[HEADER.FIELDS (Date From Subject)]", "Subject: one\r\nFrom: a@b\r\n\r\n");
    assert_found(&wire, 2, "BODY[HEADER.FIELDS (from DATE)]", "From: a@b\r\n\r\n");
    assert_found(&wire, 2, "BODY[HEADER.FIELDS (date)]", "\r\n");
    assert_false(is_found(&wire, 2, "BODY[HEADER.FIELDS (date to)]"));
    assert_false(is_found(&wire, 2, "BODY[HEADER.FIELDS.NOT (date)]"));
    assert_false(is_found(&wire, 2, "BODY[HEADER]"));
    keep(&wire, 3, "BODY[HEADER.FIELDS.NOT (Date)]", "BODY[HEADER.FIELDS.NOT (Date)]",
         "Subject: one\r\n\r\n");
    assert_false(is_found(&wire, 3, "BODY[HEADER.FIELDS (Subject)]"));
    keep(&wire, 4, "BODY[HEADER.FIELDS (A B)]", "BODY[HEADER.FIELDS (A B)]", "A: 1\nB: 2\n\n");
    assert_false(is_found(&wire, 4, "BODY[HEADER.FIELDS (A)]")); /* bare LF */
    wire_close(&wire);
}

/* A header that fills more than the first chunk of the content. */
static void reads_headers_across_chunks(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct buf message;
    buf_init(&message, 0);
    buf_add_str(&message, "First: 1\r\n");
    while (message.len < 60000) {
        buf_add_str(&message, "X-Filler: abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\r\n"
                              "\tabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqr"
                              "stuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\r\n");
    }
    buf_add_str(&message, "Last: 2\r\n\r\ntext");
    buf_add_char(&message, '\0');
    keep(&wire, 1, "BODY[]", "BODY[]", message.data);
    assert_found(&wire, 1, "BODY[HEADER.FIELDS (FIRST LAST)]", "First: 1\r\nLast: 2\r\n\r\n");
    assert_found(&wire, 1, "BODY[TEXT]", "text");
    buf_fini(&message);
    wire_close(&wire);
}

static void compares_lists(void **state)
{
    (void)state;
    struct arena arena;
    struct fetch_item item;
    arena_init(&arena, 1 << 20);
    assert_int_equal(fetch_item_parse(SLICE("BODY[HEADER.FIELDS (B D)]"), &arena, &item), OK);
    static const struct {
        const char *key;
        bool holds;
    } rows[] = {
        {"BODY[HEADER.FIELDS (A B C D E)]", true}, {"BODY[HEADER.FIELDS (B D)]", true},
        {"BODY[HEADER.FIELDS (B)]", false},        {"BODY[HEADER.FIELDS (D)]", false},
        {"BODY[HEADER.FIELDS (B DD)]", false},     {"BODY[HEADER.FIELDS ()]", false},
        {"BODY[HEADER.FIELDS.NOT (B D)]", false},  {"BODY[1.HEADER.FIELDS (B D)]", false},
        {"BODY[HEADER.FIELDS (B D)", false},       {"BODY[]", false},
        {"", false},                               {"BODY[HEADER.FIELDS (B D \"x y\")]", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(derive_is_superset(slice_str(rows[i].key), &item), rows[i].holds);
    }
    arena_reset(&arena);
}

static void reads_marks(void **state)
{
    (void)state;
    assert_int_equal(derive_mark_header(SLICE("120")), 120);
    assert_int_equal(derive_mark_header(SLICE("0")), 0);
    assert_int_equal(derive_mark_header(SLICE("")), 0);
    assert_int_equal(derive_mark_header(SLICE("99999999999")), 0);
    char text[DERIVE_MARK_MAX];
    struct derive_check check = {.tree = NULL};
    derive_check_begin(&check);
    struct slice message = SLICE(HEADER TEXT);
    derive_check_feed(&check, message);
    struct slice mark = derive_check_mark(&check, message, text);
    assert_int_equal(derive_mark_header(mark), sizeof(HEADER) - 1);
    derive_check_feed(&check, SLICE("\r")); /* ends in a bare CR */
    assert_int_equal(derive_mark_header(derive_check_mark(&check, message, text)), 0);
    derive_check_fini(&check);
}

/* RFC 8970 3.1: a preview may change. */
static void a_preview_is_kept_for_a_day(void **state)
{
    (void)state;
    struct slice item = SLICE("1000 \"words\"");
    assert_true(slice_eq(derive_preview(item, 1000), SLICE("\"words\"")));
    assert_true(slice_eq(derive_preview(item, 1000 + DERIVE_PREVIEW_S - 1), SLICE("\"words\"")));
    assert_null(derive_preview(item, 1000 + DERIVE_PREVIEW_S).data);
    assert_null(derive_preview(item, 999).data); /* the clock was set back */
    assert_null(derive_preview(SLICE("x \"words\""), 1000).data);
    assert_null(derive_preview(SLICE(""), 1000).data);
}

#define MULTIPART                                                                                  \
    "Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"          \
    "--b\r\nContent-Type: text/plain\r\n\r\none\r\n"                                                \
    "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: a\r\nTo: b\r\n\r\nwithin\r\n"                 \
    "--b\r\nContent-Type: x/y\r\n\r\n"

/* A structure is kept as it is. */
static void keep_structure(struct wire *wire, const char *structure)
{
    struct pending *pending = ask(wire, 3, "BODYSTRUCTURE");
    wire_rest(wire);
    say(wire, "* 1 FETCH (UID 3 BODYSTRUCTURE %s)\r\n%zu OK done\r\n", structure,
        (size_t)wire->commands_n - 1);
    wire_rest(wire);
    release(wire, pending);
}

/* Design 5.5: our reading and the upstream's structure, in the whole tree and each leaf's octets. */
static void derives_parts_by_the_double_rule(void **state)
{
    (void)state;
    static const size_t sizes[] = {10, 5000, 20010, 200010};
    for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct wire wire;
        wire_open(&wire);
        size_t n = sizes[i / 2];
        bool agrees = i % 2 == 0;
        char *text = pattern(n);
        char *message = NULL;
        char structure[512];
        for (size_t at = 0; at < n; at++) {
            text[at] = at % 80 == 78 ? '\r' : at % 80 == 79 ? '\n' : text[at];
        }
        text[n - 1] = 'x';
        assert_true(asprintf(&message, MULTIPART "%s\r\n--b--\r\n", text) >= 0);
        keep(&wire, 3, "RFC822", "BODY[]", message);
        assert_false(is_found(&wire, 3, "BODY[1]")); /* nothing to compare with yet */
        assert_true(snprintf(structure, sizeof(structure),
                             "((\"text\" \"plain\" NIL NIL NIL \"7bit\" 3 0)(\"message\" \"rfc822\" "
                             "NIL NIL NIL \"7bit\" 24 (NIL) (\"text\" \"plain\" NIL NIL NIL \"7bit\" "
                             "6 0) 3)(\"x\" \"y\" NIL NIL NIL \"7bit\" %zu) \"mixed\")",
                             agrees ? n : n + 1) > 0);
        keep_structure(&wire, structure);
        if (agrees) {
            assert_found(&wire, 3, "BODY[1]", "one");
            assert_found(&wire, 3, "BODY.PEEK[1]<1.1>", "one"); /* whole: the session cuts */
            assert_found(&wire, 3, "BODY[1.MIME]", "Content-Type: text/plain\r\n\r\n");
            assert_found(&wire, 3, "BODY[2]", "From: a\r\nTo: b\r\n\r\nwithin");
            assert_found(&wire, 3, "BODY[2.HEADER]", "From: a\r\nTo: b\r\n\r\n");
            assert_found(&wire, 3, "BODY[2.HEADER.FIELDS (To X)]", "To: b\r\n\r\n");
            assert_found(&wire, 3, "BODY[2.HEADER.FIELDS.NOT (To X)]", "From: a\r\n\r\n");
            assert_found(&wire, 3, "BODY[2.TEXT]", "within");
            assert_found(&wire, 3, "BODY[2.1]", "within");
            assert_found(&wire, 3, "BODY[3]", text);
        }
        static const char *const never[] = {"BODY[1.1]", "BODY[4]", "BODY[0]", "BINARY[1]",
                                            "BODY[1.HEADER]", "BODY[2.1.MIME]"};
        for (size_t k = 0; k < sizeof(never) / sizeof(never[0]); k++) {
            assert_false(is_found(&wire, 3, never[k]));
        }
        assert_int_equal(is_found(&wire, 3, "BODY[3]"), agrees);
        assert_int_equal(is_found(&wire, 3, "BODY[1]"), agrees);
        assert_int_equal(is_found(&wire, 3, "BODY[2.TEXT]"), agrees);
        alloc_free(text);
        free(message);
        wire_close(&wire);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derives_from_a_whole_message),
        cmocka_unit_test(derives_nothing_from_a_malformed_message),
        cmocka_unit_test(checks_a_resumed_message),
        cmocka_unit_test(derives_lists_from_headers_and_longer_lists),
        cmocka_unit_test(reads_headers_across_chunks),
        cmocka_unit_test(compares_lists),
        cmocka_unit_test(reads_marks),
        cmocka_unit_test(a_preview_is_kept_for_a_day),
        cmocka_unit_test(derives_parts_by_the_double_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
