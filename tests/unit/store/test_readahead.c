/* Reading ahead: pages come in without the loop; nothing it is told can do harm. */
#include "store/reader.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "store/crash.h"
#include "store_fixture.h"

enum { BODY = 24 << 20, PAGE = 4096, WAIT_MS = 20000 };

static int setup_large(void **state)
{
    return fixture_setup_size(state, 256 << 20);
}
#define T_LARGE(name) cmocka_unit_test_setup_teardown(name, setup_large, fixture_teardown)

/* --- what of a file is in memory --- */

static int open_data(const struct fixture *f, const char *env)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s/data.mdb", f->dir, env);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static size_t pages_in_memory(const struct fixture *f, const char *env)
{
    struct stat file;
    int fd = open_data(f, env);
    assert_int_equal(fstat(fd, &file), 0);
    size_t len = (size_t)file.st_size;
    size_t n = 0;
    void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    unsigned char *pages = malloc(len / PAGE + 1);
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(mincore(map, len, pages), 0);
    for (size_t i = 0; i < len / PAGE; i++) {
        n += pages[i] & 1;
    }
    free(pages);
    assert_int_equal(munmap(map, len), 0);
    assert_int_equal(close(fd), 0);
    return n;
}

/* Pages that are mapped stay. */
static void forget(const struct fixture *f, const char *env)
{
    int fd = open_data(f, env);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    assert_int_equal(close(fd), 0);
}

/* So that a fault brings in what was touched and not what lies around it. */
static void forbid_kernels_readahead(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        unsigned long begin;
        unsigned long end;
        if (strstr(line, "/data.mdb") != NULL && sscanf(line, "%lx-%lx", &begin, &end) == 2) {
            assert_int_equal(madvise((void *)begin, end - begin, MADV_RANDOM), 0);
        }
    }
    (void)fclose(maps);
}

/* Reopen with nothing of it in memory; skips where that cannot be had (tmpfs). */
static void make_cold(struct fixture *f)
{
    store_settle(f->store);
    store_close(&f->store);
    forget(f, "index");
    forget(f, "content");
    fixture_open(f);
    store_settle(f->store);
    forbid_kernels_readahead();
    forget(f, "index");
    forget(f, "content");
    if (pages_in_memory(f, "content") > 200) {
        skip();
    }
}

static bool wait_for_pages(const struct fixture *f, const char *env, size_t n)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (pages_in_memory(f, env) < n) {
        if (clock_mono_ms() > until) {
            return false;
        }
        (void)usleep(2000);
    }
    return true;
}

/* --- tests --- */

static void a_content_comes_in_as_far_as_asked(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref;
    put_content(f, 1, BODY);
    make_cold(f);
    assert_int_equal(find_content(f, 1, &ref), OK);
    size_t before = pages_in_memory(f, "content");
    store_readahead_content(f->store, &ref, 10 << 20, 3 << 20);
    assert_true(wait_for_pages(f, "content", before + (3 << 20) / PAGE));
    (void)usleep(50000);
    size_t after = pages_in_memory(f, "content");
    assert_true(after < before + (4 << 20) / PAGE);

    /* More than a request may have: the beginning comes. */
    store_readahead_content(f->store, &ref, 0, BODY);
    assert_true(wait_for_pages(f, "content", after + STORE_READAHEAD_MAX / PAGE));
    (void)usleep(50000);
    assert_true(pages_in_memory(f, "content") < after + 2 * STORE_READAHEAD_MAX / PAGE);
    assert_int_equal(read_content(f, &ref, 1, 0, 1 << 20), END);
}

static void records_come_in_with_the_beginnings_of_their_contents(void **state)
{
    struct fixture *f = *state;
    static char text[8000];
    memset(text, 'x', sizeof(text) - 1);
    for (uint32_t uid = 1; uid <= 400; uid++) {
        put_item(f, uid, "ENVELOPE", text); /* two pages */
        put_content(f, uid, 12000);
    }
    make_cold(f);
    size_t index = pages_in_memory(f, "index");
    size_t content = pages_in_memory(f, "content");
    store_readahead_records(f->store, f->mailbox, 1, 150, 0);
    assert_true(wait_for_pages(f, "index", index + 150 * 2 - 30));
    (void)usleep(50000);
    assert_true(pages_in_memory(f, "content") < content + 30);
    index = pages_in_memory(f, "index");
    assert_true(index < 300 * 2); /* not all of them */
    content = pages_in_memory(f, "content");
    store_readahead_records(f->store, f->mailbox, 151, 350, 12000);
    assert_true(wait_for_pages(f, "index", index + 200 * 2 - 30));
    assert_true(wait_for_pages(f, "content", content + 200 * 3 - 60));
    assert_true(has_content(f, 200));
}

