#include "imaptest.h"

#include "imap/emit.h"
#include "imap/outcmd.h"

static struct buf out;

static const char *take(void)
{
    const char *copy = cstr(buf_slice(&out));
    buf_reset(&out);
    return copy;
}

static void relaying(void **state)
{
    (void)state;
    const char *may[] = {"() \"/\" INBOX",  "(\\A) NIL {3}\r\na)\"", "x \"a(\\\"\" y", "a{b", "~{2}\r\n\r\n",
                         "(a (b) c)(d)", "",  "\"{5}\"", "{0}\r\n"};
    const char *may_not[] = {"() \"/",       "((a)", "a)",       "a\r\nb",  "{5}\r\nabc",
                             "{x}\r\nabc",   "\"\r\n\"", "{5}",  "a\nb",   "{99999999999}\r\n", "\"\\\"",
                             "{3+}\r\nabc"};
    for (size_t i = 0; i < sizeof(may) / sizeof(may[0]); i++) {
        assert_true(emit_may_relay(slice_str(may[i])));
    }
    for (size_t i = 0; i < sizeof(may_not) / sizeof(may_not[0]); i++) {
        assert_false(emit_may_relay(slice_str(may_not[i])));
    }
    assert_false(emit_may_relay(slice_of("a\0b", 3)));
    assert_true(emit_may_relay(slice_of("{1}\r\n\0", 6)));
    buf_init(&out, 0);
    emit_human_text(&out, SLICE("go {5}"));
    assert_string_equal(take(), "go {5)");
    buf_fini(&out);
}

static const char *renamed(const char *text, const char *name)
{
    buf_reset(&out);
    emit_renamed(&out, slice_str(text), slice_str(name));
    return take();
}

static void the_client_s_own_command_is_named(void **state)
{
    (void)state;
    buf_init(&out, 0);
    const char *text = "BAD Error in IMAP command UID SEARCH: Unknown argument UID SEARCH";
    assert_string_equal(renamed(text, "SEARCH"), "BAD Error in IMAP command SEARCH: Unknown argument UID SEARCH");
    assert_string_equal(renamed(text, "UID SEARCH"), text);
    assert_string_equal(renamed(text, "UID SORT"), "BAD Error in IMAP command UID SORT: Unknown argument UID SEARCH");
    assert_string_equal(renamed("UID SORT", "SORT"), "SORT");
    assert_string_equal(renamed("NO UID FETCH no", "FETCH"), "NO FETCH no");
    const char *const kept[] = {"NO UID SORTED", "NO XUID SEARCH", "NO UID  SEARCH", "",
                                "UID ",          "NO [CANNOT] SEARCH", "UID"};
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        assert_string_equal(renamed(kept[i], "SORT"), kept[i]);
    }
    buf_fini(&out);
}

static void strings(void **state)
{
    (void)state;
    buf_init(&out, 0);
    emit_string(&out, SLICE("a \"b\\"));
    assert_string_equal(take(), "\"a \\\"b\\\\\"");
    emit_string(&out, SLICE("a\r\n"));
    assert_string_equal(take(), "{3}\r\na\r\n");
    emit_string(&out, SLICE("\xc3\xa4"));
    assert_string_equal(take(), "{2}\r\n\xc3\xa4");
    emit_astring(&out, SLICE("abc"));
    emit_astring(&out, SLICE(""));
    emit_astring(&out, SLICE("nil"));
    assert_string_equal(take(), "abc\"\"\"nil\"");
    emit_nstring(&out, (struct slice){NULL, 0});
    assert_string_equal(take(), "NIL");
    emit_mailbox(&out, SLICE("INBOX"));
    emit_mailbox(&out, SLICE("a"));
    assert_string_equal(take(), "INBOX\"a\"");
    emit_literal_header(&out, 4294967296, true);
    assert_string_equal(take(), "~{4294967296}\r\n");
    char longer[1100];
    memset(longer, 'x', sizeof(longer));
    emit_string(&out, slice_of(longer, sizeof(longer)));
    assert_true(slice_starts_nocase(buf_slice(&out), SLICE("{1100}\r\nxxx")));
    buf_fini(&out);
}

static void what_is_emitted_is_read_back(void **state)
{
    (void)state;
    buf_init(&out, 0);
    for (int c = 1; c < 256; c++) {
        char text[3] = {'a', (char)c, '\\'};
        for (size_t len = 1; len <= 3; len++) {
            buf_reset(&out);
            emit_astring(&out, slice_of(text, len));
            struct lexer lx;
            lexer_init(&lx, unit_of(buf_slice(&out)), LEXER_STRICT);
            assert_true(slice_eq(lexer_astring(&lx, &test_arena), slice_of(text, len)));
            lexer_end(&lx);
            assert_true(lexer_ok(&lx));
        }
    }
    buf_fini(&out);
}

