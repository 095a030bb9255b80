/* A life:  RUNNING --stop--> SAYING_BYE --(all closed, or 5 s: CUTTING)--> LEAVING_UPSTREAM --> end
 *
 * A session greets and serves by itself; the server only lets it in and hears when it is gone. */
#include "server.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "account/account.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "net/evloop.h"
#include "net/listener.h"
#include "net/resolver.h"
#include "net/timer.h"
#include "peers.h"
#include "session/fanout.h"
#include "session/session.h"
#include "store/store.h"
#include "tls_set.h"

enum {
    BYE_MS = 5 * 1000, /* for clients to take their BYE */
    LOGOUT_MS = 100,   /* for LOGOUTs to reach the kernel; nobody waits for the answers */
    /* A context replaced by a reload may still be needed by a session before its STARTTLS and by
     * a link before its handshake.  Both are over within limits that the configuration caps at 1 h.
     */
    RETIRED_MS = 2 * 3600 * 1000,
};

enum server_state {
    SERVER_RUNNING,
    SERVER_SAYING_BYE,
    SERVER_CUTTING,
    SERVER_LEAVING_UPSTREAM,
};

struct bound {
    struct bound *next;
    struct server *server;
    struct listener *listener;
    struct session_listener session; /* what sessions of it are given */
    bool is_wanted;                  /* while settings are exchanged */
};

struct retired {
    struct retired *next;
    struct tls_set *tls;
    uint64_t until_ms;
};

struct server {
    struct evloop *loop;
    struct resolver *resolver;
    struct store *store;
    struct accounts *accounts;
    struct stats stats;
    const struct settings *settings;
    struct tls_set *tls;
    struct session_env env;
    struct fanout *fanout;

    enum server_state state;
    struct bound *bounds;
    struct session *sessions; /* newest first */
    size_t sessions_n;
    struct peers peers;

    struct retired *retired;
    struct timer *retire_timer;
    struct timer *leave_timer;
    struct turn_hook end_of_turn;
    bool has_hook;
    struct wakeup *store_wakeup;
    struct wakeup *request_wakeup;

    /* set by any thread */
    _Atomic bool stop_requested;
    _Atomic(const struct settings *) next_settings;
};

/* --- sessions --------------------------------------------------------------------------------- */

static void proceed(struct server *server);

static void list_session(struct server *server, struct session *session)
{
    struct session_link *link = session_list_link(session);
    link->prev = NULL;
    link->next = server->sessions;
    if (link->next != NULL) {
        session_list_link(link->next)->prev = session;
    }
    server->sessions = session;
    server->sessions_n++;
}

static void unlist_session(struct server *server, struct session *session)
{
    struct session_link *link = session_list_link(session);
    if (link->prev != NULL) {
        session_list_link(link->prev)->next = link->next;
    } else {
        server->sessions = link->next;
    }
    if (link->next != NULL) {
        session_list_link(link->next)->prev = link->prev;
    }
    server->sessions_n--;
}

static void on_session_closed(void *root, struct session *session)
{
    struct server *server = root;
    unlist_session(server, session);
    peers_remove(&server->peers, session_peer(session));
    if (server->sessions_n == 0 && server->state != SERVER_RUNNING) {
        proceed(server);
    }
}

static const struct session_ops session_ops = {.closed = on_session_closed};

/* NULL, or why nobody more is let in. */
static const char *over_limit(const struct server *server, const struct netaddr *peer)
{
    const struct limit_settings *limits = &server->settings->limits;
    if (server->sessions_n >= limits->sessions) {
        return "Too many connections";
    }
    uint32_t most = limits->sessions_per_address;
    if (most > 0 && peers_count(&server->peers, peer) >= most) {
        return "Too many connections from your address";
    }
    return NULL;
}

/* Before TLS there is nobody to tell.  The socket is fresh, its buffer takes a line. */
static void turn_away(const struct bound *bound, int fd, const struct netaddr *peer,
                      const char *why)
{
    char text[NETADDR_TEXT_MAX];
    if (!bound->session.settings->is_tls) {
        struct buf line;
        buf_init(&line, 256);
        buf_printf(&line, "* BYE [LIMIT] %s\r\n", why);
        (void)!write(fd, line.data, line.len);
        buf_fini(&line);
    }
    (void)close(fd);
    LOG(LOG_WARN, "server", "msg=\"turned away\" peer=%s why=\"%s\"", netaddr_format(peer, text),
        why);
}

