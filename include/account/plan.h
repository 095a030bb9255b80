#ifndef ACCOUNT_PLAN_H
#define ACCOUNT_PLAN_H
/* The FETCH plan of one mailbox: downloads items that nobody has yet, in few commands, each once.
 * A `pending` is one holder's interest in items of one message; holders that want the same item
 * share its value, which goes with the last of them (the store keeps it for later sessions, after
 * the tagged OK).  Values of more than PLAN_INLINE_MAX octets are content in the store and can be
 * read while they are still arriving.  A filler-shaped value (T1) is held back until the tagged
 * reply says that it is meant.
 * Asked items are gathered and sent once a loop turn, by plan_flush().
 * Memory: bounded by what sessions hold; a session holds at most PLAN_WINDOW pendings.
 * Owner: the mailbox.  Thread: loop.  Design section 5; protocol.md T1, T2, F-rules. */
#include "account/account.h"
#include "base/ranges.h"
#include "imap/fetchitem.h"
#include "store/content.h"

struct plan;
struct pending;

enum {
    PLAN_INLINE_MAX = 16 * 1024,
    PLAN_WINDOW = 512,    /* pendings held by one session */
    PLAN_SET_MAX = 256,   /* messages per upstream command of small items */
    PLAN_BODIES_MAX = 32, /* messages per upstream command of body sections */
    PLAN_ATTEMPTS = 2,    /* an item whose command's link dies twice is not asked again */
    PLAN_STORE_LOSSES = 3, /* of one message: the store, a file, memory; then LIMIT */
};

enum value_state {
    VALUE_WANTED,   /* not asked upstream yet, or asked and nothing here */
    VALUE_ARRIVING, /* content: size known, bytes on their way, readable so far */
    VALUE_HERE,
    VALUE_KEPT,   /* found to be in the store: look it up there; asked again here, it is downloaded */
    VALUE_ABSENT, /* the upstream said OK and gave none (twice, unless the message has gone), or
                     gave filler for a message expunged meanwhile */
    VALUE_FAILED, /* link lost twice (NETWORK ...), refused (DENIED, PROTOCOL), the rest did not fit
                     (PROTOCOL, STALE); is_lost: the store lost it while it arrived (FULL, IO, CORRUPT).
                     Asked anew it goes elsewhere; in the middle of a literal the rest may be asked for
                     as after NOT_FOUND of plan_read() */
};

struct value {
    enum value_state state;
    enum status why;     /* VALUE_FAILED: DENIED, NETWORK ... */
    bool is_lost;        /* VALUE_FAILED: by our store; never for ever (PLAN_STORE_LOSSES) */
    const char *words;   /* the upstream's own for it, sanitised: "NO [UNKNOWN-CTE] ..."; or NULL */
    bool is_content;     /* bytes are in @content, else in @token */
    bool is_nil;         /* the upstream said NIL */
    bool is_literal8;    /* answer as `~{n}` */
    bool is_part;        /* begins at @base of the section, else it is the whole section */
    uint64_t base;
    struct slice token;  /* verbatim value as it goes after the item name: `"..."`, `{n}CRLF...`,
                            `(...)`, NIL; for body sections the octets alone, without {n} */
    struct content_ref content; /* size in octets is known from VALUE_ARRIVING on */
};

/* A session's interest.  Embedded in its FETCH command. */
struct plan_waiter {
    struct plan_waiter *next, *prev;
    /* Something this waiter may be waiting for has moved; look again.  Deferred, once a turn, from
     * plan_flush(); it may call anything here but plan_destroy(). */
    void (*progress)(struct plan_waiter *waiter);
    bool is_linked;
};

/* What the plan needs of its mailbox.  Members are never NULL. */
struct plan_ops {
    /* account_request() for this mailbox; @cmd is emptied. */
    struct request *(*send)(void *arg, enum route route, uint32_t highest_uid, struct outcmd *cmd,
                            const struct upcmd_ops *ops, void *cmd_arg);
    void (*cancel)(void *arg, struct request **request); /* account_request_cancel() */
    void (*pause)(void *arg, struct request *request, bool paused); /* account_request_pause() */
    bool (*has_uid)(void *arg, uint32_t uid);                       /* still in the model? */
    uint32_t (*standin_bytes)(void *arg); /* profile.h */
    /* There is something for plan_flush() to do: call it later in this turn, not from here. */
    void (*wake)(void *arg);
};

