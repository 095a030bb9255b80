#ifndef ACCOUNT_FEED_P_H
#define ACCOUNT_FEED_P_H
/* What the feed's files share: feed.c (life, opening, refreshing), feed_data.c (untagged responses),
 * feed_sync.c (the ladder), feed_map.c (numbers and flags by SEARCH), feed_check.c (is it still the
 * same mailbox), feed_early.c (sessions that were answered before numbers were known), feed_store.c
 * (what is kept), feed_tell.c (telling).  Owner of memory: the account.  Thread: loop. */
#include "account/feed.h"
#include "account/plan.h"
#include "imap/respdata.h"
#include "imap/respfetch.h"
#include "feed_check_p.h"
#include "feed_tell_p.h"
#include "links_p.h"
#include "orders_p.h"

enum {
    FEED_UNUSED_MS = 2 * 60 * 1000,
    FEED_TICK_MS = 5 * 60 * 1000,
    FEED_FLAG_LIST_MAX = 64 * 1024, /* octets of a FLAGS or PERMANENTFLAGS list */
    FEED_UNKNOWN_MANY = 32, /* messages of which nothing is kept: request__expect_bodies() */
    FEED_WINDOW = 10000, /* messages asked for in one FETCH */
    FEED_GONE_MAX = 65536, /* expunges remembered for those who cannot be told yet */
};

enum feed_state {
    FEED_DOWN,    /* no link; the timer may bring one */
    FEED_WAITING, /* its link is connecting */
    FEED_SYNCING, /* SELECT sent, the ladder under way */
    FEED_LIVE,    /* the model is true */
    FEED_ENDED,   /* cannot be served; goes when its users have left */
};

struct search;

/* A command of the feed's own. */
struct feed_cmd {
    struct feed_cmd *next, *prev;
    struct feed *feed;
    struct upcmd *upcmd;
    void (*done)(struct feed *feed, enum status st, const struct response *tagged);
    bool wants_search; /* SEARCH answers go to feed->seen */
    bool is_status;    /* STATUS tells UIDNEXT */
    bool is_check;     /* FETCH answers are compared with what is kept */
    struct search *search; /* feed_map.c: ESEARCH with its tag is the answer to this one */
};
typedef void feed_done_fn(struct feed *feed, enum status st, const struct response *tagged);

struct map;
struct runs;
struct searches;
struct gone;

struct feed {
    UT_hash_handle hh;
    struct account *account;
    char *name;
    size_t name_len;
    struct feed *stir_next, *stir_prev; /* in accounts->stirred while is_stirred */
    bool is_stirred;
    enum feed_state state;
    struct slot *slot;
    struct mailbox *mailbox;
    struct plan *plan;
    struct orders *orders; /* NULL: none asked for yet */
    bool plan_woken;
    struct task plan_task;
    bool wants_probe;
    uint64_t left_ms; /* when the last user left */
    struct feed_cmd *cmds; /* of its own, in flight */
    uint64_t store_id; /* 0: UIDVALIDITY not known yet */
    struct searches *searches; /* of that id; NULL: the same */
    struct feed_user *users;
    struct open_request *opens;
    struct refresh_request *refreshes;
    struct request *waiting; /* ROUTE_FEED */
    struct share_copy *copies; /* out of it, under way: what they move is not buried yet */
    enum feed_knows knows; /* FLAGS: a first sync completed, or a model was loaded */
    bool is_mapped;      /* the link's numbers are ranks in the model (but for a tail of new mail) */
    bool is_qresync;     /* SELECT was given with what is known */
    struct buf stash;    /* of its answer: feed_stash.c */
    bool is_answered;    /* its SELECT: those who wait for it can be */
    bool esearch_is_poor; /* ESEARCH without ALL: not asked again on this link */
    struct map *map;     /* under way, or NULL */
    struct runs *runs;   /* the same */
    bool has_run;        /* on this link */
    uint32_t window_at;  /* of a scan in windows: the last number, or UID once mapped, asked for */
    uint32_t windows_n;  /* in flight */
    struct feed_told selected; /* SELECT's answer, for early users */
    struct gone *gone;   /* since then, while numbers are not known */
    size_t gone_n, gone_cap;
    bool gone_is_lost;   /* there were too many, or what was said made no sense */
    struct ranges gone_uids; /* worked out, while early users open their views */
    /* as told by the link since SELECT */
    uint32_t exists;
    uint32_t told_recent;
    uint32_t told_unseen;
    uint32_t told_uidvalidity;
    uint32_t told_uidnext;
    uint64_t told_modseq;
    /* A HIGHESTMODSEQ that the server named after the last message had vanished (a VANISHED has no
     * modseq of its own); UINT64_MAX: none yet. */
    uint64_t vanished_modseq;
    struct buf told_flags;
    struct buf told_permanent;
    struct buf told_id; /* MAILBOXID */
    bool is_writable;
    bool has_modseq;
    bool is_scanning;  /* answers of a full scan collect in seen */
    bool lost_flags;   /* with lost_count: flags, too, have to be asked anew */
    uint8_t rescans_n; /* for that reason, on this link */
    bool lost_count;   /* numbers of the link could not be followed: compare with SEARCH ALL */
    bool is_fetching_new;
    bool is_fill;      /* first filling: nothing is logged */
    bool is_filling_holes; /* messages that SEARCH ALL named and the model lacks: in seen */
    bool has_search;   /* a SEARCH line has come */
    bool is_open_rw;
    bool is_probing;
    bool is_too_large;   /* more messages than a model may hold */
    struct ranges earlier; /* VANISHED (EARLIER) of the answer that is coming in */
    struct ranges seen;  /* UIDs in a full scan or SEARCH ALL */
    struct ranges wrong; /* UIDs whose records were found to be wrong (shadow.h) */
    struct ranges dead;  /* vanished: their records go when every view has passed */
    bool is_selecting;   /* SELECT not answered: what comes may be of the mailbox before */
    bool must_check;     /* identity to be checked before it is live */
    bool must_prove;     /* UIDNEXT fell: unless messages of the sample are what they were, another one */
    bool check_failed;   /* another mailbox than the one whose records are kept */
    bool can_compare;    /* something is kept of the messages asked for */
    bool has_compared;   /* and they were told of */
    bool was_emptied;    /* by an upstream that told its last message gone */
    bool wants_recheck;  /* to be selected anew once it is live */
    struct feed_doubt doubts[DOUBT_KINDS];
    uint32_t doubted_uidvalidity; /* what was named: of DOUBT_UIDVALIDITY */
    uint64_t tagged_ms;  /* last complete round trip */
    struct budget_place place;
    unsigned syncs_failed;
    struct timer *timer;  /* retry, unused, tick */
    struct feed_telling telling;
};

