#ifndef STORE_KEY_P_H
#define STORE_KEY_P_H
/* Database keys: fixed binary, big-endian, so that the order of octets is the order of numbers.
 * Also the loads and stores of the little headers inside values, which are not aligned.
 * Thread: any. */
#include <endian.h>
#include <string.h>

#include "base/slice.h"

enum { NAME_HASH_BYTES = 16 };

struct key {
    unsigned char at[32];
    size_t len;
};

static inline struct key key_begin(void)
{
    return (struct key){.len = 0};
}

static inline void key_add_bytes(struct key *key, const void *bytes, size_t len)
{
    memcpy(key->at + key->len, bytes, len);
    key->len += len;
}

static inline void key_add_u64(struct key *key, uint64_t value)
{
    uint64_t be = htobe64(value);
    key_add_bytes(key, &be, sizeof(be));
}

static inline void key_add_u32(struct key *key, uint32_t value)
{
    uint32_t be = htobe32(value);
    key_add_bytes(key, &be, sizeof(be));
}

static inline struct key key_id(uint64_t id)
{
    struct key key = key_begin();
    key_add_u64(&key, id);
    return key;
}

static inline struct key key_id_number(uint64_t id, uint32_t number)
{
    struct key key = key_id(id);
    key_add_u32(&key, number);
    return key;
}

static inline uint64_t load_be64(const void *from)
{
    uint64_t v;
    memcpy(&v, from, sizeof(v));
    return be64toh(v);
}

static inline uint32_t load_be32(const void *from)
{
    uint32_t v;
    memcpy(&v, from, sizeof(v));
    return be32toh(v);
}

static inline uint64_t load_u64(const void *from)
{
    uint64_t v;
    memcpy(&v, from, sizeof(v));
    return v;
}

#endif
