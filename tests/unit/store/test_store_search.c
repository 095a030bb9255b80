/* Remembered searches: what is found is what was put last, or nothing; never of another name,
 * mailbox or time. */
#include "store/search.h"
#include "store_fixture.h"

enum { HOUR = 3600, SMALL = 32 << 20 };

static int setup_small(void **state)
{
    return fixture_setup_size(state, SMALL);
}

static enum status put_to(struct fixture *f, uint64_t id, const char *name, const char *value)
{
    return store_search_put(f->store, id, slice_str(name), slice_str(value));
}

static void put(struct fixture *f, const char *name, const char *value)
{
    assert_int_equal(put_to(f, f->mailbox, name, value), OK);
}

/* The octets, copied; NULL: none. */
static const char *get_from(struct fixture *f, uint64_t id, const char *name)
{
    static char text[4096];
    struct slice octets;
    store_read_begin(f->store);
    bool is_found = store_search_get(f->store, id, slice_str(name), &octets);
    if (is_found) {
        assert_true(octets.len < sizeof(text));
        (void)snprintf(text, sizeof(text), SLICE_FMT, SLICE_ARG(octets));
    }
    store_read_end(f->store);
    return is_found ? text : NULL;
}

static const char *get(struct fixture *f, const char *name)
{
    return get_from(f, f->mailbox, name);
}

static void drop(struct fixture *f, const char *name)
{
    store_search_drop(f->store, f->mailbox, slice_str(name));
}

static void is_found_at_every_stage(void **state)
{
    struct fixture *f = *state;
    uint64_t other = 0;
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("Other"), 7, &other), OK);
    assert_null(get(f, "SUBJECT a"));
    put(f, "SUBJECT a", "first");
    put(f, "SUBJECT b", "");
    for (int stage = 0; stage < 3; stage++) {
        assert_string_equal(get(f, "SUBJECT a"), "first");
        assert_string_equal(get(f, "SUBJECT b"), "");
        assert_null(get(f, "SUBJECT A"));
        assert_null(get(f, ""));
        assert_null(get_from(f, other, "SUBJECT a"));
        if (stage == 0) {
            store_settle(f->store);
        } else {
            fixture_reopen(f);
        }
    }
    put(f, "SUBJECT a", "second, longer");
    assert_string_equal(get(f, "SUBJECT a"), "second, longer");
    put(f, "SUBJECT a", "3");
    fixture_reopen(f);
    assert_string_equal(get(f, "SUBJECT a"), "3");
    assert_int_equal(stats_get(&f->stats, STAT_store_dropped_writes), 0);
}

/* One search that is put, dropped, dropped with all others, in any order and at any stage. */
static void follows_the_order_of_calls(void **state)
{
    enum { NAMES = 4, STEPS = 3000 };
    struct fixture *f = *state;
    unsigned seed = 3;
    char expected[NAMES][16] = {""};
    for (int step = 0; step < STEPS; step++) {
        char name[16];
        unsigned which = (unsigned)rand_r(&seed) % NAMES;
        (void)snprintf(name, sizeof(name), "BODY %u", which);
        unsigned kind = (unsigned)rand_r(&seed) % 16;
        if (kind < 6) {
            (void)snprintf(expected[which], sizeof(expected[which]), "%d", step);
            put(f, name, expected[which]);
        } else if (kind < 8) {
            drop(f, name);
            expected[which][0] = '\0';
        } else if (kind == 8) {
            store_searches_drop(f->store, f->mailbox);
            memset(expected, 0, sizeof(expected));
        } else if (kind == 9) {
            store_settle(f->store);
        } else if (kind < 12) {
            store_flush(f->store); /* the writer is somewhere in it */
        } else if (kind == 12) {
            store_poll(f->store);
        } else if (step % 40 == 0) {
            fixture_reopen(f);
        }
        for (unsigned i = 0; i < NAMES; i++) {
            (void)snprintf(name, sizeof(name), "BODY %u", i);
            const char *found = get(f, name);
            assert_string_equal(found != NULL ? found : "", expected[i]);
        }
    }
}

