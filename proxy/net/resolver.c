/* One c-ares channel.  Its sockets become watchers, its next timeout one timer.  c-ares answers
 * literals and /etc/hosts inside the call, so every answer is kept and told by a task. */
#include "net/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/check.h"
#include "evloop_p.h"
#include "net/timer.h"

enum { CARES_TIMEOUT_MS = 2000, CARES_TRIES = 3 };

struct resolver_socket {
    ev_io watcher;
    struct resolver_socket *next;
    struct resolver *resolver;
};

struct resolver {
    struct evloop *loop;
    ares_channel channel;
    struct resolver_socket *sockets;
    struct timer *timer;
    struct lookup *lookups; /* not told yet */
    int asked_n;            /* queries that c-ares still has */
    bool has_own_servers;   /* not those of resolv.conf */
    struct timespec conf_mtime;
};

/* Lives until c-ares has answered and, unless canceled, the answer was told. */
struct lookup {
    struct lookup *next;
    struct resolver *resolver;
    void (*fn)(void *arg, const struct lookup_result *result); /* NULL: canceled */
    void *arg;
    char *host;
    uint16_t port;
    bool is_asked;    /* c-ares will call back */
    bool is_answered; /* result stands */
    struct timeout timeout;
    struct task told;
    struct lookup_result result;
};

/* --- c-ares on the loop --- */

static void set_timer(struct resolver *r)
{
    struct timeval tv;
    if (ares_timeout(r->channel, NULL, &tv) != NULL) {
        timer_set_ms(r->timer, (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1);
    } else {
        timer_stop(r->timer);
    }
}

static void on_timer(void *arg)
{
    struct resolver *r = arg;
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(r);
}

static void on_socket(struct ev_loop *ev, ev_io *watcher, int revents)
{
    (void)ev;
    struct resolver_socket *socket = watcher->data;
    struct resolver *r = socket->resolver;
    int fd = watcher->fd;
    ares_process_fd(r->channel, (revents & EV_READ) != 0 ? fd : ARES_SOCKET_BAD,
                    (revents & EV_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
    set_timer(r);
}

static struct resolver_socket *socket_of(struct resolver *r, int fd)
{
    for (struct resolver_socket *s = r->sockets; s != NULL; s = s->next) {
        if (s->watcher.fd == fd) {
            return s;
        }
    }
    struct resolver_socket *s = alloc_zero(sizeof(*s));
    s->resolver = r;
    ev_io_init(&s->watcher, on_socket, fd, 0);
    s->watcher.data = s;
    s->next = r->sockets;
    r->sockets = s;
    return s;
}

static void forget_socket(struct resolver *r, struct resolver_socket *gone)
{
    for (struct resolver_socket **at = &r->sockets; *at != NULL; at = &(*at)->next) {
        if (*at == gone) {
            *at = gone->next;
            evloop_reap(r->loop, gone, alloc_free);
            return;
        }
    }
}

static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = arg;
    struct resolver_socket *s = socket_of(r, fd);
    int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);
    ev_io_stop(evloop__ev(r->loop), &s->watcher);
    if (events == 0) {
        forget_socket(r, s);
        return;
    }
    ev_io_set(&s->watcher, fd, events);
    ev_io_start(evloop__ev(r->loop), &s->watcher);
}

static int open_channel(struct resolver *r)
{
    struct ares_options options = {
        .timeout = CARES_TIMEOUT_MS,
        .tries = CARES_TRIES,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = r,
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    return ares_init_options(&r->channel, &options, mask);
}

static struct timespec conf_mtime(void)
{
    struct stat st;
    return stat("/etc/resolv.conf", &st) == 0 ? st.st_mtim : (struct timespec){0};
}

/* A laptop or an office that changes its line gets other name servers. */
static void follow_conf(struct resolver *r)
{
    struct timespec now = conf_mtime();
    if (r->asked_n > 0 || r->has_own_servers ||
        (now.tv_sec == r->conf_mtime.tv_sec && now.tv_nsec == r->conf_mtime.tv_nsec)) {
        return;
    }
    ares_channel old = r->channel;
    if (open_channel(r) == ARES_SUCCESS) {
        r->conf_mtime = now;
        ares_destroy(old);
    } else {
        r->channel = old;
    }
}

enum status resolver_create(struct evloop *loop, struct resolver **resolver_out, struct fail *fail)
{
    DCHECK(evloop_is_self(loop));
    int error = ares_library_init(ARES_LIB_INIT_ALL);
    struct resolver *r = alloc_zero(sizeof(*r));
    r->loop = loop;
    r->conf_mtime = conf_mtime();
    if (error == ARES_SUCCESS) {
        error = open_channel(r);
    }
    if (error != ARES_SUCCESS) {
        alloc_free(r);
        return fail_set(fail, NETWORK, "resolver", "cannot start: %s", ares_strerror(error));
    }
    r->timer = timer_create_on(loop, on_timer, r);
    *resolver_out = r;
    return OK;
}

enum status resolver_set_servers(struct resolver *resolver, const char *servers)
{
    if (ares_set_servers_ports_csv(resolver->channel, servers) != ARES_SUCCESS) {
        return SYNTAX;
    }
    resolver->has_own_servers = true;
    return OK;
}

/* --- look-ups --- */

static void unlink_lookup(struct lookup *l)
{
    for (struct lookup **at = &l->resolver->lookups; *at != NULL; at = &(*at)->next) {
        if (*at == l) {
            *at = l->next;
            return;
        }
    }
}

/* When neither c-ares nor the owner needs it. */
static void release(struct lookup *l)
{
    if (l->is_asked || l->fn != NULL) {
        return;
    }
    alloc_free(l->host);
    alloc_free(l);
}

static void on_told(void *arg)
{
    struct lookup *l = arg;
    void (*fn)(void *, const struct lookup_result *) = l->fn;
    timeout_stop(&l->timeout);
    unlink_lookup(l);
    fn(l->arg, &l->result);
    l->fn = NULL;
    release(l);
}

static void answer(struct lookup *l, enum status st, const char *why)
{
    if (l->fn == NULL || l->is_answered) {
        return;
    }
    l->is_answered = true;
    l->result.status = st;
    if (st != OK) {
        (void)fail_set(&l->result.fail, st, "resolver", "cannot resolve %s: %s", l->host, why);
    }
    evloop_defer(l->resolver->loop, &l->told, EVLOOP_SOON);
}

static void on_lookup_timeout(void *arg)
{
    answer(arg, TIMEOUT, "no answer in time");
}

static void take_addrs(struct lookup *l, const struct ares_addrinfo *info)
{
    struct lookup_result *result = &l->result;
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next) {
        struct netaddr *addr = &result->addrs[result->addrs_n];
        if (result->addrs_n < RESOLVER_ADDRS_MAX &&
            netaddr_from_sockaddr(node->ai_addr, (socklen_t)node->ai_addrlen, addr)) {
            netaddr_set_port(addr, l->port);
            result->addrs_n++;
        }
    }
}

static enum status status_of(int error)
{
    switch (error) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
    case ARES_ENONAME:
        return NOT_FOUND;
    case ARES_ETIMEOUT:
        return TIMEOUT;
    default:
        return NETWORK;
    }
}

