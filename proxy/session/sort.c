/* SORT and THREAD.
 *
 *   criteria ── search_run ──> messages ──> an order that covers them is known? ──> answer
 *        │                                      │ no: UID SORT (program) UTF-8 UID <messages>
 *        └── only the upstream understands the program: UID SORT (program) charset criteria
 *
 * Orders are of UIDs, and the feed's (account/orders.h); numbers are found at the answer. */
#include "base/alloc.h"
#include "sort_p.h"

struct sort_work {
    struct session *session;
    struct job *job;
    bool is_whole;    /* the criteria go upstream as they are */
    bool has_waited;  /* messages may have vanished since they were found */
    bool is_answered; /* by the upstream */
    struct search_run run;
    struct search_sets sets; /* is_whole */
    struct order_ask *ahead; /* the same order, asked for before the messages were known */
    struct order_ask *ask;
    /* The upstream's answer. */
    enum status status;
    struct order *order;
    struct bitmap *uids; /* of the messages that were meant those that are in it */
    struct buf threads;
    struct buf refusal;
};

static bool is_thread(const struct job *job)
{
    return job->parsed.info->id == CMD_THREAD;
}

static const struct args_search *args_of(const struct job *job)
{
    return &job->parsed.args.search;
}

static enum capability needed(const struct job *job)
{
    static const enum capability threads[] = {
        [THREAD_ORDEREDSUBJECT] = CAP_THREAD_ORDEREDSUBJECT,
        [THREAD_REFERENCES] = CAP_THREAD_REFERENCES,
        [THREAD_REFS] = CAP_THREAD_REFS};
    return is_thread(job) ? threads[args_of(job)->algorithm] : CAP_SORT;
}

static struct slice program_of(const struct job *job)
{
    static const struct slice algorithms[] = {
        [THREAD_ORDEREDSUBJECT] = SLICE("ORDEREDSUBJECT"),
        [THREAD_REFERENCES] = SLICE("REFERENCES"),
        [THREAD_REFS] = SLICE("REFS")};
    return is_thread(job) ? algorithms[args_of(job)->algorithm] : args_of(job)->sort_program;
}

/* Relevance depends on the criteria; keys that are not known here may.  All others are asked for by UID:
 * Dovecot 2.3 tells a wrong order of messages in which it has just searched for a header field. */
static bool goes_whole(const struct session *session, const struct job *job)
{
    return !orders_remembers(account_capabilities(session->account), is_thread(job),
                             program_of(job));
}

/* --- the answer ------------------------------------------------------------------------------- */

/* Of @uids those that are in the view and not gone. */
static void drop_vanished(struct session *session, struct bitmap *uids)
{
    struct bitmap *live = bitmap_create();
    view_bitmap(session->view, live);
    bitmap_and(uids, live);
    bitmap_destroy(&live);
}

/* What a client is told of: names (numbers or UIDs) in their order. */
struct sorted {
    const struct bitmap *found;
    uint32_t *list;
    size_t n;
    size_t from, to; /* of PARTIAL: list[from] .. list[to - 1] */
};

static uint32_t uid_of(struct session *session, const struct job *job, uint32_t name)
{
    return command_is_uid(&job->parsed) ? name : view_uid_of(session->view, name);
}

/* RFC 9394 3.1: counted from 1, or from the end; either way round. */
static void cut(const struct args_search *args, struct sorted *sorted)
{
    uint64_t first = args->partial_first, last = args->partial_last, n = sorted->n;
    uint64_t low = first < last ? first : last, high = first < last ? last : first;
    if (!args->has_partial || low == 0 || low > n) {
        return;
    }
    high = high < n ? high : n;
    sorted->from = (size_t)(args->is_partial_from_end ? n - high : low - 1);
    sorted->to = (size_t)(args->is_partial_from_end ? n - low + 1 : high);
}

/* The messages that the options name: with MIN, MAX, PARTIAL and nothing else those alone (RFC 4731
 * 3.2 for their modseq, RFC 5182 2.4 and 9394 3.1 for "$"). */
