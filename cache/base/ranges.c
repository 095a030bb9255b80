#include "base/ranges.h"

#include <string.h>

#include "base/alloc.h"

void ranges_init(struct ranges *set, size_t max_n)
{
    *set = (struct ranges){.max_n = max_n};
}

void ranges_fini(struct ranges *set)
{
    alloc_free(set->at);
    ranges_init(set, set->max_n);
}

void ranges_reset(struct ranges *set)
{
    set->n = 0;
    set->failed = false;
}

bool ranges_ok(const struct ranges *set)
{
    return !set->failed;
}

bool ranges_empty(const struct ranges *set)
{
    return set->n == 0;
}

/* Index of the first interval whose last is >= value.  Mostly it is at the end: sets grow there. */
size_t ranges_lower(const struct ranges *set, uint32_t value)
{
    size_t low = 0;
    size_t high = set->n;
    if (high == 0 || set->at[high - 1].last < value) {
        return high;
    }
    if (high == 1 || set->at[high - 2].last < value) {
        return high - 1;
    }
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (set->at[mid].last < value) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* Replace intervals [from, to) by @with (with_n of them). */
static void splice(struct ranges *set, size_t from, size_t to, const struct range *with,
                   size_t with_n)
{
    size_t n = set->n - (to - from) + with_n;
    if (set->max_n != 0 && n > set->max_n) {
        set->failed = true;
        return;
    }
    if (n > set->cap) {
        size_t cap = set->cap > 0 ? set->cap * 2 : 4;
        set->at = alloc_resize(set->at, cap > n ? cap : n, sizeof(*set->at));
        set->cap = cap > n ? cap : n;
    }
    if (set->n > to) { /* at may be NULL when the set is empty */
        memmove(set->at + from + with_n, set->at + to, (set->n - to) * sizeof(*set->at));
    }
    if (with_n > 0) {
        memcpy(set->at + from, with, with_n * sizeof(*with));
    }
    set->n = n;
}

void ranges_add(struct ranges *set, uint32_t first, uint32_t last)
{
    if (set->failed) {
        return;
    }
    struct range r = first <= last ? (struct range){first, last} : (struct range){last, first};
    size_t from = ranges_lower(set, r.first > 0 ? r.first - 1 : 0);
    size_t to = from;
    while (to < set->n && (r.last == UINT32_MAX || set->at[to].first <= r.last + 1)) {
        r.first = set->at[to].first < r.first ? set->at[to].first : r.first;
        r.last = set->at[to].last > r.last ? set->at[to].last : r.last;
        to++;
    }
    splice(set, from, to, &r, 1);
}

void ranges_add_all(struct ranges *set, const struct ranges *other)
{
    for (size_t i = 0; i < other->n; i++) {
        ranges_add(set, other->at[i].first, other->at[i].last);
    }
    set->failed = set->failed || other->failed;
}

void ranges_remove(struct ranges *set, uint32_t first, uint32_t last)
{
    if (set->failed || first > last) {
        return;
    }
    size_t from = ranges_lower(set, first);
    size_t to = from;
    struct range rest[2];
    size_t rest_n = 0;
    while (to < set->n && set->at[to].first <= last) {
        if (set->at[to].first < first) {
            rest[rest_n++] = (struct range){set->at[to].first, first - 1};
        }
        if (set->at[to].last > last) {
            rest[rest_n++] = (struct range){last + 1, set->at[to].last};
        }
        to++;
    }
    splice(set, from, to, rest, rest_n);
}

bool ranges_has(const struct ranges *set, uint32_t value)
{
    size_t i = ranges_lower(set, value);
    return i < set->n && set->at[i].first <= value;
}

uint64_t ranges_rank(const struct ranges *set, uint32_t value)
{
    uint64_t rank = 0;
    for (size_t i = 0; i < set->n && set->at[i].first <= value; i++) {
        uint32_t last = set->at[i].last < value ? set->at[i].last : value;
        rank += (uint64_t)last - set->at[i].first + 1;
    }
    return rank;
}

uint64_t ranges_count(const struct ranges *set)
{
    return ranges_rank(set, UINT32_MAX);
}

bool ranges_next(const struct ranges *set, uint32_t from, uint32_t *value_out)
{
    size_t i = ranges_lower(set, from);
    if (i == set->n) {
        return false;
    }
    *value_out = set->at[i].first > from ? set->at[i].first : from;
    return true;
}

void ranges_intersect(const struct ranges *a, const struct ranges *b, struct ranges *out)
{
    ranges_reset(out);
    size_t i = 0;
    size_t j = 0;
    while (i < a->n && j < b->n) {
        uint32_t first = a->at[i].first > b->at[j].first ? a->at[i].first : b->at[j].first;
        uint32_t last = a->at[i].last < b->at[j].last ? a->at[i].last : b->at[j].last;
        if (first <= last) {
            ranges_add(out, first, last);
        }
        if (a->at[i].last < b->at[j].last) {
            i++;
        } else {
            j++;
        }
    }
}

static bool parse_one(struct slice part, struct range *out)
{
    size_t colon = slice_find(part, ':');
    if (!slice_u32(slice_sub(part, 0, colon), &out->first) || out->first == 0) {
        return false;
    }
    out->last = out->first;
    if (colon < part.len) {
        return slice_u32(slice_sub(part, colon + 1, part.len), &out->last) && out->last != 0;
    }
    return true;
}

enum status ranges_parse(struct ranges *set, struct slice text)
{
    ranges_reset(set);
    size_t from = 0;
    do {
        struct slice rest = slice_sub(text, from, text.len);
        size_t comma = slice_find(rest, ',');
        struct range r;
        if (!parse_one(slice_sub(rest, 0, comma), &r)) {
            return SYNTAX;
        }
        ranges_add(set, r.first, r.last);
        from += comma + 1;
    } while (from <= text.len);
    return set->failed ? LIMIT : OK;
}

void ranges_format(const struct ranges *set, struct buf *out)
{
    for (size_t i = 0; i < set->n; i++) {
        if (i > 0) {
            buf_add_char(out, ',');
        }
        buf_add_u64(out, set->at[i].first);
        if (set->at[i].last != set->at[i].first) {
            buf_add_char(out, ':');
            buf_add_u64(out, set->at[i].last);
        }
    }
}
