/* Searches of a mailbox: what is asked of whom, joined, remembered, and what is not. */
#include "searches_fixture.h"

/* --- asked once --- */

static void test_asked_about_is_remembered(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    office_rule_add(&office, "UID SEARCH", "* SEARCH 3 5\r\n* SEARCH 99\r\n$ OK done\r\n", 1);
    assert_string_equal(known_of("FROM a"), "never");
    find_out(&office, "FROM a", "1,3,5");
    assert_int_equal(asker[0].status, OK);
    assert_string_equal(asker[0].asked, "1,3,5");
    assert_string_equal(asker[0].hit, "3,5");
    assert_string_equal(known_of("FROM a"), "1,3,5 / 3,5");
    find_out(&office, "FROM a", "1,3");
    assert_string_equal(asker[0].hit, "3");
    find_out(&office, "FROM a", "3,5,7"); /* only the rest, and it has no SEARCH line */
    assert_string_equal(asker[0].asked, "3,5,7");
    assert_string_equal(asker[0].hit, "3,5");
    assert_string_equal(office_log(&office),
                        "UID SEARCH UID 1:5 FROM \"a\";UID SEARCH UID 7 FROM \"a\";");
    finish(&office);
}

static void test_two_ask_the_same_at_once(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    office_rule_add(&office, "UID SEARCH UID 1:3", "* SEARCH 3\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID SEARCH UID 5:7", "* SEARCH 7\r\n$ OK done\r\n", 1);
    ask_about(0, "SUBJECT x", "1,3");
    ask_about(1, "SUBJECT x", "1,3");
    ask_about(2, "SUBJECT x", "3,5,7"); /* only the rest is asked for */
    ask_about(3, "SUBJECT x", "");
    office_run(&office, answered);
    assert_string_equal(asker[0].hit, "3");
    assert_string_equal(asker[1].hit, "3");
    assert_string_equal(asker[2].asked, "3,5,7");
    assert_string_equal(asker[2].hit, "3,7");
    assert_int_equal(asker[3].status, OK);
    assert_string_equal(office_log(&office),
                        "UID SEARCH UID 1:3 SUBJECT \"x\";UID SEARCH UID 5:7 SUBJECT \"x\";");
    assert_int_equal(stats_get(&office.stats, STAT_search_asks), 2);
    assert_int_equal(stats_get(&office.stats, STAT_search_joins), 3);
    assert_int_equal(stats_get(&office.stats, STAT_search_uids), 4);
    finish(&office);
}

/* Over UIDs that do not exist, never over messages that nobody asked about. */
static void test_closed_sets(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    ask_about(0, "TO a", "1,5,7");
    ask_about(1, "TO b", "3,7");
    office_run(&office, answered);
    assert_string_equal(office_log(&office),
                        "UID SEARCH UID 1,5:7 TO \"a\";UID SEARCH UID 3,7 TO \"b\";");
    finish(&office);
}

/* Only whether it is accepted. */
static void test_a_word_from_the_upstream(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    office_rule_add(&office, "UID SEARCH UID 1 SAVEDON", "$ BAD no such key\r\n", 1);
    ask_about(0, "SAVEDON 1-Feb-2026", "");
    ask_about(1, "EMAILID x1", "");
    office_run(&office, answered);
    assert_int_equal(asker[0].status, PROTOCOL);
    assert_string_equal(asker[0].refusal, "BAD no such key");
    assert_int_equal(asker[1].status, OK);
    assert_string_equal(known_of("SAVEDON 1-Feb-2026"), "never");
    assert_string_equal(known_of("EMAILID x1"), "1 / ");
    buf_reset(&office.log);
    ask_about(1, "EMAILID x1", "");
    office_run(&office, answered);
    assert_string_equal(office_log(&office), "");
    finish(&office);
}

static void test_volatile_is_asked_each_time(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    ask_about(0, "YOUNGER 60", "1,3");
    ask_about(1, "YOUNGER 60", "1,3");
    office_run(&office, answered);
    assert_string_equal(known_of("YOUNGER 60"), "never");
    assert_string_equal(office_log(&office),
                        "UID SEARCH UID 1:3 YOUNGER 60;UID SEARCH UID 1:3 YOUNGER 60;");
    finish(&office);
}

