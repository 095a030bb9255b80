/* Message bytes: staged, committed, aborted, lost, damaged. */
#include <sys/wait.h>

#include "store_fixture.h"

static const uint64_t sizes[] = {0,
                                 1,
                                 2000,
                                 8192,
                                 STORE_CHUNK_BYTES - 1,
                                 STORE_CHUNK_BYTES,
                                 STORE_CHUNK_BYTES + 1,
                                 3 * STORE_CHUNK_BYTES,
                                 1000000};
enum { SIZES_N = sizeof(sizes) / sizeof(sizes[0]) };

static void keeps_any_size(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref;
    for (uint32_t i = 0; i < SIZES_N; i++) {
        put_content(f, i + 1, sizes[i]);
        assert_true(has_content(f, i + 1)); /* from the overlay */
    }
    store_settle(f->store);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < SIZES_N; i++) {
            assert_int_equal(find_content(f, i + 1, &ref), OK);
            assert_true(ref.size_bytes == sizes[i]);
            assert_int_equal(read_content(f, &ref, i + 1, 0, 1 << 20), END);
            assert_int_equal(read_content(f, &ref, i + 1, sizes[i] / 2, 777), END);
            assert_int_equal(read_content(f, &ref, i + 1, sizes[i], 1), END);
        }
        fixture_reopen(f);
    }
    assert_int_equal(find_content(f, 99, &ref), NOT_FOUND);
    store_close(&f->store);
    assert_int_equal(count_records(f, "content", "staged"), 0);
    assert_int_equal(count_records(f, "content", "info"), SIZES_N);
    fixture_open(f);
}

static void is_readable_while_it_grows(void **state)
{
    struct fixture *f = *state;
    enum { SIZE = 300000, STEP = 7001 };
    struct content_writer *writer = begin_content(f, 1, SIZE);
    struct content_ref ref = store_content_ref(writer);
    struct content_ref found;
    uint64_t slow = 0; /* a second reader, behind */
    while (store_content_received(writer) < SIZE) {
        uint64_t left = SIZE - store_content_received(writer);
        assert_int_equal(append_content(writer, 1, left < STEP ? left : STEP), OK);
        uint64_t have = store_content_received(writer);
        assert_int_equal(find_content(f, 1, &found), AGAIN);
        assert_true(found.content_id == ref.content_id);
        assert_int_equal(read_content(f, &ref, 1, 0, 9999), have == SIZE ? END : AGAIN);
        assert_int_equal(read_content(f, &ref, 1, slow, 100), have == SIZE ? END : AGAIN);
        slow += STEP / 2;
        if (have % 3 == 0) {
            store_settle(f->store); /* full chunks are on disk only, from here on */
        } else {
            store_flush(f->store);
            store_poll(f->store);
        }
    }
    assert_int_equal(store_content_append(writer, SLICE("x")), LIMIT);
    assert_int_equal(find_content(f, 1, &found), AGAIN); /* not before its commit */
    assert_int_equal(store_content_commit(&writer), OK);
    assert_int_equal(find_content(f, 1, &found), OK);
    assert_true(has_content(f, 1));
    store_settle(f->store);
    assert_true(has_content(f, 1));
    assert_int_equal(read_content(f, &ref, 1, 12345, 4096), END); /* the same reference goes on */
}

static void uncommitted_is_never_found_later(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref;
    struct content_writer *writer = begin_content(f, 1, 200000);
    assert_int_equal(append_content(writer, 1, 150000), OK);
    assert_int_equal(store_content_commit(&writer), AGAIN);
    assert_non_null(writer);
    ref = store_content_ref(writer);
    store_settle(f->store);
    assert_int_equal(read_content(f, &ref, 1, 0, 65536), AGAIN);
    store_content_abort(&writer);
    assert_null(writer);
    assert_int_equal(read_content(f, &ref, 1, 0, 65536), NOT_FOUND);
    assert_int_equal(find_content(f, 1, &ref), NOT_FOUND);
    store_settle(f->store);
    assert_int_equal(find_content(f, 1, &ref), NOT_FOUND);
    store_close(&f->store);
    assert_int_equal(count_records(f, "content", "chunks"), 0);
    assert_int_equal(count_records(f, "content", "staged"), 0);
    fixture_open(f);
}

static void a_broken_download_goes_on(void **state)
{
    struct fixture *f = *state;
    struct content_writer *writer = begin_content(f, 1, 500000);
    assert_int_equal(append_content(writer, 1, 123456), OK);
    for (int i = 0; i < 3; i++) {
        store_settle(f->store);
    }
    assert_true(store_content_received(writer) == 123456);
    assert_int_equal(append_content(writer, 1, 500000 - 123456), OK);
    assert_int_equal(store_content_commit(&writer), OK);
    fixture_reopen(f);
    assert_true(has_content(f, 1));
}

