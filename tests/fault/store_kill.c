/* kill -9 while caching: a child writes values that follow from their numbers and is killed, at a
 * random moment or at a chosen step of a commit; then the store is opened again and must hold
 *   - all that was acknowledged and not dropped since (in the run without eviction),
 *   - nothing that was dropped and acknowledged as dropped,
 *   - of the rest: nothing, or exactly what was put.  Content that is found is whole; blocks of a
 * state fit their header. usage: store_kill [rounds [seed]]      (debug builds kill at commit steps
 * too) */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "store/content.h"
#include "store/record.h"
#include "store/search.h"
#include "store/state.h"

enum { TURNS_MAX = 400000, BLOCKS = 8, ROUNDS_MAX = 10000, SEARCHES = 7 };
enum known { NEVER, ON_THE_WAY, MAYBE, SURE };

/* Shared with the child; survives its death. */
struct ledger {
    uint32_t turn; /* next to be used, never used twice */
    uint32_t first_unsure;
    unsigned char put[TURNS_MAX];
    unsigned char drop[TURNS_MAX];
    struct {
        uint32_t put; /* the turn it was put last, by the present child or surely */
        uint32_t put_sure;
        uint32_t put_max; /* ... by anybody */
        uint32_t dropped; /* likewise */
        uint32_t dropped_sure;
        uint32_t dropped_max;
    } search[SEARCHES];
    uint32_t spool_generation; /* of the mailbox that is dropped again and again */
    uint32_t spool_sure;
    bool spool_is_ours; /* renewed by the present child */
    uint32_t starts[ROUNDS_MAX];
    uint32_t starts_n;
};

struct run {
    const char *name;
    char dir[64];
    uint64_t size_bytes;
    bool must_keep; /* large enough: no eviction */
    struct ledger *ledger;
    uint64_t checked_items;
    uint64_t checked_contents;
    uint64_t checked_searches;
    uint64_t missing;
    unsigned long step_kills; /* rounds that died at a chosen step of a commit */
};

#define EXPECT(x, ...)                                                                             \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            (void)printf("FAILED %s: %s: ", run->name, #x);                                        \
            (void)printf(__VA_ARGS__);                                                             \
            (void)printf("\n");                                                                    \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static const char HEADERS[] = "BODY[HEADER.FIELDS (DATE FROM)]";

static void value_of(uint32_t turn, char out[64])
{
    (void)snprintf(out, 64, "(\"value %u\" %u)", turn, turn * 2654435761U);
}

static uint64_t size_of_content(uint32_t turn)
{
    uint32_t x = turn * 2246822519U;
    return turn % 3 != 0 ? 0 : 1 + x % (turn % 9 == 0 ? 200000 : 3000);
}

static char octet(uint32_t turn, uint64_t at)
{
    return (char)((at * 2654435761U + turn * 131U) >> 7);
}

static struct store *open_store(struct run *run)
{
    struct store_options options = {.dir = run->dir, .size_bytes = run->size_bytes};
    struct store *store = NULL;
    struct fail fail = {.status = OK};
    enum status st = store_open(&options, &store, &fail);
    EXPECT(st == OK, "open: %s %s", status_name(st), fail.text);
    return store;
}

static uint64_t open_mailbox(struct run *run, struct store *store, struct slice name)
{
    uint64_t id = 0;
    EXPECT(store_mailbox_open(store, SLICE("account"), name, 1, &id) == OK, "mailbox");
    return id;
}

/* --- the child --- */

static void put_block_state(struct run *run, struct store *store, uint64_t id, uint32_t turn,
                            bool is_start)
{
    char text[BLOCKS][64];
    struct store_block blocks[BLOCKS];
    uint32_t n = 0;
    for (uint32_t b = 0; b < BLOCKS; b++) {
        if (is_start || turn % BLOCKS == b) {
            value_of(turn, text[n]);
            blocks[n] = (struct store_block){b, slice_str(text[n])};
            n++;
        }
    }
    struct store_state state = {.uidvalidity = 1,
                                .uidnext = turn + 1,
                                .synced_modseq = turn,
                                .header = slice_str(text[0]),
                                .blocks = blocks,
                                .blocks_n = n,
                                .replace = is_start};
    enum status st = store_state_put(store, id, &state);
    EXPECT(st == OK || !run->must_keep, "state: %s", status_name(st));
}

