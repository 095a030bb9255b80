/* Commands that the proxy answers by itself. */
#include <utlist.h>

#include "base/log.h"
#include "session_p.h"

/* --- CAPABILITY ------------------------------------------------------------------------------- */

static enum step run_capability(struct session *session, struct job *job)
{
    struct buf *out = &session->scratch;
    buf_reset(out);
    buf_add_str(out, "* CAPABILITY ");
    if (session->account != NULL) {
        capability_offer(account_capabilities(session->account),
                         session->settings->limits.append_bytes, out);
    } else {
        auth_offer_before_login(session, out);
    }
    buf_add_str(out, "\r\n");
    session_write(session, buf_slice(out));
    job_finish_str(session, job, "OK Capability completed.");
    return STEP_DONE;
}

const struct verb verb_capability = {.run = run_capability};

/* --- NOOP, CHECK ------------------------------------------------------------------------------ */

struct noop_work {
    struct refresh_request *refresh;
    bool is_refreshed;
    struct session *session;
};

static void noop_refreshed(void *arg, enum status st)
{
    struct noop_work *work = arg;
    (void)st; /* the upstream being away is not the client's business here: nothing new is told */
    work->refresh = NULL;
    work->is_refreshed = true;
    session_wake(work->session);
}

static void cancel_noop(struct session *session, struct job *job)
{
    struct noop_work *work = job->work;
    (void)session;
    if (work->refresh != NULL) {
        feed_refresh_cancel(&work->refresh);
    }
}

static enum step run_noop(struct session *session, struct job *job)
{
    struct noop_work *work = job->work;
    if (session->view != NULL && !work->is_refreshed && !feed_is_fresh(session->feed)) {
        if (work->refresh == NULL) {
            work->session = session;
            work->refresh = feed_refresh(session->feed, false, noop_refreshed, work);
        }
        return STEP_WAIT;
    }
    cancel_noop(session, job); /* something else may have made the model fresh meanwhile */
    job_finish_str(session, job,
                   job->parsed.info->id == CMD_CHECK ? "OK Check completed."
                                                     : "OK NOOP completed.");
    return STEP_DONE;
}

const struct verb verb_noop = {
    .work_size = sizeof(struct noop_work), .run = run_noop, .cancel = cancel_noop};
const struct verb verb_check = {
    .work_size = sizeof(struct noop_work), .run = run_noop, .cancel = cancel_noop};

/* --- LOGOUT, ID, ENABLE ------------------------------------------------------------------------- */

static enum step run_logout(struct session *session, struct job *job)
{
    session_write(session, SLICE("* BYE Logging out\r\n"));
    job_finish_str(session, job, "OK Logout completed.");
    session__hang_up(session);
    return STEP_CLOSE;
}

const struct verb verb_logout = {.run = run_logout};

static enum step run_id(struct session *session, struct job *job)
{
    session_write(session, SLICE("* ID (\"name\" \"imapcached\")\r\n"));
    job_finish_str(session, job, "OK ID completed.");
    return STEP_DONE;
}

const struct verb verb_id = {.run = run_id};

static enum step run_enable(struct session *session, struct job *job)
{
    const struct args_words *words = &job->parsed.args.words;
    const struct capabilities *caps = account_capabilities(session->account);
    struct buf answer;
    buf_init(&answer, 0);
    buf_add_str(&answer, "* ENABLED");
    for (size_t i = 0; i < words->n; i++) {
        bool is_qresync = slice_eq_nocase(words->at[i], SLICE("QRESYNC")) &&
                          capability_is_offered(caps, CAP_QRESYNC);
        bool is_condstore = slice_eq_nocase(words->at[i], SLICE("CONDSTORE")) &&
                            capability_is_offered(caps, CAP_CONDSTORE);
        if (is_qresync || is_condstore) {
            buf_add_str(&answer, is_qresync ? " QRESYNC" : " CONDSTORE");
            session->enabled |= is_qresync ? ENABLED_QRESYNC : 0;
            session_enable_condstore(session);
        }
    }
    buf_add_str(&answer, "\r\n");
    session_write(session, buf_slice(&answer));
    buf_fini(&answer);
    job_finish_str(session, job, "OK Enabled.");
    return STEP_DONE;
}

const struct verb verb_enable = {.run = run_enable};

/* --- STARTTLS, COMPRESS ------------------------------------------------------------------------- */

/* Commands that came in clear behind STARTTLS are forgotten unread (protocol T41). */
static enum step run_starttls(struct session *session, struct job *job)
{
    if (!session->has_starttls || session_is_tls(session)) {
        job_finish_str(session, job, "BAD STARTTLS not available");
        return STEP_DONE;
    }
    if (conn_input_bytes(session->conn) > 0) {
        LOG(LOG_WARN, "session", "msg=\"plaintext behind STARTTLS\" peer=%s",
            conn_peer_name(session->conn));
        session_abort(session);
        return STEP_CLOSE;
    }
    job_finish_str(session, job, "OK Begin TLS negotiation now.");
    session__goto(session, SESSION_STARTTLS, "STARTTLS");
    if (conn_start_tls_server(session->conn, session->tls) != OK) {
        session_abort(session);
        return STEP_CLOSE;
    }
    return STEP_DONE;
}

const struct verb verb_starttls = {.run = run_starttls};

static enum step run_refused(struct session *session, struct job *job)
{
    job_finish_str(session, job, "NO [CANNOT] Not offered here");
    return STEP_DONE;
}

const struct verb verb_refused = {.run = run_refused};
