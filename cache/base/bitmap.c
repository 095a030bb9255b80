#include "base/bitmap.h"

#include <endian.h>
#include <roaring/roaring.h>

#include "base/alloc.h"
#include "base/check.h"

/* The library answers NULL where there was no memory for the head of a set; further inside it does
 * not ask, and the process ends there (SIGSEGV) as it does here.  0.2.66 takes its memory from malloc(),
 * calloc(), realloc() and posix_memalign() itself: nothing can be put in their place. */
struct bitmap {
    roaring_bitmap_t *of;
};

enum { BLOCK = 1024 }; /* members taken out at once */

static struct bitmap *bitmap_of(roaring_bitmap_t *of)
{
    CHECK(of != NULL);
    struct bitmap *bitmap = alloc_zero(sizeof *bitmap);
    bitmap->of = of;
    return bitmap;
}

struct bitmap *bitmap_create(void)
{
    return bitmap_of(roaring_bitmap_create());
}

void bitmap_destroy(struct bitmap **bitmap)
{
    if (*bitmap != NULL) {
        roaring_bitmap_free((*bitmap)->of);
        alloc_free(*bitmap);
        *bitmap = NULL;
    }
}

struct bitmap *bitmap_copy(const struct bitmap *bitmap)
{
    return bitmap_of(roaring_bitmap_copy(bitmap->of));
}

void bitmap_clear(struct bitmap *bitmap)
{
    roaring_bitmap_clear(bitmap->of);
}

void bitmap_add(struct bitmap *bitmap, uint32_t first, uint32_t last)
{
    if (first == last) {
        roaring_bitmap_add(bitmap->of, first);
    } else if (first < last) {
        roaring_bitmap_add_range_closed(bitmap->of, first, last);
    } else {
        roaring_bitmap_add_range_closed(bitmap->of, last, first);
    }
}

/* Not by the library's own way to remove a range: that leaves blocks of bits with so few members that
 * it writes them as what it does not read. */
static void remove_range(struct bitmap *bitmap, uint32_t first, uint32_t last)
{
    uint32_t low = roaring_bitmap_minimum(bitmap->of);
    uint32_t high = roaring_bitmap_maximum(bitmap->of);
    first = first > low ? first : low;
    last = last < high ? last : high;
    if (bitmap_empty(bitmap) || first > last) {
        return;
    }
    roaring_bitmap_t *gone = roaring_bitmap_from_range(first, (uint64_t)last + 1, 1);
    CHECK(gone != NULL);
    roaring_bitmap_andnot_inplace(bitmap->of, gone);
    roaring_bitmap_free(gone);
}

void bitmap_remove(struct bitmap *bitmap, uint32_t first, uint32_t last)
{
    if (first == last) {
        roaring_bitmap_remove(bitmap->of, first);
    } else if (first < last) {
        remove_range(bitmap, first, last);
    } else {
        remove_range(bitmap, last, first);
    }
}

void bitmap_add_array(struct bitmap *bitmap, const uint32_t *values, size_t n)
{
    if (n > 0) {
        roaring_bitmap_add_many(bitmap->of, n, values);
    }
}

void bitmap_add_ranges(struct bitmap *bitmap, const struct ranges *set)
{
    for (size_t i = 0; i < set->n; i++) {
        bitmap_add(bitmap, set->at[i].first, set->at[i].last);
    }
}

/* The end of the run that goes on after @last, found in steps that double: a long run costs little.
 * What is left of it, less than a block, the iterator finds.  (The library's own question, whether
 * it contains a range, ends the process where the range reaches beyond the last container.) */
static uint32_t run_end(const roaring_bitmap_t *of, uint32_t last)
{
    uint32_t step = BLOCK;
    while (step >= BLOCK) {
        if (step <= UINT32_MAX - last &&
            roaring_bitmap_rank(of, last + step) - roaring_bitmap_rank(of, last) == step) {
            last += step;
            step = step <= UINT32_MAX / 2 ? step * 2 : step;
        } else {
            step /= 2;
        }
    }
    return last;
}

void bitmap_to_ranges(const struct bitmap *bitmap, struct ranges *out)
{
    uint32_t block[BLOCK];
    roaring_uint32_iterator_t it;
    roaring_init_iterator(bitmap->of, &it);
    for (uint32_t n; (n = roaring_read_uint32_iterator(&it, block, BLOCK)) > 0;) {
        for (uint32_t i = 0, next; i < n; i = next) {
            for (next = i + 1; next < n && block[next] == block[next - 1] + 1;) {
                next++;
            }
            ranges_add(out, block[i], block[next - 1]);
        }
        if (n == BLOCK && block[n - 1] - block[0] == BLOCK - 1) {
            uint32_t end = run_end(bitmap->of, block[n - 1]);
            ranges_add(out, block[0], end);
            if (end == UINT32_MAX || !roaring_move_uint32_iterator_equalorlarger(&it, end + 1)) {
                break;
            }
        }
    }
}

