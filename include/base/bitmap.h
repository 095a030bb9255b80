#ifndef BASE_BITMAP_H
#define BASE_BITMAP_H
/* A set of 32-bit numbers (UIDs) for arithmetic on whole sets: two octets a member where members
 * are scattered, a bit where they are many, next to nothing for runs.  `struct ranges` stays the
 * form for long runs, for text and for a peer's sets; this one is for members at random, and for
 * keeping. CRoaring is behind it and seen by nobody else. Memory: as base/alloc.h, there always is
 * some.  Owner: who created, copied or read it. Limits are the caller's affair: it takes at most 8
 * KiB for each 65,536 numbers it has members in. Thread: any, one at a time. */
#include "base/buf.h"
#include "base/ranges.h"

struct bitmap;

struct bitmap *bitmap_create(void) __attribute__((malloc, returns_nonnull));
/* *bitmap may be NULL; becomes NULL. */
void bitmap_destroy(struct bitmap **bitmap);
struct bitmap *bitmap_copy(const struct bitmap *bitmap) __attribute__((malloc, returns_nonnull));
void bitmap_clear(struct bitmap *bitmap);

/* first..last in any order of the two. */
void bitmap_add(struct bitmap *bitmap, uint32_t first, uint32_t last);
void bitmap_remove(struct bitmap *bitmap, uint32_t first, uint32_t last);
/* Many at once, in any order, fastest when they ascend. */
void bitmap_add_array(struct bitmap *bitmap, const uint32_t *values, size_t n);
/* Those of the 65,536 numbers from @block * 65,536 on whose bit is set in @words: the way for a scan,
 * some microseconds for all of them. */
enum { BITMAP_BLOCK_WORDS = 1024 };
void bitmap_add_block(struct bitmap *bitmap, uint16_t block,
                      const uint64_t words[BITMAP_BLOCK_WORDS]);
void bitmap_add_ranges(struct bitmap *bitmap, const struct ranges *set);
/* Adds its members to @out, exactly: only consecutive numbers become one interval. */
void bitmap_to_ranges(const struct bitmap *bitmap, struct ranges *out);

/* Into @a.  @b may be @a. */
void bitmap_and(struct bitmap *a, const struct bitmap *b);
void bitmap_or(struct bitmap *a, const struct bitmap *b);
void bitmap_andnot(struct bitmap *a, const struct bitmap *b);

bool bitmap_has(const struct bitmap *bitmap, uint32_t value);
bool bitmap_empty(const struct bitmap *bitmap);
bool bitmap_equal(const struct bitmap *a, const struct bitmap *b);
/* Every member of @a is one of @b. */
bool bitmap_is_subset(const struct bitmap *a, const struct bitmap *b);
/* They have a member in common. */
bool bitmap_meets(const struct bitmap *a, const struct bitmap *b);
uint64_t bitmap_count(const struct bitmap *bitmap);
/* False when empty. */
bool bitmap_min(const struct bitmap *bitmap, uint32_t *out);
bool bitmap_max(const struct bitmap *bitmap, uint32_t *out);
/* The smallest member >= from; false when there is none. */
bool bitmap_next(const struct bitmap *bitmap, uint32_t from, uint32_t *out);

/* Octets to keep, in the portable format of Roaring bitmaps; the set takes its smallest form first.
 */
size_t bitmap_bytes(const struct bitmap *bitmap);
void bitmap_write(const struct bitmap *bitmap, struct buf *out);
/* What bitmap_write() wrote, the octets may come from anywhere: NULL when they are anything else.
 */
struct bitmap *bitmap_read(struct slice octets);

#endif
