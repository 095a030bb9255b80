/* Life of a feed: who uses it, its link, opening, refreshing, telling.
 *
 *   DOWN ──> WAITING ──> SYNCING ──> LIVE ──> (link lost) ──> DOWN, or gone when unused
 * What the server says goes through feed_data.c, what is asked of it is in feed_sync.c. */
#include <string.h>
#include <utlist.h>

#include "feed_sync_p.h"
#include "searches_p.h"
#include "shadow_p.h"
#include "twins_p.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

static uint64_t now_ms(const struct feed *feed)
{
    return evloop_now_ms(account__loop(feed->account));
}

/* --- what the plan needs of us ---------------------------------------------------------------- */

static struct request *plan_send(void *arg, enum route route, uint32_t highest_uid,
                                 struct outcmd *cmd, const struct upcmd_ops *ops, void *cmd_arg)
{
    struct feed *feed = arg;
    const struct destination to = {.route = route, .feed = feed, .highest_uid = highest_uid};
    return account_request(feed->account, to, cmd, ops, cmd_arg);
}

static void plan_cancel(void *arg, struct request **request)
{
    (void)arg;
    account_request_cancel(request);
}

static void plan_pause(void *arg, struct request *request, bool paused)
{
    (void)arg;
    account_request_pause(request, paused);
}

static bool plan_has_uid(void *arg, uint32_t uid)
{
    struct feed *feed = arg;
    return mailbox_has(feed->mailbox, uid);
}

static uint32_t plan_standin_bytes(void *arg)
{
    struct feed *feed = arg;
    return account__standin_bytes(feed->account);
}

static void plan_wake(void *arg)
{
    struct feed *feed = arg;
    feed->plan_woken = true;
    evloop_defer(account__loop(feed->account), &feed->plan_task, EVLOOP_SOON);
}

static void plan_run(void *arg)
{
    struct feed *feed = arg;
    feed->plan_woken = false;
    plan_flush(feed->plan);
}

static const struct plan_ops plan_ops = {
    .send = plan_send,
    .cancel = plan_cancel,
    .pause = plan_pause,
    .has_uid = plan_has_uid,
    .standin_bytes = plan_standin_bytes,
    .wake = plan_wake,
};

static void met_id(void *arg, uint32_t uid, struct slice id)
{
    twins__met(arg, uid, id);
}

static void make_plan(struct feed *feed)
{
    const struct plan_env env = {
        .store = feed->account->accounts->env.store,
        .stats = feed->account->accounts->env.stats,
        .mailbox_id = feed->store_id,
        .spool_dir = feed->account->settings->cache_dir,
        .ops = &plan_ops,
        .arg = feed,
        .id_item = twins__item(feed->account),
        .met_id = met_id,
    };
    feed->plan = plan_create(&env);
}

/* --- making and ending ------------------------------------------------------------------------ */

static void timer_over(void *arg);

static struct feed *feed_create(struct account *account, struct slice name)
{
    struct feed *feed = alloc_zero(sizeof(*feed));
    struct evloop *loop = account__loop(account);
    feed->account = account;
    feed->name = alloc_zero(name.len + 1);
    memcpy(feed->name, name.data, name.len);
    feed->name_len = name.len;
    feed->mailbox = mailbox_create(0);
    buf_init(&feed->told_flags, FEED_FLAG_LIST_MAX);
    buf_init(&feed->told_permanent, FEED_FLAG_LIST_MAX);
    buf_init(&feed->told_id, 1024);
    ranges_init(&feed->seen, 0);
    ranges_init(&feed->dead, 0);
    ranges_init(&feed->earlier, 0);
    ranges_init(&feed->gone_uids, 0);
    ranges_init(&feed->wrong, 0);
    task_init(&feed->plan_task, plan_run, feed);
    feed->timer = timer_create_on(loop, timer_over, feed);
    feed__tell_init(feed);
    HASH_ADD_KEYPTR(hh, account->feeds, feed->name, feed->name_len, feed);
    return feed;
}

