#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "net_fixture.h"

static void dialing_and_accepting_report_open_first(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct side *server;
    struct side *client = world_pair(w, &server);
    char name[32];
    (void)snprintf(name, sizeof(name), "127.0.0.1:%u", (unsigned)w->port);
    assert_string_equal(conn_peer_name(client->conn), name);
    assert_true(conn_peer_is_loopback(client->conn));
    assert_true(conn_peer_is_loopback(server->conn));
    assert_false(conn_is_tls(client->conn));
    assert_null(conn_fail(client->conn));
    assert_string_equal(client->log, "O");
    side_destroy(client);
    world_destroy(w);
}

static void echo_on_event(struct side *side, enum conn_event event)
{
    if (event == CONN_EV_DATA) {
        struct slice bytes = conn_input(side->conn);
        conn_write(side->conn, bytes);
        conn_consume(side->conn, bytes.len);
    }
}

static void echoes(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->accepted_on_event = echo_on_event;
    struct side *server;
    struct side *client = world_pair(w, &server);
    side_say(client, "a NO");
    side_say(client, "OP\r\n");
    assert_int_equal(conn_pending_out(client->conn), 8); /* sent at the end of the turn */
    WAIT(w, side_got(client, "a NOOP\r\n"));
    assert_int_equal(conn_bytes_out(client->conn), 8);
    assert_int_equal(conn_bytes_in(client->conn), 8);
    side_destroy(client);
    world_destroy(w);
}

/* --- large amounts, flow control --- */

enum { BULK_BYTES = 8 * 1024 * 1024 };

static char bulk_byte(size_t i)
{
    return (char)(i * 131 + i / 4093);
}

static char *bulk_create(void)
{
    char *bulk = alloc_array(BULK_BYTES, 1);
    for (size_t i = 0; i < BULK_BYTES; i++) {
        bulk[i] = bulk_byte(i);
    }
    return bulk;
}

static bool is_bulk(const struct buf *got)
{
    for (size_t i = 0; i < got->len; i++) {
        if (got->data[i] != bulk_byte(i)) {
            return false;
        }
    }
    return got->len == BULK_BYTES;
}

static void one_huge_write_arrives_whole(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct side *server;
    struct side *client = world_pair(w, &server);
    char *bulk = bulk_create();
    conn_write(client->conn, slice_of(bulk, 10)); /* queued before the direct one */
    conn_write(client->conn, slice_of(bulk + 10, BULK_BYTES - 20));
    conn_write(client->conn, slice_of(bulk + BULK_BYTES - 10, 10));
    assert_int_equal(client->log_n, 1);
    WAIT(w, server->got.len >= BULK_BYTES);
    assert_true(is_bulk(&server->got));
    assert_int_equal(conn_bytes_out(client->conn), BULK_BYTES);
    alloc_free(bulk);
    side_destroy(client);
    world_destroy(w);
}

struct pump {
    struct side *side;
    const char *bulk;
    size_t sent;
    size_t most_pending;
};

static void pump_more(struct pump *p)
{
    while (p->sent < BULK_BYTES && conn_has_room(p->side->conn)) {
        size_t n = 3000 + p->sent % 5000;
        n = n < BULK_BYTES - p->sent ? n : BULK_BYTES - p->sent;
        conn_write(p->side->conn, slice_of(p->bulk + p->sent, n));
        p->sent += n;
        size_t pending = conn_pending_out(p->side->conn);
        p->most_pending = pending > p->most_pending ? pending : p->most_pending;
    }
}

static struct pump *pump_of_test;

static void pump_on_event(struct side *side, enum conn_event event)
{
    (void)side;
    if (event == CONN_EV_DRAINED) {
        pump_more(pump_of_test);
    }
}

static void a_reader_that_stops_holds_up_the_writer_and_nothing_else(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct side *server;
    struct side *client = world_pair(w, &server);
    struct pump pump = {.side = client, .bulk = bulk_create()};
    pump_of_test = &pump;
    client->on_event = pump_on_event;
    conn_set_paused(server->conn, true);
    pump_more(&pump);
    world_rest_ms(w, 100);
    assert_true(pump.sent < BULK_BYTES); /* kernel buffers and our limit are full */
    assert_true(pump.most_pending < 256 * 1024 + 8000);
    assert_int_equal(server->got.len, 0);
    assert_string_equal(server->log, "O");
    size_t sent_before = pump.sent;
    world_rest_ms(w, 50);
    assert_int_equal(pump.sent, sent_before);
    conn_set_paused(server->conn, false);
    WAIT(w, server->got.len >= BULK_BYTES);
    assert_true(is_bulk(&server->got));
    assert_true(side_logged(client, 'R'));
    alloc_free((void *)(uintptr_t)pump.bulk);
    side_destroy(client);
    world_destroy(w);
}

