#ifndef NET_TLS_H
#define NET_TLS_H
/* TLS contexts, 1.2 and up.  A context is immutable; reloading certificates is building a new one
 * and destroying the old: connections made with it keep what they need.  Failures are told in
 * struct fail with the file and OpenSSL's reason, for the administrator's log.
 * Owner: the caller.                                              Thread: loop.   RFC 8314, 9325.
 */
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct tls_server;
struct tls_client;

/* cert_file: PEM, leaf first, then its chain.  key_file: PEM; NULL: in cert_file.  Offers ALPN
 * "imap" and stateless session tickets.  IO when a file cannot be read, TLS when it is no good. */
enum status tls_server_create(const char *cert_file, const char *key_file,
                              struct tls_server **server_out, struct fail *fail) MUST_USE;
void tls_server_destroy(struct tls_server **server);

/* Verifies chain and host name (DNS or IP subject alternative name) always.  ca_file: trusted
 * besides the system's CAs; NULL: those alone.  Keeps the newest session tickets of up to 64
 * (host, port) for resumption. */
enum status tls_client_create(const char *ca_file, struct tls_client **client_out,
                              struct fail *fail) MUST_USE;
void tls_client_destroy(struct tls_client **client);

/* Seconds since 1970 when the leaf certificate ends, for a warning in the log. */
int64_t tls_server_expires_s(const struct tls_server *server);

#endif
