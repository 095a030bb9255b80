#include "imaptest.h"

#include "everysplit.h"
#include "imap/command.h"
#include "imap/reader.h"

static struct command cmd;

static enum status parse(const char *text)
{
    return command_parse(unit_of(slice_str(text)), &test_arena, &cmd);
}

static void the_table(void **state)
{
    (void)state;
    const struct command_info *info = command_find(SLICE("fetch"), false);
    assert_int_equal(info->id, CMD_FETCH);
    assert_int_equal(info->flags, COMMAND_USES_SEQ);
    info = command_find(SLICE("Fetch"), true);
    assert_int_equal(info->flags, COMMAND_BREAKS_SEQ | COMMAND_UID_FORM);
    assert_null(command_find(SLICE("LOGIN"), true));
    assert_null(command_find(SLICE("FETC"), false));
    assert_null(command_find(SLICE(""), false));
    assert_true((command_find(SLICE("SELECT"), false)->flags & COMMAND_BREAKS_MAILBOX) != 0);
    assert_true((command_find(SLICE("APPEND"), false)->flags & COMMAND_STREAMS) != 0);
    /* every command of the table parses or refuses, none without a parser */
    for (int id = 0; id < CMD_N; id++) {
        bool found = false;
        const char *const names[] = {
            "CAPABILITY",   "NOOP",        "LOGOUT",      "ID",        "STARTTLS",
            "AUTHENTICATE", "LOGIN",       "COMPRESS",    "ENABLE",    "SELECT",
            "EXAMINE",      "CREATE",      "DELETE",      "RENAME",    "SUBSCRIBE",
            "UNSUBSCRIBE",  "LIST",        "LSUB",        "XLIST",     "NAMESPACE",
            "STATUS",       "APPEND",      "IDLE",        "GETQUOTA",  "GETQUOTAROOT",
            "SETQUOTA",     "GETACL",      "SETACL",      "DELETEACL", "LISTRIGHTS",
            "MYRIGHTS",     "GETMETADATA", "SETMETADATA", "CHECK",     "CLOSE",
            "UNSELECT",     "EXPUNGE",     "SEARCH",      "SORT",      "THREAD",
            "FETCH",        "STORE",       "COPY",        "MOVE"};
        for (size_t i = 0; i < COUNT(names); i++) {
            info = command_find(slice_str(names[i]), false);
            found = found || (info != NULL && (int)info->id == id);
        }
        assert_true(found);
    }
}

static void tags_and_names(void **state)
{
    (void)state;
    assert_int_equal(parse("A1 noop"), OK);
    ASSERT_TEXT(cmd.tag, "A1");
    assert_int_equal(cmd.info->id, CMD_NOOP);
    assert_int_equal(parse("1.81 CAPABILITY "), OK);
    assert_int_equal(parse("A1 noop x"), SYNTAX);
    ASSERT_TEXT(cmd.tag, "A1");
    assert_non_null(cmd.problem);
    assert_int_equal(parse("A1 FROBNICATE x"), NOT_FOUND);
    assert_int_equal(parse("A1 UID NOOP"), NOT_FOUND);
    const char *const bad_tags[] = {"+ NOOP", "* NOOP", "a+b NOOP", "", " NOOP", "\"a\" NOOP"};
    for (size_t i = 0; i < COUNT(bad_tags); i++) {
        assert_int_equal(parse(bad_tags[i]), SYNTAX);
        assert_int_equal(cmd.tag.len, 0);
    }
    assert_int_equal(parse("A1"), SYNTAX);
    ASSERT_TEXT(cmd.tag, "A1");
}

