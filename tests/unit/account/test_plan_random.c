/* Random sessions against a random upstream: links that die anywhere, messages that vanish, UIDs before
 * or behind the values, bytes cut anywhere.  Whatever is told or kept must be the message's own
 * octets, and nobody waits for ever. */
#include "plan_fixture.h"

enum { MESSAGES = 30, HOLDERS = 12, STEPS = 3000, ROUNDS = 12 };

static const char *const asks[] = {"ENVELOPE", "RFC822.SIZE", "BODY[]", "BODY[TEXT]",
                                   "BODY[]<100.20000>", "BODY[TEXT]<0.9>"};
enum { ASKS = sizeof(asks) / sizeof(asks[0]) };

struct holder {
    struct pending *pending;
    uint32_t uid;
    bool asked[ASKS];
};

struct game {
    struct wire wire;
    unsigned seed;
    struct buf said;     /* by the upstream, not yet delivered */
    size_t answered_n;   /* commands the upstream has read */
    struct ranges gone;  /* expunged */
    struct ranges told;  /* and the link knows it */
    struct holder holders[HOLDERS];
    size_t told_n, absent_n, failed_n, kept_n;
};

static unsigned dice(struct game *game, unsigned sides)
{
    return (unsigned)rand_r(&game->seed) % sides;
}

/* --- the truth --- */

static size_t size_of(uint32_t uid)
{
    static const size_t sizes[] = {0, 1, 300, 5000, 16384, 16385, 30000, 70000, 140000};
    return sizes[uid % 9];
}

/* Octets of BODY[] (BODY[TEXT] is its second half), cut; caller frees. */
static char *truth(uint32_t uid, bool is_text, uint64_t from, uint64_t count, size_t *n_out)
{
    size_t size = size_of(uid);
    size_t first = (is_text ? size / 2 : 0);
    size_t at = first + from < size ? first + (size_t)from : size;
    size_t n = count < size - at ? (size_t)count : size - at;
    char *octets = alloc_zero(n + 1);
    for (size_t i = 0; i < n; i++) {
        octets[i] = (char)('A' + ((at + i) * 31 + (at + i) / 1009 + uid) % 57);
    }
    *n_out = n;
    return octets;
}

static void assert_is_truth(uint32_t uid, const char *item, uint64_t base, struct slice got,
                            bool is_all)
{
    char expected[64];
    if (item[0] != 'B') {
        snprintf(expected, sizeof(expected), item[0] == 'E' ? "(\"%u\")" : "%u", uid);
        assert_int_equal(got.len, strlen(expected));
        assert_memory_equal(got.data, expected, got.len);
        return;
    }
    size_t n;
    char *octets = truth(uid, strncmp(item, "BODY[TEXT]", 10) == 0, base, got.len + 1, &n);
    assert_true(n >= got.len);
    assert_memory_equal(octets, got.len > 0 ? got.data : "", got.len);
    if (is_all && strchr(item, '<') == NULL) {
        assert_int_equal(n, got.len);
    }
    alloc_free(octets);
}

/* --- the upstream --- */

static void say_item(struct game *game, uint32_t uid, const char *item, bool is_gone)
{
    struct buf *out = &game->said;
    if (item[0] != 'B') {
        buf_printf(out, " %s ", item);
        if (item[0] == 'E') {
            buf_printf(out, is_gone ? "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)" : "(\"%u\")",
                       uid);
        } else {
            buf_printf(out, is_gone ? "0" : "%u", uid);
        }
        return;
    }
    bool is_text = strstr(item, "[TEXT]") != NULL;
    const char *part = strchr(item, '<');
    unsigned long long from = 0, count = UINT64_MAX;
    buf_printf(out, " BODY[%s]", is_text ? "TEXT" : "");
    if (part != NULL) {
        assert_int_equal(sscanf(part, "<%llu.%llu>", &from, &count), 2);
        buf_printf(out, "<%llu>", from);
    }
    size_t n;
    char *octets = truth(uid, is_text, from, count, &n);
    if (is_gone) {
        buf_add_str(out, dice(game, 2) == 0 ? " NIL" : " \"\"");
    } else {
        buf_printf(out, " {%zu}\r\n", n);
        buf_add(out, slice_of(octets, n));
    }
    alloc_free(octets);
}

