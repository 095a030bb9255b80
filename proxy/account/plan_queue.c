/* What has been gathered becomes commands: messages that lack the same items go together. */
#include <stdlib.h>
#include <utlist.h>

#include "plan_p.h"
#include "base/alloc.h"

/* Messages with one set of missing items. */
struct group {
    UT_hash_handle hh;
    char *items; /* the item list as it will be sent */
    size_t columns_n;
    size_t rows_n, rows_max;
    struct want **cells;
};

/* Body sections last: their literals are the long ones. */
static int want_order(const void *a, const void *b)
{
    const struct want *left = *(struct want *const *)a;
    const struct want *right = *(struct want *const *)b;
    if (left->is_octets != right->is_octets) {
        return left->is_octets ? 1 : -1;
    }
    return slice_cmp(left->key, right->key);
}

static void write_items(struct want **wants, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        buf_add_char(out, ' ');
        buf_add(out, wants[i]->key);
    }
    buf_add_char(out, '\0');
}

static void group_send(struct plan *plan, struct group *group)
{
    if (group->rows_n > 0) {
        flight__send(plan, group->cells, group->rows_n, group->columns_n);
        group->cells = NULL;
        group->rows_n = 0;
    }
}

static struct group *group_for(struct group **groups, struct want **wants, size_t n)
{
    struct buf items;
    buf_init(&items, 0);
    write_items(wants, n, &items);
    struct group *group = NULL;
    HASH_FIND_STR(*groups, items.data, group);
    if (group == NULL) {
        group = alloc_zero(sizeof(*group));
        group->items = alloc_string(items.data);
        group->columns_n = n;
        group->rows_max = PLAN_SET_MAX;
        for (size_t i = 0; i < n; i++) {
            group->rows_max = wants[i]->is_bulk ? PLAN_BODIES_MAX : group->rows_max;
        }
        HASH_ADD_KEYPTR(hh, *groups, group->items, items.len - 1, group);
    }
    buf_fini(&items);
    return group;
}

static void group_add(struct plan *plan, struct group *group, struct want **wants)
{
    if (group->cells == NULL) {
        group->cells = alloc_array(group->rows_max * group->columns_n, sizeof(*group->cells));
    }
    for (size_t i = 0; i < group->columns_n; i++) {
        group->cells[group->rows_n * group->columns_n + i] = wants[i];
    }
    if (++group->rows_n == group->rows_max) {
        group_send(plan, group);
    }
}

static bool is_part(const struct want *want)
{
    return want->has_part || want__is_resumed(want);
}

/* An answer names the section and where it begins, not how many octets were asked for: such two at
 * once could not be told apart. */
static bool is_twin(const struct want *want, const struct want *asked)
{
    return is_part(want) && is_part(asked) && slice_eq(want->name, asked->name) &&
           (want__is_resumed(asked) || want__asked_offset(want) == want__asked_offset(asked));
}

static bool has_twin(const struct message *message, const struct want *want,
                     struct want *const *taken, size_t taken_n)
{
    const struct want *other;
    bool found = false;
    LL_FOREACH(message->wants, other) {
        found = found || (other->step == WANT_ASKED && is_twin(want, other));
    }
    for (size_t i = 0; i < taken_n; i++) {
        found = found || is_twin(want, taken[i]);
    }
    return found;
}

/* The message's wants that are to be asked together, in order; those to be asked alone are sent, those
 * that go with the same item of other messages are added to @groups.
 * *later_out: one has to wait until another is answered. */
static size_t take_wants(struct plan *plan, struct message *message, struct group **groups,
                         struct want ***out, bool *later_out)
{
    struct want *want, *next;
    struct want **wants = NULL;
    size_t n = 0;
    *later_out = false;
    LL_FOREACH_SAFE(message->wants, want, next) {
        if (want->step != WANT_GATHERED) {
            continue;
        }
        if (want->is_waiting || has_twin(message, want, wants, n)) {
            *later_out = true;
            continue;
        }
        if (want->is_alone) {
            struct want **cell = alloc_array(1, sizeof(*cell));
            cell[0] = want;
            flight__send(plan, cell, 1, 1);
            continue;
        }
        if (want->is_single) {
            group_add(plan, group_for(groups, &want, 1), &want);
            continue;
        }
        wants = alloc_resize(wants, n + 1, sizeof(*wants));
        wants[n++] = want;
    }
    if (n > 1) {
        qsort(wants, n, sizeof(*wants), want_order);
    }
    *out = wants;
    return n;
}

void plan__send_gathered(struct plan *plan)
{
    struct group *groups = NULL, *group, *next;
    struct message *later = NULL; /* sent by the flush that the end of a flight brings */
    while (plan->gathered != NULL) {
        struct message *message = plan->gathered;
        struct want **wants;
        bool is_later;
        DL_DELETE(plan->gathered, message);
        share__hold(plan, message);
        size_t n = take_wants(plan, message, &groups, &wants, &is_later);
        message->is_gathered = is_later;
        if (is_later) {
            DL_APPEND(later, message);
        }
        if (n > 0) {
            group_add(plan, group_for(&groups, wants, n), wants);
        }
        alloc_free(wants);
    }
    plan->gathered = later;
    HASH_ITER(hh, groups, group, next) {
        group_send(plan, group);
        HASH_DEL(groups, group);
        alloc_free(group->items);
        alloc_free(group->cells);
        alloc_free(group);
    }
}
