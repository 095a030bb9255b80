/* Untagged responses of the feed's link into the model.  Data changes the model at once; views are
 * told at their own sync points.  Numbers of the link are ranks in the model as long as both have
 * the same messages; `exists` is what the link has told, and while it is more than the model has,
 * the tail is mail whose UIDs we have yet to ask for.  Where numbers cannot be followed the count is
 * marked lost and UID SEARCH ALL decides (protocol T25). */
#include "feed_sync_p.h"
#include "searches_p.h"
#include "base/log.h"
#include "imap/flags.h"
#include "model/uidset.h"

bool feed__count_is_true(const struct feed *feed)
{
    return !feed->lost_count && feed->exists == mailbox_exists(feed->mailbox);
}

/* Are the link's numbers ranks in the model? */
static bool has_numbers(const struct feed *feed)
{
    return feed->state == FEED_LIVE || feed->is_mapped;
}

static void lose_count(struct feed *feed, const char *why)
{
    if (!feed->lost_count) {
        LOG(LOG_INFO, "feed", "msg=\"numbers lost\" account=%s mailbox=%s why=\"%s\"",
            feed->account->name, LOG_Q(feed_name(feed)), why);
    }
    feed->lost_count = true;
}

/* --- FETCH ------------------------------------------------------------------------------------ */

struct news {
    uint32_t msn;
    uint32_t uid;
    bool has_uid;
    bool has_flags;
    struct slice flags;
    uint64_t modseq;
};

static bool read_news(const struct response *response, struct news *out)
{
    struct respfetch it;
    struct respfetch_item item;
    uint64_t number;
    enum status st;
    *out = (struct news){.msn = response->number};
    respfetch_init(&it, response);
    while ((st = respfetch_next(&it, &item)) == OK) {
        if (item.kind == FETCH_UID && respfetch_number(&item, &number) && number <= UINT32_MAX) {
            out->uid = (uint32_t)number;
            out->has_uid = true;
        } else if (item.kind == FETCH_MODSEQ && respfetch_number(&item, &number)) {
            out->modseq = number;
        } else if (item.kind == FETCH_FLAGS) {
            out->has_flags = true;
            out->flags = item.value.raw;
        }
    }
    return st == END;
}

static enum status intern(struct feed *feed, struct slice text, uint32_t *id_out)
{
    struct flags *table = mailbox_flags(feed->mailbox);
    struct flag_list list = {0};
    struct flag_iter it;
    unsigned system;
    struct slice name;
    enum status st;
    flag_iter_init(&it, text);
    while ((st = flag_iter_next(&it, &system, &name)) == OK) {
        struct slice flag = system != 0 ? slice_str(flag_name((enum imap_flag)system)) : name;
        enum status added = flag_list_add(&list, table, flag);
        if (added != OK) {
            LOG(LOG_WARN, "feed", "msg=\"flag not kept\" flag=%s status=%s", LOG_Q(flag),
                status_name(added));
        }
    }
    return st == END ? flags_intern(table, &list, id_out) : st;
}

/* More than a model may hold: the feed ends at the end of the turn. */
static void check_size(struct feed *feed)
{
    uint32_t most = feed->account->settings->limits.mailbox_messages;
    feed->is_too_large = feed->is_too_large || mailbox_exists(feed->mailbox) > most ||
                         (!feed->is_selecting && feed->exists > most);
}

static void add_message(struct feed *feed, const struct news *news, uint32_t flags)
{
    const struct mailbox_entry entry = {.uid = news->uid, .flags = flags, .modseq = news->modseq};
    enum status st = feed->is_fill ? mailbox_load(feed->mailbox, &entry)
                                   : mailbox_add(feed->mailbox, &entry);
    if (st != OK) {
        lose_count(feed, "a message out of order");
    } else if (feed->state == FEED_LIVE) {
        searches__arrived(feed, news->uid);
    }
    feed__changed(feed);
    check_size(feed);
}

/* May a message that the model does not have be taken from this response?  In the answers to our
 * own scans always; else only as the very next one. */
