/* Which messages have vanished, where the server tells no tombstones: found by counts over runs.
 *
 * The model holds all that there is and some that has gone; number n on the server is rank n + d in the
 * model, where d counts what has gone below.  So a few numbers are asked for their UIDs; where d is the
 * same at both ends of a run nothing is missing in it, else it is cut again, until a run is so short
 * that all of it is asked.  A million messages with a few gone cost three round trips and some KB, not
 * a list of a million.  Whatever does not fit (an EXPUNGE in between, a UID the model does not have)
 * leaves it to SEARCH ALL. */
#include "feed_sync_p.h"
#include "base/alloc.h"
#include "imap/outcmd.h"
#include "model/uidset.h"

enum {
    RUNS_FROM = 500,      /* messages: fewer are listed as soon */
    RUNS_OPEN_MAX = 16,   /* runs at a time; more: too much has gone for this to pay */
    RUN_CUTS = 32,        /* a run is cut into so many */
    RUN_SHORT = 64,       /* is asked whole */
};

/* Numbers first..last on the server; `before` have gone below, `missing` are gone within. */
struct run {
    uint32_t first, last;
    uint32_t before, missing;
};

struct point {
    uint32_t msn;
    uint32_t rank; /* in the model; 0: not answered */
};

struct runs {
    struct run *open;
    size_t n;
    struct point *points; /* asked in this round, ascending */
    size_t points_n, points_cap;
    struct ranges alive;  /* UIDs told in runs that were asked whole */
    struct ranges asked;  /* and what the model has there */
    uint32_t there; /* messages when it began */
    bool is_contradicted;
};

void feed__drop_runs(struct feed *feed)
{
    struct runs *runs = feed->runs;
    if (runs == NULL) {
        return;
    }
    feed->runs = NULL;
    ranges_fini(&runs->alive);
    ranges_fini(&runs->asked);
    alloc_free(runs->open);
    alloc_free(runs->points);
    alloc_free(runs);
}

static uint32_t length(const struct run *run)
{
    return run->last >= run->first ? run->last - run->first + 1 : 0;
}

static uint32_t uid_of_rank(const struct feed *feed, uint32_t rank)
{
    struct mailbox_entry entry = {0};
    (void)mailbox_at(feed->mailbox, rank, &entry);
    return entry.uid;
}

/* --- what is asked ------------------------------------------------------------------------------- */

static void add_point(struct runs *runs, uint32_t msn)
{
    if (runs->points_n == runs->points_cap) {
        runs->points_cap = runs->points_cap > 0 ? 2 * runs->points_cap : 64;
        runs->points = alloc_resize(runs->points, runs->points_cap, sizeof(*runs->points));
    }
    runs->points[runs->points_n++] = (struct point){.msn = msn};
}

/* All messages of a short run, and in the model those that may have been among them. */
static void ask_whole(struct feed *feed, const struct run *run)
{
    struct runs *runs = feed->runs;
    uint32_t low = run->first + run->before;
    uint32_t high = run->last + run->before + run->missing;
    ranges_add(&runs->asked, uid_of_rank(feed, low), uid_of_rank(feed, high));
    for (uint32_t msn = run->first; msn <= run->last; msn++) {
        add_point(runs, msn);
    }
}

static void ask_cuts(struct runs *runs, const struct run *run)
{
    for (uint32_t i = 1; i <= RUN_CUTS; i++) {
        uint32_t msn = run->first + (uint32_t)((uint64_t)length(run) * i / RUN_CUTS) - 1;
        if (runs->points_n == 0 || runs->points[runs->points_n - 1].msn < msn) {
            add_point(runs, msn);
        }
    }
}

static void runs_done(struct feed *feed, enum status st, const struct response *tagged);

static void send_round(struct feed *feed)
{
    struct runs *runs = feed->runs;
    struct ranges msns;
    struct outcmd cmd;
    ranges_init(&msns, 0);
    for (size_t i = 0; i < runs->points_n; i++) {
        ranges_add(&msns, runs->points[i].msn, runs->points[i].msn);
    }
    outcmd_init(&cmd);
    outcmd_str(&cmd, "FETCH ");
    outcmd_ranges(&cmd, &msns);
    outcmd_str(&cmd, " (UID)");
    ranges_fini(&msns);
    (void)feed__send(feed, &cmd, 0, runs_done);
}

/* Ask about the open runs; short ones end with that. */
static void ask(struct feed *feed)
{
    struct runs *runs = feed->runs;
    runs->points_n = 0;
    for (size_t i = 0; i < runs->n; i++) {
        const struct run *run = &runs->open[i];
        if (length(run) == 0) { /* everything between two numbers has gone */
            ranges_add(&runs->asked, uid_of_rank(feed, run->first + run->before),
                       uid_of_rank(feed, run->last + run->before + run->missing));
        } else if (length(run) <= RUN_SHORT) {
            ask_whole(feed, run);
        } else {
            ask_cuts(runs, run);
        }
    }
    if (runs->points_n > 0) {
        send_round(feed);
    } else {
        runs_done(feed, OK, NULL);
    }
}

