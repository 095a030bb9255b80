/* COPY and MOVE, by UID on the feed.  The tagged OK waits until a live model of the target knows the
 * copies; those of the source's messages that a MOVE removed come as any expunge. */
#include "account/share.h"
#include "write_p.h"

struct copy_work {
    struct write write; /* first: the calls of write_p.h see nothing else */
    struct share_copy *share;
};

static bool on_untagged(void *arg, const struct response *response)
{
    struct copy_work *work = arg;
    struct write *write = &work->write;
    if (response->kind != RESPONSE_STATE || response->code != CODE_COPYUID) {
        return false;
    }
    share_told(work->share, response);
    account_name_told(write->session->account, write->job->parsed.args.copy.mailbox, response);
    buf_add_str(&write->told, "* "); /* MOVE says it before the expunges, RFC 6851 4.3 */
    emit_relayed(&write->told, response);
    buf_add_str(&write->told, "\r\n");
    return true;
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct copy_work *work = arg;
    if (st == OK && tagged != NULL) {
        share_told(work->share, tagged);
        account_name_told(work->write.session->account, work->write.job->parsed.args.copy.mailbox, tagged);
    }
    share_end(&work->share);
    write_done(&work->write, st, tagged, was_sent);
}

static const struct upcmd_ops copy_ops = {
    .flags = UPCMD_COPIES | UPCMD_ONCE, .untagged = on_untagged, .done = on_done};

static enum step start_copy(struct session *session, struct job *job)
{
    struct copy_work *work = job->work;
    struct write *write = &work->write;
    const struct args_copy *args = &job->parsed.args.copy;
    bool is_move = job->parsed.info->id == CMD_MOVE;
    struct ranges uids;
    struct outcmd cmd;
    ranges_init(&uids, 0);
    if (is_move && !capability_is_offered(account_capabilities(session->account), CAP_MOVE)) {
        job_finish_str(session, job, "BAD Unknown command");
        return STEP_DONE;
    }
    if (set_resolve(session, &args->set, command_is_uid(&job->parsed), &uids) != OK) {
        job_finish_str(session, job, "BAD Invalid messageset");
        ranges_fini(&uids);
        return STEP_DONE;
    }
    (void)set_drop_vanished(session, &uids);
    /* All or nothing (RFC 3501 6.4.7): one command, however long its set.  Of MOVE a part may fail, but
     * then the client should hear so from the server (RFC 6851 4.6). */
    set_close_gaps(session, &uids);
    if (ranges_empty(&uids)) {
        job_finish_str(session, job, "OK No messages found.");
        ranges_fini(&uids);
        return STEP_DONE;
    }
    write->session = session;
    write->job = job;
    outcmd_init(&cmd);
    outcmd_str(&cmd, is_move ? "UID MOVE " : "UID COPY ");
    outcmd_ranges(&cmd, &uids);
    outcmd_str(&cmd, " ");
    outcmd_mailbox(&cmd, args->mailbox);
    work->share = share_begin(session->feed, &uids, args->mailbox);
    write_send(write, ROUTE_FEED, session->feed, &cmd, &copy_ops);
    ranges_fini(&uids);
    return STEP_WAIT;
}

static enum step run_copy(struct session *session, struct job *job)
{
    struct write *write = job->work;
    if (write->session == NULL) {
        return start_copy(session, job);
    }
    if (!write->is_done) {
        return STEP_WAIT;
    }
    if (write_is_lost(write)) {
        return STEP_CLOSE;
    }
    if (write->status == OK && !write_refresh_other(write, job->parsed.args.copy.mailbox)) {
        return STEP_WAIT;
    }
    if (buf_ok(&write->told)) {
        session_write(session, buf_slice(&write->told));
    }
    write_finish(write);
    write_fini(write);
    return STEP_DONE;
}

static void cancel_copy(struct session *session, struct job *job)
{
    struct copy_work *work = job->work;
    share_end(&work->share);
    write_cancel(session, job);
}

const struct verb verb_copy = {
    .work_size = sizeof(struct copy_work), .run = run_copy, .cancel = cancel_copy};
const struct verb verb_move = {
    .work_size = sizeof(struct copy_work), .run = run_copy, .cancel = cancel_copy};
