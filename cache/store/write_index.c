/* Applying ops to the index: names, message records, uses.  Mailbox state: write_state.c,
 * searches: write_search.c. */
#include "base/alloc.h"
#include "format_p.h"
#include "mailbox_p.h"
#include "write_p.h"

/* --- coarse last use --- */

static struct key use_key(uint32_t hour, struct touch what)
{
    struct key key = key_begin();
    key_add_u32(&key, hour);
    key_add_u64(&key, what.id);
    key_add_u32(&key, what.block);
    return key;
}

/* Searches are asked again at little cost, and go before items that were not used for longer. */
static uint32_t use_hour(const struct store *store, struct touch what)
{
    uint32_t hour = store__hour(store);
    if (what.block != BLOCK_SEARCHES) {
        return hour;
    }
    return hour > SEARCHES_AGE_H ? hour - SEARCHES_AGE_H : 0;
}

void write_touch_block(struct store *store, struct txn *txn, struct touch what, bool may_create)
{
    struct writer *writer = &store->writer;
    uint32_t hour = use_hour(store, what);
    if (writer->used_id == what.id && writer->used_block == what.block &&
        writer->used_hour == hour) {
        return;
    }
    struct key used = key_id_number(what.id, what.block);
    struct slice value;
    bool is_known = txn_get(txn, DBI_USED, &used, &value) && value.len == 4;
    if (is_known && load_be32(value.data) != hour) {
        struct key old = use_key(load_be32(value.data), what);
        txn_del(txn, DBI_USE, &old);
    } else if (is_known || !may_create) {
        return;
    }
    uint32_t be = htobe32(hour);
    struct key use = use_key(hour, what);
    txn_put(txn, DBI_USED, &used, slice_of(&be, sizeof(be)));
    txn_put(txn, DBI_USE, &use, slice_of(NULL, 0));
    writer->used_id = what.id;
    writer->used_block = what.block;
    writer->used_hour = hour;
}

static void write_touches(struct store *store, struct txn *txn, const struct op_touch *op)
{
    for (size_t i = 0; i < op->n; i++) {
        write_touch_block(store, txn, op->at[i], false);
    }
}

/* --- names --- */

static void doom(struct store *store, struct txn *txn, uint64_t id)
{
    struct key key = key_id(id);
    txn_put(txn, DBI_DOOMED, &key, slice_of(NULL, 0));
    store->writer.has_doomed = true;
}

/* Whatever is kept under the name goes. */
static void unname(struct store *store, struct txn *txn, const struct op_mailbox *op)
{
    struct key from = mailbox_key(op->hash, 0);
    struct prefix_walk walk;
    struct slice key;
    struct slice bytes;
    prefix_walk_begin(&walk, txn, DBI_MAILBOXES, &from, NAME_HASH_BYTES);
    while (prefix_walk_next(&walk, &key, &bytes)) {
        struct mailbox_value value;
        struct key at = key_begin();
        key_add_bytes(&at, key.data, key.len);
        if (mailbox_value_read(&at, bytes, &value)) {
            doom(store, txn, value.id);
        }
        prefix_walk_del(&walk);
    }
    prefix_walk_end(&walk);
}

static void write_mailbox(struct store *store, struct txn *txn, const struct op_mailbox *op)
{
    unname(store, txn, op);
    if (op->op.kind == OP_MAILBOX_DROP) {
        return;
    }
    struct key key = mailbox_key(op->hash, op->uidvalidity);
    size_t len = SUM_BYTES + 12 + op->account.len + op->name.len;
    char *to = txn_room(txn, DBI_MAILBOXES, &key, len);
    if (to == NULL) {
        return;
    }
    uint32_t account_len = (uint32_t)op->account.len;
    memcpy(to + 8, &op->op.mailbox_id, 8);
    memcpy(to + 16, &account_len, 4);
    memcpy(to + 20, op->data, op->account.len + op->name.len);
    uint64_t sum =
        format_sum(load_be64(op->hash), op->uidvalidity, slice_of(to + SUM_BYTES, len - SUM_BYTES));
    memcpy(to, &sum, sizeof(sum));
}

/* --- message records --- */

static bool is_of(const struct store_op *op, const struct op_item *first)
{
    return (op->kind == OP_ITEM || op_is_pointer(op->kind)) &&
           op->mailbox_id == first->op.mailbox_id &&
           ((const struct op_item *)op)->uid == first->uid;
}

