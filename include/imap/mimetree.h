#ifndef IMAP_MIMETREE_H
#define IMAP_MIMETREE_H
/* Finds the parts of a message while its octets pass, in pieces of any size, if only one reading of
 * it is possible.  What counts as such is narrow on purpose, everything else is simply asked
 * upstream: every header block a run of fields ended by an empty line; at most one Content-Type,
 * Content-Transfer-Encoding and MIME-Version each; MIME-Version 1.0 where there is a Content field;
 * a multipart's Content-Type without comments, RFC 2231 or trailing text, its boundary 1 to 70
 * octets of RFC 2046; no boundary that is another's beginning; every line that begins like a
 * delimiter is exactly one, of the innermost open multipart; every multipart closed, nothing but
 * one empty line after a nested one; multiparts and messages not encoded; parts of a digest typed;
 * no message/partial, external-body or global.
 * Does not look for NUL, bare CR and bare LF: feed mime_octets (mime.h) beside it.
 * Memory: some 15 KB and one line (MIMETREE_LINE_MAX).
 * Thread: any.  RFC 2045, 2046, 5322. */
#include "imap/mime.h"
#include "imap/mimeparts.h"

enum {
    MIMETREE_LINE_MAX = 4096, /* octets of a line; RFC 5322 allows 998 */
    MIMETREE_HEADER_MAX = 64 * 1024, /* octets of a header block */
    MIMETREE_DEPTH_MAX = 16,         /* multiparts within multiparts */
    MIMETREE_BOUNDARY_MAX = 70,      /* RFC 2046 5.1.1 */
};

struct mimetree;
struct mimetree *mimetree_create(void);
/* NULL is ignored. */
void mimetree_destroy(struct mimetree **tree);
void mimetree_feed(struct mimetree *tree, struct slice piece);
/* All fed.  NULL: not strictly well-formed.  Borrowed until the tree is destroyed. */
const struct mimeparts *mimetree_finish(struct mimetree *tree);

#endif
