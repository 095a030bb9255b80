/* Is it still the same mailbox?  A kept model is believed only if a sample of its messages still is
 * what it was: names are deleted and made again, and weak servers reuse UIDVALIDITY (protocol T6). */
#include "feed_sync_p.h"
#include "searches_p.h"
#include "base/log.h"
#include "imap/outcmd.h"
#include "store/record.h"

enum { SAMPLE_TRIES = 64, SAMPLE_KEPT = 4 };

/* Of the first, the last and some others those whose date is kept: they can be compared. */
static size_t sample_kept(const struct feed *feed, struct ranges *out)
{
    struct store *store = feed->account->accounts->env.store;
    const struct record_key key = record_key_of(SLICE("INTERNALDATE"));
    uint32_t n = mailbox_exists(feed->mailbox);
    uint32_t random[SAMPLE_TRIES];
    struct store_walk walk;
    secret_random(random, sizeof(random));
    store_read_begin(store);
    store_walk_begin(store, feed->store_id, &walk);
    random[0] = 0;
    random[1] = n - 1;
    size_t found = 0;
    for (size_t i = 0; n > 0 && i < SAMPLE_TRIES && found < SAMPLE_KEPT; i++) {
        struct mailbox_entry entry;
        struct record record;
        struct slice date;
        if (mailbox_at(feed->mailbox, 1 + random[i] % n, &entry) &&
            store_walk_to(&walk, entry.uid, &record) && record_find(&record, &key, &date)) {
            ranges_add(out, entry.uid, entry.uid);
            found++;
        }
    }
    store_walk_end(&walk);
    store_read_end(store);
    return found;
}

static size_t sample_uids(const struct feed *feed, struct ranges *out)
{
    uint32_t n = mailbox_exists(feed->mailbox);
    uint32_t random;
    struct mailbox_entry entry;
    size_t kept_n = sample_kept(feed, out);
    secret_random(&random, sizeof(random));
    const uint32_t ranks[] = {1, n, n > 0 ? 1 + random % n : 0, n > 0 ? 1 + random / 7 % n : 0,
                              n > 0 ? 1 + random / 31 % n : 0};
    for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++) {
        if (mailbox_at(feed->mailbox, ranks[i], &entry)) {
            ranges_add(out, entry.uid, entry.uid);
        }
    }
    return kept_n;
}

/* Compare with what is kept; keep it when nothing is, for the next time. */
static void compare_kept(struct feed *feed, uint32_t uid, struct slice key, struct slice value)
{
    struct store *store = feed->account->accounts->env.store;
    const struct record_key record_key = record_key_of(key);
    struct store_walk walk;
    struct record record;
    struct slice kept;
    bool is_kept = false;
    store_read_begin(store);
    store_walk_begin(store, feed->store_id, &walk);
    if (store_walk_to(&walk, uid, &record) && record_find(&record, &record_key, &kept)) {
        is_kept = true;
        feed->has_compared = true;
        feed->check_failed = feed->check_failed || !slice_eq(kept, value);
    }
    store_walk_end(&walk);
    store_read_end(store);
    if (!is_kept && !feed->check_failed &&
        store_item_put(store, feed->store_id, uid, key, value) != OK) {
        LOG(LOG_DEBUG, "feed", "msg=\"sample not kept\"");
    }
}

void feed__check_answer(struct feed *feed, const struct response *response)
{
    struct respfetch it;
    struct respfetch_item item;
    uint64_t uid = 0;
    struct slice date = {0}, size = {0};
    respfetch_init(&it, response);
    while (respfetch_next(&it, &item) == OK) {
        if (item.kind == FETCH_UID) {
            (void)respfetch_number(&item, &uid);
        } else if (respfetch_is_filler(&item)) {
            return; /* of a message that has just gone (T1) */
        } else if (respfetch_is_standin(&item, account__standin_bytes(feed->account))) {
            return; /* of one that cannot be read just now */
        } else if (item.kind == FETCH_INTERNALDATE) {
            date = item.value.raw;
        } else if (item.kind == FETCH_RFC822_SIZE) {
            size = item.value.raw;
        }
    }
    if (uid > 0 && uid <= UINT32_MAX && date.len > 0 && size.len > 0) {
        compare_kept(feed, (uint32_t)uid, SLICE("INTERNALDATE"), date);
        compare_kept(feed, (uint32_t)uid, SLICE("RFC822.SIZE"), size);
    }
}

