#include "plan_spool_p.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"

/* More than anybody needs, and disk and memory are finite. */
#define SPOOL_FILE_MAX ((uint64_t)4 << 30)
#define SPOOL_MEMORY_MAX ((uint64_t)64 << 20)

struct spool {
    int fd;
    uint64_t size;
    uint64_t received;
};

/* An unlinked file with its room reserved; -1 when that cannot be had. */
static int open_file(const char *dir, uint64_t size)
{
    int fd = dir != NULL ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
    if (fd >= 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) != 0 &&
        errno != EOPNOTSUPP) {
        close(fd);
        fd = -1;
    }
    return fd;
}

enum status spool__create(const char *dir, uint64_t size, struct spool **out)
{
    int fd = size <= SPOOL_FILE_MAX ? open_file(dir, size) : -1;
    if (fd < 0 && size <= SPOOL_MEMORY_MAX) {
        fd = memfd_create("spool", MFD_CLOEXEC); /* the disk is full: mail is read all the same */
    }
    if (fd < 0) {
        return LIMIT;
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