void bitmap_and(struct bitmap *a, const struct bitmap *b)
{
    if (a != b) {
        roaring_bitmap_and_inplace(a->of, b->of);
    }
}

void bitmap_or(struct bitmap *a, const struct bitmap *b)
{
    if (a != b) {
        roaring_bitmap_or_inplace(a->of, b->of);
    }
}

void bitmap_andnot(struct bitmap *a, const struct bitmap *b)
{
    if (a != b) {
        roaring_bitmap_andnot_inplace(a->of, b->of);
    } else {
        bitmap_clear(a);
    }
}

bool bitmap_has(const struct bitmap *bitmap, uint32_t value)
{
    return roaring_bitmap_contains(bitmap->of, value);
}

bool bitmap_empty(const struct bitmap *bitmap)
{
    return roaring_bitmap_is_empty(bitmap->of);
}

bool bitmap_equal(const struct bitmap *a, const struct bitmap *b)
{
    return roaring_bitmap_equals(a->of, b->of);
}

bool bitmap_is_subset(const struct bitmap *a, const struct bitmap *b)
{
    return roaring_bitmap_is_subset(a->of, b->of);
}

bool bitmap_meets(const struct bitmap *a, const struct bitmap *b)
{
    return roaring_bitmap_intersect(a->of, b->of);
}

uint64_t bitmap_count(const struct bitmap *bitmap)
{
    return roaring_bitmap_get_cardinality(bitmap->of);
}

bool bitmap_min(const struct bitmap *bitmap, uint32_t *out)
{
    *out = roaring_bitmap_minimum(bitmap->of);
    return !bitmap_empty(bitmap);
}

bool bitmap_max(const struct bitmap *bitmap, uint32_t *out)
{
    *out = roaring_bitmap_maximum(bitmap->of);
    return !bitmap_empty(bitmap);
}

bool bitmap_next(const struct bitmap *bitmap, uint32_t from, uint32_t *out)
{
    roaring_uint32_iterator_t it;
    roaring_init_iterator(bitmap->of, &it);
    bool found = roaring_move_uint32_iterator_equalorlarger(&it, from);
    if (found) {
        *out = it.current_value;
    }
    return found;
}

size_t bitmap_bytes(const struct bitmap *bitmap)
{
    roaring_bitmap_run_optimize(bitmap->of);
    return roaring_bitmap_portable_size_in_bytes(bitmap->of);
}

void bitmap_write(const struct bitmap *bitmap, struct buf *out)
{
    size_t size = bitmap_bytes(bitmap);
    char *room = buf_room(out, size);
    if (room != NULL) {
        buf_grew(out, roaring_bitmap_portable_serialize(bitmap->of, room));
    }
}

/* --- the portable format (RoaringFormatSpec) --------------------------------------------------
 * All numbers little-endian:
 *   without runs  u32 12346, u32 n;
 *   with runs     u16 12347, u16 n - 1, a bit for each container: has runs
 *   n times       u16 high half of the members, u16 count - 1
 *   n times       u32 where the container begins; left out with runs and n < 4
 *   containers    with runs: u16 n, n times (u16 first, u16 length - 1);
 *                 count <= 4096: the low halves;  else 65536 bits
 * The library's own check of what it reads counts octets only; its operations trust the order of
 * containers and of their members, and each container's count.  All that is checked here first. */

enum {
    COOKIE_PLAIN = 12346,
    COOKIE_RUNS = 12347,
    NO_OFFSETS_BELOW = 4,
    ARRAY_MAX = 4096,
    BITS_BYTES = 8192
};

/* The library takes a block of bits from nowhere but from its format. */
static void add_bits(struct bitmap *bitmap, uint16_t block, const uint64_t *words, uint32_t count)
{
    struct {
        uint32_t cookie, n;
        uint16_t block, count_less_1;
        uint32_t at;
        uint64_t words[BITMAP_BLOCK_WORDS];
    } octets = {htole32(COOKIE_PLAIN),          htole32(1),  htole16(block),
                htole16((uint16_t)(count - 1)), htole32(16), {0}};
    _Static_assert(sizeof(octets) == 16 + BITS_BYTES, "as the format has it");
    for (size_t i = 0; i < BITMAP_BLOCK_WORDS; i++) {
        octets.words[i] = htole64(words[i]);
    }
    roaring_bitmap_t *of =
        roaring_bitmap_portable_deserialize_safe((const char *)&octets, sizeof(octets));
    CHECK(of != NULL);
    roaring_bitmap_or_inplace(bitmap->of, of);
    roaring_bitmap_free(of);
}

