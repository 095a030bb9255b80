/* Which id stands for (account, name, UIDVALIDITY). */
#include "base/alloc.h"
#include "format_p.h"
#include "mailbox_p.h"
#include "store_p.h"

static void hash_name(const struct store *store, struct slice account, struct slice name,
                      unsigned char out[NAME_HASH_BYTES])
{
    char text[4 + 2 * STORE_NAME_MAX];
    uint32_t account_len = (uint32_t)account.len;
    memcpy(text, &account_len, 4);
    if (account.len > 0) {
        memcpy(text + 4, account.data, account.len);
    }
    if (name.len > 0) {
        memcpy(text + 4 + account.len, name.data, name.len);
    }
    env_hash_name(&store->meta, slice_of(text, 4 + account.len + name.len), out);
}

struct key mailbox_key(const unsigned char hash[NAME_HASH_BYTES], uint32_t uidvalidity)
{
    struct key key = key_begin();
    key_add_bytes(&key, hash, NAME_HASH_BYTES);
    key_add_u32(&key, uidvalidity);
    return key;
}

bool mailbox_value_read(const struct key *key, struct slice value, struct mailbox_value *out)
{
    struct slice rest;
    uint32_t account_len;
    if (!format_open(load_be64(key->at), load_be32(key->at + NAME_HASH_BYTES), value, &rest) ||
        rest.len < 12) {
        return false;
    }
    out->id = load_u64(rest.data);
    memcpy(&account_len, rest.data + 8, 4);
    rest = slice_of(rest.data + 12, rest.len - 12);
    if (account_len > rest.len) {
        return false;
    }
    out->account = slice_of(rest.data, account_len);
    out->name = slice_of(rest.data + account_len, rest.len - account_len);
    return true;
}

static struct pending_name *find_pending(struct store *store,
                                         const unsigned char hash[NAME_HASH_BYTES])
{
    struct pending_name *name;
    HASH_FIND(hh, store->names, hash, NAME_HASH_BYTES, name);
    return name;
}

static void set_pending(struct store *store, const struct op_mailbox *op)
{
    struct pending_name *name = find_pending(store, op->hash);
    if (name == NULL) {
        name = alloc_zero(sizeof(*name));
        memcpy(name->hash, op->hash, NAME_HASH_BYTES);
        HASH_ADD(hh, store->names, hash, NAME_HASH_BYTES, name);
    }
    name->seq = op->op.seq;
    name->id = op->op.mailbox_id;
    name->uidvalidity = op->uidvalidity;
}

static void hide(struct store *store, uint64_t id)
{
    if (id != 0) {
        overlay_mailbox_need(store, id)->is_hidden = true;
    }
}

/* Hide whatever the disk has under the name; true when there was something. */
static bool hide_stored(struct store *store, const unsigned char hash[NAME_HASH_BYTES])
{
    MDB_txn *txn = store__read_txn(store, ENV_INDEX);
    MDB_cursor *cursor;
    if (txn == NULL ||
        !store__rc_ok(store, ENV_INDEX,
                      mdb_cursor_open(txn, store->env[ENV_INDEX].dbi[DBI_MAILBOXES], &cursor))) {
        return false;
    }
    bool found = false;
    struct key key = mailbox_key(hash, 0);
    MDB_val k = {.mv_size = key.len, .mv_data = key.at};
    MDB_val v;
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (store__rc_ok(store, ENV_INDEX, rc) && k.mv_size == key.len &&
           memcmp(k.mv_data, hash, NAME_HASH_BYTES) == 0) {
        struct mailbox_value value;
        struct key at = key_begin();
        key_add_bytes(&at, k.mv_data, k.mv_size);
        found = true;
        if (mailbox_value_read(&at, slice_of(v.mv_data, v.mv_size), &value)) {
            hide(store, value.id);
        }
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return found;
}

static struct op_mailbox *op_new(struct store *store, enum op_kind kind, struct slice account,
                                 struct slice name)
{
    size_t size = sizeof(struct op_mailbox) + account.len + name.len;
    struct op_mailbox *op = store__op_new(store, kind, size, size);
    hash_name(store, account, name, op->hash);
    op->uidvalidity = 0;
    char *to = op->data;
    op->account = op_text(&to, account);
    op->name = op_text(&to, name);
    return op;
}

/* The id on disk; 0: none. */
static uint64_t stored_id(struct store *store, const unsigned char hash[NAME_HASH_BYTES],
                          uint32_t uidvalidity, struct slice account, struct slice name)
{
    struct key key = mailbox_key(hash, uidvalidity);
    struct slice bytes;
    struct mailbox_value value;
    if (!store__get(store, ENV_INDEX, DBI_MAILBOXES, &key, &bytes)) {
        return 0;
    }
    if (!mailbox_value_read(&key, bytes, &value)) {
        store__bad_record(store, "mailbox");
        return 0;
    }
    bool is_it = slice_eq(value.account, account) && slice_eq(value.name, name);
    return is_it && !overlay_is_hidden(store, value.id) ? value.id : 0;
}

enum status store_mailbox_open(struct store *store, struct slice account, struct slice name,
                               uint32_t uidvalidity, uint64_t *id_out)
{
    unsigned char hash[NAME_HASH_BYTES];
    if (account.len > STORE_NAME_MAX || name.len > STORE_NAME_MAX) {
        return LIMIT;
    }
    hash_name(store, account, name, hash);
    const struct pending_name *pending = find_pending(store, hash);
    if (pending != NULL && pending->id != 0 && pending->uidvalidity == uidvalidity) {
        *id_out = pending->id;
        return OK;
    }
    store_read_begin(store);
    uint64_t id = 0;
    if (pending == NULL) {
        id = stored_id(store, hash, uidvalidity, account, name);
    } else {
        hide(store, pending->id);
    }
    if (id != 0) {
        touch_block(store, id, BLOCK_STATE);
    } else {
        (void)hide_stored(store, hash);
        id = store__id_new(store);
        struct op_mailbox *op = op_new(store, OP_MAILBOX_OPEN, account, name);
        op->op.mailbox_id = id;
        op->uidvalidity = uidvalidity;
        set_pending(store, op);
        store__stage(store, &op->op);
    }
    store_read_end(store);
    *id_out = id;
    return OK;
}

bool store_mailbox_is_new(const struct store *store, uint64_t id)
{
    const struct pending_name *name = store->names;
    while (name != NULL && name->id != id) {
        name = name->hh.next;
    }
    return name != NULL;
}

void store_mailbox_drop(struct store *store, struct slice account, struct slice name)
{
    unsigned char hash[NAME_HASH_BYTES];
    if (account.len > STORE_NAME_MAX || name.len > STORE_NAME_MAX) {
        return; /* nothing is kept under such a name */
    }
    hash_name(store, account, name, hash);
    store_read_begin(store);
    const struct pending_name *pending = find_pending(store, hash);
    if (pending != NULL) {
        hide(store, pending->id);
    }
    if (hide_stored(store, hash) || pending != NULL) {
        struct op_mailbox *op = op_new(store, OP_MAILBOX_DROP, account, name);
        set_pending(store, op);
        store__stage(store, &op->op);
    }
    store_read_end(store);
}
