/* Criteria that only the upstream answers: what is remembered of them, and asking for the rest. */
#include "base/alloc.h"
#include "search_p.h"

struct search_run_part {
    struct search_run *run;
    struct search_part part;
    size_t same;      /* index of the first part of the same text; its own when it is that */
    bool was_accepted; /* by this upstream, once */
    struct bitmap *known, *hit; /* as this run sees it: one evaluation is of one moment */
    struct bitmap *need;
    struct search_ask *ask;
    /* The answer, when it was no OK. */
    enum status status;
    struct buf refusal;
};

static const struct search_node *root_of(const struct search_run *run)
{
    return run->job->parsed.args.search.root;
}

static struct slice charset_of(const struct search_run_part *part)
{
    return part->run->job->parsed.args.search.charset;
}

/* --- finding them ---------------------------------------------------------------------------------- */

static void find_same(struct search_run *run, const struct buf *names)
{
    for (size_t i = 0; i < run->parts_n; i++) {
        size_t same = 0;
        while (!slice_eq(buf_slice(&names[same]), buf_slice(&names[i]))) {
            same++;
        }
        run->parts[i].same = same; /* itself, at the latest */
    }
}

static void name_parts(struct search_run *run)
{
    struct buf names[SEARCH_PARTS_MAX];
    struct slice charset = run->job->parsed.args.search.charset;
    for (size_t i = 0; i < run->parts_n; i++) {
        buf_init(&names[i], 0);
        if (search_part_name(&run->parts[i].part, charset, &names[i]) != OK) {
            buf_reset(&names[i]);
            buf_printf(&names[i], "%zu", i); /* like no other */
        }
    }
    find_same(run, names);
    for (size_t i = 0; i < run->parts_n; i++) {
        buf_fini(&names[i]);
    }
}

static void recall(struct search_run *run, struct search_run_part *part)
{
    struct search_known found = {0};
    bitmap_destroy(&part->known); /* of an attempt before */
    bitmap_destroy(&part->hit);
    bitmap_destroy(&part->need);
    struct searches *searches = feed_searches(run->session->feed);
    if (searches != NULL && !part->part.is_volatile &&
        searches_find(searches, &part->part, charset_of(part), &found)) {
        part->was_accepted = true;
        part->known = found.known != NULL ? bitmap_copy(found.known) : NULL;
        part->hit = found.hit != NULL ? bitmap_copy(found.hit) : NULL;
    }
    part->known = part->known != NULL ? part->known : bitmap_create();
    part->hit = part->hit != NULL ? part->hit : bitmap_create();
}

enum status search__find_parts(struct search_run *run)
{
    struct search_part found[SEARCH_PARTS_MAX];
    struct slice charset = run->job->parsed.args.search.charset;
    size_t n;
    TRY(search_parts(root_of(run), charset, found, &n));
    run->parts = n > 0 ? alloc_array(n, sizeof(*run->parts)) : NULL;
    run->parts_n = n;
    for (size_t i = 0; i < n; i++) {
        run->parts[i] = (struct search_run_part){.run = run, .part = found[i]};
        buf_init(&run->parts[i].refusal, 64 * 1024);
    }
    if (run->parts_n > 1) {
        name_parts(run);
    }
    return OK;
}

void search__recall_parts(struct search_run *run)
{
    for (size_t i = 0; i < run->parts_n; i++) {
        if (run->parts[i].same == i) {
            recall(run, &run->parts[i]);
        }
    }
}

bool search__is_too_early(const struct search_run *run, bool is_all_known)
{
    bool has_some = false;
    for (size_t i = 0; i < run->parts_n; i++) {
        const struct bitmap *known = run->parts[i].known;
        has_some = has_some || (known != NULL && !bitmap_empty(known));
    }
    bool is_of_now = is_all_known && feed_knows(run->session->feed) == FEED_KNOWS_NOTHING;
    return has_some && run->session->view == NULL && !is_of_now;
}

static struct search_run_part *part_of(const struct search_run *run, const struct search_node *node)
{
    for (size_t i = 0; i < run->parts_n; i++) {
        if (run->parts[i].part.node == node) {
            return &run->parts[run->parts[i].same];
        }
    }
    return NULL;
}

void search__part(void *arg, const struct search_node *node, const struct bitmap **known,
                  const struct bitmap **hit)
{
    const struct search_run_part *part = part_of(arg, node);
    *known = part != NULL ? part->known : NULL;
    *hit = part != NULL ? part->hit : NULL;
}

