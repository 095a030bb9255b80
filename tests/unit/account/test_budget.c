/* More mailboxes than links: who has one, who waits, who is parked (design section 8, protocol T28);
 * and links that cannot be had (design section 11, protocol T27). */
#include "guest_fixture.h"

#define BOX(uidvalidity, uidnext)                                                                  \
    "* 0 EXISTS\r\n* OK [UIDVALIDITY " uidvalidity "] x\r\n* OK [UIDNEXT " uidnext "] x\r\n"       \
    "* OK [HIGHESTMODSEQ 10] x\r\n$ OK [READ-WRITE] done\r\n"

static int open_n(const struct office *office)
{
    int n = 0;
    for (size_t i = 0; i < office->peers_n; i++) {
        n += office->peer[i].conn != NULL;
    }
    return n;
}

static struct guest *waited_for;

static bool it_has_opened(struct office *office)
{
    (void)office;
    return waited_for->opens_n > 0;
}

static bool it_was_answered(struct office *office)
{
    (void)office;
    return waited_for->requests_n > 0;
}

static bool it_has_heard(struct office *office)
{
    (void)office;
    return waited_for->changes_n > 0;
}

static void visit(struct office *office, int i, const char *name)
{
    struct guest *g = &guest[i];
    if (i > 0 && g->account == NULL) {
        g->account_user.revoked = on_revoked;
        g->feed_user = (struct feed_user){
            .changed = on_changed, .gone = on_gone, .holds_dead = on_holds_dead};
        g->account = guest[0].account;
        account_attach(g->account, guest[0].account_user.proof, &g->account_user);
    }
    g->opens_n = 0;
    g->open = feed_open(g->account, slice_str(name), on_open, g);
    waited_for = g;
    office_run(office, it_has_opened);
    assert_int_equal(g->open_st, OK);
}

static void ask_feed(struct office *office, int i, const char *text)
{
    struct guest *g = &guest[i];
    g->requests_n = 0;
    ask(g, ROUTE_FEED, g->feed_user.feed, text);
    waited_for = g;
    office_run(office, it_was_answered);
    assert_int_equal(g->request_st, OK);
}

static void begin_with(struct office *office, uint32_t connections)
{
    begin(office);
    office->upstream.max_connections = connections;
    office_rule_add(office, "SELECT \"One\"", BOX("7", "4"), 0);
    office_rule_add(office, "SELECT \"Two\"", BOX("9", "4"), 0);
    office_rule_add(office, "SELECT \"Three\"", BOX("5", "4"), 0);
    login(office);
}

/* One link serves three mailboxes in turn, everybody's commands are done. */
static void test_t28_three_mailboxes_on_one_link(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 1);
    visit(&office, 0, "One");
    visit(&office, 1, "Two");
    visit(&office, 2, "Three");
    for (int i = 0; i < 6; i++) {
        ask_feed(&office, i % 3, "UID STORE 1 FLAGS (\\Seen)");
    }
    assert_int_equal(office.peers_n, 1);
    assert_int_equal(guest[0].gone_n + guest[1].gone_n + guest[2].gone_n, 0);
    end(&office);
}

/* All three at once, and one of them never stops: nobody starves. */
static bool others_answered(struct office *office)
{
    (void)office;
    if (guest[0].requests_n > 0) {
        guest[0].requests_n = 0;
        ask(&guest[0], ROUTE_FEED, guest[0].feed_user.feed, "UID STORE 1 FLAGS (busy)");
    }
    return guest[1].requests_n > 0 && guest[2].requests_n > 0;
}

static void test_t28_a_busy_mailbox_lets_others_have_the_link(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 1);
    visit(&office, 0, "One");
    visit(&office, 1, "Two");
    visit(&office, 2, "Three");
    for (int i = 0; i < 3; i++) {
        guest[i].requests_n = 0;
        ask(&guest[i], ROUTE_FEED, guest[i].feed_user.feed, "UID STORE 1 FLAGS (x)");
    }
    office_run(&office, others_answered);
    assert_int_equal(guest[1].request_st, OK);
    assert_int_equal(guest[2].request_st, OK);
    assert_int_equal(office.peers_n, 1);
    end(&office);
}

