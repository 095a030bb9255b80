/* Claims that two messages are one: made from a COPYUID, settled by comparison. */
#include "account/share.h"

#include <stdlib.h>
#include <utlist.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/log.h"
#include "feed_p.h"
#include "imap/copyuid.h"
#include "model/flagset.h"
#include "share_p.h"
#include "store/state.h"

#define KEY_SAME SLICE("=SAME")
#define KEY_SIZE SLICE("RFC822.SIZE")
#define KEY_ENVELOPE SLICE("ENVELOPE")

/* What stands beside a BODY[] and says what may be derived from it (derive.h). */
static const char *const marks[] = {"?=BODY[]", "?=PARTS"};
enum { MARKS_N = sizeof(marks) / sizeof(marks[0]) };

enum { SHARE_ARENA_BYTES = 256 * 1024, SHARE_SECTIONS_MAX = 32 };

/* --- records ----------------------------------------------------------------------------------- */

/* The record of a message, found; the caller has begun to read and ends it. */
struct reading {
    struct store_walk walk;
    struct record record;
    bool has_record;
};

static void read_begin(struct reading *reading, struct store *store, uint64_t mailbox_id,
                       uint32_t uid)
{
    store_read_begin(store);
    store_walk_begin(store, mailbox_id, &reading->walk);
    reading->has_record = store_walk_to(&reading->walk, uid, &reading->record);
}

static void read_end(struct reading *reading)
{
    struct store *store = reading->walk.store;
    store_walk_end(&reading->walk);
    store_read_end(store);
}

static bool find(const struct reading *reading, struct slice key, struct slice *value_out)
{
    struct record_key record_key = record_key_of(key);
    return reading->has_record && record_find(&reading->record, &record_key, value_out);
}

bool share__has_item(struct store *store, uint64_t mailbox_id, uint32_t uid, struct slice key)
{
    struct reading reading;
    struct slice value;
    read_begin(&reading, store, mailbox_id, uid);
    bool found = find(&reading, key, &value);
    read_end(&reading);
    return found;
}

static void put(struct store *store, uint64_t mailbox_id, uint32_t uid, struct slice key,
                struct slice value)
{
    if (store_item_put(store, mailbox_id, uid, key, value) != OK) {
        LOG(LOG_DEBUG, "share", "msg=\"not kept\" uid=%u", uid);
    }
}

/* Messages without Message-ID, the last item of an ENVELOPE, are not told apart by it. */
static bool has_no_id(struct slice envelope)
{
    struct slice end = SLICE(" NIL)");
    return envelope.len < end.len ||
           slice_eq_nocase(slice_sub(envelope, envelope.len - end.len, end.len), end);
}

/* "<size> <envelope>" of the message; false when one of the two is not kept, or says too little. */
static bool likeness(const struct reading *reading, struct buf *out)
{
    struct slice size, envelope;
    if (!find(reading, KEY_SIZE, &size) || !find(reading, KEY_ENVELOPE, &envelope)) {
        return false;
    }
    if (has_no_id(envelope)) {
        return false;
    }
    buf_reset(out);
    buf_add(out, size);
    buf_add_char(out, ' ');
    buf_add(out, envelope);
    return buf_ok(out);
}

static bool is_claimed(struct slice section)
{
    return section.len > 0 && section.data[0] == '?';
}

/* --- settling ---------------------------------------------------------------------------------- */

/* Copy what stands under "?X" to X, where the content is still there; returns how many contents. */
static size_t promote(const struct reading *reading, uint64_t mailbox_id)
{
    struct store *store = reading->walk.store;
    struct record_iter iter = {.has_begun = false};
    struct slice section, mark;
    struct content_ref ref;
    size_t n = 0;
    while (record_next_content(&reading->record, &iter, &section, &ref)) {
        if (is_claimed(section) && store_content_share(store, &ref, mailbox_id, reading->record.uid,
                                                       slice_sub(section, 1, section.len)) == OK) {
            n++;
        }
    }
    for (size_t i = 0; i < MARKS_N; i++) {
        if (find(reading, slice_str(marks[i]), &mark)) {
            put(store, mailbox_id, reading->record.uid, slice_str(marks[i] + 1), mark);
        }
    }
    return n;
}

