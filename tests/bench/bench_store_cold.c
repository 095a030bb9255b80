/* What the reader is worth: the store's files are put out of the page cache, then a "loop" reads
 * them at the pace of a client, with and without reading ahead.  What counts is how long this
 * thread stood still and how often, besides its major faults (waiting for a page that is on its way
 * already is no major fault).  "scattered": the kernel is told not to read around a fault, as it
 * cannot usefully where what is wanted lies apart.  usage: bench_store_cold [dir [pace, MB/s]] */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/content.h"
#include "store/reader.h"
#include "store/record.h"

enum {
    BIG = 20 << 20,
    BIGS = 6,
    SMALL = 8000,
    SMALLS = 10000,
    PIECE = 256 * 1024, /* of a turn */
    AHEAD = 1 << 20,
    WINDOW = 128, /* messages */
};

struct bench {
    char dir[256];
    struct store *store;
    uint64_t mailbox;
    double pace_bytes_us;
    bool has_ahead;
    /* of one run */
    uint64_t bytes;
    uint64_t blocked_us;
    uint64_t longest_us;
    uint64_t turns;
    uint64_t slow_turns;
    long waits_n; /* how often this thread gave up the processor within a turn */
    long waits_before;
    uint64_t sum;
};

static void must(enum status st)
{
    if (st != OK && st != END) {
        (void)fprintf(stderr, "%s\n", status_name(st));
        exit(1);
    }
}

static void open_store(struct bench *b)
{
    struct store_options options = {.dir = b->dir, .size_bytes = 2ULL << 30};
    struct fail fail = {.status = OK};
    must(store_open(&options, &b->store, &fail));
    must(store_mailbox_open(b->store, SLICE("bench"), SLICE("INBOX"), 1, &b->mailbox));
}

static void put(struct bench *b, uint32_t uid, size_t size)
{
    static char piece[65536];
    struct content_writer *writer;
    memset(piece, (int)uid, sizeof(piece));
    must(store_content_create(b->store, b->mailbox, uid, SLICE("BODY[]"), size, &writer));
    for (size_t at = 0; at < size; at += sizeof(piece)) {
        size_t len = size - at < sizeof(piece) ? size - at : sizeof(piece);
        must(store_content_append(writer, slice_of(piece, len)));
    }
    must(store_content_commit(&writer));
    must(store_item_put(b->store, b->mailbox, uid, SLICE("ENVELOPE"), slice_of(piece, 600)));
    store_flush(b->store);
    store_poll(b->store);
    if (store_is_backlogged(b->store)) {
        store_settle(b->store);
    }
}

static void forget_file(const struct bench *b, const char *env)
{
    char path[320];
    (void)snprintf(path, sizeof(path), "%s/%s/data.mdb", b->dir, env);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) {
        perror(path);
        exit(1);
    }
    (void)close(fd);
}

static void scatter(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long begin;
        unsigned long end;
        if (strstr(line, "/data.mdb") != NULL && sscanf(line, "%lx-%lx", &begin, &end) == 2) {
            (void)madvise((void *)begin, end - begin, MADV_RANDOM); // NOLINT
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
}

static struct rusage usage_now(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_THREAD, &usage);
    return usage;
}

static uint64_t begin_turn(struct bench *b)
{
    b->waits_before = usage_now().ru_nvcsw;
    return clock_mono_us();
}

/* A turn took so long for these octets; the client needs as long as its line does. */
static void end_turn(struct bench *b, uint64_t began_us, uint64_t bytes)
{
    uint64_t took = clock_mono_us() - began_us;
    uint64_t pace = (uint64_t)((double)bytes / b->pace_bytes_us);
    b->waits_n += usage_now().ru_nvcsw - b->waits_before;
    b->blocked_us += took;
    b->longest_us = took > b->longest_us ? took : b->longest_us;
    b->slow_turns += took > 1000;
    b->turns++;
    b->bytes += bytes;
    store_flush(b->store);
    if (pace > took) {
        (void)usleep((useconds_t)(pace - took));
    }
}

static uint64_t read_piece(struct bench *b, const struct content_ref *ref, uint64_t at, size_t max)
{
    static char out[65536];
    struct slice piece;
    uint64_t done = 0;
    enum status st = OK;
    while (done < max &&
           (st = store_content_read(b->store, ref, at + done, sizeof(out), &piece)) == OK) {
        memcpy(out, piece.data, piece.len);
        b->sum += (unsigned char)out[0];
        done += piece.len;
    }
    must(st);
    return done;
}

