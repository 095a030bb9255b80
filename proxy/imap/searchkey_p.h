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
/* The row that writes @node's key (never a negated one). */
const struct searchkey_row *searchkey__row(const struct search_node *node);
unsigned searchkey__classes(enum search_key key);

#endif