/* Chunks between the items of one message do not break its run: they belong to the other
 * environment. */
static struct store_op *last_of_run(struct op_item *first)
{
    struct store_op *last = &first->op;
    for (struct store_op *op = last->next; op != NULL && (op->kind == OP_CHUNK || is_of(op, first));
         op = op->next) {
        last = op->kind == OP_CHUNK ? last : op;
    }
    return last;
}

static struct entry entry_of_item(const struct op_item *item, char content[ENTRY_CONTENT_BYTES])
{
    if (op_is_pointer(item->op.kind)) {
        content_ref_write(content, &item->content);
        return entry_of(ENTRY_CONTENT, &item->key, slice_of(content, ENTRY_CONTENT_BYTES));
    }
    return entry_of(ENTRY_ITEM, &item->key, item->value);
}

/* Is @entry put anew by the run from @op to @last? */
static bool is_replaced(const struct entry *entry, const struct store_op *op,
                        const struct store_op *last)
{
    for (bool more = op != NULL; more; op = op->next) {
        const struct op_item *item = (const struct op_item *)op;
        uint8_t kind = op->kind == OP_ITEM ? ENTRY_ITEM : ENTRY_CONTENT;
        if (op->kind != OP_CHUNK && op->result == OK && entry_is(entry, kind, &item->key)) {
            return true;
        }
        more = op != last;
    }
    return false;
}

static void dead_if_content(struct store *store, const struct entry *entry)
{
    struct content_ref ref;
    if (entry->kind == ENTRY_CONTENT && content_ref_read(entry->value, &ref)) {
        write_dead_add(store, ref.content_id);
    }
}

static void add_entry(struct buf *record, const struct entry *entry)
{
    size_t n = entry_bytes(entry);
    entry_write(buf_room(record, n), entry);
    buf_grew(record, n);
}

/* Over the limit the oldest go: first items with long keys (header lists somebody once asked for),
 * then other items, then pointers. */
enum cut { CUT_LONG_KEYS, CUT_ITEMS, CUT_ANY, CUT_N };

static bool may_cut(const struct entry *entry, enum cut cut)
{
    return cut == CUT_ANY ||
           (entry->kind == ENTRY_ITEM && (cut == CUT_ITEMS || entry->text.len > 0));
}

static void cut_record(struct store *store, struct buf *record, enum cut cut)
{
    size_t at = SUM_BYTES;
    while (record->len > STORE_RECORD_MAX && at < record->len) {
        struct slice rest = slice_of(record->data + at, record->len - at);
        struct entry entry;
        if (!entry_next(&rest, &entry)) {
            break;
        }
        size_t n = entry_bytes(&entry);
        if (may_cut(&entry, cut)) {
            dead_if_content(store, &entry);
            memmove(record->data + at, record->data + at + n, record->len - at - n);
            buf_truncate(record, record->len - n);
        } else {
            at += n;
        }
    }
}

/* Old entries that stay, then the new ones of the run. */
static void merge_record(struct store *store, struct slice old, struct store_op *first,
                         const struct store_op *last)
{
    struct buf *record = &store->writer.record;
    struct entry entry;
    while (entry_next(&old, &entry)) {
        if (is_replaced(&entry, first, last)) {
            dead_if_content(store, &entry);
        } else {
            add_entry(record, &entry);
        }
    }
    for (const struct store_op *op = first, *end = last->next; op != end; op = op->next) {
        char content[ENTRY_CONTENT_BYTES];
        if (op->kind == OP_CHUNK || op->result != OK) {
            continue;
        }
        entry = entry_of_item((const struct op_item *)op, content);
        if (op == last || !is_replaced(&entry, op->next, last)) {
            add_entry(record, &entry);
        } else {
            dead_if_content(store, &entry);
        }
    }
}

