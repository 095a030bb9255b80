/* How a model becomes true and stays so (design section 7, the ladder).
 *
 *   SELECT ── model of this UIDVALIDITY? ── no ──> UID FETCH 1:* (all of it)
 *                 │ yes, told modseq, uidnext and count as kept: nothing to ask
 *                 ├── QRESYNC    UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE m VANISHED)
 *                 ├── CONDSTORE  UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE m)
 *                 └── neither    UID FETCH 1:* (UID FLAGS), what is missing has vanished
 *          then, while the count differs:  UID SEARCH ALL, and once more UID FETCH for what is new
 *
 * A kept model is believed only if a sample of its messages still is what it was (identity check):
 * names are deleted and made again, and weak servers reuse UIDVALIDITY (protocol T6). */
#include <utlist.h>

#include "feed_p.h"
#include "base/alloc.h"
#include "base/log.h"
#include "imap/emit.h"
#include "model/uidset.h"
#include "store/record.h"

enum {
    HOLES_MAX = 500, /* runs of UIDs named in one command */
    SAMPLE_TRIES = 64,
    SAMPLE_KEPT = 4,
};

typedef void feed_done_fn(struct feed *feed, enum status st, const struct response *tagged);

/* --- the feed's own commands ------------------------------------------------------------------- */

static void cmd_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct feed_cmd *cmd = arg;
    struct feed *feed = cmd->feed;
    feed_done_fn *done = cmd->done;
    (void)was_sent;
    DL_DELETE(feed->cmds, cmd);
    alloc_free(cmd);
    feed__stir(feed);
    if (tagged != NULL) {
        done(feed, st, tagged);
    } /* else the link is lost, and feed__slot_lost() comes */
}

static bool cmd_untagged(void *arg, const struct response *response)
{
    struct feed_cmd *cmd = arg;
    struct feed *feed = cmd->feed;
    if (response->kind == RESPONSE_SEARCH && cmd->wants_search) {
        uint64_t modseq;
        struct ranges more;
        ranges_init(&more, 0);
        if (respdata_search(response, &more, &modseq) == OK) {
            /* From here on EXISTS and EXPUNGE count from what the line says: they may come before
             * the tagged OK and are not said twice. */
            ranges_add_all(&feed->seen, &more);
            feed->exists = (uint32_t)ranges_count(&feed->seen);
            feed->lost_count = false;
            feed->has_search = true;
        }
        ranges_fini(&more);
        return true;
    }
    if (response->kind == RESPONSE_FETCH && cmd->is_check) {
        feed__check_answer(feed, response);
        return false;
    }
    return false;
}

static const struct upcmd_ops cmd_ops = {.untagged = cmd_untagged, .done = cmd_done};

static struct feed_cmd *send_kind(struct feed *feed, struct outcmd *text, unsigned flags,
                                  feed_done_fn *done)
{
    struct feed_cmd *cmd = alloc_zero(sizeof(*cmd));
    cmd->feed = feed;
    cmd->done = done;
    DL_APPEND(feed->cmds, cmd);
    cmd->upcmd = link_send(feed->slot->link, text, flags, 0, &cmd_ops, cmd);
    outcmd_fini(text);
    return cmd;
}

static struct feed_cmd *send(struct feed *feed, struct outcmd *text, feed_done_fn *done)
{
    return send_kind(feed, text, 0, done);
}

static struct feed_cmd *send_text(struct feed *feed, const char *text, feed_done_fn *done)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, text);
    return send(feed, &cmd, done);
}

/* Does this NO speak of the mailbox, rather than of the moment? */
static bool is_final(enum status why, const struct response *tagged)
{
    return why == DENIED && tagged != NULL &&
           (tagged->code == CODE_NONE || tagged->code == CODE_NONEXISTENT ||
            tagged->code == CODE_NOPERM || tagged->code == CODE_TRYCREATE ||
            tagged->code == CODE_CANNOT);
}

/* The mailbox cannot be had: its link is free for others. */
static void give_up(struct feed *feed, enum status why, const struct response *tagged)
{
    struct slot *slot = feed->slot;
    bool is_gone = is_final(why, tagged);
    struct buf text;
    buf_init(&text, 4096);
    if (tagged != NULL) {
        emit_relayed(&text, tagged);
    }
    feed->slot = NULL;
    feed->state = FEED_DOWN;
    feed__drop_cmds(feed);
    timer_stop(feed->timer);
    slot__set_role(slot, SLOT_SPARE, NULL);
    feed__open_failed(feed, why, buf_slice(&text));
    feed__refreshes_done(feed, NETWORK);
    request__fail_waiting(&feed->waiting, NETWORK);
    buf_fini(&text);
    if (feed->users != NULL && is_gone) {
        feed__end(feed, "[UNAVAILABLE] The mailbox can no longer be opened");
        return;
    }
    feed__check_use(feed);
    request__dispatch_all(feed->account);
}

