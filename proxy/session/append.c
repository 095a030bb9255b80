/* APPEND, also of several messages (RFC 3502).
 *
 * Small messages that the client sends without waiting are kept with the command: it goes upstream as
 * one piece, also ahead of the client's commands before it, in their order over one link.  Others go
 * through in constant memory.  The command goes upstream first; the client is asked for its literal
 * when the upstream asks for it, so that an early NO is passed on before anything is uploaded
 * (protocol T33).  Then the octets go through as fast as both sides take them.
 *
 *   start ── NO before the literal ──> the client's literal is refused, or swallowed ──> NO
 *         └─ want_data ──> "+ OK" ──> octets ──> end ──> tagged OK ──> target's model refreshed ──> OK
 *               ^                       └── another message: its head goes upstream ──┐
 *               └─────────────────────────────────────────────────────────────────────┘ */
#include "write_p.h"

enum { APPEND_PIECE = 64 * 1024 };

struct append_work {
    struct write write; /* first: write_cancel() takes job->work for it */
    struct upcmd *upcmd; /* while the upstream takes octets */
    struct buf pending;  /* taken from the client, no room upstream yet */
    uint64_t left;       /* of the client's literal, not read yet */
    size_t begun_n;      /* messages whose literal the client was asked for, or that were kept */
    size_t sent_n;       /* messages whose head went upstream */
    bool is_open;        /* the upstream takes several messages: its command is not over yet */
    bool is_taking;      /* the client's literal is being read */
    bool has_more;       /* the head of another message has come */
    bool has_all;        /* all has been read, and the command ended as it has to */
};

static struct args_append *args_of(const struct append_work *work)
{
    return &work->write.job->parsed.args.append;
}

/* --- the command upstream ----------------------------------------------------------------------- */

static void write_message(const struct append_message *message, struct outcmd *cmd)
{
    struct buf flags;
    outcmd_str(cmd, " ");
    if (message->flags.system != 0 || message->flags.keywords_n > 0) {
        buf_init(&flags, 0);
        emit_flags(&flags, &message->flags);
        outcmd_token(cmd, buf_slice(&flags));
        outcmd_str(cmd, " ");
        buf_fini(&flags);
    }
    if (message->has_date) {
        outcmd_str(cmd, "\"");
        outcmd_token(cmd, message->date);
        outcmd_str(cmd, "\" ");
    }
    if (message->octets.data != NULL) {
        outcmd_mail(cmd, message->octets, message->is_literal8);
    } else {
        outcmd_stream(cmd, message->size, message->is_literal8);
    }
}

static void write_command(const struct args_append *args, struct outcmd *cmd)
{
    outcmd_str(cmd, "APPEND ");
    outcmd_mailbox(cmd, args->mailbox);
    for (size_t i = 0; i < args->n; i++) {
        write_message(&args->messages[i], cmd);
    }
}

/* --- octets through ----------------------------------------------------------------------------- */

/* The last octet waits for the end of the client's command: what is not well-formed to its end must
 * not be appended.  An open command has an end of its own. */
static size_t held_back(const struct append_work *work)
{
    return work->left == 0 && !work->has_all && !work->is_open ? 1 : 0;
}

static void flush(struct append_work *work)
{
    size_t held = held_back(work);
    if (work->upcmd != NULL && work->pending.len > held) {
        struct slice ready = slice_sub(buf_slice(&work->pending), 0, work->pending.len - held);
        buf_consume(&work->pending, link_stream_write(work->upcmd, ready));
    }
    if (work->upcmd == NULL || !work->is_open || work->pending.len > 0) {
        return;
    }
    if (work->has_more) {
        struct outcmd more;
        outcmd_init(&more);
        write_message(&args_of(work)->messages[work->sent_n++], &more);
        work->has_more = false;
        (void)link_stream_more(work->upcmd, &more); /* sound: all in it was parsed */
        work->upcmd = NULL;
        outcmd_fini(&more);
    } else if (work->has_all) {
        link_stream_end(work->upcmd);
        work->upcmd = NULL;
    }
}

