/* From the greeting to READY: every way in, and every refusal. */
#include "scripted.h"

#define CAPS_PRE "IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+ AUTH=PLAIN"
#define CAPS_POST "IMAP4rev1 ID ENABLE IDLE CONDSTORE QRESYNC UIDPLUS LITERAL+"
#define GREETING S_("* OK [CAPABILITY " CAPS_PRE "] Dovecot ready.\r\n")
#define PLAIN_B64 "AGpvZQBwdw==" /* NUL joe NUL pw */
#define AFTER                                                                                      \
    C_("A2 ID (\"name\" \"imapcached\")\r\nA3 ENABLE QRESYNC\r\n"),                                \
        S_("* ID (\"name\" \"Dovecot\")\r\nA2 OK x\r\n* ENABLED QRESYNC\r\nA3 OK y\r\n")

struct variant {
    const char *name;
    const struct step *steps;
    const char *log;
    bool is_up; /* script's end with the link up, else run until closed */
};

static void run_variant(const struct variant *v)
{
    struct scripted s;
    print_message("%s\n", v->name);
    scripted_init(&s);
    s.wants_closed = !v->is_up;
    scripted_run(&s, v->steps);
    assert_string_equal(scripted_log(&s), v->log);
    if (v->is_up) {
        assert_true(link_is_ready(s.link));
    }
    assert_int_equal(stats_get(&s.stats, STAT_links_opened), v->is_up ? 1 : 0);
    assert_int_equal(stats_get(&s.stats, STAT_links_lost), 0);
    scripted_fini(&s);
}

static void one_flight_after_login(void **state)
{
    (void)state;
    struct scripted s;
    static const struct step steps[] = {GREETING,
                                        C_("A1 AUTHENTICATE PLAIN " PLAIN_B64 "\r\n"),
                                        S_("A1 OK [CAPABILITY " CAPS_POST "] Logged in\r\n"),
                                        AFTER,
                                        QUIET_(20),
                                        END_};
    scripted_init(&s);
    scripted_run(&s, steps);
    assert_string_equal(scripted_log(&s), "ready;");
    assert_true(link_has_qresync(s.link));
    assert_true(link_has_condstore(s.link));
    assert_true(capability_has(link_capabilities(s.link), CAP_UIDPLUS));
    assert_false(capability_has(link_capabilities(s.link), CAP_SASL_IR));
    assert_string_equal(link_profile(s.link)->name, "dovecot");
    assert_int_equal(strncmp(link_peer(s.link), "127.0.0.1:", 10), 0);
    assert_int_equal(stats_get(&s.stats, STAT_upstream_commands), 3);
    assert_true(stats_get(&s.stats, STAT_upstream_bytes_in) > 200);
    assert_true(stats_get(&s.stats, STAT_upstream_bytes_out) > 50);
    scripted_fini(&s);
}

static void send_noop(struct scripted *s)
{
    probe_send(s, 0, "NOOP", 0);
}