static void login_and_authenticate(void **state)
{
    (void)state;
    assert_int_equal(parse("a LOGIN joe@x \"p\\\"w\""), OK);
    ASSERT_TEXT(cmd.args.login.user, "joe@x");
    ASSERT_TEXT(cmd.args.login.password, "p\"w");
    assert_int_equal(parse("a login {3}\r\njoe {5}\r\np\xc3\xa4\" "), OK);
    ASSERT_TEXT(cmd.args.login.password, "p\xc3\xa4\" ");
    assert_int_equal(parse("a LOGIN joe"), SYNTAX);
    assert_int_equal(parse("a LOGIN joe pw x"), SYNTAX);
    assert_int_equal(parse("a AUTHENTICATE PLAIN"), OK);
    assert_false(cmd.args.authenticate.has_initial);
    assert_int_equal(parse("a authenticate plain AGpvZQBwdw=="), OK);
    ASSERT_TEXT(cmd.args.authenticate.mechanism, "plain");
    ASSERT_TEXT(cmd.args.authenticate.initial, "AGpvZQBwdw==");
    assert_int_equal(parse("a AUTHENTICATE XOAUTH2 ="), OK);
    assert_true(cmd.args.authenticate.has_initial);
    assert_int_equal(cmd.args.authenticate.initial.len, 0);
    assert_int_equal(parse("a AUTHENTICATE PLAIN \"x\""), SYNTAX);
    assert_int_equal(parse("a AUTHENTICATE PLAIN a b"), SYNTAX);
}

static void id_and_enable(void **state)
{
    (void)state;
    assert_int_equal(parse("2 ID (\"name\" \"iPhone Mail\" \"event\" NIL)"), OK);
    assert_int_equal(cmd.args.words.n, 4);
    ASSERT_TEXT(cmd.args.words.at[1], "iPhone Mail");
    assert_null(cmd.args.words.at[3].data);
    assert_int_equal(parse("2 ID NIL"), OK);
    assert_int_equal(parse("2 ID ()"), OK);
    assert_int_equal(parse("2 ID (\"name\")"), SYNTAX);
    assert_int_equal(parse("2 ENABLE CONDSTORE UTF8=ACCEPT QRESYNC"), OK);
    assert_int_equal(cmd.args.words.n, 3);
    ASSERT_TEXT(cmd.args.words.at[1], "UTF8=ACCEPT");
    assert_int_equal(parse("2 ENABLE"), SYNTAX);
}

static void select_forms(void **state)
{
    (void)state;
    assert_int_equal(parse("a SELECT \"inBox\""), OK);
    ASSERT_TEXT(cmd.args.select.mailbox, "INBOX");
    assert_int_equal(parse("a EXAMINE inbox/x (CONDSTORE)"), OK);
    ASSERT_TEXT(cmd.args.select.mailbox, "inbox/x");
    assert_true(cmd.args.select.is_condstore && !cmd.args.select.is_qresync);
    assert_int_equal(parse("a SELECT {5}\r\nA \"b\\ (QRESYNC (67890007 20050715194045000 41,43:211 "
                           "(1:5 41:45)))"),
                     OK);
    struct args_select *s = &cmd.args.select;
    ASSERT_TEXT(s->mailbox, "A \"b\\");
    assert_int_equal(s->uidvalidity, 67890007);
    assert_true(s->modseq == 20050715194045000);
    assert_int_equal(s->known_uids.n, 2);
    assert_int_equal(s->match_seqs.parts[0].last, 5);
    assert_int_equal(s->match_uids.parts[0].first, 41);
    assert_int_equal(parse("a SELECT x (QRESYNC (1 2))"), OK);
    assert_int_equal(parse("a SELECT x (QRESYNC (1 2 (1 3)))"), OK);
    assert_int_equal(s->known_uids.n, 0);
    assert_int_equal(s->match_uids.n, 1);
    assert_int_equal(parse("a SELECT x (QRESYNC (1 2) CONDSTORE)"), OK);
    const char *const bad[] = {"a SELECT",
                               "a SELECT x (",
                               "a SELECT x ()",
                               "a SELECT x (FOO)",
                               "a SELECT x (QRESYNC (0 2))",
                               "a SELECT x (QRESYNC (1))",
                               "a SELECT x (QRESYNC (1 2 1:*))",
                               "a SELECT x (QRESYNC (1 2 1 (1)))",
                               "a SELECT x y",
                               "a SELECT x (QRESYNC (1 2 $))"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i]), SYNTAX);
    }
}

