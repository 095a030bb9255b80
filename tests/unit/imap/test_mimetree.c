/* The part tree: what it finds, what it refuses, how it compares with a BODYSTRUCTURE.  Structures
 * and sections are what Dovecot 2.3.19 says of these messages. */
#include <stdio.h>

#include "everysplit.h"
#include "imaptest.h"

#include "imap/mimetree.h"

#define TOP "Subject: s\r\nMIME-Version: 1.0\r\n"
#define MIXED TOP "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define PLAIN "Content-Type: text/plain\r\n\r\n"

static const char nested[] =
    TOP "Content-Type: multipart/mixed;\r\n boundary=\"=_out\"\r\n\r\n"
    "for old programs\r\n"
    "--=_out\r\n"
    "Content-Type: multipart/alternative; boundary=in\r\n\r\n"
    "--in\r\n"
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "one\r\ntwo\r\n\r\n"
    "--in\r\n"
    "Content-Type: TEXT/Html\r\nX-Other: y\r\n\r\n"
    "<p>\r\n-- not a delimiter\r\n"
    "--in--\r\n"
    "\r\n"
    "--=_out\r\n"
    "Content-Type: message/rfc822\r\n\r\n"
    "From: a@b\r\nSubject: within\r\n\r\n"
    "text within\r\n"
    "--=_out\r\n"
    "Content-Type: application/octet-stream; name=\"a (1).bin\"\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\n"
    "AAAA\r\n"
    "--=_out--\r\n"
    "after\r\n";

static const char nested_structure[] =
    "(((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"8bit\" 10 2 NIL NIL NIL NIL)"
    "(\"text\" \"html\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 23 1 NIL NIL NIL NIL)"
    " \"alternative\" (\"boundary\" \"in\") NIL NIL NIL)"
    "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 41 (NIL \"within\" ((NIL NIL \"a\" \"b\")) NIL NIL "
    "NIL NIL NIL NIL NIL) (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 11 0 NIL NIL "
    "NIL NIL) 3 NIL NIL NIL NIL)"
    "(\"application\" \"octet-stream\" (\"name\" \"a (1).bin\") NIL NIL \"base64\" 4 NIL NIL NIL NIL)"
    " \"mixed\" (\"boundary\" \"=_out\") NIL NIL NIL)";

static const struct mimeparts *scan(struct mimetree **tree, struct slice text)
{
    *tree = mimetree_create();
    mimetree_feed(*tree, text);
    return mimetree_finish(*tree);
}

static bool is_well_formed(const char *text)
{
    struct mimetree *tree;
    bool is_ok = scan(&tree, slice_str(text)) != NULL;
    mimetree_destroy(&tree);
    return is_ok;
}

/* The octets of "1.2.MIME"; NULL: to be asked. */
static const char *section(const char *text, const char *name)
{
    struct mimetree *tree;
    struct fetch_item item;
    uint64_t offset, size;
    const char *found = NULL;
    char item_text[128];
    assert_true(snprintf(item_text, sizeof(item_text), "BODY[%s]", name) > 0);
    assert_int_equal(fetch_item_parse(slice_str(item_text), &test_arena, &item), OK);
    const struct mimeparts *parts = scan(&tree, slice_str(text));
    if (parts != NULL && mimeparts_find(parts, item.part, item.section, &offset, &size)) {
        assert_true(offset + size <= strlen(text));
        found = cstr(slice_of(text + offset, (size_t)size));
    }
    mimetree_destroy(&tree);
    return found;
}

static bool agrees(const char *text, const char *structure)
{
    struct mimetree *tree;
    const struct mimeparts *parts = scan(&tree, slice_str(text));
    bool is_same = parts != NULL && mimeparts_agree(parts, slice_str(structure));
    mimetree_destroy(&tree);
    return is_same;
}

/* --- what it finds ------------------------------------------------------------------------------ */

static void sections_of_nested_parts(void **state)
{
    (void)state;
    assert_string_equal(section(nested, "1.1"), "one\r\ntwo\r\n");
    assert_string_equal(section(nested, "1.2"), "<p>\r\n-- not a delimiter");
    assert_string_equal(section(nested, "1.1.MIME"),
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "Content-Transfer-Encoding: 8bit\r\n\r\n");
    assert_null(section(nested, "1.2.MIME")); /* Courier leaves X-Other out */
    assert_string_equal(section(nested, "2"), "From: a@b\r\nSubject: within\r\n\r\ntext within");
    assert_string_equal(section(nested, "2.HEADER"), "From: a@b\r\nSubject: within\r\n\r\n");
    assert_string_equal(section(nested, "2.HEADER.FIELDS (From)"),
                        "From: a@b\r\nSubject: within\r\n\r\n");
    assert_string_equal(section(nested, "2.TEXT"), "text within");
    assert_string_equal(section(nested, "2.1"), "text within");
    assert_string_equal(section(nested, "2.MIME"), "Content-Type: message/rfc822\r\n\r\n");
    assert_string_equal(section(nested, "3"), "AAAA");
}

