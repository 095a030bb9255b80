/* Several views of one mailbox against clients that keep plain arrays.  Random mail, expunges,
 * flags, resyncs and STOREs; every sync is replayed as a mail program would and must leave the same
 * numbering and the same belief about flags.  The log is tiny, so that views collapse all the
 * time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/view.h"

enum { CLIENTS = 5, SPACE = 40000, ROOM = 4000, SETS = 6, OPERATIONS = 100000 };

struct believed {
    uint32_t uid;
    uint32_t flags; /* what the client thinks they are */
    bool is_gone;   /* not told yet */
    bool is_dirty;  /* a change of flags to be told */
    bool is_recent;
    bool in_store;  /* part of the silent STORE in flight ... */
    bool counts;    /* ... and without an untold change when it began */
    uint32_t expected;
};

struct client {
    struct view *view;
    unsigned options;
    struct believed m[ROOM];
    uint32_t n;
    uint32_t told;
    uint32_t told_recent;
    uint64_t told_modseq;
    bool lists_changed;
    struct view_silent *silent;
    struct ranges store_uids;
    enum flag_op op;
    uint32_t operand;
    bool synced_since;
};

/* What a run is like. */
struct mix {
    unsigned seed;
    size_t log_max;
    uint32_t late_percent; /* arrivals below the highest UID */
    bool has_recent;
};

struct world {
    struct mix mix;
    struct mailbox *mailbox;
    struct flags *flags;
    uint32_t set[SETS];
    bool has[SPACE];
    uint32_t is[SPACE]; /* flags */
    uint64_t modseq[SPACE];
    uint32_t high;
    uint32_t floor;
    uint64_t next_modseq;
    int lists;
    struct client client[CLIENTS];
    struct view_changes changes;
    struct view_key shared_key; /* of `changes`, while nothing has happened since */
    bool is_shared;
    unsigned long syncs;
    unsigned long shares;
    unsigned long expunges;
    unsigned long held;
};

static uint32_t below(uint32_t n)
{
    return (uint32_t)rand() % n;
}

static struct believed *find(struct client *c, uint32_t uid)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->m[i].uid == uid) {
            return &c->m[i];
        }
    }
    return NULL;
}

/* --- the world changes, and each client's reference with it ----------------------------------- */

static void naive_dirty(struct world *w, uint32_t uid, unsigned needs_option)
{
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &w->client[i];
        struct believed *m = c->view != NULL ? find(c, uid) : NULL;
        if (m != NULL && (c->options & needs_option) == needs_option) {
            m->is_dirty = true;
        }
    }
}

static void naive_remove(struct world *w, uint32_t uid)
{
    if (!w->has[uid]) {
        return;
    }
    w->has[uid] = false;
    for (int i = 0; i < CLIENTS; i++) {
        struct believed *m = w->client[i].view != NULL ? find(&w->client[i], uid) : NULL;
        if (m != NULL) {
            m->is_gone = true;
            m->is_dirty = false;
        }
    }
}

static void add(struct world *w, uint32_t uid)
{
    struct mailbox_entry entry = {uid, w->set[below(SETS)], below(3) == 0 ? 0 : w->next_modseq++};
    assert_int_equal(mailbox_add(w->mailbox, &entry), w->has[uid] ? STALE : OK);
    if (w->has[uid]) {
        return;
    }
    w->has[uid] = true;
    w->is[uid] = entry.flags;
    w->modseq[uid] = entry.modseq;
    w->high = uid > w->high ? uid : w->high;
    for (int i = 0; i < CLIENTS; i++) {
        struct believed *m = w->client[i].view != NULL ? find(&w->client[i], uid) : NULL;
        if (m != NULL) { /* it is the same message: back before its expunge was told */
            m->is_gone = false;
            m->is_dirty = true;
        }
    }
}

static void set_flags(struct world *w, uint32_t uid, uint32_t flags, uint64_t modseq)
{
    bool changed = false;
    assert_int_equal(mailbox_set_flags(w->mailbox, uid, flags, modseq, &changed),
                     w->has[uid] ? OK : NOT_FOUND);
    if (!w->has[uid]) {
        return;
    }
    assert_int_equal(changed, flags != w->is[uid]);
    if (changed) {
        naive_dirty(w, uid, 0);
    } else if (modseq != 0 && w->modseq[uid] != 0 && modseq != w->modseq[uid]) {
        naive_dirty(w, uid, VIEW_WANTS_MODSEQ);
    }
    w->is[uid] = flags;
    w->modseq[uid] = modseq != 0 ? modseq : w->modseq[uid];
}

