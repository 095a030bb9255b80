/* LOGIN and AUTHENTICATE.  The secret is looked at here, given to account_login(), and wiped;
 * whether it is right only the upstream says.
 *
 *   LOGIN ────────────────────────────────────────────────┐
 *   AUTHENTICATE PLAIN, XOAUTH2, OAUTHBEARER [ir] ─ line ─┼─> account_login() ──> OK, NO
 *   AUTHENTICATE LOGIN [name] ─ name ─ password ──────────┘        │ a token, and the upstream said
 *                                                                  v why first: "+ error", line, NO
 * RFC 3501 6.2, 4616, 4959, 7628; protocol T40. */
#include "base/log.h"
#include "imap/sasl.h"
#include "session_p.h"

enum { LINE_MAX_BYTES = SASL_MESSAGE_MAX / 3 * 4 + 4 };

enum auth_stage {
    AUTH_BEGIN,
    AUTH_WAITS_MESSAGE, /* or the name, for the mechanism LOGIN */
    AUTH_WAITS_PASSWORD,
    AUTH_WAITS_LOGIN,  /* account_login() */
    AUTH_WAITS_ACCEPT, /* the error has been told, an answer has to come */
    AUTH_DONE,
    AUTH_CANCELED,
};

struct auth_work {
    struct session *session;
    struct job *job;
    struct login_request *request;
    enum auth_stage stage;
    enum sasl_mech mech;
    bool has_line;
    enum status status;
    struct buf text;      /* the upstream's refusal */
    struct buf challenge; /* what it said first */
    struct buf line;      /* the client's last, base64 */
    struct buf name;      /* LOGIN: the first answer, decoded */
};

static const char *const cleartext_refused =
    "NO [PRIVACYREQUIRED] Cleartext authentication disallowed on non-secure connections.";

void auth_offer_before_login(struct session *session, struct buf *out)
{
    const struct login_offers offers = accounts_offers(session->env->accounts);
    const struct capability_listener listener = {
        .can_starttls = session->has_starttls && !session_is_tls(session),
        .can_login = session_is_tls(session) || session->allow_cleartext,
        .has_login_mechanism = offers.has_login_mechanism,
        .has_xoauth2 = offers.has_xoauth2,
        .has_oauthbearer = offers.has_oauthbearer,
        .is_token_only = !offers.has_password,
    };
    capability_offer_before_login(&listener, out);
}

/* --- common to all ---------------------------------------------------------------------------- */

static void init_work(struct session *session, struct job *job)
{
    struct auth_work *work = job->work;
    work->session = session;
    work->job = job;
    buf_init(&work->text, 4096);
    buf_init(&work->challenge, 8192);
    buf_init_secret(&work->line, LINE_MAX_BYTES);
    buf_init_secret(&work->name, SASL_MESSAGE_MAX);
}

