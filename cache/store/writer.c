/* The writer's thread.
 *   wait -> take queued batches, up to one transaction's worth
 *        -> room in content? -> content transaction -> room in index? -> index transaction
 *        -> batches back to the loop, oldest first
 * A pointer is written only after its content was committed and found whole.  While there is
 * nothing to write it deletes what nothing points to, in steps, and flushes the meta pages. */
#include <errno.h>
#include <signal.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "write_p.h"

enum {
    QUIET_MS = 60000,
    IDLE_WAIT_MS = 3600 * 1000,
    FINISH_MS = 1000,
    FAILURES_MAX = 3, /* of the disk, one after the other: then the environment is made anew */
    RETRY_FIRST_MS = 1000,
    RETRY_LAST_MS = 60 * 1000,
};

/* For the kill tests: die here as kill -9 would, at the chosen visit. */
static void kill_point(void)
{
    if (FAULT(store_kill)) {
        (void)raise(SIGKILL);
    }
}

static unsigned envs_of(const struct store_op *op)
{
    switch (op->kind) {
    case OP_CHUNK:
    case OP_CONTENT_DROP:
    case OP_TOUCH_CONTENT:
        return 1U << ENV_CONTENT;
    case OP_CONTENT_COMMIT:
    case OP_CONTENT_SHARE:
        return 1U << ENV_CONTENT | 1U << ENV_INDEX;
    case OP_RESET:
        return 0;
    case OP_MAILBOX_OPEN:
    case OP_MAILBOX_DROP:
    case OP_MESSAGES_DROP:
    case OP_ITEM:
    case OP_STATE:
    case OP_STATE_DROP:
    case OP_SEARCH:
    case OP_SEARCH_USE:
    case OP_SEARCH_DROP:
    case OP_SEARCHES_DROP:
    case OP_TOUCH_BLOCKS:
        break;
    }
    return 1U << ENV_INDEX;
}

static bool is_touch(const struct store_op *op)
{
    return op->kind == OP_TOUCH_CONTENT || op->kind == OP_TOUCH_BLOCKS || op->kind == OP_SEARCH_USE;
}

/* Losing one of these would be a lie at the next start. */
static bool may_not_be_lost(const struct store_op *op)
{
    return op->kind == OP_MAILBOX_DROP || op->kind == OP_STATE_DROP ||
           op->kind == OP_SEARCH_DROP || op->kind == OP_SEARCHES_DROP;
}

/* --- failures --- */

static void ask_for_reset(struct store *store, const struct env *env)
{
    struct lost_note *lost = &store->writer.lost_notes[env->kind];
    if (!atomic_exchange(&lost->is_queued, true)) {
        msgq_send(&store->acks, &lost->note.msg);
    }
}

static void tell_lost(struct store *store, struct env *env)
{
    if (env->mdb == NULL || env->is_lost) {
        return;
    }
    LOG(LOG_ERROR, "store", "msg=\"cannot go on with it, will be emptied\" env=%s", env->name);
    env->is_lost = true;
    env->failures_n = 0;
    ask_for_reset(store, env);
}

/* A disk that fails once may be in order the next time; one that fails on and on may be so at this place
 * alone, and a cache is soon made anew. */
static void note_outcome(struct store *store, struct env *env, enum status st)
{
    env->failures_n = st == IO ? env->failures_n + 1 : 0;
    if (env->failures_n >= FAILURES_MAX) {
        tell_lost(store, env);
    }
}

static void op_failed(struct store *store, const struct env *env, struct store_op *op,
                      enum status st)
{
    if (op->result != OK) {
        return;
    }
    op->result = st;
    if (op->kind == OP_STATE) {
        write_cold_add(store, op->mailbox_id);
    }
    if (op->kind == OP_CONTENT_COMMIT) {
        write_dead_add(store, ((const struct op_item *)op)->content.content_id);
    }
    if (op->kind == OP_CONTENT_SHARE && env->kind == ENV_INDEX) {
        write_dead_add(store, ((const struct op_item *)op)->content.content_id); /* it was counted */
    }
    if (op->kind == OP_CONTENT_DROP) {
        write_dead_add(store, op->mailbox_id);
    }
    if (may_not_be_lost(op)) {
        tell_lost(store, &store->env[ENV_INDEX]);
    }
}

