/* Asking the upstream for an order or for threads.
 *
 *   orders_ask ── the same question under way? join it : new question ── send ──> lines ── done
 *                                                            ^                       │
 *                                                            └── link lost, once ────┘
 * A set of UIDs goes out closed over UIDs that do not exist; a SORT of one that is long nevertheless
 * asks for some messages more, as the order of more is worth more; else the client's own criteria go
 * out, and the upstream selects. */
#include <utlist.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "feed_p.h"
#include "imap/emit.h"
#include "imap/respdata.h"

enum {
    MANY = 1000,            /* messages that are put in order on a link for bulk */
    REPEATS_MAX = 4,        /* for links that were lost by no fault of the question */
    UNWAITED_MAX = 8,       /* questions of a mailbox that go on though nobody waits any more */
    REFUSAL_MAX = 64 * 1024,
    LINE_ARENA_MAX = 64 * 1024 * 1024,
};

/* One question under way. */
struct asking {
    struct asking *next, *prev;
    struct orders *orders;
    struct buf program;
    bool is_thread;
    bool is_remembered;
    bool is_selected;      /* the criteria went out */
    struct bitmap *uids;   /* asked for; NULL: whatever the criteria select */
    struct bitmap *sent;   /* named in the command: @uids and perhaps more; NULL: the criteria */
    struct bitmap *before; /* in the mailbox when asked: threads */
    struct outcmd cmd;
    struct outcmd ahead;   /* goes before it */
    struct destination to;
    struct request *request;
    bool was_repeated;     /* once */
    unsigned repeats_n;
    bool is_doubtful;      /* a line made no sense */
    bool is_too_long;
    bool is_over;          /* those who wait are being told: nobody joins it any more */
    uint32_t *numbers;
    size_t n, cap;
    struct buf threads;
    struct order_ask *asks;
};

/* Somebody who waits for it. */
struct order_ask {
    struct order_ask *next, *prev;
    struct asking *asking; /* NULL: its mailbox has gone, about to say so */
    struct evloop *loop;
    struct task task;
    order_done_fn *done;
    void *arg;
};

struct orders {
    struct feed *feed;
    struct orders_kept kept;
    struct asking *asked;
};

struct orders *feed_orders(struct feed *feed)
{
    if (feed->orders == NULL) {
        feed->orders = alloc_zero(sizeof(*feed->orders));
        feed->orders->feed = feed;
        feed->orders->kept.pool = &feed->account->accounts->orders;
    }
    return feed->orders;
}

static struct bitmap *present_in(const struct orders *orders)
{
    struct bitmap *present = bitmap_create();
    mailbox_bitmap_uids(orders->feed->mailbox, NULL, present);
    return present;
}

/* --- what may be remembered ------------------------------------------------------------------- */

static bool is_lasting_key(const struct capabilities *caps, struct slice key)
{
    static const char *const lasting[] = {"ARRIVAL", "CC",   "DATE",    "FROM",
                                          "REVERSE", "SIZE", "SUBJECT", "TO"};
    for (size_t i = 0; i < sizeof(lasting) / sizeof(lasting[0]); i++) {
        if (slice_eq(key, slice_str(lasting[i]))) {
            return true;
        }
    }
    return capability_has(caps, CAP_SORT_DISPLAY) &&
           (slice_eq(key, SLICE("DISPLAYFROM")) || slice_eq(key, SLICE("DISPLAYTO")));
}

bool orders_remembers(const struct capabilities *caps, bool is_thread, struct slice program)
{
    struct slice key;
    if (is_thread) {
        return true;
    }
    while (respdata_word(&program, &key)) {
        if (!is_lasting_key(caps, key)) {
            return false;
        }
    }
    return true;
}

bool orders_find(struct orders *orders, const struct order_question *question,
                 struct order_answer *out)
{
    *out = (struct order_answer){.status = OK};
    if (orders->kept.n == 0) {
        return false;
    }
    if (!question->is_thread) {
        out->order = kept__find_order(&orders->kept, question->program, question->uids);
        out->uids = out->order != NULL ? out->order->uids : NULL;
        return out->order != NULL;
    }
    struct bitmap *present = present_in(orders);
    out->uids = question->uids;
    bool is_found = kept__find_threads(&orders->kept, question->program, question->uids, present,
                                       &out->threads);
    bitmap_destroy(&present);
    return is_found;
}

/* --- ends ------------------------------------------------------------------------------------- */

static void free_asking(struct asking *asking)
{
    buf_fini(&asking->program);
    buf_fini(&asking->threads);
    outcmd_fini(&asking->cmd);
    outcmd_fini(&asking->ahead);
    bitmap_destroy(&asking->uids);
    bitmap_destroy(&asking->sent);
    bitmap_destroy(&asking->before);
    alloc_free(asking->numbers);
    alloc_free(asking);
}

