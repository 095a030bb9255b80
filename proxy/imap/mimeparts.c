#include "imap/mimeparts.h"

#include "imap/lexer.h"

/* --- the kept form: numbers of seven bits an octet, lowest first ---------------------------------
 */

enum { FORM = 1, KIND_BITS = 3, IS_ROOT = 4, IS_MIME_ONLY = 8 };

static void put(struct buf *out, uint64_t value)
{
    while (value >= 128) {
        buf_add_char(out, (char)(unsigned char)(value | 128));
        value >>= 7;
    }
    buf_add_char(out, (char)value);
}

static void pack_part(const struct mimepart *part, uint64_t before, struct buf *out)
{
    put(out, (uint64_t)part->kind | (part->is_root ? IS_ROOT : 0) |
                 (part->is_mime_only ? IS_MIME_ONLY : 0));
    put(out, part->children_n);
    put(out, part->head - before);
    put(out, part->body - part->head);
    put(out, part->end - part->body);
    put(out, part->lines);
    put(out, part->type.len);
    buf_add(out, part->type);
}

void mimeparts_pack(const struct mimeparts *parts, struct buf *out)
{
    put(out, FORM);
    put(out, parts->n);
    for (size_t i = 0; i < parts->n; i++) {
        pack_part(&parts->at[i], i > 0 ? parts->at[i - 1].head : 0, out);
    }
}

/* False: it is broken. */
static bool get(struct slice *in, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 63 && in->len > 0; shift += 7) {
        unsigned char c = (unsigned char)in->data[0];
        *in = slice_sub(*in, 1, in->len);
        *out |= (uint64_t)(c & 127) << shift;
        if (c < 128) {
            return true;
        }
    }
    return false;
}

static bool unpack_part(struct slice *in, uint64_t before, struct mimepart *out)
{
    uint64_t bits, children, head, body, end, type;
    if (!get(in, &bits) || !get(in, &children) || !get(in, &head) || !get(in, &body) ||
        !get(in, &end) || !get(in, &out->lines) || !get(in, &type) ||
        (bits & KIND_BITS) > MIMEPART_MESSAGE || children >= MIMEPARTS_MAX || type > in->len) {
        return false;
    }
    out->kind = (enum mimepart_kind)(bits & KIND_BITS);
    out->is_root = (bits & IS_ROOT) != 0;
    out->is_mime_only = (bits & IS_MIME_ONLY) != 0;
    out->children_n = (uint32_t)children;
    out->head = before + head;
    out->body = out->head + body;
    out->end = out->body + end;
    out->type = slice_sub(*in, 0, (size_t)type);
    *in = slice_sub(*in, (size_t)type, in->len);
    return true;
}

enum status mimeparts_unpack(struct slice packed, struct mimeparts *out)
{
    uint64_t form, n;
    size_t known = 1; /* parts that were announced so far */
    if (!get(&packed, &form) || form != FORM || !get(&packed, &n) || n == 0 ||
        n > MIMEPARTS_MAX) {
        return SYNTAX;
    }
    out->n = (size_t)n;
    for (size_t i = 0; i < out->n; i++) {
        struct mimepart *part = &out->at[i];
        if (!unpack_part(&packed, i > 0 ? out->at[i - 1].head : 0, part) || known <= i) {
            return SYNTAX;
        }
        known += part->children_n;
        if ((part->kind == MIMEPART_LEAF) != (part->children_n == 0) ||
            (part->kind == MIMEPART_MESSAGE && part->children_n != 1)) {
            return SYNTAX;
        }
    }
    return known == out->n && packed.len == 0 ? OK : SYNTAX;
}

/* --- the upstream's structure --------------------------------------------------------------------
 */

static bool take_text(struct lexer *lx, struct slice want)
{
    struct lexer_value value = lexer_value(lx);
    return (value.kind == VALUE_QUOTED || value.kind == VALUE_LITERAL) &&
           slice_eq_nocase(value.content, want);
}

static bool take_number(struct lexer *lx, uint64_t want)
{
    lexer_sp(lx);
    return lexer_number64(lx) == want && lexer_ok(lx);
}

static void skip_values(struct lexer *lx, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lexer_sp(lx);
        (void)lexer_value(lx);
    }
}

/* Extension data, whatever there is, and ")". */
static bool take_end(struct lexer *lx)
{
    while (lexer_ok(lx) && lexer_take(lx, ' ')) {
        (void)lexer_value(lx);
    }
    lexer_expect(lx, ')');
    return lexer_ok(lx);
}

/* Some count a last line without LF, some do not. */
static bool take_lines(struct lexer *lx, const struct mimepart *part)
{
    lexer_sp(lx);
    uint64_t lines = lexer_number64(lx);
    return lexer_ok(lx) && (lines == part->lines || lines == part->lines + 1);
}

struct walk {
    const struct mimeparts *parts;
    size_t at; /* the next one */
};

static bool take_structure(struct walk *walk, struct lexer *lx);

