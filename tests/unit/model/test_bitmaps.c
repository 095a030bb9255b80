/* The scans into bitmaps, against those into ranges, which test_mailbox.c holds against each
 * message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/mailbox.h"

struct spread {
    uint32_t first_uid;
    uint32_t messages;
    uint32_t gap; /* largest step from UID to UID */
};

static uint32_t flag_set(struct mailbox *mailbox, uint8_t bits)
{
    struct flag_list list = {.bits = bits};
    uint32_t id = 0;
    assert_int_equal(flags_intern(mailbox_flags(mailbox), &list, &id), OK);
    return id;
}

static struct mailbox *mailbox_of(const struct spread *spread)
{
    struct mailbox *mailbox = mailbox_create(0);
    uint64_t uid = spread->first_uid;
    for (uint32_t i = 0; i < spread->messages && uid < UINT32_MAX; i++) {
        struct mailbox_entry entry = {(uint32_t)uid, flag_set(mailbox, (uint8_t)(rand() % 32)),
                                      (uint64_t)rand() % 100};
        assert_int_equal(mailbox_load(mailbox, &entry), OK);
        uid += 1 + (uint64_t)rand() % spread->gap;
    }
    return mailbox;
}

static bool has_bits(const struct flags *flags, uint32_t id, const void *arg)
{
    const uint8_t *want = arg;
    return (flags_bits(flags, id) & *want) == *want;
}

static void assert_same(const struct bitmap *set, const struct ranges *ranges)
{
    struct ranges members;
    ranges_init(&members, 0);
    bitmap_to_ranges(set, &members);
    assert_int_equal(members.n, ranges->n);
    for (size_t i = 0; i < members.n; i++) {
        assert_int_equal(members.at[i].first, ranges->at[i].first);
        assert_int_equal(members.at[i].last, ranges->at[i].last);
    }
    ranges_fini(&members);
}

static void compare_scans(const struct mailbox *mailbox)
{
    struct ranges slow;
    struct ranges within;
    struct bitmap *set = bitmap_create();
    ranges_init(&slow, 0);
    ranges_init(&within, 0);
    bitmap_add(set, 0, 100); /* goes */
    for (uint8_t want = 0; want < 4; want++) {
        mailbox_scan_flags(mailbox, NULL, has_bits, &want, &slow);
        mailbox_bitmap_flags(mailbox, has_bits, &want, set);
        assert_same(set, &slow);
    }
    mailbox_scan_modseq(mailbox, NULL, 90, &slow);
    mailbox_bitmap_modseq(mailbox, 90, set);
    assert_same(set, &slow);
    mailbox_bitmap_modseq(mailbox, UINT64_MAX, set);
    assert_true(bitmap_empty(set));
    mailbox_scan_uids(mailbox, NULL, &slow);
    mailbox_bitmap_uids(mailbox, NULL, set);
    assert_same(set, &slow);
    for (int i = 0; i < 20; i++) {
        uint32_t last = mailbox_last_uid(mailbox);
        uint32_t from = (uint32_t)rand() % (last + 1);
        ranges_add(&within, from, from + (uint32_t)rand() % (1 + (last - from) / 8));
    }
    mailbox_scan_uids(mailbox, &within, &slow);
    mailbox_bitmap_uids(mailbox, &within, set);
    assert_same(set, &slow);
    bitmap_destroy(&set);
    ranges_fini(&slow);
    ranges_fini(&within);
}

static void test_bitmaps_equal_ranges(void **state)
{
    (void)state;
    static const struct spread spreads[] = {
        {1, 0, 1}, /* nothing */
        {1, 1, 1},        {65530, 20, 1},     {1, 70000, 1},          {60000, 70000, 3},
        {100, 3000, 200}, {5, 2000, 2000000}, {4294960000U, 6000, 2},
    };
    srand(5);
    for (size_t i = 0; i < sizeof(spreads) / sizeof(spreads[0]); i++) {
        struct mailbox *mailbox = mailbox_of(&spreads[i]);
        compare_scans(mailbox);
        mailbox_destroy(&mailbox);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bitmaps_equal_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
