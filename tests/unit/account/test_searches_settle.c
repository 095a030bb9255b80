/* Messages that a full-text index may not have yet are answered about and not remembered. */
#include <time.h>

#include "../../../proxy/account/searches_p.h"
#include "searches_fixture.h"

#define SETTLE_MS (60 * 60 * 1000)
#define DATES "UID FETCH 1,3,5,7 (UID INTERNALDATE)"

/* INTERNALDATE of so many seconds ago, in the zone that India has. */
static const char *ago(long seconds, char out[64])
{
    struct tm tm;
    time_t then = time(NULL) - seconds + (5 * 60 + 30) * 60;
    gmtime_r(&then, &tm);
    strftime(out, 64, "\"%d-%b-%Y %H:%M:%S +0530\"", &tm);
    return out;
}

/* Four messages: three old, the third young. */
static void add_dates(struct office *office, char text[512])
{
    char date[4][64];
    snprintf(text, 512,
             "* 1 FETCH (UID 1 INTERNALDATE %s)\r\n* 2 FETCH (UID 3 INTERNALDATE %s)\r\n"
             "* 3 FETCH (UID 5 INTERNALDATE %s)\r\n* 4 FETCH (UID 7 INTERNALDATE %s)\r\n"
             "$ OK done\r\n",
             ago(4000, date[0]), ago(86400, date[1]), ago(60, date[2]), ago(4000, date[3]));
    office_rule_add(office, DATES, text, 1);
}

static void push_new(struct office *office)
{
    office_rule_add(office, "UID FETCH 8:* (UID FLAGS MODSEQ)",
                    "* 5 FETCH (UID 9 FLAGS () MODSEQ (12))\r\n$ OK done\r\n", 1);
    office_push(office, "* 5 EXISTS\r\n");
    refresh(office);
    assert_int_equal(mailbox_last_uid(box()), 9);
    buf_reset(&office->log);
}

static void test_young_at_the_opening(void **state)
{
    struct office office;
    char dates[512];
    (void)state;
    begin_with(&office, CAPS, SETTLE_MS);
    add_dates(&office, dates);
    office_rule_add(&office, "UID SEARCH", "* SEARCH 1 5\r\n$ OK done\r\n", 1);
    ask_about(0, "BODY a", "1,3,5,7");
    ask_about(1, "BODY a", "5");
    office_run(&office, answered);
    assert_string_equal(asker[0].hit, "1,5");
    assert_string_equal(asker[1].hit, "5");
    office_run_ms(&office, 50);
    assert_string_equal(known_of("BODY a"), "1,3,7 / 1");
    assert_non_null(strstr(office_log(&office), DATES));
    buf_reset(&office.log);
    find_out(&office, "BODY a", "1,3,5,7"); /* the young one again, its date is known */
    assert_string_equal(office_log(&office), "UID SEARCH UID 5 BODY \"a\";");
    finish(&office);
}

/* The dates come after the answer: what was said is kept until then. */
static void test_dates_come_later(void **state)
{
    struct office office;
    char dates[512];
    (void)state;
    begin_with(&office, CAPS, SETTLE_MS);
    office_rule_add(&office, DATES, "", 1);
    ask_about(0, "BODY a", "1,3,5,7");
    ask_about(1, "BODY b", "1,3,5,7");
    office_run_ms(&office, 50);
    struct peer *peer = office_selected(&office);
    assert_int_equal(office.peers_n, 1);
    office.rules_n = 0;
    add_dates(&office, dates);
    assert_string_equal(known_of("BODY a"), " / ");
    office_answer(peer, peer->tag, dates);
    office_run(&office, answered);
    office_run_ms(&office, 50);
    assert_string_equal(known_of("BODY a"), "1,3,7 / ");
    assert_string_equal(known_of("BODY b"), "1,3,7 / ");
    finish(&office);
}

