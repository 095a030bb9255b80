#include "searchkey_p.h"

static const struct searchkey_row rows[] = {
    {"ALL", SEARCH_ALL, SEARCHKEY_NONE, 0, false},
    {"ANSWERED", SEARCH_FLAG, SEARCHKEY_NONE, IMAP_FLAG_ANSWERED, false},
    {"DELETED", SEARCH_FLAG, SEARCHKEY_NONE, IMAP_FLAG_DELETED, false},
    {"DRAFT", SEARCH_FLAG, SEARCHKEY_NONE, IMAP_FLAG_DRAFT, false},
    {"FLAGGED", SEARCH_FLAG, SEARCHKEY_NONE, IMAP_FLAG_FLAGGED, false},
    {"SEEN", SEARCH_FLAG, SEARCHKEY_NONE, IMAP_FLAG_SEEN, false},
    {"UNANSWERED", SEARCH_FLAG, SEARCHKEY_NONE, IMAP_FLAG_ANSWERED, true},
    {"UNDELETED", SEARCH_FLAG, SEARCHKEY_NONE, IMAP_FLAG_DELETED, true},
    {"UNDRAFT", SEARCH_FLAG, SEARCHKEY_NONE, IMAP_FLAG_DRAFT, true},
    {"UNFLAGGED", SEARCH_FLAG, SEARCHKEY_NONE, IMAP_FLAG_FLAGGED, true},
    {"UNSEEN", SEARCH_FLAG, SEARCHKEY_NONE, IMAP_FLAG_SEEN, true},
    {"KEYWORD", SEARCH_KEYWORD, SEARCHKEY_ATOM, 0, false},
    {"UNKEYWORD", SEARCH_KEYWORD, SEARCHKEY_ATOM, 0, true},
    {"NEW", SEARCH_NEW, SEARCHKEY_NONE, 0, false},
    {"OLD", SEARCH_OLD, SEARCHKEY_NONE, 0, false},
    {"RECENT", SEARCH_RECENT, SEARCHKEY_NONE, 0, false},
    {"UID", SEARCH_UID, SEARCHKEY_SET, 0, false},
    {"MODSEQ", SEARCH_MODSEQ, SEARCHKEY_MODSEQ, 0, false},
    {"BCC", SEARCH_BCC, SEARCHKEY_TEXT, 0, false},
    {"BODY", SEARCH_BODY, SEARCHKEY_TEXT, 0, false},
    {"CC", SEARCH_CC, SEARCHKEY_TEXT, 0, false},
    {"FROM", SEARCH_FROM, SEARCHKEY_TEXT, 0, false},
    {"SUBJECT", SEARCH_SUBJECT, SEARCHKEY_TEXT, 0, false},
    {"TEXT", SEARCH_TEXT, SEARCHKEY_TEXT, 0, false},
    {"TO", SEARCH_TO, SEARCHKEY_TEXT, 0, false},
    {"HEADER", SEARCH_HEADER, SEARCHKEY_HEADER, 0, false},
    {"BEFORE", SEARCH_BEFORE, SEARCHKEY_DATE, 0, false},
    {"ON", SEARCH_ON, SEARCHKEY_DATE, 0, false},
    {"SINCE", SEARCH_SINCE, SEARCHKEY_DATE, 0, false},
    {"SENTBEFORE", SEARCH_SENTBEFORE, SEARCHKEY_DATE, 0, false},
    {"SENTON", SEARCH_SENTON, SEARCHKEY_DATE, 0, false},
    {"SENTSINCE", SEARCH_SENTSINCE, SEARCHKEY_DATE, 0, false},
    {"SAVEDBEFORE", SEARCH_SAVEDBEFORE, SEARCHKEY_DATE, 0, false},
    {"SAVEDON", SEARCH_SAVEDON, SEARCHKEY_DATE, 0, false},
    {"SAVEDSINCE", SEARCH_SAVEDSINCE, SEARCHKEY_DATE, 0, false},
    {"SAVEDATESUPPORTED", SEARCH_SAVEDATESUPPORTED, SEARCHKEY_NONE, 0, false},
    {"LARGER", SEARCH_LARGER, SEARCHKEY_NUMBER, 0, false},
    {"SMALLER", SEARCH_SMALLER, SEARCHKEY_NUMBER, 0, false},
    {"OLDER", SEARCH_OLDER, SEARCHKEY_NUMBER, 0, false},
    {"YOUNGER", SEARCH_YOUNGER, SEARCHKEY_NUMBER, 0, false},
    {"EMAILID", SEARCH_EMAILID, SEARCHKEY_ATOM, 0, false},
    {"THREADID", SEARCH_THREADID, SEARCHKEY_ATOM, 0, false},
    {"X-GM-RAW", SEARCH_GM_RAW, SEARCHKEY_TEXT, 0, false},
    {"X-GM-LABELS", SEARCH_GM_LABELS, SEARCHKEY_TEXT, 0, false},
    {"X-GM-MSGID", SEARCH_GM_MSGID, SEARCHKEY_NUMBER, 0, false},
    {"X-GM-THRID", SEARCH_GM_THRID, SEARCHKEY_NUMBER, 0, false},
    {"FILTER", SEARCH_FILTER, SEARCHKEY_ATOM, 0, false},
};

