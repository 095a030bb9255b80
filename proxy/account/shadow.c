/*   answer from the cache --one in N--> check waits --link idle--> ours is looked up, theirs is asked
 *     equal, or in doubt  -> over.  In doubt: link lost, refused, no data, filler, anything expunged
 *                            meanwhile, the message or our record of it gone
 *     different           -> the record is dropped; asked once more
 *     different again     -> counted, logged, the account is distrusted
 * A server may say for a moment what is not so (in the middle of a rename, or one of several backends): hence
 * the second time. */
#include "shadow_p.h"

#include <string.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/log.h"
#include "feed_p.h"
#include "imap/respfetch.h"
#include "store/record.h"

enum {
    LOOK_MS = 250,      /* how often it is looked whether the link is idle */
    LOOKS_MAX = 240,    /* then the check is given up */
    ITEM_BYTES = 32 * 1024,
    WRONG_MAX = 1024,   /* UIDs remembered per mailbox */
    DISTRUSTED_MAX = 1024,
};

struct check {
    struct check *next, *prev;
    struct feed *feed;
    uint64_t store_id;
    uint32_t uid;
    uint32_t looks_n;
    struct arena arena;
    struct fetch_item item;
    /* asked: a window of the section, or all of the value */
    bool has_window;
    uint64_t offset, count;
    bool is_derived;
    bool is_nil;
    struct buf ours; /* octets of the window, or the token */
    bool has_differed;
    /* answered */
    bool is_doubtful, has_answer, differs;
    bool is_streamed;
    uint64_t stream_size;
    uint64_t stream_at; /* octets that came and were equal, up to the first that was not */
};

struct shadow {
    struct account *account;
    uint64_t left; /* answers until the next one is remembered */
    uint64_t drawn_for; /* verify_every when that was drawn */
    uint64_t served_bytes, spent_bytes;
    struct check *checks; /* the first one is under way when there is a request */
    size_t checks_n;
    struct request *request;
    struct timer *timer;
};

/* An account that was found wrong, beyond the life of its struct. */
struct distrusted {
    UT_hash_handle hh;
    enum lookup_trust trust;
    uint64_t until_ms;
    size_t key_len;
    char key[];
};

static uint64_t now_ms(const struct account *account)
{
    return evloop_now_ms(account__loop(account));
}

static struct store *store_of(const struct account *account)
{
    return account->accounts->env.store;
}

/* --- trust ------------------------------------------------------------------------------------- */

static struct distrusted *find_distrusted(const struct account *account)
{
    struct distrusted *found = NULL;
    HASH_FIND(hh, account->accounts->distrusted, account->key, account->key_len, found);
    return found;
}

enum lookup_trust shadow_trust(const struct account *account)
{
    const struct distrusted *found =
        account->accounts->distrusted != NULL ? find_distrusted(account) : NULL;
    return found != NULL && now_ms(account) < found->until_ms ? found->trust : LOOKUP_TRUSTS_ALL;
}

static void forget(struct accounts *accounts, struct distrusted *distrusted)
{
    HASH_DEL(accounts->distrusted, distrusted);
    alloc_free(distrusted);
}

void shadow__forget(struct accounts *accounts)
{
    while (accounts->distrusted != NULL) {
        forget(accounts, accounts->distrusted);
    }
}

static void distrust(struct account *account, enum lookup_trust trust)
{
    struct accounts *accounts = account->accounts;
    struct distrusted *found = find_distrusted(account);
    if (found == NULL) {
        if (HASH_COUNT(accounts->distrusted) >= DISTRUSTED_MAX) {
            forget(accounts, accounts->distrusted); /* the oldest */
        }
        found = alloc_zero(sizeof(*found) + account->key_len);
        memcpy(found->key, account->key, account->key_len);
        found->key_len = account->key_len;
        HASH_ADD_KEYPTR(hh, accounts->distrusted, found->key, found->key_len, found);
    }
    found->trust = found->trust > trust ? found->trust : trust;
    found->until_ms = now_ms(account) + SHADOW_DISTRUST_MS;
}