/* Asked to give way while its command takes long; then whoever wanted the link has left. */
static void test_t28_who_gives_way_for_nobody_goes_on(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 1);
    visit(&office, 0, "One");
    office_rule_add(&office, "UID STORE 1 FLAGS (slow)", "", 1);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_FEED, guest[0].feed_user.feed, "UID STORE 1 FLAGS (slow)");
    guest[1].open = feed_open(guest[0].account, SLICE("Two"), on_open, &guest[1]);
    office_run_ms(&office, 1300);
    feed_open_cancel(&guest[1].open);
    office_run_ms(&office, 20);
    office_answer(&office.peer[0], office.peer[0].tag, "$ OK done\r\n");
    waited_for = &guest[0];
    office_run(&office, it_was_answered);
    ask_feed(&office, 0, "UID STORE 1 FLAGS (x)");
    end(&office);
}

/* With a link each nobody is parked, a third mailbox takes the one that came last. */
static void test_t28_the_first_mailbox_keeps_its_link(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 2);
    visit(&office, 0, "One");
    visit(&office, 1, "Two");
    assert_int_equal(open_n(&office), 2);
    visit(&office, 2, "Three");
    office.log.len = 0;
    for (int i = 0; i < 3; i++) {
        ask_feed(&office, 1, "UID STORE 1 FLAGS (\\Seen)");
        ask_feed(&office, 2, "UID STORE 1 FLAGS (\\Seen)");
        ask_feed(&office, 0, "UID STORE 1 FLAGS (\\Seen)");
    }
    assert_null(strstr(office_log(&office), "SELECT \"One\""));
    assert_non_null(strstr(office_log(&office), "SELECT \"Two\""));
    assert_int_equal(office.peers_n, 2);
    end(&office);
}

/* Unused ones go first, and what is known of them stays: opened again they are not read anew. */
static void test_an_unused_mailbox_gives_way_first(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 2);
    visit(&office, 0, "One");
    visit(&office, 1, "Two");
    leave(&guest[0]);
    visit(&office, 2, "Three");
    office.log.len = 0;
    ask_feed(&office, 1, "UID STORE 1 FLAGS (\\Seen)");
    assert_null(strstr(office_log(&office), "SELECT"));
    end(&office);
}

/* An upload gets a link though all there are had mailboxes. */
static void on_want_data(void *arg, struct upcmd *cmd)
{
    (void)arg;
    assert_int_equal(link_stream_write(cmd, SLICE("x hello")), 7);
}

static void test_t28_an_upload_parks_a_mailbox(void **state)
{
    static const struct upcmd_ops ops = {.want_data = on_want_data, .done = on_request};
    struct office office;
    struct outcmd cmd;
    (void)state;
    begin_with(&office, 2);
    visit(&office, 0, "One");
    visit(&office, 1, "Two");
    outcmd_init(&cmd);
    outcmd_str(&cmd, "APPEND \"One\" ");
    office_rule_add(&office, "hello", "", 0);
    guest[0].requests_n = 0;
    guest[0].request = account_request_stream(guest[0].account, &cmd, 7, &ops, &guest[0]);
    waited_for = &guest[0];
    office_run(&office, it_was_answered);
    assert_int_equal(guest[0].request_st, OK);
    assert_int_equal(office.peers_n, 2);
    ask_feed(&office, 0, "UID STORE 1 FLAGS (\\Seen)");
    ask_feed(&office, 1, "UID STORE 1 FLAGS (\\Seen)");
    end(&office);
}

/* A name made anew with the UIDVALIDITY of the old: its views end. */
static void test_t6_name_made_again_while_parked(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office.upstream.max_connections = 1;
    office_rule_add(&office, "SELECT \"One\"", BOX("7", "40"), 1);
    office_rule_add(&office, "SELECT \"One\"", BOX("7", "4"), 0);
    office_rule_add(&office, "SELECT \"Two\"", BOX("9", "4"), 0);
    login(&office);
    visit(&office, 0, "One");
    visit(&office, 1, "Two");
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_BULK, guest[0].feed_user.feed, "UID FETCH 1 (BODY.PEEK[])");
    office_run(&office, gone);
    office_run(&office, requested);
    assert_int_not_equal(guest[0].request_st, OK);
    assert_null(strstr(office_log(&office), "UID FETCH 1 (BODY"));
    end(&office);
}

/* --- poison ----------------------------------------------------------------------------------- */

