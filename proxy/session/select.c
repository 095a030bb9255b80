/* SELECT, EXAMINE, UNSELECT. */
#include "imap/outcmd.h"
#include "model/uidset.h"
#include "session_p.h"

struct select_work {
    struct session *session;
    struct open_request *open;
    bool is_done;
    enum status status;
    struct buf text; /* the upstream's refusal */
};

static void opened(void *arg, enum status st, struct feed *feed, struct slice text)
{
    struct select_work *work = arg;
    struct session *session = work->session;
    work->open = NULL;
    work->is_done = true;
    work->status = st;
    buf_add(&work->text, text);
    if (st == OK) {
        session->feed = feed;
        feed_attach(feed, &session->feed_user);
    }
    session_wake(session);
}

/* --- the answer ------------------------------------------------------------------------------- */

static void tell_mailbox(struct session *session, struct buf *out)
{
    struct mailbox *mailbox = feed_mailbox(session->feed);
    struct mailbox_counts counts;
    mailbox_counts(mailbox, &counts);
    update_write_flag_lists(session, out);
    emit_number_response(out, view_count(session->view), "EXISTS");
    emit_number_response(out, view_recent(session->view), "RECENT");
    uint32_t unseen = counts.first_unseen_uid != 0
                          ? view_msn_of(session->view, counts.first_unseen_uid)
                          : 0;
    if (unseen != 0) {
        buf_printf(out, "* OK [UNSEEN %u] First unseen.\r\n", (unsigned)unseen);
    }
    buf_printf(out, "* OK [UIDVALIDITY %u] UIDs valid\r\n", (unsigned)counts.uidvalidity);
    buf_printf(out, "* OK [UIDNEXT %u] Predicted next UID\r\n", (unsigned)counts.uidnext);
    if (session_has_modseq(session)) {
        buf_printf(out, "* OK [HIGHESTMODSEQ %llu] Highest\r\n",
                   (unsigned long long)view_modseq(session->view));
        session->told_modseq = true;
    } else {
        buf_add_str(out, "* OK [NOMODSEQ] No permanent mod-sequences\r\n");
    }
    struct slice id = mailbox_id(mailbox);
    if (id.len > 0) {
        buf_printf(out, "* OK [MAILBOXID " SLICE_FMT "] Ok\r\n", SLICE_ARG(id));
    }
}

/* UIDs the client may still know (known-uids, or all below UIDNEXT) that are not there any more.
 * More than those that vanished since its modseq, which RFC 7162 3.2.10.1 allows. */
static void tell_vanished(struct session *session, const struct args_select *args,
                          struct buf *out)
{
    struct mailbox *mailbox = feed_mailbox(session->feed);
    struct ranges known, present;
    ranges_init(&known, SEQSET_PARTS_MAX);
    ranges_init(&present, 0);
    uint32_t last = mailbox_uidnext(mailbox) - 1;
    if (args->known_uids.n == 0 || seqset_resolve(&args->known_uids, last, &known) != OK) {
        ranges_reset(&known);
        if (last > 0) {
            ranges_add(&known, 1, last);
        }
    }
    ranges_clip(&known, last);
    mailbox_scan_uids(mailbox, NULL, &present);
    ranges_subtract(&known, &present);
    if (!ranges_empty(&known)) {
        buf_add_str(out, "* VANISHED (EARLIER) ");
        ranges_format(&known, out);
        buf_add_str(out, "\r\n");
    }
    ranges_fini(&known);
    ranges_fini(&present);
}

static void tell_changed(struct session *session, uint64_t modseq, struct buf *out)
{
    struct ranges uids;
    struct view_iter iter;
    struct view_message message;
    ranges_init(&uids, 0);
    mailbox_scan_modseq(feed_mailbox(session->feed), NULL, modseq, &uids);
    view_iter_init(&iter, session->view, &uids);
    while (view_iter_next(&iter, &message)) {
        if (message.modseq > modseq && !message.is_vanished) {
            update_write_flags(session, &message, true, out);
        }
    }
    ranges_fini(&uids);
}

/* RFC 7162 3.2.5: another UIDVALIDITY makes it a plain SELECT. */
static void tell_resync(struct session *session, const struct args_select *args, struct buf *out)
{
    struct mailbox *mailbox = feed_mailbox(session->feed);
    if (!args->is_qresync || args->uidvalidity != mailbox_uidvalidity(mailbox) ||
        !session_has_modseq(session)) {
        return;
    }
    if (args->modseq < feed_vanished_modseq(session->feed)) {
        tell_vanished(session, args, out);
    }
    tell_changed(session, args->modseq, out);
}

static void selected(struct session *session, struct job *job)
{
    const struct args_select *args = &job->parsed.args.select;
    bool is_examine = job->parsed.info->id == CMD_EXAMINE;
    struct buf out;
    session->is_read_only = is_examine || !feed_is_writable(session->feed);
    session->view = view_open(feed_mailbox(session->feed), is_examine ? 0 : VIEW_CLAIMS_RECENT);
    session__goto(session, SESSION_SELECTED, "selected");
    if (args->is_condstore) {
        session->enabled |= ENABLED_CONDSTORE;
    }
    if ((session->enabled & ENABLED_CONDSTORE) != 0) {
        view_set_option(session->view, VIEW_WANTS_MODSEQ);
    }
    buf_init(&out, 0);
    tell_mailbox(session, &out);
    tell_resync(session, args, &out);
    session_write(session, buf_slice(&out));
    buf_fini(&out);
    if (session->is_read_only) {
        job_finish_str(session, job,
                       is_examine ? "OK [READ-ONLY] Examine completed."
                                  : "OK [READ-ONLY] Select completed.");
    } else {
        job_finish_str(session, job, "OK [READ-WRITE] Select completed.");
    }
}

static enum step start_select(struct session *session, struct job *job)
{
    struct select_work *work = job->work;
    const struct args_select *args = &job->parsed.args.select;
    if (args->is_qresync && (session->enabled & ENABLED_QRESYNC) == 0) {
        job_finish_str(session, job, "BAD QRESYNC not enabled.");
        return STEP_DONE;
    }
    if (session->feed != NULL) {
        session__unselect(session);
        session_write(session, SLICE("* OK [CLOSED] Previous mailbox closed.\r\n"));
    }
    work->session = session;
    buf_init(&work->text, 4096);
    work->open = feed_open(session->account, args->mailbox, opened, work);
    return STEP_WAIT;
}

static enum step run_select(struct session *session, struct job *job)
{
    struct select_work *work = job->work;
    if (work->session == NULL) {
        return start_select(session, job);
    }
    if (!work->is_done) {
        return STEP_WAIT;
    }
    if (work->status == OK) {
        selected(session, job);
    } else if (work->text.len > 0) {
        job_finish(session, job, buf_slice(&work->text));
    } else {
        job_finish_status(session, job, work->status);
    }
    buf_fini(&work->text);
    return STEP_DONE;
}

static void cancel_select(struct session *session, struct job *job)
{
    struct select_work *work = job->work;
    (void)session;
    if (work->open != NULL) {
        feed_open_cancel(&work->open);
    }
    buf_fini(&work->text);
}

const struct verb verb_select = {
    .work_size = sizeof(struct select_work), .run = run_select, .cancel = cancel_select};

/* --- UNSELECT ---------------------------------------------------------------------------------- */

static enum step run_unselect(struct session *session, struct job *job)
{
    session__unselect(session);
    job_finish_str(session, job, "OK Unselect completed.");
    return STEP_DONE;
}

const struct verb verb_unselect = {.run = run_unselect};
