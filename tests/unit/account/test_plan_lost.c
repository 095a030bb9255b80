/* What is believed, and for how long: expunges, refusals, lost links, broken literals. */
#include "plan_fixture.h"

#define NO_ENVELOPE "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
#define NO_STRUCTURE "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)"

static const char *const filler_items[] = {"ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE",
                                           "BODY[HEADER.FIELDS (A)]"};

static struct pending *ask_all(struct wire *wire, uint32_t uid)
{
    struct pending *pending = ask(wire, uid, filler_items[0]);
    for (size_t i = 1; i < 4; i++) {
        ask_more(wire, pending, filler_items[i]);
    }
    return pending;
}

static void say_filler(struct wire *wire, uint32_t uid)
{
    say(wire,
        "* 1 FETCH (UID %u ENVELOPE " NO_ENVELOPE " BODYSTRUCTURE " NO_STRUCTURE
        " INTERNALDATE \"01-Jan-1970 00:00:00 +0000\" BODY[HEADER.FIELDS (A)] NIL)\r\n",
        uid);
}

/* T1: Dovecot's answers for a message that has gone. */
static void t1_drops_filler_when_something_was_expunged(void **state)
{
    (void)state;
    static const char *const how[] = {"* 1 EXPUNGE\r\n0 OK done\r\n",
                                      "* VANISHED 1\r\n0 OK done\r\n",
                                      "0 OK [EXPUNGEISSUED] gone\r\n"};
    for (size_t i = 0; i < 3; i++) {
        struct wire wire;
        wire_open(&wire);
        struct pending *gone = ask_all(&wire, 1);
        struct pending *there = ask_all(&wire, 2);
        wire_rest(&wire);
        say_filler(&wire, 1);
        say(&wire,
            "* 2 FETCH (UID 2 ENVELOPE (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) "
            "BODYSTRUCTURE (\"a\" \"b\" NIL NIL NIL \"7bit\" 3 1) INTERNALDATE "
            "\" 2-Jan-2001 00:00:00 +0000\" BODY[HEADER.FIELDS (A)] {6}\r\nA: 1\r\n)\r\n");
        wire_rest(&wire);
        ranges_remove(&wire.model, 1, 1);
        say(&wire, "%s", how[i]);
        wire_rest(&wire);
        for (size_t k = 0; k < 4; k++) {
            assert_int_equal(state_of(&wire, gone, filler_items[k]), VALUE_ABSENT);
            assert_int_equal(state_of(&wire, there, filler_items[k]), VALUE_HERE);
            assert_false(is_found(&wire, 1, filler_items[k]));
            assert_int_equal(is_found(&wire, 2, filler_items[k]), i < 2);
        }
        assert_int_equal(wire.commands_n, 1);
        release(&wire, gone);
        release(&wire, there);
        wire_close(&wire);
    }
}

/* Another message was expunged, and this one's value really is NIL. */
static void asks_again_what_only_looks_like_filler(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 5, "BODY[9]");
    wire_rest(&wire);
    say(&wire, "* 5 FETCH (UID 5 BODY[9] NIL)\r\n* 1 EXPUNGE\r\n0 OK done\r\n");
    wire_rest(&wire);
    assert_int_equal(state_of(&wire, a, "BODY[9]"), VALUE_WANTED);
    assert_int_equal(wire.commands_n, 2);
    say(&wire, "* 4 FETCH (UID 5 BODY[9] NIL)\r\n1 OK done\r\n");
    wire_rest(&wire);
    assert_here(&wire, a, "BODY[9]", "");
    assert_true(is_found(&wire, 5, "BODY[9]"));
    struct pending *b = ask(&wire, 6, "BODY[9]"); /* doubtful twice: told, not kept */
    wire_rest(&wire);
    say(&wire, "* 5 FETCH (UID 6 BODY[9] NIL)\r\n* 1 EXPUNGE\r\n2 OK done\r\n");
    wire_rest(&wire);
    say(&wire, "* 5 FETCH (UID 6 BODY[9] NIL)\r\n* 1 EXPUNGE\r\n3 OK done\r\n");
    wire_rest(&wire);
    assert_here(&wire, b, "BODY[9]", "");
    assert_false(is_found(&wire, 6, "BODY[9]"));
    release(&wire, a);
    release(&wire, b);
    wire_close(&wire);
}

