/* Remembered searches, the loop's side. */
#include "store/search.h"

#include "base/alloc.h"
#include "search_p.h"
#include "store_p.h"

static struct op_search *op_new(struct store *store, enum op_kind kind, uint64_t mailbox_id,
                                struct slice name, struct slice octets)
{
    size_t size = sizeof(struct op_search) + name.len + octets.len;
    struct op_search *op = store__op_new(store, kind, size, size);
    op->op.mailbox_id = mailbox_id;
    op->stamp = store__id_new(store);
    env_hash_name(&store->meta, name, op->hash);
    char *to = op->data;
    op->name = op_text(&to, name);
    op->octets = op_text(&to, octets);
    return op;
}

/* A batch must hold it, and with it what else there is: one that fails takes all with it. */
static bool is_too_long(const struct store *store, struct slice name, struct slice octets)
{
    return name.len > STORE_SEARCH_NAME_MAX || octets.len > STORE_SEARCH_BYTES_MAX ||
           name.len + octets.len > store->txn_bytes_max / 2;
}

enum status store_search_put(struct store *store, uint64_t mailbox_id, struct slice name,
                             struct slice octets)
{
    if (is_too_long(store, name, octets)) {
        return LIMIT;
    }
    if (overlay_is_hidden(store, mailbox_id)) {
        return OK;
    }
    struct op_search *op = op_new(store, OP_SEARCH, mailbox_id, name, octets);
    overlay_add_search(store, op);
    (void)touch_search(store, mailbox_id, op->hash);
    store__stage(store, &op->op);
    return OK;
}

static void use(struct store *store, uint64_t mailbox_id, struct slice name,
                const unsigned char hash[NAME_HASH_BYTES])
{
    if (touch_search(store, mailbox_id, hash)) {
        struct op_search *op = op_new(store, OP_SEARCH_USE, mailbox_id, name, slice_of(NULL, 0));
        store__stage(store, &op->op);
    }
}

void store_search_used(struct store *store, uint64_t mailbox_id, struct slice name)
{
    unsigned char hash[NAME_HASH_BYTES];
    if (name.len <= STORE_SEARCH_NAME_MAX && !overlay_is_hidden(store, mailbox_id)) {
        env_hash_name(&store->meta, name, hash);
        use(store, mailbox_id, name, hash);
    }
}

/* What stands on disk; a damaged one goes. */
static bool get_stored(struct store *store, uint64_t mailbox_id, struct slice name,
                       const unsigned char hash[NAME_HASH_BYTES], struct slice *octets_out)
{
    struct key key = search_key(mailbox_id, hash);
    struct slice value;
    struct slice found;
    if (!store__get(store, ENV_INDEX, DBI_SEARCHES, &key, &value)) {
        return false;
    }
    if (!search_value_read(&key, value, &found, octets_out)) {
        store__bad_record(store, "search");
        store_search_drop(store, mailbox_id, name);
        return false;
    }
    return slice_eq(found, name);
}

bool store_search_get(struct store *store, uint64_t mailbox_id, struct slice name,
                      struct slice *octets_out)
{
    unsigned char hash[NAME_HASH_BYTES];
    if (name.len > STORE_SEARCH_NAME_MAX || overlay_is_hidden(store, mailbox_id)) {
        return false;
    }
    env_hash_name(&store->meta, name, hash);
    const struct op_search *pending = overlay_search(store, mailbox_id, hash);
    bool is_found = false;
    if (pending != NULL) {
        is_found = pending->op.kind == OP_SEARCH && slice_eq(pending->name, name);
        *octets_out = pending->octets;
    } else if (!overlay_searches_go(store, mailbox_id)) {
        is_found = get_stored(store, mailbox_id, name, hash, octets_out);
    }
    if (is_found) {
        use(store, mailbox_id, name, hash);
    }
    return is_found;
}

void store_search_drop(struct store *store, uint64_t mailbox_id, struct slice name)
{
    if (name.len > STORE_SEARCH_NAME_MAX || overlay_is_hidden(store, mailbox_id)) {
        return;
    }
    struct op_search *op = op_new(store, OP_SEARCH_DROP, mailbox_id, name, slice_of(NULL, 0));
    overlay_add_search(store, op);
    store__stage(store, &op->op);
}

void store_searches_drop(struct store *store, uint64_t mailbox_id)
{
    struct mailbox_note *note = overlay_mailbox_need(store, mailbox_id);
    if (note->is_hidden) {
        return;
    }
    struct store_op *op = store__op_new(store, OP_SEARCHES_DROP, sizeof(*op), sizeof(*op));
    op->mailbox_id = mailbox_id;
    note->searches_drops++;
    note->searches_floor = op->seq;
    store__stage(store, op);
}
