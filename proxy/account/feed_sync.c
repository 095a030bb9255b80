/* How a model becomes true and stays so (design section 7, the ladder).
 *
 *   SELECT ── model of this UIDVALIDITY? ── no ──> large: feed_map.c; else UID FETCH 1:*
 *                 │ yes, told modseq, uidnext and count as kept: nothing to ask
 *                 ├── QRESYNC    SELECT (QRESYNC ...) has told it (feed_stash.c), else
 *                 │              UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE m VANISHED)
 *                 ├── CONDSTORE  UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE m)
 *                 └── neither    UID FETCH 1:* (UID FLAGS), what is missing has vanished
 *          then, while the count differs:  feed_runs.c when there are fewer than the model has, UID
 *          SEARCH ALL, and once more UID FETCH for what is new
 *
 * Whoever opens the mailbox is answered as soon as SELECT is (feed_early.c).  A kept model has to pass
 * feed_check.c first. */
#include <utlist.h>

#include "feed_sync_p.h"
#include "searches_p.h"
#include "base/alloc.h"
#include "base/log.h"
#include "imap/emit.h"
#include "model/uidset.h"

enum {
    HOLES_MAX = 500,        /* runs of UIDs named in one command */
    SEARCH_RUNS_FROM = 500, /* messages: ESEARCH names runs */
};

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

static void take_status(struct feed *feed, const struct response *response)
{
    struct arena arena;
    struct slice mailbox;
    struct status_values values;
    arena_init(&arena, 64 * 1024);
    if (respdata_status(response, &arena, &mailbox, &values) == OK &&
        slice_eq_nocase(mailbox, feed_name(feed)) && (values.has & STATUS_ITEM_UIDNEXT) != 0) {
        feed->told_uidnext = values.uidnext;
    }
    arena_reset(&arena);
}

/* The answer to SEARCH ALL, with or without RETURN. */
static void take_search(struct feed *feed, const struct response *response)
{
    struct respdata_esearch answer;
    uint64_t modseq;
    struct ranges more;
    ranges_init(&more, 0);
    bool is_told = response->kind == RESPONSE_SEARCH
                       ? respdata_search(response, &more, &modseq) == OK
                       : respdata_esearch(response, &answer, &more) == OK && answer.has_all;
    if (is_told) {
        /* From here on EXISTS and EXPUNGE count from what the line says: they may come before
         * the tagged OK and are not said twice. */
        ranges_unite(&feed->seen, &more);
        feed->exists = (uint32_t)ranges_count(&feed->seen);
        feed->lost_count = false;
        feed->has_search = true;
    }
    ranges_fini(&more);
}

static bool cmd_untagged(void *arg, const struct response *response)
{
    struct feed_cmd *cmd = arg;
    struct feed *feed = cmd->feed;
    bool is_search = response->kind == RESPONSE_SEARCH ||
                     (response->kind == RESPONSE_ESEARCH &&
                      upcmd_has_tag(cmd->upcmd, respdata_esearch_tag(response)));
    if (is_search && cmd->wants_search) {
        take_search(feed, response);
        return true;
    }
    if (is_search && cmd->search != NULL && response->kind == RESPONSE_ESEARCH) {
        feed__map_answer(feed, cmd->search, response);
        return true;
    }
    if (is_search && cmd->search != NULL && feed->map->n == 1) {
        return feed__map_plain(feed, cmd->search, response);
    }
    if (response->kind == RESPONSE_STATUS && cmd->is_status) {
        take_status(feed, response);
        return true;
    }
    if (response->kind == RESPONSE_FETCH && cmd->is_check) {
        feed__check_answer(feed, response);
        return false;
    }
    return false;
}

static const struct upcmd_ops cmd_ops = {.untagged = cmd_untagged, .done = cmd_done};

struct feed_cmd *feed__send(struct feed *feed, struct outcmd *text, unsigned flags,
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
    return feed__send(feed, text, 0, done);
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
void feed__give_up(struct feed *feed, enum status why, const struct response *tagged)
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
    feed->place.is_yielding = false;
    feed->place.syncs_lost_n = feed->place.syncs_lost_n < FEED_LOSSES_MAX ? FEED_LOSSES_MAX
                                                              : feed->place.syncs_lost_n + 1;
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
    feed__wake_users(feed);
    request__dispatch_all(feed->account);
}

/* --- SEARCH ALL: the last word on what there is ------------------------------------------------- */

static void fetch_holes(struct feed *feed);

