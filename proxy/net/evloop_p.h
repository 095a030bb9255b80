#ifndef NET_EVLOOP_P_H
#define NET_EVLOOP_P_H
/* What the modules of this folder know of a loop.                                  Thread: loop. */
#include <ev.h>
#include <stddef.h>

#include "net/evloop.h"

struct conn;
struct iobuf_pool;
struct timeout_table;

struct ev_loop *evloop__ev(const struct evloop *loop);
struct iobuf_pool *evloop__pool(const struct evloop *loop);
struct timeout_table *evloop__timeouts(const struct evloop *loop);

/* Connections whose owners have closed them and that still send or linger; head of a list. */
struct conn **evloop__closing(struct evloop *loop);

/* Scratch of IOBUF_CHUNK_BYTES, valid until the caller returns to the loop. */
char *evloop__scratch(const struct evloop *loop);

/* Made and destroyed with the loop; each is defined by the module that owns it. */
struct iobuf_pool *iobuf__pool_create(void);
void iobuf__pool_destroy(struct iobuf_pool **pool);
struct timeout_table *timeout__table_create(struct evloop *loop);
void timeout__table_destroy(struct timeout_table **table);

/* The loop ends: what is still closing ends now. */
void conn__end_closing(struct evloop *loop);

#endif
