/* Complaints in the words that providers were seen to use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "upstream/throttle.h"

static struct throttle read(const char *line)
{
    struct response response;
    const struct unit unit = {.text = slice_str(line)};
    assert_int_equal(response_parse(unit, &response), OK);
    return throttle_of(&response);
}

static void test_t28_complaints(void **state)
{
    static const struct {
        const char *line;
        enum throttle_kind kind;
        uint32_t ms;
    } rows[] = {
        {"a NO [ALERT] Too many simultaneous connections. (Failure)", THROTTLE_CONNECTIONS, 0},
        {"a NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded "
         "(mail_max_userip_connections=10)", THROTTLE_CONNECTIONS, 0},
        {"* BYE Too many connections", THROTTLE_CONNECTIONS, 0},
        {"a OK [THROTTLED] Success", THROTTLE_SLOW, 0},
        {"a BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds", THROTTLE_SLOW, 299961},
        {"* BYE Request is throttled. Suggested Backoff Time: 99999999999 milliseconds", THROTTLE_SLOW,
         15 * 60 * 1000},
        {"a NO [LIMIT] UID FETCH Rate limit hit.", THROTTLE_SLOW, 0},
        {"a NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)", THROTTLE_SLOW, 0},
        {"* BYE [OVERQUOTA] go away", THROTTLE_SLOW, 0},
        {"a NO [OVERQUOTA] Quota exceeded (mailbox for user is full)", THROTTLE_NONE, 0},
        {"a NO [LIMIT] Too many keywords", THROTTLE_NONE, 0},
        {"a OK Too many connections is the subject", THROTTLE_NONE, 0},
        {"a NO [NONEXISTENT] no such mailbox", THROTTLE_NONE, 0},
        /* A mailbox's name, chosen by a client. */
        {"a NO [NONEXISTENT] Mailbox doesn't exist: Rate limit, Suggested Backoff Time: 800000", THROTTLE_NONE, 0},
        {"a NO [TRYCREATE] Mailbox doesn't exist: too many connections", THROTTLE_NONE, 0},
        {"a NO [ALREADYEXISTS] too many connections exists", THROTTLE_NONE, 0},
        {"a NO [CANNOT] Invalid mailbox name: is throttled//", THROTTLE_NONE, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct throttle throttle = read(rows[i].line);
        if (throttle.kind != rows[i].kind || throttle.backoff_ms != rows[i].ms) {
            fail_msg("%s: kind %d, %u ms", rows[i].line, (int)throttle.kind,
                     (unsigned)throttle.backoff_ms);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_t28_complaints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
