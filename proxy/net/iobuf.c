#include "net/iobuf.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "evloop_p.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

/* Kept for the next user; beyond it chunks go back to the heap. */
enum { POOL_SPARE_MAX = 256 };

struct iobuf_shared {
    size_t refs;
    size_t len;
    char data[];
};

/* A chunk (bytes are the piece's own, room behind them) or a reference to shared bytes (no room).
 */
struct iobuf_piece {
    struct iobuf_piece *next;
    struct iobuf_shared *shared; /* NULL: own */
    char *bytes;
    size_t start; /* first byte not consumed */
    size_t end;   /* behind the last byte */
    char own[];   /* IOBUF_CHUNK_BYTES in a chunk, nothing in a reference */
};

struct iobuf_pool {
    struct iobuf_piece *spare;
    size_t spare_n;
    size_t used_n;
};

/* --- pool --- */

struct iobuf_pool *iobuf__pool_create(void)
{
    return alloc_zero(sizeof(struct iobuf_pool));
}

void iobuf__pool_destroy(struct iobuf_pool **pool_p)
{
    struct iobuf_pool *pool = *pool_p;
    *pool_p = NULL;
    while (pool->spare != NULL) {
        struct iobuf_piece *piece = pool->spare;
        pool->spare = piece->next;
        ASAN_UNPOISON_MEMORY_REGION(piece->own, IOBUF_CHUNK_BYTES);
        alloc_free(piece);
    }
    alloc_free(pool);
}

size_t iobuf_chunks_used(const struct evloop *loop)
{
    return evloop__pool(loop)->used_n;
}

static struct iobuf_piece *chunk_get(struct iobuf_pool *pool)
{
    struct iobuf_piece *piece = pool->spare;
    if (piece != NULL) {
        pool->spare = piece->next;
        pool->spare_n--;
        ASAN_UNPOISON_MEMORY_REGION(piece->own, IOBUF_CHUNK_BYTES);
    } else {
        /* Not zeroed: 16 KiB of it would be touched for nothing. */
        piece = alloc_resize(NULL, 1, sizeof(*piece) + IOBUF_CHUNK_BYTES);
    }
    *piece = (struct iobuf_piece){.bytes = piece->own};
    pool->used_n++;
    return piece;
}

static void chunk_put(struct iobuf_pool *pool, struct iobuf_piece *piece)
{
    pool->used_n--;
    if (pool->spare_n == POOL_SPARE_MAX) {
        alloc_free(piece);
        return;
    }
    piece->next = pool->spare;
    pool->spare = piece;
    pool->spare_n++;
    ASAN_POISON_MEMORY_REGION(piece->own, IOBUF_CHUNK_BYTES);
}

static void piece_put(struct iobuf_pool *pool, struct iobuf_piece *piece)
{
    if (piece->shared == NULL) {
        chunk_put(pool, piece);
        return;
    }
    iobuf_shared_put(&piece->shared);
    alloc_free(piece);
}

static size_t piece_len(const struct iobuf_piece *piece)
{
    return piece->end - piece->start;
}

static size_t piece_room(const struct iobuf_piece *piece)
{
    return piece->shared == NULL ? IOBUF_CHUNK_BYTES - piece->end : 0;
}

/* --- queue --- */

void iobuf_init(struct iobuf *iobuf, struct evloop *loop)
{
    *iobuf = (struct iobuf){.pool = evloop__pool(loop)};
}

void iobuf_clear(struct iobuf *iobuf)
{
    iobuf_consume(iobuf, iobuf->len);
}

static void push(struct iobuf *iobuf, struct iobuf_piece *piece)
{
    if (iobuf->tail == NULL) {
        iobuf->head = piece;
    } else {
        iobuf->tail->next = piece;
    }
    iobuf->tail = piece;
}

void iobuf_append(struct iobuf *iobuf, struct slice bytes)
{
    while (bytes.len > 0) {
        if (iobuf->tail == NULL || piece_room(iobuf->tail) == 0) {
            push(iobuf, chunk_get(iobuf->pool));
        }
        struct iobuf_piece *tail = iobuf->tail;
        size_t room = piece_room(tail);
        size_t n = bytes.len < room ? bytes.len : room;
        memcpy(tail->bytes + tail->end, bytes.data, n);
        tail->end += n;
        iobuf->len += n;
        bytes = slice_sub(bytes, n, bytes.len);
    }
}

struct slice iobuf_peek(const struct iobuf *iobuf)
{
    if (iobuf->len == 0) {
        return (struct slice){NULL, 0};
    }
    return slice_of(iobuf->head->bytes + iobuf->head->start, piece_len(iobuf->head));
}

struct slice iobuf_gather(const struct iobuf *iobuf, char *scratch, size_t max)
{
    struct slice first = iobuf_peek(iobuf);
    if (first.len >= max || first.len == iobuf->len) {
        return slice_sub(first, 0, max);
    }
    size_t n = 0;
    for (const struct iobuf_piece *p = iobuf->head; p != NULL && n < max; p = p->next) {
        size_t part = piece_len(p) < max - n ? piece_len(p) : max - n;
        memcpy(scratch + n, p->bytes + p->start, part);
        n += part;
    }
    return slice_of(scratch, n);
}

