/* A crash in the mapped file leaves a marker, others do not.  Each crash happens in a child. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "store/crash.h"
#include "store_fixture.h"

/* Run @crash on the store in a child, which must die by @sig. */
static void in_child(struct fixture *f, void (*crash)(struct fixture *f), int sig)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(STDERR_FILENO);
        store_install_crash_handler();
        fixture_open(f);
        crash(f);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), sig);
}

static bool is_marked(struct fixture *f, const char *env)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s.marker", f->dir, env);
    return access(path, F_OK) == 0;
}

static void shorten_content_and_read(struct fixture *f)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/content/data.mdb", f->dir);
    if (truncate(path, 8192) != 0) { /* under the running store: pages vanish */
        _exit(1);
    }
    (void)has_content(f, 1);
}

static void a_vanished_page_leaves_a_marker(void **state)
{
    struct fixture *f = *state;
    put_content(f, 1, 300000);
    put_item(f, 1, "ENVELOPE", "stays");
    store_settle(f->store);
    store_close(&f->store);
    in_child(f, shorten_content_and_read, SIGBUS);
    assert_true(is_marked(f, "content"));
    assert_false(is_marked(f, "index"));
    fixture_open(f);
    assert_false(is_marked(f, "content"));
    assert_false(has_content(f, 1));
    assert_string_equal(get_item(f, 1, "ENVELOPE"), "stays");
}

static void crash_elsewhere(struct fixture *f)
{
    (void)f;
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)page = 1;
}

static void another_crash_counts_the_second_time(void **state)
{
    struct fixture *f = *state;
    store_close(&f->store);
    for (int i = 0; i < 3; i++) {
        in_child(f, crash_elsewhere, SIGSEGV);
        assert_false(is_marked(f, "content"));
        assert_false(is_marked(f, "index"));
        fixture_open(f);
        store_close(&f->store); /* an orderly end */
    }
    in_child(f, crash_elsewhere, SIGSEGV);
    in_child(f, crash_elsewhere, SIGSEGV);
    assert_true(is_marked(f, "content"));
    assert_true(is_marked(f, "index"));
    fixture_open(f);
}

/* A damaged page makes LMDB follow a wild pointer, outside of the map. */
static void crash_while_reading(struct fixture *f)
{
    store_read_begin(f->store);
    struct store_walk walk;
    struct record record;
    store_walk_begin(f->store, f->mailbox, &walk);
    (void)store_walk_to(&walk, 1, &record);
    crash_elsewhere(f);
}

static void a_wild_crash_within_a_read_marks_it(void **state)
{
    struct fixture *f = *state;
    put_item(f, 1, "ENVELOPE", "x");
    store_settle(f->store);
    store_close(&f->store);
    in_child(f, crash_while_reading, SIGSEGV);
    assert_true(is_marked(f, "index"));
    assert_false(is_marked(f, "content"));
    fixture_open(f);
    assert_null(get_item(f, 1, "ENVELOPE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_vanished_page_leaves_a_marker),
        T(another_crash_counts_the_second_time),
        T(a_wild_crash_within_a_read_marks_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