static void free_feed(void *ptr)
{
    struct feed *feed = ptr;
    mailbox_destroy(&feed->mailbox);
    buf_fini(&feed->told_flags);
    buf_fini(&feed->told_permanent);
    buf_fini(&feed->told_id);
    buf_fini(&feed->stash);
    ranges_fini(&feed->seen);
    ranges_fini(&feed->dead);
    ranges_fini(&feed->earlier);
    ranges_fini(&feed->gone_uids);
    alloc_free(feed->gone);
    ranges_fini(&feed->wrong);
    alloc_free(feed->name);
    alloc_free(feed);
}

void feed__drop_cmds(struct feed *feed)
{
    feed->is_probing = false;
    feed->is_fetching_new = false;
    feed->is_selecting = false;
    feed->is_mapped = false;
    feed__drop_map(feed);
    feed__drop_runs(feed);
    while (feed->cmds != NULL) {
        struct feed_cmd *cmd = feed->cmds;
        DL_DELETE(feed->cmds, cmd);
        upcmd_detach(cmd->upcmd);
        alloc_free(cmd);
    }
}

void feed__stir(struct feed *feed)
{
    if (!feed->is_stirred && feed->state != FEED_ENDED) {
        feed->is_stirred = true;
        DL_APPEND2(feed->account->accounts->stirred, feed, stir_prev, stir_next);
        feed->account->accounts->stirred_n++;
    }
}

static void unstir(struct feed *feed)
{
    if (feed->is_stirred) {
        feed->is_stirred = false;
        DL_DELETE2(feed->account->accounts->stirred, feed, stir_prev, stir_next);
        feed->account->accounts->stirred_n--;
    }
}

void feed__destroy(struct feed *feed)
{
    struct account *account = feed->account;
    CHECK(feed->users == NULL);
    if (feed->state == FEED_LIVE) {
        feed__persist(feed);
    }
    searches__end(&feed->searches, feed->state != FEED_ENDED);
    feed->state = FEED_ENDED;
    HASH_DEL(account->feeds, feed);
    budget__leave(feed);
    unstir(feed);
    feed__open_failed(feed, CANCELED, SLICE(""));
    feed__refreshes_done(feed, CANCELED);
    if (feed->plan != NULL) {
        plan_destroy(&feed->plan);
    }
    orders__drop(feed);
    request__feed_gone(feed);
    share__feed_gone(feed);
    shadow__feed_gone(feed);
    feed__drop_cmds(feed);
    if (feed->slot != NULL) {
        slot__close(feed->slot, true);
    }
    evloop_cancel(account__loop(account), &feed->plan_task);
    timer_destroy(&feed->timer);
    feed__tell_fini(feed);
    evloop_reap(account__loop(account), feed, free_feed);
}

void feed__end(struct feed *feed, const char *text)
{
    struct feed_user *user, *next;
    LOG(LOG_INFO, "feed", "msg=\"mailbox ends\" account=%s mailbox=%s why=%s",
        feed->account->name, LOG_Q(feed_name(feed)), LOG_Q(slice_str(text)));
    DL_FOREACH_SAFE(feed->users, user, next) {
        user->gone(user, text);
    }
    CHECK(feed->users == NULL);
    feed->state = FEED_ENDED; /* what it believed is not worth keeping */
    feed__destroy(feed);
}

/* --- its link --------------------------------------------------------------------------------- */

static bool is_used(const struct feed *feed)
{
    return feed->users != NULL || feed->opens != NULL || feed->waiting != NULL ||
           feed->refreshes != NULL;
}

/* What was true a short while ago may be shown while the server cannot be asked (design section 11),
 * and saves work when the mailbox is opened again. */
static bool has_recent_model(const struct feed *feed)
{
    uint64_t ttl_ms = (uint64_t)feed->account->settings->auth_ttl_s * 1000;
    return feed->knows == FEED_KNOWS_FLAGS && feed->plan != NULL && now_ms(feed) - feed->place.seen_ms < ttl_ms;
}

