#ifndef STORE_RECORD_H
#define STORE_RECORD_H
/* The small immutable items of a message (ENVELOPE, BODYSTRUCTURE, a header field list ...), as the
 * upstream worded them, and the pointers to its content.  All of one message is one record, so that
 * a FETCH over a range is one cursor walk.  Values are borrowed from the map (or the overlay) until
 * the outermost store_read_end().                                              Thread: loop. */
#include "store/content.h"
#include "store/store.h"

enum {
    STORE_KEY_MAX = 1024,       /* octets of an item key or section key */
    STORE_ITEM_MAX = 16 * 1024, /* a larger value belongs into content */
    STORE_RECORD_MAX =
        64 * 1024, /* all of a message; beyond it the oldest items with long keys go */
};

/* A key made ready for many lookups.  Keys compare as exact octets: write them in one canonical
 * form, upper-case as in "ENVELOPE", "RFC822.SIZE", "BODY[HEADER.FIELDS (DATE FROM)]".  Well-known
 * keys cost no text in the record. */
struct record_key {
    uint32_t tag; /* small number of a well-known key, or hash of the text */
    struct slice text;
};

/* key borrows @text. */
struct record_key record_key_of(struct slice text);

struct store_op;
struct record {
    uint32_t uid;
    struct slice stored;            /* verified entries in the map */
    const struct store_op *pending; /* newest first, not yet acknowledged; NULL mostly */
    uint64_t floor;                 /* pending writes up to this one were dropped since */
};

/* The value of an item; false when not cached.  An empty value is a value. */
bool record_find(const struct record *record, const struct record_key *key,
                 struct slice *value_out);
/* The content pointer of a section, as recorded: it may have been evicted since (see
 * store_content_check()). */
bool record_find_content(const struct record *record, const struct record_key *section,
                         struct content_ref *out);

/* All items (not the content pointers) in no particular order: for derivation from a superset. */
struct record_iter {
    struct slice rest;
    const struct store_op *pending;
    bool has_begun;
};
/* iter: zeroed before the first call.  False at the end.  An item put twice may come twice. */
bool record_next(const struct record *record, struct record_iter *iter, struct slice *key_out,
                 struct slice *value_out);

/* The content pointers, likewise. */
bool record_next_content(const struct record *record, struct record_iter *iter,
                         struct slice *section_out, struct content_ref *out);

/* Positioned reading in one mailbox: cheap when UIDs ascend, correct in any order.
 * begin/end within store_read_begin/_end of one turn; the walk is the caller's, on its stack. */
struct store_walk {
    struct store *store;
    void *cursor;
    uint64_t mailbox_id;
    uint64_t at_key_uid; /* UID of the record under the cursor; above 32 bits: none any more */
    struct slice at_value;
    bool is_placed;
    uint32_t sought_uid; /* nothing stands between it and at_key_uid */
    uint32_t touched_block;
};
void store_walk_begin(struct store *store, uint64_t mailbox_id, struct store_walk *walk);
/* The record of @uid; false when nothing at all is cached of it. */
bool store_walk_to(struct store_walk *walk, uint32_t uid, struct record *out);
void store_walk_end(struct store_walk *walk);

/* Keep an item.  key, value: copied.  LIMIT: too long (nothing is kept; not an error of the store).
 * Items are immutable: putting the same key again replaces the value, which should be the same. */
enum status store_item_put(struct store *store, uint64_t mailbox_id, uint32_t uid, struct slice key,
                           struct slice value) MUST_USE;

#endif
