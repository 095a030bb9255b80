/* Orders and threads: what is remembered, for which sets it serves, what goes upstream and what of
 * its answers is kept. */
#include "guest_fixture.h"

#include "../../../proxy/account/orders_p.h"
#include "base/bitmap.h"

static struct bitmap *set_of(const char *text)
{
    struct ranges set;
    struct bitmap *bitmap = bitmap_create();
    ranges_init(&set, 0);
    assert_int_equal(ranges_parse(&set, slice_str(text)), OK);
    bitmap_add_ranges(bitmap, &set);
    ranges_fini(&set);
    return bitmap;
}

/* "9 7 8": the UIDs in order. */
static void expect_order(const struct order *order, const char *text)
{
    struct buf out;
    struct ranges uids;
    assert_non_null(order);
    uint32_t *at = alloc_array((size_t)bitmap_count(order->uids) + 1, sizeof(*at));
    size_t n = 0;
    buf_init(&out, 0);
    ranges_init(&uids, 0);
    bitmap_to_ranges(order->uids, &uids);
    for (size_t i = 0; i < uids.n; i++) {
        for (uint64_t uid = uids.at[i].first; uid <= uids.at[i].last; uid++) {
            at[n++] = (uint32_t)uid;
        }
    }
    assert_int_equal(n, order->n);
    for (size_t i = 0; i < order->n; i++) {
        assert_true(order->places[i] < n);
        buf_printf(&out, i > 0 ? " %u" : "%u", (unsigned)at[order->places[i]]);
    }
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, text);
    buf_fini(&out);
    ranges_fini(&uids);
    alloc_free(at);
}

/* --- an order alone --- */

static void test_each_uid_once_and_only_those_asked_for(void **state)
{
    static const uint32_t said[] = {70, 3, 0, 5, 3, 4, 99, 70, 4294967295, 1};
    struct bitmap *asked = set_of("1:5,70,4294967295");
    struct order *order = order_create(said, sizeof(said) / sizeof(said[0]), asked);
    (void)state;
    expect_order(order, "70 3 5 4 4294967295 1");
    struct order *copy = order_copy(order);
    order_destroy(&order);
    assert_null(order);
    struct bitmap *to = set_of("3,4,4294967295");
    order_narrow(copy, to);
    expect_order(copy, "3 4 4294967295");
    order_destroy(&copy);
    order = order_create(said, 0, NULL);
    expect_order(order, "");
    order_destroy(&order);
    order_destroy(&order);
    bitmap_destroy(&asked);
    bitmap_destroy(&to);
}

/* --- what is remembered --- */

static struct orders_pool pool;
static struct orders_kept kept, other;

static void begin_kept(void)
{
    pool = (struct orders_pool){.bytes_max = 1024 * 1024};
    kept = (struct orders_kept){.pool = &pool};
    other = (struct orders_kept){.pool = &pool};
}

static void end_kept(void)
{
    kept__clear(&kept);
    kept__clear(&other);
    assert_int_equal(pool.bytes, 0);
    assert_null(pool.used);
}

static void keep(struct orders_kept *of, const char *program, const uint32_t *numbers, size_t n,
                 const char *present_text)
{
    struct bitmap *present = set_of(present_text);
    kept__add_order(of, slice_str(program), order_create(numbers, n, NULL), present);
    bitmap_destroy(&present);
}

static const struct order *find(struct orders_kept *of, const char *program, const char *uids_text)
{
    struct bitmap *uids = set_of(uids_text);
    const struct order *order = kept__find_order(of, slice_str(program), uids);
    bitmap_destroy(&uids);
    return order;
}

static void test_an_order_serves_every_subset(void **state)
{
    static const uint32_t said[] = {4, 2, 9, 1};
    (void)state;
    begin_kept();
    keep(&kept, "DATE", said, 4, "1:9");
    expect_order(find(&kept, "DATE", "1,2,4,9"), "4 2 9 1");
    assert_non_null(find(&kept, "DATE", "2,9"));
    assert_null(find(&kept, "DATE", "2,3"));
    assert_null(find(&kept, "REVERSE DATE", "2"));
    assert_null(find(&kept, "DAT", "2"));
    assert_null(find(&other, "DATE", "2"));
    end_kept();
}

static void test_a_larger_order_takes_the_place_of_smaller_ones(void **state)
{
    static const uint32_t small[] = {4, 2}, apart[] = {8, 7}, large[] = {4, 3, 2, 1}, gone[] = {9, 4};
    (void)state;
    begin_kept();
    keep(&kept, "DATE", small, 2, "1:9");
    keep(&kept, "SIZE", small, 2, "1:9");
    keep(&kept, "DATE", apart, 2, "1:9");
    keep(&kept, "DATE", gone, 2, "1:9");
    assert_int_equal(kept.n, 4);
    keep(&kept, "DATE", large, 4, "1:8"); /* 9 has been expunged */
    assert_int_equal(kept.n, 3);
    assert_non_null(find(&kept, "DATE", "1:4"));
    assert_non_null(find(&kept, "DATE", "7,8"));
    assert_non_null(find(&kept, "SIZE", "2,4"));
    keep(&kept, "DATE", small, 2, "1:8"); /* is known already */
    assert_int_equal(kept.n, 3);
    end_kept();
}

