/* TLS, implicit and by STARTTLS; what protocol T41 forbids. */
#include "../../../proxy/upstream/link_p.h"
#include "scripted.h"

static struct certs certs;

#define PLAIN_B64 "AGpvZQBwdw=="

static void make_tls(struct scripted *s, const char *cert)
{
    struct fail fail = {0};
    assert_int_equal(tls_server_create(cert, NULL, &s->tls_server, &fail), OK);
    assert_int_equal(tls_client_create(certs.ca, &s->tls_client, &fail), OK);
    s->upstream.ca_file = certs.ca;
}

static void run(const struct step *steps, bool is_up, const char *cert, bool is_implicit,
                const char *log)
{
    struct scripted s;
    scripted_init(&s);
    make_tls(&s, cert);
    s.is_implicit = is_implicit;
    s.upstream.security = is_implicit ? UPSTREAM_TLS : UPSTREAM_STARTTLS;
    s.wants_closed = !is_up;
    scripted_run(&s, steps);
    assert_string_equal(scripted_log(&s), log);
    struct tls_server *server = s.tls_server;
    struct tls_client *client = s.tls_client;
    scripted_fini(&s);
    tls_server_destroy(&server);
    tls_client_destroy(&client);
}

static void implicit_tls(void **state)
{
    static const struct step steps[] = {S_("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi\r\n"),
                                        C_("A1 AUTHENTICATE PLAIN " PLAIN_B64 "\r\n"),
                                        S_("A1 OK [CAPABILITY IMAP4rev1] x\r\n"), QUIET_(5), END_};
    (void)state;
    run(steps, true, certs.good, true, "ready;");
}

static void preauth_inside_tls(void **state)
{
    static const struct step steps[] = {S_("* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n"), END_};
    (void)state;
    run(steps, false, certs.good, true, "closed:PROTOCOL;");
}

static void starttls(void **state)
{
    /* What is said before TLS must not count: AUTH=PLAIN and SASL-IR are not offered inside. */
    static const struct step steps[] = {
        S_("* OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN IDLE] Dovecot hi\r\n"),
        C_("A1 STARTTLS\r\n"),
        S_("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nA1 OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] go\r\n"),
        TLS_,
        C_("A2 CAPABILITY\r\n"),
        S_("* CAPABILITY IMAP4rev1\r\nA2 OK x\r\n"),
        C_("A3 LOGIN \"joe\" \"pw\"\r\n"),
        S_("A3 OK [CAPABILITY IMAP4rev1] x\r\n"),
        QUIET_(5),
        END_};
    (void)state;
    run(steps, true, certs.good, false, "ready;");
}

static void starttls_when_capabilities_must_be_asked(void **state)
{
    static const struct step steps[] = {
        S_("* OK hi\r\n"),
        C_("A1 CAPABILITY\r\n"),
        S_("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\nA1 OK x\r\n"),
        C_("A2 STARTTLS\r\n"),
        S_("A2 OK go\r\n"),
        TLS_,
        C_("A3 CAPABILITY\r\n"),
        S_("* CAPABILITY IMAP4rev1\r\nA3 OK x\r\n"),
        C_("A4 LOGIN \"joe\" \"pw\"\r\n"),
        S_("A4 OK [CAPABILITY IMAP4rev1] x\r\n"),
        QUIET_(5),
        END_};
    (void)state;
    run(steps, true, certs.good, false, "ready;");
}

static void nothing_said_in_clear_is_known_inside(void **state)
{
    static const struct step steps[] = {
        S_("* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi\r\n"),
        C_("A1 STARTTLS\r\n"),
        S_("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nA1 OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] go\r\n"),
        TLS_,
        C_("A2 CAPABILITY\r\n"),
        S_("A2 OK and no list\r\n"),
        END_};
    (void)state;
    run(steps, false, certs.good, false, "closed:PROTOCOL;");
}

/* RFC 9051 11.1, "the client MUST discard ..." has an attack behind it: replies put into the clear
 * segment together with the OK. */