static void search_done(struct feed *feed, enum status st, const struct response *tagged)
{
    if (st != OK) {
        feed__give_up(feed, st, tagged);
        return;
    }
    if ((!feed->has_search && feed->exists > 0) || tagged->code == CODE_MESSAGELIMIT) {
        feed->lost_count = true;
        feed__after_scan(feed); /* it has told nothing, or not all (RFC 9738) */
        return;
    }
    struct ranges present;
    ranges_init(&present, 0);
    feed__remove_unseen(feed);
    mailbox_scan_uids(feed->mailbox, NULL, &present);
    ranges_subtract(&feed->seen, &present);
    ranges_fini(&present);
    if (ranges_empty(&feed->seen)) {
        feed__after_scan(feed);
    } else if (feed->seen.n > HOLES_MAX) {
        feed__fetch_all(feed);
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
    feed->is_mapped = false;
    const struct capabilities *caps = link_capabilities(feed->slot->link);
    if (caps->messagelimit > 0 && feed->exists > caps->messagelimit) {
        feed__fetch_all(feed); /* no answer may name so many */
        return;
    }
    bool has_runs = capability_has(caps, CAP_ESEARCH) && !feed->esearch_is_poor &&
                    feed->exists >= SEARCH_RUNS_FROM;
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, has_runs ? "UID SEARCH RETURN (ALL) ALL" : "UID SEARCH ALL");
    feed__send(feed, &cmd, has_runs ? UPCMD_RETURNS : UPCMD_SEARCHES | UPCMD_SEARCH_LINES, search_done)
        ->wants_search = true;
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
        feed__give_up(feed, st, tagged);
        return;
    }
    if (feed->is_scanning && !feed->is_mapped && is_cut_short(feed)) {
        feed->lost_count = true; /* SEARCH ALL decides */
    } else if (feed->is_scanning && !feed->is_mapped) {
        feed__remove_unseen(feed);
    }
    feed->is_scanning = false;
    ranges_reset(&feed->seen);
    feed__remove_earlier(feed);
    feed->is_filling_holes = false;
    feed->is_fill = false;
    feed__after_scan(feed);
}

static const char *flag_items(const struct feed *feed)
{
    return feed->has_modseq ? " (UID FLAGS MODSEQ)" : " (UID FLAGS)";
}

static void send_window(struct feed *feed);
static bool has_window(const struct feed *feed);

static bool has_views(const struct feed *feed)
{
    const struct feed_user *user;
    bool some = false;
    DL_FOREACH(feed->users, user) {
        some = some || !user->is_early;
    }
    return some;
}

static void window_done(struct feed *feed, enum status st, const struct response *tagged)
{
    feed->windows_n--;
    if (st != OK) {
        feed__give_up(feed, st, tagged);
    } else if (!feed->lost_count && has_window(feed)) {
        send_window(feed);
    } else if (feed->windows_n == 0) {
        fetch_done(feed, st, tagged);
    }
}

static uint32_t window_size(const struct feed *feed)
{
    uint64_t most = link_capabilities(feed->slot->link)->messagelimit; /* RFC 9738 */
    return most > 0 && most < FEED_WINDOW ? (uint32_t)most : FEED_WINDOW;
}

/* By number: a window of UIDs might hold any number of messages. */
static void write_numbers(struct feed *feed, struct outcmd *cmd)
{
    uint32_t left = feed->exists - feed->window_at;
    uint32_t n = window_size(feed) < left ? window_size(feed) : left;
    outcmd_str(cmd, "FETCH ");
    outcmd_u64(cmd, (uint64_t)feed->window_at + 1);
    outcmd_str(cmd, ":");
    outcmd_u64(cmd, (uint64_t)feed->window_at + n);
    feed->window_at += n;
}

/* By the UIDs of so many messages: they are known, and numbers may change between two windows. */
static void write_uids(struct feed *feed, struct outcmd *cmd)
{
    struct mailbox_entry entry = {.uid = mailbox_last_uid(feed->mailbox)};
    uint32_t first = feed->window_at + 1;
    (void)mailbox_at(feed->mailbox, mailbox_rank(feed->mailbox, feed->window_at) + window_size(feed),
                     &entry);
    outcmd_str(cmd, "UID FETCH ");
    outcmd_u64(cmd, first);
    outcmd_str(cmd, ":");
    outcmd_u64(cmd, entry.uid > first ? entry.uid : first);
    feed->window_at = entry.uid;
}

static bool has_window(const struct feed *feed)
{
    return feed->window_at < (feed->is_mapped ? mailbox_last_uid(feed->mailbox) : feed->exists);
}