static void forget(struct asking *asking)
{
    if (asking->request != NULL) {
        account_request_cancel(&asking->request);
    }
    DL_DELETE(asking->orders->asked, asking);
    free_asking(asking);
}

static void tell_canceled(void *arg)
{
    struct order_ask *ask = arg;
    const struct order_answer answer = {.status = CANCELED};
    order_done_fn *done = ask->done;
    void *done_arg = ask->arg;
    alloc_free(ask);
    done(done_arg, &answer);
}

/* A client that asks for much and leaves keeps no others waiting. */
static bool may_go_on(const struct asking *asking)
{
    const struct asking *other;
    unsigned unwaited = 0;
    DL_FOREACH(asking->orders->asked, other) {
        unwaited += other->asks == NULL;
    }
    return asking->is_remembered && unwaited <= UNWAITED_MAX;
}

void orders_cancel(struct order_ask **ask)
{
    struct order_ask *gone = *ask;
    struct asking *asking = gone->asking;
    *ask = NULL;
    if (asking == NULL) {
        evloop_cancel(gone->loop, &gone->task);
    } else {
        DL_DELETE(asking->asks, gone);
        if (asking->asks == NULL && !asking->is_over && !may_go_on(asking)) {
            forget(asking);
        }
    }
    alloc_free(gone);
}

void orders__drop(struct feed *feed)
{
    struct orders *orders = feed->orders;
    if (orders == NULL) {
        return;
    }
    while (orders->asked != NULL) {
        struct asking *asking = orders->asked;
        while (asking->asks != NULL) {
            struct order_ask *ask = asking->asks;
            DL_DELETE(asking->asks, ask);
            ask->asking = NULL;
            evloop_defer(ask->loop, &ask->task, EVLOOP_SOON);
        }
        forget(asking);
    }
    kept__clear(&orders->kept);
    alloc_free(orders);
    feed->orders = NULL;
}