static void named_uids(struct session *session, const struct job *job, const struct sorted *sorted,
                       struct ranges *out)
{
    const struct args_search *args = args_of(job);
    unsigned returns = args->has_return ? args->returns : 0;
    if ((returns & (SEARCH_RETURN_MIN | SEARCH_RETURN_MAX | SEARCH_RETURN_PARTIAL)) == 0 ||
        (returns & (SEARCH_RETURN_ALL | SEARCH_RETURN_COUNT)) != 0) {
        bitmap_to_ranges(sorted->found, out);
        return;
    }
    size_t ends[] = {0, sorted->n - 1};
    static const unsigned options[] = {SEARCH_RETURN_MIN, SEARCH_RETURN_MAX};
    for (size_t i = 0; i < 2 && sorted->n > 0; i++) {
        if ((returns & options[i]) != 0) {
            uint32_t uid = uid_of(session, job, sorted->list[ends[i]]);
            ranges_add(out, uid, uid);
        }
    }
    for (size_t i = sorted->from; i < sorted->to; i++) {
        uint32_t uid = uid_of(session, job, sorted->list[i]);
        ranges_add(out, uid, uid);
    }
}

static uint64_t modseq_of(struct session *session, const struct job *job,
                          const struct sorted *sorted)
{
    struct ranges uids;
    ranges_init(&uids, 0);
    named_uids(session, job, sorted, &uids);
    uint64_t highest = search_highest_modseq(session, &uids);
    ranges_fini(&uids);
    return highest;
}

static void write_partial(const struct args_search *args, const struct sorted *sorted,
                          struct buf *out)
{
    uint32_t first = args->partial_first, last = args->partial_last;
    const char *sign = args->is_partial_from_end ? "-" : "";
    buf_printf(out, " PARTIAL (%s%u:%s%u ", sign, (unsigned)(first < last ? first : last), sign,
               (unsigned)(first < last ? last : first));
    if (sorted->to > sorted->from) {
        sort_write_set(sorted->list + sorted->from, sorted->to - sorted->from, out);
    } else {
        buf_add_str(out, "NIL");
    }
    buf_add_char(out, ')');
}

/* RFC 5267 3.1: MIN and MAX are the first and the last in the order. */
static void write_esearch(const struct job *job, const struct sorted *sorted, struct buf *out)
{
    const struct args_search *args = args_of(job);
    unsigned returns = args->returns;
    buf_add_str(out, "* ESEARCH (TAG ");
    emit_string(out, job->parsed.tag);
    buf_add_str(out, command_is_uid(&job->parsed) ? ") UID" : ")");
    if (sorted->n > 0 && (returns & SEARCH_RETURN_MIN) != 0) {
        buf_printf(out, " MIN %u", (unsigned)sorted->list[0]);
    }
    if (sorted->n > 0 && (returns & SEARCH_RETURN_MAX) != 0) {
        buf_printf(out, " MAX %u", (unsigned)sorted->list[sorted->n - 1]);
    }
    if (sorted->n > 0 && (returns & SEARCH_RETURN_ALL) != 0) {
        buf_add_str(out, " ALL ");
        sort_write_set(sorted->list, sorted->n, out);
    }
    if (args->has_partial) {
        write_partial(args, sorted, out);
    }
    if ((returns & SEARCH_RETURN_COUNT) != 0) {
        buf_printf(out, " COUNT %zu", sorted->n);
    }
}

static void write_sorted(struct session *session, const struct job *job,
                         const struct sorted *sorted, struct buf *out)
{
    const struct args_search *args = args_of(job);
    if (args->has_return) {
        write_esearch(job, sorted, out);
    } else {
        buf_add_str(out, "* SORT");
        sort_write_list(sorted->list, sorted->n, out);
    }
    if ((args->root->classes & SEARCH_USES_MODSEQ) != 0 && sorted->n > 0) {
        buf_printf(out, args->has_return ? " MODSEQ %llu" : " (MODSEQ %llu)",
                   (unsigned long long)modseq_of(session, job, sorted));
    }
    buf_add_str(out, "\r\n");
}

static void answer_sort(struct session *session, struct job *job, const struct order *order,
                        const struct bitmap *found)
{
    const struct args_search *args = args_of(job);
    struct sorted sorted = {.found = found};
    struct sort_names names;
    struct buf out;
    buf_init(&out, 0);
    sort_names_init(&names, session->view, found, command_is_uid(&job->parsed));
    sorted.n = sort_list(order, &names, &sorted.list);
    cut(args, &sorted);
    if (!args->has_return || args->returns != SEARCH_RETURN_SAVE) { /* RFC 5182 2.1 */
        write_sorted(session, job, &sorted, &out);
        session_write(session, buf_slice(&out));
    }
    if ((args->returns & SEARCH_RETURN_SAVE) != 0) {
        ranges_reset(&session->saved);
        named_uids(session, job, &sorted, &session->saved);
    }
    alloc_free(sorted.list);
    sort_names_fini(&names);
    buf_fini(&out);
    job_finish_str(session, job, "OK Sort completed.");
}