/* Who does not tell how old they are is asked again until they are old for certain. */
static void test_dates_are_not_told(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 300);
    office_rule_add(&office, "UID FETCH", "$ NO not now\r\n", 0);
    find_out(&office, "BODY a", "1,3,5,7");
    office_run_ms(&office, 50);
    assert_string_equal(known_of("BODY a"), " / ");
    office_run_ms(&office, 350);
    find_out(&office, "BODY a", "1,3,5,7");
    assert_string_equal(known_of("BODY a"), "1,3,5,7 / ");
    finish(&office);
}

/* Old for certain since it was first seen, however often the link was lost meanwhile. */
static void test_dates_are_not_told_and_links_are_lost(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 1000);
    office_rule_add(&office, DATES, "$ NO not now\r\n", 0);
    office_rule_add(&office, "SELECT", SELECTED("4", "7", "8"), 0);
    office_run_ms(&office, 600);
    office_cut(office_selected(&office));
    office_run_ms(&office, 100);
    refresh(&office);
    office_run_ms(&office, 400);
    find_out(&office, "BODY a", "1,3,5,7");
    assert_string_equal(known_of("BODY a"), "1,3,5,7 / ");
    finish(&office);
}

static void test_young_when_it_arrives(void **state)
{
    struct office office;
    char dates[512];
    (void)state;
    begin_with(&office, CAPS, SETTLE_MS);
    add_dates(&office, dates);
    push_new(&office);
    find_out(&office, "BODY a", "1,3,5,7,9");
    office_run_ms(&office, 50);
    assert_string_equal(asker[0].asked, "1,3,5,7,9");
    assert_string_equal(known_of("BODY a"), "1,3,7 / ");
    assert_null(strstr(office_log(&office), "9 (UID INTERNALDATE)"));
    finish(&office);
}

static void test_settles_as_time_passes(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 300);
    office_run_ms(&office, 350);
    push_new(&office);
    find_out(&office, "BODY a", "1,9");
    assert_string_equal(known_of("BODY a"), "1 / ");
    office_run_ms(&office, 350);
    find_out(&office, "BODY a", "1,9");
    assert_string_equal(known_of("BODY a"), "1,9 / ");
    assert_string_equal(office_log(&office),
                        "UID SEARCH UID 1,9 BODY \"a\";UID SEARCH UID 9 BODY \"a\";");
    finish(&office);
}

/* What counts is how old it was when the question was sent. */
static void test_settles_before_the_answer(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 300);
    office_run_ms(&office, 350);
    push_new(&office);
    office_rule_add(&office, "UID SEARCH", "", 1);
    ask_about(0, "BODY a", "1,9");
    office_run_ms(&office, 400);
    struct peer *peer = office_selected(&office);
    office_answer(peer, peer->tag, "$ OK done\r\n");
    office_run(&office, answered);
    assert_string_equal(known_of("BODY a"), "1 / ");
    finish(&office);
}

/* The same, of one whose date is told only when it is old. */
static void test_settles_before_its_date_is_told(void **state)
{
    struct office office;
    char date[64], answer[256];
    (void)state;
    begin_with(&office, CAPS, 3000);
    office_rule_add(&office, "UID FETCH 7 (UID INTERNALDATE)", "", 1);
    find_out(&office, "BODY a", "7");
    snprintf(answer, sizeof(answer), "* 4 FETCH (UID 7 INTERNALDATE %s)\r\n$ OK done\r\n",
             ago(1, date));
    office_run_ms(&office, 3100);
    struct peer *peer = office_selected(&office);
    office_answer(peer, peer->tag, answer);
    office_run_ms(&office, 50);
    assert_string_equal(known_of("BODY a"), " / ");
    find_out(&office, "BODY a", "7");
    assert_string_equal(known_of("BODY a"), "7 / ");
    finish(&office);
}

/* A server whose clock is ahead: it was there when the mailbox was opened, at the latest. */
static void test_dates_to_come(void **state)
{
    struct office office;
    char date[64], answer[256];
    (void)state;
    begin_with(&office, CAPS, 2000);
    snprintf(answer, sizeof(answer), "* 4 FETCH (UID 7 INTERNALDATE %s)\r\n$ OK done\r\n",
             ago(-86400, date));
    office_rule_add(&office, "UID FETCH 7 (UID INTERNALDATE)", answer, 1);
    office_run_ms(&office, 1000);
    find_out(&office, "BODY a", "7");
    office_run_ms(&office, 1100);
    assert_string_equal(known_of("BODY a"), " / ");
    find_out(&office, "BODY a", "7");
    assert_string_equal(known_of("BODY a"), "7 / ");
    finish(&office);
}

