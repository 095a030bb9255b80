#include "imaptest.h"

#include "imap/mime.h"

/* Expected texts are what Dovecot 2.3.19 answered for these very headers. */
static const char header[] = "Return-Path: <a@x>\r\n"
                             "Received: from a\r\n\tby b;\r\n Mon, 1 Jan 2026\r\n"
                             "subject: one\r\n"
                             "From: Joe <joe@x>\r\n"
                             "Received: from c\r\n"
                             "Subject:two\r\n"
                             "X-Subject: no\r\n"
                             "Sub: no\r\n"
                             "Empty:\r\n"
                             "\r\n";

static const char *fields_of(const char *names, bool is_not, const char *text)
{
    struct slice at[16];
    size_t n = 0;
    struct slice rest = slice_str(names);
    while (rest.len > 0) {
        size_t end = slice_find(rest, ' ');
        at[n++] = slice_sub(rest, 0, end);
        rest = slice_sub(rest, end + 1, rest.len);
    }
    struct mime_fields fields;
    struct buf out;
    buf_init(&out, 0);
    assert_int_equal(mime_fields_init(&fields, &test_arena, at, n), OK);
    mime_fields_extract(&fields, is_not, slice_str(text), &out);
    const char *copy = cstr(buf_slice(&out));
    buf_fini(&out);
    return copy;
}

static void fields_are_extracted(void **state)
{
    (void)state;
    assert_string_equal(fields_of("SUBJECT", false, header), "subject: one\r\nSubject:two\r\n\r\n");
    assert_string_equal(fields_of("received From", false, header),
                        "Received: from a\r\n\tby b;\r\n Mon, 1 Jan 2026\r\nFrom: Joe <joe@x>\r\n"
                        "Received: from c\r\n\r\n");
    assert_string_equal(fields_of("nothing", false, header), "\r\n");
    assert_string_equal(fields_of("empty Return-Path", false, header),
                        "Return-Path: <a@x>\r\nEmpty:\r\n\r\n");
    assert_string_equal(fields_of("received x-subject sub", true, header),
                        "Return-Path: <a@x>\r\nsubject: one\r\nFrom: Joe <joe@x>\r\nSubject:two\r\n"
                        "Empty:\r\n\r\n");
    assert_string_equal(fields_of("nothing", true, header), header);
    assert_string_equal(fields_of("from", false, "\r\n"), "\r\n");
    /* a block without its empty line is not well-formed, and still does not read past its end */
    assert_string_equal(fields_of("from", false, "From: a\r\n"), "From: a\r\n\r\n");
    assert_string_equal(fields_of("from", false, "From: a"), "From: a\r\n");
}

static void a_subset_of_an_extract_is_the_extract(void **state)
{
    (void)state;
    const char *wide = fields_of("FROM SUBJECT RECEIVED", false, header);
    assert_true(mime_block_ok(slice_str(wide)));
    assert_string_equal(fields_of("SUBJECT", false, wide), fields_of("SUBJECT", false, header));
}

static bool is_ok(const char *text, size_t *len)
{
    return mime_header_ok(slice_str(text), len);
}

static void well_formed_headers(void **state)
{
    (void)state;
    size_t len;
    assert_true(is_ok(header, &len));
    assert_int_equal(len, sizeof(header) - 1);
    assert_true(is_ok("A: b\r\n\r\nbody\nwith anything\r", &len));
    assert_int_equal(len, 8);
    assert_true(is_ok("Content-Type: multipart/mixed; boundary=\"x\"\r\n\r\n", &len));
    assert_true(
        is_ok("Content-Type: multipart/mixed;\r\n\tcharset=x;\r\n BOUNDARY = x\r\n\r\n", &len));
    assert_true(is_ok("Content-Type: text/plain\r\n\r\n", &len));
    assert_true(is_ok("X:y\r\nA:\r\n b\r\n\r\n", &len));
    static const char *const bad[] = {
        "",
        "\r\n",
        "A: b\r\n",
        "A: b\n\n",
        "A: b\r\nC: d\n\r\n",
        "A: b\rc\r\n\r\n",
        " A: b\r\n\r\n",
        "A : b\r\n\r\n",
        "A\r\n\r\n",
        ": b\r\n\r\n",
        "From joe Mon Jan\r\nA: b\r\n\r\n",
        "A: b\r\n \r\nC: d\r\n\r\n",
        "A\x80: b\r\n\r\n",
        "Content-Type: multipart/mixed\r\n\r\n",
        "Content-Type: multipart/mixed; boundary=\r\n\r\n",
        "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n",
        "Content-Type: multipart/mixed; xboundary=a\r\n\r\n",
        "Content-Type: (x) multipart/mixed; boundary=a\r\n\r\n",
        "Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(is_ok(bad[i], &len));
    }
    assert_false(mime_header_ok(SLICE("A: \0b\r\n\r\n"), &len));
    assert_false(mime_block_ok(SLICE("A: b\r\n\r\nx")));
}

static void the_header_has_a_maximum(void **state)
{
    (void)state;
    struct buf text;
    size_t len;
    buf_init(&text, 0);
    static const char line[] = "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n";
    while (text.len < MIME_HEADER_MAX - sizeof(line)) {
        buf_add_str(&text, line);
    }
    size_t before = text.len;
    buf_add_str(&text, "\r\n");
    assert_true(mime_header_ok(buf_slice(&text), &len));
    buf_truncate(&text, before);
    while (text.len <= MIME_HEADER_MAX) {
        buf_add_str(&text, line);
    }
    buf_add_str(&text, "\r\n");
    assert_false(mime_header_ok(buf_slice(&text), &len));
    for (int more = 0; more < 2; more++) {
        buf_reset(&text);
        for (int i = 0; i < MIME_HEADER_LINES + more; i++) {
            buf_add_str(&text, "X: y\r\n");
        }
        buf_add_str(&text, "\r\n");
        assert_int_equal(mime_header_ok(buf_slice(&text), &len), more == 0);
    }
    buf_fini(&text);
}

static bool octets_ok(struct slice text, size_t cut)
{
    struct mime_octets check = {0};
    mime_octets_feed(&check, slice_sub(text, 0, cut));
    mime_octets_feed(&check, slice_sub(text, cut, text.len));
    return mime_octets_ok(&check);
}

static void octets_of_a_message_cut_anywhere(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        bool is_ok;
    } texts[] = {
        {SLICE("A: b\r\n\r\nbody\r\n\r\n"), true},
        {SLICE("\xff\x01\r\n"), true},
        {SLICE(""), true},
        {SLICE("no end"), true},
        {SLICE("a\nb"), false},
        {SLICE("\n"), false},
        {SLICE("a\rb\r\n"), false},
        {SLICE("a\r\r\n"), false},
        {SLICE("a\0b\r\n"), false},
        {SLICE("a\r\nb\r"), false},
        {SLICE("a\r\n\n"), false},
        {SLICE("\ra\r\n"), false},
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        for (size_t cut = 0; cut <= texts[i].text.len; cut++) {
            assert_int_equal(octets_ok(texts[i].text, cut), texts[i].is_ok);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fields_are_extracted),
        TEST(a_subset_of_an_extract_is_the_extract),
        TEST(well_formed_headers),
        TEST(the_header_has_a_maximum),
        TEST(octets_of_a_message_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
