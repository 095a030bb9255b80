/* Making room before a write, the longest unused first.  Each environment has its own cap, so
 * bodies never push out small items.  LMDB can reuse a freed page only two commits later, and at a
 * full map even a delete fails: hence small batches, each its own transaction, well below the map's
 * end. */
#include "base/log.h"
#include "write_p.h"

enum { HIGH_PERCENT = 90, LOW_PERCENT = 85 };

struct used_key {
    struct key key;
    struct touch what;
};

/* The @max longest unused, as they stand in DBI_USE: hour, id [, block]. */
static size_t oldest(struct txn *txn, struct used_key *out, size_t max)
{
    struct key from = key_begin();
    struct prefix_walk walk;
    struct slice key;
    struct slice value;
    size_t n = 0;
    prefix_walk_begin(&walk, txn, DBI_USE, &from, 0);
    while (n < max && prefix_walk_next(&walk, &key, &value)) {
        struct used_key *used = &out[n++];
        used->key = key_begin();
        key_add_bytes(&used->key, key.data, key.len);
        used->what.id = load_be64(key.data + 4);
        used->what.block = key.len >= 16 ? load_be32(key.data + 12) : 0;
    }
    prefix_walk_end(&walk);
    return n;
}

static struct deleted evict_block(struct store *store, struct txn *txn, struct touch what)
{
    struct key used = key_id_number(what.id, what.block);
    txn_del(txn, DBI_USED, &used);
    if (what.block == BLOCK_STATE) {
        write_state_drop(txn, what.id);
        return (struct deleted){1, 0};
    }
    if (what.block == BLOCK_SEARCHES) {
        return write_searches_delete(txn, what.id, SIZE_MAX);
    }
    struct range uids = {what.block * BLOCK_UIDS, what.block * BLOCK_UIDS + (BLOCK_UIDS - 1)};
    return write_messages_delete(store, txn, what.id, uids, SIZE_MAX);
}

/* One batch; returns how many units went, adds their octets. */
static size_t evict_batch(struct store *store, struct txn *txn, uint64_t enough, uint64_t *bytes)
{
    struct used_key units[EVICT_BATCH];
    size_t n = oldest(txn, units, EVICT_BATCH);
    size_t done = 0;
    size_t records = 0;
    while (done < n && records < EVICT_BATCH && *bytes < enough && txn_ok(txn)) {
        struct used_key *unit = &units[done++];
        txn_del(txn, DBI_USE, &unit->key);
        if (txn->env->kind == ENV_CONTENT) {
            *bytes += write_content_delete(txn, unit->what.id);
            records++;
        } else {
            struct deleted deleted = evict_block(store, txn, unit->what);
            *bytes += deleted.bytes;
            records += deleted.n;
        }
    }
    return done;
}

enum status evict_for(struct store *store, enum env_kind kind, uint64_t bytes)
{
    struct env *env = &store->env[kind];
    uint64_t high = env->size_bytes / 100 * HIGH_PERCENT;
    uint64_t low = env->size_bytes / 100 * LOW_PERCENT;
    for (;;) {
        struct txn txn;
        txn_begin(&txn, env);
        uint64_t used = txn_used_bytes(&txn);
        if (!txn_ok(&txn) || used + bytes <= high) {
            txn_abort(&txn);
            return env_status_of(txn.rc);
        }
        uint64_t evicted = 0;
        uint64_t enough = used + bytes > low ? used + bytes - low : 0;
        store->writer.used_id = 0;
        size_t units = evict_batch(store, &txn, enough, &evicted);
        enum status st = txn_commit(&txn);
        if (st != OK) {
            return txn.rc == MDB_MAP_FULL ? CORRUPT : st; /* no way out but to empty it */
        }
        if (units == 0) {
            return used + bytes <= env->size_bytes ? OK : FULL;
        }
        stats_add(store->options.stats, STAT_store_evicted_bytes, evicted);
        LOG(LOG_DEBUG, "store", "msg=evicted env=%s units=%zu bytes=%llu used=%llu", env->name,
            units, (unsigned long long)evicted, (unsigned long long)used);
    }
}
