/* SEARCH: the command.  Which messages it selects is search_run.c's work, what is told of them
 * search_answer.c's. */
#include "search_p.h"

struct search_work {
    struct search_run run;
    struct search_answer_work answer;
    struct past past; /* modseqs of what was found */
    bool has_asked_past;
};

static void fini_search(struct search_work *work)
{
    search_run_fini(&work->run);
    search_answer_fini(&work->answer);
    past_fini(&work->past);
}

/* The answer names the highest modseq. */
static enum step ask_modseqs(struct search_work *work)
{
    if (work->run.has_modseq && !work->has_asked_past) {
        work->has_asked_past = true;
        (void)past_wants_modseqs(&work->past, work->run.session, &work->answer.told);
    }
    return past_run(&work->past);
}

static enum step run_search(struct session *session, struct job *job)
{
    struct search_work *work = job->work;
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
    if (!work->answer.is_begun) {
        search_run_settle(&work->run);
        search_answer_begin(&work->answer, &work->run);
    }
    if (ask_modseqs(work) == STEP_WAIT) {
        return STEP_WAIT;
    }
    search_answer(&work->answer, &work->run);
    fini_search(work);
    return STEP_DONE;
}

static void cancel_search(struct session *session, struct job *job)
{
    (void)session;
    fini_search(job->work);
}

const struct verb verb_search = {
    .work_size = sizeof(struct search_work),
    .run = run_search,
    .cancel = cancel_search,
    .is_for_client = true};
