#ifndef MODEL_VIEW_H
#define MODEL_VIEW_H
/* A session's place in a mailbox: what its client has been told.  No array: a cursor in the change
 * log, the highest UID told, and small sets of what is still to be told.  A message's number is its
 * rank among the live UIDs <= told plus the vanished ones below it that this view was not told of.
 * Numbers change in view_sync() only.  Whether the session may write is the session's business.
 * Memory: about 300 bytes; a laggard 8 bytes per interval of what it missed.
 * Owner: the session, which closes it before the mailbox goes.
 * Thread: loop.  design section 7; RFC 9051 7.4.1, 7.5.1; protocol.md T13-T23 */
#include "model/mailbox.h"

struct view;

enum {
    VIEW_CLAIMS_RECENT = 1, /* SELECT, not EXAMINE: takes \Recent away from later sessions */
    VIEW_WANTS_MODSEQ = 2   /* CONDSTORE in use: is told of changes of the modseq alone, too */
};

/* The client has been told (or will be, in the SELECT answer) all messages there are. */
struct view *view_open(struct mailbox *mailbox, unsigned options);
/* The same with a UIDNEXT that was told: messages from there on are news. */
struct view *view_open_at(struct mailbox *mailbox, unsigned options, uint32_t uidnext);
/* What a client was told before the model knew the messages (the upstream's own SELECT answer). */
struct view_told {
    uint32_t exists;
    uint32_t recent;
    const struct ranges *gone; /* of those it was told of: UIDs that are there no more */
    uint64_t modseq;           /* HIGHESTMODSEQ; what changed after it is news (T23) */
    uint64_t lists_version;
};
/* The view of such a client: the first @exists of the messages there and gone, in order of UIDs, are
 * what it was told of; what it has missed since is pending.  NULL: there are not so many. */
struct view *view_open_told(struct mailbox *mailbox, unsigned options,
                            const struct view_told *told);
void view_close(struct view **view);
struct mailbox *view_mailbox(const struct view *view);
void view_set_option(struct view *view, unsigned option);

/* --- numbers ---------------------------------------------------------------------------------- */
/* EXISTS as the client believes it. */
uint32_t view_count(struct view *view);
/* 0: no such message in this view. */
uint32_t view_msn_of(struct view *view, uint32_t uid);
uint32_t view_uid_of(struct view *view, uint32_t msn);
/* The highest UID in the view ("*"); 0 when empty. */
uint32_t view_last_uid(struct view *view);
uint32_t view_told_uid(const struct view *view);
/* HIGHESTMODSEQ that may be told to this client (T23): rises by a view_sync() that held nothing
 * back. */
uint64_t view_modseq(const struct view *view);

/* Numbers to UIDs, into an initialised out.  out covers exactly the messages of the view with
 * these numbers, vanished ones included, and no other live message; in gaps it may run over UIDs
 * that do not exist ("5:900" rather than each).  PROTOCOL when a number is 0 or beyond
 * view_count(). */
enum status view_resolve_msns(struct view *view, const struct ranges *msns,
                              struct ranges *uids_out) MUST_USE;
/* Take away from @uids what this view does not have (above told, or hidden); vanished ones stay. */
void view_clip(struct view *view, struct ranges *uids);
/* The live messages of the view, as UIDs: told, neither hidden nor vanished.  What was in @out
 * goes. */
void view_bitmap(struct view *view, struct bitmap *out);
/* UIDs to numbers (for SEARCH answers, [MODIFIED]); those not in the view are left out. */
void view_msns_of(struct view *view, const struct ranges *uids, struct ranges *msns_out);

/* The messages of the view among @uids (NULL = all), ascending.  Changes of the mailbox in between
 * are allowed, also over loop turns; a view_sync() that tells expunges in between, too: the walk
 * goes on above the last UID, with the numbers of the moment.  @uids must outlive the walk
 * unchanged. */
struct view_message {
    uint32_t msn;
    uint32_t uid;
    uint32_t flags;  /* 0 when vanished */
    uint64_t modseq; /* 0 when vanished or unknown */
    bool is_vanished; /* gone upstream, the client does not know yet (T20) */
    bool is_recent;
};
struct view_iter {
    struct view *view;
    const struct ranges *uids;
    size_t uids_at;
    uint32_t next_uid; /* 0 = over */
    struct mailbox_iter live;
    struct mailbox_entry ahead; /* uid 0: none left */
    uint64_t version;
    uint64_t syncs;
    size_t vanished_at;
    uint32_t msn; /* of the message before next_uid */
};
void view_iter_init(struct view_iter *iter, struct view *view, const struct ranges *uids);
bool view_iter_next(struct view_iter *iter, struct view_message *out);

/* --- telling ---------------------------------------------------------------------------------- */
/* In the order of protocol.md T19.  The sets belong to the caller. */
struct view_changes {
    struct ranges expunged_msns; /* as before this sync: tell from the highest down, singly */
    struct ranges vanished;      /* the same messages as UIDs, for QRESYNC */
    bool tells_exists;
    bool tells_recent;
    bool tells_flag_lists;       /* mailbox_flag_list(), mailbox_permanent_flags() are others */
    uint32_t exists;             /* after this sync */
    uint32_t recent;
    struct ranges flags;         /* UIDs: walk them with a view_iter, skip is_vanished */
    uint64_t modseq;             /* view_modseq() after this sync */
};
void view_changes_init(struct view_changes *changes);
void view_changes_fini(struct view_changes *changes);
bool view_changes_empty(const struct view_changes *changes);

/* Cheap; now and then true when nothing comes of it. */
bool view_has_pending(const struct view *view, bool allow_expunge);
/* Hand out what is pending: from now on it counts as told.  Without allow_expunge vanished
 * messages keep their numbers and stay pending.  out: initialised, contents replaced. */
void view_sync(struct view *view, bool allow_expunge, struct view_changes *out);

/* Views with equal keys get equal changes under equal numbers: render once, send to all.  false:
 * this view has something of its own (held expunges, \Recent, own STOREs, ...) and must sync
 * alone. */
struct view_key {
    uint64_t from;
    uint64_t to;
    bool with_modseq;
};
bool view_key(struct view *view, bool allow_expunge, struct view_key *out);
bool view_key_equal(const struct view_key *a, const struct view_key *b);
/* As view_sync(), for a view whose key (taken now) equals that of one synced since the last
 * change. */
void view_sync_same(struct view *view, const struct view_key *key);

/* --- what the session itself has told --------------------------------------------------------- */
/* The session just wrote this message's present flags (FETCH FLAGS, answer to STORE): they are not
 * told again unless they change after this call. */
void view_flags_told(struct view *view, uint32_t uid);
uint32_t view_recent(struct view *view);
bool view_is_recent(const struct view *view, uint32_t uid);
/* The view's \Recent messages, for SEARCH RECENT / NEW / OLD; may run over gaps; borrowed. */
const struct ranges *view_recent_uids(const struct view *view);

/* A STORE ... .SILENT of this session: begin before it is sent, end after its OK (cancel after
 * NO).  A message whose flags then are what the client expects from its own command is not told;
 * one that somebody else changed meanwhile, or that had an untold change before, is.  A view_sync()
 * in between makes all of them be told.  To be ended or cancelled before the view is closed. */
struct view_silent;
struct view_silent *view_silent_begin(struct view *view, const struct ranges *uids,
                                      enum flag_op op, uint32_t flags);
void view_silent_end(struct view_silent **silent);
void view_silent_cancel(struct view_silent **silent);

#endif
