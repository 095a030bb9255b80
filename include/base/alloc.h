#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H
/* Allocation that cannot fail: out of memory ends the process (as Dovecot, BIND and gdnsd do).
 * Sizes that a peer chooses are bounded by the caller before they get here.     Thread: any. */
#include <stddef.h>

void *alloc_zero(size_t size) __attribute__((malloc, returns_nonnull));
void *alloc_array(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
/* Grow or shrink; contents beyond the old size are undefined. */
void *alloc_resize(void *old, size_t n, size_t size) __attribute__((returns_nonnull));
char *alloc_string(const char *text) __attribute__((malloc, returns_nonnull));
void alloc_free(void *p);

#endif
