#include "peers.h"

#include <uthash.h>

#include "base/alloc.h"
#include "base/check.h"

struct peer {
    char host[NETADDR_TEXT_MAX];
    uint32_t sessions_n;
    UT_hash_handle hh;
};

static struct peer *find(const struct peers *peers, const struct netaddr *addr)
{
    char host[NETADDR_TEXT_MAX];
    struct peer *peer = NULL;
    (void)netaddr_format_host(addr, host);
    HASH_FIND_STR(peers->by_host, host, peer);
    return peer;
}

uint32_t peers_count(const struct peers *peers, const struct netaddr *addr)
{
    const struct peer *peer = find(peers, addr);
    return peer != NULL ? peer->sessions_n : 0;
}

void peers_add(struct peers *peers, const struct netaddr *addr)
{
    struct peer *peer = find(peers, addr);
    if (peer == NULL) {
        peer = alloc_zero(sizeof(*peer));
        (void)netaddr_format_host(addr, peer->host);
        HASH_ADD_STR(peers->by_host, host, peer);
    }
    peer->sessions_n++;
}

void peers_remove(struct peers *peers, const struct netaddr *addr)
{
    struct peer *peer = find(peers, addr);
    CHECK(peer != NULL && peer->sessions_n > 0);
    if (--peer->sessions_n == 0) {
        HASH_DEL(peers->by_host, peer);
        alloc_free(peer);
    }
}
