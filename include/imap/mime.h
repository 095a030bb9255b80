#ifndef IMAP_MIME_H
#define IMAP_MIME_H
/* What may be derived from the octets of a message: HEADER, TEXT, HEADER.FIELDS[.NOT], only when
 * the message is well-formed (protocol.md 2.3).  Byte for byte what Dovecot answers.  No MIME tree.
 * Thread: any.   RFC 3501 6.4.5, RFC 5322 2.2. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

enum {
    MIME_HEADER_MAX = 64 * 1024,
    MIME_HEADER_LINES = 900, /* Cyrus takes lists of fields from the first thousand lines only */
    MIME_FIELDS_MAX = 512
};

/* The octets of a whole message, piece by piece: no NUL, no bare CR, no bare LF. */
struct mime_octets {
    bool after_cr;
    bool is_bad;
};
void mime_octets_feed(struct mime_octets *check, struct slice piece);
/* All fed: they are clean. */
bool mime_octets_ok(const struct mime_octets *check);

/* @prefix: the message from its first octet, at least its header (pieces up to MIME_HEADER_MAX).
 * True when the header block is a run of `name:` lines and folds ended by an empty line, with CRLF
 * throughout, no NUL, not too many of them, and a multipart Content-Type has its boundary.  *header_len_out: octets of
 * HEADER with the empty line; TEXT begins there.  Together with mime_octets over the whole: the
 * message is well-formed. */
bool mime_header_ok(struct slice prefix, size_t *header_len_out);

/* A list of header field names made ready for many messages; in the arena. */
struct mime_fields {
    const struct slice *names;
    size_t n;
    uint64_t lengths; /* bit (len & 63) of each name */
    uint32_t firsts;  /* bit of each first letter (c & 31) */
};
enum status mime_fields_init(struct mime_fields *fields, struct arena *arena,
                             const struct slice *names, size_t n) MUST_USE;
bool mime_fields_has(const struct mime_fields *fields, struct slice name);
/* Append HEADER.FIELDS (@is_not: HEADER.FIELDS.NOT) of @header, a block that mime_header_ok()
 * accepted (or an upstream's HEADER.FIELDS answer ending in an empty line): message order, folds
 * and duplicates kept, then CRLF. */
void mime_fields_extract(const struct mime_fields *fields, bool is_not, struct slice header,
                         struct buf *out);
/* A header block as mime_header_ok() wants, with nothing after its empty line: may a list be taken
 * from it? */
bool mime_block_ok(struct slice block);

#endif
