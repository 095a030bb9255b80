/* Message bytes, the loop's side.  append -> chunk being filled -> full: op in the batch (and still
 * in writer->chunks, where reads find it) -> acknowledged: on disk only.  commit -> pointer op. */
#include "store/content.h"

#include <utlist.h>

#include "base/alloc.h"
#include "base/check.h"
#include "format_p.h"
#include "store_p.h"

struct content_writer *content__by_id(struct store *store, uint64_t content_id)
{
    struct content_writer *writer;
    HASH_FIND(hh, store->contents, &content_id, sizeof(content_id), writer);
    return writer;
}

static struct content_writer *writer_new(struct store *store, struct content_ref ref)
{
    struct content_writer *writer = alloc_zero(sizeof(*writer));
    writer->store = store;
    writer->ref = ref;
    HASH_ADD(hh, store->contents, ref.content_id, sizeof(ref.content_id), writer);
    return writer;
}

enum status store_content_create(struct store *store, uint64_t mailbox_id, uint32_t uid,
                                 struct slice section, uint64_t size_bytes,
                                 struct content_writer **out)
{
    if (size_bytes > store->content_max_bytes || section.len > STORE_KEY_MAX) {
        return LIMIT;
    }
    struct content_ref ref = {.content_id = store__id_new(store), .size_bytes = size_bytes};
    struct content_writer *writer = writer_new(store, ref);
    writer->mailbox_id = mailbox_id;
    writer->uid = uid;
    char *text = alloc_zero(section.len + 1);
    memcpy(text, section.data, section.len);
    writer->section = slice_of(text, section.len);
    writer->chunks_n = (size_t)chunks_of(size_bytes);
    writer->chunks = alloc_array(writer->chunks_n, sizeof(struct op_chunk *));
    DL_APPEND(store->staged, writer);
    *out = writer;
    return OK;
}

void content__free(struct content_writer *writer)
{
    HASH_DEL(writer->store->contents, writer);
    alloc_free((void *)(uintptr_t)writer->section.data);
    alloc_free(writer->chunks);
    alloc_free(writer);
}

static struct op_chunk *chunk_new(struct content_writer *writer, uint32_t number)
{
    size_t size = sizeof(struct op_chunk) + chunk_len(writer->ref.size_bytes, number);
    struct op_chunk *chunk = store__op_new(writer->store, OP_CHUNK, size, size);
    chunk->op.mailbox_id = writer->ref.content_id;
    chunk->number = number;
    chunk->len = 0;
    chunk->is_full = false;
    chunk->writer = writer;
    writer->chunks[number] = chunk;
    return chunk;
}

/* It is full: for the writer. */
static void stage_chunk(struct content_writer *writer, struct op_chunk *chunk)
{
    chunk->stored_len = chunk->len;
    chunk->sum = format_sum(writer->ref.content_id, chunk->number,
                            slice_of(&chunk->stored_len, sizeof(chunk->stored_len) + chunk->len));
    chunk->is_full = true;
    store__stage(writer->store, &chunk->op);
}

/* As much of @bytes as its chunk takes. */
static size_t append_some(struct content_writer *writer, struct slice bytes)
{
    uint32_t number = (uint32_t)(writer->received / STORE_CHUNK_BYTES);
    size_t full = chunk_len(writer->ref.size_bytes, number);
    struct op_chunk *chunk = writer->received % STORE_CHUNK_BYTES == 0 ? chunk_new(writer, number)
                                                                       : writer->chunks[number];
    size_t room = full - chunk->len;
    size_t n = bytes.len < room ? bytes.len : room;
    memcpy(chunk->data + chunk->len, bytes.data, n);
    chunk->len += (uint32_t)n;
    writer->received += n;
    if (chunk->len == full) {
        stage_chunk(writer, chunk);
    }
    return n;
}

enum status store_content_append(struct content_writer *writer, struct slice bytes)
{
    if (writer->lost != OK) {
        return writer->lost;
    }
    if (bytes.len > writer->ref.size_bytes - writer->received) {
        return LIMIT;
    }
    while (bytes.len > 0) {
        size_t n = append_some(writer, bytes);
        bytes = slice_of(bytes.data + n, bytes.len - n);
    }
    return OK;
}

uint64_t store_content_received(const struct content_writer *writer)
{
    return writer->received;
}

struct content_ref store_content_ref(const struct content_writer *writer)
{
    return writer->ref;
}

static void stage_drop(struct content_writer *writer)
{
    struct op_content_drop *op =
        store__op_new(writer->store, OP_CONTENT_DROP, sizeof(*op), sizeof(*op));
    op->op.mailbox_id = writer->ref.content_id;
    op->writer = writer;
    store__stage(writer->store, &op->op);
}