struct open_request {
    struct open_request *next, *prev;
    struct evloop *loop;
    struct feed *feed; /* NULL: has failed, about to say so */
    feed_open_fn *done;
    void *arg;
    struct task task;
    enum status status;
    struct buf text;
};

struct refresh_request {
    struct refresh_request *next, *prev;
    struct evloop *loop;
    struct feed *feed; /* NULL: is over, about to say so */
    refresh_fn *done;
    void *arg;
    bool must_ask;
    bool is_asked; /* the probe under way began after it, or will do for it */
    enum status status;
    struct task task;
};

/* --- feed.c --- */
void feed__destroy(struct feed *feed);
void feed__slot_ready(struct feed *feed);
/* was_ready: it was logged in. */
void feed__slot_lost(struct feed *feed, bool was_ready);
/* Its own commands under way are forgotten: the link is not its any more. */
void feed__drop_cmds(struct feed *feed);
void feed__live(struct feed *feed);
/* Its name may be another mailbox's now, or nobody's: it is selected anew. */
void feed__recheck(struct feed *feed);
void feed__end(struct feed *feed, const char *text);
void feed__open_failed(struct feed *feed, enum status why, struct slice text);
void feed__changed(struct feed *feed);
/* More is known, or that nothing more can be now: whoever waits looks again. */
void feed__wake_users(struct feed *feed);
void feed__check_use(struct feed *feed);
void feed__tagged_ok(struct feed *feed, const struct response *tagged);
void feed__refreshes_done(struct feed *feed, enum status st);
/* The model is as true as the round trips so far make it: whoever waited for that goes on. */
void feed__settle(struct feed *feed);
/* Something has come that the end of this turn is to look at (feed__end_of_turn()). */
void feed__stir(struct feed *feed);
void feed__end_of_turn(struct feed *feed);
/* Those who wait for the mailbox go on: the model is true, or SELECT has been answered. */
void feed__opens_done(struct feed *feed);
/* Numbers are known and true: early users get their views. */
void feed__mapped(struct feed *feed);
/* --- feed_data.c: untagged responses into the model --- */
void feed__untagged(struct feed *feed, const struct response *response);
bool feed__count_is_true(const struct feed *feed);
/* --- feed_store.c --- */
void feed__load(struct feed *feed, uint32_t uidvalidity);
void feed__persist(struct feed *feed);
void feed__bury(struct feed *feed);
/* --- share.c --- */
void share__feed_gone(struct feed *feed);

#endif
