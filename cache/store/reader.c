/* loop: a request of the pool -> queue | reader: look the keys up in a short transaction, which
 * gives addresses -> end it -> pages in memory already? -> tell the kernel of those that are not,
 * all at once -> touch them one by one.
 * The waiting is done outside of the transaction: pages that the writer recycles meanwhile are
 * touched for nothing, but a slow disk does not keep old pages from being recycled.  The addresses
 * stay mapped because the lock on the environments is held. */
#include "store/reader.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include "base/check.h"
#include "format_p.h"
#include "store_p.h"

enum {
    PAGE_BYTES_MIN = 4096,
    RUN_BYTES_MAX = 1 << 20, /* Linux reads no more at one advice */
    RUNS_MAX = 128,          /* of one transaction */
    RECORDS_STEP = 128,
    IDLE_MS = 3600 * 1000,
    SAMPLE_TURNS = 8,
    COLD_SAMPLES = 64,
};

/* Whole pages of the map. */
struct run {
    char *at;
    size_t len;
    bool is_absent;
};

struct runs {
    size_t page_bytes;
    size_t n;
    uint64_t bytes;
    struct run at[RUNS_MAX];
};

static uint64_t thread_faults(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_majflt : 0;
}

static void note_waits(struct reader *reader, uint64_t n)
{
    if (n > 0) {
        (void)atomic_fetch_add_explicit(&reader->waits_n, n, memory_order_relaxed);
    }
}

static bool is_stopping(struct reader *reader)
{
    return atomic_load_explicit(&reader->is_stopping, memory_order_relaxed);
}

/* --- pages --- */

static bool runs_are_full(const struct runs *runs)
{
    return runs->n == RUNS_MAX || runs->bytes >= RUN_BYTES_MAX;
}

static void runs_add(struct runs *runs, struct slice value)
{
    uintptr_t mask = ~(uintptr_t)(runs->page_bytes - 1);
    char *begin = (char *)((uintptr_t)value.data & mask);
    char *end = (char *)(((uintptr_t)value.data + value.len + runs->page_bytes - 1) & mask);
    struct run *last = runs->n > 0 ? &runs->at[runs->n - 1] : NULL;
    runs->bytes += (uint64_t)(end - begin);
    if (last != NULL && last->at + last->len == begin && end - last->at <= RUN_BYTES_MAX) {
        last->len = (size_t)(end - last->at);
    } else if (runs->n < RUNS_MAX) {
        runs->at[runs->n++] = (struct run){.at = begin, .len = (size_t)(end - begin)};
    }
}

/* Not an answer (of pages beyond the map, say): nothing to be done about them. */
static bool is_absent(const struct runs *runs, const struct run *run)
{
    unsigned char pages[RUN_BYTES_MAX / PAGE_BYTES_MIN + 1];
    size_t n = run->len / runs->page_bytes;
    if (n > sizeof(pages) || mincore(run->at, run->len, pages) != 0) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if ((pages[i] & 1) == 0) {
            return true;
        }
    }
    return false;
}

static void touch_run(const struct runs *runs, const struct run *run)
{
    for (size_t at = 0; at < run->len; at += runs->page_bytes) {
        (void)*(volatile const char *)(run->at + at);
    }
}

static void bring_in(struct reader *reader, struct runs *runs)
{
    uint64_t absent_n = 0;
    for (size_t i = 0; i < runs->n; i++) {
        struct run *run = &runs->at[i];
        run->is_absent = is_absent(runs, run);
        if (run->is_absent) {
            absent_n++;
            (void)madvise(run->at, run->len, MADV_WILLNEED);
        }
    }
    note_waits(reader, absent_n);
    for (size_t i = 0; i < runs->n && !is_stopping(reader); i++) {
        if (runs->at[i].is_absent) {
            touch_run(runs, &runs->at[i]);
        }
    }
}

/* --- transactions --- */

static MDB_txn *txn_open(struct env *env)
{
    MDB_txn *txn = NULL;
    if (env->mdb == NULL) {
        return NULL;
    }
    crash_enter(env, CRASH_READER);
    if (mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn) != 0) {
        crash_leave(env, CRASH_READER);
        return NULL;
    }
    return txn;
}

static void txn_close(struct env *env, MDB_txn *txn)
{
    mdb_txn_abort(txn);
    crash_leave(env, CRASH_READER);
}

/* --- contents --- */

/* Chunks first to last (exclusive), as far as the runs take them; returns the next one. */
static uint32_t add_chunks(struct env *env, MDB_txn *txn, const struct content_ref *ref,
                           struct range chunks, struct runs *runs)
{
    uint32_t number = chunks.first;
    for (; number <= chunks.last && !runs_are_full(runs); number++) {
        struct key key = key_id_number(ref->content_id, number);
        MDB_val k = {.mv_size = key.len, .mv_data = key.at};
        MDB_val v;
        if (mdb_get(txn, env->dbi[DBI_CHUNKS], &k, &v) != 0 ||
            v.mv_size != CHUNK_HEAD_BYTES + chunk_len(ref->size_bytes, number)) {
            return chunks.last + 1; /* gone, or the loop will see to it */
        }
        runs_add(runs, slice_of(v.mv_data, v.mv_size));
    }
    return number;
}

