#include "imap/mime.h"

#include <string.h>

#include "mime_p.h"

/* --- whole messages -----------------------------------------------------------------------------
 */

/* No CR in @line but the one before its LF, which is not part of it. */
static bool has_cr(const char *from, const char *to)
{
    return from < to && memchr(from, '\r', (size_t)(to - from)) != NULL;
}

void mime_octets_feed(struct mime_octets *check, struct slice piece)
{
    const char *at = piece.data;
    const char *end = at + piece.len;
    if (piece.len == 0 || check->is_bad) {
        return;
    }
    check->is_bad = memchr(at, '\0', piece.len) != NULL;
    if (check->after_cr) {
        check->is_bad = check->is_bad || *at != '\n';
        check->after_cr = false;
        at += *at == '\n' ? 1 : 0;
    }
    while (at < end && !check->is_bad) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        if (lf == NULL) {
            check->after_cr = end[-1] == '\r';
            check->is_bad = has_cr(at, end - (check->after_cr ? 1 : 0));
            return;
        }
        check->is_bad = lf == at || lf[-1] != '\r' || has_cr(at, lf - 1);
        at = lf + 1;
    }
}

bool mime_octets_ok(const struct mime_octets *check)
{
    return !check->is_bad && !check->after_cr;
}

/* --- the header block ---------------------------------------------------------------------------
 */

struct header_scan {
    struct slice content_type; /* value with its folds */
    size_t content_types;
    bool in_content_type;
    bool has_field;
    size_t lines;
};

/* One line without its CRLF. */
static bool scan_line(struct header_scan *scan, struct slice line)
{
    if (mime__is_blank(line.data[0])) {
        if (scan->in_content_type) {
            scan->content_type.len = (size_t)(line.data + line.len - scan->content_type.data);
        }
        return scan->has_field && !mime__is_all_blank(line);
    }
    size_t n = mime__name_len(line);
    scan->has_field = true;
    scan->in_content_type = slice_eq_nocase(slice_sub(line, 0, n), SLICE("Content-Type"));
    if (scan->in_content_type) {
        scan->content_types++;
        scan->content_type = slice_sub(line, n + 1, line.len);
    }
    return n > 0;
}

static size_t skip_space(struct slice text, size_t at)
{
    while (at < text.len &&
           (mime__is_blank(text.data[at]) || text.data[at] == '\r' || text.data[at] == '\n')) {
        at++;
    }
    return at;
}

/* "boundary = x" at @at, with something for x. */
static bool is_boundary(struct slice value, size_t at)
{
    at = skip_space(value, at);
    if (!slice_starts_nocase(slice_sub(value, at, value.len), SLICE("boundary"))) {
        return false;
    }
    at = skip_space(value, at + 8);
    if (at >= value.len || value.data[at] != '=') {
        return false;
    }
    at = skip_space(value, at + 1);
    if (at < value.len && value.data[at] == '"') {
        at++;
        return at < value.len && value.data[at] != '"';
    }
    return at < value.len && value.data[at] != ';';
}

/* A Content-Type that servers can only read one way, as far as HEADER and TEXT depend on it. */
static bool is_content_type_ok(const struct header_scan *scan)
{
    struct slice value = scan->content_type;
    if (scan->content_types != 1) {
        return scan->content_types == 0;
    }
    size_t at = skip_space(value, 0);
    struct slice type = slice_sub(value, at, value.len);
    if (type.len > 0 && type.data[0] == '(') {
        return false; /* a comment first */
    }
    if (!slice_starts_nocase(type, SLICE("multipart"))) {
        return true;
    }
    while (at < value.len) {
        at += slice_find(slice_sub(value, at, value.len), ';') + 1;
        if (is_boundary(value, at)) {
            return true;
        }
    }
    return false;
}

bool mime_header_ok(struct slice prefix, size_t *header_len_out)
{
    struct header_scan scan = {.has_field = false};
    struct slice text = slice_sub(prefix, 0, MIME_HEADER_MAX);
    size_t at = 0;
    while (at < text.len) {
        struct slice rest = slice_sub(text, at, text.len);
        size_t lf = slice_find(rest, '\n');
        if (lf == rest.len || lf == 0 || rest.data[lf - 1] != '\r') {
            return false;
        }
        struct slice line = slice_sub(rest, 0, lf - 1);
        at += lf + 1;
        if (line.len == 0) {
            *header_len_out = at;
            return scan.has_field && is_content_type_ok(&scan);
        }
        if (slice_find(line, '\r') < line.len || slice_find(line, '\0') < line.len ||
            ++scan.lines > MIME_HEADER_LINES || !scan_line(&scan, line)) {
            return false;
        }
    }
    return false;
}

bool mime_block_ok(struct slice block)
{
    size_t len;
    return mime_header_ok(block, &len) && len == block.len;
}
