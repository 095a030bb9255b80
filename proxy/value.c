#include "value.h"

#include <string.h>

#include "net/netaddr.h"

enum { VALUE_HOST_MAX = 253 };

struct unit {
    const char *name;
    uint64_t factor;
};

/* Digits and a unit of the table; the product must fit. */
static bool parse_with_unit(const char *text, const struct unit *units, uint64_t *value_out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number;
    uint64_t product;
    if (!slice_u64(slice_of(text, digits), &number)) {
        return false;
    }
    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (strcasecmp(text + digits, unit->name) != 0) {
            continue;
        }
        if (__builtin_mul_overflow(number, unit->factor, &product)) {
            return false;
        }
        *value_out = product;
        return true;
    }
    return false;
}

bool value_parse_duration_ms(const char *text, uint64_t *ms_out)
{
    static const struct unit units[] = {{"ms", 1},          {"s", 1000},         {"m", 60 * 1000},
                                        {"h", 3600 * 1000}, {"d", 86400 * 1000}, {NULL, 0}};
    if (strcmp(text, "0") == 0) {
        *ms_out = 0;
        return true;
    }
    return parse_with_unit(text, units, ms_out);
}

bool value_parse_size(const char *text, uint64_t *bytes_out)
{
    static const struct unit units[] = {
        {"", 1},           {"k", 1ULL << 10}, {"m", 1ULL << 20},
        {"g", 1ULL << 30}, {"t", 1ULL << 40}, {NULL, 0},
    };
    return parse_with_unit(text, units, bytes_out);
}

bool value_parse_bool(const char *text, bool *value_out)
{
    static const char *const yes[] = {"yes", "true", "on"};
    static const char *const no[] = {"no", "false", "off"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *value_out = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool parse_port(struct slice text, uint16_t *port_out)
{
    uint32_t port;
    if (text.len > 5 || !slice_u32(text, &port) || port == 0 || port > UINT16_MAX) {
        return false;
    }
    *port_out = (uint16_t)port;
    return true;
}

/* "host", "host:port", "[v6]", "[v6]:port"; port_out stays when none is written. */
static bool split_host_port(struct slice text, struct slice *host_out, uint16_t *port_out,
                            bool *is_v6_out)
{
    *is_v6_out = text.len > 0 && text.data[0] == '[';
    size_t end;
    if (*is_v6_out) {
        end = slice_find(text, ']');
        if (end == text.len) {
            return false;
        }
        *host_out = slice_sub(text, 1, end - 1);
        end++;
    } else {
        end = slice_find(text, ':');
        *host_out = slice_sub(text, 0, end);
    }
    if (host_out->len == 0 || host_out->len > VALUE_HOST_MAX) {
        return false;
    }
    struct slice rest = slice_sub(text, end, text.len);
    if (rest.len == 0) {
        return true;
    }
    return rest.data[0] == ':' && parse_port(slice_sub(rest, 1, rest.len), port_out);
}

static bool is_v6_literal(struct slice host)
{
    char text[VALUE_HOST_MAX + 1];
    struct netaddr addr;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    return netaddr_parse_host(text, 0, &addr) && addr.sa.sa_family == AF_INET6;
}

static bool is_host_name(struct slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool is_digit = c >= '0' && c <= '9';
        if (!is_letter && !is_digit && c != '-' && c != '.' && c != '_') {
            return false;
        }
    }
    return host.data[0] != '-' && host.data[0] != '.';
}

bool value_parse_url(const char *text, struct value_url *url_out)
{
    struct slice rest = slice_str(text);
    struct value_url url;
    if (slice_starts_nocase(rest, SLICE("imaps://"))) {
        url.security = UPSTREAM_TLS;
        url.port = 993;
        rest = slice_sub(rest, 8, rest.len);
    } else if (slice_starts_nocase(rest, SLICE("imap://"))) {
        url.security = UPSTREAM_STARTTLS;
        url.port = 143;
        rest = slice_sub(rest, 7, rest.len);
    } else {
        return false;
    }
    if (rest.len > 0 && rest.data[rest.len - 1] == '/') {
        rest.len--;
    }
    bool is_v6;
    if (!split_host_port(rest, &url.host, &url.port, &is_v6)) {
        return false;
    }
    if (is_v6 ? !is_v6_literal(url.host) : !is_host_name(url.host)) {
        return false;
    }
    *url_out = url;
    return true;
}

bool value_parse_address(const char *text, bool *is_loopback_out)
{
    struct netaddr addr;
    if (!netaddr_parse(text, &addr) || netaddr_port(&addr) == 0) {
        return false;
    }
    *is_loopback_out = netaddr_is_loopback(&addr);
    return true;
}
