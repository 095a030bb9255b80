/* Items of messages: overlay, disk, walks, drops, limits, damage. */
#include <xxhash.h>

#include "store_fixture.h"

#include "../../../cache/store/format_p.h"

static void finds_the_same_before_and_after_the_commit(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[] = {"ENVELOPE", "RFC822.SIZE", "X-UNHEARD-OF", "BODY[]",
                                       "BODY[HEADER.FIELDS (DATE FROM)]"};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 5; i++) {
            if (round == 0) {
                put_item(f, 3, keys[i], keys[(i + 1) % 5]);
            }
        }
        for (size_t i = 0; i < 5; i++) {
            assert_string_equal(get_item(f, 3, keys[i]), keys[(i + 1) % 5]);
        }
        assert_null(get_item(f, 3, "BODY[HEADER.FIELDS (DATE TO)]"));
        assert_null(get_item(f, 3, "BODYSTRUCTURE"));
        assert_null(get_item(f, 2, "ENVELOPE"));
        assert_null(get_item(f, 4, "ENVELOPE"));
        store_settle(f->store);
        assert_true(store_backlog_bytes(f->store) == 0);
    }
}

static void adds_to_what_is_on_disk(void **state)
{
    struct fixture *f = *state;
    put_item(f, 9, "ENVELOPE", "e");
    store_settle(f->store);
    put_item(f, 9, "INTERNALDATE", "d");
    assert_string_equal(get_item(f, 9, "ENVELOPE"), "e");
    assert_string_equal(get_item(f, 9, "INTERNALDATE"), "d");
    put_item(f, 9, "ENVELOPE", "e2");
    assert_string_equal(get_item(f, 9, "ENVELOPE"), "e2");
    fixture_reopen(f);
    assert_string_equal(get_item(f, 9, "ENVELOPE"), "e2");
    assert_string_equal(get_item(f, 9, "INTERNALDATE"), "d");
}

static void an_empty_value_is_a_value(void **state)
{
    struct fixture *f = *state;
    put_item(f, 1, "PREVIEW", "");
    assert_string_equal(get_item(f, 1, "PREVIEW"), "");
    store_settle(f->store);
    assert_string_equal(get_item(f, 1, "PREVIEW"), "");
}

static void walks_in_any_order(void **state)
{
    struct fixture *f = *state;
    char text[16];
    struct store_walk walk;
    struct record record;
    struct slice value;
    struct record_key key = record_key_of(SLICE("ENVELOPE"));
    for (uint32_t uid = 3; uid < 3000; uid += 3) {
        (void)snprintf(text, sizeof(text), "%u", uid);
        put_item(f, uid, "ENVELOPE", text);
    }
    store_settle(f->store);
    for (uint32_t uid = 3000; uid < 3030; uid += 3) {
        (void)snprintf(text, sizeof(text), "%u", uid);
        put_item(f, uid, "ENVELOPE", text); /* still in the overlay */
    }
    put_item(f, 4294967295U, "ENVELOPE", "4294967295");
    store_read_begin(f->store);
    store_walk_begin(f->store, f->mailbox, &walk);
    uint32_t uid = 1;
    for (int i = 0; i < 20000; i++) {
        /* Runs upwards with some jumps back and ahead. */
        uid = i % 97 == 0 ? (uint32_t)i * 7919 % 3200 : uid + 1;
        bool expected = uid % 3 == 0 && uid >= 3 && uid < 3030;
        assert_int_equal(store_walk_to(&walk, uid, &record), expected);
        if (expected) {
            uint32_t found;
            assert_true(record_find(&record, &key, &value));
            assert_true(slice_u32(value, &found));
            assert_int_equal(found, uid);
        }
    }
    assert_true(store_walk_to(&walk, 4294967295U, &record));
    assert_false(store_walk_to(&walk, 4294967294U, &record));
    assert_true(store_walk_to(&walk, 3, &record));
    store_walk_end(&walk);
    store_read_end(f->store);
}

static void walks_do_not_leave_their_mailbox(void **state)
{
    struct fixture *f = *state;
    uint64_t first = f->mailbox;
    uint64_t second;
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("Z"), 1, &second), OK);
    put_item(f, 1, "ENVELOPE", "first");
    f->mailbox = second;
    put_item(f, 2, "ENVELOPE", "second");
    store_settle(f->store);
    assert_null(get_item(f, 1, "ENVELOPE"));
    assert_string_equal(get_item(f, 2, "ENVELOPE"), "second");
    f->mailbox = first;
    assert_null(get_item(f, 2, "ENVELOPE"));
}

