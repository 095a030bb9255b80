/* IDLE: when it begins, how it ends, and that commands do not wait for more than they must. */
#include "scripted.h"

/* A Dovecot lets commands follow DONE; of a server without a name it is not known. */
#define UP_AS(name, caps)                                                                          \
    S_("* OK [CAPABILITY IMAP4rev1] " name "\r\n"), C_("A1 LOGIN \"joe\" \"pw\"\r\n"),             \
        S_("A1 OK [CAPABILITY IMAP4rev1 " caps "] in\r\n")
#define UP UP_AS("Dovecot", "IDLE")

static void want_idle(struct scripted *s)
{
    link_want_idle(s->link, true);
}

static void want_no_idle(struct scripted *s)
{
    link_want_idle(s->link, false);
}

static void send_two(struct scripted *s)
{
    probe_send(s, 0, "NOOP", 0);
    probe_send(s, 1, "CHECK", 0);
}

static void send_alone(struct scripted *s)
{
    probe_send(s, 0, "SELECT x", UPCMD_ALONE);
}

static void is_fresh_long(struct scripted *s)
{
    assert_int_equal(link_fresh_ms(s->link), 30000);
}

static void is_fresh_shortly(struct scripted *s)
{
    assert_int_equal(link_fresh_ms(s->link), 5000);
}

static void close_politely(struct scripted *s)
{
    link_close(&s->link, true);
}

struct talk {
    const char *name;
    const struct step *steps;
    const char *log;
    bool is_lost;
};

static const struct talk talks[] = {
    {"not unless wanted",
     (const struct step[]){UP, QUIET_(120), DO_(want_idle), C_("A2 IDLE\r\n"), END_}, "ready;",
     false},
    {"not unless offered",
     (const struct step[]){UP_AS("x", "UIDPLUS"), QUIET_(5), DO_(want_idle), QUIET_(120), END_},
     "ready;", false},
    {"fresh for long only where IDLE is taken: not offered",
     (const struct step[]){UP_AS("Dovecot", "UIDPLUS"), QUIET_(5), DO_(is_fresh_shortly), END_},
     "ready;", false},
    {"fresh for long only where IDLE is taken: refused",
     (const struct step[]){UP, QUIET_(5), DO_(is_fresh_long), DO_(want_idle), C_("A2 IDLE\r\n"),
                           S_("A2 NO no\r\n"), QUIET_(5), DO_(is_fresh_shortly), END_},
     "ready;", false},
    {"after a short quiet only",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), QUIET_(10), DO_(send_two),
                           C_("A2 NOOP\r\nA3 CHECK\r\n"), QUIET_(80), S_("A2 OK x\r\n"), QUIET_(80),
                           S_("A3 OK x\r\n"), QUIET_(10), C_("A4 IDLE\r\n"), S_("+ idling\r\n"),
                           QUIET_(10), END_},
     "ready;0:OK;1:OK;idling;", false},
    {"DONE and the commands in one flight",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"), S_("+ idling\r\n"),
                           QUIET_(5), DO_(send_two), C_("DONE\r\nA3 NOOP\r\nA4 CHECK\r\n"),
                           S_("A2 OK done\r\nA3 OK x\r\nA4 OK x\r\n"), C_("A5 IDLE\r\n"),
                           S_("+ idling\r\n"), QUIET_(5), END_},
     "ready;idling;0:OK;1:OK;idling;", false},
    {"no pipelining behind DONE where it is not known to work",
     (const struct step[]){UP_AS("x", "IDLE"), QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"),
                           S_("+ idling\r\n"), QUIET_(5), DO_(send_two), C_("DONE\r\n"), QUIET_(20),
                           S_("A2 OK done\r\n"), C_("A3 NOOP\r\nA4 CHECK\r\n"),
                           S_("A3 OK x\r\nA4 OK x\r\n"), QUIET_(5), END_},
     "ready;idling;0:OK;1:OK;", false},
    {"ALONE waits for the end of IDLE",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"), S_("+ idling\r\n"),
                           QUIET_(5), DO_(send_alone), C_("DONE\r\n"), QUIET_(20),
                           S_("A2 OK done\r\n"), C_("A3 SELECT x\r\n"), S_("A3 OK x\r\n"),
                           QUIET_(5), END_},
     "ready;idling;0:OK;", false},
    {"DONE waits for the +",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"), DO_(send_two),
                           QUIET_(30), S_("+ idling\r\n"), C_("DONE\r\nA3 NOOP\r\nA4 CHECK\r\n"),
                           S_("A2 OK done\r\nA3 OK x\r\nA4 OK x\r\n"), QUIET_(5), END_},
     "ready;idling;0:OK;1:OK;", false},
    {"no longer wanted",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"), S_("+ idling\r\n"),
                           QUIET_(5), DO_(want_no_idle), C_("DONE\r\n"), S_("A2 OK done\r\n"),
                           QUIET_(100), END_},
     "ready;idling;", false},
    {"refused: not asked again",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"), S_("A2 NO no\r\n"),
                           QUIET_(120), DO_(send_two), C_("A3 NOOP\r\nA4 CHECK\r\n"),
                           S_("A3 OK x\r\nA4 OK x\r\n"), QUIET_(120), END_},
     "ready;0:OK;1:OK;", false},
    {"ended by the server: three times at most",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"),
                           S_("+ idling\r\nA2 OK enough\r\n"), C_("A3 IDLE\r\n"),
                           S_("+ idling\r\nA3 OK enough\r\n"), C_("A4 IDLE\r\n"),
                           S_("+ idling\r\nA4 OK enough\r\n"), QUIET_(120), END_},
     "ready;idling;idling;idling;", false},
    {"untagged data while idling",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"),
                           S_("+ idling\r\n* OK still\r\n* OK here\r\n"), QUIET_(5), END_},
     "ready;idling;*OK;*OK;", false},
    {"BYE while idling",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"),
                           S_("+ idling\r\n* BYE see you\r\n"), END_},
     "ready;idling;closed:END:BYE::see you;", true},
    {"t22: a NOOP in its place when commands leave no room for it",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), DO_(send_two),
                           C_("A2 NOOP\r\nA3 CHECK\r\n"), S_("A2 OK x\r\n"),
                           C_("A4 NOOP\r\n"), S_("* 3 EXISTS\r\nA4 OK x\r\nA3 OK x\r\n"),
                           C_("A5 IDLE\r\n"), S_("+ idling\r\n"), QUIET_(1200), END_},
     "ready;0:OK;*23:3;1:OK;idling;", false},
    {"t22: one such NOOP at a time, however slow the answer: else IDLE would never begin",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), DO_(send_two),
                           C_("A2 NOOP\r\nA3 CHECK\r\n"), S_("A2 OK x\r\n"),
                           C_("A4 NOOP\r\n"), QUIET_(1200), S_("A3 OK x\r\n"), QUIET_(1200),
                           S_("A4 OK x\r\n"), C_("A5 IDLE\r\n"), S_("+ idling\r\n"), END_},
     "ready;0:OK;1:OK;idling;", false},
    {"LOGOUT out of IDLE",
     (const struct step[]){UP, QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"), S_("+ idling\r\n"),
                           QUIET_(5), DO_(close_politely), C_("DONE\r\nA3 LOGOUT\r\n"), END_},
     "ready;idling;", false},
};

