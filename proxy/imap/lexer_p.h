#ifndef IMAP_LEXER_P_H
#define IMAP_LEXER_P_H
/* Character classes and what begins a string, shared within the layer. */
#include "imap/lexer.h"

enum { LEXER__ATOM = 1, LEXER__ASTRING = 2, LEXER__LIST = 4, LEXER__DIGIT = 8 };

extern const unsigned char lexer__class[256];

static inline bool lexer__is(char c, unsigned class)
{
    return (lexer__class[(unsigned char)c] & class) != 0;
}

/* Is a quoted string or a literal next? */
bool lexer__at_string(const struct lexer *lx);

#endif
