/* Feeds against an upstream in the same loop: opening, the ladder, orders of untagged responses,
 * links lost at each stage, mailboxes that are not what they were. */
#include "../../../proxy/account/feed_p.h"
#include "guest_fixture.h"

static void expect_uids(const char *text)
{
    struct ranges uids;
    struct buf out;
    ranges_init(&uids, 0);
    buf_init(&out, 0);
    mailbox_scan_uids(box(), NULL, &uids);
    ranges_format(&uids, &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, text);
    buf_fini(&out);
    ranges_fini(&uids);
}

#define SELECTED(exists, uidnext, modseq)                                                          \
    "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n"                                  \
    "* OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] x\r\n* " exists " EXISTS\r\n* 0 RECENT\r\n"      \
    "* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT " uidnext "] x\r\n* OK [HIGHESTMODSEQ " modseq        \
    "] x\r\n$ OK [READ-WRITE] done\r\n"

#define THREE                                                                                      \
    "* 1 FETCH (UID 1 FLAGS () MODSEQ (3))\r\n* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (4))\r\n"     \
    "* 3 FETCH (UID 3 FLAGS () MODSEQ (5))\r\n$ OK done\r\n"

#define FILL "UID FETCH 1:* (UID FLAGS MODSEQ)"

static void open_three(struct office *office)
{
    login(office);
    office_rule_add(office, "SELECT", SELECTED("3", "4", "10"), 1);
    office_rule_add(office, FILL, THREE, 1);
    open_box(office);
    assert_int_equal(guest[0].open_st, OK);
    expect_uids("1:3");
}

/* --- logins --- */

static void test_two_logins_share_one_verification(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    login_with(&office, &guest[0], "pw");
    login_with(&office, &guest[1], "pw");
    office_run(&office, logged_in);
    office_run_ms(&office, 50);
    assert_int_equal(guest[1].login_st, OK);
    assert_int_equal(guest[1].logins_n, 1);
    assert_int_equal(office.peers_n, 1);
    login_with(&office, &guest[2], "pw"); /* proven just now */
    office_run_ms(&office, 50);
    assert_int_equal(guest[2].logins_n, 1);
    assert_int_equal(guest[2].login_st, OK);
    assert_int_equal(office.peers_n, 1);
    end(&office);
}

static void test_refused_login(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office.refusal = "$ NO [AUTHENTICATIONFAILED] no\r\n";
    login_with(&office, &guest[0], "bad");
    login_with(&office, &guest[1], "bad");
    office_run(&office, logged_in);
    office_run_ms(&office, 20);
    assert_int_equal(guest[0].login_st, AUTH);
    assert_int_equal(guest[1].login_st, AUTH);
    end(&office);
}

static void test_one_waiter_of_a_verification_leaves(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    login_with(&office, &guest[1], "pw");
    login_with(&office, &guest[0], "pw");
    account_login_cancel(&guest[1].login);
    office_run(&office, logged_in);
    assert_int_equal(guest[0].login_st, OK);
    assert_int_equal(guest[1].logins_n, 0);
    end(&office);
}

/* --- untagged responses while live --- */

static void test_vanished_of_known_and_unknown(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office_rule_add(&office, "UID FETCH 4:* (UID FLAGS MODSEQ)",
                    "* 3 FETCH (UID 5 FLAGS () MODSEQ (12))\r\n$ OK done\r\n", 1);
    office_push(&office, "* 5 EXISTS\r\n* VANISHED 2,4\r\n"); /* 4 was never in the model */
    refresh(&office);
    expect_uids("1,3,5");
    end(&office);
}

static void test_expunges_by_number(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office.caps = "IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS CONDSTORE";
    open_three(&office);
    office_rule_add(&office, "UID FETCH 4:* (UID FLAGS MODSEQ)",
                    "* 2 FETCH (UID 5 FLAGS () MODSEQ (12))\r\n$ OK done\r\n", 1);
    office_push(&office, "* 1 EXPUNGE\r\n* 4 EXISTS\r\n* 1 EXPUNGE\r\n* 2 EXPUNGE\r\n");
    refresh(&office);
    expect_uids("3,5");
    end(&office);
}

