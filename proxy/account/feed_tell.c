/* When those who have the mailbox open are told that it has changed: the first change at once, what
 * follows within FEED_GATHER_MS together; FEED_TELL_MAX of them a turn, so that a thousand do not
 * hold up everybody else. */
#include <utlist.h>

#include "feed_p.h"

static uint64_t now_ms(const struct feed *feed)
{
    return evloop_now_ms(account__loop(feed->account));
}

/* The next ones, from the head of the list to its end. */
static void tell_some(void *arg)
{
    struct feed *feed = arg;
    for (size_t n = 0; n < FEED_TELL_MAX && feed->telling.left > 0 && feed->users != NULL; n++) {
        struct feed_user *user = feed->users;
        DL_DELETE(feed->users, user);
        DL_APPEND(feed->users, user);
        feed->telling.left--;
        user->changed(user);
    }
    if (feed->telling.left > 0 && feed->users != NULL) {
        evloop_defer(account__loop(feed->account), &feed->telling.task, EVLOOP_NEXT_TURN);
    } else {
        feed->telling.left = 0;
        feed__bury(feed);
    }
}

void feed__tell(struct feed *feed)
{
    const struct feed_user *user;
    feed->telling.is_due = false;
    feed->telling.told_ms = now_ms(feed);
    DL_COUNT(feed->users, user, feed->telling.left);
    tell_some(feed);
}

static void gather_over(void *arg)
{
    struct feed *feed = arg;
    if (feed->telling.is_due) {
        feed__tell(feed);
    }
}

void feed__tell_soon(struct feed *feed)
{
    if (!feed->telling.is_due || timer_is_set(feed->telling.gather)) {
        return;
    }
    uint64_t since = now_ms(feed) - feed->telling.told_ms;
    if (since >= FEED_GATHER_MS) {
        feed__tell(feed);
    } else {
        timer_set_ms(feed->telling.gather, FEED_GATHER_MS - since);
    }
}

void feed__tell_init(struct feed *feed)
{
    feed->telling.gather = timer_create_on(account__loop(feed->account), gather_over, feed);
    task_init(&feed->telling.task, tell_some, feed);
}

void feed__tell_fini(struct feed *feed)
{
    evloop_cancel(account__loop(feed->account), &feed->telling.task);
    timer_destroy(&feed->telling.gather);
}
