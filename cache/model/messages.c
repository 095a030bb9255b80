#include "messages_p.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "model/uidset.h"

enum { CHUNK_FIRST_CAP = 8, MESSAGE_BYTES = 16 };

/* --- one chunk -------------------------------------------------------------------------------- */

static void chunk_resize(struct chunk *c, uint32_t cap)
{
    char *memory = alloc_array(cap, MESSAGE_BYTES);
    struct chunk old = *c;
    c->modseq = (uint64_t *)(void *)memory;
    c->uid = (uint32_t *)(void *)(memory + cap * sizeof(uint64_t));
    c->flags = c->uid + cap;
    c->cap = cap;
    if (old.n > 0) {
        memcpy(c->modseq, old.modseq, old.n * sizeof(*c->modseq));
        memcpy(c->uid, old.uid, old.n * sizeof(*c->uid));
        memcpy(c->flags, old.flags, old.n * sizeof(*c->flags));
    }
    alloc_free(old.modseq);
}

/* After removals: no more than about half of the memory lies idle. */
static void chunk_shrink(struct chunk *c)
{
    uint32_t cap = c->n + c->n / 4 + CHUNK_FIRST_CAP;
    if (c->n < c->cap / 2 && cap < c->cap) {
        chunk_resize(c, cap);
    }
}

/* Move @n messages within or between chunks, arrays only. */
static void chunk_move(struct chunk *to, uint32_t to_at, const struct chunk *from,
                       uint32_t from_at, uint32_t n)
{
    memmove(to->modseq + to_at, from->modseq + from_at, n * sizeof(*to->modseq));
    memmove(to->uid + to_at, from->uid + from_at, n * sizeof(*to->uid));
    memmove(to->flags + to_at, from->flags + from_at, n * sizeof(*to->flags));
}

/* --- directory -------------------------------------------------------------------------------- */

void messages_init(struct messages *m, struct flags *flags)
{
    *m = (struct messages){.flags = flags};
}

void messages_fini(struct messages *m)
{
    for (uint32_t i = 0; i < m->n; i++) {
        for (uint32_t j = 0; j < m->chunk[i].n; j++) {
            flags_unref(m->flags, m->chunk[i].flags[j], 1);
        }
        alloc_free(m->chunk[i].modseq);
    }
    alloc_free(m->chunk);
    alloc_free(m->last);
    alloc_free(m->start);
    messages_init(m, m->flags);
}

static void grow_directory(struct messages *m)
{
    if (m->n < m->cap) {
        return;
    }
    m->cap = m->cap > 0 ? m->cap * 2 : 1;
    m->chunk = alloc_resize(m->chunk, m->cap, sizeof(*m->chunk));
    m->last = alloc_resize(m->last, m->cap, sizeof(*m->last));
    m->start = alloc_resize(m->start, m->cap, sizeof(*m->start));
}

/* An empty chunk at @at; its last and start are the caller's to set. */
static void open_chunk(struct messages *m, uint32_t at)
{
    grow_directory(m);
    uint32_t above = m->n - at;
    memmove(m->chunk + at + 1, m->chunk + at, above * sizeof(*m->chunk));
    memmove(m->last + at + 1, m->last + at, above * sizeof(*m->last));
    memmove(m->start + at + 1, m->start + at, above * sizeof(*m->start));
    m->chunk[at] = (struct chunk){0};
    m->n++;
}

static void close_chunk(struct messages *m, uint32_t at)
{
    alloc_free(m->chunk[at].modseq);
    uint32_t above = m->n - at - 1;
    memmove(m->chunk + at, m->chunk + at + 1, above * sizeof(*m->chunk));
    memmove(m->last + at, m->last + at + 1, above * sizeof(*m->last));
    memmove(m->start + at, m->start + at + 1, above * sizeof(*m->start));
    m->n--;
}

static void refresh_from(struct messages *m, uint32_t from)
{
    for (uint32_t i = from; i < m->n; i++) {
        m->start[i] = i == 0 ? 0 : m->start[i - 1] + m->chunk[i - 1].n;
        m->last[i] = m->chunk[i].uid[m->chunk[i].n - 1];
    }
}

static void count_in(struct messages *m, struct chunk *c, uint32_t flags)
{
    uint8_t bits = flags_bits(m->flags, flags);
    flags_ref(m->flags, flags, 1);
    c->unseen += (bits & FLAG_SEEN) == 0;
    m->unseen += (bits & FLAG_SEEN) == 0;
    m->deleted += (bits & FLAG_DELETED) != 0;
}

static void count_out(struct messages *m, struct chunk *c, uint32_t flags)
{
    uint8_t bits = flags_bits(m->flags, flags);
    flags_unref(m->flags, flags, 1);
    c->unseen -= (bits & FLAG_SEEN) == 0;
    m->unseen -= (bits & FLAG_SEEN) == 0;
    m->deleted -= (bits & FLAG_DELETED) != 0;
}

