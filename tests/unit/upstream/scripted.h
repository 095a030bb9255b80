#ifndef SCRIPTED_H
#define SCRIPTED_H
/* A link and a scripted server in one loop.  The script is a list of steps, done in order: octets
 * to expect exactly, octets to send, calls on the link's side.  What the link's owner and its
 * commands hear is written to one log.  Octets of the server can be cut off after any number of
 * them, or come in small pieces. */
#include "../net/certs_fixture.h"

#include "base/settings.h"
#include "imap/outcmd.h"
#include "upstream/link.h"
#include "upstream/profile.h"

enum { SCRIPT_PATIENCE_MS = 5000, SCRIPT_COMMANDS_MAX = 16 };

struct scripted;

enum step_kind {
    STEP_END,
    STEP_EXPECT,
    STEP_SEND,
    STEP_DO,
    STEP_QUIET,
    STEP_TLS,
    STEP_CUT,
    STEP_SWALLOW
};

struct step {
    enum step_kind kind;
    const char *text; /* EXPECT, SEND */
    size_t len;       /* 0: of the text as a C string; SWALLOW: octets */
    void (*fn)(struct scripted *s);
    uint32_t ms; /* QUIET: nothing may come for that long */
};

#define C_(literal)                                                                                \
    {                                                                                              \
        .kind = STEP_EXPECT, .text = literal                                                       \
    }
#define S_(literal)                                                                                \
    {                                                                                              \
        .kind = STEP_SEND, .text = literal                                                         \
    }
#define S_N(octets, n)                                                                             \
    {                                                                                              \
        .kind = STEP_SEND, .text = octets, .len = n                                                \
    }
#define DO_(function)                                                                              \
    {                                                                                              \
        .kind = STEP_DO, .fn = function                                                            \
    }
#define QUIET_(time)                                                                               \
    {                                                                                              \
        .kind = STEP_QUIET, .ms = time                                                             \
    }
#define TLS_                                                                                       \
    {                                                                                              \
        .kind = STEP_TLS                                                                           \
    }
#define CUT_                                                                                       \
    {                                                                                              \
        .kind = STEP_CUT                                                                           \
    }
#define SWALLOW_(n)                                                                                \
    {                                                                                              \
        .kind = STEP_SWALLOW, .len = n                                                             \
    } /* once in a script */
#define END_                                                                                       \
    {                                                                                              \
        .kind = STEP_END                                                                           \
    }

/* One command of the test. */
struct probe {
    struct scripted *s;
    struct upcmd *cmd;
    int done_n;
    enum status st;
    bool was_sent;
    const char *claims; /* claim untagged responses of this kind's first letters ("FETCH") */
    bool claims_literals;
    int declines_from; /* the literal of that number (from 1) and later ones; 0: none */
    int literals_n;
    bool detaches_in_literal;
    struct buf literal;
    size_t literal_pieces;
    struct slice upload; /* what is left of it */
    uint64_t upload_zeros;
    int wanted_n;
};

struct scripted {
    struct evloop *loop;
    struct resolver *resolver;
    struct stats stats;
    struct upstream_settings upstream;
    struct link_login login;
    bool is_probe, has_offered;
    uint64_t offered;
    struct tls_client *tls_client;
    struct tls_server *tls_server;
    bool is_implicit;
    struct listener *listener;
    struct link *link;
    struct conn *server;
    struct timer *patience;
    struct timer *quiet;
    struct task play;
    const struct step *steps;
    size_t at;
    size_t sent_n; /* octets the server has said */
    size_t cut_at; /* SIZE_MAX: not */
    size_t piece;  /* 0: whole */
    size_t piece_at;
    char closes_in;    /* the owner closes the link in r(eady), u(ntagged), i(dling); 0: not */
    bool wants_closed; /* run until closed(), not until the script's end */
    bool awaits_enable;
    bool is_closed;
    bool is_failed;
    struct buf got; /* by the server, not expected yet */
    struct buf log;
    struct probe probe[SCRIPT_COMMANDS_MAX];
    uint64_t swallowed;
    uint64_t to_swallow;
};

static inline void scripted_fail(struct scripted *s, const char *what, struct slice seen)
{
    if (!s->is_failed) {
        print_error("step %zu: %s; seen: \"" SLICE_FMT "\"\n", s->at, what, SLICE_ARG(seen));
    }
    s->is_failed = true;
    evloop_stop(s->loop);
}

static inline void scripted_play(void *arg);

static inline void scripted_cut(struct scripted *s)
{
    if (s->server != NULL) {
        conn_close(&s->server, CONN_CLOSE_FLUSH);
    }
}

