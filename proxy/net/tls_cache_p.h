#ifndef NET_TLS_CACHE_P_H
#define NET_TLS_CACHE_P_H
/* A client context's session tickets, per (host, port) verified: the newest 4 of up to 64 peers.
 * A TLS 1.3 ticket is used once (RFC 8446 C.4), a 1.2 session until replaced.      Thread: loop. */
#include <openssl/types.h>
#include <stdint.h>

struct tls_cache;

/* @ctx tells it of new sessions from now on. */
struct tls_cache *tls_cache__create(SSL_CTX *ctx);
/* Connections of @ctx still alive tell nothing any more. */
void tls_cache__destroy(struct tls_cache **cache, SSL_CTX *ctx);
/* Before the handshake: offer a session if there is one; remember under which key to keep new
 * ones. */
void tls_cache__resume(struct tls_cache *cache, SSL *ssl, const char *host, uint16_t port);
/* Before SSL_free(). */
void tls_cache__forget_key(SSL *ssl);

#endif