static void talks_as_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
        struct scripted s;
        print_message("%s\n", talks[i].name);
        scripted_init(&s);
        s.wants_closed = talks[i].is_lost;
        scripted_run(&s, talks[i].steps);
        assert_string_equal(scripted_log(&s), talks[i].log);
        scripted_fini(&s);
    }
}

static void send_literal(struct scripted *s)
{
    probe_send_literal(s, 0, "CREATE ", SLICE("a\xc3\xa4"), 0);
    probe_send(s, 1, "NOOP", 0);
}

static void a_literal_behind_done_waits_for_its_own_plus(void **state)
{
    (void)state;
    struct scripted s;
    static const struct step steps[] = {UP,
                                        QUIET_(5),
                                        DO_(want_idle),
                                        C_("A2 IDLE\r\n"),
                                        S_("+ idling\r\n"),
                                        QUIET_(5),
                                        DO_(send_literal),
                                        C_("DONE\r\nA3 CREATE {3}\r\n"),
                                        S_("A2 OK done\r\n+ go\r\n"),
                                        C_("a\xc3\xa4\r\nA4 NOOP\r\n"),
                                        S_("A3 OK x\r\nA4 OK x\r\n"),
                                        QUIET_(5),
                                        END_};
    scripted_init(&s);
    scripted_run(&s, steps);
    assert_string_equal(scripted_log(&s), "ready;idling;0:OK;1:OK;");
    scripted_fini(&s);
}

static void idle_is_given_again(void **state)
{
    (void)state;
    struct scripted s;
    static const struct step steps[] = {UP,
                                        QUIET_(5),
                                        DO_(want_idle),
                                        C_("A2 IDLE\r\n"),
                                        S_("+ idling\r\n"),
                                        QUIET_(100),
                                        C_("DONE\r\n"),
                                        S_("A2 OK done\r\n"),
                                        C_("A3 IDLE\r\n"),
                                        S_("+ idling\r\n"),
                                        C_("DONE\r\n"),
                                        END_};
    scripted_init(&s);
    s.upstream.idle_restart_ms = 400;
    scripted_run(&s, steps);
    assert_string_equal(scripted_log(&s), "ready;idling;idling;");
    scripted_fini(&s);
}

static void idling_is_no_silence_but_its_ends_are(void **state)
{
    static const struct step idles[] = {
        UP, QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"), S_("+ idling\r\n"), QUIET_(250), END_};
    static const struct step no_plus[] = {UP, QUIET_(5), DO_(want_idle), C_("A2 IDLE\r\n"), END_};
    static const struct step no_end[] = {UP,
                                         QUIET_(5),
                                         DO_(want_idle),
                                         C_("A2 IDLE\r\n"),
                                         S_("+ idling\r\n"),
                                         QUIET_(5),
                                         DO_(want_no_idle),
                                         C_("DONE\r\n"),
                                         END_};
    static const struct {
        const struct step *steps;
        const char *log;
    } cases[] = {{idles, "ready;idling;"},
                 {no_plus, "ready;closed:TIMEOUT;"},
                 {no_end, "ready;idling;closed:TIMEOUT;"}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct scripted s;
        scripted_init(&s);
        s.upstream.command_timeout_ms = 60;
        s.wants_closed = i > 0;
        scripted_run(&s, cases[i].steps);
        assert_string_equal(scripted_log(&s), cases[i].log);
        scripted_fini(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(talks_as_written),
        cmocka_unit_test(a_literal_behind_done_waits_for_its_own_plus),
        cmocka_unit_test(idle_is_given_again),
        cmocka_unit_test(idling_is_no_silence_but_its_ends_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
