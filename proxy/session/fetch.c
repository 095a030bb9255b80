/* FETCH and UID FETCH: run, plan ahead, cancel. */
#include "account/shadow.h"
#include "base/alloc.h"
#include "fetch_p.h"
#include "model/uidset.h"

/* --- the beginning ------------------------------------------------------------------------------------ */

static void refreshed(void *arg, enum status st)
{
    struct fetch_work *work = arg;
    (void)st; /* the upstream is away: what is known is told, as to any view */
    work->refresh = NULL;
    work->is_refreshed = true;
    session_wake(work->session);
}

static void attach(struct session *session, struct job *job)
{
    struct fetch_work *work = job->work;
    if (work->session == NULL) {
        work->session = session;
        work->job = job;
        ranges_init(&work->uids, 0);
        ranges_init(&work->unseen, 0);
        buf_init(&work->out, 0);
    }
}

static const char *objection(const struct session *session, const struct job *job)
{
    const struct args_fetch *args = &job->parsed.args.fetch;
    if (args->has_partial && !command_is_uid(&job->parsed)) {
        return "BAD PARTIAL needs UID FETCH"; /* RFC 9394 3.3 */
    }
    if (args->is_vanished &&
        (!command_is_uid(&job->parsed) || (session->enabled & ENABLED_QRESYNC) == 0)) {
        return "BAD VANISHED needs UID FETCH and QRESYNC";
    }
    /* RFC 7162 3.1.2.2: of a mailbox without modseqs they are not to be asked. */
    if ((args->items.has_modseq || args->has_changedsince) && !session_has_modseq(session)) {
        return "BAD This mailbox has no mod-sequences";
    }
    return NULL;
}

/* RFC 7162 3.2.6: the UIDs asked for, also those that are not there (any more). */
static void asked_uids(struct session *session, struct job *job, struct ranges *out)
{
    uint32_t last = mailbox_uidnext(feed_mailbox(session->feed)) - 1;
    if (seqset_resolve(&job->parsed.args.fetch.set, last, out) != OK) {
        ranges_reset(out);
    }
    ranges_clip(out, last);
}

/* Modseqs that the model does not know, and what has vanished, are asked upstream. */
static enum step ask_past(struct session *session, struct job *job)
{
    struct fetch_work *work = job->work;
    const struct args_fetch *args = &job->parsed.args.fetch;
    if (!work->has_asked && args->has_changedsince) {
        struct ranges uids;
        ranges_init(&uids, SEQSET_PARTS_MAX);
        if (args->is_vanished) {
            asked_uids(session, job, &uids);
        }
        work->has_past = past_wants_changes(&work->past, session,
                                            args->is_vanished ? &uids : &work->uids,
                                            args->changedsince, args->is_vanished);
        ranges_fini(&uids);
    } else if (!work->has_asked && args->items.has_modseq) {
        work->has_past = past_wants_modseqs(&work->past, session, &work->uids);
    }
    work->has_asked = true;
    return past_run(&work->past);
}

static void fini(struct fetch_work *work)
{
    fetch__release_all(work);
    past_fini(&work->past);
    if (work->refresh != NULL) {
        feed_refresh_cancel(&work->refresh); /* something else has made the model fresh meanwhile */
    }
    if (work->has_lookup) {
        lookup_fini(&work->lookup);
        work->has_lookup = false;
    }
    fetch__end_seen(work, false);
    ranges_fini(&work->uids);
    ranges_fini(&work->unseen);
    buf_fini(&work->out);
}

static enum step finish(struct session *session, struct job *job, const char *text)
{
    struct fetch_work *work = job->work;
    fetch__flush(work);
    fini(work);
    job_finish_str(session, job, text);
    return STEP_DONE;
}

static enum step finish_failed(struct session *session, struct job *job)
{
    struct fetch_work *work = job->work;
    if (work->words == NULL) {
        return finish(session, job, status_client_text(work->failed));
    }
    fetch__flush(work);
    fini(work);
    job_finish_quoting(session, job, slice_str(work->words)); /* of the job's arena */
    return STEP_DONE;
}

/* False: finished already. */
static bool resolve(struct session *session, struct job *job, enum step *step_out)
{
    struct fetch_work *work = job->work;
    const struct args_fetch *args = &job->parsed.args.fetch;
    const char *no = objection(session, job);
    if (no == NULL && !fetch__prepare(work)) {
        no = "BAD Invalid messageset";
    }
    if (no != NULL) {
        *step_out = finish(session, job, no);
        return false;
    }
    if (args->items.has_modseq || args->has_changedsince) {
        session_enable_condstore(session);
    }
    work->is_resolved = true;
    return true;
}

static bool is_fresh_enough(struct session *session, struct job *job)
{
    struct fetch_work *work = job->work;
    if (!work->needs_model || work->is_refreshed || feed_is_fresh(session->feed)) {
        return true;
    }
    if (work->refresh == NULL) {
        work->refresh = feed_refresh(session->feed, false, refreshed, work);
    }
    return false;
}

/* --- messages ------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct fetch_work *work, const struct view_message *message)
{
    const struct args_fetch *args = &work->job->parsed.args.fetch;
    const struct mailbox *mailbox = feed_mailbox(work->session->feed);
    return !args->has_changedsince ||
           (!message->is_vanished && (message->modseq > args->changedsince ||
                                       (message->modseq == 0 && mailbox_base_modseq(mailbox) == 0)));
}

static bool next_message(struct fetch_work *work)
{
    while (view_iter_next(&work->iter, &work->message)) {
        if (is_wanted(work, &work->message)) {
            work->has_message = true;
            work->message_version = mailbox_version(feed_mailbox(work->session->feed));
            if (work->wants_values) {
                work->pending = fetch__take(work, work->message.uid);
                lookup_to(&work->lookup, work->message.uid);
            }
            return true;
        }
    }
    work->is_over = true;
    return false;
}

static void end_message(struct fetch_work *work)
{
    work->has_message = false;
    if (work->pending != NULL) {
        pending_release(feed_plan(work->session->feed), &work->pending);
    }
}

/* Something of this message could not be had.  What the upstream refuses it would have refused here, too;
 * if it is away, what is cached of the others is still told before the NO (design section 11). */
