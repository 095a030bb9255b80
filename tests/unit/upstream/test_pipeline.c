/* Commands: order, literals, streamed literals, claims, and every way to end. */
#include "scripted.h"

/* Up in one step: no LITERAL+, no IDLE. */
#define UP_WITH(caps)                                                                              \
    S_("* OK [CAPABILITY IMAP4rev1] Dovecot hi\r\n"), C_("A1 LOGIN \"joe\" \"pw\"\r\n"),           \
        S_("A1 OK [CAPABILITY IMAP4rev1 " caps "] in\r\n"), QUIET_(5)
#define UP UP_WITH("UIDPLUS")

#define RUN(s, ...)                                                                                \
    do {                                                                                           \
        static const struct step steps_[] = {__VA_ARGS__, END_};                                   \
        scripted_run((s), steps_);                                                                 \
    } while (0)

static int set_up(void **state)
{
    struct scripted *s = alloc_zero(sizeof(*s));
    scripted_init(s);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scripted *s = *state;
    scripted_fini(s);
    alloc_free(s);
    return 0;
}

/* --- calls of the scripts -----------------------------------------------------------------------
 */

static void send_three(struct scripted *s)
{
    probe_send(s, 0, "NOOP", 0);
    probe_send(s, 1, "UID FETCH 1 (FLAGS)", 0);
    probe_send(s, 2, "CHECK", 0);
    assert_int_equal(link_load(s->link), 3);
}

static void send_alone_between(struct scripted *s)
{
    probe_send(s, 0, "NOOP", 0);
    probe_send(s, 1, "SELECT x", UPCMD_ALONE);
    probe_send(s, 2, "CHECK", 0);
}

static void send_later(struct scripted *s)
{
    probe_send(s, 4, "NOOP", 0);
    probe_send(s, 5, "SELECT x", UPCMD_ALONE);
    probe_upload(s, 6, "APPEND x ", SLICE("hello"), 0);
}

static void send_literal_and_noop(struct scripted *s)
{
    probe_send_literal(s, 0, "CREATE ", SLICE("a\xc3\xa4"), 0);
    probe_send(s, 1, "NOOP", 0);
}

static void detach_all(struct scripted *s)
{
    for (int i = 0; i < SCRIPT_COMMANDS_MAX; i++) {
        if (s->probe[i].cmd != NULL) {
            upcmd_detach(s->probe[i].cmd);
            s->probe[i].cmd = NULL;
        }
    }
}

static void close_link(struct scripted *s)
{
    link_close(&s->link, false);
    evloop_stop(s->loop);
}

static void close_politely(struct scripted *s)
{
    link_close(&s->link, true);
}

/* --- order --------------------------------------------------------------------------------------
 */

static void all_go_in_one_flight(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(send_three), C_("A2 NOOP\r\nA3 UID FETCH 1 (FLAGS)\r\nA4 CHECK\r\n"),
        S_("A3 NO x\r\nA4 BAD y\r\nA2 OK z\r\n"), QUIET_(10));
    assert_string_equal(scripted_log(s), "ready;1:DENIED;2:PROTOCOL;0:OK;");
    assert_int_equal(link_load(s->link), 0);
    assert_true(link_last_tagged_ms(s->link) > 0);
}

static void alone_is_alone(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(send_alone_between), C_("A2 NOOP\r\n"), QUIET_(10), S_("A2 OK x\r\n"),
        C_("A3 SELECT x\r\n"), QUIET_(10), S_("A3 OK x\r\n"), C_("A4 CHECK\r\n"), S_("A4 OK x\r\n"),
        QUIET_(10));
    assert_string_equal(scripted_log(s), "ready;0:OK;1:OK;2:OK;");
}

static void send_broken(struct scripted *s)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "CREATE ");
    outcmd_string(&cmd, SLICE("a\0b"));
    assert_false(outcmd_ok(&cmd));
    s->probe[0].s = s;
    (void)link_send(s->link, &cmd, 0, 0, &probe_ops, &s->probe[0]);
    outcmd_fini(&cmd);
}

static void a_failed_command_is_not_sent(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(send_broken), QUIET_(10));
    assert_string_equal(scripted_log(s), "ready;0:SYNTAX:unsent;");
}

/* --- literals -----------------------------------------------------------------------------------
 */

