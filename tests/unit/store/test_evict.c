/* The size cap: what is longest unused goes, files stay below 1.25 times the size, for as long as
 * one writes. */
#include "store_fixture.h"

enum { SIZE = 32 << 20, HOUR = 3600 };

static int setup(void **state)
{
    return fixture_setup_size(state, SIZE);
}

static long file_bytes(struct fixture *f, const char *env)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s/data.mdb", f->dir, env);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    (void)fseek(file, 0, SEEK_END);
    long n = ftell(file);
    (void)fclose(file);
    return n;
}

/* Sizes of mail: many small, few large; repeatable. */
static uint64_t mail_size(uint32_t uid)
{
    uint32_t x = uid * 2654435761U;
    return x % 13 == 0 ? 200000 + x % 900000 : x % 5 == 0 ? 20000 + x % 100000 : 500 + x % 9000;
}

static void content_stays_below_its_cap(void **state)
{
    struct fixture *f = *state;
    uint64_t written = 0;
    uint32_t uid = 0;
    while (written < 8ULL * SIZE) {
        uid++;
        written += mail_size(uid);
        put_content(f, uid, mail_size(uid));
        if (uid % 7 == 0) {
            store_settle(f->store);
        }
        if (uid % 200 == 0) {
            fixture_now_s += HOUR;
        }
    }
    store_settle(f->store);
    assert_true(stats_get(&f->stats, STAT_store_evicted_bytes) > 6ULL * SIZE);
    assert_true(stats_get(&f->stats, STAT_store_dropped_writes) == 0);
    assert_true(file_bytes(f, "content") <= (long)(SIZE / 4 * 3 / 4 * 5));
    uint64_t kept = 0;
    uint32_t n = 0;
    for (uint32_t at = uid; at > 0; at--) {
        struct content_ref ref;
        if (find_content(f, at, &ref) == OK) {
            assert_int_equal(read_content(f, &ref, at, 0, 1 << 20), END);
            kept += ref.size_bytes;
            n++;
        }
    }
    assert_true(kept > SIZE / 2); /* of the 24 MiB that are content's */
    assert_true(has_content(f, uid) && has_content(f, uid - n / 2));
    assert_false(has_content(f, 1));
    put_item(f, 1, "ENVELOPE", "small items go on");
    fixture_reopen(f);
    assert_true(has_content(f, uid));
}

static void what_is_used_stays(void **state)
{
    struct fixture *f = *state;
    uint64_t written = 0;
    uint32_t uid = 100;
    for (uint32_t i = 1; i <= 50; i++) {
        put_content(f, i, 50000);
    }
    while (written < 3ULL * SIZE) {
        put_content(f, ++uid, 50000);
        written += 50000;
        if (uid % 50 == 0) {
            fixture_now_s += HOUR;
            for (uint32_t i = 1; i <= 50; i += 2) { /* every second one is looked at */
                assert_true(has_content(f, i));
            }
            store_settle(f->store);
        }
    }
    for (uint32_t i = 1; i <= 50; i += 2) {
        assert_true(has_content(f, i));
        assert_false(has_content(f, i + 1));
    }
}

static void items_stay_below_their_cap(void **state)
{
    struct fixture *f = *state;
    char value[2000];
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    struct store_block block = {0, SLICE("b")};
    struct store_state kept = {.uidvalidity = 7, .blocks = &block, .blocks_n = 1, .replace = true};
    uint32_t uid = 0;
    for (int hour = 0; hour < 60; hour++) {
        for (int i = 0; i < 256; i++) {
            put_item(f, ++uid, "ENVELOPE", value);
            if (i % 50 == 0) {
                store_settle(f->store);
            }
        }
        fixture_now_s += HOUR;
        assert_int_equal(store_state_put(f->store, f->mailbox, &kept), OK);
        if (get_item(f, 1, "ENVELOPE") == NULL) { /* keeps its block in use */
            fail_msg("the used block went in hour %d", hour);
        }
        store_settle(f->store);
    }
    assert_true(stats_get(&f->stats, STAT_store_evicted_bytes) > SIZE / 4);
    assert_true(stats_get(&f->stats, STAT_store_dropped_writes) == 0);
    assert_true(file_bytes(f, "index") <= (long)(SIZE / 4 / 4 * 5));
    assert_string_equal(get_item(f, uid, "ENVELOPE"), value);
    assert_null(get_item(f, 300, "ENVELOPE"));
    struct store_state_head head;
    struct buf header;
    buf_init(&header, 0);
    assert_int_equal(store_state_get(f->store, f->mailbox, &head, &header), OK);
    buf_fini(&header);
    store_close(&f->store);
    assert_true(count_records(f, "index", "messages") > 1000);
    assert_int_equal(count_records(f, "index", "use"), count_records(f, "index", "used"));
    fixture_open(f);
}

/* More staged than fits: nothing may be evicted for it, so it is refused, and the rest goes on. */
static void too_much_staged_is_lost_alone(void **state)
{
    struct fixture *f = *state;
    struct content_writer *writers[12];
    size_t lost = 0;
    put_content(f, 1, 1000);
    store_settle(f->store);
    for (uint32_t i = 0; i < 12; i++) {
        uint64_t size = SIZE / 8;
        writers[i] = begin_content(f, 100 + i, size);
        for (int piece = 0; piece < 16 && append_content(writers[i], i, size / 16) == OK; piece++) {
            store_settle(f->store);
        }
    }
    for (uint32_t i = 0; i < 12; i++) {
        if (store_content_append(writers[i], SLICE("")) != OK) {
            lost++;
        }
        store_content_abort(&writers[i]);
    }
    assert_true(lost > 0 && lost < 12);
    put_content(f, 2, 100000);
    store_settle(f->store);
    assert_true(has_content(f, 2));
    close_when_buried(f, "content", "staged", 0);
    fixture_open(f);
    assert_true(has_content(f, 2));
}

/* LMDB's files never shrink, so what is beyond a lowered cap goes whole; what fits stays. */
static void a_smaller_cap_is_kept_after_reopening(void **state)
{
    struct fixture *f = *state;
    for (uint32_t uid = 1; uid <= 200; uid++) {
        put_content(f, uid, 90000);
    }
    put_item(f, 1, "ENVELOPE", "fits");
    store_settle(f->store);
    store_close(&f->store);
    f->size_bytes = 8 << 20;
    fixture_open(f);
    assert_false(has_content(f, 200));
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "fits");
    put_content(f, 1000, 10000);
    fixture_reopen(f);
    assert_true(has_content(f, 1000));
    assert_true(file_bytes(f, "content") < 8 << 20);
}

#define E(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        E(content_stays_below_its_cap),
        E(what_is_used_stays),
        E(items_stay_below_their_cap),
        E(too_much_staged_is_lost_alone),
        E(a_smaller_cap_is_kept_after_reopening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
