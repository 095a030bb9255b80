/* Who may come in, and who is thrown out: proofs, verifying again, refusals, failures, tokens. */
#include "guest_fixture.h"

#define BY_PW "AUTHENTICATE PLAIN AGpvZQBwdw=="        /* joe, pw */
#define BY_PW2 "AUTHENTICATE PLAIN AGpvZQBwdzI="       /* joe, pw2 */
#define BY_WRONG "AUTHENTICATE PLAIN AGpvZQB3cm9uZw==" /* joe, wrong */
#define REFUSED "$ NO [AUTHENTICATIONFAILED] no\r\n"
#define CAPS "IMAP4rev1 SASL-IR LITERAL+ AUTH=PLAIN AUTH=XOAUTH2"

static bool all_logged_in(struct office *office)
{
    (void)office;
    return guest[0].logins_n > 0 && guest[1].logins_n > 0;
}

static bool second_logged_in(struct office *office)
{
    (void)office;
    return guest[1].logins_n > 0;
}

static bool first_revoked(struct office *office)
{
    (void)office;
    return guest[0].revoked_n > 0;
}

static int logins_seen(struct office *office)
{
    int n = 0;
    for (const char *at = office_log(office); (at = strstr(at, "LOGIN;")) != NULL; at++) {
        n++;
    }
    return n;
}

static void setup(struct office *office)
{
    begin(office);
    office->caps = CAPS;
    office->settings.auth_reverify_ms = 3600 * 1000;
    office->settings.auth_retry_ms = 150;
    accounts_set_settings(office->accounts, &office->settings);
}

static enum status log_in(struct office *office, struct guest *g, const char *password)
{
    g->logins_n = 0;
    login_with(office, g, password);
    office_run(office, g == &guest[0] ? logged_in : second_logged_in);
    return g->login_st;
}

static void let_settings(struct office *office)
{
    accounts_set_settings(office->accounts, &office->settings);
}

/* --- verifying again ----------------------------------------------------------------------------
 */

static void each_secret_is_verified_again_by_itself(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office.settings.auth_reverify_ms = 200;
    let_settings(&office);
    assert_int_equal(log_in(&office, &guest[0], "pw"), OK);
    assert_int_equal(log_in(&office, &guest[1], "pw2"), OK);
    office_rule_add(&office, BY_PW, REFUSED, 0);
    office_run(&office, first_revoked);
    assert_int_equal(guest[1].revoked_n, 0);
    office_run_ms(&office, 500); /* several rounds more */
    assert_int_equal(guest[1].revoked_n, 0);
    assert_int_equal(guest[0].revoked_n, 1);
    assert_int_equal(stats_get(&office.stats, STAT_secrets_revoked), 1);
    end(&office);
}

static void what_does_not_speak_of_the_secret_throws_nobody_out(void **state)
{
    static const char *const answers[] = {"$ NO [UNAVAILABLE] x\r\n",
                                          "$ NO [LIMIT] x\r\n",
                                          "$ NO [ALERT] x\r\n",
                                          "$ BAD x\r\n",
                                          "* BYE x\r\n!",
                                          "$ NO [INUSE] x\r\n",
                                          "$ NO [X-ODD] x\r\n",
                                          "$ NO Too many simultaneous connections. (Failure)\r\n",
                                          "$ NO Request is throttled. Suggested Backoff Time: 10"
                                          " milliseconds\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct office office;
        setup(&office);
        office.settings.auth_reverify_ms = 30;
        office.settings.auth_retry_ms = 30;
        let_settings(&office);
        assert_int_equal(log_in(&office, &guest[0], "pw"), OK);
        office_rule_add(&office, BY_PW, answers[i], 0);
        int before = logins_seen(&office);
        office_run_ms(&office, 250);
        assert_true(logins_seen(&office) >= before + 3);
        assert_true(logins_seen(&office) <= before + 9);
        assert_int_equal(guest[0].revoked_n, 0);
        end(&office);
    }
}

