/* Which messages there are and what flags they have, by SEARCH: two octets a message, and with ESEARCH
 * runs of UIDs less than one, where FETCH costs fifty (design section 7).  All in one flight:
 *
 *   UID SEARCH RETURN (ALL) ALL            numbers: views can open
 *   UID SEARCH RETURN (ALL) SEEN, FLAGGED, ..., KEYWORD k for each the mailbox has
 *   UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE base)     what changed since SELECT, or meanwhile
 *
 * Answers are told apart by their tags.  The searches are not of one moment: a message that FETCH has
 * told of meanwhile is left as FETCH has it.  Whatever is refused, or answered otherwise than asked,
 * is fetched instead. */
#include <string.h>

#include "feed_sync_p.h"
#include "base/alloc.h"
#include "base/log.h"
#include "imap/flags.h"
#include "imap/outcmd.h"
#include "model/uidset.h"

enum {
    KEYWORDS_MAX = 40,
    SYSTEM_FLAGS = 5,
    PLAIN_MAX = 700 * 1000 /* messages named in one line: LINK_LINE_MAX */
};

void feed__drop_map(struct feed *feed)
{
    struct map *map = feed->map;
    if (map == NULL) {
        return;
    }
    feed->map = NULL;
    for (size_t i = 0; i < map->n; i++) {
        flags_unref(mailbox_flags(feed->mailbox), map->searches[i].flags, 1);
        ranges_fini(&map->searches[i].uids);
    }
    ranges_fini(&map->touched);
    alloc_free(map->searches);
    alloc_free(map);
}

/* --- what is asked ------------------------------------------------------------------------------- */

static bool is_searchable(struct slice keyword)
{
    for (size_t i = 0; i < keyword.len; i++) {
        unsigned char c = (unsigned char)keyword.data[i];
        if (c <= ' ' || c >= 0x7f || memchr("(){%*\"\\]", c, 8) != NULL) {
            return false;
        }
    }
    return keyword.len > 0;
}

static struct map *new_map(void)
{
    struct map *map = alloc_zero(sizeof(*map));
    map->searches = alloc_array(1 + SYSTEM_FLAGS + KEYWORDS_MAX, sizeof(*map->searches));
    memset(map->searches, 0, (1 + SYSTEM_FLAGS + KEYWORDS_MAX) * sizeof(*map->searches));
    ranges_init(&map->touched, 0);
    return map;
}

static struct search *add_search(struct feed *feed, struct slice flag)
{
    struct map *map = feed->map;
    struct flag_list list = {0};
    uint32_t id = FLAGS_NONE;
    if (flag.len > 0 && (flag_list_add(&list, mailbox_flags(feed->mailbox), flag) != OK ||
                         flags_intern(mailbox_flags(feed->mailbox), &list, &id) != OK)) {
        return NULL;
    }
    struct search *search = &map->searches[map->n++];
    search->flags = id;
    flags_ref(mailbox_flags(feed->mailbox), id, 1);
    ranges_init(&search->uids, 0);
    return search;
}

/* Keywords of the list FLAGS; false: too many, or such as SEARCH cannot name. */
static bool add_keywords(struct feed *feed)
{
    struct flag_iter it;
    unsigned system;
    struct slice name;
    size_t n = 0;
    flag_iter_init(&it, buf_slice(&feed->told_flags));
    while (flag_iter_next(&it, &system, &name) == OK) {
        if (system != 0 || slice_eq_nocase(name, SLICE("\\*"))) {
            continue;
        }
        if (n++ == KEYWORDS_MAX || !is_searchable(name) || add_search(feed, name) == NULL) {
            return false;
        }
    }
    return true;
}

static bool add_all(struct feed *feed)
{
    static const char *const system[SYSTEM_FLAGS] = {"\\Seen", "\\Answered", "\\Flagged",
                                                     "\\Deleted", "\\Draft"};
    add_search(feed, SLICE(""))->is_all = true;
    for (size_t i = 0; i < SYSTEM_FLAGS; i++) {
        if (add_search(feed, slice_str(system[i])) == NULL) {
            return false;
        }
    }
    return buf_slice(&feed->told_flags).len > 0 && add_keywords(feed);
}

