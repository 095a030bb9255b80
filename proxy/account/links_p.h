#ifndef ACCOUNT_LINKS_P_H
#define ACCOUNT_LINKS_P_H
/* The links of an account (slots.c) and the commands that wait for them or are under way on them
 * (request.c).  Owner of memory: the account.  Thread: loop. */
#include "account_p.h"
#include "budget_p.h"

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
    bool was_selected; /* some mailbox, on this link */
    bool has_suspect; /* the link is lost, and a command was found that it may have died of */
    uint64_t begun_ms;
    struct feed *feed;      /* FEED: whose; BULK: whose mailbox is EXAMINEd, or NULL */
    bool has_examined;      /* BULK: some mailbox, also one that is of no interest any more */
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
    struct feed *feed; /* NULL: of no interest any more */
    struct upcmd *upcmd;
    uint32_t epoch;
};

struct request {
    struct request *next, *prev; /* in a waiting list, or in account->sent */
    struct account *account;
    struct evloop *loop;
    struct destination to;
    uint64_t stream_bytes;
    bool is_stream;
    uint8_t sends_n; /* links that were lost before they could send it */
    bool is_waiting;
    bool waits_for_feed; /* in the feed's waiting list, not the account's */
    bool is_paused;
    bool is_left; /* nobody waits for it any more: sent once at most */
    struct outcmd cmd;
    const struct upcmd_ops *ops;
    void *arg;
    struct slot *slot;
    struct upcmd *upcmd;
    struct upcmd *ahead[DESTINATION_AHEAD_MAX]; /* what goes before it, until that is answered */
    uint32_t epoch;
    enum status failed; /* why, when it fails without having been sent */
    struct task task;
};

/* --- slots.c --- */
struct slot *slot__open(struct account *account, enum slot_role role, struct feed *feed);
struct slot *slot__adopt(struct account *account, struct link **link);
/* Logged in and not about to be lost. */
bool slot__is_ready(const struct slot *slot);
/* A ready spare slot, or NULL. */
struct slot *slot__spare(struct account *account);
/* Make room: a bulk link with nothing under way goes. */
void slot__close_unused_bulk(struct account *account);
void slot__set_role(struct slot *slot, enum slot_role role, struct feed *feed);
void slot__close(struct slot *slot, bool polite);
/* Its work is done: spare links and unused bulk links close after a while. */
void slot__rest(struct slot *slot);
/* --- request.c --- */
void request__dispatch_all(struct account *account);
void request__fail_waiting(struct request **list, enum status why);
/* A mailbox has been opened of which nothing is kept: bodies will be asked for soon.  The link for
 * them logs in meanwhile, when the account has but one link so far. */
void request__expect_bodies(struct account *account);
void request__send(struct request *request, struct slot *slot);
void request__feed_ready(struct feed *feed);
/* The slot's link is given up: what is under way on it fails. */
void request__leave_slot(struct slot *slot);
/* What bulk links have EXAMINEd under the feed's name is not what it is now. */
void request__forget_selection(struct feed *feed);
/* The feed goes: its requests fail, bulk links forget it. */
void request__feed_gone(struct feed *feed);

#endif