static bool is_there(const struct reading *reading)
{
    struct record_iter iter = {.has_begun = false};
    struct slice section;
    struct content_ref ref;
    while (record_next_content(&reading->record, &iter, &section, &ref)) {
        if (is_claimed(section) && store_content_check(reading->walk.store, &ref) == OK) {
            return true;
        }
    }
    return false;
}

enum share_state share__settle(struct store *store, uint64_t mailbox_id, uint32_t uid)
{
    struct reading reading;
    struct slice same;
    struct buf now;
    enum share_state state = SHARE_NONE;
    buf_init(&now, 0);
    read_begin(&reading, store, mailbox_id, uid);
    if (find(&reading, KEY_SAME, &same) && same.len > 0) {
        bool is_known = likeness(&reading, &now);
        if (!is_known && is_there(&reading)) {
            state = SHARE_UNPROVEN;
        } else {
            bool is_same = is_known && slice_eq(same, buf_slice(&now));
            state = is_same && promote(&reading, mailbox_id) > 0 ? SHARE_PROVEN : SHARE_NONE;
            share__deny(store, mailbox_id, uid); /* whatever came of it, it is settled */
        }
    }
    read_end(&reading);
    buf_fini(&now);
    return state;
}

void share__deny(struct store *store, uint64_t mailbox_id, uint32_t uid)
{
    put(store, mailbox_id, uid, KEY_SAME, SLICE(""));
}

/* --- one copy ---------------------------------------------------------------------------------- */

struct share_copy {
    struct share_copy *next, *prev; /* of the feed's */
    struct feed *source;            /* NULL: has gone */
    char *target;
    size_t target_len;
    struct ranges wanted; /* UIDs whose content may be shared */
    uint32_t uidnext;     /* of the target before the copy, as far as known: what is new is not below */
    struct arena arena;
    struct copyuid told; /* n 0: not told yet */
};

static struct store *store_of(const struct feed *feed)
{
    return feed->account->accounts->env.store;
}

bool share__is_draft(const struct feed *feed, uint32_t uid)
{
    struct mailbox_entry entry;
    return !mailbox_get(feed->mailbox, uid, &entry) ||
           (flags_bits(mailbox_flags(feed->mailbox), entry.flags) & FLAG_DRAFT) != 0;
}

static bool has_content(const struct reading *reading)
{
    struct record_iter iter = {.has_begun = false};
    struct slice section;
    struct content_ref ref;
    while (reading->has_record &&
           record_next_content(&reading->record, &iter, &section, &ref)) {
        if (!is_claimed(section) && store_content_check(reading->walk.store, &ref) == OK) {
            return true;
        }
    }
    return false;
}

/* Also what was claimed once and found wrong: two claims would mix. */
static bool has_pointer(struct store *store, struct share_place of)
{
    struct reading reading;
    struct record_iter iter = {.has_begun = false};
    struct slice section;
    struct content_ref ref;
    read_begin(&reading, store, of.mailbox_id, of.uid);
    bool found =
        reading.has_record && record_next_content(&reading.record, &iter, &section, &ref);
    read_end(&reading);
    return found;
}

/* Of @uids, those of which something is cached that would be downloaded again. */
static void find_wanted(const struct feed *feed, const struct ranges *uids, struct ranges *out)
{
    for (uint32_t uid = 0; ranges_next(uids, uid, &uid); uid++) {
        struct reading reading;
        read_begin(&reading, store_of(feed), feed->store_id, uid);
        if (has_content(&reading) && !share__is_draft(feed, uid)) {
            ranges_add(out, uid, uid);
        }
        read_end(&reading);
    }
}

