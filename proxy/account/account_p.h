#ifndef ACCOUNT_P_H
#define ACCOUNT_P_H
/* What the files of the account layer share.  See account.h and feed.h for the contracts.
 *
 *   accounts ── account ── slots   (one link each: spare, feed or bulk)
 *                     ├── feeds   (one mailbox each; its slot while it has one)
 *                     ├── proofs  (secrets the upstream has accepted)
 *                     └── waiting (requests for which no link is up yet)
 * Thread: loop. */
#include <uthash.h>

#include "account/account.h"
#include "account/feed.h"
#include "account/plan.h"
#include "net/evloop.h"
#include "net/secret.h"
#include "net/timer.h"
#include "imap/respdata.h"
#include "imap/respfetch.h"
#include "store/store.h"
#include "upstream/profile.h"

enum {
    ACCOUNT_PROOFS_MAX = 8,
    ACCOUNT_BULK_MAX = 2,
    ACCOUNT_UNUSED_FEEDS_MAX = 2,
    FEED_UNUSED_MS = 2 * 60 * 1000,
    FEED_TICK_MS = 5 * 60 * 1000,
    FEED_GATHER_MS = 50,
    FEED_RETRY_FIRST_MS = 1000,
    FEED_RETRY_LAST_MS = 60 * 1000,
    FEED_FRESH_MS = 30 * 1000,
};

struct proof {
    struct proof *next, *prev; /* newest first */
    unsigned char hash[SECRET_HASH_BYTES];
    struct secret *password;
    uint64_t proven_ms;
};

/* One login being tried at the upstream; several sessions with the same secret join. */
struct verification {
    struct verification *next, *prev;
    struct account *account;
    struct link *link;
    struct secret *password;
    unsigned char hash[SECRET_HASH_BYTES];
    struct login_request *requests;
};

struct login_request {
    struct login_request *next, *prev;
    struct accounts *accounts;
    struct verification *verification; /* NULL: answered from a proof, or refused at once */
    struct account *account;
    enum status status;
    login_done_fn *done;
    void *arg;
    struct task task;
};

enum slot_role { SLOT_SPARE, SLOT_FEED, SLOT_BULK };

/* A place for one link of the account. */
struct slot {
    struct slot *next, *prev;
    struct account *account;
    struct link *link;
    struct secret *password; /* what the link logs in with; NULL once logged in */
    unsigned char hash[SECRET_HASH_BYTES]; /* of that password */
    enum slot_role role;
    bool is_ready;
    struct feed *feed;      /* FEED: whose; BULK: whose mailbox is EXAMINEd, or NULL */
    uint32_t known_uidnext; /* BULK: UIDs below are known to the link (design 5.8) */
    uint32_t epoch;         /* BULK: of the newest EXAMINE */
    uint32_t bad_epoch;     /* BULK: answers sent under this one are worthless */
    struct examine *examines; /* BULK: in flight */
    size_t streams_n;       /* uploads under way */
    size_t pauses_n;        /* requests that want the link to stop reading */
    struct timer *idle;     /* unused bulk and spare links close */
};

struct examine {
    struct examine *next, *prev;
    struct slot *slot;
    struct upcmd *upcmd;
    uint32_t epoch;
};

struct request {
    struct request *next, *prev; /* in a waiting list, or in account->sent */
    struct account *account;
    struct feed *feed;
    enum route route;
    uint32_t highest_uid;
    uint64_t stream_bytes;
    bool is_stream;
    bool is_waiting;
    bool is_paused;
    struct outcmd cmd;
    const struct upcmd_ops *ops;
    void *arg;
    struct slot *slot;
    struct upcmd *upcmd;
    uint32_t epoch;
    enum status failed; /* why, when it fails without having been sent */
    struct task task;
};

struct account {
    UT_hash_handle hh;
    struct accounts *accounts;
    const struct settings *settings; /* held: upstream points into it */
    const struct upstream_settings *upstream;
    char *name; /* for logs */
    char *key;  /* upstream NUL authzid NUL authcid: what the store knows it by */
    size_t key_len;
    struct slice authzid; /* in key */
    struct slice authcid;
    struct proof *proofs;
    struct verification *verifications;
    struct account_user *users;
    struct slot *slots;
    size_t slots_n;
    struct feed *feeds; /* by name */
    struct request *waiting; /* ROUTE_ANY and ROUTE_BULK */
    struct request *sent;
    struct capabilities caps;
    const struct profile *profile; /* of the upstream, once a link is up */
    uint64_t failed_ms;            /* last failed connect */
    struct timer *linger;
    bool is_ending;
};

struct accounts {
    struct accounts_env env;
    const struct settings *settings;
    struct account *by_key;
    unsigned char proof_key[SECRET_KEY_BYTES];
    struct turn_hook hook;
    bool is_ending;
};

enum feed_state {
    FEED_DOWN,    /* no link; the timer may bring one */
    FEED_WAITING, /* its link is connecting */
    FEED_SYNCING, /* SELECT sent, the ladder under way */
    FEED_LIVE,    /* the model is true */
    FEED_ENDED,   /* cannot be served; goes when its users have left */
};

/* A command of the feed's own. */
struct feed_cmd {
    struct feed_cmd *next, *prev;
    struct feed *feed;
    struct upcmd *upcmd;
    void (*done)(struct feed *feed, enum status st, const struct response *tagged);
    bool wants_search; /* SEARCH answers go to feed->seen */
    bool is_check;     /* FETCH answers are compared with what is kept */
};

