/* Numbers: where a message stands in a view, and the walk in that order. */
#include "base/check.h"
#include "view_p.h"

uint32_t view__rank(struct view *view, uint32_t uid)
{
    uid = uid < view->told ? uid : view->told;
    uint32_t rank = mailbox_rank(view->mailbox, uid);
    if (!uidset_empty(&view->hidden)) {
        rank -= uidset_rank(&view->hidden, uid);
    }
    if (!uidset_empty(&view->vanished)) {
        rank += uidset_rank(&view->vanished, uid);
    }
    return rank;
}

static bool has(const struct view *view, uint32_t uid)
{
    if (uid > view->told || uidset_has(&view->hidden, uid)) {
        return false;
    }
    return uidset_has(&view->vanished, uid) || mailbox_has(view->mailbox, uid);
}

uint32_t view_count(struct view *view)
{
    view__catch_up(view);
    return view__rank(view, view->told);
}

uint32_t view_msn_of(struct view *view, uint32_t uid)
{
    view__catch_up(view);
    return has(view, uid) ? view__rank(view, uid) : 0;
}

static uint32_t live_uid_at(const struct view *view, uint32_t rank)
{
    struct mailbox_entry entry = {0};
    (void)mailbox_at(view->mailbox, rank, &entry);
    return entry.uid;
}

/* The msn-th message is the live one where the rank in the view first reaches msn, unless a
 * vanished one below it is. */
static uint32_t uid_of(struct view *view, uint32_t msn)
{
    if (uidset_empty(&view->hidden) && uidset_empty(&view->vanished)) {
        return live_uid_at(view, msn);
    }
    uint32_t low = 1;
    uint32_t high = mailbox_rank(view->mailbox, view->told) + 1; /* one past the live ones */
    uint32_t end = high;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (view__rank(view, live_uid_at(view, mid)) < msn) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    uint32_t below = low - 1; /* live ones below; then visible ones */
    if (low < end) {
        uint32_t uid = live_uid_at(view, low);
        if (!uidset_has(&view->hidden, uid) && view__rank(view, uid) == msn) {
            return uid;
        }
    }
    if (below > 0 && !uidset_empty(&view->hidden)) {
        below -= uidset_rank(&view->hidden, live_uid_at(view, below));
    }
    return uidset_select(&view->vanished, msn - below);
}

uint32_t view_uid_of(struct view *view, uint32_t msn)
{
    return msn > 0 && msn <= view_count(view) ? uid_of(view, msn) : 0;
}

uint32_t view_last_uid(struct view *view)
{
    return view_uid_of(view, view_count(view));
}

uint32_t view_told_uid(const struct view *view)
{
    return view->told;
}

uint64_t view_modseq(const struct view *view)
{
    return view->told_modseq;
}

enum status view_resolve_msns(struct view *view, const struct ranges *msns, struct ranges *uids_out)
{
    uint32_t count = view_count(view);
    ranges_reset(uids_out);
    for (size_t i = 0; i < msns->n; i++) {
        if (msns->at[i].first == 0 || msns->at[i].last > count) {
            return PROTOCOL;
        }
        ranges_append(uids_out, uid_of(view, msns->at[i].first), uid_of(view, msns->at[i].last));
    }
    ranges_subtract(uids_out, &view->hidden.set);
    return OK;
}

void view_clip(struct view *view, struct ranges *uids)
{
    view__catch_up(view);
    ranges_clip(uids, view->told);
    ranges_subtract(uids, &view->hidden.set);
}

void view_bitmap(struct view *view, struct bitmap *out)
{
    struct range told = {1, view->told};
    const struct ranges all_told = {.at = &told, .n = view->told > 0};
    view__catch_up(view);
    mailbox_bitmap_uids(view->mailbox, &all_told, out);
    const struct ranges *hidden = &view->hidden.set;
    for (size_t i = 0; i < hidden->n; i++) {
        bitmap_remove(out, hidden->at[i].first, hidden->at[i].last);
    }
}

/* The first message with a UID >= uid, which is not before @from: near it, as often as not. */
static struct place lower_from(const struct messages *m, struct place from, uint32_t uid)
{
    if (from.chunk == m->n || m->last[from.chunk] < uid) {
        return messages_lower(m, uid);
    }
    const struct chunk *c = &m->chunk[from.chunk];
    uint32_t low = from.index, step = 1;
    while (low + step < c->n && c->uid[low + step] < uid) {
        low += step;
        step *= 2;
    }
    uint32_t high = low + step < c->n ? low + step : c->n - 1; /* the last one is not below uid */
    return (struct place){from.chunk, uid_lower(c->uid, low, high, uid)};
}

