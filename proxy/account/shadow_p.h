#ifndef ACCOUNT_SHADOW_P_H
#define ACCOUNT_SHADOW_P_H
/* What accounts.c and feed.c call of shadow verification.  Thread: loop. */
#include "account/shadow.h"

struct shadow *shadow__create(struct account *account);
/* Its feeds have gone before. */
void shadow__destroy(struct shadow **shadow);
void shadow__feed_gone(struct feed *feed);
/* Of all accounts, at the end. */
void shadow__forget(struct accounts *accounts);

#endif
