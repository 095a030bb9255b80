#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/view.h"

/* A mailbox of UIDs 10, 20 ... 10 n, not \Recent, all of modseq 5. */
static struct mailbox *mailbox_of(uint32_t n)
{
    struct mailbox *mailbox = mailbox_create(16);
    for (uint32_t i = 1; i <= n; i++) {
        struct mailbox_entry entry = {.uid = 10 * i, .modseq = 5};
        assert_int_equal(mailbox_load(mailbox, &entry), OK);
    }
    mailbox_set_recent_floor(mailbox, 10 * n + 1);
    mailbox_sync_point(mailbox);
    return mailbox;
}

static void arrive(struct mailbox *mailbox, uint32_t uid)
{
    struct mailbox_entry entry = {.uid = uid, .modseq = 6};
    assert_int_equal(mailbox_add(mailbox, &entry), OK);
}

static uint32_t set_of(struct mailbox *mailbox, uint8_t bits)
{
    struct flag_list list = {.bits = bits};
    uint32_t id;
    assert_int_equal(flags_intern(mailbox_flags(mailbox), &list, &id), OK);
    return id;
}

static void flag(struct mailbox *mailbox, uint32_t uid, uint8_t bits)
{
    assert_int_equal(mailbox_set_flags(mailbox, uid, set_of(mailbox, bits), 0, NULL), OK);
}

static void assert_set(const struct ranges *set, const char *text)
{
    struct buf is;
    buf_init(&is, 0);
    ranges_format(set, &is);
    buf_add_char(&is, '\0');
    assert_string_equal(is.data, text);
    buf_fini(&is);
}

static struct ranges set_from(const char *text)
{
    struct ranges set;
    ranges_init(&set, 0);
    assert_int_equal(ranges_parse(&set, slice_str(text)), OK);
    return set;
}

static void test_numbers_hold_while_expunges_are_held(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(5);
    struct view *view = view_open(mailbox, VIEW_CLAIMS_RECENT);
    struct view_changes changes;
    view_changes_init(&changes);
    assert_false(view_has_pending(view, true));
    assert_true(mailbox_remove(mailbox, 20));
    assert_true(mailbox_remove(mailbox, 30));
    arrive(mailbox, 60);
    assert_int_equal(view_count(view), 5);
    assert_int_equal(view_msn_of(view, 40), 4);
    assert_int_equal(view_msn_of(view, 30), 3);
    assert_int_equal(view_msn_of(view, 60), 0);
    assert_int_equal(view_msn_of(view, 25), 0);
    assert_int_equal(view_uid_of(view, 2), 20);
    assert_int_equal(view_uid_of(view, 0), 0);
    assert_int_equal(view_uid_of(view, 6), 0);
    view_sync(view, false, &changes);
    assert_true(ranges_empty(&changes.expunged_msns));
    assert_true(changes.tells_exists);
    assert_int_equal(changes.exists, 6);
    assert_true(changes.tells_recent);
    assert_int_equal(changes.recent, 1);
    assert_int_equal(view_msn_of(view, 60), 6);
    assert_true(view_is_recent(view, 60));
    assert_false(view_has_pending(view, false));
    assert_true(view_has_pending(view, true));
    assert_true(mailbox_remove(mailbox, 60));
    assert_int_equal(view_last_uid(view), 60);
    view_sync(view, true, &changes);
    assert_set(&changes.expunged_msns, "2:3,6");
    assert_set(&changes.vanished, "20,30,60");
    assert_false(changes.tells_exists);
    assert_int_equal(changes.exists, 3);
    assert_true(changes.tells_recent);
    assert_int_equal(view_last_uid(view), 50);
    view_changes_fini(&changes);
    view_close(&view);
    mailbox_destroy(&mailbox);
}

