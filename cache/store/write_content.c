/* Applying ops to the content environment. */
#include "base/alloc.h"
#include "base/log.h"
#include "format_p.h"
#include "write_p.h"

void write_dead_add(struct store *store, uint64_t content_id)
{
    struct dead_contents *dead = &store->writer.dead;
    if (dead->n == dead->cap) {
        dead->cap = dead->cap == 0 ? 64 : dead->cap * 2;
        dead->ids = alloc_resize(dead->ids, dead->cap, sizeof(dead->ids[0]));
    }
    dead->ids[dead->n++] = content_id;
}

static struct key use_key(uint32_t hour, uint64_t content_id)
{
    struct key key = key_begin();
    key_add_u32(&key, hour);
    key_add_u64(&key, content_id);
    return key;
}

static bool get_info(struct txn *txn, const struct key *id, struct content_info *out)
{
    struct slice value;
    if (!txn_get(txn, DBI_INFO, id, &value) || value.len != sizeof(*out)) {
        return false;
    }
    memcpy(out, value.data, sizeof(*out));
    return true;
}

static void put_info(struct txn *txn, uint64_t content_id, const struct content_info *info)
{
    struct key id = key_id(content_id);
    struct key use = use_key(info->hour, content_id);
    txn_put(txn, DBI_INFO, &id, slice_of(info, sizeof(*info)));
    txn_put(txn, DBI_USE, &use, slice_of(NULL, 0));
}

uint64_t write_content_delete(struct txn *txn, uint64_t content_id)
{
    struct key id = key_id(content_id);
    struct prefix_walk walk;
    struct slice key;
    struct slice value;
    uint64_t bytes = 0;
    prefix_walk_begin(&walk, txn, DBI_CHUNKS, &id, id.len);
    while (prefix_walk_next(&walk, &key, &value)) {
        bytes += value.len;
        prefix_walk_del(&walk);
    }
    prefix_walk_end(&walk);
    struct content_info info;
    if (get_info(txn, &id, &info)) {
        struct key use = use_key(info.hour, content_id);
        txn_del(txn, DBI_USE, &use);
        txn_del(txn, DBI_INFO, &id);
    }
    txn_del(txn, DBI_STAGED, &id);
    return bytes;
}

uint64_t write_content_unref(struct txn *txn, uint64_t content_id)
{
    struct key id = key_id(content_id);
    struct content_info info;
    if (!get_info(txn, &id, &info) || info.links == 0) {
        return write_content_delete(txn, content_id);
    }
    info.links--;
    txn_put(txn, DBI_INFO, &id, slice_of(&info, sizeof(info)));
    return 0;
}

static void write_chunk(struct txn *txn, const struct op_chunk *op)
{
    uint64_t content_id = op->op.mailbox_id;
    if (op->number == 0) {
        struct key id = key_id(content_id);
        txn_put(txn, DBI_STAGED, &id, slice_of(NULL, 0));
    }
    struct key key = key_id_number(content_id, op->number);
    char *to = txn_room(txn, DBI_CHUNKS, &key, CHUNK_HEAD_BYTES + op->len);
    if (to == NULL) {
        return;
    }
    memcpy(to, &op->sum, sizeof(op->sum));
    memcpy(to + SUM_BYTES, &op->stored_len, sizeof(op->stored_len));
    memcpy(to + CHUNK_HEAD_BYTES, op->data, op->len);
}

/* "A message record must never point to content that is not wholly there": count what is there. */
static bool is_whole(struct txn *txn, const struct content_ref *ref)
{
    struct key id = key_id(ref->content_id);
    struct prefix_walk walk;
    struct slice key;
    struct slice value;
    uint64_t n = 0;
    bool fits = true;
    prefix_walk_begin(&walk, txn, DBI_CHUNKS, &id, id.len);
    while (fits && prefix_walk_next(&walk, &key, &value)) {
        fits = load_be32(key.data + 8) == n && n < chunks_of(ref->size_bytes) &&
               value.len == CHUNK_HEAD_BYTES + chunk_len(ref->size_bytes, n);
        n++;
    }
    prefix_walk_end(&walk);
    return fits && n == chunks_of(ref->size_bytes);
}

static void write_commit(struct store *store, struct txn *txn, struct op_item *op)
{
    if (!is_whole(txn, &op->content)) {
        if (txn_ok(txn)) {
            op->op.result = FULL; /* chunks were dropped on the way */
            write_dead_add(store, op->content.content_id);
        }
        return;
    }
    struct key id = key_id(op->content.content_id);
    txn_del(txn, DBI_STAGED, &id);
    struct content_info info = {.size_bytes = op->content.size_bytes, .hour = store__hour(store)};
    put_info(txn, op->content.content_id, &info);
}

static void write_share(struct txn *txn, struct op_item *op)
{
    struct key id = key_id(op->content.content_id);
    struct content_info info;
    bool is_there =
        get_info(txn, &id, &info) && info.size_bytes == op->content.size_bytes && info.links < UINT32_MAX;
    if (!is_there) {
        op->op.result = txn_ok(txn) ? NOT_FOUND : OK; /* evicted meanwhile, or dropped on the way */
        return;
    }
    info.links++;
    txn_put(txn, DBI_INFO, &id, slice_of(&info, sizeof(info)));
}

static void write_touches(struct store *store, struct txn *txn, const struct op_touch *op)
{
    uint32_t hour = store__hour(store);
    for (size_t i = 0; i < op->n; i++) {
        struct key id = key_id(op->at[i].id);
        struct content_info info;
        if (get_info(txn, &id, &info) && info.hour != hour) {
            struct key use = use_key(info.hour, op->at[i].id);
            txn_del(txn, DBI_USE, &use);
            info.hour = hour;
            put_info(txn, op->at[i].id, &info);
        }
    }
}

void write_content_op(struct store *store, struct txn *txn, struct store_op *op)
{
    if (op->kind == OP_CHUNK) {
        write_chunk(txn, (const struct op_chunk *)op);
    } else if (op->kind == OP_CONTENT_COMMIT) {
        write_commit(store, txn, (struct op_item *)op);
    } else if (op->kind == OP_CONTENT_SHARE) {
        write_share(txn, (struct op_item *)op);
    } else if (op->kind == OP_CONTENT_DROP) {
        (void)write_content_delete(txn, op->mailbox_id);
    } else if (op->kind == OP_TOUCH_CONTENT) {
        write_touches(store, txn, (const struct op_touch *)op);
    }
}
