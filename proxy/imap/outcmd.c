#include "imap/outcmd.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum { QUOTED_MAX = 1000 };

void outcmd_init(struct outcmd *cmd)
{
    *cmd = (struct outcmd){0};
    buf_init(&cmd->bytes, OUTCMD_BYTES_MAX);
}

void outcmd_fini(struct outcmd *cmd)
{
    buf_fini(&cmd->bytes);
    alloc_free(cmd->parts);
    outcmd_init(cmd);
}

void outcmd_reset(struct outcmd *cmd)
{
    buf_reset(&cmd->bytes);
    cmd->parts_n = 0;
    cmd->failed = false;
    cmd->has_stream = false;
}

void outcmd_copy(struct outcmd *out, const struct outcmd *cmd)
{
    buf_add(&out->bytes, buf_slice(&cmd->bytes));
    out->parts = alloc_array(cmd->parts_n > 0 ? cmd->parts_n : 1, sizeof(*out->parts));
    for (size_t i = 0; i < cmd->parts_n; i++) {
        out->parts[i] = cmd->parts[i];
    }
    out->parts_n = cmd->parts_n;
    out->parts_cap = cmd->parts_n > 0 ? cmd->parts_n : 1;
    out->failed = cmd->failed;
    out->has_stream = cmd->has_stream;
}

bool outcmd_ok(const struct outcmd *cmd)
{
    return !cmd->failed && buf_ok(&cmd->bytes);
}

struct slice outcmd_part_bytes(const struct outcmd *cmd, size_t i)
{
    CHECK(i < cmd->parts_n && cmd->parts[i].kind != OUTCMD_STREAM);
    return slice_sub(buf_slice(&cmd->bytes), cmd->parts[i].offset, (size_t)cmd->parts[i].size);
}

static void add_part(struct outcmd *cmd, enum outcmd_part_kind kind, uint64_t size,
                     bool is_literal8)
{
    if (cmd->parts_n == OUTCMD_PARTS_MAX) {
        cmd->failed = true;
        return;
    }
    if (cmd->parts_n == cmd->parts_cap) {
        cmd->parts_cap = cmd->parts_cap > 0 ? cmd->parts_cap * 2 : 4;
        cmd->parts = alloc_resize(cmd->parts, cmd->parts_cap, sizeof(*cmd->parts));
    }
    cmd->parts[cmd->parts_n++] = (struct outcmd_part){
        .kind = kind, .is_literal8 = is_literal8, .offset = cmd->bytes.len, .size = size};
}

/* Text that cannot end the line. */
static void add_text(struct outcmd *cmd, struct slice text)
{
    if (text.len == 0) {
        return;
    }
    if (cmd->parts_n == 0 || cmd->parts[cmd->parts_n - 1].kind != OUTCMD_TEXT) {
        add_part(cmd, OUTCMD_TEXT, 0, false);
    }
    if (outcmd_ok(cmd)) {
        buf_add(&cmd->bytes, text);
        cmd->parts[cmd->parts_n - 1].size += text.len;
    }
}

void outcmd_append(struct outcmd *cmd, const struct outcmd *other)
{
    cmd->failed = cmd->failed || !outcmd_ok(other) || other->has_stream;
    for (size_t i = 0; i < other->parts_n && outcmd_ok(cmd); i++) {
        const struct outcmd_part *part = &other->parts[i];
        if (part->kind == OUTCMD_TEXT) {
            add_text(cmd, outcmd_part_bytes(other, i));
        } else {
            add_part(cmd, part->kind, part->size, part->is_literal8);
            buf_add(&cmd->bytes, outcmd_part_bytes(other, i));
        }
    }
}

static bool has_line_octet(struct slice text)
{
    return slice_find(text, '\r') < text.len || slice_find(text, '\n') < text.len ||
           slice_find(text, '\0') < text.len;
}

void outcmd_str(struct outcmd *cmd, const char *text)
{
    CHECK(strpbrk(text, "\r\n") == NULL);
    add_text(cmd, slice_str(text));
}

void outcmd_token(struct outcmd *cmd, struct slice text)
{
    if (has_line_octet(text)) {
        cmd->failed = true;
        return;
    }
    add_text(cmd, text);
}

void outcmd_u64(struct outcmd *cmd, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    add_text(cmd, (struct slice){digits + at, sizeof(digits) - at});
}

void outcmd_ranges(struct outcmd *cmd, const struct ranges *set)
{
    size_t before = cmd->bytes.len;
    if (set->n == 0) {
        return;
    }
    if (cmd->parts_n == 0 || cmd->parts[cmd->parts_n - 1].kind != OUTCMD_TEXT) {
        add_part(cmd, OUTCMD_TEXT, 0, false);
    }
    if (outcmd_ok(cmd)) {
        ranges_format(set, &cmd->bytes);
        cmd->parts[cmd->parts_n - 1].size += cmd->bytes.len - before;
    }
}

static bool can_be_quoted(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < ' ' || c > 126) {
            return false;
        }
    }
    return text.len <= QUOTED_MAX;
}

void outcmd_string(struct outcmd *cmd, struct slice text)
{
    if (!can_be_quoted(text)) {
        outcmd_literal(cmd, text, false);
        return;
    }
    add_text(cmd, SLICE("\""));
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\') {
            add_text(cmd, slice_sub(text, from, i - from));
            add_text(cmd, SLICE("\\"));
            from = i;
        }
    }
    add_text(cmd, slice_sub(text, from, text.len));
    add_text(cmd, SLICE("\""));
}

void outcmd_mailbox(struct outcmd *cmd, struct slice name)
{
    outcmd_string(cmd, name);
}

void outcmd_literal(struct outcmd *cmd, struct slice octets, bool is_literal8)
{
    if (!is_literal8 && slice_find(octets, '\0') < octets.len) {
        cmd->failed = true;
        return;
    }
    outcmd_mail(cmd, octets, is_literal8);
}

void outcmd_mail(struct outcmd *cmd, struct slice octets, bool is_literal8)
{
    add_part(cmd, OUTCMD_LITERAL, octets.len, is_literal8);
    if (outcmd_ok(cmd)) {
        buf_add(&cmd->bytes, octets);
    }
}

void outcmd_stream(struct outcmd *cmd, uint64_t size, bool is_literal8)
{
    CHECK(!cmd->has_stream);
    cmd->has_stream = true;
    add_part(cmd, OUTCMD_STREAM, size, is_literal8);
}

void outcmd_inline(const struct outcmd *cmd, struct buf *out)
{
    for (size_t i = 0; i < cmd->parts_n; i++) {
        const struct outcmd_part *part = &cmd->parts[i];
        if (part->kind != OUTCMD_TEXT) {
            buf_add_str(out, part->is_literal8 ? "~{" : "{");
            buf_add_u64(out, part->size);
            buf_add_str(out, "}\r\n");
        }
        if (part->kind != OUTCMD_STREAM) {
            buf_add(out, outcmd_part_bytes(cmd, i));
        }
    }
}
