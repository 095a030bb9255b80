/* Asking.  What nobody has asked for yet of a part goes out in pieces (commands) at once; who asks
 * waits for the pieces that have something of what is left to it:
 *
 *   ask ── known: told next      piece ── OK ──> taken off what is left to each ask, remembered
 *      └── left ──> pieces             ├── NO, BAD ──> to every ask that has something of it left
 *                                      ├── OK, but ESEARCH told nothing, or what makes no sense
 *                                      │       ──> again, as plain SEARCH; that makes none: failed
 *                                      └── link lost ──> again on the feed's link; twice: failed */
#include "searches_p.h"

#include <utlist.h>

#include "base/alloc.h"
#include "imap/emit.h"
#include "imap/respdata.h"

enum { REFUSAL_MAX = 64 * 1024 };

static struct stats *stats_of(const struct searches *searches)
{
    return searches->feed->account->accounts->env.stats;
}

/* --- who waits ------------------------------------------------------------------------------------ */

static void free_ask(struct search_ask *ask)
{
    bitmap_destroy(&ask->uids);
    bitmap_destroy(&ask->left);
    bitmap_destroy(&ask->hit);
    buf_fini(&ask->refusal);
    alloc_free(ask);
}

static void tell(void *arg)
{
    struct search_ask *ask = arg;
    bool is_ok = ask->status == OK;
    const struct search_answer answer = {
        .status = ask->status,
        .asked = is_ok ? ask->uids : NULL,
        .hit = is_ok ? ask->hit : NULL,
        .refusal = buf_slice(&ask->refusal),
        .is_lost = ask->is_lost,
    };
    ask->done(ask->arg, &answer);
    free_ask(ask);
}

void searches__complete(struct search_ask *ask, enum status st, struct slice refusal, bool is_lost)
{
    DL_DELETE(ask->entry->asks, ask);
    ask->entry = NULL;
    ask->status = st;
    ask->is_lost = is_lost;
    buf_add(&ask->refusal, refusal);
    evloop_defer(ask->loop, &ask->task, EVLOOP_SOON);
}

void searches_cancel(struct search_ask **ask)
{
    struct search_ask *gone = *ask;
    struct search_entry *entry = gone->entry;
    *ask = NULL;
    evloop_cancel(gone->loop, &gone->task);
    if (entry != NULL) {
        DL_DELETE(entry->asks, gone);
    }
    free_ask(gone);
    if (entry != NULL) {
        searches__let_go(entry);
    }
}

/* --- pieces --------------------------------------------------------------------------------------- */

static void free_piece(struct search_piece *piece)
{
    DL_DELETE(piece->entry->pieces, piece);
    outcmd_fini(&piece->plain);
    bitmap_destroy(&piece->asked);
    bitmap_destroy(&piece->hit);
    searches__sifted_fini(&piece->sifted);
    alloc_free(piece);
}

static bool is_begun(const struct search_piece *piece)
{
    const struct request *request = piece->request;
    return request != NULL && request->upcmd != NULL && upcmd_is_begun(request->upcmd);
}

void searches__cancel_pieces(struct search_entry *entry, bool unsent_only)
{
    struct search_piece *piece, *next;
    DL_FOREACH_SAFE(entry->pieces, piece, next) {
        if (!unsent_only || !is_begun(piece)) {
            if (piece->request != NULL) {
                account_request_cancel(&piece->request);
            }
            free_piece(piece);
        }
    }
}

/* What was asked about goes from one UID to another: beyond them a server may name any number. */
static void take_uids(struct search_piece *piece, const struct ranges *uids)
{
    uint32_t lowest, highest;
    if (!bitmap_min(piece->asked, &lowest) || !bitmap_max(piece->asked, &highest)) {
        return;
    }
    for (size_t i = 0; i < uids->n; i++) {
        uint32_t first = uids->at[i].first > lowest ? uids->at[i].first : lowest;
        uint32_t last = uids->at[i].last < highest ? uids->at[i].last : highest;
        if (first <= last) {
            bitmap_add(piece->hit, first, last);
        }
    }
}

