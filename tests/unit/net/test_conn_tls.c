#include <openssl/ssl.h>

#include "certs_fixture.h"

static struct certs certs;

static struct tls_server *server_context(const char *pem)
{
    struct tls_server *server = NULL;
    struct fail fail = {0};
    assert_int_equal(tls_server_create(pem, NULL, &server, &fail), OK);
    return server;
}

static struct tls_client *client_context(void)
{
    struct tls_client *client = NULL;
    struct fail fail = {0};
    assert_int_equal(tls_client_create(certs.ca, &client, &fail), OK);
    return client;
}

static void implicit_tls_works_both_ways(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->accept_tls = server_context(certs.good);
    struct tls_client *tls = client_context();
    struct side *client = world_dial(w, "localhost", tls);
    side_say(client, "written before the handshake\r\n");
    tls_client_destroy(&tls); /* the connection needs it no longer */
    WAIT(w, side_logged(client, 'T') && w->accepted_n == 1 && side_logged(w->accepted[0], 'T'));
    tls_server_destroy(&w->accept_tls);
    struct side *server = w->accepted[0];
    side_say(server, "* OK\r\n");
    WAIT(w, side_got(client, "* OK\r\n"));
    WAIT(w, side_got(server, "written before the handshake\r\n"));
    assert_string_equal(client->log, "OTD");
    assert_string_equal(server->log, "OTD");
    char text[64];
    assert_true(conn_is_tls(client->conn));
    assert_non_null(strstr(conn_tls_text(client->conn, text), "TLSv1.3 TLS_AES"));
    conn_close(&server->conn, CONN_CLOSE_FLUSH);
    WAIT(w, side_logged(client, 'E'));
    assert_string_equal(client->log, "OTDE");
    side_destroy(client);
    world_rest_ms(w, 30);
    world_destroy(w);
}

static void literal_addresses_are_verified_too(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->accept_tls = server_context(certs.good);
    struct tls_client *tls = client_context();
    struct side *client = world_dial(w, "127.0.0.1", tls);
    WAIT(w, side_logged(client, 'T') || client->is_failed);
    assert_string_equal(client->log, "OT");
    side_destroy(client);
    tls_client_destroy(&tls);
    tls_server_destroy(&w->accept_tls);
    world_destroy(w);
}

static void expect_refused(const char *pem, const char *host, const char *reason)
{
    struct world *w = world_create();
    w->accept_tls = server_context(pem);
    struct tls_client *tls = client_context();
    struct side *client = world_dial(w, host, tls);
    side_say(client, "a LOGIN secret\r\n");
    WAIT(w, client->is_failed);
    assert_string_equal(client->log, "OF");
    assert_int_equal(client->fail_status, TLS);
    if (strstr(client->fail_text, reason) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", client->fail_text, reason);
    }
    WAIT(w, w->accepted[0]->is_failed);
    assert_int_equal(w->accepted[0]->got.len, 0);
    assert_int_equal(w->accepted[0]->fail_status, TLS);
    side_destroy(client);
    tls_client_destroy(&tls);
    tls_server_destroy(&w->accept_tls);
    world_destroy(w);
}

static void bad_certificates_are_refused(void **state)
{
    (void)state;
    expect_refused(certs.other_name, "localhost", "localhost refused: hostname mismatch");
    expect_refused(certs.other_name, "127.0.0.1", "IP address mismatch");
    expect_refused(certs.expired, "localhost", "certificate has expired");
    expect_refused(certs.stranger, "localhost", "unable to get local issuer certificate");
}

static void dial_once(struct world *w, struct tls_client *tls, bool *was_resumed_out)
{
    size_t at = w->accepted_n;
    struct side *client = world_dial(w, "localhost", tls);
    WAIT(w, side_logged(client, 'T') && w->accepted_n > at && side_logged(w->accepted[at], 'T'));
    *was_resumed_out = conn_tls_was_resumed(client->conn);
    assert_int_equal(conn_tls_was_resumed(w->accepted[at]->conn), *was_resumed_out);
    side_say(w->accepted[at], "x"); /* the ticket comes before it */
    WAIT(w, client->got.len == 1);
    side_destroy(client); /* abort: the ticket must survive that */
}