/* --- SEARCH ALL: the last word on what there is ------------------------------------------------- */

static void after_scan(struct feed *feed);
static void fetch_all(struct feed *feed);
static void fetch_holes(struct feed *feed);

static void search_done(struct feed *feed, enum status st, const struct response *tagged)
{
    if (st != OK) {
        give_up(feed, st, tagged);
        return;
    }
    if (!feed->has_search && feed->exists > 0) {
        after_scan(feed); /* it has told nothing */
        return;
    }
    struct ranges present;
    ranges_init(&present, 0);
    feed__remove_unseen(feed);
    mailbox_scan_uids(feed->mailbox, NULL, &present);
    ranges_subtract(&feed->seen, &present);
    ranges_fini(&present);
    if (ranges_empty(&feed->seen)) {
        after_scan(feed);
    } else if (feed->seen.n > HOLES_MAX) {
        fetch_all(feed);
    } else {
        fetch_holes(feed);
    }
}

static void search_all(struct feed *feed)
{
    ranges_reset(&feed->seen);
    feed->has_search = false;
    if (feed->state == FEED_LIVE) {
        feed->vanished_modseq = UINT64_MAX; /* when what may be missing went is not known */
    }
    feed->state = FEED_SYNCING;
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID SEARCH ALL");
    send_kind(feed, &cmd, UPCMD_SEARCHES, search_done)->wants_search = true;
}

/* --- UID FETCH ---------------------------------------------------------------------------------- */

/* Messages that we know were left out of a scan, although by its own count the server has more than
 * it has told of: not to be read as their end (some servers cut long answers). */
static bool is_cut_short(const struct feed *feed)
{
    uint64_t told = ranges_count(&feed->seen);
    return told < feed->exists && told < mailbox_exists(feed->mailbox);
}

static void fetch_done(struct feed *feed, enum status st, const struct response *tagged)
{
    if (st != OK) {
        give_up(feed, st, tagged);
        return;
    }
    if (feed->is_scanning && is_cut_short(feed)) {
        feed->lost_count = true; /* SEARCH ALL decides */
    } else if (feed->is_scanning) {
        feed__remove_unseen(feed);
    }
    feed->is_scanning = false;
    ranges_reset(&feed->seen);
    feed->is_filling_holes = false;
    feed->is_fill = false;
    after_scan(feed);
}

static const char *flag_items(const struct feed *feed)
{
    return feed->has_modseq ? " (UID FLAGS MODSEQ)" : " (UID FLAGS)";
}

static void fetch_all(struct feed *feed)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID FETCH 1:*");
    outcmd_str(&cmd, flag_items(feed));
    feed->is_scanning = true;
    feed->lost_count = false; /* unless an EXPUNGE comes in between */
    feed->is_fill = mailbox_exists(feed->mailbox) == 0 && feed->users == NULL;
    ranges_reset(&feed->seen);
    (void)send(feed, &cmd, fetch_done);
}

static void fetch_holes(struct feed *feed)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID FETCH ");
    outcmd_ranges(&cmd, &feed->seen);
    outcmd_str(&cmd, flag_items(feed));
    feed->is_filling_holes = true;
    (void)send(feed, &cmd, fetch_done);
}

static void fetch_changes(struct feed *feed)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE ");
    outcmd_u64(&cmd, mailbox_synced_modseq(feed->mailbox));
    outcmd_str(&cmd, link_has_qresync(feed->slot->link) ? " VANISHED)" : ")");
    feed->is_fetching_new = true;
    (void)send(feed, &cmd, fetch_done);
}

static void new_done(struct feed *feed, enum status st, const struct response *tagged)
{
    feed->is_fetching_new = false;
    if (st != OK) {
        give_up(feed, st, tagged);
        return;
    }
    feed__tagged_ok(feed, tagged);
    if (feed__count_is_true(feed)) {
        feed->syncs_failed = 0;
        feed__settle(feed);
    } else if (++feed->syncs_failed >= 2) {
        feed->lost_count = true;
    }
}

static void send_fetch_new(struct feed *feed, feed_done_fn *done)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID FETCH ");
    outcmd_u64(&cmd, (uint64_t)mailbox_last_uid(feed->mailbox) + 1);
    outcmd_str(&cmd, ":*");
    outcmd_str(&cmd, flag_items(feed));
    feed->is_fetching_new = true;
    (void)send(feed, &cmd, done);
}

