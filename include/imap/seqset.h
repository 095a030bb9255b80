#ifndef IMAP_SEQSET_H
#define IMAP_SEQSET_H
/* sequence-set as a client writes it ("1:3,7,*", "$"), before anybody knows what "*" stands for.
 * In the command's arena.  Limit: SEQSET_PARTS_MAX parts.   Thread: any.   RFC 3501 section 9. */
#include "base/ranges.h"
#include "imap/lexer.h"

enum { SEQSET_PARTS_MAX = 65536 };

struct seqset_part {
    uint32_t first; /* 0 stands for "*" */
    uint32_t last;
};

struct seqset {
    const struct seqset_part *parts; /* as written, in that order */
    size_t n;
    bool is_saved; /* "$" (RFC 5182); then n is 0 */
    bool has_star;
    bool is_sorted;   /* ascending without "*" */
    uint32_t highest; /* largest number written out; 0 when only "*" */
};

enum status seqset_parse(struct lexer *lx, struct arena *arena, struct seqset *out) MUST_USE;
/* Also from text of its own (COPYUID, UID arguments of tests). */
enum status seqset_parse_text(struct slice text, struct arena *arena, struct seqset *out) MUST_USE;
/* "*" becomes @max (0 = nothing there: parts with "*" select nothing).  The result is not clipped
 * to
 * @max: for message numbers check set->highest first.  "$" gives the empty set: the caller's.
 * @out: initialised, replaced.  LIMIT when @out may not hold it. */
enum status seqset_resolve(const struct seqset *set, uint32_t max, struct ranges *out) MUST_USE;

#endif
