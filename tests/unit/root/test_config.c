#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"

struct fixture {
    char path[64];
    char pem[64]; /* a file that can be read */
    struct buf errors;
};

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
    struct fixture *fix = calloc(1, sizeof(*fix));
    assert_non_null(fix);
    snprintf(fix->path, sizeof(fix->path), "/tmp/imapcached-config-%d.conf", (int)getpid());
    snprintf(fix->pem, sizeof(fix->pem), "/tmp/imapcached-config-%d.pem", (int)getpid());
    write_file(fix->pem, "pem", 3);
    buf_init(&fix->errors, 4096);
    *state = fix;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fix = *state;
    (void)unlink(fix->path);
    (void)unlink(fix->pem);
    buf_fini(&fix->errors);
    free(fix);
    return 0;
}

/* "@" in @text stands for the path of a readable file. */
static const struct settings *load(struct fixture *fix, const char *text)
{
    char out[8192];
    size_t n = 0;
    for (; *text != '\0'; text++) {
        if (*text == '@') {
            n += (size_t)snprintf(out + n, sizeof(out) - n, "%s", fix->pem);
        } else {
            out[n++] = *text;
        }
        assert_true(n < sizeof(out) - 1);
    }
    write_file(fix->path, out, n);
    buf_reset(&fix->errors);
    struct config_source source = {.file = fix->path};
    return config_load(&source, &fix->errors);
}

/* Refused with a message that names the file, @line, and every one of @words ("a|b|c"). */
static void refuse(struct fixture *fix, int line, const char *words, const char *text)
{
    const struct settings *settings = load(fix, text);
    if (settings != NULL) {
        fail_msg("accepted: %s", text);
    }
    buf_add_char(&fix->errors, '\0');
    char place[128];
    if (line > 0) {
        snprintf(place, sizeof(place), "%s:%d: ", fix->path, line);
    } else {
        snprintf(place, sizeof(place), "%s: ", fix->path);
    }
    if (strncmp(fix->errors.data, place, strlen(place)) != 0) {
        fail_msg("not at %s but: %s", place, fix->errors.data);
    }
    char *list = strdup(words);
    char *save = NULL;
    for (char *w = strtok_r(list, "|", &save); w != NULL; w = strtok_r(NULL, "|", &save)) {
        if (strstr(fix->errors.data, w) == NULL) {
            fail_msg("\"%s\" is not in: %s", w, fix->errors.data);
        }
    }
    free(list);
    const char *end = strchr(fix->errors.data, '\n');
    assert_non_null(end);
    assert_int_equal(end[1], '\0'); /* one line */
}

static const char full[] =
    "# comment\n"
    "tls { cert = \"@\" key = \"@\" } // another\n"
    "/* and\n one more */\n"
    "listener \"office\" {\n  address = 0.0.0.0:993\n  tls = implicit\n}\n"
    "listener here { address = 127.0.0.1:1143 }\n"
    "listener \"strict\" { address = [::1]:1144 tls = starttls allow_cleartext = no cert = @ }\n"
    "upstream \"main\" {\n  url = imaps://mail.example.org # to the end\n"
    "  domains = {\"example.org\", example.com}\n  max_connections = 8\n  ca_file = '@'\n"
    "  connect_timeout = 5s command_timeout = 1m idle_restart = 4m\n"
    "  bulk_linger = 0 account_linger = 1h\n}\n"
    "upstream rest { url = imap://[::1]:143 }\n"
    "cache { dir = \"/var/cache/x#y\" size = 2G }\n"
    "auth { ttl = 5m reverify = 30m retry = 2m failures_per_login = 7\n"
    " failures_per_address = 70 share = secret }\n"
    "limits { sessions = 100 sessions_per_address = 10 login_timeout = 20s idle_timeout = 45m\n"
    " line = 16K command = 32K literal = 8K append = 50M pipelined_commands = 32\n"
    " bad_commands = 5 }\n"
    "log { level = debug }\n";

