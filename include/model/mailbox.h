#ifndef MODEL_MAILBOX_H
#define MODEL_MAILBOX_H
/* The live model of one mailbox: UIDs in order with flags and modseq, counts, and the log of
 * changes that views (model/view.h) read.  No I/O, no time; keeping it true is the feed's work.
 * 16 bytes a message in chunks of at most 1,024: find, add and remove one in O(log n).
 * Flag ids are those of mailbox_flags(); a UID is never 0; "rank" counts from 1.
 * Owner: whoever created it; views must be closed before it is destroyed.
 * Thread: loop.  RFC 9051 2.3.1, RFC 7162, design section 7 */
#include "base/bitmap.h"
#include "base/ranges.h"
#include "model/flagset.h"

struct mailbox;

struct mailbox_entry {
    uint32_t uid;
    uint32_t flags;
    uint64_t modseq; /* 0 = unknown */
};

/* log_max: see changelog_init(). */
struct mailbox *mailbox_create(size_t log_max);
void mailbox_destroy(struct mailbox **mailbox);
/* Empty, under another (or the same) UIDVALIDITY.  No view may be open. */
void mailbox_reset(struct mailbox *mailbox, uint32_t uidvalidity);
struct flags *mailbox_flags(struct mailbox *mailbox);

/* --- what SELECT and STATUS tell ------------------------------------------------------------- */
struct mailbox_counts {
    uint32_t exists;
    uint32_t unseen;
    uint32_t deleted;
    uint32_t recent; /* not yet claimed by a session (T13) */
    uint32_t first_unseen_uid; /* 0 = none */
    uint32_t uidnext;
    uint32_t uidvalidity;
    uint64_t synced_modseq; /* 0 = the upstream has none (NOMODSEQ) */
};
void mailbox_counts(const struct mailbox *mailbox, struct mailbox_counts *out);
uint32_t mailbox_exists(const struct mailbox *mailbox);
uint32_t mailbox_uidvalidity(const struct mailbox *mailbox);
/* Always above every UID that ever was in the model. */
uint32_t mailbox_uidnext(const struct mailbox *mailbox);
void mailbox_raise_uidnext(struct mailbox *mailbox, uint32_t uidnext);
/* seen: the highest that came in; synced: the highest that may be persisted or told. */
uint64_t mailbox_seen_modseq(const struct mailbox *mailbox);
uint64_t mailbox_synced_modseq(const struct mailbox *mailbox);
void mailbox_saw_modseq(struct mailbox *mailbox, uint64_t modseq);
/* A tagged OK on the feed: what was seen is now synced.  Also sweeps flag sets. */
void mailbox_sync_point(struct mailbox *mailbox);
/* A message whose modseq is 0 has one at or below this (it was loaded without: mailbox_load_uids());
 * 0: every modseq is known.  To learn one that is not above it is no news for any view. */
uint64_t mailbox_base_modseq(const struct mailbox *mailbox);
void mailbox_set_base_modseq(struct mailbox *mailbox, uint64_t modseq);
/* UIDs from here on are \Recent for the first session that selects; rises by views only. */
uint32_t mailbox_recent_floor(const struct mailbox *mailbox);
void mailbox_set_recent_floor(struct mailbox *mailbox, uint32_t uid);
/* The upstream's lists as it worded them, "(\Seen ...)" ; views are told when they change. */
enum { MAILBOX_LIST_MAX = 256 * 1024, MAILBOX_ID_MAX = 1024 };
enum status mailbox_set_flag_lists(struct mailbox *mailbox, struct slice flags,
                                   struct slice permanent) MUST_USE;
struct slice mailbox_flag_list(const struct mailbox *mailbox);
struct slice mailbox_permanent_flags(const struct mailbox *mailbox);
/* MAILBOXID, opaque, empty when the upstream has none. */
/* Another number whenever they are others. */
uint64_t mailbox_lists_version(const struct mailbox *mailbox);
enum status mailbox_set_id(struct mailbox *mailbox, struct slice id) MUST_USE;
struct slice mailbox_id(const struct mailbox *mailbox);
/* Another number after every change of any kind. */
uint64_t mailbox_version(const struct mailbox *mailbox);

/* --- first filling: nothing is logged, no view may be open ---------------------------------- */
/* Messages above all present, without flags (the answer to UID SEARCH ALL).  PROTOCOL when one is
 * not above, LIMIT for more than max_n messages. */
enum status mailbox_load_uids(struct mailbox *mailbox, const struct ranges *uids,
                              size_t max_n) MUST_USE;