static void lines(void **state)
{
    (void)state;
    buf_init(&out, 0);
    struct slice keywords[] = {SLICE("$X")};
    struct imap_flag_list flags = {IMAP_FLAG_SEEN | IMAP_FLAG_DRAFT | IMAP_FLAG_ANY, keywords, 1};
    emit_flags(&out, &flags);
    assert_string_equal(take(), "(\\Seen \\Draft $X \\*)");
    emit_number_response(&out, 3, "EXISTS");
    emit_tagged(&out, SLICE("a1"), "OK", "Done.");
    assert_string_equal(take(), "* 3 EXISTS\r\na1 OK Done.\r\n");
    buf_fini(&out);
}

static const char *relayed(const char *text)
{
    struct response r;
    assert_int_equal(response_parse(unit_of(slice_str(text)), &r), OK);
    emit_relayed(&out, &r);
    return take();
}

static void only_known_codes_are_relayed(void **state)
{
    (void)state;
    buf_init(&out, 0);
    assert_string_equal(relayed("t NO [TRYCREATE] No such mailbox"),
                        "NO [TRYCREATE] No such mailbox");
    assert_string_equal(relayed("t OK [COPYUID 1 2:3 4:5] Done"), "OK [COPYUID 1 2:3 4:5] Done");
    assert_string_equal(relayed("t OK [COPYUID 1 x 4:5] Done"), "OK Done");
    assert_string_equal(relayed("t NO [BADCHARSET (\"a]b\")] x"), "NO x");
    assert_string_equal(relayed("t NO [REFERRAL imap://x/] y"), "NO y");
    assert_string_equal(relayed("t NO [XFOO z] y"), "NO y");
    assert_string_equal(relayed("t OK [HIGHESTMODSEQ 9] y"), "OK y");
    assert_string_equal(relayed("t BAD a\rb\x01\xc3\xa4"), "BAD a?b???");
    assert_string_equal(relayed("t OK"), "OK Done.");
    assert_string_equal(relayed("t NO [XFOO z] [ALERT] y"), "NO (ALERT] y");
    buf_fini(&out);
}

static const char *flat(struct outcmd *cmd)
{
    outcmd_inline(cmd, &out);
    return take();
}

static void commands_in_parts(void **state)
{
    (void)state;
    struct outcmd cmd;
    buf_init(&out, 0);
    outcmd_init(&cmd);
    outcmd_str(&cmd, "APPEND ");
    outcmd_mailbox(&cmd, SLICE("a\"b"));
    outcmd_str(&cmd, " ");
    outcmd_string(&cmd, SLICE("\xc3\xa4"));
    outcmd_str(&cmd, " ");
    outcmd_u64(&cmd, 42);
    struct ranges set;
    ranges_init(&set, 0);
    ranges_add(&set, 1, 3);
    outcmd_str(&cmd, " ");
    outcmd_ranges(&cmd, &set);
    outcmd_str(&cmd, " ");
    outcmd_stream(&cmd, 99, true);
    assert_true(outcmd_ok(&cmd));
    assert_int_equal(cmd.parts_n, 4);
    assert_int_equal(cmd.parts[0].kind, OUTCMD_TEXT);
    ASSERT_TEXT(outcmd_part_bytes(&cmd, 0), "APPEND \"a\\\"b\" ");
    assert_int_equal(cmd.parts[1].kind, OUTCMD_LITERAL);
    ASSERT_TEXT(outcmd_part_bytes(&cmd, 1), "\xc3\xa4");
    ASSERT_TEXT(outcmd_part_bytes(&cmd, 2), " 42 1:3 ");
    assert_int_equal(cmd.parts[3].kind, OUTCMD_STREAM);
    assert_int_equal(cmd.parts[3].size, 99);
    assert_string_equal(flat(&cmd), "APPEND \"a\\\"b\" {2}\r\n\xc3\xa4 42 1:3 ~{99}\r\n");
    ranges_fini(&set);
    outcmd_fini(&cmd);
    buf_fini(&out);
}

static void nothing_ends_the_command(void **state)
{
    (void)state;
    struct outcmd cmd;
    buf_init(&out, 0);
    outcmd_init(&cmd);
    outcmd_string(&cmd, SLICE("x\r\nb LOGOUT"));
    assert_true(outcmd_ok(&cmd));
    assert_int_equal(cmd.parts[0].kind, OUTCMD_LITERAL);
    outcmd_reset(&cmd);
    outcmd_token(&cmd, SLICE("x\r\nb LOGOUT"));
    assert_false(outcmd_ok(&cmd));
    outcmd_reset(&cmd);
    outcmd_string(&cmd, SLICE("a\0b"));
    assert_false(outcmd_ok(&cmd));
    outcmd_reset(&cmd);
    for (int i = 0; i < OUTCMD_PARTS_MAX + 1; i++) {
        outcmd_literal(&cmd, SLICE("x"), false);
    }
    assert_false(outcmd_ok(&cmd));
    outcmd_str(&cmd, "x");
    assert_false(outcmd_ok(&cmd));
    outcmd_fini(&cmd);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(relaying),
        TEST(strings),
        TEST(the_client_s_own_command_is_named),
        TEST(what_is_emitted_is_read_back),
        TEST(lines),
        TEST(only_known_codes_are_relayed),
        TEST(commands_in_parts),
        TEST(nothing_ends_the_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
