/* Commands whose streamed literal is not their end (MULTIAPPEND, RFC 3502), and refusals that come while
 * the rest of a command is being written (RFC 7888 4). */
#include "scripted.h"

#define UP_WITH(caps)                                                                              \
    S_("* OK [CAPABILITY IMAP4rev1] Dovecot hi\r\n"), C_("A1 LOGIN \"joe\" \"pw\"\r\n"),           \
        S_("A1 OK [CAPABILITY IMAP4rev1 " caps "] in\r\n"), QUIET_(5)

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

static void open_upload(struct scripted *s)
{
    struct outcmd cmd;
    struct probe *p = &s->probe[0];
    outcmd_init(&cmd);
    outcmd_str(&cmd, "APPEND x ");
    p->s = s;
    p->upload = SLICE("hello");
    p->cmd = link_send(s->link, &cmd, UPCMD_STREAM | UPCMD_OPEN, 5, &probe_ops, p);
    outcmd_fini(&cmd);
    probe_send(s, 1, "NOOP", 0);
}

static void open_nothing(struct scripted *s)
{
    struct outcmd cmd;
    struct probe *p = &s->probe[0];
    outcmd_init(&cmd);
    outcmd_str(&cmd, "APPEND x ");
    p->s = s;
    p->cmd = link_send(s->link, &cmd, UPCMD_STREAM | UPCMD_OPEN, 0, &probe_ops, p);
    outcmd_fini(&cmd);
}

/* A kept message, then a streamed one. */
static void more(struct scripted *s)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, " (\\Seen) ");
    outcmd_mail(&cmd, SLICE("ab"), false);
    outcmd_str(&cmd, " ");
    outcmd_stream(&cmd, 3, true);
    s->probe[0].upload = SLICE("xyz");
    assert_true(link_stream_more(s->probe[0].cmd, &cmd));
    outcmd_fini(&cmd);
}

static void unsound(struct scripted *s)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_token(&cmd, SLICE("a\r\nb"));
    assert_false(link_stream_more(s->probe[0].cmd, &cmd));
    outcmd_fini(&cmd);
}

static void end(struct scripted *s)
{
    link_stream_end(s->probe[0].cmd);
}

static void leave(struct scripted *s)
{
    upcmd_detach(s->probe[0].cmd);
    s->probe[0].cmd = NULL;
}

static void several_in_one_command(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP_WITH("MULTIAPPEND"), DO_(open_upload), C_("A2 APPEND x {5}\r\n"), S_("+ ok\r\n"),
        C_("hello"), QUIET_(10), DO_(more), C_(" (\\Seen) {2}\r\n"), S_("+ ok\r\n"),
        C_("ab ~{3}\r\n"), S_("+ ok\r\n"), C_("xyz"), QUIET_(10), DO_(end), C_("\r\nA3 NOOP\r\n"),
        S_("A2 OK x\r\nA3 OK x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0 wants;0:OK;1:OK;");
}

/* LITERAL+ is for what is kept; a streamed one waits all the same, so that it can be refused early. */
static void kept_ones_do_not_wait_with_literal_plus(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP_WITH("MULTIAPPEND LITERAL+"), DO_(open_upload), C_("A2 APPEND x {5}\r\n"),
        S_("+ ok\r\n"), C_("hello"), DO_(more), C_(" (\\Seen) {2+}\r\nab ~{3}\r\n"),
        S_("A2 NO [OVERQUOTA] x\r\n"), C_("A3 NOOP\r\n"), S_("A3 OK x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0 wants;0:DENIED:unsent;1:OK;");
}

static void nothing_follows(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP_WITH("MULTIAPPEND"), DO_(open_nothing), C_("A2 APPEND x {0}\r\n"), S_("+ ok\r\n"),
        QUIET_(5), DO_(end), C_("\r\n"), S_("A2 NO x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0 wants;0:DENIED;");
}

static void what_is_not_sound_is_not_sent(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP_WITH("MULTIAPPEND"), DO_(open_upload), C_("A2 APPEND x {5}\r\n"), S_("+ ok\r\n"),
        C_("hello"), DO_(unsound), QUIET_(5), DO_(end), C_("\r\nA3 NOOP\r\n"),
        S_("A2 OK x\r\nA3 OK x\r\n"), QUIET_(5));
    assert_string_equal(scripted_log(s), "ready;0 wants;0:OK;1:OK;");
}

/* Between its literals the command is not over: the server may not be left with half of it. */
static void whoever_leaves_between_costs_the_link(void **state)
{
    struct scripted *s = *state;
    s->wants_closed = true;
    RUN(s, UP_WITH("MULTIAPPEND"), DO_(open_upload), C_("A2 APPEND x {5}\r\n"), S_("+ ok\r\n"),
        C_("hello"), QUIET_(5), DO_(leave));
    assert_string_equal(scripted_log(s), "ready;0 wants;1:NETWORK:unsent;closed:NETWORK;");
}

/* --- refused while the rest is written ---------------------------------------------------------- */

enum { LARGE = 4 * 1024 * 1024 };

static void send_large(struct scripted *s)
{
    static char octets[LARGE];
    memset(octets, 'x', sizeof(octets));
    probe_send_literal(s, 0, "APPEND nosuch ", slice_of(octets, sizeof(octets)), 0);
    probe_send(s, 1, "NOOP", 0);
}

static void the_rest_goes_all_the_same(void **state)
{
    struct scripted *s = *state;
    RUN(s, UP_WITH("LITERAL+"), DO_(send_large), C_("A2 APPEND nosuch {4194304+}\r\n"),
        S_("A2 NO [TRYCREATE] x\r\n"), SWALLOW_(LARGE), C_("\r\nA3 NOOP\r\n"), S_("A3 OK x\r\n"), QUIET_(5));
    /* "unsent" when the NO was faster than the octets, which it mostly is not on loopback */
    bool is_early = !s->probe[0].was_sent;
    assert_string_equal(scripted_log(s), is_early ? "ready;0:DENIED:unsent;1:OK;"
                                                  : "ready;0:DENIED;1:OK;");
    assert_int_equal(link_load(s->link), 0);
}

static void refused_and_then_lost(void **state)
{
    struct scripted *s = *state;
    s->wants_closed = true;
    RUN(s, UP_WITH("LITERAL+"), DO_(send_large), C_("A2 APPEND nosuch {4194304+}\r\n"),
        S_("A2 NO [TRYCREATE] x\r\n"), SWALLOW_(LARGE / 4), CUT_);
    assert_int_equal(s->probe[0].done_n, 1);
    assert_int_equal(s->probe[0].st, DENIED);
    assert_int_equal(s->probe[1].done_n, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(several_in_one_command),
        TEST(kept_ones_do_not_wait_with_literal_plus),
        TEST(nothing_follows),
        TEST(what_is_not_sound_is_not_sent),
        TEST(whoever_leaves_between_costs_the_link),
        TEST(the_rest_goes_all_the_same),
        TEST(refused_and_then_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
