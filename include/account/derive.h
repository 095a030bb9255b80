#ifndef ACCOUNT_DERIVE_H
#define ACCOUNT_DERIVE_H
/* How values of body sections stand in the store, and what may be derived from them: HEADER, TEXT
 * and HEADER.FIELDS[.NOT] from a well-formed BODY[] (protocol.md 2.3), field lists from a header
 * block or from a longer list, sections of numbered parts from a BODY[] of one reading only whose
 * structure the upstream sees alike (design 5.5).  Whether a BODY[] is well-formed, and where its
 * parts lie, is found out once, while it passes, and kept as items of their own beside it.
 * A section's value is kept as an item (one octet that says what it is, then the octets) when it is
 * short or a list of header fields, else as content; of literal8 values the content key has a "~".
 * Thread: any. */
#include "imap/fetchitem.h"
#include "imap/mime.h"
#include "imap/mimetree.h"

enum {
    DERIVE_ITEM_MAX = 512,           /* octets of a section kept as an item */
    DERIVE_FIELDS_MAX = 16 * 1024 - 1, /* of HEADER.FIELDS[.NOT] and MIME */
    DERIVE_MARK_MAX = 24,
};

enum derive_form {
    DERIVE_OCTETS = 'o',
    DERIVE_BLOCK = 'b', /* of HEADER.FIELDS: also a header block that shorter lists may be taken from */
    DERIVE_OCTETS8 = '8',
    DERIVE_NIL = 'n'
};

/* Is a section's value of that size kept as an item? */
bool derive_is_item(enum section_kind section, uint64_t size);

/* A PREVIEW may change (RFC 8970 3.1), though hardly ever does: one that is no NIL is told for so long.
 * Its item: when it was kept, in digits, a space, the value. */
enum { DERIVE_PREVIEW_S = 24 * 3600 };
/* The value, when it is young enough; NULL data: it is not.  now_s: since 1970. */
struct slice derive_preview(struct slice item, int64_t now_s);

/* Key of the item that says whether the cached BODY[] is well-formed. */
#define DERIVE_MARK_KEY SLICE("=BODY[]")

/* Key of the item that says where the parts of the cached BODY[] lie (mimeparts.h). */
#define DERIVE_PARTS_KEY SLICE("=PARTS")

/* Fed with every octet of BODY[] in order. */
struct derive_check {
    struct mime_octets octets;
    struct mimetree *tree; /* NULL before derive_check_begin() */
};
/* A message begins, from its first octet. */
void derive_check_begin(struct derive_check *check);
void derive_check_fini(struct derive_check *check);
void derive_check_feed(struct derive_check *check, struct slice piece);
/* All fed.  @prefix: from the first octet, at least the header.  The mark: length of the header
 * block in digits, "0" when the message is not well-formed. */
struct slice derive_check_mark(const struct derive_check *check, struct slice prefix,
                               char out[DERIVE_MARK_MAX]);
/* All fed.  Append where the parts lie; false when there is more than one reading of them. */
bool derive_check_parts(const struct derive_check *check, struct buf *out);
/* Length of the header block, 0 when nothing may be derived. */
size_t derive_mark_header(struct slice mark);

/* Does the kept key `BODY[HEADER.FIELDS (A B C)]` hold every field of @item (SECTION_FIELDS of the
 * message itself)? */
bool derive_is_superset(struct slice key, const struct fetch_item *item);

#endif