/* It is opened as it was. */
static bool shows_kept(const struct feed *feed)
{
    bool has_link = feed->state == FEED_LIVE || feed->state == FEED_SYNCING;
    return !has_link && reach__shows_models(feed->account) && has_recent_model(feed);
}

static bool can_be_opened(const struct feed *feed)
{
    return feed->state == FEED_LIVE || feed__can_be_early(feed) || shows_kept(feed);
}

/* How long the feed stays without users and link. */
static uint64_t keep_ms(struct feed *feed)
{
    struct account *account = feed->account;
    struct feed *other, *next, *oldest = feed;
    size_t n = 0;
    if (!has_recent_model(feed) || account->is_ending) {
        return 0;
    }
    HASH_ITER(hh, account->feeds, other, next) {
        if (other->state == FEED_DOWN && !is_used(other)) {
            n++;
            oldest = other->left_ms < oldest->left_ms ? other : oldest;
        }
    }
    if (n > BUDGET_MODELS_MAX) {
        timer_set_ms(oldest->timer, 0);
    }
    return oldest == feed && n > BUDGET_MODELS_MAX
               ? 0
               : (uint64_t)account->settings->auth_ttl_s * 1000 - (now_ms(feed) - feed->place.seen_ms);
}

/* The first and second time at once: it may just have been a link gone stale. */
static uint64_t retry_ms(const struct feed *feed)
{
    uint64_t ms = feed->place.losses_n < 2 ? 0 : FEED_RETRY_MS * (uint64_t)(feed->place.losses_n - 1);
    ms = ms > 4 * FEED_RETRY_MS ? 4 * FEED_RETRY_MS : ms;
    for (unsigned i = FEED_LOSSES_MAX; i <= feed->place.syncs_lost_n && ms < FEED_RETRY_LAST_MS; i++) {
        ms = ms < 2 * FEED_RETRY_MS ? 2 * FEED_RETRY_MS : ms * 2;
    }
    return ms < FEED_RETRY_LAST_MS ? ms : FEED_RETRY_LAST_MS;
}

bool feed__is_hopeless(const struct feed *feed)
{
    return reach__is_away(feed->account) ||
           (feed->state == FEED_DOWN && feed->place.syncs_lost_n >= FEED_LOSSES_MAX);
}

void feed__need(struct feed *feed)
{
    feed->place.used_ms = now_ms(feed);
    if (feed->state != FEED_DOWN) {
        feed->place.is_visit = false;
    } else if (feed->place.is_parked || !timer_is_set(feed->timer)) { /* else it is tried again soon */
        timer_stop(feed->timer);
        budget__want(feed, false);
    }
}

void feed__take_slot(struct feed *feed, struct slot *slot, bool is_opened)
{
    timer_stop(feed->timer);
    feed->place.got_ms = now_ms(feed);
    feed->place.is_parked = false;
    feed->place.is_yielding = false;
    feed->wants_probe = false;
    feed->slot = slot;
    if (is_opened) {
        feed->state = FEED_WAITING;
    } else {
        slot__set_role(slot, SLOT_FEED, feed);
        feed__select(feed);
    }
}

void feed__park(struct feed *feed)
{
    struct slot *slot = feed->slot;
    LOG(LOG_DEBUG, "feed", "msg=parked account=%s mailbox=%s", feed->account->name,
        LOG_Q(feed_name(feed)));
    stats_add(feed->account->accounts->env.stats, STAT_feeds_parked, 1);
    feed__persist(feed);
    searches__write(feed->searches);
    feed__drop_cmds(feed); /* of one that nobody uses some may be under way */
    feed->slot = NULL;
    feed->state = FEED_DOWN;
    feed->place.seen_ms = now_ms(feed);
    feed->place.is_parked = true;
    feed->place.is_visit = false;
    feed->place.is_yielding = false;
    timer_stop(feed->timer);
    slot__set_role(slot, SLOT_SPARE, NULL);
    feed__check_use(feed);
}

