#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "value.h"

static void duration_needs_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0", 0},        {"500ms", 500},    {"30s", 30000}, {"10m", 600000},
                {"1h", 3600000}, {"2d", 172800000}, {"0s", 0},      {"10M", 600000}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t ms = 77;
        assert_true(value_parse_duration_ms(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    static const char *const bad[] = {"",
                                      "10",
                                      "s",
                                      "-1s",
                                      "1.5h",
                                      "1 s",
                                      "1w",
                                      "1s ",
                                      "18446744073709551616s",
                                      "18446744073709551615d"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ms = 77;
        assert_false(value_parse_duration_ms(bad[i], &ms));
        assert_int_equal(ms, 77);
    }
}

static void size_has_binary_units(void **state)
{
    (void)state;
    uint64_t n = 0;
    assert_true(value_parse_size("4096", &n));
    assert_int_equal(n, 4096);
    assert_true(value_parse_size("64K", &n));
    assert_int_equal(n, 65536);
    assert_true(value_parse_size("10g", &n));
    assert_int_equal(n, 10ULL << 30);
    static const char *const bad[] = {"", "G", "1GB", "-1", "1.5G", "99999999999T", "0x10"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(value_parse_size(bad[i], &n));
    }
}

static void bool_is_yes_or_no(void **state)
{
    (void)state;
    bool b = false;
    assert_true(value_parse_bool("Yes", &b));
    assert_true(b);
    assert_true(value_parse_bool("off", &b));
    assert_false(b);
    assert_false(value_parse_bool("1", &b));
    assert_false(value_parse_bool("", &b));
}

static void check_url(const char *text, enum upstream_security security, const char *host,
                      uint16_t port)
{
    struct value_url url;
    assert_true(value_parse_url(text, &url));
    assert_int_equal(url.security, security);
    assert_true(slice_eq(url.host, slice_str(host)));
    assert_int_equal(url.port, port);
}

static void url_names_security_host_and_port(void **state)
{
    (void)state;
    check_url("imaps://mail.example.org", UPSTREAM_TLS, "mail.example.org", 993);
    check_url("IMAPS://mail.example.org:9993/", UPSTREAM_TLS, "mail.example.org", 9993);
    check_url("imap://127.0.0.1:1144", UPSTREAM_STARTTLS, "127.0.0.1", 1144);
    check_url("imap://[::1]", UPSTREAM_STARTTLS, "::1", 143);
    check_url("imaps://[2001:db8::1]:994", UPSTREAM_TLS, "2001:db8::1", 994);
    static const char *const bad[] = {"",
                                      "mail.example.org",
                                      "imap:/x",
                                      "imaps://",
                                      "imaps://:993",
                                      "http://x",
                                      "imaps://x:0",
                                      "imaps://x:",
                                      "imaps://x:65536",
                                      "imaps://x:1:2",
                                      "imaps://u@x",
                                      "imaps://x/INBOX",
                                      "imaps://[x]",
                                      "imaps://[::1",
                                      "imaps://[::1]9",
                                      "imaps://x y",
                                      "imaps://-x",
                                      "imaps://x:99999999999",
                                      "imaps://[]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct value_url url;
        if (value_parse_url(bad[i], &url)) {
            fail_msg("taken for a URL: %s", bad[i]);
        }
    }
    char text[400] = "imaps://";
    memset(text + 8, 'a', 254);
    struct value_url url;
    assert_false(value_parse_url(text, &url));
    text[8 + 253] = '\0';
    assert_true(value_parse_url(text, &url));
}

static void address_is_numeric_and_knows_loopback(void **state)
{
    (void)state;
    bool is_loopback = false;
    assert_true(value_parse_address("127.0.0.1:1143", &is_loopback));
    assert_true(is_loopback);
    assert_true(value_parse_address("[::1]:993", &is_loopback));
    assert_true(is_loopback);
    assert_true(value_parse_address("0.0.0.0:993", &is_loopback));
    assert_false(is_loopback);
    assert_true(value_parse_address("[::]:993", &is_loopback));
    assert_false(is_loopback);
    static const char *const bad[] = {"",    "1143", "127.0.0.1",   "localhost:1143", ":1143",
                                      "*:1", "::1",  "127.0.0.1:0", "127.0.0.1:65536"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (value_parse_address(bad[i], &is_loopback)) {
            fail_msg("taken for an address: %s", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duration_needs_a_unit),
        cmocka_unit_test(size_has_binary_units),
        cmocka_unit_test(bool_is_yes_or_no),
        cmocka_unit_test(url_names_security_host_and_port),
        cmocka_unit_test(address_is_numeric_and_knows_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
