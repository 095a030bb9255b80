#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum { BUF_FIRST = 128, BUF_KEEP = 64 * 1024 };

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_init_secret(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max, .is_secret = true};
}

static void wipe(struct buf *buf)
{
    if (buf->is_secret && buf->data != NULL) {
        explicit_bzero(buf->data, buf->cap);
    }
}

void buf_fini(struct buf *buf)
{
    wipe(buf);
    alloc_free(buf->data);
    *buf = (struct buf){.max = buf->max, .is_secret = buf->is_secret};
}

void buf_reset(struct buf *buf)
{
    if (buf->cap > BUF_KEEP) {
        buf_fini(buf);
    } else {
        wipe(buf);
    }
    buf->len = 0;
    buf->failed = false;
}

bool buf_ok(const struct buf *buf)
{
    return !buf->failed;
}

struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->data, buf->len};
}

/* realloc() would leave a copy where the octets were. */
static char *move_secret(struct buf *buf, size_t cap)
{
    char *moved = alloc_zero(cap);
    if (buf->len > 0) {
        memcpy(moved, buf->data, buf->len);
    }
    wipe(buf);
    alloc_free(buf->data);
    return moved;
}

char *buf_room(struct buf *buf, size_t n)
{
    if (buf->failed || n > SIZE_MAX / 4 - buf->len ||
        (buf->max != 0 && buf->len + n > buf->max)) {
        buf->failed = true;
        return NULL;
    }
    size_t need = buf->len + n;
    if (need > buf->cap) {
        size_t cap = buf->cap > 0 ? buf->cap : BUF_FIRST;
        while (cap < need) {
            cap *= 2;
        }
        if (buf->max != 0 && cap > buf->max) {
            cap = buf->max;
        }
        buf->data = buf->is_secret ? move_secret(buf, cap) : alloc_resize(buf->data, cap, 1);
        buf->cap = cap;
    }
    return buf->data + buf->len;
}

void buf_grew(struct buf *buf, size_t n)
{
    CHECK(n <= buf->cap - buf->len);
    buf->len += n;
}

void buf_add(struct buf *buf, struct slice bytes)
{
    if (bytes.len == 0) {
        return;
    }
    char *room = buf_room(buf, bytes.len);
    if (room != NULL) {
        memcpy(room, bytes.data, bytes.len);
        buf->len += bytes.len;
    }
}

void buf_add_str(struct buf *buf, const char *text)
{
    buf_add(buf, slice_str(text));
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, (struct slice){&c, 1});
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_add(buf, (struct slice){digits + at, sizeof(digits) - at});
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *room = buf_room(buf, (size_t)n + 1); /* vsnprintf ends with a NUL */
    if (room != NULL) {
        (void)vsnprintf(room, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

void buf_truncate(struct buf *buf, size_t len)
{
    CHECK(len <= buf->len);
    buf->len = len;
}

void buf_consume(struct buf *buf, size_t n)
{
    CHECK(n <= buf->len);
    if (n > 0 && n < buf->len) {
        memmove(buf->data, buf->data + n, buf->len - n);
    }
    buf->len -= n;
}