static void names_and_lists(void **state)
{
    (void)state;
    assert_int_equal(parse("a CREATE \"Sent Mail\" (USE (\\Sent \\X))"), OK);
    assert_int_equal(cmd.args.create.uses_n, 2);
    assert_int_equal(parse("a CREATE x (USE ())"), OK);
    assert_int_equal(cmd.args.create.uses_n, 0);
    assert_int_equal(parse("a CREATE x (USE)"), SYNTAX);
    assert_int_equal(parse("a CREATE x (USE (\\Sent)"), SYNTAX);
    assert_int_equal(parse("a CREATE x"), OK);
    assert_int_equal(parse("a CREATE x (FOO)"), SYNTAX);
    assert_int_equal(parse("a RENAME Inbox b"), OK);
    ASSERT_TEXT(cmd.args.rename.from, "INBOX");
    assert_int_equal(parse("a DELETE b"), OK);
    assert_int_equal(parse("a LIST \"\" \"*\""), OK);
    assert_false(cmd.args.list.is_extended);
    ASSERT_TEXT(cmd.args.list.patterns[0], "*");
    assert_int_equal(parse("a LIST \"\" %/x*"), OK);
    assert_int_equal(parse("A4 LIST \"\" \"*\" RETURN (SPECIAL-USE)"), OK);
    assert_int_equal(cmd.args.list.options, LIST_RETURN_SPECIAL_USE);
    assert_int_equal(parse("a LIST (SUBSCRIBED RECURSIVEMATCH) \"r\" (\"a\" b*) "
                           "RETURN (CHILDREN STATUS (MESSAGES SIZE) SUBSCRIBED)"),
                     OK);
    assert_int_equal(cmd.args.list.patterns_n, 2);
    assert_int_equal(cmd.args.list.status_items, STATUS_ITEM_MESSAGES | STATUS_ITEM_SIZE);
    assert_true((cmd.args.list.options & LIST_RETURN_STATUS) != 0);
    assert_int_equal(parse("a LIST () \"\" x RETURN ()"), OK);
    assert_int_equal(parse("a LIST (FOO) \"\" x"), SYNTAX);
    assert_int_equal(parse("a LIST \"\" x RETURN (FOO)"), SYNTAX);
    assert_int_equal(parse("a LIST \"\""), SYNTAX);
    assert_int_equal(parse("a LSUB \"\" \"*\""), OK);
    assert_int_equal(parse("a STATUS inbox (UIDNEXT messages)"), OK);
    assert_int_equal(cmd.args.status.items, STATUS_ITEM_MESSAGES | STATUS_ITEM_UIDNEXT);
    assert_int_equal(parse("a STATUS x ()"), SYNTAX);
    assert_int_equal(parse("a STATUS x (FOO)"), SYNTAX);
}

static void append_heads(void **state)
{
    (void)state;
    struct slice text = SLICE("a APPEND \"Sent\" (\\Seen $X \\seen) \" 1-feb-2026 10:11:12 +0100\" "
                              "{310+}\r\n");
    struct unit_hole hole = {text.len, 310};
    struct unit unit = {.text = text, .holes = &hole, .holes_n = 1};
    assert_int_equal(command_parse_append(unit, &test_arena, &cmd), OK);
    ASSERT_TEXT(cmd.args.append.mailbox, "Sent");
    assert_int_equal(cmd.args.append.messages[0].flags.system, IMAP_FLAG_SEEN);
    assert_int_equal(cmd.args.append.messages[0].flags.keywords_n, 1);
    ASSERT_TEXT(cmd.args.append.messages[0].date, " 1-Feb-2026 10:11:12 +0100");
    assert_int_equal(cmd.args.append.messages[0].size, 310);
    assert_int_equal(command_parse(unit, &test_arena, &cmd), OK);
    /* the mailbox is a literal that is still to come */
    text = SLICE("a APPEND {4}\r\n");
    hole.offset = text.len;
    unit.text = text;
    assert_int_equal(command_parse_append(unit, &test_arena, &cmd), AGAIN);
    /* something after the message */
    text = SLICE("a APPEND x {310}\r\n {3}\r\n");
    unit.text = text;
    hole.offset = text.len - 6;
    assert_int_equal(command_parse(unit, &test_arena, &cmd), SYNTAX);
    ASSERT_TEXT(cmd.tag, "a");
}

