/* Answers of LIST and STATUS: asked once for all who ask the same, kept for a moment, ended by writes. */
#include "account/lists.h"
#include "guest_fixture.h"

struct asker {
    struct lists_request *request;
    int answers_n;
    enum status status;
    size_t lines_n;
    char first[64], tagged[64];
    struct asker *ends; /* cancelled when this one is answered */
};

static struct asker asker[4];

static void on_answer(void *arg, const struct lists_answer *answer)
{
    struct asker *a = arg;
    a->request = NULL;
    a->answers_n++;
    a->status = answer->status;
    a->lines_n = answer->n;
    snprintf(a->tagged, sizeof(a->tagged), SLICE_FMT, SLICE_ARG(answer->tagged));
    if (answer->n > 0) {
        snprintf(a->first, sizeof(a->first), SLICE_FMT, SLICE_ARG(answer->lines[0].text));
    }
    if (a->ends != NULL && a->ends->request != NULL) {
        lists_cancel(&a->ends->request);
    }
}

static void ask_text(int n, const char *text, const struct lists_query *query)
{
    struct asker *a = &asker[n];
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, text);
    int before = a->answers_n;
    a->request = lists_ask(guest[0].account, query, &cmd, on_answer, a);
    assert_int_equal(a->answers_n, before); /* never inside the call */
    outcmd_fini(&cmd);
}

static void ask_list(int n)
{
    const struct lists_query query = {.topics = LISTS_NAMES, .kinds = 1u << RESPONSE_LIST};
    ask_text(n, "LIST \"\" \"*\"", &query);
}

static void ask_status(int n, const char *name)
{
    char text[64];
    const struct lists_query query = {
        .topics = LISTS_STATUS, .kinds = 1u << RESPONSE_STATUS, .mailbox = slice_str(name)};
    snprintf(text, sizeof(text), "STATUS %s (MESSAGES)", name);
    ask_text(n, text, &query);
}

static int times(struct office *office, const char *command)
{
    int n = 0;
    for (const char *at = office_log(office); (at = strstr(at, command)) != NULL; at++) {
        n++;
    }
    return n;
}

static bool all_answered(struct office *office)
{
    (void)office;
    for (int i = 0; i < 4; i++) {
        if (asker[i].request != NULL) {
            return false;
        }
    }
    return true;
}

static void start(struct office *office)
{
    memset(asker, 0, sizeof(asker));
    begin(office);
    login(office);
    office_rule_add(office, "LIST", "* LIST () \"/\" a\r\n* LIST () \"/\" b\r\n$ OK done\r\n", 0);
}

static void one_command_for_all_who_ask_at_once(void **state)
{
    struct office office;
    (void)state;
    start(&office);
    for (int i = 0; i < 4; i++) {
        ask_list(i);
    }
    office_run(&office, all_answered);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(asker[i].answers_n, 1);
        assert_int_equal(asker[i].status, OK);
        assert_int_equal(asker[i].lines_n, 2);
        assert_string_equal(asker[i].first, "() \"/\" a");
        assert_string_equal(asker[i].tagged, "OK done");
    }
    ask_list(0); /* kept */
    office_run(&office, all_answered);
    assert_int_equal(asker[0].answers_n, 2);
    assert_int_equal(times(&office, "LIST"), 1);
    end(&office);
}

static void a_write_ends_what_is_kept_and_what_is_asked(void **state)
{
    struct office office;
    (void)state;
    start(&office);
    ask_list(0);
    office_run(&office, all_answered);
    lists_changed(guest[0].account, LISTS_STATUS); /* of no concern */
    ask_list(0);
    office_run(&office, all_answered);
    assert_int_equal(times(&office, "LIST"), 1);
    lists_changed(guest[0].account, LISTS_NAMES);
    ask_list(1); /* asked anew */
    lists_changed(guest[0].account, LISTS_NAMES | LISTS_STATUS);
    ask_list(2); /* not joined: that one was begun before the write */
    office_run(&office, all_answered);
    assert_int_equal(asker[1].answers_n, 1);
    assert_int_equal(asker[2].answers_n, 1);
    assert_int_equal(times(&office, "LIST"), 3);
    end(&office);
}

