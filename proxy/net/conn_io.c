/* Bytes in and out of a connection's queues. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/check.h"
#include "conn_p.h"

enum {
    READ_BUDGET_BYTES = 256 * 1024, /* per turn */
    WRITE_BUDGET_BYTES = 1024 * 1024,
    DIRECT_BYTES = IOBUF_CHUNK_BYTES, /* written at once rather than queued, from this size on */
    LINGER_MS = 2000,
    LINGER_BYTES = 1024 * 1024,
};

static int wait_of(enum stream_result result)
{
    return result == STREAM_WANT_READ ? EV_READ : result == STREAM_WANT_WRITE ? EV_WRITE : 0;
}

/* --- input --- */

bool conn__wants_read(const struct conn *c)
{
    return c->fn != NULL && !c->is_ended && !c->is_paused && c->in.len < c->in_limit;
}

/* One read.  False when the socket has no more for now, or for ever. */
static bool read_once(struct conn *c, size_t max, size_t *n_out)
{
    struct fail fail = {0};
    enum stream_result result = c->stream.ops->read(&c->stream, &c->in, max, n_out, &fail);
    c->bytes_in += *n_out;
    c->read_wait = wait_of(result);
    if (*n_out > 0) {
        c->due |= DUE_DATA;
    }
    if (result == STREAM_EOF) {
        c->is_ended = true;
        c->due |= DUE_EOF;
    } else if (result == STREAM_ERROR) {
        conn__fail(c, &fail);
    }
    return result == STREAM_BYTES;
}

void conn__read(struct conn *c)
{
    size_t budget = READ_BUDGET_BYTES;
    bool goes_on = true;
    while (goes_on && budget > 0 && c->state == CONN_OPEN && conn__wants_read(c)) {
        size_t room = c->in_limit - c->in.len;
        size_t max = room < budget ? room : budget;
        size_t n;
        goes_on = read_once(c, max, &n);
        /* A short plain read emptied the socket; the next would only say so. */
        goes_on = goes_on && n >= max;
        budget -= n < budget ? n : budget;
        conn__tell(c);
    }
}

/* A write failed.  The peer may have said why before it hung up ("* BYE ..."). */
void conn__read_rest(struct conn *c)
{
    size_t n = 1;
    while (c->state == CONN_BROKEN && n > 0 && conn__wants_read(c) &&
           read_once(c, c->in_limit - c->in.len, &n)) {
        continue;
    }
    if (c->state == CONN_BROKEN) {
        struct fail fail = *c->fail;
        conn__fail(c, &fail);
    }
}

struct slice conn_input(const struct conn *conn)
{
    return iobuf_peek(&conn->in);
}

size_t conn_input_bytes(const struct conn *conn)
{
    return conn->in.len;
}

void conn_consume(struct conn *conn, size_t n)
{
    bool was_full = conn->in.len >= conn->in_limit;
    iobuf_consume(&conn->in, n);
    if (was_full && conn->state == CONN_OPEN) {
        conn__update(conn);
    }
}

void conn_discard_input(struct conn *conn)
{
    conn->due = (uint8_t)(conn->due & ~DUE_DATA);
    conn_consume(conn, conn->in.len);
}

void conn_set_paused(struct conn *conn, bool is_paused)
{
    if (conn->is_paused == is_paused) {
        return;
    }
    conn->is_paused = is_paused;
    if (!is_paused && conn->state != CONN_FAILED) {
        conn->due |= conn->in.len > 0 ? DUE_DATA : 0;
        if (conn->due != 0) {
            conn__defer_step(conn, EVLOOP_SOON);
        }
    }
    conn__update(conn);
}

bool conn_is_ended(const struct conn *conn)
{
    return conn->is_ended;
}

/* --- output --- */

static struct iobuf *out_queue(struct conn *c)
{
    return c->state == CONN_UPGRADING ? &c->upgrade->clear : &c->out;
}

static bool can_write(const struct conn *c)
{
    return c->state == CONN_OPEN || c->state == CONN_UPGRADING;
}

/* FAILED comes from the step task, since this may be inside a call of the owner. */
static void break_off(struct conn *c, const struct fail *fail)
{
    if (c->fn == NULL) {
        conn__destroy(c);
        return;
    }
    c->state = CONN_BROKEN;
    if (c->fail == NULL) {
        c->fail = alloc_zero(sizeof(*c->fail));
        *c->fail = *fail;
    }
    iobuf_clear(&c->out);
    conn__defer_step(c, EVLOOP_SOON);
    conn__update(c);
}

static void note_drained(struct conn *c)
{
    if (c->has_asked_room && conn_pending_out(c) <= c->out_limit / 4) {
        c->has_asked_room = false;
        c->due |= DUE_DRAINED;
        conn__defer_step(c, EVLOOP_SOON);
    }
}

