#ifndef IMAP_COPYUID_H
#define IMAP_COPYUID_H
/* Which message became which, by a COPYUID code: only where that can be said without doubt.
 * Thread: any.   RFC 4315 3: "a UID set containing the UIDs of the message(s) in the source mailbox
 * that were copied ... in the order they were copied". */
#include "base/arena.h"
#include "imap/response.h"

struct uid_pair {
    uint32_t source;
    uint32_t dest;
};

struct copyuid {
    uint32_t uidvalidity; /* of the target */
    struct uid_pair *pairs; /* in the arena */
    size_t n;
};

/* NOT_FOUND: no COPYUID.  SYNTAX.  LIMIT: more than max_n messages, or the arena is full.  STALE: the
 * sets do not pair up for certain: they differ in size, name a number twice, or have a range that runs
 * downwards (RFC 4315 4: "2:4 and 4:2 are equivalent", so its order is anybody's guess). */
enum status copyuid_pairs(const struct response *response, size_t max_n, struct arena *arena,
                          struct copyuid *out) MUST_USE;

#endif
