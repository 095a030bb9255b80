#include "imaptest.h"

#include "everysplit.h"
#include "imap/reader.h"
#include "imap/respdata.h"
#include "imap/flags.h"
#include "imap/respfetch.h"

static struct response r;

static enum status parse(const char *text)
{
    return response_parse(unit_of(slice_str(text)), &r);
}

static void states_and_codes(void **state)
{
    (void)state;
    assert_int_equal(parse("* OK [CAPABILITY IMAP4rev1 IDLE] ready"), OK);
    assert_int_equal(r.kind, RESPONSE_STATE);
    assert_int_equal(r.code, CODE_CAPABILITY);
    ASSERT_TEXT(r.code_args, "IMAP4rev1 IDLE");
    ASSERT_TEXT(r.text, "ready");
    assert_int_equal(parse("t1 NO [OVERQUOTA] Quota {5}"), OK);
    assert_int_equal(r.kind, RESPONSE_TAGGED);
    assert_int_equal(r.cond, COND_NO);
    ASSERT_TEXT(r.tag, "t1");
    ASSERT_TEXT(r.text, "Quota {5}");
    assert_int_equal(parse("* OK [PERMANENTFLAGS (\\Seen a]b \\*)] Flags"), OK);
    assert_int_equal(r.code, CODE_PERMANENTFLAGS);
    ASSERT_TEXT(r.code_args, "(\\Seen a]b \\*)");
    assert_int_equal(parse("* OK [HIGHESTMODSEQ 5]"), OK);
    uint64_t number;
    assert_true(respdata_code_number(&r, &number) && number == 5);
    assert_int_equal(r.text.len, 0);
    assert_int_equal(parse("* bye"), OK);
    assert_int_equal(r.cond, COND_BYE);
    assert_int_equal(parse("* NO [XFOO bar] x"), OK);
    assert_int_equal(r.code, CODE_OTHER);
    ASSERT_TEXT(r.code_name, "XFOO");
    assert_int_equal(parse("* NO [broken"), OK);
    assert_int_equal(r.code, CODE_NONE);
    ASSERT_TEXT(r.text, "[broken");
    assert_int_equal(parse("* NO [X (\"unclosed] text"), OK);
    ASSERT_TEXT(r.text, "text");
    assert_int_equal(parse("+ aGk="), OK);
    assert_int_equal(r.kind, RESPONSE_CONTINUE);
    ASSERT_TEXT(r.text, "aGk=");
    assert_int_equal(parse("+"), OK);
}

static void kinds(void **state)
{
    (void)state;
    assert_int_equal(parse("* 23 EXISTS"), OK);
    assert_int_equal(r.kind, RESPONSE_EXISTS);
    assert_int_equal(r.number, 23);
    assert_int_equal(parse("* 0 recent"), OK);
    assert_int_equal(r.kind, RESPONSE_RECENT);
    assert_int_equal(parse("* 4294967295 EXPUNGE"), OK);
    assert_int_equal(r.kind, RESPONSE_EXPUNGE);
    assert_int_equal(parse("* 5 FOO bar"), OK);
    assert_int_equal(r.kind, RESPONSE_OTHER);
    assert_int_equal(parse("* SEARCH"), OK);
    assert_int_equal(r.kind, RESPONSE_SEARCH);
    assert_int_equal(parse("* XYZ 1 2"), OK);
    assert_int_equal(r.kind, RESPONSE_OTHER);
    ASSERT_TEXT(r.data.text, "XYZ 1 2");
    static const char *const bad[] = {"",
                                      "*",
                                      "* ",
                                      "*OK",
                                      "* 4294967296 EXISTS",
                                      "* 0 EXPUNGE",
                                      "* 0 FETCH (UID 1)",
                                      "* 5",
                                      "* 5x EXISTS",
                                      "t1",
                                      "t1 ",
                                      "t1 FOO",
                                      "t1 BYE x",
                                      " * OK",
                                      "t+1 OK",
                                      "\x01 OK"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i]), SYNTAX);
    }
    for (int code = CODE_OTHER + 1; code < CODE_N; code++) {
        const char *name = response_code_name((enum response_code)code);
        assert_int_equal(response_code_find(slice_str(name)), code);
    }
    assert_true(response_code_is_relayed(CODE_TRYCREATE));
    assert_false(response_code_is_relayed(CODE_CAPABILITY));
    assert_false(response_code_is_relayed(CODE_NONE));
}

