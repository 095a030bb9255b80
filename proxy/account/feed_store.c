/* The kept model: read once when the mailbox's UIDVALIDITY is known, written at sync points. */
#include "feed_p.h"
#include "searches_p.h"
#include "base/alloc.h"
#include "base/log.h"
#include "model/pack.h"
#include "store/search.h"
#include "store/state.h"

static struct store *store_of(const struct feed *feed)
{
    return feed->account->accounts->env.store;
}

static enum status unpack(void *arg, uint32_t number, struct slice bytes)
{
    struct feed *feed = arg;
    return mailbox_unpack_block(feed->mailbox, number, bytes);
}

static enum status load(struct feed *feed)
{
    struct store *store = store_of(feed);
    struct store_state_head head;
    struct buf header;
    buf_init(&header, STORE_HEADER_MAX);
    enum status st = store_state_get(store, feed->store_id, &head, &header);
    if (st == OK) {
        st = mailbox_unpack_header(feed->mailbox, buf_slice(&header));
    }
    buf_fini(&header);
    TRY(st);
    TRY(store_state_each_block(store, feed->store_id, unpack, feed));
    TRY(mailbox_unpack_end(feed->mailbox));
    return head.uidvalidity == mailbox_uidvalidity(feed->mailbox) ? OK : CORRUPT;
}

void feed__load(struct feed *feed, uint32_t uidvalidity)
{
    struct account *account = feed->account;
    struct store *store = store_of(feed);
    mailbox_reset(feed->mailbox, uidvalidity);
    if (store_mailbox_open(store, slice_of(account->key, account->key_len), feed_name(feed),
                           uidvalidity, &feed->store_id) != OK) {
        feed->store_id = 0; /* a name too long to be kept: everything is asked upstream */
        return;
    }
    searches__begin(feed);
    store_read_begin(store);
    enum status st = load(feed);
    store_read_end(store);
    if (st == OK) {
        feed->knows = FEED_KNOWS_FLAGS;
        searches__kept(feed);
        return;
    }
    feed->must_check = !store_mailbox_is_new(store, feed->store_id);
    if (feed->must_check) {
        store_searches_drop(store, feed->store_id); /* nothing would show that UIDNEXT fell */
    }
    if (st != NOT_FOUND) {
        LOG(LOG_WARN, "feed", "msg=\"kept state dropped\" account=%s mailbox=%s status=%s",
            account->name, LOG_Q(feed_name(feed)), status_name(st));
        store_state_drop(store, feed->store_id);
    }
    mailbox_reset(feed->mailbox, uidvalidity);
}

struct packing {
    struct buf bytes;
    struct store_block *blocks;
    size_t *starts;
    size_t n;
};

static void pack_blocks(const struct feed *feed, const struct ranges *dirty, struct packing *out)
{
    size_t most = (size_t)ranges_count(dirty);
    out->blocks = alloc_array(most, sizeof(*out->blocks));
    out->starts = alloc_array(most + 1, sizeof(*out->starts));
    for (size_t i = 0; i < dirty->n; i++) {
        for (uint64_t number = dirty->at[i].first; number <= dirty->at[i].last; number++) {
            out->starts[out->n] = out->bytes.len;
            out->blocks[out->n].number = (uint32_t)number;
            mailbox_pack_block(feed->mailbox, (uint32_t)number, &out->bytes);
            out->n++;
        }
    }
    out->starts[out->n] = out->bytes.len;
    for (size_t i = 0; i < out->n; i++) { /* only now do the bytes stay where they are */
        out->blocks[i].bytes =
            slice_sub(buf_slice(&out->bytes), out->starts[i], out->starts[i + 1] - out->starts[i]);
    }
}

static enum status put(struct feed *feed, bool replace)
{
    struct buf header;
    struct packing packing = {0};
    struct mailbox_counts counts;
    buf_init(&header, 0);
    buf_init(&packing.bytes, 0);
    mailbox_counts(feed->mailbox, &counts);
    mailbox_pack_header(feed->mailbox, &header);
    pack_blocks(feed, mailbox_dirty_blocks(feed->mailbox), &packing);
    const struct store_state state = {
        .uidvalidity = counts.uidvalidity,
        .uidnext = counts.uidnext,
        .synced_modseq = counts.synced_modseq,
        .header = buf_slice(&header),
        .blocks = packing.blocks,
        .blocks_n = packing.n,
        .replace = replace,
    };
    enum status st = store_state_put(store_of(feed), feed->store_id, &state);
    alloc_free(packing.blocks);
    alloc_free(packing.starts);
    buf_fini(&packing.bytes);
    buf_fini(&header);
    return st;
}

/* Only at a sync point: the state must not be newer than the modseq it is kept with. */
void feed__persist(struct feed *feed)
{
    bool is_dirty = mailbox_header_dirty(feed->mailbox) ||
                    !ranges_empty(mailbox_dirty_blocks(feed->mailbox));
    if (feed->store_id == 0 || feed->knows < FEED_KNOWS_FLAGS || !is_dirty ||
        mailbox_seen_modseq(feed->mailbox) != mailbox_synced_modseq(feed->mailbox)) {
        return;
    }
    enum status st = put(feed, false);
    if (st == STALE) {
        mailbox_mark_dirty(feed->mailbox);
        st = put(feed, true);
    }
    if (st == OK) {
        mailbox_mark_clean(feed->mailbox);
    } else {
        LOG(LOG_WARN, "feed", "msg=\"state not kept\" account=%s mailbox=%s status=%s",
            feed->account->name, LOG_Q(feed_name(feed)), status_name(st));
    }
}

/* Vanished messages keep their cached content while a view still has them. */
void feed__bury(struct feed *feed)
{
    struct feed_user *user;
    if (ranges_empty(&feed->dead) || feed->copies != NULL) {
        return;
    }
    for (user = feed->users; user != NULL; user = user->next) {
        if (user->holds_dead != NULL && user->holds_dead(user)) {
            return;
        }
    }
    store_messages_drop(store_of(feed), feed->store_id, &feed->dead);
    ranges_reset(&feed->dead);
}
