#include "net/netaddr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool netaddr_parse_host(const char *host, uint16_t port, struct netaddr *addr_out)
{
    char text[INET6_ADDRSTRLEN + 2];
    size_t len = strlen(host);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len >= sizeof(text)) {
        return false;
    }
    memcpy(text, host, len);
    text[len] = '\0';
    struct netaddr addr = {.len = sizeof(addr.v4)};
    addr.v4.sin_family = AF_INET;
    if (inet_pton(AF_INET, text, &addr.v4.sin_addr) != 1) {
        memset(&addr, 0, sizeof(addr));
        addr.len = sizeof(addr.v6);
        addr.v6.sin6_family = AF_INET6;
        if (inet_pton(AF_INET6, text, &addr.v6.sin6_addr) != 1) {
            return false;
        }
    }
    netaddr_set_port(&addr, port);
    *addr_out = addr;
    return true;
}

bool netaddr_parse(const char *text, struct netaddr *addr_out)
{
    const char *colon = strrchr(text, ':');
    uint32_t port;
    if (colon == NULL || !slice_u32(slice_str(colon + 1), &port) || port > UINT16_MAX) {
        return false;
    }
    char host[INET6_ADDRSTRLEN + 2];
    size_t len = (size_t)(colon - text);
    /* "::1:993" is ambiguous: v6 needs its brackets here. */
    if (len >= sizeof(host) || (memchr(text, ':', len) != NULL && text[0] != '[')) {
        return false;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    return netaddr_parse_host(host, (uint16_t)port, addr_out);
}

static bool is_mapped(const struct netaddr *addr)
{
    return addr->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&addr->v6.sin6_addr);
}

const char *netaddr_format_host(const struct netaddr *addr, char out[NETADDR_TEXT_MAX])
{
    const char *text = NULL;
    if (addr->len > 0 && is_mapped(addr)) {
        text = inet_ntop(AF_INET, &addr->v6.sin6_addr.s6_addr[12], out, NETADDR_TEXT_MAX);
    } else if (addr->len > 0 && addr->sa.sa_family == AF_INET) {
        text = inet_ntop(AF_INET, &addr->v4.sin_addr, out, NETADDR_TEXT_MAX);
    } else if (addr->len > 0) {
        text = inet_ntop(AF_INET6, &addr->v6.sin6_addr, out, NETADDR_TEXT_MAX);
    }
    if (text == NULL) {
        (void)snprintf(out, NETADDR_TEXT_MAX, "-");
    }
    return out;
}

const char *netaddr_format(const struct netaddr *addr, char out[NETADDR_TEXT_MAX])
{
    char host[NETADDR_TEXT_MAX];
    (void)netaddr_format_host(addr, host);
    unsigned port = netaddr_port(addr);
    if (addr->len == 0) {
        (void)snprintf(out, NETADDR_TEXT_MAX, "-");
    } else if (strchr(host, ':') != NULL) {
        (void)snprintf(out, NETADDR_TEXT_MAX, "[%.46s]:%u", host, port);
    } else {
        (void)snprintf(out, NETADDR_TEXT_MAX, "%.46s:%u", host, port);
    }
    return out;
}

uint16_t netaddr_port(const struct netaddr *addr)
{
    if (addr->len == 0) {
        return 0;
    }
    return ntohs(addr->sa.sa_family == AF_INET ? addr->v4.sin_port : addr->v6.sin6_port);
}

void netaddr_set_port(struct netaddr *addr, uint16_t port)
{
    if (addr->sa.sa_family == AF_INET) {
        addr->v4.sin_port = htons(port);
    } else {
        addr->v6.sin6_port = htons(port);
    }
}

bool netaddr_is_loopback(const struct netaddr *addr)
{
    if (addr->len == 0) {
        return false;
    }
    if (addr->sa.sa_family == AF_INET) {
        return (ntohl(addr->v4.sin_addr.s_addr) >> 24) == 127;
    }
    if (is_mapped(addr)) {
        return addr->v6.sin6_addr.s6_addr[12] == 127;
    }
    return IN6_IS_ADDR_LOOPBACK(&addr->v6.sin6_addr);
}

bool netaddr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct netaddr *addr_out)
{
    socklen_t want = sa->sa_family == AF_INET    ? (socklen_t)sizeof(struct sockaddr_in)
                     : sa->sa_family == AF_INET6 ? (socklen_t)sizeof(struct sockaddr_in6)
                                                 : 0;
    if (want == 0 || len < want) {
        return false;
    }
    memset(addr_out, 0, sizeof(*addr_out));
    memcpy(&addr_out->v6, sa, want);
    addr_out->len = want;
    return true;
}
