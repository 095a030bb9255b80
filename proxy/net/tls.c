/* Contexts.  What a connection needs of one, it holds by OpenSSL's own counts, so a context goes
 * as soon as its owner wants. */
#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "tls_cache_p.h"
#include "tls_p.h"

struct tls_server {
    SSL_CTX *ctx;
};

struct tls_client {
    SSL_CTX *ctx;
    struct tls_cache *cache;
};

static const unsigned char alpn_imap[] = {4, 'i', 'm', 'a', 'p'};

const char *tls__reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);
    if (reason == NULL && ERR_SYSTEM_ERROR(code)) {
        reason = strerror(ERR_GET_REASON(code));
    }
    ERR_clear_error();
    return reason != NULL ? reason : "unknown reason";
}

/* --- both --- */

/* Without it OpenSSL asks for a key's passphrase on the terminal. */
static int no_passphrase(char *buf, int size, int is_writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)is_writing;
    (void)arg;
    return -1;
}

static SSL_CTX *context_create(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    CHECK(ctx != NULL);
    CHECK(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    /* Many peers end without close_notify; IMAP's own framing tells a cut. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Buffers only while bytes are in them; queues may be extended between two tries. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* One read(2) for several records instead of two for each. */
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    return ctx;
}

static enum status check_readable(const char *file, struct fail *fail)
{
    if (access(file, R_OK) != 0) {
        return fail_set(fail, IO, "tls", "cannot read %s: %s", file, strerror(errno));
    }
    return OK;
}

/* --- server --- */

/* RFC 7301 3.2: "the server SHALL respond with a fatal no_application_protocol alert" */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    unsigned char *selected;
    int found = SSL_select_next_proto(&selected, out_len, alpn_imap, sizeof(alpn_imap), in, in_len);
    *out = selected;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static enum status load_identity(SSL_CTX *ctx, const char *cert_file, const char *key_file,
                                 struct fail *fail)
{
    TRY(check_readable(cert_file, fail));
    TRY(check_readable(key_file, fail));
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1) {
        return fail_set(fail, TLS, "tls", "no usable certificate in %s: %s", cert_file,
                        tls__reason());
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1) {
        return fail_set(fail, TLS, "tls", "no usable private key in %s: %s", key_file,
                        tls__reason());
    }
    if (SSL_CTX_check_private_key(ctx) != 1) {
        return fail_set(fail, TLS, "tls", "%s is not the key of %s", key_file, cert_file);
    }
    return OK;
}

enum status tls_server_create(const char *cert_file, const char *key_file,
                              struct tls_server **server_out, struct fail *fail)
{
    SSL_CTX *ctx = context_create(TLS_server_method());
    enum status st = load_identity(ctx, cert_file, key_file != NULL ? key_file : cert_file, fail);
    if (st != OK) {
        SSL_CTX_free(ctx);
        return st;
    }
    /* Sessions live in the clients' tickets, nothing of them here. */
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    /* Passwords come in here: OpenSSL keeps no copy of what it has handed over. */
    (void)SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT);
    CHECK(SSL_CTX_set_num_tickets(ctx, 1) == 1);
    static const unsigned char id[] = "imapcached";
    CHECK(SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1) == 1);
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    *server_out = alloc_zero(sizeof(**server_out));
    (*server_out)->ctx = ctx;
    return OK;
}

void tls_server_destroy(struct tls_server **server_p)
{
    struct tls_server *server = *server_p;
    if (server == NULL) {
        return;
    }
    *server_p = NULL;
    SSL_CTX_free(server->ctx);
    alloc_free(server);
}

int64_t tls_server_expires_s(const struct tls_server *server)
{
    const X509 *leaf = SSL_CTX_get0_certificate(server->ctx);
    struct tm tm;
    if (leaf == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) != 1) {
        return 0;
    }
    return (int64_t)timegm(&tm);
}

SSL *tls__server_ssl(struct tls_server *server, struct fail *fail)
{
    SSL *ssl = SSL_new(server->ctx);
    if (ssl == NULL) {
        (void)fail_set(fail, TLS, "tls", "cannot begin TLS: %s", tls__reason());
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return ssl;
}

/* --- client --- */

enum status tls_client_create(const char *ca_file, struct tls_client **client_out,
                              struct fail *fail)
{
    SSL_CTX *ctx = context_create(TLS_client_method());
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    enum status st = OK;
    ERR_clear_error();
    if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
        st = fail_set(fail, TLS, "tls", "cannot use the system's CAs: %s", tls__reason());
    } else if (ca_file != NULL) {
        st = check_readable(ca_file, fail);
        if (st == OK && SSL_CTX_load_verify_file(ctx, ca_file) != 1) {
            st = fail_set(fail, TLS, "tls", "no usable CA certificate in %s: %s", ca_file,
                          tls__reason());
        }
    }
    if (st != OK) {
        SSL_CTX_free(ctx);
        return st;
    }
    struct tls_client *client = alloc_zero(sizeof(*client));
    client->ctx = ctx;
    client->cache = tls_cache__create(ctx);
    *client_out = client;
    return OK;
}

void tls_client_destroy(struct tls_client **client_p)
{
    struct tls_client *client = *client_p;
    if (client == NULL) {
        return;
    }
    *client_p = NULL;
    tls_cache__destroy(&client->cache, client->ctx);
    SSL_CTX_free(client->ctx);
    alloc_free(client);
}

/* What is verified: @host without brackets or final dot. */
static bool bare_host(const char *host, char *out, size_t size)
{
    size_t len = strlen(host);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (len >= 2 && host[len - 1] == '.') {
        len--;
    }
    if (len == 0 || len >= size) {
        return false;
    }
    memcpy(out, host, len);
    out[len] = '\0';
    return true;
}

static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        /* RFC 6066 3: literal addresses are not permitted in server_name */
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1;
}

SSL *tls__client_ssl(struct tls_client *client, const char *host, uint16_t port, struct fail *fail)
{
    char bare[256];
    if (!bare_host(host, bare, sizeof(bare))) {
        (void)fail_set(fail, TLS, "tls", "not a host name");
        return NULL;
    }
    SSL *ssl = SSL_new(client->ctx);
    if (ssl == NULL || !expect_host(ssl, bare)) {
        (void)fail_set(fail, TLS, "tls", "cannot begin TLS with %s: %s", bare, tls__reason());
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    tls_cache__resume(client->cache, ssl, bare, port);
    return ssl;
}

void tls__free_ssl(SSL *ssl)
{
    if (ssl == NULL) {
        return;
    }
    tls_cache__forget_key(ssl);
    /* A connection cut without close_notify would otherwise mark its session not resumable. */
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
    ERR_clear_error();
}
