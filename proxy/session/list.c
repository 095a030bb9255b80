/* LIST, LSUB and NAMESPACE: the upstream's answers, shared by the account's sessions (account/lists.h),
 * and what it lacks of them made from what it has.
 *
 *   upstream has LIST-EXTENDED:  the client's LIST as one command (with STATUS where it has that too)
 *   else, for each pattern:      LIST, and LSUB where subscriptions are asked for
 *   lacks CHILDREN:              also LIST "" "*", which says who has children
 *
 * Then line by line: what is not wanted left out, what is missing added, and behind each mailbox its
 * STATUS: of one with a model always from that. */
#include "list_p.h"

#include "base/alloc.h"
#include "list_names_p.h"
#include "outlist_p.h"

enum {
    STATUS_WINDOW = 16, /* STATUS asked ahead */
    TEXT_MAX = 2 * LISTS_ANSWER_MAX,
};

enum ask_what { ASK_LIST, ASK_LSUB, ASK_TREE };

struct list_work;

/* One command upstream. */
struct ask {
    struct list_work *work;
    struct lists_request *request;
    enum ask_what what;
};

struct list_work {
    struct session *session;
    struct job *job;
    struct ask *asks;
    size_t asks_n, open_n;
    enum status status; /* the first that is not OK */
    struct buf tagged;  /* of that, or of the last */
    struct arena arena; /* what names borrow from */
    struct list_names names;      /* in order: LIST, or with a selection of SUBSCRIBED: LSUB */
    struct list_names known;      /* LIST, for the attributes of the former */
    struct list_names subscribed; /* LSUB */
    struct list_names tree;       /* LIST "" "*" */
    bool is_gathered;
    size_t at; /* next name to be told */
    bool is_line_told;
    struct status_ask *status_asks; /* ring of STATUS_WINDOW, or NULL */
    size_t status_from, status_to;  /* names whose STATUS is asked: from..to */
};

/* --- what is asked ------------------------------------------------------------------------------ */

static bool upstream_has(const struct list_work *work, enum capability cap)
{
    return capability_has(account_capabilities(work->session->account), cap);
}

static bool is_lsub(const struct list_work *work)
{
    return work->job->parsed.info->id == CMD_LSUB;
}

/* Only to learn the delimiter. */
static bool is_empty_pattern(const struct args_list *args)
{
    return args->patterns_n == 1 && args->patterns[0].len == 0;
}

static bool selects_subscribed(const struct list_work *work)
{
    return !upstream_has(work, CAP_LIST_EXTENDED) &&
           (work->job->parsed.args.list.options & LIST_SELECT_SUBSCRIBED) != 0;
}

static bool wants_tree(const struct list_work *work)
{
    const struct args_list *args = &work->job->parsed.args.list;
    return !is_lsub(work) && !is_empty_pattern(args) && !upstream_has(work, CAP_CHILDREN);
}

/* The STATUS that the upstream tells with the list itself. */
static bool has_status_inside(const struct list_work *work)
{
    return (work->job->parsed.args.list.options & LIST_RETURN_STATUS) != 0 &&
           upstream_has(work, CAP_LIST_STATUS) && upstream_has(work, CAP_LIST_EXTENDED);
}

static const char *objection(const struct list_work *work)
{
    unsigned options = work->job->parsed.args.list.options;
    bool is_extended = upstream_has(work, CAP_LIST_EXTENDED);
    if ((options & LIST_RETURN_MYRIGHTS) != 0 && !upstream_has(work, CAP_LIST_MYRIGHTS)) {
        return "BAD Unknown LIST option";
    }
    /* RECURSIVEMATCH belongs to LIST-EXTENDED, which is not offered then. */
    return !is_extended && (options & LIST_SELECT_RECURSIVEMATCH) != 0 ? "BAD Unknown LIST option"
                                                                       : NULL;
}

static void answered(void *arg, const struct lists_answer *answer);

static void ask(struct list_work *work, enum ask_what what, struct outcmd *cmd)
{
    const struct lists_query query = {
        .topics = LISTS_NAMES | (has_status_inside(work) && what == ASK_LIST ? LISTS_STATUS : 0u),
        .kinds = what == ASK_LSUB ? 1u << RESPONSE_LSUB
                                  : 1u << RESPONSE_LIST | 1u << RESPONSE_STATUS |
                                        1u << RESPONSE_MYRIGHTS,
    };
    struct ask *ask = &work->asks[work->asks_n++];
    *ask = (struct ask){.work = work, .what = what};
    work->open_n++;
    ask->request = lists_ask(work->session->account, &query, cmd, answered, ask);
    outcmd_fini(cmd);
}

