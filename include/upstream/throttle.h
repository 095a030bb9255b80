#ifndef UPSTREAM_THROTTLE_H
#define UPSTREAM_THROTTLE_H
/* Does the server say that it is asked too much, or too often?  By codes where there are any, else by
 * the words that Gmail, Exchange, Yahoo and Dovecot were seen to use (providers' own texts, none is in
 * an RFC).  [LIMIT] and [OVERQUOTA] alone speak of one operation (RFC 5530, RFC 9208) and slow
 * nothing, unless the connection ends with them.                                      Thread: any. */
#include "imap/response.h"

enum throttle_kind {
    THROTTLE_NONE,
    THROTTLE_SLOW,        /* fewer commands */
    THROTTLE_CONNECTIONS, /* fewer connections */
};

struct throttle {
    enum throttle_kind kind;
    uint32_t backoff_ms; /* as the server suggests; 0: it does not */
};

struct throttle throttle_of(const struct response *response);

#endif
