/* A mailbox that comes back with a lower UIDNEXT, of the same UIDVALIDITY and with the same first message:
 * set back by its keeper.  Its UIDs may stand for other messages from then on. */
#include "account/orders.h"
#include "searches_fixture.h"
#include "store/record.h"

static bool has_order;
static struct order_ask *order_ask;

static void on_order(void *arg, const struct order_answer *answer)
{
    (void)arg;
    order_ask = NULL;
    has_order = answer->status == OK;
}

static bool order_answered(struct office *office)
{
    (void)office;
    return order_ask == NULL;
}

static bool remembers_order(const char *text)
{
    struct bitmap *uids = uids_of(text);
    const struct order_question question = {.program = SLICE("DATE"), .uids = uids};
    struct order_answer answer;
    bool yes = orders_find(feed_orders(guest[0].feed_user.feed), &question, &answer);
    bitmap_destroy(&uids);
    return yes;
}

static void ask_order(struct office *office, const char *text)
{
    struct bitmap *uids = uids_of(text);
    struct outcmd criteria;
    outcmd_init(&criteria);
    const struct order_question question = {
        .program = SLICE("DATE"), .uids = uids, .criteria = &criteria};
    office_rule_add(office, "UID SORT", "* SORT 7 5 3 1\r\n$ OK done\r\n", 1);
    order_ask = orders_ask(feed_orders(guest[0].feed_user.feed), &question, on_order, NULL);
    office_run(office, order_answered);
    outcmd_fini(&criteria);
    bitmap_destroy(&uids);
    assert_true(has_order);
}

static void keep(struct office *office, const char *key, const char *value)
{
    uint64_t id = feed_store_id(guest[0].feed_user.feed);
    assert_int_equal(store_item_put(office->store, id, 1, slice_str(key), slice_str(value)), OK);
}

static void test_searches_and_orders_are_forgotten(void **state)
{
    struct office office;
    (void)state;
    begin_with(&office, CAPS " SORT", 0);
    office_rule_add(&office, "UID SEARCH", "* SEARCH 3 5\r\n$ OK done\r\n", 1);
    ask_about(0, "FROM a", "1,3,5,7");
    office_run(&office, answered);
    ask_order(&office, "1,3,5,7");
    assert_true(remembers_order("5,7"));
    assert_string_equal(known_of("FROM a"), "1,3,5,7 / 3,5");
    keep(&office, "INTERNALDATE", "\"12-Mar-2019 10:00:00 +0000\"");
    keep(&office, "RFC822.SIZE", "100");
    office_rule_add(&office, "SELECT", SELECTED("2", "7", "5"), 0);
    office_rule_add(&office, "UID FETCH 1:*", "* VANISHED (EARLIER) 5,7\r\n$ OK done\r\n", 0);
    office_rule_add(&office, "UID FETCH 1",
                    "* 1 FETCH (UID 1 INTERNALDATE \"12-Mar-2019 10:00:00 +0000\" RFC822.SIZE 100)\r\n"
                    "$ OK done\r\n", 0);
    office_cut(office_selected(&office));
    office_run_ms(&office, 100);
    refresh(&office);
    assert_int_equal(guest[0].gone_n, 0);
    assert_int_equal(mailbox_exists(box()), 2);
    assert_false(remembers_order("1,3"));
    assert_false(remembers_order("5,7"));
    assert_string_equal(known_of("FROM a"), "never");
    finish(&office);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_searches_and_orders_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
