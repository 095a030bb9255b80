#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "args.h"

enum { WORDS_MAX = 64 };

/* @line split at spaces; empty words cannot be given. */
static enum args_action parse(const char *line, struct config_source *source, char *copy,
                              struct buf *errors)
{
    char *argv[WORDS_MAX] = {(char[]){"imapcached"}};
    int argc = 1;
    char *save = NULL;
    strcpy(copy, line);
    for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
        assert_true(argc < WORDS_MAX - 1);
        argv[argc++] = w;
    }
    buf_reset(errors);
    return args_parse(argc, argv, source, errors);
}

static void options_are_understood(void **state)
{
    (void)state;
    char copy[2048];
    struct config_source source;
    struct buf errors;
    buf_init(&errors, 1024);
    assert_int_equal(parse("--upstream imaps://x --listen 127.0.0.1:1 --listen=[::1]:2 --cache /c "
                           "--config /f --log-level debug",
                           &source, copy, &errors),
                     ARGS_RUN);
    assert_string_equal(source.upstream_url, "imaps://x");
    assert_int_equal(source.listen_n, 2);
    assert_string_equal(source.listen[1], "[::1]:2");
    assert_string_equal(source.cache_dir, "/c");
    assert_string_equal(source.file, "/f");
    assert_string_equal(source.log_level, "debug");
    assert_int_equal(parse("--check-config --config /f", &source, copy, &errors), ARGS_CHECK);
    assert_null(source.upstream_url); /* nothing of the call before */
    assert_int_equal(parse("--version", &source, copy, &errors), ARGS_VERSION);
    assert_int_equal(parse("--upstream x --help", &source, copy, &errors), ARGS_HELP);
    assert_int_equal(parse("-h", &source, copy, &errors), ARGS_HELP);
    assert_int_equal(errors.len, 0);
    buf_fini(&errors);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    char copy[2048];
    struct config_source source;
    struct buf errors;
    buf_init(&errors, 1024);
    static const char *const bad[][2] = {
        {"--upstram x", "--upstram: unknown option"},
        {"-x", "-x: unknown option"},
        {"--upstream", "--upstream: a value is expected"},
        {"--check-config mail.conf", "mail.conf: an option is expected"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse(bad[i][0], &source, copy, &errors), ARGS_BAD);
        assert_non_null(memmem(errors.data, errors.len, bad[i][1], strlen(bad[i][1])));
    }
    char many[CONFIG_LISTEN_MAX * 24 + 64] = "";
    for (int i = 0; i <= CONFIG_LISTEN_MAX; i++) {
        strcat(many, "--listen 127.0.0.1:1 ");
    }
    assert_int_equal(parse(many, &source, copy, &errors), ARGS_BAD);
    assert_non_null(memmem(errors.data, errors.len, "at most", 7));
    buf_fini(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_understood),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