static void a_literal_waits_for_its_plus(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(send_literal_and_noop), C_("A2 CREATE {3}\r\n"), QUIET_(10), S_("+ go\r\n"),
        C_("a\xc3\xa4\r\nA3 NOOP\r\n"), S_("A2 OK x\r\nA3 OK x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0:OK;1:OK;");
}

static void literal_plus_does_not_wait(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP_WITH("LITERAL+"), DO_(send_literal_and_noop),
        C_("A2 CREATE {3+}\r\na\xc3\xa4\r\nA3 NOOP\r\n"), S_("A2 OK x\r\nA3 OK x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0:OK;1:OK;");
}

static void no_in_place_of_plus(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(send_literal_and_noop), C_("A2 CREATE {3}\r\n"), S_("A2 NO [TRYCREATE] x\r\n"),
        C_("A3 NOOP\r\n"), S_("A3 OK x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0:DENIED:unsent;1:OK;");
}

static void send_two_literals(struct scripted *s)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "RENAME ");
    outcmd_literal(&cmd, SLICE("a"), false);
    outcmd_str(&cmd, " ");
    outcmd_literal(&cmd, SLICE(""), true);
    s->probe[0].s = s;
    s->probe[0].cmd = link_send(s->link, &cmd, 0, 0, &probe_ops, &s->probe[0]);
    outcmd_fini(&cmd);
}

static void two_literals(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(send_two_literals), C_("A2 RENAME {1}\r\n"), QUIET_(5), S_("+ \r\n"),
        C_("a ~{0}\r\n"), QUIET_(5), S_("+ \r\n"), C_("\r\n"), S_("A2 OK x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0:OK;");
}

static void a_plus_for_nobody(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, S_("+ what\r\n"), DO_(send_three),
        C_("A2 NOOP\r\nA3 UID FETCH 1 (FLAGS)\r\nA4 CHECK\r\n"), S_("+ now\r\nA2 OK x\r\n"),
        QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0:OK;");
}

/* --- streamed literals --------------------------------------------------------------------------
 */

static void upload_small(struct scripted *s)
{
    probe_upload(s, 0, "APPEND x ", SLICE("hello"), 0);
    probe_send(s, 1, "NOOP", 0);
}

static void upload_big(struct scripted *s)
{
    probe_upload(s, 0, "APPEND x ", SLICE(""), 64 * 1024 * 1024);
    probe_send(s, 1, "NOOP", 0);
}

static void upload_nothing(struct scripted *s)
{
    probe_upload(s, 0, "APPEND x ", SLICE(""), 0);
}

static void a_small_upload_goes_whole(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP_WITH("LITERAL+"), DO_(upload_small), C_("A2 APPEND x {5+}\r\nhello\r\nA3 NOOP\r\n"),
        S_("A2 NO [TOOBIG] x\r\nA3 OK x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0 wants;0:DENIED;1:OK;");
}

static void a_small_upload_without_literal_plus(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(upload_small), C_("A2 APPEND x {5}\r\n"), QUIET_(5), S_("+ ok\r\n"),
        C_("hello\r\nA3 NOOP\r\n"), S_("A2 OK x\r\nA3 OK x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0 wants;0:OK;1:OK;");
}

static void an_empty_upload(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP_WITH("LITERAL+"), DO_(upload_nothing), C_("A2 APPEND x {0}\r\n"), QUIET_(5),
        S_("+ ok\r\n"), C_("\r\n"), S_("A2 NO no\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0:DENIED;");
}

static void server_reads_on(struct scripted *s)
{
    conn_set_paused(s->server, false);
}

static void server_stops_reading(struct scripted *s)
{
    conn_set_paused(s->server, true);
}

static void queue_is_bounded(struct scripted *s)
{
    /* Both sockets' buffers and the connection's limit, not the whole upload. */
    assert_true(s->probe[0].upload_zeros > 0);
}

static void a_big_upload_keeps_to_the_room(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP_WITH("LITERAL+"), DO_(upload_big), C_("A2 APPEND x {67108864}\r\n"), QUIET_(5),
        DO_(server_stops_reading), S_("+ ok\r\n"), QUIET_(100), DO_(queue_is_bounded),
        DO_(server_reads_on), SWALLOW_(67108864), C_("\r\nA3 NOOP\r\n"),
        S_("A2 OK [APPENDUID 1 2] x\r\nA3 OK x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0 wants;0:OK;1:OK;");
    assert_true(s->probe[0].wanted_n > 1);
}

