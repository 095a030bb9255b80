#include "imap/sasl.h"

#include <string.h>

static const char *const names[] = {
    [SASL_PLAIN] = "PLAIN",
    [SASL_LOGIN] = "LOGIN",
    [SASL_XOAUTH2] = "XOAUTH2",
    [SASL_OAUTHBEARER] = "OAUTHBEARER",
};

enum sasl_mech sasl_find(struct slice name)
{
    for (unsigned i = 0; i < SASL_MECH_N; i++) {
        if (slice_eq_nocase(name, slice_str(names[i]))) {
            return (enum sasl_mech)i;
        }
    }
    return SASL_MECH_N;
}

const char *sasl_name(enum sasl_mech mech)
{
    return mech < SASL_MECH_N ? names[mech] : "?";
}

bool sasl_is_token(enum sasl_mech mech)
{
    return mech == SASL_XOAUTH2 || mech == SASL_OAUTHBEARER;
}

static bool has_any(struct slice text, const char *octets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_find(text, octets[i]) < text.len) {
            return true;
        }
    }
    return false;
}

enum status sasl_check(const struct sasl_login *login)
{
    if (login->authcid.len > SASL_NAME_MAX || login->authzid.len > SASL_NAME_MAX ||
        login->secret.len > SASL_SECRET_MAX) {
        return LIMIT;
    }
    static const char breaks[] = {'\0', '\r', '\n'};
    bool is_broken = has_any(login->authcid, breaks, 3) || has_any(login->authzid, breaks, 3) ||
                     has_any(login->secret, breaks, 3);
    return login->authcid.len == 0 || is_broken ? SYNTAX : OK;
}

/* --- PLAIN: [authzid] NUL authcid NUL passwd -------------------------------------------------- */

static enum status parse_plain(struct slice plain, struct sasl_login *out)
{
    size_t first = slice_find(plain, '\0');
    struct slice rest = slice_sub(plain, first + 1, plain.len);
    size_t second = slice_find(rest, '\0');
    if (first >= plain.len || second >= rest.len) {
        return SYNTAX;
    }
    out->authzid = slice_sub(plain, 0, first);
    out->authcid = slice_sub(rest, 0, second);
    out->secret = slice_sub(rest, second + 1, rest.len);
    if (slice_eq(out->authzid, out->authcid)) {
        out->authzid.len = 0; /* the same identity said twice is one account */
    }
    return OK;
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* RFC 6750 2.1: b64token, a little wider: any printable octet, since some issuers do not keep to
 * it.  What matters is that it cannot end the field. */
static bool is_token(struct slice token)
{
    for (size_t i = 0; i < token.len; i++) {
        if (token.data[i] < 0x21 || token.data[i] > 0x7e) {
            return false;
        }
    }
    return token.len > 0;
}

/* "Bearer " in any case, then the token. */
static bool parse_bearer_value(struct slice value, struct slice *token_out)
{
    struct slice scheme = SLICE("Bearer ");
    if (!slice_starts_nocase(value, scheme)) {
        return false;
    }
    while (value.len > scheme.len && value.data[scheme.len] == ' ') {
        scheme.len++;
    }
    *token_out = slice_sub(value, scheme.len, value.len);
    return is_token(*token_out);
}

/* Up to the next ^A, which is taken too. */
static bool take_field(struct slice *rest, struct slice *field_out)
{
    size_t end = slice_find(*rest, '\1');
    if (end == rest->len) {
        return false;
    }
    *field_out = slice_sub(*rest, 0, end);
    *rest = slice_sub(*rest, end + 1, rest->len);
    return true;
}

/* "user=" name ^A "auth=Bearer " token ^A ^A, and nothing else. */
static enum status parse_xoauth2(struct slice message, struct sasl_login *out)
{
    struct slice user, auth, user_key = SLICE("user="), auth_key = SLICE("auth=");
    if (!take_field(&message, &user) || !take_field(&message, &auth) || message.len != 1 ||
        message.data[0] != '\1' || !slice_starts_nocase(user, user_key) ||
        !slice_starts_nocase(auth, auth_key)) {
        return SYNTAX;
    }
    out->authcid = slice_sub(user, user_key.len, user.len);
    return parse_bearer_value(slice_sub(auth, auth_key.len, auth.len), &out->secret) ? OK : SYNTAX;
}

/* RFC 5801 4: "," is "=2C", "=" is "=3D", nothing else is escaped.  Shortens in place. */
static bool decode_saslname(char *text, size_t *len)
{
    size_t to = 0;
    for (size_t from = 0; from < *len; from++) {
        char c = text[from];
        if (c == '=') {
            bool is_whole = *len - from >= 3;
            bool is_comma = is_whole && memcmp(text + from, "=2C", 3) == 0;
            if (!is_comma && !(is_whole && memcmp(text + from, "=3D", 3) == 0)) {
                return false;
            }
            c = is_comma ? ',' : '=';
            from += 2;
        }
        text[to++] = c;
    }
    *len = to;
    return true;
}

static bool is_key(struct slice key)
{
    for (size_t i = 0; i < key.len; i++) {
        char c = (char)(key.data[i] | 0x20);
        if (c < 'a' || c > 'z') {
            return false;
        }
    }
    return key.len > 0;
}

/* RFC 7628 3.1: gs2-header kvsep *kvpair kvsep; the header is "n," or "y,", ["a=" saslname], ",".
 * The name may be left out there; then only the token says who it is, and we could not tell
 * accounts apart. */
static enum status parse_oauthbearer(char *data, size_t len, struct sasl_login *out)
{
    struct slice rest = slice_of(data, len), header, field;
    if (!take_field(&rest, &header) || header.len < 6 || header.data[header.len - 1] != ',' ||
        (header.data[0] != 'n' && header.data[0] != 'y') ||
        !slice_eq(slice_sub(header, 1, 3), SLICE(",a="))) {
        return SYNTAX;
    }
    size_t name_len = header.len - 5;
    if (slice_find(slice_sub(header, 4, name_len), ',') < name_len ||
        !decode_saslname(data + 4, &name_len)) {
        return SYNTAX;
    }
    out->authcid = slice_of(data + 4, name_len);
    bool has_auth = false;
    while (rest.len > 1) {
        if (!take_field(&rest, &field)) {
            return SYNTAX;
        }
        size_t equals = slice_find(field, '=');
        struct slice key = slice_sub(field, 0, equals);
        if (equals == field.len || !is_key(key)) {
            return SYNTAX;
        }
        if (!slice_eq_nocase(key, SLICE("auth"))) {
            continue; /* host, port: those of the proxy, of no use to the upstream */
        }
        struct slice value = slice_sub(field, equals + 1, field.len);
        if (has_auth || !parse_bearer_value(value, &out->secret)) {
            return SYNTAX;
        }
        has_auth = true;
    }
    return has_auth && rest.len == 1 && rest.data[0] == '\1' ? OK : SYNTAX;
}

/* --- both ways -------------------------------------------------------------------------------- */

enum status sasl_parse(enum sasl_mech mech, char *message, size_t len, struct sasl_login *out)
{
    enum status st = SYNTAX;
    *out = (struct sasl_login){0};
    if (len > SASL_MESSAGE_MAX) {
        return LIMIT;
    }
    switch (mech) {
    case SASL_PLAIN:
        st = parse_plain(slice_of(message, len), out);
        break;
    case SASL_XOAUTH2:
        st = parse_xoauth2(slice_of(message, len), out);
        break;
    case SASL_OAUTHBEARER:
        st = parse_oauthbearer(message, len, out);
        break;
    case SASL_LOGIN:
    case SASL_MECH_N:
        break;
    }
    return st == OK ? sasl_check(out) : st;
}

static void add_saslname(struct buf *out, struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == ',') {
            buf_add_str(out, "=2C");
        } else if (name.data[i] == '=') {
            buf_add_str(out, "=3D");
        } else {
            buf_add_char(out, name.data[i]);
        }
    }
}