static void fetch_items_one_by_one(void **state)
{
    (void)state;
    assert_int_equal(
        parse("* 12 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (77) BODY[HEADER.FIELDS (\"A\")]"
              " {4}\r\nA:\r\n ENVELOPE (NIL \"(\") X-GM-LABELS (\\Inbox \"a b\"))"),
        OK);
    struct respfetch it;
    struct respfetch_item item;
    uint64_t number;
    respfetch_init(&it, &r);
    assert_int_equal(respfetch_next(&it, &item), OK);
    assert_int_equal(item.kind, FETCH_UID);
    assert_true(respfetch_number(&item, &number) && number == 5);
    assert_int_equal(respfetch_next(&it, &item), OK);
    assert_int_equal(item.kind, FETCH_FLAGS);
    ASSERT_TEXT(item.value.raw, "(\\Seen)");
    assert_false(respfetch_number(&item, &number));
    assert_int_equal(respfetch_next(&it, &item), OK);
    assert_true(respfetch_number(&item, &number) && number == 77);
    assert_int_equal(respfetch_next(&it, &item), OK);
    assert_int_equal(item.kind, FETCH_SECTION);
    ASSERT_TEXT(item.name, "BODY[HEADER.FIELDS (\"A\")]");
    ASSERT_TEXT(item.value.content, "A:\r\n");
    assert_int_equal(respfetch_next(&it, &item), OK);
    ASSERT_TEXT(item.value.raw, "(NIL \"(\")");
    assert_int_equal(respfetch_next(&it, &item), OK);
    assert_int_equal(item.kind, FETCH_GM_LABELS);
    assert_int_equal(respfetch_next(&it, &item), END);
    assert_int_equal(respfetch_next(&it, &item), END);
}

static enum status walk(const char *text)
{
    struct respfetch it;
    struct respfetch_item item;
    enum status st = parse(text);
    assert_int_equal(st, OK);
    respfetch_init(&it, &r);
    while ((st = respfetch_next(&it, &item)) == OK) {
    }
    assert_int_equal(respfetch_next(&it, &item), st);
    return st;
}

static void broken_fetches(void **state)
{
    (void)state;
    assert_int_equal(walk("* 1 FETCH ()"), END);
    assert_int_equal(walk("* 1 FETCH  ( UID  1 ) "), END);
    static const char *const bad[] = {"* 1 FETCH ",
                                      "* 1 FETCH (UID 1",
                                      "* 1 FETCH (UID)",
                                      "* 1 FETCH (UID 1) x",
                                      "* 1 FETCH UID 1",
                                      "* 1 FETCH (UID 1 FLAGS)",
                                      "* 1 FETCH (BODY[] {9}\r\nabc)",
                                      "* 1 FETCH (ENVELOPE (()",
                                      "* 1 FETCH (BODY[\"] x)",
                                      "* 1 FETCH (BODY[] {99999999999999999999}"
                                      "\r\n)",
                                      "* 1 FETCH (A \"x)"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(walk(bad[i]), SYNTAX);
    }
}

static enum status pending(const char *text, struct respfetch_pending *out)
{
    struct unit_hole hole = {strlen(text), 1234};
    return respfetch_pending((struct unit){.text = slice_str(text), .holes = &hole, .holes_n = 1},
                             out);
}

