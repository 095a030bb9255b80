#include "net_fixture.h"

static char pattern(size_t i)
{
    return (char)(i * 31 + i / 251);
}

static void append_pattern(struct iobuf *iobuf, size_t from, size_t n)
{
    char *bytes = alloc_array(n, 1);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = pattern(from + i);
    }
    iobuf_append(iobuf, slice_of(bytes, n));
    alloc_free(bytes);
}

/* Consume everything in steps of at most @step; true when it was the pattern from @from on. */
static bool consume_pattern(struct iobuf *iobuf, size_t from, size_t step)
{
    while (iobuf->len > 0) {
        struct slice part = slice_sub(iobuf_peek(iobuf), 0, step);
        if (part.len == 0) {
            return false;
        }
        for (size_t i = 0; i < part.len; i++) {
            if (part.data[i] != pattern(from + i)) {
                return false;
            }
        }
        from += part.len;
        iobuf_consume(iobuf, part.len);
    }
    return true;
}

static void holds_chunks_only_while_it_has_bytes(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    struct iobuf iobuf;
    iobuf_init(&iobuf, loop);
    assert_int_equal(iobuf_chunks_used(loop), 0);
    append_pattern(&iobuf, 0, 1);
    assert_int_equal(iobuf_chunks_used(loop), 1);
    append_pattern(&iobuf, 1, 100000);
    assert_int_equal(iobuf_chunks_used(loop), 7);
    assert_int_equal(iobuf.len, 100001);
    assert_true(consume_pattern(&iobuf, 0, 777));
    assert_int_equal(iobuf_chunks_used(loop), 0);
    assert_int_equal(iobuf_peek(&iobuf).len, 0);
    evloop_destroy(&loop);
}

static void appending_does_not_move_what_was_peeked(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    struct iobuf iobuf;
    iobuf_init(&iobuf, loop);
    append_pattern(&iobuf, 0, 10);
    struct slice before = iobuf_peek(&iobuf);
    append_pattern(&iobuf, 10, 50000);
    assert_ptr_equal(before.data, iobuf_peek(&iobuf).data);
    assert_int_equal(before.data[9], pattern(9));
    iobuf_clear(&iobuf);
    evloop_destroy(&loop);
}

static void gathers_small_pieces(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    struct iobuf iobuf;
    iobuf_init(&iobuf, loop);
    char scratch[IOBUF_CHUNK_BYTES];
    append_pattern(&iobuf, 0, IOBUF_CHUNK_BYTES + 100);
    iobuf_consume(&iobuf, IOBUF_CHUNK_BYTES - 50);
    struct slice got = iobuf_gather(&iobuf, scratch, 120);
    assert_int_equal(got.len, 120);
    for (size_t i = 0; i < got.len; i++) {
        assert_int_equal(got.data[i], pattern(IOBUF_CHUNK_BYTES - 50 + i));
    }
    assert_ptr_equal(iobuf_gather(&iobuf, scratch, 50).data, iobuf_peek(&iobuf).data);
    assert_int_equal(iobuf_gather(&iobuf, scratch, 9999).len, 150);
    iobuf_clear(&iobuf);
    evloop_destroy(&loop);
}

static void room_is_filled_in_order_and_given_back(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    const size_t reads[] = {0, 1, 16383, 16384, 16385, 40000, 65000, 5};
    struct iobuf iobuf;
    iobuf_init(&iobuf, loop);
    size_t total = 0;
    for (size_t r = 0; r < sizeof(reads) / sizeof(reads[0]); r++) {
        struct iovec iov[5];
        int n = iobuf_room(&iobuf, iov, 5);
        assert_int_equal(n, 5);
        size_t left = reads[r];
        for (int i = 0; i < n && left > 0; i++) {
            size_t part = left < iov[i].iov_len ? left : iov[i].iov_len;
            for (size_t k = 0; k < part; k++) {
                ((char *)iov[i].iov_base)[k] = pattern(total++);
            }
            left -= part;
        }
        assert_int_equal(left, 0);
        iobuf_grew(&iobuf, reads[r]);
        assert_int_equal(iobuf.len, total);
        assert_int_equal(iobuf_chunks_used(loop),
                         (total + IOBUF_CHUNK_BYTES - 1) / IOBUF_CHUNK_BYTES);
    }
    assert_true(consume_pattern(&iobuf, 0, 5000));
    evloop_destroy(&loop);
}

