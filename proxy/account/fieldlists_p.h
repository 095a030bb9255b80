#ifndef FIELDLISTS_P_H
#define FIELDLISTS_P_H
/* The lists of header fields that clients have asked for in one mailbox, newest last.  Their union is
 * what the upstream is asked for (design 5.5): never a name that nobody asked.  What does not fit
 * pushes the oldest lists out; a list that does not fit alone, or has names that need quotes, is
 * asked as it is.  Thread: any. */
#include "imap/fetchitem.h"

enum {
    FIELDLISTS_MAX = 8,
    FIELDLISTS_NAMES_MAX = 64,  /* of the union */
    FIELDLISTS_BYTES_MAX = 700, /* of the union, as text */
};

struct fieldlists {
    size_t n;
    char *at[FIELDLISTS_MAX]; /* "DATE FROM": upper case, sorted, each once; owned */
};

void fieldlists__fini(struct fieldlists *lists);
/* @item: HEADER.FIELDS of the message itself.  False: not one to be widened. */
bool fieldlists__note(struct fieldlists *lists, const struct fetch_item *item, bool *is_new_out);
/* The item that asks for the union; in the arena.  False: that is @item itself, or does not hold all of it,
 * or no room. */
bool fieldlists__widen(const struct fieldlists *lists, const struct fetch_item *item,
                       struct arena *arena, struct fetch_item *out);
/* Lists parted by ";". */
void fieldlists__write(const struct fieldlists *lists, struct buf *out);
/* What it cannot read it leaves. */
void fieldlists__read(struct fieldlists *lists, struct slice text);

#endif