static void the_literal_that_is_coming(void **state)
{
    (void)state;
    struct respfetch_pending p;
    assert_int_equal(pending("* 9 FETCH (UID 7 FLAGS () BODY[1]<0> {1234}\r\n", &p), OK);
    assert_true(p.number == 9 && p.uid == 7 && p.kind == FETCH_SECTION && p.size == 1234);
    ASSERT_TEXT(p.name, "BODY[1]<0>");
    assert_int_equal(pending("* 9 FETCH (BINARY[1] ~{1234}\r\n", &p), OK);
    assert_true(p.uid == 0 && p.is_literal8);
    assert_int_equal(pending("* 9 FETCH (ENVELOPE (NIL {1234}\r\n", &p), NOT_FOUND);
    assert_int_equal(pending("* 9 FETCH (BODY[HEADER.FIELDS ({1234}\r\n", &p), NOT_FOUND);
    assert_int_equal(pending("* LIST () NIL {1234}\r\n", &p), NOT_FOUND);
    assert_int_equal(pending("* 0 FETCH (BODY[] {1234}\r\n", &p), SYNTAX);
}

static void fillers(void **state)
{
    (void)state;
    static const char *const fillers[] = {
        "BODY[] NIL",
        "BODY[] {0}\r\n",
        "BODY[] \"\"",
        "FLAGS ()",
        "ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
        "BODY (\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)",
        "BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)",
        "INTERNALDATE \"01-Jan-1970 00:00:00 +0000\"",
        "RFC822.SIZE 0"};
    static const char *const values[] = {"BODY[] {1}\r\nx",
                                         "UID 0",
                                         "BODY[] \"x\"",
                                         "FLAGS (\\Seen)",
                                         "ENVELOPE (NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL)",
                                         "RFC822.SIZE 5"};
    struct respfetch it;
    struct respfetch_item item;
    for (size_t i = 0; i < COUNT(fillers) + COUNT(values); i++) {
        bool is_filler = i < COUNT(fillers);
        struct buf text;
        buf_init(&text, 0);
        buf_printf(&text, "* 1 FETCH (%s)", is_filler ? fillers[i] : values[i - COUNT(fillers)]);
        assert_int_equal(parse(cstr(buf_slice(&text))), OK);
        respfetch_init(&it, &r);
        assert_int_equal(respfetch_next(&it, &item), OK);
        assert_int_equal(respfetch_is_filler(&item), is_filler);
        buf_fini(&text);
    }
}

static void lists(void **state)
{
    (void)state;
    struct respdata_list list;
    assert_int_equal(parse("* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent \\\"x\""), OK);
    assert_int_equal(respdata_list(&r, &test_arena, &list), OK);
    assert_true(list.attrs == LIST_ATTR_HASNOCHILDREN && list.delimiter == '/');
    ASSERT_TEXT(list.attrs_raw, "\\HasNoChildren \\Sent");
    ASSERT_TEXT(list.mailbox, "Sent \"x");
    assert_int_equal(parse("* LSUB () NIL inbox (\"CHILDINFO\" (\"SUBSCRIBED\"))"), OK);
    assert_int_equal(respdata_list(&r, &test_arena, &list), OK);
    assert_false(list.has_delimiter);
    ASSERT_TEXT(list.mailbox, "INBOX");
    ASSERT_TEXT(list.extended, "(\"CHILDINFO\" (\"SUBSCRIBED\"))");
    assert_int_equal(parse("* LIST () \"\\\\\" {3}\r\na\r\n"), OK);
    assert_int_equal(respdata_list(&r, &test_arena, &list), OK);
    assert_int_equal(list.delimiter, '\\');
    ASSERT_TEXT(list.mailbox, "a\r\n");
    assert_int_equal(parse("* LIST () \"/\" R\xc3\xa9sum\xc3\xa9[]"), OK);
    assert_int_equal(respdata_list(&r, &test_arena, &list), OK);
    ASSERT_TEXT(list.mailbox, "R\xc3\xa9sum\xc3\xa9[]");
    static const char *const bad[] = {"* LIST",
                                      "* LIST () \"/\"",
                                      "* LIST x \"/\" y",
                                      "* LIST () \"//\" y",
                                      "* LIST () \"/\" (y)",
                                      "* LIST () \"/\" y z x"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i]), OK);
        assert_int_equal(respdata_list(&r, &test_arena, &list), SYNTAX);
    }
}