void feed__slot_ready(struct feed *feed)
{
    feed__select(feed);
}

void feed__wake_users(struct feed *feed)
{
    struct feed_user *user, *next;
    DL_FOREACH_SAFE(feed->users, user, next) {
        if (user->progress != NULL) {
            user->progress(user);
        }
    }
}

void feed__slot_lost(struct feed *feed, bool was_ready)
{
    struct refresh_request *request;
    if (feed->state == FEED_LIVE) {
        feed->place.seen_ms = now_ms(feed);
        feed->place.losses_n = feed->place.seen_ms - feed->place.live_ms >= FEED_STEADY_MS ? 0 : feed->place.losses_n;
    } else if (was_ready) {
        feed->place.syncs_lost_n++;
    }
    feed->place.losses_n++;
    feed->slot = NULL;
    feed->state = FEED_DOWN;
    feed->place.is_yielding = false;
    feed__drop_cmds(feed);
    timer_stop(feed->timer);
    DL_FOREACH(feed->refreshes, request) {
        request->is_asked = false;
    }
    if (feed__is_hopeless(feed)) {
        feed__give_up_waiting(feed, NETWORK);
    }
    feed__check_use(feed);
    feed__wake_users(feed);
}

void feed__give_up_waiting(struct feed *feed, enum status why)
{
    if (feed->state == FEED_LIVE) {
        return;
    }
    if (reach__is_away(feed->account) && has_recent_model(feed)) {
        feed__opens_done(feed); /* once it may be shown */
    } else {
        feed__open_failed(feed, why, SLICE(""));
    }
    request__fail_waiting(&feed->waiting, why);
    feed__refreshes_done(feed, why);
    feed__check_use(feed);
    feed__wake_users(feed);
}

/* Without a link: it gets in line for one, now or later, or goes. */
static void check_down(struct feed *feed)
{
    bool is_needed = feed->opens != NULL || feed->waiting != NULL || feed->refreshes != NULL;
    if (!is_used(feed)) {
        budget__leave(feed);
        timer_set_ms(feed->timer, keep_ms(feed));
        return;
    }
    if (feed->place.is_in_line && feed->place.is_parked && !is_needed && !feed->place.is_visit) {
        budget__leave(feed); /* whoever needed it has left */
    }
    if (feed->place.is_in_line || (timer_is_set(feed->timer) && !is_needed)) {
        return;
    }
    if (feed->place.is_parked && !is_needed) {
        timer_set_ms(feed->timer, BUDGET_VISIT_MS);
    } else if (!feed->place.is_parked && retry_ms(feed) > 0) {
        if (!timer_is_set(feed->timer)) {
            timer_set_ms(feed->timer, retry_ms(feed));
        }
    } else {
        timer_stop(feed->timer);
        budget__want(feed, false);
    }
}

/* How soon the server is to be asked, when nobody else makes us: what is not told in IDLE would not
 * reach clients that idle. */
static uint32_t tick_ms(const struct feed *feed)
{
    const struct link *link = feed->slot->link;
    return !link_takes_idle(link)                      ? FEED_POLL_MS
           : !link_profile(link)->pushes_flags_in_idle ? FEED_ASK_MS
                                                       : FEED_TICK_MS;
}

void feed__check_use(struct feed *feed)
{
    if (feed->state == FEED_DOWN) {
        check_down(feed);
    } else if (feed->state == FEED_LIVE) {
        link_set_watched(feed->slot->link, feed->users != NULL);
        timer_set_ms(feed->timer, is_used(feed) ? tick_ms(feed) : FEED_UNUSED_MS);
    }
}

