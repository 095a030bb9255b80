/* SEARCH.  A tree of nothing but flags, sets, and modseqs is answered from the model; any other goes
 * upstream by UID, and what comes back is cut to what this client has been told of. */
#include "imap/respdata.h"
#include "past_p.h"
#include "search_p.h"

struct search_work {
    struct session *session;
    struct job *job;
    struct request *request;
    struct refresh_request *refresh;
    bool is_prepared;
    bool is_refreshed;
    bool is_done;
    bool is_lost;      /* its link died before the tagged reply */
    bool was_repeated; /* once */
    bool has_asked;
    struct past past;  /* modseqs */
    enum status status;
    struct search_sets sets;
    struct ranges found; /* UIDs */
    struct buf answer;   /* the upstream's NO */
};

/* --- on the model --------------------------------------------------------------------------------- */

struct match {
    struct search_work *work;
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
    const struct ranges *uids = search_set_of(&match->work->sets, leaf);
    return uids != NULL && ranges_has(uids, match->message->uid);
}

static void search_model(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
    struct view_iter iter;
    struct view_message message;
    struct match match = {.work = work,
                          .flags = mailbox_flags(feed_mailbox(session->feed)),
                          .message = &message};
    view_iter_init(&iter, session->view, NULL);
    while (view_iter_next(&iter, &message)) {
        if (!message.is_vanished &&
            search_match(job->parsed.args.search.root, match_leaf, &match)) {
            ranges_add(&work->found, message.uid, message.uid);
        }
    }
}

/* --- upstream ------------------------------------------------------------------------------------- */

static bool on_untagged(void *arg, const struct response *response)
{
    struct search_work *work = arg;
    uint64_t modseq;
    struct ranges some;
    if (response->kind != RESPONSE_SEARCH) {
        return false;
    }
    ranges_init(&some, 0);
    if (respdata_search(response, &some, &modseq) == OK) {
        ranges_add_all(&work->found, &some);
    }
    ranges_fini(&some);
    return true;
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct search_work *work = arg;
    work->request = NULL;
    work->is_done = true;
    work->is_lost = tagged == NULL && was_sent && st != CANCELED;
    work->status = st;
    if (st != OK && tagged != NULL) {
        emit_relayed(&work->answer, tagged);
    }
    session_wake(work->session);
}

static const struct upcmd_ops search_ops = {
    .flags = UPCMD_SEARCHES, .untagged = on_untagged, .done = on_done};

static enum status search_upstream(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID SEARCH ");
    enum status st = search_write_criteria(&job->parsed.args.search, &work->sets, true, &cmd);
    if (st == OK) {
        const struct destination to = {.route = ROUTE_FEED, .feed = session->feed};
        work->request = account_request(session->account, to, &cmd, &search_ops, work);
    }
    outcmd_fini(&cmd);
    return st;
}

/* --- the answer ----------------------------------------------------------------------------------- */

static uint64_t highest_modseq(struct session *session, const struct ranges *uids)
{
    struct view_iter iter;
    struct view_message message;
    uint64_t highest = 0;
    view_iter_init(&iter, session->view, uids);
    while (view_iter_next(&iter, &message)) {
        highest = message.modseq > highest ? message.modseq : highest;
    }
    return highest;
}

static void write_numbers(const struct ranges *numbers, struct buf *out)
{
    for (size_t i = 0; i < numbers->n; i++) {
        for (uint64_t n = numbers->at[i].first; n <= numbers->at[i].last; n++) {
            buf_add_char(out, ' ');
            buf_add_u64(out, n);
        }
    }
}

