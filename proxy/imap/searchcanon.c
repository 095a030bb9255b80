#include "imap/searchcanon.h"

#include <stdlib.h>

#include "grow_p.h"
#include "imap/emit.h"
#include "searchkey_p.h"

/* Built from the leaves upwards: each node is made from children that are canonical already.
 *   What is not for the upstream alone has its NOTs at leaves and parts (De Morgan); in a part the
 * first child is never a NOT: else the dual of the negated children is there, under a NOT.  So
 * `NOT a NOT b` and `NOT OR a b` are one, and the positive is what is asked and remembered.
 *   Depth is bounded by the parser: nothing here makes a tree deeper but one grouping per level. */

enum { WHO = SEARCH_IS_MUTABLE | SEARCH_IS_IMMUTABLE | SEARCH_IS_VOLATILE };

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

/* --- order -------------------------------------------------------------------------------------- */

static struct slice word_of(const struct search_node *node)
{
    switch ((unsigned)node->key) {
    case SEARCH_AND:
        return SLICE("(");
    case SEARCH_OR:
        return SLICE("OR");
    case SEARCH_NOT:
        return SLICE("NOT");
    case SEARCH_FUZZY:
        return SLICE("FUZZY");
    case SEARCH_SEQ:
        return SLICE("");
    case SEARCH_UNKNOWN:
        return node->text;
    default:
        return slice_str(searchkey__row(node)->name);
    }
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_sets(const struct seqset *a, const struct seqset *b)
{
    int order = compare_numbers(a->is_saved, b->is_saved);
    for (size_t i = 0; i < a->n && i < b->n && order == 0; i++) {
        order = compare_numbers(a->parts[i].first, b->parts[i].first);
        order = order != 0 ? order : compare_numbers(a->parts[i].last, b->parts[i].last);
    }
    return order != 0 ? order : compare_numbers(a->n, b->n);
}

static int compare_tokens(const struct search_node *a, const struct search_node *b)
{
    int order = 0;
    for (size_t i = 0; i < a->tokens_n && i < b->tokens_n && order == 0; i++) {
        order = slice_cmp(a->tokens[i].text, b->tokens[i].text);
        order = order != 0 ? order
                           : compare_numbers(a->tokens[i].is_string, b->tokens[i].is_string);
    }
    return order != 0 ? order : compare_numbers(a->tokens_n, b->tokens_n);
}

static int compare(const struct search_node *a, const struct search_node *b);

/* By word, arguments, children. */
static int compare_positive(const struct search_node *a, const struct search_node *b)
{
    int order = slice_cmp(word_of(a), word_of(b));
    order = order != 0 ? order : compare_numbers(a->key, b->key);
    order = order != 0 ? order : slice_cmp(a->field, b->field);
    order = order != 0 ? order : slice_cmp(a->text, b->text);
    order = order != 0 ? order : compare_numbers(a->number, b->number);
    order = order != 0 ? order : compare_sets(&a->set, &b->set);
    order = order != 0 ? order : compare_tokens(a, b);
    const struct search_node *left = a->child, *right = b->child;
    for (; order == 0 && left != NULL && right != NULL; left = left->next, right = right->next) {
        order = compare(left, right);
    }
    return order != 0 ? order : compare_numbers(left != NULL, right != NULL);
}

static const struct search_node *positive(const struct search_node *node)
{
    return node->key == SEARCH_NOT ? node->child : node;
}

/* The same in every process, and 0 only for equal trees.  A NOT stands where its child would, behind
 * it. */
static int compare(const struct search_node *a, const struct search_node *b)
{
    int order = compare_positive(positive(a), positive(b));
    return order != 0 ? order : compare_numbers(a->key == SEARCH_NOT, b->key == SEARCH_NOT);
}

static int by_order(const void *a, const void *b)
{
    return compare(*(struct search_node *const *)a, *(struct search_node *const *)b);
}

static void sort_unique(struct nodes *nodes)
{
    size_t kept = 0;
    if (nodes->n > 1) {
        qsort(nodes->at, nodes->n, sizeof(nodes->at[0]), by_order);
    }
    for (size_t i = 0; i < nodes->n; i++) {
        if (i == 0 || compare(nodes->at[kept - 1], nodes->at[i]) != 0) {
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

/* For the upstream alone, and to be remembered or not as a whole. */
static bool is_pure(unsigned classes)
{
    return (classes & WHO) == SEARCH_IS_IMMUTABLE || (classes & WHO) == SEARCH_IS_VOLATILE;
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
    if ((node->key != SEARCH_AND && node->key != SEARCH_OR) || is_pure(node->classes)) {
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
        if (((nodes->at[i]->classes & WHO) == who) == is_of_it) {
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
        if ((nodes->at[i]->classes & WHO) == who) {
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
    bool is_pair = compare_positive(positive(first), positive(second)) == 0;
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
        uint64_t width;
        bool is_negative = node->key == SEARCH_NOT;
        bool wants_wide = (key == SEARCH_OR) != is_negative;
        bool is_bound = searchkey__bound(positive(node), &width);
        size_t *place = &bounds[positive(node)->key][is_negative].place;
        uint64_t *best = &bounds[positive(node)->key][is_negative].width;
        if (!is_bound || *place == 0) {
            nodes->at[kept++] = node;
            *place = is_bound ? kept : 0;
            *best = is_bound ? width : 0;
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
    return is_pure(classes) ? join_pure(nodes, key) : linked(nodes, key);
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

static struct search_node *normal(struct arena *arena, const struct search_node *node)
{
    struct nodes children = {.arena = arena};
    if (node->key == SEARCH_NOT) {
        return negate(arena, normal(arena, node->child));
    }
    if (node->key != SEARCH_AND && node->key != SEARCH_OR) {
        return copy(arena, node);
    }
    for (const struct search_node *child = node->child; child != NULL; child = child->next) {
        add_flat(&children, node->key, normal(arena, child));
    }
    return join(&children, node->key);
}

enum status search_normalize(const struct search_node *root, struct arena *arena,
                             struct search_node **out)
{
    *out = normal(arena, root);
    if (*out == NULL || arena->failed) {
        *out = NULL;
        return LIMIT;
    }
    (*out)->next = NULL;
    return OK;
}

/* --- parts -------------------------------------------------------------------------------------- */

bool search_is_part(const struct search_node *node)
{
    unsigned who = node->classes & WHO;
    return node->key != SEARCH_NOT && (who == SEARCH_IS_IMMUTABLE || who == SEARCH_IS_VOLATILE);
}

static void check_plain(void *arg, const struct search_node *leaf)
{
    bool *is_plain = arg;
    bool is_old = leaf->key <= SEARCH_SENTSINCE && leaf->key != SEARCH_MODSEQ;
    *is_plain = *is_plain && (is_old || leaf->key == SEARCH_LARGER || leaf->key == SEARCH_SMALLER);
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

static enum status find_parts(const struct search_node *node, struct slice charset,
                              struct search_part *out, size_t *n_out)
{
    if (search_is_part(node)) {
        if (*n_out == SEARCH_PARTS_MAX) {
            return LIMIT;
        }
        bool is_plain = is_plain_charset(charset, is_8bit(node));
        search_visit(node, check_plain, &is_plain);
        out[(*n_out)++] = (struct search_part){
            .node = node,
            .is_volatile = (node->classes & SEARCH_IS_VOLATILE) != 0,
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