/* Of a server that names itself so: nobody waits for what it answers to ID and ENABLE. */
static void enable_is_presumed(void **state)
{
    static const struct {
        const char *greeting, *before, *answer, *log;
        bool awaits, is_lost;
    } cases[] = {
        {"Dovecot", "A2 NOOP\r\n", "* ENABLED QRESYNC\r\n", "ready;0:OK;", false, false},
        {"Cyrus", "A2 NOOP\r\n", "* ENABLED QRESYNC\r\n", "ready;0:OK;", false, false},
        {"Dovecot", "A2 NOOP\r\n", "* ENABLED CONDSTORE\r\n",
         "ready;0:PROTOCOL;closed:PROTOCOL;", false, true},
        {"Dovecot", "A2 NOOP\r\n", "", "ready;0:PROTOCOL;closed:PROTOCOL;", false, true},
        {"Dovecot", "", "* ENABLED CONDSTORE\r\n", "ready;0:OK;", true, false},
        {"some server", "", "* ENABLED QRESYNC\r\n", "ready;0:OK;", false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scripted s;
        char greeting[128], sent[128], answer[128];
        const struct step steps[] = {S_(greeting),
                                     C_("A1 AUTHENTICATE PLAIN " PLAIN_B64 "\r\n"),
                                     DO_(send_noop),
                                     S_("A1 OK [CAPABILITY " CAPS_POST "] Logged in\r\n"),
                                     C_(sent),
                                     QUIET_(5),
                                     S_(answer),
                                     C_(*cases[i].before == 0 ? "A2 NOOP\r\n" : ""),
                                     S_("A2 OK\r\n"),
                                     QUIET_(5),
                                     END_};
        print_message("%s\n", cases[i].greeting);
        snprintf(greeting, sizeof(greeting), "* OK [CAPABILITY " CAPS_PRE "] %s ready.\r\n",
                 cases[i].greeting);
        snprintf(sent, sizeof(sent),
                 "A3 ID (\"name\" \"imapcached\")\r\nA4 ENABLE QRESYNC\r\n%s",
                 cases[i].before);
        snprintf(answer, sizeof(answer), "A3 OK x\r\n%sA4 OK y\r\n", cases[i].answer);
        scripted_init(&s);
        s.awaits_enable = cases[i].awaits;
        s.wants_closed = cases[i].is_lost;
        scripted_run(&s, steps);
        assert_string_equal(scripted_log(&s), cases[i].log);
        scripted_fini(&s);
    }
}

static const struct variant ways_in[] = {
    {"capabilities asked, nothing offered",
     (const struct step[]){S_("* OK hello\r\n"), C_("A1 CAPABILITY\r\n"),
                           S_("* CAPABILITY IMAP4rev1\r\nA1 OK done\r\n"),
                           C_("A2 LOGIN \"joe\" \"pw\"\r\n"), S_("A2 OK in\r\n"),
                           C_("A3 CAPABILITY\r\n"), S_("* CAPABILITY IMAP4rev1\r\nA3 OK x\r\n"),
                           QUIET_(10), END_},
     "ready;", true},
    {"no SASL-IR: by continuation; capabilities untagged before the OK",
     (const struct step[]){
         S_("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n"), C_("A1 AUTHENTICATE PLAIN\r\n"),
         QUIET_(10), S_("+ \r\n"), C_(PLAIN_B64 "\r\n"),
         S_("* CAPABILITY IMAP4rev1 ENABLE CONDSTORE\r\nA1 OK in\r\n"),
         C_("A2 ENABLE CONDSTORE\r\n"), S_("A2 OK no ENABLED\r\n"), QUIET_(10), END_},
     "ready;", true},
    {"a bare + without the space",
     (const struct step[]){S_("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n"),
                           C_("A1 AUTHENTICATE PLAIN\r\n"), S_("+\r\n"), C_(PLAIN_B64 "\r\n"),
                           S_("A1 OK [CAPABILITY IMAP4rev1] in\r\n"), QUIET_(10), END_},
     "ready;", true},
    {"CAPABILITY and ID asked together, ENABLE when it is known",
     (const struct step[]){
         S_("* OK [CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN] iSCREAM\r\n"),
         C_("A1 AUTHENTICATE PLAIN " PLAIN_B64 "\r\n"), S_("A1 OK in\r\n"),
         C_("A2 CAPABILITY\r\nA3 ID (\"name\" \"imapcached\")\r\n"), S_("* 3 EXISTS\r\n"),
         S_("* CAPABILITY IMAP4rev1 ID ENABLE CONDSTORE QRESYNC X-SUN-IMAP\r\nA2 OK x\r\n"),
         C_("A4 ENABLE CONDSTORE\r\n"), S_("A4 OK x\r\nA3 NO [UNAVAILABLE] later\r\n"), QUIET_(10),
         END_},
     "ready;", true},
    {"LOGINDISABLED without STARTTLS, but AUTH=PLAIN",
     (const struct step[]){S_("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED SASL-IR AUTH=PLAIN] x\r\n"),
                           C_("A1 AUTHENTICATE PLAIN " PLAIN_B64 "\r\n"),
                           S_("A1 OK [CAPABILITY IMAP4rev1] in\r\n"), QUIET_(10), END_},
     "ready;", true},
};

static void logs_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ways_in) / sizeof(ways_in[0]); i++) {
        run_variant(&ways_in[i]);
    }
}

