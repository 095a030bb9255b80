#include "imap/searchcanon.h"

#include <stdlib.h>

#include "grow_p.h"
#include "imap/emit.h"
#include "searchkey_p.h"
#include "searchorder_p.h"
#include "searchtangle_p.h"

/* Built from the leaves upwards: each node is made from children that are canonical already.
 *   What is not for the upstream alone has its NOTs at leaves and pure nodes (De Morgan); in a pure
 * node, which only the upstream answers, the first child is never a NOT: else the dual of the negated
 * children is there, under a NOT.  So `NOT a NOT b` and `NOT OR a b` are one, and the positive is what
 * is asked and remembered.
 *   Depth is bounded by the parser: nothing here makes a tree deeper but one grouping per level.  ORs in ORs
 * (a client's chain of a thousand) are one before it is sorted. */

struct nodes {
    struct search_node **at;
    size_t n;
    size_t cap;
    struct arena *arena;
};

/* Failures stick in the arena: whoever began asks it once. */
static void add(struct nodes *nodes, struct search_node *node)
{
    struct search_node **at =
        node != NULL
            ? grow__array(nodes->arena, nodes->at, nodes->n, &nodes->cap, sizeof(struct search_node *))
            : NULL;
    if (at != NULL) {
        at[nodes->n++] = node;
        nodes->at = at;
    }
}

static struct search_node *new_node(struct arena *arena, enum search_key key)
{
    struct search_node *node = arena_alloc(arena, sizeof(*node));
    if (node != NULL) {
        node->key = key;
        node->classes = searchkey__classes(key);
    }
    return node;
}

static int by_order(const void *a, const void *b)
{
    return searchorder__compare(*(struct search_node *const *)a,
                                *(struct search_node *const *)b);
}

static void sort_unique(struct nodes *nodes)
{
    size_t kept = 0;
    if (nodes->n > 1) {
        qsort(nodes->at, nodes->n, sizeof(nodes->at[0]), by_order);
    }
    for (size_t i = 0; i < nodes->n; i++) {
        if (i == 0 || searchorder__compare(nodes->at[kept - 1], nodes->at[i]) != 0) {
            nodes->at[kept++] = nodes->at[i];
        }
    }
    nodes->n = kept;
}

/* --- making nodes ------------------------------------------------------------------------------- */

static bool is_all(const struct search_node *node)
{
    return node->key == SEARCH_ALL;
}

static bool is_none(const struct search_node *node)
{
    return node->key == SEARCH_NOT && is_all(node->child);
}

/* What changes nothing among the children of @key. */
static bool is_neutral(enum search_key key, const struct search_node *node)
{
    return key == SEARCH_AND ? is_all(node) : is_none(node);
}

static enum search_key dual(enum search_key key)
{
    return key == SEARCH_AND ? SEARCH_OR : SEARCH_AND;
}

static struct search_node *join(struct nodes *nodes, enum search_key key);
static void add_flat(struct nodes *nodes, enum search_key key, struct search_node *node);

static struct search_node *negative(struct arena *arena, struct search_node *child)
{
    struct search_node *node = child != NULL ? new_node(arena, SEARCH_NOT) : NULL;
    if (node != NULL) {
        child->next = NULL;
        node->child = child;
        node->classes = child->classes;
    }
    return node;
}

/* What @node does not select.  Takes @node. */
static struct search_node *negate(struct arena *arena, struct search_node *node)
{
    struct nodes children = {.arena = arena};
    if (node == NULL || node->key == SEARCH_NOT) {
        return node != NULL ? node->child : NULL;
    }
    if ((node->key != SEARCH_AND && node->key != SEARCH_OR) || searchkey__is_pure(node->classes)) {
        return negative(arena, node);
    }
    for (struct search_node *child = node->child, *next; child != NULL; child = next) {
        next = child->next;
        add_flat(&children, dual(node->key), negate(arena, child));
    }
    return join(&children, dual(node->key));
}

/* A node that has children for @key is taken apart; takes @node. */
static void add_flat(struct nodes *nodes, enum search_key key, struct search_node *node)
{
    if (node == NULL || is_neutral(key, node)) {
        return;
    }
    bool is_negative = node->key == SEARCH_NOT && node->child->key == dual(key);
    if (node->key != key && !is_negative) {
        add(nodes, node);
        return;
    }
    struct search_node *child = is_negative ? node->child->child : node->child;
    for (struct search_node *next; child != NULL; child = next) {
        next = child->next;
        add_flat(nodes, key, is_negative ? negate(nodes->arena, child) : child);
    }
}

static struct search_node *linked(struct nodes *nodes, enum search_key key)
{
    struct search_node *node = new_node(nodes->arena, key);
    for (size_t i = 0; node != NULL && i < nodes->n; i++) {
        nodes->at[i]->next = i + 1 < nodes->n ? nodes->at[i + 1] : NULL;
        node->classes |= nodes->at[i]->classes;
    }
    if (node != NULL) {
        node->child = nodes->at[0];
    }
    return node;
}

