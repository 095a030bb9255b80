#include "config_keys_p.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "value.h"

#define MINUTE_MS (60ULL * 1000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

#define IN_LISTENER(member) offsetof(struct listener_settings, member)
#define IN_UPSTREAM(member) offsetof(struct upstream_settings, member)
#define IN_LIMITS(member) offsetof(struct settings, limits.member)
#define IN_ALL(member) offsetof(struct settings, member)

static const struct config_key keys[] = {
    {"listener", "address", CONFIG_ADDRESS, IN_LISTENER(address), 0, 0},
    {"listener", "tls", CONFIG_TLS_MODE, 0, 0, 0},
    {"listener", "allow_cleartext", CONFIG_BOOL, IN_LISTENER(allow_cleartext), 0, 0},
    {"listener", "cert", CONFIG_FILE, IN_LISTENER(cert_file), 0, 0},
    {"listener", "key", CONFIG_FILE, IN_LISTENER(key_file), 0, 0},
    {"tls", "cert", CONFIG_FILE, IN_ALL(tls_cert_file), 0, 0},
    {"tls", "key", CONFIG_FILE, IN_ALL(tls_key_file), 0, 0},
    {"upstream", "url", CONFIG_URL, 0, 0, 0},
    {"upstream", "ca_file", CONFIG_FILE, IN_UPSTREAM(ca_file), 0, 0},
    {"upstream", "domains", CONFIG_LIST, IN_UPSTREAM(domains), 0, 0},
    {"upstream", "max_connections", CONFIG_COUNT, IN_UPSTREAM(max_connections), 1, 1000},
    {"upstream", "connect_timeout", CONFIG_DURATION_MS, IN_UPSTREAM(connect_timeout_ms), 100,
     10 * MINUTE_MS},
    {"upstream", "command_timeout", CONFIG_DURATION_MS, IN_UPSTREAM(command_timeout_ms), 1000,
     HOUR_MS},
    {"upstream", "idle_restart", CONFIG_DURATION_MS, IN_UPSTREAM(idle_restart_ms), 1000,
     29 * MINUTE_MS},
    {"upstream", "search_map_from", CONFIG_COUNT, IN_UPSTREAM(search_map_from), 0, 1000 * 1000 * 1000},
    {"upstream", "bulk_linger", CONFIG_DURATION_MS, IN_UPSTREAM(bulk_linger_ms), 0, HOUR_MS},
    {"upstream", "account_linger", CONFIG_DURATION_MS, IN_UPSTREAM(account_linger_ms), 0, DAY_MS},
    {"cache", "dir", CONFIG_TEXT, IN_ALL(cache_dir), 0, 0},
    {"cache", "size", CONFIG_SIZE64, IN_ALL(cache_size_bytes), 16ULL << 20, 64ULL << 40},
    {"cache", "verify_every", CONFIG_COUNT, IN_ALL(verify_every), 0, 1000 * 1000 * 1000},
    {"search", "settle", CONFIG_DURATION_MS, IN_ALL(search_settle_ms), 0, DAY_MS},
    {"search", "remember", CONFIG_COUNT, IN_ALL(search_remember), 1, 10 * 1000},
    {"auth", "ttl", CONFIG_DURATION_S, IN_ALL(auth_ttl_s), 0, 86400},
    {"auth", "reverify", CONFIG_DURATION_MS, IN_ALL(auth_reverify_ms), 1000, DAY_MS},
    {"auth", "retry", CONFIG_DURATION_MS, IN_ALL(auth_retry_ms), 1000, HOUR_MS},
    {"auth", "failures_per_login", CONFIG_COUNT, IN_ALL(auth_failures_per_login), 0, 1000},
    {"auth", "failures_per_address", CONFIG_COUNT, IN_ALL(auth_failures_per_address), 0,
     1000 * 1000},
    {"auth", "share", CONFIG_SHARE, IN_ALL(auth_share_secret), 0, 0},
    {"limits", "sessions", CONFIG_COUNT, IN_LIMITS(sessions), 1, 1000 * 1000},
    {"limits", "sessions_per_address", CONFIG_COUNT, IN_LIMITS(sessions_per_address), 0,
     1000 * 1000},
    {"limits", "login_timeout", CONFIG_DURATION_MS, IN_LIMITS(login_timeout_ms), 1000, HOUR_MS},
    {"limits", "idle_timeout", CONFIG_DURATION_MS, IN_LIMITS(idle_timeout_ms), 30 * MINUTE_MS,
     DAY_MS},
    {"limits", "line", CONFIG_SIZE32, IN_LIMITS(line_bytes), 8192, 1 << 20},
    {"limits", "command", CONFIG_SIZE32, IN_LIMITS(command_bytes), 16384, 16 << 20},
    {"limits", "literal", CONFIG_SIZE32, IN_LIMITS(literal_bytes), 4096, 16 << 20},
    {"limits", "append", CONFIG_SIZE64, IN_LIMITS(append_bytes), 0, 1ULL << 40},
    {"limits", "pipelined_commands", CONFIG_COUNT, IN_LIMITS(pipelined_commands), 1, 1024},
    {"limits", "bad_commands", CONFIG_COUNT, IN_LIMITS(bad_commands), 1, 1000},
    {"limits", "mailbox_messages", CONFIG_COUNT, IN_LIMITS(mailbox_messages), 1000, 200 * 1000 * 1000},
    {"log", "level", CONFIG_LEVEL, IN_ALL(log_level), 0, 0},
    {NULL, NULL, CONFIG_TEXT, 0, 0, 0},
};
_Static_assert(sizeof(keys) / sizeof(keys[0]) - 1 <= CONFIG_KEYS_MAX, "one bit each");

