/* STATUS: of a mailbox with a live model from the model alone, so that it never falls behind what a
 * session has been told; of any other from the upstream. */
#include "write_p.h"

enum {
    MODEL_ITEMS = STATUS_ITEM_MESSAGES | STATUS_ITEM_RECENT | STATUS_ITEM_UIDNEXT |
                  STATUS_ITEM_UIDVALIDITY | STATUS_ITEM_UNSEEN | STATUS_ITEM_HIGHESTMODSEQ |
                  STATUS_ITEM_DELETED
};

static void tell(struct session *session, struct slice mailbox, const struct status_values *values,
                 unsigned items)
{
    struct buf *out = &session->scratch;
    buf_reset(out);
    buf_add_str(out, "* STATUS ");
    emit_mailbox(out, mailbox);
    buf_add_str(out, " (");
    status_values_write(values, items, out);
    buf_add_str(out, ")\r\n");
    session_write(session, buf_slice(out));
}

static bool on_untagged(void *arg, const struct response *response)
{
    struct write *write = arg;
    struct session *session = write->session;
    struct arena arena;
    struct slice mailbox;
    struct status_values values;
    if (response->kind != RESPONSE_STATUS) {
        return false;
    }
    arena_init(&arena, 64 * 1024);
    const struct args_status *args = &write->job->parsed.args.status;
    /* It may be the answer to somebody who has left. */
    bool is_ours = respdata_status(response, &arena, &mailbox, &values) == OK &&
                   slice_eq_nocase(mailbox, args->mailbox);
    if (is_ours) {
        tell(session, mailbox, &values, args->items);
        write->has_told = true;
    }
    arena_reset(&arena);
    return is_ours;
}

static const struct upcmd_ops status_ops = {.untagged = on_untagged, .done = write_done};

static void tell_model(struct session *session, struct feed *feed, const struct args_status *args)
{
    struct mailbox_counts counts;
    mailbox_counts(feed_mailbox(feed), &counts);
    if (feed == session->feed && session->view != NULL) {
        /* No further than what this client has been told (T23): an expunge may be held back. */
        counts.synced_modseq = view_modseq(session->view);
    }
    const struct status_values values = {
        .has = MODEL_ITEMS,
        .messages = counts.exists,
        .recent = counts.recent,
        .uidnext = counts.uidnext,
        .uidvalidity = counts.uidvalidity,
        .unseen = counts.unseen,
        .deleted = counts.deleted,
        .highestmodseq = feed_has_modseq(feed) ? counts.synced_modseq : 0,
    };
    tell(session, args->mailbox, &values, args->items);
}

static void send_status(struct job *job)
{
    struct write *write = job->work;
    const struct args_status *args = &job->parsed.args.status;
    struct buf items;
    struct outcmd cmd;
    buf_init(&items, 0);
    status_items_write(args->items, &items);
    outcmd_init(&cmd);
    outcmd_str(&cmd, "STATUS ");
    outcmd_mailbox(&cmd, args->mailbox);
    outcmd_str(&cmd, " (");
    outcmd_token(&cmd, buf_slice(&items));
    outcmd_str(&cmd, ")");
    write_send(write, ROUTE_ANY, NULL, &cmd, &status_ops);
    buf_fini(&items);
}

static enum step run_status(struct session *session, struct job *job)
{
    struct write *write = job->work;
    const struct args_status *args = &job->parsed.args.status;
    struct feed *feed = account_find_feed(session->account, args->mailbox);
    write->session = session;
    write->job = job;
    if ((args->items & STATUS_ITEM_HIGHESTMODSEQ) != 0) {
        session_enable_condstore(session); /* RFC 7162 3.1 */
    }
    if (!write->is_sent && feed != NULL && feed_knows(feed) == FEED_KNOWS_FLAGS &&
        (args->items & ~(unsigned)MODEL_ITEMS) == 0) {
        if (!feed_is_fresh(feed) && !write_refresh_other(write, args->mailbox)) {
            return STEP_WAIT;
        }
        tell_model(session, feed, args);
        write_fini(write);
        job_finish_str(session, job, "OK Status completed.");
        return STEP_DONE;
    }
    if (!write->is_sent || write_may_repeat(write)) {
        write_fini(write);
        send_status(job);
        return STEP_WAIT;
    }
    if (!write->is_done) {
        return STEP_WAIT;
    }
    write_finish(write);
    write_fini(write);
    return STEP_DONE;
}

const struct verb verb_status = {
    .work_size = sizeof(struct write), .run = run_status, .cancel = write_cancel};
