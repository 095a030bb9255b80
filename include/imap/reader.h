#ifndef IMAP_READER_H
#define IMAP_READER_H
/* Turns a stream of bytes, cut anywhere, into units (lines with their literals), on both legs.
 * Does no input of its own and answers nothing: a continuation ("+ OK") is the owner's to send.
 *
 *   feed -> MORE          all of `in` used, nothing complete yet
 *        -> LITERAL       announced: reader->literal; reader_unit() is the text so far, with a hole
 *                         at its end.  Answer by reader_collect() | _stream() | _skip(); feed on
 *        -> LITERAL_DATA  when streaming: reader->data is a piece of it, borrowed from `in`
 *        -> LITERAL_END   when streaming: the last piece has been given
 *        -> LINE          reader_unit() is complete; then reader_next()
 *        -> LIMIT         too much: reader->limit; then reader_next(): the rest of that unit is
 *                         swallowed silently and the following one is given as usual.  Not after
 *                         READER_LIMIT_FRAMING: close the connection
 *
 * Feed again what `*used_out` left over, until MORE.  LITERAL, LINE and LIMIT are repeated, with
 * nothing used, until they are answered.  A literal on the server leg or a non-synchronising one of
 * a client is on its way whatever happens; a synchronising one comes only when asked for, so when
 * a unit is being swallowed it ends at such a literal.
 *
 * Empty lines are given as a LINE with empty text (before a command: ignore it, protocol T36).
 * Bare LF ends a line too.  On the server leg the human text of OK, NO, BAD, BYE, PREAUTH and "+"
 * is never taken for a literal.  Client text is wiped by reader_next() (it may be a password).
 * Memory: at most max_unit_bytes, also for streamed literals of any size.  Owner: the caller.
 * Slices and units are valid until the next call.   Thread: any.   RFC 3501 4.3, RFC 7888. */
#include "base/buf.h"
#include "imap/unit.h"

enum reader_leg { READER_CLIENT, READER_SERVER };

enum reader_event {
    READER_MORE,
    READER_LITERAL,
    READER_LITERAL_DATA,
    READER_LITERAL_END,
    READER_LINE,
    READER_LIMIT
};

enum reader_limit {
    READER_LIMIT_NONE,
    READER_LIMIT_LINE,     /* one line without literals is longer than max_line_bytes */
    READER_LIMIT_UNIT,     /* text and kept literals together pass max_unit_bytes */
    READER_LIMIT_LITERALS, /* more literals than max_literals in one unit */
    READER_LIMIT_FRAMING   /* literal size does not fit 63 bits: where it ends is unknown */
};

struct reader_limits {
    size_t max_line_bytes;
    size_t max_unit_bytes;
    size_t max_literals;
};

struct reader_literal {
    uint64_t size;
    bool is_sync;     /* {n}: a client waits for "+" before sending it */
    bool is_literal8; /* ~{n} */
};

struct reader {
    /* for the owner to read */
    struct reader_literal literal; /* at LITERAL; stays until the next one */
    struct slice data;             /* at LITERAL_DATA */
    enum reader_limit limit;       /* at LIMIT */
    /* the reader's own */
    enum reader_leg leg;
    struct reader_limits limits;
    int state;
    struct buf text;
    size_t line_start;  /* in text: where the present line began */
    bool is_swallowing; /* after LIMIT: to the end of the unit */
    bool in_quote;      /* swallowing: state at the end of what was dropped */
    bool in_escape;
    bool is_text; /* swallowing: the line is human text, no literal can end it */
    uint64_t literal_left;
    struct unit_hole *holes;
    size_t holes_n;
    size_t holes_cap;
    size_t literals_n;
};

void reader_init(struct reader *reader, enum reader_leg leg, const struct reader_limits *limits);
void reader_fini(struct reader *reader);

/* Read on in @in; see above.  *used_out: octets of @in that are done with. */
enum reader_event reader_feed(struct reader *reader, struct slice in, size_t *used_out);

/* Answers to LITERAL.  collect: keep the octets in the text; false when they do not fit: LIMIT
 * follows (ask for nothing). */
bool reader_collect(struct reader *reader);
void reader_stream(struct reader *reader);
void reader_skip(struct reader *reader);
/* Another answer to LITERAL: the literal will not come (a synchronising one that was refused).
 * The unit is dropped; the next line starts a new one. */
void reader_refuse(struct reader *reader);

/* The text so far (LITERAL, LITERAL_*, LIMIT) or the whole unit (LINE). */
struct unit reader_unit(const struct reader *reader);
/* Done with the unit of LINE or LIMIT. */
void reader_next(struct reader *reader);
/* Nothing of a unit has been read: the place to switch to TLS or compression. */
bool reader_is_idle(const struct reader *reader);

#endif
