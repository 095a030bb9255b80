/* LOGIN and AUTHENTICATE PLAIN.  The secret is looked at here, given to account_login(), and wiped;
 * whether it is right only the upstream says. */
#include "base/log.h"
#include "net/secret.h"
#include "session_p.h"

enum { PLAIN_MAX = 8 * 1024 };

struct auth_work {
    struct session *session;
    struct job *job;
    struct login_request *request;
    bool is_done;
    bool has_answer; /* AUTHENTICATE: the client's line has come */
    bool is_canceled;
    enum status status;
    struct account *account;
    struct buf text;   /* the upstream's refusal */
    struct buf answer; /* base64 as the client sent it */
};

static const char *const cleartext_refused =
    "NO [PRIVACYREQUIRED] Cleartext authentication disallowed on non-secure connections.";

static void login_done(void *arg, enum status st, struct account *account, struct slice text)
{
    struct auth_work *work = arg;
    work->request = NULL;
    work->is_done = true;
    work->status = st;
    buf_add(&work->text, text);
    if (st == OK) {
        work->session->account = account;
        account_attach(account, &work->session->account_user);
    }
    session_wake(work->session);
}

static bool has_nul(struct slice text)
{
    return slice_find(text, '\0') < text.len;
}

static void begin(struct session *session, struct job *job, const struct link_login *login)
{
    struct auth_work *work = job->work;
    buf_init(&work->text, 4096);
    if (login->authcid.len == 0 || has_nul(login->authcid) || has_nul(login->password) ||
        has_nul(login->authzid)) {
        work->is_done = true;
        work->status = AUTH;
        return;
    }
    work->request = account_login(session->env->accounts, login, login_done, work);
}

static void logged_in(struct session *session, struct job *job)
{
    struct buf text;
    buf_init(&text, 0);
    buf_add_str(&text, "OK [CAPABILITY ");
    capability_offer(account_capabilities(session->account), &text);
    buf_add_str(&text, "] Logged in");
    session__goto(session, SESSION_AUTHENTICATED, "login");
    timeout_start(session->env->loop, &session->timeout,
                  session->settings->limits.idle_timeout_ms);
    LOG(LOG_INFO, "session", "msg=login account=%s peer=%s tls=%d",
        account_name(session->account), conn_peer_name(session->conn), session_is_tls(session));
    job_finish(session, job, buf_slice(&text));
    buf_fini(&text);
}

static void finish(struct session *session, struct job *job)
{
    struct auth_work *work = job->work;
    if (work->status == OK) {
        logged_in(session, job);
    } else if (work->status == AUTH && work->text.len > 0) {
        job_finish(session, job, buf_slice(&work->text));
    } else if (work->status == NOT_FOUND) {
        job_finish_status(session, job, AUTH); /* no upstream for that domain */
    } else {
        job_finish_status(session, job, work->status);
    }
}

static void fini_work(struct auth_work *work)
{
    buf_fini(&work->text);
    if (work->answer.data != NULL) {
        secret_wipe(work->answer.data, work->answer.cap);
    }
    buf_fini(&work->answer);
}

static void cancel_auth(struct session *session, struct job *job)
{
    struct auth_work *work = job->work;
    (void)session;
    if (work->request != NULL) {
        account_login_cancel(&work->request);
    }
    fini_work(work);
}

static enum step run_login(struct session *session, struct job *job)
{
    struct auth_work *work = job->work;
    if (work->session == NULL) {
        if (!session_is_tls(session) && !session->allow_cleartext) {
            job_finish_str(session, job, cleartext_refused);
            return STEP_DONE;
        }
        const struct link_login login = {.authcid = job->parsed.args.login.user,
                                         .password = job->parsed.args.login.password};
        work->session = session;
        begin(session, job, &login);
    }
    if (!work->is_done) {
        return STEP_WAIT;
    }
    finish(session, job);
    fini_work(work);
    return STEP_DONE;
}

const struct verb verb_login = {
    .work_size = sizeof(struct auth_work), .run = run_login, .cancel = cancel_auth};

/* --- AUTHENTICATE PLAIN, RFC 4616 --------------------------------------------------------------- */

static bool split_plain(struct slice plain, struct link_login *out)
{
    size_t first = slice_find(plain, '\0');
    struct slice rest = slice_sub(plain, first + 1, plain.len);
    size_t second = slice_find(rest, '\0');
    if (first >= plain.len || second >= rest.len) {
        return false;
    }
    out->authzid = slice_sub(plain, 0, first);
    out->authcid = slice_sub(rest, 0, second);
    out->password = slice_sub(rest, second + 1, rest.len);
    if (slice_eq(out->authzid, out->authcid)) {
        out->authzid.len = 0; /* the same identity said twice is one account */
    }
    return true;
}

static void take_plain(struct session *session, struct job *job, struct slice base64)
{
    struct auth_work *work = job->work;
    struct link_login login = {0};
    struct buf plain;
    buf_init(&plain, PLAIN_MAX);
    if (secret_base64_decode(base64, &plain) && split_plain(buf_slice(&plain), &login)) {
        begin(session, job, &login);
    } else {
        work->is_done = true;
        work->status = SYNTAX;
    }
    if (plain.data != NULL) {
        secret_wipe(plain.data, plain.cap);
    }
    buf_fini(&plain);
}

static void on_answer(struct session *session, struct job *job, struct slice text)
{
    struct auth_work *work = job->work;
    work->has_answer = true;
    session->input_job = NULL;
    if (slice_eq(text, SLICE("*"))) {
        work->is_canceled = true;
    } else {
        buf_init(&work->answer, 2 * PLAIN_MAX);
        buf_add(&work->answer, text);
    }
    session_wake(session);
}

static const struct input_ops answer_ops = {.line = on_answer};

static enum step start_authenticate(struct session *session, struct job *job)
{
    struct auth_work *work = job->work;
    const struct args_authenticate *args = &job->parsed.args.authenticate;
    if (!slice_eq_nocase(args->mechanism, SLICE("PLAIN"))) {
        job_finish_str(session, job, "NO [CANNOT] Unsupported authentication mechanism.");
        return STEP_DONE;
    }
    if (!session_is_tls(session) && !session->allow_cleartext) {
        job_finish_str(session, job, cleartext_refused);
        return STEP_DONE;
    }
    work->session = session;
    if (args->has_initial) {
        work->has_answer = true;
        buf_init(&work->answer, 2 * PLAIN_MAX);
        buf_add(&work->answer, args->initial);
        return STEP_AGAIN;
    }
    session->input_job = job;
    session->input_ops = &answer_ops;
    session_write(session, SLICE("+ \r\n"));
    session_wake(session); /* the answer may be here already */
    return STEP_WAIT;
}

static enum step run_authenticate(struct session *session, struct job *job)
{
    struct auth_work *work = job->work;
    if (work->session == NULL) {
        return start_authenticate(session, job);
    }
    if (work->has_answer && work->request == NULL && !work->is_done && !work->is_canceled) {
        take_plain(session, job, buf_slice(&work->answer));
    }
    if (work->is_canceled) {
        job_finish_str(session, job, "BAD Authentication aborted by client.");
    } else if (!work->is_done) {
        return STEP_WAIT;
    } else {
        finish(session, job);
    }
    fini_work(work);
    return STEP_DONE;
}

const struct verb verb_authenticate = {
    .work_size = sizeof(struct auth_work), .run = run_authenticate, .cancel = cancel_auth};