static const struct variant refusals[] = {
    {"a wrong password",
     (const struct step[]){GREETING, C_("A1 AUTHENTICATE PLAIN " PLAIN_B64 "\r\n"),
                           S_("A1 NO [AUTHENTICATIONFAILED] no\r\n"), END_},
     "closed:AUTH:NO:AUTHENTICATIONFAILED:no;", false},
    {"refused in place of the continuation",
     (const struct step[]){S_("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n"),
                           C_("A1 AUTHENTICATE PLAIN\r\n"), S_("A1 NO [UNAVAILABLE] later\r\n"),
                           END_},
     "closed:AUTH:NO:UNAVAILABLE:later;", false},
    {"BAD",
     (const struct step[]){GREETING, C_("A1 AUTHENTICATE PLAIN " PLAIN_B64 "\r\n"),
                           S_("A1 BAD what\r\n"), END_},
     "closed:PROTOCOL:BAD::what;", false},
    {"BYE in place of a greeting", (const struct step[]){S_("* BYE [LIMIT] too many\r\n"), END_},
     "closed:END:BYE:LIMIT:too many;", false},
    {"BYE in the login",
     (const struct step[]){GREETING, C_("A1 AUTHENTICATE PLAIN " PLAIN_B64 "\r\n"),
                           S_("* BYE tired\r\nA1 NO x\r\n"), END_},
     "closed:END:BYE::tired;", false},
    {"PREAUTH", (const struct step[]){S_("* PREAUTH [CAPABILITY " CAPS_PRE "] welcome\r\n"), END_},
     "closed:PROTOCOL;", false},
    {"no greeting", (const struct step[]){S_("* 3 EXISTS\r\n"), END_}, "closed:PROTOCOL;", false},
    {"a tagged greeting", (const struct step[]){S_("A1 OK hi\r\n"), END_}, "closed:PROTOCOL;",
     false},
    {"another protocol", (const struct step[]){S_("220 smtp.example ESMTP\r\n"), END_},
     "closed:PROTOCOL;", false},
    {"no way to log in",
     (const struct step[]){S_("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n"), END_},
     "closed:DENIED;", false},
    {"CAPABILITY without an answer",
     (const struct step[]){S_("* OK hi\r\n"), C_("A1 CAPABILITY\r\n"), S_("A1 OK x\r\n"), END_},
     "closed:PROTOCOL;", false},
    {"CAPABILITY refused",
     (const struct step[]){S_("* OK hi\r\n"), C_("A1 CAPABILITY\r\n"), S_("A1 NO x\r\n"), END_},
     "closed:PROTOCOL:NO::x;", false},
    {"the end of the stream", (const struct step[]){GREETING, CUT_, END_}, "closed:END;", false},
    {"a greeting without end", (const struct step[]){S_("* OK hi"), CUT_, END_}, "closed:END;",
     false},
    {"a literal larger than a login needs",
     (const struct step[]){S_("* OK hi\r\n"), C_("A1 CAPABILITY\r\n"),
                           S_("* ID (\"name\" {100000}\r\n"), END_},
     "closed:PROTOCOL;", false},
};

static void is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        run_variant(&refusals[i]);
    }
}

static void quotes_and_literals_in_login(void **state)
{
    (void)state;
    struct scripted s;
    static const struct step steps[] = {S_("* OK [CAPABILITY IMAP4rev1] hi\r\n"),
                                        C_("A1 LOGIN \"j\\\"o\\\\e\" {3}\r\n"),
                                        QUIET_(10),
                                        S_("+ go\r\n"),
                                        C_("p\xc3\xa4\r\n"),
                                        S_("A1 OK [CAPABILITY IMAP4rev1] x\r\n"),
                                        QUIET_(10),
                                        END_};
    scripted_init(&s);
    s.login.authcid = SLICE("j\"o\\e");
    s.login.password = SLICE("p\xc3\xa4");
    scripted_run(&s, steps);
    assert_string_equal(scripted_log(&s), "ready;");
    scripted_fini(&s);
}

static void literal_plus_in_login(void **state)
{
    (void)state;
    struct scripted s;
    static const struct step steps[] = {S_("* OK [CAPABILITY IMAP4rev1 LITERAL-] hi\r\n"),
                                        C_("A1 LOGIN \"joe\" {3+}\r\np\xc3\xa4\r\n"),
                                        S_("A1 OK [CAPABILITY IMAP4rev1] x\r\n"), QUIET_(10), END_};
    scripted_init(&s);
    s.login.password = SLICE("p\xc3\xa4");
    scripted_run(&s, steps);
    assert_string_equal(scripted_log(&s), "ready;");
    scripted_fini(&s);
}

