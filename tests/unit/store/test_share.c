/* One content, several records: it goes with the last of them, whatever happens to the others. */
#include "store_fixture.h"

static struct content_ref ref_of(struct fixture *f, uint32_t uid)
{
    struct content_ref ref = {0, 0};
    assert_int_equal(find_content(f, uid, &ref), OK);
    return ref;
}

static void share(struct fixture *f, uint32_t from, uint32_t to)
{
    struct content_ref ref = ref_of(f, from);
    assert_int_equal(store_content_share(f->store, &ref, f->mailbox, to, SLICE("BODY[]")), OK);
}

static void drop(struct fixture *f, uint32_t uid)
{
    struct ranges one;
    ranges_init(&one, 0);
    ranges_add(&one, uid, uid);
    store_messages_drop(f->store, f->mailbox, &one);
    ranges_fini(&one);
}

/* The content of @seed, read through the record of @uid. */
static bool reads(struct fixture *f, uint32_t uid, uint32_t seed)
{
    struct content_ref ref;
    return find_content(f, uid, &ref) == OK && read_content(f, &ref, seed, 0, 1 << 20) == END;
}

static void wait_for_the_writer(struct fixture *f)
{
    for (int i = 0; i < 5; i++) {
        store_settle(f->store);
        (void)usleep(10000); /* its steps in the background */
    }
}

static void is_kept_when_the_first_record_goes(void **state)
{
    struct fixture *f = *state;
    put_content(f, 1, 200000);
    share(f, 1, 2);
    assert_true(reads(f, 2, 1)); /* at once */
    drop(f, 1);
    assert_true(reads(f, 2, 1));
    wait_for_the_writer(f);
    assert_true(reads(f, 2, 1));
    assert_false(reads(f, 1, 1));
    fixture_reopen(f);
    wait_for_the_writer(f);
    assert_true(reads(f, 2, 1));
}

static void goes_with_the_last_record(void **state)
{
    struct fixture *f = *state;
    put_content(f, 1, 200000);
    store_settle(f->store);
    share(f, 1, 2);
    share(f, 2, 3);
    store_settle(f->store);
    drop(f, 2);
    wait_for_the_writer(f);
    assert_true(reads(f, 1, 1));
    drop(f, 1);
    wait_for_the_writer(f);
    assert_true(reads(f, 3, 1));
    drop(f, 3);
    close_when_buried(f, "content", "chunks", 0);
    assert_int_equal(count_records(f, "content", "info"), 0);
    fixture_open(f);
}

static void a_record_may_be_told_twice(void **state)
{
    struct fixture *f = *state;
    put_content(f, 1, 1000);
    share(f, 1, 2);
    share(f, 1, 2);
    store_settle(f->store);
    share(f, 1, 2);
    drop(f, 1);
    wait_for_the_writer(f);
    assert_true(reads(f, 2, 1));
    drop(f, 2);
    close_when_buried(f, "content", "chunks", 0);
    fixture_open(f);
}

static void what_replaces_it_leaves_it_to_the_others(void **state)
{
    struct fixture *f = *state;
    put_content(f, 1, 1000);
    share(f, 1, 2);
    store_settle(f->store);
    put_content(f, 2, 3000);
    wait_for_the_writer(f);
    assert_true(reads(f, 1, 1));
    assert_true(reads(f, 2, 2));
}

static void a_dropped_mailbox_leaves_it_to_the_others(void **state)
{
    struct fixture *f = *state;
    uint64_t other;
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("Other"), 9, &other), OK);
    put_content(f, 1, 100000);
    struct content_ref ref = ref_of(f, 1);
    assert_int_equal(store_content_share(f->store, &ref, other, 5, SLICE("BODY[]")), OK);
    store_mailbox_drop(f->store, SLICE("account"), SLICE("INBOX"));
    wait_for_the_writer(f);
    fixture_reopen(f);
    wait_for_the_writer(f);
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("Other"), 9, &other), OK);
    f->mailbox = other;
    assert_true(reads(f, 5, 1));
}

