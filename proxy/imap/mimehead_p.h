#ifndef MIMEHEAD_P_H
#define MIMEHEAD_P_H
/* One header block of a message or part, line by line, and what it says of the content; only where
 * it can be read in one way (mimetree.h). */
#include "imap/mimetree.h"

enum mimehead_field { MIMEHEAD_TYPE, MIMEHEAD_ENCODING, MIMEHEAD_VERSION, MIMEHEAD_FIELDS };

enum { MIMEHEAD_VALUE_MAX = 2048 };

struct mimehead {
    size_t bytes;
    size_t lines;
    bool is_bad;
    bool has_field;
    bool is_mime_only;
    enum mimehead_field field; /* being read; MIMEHEAD_FIELDS: another one */
    bool has[MIMEHEAD_FIELDS];
    struct buf value[MIMEHEAD_FIELDS]; /* each fold is told by LF */
};

/* What it says. */
struct mimehead_sense {
    enum mimepart_kind kind;
    char type[MIMEPARTS_TYPE_MAX]; /* "text/plain", lower case */
    size_t type_len;
    char boundary[MIMETREE_BOUNDARY_MAX]; /* MULTIPART */
    size_t boundary_len;
};

void mimehead__init(struct mimehead *head);
void mimehead__fini(struct mimehead *head);
/* Another block begins. */
void mimehead__begin(struct mimehead *head);
/* A line without CRLF, not empty. */
void mimehead__line(struct mimehead *head, struct slice line);
/* The empty line has come.  is_root: a message's header.  is_in_digest: a part of multipart/digest.
 * False: not to be read in one way only. */
bool mimehead__read(const struct mimehead *head, bool is_root, bool is_in_digest,
                    struct mimehead_sense *out);

#endif