void feed__fetch_new(struct feed *feed)
{
    if (feed->told_uidvalidity != mailbox_uidvalidity(feed->mailbox)) {
        feed__end(feed, "[UNAVAILABLE] UIDVALIDITY changed");
        return;
    }
    if (feed->is_fetching_new) {
        return;
    }
    bool is_new_mail = !feed->lost_count && feed->exists > mailbox_exists(feed->mailbox) &&
                       mailbox_last_uid(feed->mailbox) < UINT32_MAX;
    if (is_new_mail) {
        send_fetch_new(feed, new_done);
    } else if (feed->lost_flags) {
        stats_add(feed->account->accounts->env.stats, STAT_resyncs, 1);
        feed->state = FEED_SYNCING;
        fetch_all(feed);
    } else {
        stats_add(feed->account->accounts->env.stats, STAT_resyncs, 1);
        search_all(feed);
    }
}

/* --- is it still the same mailbox? --------------------------------------------------------------- */

/* Of the first, the last and some others those whose date is kept: they can be compared. */
static size_t sample_kept(const struct feed *feed, struct ranges *out)
{
    struct store *store = feed->account->accounts->env.store;
    const struct record_key key = record_key_of(SLICE("INTERNALDATE"));
    uint32_t n = mailbox_exists(feed->mailbox);
    uint32_t random[SAMPLE_TRIES];
    struct store_walk walk;
    secret_random(random, sizeof(random));
    store_read_begin(store);
    store_walk_begin(store, feed->store_id, &walk);
    random[0] = 0;
    random[1] = n - 1;
    size_t found = 0;
    for (size_t i = 0; n > 0 && i < SAMPLE_TRIES && found < SAMPLE_KEPT; i++) {
        struct mailbox_entry entry;
        struct record record;
        struct slice date;
        if (mailbox_at(feed->mailbox, 1 + random[i] % n, &entry) &&
            store_walk_to(&walk, entry.uid, &record) && record_find(&record, &key, &date)) {
            ranges_add(out, entry.uid, entry.uid);
            found++;
        }
    }
    store_walk_end(&walk);
    store_read_end(store);
    return found;
}

static size_t sample_uids(const struct feed *feed, struct ranges *out)
{
    uint32_t n = mailbox_exists(feed->mailbox);
    uint32_t random;
    struct mailbox_entry entry;
    size_t kept_n = sample_kept(feed, out);
    secret_random(&random, sizeof(random));
    const uint32_t ranks[] = {1, n, n > 0 ? 1 + random % n : 0, n > 0 ? 1 + random / 7 % n : 0,
                              n > 0 ? 1 + random / 31 % n : 0};
    for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++) {
        if (mailbox_at(feed->mailbox, ranks[i], &entry)) {
            ranges_add(out, entry.uid, entry.uid);
        }
    }
    return kept_n;
}

/* Compare with what is kept; keep it when nothing is, for the next time. */
static void compare_kept(struct feed *feed, uint32_t uid, struct slice key, struct slice value)
{
    struct store *store = feed->account->accounts->env.store;
    const struct record_key record_key = record_key_of(key);
    struct store_walk walk;
    struct record record;
    struct slice kept;
    bool is_kept = false;
    store_read_begin(store);
    store_walk_begin(store, feed->store_id, &walk);
    if (store_walk_to(&walk, uid, &record) && record_find(&record, &record_key, &kept)) {
        is_kept = true;
        feed->has_compared = true;
        feed->check_failed = feed->check_failed || !slice_eq(kept, value);
    }
    store_walk_end(&walk);
    store_read_end(store);
    if (!is_kept && !feed->check_failed &&
        store_item_put(store, feed->store_id, uid, key, value) != OK) {
        LOG(LOG_DEBUG, "feed", "msg=\"sample not kept\"");
    }
}

void feed__check_answer(struct feed *feed, const struct response *response)
{
    struct respfetch it;
    struct respfetch_item item;
    uint64_t uid = 0;
    struct slice date = {0}, size = {0};
    respfetch_init(&it, response);
    while (respfetch_next(&it, &item) == OK) {
        if (item.kind == FETCH_UID) {
            (void)respfetch_number(&item, &uid);
        } else if (respfetch_is_filler(&item)) {
            return; /* of a message that has just gone (T1) */
        } else if (item.kind == FETCH_INTERNALDATE) {
            date = item.value.raw;
        } else if (item.kind == FETCH_RFC822_SIZE) {
            size = item.value.raw;
        }
    }
    if (uid > 0 && uid <= UINT32_MAX && date.len > 0 && size.len > 0) {
        compare_kept(feed, (uint32_t)uid, SLICE("INTERNALDATE"), date);
        compare_kept(feed, (uint32_t)uid, SLICE("RFC822.SIZE"), size);
    }
}