static void test_expunged_messages_leave_in_time(void **state)
{
    uint32_t said[100];
    static const uint32_t two[] = {1, 2};
    (void)state;
    begin_kept();
    for (uint32_t i = 0; i < 100; i++) {
        said[i] = 100 - i;
    }
    keep(&kept, "DATE", said, 100, "1:100");
    size_t bytes = pool.bytes;
    keep(&kept, "SIZE", two, 2, "1:90"); /* a few may stay */
    assert_int_equal(find(&kept, "DATE", "1:90")->n, 100);
    keep(&kept, "SUBJECT", two, 2, "1:3");
    expect_order(find(&kept, "DATE", "1:3"), "3 2 1");
    assert_true(pool.bytes < bytes + 1000);
    end_kept();
}

static void test_the_least_recently_used_goes(void **state)
{
    static const uint32_t one[] = {1};
    char program[32];
    (void)state;
    begin_kept();
    for (unsigned i = 0; i < ORDERS_MAX; i++) {
        snprintf(program, sizeof(program), "P%u", i);
        keep(&kept, program, one, 1, "1");
        keep(&other, program, one, 1, "1");
    }
    assert_non_null(find(&kept, "P0", "1"));
    keep(&kept, "NEW", one, 1, "1");
    assert_int_equal(kept.n, ORDERS_MAX);
    assert_non_null(find(&kept, "P0", "1"));
    assert_null(find(&kept, "P1", "1"));
    assert_non_null(find(&other, "P1", "1")); /* of another mailbox */
    end_kept();
}

static void test_all_mailboxes_share_the_room(void **state)
{
    static uint32_t said[100000];
    (void)state;
    begin_kept();
    for (uint32_t i = 0; i < 100000; i++) {
        said[i] = i + 1;
    }
    keep(&kept, "A", said, 100000, "1:100000");
    keep(&other, "B", said, 100000, "1:100000");
    assert_non_null(find(&kept, "A", "1:100000"));
    keep(&other, "C", said, 100000, "1:100000");
    assert_true(pool.bytes <= pool.bytes_max);
    assert_null(find(&other, "B", "1"));
    assert_non_null(find(&kept, "A", "1"));
    assert_non_null(find(&other, "C", "1"));
    pool.bytes_max = 1000; /* one that is too large for all of it is not kept */
    keep(&kept, "D", said, 100000, "1:100000");
    assert_int_equal(kept.n + other.n, 0);
    end_kept();
}

static void test_threads_are_of_one_set_in_one_mailbox(void **state)
{
    struct bitmap *uids = set_of("1:3"), *few = set_of("1:2"), *present = set_of("1:9"),
                  *later = set_of("1:10");
    struct slice text;
    (void)state;
    begin_kept();
    kept__add_threads(&kept, SLICE("REFS"), uids, present, SLICE("(1 2)(3)"));
    assert_true(kept__find_threads(&kept, SLICE("REFS"), uids, present, &text));
    assert_true(slice_eq(text, SLICE("(1 2)(3)")));
    assert_false(kept__find_threads(&kept, SLICE("REFERENCES"), uids, present, &text));
    assert_false(kept__find_threads(&kept, SLICE("REFS"), few, present, &text));
    assert_false(kept__find_threads(&kept, SLICE("REFS"), uids, later, &text));
    assert_null(kept__find_order(&kept, SLICE("REFS"), uids));
    kept__add_threads(&kept, SLICE("REFS"), few, later, SLICE("(1 2)"));
    assert_int_equal(kept.n, 1); /* the others can never be of use again */
    end_kept();
    bitmap_destroy(&uids);
    bitmap_destroy(&few);
    bitmap_destroy(&present);
    bitmap_destroy(&later);
}

static void test_only_lasting_keys_are_remembered(void **state)
{
    struct capabilities plain, display;
    (void)state;
    capability_parse(SLICE("IMAP4rev1 SORT"), &plain);
    capability_parse(SLICE("IMAP4rev1 SORT SORT=DISPLAY"), &display);
    assert_true(orders_remembers(&plain, false, SLICE("REVERSE DATE SUBJECT")));
    assert_true(orders_remembers(&plain, false, SLICE("ARRIVAL")));
    assert_true(orders_remembers(&display, false, SLICE("DISPLAYFROM DISPLAYTO")));
    assert_false(orders_remembers(&plain, false, SLICE("DISPLAYFROM")));
    assert_false(orders_remembers(&display, false, SLICE("RELEVANCY")));
    assert_false(orders_remembers(&display, false, SLICE("DATE MODSEQ")));
    assert_false(orders_remembers(&display, false, SLICE("X-SCORE DATE")));
    assert_true(orders_remembers(&plain, true, SLICE("REFERENCES")));
}

/* --- asking --- */

