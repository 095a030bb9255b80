#ifndef SUPPORT_SEARCHMODEL_H
#define SUPPORT_SEARCHMODEL_H
/* A small model on which criteria mean something: a message, which is a number, says yes or no to
 * each leaf as if at random, but to equal leaves the same.  Sets hold numbers and UIDs alike. */
#include <stdio.h>
#include <string.h>

#include "imap/searchtree.h"

enum { SEARCHMODEL_LAST = 1000 };

static inline enum status searchmodel_resolve(void *arg, const struct search_node *leaf,
                                              struct ranges *out)
{
    (void)arg;
    return seqset_resolve(&leaf->set, SEARCHMODEL_LAST, out);
}

static inline uint32_t searchmodel_hash(uint32_t value, struct slice text, bool has_case)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        c = !has_case && c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        value = (value ^ (unsigned char)c) * 16777619U;
    }
    return (value ^ (uint32_t)text.len) * 16777619U;
}

static inline bool searchmodel_in_set(uint32_t message, const struct search_node *leaf)
{
    struct ranges set;
    ranges_init(&set, 0);
    bool is_in = searchmodel_resolve(NULL, leaf, &set) == OK && ranges_has(&set, message);
    ranges_fini(&set);
    return is_in;
}

static inline bool searchmodel_is_bound(enum search_key key)
{
    return key == SEARCH_LARGER || key == SEARCH_SMALLER ||
           (key >= SEARCH_BEFORE && key <= SEARCH_SAVEDSINCE && key != SEARCH_ON &&
            key != SEARCH_SENTON && key != SEARCH_SAVEDON);
}

/* A date, or a size, of the message itself decides. */
static inline bool searchmodel_in_bound(uint32_t hash, const struct search_node *leaf)
{
    char text[16] = "", month[4] = "";
    unsigned day = 0, year = 0;
    if (leaf->key == SEARCH_LARGER || leaf->key == SEARCH_SMALLER) {
        return leaf->key == SEARCH_LARGER ? hash % 20 > leaf->number : hash % 20 < leaf->number;
    }
    memcpy(text, leaf->text.data, leaf->text.len < 15 ? leaf->text.len : 15);
    (void)sscanf(text, "%2u-%3s-%4u", &day, month, &year);
    const char *rest = strstr("JanFebMarAprMayJunJulAugSepOctNovDec", month);
    unsigned asked = year * 400 + (unsigned)(36 - strlen(rest)) * 11 + day;
    unsigned own = (2025 + hash / 400 % 3) * 400 + hash % 400;
    bool is_before = leaf->key == SEARCH_BEFORE || leaf->key == SEARCH_SENTBEFORE ||
                     leaf->key == SEARCH_SAVEDBEFORE;
    return is_before ? own < asked : own >= asked;
}

/* For search_match(); @arg: the message, uint32_t. */
static inline bool searchmodel_leaf(void *arg, const struct search_node *leaf)
{
    uint32_t value = (2166136261U ^ *(uint32_t *)arg) * 16777619U;
    if (searchmodel_is_bound(leaf->key)) {
        return searchmodel_in_bound((value ^ (uint32_t)leaf->key) * 2654435761U >> 8, leaf);
    }
    if (leaf->key == SEARCH_SEQ || leaf->key == SEARCH_UID) {
        return searchmodel_in_set(*(uint32_t *)arg, leaf);
    }
    value = (value ^ (uint32_t)leaf->key ^ (leaf->flag << 8)) * 16777619U;
    value = searchmodel_hash(value ^ (uint32_t)leaf->number, leaf->field, false);
    value = searchmodel_hash(value ^ (uint32_t)(leaf->number >> 32), leaf->text, true);
    for (size_t i = 0; i < leaf->tokens_n; i++) {
        value = searchmodel_hash(value ^ leaf->tokens[i].is_string, leaf->tokens[i].text, true);
    }
    if (leaf->child != NULL && search_match(leaf->child, searchmodel_leaf, arg)) {
        value ^= 0x5bd1e995U;
    }
    return (((value ^ (value >> 15)) * 2246822519U) >> 31) == 1;
}

/* --- what imap/searchcanon.h says of a canonical tree ------------------------------------------- */

static inline unsigned searchmodel_who(const struct search_node *node)
{
    return node->classes & (SEARCH_IS_MUTABLE | SEARCH_IS_IMMUTABLE | SEARCH_IS_VOLATILE);
}

