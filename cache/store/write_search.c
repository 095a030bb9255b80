/* Remembered searches, the writer's side, and what stands in their values. */
#include "search_p.h"

#include "format_p.h"
#include "write_p.h"

struct key search_key(uint64_t mailbox_id, const unsigned char hash[NAME_HASH_BYTES])
{
    struct key key = key_id(mailbox_id);
    key_add_bytes(&key, hash, NAME_HASH_BYTES);
    return key;
}

static uint64_t sum_of(const struct key *key, struct slice bytes)
{
    return format_sum(load_be64(key->at) ^ load_be64(key->at + 8), load_be32(key->at + 16), bytes);
}

void search_value_write(char *to, const struct key *key, struct slice name, struct slice octets)
{
    uint64_t name_len = name.len;
    memcpy(to + SUM_BYTES, &name_len, sizeof(name_len));
    if (name.len > 0) {
        memcpy(to + SEARCH_HEAD_BYTES, name.data, name.len);
    }
    if (octets.len > 0) {
        memcpy(to + SEARCH_HEAD_BYTES + name.len, octets.data, octets.len);
    }
    size_t len = SEARCH_HEAD_BYTES + name.len + octets.len;
    uint64_t sum = sum_of(key, slice_of(to + SUM_BYTES, len - SUM_BYTES));
    memcpy(to, &sum, sizeof(sum));
}

bool search_value_read(const struct key *key, struct slice value, struct slice *name_out,
                       struct slice *octets_out)
{
    if (value.len < SEARCH_HEAD_BYTES ||
        load_u64(value.data) != sum_of(key, slice_sub(value, SUM_BYTES, value.len))) {
        return false;
    }
    uint64_t name_len = load_u64(value.data + SUM_BYTES);
    struct slice rest = slice_sub(value, SEARCH_HEAD_BYTES, value.len);
    if (name_len > rest.len) {
        return false;
    }
    *name_out = slice_sub(rest, 0, name_len);
    *octets_out = slice_sub(rest, name_len, rest.len);
    return true;
}

/* --- deleting -----------------------------------------------------------------------------------
 */

/* Looked at before it is deleted, as all values are: see txn.c. */
static void delete_one(struct txn *txn, const struct key *key)
{
    if (txn_has(txn, DBI_SEARCHES, key)) {
        txn_del(txn, DBI_SEARCHES, key);
    }
    txn_del(txn, DBI_SEARCHED, key);
}

void write_search_drop(struct txn *txn, const struct op_search *op)
{
    struct key key = search_key(op->op.mailbox_id, op->hash);
    delete_one(txn, &key);
}

struct deleted write_searches_delete(struct txn *txn, uint64_t mailbox_id, size_t max)
{
    struct key id = key_id(mailbox_id);
    struct prefix_walk walk;
    struct slice key;
    struct slice value;
    struct deleted deleted = {0, 0};
    prefix_walk_begin(&walk, txn, DBI_SEARCHES, &id, id.len);
    while (deleted.n < max && prefix_walk_next(&walk, &key, &value)) {
        struct key at = key_begin();
        key_add_bytes(&at, key.data, key.len);
        deleted.n++;
        deleted.bytes += value.len;
        prefix_walk_del(&walk);
        txn_del(txn, DBI_SEARCHED, &at);
    }
    prefix_walk_end(&walk);
    return deleted;
}

/* --- putting ------------------------------------------------------------------------------------
 */

static void put_use(struct txn *txn, const struct key *key, struct search_use use)
{
    txn_put(txn, DBI_SEARCHED, key, slice_of(&use, sizeof(use)));
}

struct kept {
    size_t n;
    uint64_t bytes;
    struct key oldest;
};

static struct kept count_kept(struct txn *txn, uint64_t mailbox_id)
{
    struct key id = key_id(mailbox_id);
    struct prefix_walk walk;
    struct slice key;
    struct slice value;
    struct kept kept = {.n = 0};
    uint64_t oldest = UINT64_MAX;
    prefix_walk_begin(&walk, txn, DBI_SEARCHED, &id, id.len);
    while (prefix_walk_next(&walk, &key, &value)) {
        struct search_use use = {0, 0}; /* of a damaged one: it goes first */
        if (value.len == sizeof(use)) {
            memcpy(&use, value.data, sizeof(use));
        }
        kept.n++;
        kept.bytes += use.bytes;
        if (use.stamp < oldest) {
            oldest = use.stamp;
            kept.oldest = key_begin();
            key_add_bytes(&kept.oldest, key.data, key.len);
        }
    }
    prefix_walk_end(&walk);
    return kept;
}

static uint64_t bytes_max(const struct store *store)
{
    uint64_t part = store->env[ENV_INDEX].size_bytes / 8;
    return part < STORE_SEARCHES_BYTES_MAX ? part : STORE_SEARCHES_BYTES_MAX;
}

/* What was put just now has the newest stamp, so that it goes last. */
static void keep_within_limits(struct store *store, struct txn *txn, uint64_t mailbox_id)
{
    struct kept kept = count_kept(txn, mailbox_id);
    while (txn_ok(txn) && kept.n > 1 &&
           (kept.n > store->options.searches_max || kept.bytes > bytes_max(store))) {
        delete_one(txn, &kept.oldest);
        kept = count_kept(txn, mailbox_id);
    }
}

void write_search(struct store *store, struct txn *txn, const struct op_search *op)
{
    uint64_t id = op->op.mailbox_id;
    struct key key = search_key(id, op->hash);
    size_t len = SEARCH_HEAD_BYTES + op->name.len + op->octets.len;
    (void)txn_has(txn, DBI_SEARCHES, &key); /* looked at before it is replaced */
    char *to = txn_room(txn, DBI_SEARCHES, &key, len);
    if (to == NULL) {
        return;
    }
    search_value_write(to, &key, op->name, op->octets);
    put_use(txn, &key, (struct search_use){op->stamp, len});
    keep_within_limits(store, txn, id);
    write_touch_block(store, txn, (struct touch){id, BLOCK_SEARCHES}, true);
}

void write_search_use(struct store *store, struct txn *txn, const struct op_search *op)
{
    struct key key = search_key(op->op.mailbox_id, op->hash);
    struct search_use use;
    struct slice value;
    if (!txn_get(txn, DBI_SEARCHED, &key, &value) || value.len != sizeof(use)) {
        return;
    }
    memcpy(&use, value.data, sizeof(use));
    use.stamp = op->stamp;
    put_use(txn, &key, use);
    write_touch_block(store, txn, (struct touch){op->op.mailbox_id, BLOCK_SEARCHES}, false);
}