static void say_dropped(struct store *store, const struct env *env, enum status st)
{
    uint64_t now = clock_mono_ms();
    if (now >= store->writer.quiet_until_ms) {
        store->writer.quiet_until_ms = now + QUIET_MS;
        LOG(LOG_WARN, "store", "msg=\"writes dropped\" env=%s why=%s", env->name, status_name(st));
    }
}

static void group_failed(struct store *store, struct env *env, struct batch *group, enum status st)
{
    say_dropped(store, env, st);
    for (struct batch *batch = group; batch != NULL; batch = batch->queued) {
        for (struct store_op *op = batch->first; op != NULL; op = op->next) {
            if ((envs_of(op) & 1U << env->kind) != 0) {
                op_failed(store, env, op, st);
            }
        }
    }
}

/* --- one environment --- */

static uint64_t group_bytes(const struct batch *group, enum env_kind kind)
{
    uint64_t bytes = 0;
    for (const struct batch *batch = group; batch != NULL; batch = batch->queued) {
        for (const struct store_op *op = batch->first; op != NULL; op = op->next) {
            if ((envs_of(op) & 1U << kind) != 0 && op->result == OK) {
                bytes += op->cost_bytes;
            }
        }
    }
    return bytes;
}

static void write_ops(struct store *store, struct txn *txn, struct batch *group)
{
    enum env_kind kind = txn->env->kind;
    for (struct batch *batch = group; batch != NULL; batch = batch->queued) {
        for (struct store_op *op = batch->first; op != NULL && txn_ok(txn); op = op->next) {
            if ((envs_of(op) & 1U << kind) == 0 || op->result != OK) {
                continue;
            }
            if (kind == ENV_CONTENT) {
                write_content_op(store, txn, op);
            } else {
                op = write_index_op(store, txn, op);
            }
        }
    }
}

static enum status write_env(struct store *store, struct env *env, struct batch *group,
                             uint64_t bytes)
{
    struct txn txn;
    if (env->is_lost || env->mdb == NULL) {
        return FULL;
    }
    enum status st = evict_for(store, env->kind, bytes);
    if (st != OK) {
        if (st == CORRUPT) {
            tell_lost(store, env);
        }
        return st;
    }
    txn_begin(&txn, env);
    write_ops(store, &txn, group);
    kill_point();
    st = txn_commit(&txn);
    kill_point();
    if (txn.rc == MDB_MAP_FULL || st == CORRUPT) {
        tell_lost(store, env); /* fragmented beyond use, or damaged */
    }
    stats_add(store->options.stats, STAT_store_commits, st == OK);
    return st;
}

static void run_env(struct store *store, enum env_kind kind, struct batch *group)
{
    struct env *env = &store->env[kind];
    uint64_t bytes = group_bytes(group, kind);
    if (bytes == 0) {
        return;
    }
    enum status st = write_env(store, env, group, bytes);
    note_outcome(store, env, st);
    if (st != OK) {
        store->writer.used_id = 0; /* what it says was undone */
        group_failed(store, env, group, st);
    }
}

/* --- emptying --- */

static void plan_retry(struct env *env)
{
    env->retry_ms = env->retry_ms == 0 ? RETRY_FIRST_MS : env->retry_ms * 2;
    env->retry_ms = env->retry_ms < RETRY_LAST_MS ? env->retry_ms : RETRY_LAST_MS;
    env->retry_at_ms = clock_mono_ms() + env->retry_ms;
}

