/* Which link a command goes over.
 *   ANY   a ready spare link, else the least busy ready link, else a new one
 *   FEED  the mailbox's own link, once the model is true
 *   BULK  a bulk link that has the mailbox EXAMINEd and knows the UIDs named (design 5.8: an EXAMINE
 *         goes out before the command in the same flight); where no more links are allowed, the
 *         feed's
 * A command pipelined behind an EXAMINE that then fails, or shows another UIDVALIDITY, would be
 * answered for another mailbox or none: its answers are dropped by their epoch.  What comes before
 * its EXAMINE is answered is of the mailbox before, though nobody may be left who asked for it. */
#include <utlist.h>

#include "feed_p.h"
#include "base/alloc.h"
#include "base/check.h"

enum { UTILITY_LOAD_MAX = 16, SENDS_MAX = 8 };

/* --- life of a request ------------------------------------------------------------------------ */

static void forget(struct request *request)
{
    evloop_cancel(request->loop, &request->task);
    outcmd_fini(&request->cmd);
    alloc_free(request);
}

static void finish(struct request *request, enum status st, const struct response *tagged,
                   bool was_sent)
{
    const struct upcmd_ops *ops = request->ops;
    void *arg = request->arg;
    forget(request);
    if (ops->done != NULL) {
        ops->done(arg, st, tagged, was_sent);
    }
}

static void finish_failed(void *arg)
{
    struct request *request = arg;
    finish(request, request->failed, NULL, false);
}

static void fail_later(struct request *request, enum status why)
{
    request->failed = why;
    evloop_defer(request->loop, &request->task, EVLOOP_SOON);
}

void request__fail_waiting(struct request **list, enum status why)
{
    while (*list != NULL) {
        struct request *request = *list;
        DL_DELETE(*list, request);
        request->is_waiting = false;
        fail_later(request, why);
    }
}

static struct request **waiting_list(struct request *request)
{
    return request->waits_for_feed ? &request->to.feed->waiting : &request->account->waiting;
}

static void wait_for_link(struct request *request)
{
    struct request **list = waiting_list(request);
    request->is_waiting = true;
    DL_APPEND(*list, request);
}

static void wait_for_feed(struct request *request)
{
    request->waits_for_feed = true;
    wait_for_link(request);
}

static const struct upcmd_ops no_ops;

/* --- on the link ------------------------------------------------------------------------------ */

static bool is_worthless(const struct request *request)
{
    const struct slot *slot = request->slot;
    return slot->role == SLOT_BULK && request->to.feed != NULL && request->epoch == slot->bad_epoch;
}

/* Is what the link says now of the mailbox that the request is for? */
static bool may_be_answered(const struct request *request)
{
    const struct examine *oldest = request->slot->examines;
    return oldest == NULL || oldest->epoch > request->epoch;
}

/* What goes before it is of no use without it: unsent it is dropped. */
static void drop_ahead(struct request *request)
{
    for (size_t i = 0; i < DESTINATION_AHEAD_MAX; i++) {
        if (request->ahead[i] != NULL) {
            upcmd_detach(request->ahead[i]);
            request->ahead[i] = NULL;
        }
    }
}

/* No longer on the link's account of what is under way. */
static void leave_slot(struct request *request)
{
    struct slot *slot = request->slot;
    DL_DELETE(request->account->sent, request);
    drop_ahead(request);
    if (request->is_stream) {
        slot->streams_n--;
    }
    account_request_pause(request, false);
    request->upcmd = NULL;
    budget__kick(request->account);
}

static bool on_untagged(void *arg, const struct response *response)
{
    struct request *request = arg;
    return request->ops->untagged != NULL && may_be_answered(request) && !is_worthless(request) &&
           request->ops->untagged(request->arg, response);
}

static bool on_literal(void *arg, struct unit so_far, uint64_t size)
{
    struct request *request = arg;
    if (request->ops->literal == NULL || !may_be_answered(request)) {
        return false;
    }
    return is_worthless(request) /* swallowed */ ||
           request->ops->literal(request->arg, so_far, size);
}

static void on_literal_data(void *arg, struct slice bytes)
{
    struct request *request = arg;
    if (!is_worthless(request)) {
        request->ops->literal_data(request->arg, bytes);
    }
}

static void on_literal_end(void *arg)
{
    struct request *request = arg;
    if (!is_worthless(request)) {
        request->ops->literal_end(request->arg);
    }
}

/* Courier refuses an APPEND to the mailbox that its connection has EXAMINEd.  A link for bulk selects
 * by EXAMINE only, and CLOSE of such a mailbox expunges nothing (RFC 3501 6.4.2). */
