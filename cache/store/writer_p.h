#ifndef STORE_WRITER_P_H
#define STORE_WRITER_P_H
/* What the writer's thread keeps between transactions.  Owner: struct store.     Thread: writer. */
#include <pthread.h>
#include <uthash.h>

#include "base/buf.h"
#include "base/msgq.h"
#include "env_p.h"
#include "op_p.h"

struct cold_mailbox {
    uint64_t id;
    UT_hash_handle hh;
};

struct dead_contents {
    uint64_t *ids;
    size_t n;
    size_t cap;
};

/* Expunged messages too many for one transaction.  Nobody asks for them, so they may wait. */
struct later_drops {
    struct later {
        uint64_t mailbox_id;
        struct range uids;
    } * at;
    size_t n;
    size_t cap;
};

struct writer {
    pthread_t thread;
    struct msgq inbox;
    struct batch *queue; /* not yet worked on, oldest first */
    struct batch **queue_tail;
    bool is_stopping;
    bool has_doomed; /* mailboxes to be emptied, maybe */
    struct lost_note lost_notes[ENV_N];
    struct note stop_note;
    struct cold_mailbox *cold; /* their state lost a write: only a replace may follow */
    struct buf record;         /* a message record being rewritten */
    struct dead_contents dead;
    struct later_drops later;
    uint64_t quiet_until_ms; /* log lines about dropped writes */
    /* last block registered as used, to spare the look-up */
    uint64_t used_id;
    uint32_t used_block;
    uint32_t used_hour;
};

#endif