/* Flags of a message newer than one not fetched yet. */
static void test_flags_of_the_newest_come_first(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office_rule_add(&office, "UID FETCH 4:* (UID FLAGS MODSEQ)",
                    "* 5 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (13))\r\n"
                    "* 4 FETCH (UID 4 FLAGS () MODSEQ (11))\r\n"
                    "* 5 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (13))\r\n$ OK done\r\n",
                    1);
    office_push(&office, "* 5 EXISTS\r\n");
    refresh(&office);
    expect_uids("1:5");
    end(&office);
}

/* The server tells more than it has: SEARCH ALL has the last word, and what came after its line is
 * not forgotten. */
static void test_news_behind_a_search_line(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office_rule_add(&office, "UID SEARCH ALL",
                    "* SEARCH 1 3\r\n* 3 EXISTS\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID FETCH 4:* (UID FLAGS MODSEQ)",
                    "* 3 FETCH (UID 6 FLAGS () MODSEQ (13))\r\n$ OK done\r\n", 0);
    office_push(&office, "* 2 EXISTS\r\n"); /* shrank without a word */
    refresh(&office);
    expect_uids("1,3,6");
    end(&office);
}

/* Numbers are lost: an EXPUNGE then names nobody knows whom. */
static void test_expunge_after_numbers_were_lost(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office.caps = "IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS CONDSTORE";
    open_three(&office);
    office_rule_add(&office, "UID SEARCH ALL", "* SEARCH 3\r\n$ OK done\r\n", 1);
    office_push(&office, "* 2 EXISTS\r\n* 1 EXPUNGE\r\n"); /* 1 has gone, this is 2 */
    refresh(&office);
    expect_uids("3");
    end(&office);
}

/* A hole in the model is filled. */
static void test_a_missing_message_is_fetched(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    login(&office);
    office_rule_add(&office, "SELECT", SELECTED("3", "4", "10"), 1);
    office_rule_add(&office, FILL,
                    "* 1 FETCH (UID 1 FLAGS () MODSEQ (3))\r\n"
                    "* 3 FETCH (UID 3 FLAGS () MODSEQ (5))\r\n$ OK done\r\n",
                    1);
    office_rule_add(&office, "UID SEARCH ALL", "* SEARCH 1 2 3\r\n$ OK done\r\n", 0);
    office_rule_add(&office, "UID FETCH 2 ",
                    "* 2 FETCH (UID 2 FLAGS () MODSEQ (4))\r\n$ OK done\r\n", 0);
    open_box(&office);
    assert_int_equal(guest[0].open_st, OK);
    expect_uids("1:3");
    end(&office);
}

/* An EXPUNGE and new mail during the scan: the count is the same, the messages are not. */
static void test_expunge_during_the_scan(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office.caps = "IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS CONDSTORE";
    login(&office);
    office_rule_add(&office, "SELECT", SELECTED("3", "4", "10"), 1);
    office_rule_add(&office, FILL,
                    "* 1 FETCH (UID 1 FLAGS () MODSEQ (3))\r\n"
                    "* 2 FETCH (UID 2 FLAGS () MODSEQ (4))\r\n"
                    "* 3 FETCH (UID 3 FLAGS () MODSEQ (5))\r\n"
                    "* 1 EXPUNGE\r\n* 3 EXISTS\r\n$ OK done\r\n",
                    1);
    office_rule_add(&office, "UID SEARCH ALL", "* SEARCH 2 3 4\r\n$ OK done\r\n", 0);
    office_rule_add(&office, "UID FETCH 4",
                    "* 3 FETCH (UID 4 FLAGS () MODSEQ (6))\r\n$ OK done\r\n", 0);
    open_box(&office);
    assert_int_equal(guest[0].open_st, OK);
    expect_uids("2:4");
    end(&office);
}