static void input_not_consumed_stops_reading_at_the_limit(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->accepted_keeps_input = true;
    struct side *server;
    struct side *client = world_pair(w, &server);
    char *bulk = bulk_create();
    conn_write(client->conn, slice_of(bulk, BULK_BYTES));
    world_rest_ms(w, 100);
    assert_in_range(conn_input_bytes(server->conn), 64 * 1024, 64 * 1024 + 3 * 16384);
    assert_true(conn_pending_out(client->conn) > 0);
    server->keeps_input = false;
    side_take(server); /* consuming is enough to go on */
    WAIT(w, server->got.len >= BULK_BYTES);
    assert_true(is_bulk(&server->got));
    alloc_free(bulk);
    side_destroy(client);
    world_destroy(w);
}

static void resuming_tells_of_data_again(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->accepted_keeps_input = true;
    struct side *server;
    struct side *client = world_pair(w, &server);
    side_say(client, "one");
    WAIT(w, side_logged(server, 'D'));
    conn_set_paused(server->conn, true);
    side_say(client, "two");
    world_rest_ms(w, 60);
    assert_int_equal(conn_input_bytes(server->conn), 3);
    assert_string_equal(server->log, "OD");
    server->keeps_input = false;
    conn_set_paused(server->conn, false);
    conn_set_paused(server->conn, true); /* before it could be told */
    conn_set_deadline_ms(server->conn, 1);
    WAIT(w, side_logged(server, 'M'));
    assert_int_equal(server->got.len, 0);
    conn_set_paused(server->conn, false);
    assert_int_equal(server->got.len, 0); /* not inside the call */
    WAIT(w, side_got(server, "onetwo"));
    side_destroy(client);
    world_destroy(w);
}

static void shared_bytes_and_queues_reach_many(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct side *clients[20];
    for (int i = 0; i < 20; i++) {
        struct side *server;
        clients[i] = world_pair(w, &server);
    }
    char *bulk = bulk_create();
    struct iobuf_shared *shared = iobuf_shared_create(slice_of(bulk + 5, BULK_BYTES / 64 - 5));
    for (int i = 0; i < 20; i++) {
        struct iobuf queue;
        iobuf_init(&queue, w->loop);
        iobuf_append(&queue, slice_of(bulk, 5));
        conn_write_iobuf(w->accepted[i]->conn, &queue);
        assert_int_equal(queue.len, 0);
        conn_write_shared(w->accepted[i]->conn, shared);
    }
    iobuf_shared_put(&shared);
    for (int i = 0; i < 20; i++) {
        WAIT(w, clients[i]->got.len >= BULK_BYTES / 64);
        assert_int_equal(clients[i]->got.len, BULK_BYTES / 64);
        assert_memory_equal(clients[i]->got.data, bulk, BULK_BYTES / 64);
        side_destroy(clients[i]);
    }
    alloc_free(bulk);
    world_destroy(w);
}

/* --- ends --- */

static void eof_comes_after_the_data_and_writing_goes_on(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->accepted_keeps_input = true;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(w->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(write(fd, "a LOGOUT\r\n", 10), 10);
    assert_int_equal(shutdown(fd, SHUT_WR), 0); /* half-closed, as "printf ... | nc -N" does */
    WAIT(w, w->accepted_n == 1 && side_logged(w->accepted[0], 'E'));
    struct side *server = w->accepted[0];
    assert_string_equal(server->log, "ODE");
    assert_true(conn_is_ended(server->conn));
    assert_int_equal(conn_input_bytes(server->conn), 10);
    side_say(server, "* BYE\r\na OK\r\n");
    world_rest_ms(w, 30);
    char got[64];
    assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 13);
    assert_string_equal(server->log, "ODE"); /* once */
    assert_int_equal(close(fd), 0);
    world_destroy(w);
}

