#include "imap/response.h"

#include <string.h>

static const struct {
    const char *name;
    enum response_kind kind;
} words[] = {
    {"FLAGS", RESPONSE_FLAGS},
    {"LIST", RESPONSE_LIST},
    {"LSUB", RESPONSE_LSUB},
    {"XLIST", RESPONSE_XLIST},
    {"STATUS", RESPONSE_STATUS},
    {"SEARCH", RESPONSE_SEARCH},
    {"ESEARCH", RESPONSE_ESEARCH},
    {"SORT", RESPONSE_SORT},
    {"THREAD", RESPONSE_THREAD},
    {"CAPABILITY", RESPONSE_CAPABILITY},
    {"ENABLED", RESPONSE_ENABLED},
    {"NAMESPACE", RESPONSE_NAMESPACE},
    {"ID", RESPONSE_ID},
    {"QUOTA", RESPONSE_QUOTA},
    {"QUOTAROOT", RESPONSE_QUOTAROOT},
    {"ACL", RESPONSE_ACL},
    {"MYRIGHTS", RESPONSE_MYRIGHTS},
    {"LISTRIGHTS", RESPONSE_LISTRIGHTS},
    {"METADATA", RESPONSE_METADATA},
    {"VANISHED", RESPONSE_VANISHED},
};

static const struct {
    const char *name;
    enum response_cond cond;
} conds[] = {
    {"OK", COND_OK},           {"NO", COND_NO},   {"BAD", COND_BAD},
    {"PREAUTH", COND_PREAUTH}, {"BYE", COND_BYE},
};

static const char *const code_names[CODE_N] = {
#define CODE_NAME(id, name) [CODE_##id] = name,
    RESPONSE_CODES(CODE_NAME)
#undef CODE_NAME
};