static void keeps_nothing_with_expungeissued(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    char *large = pattern(30000);
    struct pending *a = ask(&wire, 1, "BODY[]");
    ask_more(&wire, a, "RFC822.SIZE");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 RFC822.SIZE 5 BODY[] {30000}\r\n%s)\r\n", large);
    say(&wire, "0 OK [EXPUNGEISSUED] Some messages were already expunged\r\n");
    wire_rest(&wire);
    assert_here(&wire, a, "RFC822.SIZE", "5");
    struct buf got = read_value(&wire, value_of(&wire, a, "BODY[]"));
    assert_string_equal((buf_add_char(&got, '\0'), got.data), large);
    buf_fini(&got);
    assert_false(is_found(&wire, 1, "BODY[]"));
    assert_false(is_found(&wire, 1, "RFC822.SIZE"));
    release(&wire, a);
    assert_false(is_found(&wire, 1, "BODY[]"));
    alloc_free(large);
    wire_close(&wire);
}

static void keeps_nothing_that_was_refused(void **state)
{
    (void)state;
    static const char *const how[] = {"0 NO [SERVERBUG] no\r\n", "0 BAD what\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct wire wire;
        wire_open(&wire);
        struct pending *a = ask(&wire, 1, "ENVELOPE");
        struct pending *b = ask(&wire, 2, "ENVELOPE");
        struct pending *c = ask(&wire, 3, "ENVELOPE");
        wire_rest(&wire);
        say(&wire, "* 1 FETCH (UID 1 ENVELOPE (\"d\"))\r\n");
        say(&wire, "* 2 FETCH (UID 2 ENVELOPE " NO_ENVELOPE ")\r\n%s", how[i]);
        wire_rest(&wire);
        assert_here(&wire, a, "ENVELOPE", "(\"d\")");
        assert_int_equal(state_of(&wire, b, "ENVELOPE"), VALUE_FAILED);
        assert_int_equal(state_of(&wire, c, "ENVELOPE"), VALUE_FAILED);
        assert_int_equal(value_of(&wire, c, "ENVELOPE")->why, i == 0 ? DENIED : PROTOCOL);
        assert_false(is_found(&wire, 1, "ENVELOPE"));
        assert_int_equal(wire.commands_n, 1);
        release(&wire, a);
        release(&wire, b);
        release(&wire, c);
        wire_close(&wire);
    }
}

static void asks_again_when_the_link_is_lost(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 1, "ENVELOPE");
    struct pending *b = ask(&wire, 2, "ENVELOPE");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 ENVELOPE (\"d\"))\r\n* 2 FETCH (UID 2 ENV");
    wire_lose(&wire, NETWORK);
    wire_rest(&wire);
    assert_here(&wire, a, "ENVELOPE", "(\"d\")");
    assert_false(is_found(&wire, 1, "ENVELOPE")); /* no tagged OK */
    assert_int_equal(wire.commands_n, 2);
    assert_sent(&wire, 1, "UID FETCH 2 (UID ENVELOPE)");
    wire_lose(&wire, NETWORK);
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 2);
    assert_int_equal(state_of(&wire, b, "ENVELOPE"), VALUE_FAILED);
    assert_int_equal(value_of(&wire, b, "ENVELOPE")->why, NETWORK);
    /* The same session tries once more. */
    ask_more(&wire, b, "ENVELOPE");
    wire_rest(&wire);
    say(&wire, "* 2 FETCH (UID 2 ENVELOPE (\"e\"))\r\n2 OK done\r\n");
    assert_here(&wire, b, "ENVELOPE", "(\"e\")");
    release(&wire, a);
    release(&wire, b);
    wire_close(&wire);
}