/* Says more of the present SEND step; true when it is said. */
static inline bool scripted_say(struct scripted *s, const struct step *step)
{
    size_t len = step->len != 0 ? step->len : strlen(step->text);
    size_t n = len - s->piece_at;
    if (s->piece != 0 && n > s->piece) {
        n = s->piece;
    }
    bool is_cut = s->cut_at != SIZE_MAX && s->sent_n + n >= s->cut_at;
    if (is_cut) {
        n = s->cut_at - s->sent_n;
    }
    conn_write(s->server, slice_of(step->text + s->piece_at, n));
    s->piece_at += n;
    s->sent_n += n;
    if (is_cut) {
        scripted_cut(s);
        return false;
    }
    if (s->piece_at < len) {
        evloop_defer(s->loop, &s->play, EVLOOP_NEXT_TURN);
        return false;
    }
    s->piece_at = 0;
    return true;
}

static inline bool scripted_expect(struct scripted *s, const struct step *step)
{
    struct slice want = slice_str(step->text);
    struct slice seen = slice_sub(buf_slice(&s->got), 0, want.len);
    if (!slice_eq(seen, slice_sub(want, 0, seen.len))) {
        scripted_fail(s, step->text, buf_slice(&s->got));
        return false;
    }
    if (seen.len < want.len) {
        return false;
    }
    buf_consume(&s->got, want.len);
    return true;
}

/* Input of the server into got; true when there is something to look at. */
static inline void scripted_take_input(struct scripted *s)
{
    while (conn_input(s->server).len > 0) {
        struct slice in = conn_input(s->server);
        size_t n = in.len < s->to_swallow ? in.len : (size_t)s->to_swallow;
        s->to_swallow -= n;
        s->swallowed += n;
        buf_add(&s->got, slice_sub(in, n, in.len));
        conn_consume(s->server, in.len);
    }
}

static inline bool scripted_step(struct scripted *s, const struct step *step)
{
    switch (step->kind) {
    case STEP_EXPECT:
        return scripted_expect(s, step);
    case STEP_SEND:
        return s->server != NULL && scripted_say(s, step);
    case STEP_DO:
        step->fn(s);
        return true;
    case STEP_SWALLOW:
        if (s->swallowed == 0 && s->to_swallow == 0) {
            s->to_swallow = step->len;
            s->swallowed = s->got.len < step->len ? s->got.len : step->len;
            s->to_swallow -= s->swallowed;
            buf_consume(&s->got, (size_t)s->swallowed);
        }
        return s->to_swallow == 0;
    case STEP_QUIET:
        if (s->got.len > 0) {
            scripted_fail(s, "not quiet", buf_slice(&s->got));
        } else if (!timer_is_set(s->quiet)) {
            timer_set_ms(s->quiet, step->ms);
        }
        return false;
    case STEP_TLS:
        assert_int_equal(conn_start_tls_server(s->server, s->tls_server), OK);
        return true;
    case STEP_CUT:
        scripted_cut(s);
        return true;
    case STEP_END:
        break;
    }
    if (!s->wants_closed) {
        evloop_stop(s->loop);
    }
    return false;
}

static inline void scripted_play(void *arg)
{
    struct scripted *s = arg;
    while (!s->is_failed && scripted_step(s, &s->steps[s->at])) {
        s->at++;
    }
}

static inline void scripted_on_quiet(void *arg)
{
    struct scripted *s = arg;
    s->at++;
    scripted_play(s);
}

static inline void scripted_on_server(void *arg, struct conn *conn, enum conn_event event)
{
    struct scripted *s = arg;
    (void)conn;
    if (event == CONN_EV_FAILED || event == CONN_EV_EOF) {
        conn_close(&s->server, CONN_CLOSE_ABORT);
        return;
    }
    scripted_take_input(s);
    if (s->got.len > 0 && timer_is_set(s->quiet)) {
        scripted_fail(s, "not quiet", buf_slice(&s->got));
        return;
    }
    scripted_play(s);
}

static inline void scripted_on_accept(void *arg, int fd, const struct netaddr *peer)
{
    struct scripted *s = arg;
    struct conn_accept_opts opts = {.peer = peer, .tls = s->is_implicit ? s->tls_server : NULL};
    assert_null(s->server);
    s->server = conn_accept(s->loop, fd, &opts, scripted_on_server, s);
    scripted_play(s);
}

static inline void scripted_on_patience(void *arg)
{
    struct scripted *s = arg;
    scripted_fail(s, s->server != NULL ? "out of patience" : "out of patience, closed",
                  buf_slice(&s->got));
}

static inline void owner_perhaps_closes(struct scripted *s, char where)
{
    if (s->closes_in == where) {
        link_close(&s->link, false);
        evloop_stop(s->loop);
    }
}

/* --- the link's owner --------------------------------------------------------------------------
 */

static inline void owner_ready(void *owner, struct link *link)
{
    struct scripted *s = owner;
    assert_true(link_is_ready(link));
    buf_add_str(&s->log, "ready;");
    owner_perhaps_closes(s, 'r');
}

