/* Life of a link.
 *
 *   CONNECTING -> [TLS ->] GREETING -> [CAPABILITY ->] [STARTTLS -> TLS -> CAPABILITY ->] LOGIN
 *     -> ENABLE -> READY <-> IDLE_ASKED -> IDLING -> IDLE_DONE -> READY
 *   any -> CLOSING -> CLOSED
 *
 * link__lose() may be called anywhere: it ends the connection at once, and a task of the same turn
 * completes the commands and tells the owner. */
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/log.h"
#include "link_p.h"
#include "pipeline_p.h"

#define TO(state) (1u << LINK_##state)

static const struct {
    const char *name;
    unsigned successors;
} states[LINK_STATE_N] = {
    [LINK_CONNECTING] = {"connecting", TO(TLS) | TO(GREETING) | TO(CLOSING)},
    [LINK_GREETING] = {"greeting", TO(STARTTLS) | TO(CAPABILITY) | TO(LOGIN) | TO(CLOSING)},
    [LINK_STARTTLS] = {"starttls", TO(TLS) | TO(CLOSING)},
    [LINK_TLS] = {"tls", TO(GREETING) | TO(CAPABILITY) | TO(CLOSING)},
    [LINK_CAPABILITY] = {"capability", TO(STARTTLS) | TO(LOGIN) | TO(CLOSING)},
    [LINK_LOGIN] = {"login", TO(ENABLE) | TO(CLOSING)},
    [LINK_ENABLE] = {"enable", TO(READY) | TO(CLOSING)},
    [LINK_READY] = {"ready", TO(IDLE_ASKED) | TO(CLOSING)},
    [LINK_IDLE_ASKED] = {"idle-asked", TO(IDLING) | TO(READY) | TO(CLOSING)},
    [LINK_IDLING] = {"idling", TO(IDLE_DONE) | TO(READY) | TO(CLOSING)},
    [LINK_IDLE_DONE] = {"idle-done", TO(READY) | TO(CLOSING)},
    [LINK_CLOSING] = {"closing", TO(CLOSED)},
    [LINK_CLOSED] = {"closed", 0},
};

void link__goto(struct link *link, enum link_state next, const char *why)
{
    CHECK((states[link->state].successors >> next & 1) != 0);
    LOG(LOG_DEBUG, "link", "msg=\"state\" peer=%s from=%s to=%s why=%s", link->peer,
        states[link->state].name, states[next].name, LOG_Q(slice_str(why)));
    link->state = next;
}

bool link__is_over(const struct link *link)
{
    return link->state >= LINK_CLOSING;
}

static void link_count(struct link *link)
{
    uint64_t in = conn_bytes_in(link->conn);
    uint64_t out = conn_bytes_out(link->conn);
    stats_add(link->env.stats, STAT_upstream_bytes_in, in - link->counted_in);
    stats_add(link->env.stats, STAT_upstream_bytes_out, out - link->counted_out);
    if (link->env.meter != NULL) {
        link->env.meter->in += in - link->counted_in;
        link->env.meter->out += out - link->counted_out;
    }
    link->counted_in = in;
    link->counted_out = out;
}

/* --- deadline ----------------------------------------------------------------------------------
 */

/* What shows that the other end lives: its octets, and that it takes a long command of ours. */
static uint64_t link_bytes(const struct link *link)
{
    uint64_t out = link->current != NULL ? conn_bytes_out(link->conn) : 0;
    return conn_bytes_in(link->conn) + out;
}

/* Is the server to say something?  Not while the octets of a streamed literal are to come from the
 * owner, and not in IDLE. */
static bool link_is_waiting(const struct link *link)
{
    if (link->state == LINK_IDLE_ASKED || link->state == LINK_IDLE_DONE) {
        return true;
    }
    bool waits_for_owner = link->current != NULL && link->current->stage == UPCMD_STREAMING &&
                           conn_pending_out(link->conn) == 0;
    return link->flight.n > 0 && !waits_for_owner;
}

/* How long the other end may be silent. */
static uint32_t link_patience_ms(const struct link *link)
{
    const struct upcmd *first = link->flight.head;
    uint32_t most = link->env.upstream->command_timeout_ms;
    uint32_t ms = most;
    if (link->state == LINK_IDLE_ASKED || link->state == LINK_IDLE_DONE ||
        (first != NULL && (first->flags & UPCMD__QUICK) != 0)) {
        ms = LINK__ANSWER_MS;
    } else if (!link_is_waiting(link)) {
        return LINK__UPLOAD_STALL_MS;
    }
    return ms < most ? ms : most;
}

static void link_set_deadline(struct link *link)
{
    link->deadline_bytes = link_bytes(link);
    link->patience_ms = link_patience_ms(link);
    timeout_start(link->env.loop, &link->deadline, link->patience_ms);
}

void link__watch(struct link *link)
{
    if (link->state < LINK_READY || link__is_over(link)) {
        return;
    }
    if (link->is_paused || (link->flight.n == 0 && !link_is_waiting(link))) {
        timeout_stop(&link->deadline);
    } else if (!timeout_is_running(&link->deadline)) {
        link_set_deadline(link);
    }
}