static void drop_records(struct feed *feed)
{
    struct account *account = feed->account;
    LOG(LOG_WARN, "feed", "msg=\"another mailbox under the same name, cache dropped\" account=%s "
                          "mailbox=%s", account->name, LOG_Q(feed_name(feed)));
    store_mailbox_drop(account->accounts->env.store, slice_of(account->key, account->key_len),
                       feed_name(feed));
}

/* The model is of another mailbox; false: those who look at it have been sent away, and the feed is
 * gone. */
static bool forget_model(struct feed *feed)
{
    if (feed->users != NULL) {
        feed__end(feed, "[UNAVAILABLE] UIDVALIDITY changed");
        return false;
    }
    feed->has_model = false;
    request__forget_selection(feed);
    if (feed->plan != NULL) {
        plan_destroy(&feed->plan);
    }
    return true;
}

static void after_select(struct feed *feed);
static void after_scan(struct feed *feed);

static void check_done(struct feed *feed, enum status st, const struct response *tagged)
{
    if (st != OK) {
        give_up(feed, st, tagged);
        return;
    }
    if (!feed->check_failed) {
        /* None of them is there any more: what is left is looked at once it is known. */
        feed->must_check = feed->can_compare && !feed->has_compared;
        after_select(feed);
        return;
    }
    drop_records(feed);
    if (forget_model(feed)) {
        feed__load(feed, feed->told_uidvalidity);
        after_select(feed);
    }
}

/* The same, of a model that is true. */
static void last_check_done(struct feed *feed, enum status st, const struct response *tagged)
{
    if (st == OK && !feed->check_failed) {
        after_scan(feed);
    } else {
        check_done(feed, st, tagged);
    }
}

/* False: there is nothing to look at. */
static bool check_identity(struct feed *feed, feed_done_fn *done)
{
    struct ranges uids;
    struct outcmd cmd;
    ranges_init(&uids, 0);
    feed->can_compare = sample_uids(feed, &uids) > 0;
    bool is_asking = !ranges_empty(&uids);
    if (is_asking) {
        outcmd_init(&cmd);
        outcmd_str(&cmd, "UID FETCH ");
        outcmd_ranges(&cmd, &uids);
        outcmd_str(&cmd, " (UID INTERNALDATE RFC822.SIZE)");
        feed->check_failed = false;
        feed->has_compared = false;
        send(feed, &cmd, done)->is_check = true;
    }
    ranges_fini(&uids);
    return is_asking;
}

/* --- SELECT -------------------------------------------------------------------------------------- */

static void go_live(struct feed *feed)
{
    bool must_check = feed->must_check;
    feed->must_check = false;
    if (!must_check || !check_identity(feed, last_check_done)) {
        feed__live(feed);
    }
}

static void after_scan(struct feed *feed)
{
    feed->is_fetching_new = false;
    if (feed__count_is_true(feed)) {
        go_live(feed);
    } else if (!feed->lost_count && feed->exists > mailbox_exists(feed->mailbox) &&
               feed->syncs_failed == 0) {
        feed->syncs_failed++;
        send_fetch_new(feed, fetch_done);
    } else if (feed->syncs_failed < 4) {
        feed->syncs_failed++;
        search_all(feed);
    } else {
        LOG(LOG_ERROR, "feed", "msg=\"the server's count and its messages differ\" account=%s "
                               "mailbox=%s", feed->account->name, LOG_Q(feed_name(feed)));
        feed->exists = mailbox_exists(feed->mailbox);
        feed->lost_count = false;
        feed__live(feed);
    }
}

static bool is_unchanged(const struct feed *feed)
{
    return feed->has_modseq && feed->told_modseq == mailbox_synced_modseq(feed->mailbox) &&
           feed->told_uidnext == mailbox_uidnext(feed->mailbox) &&
           feed->exists == mailbox_exists(feed->mailbox);
}

/* UIDNEXT fell, or the id of the mailbox is another: not what was kept. */
static bool is_other_mailbox(const struct feed *feed)
{
    struct slice kept_id = mailbox_id(feed->mailbox);
    return (feed->told_uidnext != 0 && feed->told_uidnext < mailbox_uidnext(feed->mailbox)) ||
           (kept_id.len > 0 && feed->told_id.len > 0 &&
            !slice_eq(kept_id, buf_slice(&feed->told_id)));
}