static size_t on_room(struct session *session, struct job *job)
{
    struct append_work *work = job->work;
    (void)session;
    if (work->write.is_done || work->left == 0) {
        return SIZE_MAX; /* swallow the rest; the end of the line */
    }
    return work->upcmd != NULL && work->pending.len == 0 ? APPEND_PIECE : 0;
}

static void on_data(struct session *session, struct job *job, struct slice bytes)
{
    struct append_work *work = job->work;
    (void)session;
    work->left -= bytes.len;
    if (work->write.is_done || work->upcmd == NULL) {
        return;
    }
    size_t held = held_back(work);
    size_t n = link_stream_write(work->upcmd, slice_sub(bytes, 0, bytes.len - held));
    buf_add(&work->pending, slice_sub(bytes, n, bytes.len));
}

/* What came behind the literal was nothing that may stand there. */
static void abandon(struct append_work *work, enum status why)
{
    struct write *write = &work->write;
    work->upcmd = NULL;
    if (write->request != NULL) {
        account_request_cancel(&write->request);
    }
    write->is_done = true;
    write->has_answer = false;
    write->was_sent = false;
    write->status = why;
}

static void stop_taking(struct session *session, struct append_work *work)
{
    work->is_taking = false;
    session->input_job = NULL;
    session_wake(session);
}

static void on_data_end(struct session *session, struct job *job)
{
    struct append_work *work = job->work;
    if (job->parse_status != OK) {
        abandon(work, SYNTAX);
    }
    work->has_all = true;
    stop_taking(session, work);
}

static bool may_take(const struct session *session, const struct append_message *message)
{
    const struct capabilities *caps = account_capabilities(session->account);
    uint64_t most = session->settings->limits.append_bytes;
    return (most == 0 || message->size <= most) &&
           (!message->is_literal8 || capability_is_offered(caps, CAP_BINARY));
}

/* Another message is announced.  When the upstream has said NO already the job ends, and with it the
 * literal. */
static void on_more(struct session *session, struct job *job)
{
    struct append_work *work = job->work;
    const struct append_message *message = &args_of(work)->messages[args_of(work)->n - 1];
    if (!work->write.is_done && !may_take(session, message)) {
        abandon(work, LIMIT);
    }
    work->left = message->size;
    work->has_more = true;
    stop_taking(session, work);
}

static const struct input_ops append_input = {
    .room = on_room, .data = on_data, .data_end = on_data_end, .more = on_more};

static void on_want_data(void *arg, struct upcmd *upcmd)
{
    struct append_work *work = arg;
    struct session *session = work->write.session;
    work->upcmd = upcmd;
    if (work->begun_n < work->sent_n) {
        work->begun_n = work->sent_n;
        work->is_taking = true;
        session->input_job = work->write.job;
        session->input_ops = &append_input;
        if (session->reader.literal.is_sync) {
            session_write(session, SLICE("+ OK\r\n"));
        }
        reader_stream(&session->reader);
    }
    flush(work);
    session_wake(session);
}

/* The mailbox's model is brought up to date at once: several that stand behind one another wait for
 * one round trip, not for one each. */
static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct append_work *work = arg;
    work->upcmd = NULL;
    write_done(&work->write, st, tagged, was_sent);
    if (st == OK) {
        if (tagged != NULL) {
            account_name_told(work->write.session->account, args_of(work)->mailbox, tagged);
        }
        (void)write_refresh_other(&work->write, args_of(work)->mailbox);
    }
}

static const struct upcmd_ops append_ops = {
    .flags = UPCMD_ONCE, .want_data = on_want_data, .done = on_done};
static const struct upcmd_ops open_ops = {
    .flags = UPCMD_OPEN | UPCMD_ONCE, .want_data = on_want_data, .done = on_done};