#define SELECTED(exists, uidnext)                                                                  \
    "* " exists " EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT " uidnext        \
    "] x\r\n* OK [HIGHESTMODSEQ 10] x\r\n$ OK [READ-WRITE] done\r\n"
#define FILL "UID FETCH 1:* (UID FLAGS MODSEQ)"
#define FOUR                                                                                       \
    "* 1 FETCH (UID 1 FLAGS () MODSEQ (3))\r\n* 2 FETCH (UID 3 FLAGS () MODSEQ (4))\r\n"           \
    "* 3 FETCH (UID 4 FLAGS () MODSEQ (5))\r\n* 4 FETCH (UID 9 FLAGS () MODSEQ (5))\r\n$ OK done\r\n"

struct asker {
    struct order_ask *ask;
    int answers_n;
    enum status st;
    bool is_selected;
    struct order *order;
    char threads[100];
    char refusal[100];
};

static struct asker asker[3];

static void on_answer(void *arg, const struct order_answer *answer)
{
    struct asker *a = arg;
    a->ask = NULL;
    a->answers_n++;
    a->st = answer->status;
    a->is_selected = answer->is_selected;
    order_destroy(&a->order);
    a->order = answer->order != NULL ? order_copy(answer->order) : NULL;
    snprintf(a->threads, sizeof(a->threads), SLICE_FMT, SLICE_ARG(answer->threads));
    snprintf(a->refusal, sizeof(a->refusal), SLICE_FMT, SLICE_ARG(answer->refusal));
}

static bool all_answered(struct office *office)
{
    (void)office;
    return asker[0].ask == NULL && asker[1].ask == NULL && asker[2].ask == NULL;
}

static struct feed *feed(void)
{
    return guest[0].feed_user.feed;
}

static void open_four_of(struct office *office, const char *more_caps)
{
    static char caps[200];
    begin(office);
    memset(asker, 0, sizeof(asker));
    snprintf(caps, sizeof(caps), "%s %s", office->caps, more_caps);
    office->caps = caps;
    login(office);
    office_rule_add(office, "SELECT", SELECTED("4", "10"), 1);
    office_rule_add(office, FILL, FOUR, 1);
    open_box(office);
    assert_int_equal(guest[0].open_st, OK);
}

static void open_four(struct office *office)
{
    open_four_of(office, "");
}

static void end_askers(struct office *office)
{
    for (size_t i = 0; i < 3; i++) {
        if (asker[i].ask != NULL) {
            orders_cancel(&asker[i].ask);
        }
        order_destroy(&asker[i].order);
    }
    end(office);
}

static void put(struct asker *a, bool is_thread, const char *program, const char *uids_text,
                const char *criteria_text)
{
    struct bitmap *uids = uids_text != NULL ? set_of(uids_text) : NULL;
    struct outcmd criteria;
    outcmd_init(&criteria);
    outcmd_str(&criteria, criteria_text);
    const struct order_question question = {.is_thread = is_thread,
                                            .program = slice_str(program),
                                            .uids = uids,
                                            .criteria = &criteria,
                                            .is_by_flags = strstr(criteria_text, "TEXT") == NULL};
    a->answers_n = 0;
    a->ask = orders_ask(feed_orders(feed()), &question, on_answer, a);
    assert_int_equal(a->answers_n, 0);
    outcmd_fini(&criteria);
    bitmap_destroy(&uids);
}

static bool remembers(bool is_thread, const char *program, const char *uids_text)
{
    struct bitmap *uids = set_of(uids_text);
    const struct order_question question = {
        .is_thread = is_thread, .program = slice_str(program), .uids = uids};
    struct order_answer answer;
    bool yes = orders_find(feed_orders(feed()), &question, &answer);
    bitmap_destroy(&uids);
    return yes;
}

static void test_a_set_goes_out_closed_and_once(void **state)
{
    struct office office;
    (void)state;
    open_four(&office);
    office_rule_add(&office, "UID SORT (DATE) UTF-8 UID 1:4", "* SORT 4 9 1 3\r\n$ OK done\r\n", 1);
    put(&asker[0], false, "DATE", "1,3:4", "UTF-8 FLAGGED");
    put(&asker[1], false, "DATE", "3", "UTF-8 SEEN"); /* joins */
    office_run(&office, all_answered);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(asker[i].st, OK);
        assert_false(asker[i].is_selected);
        expect_order(asker[i].order, "4 1 3"); /* 9 was not asked for */
    }
    assert_true(remembers(false, "DATE", "1,4"));
    assert_false(remembers(false, "DATE", "1,9"));
    end_askers(&office);
}

