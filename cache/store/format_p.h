#ifndef STORE_FORMAT_P_H
#define STORE_FORMAT_P_H
/* What stands in the values.  Each begins with a checksum over the rest, seeded with its key, so
 * that a record in the wrong place is as bad as a damaged one.  Numbers in values are in the
 * machine's order: a cache does not travel. Thread: any. */
#include "base/slice.h"
#include "store/content.h"
#include "store/record.h"

enum { SUM_BYTES = 8 };

/* Before there is a second thread: the first long sum chooses how they are made on this machine. */
void format_begin(void);
uint64_t format_sum(uint64_t id, uint32_t number, struct slice bytes);
/* value = sum, rest: true and the rest when it is right. */
bool format_open(uint64_t id, uint32_t number, struct slice value, struct slice *rest_out);

/* DBI_MESSAGES: sum, entries, oldest first. */
enum entry_kind { ENTRY_ITEM = 1, ENTRY_CONTENT = 2 };
struct entry {
    uint8_t kind;
    uint32_t tag;
    struct slice text; /* empty for well-known keys */
    struct slice value;
};
enum { ENTRY_HEAD_BYTES = 12, ENTRY_CONTENT_BYTES = 16, KEY_WELL_KNOWN_MAX = 255 };

size_t entry_bytes(const struct entry *entry);
void entry_write(char *to, const struct entry *entry);
/* False at the end, or where it does not parse. */
bool entry_next(struct slice *rest, struct entry *out);
struct entry entry_of(enum entry_kind kind, const struct record_key *key, struct slice value);
bool entry_is(const struct entry *entry, uint8_t kind, const struct record_key *key);
/* Text of a well-known tag. */
struct slice entry_key_text(const struct entry *entry);

void content_ref_write(char to[ENTRY_CONTENT_BYTES], const struct content_ref *ref);
bool content_ref_read(struct slice value, struct content_ref *out);

/* DBI_CHUNKS: sum, length (for the reader of a dump), zero; then the octets. */
enum { CHUNK_HEAD_BYTES = 16 };
static inline uint64_t chunks_of(uint64_t size_bytes)
{
    return size_bytes == 0 ? 1 : (size_bytes + STORE_CHUNK_BYTES - 1) / STORE_CHUNK_BYTES;
}
static inline size_t chunk_len(uint64_t size_bytes, uint64_t number)
{
    uint64_t from = number * STORE_CHUNK_BYTES;
    uint64_t left = size_bytes - from;
    return left < STORE_CHUNK_BYTES ? (size_t)left : STORE_CHUNK_BYTES;
}

/* DBI_INFO.  links: records that point here beyond the first.  The two environments are not committed
 * as one: a crash between them leaves a count too high, and the content goes by eviction; never one too
 * low. */
struct content_info {
    uint64_t size_bytes;
    uint32_t hour;
    uint32_t links;
};

/* DBI_STATE, number 0. */
struct state_fixed {
    uint32_t uidvalidity;
    uint32_t uidnext;
    uint64_t synced_modseq;
    uint64_t blocks_n;
    uint64_t blocks_sum; /* of the blocks' checksums: none missing, none of another time */
};

#endif
