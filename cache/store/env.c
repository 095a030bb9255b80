/* env_open:  marked? -> aside | open | too short for its meta page? -> aside, open fresh |
 *            other schema or other incarnation? -> drop, open fresh | write the meta record:
 *            the epoch of this start is on disk before its first id is used */
#include "env_p.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "txn_p.h"

static const struct {
    const char *name;
    unsigned in; /* bits of enum env_kind */
} dbis[DBI_N] = {
    [DBI_META] = {"meta", 1U << ENV_INDEX | 1U << ENV_CONTENT},
    [DBI_MAILBOXES] = {"mailboxes", 1U << ENV_INDEX},
    [DBI_DOOMED] = {"doomed", 1U << ENV_INDEX},
    [DBI_STATE] = {"state", 1U << ENV_INDEX},
    [DBI_MESSAGES] = {"messages", 1U << ENV_INDEX},
    [DBI_USED] = {"used", 1U << ENV_INDEX},
    [DBI_SEARCHES] = {"searches", 1U << ENV_INDEX},
    [DBI_SEARCHED] = {"searched", 1U << ENV_INDEX},
    [DBI_CHUNKS] = {"chunks", 1U << ENV_CONTENT},
    [DBI_INFO] = {"info", 1U << ENV_CONTENT},
    [DBI_STAGED] = {"staged", 1U << ENV_CONTENT},
    [DBI_USE] = {"use", 1U << ENV_INDEX | 1U << ENV_CONTENT},
};

enum status env_status_of(int rc)
{
    switch (rc) {
    case 0:
        return OK;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
        return FULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
    case MDB_BAD_TXN:
        return CORRUPT;
    default:
        return IO;
    }
}

static char *path_join(const char *dir, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s%s", dir, name) < 0) {
        path = alloc_string(""); /* out of memory: opening it will fail */
    }
    return path;
}

enum status env_lock_dir(const char *dir, int *fd_out, struct fail *fail)
{
    *fd_out = -1;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return fail_set(fail, IO, "store", "%s: %s", dir, strerror(errno));
    }
    char *path = path_join(dir, "/lock");
    *fd_out = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    alloc_free(path);
    if (*fd_out < 0) {
        return fail_set(fail, IO, "store", "%s: cannot write there: %s", dir, strerror(errno));
    }
    if (flock(*fd_out, LOCK_EX | LOCK_NB) != 0) {
        return fail_set(fail, IO, "store", "%s: in use by another process", dir);
    }
    return OK;
}

void env_init(struct env *env, enum env_kind kind, const char *dir, uint64_t size_bytes)
{
    static const char *const names[ENV_N] = {[ENV_INDEX] = "index", [ENV_CONTENT] = "content"};
    *env = (struct env){.kind = kind, .name = names[kind], .size_bytes = size_bytes};
    env->path = path_join(dir, kind == ENV_INDEX ? "/index" : "/content");
    env->marker_path = path_join(env->path, ".marker");
    env->suspect_path = path_join(env->path, ".suspect");
}

void env_fini(struct env *env)
{
    alloc_free(env->path);
    alloc_free(env->marker_path);
    alloc_free(env->suspect_path);
    env->path = NULL;
    env->marker_path = NULL;
}

/* False: something of it is still there. */
static bool remove_files(const char *dir)
{
    static const char *const names[] = {"/data.mdb", "/lock.mdb"};
    bool is_gone = true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = path_join(dir, names[i]);
        is_gone = (unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR) && is_gone;
        alloc_free(path);
    }
    return is_gone;
}

static void move_aside(struct env *env, const char *why)
{
    char *aside = path_join(env->path, ".damaged");
    (void)remove_files(aside); /* one generation is kept, for whoever wants to look */
    (void)rmdir(aside);
    if (rename(env->path, aside) != 0) {
        (void)remove_files(env->path);
    }
    (void)unlink(env->marker_path);
    (void)unlink(env->suspect_path);
    LOG(LOG_WARN, "store", "msg=\"moved aside\" env=%s why=\"%s\"", env->name, why);
    alloc_free(aside);
}

