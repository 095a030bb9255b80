/* Mailbox state: header and blocks stay together. */
#include "store_fixture.h"

struct seen {
    char text[256];
    uint32_t last;
};

static enum status see(void *arg, uint32_t number, struct slice bytes)
{
    struct seen *seen = arg;
    size_t len = strlen(seen->text);
    assert_true(len == 0 || number > seen->last);
    seen->last = number;
    (void)snprintf(seen->text + len, sizeof(seen->text) - len, "%u=" SLICE_FMT ";", number,
                   SLICE_ARG(bytes));
    return OK;
}

/* "header modseq|blocks", or the status. */
static const char *load(struct fixture *f)
{
    static char text[512];
    struct store_state_head head;
    struct buf header;
    struct seen seen = {.last = 0};
    buf_init(&header, 0);
    store_read_begin(f->store);
    enum status st = store_state_get(f->store, f->mailbox, &head, &header);
    if (st == OK) {
        st = store_state_each_block(f->store, f->mailbox, see, &seen);
    }
    store_read_end(f->store);
    if (st == OK) {
        (void)snprintf(text, sizeof(text), SLICE_FMT " %llu|%s", SLICE_ARG(buf_slice(&header)),
                       (unsigned long long)head.synced_modseq, seen.text);
        assert_int_equal(head.uidvalidity, 7);
        assert_int_equal(head.uidnext, head.synced_modseq + 100);
    } else {
        (void)snprintf(text, sizeof(text), "%s", status_name(st));
    }
    buf_fini(&header);
    return text;
}

static enum status put(struct fixture *f, const char *header, uint64_t modseq, bool replace,
                       const struct store_block *blocks, size_t n)
{
    struct store_state state = {.uidvalidity = 7,
                                .uidnext = (uint32_t)modseq + 100,
                                .synced_modseq = modseq,
                                .header = slice_str(header),
                                .blocks = blocks,
                                .blocks_n = n,
                                .replace = replace};
    return store_state_put(f->store, f->mailbox, &state);
}

static void puts_adds_deletes_and_replaces(void **state)
{
    struct fixture *f = *state;
    struct store_block one[] = {{0, SLICE("a")}, {3, SLICE("b")}, {4000000, SLICE("c")}};
    struct store_block two[] = {{1, SLICE("n")}, {3, SLICE("")}, {4000000, SLICE("C")}};
    struct store_block three[] = {{9, SLICE("z")}};
    for (int settles = 0; settles < 3; settles++) {
        assert_int_equal(put(f, "h1", 1, true, one, 3), OK);
        if (settles == 1) {
            store_settle(f->store);
        }
        assert_string_equal(load(f), "h1 1|0=a;3=b;4000000=c;");
        assert_int_equal(put(f, "h2", 2, false, two, 3), OK);
        assert_string_equal(load(f), "h2 2|0=a;1=n;4000000=C;");
        if (settles == 2) {
            fixture_reopen(f);
            assert_string_equal(load(f), "h2 2|0=a;1=n;4000000=C;");
        }
        assert_int_equal(put(f, "h3", 3, false, NULL, 0), OK);
        assert_string_equal(load(f), "h3 3|0=a;1=n;4000000=C;");
        assert_int_equal(put(f, "h4", 4, true, three, 1), OK);
        assert_string_equal(load(f), "h4 4|9=z;");
        store_settle(f->store);
        assert_string_equal(load(f), "h4 4|9=z;");
    }
    assert_true(stats_get(&f->stats, STAT_store_dropped_writes) == 0);
}

static void the_first_write_must_be_all(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(load(f), "NOT_FOUND");
    assert_int_equal(put(f, "h", 1, false, NULL, 0), STALE);
    assert_int_equal(put(f, "h", 1, true, NULL, 0), OK);
    assert_int_equal(put(f, "i", 2, false, NULL, 0), OK);
    assert_string_equal(load(f), "i 2|");
    store_state_drop(f->store, f->mailbox);
    assert_string_equal(load(f), "NOT_FOUND");
    assert_int_equal(put(f, "i", 2, false, NULL, 0), STALE);
    store_settle(f->store);
    assert_string_equal(load(f), "NOT_FOUND");
    assert_int_equal(put(f, "i", 2, false, NULL, 0), STALE);
}

