/* Life of a connection:
 *
 *   dial:   RESOLVING -> CONNECTING -+
 *   accept: ------------------------ OPENING -> [HANDSHAKING] -> OPEN
 *                                                OPEN -> UPGRADING -> HANDSHAKING -> OPEN
 * (STARTTLS) any -> BROKEN -> FAILED;   closed by the owner: OPEN -> LINGERING -> CLOSED, else
 * CLOSED at once
 *
 * An event of the socket, the step task or the flush task runs what the state allows, sets bits in
 * `due`, tells them, and ends in conn__update(). */
#include "net/conn.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/check.h"
#include "conn_p.h"
#include "tls_p.h"

enum {
    IN_LIMIT_BYTES = 64 * 1024,
    OUT_LIMIT_BYTES = 256 * 1024,
    CLOSE_MS = 10000,
};

/* --- watchers --- */

static int wanted_events(const struct conn *c)
{
    switch (c->state) {
    case CONN_CONNECTING:
        return EV_WRITE;
    case CONN_HANDSHAKING:
        return c->read_wait;
    case CONN_UPGRADING:
        return task_is_queued(&c->flush) ? 0 : EV_WRITE;
    case CONN_LINGERING:
        return EV_READ;
    case CONN_OPEN: {
        int events = 0;
        if (conn__wants_read(c)) {
            events |= c->read_wait != 0 ? c->read_wait : EV_READ;
        }
        if (c->out.len > 0 && !task_is_queued(&c->flush)) {
            events |= c->write_wait != 0 ? c->write_wait : EV_WRITE;
        }
        return events;
    }
    case CONN_RESOLVING:
    case CONN_OPENING:
    case CONN_BROKEN:
    case CONN_FAILED:
    case CONN_CLOSED:
        break;
    }
    return 0;
}

void conn__update(struct conn *c)
{
    struct ev_loop *ev = evloop__ev(c->loop);
    int events = wanted_events(c);
    int present = ev_is_active(&c->watcher) ? c->watcher.events & (EV_READ | EV_WRITE) : 0;
    if (events != present || (events != 0 && c->watcher.fd != c->stream.fd)) {
        ev_io_stop(ev, &c->watcher);
        if (events != 0) {
            ev_io_set(&c->watcher, c->stream.fd, events);
            ev_io_start(ev, &c->watcher);
        }
    }
    if (c->state == CONN_OPEN && c->read_wait == 0 && conn__wants_read(c) &&
        c->stream.ops->has_buffered(&c->stream)) {
        conn__defer_step(c, EVLOOP_NEXT_TURN);
    }
}

void conn__defer_step(struct conn *c, enum evloop_when when)
{
    evloop_defer(c->loop, &c->step, when);
}

/* --- telling --- */

static bool next_due(const struct conn *c, enum conn_event *event_out)
{
    unsigned due = c->due;
    if (c->is_paused) {
        due &= ~(unsigned)(DUE_DATA | DUE_EOF);
    }
    if (due == 0) {
        return false;
    }
    *event_out = (enum conn_event)__builtin_ctz(due);
    return true;
}

void conn__tell(struct conn *c)
{
    enum conn_event event;
    while (c->fn != NULL && next_due(c, &event)) {
        /* After FAILED nothing is told. */
        c->due = (uint8_t)(event == CONN_EV_FAILED ? 0 : c->due & ~(1U << event));
        c->fn(c->arg, c, event);
    }
}

/* Give back all but the input and the facts; the state says already that nothing goes on. */
static void release(struct conn *c)
{
    timeout_stop(&c->deadline);
    evloop_cancel(c->loop, &c->flush);
    iobuf_clear(&c->out);
    conn__upgrade_free(c);
    conn__dial_free(c);
    conn__update(c);
    int fd = c->stream.fd;
    stream__fini(&c->stream);
    if (fd >= 0) {
        (void)close(fd);
    }
}

void conn__fail(struct conn *c, const struct fail *fail)
{
    if (c->fn == NULL) {
        conn__destroy(c);
        return;
    }
    c->state = CONN_FAILED;
    if (c->fail == NULL) {
        c->fail = alloc_zero(sizeof(*c->fail));
        *c->fail = *fail;
    }
    c->due |= DUE_FAILED;
    c->due = (uint8_t)(c->due & ~(DUE_DRAINED | DUE_EOF | DUE_TIMEOUT));
    release(c);
}

