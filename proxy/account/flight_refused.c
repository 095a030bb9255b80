/* NO or BAD is the answer to a whole command, but one item, or one message, may be to blame; others,
 * perhaps of other sessions that joined, must not suffer for it.  So less is asked at a time:
 *
 *   several items                    each item in a command of its own
 *   one item, BAD                    refused: it is the same for every message
 *   one item, several messages, NO   the first that got nothing alone, the rest again together (Dovecot
 *                                    stops at the first message it cannot decode)
 *   one item, one message            refused, in the upstream's words
 *
 * What is refused for other reasons (throttling, no right, trouble) is not asked again. */
#include "plan_p.h"
#include "base/alloc.h"
#include "imap/emit.h"

enum { WORDS_MAX = 1024, FRUITLESS_MAX = 2 };

static bool is_lacking(const struct want *want)
{
    return want->value.state != VALUE_HERE && want->value.state != VALUE_FAILED;
}

static void refuse(struct flight *flight, struct want *want, enum status why,
                   const struct response *tagged)
{
    if (tagged != NULL && want->words == NULL) {
        struct buf words;
        buf_init(&words, WORDS_MAX);
        emit_relayed(&words, tagged);
        buf_add_char(&words, '\0');
        want->words = buf_ok(&words) ? alloc_string(words.data) : NULL;
        buf_fini(&words);
    }
    want->value.words = want->words;
    plan__fail_want(flight->plan, want, why);
}

/* Is it worth while to ask for less? */
static bool is_about_items(const struct response *tagged)
{
    if (tagged == NULL) {
        return false;
    }
    switch ((int)tagged->code) {
    case CODE_NONE:
    case CODE_OTHER:
    case CODE_UNKNOWN_CTE:
    case CODE_PARSE:
    case CODE_CORRUPTION:
    case CODE_CANNOT:
    case CODE_CLIENTBUG:
        return true;
    default:
        return false;
    }
}

static bool has_told_any(const struct flight *flight)
{
    for (size_t i = 0; i < flight->rows_n * flight->columns_n; i++) {
        if (flight->cells[i]->value.state == VALUE_HERE) {
            return true;
        }
    }
    return false;
}

/* In a column of several messages: the first that got nothing is asked alone. */
static struct want *find_suspect(const struct flight *flight)
{
    for (size_t i = 0; i < flight->rows_n; i++) {
        if (is_lacking(flight->rows[i].wants[0])) {
            return flight->rows[i].wants[0];
        }
    }
    return NULL;
}

static void ask_less(struct flight *flight, struct want *want)
{
    if (want->value.state == VALUE_ARRIVING || want->refs == 0) {
        plan__fail_want(flight->plan, want, DENIED);
        return;
    }
    want->is_held = false;
    want->is_single = true;
    plan__gather(flight->plan, want);
}

void flight__settle_refused(struct flight *flight, enum status why, const struct response *tagged)
{
    bool is_split = is_about_items(tagged) && flight->rows_n * flight->columns_n > 1;
    bool is_fruitful = has_told_any(flight) || (tagged != NULL && tagged->code == CODE_UNKNOWN_CTE);
    struct want *suspect = flight->columns_n == 1 ? find_suspect(flight) : NULL;
    if (suspect != NULL && is_split) {
        suspect->fruitless = is_fruitful ? 0 : (uint8_t)(suspect->fruitless + 1);
        is_split = why == DENIED && suspect->fruitless < FRUITLESS_MAX;
    }
    for (size_t i = 0; i < flight->rows_n * flight->columns_n; i++) {
        struct want *want = flight->cells[i];
        if (!is_lacking(want)) {
            continue;
        }
        if (!is_split) {
            refuse(flight, want, why, tagged);
            continue;
        }
        want->is_alone = want == suspect;
        want->fruitless = suspect != NULL ? suspect->fruitless : want->fruitless;
        ask_less(flight, want);
    }
}