static void goes_with_its_mailbox(void **state)
{
    struct fixture *f = *state;
    uint64_t old = f->mailbox;
    char name[32];
    for (int i = 0; i < 150; i++) {
        (void)snprintf(name, sizeof(name), "BODY %d", i);
        put(f, name, "x");
    }
    put_item(f, 1, "ENVELOPE", "item");
    store_settle(f->store);
    store_mailbox_drop(f->store, SLICE("account"), SLICE("INBOX"));
    assert_null(get(f, "BODY 1"));
    put(f, "BODY 1", "into nothing");
    assert_null(get(f, "BODY 1"));
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("INBOX"), 7, &f->mailbox),
                     OK);
    assert_true(f->mailbox != old);
    assert_null(get(f, "BODY 1"));
    put(f, "BODY 1", "new");
    close_when_buried(f, "index", "searches", 1);
    assert_int_equal(count_records(f, "index", "searched"), 1);
    assert_int_equal(count_records(f, "index", "use"), count_records(f, "index", "used"));
    fixture_open(f);
    assert_string_equal(get(f, "BODY 1"), "new");
    /* Another UIDVALIDITY is another mailbox. */
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("INBOX"), 8, &f->mailbox),
                     OK);
    assert_null(get(f, "BODY 1"));
    store_settle(f->store);
    store_close(&f->store);
    fixture_open(f); /* back to 7: new again */
    assert_null(get(f, "BODY 1"));
}

static void too_long_ones_are_refused(void **state)
{
    struct fixture *f = *state;
    char *octets = calloc(1, STORE_SEARCH_BYTES_MAX + 1);
    struct slice most = slice_of(octets, STORE_SEARCH_BYTES_MAX / 2);
    struct slice name = slice_of(octets, STORE_SEARCH_NAME_MAX);
    struct slice long_name = slice_of(octets, STORE_SEARCH_NAME_MAX + 1);
    struct slice found;
    assert_int_equal(store_search_put(f->store, f->mailbox, name, most), OK);
    assert_int_equal(store_search_put(f->store, f->mailbox, long_name, SLICE("x")), LIMIT);
    assert_int_equal(
        store_search_put(f->store, f->mailbox, name, slice_of(octets, STORE_SEARCH_BYTES_MAX + 1)),
        LIMIT);
    store_settle(f->store);
    store_read_begin(f->store);
    assert_true(store_search_get(f->store, f->mailbox, name, &found));
    assert_true(slice_eq(found, most));
    assert_false(store_search_get(f->store, f->mailbox, long_name, &found));
    store_read_end(f->store);
    store_search_drop(f->store, f->mailbox, long_name);
    store_search_used(f->store, f->mailbox, long_name);
    free(octets);
}

/* --- how many
 * -------------------------------------------------------------------------------------- */

static void the_least_recently_used_go(void **state)
{
    struct fixture *f = *state;
    char name[32];
    for (int i = 0; i < STORE_SEARCHES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "BODY %d", i);
        put(f, name, "x");
    }
    store_settle(f->store);
    fixture_now_s += HOUR;
    assert_non_null(get(f, "BODY 0"));
    store_search_used(f->store, f->mailbox, SLICE("BODY 1"));
    put(f, "BODY 2", "y");
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "TEXT %d", i);
        put(f, name, "x");
    }
    store_settle(f->store);
    for (int i = 0; i < STORE_SEARCHES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "BODY %d", i);
        assert_int_equal(get(f, name) != NULL, i < 3 || i > 5);
    }
    assert_non_null(get(f, "TEXT 2"));
    store_settle(f->store);
    store_close(&f->store);
    assert_int_equal(count_records(f, "index", "searches"), STORE_SEARCHES_MAX);
    assert_int_equal(count_records(f, "index", "searched"), STORE_SEARCHES_MAX);
    fixture_open(f);
}

