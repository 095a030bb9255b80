#ifndef SEARCH_P_H
#define SEARCH_P_H
/* What SEARCH, SORT and THREAD share: the criteria of a client made ready, and the messages that they
 * select.  search.c is the command, search_answer.c its answer; search_run.c leads from criteria to
 * messages, search_leaves.c evaluates what the model knows, search_parts.c asks for the rest,
 * search_whole.c sends criteria as they are; criteria.c and set.c turn numbers into UIDs. */
#include "account/searches.h"
#include "base/bitmap.h"
#include "imap/searcheval.h"
#include "past_p.h"

enum {
    SEARCH_SETS_MAX = 256,
    SEARCH_LEAVES_MAX = 256,
    /* Messages looked at for one evaluation, which no other session gets a turn in: about 10 ms where
     * they are 100,000, 50 ms where they are a million.  What is more goes whole upstream. */
    SEARCH_LOOKS_MAX = 10 * 1000 * 1000,
};

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
 * time before (a session that closes): what is under way is let go of.
 * The job's criteria become canonical by it, but where they go whole, with their set leaves in
 * run->sets. */
enum search_phase {
    SEARCH_FRESHEN,  /* flags are asked for: the model is made fresh */
    SEARCH_MODSEQS,  /* modseqs are: what the model does not know of them */
    SEARCH_EVALUATE, /* on the model and what is remembered */
    SEARCH_MISSING,  /* the upstream has to be asked, and the owner first */
    SEARCH_ASKING,   /* about parts */
    SEARCH_WHOLE,    /* the criteria as they are */
    SEARCH_DONE
};

struct search_run_part;

struct search_run {
    struct session *session;
    struct job *job;
    /* Set by the owner after search_run_begin(): where the upstream would have to be asked, nothing is,
     * and the run is done with is_missing; search_run_ask() goes on. */
    bool stops_at_missing;
    bool is_missing;

    /* The result.  OK: found; else refusal, or by the table of base/status.h when that is empty. */
    enum status status;
    struct bitmap *found; /* UIDs of the view; see search_run_settle() */
    struct buf refusal;   /* "NO [..] ...", "BAD ..." */

    /* Its own. */
    enum search_phase phase;
    bool is_begun;
    bool is_refreshed, has_asked_past;
    bool has_modseq; /* a criterion is MODSEQ */
    uint32_t below;  /* UIDNEXT as it was told, when which messages there are was not known; else 0 */
    struct search_node *written; /* the criteria as they were parsed */
    struct search_sets sets;
    struct refresh_request *refresh;
    struct past past;
    uint64_t version; /* of the mailbox, when it was evaluated */
    struct bitmap *universe;
    /* Mutable leaves as they were at the first evaluation: what is answered is true of one moment.
     * Those that say the same are one. */
    struct search_leaf {
        const struct search_node *node;
        struct bitmap *uids;
    } *leaves;
    size_t leaves_n;
    bool has_lost_leaves; /* too many to be kept */
    uint64_t looks_n;     /* of SEARCH_LOOKS_MAX, in the evaluation under way */
    struct search_run_part *parts;
    size_t parts_n, asks_n;
    struct search_whole {
        bool is_bound, is_answered, is_lost, is_garbled, was_repeated;
        struct request *request;
    } whole;
};

void search_run_begin(struct search_run *run, struct session *session, struct job *job);
/* STEP_WAIT or STEP_DONE. */
enum step search_run_step(struct search_run *run);
/* After is_missing: ask. */
void search_run_ask(struct search_run *run);
/* Take out of found what has vanished since. */
void search_run_settle(struct search_run *run);
/* Answer the command with the run's refusal. */
void search_run_refuse(struct search_run *run);
void search_run_fini(struct search_run *run);
/* Within the run's files: it is over, with this status and text. */
void search__fail(struct search_run *run, enum status st, const char *text);

