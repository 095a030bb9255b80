#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/log.h"
#include "net_fixture.h"

static int raw_connect(const struct netaddr *to)
{
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    (void)connect(fd, &to->sa, to->len);
    return fd;
}

struct takes {
    int n;
    int fd;
    struct netaddr peer;
    struct listener **destroys;
};

static void on_take(void *arg, int fd, const struct netaddr *peer)
{
    struct takes *takes = arg;
    takes->n++;
    takes->fd = fd;
    takes->peer = *peer;
    if (takes->destroys != NULL) {
        listener_destroy(takes->destroys);
    }
}

static void v4_and_v6_ports_are_separate(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct takes takes = {0};
    struct netaddr addr;
    struct fail fail = {0};
    struct listener *v6 = NULL;
    assert_true(netaddr_parse("[::1]:0", &addr));
    if (listener_create(w->loop, &addr, on_take, &takes, &v6, &fail) != OK) {
        print_message("no IPv6 here: %s\n", fail.text);
        world_destroy(w);
        return;
    }
    int fd = raw_connect(listener_addr(v6));
    WAIT(w, takes.n == 1);
    assert_int_equal(takes.peer.sa.sa_family, AF_INET6);
    assert_true(netaddr_is_loopback(&takes.peer));
    assert_true((fcntl(takes.fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(takes.fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(close(takes.fd), 0);
    assert_int_equal(close(fd), 0);
    listener_destroy(&v6);
    world_destroy(w);
}

static void a_port_in_use_is_told(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct takes takes = {0};
    struct fail fail = {0};
    struct listener *second = NULL;
    assert_int_equal(
        listener_create(w->loop, listener_addr(w->listener), on_take, &takes, &second, &fail),
        NETWORK);
    assert_non_null(strstr(fail.text, "Address already in use"));
    assert_null(second);
    world_destroy(w);
}

static void paused_listeners_leave_connections_waiting(void **state)
{
    (void)state;
    struct world *w = world_create();
    listener_set_paused(w->listener, true);
    int fd = raw_connect(listener_addr(w->listener));
    world_rest_ms(w, 40);
    assert_int_equal(w->accepted_n, 0);
    listener_set_paused(w->listener, false);
    WAIT(w, w->accepted_n == 1);
    assert_int_equal(close(fd), 0);
    world_destroy(w);
}

static void may_be_destroyed_in_its_callback(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct netaddr addr;
    struct fail fail = {0};
    struct listener *l = NULL;
    struct takes takes = {.destroys = &l};
    assert_true(netaddr_parse("127.0.0.1:0", &addr));
    assert_int_equal(listener_create(w->loop, &addr, on_take, &takes, &l, &fail), OK);
    struct netaddr to = *listener_addr(l);
    int a = raw_connect(&to);
    int b = raw_connect(&to);
    WAIT(w, takes.n > 0);
    world_rest_ms(w, 20);
    assert_int_equal(takes.n, 1);
    assert_null(l);
    assert_int_equal(close(takes.fd), 0);
    assert_int_equal(close(a), 0);
    assert_int_equal(close(b), 0);
    world_destroy(w);
}

static void rests_when_out_of_descriptors(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct rlimit limit;
    struct rlimit tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int fd = raw_connect(listener_addr(w->listener));
    tight = limit;
    tight.rlim_cur = (rlim_t)fd + 1; /* no descriptor more */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    log_set_level(LOG_ERROR);
    uint64_t turns = 0;
    uint64_t end = clock_mono_ms() + 150;
    while (clock_mono_ms() < end) {
        world_turn(w);
        turns++;
    }
    log_set_level(LOG_INFO);
    assert_int_equal(w->accepted_n, 0);
    assert_true(turns < 100); /* it does not spin */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    WAIT(w, w->accepted_n == 1);
    assert_int_equal(close(fd), 0);
    world_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v4_and_v6_ports_are_separate),
        cmocka_unit_test(a_port_in_use_is_told),
        cmocka_unit_test(paused_listeners_leave_connections_waiting),
        cmocka_unit_test(may_be_destroyed_in_its_callback),
        cmocka_unit_test(rests_when_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
