#ifndef SORT_P_H
#define SORT_P_H
/* The answer to a SORT or THREAD: UIDs that an order (account/orders.h) names become what the client
 * asked for.  Made at one go, in time proportional to the order.  Thread: loop. */
#include "account/orders.h"
#include "search_p.h"

/* Messages of the view with what the client calls them. */
struct sort_names {
    struct ranges uids; /* runs of UIDs whose names are a run, too */
    uint32_t *first;    /* name of the first of each run; 0: the run is in the view no more */
};
/* Of @uids, by UID or by number. */
void sort_names_init(struct sort_names *names, struct view *view, const struct bitmap *uids,
                     bool is_uid);
void sort_names_fini(struct sort_names *names);
/* 0: it has none. */
uint32_t sort_name_of(const struct sort_names *names, uint32_t uid);

/* Of the messages of @order those with a name, in that order: *names_out is to be freed. */
size_t sort_list(const struct order *order, const struct sort_names *names, uint32_t **list_out);
/* " 3 1 2" */
void sort_write_list(const uint32_t *list, size_t n, struct buf *out);
/* "3,1:2": only what stands side by side and rises by one is joined (RFC 5267 3.2). */
void sort_write_set(const uint32_t *list, size_t n, struct buf *out);
/* "(1 2)(3)" */
void sort_write_threads(struct slice threads, const struct sort_names *names, struct buf *out);

#endif
