#ifndef STORE_STORE_P_H
#define STORE_STORE_P_H
/* The store's insides, shared by the files of this folder. */
#include <pthread.h>
#include <uthash.h>

#include "env_p.h"
#include "key_p.h"
#include "op_p.h"
#include "reader_p.h"
#include "store/content.h"
#include "store/record.h"
#include "store/search.h"
#include "store/state.h"
#include "store/store.h"
#include "txn_p.h"
#include "writer_p.h"

enum {
    BLOCK_UIDS = 256,              /* messages per unit of eviction in the index */
    BLOCK_STATE = UINT32_MAX >> 1, /* the "block" that stands for a mailbox's state */
    BLOCK_SEARCHES = BLOCK_STATE - 1,
    SEARCHES_AGE_H = 7 * 24, /* by so many hours older than they are where room is made */
    EVICT_BATCH = 256,
    DROP_AT_ONCE = 4096, /* messages of one expunge; the rest goes in the background */
    TOUCH_TABLE = 8192,  /* direct-mapped; a collision costs a needless touch */
    SEARCH_TOUCHES = 512,
    TOUCH_EVERY_MS = 10000,
    SYNC_EVERY_MS = 4000,
};

/* Pending writes to one message. */
struct pending_message {
    struct {
        uint64_t mailbox_id;
        uint64_t uid;
    } key;
    struct store_op *ops; /* op_item, newest first */
    UT_hash_handle hh;
};

/* What the loop knows of a mailbox beyond the disk. */
struct mailbox_note {
    uint64_t id;
    bool is_hidden;          /* dropped: finds nothing, keeps nothing */
    bool is_warm;            /* a state is there to be added to */
    bool is_cold;            /* a write to it was lost: only a replace may follow */
    struct store_op *states; /* op_state pending, newest first */
    unsigned searches_drops; /* OP_SEARCHES_DROP pending, */
    uint64_t searches_floor; /* the newest of them */
    UT_hash_handle hh;
};

/* Pending puts and drops of one search. */
struct pending_search {
    struct {
        uint64_t mailbox_id;
        unsigned char hash[NAME_HASH_BYTES];
    } key;
    struct store_op *ops; /* op_search, newest first */
    UT_hash_handle hh;
};

/* A pending change of what a name stands for. */
struct pending_name {
    unsigned char hash[NAME_HASH_BYTES];
    uint64_t seq;
    uint64_t id; /* 0: dropped */
    uint32_t uidvalidity;
    UT_hash_handle hh;
};

enum writer_state {
    CONTENT_STAGED,
    CONTENT_COMMITTED, /* its op is on the way */
    CONTENT_DEAD,      /* aborted or seen damaged; its drop is on the way */
};

struct content_writer {
    struct store *store;
    struct content_ref ref;
    uint64_t received;
    uint64_t mailbox_id;
    uint32_t uid;
    enum writer_state state;
    enum status lost;         /* OK, or why chunks are missing */
    struct slice section;     /* owned */
    struct op_chunk **chunks; /* by number: pending or being filled; NULL when on disk */
    size_t chunks_n;
    struct content_writer *prev; /* list of the staged */
    struct content_writer *next;
    UT_hash_handle hh; /* by ref.content_id */
};

struct touches {
    uint64_t table[TOUCH_TABLE];
    struct op_touch *op; /* being gathered, or NULL */
    uint64_t since_ms;
};
/* The chunk read last, whose checksum was right. */
struct chunk_copy {
    uint64_t content_id; /* 0: none */
    uint32_t number;
    size_t len;
    char *data; /* owned; as it stands on disk, head first */
};