static void test_flags_are_told_once_and_not_for_the_vanished(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(4);
    struct view *view = view_open(mailbox, 0);
    struct view_changes changes;
    view_changes_init(&changes);
    flag(mailbox, 10, FLAG_SEEN);
    flag(mailbox, 20, FLAG_SEEN);
    flag(mailbox, 20, FLAG_FLAGGED);
    flag(mailbox, 30, FLAG_SEEN);
    assert_true(mailbox_remove(mailbox, 30));
    arrive(mailbox, 50);
    flag(mailbox, 50, FLAG_SEEN);
    assert_int_equal(mailbox_set_flag_lists(mailbox, SLICE("(x)"), SLICE("(x)")), OK);
    view_sync(view, false, &changes);
    assert_set(&changes.flags, "10,20");
    assert_true(changes.tells_flag_lists);
    view_sync(view, false, &changes);
    assert_true(view_changes_empty(&changes));
    flag(mailbox, 20, FLAG_SEEN);
    view_flags_told(view, 20);
    view_sync(view, false, &changes);
    assert_true(view_changes_empty(&changes));
    flag(mailbox, 20, FLAG_SEEN);
    flag(mailbox, 40, FLAG_SEEN);
    view_flags_told(view, 40);
    flag(mailbox, 40, 0);
    view_sync(view, false, &changes);
    assert_set(&changes.flags, "40");
    view_changes_fini(&changes);
    view_close(&view);
    mailbox_destroy(&mailbox);
}

static void test_silent_store_hides_only_what_the_client_expects(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(6);
    struct view *view = view_open(mailbox, 0);
    struct view_changes changes;
    view_changes_init(&changes);
    flag(mailbox, 50, FLAG_DRAFT); /* not told yet */
    struct ranges uids = set_from("10,20,30:50");
    struct view_silent *silent =
        view_silent_begin(view, &uids, FLAG_OP_ADD, set_of(mailbox, FLAG_SEEN));
    flag(mailbox, 10, FLAG_SEEN);
    flag(mailbox, 20, FLAG_SEEN | FLAG_FLAGGED); /* somebody else's flag, too */
    flag(mailbox, 30, FLAG_DELETED);             /* ours, then undone by somebody */
    flag(mailbox, 30, FLAG_SEEN);
    flag(mailbox, 40, FLAG_SEEN);
    flag(mailbox, 50, FLAG_SEEN | FLAG_DRAFT);
    flag(mailbox, 60, FLAG_SEEN); /* not in the command */
    view_silent_end(&silent);
    assert_null(silent);
    flag(mailbox, 40, FLAG_SEEN | FLAG_ANSWERED); /* after it */
    view_sync(view, false, &changes);
    assert_set(&changes.flags, "20,40,50,60");

    silent = view_silent_begin(view, &uids, FLAG_OP_REMOVE, set_of(mailbox, FLAG_SEEN));
    flag(mailbox, 10, 0);
    view_silent_cancel(&silent); /* refused: what changed is told */
    view_sync(view, false, &changes);
    assert_set(&changes.flags, "10");
    ranges_fini(&uids);
    uids = set_from("10,30");
    silent = view_silent_begin(view, &uids, FLAG_OP_SET, set_of(mailbox, FLAG_DRAFT));
    flag(mailbox, 20, FLAG_DRAFT); /* between the two, and equal to what they become */
    flag(mailbox, 10, FLAG_DRAFT);
    flag(mailbox, 30, FLAG_DRAFT);
    view_silent_end(&silent);
    view_sync(view, false, &changes);
    assert_set(&changes.flags, "20");
    ranges_fini(&uids);
    view_changes_fini(&changes);
    view_close(&view);
    mailbox_destroy(&mailbox);
}

