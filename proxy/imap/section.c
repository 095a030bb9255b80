#include "section_p.h"

#include <stdlib.h>
#include <string.h>

#include "grow_p.h"

static const struct {
    const char *name;
    enum section_kind kind;
} keywords[] = {
    {"HEADER", SECTION_HEADER},
    {"HEADER.FIELDS", SECTION_FIELDS},
    {"HEADER.FIELDS.NOT", SECTION_FIELDS_NOT},
    {"TEXT", SECTION_TEXT},
    {"MIME", SECTION_MIME},
};

enum { KEYWORDS_N = sizeof(keywords) / sizeof(keywords[0]), FIELD_NAME_MAX = 512 };

static const char *keyword_name(enum section_kind kind)
{
    for (size_t i = 0; i < KEYWORDS_N; i++) {
        if (keywords[i].kind == kind) {
            return keywords[i].name;
        }
    }
    return "";
}

/* --- parsing ------------------------------------------------------------------------------------
 */

/* Length of the "1.2.3" that @word begins with, without the dot before a keyword. */
static size_t part_len(struct slice word, size_t *depth_out)
{
    size_t at = 0;
    size_t end = 0;
    *depth_out = 0;
    while (at < word.len && word.data[at] >= '0' && word.data[at] <= '9') {
        size_t from = at;
        while (at < word.len && word.data[at] >= '0' && word.data[at] <= '9') {
            at++;
        }
        if (at - from > 9 || (word.data[from] == '0' && at - from > 1)) {
            return word.len + 1; /* no number anybody means */
        }
        ++*depth_out;
        end = at;
        if (at == word.len || word.data[at] != '.') {
            break;
        }
        at++;
    }
    return end;
}

static bool parse_word(struct slice word, struct section *out)
{
    size_t depth;
    size_t len = part_len(word, &depth);
    if (len > word.len || depth > FETCH_PART_DEPTH_MAX) {
        return false;
    }
    out->part = slice_sub(word, 0, len);
    struct slice rest = slice_sub(word, len, word.len);
    if (rest.len == 0) {
        out->kind = SECTION_PART;
        return true;
    }
    if (len > 0 && rest.data[0] != '.') {
        return false;
    }
    struct slice keyword = len > 0 ? slice_sub(rest, 1, rest.len) : rest;
    for (size_t i = 0; i < KEYWORDS_N; i++) {
        if (slice_eq_nocase(keyword, slice_str(keywords[i].name))) {
            out->kind = keywords[i].kind;
            /* RFC 3501 6.4.5: "The MIME part specifier MUST be prefixed by one or more
             * numeric part specifiers." */
            return out->kind != SECTION_MIME || len > 0;
        }
    }
    return false;
}

static bool is_field_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < 33 || name.data[i] > 126 || name.data[i] == ':') {
            return false;
        }
    }
    return name.len > 0 && name.len <= FIELD_NAME_MAX;
}

static void parse_fields(struct lexer *lx, struct arena *arena, struct section *out)
{
    struct words names = {0};
    lexer_sp(lx);
    lexer_expect(lx, '(');
    do {
        struct slice name = lexer_astring(lx, arena);
        if (!is_field_name(name)) {
            lexer_fail(lx, SYNTAX);
        } else if (words__add(&names, arena, name, FETCH_FIELDS_MAX) != OK) {
            lexer_fail(lx, LIMIT);
        }
    } while (lexer_list_more(lx));
    lexer_expect(lx, ')');
    if (lexer_ok(lx) && !section__canonical_names(arena, names.at, names.n, out)) {
        lexer_fail(lx, LIMIT);
    }
}

void section__parse(struct lexer *lx, struct arena *arena, struct section *out)
{
    *out = (struct section){.kind = SECTION_WHOLE};
    lexer_expect(lx, '[');
    if (lexer_take(lx, ']')) {
        return;
    }
    if (!parse_word(lexer_atom(lx), out)) {
        lexer_fail(lx, SYNTAX);
        return;
    }
    if (out->kind == SECTION_FIELDS || out->kind == SECTION_FIELDS_NOT) {
        parse_fields(lx, arena, out);
    }
    lexer_expect(lx, ']');
}

static int compare_names(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static bool upper_copy(struct arena *arena, struct slice text, struct slice *out)
{
    char *copy = arena_alloc(arena, text.len);
    for (size_t i = 0; copy != NULL && i < text.len; i++) {
        char c = text.data[i];
        copy[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    *out = (struct slice){copy, text.len};
    return copy != NULL;
}

bool section__canonical_names(struct arena *arena, const struct slice *names, size_t n,
                              struct section *out)
{
    struct slice *fields = arena_array(arena, n, sizeof(*fields));
    if (fields == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!upper_copy(arena, names[i], &fields[i])) {
            return false;
        }
    }
    qsort(fields, n, sizeof(*fields), compare_names);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || !slice_eq(fields[kept - 1], fields[i])) {
            fields[kept++] = fields[i];
        }
    }
    out->written = names;
    out->written_n = n;
    out->fields = fields;
    out->fields_n = kept;
    return true;
}

/* --- writing ------------------------------------------------------------------------------------
 */

/* Counts first (out NULL), then writes: one allocation of the right size. */
struct pen {
    char *out;
    size_t n;
};

static void pen_add(struct pen *pen, struct slice text)
{
    if (pen->out != NULL && text.len > 0) {
        memcpy(pen->out + pen->n, text.data, text.len);
    }
    pen->n += text.len;
}

static void pen_name(struct pen *pen, struct slice name)
{
    if (lexer_is_atom(name)) {
        pen_add(pen, name);
        return;
    }
    pen_add(pen, SLICE("\""));
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '"' || name.data[i] == '\\') {
            pen_add(pen, SLICE("\\"));
        }
        pen_add(pen, slice_sub(name, i, 1));
    }
    pen_add(pen, SLICE("\""));
}

static void pen_fields(struct pen *pen, const struct slice *names, size_t n)
{
    pen_add(pen, SLICE(" ("));
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            pen_add(pen, SLICE(" "));
        }
        pen_name(pen, names[i]);
    }
    pen_add(pen, SLICE(")"));
}

static void pen_offset(struct pen *pen, uint64_t offset)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + offset % 10);
        offset /= 10;
    } while (offset > 0);
    pen_add(pen, SLICE("<"));
    pen_add(pen, slice_of(digits + at, sizeof(digits) - at));
    pen_add(pen, SLICE(">"));
}

static void pen_text(struct pen *pen, const struct section_text *text)
{
    const struct section *section = text->section;
    const char *keyword = keyword_name(section->kind);
    pen_add(pen, slice_str(text->before));
    pen_add(pen, SLICE("["));
    pen_add(pen, section->part);
    if (section->part.len > 0 && keyword[0] != '\0') {
        pen_add(pen, SLICE("."));
    }
    pen_add(pen, slice_str(keyword));
    if (section->fields_n > 0) {
        pen_fields(pen, text->as_written ? section->written : section->fields,
                   text->as_written ? section->written_n : section->fields_n);
    }
    pen_add(pen, SLICE("]"));
    if (text->has_offset) {
        pen_offset(pen, text->offset);
    }
}

struct slice section__text(struct arena *arena, const struct section_text *text)
{
    struct pen pen = {NULL, 0};
    pen_text(&pen, text);
    pen.out = arena_alloc(arena, pen.n);
    if (pen.out == NULL) {
        return (struct slice){NULL, 0};
    }
    pen.n = 0;
    pen_text(&pen, text);
    return (struct slice){pen.out, pen.n};
}