static void reset(struct store *store, struct op_reset *op)
{
    struct writer *writer = &store->writer;
    struct env_meta meta = store->meta;
    if ((op->envs & 1U << ENV_INDEX) != 0) {
        /* Should the second recreation not come to pass, the next start sees that they differ. */
        store->meta.incarnation = ++meta.incarnation;
        writer->used_id = 0;
        writer->has_doomed = false;
        writer->later.n = 0;
    }
    writer->dead.n = 0;
    for (unsigned i = 0; i < ENV_N; i++) {
        struct env *env = &store->env[i];
        if ((op->envs & 1U << i) == 0) {
            continue;
        }
        (void)pthread_mutex_lock(&store->reader.envs_lock);
        enum status st = env_recreate(env, &meta);
        (void)pthread_mutex_unlock(&store->reader.envs_lock);
        env->retry_at_ms = 0;
        if (st != OK) {
            env_mark(env);
            plan_retry(env);
            op->op.result = st;
        } else {
            env->retry_ms = 0;
        }
        LOG(LOG_WARN, "store", "msg=\"emptied\" env=%s result=%s", env->name, status_name(st));
    }
}

/* --- rounds --- */

/* Batches for one transaction, off the queue. */
static struct batch *take_group(struct store *store)
{
    struct writer *writer = &store->writer;
    struct batch *group = writer->queue;
    struct batch *last = group;
    uint64_t bytes = last->bytes;
    while (!last->has_reset && last->queued != NULL &&
           bytes + last->queued->bytes <= store->txn_bytes_max) {
        last = last->queued;
        bytes += last->bytes;
    }
    writer->queue = last->queued;
    if (writer->queue == NULL) {
        writer->queue_tail = &writer->queue;
    }
    last->queued = NULL;
    return group;
}

static void count_dropped(struct store *store, const struct batch *batch)
{
    uint64_t n = 0;
    for (const struct store_op *op = batch->first; op != NULL; op = op->next) {
        n += op->result != OK && !is_touch(op);
    }
    stats_add(store->options.stats, STAT_store_dropped_writes, n);
}

static void sync_env(struct store *store, struct env *env)
{
    env->is_dirty = false;
    env->synced_at_ms = clock_mono_ms();
    int rc = FAULT(store_sync) ? EIO : mdb_env_sync(env->mdb, 1);
    if (rc != 0) {
        LOG(LOG_WARN, "store", "msg=\"flush failed\" env=%s why=\"%s\"", env->name,
            mdb_strerror(rc));
        env->is_dirty = true; /* again, at the next time */
        note_outcome(store, env, env_status_of(rc));
    }
}

static bool wants_sync(const struct batch *group)
{
    for (const struct batch *batch = group; batch != NULL; batch = batch->queued) {
        for (const struct store_op *op = batch->first; op != NULL; op = op->next) {
            if (may_not_be_lost(op) && op->result == OK) {
                return true;
            }
        }
    }
    return false;
}

static void finish_group(struct store *store, struct batch *group)
{
    while (group != NULL) {
        struct batch *next = group->queued;
        if (group->has_reset) {
            struct store_op *op = group->first;
            while (op->next != NULL) {
                op = op->next;
            }
            reset(store, (struct op_reset *)op);
        }
        count_dropped(store, group);
        msgq_send(&store->acks, &group->note.msg);
        group = next;
    }
}

static void run_round(struct store *store)
{
    struct batch *group = take_group(store);
    kill_point();
    run_env(store, ENV_CONTENT, group);
    run_env(store, ENV_INDEX, group);
    if (wants_sync(group) && store->env[ENV_INDEX].mdb != NULL) {
        sync_env(store, &store->env[ENV_INDEX]); /* power loss may not bring back what was dropped */
    }
    kill_point();
    finish_group(store, group);
}

/* --- the thread --- */

static void sync_if_due(struct store *store)
{
    uint64_t now = clock_mono_ms();
    for (int i = 0; i < ENV_N; i++) {
        struct env *env = &store->env[i];
        if (env->mdb != NULL && env->is_dirty && now - env->synced_at_ms >= SYNC_EVERY_MS) {
            sync_env(store, env);
        }
    }
}