static void test_what_comes_with_doubt_is_answered_and_forgotten(void **state)
{
    static const char *const answers[] = {
        "* SORT 4 1\r\n$ OK [MESSAGELIMIT 2 1] done\r\n", "* SORT 4 1\r\n$ OK [INUSE] done\r\n",
        "* SORT 4 1\r\n$ OK [EXPUNGEISSUED] done\r\n"};
    struct office office;
    (void)state;
    open_four(&office);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        office_rule_add(&office, "UID SORT", answers[i], 1);
        put(&asker[0], false, "DATE", "1,4", "UTF-8 ALL");
        office_run(&office, all_answered);
        assert_int_equal(asker[0].st, OK);
        expect_order(asker[0].order, "4 1");
        assert_false(remembers(false, "DATE", "1"));
    }
    office_rule_add(&office, "UID SORT", "$ NO [INUSE] not now\r\n", 1);
    put(&asker[0], false, "DATE", "1,4", "UTF-8 ALL");
    office_run(&office, all_answered);
    assert_int_equal(asker[0].st, DENIED);
    assert_string_equal(asker[0].refusal, "NO [INUSE] not now");
    end_askers(&office);
}

/* Told as an order, the messages of the line that was not understood would be missing from it. */
static void test_what_cannot_be_read_is_no_answer(void **state)
{
    struct office office;
    (void)state;
    open_four(&office);
    office_rule_add(&office, "UID SORT", "* SORT 4 1\r\n* SORT x\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID THREAD", "* THREAD (4)(1\r\n$ OK done\r\n", 1);
    put(&asker[0], false, "DATE", "1,4", "UTF-8 ALL");
    put(&asker[1], true, "REFS", "1,4", "UTF-8 ALL");
    office_run(&office, all_answered);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(asker[i].st, PROTOCOL);
        assert_string_equal(asker[i].refusal, "");
    }
    assert_false(remembers(false, "DATE", "1"));
    assert_false(remembers(true, "REFS", "1,4"));
    end_askers(&office);
}

#define NUMBERS(key) "UID SORT RETURN (COUNT) (" key ") UTF-8 UID 1:9;"

/* Orders by a text are right once the server has numbered the messages by it. */
static void test_a_text_is_numbered_first(void **state)
{
    static const struct {
        bool is_thread;
        const char *program, *sent;
    } cases[] = {
        {false, "REVERSE FROM SIZE",
         NUMBERS("FROM") NUMBERS("FROM") "UID SORT (REVERSE FROM SIZE) UTF-8 UID 1:9;"},
        {false, "CC", NUMBERS("CC") NUMBERS("CC") "UID SORT (CC) UTF-8 UID 1:9;"},
        {true, "ORDEREDSUBJECT",
         NUMBERS("SUBJECT") NUMBERS("SUBJECT") "UID THREAD ORDEREDSUBJECT UTF-8 UID 1:9;"},
        {true, "REFS", "UID THREAD REFS UTF-8 UID 1:9;"},
        {false, "REVERSE DATE FROM", "UID SORT (REVERSE DATE FROM) UTF-8 UID 1:9;"},
        {false, "RELEVANCY", "UID SORT (RELEVANCY) UTF-8 UID 1:9;"},
    };
    struct office office;
    (void)state;
    open_four_of(&office, "SORT ESORT X-Dovecot");
    office_rule_add(&office, "UID SORT RETURN (COUNT) (CC)", "$ NO not today\r\n", 0);
    office_rule_add(&office, "UID SORT RETURN (COUNT)", "* ESEARCH (TAG \"$\") UID COUNT 4\r\n$ OK x\r\n", 0);
    office_rule_add(&office, "UID SORT", "* SORT 9 4 3 1\r\n$ OK x\r\n", 0);
    office_rule_add(&office, "UID THREAD", "* THREAD (9)(4)(3)(1)\r\n$ OK x\r\n", 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t before = office.log.len;
        put(&asker[0], cases[i].is_thread, cases[i].program, "1,3,4,9", "UTF-8 ALL");
        office_run(&office, all_answered);
        assert_int_equal(asker[0].st, OK);
        if (!cases[i].is_thread) {
            expect_order(asker[0].order, "9 4 3 1");
        }
        assert_string_equal(office_log(&office) + before, cases[i].sent);
    }
    end_askers(&office);
}

/* A server that nobody knows may answer RETURN by a SORT that names no tag: one after the other. */
static void test_an_unknown_server_numbers_alone(void **state)
{
    struct office office;
    (void)state;
    open_four_of(&office, "SORT ESORT");
    office_rule_add(&office, "UID SORT RETURN", "* SORT 1 3 4 9\r\n$ OK x\r\n", 1);
    office_rule_add(&office, "UID SORT (TO SIZE)", "* SORT 9 4 3 1\r\n$ OK x\r\n", 1);
    size_t before = office.log.len;
    put(&asker[0], false, "TO SIZE", "1,3,4,9", "UTF-8 ALL");
    office_run(&office, all_answered);
    expect_order(asker[0].order, "9 4 3 1");
    assert_string_equal(office_log(&office) + before,
                        NUMBERS("TO") "UID SORT (TO SIZE) UTF-8 UID 1:9;");
    end_askers(&office);
    open_four_of(&office, "SORT");
    office_rule_add(&office, "UID SORT (TO) ", "* SORT 1 3 4 9\r\n$ OK x\r\n", 1);
    office_rule_add(&office, "UID SORT (TO SIZE)", "* SORT 9 4 3 1\r\n$ OK x\r\n", 1);
    put(&asker[0], false, "TO SIZE", "1,3,4,9", "UTF-8 ALL");
    office_run(&office, all_answered);
    expect_order(asker[0].order, "9 4 3 1");
    end_askers(&office);
    open_four_of(&office, "SORT ESORT Cyrus"); /* right at once */
    office_rule_add(&office, "UID SORT (TO SIZE)", "* SORT 9 4 3 1\r\n$ OK x\r\n", 1);
    put(&asker[0], false, "TO SIZE", "1,3,4,9", "UTF-8 ALL");
    office_run(&office, all_answered);
    expect_order(asker[0].order, "9 4 3 1");
    assert_null(strstr(office_log(&office), "COUNT"));
    end_askers(&office);
}