static void statuses(void **state)
{
    (void)state;
    struct slice mailbox;
    struct status_values values;
    assert_int_equal(parse("* STATUS \"a b\" (MESSAGES 3 UIDNEXT 9 FOO (x) MAILBOXID (F1) "
                           "APPENDLIMIT NIL HIGHESTMODSEQ 99999999999 )"),
                     OK);
    assert_int_equal(respdata_status(&r, &test_arena, &mailbox, &values), OK);
    ASSERT_TEXT(mailbox, "a b");
    assert_true(values.messages == 3 && values.uidnext == 9 && values.highestmodseq == 99999999999);
    ASSERT_TEXT(values.mailboxid, "F1");
    struct buf out;
    buf_init(&out, 0);
    status_values_write(&values, ~0u, &out);
    ASSERT_TEXT(buf_slice(&out), "MESSAGES 3 UIDNEXT 9 HIGHESTMODSEQ 99999999999 MAILBOXID (F1) "
                                 "APPENDLIMIT NIL");
    buf_reset(&out);
    status_items_write(STATUS_ITEM_UNSEEN | STATUS_ITEM_MESSAGES, &out);
    ASSERT_TEXT(buf_slice(&out), "MESSAGES UNSEEN");
    buf_fini(&out);
    assert_int_equal(parse("* STATUS INBOX ()"), OK); /* 163.com */
    assert_int_equal(respdata_status(&r, &test_arena, &mailbox, &values), OK);
    assert_int_equal(values.has, 0);
    assert_int_equal(parse("* STATUS INBOX (MESSAGES x)"), OK);
    assert_int_equal(respdata_status(&r, &test_arena, &mailbox, &values), SYNTAX);
    assert_int_equal(parse("* STATUS INBOX (MESSAGES 4294967296)"), OK);
    assert_int_equal(respdata_status(&r, &test_arena, &mailbox, &values), SYNTAX);
}

static const char *set_text(const struct ranges *set)
{
    struct buf out;
    buf_init(&out, 0);
    ranges_format(set, &out);
    const char *copy = cstr(buf_slice(&out));
    buf_fini(&out);
    return copy;
}

static void searches(void **state)
{
    (void)state;
    struct ranges set;
    uint64_t modseq;
    ranges_init(&set, 0);
    assert_int_equal(parse("* SEARCH 5 3 4 9  (MODSEQ 917162500)"), OK);
    assert_int_equal(respdata_search(&r, &set, &modseq), OK);
    assert_string_equal(set_text(&set), "3:5,9");
    assert_true(modseq == 917162500);
    assert_int_equal(parse("* SEARCH"), OK);
    assert_int_equal(respdata_search(&r, &set, &modseq), OK);
    assert_true(ranges_empty(&set));
    static const char *const bad[] = {"* SEARCH x", "* SEARCH 1 0", "* SEARCH 1 (MODSEQ 1) 2",
                                      "* SEARCH 4294967296", "* SEARCH 1,2"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i]), OK);
        assert_int_equal(respdata_search(&r, &set, &modseq), SYNTAX);
    }
    const uint32_t *numbers;
    size_t n;
    assert_int_equal(parse("* SORT 5 3 9"), OK);
    assert_int_equal(respdata_numbers(&r, &test_arena, &numbers, &n), OK);
    assert_true(n == 3 && numbers[0] == 5 && numbers[1] == 3);
    struct respdata_esearch es;
    assert_int_equal(parse("* ESEARCH (TAG \"A2\") UID MIN 2 COUNT 3 ALL 7,2,4 FOO (x) MODSEQ 8"),
                     OK);
    assert_int_equal(respdata_esearch(&r, &es, &set), OK);
    ASSERT_TEXT(es.tag, "A2");
    assert_true(es.is_uid && es.has_min && es.min == 2 && !es.has_max && es.count == 3 &&
                es.modseq == 8);
    assert_string_equal(set_text(&set), "2,4,7");
    assert_int_equal(parse("* ESEARCH (TAG \"A2\") UID"), OK);
    assert_int_equal(respdata_esearch(&r, &es, &set), OK);
    assert_true(es.is_uid && !es.has_all && ranges_empty(&set));
    assert_int_equal(parse("* ESEARCH COUNT x"), OK);
    assert_int_equal(respdata_esearch(&r, &es, &set), SYNTAX);
    ranges_fini(&set);
}

