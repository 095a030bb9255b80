/* An entry is asked once and serves who waits for it; then it is kept for a moment:
 *
 *   ask ──> ASKED ── answer ──> KEPT ── time, or a write ──> gone
 *             └── a write ──> ASKED, but for nobody else ── answer ──> gone */
#include "account/lists.h"

#include <utlist.h>

#include "account_p.h"
#include "base/alloc.h"
#include "base/log.h"
#include "imap/emit.h"
#include "imap/respdata.h"

struct entry;

struct lists_request {
    struct lists_request *next, *prev;
    struct account *account;
    struct entry *entry;
    lists_fn *done;
    void *arg;
    struct task task; /* queued: the entry has its answer */
};

struct entry {
    struct entry *next, *prev; /* oldest first */
    struct account *account;
    struct outcmd cmd;
    struct buf key; /* the command, literals inline */
    unsigned topics, kinds;
    struct buf mailbox;
    struct request *request; /* under way */
    unsigned attempts;
    unsigned telling_n; /* of those who wait one is being told */
    bool is_over; /* is not to be found any more; goes when nobody waits for it */
    bool has_answer;
    uint64_t until_ms;
    enum status status;
    struct buf tagged;
    struct buf text; /* of all lines */
    struct lists_line *lines;
    size_t *offsets; /* of lines, in text: it moves while it grows */
    size_t lines_n, lines_cap;
    struct lists_request *requests;
};

static void destroy(struct entry *entry)
{
    DL_DELETE(entry->account->lists, entry);
    if (entry->request != NULL) {
        account_request_cancel(&entry->request);
    }
    outcmd_fini(&entry->cmd);
    buf_fini(&entry->key);
    buf_fini(&entry->mailbox);
    buf_fini(&entry->tagged);
    buf_fini(&entry->text);
    alloc_free(entry->lines);
    alloc_free(entry->offsets);
    alloc_free(entry);
}

static void retire(struct entry *entry)
{
    entry->is_over = true;
    if (entry->requests == NULL && entry->request == NULL && entry->telling_n == 0) {
        destroy(entry);
    }
}

/* --- the answer --------------------------------------------------------------------------------- */

static void add_line(struct entry *entry, enum response_kind kind, struct slice text)
{
    if (entry->lines_n == entry->lines_cap) {
        entry->lines_cap = entry->lines_cap > 0 ? entry->lines_cap * 2 : 8;
        entry->lines = alloc_resize(entry->lines, entry->lines_cap, sizeof(*entry->lines));
        entry->offsets = alloc_resize(entry->offsets, entry->lines_cap, sizeof(*entry->offsets));
    }
    entry->offsets[entry->lines_n] = entry->text.len;
    entry->lines[entry->lines_n++] = (struct lists_line){.kind = kind, .text = {NULL, text.len}};
    buf_add(&entry->text, text);
}

/* Of another mailbox, it is the answer to somebody else. */
static bool is_of_mailbox(const struct entry *entry, const struct response *response)
{
    struct arena arena;
    struct slice name;
    struct status_values values;
    if (entry->mailbox.len == 0) {
        return true;
    }
    arena_init(&arena, 64 * 1024);
    bool is_it = respdata_status(response, &arena, &name, &values) == OK &&
                 slice_eq_nocase(name, buf_slice(&entry->mailbox));
    arena_reset(&arena);
    return is_it;
}

static bool on_untagged(void *arg, const struct response *response)
{
    struct entry *entry = arg;
    if ((entry->kinds & 1u << response->kind) == 0 || !is_of_mailbox(entry, response)) {
        return false;
    }
    if (response->data.holes_n > 0 || !emit_may_relay(response->data.text)) {
        LOG(LOG_WARN, "account", "msg=\"not relayed\" line=%s", LOG_Q(response->data.text));
    } else {
        add_line(entry, response->kind, response->data.text);
    }
    return true;
}

static void send(struct entry *entry);

static void tell_all(struct entry *entry)
{
    struct lists_request *request;
    DL_FOREACH(entry->requests, request) {
        evloop_defer(account__loop(entry->account), &request->task, EVLOOP_SOON);
    }
}

static size_t kept_bytes(const struct entry *entry)
{
    return entry->text.len + entry->key.len + entry->lines_n * sizeof(*entry->lines);
}

