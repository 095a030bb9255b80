/* Which messages are too young for what is said of them to be remembered: an index of full text may
 * not have them yet.  Those that arrive while we watch are young for `search.settle` from then on, and
 * those that came while the link was away, or after the kept model was written, from when the mailbox is
 * seen again: one that was copied or moved has an INTERNALDATE as old as it likes.  Of those that were
 * there before the last hundred are suspect when the mailbox is first opened, until their INTERNALDATE is
 * known, which the store may have; else it is asked for along with the first search that names them.
 * Before the feed is live nobody knows which those are. */
#include "searches_p.h"

#include "account/plan.h"
#include "base/check.h"
#include "base/clock.h"
#include "imap/date.h"
#include "store/record.h"

enum {
    YOUNG_KEPT_MS = 10 * 60 * 1000, /* after it is over: commands sent before that are under way */
    ITEM_BYTES = 4096,
};

static uint64_t now_ms(const struct searches *searches)
{
    return evloop_now_ms(account__loop(searches->feed->account));
}

static uint64_t settle_ms(const struct searches *searches)
{
    return searches->feed->account->accounts->settings->search_settle_ms;
}

void searches__sifted_init(struct search_sifted *sifted, uint64_t now)
{
    *sifted = (struct search_sifted){
        .sent_ms = now, .keep = bitmap_create(), .late = bitmap_create()};
}

void searches__sifted_fini(struct search_sifted *sifted)
{
    bitmap_destroy(&sifted->keep);
    bitmap_destroy(&sifted->late);
}

/* --- the young ------------------------------------------------------------------------------------ */

static void forget_grown(struct searches *searches)
{
    struct search_settling *settling = &searches->settling;
    uint64_t now = now_ms(searches);
    size_t n = 0;
    for (size_t i = 0; i < settling->young_n; i++) {
        if (settling->young[i].until_ms + YOUNG_KEPT_MS > now) {
            settling->young[n++] = settling->young[i];
        }
    }
    settling->young_n = n;
}

/* One run over all: too many are asked about again, none is forgotten. */
static void join_young(struct search_settling *settling)
{
    struct search_young *all = &settling->young[0];
    for (size_t i = 1; i < settling->young_n; i++) {
        const struct search_young *one = &settling->young[i];
        all->first = one->first < all->first ? one->first : all->first;
        all->last = one->last > all->last ? one->last : all->last;
        all->until_ms = one->until_ms > all->until_ms ? one->until_ms : all->until_ms;
    }
    settling->young_n = 1;
}

static void add_young(struct searches *searches, uint32_t first, uint32_t uid, uint64_t until_ms)
{
    struct search_settling *settling = &searches->settling;
    struct search_young *last =
        settling->young_n > 0 ? &settling->young[settling->young_n - 1] : NULL;
    if (last != NULL && first > last->last && until_ms >= last->until_ms &&
        until_ms - last->until_ms <= settle_ms(searches) / 16) {
        last->last = uid;
        last->until_ms = until_ms;
        return;
    }
    forget_grown(searches);
    if (settling->young_n == SEARCHES_YOUNG_MAX) {
        join_young(settling);
    }
    settling->young[settling->young_n++] =
        (struct search_young){.first = first, .last = uid, .until_ms = until_ms};
}

/* Those that were too young then. */
static void remove_young(const struct searches *searches, uint64_t at_ms, struct bitmap *uids)
{
    const struct search_settling *settling = &searches->settling;
    for (size_t i = 0; i < settling->young_n; i++) {
        if (settling->young[i].until_ms > at_ms) {
            bitmap_remove(uids, settling->young[i].first, settling->young[i].last);
        }
    }
}

void searches__arrived(struct feed *feed, uint32_t uid)
{
    struct searches *searches = feed->searches;
    if (searches != NULL && settle_ms(searches) > 0) {
        struct search_settling *settling = &searches->settling;
        add_young(searches, uid, uid, now_ms(searches) + settle_ms(searches));
        settling->met_uid = uid > settling->met_uid ? uid : settling->met_uid;
    }
}

/* --- dates of suspects ---------------------------------------------------------------------------- */