static void a_big_upload_is_refused_early(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(upload_big), C_("A2 APPEND x {67108864}\r\n"), S_("A2 NO [TRYCREATE] x\r\n"),
        C_("A3 NOOP\r\n"), S_("A3 OK x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0:DENIED:unsent;1:OK;");
}

static void hold_back(struct scripted *s)
{
    upload_big(s);
    s->probe[0].upload_zeros = 100;
}

static void a_reply_in_the_middle_of_a_literal(void **state)
{
    struct scripted *s = *state;
    s->wants_closed = true;
    RUN(s, UP, DO_(hold_back), C_("A2 APPEND x {67108864}\r\n"), S_("+ ok\r\n"), SWALLOW_(100),
        S_("A2 NO [OVERQUOTA] x\r\n"));
    assert_string_equal(scripted_log(s),
                        "ready;0 wants;0:DENIED:unsent;1:PROTOCOL:unsent;closed:PROTOCOL;");
}

static void an_ok_before_the_end(void **state)
{
    struct scripted *s = *state;
    s->wants_closed = true;
    RUN(s, UP, DO_(hold_back), C_("A2 APPEND x {67108864}\r\n"), S_("A2 OK x\r\n"));
    assert_string_equal(scripted_log(s),
                        "ready;0:PROTOCOL:unsent;1:PROTOCOL:unsent;closed:PROTOCOL;");
}

static void an_abandoned_upload_costs_the_link(void **state)
{
    struct scripted *s = *state;
    s->wants_closed = true;
    RUN(s, UP, DO_(hold_back), C_("A2 APPEND x {67108864}\r\n"), S_("+ ok\r\n"), SWALLOW_(100),
        DO_(detach_all));
    assert_string_equal(scripted_log(s), "ready;0 wants;closed:NETWORK;");
}

static void a_waiting_upload_is_abandoned(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(send_later), C_("A2 NOOP\r\n"), DO_(detach_all), S_("A2 OK x\r\n"), QUIET_(10));
    assert_string_equal(scripted_log(s), "ready;");
    assert_int_equal(link_load(s->link), 0);
}

/* --- untagged data ------------------------------------------------------------------------------
 */

static void send_two_fetches(struct scripted *s)
{
    s->probe[1].claims = "FETCH";
    s->probe[2].claims = "FETCH";
    send_three(s);
}

static void owner_first_then_the_first_that_claims(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, S_("* 1 EXISTS\r\n"), DO_(send_two_fetches),
        C_("A2 NOOP\r\nA3 UID FETCH 1 (FLAGS)\r\nA4 CHECK\r\n"),
        S_("* 7 FETCH (FLAGS ())\r\nA3 OK x\r\n* 8 FETCH (FLAGS ())\r\n* OK hm\r\n"
           "* XNEW thing\r\n"),
        QUIET_(5));
    char want[160];
    snprintf(want, sizeof(want), "ready;*%d:1;*%d:7;1 has 7;1:OK;*%d:8;2 has 8;*OK;*%d:0;",
             RESPONSE_EXISTS, RESPONSE_FETCH, RESPONSE_FETCH, RESPONSE_OTHER);
    assert_string_equal(scripted_log(s), want);
}

static void send_streaming_fetch(struct scripted *s)
{
    s->probe[1].claims = "FETCH";
    s->probe[1].claims_literals = true;
    s->probe[2].claims = "FETCH";
    send_three(s);
}

static void a_literal_is_streamed_in_any_pieces(void **state)
{
    static const size_t pieces[] = {0, 1, 2, 3, 7, 16};
    (void)state;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct scripted s;
        scripted_init(&s);
        s.piece = pieces[i];
        RUN(&s, UP, DO_(send_streaming_fetch),
            C_("A2 NOOP\r\nA3 UID FETCH 1 (FLAGS)\r\nA4 CHECK\r\n"),
            S_("* 9 FETCH (UID 5 BODY[] {12}\r\nA2 OK )\r\n\r\n+ FLAGS ())\r\nA3 OK x\r\n"
               "* 9 FETCH (BODY[] {3}\r\nabc)\r\nA4 OK x\r\nA2 OK x\r\n"),
            QUIET_(5));
        char want[160];
        snprintf(want, sizeof(want),
                 "ready;1 streams 12;1 end;*%d:9:hole;1 has 9;1:OK;*%d:9;2 has 9;2:OK;0:OK;",
                 RESPONSE_FETCH, RESPONSE_FETCH);
        assert_string_equal(scripted_log(&s), want);
        assert_true(slice_eq(buf_slice(&s.probe[1].literal), SLICE("A2 OK )\r\n\r\n+")));
        scripted_fini(&s);
    }
}