static void put_turn(struct run *run, struct store *store, uint64_t id, uint32_t turn)
{
    char value[64];
    struct content_writer *writer;
    uint64_t size = size_of_content(turn);
    value_of(turn, value);
    EXPECT(store_item_put(store, id, turn, SLICE("ENVELOPE"), slice_str(value)) == OK, "put");
    EXPECT(store_item_put(store, id, turn, slice_str(HEADERS), slice_str(value)) == OK, "put");
    if (size == 0) {
        return;
    }
    EXPECT(store_content_create(store, id, turn, SLICE("BODY[]"), size, &writer) == OK, "create");
    for (uint64_t at = 0; at < size;) {
        char piece[4096];
        size_t n = size - at < sizeof(piece) ? (size_t)(size - at) : sizeof(piece);
        for (size_t i = 0; i < n; i++) {
            piece[i] = octet(turn, at + i);
        }
        EXPECT(store_content_append(writer, slice_of(piece, n)) == OK, "append");
        at += n;
        if (at % 16384 == 0) {
            store_flush(store); /* chunks and their pointer in several batches */
            store_poll(store);
        }
    }
    EXPECT(store_content_commit(&writer) == OK, "commit");
}

static void drop_some(struct run *run, struct store *store, uint64_t id, uint32_t turn)
{
    struct ledger *ledger = run->ledger;
    struct ranges gone;
    uint32_t victim = turn - 5;
    if (turn % 10 != 9 || victim == 0) {
        return;
    }
    ranges_init(&gone, 0);
    ranges_add(&gone, victim, victim);
    ledger->drop[victim] = ON_THE_WAY;
    store_messages_drop(store, id, &gone);
    ranges_fini(&gone);
}

static void search_name(uint32_t which, char out[64])
{
    (void)snprintf(out, 64, "SUBJECT %u", which);
}

/* One search a turn is put, or now and then dropped. */
static void put_search(struct run *run, struct store *store, uint64_t id, uint32_t turn)
{
    char name[64];
    char value[64];
    uint32_t which = turn % SEARCHES;
    search_name(which, name);
    value_of(turn, value);
    if (turn % 11 == 3) {
        run->ledger->search[which].dropped = turn;
        run->ledger->search[which].dropped_max = turn;
        store_search_drop(store, id, slice_str(name));
    } else {
        run->ledger->search[which].put = turn;
        run->ledger->search[which].put_max = turn;
        EXPECT(store_search_put(store, id, slice_str(name), slice_str(value)) == OK, "search");
    }
}

/* "Spool" is dropped and made again, with the same UIDVALIDITY: old values may not come back. */
static void renew_spool(struct run *run, struct store *store)
{
    char value[64];
    struct ledger *ledger = run->ledger;
    store_mailbox_drop(store, SLICE("account"), SLICE("Spool"));
    uint64_t id = open_mailbox(run, store, SLICE("Spool"));
    ledger->spool_generation++;
    ledger->spool_is_ours = true;
    value_of(ledger->spool_generation, value);
    for (uint32_t uid = 1; uid <= 20; uid++) {
        EXPECT(store_item_put(store, id, uid, SLICE("ENVELOPE"), slice_str(value)) == OK, "spool");
    }
    EXPECT(store_search_put(store, id, SLICE("ALL"), slice_str(value)) == OK, "spool");
}

static void all_is_sure(struct ledger *ledger)
{
    for (uint32_t t = ledger->first_unsure < 10 ? 0 : ledger->first_unsure - 10; t < ledger->turn;
         t++) {
        ledger->put[t] = ledger->put[t] == ON_THE_WAY ? SURE : ledger->put[t];
        ledger->drop[t] = ledger->drop[t] == ON_THE_WAY ? SURE : ledger->drop[t];
    }
    ledger->first_unsure = ledger->turn;
    for (uint32_t i = 0; i < SEARCHES; i++) {
        ledger->search[i].put_sure = ledger->search[i].put;
        ledger->search[i].dropped_sure = ledger->search[i].dropped;
    }
    if (ledger->spool_is_ours) {
        ledger->spool_sure = ledger->spool_generation;
    }
}

