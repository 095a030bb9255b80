#ifndef ACCOUNT_FEED_CHECK_P_H
#define ACCOUNT_FEED_CHECK_P_H
/* Doubts whether a feed's link is still in the mailbox that its name is of (protocol T6): feed_check.c.
 * Part of the feed. */
#include <stdbool.h>
#include <stdint.h>

enum feed_doubt_kind {
    DOUBT_COMPLAINT,   /* an untagged NO or BAD */
    DOUBT_UIDVALIDITY, /* an APPENDUID or COPYUID named another */
    DOUBT_KINDS
};

enum {
    DOUBT_WAIT_MS = 60 * 1000, /* until the next of its kind is looked into; doubled each time */
    DOUBT_WAIT_LAST_MS = 60 * 60 * 1000,
};

struct feed_doubt {
    bool is_open;
    uint64_t wait_ms; /* 0: none has been looked into, or it was right */
    uint64_t next_ms; /* not looked into before */
};

#endif