/* --- what is answered ---------------------------------------------------------------------------- */

void feed__runs_answer(struct feed *feed, uint32_t msn, uint32_t uid)
{
    struct runs *runs = feed->runs;
    size_t low = 0, high = runs->points_n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (runs->points[mid].msn < msn) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == runs->points_n || runs->points[low].msn != msn || uid == 0) {
        return; /* news of another one */
    }
    if (!mailbox_has(feed->mailbox, uid)) {
        runs->is_contradicted = true;
        return;
    }
    runs->points[low].rank = mailbox_rank(feed->mailbox, uid);
    ranges_add(&runs->alive, uid, uid);
}

static void add_run(struct run *next, size_t *n, const struct run *run)
{
    if (run->missing > 0 && *n < RUNS_OPEN_MAX) {
        next[(*n)++] = *run;
    }
}

/* Cut an open run at the points that lie in it; false: the answers make no sense. */
static bool cut_run(const struct runs *runs, const struct run *run, size_t *at, struct run *next,
                    size_t *n)
{
    struct run part = *run;
    uint32_t end = run->before + run->missing;
    for (; *at < runs->points_n && runs->points[*at].msn <= run->last; (*at)++) {
        const struct point *point = &runs->points[*at];
        if (point->rank < point->msn + part.before || point->rank > point->msn + end) {
            return false;
        }
        uint32_t here = point->rank - point->msn;
        part.last = point->msn;
        part.missing = here - part.before;
        add_run(next, n, &part);
        part = (struct run){.first = point->msn + 1, .last = run->last, .before = here};
    }
    part.missing = end - part.before; /* behind the last point: a run of no messages, or the rest */
    add_run(next, n, &part);
    return true;
}

/* The next round; false: over, or no more sense in it. */
static bool narrow(struct feed *feed)
{
    struct runs *runs = feed->runs;
    struct run *next = alloc_array(RUNS_OPEN_MAX, sizeof(*next));
    size_t n = 0, at = 0;
    bool is_sound = true;
    for (size_t i = 0; i < runs->n && is_sound; i++) {
        const struct run *run = &runs->open[i];
        if (length(run) > RUN_SHORT) {
            is_sound = cut_run(runs, run, &at, next, &n);
        } else {
            while (at < runs->points_n && runs->points[at].msn <= run->last) {
                at++; /* was asked whole */
            }
        }
    }
    runs->is_contradicted = runs->is_contradicted || !is_sound || n == RUNS_OPEN_MAX;
    alloc_free(runs->open);
    runs->open = next;
    runs->n = n;
    return is_sound && n > 0 && !runs->is_contradicted;
}

static void remove_missing(struct feed *feed)
{
    struct runs *runs = feed->runs;
    struct ranges gone;
    ranges_init(&gone, 0);
    mailbox_scan_uids(feed->mailbox, &runs->asked, &gone);
    ranges_subtract(&gone, &runs->alive);
    if (mailbox_exists(feed->mailbox) - ranges_count(&gone) == runs->there) {
        (void)mailbox_remove_set(feed->mailbox, &gone);
        ranges_unite(&feed->dead, &gone);
        feed__changed(feed);
    }
    ranges_fini(&gone);
}

static void runs_done(struct feed *feed, enum status st, const struct response *tagged)
{
    struct runs *runs = feed->runs;
    bool is_over = st != OK || feed->lost_count || runs->is_contradicted;
    (void)tagged;
    for (size_t i = 0; i < runs->points_n && !is_over; i++) {
        is_over = runs->points[i].rank == 0;
    }
    if (!is_over && narrow(feed)) {
        ask(feed);
        return;
    }
    if (!is_over && !runs->is_contradicted) {
        remove_missing(feed);
    }
    feed__drop_runs(feed);
    feed__after_scan(feed);
}

bool feed__find_runs(struct feed *feed)
{
    uint32_t there = feed->exists, known = mailbox_exists(feed->mailbox);
    if (there < RUNS_FROM || known <= there || feed->has_run || feed->lost_count) {
        return false;
    }
    struct runs *runs = alloc_zero(sizeof(*runs));
    feed->runs = runs;
    runs->there = there;
    feed->has_run = true; /* once on a link: if the count is not true then, SEARCH ALL decides */
    ranges_init(&runs->alive, 0);
    ranges_init(&runs->asked, 0);
    runs->open = alloc_array(1, sizeof(*runs->open));
    runs->open[0] = (struct run){.first = 1, .last = there, .missing = known - there};
    runs->n = 1;
    ask(feed);
    return true;
}
