/* Telling the store's reader where a FETCH goes next, so that the loop finds the pages in memory:
 * of large literals always, of many messages only while the disk is being waited for. */
#include "fetch_p.h"
#include "store/reader.h"

enum {
    LITERAL_AHEAD = 1024 * 1024,
    WINDOW_RECORDS = 1024, /* messages */
    WINDOW_BODIES_BYTES = 4 * 1024 * 1024,
    WINDOW_BODIES_MIN = 4,
    WINDOW_BODIES_MAX = 256,
    WINDOW_PARTS = 16, /* of the client's set: each is a request */
    BODY_BYTES = 64 * 1024,
    BODY_BYTES_MAX = 1024 * 1024,
};

void fetch__read_literal(struct fetch_work *work)
{
    struct literal *literal = &work->literal;
    struct store *store = work->session->env->store;
    bool is_asked = literal->ahead >= literal->end || literal->ahead > literal->at + LITERAL_AHEAD;
    bool is_large = literal->ahead > 0 || literal->end - literal->at > LITERAL_AHEAD;
    if (literal->value != NULL || is_asked || (!is_large && !store_is_cold(store))) {
        return;
    }
    uint64_t from = literal->ahead > literal->at ? literal->ahead : literal->at;
    uint64_t left = literal->end - from;
    uint64_t n = left < LITERAL_AHEAD ? left : LITERAL_AHEAD;
    store_readahead_content(store, &literal->cached.content, literal->cached.offset + from, n);
    literal->ahead = from + n;
}

/* Octets of each body, and how many messages make a window. */
static uint64_t body_bytes(const struct fetch_work *work, uint32_t *window_out)
{
    uint64_t mean = work->session->body_bytes_mean;
    if (!work->wants_bodies) {
        *window_out = WINDOW_RECORDS;
        return 0;
    }
    mean = mean > BODY_BYTES ? mean : BODY_BYTES;
    mean = mean < BODY_BYTES_MAX ? mean : BODY_BYTES_MAX;
    uint64_t n = WINDOW_BODIES_BYTES / (work->session->body_bytes_mean + 1);
    n = n > WINDOW_BODIES_MIN ? n : WINDOW_BODIES_MIN;
    *window_out = n < WINDOW_BODIES_MAX ? (uint32_t)n : WINDOW_BODIES_MAX;
    return mean;
}

/* The first part of the set that ends at or after @uid. */
static size_t part_at(const struct ranges *uids, uint32_t uid)
{
    size_t low = 0;
    size_t high = uids->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (uids->at[middle].last < uid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Two windows ahead: when the first message of the one asked last is reached, the next is asked. */
void fetch__read_messages(struct fetch_work *work)
{
    struct store *store = work->session->env->store;
    uint32_t at = work->message.uid;
    uint32_t left;
    if (!work->wants_values || !store_is_cold(store) || at < work->read_mark ||
        work->read_uid == UINT32_MAX) {
        return;
    }
    uint64_t bytes = body_bytes(work, &left);
    uint32_t from = work->read_uid >= at ? work->read_uid + 1 : at;
    size_t part = part_at(&work->uids, from);
    work->read_uid = UINT32_MAX; /* unless there is something */
    for (size_t n = 0; part < work->uids.n && n < WINDOW_PARTS && left > 0; part++, n++) {
        struct range uids = work->uids.at[part];
        uids.first = uids.first > from ? uids.first : from;
        if (uids.last - uids.first >= left) {
            uids.last = uids.first + left - 1;
        }
        left -= uids.last - uids.first + 1;
        store_readahead_records(store, feed_store_id(work->session->feed), uids.first, uids.last,
                                bytes);
        work->read_mark = n == 0 ? uids.first : work->read_mark;
        work->read_uid = uids.last;
    }
}
