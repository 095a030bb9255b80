#include <string.h>

#include "lexer_p.h"

/* Values of any shape.  Lists are walked with a depth counter, not by recursion: an upstream may
 * nest BODYSTRUCTURE as it likes. */

/* Past a quoted string whose opening quote is at lx->at. */
static void skip_quoted(struct lexer *lx)
{
    const char *at = lx->at + 1;
    while (at < lx->end && *at != '"') {
        if (*at == '\\') {
            at++;
        }
        if (at < lx->end && (*at == '\r' || *at == '\n' || *at == '\0')) {
            break;
        }
        at++;
    }
    if (at >= lx->end || *at != '"') {
        lexer_fail(lx, SYNTAX);
        return;
    }
    lx->at = at + 1;
}

struct header {
    uint64_t size;
    bool is_literal8;
};

/* `{n}CRLF`, `{n+}CRLF`, `~{n}CRLF`. */
static bool take_header(struct lexer *lx, struct header *out)
{
    out->is_literal8 = lexer_take(lx, '~');
    lexer_expect(lx, '{');
    out->size = lexer_number64(lx);
    if (!lexer_take(lx, '+')) {
        (void)lexer_take(lx, '-');
    }
    lexer_expect(lx, '}');
    lexer_expect(lx, '\r');
    lexer_expect(lx, '\n');
    return lx->status == OK;
}

/* Are the octets of the literal that begins at lx->at not there? */
static bool at_hole(struct lexer *lx)
{
    size_t offset = (size_t)(lx->at - lx->begin);
    while (lx->holes_n > 0 && lx->holes->offset < offset) {
        lx->holes++;
        lx->holes_n--;
    }
    return lx->holes_n > 0 && lx->holes->offset == offset;
}

static void take_literal(struct lexer *lx, struct lexer_value *out)
{
    struct header header;
    if (!take_header(lx, &header)) {
        return;
    }
    out->is_literal8 = header.is_literal8;
    out->size = header.size;
    if (at_hole(lx)) {
        out->kind = VALUE_STREAMED;
        return;
    }
    if (header.size > (uint64_t)(lx->end - lx->at)) {
        lexer_fail(lx, SYNTAX);
        return;
    }
    out->kind = VALUE_LITERAL;
    out->content = (struct slice){lx->at, (size_t)header.size};
    lx->at += header.size;
}

/* What an upstream may leave unquoted: anything but spaces, parentheses, quotes, controls. */
static bool is_loose_char(char c)
{
    return (unsigned char)c > ' ' && c != '(' && c != ')' && c != '"' && c != '{' &&
           (unsigned char)c != 127;
}

static void take_loose_atom(struct lexer *lx, struct lexer_value *out)
{
    const char *from = lx->at;
    while (lx->at < lx->end && is_loose_char(*lx->at)) {
        lx->at++;
    }
    if (lx->at == from) {
        lexer_fail(lx, SYNTAX);
        return;
    }
    out->kind = VALUE_ATOM;
    out->content = (struct slice){from, (size_t)(lx->at - from)};
    if (slice_eq_nocase(out->content, SLICE("NIL"))) {
        out->kind = VALUE_NIL;
        out->content = (struct slice){NULL, 0};
    }
}

static bool is_literal_start(const struct lexer *lx)
{
    return *lx->at == '{' || (*lx->at == '~' && lx->end - lx->at > 1 && lx->at[1] == '{');
}

/* Anything but a list. */
static void take_simple(struct lexer *lx, struct lexer_value *out)
{
    if (lx->at == lx->end) {
        lexer_fail(lx, SYNTAX);
    } else if (*lx->at == '"') {
        const char *from = lx->at + 1;
        skip_quoted(lx);
        if (lx->status == OK) {
            out->kind = VALUE_QUOTED;
            out->content = (struct slice){from, (size_t)(lx->at - 1 - from)};
        }
    } else if (is_literal_start(lx)) {
        take_literal(lx, out);
    } else {
        take_loose_atom(lx, out);
    }
}