static void two_streamed_literals_in_one_response(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(send_streaming_fetch), C_("A2 NOOP\r\nA3 UID FETCH 1 (FLAGS)\r\nA4 CHECK\r\n"),
        S_("* 9 FETCH (BODY[1] {3}\r\nabc BODY[2] {2}\r\nde)\r\nA3 OK x\r\n"), QUIET_(5));
    char want[160];
    snprintf(want, sizeof(want),
             "ready;1 streams 3;1 end;1 streams 2;1 end;*%d:9:hole;1 has 9;1:OK;", RESPONSE_FETCH);
    assert_string_equal(scripted_log(s), want);
    assert_true(slice_eq(buf_slice(&s->probe[1].literal), SLICE("abcde")));
}

static void send_competing_fetches(struct scripted *s)
{
    s->probe[1].declines_from = 2;
    s->probe[2].claims_literals = true;
    send_streaming_fetch(s);
}

static void only_one_streams_of_a_response(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(send_competing_fetches), C_("A2 NOOP\r\nA3 UID FETCH 1 (FLAGS)\r\nA4 CHECK\r\n"),
        S_("* 9 FETCH (BODY[1] {3}\r\nabc BODY[2] {2}\r\nde)\r\nA3 OK x\r\n"), QUIET_(5));
    char want[160];
    snprintf(want, sizeof(want), "ready;1 streams 3;1 end;*%d:9:hole;1 has 9;1:OK;",
             RESPONSE_FETCH);
    assert_string_equal(scripted_log(s), want);
    /* The one it declined was collected, and did not reach it as more of the first. */
    assert_true(slice_eq(buf_slice(&s->probe[1].literal), SLICE("abc")));
    assert_int_equal(s->probe[2].literal.len, 0);
}

static void send_fickle_fetch(struct scripted *s)
{
    send_streaming_fetch(s);
    s->probe[1].detaches_in_literal = true;
}

