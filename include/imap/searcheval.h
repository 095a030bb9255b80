#ifndef IMAP_SEARCHEVAL_H
#define IMAP_SEARCHEVAL_H
/* Which messages a canonical tree (imap/searchcanon.h) matches, as far as that is known: flags and
 * sets are, of what only the upstream can answer perhaps only some.  On whole sets of UIDs, in
 * three values; no I/O, nothing is kept. Two evaluations make an answer: the first says whom to ask
 * about what, the second, with the answers, needs nothing more, provided that the leaves say the
 * same in both. Memory: the caller's sets, and about two sets for each level of the tree for the
 * call. Thread: any.   RFC 9051 6.4.4. */
#include "base/bitmap.h"
#include "imap/searchcanon.h"

struct search_eval_ops {
    /* Put into @out, which is empty, exactly those of the universe that match a leaf that is in no
     * part.  Others that are put there count for nothing.  Not called for ALL, nor where the rest
     * of the tree has decided already. */
    enum status (*leaf)(void *arg, const struct search_node *leaf, struct bitmap *out);
    /* Of which messages is it known whether the part matches, and which of these do?  Borrowed for
     * the time of the call; NULL is the empty set.  @part is the node search_parts() names. */
    void (*part)(void *arg, const struct search_node *part, const struct bitmap **known,
                 const struct bitmap **hit);
};

struct search_need {
    const struct search_node *part;
    struct bitmap *uids; /* never empty */
};

struct search_needs {
    struct search_need at[SEARCH_PARTS_MAX];
    size_t n;
};

/* yes: initialised, replaced: messages that match for certain.
 * needs: replaced, the caller gives it to search_needs_fini(): for each part those of the universe
 * for which its value is not known and may decide: nothing else that is known settles it.  None:
 * yes is the answer. Returns OK, LIMIT (too many parts), or what leaf() did; then there are no
 * needs. */
enum status search_eval(const struct search_node *root, const struct bitmap *universe,
                        const struct search_eval_ops *ops, void *arg, struct bitmap *yes,
                        struct search_needs *needs) MUST_USE;
/* Safe for one zeroed, and twice. */
void search_needs_fini(struct search_needs *needs);

#endif
