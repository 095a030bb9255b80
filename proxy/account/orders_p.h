#ifndef ORDERS_P_H
#define ORDERS_P_H
/* What is remembered of the order of messages (orders_kept.c), and what the feed does with the whole
 * (orders.c).  Thread: loop. */
#include "account/orders.h"

struct account;
struct destination;
struct kept;

/* Of the process: bounds what all mailboxes remember together. */
struct orders_pool {
    struct kept *used; /* the longest unused first */
    size_t bytes;
    size_t bytes_max;
};

/* Of a mailbox. */
struct orders_kept {
    struct orders_pool *pool;
    struct kept *list;
    size_t n;
};

/* --- orders_kept.c --- */
void kept__clear(struct orders_kept *kept);
/* An order of @uids and perhaps more; NULL: none. */
const struct order *kept__find_order(struct orders_kept *kept, struct slice program,
                                     const struct bitmap *uids);
/* Those of exactly @uids, made when the mailbox had exactly @present.  False: none. */
bool kept__find_threads(struct orders_kept *kept, struct slice program, const struct bitmap *uids,
                        const struct bitmap *present, struct slice *out);
/* Takes @order; orders of the same program that it makes needless go.  @present: what is there now;
 * messages that are not leave the orders. */
void kept__add_order(struct orders_kept *kept, struct slice program, struct order *order,
                     const struct bitmap *present);
void kept__add_threads(struct orders_kept *kept, struct slice program, const struct bitmap *uids,
                       const struct bitmap *present, struct slice threads);

/* --- orders_ahead.c --- */
/* What has to go before the question, so that the order told is right, about the same @messages ("UTF-8
 * UID 1:9"): written into @out (initialised), and into @to that it goes.  Nothing, where nothing has to. */
void orders__ahead(const struct account *account, const struct order_question *question,
                   const struct outcmd *messages, struct outcmd *out, struct destination *to);

/* --- orders.c --- */
/* The mailbox is another one, or goes: who waits hears CANCELED, later. */
void orders__drop(struct feed *feed);

#endif