static void a_newer_content_replaces_the_old(void **state)
{
    struct fixture *f = *state;
    struct content_ref first;
    struct content_ref second;
    put_content(f, 1, 100000);
    store_settle(f->store);
    assert_int_equal(find_content(f, 1, &first), OK);
    put_content(f, 1, 100000);
    put_content(f, 1, 100000); /* twice in one turn */
    assert_int_equal(find_content(f, 1, &second), OK);
    assert_true(first.content_id != second.content_id);
    store_settle(f->store);
    assert_true(has_content(f, 1));
    close_when_buried(f, "content", "chunks", 2);
    assert_int_equal(count_records(f, "content", "use"), 1);
    fixture_open(f);
    assert_true(has_content(f, 1));
}

static void what_the_writer_loses_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref;
    struct content_writer *writer = begin_content(f, 1, 300000);
    assert_int_equal(append_content(writer, 1, 100000), OK);
    ARM(store_put);
    flush_until_dropped(f);
    disarm();
    assert_int_equal(append_content(writer, 1, 100000), OK); /* not heard of it yet */
    store_settle(f->store);
    ref = store_content_ref(writer);
    assert_int_equal(read_content(f, &ref, 1, 0, 65536), NOT_FOUND);
    assert_int_equal(append_content(writer, 1, 100000), IO);
    assert_int_equal(store_content_commit(&writer), IO);
    assert_int_equal(find_content(f, 1, &ref), NOT_FOUND);
    store_content_abort(&writer);
    /* Lost at the very commit: OK was said, then it is forgotten. */
    put_content(f, 2, 100000);
    ARM(store_commit);
    assert_true(has_content(f, 2));
    store_settle(f->store);
    assert_int_equal(find_content(f, 2, &ref), NOT_FOUND);
    disarm();
    put_content(f, 3, 100000);
    fixture_reopen(f);
    assert_int_equal(find_content(f, 2, &ref), NOT_FOUND);
    assert_true(has_content(f, 3));
    close_when_buried(f, "content", "chunks", 2);
    fixture_open(f);
}

/* A chunk lost in one batch, the pointer in a later one, put before the loss was heard of. */
static void a_pointer_waits_for_all_of_its_chunks(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref;
    struct content_writer *writer = begin_content(f, 1, 200000);
    assert_int_equal(append_content(writer, 1, 100000), OK);
    ARM(store_put);
    flush_until_dropped(f);
    disarm();
    assert_int_equal(append_content(writer, 1, 100000), OK);
    assert_int_equal(store_content_commit(&writer), OK);
    put_item(f, 1, "ENVELOPE", "stays");
    store_settle(f->store);
    assert_int_equal(find_content(f, 1, &ref), NOT_FOUND);
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "stays");
    close_when_buried(f, "content", "chunks", 0);
    fixture_open(f);
}

static void what_a_killed_process_staged_goes(void **state)
{
    struct fixture *f = *state;
    store_close(&f->store);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fixture_open(f);
        (void)append_content(begin_content(f, 1, 200000), 1, 150000);
        store_settle(f->store);
        _exit(0); /* as it would be after kill -9 */
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(count_records(f, "content", "chunks"), 2);
    fixture_open(f);
    assert_false(has_content(f, 1));
    close_when_buried(f, "content", "chunks", 0);
    assert_int_equal(count_records(f, "content", "staged"), 0);
    fixture_open(f);
}

/* store_full is what LMDB says when fragments leave no room: the environment is emptied and goes
 * on. */
static void full_content_is_dropped_whole(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref;
    put_item(f, 1, "ENVELOPE", "stays");
    put_content(f, 1, 100000);
    store_settle(f->store);
    struct content_writer *writer = begin_content(f, 2, 200000);
    assert_int_equal(append_content(writer, 2, 100000), OK);
    ARM(store_full);
    store_settle(f->store);
    disarm();
    assert_int_equal(store_content_append(writer, SLICE("x")), FULL);
    store_content_abort(&writer);
    assert_false(has_content(f, 1));
    assert_int_equal(find_content(f, 1, &ref), NOT_FOUND);
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "stays");
    put_content(f, 3, 100000);
    store_settle(f->store);
    assert_true(has_content(f, 3));
    fixture_reopen(f);
    assert_true(has_content(f, 3));
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "stays");
    assert_int_equal(find_content(f, 1, &ref), NOT_FOUND);
}

static void full_index_is_dropped_whole_with_its_content(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref;
    put_content(f, 1, 100000);
    put_item(f, 1, "ENVELOPE", "x");
    store_settle(f->store);
    put_item(f, 2, "ENVELOPE", "y");
    ARM(store_full);
    store_settle(f->store);
    disarm();
    assert_null(get_item(f, 1, "ENVELOPE"));
    assert_int_equal(find_content(f, 1, &ref), NOT_FOUND);
    put_item(f, 3, "ENVELOPE", "z"); /* goes on */
    put_content(f, 3, 100000);
    store_settle(f->store);
    assert_string_equal(get_item(f, 3, "ENVELOPE"), "z");
    assert_true(has_content(f, 3));
    fixture_reopen(f); /* the name was lost too: another id, nothing old under it */
    assert_null(get_item(f, 1, "ENVELOPE"));
    assert_null(get_item(f, 3, "ENVELOPE"));
    put_item(f, 4, "ENVELOPE", "w");
    fixture_reopen(f);
    assert_string_equal(get_item(f, 4, "ENVELOPE"), "w");
}