static bool may_go_on(struct fetch_work *work)
{
    bool is_refused = work->failed == DENIED || work->failed == PROTOCOL;
    work->is_only_cached = work->is_only_cached || !is_refused;
    return !is_refused;
}

/* Write until there is nothing more, something is missing, or the client has enough for now. */
static enum emit emit_messages(struct fetch_work *work)
{
    while (work->has_message || next_message(work)) {
        enum emit result = fetch__emit(work);
        if (result == EMIT_WAIT && !work->in_line && work->asked_uid < work->message.uid) {
            work->asked_uid = work->message.uid;
        }
        if (result != EMIT_DONE && (result != EMIT_FAIL || !may_go_on(work))) {
            return result;
        }
        end_message(work);
        if (work->out.len >= FETCH_FLUSH) {
            fetch__flush(work);
        }
        if (work->written >= SESSION_OUT_BUDGET || !session_has_room(work->session)) {
            return EMIT_ROOM;
        }
    }
    return EMIT_DONE;
}

static enum emit turn(struct session *session, struct fetch_work *work)
{
    struct store *store = session->env->store;
    work->written = 0;
    fetch__read_messages(work);
    store_read_begin(store);
    work->lookup.trust = shadow_trust(session->account);
    lookup_begin(&work->lookup);
    if (work->has_message) {
        lookup_to(&work->lookup, work->message.uid);
    }
    enum emit result = emit_messages(work);
    fetch__flush(work);
    if (result == EMIT_WAIT || work->held.n > 0) {
        fetch__ask_ahead(work);
    }
    fetch__ask_next(work);
    lookup_end(&work->lookup);
    store_read_end(store);
    return result;
}

/* --- the verb ------------------------------------------------------------------------------------------- */

static enum step start(struct session *session, struct job *job)
{
    struct fetch_work *work = job->work;
    enum step step = STEP_DONE;
    attach(session, job);
    if (!work->is_resolved || job->is_planned) {
        job->is_planned = false; /* what was planned was a guess: numbers count from now */
        if (!resolve(session, job, &step)) {
            return step;
        }
    }
    if (!is_fresh_enough(session, job)) {
        return STEP_WAIT;
    }
    if (ask_past(session, job) == STEP_WAIT) {
        return STEP_WAIT;
    }
    if (work->has_past && work->past.status != OK) {
        return finish(session, job, status_client_text(work->past.status));
    }
    work->is_started = true;
    work->asked_uid = 0;
    if (work->has_past) {
        past_tell_vanished(&work->past, &work->out);
    }
    fetch__begin_seen(work);
    view_iter_init(&work->iter, session->view, &work->uids);
    return STEP_AGAIN;
}

static enum step end(struct session *session, struct job *job)
{
    struct fetch_work *work = job->work;
    if (!fetch__seen_is_over(work)) {
        return STEP_WAIT;
    }
    /* Who got no line, or a NO, has not been told of \Seen. */
    fetch__end_seen(work, work->failed == OK && !work->is_incomplete);
    if (work->failed != OK) {
        return finish_failed(session, job);
    }
    if (work->is_incomplete) {
        return finish(session, job,
                      "OK [EXPUNGEISSUED] Some messages were already expunged.");
    }
    return finish(session, job, "OK Fetch completed.");
}

static enum step run_fetch(struct session *session, struct job *job)
{
    struct fetch_work *work = job->work;
    if (!work->is_started) {
        enum step step = start(session, job);
        if (step != STEP_AGAIN) {
            return step;
        }
    }
    if (!work->is_over) {
        switch (turn(session, work)) {
        case EMIT_DONE:
            break;
        case EMIT_WAIT:
            plan_wait(feed_plan(session->feed), &work->waiter);
            return STEP_WAIT;
        case EMIT_ROOM:
            return session_has_room(session) ? STEP_AGAIN : STEP_WAIT;
        case EMIT_FAIL:
            work->is_over = true;
            break;
        case EMIT_ABORT:
            session_abort(session);
            return STEP_CLOSE;
        }
    }
    return end(session, job);
}

static bool plan_fetch(struct session *session, struct job *job)
{
    struct fetch_work *work = job->work;
    struct store *store = session->env->store;
    if (fetch__has_enough(session, &job->parsed.args.fetch)) {
        return false;
    }
    attach(session, job);
    if (objection(session, job) != NULL || !fetch__prepare(work)) {
        return true;
    }
    fetch__read_messages(work);
    store_read_begin(store);
    work->lookup.trust = shadow_trust(session->account);
    lookup_begin(&work->lookup);
    fetch__ask_ahead(work);
    lookup_end(&work->lookup);
    store_read_end(store);
    return true;
}

static void cancel_fetch(struct session *session, struct job *job)
{
    struct fetch_work *work = job->work;
    if (work->session == NULL) {
        return;
    }
    (void)session;
    if (work->seen_request != NULL) {
        account_request_cancel(&work->seen_request);
    }
    fini(work);
}

static bool is_in_line(const struct job *job)
{
    const struct fetch_work *work = job->work;
    return work->in_line;
}

const struct verb verb_fetch = {.work_size = sizeof(struct fetch_work),
                                .run = run_fetch,
                                .cancel = cancel_fetch,
                                .is_in_line = is_in_line,
                                .plan_ahead = plan_fetch};
