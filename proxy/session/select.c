/* SELECT, EXAMINE, UNSELECT. */
#include "imap/outcmd.h"
#include "model/uidset.h"
#include "early_p.h"
#include "past_p.h"

struct select_work {
    struct session *session;
    struct open_request *open;
    bool is_done;
    bool is_entered;
    bool has_asked, has_past;
    struct past past; /* SELECT (QRESYNC ...) */
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

/* Of the model, by the view; of a mailbox not known yet what the upstream has just told. */
static struct feed_told facts(struct session *session)
{
    struct mailbox_counts counts;
    if (session->feed_user.is_early) {
        return session->feed_user.told;
    }
    mailbox_counts(feed_mailbox(session->feed), &counts);
    return (struct feed_told){
        .exists = view_count(session->view),
        .recent = view_recent(session->view),
        .unseen = counts.first_unseen_uid != 0 ? view_msn_of(session->view, counts.first_unseen_uid)
                                               : 0,
        .uidvalidity = counts.uidvalidity,
        .uidnext = counts.uidnext,
        .modseq = view_modseq(session->view),
    };
}

static void tell_mailbox(struct session *session, struct buf *out)
{
    struct mailbox *mailbox = feed_mailbox(session->feed);
    struct feed_told told = facts(session);
    update_write_flag_lists(session, out);
    emit_number_response(out, told.exists, "EXISTS");
    emit_number_response(out, told.recent, "RECENT");
    if (told.unseen != 0) {
        buf_printf(out, "* OK [UNSEEN %u] First unseen.\r\n", (unsigned)told.unseen);
    }
    buf_printf(out, "* OK [UIDVALIDITY %u] UIDs valid\r\n", (unsigned)told.uidvalidity);
    buf_printf(out, "* OK [UIDNEXT %u] Predicted next UID\r\n", (unsigned)told.uidnext);
    if (session_has_modseq(session)) {
        buf_printf(out, "* OK [HIGHESTMODSEQ %llu] Highest\r\n", (unsigned long long)told.modseq);
        session->told_modseq = true;
    } else {
        buf_add_str(out, "* OK [NOMODSEQ] No permanent mod-sequences\r\n");
    }
    struct slice id = mailbox_id(mailbox);
    if (id.len > 0) {
        buf_printf(out, "* OK [MAILBOXID " SLICE_FMT "] Ok\r\n", SLICE_ARG(id));
    }
}

/* UIDs the client may still know: those it names, or all below UIDNEXT. */
static void known_uids(struct session *session, const struct args_select *args, struct ranges *out)
{
    uint32_t last = mailbox_uidnext(feed_mailbox(session->feed)) - 1;
    ranges_reset(out);
    if (args->known_uids.n == 0 || seqset_resolve(&args->known_uids, last, out) != OK) {
        ranges_reset(out);
        if (last > 0) {
            ranges_add(out, 1, last);
        }
    }
    ranges_clip(out, last);
}

/* The upstream cannot be asked: all that is not there, more than vanished since, which RFC 7162
 * 3.2.10.1 allows. */
static void all_missing(struct session *session, const struct args_select *args, struct ranges *out)
{
    struct ranges present;
    ranges_init(&present, 0);
    known_uids(session, args, out);
    mailbox_scan_uids(feed_mailbox(session->feed), NULL, &present);
    ranges_subtract(out, &present);
    ranges_fini(&present);
}

static void tell_changed(struct session *session, uint64_t modseq, bool all, struct buf *out)
{
    struct ranges uids;
    struct view_iter iter;
    struct view_message message;
    ranges_init(&uids, 0);
    mailbox_scan_modseq(feed_mailbox(session->feed), NULL, modseq, &uids);
    view_iter_init(&iter, session->view, all ? NULL : &uids);
    while (view_iter_next(&iter, &message)) {
        if ((message.modseq > modseq || (all && message.modseq == 0)) && !message.is_vanished) {
            update_write_flags(session, &message, true, out);
        }
    }
    ranges_fini(&uids);
}

/* RFC 7162 3.2.5: another UIDVALIDITY makes it a plain SELECT. */
static bool wants_history(const struct session *session, const struct job *job)
{
    const struct args_select *args = &job->parsed.args.select;
    return args->is_qresync && session_has_modseq(session) &&
           args->uidvalidity == mailbox_uidvalidity(feed_mailbox(session->feed));
}

static bool lacks_messages(const struct session *session)
{
    return session->view == NULL || feed_knows(session->feed) < FEED_KNOWS_FLAGS;
}

/* STEP_DONE: all that can be known of it is. */
static enum step ask_history(struct session *session, struct job *job)
{
    const struct args_select *args = &job->parsed.args.select;
    struct select_work *work = job->work;
    if (lacks_messages(session)) {
        return STEP_WAIT;
    }
    if (!work->has_asked) {
        struct ranges known;
        ranges_init(&known, SEQSET_PARTS_MAX);
        known_uids(session, args, &known);
        work->has_asked = true;
        work->has_past = past_wants_changes(&work->past, session, &known, args->modseq, true);
        ranges_fini(&known);
    }
    return past_run(&work->past);
}

static void tell_history(struct session *session, struct job *job, struct buf *out)
{
    const struct args_select *args = &job->parsed.args.select;
    struct select_work *work = job->work;
    bool is_unknown = work->has_past && work->past.status != OK;
    if (is_unknown) {
        all_missing(session, args, &work->past.vanished);
    }
    if (work->has_past) {
        past_tell_vanished(&work->past, out);
    }
    tell_changed(session, args->modseq, is_unknown, out);
}

bool session__open_view(struct session *session)
{
    unsigned options = (session->is_examine ? 0U : VIEW_CLAIMS_RECENT) |
                       ((session->enabled & ENABLED_CONDSTORE) != 0 ? VIEW_WANTS_MODSEQ : 0U);
    session->view = feed_open_view(&session->feed_user, options);
    if (session->view == NULL) {
        session_bye(session, "[UNAVAILABLE] The mailbox has changed while the mail server was lost");
    }
    return session->view != NULL;
}

/* The mailbox is the session's; false: it is not any more. */
static bool enter(struct session *session, struct job *job)
{
    const struct args_select *args = &job->parsed.args.select;
    session->is_examine = job->parsed.info->id == CMD_EXAMINE;
    session->is_read_only = session->is_examine || !feed_is_writable(session->feed);
    session->enabled |= args->is_condstore ? ENABLED_CONDSTORE : 0U;
    session__goto(session, SESSION_SELECTED, "selected");
    if (!session->is_examine) {
        feed_claim_recent(&session->feed_user);
    }
    return session->feed_user.is_early || session__open_view(session);
}

/* STEP_WAIT: for the messages, whose history the client asks for. */
static enum step selected(struct session *session, struct job *job)
{
    struct select_work *work = job->work;
    struct buf out;
    if (!work->is_entered) {
        work->is_entered = true;
        if (!enter(session, job)) {
            return STEP_CLOSE;
        }
    }
    bool tells_history = wants_history(session, job);
    if (tells_history && session->feed_user.is_early && feed_is_mapped(session->feed) &&
        !session__open_view(session)) { /* what goes while it waits is to be known */
        return STEP_CLOSE;
    }
    if (tells_history && lacks_messages(session) && feed_is_away(session->feed)) {
        session__unselect(session);
        job_finish_status(session, job, NETWORK); /* design section 11 */
        return STEP_DONE;
    }
    if (tells_history && ask_history(session, job) == STEP_WAIT) {
        return STEP_WAIT;
    }
    buf_init(&out, 0);
    tell_mailbox(session, &out);
    if (session->feed_user.is_early && feed_is_mapped(session->feed) &&
        !session__open_view(session)) {
        buf_fini(&out);
        return STEP_CLOSE;
    }
    if (tells_history) {
        tell_history(session, job, &out);
    }
    session_write(session, buf_slice(&out));
    buf_fini(&out);
    if (session->is_read_only) {
        job_finish_str(session, job,
                       session->is_examine ? "OK [READ-ONLY] Examine completed."
                                           : "OK [READ-ONLY] Select completed.");
    } else {
        job_finish_str(session, job, "OK [READ-WRITE] Select completed.");
    }
    return STEP_DONE;
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
        enum step step = selected(session, job);
        if (step != STEP_DONE) {
            return step;
        }
    } else if (work->text.len > 0) {
        job_finish(session, job, buf_slice(&work->text));
    } else {
        job_finish_status(session, job, work->status);
    }
    past_fini(&work->past);
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
    past_fini(&work->past);
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