static void append_refusals(void **state)
{
    (void)state;
    const char *const bad[] = {"a APPEND x (\\Recent) {3}\r\n", "a APPEND x (\\Foo) {3}\r\n",
                               "a APPEND x \"32-Feb-2026 10:11:12 +0100\" {3}\r\n",
                               "a APPEND x y {3}\r\n", "a APPEND {3}\r\nabc {2}\r\n x{3}\r\n"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct unit_hole hole = {strlen(bad[i]), 3};
        struct unit unit = {.text = slice_str(bad[i]), .holes = &hole, .holes_n = 1};
        assert_int_equal(command_parse_append(unit, &test_arena, &cmd), SYNTAX);
    }
    assert_int_equal(parse("a APPEND x"), SYNTAX);
    assert_int_equal(parse("a APPEND x (\\Seen)"), SYNTAX);
    assert_int_equal(parse("a APPEND x {3}\r\nabc y"), SYNTAX);
    assert_int_equal(parse("a APPEND x {3}\r\nabc (\\Seen)"), SYNTAX);
    assert_int_equal(parse("a APPEND x \"abc\""), SYNTAX);
}

/* RFC 3502: several messages in one command, kept or streamed. */
static void append_several(void **state)
{
    (void)state;
    assert_int_equal(parse("a APPEND x (\\Seen) {3}\r\nabc \" 1-Feb-2026 10:11:12 +0100\" ~{2+}\r\nde"), OK);
    const struct args_append *append = &cmd.args.append;
    assert_int_equal(append->n, 2);
    ASSERT_TEXT(append->messages[0].octets, "abc");
    assert_int_equal(append->messages[0].flags.system, IMAP_FLAG_SEEN);
    assert_false(append->messages[0].is_literal8);
    ASSERT_TEXT(append->messages[1].octets, "de");
    assert_true(append->messages[1].has_date && append->messages[1].is_literal8);
    /* the third is announced; then a fourth, behind it */
    struct slice text = SLICE("a APPEND x {1}\r\na {1}\r\nb {9}\r\n ($K) {310}\r\n");
    size_t end = text.len - strlen(" ($K) {310}\r\n");
    const struct unit_hole holes[] = {{end, 9}, {text.len, 310}};
    struct unit unit = {.text = slice_sub(text, 0, end), .holes = holes, .holes_n = 1};
    assert_int_equal(command_parse_append(unit, &test_arena, &cmd), OK);
    assert_int_equal(append->n, 3);
    assert_null(append->messages[2].octets.data);
    assert_int_equal(append->messages[2].size, 9);
    unit = (struct unit){.text = text, .holes = holes, .holes_n = 2};
    assert_int_equal(command_parse_append_more(unit_from(unit, end), &test_arena, &cmd), OK);
    assert_int_equal(append->n, 4);
    assert_int_equal(append->messages[3].size, 310);
    assert_int_equal(append->messages[3].flags.keywords_n, 1);
    assert_int_equal(command_parse(unit, &test_arena, &cmd), OK);
    assert_int_equal(append->n, 4);
}

