#ifndef NET_IOBUF_H
#define NET_IOBUF_H
/* A queue of bytes as a chain of 16 KiB chunks from the loop's pool.  The first byte attaches a
 * chunk, the last consumed one gives it back: an empty iobuf holds no memory.  It may also hold
 * references to shared bytes (one rendered answer for many sessions).  Never refuses bytes: the
 * limit is soft, iobuf_has_room() tells.  Slices taken from it are valid until the next call that
 * consumes, clears or finishes it (appending does not move bytes).
 * Owner: the caller.                                                             Thread: loop. */
#include <sys/uio.h>

#include "base/slice.h"

struct evloop;
struct iobuf_piece;
struct iobuf_pool;

enum { IOBUF_CHUNK_BYTES = 16384 };

struct iobuf {
    struct iobuf_piece *head;
    struct iobuf_piece *tail;
    struct iobuf_pool *pool;
    size_t len; /* bytes queued */
    bool is_secret; /* consumed bytes are overwritten (not those of shared pieces) */
};

void iobuf_init(struct iobuf *iobuf, struct evloop *loop);
/* Gives everything back; stays initialised. */
void iobuf_clear(struct iobuf *iobuf);

void iobuf_append(struct iobuf *iobuf, struct slice bytes);
/* The first contiguous bytes; empty only when len is 0. */
struct slice iobuf_peek(const struct iobuf *iobuf);
/* Up to @max bytes in one piece: the first piece itself when it is enough, else collected in
 * @scratch (at least @max bytes). */
struct slice iobuf_gather(const struct iobuf *iobuf, char *scratch, size_t max);
/* Drop the first @n bytes, n <= len. */
void iobuf_consume(struct iobuf *iobuf, size_t n);
/* Move everything of @from to the end of @to (same pool) without copying. */
void iobuf_move(struct iobuf *to, struct iobuf *from);

/* For writev: the first pieces, at most @max of them; returns how many. */
int iobuf_iov(const struct iobuf *iobuf, struct iovec *iov, int max);

/* For readv: room in the last chunk and in up to @max - 1 new ones.  Then iobuf_grew() with what
 * was read (0 too): it keeps the bytes and gives unused chunks back.  Nothing else in between. */
int iobuf_room(struct iobuf *iobuf, struct iovec *iov, int max);
void iobuf_grew(struct iobuf *iobuf, size_t n);

/* --- shared bytes: written once, queued many times, counted references, one loop --- */
struct iobuf_shared;
struct iobuf_shared *iobuf_shared_create(struct slice bytes); /* one copy; one reference */
void iobuf_shared_put(struct iobuf_shared **shared);          /* give the caller's reference back */
struct slice iobuf_shared_bytes(const struct iobuf_shared *shared);
void iobuf_append_shared(struct iobuf *iobuf, struct iobuf_shared *shared);

/* Chunks attached to any iobuf of @loop at present (tests, statistics). */
size_t iobuf_chunks_used(const struct evloop *loop);

#endif
