#ifndef ROOT_PEERS_H
#define ROOT_PEERS_H
/* How many sessions each client address has, for limits.sessions_per_address.  Memory is bounded by
 * the number of sessions.  Owner: the caller.                                      Thread: loop. */
#include <stdint.h>

#include "net/netaddr.h"

struct peer;
struct peers {
    struct peer *by_host; /* NULL: none */
};

/* A v4 address mapped into v6 counts as the v4 one. */
uint32_t peers_count(const struct peers *peers, const struct netaddr *addr);
void peers_add(struct peers *peers, const struct netaddr *addr);
/* @addr was added before. */
void peers_remove(struct peers *peers, const struct netaddr *addr);

#endif