static uint32_t some_uid(struct world *w)
{
    uint32_t count = mailbox_exists(w->mailbox);
    struct mailbox_entry entry;
    if (count == 0 || below(20) == 0) {
        return 1 + below(w->high + 1);
    }
    assert_true(mailbox_at(w->mailbox, 1 + below(count), &entry));
    return entry.uid;
}

static void remove_many(struct world *w)
{
    struct ranges set;
    ranges_init(&set, 0);
    for (uint32_t i = 1 + below(6); i > 0; i--) {
        uint32_t from = some_uid(w);
        ranges_add(&set, from, from + below(8));
    }
    uint32_t before = mailbox_exists(w->mailbox);
    uint32_t n = 0;
    bool retains = below(3) == 0;
    uint32_t limit = retains ? 1 + below(w->high + 2) : w->high + 1;
    if (retains) { /* most are to stay */
        ranges_reset(&set);
        ranges_add(&set, 1, w->high);
        for (uint32_t i = below(30); i > 0; i--) {
            uint32_t uid = some_uid(w);
            ranges_remove(&set, uid, uid);
        }
        n = mailbox_retain(w->mailbox, &set, limit);
    } else {
        n = mailbox_remove_set(w->mailbox, &set);
    }
    for (uint32_t uid = 1; uid < limit; uid++) {
        if (w->has[uid] && ranges_has(&set, uid) != retains) {
            naive_remove(w, uid);
        }
    }
    assert_int_equal(mailbox_exists(w->mailbox), before - n);
    ranges_fini(&set);
}

static void change_lists(struct world *w)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "(k%d)", ++w->lists);
    assert_int_equal(mailbox_set_flag_lists(w->mailbox, slice_str(text), SLICE("(\\*)")), OK);
    for (int i = 0; i < CLIENTS; i++) {
        w->client[i].lists_changed = true;
    }
}

/* --- clients ---------------------------------------------------------------------------------- */

static uint32_t take_recent(struct world *w, struct client *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        c->m[i].is_recent = c->m[i].is_recent || c->m[i].uid >= w->floor;
        n += c->m[i].is_recent;
    }
    if ((c->options & VIEW_CLAIMS_RECENT) != 0 && c->told >= w->floor) {
        w->floor = c->told + 1;
    }
    return n;
}

static void learn_new(struct world *w, struct client *c)
{
    for (uint32_t uid = c->told + 1; uid <= w->high; uid++) {
        if (w->has[uid]) {
            assert_true(c->n < ROOM);
            c->m[c->n++] = (struct believed){.uid = uid, .flags = w->is[uid]};
        }
    }
    c->told = w->high;
}

static bool holds_back(const struct world *w, struct client *c)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->m[i].is_gone) {
            return true;
        }
        live++;
    }
    return live != mailbox_rank(w->mailbox, c->told); /* some are hidden */
}

static void open_client(struct world *w, struct client *c)
{
    c->options = below(4);
    c->n = 0;
    c->told = 0;
    c->lists_changed = false;
    c->view = view_open(w->mailbox, c->options);
    learn_new(w, c);
    c->told_recent = take_recent(w, c);
    c->told_modseq = mailbox_synced_modseq(w->mailbox);
    assert_int_equal(view_recent(c->view), c->told_recent);
}

static void close_client(struct client *c)
{
    if (c->silent != NULL) {
        view_silent_cancel(&c->silent);
        ranges_fini(&c->store_uids);
    }
    view_close(&c->view);
}

/* EXPUNGE lines from the highest number down, as they would go over the wire. */
static void replay_expunges(struct world *w, struct client *c, bool allow_expunge)
{
    const struct ranges *msns = &w->changes.expunged_msns;
    uint64_t told = 0;
    for (size_t i = msns->n; i > 0; i--) {
        for (uint32_t msn = msns->at[i - 1].last; msn >= msns->at[i - 1].first; msn--) {
            assert_true(msn >= 1 && msn <= c->n);
            assert_true(c->m[msn - 1].is_gone);
            assert_true(ranges_has(&w->changes.vanished, c->m[msn - 1].uid));
            memmove(&c->m[msn - 1], &c->m[msn], (c->n - msn) * sizeof(c->m[0]));
            c->n--;
            told++;
        }
    }
    w->expunges += told;
    assert_int_equal(ranges_count(&w->changes.vanished), told);
    assert_true(allow_expunge || told == 0);
    for (uint32_t i = 0; i < c->n; i++) {
        assert_true(!allow_expunge || !c->m[i].is_gone);
    }
}