static void full_file_is_understood(void **state)
{
    struct fixture *fix = *state;
    const struct settings *s = load(fix, full);
    if (s == NULL) {
        fail_msg("%.*s", (int)fix->errors.len, fix->errors.data);
        return;
    }
    assert_int_equal(s->listeners_n, 3);
    assert_string_equal(s->listeners[0].name, "office");
    assert_string_equal(s->listeners[0].address, "0.0.0.0:993");
    assert_true(s->listeners[0].is_tls && !s->listeners[0].has_starttls);
    assert_false(s->listeners[0].allow_cleartext);
    assert_string_equal(s->listeners[0].cert_file, fix->pem); /* of section tls */
    assert_string_equal(s->listeners[0].key_file, fix->pem);
    assert_true(s->listeners[1].allow_cleartext && !s->listeners[1].is_tls);
    assert_true(s->listeners[2].has_starttls && !s->listeners[2].allow_cleartext);
    assert_null(s->listeners[2].key_file); /* its own cert: the key is in there */
    assert_int_equal(s->upstreams_n, 2);
    assert_string_equal(s->upstreams[0].name, "main");
    assert_string_equal(s->upstreams[0].host, "mail.example.org");
    assert_int_equal(s->upstreams[0].port, 993);
    assert_string_equal(s->upstreams[0].domains[0], "example.org");
    assert_string_equal(s->upstreams[0].domains[1], "example.com");
    assert_null(s->upstreams[0].domains[2]);
    assert_string_equal(s->upstreams[0].ca_file, fix->pem);
    assert_int_equal(s->upstreams[0].max_connections, 8);
    assert_int_equal(s->upstreams[0].connect_timeout_ms, 5000);
    assert_int_equal(s->upstreams[0].command_timeout_ms, 60000);
    assert_int_equal(s->upstreams[0].idle_restart_ms, 240000);
    assert_int_equal(s->upstreams[0].bulk_linger_ms, 0);
    assert_int_equal(s->upstreams[0].account_linger_ms, 3600000);
    assert_string_equal(s->upstreams[1].host, "::1");
    assert_int_equal(s->upstreams[1].security, UPSTREAM_STARTTLS);
    assert_int_equal(s->upstreams[1].connect_timeout_ms, 20000); /* default */
    settings_release(&s);
}

static void full_file_single_sections(void **state)
{
    struct fixture *fix = *state;
    const struct settings *s = load(fix, full);
    assert_non_null(s);
    assert_string_equal(s->cache_dir, "/var/cache/x#y");
    assert_true(s->cache_size_bytes == 2ULL << 30);
    assert_int_equal(s->auth_ttl_s, 300);
    assert_int_equal(s->auth_reverify_ms, 30 * 60000);
    assert_int_equal(s->auth_retry_ms, 2 * 60000);
    assert_int_equal(s->auth_failures_per_login, 7);
    assert_int_equal(s->auth_failures_per_address, 70);
    assert_true(s->auth_share_secret);
    assert_int_equal(s->limits.sessions, 100);
    assert_int_equal(s->limits.sessions_per_address, 10);
    assert_int_equal(s->limits.login_timeout_ms, 20000);
    assert_int_equal(s->limits.idle_timeout_ms, 45 * 60000);
    assert_int_equal(s->limits.line_bytes, 16384);
    assert_int_equal(s->limits.command_bytes, 32768);
    assert_int_equal(s->limits.literal_bytes, 8192);
    assert_int_equal(s->limits.append_bytes, 50 << 20);
    assert_int_equal(s->limits.pipelined_commands, 32);
    assert_int_equal(s->limits.bad_commands, 5);
    assert_string_equal(s->log_level, "debug");
    settings_release(&s);
}

static void short_file_has_defaults(void **state)
{
    struct fixture *fix = *state;
    const struct settings *s = load(fix, "upstream a { url = imaps://x }");
    assert_non_null(s);
    assert_int_equal(s->listeners_n, 1);
    assert_string_equal(s->listeners[0].address, CONFIG_DEFAULT_LISTEN);
    assert_true(s->listeners[0].allow_cleartext);
    assert_false(s->listeners[0].has_starttls);
    assert_string_equal(s->cache_dir, CONFIG_DEFAULT_CACHE_DIR);
    assert_int_equal(s->limits.sessions, 10000);
    assert_string_equal(s->log_level, "info");
    settings_release(&s);
    assert_null(s);
}