/* --- beginning ---------------------------------------------------------------------------------- */

static bool is_kept(const struct args_append *args)
{
    return args->messages[args->n - 1].octets.data != NULL;
}

static const char *objection(const struct session *session, const struct args_append *args)
{
    const struct capabilities *caps = account_capabilities(session->account);
    uint64_t most = session->settings->limits.append_bytes;
    if (args->n > 1 && !capability_is_offered(caps, CAP_MULTIAPPEND)) {
        return "BAD One message at a time";
    }
    for (size_t i = 0; i < args->n; i++) {
        if (most != 0 && args->messages[i].size > most) {
            return "NO [TOOBIG] Message is larger than this server takes";
        }
        if (args->messages[i].is_literal8 && !capability_is_offered(caps, CAP_BINARY)) {
            return "NO [UNKNOWN-CTE] Binary messages are not taken";
        }
    }
    return NULL;
}

static void begin(struct session *session, struct job *job)
{
    struct append_work *work = job->work;
    struct write *write = &work->write;
    const struct args_append *args = &job->parsed.args.append;
    struct outcmd cmd;
    write->session = session;
    write->job = job;
    outcmd_init(&cmd);
    write_command(args, &cmd);
    if (is_kept(args)) {
        const struct destination to = {.route = ROUTE_BULK, .order = session};
        buf_init(&write->answer, 64 * 1024);
        write->request = account_request(session->account, to, &cmd, &append_ops, work);
    } else {
        buf_init(&write->answer, 64 * 1024);
        buf_init(&work->pending, 2 * APPEND_PIECE);
        work->sent_n = args->n;
        work->begun_n = args->n - 1;
        work->left = args->messages[args->n - 1].size;
        work->is_open =
            capability_is_offered(account_capabilities(session->account), CAP_MULTIAPPEND);
        write->request = account_request_stream(session->account, &cmd, work->left,
                                                work->is_open ? &open_ops : &append_ops, work);
    }
    write->is_sent = true;
    outcmd_fini(&cmd);
}

/* Its order among what the session appends is kept by the link; whatever else stands before it does
 * not show what it does. */
static bool plan_ahead(struct session *session, struct job *job)
{
    if (!is_kept(&job->parsed.args.append) || objection(session, &job->parsed.args.append) != NULL) {
        return false;
    }
    for (const struct job *before = session->jobs; before != job; before = before->next) {
        const struct append_work *work = before->verb == &verb_append ? before->work : NULL;
        if (before->verb == &verb_append &&
            (work == NULL || !work->write.is_sent || !is_kept(&before->parsed.args.append) ||
             (work->write.is_done && !work->write.has_answer))) {
            return false;
        }
    }
    begin(session, job);
    return true;
}

static enum step run_append(struct session *session, struct job *job)
{
    struct append_work *work = job->work;
    if (work->write.session == NULL) {
        const char *no = objection(session, &job->parsed.args.append);
        if (no != NULL) {
            job_finish_str(session, job, no);
            return STEP_DONE;
        }
        begin(session, job);
        return STEP_WAIT;
    }
    flush(work);
    if (!work->write.is_done || work->is_taking) {
        return STEP_WAIT;
    }
    if (write_is_lost(&work->write)) {
        return STEP_CLOSE;
    }
    if (work->write.status == OK && !write_refresh_other(&work->write, args_of(work)->mailbox)) {
        return STEP_WAIT;
    }
    write_finish(&work->write);
    write_fini(&work->write);
    buf_fini(&work->pending);
    return STEP_DONE;
}

static void cancel_append(struct session *session, struct job *job)
{
    struct append_work *work = job->work;
    write_cancel(session, job);
    buf_fini(&work->pending);
}

const struct verb verb_append = {.work_size = sizeof(struct append_work),
                                 .run = run_append,
                                 .cancel = cancel_append,
                                 .plan_ahead = plan_ahead};
