/* What is remembered of searches over the end of the program. */
#include "../../../proxy/account/searches_p.h"
#include "searches_fixture.h"
#include "store/search.h"
#include "store/state.h"

static void run(const char *format, const char *dir)
{
    char line[256];
    snprintf(line, sizeof(line), format, dir, dir, dir);
    assert_int_equal(system(line), 0);
}

/* The process ends: in order, or (@is_killed) with nothing more on the disk than there is now. */
static void stop(struct office *office, bool is_killed)
{
    store_settle(office->store);
    if (is_killed) {
        run("cp -r ./%s ./%s.kept", office->dir);
    }
    close_guest(&guest[0]);
    accounts_destroy(&office->accounts);
    office_run_ms(office, 20);
    store_close(&office->store);
    if (is_killed) {
        run("rm -r ./%s; mv ./%s.kept ./%s", office->dir);
    }
}

/* The mailbox is opened by another process, which SELECT tells that. */
static void start_again(struct office *office, const char *selected, const char *fill)
{
    office_open_store(office);
    office_open_accounts(office);
    memset(guest, 0, sizeof(guest));
    office->rules_n = 0;
    login(office);
    office_rule_add(office, "SELECT", selected, 1);
    office_rule_add(office, "UID FETCH 1:*", fill, 1);
    open_box(office);
    assert_int_equal(guest[0].open_st, OK);
    buf_reset(&office->log);
}

static void restart(struct office *office, const char *selected, const char *fill)
{
    stop(office, false);
    start_again(office, selected, fill);
}

static void ask_and_answer(struct office *office)
{
    office_rule_add(office, "UID SEARCH", "* SEARCH 3 5\r\n$ OK done\r\n", 1);
    find_out(office, "FROM a", "1,3,5");
    assert_string_equal(known_of("FROM a"), "1,3,5 / 3,5");
}

static uint64_t kept_id(void)
{
    return feed_store_id(guest[0].feed_user.feed);
}

static bool is_kept(struct office *office, const char *name)
{
    struct slice octets;
    store_read_begin(office->store);
    bool is_there = store_search_get(office->store, kept_id(), slice_str(name), &octets);
    store_read_end(office->store);
    return is_there;
}

static void test_known_after_a_restart(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    ask_and_answer(&office);
    restart(&office, SELECTED("4", "7", "8"), "$ NO not asked\r\n");
    assert_string_equal(known_of("FROM a"), "1,3,5 / 3,5");
    find_out(&office, "FROM a", "1,3,5");
    assert_string_equal(asker[0].hit, "3,5");
    assert_string_equal(office_log(&office), "");
    assert_string_equal(known_of("FROM b"), "never");
    finish(&office);
}

/* Not only when the mailbox is left: within seconds. */
static void test_written_soon(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    ask_and_answer(&office);
    assert_false(is_kept(&office, "FROM \"a\""));
    office_run_ms(&office, SEARCHES_WRITE_MS + 200);
    assert_true(is_kept(&office, "FROM \"a\""));
    finish(&office);
}

/* What has gone from the mailbox is not kept of it. */
static void test_expunged(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    ask_and_answer(&office);
    office_push(&office, "* VANISHED 3\r\n");
    refresh(&office);
    restart(&office, SELECTED("3", "7", "8"), "* VANISHED (EARLIER) 3\r\n$ OK done\r\n");
    assert_string_equal(known_of("FROM a"), "1,5 / 5");
    finish(&office);
}

static void test_another_mailbox(void **state)
{
    static const char *const selected[] = {SELECTED("4", "8", "8"), SELECTED("4", "7", "5")};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct office office;
        begin_with(&office, CAPS, 0);
        ask_and_answer(&office);
        restart(&office, selected[i], FOUR);
        assert_string_equal(known_of("FROM a"), "never");
        finish(&office);
    }
}