/* What has had its time goes, and the oldest when there is too much. */
static void tidy(struct account *account)
{
    uint64_t now = evloop_now_ms(account__loop(account));
    size_t bytes = 0, n = 0;
    struct entry *entry, *before;
    for (entry = account->lists != NULL ? account->lists->prev : NULL; entry != NULL; entry = before) {
        before = entry == account->lists ? NULL : entry->prev;
        bytes += kept_bytes(entry);
        n++;
        bool is_kept = entry->has_answer && !entry->is_over;
        if (is_kept && (now >= entry->until_ms || bytes > LISTS_KEPT_BYTES || n > LISTS_KEPT_N)) {
            retire(entry);
        }
    }
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct entry *entry = arg;
    bool is_whole = buf_ok(&entry->text);
    entry->request = NULL;
    if (tagged == NULL && was_sent && st != CANCELED && ++entry->attempts < 2) {
        buf_reset(&entry->text);
        entry->lines_n = 0;
        send(entry);
        return;
    }
    if (tagged != NULL) {
        emit_relayed(&entry->tagged, tagged);
    }
    for (size_t i = 0; i < entry->lines_n && is_whole; i++) {
        entry->lines[i].text.data = entry->text.data + entry->offsets[i];
    }
    alloc_free(entry->offsets);
    entry->offsets = NULL;
    entry->status = is_whole || st != OK ? st : LIMIT;
    entry->has_answer = true;
    entry->until_ms = evloop_now_ms(account__loop(entry->account)) +
                      ((entry->topics & LISTS_STATUS) != 0 ? LISTS_STATUS_MS : LISTS_NAMES_MS);
    tell_all(entry);
    if (entry->status != OK || entry->is_over) {
        retire(entry);
    }
}

static const struct upcmd_ops names_ops = {
    .flags = UPCMD_LISTS, .untagged = on_untagged, .done = on_done};
static const struct upcmd_ops status_ops = {.untagged = on_untagged, .done = on_done};

static void send(struct entry *entry)
{
    struct outcmd cmd;
    const struct destination to = {.route = ROUTE_ANY};
    outcmd_init(&cmd);
    outcmd_copy(&cmd, &entry->cmd);
    entry->request = account_request(entry->account, to, &cmd,
                                     entry->mailbox.len > 0 ? &status_ops : &names_ops, entry);
    outcmd_fini(&cmd);
}

/* What is told may end sessions, and with them others who wait. */
static void tell(void *arg)
{
    struct lists_request *request = arg;
    struct entry *entry = request->entry;
    lists_fn *done = request->done;
    void *owner = request->arg;
    const struct lists_answer answer = {
        .status = entry->status,
        .tagged = buf_slice(&entry->tagged),
        .lines = entry->lines,
        .n = entry->status == OK ? entry->lines_n : 0,
    };
    DL_DELETE(entry->requests, request);
    alloc_free(request);
    entry->telling_n++;
    done(owner, &answer);
    entry->telling_n--;
    if (entry->is_over) {
        retire(entry);
    }
}

/* --- asking ------------------------------------------------------------------------------------- */

static struct entry *find(struct account *account, struct slice key)
{
    struct entry *entry;
    DL_FOREACH(account->lists, entry) {
        if (!entry->is_over && slice_eq(buf_slice(&entry->key), key)) {
            return entry;
        }
    }
    return NULL;
}

static struct entry *new_entry(struct account *account, const struct lists_query *query,
                               struct outcmd *cmd, struct buf *key)
{
    struct entry *entry = alloc_zero(sizeof(*entry));
    entry->account = account;
    entry->cmd = *cmd;
    outcmd_init(cmd);
    entry->key = *key;
    buf_init(key, 0);
    entry->topics = query->topics;
    entry->kinds = query->kinds;
    buf_init(&entry->mailbox, 0);
    buf_add(&entry->mailbox, query->mailbox);
    buf_init(&entry->tagged, 64 * 1024);
    buf_init(&entry->text, LISTS_ANSWER_MAX);
    DL_APPEND(account->lists, entry);
    return entry;
}

struct lists_request *lists_ask(struct account *account, const struct lists_query *query,
                                struct outcmd *cmd, lists_fn *done, void *arg)
{
    struct buf key;
    buf_init(&key, 0);
    outcmd_inline(cmd, &key);
    tidy(account);
    struct entry *entry = find(account, buf_slice(&key));
    if (entry == NULL) {
        entry = new_entry(account, query, cmd, &key);
        send(entry);
    }
    buf_fini(&key);
    struct lists_request *request = alloc_zero(sizeof(*request));
    request->account = account;
    request->entry = entry;
    request->done = done;
    request->arg = arg;
    task_init(&request->task, tell, request);
    DL_APPEND(entry->requests, request);
    if (entry->has_answer) {
        evloop_defer(account__loop(account), &request->task, EVLOOP_SOON);
    }
    return request;
}

void lists_cancel(struct lists_request **request)
{
    struct lists_request *gone = *request;
    struct entry *entry = gone->entry;
    *request = NULL;
    evloop_cancel(account__loop(gone->account), &gone->task);
    DL_DELETE(entry->requests, gone);
    alloc_free(gone);
    if (entry->is_over) {
        retire(entry);
    }
}

void lists_changed(struct account *account, unsigned topics)
{
    struct entry *entry, *next;
    DL_FOREACH_SAFE(account->lists, entry, next) {
        if ((entry->topics & topics) != 0 && !entry->is_over) {
            retire(entry);
        }
    }
}

void lists__clear(struct account *account)
{
    struct entry *entry, *next;
    DL_FOREACH_SAFE(account->lists, entry, next) {
        while (entry->requests != NULL) { /* nobody should be left */
            struct lists_request *request = entry->requests;
            lists_cancel(&request);
        }
        destroy(entry);
    }
}