static void test_a_lost_link_numbers_again(void **state)
{
    struct office office;
    (void)state;
    open_four_of(&office, "SORT ESORT Dovecot");
    office_rule_add(&office, "SELECT", SELECTED("4", "10"), 0);
    office_rule_add(&office, "UID SORT RETURN", "* ESEARCH (TAG \"$\") UID COUNT 4\r\n$ OK x\r\n", 0);
    office_rule_add(&office, "UID SORT (TO)", "* SORT 9 1\r\n!", 1);
    office_rule_add(&office, "UID SORT (TO)", "* SORT 9 4 3 1\r\n$ OK x\r\n", 1);
    put(&asker[0], false, "TO", "1,3,4,9", "UTF-8 ALL");
    office_run(&office, all_answered);
    assert_int_equal(asker[0].st, OK);
    expect_order(asker[0].order, "9 4 3 1");
    const char *again = strstr(office_log(&office), "UID SORT (TO) UTF-8 UID 1:9;");
    assert_non_null(again);
    assert_non_null(strstr(again, NUMBERS("TO") NUMBERS("TO") "UID SORT (TO) UTF-8 UID 1:9;"));
    end_askers(&office);
}

static void test_a_lost_link_is_made_up_for_once(void **state)
{
    struct office office;
    (void)state;
    open_four(&office);
    office_rule_add(&office, "SELECT", SELECTED("4", "10"), 0);
    office_rule_add(&office, "UID SORT", "* SORT 9 1\r\n!", 1); /* half an answer */
    office_rule_add(&office, "UID SORT", "* SORT 4 1\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID SORT", "!", 2);
    put(&asker[0], false, "DATE", "1,4", "UTF-8 ALL");
    office_run(&office, all_answered);
    assert_int_equal(asker[0].st, OK);
    expect_order(asker[0].order, "4 1");
    put(&asker[0], false, "SIZE", "1,4", "UTF-8 ALL");
    office_run(&office, all_answered);
    assert_int_not_equal(asker[0].st, OK);
    assert_false(remembers(false, "SIZE", "1"));
    end_askers(&office);
}

static void test_criteria_go_out_where_there_is_no_set(void **state)
{
    struct office office;
    (void)state;
    open_four(&office);
    office_rule_add(&office, "UID SORT (RELEVANCY) UTF-8 TEXT x", "* SORT 9 3\r\n$ OK done\r\n", 2);
    office_rule_add(&office, "UID SORT (SIZE) UTF-8 TEXT x", "* SORT 3 9\r\n$ OK done\r\n", 1);
    for (int turn = 0; turn < 2; turn++) {
        put(&asker[0], false, "RELEVANCY", NULL, "UTF-8 TEXT x");
        office_run(&office, all_answered);
        assert_true(asker[0].is_selected);
        expect_order(asker[0].order, "9 3");
    }
    assert_false(remembers(false, "RELEVANCY", "3"));
    put(&asker[0], false, "SIZE", NULL, "UTF-8 TEXT x");
    office_run(&office, all_answered);
    assert_false(remembers(false, "SIZE", "3,9")); /* TEXT: who knows what it does to the order */
    end_askers(&office);
}

static void test_threads(void **state)
{
    struct office office;
    (void)state;
    open_four(&office);
    office_rule_add(&office, "UID THREAD REFERENCES UTF-8 UID 1:9", "* THREAD (1 (3)(4))(9)\r\n$ OK x\r\n", 1);
    office_rule_add(&office, "UID THREAD REFS UTF-8 UID 1:9", "* THREAD (1 3)(4)\r\n$ OK x\r\n", 1);
    put(&asker[0], true, "REFERENCES", "1,3,4,9", "UTF-8 ALL");
    put(&asker[1], true, "REFERENCES", "1,3,4,9", "UTF-8 ALL"); /* joins */
    office_run(&office, all_answered);
    assert_string_equal(asker[0].threads, "(1 (3)(4))(9)");
    assert_string_equal(asker[1].threads, "(1 (3)(4))(9)");
    assert_true(remembers(true, "REFERENCES", "1,3,4,9"));
    assert_false(remembers(true, "REFERENCES", "1,3,4"));
    put(&asker[0], true, "REFS", "1,3,4,9", "UTF-8 ALL"); /* one is left out */
    office_run(&office, all_answered);
    assert_string_equal(asker[0].threads, "(1 3)(4)");
    assert_false(remembers(true, "REFS", "1,3,4,9"));
    assert_true(remembers(true, "REFS", "1,3,4")); /* of those they are */
    office_rule_add(&office, "UID THREAD REFS UTF-8 TEXT x", "* THREAD (9 3)\r\n$ OK x\r\n", 1);
    put(&asker[0], true, "REFS", NULL, "UTF-8 TEXT x");
    office_run(&office, all_answered);
    assert_true(asker[0].is_selected);
    assert_false(remembers(true, "REFS", "3,9"));
    office_rule_add(&office, "NOOP", "* 5 EXISTS\r\n$ OK x\r\n", 1);
    office_rule_add(&office, "UID FETCH 10:*", "* 5 FETCH (UID 10 FLAGS () MODSEQ (11))\r\n$ OK x\r\n", 1);
    office_push(&office, "* 5 EXISTS\r\n");
    refresh(&office);
    office_run_ms(&office, 50);
    assert_true(mailbox_has(box(), 10));
    assert_false(remembers(true, "REFERENCES", "1,3,4,9")); /* the mailbox has another one now */
    end_askers(&office);
}