static void ask_pattern(struct list_work *work, enum ask_what what, struct slice reference,
                        struct slice pattern)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, what == ASK_LSUB ? "LSUB " : "LIST ");
    outcmd_mailbox(&cmd, reference);
    outcmd_str(&cmd, " ");
    outcmd_string(&cmd, pattern);
    ask(work, what, &cmd);
}

static void ask_plain(struct list_work *work)
{
    const struct args_list *args = &work->job->parsed.args.list;
    bool wants_lsub =
        is_lsub(work) || (args->options & (LIST_SELECT_SUBSCRIBED | LIST_RETURN_SUBSCRIBED)) != 0;
    for (size_t i = 0; i < args->patterns_n; i++) {
        if (args->is_extended && args->patterns[i].len == 0) {
            continue; /* a name like any other then, and there is none (RFC 5258 3) */
        }
        if (!is_lsub(work)) {
            ask_pattern(work, ASK_LIST, args->reference, args->patterns[i]);
        }
        if (wants_lsub) {
            ask_pattern(work, ASK_LSUB, args->reference, args->patterns[i]);
        }
    }
}

static void ask_all(struct list_work *work)
{
    const struct args_list *args = &work->job->parsed.args.list;
    work->asks = alloc_array(2 * args->patterns_n + 1, sizeof(*work->asks));
    if (!is_lsub(work) && upstream_has(work, CAP_LIST_EXTENDED)) {
        struct args_list own = *args;
        struct outcmd cmd;
        own.options &= has_status_inside(work) ? ~0u : ~(unsigned)LIST_RETURN_STATUS;
        outcmd_init(&cmd);
        outlist_write(&cmd, &own);
        ask(work, ASK_LIST, &cmd);
    } else {
        ask_plain(work);
    }
    if (wants_tree(work)) {
        ask_pattern(work, ASK_TREE, SLICE(""), SLICE("*"));
    }
}

/* --- what comes --------------------------------------------------------------------------------- */

/* Each ask has its own place, so that the order of answers does not matter for the client's. */
static struct list_names *names_for(struct list_work *work, enum ask_what what)
{
    if (what == ASK_TREE) {
        return &work->tree;
    }
    if (what == ASK_LSUB && !is_lsub(work) && !selects_subscribed(work)) {
        return &work->subscribed;
    }
    return what == ASK_LIST && selects_subscribed(work) ? &work->known : &work->names;
}

static void answered(void *arg, const struct lists_answer *answer)
{
    struct ask *ask = arg;
    struct list_work *work = ask->work;
    ask->request = NULL;
    work->open_n--;
    if (work->status == OK) {
        work->status = answer->status;
        buf_reset(&work->tagged);
        buf_add(&work->tagged, answer->tagged);
    }
    for (size_t i = 0; i < answer->n; i++) {
        list_names_add(names_for(work, ask->what), &work->arena, &answer->lines[i]);
    }
    session_wake(work->session);
}

/* --- what is told ------------------------------------------------------------------------------- */

static void write_line(struct session *session, const struct list_name *name, const char *more)
{
    static const char *const words[] = {[RESPONSE_LIST] = "LIST",
                                        [RESPONSE_LSUB] = "LSUB",
                                        [RESPONSE_STATUS] = "STATUS",
                                        [RESPONSE_MYRIGHTS] = "MYRIGHTS"};
    struct buf *out = &session->scratch;
    buf_reset(out);
    buf_add_str(out, "* ");
    buf_add_str(out, words[name->kind]);
    buf_add_char(out, ' ');
    if (more[0] != '\0') { /* "(attributes" of ours first: what is there is copied as it is */
        buf_add_char(out, '(');
        buf_add_str(out, more);
        buf_add_str(out, name->parsed.attrs_raw.len > 0 ? " " : "");
        buf_add(out, slice_sub(name->text, slice_find(name->text, '(') + 1, name->text.len));
    } else {
        buf_add(out, name->text);
    }
    buf_add_str(out, "\r\n");
    session_write(session, buf_slice(out));
}

static bool is_special(const struct list_name *name)
{
    static const char *const uses[] = {"\\All",  "\\Archive", "\\Drafts", "\\Flagged",
                                       "\\Junk", "\\Sent",    "\\Trash",  "\\Important"};
    struct slice rest = name->parsed.attrs_raw, word;
    while (respdata_word(&rest, &word)) {
        for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
            if (slice_eq_nocase(word, slice_str(uses[i]))) {
                return true;
            }
        }
    }
    return false;
}

