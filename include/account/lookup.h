#ifndef ACCOUNT_LOOKUP_H
#define ACCOUNT_LOOKUP_H
/* What the store has of the items of one FETCH command: found as the upstream said it, or derived
 * where that is provably the same octets (design 5.5): a part from its whole, HEADER, TEXT and
 * HEADER.FIELDS[.NOT] from a well-formed BODY[], field lists from HEADER or from a longer list,
 * sections of numbered parts from a BODY[] whose parts the upstream's structure confirms.
 * Made once per command, moved from message to message; cheap when UIDs ascend.
 *
 *   lookup_init(&lk, store, mailbox_id, &items, arena, stats)            once per command
 *   per turn:  store_read_begin; lookup_begin
 *                per message: lookup_to(&lk, uid); per item: lookup_get(&lk, i, &found)
 *              lookup_end; store_read_end
 *   lookup_fini
 * Owner: the command.  Thread: loop. */
#include "base/stats.h"
#include "imap/fetchitem.h"
#include "imap/mime.h"
#include "store/content.h"
#include "store/record.h"

enum lookup_kind {
    LOOKUP_NONE,
    LOOKUP_TOKEN,   /* @bytes go verbatim after the item name */
    LOOKUP_BYTES,   /* @bytes are the octets of a section */
    LOOKUP_CONTENT, /* octets of a section: @size from @offset of @content */
};

struct lookup_value {
    enum lookup_kind kind;
    bool is_nil;      /* BYTES: the upstream said NIL */
    bool is_literal8; /* BYTES, CONTENT: answer as `~{n}` */
    bool is_part;     /* BYTES, CONTENT: begins at @base of the section (it is what was asked for
                         as a partial); else it is the whole section, to be cut by the caller */
    uint64_t base;
    /* Borrowed until lookup_to() or lookup_end(). */
    struct slice bytes;
    struct content_ref content;
    uint64_t offset;
    uint64_t size;
};

/* How far the cache is to be trusted (shadow.h); set after lookup_init(). */
enum lookup_trust {
    LOOKUP_TRUSTS_ALL,
    LOOKUP_TRUSTS_STORED, /* nothing is derived */
    LOOKUP_TRUSTS_ITEMS,  /* nor are octets of sections found */
};

struct lookup_item;
struct lookup_parts;
struct lookup {
    enum lookup_trust trust;
    struct store *store;
    uint64_t mailbox_id;
    struct stats *stats;
    struct lookup_item *items;
    size_t items_n;
    struct lookup_keys *keys;
    struct lookup_parts *parts; /* NULL: no numbered part is asked for */
    struct store_walk walk;
    struct record record;
    bool has_record;
    bool is_begun;
    uint64_t messages_n; /* lookup_to() calls so far */
    uint64_t hits_n;
    struct buf header; /* a header block put together from chunks */
};

/* @items, @arena: live as long as the lookup.  LIMIT: the arena is full.  stats may be NULL. */
enum status lookup_init(struct lookup *lookup, struct store *store, uint64_t mailbox_id,
                        const struct fetch_items *items, struct arena *arena,
                        struct stats *stats) MUST_USE;
void lookup_fini(struct lookup *lookup);

void lookup_begin(struct lookup *lookup);
void lookup_end(struct lookup *lookup);
/* Go to a message. */
void lookup_to(struct lookup *lookup, uint32_t uid);
/* Item number @index of the list; false (LOOKUP_NONE) when the upstream must be asked.  Items of the
 * model (FETCH_IS_MODEL) and those that may not be kept are never found. */
bool lookup_get(struct lookup *lookup, size_t index, struct lookup_value *out);
/* Item number @index, a list of header fields, out of @block, an upstream's answer to a longer list.
 * False: it cannot be. */
bool lookup_extract(struct lookup *lookup, size_t index, struct slice block,
                    struct lookup_value *out);
/* Octets of a value, as plan_read(): @offset counts from the value's
 * own first octet.  A CONTENT value may be kept over turns and read again in a later bracket (also
 * with another lookup of the same store); NOT_FOUND then says that it has been evicted meanwhile:
 * ask the plan for the rest. */
enum status lookup_read(struct lookup *lookup, const struct lookup_value *value, uint64_t offset,
                        size_t max, struct slice *out) MUST_USE;

#endif