struct plan_env {
    struct store *store;
    struct stats *stats; /* may be NULL */
    uint64_t mailbox_id; /* mailbox_store_id() */
    /* Where octets go that the store cannot take (too large, full): an unlinked file here, kept
     * while somebody holds the value.  NULL, or no room: memory, up to 64 MiB each. */
    const char *spool_dir;
    const struct plan_ops *ops;
    void *arg;
    /* The item that tells a message's identity (EMAILID), asked along with whatever is asked first; NULL:
     * there is none.  met_id(): it has been kept. */
    const char *id_item;
    void (*met_id)(void *arg, uint32_t uid, struct slice id);
};

struct plan *plan_create(const struct plan_env *env);
/* All pendings must have been released, all waiters taken away.  Requests are canceled. */
void plan_destroy(struct plan **plan);
void plan_wait(struct plan *plan, struct plan_waiter *waiter);
void plan_unwait(struct plan *plan, struct plan_waiter *waiter); /* nothing when not waiting */

/* Ask for @item of message @uid (not FETCH_IS_MODEL ones), joining whoever asks for it already:
 * a partial is asked as such, or joins the whole if that is on its way.  Copies what it needs of
 * @item.  Returns the caller's own pending. */
struct pending *plan_ask(struct plan *plan, uint32_t uid, const struct fetch_item *item);
/* As plan_ask(), for octets that the store has lost more than once: joins nobody, and its stream does not
 * go through the store. */
struct pending *plan_ask_apart(struct plan *plan, uint32_t uid, const struct fetch_item *item);
/* One more item on it; one that has failed or is lost is asked anew. */
void pending_add(struct pending *pending, const struct fetch_item *item);
/* The value for @item (as asked, partial or not), or NULL when it was not asked here.  A partial's
 * value may be the whole section: cut by value->base.  Look, do not copy: it changes while it
 * arrives.  Valid until the pending is released or something is added to it. */
const struct value *pending_value(const struct pending *pending, const struct fetch_item *item);
uint32_t pending_uid(const struct pending *pending);
/* Drop it. */
void pending_release(struct plan *plan, struct pending **pending);

/* Ask for what is not kept of the sizes and envelopes of @uids, for the store, at once: a COPY or MOVE is
 * to follow on the same link. */
void plan_ask_likeness(struct plan *plan, const struct ranges *uids);

/* Between 1 and max octets of a body section's value, @offset counted from the value's own first
 * octet, borrowed until the next call of the plan or store_read_end(): within store_read_begin/_end.
 * END: offset is at its end.  AGAIN: not there yet.  NOT_FOUND: lost (evicted, damaged): go on by
 * asking for the rest, as a partial, in another pending. */
enum status plan_read(struct plan *plan, const struct value *value, uint64_t offset, size_t max,
                      struct slice *out) MUST_USE;

/* A client asks for @item, a whole HEADER.FIELDS of the message itself: from now on it is part of what
 * such items are widened to. */
void plan_note_list(struct plan *plan, const struct fetch_item *item);
/* What to ask for instead of @item (noted): every field that clients of this mailbox ask for, so that
 * the next one finds its list in the store; the answer to @item is taken out of it
 * (lookup_extract()), where that cannot be, @item itself is to be asked.  False: @item itself. */
bool plan_widen(struct plan *plan, const struct fetch_item *item, struct arena *arena,
                struct fetch_item *out) MUST_USE;
/* The upstream has refused such a one: no more of them. */
void plan_narrow(struct plan *plan);

/* Tell the waiters, then send what has been gathered; links paused for the store's sake go on when
 * it has drained.  Called once a turn after plan_ops.wake(), and when the store has drained. */
void plan_flush(struct plan *plan);

#endif
