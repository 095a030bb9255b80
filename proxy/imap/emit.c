#include "imap/emit.h"

enum { QUOTED_MAX = 1000, HUMAN_TEXT_MAX = 512 };

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
