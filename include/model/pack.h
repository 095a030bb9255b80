#ifndef MODEL_PACK_H
#define MODEL_PACK_H
/* A mailbox as bytes for the store: one header and blocks of 1,024 UIDs (block = uid / 1024), each
 * by itself, so that a change rewrites its block only.  Little checks, no checksum: the store has
 * one; still every byte string is refused cleanly (CORRUPT) or yields a consistent model.
 * Write: header when mailbox_header_dirty(), every block of mailbox_dirty_blocks(), in one
 * transaction, then mailbox_mark_clean(); after a failed write mailbox_mark_dirty().
 * Read: header, then the blocks in ascending order, then mailbox_unpack_end().
 * Owner of buffers: the caller.                                                Thread: loop. */
#include "base/buf.h"
#include "model/mailbox.h"

enum { PACK_BLOCK_UIDS = 1024, PACK_VERSION = 2 };

bool mailbox_header_dirty(const struct mailbox *mailbox);
/* Block numbers. */
const struct ranges *mailbox_dirty_blocks(const struct mailbox *mailbox);
void mailbox_mark_clean(struct mailbox *mailbox);
/* Header and all blocks with messages. */
void mailbox_mark_dirty(struct mailbox *mailbox);

/* UIDVALIDITY, UIDNEXT, synced and base modseq, recent floor, counts, keywords, lists, MAILBOXID. */
void mailbox_pack_header(const struct mailbox *mailbox, struct buf *out);
/* Appends nothing when no message is left in the block: its record is to be deleted. */
void mailbox_pack_block(const struct mailbox *mailbox, uint32_t block, struct buf *out);

/* Into a fresh or reset mailbox without views.  CORRUPT: it is reset, and empty. */
enum status mailbox_unpack_header(struct mailbox *mailbox, struct slice bytes) MUST_USE;
enum status mailbox_unpack_block(struct mailbox *mailbox, uint32_t block,
                                 struct slice bytes) MUST_USE;
/* CORRUPT when not as many messages came as the header said.  The mailbox is clean then. */
enum status mailbox_unpack_end(struct mailbox *mailbox) MUST_USE;

#endif