static void shared_bytes_live_as_long_as_a_queue_needs_them(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    struct iobuf a;
    struct iobuf b;
    iobuf_init(&a, loop);
    iobuf_init(&b, loop);
    char text[1000];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = pattern(i + 3);
    }
    struct iobuf_shared *shared = iobuf_shared_create(slice_of(text, sizeof(text)));
    struct iobuf_shared *tiny = iobuf_shared_create(slice_of(text, 10));
    append_pattern(&a, 0, 3);
    iobuf_append_shared(&a, shared);
    append_pattern(&a, 1003, 20);
    iobuf_append_shared(&b, tiny);
    iobuf_append_shared(&b, shared);
    iobuf_shared_put(&tiny);
    iobuf_shared_put(&shared);
    assert_null(shared);
    assert_int_equal(iobuf_chunks_used(loop), 3); /* of the own bytes before and behind, and tiny */
    struct iovec iov[8];
    assert_int_equal(iobuf_iov(&a, iov, 8), 3);
    assert_true(consume_pattern(&a, 0, 64));
    assert_int_equal(b.len, 1010);
    iobuf_consume(&b, 10);
    assert_true(consume_pattern(&b, 3, 999));
    evloop_destroy(&loop);
}

static void a_secret_queue_is_wiped_as_it_is_consumed(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    struct iobuf iobuf;
    iobuf_init(&iobuf, loop);
    iobuf.is_secret = true;
    append_pattern(&iobuf, 0, IOBUF_CHUNK_BYTES + 100);
    const char *first = iobuf_peek(&iobuf).data;
    iobuf_consume(&iobuf, 100);
    assert_int_equal(first[0], 0);
    assert_int_equal(first[99], 0);
    assert_int_equal(first[100], pattern(100));
    iobuf_consume(&iobuf, IOBUF_CHUNK_BYTES - 101);
    assert_int_equal(first[IOBUF_CHUNK_BYTES - 2], 0);
    assert_true(consume_pattern(&iobuf, IOBUF_CHUNK_BYTES - 1, 7));
    evloop_destroy(&loop);
}

static void moves_without_copying(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    struct iobuf a;
    struct iobuf b;
    iobuf_init(&a, loop);
    iobuf_init(&b, loop);
    append_pattern(&a, 0, 20);
    append_pattern(&b, 20, 30000);
    const char *data = iobuf_peek(&b).data;
    iobuf_move(&a, &b);
    iobuf_move(&a, &b);
    assert_int_equal(b.len, 0);
    append_pattern(&a, 30020, 10);
    append_pattern(&b, 7, 1);
    struct iovec iov[4];
    assert_int_equal(iobuf_iov(&a, iov, 4), 3);
    assert_ptr_equal(iov[1].iov_base, data);
    assert_true(consume_pattern(&a, 0, 16384));
    assert_true(consume_pattern(&b, 7, 16384));
    evloop_destroy(&loop);
}

static void addresses_parse_and_format(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *formatted; /* NULL: refused */
        bool is_loopback;
    } cases[] = {
        {"127.0.0.1:1143", "127.0.0.1:1143", true},
        {"127.9.9.9:0", "127.9.9.9:0", true},
        {"192.0.2.7:65535", "192.0.2.7:65535", false},
        {"[::1]:993", "[::1]:993", true},
        {"[2001:db8::5]:1", "[2001:db8::5]:1", false},
        {"[::ffff:127.0.0.1]:5", "127.0.0.1:5", true},
        {"[::ffff:128.0.0.1]:5", "128.0.0.1:5", false},
        {"::1:993", NULL, false},
        {"127.0.0.1", NULL, false},
        {"127.0.0.1:", NULL, false},
        {"127.0.0.1:65536", NULL, false},
        {"localhost:143", NULL, false},
        {":143", NULL, false},
        {"[::1:143", NULL, false},
        {"[::1]", NULL, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct netaddr addr;
        char text[NETADDR_TEXT_MAX];
        bool is_good = netaddr_parse(cases[i].text, &addr);
        assert_int_equal(is_good, cases[i].formatted != NULL);
        if (is_good) {
            assert_string_equal(netaddr_format(&addr, text), cases[i].formatted);
            assert_int_equal(netaddr_is_loopback(&addr), cases[i].is_loopback);
        }
    }
    struct netaddr none = {.len = 0};
    char text[NETADDR_TEXT_MAX];
    assert_string_equal(netaddr_format(&none, text), "-");
    assert_string_equal(netaddr_format_host(&none, text), "-");
    assert_false(netaddr_is_loopback(&none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_chunks_only_while_it_has_bytes),
        cmocka_unit_test(appending_does_not_move_what_was_peeked),
        cmocka_unit_test(gathers_small_pieces),
        cmocka_unit_test(room_is_filled_in_order_and_given_back),
        cmocka_unit_test(shared_bytes_live_as_long_as_a_queue_needs_them),
        cmocka_unit_test(a_secret_queue_is_wiped_as_it_is_consumed),
        cmocka_unit_test(moves_without_copying),
        cmocka_unit_test(addresses_parse_and_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
