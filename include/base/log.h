#ifndef BASE_LOG_H
#define BASE_LOG_H
/* Log lines in logfmt on standard error: time, level, origin, msg, then key=value pairs.  One
 * write(2) a line, cut at 1 KiB.  Text of a peer goes through LOG_Q, which escapes it.  Secrets are
 * never given to a log call.                                                   Thread: any. */
#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);
bool log_wants(enum log_level level);
/* "debug" | "info" | "warn" | "error" */
bool log_level_parse(const char *text, enum log_level *level_out);
/* fmt: `msg` words quoted by the caller where needed, e.g. "msg=\"link up\" account=%s". */
void log_write(enum log_level level, const char *origin, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

enum { LOG_QUOTE_MAX = 200 };
/* @text as a quoted logfmt value in @out, control characters escaped, cut when long; returns out. */
const char *log_quote(char out[LOG_QUOTE_MAX], struct slice text);
#define LOG_Q(text) log_quote((char[LOG_QUOTE_MAX]){0}, (text))

#define LOG(level, origin, ...)                                                                    \
    do {                                                                                           \
        if (log_wants(level)) {                                                                    \
            log_write((level), (origin), __VA_ARGS__);                                             \
        }                                                                                          \
    } while (0)

#endif
