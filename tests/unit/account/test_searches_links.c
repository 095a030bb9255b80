/* Searches of many messages: cut to what a server takes in a line, bodies over a link of their own. */
#include "../../../proxy/account/searches_p.h"
#include "searches_fixture.h"

#define MESSAGES 3000

/* UIDs 1001, 1002 ... */
static void begin_large(struct office *office, const char *caps, struct buf *fill)
{
    begin(office);
    memset(asker, 0, sizeof(asker));
    arena_init(&parts_arena, 1 << 20);
    buf_init(fill, 0);
    for (unsigned i = 1; i <= MESSAGES; i++) {
        buf_printf(fill, "* %u FETCH (UID %u FLAGS () MODSEQ (3))\r\n", i, 1000 + i);
    }
    buf_add_str(fill, "$ OK done\r\n");
    buf_add_char(fill, '\0');
    office->caps = caps;
    office->settings.search_remember = 256;
    office->upstream.search_map_from = 0;
    login(office);
    office_rule_add(office, "SELECT", SELECTED("3000", "7", "4001"), 0);
    office_rule_add(office, FILL, fill->data, 1);
    open_box(office);
    assert_int_equal(guest[0].open_st, OK);
    assert_int_equal(mailbox_exists(box()), MESSAGES);
    buf_reset(&office->log);
}

static void finish_large(struct office *office, struct buf *fill)
{
    finish(office);
    buf_fini(fill);
}

/* How often @text stands in the log. */
static int times(struct office *office, const char *text)
{
    int n = 0;
    for (const char *at = office_log(office); (at = strstr(at, text)) != NULL; at++) {
        n++;
    }
    return n;
}

/* Every second message. */
static void ask_scattered(int n, const char *criteria)
{
    struct bitmap *uids = bitmap_create();
    const struct search_part part = part_of(criteria);
    for (uint32_t uid = 1001; uid <= 4000; uid += 2) {
        bitmap_add(uids, uid, uid);
    }
    asker[n].ask = searches_ask(searches(), &part, SLICE(""), uids, on_answer, &asker[n]);
    bitmap_destroy(&uids);
}

static void test_cut_into_lines(void **state)
{
    struct office office;
    struct buf fill;
    (void)state;
    begin_large(&office, CAPS " ESEARCH", &fill);
    office_rule_add(&office, "UID SEARCH RETURN (ALL) UID 1001,1003",
                    "* ESEARCH (TAG \"$\") UID ALL 1003,1004\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID SEARCH",
                    "* ESEARCH (TAG \"$\") UID ALL 3999\r\n$ OK done\r\n", 1);
    ask_scattered(0, "FROM a");
    office_run(&office, answered);
    assert_int_equal(asker[0].status, OK);
    assert_string_equal(asker[0].hit, "1003,3999");
    assert_int_equal(times(&office, "UID SEARCH"), 2); /* 1,500 UIDs, five octets each */
    assert_int_equal(times(&office, ",3999 FROM"), 1);
    finish_large(&office, &fill);
}

/* What a client may make of it is bounded: long criteria are not repeated a hundred times. */
static void test_long_criteria_of_many_runs(void **state)
{
    struct office office;
    struct buf fill;
    (void)state;
    begin_large(&office, CAPS, &fill);
    struct ranges runs;
    ranges_init(&runs, 0);
    for (uint32_t uid = 1001; uid <= 4000; uid += 2) {
        ranges_add(&runs, uid, uid);
    }
    searches__widen(guest[0].feed_user.feed, 1 << 20, &runs);
    assert_int_equal(runs.n, 1500);
    searches__widen(guest[0].feed_user.feed, 3 << 20, &runs);
    assert_int_equal(runs.n, 1);
    assert_int_equal(runs.at[0].first, 1001);
    assert_int_equal(runs.at[0].last, 3999);
    ranges_fini(&runs);
    finish_large(&office, &fill);
}

/* RFC 9738: no command names more messages than the server works on. */
static void test_messagelimit(void **state)
{
    struct office office;
    struct buf fill;
    (void)state;
    begin_large(&office, CAPS " ESEARCH MESSAGELIMIT=1000", &fill);
    office_rule_add(&office, "UID SEARCH", "* ESEARCH (TAG \"$\") UID\r\n$ OK done\r\n", 0);
    find_out(&office, "FROM a", "1001:3500");
    assert_string_equal(office_log(&office),
                        "UID SEARCH RETURN (ALL) UID 1001:2000 FROM \"a\";"
                        "UID SEARCH RETURN (ALL) UID 2001:3000 FROM \"a\";"
                        "UID SEARCH RETURN (ALL) UID 3001:3500 FROM \"a\";");
    finish_large(&office, &fill);
}