/* @token: as the upstream said it, in quotes; none: it did not. */
static void take_date(struct searches *searches, uint32_t uid, struct slice token)
{
    struct search_settling *settling = &searches->settling;
    uint64_t now = now_ms(searches);
    uint64_t until = settling->opened_ms + settle_ms(searches); /* it was there before that */
    int64_t date, old_s;
    bitmap_remove(settling->suspects, uid, uid);
    if (token.len > 2 && date_time_seconds(slice_sub(token, 1, token.len - 2), &date)) {
        old_s = clock_wall_s() - date;
        uint64_t old_ms = old_s > 0 ? (uint64_t)old_s * 1000 : 0;
        uint64_t by_date = now + settle_ms(searches) > old_ms
                               ? now + settle_ms(searches) - old_ms
                               : 0;
        until = by_date < until ? by_date : until;
    }
    if (until + YOUNG_KEPT_MS > now) {
        add_young(searches, uid, uid, until);
    }
}

static void look_up(struct searches *searches, struct bitmap *uids)
{
    struct store *store = searches->feed->account->accounts->env.store;
    const struct record_key key = record_key_of(SLICE("INTERNALDATE"));
    struct store_walk walk;
    struct record record;
    struct slice date;
    uint32_t uid = 0;
    store_read_begin(store);
    store_walk_begin(store, searches->store_id, &walk);
    while (bitmap_next(uids, uid, &uid)) {
        if (store_walk_to(&walk, uid, &record) && record_find(&record, &key, &date)) {
            take_date(searches, uid, date);
        }
        if (++uid == 0) {
            break;
        }
    }
    store_walk_end(&walk);
    store_read_end(store);
    bitmap_and(uids, searches->settling.suspects);
}

static bool is_asked(const struct search_settling *settling, uint32_t uid)
{
    for (size_t i = 0; i < settling->dates_n; i++) {
        if (settling->dates[i].uid == uid) {
            return true;
        }
    }
    return false;
}

static void ask_dates(struct searches *searches, const struct bitmap *uids)
{
    struct search_settling *settling = &searches->settling;
    struct plan *plan = searches->feed->plan;
    uint32_t uid = 0;
    while (plan != NULL && bitmap_next(uids, uid, &uid)) {
        if (settling->dates_n < SEARCHES_TAIL && !is_asked(settling, uid)) {
            if (settling->dates_n == 0) {
                settling->plan = plan;
                plan_wait(plan, &settling->waiter);
            }
            settling->dates[settling->dates_n++] = (struct search_date){
                .uid = uid, .pending = plan_ask(plan, uid, &settling->item)};
        }
        if (++uid == 0) {
            break;
        }
    }
}

static void want_dates(struct searches *searches, const struct bitmap *uids)
{
    struct bitmap *some = bitmap_copy(uids);
    bitmap_and(some, searches->settling.suspects);
    if (!bitmap_empty(some)) {
        look_up(searches, some);
        ask_dates(searches, some);
    }
    bitmap_destroy(&some);
}

static void learn_late(struct searches *searches)
{
    struct search_entry *entry;
    for (entry = searches->used; entry != NULL; entry = entry->next) {
        searches__learn_late(entry);
    }
}

static void end_dates(struct search_settling *settling)
{
    for (size_t i = 0; i < settling->dates_n; i++) {
        pending_release(settling->plan, &settling->dates[i].pending);
    }
    settling->dates_n = 0;
    if (settling->plan != NULL) {
        plan_unwait(settling->plan, &settling->waiter);
        settling->plan = NULL;
    }
}

/* False: it is still to come. */
static bool take_value(struct searches *searches, const struct search_date *date)
{
    const struct value *value = pending_value(date->pending, &searches->settling.item);
    struct bitmap *one;
    switch (value != NULL ? value->state : VALUE_FAILED) {
    case VALUE_WANTED:
    case VALUE_ARRIVING:
        return false;
    case VALUE_HERE:
        take_date(searches, date->uid, value->is_content ? SLICE("") : value->token);
        return true;
    case VALUE_KEPT:
        one = bitmap_create();
        bitmap_add(one, date->uid, date->uid);
        look_up(searches, one);
        if (!bitmap_empty(one)) {
            take_date(searches, date->uid, SLICE(""));
        }
        bitmap_destroy(&one);
        return true;
    case VALUE_ABSENT:
    case VALUE_FAILED:
        break;
    }
    take_date(searches, date->uid, SLICE(""));
    return true;
}