static void expunged_messages_are_forgotten(void **state)
{
    struct fixture *f = *state;
    struct ranges gone;
    for (uint32_t uid = 1; uid <= 9000; uid++) {
        put_item(f, uid, "ENVELOPE", "e");
    }
    put_content(f, 11, 200000);
    store_settle(f->store);
    put_item(f, 12, "RFC822.SIZE", "1"); /* on the way when the drop comes */
    ranges_init(&gone, 0);
    ranges_add(&gone, 10, 20);
    ranges_add(&gone, 100, 8000); /* more than one transaction takes */
    store_messages_drop(f->store, f->mailbox, &gone);
    for (int round = 0; round < 2; round++) {
        assert_string_equal(get_item(f, 9, "ENVELOPE"), "e");
        assert_null(get_item(f, 10, "ENVELOPE"));
        assert_null(get_item(f, 12, "RFC822.SIZE"));
        assert_false(has_content(f, 11));
        assert_null(get_item(f, 1000, "ENVELOPE"));
        assert_string_equal(get_item(f, 21, "ENVELOPE"), "e");
        assert_string_equal(get_item(f, 8001, "ENVELOPE"), "e");
        store_settle(f->store);
    }
    ranges_fini(&gone);
    close_when_buried(f, "index", "messages", 9000 - 11 - 7901);
    assert_int_equal(count_records(f, "content", "chunks"), 0);
    fixture_open(f);
    assert_null(get_item(f, 8000, "ENVELOPE"));
    assert_string_equal(get_item(f, 8001, "ENVELOPE"), "e");
}

static void lists_all_items(void **state)
{
    struct fixture *f = *state;
    put_item(f, 1, "BODY[HEADER.FIELDS (A)]", "1");
    put_content(f, 1, 10);
    store_settle(f->store);
    put_item(f, 1, "ENVELOPE", "2");
    struct store_walk walk;
    struct record record;
    struct record_iter iter = {.has_begun = false};
    struct slice key;
    struct slice value;
    int seen = 0;
    store_read_begin(f->store);
    store_walk_begin(f->store, f->mailbox, &walk);
    assert_true(store_walk_to(&walk, 1, &record));
    while (record_next(&record, &iter, &key, &value)) {
        seen += slice_eq(key, SLICE("ENVELOPE")) && slice_eq(value, SLICE("2")) ? 1 : 0;
        seen +=
            slice_eq(key, SLICE("BODY[HEADER.FIELDS (A)]")) && slice_eq(value, SLICE("1")) ? 10 : 0;
        seen += slice_eq(key, SLICE("BODY[]")) ? 100 : 0;
    }
    store_walk_end(&walk);
    store_read_end(f->store);
    assert_int_equal(seen, 11);
}

static void limits_hold(void **state)
{
    struct fixture *f = *state;
    char *big = calloc(1, STORE_ITEM_MAX + 1);
    assert_int_equal(store_item_put(f->store, f->mailbox, 1, SLICE("ENVELOPE"),
                                    slice_of(big, STORE_ITEM_MAX + 1)),
                     LIMIT);
    assert_int_equal(
        store_item_put(f->store, f->mailbox, 1, slice_of(big, STORE_KEY_MAX + 1), SLICE("")),
        LIMIT);
    memset(big, 'x', STORE_ITEM_MAX);
    put_item(f, 1, "ENVELOPE", "stays");
    for (int i = 0; i < 10; i++) { /* more than a record takes */
        char key[64];
        (void)snprintf(key, sizeof(key), "BODY[HEADER.FIELDS (N%d)]", i);
        big[STORE_ITEM_MAX - 1] = '\0';
        put_item(f, 1, key, big);
        store_settle(f->store);
    }
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "stays");
    assert_null(get_item(f, 1, "BODY[HEADER.FIELDS (N0)]"));
    assert_string_equal(get_item(f, 1, "BODY[HEADER.FIELDS (N9)]"), big);
    free(big);
}

/* Sections somebody asks for without end: the record keeps its size, the oldest go with their
 * bytes. */