static void test_bodies_over_another_link(void **state)
{
    struct office office;
    struct buf fill;
    (void)state;
    begin_large(&office, CAPS, &fill);
    office_rule_add(&office, "EXAMINE", SELECTED("3000", "7", "4001"), 0);
    office_rule_add(&office, "UID SEARCH", "* SEARCH 1002\r\n$ OK done\r\n", 0);
    find_out(&office, "BODY a", "1001:1501");
    assert_string_equal(asker[0].hit, "1002");
    assert_int_equal(office.peers_n, 2);
    assert_int_equal(times(&office, "EXAMINE \"INBOX\";UID SEARCH UID 1001:1501 BODY"), 1);
    buf_reset(&office.log);
    ask_about(0, "BODY b", "1001:1500"); /* few of them: where the mailbox is selected */
    ask_about(1, "FROM b", "1001:4000");
    ask_about(2, "OR TEXT x FROM b", "1001:4000"); /* that link knows the mailbox by now */
    office_run(&office, answered);
    assert_int_equal(times(&office, "EXAMINE"), 0);
    assert_string_equal(known_of("OR TEXT x FROM b"), "1001:4000 / 1002");
    finish_large(&office, &fill);
}

/* One connection only, and one whose link for bodies is lost or has another mailbox: the answer comes. */
static void test_bodies_where_there_is_no_other_link(void **state)
{
    static const char *const examined[] = {"!", "$ NO not now\r\n", SELECTED("3000", "8", "4001"),
                                           NULL};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct office office;
        struct buf fill;
        begin_large(&office, CAPS, &fill);
        if (examined[i] == NULL) {
            office.upstream.max_connections = 1;
        } else {
            office_rule_add(&office, "EXAMINE", examined[i], 0);
        }
        office_rule_add(&office, "UID SEARCH", "* SEARCH 1002\r\n$ OK done\r\n", 0);
        find_out(&office, "BODY a", "1001:4000");
        assert_int_equal(asker[0].status, OK);
        assert_string_equal(asker[0].hit, "1002");
        assert_string_equal(known_of("BODY a"), "1001:4000 / 1002");
        finish_large(&office, &fill);
    }
}

/* The server takes no more connections just now: the mailbox's own will do. */
static void test_bodies_when_no_other_link_can_be_had(void **state)
{
    struct office office;
    struct buf fill;
    (void)state;
    begin_large(&office, CAPS, &fill);
    office_run_ms(&office, 50);
    for (size_t i = 0; i < office.peers_n; i++) {
        if (&office.peer[i] != office_selected(&office)) {
            office_cut(&office.peer[i]);
        }
    }
    office.refuses_connections = true;
    office_run_ms(&office, 50);
    office_rule_add(&office, "UID SEARCH", "* SEARCH 1002\r\n$ OK done\r\n", 0);
    find_out(&office, "BODY a", "1001:4000");
    assert_int_equal(asker[0].status, OK);
    assert_string_equal(asker[0].hit, "1002");
    finish_large(&office, &fill);
}

/* The link for bodies dies of the command: once more, over the mailbox's own. */
static void test_bodies_kill_their_link(void **state)
{
    struct office office;
    struct buf fill;
    (void)state;
    begin_large(&office, CAPS, &fill);
    office_rule_add(&office, "EXAMINE", SELECTED("3000", "7", "4001"), 0);
    office_rule_add(&office, "UID SEARCH", "* SEARCH 1001\r\n!", 1);
    office_rule_add(&office, "UID SEARCH", "* SEARCH 1002\r\n$ OK done\r\n", 1);
    find_out(&office, "BODY a", "1001:4000");
    assert_int_equal(asker[0].status, OK);
    assert_string_equal(asker[0].hit, "1002");
    assert_int_equal(times(&office, "UID SEARCH"), 2);
    finish_large(&office, &fill);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_into_lines),
        cmocka_unit_test(test_messagelimit),
        cmocka_unit_test(test_long_criteria_of_many_runs),
        cmocka_unit_test(test_bodies_over_another_link),
        cmocka_unit_test(test_bodies_where_there_is_no_other_link),
        cmocka_unit_test(test_bodies_when_no_other_link_can_be_had),
        cmocka_unit_test(test_bodies_kill_their_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
