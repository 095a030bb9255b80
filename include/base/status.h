#ifndef BASE_STATUS_H
#define BASE_STATUS_H
/* The one closed set of outcomes.  Counts and values travel through out-parameters, never through
 * a status.  Each status has a name, a log level and the answer a mail program is given for it;
 * detail is a struct fail, owned by whoever serves the client and filled once where the fault is
 * known.  Client text comes only from the table.                          Thread: any. */
#include <stdbool.h>

enum status {
    OK = 0,
    AGAIN,     /* not yet: more bytes, more time */
    END,       /* orderly end of a stream or a walk */
    NOT_FOUND,
    STALE,     /* what was asked about has changed meanwhile */
    SYNTAX,    /* the peer's text does not parse */
    PROTOCOL,  /* it parses, and may not be said here */
    LIMIT,     /* larger than we serve */
    AUTH,      /* the secret was refused */
    DENIED,    /* the upstream said NO */
    TLS,
    NETWORK,
    TIMEOUT,
    CANCELED,
    FULL,
    IO,
    CORRUPT,
    STATUS_N
};

#define MUST_USE __attribute__((warn_unused_result))

/* "NETWORK" ...; never NULL. */
const char *status_name(enum status st);
/* Tagged reply for the client: "NO [UNAVAILABLE] ..." without tag and CRLF; never NULL. */
const char *status_client_text(enum status st);

/* Why something failed, for the log.  text is cut at its end when too long. */
struct fail {
    enum status status;
    const char *origin; /* static: "link", "store" */
    char text[160];
};

/* Fill @fail unless it is already filled; returns @st so that callers can return it. */
enum status fail_set(struct fail *fail, enum status st, const char *origin, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define TRY(x)                                                                                     \
    do {                                                                                           \
        enum status try_status_ = (x);                                                             \
        if (try_status_ != OK) {                                                                   \
            return try_status_;                                                                    \
        }                                                                                          \
    } while (0)

#endif
