#ifndef SESSION_FANOUT_H
#define SESSION_FANOUT_H
/* What many views are told alike is rendered once: the first session of a turn that tells a change
 * leaves its octets here, others whose views have the same key queue references to them.
 * Does not decide what is told (model/view.h) nor when (session).
 * Owner: the root, one for a loop.  Kept for one turn, FANOUT_KEPT renderings of at most
 * FANOUT_BYTES_MAX octets.                                                      Thread: loop. */
#include "base/slice.h"
#include "model/view.h"

struct evloop;
struct iobuf_shared;

enum { FANOUT_KEPT = 8, FANOUT_BYTES_MAX = 256 * 1024 };

/* Equal keys within one turn: equal octets. */
struct fanout_key {
    const struct mailbox *mailbox;
    struct view_key view;
    unsigned form; /* what the session has enabled and how the command numbers */
};

struct fanout *fanout_create(struct evloop *loop);
void fanout_destroy(struct fanout **fanout);
/* Borrowed until the end of the turn; NULL: nobody has told that yet.  fanout may be NULL. */
struct iobuf_shared *fanout_find(struct fanout *fanout, const struct fanout_key *key);
/* Copies @bytes; the oldest goes when there are too many. */
struct iobuf_shared *fanout_keep(struct fanout *fanout, const struct fanout_key *key,
                                 struct slice bytes);

#endif
