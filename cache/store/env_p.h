#ifndef STORE_ENV_P_H
#define STORE_ENV_P_H
/* One LMDB environment: its directory, its marker, opening, moving aside, emptying.
 * Thread: noted per field; functions: whoever opens the store, afterwards the writer. */
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/slice.h"
#include "base/status.h"
#include "key_p.h"

enum env_kind { ENV_INDEX, ENV_CONTENT, ENV_N };

/* Databases of both environments; the table in env.c says which belongs where. */
enum dbi {
    DBI_META,
    DBI_MAILBOXES, /* hash of (account, name), uidvalidity -> id and both texts */
    DBI_DOOMED,    /* mailbox id: everything below it is to go */
    DBI_STATE,     /* mailbox id, 0 | block + 1 -> header | block */
    DBI_MESSAGES,  /* mailbox id, uid -> items and content pointers */
    DBI_USED,      /* mailbox id, uid / 256 -> hour of last use */
    DBI_SEARCHES,  /* mailbox id, hash of the criteria -> which messages match */
    DBI_SEARCHED,  /* the same -> order of last use, length */
    DBI_CHUNKS,    /* content id, number -> octets */
    DBI_INFO,      /* content id -> size, hour of last use: it is whole */
    DBI_STAGED,    /* content id: not yet whole */
    DBI_USE,       /* hour, then the key of DBI_USED or DBI_INFO */
    DBI_N
};

struct crash_slot;

struct env {
    enum env_kind kind;
    const char *name;
    char *path;         /* the directory */
    char *marker_path;  /* exists: move the environment aside at the next open */
    char *suspect_path; /* exists: the process crashed with it open, for whatever reason */
    uint64_t size_bytes;
    MDB_env *mdb; /* NULL: not usable.  Replaced by the writer only while the loop is detached. */
    MDB_dbi dbi[DBI_N];
    size_t page_bytes;
    struct crash_slot *crash_slot;
    /* loop */
    MDB_txn *read;
    bool is_attached; /* the loop may read */
    bool is_reading;  /* `read` is renewed */
    /* writer */
    bool is_lost; /* waits to be emptied: writes to it are dropped */
    unsigned failures_n;   /* of the disk, one after the other */
    uint64_t retry_at_ms;  /* emptying it has failed: when it is tried again; 0: it has not */
    uint32_t retry_ms;
    bool is_dirty;
    uint64_t synced_at_ms;
};

enum { ENV_SECRET_BYTES = 192, ENV_SCHEMA = 2, ENV_SCHEMA_UPGRADED = 1 };
/* Schemas: 1 had no searches, and nothing else is different. */

/* What both environments say about themselves. */
struct env_meta {
    uint64_t incarnation; /* the same in both: content without its index is worthless */
    uint64_t epoch;       /* starts of the store; upper bits of new ids */
    unsigned char secret[ENV_SECRET_BYTES];
};

/* LMDB's (or errno's) code as a status. */
enum status env_status_of(int rc);

/* Make the directory and take its lock; fd_out: -1, or to be closed at the end. */
enum status env_lock_dir(const char *dir, int *fd_out, struct fail *fail) MUST_USE;
void env_init(struct env *env, enum env_kind kind, const char *dir, uint64_t size_bytes);
void env_fini(struct env *env);
/* Open, moving a marked or damaged one aside.  meta: in: what a fresh one shall say; out: what it
 * says. want_incarnation: 0, or the one it must have, else it is dropped. */
enum status env_open(struct env *env, struct env_meta *meta, uint64_t want_incarnation,
                     struct fail *fail) MUST_USE;
void env_close(struct env *env);
/* Keyed with the secret; who looks something up by it compares the full text all the same. */
void env_hash_name(const struct env_meta *meta, struct slice text,
                   unsigned char out[NAME_HASH_BYTES]);
/* Close, delete, open empty with @meta. */
enum status env_recreate(struct env *env, const struct env_meta *meta) MUST_USE;
/* Leave the marker: at the next open this environment is moved aside. */
void env_mark(const struct env *env);
/* An orderly end: earlier crashes count no more. */
void env_trust(const struct env *env);

/* crash.c: cover the mapping of an open environment / no more. */
void crash_cover(struct env *env);
void crash_uncover(struct env *env);
/* This thread is inside a transaction of the environment (or out of it): a wild SIGSEGV is its
 * fault. */
enum crash_thread { CRASH_LOOP, CRASH_WRITER, CRASH_READER, CRASH_THREADS };
void crash_enter(struct env *env, enum crash_thread who);
void crash_leave(struct env *env, enum crash_thread who);

#endif
