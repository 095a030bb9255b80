#ifndef ACCOUNT_SEARCHES_H
#define ACCOUNT_SEARCHES_H
/* What the upstream has said of one mailbox's messages and of criteria that only it can evaluate
 * (imap/searchcanon.h: a "part"): for each part the UIDs it was asked about (known) and those that
 * matched (hit).  Each part is asked about each message once, whoever asks, in closed sets of UIDs,
 * all commands in one flight; what is remembered goes to the store, too.
 * A message that a full-text index may not have yet (unsettled: `search.settle`) is asked about each
 * time.  What was answered NO, BAD, in part only, or by a link that was lost is not remembered.
 * Belongs to one feed and one store id: another mailbox under the same name begins with none.
 * Owner of memory: the feed.  Limits: `search.remember` parts a mailbox, SEARCHES_BYTES_MAX of them in
 * memory; parts with a name beyond STORE_SEARCH_NAME_MAX are asked each time.
 * Thread: loop.  Design section 6, protocol.md 2.7. */
#include "base/slice.h"
#include "base/status.h"

struct bitmap;
struct feed;
struct search_part;
struct searches;
struct search_ask;

enum { SEARCHES_BYTES_MAX = 16 * 1024 * 1024 };

/* Of the feed's mailbox.  NULL: UIDVALIDITY is not known yet. */
struct searches *feed_searches(struct feed *feed);

/* Borrowed until the caller returns to the loop, or asks; hit is a subset of known. */
struct search_known {
    const struct bitmap *known, *hit;
};
/* What is known of a cacheable part, read from the store when it is asked for first; counts as a use.
 * False: this upstream never accepted it (@out is left alone); also for volatile parts. */
bool searches_find(struct searches *searches, const struct search_part *part, struct slice charset,
                   struct search_known *out);

struct search_answer {
    enum status status; /* OK; DENIED, PROTOCOL: @refusal; NETWORK, TIMEOUT, CANCELED ... */
    const struct bitmap *asked, *hit; /* OK: all that was asked about, and what matched.  Borrowed for
                                         the call.  Else NULL */
    struct slice refusal; /* the upstream's "NO [..] ..." or "BAD ...", sanitised; may be empty */
    bool is_lost; /* the link went before the tagged reply, and again when it was repeated */
};
typedef void search_done_fn(void *arg, const struct search_answer *answer);

/* Ask about @uids, of which none needs to be unknown; empty: only whether the upstream accepts it.
 * Joins what is under way for the same cacheable part.  Completes, never inside the call, when all of
 * them are known, or the upstream refuses, or nobody can be asked.  @part, @charset, @uids: borrowed
 * for the call.  Ask for all parts of a command in one turn: they are one flight. */
struct search_ask *searches_ask(struct searches *searches, const struct search_part *part,
                                struct slice charset, const struct bitmap *uids,
                                search_done_fn *done, void *arg);
/* No call of its done.  May be called in any callback, also when the feed is gone.  What nobody waits
 * for any more and has not been sent is not; what is under way upstream goes on, and is remembered,
 * unless there is much of that already. */
void searches_cancel(struct search_ask **ask);

#endif