static void say_message(struct game *game, uint32_t uid, char *items, bool is_gone)
{
    bool is_late = dice(game, 4) == 0;
    buf_printf(&game->said, "* 1 FETCH (%s", is_late ? "FLAGS ()" : "");
    if (!is_late) {
        buf_printf(&game->said, "UID %u", uid);
    }
    char *rest = NULL;
    for (char *item = strtok_r(items, " ", &rest); item != NULL;
         item = strtok_r(NULL, " ", &rest)) {
        say_item(game, uid, item, is_gone);
    }
    if (is_late) {
        buf_printf(&game->said, " UID %u", uid);
    }
    buf_add_str(&game->said, ")\r\n");
}

static void answer(struct game *game, size_t command)
{
    struct wire *wire = &game->wire;
    char *text = alloc_string(wire->commands[command].text);
    char *items = strstr(text, "(UID ") + 5;
    struct ranges set;
    uint32_t uid = 0;
    bool has_gone = false;
    items[strlen(items) - 1] = '\0';
    ranges_init(&set, 0);
    assert_int_equal(
        ranges_parse(&set, slice_of(text + 10, (size_t)(strchr(text + 10, ' ') - text - 10))), OK);
    while (ranges_next(&set, uid + 1, &uid)) {
        bool is_gone = ranges_has(&game->gone, uid);
        if (ranges_has(&game->told, uid)) {
            continue;
        }
        if (is_gone) {
            has_gone = true;
            ranges_add(&game->told, uid, uid);
        }
        if (dice(game, 20) > 0 && !(is_gone && dice(game, 2) == 0)) {
            char *copy = alloc_string(items);
            say_message(game, uid, copy, is_gone);
            alloc_free(copy);
        }
    }
    if (has_gone) {
        buf_add_str(&game->said, "* VANISHED 1000\r\n");
    }
    unsigned end = dice(game, 30);
    buf_printf(&game->said, "%zu %s\r\n", command,
               end == 0 ? "NO [SERVERBUG] no" : end < 4 ? "OK [EXPUNGEISSUED] x" : "OK done");
    ranges_fini(&set);
    alloc_free(text);
}

static void deliver(struct game *game)
{
    struct wire *wire = &game->wire;
    while (game->answered_n < wire->commands_n && game->said.len < 200000) {
        answer(game, game->answered_n++);
    }
    size_t n = 1 + dice(game, dice(game, 2) == 0 ? 200 : 60000);
    n = n < game->said.len ? n : game->said.len;
    char *piece = alloc_zero(n + 1); /* exactly as long: the sanitizer sees who reads on */
    memcpy(piece, game->said.data != NULL ? game->said.data : "", n);
    buf_consume(&game->said, n);
    wire_bytes(wire, slice_of(piece, n));
    alloc_free(piece);
}

/* --- sessions --- */

static void look(struct game *game, struct holder *holder)
{
    for (size_t i = 0; i < ASKS; i++) {
        if (!holder->asked[i]) {
            continue;
        }
        const struct value *value = value_of(&game->wire, holder->pending, asks[i]);
        game->told_n += value->state == VALUE_HERE;
        game->absent_n += value->state == VALUE_ABSENT;
        game->failed_n += value->state == VALUE_FAILED;
        if (value->state != VALUE_HERE && value->state != VALUE_ARRIVING) {
            continue;
        }
        if (asks[i][0] == 'B') {
            struct buf got = read_value(&game->wire, value);
            assert_is_truth(holder->uid, asks[i], value->base, buf_slice(&got),
                            value->state == VALUE_HERE && !value->is_part);
            buf_fini(&got);
        } else {
            assert_is_truth(holder->uid, asks[i], 0, value->token, true);
        }
    }
}

