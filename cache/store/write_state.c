/* Applying mailbox state: header and blocks together, and the sum that ties them. */
#include "base/alloc.h"
#include "format_p.h"
#include "write_p.h"

static struct cold_mailbox *find_cold(struct store *store, uint64_t id)
{
    struct cold_mailbox *cold;
    HASH_FIND(hh, store->writer.cold, &id, sizeof(id), cold);
    return cold;
}

void write_cold_add(struct store *store, uint64_t mailbox_id)
{
    if (find_cold(store, mailbox_id) == NULL) {
        struct cold_mailbox *cold = alloc_zero(sizeof(*cold));
        cold->id = mailbox_id;
        HASH_ADD(hh, store->writer.cold, id, sizeof(cold->id), cold);
    }
}

void write_cold_remove(struct store *store, uint64_t mailbox_id)
{
    struct cold_mailbox *cold = find_cold(store, mailbox_id);
    if (cold != NULL) {
        HASH_DEL(store->writer.cold, cold);
        alloc_free(cold);
    }
}

void write_state_drop(struct txn *txn, uint64_t mailbox_id)
{
    struct key id = key_id(mailbox_id);
    struct prefix_walk walk;
    struct slice key;
    struct slice value;
    prefix_walk_begin(&walk, txn, DBI_STATE, &id, id.len);
    while (prefix_walk_next(&walk, &key, &value)) {
        prefix_walk_del(&walk);
    }
    prefix_walk_end(&walk);
}

/* What is there to be added to; false when nothing is. */
static bool read_fixed(struct txn *txn, uint64_t mailbox_id, struct state_fixed *out)
{
    struct key key = key_id_number(mailbox_id, 0);
    struct slice value;
    struct slice rest;
    if (!txn_get(txn, DBI_STATE, &key, &value) || !format_open(mailbox_id, 0, value, &rest) ||
        rest.len < sizeof(*out)) {
        return false;
    }
    memcpy(out, rest.data, sizeof(*out));
    return true;
}

static void write_block(struct txn *txn, uint64_t mailbox_id, const struct store_block *block,
                        struct state_fixed *fixed)
{
    uint32_t number = block->number + 1;
    struct key key = key_id_number(mailbox_id, number);
    struct slice old;
    if (txn_get(txn, DBI_STATE, &key, &old) && old.len >= SUM_BYTES) {
        fixed->blocks_n--;
        fixed->blocks_sum -= load_u64(old.data);
    }
    if (block->bytes.len == 0) {
        txn_del(txn, DBI_STATE, &key);
        return;
    }
    char *to = txn_room(txn, DBI_STATE, &key, SUM_BYTES + block->bytes.len);
    if (to == NULL) {
        return;
    }
    uint64_t sum = format_sum(mailbox_id, number, block->bytes);
    memcpy(to, &sum, sizeof(sum));
    memcpy(to + SUM_BYTES, block->bytes.data, block->bytes.len);
    fixed->blocks_n++;
    fixed->blocks_sum += sum;
}

static void write_header(struct txn *txn, uint64_t mailbox_id, const struct state_fixed *fixed,
                         struct slice header)
{
    struct key key = key_id_number(mailbox_id, 0);
    size_t len = SUM_BYTES + sizeof(*fixed) + header.len;
    char *to = txn_room(txn, DBI_STATE, &key, len);
    if (to == NULL) {
        return;
    }
    memcpy(to + SUM_BYTES, fixed, sizeof(*fixed));
    if (header.len > 0) {
        memcpy(to + SUM_BYTES + sizeof(*fixed), header.data, header.len);
    }
    uint64_t sum = format_sum(mailbox_id, 0, slice_of(to + SUM_BYTES, len - SUM_BYTES));
    memcpy(to, &sum, sizeof(sum));
}

void write_state(struct store *store, struct txn *txn, struct op_state *op)
{
    uint64_t id = op->op.mailbox_id;
    const struct store_state *state = &op->state;
    struct state_fixed fixed = {.blocks_n = 0};
    if (state->replace) {
        write_state_drop(txn, id);
        write_cold_remove(store, id);
    } else if (find_cold(store, id) != NULL || !read_fixed(txn, id, &fixed)) {
        if (txn_ok(txn)) {
            op->op.result = STALE; /* adding to what lost a write would mix two times */
            write_cold_add(store, id);
        }
        return;
    }
    fixed.uidvalidity = state->uidvalidity;
    fixed.uidnext = state->uidnext;
    fixed.synced_modseq = state->synced_modseq;
    for (size_t i = 0; i < state->blocks_n; i++) {
        write_block(txn, id, &state->blocks[i], &fixed);
    }
    write_header(txn, id, &fixed, state->header);
    write_touch_block(store, txn, (struct touch){id, BLOCK_STATE}, true);
}