static struct store_op *write_items(struct store *store, struct txn *txn, struct op_item *first)
{
    struct buf *record = &store->writer.record;
    uint64_t id = first->op.mailbox_id;
    struct store_op *last = last_of_run(first);
    struct key key = key_id_number(id, first->uid);
    struct slice old = {NULL, 0};
    struct slice value;
    uint64_t sum = 0;
    if (txn_get(txn, DBI_MESSAGES, &key, &value) && !format_open(id, first->uid, value, &old)) {
        old = slice_of(NULL, 0); /* a bad one is as good as none */
    }
    buf_reset(record);
    buf_add(record, slice_of(&sum, sizeof(sum)));
    merge_record(store, old, &first->op, last);
    for (int cut = 0; cut < CUT_N; cut++) {
        cut_record(store, record, (enum cut)cut);
    }
    struct slice entries = slice_of(record->data + SUM_BYTES, record->len - SUM_BYTES);
    sum = format_sum(id, first->uid, entries);
    memcpy(record->data, &sum, sizeof(sum));
    txn_put(txn, DBI_MESSAGES, &key, buf_slice(record));
    write_touch_block(store, txn, (struct touch){id, first->uid / BLOCK_UIDS}, true);
    return last;
}

static void contents_die(struct store *store, uint64_t mailbox_id, uint32_t uid, struct slice value)
{
    struct slice rest;
    struct entry entry;
    if (!format_open(mailbox_id, uid, value, &rest)) {
        return; /* what it pointed to is found by eviction, in time */
    }
    while (entry_next(&rest, &entry)) {
        dead_if_content(store, &entry);
    }
}

struct deleted write_messages_delete(struct store *store, struct txn *txn, uint64_t mailbox_id,
                                     struct range uids, size_t max)
{
    struct key from = key_id_number(mailbox_id, uids.first);
    struct prefix_walk walk;
    struct slice key;
    struct slice value;
    struct deleted deleted = {0, 0};
    prefix_walk_begin(&walk, txn, DBI_MESSAGES, &from, 8);
    while (deleted.n < max && prefix_walk_next(&walk, &key, &value)) {
        uint32_t uid = load_be32(key.data + 8);
        if (uid > uids.last) {
            break;
        }
        contents_die(store, mailbox_id, uid, value);
        deleted.n++;
        deleted.bytes += value.len;
        prefix_walk_del(&walk);
    }
    prefix_walk_end(&walk);
    return deleted;
}

static void drop_later(struct store *store, uint64_t mailbox_id, struct range uids)
{
    struct later_drops *later = &store->writer.later;
    if (later->n == later->cap) {
        later->cap = later->cap == 0 ? 16 : later->cap * 2;
        later->at = alloc_resize(later->at, later->cap, sizeof(later->at[0]));
    }
    later->at[later->n++] = (struct later){mailbox_id, uids};
}

static void write_drop(struct store *store, struct txn *txn, const struct op_drop *op)
{
    size_t left = DROP_AT_ONCE;
    for (size_t i = 0; i < op->uids.n; i++) {
        left -= write_messages_delete(store, txn, op->op.mailbox_id, op->uids.at[i], left).n;
        if (left == 0) {
            drop_later(store, op->op.mailbox_id, op->uids.at[i]);
        }
    }
}

struct store_op *write_index_op(struct store *store, struct txn *txn, struct store_op *op)
{
    switch (op->kind) {
    case OP_MAILBOX_OPEN:
    case OP_MAILBOX_DROP:
        write_mailbox(store, txn, (const struct op_mailbox *)op);
        break;
    case OP_MESSAGES_DROP:
        write_drop(store, txn, (const struct op_drop *)op);
        break;
    case OP_ITEM:
    case OP_CONTENT_COMMIT:
    case OP_CONTENT_SHARE:
        return write_items(store, txn, (struct op_item *)op);
    case OP_STATE:
        write_state(store, txn, (struct op_state *)op);
        break;
    case OP_STATE_DROP:
        write_state_drop(txn, op->mailbox_id);
        break;
    case OP_SEARCH:
        write_search(store, txn, (const struct op_search *)op);
        break;
    case OP_SEARCH_USE:
        write_search_use(store, txn, (const struct op_search *)op);
        break;
    case OP_SEARCH_DROP:
        write_search_drop(txn, (const struct op_search *)op);
        break;
    case OP_SEARCHES_DROP:
        (void)write_searches_delete(txn, op->mailbox_id, SIZE_MAX);
        break;
    case OP_TOUCH_BLOCKS:
        write_touches(store, txn, (const struct op_touch *)op);
        break;
    case OP_CHUNK:
    case OP_CONTENT_DROP:
    case OP_TOUCH_CONTENT:
    case OP_RESET:
        break;
    }
    return op;
}