/* view__rank() of ever higher UIDs, in one walk. */
static uint32_t rank_on(struct view *view, struct place *at, uint32_t uid)
{
    const struct messages *m = &view->mailbox->messages;
    bool is_plain = uidset_empty(&view->hidden) && uidset_empty(&view->vanished);
    if (!is_plain || uid >= view->told) {
        return view__rank(view, uid);
    }
    *at = lower_from(m, *at, uid + 1);
    return messages_before(m, *at);
}

void view_msns_of(struct view *view, const struct ranges *uids, struct ranges *msns_out)
{
    struct place at = {0, 0};
    view__catch_up(view);
    ranges_reset(msns_out);
    for (size_t i = 0; i < uids->n; i++) {
        uint32_t first = uids->at[i].first;
        uint32_t before = first > 0 ? rank_on(view, &at, first - 1) : 0;
        uint32_t last = rank_on(view, &at, uids->at[i].last);
        if (last > before) {
            ranges_append(msns_out, before + 1, last);
        }
    }
}

/* --- walking ---------------------------------------------------------------------------------- */

static void read_ahead(struct view_iter *iter)
{
    struct view *view = iter->view;
    do {
        if (!mailbox_iter_next(&iter->live, &iter->ahead) || iter->ahead.uid > view->told) {
            iter->ahead.uid = 0;
        }
    } while (iter->ahead.uid != 0 && uidset_has(&view->hidden, iter->ahead.uid));
}

/* Find next_uid in view and mailbox as they are now. */
static void seek(struct view_iter *iter)
{
    struct view *view = iter->view;
    view__catch_up(view);
    iter->version = view->mailbox->version;
    iter->syncs = view->syncs;
    iter->msn = view__rank(view, iter->next_uid - 1);
    mailbox_iter_init(&iter->live, view->mailbox, iter->next_uid);
    read_ahead(iter);
    const struct ranges *vanished = &view->vanished.set;
    size_t low = 0;
    size_t high = vanished->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (vanished->at[mid].last < iter->next_uid) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    iter->vanished_at = low;
}

void view_iter_init(struct view_iter *iter, struct view *view, const struct ranges *uids)
{
    *iter = (struct view_iter){.view = view, .uids = uids, .next_uid = 1};
    seek(iter);
}

/* The next vanished UID at or above next_uid, 0 when there is none. */
static uint32_t peek_vanished(struct view_iter *iter)
{
    const struct ranges *vanished = &iter->view->vanished.set;
    while (iter->vanished_at < vanished->n &&
           vanished->at[iter->vanished_at].last < iter->next_uid) {
        iter->vanished_at++;
    }
    if (iter->vanished_at == vanished->n) {
        return 0;
    }
    uint32_t first = vanished->at[iter->vanished_at].first;
    return first > iter->next_uid ? first : iter->next_uid;
}

/* Whether @uid is asked for; if not, next_uid moves to what is (0 = nothing more). */
static bool is_wanted(struct view_iter *iter, uint32_t uid)
{
    const struct ranges *uids = iter->uids;
    if (uids == NULL) {
        return true;
    }
    while (iter->uids_at < uids->n && uids->at[iter->uids_at].last < uid) {
        iter->uids_at++;
    }
    if (iter->uids_at == uids->n) {
        iter->next_uid = 0;
        return false;
    }
    if (uids->at[iter->uids_at].first > uid) {
        iter->next_uid = uids->at[iter->uids_at].first;
        return false;
    }
    return true;
}

bool view_iter_next(struct view_iter *iter, struct view_message *out)
{
    struct view *view = iter->view;
    while (iter->next_uid != 0) {
        if (iter->version != view->mailbox->version || iter->syncs != view->syncs) {
            seek(iter);
        }
        uint32_t gone = peek_vanished(iter);
        bool is_vanished = gone != 0 && (iter->ahead.uid == 0 || gone < iter->ahead.uid);
        uint32_t uid = is_vanished ? gone : iter->ahead.uid;
        if (uid == 0) {
            return false;
        }
        if (!is_wanted(iter, uid)) {
            iter->syncs = view->syncs - 1; /* have it sought */
            continue;
        }
        *out = (struct view_message){.msn = ++iter->msn,
                                     .uid = uid,
                                     .is_vanished = is_vanished,
                                     .is_recent = view_is_recent(view, uid)};
        if (!is_vanished) {
            out->flags = iter->ahead.flags;
            out->modseq = iter->ahead.modseq;
            read_ahead(iter);
        }
        iter->next_uid = uid + 1;
        return true;
    }
    return false;
}
