#include "txn_p.h"

#include <errno.h>

#include "base/fault.h"

void txn_begin(struct txn *txn, struct env *env)
{
    *txn = (struct txn){.env = env};
    if (env->mdb == NULL) {
        txn->rc = MDB_INVALID;
        return;
    }
    crash_enter(env, CRASH_WRITER);
    txn->rc = mdb_txn_begin(env->mdb, NULL, 0, &txn->mdb);
    if (txn->rc != 0) {
        txn->mdb = NULL;
        crash_leave(env, CRASH_WRITER);
    }
}

bool txn_ok(const struct txn *txn)
{
    return txn->rc == 0;
}

void txn_fail(struct txn *txn, int rc)
{
    if (txn->rc == 0 && rc != 0) {
        txn->rc = rc;
    }
}

static MDB_val val_of(const struct key *key)
{
    return (MDB_val){.mv_size = key->len, .mv_data = (void *)(uintptr_t)key->at};
}

/* A value of more than half a page has pages of its own, which begin with LMDB's header: number,
 * padding, flags, count of pages.  LMDB believes that count when it frees them: a damaged one would
 * give away pages of others, or fill all memory with a list of pages [M].  So look before anything
 * is deleted or replaced; whoever writes has read it before. */
static bool is_sound(struct txn *txn, const MDB_val *value)
{
    enum { HEAD = 16, OVERFLOW = 0x04 };
    size_t page = txn->env->page_bytes;
    if (value->mv_size <= page / 2) {
        return true;
    }
    uint16_t flags;
    uint32_t pages;
    memcpy(&flags, (const char *)value->mv_data - 6, sizeof(flags));
    memcpy(&pages, (const char *)value->mv_data - 4, sizeof(pages));
    if ((flags & OVERFLOW) == 0 || pages != (HEAD - 1 + value->mv_size) / page + 1) {
        txn_fail(txn, MDB_CORRUPTED);
        return false;
    }
    return true;
}

bool txn_get(struct txn *txn, enum dbi dbi, const struct key *key, struct slice *value_out)
{
    if (!txn_ok(txn)) {
        return false;
    }
    MDB_val k = val_of(key);
    MDB_val v;
    int rc = mdb_get(txn->mdb, txn->env->dbi[dbi], &k, &v);
    if (rc != 0) {
        txn_fail(txn, rc == MDB_NOTFOUND ? 0 : rc);
        return false;
    }
    *value_out = slice_of(v.mv_data, v.mv_size);
    return is_sound(txn, &v);
}

bool txn_has(struct txn *txn, enum dbi dbi, const struct key *key)
{
    struct slice ignored;
    return txn_get(txn, dbi, key, &ignored);
}

static void put(struct txn *txn, enum dbi dbi, const struct key *key, MDB_val *value,
                unsigned flags)
{
    if (!txn_ok(txn)) {
        return;
    }
    if (FAULT(store_full)) {
        txn_fail(txn, MDB_MAP_FULL);
        return;
    }
    if (FAULT(store_put)) {
        txn_fail(txn, EIO);
        return;
    }
    MDB_val k = val_of(key);
    txn_fail(txn, mdb_put(txn->mdb, txn->env->dbi[dbi], &k, value, flags));
}

void txn_put(struct txn *txn, enum dbi dbi, const struct key *key, struct slice value)
{
    MDB_val v = {.mv_size = value.len, .mv_data = (void *)(uintptr_t)value.data};
    put(txn, dbi, key, &v, 0);
}

void *txn_room(struct txn *txn, enum dbi dbi, const struct key *key, size_t len)
{
    MDB_val v = {.mv_size = len, .mv_data = NULL};
    put(txn, dbi, key, &v, MDB_RESERVE);
    return txn_ok(txn) ? v.mv_data : NULL;
}

