/* Sets of messages as a client names them. */
#include "model/uidset.h"
#include "search_p.h"

/* Numbers beyond the view are left out. */
static enum status resolve_msns(struct session *session, const struct seqset *set,
                                struct ranges *out)
{
    uint32_t count = view_count(session->view);
    struct ranges msns;
    ranges_init(&msns, SEQSET_PARTS_MAX);
    enum status st = seqset_resolve(set, count, &msns);
    ranges_clip(&msns, count);
    if (st == OK) {
        st = view_resolve_msns(session->view, &msns, out);
    }
    ranges_fini(&msns);
    return st;
}

enum status set_resolve(struct session *session, const struct seqset *set, bool is_uid,
                        struct ranges *out)
{
    if (set->is_saved) { /* messages, however the command names them (RFC 5182 2.1) */
        ranges_copy(&session->saved, out);
        view_clip(session->view, out);
        return OK;
    }
    if (!is_uid) {
        uint32_t count = view_count(session->view);
        bool is_beyond =
            set->highest > count || (count == 0 && set->has_star && set->highest > 0);
        return is_beyond ? PROTOCOL : resolve_msns(session, set, out);
    }
    TRY(seqset_resolve(set, view_last_uid(session->view), out));
    view_clip(session->view, out);
    return OK;
}

/* Before it is known which messages there are: those below the UIDNEXT that SELECT has told.  "*" and
 * "$" wait (early.c). */
static enum status resolve_told(const struct session *session, const struct seqset *set,
                                struct ranges *out)
{
    uint32_t last = session->feed_user.told.uidnext - 1;
    TRY(seqset_resolve(set, last, out));
    ranges_clip(out, last);
    return OK;
}

/* Outlook and K-9 search 1:50 of what they believe is there, and servers answer it. */
enum status set_resolve_criterion(struct session *session, const struct seqset *set, bool is_uid,
                                  struct ranges *out)
{
    if (session->view == NULL) {
        return resolve_told(session, set, out);
    }
    return is_uid || set->is_saved ? set_resolve(session, set, is_uid, out)
                                   : resolve_msns(session, set, out);
}

void set_take_slice(const struct ranges *set, struct set_slice slice, struct ranges *out)
{
    uint64_t n = ranges_count(set), at = 1;
    uint64_t first = slice.first < slice.last ? slice.first : slice.last;
    uint64_t last = slice.first < slice.last ? slice.last : slice.first;
    if (slice.is_from_end) {
        uint64_t nearest = first;
        first = last < n ? n - last + 1 : 1;
        last = nearest <= n ? n - nearest + 1 : 0;
    }
    ranges_reset(out);
    for (size_t i = 0; i < set->n && at <= last; i++) {
        struct range run = set->at[i];
        uint64_t end = at + (run.last - run.first); /* place of its last */
        if (end >= first) {
            uint64_t from = first > at ? first : at, to = last < end ? last : end;
            ranges_add(out, (uint32_t)(run.first + (from - at)), (uint32_t)(run.first + (to - at)));
        }
        at = end + 1;
    }
}

void set_keep_slice(struct session *session, struct ranges *uids, struct set_slice slice)
{
    struct ranges msns, kept;
    ranges_init(&msns, 0);
    ranges_init(&kept, 0);
    view_msns_of(session->view, uids, &msns);
    set_take_slice(&msns, slice, &kept);
    if (view_resolve_msns(session->view, &kept, uids) != OK) {
        ranges_reset(uids); /* numbers that were the view's just now are its own */
    }
    ranges_fini(&msns);
    ranges_fini(&kept);
}

bool set_drop_vanished(struct session *session, struct ranges *uids)
{
    struct view_iter iter;
    struct view_message message;
    struct ranges gone;
    ranges_init(&gone, 0);
    view_iter_init(&iter, session->view, uids);
    while (view_iter_next(&iter, &message)) {
        if (message.is_vanished) {
            ranges_add(&gone, message.uid, message.uid);
        }
    }
    for (size_t i = 0; i < gone.n; i++) {
        ranges_remove(uids, gone.at[i].first, gone.at[i].last);
    }
    bool some = !ranges_empty(&gone);
    ranges_fini(&gone);
    return some;
}

/* Messages by number are a run also where UIDs are missing between them; what is missing never comes
 * back, as UIDs only rise. */
void set_close_gaps(struct session *session, struct ranges *uids)
{
    enum { LONG_SET = 64 };
    struct ranges msns, closed;
    if (uids->n < LONG_SET || session->view == NULL) {
        return;
    }
    ranges_init(&msns, 0);
    ranges_init(&closed, 0);
    view_msns_of(session->view, uids, &msns);
    if (view_resolve_msns(session->view, &msns, &closed) == OK) {
        (void)set_drop_vanished(session, &closed);
        ranges_swap(uids, &closed);
    }
    ranges_fini(&msns);
    ranges_fini(&closed);
}

void set_next_piece(const struct ranges *uids, size_t *at, size_t bytes, struct ranges *out)
{
    struct buf text;
    buf_init(&text, 0);
    ranges_reset(out);
    do {
        ranges_append(out, uids->at[*at].first, uids->at[*at].last);
        buf_printf(&text, "%u:%u,", (unsigned)uids->at[*at].first, (unsigned)uids->at[*at].last);
        (*at)++;
    } while (*at < uids->n && text.len < bytes);
    buf_fini(&text);
}