static void link_on_deadline(void *arg)
{
    struct link *link = arg;
    if (link->state < LINK_READY) {
        link__lose(link, TIMEOUT, NULL, "no login within %u ms (%s)",
                   link->env.upstream->connect_timeout_ms, states[link->state].name);
    } else if (link_bytes(link) != link->deadline_bytes ||
               link_patience_ms(link) > link->patience_ms) {
        link_set_deadline(link);
    } else if (!link_is_waiting(link)) {
        link__lose(link, TIMEOUT, NULL, "an upload stands still for %u ms", link->patience_ms);
    } else {
        link__lose(link, TIMEOUT, NULL, "silent for %u ms with %zu commands in flight",
                   link->patience_ms, link->flight.n);
    }
}

/* --- connection events -------------------------------------------------------------------------
 */

static void link_on_open(struct link *link)
{
    snprintf(link->peer, sizeof(link->peer), "%s", conn_peer_name(link->conn));
    if (link->env.upstream->security == UPSTREAM_TLS) {
        link__goto(link, LINK_TLS, "connected");
    } else {
        link__goto(link, LINK_GREETING, "connected");
    }
}

static void link_on_tls_ready(struct link *link)
{
    char text[64];
    LOG(LOG_DEBUG, "link", "msg=\"tls\" peer=%s tls=%s resumed=%d", link->peer,
        LOG_Q(slice_str(conn_tls_text(link->conn, text))), conn_tls_was_resumed(link->conn));
    if (link->env.upstream->security == UPSTREAM_TLS) {
        link__goto(link, LINK_GREETING, "tls");
    } else {
        login__tls_ready(link);
    }
}

static void link_on_data(struct link *link)
{
    link->heard_ms = evloop_now_ms(link->env.loop);
    link->is_asked = false;
    link__read(link);
    if (link__is_over(link)) {
        return;
    }
    if (link->state >= LINK_READY && timeout_is_running(&link->deadline)) {
        link_set_deadline(link);
    }
    link__watch(link);
}

static void link_on_failed(struct link *link)
{
    const struct fail *fail = conn_fail(link->conn);
    enum status why = fail->status == TLS || fail->status == TIMEOUT ? fail->status : NETWORK;
    link__lose(link, why, NULL, "%s", fail->text);
}

static void link_on_event(void *arg, struct conn *conn, enum conn_event event)
{
    struct link *link = arg;
    (void)conn;
    switch (event) {
    case CONN_EV_OPEN:
        link_on_open(link);
        break;
    case CONN_EV_TLS_READY:
        link_on_tls_ready(link);
        break;
    case CONN_EV_DATA:
        link_on_data(link);
        break;
    case CONN_EV_DRAINED:
        pipeline__drained(link);
        break;
    case CONN_EV_EOF:
        link__lose(link, END, NULL, "the server ended the connection (%s)",
                   states[link->state].name);
        break;
    case CONN_EV_FAILED:
        link_on_failed(link);
        break;
    case CONN_EV_TIMEOUT: /* never asked for */
        break;
    }
    if (link->conn != NULL) {
        link_count(link);
    }
}

/* --- end ---------------------------------------------------------------------------------------
 */

static void link_destroy(void *ptr)
{
    struct link *link = ptr;
    reader_fini(&link->reader);
    buf_fini(&link->said);
    buf_fini(&link->challenge);
    alloc_free(link);
}

/* From here on no event, no timer, no task of the link. */
static void link_disconnect(struct link *link, enum conn_close how, const char *why)
{
    link_count(link);
    timeout_stop(&link->deadline);
    timeout_stop(&link->idle_timer);
    timeout_stop(&link->busy_timer);
    evloop_cancel(link->env.loop, &link->pump);
    link__goto(link, LINK_CLOSING, why);
    conn_close(&link->conn, how);
}

static void link_tear_down(void *arg)
{
    struct link *link = arg;
    pipeline__fail_all(link, link->fail.status);
    if (link->state == LINK_CLOSED) {
        return; /* by its owner, in a completion */
    }
    link__goto(link, LINK_CLOSED, "told");
    link->ops->closed(link->owner, link, link->fail.status, link->refusal, &link->fail);
    while (!pipeline__is_quiet(link)) {
        pipeline__fail_all(link, link->fail.status); /* sent by completions; now they know better */
    }
    evloop_reap(link->env.loop, link, link_destroy);
}

