/* Scans: one pass over the arrays of the chunks concerned, the predicate asked once per set.  Hits
 * go into ranges, or as bits into a block of 65,536 UIDs that goes into a bitmap when it is full.
 */
#include <string.h>

#include "base/alloc.h"
#include "mailbox_p.h"
#include "model/pack.h"

enum verdict { UNKNOWN, MISS, HIT };

struct block {
    uint64_t words[BITMAP_BLOCK_WORDS];
    uint32_t number; /* of its UIDs the upper half */
    bool has_hits;
    struct bitmap *out;
};

struct scan {
    const struct messages *messages;
    struct ranges *out; /* or else ... */
    struct block *block;
    uint8_t *verdict; /* per flag set id; NULL: not asked about flags */
    flags_match_fn *match;
    const void *arg;
    uint64_t above;  /* modseq */
    bool is_unknown; /* modseq 0 is looked for */
};

/* Indices of the hits among [from, to); no branch on an outcome that nobody can foretell. */
static uint32_t collect(struct scan *scan, const struct chunk *c, uint32_t from, uint32_t to,
                        uint16_t hits[CHUNK_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = from; i < to; i++) {
        bool hit = false;
        if (scan->is_unknown) {
            hit = c->modseq[i] == 0;
        } else if (scan->verdict == NULL) {
            hit = c->modseq[i] >= scan->above;
        } else {
            uint8_t *verdict = &scan->verdict[c->flags[i]];
            if (*verdict == UNKNOWN) {
                *verdict = scan->match(scan->messages->flags, c->flags[i], scan->arg) ? HIT : MISS;
            }
            hit = *verdict == HIT;
        }
        hits[n] = (uint16_t)i;
        n += hit;
    }
    return n;
}

static void block_flush(struct block *block)
{
    if (block->has_hits) {
        bitmap_add_block(block->out, (uint16_t)block->number, block->words);
        memset(block->words, 0, sizeof(block->words));
        block->has_hits = false;
    }
}

static void block_add(struct block *block, const uint32_t *uid, const uint16_t *hits, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = uid[hits[i]];
        if (at >> 16 != block->number) {
            block_flush(block);
            block->number = at >> 16;
        }
        block->words[(at & 0xffff) >> 6] |= (uint64_t)1 << (at & 63);
        block->has_hits = true;
    }
}

static void scan_span(struct scan *scan, const struct chunk *c, uint32_t from, uint32_t to)
{
    uint16_t hits[CHUNK_MAX];
    uint32_t n = collect(scan, c, from, to, hits);
    if (scan->block != NULL) {
        block_add(scan->block, c->uid, hits, n);
        return;
    }
    for (uint32_t i = 0; i < n;) {
        uint32_t first = c->uid[hits[i]];
        uint32_t last = first;
        for (i++; i < n && c->uid[hits[i]] == last + 1; i++) {
            last++;
        }
        ranges_append(scan->out, first, last);
    }
}

static void scan_range(struct scan *scan, struct range range)
{
    const struct messages *m = scan->messages;
    struct place from = messages_lower(m, range.first);
    while (from.chunk < m->n) {
        const struct chunk *c = &m->chunk[from.chunk];
        bool ends = m->last[from.chunk] > range.last;
        scan_span(scan, c, from.index, ends ? messages_lower(m, range.last + 1).index : c->n);
        if (ends) {
            return;
        }
        from = (struct place){from.chunk + 1, 0};
    }
}

static void scan_all(struct scan *scan, const struct ranges *within)
{
    if (within == NULL) {
        scan_range(scan, (struct range){1, UINT32_MAX});
        return;
    }
    for (size_t i = 0; i < within->n; i++) {
        scan_range(scan, within->at[i]);
    }
}

static void scan_within(struct scan *scan, const struct ranges *within)
{
    ranges_reset(scan->out);
    scan_all(scan, within);
}

static void scan_into(struct scan *scan, const struct ranges *within, struct bitmap *out)
{
    struct block block = {.out = out};
    bitmap_clear(out);
    scan->block = &block;
    scan_all(scan, within);
    block_flush(&block);
    scan->block = NULL;
}

void mailbox_scan_flags(const struct mailbox *mailbox, const struct ranges *within,
                        flags_match_fn *match, const void *arg, struct ranges *out)
{
    struct scan scan = {.messages = &mailbox->messages, .out = out, .match = match, .arg = arg};
    scan.verdict = alloc_array(flags_id_end(mailbox->flags), sizeof(*scan.verdict));
    scan_within(&scan, within);
    alloc_free(scan.verdict);
}

