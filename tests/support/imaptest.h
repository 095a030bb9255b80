#ifndef SUPPORT_IMAPTEST_H
#define SUPPORT_IMAPTEST_H
/* Shorthands for tests of the imap layer: one arena per test, and text compared as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct arena test_arena;

static inline int test_setup(void **state)
{
    (void)state;
    arena_init(&test_arena, 4 * 1024 * 1024);
    return 0;
}

static inline int test_teardown(void **state)
{
    (void)state;
    arena_reset(&test_arena);
    return 0;
}

/* NUL-terminated copy, in the arena. */
static inline const char *cstr(struct slice text)
{
    return arena_string(&test_arena, text);
}

#define ASSERT_TEXT(slice, text) assert_string_equal(cstr(slice), text)
#define TEST(f) cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)

#endif