/* The line as it is to be told; false: not at all. */
static bool choose(struct list_work *work, struct list_name *name)
{
    const struct args_list *args = &work->job->parsed.args.list;
    if (name->kind != RESPONSE_LIST && !selects_subscribed(work)) {
        return true;
    }
    if (selects_subscribed(work)) {
        /* RFC 3501 6.3.9: \Noselect in LSUB is a parent that is not subscribed itself. */
        if ((name->parsed.attrs & LIST_ATTR_NOSELECT) != 0) {
            return false;
        }
        const struct list_name *listed = list_names_find(&work->known, name->parsed.mailbox);
        name->kind = RESPONSE_LIST;
        if (listed == NULL) {
            name->adds |= LIST_ATTR_NONEXISTENT;
        } else {
            name->parsed = listed->parsed;
            name->text = listed->text;
        }
        name->adds |= LIST_ATTR_SUBSCRIBED;
    }
    bool is_plain = !upstream_has(work, CAP_LIST_EXTENDED);
    return !is_plain || (args->options & LIST_SELECT_SPECIAL_USE) == 0 || is_special(name);
}

static void add_attributes(struct list_work *work, struct list_name *name)
{
    const struct args_list *args = &work->job->parsed.args.list;
    unsigned children = LIST_ATTR_HASCHILDREN | LIST_ATTR_HASNOCHILDREN | LIST_ATTR_NOINFERIORS;
    if (name->kind != RESPONSE_LIST) {
        return;
    }
    if (wants_tree(work) && (name->parsed.attrs & children) == 0) {
        name->adds |= list_names_has_children(&work->tree, name) ? LIST_ATTR_HASCHILDREN
                                                                 : LIST_ATTR_HASNOCHILDREN;
    }
    if (!upstream_has(work, CAP_LIST_EXTENDED) && (args->options & LIST_RETURN_SUBSCRIBED) != 0) {
        const struct list_name *known =
            list_names_find(&work->subscribed, name->parsed.mailbox);
        if (known != NULL && (known->parsed.attrs & LIST_ATTR_NOSELECT) == 0) {
            name->adds |= LIST_ATTR_SUBSCRIBED;
        }
    }
}

static void tell_name(struct list_work *work, struct list_name *name)
{
    struct buf more;
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = {{LIST_ATTR_NONEXISTENT, "\\NonExistent"},
                 {LIST_ATTR_SUBSCRIBED, "\\Subscribed"},
                 {LIST_ATTR_HASCHILDREN, "\\HasChildren"},
                 {LIST_ATTR_HASNOCHILDREN, "\\HasNoChildren"}};
    buf_init(&more, 0);
    add_attributes(work, name);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if ((name->adds & words[i].bit) != 0) {
            buf_add_str(&more, more.len > 0 ? " " : "");
            buf_add_str(&more, words[i].word);
        }
    }
    buf_add_char(&more, '\0');
    write_line(work->session, name, more.data);
    buf_fini(&more);
}

/* --- STATUS behind the names -------------------------------------------------------------------- */

static bool is_selectable(const struct list_name *name)
{
    return (name->parsed.attrs & (LIST_ATTR_NOSELECT | LIST_ATTR_NONEXISTENT)) == 0 &&
           (name->adds & LIST_ATTR_NONEXISTENT) == 0;
}

/* A session may have been told more of it than the list knows, which others may have asked for. */
static bool is_in_use(const struct list_work *work, const struct list_name *name)
{
    return account_find_feed(work->session->account, name->parsed.mailbox) != NULL;
}

static bool needs_status(const struct list_work *work, const struct list_name *name)
{
    if ((work->job->parsed.args.list.options & LIST_RETURN_STATUS) == 0 || name->is_dropped) {
        return false;
    }
    if (has_status_inside(work)) {
        return name->kind == RESPONSE_STATUS && is_in_use(work, name);
    }
    return name->kind == RESPONSE_LIST && is_selectable(name);
}

static void ask_ahead(struct list_work *work)
{
    if (work->status_asks == NULL) {
        work->status_asks = alloc_array(STATUS_WINDOW, sizeof(*work->status_asks));
    }
    if (work->status_to < work->at) {
        work->status_from = work->status_to = work->at;
    }
    while (work->status_to < work->names.n && work->status_to < work->at + STATUS_WINDOW) {
        struct list_name *name = &work->names.at[work->status_to];
        struct status_ask *ask = &work->status_asks[work->status_to % STATUS_WINDOW];
        *ask = (struct status_ask){0};
        if (needs_status(work, name)) {
            status_ask_init(ask, work->session, name->parsed.mailbox,
                            work->job->parsed.args.list.status_items);
            (void)status_ask_is_over(ask);
        }
        work->status_to++;
    }
}

