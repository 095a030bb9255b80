#ifndef IMAP_SEARCHORDER_P_H
#define IMAP_SEARCHORDER_P_H
/* An order of canonical trees: by word, arguments, children.  The same in every process, and 0 only for
 * equal trees.  A NOT stands where its child would, behind it. */
#include "imap/searchtree.h"

int searchorder__compare(const struct search_node *a, const struct search_node *b);
/* Of trees that are no NOT. */
int searchorder__compare_positive(const struct search_node *a, const struct search_node *b);

/* What is below a NOT, and any other as it is. */
const struct search_node *searchorder__positive(const struct search_node *node);

#endif
