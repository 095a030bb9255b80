#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "model/pack.h"

enum { BLOCKS = 64 };

/* A store of one mailbox. */
struct shelf {
    struct buf header;
    struct buf block[BLOCKS];
};

static void shelf_init(struct shelf *shelf)
{
    buf_init(&shelf->header, 0);
    for (size_t i = 0; i < BLOCKS; i++) {
        buf_init(&shelf->block[i], 0);
    }
}

static void shelf_fini(struct shelf *shelf)
{
    buf_fini(&shelf->header);
    for (size_t i = 0; i < BLOCKS; i++) {
        buf_fini(&shelf->block[i]);
    }
}

/* Write what is dirty, as the store would; returns how many blocks that were. */
static size_t save(struct shelf *shelf, struct mailbox *mailbox)
{
    size_t n = 0;
    if (mailbox_header_dirty(mailbox)) {
        buf_reset(&shelf->header);
        mailbox_pack_header(mailbox, &shelf->header);
    }
    const struct ranges *dirty = mailbox_dirty_blocks(mailbox);
    uint32_t block = 0;
    for (uint32_t from = 0; ranges_next(dirty, from, &block); from = block + 1) {
        assert_true(block < BLOCKS);
        buf_reset(&shelf->block[block]);
        mailbox_pack_block(mailbox, block, &shelf->block[block]);
        n++;
    }
    mailbox_mark_clean(mailbox);
    return n;
}

static enum status load(const struct shelf *shelf, struct mailbox *mailbox)
{
    TRY(mailbox_unpack_header(mailbox, buf_slice(&shelf->header)));
    for (uint32_t i = 0; i < BLOCKS; i++) {
        if (shelf->block[i].len > 0) {
            TRY(mailbox_unpack_block(mailbox, i, buf_slice(&shelf->block[i])));
        }
    }
    return mailbox_unpack_end(mailbox);
}

static uint32_t random_flags(struct mailbox *mailbox)
{
    struct flag_list list = {.bits = (uint8_t)(rand() % 32)};
    char name[16];
    for (int i = rand() % 4; i > 0; i--) {
        (void)snprintf(name, sizeof(name), "$Kw%d", rand() % 30);
        assert_int_equal(flag_list_add(&list, mailbox_flags(mailbox), slice_str(name)), OK);
    }
    uint32_t id;
    assert_int_equal(flags_intern(mailbox_flags(mailbox), &list, &id), OK);
    return id;
}

static void assert_same(struct mailbox *a, struct mailbox *b)
{
    struct mailbox_iter ia;
    struct mailbox_iter ib;
    struct mailbox_entry ea;
    struct mailbox_entry eb;
    mailbox_iter_init(&ia, a, 0);
    mailbox_iter_init(&ib, b, 0);
    while (mailbox_iter_next(&ia, &ea)) {
        assert_true(mailbox_iter_next(&ib, &eb));
        assert_int_equal(ea.uid, eb.uid);
        assert_int_equal(ea.modseq, eb.modseq);
        assert_true(slice_eq(flags_text(mailbox_flags(a), ea.flags),
                             flags_text(mailbox_flags(b), eb.flags)));
    }
    assert_false(mailbox_iter_next(&ib, &eb));
    struct mailbox_counts ca;
    struct mailbox_counts cb;
    mailbox_counts(a, &ca);
    mailbox_counts(b, &cb);
    assert_int_equal(ca.exists, cb.exists);
    assert_int_equal(ca.unseen, cb.unseen);
    assert_int_equal(ca.deleted, cb.deleted);
    assert_int_equal(ca.recent, cb.recent);
    assert_int_equal(ca.first_unseen_uid, cb.first_unseen_uid);
    assert_int_equal(ca.uidnext, cb.uidnext);
    assert_int_equal(ca.uidvalidity, cb.uidvalidity);
    assert_int_equal(ca.synced_modseq, cb.synced_modseq);
    assert_int_equal(mailbox_recent_floor(a), mailbox_recent_floor(b));
    assert_true(slice_eq(mailbox_id(a), mailbox_id(b)));
    assert_true(slice_eq(mailbox_flag_list(a), mailbox_flag_list(b)));
    assert_true(slice_eq(mailbox_permanent_flags(a), mailbox_permanent_flags(b)));
}

