#include "net/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum { SECRET_HEAP_BYTES = 4 * 1024 * 1024, SECRET_HEAP_MIN = 64 };

struct secret {
    char *data;
    size_t len;
};

void secret_heap_init(void)
{
    if (CRYPTO_secure_malloc_initialized() == 0) {
        (void)CRYPTO_secure_malloc_init(SECRET_HEAP_BYTES, SECRET_HEAP_MIN);
    }
}

struct secret *secret_create(struct slice bytes)
{
    struct secret *secret = alloc_zero(sizeof(*secret));
    secret->len = bytes.len;
    secret->data = OPENSSL_secure_malloc(bytes.len + 1);
    if (secret->data == NULL) { /* that heap is full; how many secrets there are is not ours to say */
        secret->data = OPENSSL_malloc(bytes.len + 1);
    }
    CHECK(secret->data != NULL);
    if (bytes.len > 0) {
        memcpy(secret->data, bytes.data, bytes.len);
    }
    return secret;
}

void secret_destroy(struct secret **secret)
{
    if (*secret != NULL) {
        OPENSSL_secure_clear_free((*secret)->data, (*secret)->len + 1);
        alloc_free(*secret);
        *secret = NULL;
    }
}

struct slice secret_bytes(const struct secret *secret)
{
    return (struct slice){secret->data, secret->len};
}

void secret_random(void *out, size_t n)
{
    CHECK(RAND_bytes(out, (int)n) == 1);
}

static void add_field(EVP_MAC_CTX *ctx, struct slice field)
{
    uint64_t len = field.len;
    CHECK(EVP_MAC_update(ctx, (const unsigned char *)&len, sizeof(len)) == 1);
    CHECK(EVP_MAC_update(ctx, (const unsigned char *)field.data, field.len) == 1);
}

void secret_hash(const unsigned char key[SECRET_KEY_BYTES], const struct slice *fields, size_t n,
                 unsigned char out[SECRET_HASH_BYTES])
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    CHECK(ctx != NULL && EVP_MAC_init(ctx, key, SECRET_KEY_BYTES, params) == 1);
    for (size_t i = 0; i < n; i++) {
        add_field(ctx, fields[i]);
    }
    size_t len = 0;
    CHECK(EVP_MAC_final(ctx, out, &len, SECRET_HASH_BYTES) == 1 && len == SECRET_HASH_BYTES);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

bool secret_hash_eq(const unsigned char a[SECRET_HASH_BYTES],
                    const unsigned char b[SECRET_HASH_BYTES])
{
    return CRYPTO_memcmp(a, b, SECRET_HASH_BYTES) == 0;
}

void secret_wipe(void *bytes, size_t n)
{
    OPENSSL_cleanse(bytes, n);
}