static void answer_threads(struct session *session, struct job *job, struct slice threads,
                           const struct bitmap *found)
{
    struct sort_names names;
    struct buf out;
    buf_init(&out, 0);
    buf_add_str(&out, "* THREAD");
    sort_names_init(&names, session->view, found, command_is_uid(&job->parsed));
    if (threads.len > 0) {
        buf_add_char(&out, ' ');
        sort_write_threads(threads, &names, &out);
    }
    buf_add_str(&out, "\r\n");
    session_write(session, buf_slice(&out));
    sort_names_fini(&names);
    buf_fini(&out);
    job_finish_str(session, job, "OK Thread completed.");
}

/* --- running ---------------------------------------------------------------------------------- */

static void fini_sort(struct sort_work *work)
{
    if (work->ahead != NULL) {
        orders_cancel(&work->ahead);
    }
    search_run_fini(&work->run);
    search_sets_fini(&work->sets);
    order_destroy(&work->order);
    bitmap_destroy(&work->uids);
    buf_fini(&work->threads);
    buf_fini(&work->refusal);
}

static enum step finish(struct session *session, struct job *job, const char *text)
{
    job_finish_str(session, job, text);
    fini_sort(job->work);
    return STEP_DONE;
}

static void on_order(void *arg, const struct order_answer *answer)
{
    struct sort_work *work = arg;
    work->ask = NULL;
    work->is_answered = true;
    work->status = answer->status;
    if (answer->status == OK) {
        work->order = answer->order != NULL ? order_copy(answer->order) : NULL;
        work->uids = bitmap_copy(answer->uids);
        buf_add(&work->threads, answer->threads);
        if (!answer->is_selected) { /* an order may be of more */
            bitmap_and(work->uids, work->run.found);
        }
    }
    buf_add(&work->refusal, answer->refusal);
    session_wake(work->session);
}

/* It is remembered, where it may be. */
static void on_ahead(void *arg, const struct order_answer *answer)
{
    struct sort_work *work = arg;
    (void)answer;
    work->ahead = NULL;
}

/* Of @uids; NULL: of those that the criteria select. */
static enum status ask(struct sort_work *work, const struct bitmap *uids, struct order_ask **out,
                       order_done_fn *done)
{
    struct session *session = work->session;
    const struct args_search *args = args_of(work->job);
    struct outcmd criteria;
    const struct order_question question = {
        .is_thread = is_thread(work->job),
        .program = program_of(work->job),
        .uids = uids,
        .criteria = &criteria,
        .is_by_flags = (args->root->classes & (SEARCH_IS_IMMUTABLE | SEARCH_IS_VOLATILE)) == 0};
    outcmd_init(&criteria);
    enum status st = search_write_criteria(args, work->is_whole ? &work->sets : &work->run.sets,
                                           false, &criteria);
    if (st == OK) {
        work->has_waited = true;
        *out = orders_ask(feed_orders(session->feed), &question, done, work);
    }
    outcmd_fini(&criteria);
    return st;
}

static enum step begin(struct session *session, struct job *job)
{
    struct sort_work *work = job->work;
    work->session = session;
    work->job = job;
    buf_init(&work->threads, 0);
    buf_init(&work->refusal, 64 * 1024);
    if (!capability_is_offered(account_capabilities(session->account), needed(job))) {
        return finish(session, job, "BAD Not offered here");
    }
    work->is_whole = goes_whole(session, job);
    if (!work->is_whole) {
        search_run_begin(&work->run, session, job);
        work->run.stops_at_missing = true;
        return STEP_AGAIN;
    }
    enum status st = search_prepare(session, job, &work->sets);
    if (st == LIMIT) {
        return finish(session, job, "NO [LIMIT] Search too complex");
    }
    if (st != OK || ask(work, NULL, &work->ask, on_order) != OK) {
        return finish(session, job, "BAD Invalid search");
    }
    return STEP_AGAIN;
}