static void on_accepted(void *arg, int fd, const struct netaddr *peer)
{
    struct bound *bound = arg;
    struct server *server = bound->server;
    const char *why = over_limit(server, peer);
    if (why != NULL) {
        stats_add(&server->stats, STAT_limits_sessions, 1);
        turn_away(bound, fd, peer, why);
        return;
    }
    struct session *session =
        session_create(&server->env, fd, peer, &bound->session, &session_ops, server);
    list_session(server, session);
    peers_add(&server->peers, session_peer(session));
}

/* --- listeners -------------------------------------------------------------------------------- */

static void destroy_bound(struct bound *bound)
{
    listener_destroy(&bound->listener);
    evloop_reap(bound->server->loop, bound, alloc_free); /* we may be in on_accepted() of it */
}

static enum status open_bound(struct server *server, const struct listener_settings *settings,
                              struct tls_server *tls, struct fail *fail)
{
    struct netaddr addr;
    CHECK(netaddr_parse(settings->address, &addr)); /* the configuration has been checked */
    struct bound *bound = alloc_zero(sizeof(*bound));
    bound->server = server;
    bound->session = (struct session_listener){.settings = settings, .tls = tls};
    bound->is_wanted = true;
    enum status st =
        listener_create(server->loop, &addr, on_accepted, bound, &bound->listener, fail);
    if (st != OK) {
        alloc_free(bound);
        return st;
    }
    bound->next = server->bounds;
    server->bounds = bound;
    char text[NETADDR_TEXT_MAX];
    LOG(LOG_INFO, "server", "msg=listening address=%s tls=%s cleartext_login=%s",
        netaddr_format(listener_addr(bound->listener), text),
        settings->is_tls ? "implicit" : (settings->has_starttls ? "starttls" : "none"),
        settings->allow_cleartext ? "yes" : "no");
    return OK;
}

static struct bound *find_bound(const struct server *server, const char *address)
{
    for (struct bound *bound = server->bounds; bound != NULL; bound = bound->next) {
        if (strcmp(bound->session.settings->address, address) == 0) {
            return bound;
        }
    }
    return NULL;
}

static void close_unwanted(struct server *server)
{
    struct bound **at = &server->bounds;
    while (*at != NULL) {
        struct bound *bound = *at;
        if (bound->is_wanted) {
            at = &bound->next;
            continue;
        }
        *at = bound->next;
        char text[NETADDR_TEXT_MAX];
        LOG(LOG_INFO, "server", "msg=\"no longer listening\" address=%s",
            netaddr_format(listener_addr(bound->listener), text));
        destroy_bound(bound);
    }
}

/* Make the listeners those of @settings; a socket whose address stays is kept.  The first failure
 * is returned, the others are tried all the same. */
static enum status bind_all(struct server *server, const struct settings *settings,
                            const struct tls_set *tls, struct fail *fail)
{
    enum status first = OK;
    for (struct bound *bound = server->bounds; bound != NULL; bound = bound->next) {
        bound->is_wanted = false;
    }
    for (size_t i = 0; i < settings->listeners_n; i++) {
        const struct listener_settings *wanted = &settings->listeners[i];
        struct bound *bound = find_bound(server, wanted->address);
        if (bound != NULL) {
            bound->is_wanted = true;
            bound->session.settings = wanted;
            bound->session.tls = tls_set_server(tls, i);
            continue;
        }
        enum status st = open_bound(server, wanted, tls_set_server(tls, i), fail);
        first = first == OK ? st : first;
    }
    close_unwanted(server);
    return first;
}

/* --- new settings ----------------------------------------------------------------------------- */

static void free_retired(struct server *server, uint64_t now_ms)
{
    struct retired **at = &server->retired;
    while (*at != NULL) {
        struct retired *retired = *at;
        if (retired->until_ms > now_ms) {
            at = &retired->next;
            continue;
        }
        *at = retired->next;
        tls_set_destroy(&retired->tls);
        alloc_free(retired);
    }
}

static void on_retired(void *arg)
{
    struct server *server = arg;
    free_retired(server, evloop_now_ms(server->loop));
    if (server->retired != NULL) {
        timer_set_ms(server->retire_timer, RETIRED_MS);
    }
}

static void retire(struct server *server, struct tls_set *tls)
{
    struct retired *retired = alloc_zero(sizeof(*retired));
    retired->tls = tls;
    retired->until_ms = evloop_now_ms(server->loop) + RETIRED_MS;
    retired->next = server->retired;
    server->retired = retired;
    timer_set_ms(server->retire_timer, RETIRED_MS);
}

/* An account may still use an upstream that the newest settings no longer have. */
static struct tls_client *tls_for(void *arg, const struct upstream_settings *upstream)
{
    const struct server *server = arg;
    struct tls_client *tls = tls_set_client(server->tls, upstream->ca_file);
    for (struct retired *r = server->retired; tls == NULL && r != NULL; r = r->next) {
        tls = tls_set_client(r->tls, upstream->ca_file);
    }
    return tls;
}