/* protocol.md 2.10.  HIGHESTMODSEQ and MODIFIED are not among them: the session writes its own. */
static const enum response_code relayed[] = {
    CODE_ALERT,
    CODE_APPENDUID,
    CODE_BADCHARSET,
    CODE_CANNOT,
    CODE_COPYUID,
    CODE_CORRUPTION,
    CODE_EXPUNGEISSUED,
    CODE_INUSE,
    CODE_LIMIT,
    CODE_NONEXISTENT,
    CODE_ALREADYEXISTS,
    CODE_NOPERM,
    CODE_OVERQUOTA,
    CODE_PARSE,
    CODE_PRIVACYREQUIRED,
    CODE_READ_ONLY,
    CODE_READ_WRITE,
    CODE_SERVERBUG,
    CODE_CLIENTBUG,
    CODE_TOOBIG,
    CODE_TRYCREATE,
    CODE_UIDNOTSTICKY,
    CODE_UNAVAILABLE,
    CODE_UNKNOWN_CTE,
    CODE_USEATTR,
    CODE_MAILBOXID,
    CODE_METADATA,
    CODE_HASCHILDREN,
    CODE_AUTHENTICATIONFAILED,
    CODE_AUTHORIZATIONFAILED,
    CODE_EXPIRED,
    CODE_CONTACTADMIN,
    CODE_NOTSAVED,
    CODE_BADEVENT,
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

const char *response_cond_name(enum response_cond cond)
{
    for (size_t i = 0; i < COUNT(conds); i++) {
        if (conds[i].cond == cond) {
            return conds[i].name;
        }
    }
    return "";
}

const char *response_code_name(enum response_code code)
{
    return code_names[code] != NULL ? code_names[code] : "";
}

enum response_code response_code_find(struct slice name)
{
    for (size_t i = CODE_OTHER + 1; i < CODE_N; i++) {
        if (slice_eq_nocase(name, slice_str(code_names[i]))) {
            return (enum response_code)i;
        }
    }
    return CODE_OTHER;
}

bool response_code_is_whole(enum response_code code)
{
    return code != CODE_MESSAGELIMIT && code != CODE_INUSE && code != CODE_EXPUNGEISSUED &&
           code != CODE_LIMIT && code != CODE_UNAVAILABLE && code != CODE_SERVERBUG &&
           code != CODE_CORRUPTION && code != CODE_THROTTLED && code != CODE_PARSE;
}

bool response_code_is_relayed(enum response_code code)
{
    for (size_t i = 0; i < COUNT(relayed); i++) {
        if (relayed[i] == code) {
            return true;
        }
    }
    return false;
}

static enum response_cond find_cond(struct slice word)
{
    for (size_t i = 0; i < COUNT(conds); i++) {
        if (slice_eq_nocase(word, slice_str(conds[i].name))) {
            return conds[i].cond;
        }
    }
    return COND_NONE;
}

/* Index of the "]" that ends the code beginning at text[0] == '['; text.len when there is none.
 * A "]" in quotes or parentheses does not count. */
static size_t code_end(struct slice text)
{
    bool in_quote = false;
    size_t depth = 0;
    for (size_t i = 1; i < text.len; i++) {
        char c = text.data[i];
        if (in_quote) {
            i += c == '\\' ? 1 : 0;
            in_quote = c != '"';
        } else if (c == '"') {
            in_quote = true;
        } else if (c == '(') {
            depth++;
        } else if (c == ')' && depth > 0) {
            depth--;
        } else if (c == ']' && depth == 0) {
            return i;
        }
    }
    return text.len;
}

static struct slice skip_spaces(struct slice text)
{
    size_t n = 0;
    while (n < text.len && text.data[n] == ' ') {
        n++;
    }
    return slice_sub(text, n, text.len);
}

/* resp-text = ["[" resp-text-code "]" SP] text */
static void parse_text(struct slice text, struct response *out)
{
    text = skip_spaces(text);
    out->text = text;
    if (text.len == 0 || text.data[0] != '[') {
        return;
    }
    size_t end = code_end(text);
    if (end == text.len) {
        end = slice_find(text, ']'); /* quotes or parentheses that do not close: take the first */
    }
    struct slice inside = slice_sub(text, 1, end - 1);
    size_t name_len = slice_find(inside, ' ');
    if (end == text.len || name_len == 0) {
        return;
    }
    out->code_name = slice_sub(inside, 0, name_len);
    out->code_args = skip_spaces(slice_sub(inside, name_len, inside.len));
    out->code = response_code_find(out->code_name);
    out->text = skip_spaces(slice_sub(text, end + 1, text.len));
}

/* The word at the start, up to a space. */
static struct slice first_word(struct slice text)
{
    return slice_sub(text, 0, slice_find(text, ' '));
}

static enum status parse_numbered(struct unit unit, struct response *out)
{
    struct slice digits = first_word(unit.text);
    if (!slice_u32(digits, &out->number) || digits.len == unit.text.len) {
        return SYNTAX;
    }
    unit = unit_from(unit, digits.len + 1);
    struct slice word = first_word(unit.text);
    if (slice_eq_nocase(word, SLICE("FETCH"))) {
        out->kind = RESPONSE_FETCH;
        out->data = unit_from(unit, word.len < unit.text.len ? word.len + 1 : word.len);
        return out->number > 0 ? OK : SYNTAX;
    }
    if (slice_eq_nocase(word, SLICE("EXISTS"))) {
        out->kind = RESPONSE_EXISTS;
    } else if (slice_eq_nocase(word, SLICE("RECENT"))) {
        out->kind = RESPONSE_RECENT;
    } else if (slice_eq_nocase(word, SLICE("EXPUNGE"))) {
        out->kind = RESPONSE_EXPUNGE;
        return out->number > 0 ? OK : SYNTAX;
    } else {
        out->kind = RESPONSE_OTHER;
    }
    return OK;
}

static enum status parse_untagged(struct unit unit, struct response *out)
{
    if (unit.text.len == 0) {
        return SYNTAX;
    }
    out->data = unit;
    if (unit.text.data[0] >= '0' && unit.text.data[0] <= '9') {
        return parse_numbered(unit, out);
    }
    struct slice word = first_word(unit.text);
    out->cond = find_cond(word);
    if (out->cond != COND_NONE) {
        out->kind = RESPONSE_STATE;
        parse_text(slice_sub(unit.text, word.len, unit.text.len), out);
        return OK;
    }
    out->kind = RESPONSE_OTHER;
    for (size_t i = 0; i < COUNT(words); i++) {
        if (slice_eq_nocase(word, slice_str(words[i].name))) {
            out->kind = words[i].kind;
            out->data = unit_from(unit, word.len < unit.text.len ? word.len + 1 : word.len);
        }
    }
    return OK;
}

static enum status parse_tagged(struct unit unit, struct response *out)
{
    struct lexer lx;
    lexer_init(&lx, unit, LEXER_LENIENT);
    out->tag = lexer_tag(&lx);
    lexer_sp(&lx);
    TRY(lexer_status(&lx));
    struct slice rest = lexer_rest(&lx);
    struct slice word = first_word(rest);
    out->kind = RESPONSE_TAGGED;
    out->cond = find_cond(word);
    if (out->cond != COND_OK && out->cond != COND_NO && out->cond != COND_BAD) {
        return SYNTAX;
    }
    parse_text(slice_sub(rest, word.len, rest.len), out);
    return OK;
}

enum status response_parse(struct unit unit, struct response *out)
{
    *out = (struct response){.kind = RESPONSE_OTHER};
    struct slice text = unit.text;
    if (text.len == 0) {
        return SYNTAX;
    }
    if (text.data[0] == '+') {
        out->kind = RESPONSE_CONTINUE;
        out->text = slice_sub(text, text.len > 1 && text.data[1] == ' ' ? 2 : 1, text.len);
        return OK;
    }
    if (text.data[0] == '*') {
        size_t n = 1;
        while (n < text.len && text.data[n] == ' ') {
            n++;
        }
        return n > 1 ? parse_untagged(unit_from(unit, n), out) : SYNTAX;
    }
    return parse_tagged(unit, out);
}