static void deselect(struct slot *slot)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "CLOSE");
    slot->feed = NULL;
    slot->has_examined = false;
    slot->known_uidnext = 0;
    slot->epoch++;
    link_send(slot->link, &cmd, 0, 0, &no_ops, NULL);
    outcmd_fini(&cmd);
}

/* APPEND, streamed or not: the only command for a bulk link that is of no mailbox selected there. */
static bool is_upload(const struct request *request)
{
    return request->to.route == ROUTE_BULK && request->to.feed == NULL;
}

static void on_want_data(void *arg, struct upcmd *cmd)
{
    struct request *request = arg;
    request->ops->want_data(request->arg, cmd);
}

static void dispatch(struct request *request);

static bool is_link_lost(enum status st, const struct response *tagged)
{
    return tagged == NULL && (st == NETWORK || st == TIMEOUT || st == END || st == PROTOCOL);
}

/* Not a word of it had left: it goes out on the next link as if nothing had been. */
static bool may_send_again(const struct request *request)
{
    return !request->is_stream && !request->is_left && !request->account->is_ending && request->sends_n < SENDS_MAX;
}

/* Servers do one command after the other: of those under way on a link that is lost the first may be
 * what it died of, the others are not to blame (AGAIN). */
static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct request *request = arg;
    struct slot *slot = request->slot;
    leave_slot(request);
    if (is_link_lost(st, tagged) && !was_sent && may_send_again(request)) {
        request->sends_n++;
        dispatch(request);
        return;
    }
    if (is_link_lost(st, tagged) && was_sent) {
        st = slot->has_suspect ? AGAIN : st;
        slot->has_suspect = true;
    }
    if (st == OK && slot->role == SLOT_FEED) {
        feed__tagged_ok(slot->feed, tagged);
    } else if (tagged != NULL && slot->role == SLOT_FEED) {
        feed__stir(slot->feed); /* what waits for a quiet link */
    }
    if (is_worthless(request)) {
        st = CANCELED;
        tagged = NULL;
    }
    if (slot->link != NULL) {
        slot__rest(slot);
    }
    finish(request, st, tagged, was_sent);
}

static const struct upcmd_ops request_ops = {
    .untagged = on_untagged,
    .literal = on_literal,
    .literal_data = on_literal_data,
    .literal_end = on_literal_end,
    .want_data = on_want_data,
    .done = on_done,
};

static void ahead_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct upcmd **ended = arg;
    (void)st;
    (void)tagged;
    (void)was_sent;
    *ended = NULL;
}

static const struct upcmd_ops ahead_ops = {.done = ahead_done};

static void send_ahead(struct request *request, struct slot *slot)
{
    struct outcmd cmd;
    CHECK(request->to.ahead_n <= DESTINATION_AHEAD_MAX);
    outcmd_init(&cmd);
    for (unsigned i = 0; i < request->to.ahead_n; i++) {
        outcmd_copy(&cmd, request->to.ahead);
        request->ahead[i] = link_send(slot->link, &cmd, request->to.ahead_flags, 0, &ahead_ops,
                                      &request->ahead[i]);
    }
    outcmd_fini(&cmd);
}

void request__send(struct request *request, struct slot *slot)
{
    request->is_waiting = false;
    request->slot = slot;
    if (is_upload(request) && slot->role == SLOT_BULK && slot->has_examined) {
        deselect(slot);
    }
    request->epoch = slot->epoch;
    unsigned flags = request->ops->flags | (request->is_stream ? UPCMD_STREAM : 0);
    if (request->is_stream) {
        slot->streams_n++;
    }
    DL_APPEND(request->account->sent, request);
    timer_stop(slot->idle);
    send_ahead(request, slot);
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_copy(&cmd, &request->cmd);
    request->upcmd = link_send(slot->link, &cmd, flags, request->stream_bytes, &request_ops,
                               request);
}

/* --- bulk links ------------------------------------------------------------------------------- */

static void forget_examine(struct examine *examine)
{
    DL_DELETE(examine->slot->examines, examine);
    alloc_free(examine);
}

static void examine_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct examine *examine = arg;
    struct slot *slot = examine->slot;
    (void)tagged;
    (void)was_sent;
    if (st != OK) {
        slot->bad_epoch = examine->epoch;
    }
    if (slot->epoch == examine->epoch && slot->bad_epoch == examine->epoch) {
        slot->feed = NULL; /* nothing, or the wrong thing, is selected */
        slot->known_uidnext = 0;
    }
    forget_examine(examine);
}

