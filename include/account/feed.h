#ifndef ACCOUNT_FEED_H
#define ACCOUNT_FEED_H
/* A feed keeps one mailbox true: it owns the model (model/mailbox.h), the link that has the mailbox
 * SELECTed, the plan that downloads what is missing, and knows the sessions that have the mailbox
 * open.  When its link is lost the feed stays, and resynchronises by the ladder (QRESYNC,
 * CONDSTORE, full scan).
 * Owner of memory: the account; kept while a session uses it and some time after.
 * Thread: loop.  Design sections 2, 5, 7. */
#include "account/account.h"
#include "model/mailbox.h"
#include "model/view.h"

struct feed;
struct open_request;
struct refresh_request;
struct plan;

/* How much of the mailbox is known.  Numbers: which messages there are, a view can be open. */
enum feed_knows { FEED_KNOWS_NOTHING, FEED_KNOWS_NUMBERS, FEED_KNOWS_FLAGS };

/* What the upstream's own SELECT answer told. */
struct feed_told {
    uint32_t exists;
    uint32_t recent;
    uint32_t unseen; /* number of the first one; 0: not told */
    uint32_t uidvalidity;
    uint32_t uidnext;
    uint64_t modseq; /* 0: NOMODSEQ */
    uint64_t lists_version;
};

/* A session that has the mailbox open.  Embedded in the session. */
struct feed_user {
    struct feed_user *next, *prev;
    struct feed *feed;
    /* Attached before numbers were known: SELECT is answered from told, feed_open_view() comes with
     * progress(). */
    bool is_early;
    bool is_adrift; /* early, and the link that told it was lost */
    struct feed_told told;
    /* More is known than before: numbers (now is the time for feed_open_view()), or flags; or the
     * feed is away (feed_is_away()). */
    void (*progress)(struct feed_user *user);
    /* The model has changed: there may be something to tell.  Bursts are gathered. */
    void (*changed)(struct feed_user *user);
    /* The mailbox cannot be served any more (UIDVALIDITY changed, deleted): close the view now
     * (detach), then BYE with @text. */
    void (*gone)(struct feed_user *user, const char *text);
    /* Has its view vanished messages that its client was not told of?  Their records are kept. */
    bool (*holds_dead)(struct feed_user *user);
};

/* st OK: the feed: attach within the call.  Its model is complete and fresh, or the upstream has only
 * just answered SELECT (user.is_early once attached).  Else @text is the tagged answer without tag,
 * "NO [CODE] words" (sanitised). */
typedef void feed_open_fn(void *arg, enum status st, struct feed *feed, struct slice text);
struct open_request *feed_open(struct account *account, struct slice name, feed_open_fn *done,
                               void *arg);
void feed_open_cancel(struct open_request **request);
void feed_attach(struct feed *feed, struct feed_user *user);
/* The user's view must be closed before. */
void feed_detach(struct feed_user *user);
/* The user is a SELECT: \Recent that it was told early goes to no other (T13). */
void feed_claim_recent(struct feed_user *user);
enum feed_knows feed_knows(const struct feed *feed);
/* SELECT has been answered, numbers or flags are not known yet: may a UID SEARCH go meanwhile
 * (destination.is_by_uid)?  is_tagged: its answer is told by its tag, an ESEARCH.  One that is not goes
 * only where it will take a while until they are known. */
bool feed_may_ask_early(const struct feed *feed, bool is_tagged);
/* Numbers are known and true on its link: feed_open_view() may be called. */
bool feed_is_mapped(const struct feed *feed);
/* The user's view: within feed_open_fn when it is not early, else within progress() once numbers are
 * known (feed_is_mapped()).  NULL: what it was told cannot be brought together with what there is;
 * close the session. */
struct view *feed_open_view(struct feed_user *user, unsigned options);

struct slice feed_name(const struct feed *feed);
struct account *feed_account(const struct feed *feed);
struct mailbox *feed_mailbox(struct feed *feed);
struct plan *feed_plan(struct feed *feed);
/* Id in the store, of this UIDVALIDITY. */
uint64_t feed_store_id(const struct feed *feed);
/* The upstream gave write access ([READ-WRITE]). */
bool feed_is_writable(const struct feed *feed);
/* False: the upstream said NOMODSEQ, or has no CONDSTORE. */
bool feed_has_modseq(const struct feed *feed);
/* A client whose modseq is at least this one knows of every message that has vanished. */
uint64_t feed_vanished_modseq(const struct feed *feed);

/* Make the model fresh: OK (deferred) when a round trip on the feed completed less than `fresh` ago
 * and must_ask is not set; else after one coalesced probe, begun after this call. */
typedef void refresh_fn(void *arg, enum status st);
struct refresh_request *feed_refresh(struct feed *feed, bool must_ask, refresh_fn *done, void *arg);
void feed_refresh_cancel(struct refresh_request **request);
/* True when feed_refresh(.., false, ..) would complete without asking. */
bool feed_is_fresh(const struct feed *feed);
/* The link was lost and the first attempt to replace it has failed too: what has to go over it would
 * be refused (design section 11). */
bool feed_is_away(const struct feed *feed);

#endif