/* Keep those of class @who (or all others) in @nodes. */
static void keep(struct nodes *nodes, unsigned who, bool is_of_it)
{
    size_t kept = 0;
    for (size_t i = 0; i < nodes->n; i++) {
        if (((nodes->at[i]->classes & SEARCHKEY_WHO) == who) == is_of_it) {
            nodes->at[kept++] = nodes->at[i];
        }
    }
    nodes->n = kept;
}

/* ALL in an OR, NOT ALL in an AND: what the model answers need not be looked at.  What the upstream
 * answers stays: it may have to refuse it. */
static void absorb(struct nodes *nodes, enum search_key key)
{
    for (size_t i = 0; i < nodes->n; i++) {
        struct search_node *whole = nodes->at[i];
        if (is_neutral(dual(key), whole)) {
            keep(nodes, SEARCH_IS_MUTABLE, false);
            add(nodes, whole);
            return;
        }
    }
}

/* Several children of class @who beside others: into a node of their own. */
static void group(struct nodes *nodes, enum search_key key, unsigned who)
{
    struct nodes some = {.arena = nodes->arena};
    for (size_t i = 0; i < nodes->n; i++) {
        if ((nodes->at[i]->classes & SEARCHKEY_WHO) == who) {
            add(&some, nodes->at[i]);
        }
    }
    if (some.n > 1 && some.n < nodes->n) {
        keep(nodes, who, false);
        add(nodes, join(&some, key));
    }
}

/* The first is a NOT; of `a NOT a` the AND is taken. */
static bool is_upside_down(const struct nodes *nodes, enum search_key key)
{
    const struct search_node *first = nodes->at[0], *second = nodes->at[1];
    bool is_pair = searchorder__compare_positive(searchorder__positive(first),
                                                 searchorder__positive(second)) == 0;
    return is_pair ? key == SEARCH_OR : first->key == SEARCH_NOT;
}

static struct search_node *join_pure(struct nodes *nodes, enum search_key key)
{
    if (!is_upside_down(nodes, key)) {
        return linked(nodes, key);
    }
    for (size_t i = 0; i < nodes->n; i++) {
        struct search_node *other = negate(nodes->arena, nodes->at[i]);
        if (other == NULL) {
            return NULL;
        }
        nodes->at[i] = other;
    }
    sort_unique(nodes);
    return negative(nodes->arena, linked(nodes, dual(key)));
}

/* One bound for each key and sign: in an AND the narrowest, in an OR the widest. */
static void join_bounds(struct nodes *nodes, enum search_key key)
{
    struct {
        size_t place; /* 1 and up; 0: none yet */
        uint64_t width;
    } bounds[SEARCH_KEYS][2] = {0};
    size_t kept = 0;
    for (size_t i = 0; i < nodes->n; i++) {
        struct search_node *node = nodes->at[i];
        const struct search_node *leaf = searchorder__positive(node);
        uint64_t width;
        bool is_negative = node->key == SEARCH_NOT;
        bool wants_wide = (key == SEARCH_OR) != is_negative;
        bool is_bound = searchkey__bound(leaf, &width);
        size_t *place = &bounds[leaf->key][is_negative].place;
        uint64_t *best = &bounds[leaf->key][is_negative].width;
        if (!is_bound || *place == 0) {
            nodes->at[kept++] = node;
            *place = is_bound ? kept : *place;
            *best = is_bound ? width : *best;
        } else if (width != *best && (width > *best) == wants_wide) {
            nodes->at[*place - 1] = node;
            *best = width;
        }
    }
    nodes->n = kept;
}

/* AND or OR of canonical nodes that are flat already. */
static struct search_node *join(struct nodes *nodes, enum search_key key)
{
    struct arena *arena = nodes->arena;
    unsigned classes = 0;
    absorb(nodes, key);
    join_bounds(nodes, key);
    sort_unique(nodes);
    if (nodes->n == 0 && !arena->failed) {
        struct search_node *all = new_node(arena, SEARCH_ALL);
        return key == SEARCH_AND ? all : negative(arena, all);
    }
    if (nodes->n > 1) {
        group(nodes, key, SEARCH_IS_IMMUTABLE);
        group(nodes, key, SEARCH_IS_VOLATILE);
        sort_unique(nodes);
    }
    if (arena->failed || nodes->n < 2) {
        return arena->failed ? NULL : nodes->at[0];
    }
    for (size_t i = 0; i < nodes->n; i++) {
        classes |= nodes->at[i]->classes;
    }
    return searchkey__is_pure(classes) ? join_pure(nodes, key) : linked(nodes, key);
}

/* --- the tree ----------------------------------------------------------------------------------- */