static void pointers_have_a_limit_too(void **state)
{
    struct fixture *f = *state;
    char section[STORE_KEY_MAX];
    for (int i = 0; i < 100; i++) {
        struct content_writer *writer;
        memset(section, 'A', sizeof(section));
        section[0] = (char)i;
        struct slice name = slice_of(section, sizeof(section));
        assert_int_equal(store_content_create(f->store, f->mailbox, 1, name, 5, &writer), OK);
        assert_int_equal(store_content_append(writer, SLICE("bytes")), OK);
        assert_int_equal(store_content_commit(&writer), OK);
    }
    store_settle(f->store);
    struct content_ref ref;
    store_read_begin(f->store);
    for (int i = 0; i < 100; i++) {
        section[0] = (char)i;
        enum status st =
            store_content_find(f->store, f->mailbox, 1, slice_of(section, sizeof(section)), &ref);
        assert_int_equal(st,
                         i < 100 - 62 ? NOT_FOUND : OK); /* 64 KiB at 1052 octets each, and sum */
    }
    store_read_end(f->store);
    close_when_buried(f, "content", "chunks", 62);
    fixture_open(f);
}

static void a_damaged_record_is_dropped_and_counted(void **state)
{
    struct fixture *f = *state;
    put_item(f, 1, "ENVELOPE", "before");
    put_item(f, 2, "ENVELOPE", "UnmistakableText");
    put_item(f, 3, "ENVELOPE", "after");
    store_settle(f->store);
    store_close(&f->store);
    assert_true(damage(f, "index", "UnmistakableText") > 0);
    fixture_open(f);
    uint64_t bad = stats_get(&f->stats, STAT_store_bad_records);
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "before");
    assert_null(get_item(f, 2, "ENVELOPE"));
    assert_string_equal(get_item(f, 3, "ENVELOPE"), "after");
    assert_true(stats_get(&f->stats, STAT_store_bad_records) == bad + 1);
    store_settle(f->store);
    assert_null(get_item(f, 2, "ENVELOPE"));
    assert_true(stats_get(&f->stats, STAT_store_bad_records) == bad + 1); /* gone, not seen again */
    put_item(f, 2, "ENVELOPE", "again");
    fixture_reopen(f);
    assert_string_equal(get_item(f, 2, "ENVELOPE"), "again");
}

static void slices_live_until_the_outermost_end(void **state)
{
    struct fixture *f = *state;
    put_item(f, 1, "ENVELOPE", "borrowed");
    struct store_walk walk;
    struct record record;
    struct slice value;
    struct record_key key = record_key_of(SLICE("ENVELOPE"));
    store_read_begin(f->store);
    store_walk_begin(f->store, f->mailbox, &walk);
    assert_true(store_walk_to(&walk, 1, &record));
    assert_true(record_find(&record, &key, &value));
    store_walk_end(&walk);
    store_flush(f->store);
    (void)usleep(100000); /* the writer has long acknowledged */
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "borrowed"); /* nests */
    put_item(f, 1, "ENVELOPE", "newer");
    assert_true(slice_eq(value, SLICE("borrowed")));
    store_read_end(f->store);
    store_settle(f->store);
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "newer");
}

/* However the machine makes them: the store may be opened by another build, or moved to another CPU. */
static void sums_are_those_of_any_machine(void **state)
{
    static char bytes[70000];
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(i * 31 + i / 251);
    }
    for (size_t len = 0; len <= sizeof(bytes); len += len < 2100 ? 1 : 997) {
        assert_true(format_sum(0, 0, slice_of(bytes, len)) == XXH3_64bits_withSeed(bytes, len, 0));
        assert_true(format_sum(1, 0, slice_of(bytes, len)) ==
                    XXH3_64bits_withSeed(bytes, len, 0x9E3779B97F4A7C15U));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(finds_the_same_before_and_after_the_commit),
        T(adds_to_what_is_on_disk),
        T(an_empty_value_is_a_value),
        T(walks_in_any_order),
        T(walks_do_not_leave_their_mailbox),
        T(expunged_messages_are_forgotten),
        T(lists_all_items),
        T(limits_hold),
        T(pointers_have_a_limit_too),
        T(a_damaged_record_is_dropped_and_counted),
        T(slices_live_until_the_outermost_end),
        T(sums_are_those_of_any_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