static void fetch_forms(void **state)
{
    (void)state;
    assert_int_equal(parse("a UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345 VANISHED)"), OK);
    assert_true(command_is_uid(&cmd) && cmd.args.fetch.is_vanished);
    assert_int_equal(cmd.args.fetch.changedsince, 12345);
    assert_int_equal(parse("4.167 FETCH 1:41 (FLAGS UID)"), OK);
    assert_int_equal(cmd.args.fetch.items.n, 2);
    assert_int_equal(parse("a FETCH 1 ALL (CHANGEDSINCE 1)"), OK);
    assert_int_equal(cmd.args.fetch.items.n, 4);
    assert_int_equal(parse("a FETCH 1 PREVIEW (CHANGEDSINCE 1)"), OK);
    assert_true(cmd.args.fetch.has_changedsince);
    assert_int_equal(parse("a UID FETCH 133 (BODY.PEEK[3]<0.5877469> BODY.PEEK[1] BODY.PEEK[2])"),
                     OK);
    const char *const bad[] = {"a FETCH 1",          "a FETCH x FLAGS",
                               "a FETCH 1 ()",       "a FETCH 1 (ALL)",
                               "a FETCH 1 (FLAGS",   "a FETCH 1 FLAGS (FOO 1)",
                               "a FETCH 0 FLAGS",    "a FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
                               "a FETCH 1,, FLAGS",  "a UID FETCH 1 FLAGS (VANISHED)",
                               "a FETCH 1 FLAGS UID"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i]), SYNTAX);
    }
}

static void store_forms(void **state)
{
    (void)state;
    assert_int_equal(parse("56 uid store 141 +Flags (\\Seen)"), OK);
    assert_int_equal(cmd.args.store.mode, STORE_MODE_ADD);
    assert_false(cmd.args.store.is_silent);
    assert_int_equal(parse("a STORE 1:2 (UNCHANGEDSINCE 9) -FLAGS.SILENT \\Deleted $Junk"), OK);
    assert_true(cmd.args.store.is_silent && cmd.args.store.has_unchangedsince);
    assert_int_equal(cmd.args.store.flags.system, IMAP_FLAG_DELETED);
    ASSERT_TEXT(cmd.args.store.flags.keywords[0], "$Junk");
    assert_int_equal(parse("a STORE 1 FLAGS ()"), OK);
    assert_int_equal(cmd.args.store.mode, STORE_MODE_SET);
    assert_int_equal(parse("a STORE 1 +X-GM-LABELS.SILENT (\\Inbox \"a b\")"), OK);
    assert_int_equal(cmd.args.store.labels_n, 2);
    const char *const bad[] = {
        "a STORE 1 FLAGS (\\Recent)",  "a STORE 1 FLAGS \\Foo",      "a STORE 1 FLAGS",
        "a STORE 1 FLAG (x)",          "a STORE 1 FLAGS (\\*)",      "a STORE 1 FLAGS (x",
        "a STORE 1 (FOO 1) FLAGS (x)", "a STORE 1 FLAGS.SILENTx (x)"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i]), SYNTAX);
    }
}

static void search_forms(void **state)
{
    (void)state;
    assert_int_equal(
        parse("55 uid SEARCH CHARSET UTF-8 UNDELETED (OR SUBJECT \"x\" FROM {2}\r\nab)"), OK);
    ASSERT_TEXT(cmd.args.search.charset, "UTF-8");
    assert_int_equal(parse("a SEARCH RETURN () ALL"), OK);
    assert_int_equal(cmd.args.search.returns, SEARCH_RETURN_ALL);
    assert_int_equal(parse("a SEARCH RETURN (MIN COUNT SAVE) 1:* UNSEEN"), OK);
    assert_int_equal(cmd.args.search.returns,
                     SEARCH_RETURN_MIN | SEARCH_RETURN_COUNT | SEARCH_RETURN_SAVE);
    assert_int_equal(parse("a SORT (REVERSE date subject) UTF-8 ALL"), OK);
    ASSERT_TEXT(cmd.args.search.sort_program, "REVERSE DATE SUBJECT");
    assert_int_equal(parse("a UID THREAD references US-ASCII UNSEEN"), OK);
    assert_int_equal(cmd.args.search.algorithm, THREAD_REFERENCES);
    const char *const bad[] = {"a SEARCH",
                               "a SEARCH RETURN (FOO) ALL",
                               "a SORT (REVERSE) UTF-8 ALL",
                               "a SORT () UTF-8 ALL",
                               "a SORT (DATE) UTF-8",
                               "a THREAD X UTF-8 ALL",
                               "a SORT (REVERSE REVERSE DATE) UTF-8 ALL",
                               "a SEARCH CHARSET UTF-8"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i]), SYNTAX);
    }
}