bool shadow_was_wrong(const struct feed *feed, uint32_t uid)
{
    return ranges_has(&feed->wrong, uid);
}

/* --- which answers ----------------------------------------------------------------------------- */

static uint64_t every(const struct shadow *shadow)
{
    return shadow->account->accounts->settings->verify_every;
}

/* On average every N-th, at random: a client that asks for the same ten items of each message shall not
 * have the same item checked each time. */
static void draw(struct shadow *shadow)
{
    uint64_t number = 0;
    uint64_t n = every(shadow);
    secret_random(&number, sizeof(number));
    shadow->drawn_for = n;
    shadow->left = n == 0 ? UINT64_MAX : 1 + number % (2 * n - 1);
}

static void look(void *arg);

struct shadow *shadow__create(struct account *account)
{
    struct shadow *shadow = alloc_zero(sizeof(*shadow));
    shadow->account = account;
    draw(shadow);
    shadow->timer = timer_create_on(account__loop(account), look, shadow);
    return shadow;
}

static void drop_check(struct shadow *shadow, struct check *check)
{
    if (check == shadow->checks && shadow->request != NULL) {
        account_request_cancel(&shadow->request);
    }
    DL_DELETE(shadow->checks, check);
    shadow->checks_n--;
    buf_fini(&check->ours);
    arena_reset(&check->arena);
    alloc_free(check);
}

/* Unless one is under way. */
static void next_check(struct shadow *shadow)
{
    if (shadow->checks != NULL && shadow->request == NULL) {
        timer_set_ms(shadow->timer, LOOK_MS);
    }
}

void shadow__destroy(struct shadow **shadow)
{
    struct shadow *gone = *shadow;
    *shadow = NULL;
    while (gone->checks != NULL) {
        drop_check(gone, gone->checks);
    }
    timer_destroy(&gone->timer);
    alloc_free(gone);
}

void shadow__feed_gone(struct feed *feed)
{
    struct shadow *shadow = feed->account->shadow;
    struct check *check, *next;
    DL_FOREACH_SAFE(shadow->checks, check, next) {
        if (check->feed == feed) {
            drop_check(shadow, check);
        }
    }
    next_check(shadow);
}

/* Those that stay the same for good, and of which the upstream can be asked again at little cost. */
static bool is_comparable(enum fetch_kind kind)
{
    return kind == FETCH_INTERNALDATE || kind == FETCH_RFC822_SIZE || kind == FETCH_ENVELOPE ||
           kind == FETCH_BODY || kind == FETCH_BODYSTRUCTURE || kind == FETCH_SECTION;
}

static void remember(struct shadow *shadow, struct feed *feed, uint32_t uid,
                     const struct fetch_item *item)
{
    if (shadow->checks_n == SHADOW_CHECKS_MAX || !is_comparable(item->kind) ||
        item->upstream.len > ITEM_BYTES / 4) {
        return;
    }
    struct check *check = alloc_zero(sizeof(*check));
    check->feed = feed;
    check->store_id = feed->store_id;
    check->uid = uid;
    buf_init(&check->ours, SHADOW_WINDOW + 16);
    arena_init(&check->arena, ITEM_BYTES);
    DL_APPEND(shadow->checks, check);
    shadow->checks_n++;
    struct slice text = arena_copy(&check->arena, item->upstream);
    if (fetch_item_parse(text, &check->arena, &check->item) != OK) {
        drop_check(shadow, check);
    } else if (!timer_is_set(shadow->timer) && shadow->request == NULL) {
        timer_set_ms(shadow->timer, LOOK_MS);
    }
}

void shadow_served(struct feed *feed, uint32_t uid, const struct fetch_item *item, uint64_t bytes)
{
    struct shadow *shadow = feed->account->shadow;
    shadow->served_bytes += bytes;
    if (shadow->drawn_for != every(shadow)) {
        draw(shadow); /* the settings have changed */
    }
    if (--shadow->left == 0) {
        draw(shadow);
        remember(shadow, feed, uid, item);
    }
}