static void sessions_are_resumed(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->accept_tls = server_context(certs.good);
    struct tls_client *tls = client_context();
    bool was_resumed;
    dial_once(w, tls, &was_resumed);
    assert_false(was_resumed);
    dial_once(w, tls, &was_resumed);
    assert_true(was_resumed);
    dial_once(w, tls, &was_resumed);
    assert_true(was_resumed);
    tls_server_destroy(&w->accept_tls); /* reload: other ticket keys, a full handshake again */
    w->accept_tls = server_context(certs.good);
    dial_once(w, tls, &was_resumed);
    assert_false(was_resumed);
    tls_client_destroy(&tls);
    tls_server_destroy(&w->accept_tls);
    world_destroy(w);
}

/* --- STARTTLS --- */

static struct world *starttls_world(struct side **client_out, struct side **server_out)
{
    struct world *w = world_create();
    *client_out = world_pair(w, server_out);
    return w;
}

static void starttls_upgrades_both_ends(void **state)
{
    (void)state;
    struct side *client;
    struct side *server;
    struct world *w = starttls_world(&client, &server);
    struct tls_server *server_tls = server_context(certs.good);
    struct tls_client *client_tls = client_context();
    side_say(client, "a STARTTLS\r\n");
    WAIT(w, side_got(server, "a STARTTLS\r\n"));
    side_say(server, "a OK begin\r\n"); /* goes out in clear, although not sent yet */
    assert_int_equal(conn_start_tls_server(server->conn, server_tls), OK);
    side_say(server, "inside"); /* goes out inside TLS */
    WAIT(w, side_got(client, "a OK begin\r\n"));
    assert_int_equal(conn_start_tls_client(client->conn, client_tls, "imap.test"), OK);
    side_say(client, "b LOGIN\r\n");
    WAIT(w, side_logged(client, 'T') && side_logged(server, 'T'));
    WAIT(w, side_got(client, "a OK begin\r\ninside"));
    WAIT(w, side_got(server, "a STARTTLS\r\nb LOGIN\r\n"));
    assert_string_equal(client->log, "ODTD");
    assert_int_equal(conn_start_tls_client(client->conn, client_tls, NULL), STALE);
    tls_server_destroy(&server_tls);
    tls_client_destroy(&client_tls);
    side_destroy(client);
    world_destroy(w);
}

static void starttls_refuses_a_wrong_name(void **state)
{
    (void)state;
    struct side *client;
    struct side *server;
    struct world *w = starttls_world(&client, &server);
    struct tls_server *server_tls = server_context(certs.other_name);
    struct tls_client *client_tls = client_context();
    assert_int_equal(conn_start_tls_server(server->conn, server_tls), OK);
    assert_int_equal(conn_start_tls_client(client->conn, client_tls, NULL), OK);
    side_say(client, "b LOGIN secret\r\n");
    WAIT(w, client->is_failed && server->is_failed);
    assert_int_equal(client->fail_status, TLS);
    assert_int_equal(server->got.len, 0);
    tls_server_destroy(&server_tls);
    tls_client_destroy(&client_tls);
    side_destroy(client);
    world_destroy(w);
}