/* RFC 9394 4: two numbers of one sign, no "*", no 0; 3.1: never beside ALL, never twice. */
static void partial_forms(void **state)
{
    (void)state;
    const struct args_search *search = &cmd.args.search;
    const struct args_fetch *fetch = &cmd.args.fetch;
    assert_int_equal(parse("a SEARCH RETURN (partial 1:500 MIN SAVE) ALL"), OK);
    assert_int_equal(search->returns,
                     SEARCH_RETURN_PARTIAL | SEARCH_RETURN_MIN | SEARCH_RETURN_SAVE);
    assert_true(search->has_partial && !search->is_partial_from_end);
    assert_int_equal(search->partial_first, 1);
    assert_int_equal(search->partial_last, 500);
    assert_int_equal(parse("a UID SEARCH RETURN (COUNT PARTIAL -1:-100) CHARSET UTF-8 ALL"), OK);
    assert_true(search->has_partial && search->is_partial_from_end);
    assert_int_equal(search->partial_first, 1);
    assert_int_equal(search->partial_last, 100);
    assert_int_equal(parse("a SEARCH RETURN (PARTIAL 500:400) ALL"), OK);
    assert_int_equal(search->partial_first, 500);
    assert_int_equal(search->partial_last, 400);
    assert_int_equal(parse("a UID SORT RETURN (PARTIAL 4294967295:1) (DATE) UTF-8 ALL"), OK);
    assert_true(search->partial_first == UINT32_MAX);
    assert_int_equal(parse("a UID FETCH 1:* (FLAGS) (PARTIAL -1:-3)"), OK);
    assert_true(fetch->has_partial && fetch->is_partial_from_end);
    assert_int_equal(fetch->partial_last, 3);
    assert_int_equal(parse("a UID FETCH 1:* FLAGS (PARTIAL 2:1 CHANGEDSINCE 5 VANISHED)"), OK);
    assert_true(fetch->has_partial && fetch->is_vanished && !fetch->is_partial_from_end);
    assert_int_equal(fetch->partial_first, 2);
    static const char *const bad[] = {"a SEARCH RETURN (PARTIAL) ALL",
                                      "a SEARCH RETURN (PARTIAL 1) ALL",
                                      "a SEARCH RETURN (PARTIAL 0:1) ALL",
                                      "a SEARCH RETURN (PARTIAL 1:*) ALL",
                                      "a SEARCH RETURN (PARTIAL -1:5) ALL",
                                      "a SEARCH RETURN (PARTIAL 1:-5) ALL",
                                      "a SEARCH RETURN (PARTIAL 1:4294967296) ALL",
                                      "a SEARCH RETURN (PARTIAL 1:2 ALL) ALL",
                                      "a SEARCH RETURN (ALL PARTIAL 1:2) ALL",
                                      "a SEARCH RETURN (PARTIAL 1:2 PARTIAL 1:2) ALL",
                                      "a FETCH 1:* FLAGS (PARTIAL 1:2)",
                                      "a UID FETCH 1:* FLAGS (PARTIAL 1:2 PARTIAL 3:4)",
                                      "a UID FETCH 1:* FLAGS (PARTIAL 0:2)",
                                      "a UID FETCH 1:* FLAGS (PARTIAL)"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i]), SYNTAX);
    }
}

