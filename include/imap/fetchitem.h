#ifndef IMAP_FETCHITEM_H
#define IMAP_FETCHITEM_H
/* Items of FETCH: what a client asks, how the cache calls it, how the upstream is asked, how it is
 * answered.  Everything is in the command's arena.  Limits below.   Thread: any.
 * RFC 3501 6.4.5, protocol.md F1-F3, F11, T11, T36. */
#include "base/buf.h"
#include "imap/lexer.h"

enum { FETCH_ITEMS_MAX = 128, FETCH_FIELDS_MAX = 512, FETCH_PART_DEPTH_MAX = 32 };

enum fetch_kind {
    FETCH_FLAGS,
    FETCH_UID,
    FETCH_MODSEQ,
    FETCH_INTERNALDATE,
    FETCH_RFC822_SIZE,
    FETCH_ENVELOPE,
    FETCH_BODY, /* the structure without extensions */
    FETCH_BODYSTRUCTURE,
    FETCH_SECTION, /* BODY[...], and RFC822, RFC822.HEADER, RFC822.TEXT: see label */
    FETCH_BINARY,
    FETCH_BINARY_SIZE,
    FETCH_EMAILID,
    FETCH_THREADID,
    FETCH_SAVEDATE,
    FETCH_PREVIEW,
    FETCH_GM_MSGID,
    FETCH_GM_THRID,
    FETCH_GM_LABELS,
    FETCH_OTHER, /* an atom we do not know: asked and answered as it is, never kept; its key is
                    upper case from a client, verbatim from an upstream */
    FETCH_KINDS
};

enum fetch_trait {
    FETCH_IS_MODEL = 1,     /* FLAGS UID MODSEQ: from the mailbox model */
    FETCH_IS_IMMUTABLE = 2, /* may be kept for (mailbox, UIDVALIDITY, UID) */
    FETCH_IS_CONTENT = 4,   /* octets of the message: a section; large, streamed */
    FETCH_IS_NSTRING8 = 8   /* answered as literal8 when the upstream did: BINARY */
};

enum section_kind {
    SECTION_WHOLE, /* BODY[] */
    SECTION_HEADER,
    SECTION_FIELDS,
    SECTION_FIELDS_NOT,
    SECTION_TEXT,
    SECTION_MIME, /* part.MIME */
    SECTION_PART  /* a part's content */
};

struct fetch_item {
    enum fetch_kind kind;
    bool sets_seen; /* T11: answering it marks the message \Seen */
    bool has_partial;
    uint64_t offset; /* has_partial: <offset.count>, count >= 1 */
    uint64_t count;
    /* key: upper case, names sorted, each once, no partial; RFC822 is "BODY[]":
     *      "ENVELOPE", "BODY[1.2.MIME]", "BODY[HEADER.FIELDS (DATE FROM)]" */
    struct slice key;
    /* upstream: what to ask; for a piece append "<o.n>": "BODY.PEEK[HEADER.FIELDS (DATE FROM)]" */
    struct slice upstream;
    /* label: how the client is answered: "BODY[HEADER.FIELDS (Date From)]<0>", "RFC822" */
    struct slice label;
    /* FETCH_SECTION, FETCH_BINARY, FETCH_BINARY_SIZE: */
    enum section_kind section;
    struct slice part;          /* "1.2"; empty for the message itself */
    const struct slice *fields; /* upper case, sorted, each once */
    size_t fields_n;
};

struct fetch_items {
    const struct fetch_item *at;
    size_t n;
    bool sets_seen; /* any of them does */
    bool has_modseq;
};

/* A client's item list: one item, a macro (bare), or "(...)".  Items that would be answered under
 * one label are given once. */
enum status fetch_items_parse(struct lexer *lx, struct arena *arena,
                              struct fetch_items *out) MUST_USE;
/* One item from its text; for tests and for the proxy's own requests. */
enum status fetch_item_parse(struct slice text, struct arena *arena,
                             struct fetch_item *out) MUST_USE;

unsigned fetch_kind_traits(enum fetch_kind kind);
/* "ENVELOPE"; for sections and unknown items NULL. */
const char *fetch_kind_name(enum fetch_kind kind);

/* The name of an item in an upstream's FETCH response, `BODY[HEADER.FIELDS ("Date" FROM)]<0>`:
 * its kind, and the same canonical key as above.  Names without [ ] are not copied. */
struct fetch_name {
    enum fetch_kind kind;
    bool has_offset;
    uint64_t offset;
    struct slice key;
};
enum status fetch_name_parse(struct slice name, struct arena *arena,
                             struct fetch_name *out) MUST_USE;
/* The kind alone, without an arena: for the many responses that carry no section. */
enum fetch_kind fetch_kind_find(struct slice name);

/* Canonical "BODY[HEADER.FIELDS (A B)]" key (or .NOT) for names in any order and case. */
struct slice fetch_fields_key(struct arena *arena, const struct slice *names, size_t n,
                              bool is_not);

#endif