static bool may_add(const struct feed *feed, const struct news *news)
{
    if (feed->is_filling_holes && ranges_has(&feed->seen, news->uid)) {
        return true;
    }
    if (news->uid <= mailbox_last_uid(feed->mailbox)) {
        return false;
    }
    if (has_numbers(feed)) { /* flags of a newer one may be pushed before this one comes */
        return !feed->lost_count && news->msn == mailbox_exists(feed->mailbox) + 1;
    }
    return feed->is_fill || feed->is_scanning || feed->is_fetching_new;
}

/* The number names one message and the UID another: which of them is meant is not for us to guess
 * (T25); what there is and its flags are asked anew.  A server that always does so is believed in its
 * UIDs. */
static bool contradicts(struct feed *feed, const struct news *news)
{
    enum { RESCANS_MAX = 3 };
    struct mailbox_entry entry;
    if (feed->state != FEED_LIVE || feed->lost_count || feed->rescans_n >= RESCANS_MAX ||
        !mailbox_at(feed->mailbox, news->msn, &entry) || entry.uid == news->uid) {
        return false;
    }
    feed->rescans_n++;
    feed->lost_flags = true;
    lose_count(feed, "a number with the UID of another message");
    return true;
}

/* Exchange tells of messages beyond its own EXISTS, and of UID 0: no news is made of that (T5). */
static bool is_beyond(const struct feed *feed, const struct news *news)
{
    return feed->state == FEED_LIVE && !feed->lost_count && news->msn > feed->exists;
}

/* Flags while searches for them are under way: these here are of one moment. */
static void note_touched(struct feed *feed, uint32_t uid)
{
    if (uid == 0) {
        feed->map->has_failed = true; /* whose?  They are to be fetched. */
    } else {
        ranges_add(&feed->map->touched, uid, uid);
    }
}

/* Flags of a model that has only numbers yet: views were not told others, and what is told of later
 * than SELECT shows by its modseq. */
static bool is_first_told(const struct feed *feed, const struct news *news)
{
    return feed->knows < FEED_KNOWS_FLAGS && feed->is_scanning &&
           news->modseq <= mailbox_base_modseq(feed->mailbox);
}

static void on_fetch(struct feed *feed, const struct response *response)
{
    struct news news;
    struct mailbox_entry old;
    uint32_t flags = FLAGS_NONE;
    if (!read_news(response, &news)) {
        lose_count(feed, "unreadable FETCH");
        return;
    }
    if (!news.has_uid && has_numbers(feed) && !feed->lost_count &&
        feed->exists >= news.msn && mailbox_at(feed->mailbox, news.msn, &old)) {
        news.uid = old.uid; /* a server without UID in unsolicited FETCH */
    }
    if (feed->map != NULL && news.has_flags) {
        note_touched(feed, news.uid);
    }
    if (news.uid == 0 || is_beyond(feed, &news) || contradicts(feed, &news) ||
        (news.has_flags && intern(feed, news.flags, &flags) != OK)) {
        return;
    }
    if (feed->runs != NULL && news.has_uid) {
        feed__runs_answer(feed, news.msn, news.uid);
    }
    if (feed->is_scanning) {
        ranges_add(&feed->seen, news.uid, news.uid);
    }
    if (feed->has_modseq) {
        mailbox_saw_modseq(feed->mailbox, news.modseq);
    }
    if (!mailbox_has(feed->mailbox, news.uid)) {
        if (news.has_flags && may_add(feed, &news)) {
            add_message(feed, &news, flags);
        }
        return;
    }
    enum status st = news.has_flags && is_first_told(feed, &news)
                         ? mailbox_learn_flags(feed->mailbox, news.uid, flags, news.modseq)
                     : news.has_flags
                         ? mailbox_set_flags(feed->mailbox, news.uid, flags, news.modseq, NULL)
                     : news.modseq != 0
                         ? mailbox_set_modseq(feed->mailbox, news.uid, news.modseq)
                         : OK;
    if (st == OK) {
        feed__changed(feed);
    }
}

/* --- EXISTS, EXPUNGE, VANISHED ----------------------------------------------------------------- */

static void on_exists(struct feed *feed, uint32_t n)
{
    if (n < feed->exists && !feed->is_selecting) {
        lose_count(feed, "EXISTS shrank");
        feed->gone_is_lost = feed->gone_is_lost || !has_numbers(feed);
    }
    feed->exists = n;
    check_size(feed);
}