void txn_del(struct txn *txn, enum dbi dbi, const struct key *key)
{
    if (!txn_ok(txn)) {
        return;
    }
    MDB_val k = val_of(key);
    int rc = mdb_del(txn->mdb, txn->env->dbi[dbi], &k, NULL);
    txn_fail(txn, rc == MDB_NOTFOUND ? 0 : rc);
}

enum status txn_commit(struct txn *txn)
{
    if (txn_ok(txn) && FAULT(store_commit)) {
        txn_fail(txn, EIO);
    }
    if (!txn_ok(txn)) {
        txn_abort(txn);
        return env_status_of(txn->rc);
    }
    txn->rc = mdb_txn_commit(txn->mdb);
    txn->mdb = NULL;
    txn->env->is_dirty = true;
    crash_leave(txn->env, CRASH_WRITER);
    return env_status_of(txn->rc);
}

void txn_abort(struct txn *txn)
{
    if (txn->mdb != NULL) {
        mdb_txn_abort(txn->mdb);
        txn->mdb = NULL;
        crash_leave(txn->env, CRASH_WRITER);
    }
}

static uint64_t pages_of(struct txn *txn, MDB_dbi dbi)
{
    MDB_stat stat;
    int rc = mdb_stat(txn->mdb, dbi, &stat);
    if (rc != 0) {
        txn_fail(txn, rc);
        return 0;
    }
    return stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
}

uint64_t txn_used_bytes(struct txn *txn)
{
    if (!txn_ok(txn)) {
        return 0;
    }
    enum { FREE_DB = 0, MAIN_DB = 1 }; /* LMDB's own two trees */
    uint64_t pages = 2 + pages_of(txn, FREE_DB) + pages_of(txn, MAIN_DB);
    for (int i = 0; i < DBI_N; i++) {
        if (txn->env->dbi[i] > MAIN_DB) {
            pages += pages_of(txn, txn->env->dbi[i]);
        }
    }
    MDB_stat stat;
    (void)mdb_env_stat(txn->env->mdb, &stat);
    return pages * stat.ms_psize;
}

void prefix_walk_begin(struct prefix_walk *walk, struct txn *txn, enum dbi dbi,
                       const struct key *from, size_t prefix_len)
{
    *walk = (struct prefix_walk){.txn = txn, .from = *from, .prefix_len = prefix_len};
    if (txn_ok(txn)) {
        txn_fail(txn, mdb_cursor_open(txn->mdb, txn->env->dbi[dbi], &walk->cursor));
    }
}

bool prefix_walk_next(struct prefix_walk *walk, struct slice *key_out, struct slice *value_out)
{
    if (!txn_ok(walk->txn)) {
        return false;
    }
    MDB_val k = val_of(&walk->from);
    MDB_val v;
    MDB_cursor_op first = walk->from.len == 0 ? MDB_FIRST : MDB_SET_RANGE; /* no empty keys there */
    int rc = mdb_cursor_get(walk->cursor, &k, &v, walk->has_begun ? MDB_NEXT : first);
    walk->has_begun = true;
    if (rc != 0) {
        txn_fail(walk->txn, rc == MDB_NOTFOUND ? 0 : rc);
        return false;
    }
    if (k.mv_size < walk->prefix_len || memcmp(k.mv_data, walk->from.at, walk->prefix_len) != 0) {
        return false;
    }
    *key_out = slice_of(k.mv_data, k.mv_size);
    *value_out = slice_of(v.mv_data, v.mv_size);
    return is_sound(walk->txn, &v);
}

void prefix_walk_del(struct prefix_walk *walk)
{
    if (txn_ok(walk->txn)) {
        /* MDB_NEXT after a delete gives the record that took the place, so nothing is skipped. */
        txn_fail(walk->txn, mdb_cursor_del(walk->cursor, 0));
    }
}

void prefix_walk_end(struct prefix_walk *walk)
{
    if (walk->cursor != NULL && walk->txn->mdb != NULL) {
        mdb_cursor_close(walk->cursor);
    }
    walk->cursor = NULL;
}
