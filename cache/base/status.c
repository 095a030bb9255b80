#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

struct status_row {
    const char *name;
    const char *client_text;
};

static const struct status_row status_table[STATUS_N] = {
    [OK] = {"OK", "OK Completed"},
    [AGAIN] = {"AGAIN", "NO [UNAVAILABLE] Try again"},
    [END] = {"END", "NO [UNAVAILABLE] The mail server closed the connection"},
    [NOT_FOUND] = {"NOT_FOUND", "NO [NONEXISTENT] No such thing"},
    [STALE] = {"STALE", "NO [EXPUNGEISSUED] The mailbox has changed"},
    [SYNTAX] = {"SYNTAX", "BAD Syntax error"},
    [PROTOCOL] = {"PROTOCOL", "NO [UNAVAILABLE] The mail server was not understood"},
    [LIMIT] = {"LIMIT", "NO [LIMIT] Too large"},
    [AUTH] = {"AUTH", "NO [AUTHENTICATIONFAILED] Authentication failed"},
    [DENIED] = {"DENIED", "NO The mail server refused"},
    [TLS] = {"TLS", "NO [UNAVAILABLE] No secure connection to the mail server"},
    [NETWORK] = {"NETWORK", "NO [UNAVAILABLE] The mail server cannot be reached"},
    [TIMEOUT] = {"TIMEOUT", "NO [UNAVAILABLE] The mail server does not answer"},
    [CANCELED] = {"CANCELED", "NO [UNAVAILABLE] Canceled"},
    [FULL] = {"FULL", "NO [SERVERBUG] Internal error"},
    [IO] = {"IO", "NO [SERVERBUG] Internal error"},
    [CORRUPT] = {"CORRUPT", "NO [SERVERBUG] Internal error"},
};

const char *status_name(enum status st)
{
    return (unsigned)st < STATUS_N ? status_table[st].name : "UNKNOWN";
}

const char *status_client_text(enum status st)
{
    return (unsigned)st < STATUS_N ? status_table[st].client_text : "NO [SERVERBUG] Internal error";
}

enum status fail_set(struct fail *fail, enum status st, const char *origin, const char *fmt, ...)
{
    if (fail == NULL || fail->status != OK) {
        return st;
    }
    fail->status = st;
    fail->origin = origin;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(fail->text, sizeof(fail->text), fmt, ap);
    va_end(ap);
    return st;
}
