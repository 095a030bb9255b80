#include "imaptest.h"

#include "imap/capability.h"

static struct capabilities caps;

static const char *offered(const char *words)
{
    struct buf out;
    buf_init(&out, 0);
    capability_parse(slice_str(words), &caps);
    capability_offer(&caps, 0, &out);
    const char *copy = cstr(buf_slice(&out));
    buf_fini(&out);
    return copy;
}

#define ALWAYS "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE UNSELECT CHILDREN NAMESPACE"

static void dovecot(void **state)
{
    (void)state;
    assert_string_equal(
        offered(
            "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES "
            "THREAD=REFS THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN "
            "NAMESPACE UIDPLUS LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES "
            "WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW "
            "STATUS=SIZE SAVEDATE LITERAL+ NOTIFY METADATA SPECIAL-USE"),
        ALWAYS
        " UIDPLUS MOVE CONDSTORE QRESYNC ESEARCH SEARCHRES PARTIAL WITHIN SORT SORT=DISPLAY ESORT "
        "THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS LIST-EXTENDED LIST-STATUS SPECIAL-USE "
        "STATUS=SIZE BINARY SAVEDATE PREVIEW METADATA I18NLEVEL=1 MULTIAPPEND");
    assert_true(capability_has(&caps, CAP_NOTIFY));
    assert_false(capability_is_offered(&caps, CAP_NOTIFY));
}

static void gmail_and_others(void **state)
{
    (void)state;
    assert_string_equal(
        offered("IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 "
                "UIDPLUS COMPRESS=DEFLATE ENABLE MOVE CONDSTORE ESEARCH UTF8=ACCEPT "
                "LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT=35651584"),
        ALWAYS " UIDPLUS MOVE CONDSTORE ESEARCH SEARCHRES PARTIAL LIST-EXTENDED LIST-STATUS "
               "SPECIAL-USE QUOTA X-GM-EXT-1 APPENDLIMIT=35651584");
    assert_true(capability_has(&caps, CAP_LITERAL_MINUS));
    assert_string_equal(offered("ESORT SORT=DISPLAY"),
                        ALWAYS " ESEARCH SEARCHRES PARTIAL LIST-STATUS");
    assert_string_equal(offered("SORT"), ALWAYS " ESEARCH SEARCHRES PARTIAL SORT ESORT LIST-STATUS");
    assert_string_equal(offered(""), ALWAYS " ESEARCH SEARCHRES PARTIAL LIST-STATUS");
    assert_string_equal(offered("qresync LOGINDISABLED AUTH=PLAIN IMAP4rev2 UIDONLY APPENDLIMIT"),
                        ALWAYS " CONDSTORE QRESYNC ESEARCH SEARCHRES PARTIAL LIST-STATUS "
                               "APPENDLIMIT");
    assert_string_equal(offered("ACL RIGHTS=kxten QUOTA QUOTA=RES-STORAGE RIGHTS=a(b"),
                        ALWAYS " ESEARCH SEARCHRES PARTIAL LIST-STATUS QUOTA ACL RIGHTS=kxten "
                               "QUOTA=RES-STORAGE");
    struct buf limited;
    buf_init(&limited, 0);
    (void)offered("APPENDLIMIT=5000");
    capability_offer(&caps, 400, &limited);
    assert_non_null(strstr(cstr(buf_slice(&limited)), " APPENDLIMIT=400"));
    buf_reset(&limited);
    capability_offer(&caps, 6000, &limited);
    assert_non_null(strstr(cstr(buf_slice(&limited)), " APPENDLIMIT=5000"));
    buf_fini(&limited);
    (void)offered("MESSAGELIMIT=1000");
    assert_int_equal(caps.messagelimit, 1000);
    struct buf flood;
    buf_init(&flood, 0);
    for (int i = 0; i < 1000; i++) {
        buf_printf(&flood, "RIGHTS=%d ", i);
    }
    capability_parse(buf_slice(&flood), &caps);
    assert_true(caps.passed_len <= CAPABILITY_PASSED_MAX);
    buf_fini(&flood);
}

static const char *greeting(bool can_starttls, bool can_login)
{
    struct capability_listener listener = {.can_starttls = can_starttls, .can_login = can_login};
    struct buf out;
    buf_init(&out, 0);
    capability_offer_before_login(&listener, &out);
    const char *copy = cstr(buf_slice(&out));
    buf_fini(&out);
    return copy;
}

static void before_login(void **state)
{
    (void)state;
    assert_string_equal(greeting(true, false),
                        "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE STARTTLS LOGINDISABLED");
    assert_string_equal(greeting(false, true),
                        "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE AUTH=PLAIN");
    assert_string_equal(greeting(true, true),
                        "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE STARTTLS AUTH=PLAIN");
    assert_int_equal(capability_find(SLICE("uidplus")), CAP_UIDPLUS);
    assert_int_equal(capability_find(SLICE("uidplu")), CAP_N);
    assert_string_equal(capability_name(CAP_AUTH_PLAIN), "AUTH=PLAIN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(dovecot), TEST(gmail_and_others), TEST(before_login)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
