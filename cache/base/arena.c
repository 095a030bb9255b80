#include "base/arena.h"

#include <stdalign.h>
#include <string.h>

#include "base/alloc.h"

enum { ARENA_FIRST = 512, ARENA_LARGEST = 32 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t cap;
    size_t used;
    alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, size_t max_bytes)
{
    *arena = (struct arena){.max_bytes = max_bytes};
}

void arena_reset(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        alloc_free(block);
        block = next;
    }
    arena_init(arena, arena->max_bytes);
}

void arena_wipe(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks; block != NULL; block = block->next) {
        explicit_bzero(block->data, block->cap);
    }
}

static size_t block_size(const struct arena *arena, size_t need)
{
    size_t cap = arena->blocks != NULL ? arena->blocks->cap * 2 : ARENA_FIRST;
    if (cap > ARENA_LARGEST) {
        cap = ARENA_LARGEST;
    }
    return cap < need ? need : cap;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t align = alignof(max_align_t);
    if (arena->failed || size > SIZE_MAX / 2) {
        arena->failed = true;
        return NULL;
    }
    size_t need = (size + align - 1) / align * align;
    if (need == 0) {
        need = align;
    }
    if (need > arena->max_bytes - arena->used_bytes) {
        arena->failed = true;
        return NULL;
    }
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->cap - block->used < need) {
        size_t cap = block_size(arena, need);
        block = alloc_zero(sizeof(*block) + cap);
        block->cap = cap;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *p = block->data + block->used;
    block->used += need;
    arena->used_bytes += need;
    return p;
}

void *arena_array(struct arena *arena, size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / 2 / size) {
        arena->failed = true;
        return NULL;
    }
    return arena_alloc(arena, n * size);
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    char *copy = arena_alloc(arena, bytes.len);
    if (copy == NULL) {
        return (struct slice){NULL, 0};
    }
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    return (struct slice){copy, bytes.len};
}

char *arena_string(struct arena *arena, struct slice bytes)
{
    char *copy = arena_alloc(arena, bytes.len + 1);
    if (copy != NULL && bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    return copy;
}