static void test_t13_one_session_owns_recent(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(2);
    arrive(mailbox, 30);
    struct view *looks = view_open(mailbox, 0); /* EXAMINE */
    assert_int_equal(view_recent(looks), 1);
    assert_int_equal(mailbox_recent_floor(mailbox), 21);
    struct view *first = view_open(mailbox, VIEW_CLAIMS_RECENT);
    struct view *second = view_open(mailbox, VIEW_CLAIMS_RECENT);
    assert_int_equal(view_recent(first), 1);
    assert_int_equal(view_recent(second), 0);
    assert_false(view_is_recent(second, 30));
    assert_int_equal(mailbox_recent_floor(mailbox), 31);
    arrive(mailbox, 40);
    struct view_changes changes;
    view_changes_init(&changes);
    view_sync(second, true, &changes);
    assert_true(changes.tells_recent);
    assert_int_equal(changes.recent, 1);
    view_sync(first, true, &changes);
    assert_true(changes.tells_exists);
    assert_false(changes.tells_recent);
    assert_set(view_recent_uids(second), "31:40");
    view_changes_fini(&changes);
    view_close(&looks);
    view_close(&first);
    view_close(&second);
    mailbox_destroy(&mailbox);
}

static void test_modseq_rises_when_nothing_is_held(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(3);
    struct view *view = view_open(mailbox, VIEW_WANTS_MODSEQ);
    struct view *plain = view_open(mailbox, 0);
    struct view_changes changes;
    view_changes_init(&changes);
    assert_int_equal(view_modseq(view), 5);
    assert_int_equal(mailbox_set_modseq(mailbox, 20, 9), OK);
    view_sync(view, true, &changes);
    assert_set(&changes.flags, "20");
    assert_int_equal(changes.modseq, 5); /* no sync point yet */
    view_sync(plain, true, &changes);
    assert_true(view_changes_empty(&changes));
    assert_true(mailbox_remove(mailbox, 30));
    mailbox_sync_point(mailbox);
    view_sync(view, false, &changes);
    assert_int_equal(view_modseq(view), 5);
    view_sync(view, true, &changes);
    assert_int_equal(changes.modseq, 9);
    view_set_option(plain, VIEW_WANTS_MODSEQ);
    assert_int_equal(mailbox_set_modseq(mailbox, 10, 11), OK);
    view_sync(plain, true, &changes);
    assert_set(&changes.flags, "10");
    view_changes_fini(&changes);
    view_close(&view);
    view_close(&plain);
    mailbox_destroy(&mailbox);
}

static void test_late_uid_stays_hidden_and_returning_uid_keeps_its_place(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(3);
    struct view *view = view_open(mailbox, 0);
    struct view_changes changes;
    view_changes_init(&changes);
    arrive(mailbox, 15);
    assert_int_equal(view_count(view), 3);
    assert_int_equal(view_msn_of(view, 15), 0);
    assert_int_equal(view_msn_of(view, 20), 2);
    assert_int_equal(view_uid_of(view, 2), 20);
    struct ranges msns = set_from("1:3");
    struct ranges uids;
    ranges_init(&uids, 0);
    assert_int_equal(view_resolve_msns(view, &msns, &uids), OK);
    assert_set(&uids, "10:14,16:30");
    assert_true(mailbox_remove(mailbox, 20));
    assert_int_equal(view_count(view), 3);
    arrive(mailbox, 20);
    mailbox_sync_point(mailbox);
    view_sync(view, true, &changes);
    assert_true(ranges_empty(&changes.vanished));
    assert_set(&changes.flags, "20");
    assert_true(mailbox_remove(mailbox, 15));
    view_sync(view, true, &changes);
    assert_true(view_changes_empty(&changes));
    ranges_fini(&msns);
    ranges_fini(&uids);
    view_changes_fini(&changes);
    view_close(&view);
    mailbox_destroy(&mailbox);
}

static void test_resolving_sets(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(9);
    struct view *view = view_open(mailbox, 0);
    struct ranges uids;
    struct ranges back;
    ranges_init(&uids, 0);
    ranges_init(&back, 0);
    arrive(mailbox, 100);
    assert_true(mailbox_remove(mailbox, 20));
    struct ranges msns = set_from("2:4,7,9");
    assert_int_equal(view_resolve_msns(view, &msns, &uids), OK);
    assert_set(&uids, "20:40,70,90");
    view_msns_of(view, &uids, &back);
    assert_set(&back, "2:4,7,9");
    ranges_fini(&msns);
    msns = set_from("9:10");
    assert_int_equal(view_resolve_msns(view, &msns, &uids), PROTOCOL);
    ranges_reset(&uids);
    ranges_add(&uids, 1, UINT32_MAX);
    view_clip(view, &uids);
    assert_set(&uids, "1:90");
    ranges_fini(&msns);
    ranges_fini(&uids);
    ranges_fini(&back);
    view_close(&view);
    mailbox_destroy(&mailbox);
}