/* One message, above all present; PROTOCOL otherwise. */
enum status mailbox_load(struct mailbox *mailbox, const struct mailbox_entry *entry) MUST_USE;

/* --- changes: counted, logged for the views, marked for the store ---------------------------- */
/* A message that is not there yet.  STALE: it is (nothing changed); PROTOCOL: UID 0 or 2^32 - 1. */
enum status mailbox_add(struct mailbox *mailbox, const struct mailbox_entry *entry) MUST_USE;
/* NOT_FOUND, or OK; *changed_out (may be NULL): the flags are others.  modseq 0 leaves it alone. */
enum status mailbox_set_flags(struct mailbox *mailbox, uint32_t uid, uint32_t flags,
                              uint64_t modseq, bool *changed_out) MUST_USE;
enum status mailbox_set_modseq(struct mailbox *mailbox, uint32_t uid, uint64_t modseq) MUST_USE;
/* The flags of a message that were not known so far: no news for any view. */
enum status mailbox_learn_flags(struct mailbox *mailbox, uint32_t uid, uint32_t flags,
                                uint64_t modseq) MUST_USE;
/* The answer to UID SEARCH SEEN and the like: of the messages present, but for those of @except,
 * exactly @uids have the flags of the set @flags.  Not logged, as no view has been told flags
 * (is_first), or logged as any other change. */
enum status mailbox_apply_flag(struct mailbox *mailbox, uint32_t flags, const struct ranges *uids,
                               const struct ranges *except, bool is_first) MUST_USE;
/* UIDs up to here were in use, also if they never came into the model. */
void mailbox_raise_uid_high(struct mailbox *mailbox, uint32_t uid);
/* false: was not there. */
bool mailbox_remove(struct mailbox *mailbox, uint32_t uid);
/* One pass; returns how many went. */
uint32_t mailbox_remove_set(struct mailbox *mailbox, const struct ranges *uids);
/* Remove what is below @below and not in @alive (the answer to UID SEARCH ALL after a gap). */
uint32_t mailbox_retain(struct mailbox *mailbox, const struct ranges *alive, uint32_t below);

/* --- questions -------------------------------------------------------------------------------- */
bool mailbox_get(const struct mailbox *mailbox, uint32_t uid, struct mailbox_entry *out);
bool mailbox_has(const struct mailbox *mailbox, uint32_t uid);
/* The message with that sequence number on the feed; false when beyond the end. */
bool mailbox_at(const struct mailbox *mailbox, uint32_t rank, struct mailbox_entry *out);
/* Messages with a UID <= uid. */
uint32_t mailbox_rank(const struct mailbox *mailbox, uint32_t uid);
/* Highest present; 0 when empty. */
uint32_t mailbox_last_uid(const struct mailbox *mailbox);

/* Walk upwards.  A change of the mailbox in between costs a new search, nothing else. */
struct mailbox_iter {
    const struct mailbox *mailbox;
    uint64_t version;
    uint32_t next_uid; /* the walk goes on from here; 0 = over */
    uint32_t chunk;
    uint32_t index;
};
void mailbox_iter_init(struct mailbox_iter *iter, const struct mailbox *mailbox, uint32_t from);
bool mailbox_iter_next(struct mailbox_iter *iter, struct mailbox_entry *out);

/* UIDs present (of @within; NULL = all) whose flags match; the predicate is asked once per set.
 * Into an initialised out, exact: only consecutive UIDs join. */
typedef bool flags_match_fn(const struct flags *flags, uint32_t id, const void *arg);
void mailbox_scan_flags(const struct mailbox *mailbox, const struct ranges *within,
                        flags_match_fn *match, const void *arg, struct ranges *out);
/* The same for modseq > above, and for mere presence. */
void mailbox_scan_modseq(const struct mailbox *mailbox, const struct ranges *within,
                         uint64_t above, struct ranges *out);
void mailbox_scan_uids(const struct mailbox *mailbox, const struct ranges *within,
                       struct ranges *out);
/* Those whose modseq is not known. */
void mailbox_scan_unknown(const struct mailbox *mailbox, const struct ranges *within,
                          struct ranges *out);

/* The same for arithmetic on sets; what was in @out goes.  For all messages, with hits at random:
 * some two microseconds for 1,000 of them (tests/bench/bench_sets.c). */
void mailbox_bitmap_flags(const struct mailbox *mailbox, flags_match_fn *match, const void *arg,
                          struct bitmap *out);
void mailbox_bitmap_modseq(const struct mailbox *mailbox, uint64_t above, struct bitmap *out);
void mailbox_bitmap_uids(const struct mailbox *mailbox, const struct ranges *within,
                         struct bitmap *out);

#endif
