#include "model/uidset.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

/* Up to here one splice per interval is cheaper than a merge. */
enum { FEW = 8, LINEAR_RANK = 8, KEEP_INTERVALS = 512 };

/* Replace the contents of @a by @n intervals at @at, which it owns from now on. */
static void adopt(struct ranges *a, struct range *at, size_t n, size_t cap)
{
    alloc_free(a->at);
    a->at = at;
    a->n = n;
    a->cap = cap;
    if (a->max_n != 0 && n > a->max_n) {
        a->failed = true;
    }
}

void ranges_append(struct ranges *set, uint32_t first, uint32_t last)
{
    if (set->n > 0 && set->at[set->n - 1].last + 1 == first) {
        set->at[set->n - 1].last = last;
        return;
    }
    if (set->failed || (set->max_n != 0 && set->n == set->max_n)) {
        set->failed = true;
        return;
    }
    CHECK(set->n == 0 || set->at[set->n - 1].last < first);
    if (set->n == set->cap) {
        set->cap = set->cap > 0 ? set->cap * 2 : 8;
        set->at = alloc_resize(set->at, set->cap, sizeof(*set->at));
    }
    set->at[set->n++] = (struct range){first, last};
}

static void append_joining(struct range *at, size_t *n, struct range r)
{
    if (*n > 0 && (at[*n - 1].last == UINT32_MAX || r.first <= at[*n - 1].last + 1)) {
        at[*n - 1].last = r.last > at[*n - 1].last ? r.last : at[*n - 1].last;
    } else {
        at[(*n)++] = r;
    }
}

void ranges_unite(struct ranges *a, const struct ranges *b)
{
    if (b->n <= FEW || (a->n > 0 && b->n > 0 && a->at[a->n - 1].last < b->at[0].first)) {
        ranges_add_all(a, b);
        return;
    }
    size_t cap = a->n + b->n;
    struct range *at = alloc_array(cap, sizeof(*at));
    size_t n = 0;
    size_t i = 0;
    size_t j = 0;
    while (i < a->n || j < b->n) {
        bool from_a = j == b->n || (i < a->n && a->at[i].first <= b->at[j].first);
        append_joining(at, &n, from_a ? a->at[i++] : b->at[j++]);
    }
    adopt(a, at, n, cap);
}

void ranges_subtract(struct ranges *a, const struct ranges *b)
{
    if (b->n <= FEW || a->n == 0) {
        for (size_t i = 0; i < b->n && a->n > 0; i++) {
            ranges_remove(a, b->at[i].first, b->at[i].last);
        }
        return;
    }
    size_t cap = a->n + b->n;
    struct range *at = alloc_array(cap, sizeof(*at));
    size_t n = 0;
    size_t j = 0;
    for (size_t i = 0; i < a->n; i++) {
        uint64_t from = a->at[i].first; /* 64 bits: from runs to last + 1 */
        while (j < b->n && b->at[j].last < from) {
            j++;
        }
        for (size_t k = j; k < b->n && b->at[k].first <= a->at[i].last; k++) {
            if (b->at[k].first > from) {
                at[n++] = (struct range){(uint32_t)from, b->at[k].first - 1};
            }
            from = (uint64_t)b->at[k].last + 1;
        }
        if (from <= a->at[i].last) {
            at[n++] = (struct range){(uint32_t)from, a->at[i].last};
        }
    }
    adopt(a, at, n, cap);
}

void ranges_clip(struct ranges *a, uint32_t last)
{
    if (last < UINT32_MAX) {
        ranges_remove(a, last + 1, UINT32_MAX);
    }
}

void ranges_copy(const struct ranges *a, struct ranges *out)
{
    ranges_reset(out);
    ranges_add_all(out, a);
}

void ranges_swap(struct ranges *a, struct ranges *b)
{
    struct ranges kept = *a;
    *a = *b;
    *b = kept;
}

void uidset_init(struct uidset *set)
{
    *set = (struct uidset){0};
    ranges_init(&set->set, 0);
}

void uidset_fini(struct uidset *set)
{
    ranges_fini(&set->set);
    alloc_free(set->before);
    uidset_init(set);
}

void uidset_reset(struct uidset *set)
{
    if (set->set.cap > KEEP_INTERVALS) {
        uidset_fini(set);
    }
    ranges_reset(&set->set);
    set->ranked = false;
}

bool uidset_empty(const struct uidset *set)
{
    return set->set.n == 0;
}

bool uidset_has(const struct uidset *set, uint32_t uid)
{
    return set->set.n > 0 && ranges_has(&set->set, uid);
}

void uidset_unite(struct uidset *set, const struct ranges *other)
{
    ranges_unite(&set->set, other);
    set->ranked = false;
}

void uidset_subtract(struct uidset *set, const struct ranges *other)
{
    ranges_subtract(&set->set, other);
    set->ranked = false;
}

static void rank_intervals(struct uidset *set)
{
    if (set->ranked) {
        return;
    }
    if (set->before_cap < set->set.n) {
        set->before = alloc_resize(set->before, set->set.n, sizeof(*set->before));
        set->before_cap = set->set.n;
    }
    uint32_t sum = 0;
    for (size_t i = 0; i < set->set.n; i++) {
        set->before[i] = sum;
        sum += set->set.at[i].last - set->set.at[i].first + 1;
    }
    set->ranked = true;
}

uint32_t uidset_rank(struct uidset *set, uint32_t uid)
{
    if (set->set.n <= LINEAR_RANK) {
        return (uint32_t)ranges_rank(&set->set, uid);
    }
    rank_intervals(set);
    size_t low = 0; /* intervals beginning at or below uid */
    size_t high = set->set.n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (set->set.at[mid].first <= uid) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == 0) {
        return 0;
    }
    const struct range *r = &set->set.at[low - 1];
    return set->before[low - 1] + ((uid < r->last ? uid : r->last) - r->first + 1);
}

uint32_t uidset_count(struct uidset *set)
{
    return uidset_rank(set, UINT32_MAX);
}

uint32_t uidset_select(struct uidset *set, uint32_t n)
{
    if (n == 0 || n > uidset_count(set)) {
        return 0;
    }
    rank_intervals(set);
    size_t low = 0; /* intervals with fewer than n members before them */
    size_t high = set->set.n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (set->before[mid] < n) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return set->set.at[low - 1].first + (n - set->before[low - 1] - 1);
}
