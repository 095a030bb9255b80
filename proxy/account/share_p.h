#ifndef ACCOUNT_SHARE_P_H
#define ACCOUNT_SHARE_P_H
/* How a claim stands in the record of the new message: each content pointer, and the mark of BODY[], under
 * its usual key with "?" before it, and an item "=SAME": the size and envelope that the upstream must
 * tell of the new message ("4711 (...)"); empty once that has been settled.  The pointers count as any,
 * so that the content stays when the old message goes.  One record, written at once: a crash leaves all
 * of it or nothing that is used.                                                   Thread: loop. */
#include "account/feed.h"
#include "store/record.h"

enum share_state {
    SHARE_NONE,     /* nothing is claimed, or it is settled and wrong */
    SHARE_UNPROVEN, /* size or envelope of the new message are not kept yet */
    SHARE_PROVEN,   /* just now: the pointers stand under their own keys from now on */
};

/* What is known of the claim of that message; settles it when it can be. */
enum share_state share__settle(struct store *store, uint64_t mailbox_id, uint32_t uid);
/* It cannot be proven: nothing is claimed any more. */
void share__deny(struct store *store, uint64_t mailbox_id, uint32_t uid);
/* A message in the store. */
struct share_place {
    uint64_t mailbox_id;
    uint32_t uid;
};

/* Has the message content, size and envelope kept, and @id under @key? */
bool share__is_source(struct store *store, struct share_place of, struct slice key,
                      struct slice id);
/* Claim that @to is the message @from; nothing when @to has, or had, content or a claim already. */
void share__claim(struct store *store, struct share_place from, struct share_place to);
/* Or not in the model. */
bool share__is_draft(const struct feed *feed, uint32_t uid);
/* Is an item of that name kept of the message? */
bool share__has_item(struct store *store, uint64_t mailbox_id, uint32_t uid, struct slice key);

#endif