static void timer_over(void *arg)
{
    struct feed *feed = arg;
    if (feed->state == FEED_DOWN && !is_used(feed)) {
        feed__destroy(feed);
    } else if (feed->state == FEED_DOWN) {
        bool is_needed = feed->opens != NULL || feed->waiting != NULL || feed->refreshes != NULL;
        budget__want(feed, feed->place.is_parked && !is_needed);
    } else if (feed->state == FEED_LIVE && !is_used(feed)) {
        feed__park(feed); /* its model stays for a while */
        request__dispatch_all(feed->account);
    } else if (feed->state == FEED_LIVE) {
        (void)feed_refresh(feed, true, NULL, NULL); /* a sync point, and whether the link lives */
        feed__persist(feed);
        searches__write(feed->searches);
        timer_set_ms(feed->timer, tick_ms(feed));
    }
}

/* --- opening ---------------------------------------------------------------------------------- */

static void finish_open(struct open_request *request)
{
    struct feed *feed = request->feed;
    feed_open_fn *done = request->done;
    void *arg = request->arg;
    enum status st = request->status;
    struct buf text = request->text;
    if (feed != NULL) {
        DL_DELETE(feed->opens, request);
    }
    alloc_free(request);
    done(arg, st, st == OK ? feed : NULL, buf_slice(&text));
    buf_fini(&text);
}

static void run_open(void *arg)
{
    struct open_request *request = arg;
    struct feed *feed = request->feed;
    if (feed != NULL && !can_be_opened(feed)) {
        return; /* lost again in between: with the next SELECT */
    }
    finish_open(request);
    if (feed != NULL) {
        feed__check_use(feed);
    }
}

void feed__open_failed(struct feed *feed, enum status why, struct slice text)
{
    while (feed->opens != NULL) {
        struct open_request *request = feed->opens;
        DL_DELETE(feed->opens, request);
        request->feed = NULL;
        request->status = why;
        buf_add(&request->text, text);
        evloop_defer(request->loop, &request->task, EVLOOP_SOON);
    }
}

void feed__opens_done(struct feed *feed)
{
    struct open_request *request;
    if (!can_be_opened(feed)) {
        return;
    }
    DL_FOREACH(feed->opens, request) {
        evloop_defer(account__loop(feed->account), &request->task, EVLOOP_SOON);
    }
}

struct open_request *feed_open(struct account *account, struct slice name, feed_open_fn *done,
                               void *arg)
{
    struct feed *feed = NULL;
    HASH_FIND(hh, account->feeds, name.data, name.len, feed);
    if (feed != NULL && feed->state == FEED_DOWN && !feed->place.is_parked && !is_used(feed) &&
        !reach__is_away(account)) {
        feed__destroy(feed); /* kept in case the server should be away; what is on disk is surer */
        feed = NULL;
    }
    if (feed == NULL) {
        feed = feed_create(account, name);
    }
    struct open_request *request = alloc_zero(sizeof(*request));
    request->loop = account__loop(account);
    request->feed = feed;
    request->done = done;
    request->arg = arg;
    buf_init(&request->text, 4096);
    task_init(&request->task, run_open, request);
    DL_APPEND(feed->opens, request);
    if (feed->state == FEED_DOWN) {
        timer_stop(feed->timer); /* set to its end while nobody used it: not to when it is tried again */
    }
    if (reach__is_away(account)) {
        feed__give_up_waiting(feed, NETWORK);
    } else if (feed->state == FEED_DOWN) {
        feed__need(feed);
    } else if (feed->state == FEED_LIVE || feed__can_be_early(feed)) {
        if (feed->state != FEED_LIVE || feed_is_fresh(feed)) {
            evloop_defer(account__loop(account), &request->task, EVLOOP_SOON);
        } else {
            feed->wants_probe = true;
            feed__stir(feed);
        }
        feed__need(feed);
    }
    return request;
}