/* Threads asked for when the mailbox had other messages may be others. */
static void test_threads_of_another_moment_are_not_joined(void **state)
{
    struct office office;
    (void)state;
    open_four(&office);
    office_rule_add(&office, "UID THREAD", "", 1); /* takes its time */
    office_rule_add(&office, "UID THREAD", "* THREAD (1)(3)\r\n$ OK x\r\n", 1);
    office_rule_add(&office, "UID THREAD", "* THREAD (1 3)\r\n$ OK x\r\n", 1);
    office_rule_add(&office, "SELECT", SELECTED("5", "11"), 0);
    office_rule_add(&office, "UID FETCH 10:*", "* 5 FETCH (UID 10 FLAGS () MODSEQ (11))\r\n$ OK x\r\n", 0);
    put(&asker[0], true, "REFS", "1,3", "UTF-8 ALL");
    office_run_ms(&office, 50);
    office_push(&office, "* 5 EXISTS\r\n* 5 FETCH (UID 10 FLAGS () MODSEQ (11))\r\n");
    office_run_ms(&office, 50);
    assert_true(mailbox_has(box(), 10));
    put(&asker[1], true, "REFS", "1,3", "UTF-8 ALL");
    office_cut(office_selected(&office));
    office_run(&office, all_answered);
    assert_string_equal(asker[0].threads, "(1)(3)");
    assert_string_equal(asker[1].threads, "(1 3)");
    end_askers(&office);
}

static void test_who_leaves(void **state)
{
    struct office office;
    (void)state;
    open_four(&office);
    office_rule_add(&office, "UID SORT (SIZE) UTF-8 UID 1:3", "* SORT 3 1\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID SORT (DATE) UTF-8 UID 1:3", "* SORT 1 3\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID SORT (X) UTF-8 UID 1:3", "* SORT 1 3\r\n$ OK done\r\n", 1);
    put(&asker[0], false, "SIZE", "1,3", "UTF-8 ALL");
    put(&asker[1], false, "SIZE", "1,3", "UTF-8 ALL");
    orders_cancel(&asker[0].ask);
    assert_null(asker[0].ask);
    put(&asker[2], false, "X", "1,3", "UTF-8 ALL"); /* nobody else would have it */
    orders_cancel(&asker[2].ask);
    office_run(&office, all_answered);
    assert_int_equal(asker[0].answers_n, 0);
    expect_order(asker[1].order, "3 1");
    put(&asker[0], false, "DATE", "1,3", "UTF-8 ALL"); /* goes on, and is remembered */
    orders_cancel(&asker[0].ask);
    office_run_ms(&office, 100);
    assert_true(remembers(false, "DATE", "1,3"));
    put(&asker[0], false, "FROM", "1,3", "UTF-8 ALL"); /* never answered: the feed goes first */
    close_guest(&guest[0]);
    guest[0] = (struct guest){0};
    for (size_t i = 0; i < 3; i++) {
        order_destroy(&asker[i].order);
    }
    office_close(&office);
    assert_int_equal(asker[0].answers_n, 1);
    assert_int_equal(asker[0].st, CANCELED);
}

static void test_not_much_goes_on_for_nobody(void **state)
{
    static const char *const programs[] = {"DATE", "SIZE", "ARRIVAL", "DATE SIZE", "SIZE DATE",
                                           "DATE ARRIVAL", "ARRIVAL DATE", "SIZE ARRIVAL",
                                           "ARRIVAL SIZE", "REVERSE DATE"};
    enum { PROGRAMS = sizeof(programs) / sizeof(programs[0]) };
    struct office office;
    size_t kept_n = 0;
    (void)state;
    open_four(&office);
    office_rule_add(&office, "UID SORT", "* SORT 1 3\r\n$ OK done\r\n", 0);
    for (size_t i = 0; i < PROGRAMS; i++) {
        put(&asker[0], false, programs[i], "1,3", "UTF-8 ALL");
        orders_cancel(&asker[0].ask);
    }
    office_run_ms(&office, 200);
    for (size_t i = 0; i < PROGRAMS; i++) {
        kept_n += remembers(false, programs[i], "1,3");
    }
    assert_int_equal(kept_n, 8);
    put(&asker[0], false, programs[PROGRAMS - 1], "1,3", "UTF-8 ALL"); /* who waits is served */
    office_run(&office, all_answered);
    assert_int_equal(asker[0].st, OK);
    end_askers(&office);
}

