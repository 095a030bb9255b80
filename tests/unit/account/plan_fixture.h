#ifndef PLAN_FIXTURE_H
#define PLAN_FIXTURE_H
/* A plan on a real store in a temporary directory, with the upstream played by the test: what it says
 * goes through the real reader and response parser, as a link would do it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "account/lookup.h"
#include "account/plan.h"
#include "base/alloc.h"
#include "imap/reader.h"
#include "imap/response.h"

enum { WIRE_COMMANDS_MAX = 4096, WIRE_MAILBOX = 7 };

struct request {
    char *text;
    enum route route;
    uint32_t highest_uid;
    const struct upcmd_ops *ops; /* NULL: completed or canceled */
    void *arg;
    bool is_paused;
};

struct wire {
    char dir[64];
    struct store *store;
    struct stats stats;
    struct plan *plan;
    struct ranges model;
    struct request commands[WIRE_COMMANDS_MAX];
    size_t commands_n;
    size_t pauses_n;
    uint32_t standin_bytes;
    bool wants_flush;
    bool has_drained;
    struct reader reader;
    struct request *streamer; /* takes the literal under way */
    size_t step;              /* octets given to the reader at once; 0: all */
    struct plan_waiter waiter;
    size_t progress_n;
    struct arena arena;
};

static inline struct request *wire_send(void *arg, enum route route, uint32_t highest_uid,
                                        struct outcmd *cmd, const struct upcmd_ops *ops,
                                        void *cmd_arg)
{
    struct wire *wire = arg;
    assert_true(wire->commands_n < WIRE_COMMANDS_MAX);
    struct request *request = &wire->commands[wire->commands_n++];
    struct buf text;
    buf_init(&text, 0);
    assert_true(outcmd_ok(cmd));
    outcmd_inline(cmd, &text);
    buf_add_char(&text, '\0');
    outcmd_reset(cmd);
    *request = (struct request){.text = text.data, .route = route, .highest_uid = highest_uid,
                                .ops = ops, .arg = cmd_arg};
    return request;
}

static inline void wire_cancel(void *arg, struct request **request)
{
    (void)arg;
    (*request)->ops = NULL;
    *request = NULL;
}

static inline void wire_pause(void *arg, struct request *request, bool paused)
{
    struct wire *wire = arg;
    assert_non_null(request->ops);
    assert_true(request->is_paused != paused);
    request->is_paused = paused;
    wire->pauses_n += paused;
}

static inline bool wire_has_uid(void *arg, uint32_t uid)
{
    return ranges_has(&((struct wire *)arg)->model, uid);
}

static inline uint32_t wire_standin_bytes(void *arg)
{
    return ((struct wire *)arg)->standin_bytes;
}

static inline void wire_wake(void *arg)
{
    ((struct wire *)arg)->wants_flush = true;
}

static inline void wire_drained(void *arg)
{
    ((struct wire *)arg)->has_drained = true;
}

static inline void wire_progress(struct plan_waiter *waiter)
{
    struct wire *wire = (struct wire *)((char *)waiter - offsetof(struct wire, waiter));
    wire->progress_n++;
}

static const struct plan_ops wire_ops = {wire_send, wire_cancel, wire_pause, wire_has_uid,
                                         wire_standin_bytes, wire_wake};

static inline void wire_open_store(struct wire *wire, uint64_t size_bytes)
{
    struct fail fail = {.status = OK};
    struct store_options options = {.dir = wire->dir, .size_bytes = size_bytes,
                                    .stats = &wire->stats, .drained = wire_drained,
                                    .drained_arg = wire};
    assert_int_equal(store_open(&options, &wire->store, &fail), OK);
}

static inline void wire_open_sized(struct wire *wire, uint64_t size_bytes)
{
    memset(wire, 0, sizeof(*wire));
    strcpy(wire->dir, "plan-test-XXXXXX");
    assert_non_null(mkdtemp(wire->dir));
    wire_open_store(wire, size_bytes);
    ranges_init(&wire->model, 0);
    ranges_add(&wire->model, 1, 100000);
    arena_init(&wire->arena, 0x4000000);
    struct reader_limits limits = {.max_line_bytes = 8 << 20, .max_unit_bytes = 8 << 20,
                                   .max_literals = 10000};
    reader_init(&wire->reader, READER_SERVER, &limits);
    struct plan_env env = {.store = wire->store, .stats = &wire->stats,
                           .mailbox_id = WIRE_MAILBOX, .spool_dir = wire->dir, .ops = &wire_ops,
                           .arg = wire};
    wire->plan = plan_create(&env);
    wire->waiter.progress = wire_progress;
    plan_wait(wire->plan, &wire->waiter);
}

static inline void wire_open(struct wire *wire)
{
    wire_open_sized(wire, 64 << 20);
}