/* --- links lost, the ladder --- */

static void cut_and_refresh(struct office *office)
{
    office_cut(office_selected(office));
    office_run_ms(office, 100);
    refresh(office);
    assert_int_equal(guest[0].refresh_st, OK);
}

static void test_t25_resync_by_qresync(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office_rule_add(&office, "SELECT", SELECTED("3", "6", "20"), 1);
    office_rule_add(&office, "UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 10 VANISHED)",
                    "* VANISHED (EARLIER) 2,4\r\n* 2 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (15))\r\n"
                    "* 3 FETCH (UID 5 FLAGS () MODSEQ (16))\r\n$ OK done\r\n",
                    1);
    cut_and_refresh(&office);
    expect_uids("1,3,5");
    assert_int_equal(mailbox_synced_modseq(box()), 20);
    end(&office);
}

static void test_resync_by_condstore(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office.caps = "IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS CONDSTORE";
    open_three(&office);
    office_rule_add(&office, "SELECT", SELECTED("3", "6", "20"), 1);
    office_rule_add(&office, "UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 10)",
                    "* 3 FETCH (UID 5 FLAGS () MODSEQ (16))\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID SEARCH ALL", "* SEARCH 1 3 5\r\n$ OK done\r\n", 1);
    cut_and_refresh(&office);
    expect_uids("1,3,5");
    end(&office);
}

static void test_resync_by_scan(void **state)
{
    struct office office;
    (void)state;
    static const char *const selected = "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n"
                                        "* OK [UIDNEXT 6] x\r\n$ OK [READ-WRITE] done\r\n";
    begin(&office);
    office.caps = "IMAP4rev1 SASL-IR IDLE UIDPLUS";
    login(&office);
    office_rule_add(&office, "SELECT", selected, 0);
    office_rule_add(&office, "UID FETCH 1:* (UID FLAGS)",
                    "* 1 FETCH (UID 1 FLAGS ())\r\n* 2 FETCH (UID 2 FLAGS ())\r\n$ OK done\r\n",
                    1);
    office_rule_add(&office, "UID FETCH 1:* (UID FLAGS)",
                    "* 1 FETCH (UID 2 FLAGS (\\Seen))\r\n* 2 FETCH (UID 5 FLAGS ())\r\n"
                    "$ OK done\r\n",
                    1);
    open_box(&office);
    expect_uids("1:2");
    cut_and_refresh(&office);
    expect_uids("2,5");
    end(&office);
}

/* A link that was up and is lost while it synchronises: once more, before anybody is told. */
static void test_lost_while_synchronising(void **state)
{
    static const char *const stages[] = {"SELECT", FILL};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct office office;
        begin(&office);
        login(&office);
        office_rule_add(&office, stages[i],
                        i == 0 ? "* 3 EXISTS\r\n!"
                               : "* 1 FETCH (UID 1 FLAGS () MODSEQ (3))\r\n!",
                        1);
        office_rule_add(&office, "SELECT", SELECTED("3", "4", "10"), 0);
        office_rule_add(&office, FILL, THREE, 0);
        open_box(&office);
        assert_int_equal(guest[0].open_st, OK);
        expect_uids("1:3");
        /* and what was half filled is logged to views again */
        office_rule_add(&office, "UID FETCH 4:* (UID FLAGS MODSEQ)",
                        "* 4 FETCH (UID 4 FLAGS () MODSEQ (12))\r\n$ OK done\r\n", 1);
        office_push(&office, "* 4 EXISTS\r\n");
        refresh(&office);
        assert_true(view_has_pending(guest[0].view, true));
        end(&office);
    }
}