static void unknown_words_name_their_line(void **state)
{
    struct fixture *fix = *state;
    refuse(fix, 3, "unknown key 'urll'|section upstream|url, ca_file",
           "# c\nupstream a {\n urll = imaps://x }");
    refuse(fix, 2, "unknown section or key 'upstreams'|listener, tls, upstream",
           "\nupstreams a { }");
    refuse(fix, 1, "unknown section or key 'include'", "include(\"x\")");
    refuse(fix, 4, "unknown key 'sise'|section cache|dir, size",
           "/* a\n b */ // c\ncache {\n sise = 1 }");
    refuse(fix, 1, "unknown", "\"\\x01\" = 3");
}

static void bad_values_name_line_and_expectation(void **state)
{
    struct fixture *fix = *state;
    refuse(fix, 2, "url|\"mail\"|imaps://HOST", "upstream a {\n url = mail }");
    refuse(fix, 1, "address|ADDRESS:PORT", "listener a { address = localhost:1143 }");
    refuse(fix, 1, "tls|none, implicit or starttls", "listener a { tls = ssl }");
    refuse(fix, 1, "yes or no", "listener a { allow_cleartext = maybe }");
    refuse(fix, 1, "login or secret", "auth { share = all }");
    refuse(fix, 1, "between", "auth { reverify = 10ms }");
    refuse(fix, 3, "cert|No such file", "tls {\n\n cert = /nowhere/at/all.pem }");
    refuse(fix, 1, "ca_file|No such file", "upstream a { ca_file = /nowhere }");
    refuse(fix, 1, "ttl|duration such as", "auth { ttl = 10 }");
    refuse(fix, 1, "whole seconds", "auth { ttl = 1500ms }");
    refuse(fix, 1, "size such as", "cache { size = lots }");
    refuse(fix, 1, "size|between", "cache { size = 1K }");
    refuse(fix, 1, "some text", "cache { dir = \"\" }");
    refuse(fix, 1, "whole number", "limits { sessions = 1.5 }");
    refuse(fix, 1, "between 1 and", "limits { sessions = 0 }");
    refuse(fix, 1, "idle_timeout|between 1800000ms", "limits { idle_timeout = 10m }");
    refuse(fix, 1, "debug, info, warn or error", "log { level = loud }");
    refuse(fix, 1, "some text", "upstream a { domains = {x, \"\"} }");
    refuse(fix, 2, "twice|ttl", "auth { ttl = 1m\n ttl = 2m }");
    refuse(fix, 3, "cache|twice", "cache { size = 1G }\ncache {\n}");
    refuse(fix, 2, "duplicate", "upstream a { url = imaps://x }\nupstream a { url = imaps://y }");
}

static void sections_must_be_whole(void **state)
{
    struct fixture *fix = *state;
    refuse(fix, 2, "upstream \"a\"|has no url", "upstream a {\n}");
    refuse(fix, 1, "missing title", "upstream {\n}");
    refuse(fix, 3, "listener \"l\"|has no address",
           "upstream a { url = imaps://x }\nlistener l {\n}");
    refuse(fix, 2, "no certificate",
           "upstream a { url = imaps://x }\nlistener l { address = 127.0.0.1:1 tls = implicit }");
    refuse(fix, 2, "key and no cert",
           "upstream a { url = imaps://x }\nlistener l { address = 127.0.0.1:1 key = @ }");
    refuse(fix, 2, "lets nobody log in",
           "upstream a { url = imaps://x }\nlistener l { address = 0.0.0.0:143 }");
    refuse(fix, 0, "no cert", "tls { key = @ }\nupstream a { url = imaps://x }");
    refuse(fix, 0, "no upstream|--upstream", "cache { size = 1G }");
    refuse(fix, 0, "no upstream", "");
}

static void broken_syntax_names_its_line(void **state)
{
    struct fixture *fix = *state;
    refuse(fix, 2, "not closed", "\nupstream a { url = imaps://x\n");
    refuse(fix, 2, "closes nothing", "cache { }\n}");
    refuse(fix, 1, "quoted text", "cache { dir = \"x\n y }");
    refuse(fix, 2, "quoted text", "\ncache { dir = 'x");
    refuse(fix, 2, "comment opened", "\n/* cache { }");
    refuse(fix, 1, "allowed only inside quotes", "listener a { address = *:993 }");
    refuse(fix, 2, "unexpected token", "cache {\n size = = 1G }");
    refuse(fix, 1, "${", "cache { dir = ${HOME\n}");
    write_file(fix->path, "a\0b", 3);
    buf_reset(&fix->errors);
    struct config_source source = {.file = fix->path};
    assert_null(config_load(&source, &fix->errors));
    assert_non_null(memmem(fix->errors.data, fix->errors.len, "not a text file", 15));
}