static const struct upcmd_ops examine_ops = {.done = examine_done};

static void examine(struct slot *slot, struct feed *feed)
{
    struct examine *examine = alloc_zero(sizeof(*examine));
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "EXAMINE ");
    outcmd_mailbox(&cmd, feed_name(feed));
    slot->feed = feed;
    slot->has_examined = true;
    slot->epoch++;
    slot->was_selected = true;
    /* What the feed has been told of by now, an EXAMINE sent now will see. */
    slot->known_uidnext = mailbox_uidnext(feed->mailbox);
    examine->slot = slot;
    examine->feed = feed;
    examine->epoch = slot->epoch;
    DL_APPEND(slot->examines, examine);
    examine->upcmd = link_send(slot->link, &cmd, 0, 0, &examine_ops, examine);
    outcmd_fini(&cmd);
}

static bool suits(const struct slot *slot, const struct request *request)
{
    return slot->role == SLOT_BULK && slot__is_ready(slot) && slot->streams_n == 0 &&
           (request->to.feed == NULL || slot->feed == NULL || slot->feed == request->to.feed ||
            link_load(slot->link) == 0);
}

/* A bulk link for it; *wait_out: one is on its way.  A client may take its time with an upload, so
 * nothing waits behind one that can be done elsewhere: a link with an upload counts for uploads. */
static struct slot *find_bulk(const struct request *request, bool *wait_out)
{
    struct slot *slot, *any = NULL;
    size_t n = 0, most = request->is_stream ? ACCOUNT_UPLOADS_MAX : ACCOUNT_BULK_MAX;
    *wait_out = false;
    DL_FOREACH(request->account->slots, slot) {
        if (slot->role != SLOT_BULK) {
            continue;
        }
        n += (slot->streams_n > 0) == request->is_stream;
        if (suits(slot, request) && (any == NULL || slot->feed == request->to.feed)) {
            any = slot;
        }
        *wait_out = *wait_out || !slot->is_ready;
    }
    if (any != NULL || *wait_out) {
        return any;
    }
    slot = slot__spare(request->account);
    if (slot != NULL) {
        slot__set_role(slot, SLOT_BULK, NULL);
        return slot;
    }
    if (n < most && budget__may_open(request->account)) {
        *wait_out = slot__open(request->account, SLOT_BULK, NULL) != NULL;
        return NULL;
    }
    DL_FOREACH(request->account->slots, slot) { /* busy, but ready */
        if (slot->role == SLOT_BULK && slot__is_ready(slot) &&
            (request->is_stream || slot->streams_n == 0)) {
            return slot;
        }
    }
    return NULL;
}

void request__expect_bodies(struct account *account)
{
    if (account->slots_n == 1 && budget__may_open(account)) {
        (void)slot__open(account, SLOT_BULK, NULL);
    }
}

/* Any link that is up, the least burdened by uploads. */
static struct slot *any_ready(struct account *account)
{
    struct slot *slot, *best = NULL;
    DL_FOREACH(account->slots, slot) {
        if (slot__is_ready(slot) && (best == NULL || slot->streams_n < best->streams_n)) {
            best = slot;
        }
    }
    return best;
}

/* One that is being made, or is about to be tried, will be up soon, or say why not. */
static bool is_coming(const struct account *account)
{
    const struct slot *slot;
    if (reach__is_away(account)) {
        return false;
    }
    if (reach__is_pausing(account)) {
        return true;
    }
    DL_FOREACH(account->slots, slot) {
        if (!slot->is_ready) {
            return true;
        }
    }
    return false;
}

/* May its feed's link have it?  Before numbers are known what names and tells of messages by UID alone
 * may go. */
static bool is_due(const struct request *request)
{
    const struct feed *feed = request->to.feed;
    bool is_mapped = feed->state == FEED_LIVE || (feed->state == FEED_SYNCING && feed->is_mapped);
    bool is_tagged = (request->ops->flags & UPCMD_SEARCHES) == 0;
    return is_mapped || (request->to.route == ROUTE_FEED && request->to.is_by_uid &&
                         feed_may_ask_early(feed, is_tagged));
}

static void dispatch_feed(struct request *request)
{
    struct feed *feed = request->to.feed;
    if (feed->state == FEED_ENDED || feed__is_hopeless(feed)) {
        fail_later(request, NETWORK);
        return;
    }
    feed__need(feed);
    if (is_due(request) && slot__is_ready(feed->slot) && !feed->place.is_yielding) {
        request__send(request, feed->slot);
    } else {
        wait_for_feed(request); /* parked, or lost just now */
    }
}

