/* What is asked, how, and what a session sees of it. */
#include "plan_fixture.h"

static void asks_once_for_what_two_want(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 5, "ENVELOPE");
    struct pending *b = ask(&wire, 5, "ENVELOPE");
    assert_true(pending_value(a, &(struct fetch_item){.key = SLICE("X")}) == NULL);
    wire_rest(&wire);
    struct pending *late = ask(&wire, 5, "ENVELOPE");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 1);
    assert_sent(&wire, 0, "UID FETCH 5 (UID ENVELOPE)");
    assert_int_equal(wire.commands[0].route, ROUTE_FEED);
    say(&wire, "* 3 FETCH (UID 5 ENVELOPE (NIL \"a\" NIL NIL NIL NIL NIL NIL NIL NIL))\r\n");
    size_t told = wire.progress_n;
    wire_rest(&wire);
    assert_int_equal(wire.progress_n, told + 1);
    const char *value = "(NIL \"a\" NIL NIL NIL NIL NIL NIL NIL NIL)";
    assert_here(&wire, a, "ENVELOPE", value);
    assert_here(&wire, b, "ENVELOPE", value);
    assert_here(&wire, late, "ENVELOPE", value);
    assert_false(is_found(&wire, 5, "ENVELOPE")); /* not before the tagged OK */
    say(&wire, "0 OK done\r\n");
    assert_found(&wire, 5, "ENVELOPE", value);
    release(&wire, a);
    release(&wire, b);
    assert_here(&wire, late, "ENVELOPE", value);
    release(&wire, late);
    assert_int_equal(stat_of(&wire, STAT_fetch_misses), 1);
    assert_int_equal(stat_of(&wire, STAT_fetch_joins), 2);
    assert_int_equal(stat_of(&wire, STAT_fetch_hits), 1);
    wire_close(&wire);
}

static void groups_by_what_is_missing(void **state)
{
    (void)state;
    struct wire wire;
    struct pending *held[5];
    wire_open(&wire);
    held[0] = ask(&wire, 9, "ENVELOPE");
    held[1] = ask(&wire, 3, "ENVELOPE");
    held[2] = ask(&wire, 4, "BODY.PEEK[]");
    ask_more(&wire, held[2], "RFC822.SIZE");
    held[3] = ask(&wire, 8, "RFC822.SIZE"); /* in another order, the same set */
    ask_more(&wire, held[3], "BODY[]");
    held[4] = ask(&wire, 7, "ENVELOPE");
    ask_more(&wire, held[4], "BODYSTRUCTURE");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 3);
    assert_sent(&wire, 0, "UID FETCH 3,9 (UID ENVELOPE)");
    assert_sent(&wire, 1, "UID FETCH 4,8 (UID RFC822.SIZE BODY.PEEK[])");
    assert_int_equal(wire.commands[1].route, ROUTE_BULK);
    assert_int_equal(wire.commands[1].highest_uid, 8);
    assert_sent(&wire, 2, "UID FETCH 7 (UID BODYSTRUCTURE ENVELOPE)");
    assert_int_equal(wire.commands[2].highest_uid, 0);
    for (size_t i = 0; i < 5; i++) {
        release(&wire, held[i]);
    }
    wire_close(&wire);
}

static void cuts_large_sets(void **state)
{
    (void)state;
    struct wire wire;
    struct pending *held[600];
    wire_open(&wire);
    for (uint32_t i = 0; i < 600; i++) {
        held[i] = ask(&wire, i + 1, i < 500 ? "RFC822.SIZE" : "RFC822");
    }
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 6);
    assert_sent(&wire, 0, "UID FETCH 1:256 (UID RFC822.SIZE)");
    assert_sent(&wire, 1, "UID FETCH 501:532 (UID BODY.PEEK[])");
    assert_sent(&wire, 2, "UID FETCH 533:564 (UID BODY.PEEK[])");
    assert_sent(&wire, 3, "UID FETCH 565:596 (UID BODY.PEEK[])");
    assert_sent(&wire, 4, "UID FETCH 257:500 (UID RFC822.SIZE)");
    assert_sent(&wire, 5, "UID FETCH 597:600 (UID BODY.PEEK[])");
    for (uint32_t i = 0; i < 600; i++) {
        release(&wire, held[i]);
    }
    wire_close(&wire);
}

