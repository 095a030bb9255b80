#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H
/* Host names to addresses by c-ares; nothing blocks.  Literal addresses and names of /etc/hosts
 * need no network.  A changed /etc/resolv.conf is noticed at the next look-up that finds none under
 * way.  No cache.  Owner: the caller.                                            Thread: loop. */
#include "base/status.h"
#include "net/netaddr.h"

struct evloop;
struct resolver;
struct lookup;

enum { RESOLVER_ADDRS_MAX = 16 };

struct lookup_result {
    enum status status;                       /* OK, NOT_FOUND, TIMEOUT, NETWORK */
    struct fail fail;                         /* filled unless OK */
    struct netaddr addrs[RESOLVER_ADDRS_MAX]; /* best first (RFC 6724), with the port asked for */
    int addrs_n;                              /* > 0 when OK */
};

enum status resolver_create(struct evloop *loop, struct resolver **resolver_out,
                            struct fail *fail) MUST_USE;
/* Ask these name servers ("192.0.2.53,[2001:db8::53]:5353") instead of those of /etc/resolv.conf.
 * SYNTAX when it is no such list. */
enum status resolver_set_servers(struct resolver *resolver, const char *servers) MUST_USE;
/* Look-ups under way are canceled. */
void resolver_destroy(struct resolver **resolver);

struct lookup_request {
    const char *host; /* copied */
    uint16_t port;
    uint32_t timeout_ms;
    /* Called once, never inside resolver_lookup(); the lookup is gone when it is called.
     * @result: borrowed for the call. */
    void (*fn)(void *arg, const struct lookup_result *result);
    void *arg;
};

struct lookup *resolver_lookup(struct resolver *resolver, const struct lookup_request *request);
/* Before completion only: fn is not called any more (its owner usually goes away). */
void lookup_cancel(struct lookup **lookup);

#endif