struct feed {
    UT_hash_handle hh;
    struct account *account;
    char *name;
    size_t name_len;
    enum feed_state state;
    struct slot *slot;
    struct mailbox *mailbox;
    struct plan *plan;
    bool plan_woken;
    struct task plan_task;
    bool wants_probe;
    uint64_t left_ms; /* when the last user left */
    struct feed_cmd *cmds; /* of its own, in flight */
    uint64_t store_id; /* 0: UIDVALIDITY not known yet */
    struct feed_user *users;
    struct open_request *opens;
    struct refresh_request *refreshes;
    struct request *waiting; /* ROUTE_FEED */
    /* as told by the link since SELECT */
    uint32_t exists;
    uint32_t told_uidvalidity;
    uint32_t told_uidnext;
    uint64_t told_modseq;
    struct buf told_flags;
    struct buf told_permanent;
    bool is_writable;
    bool has_modseq;
    bool has_objectid;
    bool has_model;    /* UIDVALIDITY known and a first sync completed (or loaded) */
    bool is_scanning;  /* answers of a full scan collect in seen */
    bool lost_count;   /* numbers of the link could not be followed: compare with SEARCH ALL */
    bool is_fetching_new;
    bool is_fill;      /* first filling: nothing is logged */
    bool is_open_rw;
    bool is_probing;
    struct ranges seen;  /* UIDs in a full scan or SEARCH ALL */
    struct ranges dead;  /* vanished: their records go when every view has passed */
    bool is_checking;    /* identity of a model that was not live */
    bool check_failed;
    uint64_t tagged_ms;  /* last complete round trip */
    uint64_t persisted_ms;
    uint32_t retry_ms;
    unsigned syncs_failed;
    bool is_changed;     /* users are to be told */
    uint64_t told_ms;
    struct timer *timer;  /* retry, unused, tick */
    struct timer *gather; /* bursts */
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

/* --- accounts.c --- */
struct evloop *account__loop(const struct account *account);
struct account *account__find(struct accounts *accounts, const struct upstream_settings *upstream,
                              const struct link_login *login, bool create);
void account__destroy(struct account *account);
/* Nobody uses it: start the linger clock; somebody does: stop it. */
void account__check_use(struct account *account);
/* --- proofs.c --- */
void proofs__hash(const struct account *account, struct slice password,
                  unsigned char out[SECRET_HASH_BYTES]);
struct proof *proofs__find(struct account *account, const unsigned char hash[SECRET_HASH_BYTES]);
void proofs__add(struct account *account, struct secret **password);
void proofs__drop(struct account *account, struct proof *proof);
void proofs__clear(struct account *account);
void verification__destroy(struct verification *verification);
/* Does this refusal speak of the secret (design section 8)? */
bool proofs__refusal_counts(const struct response *refusal);
/* --- slots.c --- */
struct slot *slot__open(struct account *account, enum slot_role role, struct feed *feed);
struct slot *slot__adopt(struct account *account, struct link **link);
/* A ready spare slot, or NULL. */
struct slot *slot__spare(struct account *account);
bool slot__has_room(const struct account *account);
void slot__set_role(struct slot *slot, enum slot_role role, struct feed *feed);
void slot__close(struct slot *slot, bool polite);
/* Its work is done: spare links and unused bulk links close after a while. */
void slot__rest(struct slot *slot);
/* --- request.c --- */
void request__dispatch_all(struct account *account);
void request__fail_waiting(struct request **list, enum status why);
void request__send(struct request *request, struct slot *slot);
void request__feed_ready(struct feed *feed);
/* The slot's link is given up: what is under way on it fails. */
void request__leave_slot(struct slot *slot);
/* The feed goes: its requests fail, bulk links forget it. */
void request__feed_gone(struct feed *feed);
/* --- feed.c --- */
void feed__destroy(struct feed *feed);
void feed__slot_ready(struct feed *feed);
void feed__slot_lost(struct feed *feed, enum status why);
void feed__live(struct feed *feed);
void feed__end(struct feed *feed, const char *text);
void feed__open_failed(struct feed *feed, enum status why, struct slice text);
void feed__changed(struct feed *feed);
void feed__tell(struct feed *feed);
void feed__check_use(struct feed *feed);
void feed__tagged_ok(struct feed *feed);
void feed__refreshes_done(struct feed *feed, enum status st);
/* The model is as true as the round trips so far make it: whoever waited for that goes on. */
void feed__settle(struct feed *feed);
void feed__end_of_turn(struct feed *feed);
/* Give up the link of a feed nobody uses; false when none. */
bool feed__release_unused(struct account *account);
/* --- feed_data.c: untagged responses into the model --- */
void feed__untagged(struct feed *feed, const struct response *response);
bool feed__count_is_true(const struct feed *feed);
void feed__remove_unseen(struct feed *feed);
/* --- feed_sync.c --- */
void feed__select(struct feed *feed);
void feed__fetch_new(struct feed *feed);
void feed__probe(struct feed *feed);
void feed__check_answer(struct feed *feed, const struct response *response);
/* --- feed_store.c --- */
void feed__load(struct feed *feed, uint32_t uidvalidity);
void feed__persist(struct feed *feed);
void feed__bury(struct feed *feed);

#endif