static void sets_of_codes_and_vanished(void **state)
{
    (void)state;
    struct ranges set;
    bool is_earlier;
    ranges_init(&set, 4);
    assert_int_equal(parse("* VANISHED (EARLIER) 300:310,405,1:4294967295"), OK);
    assert_int_equal(respdata_vanished(&r, &is_earlier, &set), OK);
    assert_true(is_earlier);
    assert_string_equal(set_text(&set), "1:4294967295");
    assert_int_equal(parse("* VANISHED 9,7,5,3,1"), OK);
    assert_int_equal(respdata_vanished(&r, &is_earlier, &set), LIMIT);
    assert_int_equal(parse("* VANISHED 1:*"), OK);
    assert_int_equal(respdata_vanished(&r, &is_earlier, &set), SYNTAX);
    struct respdata_uidset uids;
    assert_int_equal(parse("t OK [COPYUID 38505 304,319:320 3956:3958] Done"), OK);
    assert_int_equal(respdata_copyuid(&r, &uids), OK);
    assert_int_equal(uids.uidvalidity, 38505);
    ASSERT_TEXT(uids.source, "304,319:320");
    ASSERT_TEXT(uids.dest, "3956:3958");
    assert_int_equal(respdata_appenduid(&r, &uids), NOT_FOUND);
    assert_int_equal(parse("t OK [APPENDUID 38505 3955] Done"), OK);
    assert_int_equal(respdata_appenduid(&r, &uids), OK);
    assert_int_equal(parse("t OK [APPENDUID 38505 x] Done"), OK);
    assert_int_equal(respdata_appenduid(&r, &uids), SYNTAX);
    assert_int_equal(parse("t OK [COPYUID 38505  ] Done"), OK);
    assert_int_equal(respdata_copyuid(&r, &uids), SYNTAX);
    assert_int_equal(parse("t OK [MODIFIED 7,9] x"), OK);
    assert_int_equal(respdata_modified(&r, &set), OK);
    assert_string_equal(set_text(&set), "7,9");
    ranges_fini(&set);
    struct slice rest = SLICE(" IMAP4rev1  IDLE");
    struct slice word;
    assert_true(respdata_word(&rest, &word));
    ASSERT_TEXT(word, "IMAP4rev1");
    assert_true(respdata_word(&rest, &word));
    assert_false(respdata_word(&rest, &word));
}

static uint32_t drop_or_raise(void *arg, uint32_t number)
{
    const char *gone = arg;
    return strchr(gone, (char)('0' + number)) != NULL ? 0 : number + 10;
}

static const char *threads(const char *text, const char *gone)
{
    char copy[16];
    struct buf out;
    buf_init(&out, 0);
    assert_int_equal(parse(text), OK);
    (void)strncpy(copy, gone, sizeof(copy) - 1);
    copy[sizeof(copy) - 1] = '\0';
    enum status st = respdata_thread_map(&r, drop_or_raise, copy, &out);
    const char *result = st == OK ? cstr(buf_slice(&out)) : status_name(st);
    buf_fini(&out);
    return result;
}

