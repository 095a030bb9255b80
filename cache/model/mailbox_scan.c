/* Scans: one pass over the arrays of the chunks concerned, the predicate asked once per set. */
#include "base/alloc.h"
#include "mailbox_p.h"

enum verdict { UNKNOWN, MISS, HIT };

struct scan {
    const struct messages *messages;
    struct ranges *out;
    uint8_t *verdict; /* per flag set id; NULL: not asked about flags */
    flags_match_fn *match;
    const void *arg;
    uint64_t above; /* modseq */
};

/* Indices of the hits among [from, to); no branch on an outcome that nobody can foretell. */
static uint32_t collect(struct scan *scan, const struct chunk *c, uint32_t from, uint32_t to,
                        uint16_t hits[CHUNK_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = from; i < to; i++) {
        bool hit = false;
        if (scan->verdict == NULL) {
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

static void scan_span(struct scan *scan, const struct chunk *c, uint32_t from, uint32_t to)
{
    uint16_t hits[CHUNK_MAX];
    uint32_t n = collect(scan, c, from, to, hits);
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

static void scan_within(struct scan *scan, const struct ranges *within)
{
    ranges_reset(scan->out);
    if (within == NULL) {
        scan_range(scan, (struct range){1, UINT32_MAX});
        return;
    }
    for (size_t i = 0; i < within->n; i++) {
        scan_range(scan, within->at[i]);
    }
}

void mailbox_scan_flags(const struct mailbox *mailbox, const struct ranges *within,
                        flags_match_fn *match, const void *arg, struct ranges *out)
{
    struct scan scan = {.messages = &mailbox->messages, .out = out, .match = match, .arg = arg};
    scan.verdict = alloc_array(flags_id_end(mailbox->flags), sizeof(*scan.verdict));
    scan_within(&scan, within);
    alloc_free(scan.verdict);
}

void mailbox_scan_modseq(const struct mailbox *mailbox, const struct ranges *within,
                         uint64_t above, struct ranges *out)
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
