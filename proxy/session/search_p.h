#ifndef SEARCH_P_H
#define SEARCH_P_H
/* What SEARCH, SORT and THREAD share: the criteria of a client made ready for the upstream. */
#include "session_p.h"

enum { SEARCH_SETS_MAX = 256 };

/* The set leaves of one tree as UIDs of the view. */
struct search_sets {
    const struct search_node *nodes[SEARCH_SETS_MAX];
    struct ranges uids[SEARCH_SETS_MAX];
    size_t n;
};

/* Resolve every set leaf now (numbers are those of the moment), and put \Recent, which is ours,
 * in the place of NEW, OLD and RECENT.  LIMIT: too many. */
enum status search_prepare(struct session *session, struct job *job, struct search_sets *sets)
    MUST_USE;
void search_sets_fini(struct search_sets *sets);
/* The UIDs of a prepared set leaf. */
const struct ranges *search_set_of(const struct search_sets *sets, const struct search_node *leaf);
/* "CHARSET x criteria" (SORT and THREAD: "x criteria") for a UID command. */
enum status search_write_criteria(const struct args_search *args, const struct search_sets *sets,
                                  bool is_search, struct outcmd *cmd) MUST_USE;

/* --- set.c --- */
/* set_resolve() for a set among criteria: numbers beyond the view match nothing. */
enum status set_resolve_criterion(struct session *session, const struct seqset *set, bool is_uid,
                                  struct ranges *out) MUST_USE;

#endif
