#include "imap/utf7.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int digit_value(char c)
{
    struct slice all = SLICE("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,");
    size_t i = slice_find(all, c);
    return i < all.len ? (int)i : -1;
}

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_add_char(out, (char)c);
    } else if (c < 0x800) {
        buf_add_char(out, (char)(0xc0 | c >> 6));
        buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_add_char(out, (char)(0xe0 | c >> 12));
        buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_add_char(out, (char)(0xf0 | c >> 18));
        buf_add_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* UTF-16 units of one shifted run, joined into characters. */
struct units {
    struct buf *out;
    uint32_t high; /* a high surrogate that waits for its low one, or 0 */
};

static bool put_unit(struct units *units, uint32_t unit)
{
    bool is_low = unit >= 0xdc00 && unit < 0xe000;
    if (is_low != (units->high != 0)) {
        return false;
    }
    if (is_low) {
        put_utf8(units->out, 0x10000 + ((units->high - 0xd800) << 10) + (unit - 0xdc00));
        units->high = 0;
    } else if (unit >= 0xd800 && unit < 0xdc00) {
        units->high = unit;
    } else if (unit >= ' ' && unit < 127) {
        return false; /* RFC 3501 5.1.3: printable ASCII is never shifted */
    } else {
        put_utf8(units->out, unit);
    }
    return true;
}

/* What stands between "&" and "-". */
static bool decode_shifted(struct slice text, struct buf *out)
{
    struct units units = {out, 0};
    uint32_t bits = 0;
    unsigned bits_n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = digit_value(text.data[i]);
        if (value < 0) {
            return false;
        }
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        bits_n += 6;
        if (bits_n >= 16) {
            bits_n -= 16;
            if (!put_unit(&units, bits >> bits_n & 0xffff)) {
                return false;
            }
        }
    }
    /* what is left is padding: less than a digit, all zero */
    return units.high == 0 && bits_n < 6 && (bits & ((1u << bits_n) - 1)) == 0;
}

enum status utf7_to_utf8(struct slice name, struct buf *out)
{
    size_t at = 0;
    while (at < name.len) {
        char c = name.data[at];
        if (c < ' ' || c > 126) {
            return SYNTAX;
        }
        if (c != '&') {
            buf_add_char(out, c);
            at++;
            continue;
        }
        struct slice rest = slice_sub(name, at + 1, name.len);
        size_t end = slice_find(rest, '-');
        if (end == rest.len) {
            return SYNTAX;
        }
        if (end == 0) {
            buf_add_char(out, '&');
        } else if (!decode_shifted(slice_sub(rest, 0, end), out)) {
            return SYNTAX;
        }
        at += end + 2;
    }
    return buf_ok(out) ? OK : LIMIT;
}

/* One character at text[*at]; false when it is not valid UTF-8. */
static bool take_utf8(struct slice text, size_t *at, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char c = (unsigned char)text.data[*at];
    size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;
    if (n == 0 || c > 0xf4 || n > text.len - *at) {
        return false;
    }
    uint32_t value = n == 1 ? c : c & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        unsigned char more = (unsigned char)text.data[*at + i];
        if ((more & 0xc0) != 0x80) {
            return false;
        }
        value = value << 6 | (more & 0x3f);
    }
    *at += n;
    *out = value;
    return value >= least[n] && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
}

struct shifter {
    struct buf *out;
    uint32_t bits;
    unsigned bits_n;
    bool is_open;
};

static void shift_unit(struct shifter *s, uint32_t unit)
{
    if (!s->is_open) {
        buf_add_char(s->out, '&');
        s->is_open = true;
    }
    s->bits = s->bits << 16 | unit;
    s->bits_n += 16;
    while (s->bits_n >= 6) {
        s->bits_n -= 6;
        buf_add_char(s->out, digits[s->bits >> s->bits_n & 0x3f]);
    }
}

static void shift_end(struct shifter *s)
{
    if (!s->is_open) {
        return;
    }
    if (s->bits_n > 0) {
        buf_add_char(s->out, digits[s->bits << (6 - s->bits_n) & 0x3f]);
    }
    buf_add_char(s->out, '-');
    *s = (struct shifter){.out = s->out};
}

enum status utf7_from_utf8(struct slice text, struct buf *out)
{
    struct shifter s = {.out = out};
    size_t at = 0;
    while (at < text.len) {
        uint32_t c;
        if (!take_utf8(text, &at, &c)) {
            return SYNTAX;
        }
        if (c >= ' ' && c < 127) {
            shift_end(&s);
            buf_add_char(out, (char)c);
            if (c == '&') {
                buf_add_char(out, '-');
            }
        } else if (c >= 0x10000) {
            shift_unit(&s, 0xd800 + ((c - 0x10000) >> 10));
            shift_unit(&s, 0xdc00 + ((c - 0x10000) & 0x3ff));
        } else {
            shift_unit(&s, c);
        }
    }
    shift_end(&s);
    return buf_ok(out) ? OK : LIMIT;
}
