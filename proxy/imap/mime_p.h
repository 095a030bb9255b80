#ifndef MIME_P_H
#define MIME_P_H
/* What the readers of header blocks share. */
#include "base/slice.h"

static inline bool mime__is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool mime__is_all_blank(struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (!mime__is_blank(line.data[i])) {
            return false;
        }
    }
    return true;
}

/* Length of the field name before ":"; 0 when @line does not begin with one (RFC 5322 2.2:
 * printable US-ASCII but colon; a space before the colon is obsolete syntax that servers read
 * differently). */
static inline size_t mime__name_len(struct slice line)
{
    size_t n = 0;
    while (n < line.len && line.data[n] > ' ' && line.data[n] < 127 && line.data[n] != ':') {
        n++;
    }
    return n < line.len && line.data[n] == ':' ? n : 0;
}

#endif