static void replay_flags(struct world *w, struct client *c)
{
    uint64_t n = 0;
    struct view_iter iter;
    struct view_message message;
    view_iter_init(&iter, c->view, &w->changes.flags);
    while (view_iter_next(&iter, &message)) {
        struct believed *m = &c->m[message.msn - 1];
        assert_true(message.msn <= c->n && m->uid == message.uid);
        assert_true(m->is_dirty && !message.is_vanished);
        assert_int_equal(message.flags, w->is[m->uid]);
        assert_int_equal(message.modseq, w->modseq[m->uid]);
        assert_int_equal(message.is_recent, m->is_recent);
        m->flags = message.flags;
        m->is_dirty = false;
        n++;
    }
    assert_int_equal(ranges_count(&w->changes.flags), n);
    for (uint32_t i = 0; i < c->n; i++) {
        assert_false(c->m[i].is_dirty);
        assert_true(c->m[i].is_gone || c->m[i].flags == w->is[c->m[i].uid]);
    }
}

static void get_changes(struct world *w, struct client *c, bool allow_expunge)
{
    struct view_key key;
    bool has_key = view_key(c->view, allow_expunge, &key);
    if (has_key && w->is_shared && view_key_equal(&key, &w->shared_key)) {
        view_sync_same(c->view, &key);
        w->shares++;
        return;
    }
    bool pending = view_has_pending(c->view, allow_expunge);
    view_sync(c->view, allow_expunge, &w->changes);
    assert_true(pending || view_changes_empty(&w->changes));
    w->shared_key = key;
    w->is_shared = has_key;
}

static void sync_client(struct world *w, struct client *c, bool allow_expunge)
{
    get_changes(w, c, allow_expunge);
    w->syncs++;
    replay_expunges(w, c, allow_expunge);
    uint32_t before = c->n;
    learn_new(w, c);
    assert_int_equal(w->changes.exists, c->n);
    assert_int_equal(w->changes.tells_exists, c->n > before);
    replay_flags(w, c);
    uint32_t recent = take_recent(w, c);
    assert_int_equal(w->changes.recent, recent);
    assert_int_equal(w->changes.tells_recent, recent != c->told_recent);
    c->told_recent = recent;
    assert_int_equal(w->changes.tells_flag_lists, c->lists_changed);
    c->lists_changed = false;
    if (!holds_back(w, c)) {
        c->told_modseq = mailbox_synced_modseq(w->mailbox);
    } else {
        w->held++;
    }
    assert_int_equal(w->changes.modseq, c->told_modseq);
    assert_int_equal(view_modseq(c->view), c->told_modseq);
    c->synced_since = true;
}

static void begin_store(struct world *w, struct client *c)
{
    ranges_init(&c->store_uids, 0);
    c->op = (enum flag_op)below(3);
    c->operand = w->set[below(SETS)];
    for (uint32_t i = below(6); i > 0; i--) {
        uint32_t uid = some_uid(w);
        ranges_add(&c->store_uids, uid, uid + below(5));
    }
    for (uint32_t i = 0; i < c->n; i++) {
        struct believed *m = &c->m[i];
        m->in_store = ranges_has(&c->store_uids, m->uid) && !m->is_gone;
        m->counts = m->in_store && !m->is_dirty;
        if (m->counts) {
            assert_int_equal(flags_apply(w->flags, w->is[m->uid], c->op, c->operand, &m->expected),
                             OK);
        }
    }
    c->silent = view_silent_begin(c->view, &c->store_uids, c->op, c->operand);
    c->synced_since = false;
}

/* The upstream does it, some time between begin and end. */
static void do_store(struct world *w, struct client *c)
{
    for (uint32_t uid = 1; uid <= w->high; uid++) {
        uint32_t flags;
        if (w->has[uid] && ranges_has(&c->store_uids, uid)) {
            assert_int_equal(flags_apply(w->flags, w->is[uid], c->op, c->operand, &flags), OK);
            set_flags(w, uid, flags, below(2) == 0 ? w->next_modseq++ : 0);
        }
    }
}

static void end_store(struct world *w, struct client *c)
{
    do_store(w, c);
    for (int i = (int)below(3); i > 0; i--) {
        set_flags(w, some_uid(w), w->set[below(SETS)], 0);
    }
    view_silent_end(&c->silent);
    for (uint32_t i = 0; i < c->n; i++) {
        struct believed *m = &c->m[i];
        if (!ranges_has(&c->store_uids, m->uid)) {
            continue;
        }
        assert_int_equal(flags_apply(w->flags, m->flags, c->op, c->operand, &m->flags), OK);
        if (c->synced_since) {
            m->is_dirty = !m->is_gone;
        } else if (m->in_store && m->counts && !m->is_gone && w->is[m->uid] == m->expected) {
            m->is_dirty = false;
        }
    }
    ranges_fini(&c->store_uids);
}

