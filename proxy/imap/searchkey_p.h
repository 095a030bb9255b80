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
/* Is @leaf a bound (SINCE, BEFORE and their like, LARGER, SMALLER)?  Of two with the same key the one with
 * the greater width selects all that the other does. */
bool searchkey__bound(const struct search_node *leaf, uint64_t *width_out);

#endif