struct share_copy *share_begin(struct feed *source, const struct ranges *uids, struct slice target)
{
    if (source->store_id == 0 || source->plan == NULL || ranges_count(uids) > SHARE_PAIRS_MAX) {
        return NULL;
    }
    struct share_copy *copy = alloc_zero(sizeof(*copy));
    ranges_init(&copy->wanted, 0);
    find_wanted(source, uids, &copy->wanted);
    if (ranges_empty(&copy->wanted)) {
        ranges_fini(&copy->wanted);
        alloc_free(copy);
        return NULL;
    }
    copy->source = source;
    copy->target = alloc_zero(target.len + 1);
    memcpy(copy->target, target.data, target.len);
    copy->target_len = target.len;
    arena_init(&copy->arena, SHARE_ARENA_BYTES);
    struct feed *feed = NULL;
    HASH_FIND(hh, source->account->feeds, target.data, target.len, feed);
    copy->uidnext = feed != NULL ? mailbox_uidnext(feed->mailbox) : 0;
    DL_APPEND(source->copies, copy);
    /* Of all of them: the claims hold only if no two look alike. */
    plan_ask_likeness(source->plan, uids);
    return copy;
}

void share_told(struct share_copy *copy, const struct response *response)
{
    struct copyuid told;
    if (copy == NULL || copy->told.n > 0) {
        return;
    }
    enum status st = copyuid_pairs(response, SHARE_PAIRS_MAX, &copy->arena, &told);
    if (st == OK && told.uidvalidity != 0) {
        copy->told = told;
    } else if (st != NOT_FOUND) {
        LOG(LOG_DEBUG, "share", "msg=\"copy not followed\" why=%s", status_name(st));
    }
}

void share__feed_gone(struct feed *feed)
{
    struct share_copy *copy, *next;
    DL_FOREACH_SAFE(feed->copies, copy, next) {
        DL_DELETE(feed->copies, copy);
        copy->source = NULL;
    }
}

/* --- its end ----------------------------------------------------------------------------------- */

/* One of the messages that were copied. */
struct copied {
    struct uid_pair pair;
    uint64_t likeness; /* hash */
};

static int by_likeness(const void *a, const void *b)
{
    uint64_t left = ((const struct copied *)a)->likeness;
    uint64_t right = ((const struct copied *)b)->likeness;
    return left < right ? -1 : left > right;
}

/* False: something is not known of one of them, so nothing can be said of any. */
static bool look_at(const struct share_copy *copy, struct copied *out)
{
    const struct feed *source = copy->source;
    struct buf text;
    bool is_known = true;
    buf_init(&text, 0);
    for (size_t i = 0; i < copy->told.n && is_known; i++) {
        struct reading reading;
        read_begin(&reading, store_of(source), source->store_id, copy->told.pairs[i].source);
        is_known = likeness(&reading, &text);
        out[i] = (struct copied){.pair = copy->told.pairs[i]};
        out[i].likeness = XXH3_64bits(text.data, text.len);
        read_end(&reading);
    }
    buf_fini(&text);
    return is_known;
}

/* The id in the store of the mailbox copied to; 0: unknown, or another than the COPYUID's. */
static uint64_t target_id(const struct feed *source, struct slice name, uint32_t uidvalidity)
{
    struct account *account = source->account;
    struct feed *feed = NULL;
    uint64_t id = 0;
    HASH_FIND(hh, account->feeds, name.data, name.len, feed);
    if (feed != NULL && feed->store_id != 0) {
        return mailbox_uidvalidity(feed->mailbox) == uidvalidity ? feed->store_id : 0;
    }
    if (store_mailbox_open(store_of(source), slice_of(account->key, account->key_len), name,
                           uidvalidity, &id) != OK) {
        return 0;
    }
    return id;
}

