#ifndef NET_NETADDR_H
#define NET_NETADDR_H
/* An IPv4 or IPv6 address with port.  A plain value.                              Thread: any. */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/slice.h"

struct netaddr {
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t len; /* 0: none */
};

enum { NETADDR_TEXT_MAX = 64 };

/* "127.0.0.1:143", "[::1]:993"; port 0 to 65535.  False when it is not of that form. */
bool netaddr_parse(const char *text, struct netaddr *addr_out);
/* A literal address without port ("192.0.2.1", "::1", "[::1]"). */
bool netaddr_parse_host(const char *host, uint16_t port, struct netaddr *addr_out);
/* "127.0.0.1:143", "[::1]:993"; "-" for none.  Returns out. */
const char *netaddr_format(const struct netaddr *addr, char out[NETADDR_TEXT_MAX]);
/* The address without the port, for counting per client; v4-mapped v6 as v4.  Returns out. */
const char *netaddr_format_host(const struct netaddr *addr, char out[NETADDR_TEXT_MAX]);
uint16_t netaddr_port(const struct netaddr *addr);
void netaddr_set_port(struct netaddr *addr, uint16_t port);
/* 127.0.0.0/8, ::1, and the former mapped into v6. */
bool netaddr_is_loopback(const struct netaddr *addr);
/* Copy from what accept(2) or a resolver gave; false for another family. */
bool netaddr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct netaddr *addr_out);

#endif