/* Any order of messages and items, items nobody asked for, lines of strangers, cut anywhere. */
static void takes_odd_orders(void **state)
{
    (void)state;
    for (size_t step = 0; step < 60; step++) {
        struct wire wire;
        wire_open(&wire);
        wire.step = step;
        struct pending *a = ask(&wire, 10, "BODY[HEADER.FIELDS (Subject from)]");
        struct pending *b = ask(&wire, 11, "BODY[HEADER.FIELDS (from SUBJECT)]");
        ask_more(&wire, a, "RFC822.SIZE");
        ask_more(&wire, b, "RFC822.SIZE");
        wire_rest(&wire);
        assert_sent(&wire, 0, "UID FETCH 10:11 (UID RFC822.SIZE "
                              "BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)])");
        assert_int_equal(wire.commands[0].route, ROUTE_FEED);
        say(&wire, "* 2 FETCH (BODY[HEADER.FIELDS (\"SUBJECT\" FROM)] {6}\r\na: b\r\n "
                   "FLAGS (\\Seen) X-NEW (1 2) RFC822.SIZE 77 UID 11)\r\n");
        say(&wire, "* 9 FETCH (UID 99 RFC822.SIZE 1)\r\n* 1 FETCH (FLAGS ())\r\n* 12 EXISTS\r\n");
        say(&wire, "* 1 FETCH (RFC822.SIZE 5)\r\n");
        wire_rest(&wire);
        assert_int_equal(state_of(&wire, a, "RFC822.SIZE"), VALUE_WANTED);
        assert_here(&wire, b, "RFC822.SIZE", "77");
        say(&wire, "* 1 FETCH (UID 10 RFC822.SIZE 55)\r\n");
        say(&wire, "* 1 FETCH (UID 10 BODY[HEADER.FIELDS (Subject From)] \"q\\\"s\")\r\n");
        say(&wire, "* 1 FETCH (UID 10 RFC822.SIZE 66)\r\n"); /* the first word stands */
        say(&wire, "0 OK done\r\n");
        wire_rest(&wire);
        assert_here(&wire, a, "RFC822.SIZE", "55");
        assert_here(&wire, a, "BODY[HEADER.FIELDS (Subject From)]", "q\"s");
        assert_here(&wire, b, "BODY.PEEK[HEADER.FIELDS (From Subject)]", "a: b\r\n");
        assert_found(&wire, 10, "BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)]", "q\"s");
        assert_false(is_found(&wire, 99, "RFC822.SIZE"));
        release(&wire, a);
        release(&wire, b);
        wire_close(&wire);
    }
}

static void keeps_nil_and_empty_apart(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 1, "BODY[9]");
    ask_more(&wire, a, "BODY[TEXT]");
    ask_more(&wire, a, "BODY[1]");
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 BODY[9] NIL BODY[TEXT] {0}\r\n BODY[1] \"\")\r\n");
    wire_rest(&wire);
    /* It might be the filler of a message that has gone: only the tagged reply tells. */
    assert_int_equal(state_of(&wire, a, "BODY[9]"), VALUE_WANTED);
    say(&wire, "0 OK done\r\n");
    wire_rest(&wire);
    assert_here(&wire, a, "BODY[9]", "");
    assert_true(value_of(&wire, a, "BODY[9]")->is_nil);
    assert_here(&wire, a, "BODY[TEXT]", "");
    assert_false(value_of(&wire, a, "BODY[TEXT]")->is_nil);
    assert_true(found(&wire, 1, "BODY[9]", NULL).is_nil);
    assert_false(found(&wire, 1, "BODY[TEXT]", NULL).is_nil);
    assert_found(&wire, 1, "BODY[1]", "");
    release(&wire, a);
    wire_close(&wire);
}