/* protocol.md T41 (a), (b): what came in clear is never taken for input inside TLS */
static void injected_plaintext_is_a_protocol_failure(void **state)
{
    (void)state;
    struct side *client;
    struct side *server;
    struct world *w = starttls_world(&client, &server);
    struct tls_server *server_tls = server_context(certs.good);
    struct tls_client *client_tls = client_context();
    server->keeps_input = true;
    client->keeps_input = true;
    side_say(client, "a STARTTLS\r\nb LOGIN injected\r\n");
    side_say(server, "a OK begin\r\n* CAPABILITY injected\r\n");
    WAIT(w, side_logged(server, 'D') && side_logged(client, 'D'));
    conn_consume(server->conn, strlen("a STARTTLS\r\n"));
    conn_consume(client->conn, strlen("a OK begin\r\n"));
    assert_int_equal(conn_start_tls_client(client->conn, client_tls, "localhost"), PROTOCOL);
    assert_int_equal(conn_start_tls_server(server->conn, server_tls), PROTOCOL);
    assert_false(conn_is_tls(client->conn));
    /* A server may throw it away and go on. */
    conn_discard_input(server->conn);
    conn_discard_input(client->conn);
    assert_int_equal(conn_start_tls_server(server->conn, server_tls), OK);
    assert_int_equal(conn_start_tls_client(client->conn, client_tls, "localhost"), OK);
    server->keeps_input = false;
    side_say(client, "c NOOP\r\n");
    WAIT(w, side_got(server, "c NOOP\r\n"));
    tls_server_destroy(&server_tls);
    tls_client_destroy(&client_tls);
    side_destroy(client);
    world_destroy(w);
}

static void plaintext_on_its_way_breaks_the_handshake(void **state)
{
    (void)state;
    struct side *client;
    struct side *server;
    struct world *w = starttls_world(&client, &server);
    struct tls_server *server_tls = server_context(certs.good);
    assert_int_equal(conn_start_tls_server(server->conn, server_tls), OK);
    side_say(client, "b LOGIN still on its way when TLS began\r\n");
    WAIT(w, server->is_failed);
    assert_int_equal(server->fail_status, TLS);
    assert_non_null(strstr(server->fail_text, "does not speak TLS"));
    assert_int_equal(server->got.len, 0);
    tls_server_destroy(&server_tls);
    side_destroy(client);
    world_destroy(w);
}

/* --- bulk --- */

enum { BULK_BYTES = 16 * 1024 * 1024 };

struct pump {
    struct side *side;
    const char *bulk;
    size_t sent;
};

static struct pump *pump_of_test;

static void pump_more(struct pump *p)
{
    static const size_t sizes[] = {1, 40000, 100, 17000, 16384, 3, 9000, 131072};
    for (size_t i = p->sent; p->sent < BULK_BYTES && conn_has_room(p->side->conn); i++) {
        size_t n = sizes[i % 8];
        n = n < BULK_BYTES - p->sent ? n : BULK_BYTES - p->sent;
        conn_write(p->side->conn, slice_of(p->bulk + p->sent, n));
        p->sent += n;
    }
}

static void pump_on_event(struct side *side, enum conn_event event)
{
    (void)side;
    if (event == CONN_EV_DRAINED) {
        pump_more(pump_of_test);
    }
}

static void bulk_survives_blocking_and_pausing(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->accept_tls = server_context(certs.good);
    struct tls_client *tls = client_context();
    struct side *client = world_dial(w, "localhost", tls);
    WAIT(w, side_logged(client, 'T') && w->accepted_n == 1 && side_logged(w->accepted[0], 'T'));
    struct side *server = w->accepted[0];
    char *bulk = alloc_array(BULK_BYTES, 1);
    for (size_t i = 0; i < BULK_BYTES; i++) {
        bulk[i] = (char)(i * 131 + i / 4093);
    }
    struct pump pump = {.side = client, .bulk = bulk};
    pump_of_test = &pump;
    client->on_event = pump_on_event;
    conn_set_paused(server->conn, true);
    pump_more(&pump);
    world_rest_ms(w, 60);
    assert_true(pump.sent < BULK_BYTES);
    for (int i = 0; i < 20; i++) {
        conn_set_paused(server->conn, false);
        world_turn(w);
        conn_set_paused(server->conn, true);
        world_turn(w);
    }
    conn_set_paused(server->conn, false);
    WAIT(w, server->got.len >= BULK_BYTES);
    assert_int_equal(server->got.len, BULK_BYTES);
    assert_memory_equal(server->got.data, bulk, BULK_BYTES);
    alloc_free(bulk);
    side_destroy(client);
    tls_client_destroy(&tls);
    tls_server_destroy(&w->accept_tls);
    world_destroy(w);
}