static void what_is_not_there_is_not_shared(void **state)
{
    struct fixture *f = *state;
    put_content(f, 1, 1000);
    struct content_ref ref = ref_of(f, 1);
    drop(f, 1);
    wait_for_the_writer(f);
    assert_int_equal(store_content_share(f->store, &ref, f->mailbox, 2, SLICE("BODY[]")),
                     NOT_FOUND);
    struct content_writer *writer = begin_content(f, 3, 1000);
    ref = store_content_ref(writer);
    assert_int_equal(store_content_share(f->store, &ref, f->mailbox, 2, SLICE("BODY[]")),
                     NOT_FOUND); /* still on its way */
    store_content_abort(&writer);
    assert_int_equal(find_content(f, 2, &ref), NOT_FOUND);
}

/* Dropped in the same transaction as shared, and the writer's steps in between. */
static void a_share_that_comes_too_late_is_a_miss(void **state)
{
    struct fixture *f = *state;
    for (uint32_t uid = 1; uid <= 200; uid += 2) {
        struct content_ref ref;
        put_content(f, uid, 100 + uid * 300);
        if (uid % 3 == 0) {
            store_settle(f->store);
        }
        ref = ref_of(f, uid);
        drop(f, uid);
        if (uid % 5 == 0) {
            store_flush(f->store);
            (void)usleep(500);
        }
        enum status st = store_content_share(f->store, &ref, f->mailbox, uid + 1, SLICE("BODY[]"));
        assert_true(st == OK || st == NOT_FOUND);
    }
    wait_for_the_writer(f);
    for (uint32_t uid = 1; uid <= 200; uid += 2) {
        struct content_ref ref;
        if (find_content(f, uid + 1, &ref) == OK) {
            assert_int_equal(read_content(f, &ref, uid, 0, 1 << 20), END);
        }
    }
}

/* The one transaction of the two that fails: never a pointer to nothing, never one count too few. */
static void a_failed_share_is_a_miss(void **state)
{
    struct fixture *f = *state;
    put_content(f, 1, 100000);
    store_settle(f->store);
    for (int visit = 0; visit < 4; visit++) {
        share(f, 1, 2);
        ARM(store_put);
        for (int i = 0; i < visit; i++) {
            (void)FAULT(store_put); /* let go by */
        }
        store_settle(f->store);
        disarm();
        wait_for_the_writer(f);
        assert_true(reads(f, 1, 1));
        struct content_ref ref;
        if (find_content(f, 2, &ref) == OK) {
            assert_int_equal(read_content(f, &ref, 1, 0, 1 << 20), END);
        }
    }
    share(f, 1, 2);
    drop(f, 1);
    wait_for_the_writer(f);
    assert_true(reads(f, 2, 1));
}

static void pointers_are_listed(void **state)
{
    struct fixture *f = *state;
    struct store_walk walk;
    struct record record;
    struct record_iter iter = {.has_begun = false};
    struct slice section;
    struct content_ref ref;
    size_t n = 0;
    put_item(f, 1, "ENVELOPE", "(...)");
    put_content(f, 1, 1000);
    store_settle(f->store);
    put_item(f, 1, "RFC822.SIZE", "1000");
    ref = ref_of(f, 1);
    assert_int_equal(store_content_share(f->store, &ref, f->mailbox, 1, SLICE("?BODY[]")), OK);
    store_read_begin(f->store);
    store_walk_begin(f->store, f->mailbox, &walk);
    assert_true(store_walk_to(&walk, 1, &record));
    while (record_next_content(&record, &iter, &section, &ref)) {
        assert_true(slice_eq(section, n == 0 ? SLICE("?BODY[]") : SLICE("BODY[]")));
        assert_true(ref.size_bytes == 1000);
        n++;
    }
    assert_int_equal(n, 2);
    store_walk_end(&walk);
    store_read_end(f->store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(is_kept_when_the_first_record_goes),
        T(goes_with_the_last_record),
        T(a_record_may_be_told_twice),
        T(what_replaces_it_leaves_it_to_the_others),
        T(a_dropped_mailbox_leaves_it_to_the_others),
        T(what_is_not_there_is_not_shared),
        T(a_share_that_comes_too_late_is_a_miss),
        T(a_failed_share_is_a_miss),
        T(pointers_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
