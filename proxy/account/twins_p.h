#ifndef ACCOUNT_TWINS_P_H
#define ACCOUNT_TWINS_P_H
/* Messages of an account that bear one identity, as the upstream tells it: EMAILID (RFC 8474: "identical
 * for messages with identical immutable content") or X-GM-MSGID.  Where a new one is met whose identity an
 * older one bears, a claim is made as for a COPYUID (share_p.h), and proven in the same way.
 * In memory, at most TWINS_MAX per account: after a restart it is filled as identities are asked for
 * again.  Owner: the account.  Thread: loop. */
#include "account/feed.h"

enum { TWINS_MAX = 16384 };

/* The item that tells it at that upstream; NULL: it has none. */
const char *twins__item(const struct account *account);
/* @id of the message @uid has been kept just now. */
void twins__met(struct feed *feed, uint32_t uid, struct slice id);
void twins__destroy(struct account *account);

#endif