static void threads_are_mapped(void **state)
{
    (void)state;
    assert_string_equal(threads("* THREAD (2)(3 6 (4 7)(8 9 1))", ""),
                        "(12)(13 16 (14 17)(18 19 11))");
    assert_string_equal(threads("* THREAD ((3)(5))", ""), "((13)(15))");
    assert_string_equal(threads("* THREAD (2)(3 6) (MODSEQ 12345678901)", ""), "(12)(13 16)");
    assert_string_equal(threads("* THREAD (3 (MODSEQ 9))", ""), status_name(SYNTAX));
    assert_string_equal(threads("* THREAD (2)(3 6)", "26"), "(13)");
    assert_string_equal(threads("* THREAD (3 (4)(5))", "3"), "((14)(15))");
    assert_string_equal(threads("* THREAD (3 (4)(5))", "4"), "(13 15)");
    assert_string_equal(threads("* THREAD (3 (4 (6)(7))(5))", "4"), "(13 (16)(17)(15))");
    assert_string_equal(threads("* THREAD (1 (4 (6)(7))(5))", "14"), "((16)(17)(15))");
    assert_string_equal(threads("* THREAD (1 2 3)", "123"), "");
    assert_string_equal(threads("* THREAD", ""), "");
    assert_string_equal(threads("* THREAD (1", ""), "SYNTAX");
    assert_string_equal(threads("* THREAD 1)", ""), "SYNTAX");
    assert_string_equal(threads("* THREAD (x)", ""), "SYNTAX");
    assert_string_equal(threads("* THREAD (0)", ""), "SYNTAX");
}

static void threads_have_limits(void **state)
{
    (void)state;
    struct buf text;
    struct buf out;
    buf_init(&text, 0);
    buf_init(&out, 0);
    buf_add_str(&text, "* THREAD ");
    for (int i = 0; i < LEXER_DEPTH_MAX + 1; i++) {
        buf_add_str(&text, "(1 (2)");
    }
    assert_int_equal(response_parse(unit_of(buf_slice(&text)), &r), OK);
    assert_int_equal(respdata_thread_map(&r, drop_or_raise, "", &out), LIMIT);
    buf_reset(&text);
    buf_add_str(&text, "* THREAD (1");
    for (int i = 0; i < 1 << 20; i++) {
        buf_add_str(&text, " 1");
    }
    buf_add_str(&text, ")");
    assert_int_equal(response_parse(unit_of(buf_slice(&text)), &r), OK);
    assert_int_equal(respdata_thread_map(&r, drop_or_raise, "", &out), LIMIT);
    buf_reset(&text);
    buf_add_str(&text, "* THREAD (1");
    for (int i = 0; i < 100000; i++) {
        buf_add_str(&text, " 1"); /* one long chain: no recursion */
    }
    buf_add_str(&text, ")");
    assert_int_equal(response_parse(unit_of(buf_slice(&text)), &r), OK);
    assert_int_equal(respdata_thread_map(&r, drop_or_raise, "", &out), OK);
    assert_int_equal(out.len, 3 * 100001 + 1);
    buf_fini(&text);
    buf_fini(&out);
}

static void flag_walk(void **state)
{
    (void)state;
    struct flag_iter it;
    unsigned system;
    struct slice name;
    flag_iter_init(&it, SLICE("(\\Seen $X NIL \\Foo \\*)"));
    assert_int_equal(flag_iter_next(&it, &system, &name), OK);
    assert_int_equal(system, IMAP_FLAG_SEEN);
    assert_int_equal(flag_iter_next(&it, &system, &name), OK);
    assert_int_equal(system, 0);
    ASSERT_TEXT(name, "$X");
    assert_int_equal(flag_iter_next(&it, &system, &name), OK);
    ASSERT_TEXT(name, "NIL");
    assert_int_equal(flag_iter_next(&it, &system, &name), OK);
    ASSERT_TEXT(name, "\\Foo");
    assert_int_equal(flag_iter_next(&it, &system, &name), OK);
    assert_int_equal(system, IMAP_FLAG_ANY);
    assert_int_equal(flag_iter_next(&it, &system, &name), END);
    flag_iter_init(&it, SLICE("(\\Seen"));
    assert_int_equal(flag_iter_next(&it, &system, &name), OK);
    assert_int_equal(flag_iter_next(&it, &system, &name), SYNTAX);
    flag_iter_init(&it, SLICE("((x))"));
    assert_int_equal(flag_iter_next(&it, &system, &name), SYNTAX);
}

