#include "past_p.h"

#include "imap/respdata.h"
#include "model/uidset.h"

enum { VANISHED_RUNS_MAX = 1000000 };

static bool on_untagged(void *arg, const struct response *response)
{
    struct past *past = arg;
    struct ranges uids;
    bool is_earlier;
    if (response->kind != RESPONSE_VANISHED) {
        return false;
    }
    ranges_init(&uids, VANISHED_RUNS_MAX);
    if (respdata_vanished(response, &is_earlier, &uids) == OK && is_earlier) {
        ranges_unite(&past->vanished, &uids);
    }
    ranges_fini(&uids);
    return false; /* others may have asked the same */
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct past *past = arg;
    bool is_lost = tagged == NULL && st != CANCELED && st != LIMIT;
    (void)was_sent;
    past->request = NULL;
    past->status = st;
    past->is_asked = !(is_lost && past->attempts < 2); /* once more on the next link */
    past->is_done = past->is_asked;
    session_wake(past->session);
}

static const struct upcmd_ops past_ops = {.untagged = on_untagged, .done = on_done};

static void begin(struct past *past, struct session *session)
{
    past->session = session;
    ranges_init(&past->uids, 0);
    ranges_init(&past->vanished, 0);
}

bool past_wants_modseqs(struct past *past, struct session *session, const struct ranges *uids)
{
    struct mailbox *mailbox = feed_mailbox(session->feed);
    if (mailbox_base_modseq(mailbox) == 0 || !session_has_modseq(session)) {
        return false;
    }
    begin(past, session);
    mailbox_scan_unknown(mailbox, uids, &past->uids);
    if (ranges_empty(&past->uids)) {
        past_fini(past);
        return false;
    }
    return true;
}

bool past_wants_changes(struct past *past, struct session *session, const struct ranges *uids,
                        uint64_t since, bool vanished)
{
    struct mailbox *mailbox = feed_mailbox(session->feed);
    bool is_old = since < mailbox_base_modseq(mailbox);
    bool misses_some = vanished && since < feed_vanished_modseq(session->feed);
    if (ranges_empty(uids) || since == 0 || (!is_old && !misses_some)) {
        return false;
    }
    begin(past, session);
    ranges_add_all(&past->uids, uids);
    past->since = since;
    past->wants_vanished = vanished;
    return true;
}

static void send_past(struct past *past)
{
    struct session *session = past->session;
    const struct destination to = {.route = ROUTE_FEED, .feed = session->feed};
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID FETCH ");
    outcmd_ranges(&cmd, &past->uids);
    if (past->since == 0) {
        outcmd_str(&cmd, " (UID FLAGS MODSEQ)");
    } else {
        outcmd_str(&cmd, " (UID FLAGS) (CHANGEDSINCE ");
        outcmd_u64(&cmd, past->since);
        outcmd_str(&cmd, past->wants_vanished ? " VANISHED)" : ")");
    }
    ranges_reset(&past->vanished);
    past->is_asked = true;
    past->attempts++;
    past->request = account_request(session->account, to, &cmd, &past_ops, past);
    outcmd_fini(&cmd);
}

enum step past_run(struct past *past)
{
    if (past->session == NULL || past->is_done) {
        return STEP_DONE;
    }
    if (!past->is_asked) {
        send_past(past);
    }
    return STEP_WAIT;
}

void past_fini(struct past *past)
{
    if (past->request != NULL) {
        account_request_cancel(&past->request);
    }
    if (past->session != NULL) {
        ranges_fini(&past->uids);
        ranges_fini(&past->vanished);
    }
    *past = (struct past){0};
}

void past_tell_vanished(struct past *past, struct buf *out)
{
    struct view_iter iter;
    struct view_message message;
    struct ranges known;
    ranges_init(&known, 0);
    view_iter_init(&iter, past->session->view, &past->vanished);
    while (view_iter_next(&iter, &message)) { /* told as gone when that may be told */
        ranges_add(&known, message.uid, message.uid);
    }
    ranges_subtract(&past->vanished, &known);
    if (!ranges_empty(&past->vanished)) {
        buf_add_str(out, "* VANISHED (EARLIER) ");
        ranges_format(&past->vanished, out);
        buf_add_str(out, "\r\n");
    }
    ranges_fini(&known);
}
