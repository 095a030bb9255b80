#ifndef STORE_STORE_H
#define STORE_STORE_H
/* The cache on disk: two LMDB environments below one directory, `index` (mailbox state, small
 * items, searches) and `content` (message bytes in chunks; its loss is only misses).  It may forget, never
 * lie.
 *
 * Thread: loop, for everything here; one loop owns a store.  A writer thread of the store's own
 * commits; what it has not committed yet is read from an overlay in memory, so a value is visible
 * from the moment it was put.  No call blocks on the disk but open, close and page faults of reads.
 * Turn of the loop:  store_poll() when woken;  any calls;  store_flush() at the end of the turn.
 * Values are opaque octets.  Ids are never used twice, also not after a restart.
 * See record.h (small items), state.h (mailbox state), search.h (searches), content.h (message
 * bytes). */
#include "base/ranges.h"
#include "base/slice.h"
#include "base/stats.h"
#include "base/status.h"

struct store;

enum {
    STORE_NAME_MAX = 4096, /* octets of an account key or a mailbox name */
};

struct store_options {
    const char *dir;     /* created 0700 when missing; one process at a time */
    uint64_t size_bytes; /* cap of both environments together: a quarter index, the rest content;
                            at least 8 MiB; the files may grow to 1.25 times this */
    struct stats *stats; /* borrowed till close; may be NULL */
    /* Called on the writer's thread, once per empty-to-non-empty edge: make the loop call
     * store_poll() (ev_async_send).  NULL: the caller polls by itself. */
    void (*wake)(void *arg);
    void *wake_arg;
    /* Called in store_poll() when store_backlog_bytes() fell from above backlog_high_bytes to below
     * half of it: links that were paused may read again.  It may call any function of the store. */
    void (*drained)(void *arg);
    void *drained_arg;
    uint64_t backlog_high_bytes; /* 0: 8 MiB */
    uint32_t searches_max;       /* remembered per mailbox; 0: STORE_SEARCHES_MAX */
    int64_t (*wall_s)(void);     /* seconds since 1970 for coarse last use; NULL: clock_wall_s.
                                    Called on both threads. */
};

/* Open or create.  A directory that another process has open: IO.  Damaged or marked environments
 * are moved aside ("index.damaged"), those of another schema version dropped, each with a log line.
 */
enum status store_open(const struct store_options *options, struct store **out,
                       struct fail *fail) MUST_USE;
/* Flush, join the writer, sync, close; *store becomes NULL.  Content writers not yet committed must
 * have been aborted or committed before. */
void store_close(struct store **store);

/* End of a loop turn: hand everything put in this turn to the writer.  Cheap when there is nothing.
 */
void store_flush(struct store *store);
/* Take the writer's acknowledgements; not between store_read_begin() and _end(). */
void store_poll(struct store *store);
/* Flush and wait until all that was put so far is committed or dropped: for tests and shutdown. */
void store_settle(struct store *store);

/* Octets put and not yet acknowledged.  Above options.backlog_high_bytes stop reading from links.
 */
uint64_t store_backlog_bytes(const struct store *store);
bool store_is_backlogged(const struct store *store);

/* Reads stand between these two; slices found stay valid until the outermost store_read_end(). They
 * nest.  Never keep them open over a wait of the loop: that would keep the writer from reusing
 * pages. */
void store_read_begin(struct store *store);
void store_read_end(struct store *store);

/* The id of (account, name, uidvalidity), found or made.  account: the account's key octets, name:
 * the mailbox name as the upstream spells it.  Other UIDVALIDITYs of that name are dropped in the
 * background.  LIMIT: a text longer than STORE_NAME_MAX. */
enum status store_mailbox_open(struct store *store, struct slice account, struct slice name,
                               uint32_t uidvalidity, uint64_t *id_out) MUST_USE;
/* Was it made just now, so that nothing can be kept under it?  Ask right after opening. */
bool store_mailbox_is_new(const struct store *store, uint64_t id);
/* Forget all that is kept under the name (it was created, deleted or renamed).  From now on
 * store_mailbox_open() makes a new id; an id still held finds nothing that was put before. */
void store_mailbox_drop(struct store *store, struct slice account, struct slice name);
/* Messages expunged: forget their items and content.  uids is copied. */
void store_messages_drop(struct store *store, uint64_t mailbox_id, const struct ranges *uids);

#endif