static struct mailbox *sample(void)
{
    struct mailbox *mailbox = mailbox_create(0);
    mailbox_reset(mailbox, 4000000000U);
    assert_int_equal(mailbox_set_flag_lists(mailbox, SLICE("(a b)"), SLICE("(\\*)")), OK);
    assert_int_equal(mailbox_set_id(mailbox, SLICE("id-1")), OK);
    uint32_t gap;
    for (uint32_t uid = 1; uid < 20000; uid += 1 + gap) {
        gap = rand() % 50 == 0 ? (uint32_t)rand() % 3000 : 0;
        struct mailbox_entry entry = {uid, random_flags(mailbox),
                                      rand() % 5 == 0 ? 0 : ((uint64_t)1 << 62) - (uint64_t)rand()};
        assert_int_equal(mailbox_load(mailbox, &entry), OK);
    }
    mailbox_sync_point(mailbox);
    mailbox_set_recent_floor(mailbox, 500);
    mailbox_raise_uidnext(mailbox, 30000);
    return mailbox;
}

static void test_round_trip_and_dirty_blocks(void **state)
{
    (void)state;
    srand(5);
    struct shelf shelf;
    shelf_init(&shelf);
    struct mailbox *mailbox = sample();
    struct mailbox *copy = mailbox_create(0);
    (void)save(&shelf, mailbox);
    assert_int_equal(load(&shelf, copy), OK);
    assert_same(mailbox, copy);
    assert_false(mailbox_header_dirty(copy));
    assert_true(ranges_empty(mailbox_dirty_blocks(copy)));
    for (int round = 0; round < 200; round++) {
        uint32_t uid = 1 + (uint32_t)rand() % 40000;
        struct mailbox_entry entry = {uid, random_flags(mailbox), (uint64_t)rand()};
        struct mailbox_entry old;
        bool has = mailbox_get(mailbox, uid, &old);
        bool removes = has && round % 3 == 0;
        if (removes) {
            assert_true(mailbox_remove(mailbox, uid));
        } else if (has) {
            assert_int_equal(mailbox_set_flags(mailbox, uid, entry.flags, entry.modseq, NULL), OK);
        } else {
            assert_int_equal(mailbox_add(mailbox, &entry), OK);
        }
        mailbox_sync_point(mailbox);
        assert_int_equal(save(&shelf, mailbox), 1);
        mailbox_reset(copy, 0);
        assert_int_equal(load(&shelf, copy), OK);
        assert_same(mailbox, copy);
    }
    /* Lost writes: everything again, from nothing. */
    shelf_fini(&shelf);
    shelf_init(&shelf);
    mailbox_mark_dirty(mailbox);
    assert_true(save(&shelf, mailbox) > 1);
    mailbox_reset(copy, 0);
    assert_int_equal(load(&shelf, copy), OK);
    assert_same(mailbox, copy);
    shelf_fini(&shelf);
    mailbox_destroy(&mailbox);
    mailbox_destroy(&copy);
}

static void test_emptied_block_packs_to_nothing(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_create(0);
    struct mailbox_entry entry = {.uid = 5000};
    assert_int_equal(mailbox_add(mailbox, &entry), OK);
    mailbox_mark_clean(mailbox);
    struct ranges all;
    ranges_init(&all, 0);
    ranges_add(&all, 1, 9000);
    assert_int_equal(mailbox_remove_set(mailbox, &all), 1);
    assert_true(ranges_has(mailbox_dirty_blocks(mailbox), 5000 / PACK_BLOCK_UIDS));
    assert_true(mailbox_header_dirty(mailbox));
    struct buf out;
    buf_init(&out, 0);
    mailbox_pack_block(mailbox, 5000 / PACK_BLOCK_UIDS, &out);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
    ranges_fini(&all);
    mailbox_destroy(&mailbox);
}

