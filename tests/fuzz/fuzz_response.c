/* Whatever an upstream says gives a response or an error.  Bytes through the reader; literals of
 * items are streamed when their size is odd.  All helpers are called on whatever comes. */
#include "fuzz.h"
#include "imap/capability.h"
#include "imap/emit.h"
#include "imap/flags.h"
#include "imap/reader.h"
#include "imap/respdata.h"
#include "imap/respfetch.h"

static uint32_t map_odd(void *arg, uint32_t number)
{
    (void)arg;
    return number % 2 != 0 ? number : 0;
}

static void try_fetch(const struct response *r, struct arena *arena)
{
    struct respfetch it;
    struct respfetch_item item;
    respfetch_init(&it, r);
    while (respfetch_next(&it, &item) == OK) {
        struct fetch_name name;
        uint64_t number;
        (void)respfetch_is_filler(&item);
        (void)respfetch_number(&item, &number);
        (void)value_text(&item.value, arena);
        if (fetch_name_parse(item.name, arena, &name) == OK) {
            MUST(name.kind == item.kind);
        }
        if (item.kind == FETCH_FLAGS) {
            struct flag_iter flags;
            unsigned system;
            struct slice flag;
            flag_iter_init(&flags, item.value.raw);
            while (flag_iter_next(&flags, &system, &flag) == OK) {
                MUST(flag.len > 0);
            }
        }
    }
}

static void try_data(const struct response *r, struct arena *arena)
{
    struct ranges set;
    struct buf out;
    struct respdata_list list;
    struct respdata_esearch esearch;
    struct respdata_uidset uids;
    struct status_values values;
    struct slice name;
    const uint32_t *numbers;
    uint64_t number;
    size_t n;
    bool flag;
    enum status st;
    ranges_init(&set, 64);
    buf_init(&out, 1 << 20);
    st = respdata_list(r, arena, &list);
    st = respdata_status(r, arena, &name, &values);
    st = respdata_search(r, &set, &number);
    st = respdata_numbers(r, arena, &numbers, &n);
    st = respdata_esearch(r, &esearch, &set);
    st = respdata_vanished(r, &flag, &set);
    st = respdata_appenduid(r, &uids);
    st = respdata_copyuid(r, &uids);
    st = respdata_modified(r, &set);
    (void)respdata_code_number(r, &number);
    st = respdata_thread_map(r, map_odd, NULL, &out);
    (void)st;
    struct capabilities caps;
    capability_parse(r->code_args, &caps);
    capability_offer(&caps, 0, &out);
    buf_fini(&out);
    ranges_fini(&set);
}

/* What is passed on to a client is one clean line. */
static void try_relay(const struct response *r)
{
    struct buf out;
    buf_init(&out, 0);
    emit_relayed(&out, r);
    MUST(out.len > 0);
    for (size_t i = 0; i < out.len; i++) {
        MUST(out.data[i] >= ' ' && out.data[i] <= 126);
    }
    buf_fini(&out);
}

static void on_line(const struct reader *reader)
{
    struct response r;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    if (response_parse(reader_unit(reader), &r) == OK) {
        try_fetch(&r, &arena);
        try_data(&r, &arena);
        if (r.cond != COND_NONE) {
            try_relay(&r);
        }
    }
    arena_reset(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader;
    struct reader_limits limits = {65536, 131072, 64};
    reader_init(&reader, READER_SERVER, &limits);
    struct slice in = slice_of(data, size);
    size_t used = 0;
    enum reader_event event;
    while ((event = reader_feed(&reader, in, &used)) != READER_MORE) {
        in = slice_sub(in, used, in.len);
        if (event == READER_LITERAL) {
            struct respfetch_pending p;
            enum status st = respfetch_pending(reader_unit(&reader), &p);
            if (st == OK) {
                MUST(p.size == reader.literal.size && p.number > 0);
            }
            if (st == OK && p.size % 2 != 0) {
                reader_stream(&reader);
            } else {
                (void)reader_collect(&reader);
            }
        } else if (event == READER_LINE) {
            on_line(&reader);
            reader_next(&reader);
        } else if (event == READER_LIMIT) {
            if (reader.limit == READER_LIMIT_FRAMING) {
                break;
            }
            reader_next(&reader);
        }
    }
    reader_fini(&reader);
    return 0;
}
