/* What the store has of a mailbox's searches.  One record: version, octets of known (big-endian),
 * known, hit.  Whatever in it cannot be so is not believed, and the upstream is asked again.
 * Kept is only what is said of messages that the kept model has: at the next start a UIDNEXT that fell
 * shows that the name is another mailbox's now (T6), and that is measured by the kept model. */
#include "searches_p.h"

#include <utlist.h>

#include "base/log.h"
#include "store/search.h"
#include "store/state.h"

enum { VERSION = 1, HEAD_BYTES = 5 };

static struct store *store_of(const struct searches *searches)
{
    return searches->feed->account->accounts->env.store;
}

static struct slice name_of(const struct search_entry *entry)
{
    return slice_of(entry->name, entry->name_len);
}

static bool read_sets(struct slice octets, struct bitmap **known_out, struct bitmap **hit_out)
{
    const unsigned char *head = (const unsigned char *)octets.data;
    if (octets.len < HEAD_BYTES || head[0] != VERSION) {
        return false;
    }
    size_t n = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    if (n > octets.len - HEAD_BYTES) {
        return false;
    }
    *known_out = bitmap_read(slice_sub(octets, HEAD_BYTES, n));
    *hit_out = bitmap_read(slice_sub(octets, HEAD_BYTES + n, octets.len));
    return *known_out != NULL && *hit_out != NULL && bitmap_is_subset(*hit_out, *known_out);
}

/* A UID that the mailbox has not given yet cannot have been asked about. */
static bool is_possible(const struct searches *searches, const struct bitmap *known)
{
    uint32_t highest;
    return !bitmap_max(known, &highest) ||
           highest < mailbox_uidnext(searches->feed->mailbox) ||
           !feed_is_mapped(searches->feed);
}

void searches__load(struct search_entry *entry)
{
    struct searches *searches = entry->searches;
    struct slice octets;
    struct bitmap *known = NULL, *hit = NULL;
    store_read_begin(store_of(searches));
    bool is_there = store_search_get(store_of(searches), searches->store_id, name_of(entry), &octets);
    bool is_sound = is_there && read_sets(octets, &known, &hit);
    store_read_end(store_of(searches));
    if (is_sound && is_possible(searches, known)) {
        bitmap_or(entry->known, known);
        bitmap_or(entry->hit, hit);
        entry->is_accepted = true;
        searches__grew(entry);
        entry->is_dirty = false;
    } else if (is_there) {
        LOG(LOG_WARN, "searches", "msg=\"kept search dropped\" account=%s mailbox=%s",
            searches->feed->account->name, LOG_Q(feed_name(searches->feed)));
        store_search_drop(store_of(searches), searches->store_id, name_of(entry));
    }
    bitmap_destroy(&known);
    bitmap_destroy(&hit);
}

void searches__used(const struct search_entry *entry)
{
    if (entry->is_accepted && !entry->is_dirty) {
        store_search_used(store_of(entry->searches), entry->searches->store_id, name_of(entry));
    }
}

/* Messages that are there; NULL: it is not sure which. */
static struct bitmap *present(const struct feed *feed)
{
    struct ranges uids;
    if (feed->state != FEED_LIVE || feed->knows < FEED_KNOWS_NUMBERS || !feed__count_is_true(feed)) {
        return NULL;
    }
    struct bitmap *out = bitmap_create();
    ranges_init(&uids, 0);
    mailbox_scan_uids(feed->mailbox, NULL, &uids);
    bitmap_add_ranges(out, &uids);
    ranges_fini(&uids);
    return out;
}

/* The octets of both, without those from @uidnext on; false: they are too many. */
static bool pack(const struct search_entry *entry, uint32_t uidnext, struct buf *out)
{
    struct bitmap *known = bitmap_copy(entry->known), *hit = bitmap_copy(entry->hit);
    bitmap_remove(known, uidnext, UINT32_MAX);
    bitmap_remove(hit, uidnext, UINT32_MAX);
    size_t n = bitmap_bytes(known);
    const char head[HEAD_BYTES] = {VERSION, (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    buf_add(out, slice_of(head, sizeof(head)));
    bitmap_write(known, out);
    bitmap_write(hit, out);
    bitmap_destroy(&known);
    bitmap_destroy(&hit);
    return buf_ok(out);
}

uint32_t searches__kept_uidnext(const struct searches *searches)
{
    if (searches->feed->state == FEED_LIVE) {
        feed__persist(searches->feed);
    }
    return store_state_uidnext(store_of(searches), searches->store_id);
}

void searches__write_entry(struct search_entry *entry, uint32_t uidnext, const struct bitmap *there)
{
    struct searches *searches = entry->searches;
    uint32_t highest;
    struct buf octets;
    if (there != NULL) {
        bitmap_and(entry->known, there);
        bitmap_and(entry->hit, there);
    }
    if (uidnext == 0) {
        return; /* later */
    }
    buf_init(&octets, STORE_SEARCH_BYTES_MAX);
    enum status st = pack(entry, uidnext, &octets)
                         ? store_search_put(store_of(searches), searches->store_id, name_of(entry),
                                            buf_slice(&octets))
                         : LIMIT;
    if (st != OK) {
        LOG(LOG_DEBUG, "searches", "msg=\"search not kept\" status=%s", status_name(st));
    }
    buf_fini(&octets);
    entry->is_dirty = bitmap_max(entry->known, &highest) && highest >= uidnext;
}

void searches__write(struct searches *searches)
{
    struct search_entry *entry;
    struct bitmap *there = NULL;
    uint32_t uidnext = 0;
    bool has_looked = false;
    if (searches == NULL) {
        return;
    }
    DL_FOREACH(searches->used, entry) {
        if (!entry->is_dirty) {
            continue;
        }
        if (!has_looked) {
            there = present(searches->feed);
            uidnext = searches__kept_uidnext(searches);
            has_looked = true;
        }
        searches__write_entry(entry, uidnext, there);
    }
    if (has_looked) {
        LOG(LOG_DEBUG, "searches", "msg=written account=%s mailbox=%s",
            searches->feed->account->name, LOG_Q(feed_name(searches->feed)));
    }
    bitmap_destroy(&there);
    timer_stop(searches->write_timer);
}
