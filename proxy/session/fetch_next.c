/* Read-ahead (design 10): a client that reads bodies one by one in order, up or down, waits a round trip
 * for each.  From the third on the next ones are asked in the same flight, twice as many each time, until
 * it strays.  They go to the store like all that was asked; a FETCH that comes for one joins it. */
#include "base/alloc.h"
#include "fetch_p.h"

enum {
    NEXT_RUN_MIN = 2,   /* in order, before anything is guessed */
    NEXT_MAX = 64,      /* messages */
    NEXT_FIRST_MAX = 4, /* while nothing is known of their size */
    NEXT_BYTES = 512 * 1024,
};

struct fetch_next {
    uint32_t last_uid;
    uint32_t far_uid; /* the farthest that was looked at; 0: none */
    uint32_t run_n;   /* steps in order so far */
    uint32_t window;
    bool is_down;
    size_t held_n;
    struct pending *held[NEXT_MAX];
};

static void release(struct fetch_next *next, struct plan *plan, size_t i)
{
    pending_release(plan, &next->held[i]);
    next->held[i] = next->held[--next->held_n];
}

void fetch__forget_next(struct session *session)
{
    struct fetch_next *next = session->next;
    if (next == NULL) {
        return;
    }
    while (next->held_n > 0) {
        release(next, feed_plan(session->feed), 0);
    }
    alloc_free(next);
    session->next = NULL;
}

/* What has been read, and what is held no more of use behind it. */
static void release_passed(struct fetch_next *next, struct plan *plan, uint32_t uid)
{
    for (size_t i = next->held_n; i > 0; i--) {
        uint32_t held = pending_uid(next->held[i - 1]);
        if (next->is_down ? held >= uid : held <= uid) {
            release(next, plan, i - 1);
        }
    }
}

static void stray(struct fetch_next *next, struct plan *plan)
{
    while (next->held_n > 0) {
        release(next, plan, 0);
    }
    next->run_n = next->window = next->far_uid = 0;
}

/* The message @by further; 0: none. */
static uint32_t uid_beyond(struct view *view, uint32_t uid, uint32_t by, bool is_down)
{
    uint32_t msn = view_msn_of(view, uid);
    if (msn == 0 || (is_down && msn <= by)) {
        return 0;
    }
    return view_uid_of(view, is_down ? msn - by : msn + by);
}

static void follow(struct fetch_next *next, struct session *session, uint32_t uid)
{
    bool is_down = next->last_uid > uid;
    bool is_step = next->last_uid != 0 &&
                   uid_beyond(session->view, next->last_uid, 1, is_down) == uid;
    if (!is_step || (next->run_n > 0 && next->is_down != is_down)) {
        stray(next, feed_plan(session->feed));
    }
    next->run_n += is_step;
    next->is_down = is_down;
    next->last_uid = uid;
    release_passed(next, feed_plan(session->feed), uid);
}

static uint32_t most(const struct session *session)
{
    if (session->body_bytes_mean == 0) {
        return NEXT_FIRST_MAX;
    }
    uint64_t n = NEXT_BYTES / session->body_bytes_mean;
    return n < NEXT_MAX ? (uint32_t)n : NEXT_MAX;
}

/* How far beyond @uid everything has been looked at. */
static uint32_t distance(const struct fetch_next *next, struct view *view, uint32_t uid)
{
    uint32_t far = next->far_uid != 0 ? view_msn_of(view, next->far_uid) : 0;
    uint32_t here = view_msn_of(view, uid);
    if (far == 0) {
        return 0;
    }
    return next->is_down ? (here > far ? here - far : 0) : (far > here ? far - here : 0);
}

static void ask_next(struct fetch_next *next, struct fetch_work *work, uint32_t uid)
{
    struct session *session = work->session;
    uint32_t done = distance(next, session->view, uid);
    if (done > next->window / 2) {
        return;
    }
    uint32_t limit = most(session);
    next->window = next->window == 0 ? 2 : next->window * 2;
    next->window = next->window < limit ? next->window : limit;
    for (uint32_t by = done + 1; by <= next->window && next->held_n < NEXT_MAX; by++) {
        uint32_t beyond = uid_beyond(session->view, uid, by, next->is_down);
        if (beyond == 0) {
            return;
        }
        next->far_uid = beyond;
        struct pending *pending = mailbox_has(feed_mailbox(session->feed), beyond)
                                      ? fetch__ask(work, beyond)
                                      : NULL;
        if (pending != NULL) {
            next->held[next->held_n++] = pending;
        }
    }
}

static bool is_one_whole_body(const struct fetch_work *work)
{
    const struct args_fetch *args = &work->job->parsed.args.fetch;
    for (size_t i = 0; i < args->items.n; i++) {
        if (args->items.at[i].has_partial) {
            return false;
        }
    }
    return work->wants_bodies && !args->has_changedsince && work->uids.n == 1 &&
           work->uids.at[0].first == work->uids.at[0].last;
}

void fetch__ask_next(struct fetch_work *work)
{
    struct session *session = work->session;
    if (work->is_counted || !is_one_whole_body(work)) {
        return;
    }
    work->is_counted = true;
    if (session->next == NULL) {
        session->next = alloc_zero(sizeof(*session->next));
    }
    struct fetch_next *next = session->next;
    uint32_t uid = work->uids.at[0].first;
    if (uid == next->last_uid) {
        return; /* the same one again: as a rule another part of it */
    }
    follow(next, session, uid);
    /* A client that sends many at once has its answers in one flight anyway. */
    if (next->run_n >= NEXT_RUN_MIN && session->jobs_n == 1) {
        ask_next(next, work, uid);
    }
}
