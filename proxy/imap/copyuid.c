#include "imap/copyuid.h"

#include "base/ranges.h"
#include "imap/respdata.h"

/* "3,7:9" in the order it is written. */
struct walk {
    struct slice rest;
    uint32_t next, last; /* of the range begun; next > last: none */
    struct ranges seen;
    enum status status;
};

static void begin(struct walk *walk, struct slice set)
{
    *walk = (struct walk){.rest = set, .next = 1, .last = 0, .status = OK};
    ranges_init(&walk->seen, 0);
}

static bool has_any(const struct ranges *set, uint32_t first, uint32_t last)
{
    uint32_t found;
    return ranges_next(set, first, &found) && found <= last;
}

static enum status next_range(struct walk *walk)
{
    struct slice part = slice_sub(walk->rest, 0, slice_find(walk->rest, ','));
    struct slice first = slice_sub(part, 0, slice_find(part, ':'));
    struct slice last = first.len < part.len ? slice_sub(part, first.len + 1, part.len) : first;
    walk->rest = slice_sub(walk->rest, part.len + 1, walk->rest.len);
    if (!slice_u32(first, &walk->next) || !slice_u32(last, &walk->last) || walk->next == 0 ||
        walk->last == UINT32_MAX) {
        return SYNTAX;
    }
    if (walk->last < walk->next || has_any(&walk->seen, walk->next, walk->last)) {
        return STALE;
    }
    ranges_add(&walk->seen, walk->next, walk->last);
    return OK;
}

/* False at the end, or when walk->status says why not. */
static bool next(struct walk *walk, uint32_t *uid_out)
{
    if (walk->next > walk->last && walk->rest.len > 0) {
        walk->status = next_range(walk);
    }
    if (walk->status != OK || walk->next > walk->last) {
        return false;
    }
    *uid_out = walk->next++;
    return true;
}

static enum status pair_up(struct walk *source, struct walk *dest, size_t max_n, struct copyuid *out)
{
    struct uid_pair pair;
    while (next(source, &pair.source)) {
        if (!next(dest, &pair.dest)) {
            return dest->status == OK ? STALE : dest->status;
        }
        if (out->n == max_n) {
            return LIMIT;
        }
        out->pairs[out->n++] = pair;
    }
    TRY(source->status);
    bool has_more = next(dest, &pair.dest);
    TRY(dest->status);
    return has_more ? STALE : OK;
}

enum status copyuid_pairs(const struct response *response, size_t max_n, struct arena *arena,
                          struct copyuid *out)
{
    struct respdata_uidset sets;
    struct walk source, dest;
    *out = (struct copyuid){.n = 0};
    TRY(respdata_copyuid(response, &sets));
    out->uidvalidity = sets.uidvalidity;
    out->pairs = arena_array(arena, max_n, sizeof(*out->pairs));
    if (out->pairs == NULL) {
        return LIMIT;
    }
    begin(&source, sets.source);
    begin(&dest, sets.dest);
    enum status st = pair_up(&source, &dest, max_n, out);
    ranges_fini(&source.seen);
    ranges_fini(&dest.seen);
    return st;
}
