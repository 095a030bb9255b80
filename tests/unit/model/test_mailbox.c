#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/mailbox.h"
#include "model/view.h"

static uint32_t bits(struct mailbox *mailbox, uint8_t which)
{
    struct flag_list list = {.bits = which};
    uint32_t id;
    assert_int_equal(flags_intern(mailbox_flags(mailbox), &list, &id), OK);
    return id;
}

static enum status add(struct mailbox *mailbox, uint32_t uid, uint32_t flags)
{
    struct mailbox_entry entry = {.uid = uid, .flags = flags, .modseq = 10};
    return mailbox_add(mailbox, &entry);
}

static void test_counts_and_questions(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_create(0);
    mailbox_reset(mailbox, 77);
    uint32_t seen = bits(mailbox, FLAG_SEEN);
    uint32_t deleted = bits(mailbox, FLAG_DELETED);
    assert_int_equal(add(mailbox, 5, seen), OK);
    assert_int_equal(add(mailbox, 9, FLAGS_NONE), OK);
    assert_int_equal(add(mailbox, 7, deleted), OK);
    assert_int_equal(add(mailbox, 7, seen), STALE);
    assert_int_equal(add(mailbox, 0, seen), PROTOCOL);
    assert_int_equal(add(mailbox, UINT32_MAX, seen), PROTOCOL);
    struct mailbox_counts counts;
    mailbox_counts(mailbox, &counts);
    assert_int_equal(counts.exists, 3);
    assert_int_equal(counts.unseen, 2);
    assert_int_equal(counts.deleted, 1);
    assert_int_equal(counts.first_unseen_uid, 7);
    assert_int_equal(counts.uidnext, 10);
    assert_int_equal(counts.uidvalidity, 77);
    assert_int_equal(counts.recent, 3);
    assert_int_equal(mailbox_rank(mailbox, 4), 0);
    assert_int_equal(mailbox_rank(mailbox, 8), 2);
    assert_int_equal(mailbox_rank(mailbox, UINT32_MAX), 3);
    struct mailbox_entry entry;
    assert_true(mailbox_at(mailbox, 2, &entry));
    assert_int_equal(entry.uid, 7);
    assert_false(mailbox_at(mailbox, 0, &entry));
    assert_false(mailbox_at(mailbox, 4, &entry));
    assert_int_equal(mailbox_last_uid(mailbox), 9);
    assert_true(mailbox_remove(mailbox, 9));
    assert_false(mailbox_remove(mailbox, 9));
    assert_int_equal(mailbox_uidnext(mailbox), 10); /* never falls */
    mailbox_raise_uidnext(mailbox, 4);
    assert_int_equal(mailbox_uidnext(mailbox), 10);
    mailbox_set_recent_floor(mailbox, 6);
    mailbox_counts(mailbox, &counts);
    assert_int_equal(counts.recent, 1);
    mailbox_destroy(&mailbox);
}

static void test_flags_and_modseq(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_create(0);
    uint32_t seen = bits(mailbox, FLAG_SEEN);
    assert_int_equal(add(mailbox, 1, FLAGS_NONE), OK);
    bool changed = false;
    assert_int_equal(mailbox_set_flags(mailbox, 2, seen, 0, &changed), NOT_FOUND);
    assert_int_equal(mailbox_set_flags(mailbox, 1, seen, 30, &changed), OK);
    assert_true(changed);
    uint64_t version = mailbox_version(mailbox);
    assert_int_equal(mailbox_set_flags(mailbox, 1, seen, 30, &changed), OK);
    assert_false(changed);
    assert_int_equal(mailbox_version(mailbox), version);
    assert_int_equal(mailbox_set_modseq(mailbox, 1, 20), OK);
    assert_int_equal(mailbox_set_modseq(mailbox, 3, 20), NOT_FOUND);
    struct mailbox_entry entry;
    assert_true(mailbox_get(mailbox, 1, &entry));
    assert_int_equal(entry.modseq, 20);
    assert_int_equal(entry.flags, seen);
    assert_int_equal(mailbox_seen_modseq(mailbox), 30);
    assert_int_equal(mailbox_synced_modseq(mailbox), 0);
    mailbox_sync_point(mailbox);
    assert_int_equal(mailbox_synced_modseq(mailbox), 30);
    struct mailbox_counts counts;
    mailbox_counts(mailbox, &counts);
    assert_int_equal(counts.unseen, 0);
    assert_int_equal(counts.first_unseen_uid, 0);
    mailbox_destroy(&mailbox);
}

