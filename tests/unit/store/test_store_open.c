/* Opening, closing, moving aside, names and ids. */
#include <xxhash.h>

#include "store_fixture.h"

static void keeps_items_over_a_restart(void **state)
{
    struct fixture *f = *state;
    uint64_t before = f->mailbox;
    put_item(f, 5, "ENVELOPE", "(\"a\")");
    assert_string_equal(get_item(f, 5, "ENVELOPE"), "(\"a\")");
    fixture_reopen(f);
    assert_true(f->mailbox == before);
    assert_string_equal(get_item(f, 5, "ENVELOPE"), "(\"a\")");
}

static void refuses_a_second_opener(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    struct fail fail = {.status = OK};
    assert_int_equal(fixture_try_open(&other, &fail), IO);
    assert_non_null(strstr(fail.text, "in use"));
}

static void refuses_a_directory_it_cannot_make(void **state)
{
    struct fixture other = *(struct fixture *)*state;
    struct fail fail = {.status = OK};
    (void)snprintf(other.dir, sizeof(other.dir), "/proc/nowhere/cache");
    assert_int_equal(fixture_try_open(&other, &fail), IO);
}

static void ids_are_never_used_twice(void **state)
{
    struct fixture *f = *state;
    uint64_t a;
    uint64_t b;
    assert_int_equal(store_mailbox_open(f->store, SLICE("x"), SLICE("A"), 1, &a), OK);
    fixture_reopen(f);
    assert_int_equal(store_mailbox_open(f->store, SLICE("x"), SLICE("B"), 1, &b), OK);
    assert_true(b > a);
    assert_true(b >> 40 > a >> 40); /* another start, another epoch */
}

static void accounts_names_and_uidvalidities_are_apart(void **state)
{
    struct fixture *f = *state;
    uint64_t id[4];
    uint64_t again;
    assert_int_equal(store_mailbox_open(f->store, SLICE("ab"), SLICE("c"), 1, &id[0]), OK);
    assert_int_equal(store_mailbox_open(f->store, SLICE("a"), SLICE("bc"), 1, &id[1]), OK);
    assert_int_equal(store_mailbox_open(f->store, SLICE("ab"), SLICE("C"), 1, &id[2]), OK);
    assert_int_equal(store_mailbox_open(f->store, SLICE(""), SLICE("abc"), 1, &id[3]), OK);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++) {
            assert_true(id[i] != id[j]);
        }
    }
    assert_int_equal(store_mailbox_open(f->store, SLICE("ab"), SLICE("c"), 1, &again), OK);
    assert_true(again == id[0]);
    store_settle(f->store);
    assert_int_equal(store_mailbox_open(f->store, SLICE("a"), SLICE("bc"), 1, &again), OK);
    assert_true(again == id[1]);
}

static void a_new_uidvalidity_starts_empty(void **state)
{
    struct fixture *f = *state;
    for (uint32_t uid = 1; uid <= 600; uid++) {
        put_item(f, uid, "ENVELOPE", "old");
    }
    put_content(f, 1, 100000);
    store_settle(f->store);
    uint64_t old = f->mailbox;
    uint64_t id;
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("INBOX"), 8, &id), OK);
    assert_true(id != old);
    assert_null(get_item(f, 1, "ENVELOPE")); /* an id still held finds nothing */
    f->mailbox = id;
    assert_null(get_item(f, 1, "ENVELOPE"));
    put_item(f, 1, "ENVELOPE", "new");
    store_settle(f->store);
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "new");
    /* Back to the old number: a new mailbox all the same, its records were dropped. */
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("INBOX"), 7, &id), OK);
    f->mailbox = id;
    assert_null(get_item(f, 1, "ENVELOPE"));
    close_when_buried(f, "index", "messages", 0);
    assert_int_equal(count_records(f, "content", "chunks"), 0);
    assert_int_equal(count_records(f, "index", "mailboxes"), 1);
    assert_int_equal(count_records(f, "index", "used"), 0);
    assert_int_equal(count_records(f, "index", "use"), 0);
}