static void retry_if_due(struct store *store)
{
    uint64_t now = clock_mono_ms();
    for (int i = 0; i < ENV_N; i++) {
        struct env *env = &store->env[i];
        if (env->retry_at_ms != 0 && now >= env->retry_at_ms) {
            env->retry_at_ms = 0;
            ask_for_reset(store, env);
        }
    }
}

/* At most so long as the next attempt to make an environment anew is away. */
static int wait_for_retry_ms(const struct store *store, int most_ms)
{
    uint64_t now = clock_mono_ms();
    for (int i = 0; i < ENV_N; i++) {
        uint64_t at = store->env[i].retry_at_ms;
        uint64_t left = at > now ? at - now : 0;
        most_ms = at != 0 && left < (uint64_t)most_ms ? (int)left : most_ms;
    }
    return most_ms;
}

static int wait_ms(const struct store *store)
{
    const struct writer *writer = &store->writer;
    if (writer->queue != NULL || writer->has_doomed || writer->dead.n > 0 || writer->later.n > 0) {
        return 0;
    }
    bool is_dirty = store->env[ENV_INDEX].is_dirty || store->env[ENV_CONTENT].is_dirty;
    return wait_for_retry_ms(store, is_dirty ? SYNC_EVERY_MS / 4 : IDLE_WAIT_MS);
}

static void take_messages(struct writer *writer, struct msg *msg)
{
    while (msg != NULL) {
        struct msg *next = msg->next;
        struct note *note = (struct note *)msg;
        if (note->kind == NOTE_STOP) {
            writer->is_stopping = true;
        } else {
            struct batch *batch = (struct batch *)note;
            batch->queued = NULL;
            *writer->queue_tail = batch;
            writer->queue_tail = &batch->queued;
        }
        msg = next;
    }
}

/* Only memory knows of these, so they are worth a moment at the end; what is left is evicted in
 * time. */
static void finish_steps(struct store *store)
{
    const struct writer *writer = &store->writer;
    uint64_t until = clock_mono_ms() + FINISH_MS;
    while ((writer->dead.n > 0 || writer->later.n > 0) && clock_mono_ms() < until) {
        (void)doom_step(store);
    }
}

static void *writer_main(void *arg)
{
    struct store *store = arg;
    struct writer *writer = &store->writer;
    doom_find_leftovers(store);
    while (!writer->is_stopping || writer->queue != NULL) {
        take_messages(writer, msgq_wait(&writer->inbox, wait_ms(store)));
        if (writer->queue != NULL) {
            run_round(store);
        } else if (!writer->is_stopping && !doom_step(store)) {
            writer->has_doomed = false;
        }
        sync_if_due(store);
        retry_if_due(store);
    }
    finish_steps(store);
    for (int i = 0; i < ENV_N; i++) {
        if (store->env[i].mdb != NULL) {
            sync_env(store, &store->env[i]);
        }
    }
    return NULL;
}

void writer__start(struct store *store)
{
    struct writer *writer = &store->writer;
    msgq_init(&writer->inbox, NULL, NULL);
    writer->queue_tail = &writer->queue;
    buf_init(&writer->record, 0);
    for (unsigned i = 0; i < ENV_N; i++) {
        writer->lost_notes[i].note.kind = NOTE_LOST;
        writer->lost_notes[i].env = i;
    }
    CHECK(pthread_create(&writer->thread, NULL, writer_main, store) == 0);
}

void writer__join(struct store *store)
{
    struct writer *writer = &store->writer;
    writer->stop_note.kind = NOTE_STOP;
    msgq_send(&writer->inbox, &writer->stop_note.msg);
    CHECK(pthread_join(writer->thread, NULL) == 0);
    struct cold_mailbox *cold;
    struct cold_mailbox *next;
    HASH_ITER(hh, writer->cold, cold, next)
    {
        HASH_DEL(writer->cold, cold);
        alloc_free(cold);
    }
    buf_fini(&writer->record);
    alloc_free(writer->dead.ids);
    alloc_free(writer->later.at);
    msgq_fini(&writer->inbox);
}
