#ifndef ACCOUNT_FEED_TELL_P_H
#define ACCOUNT_FEED_TELL_P_H
/* When the sessions of a feed are told that its model has changed (feed_tell.c).
 * Owner: the feed.  Thread: loop. */
#include "net/evloop.h"
#include "net/timer.h"

struct feed;

enum {
    FEED_GATHER_MS = 50,
    FEED_TELL_MAX = 256, /* sessions told in one turn */
};

struct feed_telling {
    bool is_due; /* something has changed since they were told */
    uint64_t told_ms;
    struct timer *gather; /* bursts */
    size_t left;          /* sessions, from the head of feed->users, not yet told */
    struct task task;     /* tells the next ones */
};

void feed__tell_init(struct feed *feed);
void feed__tell_fini(struct feed *feed);
/* Now, though some turns may pass until the last one has been told. */
void feed__tell(struct feed *feed);
/* At once, or when the present burst is over; nothing when nothing is due. */
void feed__tell_soon(struct feed *feed);

#endif
