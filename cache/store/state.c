/* Mailbox state, the loop's side: putting, and reading merged with what is still on the way. */
#include "store/state.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "format_p.h"
#include "store_p.h"

static bool is_too_long(const struct store_state *state)
{
    bool is_long = state->header.len > STORE_HEADER_MAX;
    for (size_t i = 0; i < state->blocks_n; i++) {
        is_long = is_long || state->blocks[i].bytes.len > STORE_BLOCK_MAX ||
                  state->blocks[i].number == UINT32_MAX;
    }
    return is_long;
}

/* Is there, or will there be when the writer gets to it, a state to add to? */
static bool is_warm(struct store *store, struct mailbox_note *note)
{
    if (note->is_cold) {
        return false;
    }
    if (note->states != NULL) {
        return note->states->kind == OP_STATE;
    }
    if (!note->is_warm) {
        struct key key = key_id_number(note->id, 0);
        struct slice value;
        store_read_begin(store);
        note->is_warm = store__get(store, ENV_INDEX, DBI_STATE, &key, &value);
        store_read_end(store);
    }
    return note->is_warm;
}

static struct op_state *copy_state(struct store *store, uint64_t mailbox_id,
                                   const struct store_state *state)
{
    size_t blocks_bytes = state->blocks_n * sizeof(struct store_block);
    size_t size = sizeof(struct op_state) + blocks_bytes + state->header.len;
    for (size_t i = 0; i < state->blocks_n; i++) {
        size += state->blocks[i].bytes.len;
    }
    struct op_state *op = store__op_new(store, OP_STATE, size, size);
    op->op.mailbox_id = mailbox_id;
    op->state = *state;
    struct store_block *blocks = (struct store_block *)(op + 1);
    char *to = (char *)(blocks + state->blocks_n);
    for (size_t i = 0; i < state->blocks_n; i++) {
        blocks[i] = (struct store_block){state->blocks[i].number,
                                         op_text(&to, state->blocks[i].bytes)};
    }
    op->state.blocks = blocks;
    op->state.header = op_text(&to, state->header);
    return op;
}

static void stage(struct store *store, struct mailbox_note *note, struct op_state *op)
{
    op->op.older = note->states;
    note->states = &op->op;
    store__stage(store, &op->op);
}

enum status store_state_put(struct store *store, uint64_t mailbox_id,
                            const struct store_state *state)
{
    if (is_too_long(state)) {
        return LIMIT;
    }
    struct mailbox_note *note = overlay_mailbox_need(store, mailbox_id);
    if (note->is_hidden) {
        return OK;
    }
    if (!state->replace && !is_warm(store, note)) {
        return STALE;
    }
    if (state->replace) {
        note->is_warm = true;
        note->is_cold = false;
    }
    stage(store, note, copy_state(store, mailbox_id, state));
    return OK;
}

void store_state_drop(struct store *store, uint64_t mailbox_id)
{
    struct mailbox_note *note = overlay_mailbox_need(store, mailbox_id);
    if (note->is_hidden) {
        return;
    }
    note->is_warm = false;
    struct op_state *op = store__op_new(store, OP_STATE_DROP, sizeof(*op), sizeof(*op));
    memset(&op->state, 0, sizeof(op->state));
    op->op.mailbox_id = mailbox_id;
    stage(store, note, op);
}

static void drop_bad(struct store *store, uint64_t mailbox_id)
{
    store__bad_record(store, "state");
    store_state_drop(store, mailbox_id);
}

/* The header on disk: OK, NOT_FOUND, CORRUPT. */
static enum status read_fixed(struct store *store, uint64_t mailbox_id, struct state_fixed *out,
                              struct slice *header_out)
{
    struct key key = key_id_number(mailbox_id, 0);
    struct slice value;
    struct slice rest;
    if (!store__get(store, ENV_INDEX, DBI_STATE, &key, &value)) {
        return NOT_FOUND;
    }
    if (!format_open(mailbox_id, 0, value, &rest) || rest.len < sizeof(*out)) {
        drop_bad(store, mailbox_id);
        return CORRUPT;
    }
    memcpy(out, rest.data, sizeof(*out));
    *header_out = slice_of(rest.data + sizeof(*out), rest.len - sizeof(*out));
    return OK;
}

static const struct store_op *pending_of(struct store *store, uint64_t mailbox_id)
{
    const struct mailbox_note *note = overlay_mailbox(store, mailbox_id);
    return note == NULL ? NULL : note->states;
}

/* Between read_begin and read_end. */
static enum status find_head(struct store *store, uint64_t mailbox_id,
                             struct store_state_head *out, struct slice *header_out)
{
    const struct store_op *pending = pending_of(store, mailbox_id);
    if (overlay_is_hidden(store, mailbox_id) ||
        (pending != NULL && pending->kind == OP_STATE_DROP)) {
        return NOT_FOUND;
    }
    if (pending != NULL) {
        const struct store_state *state = &((const struct op_state *)pending)->state;
        *out = (struct store_state_head){state->uidvalidity, state->uidnext, state->synced_modseq};
        *header_out = state->header;
        return OK;
    }
    struct state_fixed fixed;
    TRY(read_fixed(store, mailbox_id, &fixed, header_out));
    *out = (struct store_state_head){fixed.uidvalidity, fixed.uidnext, fixed.synced_modseq};
    return OK;
}

