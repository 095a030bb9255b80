/* The plan and a store that is slow, full, or too small; and that memory stays bounded. */
#include "base/fault.h"
#include "plan_fixture.h"

#include <sys/resource.h>

/* The address sanitizer keeps what is freed, 256 MiB of it unless told. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=8";
}

/* /proc/self/statm: resident pages less shared ones, which leaves LMDB's map out. */
static size_t private_bytes(void)
{
    unsigned long size, resident, shared;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu %lu", &size, &resident, &shared), 3);
    fclose(file);
    return (size_t)(resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

enum { PIECE = 16 * 1024 };

/* Octet at an offset of a large message. */
/* TSan's shadow of the pages touched counts as private memory too. */
#ifdef __SANITIZE_THREAD__
#define MEMORY_MOST ((size_t)512 << 20)
#else
#define MEMORY_MOST ((size_t)64 << 20)
#endif

static char octet_at(uint64_t offset)
{
    return (char)('!' + (offset * 7 + offset / 65521) % 90);
}

static void fill(char piece[PIECE], uint64_t offset)
{
    for (size_t i = 0; i < PIECE; i++) {
        piece[i] = octet_at(offset + i);
    }
}

/* @n octets (a multiple of PIECE) from @from on; the link obeys its pauses.  Octets that a reader who
 * keeps up has read are counted in *read_io. */
static void say_octets(struct wire *wire, size_t command, uint64_t from, uint64_t n,
                       const struct value *value, uint64_t *read_io)
{
    char piece[PIECE];
    struct slice got;
    for (uint64_t at = from; at < from + n; at += PIECE) {
        while (wire->commands[command].is_paused) {
            usleep(1000);
            wire_turn(wire);
        }
        fill(piece, at);
        wire_bytes(wire, slice_of(piece, PIECE));
        wire_turn(wire);
        store_read_begin(wire->store);
        while (plan_read(wire->plan, value, *read_io, SIZE_MAX, &got) == OK) {
            assert_int_equal(got.data[0], octet_at(*read_io));
            assert_int_equal(got.data[got.len - 1], octet_at(*read_io + got.len - 1));
            *read_io += got.len;
        }
        store_read_end(wire->store);
    }
}

static void assert_all_found(struct wire *wire, uint32_t uid, uint64_t n)
{
    struct buf octets;
    buf_init(&octets, 0);
    struct lookup_value value = found(wire, uid, "BODY[]", &octets);
    assert_int_equal(value.kind, LOOKUP_CONTENT);
    assert_int_equal(octets.len, n);
    for (uint64_t i = 0; i < n; i++) {
        if (octets.data[i] != octet_at(i)) {
            fail_msg("octet %llu", (unsigned long long)i);
        }
    }
    buf_fini(&octets);
}

static void streams_200_mb_in_constant_memory(void **state)
{
    (void)state;
    enum { SIZE = 200 * 1024 * 1024 };
    struct wire wire;
    wire_open_sized(&wire, (uint64_t)3 << 30);
    struct pending *a = ask(&wire, 1, "BODY[]");
    const struct value *value = value_of(&wire, a, "BODY[]");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 BODY[] {%d}\r\n", SIZE);
    uint64_t read_n = 0;
    size_t before = private_bytes(), most = 0;
    for (uint64_t at = 0; at < SIZE; at += SIZE / 50) {
        say_octets(&wire, 0, at, SIZE / 50, value, &read_n);
        size_t now = private_bytes();
        most = now > most ? now : most;
    }
    assert_int_equal(read_n, SIZE);
    say(&wire, ")\r\n0 OK done\r\n");
    store_settle(wire.store);
    wire_rest(&wire);
    print_message("private memory while 200 MB passed: %zu KiB before, %zu KiB at most, "
                  "%zu pauses\n",
                  before / 1024, most / 1024, wire.pauses_n);
    assert_true(most < before + MEMORY_MOST);
    assert_int_equal(value->state, VALUE_HERE);
    struct slice piece;
    struct lookup_value kept = found(&wire, 1, "BODY[]", NULL);
    assert_int_equal(kept.kind, LOOKUP_CONTENT);
    assert_int_equal(kept.size, SIZE);
    store_read_begin(wire.store);
    for (uint64_t at = 0; at < SIZE; at += piece.len) {
        assert_int_equal(store_content_read(wire.store, &kept.content, at, SIZE_MAX, &piece), OK);
        assert_int_equal(piece.data[piece.len - 1], octet_at(at + piece.len - 1));
    }
    store_read_end(wire.store);
    release(&wire, a);
    wire_close(&wire);
}

/* Bytes that come faster than the writer takes them stop the link, and only until it has. */
static void pauses_the_link_while_the_store_is_behind(void **state)
{
    (void)state;
    enum { SIZE = 12 * 1024 * 1024 };
    struct wire wire;
    wire_open_sized(&wire, 256 << 20);
    char *large = alloc_zero(SIZE);
    memset(large, 'x', SIZE);
    struct pending *a = ask(&wire, 1, "BODY[]");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 BODY[] {%d}\r\n", SIZE);
    wire_bytes(&wire, slice_of(large, 1 << 20));
    assert_false(wire.commands[0].is_paused);
    wire_bytes(&wire, slice_of(large, 8 << 20)); /* in one turn: nothing was handed over */
    assert_true(wire.commands[0].is_paused);
    assert_int_equal(wire.pauses_n, 1);
    wire_turn(&wire);
    assert_true(wire.commands[0].is_paused);
    for (int i = 0; i < 5000 && wire.commands[0].is_paused; i++) {
        usleep(1000);
        wire_turn(&wire);
    }
    assert_false(wire.commands[0].is_paused);
    assert_false(store_is_backlogged(wire.store));
    wire_bytes(&wire, slice_of(large, SIZE - (9 << 20)));
    say(&wire, ")\r\n0 OK done\r\n");
    assert_int_equal(found(&wire, 1, "BODY[]", NULL).size, SIZE);
    release(&wire, a);
    alloc_free(large);
    wire_close(&wire);
}

/* Larger than an eighth of the store: relayed and joined, not kept. */
static void spools_what_is_too_large_for_the_store(void **state)
{
    (void)state;
    enum { SIZE = 4 * 1024 * 1024 };
    struct wire wire;
    wire_open_sized(&wire, 16 << 20);
    struct pending *a = ask(&wire, 1, "BODY[]");
    const struct value *value = value_of(&wire, a, "BODY[]");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 BODY[] {%d}\r\n", SIZE);
    uint64_t read_n = 0;
    say_octets(&wire, 0, 0, SIZE / 2, value, &read_n);
    assert_int_equal(read_n, SIZE / 2);
    wire_lose(&wire, NETWORK);
    wire_rest(&wire);
    assert_sent(&wire, 1, "UID FETCH 1 (UID BODY.PEEK[]<2097152.2097152>)");
    struct pending *b = ask(&wire, 1, "BODY[]");
    say(&wire, "* 1 FETCH (UID 1 BODY[]<2097152> {2097152}\r\n");
    say_octets(&wire, 1, SIZE / 2, SIZE / 2, value, &read_n);
    say(&wire, ")\r\n1 OK done\r\n");
    wire_rest(&wire);
    assert_int_equal(read_n, SIZE);
    assert_int_equal(value->state, VALUE_HERE);
    assert_false(is_found(&wire, 1, "BODY[]"));
    release(&wire, a);
    struct buf all = read_value(&wire, value_of(&wire, b, "BODY[]"));
    assert_int_equal(all.len, SIZE);
    assert_int_equal(all.data[SIZE - 1], octet_at(SIZE - 1));
    buf_fini(&all);
    release(&wire, b);
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 2);
    wire_close(&wire);
}

#ifdef IMAPCACHED_DEBUG
/* The store loses octets while they arrive: whoever reads goes on with the rest, elsewhere. */
static void goes_on_without_a_full_store(void **state)
{
    (void)state;
    enum { SIZE = 2 * 1024 * 1024 };
    struct wire wire;
    wire_open(&wire);
    struct content_writer *earlier;
    assert_int_equal(
        store_content_create(wire.store, WIRE_MAILBOX, 9, SLICE("BODY[]"), 1, &earlier), OK);
    assert_int_equal(store_content_append(earlier, SLICE("x")), OK);
    assert_int_equal(store_content_commit(&earlier), OK);
    struct pending *a = ask(&wire, 1, "BODY[]");
    const struct value *value = value_of(&wire, a, "BODY[]");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 BODY[] {%d}\r\n", SIZE);
    uint64_t read_n = 0;
    say_octets(&wire, 0, 0, SIZE / 4, value, &read_n);
    store_settle(wire.store);
    assert_true(is_found(&wire, 9, "BODY[]"));
    fault_plan("store_full:1+");
    for (uint64_t at = SIZE / 4; at < SIZE; at += SIZE / 4) {
        say_octets(&wire, 0, at, SIZE / 4, value, &read_n);
        store_settle(wire.store);
        wire_turn(&wire);
    }
    assert_int_equal(value->state, VALUE_FAILED);
    assert_true(value->why == FULL || value->why == IO || value->why == CORRUPT);
    assert_false(is_found(&wire, 9, "BODY[]")); /* its record points to content that was dropped */
    uint64_t part = read_n / PIECE * PIECE;
    char text[64];
    snprintf(text, sizeof(text), "BODY[]<%llu.%llu>", (unsigned long long)part,
             (unsigned long long)(SIZE - part));
    struct pending *b = ask(&wire, 1, text);
    const struct value *rest = value_of(&wire, b, text);
    say(&wire, ")\r\n0 OK done\r\n");
    wire_rest(&wire);
    assert_false(is_found(&wire, 1, "BODY[]"));
    assert_int_equal(wire.commands_n, 2);
    say(&wire, "* 1 FETCH (UID 1 BODY[]<%llu> {%llu}\r\n", (unsigned long long)part,
        (unsigned long long)(SIZE - part));
    uint64_t rest_n = SIZE; /* reads nothing here */
    say_octets(&wire, 1, part, SIZE - part, rest, &rest_n);
    say(&wire, ")\r\n1 OK done\r\n");
    wire_rest(&wire);
    assert_int_equal(rest->state, VALUE_HERE);
    assert_int_equal(rest->base, part);
    struct buf got = read_value(&wire, rest);
    assert_int_equal(got.len, SIZE - part);
    assert_int_equal(got.data[0], octet_at(part));
    assert_int_equal(got.data[got.len - 1], octet_at(SIZE - 1));
    buf_fini(&got);
    store_settle(wire.store);
    fault_plan("");
    release(&wire, a);
    release(&wire, b);
    wire_close(&wire);
}

/* Lost before anybody has begun to read it: asked anew, and not of the store once more, whatever becomes of
 * others meanwhile. */
static void asks_anew_what_a_full_store_has_lost(void **state)
{
    (void)state;
    enum { SIZE = 2 * 1024 * 1024 };
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 1, "BODY[]");
    wire_rest(&wire);
    fault_plan("store_full:1+");
    say(&wire, "* 1 FETCH (UID 1 BODY[] {%d}\r\n", SIZE);
    uint64_t none = SIZE;
    char piece[PIECE];
    for (uint64_t at = 0; at < SIZE / 2; at += PIECE) { /* in one turn */
        fill(piece, at);
        wire_bytes(&wire, slice_of(piece, PIECE));
    }
    store_settle(wire.store);
    wire_turn(&wire);
    assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_ARRIVING); /* nobody has noticed */
    struct pending *b = ask(&wire, 1, "BODY[]<16384.32768>");
    assert_int_equal(state_of(&wire, b, "BODY[]<16384.32768>"), VALUE_WANTED); /* joins nothing that is lost */
    say_octets(&wire, 0, SIZE / 2, SIZE / 2, value_of(&wire, a, "BODY[]"), &none);
    say(&wire, ")\r\n0 OK done\r\n");
    assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_FAILED);
    assert_true(value_of(&wire, a, "BODY[]")->is_lost);
    ask_more(&wire, a, "BODY[]");
    assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_WANTED);
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 3);
    assert_sent(&wire, 2, "UID FETCH 1 (UID BODY.PEEK[])");
    say(&wire, "* 1 FETCH (UID 1 BODY[]<16384> {32768}\r\n");
    say_octets(&wire, 1, 16384, 32768, value_of(&wire, b, "BODY[]<16384.32768>"), &none);
    say(&wire, ")\r\n1 OK done\r\n");
    say(&wire, "* 1 FETCH (UID 1 BODY[] {%d}\r\n", SIZE);
    uint64_t read_n = 0;
    say_octets(&wire, 2, 0, SIZE, value_of(&wire, a, "BODY[]"), &read_n);
    say(&wire, ")\r\n2 OK done\r\n");
    store_settle(wire.store);
    wire_rest(&wire);
    assert_int_equal(read_n, SIZE);
    assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_HERE);
    struct fetch_item item = item_of(&wire, "BODY[]<0.65536>");
    struct pending *c = plan_ask_apart(wire.plan, 1, &item);
    assert_int_equal(pending_value(c, &item)->state, VALUE_WANTED); /* does not join what is here */
    fault_plan("");
    release(&wire, a);
    release(&wire, b);
    release(&wire, c);
    wire_close(&wire);
}