/* As many as go on for nobody: whoever leaves next is given up. */
static void leave_many(void)
{
    static const char *const programs[] = {"DATE", "SIZE", "ARRIVAL", "DATE SIZE", "SIZE DATE",
                                           "DATE ARRIVAL", "ARRIVAL DATE", "SIZE ARRIVAL"};
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        put(&asker[2], false, programs[i], "1,3", "UTF-8 ALL");
        orders_cancel(&asker[2].ask);
    }
}

/* What was to number the messages for an order is not sent when nobody wants the order. */
static void test_what_goes_before_leaves_with_it(void **state)
{
    struct office office;
    (void)state;
    open_four_of(&office, "SORT ESORT Dovecot");
    office_rule_add(&office, "UID SORT", "* SORT 1 3\r\n$ OK done\r\n", 0);
    leave_many();
    put(&asker[0], false, "FROM", "1,3", "UTF-8 ALL");
    orders_cancel(&asker[0].ask);
    office_run_ms(&office, 100);
    assert_true(remembers(false, "SIZE ARRIVAL", "1,3"));
    assert_null(strstr(office_log(&office), "FROM"));
    end_askers(&office);
}

/* Sent already, it may be answered or not, and its link may be lost. */
static void test_what_went_before_is_nobodys(void **state)
{
    static const char *const answers[] = {"", "* ESEARCH (TAG \"$\") UID COUNT 4\r\n$ OK x\r\n"};
    for (size_t i = 0; i < 4; i++) {
        struct office office;
        (void)state;
        open_four_of(&office, "SORT ESORT Dovecot");
        office_rule_add(&office, "SELECT", SELECTED("4", "10"), 0);
        office_rule_add(&office, "UID SORT RETURN", answers[i % 2], 1);
        office_rule_add(&office, "UID SORT RETURN", "", 1);
        office_rule_add(&office, "UID SORT (FROM)", "", 1);
        office_rule_add(&office, "UID SORT", "* SORT 3 1\r\n$ OK done\r\n", 0);
        put(&asker[0], false, "FROM", "1,3", "UTF-8 ALL");
        office_run_ms(&office, 50);
        assert_non_null(strstr(office_log(&office), "UID SORT (FROM)"));
        leave_many();
        if (i < 2) {
            orders_cancel(&asker[0].ask);
        }
        office_cut(office_selected(&office));
        office_run(&office, all_answered);
        office_run_ms(&office, 50);
        assert_int_equal(asker[0].answers_n, i < 2 ? 0 : 1);
        end_askers(&office);
    }
}

/* Nor is what nobody waits for asked twice. */
static void test_a_lost_link_is_not_made_up_for_to_nobody(void **state)
{
    struct office office;
    (void)state;
    open_four(&office);
    office_rule_add(&office, "SELECT", SELECTED("4", "10"), 0);
    office_rule_add(&office, "UID SORT", "!", 1);
    office_rule_add(&office, "UID SORT", "* SORT 4 1\r\n$ OK done\r\n", 1);
    put(&asker[0], false, "DATE", "1,4", "UTF-8 ALL");
    orders_cancel(&asker[0].ask);
    office_run_ms(&office, 200);
    assert_false(remembers(false, "DATE", "1,4"));
    const char *sent = strstr(office_log(&office), "UID SORT");
    assert_non_null(sent);
    assert_null(strstr(sent + 1, "UID SORT"));
    put(&asker[0], false, "DATE", "1,4", "UTF-8 ALL");
    office_run(&office, all_answered);
    expect_order(asker[0].order, "4 1");
    end_askers(&office);
}

static void test_large_sets_go_over_a_bulk_link(void **state)
{
    struct office office;
    struct buf fill;
    (void)state;
    begin(&office);
    memset(asker, 0, sizeof(asker));
    login(&office);
    office_rule_add(&office, "SELECT", SELECTED("3000", "3001"), 1);
    buf_init(&fill, 0);
    for (unsigned i = 1; i <= 3000; i++) {
        buf_printf(&fill, "* %u FETCH (UID %u FLAGS () MODSEQ (3))\r\n", i, i);
    }
    buf_add_str(&fill, "$ OK done\r\n");
    buf_add_char(&fill, '\0');
    office_rule_add(&office, FILL, fill.data, 1);
    open_box(&office);
    office_rule_add(&office, "EXAMINE", SELECTED("3000", "3001"), 0);
    office_rule_add(&office, "UID SORT (DATE) UTF-8 UID 1:3000", "* SORT 3000 1\r\n$ OK done\r\n", 1);
    office_rule_add(&office, "UID SORT (SIZE) UTF-8 UID 5:6", "* SORT 6 5\r\n$ OK done\r\n", 1);
    put(&asker[0], false, "SIZE", "5:6", "UTF-8 ALL");
    office_run(&office, all_answered);
    assert_null(strstr(office_log(&office), "EXAMINE"));
    put(&asker[0], false, "DATE", "1:3000", "UTF-8 ALL");
    office_run(&office, all_answered);
    assert_int_equal(asker[0].st, OK);
    assert_non_null(strstr(office_log(&office), "EXAMINE \"INBOX\";UID SORT (DATE)"));
    end_askers(&office);
    buf_fini(&fill);
}