/* Half a fill, then an empty mailbox, then mail: the view hears of it. */
static void test_lost_in_the_fill_then_empty(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    login(&office);
    office_rule_add(&office, FILL, "* 1 FETCH (UID 1 FLAGS () MODSEQ (3))\r\n!", 1);
    office_rule_add(&office, "SELECT", SELECTED("3", "4", "10"), 1);
    office_rule_add(&office, "SELECT", SELECTED("0", "4", "12"), 0);
    open_box(&office);
    if (guest[0].open_st != OK) {
        open_box(&office);
    }
    assert_int_equal(guest[0].open_st, OK);
    office_rule_add(&office, "UID FETCH 1:* (UID FLAGS MODSEQ)",
                    "* 1 FETCH (UID 4 FLAGS () MODSEQ (13))\r\n$ OK done\r\n", 1);
    office_push(&office, "* 1 EXISTS\r\n");
    refresh(&office);
    expect_uids("4");
    struct view_changes changes;
    view_changes_init(&changes);
    view_sync(guest[0].view, true, &changes);
    assert_true(changes.tells_exists);
    assert_int_equal(changes.exists, 1);
    view_changes_fini(&changes);
    end(&office);
}

static void test_a_write_waits_for_the_resync(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office_rule_add(&office, "SELECT", SELECTED("3", "4", "10"), 0);
    office_cut(office_selected(&office));
    office_run_ms(&office, 20);
    ask(&guest[0], ROUTE_FEED, guest[0].feed_user.feed, "UID STORE 1 +FLAGS (\\Seen)");
    office_run(&office, requested);
    assert_int_equal(guest[0].request_st, OK);
    end(&office);
}

/* The mailbox's link cannot be had again: what waits for it is told so. */
static void test_a_write_without_a_link(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office.refuses_connections = true;
    office_cut(office_selected(&office));
    ask(&guest[0], ROUTE_FEED, guest[0].feed_user.feed, "UID STORE 1 +FLAGS (\\Seen)");
    office_run(&office, requested);
    assert_int_not_equal(guest[0].request_st, OK);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run(&office, requested);
    assert_int_not_equal(guest[0].request_st, OK);
    refresh(&office);
    assert_int_not_equal(guest[0].refresh_st, OK);
    end(&office);
}

/* --- what a server may answer at the worst time --- */

static void test_uidvalidity_changes_while_live(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    guest[0].refresh = feed_refresh(guest[0].feed_user.feed, true, on_refresh, &guest[0]);
    office_push(&office, "* 1 FETCH (FLAGS (\\Seen))\r\n* OK [UIDVALIDITY 8] x\r\n");
    office_run(&office, gone);
    office_run_ms(&office, 20);
    assert_int_equal(guest[0].refreshes_n, 1);
    end(&office);
}

static void test_uidvalidity_changed_while_away(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office_rule_add(&office, "SELECT",
                    "* 3 EXISTS\r\n* OK [UIDVALIDITY 8] x\r\n$ OK [READ-WRITE] done\r\n", 1);
    office_cut(office_selected(&office));
    office_run(&office, gone);
    end(&office);
}

/* UIDNEXT fell: another mailbox of the same name, although UIDVALIDITY is the same (T6). */
static void test_uidnext_fell_while_away(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office_rule_add(&office, "SELECT", SELECTED("1", "2", "30"), 1);
    office_cut(office_selected(&office));
    office_run(&office, gone);
    end(&office);
}

static void test_search_and_probe_both_refused(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office_rule_add(&office, "UID SEARCH ALL", "$ NO [UNAVAILABLE] later\r\n", 1);
    office_rule_add(&office, "NOOP", "$ NO [UNAVAILABLE] later\r\n", 1);
    office_rule_add(&office, "SELECT", SELECTED("3", "4", "10"), 0);
    guest[0].refresh = feed_refresh(guest[0].feed_user.feed, true, on_refresh, &guest[0]);
    office_push(&office, "* 2 EXISTS\r\n");
    office_run(&office, refreshed);
    office_run_ms(&office, 1300); /* the feed comes back */
    refresh(&office);
    assert_int_equal(guest[0].refresh_st, OK);
    assert_int_equal(guest[0].gone_n, 0);
    end(&office);
}

