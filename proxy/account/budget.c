/* The line of mailboxes that need a link, and who gives way for them.  The line is short (those that
 * need a link now, not all that are parked) and looked at once a turn when something has changed,
 * and every BUDGET_TICK_MS while somebody waits. */
#include <utlist.h>

#include "feed_p.h"
#include "base/log.h"

static uint64_t now_ms(const struct account *account)
{
    return evloop_now_ms(account__loop(account));
}

uint32_t budget__most(const struct account *account)
{
    uint32_t most = account->upstream->max_connections;
    if (most == 0) {
        most = (account->profile != NULL ? account->profile : profile_generic())->max_connections;
    }
    uint32_t borne = reach__most_links(account);
    most = borne != 0 && borne < most ? borne : most;
    return most > 0 ? most : 1;
}

bool budget__has_room(const struct account *account)
{
    return account->slots_n < budget__most(account);
}

bool budget__may_open(const struct account *account)
{
    return budget__has_room(account) && !reach__is_pausing(account);
}

/* Of a small budget mailboxes may have all, else one link is kept for bodies and uploads. */
static size_t feeds_max(const struct account *account)
{
    uint32_t most = budget__most(account);
    return most >= 4 ? most - 1 : most > 1 && account->wants_side ? most - 1 : most;
}

static size_t feeds_n(const struct account *account)
{
    const struct slot *slot;
    size_t n = 0;
    DL_FOREACH(account->slots, slot) {
        n += slot->role == SLOT_FEED;
    }
    return n;
}

/* --- the line --------------------------------------------------------------------------------- */

static int by_due(const struct feed *a, const struct feed *b)
{
    return a->place.due_ms < b->place.due_ms ? -1 : a->place.due_ms > b->place.due_ms;
}

void budget__leave(struct feed *feed)
{
    if (feed->place.is_in_line) {
        feed->place.is_in_line = false;
        DL_DELETE2(feed->account->line, feed, place.line_prev, place.line_next);
        budget__kick(feed->account);
    }
}

static void insert(struct feed *feed)
{
    struct feed *other;
    struct feed **line = &feed->account->line;
    DL_FOREACH2(*line, other, place.line_next) {
        if (by_due(other, feed) > 0) {
            break;
        }
    }
    if (other != NULL) {
        DL_PREPEND_ELEM2(*line, other, feed, place.line_prev, place.line_next);
    } else {
        DL_APPEND2(*line, feed, place.line_prev, place.line_next);
    }
    feed->place.is_in_line = true;
}

void budget__want(struct feed *feed, bool is_visit)
{
    uint64_t now = now_ms(feed->account);
    if (feed->place.is_in_line && (is_visit || !feed->place.is_visit)) {
        return;
    }
    budget__leave(feed);
    feed->place.is_visit = is_visit;
    feed->place.due_ms = is_visit ? now + BUDGET_VISIT_PATIENCE_MS : now;
    insert(feed);
    budget__kick(feed->account);
}

/* --- who gives way ---------------------------------------------------------------------------- */

static bool is_idle(const struct feed *feed)
{
    bool is_needed = feed->opens != NULL || feed->refreshes != NULL || feed->waiting != NULL ||
                     feed->wants_probe;
    return feed->state == FEED_LIVE && slot__is_ready(feed->slot) && feed__count_is_true(feed) &&
           feed->cmds == NULL && link_load(feed->slot->link) == 0 &&
           (!is_needed || feed->place.is_yielding);
}

static size_t unused_n(const struct account *account)
{
    const struct slot *slot;
    size_t n = 0;
    DL_FOREACH(account->slots, slot) {
        n += slot->role == SLOT_FEED && slot->feed->users == NULL && is_idle(slot->feed);
    }
    return n;
}

enum rank { RANK_UNUSED, RANK_VISITED, RANK_STAYED, RANK_LAST, RANK_NONE };

static enum rank rank_of(const struct feed *feed, bool for_client)
{
    uint64_t now = now_ms(feed->account);
    uint64_t rest_ms = now - feed->place.used_ms;
    uint64_t stay_ms = now - feed->place.got_ms;
    if (feed->users == NULL) {
        return RANK_UNUSED;
    }
    if (feed->place.is_visit) {
        return RANK_VISITED;
    }
    if (for_client && stay_ms >= BUDGET_STAY_MS && rest_ms >= BUDGET_TURN_MS) {
        return RANK_STAYED;
    }
    return rest_ms >= BUDGET_HOLD_MS || stay_ms >= BUDGET_TURN_MS ? RANK_LAST : RANK_NONE;
}

/* Of two of the same rank, does @a go first?  Those that are dear to bring back stay. */
static bool goes_before(const struct feed *a, const struct feed *b, enum rank rank)
{
    switch (rank) {
    case RANK_UNUSED:
        return a->left_ms < b->left_ms;
    case RANK_VISITED:
    case RANK_LAST:
        return a->place.got_ms > b->place.got_ms;
    case RANK_STAYED:
        return a->has_modseq != b->has_modseq ? a->has_modseq : a->place.used_ms < b->place.used_ms;
    case RANK_NONE:
        break;
    }
    return false;
}