static void test_records_that_cannot_be(void **state)
{
    static const char *const octets[] = {
        "",
        "\x01",
        "\x02\0\0\0\x08",
        "\x01\xff\xff\xff\xff",
        "\x01\0\0\0\0",
        "\x01\0\0\0\x04" "abcdabcd",
    };
    static const size_t sizes[] = {0, 1, 5, 5, 5, 13};
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    for (size_t i = 0; i < sizeof(octets) / sizeof(octets[0]); i++) {
        assert_int_equal(store_search_put(office.store, kept_id(), SLICE("FROM \"a\""),
                                          slice_of(octets[i], sizes[i])), OK);
        assert_string_equal(known_of("FROM a"), "never");
        assert_false(is_kept(&office, "FROM \"a\""));
    }
    /* hits that nobody asked about, and messages that are still to come */
    static const char *const sets[][2] = {{"1,3", "5"}, {"1,3,99", "3"}};
    for (size_t i = 0; i < 2; i++) {
        struct buf record;
        struct bitmap *known = uids_of(sets[i][0]), *hit = uids_of(sets[i][1]);
        buf_init(&record, 0);
        buf_add(&record, slice_of("\x01\0\0\0", 4));
        buf_add_char(&record, (char)bitmap_bytes(known));
        bitmap_write(known, &record);
        bitmap_write(hit, &record);
        assert_int_equal(store_search_put(office.store, kept_id(), SLICE("FROM \"a\""),
                                          buf_slice(&record)), OK);
        assert_string_equal(known_of("FROM a"), "never");
        bitmap_destroy(&known);
        bitmap_destroy(&hit);
        buf_fini(&record);
    }
    finish(&office);
}

/* What had to leave memory is read again. */
static void test_more_than_in_memory(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    ask_and_answer(&office);
    office_run_ms(&office, SEARCHES_WRITE_MS + 200);
    office.settings.search_remember = 1;
    find_out(&office, "FROM b", "1");
    office_run_ms(&office, 50);
    assert_string_equal(known_of("FROM a"), "1,3,5 / 3,5");
    finish(&office);
}

/* Two messages come while the mailbox is open, UIDs 9 and 12, and are searched for. */
static void begin_and_search_the_new(struct office *office)
{
    begin_with(office, CAPS, 0);
    office_rule_add(office, "UID FETCH 8:* (UID FLAGS MODSEQ)",
                    "* 5 FETCH (UID 9 FLAGS () MODSEQ (12))\r\n"
                    "* 6 FETCH (UID 12 FLAGS () MODSEQ (13))\r\n$ OK done\r\n", 1);
    office_push(office, "* 6 EXISTS\r\n");
    refresh(office);
    assert_int_equal(mailbox_last_uid(box()), 12);
    office_rule_add(office, "UID SEARCH", "* SEARCH 3 9\r\n$ OK done\r\n", 1);
    find_out(office, "FROM a", "1,3,9");
}

static void test_killed(void **state)
{
    struct office office;
    (void)state;
    begin_and_search_the_new(&office);
    office_run_ms(&office, SEARCHES_WRITE_MS + 200);
    stop(&office, true);
    start_again(&office, SELECTED("6", "7", "13"), "$ OK nothing\r\n");
    assert_string_equal(known_of("FROM a"), "1,3,9 / 3,9");
    finish(&office);
}

/* T6: kept searches are never of later than the kept model.  Another mailbox has come under the name while
 * we were away, whose UIDNEXT is above what it was when the mailbox was opened, and below what it was
 * when it was searched. */
static void test_t6_killed_and_another_mailbox(void **state)
{
    struct office office;
    (void)state;
    begin_and_search_the_new(&office);
    office_run_ms(&office, SEARCHES_WRITE_MS + 200);
    assert_true(is_kept(&office, "FROM \"a\""));
    stop(&office, true);
    start_again(&office, SELECTED("1", "7", "10"), "* 1 FETCH (UID 9 FLAGS ())\r\n$ OK done\r\n");
    assert_string_equal(known_of("FROM a"), "never");
    finish(&office);
}