/* More runs of young ones than are told apart: too many are asked about again, none is forgotten. */
static void test_many_young_runs(void **state)
{
    struct office office;
    char date[64], answer[256];
    (void)state;
    begin_with(&office, CAPS, SETTLE_MS);
    snprintf(answer, sizeof(answer), "* 1 FETCH (UID 1 INTERNALDATE %s)\r\n$ OK done\r\n",
             ago(86400, date));
    office_rule_add(&office, "UID FETCH 1 (UID INTERNALDATE)", answer, 1);
    push_new(&office);
    for (uint32_t uid = 2000; uid > 2000 - SEARCHES_YOUNG_MAX - 10; uid--) {
        searches__arrived(guest[0].feed_user.feed, uid);
    }
    assert_true(searches()->settling.young_n <= SEARCHES_YOUNG_MAX);
    find_out(&office, "BODY a", "1,9");
    office_run_ms(&office, 50);
    assert_string_equal(known_of("BODY a"), "1 / ");
    finish(&office);
}

static void test_off(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    push_new(&office);
    find_out(&office, "BODY a", "1,9");
    assert_string_equal(known_of("BODY a"), "1,9 / ");
    finish(&office);
}

/* What has come in a gap may have come just now, whatever its INTERNALDATE is: it was moved here, say. */
static void test_after_a_gap(void **state)
{
    struct office office;
    char dates[512];
    (void)state;
    begin_with(&office, CAPS, SETTLE_MS);
    add_dates(&office, dates);
    find_out(&office, "BODY a", "1,3,5,7");
    office_rule_add(&office, "SELECT", SELECTED("5", "7", "10"), 0);
    office_rule_add(&office, "UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 10 VANISHED)",
                    "* 5 FETCH (UID 9 FLAGS () MODSEQ (10))\r\n$ OK done\r\n", 1);
    office_cut(office_selected(&office));
    office_run_ms(&office, 100);
    refresh(&office);
    assert_int_equal(mailbox_last_uid(box()), 9);
    buf_reset(&office.log);
    find_out(&office, "BODY a", "1,3,7,9");
    office_run_ms(&office, 50);
    assert_null(strstr(office_log(&office), "INTERNALDATE"));
    assert_string_equal(known_of("BODY a"), "1,3,7 / ");
    office_run_ms(&office, 50);
    assert_string_equal(known_of("BODY a"), "1,3,7 / ");
    finish(&office);
}

/* Before the model is true nobody knows which are the last hundred: it shows once it is. */
static void test_answered_before_it_is_live(void **state)
{
    struct office office;
    char dates[512];
    (void)state;
    begin_closed(&office, CAPS, SETTLE_MS);
    open_before_the_fill(&office);
    office_rule_add(&office, "UID SEARCH", "* SEARCH 3 5\r\n$ OK done\r\n", 1);
    find_out(&office, "BODY a", "1,3,5,7");
    assert_string_equal(asker[0].hit, "3,5");
    assert_string_equal(known_of("BODY a"), " / ");
    add_dates(&office, dates);
    fill_now(&office, FOUR);
    office_run_ms(&office, 50);
    assert_string_equal(known_of("BODY a"), "1,3,7 / 3");
    finish(&office);
}

#define FAR 4000001 /* the last UID of a large mailbox */

static size_t counted_anew(void)
{
    size_t bytes = 0;
    for (const struct search_entry *entry = searches()->used; entry != NULL; entry = entry->next) {
        bytes += sizeof(*entry) + entry->name_len + bitmap_bytes(entry->known) +
                 bitmap_bytes(entry->hit) + bitmap_bytes(entry->late.late) +
                 bitmap_bytes(entry->late_hit);
    }
    return bytes;
}

