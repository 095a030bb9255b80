#ifndef IMAP_OUTCMD_H
#define IMAP_OUTCMD_H
/* One command for an upstream, without tag and final CRLF, as parts: text, literals, and at most
 * one literal whose octets come later from elsewhere (APPEND).  Whoever sends it turns a literal
 * into
 * `{n}CRLF`, a wait for "+", octets; or, with LITERAL+ (LITERAL-: n <= 4096), `{n+}CRLF` octets.
 * Client text enters only through typed calls (protocol T42): nothing said here can end the command
 * or start another.  Sticky like buf: ask outcmd_ok() once.   Owner: the caller.   Thread: any. */
#include "base/buf.h"
#include "base/ranges.h"

enum { OUTCMD_BYTES_MAX = 8 * 1024 * 1024, OUTCMD_PARTS_MAX = 1024 };

enum outcmd_part_kind { OUTCMD_TEXT, OUTCMD_LITERAL, OUTCMD_STREAM };

struct outcmd_part {
    enum outcmd_part_kind kind;
    bool is_literal8;
    size_t offset; /* in bytes: TEXT, LITERAL */
    uint64_t size; /* octets */
};

struct outcmd {
    struct buf bytes; /* text and literal octets of all parts, one after the other */
    struct outcmd_part *parts;
    size_t parts_n;
    size_t parts_cap;
    bool failed;
    bool has_stream;
};

void outcmd_init(struct outcmd *cmd);
void outcmd_fini(struct outcmd *cmd);
void outcmd_reset(struct outcmd *cmd);
/* @out: initialised and empty. */
void outcmd_copy(struct outcmd *out, const struct outcmd *cmd);
/* All of @other behind what there is; it may not have a streamed literal. */
void outcmd_append(struct outcmd *cmd, const struct outcmd *other);
bool outcmd_ok(const struct outcmd *cmd);
/* Octets of a TEXT or LITERAL part. */
struct slice outcmd_part_bytes(const struct outcmd *cmd, size_t i);

/* Text of our own: verbs, parentheses, spaces.  CR, LF or NUL in it is a broken invariant. */
void outcmd_str(struct outcmd *cmd, const char *text);
/* Text that a parser of this layer made (fetch item, flag, canonical date): CR, LF, NUL fail the
 * command. */
void outcmd_token(struct outcmd *cmd, struct slice text);
void outcmd_u64(struct outcmd *cmd, uint64_t value);
void outcmd_ranges(struct outcmd *cmd, const struct ranges *set);
/* Any octets without NUL: quoted where it can be, else a literal.  NUL fails the command. */
void outcmd_string(struct outcmd *cmd, struct slice text);
/* A mailbox name (quoted even when an atom would do: protocol T30). */
void outcmd_mailbox(struct outcmd *cmd, struct slice name);
void outcmd_literal(struct outcmd *cmd, struct slice octets, bool is_literal8);
/* A mail: also one with NUL, which the server may refuse. */
void outcmd_mail(struct outcmd *cmd, struct slice octets, bool is_literal8);
/* The literal whose octets come later; once. */
void outcmd_stream(struct outcmd *cmd, uint64_t size, bool is_literal8);
/* The whole with literals inline as `{n}CRLF`, streamed ones as `{n}CRLF` alone: for logs and
 * tests. */
void outcmd_inline(const struct outcmd *cmd, struct buf *out);

#endif