static void input_inside_the_tls_buffer_is_not_forgotten(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->accept_tls = server_context(certs.good);
    w->accepted_keeps_input = true;
    struct tls_client *tls = client_context();
    struct side *client = world_dial(w, "localhost", tls);
    WAIT(w, w->accepted_n == 1 && side_logged(w->accepted[0], 'T'));
    struct side *server = w->accepted[0];
    conn_set_limits(server->conn, 100, 1000);
    char line[3000];
    memset(line, 'x', sizeof(line));
    for (int i = 0; i < 30; i++) {
        conn_write(client->conn, slice_of(line, sizeof(line)));
        world_turn(w);
    }
    world_rest_ms(w, 30);
    size_t first = conn_input_bytes(server->conn);
    assert_in_range(first, 100, 40000);
    server->keeps_input = false;
    side_take(server); /* no byte more comes from the socket, yet the rest must be told */
    WAIT(w, server->got.len == 30 * sizeof(line));
    side_destroy(client);
    tls_client_destroy(&tls);
    tls_server_destroy(&w->accept_tls);
    world_destroy(w);
}

/* --- contexts --- */

static void expect_no_server(const char *cert, const char *key, enum status st, const char *reason)
{
    struct tls_server *server = NULL;
    struct fail fail = {0};
    assert_int_equal(tls_server_create(cert, key, &server, &fail), st);
    assert_null(server);
    if (strstr(fail.text, reason) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", fail.text, reason);
    }
}

static void bad_files_are_named(void **state)
{
    (void)state;
    expect_no_server("/nonexistent/cert.pem", NULL, IO, "/nonexistent/cert.pem: No such file");
    expect_no_server(certs.ca, NULL, TLS, "no usable private key in");
    expect_no_server(certs.key_only, NULL, TLS, "no usable certificate in");
    expect_no_server(certs.good, certs.key_only, TLS, "key");
    struct tls_client *client = NULL;
    struct fail fail = {0};
    assert_int_equal(tls_client_create("/nonexistent/ca.pem", &client, &fail), IO);
    fail = (struct fail){0};
    assert_int_equal(tls_client_create(certs.key_only, &client, &fail), TLS);
    assert_null(client);
    struct tls_server *server = server_context(certs.good);
    int64_t left = tls_server_expires_s(server) - clock_wall_s();
    assert_in_range(left, 86400 * 29, 86400 * 31);
    tls_server_destroy(&server);
}

/* A bare OpenSSL client with the ALPN list and versions of the test's choice. */
static bool foreign_handshake(struct world *w, const char *alpn, int max_version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, max_version), 1);
    SSL_CTX_set_security_level(ctx, 0);
    if (alpn != NULL) {
        unsigned n = (unsigned)strlen(alpn);
        assert_int_equal(SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)alpn, n), 0);
    }
    SSL *ssl = SSL_new(ctx);
    struct netaddr to = *listener_addr(w->listener);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &to.sa, to.len), 0);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    struct timeval tick = {.tv_usec = 1000};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
    int ret = 0;
    for (int i = 0; i < 1000; i++) {
        world_turn(w);
        ret = SSL_connect(ssl);
        if (ret == 1 || SSL_get_error(ssl, ret) != SSL_ERROR_WANT_READ) {
            break;
        }
    }
    const unsigned char *chosen = NULL;
    unsigned chosen_len = 0;
    SSL_get0_alpn_selected(ssl, &chosen, &chosen_len);
    bool is_good = ret == 1;
    if (is_good && alpn != NULL) {
        assert_int_equal(chosen_len, 4);
        assert_memory_equal(chosen, "imap", 4);
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    (void)close(fd);
    return is_good;
}