static bool take_multipart(struct walk *walk, struct lexer *lx, const struct mimepart *part)
{
    uint32_t n = 0;
    if (part->kind != MIMEPART_MULTIPART) {
        return false;
    }
    while (lexer_peek(lx) == '(') {
        if (n == part->children_n || !take_structure(walk, lx)) {
            return false;
        }
        n++;
    }
    size_t slash = slice_find(part->type, '/');
    lexer_sp(lx);
    return n == part->children_n &&
           take_text(lx, slice_sub(part->type, slash + 1, part->type.len)) && take_end(lx);
}

static bool take_single(struct walk *walk, struct lexer *lx, const struct mimepart *part)
{
    size_t slash = slice_find(part->type, '/');
    if (part->kind == MIMEPART_MULTIPART || !take_text(lx, slice_sub(part->type, 0, slash))) {
        return false;
    }
    lexer_sp(lx);
    if (!take_text(lx, slice_sub(part->type, slash + 1, part->type.len))) {
        return false;
    }
    skip_values(lx, 4); /* parameters, id, description, encoding */
    if (!take_number(lx, part->end - part->body)) {
        return false;
    }
    if (part->kind == MIMEPART_MESSAGE) {
        skip_values(lx, 1); /* envelope */
        lexer_sp(lx);
        if (!take_structure(walk, lx)) {
            return false;
        }
    } else if (slice_starts_nocase(part->type, SLICE("text/")) && !take_lines(lx, part)) {
        return false;
    }
    return take_end(lx);
}

/* As deep as the parts are, not as the structure is. */
static bool take_structure(struct walk *walk, struct lexer *lx)
{
    if (walk->at == walk->parts->n) {
        return false;
    }
    const struct mimepart *part = &walk->parts->at[walk->at++];
    lexer_expect(lx, '(');
    return lexer_peek(lx) == '(' ? take_multipart(walk, lx, part) : take_single(walk, lx, part);
}

bool mimeparts_agree(const struct mimeparts *parts, struct slice structure)
{
    struct lexer lx;
    struct walk walk = {.parts = parts};
    lexer_init(&lx, unit_of(structure), LEXER_STRICT);
    bool is_same = take_structure(&walk, &lx);
    lexer_end(&lx);
    return is_same && lexer_ok(&lx) && walk.at == parts->n;
}

/* --- sections ------------------------------------------------------------------------------------
 */

/* The one behind @at and all within it. */
static size_t skip(const struct mimeparts *parts, size_t at)
{
    size_t left = 1;
    while (left > 0 && at < parts->n) {
        left += parts->at[at].children_n;
        left--;
        at++;
    }
    return at;
}

static size_t child(const struct mimeparts *parts, size_t at, uint32_t number)
{
    if (number == 0 || number > parts->at[at].children_n) {
        return parts->n;
    }
    at++;
    for (uint32_t i = 1; i < number; i++) {
        at = skip(parts, at);
    }
    return at;
}

static bool take_part_number(struct slice *text, uint32_t *out)
{
    size_t n = slice_find(*text, '.');
    bool is_number = slice_u32(slice_sub(*text, 0, n), out);
    *text = slice_sub(*text, n + 1, text->len);
    return is_number;
}

/* Its index; parts->n: none, or none that everybody agrees on.  RFC 3501 6.4.5: "Every message has at
 * least one part number.  Non-[MIME-IMB] messages, and non-multipart [MIME-IMB] messages with no
 * encapsulated message, only have a part 1." */
static size_t resolve(const struct mimeparts *parts, struct slice text)
{
    size_t at = 0;
    do {
        uint32_t number;
        if (at == parts->n || !take_part_number(&text, &number)) {
            return parts->n;
        }
        at += parts->at[at].kind == MIMEPART_MESSAGE ? 1 : 0;
        const struct mimepart *part = &parts->at[at];
        if (part->kind == MIMEPART_MULTIPART) {
            at = child(parts, at, number);
        } else if (!part->is_root || number != 1 || text.len > 0) {
            return parts->n;
        }
    } while (text.len > 0);
    return at;
}

bool mimeparts_find(const struct mimeparts *parts, struct slice part, enum section_kind section,
                    uint64_t *offset_out, uint64_t *size_out)
{
    size_t at = resolve(parts, part);
    if (at == parts->n) {
        return false;
    }
    const struct mimepart *found = &parts->at[at];
    bool is_text = section == SECTION_PART || section == SECTION_TEXT;
    if (section == SECTION_PART && found->kind == MIMEPART_MULTIPART) {
        return false; /* where it ends no structure tells: Dovecot counts the CRLF before the next part */
    }
    if (section != SECTION_PART && section != SECTION_MIME) {
        if (found->kind != MIMEPART_MESSAGE) {
            return false;
        }
        found = &parts->at[at + 1];
    } else if (section == SECTION_MIME && (found->is_root || !found->is_mime_only)) {
        return false; /* Courier leaves other fields out */
    }
    *offset_out = is_text ? found->body : found->head;
    *size_out = is_text ? found->end - found->body : found->body - found->head;
    return *size_out > 0;
}
