#include "plan_spool_p.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"

/* Nobody needs more, and a disk is finite: an upstream that announces it is refused. */
#define SPOOL_MAX ((uint64_t)4 << 30)

struct spool {
    int fd;
    uint64_t size;
    uint64_t received;
};

enum status spool__create(const char *dir, uint64_t size, struct spool **out)
{
    if (dir == NULL || size > SPOOL_MAX) {
        return LIMIT;
    }
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        return IO;
    }
    struct spool *spool = alloc_zero(sizeof(*spool));
    spool->fd = fd;
    spool->size = size;
    *out = spool;
    return OK;
}

enum status spool__append(struct spool *spool, struct slice bytes)
{
    if (bytes.len > spool->size - spool->received) {
        return LIMIT;
    }
    while (bytes.len > 0) {
        ssize_t n = pwrite(spool->fd, bytes.data, bytes.len, (off_t)spool->received);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return IO;
        }
        spool->received += (uint64_t)n;
        bytes = slice_sub(bytes, (size_t)n, bytes.len);
    }
    return OK;
}

uint64_t spool__received(const struct spool *spool)
{
    return spool->received;
}

enum status spool__read(const struct spool *spool, uint64_t offset, size_t max, struct buf *buf,
                        struct slice *out)
{
    if (offset >= spool->size) {
        return END;
    }
    if (offset >= spool->received) {
        return AGAIN;
    }
    uint64_t left = spool->received - offset;
    size_t n = left < max ? (size_t)left : max;
    n = n < PLAN_SPOOL_READ ? n : PLAN_SPOOL_READ;
    buf_reset(buf);
    char *room = buf_room(buf, n);
    ssize_t got;
    do {
        got = pread(spool->fd, room, n, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        return NOT_FOUND;
    }
    buf_grew(buf, (size_t)got);
    *out = buf_slice(buf);
    return OK;
}

void spool__destroy(struct spool **spool)
{
    if (*spool != NULL) {
        close((*spool)->fd);
        alloc_free(*spool);
        *spool = NULL;
    }
}
