/* Dates and sizes as bounds: of two with the same key one says all (but for days that there are not:
 * what 31-Feb is to a server is its own affair).  Not for brevity alone: Dovecot 2.3 makes one of them
 * itself, and then takes the wrong one where both are negated (`NOT SENTSINCE a NOT SENTSINCE b`
 * selects what is before the later of them). */
#include <string.h>

#include "searchkey_p.h"

static uint64_t number_at(struct slice text, size_t from)
{
    uint64_t number = 0;
    for (size_t i = from; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return number;
}

/* "1-Feb-2026", as the parser has made it, in an order. */
static uint64_t day_of(struct slice date)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    size_t dash = date.len > 2 && date.data[1] == '-' ? 1 : 2;
    uint64_t month = 0;
    if (date.len < dash + 6) {
        return 0;
    }
    while (month < 11 && memcmp(months + 3 * month, date.data + dash + 1, 3) != 0) {
        month++;
    }
    return (number_at(date, dash + 5) * 12 + month) * 32 + number_at(date, 0);
}

enum searchkey_family searchkey__family(enum search_key key)
{
    static const unsigned char families[SEARCH_KEYS] = {
        [SEARCH_LARGER] = SEARCHKEY_SIZE,          [SEARCH_SMALLER] = SEARCHKEY_SIZE,
        [SEARCH_BEFORE] = SEARCHKEY_ARRIVAL,       [SEARCH_ON] = SEARCHKEY_ARRIVAL,
        [SEARCH_SINCE] = SEARCHKEY_ARRIVAL,        [SEARCH_OLDER] = SEARCHKEY_ARRIVAL,
        [SEARCH_YOUNGER] = SEARCHKEY_ARRIVAL,      [SEARCH_SENTBEFORE] = SEARCHKEY_SENT,
        [SEARCH_SENTON] = SEARCHKEY_SENT,          [SEARCH_SENTSINCE] = SEARCHKEY_SENT,
        [SEARCH_SAVEDBEFORE] = SEARCHKEY_SAVED,    [SEARCH_SAVEDON] = SEARCHKEY_SAVED,
        [SEARCH_SAVEDSINCE] = SEARCHKEY_SAVED,
    };
    return families[key];
}

bool searchkey__bound(const struct search_node *leaf, uint64_t *width_out)
{
    switch ((unsigned)leaf->key) {
    case SEARCH_BEFORE:
    case SEARCH_SENTBEFORE:
    case SEARCH_SAVEDBEFORE:
        *width_out = day_of(leaf->text);
        break;
    case SEARCH_SINCE:
    case SEARCH_SENTSINCE:
    case SEARCH_SAVEDSINCE:
        *width_out = UINT32_MAX - day_of(leaf->text);
        break;
    case SEARCH_SMALLER:
        *width_out = leaf->number;
        break;
    case SEARCH_LARGER:
        *width_out = UINT32_MAX - leaf->number;
        break;
    default:
        return false;
    }
    return (leaf->classes & SEARCH_IS_ODD) == 0;
}
