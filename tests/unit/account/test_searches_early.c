/* Searches while it is not known yet which messages there are: only SELECT has been answered. */
#include "../../../proxy/account/searches_p.h"
#include "searches_fixture.h"

#define EVERYTHING "* ESEARCH (TAG \"$\") UID ALL 1:4294967295\r\n$ OK done\r\n"

/* SELECT is answered as @selected, FILL is not. */
static void begin_early(struct office *office, const char *caps, const char *selected)
{
    begin_closed(office, caps, 0);
    office->rules_n = 0;
    office_rule_add(office, "SELECT", selected, 1);
    office_rule_add(office, FILL, "", 1);
    guest[0].open = feed_open(guest[0].account, SLICE("INBOX"), on_open, &guest[0]);
    office_run(office, opened);
    assert_true(guest[0].opened_early);
    office_run_ms(office, 50);
}

static void fill(struct office *office)
{
    struct peer *peer = office_selected(office);
    office_answer(peer, peer->tag, FOUR);
    office_run(office, complete);
}

static void test_asked_beside_the_map(void **state)
{
    struct office office;
    (void)state;
    begin_early(&office, CAPS " ESEARCH", SELECTED("4", "7", "8"));
    office_rule_add(&office, "UID SEARCH", "* ESEARCH (TAG \"$\") UID ALL 3:5\r\n$ OK done\r\n", 1);
    ask_about(0, "FROM a", "1:7");
    office_run(&office, answered);
    assert_string_equal(asker[0].hit, "3:5");
    fill(&office);
    assert_string_equal(known_of("FROM a"), "1:7 / 3:5");
    finish(&office);
}

/* UIDs that there are not would be told to a client, up to four billion of them. */
static void test_more_than_there_are(void **state)
{
    static const char *const plain[] = {"* SEARCH 3\r\n$ OK done\r\n", "* SEARCH 1 2 3 4 5\r\n$ OK done\r\n"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct office office;
        begin_early(&office, CAPS " ESEARCH", SELECTED("4", "7", "4000000000"));
        office_rule_add(&office, "UID SEARCH RETURN", EVERYTHING, 1);
        office_rule_add(&office, "UID SEARCH UID", plain[i], 1);
        ask_about(0, "FROM a", "1:3999999999");
        office_run(&office, answered);
        assert_int_equal(asker[0].status, i == 0 ? OK : PROTOCOL);
        assert_string_equal(asker[0].hit, i == 0 ? "3" : "");
        assert_string_equal(known_of("FROM a"), i == 0 ? "1:3999999999 / 3" : "never");
        finish(&office);
    }
}

/* RFC 9738: it would be answered for as many as the server works on. */
static void test_not_with_a_messagelimit(void **state)
{
    struct office office;
    (void)state;
    begin_early(&office, CAPS " ESEARCH MESSAGELIMIT=2", SELECTED("4", "7", "8"));
    office_rule_add(&office, "UID SEARCH", "* ESEARCH (TAG \"$\") UID\r\n$ OK done\r\n", 0);
    ask_about(0, "FROM a", "1:7");
    office_run_ms(&office, 50);
    assert_null(strstr(office_log(&office), "UID SEARCH"));
    finish(&office);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked_beside_the_map),
        cmocka_unit_test(test_more_than_there_are),
        cmocka_unit_test(test_not_with_a_messagelimit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
