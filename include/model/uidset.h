#ifndef MODEL_UIDSET_H
#define MODEL_UIDSET_H
/* What base/ranges lacks for sets of UIDs that are combined and ranked all the time: union and
 * difference in one pass, and rank/select by binary search.  A uidset builds its rank index on
 * demand, once after a change, so a batch of changes costs one pass over the intervals.
 * Memory: 8 bytes an interval, 4 more once ranked.  Owner: the caller.          Thread: any. */
#include "base/ranges.h"

/* a = a or b. */
void ranges_unite(struct ranges *a, const struct ranges *b);
/* a = a without b. */
void ranges_subtract(struct ranges *a, const struct ranges *b);
/* Keep what is <= last. */
void ranges_clip(struct ranges *a, uint32_t last);
/* out = copy of a, into an initialised out. */
void ranges_copy(const struct ranges *a, struct ranges *out);
/* Add first..last, which is above all there is (joined when adjacent); O(1). */
void ranges_append(struct ranges *set, uint32_t first, uint32_t last);
void ranges_swap(struct ranges *a, struct ranges *b);

struct uidset {
    struct ranges set;  /* read only: change it through the functions below */
    uint32_t *before;   /* members in the intervals before number i; valid while ranked */
    size_t before_cap;
    bool ranked;
};

void uidset_init(struct uidset *set);
void uidset_fini(struct uidset *set);
/* Empty; memory beyond a few KiB is given back. */
void uidset_reset(struct uidset *set);
bool uidset_empty(const struct uidset *set);
bool uidset_has(const struct uidset *set, uint32_t uid);
void uidset_unite(struct uidset *set, const struct ranges *other);
void uidset_subtract(struct uidset *set, const struct ranges *other);
uint32_t uidset_count(struct uidset *set);
/* Members <= uid. */
uint32_t uidset_rank(struct uidset *set, uint32_t uid);
/* The n-th member (from 1); 0 when there are fewer. */
uint32_t uidset_select(struct uidset *set, uint32_t n);

#endif
