#ifndef MODEL_CHANGELOG_H
#define MODEL_CHANGELOG_H
/* The changes of a mailbox that views may not have been told yet, by position.  A ring that grows
 * to a maximum; the mailbox forgets what the slowest view has passed and, when the ring is full,
 * lets the laggards collapse what they missed into sets of their own.  Ordinary arrivals (a UID
 * above all before) are not logged: a view finds them by the highest UID it has told.
 * Owner: the mailbox.                                                          Thread: loop. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum change {
    CHANGE_VANISHED,
    CHANGE_FLAGS,
    CHANGE_MODSEQ,  /* only the modseq is another */
    CHANGE_APPEARED /* a UID at or below the highest ever seen: missed before, or back again */
};

struct changelog {
    uint64_t *ring; /* uid << 2 | change, at position & (cap - 1) */
    size_t cap;     /* power of two, or 0 */
    size_t max;
    uint64_t first; /* oldest position kept */
    uint64_t end;   /* position of the next change */
};

/* max: entries, rounded up to a power of two, at most 2^24; 0 = 65,536. */
void changelog_init(struct changelog *log, size_t max);
/* Gives the memory back and forgets all; positions go on, the log stays usable. */
void changelog_fini(struct changelog *log);
/* Room for n more by growing only; false when that would pass the maximum. */
bool changelog_reserve(struct changelog *log, size_t n);
/* There must be room. */
void changelog_add(struct changelog *log, enum change change, uint32_t uid);
void changelog_forget(struct changelog *log, uint64_t before);
/* first <= position < end */
uint32_t changelog_uid(const struct changelog *log, uint64_t position);
enum change changelog_change(const struct changelog *log, uint64_t position);

#endif
