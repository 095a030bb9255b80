#ifndef IMAP_STATUSITEM_H
#define IMAP_STATUSITEM_H
/* Items of STATUS, as bits.   Thread: any.
 * RFC 3501 6.3.10, 7162 3.1.7, 8438, 8474, 7889, 9051 6.3.11 (DELETED). */
#include "base/buf.h"
#include "imap/lexer.h"

enum status_item {
    STATUS_ITEM_MESSAGES = 1,
    STATUS_ITEM_RECENT = 2,
    STATUS_ITEM_UIDNEXT = 4,
    STATUS_ITEM_UIDVALIDITY = 8,
    STATUS_ITEM_UNSEEN = 16,
    STATUS_ITEM_HIGHESTMODSEQ = 32,
    STATUS_ITEM_SIZE = 64,
    STATUS_ITEM_MAILBOXID = 128,
    STATUS_ITEM_APPENDLIMIT = 256,
    STATUS_ITEM_DELETED = 512
};

/* What one STATUS response said; bits in `has`. */
struct status_values {
    unsigned has;
    uint32_t messages, recent, uidnext, uidvalidity, unseen, deleted;
    uint64_t highestmodseq, size, appendlimit; /* appendlimit NIL: UINT64_MAX */
    struct slice mailboxid;                    /* without its parentheses; borrowed */
};

/* "(MESSAGES UNSEEN)" of a client; unknown items are SYNTAX. */
enum status status_items_parse(struct lexer *lx, unsigned *items_out) MUST_USE;
/* "MESSAGES UNSEEN", without parentheses. */
void status_items_write(unsigned items, struct buf *out);
/* "(MESSAGES 3 UNSEEN 1)" of an upstream; unknown items are passed over, () is fine. */
enum status status_values_parse(struct lexer *lx, struct status_values *out) MUST_USE;
/* "MESSAGES 3 UNSEEN 1" for those of @items that are there. */
void status_values_write(const struct status_values *values, unsigned items, struct buf *out);

#endif