static void it_is_cold_while_the_disk_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref;
    put_content(f, 1, BODY);
    make_cold(f);
    assert_int_equal(find_content(f, 1, &ref), OK);
    bool was_warm = false;
    for (int i = 0; i < 5000 && !was_warm; i++) {
        store_flush(f->store);
        was_warm = !store_is_cold(f->store);
    }
    assert_true(was_warm);
    size_t before = pages_in_memory(f, "content");
    store_readahead_content(f->store, &ref, 0, 1 << 20);
    assert_true(wait_for_pages(f, "content", before + (1 << 20) / PAGE));
    bool was_cold = false;
    for (int i = 0; i < 50 && !was_cold; i++) {
        (void)usleep(1000);
        store_flush(f->store);
        was_cold = store_is_cold(f->store);
    }
    assert_true(was_cold);
}

static void what_is_not_there_does_no_harm(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref;
    struct content_ref none = {.content_id = 77, .size_bytes = UINT64_MAX};
    put_content(f, 1, 200000);
    store_settle(f->store);
    assert_int_equal(find_content(f, 1, &ref), OK);
    store_readahead_content(f->store, &none, 0, UINT64_MAX);
    store_readahead_content(f->store, &none, UINT64_MAX - 1, UINT64_MAX);
    store_readahead_content(f->store, &ref, 200000, 1);
    store_readahead_content(f->store, &ref, 199999, UINT64_MAX);
    store_readahead_content(f->store, &ref, 0, 0);
    ref.size_bytes = 1 << 30; /* not what was stored */
    store_readahead_content(f->store, &ref, 0, UINT64_MAX);
    store_readahead_records(f->store, f->mailbox + 1, 1, UINT32_MAX, 1000);
    store_readahead_records(f->store, f->mailbox, 9, 3, 1000);
    store_readahead_records(f->store, f->mailbox, 0, UINT32_MAX, UINT64_MAX);
    (void)usleep(20000);
    assert_true(has_content(f, 1));
}

static void a_full_queue_drops_and_closes_soon(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref;
    put_content(f, 1, BODY);
    make_cold(f);
    assert_int_equal(find_content(f, 1, &ref), OK);
    uint64_t start = clock_mono_ms();
    for (uint64_t i = 0; i < 20000; i++) {
        store_readahead_content(f->store, &ref, (i << 20) % BODY, STORE_READAHEAD_MAX);
    }
    assert_true(clock_mono_ms() - start < 5000);
    store_close(&f->store);
    fixture_open(f);
    assert_true(has_content(f, 1));
}

/* Three threads in one environment, which the writer empties now and then. */
static void environments_are_replaced_under_it(void **state)
{
    struct fixture *f = *state;
    struct content_ref ref = {.content_id = 1, .size_bytes = 500000};
    for (uint32_t uid = 1; uid <= 400; uid++) {
        put_item(f, uid, "ENVELOPE", "x");
        put_content(f, uid, 500000);
        store_flush(f->store);
        (void)find_content(f, uid, &ref);
        store_readahead_content(f->store, &ref, 0, 500000);
        store_readahead_records(f->store, f->mailbox, 1, uid, 100000);
        if (uid % 20 != 0) {
            continue;
        }
        store_settle(f->store);
        put_content(f, 1000 + uid, 100);
        ARM(store_full);
        store_settle(f->store);
        disarm();
        store_readahead_records(f->store, f->mailbox, 1, uid, 100000);
        store_settle(f->store);
    }
    put_content(f, 500, 500000);
    assert_true(has_content(f, 500));
}

static void crash_in_reader(struct fixture *f)
{
    struct content_ref ref;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/content/data.mdb", f->dir);
    if (find_content(f, 1, &ref) != OK || truncate(path, 8192) != 0) {
        _exit(1);
    }
    store_readahead_content(f->store, &ref, 0, ref.size_bytes);
    (void)usleep(WAIT_MS * 1000);
}

static void its_crash_leaves_a_marker(void **state)
{
    struct fixture *f = *state;
    put_content(f, 1, 300000);
    store_settle(f->store);
    store_close(&f->store);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(STDERR_FILENO);
        store_install_crash_handler();
        fixture_open(f);
        crash_in_reader(f);
        _exit(0);
    }
    int status;
    char path[128];
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
    (void)snprintf(path, sizeof(path), "%s/content.marker", f->dir);
    assert_int_equal(access(path, F_OK), 0);
    fixture_open(f);
    assert_false(has_content(f, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_LARGE(a_content_comes_in_as_far_as_asked),
        T_LARGE(records_come_in_with_the_beginnings_of_their_contents),
        T_LARGE(it_is_cold_while_the_disk_is_waited_for),
        T(what_is_not_there_does_no_harm),
        T_LARGE(a_full_queue_drops_and_closes_soon),
        T(environments_are_replaced_under_it),
        T(its_crash_leaves_a_marker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
