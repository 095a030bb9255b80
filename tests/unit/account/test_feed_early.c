/* Mailboxes opened before their messages are known: told by SELECT, filled by SEARCH, and what comes in
 * between, octet for octet, against the scripted upstream. */
#include "guest_fixture.h"

#define CAPS_ALL "IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS MOVE CONDSTORE QRESYNC ESEARCH"

#define SELECTED(exists, uidnext, modseq)                                                          \
    "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft blue)\r\n* " exists " EXISTS\r\n"      \
    "* 0 RECENT\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT " uidnext                               \
    "] x\r\n* OK [HIGHESTMODSEQ " modseq "] x\r\n$ OK [READ-WRITE] done\r\n"

#define ALL "UID SEARCH RETURN (ALL) ALL"
#define FOUND(set) "* ESEARCH (TAG \"$\") UID ALL " set "\r\n$ OK done\r\n"
#define NONE "* ESEARCH (TAG \"$\") UID\r\n$ OK done\r\n"

static void expect_view(uint32_t count, const char *gone)
{
    struct view_changes changes;
    struct buf out;
    assert_non_null(guest[0].view);
    assert_int_equal(view_count(guest[0].view), count);
    view_changes_init(&changes);
    view_sync(guest[0].view, true, &changes);
    buf_init(&out, 0);
    ranges_format(&changes.expunged_msns, &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, gone);
    buf_fini(&out);
    view_changes_fini(&changes);
}

static bool answered_early(struct office *office)
{
    (void)office;
    return guest[0].opens_n > 0;
}

/* Opens INBOX with three messages told, and stops when SELECT is answered. */
static void begin_early(struct office *office, const char *caps)
{
    begin(office);
    office->caps = caps;
    office->upstream.search_map_from = 1;
    login(office);
    office_rule_add(office, "SELECT", SELECTED("3", "9", "20"), 0);
}

static void start(struct office *office)
{
    guest[0].open = feed_open(guest[0].account, SLICE("INBOX"), on_open, &guest[0]);
    office_run(office, answered_early);
    assert_int_equal(guest[0].open_st, OK);
    assert_true(guest[0].opened_early);
    assert_null(guest[0].view);
    assert_int_equal(guest[0].feed_user.told.exists, 3);
    assert_int_equal(guest[0].feed_user.told.uidnext, 9);
    assert_int_equal(guest[0].feed_user.told.modseq, 20);
}

static void flags_are_none(struct office *office)
{
    office_rule_add(office, "UID SEARCH RETURN (ALL) SEEN", FOUND("4"), 0);
    office_rule_add(office, "UID SEARCH RETURN (ALL) KEYWORD blue", FOUND("4,8"), 0);
    office_rule_add(office, "UID SEARCH", NONE, 0);
}

static uint8_t bits_of(uint32_t uid)
{
    struct mailbox_entry entry;
    assert_true(mailbox_get(box(), uid, &entry));
    return flags_bits(mailbox_flags(box()), entry.flags);
}

static void test_flags_by_search(void **state)
{
    struct office office;
    (void)state;
    begin_early(&office, CAPS_ALL);
    office_rule_add(&office, ALL, FOUND("2,4,8"), 1);
    flags_are_none(&office);
    start(&office);
    office_run(&office, complete);
    expect_view(3, "");
    assert_int_equal(bits_of(4), FLAG_SEEN);
    assert_int_equal(bits_of(8), 0);
    assert_int_equal(mailbox_base_modseq(box()), 20);
    end(&office);
}

/* EXPUNGE by number before the numbers are known: the one that went stood between two others. */
static void test_t23_expunge_by_number_before_the_numbers(void **state)
{
    struct office office;
    (void)state;
    begin_early(&office, "IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS CONDSTORE ESEARCH");
    office_rule_add(&office, ALL, "* 2 EXPUNGE\r\n" FOUND("2,8"), 1);
    flags_are_none(&office);
    office_rule_add(&office, "UID FETCH 1:* (UID FLAGS MODSEQ)",
                    "* 1 FETCH (UID 2 FLAGS () MODSEQ (3))\r\n* 2 FETCH (UID 8 FLAGS () MODSEQ (4))"
                    "\r\n$ OK done\r\n",
                    0);
    office_rule_add(&office, "UID SEARCH ALL", "* SEARCH 2 8\r\n$ OK done\r\n", 0);
    start(&office);
    office_run(&office, complete);
    expect_view(3, "2");
    end(&office);
}