/* The model is kept at sync points only: what it cannot have yet is written later. */
static void no_sync_point(bool is_killed)
{
    struct office office;
    begin_and_search_the_new(&office);
    office_push(&office, "* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (20))\r\n");
    office_run_ms(&office, SEARCHES_WRITE_MS + 200);
    assert_string_equal(known_of("FROM a"), "1,3,9 / 3,9");
    struct search_entry *entry = searches()->entries;
    assert_true(entry->is_dirty);
    if (is_killed) {
        stop(&office, true);
        start_again(&office, SELECTED("6", "7", "13"),
                    "* 5 FETCH (UID 9 FLAGS () MODSEQ (12))\r\n"
                    "* 6 FETCH (UID 12 FLAGS () MODSEQ (13))\r\n$ OK done\r\n");
        assert_string_equal(known_of("FROM a"), "1,3 / 3");
    } else {
        refresh(&office);
        searches__write(searches());
        assert_false(entry->is_dirty);
    }
    finish(&office);
}

static void test_no_sync_point(void **state)
{
    (void)state;
    no_sync_point(false);
    no_sync_point(true);
}

/* The kept model is lost, what was kept of searches is not: nothing tells whether UIDNEXT fell. */
static void test_t6_model_is_lost(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    ask_and_answer(&office);
    uint64_t id = kept_id();
    stop(&office, false);
    office_open_store(&office);
    store_state_drop(office.store, id);
    store_close(&office.store);
    start_again(&office, SELECTED("4", "7", "8"), FOUR);
    assert_int_equal(kept_id(), id);
    assert_string_equal(known_of("FROM a"), "never");
    finish(&office);
}

/* What came while nobody looked may have been moved here just now, whatever its INTERNALDATE is. */
static void test_moved_while_nobody_looked(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 60 * 60 * 1000);
    stop(&office, false);
    start_again(&office, SELECTED("5", "7", "10"),
                "* 5 FETCH (UID 9 FLAGS () MODSEQ (12))\r\n$ OK done\r\n");
    office_rule_add(&office, "UID FETCH 1,3",
                    "* 1 FETCH (UID 1 INTERNALDATE \"01-Jan-2020 00:00:00 +0000\")\r\n"
                    "* 2 FETCH (UID 3 INTERNALDATE \"01-Jan-2020 00:00:00 +0000\")\r\n"
                    "* 5 FETCH (UID 9 INTERNALDATE \"01-Jan-2020 00:00:00 +0000\")\r\n"
                    "$ OK done\r\n", 1);
    assert_int_equal(mailbox_last_uid(box()), 9);
    find_out(&office, "BODY a", "1,3,9");
    office_run_ms(&office, 50);
    assert_string_equal(known_of("BODY a"), "1,3 / ");
    assert_non_null(strstr(office_log(&office), "UID FETCH 1,3 (UID INTERNALDATE)"));
    finish(&office);
}

/* Pushed out of memory by larger ones before it was written: it is read again, and not asked again. */
static void test_pushed_out_of_memory(void **state)
{
    struct office office;
    struct search_sifted large;
    (void)state;
    begin_with(&office, CAPS, 0);
    ask_and_answer(&office);
    searches__sifted_init(&large, 0);
    for (uint32_t uid = 1; uid < 4000000; uid += 2) {
        bitmap_add(large.keep, uid, uid);
    }
    for (int i = 0; i < 70; i++) { /* a quarter of a MiB each */
        char criteria[32];
        snprintf(criteria, sizeof(criteria), "SUBJECT b%d", i);
        const struct search_part part = part_of(criteria);
        searches__learn(searches__entry(searches(), &part, SLICE("")), &large, large.late);
    }
    office_run_ms(&office, 50);
    assert_in_range(searches()->bytes, 1, SEARCHES_BYTES_MAX);
    const struct search_entry *entry = searches()->used;
    for (; entry != NULL; entry = entry->next) {
        assert_int_not_equal(entry->name[0], 'F');
    }
    assert_string_equal(known_of("FROM a"), "1,3,5 / 3,5");
    searches__sifted_fini(&large);
    finish(&office);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_after_a_restart),
        cmocka_unit_test(test_written_soon),
        cmocka_unit_test(test_expunged),
        cmocka_unit_test(test_another_mailbox),
        cmocka_unit_test(test_records_that_cannot_be),
        cmocka_unit_test(test_more_than_in_memory),
        cmocka_unit_test(test_t6_killed_and_another_mailbox),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_no_sync_point),
        cmocka_unit_test(test_t6_model_is_lost),
        cmocka_unit_test(test_pushed_out_of_memory),
        cmocka_unit_test(test_moved_while_nobody_looked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
