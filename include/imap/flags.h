#ifndef IMAP_FLAGS_H
#define IMAP_FLAGS_H
/* Message flags on the wire: system flags as bits, keywords as text.   Thread: any.
 * Prefix IMAP_: model/flagset.h has names of its own for the sets of a mailbox.  RFC 3501 2.3.2. */
#include "imap/lexer.h"

enum imap_flag {
    IMAP_FLAG_SEEN = 1,
    IMAP_FLAG_ANSWERED = 2,
    IMAP_FLAG_FLAGGED = 4,
    IMAP_FLAG_DELETED = 8,
    IMAP_FLAG_DRAFT = 16,
    IMAP_FLAG_RECENT = 32,
    IMAP_FLAG_ANY = 64 /* "\*", only in PERMANENTFLAGS */
};

enum { IMAP_FLAGS_KEYWORDS_MAX = 1024, IMAP_FLAGS_KEYWORD_LEN_MAX = 255 };

struct imap_flag_list {
    unsigned system; /* enum imap_flag */
    const struct slice *keywords;
    size_t keywords_n;
};

/* 0 when @text is not a system flag (with its backslash, any case). */
unsigned flag_find(struct slice text);
/* "\Seen"; @flag is one bit. */
const char *flag_name(enum imap_flag flag);

/* A client's list for STORE or APPEND, in parentheses or (STORE) bare.  \Recent and unknown \Flags
 * are SYNTAX (protocol T34).  Keywords borrow from the unit, each once. */
enum status flags_parse_client(struct lexer *lx, struct arena *arena,
                               struct imap_flag_list *out) MUST_USE;
/* An upstream's list "(...)": anything that looks like a flag; unknown \Flags go to the keywords.
 */
enum status flags_parse_server(struct lexer *lx, struct arena *arena,
                               struct imap_flag_list *out) MUST_USE;

/* Walk an upstream's flag list without allocating. */
struct flag_iter {
    struct lexer lx;
};
/* @list: raw value "(...)". */
void flag_iter_init(struct flag_iter *it, struct slice list);
/* OK, END or SYNTAX.  *system_out: the bit, or 0 for a keyword in *name_out. */
enum status flag_iter_next(struct flag_iter *it, unsigned *system_out,
                           struct slice *name_out) MUST_USE;

#endif
