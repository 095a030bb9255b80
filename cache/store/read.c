/* Reading on the loop: one read transaction per environment, renewed at the first use in a turn and
 * reset at its end, and the walk over message records. */
#include "base/check.h"
#include "base/log.h"
#include "format_p.h"
#include "store_p.h"

MDB_txn *store__read_txn(struct store *store, enum env_kind kind)
{
    struct env *env = &store->env[kind];
    CHECK(store->reads > 0);
    if (!env->is_attached) {
        return NULL;
    }
    if (env->is_reading) {
        return env->read;
    }
    crash_enter(env, CRASH_LOOP);
    int rc = env->read == NULL ? mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &env->read)
                               : mdb_txn_renew(env->read);
    if (!store__rc_ok(store, kind, rc)) {
        crash_leave(env, CRASH_LOOP);
        return NULL;
    }
    env->is_reading = true;
    return env->read;
}

bool store__rc_ok(struct store *store, enum env_kind kind, int rc)
{
    if (rc != 0 && rc != MDB_NOTFOUND && env_status_of(rc) == CORRUPT) {
        store__damaged(store, kind);
    }
    return rc == 0;
}

bool store__get(struct store *store, enum env_kind kind, enum dbi dbi, const struct key *key,
                struct slice *value_out)
{
    MDB_txn *txn = store__read_txn(store, kind);
    if (txn == NULL) {
        return false;
    }
    MDB_val k = {.mv_size = key->len, .mv_data = (void *)(uintptr_t)key->at};
    MDB_val v;
    if (!store__rc_ok(store, kind, mdb_get(txn, store->env[kind].dbi[dbi], &k, &v))) {
        return false;
    }
    *value_out = slice_of(v.mv_data, v.mv_size);
    return true;
}

void store__detach(struct store *store, enum env_kind kind)
{
    struct env *env = &store->env[kind];
    CHECK(store->reads == 0);
    if (kind == ENV_INDEX) {
        while (store->cursors_n > 0) {
            mdb_cursor_close(store->cursors[--store->cursors_n]);
        }
    }
    if (env->read != NULL) {
        mdb_txn_abort(env->read);
        env->read = NULL;
    }
    env->is_reading = false;
    env->is_attached = false;
}

void store__bad_record(struct store *store, const char *what)
{
    stats_add(store->options.stats, STAT_store_bad_records, 1);
    LOG(LOG_WARN, "store", "msg=\"bad checksum, dropped\" what=%s", what);
}

/* --- the walk --- */

static const uint64_t NO_MORE = UINT64_MAX;
enum { NO_BLOCK = -1 };

static MDB_cursor *cursor_take(struct store *store)
{
    MDB_txn *txn = store__read_txn(store, ENV_INDEX);
    if (txn == NULL) {
        return NULL;
    }
    MDB_cursor *cursor = NULL;
    if (store->cursors_n > 0) {
        cursor = store->cursors[--store->cursors_n];
        if (mdb_cursor_renew(txn, cursor) == 0) {
            return cursor;
        }
        mdb_cursor_close(cursor);
    }
    int rc = mdb_cursor_open(txn, store->env[ENV_INDEX].dbi[DBI_MESSAGES], &cursor);
    return store__rc_ok(store, ENV_INDEX, rc) ? cursor : NULL;
}

void store_walk_begin(struct store *store, uint64_t mailbox_id, struct store_walk *walk)
{
    *walk = (struct store_walk){.store = store,
                                .mailbox_id = mailbox_id,
                                .at_key_uid = NO_MORE,
                                .touched_block = (uint32_t)NO_BLOCK};
    walk->cursor = overlay_is_hidden(store, mailbox_id) ? NULL : cursor_take(store);
    walk->is_placed = walk->cursor == NULL; /* then there is nothing, everywhere */
}

void store_walk_end(struct store_walk *walk)
{
    struct store *store = walk->store;
    if (walk->cursor == NULL) {
        return;
    }
    if (store->cursors_n < sizeof(store->cursors) / sizeof(store->cursors[0])) {
        store->cursors[store->cursors_n++] = walk->cursor;
    } else {
        mdb_cursor_close(walk->cursor);
    }
    walk->cursor = NULL;
}

static void move(struct store_walk *walk, uint32_t uid, MDB_cursor_op how)
{
    struct key key = key_id_number(walk->mailbox_id, uid);
    MDB_val k = {.mv_size = key.len, .mv_data = key.at};
    MDB_val v;
    int rc = mdb_cursor_get(walk->cursor, &k, &v, how);
    walk->at_key_uid = NO_MORE;
    if (store__rc_ok(walk->store, ENV_INDEX, rc) && k.mv_size == 12 &&
        load_be64(k.mv_data) == walk->mailbox_id) {
        walk->at_key_uid = load_be32((const char *)k.mv_data + 8);
        walk->at_value = slice_of(v.mv_data, v.mv_size);
    }
}

/* Put the cursor on the first record at or after @uid; true when it is that of @uid. */
static bool place(struct store_walk *walk, uint32_t uid)
{
    if (walk->cursor == NULL) {
        return false;
    }
    bool is_known = walk->is_placed && uid >= walk->sought_uid && uid <= walk->at_key_uid;
    if (!is_known) {
        bool is_ahead = walk->is_placed && walk->at_key_uid < uid;
        if (is_ahead) {
            walk->sought_uid = (uint32_t)walk->at_key_uid + 1;
            move(walk, uid, MDB_NEXT);
        }
        if (!is_ahead || walk->at_key_uid < uid) {
            walk->sought_uid = uid;
            move(walk, uid, MDB_SET_RANGE);
        }
        walk->is_placed = true;
    }
    return walk->at_key_uid == uid;
}

static void drop_bad(struct store_walk *walk, uint32_t uid)
{
    struct ranges one;
    store__bad_record(walk->store, "message");
    ranges_init(&one, 0);
    ranges_add(&one, uid, uid);
    store_messages_drop(walk->store, walk->mailbox_id, &one);
    ranges_fini(&one);
}

bool store_walk_to(struct store_walk *walk, uint32_t uid, struct record *out)
{
    struct store *store = walk->store;
    *out = (struct record){.uid = uid, .pending = overlay_items(store, walk->mailbox_id, uid)};
    if (store->drops != NULL) {
        out->floor = overlay_floor(store, walk->mailbox_id, uid);
    }
    if (out->floor == 0 && place(walk, uid)) {
        if (!format_open(walk->mailbox_id, uid, walk->at_value, &out->stored)) {
            out->stored = slice_of(NULL, 0);
            drop_bad(walk, uid);
        }
        if (uid / BLOCK_UIDS != walk->touched_block) {
            walk->touched_block = uid / BLOCK_UIDS;
            touch_block(store, walk->mailbox_id, walk->touched_block);
        }
    }
    return out->stored.len > 0 || (out->pending != NULL && out->pending->seq > out->floor);
}