static void wipe(struct iobuf *iobuf, size_t n)
{
    for (struct iobuf_piece *piece = iobuf->head; piece != NULL && n > 0; piece = piece->next) {
        size_t part = piece_len(piece) < n ? piece_len(piece) : n;
        if (piece->shared == NULL) {
            explicit_bzero(piece->bytes + piece->start, part);
        }
        n -= part;
    }
}

void iobuf_consume(struct iobuf *iobuf, size_t n)
{
    CHECK(n <= iobuf->len);
    if (iobuf->is_secret) {
        wipe(iobuf, n);
    }
    iobuf->len -= n;
    while (iobuf->head != NULL && n >= piece_len(iobuf->head)) {
        struct iobuf_piece *piece = iobuf->head;
        n -= piece_len(piece);
        iobuf->head = piece->next;
        piece_put(iobuf->pool, piece);
    }
    if (iobuf->head == NULL) {
        iobuf->tail = NULL;
    } else {
        iobuf->head->start += n;
    }
}

void iobuf_move(struct iobuf *to, struct iobuf *from)
{
    CHECK(to->pool == from->pool);
    if (from->head == NULL) {
        return;
    }
    if (to->tail == NULL) {
        to->head = from->head;
    } else {
        to->tail->next = from->head;
    }
    to->tail = from->tail;
    to->len += from->len;
    from->head = NULL;
    from->tail = NULL;
    from->len = 0;
}

int iobuf_iov(const struct iobuf *iobuf, struct iovec *iov, int max)
{
    int n = 0;
    for (const struct iobuf_piece *p = iobuf->head; p != NULL && n < max; p = p->next) {
        iov[n++] = (struct iovec){p->bytes + p->start, piece_len(p)};
    }
    return n;
}

int iobuf_room(struct iobuf *iobuf, struct iovec *iov, int max)
{
    int n = 0;
    if (iobuf->tail != NULL && piece_room(iobuf->tail) > 0) {
        struct iobuf_piece *tail = iobuf->tail;
        iov[n++] = (struct iovec){tail->bytes + tail->end, piece_room(tail)};
    }
    while (n < max) {
        struct iobuf_piece *piece = chunk_get(iobuf->pool);
        push(iobuf, piece);
        iov[n++] = (struct iovec){piece->bytes, IOBUF_CHUNK_BYTES};
    }
    return n;
}

void iobuf_grew(struct iobuf *iobuf, size_t n)
{
    iobuf->len += n;
    struct iobuf_piece *last = NULL; /* with bytes */
    struct iobuf_piece *piece = iobuf->head;
    /* Chunks before those of iobuf_room() are full or are shared ones, so filling in order is
     * putting the bytes where readv() put them. */
    for (; piece != NULL; piece = piece->next) {
        size_t part = piece_room(piece) < n ? piece_room(piece) : n;
        bool is_tail_of_old = piece_len(piece) > 0;
        piece->end += part;
        n -= part;
        if (!is_tail_of_old && part == 0) {
            break;
        }
        last = piece;
    }
    CHECK(n == 0);
    if (last == NULL) {
        iobuf->head = NULL;
    } else {
        last->next = NULL;
    }
    iobuf->tail = last;
    while (piece != NULL) {
        struct iobuf_piece *next = piece->next;
        chunk_put(iobuf->pool, piece);
        piece = next;
    }
}

/* --- shared bytes --- */

struct iobuf_shared *iobuf_shared_create(struct slice bytes)
{
    struct iobuf_shared *shared = alloc_resize(NULL, 1, sizeof(*shared) + bytes.len);
    shared->refs = 1;
    shared->len = bytes.len;
    if (bytes.len > 0) {
        memcpy(shared->data, bytes.data, bytes.len);
    }
    return shared;
}

void iobuf_shared_put(struct iobuf_shared **shared_p)
{
    struct iobuf_shared *shared = *shared_p;
    if (shared == NULL) {
        return;
    }
    *shared_p = NULL;
    if (--shared->refs == 0) {
        alloc_free(shared);
    }
}

struct slice iobuf_shared_bytes(const struct iobuf_shared *shared)
{
    return slice_of(shared->data, shared->len);
}

/* Few bytes are cheaper to copy than to refer to. */
enum { SHARED_COPY_MAX = 256 };

void iobuf_append_shared(struct iobuf *iobuf, struct iobuf_shared *shared)
{
    if (shared->len <= SHARED_COPY_MAX) {
        iobuf_append(iobuf, iobuf_shared_bytes(shared));
        return;
    }
    struct iobuf_piece *piece = alloc_zero(sizeof(*piece));
    shared->refs++;
    piece->shared = shared;
    piece->bytes = shared->data;
    piece->end = shared->len;
    push(iobuf, piece);
    iobuf->len += shared->len;
}
