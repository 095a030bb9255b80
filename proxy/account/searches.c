/* What is remembered: entries by name, the least recently used first to go. */
#include "searches_p.h"

#include <string.h>
#include <utlist.h>

#include "base/alloc.h"
#include "store/search.h"

static void trim(void *arg);

static void write_now(void *arg)
{
    searches__write(arg);
}

void searches__write_soon(struct searches *searches)
{
    if (!timer_is_set(searches->write_timer)) {
        timer_set_ms(searches->write_timer, SEARCHES_WRITE_MS);
    }
}

void searches__begin(struct feed *feed)
{
    struct searches *searches = feed->searches;
    if (searches != NULL && searches->store_id == feed->store_id) {
        return;
    }
    searches__end(&feed->searches, false);
    if (feed->store_id == 0) {
        return;
    }
    searches = alloc_zero(sizeof(*searches));
    searches->feed = feed;
    searches->store_id = feed->store_id;
    searches->write_timer = timer_create_on(account__loop(feed->account), write_now, searches);
    task_init(&searches->trim_task, trim, searches);
    searches__settle_init(searches);
    feed->searches = searches;
}

struct searches *feed_searches(struct feed *feed)
{
    return feed->searches;
}

/* --- entries -------------------------------------------------------------------------------------- */

static struct search_entry *new_entry(struct searches *searches, struct slice name)
{
    struct search_entry *entry = alloc_zero(sizeof(*entry) + name.len);
    entry->searches = searches;
    entry->known = bitmap_create();
    entry->hit = bitmap_create();
    entry->late_hit = bitmap_create();
    searches__sifted_init(&entry->late, 0);
    entry->name_len = name.len;
    memcpy(entry->name, name.data, name.len);
    return entry;
}

static void free_entry(struct search_entry *entry)
{
    bitmap_destroy(&entry->known);
    bitmap_destroy(&entry->hit);
    bitmap_destroy(&entry->late_hit);
    searches__sifted_fini(&entry->late);
    alloc_free(entry);
}

static void unlist(struct search_entry *entry)
{
    struct searches *searches = entry->searches;
    HASH_DEL(searches->entries, entry);
    DL_DELETE(searches->used, entry);
    searches->bytes -= entry->bytes;
    entry->bytes = 0;
    entry->is_listed = false;
}

/* Commands under way for nobody, of other parts. */
static size_t left_n(const struct search_entry *entry)
{
    const struct search_entry *other;
    const struct search_piece *piece;
    size_t n = 0;
    DL_FOREACH(entry->searches->used, other) {
        if (other->asks == NULL && other != entry) {
            DL_FOREACH(other->pieces, piece) {
                n++;
            }
        }
    }
    return n;
}

void searches__let_go(struct search_entry *entry)
{
    if (entry->asks != NULL) {
        return;
    }
    if (entry->pieces != NULL) {
        bool goes_on = entry->is_listed && left_n(entry) < SEARCHES_LEFT_MAX;
        searches__cancel_pieces(entry, goes_on);
    }
    bool is_empty = !entry->is_accepted && entry->pieces == NULL;
    if (entry->is_listed && is_empty) {
        unlist(entry); /* never answered: nothing to remember */
        free_entry(entry);
    } else if (!entry->is_listed && entry->pieces == NULL) {
        DL_DELETE(entry->searches->unlisted, entry);
        free_entry(entry);
    }
}

/* Its name; false: it is not to be remembered. */
static bool name_of(const struct search_part *part, struct slice charset, struct buf *name)
{
    return !part->is_volatile && search_part_name(part, charset, name) == OK && buf_ok(name);
}

static struct search_entry *find(struct searches *searches, struct slice name)
{
    struct search_entry *entry = NULL;
    HASH_FIND(hh, searches->entries, name.data, name.len, entry);
    if (entry != NULL) {
        DL_DELETE(searches->used, entry);
        DL_APPEND(searches->used, entry);
        searches__used(entry);
        return entry;
    }
    entry = new_entry(searches, name);
    entry->is_listed = true;
    HASH_ADD(hh, searches->entries, name[0], entry->name_len, entry);
    DL_APPEND(searches->used, entry);
    searches__load(entry);
    return entry;
}

struct search_entry *searches__entry(struct searches *searches, const struct search_part *part,
                                     struct slice charset)
{
    struct buf name;
    buf_init(&name, STORE_SEARCH_NAME_MAX);
    struct search_entry *entry;
    if (name_of(part, charset, &name)) {
        entry = find(searches, buf_slice(&name));
    } else {
        entry = new_entry(searches, SLICE(""));
        DL_APPEND(searches->unlisted, entry);
    }
    buf_fini(&name);
    return entry;
}

