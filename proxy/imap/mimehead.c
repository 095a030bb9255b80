#include "mimehead_p.h"

#include <string.h>

#include "mime_p.h"

static const struct slice names[MIMEHEAD_FIELDS] = {
    [MIMEHEAD_TYPE] = SLICE("Content-Type"),
    [MIMEHEAD_ENCODING] = SLICE("Content-Transfer-Encoding"),
    [MIMEHEAD_VERSION] = SLICE("MIME-Version"),
};

/* --- lines ---------------------------------------------------------------------------------------
 */

void mimehead__init(struct mimehead *head)
{
    *head = (struct mimehead){.is_mime_only = true};
    for (size_t i = 0; i < MIMEHEAD_FIELDS; i++) {
        buf_init(&head->value[i], MIMEHEAD_VALUE_MAX);
    }
}

void mimehead__fini(struct mimehead *head)
{
    for (size_t i = 0; i < MIMEHEAD_FIELDS; i++) {
        buf_fini(&head->value[i]);
    }
}

void mimehead__begin(struct mimehead *head)
{
    head->bytes = head->lines = 0;
    head->is_bad = head->has_field = false;
    head->is_mime_only = true;
    head->field = MIMEHEAD_FIELDS;
    for (size_t i = 0; i < MIMEHEAD_FIELDS; i++) {
        head->has[i] = false;
        buf_reset(&head->value[i]);
    }
}

static void take_fold(struct mimehead *head, struct slice line)
{
    head->is_bad = head->is_bad || !head->has_field || mime__is_all_blank(line);
    if (head->field != MIMEHEAD_FIELDS) {
        buf_add_char(&head->value[head->field], '\n');
        buf_add(&head->value[head->field], line);
    }
}

static enum mimehead_field field_of(struct slice name)
{
    for (size_t i = 0; i < MIMEHEAD_FIELDS; i++) {
        if (slice_eq_nocase(name, names[i])) {
            return (enum mimehead_field)i;
        }
    }
    return MIMEHEAD_FIELDS;
}

static void take_field(struct mimehead *head, struct slice line)
{
    size_t n = mime__name_len(line);
    struct slice name = slice_sub(line, 0, n);
    head->has_field = true;
    /* "--x: y" is a field to some and a delimiter to others. */
    head->is_bad = head->is_bad || n == 0 || slice_starts_nocase(name, SLICE("--"));
    head->is_mime_only = head->is_mime_only && slice_starts_nocase(name, SLICE("Content-"));
    head->field = field_of(name);
    if (head->field != MIMEHEAD_FIELDS) {
        head->is_bad = head->is_bad || head->has[head->field];
        head->has[head->field] = true;
        buf_add(&head->value[head->field], slice_sub(line, n + 1, line.len));
    }
}

void mimehead__line(struct mimehead *head, struct slice line)
{
    head->bytes += line.len + 2;
    head->lines++;
    if (head->bytes > MIMETREE_HEADER_MAX || head->lines > MIME_HEADER_LINES) {
        head->is_bad = true;
        return;
    }
    if (mime__is_blank(line.data[0])) {
        take_fold(head, line);
    } else {
        take_field(head, line);
    }
}

/* --- values --------------------------------------------------------------------------------------
 */

static bool is_space(char c)
{
    return mime__is_blank(c) || c == '\n';
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && is_space(text.data[0])) {
        text = slice_sub(text, 1, text.len);
    }
    while (text.len > 0 && is_space(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* RFC 2045 5.1 token. */
static size_t token_len(struct slice text)
{
    size_t n = 0;
    while (n < text.len && text.data[n] > ' ' && text.data[n] < 127 &&
           strchr("()<>@,;:\\\"/[]?=", text.data[n]) == NULL) {
        n++;
    }
    return n;
}

/* Takes what it reads from the front of @text. */
static struct slice take(struct slice *text, size_t n)
{
    struct slice taken = slice_sub(*text, 0, n);
    *text = slice_sub(*text, n, text->len);
    return taken;
}

static bool take_char(struct slice *text, char c)
{
    if (text->len == 0 || text->data[0] != c) {
        return false;
    }
    (void)take(text, 1);
    return true;
}

static void skip_space(struct slice *text)
{
    while (text->len > 0 && is_space(text->data[0])) {
        (void)take(text, 1);
    }
}

/* The octets between quotes: no escape, no fold, nothing that needs explaining. */
static bool take_quoted(struct slice *text, struct slice *out)
{
    size_t n = 0;
    if (!take_char(text, '"')) {
        return false;
    }
    while (n < text->len && text->data[n] != '"' && text->data[n] != '\\' &&
           text->data[n] >= ' ' && text->data[n] < 127) {
        n++;
    }
    *out = take(text, n);
    return take_char(text, '"');
}

/* RFC 2046 5.1.1 bchars, but space. */
static bool is_boundary(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_alnum && strchr("'()+_,-./:=?", c) == NULL) {
            return false;
        }
    }
    return text.len > 0 && text.len <= MIMETREE_BOUNDARY_MAX;
}