/* The model that goes with this UIDVALIDITY; true: a kept one that is yet to be checked. */
static bool adopt_uidvalidity(struct feed *feed)
{
    if (feed->has_model) {
        return false;
    }
    feed__load(feed, feed->told_uidvalidity);
    if (feed->has_model && is_other_mailbox(feed)) {
        drop_records(feed);
        feed->has_model = false;
        feed__load(feed, feed->told_uidvalidity);
    }
    return feed->has_model;
}

static void after_select(struct feed *feed)
{
    if (mailbox_set_flag_lists(feed->mailbox, buf_slice(&feed->told_flags),
                               buf_slice(&feed->told_permanent)) != OK) {
        LOG(LOG_WARN, "feed", "msg=\"flag lists too long\" account=%s", feed->account->name);
    }
    if (feed->told_id.len > 0 &&
        mailbox_set_id(feed->mailbox, buf_slice(&feed->told_id)) != OK) {
        LOG(LOG_WARN, "feed", "msg=\"MAILBOXID too long\" account=%s", feed->account->name);
    }
    if (feed->exists == 0 && !feed->lost_count) {
        ranges_reset(&feed->seen);
        feed__remove_unseen(feed);
        go_live(feed);
    } else if (!feed->has_model) {
        fetch_all(feed);
    } else if (is_unchanged(feed)) {
        go_live(feed);
    } else if (feed->has_modseq && mailbox_synced_modseq(feed->mailbox) > 0) {
        fetch_changes(feed);
    } else {
        fetch_all(feed);
    }
}

static void select_done(struct feed *feed, enum status st, const struct response *tagged)
{
    if (st != OK) {
        give_up(feed, st, tagged);
        return;
    }
    feed->is_selecting = false;
    feed->is_writable = tagged->code != CODE_READ_ONLY;
    feed->has_modseq = feed->told_modseq > 0;
    feed->vanished_modseq = feed->told_modseq;
    if (feed->told_uidvalidity == 0) {
        feed->told_uidvalidity = 1; /* T5: some servers have none; nothing can be told apart */
    }
    bool is_other = feed->has_model && is_other_mailbox(feed);
    if (is_other && feed->told_uidvalidity == mailbox_uidvalidity(feed->mailbox)) {
        drop_records(feed);
    }
    if (is_other || (feed->has_model &&
                     feed->told_uidvalidity != mailbox_uidvalidity(feed->mailbox))) {
        if (!forget_model(feed)) {
            return;
        }
    }
    bool is_kept = feed->has_model || adopt_uidvalidity(feed);
    if (feed->store_id == 0) {
        give_up(feed, LIMIT, NULL); /* without an id of its own nothing could be told apart */
    } else if (!is_kept || !check_identity(feed, check_done)) {
        after_select(feed);
    }
}

void feed__select(struct feed *feed)
{
    struct outcmd cmd;
    feed->state = FEED_SYNCING;
    feed->exists = 0;
    feed->told_uidvalidity = 0;
    feed->told_uidnext = 0;
    feed->told_modseq = 0; /* has_modseq stays what it was until the answer is here */
    feed->is_selecting = true;
    feed->must_check = false;
    feed->wants_recheck = false;
    feed->is_scanning = false;
    feed->is_fill = false;
    feed->is_filling_holes = false;
    feed->is_fetching_new = false;
    feed->lost_count = false;
    feed->lost_flags = false;
    feed->rescans_n = 0;
    feed->is_probing = false;
    feed->syncs_failed = 0;
    buf_reset(&feed->told_flags);
    buf_reset(&feed->told_permanent);
    buf_reset(&feed->told_id);
    struct refresh_request *request;
    DL_FOREACH(feed->refreshes, request) {
        request->is_asked = true;
    }
    outcmd_init(&cmd);
    outcmd_str(&cmd, "SELECT ");
    outcmd_mailbox(&cmd, feed_name(feed));
    if (link_has_condstore(feed->slot->link)) {
        outcmd_str(&cmd, " (CONDSTORE)");
    }
    (void)send(feed, &cmd, select_done);
}

/* --- probe ---------------------------------------------------------------------------------------- */

static void probe_done(struct feed *feed, enum status st, const struct response *tagged)
{
    feed->is_probing = false;
    if (st != OK) {
        give_up(feed, st, tagged);
        return;
    }
    feed__tagged_ok(feed, tagged);
    feed__settle(feed);
}

void feed__probe(struct feed *feed)
{
    struct refresh_request *request;
    if (feed->is_probing) {
        return;
    }
    feed->wants_probe = false;
    feed->is_probing = true;
    DL_FOREACH(feed->refreshes, request) {
        request->is_asked = true;
    }
    (void)send_text(feed, "NOOP", probe_done);
}