static void one_refusal_and_then_acceptance_is_forgotten(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office.settings.auth_reverify_ms = 100;
    office.settings.auth_retry_ms = 100;
    let_settings(&office);
    assert_int_equal(log_in(&office, &guest[0], "pw"), OK);
    office_rule_add(&office, BY_PW, REFUSED, 1);
    office_rule_add(&office, BY_PW, "$ OK in\r\n", 1);
    office_rule_add(&office, BY_PW, REFUSED, 1);
    office_rule_add(&office, BY_PW, "$ OK in\r\n", 0);
    office_run_ms(&office, 900);
    assert_true(logins_seen(&office) >= 5);
    assert_int_equal(guest[0].revoked_n, 0);
    end(&office);
}

static void nothing_is_verified_that_nobody_hangs_on(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office.settings.auth_reverify_ms = 50;
    let_settings(&office);
    assert_int_equal(log_in(&office, &guest[0], "pw"), OK);
    account_detach(&guest[0].account_user);
    office_run_ms(&office, 300);
    assert_int_equal(logins_seen(&office), 1);
    end(&office);
}

/* A refused link makes its secret suspect: then it is asked about, though links have another. */
static void a_link_refused_is_looked_into(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office_rule_add(&office, "SELECT",
                    "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n"
                    "* OK [UIDNEXT 1] x\r\n$ OK [READ-WRITE] x\r\n",
                    0);
    assert_int_equal(log_in(&office, &guest[1], "pw2"), OK);
    assert_int_equal(log_in(&office, &guest[0], "pw"), OK); /* the newest: links use it */
    open_box(&office);
    assert_int_equal(guest[0].open_st, OK);
    office_rule_add(&office, BY_PW, REFUSED, 0);
    for (size_t i = 0; i < office.peers_n; i++) {
        office_cut(&office.peer[i]);
    }
    office_run(&office, first_revoked);
    assert_int_equal(guest[1].revoked_n, 0);
    end(&office);
}

/* --- logins -------------------------------------------------------------------------------------
 */

static void a_suspect_secret_is_asked_about(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office.settings.auth_reverify_ms = 100;
    office.settings.auth_retry_ms = 60000;
    let_settings(&office);
    assert_int_equal(log_in(&office, &guest[0], "pw"), OK);
    office_rule_add(&office, BY_PW, REFUSED, 0);
    office_run_ms(&office, 250);
    assert_int_equal(logins_seen(&office), 2);
    assert_int_equal(log_in(&office, &guest[1], "pw"), AUTH);
    assert_int_equal(logins_seen(&office), 3);
    assert_int_equal(guest[0].revoked_n, 0); /* less than a minute between them */
    end(&office);
}

static void a_refusal_is_repeated_as_late_as_it_came(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office.settings.auth_retry_ms = 60000;
    let_settings(&office);
    office_rule_add(&office, BY_WRONG, REFUSED, 1); /* at once; the next would be accepted */
    assert_int_equal(log_in(&office, &guest[0], "wrong"), AUTH);
    assert_string_equal(guest[0].text, "NO [AUTHENTICATIONFAILED] no");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(log_in(&office, &guest[1], "wrong"), AUTH);
        assert_string_equal(guest[1].text, "NO [AUTHENTICATIONFAILED] no");
    }
    assert_int_equal(logins_seen(&office), 1);
    assert_int_equal(stats_get(&office.stats, STAT_logins_repeated), 5);
    /* the right one is not kept from coming in */
    assert_int_equal(log_in(&office, &guest[0], "pw"), OK);
    end(&office);
}

static void a_refusal_is_asked_about_again_after_a_while(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office_rule_add(&office, BY_WRONG, REFUSED, 1);
    assert_int_equal(log_in(&office, &guest[0], "wrong"), AUTH);
    office_run_ms(&office, 200);
    assert_int_equal(log_in(&office, &guest[0], "wrong"), OK);
    end(&office);
}

