/* SASL messages: what is of the grammar, what is not by one octet, and writing them again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "imap/sasl.h"

struct message {
    enum sasl_mech mech;
    const char *text;
    size_t len;
    enum status st;
    const char *said; /* authzid|authcid|secret */
};

#define M(mech, text, st, said)                                                                    \
    {                                                                                              \
        mech, text, sizeof(text) - 1, st, said                                                     \
    }

static const struct message messages[] = {
    M(SASL_PLAIN, "\0anna\0pw", OK, "|anna|pw"),
    M(SASL_PLAIN, "admin\0anna\0pw", OK, "admin|anna|pw"),
    M(SASL_PLAIN, "anna\0anna\0pw", OK, "|anna|pw"),
    M(SASL_PLAIN, "\0anna\0", OK, "|anna|"),
    M(SASL_PLAIN, "\0anna\0p w\377\1", OK, "|anna|p w\377\1"),
    M(SASL_PLAIN, "\0\0pw", SYNTAX, NULL),
    M(SASL_PLAIN, "anna\0pw", SYNTAX, NULL),
    M(SASL_PLAIN, "", SYNTAX, NULL),
    M(SASL_PLAIN, "\0anna\0pw\0", SYNTAX, NULL),
    M(SASL_PLAIN, "\0anna\0p\rw", SYNTAX, NULL),
    M(SASL_PLAIN, "\0an\nna\0pw", SYNTAX, NULL),
    M(SASL_XOAUTH2, "user=anna@example.org\1auth=Bearer tok.e-n=\1\1", OK,
      "|anna@example.org|tok.e-n="),
    M(SASL_XOAUTH2, "user=a\1auth=bearer  t\1\1", OK, "|a|t"),
    M(SASL_XOAUTH2, "user=a,=b\1auth=Bearer t\1\1", OK, "|a,=b|t"),
    M(SASL_XOAUTH2, "user=\1auth=Bearer t\1\1", SYNTAX, NULL),
    M(SASL_XOAUTH2, "user=a\1auth=Bearer \1\1", SYNTAX, NULL),
    M(SASL_XOAUTH2, "user=a\1auth=Bearer t\1", SYNTAX, NULL),
    M(SASL_XOAUTH2, "user=a\1auth=Bearer t\1\1\1", SYNTAX, NULL),
    M(SASL_XOAUTH2, "user=a\1auth=Bearer t\1\1x", SYNTAX, NULL),
    M(SASL_XOAUTH2, "user=a\1auth=Bearer t u\1\1", SYNTAX, NULL),
    M(SASL_XOAUTH2, "user=a\1auth=Bearer t\0\1\1", SYNTAX, NULL),
    M(SASL_XOAUTH2, "user=a\0b\1auth=Bearer t\1\1", SYNTAX, NULL),
    M(SASL_XOAUTH2, "user=a\1user=b\1auth=Bearer t\1\1", SYNTAX, NULL),
    M(SASL_XOAUTH2, "auth=Bearer t\1user=a\1\1", SYNTAX, NULL),
    M(SASL_XOAUTH2, "user=a\1auth=Basic t\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "n,a=anna@example.org,\1host=h\1port=143\1auth=Bearer t\1\1", OK,
      "|anna@example.org|t"),
    M(SASL_OAUTHBEARER, "n,a=anna,\1auth=Bearer t\1\1", OK, "|anna|t"),
    M(SASL_OAUTHBEARER, "y,a=anna,\1auth=Bearer t\1host=h\1\1", OK, "|anna|t"),
    M(SASL_OAUTHBEARER, "n,a=a=2Cb=3Dc,\1auth=Bearer t\1\1", OK, "|a,b=c|t"),
    M(SASL_OAUTHBEARER, "n,,\1auth=Bearer t\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "n,a=,\1auth=Bearer t\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "n,a=a=2cb,\1auth=Bearer t\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "n,a=a=2,\1auth=Bearer t\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "n,a=a,b,\1auth=Bearer t\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "n,a=a\1auth=Bearer t\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "p=tls,a=a,\1auth=Bearer t\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "n,a=a,\1host=h\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "n,a=a,\1auth=Bearer t\1auth=Bearer u\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "n,a=a,\1auth=Bearer t\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "n,a=a,\1auth=Bearer t\1\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "n,a=a,\1h1=x\1auth=Bearer t\1\1", SYNTAX, NULL),
    M(SASL_OAUTHBEARER, "\1", SYNTAX, NULL),
    M(SASL_LOGIN, "anna", SYNTAX, NULL),
};

/* A copy without anything behind it, so that reading too far is seen. */
static enum status parse(const struct message *m, struct sasl_login *out, char **copy_out)
{
    *copy_out = alloc_zero(m->len);
    memcpy(*copy_out, m->text, m->len);
    return sasl_parse(m->mech, *copy_out, m->len, out);
}

static void messages_are_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        const struct message *m = &messages[i];
        struct sasl_login login;
        char *copy, said[128];
        print_message("%zu\n", i);
        assert_int_equal(parse(m, &login, &copy), m->st);
        if (m->st == OK) {
            (void)snprintf(said, sizeof(said), SLICE_FMT "|" SLICE_FMT "|" SLICE_FMT,
                           SLICE_ARG(login.authzid), SLICE_ARG(login.authcid),
                           SLICE_ARG(login.secret));
            assert_string_equal(said, m->said);
        }
        alloc_free(copy);
    }
}