static inline void owner_untagged(void *owner, struct link *link, const struct response *r)
{
    struct scripted *s = owner;
    (void)link;
    if (r->kind == RESPONSE_STATE) {
        buf_printf(&s->log, "*%s;", response_cond_name(r->cond));
    } else {
        buf_printf(&s->log, "*%d:%u%s;", (int)r->kind, r->number,
                   r->data.holes_n > 0 ? ":hole" : "");
    }
    owner_perhaps_closes(s, 'u');
}

static inline void owner_idling(void *owner, struct link *link)
{
    struct scripted *s = owner;
    (void)link;
    buf_add_str(&s->log, "idling;");
    owner_perhaps_closes(s, 'i');
}

static inline void owner_closed(void *owner, struct link *link, enum status why,
                                const struct response *refusal, const struct fail *fail)
{
    struct scripted *s = owner;
    assert_ptr_equal(link, s->link);
    assert_int_equal(fail->status, why);
    assert_true(fail->text[0] != '\0');
    assert_false(s->is_closed);
    s->link = NULL;
    s->is_closed = true;
    buf_printf(&s->log, "closed:%s", status_name(why));
    if (refusal != NULL) {
        buf_printf(&s->log, ":%s:%s:" SLICE_FMT, response_cond_name(refusal->cond),
                   response_code_name(refusal->code), SLICE_ARG(refusal->text));
    }
    if (link_challenge(link).len > 0) {
        buf_printf(&s->log, ":" SLICE_FMT, SLICE_ARG(link_challenge(link)));
    }
    s->has_offered = link_offered(link, &s->offered);
    buf_add_str(&s->log, ";");
    if (s->wants_closed) {
        evloop_stop(s->loop);
    }
}

static const struct link_ops owner_ops = {
    .ready = owner_ready,
    .untagged = owner_untagged,
    .idling = owner_idling,
    .closed = owner_closed,
};

/* --- commands ----------------------------------------------------------------------------------
 */

static inline int probe_number(const struct probe *p)
{
    return (int)(p - p->s->probe);
}

static inline bool probe_untagged(void *arg, const struct response *r)
{
    struct probe *p = arg;
    if (p->claims == NULL || r->kind != RESPONSE_FETCH) {
        return false;
    }
    buf_printf(&p->s->log, "%d has %u;", probe_number(p), r->number);
    return true;
}

static inline bool probe_literal(void *arg, struct unit so_far, uint64_t size)
{
    struct probe *p = arg;
    assert_true(so_far.holes_n > 0);
    assert_int_equal(so_far.holes[so_far.holes_n - 1].size, size);
    p->literals_n++;
    if (p->declines_from != 0 && p->literals_n >= p->declines_from) {
        return false;
    }
    if (p->claims_literals) {
        buf_printf(&p->s->log, "%d streams %llu;", probe_number(p), (unsigned long long)size);
    }
    return p->claims_literals;
}

static inline void probe_literal_data(void *arg, struct slice bytes)
{
    struct probe *p = arg;
    buf_add(&p->literal, bytes);
    p->literal_pieces++;
    if (p->detaches_in_literal) {
        upcmd_detach(p->cmd);
        p->cmd = NULL;
    }
}

static inline void probe_literal_end(void *arg)
{
    struct probe *p = arg;
    buf_printf(&p->s->log, "%d end;", probe_number(p));
}

static inline void probe_push(struct probe *p)
{
    static char zeros[16384];
    size_t n = 1;
    while (n > 0 && (p->upload.len > 0 || p->upload_zeros > 0)) {
        struct slice piece = p->upload;
        if (piece.len == 0) {
            piece = slice_of(zeros, p->upload_zeros < sizeof(zeros) ? (size_t)p->upload_zeros
                                                                    : sizeof(zeros));
        }
        n = link_stream_write(p->cmd, piece);
        if (p->upload.len > 0) {
            p->upload = slice_sub(p->upload, n, p->upload.len);
        } else {
            p->upload_zeros -= n;
        }
    }
}

static inline void probe_want_data(void *arg, struct upcmd *cmd)
{
    struct probe *p = arg;
    assert_ptr_equal(cmd, p->cmd);
    if (p->wanted_n++ == 0) {
        buf_printf(&p->s->log, "%d wants;", probe_number(p));
    }
    probe_push(p);
}

static inline void probe_done(void *arg, enum status st, const struct response *tagged,
                              bool was_sent)
{
    struct probe *p = arg;
    p->done_n++;
    p->st = st;
    p->was_sent = was_sent;
    p->cmd = NULL;
    assert_true((tagged != NULL) == (st == OK || st == DENIED || (st == PROTOCOL && tagged)));
    buf_printf(&p->s->log, "%d:%s%s;", probe_number(p), status_name(st), was_sent ? "" : ":unsent");
}