static struct range chunks_within(const struct content_ref *ref, uint64_t offset, uint64_t bytes)
{
    uint64_t left = ref->size_bytes - offset;
    uint64_t end = offset + (bytes < left ? bytes : left);
    return (struct range){.first = (uint32_t)(offset / STORE_CHUNK_BYTES),
                          .last = (uint32_t)((end - 1) / STORE_CHUNK_BYTES)};
}

static void runs_begin(struct runs *runs, const struct env *env)
{
    runs->page_bytes = env->page_bytes;
    runs->n = 0;
    runs->bytes = 0;
}

/* One transaction's worth; returns the next chunk. */
static uint32_t read_chunks(struct store *store, const struct content_ref *ref, struct range chunks)
{
    struct env *env = &store->env[ENV_CONTENT];
    struct runs runs;
    uint64_t faults = thread_faults();
    uint32_t next = chunks.last + 1;
    (void)pthread_mutex_lock(&store->reader.envs_lock);
    MDB_txn *txn = txn_open(env);
    if (txn != NULL) {
        runs_begin(&runs, env);
        next = add_chunks(env, txn, ref, chunks, &runs);
        txn_close(env, txn);
        bring_in(&store->reader, &runs);
    }
    (void)pthread_mutex_unlock(&store->reader.envs_lock);
    note_waits(&store->reader, thread_faults() - faults);
    return next;
}

static void read_content(struct store *store, const struct content_ref *ref, uint64_t offset,
                         uint64_t bytes)
{
    struct range chunks = chunks_within(ref, offset, bytes);
    while (chunks.first <= chunks.last && !is_stopping(&store->reader)) {
        chunks.first = read_chunks(store, ref, chunks);
    }
}

/* --- records --- */

struct record_step {
    uint64_t next_uid; /* above 32 bits: that was all */
    size_t refs_n;
    struct content_ref refs[RECORDS_STEP];
};

static void add_refs(struct record_step *step, struct slice entries)
{
    struct entry entry;
    while (step->refs_n < RECORDS_STEP && entry_next(&entries, &entry)) {
        if (entry.kind == ENTRY_CONTENT &&
            content_ref_read(entry.value, &step->refs[step->refs_n]) &&
            step->refs[step->refs_n].size_bytes > 0) {
            step->refs_n++;
        }
    }
}