struct store {
    struct store_options options;
    int lock_fd;
    struct env env[ENV_N];
    struct env_meta meta; /* constant after open but for incarnation (writer) */
    uint64_t txn_bytes_max;
    uint64_t content_max_bytes;
    struct writer writer;
    struct reader reader;
    struct msgq acks;
    /* loop */
    uint64_t next_id;
    uint64_t seq;
    struct batch *batch; /* being filled, or NULL */
    uint64_t backlog_bytes;
    uint64_t batches_out;
    bool was_backlogged;
    unsigned reads;             /* depth of read_begin */
    unsigned reset_wanted;      /* bits of enum env_kind: seen damaged by a read */
    unsigned resets_out[ENV_N]; /* OP_RESET on the way */
    struct pending_message *messages;
    struct store_op *drops; /* op_drop pending, newest first */
    struct mailbox_note *mailboxes;
    struct pending_name *names;
    struct pending_search *searches;
    struct content_writer *contents; /* all until acknowledged */
    struct content_writer *staged;
    struct touches touched_contents;
    struct touches touched_blocks;
    uint64_t touched_searches[SEARCH_TOUCHES];
    uint32_t touch_hour;
    struct { /* found last in this turn: a small body is checked for and read by one get */
        uint64_t content_id; /* 0: none */
        uint32_t number;
        struct slice value;
    } last_chunk;
    struct chunk_copy copy;
    MDB_cursor *cursors[8];       /* idle, for walks */
    size_t cursors_n;
};

/* store.c, loop: a zeroed op of @size octets, with its sequence number; handing it to the batch. */
void *store__op_new(struct store *store, enum op_kind kind, size_t size, size_t cost_bytes);
void store__stage(struct store *store, struct store_op *op);
uint64_t store__id_new(struct store *store);
uint32_t store__hour(const struct store *store);
/* A read found it damaged: stop reading it, have it emptied. */
void store__damaged(struct store *store, enum env_kind kind);

/* read.c, loop.  The value is borrowed till read_end; NOT_FOUND also for a lost environment. */
MDB_txn *store__read_txn(struct store *store, enum env_kind kind);
bool store__get(struct store *store, enum env_kind kind, enum dbi dbi, const struct key *key,
                struct slice *value_out);
void store__detach(struct store *store, enum env_kind kind);
void store__bad_record(struct store *store, const char *what);
bool store__rc_ok(struct store *store, enum env_kind kind, int rc);

/* overlay.c, loop. */
struct mailbox_note *overlay_mailbox(struct store *store, uint64_t id);
struct mailbox_note *overlay_mailbox_need(struct store *store, uint64_t id);
bool overlay_is_hidden(struct store *store, uint64_t id);
void overlay_add_item(struct store *store, struct op_item *item);
struct store_op *overlay_items(struct store *store, uint64_t mailbox_id, uint32_t uid);
/* Sequence number of the newest pending drop of that message; 0: none. */
uint64_t overlay_floor(const struct store *store, uint64_t mailbox_id, uint32_t uid);
void overlay_add_search(struct store *store, struct op_search *op);
/* The newest pending put or drop; NULL: ask the disk, but when overlay_searches_go(). */
const struct op_search *overlay_search(struct store *store, uint64_t mailbox_id,
                                       const unsigned char hash[NAME_HASH_BYTES]);
bool overlay_searches_go(struct store *store, uint64_t mailbox_id);
/* An op came back: take it out of the overlay and free it. */
void overlay_acked(struct store *store, struct store_op *op);
void overlay_fini(struct store *store);

/* touch.c, loop. */
void touch_content(struct store *store, uint64_t content_id);
void touch_block(struct store *store, uint64_t mailbox_id, uint32_t block);
/* The first use in this hour? */
bool touch_search(struct store *store, uint64_t mailbox_id,
                  const unsigned char hash[NAME_HASH_BYTES]);
void touch_flush(struct store *store, bool is_forced);

/* content.c, loop. */
void content__acked(struct store *store, struct store_op *op);
void content__lost(struct store *store, enum status why);
void content__free(struct content_writer *writer);
struct content_writer *content__by_id(struct store *store, uint64_t content_id);

/* writer.c */
void writer__start(struct store *store);
void writer__join(struct store *store);

#endif