/* The upstream has to say which messages they are.  Where they can only be few, their order is asked
 * for in the same flight: of all that may be among them, as the order of UIDs alone is sure.  Once
 * they are known the question about them joins it, if it is still under way: until then somebody waits
 * for it, so that it is not given up for others that nobody does. */
static void ask_ahead(struct sort_work *work)
{
    enum { FEW = 1000 };
    struct orders *orders = feed_orders(work->session->feed);
    const struct search_part *part;
    const struct bitmap *need;
    struct order_answer known;
    if (is_thread(work->job) || !search_run_is_single(&work->run, &part, &need)) {
        return; /* threads are of the very messages */
    }
    struct bitmap *candidates = bitmap_copy(work->run.found);
    bitmap_or(candidates, need);
    const struct order_question question = {.program = program_of(work->job), .uids = candidates};
    if (bitmap_count(candidates) <= FEW && !orders_find(orders, &question, &known)) {
        (void)ask(work, candidates, &work->ahead, on_ahead); /* if not, it is asked for later */
    }
    bitmap_destroy(&candidates);
}

/* @uids: those that are told of, as far as they are in the view still. */
static enum step answer(struct session *session, struct job *job, const struct order *order,
                        struct slice threads, struct bitmap *uids)
{
    struct sort_work *work = job->work;
    if (work->is_whole && (args_of(job)->root->classes & SEARCH_USES_MODSEQ) != 0) {
        session_enable_condstore(session); /* T24; the run does it for what is not */
    }
    if (work->has_waited) {
        drop_vanished(session, uids);
    }
    if (is_thread(job)) {
        answer_threads(session, job, threads, uids);
    } else {
        answer_sort(session, job, order, uids);
    }
    fini_sort(work);
    return STEP_DONE;
}

/* It is known which messages they are: is their order? */
static enum step order_found(struct session *session, struct job *job)
{
    struct sort_work *work = job->work;
    struct order_answer known = {.status = OK};
    const struct order nothing = {.uids = work->run.found};
    const struct order_question question = {.is_thread = is_thread(job),
                                            .program = program_of(job),
                                            .uids = work->run.found};
    search_run_settle(&work->run);
    if (bitmap_empty(work->run.found)) {
        return answer(session, job, &nothing, SLICE(""), work->run.found);
    }
    if (orders_find(feed_orders(session->feed), &question, &known)) {
        return answer(session, job, known.order, known.threads, work->run.found);
    }
    return ask(work, work->run.found, &work->ask, on_order) == OK
               ? STEP_WAIT
               : finish(session, job, "BAD Invalid search");
}

static enum step find_messages(struct session *session, struct job *job)
{
    struct sort_work *work = job->work;
    enum step step = STEP_AGAIN;
    while (step == STEP_AGAIN) {
        step = search_run_step(&work->run);
        if (step == STEP_DONE && work->run.is_missing) {
            ask_ahead(work);
            search_run_ask(&work->run);
            step = STEP_AGAIN;
        } else if (step == STEP_DONE && work->run.status == OK) {
            step = order_found(session, job);
        } else if (step == STEP_DONE) {
            search_run_refuse(&work->run);
            fini_sort(work);
        }
    }
    return step;
}

static enum step run_sort(struct session *session, struct job *job)
{
    struct sort_work *work = job->work;
    if (work->session == NULL) {
        enum step step = begin(session, job);
        if (step != STEP_AGAIN) {
            return step;
        }
    }
    if (work->ask != NULL) {
        return STEP_WAIT;
    }
    if (!work->is_answered) {
        return find_messages(session, job);
    }
    if (work->status == OK) {
        return answer(session, job, work->order, buf_slice(&work->threads), work->uids);
    }
    if (work->refusal.len > 0) {
        job_finish_quoting(session, job, buf_slice(&work->refusal));
    } else {
        job_finish_status(session, job, work->status);
    }
    fini_sort(work);
    return STEP_DONE;
}

static void cancel_sort(struct session *session, struct job *job)
{
    struct sort_work *work = job->work;
    (void)session;
    if (work->ask != NULL) {
        orders_cancel(&work->ask);
    }
    fini_sort(work);
}

const struct verb verb_sort = {.work_size = sizeof(struct sort_work),
                               .run = run_sort,
                               .cancel = cancel_sort,
                               .is_for_client = true};
const struct verb verb_thread = {.work_size = sizeof(struct sort_work),
                                 .run = run_sort,
                                 .cancel = cancel_sort,
                                 .is_for_client = true};
