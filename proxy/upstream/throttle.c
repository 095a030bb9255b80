#include "upstream/throttle.h"

enum { BACKOFF_MAX_MS = 15 * 60 * 1000 };

/* Where @words stand in @text, letters without case; SIZE_MAX: nowhere. */
static size_t find(struct slice text, const char *words)
{
    struct slice it = slice_str(words);
    for (size_t i = 0; i + it.len <= text.len; i++) {
        if (slice_starts_nocase(slice_sub(text, i, it.len), it)) {
            return i;
        }
    }
    return SIZE_MAX;
}

static bool has_any(struct slice text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (find(text, *words) != SIZE_MAX) {
            return true;
        }
    }
    return false;
}

/* Exchange: "Request is throttled. Suggested Backoff Time: 299961 milliseconds". */
static uint32_t suggested_ms(struct slice text)
{
    static const char words[] = "Suggested Backoff Time: ";
    size_t at = find(text, words);
    uint64_t ms = 0;
    if (at == SIZE_MAX) {
        return 0;
    }
    for (size_t i = at + sizeof(words) - 1; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || ms > BACKOFF_MAX_MS) {
            break;
        }
        ms = ms * 10 + (uint64_t)(text.data[i] - '0');
    }
    return ms < BACKOFF_MAX_MS ? (uint32_t)ms : BACKOFF_MAX_MS;
}

/* Then the words may be the name of a mailbox, which servers repeat and clients choose. */
static bool is_about_a_name(enum response_code code)
{
    return code == CODE_NONEXISTENT || code == CODE_ALREADYEXISTS || code == CODE_TRYCREATE ||
           code == CODE_CANNOT;
}

struct throttle throttle_of(const struct response *response)
{
    static const char *const connections[] = {"too many simultaneous connections",
                                              "too many connections",
                                              "maximum number of connections", NULL};
    static const char *const slow[] = {"is throttled", "rate limit", "bandwidth limit",
                                       "too many requests", "suggested backoff", NULL};
    struct throttle none = {.kind = THROTTLE_NONE};
    bool is_throttled = response->code == CODE_THROTTLED;
    bool ends = response->cond == COND_BYE &&
                (response->code == CODE_LIMIT || response->code == CODE_OVERQUOTA);
    if ((response->cond == COND_OK && !is_throttled) || is_about_a_name(response->code)) {
        return none;
    }
    if (has_any(response->text, connections)) {
        return (struct throttle){.kind = THROTTLE_CONNECTIONS};
    }
    if (is_throttled || ends || has_any(response->text, slow)) {
        return (struct throttle){.kind = THROTTLE_SLOW,
                                 .backoff_ms = suggested_ms(response->text)};
    }
    return none;
}