static void a_reset_is_failed_after_the_data(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct side *server;
    struct side *client = world_pair(w, &server);
    client->keeps_input = true;
    conn_set_paused(client->conn, true);
    side_say(server, "* BYE Autologout; idle for too long\r\n");
    world_rest_ms(w, 40);
    side_say(client, "unread by the server");
    world_rest_ms(w, 40); /* it is: closing below resets nothing yet */
    conn_set_paused(server->conn, true);
    side_say(client, "and this stays in its kernel");
    world_rest_ms(w, 40);
    conn_close(&server->conn, CONN_CLOSE_ABORT); /* reset */
    world_rest_ms(w, 20);
    conn_set_paused(client->conn, false);
    side_say(client, "b NOOP\r\n");
    WAIT(w, client->is_failed);
    assert_int_equal(client->fail_status, NETWORK);
    assert_true(strchr(client->log, 'F')[1] == '\0');
    assert_int_equal(conn_pending_out(client->conn), 0);
    side_say(client, "dropped");
    assert_int_equal(conn_pending_out(client->conn), 0);
    conn_set_paused(client->conn, true);
    conn_set_paused(client->conn, false);
    conn_set_deadline_ms(client->conn, 1);
    world_rest_ms(w, 30);
    assert_true(strchr(client->log, 'F')[1] == '\0'); /* nothing after it */
    side_destroy(client);
    world_destroy(w);
}

/* A write finds the connection reset, but what the peer said before it hung up is still told. */
static void last_words_come_before_a_failed_write(void **state)
{
    (void)state;
    struct world *w = world_create();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(w->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    WAIT(w, w->accepted_n == 1 && side_logged(w->accepted[0], 'O'));
    struct side *server = w->accepted[0];
    assert_int_equal(write(fd, "* BYE\r\n", 7), 7);
    struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    assert_int_equal(close(fd), 0);
    char *bulk = bulk_create();
    conn_write(server->conn, slice_of(bulk, 100000)); /* at once, before anything is read */
    alloc_free(bulk);
    assert_string_equal(server->log, "O");
    assert_null(conn_fail(server->conn));
    WAIT(w, server->is_failed);
    assert_string_equal(server->log, "ODF");
    assert_true(side_got(server, "* BYE\r\n"));
    assert_int_equal(server->fail_status, NETWORK);
    assert_non_null(strstr(server->fail_text, "writing"));
    world_destroy(w);
}

static void close_flush_delivers_everything(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct side *server;
    struct side *client = world_pair(w, &server);
    char *bulk = bulk_create();
    conn_set_paused(client->conn, true);
    side_say(client, "unread by the server, which would make close(2) reset");
    conn_set_paused(server->conn, true);
    world_rest_ms(w, 20);
    conn_write(server->conn, slice_of(bulk, BULK_BYTES));
    conn_close(&server->conn, CONN_CLOSE_FLUSH);
    assert_null(server->conn);
    world_rest_ms(w, 20);
    conn_set_paused(client->conn, false);
    WAIT(w, side_logged(client, 'E'));
    assert_true(is_bulk(&client->got));
    assert_string_equal(server->log, "O");
    alloc_free(bulk);
    side_destroy(client);
    world_rest_ms(w, 30);
    world_destroy(w);
}

/* The peer never closes, so the connection lingers.  The sanitizer is the judge: nothing of it may
 * be left. */
static void loop_ends_before_a_lingering_connection_does(void **state)
{
    (void)state;
    struct world *w = world_create();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(w->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    WAIT(w, w->accepted_n == 1 && side_logged(w->accepted[0], 'O'));
    side_say(w->accepted[0], "* BYE\r\n");
    conn_close(&w->accepted[0]->conn, CONN_CLOSE_FLUSH);
    world_rest_ms(w, 20);
    world_destroy(w);
    char got[64];
    assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 7);
    assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 0);
    assert_int_equal(close(fd), 0);
}

static void close_on_data(struct side *side, enum conn_event event)
{
    if (event == CONN_EV_DATA) {
        side_say(side, "* BYE\r\n");
        conn_close(&side->conn, CONN_CLOSE_FLUSH);
    }
}

static void abort_on_open(struct side *side, enum conn_event event)
{
    assert_int_equal(event, CONN_EV_OPEN);
    conn_close(&side->conn, CONN_CLOSE_ABORT);
}

static void closing_in_the_callback_ends_the_events(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct side *server;
    struct side *client = world_pair(w, &server);
    server->on_event = close_on_data;
    side_say(client, "x");
    WAIT(w, side_logged(client, 'E'));
    assert_true(side_got(client, "* BYE\r\n"));
    side_say(client, "y");
    world_rest_ms(w, 30);
    assert_string_equal(server->log, "OD");
    side_destroy(client);

    w->accepted_on_event = abort_on_open;
    client = world_dial(w, "127.0.0.1", NULL);
    WAIT(w, side_logged(client, 'E') || client->is_failed);
    assert_string_equal(w->accepted[1]->log, "O");
    side_destroy(client);
    world_destroy(w);
}

