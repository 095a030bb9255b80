#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"

static void adds_and_consumes(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    buf_add_str(&buf, "UIDNEXT ");
    buf_add_u64(&buf, UINT64_MAX);
    buf_printf(&buf, " %d", 42);
    assert_true(slice_eq(buf_slice(&buf), SLICE("UIDNEXT 18446744073709551615 42")));
    buf_consume(&buf, 8);
    buf_truncate(&buf, 2);
    assert_true(slice_eq(buf_slice(&buf), SLICE("18")));
    buf_fini(&buf);
}

static void fails_at_its_maximum_and_stays_failed(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 4);
    buf_add_str(&buf, "1234");
    assert_true(buf_ok(&buf));
    buf_add_char(&buf, '5');
    assert_false(buf_ok(&buf));
    buf_consume(&buf, 4);
    buf_add_char(&buf, '1');
    assert_int_equal(buf.len, 0);
    buf_reset(&buf);
    buf_add_char(&buf, '1');
    assert_true(buf_ok(&buf));
    assert_int_equal(buf.len, 1);
    buf_fini(&buf);
}

static void a_secret_buffer_is_wiped_when_it_is_emptied(void **state)
{
    (void)state;
    struct buf buf;
    buf_init_secret(&buf, 0);
    buf_add_str(&buf, "password");
    const char *data = buf.data;
    buf_truncate(&buf, 2); /* what is cut off counts too */
    buf_reset(&buf);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(data[i], 0);
    }
    for (int i = 0; i < 1000; i++) { /* moved several times */
        buf_add_str(&buf, "0123456789");
    }
    assert_int_equal(buf.len, 10000);
    assert_true(slice_eq(slice_sub(buf_slice(&buf), 9990, 10), SLICE("0123456789")));
    buf_fini(&buf);
    assert_true(buf.is_secret);
}

static void numbers_do_not_overflow(void **state)
{
    (void)state;
    uint64_t v64;
    uint32_t v32;
    assert_true(slice_u64(SLICE("18446744073709551615"), &v64));
    assert_true(v64 == UINT64_MAX);
    assert_false(slice_u64(SLICE("18446744073709551616"), &v64));
    assert_true(slice_u32(SLICE("4294967295"), &v32));
    assert_false(slice_u32(SLICE("4294967296"), &v32));
    assert_false(slice_u32(SLICE(""), &v32));
    assert_false(slice_u32(SLICE("-1"), &v32));
}

static void arena_keeps_its_limit(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1024);
    struct slice copy = arena_copy(&arena, SLICE("subject"));
    assert_true(slice_eq_nocase(copy, SLICE("SUBJECT")));
    assert_null(arena_alloc(&arena, 1100));
    assert_null(arena_alloc(&arena, 1));
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 1024));
    arena_reset(&arena);
    assert_null(arena_array(&arena, SIZE_MAX / 2, 16));
    arena_reset(&arena);
}

static void log_text_of_a_peer_cannot_forge_a_line(void **state)
{
    (void)state;
    assert_string_equal(LOG_Q(SLICE("a\"b\r\nlevel=x")), "\"a\\\"b\\x0d\\x0alevel=x\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_and_consumes),
        cmocka_unit_test(fails_at_its_maximum_and_stays_failed),
        cmocka_unit_test(a_secret_buffer_is_wiped_when_it_is_emptied),
        cmocka_unit_test(numbers_do_not_overflow),
        cmocka_unit_test(arena_keeps_its_limit),
        cmocka_unit_test(log_text_of_a_peer_cannot_forge_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
