#ifndef IMAP_SEARCHKEY_P_H
#define IMAP_SEARCHKEY_P_H
/* The table of search keys. */
#include "imap/searchtree.h"

enum searchkey_args {
    SEARCHKEY_NONE,
    SEARCHKEY_TEXT, /* astring */
    SEARCHKEY_HEADER,
    SEARCHKEY_ATOM, /* keyword, object id */
    SEARCHKEY_DATE,
    SEARCHKEY_NUMBER,
    SEARCHKEY_MODSEQ,
    SEARCHKEY_SET
};

struct searchkey_row {
    const char *name;
    enum search_key key;
    enum searchkey_args args;
    unsigned flag;
    bool is_negated; /* UNSEEN and its like */
};

const struct searchkey_row *searchkey__find(struct slice name);
/* Also NOT, OR, FUZZY, and "$": a word that begins a key of its own. */
bool searchkey__is_known(struct slice word);

/* Keys that a server may know and whose arguments cannot be guessed. */
struct searchkey_foreign {
    const char *name;
    size_t args;  /* of any shape */
    bool has_key; /* then a search-key */
};
const struct searchkey_foreign *searchkey__foreign(struct slice name);
/* The row that writes @node's key (never a negated one). */
const struct searchkey_row *searchkey__row(const struct search_node *node);
unsigned searchkey__classes(enum search_key key);

enum { SEARCHKEY_WHO = SEARCH_IS_MUTABLE | SEARCH_IS_IMMUTABLE | SEARCH_IS_VOLATILE };
/* For the upstream alone, and to be remembered or not as a whole. */
static inline bool searchkey__is_pure(unsigned classes)
{
    unsigned who = classes & SEARCHKEY_WHO;
    return who == SEARCH_IS_IMMUTABLE || who == SEARCH_IS_VOLATILE;
}

/* --- searchbound.c --- */
/* Is @leaf a bound (SINCE, BEFORE and their like, LARGER, SMALLER), and not odd?  Of two with the same
 * key the one with the greater width selects all that the other does. */
bool searchkey__bound(const struct search_node *leaf, uint64_t *width_out);
/* Those of which a server may make one, or which it may compare, have the same number; 0: no bound, and
 * no date. */
enum searchkey_family {
    SEARCHKEY_NO_FAMILY,
    SEARCHKEY_SIZE,
    SEARCHKEY_ARRIVAL, /* also OLDER, YOUNGER */
    SEARCHKEY_SENT,
    SEARCHKEY_SAVED,
    SEARCHKEY_FAMILIES
};
enum searchkey_family searchkey__family(enum search_key key);

#endif