static void a_dropped_name_is_forgotten_at_once_and_for_good(void **state)
{
    struct fixture *f = *state;
    uint64_t old = f->mailbox;
    put_item(f, 1, "ENVELOPE", "x");
    store_settle(f->store);
    store_mailbox_drop(f->store, SLICE("account"), SLICE("INBOX"));
    assert_null(get_item(f, 1, "ENVELOPE"));
    put_item(f, 2, "ENVELOPE", "late"); /* by somebody who still holds the id */
    assert_null(get_item(f, 2, "ENVELOPE"));
    fixture_reopen(f);
    assert_true(f->mailbox != old);
    assert_null(get_item(f, 1, "ENVELOPE"));
    assert_null(get_item(f, 2, "ENVELOPE"));
    close_when_buried(f, "index", "messages", 0);
}

static void drop_then_open_in_one_turn(void **state)
{
    struct fixture *f = *state;
    uint64_t id;
    uint64_t again;
    put_item(f, 1, "ENVELOPE", "x");
    store_mailbox_drop(f->store, SLICE("account"), SLICE("INBOX"));
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("INBOX"), 7, &id), OK);
    assert_true(id != f->mailbox);
    f->mailbox = id;
    assert_null(get_item(f, 1, "ENVELOPE"));
    put_item(f, 1, "ENVELOPE", "y");
    store_settle(f->store);
    assert_int_equal(store_mailbox_open(f->store, SLICE("account"), SLICE("INBOX"), 7, &again), OK);
    assert_true(again == id);
    fixture_reopen(f);
    assert_true(f->mailbox == id);
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "y");
}

static void a_marked_environment_is_moved_aside(void **state)
{
    struct fixture *f = *state;
    char path[128];
    put_item(f, 1, "ENVELOPE", "x");
    put_content(f, 1, 1000);
    store_settle(f->store);
    store_close(&f->store);
    (void)snprintf(path, sizeof(path), "%s/content.marker", f->dir);
    fclose(fopen(path, "w"));
    fixture_open(f);
    assert_int_not_equal(access(path, F_OK), 0);
    (void)snprintf(path, sizeof(path), "%s/content.damaged/data.mdb", f->dir);
    assert_int_equal(access(path, F_OK), 0);
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "x"); /* the other one stays */
    assert_false(has_content(f, 1));
    put_content(f, 1, 1000);
    fixture_reopen(f);
    assert_true(has_content(f, 1));
    store_close(&f->store);
    (void)snprintf(path, sizeof(path), "%s/index.marker", f->dir);
    fclose(fopen(path, "w"));
    fixture_open(f);
    assert_null(get_item(f, 1, "ENVELOPE"));
    store_close(&f->store);
    assert_int_equal(count_records(f, "content", "chunks"), 0); /* went with its index */
    fixture_open(f);
}

static void a_file_too_short_is_moved_aside(void **state)
{
    struct fixture *f = *state;
    char path[128];
    put_content(f, 1, 500000);
    fixture_reopen(f);
    assert_true(has_content(f, 1));
    store_close(&f->store);
    (void)snprintf(path, sizeof(path), "%s/content/data.mdb", f->dir);
    assert_int_equal(truncate(path, 300000), 0);
    fixture_open(f);
    assert_false(has_content(f, 1));
    (void)snprintf(path, sizeof(path), "%s/content.damaged", f->dir);
    assert_int_equal(access(path, F_OK), 0);
}

static void garbage_is_moved_aside(void **state)
{
    struct fixture *f = *state;
    char path[128];
    put_item(f, 1, "ENVELOPE", "x");
    store_settle(f->store);
    store_close(&f->store);
    (void)snprintf(path, sizeof(path), "%s/index/data.mdb", f->dir);
    FILE *file = fopen(path, "r+");
    for (int i = 0; i < 8192; i++) {
        (void)fputc(i * 7, file);
    }
    (void)fclose(file);
    fixture_open(f);
    assert_null(get_item(f, 1, "ENVELOPE"));
    put_item(f, 1, "ENVELOPE", "y");
    fixture_reopen(f);
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "y");
}

