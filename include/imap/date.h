#ifndef IMAP_DATE_H
#define IMAP_DATE_H
/* Dates of the protocol, checked and kept as text; reckoned with only to tell how old a message is.
 * Thread: any.   RFC 3501 section 9 date, date-time. */
#include "base/slice.h"

enum { DATE_TEXT_MAX = 11, DATE_TIME_TEXT_MAX = 26 };

/* `1-Feb-2026`, `01-Feb-2026` (any case); canonical "1-Feb-2026" into @out.  As the grammar has it the
 * day is any two digits: what 31-Feb means only the server knows. */
bool date_check(struct slice text, char out[DATE_TEXT_MAX + 1]);
/* Is there such a day?  @canonical: of date_check(). */
bool date_exists(struct slice canonical);
/* `" 1-Feb-2026 10:11:12 +0000"` without its quotes; leading blank or 0 are one; canonical (two
 * columns with a blank) into @out. */
bool date_time_check(struct slice text, char out[DATE_TIME_TEXT_MAX + 1]);
/* The same text (without quotes) as seconds since 1970. */
bool date_time_seconds(struct slice text, int64_t *seconds_out);

#endif