/* --- events --- */

static void advance(struct conn *c, int revents)
{
    switch (c->state) {
    case CONN_CONNECTING:
        conn__dial_on_writable(c);
        break;
    case CONN_HANDSHAKING:
        conn__handshake(c);
        break;
    case CONN_UPGRADING:
        conn__write(c, (struct slice){NULL, 0}, &(size_t){0});
        break;
    case CONN_OPEN:
        if (c->out.len > 0 && (revents & (c->write_wait != 0 ? c->write_wait : EV_WRITE)) != 0) {
            conn__write(c, (struct slice){NULL, 0}, &(size_t){0});
        }
        if (c->state == CONN_OPEN &&
            (revents & (c->read_wait != 0 ? c->read_wait : EV_READ)) != 0) {
            conn__read(c);
        }
        break;
    case CONN_LINGERING:
        conn__linger(c);
        break;
    case CONN_RESOLVING:
    case CONN_OPENING:
    case CONN_BROKEN:
    case CONN_FAILED:
    case CONN_CLOSED:
        break;
    }
}

static void settle(struct conn *c)
{
    conn__tell(c);
    conn__finish_closing(c);
    if (c->state != CONN_CLOSED) {
        conn__update(c);
    }
}

static void on_io(struct ev_loop *ev, ev_io *watcher, int revents)
{
    (void)ev;
    struct conn *c = watcher->data;
    advance(c, revents);
    settle(c);
}

static void open_now(struct conn *c)
{
    SSL *ssl = c->upgrade != NULL ? c->upgrade->ssl : NULL;
    if (ssl != NULL) {
        c->upgrade->ssl = NULL;
        conn__upgrade_free(c);
        conn__start_handshake(c, ssl);
        conn__defer_step(c, EVLOOP_SOON);
    } else {
        c->state = CONN_OPEN;
        if (c->out.len > 0) {
            evloop_defer(c->loop, &c->flush, EVLOOP_LATE);
        }
    }
    c->due |= DUE_OPEN;
}

static void on_step(void *arg)
{
    struct conn *c = arg;
    switch (c->state) {
    case CONN_OPENING:
        open_now(c);
        break;
    case CONN_UPGRADING:
    case CONN_HANDSHAKING:
        advance(c, 0);
        break;
    case CONN_OPEN:
        if (c->read_wait == 0 && c->stream.ops->has_buffered(&c->stream)) {
            conn__read(c);
        }
        break;
    case CONN_BROKEN:
        conn__read_rest(c);
        break;
    case CONN_RESOLVING:
    case CONN_CONNECTING:
    case CONN_LINGERING:
    case CONN_FAILED:
    case CONN_CLOSED:
        break;
    }
    settle(c);
}

void conn__on_flush(void *arg)
{
    struct conn *c = arg;
    conn__write(c, (struct slice){NULL, 0}, &(size_t){0});
    settle(c);
}

static void on_deadline(void *arg)
{
    struct conn *c = arg;
    if (c->fn == NULL) {
        conn__destroy(c);
        return;
    }
    c->due |= DUE_TIMEOUT;
    settle(c);
}

/* --- life --- */

struct conn *conn__create(struct evloop *loop, conn_fn *fn, void *arg)
{
    DCHECK(evloop_is_self(loop));
    CHECK(fn != NULL);
    struct conn *c = alloc_zero(sizeof(*c));
    c->loop = loop;
    c->fn = fn;
    c->arg = arg;
    c->in_limit = IN_LIMIT_BYTES;
    c->out_limit = OUT_LIMIT_BYTES;
    iobuf_init(&c->in, loop);
    iobuf_init(&c->out, loop);
    task_init(&c->step, on_step, c);
    task_init(&c->flush, conn__on_flush, c);
    timeout_init(&c->deadline, on_deadline, c);
    ev_init(&c->watcher, on_io);
    c->watcher.data = c;
    stream__init_plain(&c->stream, -1, evloop__scratch(loop));
    return c;
}