/* While the mailbox is not looked at, its name may have become another's: what a bulk link would say
 * of it then is nobody's (T6). */
static bool is_watched(const struct feed *feed)
{
    return (feed->state == FEED_LIVE || (feed->state == FEED_SYNCING && feed->is_mapped)) &&
           slot__is_ready(feed->slot);
}

/* The newest before it with the same token: its link, or *wait_out when that has none yet. */
static struct slot *find_ordered(const struct request *request, bool *wait_out)
{
    struct account *account = request->account;
    const void *order = request->to.order;
    struct request *other;
    *wait_out = false;
    DL_FOREACH(account->waiting, other) {
        *wait_out = *wait_out || other->to.order == order;
    }
    if (*wait_out || account->sent == NULL) {
        return NULL;
    }
    for (other = account->sent->prev; other->to.order != order; other = other->prev) {
        if (other == account->sent) {
            return NULL;
        }
    }
    return slot__is_ready(other->slot) ? other->slot : NULL;
}

static struct slot *find_upload_slot(const struct request *request, bool *wait_out)
{
    struct slot *slot = NULL;
    *wait_out = false;
    if (request->to.order != NULL) {
        slot = find_ordered(request, wait_out);
    }
    return slot != NULL || *wait_out ? slot : find_bulk(request, wait_out);
}

static void dispatch_bulk(struct request *request)
{
    bool wait;
    struct feed *feed = request->to.feed;
    if (feed != NULL && !is_watched(feed)) {
        dispatch_feed(request);
        return;
    }
    struct slot *slot = find_upload_slot(request, &wait);
    if (slot != NULL) {
        request->account->wants_side = request->account->wants_side && !request->is_stream;
        if (feed != NULL &&
            (slot->feed != feed || request->to.highest_uid >= slot->known_uidnext)) {
            examine(slot, feed);
        }
        request__send(request, slot);
    } else if (wait) {
        wait_for_link(request);
    } else if (feed != NULL) {
        dispatch_feed(request);
    } else if ((slot = any_ready(request->account)) != NULL) {
        if (request->is_stream && budget__ask_side(request->account)) {
            wait_for_link(request); /* until a mailbox has given way */
        } else {
            request__send(request, slot);
        }
    } else if (is_coming(request->account)) {
        wait_for_link(request);
    } else {
        fail_later(request, NETWORK);
    }
}

/* --- the others ------------------------------------------------------------------------------- */

/* The link that took the last such command, while it can: some servers show a mailbox just made or
 * renamed on another connection a moment later only (Dovecot's list index does). */
static struct slot *utility_slot(struct account *account)
{
    struct slot *slot = account->utility;
    if (slot != NULL && slot__is_ready(slot) && slot->streams_n == 0 &&
        link_load(slot->link) < UTILITY_LOAD_MAX) {
        return slot;
    }
    struct slot *best = slot__spare(account);
    DL_FOREACH(account->slots, slot) {
        bool is_scanned = slot->role == SLOT_FEED && slot->feed->state == FEED_SYNCING &&
                          slot->feed->exists > FEED_WINDOW; /* of a million messages, perhaps */
        if (best == NULL && slot__is_ready(slot) && slot->streams_n == 0 && !is_scanned) {
            best = slot;
        }
    }
    return best;
}

static void dispatch_any(struct request *request)
{
    struct account *account = request->account;
    struct slot *slot, *best = utility_slot(account);
    bool has_room = budget__may_open(account);
    bool connecting = false;
    DL_FOREACH(account->slots, slot) {
        connecting = connecting || (!slot->is_ready && (slot->role != SLOT_FEED || !has_room));
    }
    if (best != NULL) {
        account->utility = best;
        request__send(request, best);
    } else if (connecting || (has_room && slot__open(account, SLOT_SPARE, NULL) != NULL)) {
        wait_for_link(request);
    } else if ((best = any_ready(account)) != NULL) {
        request__send(request, best); /* behind an upload, but sent */
    } else if (is_coming(account)) {
        wait_for_link(request);
    } else {
        fail_later(request, NETWORK);
    }
}

static void dispatch(struct request *request)
{
    request->waits_for_feed = false;
    bool is_long;
    if (reach__is_away(request->account)) {
        fail_later(request, NETWORK);
        return;
    }
    if (reach__is_slowed(request->account, &is_long)) {
        if (is_long) {
            fail_later(request, TIMEOUT);
        } else {
            wait_for_link(request);
        }
        return;
    }
    switch (request->to.route) {
    case ROUTE_ANY:
        dispatch_any(request);
        break;
    case ROUTE_FEED:
        dispatch_feed(request);
        break;
    case ROUTE_BULK:
        dispatch_bulk(request);
        break;
    }
}

