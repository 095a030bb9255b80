/* Life of a session: states, the queue of commands, output, the end.
 *
 *   GREETING ─> NOT_AUTHENTICATED ─> AUTHENTICATED <─> SELECTED
 *                   │      ^              (from anywhere)  ─> CLOSING
 *                   v      │
 *                  STARTTLS
 * Commands run strictly one after the other, in the order they came; FETCHes and writes queued behind
 * such are planned ahead, so that a client that pipelines them waits for one flight, not for each. */
#include "session_p.h"

#include <stdarg.h>
#include <stdio.h>
#include <utlist.h>

#include "account/lists.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "early_p.h"
#include "fetch_p.h"
#include "imap/capability.h"

/* --- states ----------------------------------------------------------------------------------- */

struct state_row {
    const char *name;
    unsigned successors; /* bits of enum session_state */
};

#define TO(state) (1u << SESSION_##state)
static const struct state_row states[SESSION_STATE_N] = {
    [SESSION_GREETING] = {"greeting", TO(NOT_AUTHENTICATED) | TO(CLOSING)},
    [SESSION_NOT_AUTHENTICATED] = {"not authenticated",
                                   TO(STARTTLS) | TO(AUTHENTICATED) | TO(CLOSING)},
    [SESSION_STARTTLS] = {"starttls", TO(NOT_AUTHENTICATED) | TO(CLOSING)},
    [SESSION_AUTHENTICATED] = {"authenticated", TO(SELECTED) | TO(CLOSING)},
    [SESSION_SELECTED] = {"selected", TO(AUTHENTICATED) | TO(CLOSING)},
    [SESSION_CLOSING] = {"closing", 0},
};
#undef TO

void session__goto(struct session *session, enum session_state next, const char *why)
{
    CHECK((states[session->state].successors & 1u << next) != 0);
    LOG(LOG_DEBUG, "session", "msg=\"%s -> %s\" peer=%s why=\"%s\"", states[session->state].name,
        states[next].name, session->conn != NULL ? conn_peer_name(session->conn) : "-", why);
    session->state = next;
}

/* --- output ----------------------------------------------------------------------------------- */

void session_write(struct session *session, struct slice bytes)
{
    if (session->conn != NULL) {
        conn_write(session->conn, bytes);
    }
}

void session_printf(struct session *session, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    CHECK(n >= 0 && (size_t)n < sizeof(text));
    session_write(session, slice_of(text, (size_t)n));
}

bool session_has_room(struct session *session)
{
    return session->conn == NULL || conn_has_room(session->conn);
}