static void what_is_no_refusal_is_not_repeated(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office.settings.auth_retry_ms = 60000;
    let_settings(&office);
    office_rule_add(&office, BY_PW, "$ NO [UNAVAILABLE] later\r\n", 4);
    for (int i = 0; i < 4; i++) { /* more than may fail: these are no failures */
        assert_int_equal(log_in(&office, &guest[0], "pw"), AUTH);
    }
    assert_int_equal(log_in(&office, &guest[0], "pw"), OK);
    end(&office);
}

/* While there is no room for a failure, nothing is compared with a proof: an attempt with the right
 * secret waits like any other, or guesses could be tried here without end. */
static void a_proof_is_no_oracle_for_guesses(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office.settings.auth_retry_ms = 60000;
    let_settings(&office);
    guest[0].from = "192.0.2.1:1";
    guest[1].from = "198.51.100.9:1";
    assert_int_equal(log_in(&office, &guest[0], "pw"), OK);
    office.refusal = REFUSED;
    assert_int_equal(log_in(&office, &guest[1], "guess1"), AUTH);
    assert_int_equal(log_in(&office, &guest[1], "guess2"), AUTH);
    int before = logins_seen(&office);
    guest[1].logins_n = 0;
    login_with(&office, &guest[1], "pw"); /* proven just now */
    office_run_ms(&office, 200);
    assert_int_equal(guest[1].logins_n, 0);
    account_login_cancel(&guest[1].login);
    assert_int_equal(logins_seen(&office), before);
    /* whom the login came in from before is not held up by that */
    guest[1].from = "192.0.2.1:2";
    assert_int_equal(log_in(&office, &guest[1], "pw"), OK);
    end(&office);
}

static void who_is_held_comes_in_when_there_is_room(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office.settings.auth_failures_per_login = 600; /* one each 100 ms */
    office.settings.auth_failures_per_address = 1; /* none after the first */
    let_settings(&office);
    office_rule_add(&office, BY_WRONG, REFUSED, 0);
    assert_int_equal(log_in(&office, &guest[0], "wrong"), AUTH);
    guest[0].logins_n = 0;
    login_with(&office, &guest[0], "pw"); /* would wait a minute: told at once */
    office_run(&office, logged_in);
    assert_int_equal(guest[0].login_st, LIMIT);
    office.settings.auth_failures_per_address = 300; /* one each 200 ms */
    let_settings(&office);
    assert_int_equal(log_in(&office, &guest[0], "pw"), OK);
    assert_int_equal(stats_get(&office.stats, STAT_logins_held), 1);
    end(&office);
}

static void those_held_are_few_and_can_leave(void **state)
{
    struct office office;
    struct login_request *held[20] = {NULL};
    struct netaddr from;
    (void)state;
    setup(&office);
    office.settings.auth_failures_per_login = 3;
    office.settings.auth_retry_ms = 60000;
    let_settings(&office);
    office.refusal = REFUSED;
    assert_int_equal(log_in(&office, &guest[0], "1"), AUTH);
    assert_int_equal(log_in(&office, &guest[0], "2"), AUTH);
    assert_int_equal(log_in(&office, &guest[0], "3"), AUTH);
    assert_true(netaddr_parse("192.0.2.1:1000", &from));
    const struct link_login login = {.authcid = SLICE("joe"), .password = SLICE("pw")};
    guest[0].logins_n = 0;
    for (int i = 0; i < 20; i++) {
        held[i] = account_login(office.accounts, &login, &from, on_login, &guest[0]);
    }
    office_run_ms(&office, 50);
    assert_int_equal(guest[0].logins_n, 16); /* LIMIT */
    assert_int_equal(guest[0].login_st, LIMIT);
    for (int i = 0; i < 4; i++) {
        account_login_cancel(&held[i]);
    }
    guest[0].login = NULL;
    end(&office);
}