static bool both_answered(struct office *office)
{
    (void)office;
    return guest[0].requests_n > 0 && guest[1].requests_n > 0;
}

/* Of two commands on a link that dies the first is what it may have died of, the other is not. */
static void test_only_the_first_command_is_blamed(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 2);
    visit(&office, 0, "One");
    visit(&office, 1, "One");
    office_rule_add(&office, "UID STORE 1 ", "!", 0);
    guest[0].requests_n = guest[1].requests_n = 0;
    ask(&guest[0], ROUTE_FEED, guest[0].feed_user.feed, "UID STORE 1 FLAGS (poison)");
    ask(&guest[1], ROUTE_FEED, guest[0].feed_user.feed, "UID STORE 2 FLAGS (good)");
    office_run(&office, both_answered);
    assert_int_not_equal(guest[0].request_st, OK);
    assert_int_not_equal(guest[0].request_st, AGAIN);
    assert_int_equal(guest[1].request_st, AGAIN);
    ask_feed(&office, 1, "UID STORE 2 FLAGS (good)");
    end(&office);
}

/* --- complaints ------------------------------------------------------------------------------- */

/* Gmail's words: the links there are do all the work, others are not tried. */
static void test_t28_too_many_connections_are_not_tried_again(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 4);
    visit(&office, 0, "One");
    office.refusal = "$ NO [ALERT] Too many simultaneous connections. (Failure)\r\n";
    visit(&office, 1, "Two");
    assert_int_equal(office.peers_n, 2);
    office.refusal = NULL;
    visit(&office, 2, "Three");
    for (int i = 0; i < 3; i++) {
        ask_feed(&office, i, "UID STORE 1 FLAGS (\\Seen)");
    }
    office_run_ms(&office, 400);
    assert_int_equal(office.peers_n, 2);
    assert_int_equal(stats_get(&office.stats, STAT_throttled), 1);
    end(&office);
}

/* Exchange's: whoever comes next waits as long as it says. */
static void test_t28_a_suggested_pause_is_kept(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 4);
    visit(&office, 0, "One");
    office_rule_add(&office, "LIST",
                    "$ BAD Request is throttled. Suggested Backoff Time: 400 milliseconds\r\n", 1);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run(&office, requested);
    uint64_t began = evloop_now_ms(office.loop);
    ask_feed(&office, 0, "UID STORE 1 FLAGS (\\Seen)");
    uint64_t took = evloop_now_ms(office.loop) - began;
    assert_true(took >= 300 && took < 3000);
    end(&office);
}

/* It hangs up, and is to be left alone for a minute: nobody waits that long. */
static void test_t28_a_long_pause_without_links_is_told(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 1);
    visit(&office, 0, "One");
    office_rule_add(&office, "UID STORE 1 FLAGS (heavy)",
                    "$ NO Request is throttled. Suggested Backoff Time: 60000 milliseconds\r\n!", 1);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_FEED, guest[0].feed_user.feed, "UID STORE 1 FLAGS (heavy)");
    waited_for = &guest[0];
    office_run(&office, it_was_answered);
    office_run_ms(&office, 50);
    guest[0].refreshes_n = 0;
    guest[0].refresh = feed_refresh(guest[0].feed_user.feed, true, on_refresh, &guest[0]);
    office_run_ms(&office, 10500);
    assert_int_equal(guest[0].refreshes_n, 1);
    assert_int_equal(guest[0].refresh_st, NETWORK);
    assert_int_equal(office.peers_n, 1);
    end(&office);
}

/* A pause longer than a client would wait is told it. */
static void test_t28_a_long_pause_is_told(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 4);
    visit(&office, 0, "One");
    office_rule_add(&office, "LIST",
                    "$ NO Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n", 1);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run(&office, requested);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run_ms(&office, 20);
    assert_int_equal(guest[0].requests_n, 1);
    assert_int_equal(guest[0].request_st, TIMEOUT);
    end(&office);
}

/* --- away ------------------------------------------------------------------------------------- */

/* Cut as often as one likes: while the server takes us again, a command only waits. */
static void test_t27_cuts_in_a_row_cost_only_time(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 2);
    visit(&office, 0, "One");
    for (int i = 0; i < 4; i++) {
        office_cut(office_selected(&office));
        office_run_ms(&office, 20);
        ask_feed(&office, 0, "UID STORE 1 FLAGS (\\Seen)");
    }
    end(&office);
}