static void test_walk(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(6);
    struct view *view = view_open(mailbox, 0);
    struct view_changes changes;
    view_changes_init(&changes);
    flag(mailbox, 30, FLAG_SEEN);
    assert_true(mailbox_remove(mailbox, 20));
    arrive(mailbox, 70);
    struct ranges uids = set_from("15:35,50:1000");
    struct view_iter iter;
    struct view_message m;
    view_iter_init(&iter, view, &uids);
    assert_true(view_iter_next(&iter, &m));
    assert_true(m.is_vanished && m.uid == 20 && m.msn == 2);
    assert_true(view_iter_next(&iter, &m));
    assert_true(m.uid == 30 && m.msn == 3 && m.flags == set_of(mailbox, FLAG_SEEN));
    assert_true(mailbox_remove(mailbox, 50)); /* in the middle of the walk */
    assert_true(view_iter_next(&iter, &m));
    assert_true(m.is_vanished && m.uid == 50 && m.msn == 5);
    view_sync(view, true, &changes); /* renumbers: 60 is third now */
    assert_true(view_iter_next(&iter, &m));
    assert_true(m.uid == 60 && m.msn == 4);
    assert_true(view_iter_next(&iter, &m));
    assert_true(m.uid == 70 && m.msn == 5);
    assert_false(view_iter_next(&iter, &m));
    ranges_fini(&uids);
    view_changes_fini(&changes);
    view_close(&view);
    mailbox_destroy(&mailbox);
}

static void test_views_of_equal_key_share(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(6);
    struct view *a = view_open(mailbox, 0);
    struct view *b = view_open(mailbox, 0);
    struct view *c = view_open(mailbox, VIEW_WANTS_MODSEQ);
    struct view_changes changes;
    view_changes_init(&changes);
    mailbox_set_recent_floor(mailbox, 1000);
    flag(mailbox, 20, FLAG_SEEN);
    assert_true(mailbox_remove(mailbox, 30));
    arrive(mailbox, 70);
    struct view_key ka;
    struct view_key kb;
    assert_false(view_key(a, false, &ka)); /* would hold the expunge */
    assert_true(view_key(a, true, &ka));
    assert_true(view_key(b, true, &kb));
    assert_true(view_key_equal(&ka, &kb));
    assert_true(view_key(c, true, &kb));
    assert_false(view_key_equal(&ka, &kb));
    view_sync(a, true, &changes);
    assert_int_equal(changes.exists, 6);
    assert_true(view_key(b, true, &kb));
    view_sync_same(b, &kb);
    assert_int_equal(view_count(b), 6);
    assert_int_equal(view_msn_of(b, 70), 6);
    assert_false(view_has_pending(b, true));
    view_sync(b, true, &changes);
    assert_true(view_changes_empty(&changes));
    flag(mailbox, 20, 0);
    view_flags_told(a, 20);
    assert_false(view_key(a, true, &ka));
    assert_true(view_key(b, true, &kb));
    view_changes_fini(&changes);
    view_close(&a);
    view_close(&b);
    view_close(&c);
    mailbox_destroy(&mailbox);
}

static void test_opened_at_an_older_uidnext(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(4);
    struct view *view = view_open_at(mailbox, 0, 31);
    struct view_changes changes;
    view_changes_init(&changes);
    assert_int_equal(view_count(view), 3);
    assert_true(view_has_pending(view, false));
    view_sync(view, true, &changes);
    assert_true(changes.tells_exists);
    assert_int_equal(changes.exists, 4);
    view_changes_fini(&changes);
    view_close(&view);
    mailbox_destroy(&mailbox);
}