/* Past a list whose "(" is at lx->at. */
static void skip_list(struct lexer *lx)
{
    size_t depth = 0;
    struct lexer_value ignored;
    do {
        char c = lexer_peek(lx);
        if (c == '(') {
            lx->at++;
            if (++depth > LEXER_DEPTH_MAX) {
                lexer_fail(lx, LIMIT);
            }
        } else if (c == ')') {
            lx->at++;
            depth--;
        } else if (c == ' ') {
            lx->at++;
        } else {
            take_simple(lx, &ignored);
        }
    } while (depth > 0 && lx->status == OK);
}

struct lexer_value lexer_value(struct lexer *lx)
{
    struct lexer_value value = {.kind = VALUE_NIL};
    const char *from = lx->at;
    if (lexer_peek(lx) == '(') {
        value.kind = VALUE_LIST;
        skip_list(lx);
    } else {
        take_simple(lx, &value);
    }
    if (lx->status != OK) {
        return (struct lexer_value){.kind = VALUE_NIL, .raw = {"", 0}};
    }
    value.raw = (struct slice){from, (size_t)(lx->at - from)};
    return value;
}

struct slice lexer_value_raw(struct lexer *lx)
{
    return lexer_value(lx).raw;
}

bool lexer_streamed(struct lexer *lx, uint64_t *size_out, bool *is_literal8_out)
{
    struct header header = {0, false};
    if (!take_header(lx, &header) || !at_hole(lx)) {
        lexer_fail(lx, SYNTAX);
        return false;
    }
    *size_out = header.size;
    *is_literal8_out = header.is_literal8;
    return true;
}

/* Past "[section]"; lx->at is at "[". */
static void skip_section(struct lexer *lx)
{
    struct lexer_value ignored;
    lx->at++;
    while (lx->status == OK && lexer_peek(lx) != ']') {
        char c = lexer_peek(lx);
        if (c == '"' || c == '{') {
            take_simple(lx, &ignored);
        } else if (lexer__is(c, LEXER__ATOM) || c == ' ' || c == '(' || c == ')') {
            lx->at++;
        } else {
            lexer_fail(lx, SYNTAX);
        }
    }
    lexer_expect(lx, ']');
}

struct slice lexer_item_name(struct lexer *lx)
{
    const char *from = lx->at;
    while (lx->at < lx->end && *lx->at != '[' && *lx->at != '<' &&
           lexer__is(*lx->at, LEXER__ATOM)) {
        lx->at++;
    }
    if (lx->at == from) {
        lexer_fail(lx, SYNTAX);
    }
    if (lexer_peek(lx) == '[') {
        skip_section(lx);
    }
    if (lexer_take(lx, '<')) {
        (void)lexer_number64(lx);
        if (lexer_take(lx, '.')) {
            (void)lexer_number64(lx);
        }
        lexer_expect(lx, '>');
    }
    if (lx->status != OK) {
        return (struct slice){"", 0};
    }
    return (struct slice){from, (size_t)(lx->at - from)};
}

static struct slice unescape(struct slice text, struct arena *arena)
{
    char *copy = arena_alloc(arena, text.len);
    if (copy == NULL) {
        return (struct slice){NULL, 0};
    }
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\\' && i + 1 < text.len) {
            i++;
        }
        copy[n++] = text.data[i];
    }
    return (struct slice){copy, n};
}

struct slice value_text(const struct lexer_value *value, struct arena *arena)
{
    switch (value->kind) {
    case VALUE_ATOM:
    case VALUE_LITERAL:
        return value->content;
    case VALUE_QUOTED:
        if (slice_find(value->content, '\\') == value->content.len) {
            return value->content;
        }
        return unescape(value->content, arena);
    case VALUE_STREAMED:
        return (struct slice){"", 0};
    case VALUE_NIL:
    case VALUE_LIST:
        break;
    }
    return (struct slice){NULL, 0};
}