static void whoever_streams_leaves_in_the_middle(void **state)
{
    struct scripted *s = *state;
    s->piece = 3;
    RUN(s, UP, DO_(send_fickle_fetch), C_("A2 NOOP\r\nA3 UID FETCH 1 (FLAGS)\r\nA4 CHECK\r\n"),
        S_("* 9 FETCH (BODY[] {12}\r\nabcdefghijkl BODY[2] {2000000}\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;1 streams 12;");
    assert_true(s->probe[1].literal.len <= 3);
    assert_int_equal(s->probe[1].done_n, 0);
}

static void nobody_streams_a_large_literal(void **state)
{
    struct scripted *s = *state;
    s->wants_closed = true;
    RUN(s, UP, DO_(send_three), C_("A2 NOOP\r\nA3 UID FETCH 1 (FLAGS)\r\nA4 CHECK\r\n"),
        S_("* 9 FETCH (BODY[] {1048577}\r\n"));
    assert_string_equal(scripted_log(s), "ready;0:PROTOCOL;1:PROTOCOL;2:PROTOCOL;closed:PROTOCOL;");
}

/* --- ends ---------------------------------------------------------------------------------------
 */

static void bye_in_flight(void **state)
{
    struct scripted *s = *state;
    s->wants_closed = true;
    RUN(s, UP, DO_(send_literal_and_noop), DO_(send_later), C_("A2 CREATE {3}\r\n"),
        S_("* BYE [UNAVAILABLE] down\r\nA2 OK x\r\n"));
    assert_string_equal(scripted_log(s),
                        "ready;0:END:unsent;1:END:unsent;4:END:unsent;5:END:unsent;"
                        "6:END:unsent;closed:END:BYE:UNAVAILABLE:down;");
    assert_int_equal(stats_get(&s->stats, STAT_links_lost), 1);
}

static void what_cannot_be_understood_ends_the_link(void **state)
{
    static const char *const lines[] = {"A99 OK what\r\n", "B2 OK what\r\n",  "A OK x\r\n",
                                        "hello\r\n",       "* \r\n",          "A2\r\n",
                                        "* 5\r\n",         "\x01\x02\xff\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct scripted s;
        const struct step steps[] = {UP, DO_(send_three),
                                     C_("A2 NOOP\r\nA3 UID FETCH 1 (FLAGS)\r\nA4 CHECK\r\n"),
                                     S_(lines[i]), END_};
        print_message("line %zu\n", i);
        scripted_init(&s);
        s.wants_closed = true;
        scripted_run(&s, steps);
        assert_string_equal(scripted_log(&s),
                            "ready;0:PROTOCOL;1:PROTOCOL;2:PROTOCOL;closed:PROTOCOL;");
        scripted_fini(&s);
    }
}

static void an_endless_line(void **state)
{
    struct scripted *s = *state;
    size_t len = LINK_LINE_MAX + 100;
    char *text = alloc_array(len + 1, 1);
    memset(text, 'x', len);
    memcpy(text, "* SEARCH ", 9);
    const struct step steps[] = {UP, S_N(text, len), END_};
    s->wants_closed = true;
    scripted_run(s, steps);
    assert_string_equal(scripted_log(s), "ready;closed:PROTOCOL;");
    alloc_free(text);
}

static void silence_with_commands_in_flight(void **state)
{
    struct scripted *s = *state;
    s->upstream.command_timeout_ms = 400;
    s->wants_closed = true;
    RUN(s, UP, QUIET_(500), DO_(send_three),
        C_("A2 NOOP\r\nA3 UID FETCH 1 (FLAGS)\r\nA4 CHECK\r\n"), QUIET_(250), S_("* 1 EXISTS\r\n"),
        QUIET_(250), S_("A2 OK x\r\n"));
    assert_non_null(strstr(scripted_log(s), ";0:OK;1:TIMEOUT;2:TIMEOUT;closed:TIMEOUT;"));
}

static void an_upload_may_take_its_time(void **state)
{
    struct scripted *s = *state;
    s->upstream.command_timeout_ms = 60;
    RUN(s, UP, DO_(hold_back), C_("A2 APPEND x {67108864}\r\n"), S_("+ ok\r\n"), SWALLOW_(100),
        QUIET_(250));
    assert_string_equal(scripted_log(s), "ready;0 wants;");
}

static void pause_link(struct scripted *s)
{
    link_set_paused(s->link, true);
}

static void resume_link(struct scripted *s)
{
    assert_string_equal(scripted_log(s), "ready;");
    link_set_paused(s->link, false);
}

static void paused_hears_nothing_and_does_not_time_out(void **state)
{
    struct scripted *s = *state;
    s->upstream.command_timeout_ms = 60;
    RUN(s, UP, DO_(send_three), DO_(pause_link),
        C_("A2 NOOP\r\nA3 UID FETCH 1 (FLAGS)\r\nA4 CHECK\r\n"),
        S_("A2 OK x\r\nA3 OK x\r\nA4 OK x\r\n"), QUIET_(200), DO_(resume_link), QUIET_(10));
    assert_string_equal(scripted_log(s), "ready;0:OK;1:OK;2:OK;");
}

static void closing_completes_everything(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(send_literal_and_noop), C_("A2 CREATE {3}\r\n"), S_("+ \r\n"),
        C_("a\xc3\xa4\r\nA3 NOOP\r\n"), DO_(send_later), DO_(close_link));
    assert_null(s->link);
    assert_string_equal(scripted_log(s),
                        "ready;0:CANCELED;1:CANCELED;4:CANCELED:unsent;5:CANCELED:unsent;"
                        "6:CANCELED:unsent;");
}

static void logout_is_said(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP, DO_(close_politely), C_("A2 LOGOUT\r\n"));
    assert_string_equal(scripted_log(s), "ready;");
}

/* --- callbacks that close, detach or send --------------------------------------------------------
 */

struct hook {
    struct scripted *s;
    void (*fn)(struct scripted *s);
    bool in_done;
};

static bool hook_untagged(void *arg, const struct response *r)
{
    struct hook *hook = arg;
    (void)r;
    if (!hook->in_done) {
        hook->fn(hook->s);
    }
    return false;
}

static void hook_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct hook *hook = arg;
    (void)st;
    (void)tagged;
    (void)was_sent;
    if (hook->in_done) {
        hook->fn(hook->s);
    }
}

static const struct upcmd_ops hook_ops = {.untagged = hook_untagged, .done = hook_done};
static struct hook hook; /* of the running test */

static void send_hook(struct scripted *s)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "NOOP");
    hook.s = s;
    (void)link_send(s->link, &cmd, 0, 0, &hook_ops, &hook);
    outcmd_fini(&cmd);
    probe_send(s, 0, "CHECK", 0);
}