static void a_lost_write_makes_it_stale_not_mixed(void **state)
{
    struct fixture *f = *state;
    struct store_block blocks[] = {{0, SLICE("a")}, {1, SLICE("b")}};
    struct store_block newer[] = {{0, SLICE("A")}};
    struct store_block newest[] = {{1, SLICE("B")}};
    assert_int_equal(put(f, "h1", 1, true, blocks, 2), OK);
    store_settle(f->store);
    ARM(store_put);
    assert_int_equal(put(f, "h2", 2, false, newer, 1), OK);
    flush_until_dropped(f);
    disarm();
    /* Put before the loss was heard of: must not be added to what is on disk. */
    assert_int_equal(put(f, "h3", 3, false, newest, 1), OK);
    store_settle(f->store);
    assert_string_equal(load(f), "h1 1|0=a;1=b;"); /* old and whole */
    assert_int_equal(put(f, "h4", 4, false, newest, 1), STALE);
    assert_true(stats_get(&f->stats, STAT_store_dropped_writes) == 2);
    assert_int_equal(put(f, "h5", 5, true, blocks, 2), OK);
    assert_int_equal(put(f, "h6", 6, false, newer, 1), OK);
    fixture_reopen(f);
    assert_string_equal(load(f), "h6 6|0=A;1=b;");
}

static void a_damaged_block_or_header_drops_the_state(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {"BlockTextBlockText", "HeaderTextHeaderText"};
    for (int i = 0; i < 2; i++) {
        struct store_block blocks[] = {{0, SLICE("a")}, {1, SLICE("BlockTextBlockText")}};
        assert_int_equal(put(f, "HeaderTextHeaderText", 1, true, blocks, 2), OK);
        put_item(f, 1, "ENVELOPE", "stays");
        store_settle(f->store);
        store_close(&f->store);
        assert_true(damage(f, "index", texts[i]) > 0);
        fixture_open(f);
        assert_string_equal(load(f), "CORRUPT");
        assert_string_equal(load(f), "NOT_FOUND");
        store_settle(f->store);
        assert_string_equal(load(f), "NOT_FOUND");
        assert_string_equal(get_item(f, 1, "ENVELOPE"), "stays");
    }
}

static void large_states_go_in_and_out(void **state)
{
    struct fixture *f = *state;
    enum { N = 1000, LEN = 2000 };
    char *bytes = malloc(LEN);
    memset(bytes, 'm', LEN);
    struct store_block *blocks = calloc(N, sizeof(*blocks));
    for (uint32_t i = 0; i < N; i++) {
        blocks[i] = (struct store_block){i, slice_of(bytes, LEN)};
    }
    assert_int_equal(put(f, "h", 1, true, blocks, N), OK);
    store_settle(f->store);
    struct store_state too_long = {.header = {bytes, STORE_HEADER_MAX + 1}, .replace = true};
    assert_int_equal(store_state_put(f->store, f->mailbox, &too_long), LIMIT);
    store_close(&f->store);
    assert_int_equal(count_records(f, "index", "state"), N + 1);
    fixture_open(f);
    assert_int_equal(put(f, "h", 2, true, NULL, 0), OK);
    store_settle(f->store);
    assert_string_equal(load(f), "h 2|");
    store_close(&f->store);
    assert_int_equal(count_records(f, "index", "state"), 1);
    fixture_open(f);
    free(bytes);
    free(blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(puts_adds_deletes_and_replaces),
        T(the_first_write_must_be_all),
        T(a_lost_write_makes_it_stale_not_mixed),
        T(a_damaged_block_or_header_drops_the_state),
        T(large_states_go_in_and_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
