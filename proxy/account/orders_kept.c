/* What is remembered of one mailbox's orders and threads, least recently used out first. */
#include <utlist.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "orders_p.h"

struct kept {
    struct kept *next, *prev;             /* of its mailbox */
    struct kept *used_next, *used_prev;   /* in the pool */
    struct orders_kept *owner;
    struct buf program;
    struct order *order;     /* NULL: threads */
    struct bitmap *uids;     /* threads, also the next two */
    struct bitmap *present;
    struct buf threads;
    size_t bytes;
};

static size_t bytes_of(const struct kept *one)
{
    size_t bytes = sizeof(*one) + one->program.cap + one->threads.cap;
    if (one->order != NULL) {
        return bytes + one->order->n * sizeof(*one->order->places) + bitmap_bytes(one->order->uids);
    }
    return bytes + bitmap_bytes(one->uids) + bitmap_bytes(one->present);
}

static void count(struct kept *one)
{
    struct orders_pool *pool = one->owner->pool;
    pool->bytes -= one->bytes;
    one->bytes = bytes_of(one);
    pool->bytes += one->bytes;
}

static void drop(struct kept *one)
{
    struct orders_kept *owner = one->owner;
    owner->pool->bytes -= one->bytes;
    DL_DELETE2(owner->pool->used, one, used_prev, used_next);
    DL_DELETE(owner->list, one);
    owner->n--;
    buf_fini(&one->program);
    buf_fini(&one->threads);
    order_destroy(&one->order);
    bitmap_destroy(&one->uids);
    bitmap_destroy(&one->present);
    alloc_free(one);
}

static void use(struct kept *one)
{
    struct orders_pool *pool = one->owner->pool;
    DL_DELETE2(pool->used, one, used_prev, used_next);
    DL_APPEND2(pool->used, one, used_prev, used_next);
}

/* The least recently used of the mailbox: the first of its own in the pool's order. */
static void drop_one_of(struct orders_kept *kept)
{
    struct kept *one;
    DL_FOREACH2(kept->pool->used, one, used_next) {
        if (one->owner == kept) {
            drop(one);
            return;
        }
    }
}

static struct kept *add(struct orders_kept *kept, struct slice program)
{
    if (kept->n == ORDERS_MAX) {
        drop_one_of(kept);
    }
    struct kept *one = alloc_zero(sizeof(*one));
    one->owner = kept;
    buf_init(&one->program, 0);
    buf_init(&one->threads, 0);
    buf_add(&one->program, program);
    DL_APPEND(kept->list, one);
    DL_APPEND2(kept->pool->used, one, used_prev, used_next);
    kept->n++;
    return one;
}

/* Also the new one itself, when it alone is too much. */
static void make_room(struct orders_pool *pool)
{
    while (pool->bytes > pool->bytes_max && pool->used != NULL) {
        drop(pool->used);
    }
}

void kept__clear(struct orders_kept *kept)
{
    while (kept->list != NULL) {
        drop(kept->list);
    }
}

static bool is_of(const struct kept *one, struct slice program, bool is_order)
{
    return (one->order != NULL) == is_order && slice_eq(buf_slice(&one->program), program);
}

const struct order *kept__find_order(struct orders_kept *kept, struct slice program,
                                     const struct bitmap *uids)
{
    struct kept *one;
    DL_FOREACH(kept->list, one) {
        if (is_of(one, program, true) && bitmap_is_subset(uids, one->order->uids)) {
            use(one);
            return one->order;
        }
    }
    return NULL;
}

bool kept__find_threads(struct orders_kept *kept, struct slice program, const struct bitmap *uids,
                        const struct bitmap *present, struct slice *out)
{
    struct kept *one;
    DL_FOREACH(kept->list, one) {
        if (is_of(one, program, false) && bitmap_equal(uids, one->uids) &&
            bitmap_equal(present, one->present)) {
            use(one);
            *out = buf_slice(&one->threads);
            return true;
        }
    }
    return false;
}

static bool has_order_of(struct orders_kept *kept, struct slice program, const struct bitmap *uids)
{
    struct kept *one;
    DL_FOREACH(kept->list, one) {
        if (is_of(one, program, true) && bitmap_is_subset(uids, one->order->uids)) {
            return true;
        }
    }
    return false;
}

/* What has been expunged is of no use to anybody; it goes when there is much of it. */
static void narrow(struct kept *one, const struct bitmap *present)
{
    struct bitmap *gone = bitmap_copy(one->order->uids);
    bitmap_andnot(gone, present);
    if (bitmap_count(gone) > one->order->n / 4) {
        order_narrow(one->order, present);
        count(one);
    }
    bitmap_destroy(&gone);
}

static bool is_needless(const struct kept *one, const struct order *order,
                        const struct bitmap *present)
{
    struct bitmap *alive = bitmap_copy(one->order->uids);
    bitmap_and(alive, present);
    bool yes = bitmap_is_subset(alive, order->uids);
    bitmap_destroy(&alive);
    return yes;
}

void kept__add_order(struct orders_kept *kept, struct slice program, struct order *order,
                     const struct bitmap *present)
{
    struct kept *one, *next;
    DL_FOREACH_SAFE(kept->list, one, next) {
        if (one->order == NULL) {
            continue;
        }
        if (is_of(one, program, true) && is_needless(one, order, present)) {
            drop(one);
        } else {
            narrow(one, present);
        }
    }
    if (has_order_of(kept, program, order->uids)) {
        order_destroy(&order);
        return;
    }
    one = add(kept, program);
    one->order = order;
    count(one);
    make_room(kept->pool);
}

/* The mailbox has others now, and never has these again: UIDs only rise. */
static void drop_old_threads(struct orders_kept *kept, const struct bitmap *present)
{
    struct kept *one, *next;
    DL_FOREACH_SAFE(kept->list, one, next) {
        if (one->order == NULL && !bitmap_equal(one->present, present)) {
            drop(one);
        }
    }
}

void kept__add_threads(struct orders_kept *kept, struct slice program, const struct bitmap *uids,
                       const struct bitmap *present, struct slice threads)
{
    struct slice had;
    drop_old_threads(kept, present);
    if (kept__find_threads(kept, program, uids, present, &had)) {
        return;
    }
    struct kept *one = add(kept, program);
    one->uids = bitmap_copy(uids);
    one->present = bitmap_copy(present);
    buf_add(&one->threads, threads);
    count(one);
    make_room(kept->pool);
}
