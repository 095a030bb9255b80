/* loop:  put -> op in the batch and in the overlay | flush -> batch to the writer | poll <- batch
 * back: out of the overlay, freed. lost:  writer's note -> the loop lets go of the environment ->
 * OP_RESET -> emptied -> attached again. */
#include "store/store.h"

#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "format_p.h"
#include "store_p.h"

enum {
    SIZE_MIN = 8 * 1024 * 1024,
    BACKLOG_HIGH = 8 * 1024 * 1024,
    TXN_BYTES_MAX = 32 * 1024 * 1024,
    EPOCH_SHIFT = 40, /* 2^40 ids per start, 2^24 starts */
    EPOCH_FIRST_MAX = 0x7fffff,
    SETTLE_STEP_US = 200,
};

uint32_t store__hour(const struct store *store)
{
    return (uint32_t)(store->options.wall_s() / 3600);
}

uint64_t store__id_new(struct store *store)
{
    return store->next_id++;
}

/* --- open and close --- */

static enum status open_envs(struct store *store, struct fail *fail)
{
    struct env *index = &store->env[ENV_INDEX];
    struct env *content = &store->env[ENV_CONTENT];
    struct env_meta fresh = {.epoch = 0};
    if (getrandom(&fresh.incarnation, sizeof(fresh.incarnation), 0) < 0 ||
        getrandom(&fresh.epoch, sizeof(fresh.epoch), 0) < 0 ||
        getrandom(fresh.secret, sizeof(fresh.secret), 0) < 0) {
        return fail_set(fail, IO, "store", "no random numbers: %s", strerror(errno));
    }
    fresh.epoch &= EPOCH_FIRST_MAX; /* a new index does not begin where a lost one did */
    store->meta = fresh;
    TRY(env_open(index, &store->meta, 0, fail));
    struct env_meta of_content = store->meta;
    TRY(env_open(content, &of_content, store->meta.incarnation, fail));
    store->next_id = store->meta.epoch << EPOCH_SHIFT | 1;
    index->is_attached = true;
    content->is_attached = true;
    return OK;
}

static void free_store(struct store *store)
{
    for (int i = 0; i < ENV_N; i++) {
        if (store->env[i].path != NULL) {
            env_close(&store->env[i]);
            env_fini(&store->env[i]);
        }
    }
    if (store->lock_fd >= 0) {
        (void)close(store->lock_fd);
    }
    alloc_free(store);
}

enum status store_open(const struct store_options *options, struct store **out, struct fail *fail)
{
    if (options->size_bytes < SIZE_MIN) {
        return fail_set(fail, LIMIT, "store", "a cache needs at least %d octets", SIZE_MIN);
    }
    struct store *store = alloc_zero(sizeof(*store));
    store->options = *options;
    store->options.dir = NULL; /* borrowed for this call */
    if (store->options.wall_s == NULL) {
        store->options.wall_s = clock_wall_s;
    }
    if (store->options.searches_max == 0) {
        store->options.searches_max = STORE_SEARCHES_MAX;
    }
    if (store->options.backlog_high_bytes == 0) {
        store->options.backlog_high_bytes = BACKLOG_HIGH;
    }
    store->lock_fd = -1;
    uint64_t index_bytes = options->size_bytes / 4;
    env_init(&store->env[ENV_INDEX], ENV_INDEX, options->dir, index_bytes);
    env_init(&store->env[ENV_CONTENT], ENV_CONTENT, options->dir,
             options->size_bytes - index_bytes);
    store->txn_bytes_max = index_bytes / 8 < TXN_BYTES_MAX ? index_bytes / 8 : TXN_BYTES_MAX;
    store->content_max_bytes = options->size_bytes / 8;

    enum status st = env_lock_dir(options->dir, &store->lock_fd, fail);
    st = st != OK ? st : open_envs(store, fail);
    if (st != OK) {
        free_store(store);
        return st;
    }
    msgq_init(&store->acks, options->wake, options->wake_arg);
    format_begin();
    writer__start(store);
    reader__start(store);
    *out = store;
    return OK;
}

void store_close(struct store **store_in)
{
    struct store *store = *store_in;
    if (store == NULL) {
        return;
    }
    CHECK(store->reads == 0);
    store->options.drained = NULL; /* nobody is there to read on */
    while (store->staged != NULL) {
        struct content_writer *writer = store->staged;
        store_content_abort(&writer);
    }
    touch_flush(store, true);
    store_settle(store);
    writer__join(store);
    reader__join(store);
    store_poll(store);
    for (int i = 0; i < ENV_N; i++) {
        store__detach(store, (enum env_kind)i);
        env_trust(&store->env[i]);
    }
    overlay_fini(store);
    alloc_free(store->touched_contents.op);
    alloc_free(store->touched_blocks.op);
    alloc_free(store->copy.data);
    msgq_fini(&store->acks);
    free_store(store);
    *store_in = NULL;
}

/* --- ops and batches --- */

void *store__op_new(struct store *store, enum op_kind kind, size_t size, size_t cost_bytes)
{
    struct store_op *op = alloc_resize(NULL, 1, size);
    memset(op, 0, sizeof(*op));
    op->kind = kind;
    op->seq = ++store->seq;
    op->cost_bytes = cost_bytes;
    return op;
}

