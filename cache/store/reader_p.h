#ifndef STORE_READER_P_H
#define STORE_READER_P_H
/* The reader's thread and its queue.  Owner: struct store.  Requests are a fixed pool: the loop
 * fills one that is not queued, the reader gives it back. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/msgq.h"
#include "store/reader.h"

enum readahead_kind { READAHEAD_CONTENT, READAHEAD_RECORDS, READAHEAD_STOP };

struct readahead {
    struct msg msg;
    atomic_bool is_queued;
    enum readahead_kind kind;
    struct content_ref content;
    uint64_t offset; /* of the content */
    uint64_t bytes;
    uint64_t mailbox_id;
    uint32_t uid_first;
    uint32_t uid_last;
};

struct reader {
    pthread_t thread;
    struct msgq inbox;
    atomic_bool is_stopping;
    _Atomic uint64_t waits_n; /* for the disk; written by the reader */
    /* Held by the reader while it is in an environment, and by the writer while it replaces one. */
    pthread_mutex_t envs_lock;
    struct readahead requests[STORE_READAHEAD_QUEUE];
    struct readahead stop;
    /* loop */
    size_t next;
    unsigned turns;
    unsigned cold_samples; /* it counts as cold for so many more */
    uint64_t faults_seen;
    uint64_t waits_seen;
};

struct store;
void reader__start(struct store *store);
void reader__join(struct store *store);
/* End of a turn, loop. */
void reader__sample(struct store *store);

#endif
