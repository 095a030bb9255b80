#ifndef IMAP_LEXER_H
#define IMAP_LEXER_H
/* Pull lexer over one unit.  Sticky: the first failure (SYNTAX or LIMIT) makes every later call a
 * no-op that gives empty values; the caller asks once with lexer_status().  No allocation except
 * where an arena is named: strings are borrowed from the unit unless a quoted one holds escapes.
 * Tolerance (protocol T36): LEXER_LENIENT takes runs of spaces for one, and trailing spaces.
 * Thread: any.   RFC 3501 section 9. */
#include "base/arena.h"
#include "base/status.h"
#include "imap/unit.h"

enum { LEXER_DEPTH_MAX = 256, LEXER_TAG_MAX = 128 };

enum lexer_mode { LEXER_STRICT, LEXER_LENIENT };

struct lexer {
    const char *begin;
    const char *at;
    const char *end;
    const struct unit_hole *holes;
    size_t holes_n;
    enum lexer_mode mode;
    enum status status;
};

enum value_kind {
    VALUE_NIL,
    VALUE_ATOM, /* also numbers and flags */
    VALUE_QUOTED,
    VALUE_LITERAL,
    VALUE_STREAMED, /* a literal whose octets are not in the text */
    VALUE_LIST
};

/* Any one value, verbatim. */
struct lexer_value {
    enum value_kind kind;
    bool is_literal8;
    struct slice raw; /* as it stands in the text: quotes, parens, `{n}CRLF` and all */
    struct slice
        content; /* ATOM: the atom; QUOTED: between the quotes, escapes kept; LITERAL: the octets */
    uint64_t size; /* LITERAL, STREAMED: octets announced */
};

void lexer_init(struct lexer *lx, struct unit unit, enum lexer_mode mode);
enum status lexer_status(const struct lexer *lx);
/* Set the failure (SYNTAX, LIMIT) unless there is one. */
void lexer_fail(struct lexer *lx, enum status st);
bool lexer_ok(const struct lexer *lx);
/* Nothing left (or failed). */
bool lexer_at_end(const struct lexer *lx);
/* Fails when something is left. */
void lexer_end(struct lexer *lx);
/* What is left, unread. */
struct slice lexer_rest(const struct lexer *lx);

/* Next octet without taking it; NUL at the end and after a failure. */
char lexer_peek(const struct lexer *lx);
/* Take @c if it is next. */
bool lexer_take(struct lexer *lx, char c);
/* Take @word (letters without case) if it is next and no atom octet follows. */
bool lexer_take_word(struct lexer *lx, const char *word);
void lexer_expect(struct lexer *lx, char c);
/* One space (LENIENT: one or more). */
void lexer_sp(struct lexer *lx);
/* In a list after a value: true after taking the space, false at ")" (not taken); else fails. */
bool lexer_list_more(struct lexer *lx);

/* 1*ATOM-CHAR. */
struct slice lexer_atom(struct lexer *lx);
/* 1*ASTRING-CHAR except "+": a command's tag; at most LEXER_TAG_MAX. */
struct slice lexer_tag(struct lexer *lx);
/* `\name` or a keyword atom; "\*" too. */
struct slice lexer_flag(struct lexer *lx);
uint32_t lexer_number(struct lexer *lx);
uint64_t lexer_number64(struct lexer *lx);
/* NIL (any case), taken when next. */
bool lexer_nil(struct lexer *lx);

/* Decoded text; a NUL octet or a streamed literal is SYNTAX. */
struct slice lexer_astring(struct lexer *lx, struct arena *arena);
struct slice lexer_string(struct lexer *lx, struct arena *arena);
/* NIL gives {NULL, 0}; "" gives data != NULL. */
struct slice lexer_nstring(struct lexer *lx, struct arena *arena);
/* LIST pattern: like astring, with % and *. */
struct slice lexer_list_mailbox(struct lexer *lx, struct arena *arena);
/* Octets of a sequence-set ("1:3,*", "$"), unchecked. */
struct slice lexer_set_text(struct lexer *lx);
/* A header of a literal whose octets are not in the text: `{n}CRLF`, `{n+}CRLF`, `~{n}CRLF`. */
bool lexer_streamed(struct lexer *lx, uint64_t *size_out, bool *is_literal8_out);

/* Name of a FETCH item, verbatim: atom, then `[section]` (strings and literals inside) and `<n>` or
 * `<o.n>` if they follow. */
struct slice lexer_item_name(struct lexer *lx);

/* Skip one value of any shape (lists balanced, at most LEXER_DEPTH_MAX deep). */
struct lexer_value lexer_value(struct lexer *lx);
struct slice lexer_value_raw(struct lexer *lx);
/* The text of a value's content without escapes (QUOTED copies into @arena only if it has some).
 * For NIL and LIST an empty slice with data NULL. */
struct slice value_text(const struct lexer_value *value, struct arena *arena);

/* Character classes of RFC 3501 section 9. */
bool lexer_is_atom_char(char c);
bool lexer_is_astring_char(char c);
/* Every octet is ATOM-CHAR, and there is one. */
bool lexer_is_atom(struct slice text);

#endif
