/* Sessions whose SELECT was answered from the upstream's own SELECT reply, before the model knew which
 * messages there are (design section 7: cold SELECT of any size).
 *
 *   SELECT's OK ──> told: EXISTS n ──> ... expunges by number or UID are noted ... ──> numbers known:
 *   the first n of (messages there, messages gone since) are what was told; the view opens on them.
 *
 * A message that has gone by number has a UID nobody knows.  It stood between two that are known, so
 * any number between theirs stands for it: its place in the view is what counts. */
#include <string.h>
#include <utlist.h>

#include "feed_sync_p.h"
#include "base/alloc.h"
#include "base/log.h"
#include "model/uidset.h"

/* --- what SELECT has told ------------------------------------------------------------------------ */

void feed__answered(struct feed *feed)
{
    feed->is_answered = true;
    feed->selected = (struct feed_told){
        .exists = feed->exists,
        .recent = feed->knows == FEED_KNOWS_NOTHING ? feed->told_recent : 0,
        .unseen = feed->told_unseen,
        .uidvalidity = mailbox_uidvalidity(feed->mailbox),
        .uidnext = feed->told_uidnext,
        .modseq = feed->has_modseq ? feed->told_modseq : 0,
        .lists_version = mailbox_lists_version(feed->mailbox),
    };
}

/* Without UIDNEXT there is something to wait for: it is asked, or follows from the messages. */
bool feed__can_be_early(const struct feed *feed)
{
    return feed->state == FEED_SYNCING && feed->is_answered && feed->selected.uidnext > 0 &&
           !feed->gone_is_lost;
}

/* A server that has ESEARCH but answers the searches of the map without their tags would have that taken
 * for the answer to another.  One that works on so many messages in a command (RFC 9738) would answer in
 * part: how many there are in a set of UIDs is not known yet. */
bool feed_may_ask_early(const struct feed *feed, bool is_tagged)
{
    bool is_clear = is_tagged || feed->map == NULL || feed->map->is_plain;
    uint64_t most = feed->account->caps.messagelimit;
    bool is_answered_whole = most == 0 || feed->selected.exists <= most;
    return feed__can_be_early(feed) && is_answered_whole && !feed->must_check && !feed->is_selecting && is_clear;
}

/* --- what goes in between ------------------------------------------------------------------------ */

void feed__note_gone(struct feed *feed, const struct gone *gone)
{
    if (feed->is_mapped || feed->gone_is_lost) {
        return;
    }
    if (feed->gone_n == FEED_GONE_MAX) {
        feed->gone_is_lost = true;
        return;
    }
    if (feed->gone_n == feed->gone_cap) {
        feed->gone_cap = feed->gone_cap > 0 ? 2 * feed->gone_cap : 16;
        feed->gone = alloc_resize(feed->gone, feed->gone_cap, sizeof(*feed->gone));
    }
    feed->gone[feed->gone_n++] = *gone;
}

/* For one that has gone by number: how many of those still there stood before it. */
struct stood {
    uint32_t *before; /* ascending: in the order in which they stood */
    size_t n;
};