static bool selects_anew(struct office *office)
{
    buf_reset(&office->log);
    refresh(office);
    office_run_ms(office, 20);
    return strstr(office_log(office), "SELECT") != NULL;
}

/* RFC 3501 7.1.2: "* NO Disk is 98% full, please delete unnecessary data", at each NOOP. */
static void test_warnings_without_end_are_looked_into_ever_more_rarely(void **state)
{
    static const uint64_t waits_s[] = {60, 120, 240, 480, 960, 1920, 3600, 3600};
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office_rule_add(&office, "SELECT", SELECTED("3", "4", "10"), 0);
    office_rule_add(&office, "NOOP", "* NO Disk is 98% full\r\n$ OK done\r\n", 0);
    struct feed_doubt *doubt = &guest[0].feed_user.feed->doubts[DOUBT_COMPLAINT];
    for (size_t i = 0; i < sizeof(waits_s) / sizeof(waits_s[0]); i++) {
        assert_true(selects_anew(&office));
        assert_int_equal(doubt->wait_ms, waits_s[i] * 1000);
        assert_false(selects_anew(&office));
        assert_true(doubt->next_ms > evloop_now_ms(office.loop) + doubt->wait_ms - 10000);
        doubt->next_ms = evloop_now_ms(office.loop); /* so long has it been */
    }
    assert_int_equal(guest[0].gone_n, 0);
    end(&office);
}

/* One NO that speaks of the moment does not throw the sessions out. */
static void test_reselect_unavailable_for_a_moment(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office_rule_add(&office, "SELECT", "$ NO [UNAVAILABLE] later\r\n", 1);
    office_rule_add(&office, "SELECT", SELECTED("3", "4", "10"), 0);
    office_cut(office_selected(&office));
    office_run_ms(&office, 1300);
    refresh(&office);
    assert_int_equal(guest[0].gone_n, 0);
    assert_int_equal(guest[0].refresh_st, OK);
    end(&office);
}

static void test_mailbox_gone_while_away(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    office_rule_add(&office, "SELECT", "$ NO [NONEXISTENT] no such mailbox\r\n", 0);
    office_cut(office_selected(&office));
    office_run(&office, gone);
    end(&office);
}

static void test_open_refused(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    login(&office);
    office_rule_add(&office, "SELECT", "$ NO [NONEXISTENT] no such mailbox\r\n", 0);
    open_box(&office);
    assert_int_equal(guest[0].open_st, DENIED);
    assert_string_equal(guest[0].text, "NO [NONEXISTENT] no such mailbox");
    end(&office);
}

/* --- a restart: what is kept --- */

static void restart(struct office *office)
{
    close_guest(&guest[0]);
    accounts_destroy(&office->accounts);
    office_run_ms(office, 20);
    store_close(&office->store);
    office_open_store(office);
    office_open_accounts(office);
    memset(guest, 0, sizeof(guest));
    office->rules_n = 0;
    login(office);
}

static void test_kept_model_unchanged(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    restart(&office);
    office_rule_add(&office, "SELECT", SELECTED("3", "4", "10"), 1);
    office_rule_add(&office, FILL, "$ NO not asked\r\n", 0);
    open_box(&office);
    assert_int_equal(guest[0].open_st, OK);
    expect_uids("1:3");
    end(&office);
}

static void test_kept_model_of_another_mailbox(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    restart(&office);
    office_rule_add(&office, "SELECT", SELECTED("1", "2", "10"), 1);
    office_rule_add(&office, FILL, "* 1 FETCH (UID 1 FLAGS () MODSEQ (3))\r\n$ OK done\r\n", 1);
    open_box(&office);
    assert_int_equal(guest[0].open_st, OK);
    expect_uids("1");
    end(&office);
}

/* --- deleted under its own session --- */

