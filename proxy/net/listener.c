#include "net/listener.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "evloop_p.h"
#include "net/timer.h"

enum { ACCEPTS_PER_TURN = 64, BACKLOG = 1024, REST_MS = 250 };

struct listener {
    ev_io watcher;
    struct evloop *loop;
    listener_fn *fn;
    void *arg;
    struct timer *rest; /* out of descriptors */
    int fd;             /* -1: destroyed */
    bool is_paused;
    bool has_logged; /* once per shortage */
    struct netaddr addr;
};

/* The one place that starts and stops the watcher. */
static void update(struct listener *l)
{
    struct ev_loop *ev = evloop__ev(l->loop);
    if (l->fd >= 0 && !l->is_paused && !timer_is_set(l->rest)) {
        ev_io_start(ev, &l->watcher);
    } else {
        ev_io_stop(ev, &l->watcher);
    }
}

static void on_rested(void *arg)
{
    update(arg);
}

static void rest(struct listener *l, int error)
{
    if (!l->has_logged) {
        char text[NETADDR_TEXT_MAX];
        LOG(LOG_WARN, "listener", "msg=\"cannot accept for now\" listen=%s error=\"%s\"",
            netaddr_format(&l->addr, text), strerror(error));
        l->has_logged = true;
    }
    timer_set_ms(l->rest, REST_MS);
    update(l);
}

static bool is_passing(int error)
{
    /* accept(2): "treat them like EAGAIN by retrying": the fault of one connection */
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == ENETDOWN ||
           error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH ||
           error == EOPNOTSUPP || error == ENETUNREACH;
}

static void on_readable(struct ev_loop *ev, ev_io *watcher, int revents)
{
    (void)ev;
    (void)revents;
    struct listener *l = watcher->data;
    for (int i = 0; i < ACCEPTS_PER_TURN && l->fd >= 0 && !l->is_paused; i++) {
        struct netaddr peer;
        struct sockaddr_storage sa;
        socklen_t len = sizeof(sa);
        int fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && netaddr_from_sockaddr((struct sockaddr *)&sa, len, &peer)) {
            l->has_logged = false;
            l->fn(l->arg, fd, &peer);
        } else if (fd >= 0) {
            (void)close(fd);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (!is_passing(errno)) {
            rest(l, errno);
            return;
        }
    }
}

static int open_socket(const struct netaddr *addr)
{
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (addr->sa.sa_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    if (bind(fd, &addr->sa, addr->len) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

enum status listener_create(struct evloop *loop, const struct netaddr *addr, listener_fn *fn,
                            void *arg, struct listener **listener_out, struct fail *fail)
{
    DCHECK(evloop_is_self(loop));
    int fd = open_socket(addr);
    if (fd < 0) {
        char text[NETADDR_TEXT_MAX];
        const char *why = strerror(errno);
        return fail_set(fail, NETWORK, "listener", "cannot listen on %s: %s",
                        netaddr_format(addr, text), why);
    }
    struct listener *l = alloc_zero(sizeof(*l));
    l->loop = loop;
    l->fn = fn;
    l->arg = arg;
    l->fd = fd;
    l->addr = *addr;
    (void)getsockname(fd, &l->addr.sa, &l->addr.len);
    l->rest = timer_create_on(loop, on_rested, l);
    ev_io_init(&l->watcher, on_readable, fd, EV_READ);
    l->watcher.data = l;
    update(l);
    *listener_out = l;
    return OK;
}

void listener_destroy(struct listener **listener_p)
{
    struct listener *l = *listener_p;
    if (l == NULL) {
        return;
    }
    *listener_p = NULL;
    int fd = l->fd;
    l->fd = -1;
    update(l);
    timer_destroy(&l->rest);
    (void)close(fd);
    evloop_reap(l->loop, l, alloc_free);
}

const struct netaddr *listener_addr(const struct listener *listener)
{
    return &listener->addr;
}

void listener_set_paused(struct listener *listener, bool is_paused)
{
    listener->is_paused = is_paused;
    update(listener);
}