void sasl_write(enum sasl_mech mech, const struct sasl_login *login, struct slice host,
                uint16_t port, struct buf *out)
{
    switch (mech) {
    case SASL_PLAIN:
    case SASL_LOGIN:
    case SASL_MECH_N:
        buf_add(out, login->authzid);
        buf_add_char(out, '\0');
        buf_add(out, login->authcid);
        buf_add_char(out, '\0');
        buf_add(out, login->secret);
        break;
    case SASL_XOAUTH2:
        buf_add_str(out, "user=");
        buf_add(out, login->authcid);
        buf_add_str(out, "\1auth=Bearer ");
        buf_add(out, login->secret);
        buf_add_str(out, "\1\1");
        break;
    case SASL_OAUTHBEARER:
        buf_add_str(out, "n,a=");
        add_saslname(out, login->authcid);
        buf_add_str(out, ",\1host=");
        buf_add(out, host);
        buf_add_str(out, "\1port=");
        buf_add_u64(out, port);
        buf_add_str(out, "\1auth=Bearer ");
        buf_add(out, login->secret);
        buf_add_str(out, "\1\1");
        break;
    }
}

const char *sasl_error_answer(enum sasl_mech mech)
{
    /* RFC 7628 3.2.3: "sending a ^A"; XOAUTH2: an empty line. */
    return mech == SASL_OAUTHBEARER ? "AQ==" : "";
}

/* --- base64 ----------------------------------------------------------------------------------- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void sasl_base64_encode(struct slice bytes, struct buf *out)
{
    const unsigned char *in = (const unsigned char *)bytes.data;
    size_t n = bytes.len;
    (void)buf_room(out, n / 3 * 4 + 4); /* once: growing would leave copies behind */
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0) |
                     (i + 2 < n ? in[i + 2] : 0);
        buf_add_char(out, digits[v >> 18 & 63]);
        buf_add_char(out, digits[v >> 12 & 63]);
        buf_add_char(out, i + 1 < n ? digits[v >> 6 & 63] : '=');
        buf_add_char(out, i + 2 < n ? digits[v & 63] : '=');
    }
}

/* -1: no digit. */
static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static size_t padding_of(struct slice text)
{
    size_t n = 0;
    while (n < 2 && n < text.len && text.data[text.len - 1 - n] == '=') {
        n++;
    }
    return n;
}

bool sasl_is_base64(struct slice text)
{
    if (text.len % 4 != 0) {
        return false;
    }
    for (size_t i = 0; i < text.len - padding_of(text); i++) {
        if (digit_value(text.data[i]) < 0) {
            return false;
        }
    }
    return true;
}

bool sasl_base64_decode(struct slice text, struct buf *out)
{
    size_t padding = padding_of(text);
    if (!sasl_is_base64(text)) {
        return false;
    }
    if (text.len == 0) {
        return buf_ok(out);
    }
    char *room = buf_room(out, text.len / 4 * 3);
    if (room == NULL) {
        return false;
    }
    size_t n = 0;
    for (size_t i = 0; i < text.len; i += 4) {
        uint32_t v = 0;
        for (size_t j = 0; j < 4; j++) {
            int value = digit_value(text.data[i + j]);
            v = v << 6 | (value < 0 ? 0 : (uint32_t)value);
        }
        room[n++] = (char)(v >> 16 & 255);
        room[n++] = (char)(v >> 8 & 255);
        room[n++] = (char)(v & 255);
    }
    buf_grew(out, n - padding);
    return true;
}
