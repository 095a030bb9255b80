#include "imap/capability.h"

#include <string.h>

#include "imap/lexer.h"
#include "imap/respdata.h"

static const struct {
    const char *name;
    enum capability_offer offer;
} table[CAP_N] = {
#define CAPABILITY_ROW(id, text, offer) [CAP_##id] = {text, CAPABILITY_##offer},
    CAPABILITIES(CAPABILITY_ROW)
#undef CAPABILITY_ROW
};

_Static_assert(CAP_N <= 64, "struct capabilities keeps one bit for each");

enum capability capability_find(struct slice name)
{
    for (size_t i = 0; i < CAP_N; i++) {
        if (slice_eq_nocase(name, slice_str(table[i].name))) {
            return (enum capability)i;
        }
    }
    return CAP_N;
}

const char *capability_name(enum capability cap)
{
    return table[cap].name;
}

static void pass_on(struct capabilities *caps, struct slice word)
{
    if (!lexer_is_atom(word) || word.len + 1 > CAPABILITY_PASSED_MAX - caps->passed_len) {
        return;
    }
    caps->passed[caps->passed_len] = ' ';
    memcpy(caps->passed + caps->passed_len + 1, word.data, word.len);
    caps->passed_len += word.len + 1;
}

/* NAME=value: limits, and families that are passed on. */
static void take_valued(struct capabilities *caps, struct slice word)
{
    static const struct slice passed[] = {SLICE("RIGHTS="), SLICE("QUOTA=RES-")};
    struct slice limit = SLICE("APPENDLIMIT=");
    struct slice messages = SLICE("MESSAGELIMIT=");
    for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
        if (slice_starts_nocase(word, passed[i])) {
            pass_on(caps, word);
        }
    }
    if (slice_eq_nocase(word, SLICE("APPENDLIMIT"))) {
        caps->has_appendlimit = true; /* per mailbox, RFC 7889 4: ask STATUS */
    } else if (slice_starts_nocase(word, limit)) {
        caps->has_appendlimit = slice_u64(slice_sub(word, limit.len, word.len), &caps->appendlimit);
    } else if (slice_starts_nocase(word, messages) &&
               !slice_u64(slice_sub(word, messages.len, word.len), &caps->messagelimit)) {
        caps->messagelimit = 0;
    }
}

void capability_parse(struct slice words, struct capabilities *out)
{
    *out = (struct capabilities){0};
    struct slice word;
    while (respdata_word(&words, &word)) {
        enum capability cap = capability_find(word);
        if (cap != CAP_N) {
            out->bits |= (uint64_t)1 << (unsigned)cap;
        } else {
            take_valued(out, word);
        }
    }
}

static void add_word(struct buf *out, size_t start, const char *word)
{
    if (out->len > start) {
        buf_add_char(out, ' ');
    }
    buf_add_str(out, word);
}

static bool listener_has(const struct capability_listener *listener, enum capability cap)
{
    bool can_login = listener->can_login;
    switch ((int)cap) {
    case CAP_STARTTLS:
        return listener->can_starttls;
    case CAP_LOGINDISABLED: /* RFC 3501 7.2.1: that the command LOGIN does not work */
        return !can_login || listener->is_token_only;
    case CAP_AUTH_PLAIN:
        return can_login && !listener->is_token_only;
    case CAP_AUTH_LOGIN:
        return can_login && !listener->is_token_only && listener->has_login_mechanism;
    case CAP_AUTH_XOAUTH2:
        return can_login && listener->has_xoauth2;
    case CAP_AUTH_OAUTHBEARER:
        return can_login && listener->has_oauthbearer;
    default:
        return false;
    }
}

void capability_offer_before_login(const struct capability_listener *listener, struct buf *out)
{
    size_t start = out->len;
    for (size_t i = 0; i < CAP_N; i++) {
        bool is_on = table[i].offer == CAPABILITY_ALWAYS;
        if (table[i].offer == CAPABILITY_LISTENER) {
            is_on = listener_has(listener, (enum capability)i);
        }
        if (is_on) {
            add_word(out, start, table[i].name);
        }
    }
}

bool capability_is_offered(const struct capabilities *upstream, enum capability cap)
{
    /* SORT=DISPLAY and ESORT mean nothing without SORT */
    if ((cap == CAP_SORT_DISPLAY || cap == CAP_ESORT) && !capability_has(upstream, CAP_SORT)) {
        return false;
    }
    switch (table[cap].offer) {
    case CAPABILITY_ALWAYS:
    case CAPABILITY_OURS:
        return true;
    case CAPABILITY_UPSTREAM:
        /* QRESYNC is CONDSTORE and more; some servers name only the former */
        return capability_has(upstream, cap) ||
               (cap == CAP_CONDSTORE && capability_has(upstream, CAP_QRESYNC));
    case CAPABILITY_NEVER:
    case CAPABILITY_LISTENER:
        break;
    }
    return false;
}

/* RFC 7889: ours or the upstream's, whichever is less. */
static void offer_appendlimit(const struct capabilities *upstream, uint64_t append_max,
                              struct buf *out)
{
    uint64_t limit = upstream->appendlimit;
    if (append_max > 0 && (limit == 0 || append_max < limit)) {
        limit = append_max;
    }
    if (upstream->has_appendlimit || append_max > 0) {
        buf_add_str(out, " APPENDLIMIT");
        if (limit > 0) {
            buf_add_char(out, '=');
            buf_add_u64(out, limit);
        }
    }
}

void capability_offer(const struct capabilities *upstream, uint64_t append_max, struct buf *out)
{
    size_t start = out->len;
    for (size_t i = 0; i < CAP_N; i++) {
        if (capability_is_offered(upstream, (enum capability)i)) {
            add_word(out, start, table[i].name);
        }
    }
    if (capability_is_offered(upstream, CAP_QUOTA) || capability_is_offered(upstream, CAP_ACL)) {
        buf_add(out, slice_of(upstream->passed, upstream->passed_len));
    }
    offer_appendlimit(upstream, append_max, out);
}
