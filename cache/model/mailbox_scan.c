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

/* Run of consecutive UIDs being collected; none while first is 0. */
struct run {
    uint32_t first;
    uint32_t last;
};

static void end_run(struct scan *scan, struct run *run)
{
    if (run->first != 0) {
        ranges_append(scan->out, run->first, run->last);
        run->first = 0;
    }
}

static bool judge(struct scan *scan, uint32_t id)
{
    if (scan->verdict[id] == UNKNOWN) {
        scan->verdict[id] = scan->match(scan->messages->flags, id, scan->arg) ? HIT : MISS;
    }
    return scan->verdict[id] == HIT;
}

static void scan_span(struct scan *scan, const struct chunk *c, uint32_t from, uint32_t to)
{
    struct run run = {0};
    for (uint32_t i = from; i < to; i++) {
        bool hit = scan->verdict != NULL ? judge(scan, c->flags[i])
                                         : c->modseq[i] >= scan->above;
        if (!hit) {
            continue;
        }
        if (run.first != 0 && c->uid[i] == run.last + 1) {
            run.last++;
            continue;
        }
        end_run(scan, &run);
        run = (struct run){c->uid[i], c->uid[i]};
    }
    end_run(scan, &run);
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