void mailbox_scan_modseq(const struct mailbox *mailbox, const struct ranges *within, uint64_t above,
                         struct ranges *out)
{
    if (above == UINT64_MAX) {
        ranges_reset(out);
        return;
    }
    struct scan scan = {.messages = &mailbox->messages, .out = out, .above = above + 1};
    scan_within(&scan, within);
}

void mailbox_scan_uids(const struct mailbox *mailbox, const struct ranges *within,
                       struct ranges *out)
{
    struct scan scan = {.messages = &mailbox->messages, .out = out};
    scan_within(&scan, within);
}

void mailbox_scan_unknown(const struct mailbox *mailbox, const struct ranges *within,
                          struct ranges *out)
{
    struct scan scan = {.messages = &mailbox->messages, .out = out, .is_unknown = true};
    scan_within(&scan, within);
}

/* --- into bitmaps -------------------------------------------------------------------------------
 */

void mailbox_bitmap_flags(const struct mailbox *mailbox, flags_match_fn *match, const void *arg,
                          struct bitmap *out)
{
    struct scan scan = {.messages = &mailbox->messages, .match = match, .arg = arg};
    scan.verdict = alloc_array(flags_id_end(mailbox->flags), sizeof(*scan.verdict));
    scan_into(&scan, NULL, out);
    alloc_free(scan.verdict);
}

void mailbox_bitmap_modseq(const struct mailbox *mailbox, uint64_t above, struct bitmap *out)
{
    if (above == UINT64_MAX) {
        bitmap_clear(out);
        return;
    }
    struct scan scan = {.messages = &mailbox->messages, .above = above + 1};
    scan_into(&scan, NULL, out);
}

void mailbox_bitmap_uids(const struct mailbox *mailbox, const struct ranges *within,
                         struct bitmap *out)
{
    struct scan scan = {.messages = &mailbox->messages};
    scan_into(&scan, within, out);
}

/* --- a flag as the upstream's SEARCH tells it ---------------------------------------------------
 */

struct wearing {
    uint32_t flags;
};

static bool wears(const struct flags *flags, uint32_t id, const void *arg)
{
    const struct wearing *wearing = arg;
    size_t n;
    const uint16_t *keyword = flags_keywords_of(flags, wearing->flags, &n);
    uint8_t bits = flags_bits(flags, wearing->flags);
    bool all = (flags_bits(flags, id) & bits) == bits;
    for (size_t i = 0; i < n && all; i++) {
        all = flags_has_keyword(flags, id, keyword[i]);
    }
    return all;
}

/* Put on or take off, one walk; the sum of two sets is looked up once for a run of equal ones. */
static enum status change_flag(struct mailbox *mailbox, const struct ranges *uids, enum flag_op op,
                               uint32_t flags, bool is_first)
{
    struct messages *m = &mailbox->messages;
    uint32_t old = UINT32_MAX;
    uint32_t sum = 0;
    for (size_t i = 0; i < uids->n; i++) {
        struct place place = messages_lower(m, uids->at[i].first);
        while (place.chunk < m->n) {
            struct mailbox_entry entry = messages_get(m, place);
            if (entry.uid > uids->at[i].last) {
                break;
            }
            if (entry.flags != old) {
                TRY(flags_apply(mailbox->flags, entry.flags, op, flags, &sum));
                old = entry.flags;
            }
            if (is_first) {
                messages_set_flags(m, place, sum);
            } else {
                TRY(mailbox_set_flags(mailbox, entry.uid, sum, 0, NULL));
            }
            (void)messages_step(m, &place);
        }
        ranges_add(&mailbox->dirty, uids->at[i].first / PACK_BLOCK_UIDS,
                   uids->at[i].last / PACK_BLOCK_UIDS);
    }
    mailbox->version++;
    return OK;
}

enum status mailbox_apply_flag(struct mailbox *mailbox, uint32_t flags, const struct ranges *uids,
                               const struct ranges *except, bool is_first)
{
    struct wearing wearing = {.flags = flags};
    struct ranges have, present, change;
    ranges_init(&have, 0);
    ranges_init(&present, 0);
    ranges_init(&change, 0);
    flags_ref(mailbox->flags, flags, 1);
    mailbox_scan_flags(mailbox, NULL, wears, &wearing, &have);
    mailbox_scan_uids(mailbox, uids, &present);
    ranges_copy(&present, &change);
    ranges_subtract(&change, &have);
    ranges_subtract(&change, except);
    enum status st = change_flag(mailbox, &change, FLAG_OP_ADD, flags, is_first);
    ranges_subtract(&have, &present);
    ranges_subtract(&have, except);
    if (st == OK) {
        st = change_flag(mailbox, &have, FLAG_OP_REMOVE, flags, is_first);
    }
    flags_unref(mailbox->flags, flags, 1);
    ranges_fini(&have);
    ranges_fini(&present);
    ranges_fini(&change);
    return st;
}