/* T2: OK without data. */
static void asks_twice_before_it_says_absent(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    ranges_remove(&wire.model, 4, 4);
    struct pending *there = ask(&wire, 3, "BODY[]");
    struct pending *gone = ask(&wire, 4, "BODY[]");
    wire_rest(&wire);
    assert_sent(&wire, 0, "UID FETCH 3:4 (UID BODY.PEEK[])");
    say(&wire, "0 OK done\r\n");
    wire_rest(&wire);
    assert_int_equal(state_of(&wire, gone, "BODY[]"), VALUE_ABSENT);
    assert_int_equal(state_of(&wire, there, "BODY[]"), VALUE_WANTED);
    assert_int_equal(wire.commands_n, 2);
    assert_sent(&wire, 1, "UID FETCH 3 (UID BODY.PEEK[])");
    assert_int_equal(wire.commands[1].highest_uid, 3);
    say(&wire, "* 1 FETCH (UID 3 FLAGS ())\r\n1 OK done\r\n");
    wire_rest(&wire);
    assert_int_equal(state_of(&wire, there, "BODY[]"), VALUE_ABSENT);
    assert_int_equal(wire.commands_n, 2);
    assert_false(is_found(&wire, 3, "BODY[]"));
    /* Another session tries afresh, although the first still holds the message. */
    struct pending *later = ask(&wire, 3, "BODY[]");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 3);
    say(&wire, "* 1 FETCH (UID 3 BODY[] {2}\r\nhi)\r\n2 OK done\r\n");
    wire_rest(&wire);
    assert_here(&wire, later, "BODY[]", "hi");
    assert_int_equal(state_of(&wire, there, "BODY[]"), VALUE_ABSENT);
    release(&wire, later);
    release(&wire, there);
    release(&wire, gone);
    wire_close(&wire);
}

static void asks_parts_as_parts(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 1, "BODY[]<0.4>");
    ask_more(&wire, a, "BODY[]<4.4>");
    wire_rest(&wire);
    assert_sent(&wire, 0, "UID FETCH 1 (UID BODY.PEEK[]<0.4> BODY.PEEK[]<4.4>)");
    say(&wire, "* 1 FETCH (UID 1 BODY[]<4> {2}\r\nef BODY[]<0> {4}\r\nabcd)\r\n");
    wire_rest(&wire);
    assert_here(&wire, a, "BODY[]<0.4>", "abcd");
    assert_here(&wire, a, "BODY[]<4.4>", "ef");
    assert_true(value_of(&wire, a, "BODY[]<4.4>")->is_part);
    assert_int_equal(value_of(&wire, a, "BODY[]<4.4>")->base, 4);
    say(&wire, "0 OK done\r\n");
    assert_found(&wire, 1, "BODY[]<4.4>", "ef");
    assert_int_equal(found(&wire, 1, "BODY[]<4.4>", NULL).base, 4);
    assert_false(is_found(&wire, 1, "BODY[]<4.5>"));
    assert_false(is_found(&wire, 1, "BODY[]"));
    /* A part of what is on its way whole waits for that. */
    struct pending *whole = ask(&wire, 1, "BODY[]");
    struct pending *part = ask(&wire, 1, "BODY[]<1.2>");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 2);
    say(&wire, "* 1 FETCH (UID 1 BODY[] {6}\r\nabcdef)\r\n1 OK done\r\n");
    wire_rest(&wire);
    assert_here(&wire, part, "BODY[]<1.2>", "abcdef");
    assert_false(value_of(&wire, part, "BODY[]<1.2>")->is_part);
    assert_int_equal(found(&wire, 1, "BODY[]<1.2>", NULL).size, 6);
    release(&wire, a);
    release(&wire, whole);
    release(&wire, part);
    wire_close(&wire);
}

