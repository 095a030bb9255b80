/* SEARCH: the command and its answer.  Which messages it selects is search_run.c's work; what comes
 * out is cut to what this client has been told of. */
#include "search_p.h"

struct search_work {
    struct search_run run;
    struct past past; /* modseqs of what was found */
    bool has_asked_past;
    struct ranges found;
};

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

/* --- running -------------------------------------------------------------------------------------- */

static void fini_search(struct search_work *work)
{
    search_run_fini(&work->run);
    past_fini(&work->past);
    ranges_fini(&work->found);
}

/* The answer names the highest modseq. */
static enum step ask_modseqs(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
    if ((job->parsed.args.search.root->classes & SEARCH_USES_MODSEQ) != 0 &&
        !work->has_asked_past) {
        work->has_asked_past = true;
        (void)past_wants_modseqs(&work->past, session, &work->found);
    }
    return past_run(&work->past);
}

static enum step run_search(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
    if (job->parsed.args.search.has_partial) {
        job_finish_str(session, job, "BAD Unknown RETURN option");
        return STEP_DONE;
    }
    if (!work->run.is_begun) {
        search_run_begin(&work->run, session, job);
    }
    if (search_run_step(&work->run) == STEP_WAIT) {
        return STEP_WAIT;
    }
    if (work->run.status != OK) {
        search_run_refuse(&work->run);
        fini_search(work);
        return STEP_DONE;
    }
    if (ranges_empty(&work->found)) {
        bitmap_to_ranges(work->run.found, &work->found);
    }
    if (ask_modseqs(session, job) == STEP_WAIT) {
        return STEP_WAIT;
    }
    answer(session, job);
    fini_search(work);
    return STEP_DONE;
}

static void cancel_search(struct session *session, struct job *job)
{
    (void)session;
    fini_search(job->work);
}

const struct verb verb_search = {
    .work_size = sizeof(struct search_work), .run = run_search, .cancel = cancel_search};