void feed__drop_records(struct feed *feed)
{
    struct account *account = feed->account;
    LOG(LOG_WARN, "feed", "msg=\"another mailbox under the same name, cache dropped\" account=%s "
                          "mailbox=%s", account->name, LOG_Q(feed_name(feed)));
    store_mailbox_drop(account->accounts->env.store, slice_of(account->key, account->key_len),
                       feed_name(feed));
}

bool feed__forget_model(struct feed *feed)
{
    feed__send_away(feed, feed->told_uidvalidity, true);
    if (feed->users == NULL && feed->opens == NULL && feed->waiting == NULL) {
        feed->state = FEED_ENDED; /* what it believed is not worth keeping */
        feed__destroy(feed);
        return false;
    }
    for (size_t i = 0; i < DOUBT_KINDS; i++) { /* what is doubted is looked into at once again */
        feed->doubts[i].wait_ms = feed->doubts[i].next_ms = 0;
    }
    feed->knows = FEED_KNOWS_NOTHING;
    feed->is_mapped = false;
    feed->is_qresync = false; /* what it told was of that model */
    ranges_reset(&feed->earlier);
    orders__drop(feed);
    request__fail_waiting(&feed->waiting, CANCELED); /* they are about the other mailbox */
    request__forget_selection(feed);
    searches__end(&feed->searches, false);
    if (feed->plan != NULL) {
        plan_destroy(&feed->plan);
    }
    feed__load(feed, feed->told_uidvalidity);
    if (feed->store_id == 0) {
        feed__give_up(feed, LIMIT, NULL);
    }
    return feed->store_id != 0;
}

/* Does the sample say that it is another one? */
static bool is_other(const struct feed *feed)
{
    return feed->check_failed || (feed->must_prove && !feed->has_compared);
}

static void other_mailbox(struct feed *feed)
{
    feed->must_prove = false;
    feed__drop_records(feed);
    if (feed__forget_model(feed)) {
        feed__go_on(feed);
    }
}

static void check_done(struct feed *feed, enum status st, const struct response *tagged)
{
    if (st != OK) {
        feed__give_up(feed, st, tagged);
    } else if (is_other(feed)) {
        other_mailbox(feed);
    } else {
        /* None of them is there any more: what is left is looked at once it is known. */
        feed->must_check = feed->can_compare && !feed->has_compared;
        feed__go_on(feed);
    }
}

/* The same, of a model that is true. */
static void last_check_done(struct feed *feed, enum status st, const struct response *tagged)
{
    if (st != OK) {
        feed__give_up(feed, st, tagged);
    } else if (is_other(feed)) {
        other_mailbox(feed);
    } else {
        feed__after_scan(feed);
    }
}

static bool ask(struct feed *feed, feed_done_fn *done)
{
    struct ranges uids;
    struct outcmd cmd;
    ranges_init(&uids, 0);
    feed->can_compare = sample_uids(feed, &uids) > 0;
    bool is_asking = !ranges_empty(&uids);
    if (is_asking) {
        outcmd_init(&cmd);
        outcmd_str(&cmd, "UID FETCH ");
        outcmd_ranges(&cmd, &uids);
        outcmd_str(&cmd, " (UID INTERNALDATE RFC822.SIZE)");
        feed->check_failed = false;
        feed->has_compared = false;
        feed__send(feed, &cmd, 0, done)->is_check = true;
    }
    ranges_fini(&uids);
    return is_asking;
}

bool feed__check_identity(struct feed *feed)
{
    return ask(feed, check_done);
}

bool feed__last_check(struct feed *feed)
{
    return ask(feed, last_check_done);
}

/* --- doubts --------------------------------------------------------------------------------------- */