enum status store_content_commit(struct content_writer **writer_in)
{
    struct content_writer *writer = *writer_in;
    struct store *store = writer->store;
    if (writer->lost != OK) {
        return writer->lost;
    }
    if (writer->received < writer->ref.size_bytes) {
        return AGAIN;
    }
    if (overlay_is_hidden(store, writer->mailbox_id)) {
        store_content_abort(writer_in); /* of a mailbox that is gone */
        return OK;
    }
    if (writer->ref.size_bytes == 0) {
        stage_chunk(writer, chunk_new(writer, 0));
    }
    size_t size = sizeof(struct op_item) + writer->section.len;
    struct op_item *item = store__op_new(store, OP_CONTENT_COMMIT, size, size);
    item->op.mailbox_id = writer->mailbox_id;
    item->uid = writer->uid;
    char *to = item->data;
    item->key = record_key_of(op_text(&to, writer->section));
    item->value = slice_of(NULL, 0);
    item->content = writer->ref;
    item->writer = writer;
    DL_DELETE(store->staged, writer);
    writer->state = CONTENT_COMMITTED;
    overlay_add_item(store, item);
    store__stage(store, &item->op);
    *writer_in = NULL;
    return OK;
}

enum status store_content_share(struct store *store, const struct content_ref *ref,
                                uint64_t mailbox_id, uint32_t uid, struct slice section)
{
    if (section.len > STORE_KEY_MAX) {
        return LIMIT;
    }
    if (overlay_is_hidden(store, mailbox_id)) {
        return OK; /* of a mailbox that is gone */
    }
    store_read_begin(store);
    enum status st = store_content_check(store, ref);
    store_read_end(store);
    if (st != OK) {
        return NOT_FOUND;
    }
    size_t size = sizeof(struct op_item) + section.len;
    struct op_item *item = store__op_new(store, OP_CONTENT_SHARE, size, size);
    item->op.mailbox_id = mailbox_id;
    item->uid = uid;
    char *to = item->data;
    item->key = record_key_of(op_text(&to, section));
    item->value = slice_of(NULL, 0);
    item->content = *ref;
    item->writer = NULL;
    overlay_add_item(store, item);
    store__stage(store, &item->op);
    return OK;
}

void store_content_abort(struct content_writer **writer_in)
{
    struct content_writer *writer = *writer_in;
    *writer_in = NULL;
    if (writer == NULL) {
        return;
    }
    CHECK(writer->state == CONTENT_STAGED);
    DL_DELETE(writer->store->staged, writer);
    writer->state = CONTENT_DEAD;
    stage_drop(writer);
}

/* Chunk ops come back before the op that ends their content, so the writer is always there. */
static void chunk_acked(struct op_chunk *chunk)
{
    struct content_writer *writer = chunk->writer;
    writer->chunks[chunk->number] = NULL;
    if (chunk->op.result != OK && writer->lost == OK) {
        writer->lost = chunk->op.result;
    }
}

static void end_acked(struct content_writer *writer)
{
    /* Aborted in the middle of a chunk: that one was never staged. */
    for (size_t i = 0; i < writer->chunks_n; i++) {
        alloc_free(writer->chunks[i]);
    }
    content__free(writer);
}

void content__acked(struct store *store, struct store_op *op)
{
    (void)store;
    if (op->kind == OP_CHUNK) {
        chunk_acked((struct op_chunk *)op);
    } else if (op->kind == OP_CONTENT_COMMIT) {
        end_acked(((struct op_item *)op)->writer);
    } else {
        end_acked(((struct op_content_drop *)op)->writer);
    }
}

void content__lost(struct store *store, enum status why)
{
    struct content_writer *writer;
    DL_FOREACH(store->staged, writer)
    {
        if (writer->lost == OK) {
            writer->lost = why;
        }
    }
}

/* --- reading --- */

static bool get_chunk(struct store *store, uint64_t content_id, uint32_t number,
                      struct slice *value_out)
{
    if (store->last_chunk.content_id != content_id || store->last_chunk.number != number) {
        struct key key = key_id_number(content_id, number);
        if (!store__get(store, ENV_CONTENT, DBI_CHUNKS, &key, &store->last_chunk.value)) {
            store->last_chunk.content_id = 0;
            return false;
        }
        store->last_chunk.content_id = content_id;
        store->last_chunk.number = number;
    }
    *value_out = store->last_chunk.value;
    return true;
}

static bool is_on_disk(struct store *store, const struct content_ref *ref)
{
    /* Chunks are committed in order and go all at once, so the last stands for all. */
    struct slice value;
    return get_chunk(store, ref->content_id, (uint32_t)(chunks_of(ref->size_bytes) - 1), &value);
}

enum status store_content_check(struct store *store, const struct content_ref *ref)
{
    const struct content_writer *writer = content__by_id(store, ref->content_id);
    if (writer != NULL && writer->state != CONTENT_COMMITTED) {
        return writer->state == CONTENT_STAGED ? AGAIN : NOT_FOUND;
    }
    if (writer != NULL) {
        return writer->lost == OK ? OK : NOT_FOUND;
    }
    if (!is_on_disk(store, ref)) {
        return NOT_FOUND;
    }
    touch_content(store, ref->content_id);
    return OK;
}

static enum status find_staged(struct store *store, uint64_t mailbox_id, uint32_t uid,
                               struct slice section, struct content_ref *out)
{
    const struct content_writer *writer;
    DL_FOREACH(store->staged, writer)
    {
        if (writer->mailbox_id == mailbox_id && writer->uid == uid && writer->lost == OK &&
            slice_eq(writer->section, section)) {
            *out = writer->ref;
            return AGAIN;
        }
    }
    return NOT_FOUND;
}