/* A small cache holds few large ones: an eighth of the index. */
static void large_ones_are_fewer(void **state)
{
    struct fixture *f = *state;
    static char octets[200000];
    memset(octets, 'o', sizeof(octets));
    for (char c = 'a'; c <= 'z'; c++) {
        char name[] = {'B', c, '\0'};
        assert_int_equal(store_search_put(f->store, f->mailbox, slice_str(name),
                                          slice_of(octets, sizeof(octets))),
                         OK);
        store_settle(f->store);
    }
    size_t n = 0;
    struct slice found;
    store_read_begin(f->store);
    for (char c = 'a'; c <= 'z'; c++) {
        char name[] = {'B', c, '\0'};
        bool is_there = store_search_get(f->store, f->mailbox, slice_str(name), &found);
        assert_true(is_there || n == 0); /* the last ones */
        n += is_there;
    }
    store_read_end(f->store);
    assert_int_equal(n, SMALL / 4 / 8 / sizeof(octets));
}

static void they_make_room_for_items_but_not_while_in_use(void **state)
{
    struct fixture *f = *state;
    static char value[2000];
    memset(value, 'v', sizeof(value) - 1);
    uint32_t uid = 0;
    uint64_t unused = 0;
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("Old"), 7, &unused), OK);
    assert_int_equal(put_to(f, unused, "BODY old", "x"), OK);
    put(f, "BODY used", "x");
    for (int hour = 0; hour < 60; hour++) {
        for (int i = 0; i < 256; i++) {
            put_item(f, ++uid, "ENVELOPE", value);
            if (i % 50 == 0) {
                store_settle(f->store);
            }
        }
        fixture_now_s += 48 * HOUR;
        assert_non_null(get(f, "BODY used"));
        store_settle(f->store);
    }
    assert_null(get_from(f, unused, "BODY old"));
    assert_null(get_item(f, 1, "ENVELOPE"));
    assert_int_equal(stats_get(&f->stats, STAT_store_dropped_writes), 0);
    store_close(&f->store);
    assert_int_equal(count_records(f, "index", "searches"), 1);
    assert_int_equal(count_records(f, "index", "searched"), 1);
    assert_int_equal(count_records(f, "index", "use"), count_records(f, "index", "used"));
    fixture_open(f);
}

/* Used in the same hour as items, or a little later, they go first, and are room enough. */
static void they_go_before_items_as_old_as_they(void **state)
{
    struct fixture *f = *state;
    static char value[2000];
    static char octets[300000];
    memset(value, 'v', sizeof(value) - 1);
    memset(octets, 'o', sizeof(octets));
    for (uint32_t uid = 1; uid <= 256; uid++) {
        put_item(f, uid, "ENVELOPE", "old");
    }
    store_settle(f->store);
    fixture_now_s += HOUR;
    for (int i = 0; i < 3; i++) {
        char name[] = {'B', (char)('0' + i), '\0'};
        assert_int_equal(store_search_put(f->store, f->mailbox, slice_str(name),
                                          slice_of(octets, sizeof(octets))),
                         OK);
    }
    store_settle(f->store);
    struct slice found;
    bool is_there = true;
    for (uint32_t uid = 1000; is_there; uid += 50) {
        for (uint32_t i = 0; i < 50; i++) {
            put_item(f, uid + i, "ENVELOPE", value);
        }
        store_settle(f->store);
        store_read_begin(f->store);
        is_there = store_search_get(f->store, f->mailbox, SLICE("B0"), &found);
        store_read_end(f->store);
        assert_true(uid < 20000);
    }
    assert_non_null(get_item(f, 1, "ENVELOPE"));
}

/* --- what goes wrong
 * ------------------------------------------------------------------------------- */