static void point(const struct reading *from, uint64_t mailbox_id, uint32_t uid)
{
    struct store *store = from->walk.store;
    struct record_iter iter = {.has_begun = false};
    struct slice section, mark;
    struct content_ref ref;
    struct buf key;
    buf_init(&key, STORE_KEY_MAX);
    for (size_t n = 0; n < SHARE_SECTIONS_MAX &&
                       record_next_content(&from->record, &iter, &section, &ref);
         n++) {
        buf_reset(&key);
        buf_add_char(&key, '?');
        buf_add(&key, section);
        if (!is_claimed(section) && buf_ok(&key) &&
            store_content_share(store, &ref, mailbox_id, uid, buf_slice(&key)) != OK) {
            LOG(LOG_DEBUG, "share", "msg=\"not shared\" uid=%u", uid);
        }
    }
    for (size_t i = 0; i < MARKS_N; i++) {
        if (find(from, slice_str(marks[i] + 1), &mark)) {
            put(store, mailbox_id, uid, slice_str(marks[i]), mark);
        }
    }
    buf_fini(&key);
}

/* Somebody was quicker to read it than we to hear of the copy; or it is no copy at all. */
static bool is_known_already(struct store *store, uint64_t mailbox_id, uint32_t uid)
{
    struct reading reading;
    read_begin(&reading, store, mailbox_id, uid);
    bool is_known = reading.has_record;
    read_end(&reading);
    return is_known;
}

void share__claim(struct store *store, struct share_place from, struct share_place to)
{
    struct reading reading;
    struct buf text;
    buf_init(&text, STORE_ITEM_MAX);
    read_begin(&reading, store, from.mailbox_id, from.uid);
    if (likeness(&reading, &text) && !has_pointer(store, to)) {
        point(&reading, to.mailbox_id, to.uid);
        put(store, to.mailbox_id, to.uid, KEY_SAME, buf_slice(&text));
    }
    read_end(&reading);
    buf_fini(&text);
}

bool share__is_source(struct store *store, struct share_place of, struct slice key,
                      struct slice id)
{
    struct reading reading;
    struct slice kept;
    struct buf text;
    buf_init(&text, 0);
    read_begin(&reading, store, of.mailbox_id, of.uid);
    bool is_source = find(&reading, key, &kept) && slice_eq(kept, id) && has_content(&reading) &&
                     likeness(&reading, &text);
    read_end(&reading);
    buf_fini(&text);
    return is_source;
}

static void claim_all(const struct share_copy *copy, struct copied *copied)
{
    const struct feed *source = copy->source;
    size_t n = copy->told.n, claims_n = 0;
    if (!look_at(copy, copied)) {
        return;
    }
    uint64_t target = target_id(source, slice_of(copy->target, copy->target_len),
                                copy->told.uidvalidity);
    uint32_t kept = target != 0 ? store_state_uidnext(store_of(source), target) : 0;
    uint32_t uidnext = kept > copy->uidnext ? kept : copy->uidnext;
    qsort(copied, n, sizeof(*copied), by_likeness);
    for (size_t i = 0; i < n && target != 0; i++) {
        bool is_like = (i > 0 && copied[i - 1].likeness == copied[i].likeness) ||
                       (i + 1 < n && copied[i + 1].likeness == copied[i].likeness);
        bool is_new = copied[i].pair.dest >= uidnext;
        if (!is_like && is_new && ranges_has(&copy->wanted, copied[i].pair.source)) {
            const struct uid_pair *pair = &copied[i].pair;
            if (!is_known_already(store_of(source), target, pair->dest)) {
                share__claim(store_of(source),
                             (struct share_place){source->store_id, pair->source},
                             (struct share_place){target, pair->dest});
            }
            claims_n++;
        }
    }
    LOG(LOG_DEBUG, "share", "msg=\"copied mail known\" account=%s messages=%zu of=%zu",
        source->account->name, claims_n, n);
}

void share_end(struct share_copy **copy)
{
    struct share_copy *gone = *copy;
    *copy = NULL;
    if (gone == NULL) {
        return;
    }
    struct feed *source = gone->source;
    if (source != NULL && gone->told.n > 0) {
        struct copied *copied = alloc_array(gone->told.n, sizeof(*copied));
        claim_all(gone, copied);
        alloc_free(copied);
    }
    if (source != NULL) {
        DL_DELETE(source->copies, gone);
        feed__bury(source);
    }
    ranges_fini(&gone->wanted);
    arena_reset(&gone->arena);
    alloc_free(gone->target);
    alloc_free(gone);
}