/* In a copy of its own, so that the sanitizer sees a read beyond the end. */
static enum status load_damaged(struct mailbox *mailbox, const struct shelf *shelf, int which,
                                struct slice bytes)
{
    char *copy = alloc_array(bytes.len + 1, 1);
    char *exact = alloc_resize(copy, bytes.len, 1);
    memcpy(exact, bytes.data, bytes.len);
    struct slice damaged = slice_of(exact, bytes.len);
    mailbox_reset(mailbox, 0);
    enum status st = mailbox_unpack_header(
        mailbox, which < 0 ? damaged : buf_slice(&shelf->header));
    for (uint32_t i = 0; st == OK && i < BLOCKS; i++) {
        if (shelf->block[i].len > 0) {
            st = mailbox_unpack_block(mailbox, i,
                                      (int)i == which ? damaged : buf_slice(&shelf->block[i]));
        }
    }
    st = st == OK ? mailbox_unpack_end(mailbox) : st;
    alloc_free(exact);
    return st;
}

/* Either refused, or a model that is consistent in itself. */
static void check_consistent(struct mailbox *mailbox)
{
    uint32_t last = 0;
    uint32_t n = 0;
    struct mailbox_iter iter;
    struct mailbox_entry entry;
    mailbox_iter_init(&iter, mailbox, 0);
    while (mailbox_iter_next(&iter, &entry)) {
        assert_true(entry.uid > last);
        assert_true(flags_is_live(mailbox_flags(mailbox), entry.flags));
        last = entry.uid;
        n++;
    }
    assert_int_equal(mailbox_exists(mailbox), n);
    assert_true(mailbox_uidnext(mailbox) > last);
}

static void test_damaged_bytes_are_refused_or_consistent(void **state)
{
    (void)state;
    srand(6);
    struct shelf shelf;
    shelf_init(&shelf);
    struct mailbox *mailbox = mailbox_create(0);
    for (uint32_t uid = 1000; uid < 1100; uid += 1 + (uint32_t)rand() % 3) {
        struct mailbox_entry entry = {uid, random_flags(mailbox), 1000 + uid};
        assert_int_equal(mailbox_load(mailbox, &entry), OK);
    }
    (void)save(&shelf, mailbox);
    struct buf damaged;
    buf_init(&damaged, 0);
    int refused = 0;
    for (int which = -1; which < 2; which++) {
        const struct buf *whole = which < 0 ? &shelf.header : &shelf.block[which];
        assert_true(whole->len > 0);
        for (size_t cut = 0; cut < whole->len; cut++) {
            assert_int_equal(load_damaged(mailbox, &shelf, which, slice_of(whole->data, cut)),
                             CORRUPT);
        }
        for (int round = 0; round < 6000; round++) {
            buf_reset(&damaged);
            buf_add(&damaged, buf_slice(whole));
            for (int k = rand() % 3; k >= 0; k--) {
                damaged.data[(size_t)rand() % damaged.len] = (char)(rand() % 256);
            }
            enum status st = load_damaged(mailbox, &shelf, which, buf_slice(&damaged));
            assert_true(st == OK || st == CORRUPT);
            refused += st == CORRUPT;
            check_consistent(mailbox);
            assert_true(st == OK || mailbox_exists(mailbox) == 0);
        }
    }
    assert_true(refused > 5000);
    buf_fini(&damaged);
    shelf_fini(&shelf);
    mailbox_destroy(&mailbox);
}

static void test_size_of_an_ordinary_block(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_create(0);
    for (uint32_t uid = 1024; uid < 2048; uid++) {
        struct flag_list list = {.bits = FLAG_SEEN};
        uint32_t id;
        assert_int_equal(flags_intern(mailbox_flags(mailbox), &list, &id), OK);
        struct mailbox_entry entry = {uid, id, 1000000 + uid / 3};
        assert_int_equal(mailbox_load(mailbox, &entry), OK);
    }
    struct buf out;
    buf_init(&out, 0);
    mailbox_pack_block(mailbox, 1, &out);
    assert_true(out.len < 1024 * 3 + 20);
    buf_fini(&out);
    mailbox_destroy(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_and_dirty_blocks),
        cmocka_unit_test(test_emptied_block_packs_to_nothing),
        cmocka_unit_test(test_damaged_bytes_are_refused_or_consistent),
        cmocka_unit_test(test_size_of_an_ordinary_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
