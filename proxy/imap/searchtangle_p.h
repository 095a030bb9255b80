#ifndef IMAP_SEARCHTANGLE_P_H
#define IMAP_SEARCHTANGLE_P_H
/* Trees that a server is better asked about leaf by leaf. */
#include "imap/searchtree.h"

/* Mark the tangled nodes of a canonical tree, from the top down to those that are not.  LIMIT: the arena
 * is full. */
enum status searchtangle__mark(struct search_node *root, struct arena *arena) MUST_USE;

#endif
