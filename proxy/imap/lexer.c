#include "imap/lexer.h"

#include <string.h>

#include "lexer_p.h"

/* Failing puts `at` to the end: every later call finds nothing and fails again without effect, so
 * that no call needs to ask for the status first. */

enum {
    CHAR_ATOM = LEXER__ATOM,
    CHAR_ASTRING = LEXER__ASTRING,
    CHAR_LIST = LEXER__LIST,
    CHAR_DIGIT = LEXER__DIGIT
};

#define A (CHAR_ATOM | CHAR_ASTRING | CHAR_LIST)
#define D (A | CHAR_DIGIT)
#define R (CHAR_ASTRING | CHAR_LIST) /* "]" */
#define W CHAR_LIST                  /* "%" "*" */

/* RFC 3501 9: atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials /
 * resp-specials; octets above 127 are in no class. */
const unsigned char lexer__class[256] = {
    ['!'] = A, ['#'] = A, ['$'] = A, ['%'] = W, ['&'] = A, ['\''] = A, ['*'] = W, ['+'] = A,
    [','] = A, ['-'] = A, ['.'] = A, ['/'] = A, ['0'] = D, ['1'] = D,  ['2'] = D, ['3'] = D,
    ['4'] = D, ['5'] = D, ['6'] = D, ['7'] = D, ['8'] = D, ['9'] = D,  [':'] = A, [';'] = A,
    ['<'] = A, ['='] = A, ['>'] = A, ['?'] = A, ['@'] = A, ['A'] = A,  ['B'] = A, ['C'] = A,
    ['D'] = A, ['E'] = A, ['F'] = A, ['G'] = A, ['H'] = A, ['I'] = A,  ['J'] = A, ['K'] = A,
    ['L'] = A, ['M'] = A, ['N'] = A, ['O'] = A, ['P'] = A, ['Q'] = A,  ['R'] = A, ['S'] = A,
    ['T'] = A, ['U'] = A, ['V'] = A, ['W'] = A, ['X'] = A, ['Y'] = A,  ['Z'] = A, ['['] = A,
    [']'] = R, ['^'] = A, ['_'] = A, ['`'] = A, ['a'] = A, ['b'] = A,  ['c'] = A, ['d'] = A,
    ['e'] = A, ['f'] = A, ['g'] = A, ['h'] = A, ['i'] = A, ['j'] = A,  ['k'] = A, ['l'] = A,
    ['m'] = A, ['n'] = A, ['o'] = A, ['p'] = A, ['q'] = A, ['r'] = A,  ['s'] = A, ['t'] = A,
    ['u'] = A, ['v'] = A, ['w'] = A, ['x'] = A, ['y'] = A, ['z'] = A,  ['|'] = A, ['}'] = A,
    ['~'] = A,
};

bool lexer_is_atom_char(char c)
{
    return lexer__is(c, CHAR_ATOM);
}

bool lexer_is_astring_char(char c)
{
    return lexer__is(c, CHAR_ASTRING);
}

bool lexer_is_atom(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!lexer__is(text.data[i], CHAR_ATOM)) {
            return false;
        }
    }
    return text.len > 0;
}

void lexer_init(struct lexer *lx, struct unit unit, enum lexer_mode mode)
{
    const char *text = unit.text.data != NULL ? unit.text.data : "";
    *lx = (struct lexer){.begin = text - unit.base,
                         .at = text,
                         .end = text + unit.text.len,
                         .holes = unit.holes,
                         .holes_n = unit.holes_n,
                         .mode = mode};
}

enum status lexer_status(const struct lexer *lx)
{
    return lx->status;
}

void lexer_fail(struct lexer *lx, enum status st)
{
    if (lx->status == OK) {
        lx->status = st;
    }
    lx->at = lx->end;
}

bool lexer_ok(const struct lexer *lx)
{
    return lx->status == OK;
}

bool lexer_at_end(const struct lexer *lx)
{
    const char *at = lx->at;
    while (lx->mode == LEXER_LENIENT && at < lx->end && *at == ' ') {
        at++;
    }
    return at == lx->end;
}

void lexer_end(struct lexer *lx)
{
    if (!lexer_at_end(lx)) {
        lexer_fail(lx, SYNTAX);
    }
}

struct slice lexer_rest(const struct lexer *lx)
{
    return (struct slice){lx->at, (size_t)(lx->end - lx->at)};
}

char lexer_peek(const struct lexer *lx)
{
    return lx->at < lx->end ? *lx->at : '\0';
}

bool lexer_take(struct lexer *lx, char c)
{
    if (lx->at == lx->end || *lx->at != c) {
        return false;
    }
    lx->at++;
    return true;
}

bool lexer_take_word(struct lexer *lx, const char *word)
{
    size_t len = strlen(word);
    struct slice rest = lexer_rest(lx);
    if (!slice_starts_nocase(rest, (struct slice){word, len}) ||
        (rest.len > len && lexer__is(rest.data[len], CHAR_ATOM))) {
        return false;
    }
    lx->at += len;
    return true;
}

