#ifndef STORE_READER_H
#define STORE_READER_H
/* Reading ahead.  What the loop reads from the map and is not in memory stops it, and all sessions
 * with it, until the disk has answered.  So a thread of the store's own, the reader, brings pages
 * in before the loop comes to them.  These calls are advice: they never block, copy what they are
 * given, and are dropped when STORE_READAHEAD_QUEUE of them wait already.  What they name need not
 * exist.  Limits: STORE_READAHEAD_MAX octets a call, the rest is not read ahead.
 * See crash.h for pages that cannot be read at all.                              Thread: loop. */
#include "store/content.h"
#include "store/store.h"

enum {
    STORE_READAHEAD_QUEUE = 32,
    STORE_READAHEAD_MAX = 4 * 1024 * 1024,
    STORE_READAHEAD_RECORDS = 4096,
};

/* Octets [offset, offset + bytes) of a content that was committed. */
void store_readahead_content(struct store *store, const struct content_ref *ref, uint64_t offset,
                             uint64_t bytes);
/* The records of UIDs first to last, at most STORE_READAHEAD_RECORDS of them.  content_bytes: also
 * so many octets (in whole chunks) from the beginning of each of their contents; 0: none. */
void store_readahead_records(struct store *store, uint64_t mailbox_id, uint32_t uid_first,
                             uint32_t uid_last, uint64_t content_bytes);
/* Did this thread, or the reader, have to wait for the disk in the last turns?  (Sampled in
 * store_flush().)  While it is false only large things are worth the trouble. */
bool store_is_cold(const struct store *store);

#endif