static void send_batch(struct store *store)
{
    struct batch *batch = store->batch;
    store->batch = NULL;
    if (batch != NULL) {
        store->batches_out++;
        msgq_send(&store->writer.inbox, &batch->note.msg);
    }
}

void store__stage(struct store *store, struct store_op *op)
{
    if (store->batch != NULL && store->batch->bytes + op->cost_bytes > store->txn_bytes_max) {
        send_batch(store);
    }
    if (store->batch == NULL) {
        store->batch = alloc_zero(sizeof(*store->batch));
        store->batch->note.kind = NOTE_BATCH;
        store->batch->tail = &store->batch->first;
    }
    op->next = NULL;
    *store->batch->tail = op;
    store->batch->tail = &op->next;
    store->batch->bytes += op->cost_bytes;
    store->batch->has_reset = op->kind == OP_RESET;
    store->backlog_bytes += op->cost_bytes;
    if (store_is_backlogged(store)) {
        store->was_backlogged = true;
    }
}

void store_flush(struct store *store)
{
    touch_flush(store, false);
    send_batch(store);
    reader__sample(store);
}

uint64_t store_backlog_bytes(const struct store *store)
{
    return store->backlog_bytes;
}

bool store_is_backlogged(const struct store *store)
{
    return store->backlog_bytes > store->options.backlog_high_bytes;
}

/* --- a lost environment --- */

/* Not between read_begin and read_end: slices of it may be out. */
static void let_go(struct store *store, unsigned envs)
{
    if ((envs & 1U << ENV_INDEX) != 0) {
        envs |= 1U << ENV_CONTENT; /* nothing points to it any more */
    }
    for (unsigned i = 0; i < ENV_N; i++) {
        if ((envs & 1U << i) != 0) {
            store__detach(store, (enum env_kind)i);
            store->resets_out[i]++;
        }
    }
    if ((envs & 1U << ENV_CONTENT) != 0) {
        content__lost(store, FULL);
    }
    if ((envs & 1U << ENV_INDEX) != 0) {
        struct mailbox_note *note;
        struct mailbox_note *next;
        HASH_ITER(hh, store->mailboxes, note, next)
        {
            note->is_warm = false;
        }
    }
    struct op_reset *op = store__op_new(store, OP_RESET, sizeof(*op), sizeof(*op));
    op->envs = envs;
    store__stage(store, &op->op);
    send_batch(store);
}

void store__damaged(struct store *store, enum env_kind kind)
{
    stats_add(store->options.stats, STAT_store_bad_records, 1);
    LOG(LOG_ERROR, "store", "msg=\"damaged, will be emptied\" env=%s", store->env[kind].name);
    store->reset_wanted |= 1U << kind;
    store->env[kind].is_attached = false;
}

static void reset_acked(struct store *store, const struct op_reset *op)
{
    for (unsigned i = 0; i < ENV_N; i++) {
        if ((op->envs & 1U << i) != 0) {
            store->resets_out[i]--;
            /* With another one on the way the writer may close it at any time. */
            store->env[i].is_attached = op->op.result == OK && store->resets_out[i] == 0;
        }
    }
}

/* --- acknowledgements --- */

static void batch_acked(struct store *store, struct batch *batch)
{
    struct store_op *op = batch->first;
    while (op != NULL) {
        struct store_op *next = op->next;
        store->backlog_bytes -= op->cost_bytes;
        if (op->kind == OP_RESET) {
            reset_acked(store, (const struct op_reset *)op);
        }
        overlay_acked(store, op);
        op = next;
    }
    store->batches_out--;
    alloc_free(batch);
}

void store_poll(struct store *store)
{
    CHECK(store->reads == 0);
    struct msg *msg = msgq_drain(&store->acks);
    while (msg != NULL) {
        struct msg *next = msg->next;
        struct note *note = (struct note *)msg;
        if (note->kind == NOTE_LOST) {
            struct lost_note *lost = (struct lost_note *)note;
            atomic_store(&lost->is_queued, false);
            if (store->resets_out[lost->env] == 0) {
                let_go(store, 1U << lost->env);
            }
        } else {
            batch_acked(store, (struct batch *)note);
        }
        msg = next;
    }
    if (store->was_backlogged && store->backlog_bytes < store->options.backlog_high_bytes / 2) {
        store->was_backlogged = false;
        if (store->options.drained != NULL) {
            store->options.drained(store->options.drained_arg);
        }
    }
}

void store_settle(struct store *store)
{
    touch_flush(store, true);
    send_batch(store);
    store_poll(store);
    while (store->batches_out > 0) {
        (void)usleep(SETTLE_STEP_US);
        store_poll(store);
        send_batch(store);
    }
}

/* --- reads --- */

void store_read_begin(struct store *store)
{
    store->reads++;
}

void store_read_end(struct store *store)
{
    CHECK(store->reads > 0);
    if (--store->reads > 0) {
        return;
    }
    store->last_chunk.content_id = 0;
    for (int i = 0; i < ENV_N; i++) {
        struct env *env = &store->env[i];
        if (env->is_reading) {
            mdb_txn_reset(env->read);
            env->is_reading = false;
            crash_leave(env, CRASH_LOOP);
        }
    }
    if (store->reset_wanted != 0) {
        unsigned envs = store->reset_wanted;
        store->reset_wanted = 0;
        let_go(store, envs);
    }
}