void request__dispatch_all(struct account *account)
{
    struct request *list = account->waiting;
    account->waiting = NULL;
    while (list != NULL) {
        struct request *request = list;
        DL_DELETE(list, request);
        request->is_waiting = false;
        dispatch(request);
    }
}

void request__feed_ready(struct feed *feed)
{
    struct request *list = feed->waiting;
    feed->waiting = NULL;
    while (list != NULL) {
        struct request *request = list;
        DL_DELETE(list, request);
        request->is_waiting = false;
        dispatch(request);
    }
}

void request__forget_selection(struct feed *feed)
{
    struct slot *slot;
    struct examine *examine;
    DL_FOREACH(feed->account->slots, slot) {
        if (slot->role == SLOT_BULK && slot->feed == feed) {
            slot->feed = NULL;
            slot->known_uidnext = 0;
        }
        DL_FOREACH(slot->examines, examine) {
            examine->feed = examine->feed == feed ? NULL : examine->feed;
        }
    }
}

void request__feed_gone(struct feed *feed)
{
    struct account *account = feed->account;
    struct request *request, *next;
    request__fail_waiting(&feed->waiting, CANCELED);
    DL_FOREACH_SAFE(account->waiting, request, next) {
        if (request->to.feed == feed) {
            DL_DELETE(account->waiting, request);
            request->is_waiting = false;
            request->to.feed = NULL;
            fail_later(request, CANCELED);
        }
    }
    DL_FOREACH(account->sent, request) {
        if (request->to.feed == feed) {
            request->to.feed = NULL;
        }
    }
    request__forget_selection(feed);
}

static struct request *new_request(struct account *account, struct outcmd *cmd,
                                   const struct upcmd_ops *ops, void *arg)
{
    struct request *request = alloc_zero(sizeof(*request));
    request->account = account;
    request->loop = account__loop(account);
    request->cmd = *cmd;
    outcmd_init(cmd);
    request->ops = ops;
    request->arg = arg;
    task_init(&request->task, finish_failed, request);
    return request;
}

struct request *account_request(struct account *account, struct destination to,
                                struct outcmd *cmd, const struct upcmd_ops *ops, void *arg)
{
    struct request *request = new_request(account, cmd, ops, arg);
    request->to = to;
    dispatch(request);
    return request;
}

struct request *account_request_stream(struct account *account, struct outcmd *cmd,
                                       uint64_t literal_bytes, const struct upcmd_ops *ops,
                                       void *arg)
{
    struct request *request = new_request(account, cmd, ops, arg);
    request->to.route = ROUTE_BULK;
    request->is_stream = true;
    request->stream_bytes = literal_bytes;
    dispatch(request);
    return request;
}

void account_request_pause(struct request *request, bool paused)
{
    struct slot *slot = request->slot;
    if (request->upcmd == NULL || request->is_paused == paused) {
        return;
    }
    request->is_paused = paused;
    slot->pauses_n = paused ? slot->pauses_n + 1 : slot->pauses_n - 1;
    if (slot->link != NULL) {
        link_set_paused(slot->link, slot->pauses_n > 0);
    }
}

bool account_request_has_tag(const struct request *request, struct slice tag)
{
    return request->upcmd != NULL && upcmd_has_tag(request->upcmd, tag);
}

void account_request_cancel(struct request **request)
{
    struct request *gone = *request;
    *request = NULL;
    if (gone->is_waiting) {
        struct request **list = waiting_list(gone);
        DL_DELETE(*list, gone);
    } else if (gone->upcmd != NULL) {
        struct upcmd *upcmd = gone->upcmd;
        leave_slot(gone);
        upcmd_detach(upcmd);
        if (gone->slot->link != NULL) {
            slot__rest(gone->slot);
        }
    }
    forget(gone);
}

void request__leave_slot(struct slot *slot)
{
    struct request *request, *next;
    DL_FOREACH_SAFE(slot->account->sent, request, next) {
        if (request->slot == slot) {
            struct upcmd *upcmd = request->upcmd;
            leave_slot(request);
            upcmd_detach(upcmd);
            fail_later(request, CANCELED);
        }
    }
    while (slot->examines != NULL) {
        upcmd_detach(slot->examines->upcmd);
        forget_examine(slot->examines);
    }
}
