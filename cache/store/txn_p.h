#ifndef STORE_TXN_P_H
#define STORE_TXN_P_H
/* A write transaction whose first failure sticks: later calls do nothing, the caller checks once at
 * the commit.  Also the walk over all keys with one prefix.  "Not there" is no failure.   Thread:
 * writer (and whoever opens the store, before the writer runs). */
#include <lmdb.h>

#include "base/status.h"
#include "env_p.h"
#include "key_p.h"

struct txn {
    MDB_txn *mdb; /* NULL once ended */
    struct env *env;
    int rc; /* first failure; 0 = none */
};

void txn_begin(struct txn *txn, struct env *env);
bool txn_ok(const struct txn *txn);
void txn_fail(struct txn *txn, int rc);
/* False: not there, or failed.  The value is borrowed until the next write. */
bool txn_get(struct txn *txn, enum dbi dbi, const struct key *key, struct slice *value_out);
bool txn_has(struct txn *txn, enum dbi dbi, const struct key *key);
void txn_put(struct txn *txn, enum dbi dbi, const struct key *key, struct slice value);
/* Room of @len octets under the key, to be filled before the next call; NULL when failed. */
void *txn_room(struct txn *txn, enum dbi dbi, const struct key *key, size_t len);
void txn_del(struct txn *txn, enum dbi dbi, const struct key *key);
/* Ends it either way.  OK, or the status of the first failure (then nothing happened). */
enum status txn_commit(struct txn *txn) MUST_USE;
void txn_abort(struct txn *txn);
/* Octets in use by trees, without free pages. */
uint64_t txn_used_bytes(struct txn *txn);

struct prefix_walk {
    struct txn *txn;
    MDB_cursor *cursor;
    struct key from;
    size_t prefix_len;
    bool has_begun;
};
/* All records with a key >= from that share its first prefix_len octets. */
void prefix_walk_begin(struct prefix_walk *walk, struct txn *txn, enum dbi dbi,
                       const struct key *from, size_t prefix_len);
/* False at the end, or when the transaction failed. */
bool prefix_walk_next(struct prefix_walk *walk, struct slice *key_out, struct slice *value_out);
/* Delete the record given last; next gives the one after it. */
void prefix_walk_del(struct prefix_walk *walk);
void prefix_walk_end(struct prefix_walk *walk);

#endif
