#ifndef ACCOUNT_FIXTURE_H
#define ACCOUNT_FIXTURE_H
/* Accounts on a real loop and store, with an upstream in the same loop that takes any number of
 * connections.  It knows greeting, login, ENABLE and IDLE; every other command is answered by the
 * first rule whose text it begins with and which has not been used up: "$" in the answer is the
 * command's tag, "!" at its end cuts the connection.  What came is written to one log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "account/account.h"
#include "account/feed.h"
#include "base/alloc.h"
#include "net/conn.h"
#include "net/evloop.h"
#include "net/listener.h"
#include "net/netaddr.h"
#include "net/resolver.h"
#include "net/timer.h"
#include "store/store.h"

enum { OFFICE_PEERS_MAX = 16, OFFICE_PATIENCE_MS = 8000, OFFICE_RULES_MAX = 64 };

struct office;

struct rule {
    const char *command; /* what it begins with, without the tag */
    const char *answer;
    int times; /* 0: any number */
};

struct peer {
    struct office *office;
    struct conn *conn; /* NULL: closed */
    struct buf in;
    char idle_tag[32]; /* empty: not in IDLE */
    char tag[32];      /* of its last command that a rule leaves unanswered */
    bool is_selected;
};

struct office {
    struct evloop *loop;
    struct resolver *resolver;
    struct stats stats;
    struct settings settings;
    struct upstream_settings upstream;
    char dir[64];
    struct store *store;
    struct turn_hook hook;
    struct listener *listener;
    struct accounts *accounts;
    struct timer *patience;
    struct timer *pause;
    bool (*until)(struct office *office);
    bool is_late;
    bool is_paused;

    struct peer peer[OFFICE_PEERS_MAX];
    size_t peers_n; /* connections so far */
    const char *caps;
    const char *refusal; /* answer to a login, NULL: accepted */
    bool refuses_connections;
    struct rule rules[OFFICE_RULES_MAX];
    size_t rules_n;
    struct buf log; /* commands, each ended by ";" */
};

static inline void office_say(struct peer *peer, const char *text)
{
    if (peer->conn != NULL) {
        conn_write(peer->conn, slice_str(text));
    }
}

static inline void office_cut(struct peer *peer)
{
    if (peer->conn != NULL) {
        conn_close(&peer->conn, CONN_CLOSE_FLUSH);
    }
}

/* To the connection that has a mailbox selected (the newest such). */
static inline struct peer *office_selected(struct office *office)
{
    for (size_t i = office->peers_n; i > 0; i--) {
        if (office->peer[i - 1].conn != NULL && office->peer[i - 1].is_selected) {
            return &office->peer[i - 1];
        }
    }
    return NULL;
}

static inline void office_push(struct office *office, const char *text)
{
    assert_non_null(office_selected(office));
    office_say(office_selected(office), text);
}

static inline void office_answer(struct peer *peer, const char *tag, const char *answer)
{
    struct buf out;
    size_t n = strlen(answer);
    bool cuts = n > 0 && answer[n - 1] == '!';
    buf_init(&out, 0);
    for (size_t i = 0; i < n - cuts; i++) {
        if (answer[i] == '$') {
            buf_add_str(&out, tag);
        } else {
            buf_add_char(&out, answer[i]);
        }
    }
    conn_write(peer->conn, buf_slice(&out));
    buf_fini(&out);
    if (cuts) {
        office_cut(peer);
    }
}

static inline const struct rule *office_rule(struct office *office, const char *command)
{
    for (size_t i = 0; i < office->rules_n; i++) {
        struct rule *rule = &office->rules[i];
        if (rule->times >= 0 && strncmp(command, rule->command, strlen(rule->command)) == 0) {
            if (rule->times > 0 && --rule->times == 0) {
                rule->times = -1;
            }
            return rule;
        }
    }
    return NULL;
}

