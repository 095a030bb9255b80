/* An order: which message comes when, four octets each and a bitmap. */
#include "account/orders.h"

#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"

#define NO_PLACE UINT32_MAX

/* Where a UID stands among those of the set, counted upwards. */
struct rank_index {
    struct ranges runs;
    uint32_t *below; /* members below each run */
};

static void index_init(struct rank_index *index, const struct bitmap *uids)
{
    uint32_t n = 0;
    ranges_init(&index->runs, 0);
    bitmap_to_ranges(uids, &index->runs);
    index->below = alloc_array(index->runs.n + 1, sizeof(*index->below));
    for (size_t i = 0; i < index->runs.n; i++) {
        index->below[i] = n;
        n += index->runs.at[i].last - index->runs.at[i].first + 1;
    }
}

static void index_fini(struct rank_index *index)
{
    ranges_fini(&index->runs);
    alloc_free(index->below);
}

static uint32_t index_of(const struct rank_index *index, uint32_t uid)
{
    const struct range *at = index->runs.at;
    size_t low = ranges_lower(&index->runs, uid);
    return low < index->runs.n && at[low].first <= uid ? index->below[low] + (uid - at[low].first)
                                                       : NO_PLACE;
}

struct order *order_create(const uint32_t *numbers, size_t n, const struct bitmap *asked)
{
    struct order *order = alloc_zero(sizeof(*order));
    struct rank_index index;
    order->uids = bitmap_create();
    bitmap_add_array(order->uids, numbers, n);
    bitmap_remove(order->uids, 0, 0);
    if (asked != NULL) {
        bitmap_and(order->uids, asked);
    }
    size_t members = (size_t)bitmap_count(order->uids);
    order->places = alloc_array(members + 1, sizeof(*order->places));
    unsigned char *is_taken = alloc_zero(members + 1);
    index_init(&index, order->uids);
    for (size_t i = 0; i < n; i++) {
        uint32_t place = index_of(&index, numbers[i]);
        if (place != NO_PLACE && !is_taken[place]) {
            is_taken[place] = 1;
            order->places[order->n++] = place;
        }
    }
    index_fini(&index);
    alloc_free(is_taken);
    return order;
}

struct order *order_copy(const struct order *order)
{
    struct order *copy = alloc_zero(sizeof(*copy));
    copy->uids = bitmap_copy(order->uids);
    copy->places = alloc_array(order->n + 1, sizeof(*copy->places));
    memcpy(copy->places, order->places, order->n * sizeof(*copy->places));
    copy->n = order->n;
    return copy;
}

void order_destroy(struct order **order)
{
    if (*order != NULL) {
        bitmap_destroy(&(*order)->uids);
        alloc_free((*order)->places);
        alloc_free(*order);
        *order = NULL;
    }
}

void order_narrow(struct order *order, const struct bitmap *to)
{
    struct bitmap *kept = bitmap_copy(order->uids);
    bitmap_and(kept, to);
    uint32_t *now = alloc_array(order->n + 1, sizeof(*now)); /* places as they will be */
    uint32_t uid = 0, before = 0, after = 0;
    while (bitmap_next(order->uids, uid, &uid)) {
        now[before++] = bitmap_has(kept, uid) ? after++ : NO_PLACE;
        if (uid++ == UINT32_MAX) {
            break;
        }
    }
    size_t n = 0;
    for (size_t i = 0; i < order->n; i++) {
        if (now[order->places[i]] != NO_PLACE) {
            order->places[n++] = now[order->places[i]];
        }
    }
    alloc_free(now);
    bitmap_destroy(&order->uids);
    order->uids = kept;
    order->n = n;
    order->places = alloc_resize(order->places, n + 1, sizeof(*order->places));
}