static void missing_file_is_named(void **state)
{
    struct fixture *fix = *state;
    struct config_source source = {.file = "/nowhere/imapcached.conf"};
    assert_null(config_load(&source, &fix->errors));
    assert_non_null(memmem(fix->errors.data, fix->errors.len,
                           "/nowhere/imapcached.conf: cannot be opened: No such file", 56));
    buf_reset(&fix->errors);
    source.file = "/";
    assert_null(config_load(&source, &fix->errors));
    assert_non_null(memmem(fix->errors.data, fix->errors.len, "/: cannot be read", 17));
    char *large = malloc(CONFIG_LISTEN_MAX * 70000);
    assert_non_null(large);
    memset(large, '\n', CONFIG_LISTEN_MAX * 70000);
    write_file(fix->path, large, CONFIG_LISTEN_MAX * 70000);
    free(large);
    buf_reset(&fix->errors);
    source.file = fix->path;
    assert_null(config_load(&source, &fix->errors));
    assert_non_null(memmem(fix->errors.data, fix->errors.len, "larger than 1 MiB", 17));
}

static void command_line_wins(void **state)
{
    struct fixture *fix = *state;
    const struct settings *s = load(fix, full); /* writes the file */
    assert_non_null(s);
    settings_release(&s);
    struct config_source source = {.file = fix->path,
                                   .upstream_url = "imap://127.0.0.1:10143",
                                   .cache_dir = "/tmp/c",
                                   .log_level = "warn",
                                   .listen = {"127.0.0.1:2143", "0.0.0.0:2144"},
                                   .listen_n = 2};
    s = config_load(&source, &fix->errors);
    assert_non_null(s);
    assert_int_equal(s->upstreams_n, 1);
    assert_string_equal(s->upstreams[0].host, "127.0.0.1");
    assert_int_equal(s->upstreams[0].port, 10143);
    assert_null(s->upstreams[0].domains);
    assert_int_equal(s->listeners_n, 2);
    assert_string_equal(s->listeners[0].address, "127.0.0.1:2143");
    assert_true(s->listeners[0].allow_cleartext && s->listeners[0].has_starttls);
    assert_true(!s->listeners[1].allow_cleartext && s->listeners[1].has_starttls);
    assert_string_equal(s->cache_dir, "/tmp/c");
    assert_string_equal(s->log_level, "warn");
    assert_int_equal(s->limits.sessions, 100); /* the file's */
    settings_release(&s);
}

static void refuse_source(struct fixture *fix, const struct config_source *source, const char *word)
{
    buf_reset(&fix->errors);
    assert_null(config_load(source, &fix->errors));
    assert_non_null(memmem(fix->errors.data, fix->errors.len, word, strlen(word)));
}

static void bad_command_lines_name_the_option(void **state)
{
    struct fixture *fix = *state;
    const char *url = "imaps://x";
    refuse_source(fix, &(struct config_source){.upstream_url = "x"}, "--upstream x: expected");
    refuse_source(fix,
                  &(struct config_source){.upstream_url = url, .listen = {"1143"}, .listen_n = 1},
                  "--listen 1143: expected");
    refuse_source(
        fix, &(struct config_source){.upstream_url = url, .listen = {"0.0.0.0:143"}, .listen_n = 1},
        "nobody could log in without TLS");
    refuse_source(fix, &(struct config_source){.upstream_url = url, .log_level = "x"},
                  "--log-level x: expected debug");
    refuse_source(fix, &(struct config_source){0}, "no upstream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(full_file_is_understood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_file_single_sections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_file_has_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_words_name_their_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_values_name_line_and_expectation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sections_must_be_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_syntax_names_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_file_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(command_line_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_command_lines_name_the_option, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