static void send_more(struct scripted *s)
{
    probe_send(s, 1, "NOOP", 0);
}

static void callbacks_may_do_anything(void **state)
{
    static const struct {
        void (*fn)(struct scripted *s);
        bool in_done;
        const char *log;
    } cases[] = {
        {close_link, false, "0:CANCELED;"},
        {close_link, true, "0:CANCELED;"},
        {detach_all, false, ""},
        {detach_all, true, ""},
        {send_more, true, "0:OK;1:OK;"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scripted s;
        print_message("case %zu\n", i);
        hook = (struct hook){.fn = cases[i].fn, .in_done = cases[i].in_done};
        scripted_init(&s);
        static const struct step steps[] = {UP,
                                            DO_(send_hook),
                                            C_("A2 NOOP\r\nA3 CHECK\r\n"),
                                            S_("* 1 RECENT\r\nA2 OK x\r\nA3 OK x\r\n"),
                                            QUIET_(5),
                                            END_};
        static const struct step more[] = {UP,
                                           DO_(send_hook),
                                           C_("A2 NOOP\r\nA3 CHECK\r\n"),
                                           S_("* 1 RECENT\r\nA2 OK x\r\nA3 OK x\r\n"),
                                           C_("A4 NOOP\r\n"),
                                           S_("A4 OK x\r\n"),
                                           QUIET_(5),
                                           END_};
        scripted_run(&s, cases[i].fn == send_more ? more : steps);
        char want[96];
        snprintf(want, sizeof(want), "ready;*%d:1;%s", RESPONSE_RECENT, cases[i].log);
        const char *log = scripted_log(&s);
        const char *tail = strchr(log, ';') + 1;
        assert_int_equal(strncmp(want, log, strlen("ready;")), 0);
        assert_string_equal(strchr(tail, ';') + 1, cases[i].log);
        scripted_fini(&s);
    }
}

static void resend(struct scripted *s)
{
    assert_true(s->is_closed || !link_is_ready(s->link));
    if (!s->is_closed) {
        send_hook(s); /* as long as nobody has said that the link is gone */
    }
}

static void sending_again_from_completions_ends(void **state)
{
    struct scripted *s = *state;
    hook = (struct hook){.fn = resend, .in_done = true};
    s->wants_closed = true;
    RUN(s, UP, DO_(send_hook), C_("A2 NOOP\r\nA3 CHECK\r\n"), CUT_);
    assert_string_equal(scripted_log(s), "ready;0:END;closed:END;0:END:unsent;");
}

static void want_idle(struct scripted *s)
{
    link_want_idle(s->link, true);
}

static void take_over(struct scripted *s)
{
    static const struct link_ops other = {.untagged = owner_untagged, .closed = owner_closed};
    link_set_owner(s->link, &other, s);
    link_want_idle(s->link, true);
}

static void the_owner_may_change(void **state)
{
    struct scripted *s = *state;
    s->wants_closed = true;
    RUN(s, UP_WITH("IDLE"), DO_(take_over), C_("A2 IDLE\r\n"), S_("+ idling\r\n"), QUIET_(5),
        S_("* OK x\r\n"), CUT_);
    assert_string_equal(scripted_log(s), "ready;*OK;closed:END;");
}

static void the_owner_closes_in_its_callbacks(void **state)
{
    static const char where[] = "rui";
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct scripted s;
        scripted_init(&s);
        s.closes_in = where[i];
        RUN(&s, UP_WITH("IDLE"), DO_(want_idle), C_("A2 IDLE\r\n"), S_("+ idling\r\n"), QUIET_(5),
            DO_(send_three), C_("DONE\r\nA3 NOOP\r\nA4 UID FETCH 1 (FLAGS)\r\nA5 CHECK\r\n"),
            S_("* 7 FETCH (FLAGS ())\r\nA3 OK x\r\n"), QUIET_(5));
        assert_null(s.link);
        assert_null(strstr(scripted_log(&s), "closed"));
        assert_int_equal(s.probe[2].done_n, where[i] == 'u' ? 1 : 0);
        scripted_fini(&s);
    }
}

/* --- a conversation cut after every octet
 * ---------------------------------------------------------- */

