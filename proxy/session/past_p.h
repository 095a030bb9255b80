#ifndef PAST_P_H
#define PAST_P_H
/* What the model does not know of the past and the upstream is asked for, on the feed: modseqs of
 * messages that were loaded without (mailbox_base_modseq()), and which UIDs have vanished since a
 * modseq (no tombstones are kept here: design section 7).  The FETCH lines of the answer bring the
 * model up to date by themselves; a VANISHED (EARLIER) stays here.
 * Owner: the job that asks.  Thread: loop.  RFC 7162 3.1.4, 3.2.6. */
#include "session_p.h"

struct past {
    struct session *session;
    struct request *request;
    bool is_asked, is_done;
    unsigned attempts;
    enum status status;
    uint64_t since; /* 0: the modseqs themselves */
    bool wants_vanished;
    struct ranges uids;     /* asked about */
    struct ranges vanished; /* told as gone */
};

/* Is there something to ask?  Then past_run() until it is not STEP_WAIT. */
/* Modseqs of @uids (NULL: all). */
bool past_wants_modseqs(struct past *past, struct session *session, const struct ranges *uids);
/* What changed of @uids (may run over gaps) after @since, and which of them vanished. */
bool past_wants_changes(struct past *past, struct session *session, const struct ranges *uids,
                        uint64_t since, bool vanished);
/* STEP_DONE: past.status tells. */
enum step past_run(struct past *past);
void past_fini(struct past *past);
/* "* VANISHED (EARLIER) set": what is not in the view. */
void past_tell_vanished(struct past *past, struct buf *out);

#endif