/* A message on which the server hangs up must not take the ones behind it along. */
static void blames_the_first_command_in_flight(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *poison = ask(&wire, 1, "ENVELOPE");
    struct pending *other = ask(&wire, 2, "RFC822.SIZE");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 2);
    wire_lose(&wire, END);
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 4);
    wire_lose(&wire, END);
    wire_rest(&wire);
    assert_int_equal(state_of(&wire, poison, "ENVELOPE"), VALUE_FAILED);
    assert_int_equal(state_of(&wire, other, "RFC822.SIZE"), VALUE_WANTED);
    assert_int_equal(wire.commands_n, 5);
    assert_sent(&wire, 4, "UID FETCH 2 (UID RFC822.SIZE)");
    say(&wire, "* 2 FETCH (UID 2 RFC822.SIZE 3)\r\n4 OK done\r\n");
    assert_found(&wire, 2, "RFC822.SIZE", "3");
    release(&wire, poison);
    release(&wire, other);
    wire_close(&wire);
}

static void gives_up_without_a_link(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 1, "ENVELOPE");
    struct pending *b = ask(&wire, 1, "BODYSTRUCTURE");
    wire_rest(&wire);
    struct pending *c = ask(&wire, 2, "ENVELOPE");
    wire_rest(&wire);
    for (size_t i = 0; i < 4; i++) {
        wire_end(&wire, i, TIMEOUT, NULL, false);
        wire_rest(&wire);
    }
    assert_int_equal(wire.commands_n, 4);
    assert_int_equal(state_of(&wire, a, "ENVELOPE"), VALUE_FAILED);
    assert_int_equal(state_of(&wire, b, "BODYSTRUCTURE"), VALUE_FAILED);
    assert_int_equal(state_of(&wire, c, "ENVELOPE"), VALUE_FAILED);
    assert_int_equal(value_of(&wire, c, "ENVELOPE")->why, TIMEOUT);
    release(&wire, a);
    release(&wire, b);
    release(&wire, c);
    wire_close(&wire);
}

static void assert_value_is(struct wire *wire, const struct pending *pending, const char *text,
                            size_t n)
{
    struct buf got = read_value(wire, value_of(wire, pending, "BODY[]"));
    assert_int_equal(got.len, n);
    assert_memory_equal(got.data, text, n);
    buf_fini(&got);
}

/* 50,000 octets; the link dies after 20,000 of them. */
static struct pending *begin_and_lose(struct wire *wire, const char *large)
{
    struct pending *a = ask(wire, 1, "BODY[]");
    wire_rest(wire);
    say(wire, "* 1 FETCH (UID 1 BODY[] {50000}\r\n%.20000s", large);
    wire_rest(wire);
    const struct value *value = value_of(wire, a, "BODY[]");
    assert_int_equal(value->state, VALUE_ARRIVING);
    assert_true(value->is_content);
    assert_int_equal(value->content.size_bytes, 50000);
    assert_value_is(wire, a, large, 20000);
    wire_lose(wire, NETWORK);
    wire_rest(wire);
    assert_int_equal(value->state, VALUE_ARRIVING);
    assert_sent(wire, 1, "UID FETCH 1 (UID BODY.PEEK[]<20000.30000>)");
    assert_int_equal(wire->commands[1].route, ROUTE_BULK);
    assert_int_equal(wire->commands[1].highest_uid, 1);
    return a;
}

static void resumes_a_broken_literal(void **state)
{
    (void)state;
    char *large = pattern(50000);
    for (size_t step = 0; step < 3; step++) {
        struct wire wire;
        wire_open(&wire);
        struct pending *a = begin_and_lose(&wire, large);
        struct pending *late = ask(&wire, 1, "BODY[]");
        wire.step = step * 7001;
        say(&wire, "* 1 FETCH (UID 1 BODY[]<20000> {30000}\r\n%s)\r\n", large + 20000);
        wire_rest(&wire);
        assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_HERE);
        assert_false(is_found(&wire, 1, "BODY[]"));
        say(&wire, "1 OK done\r\n");
        assert_value_is(&wire, late, large, 50000);
        assert_found(&wire, 1, "BODY[]", large);
        release(&wire, a);
        release(&wire, late);
        wire_close(&wire);
    }
    alloc_free(large);
}