void conn__write(struct conn *c, struct slice more, size_t *n_out)
{
    *n_out = 0;
    size_t budget = WRITE_BUDGET_BYTES;
    enum stream_result result = STREAM_BYTES;
    while (can_write(c) && budget > 0 && result == STREAM_BYTES) {
        struct iobuf *queue = out_queue(c);
        size_t before = queue->len + more.len;
        if (before == 0) {
            break;
        }
        struct fail fail = {0};
        size_t of_more = 0;
        result = c->stream.ops->write(&c->stream, queue, more, &of_more, &fail);
        *n_out += of_more;
        more = slice_sub(more, of_more, more.len);
        size_t sent = before - (queue->len + more.len);
        c->bytes_out += sent;
        budget -= sent < budget ? sent : budget;
        c->write_wait = wait_of(result);
        if (result == STREAM_ERROR || result == STREAM_EOF) {
            (void)fail_set(&fail, NETWORK, "conn", "writing: the peer has ended the connection");
            break_off(c, &fail);
            return;
        }
    }
    if (c->state == CONN_UPGRADING && c->upgrade->clear.len == 0) {
        SSL *ssl = c->upgrade->ssl;
        c->upgrade->ssl = NULL;
        conn__upgrade_free(c);
        conn__start_handshake(c, ssl);
        conn__defer_step(c, EVLOOP_SOON);
    }
    note_drained(c);
}

static void flush_later(struct conn *c)
{
    if (c->state == CONN_OPEN && c->write_wait == 0 && c->out.len > 0 && c->fn != NULL) {
        evloop_defer(c->loop, &c->flush, EVLOOP_LATE);
    }
}

static bool takes_output(const struct conn *c)
{
    return c->state != CONN_BROKEN && c->state != CONN_FAILED && c->state != CONN_CLOSED;
}

void conn_write(struct conn *conn, struct slice bytes)
{
    DCHECK(evloop_is_self(conn->loop));
    if (bytes.len >= DIRECT_BYTES && conn->state == CONN_OPEN && conn->write_wait == 0) {
        size_t n;
        conn__write(conn, bytes, &n);
        bytes = slice_sub(bytes, n, bytes.len);
    }
    if (!takes_output(conn)) {
        return;
    }
    iobuf_append(&conn->out, bytes);
    flush_later(conn);
    conn__update(conn);
}

void conn_write_shared(struct conn *conn, struct iobuf_shared *shared)
{
    DCHECK(evloop_is_self(conn->loop));
    if (takes_output(conn)) {
        iobuf_append_shared(&conn->out, shared);
        flush_later(conn);
    }
}

void conn_write_iobuf(struct conn *conn, struct iobuf *from)
{
    DCHECK(evloop_is_self(conn->loop));
    if (takes_output(conn)) {
        iobuf_move(&conn->out, from);
        flush_later(conn);
    } else {
        iobuf_clear(from);
    }
}

size_t conn_pending_out(const struct conn *conn)
{
    return conn->out.len + (conn->upgrade != NULL ? conn->upgrade->clear.len : 0);
}

bool conn_has_room(struct conn *conn)
{
    bool has_room = conn_pending_out(conn) < conn->out_limit;
    conn->has_asked_room = conn->has_asked_room || !has_room;
    return has_room;
}

void conn_set_limits(struct conn *conn, size_t input_bytes, size_t output_bytes)
{
    CHECK(input_bytes > 0 && output_bytes > 0);
    conn->in_limit = input_bytes;
    conn->out_limit = output_bytes;
    conn__update(conn);
}

void conn_set_secret(struct conn *conn, bool is_secret)
{
    conn->in.is_secret = is_secret;
    conn->out.is_secret = is_secret;
}

/* --- closing --- */

/* close(2) with input unread would make the kernel reset the connection and throw away what the
 * peer has not read yet; so end our side, and wait a little for its end. */
void conn__finish_closing(struct conn *c)
{
    if (c->fn != NULL || c->state != CONN_OPEN || c->out.len > 0) {
        return;
    }
    c->stream.ops->end(&c->stream);
    if (c->is_ended) {
        conn__destroy(c);
        return;
    }
    c->state = CONN_LINGERING;
    timeout_start(c->loop, &c->deadline, LINGER_MS);
}

void conn__linger(struct conn *c)
{
    char waste[4096];
    ssize_t n = 1;
    for (size_t total = 0; n > 0 && total < LINGER_BYTES; total += sizeof(waste)) {
        n = recv(c->stream.fd, waste, sizeof(waste), MSG_DONTWAIT);
    }
    explicit_bzero(waste, sizeof(waste)); /* it may have been a login that came too late */
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        conn__destroy(c);
    }
}