/* An iCloud tells COUNT whatever is asked.  What names messages by number is of no use either. */
static void take_extended(struct search_piece *piece, const struct response *response)
{
    struct respdata_esearch answer;
    struct ranges uids;
    ranges_init(&uids, 0);
    if (respdata_esearch(response, &answer, &uids) != OK) {
        piece->is_garbled = true;
    } else if (answer.is_uid && respdata_esearch_is_whole(&answer)) {
        piece->has_answer = true;
        take_uids(piece, &uids);
    } else if (!piece->is_extended && (answer.has_all || !respdata_esearch_is_whole(&answer))) {
        piece->is_garbled = true; /* else taken for "none" */
    }
    ranges_fini(&uids);
}

static bool is_its_esearch(const struct search_piece *piece, const struct response *response)
{
    return response->kind == RESPONSE_ESEARCH && piece->request != NULL &&
           account_request_has_tag(piece->request, respdata_esearch_tag(response));
}

static bool on_extended(void *arg, const struct response *response)
{
    struct search_piece *piece = arg;
    if (!is_its_esearch(piece, response)) {
        return false;
    }
    take_extended(piece, response);
    return true;
}

/* There may be several, or none.  A server of RFC 9051 alone tells ESEARCH whatever is asked. */
static bool on_plain(void *arg, const struct response *response)
{
    struct search_piece *piece = arg;
    struct ranges uids;
    uint64_t modseq;
    if (response->kind != RESPONSE_SEARCH) {
        return on_extended(arg, response);
    }
    ranges_init(&uids, 0);
    if (respdata_search(response, &uids, &modseq) == OK) {
        take_uids(piece, &uids);
    } else {
        piece->is_garbled = true;
    }
    ranges_fini(&uids);
    return true;
}

static void share_out(const struct search_piece *piece)
{
    struct search_ask *ask, *next;
    DL_FOREACH_SAFE(piece->entry->asks, ask, next) {
        struct bitmap *some = bitmap_copy(ask->left);
        bitmap_and(some, piece->hit);
        bitmap_or(ask->hit, some);
        bitmap_destroy(&some);
        bitmap_andnot(ask->left, piece->asked);
        if (bitmap_empty(ask->left)) {
            searches__complete(ask, OK, SLICE(""), false);
        }
    }
}

/* Of what is asked about there are no more messages: the dead are asked about while a view has them, and
 * a link that has not been told answers for them.  1: of a mailbox that may have none any is asked about
 * to hear a word. */
static uint64_t most_hits(const struct feed *feed)
{
    const uint64_t counts[] = {mailbox_exists(feed->mailbox) + ranges_count(&feed->dead),
                               feed->selected.exists, feed->exists};
    uint64_t most = 1;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        most = counts[i] > most ? counts[i] : most;
    }
    return most;
}

/* Before it is known which messages there are the question is about all UIDs that there may be: then
 * it is the answer that shows whether the server makes sense, and a client would be told of each. */
static bool makes_sense(const struct search_piece *piece)
{
    return !piece->is_garbled && (piece->has_answer || !piece->is_extended) &&
           (bitmap_count(piece->hit) <= piece->most ||
            bitmap_count(piece->hit) <= most_hits(piece->entry->searches->feed));
}

static void take_answer(struct search_piece *piece, const struct response *tagged)
{
    struct search_entry *entry = piece->entry;
    entry->is_accepted = true;
    if (entry->is_listed && response_code_is_whole(tagged->code)) {
        searches__resift(entry->searches, &piece->sifted);
        searches__learn(entry, &piece->sifted, piece->hit);
    }
    share_out(piece);
}

static bool concerns(const struct search_piece *piece, const struct search_ask *ask)
{
    return bitmap_meets(ask->left, piece->asked) || (ask->wants_word && bitmap_empty(ask->left));
}

static void fail(const struct search_piece *piece, enum status st, const struct response *tagged,
                 bool is_lost)
{
    struct search_ask *ask, *next;
    struct buf refusal;
    buf_init(&refusal, REFUSAL_MAX);
    if (tagged != NULL) {
        emit_relayed(&refusal, tagged);
    }
    DL_FOREACH_SAFE(piece->entry->asks, ask, next) {
        if (concerns(piece, ask)) {
            searches__complete(ask, st, buf_slice(&refusal), is_lost);
        }
    }
    buf_fini(&refusal);
}

static void send(struct search_piece *piece, enum route route, struct outcmd *cmd);

static void send_again(struct search_piece *piece)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_copy(&cmd, &piece->plain);
    bitmap_clear(piece->hit);
    piece->is_extended = false;
    piece->is_garbled = false;
    send(piece, ROUTE_FEED, &cmd);
    outcmd_fini(&cmd);
}