enum status store_content_find(struct store *store, uint64_t mailbox_id, uint32_t uid,
                               struct slice section, struct content_ref *out)
{
    struct store_walk walk;
    struct record record;
    struct record_key key = record_key_of(section);
    enum status st = NOT_FOUND;
    store_walk_begin(store, mailbox_id, &walk);
    if (store_walk_to(&walk, uid, &record) && record_find_content(&record, &key, out)) {
        st = store_content_check(store, out);
    }
    store_walk_end(&walk);
    return st == OK ? OK : find_staged(store, mailbox_id, uid, section, out);
}

/* Seen damaged: nobody may read it again, and it goes. */
static void drop_damaged(struct store *store, const struct content_ref *ref)
{
    store__bad_record(store, "chunk");
    struct content_writer *writer = content__by_id(store, ref->content_id);
    if (writer == NULL) {
        writer = writer_new(store, *ref);
        writer->state = CONTENT_DEAD;
        stage_drop(writer);
    } else if (writer->lost == OK) {
        writer->lost = CORRUPT;
    }
}

/* A page may change under us as long as we look at it: a list of free pages that is damaged makes LMDB
 * write into pages that are in use, from the writer's thread [M].  So what is summed, and given out, is
 * a copy.  Contents never change, so the last copy stays good for the next piece, also in later turns. */
static bool check_copy(struct store *store, uint64_t content_id, uint32_t number, size_t len)
{
    struct chunk_copy *copy = &store->copy;
    struct slice ignored;
    if (!format_open(content_id, number, slice_of(copy->data, len), &ignored)) {
        return false;
    }
    copy->content_id = content_id;
    copy->number = number;
    copy->len = len;
    return true;
}

/* Room for a copy; what stood there is gone. */
static char *copy_room(struct store *store)
{
    struct chunk_copy *copy = &store->copy;
    copy->content_id = 0;
    if (copy->data == NULL) {
        copy->data = alloc_array(CHUNK_HEAD_BYTES + STORE_CHUNK_BYTES, 1);
    }
    return copy->data;
}

static bool is_copied(const struct store *store, const struct content_ref *ref, uint32_t number)
{
    const struct chunk_copy *copy = &store->copy;
    return copy->content_id == ref->content_id && copy->number == number &&
           copy->len == CHUNK_HEAD_BYTES + chunk_len(ref->size_bytes, number);
}

static enum status copy_from_disk(struct store *store, const struct content_ref *ref,
                                  uint32_t number)
{
    struct slice value;
    if (!get_chunk(store, ref->content_id, number, &value)) {
        return NOT_FOUND;
    }
    if (value.len != CHUNK_HEAD_BYTES + chunk_len(ref->size_bytes, number)) {
        drop_damaged(store, ref);
        return NOT_FOUND;
    }
    memcpy(copy_room(store), value.data, value.len);
    if (!check_copy(store, ref->content_id, number, value.len)) {
        drop_damaged(store, ref);
        return NOT_FOUND;
    }
    return OK;
}

static enum status copy_pending(struct store *store, const struct content_ref *ref,
                                const struct op_chunk *chunk)
{
    char *to = copy_room(store);
    memcpy(to, &chunk->sum, SUM_BYTES);
    memcpy(to + SUM_BYTES, &chunk->stored_len, sizeof(chunk->stored_len));
    memcpy(to + CHUNK_HEAD_BYTES, chunk->data, chunk->len);
    if (!check_copy(store, ref->content_id, chunk->number, CHUNK_HEAD_BYTES + chunk->len)) {
        drop_damaged(store, ref);
        return NOT_FOUND;
    }
    return OK;
}

enum status store_content_read(struct store *store, const struct content_ref *ref, uint64_t offset,
                               size_t max, struct slice *out)
{
    if (offset >= ref->size_bytes) {
        return END;
    }
    uint32_t number = (uint32_t)(offset / STORE_CHUNK_BYTES);
    size_t within = (size_t)(offset % STORE_CHUNK_BYTES);
    const struct content_writer *writer = content__by_id(store, ref->content_id);
    struct slice chunk;
    if (writer != NULL && writer->state == CONTENT_DEAD) {
        return NOT_FOUND;
    }
    if (writer != NULL && offset >= writer->received) {
        return writer->lost == OK ? AGAIN : NOT_FOUND;
    }
    const struct op_chunk *pending = writer != NULL ? writer->chunks[number] : NULL;
    if (pending != NULL && !pending->is_full) {
        *out = slice_sub(slice_of(pending->data, pending->len), within, max);
        return OK;
    }
    if (!is_copied(store, ref, number)) {
        TRY(pending != NULL ? copy_pending(store, ref, pending)
                            : copy_from_disk(store, ref, number));
    }
    chunk = slice_of(store->copy.data + CHUNK_HEAD_BYTES, store->copy.len - CHUNK_HEAD_BYTES);
    *out = slice_sub(chunk, within, max);
    return OK;
}