/* Both are answered as BODY[]<0>: they are never in flight together. */
static void parts_with_one_name_go_one_after_the_other(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 1, "BODY[]<0.4>");
    struct pending *b = ask(&wire, 1, "BODY[]<0.2>");
    ask_more(&wire, b, "BODY[]<2.2>");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 1);
    bool is_longer = strstr(wire.commands[0].text, "<0.4>") != NULL;
    assert_int_not_equal(is_longer, strstr(wire.commands[0].text, "<0.2>") != NULL);
    assert_non_null(strstr(wire.commands[0].text, "<2.2>"));
    say(&wire, is_longer ? "* 1 FETCH (UID 1 BODY[]<0> {4}\r\nabcd BODY[]<2> {2}\r\ncd)\r\n"
                         : "* 1 FETCH (UID 1 BODY[]<0> {2}\r\nab BODY[]<2> {2}\r\ncd)\r\n");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 1);
    say(&wire, "0 OK done\r\n");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 2);
    say(&wire, is_longer ? "* 1 FETCH (UID 1 BODY[]<0> {2}\r\nab)\r\n"
                         : "* 1 FETCH (UID 1 BODY[]<0> {4}\r\nabcd)\r\n");
    say(&wire, "1 OK done\r\n");
    wire_rest(&wire);
    assert_here(&wire, a, "BODY[]<0.4>", "abcd");
    assert_here(&wire, b, "BODY[]<0.2>", "ab");
    assert_here(&wire, b, "BODY[]<2.2>", "cd");
    release(&wire, a);
    release(&wire, b);
    wire_close(&wire);
}

/* More than asked for, at another place, or whole: not what was asked. */
static void refuses_parts_that_do_not_fit(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "BODY[]<4> {5}\r\nabcde", "BODY[]<5> {4}\r\nabcd", "BODY[] {4}\r\nabcd",
        "BODY[TEXT]<4> {4}\r\nabcd", "BODY[]<4> (a b)", "BODY[]<4> abcd",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct wire wire;
        wire_open(&wire);
        struct pending *a = ask(&wire, 1, "BODY[]<4.4>");
        wire_rest(&wire);
        say(&wire, "* 1 FETCH (UID 1 %s)\r\n0 OK done\r\n", answers[i]);
        wire_rest(&wire);
        assert_int_equal(wire.commands_n, 2);
        say(&wire, "1 OK done\r\n");
        wire_rest(&wire);
        assert_int_equal(state_of(&wire, a, "BODY[]<4.4>"), VALUE_ABSENT);
        assert_false(is_found(&wire, 1, "BODY[]<4.4>"));
        release(&wire, a);
        wire_close(&wire);
    }
}

/* Labels of X-GM-LABELS change: neither kept nor joined once asked. */
static void t7_asks_mutable_items_each_time(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 1, "X-GM-LABELS");
    struct pending *b = ask(&wire, 1, "X-GM-LABELS");
    wire_rest(&wire);
    struct pending *c = ask(&wire, 1, "X-GM-LABELS");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 2);
    say(&wire, "* 1 FETCH (UID 1 X-GM-LABELS (one))\r\n0 OK done\r\n");
    say(&wire, "* 1 FETCH (UID 1 X-GM-LABELS (two))\r\n1 OK done\r\n");
    wire_rest(&wire);
    assert_here(&wire, a, "X-GM-LABELS", "(one)");
    assert_here(&wire, b, "X-GM-LABELS", "(one)");
    assert_here(&wire, c, "X-GM-LABELS", "(two)");
    assert_false(is_found(&wire, 1, "X-GM-LABELS"));
    release(&wire, a);
    release(&wire, b);
    release(&wire, c);
    wire_close(&wire);
}

static void forgets_what_nobody_waits_for(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    release(&wire, ask(&wire, 1, "ENVELOPE")); /* before it was asked */
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 0);
    struct pending *a = ask(&wire, 1, "RFC822.SIZE");
    wire_rest(&wire);
    release(&wire, a); /* in flight: what comes is kept all the same */
    say(&wire, "* 1 FETCH (UID 1 RFC822.SIZE 12)\r\n0 OK done\r\n");
    wire_rest(&wire);
    assert_found(&wire, 1, "RFC822.SIZE", "12");
    a = ask(&wire, 2, "RFC822.SIZE"); /* in flight, and nothing comes: not asked again */
    wire_rest(&wire);
    release(&wire, a);
    say(&wire, "1 OK done\r\n");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 2);
    release(&wire, ask(&wire, 3, "RFC822.SIZE"));
    a = ask(&wire, 3, "BODY[]"); /* in flight when the mailbox goes */
    wire_rest(&wire);
    release(&wire, a);
    wire_close(&wire);
}