void link__lose(struct link *link, enum status why, const struct response *refusal, const char *fmt,
                ...)
{
    if (link__is_over(link)) {
        return;
    }
    char text[sizeof(link->fail.text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)fail_set(&link->fail, why, "link", "%s", text);
    if (refusal != NULL) {
        link->refusal_copy = *refusal;
        link->refusal = &link->refusal_copy;
    }
    if (link->state >= LINK_READY) {
        stats_add(link->env.stats, STAT_links_lost, 1);
    }
    link_disconnect(link, CONN_CLOSE_ABORT, text);
    evloop_defer(link->env.loop, &link->tear_down, EVLOOP_SOON);
}

/* May LOGOUT be said?  Not in the middle of a command. */
static void link_say_logout(struct link *link)
{
    char tag[LINK__TAG_MAX];
    char line[LINK__TAG_MAX + 32];
    if (link->state < LINK_READY || link->current != NULL) {
        return;
    }
    bool is_idle = link->state == LINK_IDLE_ASKED || link->state == LINK_IDLING;
    snprintf(line, sizeof(line), "%s%s LOGOUT\r\n", is_idle ? "DONE\r\n" : "",
             wire__tag(++link->last_tag, tag));
    conn_write(link->conn, slice_str(line));
}

void link_close(struct link **link_ptr, bool polite)
{
    struct link *link = *link_ptr;
    *link_ptr = NULL;
    if (link == NULL || link->state == LINK_CLOSED) {
        return;
    }
    if (link->state != LINK_CLOSING) {
        if (polite) {
            link_say_logout(link);
        }
        link_disconnect(link, polite ? CONN_CLOSE_FLUSH : CONN_CLOSE_ABORT, "owner");
    }
    evloop_cancel(link->env.loop, &link->tear_down);
    link__goto(link, LINK_CLOSED, "owner");
    while (!pipeline__is_quiet(link)) {
        pipeline__fail_all(link, CANCELED);
    }
    evloop_reap(link->env.loop, link, link_destroy);
}

/* --- beginning ---------------------------------------------------------------------------------
 */

static void link_dial(struct link *link)
{
    const struct upstream_settings *upstream = link->env.upstream;
    struct conn_dial_opts opts = {
        .resolver = link->env.resolver,
        .host = upstream->host,
        .port = upstream->port,
        .tls = upstream->security == UPSTREAM_TLS ? link->env.tls : NULL,
        .total_timeout_ms = upstream->connect_timeout_ms,
        .user_timeout_ms = LINK__USER_TIMEOUT_MS,
    };
    link->conn = conn_dial(link->env.loop, &opts, link_on_event, link);
}

struct link *link_create(const struct link_env *env, const struct link_login *login,
                         const struct link_ops *ops, void *owner)
{
    static const struct reader_limits limits = {.max_line_bytes = LINK_LINE_MAX,
                                                .max_unit_bytes = LINK_LINE_MAX,
                                                .max_literals = LINK__LITERALS_MAX};
    CHECK(env->tls != NULL || env->upstream->security != UPSTREAM_TLS);
    struct link *link = alloc_zero(sizeof(*link));
    link->env = *env;
    link->is_probe = login == NULL;
    if (login != NULL) {
        link->login = *login;
    }
    link->ops = ops;
    link->owner = owner;
    link->profile = profile_generic();
    snprintf(link->peer, sizeof(link->peer), "%s:%u", env->upstream->host, env->upstream->port);
    reader_init(&link->reader, READER_SERVER, &limits);
    buf_init(&link->said, LINK__SAID_MAX);
    buf_init(&link->challenge, LINK__CHALLENGE_MAX);
    task_init(&link->pump, pipeline__pump, link);
    task_init(&link->tear_down, link_tear_down, link);
    timeout_init(&link->deadline, link_on_deadline, link);
    idle__init(link);
    link_dial(link);
    timeout_start(env->loop, &link->deadline, env->upstream->connect_timeout_ms);
    if (FAULT(link_connect)) {
        link__lose(link, NETWORK, NULL, "fault for tests");
    }
    return link;
}

void link_set_owner(struct link *link, const struct link_ops *ops, void *owner)
{
    link->ops = ops;
    link->owner = owner;
}

/* --- facts -------------------------------------------------------------------------------------
 */

bool link_is_ready(const struct link *link)
{
    return link->state >= LINK_READY && !link__is_over(link);
}

const char *link_peer(const struct link *link)
{
    return link->peer;
}

const struct capabilities *link_capabilities(const struct link *link)
{
    return &link->caps;
}

const struct profile *link_profile(const struct link *link)
{
    return link->profile;
}

bool link_offered(const struct link *link, uint64_t *capabilities_out)
{
    *capabilities_out = link->offered;
    return link->has_offered;
}

struct slice link_challenge(const struct link *link)
{
    return buf_slice(&link->challenge);
}

bool link_has_qresync(const struct link *link)
{
    return link->has_qresync;
}

bool link_presumed_wrongly(const struct link *link)
{
    return link->presumed_wrongly;
}

bool link_has_condstore(const struct link *link)
{
    return link->has_condstore;
}

uint64_t link_last_tagged_ms(const struct link *link)
{
    return link->last_tagged_ms;
}

void link_want_idle(struct link *link, bool wanted)
{
    if (link->wants_idle != wanted) {
        link->wants_idle = wanted;
        pipeline__kick(link);
    }
}

void link_set_watched(struct link *link, bool watched)
{
    if (link->is_watched != watched && !link__is_over(link)) {
        link->is_watched = watched;
        idle__watch(link);
    }
}

void link_set_paused(struct link *link, bool paused)
{
    if (link->is_paused == paused || link__is_over(link)) {
        return;
    }
    link->is_paused = paused;
    conn_set_paused(link->conn, paused);
    link__watch(link);
}