static void set_log_level(const struct settings *settings)
{
    enum log_level level = LOG_INFO;
    CHECK(log_level_parse(settings->log_level, &level)); /* the configuration has been checked */
    log_set_level(level);
}

static void warn_of_restart(const struct settings *old, const struct settings *new)
{
    if (strcmp(old->cache_dir, new->cache_dir) != 0 ||
        old->cache_size_bytes != new->cache_size_bytes) {
        LOG(LOG_WARN, "server", "msg=\"dir and size of the cache change only with a restart\"");
    }
}

/* Takes the caller's hold on @next. */
static void exchange_settings(struct server *server, const struct settings *next)
{
    struct fail fail = {0};
    struct tls_set *tls = NULL;
    if (tls_set_create(next, &tls, &fail) != OK) {
        LOG(LOG_ERROR, "server", "msg=\"configuration not taken over\" why=%s",
            LOG_Q(slice_str(fail.text)));
        settings_release(&next);
        return;
    }
    set_log_level(next);
    warn_of_restart(server->settings, next);
    retire(server, server->tls);
    server->tls = tls;
    if (bind_all(server, next, tls, &fail) != OK) {
        LOG(LOG_ERROR, "server", "msg=\"going on without a listener\" why=%s",
            LOG_Q(slice_str(fail.text)));
    }
    const struct settings *old = server->settings;
    server->settings = next;
    server->env.settings = next;
    accounts_set_settings(server->accounts, next);
    settings_release(&old);
    LOG(LOG_INFO, "server", "msg=\"configuration reloaded\" sessions=%zu", server->sessions_n);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void for_each_session(struct server *server, void (*fn)(struct session *session))
{
    struct session *session = server->sessions;
    while (session != NULL) {
        struct session *next = session_list_link(session)->next;
        fn(session);
        session = next;
    }
}

static void say_bye(struct session *session)
{
    session_bye(session, "Server is shutting down");
}

/* Enter the next state that there is a reason for. */
static void proceed(struct server *server)
{
    if (server->state == SERVER_RUNNING) {
        LOG(LOG_INFO, "server", "msg=stopping sessions=%zu", server->sessions_n);
        server->state = SERVER_SAYING_BYE;
        for (struct bound *bound = server->bounds; bound != NULL; bound = bound->next) {
            bound->is_wanted = false;
        }
        close_unwanted(server);
        for_each_session(server, say_bye);
        timer_set_ms(server->leave_timer, BYE_MS);
    }
    if (server->sessions_n == 0 && server->state != SERVER_LEAVING_UPSTREAM) {
        server->state = SERVER_LEAVING_UPSTREAM;
        accounts_destroy(&server->accounts);
        timer_set_ms(server->leave_timer, LOGOUT_MS);
    }
}

static void on_leave_timer(void *arg)
{
    struct server *server = arg;
    if (server->state == SERVER_LEAVING_UPSTREAM) {
        evloop_stop(server->loop);
        return;
    }
    LOG(LOG_WARN, "server", "msg=\"cutting sessions that did not end\" sessions=%zu",
        server->sessions_n);
    server->state = SERVER_CUTTING;
    for_each_session(server, session_abort);
    timer_set_ms(server->leave_timer, BYE_MS);
}

/* --- requests of other threads ---------------------------------------------------------------- */

static void on_request(void *arg)
{
    struct server *server = arg;
    const struct settings *next = atomic_exchange(&server->next_settings, NULL);
    bool is_stopping = atomic_load(&server->stop_requested);
    if (next != NULL && server->state == SERVER_RUNNING && !is_stopping) {
        exchange_settings(server, next);
    } else if (next != NULL) {
        settings_release(&next);
    }
    if (is_stopping && server->state == SERVER_RUNNING) {
        proceed(server);
    }
}

void server_request_stop(struct server *server)
{
    atomic_store(&server->stop_requested, true);
    wakeup_signal(server->request_wakeup);
}

void server_request_reload(struct server *server, const struct settings *settings)
{
    const struct settings *unseen =
        atomic_exchange(&server->next_settings, settings_hold(settings));
    settings_release(&unseen);
    wakeup_signal(server->request_wakeup);
}

/* --- making one ------------------------------------------------------------------------------- */

static void on_store_drained(void *arg)
{
    struct server *server = arg;
    if (server->accounts != NULL) {
        accounts_store_drained(server->accounts);
    }
}

static void on_store_wakeup(void *arg)
{
    struct server *server = arg;
    store_poll(server->store);
}

static void on_end_of_turn(void *arg)
{
    struct server *server = arg;
    store_flush(server->store);
}

static enum status open_store(struct server *server, struct fail *fail)
{
    server->store_wakeup = wakeup_create(server->loop, on_store_wakeup, server);
    struct store_options options = {
        .dir = server->settings->cache_dir,
        .size_bytes = server->settings->cache_size_bytes,
        .stats = &server->stats,
        .searches_max = server->settings->search_remember,
        .wake = wakeup_signal,
        .wake_arg = server->store_wakeup,
        .drained = on_store_drained,
        .drained_arg = server,
    };
    TRY(store_open(&options, &server->store, fail));
    evloop_add_hook(server->loop, &server->end_of_turn, on_end_of_turn, server);
    server->has_hook = true;
    return OK;
}

static enum status build(struct server *server, struct fail *fail)
{
    TRY(tls_set_create(server->settings, &server->tls, fail));
    TRY(resolver_create(server->loop, &server->resolver, fail));
    TRY(open_store(server, fail));
    struct accounts_env accounts_env = {
        .loop = server->loop,
        .resolver = server->resolver,
        .store = server->store,
        .stats = &server->stats,
        .tls_for = tls_for,
        .tls_arg = server,
    };
    server->accounts = accounts_create(&accounts_env, server->settings);
    server->fanout = fanout_create(server->loop);
    server->env = (struct session_env){
        .loop = server->loop,
        .accounts = server->accounts,
        .stats = &server->stats,
        .store = server->store,
        .settings = server->settings,
        .fanout = server->fanout,
    };
    return bind_all(server, server->settings, server->tls, fail);
}

enum status server_create(const struct settings *settings, struct server **server_out,
                          struct fail *fail)
{
    struct server *server = alloc_zero(sizeof(*server));
    server->settings = settings_hold(settings);
    server->loop = evloop_create();
    server->request_wakeup = wakeup_create(server->loop, on_request, server);
    server->leave_timer = timer_create_on(server->loop, on_leave_timer, server);
    server->retire_timer = timer_create_on(server->loop, on_retired, server);
    set_log_level(settings);
    enum status st = build(server, fail);
    if (st != OK) {
        server_destroy(&server);
        return st;
    }
    *server_out = server;
    return OK;
}

void server_run(struct server *server)
{
    evloop_run(server->loop);
}

/* In lines that the log does not cut. */
static void log_counters(const struct server *server, const char *msg)
{
    struct buf line;
    buf_init(&line, 900);
    for (int i = 0; i < STAT_N; i++) {
        buf_printf(&line, " %s=%llu", stats_name((enum stats_counter)i),
                   (unsigned long long)stats_get(&server->stats, (enum stats_counter)i));
        if (line.len > 600 || i + 1 == STAT_N) {
            LOG(LOG_INFO, "server", "msg=%s" SLICE_FMT, msg, SLICE_ARG(buf_slice(&line)));
            buf_reset(&line);
        }
    }
    buf_fini(&line);
}

void server_log_counters(const struct server *server)
{
    log_counters(server, "counters");
    accounts_log_meters(server->accounts);
}

void server_destroy(struct server **server_p)
{
    struct server *server = *server_p;
    if (server == NULL) {
        return;
    }
    *server_p = NULL;
    CHECK(server->sessions_n == 0);
    for (struct bound *bound = server->bounds; bound != NULL; bound = bound->next) {
        bound->is_wanted = false;
    }
    close_unwanted(server);
    if (server->accounts != NULL) {
        accounts_destroy(&server->accounts);
    }
    if (server->has_hook) {
        evloop_remove_hook(server->loop, &server->end_of_turn);
    }
    if (server->store != NULL) {
        store_close(&server->store);
        log_counters(server, "stopped");
    }
    if (server->resolver != NULL) {
        resolver_destroy(&server->resolver);
    }
    if (server->store_wakeup != NULL) {
        wakeup_destroy(&server->store_wakeup);
    }
    wakeup_destroy(&server->request_wakeup);
    timer_destroy(&server->leave_timer);
    timer_destroy(&server->retire_timer);
    free_retired(server, UINT64_MAX);
    tls_set_destroy(&server->tls);
    const struct settings *unseen = atomic_exchange(&server->next_settings, NULL);
    settings_release(&unseen);
    settings_release(&server->settings);
    fanout_destroy(&server->fanout);
    evloop_destroy(&server->loop);
    alloc_free(server);
}

enum status server_check(const struct settings *settings, struct fail *fail)
{
    struct tls_set *tls = NULL;
    TRY(tls_set_create(settings, &tls, fail));
    tls_set_destroy(&tls);
    return OK;
}