static void write_search(struct feed *feed, const struct search *search, struct outcmd *cmd)
{
    struct flags *table = mailbox_flags(feed->mailbox);
    size_t keywords_n;
    const uint16_t *keyword = flags_keywords_of(table, search->flags, &keywords_n);
    outcmd_str(cmd, "UID SEARCH RETURN (ALL) ");
    if (search->is_all) {
        outcmd_str(cmd, "ALL");
    } else if (keywords_n > 0) {
        outcmd_str(cmd, "KEYWORD ");
        outcmd_token(cmd, flags_keyword_name(table, keyword[0]));
    } else {
        static const struct {
            uint8_t bit;
            const char *key;
        } keys[SYSTEM_FLAGS] = {{FLAG_SEEN, "SEEN"},
                                {FLAG_ANSWERED, "ANSWERED"},
                                {FLAG_FLAGGED, "FLAGGED"},
                                {FLAG_DELETED, "DELETED"},
                                {FLAG_DRAFT, "DRAFT"}};
        for (size_t i = 0; i < SYSTEM_FLAGS; i++) {
            if (flags_bits(table, search->flags) == keys[i].bit) {
                outcmd_str(cmd, keys[i].key);
            }
        }
    }
}

/* --- what is answered ---------------------------------------------------------------------------- */

/* Messages that the model lacks; views hear of them as of any that arrive. */
static enum status add_missing(struct feed *feed, const struct ranges *uids)
{
    struct ranges missing, present;
    enum status st = OK;
    ranges_init(&missing, 0);
    ranges_init(&present, 0);
    mailbox_scan_uids(feed->mailbox, NULL, &present);
    ranges_copy(uids, &missing);
    ranges_subtract(&missing, &present);
    for (size_t i = 0; i < missing.n && st == OK; i++) {
        for (uint64_t uid = missing.at[i].first; uid <= missing.at[i].last && st == OK; uid++) {
            st = mailbox_add(feed->mailbox, &(struct mailbox_entry){.uid = (uint32_t)uid});
        }
    }
    ranges_fini(&missing);
    ranges_fini(&present);
    feed__changed(feed);
    return st;
}

/* Only when it says as many messages as the link has told of: else EXPUNGEs or news are on their way
 * whose numbers are of before it (some servers leave out here what they have not yet told gone). */
static void take_numbers(struct feed *feed, struct search *search)
{
    const struct ranges *uids = &search->uids;
    if (ranges_count(uids) != feed->exists || feed->is_mapped) {
        return;
    }
    enum status st;
    if (mailbox_exists(feed->mailbox) == 0 && feed->knows == FEED_KNOWS_NOTHING) {
        st = mailbox_load_uids(feed->mailbox, uids, feed->exists);
    } else {
        ranges_copy(uids, &feed->seen);
        feed__remove_unseen(feed);
        st = add_missing(feed, uids);
    }
    if (st == OK && feed__count_is_true(feed)) {
        feed__mapped(feed);
    }
}

bool feed__map_plain(struct feed *feed, struct search *search, const struct response *response)
{
    uint64_t modseq;
    struct ranges uids;
    ranges_init(&uids, 0);
    if (respdata_search(response, &uids, &modseq) == OK) {
        search->has_answer = true;
        ranges_unite(&search->uids, &uids); /* it may come in several lines */
        take_numbers(feed, search);
    }
    ranges_fini(&uids);
    return true;
}

void feed__map_answer(struct feed *feed, struct search *search, const struct response *response)
{
    struct respdata_esearch answer;
    struct ranges uids;
    ranges_init(&uids, 0);
    if (respdata_esearch(response, &answer, &uids) == OK && answer.is_uid) {
        search->has_answer = true;
        ranges_swap(&uids, &search->uids);
    }
    ranges_fini(&uids);
    if (search->has_answer && search->is_all) {
        take_numbers(feed, search);
    }
}

static bool all_answered(const struct map *map)
{
    bool all = !map->has_failed;
    for (size_t i = 0; i < map->n; i++) {
        all = all && map->searches[i].has_answer;
    }
    return all;
}