/* --- ours -------------------------------------------------------------------------------------- */

static bool has_window(const struct check *check)
{
    enum section_kind section = check->item.section;
    return check->item.kind == FETCH_SECTION && section != SECTION_FIELDS &&
           section != SECTION_FIELDS_NOT && section != SECTION_MIME;
}

/* All of a small value and an octet more, which must not be there; of a large one some part, as often as
 * not the end. */
static void choose_window(struct check *check, uint64_t size)
{
    uint64_t number = 0;
    check->has_window = has_window(check);
    if (!check->has_window) {
        return;
    }
    secret_random(&number, sizeof(number));
    check->offset = 0;
    check->count = SHADOW_WINDOW;
    if (size >= SHADOW_WINDOW) {
        uint64_t last = size - SHADOW_WINDOW + 1; /* with an octet beyond the end */
        check->offset = (number & 1) != 0 ? last : (number >> 1) % (last + 1);
    }
}

static bool is_stored(struct lookup *lookup, const struct check *check)
{
    struct slice value;
    struct content_ref ref;
    struct record_key key = record_key_of(check->item.key);
    return lookup->has_record && (record_find(&lookup->record, &key, &value) ||
                                  record_find_content(&lookup->record, &key, &ref));
}

static bool read_window(struct lookup *lookup, struct check *check,
                        const struct lookup_value *value)
{
    uint64_t at = check->has_window ? check->offset : 0;
    uint64_t end = check->has_window ? check->offset + check->count : value->size;
    struct slice piece;
    end = end < value->size ? end : value->size;
    if (value->size > SHADOW_WINDOW && !check->has_window) {
        return false;
    }
    while (at < end) {
        if (lookup_read(lookup, value, at, (size_t)(end - at), &piece) != OK) {
            return false;
        }
        buf_add(&check->ours, piece);
        at += piece.len;
    }
    return buf_ok(&check->ours);
}

/* What the cache would say now; false: nothing, so that there is nothing to be checked. */
static bool take_ours(struct shadow *shadow, struct check *check)
{
    struct lookup lookup;
    struct lookup_value value;
    const struct fetch_items items = {.at = &check->item, .n = 1};
    struct store *store = store_of(shadow->account);
    if (lookup_init(&lookup, store, check->store_id, &items, &check->arena, NULL) != OK) {
        lookup_fini(&lookup);
        return false;
    }
    lookup.trust = shadow_trust(shadow->account);
    store_read_begin(store);
    lookup_begin(&lookup);
    lookup_to(&lookup, check->uid);
    buf_reset(&check->ours);
    bool found = lookup_get(&lookup, 0, &value) && !value.is_part && !value.is_literal8;
    if (found) {
        check->is_nil = value.is_nil;
        check->is_derived = !is_stored(&lookup, check);
        choose_window(check, value.size);
        found = read_window(&lookup, check, &value);
    }
    lookup_end(&lookup);
    store_read_end(store);
    lookup_fini(&lookup);
    return found;
}

/* --- theirs ------------------------------------------------------------------------------------ */

/* Is that the name of what was asked? */
static bool is_name(const struct check *check, enum fetch_kind kind, struct slice text)
{
    struct fetch_name name;
    struct arena arena;
    if (kind != check->item.kind || kind != FETCH_SECTION) {
        return kind == check->item.kind;
    }
    arena_init(&arena, ITEM_BYTES);
    bool is_it = fetch_name_parse(text, &arena, &name) == OK &&
                 slice_eq(name.key, check->item.key) && name.has_offset == check->has_window &&
                 (!name.has_offset || name.offset == check->offset);
    arena_reset(&arena);
    return is_it;
}

/* Claimed before a plan that was sent later can take it for its own: the same part of the section, asked
 * with another length, has the same name. */
static bool on_literal(void *arg, struct unit so_far, uint64_t size)
{
    struct shadow *shadow = arg;
    struct check *check = shadow->checks;
    struct respfetch_pending literal;
    if (check->has_answer || check->is_streamed || check->item.kind != FETCH_SECTION ||
        respfetch_pending(so_far, &literal) != OK ||
        (literal.uid != 0 && literal.uid != check->uid) ||
        !is_name(check, literal.kind, literal.name)) {
        return false;
    }
    check->is_streamed = true;
    check->stream_size = size;
    check->stream_at = 0;
    return true;
}

