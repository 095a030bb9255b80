/* Telling what has changed, at the points where the protocol allows it (protocol T18, T19):
 * expunges, EXISTS, RECENT, flag lists, flags. */
#include "session_p.h"

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

static void tell_flags(struct session *session, const struct ranges *uids, bool is_uid)
{
    struct view_iter iter;
    struct view_message message;
    bool with_uid = is_uid || (session->enabled & ENABLED_QRESYNC) != 0;
    view_iter_init(&iter, session->view, uids);
    while (view_iter_next(&iter, &message)) {
        if (!message.is_vanished) {
            update_write_flags(session, &message, with_uid, &session->scratch);
        }
        if (session->scratch.len > 64 * 1024) {
            session_write(session, buf_slice(&session->scratch));
            buf_reset(&session->scratch);
        }
    }
}

void update_tell(struct session *session, bool allow_expunge, bool is_uid)
{
    struct view_changes changes;
    struct buf *out = &session->scratch;
    if (!view_has_pending(session->view, allow_expunge)) {
        return;
    }
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
        tell_flags(session, &changes.flags, is_uid);
    }
    session_write(session, buf_slice(out));
    view_changes_fini(&changes);
}