static bool it_is_back(struct office *office)
{
    (void)office;
    return !feed_is_away(guest[0].feed_user.feed);
}

static void test_t27_two_failures_then_no_waiting(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 2);
    visit(&office, 0, "One");
    office.refuses_connections = true;
    office_cut(office_selected(&office));
    office_run_ms(&office, 20);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_FEED, guest[0].feed_user.feed, "UID STORE 1 FLAGS (\\Seen)");
    office_run(&office, requested);
    assert_int_not_equal(guest[0].request_st, OK);
    assert_true(feed_is_away(guest[0].feed_user.feed));
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_FEED, guest[0].feed_user.feed, "UID STORE 1 FLAGS (\\Seen)");
    office_run_ms(&office, 10);
    assert_int_equal(guest[0].requests_n, 1); /* at once */
    /* After a while the mailbox is shown as it was, to be read only. */
    visit(&office, 1, "One");
    assert_false(feed_is_writable(guest[1].feed_user.feed));
    guest[2].account = guest[0].account;
    guest[2].open = feed_open(guest[0].account, SLICE("Two"), on_open, &guest[2]);
    office_run_ms(&office, 10);
    assert_int_equal(guest[2].opens_n, 1);
    assert_int_equal(guest[2].open_st, NETWORK);
    office.refuses_connections = false;
    office_run(&office, it_is_back);
    ask_feed(&office, 0, "UID STORE 1 FLAGS (\\Seen)");
    guest[2].account = NULL;
    end(&office);
}

/* A mailbox that was left stays readable, too, for as long as proofs are good. */
static void test_t27_a_mailbox_left_before_is_readable(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, 2);
    visit(&office, 0, "One");
    leave(&guest[0]);
    office.refuses_connections = true;
    for (size_t i = 0; i < office.peers_n; i++) {
        office_cut(&office.peer[i]);
    }
    office_run_ms(&office, 50);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run(&office, requested);
    assert_int_not_equal(guest[0].request_st, OK);
    visit(&office, 0, "One");
    assert_false(feed_is_writable(guest[0].feed_user.feed));
    end(&office);
}

/* What happened while the link was away is told when it is back. */
static void test_t27_differences_are_told_after_the_return(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office_rule_add(&office, "SELECT", BOX("7", "4"), 1);
    office_rule_add(&office, "SELECT",
                    "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 5] x\r\n"
                    "* OK [HIGHESTMODSEQ 11] x\r\n$ OK [READ-WRITE] done\r\n", 0);
    office_rule_add(&office, "UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE",
                    "* 1 FETCH (UID 4 FLAGS () MODSEQ (11))\r\n$ OK done\r\n", 0);
    login(&office);
    open_box(&office);
    guest[0].changes_n = 0;
    office.refuses_connections = true;
    office_cut(office_selected(&office));
    office_run_ms(&office, 600);
    office.refuses_connections = false;
    waited_for = &guest[0];
    office_run(&office, it_has_heard);
    assert_int_equal(mailbox_exists(box()), 1);
    end(&office);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_t28_three_mailboxes_on_one_link),
        cmocka_unit_test(test_t28_a_busy_mailbox_lets_others_have_the_link),
        cmocka_unit_test(test_t28_who_gives_way_for_nobody_goes_on),
        cmocka_unit_test(test_t28_the_first_mailbox_keeps_its_link),
        cmocka_unit_test(test_an_unused_mailbox_gives_way_first),
        cmocka_unit_test(test_t28_an_upload_parks_a_mailbox),
        cmocka_unit_test(test_t6_name_made_again_while_parked),
        cmocka_unit_test(test_t28_too_many_connections_are_not_tried_again),
        cmocka_unit_test(test_t28_a_suggested_pause_is_kept),
        cmocka_unit_test(test_t28_a_long_pause_is_told),
        cmocka_unit_test(test_t28_a_long_pause_without_links_is_told),
        cmocka_unit_test(test_only_the_first_command_is_blamed),
        cmocka_unit_test(test_t27_cuts_in_a_row_cost_only_time),
        cmocka_unit_test(test_t27_two_failures_then_no_waiting),
        cmocka_unit_test(test_t27_a_mailbox_left_before_is_readable),
        cmocka_unit_test(test_t27_differences_are_told_after_the_return),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