static void send_window(struct feed *feed)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    if (feed->is_mapped) {
        write_uids(feed, &cmd);
    } else {
        write_numbers(feed, &cmd);
    }
    outcmd_str(&cmd, flag_items(feed));
    feed->windows_n++;
    (void)feed__send(feed, &cmd, 0, window_done);
}

void feed__fetch_all(struct feed *feed)
{
    struct outcmd cmd;
    feed->is_scanning = true;
    feed->lost_count = false; /* unless an EXPUNGE comes in between */
    feed->lost_flags = false;
    feed->is_fill = mailbox_exists(feed->mailbox) == 0 && !has_views(feed);
    ranges_reset(&feed->seen);
    if (feed->exists > window_size(feed)) {
        feed->window_at = 0;
        send_window(feed);
        if (has_window(feed)) {
            send_window(feed); /* so that the line is not idle between two */
        }
        return;
    }
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID FETCH 1:*");
    outcmd_str(&cmd, flag_items(feed));
    (void)feed__send(feed, &cmd, 0, fetch_done);
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
        feed__give_up(feed, st, tagged);
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
        feed__fetch_all(feed);
    } else {
        stats_add(feed->account->accounts->env.stats, STAT_resyncs, 1);
        search_all(feed);
    }
}

/* --- SELECT -------------------------------------------------------------------------------------- */

static void go_live(struct feed *feed)
{
    bool must_check = feed->must_check;
    feed->must_check = false;
    if (!must_check || !feed__last_check(feed)) {
        feed__live(feed);
    }
}

void feed__after_scan(struct feed *feed)
{
    feed->is_fetching_new = false;
    if (feed__count_is_true(feed)) {
        go_live(feed);
    } else if (feed__find_runs(feed)) {
        return;
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

/* The id of the mailbox is another: not what was kept. */
static bool has_other_id(const struct feed *feed)
{
    struct slice kept_id = mailbox_id(feed->mailbox);
    return kept_id.len > 0 && feed->told_id.len > 0 &&
           !slice_eq(kept_id, buf_slice(&feed->told_id));
}

/* UIDs do not fall: either it is another mailbox, or the server does not know what it says. */
static bool uidnext_fell(const struct feed *feed)
{
    return feed->told_uidnext != 0 && feed->told_uidnext < mailbox_uidnext(feed->mailbox);
}

/* What the link has told of the mailbox as such. */
static void take_facts(struct feed *feed)
{
    if (mailbox_set_flag_lists(feed->mailbox, buf_slice(&feed->told_flags),
                               buf_slice(&feed->told_permanent)) != OK) {
        LOG(LOG_WARN, "feed", "msg=\"flag lists too long\" account=%s", feed->account->name);
    }
    if (feed->told_id.len > 0 &&
        mailbox_set_id(feed->mailbox, buf_slice(&feed->told_id)) != OK) {
        LOG(LOG_WARN, "feed", "msg=\"MAILBOXID too long\" account=%s", feed->account->name);
    }
}

/* Numbers and flags anew: by SEARCH where that pays. */
static void scan(struct feed *feed)
{
    uint32_t from = feed->account->upstream->search_map_from;
    if (from == 0 || feed->exists < from || !feed__map(feed)) {
        feed__fetch_all(feed);
    }
}

void feed__go_on(struct feed *feed)
{
    take_facts(feed);
    if (feed->exists == 0 && !feed->lost_count) {
        ranges_reset(&feed->seen);
        feed__remove_unseen(feed);
        go_live(feed);
    } else if (feed->knows < FEED_KNOWS_FLAGS) {
        scan(feed);
    } else if (feed__unstash(feed)) {
        feed__remove_earlier(feed);
        feed__after_scan(feed);
    } else if (is_unchanged(feed)) {
        go_live(feed);
    } else if (feed->has_modseq && mailbox_synced_modseq(feed->mailbox) > 0) {
        fetch_changes(feed);
    } else {
        scan(feed);
    }
}

/* The model that goes with what SELECT has told; false: it cannot be had. */
static bool settle_model(struct feed *feed)
{
    if (feed->knows == FEED_KNOWS_NOTHING && mailbox_exists(feed->mailbox) == 0) {
        feed__load(feed, feed->told_uidvalidity);
    } else if (feed->told_uidvalidity != mailbox_uidvalidity(feed->mailbox)) {
        return feed__forget_model(feed);
    }
    if (feed->knows != FEED_KNOWS_NOTHING && has_other_id(feed)) {
        feed__drop_records(feed);
        return feed__forget_model(feed);
    }
    if (feed->store_id == 0) {
        feed__give_up(feed, LIMIT, NULL); /* without an id of its own nothing could be told apart */
    }
    return feed->store_id != 0;
}

/* With UIDVALIDITY and UIDNEXT known: is there a model of this mailbox?  Who waits is answered. */
static void begin_sync(struct feed *feed)
{
    feed__send_away(feed, feed->told_uidvalidity, false);
    if (!settle_model(feed)) {
        return;
    }
    bool is_kept = feed->knows != FEED_KNOWS_NOTHING;
    feed->must_prove = is_kept && uidnext_fell(feed);
    if (feed->must_prove) {
        searches__forget(feed);
        orders__drop(feed);
    }
    take_facts(feed);
    if (!is_kept && feed->exists >= FEED_UNKNOWN_MANY) {
        request__expect_bodies(feed->account);
    }
    feed__answered(feed);
    feed__opens_done(feed);
    if (feed->must_prove && mailbox_exists(feed->mailbox) == 0) {
        feed->must_prove = false;
        feed__drop_records(feed);
        is_kept = false;
        if (!feed__forget_model(feed)) {
            return;
        }
    }
    if (!is_kept || !feed__check_identity(feed)) {
        feed__go_on(feed);
    }
}

static void status_done(struct feed *feed, enum status st, const struct response *tagged)
{
    (void)st; /* a server that does not say: what follows from the messages will do */
    (void)tagged;
    begin_sync(feed);
}

/* Some SELECTs lack it (Courier, Winmail, 163.com: T5). */
static void ask_uidnext(struct feed *feed)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "STATUS ");
    outcmd_mailbox(&cmd, feed_name(feed));
    outcmd_str(&cmd, " (UIDNEXT)");
    feed__send(feed, &cmd, 0, status_done)->is_status = true;
}

