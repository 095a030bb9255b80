/* Which messages criteria select.  A tree of nothing but flags, sets, and modseqs is answered from the
 * model; any other goes upstream by UID. */
#include "imap/respdata.h"
#include "search_p.h"

/* --- on the model --------------------------------------------------------------------------------- */

struct match {
    struct search_run *run;
    struct flags *flags;
    const struct view_message *message;
};

static bool has_flag(const struct match *match, unsigned flag)
{
    const char *name = flag_name((enum imap_flag)flag);
    uint8_t bit = flag_bit_named(slice_str(name));
    return (flags_bits(match->flags, match->message->flags) & bit) != 0;
}

static bool match_leaf(void *arg, const struct search_node *leaf)
{
    const struct match *match = arg;
    uint16_t keyword;
    if (leaf->key == SEARCH_FLAG) {
        return has_flag(match, leaf->flag);
    }
    if (leaf->key == SEARCH_KEYWORD) {
        return flags_find_keyword(match->flags, leaf->text, &keyword) &&
               flags_has_keyword(match->flags, match->message->flags, keyword);
    }
    if (leaf->key == SEARCH_MODSEQ) {
        return match->message->modseq >= leaf->number;
    }
    const struct ranges *uids = search_set_of(&match->run->sets, leaf);
    return uids != NULL && ranges_has(uids, match->message->uid);
}

static void search_model(struct search_run *run)
{
    struct view_iter iter;
    struct view_message message;
    struct match match = {.run = run,
                          .flags = mailbox_flags(feed_mailbox(run->session->feed)),
                          .message = &message};
    view_iter_init(&iter, run->session->view, NULL);
    while (view_iter_next(&iter, &message)) {
        if (!message.is_vanished &&
            search_match(run->job->parsed.args.search.root, match_leaf, &match)) {
            bitmap_add(run->found, message.uid, message.uid);
        }
    }
}

/* --- upstream ------------------------------------------------------------------------------------- */

static bool on_untagged(void *arg, const struct response *response)
{
    struct search_run *run = arg;
    uint64_t modseq;
    struct ranges some;
    if (response->kind != RESPONSE_SEARCH) {
        return false;
    }
    ranges_init(&some, 0);
    if (respdata_search(response, &some, &modseq) == OK) {
        bitmap_add_ranges(run->found, &some);
    }
    ranges_fini(&some);
    return true;
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct search_run *run = arg;
    run->request = NULL;
    run->is_answered = true;
    run->is_lost = tagged == NULL && was_sent && st != CANCELED;
    run->status = st;
    if (st != OK && tagged != NULL) {
        emit_relayed(&run->refusal, tagged);
    }
    session_wake(run->session);
}

static const struct upcmd_ops search_ops = {
    .flags = UPCMD_SEARCHES, .untagged = on_untagged, .done = on_done};

static bool ask(struct search_run *run)
{
    struct session *session = run->session;
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID SEARCH ");
    enum status st =
        search_write_criteria(&run->job->parsed.args.search, &run->sets, true, &cmd);
    if (st == OK) {
        const struct destination to = {.route = ROUTE_FEED, .feed = session->feed};
        run->is_answered = run->is_lost = false;
        bitmap_clear(run->found);
        run->request = account_request(session->account, to, &cmd, &search_ops, run);
    }
    outcmd_fini(&cmd);
    return st == OK;
}

/* --- running -------------------------------------------------------------------------------------- */

static void refreshed(void *arg, enum status st)
{
    struct search_run *run = arg;
    (void)st; /* answered from what is known, as the client's own view is */
    run->refresh = NULL;
    run->is_refreshed = true;
    session_wake(run->session);
}

static bool is_known_charset(struct slice charset)
{
    return charset.len == 0 || slice_eq_nocase(charset, SLICE("UTF-8")) ||
           slice_eq_nocase(charset, SLICE("US-ASCII"));
}

static bool is_local(const struct args_search *args)
{
    return (args->root->classes & (SEARCH_IS_IMMUTABLE | SEARCH_IS_VOLATILE)) == 0 &&
           is_known_charset(args->charset);
}

static void fail(struct search_run *run, enum status st, const char *text)
{
    run->is_done = true;
    run->status = st;
    buf_add_str(&run->refusal, text);
}

void search_run_begin(struct search_run *run, struct session *session, struct job *job)
{
    run->session = session;
    run->job = job;
    run->is_begun = true;
    run->found = bitmap_create();
    buf_init(&run->refusal, 64 * 1024);
    if ((job->parsed.args.search.root->classes & SEARCH_USES_MODSEQ) != 0) {
        session_enable_condstore(session);
    }
    enum status st = search_prepare(session, job, &run->sets);
    if (st == LIMIT) {
        fail(run, st, "NO [LIMIT] Search too complex");
    } else if (st != OK) {
        fail(run, st, "BAD Invalid messageset");
    }
}

void search_run_ask(struct search_run *run)
{
    run->is_missing = run->is_done = false;
    if (!ask(run)) {
        fail(run, SYNTAX, "BAD Invalid search");
    }
}

static bool is_fresh_enough(struct search_run *run)
{
    if (run->is_refreshed || feed_is_fresh(run->session->feed)) {
        return true;
    }
    if (run->refresh == NULL) {
        run->refresh = feed_refresh(run->session->feed, false, refreshed, run);
    }
    return false;
}

static enum step step_local(struct search_run *run)
{
    bool has_modseq = (run->job->parsed.args.search.root->classes & SEARCH_USES_MODSEQ) != 0;
    if (!is_fresh_enough(run)) {
        return STEP_WAIT;
    }
    if (has_modseq && !run->has_asked_past) {
        run->has_asked_past = true;
        (void)past_wants_modseqs(&run->past, run->session, NULL);
    }
    if (past_run(&run->past) == STEP_WAIT) {
        return STEP_WAIT;
    }
    search_model(run);
    run->status = OK;
    run->is_done = true;
    return STEP_DONE;
}

enum step search_run_step(struct search_run *run)
{
    if (run->is_done) {
        return STEP_DONE;
    }
    if (is_local(&run->job->parsed.args.search)) {
        return step_local(run);
    }
    if (run->request == NULL && !run->is_answered && run->stops_at_missing) {
        run->stops_at_missing = false;
        run->is_missing = run->is_done = true;
        return STEP_DONE;
    }
    if (run->request == NULL && !run->is_answered) {
        search_run_ask(run);
    } else if (run->is_answered && run->is_lost && !run->was_repeated) {
        run->was_repeated = run->status != AGAIN; /* not by its fault */
        search_run_ask(run);
    } else if (run->is_answered) {
        run->is_done = true;
    }
    return run->is_done ? STEP_DONE : STEP_WAIT;
}

void search_run_refuse(struct search_run *run)
{
    if (run->refusal.len > 0) {
        job_finish(run->session, run->job, buf_slice(&run->refusal));
    } else {
        job_finish_status(run->session, run->job, run->status);
    }
}

void search_run_fini(struct search_run *run)
{
    if (!run->is_begun) {
        return;
    }
    if (run->request != NULL) {
        account_request_cancel(&run->request);
    }
    if (run->refresh != NULL) {
        feed_refresh_cancel(&run->refresh); /* something else has made the model fresh meanwhile */
    }
    past_fini(&run->past);
    search_sets_fini(&run->sets);
    bitmap_destroy(&run->found);
    buf_fini(&run->refusal);
}