static void on_literal_data(void *arg, struct slice bytes)
{
    struct shadow *shadow = arg;
    struct check *check = shadow->checks;
    struct slice ours = slice_sub(buf_slice(&check->ours), (size_t)check->stream_at, bytes.len);
    if (slice_eq(ours, bytes)) {
        check->stream_at += bytes.len;
    } else {
        check->stream_size = UINT64_MAX; /* never equal any more */
    }
}

static void on_literal_end(void *arg)
{
    (void)arg; /* the rest of the line tells whose it was */
}

static void take_streamed(struct check *check)
{
    bool is_equal = check->is_streamed && check->stream_size == check->stream_at &&
                    check->stream_at == check->ours.len && !check->is_nil;
    check->has_answer = true;
    check->differs = !is_equal;
    check->is_doubtful = check->is_doubtful || !check->is_streamed; /* another's literal */
}

static void take(struct check *check, const struct respfetch_item *item)
{
    struct arena arena;
    struct slice theirs = item->value.raw;
    if (item->value.kind == VALUE_STREAMED) {
        take_streamed(check);
        return;
    }
    bool is_octets = check->item.kind == FETCH_SECTION;
    bool is_nil = is_octets && item->value.kind == VALUE_NIL;
    arena_init(&arena, LINK_COLLECT_MAX + 64);
    if (is_octets) {
        theirs = is_nil ? SLICE("") : value_text(&item->value, &arena);
    }
    bool is_equal = slice_eq(theirs, buf_slice(&check->ours)) && is_nil == check->is_nil;
    check->has_answer = true;
    check->differs = !is_equal;
    check->is_doubtful =
        check->is_doubtful || arena.failed || (!is_equal && respfetch_is_filler(item));
    arena_reset(&arena);
}

static bool on_untagged(void *arg, const struct response *response)
{
    struct shadow *shadow = arg;
    struct check *check = shadow->checks;
    struct respfetch it;
    struct respfetch_item item;
    uint64_t uid = 0;
    bool is_standin = false;
    uint32_t standin_bytes = account__standin_bytes(shadow->account);
    if (response->kind == RESPONSE_EXPUNGE || response->kind == RESPONSE_VANISHED) {
        check->is_doubtful = true;
    }
    if (response->kind != RESPONSE_FETCH) {
        return false;
    }
    respfetch_init(&it, response);
    while (respfetch_next(&it, &item) == OK) {
        if (item.kind == FETCH_UID) {
            (void)respfetch_number(&item, &uid);
        }
        is_standin = is_standin || respfetch_is_standin(&item, standin_bytes);
    }
    if (uid != check->uid || check->has_answer) {
        check->is_streamed = check->is_streamed && check->has_answer;
        return false;
    }
    check->is_doubtful = check->is_doubtful || is_standin;
    respfetch_init(&it, response);
    while (respfetch_next(&it, &item) == OK) {
        if (!check->has_answer && is_name(check, item.kind, item.name)) {
            take(check, &item);
        }
    }
    return check->has_answer;
}

/* --- the outcome ------------------------------------------------------------------------------- */

static void drop_record(struct shadow *shadow, struct check *check)
{
    struct ranges one;
    ranges_init(&one, 0);
    ranges_add(&one, check->uid, check->uid);
    store_messages_drop(store_of(shadow->account), check->store_id, &one);
    ranges_fini(&one);
    if (check->feed->wrong.n < WRONG_MAX) {
        ranges_add(&check->feed->wrong, check->uid, check->uid);
    }
}