static void bye_before_open_is_sent(void **state)
{
    (void)state;
    struct world *w = world_create();
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct side *side = side_create(w);
    side->conn = conn_accept(w->loop, pair[0], &(struct conn_accept_opts){0}, side_on_event, side);
    side_say(side, "* BYE too many\r\n");
    conn_close(&side->conn, CONN_CLOSE_FLUSH);
    world_rest_ms(w, 20);
    char got[32];
    assert_int_equal(read(pair[1], got, sizeof(got)), 16);
    assert_int_equal(read(pair[1], got, sizeof(got)), 0);
    assert_int_equal(close(pair[1]), 0);
    assert_int_equal(side->log_n, 0);
    world_rest_ms(w, 20);
    side_destroy(side);
    world_destroy(w);
}

/* --- deadlines, many connections --- */

static void deadlines_fire_once_and_move(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct side *server;
    struct side *client = world_pair(w, &server);
    conn_set_deadline_ms(server->conn, 60);
    conn_set_deadline_ms(client->conn, 60);
    world_rest_ms(w, 40);
    uint64_t moved_ms = clock_mono_ms();
    conn_set_deadline_ms(server->conn, 60);
    conn_set_deadline_ms(client->conn, 0);
    world_rest_ms(w, 35);
    if (clock_mono_ms() - moved_ms < 55) { /* else the machine was away for too long to tell */
        assert_string_equal(server->log, "O");
    }
    WAIT(w, side_logged(server, 'M'));
    world_rest_ms(w, 80);
    assert_string_equal(server->log, "OM");
    assert_string_equal(client->log, "O");
    side_say(client, "still open");
    WAIT(w, side_got(server, "still open"));
    side_destroy(client);
    world_destroy(w);
}

static void a_thousand_connections(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    const size_t n = limit.rlim_cur > 2100 ? 1000 : (limit.rlim_cur - 50) / 2;
    struct world *w = world_create();
    struct side **clients = alloc_array(n, sizeof(*clients));
    for (size_t i = 0; i < n; i++) {
        clients[i] = world_dial(w, "127.0.0.1", NULL);
    }
    WAIT(w, w->accepted_n == n);
    for (size_t i = 0; i < n; i++) {
        conn_set_deadline_ms(w->accepted[i]->conn, 1800000);
        side_say(w->accepted[i], "* OK hello\r\n");
        side_say(clients[i], "a CAPABILITY\r\n");
    }
    for (size_t i = 0; i < n; i++) {
        WAIT(w, side_got(clients[i], "* OK hello\r\n"));
        WAIT(w, side_got(w->accepted[i], "a CAPABILITY\r\n"));
    }
    assert_int_equal(iobuf_chunks_used(w->loop), 0); /* idle: no buffers */
    for (size_t i = 0; i < n; i++) {
        side_destroy(clients[i]);
    }
    for (size_t i = 0; i < n; i++) {
        WAIT(w, side_logged(w->accepted[i], 'E') || w->accepted[i]->is_failed);
    }
    alloc_free(clients);
    world_destroy(w);
}

static void user_timeout_and_nodelay_are_set(void **state)
{
    (void)state;
    struct world *w = world_create();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct side *side = side_create(w);
    struct conn_accept_opts opts = {.user_timeout_ms = 30000};
    side->conn = conn_accept(w->loop, fd, &opts, side_on_event, side);
    int value = 0;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, 18 /* TCP_USER_TIMEOUT */, &value, &len), 0);
    assert_int_equal(value, 30000);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &value, &len), 0);
    assert_int_equal(value, 1);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
    assert_int_equal(value, 1);
    side_destroy(side);
    world_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialing_and_accepting_report_open_first),
        cmocka_unit_test(echoes),
        cmocka_unit_test(one_huge_write_arrives_whole),
        cmocka_unit_test(a_reader_that_stops_holds_up_the_writer_and_nothing_else),
        cmocka_unit_test(input_not_consumed_stops_reading_at_the_limit),
        cmocka_unit_test(resuming_tells_of_data_again),
        cmocka_unit_test(shared_bytes_and_queues_reach_many),
        cmocka_unit_test(eof_comes_after_the_data_and_writing_goes_on),
        cmocka_unit_test(a_reset_is_failed_after_the_data),
        cmocka_unit_test(last_words_come_before_a_failed_write),
        cmocka_unit_test(close_flush_delivers_everything),
        cmocka_unit_test(loop_ends_before_a_lingering_connection_does),
        cmocka_unit_test(closing_in_the_callback_ends_the_events),
        cmocka_unit_test(bye_before_open_is_sent),
        cmocka_unit_test(deadlines_fire_once_and_move),
        cmocka_unit_test(a_thousand_connections),
        cmocka_unit_test(user_timeout_and_nodelay_are_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
