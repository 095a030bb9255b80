#ifndef IMAP_SEARCHCANON_H
#define IMAP_SEARCHCANON_H
/* One form for searches that mean the same, and the parts of it that only the upstream can answer.
 * Run on the tree as it was parsed, before its sets are resolved.  Memory: the arena named; the
 * result shares no node with @root (text it does).   Thread: any.   Limits: those of the parser.
 *
 * Canonical: AND and OR have two children or more, in one order, no two equal, none of the same
 * kind inside (but see grouping).  NOT stands only over leaves and pure nodes, those for the upstream
 * alone; the first child of such a one is no NOT (`NOT a NOT b` is `NOT OR a b`: the positive is what
 * is remembered).  Of bounds (SINCE, LARGER ...) in a list there is one for each key and sign.  ALL
 * stands in no AND, NOT ALL in no OR; beside ALL in an OR and NOT ALL in an AND stands nothing that
 * the model answers (what the upstream answers stays, it may have to refuse it).
 * Grouping: where an AND (OR) has several children of one class, immutable or volatile, and others
 * besides, the former stand in an AND (OR) of their own, so that they are one part.
 * Tangled: a pure node in which a leaf stands twice (its NOT is the same), or bounds of one family
 * (sizes; each kind of dates) in several lists.  Dovecot is wrong about such trees, about this form of
 * one even where it is right about what the client wrote.  It is no part: its children are.
 * Header field names are in lower case.  Strings stay as they are: RFC 9051 6.4.4 says only SHOULD
 * of matching without case.  HEADER FROM x is not FROM x: servers differ. */
#include "imap/searchtree.h"

enum { SEARCH_PARTS_MAX = 64 };

/* OK, or LIMIT (the arena is full). */
enum status search_normalize(const struct search_node *root, struct arena *arena,
                             struct search_node **out) MUST_USE;

/* A subtree for the upstream alone, not tangled; a NOT at its top is stripped.  All its leaves are
 * immutable, or all are volatile: a tree of both has a part for each, so that what can be kept is kept. */
struct search_part {
    const struct search_node *node;
    bool is_volatile; /* asked each time, never kept, never joined */
    bool is_plain;    /* keys of RFC 3501 alone, none odd, no charset that a server may not know: never
                         BAD */
};

/* The parts of a canonical tree, each place once (whether two are equal is the caller's affair).
 * @out has room for SEARCH_PARTS_MAX; LIMIT: there are more, or a volatile node is tangled, whose parts
 * would be asked about at different times. */
enum status search_parts(const struct search_node *root, struct slice charset,
                         struct search_part *out, size_t *n_out) MUST_USE;
/* Does search_parts() end its descent here?  Never for a NOT: what is below it is the part. */
bool search_is_part(const struct search_node *node);
/* What a part is remembered by, appended to @out: its text, behind "UTF-8 " when it is not ASCII;
 * behind another charset always (in one of those ASCII octets may mean other letters).  PROTOCOL
 * for a part with a set in it, which only a volatile one has. */
enum status search_part_name(const struct search_part *part, struct slice charset,
                             struct buf *out) MUST_USE;

#endif