static inline void wire_close(struct wire *wire)
{
    plan_unwait(wire->plan, &wire->waiter);
    plan_destroy(&wire->plan);
    store_close(&wire->store);
    ranges_fini(&wire->model);
    reader_fini(&wire->reader);
    arena_reset(&wire->arena);
    for (size_t i = 0; i < wire->commands_n; i++) {
        alloc_free(wire->commands[i].text);
    }
    char line[128];
    snprintf(line, sizeof(line), "rm -rf ./%s", wire->dir);
    assert_int_equal(system(line), 0);
}

/* --- a turn of the loop --- */
static inline void wire_turn(struct wire *wire)
{
    store_poll(wire->store);
    if (wire->wants_flush || wire->has_drained) {
        wire->wants_flush = wire->has_drained = false;
        plan_flush(wire->plan);
    }
    store_flush(wire->store);
}

/* Until nothing more is to be done. */
static inline void wire_rest(struct wire *wire)
{
    do {
        wire_turn(wire);
    } while (wire->wants_flush || wire->has_drained);
}

/* --- the upstream --- */
static inline void wire_end(struct wire *wire, size_t command, enum status st,
                            const struct response *tagged, bool was_sent)
{
    assert_true(command < wire->commands_n);
    struct request *request = &wire->commands[command];
    assert_non_null(request->ops);
    const struct upcmd_ops *ops = request->ops;
    request->ops = NULL;
    ops->done(request->arg, st, tagged, was_sent);
}

static inline void wire_tagged(struct wire *wire, const struct response *response)
{
    uint32_t command;
    assert_true(slice_u32(response->tag, &command));
    enum status st = response->cond == COND_OK   ? OK
                     : response->cond == COND_NO ? DENIED
                                                 : PROTOCOL;
    wire_end(wire, command, st, response, true);
}

static inline void wire_line(struct wire *wire)
{
    struct response response;
    assert_int_equal(response_parse(reader_unit(&wire->reader), &response), OK);
    if (response.kind == RESPONSE_TAGGED) {
        wire_tagged(wire, &response);
        return;
    }
    for (size_t i = 0; i < wire->commands_n; i++) {
        struct request *request = &wire->commands[i];
        if (request->ops != NULL && request->ops->untagged(request->arg, &response)) {
            break;
        }
    }
}

static inline void wire_literal(struct wire *wire)
{
    struct unit unit = reader_unit(&wire->reader);
    for (size_t i = 0; i < wire->commands_n; i++) {
        struct request *request = &wire->commands[i];
        if (request->ops != NULL &&
            request->ops->literal(request->arg, unit, wire->reader.literal.size)) {
            wire->streamer = request;
            reader_stream(&wire->reader);
            return;
        }
    }
    assert_true(wire->reader.literal.size <= LINK_COLLECT_MAX);
    reader_collect(&wire->reader);
}

static inline void wire_event(struct wire *wire, enum reader_event event)
{
    switch (event) {
    case READER_LITERAL:
        wire_literal(wire);
        break;
    case READER_LITERAL_DATA:
        assert_non_null(wire->streamer->ops);
        wire->streamer->ops->literal_data(wire->streamer->arg, wire->reader.data);
        break;
    case READER_LITERAL_END:
        wire->streamer->ops->literal_end(wire->streamer->arg);
        break;
    case READER_LINE:
        wire_line(wire);
        reader_next(&wire->reader);
        break;
    case READER_MORE:
    case READER_LIMIT:
        fail_msg("reader");
    }
}

static inline void wire_bytes(struct wire *wire, struct slice bytes)
{
    while (bytes.len > 0) {
        struct slice piece = slice_sub(bytes, 0, wire->step > 0 ? wire->step : bytes.len);
        bytes = slice_sub(bytes, piece.len, bytes.len);
        for (;;) {
            size_t used;
            enum reader_event event = reader_feed(&wire->reader, piece, &used);
            piece = slice_sub(piece, used, piece.len);
            if (event == READER_MORE) {
                break;
            }
            wire_event(wire, event);
        }
    }
}

