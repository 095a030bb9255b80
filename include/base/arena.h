#ifndef BASE_ARENA_H
#define BASE_ARENA_H
/* Memory of one command: many small pieces, freed together.  Has a maximum; over it arena_alloc()
 * returns NULL and the arena stays failed, since its size is the peer's choice.
 * Owner: the caller.                                                          Thread: any. */
#include "base/slice.h"

struct arena_block;
struct arena {
    struct arena_block *blocks;
    size_t used_bytes;
    size_t max_bytes;
    bool failed;
};

void arena_init(struct arena *arena, size_t max_bytes);
/* Give everything back; usable again, empty. */
void arena_reset(struct arena *arena);
/* Overwrite everything in it (it held a secret); to be followed by arena_reset(). */
void arena_wipe(struct arena *arena);
/* Zeroed, aligned for any type; NULL once failed. */
void *arena_alloc(struct arena *arena, size_t size);
/* n * size with overflow check. */
void *arena_array(struct arena *arena, size_t n, size_t size);
/* Copy of @bytes; on failure an empty slice with data NULL. */
struct slice arena_copy(struct arena *arena, struct slice bytes);
/* NUL-terminated copy; NULL once failed. */
char *arena_string(struct arena *arena, struct slice bytes);

#endif