/* The number is of the moment after which nothing has gone but what was put back already. */
static void put_back_number(const struct feed *feed, struct stood *stood, uint32_t msn)
{
    uint32_t all = mailbox_exists(feed->mailbox) + (uint32_t)stood->n;
    uint32_t place = msn <= all + 1 ? msn : all + 1; /* beyond: of the tail of new mail */
    size_t low = 0, high = stood->n;
    while (low < high) { /* those in front of it */
        size_t mid = low + (high - low) / 2;
        if (stood->before[mid] + mid + 1 < place) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    memmove(stood->before + low + 1, stood->before + low,
            (stood->n - low) * sizeof(*stood->before));
    stood->before[low] = place - 1 - (uint32_t)low;
    stood->n++;
}

/* UIDs for them, between those of their neighbours; false: there never were so many between them. */
static bool name_stood(const struct feed *feed, const struct stood *stood, struct ranges *out)
{
    uint32_t uid = 0;
    for (size_t i = 0; i < stood->n; i++) {
        struct mailbox_entry entry = {0};
        uint32_t before = stood->before[i];
        if (before > 0 && mailbox_at(feed->mailbox, before, &entry) && entry.uid > uid) {
            uid = entry.uid;
        }
        uid++;
        bool has_next = mailbox_at(feed->mailbox, before + 1, &entry);
        if (uid >= (has_next ? entry.uid : UINT32_MAX)) {
            return false;
        }
        ranges_append(out, uid, uid);
    }
    return true;
}

/* What is there has not gone, whatever was said. */
static void drop_present(const struct feed *feed, struct ranges *gone)
{
    struct ranges present;
    ranges_init(&present, 0);
    mailbox_scan_uids(feed->mailbox, gone, &present);
    ranges_subtract(gone, &present);
    ranges_clip(gone, UINT32_MAX - 1);
    ranges_fini(&present);
}

/* The last to go is the first to be put back: numbers are those of its moment.  A link tells either by
 * number or by UIDs (RFC 7162 3.2.10); one that does both is not followed. */
static void work_out_gone(struct feed *feed)
{
    struct stood stood = {.n = 0};
    if (feed->gone_n == 0 || feed->gone_is_lost) {
        return;
    }
    stood.before = alloc_array(feed->gone_n, sizeof(*stood.before));
    for (size_t i = feed->gone_n; i > 0; i--) {
        const struct gone *one = &feed->gone[i - 1];
        if (one->msn == 0) {
            ranges_add(&feed->gone_uids, one->uids.first, one->uids.last);
        } else {
            put_back_number(feed, &stood, one->msn);
        }
    }
    drop_present(feed, &feed->gone_uids);
    bool is_mixed = stood.n > 0 && !ranges_empty(&feed->gone_uids);
    if (is_mixed || (stood.n > 0 && !name_stood(feed, &stood, &feed->gone_uids))) {
        feed->gone_is_lost = true;
    }
    alloc_free(stood.before);
}

void feed__open_early(struct feed *feed)
{
    struct feed_user *user;
    bool some = false;
    DL_FOREACH(feed->users, user) {
        some = some || user->is_early;
    }
    if (some) {
        work_out_gone(feed);
    }
    feed__wake_users(feed);
    alloc_free(feed->gone);
    feed->gone = NULL;
    feed->gone_n = feed->gone_cap = 0;
    ranges_reset(&feed->gone_uids);
}

struct view *feed_open_view(struct feed_user *user, unsigned options)
{
    struct feed *feed = user->feed;
    struct ranges none;
    if (!user->is_early) {
        return view_open(feed->mailbox, options);
    }
    user->is_early = false;
    ranges_init(&none, 0);
    struct view_told told = {.exists = user->told.exists,
                             .recent = user->told.recent,
                             .modseq = user->told.modseq,
                             .lists_version = user->told.lists_version,
                             .gone = user->is_adrift ? &none : &feed->gone_uids};
    /* What went while nobody looked is not known: it may be that nothing did. */
    bool is_sure = user->is_adrift ? mailbox_rank(feed->mailbox, user->told.uidnext - 1) == told.exists
                                   : !feed->gone_is_lost;
    if (!is_sure) {
        LOG(LOG_INFO, "feed", "msg=\"what was told does not fit\" account=%s mailbox=%s",
            feed->account->name, LOG_Q(feed_name(feed)));
    }
    return is_sure ? view_open_told(feed->mailbox, options, &told) : NULL;
}

void feed__set_adrift(struct feed *feed)
{
    struct feed_user *user;
    DL_FOREACH(feed->users, user) {
        user->is_adrift = user->is_adrift || user->is_early;
    }
    feed->gone_n = 0;
    feed->gone_is_lost = false;
    feed->is_answered = false;
}

void feed__send_away(struct feed *feed, uint32_t uidvalidity, bool views)
{
    struct feed_user *user, *next;
    DL_FOREACH_SAFE(feed->users, user, next) {
        if (user->is_early ? user->told.uidvalidity != uidvalidity : views) {
            user->gone(user, "[UNAVAILABLE] UIDVALIDITY changed");
        }
    }
}
