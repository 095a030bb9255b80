/* Orders and threads as a client is told of them.  A large answer is 600 KB of numbers: they are
 * found in one pass over the view and written without printf(). */
#include "base/alloc.h"
#include "base/check.h"
#include "imap/respdata.h"
#include "sort_p.h"

enum { DIGITS_MAX = 10 };

/* --- names ------------------------------------------------------------------------------------ */

/* Few runs: two questions each.  A run is whole when as many numbers as UIDs lie between its ends. */
static void number_runs(struct sort_names *names, struct view *view)
{
    for (size_t i = 0; i < names->uids.n; i++) {
        struct range run = names->uids.at[i];
        uint32_t first = view_msn_of(view, run.first);
        uint32_t last = view_msn_of(view, run.last);
        bool is_whole = first != 0 && last != 0 && last - first == run.last - run.first;
        names->first[i] = is_whole ? first : 0;
    }
}

/* Many: one walk over all messages. */
static void walk_numbers(struct sort_names *names, struct view *view)
{
    struct view_iter iter;
    struct view_message message;
    size_t at = 0;
    view_iter_init(&iter, view, NULL);
    while (at < names->uids.n && view_iter_next(&iter, &message)) {
        while (at < names->uids.n && names->uids.at[at].first < message.uid) {
            at++; /* met, or there no more */
        }
        if (at < names->uids.n && names->uids.at[at].first == message.uid) {
            names->first[at++] = message.msn;
        }
    }
}

void sort_names_init(struct sort_names *names, struct view *view, const struct bitmap *uids,
                     bool is_uid)
{
    enum { WALK_SHARE = 32 }; /* so many steps of the walk cost as much as two questions */
    ranges_init(&names->uids, 0);
    bitmap_to_ranges(uids, &names->uids);
    names->first = alloc_zero((names->uids.n + 1) * sizeof(*names->first));
    if (is_uid) {
        for (size_t i = 0; i < names->uids.n; i++) {
            names->first[i] = names->uids.at[i].first;
        }
    } else if (names->uids.n < view_count(view) / WALK_SHARE + 1) {
        number_runs(names, view);
    } else {
        walk_numbers(names, view);
    }
}

void sort_names_fini(struct sort_names *names)
{
    ranges_fini(&names->uids);
    alloc_free(names->first);
    names->first = NULL;
}

uint32_t sort_name_of(const struct sort_names *names, uint32_t uid)
{
    const struct range *at = names->uids.at;
    size_t low = ranges_lower(&names->uids, uid);
    bool has = low < names->uids.n && at[low].first <= uid && names->first[low] != 0;
    return has ? names->first[low] + (uid - at[low].first) : 0;
}

/* --- lists ------------------------------------------------------------------------------------ */

static uint32_t lower(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The name of each message of the order's set, in the order of UIDs; 0: none. */
static uint32_t *names_by_place(const struct order *order, const struct sort_names *names)
{
    uint32_t *by_place = alloc_zero((order->n + 1) * sizeof(*by_place));
    struct ranges set;
    size_t at = 0, place = 0;
    ranges_init(&set, 0);
    bitmap_to_ranges(order->uids, &set);
    for (size_t i = 0; i < set.n; i++) {
        struct range run = set.at[i];
        for (; at < names->uids.n && names->uids.at[at].first <= run.last; at++) {
            struct range named = names->uids.at[at];
            uint32_t from = named.first > run.first ? named.first : run.first;
            uint32_t to = lower(named.last, run.last);
            for (uint64_t uid = from; uid <= to && names->first[at] != 0; uid++) {
                by_place[place + (uid - run.first)] = names->first[at] + ((uint32_t)uid - named.first);
            }
            if (named.last > run.last) {
                break; /* the rest of it in the next run */
            }
        }
        place += run.last - run.first + 1;
    }
    ranges_fini(&set);
    return by_place;
}

size_t sort_list(const struct order *order, const struct sort_names *names, uint32_t **list_out)
{
    uint32_t *by_place = names_by_place(order, names);
    uint32_t *list = alloc_array(order->n + 1, sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; i < order->n; i++) {
        list[n] = by_place[order->places[i]];
        n += list[n] != 0;
    }
    alloc_free(by_place);
    *list_out = list;
    return n;
}

static char *put_number(char *to, uint32_t value)
{
    char digits[DIGITS_MAX];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (n > 0) {
        *to++ = digits[--n];
    }
    return to;
}

void sort_write_list(const uint32_t *list, size_t n, struct buf *out)
{
    char *start = buf_room(out, n * (1 + DIGITS_MAX));
    char *to = start;
    for (size_t i = 0; start != NULL && i < n; i++) {
        *to++ = ' ';
        to = put_number(to, list[i]);
    }
    if (start != NULL) {
        buf_grew(out, (size_t)(to - start));
    }
}

void sort_write_set(const uint32_t *list, size_t n, struct buf *out)
{
    char *start = buf_room(out, n * (1 + DIGITS_MAX));
    char *to = start;
    for (size_t i = 0; start != NULL && i < n; i++) {
        size_t first = i;
        while (i + 1 < n && list[i + 1] == list[i] + 1) {
            i++;
        }
        if (first > 0) {
            *to++ = ',';
        }
        to = put_number(to, list[first]);
        if (i > first) {
            *to++ = ':';
            to = put_number(to, list[i]);
        }
    }
    if (start != NULL) {
        buf_grew(out, (size_t)(to - start));
    }
}

/* --- threads ---------------------------------------------------------------------------------- */

static uint32_t name_of(void *arg, uint32_t uid)
{
    return sort_name_of(arg, uid);
}

void sort_write_threads(struct slice threads, const struct sort_names *names, struct buf *out)
{
    const struct response line = {.kind = RESPONSE_THREAD, .data = unit_of(threads)};
    enum status st = respdata_thread_map(&line, name_of, (void *)(uintptr_t)names, out);
    DCHECK(st == OK); /* it was taken for one before */
    (void)st;
}