bool feed__has_doubts(const struct feed *feed)
{
    return feed->was_emptied || feed->doubts[DOUBT_COMPLAINT].is_open ||
           feed->doubts[DOUBT_UIDVALIDITY].is_open;
}

void feed__forget_doubts(struct feed *feed)
{
    feed->was_emptied = false;
    for (size_t i = 0; i < DOUBT_KINDS; i++) {
        feed->doubts[i].is_open = false;
    }
}

static uint64_t now_ms(const struct feed *feed)
{
    return evloop_now_ms(account__loop(feed->account));
}

/* A server that goes on giving rise to it for nothing is asked ever more rarely: a SELECT without
 * CONDSTORE is a scan of all flags. */
static void look_into(struct feed_doubt *doubt, uint64_t now)
{
    bool is_old = doubt->wait_ms == 0 || now >= doubt->next_ms + DOUBT_WAIT_LAST_MS;
    uint64_t wait = is_old ? DOUBT_WAIT_MS : 2 * doubt->wait_ms;
    doubt->wait_ms = wait < DOUBT_WAIT_LAST_MS ? wait : DOUBT_WAIT_LAST_MS;
    doubt->next_ms = now + doubt->wait_ms;
}

/* T6: to who is inside a mailbox that others delete or rename Cyrus tells all messages gone, and then
 * lets them sit in an empty one, while a SELECT of it is refused.  So a mailbox that has lost its last
 * message is selected anew when nothing else is under way on its link: it is, or it is not. */
void feed__check_doubts(struct feed *feed)
{
    struct feed_doubt *named = &feed->doubts[DOUBT_UIDVALIDITY];
    uint64_t now = now_ms(feed);
    bool is_due = false;
    feed->was_emptied = feed->was_emptied && feed->exists == 0;
    named->is_open = named->is_open && feed->doubted_uidvalidity != mailbox_uidvalidity(feed->mailbox);
    for (size_t i = 0; i < DOUBT_KINDS; i++) {
        is_due = is_due || (feed->doubts[i].is_open && now >= feed->doubts[i].next_ms);
    }
    if ((!feed->was_emptied && !is_due) || !slot__is_ready(feed->slot) ||
        link_load(feed->slot->link) > 0) {
        return;
    }
    for (size_t i = 0; i < DOUBT_KINDS; i++) {
        if (feed->doubts[i].is_open) {
            look_into(&feed->doubts[i], now);
        }
    }
    LOG(LOG_INFO, "feed", "msg=\"selected anew\" account=%s mailbox=%s why=%s", feed->account->name,
        LOG_Q(feed_name(feed)), is_due ? "doubt" : "emptied");
    feed__recheck(feed);
}

/* While it synchronises, too: the SELECT may be of before. */
static void doubt(struct feed *feed, enum feed_doubt_kind kind)
{
    if (feed->state == FEED_LIVE || feed->state == FEED_SYNCING) {
        feed->doubts[kind].is_open = true;
        feed__stir(feed);
    }
}

/* One that was not true is looked into more rarely; another at once. */
void feed__doubt(struct feed *feed, uint32_t uidvalidity)
{
    if (uidvalidity != feed->doubted_uidvalidity) {
        feed->doubts[DOUBT_UIDVALIDITY].next_ms = 0;
    }
    feed->doubted_uidvalidity = uidvalidity;
    doubt(feed, DOUBT_UIDVALIDITY);
}

/* Dovecot lets who is inside go on in what was deleted, by "* NO Internal error" at each NOOP and in
 * IDLE.  Others warn so of a full disk (RFC 3501 7.1.2), so that it is not asked about each time. */
void feed__complained(struct feed *feed, const struct response *response)
{
    bool is_unexplained = response->code == CODE_NONE || response->code == CODE_SERVERBUG ||
                          response->code == CODE_NONEXISTENT;
    if (feed->state == FEED_LIVE && is_unexplained &&
        now_ms(feed) >= feed->doubts[DOUBT_COMPLAINT].next_ms) {
        doubt(feed, DOUBT_COMPLAINT);
    }
}
