#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/changelog.h"

static void test_grows_to_its_maximum_and_no_further(void **state)
{
    (void)state;
    struct changelog log;
    changelog_init(&log, 100); /* 128 */
    for (uint32_t i = 0; i < 128; i++) {
        assert_true(changelog_reserve(&log, 1));
        changelog_add(&log, (enum change)(i % 4), 1000 + i);
    }
    assert_false(changelog_reserve(&log, 1));
    assert_false(changelog_reserve(&log, SIZE_MAX));
    for (uint32_t i = 0; i < 128; i++) {
        assert_int_equal(changelog_uid(&log, i), 1000 + i);
        assert_int_equal(changelog_change(&log, i), i % 4);
    }
    changelog_fini(&log);
}

static void test_positions_go_on_when_it_wraps_and_grows(void **state)
{
    (void)state;
    struct changelog log;
    changelog_init(&log, 1024);
    uint32_t uid = 0;
    for (int round = 0; round < 400; round++) {
        size_t n = (size_t)(round % 37) + (round == 200 ? 900 : 0);
        assert_true(changelog_reserve(&log, n));
        uint64_t from = log.end;
        for (size_t i = 0; i < n; i++) {
            changelog_add(&log, CHANGE_FLAGS, UINT32_MAX - uid++);
        }
        for (uint64_t p = log.first; p < log.end; p++) {
            assert_int_equal(changelog_uid(&log, p), UINT32_MAX - (uint32_t)p);
        }
        changelog_forget(&log, from);
        assert_int_equal(log.first, from);
    }
    changelog_forget(&log, 0); /* never backwards */
    uint64_t end = log.end;
    changelog_fini(&log);
    assert_int_equal(log.first, end);
    assert_true(changelog_reserve(&log, 1));
    changelog_add(&log, CHANGE_VANISHED, 7);
    assert_int_equal(changelog_uid(&log, end), 7);
    changelog_forget(&log, UINT64_MAX);
    assert_int_equal(log.first, log.end);
    changelog_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_to_its_maximum_and_no_further),
        cmocka_unit_test(test_positions_go_on_when_it_wraps_and_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