/* One at a time, whatever the number of different secrets; a crowd is turned away. */
static void verifications_queue(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office.settings.auth_failures_per_login = 0;
    let_settings(&office);
    office_rule_add(&office, BY_WRONG, "* OK wait\r\n", 0); /* never answered */
    login_with(&office, &guest[0], "wrong");
    login_with(&office, &guest[1], "pw");
    office_run_ms(&office, 100);
    assert_int_equal(guest[1].logins_n, 0);
    assert_int_equal(office.peers_n, 1);
    account_login_cancel(&guest[0].login);
    office_cut(&office.peer[0]);
    office_run(&office, second_logged_in);
    assert_int_equal(guest[1].login_st, OK);
    end(&office);
}

static void a_crowd_of_secrets_is_turned_away(void **state)
{
    struct office office;
    struct login_request *request[20];
    struct netaddr from;
    (void)state;
    setup(&office);
    office.settings.auth_failures_per_login = 0;
    let_settings(&office);
    office.refusal = "* OK wait\r\n"; /* never answered */
    assert_true(netaddr_parse("192.0.2.1:1000", &from));
    static char big[2000];
    memset(big, 'x', sizeof(big));
    for (int i = 0; i < 20; i++) {
        big[0] = (char)('a' + i);
        const struct link_login login = {.authcid = SLICE("joe"),
                                         .password = slice_of(big, sizeof(big))};
        request[i] = account_login(office.accounts, &login, &from, on_login, &guest[0]);
    }
    office_run_ms(&office, 1);
    assert_int_equal(guest[0].logins_n, 12);
    assert_int_equal(guest[0].login_st, LIMIT);
    for (int i = 0; i < 8; i++) {
        account_login_cancel(&request[i]);
    }
    guest[0].login = NULL;
    end(&office);
}

/* --- sharing ------------------------------------------------------------------------------------
 */

static void secrets_of_a_login_share_an_account_or_not(void **state)
{
    (void)state;
    for (int is_apart = 0; is_apart < 2; is_apart++) {
        struct office office;
        setup(&office);
        office.settings.auth_share_secret = is_apart;
        let_settings(&office);
        assert_int_equal(log_in(&office, &guest[0], "pw"), OK);
        assert_int_equal(log_in(&office, &guest[1], "pw2"), OK);
        assert_int_equal(guest[0].account != guest[1].account, is_apart);
        guest[2].logins_n = 0;
        login_with(&office, &guest[2], "pw");
        office_run_ms(&office, 30);
        assert_ptr_equal(guest[2].account, guest[0].account);
        end(&office);
    }
}

/* --- tokens -------------------------------------------------------------------------------------
 */

#define BY_T1 "AUTHENTICATE XOAUTH2 dXNlcj1qb2UBYXV0aD1CZWFyZXIgdDEBAQ=="
#define BY_T2 "AUTHENTICATE XOAUTH2 dXNlcj1qb2UBYXV0aD1CZWFyZXIgdDIBAQ=="

static void log_in_by(struct office *office, struct guest *g, const char *token)
{
    const struct link_login login = {
        .authcid = SLICE("joe"), .password = slice_str(token), .mech = SASL_XOAUTH2};
    struct netaddr from;
    assert_true(netaddr_parse("192.0.2.1:1000", &from));
    g->account_user.revoked = on_revoked;
    g->feed_user =
        (struct feed_user){.changed = on_changed, .gone = on_gone, .holds_dead = on_holds_dead};
    g->logins_n = 0;
    g->login = account_login(office->accounts, &login, &from, on_login, g);
}

/* The older one has expired: links come back with the newest, its own session has to log in anew,
 * and what is known of the mailbox stays. */