/* --- search_answer.c --- */
struct search_answer_work { /* zeroed before */
    bool is_begun;
    struct ranges uids; /* all that were found */
    struct ranges told; /* those that MODSEQ and "$" stand for */
};
/* The highest that is known of @uids. */
uint64_t search_highest_modseq(struct session *session, const struct ranges *uids);
/* Of a run that is done and settled. */
void search_answer_begin(struct search_answer_work *work, struct search_run *run);
/* Write the answer and finish the command. */
void search_answer(struct search_answer_work *work, struct search_run *run);
void search_answer_fini(struct search_answer_work *work);

/* --- search_leaves.c --- */
/* Exactly those of run->universe that match a leaf that the model knows.  LIMIT: this has taken long. */
enum status search__leaf(void *run, const struct search_node *leaf, struct bitmap *out) MUST_USE;
void search__forget_leaves(struct search_run *run);
/* Does something in the tree depend on flags, keywords or modseqs? */
bool search__uses_flags(const struct search_node *root);

/* --- search_parts.c --- */
/* The criteria's parts.  LIMIT: too many. */
enum status search__find_parts(struct search_run *run) MUST_USE;
/* What is remembered of them. */
void search__recall_parts(struct search_run *run);
/* Something is, of messages that will soon be known to be there; of the others it cannot be asked
 * before, as UIDs that there are not would have to be told from them.  Where all is known it may be
 * told, if this selection has said it; what is older may be of messages that have gone since, or of
 * another mailbox. */
bool search__is_too_early(const struct search_run *run, bool is_all_known);
void search__part(void *run, const struct search_node *part, const struct bitmap **known,
                  const struct bitmap **hit);
/* Something is to be asked about a part. */
void search__need(struct search_run *run, const struct search_need *need);
bool search__must_ask(const struct search_run *run);
/* All of them at once: run->asks_n are under way; session_wake() when none is any more. */
void search__ask_parts(struct search_run *run);
/* All are answered.  False: the run has failed. */
bool search__take_answers(struct search_run *run);
void search__forget_parts(struct search_run *run);
/* Of a run that stopped at what is missing: are its messages those of one set that one part selects,
 * and no other?  Then a command of another kind can find them out, too: among run->found (which the
 * part selects) and @need_out. */
bool search_run_is_single(const struct search_run *run, const struct search_part **part_out,
                          const struct bitmap **need_out);

/* --- search_whole.c --- */
/* Send the criteria as they are, by UID, and wait. */
enum step search__step_whole(struct search_run *run);

/* --- criteria.c --- */
/* Resolve every set leaf now (numbers are those of the moment), and put \Recent, which is ours,
 * in the place of NEW, OLD and RECENT.  LIMIT: too many. */
enum status search_prepare(struct session *session, struct job *job, struct search_sets *sets)
    MUST_USE;
/* Put the criteria under "UID 1:@last". */
enum status search_bound(struct session *session, struct job *job, struct search_sets *sets,
                         uint32_t last) MUST_USE;
void search_sets_fini(struct search_sets *sets);
/* The UIDs of a prepared set leaf. */
const struct ranges *search_set_of(const struct search_sets *sets, const struct search_node *leaf);
/* "CHARSET x criteria" (SORT and THREAD: "x criteria") for a UID command.  After search_run_begin():
 * of the job's criteria, which are canonical then, with run->sets. */
enum status search_write_criteria(const struct args_search *args, const struct search_sets *sets,
                                  bool is_search, struct outcmd *cmd) MUST_USE;

/* --- set.c --- */
/* The first..last member of a set, in any order of the two, counted from its beginning or its end. */
struct set_slice {
    bool is_from_end;
    uint32_t first, last;
};
void set_take_slice(const struct ranges *set, struct set_slice slice, struct ranges *out);
/* The same of the messages of the view among @uids, which may run over gaps. */
void set_keep_slice(struct session *session, struct ranges *uids, struct set_slice slice);
/* set_resolve() for a set among criteria: numbers beyond the view match nothing. */
enum status set_resolve_criterion(struct session *session, const struct seqset *set, bool is_uid,
                                  struct ranges *out) MUST_USE;

#endif
