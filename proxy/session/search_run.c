/* From criteria to messages:
 *
 *   canonical ──> FRESHEN ──> MODSEQS ──> EVALUATE ──> DONE
 *                                          │    ^
 *                              (MISSING)  v    │ answers laid over
 *                                         ASKING
 *
 * The model answers for flags, modseqs and sets, what is remembered for the parts that only the
 * upstream can evaluate; it is asked about those messages alone whose value is missing and decides
 * (design section 6).  Criteria that do not fit here go upstream as they are (WHOLE). */
#include "base/alloc.h"
#include "search_p.h"

static struct search_node *root_of(const struct search_run *run)
{
    return run->job->parsed.args.search.root;
}

static bool is_known_charset(struct slice charset)
{
    return charset.len == 0 || slice_eq_nocase(charset, SLICE("UTF-8")) ||
           slice_eq_nocase(charset, SLICE("US-ASCII"));
}

/* --- the beginning ---------------------------------------------------------------------------------- */

void search__fail(struct search_run *run, enum status st, const char *text)
{
    run->phase = SEARCH_DONE;
    run->status = st;
    buf_add_str(&run->refusal, text);
}

/* False: it is over. */
static bool prepare(struct search_run *run)
{
    enum status st = search_prepare(run->session, run->job, &run->sets);
    if (st == LIMIT) {
        search__fail(run, st, "NO [LIMIT] Search too complex");
    } else if (st != OK) {
        search__fail(run, st, "BAD Invalid messageset");
    } else if (run->has_modseq && !session_has_modseq(run->session)) { /* RFC 7162 3.1.2.2 */
        st = SYNTAX;
        search__fail(run, st, "BAD This mailbox has no mod-sequences");
    }
    return st == OK;
}

/* As the client wrote it: a server may be wrong about one form of what it is right about in another. */
static void go_whole(struct search_run *run)
{
    search__forget_parts(run);
    search__forget_leaves(run);
    bitmap_destroy(&run->universe); /* what the upstream tells is not cut to it */
    run->job->parsed.args.search.root = run->written;
    search_sets_fini(&run->sets);
    if (prepare(run)) {
        run->phase = SEARCH_WHOLE;
    }
}

/* The owner may want to ask something else instead. */
static bool stops(struct search_run *run)
{
    run->is_missing = run->stops_at_missing;
    run->stops_at_missing = false;
    return run->is_missing;
}

/* Which messages there are is not known: those that a part's answer names are. */
static bool selects_by_part(const struct search_node *node)
{
    bool is_and = node->key == SEARCH_AND;
    if (search_is_part(node) || (!is_and && node->key != SEARCH_OR)) {
        return search_is_part(node);
    }
    for (const struct search_node *child = node->child; child != NULL; child = child->next) {
        if (selects_by_part(child) == is_and) {
            return is_and; /* one is enough for an AND, an OR needs all */
        }
    }
    return !is_and;
}

/* False: the criteria are too many, or not to be taken apart, or in a charset that nothing is known of
 * here. */
static bool is_fit(struct search_run *run)
{
    struct args_search *args = &run->job->parsed.args.search;
    if (search__find_parts(run) != OK || (run->parts_n == 0 && !is_known_charset(args->charset))) {
        return false;
    }
    bool needs_flags = run->parts_n == 0 || search__uses_flags(args->root);
    bool has_flags = run->below == 0 && feed_knows(run->session->feed) == FEED_KNOWS_FLAGS;
    return (!needs_flags || has_flags) && (run->below == 0 || selects_by_part(args->root));
}

static bool make_canonical(struct search_run *run)
{
    struct args_search *args = &run->job->parsed.args.search;
    if ((run->written->classes & SEARCH_IS_GUESSED) != 0) {
        return false; /* `OR XKEY a SEEN`: of XKEY a, or of XKEY and a?  The upstream knows */
    }
    return search_normalize(run->written, &run->job->arena, &args->root) == OK && is_fit(run);
}

void search_run_begin(struct search_run *run, struct session *session, struct job *job)
{
    run->session = session;
    run->job = job;
    run->is_begun = true;
    run->found = bitmap_create();
    run->below = session->view == NULL ? session->feed_user.told.uidnext : 0;
    buf_init(&run->refusal, 64 * 1024);
    run->has_modseq = (root_of(run)->classes & SEARCH_USES_MODSEQ) != 0;
    run->written = root_of(run);
    if (make_canonical(run)) {
        (void)prepare(run);
    } else {
        go_whole(run);
    }
}

/* --- the model --------------------------------------------------------------------------------------- */

static void refreshed(void *arg, enum status st)
{
    struct search_run *run = arg;
    (void)st; /* answered from what is known, as the client's own view is */
    run->refresh = NULL;
    run->is_refreshed = true;
    session_wake(run->session);
}

/* What is said of flags must be true now; text, dates and sizes do not change. */
static enum step freshen(struct search_run *run)
{
    bool is_local = run->parts_n == 0;
    bool needs_it = is_local || search__uses_flags(root_of(run));
    if (needs_it && !run->is_refreshed && !feed_is_fresh(run->session->feed)) {
        if (run->refresh == NULL) {
            run->refresh = feed_refresh(run->session->feed, false, refreshed, run);
        }
        return STEP_WAIT;
    }
    run->phase = SEARCH_MODSEQS;
    return STEP_AGAIN;
}