static void test_lists_and_id(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_create(0);
    assert_int_equal(mailbox_set_flag_lists(mailbox, SLICE("(\\Seen)"), SLICE("(\\Seen \\*)")), OK);
    assert_true(slice_eq(mailbox_permanent_flags(mailbox), SLICE("(\\Seen \\*)")));
    uint64_t version = mailbox_version(mailbox);
    assert_int_equal(mailbox_set_flag_lists(mailbox, SLICE("(\\Seen)"), SLICE("(\\Seen \\*)")), OK);
    assert_int_equal(mailbox_version(mailbox), version);
    static char large[MAILBOX_LIST_MAX + 1];
    assert_int_equal(mailbox_set_flag_lists(mailbox, slice_of(large, sizeof(large)), SLICE("")),
                     LIMIT);
    assert_true(slice_eq(mailbox_flag_list(mailbox), SLICE("(\\Seen)")));
    assert_int_equal(mailbox_set_id(mailbox, SLICE("F2212ea87-6097")), OK);
    assert_int_equal(mailbox_set_id(mailbox, slice_of(large, MAILBOX_ID_MAX + 1)), LIMIT);
    assert_true(slice_eq(mailbox_id(mailbox), SLICE("F2212ea87-6097")));
    mailbox_destroy(&mailbox);
}

static void test_loading_from_searches(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_create(0);
    struct ranges all;
    struct ranges some;
    struct ranges none;
    ranges_init(&all, 0);
    ranges_init(&some, 0);
    ranges_init(&none, 0);
    assert_int_equal(ranges_parse(&all, SLICE("3:2000,2005,3000:4500")), OK);
    assert_int_equal(mailbox_load_uids(mailbox, &all, 100), LIMIT);
    assert_int_equal(mailbox_exists(mailbox), 0);
    assert_int_equal(mailbox_load_uids(mailbox, &all, 100000), OK);
    assert_int_equal(mailbox_load_uids(mailbox, &all, 100000), PROTOCOL);
    assert_int_equal(mailbox_exists(mailbox), ranges_count(&all));
    assert_int_equal(ranges_parse(&some, SLICE("1:1000,4000:9000")), OK);
    assert_int_equal(mailbox_apply_flag(mailbox, bits(mailbox, FLAG_SEEN), &some, &none, true), OK);
    assert_int_equal(ranges_parse(&some, SLICE("4100:4200,2004")), OK);
    assert_int_equal(mailbox_apply_flag(mailbox, bits(mailbox, FLAG_DELETED), &some, &none, true), OK);
    struct mailbox_counts counts;
    mailbox_counts(mailbox, &counts);
    assert_int_equal(counts.exists - counts.unseen, 998 + 501);
    assert_int_equal(counts.deleted, 101);
    assert_int_equal(counts.first_unseen_uid, 1001);
    struct mailbox_entry entry;
    assert_true(mailbox_get(mailbox, 4150, &entry));
    assert_int_equal(entry.flags, bits(mailbox, FLAG_SEEN | FLAG_DELETED));
    /* once more, as a rescan: who is not named loses it, but for one that is known better */
    ranges_reset(&some);
    assert_int_equal(ranges_parse(&some, SLICE("1:500,3000")), OK);
    ranges_add(&none, 600, 600);
    assert_int_equal(mailbox_apply_flag(mailbox, bits(mailbox, FLAG_SEEN), &some, &none, false), OK);
    mailbox_counts(mailbox, &counts);
    assert_int_equal(counts.exists - counts.unseen, 498 + 1 + 1);
    assert_int_equal(counts.deleted, 101);
    ranges_fini(&all);
    ranges_fini(&some);
    ranges_fini(&none);
    mailbox_destroy(&mailbox);
}

/* A modseq that was left out when the messages were loaded is no news, a later one is (T23). */
static void test_t23_what_changed_after_the_base_is_news(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_create(0);
    struct ranges uids, unknown;
    ranges_init(&uids, 0);
    ranges_init(&unknown, 0);
    ranges_add(&uids, 1, 10);
    assert_int_equal(mailbox_load_uids(mailbox, &uids, 100), OK);
    mailbox_set_base_modseq(mailbox, 50);
    struct view *view = view_open(mailbox, VIEW_WANTS_MODSEQ);
    assert_int_equal(mailbox_set_modseq(mailbox, 3, 50), OK);
    assert_false(view_has_pending(view, true));
    assert_int_equal(mailbox_set_modseq(mailbox, 4, 51), OK);
    assert_true(view_has_pending(view, true));
    mailbox_scan_unknown(mailbox, NULL, &unknown);
    assert_int_equal(ranges_count(&unknown), 8);
    assert_false(ranges_has(&unknown, 3));
    view_close(&view);
    ranges_fini(&uids);
    ranges_fini(&unknown);
    mailbox_destroy(&mailbox);
}

/* --- against an array that is indexed by UID -------------------------------------------------- */

enum { SPACE = 12000 };

struct naive {
    bool has[SPACE];
    uint32_t flags[SPACE];
    uint64_t modseq[SPACE];
};

