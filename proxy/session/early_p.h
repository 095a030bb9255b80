#ifndef EARLY_P_H
#define EARLY_P_H
/* A session whose SELECT was answered before the messages were known: which commands wait, for what.
 * Thread: loop. */
#include "session_p.h"

/* Numbers are known: the view of what SELECT has told.  False: there can be none, the session has been
 * ended. */
bool session__open_view(struct session *session);
/* Is not yet known what the job needs? */
bool early__lacks(const struct session *session, const struct job *job);
/* The same of one that is about to begin: it is tried again with the feed's progress. */
bool early__must_wait(struct session *session, struct job *job);
void early__progress(struct session *session);
/* Say so every so many ms while the client has to wait; 0: it has not. */
uint32_t early__still_here(const struct session *session);

#endif
