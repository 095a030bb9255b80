/* EXPUNGE, UID EXPUNGE and CLOSE: by UID up to the highest this client was told of, so that the
 * server's own \Deleted flags decide and mail the client has not seen stays (protocol T15). */
#include "write_p.h"

static const struct upcmd_ops expunge_ops = {.done = write_done};

static void send_expunge(struct session *session, const struct ranges *uids, struct write *write)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    if (capability_has(account_capabilities(session->account), CAP_UIDPLUS)) {
        outcmd_str(&cmd, "UID EXPUNGE ");
        outcmd_ranges(&cmd, uids);
    } else {
        outcmd_str(&cmd, "EXPUNGE");
    }
    write_send(write, ROUTE_FEED, session->feed, &cmd, &expunge_ops);
}

/* False: nothing to expunge. */
static bool chosen(struct session *session, struct job *job, struct ranges *out)
{
    if (command_is_uid(&job->parsed)) {
        if (set_resolve(session, &job->parsed.args.set, true, out) != OK) {
            return false;
        }
        set_close_gaps(session, out);
    } else if (view_told_uid(session->view) > 0) {
        ranges_add(out, 1, view_told_uid(session->view));
    }
    return !ranges_empty(out);
}

/* RFC 7162 3.2.7: with QRESYNC the OK carries HIGHESTMODSEQ when something went. */
static void finish(struct session *session, struct job *job, struct write *write)
{
    bool tells_modseq = (session->enabled & ENABLED_QRESYNC) != 0 && session_has_modseq(session) &&
                        view_has_pending(session->view, true);
    if (write->status != OK || !tells_modseq) {
        if (write->status == OK) {
            job_finish_str(session, job, "OK Expunge completed.");
        } else {
            write_finish(write);
        }
        return;
    }
    struct buf text;
    buf_init(&text, 0);
    update_tell(session, true, command_is_uid(&job->parsed));
    buf_printf(&text, "OK [HIGHESTMODSEQ %llu] Expunge completed.",
               (unsigned long long)view_modseq(session->view));
    job_finish(session, job, buf_slice(&text));
    buf_fini(&text);
}

/* STEP_AGAIN: the upstream has answered or cannot, or there was nothing to ask. */
static enum step ask(struct session *session, struct job *job)
{
    struct write *write = job->work;
    /* Sent as UID EXPUNGE it takes nothing that the client has not seen, also the second time; a
     * client that is told NO after that may give it again as well (design sections 1 and 8). */
    bool is_repeatable = capability_has(account_capabilities(session->account), CAP_UIDPLUS);
    bool is_new = write->session == NULL;
    write->session = session;
    write->job = job;
    if (is_new || (write->is_done && !write->has_answer && is_repeatable &&
                   write_has_attempts(write) && write->status != CANCELED)) {
        struct ranges uids;
        ranges_init(&uids, SEQSET_PARTS_MAX);
        bool some = chosen(session, job, &uids);
        if (some) {
            write_fini(write);
            send_expunge(session, &uids, write);
        }
        ranges_fini(&uids);
        return some ? STEP_WAIT : STEP_AGAIN;
    }
    if (!write->is_done) {
        return STEP_WAIT;
    }
    return !is_repeatable && write_is_lost(write) ? STEP_CLOSE : STEP_AGAIN;
}

static enum step run_expunge(struct session *session, struct job *job)
{
    struct write *write = job->work;
    if (command_is_uid(&job->parsed) &&
        !capability_is_offered(account_capabilities(session->account), CAP_UIDPLUS)) {
        job_finish_str(session, job, "BAD Unknown command");
        return STEP_DONE;
    }
    enum step step = ask(session, job);
    if (step != STEP_AGAIN) {
        return step;
    }
    if (write->attempts == 0) {
        job_finish_str(session, job, "OK Expunge completed.");
    } else {
        finish(session, job, write);
    }
    write_fini(write);
    return STEP_DONE;
}

const struct verb verb_expunge = {
    .work_size = sizeof(struct write), .run = run_expunge, .cancel = write_cancel};

/* In silence: the mailbox is left. */
static enum step run_close(struct session *session, struct job *job)
{
    struct write *write = job->work;
    if (!session->is_read_only) {
        enum step step = ask(session, job);
        if (step != STEP_AGAIN) {
            return step;
        }
    }
    /* One who may not expunge closes all the same; one whose upstream is away keeps the mailbox. */
    if (write->attempts == 0 || write->status == OK || write->status == DENIED) {
        session__unselect(session);
        job_finish_str(session, job, "OK Close completed.");
    } else {
        job_finish_status(session, job, write->status);
    }
    write_fini(write);
    return STEP_DONE;
}

const struct verb verb_close = {
    .work_size = sizeof(struct write), .run = run_close, .cancel = write_cancel};