void feed_open_cancel(struct open_request **request)
{
    struct open_request *gone = *request;
    *request = NULL;
    struct feed *feed = gone->feed;
    evloop_cancel(gone->loop, &gone->task);
    if (feed != NULL) {
        DL_DELETE(feed->opens, gone);
        feed__check_use(feed);
    }
    buf_fini(&gone->text);
    alloc_free(gone);
}

void feed_attach(struct feed *feed, struct feed_user *user)
{
    user->feed = feed;
    user->is_early = feed->state != FEED_LIVE && !shows_kept(feed);
    user->is_adrift = false;
    user->told = feed->selected;
    if (feed->is_mapped) { /* what went before that needs no telling */
        user->told.exists = mailbox_exists(feed->mailbox);
        user->told.recent = 0;
        user->told.unseen = 0;
        user->told.uidnext = mailbox_uidnext(feed->mailbox);
        user->told.lists_version = mailbox_lists_version(feed->mailbox);
    }
    DL_APPEND(feed->users, user);
}

void feed_detach(struct feed_user *user)
{
    struct feed *feed = user->feed;
    if (feed == NULL) {
        return;
    }
    DL_DELETE(feed->users, user);
    user->feed = NULL;
    feed->left_ms = now_ms(feed);
    if (feed->state != FEED_ENDED && feed->users == NULL) {
        feed__check_use(feed);
    }
}

/* --- in the course of things ------------------------------------------------------------------ */

void feed__tagged_ok(struct feed *feed, const struct response *tagged)
{
    uint64_t highest;
    if (feed->state != FEED_LIVE) {
        return;
    }
    feed->tagged_ms = now_ms(feed);
    if (feed__has_doubts(feed)) {
        feed__stir(feed);
    }
    if (!feed__count_is_true(feed)) {
        return;
    }
    if (tagged->code == CODE_HIGHESTMODSEQ && feed->has_modseq &&
        respdata_code_number(tagged, &highest)) {
        mailbox_saw_modseq(feed->mailbox, highest);
        feed->vanished_modseq =
            feed->vanished_modseq == UINT64_MAX ? highest : feed->vanished_modseq;
    }
    mailbox_sync_point(feed->mailbox);
}

void feed__settle(struct feed *feed)
{
    if (feed->state != FEED_LIVE || feed->is_probing || !feed__count_is_true(feed)) {
        return; /* new mail is being asked for, or comes with the end of the probe */
    }
    feed__opens_done(feed);
    feed__refreshes_done(feed, OK);
}

void feed__recheck(struct feed *feed)
{
    bool is_settled = feed->state == FEED_LIVE || feed->state == FEED_DOWN;
    if (is_settled && feed->users == NULL && feed->opens == NULL) {
        feed__destroy(feed);
    } else if (feed->state == FEED_LIVE) {
        request__forget_selection(feed);
        feed__drop_cmds(feed);
        feed__select(feed);
    } else {
        feed->wants_recheck = feed->state == FEED_SYNCING;
    }
}

/* \\Recent as the upstream has it, where nothing was kept of whom it went to (T13). */
static void take_recent(struct feed *feed)
{
    struct mailbox_entry entry;
    uint32_t n = mailbox_exists(feed->mailbox);
    uint32_t recent = feed->told_recent < n ? feed->told_recent : n;
    uint32_t floor = mailbox_uidnext(feed->mailbox);
    if (recent > 0 && mailbox_at(feed->mailbox, n - recent + 1, &entry)) {
        floor = entry.uid;
    }
    mailbox_set_recent_floor(feed->mailbox, floor);
}

void feed__mapped(struct feed *feed)
{
    if (feed->must_check || feed->is_mapped) {
        return; /* it might be another mailbox's mail that is kept */
    }
    feed->is_mapped = true;
    if (feed->knows == FEED_KNOWS_NOTHING) {
        feed->knows = FEED_KNOWS_NUMBERS;
        take_recent(feed);
    }
    mailbox_raise_uidnext(feed->mailbox, feed->told_uidnext);
    if (feed->plan == NULL) {
        make_plan(feed);
    }
    feed__open_early(feed);
    request__feed_ready(feed);
}

