#ifndef STORE_STATE_H
#define STORE_STATE_H
/* The kept model of a mailbox: a header and numbered blocks of the caller's own octets (block = uid
 * / 1024), written in one transaction with the UIDVALIDITY, UIDNEXT and synced modseq they stand
 * for. The blocks of a mailbox always add up to its header: a write lost on the way makes the whole
 * state stale, never mixed.                                                      Thread: loop. */
#include "base/buf.h"
#include "store/store.h"

enum {
    STORE_HEADER_MAX = 256 * 1024, /* octets of a header: it holds names of keywords and the like */
    STORE_BLOCK_MAX = 256 * 1024,
};

struct store_block {
    uint32_t number;    /* below 2^32 - 1 */
    struct slice bytes; /* empty: the block goes */
};

struct store_state {
    uint32_t uidvalidity;
    uint32_t uidnext;
    uint64_t synced_modseq;
    struct slice header;
    const struct store_block *blocks; /* ascending numbers */
    size_t blocks_n;
    bool replace; /* these are all blocks: others go.  The first write of a mailbox must say so. */
};

struct store_state_head {
    uint32_t uidvalidity;
    uint32_t uidnext;
    uint64_t synced_modseq;
};

/* All octets copied.  STALE: an earlier write was lost (or there is none): put everything again
 * with replace.  LIMIT: header or block too long. */
enum status store_state_put(struct store *store, uint64_t mailbox_id,
                            const struct store_state *state) MUST_USE;
/* Forget the state (it was seen to be wrong); items and content stay. */
void store_state_drop(struct store *store, uint64_t mailbox_id);
/* header_out: appended to.  NOT_FOUND, or CORRUPT (dropped; counted). */
enum status store_state_get(struct store *store, uint64_t mailbox_id, struct store_state_head *out,
                            struct buf *header_out) MUST_USE;
/* What the kept state has as UIDNEXT, or that which is on its way to the disk; 0: there is none. */
uint32_t store_state_uidnext(struct store *store, uint64_t mailbox_id);

/* bytes: borrowed for the call.  Anything but OK ends the walk. */
typedef enum status store_block_fn(void *arg, uint32_t number, struct slice bytes);
/* Every block in ascending order.  CORRUPT: they do not add up to the header; the state has been
 * dropped and what was given so far is worthless.  Else OK, NOT_FOUND, or what fn returned. */
enum status store_state_each_block(struct store *store, uint64_t mailbox_id, store_block_fn *fn,
                                   void *arg) MUST_USE;

#endif