static void fini_work(struct auth_work *work)
{
    if (work->session == NULL) {
        return;
    }
    buf_fini(&work->text);
    buf_fini(&work->challenge);
    buf_fini(&work->line);
    buf_fini(&work->name);
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

static void end_with(struct auth_work *work, enum status st)
{
    work->stage = AUTH_DONE;
    work->status = st;
}

static void login_done(void *arg, const struct login_answer *answer)
{
    struct auth_work *work = arg;
    work->request = NULL;
    end_with(work, answer->status);
    buf_add(&work->text, answer->text);
    buf_add(&work->challenge, answer->challenge);
    if (answer->status == OK) {
        work->session->account = answer->account;
        account_attach(answer->account, answer->proof, &work->session->account_user);
    }
    session_wake(work->session);
}

static void begin(struct auth_work *work, const struct sasl_login *said)
{
    struct session *session = work->session;
    const struct link_login login = {.authzid = said->authzid,
                                     .authcid = said->authcid,
                                     .password = said->secret,
                                     .mech = sasl_is_token(work->mech) ? work->mech : SASL_PLAIN};
    enum status st = sasl_check(said);
    if (st != OK) { /* an upstream would not take it either */
        end_with(work, AUTH);
        return;
    }
    work->stage = AUTH_WAITS_LOGIN;
    work->request = account_login(session->env->accounts, &login, &session->peer, login_done, work);
}

static void logged_in(struct session *session, struct job *job)
{
    struct buf text;
    buf_init(&text, 0);
    buf_add_str(&text, "OK [CAPABILITY ");
    capability_offer(account_capabilities(session->account),
                     session->settings->limits.append_bytes, &text);
    buf_add_str(&text, "] Logged in");
    session__goto(session, SESSION_AUTHENTICATED, "login");
    conn_set_secret(session->conn, false);
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
    if (work->stage == AUTH_CANCELED) {
        job_finish_str(session, job, "BAD Authentication aborted by client.");
    } else if (work->status == OK) {
        logged_in(session, job);
    } else if (work->status == AUTH && work->text.len > 0) {
        job_finish(session, job, buf_slice(&work->text));
    } else if (work->status == NOT_FOUND) {
        job_finish_status(session, job, AUTH); /* no upstream for that domain */
    } else if (work->status == LIMIT) {
        job_finish_str(session, job, "NO [UNAVAILABLE] Too many failed logins, try again later");
    } else if (work->status == DENIED) {
        job_finish_str(session, job, "NO [CANNOT] The mail server takes no such login");
    } else {
        job_finish_status(session, job, work->status);
    }
    fini_work(work);
}

static bool may_log_in(struct session *session, struct job *job)
{
    if (!session_is_tls(session) && !session->allow_cleartext) {
        job_finish_str(session, job, cleartext_refused);
        return false;
    }
    return true;
}

/* --- LOGIN ------------------------------------------------------------------------------------ */

static enum step run_login(struct session *session, struct job *job)
{
    struct auth_work *work = job->work;
    if (work->stage == AUTH_BEGIN) {
        if (!may_log_in(session, job)) {
            return STEP_DONE;
        }
        const struct sasl_login login = {.authcid = job->parsed.args.login.user,
                                         .secret = job->parsed.args.login.password};
        init_work(session, job);
        begin(work, &login);
    }
    if (work->stage != AUTH_DONE) {
        return STEP_WAIT;
    }
    finish(session, job);
    return STEP_DONE;
}

const struct verb verb_login = {
    .work_size = sizeof(struct auth_work), .run = run_login, .cancel = cancel_auth};

/* --- AUTHENTICATE ----------------------------------------------------------------------------- */

static void take_line(struct auth_work *work, struct slice text)
{
    work->has_line = true;
    buf_reset(&work->line);
    buf_add(&work->line, text);
}

static void on_line(struct session *session, struct job *job, struct slice text)
{
    struct auth_work *work = job->work;
    session->input_job = NULL;
    if (slice_eq(text, SLICE("*"))) {
        work->stage = AUTH_CANCELED;
    } else {
        take_line(work, text);
    }
    session_wake(session);
}

static const struct input_ops line_ops = {.line = on_line};

/* "+ base64", and wait for a line. */
static void ask(struct auth_work *work, struct slice base64)
{
    struct session *session = work->session;
    work->has_line = false;
    session->input_job = work->job;
    session->input_ops = &line_ops;
    session_write(session, SLICE("+ "));
    session_write(session, base64);
    session_write(session, SLICE("\r\n"));
    session_wake(session); /* the answer may be here already */
}

static void take_message(struct auth_work *work)
{
    struct sasl_login login;
    struct buf message;
    buf_init_secret(&message, SASL_MESSAGE_MAX);
    enum status st = SYNTAX;
    if (buf_ok(&work->line) && sasl_base64_decode(buf_slice(&work->line), &message)) {
        st = sasl_parse(work->mech, message.data, message.len, &login);
    }
    if (st == OK) {
        begin(work, &login);
    } else {
        end_with(work, SYNTAX);
    }
    buf_fini(&message);
}

static void take_name(struct auth_work *work)
{
    if (buf_ok(&work->line) && sasl_base64_decode(buf_slice(&work->line), &work->name)) {
        work->stage = AUTH_WAITS_PASSWORD;
        ask(work, SLICE("UGFzc3dvcmQ6")); /* "Password:" */
    } else {
        end_with(work, SYNTAX);
    }
}

static void take_password(struct auth_work *work)
{
    struct buf password;
    buf_init_secret(&password, SASL_MESSAGE_MAX);
    if (buf_ok(&work->line) && sasl_base64_decode(buf_slice(&work->line), &password)) {
        const struct sasl_login login = {.authcid = buf_slice(&work->name),
                                         .secret = buf_slice(&password)};
        begin(work, &login);
    } else {
        end_with(work, SYNTAX);
    }
    buf_fini(&password);
}

static void start_authenticate(struct session *session, struct job *job)
{
    struct auth_work *work = job->work;
    const struct args_authenticate *args = &job->parsed.args.authenticate;
    init_work(session, job);
    work->mech = sasl_find(args->mechanism);
    work->stage = AUTH_WAITS_MESSAGE;
    if (args->has_initial) {
        take_line(work, args->initial);
    } else {
        ask(work, work->mech == SASL_LOGIN ? SLICE("VXNlcm5hbWU6") : SLICE("")); /* "Username:" */
    }
}

/* What has come, a line or the answer to the login, means. */
static void go_on(struct auth_work *work)
{
    bool has_line = work->has_line;
    work->has_line = false;
    switch (work->stage) {
    case AUTH_WAITS_MESSAGE:
        if (has_line && work->mech == SASL_LOGIN) {
            take_name(work);
        } else if (has_line) {
            take_message(work);
        }
        break;
    case AUTH_WAITS_PASSWORD:
        if (has_line) {
            take_password(work);
        }
        break;
    case AUTH_WAITS_ACCEPT:
        work->stage = has_line ? AUTH_DONE : AUTH_WAITS_ACCEPT;
        break;
    case AUTH_DONE:
        if (work->status == AUTH && work->challenge.len > 0) {
            work->stage = AUTH_WAITS_ACCEPT;
            ask(work, buf_slice(&work->challenge));
            buf_reset(&work->challenge);
        }
        break;
    case AUTH_BEGIN:
    case AUTH_WAITS_LOGIN:
    case AUTH_CANCELED:
        break;
    }
}

static enum step run_authenticate(struct session *session, struct job *job)
{
    struct auth_work *work = job->work;
    if (work->stage == AUTH_BEGIN) {
        if (sasl_find(job->parsed.args.authenticate.mechanism) == SASL_MECH_N) {
            job_finish_str(session, job, "NO [CANNOT] Unsupported authentication mechanism.");
            return STEP_DONE;
        }
        if (!may_log_in(session, job)) {
            return STEP_DONE;
        }
        start_authenticate(session, job);
    }
    go_on(work);
    if (work->stage != AUTH_DONE && work->stage != AUTH_CANCELED) {
        return STEP_WAIT;
    }
    finish(session, job);
    return STEP_DONE;
}

const struct verb verb_authenticate = {
    .work_size = sizeof(struct auth_work), .run = run_authenticate, .cancel = cancel_auth};
