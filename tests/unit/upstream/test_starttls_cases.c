/* Protocol T41, the client's side: what somebody between us and the server may say before TLS, and
 * what must come of it: no secret in clear, nothing of it believed inside.  The cases are those of
 * "Why TLS is better without STARTTLS" (USENIX Security 2021): buffering (B), negotiation (N),
 * tampering with untagged answers (T), greetings (G), the state PREAUTH (P). */
#include "scripted.h"

static struct certs certs;

#define PLAIN_B64 "AGpvZQBwdw==" /* joe, pw */
#define GREETING S_("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\r\n")
#define ASKED C_("A1 STARTTLS\r\n")
/* Inside TLS: everything is asked anew. */
#define INSIDE                                                                                     \
    TLS_, C_("A2 CAPABILITY\r\n"), S_("* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\nA2 OK x\r\n"), \
        C_("A3 AUTHENTICATE PLAIN " PLAIN_B64 "\r\n"), S_("A3 OK [CAPABILITY IMAP4rev1] in\r\n"),  \
        QUIET_(5), END_
#define STEPS (const struct step[])

struct variant {
    const char *name;
    const struct step *steps;
    const char *log;
};

static const struct variant variants[] = {
    /* --- B: octets in the clear segment behind the OK --- */
    {"B: an untagged answer",
     STEPS{GREETING, ASKED, S_("A1 OK go\r\n* CAPABILITY IMAP4rev1\r\n"), END_}, "closed:TLS;"},
    {"B: the answer to the login that is to come",
     STEPS{GREETING, ASKED, S_("A1 OK go\r\nA2 OK in\r\nA3 OK in\r\n"), END_}, "closed:TLS;"},
    {"B: mail", STEPS{GREETING, ASKED, S_("A1 OK go\r\n* 1 FETCH (BODY[] {3}\r\nbad)\r\n"), END_},
     "closed:TLS;"},
    {"B: a line without end", STEPS{GREETING, ASKED, S_("A1 OK go\r\n* OK hal"), END_},
     "closed:TLS;"},
    {"B: an empty line", STEPS{GREETING, ASKED, S_("A1 OK go\r\n\r\n"), END_}, "closed:TLS;"},
    {"B: one octet", STEPS{GREETING, ASKED, S_("A1 OK go\r\n "), END_}, "closed:TLS;"},
    {"B: in a segment of its own",
     STEPS{GREETING, ASKED, S_("A1 OK go\r\n"), S_("* CAPABILITY IMAP4rev1\r\n"), END_},
     "closed:TLS;"},
    {"B: BYE", STEPS{GREETING, ASKED, S_("A1 OK go\r\n* BYE [REFERRAL imap://evil/] x\r\n"), END_},
     "closed:TLS;"},
    /* --- N: how STARTTLS is answered --- */
    {"N: NO", STEPS{GREETING, ASKED, S_("A1 NO not now\r\n"), END_}, "closed:TLS:NO::not now;"},
    {"N: BAD", STEPS{GREETING, ASKED, S_("A1 BAD what\r\n"), END_}, "closed:TLS:BAD::what;"},
    {"N: BYE", STEPS{GREETING, ASKED, S_("* BYE bye\r\n"), END_}, "closed:END:BYE::bye;"},
    {"N: an unknown tag", STEPS{GREETING, ASKED, S_("X1 OK go\r\n"), END_}, "closed:PROTOCOL;"},
    {"N: a continuation is no consent",
     STEPS{GREETING, ASKED, S_("+ go on\r\n"), QUIET_(20), S_("A1 NO x\r\n"), END_},
     "closed:TLS:NO::x;"},
    {"N: an untagged OK is no consent",
     STEPS{GREETING, ASKED, S_("* OK go on\r\n"), QUIET_(20), S_("A1 NO x\r\n"), END_},
     "closed:TLS:NO::x;"},
    {"N: PREAUTH is no consent",
     STEPS{GREETING, ASKED, S_("* PREAUTH go on\r\n"), QUIET_(20), S_("A1 NO x\r\n"), END_},
     "closed:TLS:NO::x;"},
    {"N: OK, and then no TLS",
     STEPS{GREETING, ASKED, S_("A1 OK go\r\n"), S_("A2 OK CAPABILITY\r\n"), END_}, "closed:TLS;"},
    {"N: OK, and the end", STEPS{GREETING, ASKED, S_("A1 OK go\r\n"), CUT_, END_}, "closed:TLS;"},
    {"N: not offered", STEPS{S_("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n"), END_},
     "closed:TLS;"},
    {"N: not offered when asked",
     STEPS{S_("* OK hi\r\n"), C_("A1 CAPABILITY\r\n"),
           S_("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nA1 OK x\r\n"), END_},
     "closed:TLS;"},
    {"N: offered first, then taken back",
     STEPS{S_("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"),
           ASKED, S_("A1 BAD no such thing\r\n"), END_},
     "closed:TLS:BAD::no such thing;"},
    {"N: \"you are logged in\" in place of it",
     STEPS{GREETING, ASKED, S_("A1 OK [CAPABILITY IMAP4rev1] Logged in\r\n* 3 EXISTS\r\n"), END_},
     "closed:TLS;"},
    /* --- T: untagged answers before TLS are not believed inside --- */
    {"T: capabilities",
     STEPS{S_("* OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN ID ENABLE CONDSTORE] hi\r\n"),
           ASKED, S_("* CAPABILITY IMAP4rev1 ID ENABLE\r\nA1 OK go\r\n"), INSIDE},
     "ready;"},
    {"T: an alert",
     STEPS{GREETING, ASKED, S_("* OK [ALERT] call 555\r\nA1 OK [ALERT] call\r\n"), INSIDE},
     "ready;"},
    {"T: mail, flags, folders",
     STEPS{GREETING, ASKED,
           S_("* 3 EXISTS\r\n* 1 FETCH (FLAGS ())\r\n* LIST () \"/\" x\r\n* SEARCH 1\r\nA1 OK "
              "go\r\n"),
           INSIDE},
     "ready;"},
    {"T: behind the greeting",
     STEPS{S_("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n* 3 EXISTS\r\n"), ASKED,
           S_("A1 OK go\r\n"), INSIDE},
     "ready;"},
    {"T: another server's name",
     STEPS{S_("* OK [CAPABILITY IMAP4rev1 STARTTLS] iSCREAM ready\r\n"), ASKED, S_("A1 OK go\r\n"),
           INSIDE},
     "ready;"},
    {"T: ENABLED", STEPS{GREETING, ASKED, S_("* ENABLED QRESYNC\r\nA1 OK go\r\n"), INSIDE},
     "ready;"},
    /* --- G, P: greetings --- */
    {"P: PREAUTH", STEPS{S_("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"), END_},
     "closed:PROTOCOL;"},
    {"P: PREAUTH with a referral", STEPS{S_("* PREAUTH [REFERRAL imap://evil/] hi\r\n"), END_},
     "closed:PROTOCOL;"},
    {"G: BYE with a referral", STEPS{S_("* BYE [REFERRAL imap://evil/] moved\r\n"), END_},
     "closed:END:BYE:REFERRAL:moved;"},
    {"G: NO", STEPS{S_("* NO hi\r\n"), END_}, "closed:PROTOCOL;"},
    {"G: BAD", STEPS{S_("* BAD hi\r\n"), END_}, "closed:PROTOCOL;"},
    {"G: tagged", STEPS{S_("A1 OK hi\r\n"), END_}, "closed:PROTOCOL;"},
    {"G: a continuation", STEPS{S_("+ hi\r\n"), CUT_, END_}, "closed:END;"},
    {"G: data", STEPS{S_("* 1 FETCH (FLAGS ())\r\n"), END_}, "closed:PROTOCOL;"},
    {"G: two, the second PREAUTH",
     STEPS{S_("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n* PREAUTH hi\r\n"), ASKED,
           S_("A1 OK go\r\n"), INSIDE},
     "ready;"},
};