static void versions_and_alpn(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->accept_tls = server_context(certs.good);
    assert_true(foreign_handshake(w, NULL, TLS1_3_VERSION));
    assert_true(foreign_handshake(w, NULL, TLS1_2_VERSION));
    assert_false(foreign_handshake(w, NULL, TLS1_1_VERSION));
    assert_true(foreign_handshake(w, "\x08http/1.1\x04imap", TLS1_3_VERSION));
    assert_false(foreign_handshake(w, "\x08http/1.1", TLS1_3_VERSION));
    tls_server_destroy(&w->accept_tls);
    world_rest_ms(w, 30);
    world_destroy(w);
}

static void hanging_up_in_the_handshake_is_told(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct tls_client *tls = client_context();
    struct side *client = world_dial(w, "localhost", tls);
    WAIT(w, w->accepted_n == 1 && side_logged(w->accepted[0], 'D')); /* the ClientHello */
    conn_close(&w->accepted[0]->conn, CONN_CLOSE_FLUSH);
    WAIT(w, client->is_failed);
    assert_int_equal(client->fail_status, TLS);
    assert_non_null(strstr(client->fail_text, "during the TLS handshake"));
    side_destroy(client);
    /* one that never answers: the total timeout covers the handshake */
    client = side_create(w);
    struct conn_dial_opts opts = {.resolver = w->resolver,
                                  .host = "localhost",
                                  .port = w->port,
                                  .tls = tls,
                                  .total_timeout_ms = 80};
    client->conn = conn_dial(w->loop, &opts, side_on_event, client);
    WAIT(w, client->is_failed);
    assert_int_equal(client->fail_status, TIMEOUT);
    assert_non_null(strstr(client->fail_text, "TLS handshake"));
    side_destroy(client);
    tls_client_destroy(&tls);
    world_rest_ms(w, 30);
    world_destroy(w);
}

static void garbage_instead_of_tls_fails_only_that_connection(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->accept_tls = server_context(certs.good);
    struct side *client = world_dial(w, "127.0.0.1", NULL);
    WAIT(w, side_logged(client, 'O'));
    side_say(client, "GET / HTTP/1.0\r\n\r\n");
    WAIT(w, w->accepted_n == 1 && w->accepted[0]->is_failed);
    assert_int_equal(w->accepted[0]->fail_status, TLS);
    side_destroy(client);
    struct tls_client *tls = client_context();
    client = world_dial(w, "localhost", tls);
    WAIT(w, side_logged(client, 'T'));
    side_destroy(client);
    tls_client_destroy(&tls);
    tls_server_destroy(&w->accept_tls);
    world_destroy(w);
}

static int setup(void **state)
{
    (void)state;
    certs_create(&certs);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    certs_destroy(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(implicit_tls_works_both_ways),
        cmocka_unit_test(literal_addresses_are_verified_too),
        cmocka_unit_test(bad_certificates_are_refused),
        cmocka_unit_test(sessions_are_resumed),
        cmocka_unit_test(starttls_upgrades_both_ends),
        cmocka_unit_test(starttls_refuses_a_wrong_name),
        cmocka_unit_test(injected_plaintext_is_a_protocol_failure),
        cmocka_unit_test(plaintext_on_its_way_breaks_the_handshake),
        cmocka_unit_test(bulk_survives_blocking_and_pausing),
        cmocka_unit_test(input_inside_the_tls_buffer_is_not_forgotten),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(versions_and_alpn),
        cmocka_unit_test(hanging_up_in_the_handshake_is_told),
        cmocka_unit_test(garbage_instead_of_tls_fails_only_that_connection),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