/* What was broken is asked for its rest, what had not begun from its beginning. */
static void resumes_apart_from_the_others(void **state)
{
    (void)state;
    struct wire wire;
    struct pending *held[4];
    wire_open(&wire);
    char *large = pattern(50000);
    for (uint32_t i = 0; i < 4; i++) {
        held[i] = ask(&wire, i + 1, "BODY[]");
    }
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 BODY[] {2}\r\nhi)\r\n");
    say(&wire, "* 2 FETCH (UID 2 BODY[] {50000}\r\n%.20000s", large);
    wire_lose(&wire, NETWORK);
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 3);
    assert_sent(&wire, 1, "UID FETCH 2 (UID BODY.PEEK[]<20000.30000>)");
    assert_sent(&wire, 2, "UID FETCH 3:4 (UID BODY.PEEK[])");
    for (uint32_t i = 0; i < 4; i++) {
        release(&wire, held[i]);
    }
    alloc_free(large);
    wire_close(&wire);
}

static void resumes_with_a_short_rest(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    char *large = pattern(20000);
    struct pending *a = ask(&wire, 1, "BODY[]");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 BODY[] {20000}\r\n%.19998s", large);
    wire_lose(&wire, NETWORK);
    wire_rest(&wire);
    assert_sent(&wire, 1, "UID FETCH 1 (UID BODY.PEEK[]<19998.2>)");
    say(&wire, "* 1 FETCH (BODY[]<19998> \"%s\" UID 1)\r\n1 OK done\r\n", large + 19998);
    assert_found(&wire, 1, "BODY[]", large);
    release(&wire, a);
    alloc_free(large);
    wire_close(&wire);
}

static void fails_when_the_rest_does_not_fit(void **state)
{
    (void)state;
    char *large = pattern(60000);
    static const char *const heads[] = {
        "BODY[]<20001> {30000}\r\n", "BODY[]<20000> {29999}\r\n", "BODY[]<20000> {30001}\r\n",
        "BODY[] {30000}\r\n",        "BODY[]<0> {30000}\r\n",
    };
    static const size_t sizes[] = {30000, 29999, 30001, 30000, 30000};
    for (size_t i = 0; i < 5; i++) {
        struct wire wire;
        wire_open(&wire);
        struct pending *a = begin_and_lose(&wire, large);
        say(&wire, "* 1 FETCH (UID 1 %s%.*s)\r\n1 OK done\r\n", heads[i], (int)sizes[i],
            large + 20000);
        wire_rest(&wire);
        assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_FAILED);
        assert_int_equal(value_of(&wire, a, "BODY[]")->why, PROTOCOL);
        assert_value_is(&wire, a, "", 0);
        assert_false(is_found(&wire, 1, "BODY[]"));
        assert_int_equal(wire.commands_n, 2);
        release(&wire, a);
        wire_close(&wire);
    }
    static const char *const inlines[] = {"BODY[]<20000> NIL", "BODY[]<20000> \"short\""};
    for (size_t i = 0; i < 2; i++) {
        struct wire wire;
        wire_open(&wire);
        struct pending *a = begin_and_lose(&wire, large);
        say(&wire, "* 1 FETCH (UID 1 %s)\r\n1 OK done\r\n", inlines[i]);
        assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_FAILED);
        release(&wire, a);
        wire_close(&wire);
    }
    alloc_free(large);
}