static void on_addrinfo(void *arg, int error, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct lookup *l = arg;
    l->is_asked = false;
    l->resolver->asked_n--;
    if (error == ARES_SUCCESS && !l->is_answered) {
        take_addrs(l, info);
    }
    if (info != NULL) {
        ares_freeaddrinfo(info);
    }
    if (error == ARES_SUCCESS && (l->is_answered || l->result.addrs_n > 0)) {
        answer(l, OK, "");
    } else {
        answer(l, error == ARES_SUCCESS ? NOT_FOUND : status_of(error),
               error == ARES_SUCCESS ? "it has no address" : ares_strerror(error));
    }
    release(l);
}

static void ask(struct resolver *r, struct lookup *l)
{
    follow_conf(r);
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    l->is_asked = true;
    r->asked_n++;
    ares_getaddrinfo(r->channel, l->host, NULL, &hints, on_addrinfo, l);
    set_timer(r);
}

struct lookup *resolver_lookup(struct resolver *resolver, const struct lookup_request *request)
{
    DCHECK(evloop_is_self(resolver->loop));
    struct lookup *l = alloc_zero(sizeof(*l));
    l->resolver = resolver;
    l->fn = request->fn;
    l->arg = request->arg;
    l->host = alloc_string(request->host);
    l->port = request->port;
    task_init(&l->told, on_told, l);
    timeout_init(&l->timeout, on_lookup_timeout, l);
    l->next = resolver->lookups;
    resolver->lookups = l;
    if (netaddr_parse_host(request->host, request->port, &l->result.addrs[0])) {
        l->result.addrs_n = 1;
        answer(l, OK, "");
        return l;
    }
    timeout_start(resolver->loop, &l->timeout, request->timeout_ms);
    ask(resolver, l);
    return l;
}

void lookup_cancel(struct lookup **lookup)
{
    struct lookup *l = *lookup;
    if (l == NULL) {
        return;
    }
    *lookup = NULL;
    DCHECK(evloop_is_self(l->resolver->loop));
    evloop_cancel(l->resolver->loop, &l->told);
    timeout_stop(&l->timeout);
    unlink_lookup(l);
    l->fn = NULL;
    release(l);
}

void resolver_destroy(struct resolver **resolver_p)
{
    struct resolver *r = *resolver_p;
    if (r == NULL) {
        return;
    }
    *resolver_p = NULL;
    while (r->lookups != NULL) {
        struct lookup *l = r->lookups;
        lookup_cancel(&l);
    }
    ares_destroy(r->channel); /* answers what it still has: nobody listens */
    timer_destroy(&r->timer);
    ares_library_cleanup();
    alloc_free(r);
}
