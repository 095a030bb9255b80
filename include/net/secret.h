#ifndef NET_SECRET_H
#define NET_SECRET_H
/* Octets that must not leave memory by accident: kept in OpenSSL's secure heap where there is one
 * (locked, not dumped), wiped when freed.  And the keyed hash by which a login is compared with a
 * proven one without keeping it in the clear more often than needed.
 * Owner: the caller.                                                          Thread: loop. */
#include "base/buf.h"
#include "base/status.h"

enum { SECRET_HASH_BYTES = 32, SECRET_KEY_BYTES = 32 };

struct secret;

/* Once per process, before the first secret; without it (or without the right to lock memory, or
 * when it is full) secrets live on the ordinary heap and are still wiped. */
void secret_heap_init(void);
struct secret *secret_create(struct slice bytes);
void secret_destroy(struct secret **secret);
struct slice secret_bytes(const struct secret *secret);

/* Random octets from the system. */
void secret_random(void *out, size_t n);
/* HMAC-SHA256; fields are framed, so that ("ab","c") and ("a","bc") differ. */
void secret_hash(const unsigned char key[SECRET_KEY_BYTES], const struct slice *fields, size_t n,
                 unsigned char out[SECRET_HASH_BYTES]);
/* In constant time. */
bool secret_hash_eq(const unsigned char a[SECRET_HASH_BYTES],
                    const unsigned char b[SECRET_HASH_BYTES]);
/* Overwrite, in a way no compiler removes. */
void secret_wipe(void *bytes, size_t n);

#endif