static void what_servers_differ_in_is_asked(void **state)
{
    (void)state;
    static const char *const names[] = {"1",      "0",      "4",        "1.3",     "1.0",    "1.1.1",  "2.2",
                                        "2.1.1",  "2.1.MIME", "3.1",     "1.TEXT", "1.HEADER", "3.HEADER",
                                        "3.TEXT", "2.0",      "1.1.TEXT"};
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_null(section(nested, names[i]));
    }
    /* empty, or of a message that is no multipart */
    assert_null(section(MIXED "--b\r\n" PLAIN "\r\n--b--\r\n", "1"));
    assert_null(section("Subject: s\r\n\r\n", "1"));
    assert_null(section("Subject: s\r\n\r\ntext", "1.MIME"));
    assert_null(section("Subject: s\r\n\r\ntext", "2"));
}

static void a_message_without_parts_has_part_1(void **state)
{
    (void)state;
    assert_string_equal(section("Subject: s\r\n\r\ntext\r\n", "1"), "text\r\n");
    assert_string_equal(section(TOP PLAIN "text", "1"), "text");
    assert_string_equal(section("Subject: s\r\nMime-Version: 1.0 (Apple Message 3)\r\n" PLAIN "x", "1"),
                        "x");
}

static void a_message_within_a_message(void **state)
{
    (void)state;
    static const char text[] =
        MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\n" TOP
              "Content-Type: multipart/mixed; boundary=c\r\n\r\n"
              "--c\r\nContent-Type: message/rfc822\r\n\r\nSubject: deep\r\n\r\ndeep text\r\n"
              "--c--\r\n--b--";
    assert_string_equal(section(text, "1.1"), "Subject: deep\r\n\r\ndeep text");
    assert_string_equal(section(text, "1.1.1"), "deep text");
    assert_string_equal(section(text, "1.1.TEXT"), "deep text");
    assert_string_equal(section(text, "1.TEXT"),
                        "--c\r\nContent-Type: message/rfc822\r\n\r\nSubject: deep\r\n\r\ndeep "
                        "text\r\n--c--");
}

/* --- what it refuses ---------------------------------------------------------------------------- */

#define PART "--b\r\n" PLAIN "x\r\n"

