#ifndef ACCOUNT_PLAN_H
#define ACCOUNT_PLAN_H
/* The FETCH plan of one mailbox: downloads immutable items that nobody has yet, in few commands,
 * each once.  A `pending` is one message with the items asked of it: several sessions that want the
 * same join on it, and it carries the values from the wire to them (the store keeps them for later
 * sessions, after the tagged OK).  Values of more than PLAN_INLINE_MAX octets are content in the
 * store and can be read while they are still arriving.
 * Asked items are gathered and sent once a loop turn (plan_flush by the end-of-turn hook).
 * Memory: bounded by what sessions hold; a session holds at most PLAN_WINDOW pendings.
 * Owner: the mailbox.  Thread: loop.  Design section 5; protocol.md T1, T2, F-rules. */
#include "base/slice.h"
#include "base/status.h"
#include "imap/fetchitem.h"
#include "store/content.h"

struct feed;
struct plan;
struct pending;

enum {
    PLAN_INLINE_MAX = 16 * 1024,
    PLAN_WINDOW = 512,    /* pendings held by one session */
    PLAN_SET_MAX = 256,   /* messages per upstream command of small items */
    PLAN_BODIES_MAX = 32, /* messages per upstream command of body sections */
    PLAN_ATTEMPTS = 2,    /* a command whose link dies twice is not sent again */
};

enum plan_value_state {
    PLAN_VALUE_WANTED,  /* not asked upstream yet, or asked and nothing here */
    PLAN_VALUE_ARRIVING, /* content: size known, bytes on their way, readable so far */
    PLAN_VALUE_HERE,
    PLAN_VALUE_ABSENT,  /* the upstream said OK and gave none, twice */
    PLAN_VALUE_FAILED,  /* link lost twice, or refused */
};

struct plan_value {
    enum plan_value_state state;
    bool is_content;     /* bytes are in @content, else in @token */
    bool is_nil;         /* the upstream said NIL */
    struct slice token;  /* verbatim value as it goes after the item name: `"..."`, `{n}CRLF...`,
                            `(...)`, NIL; for body sections the octets alone, without {n} */
    struct content_ref content; /* size in octets is known from PLAN_VALUE_ARRIVING on */
};

/* A session's interest.  Embedded in its FETCH command. */
struct plan_waiter {
    struct plan_waiter *next, *prev;
    /* Something this waiter may be waiting for has moved; look again. Deferred, once a turn. */
    void (*progress)(struct plan_waiter *waiter);
    bool is_linked;
};

struct plan *plan_create(struct feed *feed);
void plan_destroy(struct plan **plan);
void plan_wait(struct plan *plan, struct plan_waiter *waiter);
void plan_unwait(struct plan *plan, struct plan_waiter *waiter);

/* Ask for @item of message @uid, joining whoever asks for it already.  Adds one hold. */
struct pending *plan_ask(struct plan *plan, uint32_t uid, const struct fetch_item *item);
/* One more item on a pending already held. */
void pending_add(struct pending *pending, const struct fetch_item *item);
/* The value under that key (fetch_item_key()), or NULL when not asked. */
const struct plan_value *pending_value(const struct pending *pending, struct slice key);
uint32_t pending_uid(const struct pending *pending);
/* Drop one hold; the values go with the last one. */
void pending_release(struct plan *plan, struct pending **pending);
/* Send what has been gathered.  Called once a turn. */
void plan_flush(struct plan *plan);

#endif
