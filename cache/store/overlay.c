/* Writes the writer has not acknowledged, as the loop sees them. */
#include "base/alloc.h"
#include "store_p.h"

struct mailbox_note *overlay_mailbox(struct store *store, uint64_t id)
{
    struct mailbox_note *note;
    HASH_FIND(hh, store->mailboxes, &id, sizeof(id), note);
    return note;
}

struct mailbox_note *overlay_mailbox_need(struct store *store, uint64_t id)
{
    struct mailbox_note *note = overlay_mailbox(store, id);
    if (note == NULL) {
        note = alloc_zero(sizeof(*note));
        note->id = id;
        HASH_ADD(hh, store->mailboxes, id, sizeof(note->id), note);
    }
    return note;
}

bool overlay_is_hidden(struct store *store, uint64_t id)
{
    const struct mailbox_note *note = store->mailboxes == NULL ? NULL : overlay_mailbox(store, id);
    return note != NULL && note->is_hidden;
}

static struct pending_message *find_message(struct store *store, uint64_t mailbox_id, uint32_t uid)
{
    struct pending_message *message;
    struct pending_message wanted = {.key = {mailbox_id, uid}};
    HASH_FIND(hh, store->messages, &wanted.key, sizeof(wanted.key), message);
    return message;
}

void overlay_add_item(struct store *store, struct op_item *item)
{
    struct pending_message *message = find_message(store, item->op.mailbox_id, item->uid);
    if (message == NULL) {
        message = alloc_zero(sizeof(*message));
        message->key.mailbox_id = item->op.mailbox_id;
        message->key.uid = item->uid;
        HASH_ADD(hh, store->messages, key, sizeof(message->key), message);
    }
    item->op.older = message->ops;
    message->ops = &item->op;
}

struct store_op *overlay_items(struct store *store, uint64_t mailbox_id, uint32_t uid)
{
    struct pending_message *message =
        store->messages == NULL ? NULL : find_message(store, mailbox_id, uid);
    return message == NULL ? NULL : message->ops;
}

uint64_t overlay_floor(const struct store *store, uint64_t mailbox_id, uint32_t uid)
{
    for (const struct store_op *op = store->drops; op != NULL; op = op->older) {
        if (op->mailbox_id == mailbox_id && ranges_has(&((const struct op_drop *)op)->uids, uid)) {
            return op->seq;
        }
    }
    return 0;
}

static void unlink_older(struct store_op **list, const struct store_op *op)
{
    while (*list != NULL && *list != op) {
        list = &(*list)->older;
    }
    if (*list != NULL) {
        *list = op->older;
    }
}

static void item_acked(struct store *store, struct op_item *item)
{
    struct pending_message *message = find_message(store, item->op.mailbox_id, item->uid);
    if (message == NULL) {
        return;
    }
    unlink_older(&message->ops, &item->op);
    if (message->ops == NULL) {
        HASH_DEL(store->messages, message);
        alloc_free(message);
    }
}

static void mailbox_acked(struct store *store, const struct op_mailbox *op)
{
    struct pending_name *name;
    HASH_FIND(hh, store->names, op->hash, sizeof(op->hash), name);
    if (name != NULL && name->seq == op->op.seq) {
        HASH_DEL(store->names, name);
        alloc_free(name);
    }
}

static void state_acked(struct store *store, struct store_op *op)
{
    struct mailbox_note *note = overlay_mailbox(store, op->mailbox_id);
    if (note != NULL) {
        unlink_older(&note->states, op);
        if (op->result != OK) {
            note->is_warm = false;
            note->is_cold = true;
        }
    }
}

/* --- searches --- */

static struct pending_search *find_search(struct store *store, uint64_t mailbox_id,
                                          const unsigned char hash[NAME_HASH_BYTES])
{
    struct pending_search *search;
    struct pending_search wanted = {.key = {.mailbox_id = mailbox_id}};
    memcpy(wanted.key.hash, hash, NAME_HASH_BYTES);
    HASH_FIND(hh, store->searches, &wanted.key, sizeof(wanted.key), search);
    return search;
}

void overlay_add_search(struct store *store, struct op_search *op)
{
    struct pending_search *search = find_search(store, op->op.mailbox_id, op->hash);
    if (search == NULL) {
        search = alloc_zero(sizeof(*search));
        search->key.mailbox_id = op->op.mailbox_id;
        memcpy(search->key.hash, op->hash, NAME_HASH_BYTES);
        HASH_ADD(hh, store->searches, key, sizeof(search->key), search);
    }
    op->op.older = search->ops;
    search->ops = &op->op;
}

bool overlay_searches_go(struct store *store, uint64_t mailbox_id)
{
    const struct mailbox_note *note = overlay_mailbox(store, mailbox_id);
    return note != NULL && note->searches_drops > 0;
}

const struct op_search *overlay_search(struct store *store, uint64_t mailbox_id,
                                       const unsigned char hash[NAME_HASH_BYTES])
{
    const struct pending_search *search = find_search(store, mailbox_id, hash);
    const struct mailbox_note *note = overlay_mailbox(store, mailbox_id);
    if (search == NULL ||
        (note != NULL && note->searches_drops > 0 && search->ops->seq < note->searches_floor)) {
        return NULL;
    }
    return (const struct op_search *)search->ops;
}

static void search_acked(struct store *store, struct op_search *op)
{
    struct pending_search *search = find_search(store, op->op.mailbox_id, op->hash);
    unlink_older(&search->ops, &op->op);
    if (search->ops == NULL) {
        HASH_DEL(store->searches, search);
        alloc_free(search);
    }
}

void overlay_acked(struct store *store, struct store_op *op)
{
    switch (op->kind) {
    case OP_ITEM:
    case OP_CONTENT_SHARE:
        item_acked(store, (struct op_item *)op);
        break;
    case OP_CONTENT_COMMIT:
        item_acked(store, (struct op_item *)op);
        content__acked(store, op);
        break;
    case OP_CHUNK:
    case OP_CONTENT_DROP:
        content__acked(store, op);
        break;
    case OP_MAILBOX_OPEN:
    case OP_MAILBOX_DROP:
        mailbox_acked(store, (const struct op_mailbox *)op);
        break;
    case OP_STATE:
    case OP_STATE_DROP:
        state_acked(store, op);
        break;
    case OP_MESSAGES_DROP:
        unlink_older(&store->drops, op);
        ranges_fini(&((struct op_drop *)op)->uids);
        break;
    case OP_SEARCH:
    case OP_SEARCH_DROP:
        search_acked(store, (struct op_search *)op);
        break;
    case OP_SEARCHES_DROP:
        overlay_mailbox(store, op->mailbox_id)->searches_drops--;
        break;
    case OP_SEARCH_USE:
    case OP_TOUCH_CONTENT:
    case OP_TOUCH_BLOCKS:
    case OP_RESET:
        break;
    }
    alloc_free(op);
}

void overlay_fini(struct store *store)
{
    struct mailbox_note *note;
    struct mailbox_note *next;
    HASH_ITER(hh, store->mailboxes, note, next)
    {
        HASH_DEL(store->mailboxes, note);
        alloc_free(note);
    }
}
