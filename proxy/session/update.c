/* Telling what has changed, at the points where the protocol allows it (protocol T18, T19):
 * expunges, EXISTS, RECENT, flag lists, flags. */
#include "session/fanout.h"
#include "session_p.h"
#include "net/iobuf.h"

void update_write_flags(struct session *session, const struct view_message *message, bool with_uid,
                        struct buf *out)
{
    struct slice flags = flags_text(mailbox_flags(feed_mailbox(session->feed)), message->flags);
    buf_add_str(out, "* ");
    buf_add_u64(out, message->msn);
    buf_add_str(out, " FETCH (");
    if (with_uid) {
        buf_add_str(out, "UID ");
        buf_add_u64(out, message->uid);
        buf_add_char(out, ' ');
    }
    if ((session->enabled & ENABLED_CONDSTORE) != 0 && message->modseq > 0 &&
        session_has_modseq(session)) {
        buf_add_str(out, "MODSEQ (");
        buf_add_u64(out, message->modseq);
        buf_add_str(out, ") ");
    }
    buf_add_str(out, "FLAGS ");
    if (message->is_recent) {
        buf_add(out, slice_sub(flags, 0, flags.len - 1));
        buf_add_str(out, flags.len > 2 ? " \\Recent)" : "\\Recent)");
    } else {
        buf_add(out, flags);
    }
    buf_add_str(out, ")\r\n");
}

static void tell_expunges(struct session *session, const struct view_changes *changes)
{
    struct buf *out = &session->scratch;
    if (ranges_empty(&changes->expunged_msns)) {
        return;
    }
    if ((session->enabled & ENABLED_QRESYNC) != 0) {
        buf_add_str(out, "* VANISHED ");
        ranges_format(&changes->vanished, out);
        buf_add_str(out, "\r\n");
        return;
    }
    for (size_t i = changes->expunged_msns.n; i > 0; i--) {
        const struct range *r = &changes->expunged_msns.at[i - 1];
        for (uint32_t msn = r->last; msn >= r->first; msn--) {
            emit_number_response(out, msn, "EXPUNGE");
        }
    }
}

void update_write_flag_lists(struct session *session, struct buf *out)
{
    struct mailbox *mailbox = feed_mailbox(session->feed);
    struct slice flags = mailbox_flag_list(mailbox);
    struct slice permanent = mailbox_permanent_flags(mailbox);
    buf_add_str(out, "* FLAGS ");
    buf_add(out, flags.len > 0 ? flags : SLICE("(\\Answered \\Flagged \\Deleted \\Seen \\Draft)"));
    buf_add_str(out, "\r\n");
    if (session->is_read_only) {
        buf_add_str(out, "* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n");
    } else if (permanent.len > 0) { /* not told: RFC 3501 7.1 takes all for permanent */
        buf_add_str(out, "* OK [PERMANENTFLAGS ");
        buf_add(out, permanent);
        buf_add_str(out, "] Flags permitted.\r\n");
    }
}

/* What is rendered goes out. */
static void flush(struct session *session)
{
    struct buf *out = &session->scratch;
    stats_add(session->env->stats, STAT_told_octets, out->len);
    stats_add(session->env->stats, STAT_rendered_octets, out->len);
    session_write(session, buf_slice(out));
    buf_reset(out);
}

/* True: some of it has been flushed. */
static bool tell_flags(struct session *session, const struct ranges *uids, bool is_uid)
{
    bool is_flushed = false;
    struct view_iter iter;
    struct view_message message;
    bool with_uid = is_uid || (session->enabled & ENABLED_QRESYNC) != 0;
    view_iter_init(&iter, session->view, uids);
    while (view_iter_next(&iter, &message)) {
        if (!message.is_vanished) {
            update_write_flags(session, &message, with_uid, &session->scratch);
        }
        if (session->scratch.len > FANOUT_BYTES_MAX) {
            flush(session);
            is_flushed = true;
        }
    }
    return is_flushed;
}

/* Into the scratch, which is flushed when it gets too long; true when it was. */
static bool render(struct session *session, bool allow_expunge, bool is_uid)
{
    bool is_flushed = false;
    struct view_changes changes;
    struct buf *out = &session->scratch;
    buf_reset(out);
    view_changes_init(&changes);
    view_sync(session->view, allow_expunge, &changes);
    tell_expunges(session, &changes);
    if (changes.tells_exists) {
        emit_number_response(out, changes.exists, "EXISTS");
    }
    if (changes.tells_recent) {
        emit_number_response(out, changes.recent, "RECENT");
    }
    if (changes.tells_flag_lists) {
        update_write_flag_lists(session, &session->scratch);
    }
    if (!ranges_empty(&changes.flags)) {
        is_flushed = tell_flags(session, &changes.flags, is_uid);
    }
    view_changes_fini(&changes);
    return is_flushed;
}

/* Everything that shapes the octets besides the view's key. */
static unsigned form_of(const struct session *session, bool is_uid)
{
    bool with_modseq = (session->enabled & ENABLED_CONDSTORE) != 0 && session_has_modseq(session);
    bool with_vanished = (session->enabled & ENABLED_QRESYNC) != 0;
    return (with_modseq ? 1u : 0) | (with_vanished ? 2u : 0) | (session->is_read_only ? 4u : 0) |
           (is_uid ? 8u : 0);
}

static bool is_alone(const struct session *session)
{
    const struct feed_user *user = &session->feed_user;
    return user->next == NULL && user->prev == user;
}

/* Whether others may be told the very same; then @key says what that is. */
static bool is_common(struct session *session, bool allow_expunge, bool is_uid,
                      struct fanout_key *key)
{
    if (session->env->fanout == NULL || is_alone(session) ||
        !view_key(session->view, allow_expunge, &key->view)) {
        return false;
    }
    key->mailbox = feed_mailbox(session->feed);
    key->form = form_of(session, is_uid);
    return true;
}

static void write_shared(struct session *session, struct iobuf_shared *shared)
{
    stats_add(session->env->stats, STAT_told_octets, iobuf_shared_bytes(shared).len);
    if (session->conn != NULL) {
        conn_write_shared(session->conn, shared);
    }
}

void update_tell(struct session *session, bool allow_expunge, bool is_uid)
{
    struct fanout_key key;
    if (!view_has_pending(session->view, allow_expunge)) {
        return;
    }
    if (!is_common(session, allow_expunge, is_uid, &key)) {
        (void)render(session, allow_expunge, is_uid);
        flush(session);
        return;
    }
    struct iobuf_shared *shared = fanout_find(session->env->fanout, &key);
    if (shared != NULL) {
        view_sync_same(session->view, &key.view);
        write_shared(session, shared);
        return;
    }
    bool is_flushed = render(session, allow_expunge, is_uid);
    if (is_flushed || session->scratch.len == 0) {
        flush(session); /* too long to be kept, or nothing came of it */
        return;
    }
    stats_add(session->env->stats, STAT_rendered_octets, session->scratch.len);
    write_shared(session, fanout_keep(session->env->fanout, &key, buf_slice(&session->scratch)));
}