void env_mark(const struct env *env)
{
    int fd = open(env->marker_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

void env_trust(const struct env *env)
{
    (void)unlink(env->suspect_path);
}

static void on_assert(MDB_env *mdb, const char *text)
{
    const struct env *env = mdb_env_get_userctx(mdb);
    env_mark(env);
    LOG(LOG_ERROR, "store", "msg=\"LMDB assertion\" env=%s text=%s", env->name,
        LOG_Q(slice_str(text)));
    abort();
}

static int open_dbis(struct env *env)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->mdb, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    for (int i = 0; i < DBI_N && rc == 0; i++) {
        env->dbi[i] = 0;
        if ((dbis[i].in & 1U << env->kind) != 0) {
            rc = mdb_dbi_open(txn, dbis[i].name, MDB_CREATE, &env->dbi[i]);
        }
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static size_t map_bytes(const struct env *env)
{
    return (size_t)(env->size_bytes + env->size_bytes / 4) & ~(size_t)0xffff;
}

/* MDB_CORRUPTED: the file ends before the last page its meta page knows of, and touching one beyond
 * the end would be SIGBUS.  MDB_MAP_RESIZED: it needs more than its cap, which was lowered.  Else
 * the file is extended, sparsely, to the size of the map: LMDB never writes pages that a
 * transaction took at the end and gave up again, so that without this a sound file could look cut
 * off. */
static int check_length(struct env *env)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    int fd;
    int rc = mdb_env_info(env->mdb, &info);
    rc = rc != 0 ? rc : mdb_env_stat(env->mdb, &stat);
    rc = rc != 0 ? rc : mdb_env_get_fd(env->mdb, &fd);
    if (rc != 0) {
        return rc;
    }
    if (fstat(fd, &file) != 0) {
        return errno;
    }
    env->page_bytes = stat.ms_psize;
    uint64_t end = (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
    if ((uint64_t)file.st_size < end) {
        return MDB_CORRUPTED;
    }
    if (end > map_bytes(env)) {
        return MDB_MAP_RESIZED;
    }
    return ftruncate(fd, (off_t)map_bytes(env)) == 0 ? 0 : errno;
}

static int open_file(struct env *env)
{
    if (FAULT(store_open)) {
        return EIO;
    }
    /* Our own lock says that nobody else is here, so what a killed process left in LMDB's is stale.
     */
    char *lock = path_join(env->path, "/lock.mdb");
    (void)unlink(lock);
    alloc_free(lock);
    int rc = mdb_env_create(&env->mdb);
    if (rc != 0) {
        env->mdb = NULL;
        return rc;
    }
    (void)mdb_env_set_userctx(env->mdb, env);
    (void)mdb_env_set_assert(env->mdb, on_assert);
    rc = mdb_env_set_mapsize(env->mdb, map_bytes(env));
    rc = rc != 0 ? rc : mdb_env_set_maxdbs(env->mdb, DBI_N);
    /* NOMETASYNC: data pages are flushed at each commit, the meta page by the next one or by
     * env_sync; power loss may undo the last commit but leaves no torn tree. */
    rc = rc != 0 ? rc : mdb_env_open(env->mdb, env->path, MDB_NOTLS | MDB_NOMETASYNC, 0600);
    rc = rc != 0 ? rc : check_length(env);
    if (rc != 0) {
        env_close(env);
    }
    return rc;
}

static int open_mdb(struct env *env)
{
    if (mkdir(env->path, 0700) != 0 && errno != EEXIST) {
        return errno;
    }
    int rc = open_file(env);
    if (rc == MDB_MAP_RESIZED) {
        /* The pages in use of LMDB's files do not move: it can only go. */
        LOG(LOG_WARN, "store", "msg=\"larger than its cap, dropped\" env=%s", env->name);
        (void)remove_files(env->path);
        rc = open_file(env);
    }
    if (rc != 0) {
        return rc;
    }
    /* Before the first page is touched, which may already be a damaged one. */
    crash_cover(env);
    crash_enter(env, CRASH_WRITER);
    rc = open_dbis(env);
    crash_leave(env, CRASH_WRITER);
    if (rc != 0) {
        env_close(env);
    }
    return rc;
}

void env_close(struct env *env)
{
    if (env->mdb == NULL) {
        return;
    }
    crash_uncover(env);
    mdb_env_close(env->mdb);
    env->mdb = NULL;
}

void env_hash_name(const struct env_meta *meta, struct slice text,
                   unsigned char out[NAME_HASH_BYTES])
{
    XXH128_hash_t hash = XXH3_128bits_withSecret(text.data, text.len, meta->secret,
                                                 sizeof(meta->secret));
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    memcpy(out, canonical.digest, NAME_HASH_BYTES);
}

/* The meta record on disk: checksum, schema, then the fields. */
enum { META_BYTES = 8 + 8 + 8 + 8 + ENV_SECRET_BYTES };

static struct key meta_key(void)
{
    struct key key = key_begin();
    key_add_bytes(&key, "meta", 4);
    return key;
}

static int write_meta(struct env *env, const struct env_meta *meta)
{
    unsigned char bytes[META_BYTES];
    uint64_t words[4] = {0, ENV_SCHEMA, meta->incarnation, meta->epoch};
    memcpy(bytes, words, sizeof(words));
    memcpy(bytes + sizeof(words), meta->secret, ENV_SECRET_BYTES);
    words[0] = XXH3_64bits(bytes + 8, sizeof(bytes) - 8);
    memcpy(bytes, words, 8);

    struct txn txn;
    txn_begin(&txn, env);
    struct key key = meta_key();
    txn_put(&txn, DBI_META, &key, slice_of(bytes, sizeof(bytes)));
    if (txn_commit(&txn) != OK) {
        return txn.rc;
    }
    env->is_dirty = false;
    env->synced_at_ms = clock_mono_ms();
    return mdb_env_sync(env->mdb, 1);
}

/* At the opening any complaint of LMDB's own (its codes are negative), and EINVAL, is about the
 * file. */
static bool is_damage(int rc)
{
    return rc < 0 || rc == EINVAL;
}

/* What is upgraded needs nothing but the new number, which the first write of each start brings. */
static bool is_schema_known(uint64_t schema)
{
    return schema == ENV_SCHEMA || schema == ENV_SCHEMA_UPGRADED;
}

/* OK, STALE (no record, another schema or incarnation: drop it), CORRUPT. */
static enum status read_meta(struct env *env, uint64_t want_incarnation, struct env_meta *out)
{
    struct txn txn;
    struct slice value = {NULL, 0};
    txn_begin(&txn, env);
    struct key key = meta_key();
    enum status st = OK;
    if (!txn_get(&txn, DBI_META, &key, &value)) {
        st = txn_ok(&txn) ? STALE : CORRUPT; /* just made; or a tree that lost its root */
    } else if (value.len < 16 ||
               XXH3_64bits(value.data + 8, value.len - 8) != load_u64(value.data)) {
        st = CORRUPT;
    } else if (!is_schema_known(load_u64(value.data + 8)) || value.len != META_BYTES) {
        LOG(LOG_WARN, "store", "msg=\"another schema, dropped\" env=%s found=%llu", env->name,
            (unsigned long long)load_u64(value.data + 8));
        st = STALE;
    } else if (want_incarnation != 0 && load_u64(value.data + 16) != want_incarnation) {
        LOG(LOG_WARN, "store", "msg=\"belongs to another index, dropped\" env=%s", env->name);
        st = STALE;
    } else {
        out->incarnation = load_u64(value.data + 16);
        out->epoch = load_u64(value.data + 24);
        memcpy(out->secret, value.data + 32, ENV_SECRET_BYTES);
    }
    txn_abort(&txn);
    return st;
}

enum status env_recreate(struct env *env, const struct env_meta *meta)
{
    env_close(env);
    if (!remove_files(env->path)) {
        move_aside(env, "cannot be removed");
    }
    /* What was there must not come back: it may hold what was dropped since. */
    char *data = path_join(env->path, "/data.mdb");
    int rc = access(data, F_OK) == 0 ? EIO : open_mdb(env);
    alloc_free(data);
    rc = rc != 0 ? rc : write_meta(env, meta);
    if (rc != 0) {
        env_close(env);
        return env_status_of(rc);
    }
    env->is_lost = false;
    (void)unlink(env->marker_path);
    return OK;
}

enum status env_open(struct env *env, struct env_meta *meta, uint64_t want_incarnation,
                     struct fail *fail)
{
    if (access(env->marker_path, F_OK) == 0) {
        move_aside(env, "a crash was marked");
    }
    struct env_meta found;
    int rc = open_mdb(env);
    enum status st = rc == 0 ? read_meta(env, want_incarnation, &found) : env_status_of(rc);
    if (rc == 0 && st == OK) {
        /* The first write tells whether it can be written at all. */
        found.epoch++;
        rc = write_meta(env, &found);
        st = env_status_of(rc);
    }
    if (st == CORRUPT || is_damage(rc)) {
        env_close(env);
        move_aside(env, rc != 0 ? mdb_strerror(rc) : "bad meta record");
        st = STALE;
    }
    if (st == OK) {
        *meta = found;
    } else if (st == STALE) {
        st = env_recreate(env, meta);
    }
    if (st != OK) {
        env_close(env);
        return fail_set(fail, st, "store", "%s: cannot be opened: %s", env->path,
                        rc > 0 ? strerror(rc) : status_name(st));
    }
    return OK;
}
