#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "peers.h"

static struct netaddr addr_of(const char *text)
{
    struct netaddr addr;
    assert_true(netaddr_parse(text, &addr));
    return addr;
}

static void sessions_are_counted_by_address_without_port(void **state)
{
    (void)state;
    struct peers peers = {0};
    struct netaddr first = addr_of("192.0.2.1:1000");
    struct netaddr again = addr_of("192.0.2.1:2000");
    struct netaddr mapped = addr_of("[::ffff:192.0.2.1]:3000");
    struct netaddr other = addr_of("[2001:db8::1]:1000");
    assert_int_equal(peers_count(&peers, &first), 0);
    peers_add(&peers, &first);
    peers_add(&peers, &again);
    peers_add(&peers, &mapped);
    peers_add(&peers, &other);
    assert_int_equal(peers_count(&peers, &first), 3);
    assert_int_equal(peers_count(&peers, &other), 1);
    peers_remove(&peers, &first);
    peers_remove(&peers, &first);
    assert_int_equal(peers_count(&peers, &mapped), 1);
    peers_remove(&peers, &first);
    peers_remove(&peers, &other);
    assert_int_equal(peers_count(&peers, &first), 0);
    assert_null(peers.by_host); /* nothing is kept of who has gone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_are_counted_by_address_without_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
