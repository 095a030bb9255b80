#ifndef IMAP_GROW_P_H
#define IMAP_GROW_P_H
/* Arrays that grow inside an arena: the old copy stays behind, so at most twice the size is used.
 */
#include <string.h>

#include "base/arena.h"
#include "base/status.h"

/* Room for one more element behind the @n of @at; NULL when the arena is full. */
static inline void *grow__array(struct arena *arena, void *at, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return at;
    }
    size_t more = *cap > 0 ? *cap * 2 : 8;
    void *copy = arena_array(arena, more, size);
    if (copy != NULL) {
        if (n > 0) {
            memcpy(copy, at, n * size);
        }
        *cap = more;
    }
    return copy;
}

struct words {
    struct slice *at;
    size_t n;
    size_t cap;
};

/* OK, or LIMIT: @max words, or a full arena. */
static inline enum status words__add(struct words *words, struct arena *arena, struct slice word,
                                     size_t max)
{
    if (words->n >= max) {
        return LIMIT;
    }
    struct slice *at = grow__array(arena, words->at, words->n, &words->cap, sizeof(word));
    if (at == NULL) {
        return LIMIT;
    }
    at[words->n++] = word;
    words->at = at;
    return OK;
}

#endif
