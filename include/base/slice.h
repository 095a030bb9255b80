#ifndef BASE_SLICE_H
#define BASE_SLICE_H
/* Borrowed bytes.  Valid until the next call on their owner.  Never NUL-terminated.
 * Thread: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const char *data; /* may be NULL when len is 0 */
    size_t len;
};

#define SLICE(literal) ((struct slice){"" literal "", sizeof(literal) - 1})
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)(s).len, (s).data

struct slice slice_of(const void *data, size_t len);
struct slice slice_str(const char *text);
bool slice_eq(struct slice a, struct slice b);
/* ASCII letters compare without case; other octets exactly. */
bool slice_eq_nocase(struct slice a, struct slice b);
int slice_cmp(struct slice a, struct slice b);
bool slice_starts_nocase(struct slice s, struct slice prefix);
/* From @from, at most @len octets; clipped to what there is. */
struct slice slice_sub(struct slice s, size_t from, size_t len);
/* Index of @c, or s.len. */
size_t slice_find(struct slice s, char c);
/* Decimal digits only, no sign, no empty text, no overflow. */
bool slice_u64(struct slice s, uint64_t *value_out);
bool slice_u32(struct slice s, uint32_t *value_out);

#endif