/* Large answers before the model is true: what waits for it to be kept counts as what is kept. */
static void test_late_answers_are_counted(void **state)
{
    struct office office;
    struct search_sifted sifted;
    (void)state;
    begin_closed(&office, CAPS, SETTLE_MS);
    office.rules_n = 0;
    office_rule_add(&office, "SELECT", SELECTED("1", "7", "5000000"), 1);
    open_before_the_fill(&office);
    searches__sifted_init(&sifted, 0);
    bitmap_add(sifted.late, 1, FAR);
    struct bitmap *hit = bitmap_create();
    for (uint32_t uid = 1; uid < FAR; uid += 2) {
        bitmap_add(hit, uid, uid);
    }
    for (int i = 0; i < 40; i++) { /* half a MiB each */
        char criteria[32];
        snprintf(criteria, sizeof(criteria), "FROM a%d", i);
        const struct search_part part = part_of(criteria);
        struct search_entry *entry = searches__entry(searches(), &part, SLICE(""));
        entry->is_accepted = true;
        searches__learn(entry, &sifted, hit);
    }
    office_run_ms(&office, 20);
    assert_int_equal(searches()->bytes, counted_anew());
    assert_in_range(searches()->bytes, SEARCHES_BYTES_MAX / 2, SEARCHES_BYTES_MAX);
    fill_now(&office, "* 1 FETCH (UID 4000001 FLAGS () MODSEQ (3))\r\n$ OK done\r\n");
    office_run_ms(&office, 20);
    assert_string_equal(known_of("FROM a0"), "never");
    assert_int_equal(searches()->bytes, counted_anew());
    bitmap_destroy(&hit);
    searches__sifted_fini(&sifted);
    finish(&office);
}

/* Its link dies with an early question under way: asked again on the next one, which has it filled. */
static void test_link_is_lost_before_it_is_live(void **state)
{
    (void)state;
    for (int fate = 0; fate < 3; fate++) {
        struct office office;
        char dates[512];
        begin_closed(&office, CAPS, SETTLE_MS);
        open_before_the_fill(&office);
        office_rule_add(&office, "UID SEARCH", "", 1);
        ask_about(0, "BODY a", "1,3,5,7");
        ask_about(1, "YOUNGER 60", "3");
        office_run_ms(&office, 50);
        assert_non_null(strstr(office_log(&office), "UID SEARCH UID 1,3,5,7 BODY"));
        office_rule_add(&office, "SELECT",
                        fate == 2 ? SELECTED("4", "8", "8") : SELECTED("4", "7", "8"), 1);
        office_rule_add(&office, FILL, FOUR, 1);
        office_rule_add(&office, "UID SEARCH", "* SEARCH 3 5\r\n$ OK done\r\n", 0);
        add_dates(&office, dates);
        office.refuses_connections = fate == 1;
        office_cut(office_selected(&office));
        office_run(&office, answered);
        office.refuses_connections = false;
        assert_int_equal(asker[0].status, fate == 0 ? OK : fate == 1 ? NETWORK : CANCELED);
        assert_int_equal(asker[1].status, asker[0].status);
        if (fate == 0) {
            assert_string_equal(asker[0].hit, "3,5");
            assert_string_equal(asker[1].hit, "3");
            office_run(&office, complete);
            office_run_ms(&office, 50);
            assert_string_equal(known_of("BODY a"), "1,3,7 / 3");
        }
        finish(&office);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_young_at_the_opening),
        cmocka_unit_test(test_dates_come_later),
        cmocka_unit_test(test_dates_are_not_told),
        cmocka_unit_test(test_dates_are_not_told_and_links_are_lost),
        cmocka_unit_test(test_young_when_it_arrives),
        cmocka_unit_test(test_settles_as_time_passes),
        cmocka_unit_test(test_settles_before_the_answer),
        cmocka_unit_test(test_settles_before_its_date_is_told),
        cmocka_unit_test(test_dates_to_come),
        cmocka_unit_test(test_many_young_runs),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_after_a_gap),
        cmocka_unit_test(test_answered_before_it_is_live),
        cmocka_unit_test(test_late_answers_are_counted),
        cmocka_unit_test(test_link_is_lost_before_it_is_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