struct conn *conn_accept(struct evloop *loop, int fd, const struct conn_accept_opts *opts,
                         conn_fn *fn, void *arg)
{
    struct conn *c = conn__create(loop, fn, arg);
    stream__init_plain(&c->stream, fd, evloop__scratch(loop));
    conn__set_options(fd, opts->user_timeout_ms);
    if (opts->peer != NULL) {
        c->peer = *opts->peer;
    } else {
        c->peer.len = sizeof(c->peer.v6);
        if (getpeername(fd, &c->peer.sa, &c->peer.len) != 0) {
            c->peer.len = 0;
        }
    }
    c->state = CONN_OPENING;
    if (opts->tls != NULL) {
        struct fail fail = {0};
        SSL *ssl = tls__server_ssl(opts->tls, &fail);
        if (ssl == NULL) {
            conn__fail(c, &fail);
        } else {
            c->upgrade = alloc_zero(sizeof(*c->upgrade));
            c->upgrade->ssl = ssl;
            iobuf_init(&c->upgrade->clear, loop);
        }
    }
    conn__defer_step(c, EVLOOP_SOON);
    return c;
}

static void conn_free(void *arg)
{
    struct conn *c = arg;
    iobuf_clear(&c->in); /* not sooner: the owner may have closed while it looks at its input */
    alloc_free(c->host);
    alloc_free(c->name);
    alloc_free(c->fail);
    alloc_free(c);
}

static void leave_closing(struct conn *c)
{
    if (c->closing_prev != NULL) {
        struct conn **head = evloop__closing(c->loop);
        DL_DELETE2(*head, c, closing_prev, closing_next);
    }
}

void conn__destroy(struct conn *c)
{
    if (c->state == CONN_CLOSED) {
        return;
    }
    c->state = CONN_CLOSED;
    leave_closing(c);
    c->fn = NULL;
    c->due = 0;
    evloop_cancel(c->loop, &c->step);
    release(c);
    evloop_reap(c->loop, c, conn_free);
}

void conn_close(struct conn **conn, enum conn_close how)
{
    struct conn *c = *conn;
    if (c == NULL) {
        return;
    }
    DCHECK(evloop_is_self(c->loop));
    *conn = NULL;
    bool can_send = c->state == CONN_OPEN || c->state == CONN_OPENING ||
                    c->state == CONN_HANDSHAKING || c->state == CONN_UPGRADING;
    if (how == CONN_CLOSE_ABORT || !can_send) {
        conn__destroy(c);
        return;
    }
    struct conn **head = evloop__closing(c->loop);
    DL_APPEND2(*head, c, closing_prev, closing_next);
    c->fn = NULL;
    c->due = 0;
    timeout_start(c->loop, &c->deadline, CLOSE_MS);
    if (c->state == CONN_OPEN) {
        evloop_defer(c->loop, &c->flush, EVLOOP_LATE);
    }
    conn__update(c);
}

void conn__end_closing(struct evloop *loop)
{
    struct conn **head = evloop__closing(loop);
    while (*head != NULL) {
        conn__destroy(*head); /* takes itself out */
    }
}

void conn_set_handler(struct conn *conn, conn_fn *fn, void *arg)
{
    CHECK(fn != NULL);
    conn->fn = fn;
    conn->arg = arg;
}

/* --- facts --- */

void conn_set_deadline_ms(struct conn *conn, uint32_t ms)
{
    conn->due = (uint8_t)(conn->due & ~DUE_TIMEOUT);
    if (ms == 0 || conn->state == CONN_FAILED) {
        timeout_stop(&conn->deadline);
    } else {
        timeout_start(conn->loop, &conn->deadline, ms);
    }
}

const struct fail *conn_fail(const struct conn *conn)
{
    return conn->state == CONN_FAILED ? conn->fail : NULL;
}

const struct netaddr *conn_peer(const struct conn *conn)
{
    return &conn->peer;
}

const char *conn_peer_name(const struct conn *conn)
{
    struct conn *c = (struct conn *)(uintptr_t)conn; /* the text is made when first asked for */
    if (c->name != NULL) {
        return c->name;
    }
    char text[NETADDR_TEXT_MAX + 300];
    if (c->peer.len > 0 || c->host == NULL) {
        (void)netaddr_format(&c->peer, text);
    } else {
        (void)snprintf(text, sizeof(text), "%.255s:%u", c->host, (unsigned)c->port);
    }
    c->name = alloc_string(text);
    return c->name;
}

bool conn_peer_is_loopback(const struct conn *conn)
{
    return netaddr_is_loopback(&conn->peer);
}

uint64_t conn_bytes_in(const struct conn *conn)
{
    return conn->bytes_in;
}

uint64_t conn_bytes_out(const struct conn *conn)
{
    return conn->bytes_out;
}