/* A drop that cannot be written may not be forgotten: the index goes instead. */
static void a_drop_that_fails_empties_the_index(void **state)
{
    struct fixture *f = *state;
    put_item(f, 1, "ENVELOPE", "x");
    store_settle(f->store);
    ARM(store_commit);
    store_mailbox_drop(f->store, SLICE("account"), SLICE("INBOX"));
    store_settle(f->store);
    disarm();
    fixture_reopen(f);
    assert_null(get_item(f, 1, "ENVELOPE"));
    put_item(f, 1, "ENVELOPE", "y");
    fixture_reopen(f);
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "y");
}

static void a_damaged_chunk_is_not_served(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref;
    struct content_writer *writer = begin_content(f, 1, 200000);
    char *bytes = calloc(1, 200000);
    memcpy(bytes + 150000, "UnmistakableOctets", 18);
    assert_int_equal(store_content_append(writer, slice_of(bytes, 200000)), OK);
    free(bytes);
    assert_int_equal(store_content_commit(&writer), OK);
    put_content(f, 2, 5000);
    store_settle(f->store);
    store_close(&f->store);
    assert_true(damage(f, "content", "UnmistakableOctets") > 0);
    fixture_open(f);
    struct slice piece;
    assert_int_equal(find_content(f, 1, &ref), OK);
    store_read_begin(f->store);
    assert_int_equal(store_content_read(f->store, &ref, 0, 10, &piece), OK);
    assert_int_equal(store_content_read(f->store, &ref, 150000, 10, &piece), NOT_FOUND);
    assert_int_equal(store_content_read(f->store, &ref, 0, 10, &piece), NOT_FOUND);
    store_read_end(f->store);
    assert_int_equal(find_content(f, 1, &ref), NOT_FOUND);
    store_settle(f->store);
    assert_int_equal(find_content(f, 1, &ref), NOT_FOUND);
    assert_true(has_content(f, 2));
    assert_true(stats_get(&f->stats, STAT_store_bad_records) == 1);
}

/* As a list of free pages that is damaged has it: a page in use is written to while we read.  The chunk
 * was seen to be right before. */
static void a_chunk_damaged_under_our_hands_is_not_served(void **state)
{
    struct fixture *f = *state;
    char text[17] = {0};
    put_content(f, 1, 150000);
    put_content(f, 2, 150000);
    store_settle(f->store);
    assert_true(has_content(f, 1));
    assert_true(has_content(f, 2));
    for (uint64_t from = 70000; strlen(text) < 16; from++) { /* sixteen octets in a row, none NUL */
        for (uint64_t i = 0; i < 16; i++) {
            text[i] = content_byte(1, from + i);
        }
    }
    assert_true(damage(f, "content", text) > 0);
    struct content_ref ref;
    struct slice piece;
    store_read_begin(f->store);
    assert_int_equal(store_content_find(f->store, f->mailbox, 1, SLICE("BODY[]"), &ref), OK);
    assert_int_equal(store_content_read(f->store, &ref, 70000, 100, &piece), NOT_FOUND);
    store_read_end(f->store);
    assert_int_equal(find_content(f, 1, &ref), NOT_FOUND);
}

static void too_large_is_refused(void **state)
{
    struct fixture *f = *state;
    struct content_writer *writer = NULL;
    assert_int_equal(store_content_create(f->store, f->mailbox, 1, SLICE("BODY[]"),
                                          f->size_bytes / 8 + 1, &writer),
                     LIMIT);
    assert_null(writer);
}

static int drained_calls;
static void drained(void *arg)
{
    (void)arg;
    drained_calls++;
}

static void backlog_is_counted_and_drains(void **state)
{
    struct fixture *f = *state;
    struct fail fail = {.status = OK};
    store_close(&f->store);
    struct store_options options = {.dir = f->dir,
                                    .size_bytes = f->size_bytes,
                                    .backlog_high_bytes = 300000,
                                    .drained = drained};
    assert_int_equal(store_open(&options, &f->store, &fail), OK);
    put_content(f, 1, 200000);
    assert_false(store_is_backlogged(f->store));
    put_content(f, 2, 200000);
    assert_true(store_is_backlogged(f->store));
    assert_true(store_backlog_bytes(f->store) > 390000);
    assert_int_equal(drained_calls, 0);
    store_settle(f->store);
    assert_int_equal(drained_calls, 1);
    assert_true(store_backlog_bytes(f->store) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(keeps_any_size),
        T(is_readable_while_it_grows),
        T(uncommitted_is_never_found_later),
        T(a_broken_download_goes_on),
        T(a_newer_content_replaces_the_old),
        T(what_the_writer_loses_is_not_there),
        T(full_content_is_dropped_whole),
        T(full_index_is_dropped_whole_with_its_content),
        T(a_drop_that_fails_empties_the_index),
        T(a_damaged_chunk_is_not_served),
        T(a_chunk_damaged_under_our_hands_is_not_served),
        T(too_large_is_refused),
        T(backlog_is_counted_and_drains),
        T(a_pointer_waits_for_all_of_its_chunks),
        T(what_a_killed_process_staged_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