static void test_laggard_collapses_and_loses_nothing(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(1000); /* a log of 16 */
    struct view *view = view_open(mailbox, 0);
    struct view_changes changes;
    view_changes_init(&changes);
    for (uint32_t i = 1; i <= 1000; i++) {
        flag(mailbox, 10 * i, FLAG_SEEN);
    }
    struct ranges gone = set_from("1:5000"); /* more than the log ever holds */
    assert_int_equal(mailbox_remove_set(mailbox, &gone), 500);
    assert_int_equal(view_count(view), 1000);
    assert_int_equal(view_uid_of(view, 1000), 10000);
    assert_int_equal(view_uid_of(view, 7), 70);
    view_sync(view, true, &changes);
    assert_set(&changes.expunged_msns, "1:500");
    assert_int_equal(ranges_count(&changes.vanished), 500);
    assert_int_equal(ranges_count(&changes.flags), 500);
    assert_int_equal(view_count(view), 500);
    ranges_fini(&gone);
    view_changes_fini(&changes);
    view_close(&view);
    mailbox_destroy(&mailbox);
}

/* SELECT told seven messages before the model knew any; since then two have gone, one never came into
 * it, and mail has arrived. */
static void test_t23_opened_on_what_was_told_before(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_of(5); /* 10 20 30 40 50 */
    struct view_changes changes;
    view_changes_init(&changes);
    arrive(mailbox, 61);
    assert_int_equal(mailbox_set_flags(mailbox, 20, set_of(mailbox, FLAG_SEEN), 9, NULL), OK);
    struct ranges gone = set_from("15,55");
    const struct view_told told = {.exists = 7, .gone = &gone, .modseq = 8};
    struct view *view = view_open_told(mailbox, VIEW_WANTS_MODSEQ, &told);
    assert_non_null(view);
    assert_int_equal(view_count(view), 7);
    assert_int_equal(view_uid_of(view, 2), 15);
    assert_int_equal(view_uid_of(view, 7), 55);
    assert_int_equal(view_msn_of(view, 61), 0);
    assert_int_equal(view_modseq(view), 8);
    mailbox_sync_point(mailbox);
    view_sync(view, true, &changes);
    assert_set(&changes.expunged_msns, "2,7");
    assert_set(&changes.vanished, "15,55");
    assert_true(changes.tells_exists);
    assert_int_equal(changes.exists, 6);
    assert_set(&changes.flags, "20");
    assert_int_equal(view_modseq(view), 9);
    assert_false(view_has_pending(view, true));
    view_close(&view);
    const struct view_told more = {.exists = 9, .gone = &gone, .modseq = 8};
    assert_null(view_open_told(mailbox, 0, &more));
    ranges_reset(&gone);
    const struct view_told none = {.exists = 0, .gone = &gone};
    view = view_open_told(mailbox, 0, &none);
    assert_int_equal(view_count(view), 0);
    view_sync(view, true, &changes);
    assert_int_equal(changes.exists, 6);
    view_close(&view);
    ranges_fini(&gone);
    view_changes_fini(&changes);
    mailbox_destroy(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_hold_while_expunges_are_held),
        cmocka_unit_test(test_flags_are_told_once_and_not_for_the_vanished),
        cmocka_unit_test(test_silent_store_hides_only_what_the_client_expects),
        cmocka_unit_test(test_t13_one_session_owns_recent),
        cmocka_unit_test(test_modseq_rises_when_nothing_is_held),
        cmocka_unit_test(test_late_uid_stays_hidden_and_returning_uid_keeps_its_place),
        cmocka_unit_test(test_resolving_sets),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_views_of_equal_key_share),
        cmocka_unit_test(test_opened_at_an_older_uidnext),
        cmocka_unit_test(test_laggard_collapses_and_loses_nothing),
        cmocka_unit_test(test_t23_opened_on_what_was_told_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
