#ifndef NET_FIXTURE_H
#define NET_FIXTURE_H
/* A loop with a listener on a free loopback port, the two ends of connections with a log of their
 * events, and certificates made on the spot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "net/conn.h"
#include "net/evloop.h"
#include "net/iobuf.h"
#include "net/listener.h"
#include "net/resolver.h"
#include "net/timer.h"
#include "net/tls.h"

enum { PATIENCE_MS = 20000, SIDES_MAX = 1100 };

struct world;

/* One end of a connection. */
struct side {
    struct world *world;
    struct conn *conn;
    char log[64]; /* O T D R E M F in order; repeated D only once */
    size_t log_n;
    struct buf got;
    bool keeps_input; /* DATA is logged, nothing consumed */
    bool is_failed;
    enum status fail_status;
    char fail_text[160];
    void (*on_event)(struct side *side, enum conn_event event);
};

struct world {
    struct evloop *loop;
    struct resolver *resolver;
    struct listener *listener;
    uint16_t port;
    struct turn_hook stop_hook;
    int ends_of_turn;
    struct timer *tick;
    struct tls_server *accept_tls;
    struct side *accepted[SIDES_MAX];
    size_t accepted_n;
    bool accepted_keeps_input;
    void (*accepted_on_event)(struct side *side, enum conn_event event);
};

static inline void world_on_tick(void *arg)
{
    struct world *w = arg;
    timer_set_ms(w->tick, 20);
}

static inline void world_stop(void *arg)
{
    struct world *w = arg;
    if (w->ends_of_turn++ == 1) { /* the first is before the loop has looked at anything */
        evloop_stop(w->loop);
    }
}

/* One turn, at most 20 ms. */
static inline void world_turn(struct world *w)
{
    w->ends_of_turn = 0;
    evloop_run(w->loop);
}

#define WAIT(w, condition)                                                                         \
    do {                                                                                           \
        uint64_t wait_end_ = clock_mono_ms() + PATIENCE_MS;                                        \
        while (!(condition)) {                                                                     \
            world_turn(w);                                                                         \
            if (clock_mono_ms() > wait_end_) {                                                     \
                fail_msg("never came: %s", #condition);                                            \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static inline void world_rest_ms(struct world *w, uint64_t ms)
{
    uint64_t end = clock_mono_ms() + ms;
    while (clock_mono_ms() < end) {
        world_turn(w);
    }
}

static inline void side_take(struct side *side)
{
    struct slice bytes;
    while ((bytes = conn_input(side->conn)).len > 0) {
        buf_add(&side->got, bytes);
        conn_consume(side->conn, bytes.len);
    }
}

static inline void side_on_event(void *arg, struct conn *conn, enum conn_event event)
{
    struct side *side = arg;
    assert_ptr_equal(conn, side->conn);
    static const char letters[] = "OTDREMF";
    char letter = letters[event];
    bool is_repeated = letter == 'D' && side->log_n > 0 && side->log[side->log_n - 1] == 'D';
    if (!is_repeated && side->log_n < sizeof(side->log) - 1) {
        side->log[side->log_n++] = letter;
    }
    if (event == CONN_EV_FAILED) {
        side->is_failed = true;
        side->fail_status = conn_fail(conn)->status;
        (void)snprintf(side->fail_text, sizeof(side->fail_text), "%s", conn_fail(conn)->text);
    }
    if (side->on_event != NULL) {
        side->on_event(side, event);
    }
    if (event == CONN_EV_DATA && side->conn != NULL && !side->keeps_input) {
        side_take(side);
    }
}

static inline struct side *side_create(struct world *w)
{
    struct side *side = alloc_zero(sizeof(*side));
    side->world = w;
    buf_init(&side->got, 0);
    return side;
}

static inline void side_destroy(struct side *side)
{
    conn_close(&side->conn, CONN_CLOSE_ABORT);
    buf_fini(&side->got);
    alloc_free(side);
}

static inline bool side_got(const struct side *side, const char *text)
{
    return slice_eq(buf_slice(&side->got), slice_str(text));
}

static inline void side_say(struct side *side, const char *text)
{
    conn_write(side->conn, slice_str(text));
}

static inline bool side_logged(const struct side *side, char letter)
{
    return strchr(side->log, letter) != NULL;
}

static inline void world_on_accept(void *arg, int fd, const struct netaddr *peer)
{
    struct world *w = arg;
    struct side *side = side_create(w);
    side->keeps_input = w->accepted_keeps_input;
    side->on_event = w->accepted_on_event;
    struct conn_accept_opts opts = {.peer = peer, .tls = w->accept_tls};
    side->conn = conn_accept(w->loop, fd, &opts, side_on_event, side);
    assert_true(w->accepted_n < SIDES_MAX);
    w->accepted[w->accepted_n++] = side;
}

static inline struct world *world_create(void)
{
    struct world *w = alloc_zero(sizeof(*w));
    struct fail fail = {0};
    w->loop = evloop_create();
    assert_int_equal(resolver_create(w->loop, &w->resolver, &fail), OK);
    struct netaddr addr;
    assert_true(netaddr_parse("127.0.0.1:0", &addr));
    assert_int_equal(listener_create(w->loop, &addr, world_on_accept, w, &w->listener, &fail), OK);
    w->port = netaddr_port(listener_addr(w->listener));
    w->tick = timer_create_on(w->loop, world_on_tick, w);
    timer_set_ms(w->tick, 20);
    evloop_add_hook(w->loop, &w->stop_hook, world_stop, w);
    return w;
}

static inline void world_destroy(struct world *w)
{
    for (size_t i = 0; i < w->accepted_n; i++) {
        side_destroy(w->accepted[i]);
    }
    world_turn(w);
    assert_int_equal(iobuf_chunks_used(w->loop), 0);
    evloop_remove_hook(w->loop, &w->stop_hook);
    timer_destroy(&w->tick);
    listener_destroy(&w->listener);
    resolver_destroy(&w->resolver);
    evloop_destroy(&w->loop);
    alloc_free(w);
}

static inline struct side *world_dial(struct world *w, const char *host, struct tls_client *tls)
{
    struct side *side = side_create(w);
    struct conn_dial_opts opts = {
        .resolver = w->resolver, .host = host, .port = w->port, .tls = tls};
    side->conn = conn_dial(w->loop, &opts, side_on_event, side);
    return side;
}

/* Both ends of a plain connection, open. */
static inline struct side *world_pair(struct world *w, struct side **accepted_out)
{
    size_t before = w->accepted_n;
    struct side *client = world_dial(w, "127.0.0.1", NULL);
    WAIT(w, w->accepted_n > before && side_logged(client, 'O') &&
                side_logged(w->accepted[before], 'O'));
    *accepted_out = w->accepted[before];
    return client;
}

#endif