/* Whoever has begun to read cannot be told that there is nothing. */
static void fails_when_the_rest_does_not_come(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    char *large = pattern(50000);
    struct pending *a = begin_and_lose(&wire, large);
    say(&wire, "1 OK done\r\n");
    wire_rest(&wire);
    assert_sent(&wire, 2, "UID FETCH 1 (UID BODY.PEEK[]<20000.30000>)");
    say(&wire, "2 OK done\r\n");
    wire_rest(&wire);
    assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_FAILED);
    assert_int_equal(wire.commands_n, 3);
    release(&wire, a);

    a = ask(&wire, 2, "BODY[]");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 2 BODY[] {50000}\r\n%.100s", large);
    wire_lose(&wire, NETWORK);
    wire_rest(&wire);
    wire_lose(&wire, NETWORK);
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 5);
    assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_FAILED);
    release(&wire, a);
    alloc_free(large);
    wire_close(&wire);
}

/* All octets came, the tagged OK did not. */
static void tells_but_does_not_keep_without_the_ok(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    char *large = pattern(50000);
    for (uint32_t uid = 1; uid <= 2; uid++) {
        struct pending *a = ask(&wire, uid, "BODY[]");
        wire_rest(&wire);
        say(&wire, "* 1 FETCH (UID %u BODY[] {50000}\r\n%s%s", uid, large,
            uid == 1 ? "" : ")\r\n");
        wire_lose(&wire, NETWORK);
        wire_rest(&wire);
        assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_HERE);
        assert_value_is(&wire, a, large, 50000);
        assert_false(is_found(&wire, uid, "BODY[]"));
        assert_int_equal(wire.commands_n, uid);
        release(&wire, a);
        assert_false(is_found(&wire, uid, "BODY[]"));
    }
    alloc_free(large);
    wire_close(&wire);
}

/* Nobody waits any more: a broken download is not resumed. */
static void leaves_a_broken_literal_nobody_wants(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 1, "BODY[]");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 BODY[] {50000}\r\nabc");
    release(&wire, a);
    wire_lose(&wire, NETWORK);
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 1);
    assert_false(is_found(&wire, 1, "BODY[]"));
    wire_close(&wire);
}

/* The UID stands behind the literals, in ascending order or not. */
static void binds_literals_to_a_late_uid(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    char *one = pattern(20000), *two = pattern(20001), *three = pattern(17000);
    struct pending *a = ask(&wire, 1, "BODY[]");
    struct pending *b = ask(&wire, 2, "BODY[]");
    ask_more(&wire, a, "BODY[TEXT]");
    ask_more(&wire, b, "BODY[TEXT]");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (BODY[] {20000}\r\n%s BODY[TEXT] {17000}\r\n%s", one, three);
    wire_rest(&wire);
    assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_WANTED);
    say(&wire, " UID 1)\r\n");
    wire_rest(&wire);
    assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_HERE);
    assert_value_is(&wire, a, one, 20000);
    say(&wire, "* 2 FETCH (BODY[] {20001}\r\n%s BODY[TEXT] \"t\" UID 2)\r\n0 OK done\r\n", two);
    assert_found(&wire, 1, "BODY[]", one);
    assert_found(&wire, 1, "BODY[TEXT]", three);
    assert_found(&wire, 2, "BODY[]", two);
    assert_found(&wire, 2, "BODY[TEXT]", "t");
    release(&wire, a);
    release(&wire, b);
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 1);

    a = ask(&wire, 3, "BODY[]"); /* descending: what was misread is asked again, alone */
    b = ask(&wire, 4, "BODY[]");
    wire_rest(&wire);
    say(&wire, "* 2 FETCH (BODY[] {20001}\r\n%s UID 4)\r\n", two);
    say(&wire, "* 1 FETCH (BODY[] {20000}\r\n%s UID 3)\r\n1 OK done\r\n", one);
    wire_rest(&wire);
    assert_int_equal(state_of(&wire, b, "BODY[]"), VALUE_WANTED);
    for (size_t i = 2; i < wire.commands_n; i++) {
        bool is_three = strstr(wire.commands[i].text, "FETCH 3 ") != NULL;
        assert_string_equal(wire.commands[i].text, is_three
                                                       ? "UID FETCH 3 (UID BODY.PEEK[])"
                                                       : "UID FETCH 4 (UID BODY.PEEK[])");
        say(&wire, "* 2 FETCH (BODY[] {%d}\r\n%s UID %d)\r\n%zu OK done\r\n",
            is_three ? 20000 : 20001, is_three ? one : two, is_three ? 3 : 4, i);
        wire_rest(&wire);
    }
    assert_found(&wire, 3, "BODY[]", one);
    assert_found(&wire, 4, "BODY[]", two);
    release(&wire, a);
    release(&wire, b);
    alloc_free(one);
    alloc_free(two);
    alloc_free(three);
    wire_close(&wire);
}