static enum step learn_modseqs(struct search_run *run)
{
    if (run->has_modseq && !run->has_asked_past) {
        run->has_asked_past = true;
        (void)past_wants_modseqs(&run->past, run->session, NULL);
    }
    if (past_run(&run->past) == STEP_WAIT) {
        return STEP_WAIT;
    }
    run->phase = SEARCH_EVALUATE;
    return STEP_AGAIN;
}

/* --- evaluating -------------------------------------------------------------------------------------- */

/* With what is known by now; *needs_n: so many parts are to be asked about. */
static enum status evaluate(struct search_run *run, size_t *needs_n)
{
    static const struct search_eval_ops ops = {.leaf = search__leaf, .part = search__part};
    struct search_needs needs = {.n = 0};
    run->looks_n = 0;
    enum status st = search_eval(root_of(run), run->universe, &ops, run, run->found, &needs);
    *needs_n = needs.n;
    for (size_t i = 0; i < needs.n; i++) {
        search__need(run, &needs.at[i]);
    }
    search_needs_fini(&needs);
    return st;
}

static void take_universe(struct search_run *run)
{
    bitmap_destroy(&run->universe);
    run->universe = bitmap_create();
    run->version = mailbox_version(feed_mailbox(run->session->feed));
    if (run->session->view != NULL) {
        view_bitmap(run->session->view, run->universe);
        run->below = 0;
    } else if (run->below > 1) {
        bitmap_add(run->universe, 1, run->below - 1);
    }
}

static enum step first_evaluation(struct search_run *run)
{
    size_t needs_n = 0;
    search__recall_parts(run);
    take_universe(run);
    enum status st = evaluate(run, &needs_n);
    if (st == OK && search__is_too_early(run, needs_n == 0)) {
        if (!feed_is_away(run->session->feed)) {
            return STEP_WAIT; /* to be evaluated anew */
        }
        search__fail(run, NETWORK, "");
        return STEP_AGAIN;
    }
    if (st != OK || (needs_n > 0 && run->has_lost_leaves)) {
        go_whole(run);
    } else if (!search__must_ask(run)) {
        stats_add(run->session->env->stats, STAT_search_hits, run->parts_n > 0);
        run->phase = SEARCH_DONE;
    } else if (stops(run)) {
        run->phase = SEARCH_MISSING;
    } else {
        run->phase = SEARCH_ASKING;
        search__ask_parts(run);
    }
    return STEP_AGAIN;
}

static enum step last_evaluation(struct search_run *run)
{
    size_t needs_n = 0;
    if (search__take_answers(run)) {
        if (evaluate(run, &needs_n) != OK || needs_n > 0) {
            go_whole(run);
        } else {
            run->phase = SEARCH_DONE;
        }
    }
    return STEP_AGAIN;
}

/* --- the way of it ----------------------------------------------------------------------------------- */

void search_run_ask(struct search_run *run)
{
    run->is_missing = false;
    if (run->phase == SEARCH_MISSING) {
        run->phase = SEARCH_ASKING;
        search__ask_parts(run);
    }
}

enum step search_run_step(struct search_run *run)
{
    enum step step = STEP_AGAIN;
    while (step == STEP_AGAIN && run->phase != SEARCH_DONE && !run->is_missing) {
        switch (run->phase) {
        case SEARCH_FRESHEN:
            step = freshen(run);
            break;
        case SEARCH_MODSEQS:
            step = learn_modseqs(run);
            break;
        case SEARCH_EVALUATE:
            step = first_evaluation(run);
            break;
        case SEARCH_ASKING:
            step = run->asks_n > 0 ? STEP_WAIT : last_evaluation(run);
            break;
        case SEARCH_WHOLE:
            step = stops(run) ? STEP_DONE : search__step_whole(run);
            break;
        case SEARCH_MISSING:
        case SEARCH_DONE:
            break;
        }
    }
    if (step == STEP_WAIT) {
        return STEP_WAIT;
    }
    if (run->has_modseq && (run->status == OK || run->is_missing)) {
        session_enable_condstore(run->session); /* T24; not by criteria that are refused */
    }
    return STEP_DONE;
}

/* --- the end ------------------------------------------------------------------------------------------ */

void search_run_settle(struct search_run *run)
{
    struct session *session = run->session;
    bool is_as_it_was = run->universe != NULL && run->below == 0 &&
                        run->version == mailbox_version(feed_mailbox(session->feed));
    if (session->view == NULL) {
        bitmap_remove(run->found, run->below, UINT32_MAX);
    } else if (!is_as_it_was) {
        struct bitmap *now = bitmap_create();
        view_bitmap(session->view, now);
        bitmap_and(run->found, now);
        bitmap_destroy(&now);
    }
}

void search_run_refuse(struct search_run *run)
{
    if (run->refusal.len > 0) {
        job_finish_quoting(run->session, run->job, buf_slice(&run->refusal));
    } else {
        job_finish_status(run->session, run->job, run->status);
    }
}

void search_run_fini(struct search_run *run)
{
    if (!run->is_begun) {
        return;
    }
    if (run->whole.request != NULL) {
        account_request_cancel(&run->whole.request);
    }
    if (run->refresh != NULL) {
        feed_refresh_cancel(&run->refresh); /* something else has made the model fresh meanwhile */
    }
    past_fini(&run->past);
    search__forget_parts(run);
    search__forget_leaves(run);
    search_sets_fini(&run->sets);
    bitmap_destroy(&run->universe);
    bitmap_destroy(&run->found);
    buf_fini(&run->refusal);
}
