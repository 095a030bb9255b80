/* Which link a command goes over, and what its answers are worth; secrets that links log in with. */
#include "guest_fixture.h"

#define BOX(uidvalidity, uidnext)                                                                  \
    "* 0 EXISTS\r\n* OK [UIDVALIDITY " uidvalidity "] x\r\n* OK [UIDNEXT " uidnext "] x\r\n"       \
    "* OK [HIGHESTMODSEQ 10] x\r\n$ OK [READ-WRITE] done\r\n"

static bool both_opened(struct office *office)
{
    (void)office;
    return guest[0].opens_n > 0 && guest[1].opens_n > 0;
}

static bool both_requested(struct office *office)
{
    (void)office;
    return guest[0].requests_n > 0 && guest[1].requests_n > 0;
}

/* Two guests in two mailboxes, "One" and "Two". */
static void open_two(struct office *office)
{
    login(office);
    guest[1].account_user.revoked = on_revoked;
    guest[1].feed_user = (struct feed_user){
        .changed = on_changed, .gone = on_gone, .holds_dead = on_holds_dead};
    guest[1].account = guest[0].account;
    account_attach(guest[1].account, guest[0].account_user.proof, &guest[1].account_user);
    office_rule_add(office, "SELECT \"One\"", BOX("7", "4"), 0);
    office_rule_add(office, "SELECT \"Two\"", BOX("9", "4"), 0);
    guest[0].open = feed_open(guest[0].account, SLICE("One"), on_open, &guest[0]);
    guest[1].open = feed_open(guest[1].account, SLICE("Two"), on_open, &guest[1]);
    office_run(office, both_opened);
    assert_int_equal(guest[0].open_st, OK);
    assert_int_equal(guest[1].open_st, OK);
}

static void ask_bulk(struct guest *g)
{
    struct outcmd cmd;
    const struct destination to = {
        .route = ROUTE_BULK, .feed = g->feed_user.feed, .highest_uid = 3};
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID FETCH 1:3 (UID BODY.PEEK[])");
    g->requests_n = 0;
    g->request = account_request(g->account, to, &cmd, &request_ops, g);
    outcmd_fini(&cmd);
}

/* What the server says of the first mailbox is not taken for the second's. */
static void test_two_examines_under_way(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office.upstream.max_connections = 3; /* two feeds, one bulk link */
    open_two(&office);
    office_rule_add(&office, "EXAMINE \"One\"", BOX("7", "400"), 0);
    office_rule_add(&office, "EXAMINE \"Two\"", BOX("9", "4"), 0);
    for (int turn = 0; turn < 2; turn++) {
        ask_bulk(&guest[0]);
        ask_bulk(&guest[1]);
        office_run(&office, both_requested);
        assert_int_equal(guest[0].request_st, OK);
        assert_int_equal(guest[1].request_st, OK);
    }
    assert_int_equal(office.peers_n, 3);
    end(&office);
}

/* The second one is refused, or shows another mailbox: only its answers are worth nothing. */
static void test_answers_behind_a_failed_examine(void **state)
{
    static const char *const answers[] = {"$ NO no\r\n", BOX("8", "4")};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct office office;
        begin(&office);
        office.upstream.max_connections = 3;
        open_two(&office);
        office_rule_add(&office, "EXAMINE \"One\"", BOX("7", "4"), 0);
        office_rule_add(&office, "EXAMINE \"Two\"", answers[i], 1);
        office_rule_add(&office, "EXAMINE \"Two\"", BOX("9", "4"), 0);
        ask_bulk(&guest[0]);
        ask_bulk(&guest[1]);
        office_run(&office, both_requested);
        assert_int_equal(guest[0].request_st, OK);
        assert_int_equal(guest[1].request_st, CANCELED);
        ask_bulk(&guest[1]);
        office_run(&office, both_requested);
        assert_int_equal(guest[1].request_st, OK);
        end(&office);
    }
}

/* Courier refuses an APPEND to the mailbox that its link has EXAMINEd. */
static void test_upload_leaves_what_its_link_has_examined(void **state)
{
    struct office office;
    const struct destination to = {.route = ROUTE_BULK};
    struct outcmd cmd;
    (void)state;
    begin(&office);
    office.upstream.max_connections = 3; /* two feeds, one bulk link */
    open_two(&office);
    office_rule_add(&office, "EXAMINE \"One\"", BOX("7", "4"), 0);
    ask_bulk(&guest[0]);
    office_run(&office, requested);
    for (int turn = 0; turn < 2; turn++) {
        outcmd_init(&cmd);
        outcmd_str(&cmd, "APPEND \"One\" \"x\"");
        guest[0].requests_n = 0;
        guest[0].request = account_request(guest[0].account, to, &cmd, &request_ops, &guest[0]);
        outcmd_fini(&cmd);
        office_run(&office, requested);
        assert_int_equal(guest[0].request_st, OK);
    }
    ask_bulk(&guest[0]); /* must not rely on the mailbox that was left */
    office_run(&office, requested);
    assert_int_equal(office.peers_n, 3);
    buf_add_char(&office.log, '\0');
    assert_non_null(strstr(office.log.data, "UID FETCH 1:3 (UID BODY.PEEK[]);CLOSE;APPEND \"One\" \"x\";"
                                            "APPEND \"One\" \"x\";EXAMINE \"One\";UID FETCH"));
    end(&office);
}