/* Literals of strangers, of lines that never end, twice the same. */
static void survives_literals_out_of_place(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    char *large = pattern(20000), *other = pattern(20001);
    struct pending *a = ask(&wire, 1, "BODY[]");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 2 BODY[] {20000}\r\n%s)\r\n", large);
    say(&wire, "* 1 FETCH (UID 1 BODY[TEXT] {20000}\r\n%s)\r\n", large);
    assert_int_equal(state_of(&wire, a, "BODY[]"), VALUE_WANTED);
    say(&wire, "* 1 FETCH (UID 1 BODY[] {20000}\r\n%s)\r\n", large);
    say(&wire, "* 1 FETCH (UID 1 BODY[] {20001}\r\n%s)\r\n", other);
    say(&wire, "* 1 FETCH (BODY[] {20001}\r\n%s UID 1)\r\n", other);
    say(&wire, "0 OK done\r\n");
    assert_value_is(&wire, a, large, 20000);
    assert_found(&wire, 1, "BODY[]", large);
    release(&wire, a);
    a = ask(&wire, 5, "BODY[]"); /* short, then long: the first word stands */
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 5 BODY[] {2}\r\nhi)\r\n");
    say(&wire, "* 1 FETCH (UID 5 BODY[] {20001}\r\n%s)\r\n1 OK done\r\n", other);
    assert_here(&wire, a, "BODY[]", "hi");
    assert_found(&wire, 5, "BODY[]", "hi");
    release(&wire, a);
    a = ask(&wire, 3, "BODY[]"); /* the link dies before the UID is said */
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (BODY[] {20000}\r\n%s", large);
    wire_lose(&wire, NETWORK);
    wire_rest(&wire);
    assert_sent(&wire, 3, "UID FETCH 3 (UID BODY.PEEK[])");
    say(&wire, "* 1 FETCH (UID 3 BODY[] {20001}\r\n%s)\r\n3 OK done\r\n", other);
    assert_found(&wire, 3, "BODY[]", other);
    release(&wire, a);
    alloc_free(large);
    alloc_free(other);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t1_drops_filler_when_something_was_expunged),
        cmocka_unit_test(asks_again_what_only_looks_like_filler),
        cmocka_unit_test(keeps_nothing_with_expungeissued),
        cmocka_unit_test(keeps_nothing_that_was_refused),
        cmocka_unit_test(asks_again_when_the_link_is_lost),
        cmocka_unit_test(blames_the_first_command_in_flight),
        cmocka_unit_test(gives_up_without_a_link),
        cmocka_unit_test(resumes_a_broken_literal),
        cmocka_unit_test(resumes_apart_from_the_others),
        cmocka_unit_test(resumes_with_a_short_rest),
        cmocka_unit_test(fails_when_the_rest_does_not_fit),
        cmocka_unit_test(fails_when_the_rest_does_not_come),
        cmocka_unit_test(tells_but_does_not_keep_without_the_ok),
        cmocka_unit_test(leaves_a_broken_literal_nobody_wants),
        cmocka_unit_test(binds_literals_to_a_late_uid),
        cmocka_unit_test(survives_literals_out_of_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