/* Everybody hears of it, and may ask anew at once, or have the feed dropped. */
static void tell(struct asking *asking, const struct order_answer *answer)
{
    while (asking->asks != NULL) {
        struct order_ask *ask = asking->asks;
        order_done_fn *done = ask->done;
        void *arg = ask->arg;
        DL_DELETE(asking->asks, ask);
        alloc_free(ask);
        done(arg, answer);
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

static void take_numbers(struct asking *asking, const uint32_t *numbers, size_t n)
{
    if (n > ORDERS_NUMBERS_MAX - asking->n) {
        asking->is_too_long = true;
        return;
    }
    if (asking->n + n > asking->cap) {
        asking->cap = asking->n + n;
        asking->numbers = alloc_resize(asking->numbers, asking->cap, sizeof(*asking->numbers));
    }
    for (size_t i = 0; i < n; i++) {
        asking->numbers[asking->n++] = numbers[i];
    }
}

static void take_sort(struct asking *asking, const struct response *response)
{
    struct arena arena;
    const uint32_t *numbers;
    size_t n;
    arena_init(&arena, LINE_ARENA_MAX);
    if (respdata_numbers(response, &arena, &numbers, &n) == OK) {
        take_numbers(asking, numbers, n);
    } else {
        asking->is_doubtful = true;
    }
    arena_reset(&arena);
}

static uint32_t same(void *arg, uint32_t uid)
{
    (void)arg;
    return uid;
}

static void take_thread(struct asking *asking, const struct response *response)
{
    if (respdata_thread_map(response, same, NULL, &asking->threads) != OK) {
        asking->is_doubtful = true;
    }
    asking->is_too_long = !buf_ok(&asking->threads);
}

static bool on_untagged(void *arg, const struct response *response)
{
    struct asking *asking = arg;
    if (response->kind == RESPONSE_SORT && !asking->is_thread) {
        take_sort(asking, response);
    } else if (response->kind == RESPONSE_THREAD && asking->is_thread) {
        take_thread(asking, response);
    } else {
        return false;
    }
    return true;
}

static bool may_be_kept(const struct asking *asking, const struct response *tagged)
{
    return asking->is_remembered && response_code_is_whole(tagged->code);
}

static void keep_order(struct asking *asking, const struct order *order)
{
    struct orders *orders = asking->orders;
    struct bitmap *present = present_in(orders);
    struct order *kept = order_copy(order);
    order_narrow(kept, present);
    if (kept->n > 0) {
        kept__add_order(&orders->kept, buf_slice(&asking->program), kept, present);
    } else {
        order_destroy(&kept);
    }
    bitmap_destroy(&present);
}

static void answered_sort(struct asking *asking, struct order_answer *answer, bool is_kept)
{
    struct order *order = order_create(asking->numbers, asking->n, asking->sent);
    if (is_kept) {
        keep_order(asking, order);
    }
    answer->order = order;
    answer->uids = order->uids;
    tell(asking, answer);
    order_destroy(&order);
}

static uint32_t note_uid(void *arg, uint32_t uid)
{
    bitmap_add(arg, uid, uid);
    return uid;
}

/* The messages of a set that are threaded are all in its threads: that is the set they are of. */
static void answered_thread(struct asking *asking, struct order_answer *answer, bool is_kept)
{
    struct orders *orders = asking->orders;
    struct bitmap *present = present_in(orders), *uids = bitmap_create();
    const struct response line = {.kind = RESPONSE_THREAD,
                                  .data = unit_of(buf_slice(&asking->threads))};
    struct buf text;
    buf_init(&text, 0);
    bool is_sound = respdata_thread_map(&line, note_uid, uids, &text) == OK;
    if (is_sound && is_kept && bitmap_equal(present, asking->before) &&
        bitmap_is_subset(uids, present)) {
        kept__add_threads(&orders->kept, buf_slice(&asking->program), uids, present,
                          buf_slice(&asking->threads));
    }
    answer->threads = buf_slice(&text);
    answer->uids = uids;
    tell(asking, answer);
    buf_fini(&text);
    bitmap_destroy(&uids);
    bitmap_destroy(&present);
}

static void answered(struct asking *asking, const struct response *tagged)
{
    struct order_answer answer = {.status = OK, .is_selected = asking->is_selected};
    bool is_kept = may_be_kept(asking, tagged);
    if (asking->is_thread) {
        answered_thread(asking, &answer, is_kept);
    } else {
        answered_sort(asking, &answer, is_kept);
    }
}

static void refused(struct asking *asking, enum status st, const struct response *tagged)
{
    struct buf text;
    buf_init(&text, REFUSAL_MAX);
    if (tagged != NULL) {
        emit_relayed(&text, tagged);
    }
    const struct order_answer answer = {.status = st, .refusal = buf_slice(&text)};
    tell(asking, &answer);
    buf_fini(&text);
}

/* --- asking ----------------------------------------------------------------------------------- */

static void send(struct asking *asking);

/* Once, where the link may have been lost by it (AGAIN: it was not), for those who wait. */
static bool may_repeat(struct asking *asking, enum status st)
{
    if (asking->asks == NULL || asking->was_repeated || asking->repeats_n == REPEATS_MAX) {
        return false;
    }
    asking->was_repeated = st != AGAIN;
    asking->repeats_n += st == AGAIN;
    return true;
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct asking *asking = arg;
    asking->request = NULL;
    if (tagged == NULL && was_sent && st != CANCELED && may_repeat(asking, st)) {
        asking->n = 0;
        asking->is_doubtful = asking->is_too_long = false;
        buf_reset(&asking->threads);
        send(asking);
        return;
    }
    DL_DELETE(asking->orders->asked, asking);
    asking->is_over = true;
    if (st == OK && asking->is_too_long) {
        refused(asking, LIMIT, NULL);
    } else if (st == OK && asking->is_doubtful) {
        refused(asking, PROTOCOL, NULL);
    } else if (st == OK) {
        answered(asking, tagged);
    } else {
        refused(asking, st, tagged);
    }
    free_asking(asking);
}

static const struct upcmd_ops asking_ops = {
    .flags = UPCMD_SEARCHES, .untagged = on_untagged, .done = on_done};

static void send(struct asking *asking)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_copy(&cmd, &asking->cmd);
    asking->request = account_request(asking->orders->feed->account, asking->to, &cmd, &asking_ops,
                                      asking);
    outcmd_fini(&cmd);
}

static size_t text_bytes(const struct ranges *uids)
{
    struct buf text;
    buf_init(&text, 0);
    ranges_format(uids, &text);
    size_t bytes = text.len;
    buf_fini(&text);
    return bytes;
}

/* Runs of @set that have at most @room UIDs, or no message, between them become one. */
static void close_gaps(const struct mailbox *mailbox, const struct ranges *set, uint32_t room,
                       struct ranges *out)
{
    ranges_reset(out);
    for (size_t i = 0; i < set->n; i++) {
        struct range run = set->at[i];
        while (i + 1 < set->n &&
               (set->at[i + 1].first - run.last - 1 <= room ||
                mailbox_rank(mailbox, set->at[i + 1].first - 1) == mailbox_rank(mailbox, run.last))) {
            run.last = set->at[++i].last;
        }
        ranges_add(out, run.first, run.last);
    }
}

static uint64_t messages_in(const struct mailbox *mailbox, const struct ranges *set)
{
    uint64_t n = 0;
    for (size_t i = 0; i < set->n; i++) {
        n += mailbox_rank(mailbox, set->at[i].last) - mailbox_rank(mailbox, set->at[i].first - 1);
    }
    return n;
}

/* How the set is named.  False: it makes too long a line. */
static bool choose_set(const struct asking *asking, struct ranges *out)
{
    const struct feed *feed = asking->orders->feed;
    size_t most = account_line_bytes(feed->account);
    struct ranges uids;
    uint32_t room = 0;
    ranges_init(&uids, 0);
    bitmap_to_ranges(asking->uids, &uids);
    close_gaps(feed->mailbox, &uids, room, out);
    size_t bytes = text_bytes(out);
    while (bytes > most && !asking->is_thread) {
        room = room * 2 + 1;
        close_gaps(feed->mailbox, &uids, room, out);
        bytes = text_bytes(out);
    }
    bool is_worth_it = room == 0 || messages_in(feed->mailbox, out) <=
                                        MANY + 4 * bitmap_count(asking->uids);
    ranges_fini(&uids);
    return bytes <= most && is_worth_it;
}

/* Which messages, as the command says it. */
static void write_messages(struct asking *asking, const struct order_question *question,
                           struct outcmd *out)
{
    struct ranges set;
    ranges_init(&set, 0);
    asking->is_selected = asking->uids == NULL || !choose_set(asking, &set);
    if (asking->is_selected) {
        outcmd_append(out, question->criteria);
        asking->is_remembered = asking->is_remembered && question->is_by_flags;
    } else {
        outcmd_str(out, "UTF-8 UID ");
        outcmd_ranges(out, &set);
        asking->sent = bitmap_create();
        bitmap_add_ranges(asking->sent, &set);
        if (messages_in(asking->orders->feed->mailbox, &set) > MANY) {
            asking->to.route = ROUTE_BULK;
            asking->to.highest_uid = set.at[set.n - 1].last;
        }
    }
    ranges_fini(&set);
}

static void write_command(struct asking *asking, const struct order_question *question)
{
    struct outcmd messages;
    outcmd_init(&messages);
    write_messages(asking, question, &messages);
    outcmd_str(&asking->cmd, asking->is_thread ? "UID THREAD " : "UID SORT (");
    outcmd_token(&asking->cmd, question->program);
    outcmd_str(&asking->cmd, asking->is_thread ? " " : ") ");
    outcmd_append(&asking->cmd, &messages);
    if (asking->is_remembered) {
        orders__ahead(asking->orders->feed->account, question, &messages, &asking->ahead,
                      &asking->to);
    }
    outcmd_fini(&messages);
}

static struct asking *create_asking(struct orders *orders, const struct order_question *question)
{
    struct asking *asking = alloc_zero(sizeof(*asking));
    struct feed *feed = orders->feed;
    asking->orders = orders;
    asking->is_thread = question->is_thread;
    asking->uids = question->uids != NULL ? bitmap_copy(question->uids) : NULL;
    asking->is_remembered = orders_remembers(account_capabilities(feed->account),
                                             question->is_thread, question->program);
    asking->before = question->is_thread ? present_in(orders) : NULL;
    asking->to = (struct destination){.route = ROUTE_FEED, .feed = feed};
    buf_init(&asking->program, 0);
    buf_init(&asking->threads, LINK_LINE_MAX);
    outcmd_init(&asking->cmd);
    outcmd_init(&asking->ahead);
    buf_add(&asking->program, question->program);
    write_command(asking, question);
    return asking;
}

/* Does the one under way answer the other?  (Criteria may select others a moment later.) */
static bool is_answered_by(const struct asking *under_way, const struct asking *asking)
{
    if (under_way->is_thread != asking->is_thread || under_way->is_selected ||
        asking->is_selected ||
        !slice_eq(buf_slice(&under_way->program), buf_slice(&asking->program))) {
        return false;
    }
    return asking->is_thread ? bitmap_equal(asking->uids, under_way->uids) &&
                                   bitmap_equal(asking->before, under_way->before)
                             : bitmap_is_subset(asking->uids, under_way->sent);
}

struct order_ask *orders_ask(struct orders *orders, const struct order_question *question,
                             order_done_fn *done, void *arg)
{
    struct order_ask *ask = alloc_zero(sizeof(*ask));
    struct asking *mine = create_asking(orders, question), *asking;
    DL_FOREACH(orders->asked, asking) {
        if (is_answered_by(asking, mine)) {
            break;
        }
    }
    if (asking != NULL) {
        free_asking(mine);
    } else {
        asking = mine;
        DL_APPEND(orders->asked, asking);
        send(asking);
    }
    ask->asking = asking;
    ask->loop = account__loop(orders->feed->account);
    ask->done = done;
    ask->arg = arg;
    task_init(&ask->task, tell_canceled, ask);
    DL_APPEND(asking->asks, ask);
    return ask;
}
