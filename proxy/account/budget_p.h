#ifndef ACCOUNT_BUDGET_P_H
#define ACCOUNT_BUDGET_P_H
/* Who may have a link, and whether one can be had at all (design sections 8 and 11).
 *
 * budget.c: an account has a few links and any number of mailboxes.  A mailbox that needs a link and
 * has none stands in a line, ordered by when it has to have one.  While there is room it gets a link
 * of its own.  Beyond that others are parked: they keep model, plan and users, and are selected anew
 * when a client needs them, or for a visit every BUDGET_VISIT_MS.  Who gives way, the first that has
 * nothing under way: a mailbox nobody uses; one that was only visited; for a client's need one that
 * has had its link for BUDGET_STAY_MS, the least recently used; else the one that came last, so that
 * one link roves among all those over budget while the others keep theirs.
 *
 * reach.c: links that cannot be made.  The first attempt after a loss is made at once, then with
 * growing pauses; after two that failed, or BUDGET_PATIENCE_MS without any link, the account is away
 * and nobody waits any more.  Where the server complains, commands wait and fewer links are made.
 * Owner of memory: the account.  Thread: loop. */
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct account;
struct feed;
struct slot;

enum {
    BUDGET_STAY_MS = 2 * 60 * 1000,
    BUDGET_VISIT_MS = 45 * 1000,          /* a parked mailbox is looked at this often */
    BUDGET_VISIT_PATIENCE_MS = 10 * 1000, /* a visit lets clients' needs go before for so long */
    BUDGET_HOLD_MS = 100,  /* a mailbox keeps a link that others want so long after its last use */
    BUDGET_TURN_MS = 1000, /* and gives it up after this, however busy */
    BUDGET_TICK_MS = 50,   /* how often the line is looked at while it is not empty */
    BUDGET_PATIENCE_MS = 10 * 1000,
    BUDGET_SHOW_MS = 4 * 1000, /* away for so long: mailboxes can be selected, read-only */
    BUDGET_MODELS_MAX = 8, /* mailboxes without users and link whose models are kept */
    FEED_ASK_MS = 60 * 1000,  /* where the server does not tell all in IDLE */
    FEED_POLL_MS = 30 * 1000, /* where it takes no IDLE */
    FEED_PARKED_FRESH_MS = 5 * 1000,
    FEED_RETRY_MS = 250,
    FEED_RETRY_LAST_MS = 60 * 1000,
    FEED_STEADY_MS = 5 * 1000, /* live so long: its next loss is the first one */
    FEED_LOSSES_MAX = 4,       /* links lost in a row without being live: nobody waits any more */
};

/* A mailbox's place among the others. */
struct budget_place {
    struct feed *line_next, *line_prev; /* in account->line while is_in_line */
    bool is_in_line;
    bool is_visit;    /* it wants, or has, a link only to be looked at */
    bool is_parked;   /* DOWN, because others needed its link */
    bool is_yielding; /* takes no new work, so that others get its link */
    uint64_t due_ms;  /* its place in the line */
    uint64_t got_ms;  /* when it got its link */
    uint64_t used_ms; /* when a client last needed it */
    uint64_t live_ms; /* when it last became live */
    uint64_t seen_ms; /* when it last was live */
    unsigned losses_n;     /* links lost since it was live for FEED_STEADY_MS */
    unsigned syncs_lost_n; /* since it was live, refusals too */
};

/* --- budget.c --- */
void budget__init(struct account *account);
void budget__fini(struct account *account);
/* Links the account may have at present. */
uint32_t budget__most(const struct account *account);
bool budget__has_room(const struct account *account);
/* There is room, and a link can be tried now. */
bool budget__may_open(const struct account *account);
/* The feed needs a link: a client waits for it, or it is only to be looked at. */
void budget__want(struct feed *feed, bool is_visit);
/* It needs none any more, or has one. */
void budget__leave(struct feed *feed);
/* Something has changed that may let the line move; looked at at the end of this turn. */
void budget__kick(struct account *account);
/* An upload waits for a link that is no mailbox's; false: all there are have to be mailboxes'. */
bool budget__ask_side(struct account *account);

/* --- reach.c --- */
void reach__init(struct account *account);
void reach__fini(struct account *account);
/* A link is being made: if there is none, patience begins. */
void reach__trying(struct account *account);
void reach__link_ready(struct account *account);
/* One that was begun then was lost before it was ready, or could not even be tried.  What was begun
 * before the last failure was known is the same attempt. */
void reach__link_failed(struct account *account, uint64_t begun_ms);
/* One that was ready. */
void reach__link_lost(struct account *account);
bool reach__is_away(const struct account *account);
/* Long enough away to show mailboxes as they were rather than to wait. */
bool reach__shows_models(const struct account *account);
/* The server has said that it is asked too much: commands wait, or fewer links are made. */
struct throttle;
void reach__throttled(struct account *account, const struct throttle *throttle);
/* Commands have to wait; true too in *long_out: longer than a client would. */
bool reach__is_slowed(const struct account *account, bool *long_out);
/* Links that the server bears at present; 0: as many as are set. */
uint32_t reach__most_links(const struct account *account);
/* Is it too early for the next attempt? */
bool reach__is_pausing(const struct account *account);

/* --- feed.c --- */
/* A link for it: @is_opened: that is yet to be ready. */
void feed__take_slot(struct feed *feed, struct slot *slot, bool is_opened);
/* Its link goes to others; it is idle and live. */
void feed__park(struct feed *feed);
/* A client needs its link. */
void feed__need(struct feed *feed);
/* Nothing that needs its link can be had for now. */
bool feed__is_hopeless(const struct feed *feed);
/* Whoever waits for it hears that it cannot be had; what is known of it is shown. */
void feed__give_up_waiting(struct feed *feed, enum status why);

#endif
