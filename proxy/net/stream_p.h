#ifndef NET_STREAM_P_H
#define NET_STREAM_P_H
/* Bytes over a connected, non-blocking socket, plain or TLS, behind one table of functions.
 * Knows nothing of events.  Owner: struct conn.                                    Thread: loop. */
#include <openssl/types.h>
#include <stddef.h>

#include "base/slice.h"
#include "base/status.h"
#include "net/iobuf.h"

enum stream_result {
    STREAM_BYTES, /* progress, maybe more at once (handshake: done) */
    STREAM_EOF,
    STREAM_ERROR, /* struct fail filled */
    STREAM_WANT_READ,
    STREAM_WANT_WRITE,
};

struct stream;

/* In read and write the count is meaningful with every result. */
struct stream_ops {
    enum stream_result (*handshake)(struct stream *s, struct fail *fail);
    /* Append about @max bytes (whole chunks) to @in. */
    enum stream_result (*read)(struct stream *s, struct iobuf *in, size_t max, size_t *n_out,
                               struct fail *fail);
    /* Send @queue (what was sent is consumed), then @more; n_out: bytes taken from @more. */
    enum stream_result (*write)(struct stream *s, struct iobuf *queue, struct slice more,
                                size_t *n_out, struct fail *fail);
    /* Is there input that the socket will not announce? */
    bool (*has_buffered)(const struct stream *s);
    /* No more output: tell the peer. */
    void (*end)(struct stream *s);
    void (*free)(struct stream *s);
};

struct stream {
    const struct stream_ops *ops;
    int fd; /* -1: none; not closed here */
    SSL *ssl;
    char *scratch; /* the loop's */
};

void stream__init_plain(struct stream *s, int fd, char *scratch);
/* Go on inside TLS; takes @ssl (made by tls__*_ssl()). */
void stream__start_tls(struct stream *s, SSL *ssl);
void stream__fini(struct stream *s);

#endif