static void raise_alarm(struct shadow *shadow, const struct check *check)
{
    struct account *account = shadow->account;
    stats_add(account->accounts->env.stats, STAT_verify_mismatches, 1);
    LOG(LOG_WARN, "shadow",
        "msg=\"cached answer was wrong\" account=%s mailbox=%s uid=%u item=%s how=%s", account->name,
        LOG_Q(feed_name(check->feed)), check->uid, LOG_Q(check->item.key),
        check->is_derived ? "derived" : "stored");
    distrust(account, check->is_derived ? LOOKUP_TRUSTS_STORED : LOOKUP_TRUSTS_ITEMS);
}

/* Is it still what the client was shown of the mailbox it is in? */
static bool is_sure(const struct check *check, enum status st, const struct response *tagged)
{
    return st == OK && tagged->code != CODE_EXPUNGEISSUED && check->has_answer &&
           !check->is_doubtful && check->feed->state == FEED_LIVE &&
           check->feed->store_id == check->store_id && mailbox_has(check->feed->mailbox, check->uid);
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct shadow *shadow = arg;
    struct check *check = shadow->checks;
    (void)was_sent;
    shadow->request = NULL;
    stats_add(shadow->account->accounts->env.stats, STAT_verify_checks, 1);
    if (!is_sure(check, st, tagged) || !check->differs) {
        drop_check(shadow, check);
    } else if (!check->has_differed) {
        check->has_differed = true;
        drop_record(shadow, check);
    } else {
        raise_alarm(shadow, check);
        drop_check(shadow, check);
    }
    next_check(shadow);
}

static const struct upcmd_ops check_ops = {
    .untagged = on_untagged,
    .literal = on_literal,
    .literal_data = on_literal_data,
    .literal_end = on_literal_end,
    .done = on_done,
};

/* --- asking ------------------------------------------------------------------------------------ */

static void send(struct shadow *shadow, struct check *check)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID FETCH ");
    outcmd_u64(&cmd, check->uid);
    outcmd_str(&cmd, " (UID ");
    outcmd_token(&cmd, check->item.upstream);
    if (check->has_window) {
        outcmd_str(&cmd, "<");
        outcmd_u64(&cmd, check->offset);
        outcmd_str(&cmd, ".");
        outcmd_u64(&cmd, check->count);
        outcmd_str(&cmd, ">");
    }
    if (account__standin_bytes(shadow->account) != 0 && check->item.kind != FETCH_RFC822_SIZE) {
        outcmd_str(&cmd, " RFC822.SIZE"); /* tells a made-up message from the one asked for (T1) */
    }
    outcmd_str(&cmd, ")");
    check->is_doubtful = check->has_answer = check->differs = check->is_streamed = false;
    shadow->spent_bytes += check->ours.len;
    const struct destination to = {.route = ROUTE_FEED, .feed = check->feed};
    shadow->request = account_request(shadow->account, to, &cmd, &check_ops, shadow);
    outcmd_fini(&cmd);
}

static bool is_idle(const struct check *check)
{
    const struct feed *feed = check->feed;
    return feed->state == FEED_LIVE && feed->slot != NULL && slot__is_ready(feed->slot) &&
           link_load(feed->slot->link) == 0 && feed->waiting == NULL;
}

/* What may be spent: twice the share that was asked for, so that a few large values do not use it up. */
static bool is_affordable(const struct shadow *shadow, const struct check *check)
{
    uint64_t n = every(shadow);
    return n > 0 && shadow->spent_bytes + check->ours.len <=
                        shadow->served_bytes / n * 2 + SHADOW_SPARE_BYTES;
}

static void look(void *arg)
{
    struct shadow *shadow = arg;
    struct check *check = shadow->checks;
    if (check == NULL || shadow->request != NULL) {
        return;
    }
    bool is_stale = check->feed->store_id != check->store_id ||
                    !mailbox_has(check->feed->mailbox, check->uid);
    if (is_stale || ++check->looks_n > LOOKS_MAX) {
        drop_check(shadow, check);
    } else if (is_idle(check)) {
        bool is_known = check->has_differed || take_ours(shadow, check);
        if (is_known && is_affordable(shadow, check)) {
            send(shadow, check);
            return;
        }
        drop_check(shadow, check);
    }
    next_check(shadow);
}