/* Small values reach their sessions whatever becomes of the writes. */
static void serves_while_nothing_can_be_written(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    fault_plan("store_commit:1+");
    for (uint32_t uid = 1; uid <= 20; uid++) {
        struct pending *a = ask(&wire, uid, "ENVELOPE");
        ask_more(&wire, a, "BODY[]");
        wire_rest(&wire);
        say(&wire, "* 1 FETCH (UID %u ENVELOPE (1) BODY[] {700}\r\n%0700d)\r\n%u OK done\r\n", uid,
            7, uid - 1);
        wire_rest(&wire);
        store_settle(wire.store);
        assert_here(&wire, a, "ENVELOPE", "(1)");
        assert_int_equal(value_of(&wire, a, "BODY[]")->token.len, 700);
        release(&wire, a);
        assert_false(is_found(&wire, uid, "BODY[]"));
    }
    store_settle(wire.store);
    fault_plan("");
    wire_close(&wire);
}
#endif

/* What was kept is there after a restart; what had no tagged OK is not. */
static void survives_a_restart(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 1, "BODY[]");
    struct pending *b = ask(&wire, 2, "BODY[]");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 BODY[] {65536}\r\n");
    uint64_t read_n = 0;
    say_octets(&wire, 0, 0, 65536, value_of(&wire, a, "BODY[]"), &read_n);
    say(&wire, ")\r\n0 OK done\r\n");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 2 BODY[] {65536}\r\n");
    assert_int_equal(wire.commands_n, 2);
    say_octets(&wire, 1, 0, 65536, value_of(&wire, b, "BODY[]"), &read_n);
    say(&wire, ")\r\n");
    release(&wire, a);
    release(&wire, b);
    plan_unwait(wire.plan, &wire.waiter);
    plan_destroy(&wire.plan);
    store_close(&wire.store);
    wire_open_store(&wire, 64 << 20);
    assert_all_found(&wire, 1, 65536);
    assert_false(is_found(&wire, 2, "BODY[]"));
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_200_mb_in_constant_memory),
        cmocka_unit_test(pauses_the_link_while_the_store_is_behind),
        cmocka_unit_test(spools_what_is_too_large_for_the_store),
#ifdef IMAPCACHED_DEBUG
        cmocka_unit_test(goes_on_without_a_full_store),
        cmocka_unit_test(asks_anew_what_a_full_store_has_lost),
        cmocka_unit_test(serves_while_nothing_can_be_written),
#endif
        cmocka_unit_test(survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