static void more_than_one_reading(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "\r\n", "\r\ntext", "no field\r\n\r\n", "Subject: s\r\n", "Subject : s\r\n\r\nx",
        "Subject: s\r\n \r\n\r\nx",                            /* a fold of nothing */
        "Subject: s\n\nx", "Subject: s\r\n\r\nx\n",
        "Subject: s\r\n" PLAIN "no version",
        "MIME-Version: 2.0\r\n\r\nx", TOP TOP "\r\nx",
        TOP "Content-Type: text/plain\r\nContent-Type: text/plain\r\n\r\nx",
        TOP "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: 7bit\r\n\r\nx",
        TOP "Content-Type: text\r\n\r\nx", TOP "Content-Type: (c) text/plain\r\n\r\nx",
        TOP "Content-Type: text/(c)plain\r\n\r\nx", TOP "Content-Type:\r\n\r\nx",
        TOP "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny",
        TOP "Content-Type: multipart/mixed\r\n\r\nx",
        TOP "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n" PART "--b--\r\n",
        TOP "Content-Type: multipart/mixed; boundary=b (c)\r\n\r\n" PART "--b--\r\n",
        TOP "Content-Type: multipart/mixed; boundary=b;\r\n\r\n" PART "--b--\r\n",
        TOP "Content-Type: multipart/mixed; boundary=b; boundary=c\r\n\r\n" PART "--b--\r\n",
        TOP "Content-Type: multipart/mixed; boundary = b\r\n\r\n" PART "--b--\r\n",
        TOP "Content-Type: multipart/mixed; boundary*=us-ascii''b\r\n\r\n" PART "--b--\r\n",
        TOP "Content-Type: multipart/mixed; boundary*0=b\r\n\r\n" PART "--b--\r\n",
        TOP "Content-Type: multipart/mixed; boundary=\"b\\b\"\r\n\r\n" PART "--b--\r\n",
        TOP "Content-Type: multipart/mixed; boundary=\"b\r\n b\"\r\n\r\n--b b\r\n" PLAIN
            "x\r\n--b b--\r\n",
        TOP "Content-Type: multipart/mixed; boundary=\"b \"\r\n\r\n" PART "--b--\r\n",
        TOP "Content-Transfer-Encoding: base64\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" PART
            "--b--\r\n",
        MIXED,
        MIXED "--b--\r\n",                                      /* no part */
        MIXED PART,                                             /* not closed */
        MIXED PART "--b\r\n", MIXED PART "--b-- \r\n", MIXED PART "--b \r\n" PLAIN "x\r\n--b--\r\n",
        MIXED PART "--bb\r\nx\r\n--b--\r\n",                    /* begins like the boundary */
        MIXED PART "--b--\r\n--b\r\n", MIXED PART "--b--\r\n--b--\r\n",
        MIXED "--b\r\n\r\nno header\r\n--b--\r\n",
        MIXED "--b\r\n--b\r\n" PLAIN "x\r\n--b--\r\n",
        MIXED "--b\r\nContent-Type: text/plain\r\n--b--\r\n",
        MIXED "--b\r\n" PLAIN "--b--\r\n",                       /* whose CRLF is it? */
        MIXED "--b\r\nContent-Type: message/partial\r\n\r\nx\r\n--b--\r\n",
        MIXED "--b\r\nContent-Type: message/external-body\r\n\r\nx\r\n--b--\r\n",
        MIXED "--b\r\nContent-Type: message/global\r\n\r\nx\r\n--b--\r\n",
        MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\nno header\r\n--b--\r\n",
        MIXED "--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: "
              "quoted-printable\r\n\r\nSubject: x\r\n\r\ny\r\n--b--\r\n",
        MIXED "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" PART "--b--\r\n--b--\r\n",
        MIXED "--b\r\nContent-Type: multipart/mixed; boundary=bc\r\n\r\n--bc\r\n" PLAIN
              "x\r\n--bc--\r\n--b--\r\n",
        MIXED "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" PLAIN
              "x\r\n--b--\r\n",                                  /* the inner one not closed */
        MIXED "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" PLAIN
              "x\r\n--c--\r\nepilogue\r\n--b--\r\n",
        MIXED "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" PLAIN
              "x\r\n--c--\r\n\r\n\r\n--b--\r\n",
        TOP "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\nX-A: b\r\n\r\nx\r\n--b--\r\n",
        TOP "Content-Type: multipart/mixed; boundary=" /* 71 octets */
            "1234567890123456789012345678901234567890123456789012345678901234567890b\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        if (is_well_formed(texts[i])) {
            fail_msg("%zu: %s", i, texts[i]);
        }
    }
    assert_true(is_well_formed(MIXED PART "--b--\r\n"));
    assert_true(is_well_formed(MIXED PART "--b--"));
    assert_true(is_well_formed(nested));
}

static void too_much_of_anything(void **state)
{
    (void)state;
    struct mimetree *tree;
    struct buf text;
    for (size_t n = MIMEPARTS_MAX - 1; n <= MIMEPARTS_MAX; n++) {
        buf_init(&text, 0);
        buf_add_str(&text, MIXED);
        for (size_t i = 0; i < n; i++) {
            buf_add_str(&text, PART);
        }
        buf_add_str(&text, "--b--\r\n");
        assert_int_equal(scan(&tree, buf_slice(&text)) != NULL, n < MIMEPARTS_MAX);
        mimetree_destroy(&tree);
        buf_fini(&text);
    }
    for (size_t n = MIMETREE_LINE_MAX - 2; n <= MIMETREE_LINE_MAX - 1; n++) {
        buf_init(&text, 0);
        buf_add_str(&text, "Subject: s\r\n\r\n");
        for (size_t i = 0; i < n; i++) {
            buf_add_char(&text, 'x');
        }
        buf_add_str(&text, "\r\n");
        assert_int_equal(scan(&tree, buf_slice(&text)) != NULL, n + 2 == MIMETREE_LINE_MAX);
        mimetree_destroy(&tree);
        buf_fini(&text);
    }
}

/* --- the structure ------------------------------------------------------------------------------ */