static void run_variant(const struct variant *v)
{
    struct scripted s;
    struct fail fail = {0};
    bool is_up = strncmp(v->log, "ready", 5) == 0;
    print_message("%s\n", v->name);
    scripted_init(&s);
    assert_int_equal(tls_server_create(certs.good, NULL, &s.tls_server, &fail), OK);
    assert_int_equal(tls_client_create(certs.ca, &s.tls_client, &fail), OK);
    s.upstream.ca_file = certs.ca;
    s.wants_closed = !is_up;
    scripted_run(&s, v->steps);
    assert_string_equal(scripted_log(&s), v->log);
    if (is_up) {
        assert_false(link_has_condstore(s.link));
        assert_false(link_has_qresync(s.link));
        assert_string_equal(link_profile(s.link)->name, "generic");
        assert_false(capability_has(link_capabilities(s.link), CAP_ENABLE));
    }
    struct tls_server *server = s.tls_server;
    struct tls_client *client = s.tls_client;
    scripted_fini(&s);
    tls_server_destroy(&server);
    tls_client_destroy(&client);
}

static void what_is_said_before_tls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        run_variant(&variants[i]);
    }
}

static int make_certs(void **state)
{
    (void)state;
    certs_create(&certs);
    return 0;
}

static int drop_certs(void **state)
{
    (void)state;
    certs_destroy(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_said_before_tls)};
    return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