static void test_bulk_link_dies(void **state)
{
    static const char *const stages[] = {"EXAMINE", "UID FETCH"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct office office;
        begin(&office);
        open_two(&office);
        office_rule_add(&office, stages[i], "!", 1);
        office_rule_add(&office, "EXAMINE \"One\"", BOX("7", "4"), 0);
        ask_bulk(&guest[0]);
        ask_bulk(&guest[0]); /* the first of the two is nobody's now, but completes */
        office_run(&office, requested);
        office_run_ms(&office, 50);
        assert_int_equal(guest[0].requests_n, 2);
        assert_int_not_equal(guest[0].request_st, OK);
        ask_bulk(&guest[0]);
        office_run(&office, requested);
        assert_int_equal(guest[0].request_st, OK);
        end(&office);
    }
}

/* A canceled command does not keep its link for ever. */
static void test_link_of_a_canceled_command_is_closed(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office.upstream.bulk_linger_ms = 50;
    open_two(&office);
    office_rule_add(&office, "EXAMINE \"One\"", BOX("7", "4"), 0);
    ask_bulk(&guest[0]);
    office_run(&office, requested);
    size_t bulk = office.peers_n - 1;
    assert_non_null(office.peer[bulk].conn);
    ask_bulk(&guest[0]);
    account_request_cancel(&guest[0].request);
    office_run_ms(&office, 300);
    assert_null(office.peer[bulk].conn);
    end(&office);
}

static void test_feed_gets_room_from_an_unused_bulk_link(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office.upstream.max_connections = 3;
    open_two(&office);
    office_rule_add(&office, "EXAMINE \"One\"", BOX("7", "4"), 0);
    ask_bulk(&guest[0]);
    office_run(&office, requested);
    guest[0].opens_n = 0;
    leave(&guest[0]); /* stays live, but another may have its link; so a third user holds it */
    guest[0].open = feed_open(guest[0].account, SLICE("One"), on_open, &guest[0]);
    office_run(&office, opened);
    guest[2].feed_user = guest[1].feed_user;
    guest[2].feed_user.feed = NULL;
    guest[2].account = guest[0].account;
    office_rule_add(&office, "SELECT \"Three\"", BOX("5", "4"), 0);
    guest[2].open = feed_open(guest[0].account, SLICE("Three"), on_open, &guest[2]);
    office_run_ms(&office, 200);
    assert_int_equal(guest[2].opens_n, 1);
    assert_int_equal(guest[2].open_st, OK);
    end(&office);
}

/* --- secrets --- */

#define PLAIN_PW2 "AUTHENTICATE PLAIN AGpvZQBwdzI=" /* joe, pw2 */
#define REFUSED "$ NO [AUTHENTICATIONFAILED] no\r\n"

/* A secret that is refused now is not tried again; another one that was proven is. */
static void test_links_change_to_another_secret(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office_rule_add(&office, "SELECT", BOX("7", "4"), 0);
    login(&office);
    guest[0].logins_n = 0;
    login_with(&office, &guest[1], "pw2");
    office_run_ms(&office, 50);
    assert_int_equal(guest[1].login_st, OK);
    assert_non_null(guest[1].account);
    open_box(&office);
    office_rule_add(&office, PLAIN_PW2, REFUSED, 0);
    for (size_t i = 0; i < office.peers_n; i++) {
        office_cut(&office.peer[i]);
    }
    office_run_ms(&office, 1500); /* the first attempt with pw2, the next with pw */
    assert_int_equal(guest[0].revoked_n + guest[1].revoked_n, 0);
    refresh(&office);
    assert_int_equal(guest[0].refresh_st, OK);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run(&office, requested);
    assert_int_equal(guest[0].request_st, OK);
    end(&office);
}

/* One frightening NO does not throw an office out, nor is it asked for again at once. */
static void test_one_refusal_of_the_only_secret(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office_rule_add(&office, "SELECT", BOX("7", "4"), 0);
    login(&office);
    open_box(&office);
    office.refusal = REFUSED;
    office_cut(office_selected(&office));
    office_run_ms(&office, 100);
    size_t attempts = office.peers_n;
    office_run_ms(&office, 1500);
    assert_int_equal(office.peers_n, attempts);
    assert_int_equal(guest[0].revoked_n, 0);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run(&office, requested);
    assert_int_not_equal(guest[0].request_st, OK);
    end(&office);
}

/* A login that cannot be had now is tried twice, then nobody waits, until it can be had again. */
static void test_login_unavailable(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    login(&office);
    office.refusal = "$ NO [UNAVAILABLE] later\r\n";
    office_cut(&office.peer[0]);
    office_run_ms(&office, 20);
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run(&office, requested);
    assert_int_not_equal(guest[0].request_st, OK);
    assert_int_equal(office.peers_n, 3);
    assert_int_equal(guest[0].revoked_n, 0);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run_ms(&office, 20);
    assert_int_equal(guest[0].requests_n, 1);
    assert_int_not_equal(guest[0].request_st, OK);
    assert_int_equal(office.peers_n, 3);
    office.refusal = NULL;
    office_run_ms(&office, 1500);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run(&office, requested);
    assert_int_equal(guest[0].request_st, OK);
    end(&office);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_examines_under_way),
        cmocka_unit_test(test_answers_behind_a_failed_examine),
        cmocka_unit_test(test_upload_leaves_what_its_link_has_examined),
        cmocka_unit_test(test_bulk_link_dies),
        cmocka_unit_test(test_link_of_a_canceled_command_is_closed),
        cmocka_unit_test(test_feed_gets_room_from_an_unused_bulk_link),
        cmocka_unit_test(test_links_change_to_another_secret),
        cmocka_unit_test(test_one_refusal_of_the_only_secret),
        cmocka_unit_test(test_login_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
