#ifndef FETCH_P_H
#define FETCH_P_H
/* FETCH in pieces: fetch.c runs the command, fetch_ahead.c asks for what is missing before it is
 * needed, fetch_next.c for what will be asked next, fetch_emit.c writes lines, fetch_seen.c sets
 * \Seen.
 *
 * A line is written item by item; a value that is content streams out in as many turns as the client
 * takes.  What a turn borrows from the store it gives back at the turn's end, so each turn looks the
 * value up again: cached, in the pending held for the message, or asked for now. */
#include "account/lookup.h"
#include "account/plan.h"
#include "past_p.h"
#include "store/store.h"

enum {
    FETCH_WINDOW = 1024,      /* messages asked for ahead, when only small items are wanted */
    /* When bodies are: as many as FETCH_AHEAD_BYTES hold by the mean of those told so far.  Fewer would
     * leave a long link idle (20 Mbit/s and 100 ms: 250 small mails), more of large ones would keep it
     * busy for a client that may be gone. */
    FETCH_AHEAD_BYTES = 4 * 1024 * 1024,
    FETCH_WINDOW_BODIES = 96, /* no mean yet */
    FETCH_WINDOW_BODIES_MIN = 32,
    FETCH_WINDOW_BODIES_MAX = 512,
    FETCH_SCAN_MAX = 8192,    /* messages looked at ahead in one go */
    /* Of memory, by all FETCHes of a session: the names of what is asked may be as long as a command is, and
     * stand in each message's question. */
    FETCH_AHEAD_MEMORY = 8 * 1024 * 1024,
    FETCH_ASK_BYTES = 512, /* of a question, without its names */
    FETCH_FLUSH = 64 * 1024,
};

/* The octets being written of one literal. */
struct literal {
    bool is_open;
    unsigned resumes_n;          /* from @rest: the rest of something that was lost, so many times */
    const struct value *value;   /* of a pending; NULL: cached */
    struct lookup_value cached;
    uint64_t at, end;            /* within the value */
    uint64_t base;               /* of the value within its section */
    uint64_t ahead;              /* the reader was told up to here; 0: nothing */
    const struct fetch_item *item;
};

/* Pendings asked ahead, ascending by UID. */
struct held {
    struct pending **ring;
    size_t first, n, cap;
};

struct fetch_work {
    struct session *session;
    struct job *job;
    bool is_started, is_resolved, is_over;
    bool needs_model;  /* FLAGS or MODSEQ are asked */
    bool wants_bodies;
    bool wants_values; /* something that the model does not know */
    bool is_counted;   /* by fetch__ask_next() */
    struct ranges uids;
    struct view_iter iter;
    struct lookup lookup;
    bool has_lookup;
    const struct fetch_item **asked; /* for each item, what is asked instead; NULL: not known yet */
    struct refresh_request *refresh;
    bool is_refreshed;
    struct past past;
    bool has_asked, has_past;

    struct plan_waiter waiter;
    struct held held;
    size_t ask_bytes;   /* of memory, that asking for one message takes */
    uint32_t asked_uid; /* everything up to here has been looked at ahead */
    uint32_t read_uid;  /* the reader was told up to here */
    uint32_t read_mark; /* when this one is reached, it is told more */

    struct view_message message; /* the one being written */
    uint64_t message_version;    /* of the mailbox, when that was true */
    bool has_message;
    bool in_line;
    bool has_items; /* something stands in the line */
    size_t item_at;
    struct pending *pending; /* of that message */
    struct pending *rest;    /* asked when a literal was lost in the middle */
    struct fetch_item rest_item;
    struct literal literal;
    struct buf out;
    size_t written; /* this turn */

    bool is_incomplete; /* a message has vanished: [EXPUNGEISSUED] */
    bool is_only_cached; /* the upstream could not be asked: what is here is told, nothing asked any more */
    enum status failed;
    const char *words; /* the upstream's for it, or NULL; in the job's arena */

    struct ranges unseen; /* messages that are to become \Seen */
    uint32_t seen_id;     /* flag set (\Seen) */
    bool has_seen_id;
    struct request *seen_request;
    struct view_silent *seen_silent;
    bool seen_is_lost; /* its link died before the answer */
    unsigned seen_attempts;
};

enum emit { EMIT_DONE, EMIT_WAIT, EMIT_ROOM, EMIT_FAIL, EMIT_ABORT };

/* --- fetch_ahead.c --- */
/* Ask for what is missing, from the message being written on; nothing when enough is asked for. */
void fetch__ask_ahead(struct fetch_work *work);
/* What is asked upstream for item @i: itself, or a longer list of header fields. */
const struct fetch_item *fetch__asked(struct fetch_work *work, size_t i);
/* The pending for what @uid lacks of the command's items; NULL when nothing is. */
struct pending *fetch__ask(struct fetch_work *work, uint32_t uid);
/* The pending asked ahead for @uid, taken out; those before it go. */
struct pending *fetch__take(struct fetch_work *work, uint32_t uid);
void fetch__release_all(struct fetch_work *work);
/* Are bodies asked, and so many asked ahead by all of the session's FETCHes that this is enough? */
bool fetch__has_enough(const struct session *session, const struct args_fetch *args);
/* A body section of @size octets is being told. */
void fetch__note_size(struct fetch_work *work, uint64_t size);
bool fetch__prepare(struct fetch_work *work);

/* --- fetch_next.c --- */
/* Once per command, when its own needs are asked: is this one of many single bodies in order? */
void fetch__ask_next(struct fetch_work *work);
/* The mailbox is left: what was read ahead is let go of. */
void fetch__forget_next(struct session *session);

/* --- fetch_emit.c --- */
/* Go on with the message being written. */
enum emit fetch__emit(struct fetch_work *work);
void fetch__flush(struct fetch_work *work);

/* --- fetch_read.c --- */
void fetch__read_literal(struct fetch_work *work);
void fetch__read_messages(struct fetch_work *work);

/* --- fetch_seen.c --- */
void fetch__begin_seen(struct fetch_work *work);
/* False: its STORE is still under way, and may be for the second time (design section 1, promise 2). */
bool fetch__seen_is_over(struct fetch_work *work);
bool fetch__becomes_seen(const struct fetch_work *work, uint32_t uid);
/* was_told: every message's line has shown it. */
void fetch__end_seen(struct fetch_work *work, bool was_told);

#endif
