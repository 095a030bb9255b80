/* TLS on a connection: the handshake, at once or after STARTTLS. */
#include <openssl/ssl.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "conn_p.h"
#include "tls_p.h"

void conn__upgrade_free(struct conn *c)
{
    if (c->upgrade == NULL) {
        return;
    }
    tls__free_ssl(c->upgrade->ssl);
    iobuf_clear(&c->upgrade->clear);
    alloc_free(c->upgrade);
    c->upgrade = NULL;
}

void conn__start_handshake(struct conn *c, SSL *ssl)
{
    stream__start_tls(&c->stream, ssl);
    c->state = CONN_HANDSHAKING;
    c->read_wait = 0;
    c->write_wait = 0;
}

void conn__handshake(struct conn *c)
{
    struct fail fail = {0};
    enum stream_result result = c->stream.ops->handshake(&c->stream, &fail);
    switch (result) {
    case STREAM_WANT_READ:
        c->read_wait = EV_READ;
        return;
    case STREAM_WANT_WRITE:
        c->read_wait = EV_WRITE;
        return;
    case STREAM_EOF:
    case STREAM_ERROR:
        conn__fail(c, &fail);
        return;
    case STREAM_BYTES:
        break;
    }
    conn__dial_free(c);
    c->state = CONN_OPEN;
    c->read_wait = 0;
    c->due |= DUE_TLS_READY;
    if (c->out.len > 0) {
        evloop_defer(c->loop, &c->flush, EVLOOP_LATE);
    }
}

/* Until the handshake begins the state says that nothing is read in clear any more. */
static enum status start(struct conn *c, SSL *ssl)
{
    c->upgrade = alloc_zero(sizeof(*c->upgrade));
    c->upgrade->ssl = ssl;
    iobuf_init(&c->upgrade->clear, c->loop);
    iobuf_move(&c->upgrade->clear, &c->out);
    c->state = CONN_UPGRADING;
    evloop_cancel(c->loop, &c->flush);
    conn__defer_step(c, EVLOOP_SOON);
    conn__update(c);
    return OK;
}

static enum status check_can_start(const struct conn *c)
{
    if (c->state != CONN_OPEN || c->stream.ssl != NULL) {
        return STALE;
    }
    return c->in.len > 0 ? PROTOCOL : OK;
}

enum status conn_start_tls_server(struct conn *conn, struct tls_server *tls)
{
    TRY(check_can_start(conn));
    SSL *ssl = tls__server_ssl(tls, &(struct fail){0});
    return ssl != NULL ? start(conn, ssl) : TLS;
}

enum status conn_start_tls_client(struct conn *conn, struct tls_client *tls, const char *host)
{
    TRY(check_can_start(conn));
    const char *verified = host != NULL ? host : conn->host;
    CHECK(verified != NULL);
    SSL *ssl = tls__client_ssl(tls, verified, netaddr_port(&conn->peer), &(struct fail){0});
    return ssl != NULL ? start(conn, ssl) : TLS;
}

bool conn_is_tls(const struct conn *conn)
{
    return conn->stream.ssl != NULL && SSL_is_init_finished(conn->stream.ssl);
}

bool conn_tls_was_resumed(const struct conn *conn)
{
    return conn_is_tls(conn) && SSL_session_reused(conn->stream.ssl) == 1;
}

const char *conn_tls_text(const struct conn *conn, char out[64])
{
    if (conn_is_tls(conn)) {
        (void)snprintf(out, 64, "%s %s", SSL_get_version(conn->stream.ssl),
                       SSL_get_cipher_name(conn->stream.ssl));
    } else {
        (void)snprintf(out, 64, "-");
    }
    return out;
}
