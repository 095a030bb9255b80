/* Small items: the loop's side. */
#include "base/alloc.h"
#include "store_p.h"

enum status store_item_put(struct store *store, uint64_t mailbox_id, uint32_t uid, struct slice key,
                           struct slice value)
{
    if (key.len > STORE_KEY_MAX || value.len > STORE_ITEM_MAX) {
        return LIMIT;
    }
    if (overlay_is_hidden(store, mailbox_id)) {
        return OK;
    }
    size_t size = sizeof(struct op_item) + key.len + value.len;
    struct op_item *item = store__op_new(store, OP_ITEM, size, size);
    item->op.mailbox_id = mailbox_id;
    item->uid = uid;
    item->content = (struct content_ref){0, 0};
    item->writer = NULL;
    char *to = item->data;
    item->key = record_key_of(op_text(&to, key));
    item->value = op_text(&to, value);
    overlay_add_item(store, item);
    store__stage(store, &item->op);
    return OK;
}

void store_messages_drop(struct store *store, uint64_t mailbox_id, const struct ranges *uids)
{
    if (ranges_empty(uids) || overlay_is_hidden(store, mailbox_id)) {
        return;
    }
    struct op_drop *op = store__op_new(store, OP_MESSAGES_DROP, sizeof(*op),
                                       sizeof(*op) + uids->n * sizeof(uids->at[0]));
    op->op.mailbox_id = mailbox_id;
    ranges_init(&op->uids, 0);
    ranges_add_all(&op->uids, uids);
    op->op.older = store->drops;
    store->drops = &op->op;
    store__stage(store, &op->op);
}
