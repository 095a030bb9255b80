#include "imap/seqset.h"

#include <stdlib.h>

#include "grow_p.h"
#include "base/alloc.h"

static bool parse_number(struct slice text, uint32_t *out)
{
    if (slice_eq(text, SLICE("*"))) {
        *out = 0;
        return true;
    }
    return slice_u32(text, out) && *out != 0;
}

static bool parse_part(struct slice text, struct seqset_part *out)
{
    size_t colon = slice_find(text, ':');
    if (!parse_number(slice_sub(text, 0, colon), &out->first)) {
        return false;
    }
    out->last = out->first;
    return colon == text.len || parse_number(slice_sub(text, colon + 1, text.len), &out->last);
}

static void add_part(struct seqset *set, struct seqset_part part, uint32_t *end)
{
    uint32_t low = part.first < part.last ? part.first : part.last;
    uint32_t high = part.first < part.last ? part.last : part.first;
    set->has_star = set->has_star || low == 0;
    set->is_sorted = set->is_sorted && low > *end;
    set->highest = high > set->highest ? high : set->highest;
    *end = high;
}

enum status seqset_parse_text(struct slice text, struct arena *arena, struct seqset *out)
{
    *out = (struct seqset){.is_sorted = true};
    if (slice_eq(text, SLICE("$"))) {
        out->is_saved = true;
        return OK;
    }
    struct seqset_part *parts = NULL;
    size_t cap = 0;
    uint32_t end = 0;
    size_t from = 0;
    do {
        struct slice rest = slice_sub(text, from, text.len);
        size_t comma = slice_find(rest, ',');
        struct seqset_part part;
        if (!parse_part(slice_sub(rest, 0, comma), &part)) {
            return SYNTAX;
        }
        parts = grow__array(arena, parts, out->n, &cap, sizeof(*parts));
        if (parts == NULL || out->n == SEQSET_PARTS_MAX) {
            return LIMIT;
        }
        add_part(out, part, &end);
        parts[out->n++] = part;
        from += comma + 1;
    } while (from <= text.len);
    out->parts = parts;
    return OK;
}

enum status seqset_parse(struct lexer *lx, struct arena *arena, struct seqset *out)
{
    *out = (struct seqset){0};
    struct slice text = lexer_set_text(lx);
    TRY(lexer_status(lx));
    return seqset_parse_text(text, arena, out);
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *left = a;
    const struct range *right = b;
    return (left->first > right->first) - (left->first < right->first);
}

enum status seqset_resolve(const struct seqset *set, uint32_t max, struct ranges *out)
{
    ranges_reset(out);
    /* Sorted first: adding in descending order would move the whole array each time. */
    struct range *sorted = alloc_array(set->n > 0 ? set->n : 1, sizeof(*sorted));
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) {
        struct seqset_part part = set->parts[i];
        if ((part.first == 0 || part.last == 0) && max == 0) {
            continue;
        }
        uint32_t first = part.first == 0 ? max : part.first;
        uint32_t last = part.last == 0 ? max : part.last;
        sorted[n++] = first < last ? (struct range){first, last} : (struct range){last, first};
    }
    if (!set->is_sorted) {
        qsort(sorted, n, sizeof(*sorted), compare_ranges);
    }
    for (size_t i = 0; i < n; i++) {
        ranges_add(out, sorted[i].first, sorted[i].last);
    }
    alloc_free(sorted);
    return ranges_ok(out) ? OK : LIMIT;
}