static bool take_parameter(struct slice *rest, struct mimehead_sense *out)
{
    struct slice value = {NULL, 0};
    skip_space(rest);
    struct slice name = take(rest, token_len(*rest));
    if (name.len == 0 || slice_find(name, '*') < name.len || !take_char(rest, '=')) {
        return false;
    }
    if (rest->len > 0 && rest->data[0] == '"') {
        if (!take_quoted(rest, &value)) {
            return false;
        }
    } else {
        value = take(rest, token_len(*rest));
    }
    if (slice_eq_nocase(name, SLICE("boundary"))) {
        if (out->boundary_len > 0 || !is_boundary(value)) {
            return false;
        }
        memcpy(out->boundary, value.data, value.len);
        out->boundary_len = value.len;
    }
    return true;
}

static bool read_boundary(struct slice rest, struct mimehead_sense *out)
{
    out->boundary_len = 0;
    skip_space(&rest);
    while (rest.len > 0) {
        if (!take_char(&rest, ';') || !take_parameter(&rest, out)) {
            return false;
        }
        skip_space(&rest);
    }
    return out->boundary_len > 0;
}

static void lower(char *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        at[i] = at[i] >= 'A' && at[i] <= 'Z' ? (char)(at[i] + 32) : at[i];
    }
}

static void set_type(struct mimehead_sense *out, struct slice type)
{
    memcpy(out->type, type.data, type.len);
    out->type_len = type.len;
    lower(out->type, type.len);
}

/* "type/subtype"; *rest_out: the parameters. */
static bool read_type(struct slice value, struct mimehead_sense *out, struct slice *rest_out)
{
    struct slice text = trim(value);
    struct slice rest = text;
    size_t n = token_len(rest);
    (void)take(&rest, n);
    if (n == 0 || !take_char(&rest, '/')) {
        return false;
    }
    size_t m = token_len(rest);
    (void)take(&rest, m);
    if (m == 0 || n + 1 + m > sizeof(out->type) ||
        (rest.len > 0 && rest.data[0] != ';' && !is_space(rest.data[0]))) {
        return false;
    }
    set_type(out, slice_sub(text, 0, n + 1 + m));
    *rest_out = rest;
    return true;
}

/* RFC 2045 6.4: multiparts and messages are in no other encoding; but servers differ in believing
 * one that says so. */
static bool is_plain(const struct mimehead *head)
{
    struct slice value = trim(buf_slice(&head->value[MIMEHEAD_ENCODING]));
    return !head->has[MIMEHEAD_ENCODING] || slice_eq_nocase(value, SLICE("7bit")) ||
           slice_eq_nocase(value, SLICE("8bit")) || slice_eq_nocase(value, SLICE("binary"));
}

/* "1.0", perhaps with a comment. */
static bool is_version_ok(const struct mimehead *head)
{
    struct slice value = trim(buf_slice(&head->value[MIMEHEAD_VERSION]));
    return head->has[MIMEHEAD_VERSION] && slice_starts_nocase(value, SLICE("1.0")) &&
           (value.len == 3 || is_space(value.data[3]));
}

static bool is_intact(const struct mimehead *head)
{
    bool is_ok = !head->is_bad && head->has_field;
    for (size_t i = 0; i < MIMEHEAD_FIELDS; i++) {
        is_ok = is_ok && buf_ok(&head->value[i]);
    }
    return is_ok;
}

static bool is_odd_message(struct slice type)
{
    return slice_eq(type, SLICE("message/partial")) || slice_eq(type, SLICE("message/global")) ||
           slice_eq(type, SLICE("message/external-body"));
}

bool mimehead__read(const struct mimehead *head, bool is_root, bool is_in_digest,
                    struct mimehead_sense *out)
{
    struct slice rest = {NULL, 0};
    bool has_content = head->has[MIMEHEAD_TYPE] || head->has[MIMEHEAD_ENCODING];
    bool is_versioned = is_version_ok(head);
    out->kind = MIMEPART_LEAF;
    if (!is_intact(head) || (is_root && has_content && !is_versioned) ||
        (head->has[MIMEHEAD_VERSION] && !is_versioned)) {
        return false;
    }
    if (!head->has[MIMEHEAD_TYPE]) {
        set_type(out, SLICE("text/plain"));
        return !is_in_digest;
    }
    if (!read_type(buf_slice(&head->value[MIMEHEAD_TYPE]), out, &rest)) {
        return false;
    }
    struct slice type = slice_of(out->type, out->type_len);
    if (slice_starts_nocase(type, SLICE("multipart/"))) {
        out->kind = MIMEPART_MULTIPART;
        return is_plain(head) && read_boundary(rest, out);
    }
    if (slice_eq(type, SLICE("message/rfc822"))) {
        out->kind = MIMEPART_MESSAGE;
        return is_plain(head) && !is_root;
    }
    return !is_odd_message(type);
}
