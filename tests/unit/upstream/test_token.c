/* Logins by token, and links that only ask what is offered. */
#include "scripted.h"

#define XOAUTH2_B64 "dXNlcj1qb2UBYXV0aD1CZWFyZXIgcHcBAQ==" /* user=joe ^A auth=Bearer pw ^A ^A */
#define ERROR_B64 "eyJzdGF0dXMiOiI0MDEifQ=="               /* {"status":"401"} */
#define OAUTHBEARER_OCTETS 98                              /* a port of five digits is in it */
#define HELLO(mechs) S_("* OK [CAPABILITY IMAP4rev1 SASL-IR " mechs "] hi\r\n")
#define ENTERED S_("A1 OK [CAPABILITY IMAP4rev1] in\r\n"), QUIET_(10), END_

struct variant {
    const char *name;
    enum sasl_mech mech;
    const struct step *steps;
    const char *log;
};

static const struct variant variants[] = {
    {"XOAUTH2", SASL_XOAUTH2,
     (const struct step[]){HELLO("AUTH=PLAIN AUTH=XOAUTH2"),
                           C_("A1 AUTHENTICATE XOAUTH2 " XOAUTH2_B64 "\r\n"), ENTERED},
     "ready;"},
    {"without SASL-IR", SASL_XOAUTH2,
     (const struct step[]){S_("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi\r\n"),
                           C_("A1 AUTHENTICATE XOAUTH2\r\n"), S_("+ \r\n"), C_(XOAUTH2_B64 "\r\n"),
                           ENTERED},
     "ready;"},
    {"OAUTHBEARER", SASL_OAUTHBEARER,
     (const struct step[]){HELLO("AUTH=OAUTHBEARER AUTH=XOAUTH2"), SWALLOW_(OAUTHBEARER_OCTETS),
                           ENTERED},
     "ready;"},
    {"by the other mechanism", SASL_OAUTHBEARER,
     (const struct step[]){HELLO("AUTH=XOAUTH2"), C_("A1 AUTHENTICATE XOAUTH2 " XOAUTH2_B64 "\r\n"),
                           ENTERED},
     "ready;"},
    {"by the other mechanism, the other way", SASL_XOAUTH2,
     (const struct step[]){HELLO("AUTH=OAUTHBEARER"), SWALLOW_(OAUTHBEARER_OCTETS), ENTERED},
     "ready;"},
    {"none offered: a token never goes by PLAIN or LOGIN", SASL_XOAUTH2,
     (const struct step[]){HELLO("AUTH=PLAIN"), END_}, "closed:DENIED;"},
    {"an expired token: the error is answered by an empty line", SASL_XOAUTH2,
     (const struct step[]){HELLO("AUTH=XOAUTH2"), C_("A1 AUTHENTICATE XOAUTH2 " XOAUTH2_B64 "\r\n"),
                           S_("+ " ERROR_B64 "\r\n"), C_("\r\n"),
                           S_("A1 NO [AUTHENTICATIONFAILED] expired\r\n"), END_},
     "closed:AUTH:NO:AUTHENTICATIONFAILED:expired:" ERROR_B64 ";"},
    {"the same without SASL-IR", SASL_XOAUTH2,
     (const struct step[]){S_("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi\r\n"),
                           C_("A1 AUTHENTICATE XOAUTH2\r\n"), S_("+\r\n"), C_(XOAUTH2_B64 "\r\n"),
                           S_("+ " ERROR_B64 "\r\n"), C_("\r\n"), S_("A1 NO expired\r\n"), END_},
     "closed:AUTH:NO::expired:" ERROR_B64 ";"},
    {"OAUTHBEARER: by ^A", SASL_OAUTHBEARER,
     (const struct step[]){HELLO("AUTH=OAUTHBEARER"), SWALLOW_(OAUTHBEARER_OCTETS),
                           S_("+ " ERROR_B64 "\r\n"), C_("AQ==\r\n"), S_("A1 NO expired\r\n"),
                           END_},
     "closed:AUTH:NO::expired:" ERROR_B64 ";"},
    {"an error that is no base64 is told to nobody", SASL_XOAUTH2,
     (const struct step[]){HELLO("AUTH=XOAUTH2"), C_("A1 AUTHENTICATE XOAUTH2 " XOAUTH2_B64 "\r\n"),
                           S_("+ {401}\r\n"), C_("\r\n"), S_("A1 NO expired\r\n"), END_},
     "closed:AUTH:NO::expired;"},
    {"asked twice", SASL_XOAUTH2,
     (const struct step[]){HELLO("AUTH=XOAUTH2"), C_("A1 AUTHENTICATE XOAUTH2 " XOAUTH2_B64 "\r\n"),
                           S_("+ " ERROR_B64 "\r\n"), C_("\r\n"), S_("+ " ERROR_B64 "\r\n"), END_},
     "closed:PROTOCOL:" ERROR_B64 ";"},
    {"a password that is asked about: given up", SASL_PLAIN,
     (const struct step[]){HELLO("AUTH=PLAIN"), C_("A1 AUTHENTICATE PLAIN AGpvZQBwdw==\r\n"),
                           S_("+ bW9yZQ==\r\n"), C_("*\r\n"), S_("A1 BAD canceled\r\n"), END_},
     "closed:PROTOCOL:BAD::canceled;"},
    {"a referral is a refusal (RFC 2221)", SASL_PLAIN,
     (const struct step[]){
         HELLO("AUTH=PLAIN LOGIN-REFERRALS"), C_("A1 AUTHENTICATE PLAIN AGpvZQBwdw==\r\n"),
         S_("A1 NO [REFERRAL imap://joe;AUTH=*@other.example/] Try other.example\r\n"), END_},
     "closed:AUTH:NO:REFERRAL:Try other.example;"},
};

static void logins(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        const struct variant *v = &variants[i];
        struct scripted s;
        print_message("%s\n", v->name);
        scripted_init(&s);
        s.login.mech = v->mech;
        s.wants_closed = strncmp(v->log, "closed", 6) == 0;
        scripted_run(&s, v->steps);
        assert_string_equal(scripted_log(&s), v->log);
        scripted_fini(&s);
    }
}

static void a_probe_asks_and_leaves(void **state)
{
    static const struct step steps[] = {
        S_("* OK hi\r\n"),
        C_("A1 CAPABILITY\r\n"),
        S_("* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2\r\nA1 OK x\r\n"),
        C_("A2 LOGOUT\r\n"),
        S_("* BYE bye\r\nA2 OK x\r\n"),
        END_};
    struct scripted s;
    (void)state;
    scripted_init(&s);
    s.is_probe = true;
    s.wants_closed = true;
    scripted_run(&s, steps);
    assert_string_equal(scripted_log(&s), "closed:END:BYE::bye;");
    assert_true(s.has_offered);
    assert_int_equal(s.offered,
                     1ULL << CAP_IMAP4REV1 | 1ULL << CAP_AUTH_PLAIN | 1ULL << CAP_AUTH_XOAUTH2);
    scripted_fini(&s);
}

static void a_probe_that_never_got_there_knows_nothing(void **state)
{
    static const struct step steps[] = {S_("* BYE overloaded\r\n"), END_};
    struct scripted s;
    (void)state;
    scripted_init(&s);
    s.is_probe = true;
    s.wants_closed = true;
    scripted_run(&s, steps);
    assert_false(s.has_offered);
    scripted_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logins),
        cmocka_unit_test(a_probe_asks_and_leaves),
        cmocka_unit_test(a_probe_that_never_got_there_knows_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
