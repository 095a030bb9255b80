#ifndef BASE_RANGES_H
#define BASE_RANGES_H
/* A set of 32-bit numbers (UIDs or sequence numbers) as sorted, disjoint, non-adjacent intervals.
 * Cheap for the long runs that mail has; anything a peer sends is bounded by max_n intervals
 * (0 = unlimited, only for numbers of our own).  Sticky failure like struct buf.
 * Owner: the caller.                                Thread: any.   RFC 9051 section 9 sequence-set. */
#include "base/buf.h"
#include "base/status.h"

struct range {
    uint32_t first;
    uint32_t last; /* >= first */
};

struct ranges {
    struct range *at;
    size_t n;
    size_t cap;
    size_t max_n;
    bool failed;
};

void ranges_init(struct ranges *set, size_t max_n);
void ranges_fini(struct ranges *set);
void ranges_reset(struct ranges *set);
bool ranges_ok(const struct ranges *set);
bool ranges_empty(const struct ranges *set);
/* Add first..last in any order of the two; O(1) when it goes to the end. */
void ranges_add(struct ranges *set, uint32_t first, uint32_t last);
void ranges_add_all(struct ranges *set, const struct ranges *other);
void ranges_remove(struct ranges *set, uint32_t first, uint32_t last);
bool ranges_has(const struct ranges *set, uint32_t value);
/* Place of the first interval that ends at @value or above; set->n: none. */
size_t ranges_lower(const struct ranges *set, uint32_t value);
/* Members <= value. */
uint64_t ranges_rank(const struct ranges *set, uint32_t value);
uint64_t ranges_count(const struct ranges *set);
/* The smallest member >= from; false when there is none. */
bool ranges_next(const struct ranges *set, uint32_t from, uint32_t *value_out);
/* out = a and b, into an initialised out that is neither. */
void ranges_intersect(const struct ranges *a, const struct ranges *b, struct ranges *out);
/* Parse "1:3,7" (numbers from 1, no "*"); the text of an upstream.  SYNTAX or LIMIT on refusal. */
enum status ranges_parse(struct ranges *set, struct slice text) MUST_USE;
/* "1:3,7"; nothing for the empty set. */
void ranges_format(const struct ranges *set, struct buf *out);

#endif
