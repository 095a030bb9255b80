#include <sys/socket.h>

#include "net_fixture.h"

/* --- a name server of our own --- */

struct name_server {
    int fd;
    char where[32];
    unsigned asked_n;
};

static void name_server_start(struct name_server *ns, struct world *w)
{
    struct netaddr addr;
    char text[NETADDR_TEXT_MAX];
    assert_true(netaddr_parse("127.0.0.1:0", &addr));
    ns->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(ns->fd, &addr.sa, addr.len), 0);
    assert_int_equal(getsockname(ns->fd, &addr.sa, &addr.len), 0);
    (void)snprintf(ns->where, sizeof(ns->where), "%s", netaddr_format(&addr, text));
    assert_int_equal(resolver_set_servers(w->resolver, ns->where), OK);
    ns->asked_n = 0;
}

static size_t put_record(unsigned char *at, unsigned char last_octet)
{
    const unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, last_octet};
    memcpy(at, record, sizeof(record));
    return sizeof(record);
}

/* "two.*" is 127.0.0.2 and 127.0.0.1, "silent.*" gets no answer, anything else does not exist. */
static void name_server_serve(struct name_server *ns)
{
    unsigned char msg[512];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t n;
    while ((n = recvfrom(ns->fd, msg, 300, 0, (struct sockaddr *)&from, &from_len)) > 20) {
        ns->asked_n++;
        size_t end = 12;
        while (msg[end] != 0) {
            end += msg[end] + 1U;
        }
        bool is_a = msg[end + 2] == 1;
        end += 5;
        if (memcmp(msg + 13, "silent", 6) == 0) {
            continue;
        }
        bool is_two = memcmp(msg + 13, "two", 3) == 0;
        memset(msg + 6, 0, 6); /* no records but the question */
        msg[2] = 0x81;
        msg[3] = is_two ? 0x80 : 0x83;
        if (is_two && is_a) {
            msg[7] = 2;
            end += put_record(msg + end, 2);
            end += put_record(msg + end, 1);
        }
        (void)sendto(ns->fd, msg, end, 0, (struct sockaddr *)&from, from_len);
    }
}

#define WAIT_SERVING(w, ns, condition) WAIT(w, (name_server_serve(ns), (condition)))

/* --- resolving --- */

struct answer {
    int n;
    struct lookup_result result;
};

static void on_answer(void *arg, const struct lookup_result *result)
{
    struct answer *answer = arg;
    answer->n++;
    answer->result = *result;
}

static struct lookup *look_up(struct world *w, const char *host, uint32_t timeout_ms,
                              struct answer *answer)
{
    struct lookup_request request = {
        .host = host, .port = 993, .timeout_ms = timeout_ms, .fn = on_answer, .arg = answer};
    return resolver_lookup(w->resolver, &request);
}

static void literals_need_no_network(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"192.0.2.4", "192.0.2.4:993"},
                                           {"2001:db8::1", "[2001:db8::1]:993"},
                                           {"[::1]", "[::1]:993"}};
    struct world *w = world_create();
    for (int i = 0; i < 3; i++) {
        struct answer answer = {0};
        (void)look_up(w, texts[i][0], 1000, &answer);
        assert_int_equal(answer.n, 0); /* never inside the call */
        WAIT(w, answer.n == 1);
        assert_int_equal(answer.result.status, OK);
        assert_int_equal(answer.result.addrs_n, 1);
        char text[NETADDR_TEXT_MAX];
        assert_string_equal(netaddr_format(&answer.result.addrs[0], text), texts[i][1]);
    }
    world_destroy(w);
}

static void localhost_is_found_in_hosts(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct answer answer = {0};
    (void)look_up(w, "localhost", 5000, &answer);
    assert_int_equal(answer.n, 0);
    WAIT(w, answer.n == 1);
    assert_int_equal(answer.result.status, OK);
    assert_true(answer.result.addrs_n >= 1);
    for (int i = 0; i < answer.result.addrs_n; i++) {
        assert_true(netaddr_is_loopback(&answer.result.addrs[i]));
        assert_int_equal(netaddr_port(&answer.result.addrs[i]), 993);
    }
    world_rest_ms(w, 30);
    assert_int_equal(answer.n, 1);
    world_destroy(w);
}