static inline void office_command(struct peer *peer, char *line)
{
    struct office *office = peer->office;
    if (strcasecmp(line, "DONE") == 0) {
        conn_write(peer->conn, slice_str(peer->idle_tag));
        office_say(peer, " OK done\r\n");
        peer->idle_tag[0] = '\0';
        return;
    }
    char *command = strchr(line, ' ');
    assert_non_null(command);
    *command++ = '\0';
    bool is_login = strncmp(command, "LOGIN", 5) == 0 || strncmp(command, "AUTH", 4) == 0;
    if (strncmp(command, "IDLE", 4) == 0) {
        assert_true(strlen(line) < sizeof(peer->idle_tag));
        memcpy(peer->idle_tag, line, strlen(line) + 1);
        office_say(peer, "+ idling\r\n");
        return;
    }
    buf_add_str(&office->log, is_login ? "LOGIN" : command);
    buf_add_char(&office->log, ';');
    const struct rule *rule = office_rule(office, command);
    if (strncmp(command, "SELECT", 6) == 0) {
        peer->is_selected = true;
    }
    if (rule != NULL && rule->answer[0] == '\0') {
        assert_true(strlen(line) < sizeof(peer->tag));
        memcpy(peer->tag, line, strlen(line) + 1);
    } else if (rule != NULL) {
        office_answer(peer, line, rule->answer);
    } else if (is_login && office->refusal != NULL) {
        office_answer(peer, line, office->refusal);
    } else if (strncmp(command, "ENABLE ", 7) == 0) {
        office_say(peer, "* ENABLED ");
        office_say(peer, command + 7);
        office_answer(peer, line, "\r\n$ OK enabled\r\n");
    } else if (strncmp(command, "CAPABILITY", 10) == 0) {
        office_say(peer, "* CAPABILITY ");
        office_say(peer, office->caps);
        office_answer(peer, line, "\r\n$ OK caps\r\n");
    } else {
        office_answer(peer, line, "$ OK done\r\n");
    }
}

static inline void office_on_conn(void *arg, struct conn *conn, enum conn_event event)
{
    struct peer *peer = arg;
    (void)conn;
    if (event == CONN_EV_FAILED || event == CONN_EV_EOF) {
        conn_close(&peer->conn, CONN_CLOSE_ABORT);
        return;
    }
    while (peer->conn != NULL && conn_input(peer->conn).len > 0) {
        struct slice in = conn_input(peer->conn);
        size_t n = in.len;
        buf_add(&peer->in, in);
        conn_consume(peer->conn, n);
    }
    char line[16384];
    size_t n;
    while (peer->conn != NULL && (n = slice_find(buf_slice(&peer->in), '\n')) < peer->in.len) {
        assert_true(n < sizeof(line));
        memcpy(line, peer->in.data, n);
        line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = '\0';
        buf_consume(&peer->in, n + 1);
        office_command(peer, line);
    }
}

static inline void office_on_accept(void *arg, int fd, const struct netaddr *addr)
{
    struct office *office = arg;
    if (office->refuses_connections) {
        close(fd);
        return;
    }
    assert_true(office->peers_n < OFFICE_PEERS_MAX);
    struct peer *peer = &office->peer[office->peers_n++];
    const struct conn_accept_opts opts = {.peer = addr};
    peer->office = office;
    buf_init(&peer->in, 0);
    peer->conn = conn_accept(office->loop, fd, &opts, office_on_conn, peer);
    office_say(peer, "* OK [CAPABILITY ");
    office_say(peer, office->caps);
    office_say(peer, "] hello\r\n");
}

static inline struct tls_client *office_tls(void *arg, const struct upstream_settings *upstream)
{
    (void)arg;
    (void)upstream;
    return NULL;
}

static inline void office_end_of_turn(void *arg)
{
    struct office *office = arg;
    store_poll(office->store);
    store_flush(office->store);
    if (office->until != NULL && office->until(office)) {
        office->until = NULL;
        evloop_stop(office->loop);
    }
}

static inline void office_on_patience(void *arg)
{
    struct office *office = arg;
    office->is_late = true;
    evloop_stop(office->loop);
}

static inline void office_on_pause(void *arg)
{
    struct office *office = arg;
    office->is_paused = false;
    evloop_stop(office->loop);
}