/* Which sort keys there are the upstream knows; nothing but atoms is sent. */
static void sort_forms(void **state)
{
    (void)state;
    const struct args_search *search = &cmd.args.search;
    assert_int_equal(parse("a SORT (arrival cc reverse from size to) UTF-8 ALL"), OK);
    ASSERT_TEXT(search->sort_program, "ARRIVAL CC REVERSE FROM SIZE TO");
    static const char *const others[] = {"DISPLAYFROM", "DISPLAYTO", "RELEVANCY", "X-SCORE"};
    for (size_t i = 0; i < COUNT(others); i++) {
        struct buf text;
        buf_init(&text, 0);
        buf_printf(&text, "a SORT (REVERSE %s DATE) UTF-8 ALL", others[i]);
        assert_int_equal(parse(cstr(buf_slice(&text))), OK);
        buf_fini(&text);
    }
    ASSERT_TEXT(search->sort_program, "REVERSE X-SCORE DATE");
    assert_int_equal(parse("a SORT (\"DATE\") UTF-8 ALL"), SYNTAX);
    assert_int_equal(parse("a SORT ((DATE)) UTF-8 ALL"), SYNTAX);
    assert_int_equal(parse("a SORT RETURN () (DATE) UTF-8 ALL"), OK);
    assert_true(search->has_return && search->returns == SEARCH_RETURN_ALL);
}

static void the_rest(void **state)
{
    (void)state;
    assert_int_equal(parse("B41 UID MOVE 475 \"Trash\""), OK);
    ASSERT_TEXT(cmd.args.copy.mailbox, "Trash");
    assert_int_equal(parse("a UID EXPUNGE 1:3,7"), OK);
    assert_int_equal(cmd.args.set.n, 2);
    assert_int_equal(parse("a UID EXPUNGE"), SYNTAX);
    assert_int_equal(parse("a EXPUNGE"), OK);
    assert_int_equal(parse("a EXPUNGE 1"), SYNTAX);
    assert_int_equal(parse("a SETQUOTA \"\" (STORAGE 512 message 5)"), OK);
    ASSERT_TEXT(cmd.args.quota.resources[1], "MESSAGE");
    assert_int_equal(cmd.args.quota.limits[1], 5);
    assert_int_equal(parse("a SETQUOTA \"\" (STORAGE)"), SYNTAX);
    assert_int_equal(parse("a SETACL INBOX joe +lrs"), OK);
    ASSERT_TEXT(cmd.args.acl.rights, "+lrs");
    assert_int_equal(parse("a SETACL INBOX joe +LRS"), SYNTAX);
    assert_int_equal(parse("a LISTRIGHTS INBOX joe"), OK);
    assert_int_equal(parse("a GETMETADATA (MAXSIZE 1024 DEPTH infinity) \"\" (/a /b)"), OK);
    assert_int_equal(cmd.args.metadata.n, 2);
    assert_int_equal(parse("a GETMETADATA \"\" /shared/comment"), OK);
    assert_int_equal(parse("a SETMETADATA INBOX (/private/comment \"x\" /b NIL)"), OK);
    assert_null(cmd.args.metadata.values[1].data);
    assert_int_equal(parse("a COMPRESS DEFLATE"), OK);
    assert_int_equal(parse("a IDLE"), OK);
    assert_int_equal(parse("47 getquotaroot \"INBOX\""), OK);
}