static void test_charset(void **state)
{
    struct office office;
    struct bitmap *uids;
    (void)state;
    begin_with(&office, CAPS, 0);
    const struct search_part ascii = part_of("FROM a");
    const struct search_part cyrillic = part_of("FROM {5}\r\n\xd1\x8f \xd1\x8f");
    uids = uids_of("1");
    office_rule_add(&office, "\xd1\x8f", "* OK the literal\r\n", 1);
    asker[0].ask = searches_ask(searches(), &ascii, SLICE("UTF-8"), uids, on_answer, &asker[0]);
    asker[1].ask = searches_ask(searches(), &ascii, SLICE("US-ASCII"), uids, on_answer, &asker[1]);
    asker[2].ask = searches_ask(searches(), &ascii, SLICE("X-ROT"), uids, on_answer, &asker[2]);
    asker[3].ask = searches_ask(searches(), &cyrillic, SLICE(""), uids, on_answer, &asker[3]);
    office_run(&office, answered);
    assert_non_null(strstr(office_log(&office), "UID SEARCH UID 1 FROM \"a\";"
                                                "UID SEARCH CHARSET \"X-ROT\" UID 1 FROM \"a\";"
                                                "UID SEARCH CHARSET \"UTF-8\" UID 1 FROM {5+};"));
    bitmap_destroy(&uids);
    finish(&office);
}

/* --- ESEARCH --- */

static void test_extended_answers_in_one_flight(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS " ESEARCH", 0);
    office_rule_add(&office, "UID SEARCH RETURN (ALL) UID 1:3 FROM", "", 1);
    office_rule_add(&office, "UID SEARCH RETURN (ALL) UID 1:3 TO",
                    "* ESEARCH (TAG \"$\") UID ALL 1,3,5\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID SEARCH RETURN (ALL) UID 1:3 CC",
                    "* ESEARCH (TAG \"$\") UID\r\n$ OK done\r\n", 1);
    ask_about(0, "FROM a", "1,3");
    ask_about(1, "TO a", "1,3");
    ask_about(2, "CC a", "1,3");
    office_run_ms(&office, 50); /* the first is not answered yet: the others have been sent */
    assert_int_equal(asker[1].answers_n, 1);
    assert_string_equal(asker[1].hit, "1,3");
    assert_int_equal(asker[2].answers_n, 1);
    assert_string_equal(asker[2].hit, "");
    assert_int_equal(asker[0].answers_n, 0);
    struct peer *peer = office_selected(&office);
    office_answer(peer, "x", "* ESEARCH (TAG \"other\") UID ALL 1\r\n");
    office_answer(peer, peer->tag, "* ESEARCH (TAG \"$\") UID ALL 3\r\n$ OK done\r\n");
    office_run(&office, answered);
    assert_string_equal(asker[0].hit, "3");
    finish(&office);
}

/* An iCloud tells COUNT whatever is asked; others nothing. */
static void test_poor_esearch(void **state)
{
    static const char *const answers[] = {"* ESEARCH (TAG \"$\") UID COUNT 2\r\n$ OK done\r\n",
                                          "$ OK done\r\n"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct office office;
        begin_with(&office, CAPS " ESEARCH", 0);
        office_rule_add(&office, "UID SEARCH RETURN", answers[i], 0);
        office_rule_add(&office, "UID SEARCH UID 1:3", "* SEARCH 1\r\n$ OK done\r\n", 1);
        find_out(&office, "FROM a", "1,3");
        assert_string_equal(asker[0].hit, "1");
        find_out(&office, "FROM a", "5");
        assert_string_equal(office_log(&office),
                            "UID SEARCH RETURN (ALL) UID 1:3 FROM \"a\";UID SEARCH UID 1:3 FROM "
                            "\"a\";UID SEARCH UID 5 FROM \"a\";");
        finish(&office);
    }
}

/* A server that answers RETURN by "* SEARCH": nothing tells whose that is.  So the plain question that
 * follows waits until the other answer is here. */
static void test_esearch_answered_by_search(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS " ESEARCH", 0);
    office_rule_add(&office, "UID SEARCH RETURN (ALL) UID 1:3 FROM", "* SEARCH 1\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID SEARCH RETURN (ALL) UID 1:3 TO", "", 1);
    office_rule_add(&office, "UID SEARCH UID 1:3 FROM", "* SEARCH 1\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID SEARCH UID 1:3 TO", "* SEARCH 3\r\n$ OK done\r\n", 1);
    ask_about(0, "FROM a", "1,3");
    ask_about(1, "TO a", "1,3");
    office_run_ms(&office, 100);
    assert_null(strstr(office_log(&office), "UID SEARCH UID"));
    struct peer *peer = office_selected(&office);
    office_answer(peer, peer->tag, "* SEARCH 3\r\n$ OK done\r\n");
    office_run(&office, answered);
    assert_string_equal(asker[0].hit, "1");
    assert_string_equal(asker[1].hit, "3");
    finish(&office);
}