/* The upstream says that. */
static inline void say(struct wire *wire, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static inline void say(struct wire *wire, const char *fmt, ...)
{
    struct buf text;
    va_list args;
    va_start(args, fmt);
    char *line;
    assert_true(vasprintf(&line, fmt, args) >= 0);
    va_end(args);
    buf_init(&text, 0);
    buf_add_str(&text, line);
    wire_bytes(wire, buf_slice(&text));
    buf_fini(&text);
    free(line);
}

/* The link is lost: everything in flight ends. */
static inline void wire_lose(struct wire *wire, enum status why)
{
    struct reader_limits limits = wire->reader.limits;
    size_t n = wire->commands_n;
    for (size_t i = 0; i < n; i++) {
        if (wire->commands[i].ops != NULL) {
            wire_end(wire, i, why, NULL, true);
        }
    }
    reader_fini(&wire->reader);
    reader_init(&wire->reader, READER_SERVER, &limits);
}

/* --- a session --- */
static inline struct fetch_item item_of(struct wire *wire, const char *text)
{
    struct fetch_item item;
    assert_int_equal(fetch_item_parse(slice_str(text), &wire->arena, &item), OK);
    return item;
}

static inline struct pending *ask(struct wire *wire, uint32_t uid, const char *text)
{
    struct fetch_item item = item_of(wire, text);
    return plan_ask(wire->plan, uid, &item);
}

static inline void ask_more(struct wire *wire, struct pending *pending, const char *text)
{
    struct fetch_item item = item_of(wire, text);
    pending_add(pending, &item);
}

static inline const struct value *value_of(struct wire *wire, const struct pending *pending,
                                           const char *text)
{
    struct fetch_item item = item_of(wire, text);
    return pending_value(pending, &item);
}

static inline void release(struct wire *wire, struct pending *pending)
{
    pending_release(wire->plan, &pending);
    assert_null(pending);
}

#define assert_sent(wire, i, expected)                                                             \
    do {                                                                                           \
        assert_true((i) < (wire)->commands_n);                                                     \
        assert_string_equal((wire)->commands[i].text, expected);                                   \
    } while (0)

/* The whole value as it can be read now; caller frees. */
static inline struct buf read_value(struct wire *wire, const struct value *value)
{
    struct buf out;
    struct slice piece;
    enum status st;
    buf_init(&out, 0);
    store_read_begin(wire->store);
    while ((st = plan_read(wire->plan, value, out.len, 50000, &piece)) == OK) {
        assert_true(piece.len > 0);
        buf_add(&out, piece);
    }
    store_read_end(wire->store);
    assert_true(st == END || st == AGAIN || st == NOT_FOUND);
    return out;
}

static inline void assert_here(struct wire *wire, const struct pending *pending, const char *text,
                               const char *expected)
{
    const struct value *value = value_of(wire, pending, text);
    assert_non_null(value);
    assert_int_equal(value->state, VALUE_HERE);
    assert_false(value->is_content);
    assert_int_equal(value->token.len, strlen(expected));
    assert_memory_equal(value->token.data, expected, strlen(expected));
}

static inline enum value_state state_of(struct wire *wire, const struct pending *pending,
                                        const char *text)
{
    return value_of(wire, pending, text)->state;
}

/* What a later session finds; kind NONE when nothing.  @octets (may be NULL) gets the octets. */
static inline struct lookup_value found(struct wire *wire, uint32_t uid, const char *text,
                                        struct buf *octets)
{
    struct lexer lx;
    struct fetch_items items;
    struct lookup lookup;
    struct lookup_value value;
    struct slice piece;
    char *list = alloc_string(text);
    lexer_init(&lx, unit_of(slice_str(list)), LEXER_STRICT);
    assert_int_equal(fetch_items_parse(&lx, &wire->arena, &items), OK);
    assert_int_equal(items.n, 1);
    assert_int_equal(
        lookup_init(&lookup, wire->store, WIRE_MAILBOX, &items, &wire->arena, &wire->stats), OK);
    store_read_begin(wire->store);
    lookup_begin(&lookup);
    lookup_to(&lookup, uid);
    bool is_found = lookup_get(&lookup, 0, &value);
    assert_int_equal(is_found, value.kind != LOOKUP_NONE);
    if (octets != NULL) {
        buf_reset(octets);
        while (is_found && octets->len < value.size) {
            assert_int_equal(lookup_read(&lookup, &value, octets->len, 100000, &piece), OK);
            buf_add(octets, piece);
        }
    }
    lookup_end(&lookup);
    store_read_end(wire->store);
    lookup_fini(&lookup);
    alloc_free(list);
    return value;
}

static inline bool is_found(struct wire *wire, uint32_t uid, const char *text)
{
    return found(wire, uid, text, NULL).kind != LOOKUP_NONE;
}

static inline void assert_found(struct wire *wire, uint32_t uid, const char *text,
                                const char *expected)
{
    struct buf octets;
    buf_init(&octets, 0);
    struct lookup_value value = found(wire, uid, text, &octets);
    assert_int_not_equal(value.kind, LOOKUP_NONE);
    assert_int_equal(octets.len, strlen(expected));
    assert_memory_equal(octets.data != NULL ? octets.data : "", expected, strlen(expected));
    buf_fini(&octets);
}

/* @n octets of a pattern that tells offsets apart. */
static inline char *pattern(size_t n)
{
    char *text = alloc_zero(n + 1);
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)('a' + (i + i / 26 + i / 4099) % 26);
    }
    return text;
}

static inline uint64_t stat_of(struct wire *wire, enum stats_counter which)
{
    return stats_get(&wire->stats, which);
}

#endif