static void select_done(struct feed *feed, enum status st, const struct response *tagged)
{
    if (st != OK) {
        feed__give_up(feed, st, tagged);
        return;
    }
    feed->is_selecting = false;
    feed->is_writable = tagged->code != CODE_READ_ONLY;
    feed->has_modseq = feed->told_modseq > 0;
    feed->vanished_modseq = feed->told_modseq;
    if (feed->told_uidvalidity == 0) {
        feed->told_uidvalidity = 1; /* T5: some servers have none; nothing can be told apart */
    }
    if (feed->exists > feed->account->settings->limits.mailbox_messages) {
        feed__give_up(feed, LIMIT, NULL);
    } else if (feed->told_uidnext == 0) {
        ask_uidnext(feed);
    } else {
        begin_sync(feed);
    }
}

/* Nothing is known of what the link will tell. */
static void forget_told(struct feed *feed)
{
    feed->exists = 0;
    feed->told_recent = 0;
    feed->told_unseen = 0;
    feed->told_uidvalidity = 0;
    feed->told_uidnext = 0;
    feed->told_modseq = 0; /* has_modseq stays what it was until the answer is here */
    feed->is_selecting = true;
    feed->is_mapped = false;
    feed->must_check = false;
    feed->must_prove = false;
    feed->wants_recheck = false;
    feed__forget_doubts(feed);
    feed->is_scanning = false;
    feed->is_fill = false;
    feed->is_filling_holes = false;
    feed->is_fetching_new = false;
    feed->lost_count = false;
    feed->lost_flags = false;
    feed->rescans_n = 0;
    feed->windows_n = 0;
    ranges_reset(&feed->earlier);
    feed->esearch_is_poor = false;
    feed->has_run = false;
    feed->is_probing = false;
    feed->syncs_failed = 0;
    buf_reset(&feed->told_flags);
    buf_reset(&feed->told_permanent);
    buf_reset(&feed->told_id);
}

void feed__select(struct feed *feed)
{
    struct outcmd cmd;
    feed->state = FEED_SYNCING;
    feed__set_adrift(feed);
    forget_told(feed);
    struct refresh_request *request;
    DL_FOREACH(feed->refreshes, request) {
        request->is_asked = true;
    }
    outcmd_init(&cmd);
    outcmd_str(&cmd, "SELECT ");
    outcmd_mailbox(&cmd, feed_name(feed));
    feed__stash_begin(feed, &cmd);
    if (!feed->is_qresync && link_has_condstore(feed->slot->link)) {
        outcmd_str(&cmd, " (CONDSTORE)");
    }
    (void)send(feed, &cmd, select_done);
}

/* --- probe ---------------------------------------------------------------------------------------- */

static void probe_done(struct feed *feed, enum status st, const struct response *tagged)
{
    feed->is_probing = false;
    if (st != OK) {
        feed__give_up(feed, st, tagged);
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
