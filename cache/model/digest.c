/* Log entries become sets: sort them by UID, look at the first coming or going of each (which says
 * whether it was there before) and at the model (which says whether it is there now). */
#include <stdlib.h>

#include "base/alloc.h"
#include "mailbox_p.h"

void digest_init(struct digest *digest)
{
    *digest = (struct digest){0};
    ranges_init(&digest->vanished, 0);
    ranges_init(&digest->flapped, 0);
    ranges_init(&digest->appeared, 0);
    ranges_init(&digest->flags, 0);
    ranges_init(&digest->modseq, 0);
}

void digest_fini(struct digest *digest)
{
    ranges_fini(&digest->vanished);
    ranges_fini(&digest->flapped);
    ranges_fini(&digest->appeared);
    ranges_fini(&digest->flags);
    ranges_fini(&digest->modseq);
}

/* uid, then position, then change in one number, so that plain order is the order wanted. */
enum { CHANGE_BITS = 2, OFFSET_BITS = 30 };

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t *sorted_entries(const struct changelog *log, uint64_t from, size_t *n_out)
{
    size_t n = (size_t)(log->end - from);
    uint64_t *keys = alloc_array(n, sizeof(*keys));
    bool is_sorted = true;
    for (size_t i = 0; i < n; i++) {
        keys[i] = (uint64_t)changelog_uid(log, from + i) << (OFFSET_BITS + CHANGE_BITS) |
                  (uint64_t)i << CHANGE_BITS | (uint64_t)changelog_change(log, from + i);
        is_sorted = is_sorted && (i == 0 || keys[i - 1] <= keys[i]);
    }
    if (!is_sorted) {
        qsort(keys, n, sizeof(*keys), compare);
    }
    *n_out = n;
    return keys;
}

/* One UID's entries, oldest first, added to the sets; returns how many they are. */
static size_t digest_uid(struct digest *digest, const struct mailbox *mailbox,
                         const uint64_t *keys, size_t n)
{
    uint32_t uid = (uint32_t)(keys[0] >> (OFFSET_BITS + CHANGE_BITS));
    bool has_flags = false;
    bool has_modseq = false;
    bool moved = false;
    bool was_there = false;
    size_t i = 0;
    for (; i < n && (uint32_t)(keys[i] >> (OFFSET_BITS + CHANGE_BITS)) == uid; i++) {
        enum change change = (enum change)(keys[i] & ((1U << CHANGE_BITS) - 1));
        has_flags = has_flags || change == CHANGE_FLAGS;
        has_modseq = has_modseq || change == CHANGE_MODSEQ;
        if (!moved && (change == CHANGE_VANISHED || change == CHANGE_APPEARED)) {
            moved = true;
            was_there = change == CHANGE_VANISHED;
        }
    }
    bool is_there = !moved || mailbox_has(mailbox, uid);
    if (moved && (was_there || is_there)) {
        struct ranges *set = !is_there    ? &digest->vanished
                             : was_there ? &digest->flapped
                                         : &digest->appeared;
        ranges_append(set, uid, uid);
    }
    if (has_flags && is_there) {
        ranges_append(&digest->flags, uid, uid);
    }
    if (has_modseq && is_there) {
        ranges_append(&digest->modseq, uid, uid);
    }
    return i;
}

const struct digest *mailbox__digest(struct mailbox *mailbox, uint64_t from)
{
    struct digest *digest = &mailbox->digest;
    if (digest->from == from && digest->to == mailbox->log.end) {
        return digest;
    }
    digest_fini(digest);
    digest_init(digest);
    size_t n;
    uint64_t *keys = sorted_entries(&mailbox->log, from, &n);
    for (size_t i = 0; i < n;) {
        i += digest_uid(digest, mailbox, keys + i, n - i);
    }
    alloc_free(keys);
    digest->from = from;
    digest->to = mailbox->log.end;
    return digest;
}