static const struct upcmd_ops probe_ops = {
    .untagged = probe_untagged,
    .literal = probe_literal,
    .literal_data = probe_literal_data,
    .literal_end = probe_literal_end,
    .want_data = probe_want_data,
    .done = probe_done,
};

static inline void probe_send(struct scripted *s, int n, const char *text, unsigned flags)
{
    struct outcmd cmd;
    struct probe *p = &s->probe[n];
    outcmd_init(&cmd);
    outcmd_str(&cmd, text);
    int done_n = p->done_n;
    p->s = s;
    p->cmd = link_send(s->link, &cmd, flags, 0, &probe_ops, p);
    assert_int_equal(p->done_n, done_n); /* never inside the call */
    outcmd_fini(&cmd);
}

/* text and a literal behind it. */
static inline void probe_send_literal(struct scripted *s, int n, const char *text,
                                      struct slice literal, unsigned flags)
{
    struct outcmd cmd;
    struct probe *p = &s->probe[n];
    outcmd_init(&cmd);
    outcmd_str(&cmd, text);
    outcmd_literal(&cmd, literal, false);
    p->s = s;
    p->cmd = link_send(s->link, &cmd, flags, 0, &probe_ops, p);
    outcmd_fini(&cmd);
}

static inline void probe_upload(struct scripted *s, int n, const char *text, struct slice upload,
                                uint64_t zeros)
{
    struct outcmd cmd;
    struct probe *p = &s->probe[n];
    outcmd_init(&cmd);
    outcmd_str(&cmd, text);
    p->s = s;
    p->upload = upload;
    p->upload_zeros = zeros;
    p->cmd = link_send(s->link, &cmd, UPCMD_STREAM, upload.len + zeros, &probe_ops, p);
    outcmd_fini(&cmd);
}

/* --- running -----------------------------------------------------------------------------------
 */

static inline void scripted_init(struct scripted *s)
{
    struct fail fail = {0};
    memset(s, 0, sizeof(*s));
    s->loop = evloop_create();
    assert_int_equal(resolver_create(s->loop, &s->resolver, &fail), OK);
    settings_default_upstream(&s->upstream);
    s->upstream.name = "test";
    s->upstream.host = "127.0.0.1";
    s->upstream.security = UPSTREAM_STARTTLS;
    s->login.authcid = SLICE("joe");
    s->login.password = SLICE("pw");
    s->cut_at = SIZE_MAX;
    s->patience = timer_create_on(s->loop, scripted_on_patience, s);
    s->quiet = timer_create_on(s->loop, scripted_on_quiet, s);
    task_init(&s->play, scripted_play, s);
    for (size_t i = 0; i < SCRIPT_COMMANDS_MAX; i++) {
        buf_init(&s->probe[i].literal, 0);
        s->probe[i].s = s;
    }
    buf_init(&s->log, 0);
    buf_init(&s->got, 0);
}

static inline void scripted_begin(struct scripted *s, const struct step *steps)
{
    struct netaddr any;
    struct fail fail = {0};
    s->steps = steps;
    assert_true(netaddr_parse("127.0.0.1:0", &any));
    assert_int_equal(listener_create(s->loop, &any, scripted_on_accept, s, &s->listener, &fail),
                     OK);
    s->upstream.port = netaddr_port(listener_addr(s->listener));
    struct link_env env = {.loop = s->loop,
                           .resolver = s->resolver,
                           .tls = s->tls_client,
                           .upstream = &s->upstream,
                           .stats = &s->stats,
                           .awaits_enable = s->awaits_enable};
    s->link = link_create(&env, s->is_probe ? NULL : &s->login, &owner_ops, s);
}

static inline void scripted_run(struct scripted *s, const struct step *steps)
{
    scripted_begin(s, steps);
    timer_set_ms(s->patience, SCRIPT_PATIENCE_MS);
    evloop_run(s->loop);
    assert_false(s->is_failed);
}

static inline const char *scripted_log(struct scripted *s)
{
    buf_add_char(&s->log, '\0');
    s->log.len--;
    return s->log.data;
}

static inline void scripted_fini(struct scripted *s)
{
    link_close(&s->link, false);
    if (s->server != NULL) {
        conn_close(&s->server, CONN_CLOSE_ABORT);
    }
    listener_destroy(&s->listener);
    timer_destroy(&s->patience);
    timer_destroy(&s->quiet);
    resolver_destroy(&s->resolver);
    evloop_destroy(&s->loop);
    for (size_t i = 0; i < SCRIPT_COMMANDS_MAX; i++) {
        buf_fini(&s->probe[i].literal);
    }
    buf_fini(&s->log);
    buf_fini(&s->got);
}

#endif
