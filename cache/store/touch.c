/* Coarse last use: what a read touched is remembered for the hour in a small table, and told to the
 * writer in batches, so that a read costs no write. */
#include "base/alloc.h"
#include "base/clock.h"
#include "store_p.h"

static void forget_the_hour(struct store *store)
{
    uint32_t hour = store__hour(store);
    if (hour != store->touch_hour) {
        store->touch_hour = hour;
        memset(store->touched_contents.table, 0, sizeof(store->touched_contents.table));
        memset(store->touched_blocks.table, 0, sizeof(store->touched_blocks.table));
        memset(store->touched_searches, 0, sizeof(store->touched_searches));
    }
}

static void stage(struct store *store, struct touches *touches)
{
    if (touches->op != NULL) {
        store__stage(store, &touches->op->op);
        touches->op = NULL;
    }
}

static void touch(struct store *store, struct touches *touches, enum op_kind kind,
                  struct touch what)
{
    forget_the_hour(store);
    uint64_t mark = what.id * 0x9E3779B97F4A7C15U + (uint64_t)what.block * 0xC2B2AE3D27D4EB4FU + 1;
    uint64_t *slot = &touches->table[(mark >> 32) % TOUCH_TABLE];
    if (*slot == mark) {
        return;
    }
    *slot = mark;
    if (touches->op == NULL) {
        touches->op = store__op_new(store, kind, sizeof(*touches->op), sizeof(*touches->op));
        touches->op->n = 0;
        touches->since_ms = clock_mono_ms();
    }
    touches->op->at[touches->op->n++] = what;
    if (touches->op->n == TOUCH_MAX) {
        stage(store, touches);
    }
}

void touch_content(struct store *store, uint64_t content_id)
{
    touch(store, &store->touched_contents, OP_TOUCH_CONTENT, (struct touch){.id = content_id});
}

void touch_block(struct store *store, uint64_t mailbox_id, uint32_t block)
{
    touch(store, &store->touched_blocks, OP_TOUCH_BLOCKS,
          (struct touch){.id = mailbox_id, .block = block});
}

bool touch_search(struct store *store, uint64_t mailbox_id,
                  const unsigned char hash[NAME_HASH_BYTES])
{
    forget_the_hour(store);
    uint64_t mark = mailbox_id * 0x9E3779B97F4A7C15U + load_be64(hash) + 1;
    uint64_t *slot = &store->touched_searches[(mark >> 32) % SEARCH_TOUCHES];
    bool is_first = *slot != mark;
    *slot = mark;
    return is_first;
}

static void flush_if_due(struct store *store, struct touches *touches, bool is_forced)
{
    if (touches->op != NULL &&
        (is_forced || clock_mono_ms() - touches->since_ms >= TOUCH_EVERY_MS)) {
        stage(store, touches);
    }
}

void touch_flush(struct store *store, bool is_forced)
{
    flush_if_due(store, &store->touched_contents, is_forced);
    flush_if_due(store, &store->touched_blocks, is_forced);
}