static void limits_are_limits(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    buf_add_str(&text, "a ENABLE");
    for (int i = 0; i < ARGS_LIST_MAX + 1; i++) {
        buf_add_str(&text, " X");
    }
    assert_int_equal(command_parse(unit_of(buf_slice(&text)), &test_arena, &cmd), LIMIT);
    buf_reset(&text);
    buf_add_str(&text, "a SEARCH ");
    for (int i = 0; i < 5000; i++) {
        buf_add_str(&text, "NOT ");
    }
    buf_add_str(&text, "ALL");
    assert_int_equal(command_parse(unit_of(buf_slice(&text)), &test_arena, &cmd), LIMIT);
    buf_reset(&text);
    buf_add_str(&text, "a FETCH 1 (");
    for (int i = 0; i < FETCH_ITEMS_MAX + 1; i++) {
        buf_printf(&text, "BODY[%d] ", i + 1);
    }
    buf_add_str(&text, ")");
    assert_int_equal(command_parse(unit_of(buf_slice(&text)), &test_arena, &cmd), LIMIT);
    struct arena tiny;
    arena_init(&tiny, 64);
    assert_int_equal(command_parse(unit_of(SLICE("a FETCH 1 (BODY[1] BODY[2])")), &tiny, &cmd),
                     LIMIT);
    arena_reset(&tiny);
    buf_fini(&text);
}

/* What a client says, from bytes to arguments, cut anywhere. */
static void run_commands(void *arg, const struct slice *pieces, size_t n, struct buf *trace)
{
    (void)arg;
    struct reader reader;
    struct reader_limits limits = {8192, 65536, 8};
    reader_init(&reader, READER_CLIENT, &limits);
    for (size_t i = 0; i < n; i++) {
        size_t used;
        enum reader_event event;
        for (size_t at = 0; (event = reader_feed(&reader, slice_sub(pieces[i], at, pieces[i].len),
                                                 &used)) != READER_MORE;
             at += used) {
            struct command c;
            struct arena arena;
            arena_init(&arena, 65536);
            if (event == READER_LITERAL) {
                bool is_message = command_parse_append(reader_unit(&reader), &arena, &c) == OK;
                buf_printf(trace, is_message ? "stream %llu;" : "collect %llu;",
                           (unsigned long long)reader.literal.size);
                if (is_message) {
                    reader_stream(&reader);
                } else {
                    (void)reader_collect(&reader);
                }
            } else if (event == READER_LITERAL_DATA) {
                buf_add(trace, reader.data);
            } else if (event == READER_LINE) {
                enum status st = command_parse(reader_unit(&reader), &arena, &c);
                buf_printf(trace, "%.*s %s;", SLICE_ARG(c.tag), status_name(st));
                reader_next(&reader);
            }
            arena_reset(&arena);
        }
    }
    reader_fini(&reader);
}

static void any_split_gives_the_same_commands(void **state)
{
    (void)state;
    struct buf want;
    struct buf got;
    buf_init(&want, 0);
    buf_init(&got, 0);
    assert_true(everysplit_same(
        run_commands, NULL,
        SLICE("1 LOGIN {1}\r\nu {2+}\r\np\n\r\nA3 NAMESPACE\r\nA4 LIST \"\" \"*\" RETURN "
              "(SPECIAL-USE)\r\n"
              "5 APPEND {1}\r\nx (\\Seen) {7+}\r\na {3}\r\n\r\n6 SELECT \"x\n7 NOOP\n"),
        &want, &got));
    ASSERT_TEXT(buf_slice(&want), "collect 1;collect 2;1 OK;A3 OK;A4 OK;collect 1;stream 7;"
                                  "a {3}\r\n5 OK;6 SYNTAX;7 OK;");
    buf_fini(&want);
    buf_fini(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_table),
        TEST(tags_and_names),
        TEST(login_and_authenticate),
        TEST(id_and_enable),
        TEST(select_forms),
        TEST(names_and_lists),
        TEST(append_heads),
        TEST(append_refusals), TEST(append_several),
        TEST(fetch_forms),
        TEST(store_forms),
        TEST(search_forms),
        TEST(partial_forms),
        TEST(sort_forms),
        TEST(the_rest),
        TEST(limits_are_limits),
        TEST(any_split_gives_the_same_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
