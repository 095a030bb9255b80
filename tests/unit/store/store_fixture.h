#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H
/* A store in a directory of its own, a clock that the test moves, and short forms of the calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "base/fault.h"
#include "base/stats.h"
#include "store/content.h"
#include "store/record.h"
#include "store/state.h"
#include "store/store.h"

struct fixture {
    char dir[64];
    struct stats stats;
    struct store *store;
    uint64_t size_bytes;
    uint64_t mailbox;
};

static _Atomic int64_t fixture_now_s = 1000000 * 3600LL;

static inline int64_t fixture_clock(void)
{
    return fixture_now_s;
}

static inline enum status fixture_try_open(struct fixture *f, struct fail *fail)
{
    struct store_options options = {
        .dir = f->dir, .size_bytes = f->size_bytes, .stats = &f->stats, .wall_s = fixture_clock};
    return store_open(&options, &f->store, fail);
}

static inline void fixture_open(struct fixture *f)
{
    struct fail fail = {.status = OK};
    assert_int_equal(fixture_try_open(f, &fail), OK);
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("INBOX"), 7, &f->mailbox),
                     OK);
}

static inline void fixture_reopen(struct fixture *f)
{
    store_close(&f->store);
    assert_null(f->store);
    fixture_open(f);
}

static inline int fixture_setup_size(void **state, uint64_t size_bytes)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->size_bytes = size_bytes;
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/store-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    fixture_open(f);
    *state = f;
    return 0;
}

static inline int fixture_setup(void **state)
{
    return fixture_setup_size(state, 64 << 20);
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    fault_plan("");
    store_close(&f->store);
    (void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

#ifdef IMAPCACHED_DEBUG
/* Make the next visit of the fault (and, with "+", all from then on) happen.  Visits are counted
 * for the whole process and only while the fault is planned: count up to a number not reached
 * before. */
static inline void arm(enum fault fault, const char *name, const char *plus)
{
    static unsigned long at = 0;
    char plan[64];
    at += 10000;
    (void)snprintf(plan, sizeof(plan), "%s:%lu", name, at);
    fault_plan(plan);
    while (!fault_hit(fault)) {
    }
    (void)snprintf(plan, sizeof(plan), "%s:%lu%s", name, at + 1, plus);
    fault_plan(plan);
}
#define ARM(name) arm(FAULT_##name, #name, "")
#else
#define ARM(name) skip() /* release builds have no faults */
#endif

static inline void disarm(void)
{
    fault_plan("");
}

/* Hand all to the writer and wait, without hearing its answer, until it has dropped something. */
static inline void flush_until_dropped(struct fixture *f)
{
    uint64_t before = stats_get(&f->stats, STAT_store_dropped_writes);
    store_flush(f->store);
    for (int i = 0; i < 10000; i++) {
        if (stats_get(&f->stats, STAT_store_dropped_writes) > before) {
            return;
        }
        (void)usleep(1000);
    }
    fail_msg("nothing was dropped");
}

static inline void put_item(struct fixture *f, uint32_t uid, const char *key, const char *value)
{
    assert_int_equal(store_item_put(f->store, f->mailbox, uid, slice_str(key), slice_str(value)),
                     OK);
}

