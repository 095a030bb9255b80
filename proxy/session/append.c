/* APPEND, in constant memory.  The command goes upstream first; the client is asked for its literal
 * when the upstream asks for it, so that an early NO is passed on before anything is uploaded
 * (protocol T33).  Then the octets go through as fast as both sides take them.
 *
 *   start ── NO before the literal ──> the client's literal is refused, or swallowed ──> NO
 *         └─ want_data ──> "+ OK" ──> octets ──> tagged OK ──> target's model refreshed ──> OK */
#include "write_p.h"

enum { APPEND_PIECE = 64 * 1024 };

struct append_work {
    struct write write; /* first: write_cancel() takes job->work for it */
    struct upcmd *upcmd;  /* while the upstream takes octets */
    struct buf pending;   /* taken from the client, no room upstream yet */
    uint64_t left;        /* of the client's literal, not read yet */
    bool is_taking;       /* the client's literal is being read */
    bool has_all;         /* it has been read, and its command ended behind it as it has to */
};

/* The last octet waits for the end of the client's command: what is not well-formed to its end must
 * not be appended. */
static size_t held_back(const struct append_work *work)
{
    return work->left == 0 && !work->has_all ? 1 : 0;
}

static void flush(struct append_work *work)
{
    size_t held = held_back(work);
    if (work->upcmd != NULL && work->pending.len > held) {
        struct slice ready = slice_sub(buf_slice(&work->pending), 0, work->pending.len - held);
        buf_consume(&work->pending, link_stream_write(work->upcmd, ready));
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
static void abandon(struct write *write)
{
    if (write->request != NULL) {
        account_request_cancel(&write->request);
    }
    write->is_done = true;
    write->has_answer = false;
    write->was_sent = false;
    write->status = SYNTAX;
}

static void on_data_end(struct session *session, struct job *job)
{
    struct append_work *work = job->work;
    if (job->parse_status != OK) {
        work->upcmd = NULL;
        abandon(&work->write);
    }
    work->has_all = true;
    work->is_taking = false;
    session->input_job = NULL;
    session_wake(session);
}

static const struct input_ops append_input = {
    .room = on_room, .data = on_data, .data_end = on_data_end};

static void on_want_data(void *arg, struct upcmd *upcmd)
{
    struct append_work *work = arg;
    struct session *session = work->write.session;
    work->upcmd = upcmd;
    flush(work);
    if (!work->is_taking && !work->has_all) {
        work->is_taking = true;
        session->input_job = work->write.job;
        session->input_ops = &append_input;
        if (session->reader.literal.is_sync) {
            session_write(session, SLICE("+ OK\r\n"));
        }
        reader_stream(&session->reader);
    }
    session_wake(session);
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct append_work *work = arg;
    work->upcmd = NULL;
    write_done(&work->write, st, tagged, was_sent);
}

static const struct upcmd_ops append_ops = {.want_data = on_want_data, .done = on_done};

static void write_command(const struct args_append *args, struct outcmd *cmd)
{
    struct buf flags;
    outcmd_str(cmd, "APPEND ");
    outcmd_mailbox(cmd, args->mailbox);
    if (args->flags.system != 0 || args->flags.keywords_n > 0) {
        buf_init(&flags, 0);
        emit_flags(&flags, &args->flags);
        outcmd_str(cmd, " ");
        outcmd_token(cmd, buf_slice(&flags));
        buf_fini(&flags);
    }
    if (args->has_date) {
        outcmd_str(cmd, " \"");
        outcmd_token(cmd, args->date);
        outcmd_str(cmd, "\"");
    }
    outcmd_str(cmd, " ");
}

static const char *objection(const struct session *session, const struct args_append *args)
{
    uint64_t most = session->settings->limits.append_bytes;
    if (most != 0 && args->size > most) {
        return "NO [TOOBIG] Message is larger than this server takes";
    }
    return args->is_literal8 ? "NO [UNKNOWN-CTE] Binary messages are not taken" : NULL;
}

static enum step start_append(struct session *session, struct job *job)
{
    struct append_work *work = job->work;
    const struct args_append *args = &job->parsed.args.append;
    const char *no = objection(session, args);
    struct outcmd cmd;
    if (no != NULL) {
        job_finish_str(session, job, no);
        return STEP_DONE;
    }
    work->write.session = session;
    work->write.job = job;
    buf_init(&work->write.answer, 64 * 1024);
    buf_init(&work->pending, 2 * APPEND_PIECE);
    work->left = args->size;
    outcmd_init(&cmd);
    write_command(args, &cmd);
    work->write.request =
        account_request_stream(session->account, &cmd, args->size, &append_ops, work);
    outcmd_fini(&cmd);
    return STEP_WAIT;
}

static enum step run_append(struct session *session, struct job *job)
{
    struct append_work *work = job->work;
    if (work->write.session == NULL) {
        return start_append(session, job);
    }
    flush(work);
    if (!work->write.is_done || work->is_taking) {
        return STEP_WAIT;
    }
    if (write_is_lost(&work->write)) {
        return STEP_CLOSE;
    }
    if (work->write.status == OK &&
        !write_refresh_other(&work->write, job->parsed.args.append.mailbox)) {
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

const struct verb verb_append = {
    .work_size = sizeof(struct append_work), .run = run_append, .cancel = cancel_append};