static void test_a_set_that_is_scattered(void **state)
{
    struct office office;
    struct buf fill, few, half;
    (void)state;
    begin(&office);
    memset(asker, 0, sizeof(asker));
    login(&office);
    office_rule_add(&office, "SELECT", SELECTED("40000", "40001"), 1);
    buf_init(&fill, 0);
    buf_init(&few, 0);
    buf_init(&half, 0);
    for (unsigned i = 1; i <= 40000; i++) {
        buf_printf(&fill, "* %u FETCH (UID %u FLAGS () MODSEQ (3))\r\n", i, i);
        if (i % 2 == 0) {
            buf_printf(&half, "%s%u", i > 2 ? "," : "", i);
        }
        if (i % 20 == 0) {
            buf_printf(&few, "%s%u", i > 20 ? "," : "", i);
        }
    }
    buf_add_str(&fill, "$ OK done\r\n");
    buf_add_char(&fill, '\0');
    buf_add_char(&half, '\0');
    buf_add_char(&few, '\0');
    office_rule_add(&office, FILL, fill.data, 1);
    open_box(&office);
    office_rule_add(&office, "EXAMINE", SELECTED("40000", "40001"), 0);
    /* half of them: all are asked for */
    office_rule_add(&office, "UID SORT (DATE) UTF-8 UID 2:40000", "* SORT 3 2\r\n$ OK done\r\n", 1);
    put(&asker[0], false, "DATE", half.data, "UTF-8 SEEN");
    office_run(&office, all_answered);
    assert_int_equal(asker[0].st, OK);
    assert_false(asker[0].is_selected);
    expect_order(asker[0].order, "3 2");
    /* one in twenty: the criteria go out, and the upstream says which they are */
    office_rule_add(&office, "UID SORT (SIZE) UTF-8 SEEN", "* SORT 40 20\r\n$ OK done\r\n", 1);
    put(&asker[0], false, "SIZE", few.data, "UTF-8 SEEN");
    office_run(&office, all_answered);
    assert_true(asker[0].is_selected);
    expect_order(asker[0].order, "40 20");
    assert_true(remembers(false, "SIZE", "20"));
    office_rule_add(&office, "UID THREAD REFS UTF-8 SEEN", "* THREAD (20)(40)\r\n$ OK done\r\n", 1);
    put(&asker[0], true, "REFS", half.data, "UTF-8 SEEN");
    office_run(&office, all_answered);
    assert_string_equal(asker[0].threads, "(20)(40)");
    assert_true(asker[0].is_selected);
    assert_false(remembers(true, "REFS", half.data));
    end_askers(&office);
    buf_fini(&fill);
    buf_fini(&half);
    buf_fini(&few);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_uid_once_and_only_those_asked_for),
        cmocka_unit_test(test_an_order_serves_every_subset),
        cmocka_unit_test(test_a_larger_order_takes_the_place_of_smaller_ones),
        cmocka_unit_test(test_expunged_messages_leave_in_time),
        cmocka_unit_test(test_the_least_recently_used_goes),
        cmocka_unit_test(test_all_mailboxes_share_the_room),
        cmocka_unit_test(test_threads_are_of_one_set_in_one_mailbox),
        cmocka_unit_test(test_only_lasting_keys_are_remembered),
        cmocka_unit_test(test_a_set_goes_out_closed_and_once),
        cmocka_unit_test(test_what_comes_with_doubt_is_answered_and_forgotten),
        cmocka_unit_test(test_what_cannot_be_read_is_no_answer),
        cmocka_unit_test(test_a_text_is_numbered_first),
        cmocka_unit_test(test_an_unknown_server_numbers_alone),
        cmocka_unit_test(test_a_lost_link_numbers_again),
        cmocka_unit_test(test_a_lost_link_is_made_up_for_once),
        cmocka_unit_test(test_criteria_go_out_where_there_is_no_set),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_threads_of_another_moment_are_not_joined),
        cmocka_unit_test(test_who_leaves),
        cmocka_unit_test(test_not_much_goes_on_for_nobody),
        cmocka_unit_test(test_what_goes_before_leaves_with_it),
        cmocka_unit_test(test_what_went_before_is_nobodys),
        cmocka_unit_test(test_a_lost_link_is_not_made_up_for_to_nobody),
        cmocka_unit_test(test_large_sets_go_over_a_bulk_link),
        cmocka_unit_test(test_a_set_that_is_scattered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
