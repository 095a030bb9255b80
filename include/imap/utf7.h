#ifndef IMAP_UTF7_H
#define IMAP_UTF7_H
/* Modified UTF-7 of mailbox names <-> UTF-8, for logs and the admin page only: in the protocol
 * names are opaque octets (protocol T31).   Thread: any.   RFC 3501 5.1.3. */
#include "base/buf.h"
#include "base/status.h"

/* Appends; SYNTAX when @name is not valid (then what was appended is undefined up to the old
 * length). */
enum status utf7_to_utf8(struct slice name, struct buf *out) MUST_USE;
enum status utf7_from_utf8(struct slice text, struct buf *out) MUST_USE;

#endif