/* RFC 9051: to SEARCH without RETURN, too. */
static void test_search_answered_by_esearch(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    office_rule_add(&office, "UID SEARCH", "* ESEARCH (TAG \"x\") UID ALL 1\r\n"
                                           "* ESEARCH (TAG \"$\") UID ALL 3\r\n$ OK done\r\n", 1);
    ask_about(0, "FROM a", "1,3");
    office_run(&office, answered);
    assert_string_equal(asker[0].hit, "3");
    assert_string_equal(known_of("FROM a"), "1,3 / 3");
    finish(&office);
}

/* Told by number, or how many there are alone: not which.  That there are none may be told in any way. */
static void test_search_answered_by_an_esearch_that_does_not_tell(void **state)
{
    static const struct {
        const char *told;
        bool is_answer;
    } cases[] = {{"ALL 3", false},       {"UID COUNT 2", false}, {"COUNT 2", false},
                 {"UID MIN 3", false},   {"UID MAX 3", false},   {"COUNT 0", true},
                 {"UID COUNT 0", true},  {"UID", true},          {"UID COUNT 1 ALL 3", true}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct office office;
        char answer[100];
        begin_with(&office, CAPS, 0);
        snprintf(answer, sizeof(answer), "* ESEARCH (TAG \"$\") %s\r\n$ OK done\r\n", cases[i].told);
        office_rule_add(&office, "UID SEARCH", answer, 1);
        find_out(&office, "FROM a", "1,3");
        assert_int_equal(asker[0].status, cases[i].is_answer ? OK : PROTOCOL);
        assert_string_equal(known_of("FROM a"), !cases[i].is_answer ? "never" : i == 8 ? "1,3 / 3" : "1,3 / ");
        finish(&office);
    }
}

/* It is not taken for "none", nor for what of it could be read: asked again plainly, once. */
static void test_answers_that_make_no_sense(void **state)
{
    static const char *const answers[] = {
        "* SEARCH 1 4294967296\r\n$ OK done\r\n", "* SEARCH 1 x\r\n$ OK done\r\n",
        "* SEARCH 1\r\n* SEARCH 0 3\r\n$ OK done\r\n",
        "* ESEARCH (TAG \"$\") UID ALL 3\r\n* ESEARCH (TAG \"$\") UID ALL 1,x\r\n$ OK done\r\n"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct office office;
        begin_with(&office, i == 3 ? CAPS " ESEARCH" : CAPS, 0);
        office_rule_add(&office, "UID SEARCH", answers[i], 1);
        office_rule_add(&office, "UID SEARCH", "* SEARCH 1\r\n$ OK done\r\n", 0);
        ask_about(0, "FROM a", "1,3");
        office_run(&office, answered);
        assert_int_equal(asker[0].status, i == 3 ? OK : PROTOCOL);
        assert_string_equal(asker[0].hit, i == 3 ? "1" : "");
        assert_string_equal(known_of("FROM a"), i == 3 ? "1,3 / 1" : "never");
        finish(&office);
    }
}

/* Nobody asked about those. */
static void test_more_than_was_asked_about(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS " ESEARCH", 0);
    office_rule_add(&office, "UID SEARCH", "* ESEARCH (TAG \"$\") UID ALL 1:4294967295\r\n$ OK done\r\n", 1);
    find_out(&office, "FROM a", "3,7");
    assert_string_equal(asker[0].hit, "3,7");
    assert_string_equal(known_of("FROM a"), "3,7 / 3,7");
    finish(&office);
}

static bool all_five(struct office *office)
{
    (void)office;
    return mailbox_exists(box()) == 5;
}

static bool one_is_left(struct office *office)
{
    (void)office;
    return mailbox_exists(box()) == 1;
}

/* A view has them yet, and a link that has not been told of their end answers for them. */
static void test_more_hits_than_messages_are_left(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    office_rule_add(&office, "UID FETCH 8:*",
                    "* 5 FETCH (UID 8 FLAGS () MODSEQ (7))\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID SEARCH", "* SEARCH 1 3 5 7 8\r\n$ OK done\r\n", 1);
    office_push(&office, "* 5 EXISTS\r\n");
    office_run(&office, all_five);
    office_push(&office, "* VANISHED 1,3,5,7\r\n");
    office_run(&office, one_is_left);
    find_out(&office, "FROM a", "1,3,5,7,8");
    assert_int_equal(asker[0].status, OK);
    assert_string_equal(asker[0].hit, "1,3,5,7:8");
    finish(&office);
}