static void whoever_leaves_takes_nothing_from_the_others(void **state)
{
    struct office office;
    (void)state;
    start(&office);
    ask_list(0);
    ask_list(1);
    ask_list(2);
    lists_cancel(&asker[1].request);
    asker[0].ends = &asker[2]; /* within the first one's answer */
    office_run(&office, all_answered);
    assert_int_equal(asker[0].answers_n, 1);
    assert_int_equal(asker[1].answers_n, 0);
    assert_int_equal(asker[2].answers_n, 0);
    lists_changed(guest[0].account, LISTS_NAMES);
    ask_list(3);
    lists_changed(guest[0].account, LISTS_NAMES);
    lists_cancel(&asker[3].request); /* the last: nobody is left, the command goes on */
    office_run_ms(&office, 30);
    assert_int_equal(asker[3].answers_n, 0);
    end(&office);
}

static void a_refusal_is_not_kept(void **state)
{
    struct office office;
    (void)state;
    memset(asker, 0, sizeof(asker));
    begin(&office);
    login(&office);
    office_rule_add(&office, "STATUS", "$ NO [INUSE] later\r\n", 1);
    office_rule_add(&office, "STATUS", "* STATUS box (MESSAGES 3)\r\n$ OK done\r\n", 0);
    ask_status(0, "box");
    ask_status(1, "box");
    office_run(&office, all_answered);
    assert_int_equal(asker[0].status, DENIED);
    assert_int_equal(asker[1].status, DENIED);
    assert_string_equal(asker[1].tagged, "NO [INUSE] later");
    ask_status(2, "box");
    office_run(&office, all_answered);
    assert_int_equal(asker[2].status, OK);
    assert_string_equal(asker[2].first, "box (MESSAGES 3)");
    assert_int_equal(times(&office, "STATUS"), 2);
    end(&office);
}

/* What is said of another mailbox is the answer to somebody else. */
static void a_status_takes_its_own_mailbox_alone(void **state)
{
    struct office office;
    (void)state;
    memset(asker, 0, sizeof(asker));
    begin(&office);
    login(&office);
    office_rule_add(&office, "STATUS a", "* STATUS b (MESSAGES 1)\r\n* STATUS a (MESSAGES 2)\r\n$ OK x\r\n", 0);
    office_rule_add(&office, "STATUS b", "$ OK x\r\n", 0);
    ask_status(0, "a");
    ask_status(1, "b");
    office_run(&office, all_answered);
    assert_string_equal(asker[0].first, "a (MESSAGES 2)");
    assert_int_equal(asker[0].lines_n, 1);
    end(&office);
}

static void a_link_that_dies_is_asked_again_once(void **state)
{
    struct office office;
    (void)state;
    memset(asker, 0, sizeof(asker));
    begin(&office);
    login(&office);
    office_rule_add(&office, "LIST", "* LIST () \"/\" half\r\n!", 1);
    office_rule_add(&office, "LIST", "* LIST () \"/\" a\r\n$ OK done\r\n", 0);
    ask_list(0);
    office_run(&office, all_answered);
    assert_int_equal(asker[0].status, OK);
    assert_int_equal(asker[0].lines_n, 1);
    assert_string_equal(asker[0].first, "() \"/\" a");
    end(&office);
}

/* With requests waiting and answers kept. */
static void the_account_ends(void **state)
{
    struct office office;
    (void)state;
    start(&office);
    ask_list(0);
    office_run(&office, all_answered);
    ask_list(1);
    lists_cancel(&asker[1].request);
    end(&office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_command_for_all_who_ask_at_once),
        cmocka_unit_test(a_write_ends_what_is_kept_and_what_is_asked),
        cmocka_unit_test(whoever_leaves_takes_nothing_from_the_others),
        cmocka_unit_test(a_refusal_is_not_kept),
        cmocka_unit_test(a_status_takes_its_own_mailbox_alone),
        cmocka_unit_test(a_link_that_dies_is_asked_again_once),
        cmocka_unit_test(the_account_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