void bitmap_add_block(struct bitmap *bitmap, uint16_t block,
                      const uint64_t words[BITMAP_BLOCK_WORDS])
{
    uint32_t values[ARRAY_MAX];
    uint32_t count = 0;
    for (size_t i = 0; i < BITMAP_BLOCK_WORDS; i++) {
        count += (uint32_t)__builtin_popcountll(words[i]);
    }
    if (count > ARRAY_MAX) {
        add_bits(bitmap, block, words, count);
        return;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; n < count; i++) {
        for (uint64_t word = words[i]; word != 0; word &= word - 1) {
            values[n++] = (uint32_t)block << 16 | i << 6 | (uint32_t)__builtin_ctzll(word);
        }
    }
    bitmap_add_array(bitmap, values, n);
}

/* --- reading ---------------------------------------------------------------------------------- */

struct input {
    const unsigned char *data;
    size_t len;
    size_t at;
    bool failed; /* sticky: what is read after it is 0 */
};

static const unsigned char *take(struct input *in, size_t n)
{
    if (in->failed || in->len - in->at < n) {
        in->failed = true;
        return NULL;
    }
    in->at += n;
    return in->data + in->at - n;
}

static uint32_t take_u16(struct input *in)
{
    const unsigned char *p = take(in, 2);
    return p != NULL ? p[0] | (uint32_t)p[1] << 8 : 0;
}

static uint32_t take_u32(struct input *in)
{
    uint32_t low = take_u16(in);
    return low | take_u16(in) << 16;
}

static bool array_is_sound(struct input *in, uint32_t count)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t value = take_u16(in);
        if (in->failed || (i > 0 && value <= before)) {
            return false;
        }
        before = value;
    }
    return true;
}

static bool bits_are_sound(struct input *in, uint32_t count)
{
    const unsigned char *bits = take(in, BITS_BYTES);
    uint32_t n = 0;
    for (size_t i = 0; bits != NULL && i < BITS_BYTES; i++) {
        n += (uint32_t)__builtin_popcount(bits[i]);
    }
    return bits != NULL && n == count;
}

static bool runs_are_sound(struct input *in, uint32_t count)
{
    uint32_t n = take_u16(in);
    uint32_t total = 0;
    uint32_t free_from = 0; /* where the next run may begin at the earliest: runs do not touch */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t first = take_u16(in);
        uint32_t last = first + take_u16(in);
        if (in->failed || first < free_from || last > UINT16_MAX) {
            return false;
        }
        total += last - first + 1;
        free_from = last + 2;
    }
    return !in->failed && total == count;
}

static bool container_is_sound(struct input *in, uint32_t count, bool has_runs)
{
    if (has_runs) {
        return runs_are_sound(in, count);
    }
    return count <= ARRAY_MAX ? array_is_sound(in, count) : bits_are_sound(in, count);
}

static bool containers_are_sound(struct input *in, uint32_t n, const unsigned char *run_bits)
{
    struct input heads = {.data = take(in, (size_t)n * 4), .len = (size_t)n * 4};
    struct input offsets = {.len = 0};
    bool has_offsets = run_bits == NULL || n >= NO_OFFSETS_BELOW;
    if (has_offsets) {
        offsets = (struct input){.data = take(in, (size_t)n * 4), .len = (size_t)n * 4};
    }
    uint32_t before = 0;
    for (uint32_t i = 0; i < n && !in->failed; i++) {
        uint32_t key = take_u16(&heads);
        uint32_t count = take_u16(&heads) + 1;
        if ((i > 0 && key <= before) || (has_offsets && take_u32(&offsets) != in->at)) {
            return false;
        }
        before = key;
        bool has_runs = run_bits != NULL && (run_bits[i / 8] >> i % 8 & 1) != 0;
        if (!container_is_sound(in, count, has_runs)) {
            return false;
        }
    }
    return !in->failed && in->at == in->len;
}

static bool is_sound(struct slice octets)
{
    struct input in = {.data = (const unsigned char *)octets.data, .len = octets.len};
    uint32_t cookie = take_u16(&in);
    uint32_t high = take_u16(&in);
    if (cookie == COOKIE_RUNS) {
        uint32_t n = high + 1;
        const unsigned char *run_bits = take(&in, (n + 7) / 8);
        return run_bits != NULL && containers_are_sound(&in, n, run_bits);
    }
    uint32_t n = take_u32(&in);
    return cookie == COOKIE_PLAIN && high == 0 && n <= UINT16_MAX + 1 && !in.failed &&
           containers_are_sound(&in, n, NULL);
}

struct bitmap *bitmap_read(struct slice octets)
{
    if (!is_sound(octets)) {
        return NULL;
    }
    roaring_bitmap_t *of = roaring_bitmap_portable_deserialize_safe(octets.data, octets.len);
    return of != NULL ? bitmap_of(of) : NULL;
}