static void responses_injected_behind_the_ok(void **state)
{
    static const struct step together[] = {
        S_("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"), C_("A1 STARTTLS\r\n"),
        S_("A1 OK go\r\n* CAPABILITY IMAP4rev1\r\nA2 OK x\r\n"), END_};
    static const struct step half_a_line[] = {S_("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"),
                                              C_("A1 STARTTLS\r\n"), S_("A1 OK go\r\n*"), END_};
    static const struct step later[] = {S_("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"),
                                        C_("A1 STARTTLS\r\n"), S_("A1 OK go\r\n"),
                                        S_("* CAPABILITY IMAP4rev1\r\nA2 OK x\r\n"), END_};
    (void)state;
    run(together, false, certs.good, false, "closed:TLS;");
    run(half_a_line, false, certs.good, false, "closed:TLS;");
    run(later, false, certs.good, false, "closed:TLS;");
}

static void starttls_refused(void **state)
{
    static const struct step steps[] = {S_("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"),
                                        C_("A1 STARTTLS\r\n"), S_("A1 NO not now\r\n"), END_};
    (void)state;
    run(steps, false, certs.good, false, "closed:TLS:NO::not now;");
}

static void certificates_are_verified(void **state)
{
    static const struct step steps[] = {S_("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"),
                                        C_("A1 STARTTLS\r\n"), S_("A1 OK go\r\n"), TLS_, END_};
    static const struct step implicit[] = {END_};
    (void)state;
    run(steps, false, certs.other_name, false, "closed:TLS;");
    run(steps, false, certs.stranger, false, "closed:TLS;");
    run(implicit, false, certs.other_name, true, "closed:TLS;");
    run(implicit, false, certs.expired, true, "closed:TLS;");
}

static void starttls_wanted_without_tls(void **state)
{
    static const struct step steps[] = {
        S_("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\r\n"), END_};
    struct scripted s;
    (void)state;
    scripted_init(&s);
    s.wants_closed = true;
    scripted_run(&s, steps);
    assert_string_equal(scripted_log(&s), "closed:TLS;");
    scripted_fini(&s);
}

static void no_login_in_clear_but_on_loopback(void **state)
{
    struct upstream_settings plain = {.security = UPSTREAM_STARTTLS};
    struct upstream_settings with_ca = {.security = UPSTREAM_STARTTLS, .ca_file = "ca.pem"};
    struct capabilities none, offered, insists;
    (void)state;
    capability_parse(SLICE("IMAP4rev1"), &none);
    capability_parse(SLICE("IMAP4rev1 STARTTLS"), &offered);
    capability_parse(SLICE("IMAP4rev1 STARTTLS LOGINDISABLED"), &insists);
    assert_int_equal(login__choose(&plain, false, &none), LOGIN_REFUSE);
    assert_int_equal(login__choose(&with_ca, false, &none), LOGIN_REFUSE);
    assert_int_equal(login__choose(&plain, false, &offered), LOGIN_STARTTLS);
    assert_int_equal(login__choose(&plain, true, &none), LOGIN_PLAINTEXT);
    assert_int_equal(login__choose(&plain, true, &offered), LOGIN_PLAINTEXT);
    assert_int_equal(login__choose(&plain, true, &insists), LOGIN_STARTTLS);
    assert_int_equal(login__choose(&with_ca, true, &offered), LOGIN_STARTTLS);
    assert_int_equal(login__choose(&with_ca, true, &none), LOGIN_REFUSE);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(implicit_tls),
        cmocka_unit_test(preauth_inside_tls),
        cmocka_unit_test(starttls),
        cmocka_unit_test(starttls_when_capabilities_must_be_asked),
        cmocka_unit_test(nothing_said_in_clear_is_known_inside),
        cmocka_unit_test(responses_injected_behind_the_ok),
        cmocka_unit_test(starttls_refused),
        cmocka_unit_test(certificates_are_verified),
        cmocka_unit_test(starttls_wanted_without_tls),
        cmocka_unit_test(no_login_in_clear_but_on_loopback),
    };
    return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
