#ifndef NET_LISTENER_H
#define NET_LISTENER_H
/* A listening TCP socket: accepts, sets the descriptor non-blocking and close-on-exec, hands it
 * over.  Out of descriptors it rests 250 ms and logs once.  At most 64 connections a turn.
 * Owner: the caller.                                                             Thread: loop. */
#include "base/status.h"
#include "net/netaddr.h"

struct evloop;
struct listener;

/* @fd belongs to the callee (conn_accept() or close). */
typedef void listener_fn(void *arg, int fd, const struct netaddr *peer);

/* addr: port 0 takes a free one (listener_addr() tells).  A v6 address serves v6 only. */
enum status listener_create(struct evloop *loop, const struct netaddr *addr, listener_fn *fn,
                            void *arg, struct listener **listener_out, struct fail *fail) MUST_USE;
/* May be called in fn. */
void listener_destroy(struct listener **listener);
const struct netaddr *listener_addr(const struct listener *listener);
/* Paused: connections wait in the kernel's queue. */
void listener_set_paused(struct listener *listener, bool is_paused);

#endif