static inline void office_open_store(struct office *office)
{
    struct fail fail = {0};
    const struct store_options options = {
        .dir = office->dir, .size_bytes = 64 << 20, .stats = &office->stats};
    assert_int_equal(store_open(&options, &office->store, &fail), OK);
}

static inline void office_open_accounts(struct office *office)
{
    const struct accounts_env env = {.loop = office->loop,
                                     .resolver = office->resolver,
                                     .store = office->store,
                                     .stats = &office->stats,
                                     .tls_for = office_tls};
    office->accounts = accounts_create(&env, &office->settings);
}

static inline void office_open(struct office *office)
{
    struct netaddr any;
    struct fail fail = {0};
    memset(office, 0, sizeof(*office));
    memcpy(office->dir, "account-test-XXXXXX", sizeof("account-test-XXXXXX"));
    assert_non_null(mkdtemp(office->dir));
    office->loop = evloop_create();
    assert_int_equal(resolver_create(office->loop, &office->resolver, &fail), OK);
    assert_true(netaddr_parse("127.0.0.1:0", &any));
    assert_int_equal(listener_create(office->loop, &any, office_on_accept, office,
                                     &office->listener, &fail),
                     OK);
    office->caps = "IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS MOVE CONDSTORE QRESYNC";
    settings_default_upstream(&office->upstream);
    office->upstream.name = "test";
    office->upstream.host = "127.0.0.1";
    office->upstream.port = netaddr_port(listener_addr(office->listener));
    office->upstream.security = UPSTREAM_STARTTLS;
    settings_default_limits(&office->settings.limits);
    office->settings.upstreams = &office->upstream;
    office->settings.upstreams_n = 1;
    settings_default_auth(&office->settings);
    office->settings.cache_dir = office->dir;
    atomic_init(&office->settings.holders, 1);
    office->patience = timer_create_on(office->loop, office_on_patience, office);
    office->pause = timer_create_on(office->loop, office_on_pause, office);
    buf_init(&office->log, 0);
    office_open_store(office);
    evloop_add_hook(office->loop, &office->hook, office_end_of_turn, office);
    office_open_accounts(office);
}

static inline void office_rule_add(struct office *office, const char *command, const char *answer,
                                   int times)
{
    assert_true(office->rules_n < OFFICE_RULES_MAX);
    office->rules[office->rules_n++] = (struct rule){command, answer, times};
}

/* Run until @until says so. */
static inline void office_run(struct office *office, bool (*until)(struct office *office))
{
    office->is_late = false;
    timer_set_ms(office->patience, OFFICE_PATIENCE_MS);
    while (!until(office) && !office->is_late) {
        office->until = until;
        evloop_run(office->loop);
    }
    timer_stop(office->patience);
    office->until = NULL;
    if (office->is_late) {
        buf_add_char(&office->log, '\0');
        fail_msg("out of patience; the server was sent: %s", office->log.data);
    }
}

static inline void office_run_ms(struct office *office, uint64_t ms)
{
    office->is_paused = true;
    timer_set_ms(office->pause, ms);
    while (office->is_paused) {
        evloop_run(office->loop);
    }
}

static inline const char *office_log(struct office *office)
{
    buf_add_char(&office->log, '\0');
    office->log.len--;
    return office->log.data;
}

static inline void office_close(struct office *office)
{
    char line[128];
    accounts_destroy(&office->accounts);
    office_run_ms(office, 20); /* what was deferred */
    evloop_remove_hook(office->loop, &office->hook);
    store_close(&office->store);
    for (size_t i = 0; i < office->peers_n; i++) {
        if (office->peer[i].conn != NULL) {
            conn_close(&office->peer[i].conn, CONN_CLOSE_ABORT);
        }
        buf_fini(&office->peer[i].in);
    }
    listener_destroy(&office->listener);
    timer_destroy(&office->patience);
    timer_destroy(&office->pause);
    resolver_destroy(&office->resolver);
    evloop_destroy(&office->loop);
    buf_fini(&office->log);
    snprintf(line, sizeof(line), "rm -rf ./%s", office->dir);
    assert_int_equal(system(line), 0);
}

#endif