const struct config_key *config_keys(void)
{
    return keys;
}

const struct config_key *config_find_key(const char *section, const char *name)
{
    for (const struct config_key *key = keys; key->section != NULL; key++) {
        if (strcmp(key->section, section) == 0 && strcmp(key->name, name) == 0) {
            return key;
        }
    }
    return NULL;
}

static bool check_file(const char *path, struct buf *expected)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        buf_printf(expected, "a file that can be read (%s)", strerror(errno));
        return false;
    }
    (void)close(fd);
    return true;
}

static bool check_tls_mode(const char *text, long *number_out, struct buf *expected)
{
    static const char *const modes[] = {"none", "implicit", "starttls"};
    for (long i = 0; i < 3; i++) {
        if (strcmp(text, modes[i]) == 0) {
            *number_out = i;
            return true;
        }
    }
    buf_add_str(expected, "none, implicit or starttls");
    return false;
}

static bool check_range(const struct config_key *key, uint64_t number, const char *unit,
                        long *number_out, struct buf *expected)
{
    if (number < key->least || number > key->most || number > LONG_MAX) {
        buf_printf(expected, "something between %llu%s and %llu%s", (unsigned long long)key->least,
                   unit, (unsigned long long)key->most, unit);
        return false;
    }
    *number_out = (long)number;
    return true;
}

static bool check_duration(const struct config_key *key, const char *text, long *number_out,
                           struct buf *expected)
{
    uint64_t ms;
    if (!value_parse_duration_ms(text, &ms)) {
        buf_add_str(expected, VALUE_DURATION_FORM);
        return false;
    }
    if (key->kind == CONFIG_DURATION_MS) {
        return check_range(key, ms, "ms", number_out, expected);
    }
    if (ms % 1000 != 0) {
        buf_add_str(expected, "whole seconds");
        return false;
    }
    return check_range(key, ms / 1000, "s", number_out, expected);
}

static bool check_size(const struct config_key *key, const char *text, long *number_out,
                       struct buf *expected)
{
    uint64_t bytes;
    if (!value_parse_size(text, &bytes)) {
        buf_add_str(expected, VALUE_SIZE_FORM);
        return false;
    }
    return check_range(key, bytes, "", number_out, expected);
}

static bool check_count(const struct config_key *key, const char *text, long *number_out,
                        struct buf *expected)
{
    uint64_t number;
    if (!slice_u64(slice_str(text), &number)) {
        buf_add_str(expected, "a whole number");
        return false;
    }
    return check_range(key, number, "", number_out, expected);
}

static bool check_bool(const char *text, long *number_out, struct buf *expected)
{
    bool value;
    if (!value_parse_bool(text, &value)) {
        buf_add_str(expected, "yes or no");
        return false;
    }
    *number_out = value;
    return true;
}

/* @ok, and when it is not, what was expected. */
static bool expect(bool ok, const char *what, struct buf *expected)
{
    if (!ok) {
        buf_add_str(expected, what);
    }
    return ok;
}

bool config_check_value(const struct config_key *key, const char *text, long *number_out,
                        struct buf *expected)
{
    struct value_url url;
    enum log_level level;
    bool is_loopback;
    switch (key->kind) {
    case CONFIG_TEXT:
    case CONFIG_LIST:
        return expect(text[0] != '\0', "some text", expected);
    case CONFIG_FILE:
        return check_file(text, expected);
    case CONFIG_URL:
        return expect(value_parse_url(text, &url), VALUE_URL_FORM, expected);
    case CONFIG_ADDRESS:
        return expect(value_parse_address(text, &is_loopback), VALUE_ADDRESS_FORM, expected);
    case CONFIG_TLS_MODE:
        return check_tls_mode(text, number_out, expected);
    case CONFIG_BOOL:
        return check_bool(text, number_out, expected);
    case CONFIG_SHARE:
        *number_out = strcmp(text, "secret") == 0;
        return expect(*number_out != 0 || strcmp(text, "login") == 0, "login or secret", expected);
    case CONFIG_LEVEL:
        return expect(log_level_parse(text, &level), "debug, info, warn or error", expected);
    case CONFIG_COUNT:
        return check_count(key, text, number_out, expected);
    case CONFIG_DURATION_MS:
    case CONFIG_DURATION_S:
        return check_duration(key, text, number_out, expected);
    case CONFIG_SIZE32:
    case CONFIG_SIZE64:
        return check_size(key, text, number_out, expected);
    }
    return false;
}