enum { ROWS_N = sizeof(rows) / sizeof(rows[0]) };

const struct searchkey_row *searchkey__find(struct slice name)
{
    for (size_t i = 0; i < ROWS_N; i++) {
        if (slice_eq_nocase(name, slice_str(rows[i].name))) {
            return &rows[i];
        }
    }
    return NULL;
}

bool searchkey__is_known(struct slice word)
{
    static const char *const others[] = {"NOT", "OR", "FUZZY", "$"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (slice_eq_nocase(word, slice_str(others[i]))) {
            return true;
        }
    }
    return searchkey__find(word) != NULL;
}

/* RFC 5257 8 (entry, attribute, value); draft-ietf-morg-inthread (algorithm, key). */
const struct searchkey_foreign *searchkey__foreign(struct slice name)
{
    static const struct searchkey_foreign foreign[] = {{"ANNOTATION", 3, false},
                                                       {"INTHREAD", 1, true}};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        if (slice_eq_nocase(name, slice_str(foreign[i].name))) {
            return &foreign[i];
        }
    }
    return NULL;
}

const struct searchkey_row *searchkey__row(const struct search_node *node)
{
    for (size_t i = 0; i < ROWS_N; i++) {
        if (rows[i].key == node->key && rows[i].flag == node->flag && !rows[i].is_negated) {
            return &rows[i];
        }
    }
    return NULL;
}

unsigned searchkey__classes(enum search_key key)
{
    static const unsigned char classes[SEARCH_KEYS] = {
        [SEARCH_ALL] = SEARCH_IS_MUTABLE,
        [SEARCH_FLAG] = SEARCH_IS_MUTABLE,
        [SEARCH_KEYWORD] = SEARCH_IS_MUTABLE,
        [SEARCH_NEW] = SEARCH_IS_MUTABLE | SEARCH_USES_RECENT,
        [SEARCH_OLD] = SEARCH_IS_MUTABLE | SEARCH_USES_RECENT,
        [SEARCH_RECENT] = SEARCH_IS_MUTABLE | SEARCH_USES_RECENT,
        [SEARCH_SEQ] = SEARCH_IS_MUTABLE | SEARCH_USES_SEQ,
        [SEARCH_UID] = SEARCH_IS_MUTABLE,
        [SEARCH_MODSEQ] = SEARCH_IS_MUTABLE | SEARCH_USES_MODSEQ,
        [SEARCH_BCC] = SEARCH_IS_IMMUTABLE,
        [SEARCH_BODY] = SEARCH_IS_IMMUTABLE,
        [SEARCH_CC] = SEARCH_IS_IMMUTABLE,
        [SEARCH_FROM] = SEARCH_IS_IMMUTABLE,
        [SEARCH_SUBJECT] = SEARCH_IS_IMMUTABLE,
        [SEARCH_TEXT] = SEARCH_IS_IMMUTABLE,
        [SEARCH_TO] = SEARCH_IS_IMMUTABLE,
        [SEARCH_HEADER] = SEARCH_IS_IMMUTABLE,
        [SEARCH_BEFORE] = SEARCH_IS_IMMUTABLE,
        [SEARCH_ON] = SEARCH_IS_IMMUTABLE,
        [SEARCH_SINCE] = SEARCH_IS_IMMUTABLE,
        [SEARCH_SENTBEFORE] = SEARCH_IS_IMMUTABLE,
        [SEARCH_SENTON] = SEARCH_IS_IMMUTABLE,
        [SEARCH_SENTSINCE] = SEARCH_IS_IMMUTABLE,
        [SEARCH_SAVEDBEFORE] = SEARCH_IS_IMMUTABLE,
        [SEARCH_SAVEDON] = SEARCH_IS_IMMUTABLE,
        [SEARCH_SAVEDSINCE] = SEARCH_IS_IMMUTABLE,
        [SEARCH_SAVEDATESUPPORTED] = SEARCH_IS_VOLATILE, /* says something about the mailbox */
        [SEARCH_LARGER] = SEARCH_IS_IMMUTABLE,
        [SEARCH_SMALLER] = SEARCH_IS_IMMUTABLE,
        [SEARCH_OLDER] = SEARCH_IS_VOLATILE,
        [SEARCH_YOUNGER] = SEARCH_IS_VOLATILE,
        [SEARCH_EMAILID] = SEARCH_IS_IMMUTABLE,
        [SEARCH_THREADID] = SEARCH_IS_IMMUTABLE,
        [SEARCH_GM_RAW] = SEARCH_IS_VOLATILE,
        [SEARCH_GM_LABELS] = SEARCH_IS_VOLATILE,
        [SEARCH_GM_MSGID] = SEARCH_IS_IMMUTABLE,
        [SEARCH_GM_THRID] = SEARCH_IS_VOLATILE,
        [SEARCH_FILTER] = SEARCH_IS_VOLATILE,
        [SEARCH_FUZZY] = SEARCH_IS_VOLATILE,
        [SEARCH_UNKNOWN] = SEARCH_IS_VOLATILE,
    };
    return classes[key];
}