static void drop_status_asks(struct list_work *work)
{
    for (size_t i = work->status_from; i < work->status_to; i++) {
        struct status_ask *ask = &work->status_asks[i % STATUS_WINDOW];
        if (ask->session != NULL) {
            status_ask_fini(ask);
        }
    }
    alloc_free(work->status_asks);
    work->status_asks = NULL;
    work->status_from = work->status_to = 0;
}

/* The STATUS of the name at work->at; false: wait. */
static bool tell_status(struct list_work *work)
{
    ask_ahead(work);
    struct status_ask *ask = &work->status_asks[work->at % STATUS_WINDOW];
    if (ask->session != NULL) {
        if (!status_ask_is_over(ask)) {
            return false;
        }
        status_ask_tell(ask);
        status_ask_fini(ask);
        ask->session = NULL;
    }
    work->status_from = work->at + 1;
    return true;
}

/* --- running ------------------------------------------------------------------------------------ */

static void fini_list(struct list_work *work)
{
    for (size_t i = 0; i < work->asks_n; i++) {
        if (work->asks[i].request != NULL) {
            lists_cancel(&work->asks[i].request);
        }
    }
    drop_status_asks(work);
    alloc_free(work->asks);
    buf_fini(&work->tagged);
    list_names_fini(&work->names);
    list_names_fini(&work->known);
    list_names_fini(&work->subscribed);
    list_names_fini(&work->tree);
    arena_reset(&work->arena);
}

static void gather(struct list_work *work)
{
    work->is_gathered = true;
    list_names_sort(&work->known);
    list_names_sort(&work->subscribed);
    list_names_sort(&work->tree);
    for (size_t i = 0; i < work->names.n; i++) {
        work->names.at[i].is_dropped = !choose(work, &work->names.at[i]);
    }
    if (work->job->parsed.args.list.patterns_n > 1 && !upstream_has(work, CAP_LIST_EXTENDED)) {
        list_names_drop_twins(&work->names);
    }
}

static enum step tell_names(struct list_work *work)
{
    while (work->at < work->names.n) {
        struct list_name *name = &work->names.at[work->at];
        bool asks = needs_status(work, name);
        if (!session_has_room(work->session)) {
            return STEP_WAIT;
        }
        if (!work->is_line_told && !name->is_dropped && !(asks && name->kind == RESPONSE_STATUS)) {
            tell_name(work, name);
        }
        work->is_line_told = true;
        if (asks && !tell_status(work)) {
            return STEP_WAIT;
        }
        work->is_line_told = false;
        work->at++;
    }
    return STEP_DONE;
}

static enum step finish(struct list_work *work)
{
    struct session *session = work->session;
    if (work->tagged.len > 0) {
        job_finish(session, work->job, buf_slice(&work->tagged));
    } else if (work->status == OK) {
        job_finish_str(session, work->job, "OK List completed.");
    } else {
        job_finish_status(session, work->job, work->status);
    }
    fini_list(work);
    return STEP_DONE;
}

static enum step start_list(struct session *session, struct job *job)
{
    struct list_work *work = job->work;
    work->session = session;
    work->job = job;
    buf_init(&work->tagged, 64 * 1024);
    arena_init(&work->arena, TEXT_MAX);
    const char *no = objection(work);
    if (no != NULL) {
        job_finish_str(session, job, no);
        fini_list(work);
        return STEP_DONE;
    }
    if ((job->parsed.args.list.options & LIST_RETURN_STATUS) != 0 &&
        (job->parsed.args.list.status_items & STATUS_ITEM_HIGHESTMODSEQ) != 0) {
        session_enable_condstore(session); /* RFC 7162 3.1 */
    }
    ask_all(work);
    return STEP_AGAIN;
}

static enum step run_list(struct session *session, struct job *job)
{
    struct list_work *work = job->work;
    if (work->session == NULL) {
        enum step step = start_list(session, job);
        if (step != STEP_AGAIN) {
            return step;
        }
    }
    if (work->open_n > 0) {
        return STEP_WAIT;
    }
    if (work->status == OK && work->arena.failed) {
        work->status = LIMIT;
        buf_reset(&work->tagged);
    }
    if (work->status == OK) {
        if (!work->is_gathered) {
            gather(work);
        }
        enum step step = tell_names(work);
        if (step != STEP_DONE) {
            return step;
        }
    }
    return finish(work);
}

static void cancel_list(struct session *session, struct job *job)
{
    struct list_work *work = job->work;
    (void)session;
    if (work->session != NULL) {
        fini_list(work);
    }
}

const struct verb verb_list = {
    .work_size = sizeof(struct list_work), .run = run_list, .cancel = cancel_list};
