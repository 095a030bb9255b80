#ifndef IMAP_RESPFETCH_H
#define IMAP_RESPFETCH_H
/* The items of an upstream's FETCH response: an iterator without allocation, also over a response
 * that is still arriving.   Everything borrows from the unit.   Thread: any.   RFC 3501 7.4.2. */
#include "imap/fetchitem.h"
#include "imap/response.h"

struct respfetch {
    struct lexer lx;
    bool is_started;
    bool is_done;
};

struct respfetch_item {
    enum fetch_kind kind; /* fetch_kind_find(name) */
    struct slice name; /* verbatim: `BODY[HEADER.FIELDS ("Date")]<0>`; key by fetch_name_parse() */
    struct lexer_value value;
};

/* @response: of kind RESPONSE_FETCH. */
void respfetch_init(struct respfetch *it, const struct response *response);
/* OK, END, or SYNTAX (also: text after the list). */
enum status respfetch_next(struct respfetch *it, struct respfetch_item *item_out) MUST_USE;

/* One number: UID, RFC822.SIZE, X-GM-MSGID; or "(n)": MODSEQ. */
bool respfetch_number(const struct respfetch_item *item, uint64_t *value_out);

/* At a READER_LITERAL event on the server leg: which item's value is the announced literal?
 * OK with number, uid (0: not said yet) and item name when it is the whole value of an item of a
 * FETCH response: it may be streamed or collected.  NOT_FOUND when it is something else (a string
 * inside ENVELOPE, a mailbox name): collect it.  SYNTAX: the response is broken already. */
struct respfetch_pending {
    uint32_t number;
    uint32_t uid;
    enum fetch_kind kind;
    struct slice name;
    bool is_literal8;
    uint64_t size;
};
enum status respfetch_pending(struct unit unit, struct respfetch_pending *out) MUST_USE;

/* The filler a server sends for a message that has vanished (protocol T1): NIL and empty values,
 * ENVELOPE of ten NILs, the empty text/plain structure, 1970 dates, FLAGS (). */
bool respfetch_is_filler(const struct respfetch_item *item);
/* Is it the RFC822.SIZE of the message that a server tells in place of one it cannot read (T1)?
 * standin_bytes: its size, 0: there is none. */
bool respfetch_is_standin(const struct respfetch_item *item, uint32_t standin_bytes);

#endif