static void test_name_deleted(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    open_three(&office);
    const struct name_change change = {.verb = NAME_DELETE, .name = SLICE("INBOX")};
    account_names_changed(guest[0].account, &change);
    assert_int_equal(guest[0].gone_n, 1);
    office_run_ms(&office, 20);
    end(&office);
}

/* --- budget --- */

static void test_one_connection_only(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    office.upstream.max_connections = 1;
    open_three(&office);
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run(&office, requested);
    assert_int_equal(guest[0].request_st, OK);
    guest[0].requests_n = 0;
    ask(&guest[0], ROUTE_BULK, guest[0].feed_user.feed, "UID FETCH 1 (UID)");
    office_run(&office, requested);
    assert_int_equal(guest[0].request_st, OK);
    assert_int_equal(office.peers_n, 1);
    office_cut(office_selected(&office));
    office_rule_add(&office, "SELECT", SELECTED("3", "4", "10"), 0);
    guest[0].requests_n = 0;
    office_run_ms(&office, 5);
    ask(&guest[0], ROUTE_ANY, NULL, "LIST \"\" *");
    office_run(&office, requested);
    assert_int_equal(guest[0].request_st, OK);
    assert_int_equal(office.peers_n, 2);
    end(&office);
}

/* CREATE x/ makes x: what was open under x/ is looked at as one below x, and ends but once. */
static void test_t6_a_name_with_the_delimiter_at_its_end(void **state)
{
    struct office office;
    (void)state;
    begin(&office);
    login(&office);
    office_rule_add(&office, "SELECT", SELECTED("0", "4", "10"), 0);
    guest[0].open = feed_open(guest[0].account, SLICE("x/"), on_open, &guest[0]);
    office_run(&office, complete);
    leave(&guest[0]);
    const struct name_change change = {.verb = NAME_CREATE, .name = SLICE("x/")};
    account_names_changed(guest[0].account, &change);
    assert_null(account_find_feed(guest[0].account, SLICE("x/")));
    end(&office);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_logins_share_one_verification),
        cmocka_unit_test(test_refused_login),
        cmocka_unit_test(test_one_waiter_of_a_verification_leaves),
        cmocka_unit_test(test_vanished_of_known_and_unknown),
        cmocka_unit_test(test_expunges_by_number),
        cmocka_unit_test(test_flags_of_the_newest_come_first),
        cmocka_unit_test(test_news_behind_a_search_line),
        cmocka_unit_test(test_expunge_after_numbers_were_lost),
        cmocka_unit_test(test_a_missing_message_is_fetched),
        cmocka_unit_test(test_expunge_during_the_scan),
        cmocka_unit_test(test_t25_resync_by_qresync),
        cmocka_unit_test(test_resync_by_condstore),
        cmocka_unit_test(test_resync_by_scan),
        cmocka_unit_test(test_lost_while_synchronising),
        cmocka_unit_test(test_lost_in_the_fill_then_empty),
        cmocka_unit_test(test_a_write_waits_for_the_resync),
        cmocka_unit_test(test_a_write_without_a_link),
        cmocka_unit_test(test_uidvalidity_changes_while_live),
        cmocka_unit_test(test_uidvalidity_changed_while_away),
        cmocka_unit_test(test_uidnext_fell_while_away),
        cmocka_unit_test(test_search_and_probe_both_refused),
        cmocka_unit_test(test_warnings_without_end_are_looked_into_ever_more_rarely),
        cmocka_unit_test(test_reselect_unavailable_for_a_moment),
        cmocka_unit_test(test_mailbox_gone_while_away),
        cmocka_unit_test(test_open_refused),
        cmocka_unit_test(test_kept_model_unchanged),
        cmocka_unit_test(test_kept_model_of_another_mailbox),
        cmocka_unit_test(test_name_deleted),
        cmocka_unit_test(test_one_connection_only),
        cmocka_unit_test(test_t6_a_name_with_the_delimiter_at_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
