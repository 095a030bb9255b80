/* Servers make criteria simpler before they evaluate them, and some make them wrong by it.  Dovecot 2.3
 * takes what it finds in several branches of a tree out of them, and drops a branch for another that says
 * the same, not always minding NOTs: `OR FROM a NOT OR OR TO b SUBJECT c NOT TO b` selects more than FROM
 * a.  Of two bounds in a list it makes one, and minds no NOT either; lists it joins when something between
 * them has gone: `OR NOT LARGER 700 (NOT LARGER 3000 BODY "")`.  How wrong it is depends on how the
 * criteria are written, so that a client's own words may be answered rightly, and their canonical form not.
 *   What it is right about is a tree in which each leaf is another one, and all bounds of a family stand
 * beside each other, one for each key and sign.  Any other is tangled. */
#include "searchtangle_p.h"

#include <stdlib.h>

#include "searchkey_p.h"
#include "searchorder_p.h"

struct place {
    const struct search_node *leaf;
    const struct search_node *list; /* the AND or OR that it, or its NOT, is a child of */
    bool is_negative;
};

/* Of the node that is looked at. */
struct places {
    struct place *at;
    size_t n;
    size_t looks_left; /* at so many places, of all nodes */
};

static bool is_inner(const struct search_node *node)
{
    return node->key == SEARCH_AND || node->key == SEARCH_OR || node->key == SEARCH_NOT;
}

static size_t count(const struct search_node *node)
{
    size_t n = is_inner(node) ? 0 : 1;
    for (const struct search_node *child = is_inner(node) ? node->child : NULL; child != NULL;
         child = child->next) {
        n += count(child);
    }
    return n;
}

static void collect(struct places *places, const struct search_node *list)
{
    for (const struct search_node *child = list->child; child != NULL; child = child->next) {
        const struct search_node *node = searchorder__positive(child);
        if (is_inner(node)) {
            collect(places, node);
        } else {
            places->at[places->n++] = (struct place){node, list, node != child};
        }
    }
}

/* --- equal leaves --------------------------------------------------------------------------------- */

static int by_leaf(const void *a, const void *b)
{
    return searchorder__compare_positive(((const struct place *)a)->leaf,
                                         ((const struct place *)b)->leaf);
}

static bool has_leaf_twice(struct places *places)
{
    if (places->n > 1) {
        qsort(places->at, places->n, sizeof(places->at[0]), by_leaf);
    }
    for (size_t i = 1; i < places->n; i++) {
        if (by_leaf(&places->at[i - 1], &places->at[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* --- bounds --------------------------------------------------------------------------------------- */

static bool is_on(enum search_key key)
{
    return key == SEARCH_ON || key == SEARCH_SENTON || key == SEARCH_SAVEDON;
}

/* Of a family in two lists; or two of one key and sign in one (which are not joined where a server may
 * have to refuse them). */
static bool has_scattered_bounds(const struct places *places)
{
    const struct search_node *list_of[SEARCHKEY_FAMILIES] = {NULL};
    bool is_there[SEARCH_KEYS][2] = {0};
    for (size_t i = 0; i < places->n; i++) {
        const struct place *place = &places->at[i];
        enum search_key key = place->leaf->key;
        enum searchkey_family family = searchkey__family(key);
        bool *is_twice = &is_there[key][place->is_negative];
        const struct search_node **list = &list_of[family];
        if (family == SEARCHKEY_NO_FAMILY) {
            continue;
        }
        if ((*list != NULL && *list != place->list) || (*is_twice && !is_on(key))) {
            return true;
        }
        *list = place->list;
        *is_twice = true;
    }
    return false;
}

/* --- marking -------------------------------------------------------------------------------------- */

/* What there is no time to look at counts as tangled. */
static bool is_tangled(struct places *places, const struct search_node *node)
{
    places->n = 0;
    collect(places, node);
    bool has_time = places->n <= places->looks_left;
    places->looks_left = has_time ? places->looks_left - places->n : 0;
    return !has_time || has_scattered_bounds(places) || has_leaf_twice(places);
}

static void mark(struct places *places, struct search_node *node)
{
    if (!is_inner(node)) {
        return;
    }
    if (node->key != SEARCH_NOT && searchkey__is_pure(node->classes)) {
        if (!is_tangled(places, node)) {
            return;
        }
        node->classes |= SEARCH_IS_TANGLED;
    }
    for (struct search_node *child = node->child; child != NULL; child = child->next) {
        mark(places, child);
    }
}

enum status searchtangle__mark(struct search_node *root, struct arena *arena)
{
    size_t n = count(root);
    struct places places = {.at = arena_alloc(arena, n * sizeof(struct place)),
                            .looks_left = 2 * SEARCH_NODES_MAX};
    if (places.at == NULL) {
        return LIMIT;
    }
    mark(&places, root);
    return OK;
}
