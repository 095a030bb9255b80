#include "imap/emit.h"

enum { QUOTED_MAX = 1000, HUMAN_TEXT_MAX = 512, LITERAL_HEADER_MAX = 12 };

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

void emit_literal_header(struct buf *out, uint64_t size, bool is_literal8)
{
    buf_add_str(out, is_literal8 ? "~{" : "{");
    buf_add_u64(out, size);
    buf_add_str(out, "}\r\n");
}

void emit_string(struct buf *out, struct slice text)
{
    if (!can_be_quoted(text)) {
        emit_literal_header(out, text.len, false);
        buf_add(out, text);
        return;
    }
    buf_add_char(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\') {
            buf_add(out, slice_sub(text, from, i - from));
            buf_add_char(out, '\\');
            from = i;
        }
    }
    buf_add(out, slice_sub(text, from, text.len));
    buf_add_char(out, '"');
}

void emit_astring(struct buf *out, struct slice text)
{
    /* an atom NIL would be read as no string at all by lenient readers */
    if (lexer_is_atom(text) && text.len <= QUOTED_MAX && !slice_eq_nocase(text, SLICE("NIL"))) {
        buf_add(out, text);
    } else {
        emit_string(out, text);
    }
}

void emit_nstring(struct buf *out, struct slice text)
{
    if (text.data == NULL) {
        buf_add_str(out, "NIL");
    } else {
        emit_string(out, text);
    }
}

void emit_mailbox(struct buf *out, struct slice name)
{
    if (slice_eq(name, SLICE("INBOX"))) {
        buf_add(out, name);
    } else {
        emit_string(out, name);
    }
}

void emit_flags(struct buf *out, const struct imap_flag_list *flags)
{
    const char *separator = "";
    buf_add_char(out, '(');
    for (unsigned bit = 1; bit <= IMAP_FLAG_ANY; bit <<= 1) {
        if ((flags->system & bit) != 0 && bit != IMAP_FLAG_ANY) {
            buf_add_str(out, separator);
            buf_add_str(out, flag_name((enum imap_flag)bit));
            separator = " ";
        }
    }
    for (size_t i = 0; i < flags->keywords_n; i++) {
        buf_add_str(out, separator);
        buf_add(out, flags->keywords[i]);
        separator = " ";
    }
    if ((flags->system & IMAP_FLAG_ANY) != 0) {
        buf_add_str(out, separator);
        buf_add_str(out, "\\*");
    }
    buf_add_char(out, ')');
}

void emit_number_response(struct buf *out, uint32_t number, const char *name)
{
    buf_add_str(out, "* ");
    buf_add_u64(out, number);
    buf_add_char(out, ' ');
    buf_add_str(out, name);
    buf_add_str(out, "\r\n");
}

void emit_tagged(struct buf *out, struct slice tag, const char *cond, const char *text)
{
    buf_add(out, tag);
    buf_add_char(out, ' ');
    buf_add_str(out, cond);
    buf_add_char(out, ' ');
    buf_add_str(out, text);
    buf_add_str(out, "\r\n");
}

void emit_human_text(struct buf *out, struct slice text)
{
    text = slice_sub(text, 0, HUMAN_TEXT_MAX);
    char *room = buf_room(out, text.len);
    if (room == NULL) {
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        room[i] = c < ' ' || c > 126 ? '?' : (char)c;
    }
    /* "[" first would be read as a response code */
    if (text.len > 0 && room[0] == '[') {
        room[0] = '(';
    }
    /* "{5}" last is a literal for readers that look at nothing else */
    if (text.len > 0 && room[text.len - 1] == '}') {
        room[text.len - 1] = ')';
    }
    buf_grew(out, text.len);
    if (text.len == 0) {
        buf_add_str(out, "Done.");
    }
}

/* Arguments of a code that may be passed on: printable, and nothing that ends the code early. */
static bool args_are_clean(const struct response *r)
{
    bool is_numeric = r->code == CODE_APPENDUID || r->code == CODE_COPYUID;
    for (size_t i = 0; i < r->code_args.len; i++) {
        char c = r->code_args.data[i];
        bool is_digit = (c >= '0' && c <= '9') || c == ' ' || c == ',' || c == ':';
        if (c < ' ' || c > 126 || c == '[' || c == ']' || (is_numeric && !is_digit)) {
            return false;
        }
    }
    return r->code_args.len <= HUMAN_TEXT_MAX || is_numeric;
}

void emit_relayed(struct buf *out, const struct response *r)
{
    buf_add_str(out, response_cond_name(r->cond));
    buf_add_char(out, ' ');
    if (response_code_is_relayed(r->code) && args_are_clean(r)) {
        buf_add_char(out, '[');
        buf_add_str(out, response_code_name(r->code));
        if (r->code_args.len > 0) {
            buf_add_char(out, ' ');
            buf_add(out, r->code_args);
        }
        buf_add_str(out, "] ");
    }
    emit_human_text(out, r->text);
}

enum { UID_LEN = 4 }; /* "UID " */

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_uid_form(struct slice text, struct slice word)
{
    size_t end = UID_LEN + word.len;
    return slice_eq(slice_sub(text, 0, UID_LEN), SLICE("UID ")) &&
           slice_eq(slice_sub(text, UID_LEN, word.len), word) &&
           (text.len == end || !is_letter(text.data[end]));
}

void emit_renamed(struct buf *out, struct slice text, struct slice name)
{
    bool is_uid = slice_starts_nocase(name, SLICE("UID "));
    const struct slice words[] = {is_uid ? slice_sub(name, UID_LEN, name.len) : name,
                                  SLICE("SEARCH")};
    for (size_t i = 0; i < 2 * text.len; i++) {
        size_t at = i / 2;
        struct slice rest = slice_sub(text, at, text.len);
        if ((at == 0 || text.data[at - 1] == ' ') && is_uid_form(rest, words[i % 2])) {
            buf_add(out, slice_sub(text, 0, at));
            buf_add(out, name);
            buf_add(out, slice_sub(rest, UID_LEN + words[i % 2].len, rest.len));
            return;
        }
    }
    buf_add(out, text);
}

/* Octets of the literal at the start of @text, with its header; 0: that is none. */
static size_t literal_len(struct slice text)
{
    size_t end = slice_find(slice_sub(text, 0, LITERAL_HEADER_MAX), '}');
    uint32_t size;
    if (end >= text.len || end == LITERAL_HEADER_MAX || !slice_u32(slice_sub(text, 1, end - 1), &size)) {
        return 0;
    }
    struct slice rest = slice_sub(text, end + 1, text.len);
    bool has_break = rest.len >= 2 && rest.data[0] == '\r' && rest.data[1] == '\n';
    return has_break && rest.len - 2 >= size ? end + 3 + size : 0;
}

bool emit_may_relay(struct slice text)
{
    bool in_quote = false, ends_in_brace = false;
    size_t depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        ends_in_brace = c == '}';
        size_t literal = c == '{' && !in_quote ? literal_len(slice_sub(text, i, text.len)) : 0;
        if (c == '\r' || c == '\n' || c == '\0' || (c == ')' && !in_quote && depth == 0)) {
            return false;
        }
        if (literal > 0) {
            i += literal - 1;
        } else if (c == '"') {
            in_quote = !in_quote;
        } else if (in_quote) {
            i += c == '\\' ? 1 : 0;
        } else if (c == '(') {
            depth++;
        } else if (c == ')') {
            depth--;
        }
    }
    return !in_quote && depth == 0 && !ends_in_brace; /* else with our CRLF it is a literal */
}
