#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *expression, const char *file, int line)
{
    (void)fprintf(stderr, "level=fatal msg=\"broken invariant\" at=%s:%d check=\"%s\"\n", file, line,
                  expression);
    abort();
}