static void canceled_lookups_never_answer(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct answer answer = {0};
    struct lookup *literal = look_up(w, "127.0.0.1", 1000, &answer);
    struct lookup *hosts = look_up(w, "localhost", 1000, &answer);
    struct lookup *unknown = look_up(w, "host.invalid", 1000, &answer);
    lookup_cancel(&literal);
    lookup_cancel(&hosts);
    lookup_cancel(&unknown);
    assert_null(unknown);
    world_rest_ms(w, 60);
    assert_int_equal(answer.n, 0);
    (void)look_up(w, "other.invalid", 1000, &answer); /* destroying cancels */
    resolver_destroy(&w->resolver);
    world_rest_ms(w, 30);
    assert_int_equal(answer.n, 0);
    world_destroy(w);
}

static void unknown_names_fail_in_time(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct answer answer = {0};
    uint64_t start = clock_mono_ms();
    (void)look_up(w, "host.invalid", 300, &answer);
    WAIT(w, answer.n == 1);
    assert_true(clock_mono_ms() - start < 3000);
    assert_int_not_equal(answer.result.status, OK);
    assert_non_null(strstr(answer.result.fail.text, "host.invalid"));
    world_rest_ms(w, 400);
    assert_int_equal(answer.n, 1);
    world_destroy(w);
}

/* --- dialing --- */

static uint16_t free_port(void)
{
    struct netaddr addr;
    assert_true(netaddr_parse("127.0.0.1:0", &addr));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
    assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
    assert_int_equal(close(fd), 0);
    return netaddr_port(&addr);
}

static struct side *dial(struct world *w, const char *host, uint16_t port, uint32_t address_ms,
                         uint32_t total_ms)
{
    struct side *side = side_create(w);
    struct conn_dial_opts opts = {.resolver = w->resolver,
                                  .host = host,
                                  .port = port,
                                  .address_timeout_ms = address_ms,
                                  .total_timeout_ms = total_ms};
    side->conn = conn_dial(w->loop, &opts, side_on_event, side);
    return side;
}

static void a_refused_connection_is_told(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint16_t port = free_port();
    struct side *side = dial(w, "localhost", port, 0, 0);
    char name[32];
    (void)snprintf(name, sizeof(name), "localhost:%u", (unsigned)port);
    assert_string_equal(conn_peer_name(side->conn), name);
    WAIT(w, side->is_failed);
    assert_string_equal(side->log, "F");
    assert_int_equal(side->fail_status, NETWORK);
    assert_non_null(strstr(side->fail_text, "Connection refused"));
    side_destroy(side);
    world_destroy(w);
}

static void unresolvable_names_fail_the_dial(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct side *side = dial(w, "host.invalid", 143, 0, 300);
    WAIT(w, side->is_failed);
    assert_string_equal(side->log, "F");
    assert_true(side->fail_status == NOT_FOUND || side->fail_status == TIMEOUT ||
                side->fail_status == NETWORK);
    side_destroy(side);
    world_destroy(w);
}

/* A listening socket whose queue is full lets connections hang, as a dead address does. */
static int hanging_port(uint16_t *port_out, int fill[8])
{
    struct netaddr addr;
    assert_true(netaddr_parse("127.0.0.1:0", &addr));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
    *port_out = netaddr_port(&addr);
    for (int i = 0; i < 8; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fill[i], &addr.sa, addr.len);
    }
    return fd;
}

static void an_address_that_hangs_is_given_up(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint16_t port;
    int fill[8];
    int fd = hanging_port(&port, fill);
    struct side *by_address = dial(w, "127.0.0.1", port, 600, 0);
    struct side *by_total = dial(w, "127.0.0.1", port, 0, 600);
    struct side *canceled = dial(w, "127.0.0.1", port, 0, 0);
    world_rest_ms(w, 30);
    assert_int_equal(by_address->log_n + by_total->log_n, 0);
    conn_close(&canceled->conn, CONN_CLOSE_FLUSH);
    WAIT(w, by_address->is_failed && by_total->is_failed);
    assert_int_equal(by_address->fail_status, TIMEOUT);
    assert_non_null(strstr(by_address->fail_text, "no answer"));
    assert_int_equal(by_total->fail_status, TIMEOUT);
    assert_int_equal(canceled->log_n, 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(close(fill[i]), 0);
    }
    assert_int_equal(close(fd), 0);
    side_destroy(by_address);
    side_destroy(by_total);
    side_destroy(canceled);
    world_destroy(w);
}

