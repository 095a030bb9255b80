/* A disk that fails: what is told of the cache afterwards is right or nothing, and it comes back to work
 * without a restart. */
#include "store/search.h"
#include "store_fixture.h"

#ifdef IMAPCACHED_DEBUG

enum { WAITS = 400, WAIT_US = 20000 };

/* Put something new until it stays; false: it never does. */
static bool works_again(struct fixture *f, uint32_t uid)
{
    for (int i = 0; i < WAITS; i++) {
        struct ranges one;
        /* Whoever opens it after the index was emptied; an id from before works until the next start. */
        assert_int_equal(
            store_mailbox_open(f->store, SLICE("account"), SLICE("INBOX"), 7, &f->mailbox), OK);
        put_item(f, uid, "ENVELOPE", "(new)");
        put_content(f, uid, 70000);
        store_settle(f->store);
        if (get_item(f, uid, "ENVELOPE") != NULL && has_content(f, uid)) {
            return true;
        }
        ranges_init(&one, 0);
        ranges_add(&one, uid, uid);
        store_messages_drop(f->store, f->mailbox, &one);
        ranges_fini(&one);
        store_settle(f->store);
        (void)usleep(WAIT_US);
        store_poll(f->store);
    }
    return false;
}

static void put_search(struct fixture *f, uint32_t uid, const char *value)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "SUBJECT %u", uid);
    assert_int_equal(store_search_put(f->store, f->mailbox, slice_str(name), slice_str(value)), OK);
}

static void check_search(struct fixture *f, uint32_t uid, const char *value)
{
    char name[32];
    struct slice octets;
    (void)snprintf(name, sizeof(name), "SUBJECT %u", uid);
    store_read_begin(f->store);
    if (store_search_get(f->store, f->mailbox, slice_str(name), &octets)) {
        assert_true(slice_eq(octets, slice_str(value)));
    }
    store_read_end(f->store);
}

static void drop_search(struct fixture *f, uint32_t uid)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "SUBJECT %u", uid);
    store_search_drop(f->store, f->mailbox, slice_str(name));
}

static void check_no_search(struct fixture *f, uint32_t uid)
{
    char name[32];
    struct slice octets;
    (void)snprintf(name, sizeof(name), "SUBJECT %u", uid);
    store_read_begin(f->store);
    assert_false(store_search_get(f->store, f->mailbox, slice_str(name), &octets));
    store_read_end(f->store);
}

static void put_some(struct fixture *f, uint32_t first, uint32_t last)
{
    for (uint32_t uid = first; uid <= last; uid++) {
        char value[32];
        (void)snprintf(value, sizeof(value), "(%u)", uid);
        put_item(f, uid, "ENVELOPE", value);
        put_search(f, uid, value);
        put_content(f, uid, 1000 + uid * 777);
        store_settle(f->store);
    }
}

/* All that is there is right; returns how many are. */
static size_t check_some(struct fixture *f, uint32_t first, uint32_t last)
{
    size_t n = 0;
    for (uint32_t uid = first; uid <= last; uid++) {
        char value[32];
        const char *found = get_item(f, uid, "ENVELOPE");
        struct content_ref ref;
        (void)snprintf(value, sizeof(value), "(%u)", uid);
        if (found != NULL) {
            assert_string_equal(found, value);
            n++;
        }
        check_search(f, uid, value);
        if (find_content(f, uid, &ref) == OK) {
            enum status st = read_content(f, &ref, uid, 0, 1 << 20);
            assert_true(st == END || st == NOT_FOUND);
        }
    }
    return n;
}

static void survives(struct fixture *f, enum fault fault, const char *name, uint32_t failing)
{
    put_some(f, 1, 20);
    assert_int_equal(check_some(f, 1, 20), 20);
    arm(fault, name, "+");
    put_some(f, 21, 20 + failing);
    (void)check_some(f, 1, 20 + failing);
    disarm();
    assert_true(works_again(f, 900));
    (void)check_some(f, 1, 20 + failing);
    put_some(f, 1001, 1020);
    assert_int_equal(check_some(f, 1001, 1020), 20);
    fixture_reopen(f);
    assert_int_equal(check_some(f, 1001, 1020), 20);
}

static void a_commit_that_fails_once_loses_nothing_else(void **state)
{
    struct fixture *f = *state;
    put_some(f, 1, 20);
    ARM(store_commit);
    put_some(f, 21, 21);
    disarm();
    assert_int_equal(check_some(f, 1, 20), 20);
    put_some(f, 22, 30);
    assert_int_equal(check_some(f, 1, 20), 20);
    assert_int_equal(check_some(f, 22, 30), 9);
}

static void commits_that_fail_for_a_while(void **state)
{
    survives(*state, FAULT_store_commit, "store_commit", 10);
}

static void writes_that_fail_for_a_while(void **state)
{
    survives(*state, FAULT_store_put, "store_put", 10);
}

