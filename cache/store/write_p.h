#ifndef STORE_WRITE_P_H
#define STORE_WRITE_P_H
/* The writer's side: applying ops within a transaction, making room, deleting in the background.
 * Thread: writer. */
#include "store_p.h"

/* Writer: one file per environment applies ops within a transaction.  Both return the last op they
 * took: ops on one message that follow each other are one change. */
void write_content_op(struct store *store, struct txn *txn, struct store_op *op);
struct store_op *write_index_op(struct store *store, struct txn *txn, struct store_op *op);
void write_state(struct store *store, struct txn *txn, struct op_state *op);
void write_search(struct store *store, struct txn *txn, const struct op_search *op);
void write_search_use(struct store *store, struct txn *txn, const struct op_search *op);
void write_search_drop(struct txn *txn, const struct op_search *op);
void write_state_drop(struct txn *txn, uint64_t mailbox_id);
void write_cold_add(struct store *store, uint64_t mailbox_id);
void write_cold_remove(struct store *store, uint64_t mailbox_id);
/* Contents that one record fewer points to: those nobody points to are deleted later, in steps. */
void write_dead_add(struct store *store, uint64_t content_id);
/* Delete a content with everything kept of it; returns its octets. */
uint64_t write_content_delete(struct txn *txn, uint64_t content_id);
/* One record fewer points to it: delete it when that was the last. */
uint64_t write_content_unref(struct txn *txn, uint64_t content_id);
/* Delete at most max message records from uid first to last; returns how many, and their octets. */
struct deleted {
    size_t n;
    uint64_t bytes;
};
struct deleted write_searches_delete(struct txn *txn, uint64_t mailbox_id, size_t max);
struct deleted write_messages_delete(struct store *store, struct txn *txn, uint64_t mailbox_id,
                                     struct range uids, size_t max);
/* Remember the use of a block in this hour.  may_create: else only where it is known already. */
void write_touch_block(struct store *store, struct txn *txn, struct touch what, bool may_create);

/* evict.c, writer: make room before a write of @bytes.  FULL when there is none to be made,
 * CORRUPT when the environment must be emptied. */
enum status evict_for(struct store *store, enum env_kind kind, uint64_t bytes) MUST_USE;
/* doom.c, writer: one step of deleting what nothing points to any more; false when all is done. */
bool doom_step(struct store *store);
void doom_find_leftovers(struct store *store);

#endif