/* --- not remembered --- */

static void test_refusals_are_not_kept(void **state)
{
    static const struct {
        const char *answer;
        enum status status;
        const char *refusal;
    } cases[] = {
        {"$ NO [BADCHARSET (US-ASCII)] no\r\n", DENIED, "NO [BADCHARSET (US-ASCII)] no"},
        {"* SEARCH 1\r\n$ NO [INUSE] later\r\n", DENIED, "NO [INUSE] later"},
        {"$ BAD no\r\n", PROTOCOL, "BAD no"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct office office;
        begin_with(&office, CAPS, 0);
        office_rule_add(&office, "UID SEARCH", cases[i].answer, 1);
        ask_about(0, "FROM a", "1,3");
        ask_about(1, "FROM a", "3");
        office_run(&office, answered);
        assert_int_equal(asker[0].status, cases[i].status);
        assert_string_equal(asker[0].refusal, cases[i].refusal);
        assert_string_equal(asker[0].hit, "");
        assert_int_equal(asker[1].status, cases[i].status);
        assert_false(asker[0].is_lost);
        assert_string_equal(known_of("FROM a"), "never");
        find_out(&office, "FROM a", "1,3");
        assert_int_equal(asker[0].status, OK);
        finish(&office);
    }
}

static void test_answers_in_part_are_not_kept(void **state)
{
    static const char *const codes[] = {"MESSAGELIMIT 2 5", "INUSE", "EXPUNGEISSUED"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct office office;
        char answer[100];
        begin_with(&office, CAPS, 0);
        snprintf(answer, sizeof(answer), "* SEARCH 3\r\n$ OK [%s] done\r\n", codes[i]);
        office_rule_add(&office, "UID SEARCH", answer, 1);
        find_out(&office, "FROM a", "1,3");
        assert_int_equal(asker[0].status, OK);
        assert_string_equal(asker[0].hit, "3");
        assert_string_equal(known_of("FROM a"), " / ");
        finish(&office);
    }
}

/* RFC 2180: a link that has not heard of an EXPUNGE; once more, where it is known. */
static void test_refused_for_an_expunge(void **state)
{
    (void)state;
    for (int times = 1; times <= 2; times++) {
        struct office office;
        begin_with(&office, CAPS, 0);
        office_rule_add(&office, "UID SEARCH", "$ NO [EXPUNGEISSUED] some are gone\r\n", times);
        office_rule_add(&office, "UID SEARCH", "* SEARCH 3\r\n$ OK done\r\n", 1);
        find_out(&office, "BODY a", "1,3");
        assert_int_equal(asker[0].status, times == 1 ? OK : DENIED);
        assert_string_equal(asker[0].refusal, times == 1 ? "" : "NO [EXPUNGEISSUED] some are gone");
        assert_string_equal(known_of("BODY a"), times == 1 ? "1,3 / 3" : "never");
        finish(&office);
    }
}

/* What the link may not have been told of when it was asked. */
static void test_beyond_the_known_uidnext(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    office_rule_add(&office, "UID SEARCH", "* SEARCH 3 9\r\n$ OK done\r\n", 1);
    find_out(&office, "FROM a", "3,9");
    assert_string_equal(asker[0].hit, "3,9");
    assert_string_equal(known_of("FROM a"), "3 / 3");
    finish(&office);
}

/* --- links lost --- */

static void test_lost_link(void **state)
{
    (void)state;
    for (int deaths = 1; deaths <= 2; deaths++) {
        struct office office;
        begin_with(&office, CAPS, 0);
        office_rule_add(&office, "SELECT", SELECTED("4", "7", "8"), 0);
        office_rule_add(&office, "UID SEARCH", "* SEARCH 1\r\n!", deaths);
        office_rule_add(&office, "UID SEARCH", "* SEARCH 3\r\n$ OK done\r\n", 1);
        find_out(&office, "FROM a", "1,3");
        assert_int_equal(asker[0].status == OK, deaths == 1);
        assert_int_equal(asker[0].is_lost, deaths == 2);
        assert_string_equal(asker[0].hit, deaths == 1 ? "3" : "");
        assert_string_equal(known_of("FROM a"), deaths == 1 ? "1,3 / 3" : "never");
        finish(&office);
    }
}

static void test_nobody_can_be_asked(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    office.refuses_connections = true;
    office_cut(office_selected(&office));
    office_run_ms(&office, 20);
    find_out(&office, "FROM a", "1,3");
    assert_int_not_equal(asker[0].status, OK);
    assert_false(asker[0].is_lost);
    finish(&office);
}

/* --- ends --- */

static void test_canceled_in_a_callback(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    office_rule_add(&office, "UID SEARCH UID 1:3 FROM", "* SEARCH 1\r\n$ OK done\r\n", 0);
    office_rule_add(&office, "UID SEARCH UID 1:3 TO", "", 0);
    ask_about(0, "FROM a", "1,3");
    ask_about(1, "FROM a", "1,3");
    asker[0].ends = &asker[1];
    office_run(&office, answered);
    assert_int_equal(asker[0].answers_n, 1);
    assert_int_equal(asker[1].answers_n, 0);
    /* Nobody waits any more: what has been sent is remembered all the same. */
    ask_about(2, "TO a", "1,3");
    ask_about(3, "YOUNGER 7", "1,3");
    office_run_ms(&office, 50);
    searches_cancel(&asker[2].ask);
    searches_cancel(&asker[3].ask);
    struct peer *peer = office_selected(&office);
    office_answer(peer, peer->tag, "* SEARCH 1\r\n$ OK done\r\n");
    office_run_ms(&office, 50);
    assert_string_equal(known_of("TO a"), "1,3 / 1");
    assert_null(strstr(office_log(&office), "YOUNGER"));
    finish(&office);
}

static void test_the_mailbox_goes_while_asked(void **state)
{
    (void)state;
    for (int way = 0; way < 2; way++) {
        struct office office;
        begin_with(&office, CAPS, 0);
        office_rule_add(&office, "UID SEARCH", "", 0);
        ask_about(0, "FROM a", "1,3");
        ask_about(1, "YOUNGER 7", "1,3");
        ask_about(2, "FROM a", "1,3");
        office_run_ms(&office, 20);
        if (way == 0) {
            const struct name_change change = {.verb = NAME_DELETE, .name = SLICE("INBOX")};
            account_names_changed(guest[0].account, &change);
        } else { /* another one behind the same name */
            office_rule_add(&office, "SELECT", SELECTED("4", "8", "8"), 0);
            office_cut(office_selected(&office));
            office_run(&office, gone);
        }
        if (asker[2].ask != NULL) {
            searches_cancel(&asker[2].ask);
        }
        office_run(&office, answered);
        assert_int_equal(asker[0].status, CANCELED);
        assert_int_equal(asker[1].status, CANCELED);
        finish(&office);
    }
}

static void test_remembers_so_many(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS, 0);
    office.settings.search_remember = 2;
    for (int i = 0; i < 3; i++) {
        char criteria[32];
        snprintf(criteria, sizeof(criteria), "FROM a%d", i);
        ask_about(i, criteria, "1");
        office_run(&office, answered);
        assert_string_equal(known_of("FROM a0"), "1 / "); /* used again each time */
    }
    office_run_ms(&office, 20);
    assert_string_equal(known_of("FROM a0"), "1 / ");
    assert_string_equal(known_of("FROM a1"), "never");
    assert_string_equal(known_of("FROM a2"), "1 / ");
    finish(&office);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked_about_is_remembered),
        cmocka_unit_test(test_two_ask_the_same_at_once),
        cmocka_unit_test(test_closed_sets),
        cmocka_unit_test(test_a_word_from_the_upstream),
        cmocka_unit_test(test_volatile_is_asked_each_time),
        cmocka_unit_test(test_charset),
        cmocka_unit_test(test_extended_answers_in_one_flight),
        cmocka_unit_test(test_poor_esearch),
        cmocka_unit_test(test_esearch_answered_by_search),
        cmocka_unit_test(test_search_answered_by_esearch),
        cmocka_unit_test(test_search_answered_by_an_esearch_that_does_not_tell),
        cmocka_unit_test(test_answers_that_make_no_sense),
        cmocka_unit_test(test_more_than_was_asked_about),
        cmocka_unit_test(test_more_hits_than_messages_are_left),
        cmocka_unit_test(test_refusals_are_not_kept),
        cmocka_unit_test(test_answers_in_part_are_not_kept),
        cmocka_unit_test(test_refused_for_an_expunge),
        cmocka_unit_test(test_beyond_the_known_uidnext),
        cmocka_unit_test(test_lost_link),
        cmocka_unit_test(test_nobody_can_be_asked),
        cmocka_unit_test(test_canceled_in_a_callback),
        cmocka_unit_test(test_the_mailbox_goes_while_asked),
        cmocka_unit_test(test_remembers_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
