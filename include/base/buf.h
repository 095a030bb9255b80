#ifndef BASE_BUF_H
#define BASE_BUF_H
/* A growing linear buffer with a maximum.  Sticky: once an append would pass the maximum the buffer
 * is failed, later appends do nothing, and the caller asks once with buf_ok().  Owner: the caller.
 * Slices taken from it live until the next call that may grow it.            Thread: any. */
#include <stdarg.h>

#include "base/slice.h"

struct buf {
    char *data;
    size_t len;
    size_t cap; /* allocated */
    size_t max; /* never more than this; 0 = unlimited (only for text of our own) */
    bool failed;
    bool is_secret; /* every octet it leaves behind is overwritten: when it grows, resets, ends */
};

void buf_init(struct buf *buf, size_t max);
/* For what must not stay in memory: see is_secret. */
void buf_init_secret(struct buf *buf, size_t max);
void buf_fini(struct buf *buf);
/* Empty and not failed; memory stays (given back when larger than 64 KiB). */
void buf_reset(struct buf *buf);
bool buf_ok(const struct buf *buf);
struct slice buf_slice(const struct buf *buf);
void buf_add(struct buf *buf, struct slice bytes);
void buf_add_str(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for @n more bytes, to be filled by the caller and counted with buf_grew(); NULL when failed. */
char *buf_room(struct buf *buf, size_t n);
void buf_grew(struct buf *buf, size_t n);
/* Cut to @len (<= present length). */
void buf_truncate(struct buf *buf, size_t len);
/* Remove the first @n bytes. */
void buf_consume(struct buf *buf, size_t n);

#endif