static void check_against(struct mailbox *mailbox, const struct naive *naive)
{
    uint32_t n = 0;
    uint32_t unseen = 0;
    uint32_t deleted = 0;
    uint32_t first_unseen = 0;
    struct mailbox_iter iter;
    struct mailbox_entry entry;
    mailbox_iter_init(&iter, mailbox, 0);
    for (uint32_t uid = 1; uid < SPACE; uid++) {
        assert_int_equal(mailbox_has(mailbox, uid), naive->has[uid]);
        if (naive->has[uid]) {
            n++;
            uint8_t b = flags_bits(mailbox_flags(mailbox), naive->flags[uid]);
            unseen += (b & FLAG_SEEN) == 0;
            deleted += (b & FLAG_DELETED) != 0;
            first_unseen = first_unseen == 0 && (b & FLAG_SEEN) == 0 ? uid : first_unseen;
            assert_true(mailbox_iter_next(&iter, &entry));
            assert_int_equal(entry.uid, uid);
            assert_int_equal(entry.flags, naive->flags[uid]);
            assert_int_equal(entry.modseq, naive->modseq[uid]);
            assert_true(mailbox_at(mailbox, n, &entry));
            assert_int_equal(entry.uid, uid);
        }
        assert_int_equal(mailbox_rank(mailbox, uid), n);
    }
    assert_false(mailbox_iter_next(&iter, &entry));
    struct mailbox_counts counts;
    mailbox_counts(mailbox, &counts);
    assert_int_equal(counts.exists, n);
    assert_int_equal(counts.unseen, unseen);
    assert_int_equal(counts.deleted, deleted);
    assert_int_equal(counts.first_unseen_uid, first_unseen);
}

static void random_set(struct ranges *set, int intervals, uint32_t width)
{
    ranges_reset(set);
    for (int i = 0; i < intervals; i++) {
        uint32_t first = 1 + (uint32_t)rand() % (SPACE - 1 - width);
        ranges_add(set, first, first + (uint32_t)rand() % width);
    }
}

static void drop(struct naive *naive, const struct ranges *set, bool members, uint32_t below)
{
    for (uint32_t uid = 1; uid < below; uid++) {
        naive->has[uid] = naive->has[uid] && ranges_has(set, uid) != members;
    }
}

static void change_one(struct mailbox *mailbox, struct naive *naive, const uint32_t sets[4])
{
    uint32_t uid = 1 + (uint32_t)rand() % (SPACE - 1);
    uint32_t flags = sets[rand() % 4];
    switch (rand() % 3) {
    case 0:
        assert_int_equal(mailbox_remove(mailbox, uid), naive->has[uid]);
        naive->has[uid] = false;
        break;
    case 1:
        assert_int_equal(add(mailbox, uid, flags), naive->has[uid] ? STALE : OK);
        if (!naive->has[uid]) {
            naive->has[uid] = true;
            naive->flags[uid] = flags;
            naive->modseq[uid] = 10;
        }
        break;
    default:
        assert_int_equal(mailbox_set_flags(mailbox, uid, flags, uid + 100, NULL),
                         naive->has[uid] ? OK : NOT_FOUND);
        naive->flags[uid] = flags;
        naive->modseq[uid] = uid + 100;
        break;
    }
}

static void test_random_changes_against_an_array(void **state)
{
    (void)state;
    srand(3);
    static struct naive naive;
    struct mailbox *mailbox = mailbox_create(0);
    const uint32_t sets[4] = {FLAGS_NONE, bits(mailbox, FLAG_SEEN),
                              bits(mailbox, FLAG_SEEN | FLAG_DELETED),
                              bits(mailbox, FLAG_FLAGGED)};
    for (size_t i = 0; i < 4; i++) {
        flags_ref(mailbox_flags(mailbox), sets[i], 1);
    }
    struct ranges set;
    ranges_init(&set, 0);
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 4000; i++) {
            change_one(mailbox, &naive, sets);
        }
        random_set(&set, 1 + rand() % 40, 1 + (uint32_t)rand() % 600);
        uint32_t before = mailbox_exists(mailbox);
        uint32_t below = 1 + (uint32_t)rand() % SPACE;
        uint32_t n = round % 4 == 1   ? mailbox_retain(mailbox, &set, below)
                     : round % 4 == 3 ? mailbox_remove_set(mailbox, &set)
                                      : 0;
        if (round % 2 == 1) {
            drop(&naive, &set, round % 4 == 3, round % 4 == 3 ? SPACE : below);
        }
        assert_int_equal(mailbox_exists(mailbox), before - n);
        mailbox_sync_point(mailbox);
        check_against(mailbox, &naive);
    }
    ranges_fini(&set);
    mailbox_destroy(&mailbox);
}