/* --- questions asked of a view ---------------------------------------------------------------- */

static void ask_one(struct world *w, struct client *c)
{
    assert_int_equal(view_count(c->view), c->n);
    assert_int_equal(view_last_uid(c->view), c->n > 0 ? c->m[c->n - 1].uid : 0);
    uint32_t uid = 1 + below(w->high + 3);
    uint32_t msn = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        msn = c->m[i].uid == uid ? i + 1 : msn;
    }
    assert_int_equal(view_msn_of(c->view, uid), msn);
    msn = below(c->n + 2);
    assert_int_equal(view_uid_of(c->view, msn),
                     msn > 0 && msn <= c->n ? c->m[msn - 1].uid : 0);
}

static void ask_all(struct world *w, struct client *c)
{
    struct view_iter iter;
    struct view_message m;
    view_iter_init(&iter, c->view, NULL);
    for (uint32_t i = 0; i < c->n; i++) {
        assert_true(view_iter_next(&iter, &m));
        assert_int_equal(m.uid, c->m[i].uid);
        assert_int_equal(m.msn, i + 1);
        assert_int_equal(m.is_vanished, c->m[i].is_gone);
        assert_int_equal(m.flags, m.is_vanished ? 0 : w->is[m.uid]);
        assert_int_equal(view_msn_of(c->view, m.uid), i + 1);
        assert_int_equal(view_uid_of(c->view, i + 1), m.uid);
    }
    assert_false(view_iter_next(&iter, &m));
}

/* The same as a set: live messages that have been told and have a number. */
static void ask_bitmap(struct client *c)
{
    struct view_iter iter;
    struct view_message m;
    uint64_t live = 0;
    struct bitmap *set = bitmap_create();
    bitmap_add(set, 0, 9); /* goes */
    view_bitmap(c->view, set);
    view_iter_init(&iter, c->view, NULL);
    while (view_iter_next(&iter, &m)) {
        assert_int_equal(bitmap_has(set, m.uid), !m.is_vanished);
        live += !m.is_vanished;
    }
    assert_int_equal(bitmap_count(set), live);
    bitmap_destroy(&set);
}

/* MSN set to UIDs to walk to MSNs again, over a view with held expunges and hidden messages. */
static void ask_sets(struct world *w, struct client *c)
{
    struct ranges msns;
    struct ranges uids;
    struct ranges back;
    ranges_init(&msns, 0);
    ranges_init(&uids, 0);
    ranges_init(&back, 0);
    for (uint32_t i = below(5); i > 0 && c->n > 0; i--) {
        ranges_add(&msns, 1 + below(c->n), 1 + below(c->n));
    }
    assert_int_equal(view_resolve_msns(c->view, &msns, &uids), OK);
    struct view_iter iter;
    struct view_message m;
    view_iter_init(&iter, c->view, &uids);
    uint64_t n = 0;
    for (; view_iter_next(&iter, &m); n++) {
        assert_true(ranges_has(&msns, m.msn));
        assert_int_equal(c->m[m.msn - 1].uid, m.uid);
    }
    assert_int_equal(n, ranges_count(&msns));
    struct ranges live;
    ranges_init(&live, 0);
    mailbox_scan_uids(w->mailbox, &uids, &live);
    for (uint32_t uid = 1; uid <= w->high; uid++) {
        assert_true(!ranges_has(&live, uid) || find(c, uid) != NULL);
    }
    view_msns_of(c->view, &uids, &back);
    assert_int_equal(ranges_count(&back), n);
    ranges_intersect(&msns, &back, &live);
    assert_int_equal(ranges_count(&live), n);
    ranges_fini(&msns);
    ranges_fini(&uids);
    ranges_fini(&back);
    ranges_fini(&live);
}

/* --- the run ---------------------------------------------------------------------------------- */

static void change_world(struct world *w)
{
    uint32_t dice = below(100);
    bool is_full = mailbox_exists(w->mailbox) > 150 || w->high > SPACE - 100;
    if (dice < 30 && !is_full) {
        add(w, w->high + 1 + (below(5) == 0 ? below(9) : 0));
    } else if (below(100) < w->mix.late_percent) {
        add(w, 1 + below(w->high + 1)); /* late, or back again */
    } else if (dice < 60) {
        uint32_t uid = some_uid(w);
        assert_int_equal(mailbox_remove(w->mailbox, uid), w->has[uid]);
        naive_remove(w, uid);
    } else if (dice < 62) {
        remove_many(w);
    } else if (dice < 97) {
        set_flags(w, some_uid(w), w->set[below(SETS)], below(2) == 0 ? w->next_modseq++ : 0);
    } else if (dice < 98) {
        change_lists(w);
    } else {
        mailbox_sync_point(w->mailbox);
    }
    w->is_shared = false;
}

