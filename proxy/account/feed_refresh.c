/* Freshness: is the model as true as a round trip on the feed a moment ago made it, and making it so. */
#include <utlist.h>

#include "feed_sync_p.h"
#include "base/alloc.h"

static uint64_t now_ms(const struct feed *feed)
{
    return evloop_now_ms(account__loop(feed->account));
}

bool feed_is_fresh(const struct feed *feed)
{
    if (feed->place.is_parked && feed->state == FEED_DOWN && feed->knows == FEED_KNOWS_FLAGS) {
        return now_ms(feed) - feed->tagged_ms < FEED_PARKED_FRESH_MS;
    }
    return feed->state == FEED_LIVE && feed__count_is_true(feed) && !feed->is_fetching_new &&
           now_ms(feed) - feed->tagged_ms < link_fresh_ms(feed->slot->link);
}

bool feed_is_away(const struct feed *feed)
{
    return feed__is_hopeless(feed);
}

static void finish_refresh(void *arg)
{
    struct refresh_request *request = arg;
    refresh_fn *done = request->done;
    void *done_arg = request->arg;
    enum status st = request->status;
    alloc_free(request);
    if (done != NULL) {
        done(done_arg, st);
    }
}

static void refresh_done_later(struct refresh_request *request, enum status st)
{
    struct feed *feed = request->feed;
    DL_DELETE(feed->refreshes, request);
    request->feed = NULL;
    request->status = st;
    evloop_defer(request->loop, &request->task, EVLOOP_SOON);
}

void feed__refreshes_done(struct feed *feed, enum status st)
{
    struct refresh_request *request, *next;
    DL_FOREACH_SAFE(feed->refreshes, request, next) {
        if (st != OK || request->is_asked) {
            refresh_done_later(request, st);
        }
    }
}

struct refresh_request *feed_refresh(struct feed *feed, bool must_ask, refresh_fn *done, void *arg)
{
    struct refresh_request *request = alloc_zero(sizeof(*request));
    request->loop = account__loop(feed->account);
    request->feed = feed;
    request->done = done;
    request->arg = arg;
    request->must_ask = must_ask;
    task_init(&request->task, finish_refresh, request);
    DL_APPEND(feed->refreshes, request);
    feed__stir(feed);
    if (feed->state == FEED_ENDED || feed__is_hopeless(feed)) {
        refresh_done_later(request, NETWORK);
    } else if (!must_ask && feed_is_fresh(feed)) {
        refresh_done_later(request, OK);
    } else if (!must_ask && feed->is_probing) {
        request->is_asked = true;
    } else if (done != NULL) {
        feed__need(feed);
    }
    return request;
}

void feed_refresh_cancel(struct refresh_request **request)
{
    struct refresh_request *gone = *request;
    *request = NULL;
    if (gone->feed != NULL) {
        DL_DELETE(gone->feed->refreshes, gone);
        if (gone->feed->state == FEED_DOWN) {
            feed__check_use(gone->feed);
        }
    } else {
        evloop_cancel(gone->loop, &gone->task);
    }
    alloc_free(gone);
}