static void on_expunge(struct feed *feed, uint32_t msn)
{
    struct mailbox_entry entry;
    if (msn == 0 || msn > feed->exists) {
        lose_count(feed, "EXPUNGE beyond EXISTS");
        return;
    }
    feed->exists--;
    feed->vanished_modseq = UINT64_MAX;
    feed__note_gone(feed, &(struct gone){.msn = msn});
    if (!has_numbers(feed)) {
        lose_count(feed, "EXPUNGE while synchronising");
    } else if (feed->lost_count) {
        return; /* whose number that was nobody knows: SEARCH ALL will tell */
    } else if (mailbox_at(feed->mailbox, msn, &entry)) {
        (void)mailbox_remove(feed->mailbox, entry.uid);
        ranges_add(&feed->dead, entry.uid, entry.uid);
        feed->was_emptied = feed->exists == 0;
        feed__changed(feed);
    } /* else it was of the tail we have not asked for yet */
}

/* Without EARLIER it names messages that existed: those above our last are of the tail. */
static void take_vanished(struct feed *feed, const struct ranges *uids)
{
    uint32_t last = mailbox_last_uid(feed->mailbox);
    for (size_t i = 0; i < uids->n; i++) {
        feed__note_gone(feed, &(struct gone){.uids = uids->at[i]});
    }
    struct ranges dead; /* not what a server may only claim */
    ranges_init(&dead, 0);
    mailbox_scan_uids(feed->mailbox, uids, &dead);
    ranges_unite(&feed->dead, &dead);
    ranges_fini(&dead);
    uint32_t known = mailbox_remove_set(feed->mailbox, uids);
    uint64_t unknown = ranges_count(uids) - ranges_rank(uids, last);
    uint64_t gone = known + unknown;
    feed->vanished_modseq = UINT64_MAX;
    if (gone > feed->exists) {
        lose_count(feed, "VANISHED wider than EXISTS");
    } else {
        feed->exists -= (uint32_t)gone;
    }
    if (known > 0) {
        feed->was_emptied = feed->exists == 0;
        feed__changed(feed);
    }
}

/* EARLIER is of before the SELECT, whose EXISTS counts none of them: in a model that is true they are
 * not, whatever the server claims (one named all there was).  While the model is being brought up to
 * date they are kept until the whole answer is here. */
void feed__vanished(struct feed *feed, const struct response *response)
{
    struct ranges uids;
    bool is_earlier;
    ranges_init(&uids, 1000000);
    if (respdata_vanished(response, &is_earlier, &uids) != OK) {
        lose_count(feed, "unreadable VANISHED");
    } else if (!is_earlier && !feed->is_selecting) {
        take_vanished(feed, &uids);
    } else if (is_earlier && !has_numbers(feed)) {
        ranges_unite(&feed->earlier, &uids);
    }
    ranges_fini(&uids);
}

void feed__remove_earlier(struct feed *feed)
{
    struct ranges gone;
    ranges_init(&gone, 0);
    mailbox_scan_uids(feed->mailbox, &feed->earlier, &gone);
    ranges_reset(&feed->earlier);
    uint64_t n = ranges_count(&gone);
    if (n > 0 && mailbox_exists(feed->mailbox) - n < feed->exists) {
        lose_count(feed, "VANISHED (EARLIER) wider than EXISTS");
    } else if (n > 0) {
        (void)mailbox_remove_set(feed->mailbox, &gone);
        ranges_unite(&feed->dead, &gone);
        feed__changed(feed);
    }
    ranges_fini(&gone);
}

void feed__remove_unseen(struct feed *feed)
{
    uint32_t before = mailbox_exists(feed->mailbox);
    struct ranges gone;
    ranges_init(&gone, 0);
    mailbox_scan_uids(feed->mailbox, NULL, &gone);
    for (size_t i = 0; i < feed->seen.n; i++) {
        ranges_remove(&gone, feed->seen.at[i].first, feed->seen.at[i].last);
    }
    (void)mailbox_remove_set(feed->mailbox, &gone);
    ranges_add_all(&feed->dead, &gone);
    ranges_fini(&gone);
    if (mailbox_exists(feed->mailbox) != before) {
        feed__changed(feed);
    }
}

/* --- lists and codes --------------------------------------------------------------------------- */

