#ifndef NET_TLS_P_H
#define NET_TLS_P_H
/* Connections made of TLS contexts.                                                Thread: loop. */
#include <openssl/types.h>
#include <stdint.h>

#include "net/tls.h"

/* A server's end, or NULL (fail filled).  Independent of @server afterwards. */
SSL *tls__server_ssl(struct tls_server *server, struct fail *fail);
/* A client's end that verifies @host and resumes if it can, or NULL (fail filled). */
SSL *tls__client_ssl(struct tls_client *client, const char *host, uint16_t port, struct fail *fail);
/* Frees it and what tls__*_ssl() attached; keeps its session resumable. */
void tls__free_ssl(SSL *ssl);
/* OpenSSL's newest reason as text, and clear its queue. */
const char *tls__reason(void);

#endif