static struct content_ref find(struct bench *b, uint32_t uid)
{
    struct content_ref ref;
    must(store_content_find(b->store, b->mailbox, uid, SLICE("BODY[]"), &ref));
    return ref;
}

static void run_big(struct bench *b)
{
    for (uint32_t uid = 1; uid <= BIGS; uid++) {
        uint64_t at = 0;
        uint64_t ahead = 0;
        while (at < BIG) {
            uint64_t began = begin_turn(b);
            store_read_begin(b->store);
            struct content_ref ref = find(b, uid);
            if (b->has_ahead && at + AHEAD > ahead) {
                ahead = ahead > at ? ahead : at;
                store_readahead_content(b->store, &ref, ahead, AHEAD);
                ahead += AHEAD;
            }
            uint64_t n = read_piece(b, &ref, at, PIECE);
            store_read_end(b->store);
            at += n;
            end_turn(b, began, n);
        }
    }
}

static void run_small(struct bench *b)
{
    uint32_t ahead = 0;
    for (uint32_t i = 0; i < SMALLS;) {
        uint64_t began = begin_turn(b);
        uint64_t bytes = 0;
        store_read_begin(b->store);
        if (b->has_ahead && i + WINDOW > ahead) {
            store_readahead_records(b->store, b->mailbox, 1000 + ahead, 1000 + ahead + WINDOW - 1,
                                    SMALL);
            ahead += WINDOW;
        }
        for (; i < SMALLS && bytes < PIECE; i++) {
            struct content_ref ref = find(b, 1000 + i);
            bytes += read_piece(b, &ref, 0, SMALL);
        }
        store_read_end(b->store);
        end_turn(b, began, bytes);
    }
}

static void run(struct bench *b, const char *name, void (*read)(struct bench *), bool is_scattered,
                bool is_cold)
{
    for (int with = 0; with < 2; with++) {
        if (is_cold) {
            store_close(&b->store);
            forget_file(b, "index");
            forget_file(b, "content");
            open_store(b);
        }
        if (is_scattered) {
            scatter();
        }
        b->has_ahead = with == 1;
        b->bytes = b->blocked_us = b->longest_us = b->turns = b->slow_turns = 0;
        b->waits_n = 0;
        long before = usage_now().ru_majflt;
        uint64_t start = clock_mono_us();
        read(b);
        (void)printf("%-24s %-6s faults %6ld  waits %6ld  in turns %8.1f ms  longest %7.2f ms  "
                     "over 1 ms: %4llu of %4llu  %6.0f MB/s\n",
                     name, with ? "ahead" : "plain", usage_now().ru_majflt - before, b->waits_n,
                     (double)b->blocked_us / 1e3, (double)b->longest_us / 1e3,
                     (unsigned long long)b->slow_turns, (unsigned long long)b->turns,
                     (double)b->bytes / (double)(clock_mono_us() - start));
    }
}

int main(int argc, char **argv)
{
    struct bench b = {.pace_bytes_us = argc > 2 ? atof(argv[2]) : 100};
    (void)snprintf(b.dir, sizeof(b.dir), "%s/bench-cold-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (mkdtemp(b.dir) == NULL) {
        return 1;
    }
    open_store(&b);
    for (uint32_t uid = 1; uid <= BIGS; uid++) {
        put(&b, uid, BIG);
    }
    for (uint32_t i = 0; i < SMALLS; i++) {
        put(&b, 1000 + (i * 7919) % SMALLS, SMALL); /* not in the order of reading */
    }
    store_settle(b.store);
    run(&b, "big, cold", run_big, false, true);
    run(&b, "big, cold, scattered", run_big, true, true);
    run(&b, "small, cold", run_small, false, true);
    run(&b, "small, cold, scattered", run_small, true, true);
    run(&b, "small, warm", run_small, false, false);
    b.pace_bytes_us = 1e6;
    b.has_ahead = false;
    run_big(&b);
    run(&b, "big, warm, no pace", run_big, false, false);
    run(&b, "big, warm, no pace", run_big, false, false);
    store_close(&b.store);
    char command[320];
    (void)snprintf(command, sizeof(command), "rm -rf %s", b.dir);
    return system(command) != 0;
}