bool searches_find(struct searches *searches, const struct search_part *part, struct slice charset,
                   struct search_known *out)
{
    if (part->is_volatile) {
        return false;
    }
    struct search_entry *entry = searches__entry(searches, part, charset);
    bool is_accepted = entry->is_accepted;
    if (is_accepted) {
        *out = (struct search_known){.known = entry->known, .hit = entry->hit};
    }
    searches__let_go(entry);
    return is_accepted;
}

/* What it takes in memory now: of the answers, too, that wait for the age of their messages. */
static void count(struct search_entry *entry)
{
    struct searches *searches = entry->searches;
    const struct bitmap *const sets[] = {entry->known, entry->hit, entry->late.late,
                                         entry->late_hit};
    size_t bytes = sizeof(*entry) + entry->name_len;
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        bytes += bitmap_bytes(sets[i]);
    }
    searches->bytes = searches->bytes - entry->bytes + bytes;
    entry->bytes = bytes;
}

static void keep(struct search_entry *entry, const struct bitmap *uids, const struct bitmap *hit)
{
    struct bitmap *some = bitmap_copy(uids);
    bitmap_or(entry->known, uids);
    bitmap_and(some, hit);
    bitmap_or(entry->hit, some);
    bitmap_destroy(&some);
}

void searches__learn(struct search_entry *entry, const struct search_sifted *sifted,
                     const struct bitmap *hit)
{
    struct search_sifted *late = &entry->late;
    keep(entry, sifted->keep, hit);
    if (!bitmap_empty(sifted->late)) {
        late->sent_ms = bitmap_empty(late->late) || sifted->sent_ms < late->sent_ms
                            ? sifted->sent_ms
                            : late->sent_ms;
        bitmap_or(late->late, sifted->late);
        struct bitmap *some = bitmap_copy(sifted->late);
        bitmap_and(some, hit);
        bitmap_or(entry->late_hit, some);
        bitmap_destroy(&some);
    }
    searches__grew(entry);
}

void searches__learn_late(struct search_entry *entry)
{
    struct search_sifted *late = &entry->late;
    if (bitmap_empty(late->late)) {
        return;
    }
    searches__resift(entry->searches, late);
    bool has_grown = !bitmap_empty(late->keep);
    if (has_grown) {
        keep(entry, late->keep, entry->late_hit);
        bitmap_clear(late->keep);
    }
    bitmap_and(entry->late_hit, late->late);
    if (has_grown) {
        searches__grew(entry);
    } else {
        count(entry);
    }
}

/* --- caps ----------------------------------------------------------------------------------------- */

void searches__grew(struct search_entry *entry)
{
    struct searches *searches = entry->searches;
    if (!entry->is_listed) {
        return;
    }
    count(entry);
    entry->is_dirty = true;
    searches__write_soon(searches);
    /* Not now: what was found is still looked at. */
    evloop_defer(account__loop(searches->feed->account), &searches->trim_task, EVLOOP_NEXT_TURN);
}

static bool is_in_use(const struct search_entry *entry)
{
    return entry->pieces != NULL || entry->asks != NULL;
}

static void forget(struct search_entry *entry)
{
    unlist(entry);
    free_entry(entry);
}

static void trim(void *arg)
{
    struct searches *searches = arg;
    struct search_entry *entry, *next;
    uint32_t most = searches->feed->account->accounts->settings->search_remember;
    uint64_t n = HASH_COUNT(searches->entries);
    DL_FOREACH_SAFE(searches->used, entry, next) {
        bool is_excess = n > most;
        if ((!is_excess && searches->bytes <= SEARCHES_BYTES_MAX) || is_in_use(entry)) {
            continue;
        }
        if (!is_excess && entry->is_dirty) {
            /* to be read again from there */
            searches__write_entry(entry, searches__kept_uidnext(searches), NULL);
        }
        forget(entry);
        n--;
    }
}

/* --- the end -------------------------------------------------------------------------------------- */

static void end_entry(struct search_entry *entry)
{
    while (entry->asks != NULL) {
        searches__complete(entry->asks, CANCELED, SLICE(""), false);
    }
    searches__cancel_pieces(entry, false);
}

void searches__end(struct searches **searches, bool keeps)
{
    struct searches *gone = *searches;
    *searches = NULL;
    if (gone == NULL) {
        return;
    }
    if (keeps) {
        searches__write(gone);
    }
    while (gone->unlisted != NULL) {
        struct search_entry *entry = gone->unlisted;
        end_entry(entry);
        DL_DELETE(gone->unlisted, entry);
        free_entry(entry);
    }
    while (gone->used != NULL) {
        end_entry(gone->used);
        forget(gone->used);
    }
    searches__settle_fini(gone);
    evloop_cancel(account__loop(gone->feed->account), &gone->trim_task);
    timer_destroy(&gone->write_timer);
    alloc_free(gone);
}

void searches__forget(struct feed *feed)
{
    struct searches *searches = feed->searches;
    if (searches != NULL) {
        store_searches_drop(feed->account->accounts->env.store, searches->store_id);
        searches__end(&feed->searches, false);
        searches__begin(feed);
    }
}
