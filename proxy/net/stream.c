#include "stream_p.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { IOV_READ_MAX = 4, IOV_WRITE_MAX = 64 };

void stream__fini(struct stream *s)
{
    if (s->ops != NULL) {
        s->ops->free(s);
    }
    s->ops = NULL;
    s->fd = -1;
}

static enum stream_result plain_handshake(struct stream *s, struct fail *fail)
{
    (void)s;
    (void)fail;
    return STREAM_BYTES;
}

static enum stream_result plain_error(struct fail *fail, const char *what, enum stream_result want)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return want;
    }
    enum status st = errno == ETIMEDOUT ? TIMEOUT : NETWORK;
    (void)fail_set(fail, st, "conn", "%s: %s", what, strerror(errno));
    return STREAM_ERROR;
}

static enum stream_result plain_read(struct stream *s, struct iobuf *in, size_t max, size_t *n_out,
                                     struct fail *fail)
{
    struct iovec iov[IOV_READ_MAX];
    size_t pieces = max / IOBUF_CHUNK_BYTES;
    int want = pieces == 0 ? 1 : pieces < IOV_READ_MAX ? (int)pieces : IOV_READ_MAX;
    int n = iobuf_room(in, iov, want);
    ssize_t got;
    do {
        got = readv(s->fd, iov, n);
    } while (got < 0 && errno == EINTR);
    int error = errno;
    *n_out = got > 0 ? (size_t)got : 0;
    iobuf_grew(in, *n_out);
    errno = error;
    return got > 0    ? STREAM_BYTES
           : got == 0 ? STREAM_EOF
                      : plain_error(fail, "reading", STREAM_WANT_READ);
}

static enum stream_result plain_write(struct stream *s, struct iobuf *queue, struct slice more,
                                      size_t *n_out, struct fail *fail)
{
    *n_out = 0;
    struct iovec iov[IOV_WRITE_MAX];
    int n = iobuf_iov(queue, iov, IOV_WRITE_MAX);
    if (more.len > 0 && n < IOV_WRITE_MAX) {
        iov[n++] = (struct iovec){(void *)(uintptr_t)more.data, more.len};
    }
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    ssize_t sent;
    do {
        sent = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return plain_error(fail, "writing", STREAM_WANT_WRITE);
    }
    size_t of_queue = (size_t)sent < queue->len ? (size_t)sent : queue->len;
    iobuf_consume(queue, of_queue);
    *n_out = (size_t)sent - of_queue;
    return STREAM_BYTES;
}

static bool plain_has_buffered(const struct stream *s)
{
    (void)s;
    return false;
}

static void plain_end(struct stream *s)
{
    (void)shutdown(s->fd, SHUT_WR);
}

static void plain_free(struct stream *s)
{
    (void)s;
}

static const struct stream_ops plain_ops = {
    .handshake = plain_handshake,
    .read = plain_read,
    .write = plain_write,
    .has_buffered = plain_has_buffered,
    .end = plain_end,
    .free = plain_free,
};

void stream__init_plain(struct stream *s, int fd, char *scratch)
{
    *s = (struct stream){.ops = &plain_ops, .fd = fd, .scratch = scratch};
}