static bool apply_flags(struct feed *feed)
{
    const struct map *map = feed->map;
    bool is_first = feed->knows < FEED_KNOWS_FLAGS;
    enum status st = OK;
    for (size_t i = 0; i < map->n && st == OK; i++) {
        if (!map->searches[i].is_all) {
            st = mailbox_apply_flag(feed->mailbox, map->searches[i].flags, &map->searches[i].uids,
                                    &map->touched, is_first);
        }
    }
    feed__changed(feed);
    return st == OK;
}

static void finish(struct feed *feed)
{
    struct map *map = feed->map;
    bool has_numbers = feed->is_mapped || (map->searches[0].has_answer && feed__count_is_true(feed));
    bool is_done = has_numbers && all_answered(map) && apply_flags(feed);
    /* An iCloud tells COUNT whatever is asked. */
    bool is_poor = !map->searches[0].has_answer ||
                   (feed->exists > 0 && ranges_empty(&map->searches[0].uids));
    feed->esearch_is_poor = feed->esearch_is_poor || is_poor;
    feed__drop_map(feed);
    if (is_done) {
        feed__after_scan(feed);
    } else {
        LOG(LOG_INFO, "feed", "msg=\"searches do not tell, flags are fetched\" account=%s mailbox=%s",
            feed->account->name, LOG_Q(feed_name(feed)));
        feed__fetch_all(feed);
    }
}

static void one_done(struct feed *feed, enum status st, const struct response *tagged)
{
    (void)tagged;
    feed->map->has_failed = feed->map->has_failed || st != OK;
    if (--feed->map->open_n == 0) {
        finish(feed);
    }
}

/* Without ESEARCH eight octets a message: numbers are known when a sixth of the flags would be. */
static bool map_numbers(struct feed *feed)
{
    struct outcmd cmd;
    if (feed->exists <= FEED_WINDOW || feed->exists > PLAIN_MAX || feed->is_mapped) {
        return false;
    }
    feed->map = new_map();
    add_search(feed, SLICE(""))->is_all = true;
    feed->map->has_failed = true; /* flags are fetched */
    feed->map->is_plain = true;
    feed->map->open_n = 1;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID SEARCH ALL");
    feed__send(feed, &cmd, UPCMD_SEARCHES | UPCMD_SEARCH_LINES, one_done)->search = feed->map->searches;
    return true;
}

/* --- the flight ---------------------------------------------------------------------------------- */

/* From where on every modseq has to be known: the lowest that anybody was told (T23). */
static uint64_t base_modseq(const struct feed *feed)
{
    uint64_t base = feed->told_modseq;
    const struct feed_user *user;
    if (mailbox_exists(feed->mailbox) > 0 && mailbox_base_modseq(feed->mailbox) > 0 &&
        mailbox_base_modseq(feed->mailbox) < base) {
        base = mailbox_base_modseq(feed->mailbox);
    }
    for (user = feed->users; user != NULL; user = user->next) {
        base = user->is_early && user->told.modseq > 0 && user->told.modseq < base
                   ? user->told.modseq
                   : base;
    }
    return base;
}

static void send_changes(struct feed *feed)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE ");
    outcmd_u64(&cmd, mailbox_base_modseq(feed->mailbox));
    outcmd_str(&cmd, ")");
    feed->map->open_n++;
    (void)feed__send(feed, &cmd, 0, one_done);
}

bool feed__map(struct feed *feed)
{
    const struct capabilities *caps = link_capabilities(feed->slot->link);
    if (caps->messagelimit > 0) { /* answers would be cut short */
        return false;
    }
    feed->lost_count = false; /* unless an EXPUNGE comes in between */
    if (feed->has_modseq) {
        mailbox_set_base_modseq(feed->mailbox, base_modseq(feed));
    }
    if (!capability_has(caps, CAP_ESEARCH) || feed->esearch_is_poor) {
        return map_numbers(feed);
    }
    struct map *map = new_map();
    feed->map = map;
    if (!add_all(feed)) {
        feed__drop_map(feed);
        return map_numbers(feed);
    }
    for (size_t i = 0; i < map->n; i++) {
        struct outcmd cmd;
        outcmd_init(&cmd);
        write_search(feed, &map->searches[i], &cmd);
        map->open_n++;
        feed__send(feed, &cmd, UPCMD_RETURNS, one_done)->search = &map->searches[i];
    }
    if (feed->has_modseq) {
        send_changes(feed);
    }
    return true;
}