static void write_esearch(const struct job *job, const struct ranges *numbers, struct buf *out)
{
    unsigned returns = job->parsed.args.search.returns;
    buf_add_str(out, "* ESEARCH (TAG ");
    emit_string(out, job->parsed.tag);
    buf_add_str(out, command_is_uid(&job->parsed) ? ") UID" : ")");
    if (numbers->n > 0 && (returns & SEARCH_RETURN_MIN) != 0) {
        buf_printf(out, " MIN %u", (unsigned)numbers->at[0].first);
    }
    if (numbers->n > 0 && (returns & SEARCH_RETURN_MAX) != 0) {
        buf_printf(out, " MAX %u", (unsigned)numbers->at[numbers->n - 1].last);
    }
    if (numbers->n > 0 && (returns & SEARCH_RETURN_ALL) != 0) {
        buf_add_str(out, " ALL ");
        ranges_format(numbers, out);
    }
    if ((returns & SEARCH_RETURN_COUNT) != 0) {
        buf_printf(out, " COUNT %llu", (unsigned long long)ranges_count(numbers));
    }
}

/* Only messages that are there: runs from an upstream's set are exact, gaps of a view are not. */
static void numbers_of(struct session *session, struct job *job, struct ranges *out)
{
    struct search_work *work = job->work;
    struct view_iter iter;
    struct view_message message;
    bool is_uid = command_is_uid(&job->parsed);
    view_iter_init(&iter, session->view, &work->found);
    while (view_iter_next(&iter, &message)) {
        uint32_t number = is_uid ? message.uid : message.msn;
        ranges_add(out, number, number);
    }
}

/* RFC 5182 2.4: with MIN, MAX or both of them and nothing else, those alone are kept. */
static void save(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
    unsigned others = job->parsed.args.search.returns & ~(unsigned)SEARCH_RETURN_SAVE;
    bool is_ends = others != 0 && (others & (SEARCH_RETURN_ALL | SEARCH_RETURN_COUNT)) == 0;
    struct view_iter iter;
    struct view_message message;
    struct ranges *saved = &session->saved;
    ranges_reset(saved);
    view_iter_init(&iter, session->view, &work->found);
    while (view_iter_next(&iter, &message)) {
        if (!message.is_vanished) {
            ranges_add(saved, message.uid, message.uid);
        }
    }
    if (is_ends && saved->n > 0) {
        uint32_t first = saved->at[0].first, last = saved->at[saved->n - 1].last;
        uint32_t kept = (others & SEARCH_RETURN_MIN) != 0 ? first : last;
        ranges_reset(saved);
        ranges_add(saved, kept, kept);
        kept = (others & SEARCH_RETURN_MAX) != 0 ? last : first;
        ranges_add(saved, kept, kept);
    }
}

/* SAVE alone: nothing is told (RFC 5182 2.1). */
static void tell(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
    const struct args_search *args = &job->parsed.args.search;
    struct ranges numbers;
    struct buf out;
    if (args->has_return && args->returns == SEARCH_RETURN_SAVE) {
        return;
    }
    ranges_init(&numbers, 0);
    buf_init(&out, 0);
    numbers_of(session, job, &numbers);
    if (args->has_return) {
        write_esearch(job, &numbers, &out);
    } else {
        buf_add_str(&out, "* SEARCH");
        write_numbers(&numbers, &out);
    }
    bool tells_modseq = (args->root->classes & SEARCH_USES_MODSEQ) != 0 && numbers.n > 0;
    if (tells_modseq) {
        buf_printf(&out, args->has_return ? " MODSEQ %llu" : " (MODSEQ %llu)",
                   (unsigned long long)highest_modseq(session, &work->found));
    }
    buf_add_str(&out, "\r\n");
    session_write(session, buf_slice(&out));
    buf_fini(&out);
    ranges_fini(&numbers);
}

static bool saves(const struct job *job)
{
    return (job->parsed.args.search.returns & SEARCH_RETURN_SAVE) != 0;
}

static void answer(struct session *session, struct job *job)
{
    tell(session, job);
    if (saves(job)) {
        save(session, job);
        job_finish_str(session, job, "OK Search completed, result saved.");
    } else {
        job_finish_str(session, job, "OK Search completed.");
    }
}