static void send_conversation(struct scripted *s)
{
    s->probe[1].claims = "FETCH";
    s->probe[1].claims_literals = true;
    send_literal_and_noop(s);
    probe_upload(s, 2, "APPEND x ", SLICE("hello"), 0);
    probe_send(s, 3, "SELECT x", UPCMD_ALONE);
    probe_send(s, 4, "NOOP", 0);
}

static const struct step conversation[] = {
    UP,
    DO_(send_conversation),
    C_("A2 CREATE {3}\r\n"),
    S_("* 1 EXISTS\r\n+ go\r\n"),
    C_("a\xc3\xa4\r\nA3 NOOP\r\nA4 APPEND x {5}\r\n"),
    S_("A2 OK x\r\n* 3 FETCH (BODY[] {5}\r\nabcde)\r\nA3 OK x\r\n+ ok\r\n"),
    C_("hello\r\n"),
    S_("A4 OK [APPENDUID 1 2] x\r\n"),
    C_("A5 SELECT x\r\n"),
    S_("* FLAGS ()\r\nA5 OK x\r\n"),
    C_("A6 NOOP\r\n"),
    S_("A6 OK x\r\n"),
    CUT_,
    END_};

static size_t run_cut(size_t cut_at, size_t piece)
{
    struct scripted s;
    scripted_init(&s);
    s.cut_at = cut_at;
    s.piece = piece;
    s.wants_closed = true;
    scripted_run(&s, conversation);
    bool is_begun = s.probe[0].done_n > 0;
    for (size_t i = 0; i < 5; i++) {
        const struct probe *p = &s.probe[i];
        assert_int_equal(p->done_n, is_begun ? 1 : 0);
        if (is_begun) {
            assert_true(p->st == OK || p->st == END || p->st == NETWORK);
            assert_true(p->st != OK || p->was_sent);
        }
        if (i > 0 && s.probe[i - 1].done_n > 0 && s.probe[i - 1].st != OK) {
            assert_true(p->st != OK); /* this server answers in order */
        }
    }
    const char *log = scripted_log(&s);
    const char *closed = strstr(log, "closed:");
    assert_non_null(closed);
    assert_null(strchr(closed, ';')[1] != '\0' ? closed : NULL); /* the last word */
    size_t said = s.sent_n;
    scripted_fini(&s);
    return said;
}

static void every_command_completes_once_wherever_it_is_cut(void **state)
{
    (void)state;
    size_t all = run_cut(SIZE_MAX, 0);
    for (size_t cut = 0; cut < all; cut++) {
        assert_int_equal(run_cut(cut, 0), cut);
    }
    for (size_t piece = 1; piece < 6; piece++) {
        assert_int_equal(run_cut(SIZE_MAX, piece), all);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_go_in_one_flight),
        TEST(alone_is_alone),
        TEST(a_failed_command_is_not_sent),
        TEST(a_literal_waits_for_its_plus),
        TEST(literal_plus_does_not_wait),
        TEST(no_in_place_of_plus),
        TEST(two_literals),
        TEST(a_plus_for_nobody),
        TEST(a_small_upload_goes_whole),
        TEST(a_small_upload_without_literal_plus),
        TEST(an_empty_upload),
        TEST(a_big_upload_keeps_to_the_room),
        TEST(a_big_upload_is_refused_early),
        TEST(a_reply_in_the_middle_of_a_literal),
        TEST(an_ok_before_the_end),
        TEST(an_abandoned_upload_costs_the_link),
        TEST(a_waiting_upload_is_abandoned),
        TEST(owner_first_then_the_first_that_claims),
        cmocka_unit_test(a_literal_is_streamed_in_any_pieces),
        TEST(two_streamed_literals_in_one_response),
        TEST(only_one_streams_of_a_response),
        TEST(whoever_streams_leaves_in_the_middle),
        TEST(nobody_streams_a_large_literal),
        TEST(bye_in_flight),
        cmocka_unit_test(what_cannot_be_understood_ends_the_link),
        TEST(an_endless_line),
        TEST(silence_with_commands_in_flight),
        TEST(an_upload_may_take_its_time),
        TEST(paused_hears_nothing_and_does_not_time_out),
        TEST(closing_completes_everything),
        TEST(logout_is_said),
        cmocka_unit_test(callbacks_may_do_anything),
        TEST(sending_again_from_completions_ends),
        TEST(the_owner_may_change),
        cmocka_unit_test(the_owner_closes_in_its_callbacks),
        cmocka_unit_test(every_command_completes_once_wherever_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
