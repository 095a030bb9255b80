#ifndef ACCOUNT_SHADOW_H
#define ACCOUNT_SHADOW_H
/* Shadow verification: of the answers given from the cache, stored or derived, one in
 * `cache.verify_every` is asked of the upstream again while the mailbox's link has nothing else to do, and
 * compared.  What differs twice in a row was wrong: the message's records are dropped after the first time,
 * after the second it is counted, logged (never with content) and the account is trusted less for
 * SHADOW_DISTRUST_MS: nothing is derived any more, and where a stored answer was wrong (a server that edits
 * in place, T7), octets are not served from the cache at all.
 * Limits: SHADOW_CHECKS_MAX waiting per account, one under way, SHADOW_WINDOW octets each (of a larger value
 * a window of it), and in all not more than twice one in verify_every of the octets served, and
 * SHADOW_SPARE_BYTES.
 * Owner: the account; what is distrusted is remembered by the accounts.  Thread: loop.  Design 5.9. */
#include "account/feed.h"
#include "account/lookup.h"

enum {
    SHADOW_CHECKS_MAX = 8,
    SHADOW_WINDOW = 64 * 1024,
    SHADOW_SPARE_BYTES = 256 * 1024,
    SHADOW_DISTRUST_MS = 24 * 60 * 60 * 1000,
};

/* A session was given @item of message @uid from the cache, @bytes octets.  Cheap. */
void shadow_served(struct feed *feed, uint32_t uid, const struct fetch_item *item, uint64_t bytes);
/* What may be served from the cache to that account's sessions: for lookup.trust. */
enum lookup_trust shadow_trust(const struct account *account);
/* The message was found to be another than the one that is kept: what was begun of it from the cache may
 * not be ended from the upstream. */
bool shadow_was_wrong(const struct feed *feed, uint32_t uid);

#endif
