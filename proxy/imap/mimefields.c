#include <string.h>

#include "imap/mime.h"

/* HEADER.FIELDS of many messages: one memchr a line; two bit tests turn most fields away before any
 * name is compared. */

static unsigned first_bit(char c)
{
    return 1u << ((unsigned char)c & 31);
}

static uint64_t length_bit(size_t len)
{
    return (uint64_t)1 << (len & 63);
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

enum status mime_fields_init(struct mime_fields *fields, struct arena *arena,
                             const struct slice *names, size_t n)
{
    *fields = (struct mime_fields){.n = n};
    if (n > MIME_FIELDS_MAX) {
        return LIMIT;
    }
    struct slice *copies = arena_array(arena, n, sizeof(*copies));
    if (copies == NULL) {
        return LIMIT;
    }
    for (size_t i = 0; i < n; i++) {
        char *copy = arena_alloc(arena, names[i].len);
        if (copy == NULL) {
            return LIMIT;
        }
        for (size_t k = 0; k < names[i].len; k++) {
            copy[k] = upper(names[i].data[k]);
        }
        copies[i] = slice_of(copy, names[i].len);
        if (names[i].len > 0) {
            fields->firsts |= first_bit(names[i].data[0]);
            fields->lengths |= length_bit(names[i].len);
        }
    }
    fields->names = copies;
    return OK;
}

static bool is_name(struct slice upper_name, struct slice name)
{
    if (upper_name.len != name.len) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (upper_name.data[i] != upper(name.data[i])) {
            return false;
        }
    }
    return true;
}

bool mime_fields_has(const struct mime_fields *fields, struct slice name)
{
    if (name.len == 0 || (fields->firsts & first_bit(name.data[0])) == 0 ||
        (fields->lengths & length_bit(name.len)) == 0) {
        return false;
    }
    for (size_t i = 0; i < fields->n; i++) {
        if (is_name(fields->names[i], name)) {
            return true;
        }
    }
    return false;
}

static bool line_matches(const struct mime_fields *fields, const char *line, const char *end)
{
    if ((fields->firsts & first_bit(*line)) == 0) {
        return false;
    }
    const char *colon = memchr(line, ':', (size_t)(end - line));
    return colon != NULL && mime_fields_has(fields, slice_of(line, (size_t)(colon - line)));
}

static const char *next_line(const char *at, const char *end)
{
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    return lf != NULL ? lf + 1 : end;
}

void mime_fields_extract(const struct mime_fields *fields, bool is_not, struct slice header,
                         struct buf *out)
{
    const char *at = header.data;
    const char *end = at + header.len;
    const char *run = NULL; /* wanted octets from here on, not yet copied */
    bool is_wanted = false;
    while (at < end && *at != '\r' && *at != '\n') {
        const char *next = next_line(at, end);
        /* a fold belongs to its field */
        if (*at != ' ' && *at != '\t') {
            is_wanted = line_matches(fields, at, next) != is_not;
        }
        if (is_wanted && run == NULL) {
            run = at;
        } else if (!is_wanted && run != NULL) {
            buf_add(out, slice_of(run, (size_t)(at - run)));
            run = NULL;
        }
        at = next;
    }
    if (run != NULL) {
        buf_add(out, slice_of(run, (size_t)(at - run)));
    }
    buf_add(out, SLICE("\r\n"));
}