static void one_octet_of_the_structure_is_enough(void **state)
{
    (void)state;
    assert_true(agrees(nested, nested_structure));
    static const struct {
        const char *from;
        const char *to;
    } wrong[] = {{"\" 10 2", "\" 11 2"}, {"\" 10 2", "\" 10 4"}, {"\" 41 (", "\" 40 ("},
                 {"64\" 4 ", "64\" 5 "}, {"\"html\"", "\"htmL2"}, {"\"mixed\"", "\"mixee\""},
                 {"\" 11 0", "\" 11 2"}, {"\"octet-", "\"octet_"}};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char changed[sizeof(nested_structure)];
        memcpy(changed, nested_structure, sizeof(changed));
        char *at = strstr(changed, wrong[i].from);
        assert_non_null(at);
        memcpy(at, wrong[i].to, strlen(wrong[i].to));
        assert_false(agrees(nested, changed));
    }
    assert_false(agrees(nested, ""));
    assert_false(agrees(nested, "NIL"));
    assert_false(agrees(nested, "((((((((("));
    assert_true(agrees("Subject: s\r\n\r\nx\r\n", "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 3 1)"));
    assert_true(agrees("Subject: s\r\n\r\nx\r\n",
                       "({4}\r\nTEXT \"PLAIN\" NIL NIL NIL \"7BIT\" 3 1 NIL)"));
    assert_false(agrees("Subject: s\r\n\r\nx\r\n", "(NIL \"PLAIN\" NIL NIL NIL \"7BIT\" 3 1)"));
    assert_false(agrees("Subject: s\r\n\r\nx\r\n", "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" NIL 1)"));
    assert_false(agrees("Subject: s\r\n\r\nx\r\n",
                        "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 3 1) \"MIXED\")"));
    assert_false(agrees(MIXED PART "--b--\r\n", "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 0)"));
    assert_true(agrees(MIXED PART "--b--\r\n",
                       "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 0) \"MIXED\")"));
    assert_false(agrees(MIXED PART PART "--b--\r\n",
                        "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 0) \"MIXED\")"));
}

/* --- the kept form ------------------------------------------------------------------------------ */

static void kept_and_taken_up_again(void **state)
{
    (void)state;
    struct mimetree *tree;
    struct mimeparts again;
    struct buf one, two;
    buf_init(&one, 0);
    buf_init(&two, 0);
    mimeparts_pack(scan(&tree, slice_str(nested)), &one);
    mimetree_destroy(&tree);
    assert_int_equal(mimeparts_unpack(buf_slice(&one), &again), OK);
    assert_int_equal(again.n, 7);
    assert_true(mimeparts_agree(&again, slice_str(nested_structure)));
    mimeparts_pack(&again, &two);
    assert_true(slice_eq(buf_slice(&one), buf_slice(&two)));
    for (size_t i = 0; i < one.len; i++) {
        assert_int_equal(mimeparts_unpack(slice_of(one.data, i), &again), SYNTAX);
    }
    buf_add_char(&one, 'x');
    assert_int_equal(mimeparts_unpack(buf_slice(&one), &again), SYNTAX);
    buf_fini(&one);
    buf_fini(&two);
}

static void run(void *arg, const struct slice *pieces, size_t n, struct buf *trace)
{
    struct mimetree *tree = mimetree_create();
    (void)arg;
    for (size_t i = 0; i < n; i++) {
        mimetree_feed(tree, pieces[i]);
    }
    const struct mimeparts *parts = mimetree_finish(tree);
    if (parts != NULL) {
        mimeparts_pack(parts, trace);
    }
    mimetree_destroy(&tree);
}

static void pieces_do_not_matter(void **state)
{
    (void)state;
    static const char *const texts[] = {nested, "Subject: s\r\n\r\ntext", MIXED PART "--b--",
                                        MIXED PART "--b-- \r\n", "Subject: s\r\n\r\nx\n"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct buf want, got;
        buf_init(&want, 0);
        buf_init(&got, 0);
        assert_true(everysplit_same(run, NULL, slice_str(texts[i]), &want, &got));
        buf_fini(&want);
        buf_fini(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sections_of_nested_parts),
        TEST(what_servers_differ_in_is_asked),
        TEST(a_message_without_parts_has_part_1),
        TEST(a_message_within_a_message),
        TEST(more_than_one_reading),
        TEST(too_much_of_anything),
        TEST(one_octet_of_the_structure_is_enough),
        TEST(kept_and_taken_up_again),
        TEST(pieces_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