static void a_full_map_for_a_while(void **state)
{
    survives(*state, FAULT_store_full, "store_full", 10);
}

static void flushes_that_fail(void **state)
{
    survives(*state, FAULT_store_sync, "store_sync", 3);
}

/* It has to be emptied, and cannot be for now. */
static void an_environment_that_cannot_be_made_anew_at_first(void **state)
{
    struct fixture *f = *state;
    put_some(f, 1, 20);
    ARM(store_full);
    put_item(f, 30, "ENVELOPE", "(30)");
    store_flush(f->store);
    (void)usleep(50000);
    arm(FAULT_store_open, "store_open", "+");
    for (int i = 0; i < 20; i++) {
        store_poll(f->store); /* hears of it, asks for it to be emptied: in vain */
        store_flush(f->store);
        (void)usleep(10000);
    }
    put_item(f, 31, "ENVELOPE", "(31)");
    store_settle(f->store);
    assert_null(get_item(f, 1, "ENVELOPE"));
    assert_null(get_item(f, 31, "ENVELOPE"));
    disarm();
    assert_true(works_again(f, 900));
    assert_null(get_item(f, 1, "ENVELOPE")); /* what was there does not come back */
    fixture_reopen(f);
    assert_string_equal(get_item(f, 900, "ENVELOPE"), "(new)");
}

/* A directory in the place of the file: it can neither be removed nor opened. */
static void what_cannot_be_removed_is_moved_aside(void **state)
{
    struct fixture *f = *state;
    char command[300];
    put_some(f, 1, 20);
    (void)snprintf(command, sizeof(command),
                   "cd %s/content && rm data.mdb && mkdir data.mdb && touch data.mdb/x", f->dir);
    assert_int_equal(system(command), 0);
    ARM(store_full);
    put_content(f, 30, 5000);
    store_settle(f->store);
    disarm();
    assert_true(works_again(f, 900));
    (void)snprintf(command, sizeof(command), "test -d %s/content.damaged/data.mdb", f->dir);
    assert_int_equal(system(command), 0);
}

/* Each fault at one step after the other (what stands before it in the batch differs), amid all kinds of
 * writes. */
static void any_step_may_fail(void **state)
{
    static const struct {
        enum fault fault;
        const char *name;
    } faults[] = {{FAULT_store_put, "store_put"},
                  {FAULT_store_commit, "store_commit"},
                  {FAULT_store_full, "store_full"}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        for (unsigned visit = 0; visit < 40; visit++) {
            struct content_ref ref;
            struct ranges some;
            uint32_t base = 1 + (uint32_t)(i * 40 + visit) * 10;
            put_some(f, base, base + 1);
            arm(faults[i].fault, faults[i].name, visit % 8 == 7 ? "+" : "");
            for (unsigned before = 0; before < visit % 8; before++) {
                put_item(f, base + 2, before % 2 == 0 ? "ENVELOPE" : "BODY", "(x)");
            }
            if (find_content(f, base, &ref) == OK) {
                enum status st =
                    store_content_share(f->store, &ref, f->mailbox, base + 3, SLICE("BODY[]"));
                assert_true(st == OK || st == NOT_FOUND);
            }
            put_content(f, base + 4, 150000);
            put_search(f, base, "(another)"); /* what was there, or this, or nothing */
            drop_search(f, base + 1);
            ranges_init(&some, 0);
            ranges_add(&some, base, base);
            store_messages_drop(f->store, f->mailbox, &some);
            ranges_fini(&some);
            store_settle(f->store);
            disarm();
            store_settle(f->store);
            check_no_search(f, base + 1); /* dropped: it may not come back */
            if (find_content(f, base + 3, &ref) == OK) {
                enum status st = read_content(f, &ref, base, 0, 1 << 20);
                assert_true(st == END || st == NOT_FOUND);
            }
            if (find_content(f, base + 4, &ref) == OK) {
                enum status st = read_content(f, &ref, base + 4, 0, 1 << 20);
                assert_true(st == END || st == NOT_FOUND);
            }
            assert_int_equal(
                store_mailbox_open(f->store, SLICE("account"), SLICE("INBOX"), 7, &f->mailbox), OK);
        }
    }
    assert_true(works_again(f, 100000));
}

#else
static void skipped(void **state)
{
    (void)state;
    skip(); /* release builds have no faults */
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef IMAPCACHED_DEBUG
        T(a_commit_that_fails_once_loses_nothing_else),
        T(commits_that_fail_for_a_while),
        T(writes_that_fail_for_a_while),
        T(a_full_map_for_a_while),
        T(flushes_that_fail),
        T(an_environment_that_cannot_be_made_anew_at_first),
        T(what_cannot_be_removed_is_moved_aside),
        T(any_step_may_fail),
#else
        T(skipped),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