static void what_is_written_reads_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        const struct message *m = &messages[i];
        struct sasl_login login, again;
        struct buf out;
        char *copy;
        buf_init(&out, 0);
        if (parse(m, &login, &copy) == OK) {
            sasl_write(m->mech, &login, SLICE("imap.example.org"), 993, &out);
            assert_int_equal(sasl_parse(m->mech, out.data, out.len, &again), OK);
            assert_true(slice_eq(again.authzid, login.authzid));
            assert_true(slice_eq(again.authcid, login.authcid));
            assert_true(slice_eq(again.secret, login.secret));
        }
        buf_fini(&out);
        alloc_free(copy);
    }
}

static void too_much(void **state)
{
    static char big[SASL_MESSAGE_MAX + 1];
    struct sasl_login login = {.authcid = slice_of(big, SASL_NAME_MAX + 1)};
    (void)state;
    memset(big, 'x', sizeof(big));
    assert_int_equal(sasl_parse(SASL_PLAIN, big, sizeof(big), &login), LIMIT);
    login = (struct sasl_login){.authcid = slice_of(big, SASL_NAME_MAX + 1)};
    assert_int_equal(sasl_check(&login), LIMIT);
    login =
        (struct sasl_login){.authcid = SLICE("a"), .secret = slice_of(big, SASL_SECRET_MAX + 1)};
    assert_int_equal(sasl_check(&login), LIMIT);
    login.secret.len--;
    assert_int_equal(sasl_check(&login), OK);
}

static void names_of_mechanisms(void **state)
{
    (void)state;
    assert_int_equal(sasl_find(SLICE("plain")), SASL_PLAIN);
    assert_int_equal(sasl_find(SLICE("OAuthBearer")), SASL_OAUTHBEARER);
    assert_int_equal(sasl_find(SLICE("SCRAM-SHA-1")), SASL_MECH_N);
    assert_int_equal(sasl_find(SLICE("")), SASL_MECH_N);
}

static void base64(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};
    static const char *const wrong[] = {
        "Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9v\n", "=Zg=", "Zm-_", "Zm9v Zm9"};
    (void)state;
    struct buf out;
    buf_init(&out, 0);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        buf_reset(&out);
        sasl_base64_encode(slice_str(pairs[i][0]), &out);
        assert_true(slice_eq(buf_slice(&out), slice_str(pairs[i][1])));
        buf_reset(&out);
        assert_true(sasl_base64_decode(slice_str(pairs[i][1]), &out));
        assert_true(slice_eq(buf_slice(&out), slice_str(pairs[i][0])));
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(sasl_base64_decode(slice_str(wrong[i]), &out));
    }
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_read_strictly),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(too_much),
        cmocka_unit_test(names_of_mechanisms),
        cmocka_unit_test(base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
