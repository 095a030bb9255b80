/* How fast the store writes and reads warm: records, small bodies, large bodies.  Prints one line
 * each. usage: bench_store [messages [dir]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/content.h"
#include "store/record.h"

enum { TURN = 200, SMALL = 8000, BIG = 20 << 20, BIGS = 20 };

static double seconds_since(uint64_t start_us)
{
    return (double)(clock_mono_us() - start_us) / 1e6;
}

/* A link does the same: stop reading while the writer is behind. */
static void end_turn(struct store *store)
{
    store_flush(store);
    store_poll(store);
    while (store_is_backlogged(store)) {
        (void)usleep(100);
        store_poll(store);
    }
}

static void must(enum status st)
{
    if (st != OK && st != END) {
        (void)fprintf(stderr, "%s\n", status_name(st));
        exit(1);
    }
}

static void write_items(struct store *store, uint64_t id, uint32_t n)
{
    static char envelope[420];
    static char structure[560];
    memset(envelope, 'e', sizeof(envelope));
    memset(structure, 's', sizeof(structure));
    uint64_t start = clock_mono_us();
    for (uint32_t uid = 1; uid <= n; uid++) {
        must(store_item_put(store, id, uid, SLICE("ENVELOPE"),
                            slice_of(envelope, sizeof(envelope))));
        must(store_item_put(store, id, uid, SLICE("BODYSTRUCTURE"),
                            slice_of(structure, sizeof(structure))));
        must(store_item_put(store, id, uid, SLICE("RFC822.SIZE"), SLICE("12345")));
        must(store_item_put(store, id, uid, SLICE("INTERNALDATE"),
                            SLICE("\"01-Jan-2026 00:00:00 +0000\"")));
        if (uid % TURN == 0) {
            end_turn(store);
        }
    }
    store_settle(store);
    (void)printf("write items        %10.0f items/s\n", 4.0 * n / seconds_since(start));
}

static void read_items(struct store *store, uint64_t id, uint32_t n, const char *what)
{
    static const char *const names[] = {"ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE", "INTERNALDATE"};
    struct record_key keys[4];
    uint64_t sum = 0;
    uint64_t found = 0;
    for (int i = 0; i < 4; i++) {
        keys[i] = record_key_of(slice_str(names[i]));
    }
    uint64_t start = clock_mono_us();
    for (uint32_t uid = 1; uid <= n;) {
        struct store_walk walk;
        store_read_begin(store);
        store_walk_begin(store, id, &walk);
        for (int i = 0; i < TURN && uid <= n; i++, uid++) {
            struct record record;
            struct slice value;
            if (!store_walk_to(&walk, uid, &record)) {
                continue;
            }
            for (int k = 0; k < 4; k++) {
                if (record_find(&record, &keys[k], &value)) {
                    sum += (unsigned char)value.data[value.len - 1];
                    found++;
                }
            }
        }
        store_walk_end(&walk);
        store_read_end(store);
    }
    double took = seconds_since(start);
    (void)printf("%-18s %10.0f items/s %10.0f records/s (%llu found, %llu)\n", what,
                 (double)found / took, n / took, (unsigned long long)found,
                 (unsigned long long)sum);
}

static void write_contents(struct store *store, uint64_t id, uint32_t first, uint32_t n,
                           size_t size)
{
    static char piece[16384];
    memset(piece, 'b', sizeof(piece));
    uint64_t start = clock_mono_us();
    for (uint32_t i = 0; i < n; i++) {
        struct content_writer *writer;
        must(store_content_create(store, id, first + i, SLICE("BODY[]"), size, &writer));
        for (size_t at = 0; at < size; at += sizeof(piece)) {
            size_t len = size - at < sizeof(piece) ? size - at : sizeof(piece);
            must(store_content_append(writer, slice_of(piece, len)));
            if (at % (1 << 20) == 0) {
                end_turn(store);
            }
        }
        must(store_content_commit(&writer));
        if (i % TURN == 0) {
            end_turn(store);
        }
    }
    store_settle(store);
    (void)printf("write %8zu octets%10.0f bodies/s %7.0f MB/s\n", size, n / seconds_since(start),
                 (double)n * (double)size / 1e6 / seconds_since(start));
}

static void read_contents(struct store *store, uint64_t id, uint32_t first, uint32_t n,
                          bool is_copied)
{
    static char out[65536];
    struct record_key key = record_key_of(SLICE("BODY[]"));
    uint64_t bytes = 0;
    uint64_t sum = 0;
    uint64_t start = clock_mono_us();
    for (uint32_t i = 0; i < n; i++) {
        struct store_walk walk;
        struct record record;
        struct content_ref ref;
        struct slice piece;
        enum status st = NOT_FOUND;
        store_read_begin(store);
        store_walk_begin(store, id, &walk);
        if (store_walk_to(&walk, first + i, &record) && record_find_content(&record, &key, &ref)) {
            st = store_content_check(store, &ref);
        }
        store_walk_end(&walk);
        must(st);
        for (uint64_t at = 0; (st = store_content_read(store, &ref, at, sizeof(out), &piece)) == OK;
             at += piece.len) {
            if (is_copied) {
                memcpy(out, piece.data, piece.len);
            }
            sum += (unsigned char)piece.data[piece.len - 1];
            bytes += piece.len;
        }
        must(st);
        store_read_end(store);
    }
    double took = seconds_since(start);
    (void)printf("read %s %10.0f bodies/s %7.0f MB/s (%llu)\n",
                 is_copied ? "and copy   " : "zero-copy  ", n / took, (double)bytes / 1e6 / took,
                 (unsigned long long)sum);
}

int main(int argc, char **argv)
{
    uint32_t n = argc > 1 ? (uint32_t)atoi(argv[1]) : 100000;
    char dir[256] = "/tmp/bench-store-XXXXXX";
    if (argc > 2) {
        (void)snprintf(dir, sizeof(dir), "%s/bench-store-XXXXXX", argv[2]);
    }
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    struct store_options options = {.dir = dir, .size_bytes = 4ULL << 30};
    struct store *store;
    struct fail fail = {.status = OK};
    uint64_t id;
    must(store_open(&options, &store, &fail));
    must(store_mailbox_open(store, SLICE("bench"), SLICE("INBOX"), 1, &id));
    write_items(store, id, n);
    read_items(store, id, n, "read items");
    read_items(store, id, n, "read items again");
    write_contents(store, id, 1, n / 5, SMALL);
    for (int i = 0; i < 3; i++) {
        read_contents(store, id, 1, n / 5, i == 2);
    }
    write_contents(store, id, n, BIGS, BIG);
    for (int i = 0; i < 3; i++) {
        read_contents(store, id, n, BIGS, i == 2);
    }
    read_items(store, id, n / 5, "items beside bodies");
    uint64_t start = clock_mono_us();
    store_close(&store);
    (void)printf("close              %10.3f s\n", seconds_since(start));
    char command[320];
    (void)snprintf(command, sizeof(command), "du -sm %s; rm -rf %s", dir, dir);
    return system(command) != 0;
}