static inline bool searchmodel_is_pure(const struct search_node *node)
{
    unsigned who = searchmodel_who(node);
    return who == SEARCH_IS_IMMUTABLE || who == SEARCH_IS_VOLATILE;
}

static inline bool searchmodel_is_canonical(const struct search_node *node);

static inline bool searchmodel_is_good_list(const struct search_node *node)
{
    size_t n = 0, kept = 0, asked = 0, whole = 0, ours = 0;
    for (const struct search_node *child = node->child; child != NULL; child = child->next, n++) {
        bool is_all = child->key == SEARCH_ALL;
        bool is_none = child->key == SEARCH_NOT && child->child->key == SEARCH_ALL;
        bool is_neutral = node->key == SEARCH_AND ? is_all : is_none;
        bool is_group = searchmodel_is_pure(child) && !searchmodel_is_pure(node);
        if (is_neutral || (child->key == node->key && !is_group) ||
            !searchmodel_is_canonical(child)) {
            return false;
        }
        kept += searchmodel_who(child) == SEARCH_IS_IMMUTABLE ? 1 : 0;
        asked += searchmodel_who(child) == SEARCH_IS_VOLATILE ? 1 : 0;
        ours += searchmodel_who(child) == SEARCH_IS_MUTABLE ? 1 : 0;
        whole += is_all || is_none ? 1 : 0;
    }
    if (searchmodel_is_pure(node)) {
        return n >= 2 && node->child->key != SEARCH_NOT;
    }
    return n >= 2 && kept <= 1 && asked <= 1 && (whole == 0 || ours == 1);
}

static inline bool searchmodel_is_canonical(const struct search_node *node)
{
    if (node->key == SEARCH_NOT) {
        enum search_key below = node->child->key;
        bool is_list = below == SEARCH_AND || below == SEARCH_OR;
        return below != SEARCH_NOT && (!is_list || searchmodel_is_pure(node)) &&
               searchmodel_is_canonical(node->child);
    }
    return (node->key != SEARCH_AND && node->key != SEARCH_OR) || searchmodel_is_good_list(node);
}

enum { SEARCHMODEL_PLACES = 48 };

struct searchmodel_place {
    const struct search_node *leaf, *list;
};

/* False: they are too many. */
static inline bool searchmodel_places(const struct search_node *list, struct searchmodel_place *at,
                                      size_t *n)
{
    for (const struct search_node *child = list->child; child != NULL; child = child->next) {
        const struct search_node *node = child->key == SEARCH_NOT ? child->child : child;
        if (node->key == SEARCH_AND || node->key == SEARCH_OR) {
            if (!searchmodel_places(node, at, n)) {
                return false;
            }
        } else if (*n == SEARCHMODEL_PLACES) {
            return false;
        } else {
            at[(*n)++] = (struct searchmodel_place){node, list};
        }
    }
    return true;
}

/* 0: none. */
static inline unsigned searchmodel_family(enum search_key key)
{
    if (key == SEARCH_LARGER || key == SEARCH_SMALLER) {
        return 1;
    }
    return key >= SEARCH_BEFORE && key <= SEARCH_SAVEDSINCE ? 2 + (key - SEARCH_BEFORE) / 3 : 0;
}

static inline bool searchmodel_collide(const struct searchmodel_place *a,
                                       const struct searchmodel_place *b)
{
    struct buf text[2];
    buf_init(&text[0], 0);
    buf_init(&text[1], 0);
    unsigned family = searchmodel_family(a->leaf->key);
    bool is_scattered =
        family != 0 && family == searchmodel_family(b->leaf->key) && a->list != b->list;
    bool is_same = search_canonical(a->leaf, &text[0]) == OK &&
                   search_canonical(b->leaf, &text[1]) == OK &&
                   slice_eq(buf_slice(&text[0]), buf_slice(&text[1]));
    buf_fini(&text[0]);
    buf_fini(&text[1]);
    return is_scattered || is_same;
}

/* Of an AND or OR for the upstream alone: does it hold a leaf twice, or bounds in several lists?  False
 * also for one that is too large to look at. */
static inline bool searchmodel_is_tangled(const struct search_node *node)
{
    struct searchmodel_place at[SEARCHMODEL_PLACES];
    size_t n = 0;
    if ((node->key != SEARCH_AND && node->key != SEARCH_OR) || !searchmodel_places(node, at, &n)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            if (searchmodel_collide(&at[i], &at[j])) {
                return true;
            }
        }
    }
    return false;
}

#endif
