/* Each node becomes two sets: those it matches for certain, and those it may match.  A part's value
 * can change the answer for a message only where the part and every node above it are undecided; so
 * what a part does not know is cut down at each node on the way up. */
#include "imap/searcheval.h"

/* Both sets inside the universe, yes a subset of maybe.  maybe == NULL: it is the same as yes. */
struct verdict {
    struct bitmap *yes;
    struct bitmap *maybe;
};

struct eval {
    const struct bitmap *universe;
    const struct search_eval_ops *ops;
    void *arg;
    struct search_needs *needs;
};

static const struct bitmap *may_be(const struct verdict *verdict)
{
    return verdict->maybe != NULL ? verdict->maybe : verdict->yes;
}

static void verdict_fini(struct verdict *verdict)
{
    bitmap_destroy(&verdict->yes);
    bitmap_destroy(&verdict->maybe);
}

void search_needs_fini(struct search_needs *needs)
{
    for (size_t i = 0; i < needs->n; i++) {
        bitmap_destroy(&needs->at[i].uids);
    }
    needs->n = 0;
}

/* --- leaves ----------------------------------------------------------------------------------- */

static enum status eval_leaf(struct eval *eval, const struct search_node *leaf, struct verdict *out)
{
    if (leaf->key == SEARCH_ALL) {
        out->yes = bitmap_copy(eval->universe);
        return OK;
    }
    out->yes = bitmap_create();
    TRY(eval->ops->leaf(eval->arg, leaf, out->yes));
    bitmap_and(out->yes, eval->universe);
    return OK;
}

static enum status eval_part(struct eval *eval, const struct search_node *part, struct verdict *out)
{
    const struct bitmap *known = NULL;
    const struct bitmap *hit = NULL;
    eval->ops->part(eval->arg, part, &known, &hit);
    struct bitmap *unknown = bitmap_copy(eval->universe);
    if (known != NULL) {
        bitmap_andnot(unknown, known);
    }
    out->yes = bitmap_copy(eval->universe);
    bitmap_andnot(out->yes, unknown);
    if (hit != NULL) {
        bitmap_and(out->yes, hit);
    } else {
        bitmap_clear(out->yes);
    }
    if (bitmap_empty(unknown)) {
        bitmap_destroy(&unknown);
        return OK;
    }
    out->maybe = bitmap_copy(out->yes);
    bitmap_or(out->maybe, unknown);
    if (eval->needs->n == SEARCH_PARTS_MAX) {
        bitmap_destroy(&unknown);
        return LIMIT;
    }
    eval->needs->at[eval->needs->n++] = (struct search_need){part, unknown};
    return OK;
}

/* --- inner nodes ------------------------------------------------------------------------------ */

static enum status eval_node(struct eval *eval, const struct search_node *node,
                             struct verdict *out);

/* What may be and what is change places. */
static enum status eval_not(struct eval *eval, const struct search_node *child, struct verdict *out)
{
    struct verdict inner = {NULL, NULL};
    enum status st = eval_node(eval, child, &inner);
    if (st == OK) {
        out->yes = bitmap_copy(eval->universe);
        bitmap_andnot(out->yes, may_be(&inner));
    }
    if (st == OK && inner.maybe != NULL) {
        out->maybe = bitmap_copy(eval->universe);
        bitmap_andnot(out->maybe, inner.yes);
    }
    verdict_fini(&inner);
    return st;
}

static void combine(enum search_key key, struct verdict *out, const struct verdict *with)
{
    void (*into)(struct bitmap *, const struct bitmap *) =
        key == SEARCH_OR ? bitmap_or : bitmap_and;
    if (out->maybe == NULL && with->maybe != NULL) {
        out->maybe = bitmap_copy(out->yes);
    }
    if (out->maybe != NULL) {
        into(out->maybe, may_be(with));
    }
    into(out->yes, with->yes);
}

/* Nothing that follows can change it: an AND that matches nobody, an OR that matches all. */
static bool is_settled(const struct eval *eval, enum search_key key, const struct verdict *verdict)
{
    return key == SEARCH_OR ? bitmap_equal(verdict->yes, eval->universe)
                            : bitmap_empty(may_be(verdict));
}

static enum status eval_children(struct eval *eval, const struct search_node *node,
                                 struct verdict *out)
{
    const struct search_node *child = node->child;
    enum status st = eval_node(eval, child, out);
    while (st == OK && (child = child->next) != NULL && !is_settled(eval, node->key, out)) {
        struct verdict next = {NULL, NULL};
        st = eval_node(eval, child, &next);
        if (st == OK) {
            combine(node->key, out, &next);
        }
        verdict_fini(&next);
    }
    return st;
}

/* A part below this node, from @from on, matters only where this node is undecided. */
static void narrow_needs(struct search_needs *needs, size_t from, const struct verdict *verdict)
{
    if (from == needs->n) {
        return;
    }
    struct bitmap *undecided = bitmap_copy(may_be(verdict));
    bitmap_andnot(undecided, verdict->yes);
    size_t kept = from;
    for (size_t i = from; i < needs->n; i++) {
        struct search_need need = needs->at[i];
        bitmap_and(need.uids, undecided);
        if (bitmap_empty(need.uids)) {
            bitmap_destroy(&need.uids);
        } else {
            needs->at[kept++] = need;
        }
    }
    needs->n = kept;
    bitmap_destroy(&undecided);
}

static enum status eval_node(struct eval *eval, const struct search_node *node, struct verdict *out)
{
    if (node->key == SEARCH_NOT) {
        return eval_not(eval, node->child, out); /* undecided where its child is */
    }
    if (search_is_part(node)) {
        return eval_part(eval, node, out);
    }
    if ((node->key != SEARCH_AND && node->key != SEARCH_OR) || node->child == NULL) {
        return eval_leaf(eval, node, out);
    }
    size_t from = eval->needs->n;
    TRY(eval_children(eval, node, out));
    narrow_needs(eval->needs, from, out);
    return OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

/* A part that stands in several places of the tree is asked once. */
static void join_needs(struct search_needs *needs)
{
    size_t kept = 0;
    for (size_t i = 0; i < needs->n; i++) {
        size_t at = 0;
        while (at < kept && needs->at[at].part != needs->at[i].part) {
            at++;
        }
        if (at < kept) {
            bitmap_or(needs->at[at].uids, needs->at[i].uids);
            bitmap_destroy(&needs->at[i].uids);
        } else {
            needs->at[kept++] = needs->at[i];
        }
    }
    needs->n = kept;
}

enum status search_eval(const struct search_node *root, const struct bitmap *universe,
                        const struct search_eval_ops *ops, void *arg, struct bitmap *yes,
                        struct search_needs *needs)
{
    struct eval eval = {.universe = universe, .ops = ops, .arg = arg, .needs = needs};
    struct verdict verdict = {NULL, NULL};
    needs->n = 0;
    enum status st = eval_node(&eval, root, &verdict);
    bitmap_clear(yes);
    if (st == OK) {
        bitmap_or(yes, verdict.yes);
        join_needs(needs);
    } else {
        search_needs_fini(needs);
    }
    verdict_fini(&verdict);
    return st;
}