static void closing_while_resolving_or_connecting_ends_it(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct name_server ns; /* never answers */
    name_server_start(&ns, w);
    struct side *sides[4];
    sides[0] = dial(w, "host.invalid", 143, 0, 0);
    sides[1] = dial(w, "localhost", w->port, 0, 0);
    sides[2] = dial(w, "127.0.0.1", w->port, 0, 0);
    sides[3] = dial(w, "host.invalid", 143, 0, 0);
    world_turn(w); /* some are under way now */
    conn_close(&sides[0]->conn, CONN_CLOSE_ABORT);
    conn_close(&sides[1]->conn, CONN_CLOSE_ABORT);
    conn_close(&sides[2]->conn, CONN_CLOSE_FLUSH);
    size_t told = sides[1]->log_n + sides[2]->log_n;
    world_rest_ms(w, 60);
    assert_int_equal(sides[0]->log_n, 0);
    assert_int_equal(sides[1]->log_n + sides[2]->log_n, told);
    for (int i = 0; i < 4; i++) {
        side_destroy(sides[i]);
    }
    world_destroy(w);
    assert_int_equal(close(ns.fd), 0);
}

static void names_are_asked_of_the_name_server(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct name_server ns;
    name_server_start(&ns, w);
    assert_int_equal(resolver_set_servers(w->resolver, "not an address"), SYNTAX);
    struct answer two = {0};
    struct answer none = {0};
    struct answer silent = {0};
    struct answer canceled = {0};
    (void)look_up(w, "two.example.org", 5000, &two);
    (void)look_up(w, "none.example.org", 5000, &none);
    (void)look_up(w, "silent.example.org", 200, &silent);
    struct lookup *lookup = look_up(w, "two.example.net", 5000, &canceled);
    WAIT_SERVING(w, &ns, ns.asked_n >= 4);
    lookup_cancel(&lookup); /* its answer is on its way */
    WAIT_SERVING(w, &ns, two.n == 1 && none.n == 1 && silent.n == 1);
    assert_int_equal(two.result.status, OK);
    assert_int_equal(two.result.addrs_n, 2);
    assert_int_equal(none.result.status, NOT_FOUND);
    assert_int_equal(silent.result.status, TIMEOUT);
    world_rest_ms(w, 50);
    assert_int_equal(canceled.n, 0);
    assert_int_equal(two.n + none.n + silent.n, 3);
    world_destroy(w);
    assert_int_equal(close(ns.fd), 0);
}

static void the_next_address_is_tried(void **state)
{
    (void)state;
    struct world *w = world_create(); /* listens on 127.0.0.1 alone */
    struct name_server ns;
    name_server_start(&ns, w);
    struct side *side = dial(w, "two.example.org", w->port, 0, 0);
    WAIT_SERVING(w, &ns, side->log_n > 0);
    assert_string_equal(side->log, "O");
    char name[32];
    (void)snprintf(name, sizeof(name), "127.0.0.1:%u", (unsigned)w->port);
    assert_string_equal(conn_peer_name(side->conn), name);
    side_destroy(side);
    side = dial(w, "two.example.org", free_port(), 0, 0);
    WAIT_SERVING(w, &ns, side->log_n > 0);
    assert_string_equal(side->log, "F");
    assert_non_null(strstr(side->fail_text, "Connection refused"));
    side_destroy(side);
    side = dial(w, "silent.example.org", w->port, 0, 100);
    WAIT_SERVING(w, &ns, side->log_n > 0);
    assert_int_equal(side->fail_status, TIMEOUT);
    side_destroy(side);
    world_destroy(w);
    assert_int_equal(close(ns.fd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_need_no_network),
        cmocka_unit_test(localhost_is_found_in_hosts),
        cmocka_unit_test(canceled_lookups_never_answer),
        cmocka_unit_test(unknown_names_fail_in_time),
        cmocka_unit_test(a_refused_connection_is_told),
        cmocka_unit_test(unresolvable_names_fail_the_dial),
        cmocka_unit_test(an_address_that_hangs_is_given_up),
        cmocka_unit_test(closing_while_resolving_or_connecting_ends_it),
        cmocka_unit_test(names_are_asked_of_the_name_server),
        cmocka_unit_test(the_next_address_is_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