/* The walk and the checksums touch all there is of them. */
static void walk_records(struct env *env, MDB_txn *txn, const struct readahead *request,
                         struct record_step *step)
{
    struct key key = key_id_number(request->mailbox_id, (uint32_t)step->next_uid);
    MDB_val k = {.mv_size = key.len, .mv_data = key.at};
    MDB_val v;
    MDB_cursor *cursor;
    step->next_uid = UINT64_MAX;
    if (mdb_cursor_open(txn, env->dbi[DBI_MESSAGES], &cursor) != 0) {
        return;
    }
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    for (size_t n = 0; rc == 0; n++) {
        uint32_t uid = k.mv_size == 12 ? load_be32((const char *)k.mv_data + 8) : UINT32_MAX;
        if (k.mv_size != 12 || load_be64(k.mv_data) != request->mailbox_id ||
            uid > request->uid_last) {
            break;
        }
        if (n == RECORDS_STEP || step->refs_n == RECORDS_STEP) {
            step->next_uid = uid;
            break;
        }
        struct slice entries;
        if (format_open(request->mailbox_id, uid, slice_of(v.mv_data, v.mv_size), &entries) &&
            request->bytes > 0) {
            add_refs(step, entries);
        }
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
}

static void step_records(struct store *store, const struct readahead *request,
                         struct record_step *step)
{
    struct env *env = &store->env[ENV_INDEX];
    uint64_t faults = thread_faults();
    (void)pthread_mutex_lock(&store->reader.envs_lock);
    MDB_txn *txn = txn_open(env);
    if (txn != NULL) {
        walk_records(env, txn, request, step);
        txn_close(env, txn);
    } else {
        step->next_uid = UINT64_MAX;
    }
    (void)pthread_mutex_unlock(&store->reader.envs_lock);
    note_waits(&store->reader, thread_faults() - faults);
}

/* The beginnings of many contents under few transactions; returns their octets. */
static uint64_t read_refs(struct store *store, const struct record_step *step, uint64_t bytes)
{
    struct env *env = &store->env[ENV_CONTENT];
    struct runs runs;
    uint64_t done = 0;
    for (size_t i = 0; i < step->refs_n && !is_stopping(&store->reader);) {
        (void)pthread_mutex_lock(&store->reader.envs_lock);
        MDB_txn *txn = txn_open(env);
        if (txn == NULL) {
            (void)pthread_mutex_unlock(&store->reader.envs_lock);
            break;
        }
        runs_begin(&runs, env);
        for (; i < step->refs_n && !runs_are_full(&runs); i++) {
            (void)add_chunks(env, txn, &step->refs[i], chunks_within(&step->refs[i], 0, bytes),
                             &runs);
        }
        txn_close(env, txn);
        bring_in(&store->reader, &runs);
        (void)pthread_mutex_unlock(&store->reader.envs_lock);
        done += runs.bytes;
    }
    return done;
}

static void read_records(struct store *store, const struct readahead *request)
{
    struct record_step step = {.next_uid = request->uid_first};
    uint64_t bytes = 0;
    for (int n = 0; n < STORE_READAHEAD_RECORDS / RECORDS_STEP; n++) {
        step.refs_n = 0;
        step_records(store, request, &step);
        bytes += read_refs(store, &step, request->bytes);
        if (step.next_uid > UINT32_MAX || bytes >= STORE_READAHEAD_MAX ||
            is_stopping(&store->reader)) {
            return;
        }
    }
}

/* --- the thread --- */

static void serve(struct store *store, const struct readahead *request)
{
    switch (request->kind) {
    case READAHEAD_CONTENT:
        read_content(store, &request->content, request->offset, request->bytes);
        break;
    case READAHEAD_RECORDS:
        read_records(store, request);
        break;
    case READAHEAD_STOP:
        break;
    }
}

static void *reader_main(void *arg)
{
    struct store *store = arg;
    struct reader *reader = &store->reader;
    while (!is_stopping(reader)) {
        struct msg *msg = msgq_wait(&reader->inbox, IDLE_MS);
        while (msg != NULL) {
            struct msg *next = msg->next;
            struct readahead *request = (struct readahead *)msg;
            if (!is_stopping(reader)) {
                serve(store, request);
            }
            atomic_store_explicit(&request->is_queued, false, memory_order_release);
            msg = next;
        }
    }
    return NULL;
}

void reader__start(struct store *store)
{
    struct reader *reader = &store->reader;
    msgq_init(&reader->inbox, NULL, NULL);
    CHECK(pthread_mutex_init(&reader->envs_lock, NULL) == 0);
    reader->faults_seen = thread_faults();
    CHECK(pthread_create(&reader->thread, NULL, reader_main, store) == 0);
}

void reader__join(struct store *store)
{
    struct reader *reader = &store->reader;
    atomic_store(&reader->is_stopping, true);
    reader->stop.kind = READAHEAD_STOP;
    msgq_send(&reader->inbox, &reader->stop.msg);
    CHECK(pthread_join(reader->thread, NULL) == 0);
    msgq_fini(&reader->inbox);
    (void)pthread_mutex_destroy(&reader->envs_lock);
}

/* --- the loop's side --- */

/* A request that is free; NULL: all wait. */
static struct readahead *take(struct store *store, enum readahead_kind kind)
{
    struct reader *reader = &store->reader;
    struct readahead *request = &reader->requests[reader->next];
    /* They are served in the order of the pool, so if this one waits all do. */
    if (atomic_load_explicit(&request->is_queued, memory_order_acquire)) {
        return NULL;
    }
    reader->next = (reader->next + 1) % STORE_READAHEAD_QUEUE;
    atomic_store_explicit(&request->is_queued, true, memory_order_relaxed);
    request->kind = kind;
    return request;
}

void store_readahead_content(struct store *store, const struct content_ref *ref, uint64_t offset,
                             uint64_t bytes)
{
    if (offset >= ref->size_bytes || bytes == 0) {
        return;
    }
    struct readahead *request = take(store, READAHEAD_CONTENT);
    if (request != NULL) {
        request->content = *ref;
        request->offset = offset;
        request->bytes = bytes < STORE_READAHEAD_MAX ? bytes : STORE_READAHEAD_MAX;
        msgq_send(&store->reader.inbox, &request->msg);
    }
}

void store_readahead_records(struct store *store, uint64_t mailbox_id, uint32_t uid_first,
                             uint32_t uid_last, uint64_t content_bytes)
{
    struct readahead *request = take(store, READAHEAD_RECORDS);
    if (request != NULL) {
        request->mailbox_id = mailbox_id;
        request->uid_first = uid_first;
        request->uid_last = uid_last;
        request->bytes = content_bytes < RUN_BYTES_MAX ? content_bytes : RUN_BYTES_MAX;
        msgq_send(&store->reader.inbox, &request->msg);
    }
}

void reader__sample(struct store *store)
{
    struct reader *reader = &store->reader;
    if (++reader->turns % SAMPLE_TURNS != 0) {
        return;
    }
    uint64_t faults = thread_faults();
    uint64_t waits = atomic_load_explicit(&reader->waits_n, memory_order_relaxed);
    if (faults != reader->faults_seen || waits != reader->waits_seen) {
        reader->cold_samples = COLD_SAMPLES;
    } else if (reader->cold_samples > 0) {
        reader->cold_samples--;
    }
    reader->faults_seen = faults;
    reader->waits_seen = waits;
}

bool store_is_cold(const struct store *store)
{
    return store->reader.cold_samples > 0;
}