bool session_is_tls(const struct session *session)
{
    return session->conn != NULL && conn_is_tls(session->conn);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void free_job(struct session *session, struct job *job)
{
    const struct command_info *info = job->parsed.info;
    bool is_login = info != NULL && (info->id == CMD_LOGIN || info->id == CMD_AUTHENTICATE);
    if (is_login || session->account == NULL) { /* or what was meant to be one */
        arena_wipe(&job->arena);
    }
    alloc_free(job->work);
    arena_reset(&job->arena);
    alloc_free(job);
}

static void leave_queue(struct session *session, struct job *job)
{
    DL_DELETE(session->jobs, job);
    if (session->leaving_job == job) {
        session->leaving_job = NULL; /* another may get its place in memory */
    }
    session->jobs_n--;
    session->jobs_bytes -= job->queued_bytes;
    free_job(session, job);
}

static void cancel_jobs(struct session *session)
{
    struct job *job, *next;
    session->input_job = NULL;
    session->append_job = NULL;
    DL_FOREACH_SAFE(session->jobs, job, next) {
        if (job->work != NULL && job->verb != NULL && job->verb->cancel != NULL) {
            job->verb->cancel(session, job);
        }
        leave_queue(session, job);
    }
}

void session__unselect(struct session *session)
{
    fetch__forget_next(session);
    if (session->view != NULL) {
        view_close(&session->view);
    }
    if (session->feed != NULL) {
        lists_changed(session->account, LISTS_STATUS); /* it may have been told, or have read, more */
        feed_detach(&session->feed_user);
        session->feed = NULL;
    }
    session->is_read_only = false;
    session->told_modseq = false;
    ranges_fini(&session->saved);
    if (session->state == SESSION_SELECTED) {
        session__goto(session, SESSION_AUTHENTICATED, "unselected");
    }
}

static void free_session(void *ptr)
{
    struct session *session = ptr;
    settings_release(&session->settings);
    reader_fini(&session->reader);
    buf_fini(&session->scratch);
    alloc_free(session);
}

static void closed_later(void *arg)
{
    struct session *session = arg;
    stats_add(session->env->stats, STAT_sessions_closed, 1);
    session->ops->closed(session->root, session);
    evloop_reap(session->env->loop, session, free_session);
}

static void end(struct session *session, enum conn_close how, const char *why)
{
    if (session->state == SESSION_CLOSING) {
        return;
    }
    cancel_jobs(session);
    session__unselect(session);
    session__goto(session, SESSION_CLOSING, why);
    account_detach(&session->account_user);
    session->account = NULL;
    timeout_stop(&session->timeout);
    timeout_stop(&session->still_here);
    timeout_stop(&session->leaving);
    evloop_cancel(session->env->loop, &session->run_task);
    conn_close(&session->conn, how);
    evloop_defer(session->env->loop, &session->closed_task, EVLOOP_SOON);
}

/* Is a line of the running command begun and not ended?  Then a BYE would be taken for octets of
 * the literal in it, which it might even fill. */
static bool is_in_line(const struct session *session)
{
    const struct job *job = session->jobs;
    return job != NULL && job->work != NULL && job->verb != NULL && job->verb->is_in_line != NULL &&
           job->verb->is_in_line(job);
}

void session_bye(struct session *session, const char *text)
{
    if (is_in_line(session)) {
        end(session, CONN_CLOSE_ABORT, text);
    } else if (session->state != SESSION_CLOSING) {
        session_printf(session, "* BYE %s\r\n", text);
        end(session, CONN_CLOSE_FLUSH, text);
    }
}

void session__hang_up(struct session *session)
{
    end(session, CONN_CLOSE_FLUSH, "the client has closed");
}

void session_abort(struct session *session)
{
    end(session, CONN_CLOSE_ABORT, "aborted");
}

/* --- jobs ------------------------------------------------------------------------------------- */

/* A STORE was sent ahead behind it: what is told now of flags that this may be changing would have to
 * be told again. */
static bool is_before_write(const struct job *job)
{
    return job->next != NULL && job->next->is_planned && job->next->verb == &verb_store;
}

static bool tells_updates(const struct session *session, const struct job *job)
{
    const struct command_info *info = job->parsed.info;
    return session->view != NULL && info != NULL && info->id != CMD_CLOSE &&
           info->id != CMD_SELECT && info->id != CMD_EXAMINE && info->id != CMD_UNSELECT &&
           !is_before_write(job);
}

/* RFC 5182 2.1: after a NO to a SEARCH (or SORT) whose result was to be saved "$" is the empty set, or
 * what is behind it in a pipeline would be done to the messages of another.  Of one that was too long
 * to be read it is not known what it was to do. */
static void empty_saved(struct session *session, const struct job *job, struct slice text)
{
    const struct command *parsed = &job->parsed;
    bool is_search = parsed->info != NULL &&
                     (parsed->info->id == CMD_SEARCH || parsed->info->id == CMD_SORT);
    if (is_search && text.len > 0 && text.data[0] == 'N' &&
        (job->parse_status != OK || (parsed->args.search.returns & SEARCH_RETURN_SAVE) != 0)) {
        ranges_reset(&session->saved);
    }
}

void job_finish(struct session *session, struct job *job, struct slice text)
{
    empty_saved(session, job, text);
    if (tells_updates(session, job)) {
        update_tell(session, (job->parsed.info->flags & COMMAND_BREAKS_SEQ) != 0,
                    command_is_uid(&job->parsed));
    }
    struct buf *out = &session->scratch;
    buf_reset(out);
    buf_add(out, job->parsed.tag.len > 0 ? job->parsed.tag : SLICE("*"));
    buf_add_char(out, ' ');
    buf_add(out, text);
    buf_add_str(out, "\r\n");
    session_write(session, buf_slice(out));
}

void job_finish_str(struct session *session, struct job *job, const char *text)
{
    job_finish(session, job, slice_str(text));
}

/* What names messages goes by UID: a refusal may say so. */
void job_finish_quoting(struct session *session, struct job *job, struct slice text)
{
    const struct command_info *info = job->parsed.info;
    if (slice_starts_nocase(text, SLICE("OK")) || (info->states & COMMAND_STATE_AUTHENTICATED) != 0) {
        job_finish(session, job, text);
        return;
    }
    char name[32];
    struct buf named;
    buf_init(&named, 0);
    (void)snprintf(name, sizeof(name), "%s%s", command_is_uid(&job->parsed) ? "UID " : "", info->name);
    emit_renamed(&named, text, slice_str(name));
    job_finish(session, job, buf_slice(&named));
    buf_fini(&named);
}

void job_finish_status(struct session *session, struct job *job, enum status st)
{
    if (st == LIMIT) {
        stats_add(session->env->stats, STAT_limits_commands, 1);
    }
    job_finish_str(session, job, status_client_text(st));
}

void job_finish_relayed(struct session *session, struct job *job, enum status st,
                        const struct response *tagged)
{
    if (tagged == NULL) {
        job_finish_status(session, job, st);
        return;
    }
    struct buf text;
    buf_init(&text, 64 * 1024);
    emit_relayed(&text, tagged);
    if (buf_ok(&text)) {
        job_finish_quoting(session, job, buf_slice(&text));
    } else {
        job_finish_status(session, job, st);
    }
    buf_fini(&text);
}

static unsigned state_bit(const struct session *session)
{
    switch (session->state) {
    case SESSION_NOT_AUTHENTICATED:
        return COMMAND_STATE_NOT_AUTHENTICATED;
    case SESSION_AUTHENTICATED:
        return COMMAND_STATE_AUTHENTICATED;
    case SESSION_SELECTED:
        return COMMAND_STATE_SELECTED;
    case SESSION_GREETING:
    case SESSION_STARTTLS:
    case SESSION_CLOSING:
    case SESSION_STATE_N:
        break;
    }
    return 0;
}

/* What stands against running it, as a tagged reply; NULL: nothing. */
static const char *objection(const struct session *session, const struct job *job)
{
    const struct command *parsed = &job->parsed;
    if (job->parse_status == NOT_FOUND) {
        return "BAD Unknown command";
    }
    if (job->parse_status == LIMIT) {
        stats_add(session->env->stats, STAT_limits_commands, 1);
        return "NO [LIMIT] Command too long";
    }
    if (job->parse_status != OK || parsed->info == NULL) {
        return "BAD Syntax error";
    }
    if ((parsed->info->states & state_bit(session)) == 0) {
        return session->state == SESSION_NOT_AUTHENTICATED ? "BAD Log in first"
               : session->state == SESSION_AUTHENTICATED   ? "BAD No mailbox selected"
                                                           : "BAD Command not allowed now";
    }
    if ((parsed->info->flags & COMMAND_NEEDS_RW) != 0 && session->is_read_only) {
        return "NO [READ-ONLY] Mailbox is read-only";
    }
    return job->verb == NULL ? "BAD Unknown command" : NULL;
}

static void refuse(struct session *session, struct job *job, const char *text)
{
    struct buf line;
    buf_init(&line, 0);
    buf_add_str(&line, text);
    if (text[0] == 'B' && job->parsed.problem != NULL) {
        buf_printf(&line, ": %s", job->parsed.problem);
    }
    struct command_info none = {0};
    const struct command_info *info = job->parsed.info;
    job->parsed.info = info != NULL ? info : &none;
    job_finish(session, job, buf_slice(&line));
    job->parsed.info = info;
    buf_fini(&line);
    if (text[0] == 'B' && ++session->bad_n >= session->settings->limits.bad_commands) {
        session_bye(session, "[UNAVAILABLE] Too many bad commands");
    }
}

static enum step run_job(struct session *session, struct job *job)
{
    if (!job->is_started) {
        const char *no = objection(session, job);
        if (no != NULL) {
            refuse(session, job, no);
            return session->state == SESSION_CLOSING ? STEP_CLOSE : STEP_DONE;
        }
        if (early__must_wait(session, job)) {
            return STEP_WAIT;
        }
        if (early__lacks(session, job)) {
            job_finish_status(session, job, NETWORK); /* design section 11 */
            return STEP_DONE;
        }
        job->is_started = true;
        session->bad_n = 0;
        if (job->work == NULL && job->verb->work_size > 0) {
            job->work = alloc_zero(job->verb->work_size);
        }
    }
    return job->verb->run(session, job);
}

static bool may_plan(const struct job *job)
{
    return job->verb != NULL && job->verb->plan_ahead != NULL && job->parse_status == OK;
}

/* What stands behind the head, up to the first that has to wait for what is before it. */
static void plan_ahead(struct session *session)
{
    struct job *job;
    DL_FOREACH(session->jobs, job) {
        if (!may_plan(job) || objection(session, job) != NULL || early__lacks(session, job)) {
            return;
        }
        if (!job->is_started && !job->is_planned && job != session->jobs) {
            if (job->work == NULL) {
                job->work = alloc_zero(job->verb->work_size);
            }
            if (!job->verb->plan_ahead(session, job)) {
                return;
            }
            job->is_planned = true;
        }
    }
}

/* True: the head is done and the next may run. */
static bool run_head(struct session *session)
{
    struct job *job = session->jobs;
    switch (run_job(session, job)) {
    case STEP_DONE:
        if (session->input_job == job) {
            session->input_job = NULL;
        }
        if (session->append_job == job) {
            input__drop_append(session);
        }
        if (input__blocks(job)) {
            session->blocks_input = false;
        }
        leave_queue(session, job);
        return session->state != SESSION_CLOSING && session->state != SESSION_STARTTLS;
    case STEP_AGAIN:
        evloop_defer(session->env->loop, &session->run_task, EVLOOP_NEXT_TURN);
        return false;
    case STEP_WAIT:
    case STEP_CLOSE:
        return false;
    }
    return false;
}

static void run(void *arg)
{
    struct session *session = arg;
    enum { JOBS_PER_TURN = 128 };
    input__read(session);
    for (int n = 0; session->state != SESSION_CLOSING && session->jobs != NULL; n++) {
        if (n == JOBS_PER_TURN) {
            evloop_defer(session->env->loop, &session->run_task, EVLOOP_NEXT_TURN);
            return;
        }
        if (!session_has_room(session) || !run_head(session)) {
            plan_ahead(session);
            break;
        }
        input__read(session); /* there is room in the queue again */
    }
    if (session->state != SESSION_CLOSING) {
        input__read(session);
    }
}

void session_wake(struct session *session)
{
    if (session->state != SESSION_CLOSING) {
        evloop_defer(session->env->loop, &session->run_task, EVLOOP_SOON);
    }
}

/* --- the mailbox ------------------------------------------------------------------------------ */

bool session_has_modseq(const struct session *session)
{
    return session->feed != NULL && feed_has_modseq(session->feed);
}

void session_enable_condstore(struct session *session)
{
    session->enabled |= ENABLED_CONDSTORE;
    if (session->view == NULL) {
        return;
    }
    view_set_option(session->view, VIEW_WANTS_MODSEQ);
    if (!session->told_modseq && session_has_modseq(session)) {
        session->told_modseq = true;
        session_printf(session, "* OK [HIGHESTMODSEQ %llu] Highest\r\n",
                       (unsigned long long)view_modseq(session->view));
    }
}

static struct session *of_feed_user(struct feed_user *user)
{
    return (struct session *)((char *)user - offsetof(struct session, feed_user));
}

static void on_changed(struct feed_user *user)
{
    struct session *session = of_feed_user(user);
    if (session->is_idling && session->view != NULL && session_has_room(session)) {
        update_tell(session, true, false);
    }
}

/* Numbers, or flags, are known now. */
static void on_progress(struct feed_user *user)
{
    struct session *session = of_feed_user(user);
    early__progress(session);
    if (session->state != SESSION_CLOSING) {
        on_changed(user);
    }
}

static void on_gone(struct feed_user *user, const char *text)
{
    session_bye(of_feed_user(user), text);
}

static bool on_holds_dead(struct feed_user *user)
{
    struct session *session = of_feed_user(user);
    return session->view == NULL || view_has_pending(session->view, true);
}

static void on_revoked(struct account_user *user, const char *text)
{
    session_bye((struct session *)((char *)user - offsetof(struct session, account_user)), text);
}

/* --- connection events ------------------------------------------------------------------------ */

enum { LEAVING_MS = 500 };

static void greet(struct session *session)
{
    struct buf *out = &session->scratch;
    session__goto(session, SESSION_NOT_AUTHENTICATED, "greeted");
    buf_reset(out);
    buf_add_str(out, "* OK [CAPABILITY ");
    auth_offer_before_login(session, out);
    buf_add_str(out, "] imapcached ready.\r\n");
    session_write(session, buf_slice(out));
    timeout_start(session->env->loop, &session->timeout,
                  session->settings->limits.login_timeout_ms);
}

static void tls_ready(struct session *session)
{
    if (session->state == SESSION_STARTTLS) {
        session__goto(session, SESSION_NOT_AUTHENTICATED, "TLS");
        session_wake(session);
    } else {
        greet(session);
    }
}

static void touch(struct session *session)
{
    if (session->account != NULL) {
        timeout_start(session->env->loop, &session->timeout,
                      session->settings->limits.idle_timeout_ms);
    }
}

static void on_conn(void *arg, struct conn *conn, enum conn_event event)
{
    struct session *session = arg;
    switch (event) {
    case CONN_EV_OPEN:
        if (session->state == SESSION_GREETING && !session->is_tls_listener) {
            greet(session);
        }
        break;
    case CONN_EV_TLS_READY:
        LOG(LOG_DEBUG, "session", "msg=TLS peer=%s", conn_peer_name(conn));
        tls_ready(session);
        break;
    case CONN_EV_DATA:
        touch(session);
        session_wake(session);
        break;
    case CONN_EV_DRAINED:
        touch(session);
        if (session->is_idling) {
            on_changed(&session->feed_user);
        }
        session_wake(session);
        break;
    case CONN_EV_EOF:
        session->is_ended = true;
        timeout_start(session->env->loop, &session->leaving, LEAVING_MS);
        session_wake(session);
        break;
    case CONN_EV_TIMEOUT:
        break;
    case CONN_EV_FAILED:
        LOG(LOG_DEBUG, "session", "msg=\"connection failed\" peer=%s detail=%s",
            conn_peer_name(conn), LOG_Q(slice_str(conn_fail(conn)->text)));
        session_abort(session);
        break;
    }
}

static void on_timeout(void *arg)
{
    struct session *session = arg;
    session_bye(session, session->account != NULL ? "[UNAVAILABLE] Silent for too long"
                                                  : "[UNAVAILABLE] Login took too long");
}

static bool is_for_client(const struct job *job)
{
    return job != NULL && job->verb != NULL && job->verb->is_for_client;
}

/* Without it nothing is lost but its answer. */
static bool may_be_dropped(const struct job *job)
{
    const struct command_info *info = job->parsed.info;
    bool is_refused = job->verb == NULL || job->parse_status != OK;
    return is_refused || is_for_client(job) || info->id == CMD_NOOP || info->id == CMD_LOGOUT;
}

/* A client may send all that it wants and end its side: what it wants done is done. */
static bool only_answers_are_left(const struct session *session)
{
    const struct job *job;
    DL_FOREACH(session->jobs, job) {
        if (!may_be_dropped(job)) {
            return false;
        }
    }
    return conn_input_bytes(session->conn) == 0;
}

/* What is only for its client, and may cost the upstream much, is not gone on with when that has ended its
 * side; but for a moment, since scripts do so and read on.  (Dovecot, too, gives up a SEARCH when it
 * sees so between two slices of it.) */
static void on_leaving(void *arg)
{
    struct session *session = arg;
    const struct job *job = session->jobs;
    bool may_leave = is_for_client(job) && job->is_started && only_answers_are_left(session);
    if (may_leave && job == session->leaving_job) {
        session__hang_up(session);
    } else {
        session->leaving_job = may_leave ? job : NULL;
        timeout_start(session->env->loop, &session->leaving, LEAVING_MS);
    }
}

static void on_still_here(void *arg)
{
    struct session *session = arg;
    uint32_t again_ms = early__still_here(session);
    if (again_ms > 0 && session_has_room(session)) {
        session_write(session, SLICE("* OK Still here\r\n"));
        timeout_start(session->env->loop, &session->still_here, again_ms);
    }
}

struct session *session_create(const struct session_env *env, int fd, const struct netaddr *peer,
                               const struct session_listener *listener,
                               const struct session_ops *ops, void *root)
{
    struct session *session = alloc_zero(sizeof(*session));
    const struct limit_settings *limits = &env->settings->limits;
    const struct reader_limits reader_limits = {
        .max_line_bytes = limits->line_bytes,
        .max_unit_bytes = limits->command_bytes,
        .max_literals = 512,
    };
    const struct conn_accept_opts opts = {
        .peer = peer, .tls = listener->settings->is_tls ? listener->tls : NULL};
    session->env = env;
    session->settings = settings_hold(env->settings);
    session->ops = ops;
    session->root = root;
    session->peer = *peer;
    session->is_tls_listener = listener->settings->is_tls;
    session->has_starttls = listener->settings->has_starttls && listener->tls != NULL;
    session->allow_cleartext = listener->settings->allow_cleartext;
    session->tls = listener->tls;
    session->feed_user = (struct feed_user){
        .changed = on_changed, .progress = on_progress, .gone = on_gone, .holds_dead = on_holds_dead};
    session->account_user = (struct account_user){.revoked = on_revoked};
    reader_init(&session->reader, READER_CLIENT, &reader_limits);
    buf_init(&session->scratch, 0);
    task_init(&session->run_task, run, session);
    task_init(&session->closed_task, closed_later, session);
    timeout_init(&session->timeout, on_timeout, session);
    timeout_init(&session->still_here, on_still_here, session);
    timeout_init(&session->leaving, on_leaving, session);
    timeout_start(env->loop, &session->timeout, limits->login_timeout_ms);
    session->conn = conn_accept(env->loop, fd, &opts, on_conn, session);
    conn_set_secret(session->conn, true); /* until the login */
    stats_add(env->stats, STAT_sessions_opened, 1);
    return session;
}

struct session_link *session_list_link(struct session *session)
{
    return &session->link;
}

const struct netaddr *session_peer(const struct session *session)
{
    return &session->peer;
}