/* --- asking ----------------------------------------------------------------------------------------- */

void search__need(struct search_run *run, const struct search_need *need)
{
    struct search_run_part *part = part_of(run, need->part);
    if (part == NULL) {
        return;
    }
    if (part->need == NULL) {
        part->need = bitmap_copy(need->uids);
    } else {
        bitmap_or(part->need, need->uids);
    }
}

/* Invisible comes first: the upstream may have something to say against criteria that it has never
 * accepted, and that not every server knows, though no message depends on them. */
static bool is_doubtful(const struct search_run_part *part)
{
    bool is_plain = part->part.is_plain && (part->part.node->classes & SEARCH_USES_8BIT) == 0;
    return !is_plain && !part->was_accepted;
}

static bool must_ask(const struct search_run_part *part)
{
    return (part->need != NULL && !bitmap_empty(part->need)) || is_doubtful(part);
}

bool search__must_ask(const struct search_run *run)
{
    for (size_t i = 0; i < run->parts_n; i++) {
        if (run->parts[i].same == i && must_ask(&run->parts[i])) {
            return true;
        }
    }
    return false;
}

static void on_answer(void *arg, const struct search_answer *answer)
{
    struct search_run_part *part = arg;
    struct search_run *run = part->run;
    part->ask = NULL;
    run->asks_n--;
    if (answer->status == OK) {
        bitmap_or(part->known, answer->asked);
        bitmap_or(part->hit, answer->hit);
    } else {
        part->status = answer->status;
        buf_add(&part->refusal, answer->refusal);
    }
    if (run->asks_n == 0) {
        session_wake(run->session);
    }
}

static void ask(struct search_run_part *part)
{
    struct search_run *run = part->run;
    struct searches *searches = feed_searches(run->session->feed);
    if (searches == NULL) { /* the mailbox goes, and with it this session */
        part->status = NETWORK;
        return;
    }
    if (part->need == NULL) {
        part->need = bitmap_create();
    }
    run->asks_n++;
    part->ask = searches_ask(searches, &part->part, charset_of(part), part->need, on_answer, part);
}

void search__ask_parts(struct search_run *run)
{
    run->asks_n = 0;
    for (size_t i = 0; i < run->parts_n; i++) {
        struct search_run_part *part = &run->parts[i];
        if (part->same == i && must_ask(part)) {
            ask(part);
        }
    }
    if (run->asks_n == 0) {
        session_wake(run->session);
    }
}

bool search__take_answers(struct search_run *run)
{
    struct search_run_part *failed = NULL;
    for (size_t i = 0; i < run->parts_n; i++) {
        struct search_run_part *part = &run->parts[i];
        bool has_words = failed != NULL && failed->refusal.len > 0;
        if (part->status != OK && (failed == NULL || (!has_words && part->refusal.len > 0))) {
            failed = part;
        }
    }
    if (failed == NULL) {
        return true;
    }
    run->phase = SEARCH_DONE;
    run->status = failed->status;
    buf_add(&run->refusal, buf_slice(&failed->refusal));
    return false;
}

/* Not where nothing is missing, and only words of the upstream are waited for. */
bool search_run_is_single(const struct search_run *run, const struct search_part **part_out,
                          const struct bitmap **need_out)
{
    const struct search_node *root = root_of(run), *child = root->child;
    const struct search_run_part *part = run->parts;
    if (run->phase != SEARCH_MISSING || run->parts_n != 1 || part->part.is_volatile ||
        part->need == NULL || bitmap_empty(part->need)) {
        return false;
    }
    while (root->key == SEARCH_AND && child != NULL && child != part->part.node) {
        child = child->next;
    }
    *part_out = &part->part;
    *need_out = part->need;
    return root == part->part.node || (root->key == SEARCH_AND && child != NULL);
}

void search__forget_parts(struct search_run *run)
{
    for (size_t i = 0; i < run->parts_n; i++) {
        struct search_run_part *part = &run->parts[i];
        if (part->ask != NULL) {
            searches_cancel(&part->ask);
        }
        bitmap_destroy(&part->known);
        bitmap_destroy(&part->hit);
        bitmap_destroy(&part->need);
        buf_fini(&part->refusal);
    }
    alloc_free(run->parts);
    run->parts = NULL;
    run->parts_n = 0;
}