void feed__live(struct feed *feed)
{
    LOG(LOG_DEBUG, "feed", "msg=live account=%s mailbox=%s messages=%u", feed->account->name,
        LOG_Q(feed_name(feed)), (unsigned)mailbox_exists(feed->mailbox));
    feed->state = FEED_LIVE;
    bool is_complete = feed->knows == FEED_KNOWS_FLAGS;
    feed__mapped(feed);
    feed->knows = FEED_KNOWS_FLAGS;
    feed->is_answered = false; /* from now on the model answers */
    feed->place.syncs_lost_n = 0;
    feed->place.live_ms = now_ms(feed);
    feed->syncs_failed = 0;
    feed->tagged_ms = now_ms(feed);
    if (feed->has_modseq) {
        mailbox_saw_modseq(feed->mailbox, feed->told_modseq);
    }
    mailbox_sync_point(feed->mailbox);
    if (!is_complete) {
        feed__open_early(feed); /* those who wait for flags go on */
    }
    searches__live(feed);
    link_want_idle(feed->slot->link, true);
    feed__opens_done(feed);
    feed__refreshes_done(feed, OK);
    request__feed_ready(feed);
    request__dispatch_all(feed->account);
    feed__changed(feed);
    feed__persist(feed);
    feed__check_use(feed);
    if (feed->wants_recheck) {
        feed__recheck(feed);
    }
}

void feed__changed(struct feed *feed)
{
    feed->telling.is_due = true;
    feed__stir(feed);
}

void feed__end_of_turn(struct feed *feed)
{
    struct account *account = feed->account;
    unstir(feed); /* what happens from here on stirs it again */
    if (feed->is_too_large && feed->state != FEED_ENDED) {
        feed__end(feed, "[LIMIT] The mailbox has more messages than this server holds");
        return;
    }
    if (feed->state == FEED_SYNCING && !feed->is_selecting && feed->told_uidvalidity == 0) {
        feed__end(feed, "[UNAVAILABLE] UIDVALIDITY changed");
        return;
    }
    if (feed->state == FEED_LIVE) {
        if (!feed__count_is_true(feed)) {
            feed__fetch_new(feed);
        }
        if (feed->state != FEED_LIVE) {
            return; /* its end, or SEARCH ALL, after which it is live again */
        }
        struct refresh_request *request;
        DL_FOREACH(feed->refreshes, request) {
            feed->wants_probe = feed->wants_probe || !request->is_asked;
        }
        if (feed->wants_probe && !feed->place.is_yielding) {
            feed__probe(feed);
        }
        feed__tell_soon(feed);
        feed__check_doubts(feed);
    }
    budget__kick(account);
}

/* --- questions -------------------------------------------------------------------------------- */

struct slice feed_name(const struct feed *feed)
{
    return slice_of(feed->name, feed->name_len);
}

struct account *feed_account(const struct feed *feed)
{
    return feed->account;
}

struct mailbox *feed_mailbox(struct feed *feed)
{
    return feed->mailbox;
}

struct plan *feed_plan(struct feed *feed)
{
    return feed->plan;
}

uint64_t feed_store_id(const struct feed *feed)
{
    return feed->store_id;
}

void feed_claim_recent(struct feed_user *user)
{
    user->feed->selected.recent = 0;
}

enum feed_knows feed_knows(const struct feed *feed)
{
    return feed->knows;
}

bool feed_is_mapped(const struct feed *feed)
{
    return feed->state == FEED_LIVE || feed->is_mapped;
}

bool feed_is_writable(const struct feed *feed)
{
    return feed->is_writable && !reach__is_away(feed->account);
}

uint64_t feed_vanished_modseq(const struct feed *feed)
{
    return feed->vanished_modseq;
}

bool feed_has_modseq(const struct feed *feed)
{
    return feed->has_modseq;
}