void lexer_expect(struct lexer *lx, char c)
{
    if (!lexer_take(lx, c)) {
        lexer_fail(lx, SYNTAX);
    }
}

void lexer_sp(struct lexer *lx)
{
    lexer_expect(lx, ' ');
    while (lx->mode == LEXER_LENIENT && lx->at < lx->end && *lx->at == ' ') {
        lx->at++;
    }
}

bool lexer_list_more(struct lexer *lx)
{
    if (lexer_peek(lx) == ')') {
        return false;
    }
    lexer_sp(lx);
    if (lx->mode == LEXER_LENIENT && lexer_peek(lx) == ')') {
        return false;
    }
    return lx->status == OK;
}

/* 1*char of @class. */
static struct slice take_run(struct lexer *lx, unsigned class)
{
    const char *from = lx->at;
    const char *at = from;
    while (at < lx->end && lexer__is(*at, class)) {
        at++;
    }
    if (at == from) {
        lexer_fail(lx, SYNTAX);
        return (struct slice){"", 0};
    }
    lx->at = at;
    return (struct slice){from, (size_t)(at - from)};
}

struct slice lexer_atom(struct lexer *lx)
{
    return take_run(lx, CHAR_ATOM);
}

struct slice lexer_tag(struct lexer *lx)
{
    struct slice tag = take_run(lx, CHAR_ASTRING);
    if (tag.len > LEXER_TAG_MAX || slice_find(tag, '+') < tag.len) {
        lexer_fail(lx, SYNTAX);
        return (struct slice){"", 0};
    }
    return tag;
}

struct slice lexer_flag(struct lexer *lx)
{
    const char *from = lx->at;
    if (lexer_take(lx, '\\') && lexer_take(lx, '*')) {
        return (struct slice){from, 2};
    }
    (void)take_run(lx, CHAR_ATOM);
    if (lx->status != OK) {
        return (struct slice){"", 0};
    }
    return (struct slice){from, (size_t)(lx->at - from)};
}

uint64_t lexer_number64(struct lexer *lx)
{
    uint64_t value = 0;
    struct slice digits = take_run(lx, CHAR_DIGIT);
    /* RFC 7162: mod-sequences are at most 2^63 - 1 */
    if (lx->status == OK && (!slice_u64(digits, &value) || value > INT64_MAX)) {
        lexer_fail(lx, SYNTAX);
        return 0;
    }
    return value;
}

uint32_t lexer_number(struct lexer *lx)
{
    uint64_t value = lexer_number64(lx);
    if (value > UINT32_MAX) {
        lexer_fail(lx, SYNTAX);
        return 0;
    }
    return (uint32_t)value;
}

bool lexer_nil(struct lexer *lx)
{
    return lexer_take_word(lx, "NIL");
}

static struct slice take_string(struct lexer *lx, struct arena *arena)
{
    struct lexer_value value = lexer_value(lx);
    struct slice text = value_text(&value, arena);
    if (lx->status == OK && text.data == NULL) {
        lexer_fail(lx, LIMIT); /* the arena is full */
    }
    if (lx->status != OK || value.kind == VALUE_STREAMED || slice_find(text, '\0') < text.len) {
        lexer_fail(lx, SYNTAX);
        return (struct slice){"", 0};
    }
    return text;
}

bool lexer__at_string(const struct lexer *lx)
{
    char c = lexer_peek(lx);
    return c == '"' || c == '{' || (c == '~' && lx->end - lx->at > 1 && lx->at[1] == '{');
}

struct slice lexer_string(struct lexer *lx, struct arena *arena)
{
    if (!lexer__at_string(lx)) {
        lexer_fail(lx, SYNTAX);
        return (struct slice){"", 0};
    }
    return take_string(lx, arena);
}

struct slice lexer_astring(struct lexer *lx, struct arena *arena)
{
    return lexer__at_string(lx) ? take_string(lx, arena) : take_run(lx, CHAR_ASTRING);
}

struct slice lexer_nstring(struct lexer *lx, struct arena *arena)
{
    return lexer_nil(lx) ? (struct slice){NULL, 0} : lexer_string(lx, arena);
}

struct slice lexer_list_mailbox(struct lexer *lx, struct arena *arena)
{
    return lexer__at_string(lx) ? take_string(lx, arena) : take_run(lx, CHAR_LIST);
}

struct slice lexer_set_text(struct lexer *lx)
{
    const char *from = lx->at;
    while (lx->at < lx->end &&
           (lexer__is(*lx->at, CHAR_DIGIT) || strchr(",:*$", *lx->at) != NULL) && *lx->at != '\0') {
        lx->at++;
    }
    if (lx->at == from) {
        lexer_fail(lx, SYNTAX);
    }
    return (struct slice){from, (size_t)(lx->at - from)};
}
