#ifndef STORE_OP_P_H
#define STORE_OP_P_H
/* What the loop asks the writer to do.  An op is allocated by the loop, read by the writer, which
 * writes only `result`, and freed by the loop when its batch comes back.  Until then it is also the
 * overlay: reads look at it first.  `older` and what is marked so belong to the loop alone. */
#include <stdatomic.h>
#include <string.h>

#include "base/msgq.h"
#include "base/ranges.h"
#include "base/status.h"
#include "key_p.h"
#include "store/record.h"
#include "store/state.h"

enum op_kind {
    OP_MAILBOX_OPEN,   /* op_mailbox: index */
    OP_MAILBOX_DROP,   /* op_mailbox: index */
    OP_MESSAGES_DROP,  /* op_drop: index */
    OP_ITEM,           /* op_item: index */
    OP_STATE,          /* op_state: index */
    OP_STATE_DROP,     /* op_state: index */
    OP_SEARCH,         /* op_search: index */
    OP_SEARCH_USE,     /* op_search: index */
    OP_SEARCH_DROP,    /* op_search: index */
    OP_SEARCHES_DROP,  /* store_op: index */
    OP_CHUNK,          /* op_chunk: content */
    OP_CONTENT_COMMIT, /* op_item: content, then index */
    OP_CONTENT_SHARE,  /* op_item: one more record points to a content; content, then index */
    OP_CONTENT_DROP,   /* store_op: content; mailbox_id is unused */
    OP_TOUCH_CONTENT,  /* op_touch */
    OP_TOUCH_BLOCKS,   /* op_touch: index */
    OP_RESET,          /* op_reset: both */
};

struct store_op {
    enum op_kind kind;
    enum status result;     /* writer */
    uint64_t seq;           /* order of all ops */
    uint64_t mailbox_id;    /* or, for chunks and content drops, the content id */
    size_t cost_bytes;      /* of the backlog */
    struct store_op *next;  /* in the batch */
    struct store_op *older; /* loop: overlay list */
};

struct op_mailbox {
    struct store_op op;
    unsigned char hash[NAME_HASH_BYTES];
    uint32_t uidvalidity;
    struct slice account;
    struct slice name;
    char data[];
};

struct op_drop {
    struct store_op op;
    struct ranges uids;
};

/* An item, or (OP_CONTENT_COMMIT, OP_CONTENT_SHARE) a section's content pointer. */
static inline bool op_is_pointer(enum op_kind kind)
{
    return kind == OP_CONTENT_COMMIT || kind == OP_CONTENT_SHARE;
}

struct op_item {
    struct store_op op;
    uint32_t uid;
    struct record_key key;
    struct slice value;            /* item */
    struct content_ref content;    /* pointer */
    struct content_writer *writer; /* loop: freed with the op */
    char data[];
};

struct op_state {
    struct store_op op;
    struct store_state state; /* slices and blocks point behind the struct */
};

/* A search put, or seen to be wrong, or used (then without octets). */
struct op_search {
    struct store_op op;
    unsigned char hash[NAME_HASH_BYTES];
    uint64_t stamp; /* order of uses */
    struct slice name;
    struct slice octets;
    char data[];
};

struct op_chunk {
    struct store_op op;
    uint32_t number;
    uint32_t len;                  /* loop, while it is being filled; fixed once staged */
    bool is_full;
    struct content_writer *writer; /* loop */
    uint64_t sum; /* of what follows, made by the loop: LMDB, misled by a damaged page, writes over our
                     memory too [M], and that may neither be told nor kept as right */
    uint64_t stored_len; /* as it goes to disk, before the octets */
    char data[];
};

struct op_content_drop {
    struct store_op op;
    struct content_writer *writer; /* loop: freed with the op */
};

enum { TOUCH_MAX = 256 };
struct touch {
    uint64_t id;
    uint32_t block; /* index only */
};
struct op_touch {
    struct store_op op;
    size_t n;
    struct touch at[TOUCH_MAX];
};

struct op_reset {
    struct store_op op;
    unsigned envs; /* bits of enum env_kind */
};

/* A text that goes with an op, behind it: copied to *to, which moves on. */
static inline struct slice op_text(char **to, struct slice text)
{
    char *at = *to;
    if (text.len > 0) {
        memcpy(at, text.data, text.len);
    }
    *to = at + text.len;
    return slice_of(at, text.len);
}

/* Between the threads. */
enum note_kind { NOTE_BATCH, NOTE_LOST, NOTE_STOP };
struct note {
    struct msg msg;
    enum note_kind kind;
};

/* The writer could not go on with an environment: the loop shall let go of it and ask for OP_RESET.
 */
struct lost_note {
    struct note note;
    unsigned env; /* enum env_kind */
    atomic_bool is_queued;
};

struct batch {
    struct note note;
    struct store_op *first;
    struct store_op **tail;
    uint64_t bytes;
    bool has_reset;       /* OP_RESET is its last op */
    struct batch *queued; /* writer: the next one */
};

#endif