/* From bytes to items, body literals streamed, cut anywhere. */
static void run_responses(void *arg, const struct slice *pieces, size_t n, struct buf *trace)
{
    (void)arg;
    struct reader reader;
    struct reader_limits limits = {8192, 65536, 64};
    reader_init(&reader, READER_SERVER, &limits);
    for (size_t i = 0; i < n; i++) {
        size_t used;
        enum reader_event event;
        for (size_t at = 0; (event = reader_feed(&reader, slice_sub(pieces[i], at, pieces[i].len),
                                                 &used)) != READER_MORE;
             at += used) {
            struct respfetch_pending p;
            if (event == READER_LITERAL) {
                if (respfetch_pending(reader_unit(&reader), &p) == OK) {
                    buf_printf(trace, "%u/%u %.*s<", p.number, p.uid, SLICE_ARG(p.name));
                    reader_stream(&reader);
                } else {
                    (void)reader_collect(&reader);
                }
            } else if (event == READER_LITERAL_DATA) {
                buf_add(trace, reader.data);
            } else if (event == READER_LITERAL_END) {
                buf_add_str(trace, ">");
            } else if (event == READER_LINE) {
                struct response resp;
                struct respfetch it;
                struct respfetch_item item;
                buf_printf(trace, "[%s", status_name(response_parse(reader_unit(&reader), &resp)));
                respfetch_init(&it, &resp);
                while (resp.kind == RESPONSE_FETCH && respfetch_next(&it, &item) == OK) {
                    buf_printf(trace, " %.*s=%d:", SLICE_ARG(item.name), (int)item.value.kind);
                    buf_add(trace, item.value.content);
                }
                buf_add_str(trace, "]");
                reader_next(&reader);
            }
        }
    }
    reader_fini(&reader);
}

static void any_split_gives_the_same_items(void **state)
{
    (void)state;
    struct buf want;
    struct buf got;
    buf_init(&want, 0);
    buf_init(&got, 0);
    assert_true(everysplit_same(
        run_responses, NULL,
        SLICE("* 2 FETCH (UID 9 BODY[] {9}\r\n)\r\n* 3 FE RFC822.SIZE 9 ENVELOPE (\"d\" "
              "{3}\r\nx\r\n NIL))\r\n"
              "* 3 FETCH (BODY[1] {0}\r\n UID 4 BODY[2] {1}\r\n\r)\n* OK {3}\r\n* 4 EXISTS\r\n"),
        &want, &got));
    ASSERT_TEXT(buf_slice(&want),
                "2/9 BODY[]<)\r\n* 3 FE>[OK UID=1:9 BODY[]=4: RFC822.SIZE=1:9 ENVELOPE=5:]"
                "3/0 BODY[1]<>3/4 BODY[2]<\r>[OK BODY[1]=4: UID=1:4 BODY[2]=4:][OK][OK]");
    buf_fini(&want);
    buf_fini(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(states_and_codes),
        TEST(kinds),
        TEST(fetch_items_one_by_one),
        TEST(broken_fetches),
        TEST(the_literal_that_is_coming),
        TEST(fillers),
        TEST(lists),
        TEST(statuses),
        TEST(searches),
        TEST(sets_of_codes_and_vanished),
        TEST(threads_are_mapped),
        TEST(threads_have_limits),
        TEST(flag_walk),
        TEST(any_split_gives_the_same_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
