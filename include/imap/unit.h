#ifndef IMAP_UNIT_H
#define IMAP_UNIT_H
/* One complete thing a peer said: a line with its literals, without the final CRLF.  Literals that
 * were kept stand in the text as `{n}CRLF<n octets>` (also `~{n}`); of those that were streamed or
 * skipped only `{n}CRLF` stands there, and a hole says where.  A line that ended in a bare LF
 * before a literal is stored with CRLF.  Everything borrows.   Thread:
 * any. */
#include "base/slice.h"

struct unit_hole {
    size_t offset; /* less unit.base, in text: first octet after that `{n}CRLF` */
    uint64_t size; /* octets that are not there */
};

struct unit {
    struct slice text;
    size_t base; /* text is a part of a longer one and begins there: 0 for a whole unit */
    const struct unit_hole *holes; /* ascending by offset */
    size_t holes_n;
};

static inline struct unit unit_of(struct slice text)
{
    return (struct unit){.text = text};
}

/* From @from (<= text.len) on; the holes stay right. */
static inline struct unit unit_from(struct unit unit, size_t from)
{
    unit.text = slice_sub(unit.text, from, unit.text.len);
    unit.base += from;
    return unit;
}

#endif
