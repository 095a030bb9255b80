/* STATUS.  See list_p.h. */
#include "list_p.h"

enum {
    MODEL_ITEMS = STATUS_ITEM_MESSAGES | STATUS_ITEM_RECENT | STATUS_ITEM_UIDNEXT |
                  STATUS_ITEM_UIDVALIDITY | STATUS_ITEM_UNSEEN | STATUS_ITEM_HIGHESTMODSEQ |
                  STATUS_ITEM_DELETED,
    ANSWER_MAX = 64 * 1024
};

void status_ask_init(struct status_ask *ask, struct session *session, struct slice mailbox,
                     unsigned items)
{
    *ask = (struct status_ask){.session = session, .mailbox = mailbox, .items = items};
    buf_init(&ask->tagged, ANSWER_MAX);
    buf_init(&ask->data, ANSWER_MAX);
}

/* The mailbox's feed when its model can answer, else NULL. */
static struct feed *knowing_feed(const struct status_ask *ask)
{
    struct feed *feed = account_find_feed(ask->session->account, ask->mailbox);
    return feed != NULL && feed_knows(feed) == FEED_KNOWS_FLAGS ? feed : NULL;
}

static void answered(void *arg, const struct lists_answer *answer)
{
    struct status_ask *ask = arg;
    ask->request = NULL;
    ask->status = answer->status;
    buf_add(&ask->tagged, answer->tagged);
    if (answer->n > 0) {
        buf_add(&ask->data, answer->lines[0].text);
    }
    session_wake(ask->session);
}

static void refreshed(void *arg, enum status st)
{
    struct status_ask *ask = arg;
    (void)st; /* answered from what is known, as the client's own view is */
    ask->refresh = NULL;
    ask->is_refreshed = true;
    session_wake(ask->session);
}

static void ask_upstream(struct status_ask *ask)
{
    const struct lists_query query = {.topics = LISTS_STATUS,
                                      .kinds = 1u << RESPONSE_STATUS,
                                      .mailbox = ask->mailbox};
    struct account *account = ask->session->account;
    struct buf items;
    struct outcmd cmd;
    /* What was said before a session was told more must not be said again. */
    if (account_find_feed(account, ask->mailbox) != NULL) {
        lists_changed(account, LISTS_STATUS);
    }
    buf_init(&items, 0);
    status_items_write(ask->upstream_items, &items);
    outcmd_init(&cmd);
    outcmd_str(&cmd, "STATUS ");
    outcmd_mailbox(&cmd, ask->mailbox);
    outcmd_str(&cmd, " (");
    outcmd_token(&cmd, buf_slice(&items));
    outcmd_str(&cmd, ")");
    ask->request = lists_ask(account, &query, &cmd, answered, ask);
    outcmd_fini(&cmd);
    buf_fini(&items);
}

static void begin(struct status_ask *ask)
{
    struct feed *feed = knowing_feed(ask);
    ask->is_begun = true;
    ask->status = OK;
    ask->upstream_items = feed != NULL ? ask->items & ~(unsigned)MODEL_ITEMS : ask->items;
    if (ask->upstream_items != ask->items && !ask->is_refreshed && !feed_is_fresh(feed)) {
        ask->refresh = feed_refresh(feed, false, refreshed, ask);
    }
    if (ask->upstream_items != 0) {
        ask_upstream(ask);
    }
}

bool status_ask_is_over(struct status_ask *ask)
{
    if (!ask->is_begun) {
        begin(ask);
    }
    if (ask->request != NULL || ask->refresh != NULL) {
        return false;
    }
    if (ask->upstream_items != ask->items && ask->status == OK && knowing_feed(ask) == NULL) {
        buf_reset(&ask->tagged); /* the model has gone meanwhile */
        buf_reset(&ask->data);
        begin(ask);
        return false;
    }
    return true;
}

/* What the upstream said, into @values; the MAILBOXID in it borrows from ask->data. */
static void take_upstream(const struct status_ask *ask, struct status_values *values)
{
    const struct response response = {.kind = RESPONSE_STATUS,
                                      .data = unit_of(buf_slice(&ask->data))};
    struct arena arena;
    struct slice mailbox;
    arena_init(&arena, ANSWER_MAX);
    if (ask->data.len == 0 || respdata_status(&response, &arena, &mailbox, values) != OK) {
        *values = (struct status_values){0};
    }
    arena_reset(&arena);
}

static void take_model(const struct status_ask *ask, struct status_values *values)
{
    struct session *session = ask->session;
    struct feed *feed = knowing_feed(ask);
    struct mailbox_counts counts;
    if (feed == NULL) {
        return;
    }
    mailbox_counts(feed_mailbox(feed), &counts);
    if (feed == session->feed && session->view != NULL) {
        /* No further than what this client has been told (T23): an expunge may be held back. */
        counts.synced_modseq = view_modseq(session->view);
    }
    values->has |= MODEL_ITEMS;
    values->messages = counts.exists;
    values->recent = counts.recent;
    values->uidnext = counts.uidnext;
    values->uidvalidity = counts.uidvalidity;
    values->unseen = counts.unseen;
    values->deleted = counts.deleted;
    values->highestmodseq = feed_has_modseq(feed) ? counts.synced_modseq : 0;
}

void status_ask_tell(struct status_ask *ask)
{
    struct status_values values;
    struct buf *out = &ask->session->scratch;
    take_upstream(ask, &values);
    if (ask->upstream_items != ask->items) {
        take_model(ask, &values);
    }
    if (ask->status != OK || values.has == 0) {
        return;
    }
    buf_reset(out);
    buf_add_str(out, "* STATUS ");
    emit_mailbox(out, ask->mailbox);
    buf_add_str(out, " (");
    status_values_write(&values, ask->items, out);
    buf_add_str(out, ")\r\n");
    session_write(ask->session, buf_slice(out));
}

void status_ask_fini(struct status_ask *ask)
{
    if (ask->request != NULL) {
        lists_cancel(&ask->request);
    }
    if (ask->refresh != NULL) {
        feed_refresh_cancel(&ask->refresh);
    }
    buf_fini(&ask->tagged);
    buf_fini(&ask->data);
}

/* --- the command -------------------------------------------------------------------------------- */

static enum step run_status(struct session *session, struct job *job)
{
    struct status_ask *ask = job->work;
    const struct args_status *args = &job->parsed.args.status;
    if (ask->session == NULL) {
        status_ask_init(ask, session, args->mailbox, args->items);
        if ((args->items & STATUS_ITEM_HIGHESTMODSEQ) != 0) {
            session_enable_condstore(session); /* RFC 7162 3.1 */
        }
    }
    if (!status_ask_is_over(ask)) {
        return STEP_WAIT;
    }
    status_ask_tell(ask);
    if (ask->tagged.len > 0) {
        job_finish(session, job, buf_slice(&ask->tagged));
    } else if (ask->status != OK) {
        job_finish_status(session, job, ask->status);
    } else {
        job_finish_str(session, job, "OK Status completed.");
    }
    status_ask_fini(ask);
    return STEP_DONE;
}

static void cancel_status(struct session *session, struct job *job)
{
    struct status_ask *ask = job->work;
    (void)session;
    if (ask->session != NULL) {
        status_ask_fini(ask);
    }
}

const struct verb verb_status = {
    .work_size = sizeof(struct status_ask), .run = run_status, .cancel = cancel_status};
