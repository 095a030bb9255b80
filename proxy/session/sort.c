/* SORT and THREAD: the upstream's order, its UIDs turned into what the client asked for. */
#include "imap/respdata.h"
#include "search_p.h"

struct sort_work {
    struct session *session;
    struct job *job;
    struct request *request;
    bool is_done;
    bool is_lost;      /* its link died before the tagged reply */
    bool was_repeated; /* once */
    enum status status;
    struct search_sets sets;
    struct buf lines;  /* the answer, without "* SORT" */
    struct buf answer; /* the upstream's NO */
};

static uint32_t map_uid(void *arg, uint32_t uid)
{
    struct sort_work *work = arg;
    uint32_t msn = view_msn_of(work->session->view, uid);
    return msn != 0 && command_is_uid(&work->job->parsed) ? uid : msn;
}

static void take_sort(struct sort_work *work, const struct response *response)
{
    struct arena arena;
    const uint32_t *uids;
    size_t n;
    arena_init(&arena, 64 * 1024 * 1024);
    if (respdata_numbers(response, &arena, &uids, &n) == OK) {
        for (size_t i = 0; i < n; i++) {
            uint32_t number = map_uid(work, uids[i]);
            if (number != 0) {
                buf_add_char(&work->lines, ' ');
                buf_add_u64(&work->lines, number);
            }
        }
    }
    arena_reset(&arena);
}

static void take_thread(struct sort_work *work, const struct response *response)
{
    struct buf threads;
    buf_init(&threads, 0);
    if (respdata_thread_map(response, map_uid, work, &threads) == OK && threads.len > 0) {
        buf_add_char(&work->lines, ' ');
        buf_add(&work->lines, buf_slice(&threads));
    }
    buf_fini(&threads);
}

static bool on_untagged(void *arg, const struct response *response)
{
    struct sort_work *work = arg;
    if (response->kind == RESPONSE_SORT) {
        take_sort(work, response);
    } else if (response->kind == RESPONSE_THREAD) {
        take_thread(work, response);
    } else {
        return false;
    }
    return true;
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct sort_work *work = arg;
    work->request = NULL;
    work->is_done = true;
    work->is_lost = tagged == NULL && was_sent && st != CANCELED;
    work->status = st;
    if (st != OK && tagged != NULL) {
        emit_relayed(&work->answer, tagged);
    }
    session_wake(work->session);
}

static const struct upcmd_ops sort_ops = {
    .flags = UPCMD_SEARCHES, .untagged = on_untagged, .done = on_done};

static enum capability needed(const struct job *job)
{
    static const enum capability threads[] = {
        [THREAD_ORDEREDSUBJECT] = CAP_THREAD_ORDEREDSUBJECT,
        [THREAD_REFERENCES] = CAP_THREAD_REFERENCES,
        [THREAD_REFS] = CAP_THREAD_REFS};
    return job->parsed.info->id == CMD_SORT ? CAP_SORT
                                            : threads[job->parsed.args.search.algorithm];
}

static void write_program(const struct job *job, struct outcmd *cmd)
{
    static const char *const names[] = {[THREAD_ORDEREDSUBJECT] = "ORDEREDSUBJECT ",
                                        [THREAD_REFERENCES] = "REFERENCES ",
                                        [THREAD_REFS] = "REFS "};
    const struct args_search *args = &job->parsed.args.search;
    if (job->parsed.info->id == CMD_SORT) {
        outcmd_str(cmd, "UID SORT (");
        outcmd_token(cmd, args->sort_program);
        outcmd_str(cmd, ") ");
    } else {
        outcmd_str(cmd, "UID THREAD ");
        outcmd_str(cmd, names[args->algorithm]);
    }
}

static void fini_sort(struct sort_work *work)
{
    search_sets_fini(&work->sets);
    buf_fini(&work->lines);
    buf_fini(&work->answer);
}

static enum status send_sort(struct session *session, struct job *job)
{
    struct sort_work *work = job->work;
    struct outcmd cmd;
    outcmd_init(&cmd);
    write_program(job, &cmd);
    enum status st = search_write_criteria(&job->parsed.args.search, &work->sets, false, &cmd);
    if (st == OK) {
        const struct destination to = {.route = ROUTE_FEED, .feed = session->feed};
        work->request = account_request(session->account, to, &cmd, &sort_ops, work);
    }
    outcmd_fini(&cmd);
    return st;
}

static enum step refuse_sort(struct session *session, struct job *job, const char *text)
{
    job_finish_str(session, job, text);
    fini_sort(job->work);
    return STEP_DONE;
}

static enum step start_sort(struct session *session, struct job *job)
{
    struct sort_work *work = job->work;
    work->session = session;
    work->job = job;
    buf_init(&work->lines, 0);
    buf_init(&work->answer, 64 * 1024);
    if (!capability_is_offered(account_capabilities(session->account), needed(job)) ||
        job->parsed.args.search.has_return) {
        return refuse_sort(session, job, "BAD Not offered here");
    }
    if (search_prepare(session, job, &work->sets) != OK || send_sort(session, job) != OK) {
        return refuse_sort(session, job, "BAD Invalid messageset");
    }
    return STEP_WAIT;
}

static enum step run_sort(struct session *session, struct job *job)
{
    struct sort_work *work = job->work;
    bool is_sort = job->parsed.info->id == CMD_SORT;
    if (work->session == NULL) {
        return start_sort(session, job);
    }
    if (work->is_lost && !work->was_repeated) {
        work->was_repeated = work->status != AGAIN; /* not by its fault */
        work->is_done = work->is_lost = false;
        buf_reset(&work->lines);
        if (send_sort(session, job) != OK) {
            return refuse_sort(session, job, "BAD Invalid messageset"); /* it went once */
        }
    }
    if (!work->is_done) {
        return STEP_WAIT;
    }
    if (work->status == OK) {
        session_write(session, is_sort ? SLICE("* SORT") : SLICE("* THREAD"));
        session_write(session, buf_slice(&work->lines));
        session_write(session, SLICE("\r\n"));
        job_finish_str(session, job, is_sort ? "OK Sort completed." : "OK Thread completed.");
    } else if (work->answer.len > 0) {
        job_finish(session, job, buf_slice(&work->answer));
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
    if (work->request != NULL) {
        account_request_cancel(&work->request);
    }
    fini_sort(work);
}

const struct verb verb_sort = {
    .work_size = sizeof(struct sort_work), .run = run_sort, .cancel = cancel_sort};
const struct verb verb_thread = {
    .work_size = sizeof(struct sort_work), .run = run_sort, .cancel = cancel_sort};
