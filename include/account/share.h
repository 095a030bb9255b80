#ifndef ACCOUNT_SHARE_H
#define ACCOUNT_SHARE_H
/* Content known under another UID: after COPY or MOVE the new message's record is given pointers to the
 * content of the old one.  What a COPYUID says is a claim: nothing is served from it before the
 * upstream's own RFC822.SIZE and ENVELOPE of the new UID have been found to equal those kept of the old
 * one (the plan asks for them when the new message is read, see plan_share.c).
 * Never for \Draft, never across accounts, never for mail without Message-ID or a UID that may have been
 * there before, never where several of the messages copied at once look alike: then a wrong order of the
 * sets would go unseen.
 * Limits: SHARE_PAIRS_MAX messages a command, beyond it nothing is shared.
 * Owner: the command.  Thread: loop.  Design section 4; RFC 4315, 6851. */
#include "account/feed.h"

enum { SHARE_PAIRS_MAX = 2048 };

struct share_copy; /* one COPY or MOVE under way; while it is, the records of its messages stay */

/* COPY or MOVE of @uids to the mailbox @target is about to be sent on @source's link.  Asks there, ahead
 * of it, for what is not yet kept of their sizes and envelopes.  NULL: there is nothing to save. */
struct share_copy *share_begin(struct feed *source, const struct ranges *uids, struct slice target);
/* A response with its COPYUID, untagged or tagged.  Nothing for NULL. */
void share_told(struct share_copy *copy, const struct response *response);
/* It has ended, or nobody waits for it any more: what was told is put down. */
void share_end(struct share_copy **copy);

#endif
