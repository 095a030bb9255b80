/* Dialing: resolve, then one address after the other. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "conn_p.h"
#include "net/resolver.h"
#include "tls_p.h"

enum {
    ADDRESS_TIMEOUT_MS = 10000,
    TOTAL_TIMEOUT_MS = 30000,
    KEEPALIVE_IDLE_S = 120,
    KEEPALIVE_EVERY_S = 30,
    KEEPALIVE_TRIES = 4,
    KEEPALIVE_SOON_EVERY_S = 5,
    KEEPALIVE_SOON_TRIES = 3,
};

struct conn_dialing {
    struct lookup *lookup; /* NULL once resolved */
    struct netaddr addrs[RESOLVER_ADDRS_MAX];
    int addrs_n;
    int at; /* the next to try */
    uint32_t address_timeout_ms;
    uint32_t user_timeout_ms;
    struct timeout address_timeout;
    struct timeout total_timeout;
    struct fail last; /* of the address tried last */
};

void conn__set_options(int fd, uint32_t user_timeout_ms)
{
    int on = 1;
    int idle = KEEPALIVE_IDLE_S;
    int every = KEEPALIVE_EVERY_S;
    int tries = KEEPALIVE_TRIES;
    unsigned user = user_timeout_ms;
    if (user > 0) { /* what is not acknowledged tells of itself, silence has to be asked */
        idle = (int)(user / 2000 > 0 ? user / 2000 : 1);
        every = KEEPALIVE_SOON_EVERY_S;
        tries = KEEPALIVE_SOON_TRIES;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
    if (user > 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user, sizeof(user));
    }
}

void conn__dial_free(struct conn *c)
{
    struct conn_dialing *d = c->dialing;
    if (d == NULL) {
        return;
    }
    c->dialing = NULL;
    lookup_cancel(&d->lookup);
    timeout_stop(&d->address_timeout);
    timeout_stop(&d->total_timeout);
    alloc_free(d);
}

static void close_attempt(struct conn *c)
{
    timeout_stop(&c->dialing->address_timeout);
    if (c->stream.fd >= 0) {
        c->state = CONN_RESOLVING;
        conn__update(c);
        (void)close(c->stream.fd);
        c->stream.fd = -1;
    }
}

static void fail_attempt(struct conn *c, enum status st, const char *why)
{
    char text[NETADDR_TEXT_MAX];
    struct conn_dialing *d = c->dialing;
    d->last = (struct fail){0};
    (void)fail_set(&d->last, st, "conn", "cannot connect to %s: %s",
                   netaddr_format(&d->addrs[d->at - 1], text), why);
    close_attempt(c);
}

static void connected(struct conn *c)
{
    struct conn_dialing *d = c->dialing;
    timeout_stop(&d->address_timeout);
    c->peer = d->addrs[d->at - 1];
    if (c->name != NULL) {
        evloop_reap(c->loop, c->name, alloc_free);
        c->name = NULL;
    }
    c->state = CONN_OPENING;
    if (c->upgrade == NULL) {
        conn__dial_free(c);
    }
    conn__update(c);
    conn__defer_step(c, EVLOOP_SOON);
}

/* True when the attempt is under way or done. */
static bool try_address(struct conn *c, const struct netaddr *addr)
{
    struct conn_dialing *d = c->dialing;
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail_attempt(c, NETWORK, strerror(errno));
        return false;
    }
    conn__set_options(fd, d->user_timeout_ms);
    c->stream.fd = fd;
    if (connect(fd, &addr->sa, addr->len) == 0) {
        connected(c);
        return true;
    }
    if (errno != EINPROGRESS) {
        fail_attempt(c, NETWORK, strerror(errno));
        return false;
    }
    c->state = CONN_CONNECTING;
    timeout_start(c->loop, &d->address_timeout, d->address_timeout_ms);
    conn__update(c);
    return true;
}

static void try_next(struct conn *c)
{
    struct conn_dialing *d = c->dialing;
    while (d->at < d->addrs_n) {
        if (try_address(c, &d->addrs[d->at++])) {
            return;
        }
    }
    struct fail fail = d->last;
    conn__fail(c, &fail);
}

void conn__dial_on_writable(struct conn *c)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(c->stream.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error == 0) {
        connected(c);
        return;
    }
    fail_attempt(c, error == ETIMEDOUT ? TIMEOUT : NETWORK, strerror(error));
    try_next(c);
}

static void on_address_timeout(void *arg)
{
    struct conn *c = arg;
    fail_attempt(c, TIMEOUT, "no answer");
    try_next(c);
    conn__tell(c);
}

static void on_total_timeout(void *arg)
{
    struct conn *c = arg;
    struct fail fail = {0};
    const char *where = c->state == CONN_RESOLVING     ? "resolving"
                        : c->state == CONN_HANDSHAKING ? "TLS handshake with"
                                                       : "connecting to";
    (void)fail_set(&fail, TIMEOUT, "conn", "timeout while %s %s", where, conn_peer_name(c));
    conn__fail(c, &fail);
    conn__tell(c);
}

static void on_resolved(void *arg, const struct lookup_result *result)
{
    struct conn *c = arg;
    struct conn_dialing *d = c->dialing;
    d->lookup = NULL;
    if (result->status != OK) {
        conn__fail(c, &result->fail);
    } else {
        memcpy(d->addrs, result->addrs, sizeof(d->addrs));
        d->addrs_n = result->addrs_n;
        try_next(c);
    }
    conn__tell(c);
}

static uint32_t or_default(uint32_t ms, uint32_t fallback)
{
    return ms > 0 ? ms : fallback;
}

struct conn *conn_dial(struct evloop *loop, const struct conn_dial_opts *opts, conn_fn *fn,
                       void *arg)
{
    struct conn *c = conn__create(loop, fn, arg);
    c->state = CONN_RESOLVING;
    c->host = alloc_string(opts->host);
    c->port = opts->port;
    struct conn_dialing *d = alloc_zero(sizeof(*d));
    c->dialing = d;
    d->address_timeout_ms = or_default(opts->address_timeout_ms, ADDRESS_TIMEOUT_MS);
    d->user_timeout_ms = opts->user_timeout_ms;
    timeout_init(&d->address_timeout, on_address_timeout, c);
    timeout_init(&d->total_timeout, on_total_timeout, c);
    uint32_t total_ms = or_default(opts->total_timeout_ms, TOTAL_TIMEOUT_MS);
    if (opts->tls != NULL) {
        struct fail fail = {0};
        SSL *ssl = tls__client_ssl(opts->tls, opts->host, opts->port, &fail);
        if (ssl == NULL) {
            conn__fail(c, &fail);
            conn__defer_step(c, EVLOOP_SOON);
            return c;
        }
        c->upgrade = alloc_zero(sizeof(*c->upgrade));
        c->upgrade->ssl = ssl;
        iobuf_init(&c->upgrade->clear, loop);
    }
    timeout_start(loop, &d->total_timeout, total_ms);
    struct lookup_request request = {.host = opts->host,
                                     .port = opts->port,
                                     .timeout_ms = total_ms,
                                     .fn = on_resolved,
                                     .arg = c};
    d->lookup = resolver_lookup(opts->resolver, &request);
    return c;
}