/* --- questions -------------------------------------------------------------------------------- */

struct place messages_lower(const struct messages *m, uint32_t uid)
{
    uint32_t at = uid_lower(m->last, 0, m->n, uid);
    const struct chunk *c = at < m->n ? &m->chunk[at] : NULL;
    return (struct place){at, c != NULL ? uid_lower(c->uid, 0, c->n, uid) : 0};
}

bool messages_find(const struct messages *m, uint32_t uid, struct place *out)
{
    *out = messages_lower(m, uid);
    return out->chunk < m->n && m->chunk[out->chunk].uid[out->index] == uid;
}

struct place messages_at_rank(const struct messages *m, uint32_t rank)
{
    CHECK(rank > 0 && rank <= m->count);
    uint32_t low = 0; /* chunks that begin before the message */
    uint32_t high = m->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (m->start[mid] < rank) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return (struct place){low - 1, rank - 1 - m->start[low - 1]};
}

uint32_t messages_before(const struct messages *m, struct place place)
{
    return place.chunk < m->n ? m->start[place.chunk] + place.index : m->count;
}

struct mailbox_entry messages_get(const struct messages *m, struct place place)
{
    const struct chunk *c = &m->chunk[place.chunk];
    return (struct mailbox_entry){.uid = c->uid[place.index],
                                  .flags = c->flags[place.index],
                                  .modseq = c->modseq[place.index]};
}

bool messages_step(const struct messages *m, struct place *place)
{
    if (++place->index == m->chunk[place->chunk].n) {
        place->chunk++;
        place->index = 0;
    }
    return place->chunk < m->n;
}

uint32_t messages_first_unseen(const struct messages *m)
{
    for (uint32_t i = 0; m->unseen > 0 && i < m->n; i++) {
        const struct chunk *c = &m->chunk[i];
        for (uint32_t j = 0; c->unseen > 0 && j < c->n; j++) {
            if ((flags_bits(m->flags, c->flags[j]) & FLAG_SEEN) == 0) {
                return c->uid[j];
            }
        }
    }
    return 0;
}

/* --- changes ---------------------------------------------------------------------------------- */

/* A full chunk becomes two, so that the place gets room; returns where it is now. */
static struct place split_chunk(struct messages *m, struct place place)
{
    open_chunk(m, place.chunk + 1);
    struct chunk *low = &m->chunk[place.chunk];
    struct chunk *high = &m->chunk[place.chunk + 1];
    uint32_t keep = low->n / 2;
    chunk_resize(high, CHUNK_MAX);
    chunk_move(high, 0, low, keep, low->n - keep);
    high->n = low->n - keep;
    low->n = keep;
    for (uint32_t j = 0; j < high->n; j++) {
        high->unseen += (flags_bits(m->flags, high->flags[j]) & FLAG_SEEN) == 0;
    }
    low->unseen -= high->unseen;
    refresh_from(m, place.chunk);
    return place.index <= keep ? place : (struct place){place.chunk + 1, place.index - keep};
}

/* Where to insert: mail arrives at the end, where chunks are filled to the brim. */
static struct place make_room(struct messages *m, uint32_t uid)
{
    struct place place = messages_lower(m, uid);
    if (place.chunk == m->n) {
        if (m->n == 0 || m->chunk[m->n - 1].n == CHUNK_MAX) {
            open_chunk(m, m->n);
        }
        place = (struct place){m->n - 1, m->chunk[m->n - 1].n};
    } else if (m->chunk[place.chunk].n == CHUNK_MAX) {
        place = split_chunk(m, place);
    }
    struct chunk *c = &m->chunk[place.chunk];
    if (c->n == c->cap) {
        uint32_t cap = c->cap > 0 ? c->cap * 2 : CHUNK_FIRST_CAP;
        chunk_resize(c, cap < CHUNK_MAX ? cap : CHUNK_MAX);
    }
    return place;
}

void messages_insert(struct messages *m, const struct mailbox_entry *entry)
{
    struct place place = make_room(m, entry->uid);
    struct chunk *c = &m->chunk[place.chunk];
    chunk_move(c, place.index + 1, c, place.index, c->n - place.index);
    c->uid[place.index] = entry->uid;
    c->flags[place.index] = entry->flags;
    c->modseq[place.index] = entry->modseq;
    c->n++;
    m->count++;
    count_in(m, c, entry->flags);
    refresh_from(m, place.chunk);
}