static void child(struct run *run, unsigned seed)
{
    struct ledger *ledger = run->ledger;
    struct store *store = open_store(run);
    uint64_t id = open_mailbox(run, store, SLICE("INBOX"));
    bool is_start = true;
    ledger->starts[ledger->starts_n++] = ledger->turn;
    for (;;) {
        uint32_t turn = ledger->turn++;
        if (ledger->turn >= TURNS_MAX) {
            exit(1);
        }
        ledger->put[turn] = ON_THE_WAY;
        put_turn(run, store, id, turn);
        put_block_state(run, store, id, turn, is_start);
        drop_some(run, store, id, turn);
        put_search(run, store, id, turn);
        is_start = false;
        if (turn % 17 == 0) {
            renew_spool(run, store);
        }
        store_flush(store);
        store_poll(store);
        if (rand_r(&seed) % 4 == 0) {
            store_settle(store);
            all_is_sure(ledger);
        }
    }
}

/* --- after the kill --- */

static void check_content(struct run *run, struct store *store, uint64_t id, uint32_t turn,
                          bool is_sure)
{
    struct content_ref ref;
    uint64_t size = size_of_content(turn);
    enum status st = store_content_find(store, id, turn, SLICE("BODY[]"), &ref);
    if (size == 0) {
        EXPECT(st == NOT_FOUND, "turn %u: content from nowhere", turn);
        return;
    }
    EXPECT(st == OK || (st == NOT_FOUND && !is_sure), "turn %u: %s", turn, status_name(st));
    if (st != OK) {
        run->missing++;
        return;
    }
    EXPECT(ref.size_bytes == size, "turn %u: size", turn);
    uint64_t at = 0;
    struct slice piece;
    while ((st = store_content_read(store, &ref, at, 1 << 20, &piece)) == OK) {
        for (size_t i = 0; i < piece.len; i++) {
            EXPECT(piece.data[i] == octet(turn, at + i), "turn %u: octet %zu", turn, i);
        }
        at += piece.len;
    }
    EXPECT(st == END && at == size, "turn %u: not whole, %s", turn, status_name(st));
    run->checked_contents++;
}

static void check_turn(struct run *run, struct store *store, struct store_walk *walk, uint32_t turn)
{
    const struct ledger *ledger = run->ledger;
    char expected[64];
    struct record record;
    struct slice value;
    struct record_key keys[2] = {record_key_of(SLICE("ENVELOPE")),
                                 record_key_of(slice_str(HEADERS))};
    bool is_there = store_walk_to(walk, turn, &record);
    bool is_sure = run->must_keep && ledger->put[turn] == SURE && ledger->drop[turn] == NEVER;
    value_of(turn, expected);
    EXPECT(!(is_there && ledger->drop[turn] == SURE), "turn %u: dropped, and there", turn);
    EXPECT(is_there || !is_sure, "turn %u: acknowledged, and not there", turn);
    for (int i = 0; i < 2; i++) {
        bool found = is_there && record_find(&record, &keys[i], &value);
        EXPECT(found || !is_sure, "turn %u: item %d lost", turn, i);
        EXPECT(!found || slice_eq(value, slice_str(expected)), "turn %u: item %d wrong", turn, i);
        run->checked_items += found;
    }
    check_content(run, store, walk->mailbox_id, turn, is_sure);
}

struct block_check {
    struct run *run;
    uint32_t state_turn;
    uint32_t start;
    uint32_t seen;
};

/* The block was last written at the latest turn of its class since the start of that child. */
static enum status check_block(void *arg, uint32_t number, struct slice bytes)
{
    struct block_check *check = arg;
    struct run *run = check->run;
    char expected[64];
    uint32_t turn = check->state_turn;
    while (turn > check->start && turn % BLOCKS != number) {
        turn--;
    }
    value_of(turn, expected);
    EXPECT(slice_eq(bytes, slice_str(expected)), "block %u at %u", number, check->state_turn);
    check->seen++;
    return OK;
}

