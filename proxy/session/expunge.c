/* EXPUNGE and UID EXPUNGE: by UID up to the highest this client was told of, so that the server's own
 * \Deleted flags decide and mail the client has not seen stays (protocol T15). */
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

static enum step run_expunge(struct session *session, struct job *job)
{
    struct write *write = job->work;
    /* Sent as UID EXPUNGE it takes nothing that the client has not seen, also the second time. */
    bool may_repeat =
        capability_has(account_capabilities(session->account), CAP_UIDPLUS) && write->attempts < 2;
    bool is_new = write->session == NULL;
    write->session = session;
    write->job = job;
    if (command_is_uid(&job->parsed) &&
        !capability_is_offered(account_capabilities(session->account), CAP_UIDPLUS)) {
        job_finish_str(session, job, "BAD Unknown command");
        return STEP_DONE;
    }
    if (is_new || (write->is_done && !write->has_answer && may_repeat &&
                   write->status != CANCELED)) {
        struct ranges uids;
        ranges_init(&uids, SEQSET_PARTS_MAX);
        bool some = chosen(session, job, &uids);
        if (some) {
            write_fini(write);
            send_expunge(session, &uids, write);
        } else {
            job_finish_str(session, job, "OK Expunge completed.");
        }
        ranges_fini(&uids);
        return some ? STEP_WAIT : STEP_DONE;
    }
    if (!write->is_done) {
        return STEP_WAIT;
    }
    if (write_is_lost(write)) {
        return STEP_CLOSE;
    }
    finish(session, job, write);
    write_fini(write);
    return STEP_DONE;
}

const struct verb verb_expunge = {
    .work_size = sizeof(struct write), .run = run_expunge, .cancel = write_cancel};
