/* Header blocks: FIELDS and FIELDS.NOT share out the header between them, what was extracted is a
 * block of its own and gives itself again, and cutting a message anywhere does not change what is
 * thought of its octets. First octet: where to cut; then a line with field names; then the message.
 */
#include "fuzz.h"
#include "imap/mime.h"

static size_t read_names(struct slice line, struct slice *names, size_t max)
{
    size_t n = 0;
    while (line.len > 0 && n < max) {
        size_t end = slice_find(line, ' ');
        if (end > 0) {
            names[n++] = slice_sub(line, 0, end);
        }
        line = slice_sub(line, end + 1, line.len);
    }
    return n;
}

static void check_octets(struct slice text, size_t cut)
{
    struct mime_octets whole = {0};
    struct mime_octets parts = {0};
    mime_octets_feed(&whole, text);
    mime_octets_feed(&parts, slice_sub(text, 0, cut));
    mime_octets_feed(&parts, slice_sub(text, cut, text.len));
    MUST(mime_octets_ok(&whole) == mime_octets_ok(&parts));
    bool is_clean = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        is_clean = is_clean && c != '\0' && (c != '\n' || (i > 0 && text.data[i - 1] == '\r')) &&
                   (c != '\r' || (i + 1 < text.len && text.data[i + 1] == '\n'));
    }
    MUST(mime_octets_ok(&whole) == is_clean);
}

static void check_header(const struct mime_fields *fields, struct slice header)
{
    struct buf yes;
    struct buf no;
    struct buf again;
    buf_init(&yes, 0);
    buf_init(&no, 0);
    buf_init(&again, 0);
    mime_fields_extract(fields, false, header, &yes);
    mime_fields_extract(fields, true, header, &no);
    MUST(yes.len + no.len == header.len + 2);
    mime_fields_extract(fields, false, buf_slice(&yes), &again);
    MUST(slice_eq(buf_slice(&yes), buf_slice(&again)));
    buf_reset(&again);
    mime_fields_extract(fields, false, buf_slice(&no), &again);
    MUST(slice_eq(buf_slice(&again), SLICE("\r\n")));
    buf_fini(&yes);
    buf_fini(&no);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct slice in = slice_of(data + 1, size - 1);
    size_t end = slice_find(in, '\n');
    struct slice message = slice_sub(in, end + 1, in.len);
    struct slice names[32];
    struct arena arena;
    struct mime_fields fields;
    size_t len = 0;
    size_t n = read_names(slice_sub(in, 0, end), names, 32);
    arena_init(&arena, 1 << 20);
    MUST(mime_fields_init(&fields, &arena, names, n) == OK);
    check_octets(message, data[0] < message.len ? data[0] : message.len);
    if (mime_header_ok(message, &len)) {
        MUST(len >= 4 && len <= message.len);
        MUST(mime_block_ok(slice_sub(message, 0, len)));
        check_header(&fields, slice_sub(message, 0, len));
    }
    struct buf out;
    buf_init(&out, 0);
    mime_fields_extract(&fields, false, message,
                        &out); /* not well-formed: any answer, no misstep */
    buf_fini(&out);
    arena_reset(&arena);
    return 0;
}