static void use_client(struct world *w, struct client *c)
{
    uint32_t dice = below(100);
    if (c->view == NULL) {
        open_client(w, c);
    } else if (dice < 1) {
        close_client(c);
    } else if (dice < 40) {
        sync_client(w, c, below(3) > 0);
    } else if (dice < 60) {
        ask_one(w, c);
    } else if (dice < 62) {
        ask_all(w, c);
    } else if (dice < 66) {
        ask_sets(w, c);
        ask_bitmap(c);
    } else if (dice < 72 && c->n > 0) {
        struct believed *m = &c->m[below(c->n)];
        if (!m->is_gone && c->silent == NULL) {
            view_flags_told(c->view, m->uid);
            m->flags = w->is[m->uid];
            m->is_dirty = false;
        }
    } else if (dice < 80 && c->silent == NULL) {
        begin_store(w, c);
    } else if (dice < 90 && c->silent != NULL) {
        end_store(w, c);
        w->is_shared = false;
    }
}

static void sync_everybody(struct world *w)
{
    for (int i = 0; i < CLIENTS; i++) {
        if (w->client[i].view != NULL) {
            sync_client(w, &w->client[i], true);
        }
    }
}

static void make_world(struct world *w, struct mix mix)
{
    srand(mix.seed);
    memset(w, 0, sizeof(*w));
    w->mix = mix;
    w->mailbox = mailbox_create(mix.log_max);
    w->flags = mailbox_flags(w->mailbox);
    w->floor = mix.has_recent ? 1 : SPACE;
    mailbox_set_recent_floor(w->mailbox, w->floor);
    w->next_modseq = 1;
    view_changes_init(&w->changes);
    for (uint32_t i = 0; i < SETS; i++) {
        struct flag_list list = {.bits = (uint8_t)(1 << below(5))};
        if (i % 2 == 1) {
            assert_int_equal(flag_list_add(&list, w->flags, SLICE("$k")), OK);
        }
        assert_int_equal(flags_intern(w->flags, &list, &w->set[i]), OK);
    }
    for (uint32_t i = 0; i <= 64; i++) { /* keep all that can come up over sweeps */
        struct flag_list list = {.bits = (uint8_t)(i % 32)};
        uint32_t id;
        if (i >= 32) {
            assert_int_equal(flag_list_add(&list, w->flags, SLICE("$k")), OK);
        }
        assert_int_equal(flags_intern(w->flags, &list, &id), OK);
        flags_ref(w->flags, id, 1);
    }
}

static void run(struct world *w, struct mix mix)
{
    make_world(w, mix);
    for (int i = 0; i < OPERATIONS; i++) {
        if (below(400) == 0) {
            sync_everybody(w);
        } else if (below(2) == 0) {
            change_world(w);
        } else {
            use_client(w, &w->client[below(CLIENTS)]);
        }
    }
    sync_everybody(w);
    for (int i = 0; i < CLIENTS; i++) {
        close_client(&w->client[i]);
    }
    view_changes_fini(&w->changes);
    mailbox_destroy(&w->mailbox);
    print_message("seed %u log %zu: syncs %lu shared %lu expunges %lu held %lu\n", mix.seed,
                  mix.log_max, w->syncs, w->shares, w->expunges, w->held);
    assert_true(w->syncs > 10000 && w->expunges > 10000 && w->held > 1000);
    assert_true(mix.has_recent || w->shares > 100);
}

static void test_views_equal_naive_clients(void **state)
{
    (void)state;
    static struct world world;
    run(&world, (struct mix){.seed = 1, .log_max = 1, .late_percent = 10, .has_recent = true});
    run(&world, (struct mix){.seed = 2, .log_max = 16, .late_percent = 1, .has_recent = true});
    run(&world, (struct mix){.seed = 3, .log_max = 16});
    run(&world, (struct mix){.seed = 4, .log_max = 2});
    run(&world, (struct mix){.seed = 5, .has_recent = true});
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* another seed */
        static struct world world;
        unsigned seed = (unsigned)strtoul(argv[1], NULL, 10);
        run(&world, (struct mix){seed, 1U << seed % 8, seed % 3, seed % 2 == 0});
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_views_equal_naive_clients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