static void links_come_back_with_the_newest_token(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office.settings.auth_reverify_ms = 400;
    office.settings.auth_retry_ms = 600; /* a sixth of it for tokens */
    let_settings(&office);
    office_rule_add(&office, "SELECT",
                    "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n"
                    "* OK [UIDNEXT 1] x\r\n$ OK [READ-WRITE] x\r\n",
                    0);
    log_in_by(&office, &guest[0], "t1");
    office_run(&office, logged_in);
    assert_int_equal(guest[0].login_st, OK);
    log_in_by(&office, &guest[1], "t2");
    office_run(&office, all_logged_in);
    assert_int_equal(guest[1].login_st, OK);
    open_box(&office);
    assert_int_equal(guest[0].open_st, OK);
    office_rule_add(&office, BY_T1, REFUSED, 0);
    struct mailbox *model = box();
    for (size_t i = 0; i < office.peers_n; i++) {
        office_cut(&office.peer[i]);
    }
    office_run_ms(&office, 100);
    refresh(&office); /* by t2 */
    assert_int_equal(guest[0].refresh_st, OK);
    office_run(&office, first_revoked);
    assert_int_equal(guest[1].revoked_n, 0);
    guest[1].opens_n = 0;
    guest[1].open = feed_open(guest[1].account, SLICE("INBOX"), on_open, &guest[1]);
    office_run_ms(&office, 100);
    assert_int_equal(guest[1].open_st, OK);
    assert_ptr_equal(feed_mailbox(guest[1].feed_user.feed), model);
    end(&office);
}

static void a_token_and_a_password_of_the_same_octets_are_two_secrets(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    assert_int_equal(log_in(&office, &guest[0], "t1"), OK);
    office_rule_add(&office, BY_T1, REFUSED, 0);
    log_in_by(&office, &guest[1], "t1");
    office_run(&office, all_logged_in);
    assert_int_equal(guest[1].login_st, AUTH);
    end(&office);
}

static void a_token_before_an_upstream_without(void **state)
{
    struct office office;
    (void)state;
    setup(&office);
    office.caps = "IMAP4rev1 SASL-IR AUTH=PLAIN";
    log_in_by(&office, &guest[0], "t1");
    office_run(&office, logged_in);
    assert_int_equal(guest[0].login_st, DENIED);
    assert_int_equal(logins_seen(&office), 0);
    struct login_offers offers = accounts_offers(office.accounts);
    assert_true(offers.has_password);
    assert_false(offers.has_xoauth2);
    office.caps = CAPS;
    log_in_by(&office, &guest[0], "t1");
    office_run(&office, logged_in);
    assert_int_equal(guest[0].login_st, OK);
    offers = accounts_offers(office.accounts);
    assert_true(offers.has_xoauth2);
    assert_false(offers.has_oauthbearer);
    assert_false(offers.has_login_mechanism);
    end(&office);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_secret_is_verified_again_by_itself),
        cmocka_unit_test(what_does_not_speak_of_the_secret_throws_nobody_out),
        cmocka_unit_test(one_refusal_and_then_acceptance_is_forgotten),
        cmocka_unit_test(nothing_is_verified_that_nobody_hangs_on),
        cmocka_unit_test(a_link_refused_is_looked_into),
        cmocka_unit_test(a_suspect_secret_is_asked_about),
        cmocka_unit_test(a_refusal_is_repeated_as_late_as_it_came),
        cmocka_unit_test(a_refusal_is_asked_about_again_after_a_while),
        cmocka_unit_test(what_is_no_refusal_is_not_repeated),
        cmocka_unit_test(a_proof_is_no_oracle_for_guesses),
        cmocka_unit_test(who_is_held_comes_in_when_there_is_room),
        cmocka_unit_test(those_held_are_few_and_can_leave),
        cmocka_unit_test(verifications_queue),
        cmocka_unit_test(a_crowd_of_secrets_is_turned_away),
        cmocka_unit_test(secrets_of_a_login_share_an_account_or_not),
        cmocka_unit_test(links_come_back_with_the_newest_token),
        cmocka_unit_test(a_token_and_a_password_of_the_same_octets_are_two_secrets),
        cmocka_unit_test(a_token_before_an_upstream_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