static void check_state(struct run *run, struct store *store, uint64_t id)
{
    const struct ledger *ledger = run->ledger;
    struct store_state_head head;
    struct buf header;
    uint32_t last_sure = 0;
    for (uint32_t t = ledger->turn; t > 0 && last_sure == 0; t--) {
        last_sure = ledger->put[t - 1] == SURE ? t - 1 : 0;
    }
    buf_init(&header, 0);
    enum status st = store_state_get(store, id, &head, &header);
    EXPECT(st == OK || (st == NOT_FOUND && (last_sure == 0 || !run->must_keep)), "state %s",
           status_name(st));
    if (st == OK) {
        struct block_check check = {.run = run, .state_turn = (uint32_t)head.synced_modseq};
        EXPECT(check.state_turn >= last_sure || !run->must_keep, "state of %u, %u was sure",
               check.state_turn, last_sure);
        for (uint32_t i = 0; i < ledger->starts_n && ledger->starts[i] <= check.state_turn; i++) {
            check.start = ledger->starts[i];
        }
        st = store_state_each_block(store, id, check_block, &check);
        EXPECT(st == OK && check.seen == BLOCKS, "blocks: %s, %u", status_name(st), check.seen);
    }
    buf_fini(&header);
}

/* Of a search: the octets of a turn in which it was put, not before the last one acknowledged, be that
 * a put or a drop. */
static void check_search(struct run *run, struct store *store, uint64_t id, uint32_t which)
{
    char name[64];
    char expected[64];
    struct slice octets;
    uint32_t put = run->ledger->search[which].put_max;
    uint32_t put_sure = run->ledger->search[which].put_sure;
    uint32_t dropped_sure = run->ledger->search[which].dropped_sure;
    uint32_t dropped = run->ledger->search[which].dropped_max;
    uint32_t least = put_sure > dropped_sure ? put_sure : dropped_sure;
    search_name(which, name);
    if (!store_search_get(store, id, slice_str(name), &octets)) {
        EXPECT(!run->must_keep || put_sure == 0 || dropped > put_sure, "search %u lost", which);
        return;
    }
    bool is_right = false;
    for (uint32_t turn = least; turn <= put && !is_right; turn++) {
        value_of(turn, expected);
        is_right = turn % SEARCHES == which && turn % 11 != 3 &&
                   slice_eq(octets, slice_str(expected));
    }
    EXPECT(is_right, "search %u: " SLICE_FMT ", put %u (%u), dropped %u (%u)", which,
           SLICE_ARG(octets), put, put_sure, dropped, dropped_sure);
    run->checked_searches++;
}

static bool is_of_spool(const struct ledger *ledger, struct slice value)
{
    bool is_right = false;
    for (uint32_t g = ledger->spool_sure; g <= ledger->spool_generation; g++) {
        char expected[64];
        value_of(g, expected);
        is_right = is_right || slice_eq(value, slice_str(expected));
    }
    return is_right;
}

static void check_spool(struct run *run, struct store *store)
{
    struct store_walk walk;
    struct record record;
    struct slice value;
    struct record_key key = record_key_of(SLICE("ENVELOPE"));
    uint64_t id = open_mailbox(run, store, SLICE("Spool"));
    store_read_begin(store);
    store_walk_begin(store, id, &walk);
    for (uint32_t uid = 1; uid <= 20; uid++) {
        if (!store_walk_to(&walk, uid, &record) || !record_find(&record, &key, &value)) {
            continue;
        }
        EXPECT(is_of_spool(run->ledger, value), "spool: " SLICE_FMT " of a dropped mailbox",
               SLICE_ARG(value));
    }
    store_walk_end(&walk);
    if (store_search_get(store, id, SLICE("ALL"), &value)) {
        EXPECT(is_of_spool(run->ledger, value), "spool: search " SLICE_FMT " of a dropped mailbox",
               SLICE_ARG(value));
    }
    store_read_end(store);
}

