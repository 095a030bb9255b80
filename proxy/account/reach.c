/* Can the upstream be reached?  One answer for the whole account, so that many mailboxes do not
 * knock at a door each. */
#include <utlist.h>

#include "feed_p.h"
#include "base/log.h"

enum {
    FAILURES_TO_AWAY = 2,
    PAUSE_FIRST_MS = 250,
    PAUSE_NEXT_MS = 1000,
    PAUSE_LAST_MS = 60 * 1000,
    SLOW_FIRST_MS = 1000,
    SLOW_LAST_MS = 60 * 1000,
    SLOW_MEMORY_MS = 5 * 60 * 1000, /* complaints further apart are new ones */
    SLOW_WAIT_MS = 30 * 1000,       /* a client waits so long, then it is told */
    FEWER_LINKS_MS = 10 * 60 * 1000,
};

static bool has_ready_link(const struct account *account)
{
    const struct slot *slot;
    DL_FOREACH(account->slots, slot) {
        if (slot__is_ready(slot)) {
            return true;
        }
    }
    return false;
}

/* 250 ms, then 1, 2, 4 ... 60 s, each up to a quarter longer: an office's proxies and accounts do
 * not come back all at the same moment. */
static uint32_t next_pause_ms(const struct account *account)
{
    uint32_t ms = PAUSE_NEXT_MS;
    uint32_t random;
    if (account->failed_n <= 1) {
        ms = PAUSE_FIRST_MS;
    }
    for (unsigned i = 2; i < account->failed_n && ms < PAUSE_LAST_MS; i++) {
        ms *= 2;
    }
    ms = ms > PAUSE_LAST_MS ? PAUSE_LAST_MS : ms;
    secret_random(&random, sizeof(random));
    return ms + random % (ms / 4);
}

static void go_away(struct account *account)
{
    struct feed *feed, *next;
    if (account->is_away) {
        return;
    }
    LOG(LOG_WARN, "account", "msg=\"the mail server is away\" account=%s", account->name);
    account->is_away = true;
    account->away_ms = evloop_now_ms(account__loop(account));
    timer_set_ms(account->patience, BUDGET_SHOW_MS + 10);
    request__fail_waiting(&account->waiting, NETWORK);
    HASH_ITER(hh, account->feeds, feed, next) {
        feed__give_up_waiting(feed, NETWORK);
    }
}

static void patience_over(void *arg)
{
    struct account *account = arg;
    struct feed *feed, *next;
    if (!account->is_away && !has_ready_link(account)) {
        go_away(account);
    } else if (account->is_away) {
        HASH_ITER(hh, account->feeds, feed, next) {
            feed__give_up_waiting(feed, NETWORK); /* they are shown as they were */
        }
    }
}

/* Whoever waits tries first; else one link is tried, so that the account comes back. */
static void pause_over(void *arg)
{
    struct account *account = arg;
    budget__kick(account);
    request__dispatch_all(account);
    if (account->is_away && account->line == NULL && account->slots == NULL &&
        account->users != NULL) {
        (void)slot__open(account, SLOT_SPARE, NULL);
    }
}

void reach__init(struct account *account)
{
    account->pause = timer_create_on(account__loop(account), pause_over, account);
    account->patience = timer_create_on(account__loop(account), patience_over, account);
    account->slow = timer_create_on(account__loop(account), pause_over, account);
}

void reach__fini(struct account *account)
{
    timer_destroy(&account->pause);
    timer_destroy(&account->patience);
    timer_destroy(&account->slow);
}

void reach__trying(struct account *account)
{
    if (!has_ready_link(account) && !timer_is_set(account->patience)) {
        timer_set_ms(account->patience, BUDGET_PATIENCE_MS);
    }
}

void reach__link_ready(struct account *account)
{
    if (account->is_away) {
        LOG(LOG_INFO, "account", "msg=\"the mail server is back\" account=%s", account->name);
    }
    account->is_away = false;
    account->failed_n = 0;
    timer_stop(account->patience);
    timer_stop(account->pause);
    budget__kick(account);
}

void reach__link_failed(struct account *account, uint64_t begun_ms)
{
    if (account->failed_n > 0 && begun_ms <= account->failed_ms) {
        return;
    }
    account->failed_ms = evloop_now_ms(account__loop(account));
    account->failed_n++;
    timer_set_ms(account->pause, next_pause_ms(account));
    if (account->failed_n >= FAILURES_TO_AWAY && !has_ready_link(account)) {
        go_away(account);
    }
}

/* While the server wants to be left alone no other is tried. */
void reach__link_lost(struct account *account)
{
    if (timer_is_set(account->slow)) {
        reach__trying(account);
    }
}

bool reach__is_away(const struct account *account)
{
    return account->is_away;
}

bool reach__shows_models(const struct account *account)
{
    return account->is_away &&
           evloop_now_ms(account__loop(account)) - account->away_ms >= BUDGET_SHOW_MS;
}

/* --- a server that complains ------------------------------------------------------------------- */

/* As long as it suggests; else a second, and twice as long each time it says so again soon. */
static void slow_down(struct account *account, uint32_t suggested_ms)
{
    uint64_t now = evloop_now_ms(account__loop(account));
    bool is_again = account->slow_ms > 0 && now - account->slowed_ms < SLOW_MEMORY_MS;
    uint32_t ms = is_again ? 2 * account->slow_ms : SLOW_FIRST_MS;
    ms = ms > SLOW_LAST_MS ? SLOW_LAST_MS : ms;
    if (timer_is_set(account->slow)) {
        ms = account->slow_ms; /* said by several links at once */
    }
    account->slow_ms = ms;
    account->slowed_ms = now;
    uint64_t until = now + (suggested_ms > 0 ? suggested_ms : ms);
    if (!timer_is_set(account->slow) || until > account->slow_until_ms) {
        account->slow_until_ms = until;
        timer_set_ms(account->slow, account->slow_until_ms - now);
    }
}

static uint32_t ready_links(const struct account *account)
{
    const struct slot *slot;
    uint32_t n = 0;
    DL_FOREACH(account->slots, slot) {
        n += slot__is_ready(slot);
    }
    return n;
}

void reach__throttled(struct account *account, const struct throttle *throttle)
{
    stats_add(account->accounts->env.stats, STAT_throttled, 1);
    if (throttle->kind == THROTTLE_CONNECTIONS) {
        uint32_t n = ready_links(account);
        account->most_links = n > 0 ? n : 1;
        account->most_until_ms = evloop_now_ms(account__loop(account)) + FEWER_LINKS_MS;
    } else {
        slow_down(account, throttle->backoff_ms);
    }
    LOG(LOG_WARN, "account", "msg=\"the mail server complains\" account=%s about=%s links=%u "
                             "pause_ms=%u", account->name,
        throttle->kind == THROTTLE_CONNECTIONS ? "connections" : "commands",
        (unsigned)reach__most_links(account), account->slow_ms);
}

bool reach__is_slowed(const struct account *account, bool *long_out)
{
    bool is_slowed = timer_is_set(account->slow);
    uint64_t now = evloop_now_ms(account__loop(account));
    *long_out = is_slowed && account->slow_until_ms > now + SLOW_WAIT_MS;
    return is_slowed;
}

uint32_t reach__most_links(const struct account *account)
{
    bool is_over = evloop_now_ms(account__loop(account)) >= account->most_until_ms;
    return is_over ? 0 : account->most_links;
}

bool reach__is_pausing(const struct account *account)
{
    return timer_is_set(account->pause) || timer_is_set(account->slow);
}