static void set_flag_lists(struct feed *feed)
{
    if (mailbox_set_flag_lists(feed->mailbox, buf_slice(&feed->told_flags),
                               buf_slice(&feed->told_permanent)) == OK) {
        feed__changed(feed);
    }
}

static void keep(struct buf *buf, struct slice text)
{
    buf_reset(buf);
    buf_add(buf, text);
}

/* A list that is told on: flags alone, whatever else stood there.  Nothing: as if not told. */
static void keep_flags(struct buf *buf, struct slice text)
{
    struct flag_iter it;
    unsigned system;
    struct slice name;
    buf_reset(buf);
    if (text.len == 0 || text.data[0] != '(') {
        return;
    }
    buf_add_char(buf, '(');
    flag_iter_init(&it, text);
    while (flag_iter_next(&it, &system, &name) == OK) {
        struct slice flag = system != 0 ? slice_str(flag_name((enum imap_flag)system)) : name;
        if (buf->len + flag.len + 2 > FEED_FLAG_LIST_MAX) {
            break;
        }
        buf_add_str(buf, buf->len > 1 ? " " : "");
        buf_add(buf, flag);
    }
    buf_add_char(buf, ')');
}

static void told_uidvalidity(struct feed *feed, uint64_t number)
{
    if (feed->is_selecting) {
        feed->told_uidvalidity = (uint32_t)number;
    } else if ((number > 0 ? number : 1) != feed->told_uidvalidity) {
        feed->told_uidvalidity = 0; /* seen by feed__end_of_turn() */
        lose_count(feed, "UIDVALIDITY changed");
    }
}

static void on_state(struct feed *feed, const struct response *response)
{
    uint64_t number = 0;
    bool has_number = respdata_code_number(response, &number);
    if (response->code == CODE_PERMANENTFLAGS) {
        keep_flags(&feed->told_permanent, response->code_args);
        set_flag_lists(feed);
    } else if (response->code == CODE_UIDVALIDITY && has_number && number <= UINT32_MAX) {
        told_uidvalidity(feed, number);
    } else if (response->code == CODE_UIDNEXT && has_number && number <= UINT32_MAX) {
        feed->told_uidnext = (uint32_t)number;
    } else if (response->code == CODE_UNSEEN && has_number && number <= UINT32_MAX) {
        feed->told_unseen = (uint32_t)number;
    } else if (response->code == CODE_HIGHESTMODSEQ && has_number) {
        feed->told_modseq = number;
        feed->has_modseq = number > 0;
    } else if (response->code == CODE_NOMODSEQ) {
        feed->told_modseq = 0;
        feed->has_modseq = false;
    } else if (response->code == CODE_MAILBOXID) {
        keep(&feed->told_id, response->code_args);
    }
}

static void on_flags(struct feed *feed, const struct response *response)
{
    keep_flags(&feed->told_flags, response->data.text);
    if (feed->state == FEED_LIVE) {
        set_flag_lists(feed);
    }
}

void feed__untagged(struct feed *feed, const struct response *response)
{
    bool is_of_messages = response->kind == RESPONSE_FETCH || response->kind == RESPONSE_EXPUNGE ||
                          response->kind == RESPONSE_VANISHED;
    if (feed->state != FEED_SYNCING && feed->state != FEED_LIVE) {
        return;
    }
    if (feed->is_selecting && is_of_messages) {
        feed__stash(feed, response);
        return;
    }
    feed__stir(feed);
    if (response->kind == RESPONSE_FETCH) {
        on_fetch(feed, response);
    } else if (response->kind == RESPONSE_EXISTS) {
        on_exists(feed, response->number);
    } else if (response->kind == RESPONSE_RECENT) {
        feed->told_recent = response->number;
    } else if (response->kind == RESPONSE_EXPUNGE) {
        on_expunge(feed, response->number);
    } else if (response->kind == RESPONSE_VANISHED) {
        feed__vanished(feed, response);
    } else if (response->kind == RESPONSE_FLAGS) {
        on_flags(feed, response);
    } else if (response->kind == RESPONSE_STATE && response->cond == COND_OK) {
        on_state(feed, response);
    } else if (response->kind == RESPONSE_STATE &&
               (response->cond == COND_NO || response->cond == COND_BAD)) {
        feed__complained(feed, response);
    }
}
