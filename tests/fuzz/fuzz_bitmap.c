/* A set made by changes that the first octets name, against intervals; its kept octets, damaged as
 * the rest says, or (first octet above 127) the rest itself as kept octets: refused, or a sound set
 * that is written and read again as itself, and whose arithmetic agrees with intervals. */
#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "fuzz.h"

enum { CHANGE_BYTES = 6, CHANGES_MAX = 12 };

static void to_ranges(const struct bitmap *set, struct ranges *out)
{
    ranges_init(out, 0);
    bitmap_to_ranges(set, out);
    for (size_t i = 0; i < out->n; i++) {
        MUST(out->at[i].first <= out->at[i].last);
        MUST(i == 0 || out->at[i].first > out->at[i - 1].last + 1);
    }
    MUST(ranges_count(out) == bitmap_count(set));
}

static void check_kept(const struct bitmap *set)
{
    struct buf octets;
    buf_init(&octets, 0);
    bitmap_write(set, &octets);
    MUST(octets.len == bitmap_bytes(set));
    struct bitmap *again = bitmap_read(buf_slice(&octets));
    MUST(again != NULL && bitmap_equal(again, set));
    bitmap_destroy(&again);
    buf_fini(&octets);
}

/* first (upper half, lower half), length, what to do: to the set and to its intervals. */
static void change(struct bitmap *set, struct ranges *naive, const uint8_t *how)
{
    uint32_t first = (uint32_t)(how[0] % 4) << 16 | (uint32_t)how[1] << 8 | how[2];
    uint32_t last = first + ((uint32_t)how[3] << 8 | how[4]);
    if (how[5] % 3 == 0) {
        bitmap_remove(set, first, last);
        ranges_remove(naive, first, last);
    } else if (how[5] % 3 == 1) {
        bitmap_add(set, first, last);
        ranges_add(naive, first, last);
    } else {
        for (uint32_t at = first; at <= last && at - first < 9000; at += 2) {
            bitmap_add(set, at, at);
            ranges_add(naive, at, at);
        }
    }
}

static void check_same(const struct bitmap *set, const struct ranges *naive)
{
    struct ranges members;
    to_ranges(set, &members);
    MUST(members.n == naive->n);
    MUST(members.n == 0 || memcmp(members.at, naive->at, members.n * sizeof(members.at[0])) == 0);
    ranges_fini(&members);
}

static void check_arithmetic(const struct bitmap *a, const struct bitmap *b)
{
    struct ranges of_a;
    struct ranges of_b;
    struct ranges of_both;
    to_ranges(a, &of_a);
    to_ranges(b, &of_b);
    ranges_init(&of_both, 0);
    ranges_intersect(&of_a, &of_b, &of_both);
    struct bitmap *both = bitmap_copy(a);
    struct bitmap *rest = bitmap_copy(a);
    struct bitmap *any = bitmap_copy(b);
    bitmap_and(both, b);
    bitmap_andnot(rest, b);
    bitmap_or(any, a);
    check_same(both, &of_both);
    MUST(bitmap_count(rest) + bitmap_count(both) == bitmap_count(a));
    MUST(bitmap_count(any) == bitmap_count(rest) + bitmap_count(b));
    MUST(bitmap_is_subset(both, b) && bitmap_is_subset(rest, a) && bitmap_is_subset(b, any));
    MUST(bitmap_meets(a, b) == !bitmap_empty(both) && !bitmap_meets(rest, b));
    bitmap_or(both, rest);
    MUST(bitmap_equal(both, a));
    check_kept(any);
    bitmap_destroy(&both);
    bitmap_destroy(&rest);
    bitmap_destroy(&any);
    ranges_fini(&of_a);
    ranges_fini(&of_b);
    ranges_fini(&of_both);
}

static struct slice take(struct slice *rest, size_t n)
{
    struct slice taken = slice_sub(*rest, 0, n);
    *rest = slice_sub(*rest, n, rest->len);
    return taken;
}

static struct bitmap *make_set(struct slice *rest)
{
    struct bitmap *set = bitmap_create();
    struct ranges naive;
    struct slice head = take(rest, 1);
    size_t changes = head.len > 0 ? (unsigned char)head.data[0] % CHANGES_MAX : 0;
    ranges_init(&naive, 0);
    for (size_t i = 0; i < changes && rest->len >= CHANGE_BYTES; i++) {
        change(set, &naive, (const uint8_t *)take(rest, CHANGE_BYTES).data);
    }
    check_same(set, &naive);
    ranges_fini(&naive);
    return set;
}

/* Where (two octets), and what stands there instead. */
static void damage(struct buf *octets, struct slice how)
{
    while (how.len >= 3 && octets->len > 0) {
        struct slice one = take(&how, 3);
        size_t at = ((size_t)(unsigned char)one.data[0] << 8 | (unsigned char)one.data[1]);
        octets->data[at % octets->len] = one.data[2];
    }
}

static void check_read(struct slice octets, const struct bitmap *set)
{
    struct bitmap *read = bitmap_read(octets);
    if (read != NULL && bitmap_count(read) <= 1 << 20) { /* more is too slow as intervals */
        check_kept(read);
        check_arithmetic(set, read);
        check_arithmetic(read, set);
    }
    bitmap_destroy(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size);
    struct buf octets;
    bool is_raw = size > 0 && data[0] > 127;
    struct bitmap *set = make_set(&rest);
    buf_init(&octets, 0);
    check_kept(set);
    bitmap_write(set, &octets);
    check_read(buf_slice(&octets), set);
    if (is_raw) {
        check_read(rest, set);
    } else {
        damage(&octets, rest);
        check_read(buf_slice(&octets), set);
    }
    buf_fini(&octets);
    bitmap_destroy(&set);
    return 0;
}