/* --- scans ------------------------------------------------------------------------------------ */

struct asked {
    uint8_t want;
    int *times;
};

static bool has_bits(const struct flags *flags, uint32_t id, const void *arg)
{
    const struct asked *asked = arg;
    (*asked->times)++;
    return (flags_bits(flags, id) & asked->want) == asked->want;
}

static void test_scans_equal_looking_at_each(void **state)
{
    (void)state;
    srand(4);
    struct mailbox *mailbox = mailbox_create(0);
    for (uint32_t uid = 1; uid < 6000; uid += 1 + (uint32_t)rand() % 3) {
        struct mailbox_entry entry = {uid, bits(mailbox, (uint8_t)(rand() % 32)),
                                      (uint64_t)rand() % 100};
        assert_int_equal(mailbox_load(mailbox, &entry), OK);
    }
    struct ranges within;
    struct ranges out;
    ranges_init(&within, 0);
    ranges_init(&out, 0);
    for (int round = 0; round < 60; round++) {
        random_set(&within, 1 + rand() % 50, 1 + (uint32_t)rand() % 3000);
        const struct ranges *limit = round % 5 == 0 ? NULL : &within;
        int times = 0;
        struct asked asked = {(uint8_t)(1 << rand() % 5), &times};
        uint64_t above = (uint64_t)rand() % 100;
        if (round % 3 == 0) {
            mailbox_scan_flags(mailbox, limit, has_bits, &asked, &out);
            assert_true(times <= 32);
        } else if (round % 3 == 1) {
            mailbox_scan_modseq(mailbox, limit, above, &out);
        } else {
            mailbox_scan_uids(mailbox, limit, &out);
        }
        for (uint32_t uid = 0; uid < 6010; uid++) {
            struct mailbox_entry entry;
            bool hit = mailbox_get(mailbox, uid, &entry) &&
                       (limit == NULL || ranges_has(limit, uid));
            hit = hit && (round % 3 != 0 ||
                          (flags_bits(mailbox_flags(mailbox), entry.flags) & asked.want) != 0);
            hit = hit && (round % 3 != 1 || entry.modseq > above);
            assert_int_equal(ranges_has(&out, uid), hit);
        }
    }
    mailbox_scan_modseq(mailbox, NULL, UINT64_MAX, &out);
    assert_true(ranges_empty(&out));
    ranges_fini(&within);
    ranges_fini(&out);
    mailbox_destroy(&mailbox);
}

static void test_walk_survives_changes(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_create(0);
    for (uint32_t uid = 2; uid <= 20; uid += 2) {
        assert_int_equal(add(mailbox, uid, FLAGS_NONE), OK);
    }
    struct mailbox_iter iter;
    struct mailbox_entry entry;
    mailbox_iter_init(&iter, mailbox, 5);
    assert_true(mailbox_iter_next(&iter, &entry));
    assert_int_equal(entry.uid, 6);
    assert_true(mailbox_remove(mailbox, 6));
    assert_true(mailbox_remove(mailbox, 8));
    assert_int_equal(add(mailbox, 9, FLAGS_NONE), OK);
    assert_int_equal(add(mailbox, 3, FLAGS_NONE), OK);
    assert_true(mailbox_iter_next(&iter, &entry));
    assert_int_equal(entry.uid, 9);
    mailbox_destroy(&mailbox);
}

static void test_unused_flag_sets_are_swept(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_create(0);
    assert_int_equal(add(mailbox, 1, FLAGS_NONE), OK);
    char name[16];
    for (int i = 0; i < 3000; i++) {
        struct flag_list list = {0};
        (void)snprintf(name, sizeof(name), "kw%d", i);
        assert_int_equal(flag_list_add(&list, mailbox_flags(mailbox), slice_str(name)), OK);
        uint32_t id;
        assert_int_equal(flags_intern(mailbox_flags(mailbox), &list, &id), OK);
        assert_int_equal(mailbox_set_flags(mailbox, 1, id, 0, NULL), OK);
        mailbox_sync_point(mailbox);
        struct mailbox_entry entry;
        assert_true(mailbox_get(mailbox, 1, &entry));
        assert_int_equal(entry.flags, id);
    }
    assert_true(flags_id_end(mailbox_flags(mailbox)) < 2000);
    mailbox_destroy(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_and_questions),
        cmocka_unit_test(test_flags_and_modseq),
        cmocka_unit_test(test_lists_and_id),
        cmocka_unit_test(test_loading_from_searches),
        cmocka_unit_test(test_t23_what_changed_after_the_base_is_news),
        cmocka_unit_test(test_random_changes_against_an_array),
        cmocka_unit_test(test_scans_equal_looking_at_each),
        cmocka_unit_test(test_walk_survives_changes),
        cmocka_unit_test(test_unused_flag_sets_are_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
