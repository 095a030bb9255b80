#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "stream_p.h"
#include "tls_p.h"

/* OpenSSL demands that a write which blocked is repeated with at least as many bytes, the same
 * ones.  It holds by itself: a queue only grows at its end, and what did not fit of a large write
 * goes to the front of an empty queue, in pieces as large as the attempts made here. */
enum { WRITE_ATTEMPT_BYTES = IOBUF_CHUNK_BYTES };

/* Result of the call that returned @ret, when not positive. */
static enum stream_result outcome(struct stream *s, int ret, const char *what, struct fail *fail)
{
    int error = errno;
    switch (SSL_get_error(s->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
        return STREAM_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return STREAM_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return STREAM_EOF;
    case SSL_ERROR_SYSCALL:
        if (error == 0 && ERR_peek_error() == 0) {
            return STREAM_EOF;
        }
        (void)fail_set(fail, error == ETIMEDOUT ? TIMEOUT : NETWORK, "conn", "%s: %s", what,
                       error != 0 ? strerror(error) : tls__reason());
        return STREAM_ERROR;
    default:
        (void)fail_set(fail, TLS, "tls", "%s: %s", what, tls__reason());
        return STREAM_ERROR;
    }
}

static void begin(void)
{
    ERR_clear_error();
    errno = 0;
}

static enum stream_result refused(struct stream *s, long verified, struct fail *fail)
{
    const char *host = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
    (void)fail_set(fail, TLS, "tls", "certificate of %s refused: %s",
                   host != NULL ? host : "the peer", X509_verify_cert_error_string(verified));
    ERR_clear_error();
    return STREAM_ERROR;
}

static enum stream_result tls_handshake(struct stream *s, struct fail *fail)
{
    begin();
    int ret = SSL_do_handshake(s->ssl);
    if (ret == 1) {
        return STREAM_BYTES;
    }
    int reason = ERR_GET_REASON(ERR_peek_last_error());
    long verified = SSL_get_verify_result(s->ssl);
    if (!SSL_is_server(s->ssl) && verified != X509_V_OK &&
        SSL_get_error(s->ssl, ret) == SSL_ERROR_SSL) {
        return refused(s, verified, fail);
    }
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) {
        (void)fail_set(fail, TLS, "tls", "the peer does not speak TLS here");
        ERR_clear_error();
        return STREAM_ERROR;
    }
    enum stream_result result = outcome(s, ret, "TLS handshake", fail);
    if (result == STREAM_EOF ||
        (result == STREAM_ERROR && reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
        (void)fail_set(fail, TLS, "tls", "the peer ended the connection during the TLS handshake");
        return STREAM_ERROR;
    }
    return result;
}

static enum stream_result tls_read(struct stream *s, struct iobuf *in, size_t max, size_t *n_out,
                                   struct fail *fail)
{
    *n_out = 0;
    while (*n_out < max) {
        struct iovec iov;
        (void)iobuf_room(in, &iov, 1);
        begin();
        size_t got = 0;
        int ret = SSL_read_ex(s->ssl, iov.iov_base, iov.iov_len, &got);
        int error = errno;
        iobuf_grew(in, ret == 1 ? got : 0);
        errno = error;
        if (ret != 1) {
            return outcome(s, ret, "reading", fail);
        }
        *n_out += got;
    }
    return STREAM_BYTES;
}

static enum stream_result tls_write(struct stream *s, struct iobuf *queue, struct slice more,
                                    size_t *n_out, struct fail *fail)
{
    *n_out = 0;
    bool is_queued = queue->len > 0;
    struct slice next = is_queued ? iobuf_gather(queue, s->scratch, WRITE_ATTEMPT_BYTES)
                                  : slice_sub(more, 0, WRITE_ATTEMPT_BYTES);
    if (next.len == 0) {
        return STREAM_BYTES;
    }
    begin();
    size_t sent = 0;
    int ret = SSL_write_ex(s->ssl, next.data, next.len, &sent);
    if (queue->is_secret && next.data == s->scratch) {
        OPENSSL_cleanse(s->scratch, next.len);
    }
    if (ret != 1) {
        return outcome(s, ret, "writing", fail);
    }
    if (is_queued) {
        iobuf_consume(queue, sent);
    } else {
        *n_out = sent;
    }
    return STREAM_BYTES;
}

static bool tls_has_buffered(const struct stream *s)
{
    return SSL_has_pending(s->ssl) == 1;
}

static void tls_end(struct stream *s)
{
    begin();
    (void)SSL_shutdown(s->ssl); /* close_notify; the answer is not waited for */
    ERR_clear_error();
    (void)shutdown(s->fd, SHUT_WR);
}

static void tls_free(struct stream *s)
{
    tls__free_ssl(s->ssl);
    s->ssl = NULL;
}

static const struct stream_ops tls_ops = {
    .handshake = tls_handshake,
    .read = tls_read,
    .write = tls_write,
    .has_buffered = tls_has_buffered,
    .end = tls_end,
    .free = tls_free,
};

void stream__start_tls(struct stream *s, SSL *ssl)
{
    CHECK(s->ssl == NULL);
    CHECK(SSL_set_fd(ssl, s->fd) == 1);
    s->ssl = ssl;
    s->ops = &tls_ops;
}