static void a_damaged_one_is_dropped_and_counted(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {"BODY NameOfOne", "OctetsOfOne"};
    for (size_t i = 0; i < 2; i++) {
        uint64_t before = stats_get(&f->stats, STAT_store_bad_records);
        put(f, "BODY NameOfOne", "OctetsOfOne");
        put(f, "BODY other", "stays");
        store_settle(f->store);
        store_close(&f->store);
        assert_true(damage(f, "index", texts[i]) > 0);
        fixture_open(f);
        assert_null(get(f, "BODY NameOfOne"));
        assert_int_equal(stats_get(&f->stats, STAT_store_bad_records), before + 1);
        assert_null(get(f, "BODY NameOfOne"));
        assert_string_equal(get(f, "BODY other"), "stays");
        store_settle(f->store);
        assert_null(get(f, "BODY NameOfOne"));
        assert_int_equal(stats_get(&f->stats, STAT_store_bad_records), before + 1);
        put(f, "BODY NameOfOne", "anew");
        fixture_reopen(f);
        assert_string_equal(get(f, "BODY NameOfOne"), "anew");
    }
}

/* What says when it was used is not summed: damaged, it costs at most the record.  (Its length is
 * damaged, which is more than there are pages: no number of the tree's own is hit.) */
static void damaged_uses_cost_no_more_than_the_record(void **state)
{
    struct fixture *f = *state;
    char name[32];
    static char octets[3000];
    memset(octets, 'o', sizeof(octets));
    for (int i = 100; i < 100 + STORE_SEARCHES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "BODY %d", i);
        assert_int_equal(store_search_put(f->store, f->mailbox, slice_str(name),
                                          slice_of(octets, sizeof(octets))), OK);
    }
    store_settle(f->store);
    store_close(&f->store);
    uint64_t len = 16 + 8 + sizeof(octets); /* of heads, name and octets */
    assert_true(damage_octets(f, "index", slice_of((const char *)&len, sizeof(len))) >=
                STORE_SEARCHES_MAX);
    fixture_open(f);
    put(f, "TEXT x", "y");
    store_settle(f->store);
    store_settle(f->store);
    put(f, "TEXT z", "y");
    fixture_reopen(f);
    assert_non_null(get(f, "TEXT z"));
}

static void a_lost_put_leaves_what_was_there(void **state)
{
    struct fixture *f = *state;
    put(f, "BODY x", "old");
    store_settle(f->store);
    ARM(store_put);
    put(f, "BODY x", "new");
    flush_until_dropped(f);
    disarm();
    assert_string_equal(get(f, "BODY x"), "new"); /* not heard of yet */
    store_settle(f->store);
    assert_string_equal(get(f, "BODY x"), "old");
    put(f, "BODY x", "newer");
    fixture_reopen(f);
    assert_string_equal(get(f, "BODY x"), "newer");
}

/* It was seen to be wrong: rather nothing at all than that it comes back. */
static void a_lost_drop_costs_the_index(void **state)
{
    struct fixture *f = *state;
    for (int all = 0; all < 2; all++) {
        put(f, "BODY x", "wrong");
        store_settle(f->store);
        ARM(store_commit);
        if (all == 1) {
            store_searches_drop(f->store, f->mailbox);
        } else {
            drop(f, "BODY x");
        }
        flush_until_dropped(f);
        disarm();
        assert_null(get(f, "BODY x"));
        store_settle(f->store);
        assert_null(get(f, "BODY x"));
        store_settle(f->store);
        assert_null(get(f, "BODY x"));
        fixture_reopen(f);
        assert_null(get(f, "BODY x"));
    }
}

#define S(name) cmocka_unit_test_setup_teardown(name, setup_small, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(is_found_at_every_stage),
        T(follows_the_order_of_calls),
        T(goes_with_its_mailbox),
        T(too_long_ones_are_refused),
        T(the_least_recently_used_go),
        S(large_ones_are_fewer),
        S(they_make_room_for_items_but_not_while_in_use),
        S(they_go_before_items_as_old_as_they),
        T(a_damaged_one_is_dropped_and_counted),
        T(damaged_uses_cost_no_more_than_the_record),
        T(a_lost_put_leaves_what_was_there),
        T(a_lost_drop_costs_the_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