static void begin(struct game *game, struct holder *holder)
{
    holder->uid = 1 + dice(game, MESSAGES);
    size_t n = 1 + dice(game, 3);
    for (size_t k = 0; k < n; k++) {
        size_t i = dice(game, ASKS);
        holder->asked[i] = true;
        if (holder->pending == NULL) {
            holder->pending = ask(&game->wire, holder->uid, asks[i]);
        } else {
            ask_more(&game->wire, holder->pending, asks[i]);
        }
    }
}

static void end(struct game *game, struct holder *holder)
{
    release(&game->wire, holder->pending);
    *holder = (struct holder){.pending = NULL};
}

static void look_up(struct game *game)
{
    struct buf octets;
    buf_init(&octets, 0);
    uint32_t uid = 1 + dice(game, MESSAGES);
    const char *item = asks[dice(game, ASKS)];
    struct lookup_value value = found(&game->wire, uid, item, &octets);
    if (value.kind != LOOKUP_NONE) {
        game->kept_n++;
        assert_is_truth(uid, item, value.base, buf_slice(&octets), !value.is_part);
    }
    buf_fini(&octets);
}

static void step(struct game *game)
{
    struct holder *holder = &game->holders[dice(game, HOLDERS)];
    unsigned what = dice(game, 100);
    if (what < 20 && holder->pending == NULL) {
        begin(game, holder);
    } else if (what < 30 && holder->pending != NULL) {
        look(game, holder);
        end(game, holder);
    } else if (what < 40 && holder->pending != NULL) {
        look(game, holder);
    } else if (what < 44) {
        look_up(game);
    } else if (what == 44) {
        uint32_t gone = 1 + dice(game, MESSAGES);
        ranges_add(&game->gone, gone, gone);
    } else if (what == 45) { /* the feed hears of it later */
        for (size_t i = 0; i < game->gone.n; i++) {
            ranges_remove(&game->wire.model, game->gone.at[i].first, game->gone.at[i].last);
        }
    } else if (what == 46) {
        wire_lose(&game->wire, NETWORK);
        buf_reset(&game->said);
        game->answered_n = game->wire.commands_n;
    } else {
        deliver(game);
    }
    if (dice(game, 3) > 0) {
        wire_turn(&game->wire);
    }
    arena_reset(&game->wire.arena);
}

/* Until the upstream has said all: then every value is in its last state. */
static void finish(struct game *game)
{
    struct wire *wire = &game->wire;
    for (int i = 0; i < 100000; i++) {
        wire_rest(wire);
        if (game->said.len == 0 && game->answered_n == wire->commands_n) {
            break;
        }
        deliver(game);
    }
    for (size_t h = 0; h < HOLDERS; h++) {
        struct holder *holder = &game->holders[h];
        for (size_t i = 0; i < ASKS && holder->pending != NULL; i++) {
            if (holder->asked[i]) {
                enum value_state state = state_of(wire, holder->pending, asks[i]);
                assert_true(state == VALUE_HERE || state == VALUE_ABSENT ||
                            state == VALUE_FAILED);
            }
        }
        if (holder->pending != NULL) {
            look(game, holder);
            end(game, holder);
        }
    }
}

static void never_lies(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct game *game = alloc_zero(sizeof(*game));
        const char *given = getenv("PLAN_SEED");
        game->seed = given != NULL ? (unsigned)atoi(given) : round + 1;
        wire_open(&game->wire);
        ranges_remove(&game->wire.model, MESSAGES + 1, UINT32_MAX);
        buf_init(&game->said, 0);
        ranges_init(&game->gone, 0);
        ranges_init(&game->told, 0);
        for (int i = 0; i < STEPS && game->wire.commands_n < WIRE_COMMANDS_MAX - 200; i++) {
            step(game);
        }
        finish(game);
        print_message("round %u: %zu commands, %zu told, %zu absent, %zu failed, %zu kept\n",
                      round, game->wire.commands_n, game->told_n, game->absent_n,
                      game->failed_n, game->kept_n);
        assert_true(game->told_n > 0 && game->kept_n > 0);
        buf_fini(&game->said);
        ranges_fini(&game->gone);
        ranges_fini(&game->told);
        wire_close(&game->wire);
        alloc_free(game);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(never_lies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
