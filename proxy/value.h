#ifndef ROOT_VALUE_H
#define ROOT_VALUE_H
/* Values as an administrator writes them: durations, sizes, URLs, addresses.  Each function takes
 * the whole text, says whether it is one, and leaves the out-parameters alone when it is not.
 * Text is borrowed for the call; slices in results point into it.               Thread: any. */
#include <stdbool.h>
#include <stdint.h>

#include "base/settings.h"
#include "base/slice.h"

#define VALUE_DURATION_FORM "a duration such as 500ms, 30s, 10m, 1h or 2d"
#define VALUE_SIZE_FORM "a size such as 4096, 64K, 100M or 10G"
#define VALUE_URL_FORM "imaps://HOST[:PORT] or imap://HOST[:PORT]"
#define VALUE_ADDRESS_FORM "ADDRESS:PORT such as 127.0.0.1:1143, 0.0.0.0:993 or [::1]:1143"

/* A unit is required unless the number is 0. */
bool value_parse_duration_ms(const char *text, uint64_t *ms_out);
/* Units are powers of 1024; none: bytes. */
bool value_parse_size(const char *text, uint64_t *bytes_out);
/* yes no true false on off */
bool value_parse_bool(const char *text, bool *value_out);

struct value_url {
    enum upstream_security security;
    struct slice host; /* without brackets, at most 253 octets */
    uint16_t port;     /* the scheme's when none is written */
};
bool value_parse_url(const char *text, struct value_url *url_out);

/* Only numeric addresses: a name could mean another interface tomorrow. */
bool value_parse_address(const char *text, bool *is_loopback_out);

#endif
