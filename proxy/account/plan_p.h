#ifndef PLAN_P_H
#define PLAN_P_H
/* The inside of a plan.
 *
 *   message (by uid) -- wants: one per item asked, shared by the pendings that hold it
 *   gathered: messages with wants not yet asked --plan_flush()--> flight: one upstream command,
 *   rows (messages) x columns (items) --responses, literals--> values --tagged OK--> store
 *
 * A want is freed when no pending and no flight has it any more. */
#include <uthash.h>

#include "account/derive.h"
#include "account/plan.h"
#include "fieldlists_p.h"
#include "plan_spool_p.h"

enum {
    PLAN_LOSSES_MAX = 4 * PLAN_ATTEMPTS, /* links lost while the command was not their first */
    PLAN_ASKS_MAX = 2,                   /* OKs without data */
    PLAN_LINE_STREAMS = 16,              /* streamed literals of one response line */
    PLAN_SHUN_STREAMS = 16, /* go to a spool after the store has lost octets of one */
};

struct flight;

enum want_step {
    WANT_GATHERED, /* to be asked by the next flush */
    WANT_ASKED,    /* in a flight */
    WANT_OVER,
};

struct want {
    struct want *next; /* in the message */
    struct message *message;
    uint32_t refs; /* pendings */
    enum want_step step;
    struct value value;
    enum fetch_kind kind;
    enum section_kind section;
    bool is_octets; /* a section: value is octets, may be large */
    bool is_bulk;   /* asked on a bulk link, few at a time */
    bool is_kept;   /* immutable: for the store, and for joining at any time */
    bool has_part;
    bool is_alone; /* to be asked in a command of its own */
    bool is_single; /* ... of no other item: a command with others was refused */
    uint8_t fruitless; /* refusals of commands that brought nothing */
    char *words; /* of a refusal; owned */
    bool is_waiting; /* for the proof that its octets are known (plan_share.c) */
    bool is_standin; /* held, and of a message told in place of this one (T1) */
    bool is_spooled; /* its stream does not go through the store */
    bool is_held;  /* filler-shaped: shown when the tagged reply says it is meant */
    uint64_t offset, count; /* has_part */
    uint8_t deaths, losses, asks;
    char *octets; /* inline value; value.token points into it */
    /* A value that arrives as a stream: one of them. */
    struct content_writer *writer;
    struct spool *spool;
    struct derive_check check; /* of BODY[] */
    struct slice key;          /* in the store: canonical name, with "<o.n>" when has_part */
    struct slice name;         /* canonical name */
    struct slice upstream;     /* without "<o.n>" */
    char text[];
};

struct message {
    UT_hash_handle hh;
    uint32_t uid;
    struct want *wants;
    bool is_id_asked;
    uint8_t losses_n; /* while somebody wants it: 1: the store has lost a stream, 2: and a spool ... */
    uint8_t proofs_n; /* times its size and envelope were asked for (plan_share.c) */
    bool is_gathered;
    struct message *next, *prev; /* gathered */
};

struct pending {
    struct plan *plan;
    struct message *message;
    struct want **wants;
    size_t n;
};

struct plan {
    struct plan_env env;
    struct message *messages; /* uthash by uid */
    struct message *gathered;
    struct flight *flights; /* in order of sending */
    struct plan_waiter waiters; /* ring */
    bool has_moved;
    bool is_awake; /* plan_ops.wake() has been called since the last flush */
    /* A link of that route was lost since the last flush: of the commands in flight on it, the first
     * to end is the one to blame. */
    bool has_death[ROUTE_BULK + 1];
    uint32_t shuns_n; /* streams that are still to be spooled */
    struct buf read_buf; /* plan_read() of a spooled value */
    struct fieldlists lists;
    bool has_lists; /* they have been loaded */
    bool is_narrow; /* plan_narrow() */
    struct arena scratch;
};

/* --- plan.c --- */
void plan__wake(struct plan *plan);
/* A value has changed: waiters look again. */
void plan__moved(struct plan *plan);
void plan__gather(struct plan *plan, struct want *want);
/* Free @want when nobody has it; its message with the last. */
void plan__drop_want(struct plan *plan, struct want *want);
void plan__fail_want(struct plan *plan, struct want *want, enum status why);
struct message *plan__message_get(struct plan *plan, uint32_t uid);
/* A want that nobody holds yet, gathered; its answer goes to the store all the same. */
struct want *plan__want_create(struct plan *plan, struct message *message,
                               const struct fetch_item *item);

/* --- plan_value.c: bytes of a want --- */
/* Octets of its value that are here. */
uint64_t want__received(const struct want *want);
/* Inline value, whole; token is copied. */
void want__set_inline(struct want *want, struct slice token);
/* A stream of @size octets begins: staged in the store, or spooled when that cannot take it. */
enum status want__stream_begin(struct plan *plan, struct want *want, uint64_t size,
                               bool is_literal8) MUST_USE;
enum status want__stream_append(struct plan *plan, struct want *want,
                                struct slice bytes) MUST_USE;
/* Nothing of what was appended has been lost. */
bool want__is_sound(const struct want *want);
void want__stream_abort(struct want *want);
/* After the tagged OK: for later sessions. */
void want__keep(struct plan *plan, struct want *want);

/* --- plan_share.c --- */
/* Before the message's gathered wants are taken: which of them wait, is marked. */
void share__hold(struct plan *plan, struct message *message);

/* --- plan_queue.c --- */
void plan__send_gathered(struct plan *plan);

/* --- flight.c, flight_data.c: one upstream command --- */
/* A streamed literal.  Until the line has said its UID the want is a guess, and nothing is shown. */
struct stream {
    struct want *want; /* NULL: nobody's, discarded */
    bool is_bound;
};

struct row {
    uint32_t uid;
    struct want **wants; /* columns_n of them */
};

struct flight {
    struct flight *next, *prev;
    struct plan *plan;
    struct request *request;
    enum route route;
    struct row *rows; /* ascending by uid */
    size_t rows_n;
    size_t columns_n;
    struct want **cells;
    uint32_t standin_bytes; /* at that upstream, see profile.h */
    bool has_expunge; /* an EXPUNGE or VANISHED came meanwhile */
    bool is_paused;
    struct stream line[PLAN_LINE_STREAMS]; /* streamed literals of the present response */
    size_t line_n;
};

/* Takes @cells (rows_n x columns_n, row by row, rows in any order) and sends the command. */
void flight__send(struct plan *plan, struct want **cells, size_t rows_n, size_t columns_n);
void flight__destroy(struct flight *flight);
void flight__resume_reading(struct flight *flight);
bool flight__on_untagged(void *arg, const struct response *response);
bool flight__on_literal(void *arg, struct unit so_far, uint64_t size);
void flight__on_literal_data(void *arg, struct slice bytes);
void flight__on_literal_end(void *arg);
/* The line broke off, or is complete: what is not bound to a message goes. */
void flight__end_line(struct flight *flight);
/* --- flight_refused.c --- */
void flight__settle_refused(struct flight *flight, enum status why, const struct response *tagged);

/* Where in its section the answer to @want as it is asked now begins. */
uint64_t want__asked_offset(const struct want *want);
bool want__is_resumed(const struct want *want);

#endif
