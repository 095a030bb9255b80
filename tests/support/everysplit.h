#ifndef SUPPORT_EVERYSPLIT_H
#define SUPPORT_EVERYSPLIT_H
/* Feeds one input whole, byte by byte, cut in two at each offset, and in pieces of every small
 * size; what the parser under test reports must be the same each time.  The report is text that
 * `run` writes: events and values, never how many pieces something came in. */
#include <string.h>

#include "base/buf.h"

/* Make a fresh parser, feed it pieces[0..n), write what it said into @trace. */
typedef void (*everysplit_run_fn)(void *arg, const struct slice *pieces, size_t n,
                                  struct buf *trace);

/* What the run said when it was fed at @cut and then every @size octets. */
static inline void everysplit_one(everysplit_run_fn run, void *arg, struct slice input, size_t cut,
                                  size_t size, struct buf *trace)
{
    /* Every piece lives in memory of its own size, so that a sanitizer sees any step beyond it. */
    struct buf store[1024];
    struct slice pieces[1024];
    size_t n = 0;
    size_t from = 0;
    while (from < input.len && n < 1024) {
        size_t want = from == 0 && cut > 0 ? cut : size;
        struct slice piece = slice_sub(input, from, n == 1023 ? input.len : want);
        buf_init(&store[n], piece.len);
        buf_add(&store[n], piece);
        pieces[n] = buf_slice(&store[n]);
        from += piece.len;
        n++;
    }
    buf_reset(trace);
    run(arg, pieces, n, trace);
    for (size_t i = 0; i < n; i++) {
        buf_fini(&store[i]);
    }
}

/* True when all splits say the same; else @got holds what the first other one said,
 * @want what the whole input gave. */
static inline bool everysplit_same(everysplit_run_fn run, void *arg, struct slice input,
                                   struct buf *want, struct buf *got)
{
    everysplit_one(run, arg, input, 0, input.len > 0 ? input.len : 1, want);
    for (size_t size = 1; size <= 7; size++) {
        everysplit_one(run, arg, input, 0, size, got);
        if (!slice_eq(buf_slice(want), buf_slice(got))) {
            return false;
        }
    }
    for (size_t cut = 1; cut < input.len; cut++) {
        everysplit_one(run, arg, input, cut, input.len, got);
        if (!slice_eq(buf_slice(want), buf_slice(got))) {
            return false;
        }
    }
    return true;
}

#endif