enum status store_state_get(struct store *store, uint64_t mailbox_id, struct store_state_head *out,
                            struct buf *header_out)
{
    struct slice header;
    store_read_begin(store);
    enum status st = find_head(store, mailbox_id, out, &header);
    if (st == OK) {
        buf_add(header_out, header);
        touch_block(store, mailbox_id, BLOCK_STATE);
    }
    store_read_end(store);
    return st;
}

uint32_t store_state_uidnext(struct store *store, uint64_t mailbox_id)
{
    struct store_state_head head;
    struct slice header;
    store_read_begin(store);
    enum status st = find_head(store, mailbox_id, &head, &header);
    store_read_end(store);
    return st == OK ? head.uidnext : 0;
}

/* --- blocks: the disk's, with those on the way laid over --- */

struct overlay_blocks {
    struct store_block *at; /* ascending, newest of each number */
    size_t n;
    bool hides_disk; /* a replace or drop is on the way */
};

static int compare_blocks(const void *a, const void *b)
{
    uint32_t x = ((const struct store_block *)a)->number;
    uint32_t y = ((const struct store_block *)b)->number;
    return x < y ? -1 : x > y;
}

static void add_block(struct overlay_blocks *blocks, const struct store_block *block)
{
    for (size_t i = 0; i < blocks->n; i++) {
        if (blocks->at[i].number == block->number) {
            return; /* a newer one is there */
        }
    }
    blocks->at[blocks->n++] = *block;
}

static void gather(const struct store_op *newest, struct overlay_blocks *out)
{
    size_t n = 0;
    const struct store_op *last = NULL; /* oldest that counts */
    for (const struct store_op *op = newest; op != NULL && !out->hides_disk; op = op->older) {
        const struct op_state *state = (const struct op_state *)op;
        n += state->state.blocks_n;
        out->hides_disk = op->kind == OP_STATE_DROP || state->state.replace;
        last = op;
    }
    out->at = alloc_array(n, sizeof(struct store_block));
    for (const struct store_op *op = newest; last != NULL; op = op->older) {
        const struct op_state *state = (const struct op_state *)op;
        for (size_t i = 0; i < state->state.blocks_n; i++) {
            add_block(out, &state->state.blocks[i]);
        }
        if (op == last) {
            break;
        }
    }
    qsort(out->at, out->n, sizeof(struct store_block), compare_blocks);
}

struct merge {
    struct overlay_blocks over;
    size_t next; /* of over */
    store_block_fn *fn;
    void *arg;
};

/* Give the blocks on the way up to (excluding) @number. */
static enum status give_pending(struct merge *merge, uint64_t before)
{
    while (merge->next < merge->over.n && merge->over.at[merge->next].number < before) {
        const struct store_block *block = &merge->over.at[merge->next++];
        if (block->bytes.len > 0) {
            TRY(merge->fn(merge->arg, block->number, block->bytes));
        }
    }
    return OK;
}

static enum status give_stored(struct merge *merge, uint32_t number, struct slice bytes)
{
    TRY(give_pending(merge, number));
    bool is_newer_pending =
        merge->next < merge->over.n && merge->over.at[merge->next].number == number;
    return is_newer_pending ? OK : merge->fn(merge->arg, number, bytes);
}

/* All blocks of the disk; CORRUPT when they do not add up. */
static enum status each_stored(struct store *store, uint64_t mailbox_id, struct merge *merge,
                               MDB_cursor *cursor)
{
    struct state_fixed fixed;
    struct slice ignored;
    uint64_t n = 0;
    uint64_t sum = 0;
    TRY(read_fixed(store, mailbox_id, &fixed, &ignored));
    struct key key = key_id_number(mailbox_id, 1);
    MDB_val k = {.mv_size = key.len, .mv_data = key.at};
    MDB_val v;
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (store__rc_ok(store, ENV_INDEX, rc) && load_be64(k.mv_data) == mailbox_id) {
        struct slice bytes;
        uint32_t number = load_be32((const char *)k.mv_data + 8);
        if (!format_open(mailbox_id, number, slice_of(v.mv_data, v.mv_size), &bytes)) {
            break;
        }
        n++;
        sum += load_u64(v.mv_data);
        TRY(give_stored(merge, number - 1, bytes));
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    if (n != fixed.blocks_n || sum != fixed.blocks_sum) {
        drop_bad(store, mailbox_id);
        return CORRUPT;
    }
    return OK;
}

static enum status each_merged(struct store *store, uint64_t mailbox_id, struct merge *merge)
{
    if (!merge->over.hides_disk) {
        MDB_cursor *cursor;
        MDB_txn *txn = store__read_txn(store, ENV_INDEX);
        if (txn == NULL ||
            !store__rc_ok(store, ENV_INDEX,
                          mdb_cursor_open(txn, store->env[ENV_INDEX].dbi[DBI_STATE], &cursor))) {
            return NOT_FOUND;
        }
        enum status st = each_stored(store, mailbox_id, merge, cursor);
        mdb_cursor_close(cursor);
        TRY(st);
    }
    return give_pending(merge, UINT64_MAX);
}

enum status store_state_each_block(struct store *store, uint64_t mailbox_id, store_block_fn *fn,
                                   void *arg)
{
    const struct store_op *pending = pending_of(store, mailbox_id);
    struct merge merge = {.fn = fn, .arg = arg};
    if (overlay_is_hidden(store, mailbox_id) ||
        (pending != NULL && pending->kind == OP_STATE_DROP)) {
        return NOT_FOUND;
    }
    store_read_begin(store);
    gather(pending, &merge.over);
    enum status st = each_merged(store, mailbox_id, &merge);
    alloc_free(merge.over.at);
    store_read_end(store);
    return st;
}