/* A link that was lost, or had another mailbox than was thought, answers for nothing. */
static bool may_repeat(struct search_piece *piece, enum status st, bool was_sent)
{
    bool is_blameless = st == AGAIN && piece->repeats_n++ < SEARCHES_REPEATS_MAX;
    bool is_first = st != AGAIN && (was_sent || st == CANCELED) && !piece->has_died;
    piece->has_died = piece->has_died || is_first;
    return piece->entry->asks != NULL && (is_blameless || is_first);
}

/* The set goes over messages that have been expunged, and this link had not been told yet. */
static bool is_behind(enum status st, const struct response *tagged)
{
    return st == DENIED && tagged->code == CODE_EXPUNGEISSUED;
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct search_piece *piece = arg;
    struct search_entry *entry = piece->entry;
    struct feed *feed = entry->searches->feed;
    piece->request = NULL;
    bitmap_and(piece->hit, piece->asked);
    if (st == OK && makes_sense(piece)) {
        take_answer(piece, tagged);
    } else if (st == OK && piece->is_extended) {
        entry->searches->esearch_is_poor = true;
        feed->esearch_is_poor = true;
        if (entry->asks != NULL) {
            send_again(piece);
            return;
        }
    } else if (st == OK) {
        fail(piece, PROTOCOL, NULL, false); /* not told as "no messages" */
    } else if ((tagged == NULL || is_behind(st, tagged)) && may_repeat(piece, st, was_sent)) {
        send_again(piece);
        return;
    } else {
        fail(piece, st, tagged, tagged == NULL && was_sent);
    }
    free_piece(piece);
    searches__let_go(entry);
}

static const struct upcmd_ops extended_ops = {
    .flags = UPCMD_RETURNS, .untagged = on_extended, .done = on_done};
static const struct upcmd_ops plain_ops = {
    .flags = UPCMD_SEARCHES | UPCMD_SEARCH_LINES, .untagged = on_plain, .done = on_done};

static void send(struct search_piece *piece, enum route route, struct outcmd *cmd)
{
    struct searches *searches = piece->entry->searches;
    struct destination to = {.route = route, .feed = searches->feed, .is_by_uid = true};
    (void)bitmap_max(piece->asked, &to.highest_uid);
    stats_add(stats_of(searches), STAT_search_asks, 1);
    stats_add(stats_of(searches), STAT_search_uids, bitmap_count(piece->asked));
    piece->request = account_request(searches->feed->account, to, cmd,
                                     piece->is_extended ? &extended_ops : &plain_ops, piece);
}

/* --- asking --------------------------------------------------------------------------------------- */

struct asking {
    struct searches *searches;
    struct search_entry *entry;
    const struct search_part *part;
    struct slice charset;
    enum route route;
    bool is_extended;
};

static bool has_esearch(const struct searches *searches)
{
    struct feed *feed = searches->feed;
    feed->esearch_is_poor = feed->esearch_is_poor || searches->esearch_is_poor;
    return capability_has(account_capabilities(feed->account), CAP_ESEARCH) &&
           !feed->esearch_is_poor;
}

static struct bitmap *between(const struct bitmap *uids, const struct ranges *set)
{
    struct bitmap *some = bitmap_create();
    bitmap_add_ranges(some, set);
    bitmap_and(some, uids);
    return some;
}

static enum status ask_piece(const struct asking *asking, const struct bitmap *uids,
                             const struct ranges *set)
{
    const struct feed *feed = asking->searches->feed;
    struct outcmd cmd, plain;
    outcmd_init(&cmd);
    outcmd_init(&plain);
    enum status st = searches__command(asking->part, asking->charset, set, false, &plain);
    if (st == OK) {
        st = searches__command(asking->part, asking->charset, set, asking->is_extended, &cmd);
    }
    if (st == OK) {
        struct search_piece *piece = alloc_zero(sizeof(*piece));
        piece->entry = asking->entry;
        piece->plain = plain;
        outcmd_init(&plain);
        piece->asked = between(uids, set);
        piece->hit = bitmap_create();
        searches__sifted_init(&piece->sifted, evloop_now_ms(account__loop(feed->account)));
        piece->is_extended = asking->is_extended;
        piece->most = most_hits(feed);
        DL_APPEND(asking->entry->pieces, piece);
        if (asking->entry->is_listed) {
            searches__sift(asking->searches, piece->asked, &piece->sifted);
        }
        send(piece, asking->route, &cmd);
    }
    outcmd_fini(&plain);
    outcmd_fini(&cmd);
    return st;
}