static void authzid_is_sent_and_never_dropped(void **state)
{
    (void)state;
    struct scripted s;
    static const struct step by_plain[] = {
        GREETING, C_("A1 AUTHENTICATE PLAIN Ym9zcwBqb2UAcHc=\r\n"), /* boss NUL joe NUL pw */
        S_("A1 OK [CAPABILITY IMAP4rev1] x\r\n"), QUIET_(10), END_};
    static const struct step by_login[] = {S_("* OK [CAPABILITY IMAP4rev1] hi\r\n"), END_};
    scripted_init(&s);
    s.login.authzid = SLICE("boss");
    scripted_run(&s, by_plain);
    scripted_fini(&s);
    scripted_init(&s);
    s.login.authzid = SLICE("boss");
    s.wants_closed = true;
    scripted_run(&s, by_login);
    assert_string_equal(scripted_log(&s), "closed:DENIED;");
    scripted_fini(&s);
}

static void nul_in_the_secret_is_not_sent(void **state)
{
    (void)state;
    struct scripted s;
    static const struct step steps[] = {GREETING, END_};
    scripted_init(&s);
    s.login.password = SLICE("p\0w");
    s.wants_closed = true;
    scripted_run(&s, steps);
    assert_string_equal(scripted_log(&s), "closed:PROTOCOL;");
    scripted_fini(&s);
}

static void commands_wait_for_the_login(void **state)
{
    (void)state;
    struct scripted s;
    static const struct step steps[] = {GREETING,
                                        C_("A2 AUTHENTICATE PLAIN " PLAIN_B64 "\r\n"),
                                        QUIET_(10),
                                        S_("A2 OK [CAPABILITY IMAP4rev1 ID] x\r\n"),
                                        C_("A3 ID (\"name\" \"imapcached\")\r\n"),
                                        QUIET_(10),
                                        S_("A3 OK x\r\n"),
                                        C_("A1 NOOP\r\n"),
                                        S_("A1 OK x\r\n"),
                                        QUIET_(10),
                                        END_};
    scripted_init(&s);
    scripted_begin(&s, steps);
    probe_send(&s, 0, "NOOP", 0);
    timer_set_ms(s.patience, SCRIPT_PATIENCE_MS);
    evloop_run(s.loop);
    assert_false(s.is_failed);
    assert_string_equal(scripted_log(&s), "ready;0:OK;");
    scripted_fini(&s);
}

/* --- time, and what cannot be reached -----------------------------------------------------------
 */

static void silence_is_a_timeout(void **state)
{
    (void)state;
    static const struct step mute[] = {END_};
    static const struct step half[] = {GREETING, C_("A1 AUTHENTICATE PLAIN " PLAIN_B64 "\r\n"),
                                       END_};
    const struct step *all[] = {mute, half};
    for (size_t i = 0; i < 2; i++) {
        struct scripted s;
        scripted_init(&s);
        s.upstream.connect_timeout_ms = 60;
        s.wants_closed = true;
        scripted_run(&s, all[i]);
        assert_string_equal(scripted_log(&s), "closed:TIMEOUT;");
        scripted_fini(&s);
    }
}

static void nobody_listens(void **state)
{
    (void)state;
    struct scripted s;
    static const struct step steps[] = {END_};
    scripted_init(&s);
    scripted_begin(&s, steps);
    listener_destroy(&s.listener); /* before the loop has run */
    s.wants_closed = true;
    timer_set_ms(s.patience, SCRIPT_PATIENCE_MS);
    probe_send(&s, 0, "NOOP", 0);
    evloop_run(s.loop);
    assert_false(s.is_failed);
    assert_string_equal(scripted_log(&s), "0:NETWORK:unsent;closed:NETWORK;");
    scripted_fini(&s);
}

static void closed_before_it_was_open(void **state)
{
    (void)state;
    struct scripted s;
    static const struct step steps[] = {END_};
    scripted_init(&s);
    scripted_begin(&s, steps);
    probe_send(&s, 0, "NOOP", 0);
    link_close(&s.link, true);
    assert_null(s.link);
    assert_string_equal(scripted_log(&s), "0:CANCELED:unsent;");
    scripted_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_flight_after_login),
        cmocka_unit_test(enable_is_presumed),
        cmocka_unit_test(logs_in),
        cmocka_unit_test(is_refused),
        cmocka_unit_test(quotes_and_literals_in_login),
        cmocka_unit_test(literal_plus_in_login),
        cmocka_unit_test(authzid_is_sent_and_never_dropped),
        cmocka_unit_test(nul_in_the_secret_is_not_sent),
        cmocka_unit_test(commands_wait_for_the_login),
        cmocka_unit_test(silence_is_a_timeout),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(closed_before_it_was_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