/* Two neighbours, whose UIDs there is no room to spare for. */
static void neighbours_expunged(const char *lines, const char *uids, const char *gone)
{
    struct office office;
    char answer[256];
    begin_early(&office, "IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS CONDSTORE ESEARCH");
    snprintf(answer, sizeof(answer), "%s* ESEARCH (TAG \"$\") UID ALL %s\r\n$ OK done\r\n", lines, uids);
    office_rule_add(&office, ALL, answer, 1);
    flags_are_none(&office);
    snprintf(answer + 128, 128, "* 1 FETCH (UID %s FLAGS () MODSEQ (3))\r\n$ OK done\r\n", uids);
    office_rule_add(&office, "UID FETCH 1:* (UID FLAGS MODSEQ)", answer + 128, 0);
    start(&office);
    office_run(&office, complete);
    expect_view(3, gone);
    end(&office);
}

static void test_t23_neighbours_expunged_upwards(void **state)
{
    (void)state;
    neighbours_expunged("* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n", "3", "1:2");
}

static void test_t23_neighbours_expunged_downwards(void **state)
{
    (void)state;
    neighbours_expunged("* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n", "3", "1:2");
}

static void test_t23_neighbours_expunged_around(void **state)
{
    (void)state;
    neighbours_expunged("* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n", "2", "1,3");
}

static void test_t23_vanished_before_the_numbers(void **state)
{
    struct office office;
    (void)state;
    begin_early(&office, CAPS_ALL);
    office_rule_add(&office, ALL, "* VANISHED 8\r\n* 4 EXISTS\r\n" FOUND("2,4,9,10"), 1);
    flags_are_none(&office);
    start(&office);
    office_run(&office, complete);
    expect_view(3, "3");
    assert_int_equal(view_count(guest[0].view), 4); /* two are new */
    end(&office);
}

/* Between a search for one flag and that for another a message changes: FETCH has the last word. */
static void test_flags_told_amid_the_searches(void **state)
{
    struct office office;
    (void)state;
    begin_early(&office, CAPS_ALL);
    office_rule_add(&office, ALL, FOUND("2,4,8"), 1);
    office_rule_add(&office, "UID SEARCH RETURN (ALL) ANSWERED",
                    "* 2 FETCH (UID 4 FLAGS (\\Flagged) MODSEQ (21))\r\n" NONE, 1);
    flags_are_none(&office);
    start(&office);
    office_run(&office, complete);
    assert_int_equal(bits_of(4), FLAG_FLAGGED);
    end(&office);
}

static void test_t5_another_uidvalidity_before_the_numbers(void **state)
{
    struct office office;
    (void)state;
    begin_early(&office, CAPS_ALL);
    office_rule_add(&office, ALL, "* OK [UIDVALIDITY 8] x\r\n" FOUND("2,4,8"), 1);
    flags_are_none(&office);
    start(&office);
    office_run(&office, gone);
    assert_null(guest[0].view);
    end(&office);
}

/* The link is lost; on the next one as many messages below UIDNEXT as were told: they are those. */
static void lose_it(struct office *office, const char *found, bool stays)
{
    begin_early(office, CAPS_ALL);
    office_rule_add(office, ALL, "!", 1);
    office_rule_add(office, ALL, found, 1);
    flags_are_none(office);
    start(office);
    office_run(office, stays ? complete : gone);
}

static void test_link_lost_before_the_numbers(void **state)
{
    struct office office;
    (void)state;
    lose_it(&office, FOUND("2,4,8"), true);
    expect_view(3, "");
    assert_int_equal(guest[0].gone_n, 0);
    end(&office);
}

static void test_link_lost_and_another_message_stands_for_one(void **state)
{
    struct office office;
    (void)state;
    lose_it(&office, FOUND("2,4,9"), false);
    end(&office);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_by_search),
        cmocka_unit_test(test_t23_expunge_by_number_before_the_numbers),
        cmocka_unit_test(test_t23_neighbours_expunged_upwards),
        cmocka_unit_test(test_t23_neighbours_expunged_downwards),
        cmocka_unit_test(test_t23_neighbours_expunged_around),
        cmocka_unit_test(test_t23_vanished_before_the_numbers),
        cmocka_unit_test(test_flags_told_amid_the_searches),
        cmocka_unit_test(test_t5_another_uidvalidity_before_the_numbers),
        cmocka_unit_test(test_link_lost_before_the_numbers),
        cmocka_unit_test(test_link_lost_and_another_message_stands_for_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