static size_t criteria_bytes(const struct asking *asking)
{
    struct outcmd cmd;
    struct ranges none;
    outcmd_init(&cmd);
    ranges_init(&none, 0);
    enum status st = searches__command(asking->part, asking->charset, &none, true, &cmd);
    size_t bytes = st == OK ? cmd.bytes.len : 0;
    ranges_fini(&none);
    outcmd_fini(&cmd);
    return bytes;
}

static enum status ask_pieces(struct asking *asking, const struct bitmap *uids)
{
    const struct feed *feed = asking->searches->feed;
    struct ranges runs, set;
    enum status st = OK;
    bool is_bulk = bitmap_count(uids) > SEARCHES_BULK_FROM && searches__reads_bodies(asking->part);
    asking->route = is_bulk ? ROUTE_BULK : ROUTE_FEED;
    asking->is_extended = has_esearch(asking->searches);
    ranges_init(&runs, 0);
    ranges_init(&set, 0);
    searches__close(feed, uids, &runs);
    searches__widen(feed, criteria_bytes(asking), &runs);
    while (st == OK && !ranges_empty(&runs)) {
        searches__cut(feed, &runs, &set);
        st = ask_piece(asking, uids, &set);
    }
    ranges_fini(&runs);
    ranges_fini(&set);
    return st;
}

/* Of what is left to the ask nobody has asked for this. */
static struct bitmap *not_under_way(const struct search_ask *ask, bool *joins_out)
{
    const struct search_piece *piece;
    struct bitmap *rest = bitmap_copy(ask->left);
    if (ask->entry->is_listed) {
        DL_FOREACH(ask->entry->pieces, piece) {
            bitmap_andnot(rest, piece->asked);
        }
    }
    *joins_out = bitmap_count(rest) < bitmap_count(ask->left) ||
                 (ask->wants_word && ask->entry->pieces != NULL);
    return rest;
}

static enum status start(struct asking *asking, struct search_ask *ask)
{
    bool joins;
    enum status st = OK;
    struct bitmap *rest = not_under_way(ask, &joins);
    if (joins) {
        stats_add(stats_of(asking->searches), STAT_search_joins, 1);
    } else if (ask->wants_word) {
        bitmap_add(rest, 1, 1); /* the cheapest question: only the syntax matters */
    }
    if (!bitmap_empty(rest)) {
        st = ask_pieces(asking, rest);
    }
    bitmap_destroy(&rest);
    return st;
}

static struct search_ask *new_ask(struct search_entry *entry, const struct bitmap *uids,
                                  search_done_fn *done, void *arg)
{
    struct search_ask *ask = alloc_zero(sizeof(*ask));
    ask->loop = account__loop(entry->searches->feed->account);
    ask->entry = entry;
    ask->uids = bitmap_copy(uids);
    ask->left = bitmap_copy(uids);
    ask->hit = bitmap_copy(uids);
    bitmap_andnot(ask->left, entry->known);
    bitmap_and(ask->hit, entry->hit);
    ask->wants_word = bitmap_empty(uids) && !entry->is_accepted;
    ask->done = done;
    ask->arg = arg;
    buf_init(&ask->refusal, REFUSAL_MAX);
    task_init(&ask->task, tell, ask);
    DL_APPEND(entry->asks, ask);
    return ask;
}

struct search_ask *searches_ask(struct searches *searches, const struct search_part *part,
                                struct slice charset, const struct bitmap *uids,
                                search_done_fn *done, void *arg)
{
    struct asking asking = {.searches = searches, .part = part, .charset = charset};
    asking.entry = searches__entry(searches, part, charset);
    struct search_ask *ask = new_ask(asking.entry, uids, done, arg);
    bool is_known = bitmap_empty(ask->left) && !ask->wants_word;
    enum status st = is_known ? OK : start(&asking, ask);
    if (is_known || st != OK) {
        searches__complete(ask, st, SLICE(""), false);
        searches__let_go(asking.entry);
    }
    return ask;
}