void messages_append_run(struct messages *m, uint32_t first, uint32_t last)
{
    uint64_t left = (uint64_t)last - first + 1;
    while (left > 0) {
        if (m->n == 0 || m->chunk[m->n - 1].n == CHUNK_MAX) {
            open_chunk(m, m->n);
        }
        struct chunk *c = &m->chunk[m->n - 1];
        uint32_t n = left < CHUNK_MAX - c->n ? (uint32_t)left : CHUNK_MAX - c->n;
        if (c->n + n > c->cap) {
            uint32_t cap = c->cap * 2 > CHUNK_FIRST_CAP ? c->cap * 2 : CHUNK_FIRST_CAP;
            cap = c->n + n > cap ? c->n + n : cap;
            chunk_resize(c, cap < CHUNK_MAX ? cap : CHUNK_MAX);
        }
        for (uint32_t i = 0; i < n; i++) {
            c->uid[c->n + i] = first + i;
        }
        memset(c->flags + c->n, 0, n * sizeof(*c->flags));
        memset(c->modseq + c->n, 0, n * sizeof(*c->modseq));
        c->n += n;
        c->unseen += n;
        m->unseen += n;
        m->count += n;
        flags_ref(m->flags, FLAGS_NONE, n);
        first += n;
        left -= n;
        refresh_from(m, m->n - 1);
    }
}

void messages_set_flags(struct messages *m, struct place place, uint32_t flags)
{
    struct chunk *c = &m->chunk[place.chunk];
    count_in(m, c, flags); /* in before out: the set may have no other holder */
    count_out(m, c, c->flags[place.index]);
    c->flags[place.index] = flags;
}

/* Join chunk @at to the one before when both are small; true when it is gone. */
static bool join_before(struct messages *m, uint32_t at)
{
    if (at == 0 || at >= m->n) {
        return false;
    }
    struct chunk *low = &m->chunk[at - 1];
    const struct chunk *high = &m->chunk[at];
    if (low->n + high->n > CHUNK_MAX / 2) {
        return false;
    }
    if (low->cap < low->n + high->n) {
        chunk_resize(low, CHUNK_MAX / 2);
    }
    chunk_move(low, low->n, high, 0, high->n);
    low->n += high->n;
    low->unseen += high->unseen;
    close_chunk(m, at);
    return true;
}

void messages_remove(struct messages *m, struct place place)
{
    struct chunk *c = &m->chunk[place.chunk];
    count_out(m, c, c->flags[place.index]);
    chunk_move(c, place.index, c, place.index + 1, c->n - place.index - 1);
    c->n--;
    m->count--;
    uint32_t from = place.chunk;
    if (c->n == 0) {
        close_chunk(m, place.chunk);
    } else if (join_before(m, place.chunk)) {
        from = place.chunk - 1;
    } else if (!join_before(m, place.chunk + 1)) {
        chunk_shrink(c);
    }
    refresh_from(m, from);
}

/* Take the members of uids (from interval *at on) out of one chunk. */
static void thin_chunk(struct messages *m, struct chunk *c, const struct ranges *uids, size_t *at,
                       struct ranges *removed_out)
{
    uint32_t kept = 0;
    for (uint32_t j = 0; j < c->n; j++) {
        while (*at < uids->n && uids->at[*at].last < c->uid[j]) {
            (*at)++;
        }
        if (*at < uids->n && uids->at[*at].first <= c->uid[j]) {
            count_out(m, c, c->flags[j]);
            ranges_append(removed_out, c->uid[j], c->uid[j]);
            m->count--;
        } else {
            chunk_move(c, kept++, c, j, 1);
        }
    }
    c->n = kept;
}

/* Put chunk @from in place @to of the directory, or into its neighbour; the new end of what is
 * packed.  The arrays above are not moved: removing a set is one pass. */
static uint32_t pack_chunk(struct messages *m, uint32_t to, uint32_t from)
{
    struct chunk c = m->chunk[from];
    struct chunk *before = to > 0 ? &m->chunk[to - 1] : NULL;
    bool joins = before != NULL && before->n + c.n <= CHUNK_MAX / 2;
    if (c.n > 0 && !joins) {
        chunk_shrink(&c);
        m->chunk[to] = c;
        return to + 1;
    }
    if (c.n > 0) {
        if (before->cap < before->n + c.n) {
            chunk_resize(before, CHUNK_MAX / 2);
        }
        chunk_move(before, before->n, &c, 0, c.n);
        before->n += c.n;
        before->unseen += c.unseen;
    }
    alloc_free(c.modseq);
    return to;
}

void messages_remove_set(struct messages *m, const struct ranges *uids,
                         struct ranges *removed_out)
{
    ranges_reset(removed_out);
    if (uids->n == 0 || m->n == 0) {
        return;
    }
    uint32_t first = messages_lower(m, uids->at[0].first).chunk;
    uint32_t to = first;
    size_t at = 0;
    for (uint32_t i = first; i < m->n; i++) {
        struct chunk *c = &m->chunk[i];
        while (at < uids->n && uids->at[at].last < c->uid[0]) {
            at++;
        }
        if (at < uids->n && uids->at[at].first <= c->uid[c->n - 1]) {
            thin_chunk(m, c, uids, &at, removed_out);
        }
        to = pack_chunk(m, to, i);
    }
    m->n = to;
    refresh_from(m, first > 0 ? first - 1 : 0);
}
