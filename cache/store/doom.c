/* Deleting what nothing points to any more, in steps between the writes: contents of expunged
 * messages or broken downloads, mailboxes that were dropped.  What a killed process left is found
 * at the start. */
#include "write_p.h"

static bool bury_contents(struct store *store)
{
    struct dead_contents *dead = &store->writer.dead;
    struct txn txn;
    size_t n = dead->n < EVICT_BATCH ? dead->n : EVICT_BATCH;
    txn_begin(&txn, &store->env[ENV_CONTENT]);
    for (size_t i = 0; i < n; i++) {
        (void)write_content_unref(&txn, dead->ids[dead->n - 1 - i]);
    }
    if (txn_commit(&txn) != OK) {
        dead->n = 0; /* eviction finds them in time */
        return false;
    }
    dead->n -= n;
    return true;
}

/* Delete one key per record of a prefix, at most EVICT_BATCH; true when all went. */
static bool forget_uses(struct txn *txn, uint64_t mailbox_id)
{
    struct key id = key_id(mailbox_id);
    struct prefix_walk walk;
    struct slice key;
    struct slice value;
    size_t n = 0;
    prefix_walk_begin(&walk, txn, DBI_USED, &id, id.len);
    while (n < EVICT_BATCH && prefix_walk_next(&walk, &key, &value)) {
        struct key use = key_begin();
        key_add_bytes(&use, value.data, value.len);
        key_add_bytes(&use, key.data, key.len);
        txn_del(txn, DBI_USE, &use);
        prefix_walk_del(&walk);
        n++;
    }
    prefix_walk_end(&walk);
    return n < EVICT_BATCH;
}

static bool first_doomed(struct txn *txn, uint64_t *id_out)
{
    struct key from = key_begin();
    struct prefix_walk walk;
    struct slice key;
    struct slice value;
    prefix_walk_begin(&walk, txn, DBI_DOOMED, &from, 0);
    bool found = prefix_walk_next(&walk, &key, &value);
    if (found) {
        *id_out = load_be64(key.data);
    }
    prefix_walk_end(&walk);
    return found;
}

static bool bury_mailbox(struct store *store)
{
    struct txn txn;
    uint64_t id = 0;
    txn_begin(&txn, &store->env[ENV_INDEX]);
    if (!first_doomed(&txn, &id)) {
        txn_abort(&txn);
        return false;
    }
    store->writer.used_id = 0;
    write_state_drop(&txn, id);
    struct range all = {0, UINT32_MAX};
    struct deleted deleted = write_messages_delete(store, &txn, id, all, EVICT_BATCH);
    struct deleted searches = write_searches_delete(&txn, id, EVICT_BATCH);
    if (deleted.n < EVICT_BATCH && searches.n < EVICT_BATCH && forget_uses(&txn, id)) {
        struct key key = key_id(id);
        txn_del(&txn, DBI_DOOMED, &key);
    }
    /* On failure it stays doomed, for the next start. */
    return txn_commit(&txn) == OK;
}

static bool bury_messages(struct store *store)
{
    struct later_drops *later = &store->writer.later;
    const struct later *last = &later->at[later->n - 1];
    struct txn txn;
    txn_begin(&txn, &store->env[ENV_INDEX]);
    struct deleted deleted =
        write_messages_delete(store, &txn, last->mailbox_id, last->uids, EVICT_BATCH);
    if (txn_commit(&txn) != OK) {
        later->n = 0; /* eviction finds them in time */
    } else if (deleted.n < EVICT_BATCH) {
        later->n--;
    }
    return true;
}

static bool is_usable(const struct env *env)
{
    return env->mdb != NULL && !env->is_lost;
}

bool doom_step(struct store *store)
{
    struct writer *writer = &store->writer;
    if (writer->dead.n > 0) {
        if (!is_usable(&store->env[ENV_CONTENT])) {
            writer->dead.n = 0;
        } else {
            return bury_contents(store) || writer->has_doomed || writer->later.n > 0;
        }
    }
    if (!is_usable(&store->env[ENV_INDEX])) {
        writer->later.n = 0;
        return false;
    }
    if (writer->later.n > 0) {
        return bury_messages(store);
    }
    return writer->has_doomed && bury_mailbox(store);
}

void doom_find_leftovers(struct store *store)
{
    struct key from = key_begin();
    struct prefix_walk walk;
    struct slice key;
    struct slice value;
    struct txn txn;
    txn_begin(&txn, &store->env[ENV_CONTENT]);
    prefix_walk_begin(&walk, &txn, DBI_STAGED, &from, 0);
    while (prefix_walk_next(&walk, &key, &value)) {
        write_dead_add(store, load_be64(key.data));
    }
    prefix_walk_end(&walk);
    txn_abort(&txn);
    store->writer.has_doomed = true; /* looks once, finds it out */
}
