/* NAMESPACE (RFC 2342): the upstream's, or one made of the delimiter that LIST "" "" tells. */
#include "list_p.h"

struct namespace_work {
    struct session *session;
    struct lists_request *request;
    bool is_made; /* by us */
    enum status status;
    struct buf tagged, text;
};

/* The personal one without a prefix; what else there may be LIST shows all the same. */
static void make(struct namespace_work *work, struct slice line)
{
    const struct response response = {.kind = RESPONSE_LIST, .data = unit_of(line)};
    struct respdata_list parsed;
    struct arena arena;
    arena_init(&arena, 64 * 1024);
    buf_add_str(&work->text, "((\"\" ");
    if (respdata_list(&response, &arena, &parsed) == OK && parsed.has_delimiter) {
        emit_string(&work->text, slice_of(&parsed.delimiter, 1));
    } else {
        buf_add_str(&work->text, "NIL");
    }
    buf_add_str(&work->text, ")) NIL NIL");
    arena_reset(&arena);
}

static void answered(void *arg, const struct lists_answer *answer)
{
    struct namespace_work *work = arg;
    work->request = NULL;
    work->status = answer->status;
    if (work->is_made && answer->status == OK) {
        make(work, answer->n > 0 ? answer->lines[0].text : SLICE(""));
    } else {
        buf_add(&work->tagged, answer->tagged);
        if (answer->n > 0) {
            buf_add(&work->text, answer->lines[0].text);
        }
    }
    session_wake(work->session);
}

static void start(struct session *session, struct namespace_work *work)
{
    struct outcmd cmd;
    work->session = session;
    work->is_made = !capability_has(account_capabilities(session->account), CAP_NAMESPACE);
    const struct lists_query query = {
        .topics = LISTS_NAMES,
        .kinds = 1u << (work->is_made ? RESPONSE_LIST : RESPONSE_NAMESPACE)};
    buf_init(&work->tagged, 64 * 1024);
    buf_init(&work->text, 1024 * 1024);
    outcmd_init(&cmd);
    outcmd_str(&cmd, work->is_made ? "LIST \"\" \"\"" : "NAMESPACE");
    work->request = lists_ask(session->account, &query, &cmd, answered, work);
    outcmd_fini(&cmd);
}

static void fini(struct namespace_work *work)
{
    if (work->request != NULL) {
        lists_cancel(&work->request);
    }
    buf_fini(&work->tagged);
    buf_fini(&work->text);
}

static enum step run_namespace(struct session *session, struct job *job)
{
    struct namespace_work *work = job->work;
    if (work->session == NULL) {
        start(session, work);
    }
    if (work->request != NULL) {
        return STEP_WAIT;
    }
    if (work->status == OK && work->text.len > 0) {
        session_write(session, SLICE("* NAMESPACE "));
        session_write(session, buf_slice(&work->text));
        session_write(session, SLICE("\r\n"));
    }
    if (work->tagged.len > 0) {
        job_finish(session, job, buf_slice(&work->tagged));
    } else if (work->status != OK) {
        job_finish_status(session, job, work->status);
    } else {
        job_finish_str(session, job, "OK Namespace completed.");
    }
    fini(work);
    return STEP_DONE;
}

static void cancel_namespace(struct session *session, struct job *job)
{
    struct namespace_work *work = job->work;
    (void)session;
    if (work->session != NULL) {
        fini(work);
    }
}

const struct verb verb_namespace = {
    .work_size = sizeof(struct namespace_work), .run = run_namespace, .cancel = cancel_namespace};