static void refuse(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
    if (work->answer.len > 0) {
        job_finish(session, job, buf_slice(&work->answer));
    } else {
        job_finish_status(session, job, work->status);
    }
}

/* --- running -------------------------------------------------------------------------------------- */

static void refreshed(void *arg, enum status st)
{
    struct search_work *work = arg;
    (void)st; /* answered from what is known, as the client's own view is */
    work->refresh = NULL;
    work->is_refreshed = true;
    session_wake(work->session);
}

static void fini_search(struct search_work *work)
{
    if (work->refresh != NULL) {
        feed_refresh_cancel(&work->refresh); /* something else has made the model fresh meanwhile */
    }
    past_fini(&work->past);
    search_sets_fini(&work->sets);
    ranges_fini(&work->found);
    buf_fini(&work->answer);
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

static enum step finish(struct session *session, struct job *job, const char *text)
{
    job_finish_str(session, job, text);
    fini_search(job->work);
    return STEP_DONE;
}

static enum step start_search(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
    const struct args_search *args = &job->parsed.args.search;
    ranges_init(&work->found, 0);
    buf_init(&work->answer, 64 * 1024);
    work->session = session;
    work->job = job;
    work->is_prepared = true;
    if ((args->root->classes & SEARCH_USES_MODSEQ) != 0) {
        session_enable_condstore(session);
    }
    enum status st = search_prepare(session, job, &work->sets);
    if (st != OK) {
        return finish(session, job, st == LIMIT ? "NO [LIMIT] Search too complex"
                                                : "BAD Invalid messageset");
    }
    if (!is_local(args) && search_upstream(session, job) != OK) {
        return finish(session, job, "BAD Invalid search");
    }
    return STEP_AGAIN;
}

/* The answer names the highest modseq, and a criterion may compare them. */
static enum step ask_modseqs(struct session *session, struct job *job, const struct ranges *uids)
{
    struct search_work *work = job->work;
    if ((job->parsed.args.search.root->classes & SEARCH_USES_MODSEQ) != 0 && !work->has_asked) {
        work->has_asked = true;
        (void)past_wants_modseqs(&work->past, session, uids);
    }
    return past_run(&work->past);
}

static enum step run_local(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
    if (!work->is_refreshed && !feed_is_fresh(session->feed)) {
        if (work->refresh == NULL) {
            work->refresh = feed_refresh(session->feed, false, refreshed, work);
        }
        return STEP_WAIT;
    }
    if (ask_modseqs(session, job, NULL) == STEP_WAIT) {
        return STEP_WAIT;
    }
    search_model(session, job);
    answer(session, job);
    fini_search(work);
    return STEP_DONE;
}

static enum step run_search(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
    if (!work->is_prepared) {
        enum step step = start_search(session, job);
        if (step != STEP_AGAIN) {
            return step;
        }
    }
    if (is_local(&job->parsed.args.search)) {
        return run_local(session, job);
    }
    if (work->is_lost && !work->was_repeated) {
        work->was_repeated = work->status != AGAIN; /* not by its fault */
        work->is_done = work->is_lost = false;
        ranges_reset(&work->found);
        if (search_upstream(session, job) != OK) {
            return finish(session, job, "BAD Invalid search"); /* it went once */
        }
    }
    if (!work->is_done) {
        return STEP_WAIT;
    }
    if (work->status == OK && ask_modseqs(session, job, &work->found) == STEP_WAIT) {
        return STEP_WAIT;
    }
    if (work->status == OK) {
        answer(session, job);
    } else {
        refuse(session, job);
    }
    fini_search(work);
    return STEP_DONE;
}

static void cancel_search(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
    (void)session;
    if (work->request != NULL) {
        account_request_cancel(&work->request);
    }
    fini_search(work);
}

const struct verb verb_search = {
    .work_size = sizeof(struct search_work), .run = run_search, .cancel = cancel_search};
