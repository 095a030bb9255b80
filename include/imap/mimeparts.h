#ifndef IMAP_MIMEPARTS_H
#define IMAP_MIMEPARTS_H
/* The parts of a strictly well-formed message, as mimetree.h found them: kept in few octets beside
 * the message, compared with what the upstream says of its structure, asked where a section lies.
 * A section is given only where every server reads the standard alike; else the upstream has to be
 * asked (protocol.md 2.2, 2.3).  Memory: the caller's.  Pure functions.  Thread: any.
 * RFC 3501 6.4.5, 7.4.2; RFC 2046 5.1. */
#include "base/buf.h"
#include "base/status.h"
#include "imap/fetchitem.h"

enum {
    MIMEPARTS_MAX = 128,   /* of one message */
    MIMEPARTS_TYPE_MAX = 128, /* octets of "type/subtype" */
};

enum mimepart_kind {
    MIMEPART_LEAF,
    MIMEPART_MULTIPART, /* its children follow */
    MIMEPART_MESSAGE,   /* message/rfc822: its one child is the message in it */
};

/* Offsets count from the message's first octet: header [head, body), content [body, end). */
struct mimepart {
    enum mimepart_kind kind;
    bool is_root;      /* a message, not a part: the whole one, or one within message/rfc822 */
    bool is_mime_only; /* every field of its header begins with "Content-" */
    uint32_t children_n;
    uint64_t head, body, end;
    uint64_t lines; /* of the content: LFs */
    struct slice type; /* "text/plain", lower case; borrowed */
};

/* In the order of their headers, the message itself first. */
struct mimeparts {
    size_t n;
    struct mimepart at[MIMEPARTS_MAX];
};

/* Append the kept form. */
void mimeparts_pack(const struct mimeparts *parts, struct buf *out);
/* SYNTAX: not what mimeparts_pack() wrote.  @packed stays borrowed. */
enum status mimeparts_unpack(struct slice packed, struct mimeparts *out) MUST_USE;

/* Does the upstream's BODYSTRUCTURE (or BODY) value describe the very same tree, with the same types,
 * octets of each leaf and of each message within, and lines of each text? */
bool mimeparts_agree(const struct mimeparts *parts, struct slice structure);

/* Where a section of a numbered part (@part "1.2") lies: PART, MIME; HEADER, TEXT, FIELDS[_NOT] (the
 * header block to take them from) of a message/rfc822.  False: not there, empty, or not to be told
 * without asking. */
bool mimeparts_find(const struct mimeparts *parts, struct slice part, enum section_kind section,
                    uint64_t *offset_out, uint64_t *size_out);

#endif