static struct feed *newest(struct account *account)
{
    struct slot *slot;
    struct feed *last = NULL;
    DL_FOREACH(account->slots, slot) {
        if (slot->role == SLOT_FEED && (last == NULL || slot->feed->place.got_ms >= last->place.got_ms)) {
            last = slot->feed;
        }
    }
    return last;
}

/* Of those with a link the one that can best do without; NULL: none can at this moment. */
static struct feed *victim(struct account *account, bool for_client)
{
    struct slot *slot;
    struct feed *best = NULL;
    const struct feed *last = newest(account);
    enum rank best_rank = RANK_NONE;
    DL_FOREACH(account->slots, slot) {
        struct feed *feed = slot->role == SLOT_FEED ? slot->feed : NULL;
        if (feed == NULL || !is_idle(feed)) {
            continue;
        }
        enum rank rank = rank_of(feed, for_client);
        if (rank == RANK_LAST && feed != last) {
            continue; /* one link roves, the others stay */
        }
        if (rank < best_rank || (rank == best_rank && best != NULL && goes_before(feed, best, rank))) {
            best = feed;
            best_rank = rank;
        }
    }
    return best_rank == RANK_NONE ? NULL : best;
}

/* What was asked to give way, and has not yet, takes work again. */
static void release_yielding(struct account *account, const struct feed *but)
{
    struct slot *slot;
    account->is_yielding = false;
    DL_FOREACH(account->slots, slot) {
        struct feed *feed = slot->role == SLOT_FEED ? slot->feed : NULL;
        if (feed != NULL && feed != but && feed->place.is_yielding) {
            feed->place.is_yielding = false;
            feed__stir(feed);
            request__feed_ready(feed);
        }
    }
}

/* Nobody is idle: the one that came last takes no new work when its turn is over. */
static void ask_to_yield(struct account *account)
{
    struct feed *last = newest(account);
    release_yielding(account, last);
    if (last != NULL && last->state == FEED_LIVE &&
        now_ms(account) - last->place.got_ms >= BUDGET_TURN_MS) {
        last->place.is_yielding = true;
    }
    account->is_yielding = last != NULL && last->place.is_yielding;
}

/* --- the line moves --------------------------------------------------------------------------- */

/* A ready link without a mailbox for one more feed, or NULL; *wait_out: one is being made. */
static struct slot *slot_for(struct feed *feed, bool *opened_out)
{
    struct account *account = feed->account;
    bool is_full = feeds_n(account) >= feeds_max(account);
    struct slot *slot = is_full ? NULL : slot__spare(account);
    *opened_out = false;
    if (slot != NULL) {
        return slot;
    }
    if (!is_full && unused_n(account) < ACCOUNT_UNUSED_FEEDS_MAX) {
        if (!budget__has_room(account)) {
            slot__close_unused_bulk(account);
        }
        if (budget__may_open(account)) {
            slot = slot__open(account, SLOT_FEED, feed);
            *opened_out = slot != NULL;
            return slot;
        }
    }
    struct feed *gone = victim(account, !feed->place.is_visit);
    if (gone == NULL) {
        return NULL;
    }
    slot = gone->slot;
    feed__park(gone);
    return slot;
}

static bool has_waiting_upload(const struct account *account)
{
    const struct request *request;
    DL_FOREACH(account->waiting, request) {
        if (request->is_stream) {
            return true;
        }
    }
    return false;
}

static void look_at_side(struct account *account)
{
    account->wants_side = account->wants_side && has_waiting_upload(account);
    if (!account->wants_side || feeds_n(account) <= feeds_max(account) ||
        slot__spare(account) != NULL) {
        return;
    }
    struct feed *gone = victim(account, true);
    if (gone != NULL) {
        feed__park(gone);
        account->wants_side = false;
        request__dispatch_all(account);
    } else {
        ask_to_yield(account);
    }
}

static void move_line(void *arg)
{
    struct account *account = arg;
    look_at_side(account);
    while (account->line != NULL && !account->is_ending) {
        struct feed *feed = account->line;
        bool is_opened;
        struct slot *slot = slot_for(feed, &is_opened);
        if (slot == NULL) {
            if (account->slots_n > 0) {
                ask_to_yield(account);
            }
            break;
        }
        budget__leave(feed);
        feed__take_slot(feed, slot, is_opened);
    }
    if (account->line == NULL && !account->wants_side) {
        release_yielding(account, NULL);
    } else if (!reach__is_pausing(account)) {
        timer_set_ms(account->line_timer, BUDGET_TICK_MS);
    }
}

static void on_tick(void *arg)
{
    budget__kick(arg);
}

void budget__init(struct account *account)
{
    task_init(&account->line_task, move_line, account);
    account->line_timer = timer_create_on(account__loop(account), on_tick, account);
}

void budget__fini(struct account *account)
{
    evloop_cancel(account__loop(account), &account->line_task);
    timer_destroy(&account->line_timer);
}

void budget__kick(struct account *account)
{
    bool has_work = account->line != NULL || account->wants_side || account->is_yielding;
    if (has_work && !account->is_ending) {
        evloop_defer(account__loop(account), &account->line_task, EVLOOP_LATE);
    }
}

bool budget__ask_side(struct account *account)
{
    if (budget__most(account) < 2) {
        return false;
    }
    account->wants_side = true;
    budget__kick(account);
    return true;
}
