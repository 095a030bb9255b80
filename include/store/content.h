#ifndef STORE_CONTENT_H
#define STORE_CONTENT_H
/* Message bytes.  Received into a staged content under a fresh id, readable through its reference
 * while it grows, by any number of readers at any offsets; the message's record points to it only
 * from the commit on (call it after the upstream's tagged OK).  Bytes leave memory as the writer
 * commits their chunks, so memory per message is bounded by the writer's backlog.        Thread:
 * loop. */
#include "store/store.h"

enum {
    STORE_CHUNK_BYTES =
        65536 - 16 - 16, /* payload of a chunk: 16 pages less LMDB's and our header */
};

struct content_ref {
    uint64_t content_id;
    uint64_t size_bytes;
};

struct content_writer; /* a staged content: created here, ended by commit or abort */

/* section: as in record.h, "BODY[]", "BODY[1.2]" ...  LIMIT: larger than an eighth of the store, or
 * the key too long: relay it without caching. */
enum status store_content_create(struct store *store, uint64_t mailbox_id, uint32_t uid,
                                 struct slice section, uint64_t size_bytes,
                                 struct content_writer **out) MUST_USE;
/* Copied.  LIMIT: more than announced (nothing taken).  FULL, IO, CORRUPT: the store lost some of
 * it; sticky, readers get NOT_FOUND for what is lost, commit will refuse: abort it. */
enum status store_content_append(struct content_writer *writer, struct slice bytes) MUST_USE;
/* Octets so far: a download that broke may be continued from here with the same writer. */
uint64_t store_content_received(const struct content_writer *writer);
struct content_ref store_content_ref(const struct content_writer *writer);
/* OK: visible as cached at once, and *writer is NULL.  AGAIN: octets are missing; nothing happened.
 * FULL, IO, CORRUPT: lost as above; nothing happened.  When the writer thread cannot store it after
 * OK, it is forgotten later. */
enum status store_content_commit(struct content_writer **writer) MUST_USE;
/* Forget it; readers get NOT_FOUND from now on.  *writer becomes NULL.  NULL is ignored. */
void store_content_abort(struct content_writer **writer);

/* Let one more record point to a content that a record points to already: it goes with the last of
 * them.  Visible at once; forgotten later when the writer finds the content gone.  NOT_FOUND: it is
 * not cached whole.  LIMIT: the key is too long. */
enum status store_content_share(struct store *store, const struct content_ref *ref,
                                uint64_t mailbox_id, uint32_t uid, struct slice section) MUST_USE;

/* OK: cached whole.  AGAIN: *out is a staged content still being received.  NOT_FOUND.
 * Within store_read_begin/_end. */
enum status store_content_find(struct store *store, uint64_t mailbox_id, uint32_t uid,
                               struct slice section, struct content_ref *out) MUST_USE;
/* The same for a reference from record_find_content(): OK, AGAIN or NOT_FOUND (evicted). */
enum status store_content_check(struct store *store, const struct content_ref *ref) MUST_USE;
/* Between 1 and max octets at offset, borrowed till the next such call or store_read_end(), never past
 * the end of a chunk: call on.  Their checksum was right when they were copied for this.
 * END: offset is the size or beyond.  AGAIN: staged, not there yet.  NOT_FOUND: evicted, dropped,
 * aborted, damaged: ask the upstream for the rest. */
enum status store_content_read(struct store *store, const struct content_ref *ref, uint64_t offset,
                               size_t max, struct slice *out) MUST_USE;

#endif