static struct slice lower(struct arena *arena, struct slice text)
{
    char *copy = arena_alloc(arena, text.len);
    for (size_t i = 0; copy != NULL && i < text.len; i++) {
        char c = text.data[i];
        copy[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    return copy != NULL ? slice_of(copy, text.len) : text;
}

/* The node alone, or with what is below it as it is. */
static struct search_node *copy(struct arena *arena, const struct search_node *node)
{
    struct search_node *made = new_node(arena, node->key);
    if (made == NULL) {
        return NULL;
    }
    *made = *node;
    made->next = NULL;
    made->lists = 0;
    struct search_node **tail = &made->child;
    for (const struct search_node *child = node->child; child != NULL; child = child->next) {
        *tail = copy(arena, child);
        if (*tail == NULL) {
            return NULL;
        }
        tail = &(*tail)->next;
    }
    if (node->key == SEARCH_HEADER) {
        made->field = lower(arena, node->field);
    }
    return made;
}

static struct search_node *normal(struct arena *arena, const struct search_node *node);

/* The children of an AND (OR), and those of ANDs (ORs) among them. */
static void add_children(struct nodes *nodes, const struct search_node *node)
{
    for (const struct search_node *child = node->child; child != NULL; child = child->next) {
        if (child->key == node->key) {
            add_children(nodes, child);
        } else {
            add_flat(nodes, node->key, normal(nodes->arena, child));
        }
    }
}

static struct search_node *normal(struct arena *arena, const struct search_node *node)
{
    struct nodes children = {.arena = arena};
    if (node->key == SEARCH_NOT) {
        return negate(arena, normal(arena, node->child));
    }
    if (node->key != SEARCH_AND && node->key != SEARCH_OR) {
        return copy(arena, node);
    }
    add_children(&children, node);
    return join(&children, node->key);
}

enum status search_normalize(const struct search_node *root, struct arena *arena,
                             struct search_node **out)
{
    *out = normal(arena, root);
    if (*out == NULL || arena->failed || searchtangle__mark(*out, arena) != OK) {
        *out = NULL;
        return LIMIT;
    }
    (*out)->next = NULL;
    return OK;
}

/* --- parts -------------------------------------------------------------------------------------- */

bool search_is_part(const struct search_node *node)
{
    return node->key != SEARCH_NOT && searchkey__is_pure(node->classes) &&
           (node->classes & SEARCH_IS_TANGLED) == 0;
}

static void check_plain(void *arg, const struct search_node *leaf)
{
    bool *is_plain = arg;
    bool is_old = leaf->key <= SEARCH_SENTSINCE && leaf->key != SEARCH_MODSEQ;
    bool is_size = leaf->key == SEARCH_LARGER || leaf->key == SEARCH_SMALLER;
    *is_plain = *is_plain && (is_old || is_size) && (leaf->classes & SEARCH_IS_ODD) == 0;
}

static bool is_utf8(struct slice charset)
{
    return slice_eq_nocase(charset, SLICE("UTF-8"));
}

static bool is_plain_charset(struct slice charset, bool is_8bit)
{
    bool is_ascii = slice_eq_nocase(charset, SLICE("US-ASCII"));
    return charset.len == 0 || is_utf8(charset) || (is_ascii && !is_8bit);
}

static bool is_8bit(const struct search_node *node)
{
    return (node->classes & SEARCH_USES_8BIT) != 0;
}

static bool is_volatile(const struct search_node *node)
{
    return (node->classes & SEARCH_IS_VOLATILE) != 0;
}

static enum status find_parts(const struct search_node *node, struct slice charset,
                              struct search_part *out, size_t *n_out)
{
    bool is_whole = (node->classes & SEARCH_IS_TANGLED) != 0 && is_volatile(node);
    if (is_whole || (search_is_part(node) && *n_out == SEARCH_PARTS_MAX)) {
        return LIMIT;
    }
    if (search_is_part(node)) {
        bool is_plain = is_plain_charset(charset, is_8bit(node));
        search_visit(node, check_plain, &is_plain);
        out[(*n_out)++] = (struct search_part){
            .node = node,
            .is_volatile = is_volatile(node),
            .is_plain = is_plain};
        return OK;
    }
    for (const struct search_node *child = node->child; child != NULL; child = child->next) {
        TRY(find_parts(child, charset, out, n_out));
    }
    return OK;
}

enum status search_parts(const struct search_node *root, struct slice charset,
                         struct search_part *out, size_t *n_out)
{
    *n_out = 0;
    return find_parts(root, charset, out, n_out);
}

/* Quoted unless it is an atom, so that no charset's name reads as the beginning of a key. */
static void add_charset(struct slice charset, struct buf *out)
{
    size_t from = out->len;
    emit_astring(out, charset);
    for (size_t i = from; i < out->len; i++) {
        char c = out->data[i];
        out->data[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    buf_add_char(out, ' ');
}

enum status search_part_name(const struct search_part *part, struct slice charset, struct buf *out)
{
    bool has_8bit = is_8bit(part->node);
    if (!is_plain_charset(charset, has_8bit)) {
        add_charset(charset, out);
    } else if (has_8bit) {
        buf_add_str(out, "UTF-8 ");
    }
    TRY(search_canonical(part->node, out));
    return buf_ok(out) ? OK : LIMIT;
}
