#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void *alloc_zero(size_t size)
{
    void *p = calloc(1, size > 0 ? size : 1);
    CHECK(p != NULL);
    return p;
}

void *alloc_array(size_t n, size_t size)
{
    void *p = calloc(n > 0 ? n : 1, size > 0 ? size : 1);
    CHECK(p != NULL);
    return p;
}

void *alloc_resize(void *old, size_t n, size_t size)
{
    CHECK(size == 0 || n <= SIZE_MAX / size);
    void *p = realloc(old, n * size > 0 ? n * size : 1);
    CHECK(p != NULL);
    return p;
}

char *alloc_string(const char *text)
{
    char *copy = strdup(text);
    CHECK(copy != NULL);
    return copy;
}

void alloc_free(void *p)
{
    free(p);
}
