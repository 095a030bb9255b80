#include "tls_cache_p.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum { PEERS_MAX = 64, TICKETS_MAX = 4, KEY_MAX = 264 };

struct tls_peer {
    char key[KEY_MAX];                 /* "host:port"; empty: unused */
    SSL_SESSION *tickets[TICKETS_MAX]; /* oldest first */
    int n;
    uint64_t used; /* for replacing the least recently used */
};

struct tls_cache {
    struct tls_peer *peers[PEERS_MAX];
    uint64_t clock;
};

static void drop_oldest(struct tls_peer *peer)
{
    SSL_SESSION_free(peer->tickets[0]);
    peer->n--;
    for (int i = 0; i < peer->n; i++) {
        peer->tickets[i] = peer->tickets[i + 1];
    }
}

static struct tls_peer *find(struct tls_cache *cache, const char *key)
{
    for (int i = 0; i < PEERS_MAX && cache->peers[i] != NULL; i++) {
        if (strcmp(cache->peers[i]->key, key) == 0) {
            return cache->peers[i];
        }
    }
    return NULL;
}

static struct tls_peer *find_or_add(struct tls_cache *cache, const char *key)
{
    struct tls_peer *peer = find(cache, key);
    if (peer != NULL) {
        return peer;
    }
    int at = 0;
    for (int i = 0; i < PEERS_MAX; i++) {
        if (cache->peers[i] == NULL) {
            at = i;
            cache->peers[i] = alloc_zero(sizeof(struct tls_peer));
            break;
        }
        if (cache->peers[i]->used < cache->peers[at]->used) {
            at = i;
        }
    }
    peer = cache->peers[at];
    while (peer->n > 0) {
        drop_oldest(peer);
    }
    (void)snprintf(peer->key, sizeof(peer->key), "%s", key);
    return peer;
}

/* OpenSSL: returning 1 keeps the reference.  In TLS 1.3 it comes after the handshake, in 1.2 at
 * its end; a peer that did not verify never gets that far. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_cache *cache = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *key = SSL_get_app_data(ssl);
    if (cache == NULL || key == NULL || SSL_get_verify_result(ssl) != X509_V_OK) {
        return 0;
    }
    struct tls_peer *peer = find_or_add(cache, key);
    if (peer->n == TICKETS_MAX) {
        drop_oldest(peer);
    }
    peer->tickets[peer->n++] = session;
    peer->used = ++cache->clock;
    return 1;
}

struct tls_cache *tls_cache__create(SSL_CTX *ctx)
{
    struct tls_cache *cache = alloc_zero(sizeof(*cache));
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    (void)SSL_CTX_set_app_data(ctx, cache);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    return cache;
}

void tls_cache__destroy(struct tls_cache **cache_p, SSL_CTX *ctx)
{
    struct tls_cache *cache = *cache_p;
    *cache_p = NULL;
    (void)SSL_CTX_set_app_data(ctx, NULL);
    for (int i = 0; i < PEERS_MAX && cache->peers[i] != NULL; i++) {
        while (cache->peers[i]->n > 0) {
            drop_oldest(cache->peers[i]);
        }
        alloc_free(cache->peers[i]);
    }
    alloc_free(cache);
}

static void offer(struct tls_peer *peer, SSL *ssl)
{
    SSL_SESSION *session = peer->tickets[peer->n - 1];
    (void)SSL_set_session(ssl, session);
    if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION) {
        SSL_SESSION_free(session);
        peer->n--;
    }
}

void tls_cache__resume(struct tls_cache *cache, SSL *ssl, const char *host, uint16_t port)
{
    char key[KEY_MAX];
    (void)snprintf(key, sizeof(key), "%s:%u", host, (unsigned)port);
    (void)SSL_set_app_data(ssl, alloc_string(key));
    struct tls_peer *peer = find(cache, key);
    if (peer != NULL && peer->n > 0) {
        peer->used = ++cache->clock;
        offer(peer, ssl);
    }
}

void tls_cache__forget_key(SSL *ssl)
{
    alloc_free(SSL_get_app_data(ssl));
    (void)SSL_set_app_data(ssl, NULL);
}
