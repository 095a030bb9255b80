/* IDLE: updates are told as they come (session.c on_changed); any line but DONE is an error. */
#include "session_p.h"

struct idle_work {
    bool is_started;
    bool is_over;
    bool is_done_line;
};

static void on_line(struct session *session, struct job *job, struct slice text)
{
    struct idle_work *work = job->work;
    while (text.len > 0 && text.data[text.len - 1] == ' ') {
        text.len--;
    }
    work->is_over = true;
    work->is_done_line = slice_eq_nocase(text, SLICE("DONE"));
    session->input_job = NULL;
    session_wake(session);
}

static const struct input_ops idle_ops = {.line = on_line};

static enum step run_idle(struct session *session, struct job *job)
{
    struct idle_work *work = job->work;
    if (!work->is_started) {
        work->is_started = true;
        session->input_job = job;
        session->input_ops = &idle_ops;
        session->is_idling = true;
        session_write(session, SLICE("+ idling\r\n"));
        timeout_start(session->env->loop, &session->still_here, SESSION_STILL_HERE_MS);
        if (session->view != NULL) {
            update_tell(session, true, false);
        }
        session_wake(session); /* DONE may be here already */
    }
    if (!work->is_over) {
        return STEP_WAIT;
    }
    session->is_idling = false;
    timeout_stop(&session->still_here);
    job_finish_str(session, job, work->is_done_line ? "OK Idle completed." : "BAD Expected DONE.");
    return STEP_DONE;
}

static void cancel_idle(struct session *session, struct job *job)
{
    (void)job;
    session->is_idling = false;
}

const struct verb verb_idle = {
    .work_size = sizeof(struct idle_work), .run = run_idle, .cancel = cancel_idle};