struct fickle {
    struct plan_waiter waiter;
    struct plan *plan;
    struct plan_waiter *other;
    size_t calls_n;
};

static void fickle_progress(struct plan_waiter *waiter)
{
    struct fickle *fickle = (struct fickle *)waiter;
    fickle->calls_n++;
    plan_unwait(fickle->plan, fickle->other);
    plan_unwait(fickle->plan, waiter);
    plan_wait(fickle->plan, waiter);
}

static void tells_each_waiter_once(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct fickle a = {.waiter.progress = fickle_progress, .plan = wire.plan};
    struct fickle b = {.waiter.progress = fickle_progress, .plan = wire.plan};
    a.other = &b.waiter;
    b.other = &a.waiter;
    plan_wait(wire.plan, &a.waiter);
    plan_wait(wire.plan, &a.waiter);
    plan_wait(wire.plan, &b.waiter);
    struct pending *pending = ask(&wire, 1, "RFC822.SIZE");
    wire_rest(&wire);
    assert_int_equal(a.calls_n + b.calls_n, 0);
    say(&wire, "* 1 FETCH (UID 1 RFC822.SIZE 12)\r\n");
    assert_int_equal(a.calls_n, 0); /* deferred */
    wire_rest(&wire);
    assert_int_equal(a.calls_n, 1);
    assert_int_equal(b.calls_n, 0); /* a took it away before its turn */
    assert_int_equal(wire.progress_n, 1);
    plan_unwait(wire.plan, &a.waiter);
    plan_unwait(wire.plan, &b.waiter);
    release(&wire, pending);
    wire_close(&wire);
}

static void asks_literal8_and_answers_as_such(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct pending *a = ask(&wire, 1, "BINARY[1]");
    struct pending *b = ask(&wire, 2, "BINARY[1]");
    wire_rest(&wire);
    assert_sent(&wire, 0, "UID FETCH 1:2 (UID BINARY.PEEK[1])");
    char *large = pattern(20000);
    say(&wire, "* 1 FETCH (UID 1 BINARY[1] ~{3}\r\nabc)\r\n");
    say(&wire, "* 2 FETCH (UID 2 BINARY[1] ~{20000}\r\n%s)\r\n0 OK done\r\n", large);
    wire_rest(&wire);
    assert_here(&wire, a, "BINARY[1]", "abc");
    assert_true(value_of(&wire, a, "BINARY[1]")->is_literal8);
    assert_true(value_of(&wire, b, "BINARY[1]")->is_literal8);
    assert_true(found(&wire, 1, "BINARY[1]", NULL).is_literal8);
    assert_true(found(&wire, 2, "BINARY[1]", NULL).is_literal8);
    assert_found(&wire, 1, "BINARY[1]", "abc");
    assert_found(&wire, 2, "BINARY[1]", large);
    alloc_free(large);
    release(&wire, a);
    release(&wire, b);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_once_for_what_two_want),
        cmocka_unit_test(parts_with_one_name_go_one_after_the_other),
        cmocka_unit_test(groups_by_what_is_missing),
        cmocka_unit_test(cuts_large_sets),
        cmocka_unit_test(takes_odd_orders),
        cmocka_unit_test(keeps_nil_and_empty_apart),
        cmocka_unit_test(asks_twice_before_it_says_absent),
        cmocka_unit_test(asks_parts_as_parts),
        cmocka_unit_test(refuses_parts_that_do_not_fit),
        cmocka_unit_test(t7_asks_mutable_items_each_time),
        cmocka_unit_test(forgets_what_nobody_waits_for),
        cmocka_unit_test(tells_each_waiter_once),
        cmocka_unit_test(asks_literal8_and_answers_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
