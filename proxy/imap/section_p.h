#ifndef IMAP_SECTION_P_H
#define IMAP_SECTION_P_H
/* Section specifications: what stands between "[" and "]" of BODY and BINARY.  Shared by the items
 * a client asks for and the names an upstream answers with. */
#include "imap/fetchitem.h"

struct section {
    enum section_kind kind;
    struct slice part;           /* "1.2" or empty */
    const struct slice *written; /* field names as they were written, in that order */
    size_t written_n;
    const struct slice *fields; /* upper case, sorted, each once */
    size_t fields_n;
};

/* From "[" to "]", both taken.  Failures are the lexer's. */
void section__parse(struct lexer *lx, struct arena *arena, struct section *out);
/* Upper-case, sort and deduplicate @names into the arena; false when it is full. */
bool section__canonical_names(struct arena *arena, const struct slice *names, size_t n,
                              struct section *out);

/* @before "[" section "]" and, with an offset, "<offset>".  The arena's; {NULL, 0} when it is full.
 */
struct section_text {
    const char *before;
    const struct section *section;
    bool as_written; /* field names as the peer wrote them */
    bool has_offset;
    uint64_t offset;
};
struct slice section__text(struct arena *arena, const struct section_text *text);

#endif