static void progress(struct plan_waiter *waiter)
{
    struct searches *searches = (struct searches *)(void *)((char *)waiter -
        offsetof(struct searches, settling) - offsetof(struct search_settling, waiter));
    struct search_settling *settling = &searches->settling;
    size_t n = 0;
    for (size_t i = 0; i < settling->dates_n; i++) {
        if (take_value(searches, &settling->dates[i])) {
            pending_release(settling->plan, &settling->dates[i].pending);
        } else {
            settling->dates[n++] = settling->dates[i];
        }
    }
    bool is_news = n < settling->dates_n;
    settling->dates_n = n;
    if (n == 0) {
        end_dates(settling);
    }
    if (is_news) {
        learn_late(searches);
    }
}

/* --- the opening ---------------------------------------------------------------------------------- */

void searches__kept(struct feed *feed)
{
    if (feed->searches != NULL) {
        feed->searches->settling.kept_uidnext = mailbox_uidnext(feed->mailbox);
    }
}

static void suspect_tail(struct searches *searches)
{
    struct search_settling *settling = &searches->settling;
    const struct mailbox *mailbox = searches->feed->mailbox;
    uint32_t n = mailbox_exists(mailbox);
    struct mailbox_entry entry;
    for (uint32_t rank = n; rank > 0 && n - rank < SEARCHES_TAIL; rank--) {
        if (!mailbox_at(mailbox, rank, &entry) || entry.uid <= settling->met_uid) {
            break;
        }
        bitmap_add(settling->suspects, entry.uid, entry.uid);
    }
}

void searches__live(struct feed *feed)
{
    struct searches *searches = feed->searches;
    if (searches == NULL) {
        return;
    }
    struct search_settling *settling = &searches->settling;
    uint32_t last = mailbox_last_uid(feed->mailbox);
    bool is_first = settling->opened_ms == 0;
    uint32_t first_new = is_first ? settling->kept_uidnext : settling->met_uid + 1;
    if (is_first) {
        settling->opened_ms = now_ms(searches);
        suspect_tail(searches);
    }
    if (first_new > 0 && last >= first_new && settle_ms(searches) > 0) {
        add_young(searches, first_new, last, now_ms(searches) + settle_ms(searches));
        bitmap_remove(settling->suspects, first_new, last);
    }
    settling->met_uid = last > settling->met_uid ? last : settling->met_uid;
    learn_late(searches);
    searches__write_soon(searches); /* what could not be while there was no model to keep */
}

/* --- sifting -------------------------------------------------------------------------------------- */

/* The link knows those below (design 5.8): what the model has it has told; it had them when it said
 * UIDNEXT. */
static uint32_t known_uidnext(const struct feed *feed)
{
    uint32_t uidnext = mailbox_uidnext(feed->mailbox);
    bool is_told = feed->state == FEED_SYNCING && !feed->is_selecting;
    return is_told && feed->told_uidnext > uidnext ? feed->told_uidnext : uidnext;
}

void searches__resift(struct searches *searches, struct search_sifted *sifted)
{
    const struct search_settling *settling = &searches->settling;
    if (bitmap_empty(sifted->late)) {
        return;
    }
    want_dates(searches, sifted->late);
    struct bitmap *decided = bitmap_copy(sifted->late);
    if (settling->met_uid < UINT32_MAX) {
        bitmap_remove(decided, settling->met_uid + 1, UINT32_MAX);
    }
    bitmap_andnot(decided, settling->suspects);
    bitmap_andnot(sifted->late, decided);
    remove_young(searches, sifted->sent_ms, decided);
    bitmap_or(sifted->keep, decided);
    bitmap_destroy(&decided);
}

void searches__sift(struct searches *searches, const struct bitmap *asked,
                    struct search_sifted *out)
{
    struct search_settling *settling = &searches->settling;
    struct bitmap *target = settle_ms(searches) > 0 ? out->late : out->keep;
    bitmap_or(target, asked);
    bitmap_remove(target, known_uidnext(searches->feed), UINT32_MAX);
    if (settling->dates_n == 0 && now_ms(searches) >= settling->opened_ms + settle_ms(searches)) {
        bitmap_clear(settling->suspects); /* whatever their dates say */
    }
    searches__resift(searches, out);
}

void searches__settle_init(struct searches *searches)
{
    struct search_settling *settling = &searches->settling;
    settling->suspects = bitmap_create();
    settling->waiter.progress = progress;
    arena_init(&settling->arena, ITEM_BYTES);
    CHECK(fetch_item_parse(SLICE("INTERNALDATE"), &settling->arena, &settling->item) == OK);
}

void searches__settle_fini(struct searches *searches)
{
    end_dates(&searches->settling);
    bitmap_destroy(&searches->settling.suspects);
    arena_reset(&searches->settling.arena);
}
