#ifndef SEARCH_P_H
#define SEARCH_P_H
/* What SEARCH, SORT and THREAD share: the criteria of a client made ready for the upstream, and the
 * messages that they select. */
#include "base/bitmap.h"
#include "past_p.h"

enum { SEARCH_SETS_MAX = 256 };

/* The set leaves of one tree as UIDs of the view. */
struct search_sets {
    const struct search_node *nodes[SEARCH_SETS_MAX];
    struct ranges uids[SEARCH_SETS_MAX];
    size_t n;
};

/* --- search_run.c --- */
/* Which messages of the view do the criteria of a SEARCH, SORT or THREAD select?  Owner: the job's
 * work, zeroed before.  search_run_begin(), then search_run_step() each time the job runs until it is
 * STEP_DONE (it calls session_wake()), then read the result; search_run_fini() at the end, or at any
 * time before (a session that closes): what is under way is let go of. */
struct search_run {
    struct session *session;
    struct job *job;
    /* Set by the owner after search_run_begin(): where the upstream would have to be asked, nothing is,
     * and the run is done with is_missing; search_run_ask() goes on. */
    bool stops_at_missing;
    bool is_missing;

    /* The result.  OK: found; else refusal, or by the table of base/status.h when that is empty. */
    enum status status;
    struct bitmap *found; /* UIDs; messages that vanished meanwhile may be among them */
    struct buf refusal;   /* "NO [..] ...", "BAD ..." */

    /* Its own. */
    bool is_begun, is_done, is_refreshed, has_asked_past;
    bool is_answered;  /* by the upstream */
    bool is_lost;      /* its link died before the tagged reply */
    bool was_repeated; /* once */
    struct refresh_request *refresh;
    struct request *request;
    struct past past;
    struct search_sets sets;
};

void search_run_begin(struct search_run *run, struct session *session, struct job *job);
/* STEP_WAIT or STEP_DONE. */
enum step search_run_step(struct search_run *run);
/* After is_missing: ask. */
void search_run_ask(struct search_run *run);
/* Answer the command with the run's refusal. */
void search_run_refuse(struct search_run *run);
void search_run_fini(struct search_run *run);

/* --- criteria.c --- */
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
