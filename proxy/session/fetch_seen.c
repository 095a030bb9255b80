/* \Seen by reading (protocol T11): one UID STORE for all messages of the command that lack it, not
 * silent, so that the model hears of it; the octets do not wait for it, the tagged OK does.  When its
 * link dies it is given again on the next. */
#include "fetch_p.h"

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct fetch_work *work = arg;
    (void)was_sent;
    work->seen_request = NULL;
    /* Refused (no right to it): the true flags come at the next sync point. */
    work->seen_is_lost = tagged == NULL && st != CANCELED && st != LIMIT;
    session_wake(work->session);
}

static const struct upcmd_ops seen_ops = {.done = on_done};

static bool is_permitted(struct slice permanent)
{
    struct flag_iter it;
    unsigned system;
    struct slice name;
    flag_iter_init(&it, permanent);
    while (flag_iter_next(&it, &system, &name) == OK) {
        if (system == IMAP_FLAG_SEEN) {
            return true;
        }
    }
    return permanent.len == 0; /* not said: RFC 3501 7.1 takes all for permanent */
}

static void collect(struct fetch_work *work)
{
    struct session *session = work->session;
    struct flags *flags = mailbox_flags(feed_mailbox(session->feed));
    struct view_iter iter;
    struct view_message message;
    view_iter_init(&iter, session->view, &work->uids);
    while (view_iter_next(&iter, &message)) {
        if (!message.is_vanished && (flags_bits(flags, message.flags) & FLAG_SEEN) == 0) {
            ranges_add(&work->unseen, message.uid, message.uid);
        }
    }
}

static void send_seen(struct fetch_work *work)
{
    struct session *session = work->session;
    const struct destination to = {.route = ROUTE_FEED, .feed = session->feed};
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID STORE ");
    outcmd_ranges(&cmd, &work->unseen);
    outcmd_str(&cmd, " +FLAGS (\\Seen)");
    work->seen_is_lost = false;
    work->seen_attempts++;
    work->seen_request = account_request(session->account, to, &cmd, &seen_ops, work);
    outcmd_fini(&cmd);
}

bool fetch__seen_is_over(struct fetch_work *work)
{
    if (work->seen_is_lost && work->seen_attempts < 2) {
        send_seen(work);
    }
    return work->seen_request == NULL;
}

void fetch__begin_seen(struct fetch_work *work)
{
    struct session *session = work->session;
    struct mailbox *mailbox = feed_mailbox(session->feed);
    const struct flag_list seen = {.bits = FLAG_SEEN};
    if (!work->job->parsed.args.fetch.items.sets_seen || session->is_read_only ||
        feed_is_away(session->feed) || !is_permitted(mailbox_permanent_flags(mailbox)) ||
        flags_intern(mailbox_flags(mailbox), &seen, &work->seen_id) != OK) {
        return;
    }
    collect(work);
    if (ranges_empty(&work->unseen)) {
        return;
    }
    flags_ref(mailbox_flags(mailbox), work->seen_id, 1); /* kept over sync points */
    work->has_seen_id = true;
    work->seen_silent =
        view_silent_begin(session->view, &work->unseen, FLAG_OP_ADD, work->seen_id);
    send_seen(work);
}

bool fetch__becomes_seen(const struct fetch_work *work, uint32_t uid)
{
    return ranges_has(&work->unseen, uid);
}

void fetch__end_seen(struct fetch_work *work, bool was_told)
{
    /* RFC 7162 3.2.4: with CONDSTORE a change of flags is told with its MODSEQ, which was not known
     * when the octets went: the flags are told once more, behind them. */
    bool wants_modseq =
        (work->session->enabled & ENABLED_CONDSTORE) != 0 && session_has_modseq(work->session);
    if (work->seen_silent != NULL && was_told && !wants_modseq) {
        view_silent_end(&work->seen_silent);
    } else if (work->seen_silent != NULL) {
        view_silent_cancel(&work->seen_silent);
    }
    if (work->has_seen_id) {
        work->has_seen_id = false;
        flags_unref(mailbox_flags(feed_mailbox(work->session->feed)), work->seen_id, 1);
    }
}