/* The item's text, copied; NULL when it is not there. */
static inline const char *get_item(struct fixture *f, uint32_t uid, const char *key)
{
    static char text[STORE_ITEM_MAX + 1];
    struct store_walk walk;
    struct record record;
    struct slice value;
    struct record_key wanted = record_key_of(slice_str(key));
    const char *found = NULL;
    store_read_begin(f->store);
    store_walk_begin(f->store, f->mailbox, &walk);
    if (store_walk_to(&walk, uid, &record) && record_find(&record, &wanted, &value)) {
        memcpy(text, value.data, value.len);
        text[value.len] = '\0';
        found = text;
    }
    store_walk_end(&walk);
    store_read_end(f->store);
    return found;
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* Octet @at of the content that belongs to @seed. */
static inline char content_byte(uint64_t seed, uint64_t at)
{
    return (char)((at * 2654435761U + seed * 97 + (at >> 13)) >> 5);
}

static inline struct content_writer *begin_content(struct fixture *f, uint32_t uid, uint64_t size)
{
    struct content_writer *writer = NULL;
    assert_int_equal(
        store_content_create(f->store, f->mailbox, uid, SLICE("BODY[]"), size, &writer), OK);
    return writer;
}

static inline enum status append_content(struct content_writer *writer, uint64_t seed, uint64_t n)
{
    char piece[5000];
    enum status st = OK;
    while (n > 0 && st == OK) {
        size_t len = n < sizeof(piece) ? (size_t)n : sizeof(piece);
        uint64_t from = store_content_received(writer);
        for (size_t i = 0; i < len; i++) {
            piece[i] = content_byte(seed, from + i);
        }
        st = store_content_append(writer, slice_of(piece, len));
        n -= len;
    }
    return st;
}

static inline void put_content(struct fixture *f, uint32_t uid, uint64_t size)
{
    struct content_writer *writer = begin_content(f, uid, size);
    assert_int_equal(append_content(writer, uid, size), OK);
    assert_int_equal(store_content_commit(&writer), OK);
    assert_null(writer);
}

/* Read from @from in pieces of at most @max, compare; returns how it ended: END when all was right.
 */
static inline enum status read_content(struct fixture *f, const struct content_ref *ref,
                                       uint64_t seed, uint64_t from, size_t max)
{
    struct slice piece;
    enum status st;
    store_read_begin(f->store);
    while ((st = store_content_read(f->store, ref, from, max, &piece)) == OK) {
        assert_true(piece.len > 0 && piece.len <= max);
        for (size_t i = 0; i < piece.len; i++) {
            if (piece.data[i] != content_byte(seed, from + i)) {
                fail_msg("wrong octet at %llu", (unsigned long long)(from + i));
            }
        }
        from += piece.len;
    }
    store_read_end(f->store);
    return st;
}

static inline enum status find_content(struct fixture *f, uint32_t uid, struct content_ref *ref)
{
    store_read_begin(f->store);
    enum status st = store_content_find(f->store, f->mailbox, uid, SLICE("BODY[]"), ref);
    store_read_end(f->store);
    return st;
}

/* Is it cached and right? */
static inline bool has_content(struct fixture *f, uint32_t uid)
{
    struct content_ref ref;
    return find_content(f, uid, &ref) == OK && read_content(f, &ref, uid, 0, 1 << 20) == END;
}

/* Records in a database of a closed store. */
static inline size_t count_records(struct fixture *f, const char *env_name, const char *dbi_name)
{
    char path[128];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_stat stat;
    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, env_name);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
    assert_int_equal(mdb_env_open(env, path, MDB_RDONLY, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, dbi_name, 0, &dbi), 0);
    assert_int_equal(mdb_stat(txn, dbi, &stat), 0);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return stat.ms_entries;
}

/* Run the writer's steps in the background to their end, and close. */
static inline void close_when_buried(struct fixture *f, const char *env, const char *dbi, size_t n)
{
    for (int i = 0; i < 100; i++) {
        store_settle(f->store);
        (void)usleep(20000);
        store_close(&f->store);
        if (count_records(f, env, dbi) == n) {
            return;
        }
        fixture_open(f);
    }
    fail_msg("%s/%s never came down to %zu records", env, dbi, n);
}

/* Change octets of a file of a closed store, wherever @text stands in it; returns how often. */
static inline size_t damage_octets(struct fixture *f, const char *env, struct slice what)
{
    char path[128];
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "%s/%s/data.mdb", f->dir, env);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    (void)fseek(file, 0, SEEK_END);
    size_t len = (size_t)ftell(file);
    char *bytes = malloc(len);
    (void)fseek(file, 0, SEEK_SET);
    assert_int_equal(fread(bytes, 1, len, file), len);
    for (size_t at = 0; at + what.len <= len; at++) {
        if (memcmp(bytes + at, what.data, what.len) == 0) {
            (void)fseek(file, (long)at, SEEK_SET);
            (void)fputc(bytes[at] ^ 0x20, file);
            n++;
        }
    }
    free(bytes);
    assert_int_equal(fclose(file), 0);
    return n;
}

static inline size_t damage(struct fixture *f, const char *env, const char *text)
{
    return damage_octets(f, env, slice_str(text));
}

#endif