static void check_all(struct run *run)
{
    struct store *store = open_store(run);
    struct store_walk walk;
    uint64_t id = open_mailbox(run, store, SLICE("INBOX"));
    uint32_t from = run->ledger->turn < 1500 ? 1 : run->ledger->turn - 1500;
    store_read_begin(store);
    store_walk_begin(store, id, &walk);
    for (uint32_t turn = from; turn < run->ledger->turn; turn++) {
        check_turn(run, store, &walk, turn);
    }
    store_walk_end(&walk);
    check_state(run, store, id);
    for (uint32_t i = 0; i < SEARCHES; i++) {
        check_search(run, store, id, i);
    }
    store_read_end(store);
    check_spool(run, store);
    store_close(&store);
}

/* What was on the way when a child died got there or not: nobody will ever know. */
static void forget_the_unsure(struct ledger *ledger)
{
    ledger->spool_is_ours = false;
    for (uint32_t i = 0; i < SEARCHES; i++) {
        ledger->search[i].put = ledger->search[i].put_sure;
        ledger->search[i].dropped = ledger->search[i].dropped_sure;
    }
    for (uint32_t t = 0; t < ledger->turn; t++) {
        ledger->put[t] = ledger->put[t] == ON_THE_WAY ? MAYBE : ledger->put[t];
        ledger->drop[t] = ledger->drop[t] == ON_THE_WAY ? MAYBE : ledger->drop[t];
    }
    ledger->first_unsure = ledger->turn;
}

static void one_round(struct run *run, unsigned *seed)
{
    bool at_step = false;
    char plan[64];
#ifdef IMAPCACHED_DEBUG
    at_step = rand_r(seed) % 2 == 0;
#endif
    (void)snprintf(plan, sizeof(plan), "store_kill:%d", 1 + rand_r(seed) % 150);
    unsigned child_seed = (unsigned)rand_r(seed);
    long pause_us = 1000 + rand_r(seed) % 80000;
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (at_step) {
            (void)setenv("IMAPCACHED_FAULT", plan, 1);
        }
        child(run, child_seed);
    }
    if (!at_step) {
        (void)usleep((useconds_t)pause_us);
        (void)kill(pid, SIGKILL);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "child ended by itself: %d", status);
    run->step_kills += at_step;
    forget_the_unsure(run->ledger);
    check_all(run);
}

static void run_all(struct run *run, int rounds, unsigned seed)
{
    (void)snprintf(run->dir, sizeof(run->dir), "/tmp/store-kill-XXXXXX");
    EXPECT(mkdtemp(run->dir) != NULL, "mkdtemp");
    run->ledger =
        mmap(NULL, sizeof(*run->ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(run->ledger != MAP_FAILED, "mmap");
    run->ledger->turn = 1;
    for (int i = 0; i < rounds; i++) {
        one_round(run, &seed);
    }
    (void)printf("%s: %d kills (%lu at commit steps), %u turns, %llu items, %llu contents and %llu "
                 "searches compared, %llu contents not there\n",
                 run->name, rounds, run->step_kills, run->ledger->turn,
                 (unsigned long long)run->checked_items, (unsigned long long)run->checked_contents,
                 (unsigned long long)run->checked_searches, (unsigned long long)run->missing);
    EXPECT(run->checked_items > 0 && run->checked_contents > 0, "nothing was compared");
    EXPECT(run->checked_searches > 0 || !run->must_keep, "no search was compared");
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf %s", run->dir);
    EXPECT(system(command) == 0, "rm");
    (void)munmap(run->ledger, sizeof(*run->ledger));
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 50;
    unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)time(NULL);
    struct run large = {.name = "keeps", .size_bytes = 1ULL << 30, .must_keep = true};
    struct run small = {.name = "evicts", .size_bytes = 8 << 20};
    (void)printf("seed %u\n", seed);
    log_set_level(LOG_ERROR);
    run_all(&large, rounds - rounds / 3, seed);
    run_all(&small, rounds / 3, seed + 1);
    (void)printf("ok\n");
    return 0;
}
