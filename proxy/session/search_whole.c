/* Criteria that go upstream as they are, by UID: those too complex to be taken apart, and those in a
 * charset that nothing is known of here.  Nothing of it is remembered. */
#include "imap/respdata.h"
#include "search_p.h"

/* A server of RFC 9051 alone tells ESEARCH whatever is asked. */
static bool is_its_esearch(const struct search_run *run, const struct response *response)
{
    return response->kind == RESPONSE_ESEARCH && run->whole.request != NULL &&
           account_request_has_tag(run->whole.request, respdata_esearch_tag(response));
}

/* False: it cannot be read, or does not say which. */
static bool read_answer(const struct response *response, struct ranges *out)
{
    struct respdata_esearch answer;
    uint64_t modseq;
    if (response->kind == RESPONSE_SEARCH) {
        return respdata_search(response, out, &modseq) == OK;
    }
    return respdata_esearch(response, &answer, out) == OK && respdata_esearch_is_whole(&answer) &&
           (answer.is_uid || !answer.has_all);
}

static bool on_untagged(void *arg, const struct response *response)
{
    struct search_run *run = arg;
    struct ranges some;
    if (response->kind != RESPONSE_SEARCH && !is_its_esearch(run, response)) {
        return false;
    }
    ranges_init(&some, 0);
    if (read_answer(response, &some)) {
        bitmap_add_ranges(run->found, &some);
    } else {
        run->whole.is_garbled = true;
    }
    ranges_fini(&some);
    return true;
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct search_run *run = arg;
    struct search_whole *whole = &run->whole;
    whole->request = NULL;
    whole->is_answered = true;
    whole->is_lost = tagged == NULL && was_sent && st != CANCELED;
    bool is_cut = st == OK && tagged->code == CODE_MESSAGELIMIT; /* RFC 9738: not all were looked at */
    run->status = st == OK && whole->is_garbled ? PROTOCOL : is_cut ? LIMIT : st;
    if (st != OK && tagged != NULL) {
        emit_relayed(&run->refusal, tagged);
    }
    session_wake(run->session);
}

static const struct upcmd_ops whole_ops = {
    .flags = UPCMD_SEARCHES | UPCMD_SEARCH_LINES, .untagged = on_untagged, .done = on_done};

/* Before it is known which messages there are nothing may be said of those that came after SELECT. */
static bool bound(struct search_run *run)
{
    struct search_whole *whole = &run->whole;
    if (run->below <= 1 || whole->is_bound) {
        return true;
    }
    whole->is_bound = true;
    return search_bound(run->session, run->job, &run->sets, run->below - 1) == OK;
}

static void ask(struct search_run *run)
{
    struct session *session = run->session;
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID SEARCH ");
    run->whole.is_answered = run->whole.is_lost = run->whole.is_garbled = false;
    bitmap_clear(run->found);
    if (bound(run) && search_write_criteria(&run->job->parsed.args.search, &run->sets, true, &cmd) == OK) {
        const struct destination to = {
            .route = ROUTE_FEED, .feed = session->feed, .is_by_uid = true};
        run->whole.request = account_request(session->account, to, &cmd, &whole_ops, run);
    } else {
        search__fail(run, SYNTAX, "BAD Invalid search");
    }
    outcmd_fini(&cmd);
}

enum step search__step_whole(struct search_run *run)
{
    struct search_whole *whole = &run->whole;
    bool must_repeat = whole->is_answered && whole->is_lost && !whole->was_repeated;
    if (whole->request == NULL && (!whole->is_answered || must_repeat)) {
        whole->was_repeated = must_repeat && run->status != AGAIN; /* not by its fault */
        ask(run);
    } else if (whole->is_answered) {
        run->phase = SEARCH_DONE;
    }
    return run->phase == SEARCH_DONE ? STEP_DONE : STEP_WAIT;
}