/* The schema that a closed environment says it has; it says @new_schema from then on, unless that is
 * KEEP. */
enum { KEEP = 1000 };

static uint64_t change_schema(struct fixture *f, const char *env_name, uint64_t new_schema)
{
    char path[128];
    char bytes[512];
    uint64_t schema;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {4, "meta"};
    MDB_val value;
    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, env_name);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
    assert_int_equal(mdb_get(txn, dbi, &key, &value), 0);
    assert_true(value.mv_size > 16 && value.mv_size < sizeof(bytes));
    memcpy(bytes, value.mv_data, value.mv_size);
    memcpy(&schema, bytes + 8, sizeof(schema));
    if (new_schema != KEEP) {
        memcpy(bytes + 8, &new_schema, sizeof(new_schema));
        uint64_t sum = XXH3_64bits(bytes + 8, value.mv_size - 8);
        memcpy(bytes, &sum, sizeof(sum));
        value.mv_data = bytes;
        assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    return schema;
}

static void another_schema_is_dropped(void **state)
{
    struct fixture *f = *state;
    for (uint64_t schema = 0; schema < 4; schema += 3) { /* older and newer */
        put_item(f, 1, "ENVELOPE", "x");
        put_content(f, 1, 1000);
        store_settle(f->store);
        store_close(&f->store);
        (void)change_schema(f, "content", schema);
        fixture_open(f);
        assert_string_equal(get_item(f, 1, "ENVELOPE"), "x");
        assert_false(has_content(f, 1));
        put_content(f, 1, 1000);
        fixture_reopen(f);
        assert_true(has_content(f, 1));
        store_close(&f->store);
        (void)change_schema(f, "index", schema);
        fixture_open(f);
        assert_null(get_item(f, 1, "ENVELOPE"));
        assert_false(has_content(f, 1));
    }
}

/* Schema 1 had no searches and is taken over; a program of that time would drop what is there then. */
static void the_schema_before_is_upgraded(void **state)
{
    struct fixture *f = *state;
    put_item(f, 1, "ENVELOPE", "x");
    put_content(f, 1, 1000);
    store_settle(f->store);
    store_close(&f->store);
    assert_int_equal(change_schema(f, "index", KEEP), 2);
    (void)change_schema(f, "index", 1);
    (void)change_schema(f, "content", 1);
    fixture_open(f);
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "x");
    assert_true(has_content(f, 1));
    store_close(&f->store);
    assert_int_equal(change_schema(f, "index", KEEP), 2);
    assert_int_equal(change_schema(f, "content", KEEP), 2);
    fixture_open(f);
}

/* A wrong sum is enough to distrust it. */
static void a_damaged_meta_record_is_distrusted(void **state)
{
    struct fixture *f = *state;
    put_item(f, 1, "ENVELOPE", "x");
    store_settle(f->store);
    store_close(&f->store);
    assert_true(damage(f, "index", "meta") > 0); /* the name of the record */
    fixture_open(f);
    assert_null(get_item(f, 1, "ENVELOPE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(keeps_items_over_a_restart),
        T(refuses_a_second_opener),
        T(refuses_a_directory_it_cannot_make),
        T(ids_are_never_used_twice),
        T(accounts_names_and_uidvalidities_are_apart),
        T(a_new_uidvalidity_starts_empty),
        T(a_dropped_name_is_forgotten_at_once_and_for_good),
        T(drop_then_open_in_one_turn),
        T(a_marked_environment_is_moved_aside),
        T(a_file_too_short_is_moved_aside),
        T(garbage_is_moved_aside),
        T(another_schema_is_dropped),
        T(the_schema_before_is_upgraded),
        T(a_damaged_meta_record_is_distrusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
