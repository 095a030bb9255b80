/* NO and BAD: whose fault it is, is found by asking for less; everybody else is served. */
#include "plan_fixture.h"

static const char *command(struct wire *wire, size_t i)
{
    assert_true(i < wire->commands_n);
    return wire->commands[i].text;
}

static void assert_failed(struct wire *wire, struct pending *pending, const char *item,
                          const char *words)
{
    const struct value *value = value_of(wire, pending, item);
    assert_int_equal(value->state, VALUE_FAILED);
    assert_non_null(value->words);
    assert_string_equal(value->words, words);
}

/* Two sessions' items in one command: the odd one is refused to who asked for it. */
static void an_item_that_is_refused_harms_no_other(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct wire wire;
        wire_open(&wire);
        struct pending *a = ask(&wire, 1, "ENVELOPE");
        ask_more(&wire, a, "X-ODD");
        struct pending *b = ask(&wire, 1, "ENVELOPE");
        struct pending *c = ask(&wire, 2, "ENVELOPE");
        ask_more(&wire, c, "X-ODD");
        wire_rest(&wire);
        assert_int_equal(wire.commands_n, 1);
        assert_string_equal(command(&wire, 0), "UID FETCH 1:2 (UID ENVELOPE X-ODD)");
        say(&wire, "0 %s what is that\r\n", i == 0 ? "BAD" : "NO");
        wire_rest(&wire);
        assert_int_equal(wire.commands_n, 3); /* one for each item */
        assert_int_equal(state_of(&wire, b, "ENVELOPE"), VALUE_WANTED);
        size_t odd = strstr(command(&wire, 1), "X-ODD") != NULL ? 1 : 2;
        say(&wire, "* 1 FETCH (UID 1 ENVELOPE (1))\r\n* 2 FETCH (UID 2 ENVELOPE (2))\r\n%zu OK done\r\n",
            3 - odd);
        say(&wire, "%zu %s what is that\r\n", odd, i == 0 ? "BAD" : "NO");
        wire_rest(&wire);
        assert_here(&wire, a, "ENVELOPE", "(1)");
        assert_here(&wire, b, "ENVELOPE", "(1)");
        assert_here(&wire, c, "ENVELOPE", "(2)");
        if (i == 1) { /* the fault of the first message? */
            assert_int_equal(wire.commands_n, 5);
            assert_string_equal(command(&wire, 3), "UID FETCH 1 (UID X-ODD)");
            assert_string_equal(command(&wire, 4), "UID FETCH 2 (UID X-ODD)");
            say(&wire, "3 NO what is that\r\n4 NO what is that\r\n");
            wire_rest(&wire);
        }
        assert_failed(&wire, a, "X-ODD", i == 0 ? "BAD what is that" : "NO what is that");
        assert_failed(&wire, c, "X-ODD", i == 0 ? "BAD what is that" : "NO what is that");
        assert_found(&wire, 2, "ENVELOPE", "(2)"); /* kept: its command was answered OK */
        release(&wire, a);
        release(&wire, b);
        release(&wire, c);
        wire_close(&wire);
    }
}

/* Dovecot stops at the first message it cannot decode. */
static void a_message_that_is_refused_harms_no_other(void **state)
{
    (void)state;
    struct wire wire;
    struct pending *pendings[6];
    wire_open(&wire);
    for (uint32_t uid = 1; uid <= 5; uid++) {
        pendings[uid] = ask(&wire, uid, "BINARY.SIZE[1]");
    }
    wire_rest(&wire);
    say(&wire, "* 1 FETCH (UID 1 BINARY.SIZE[1] 11)\r\n* 2 FETCH (UID 2)\r\n0 NO [UNKNOWN-CTE] odd\r\n");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 3);
    assert_string_equal(command(&wire, 1), "UID FETCH 2 (UID BINARY.SIZE[1])");
    assert_string_equal(command(&wire, 2), "UID FETCH 3:5 (UID BINARY.SIZE[1])");
    say(&wire, "1 NO [UNKNOWN-CTE] odd\r\n2 NO [UNKNOWN-CTE] odd\r\n"); /* 3 as well */
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 5);
    assert_string_equal(command(&wire, 3), "UID FETCH 3 (UID BINARY.SIZE[1])");
    say(&wire, "3 NO [UNKNOWN-CTE] odd\r\n");
    say(&wire, "* 4 FETCH (UID 4 BINARY.SIZE[1] 14)\r\n* 5 FETCH (UID 5 BINARY.SIZE[1] 15)\r\n4 OK done\r\n");
    wire_rest(&wire);
    assert_int_equal(wire.commands_n, 5);
    assert_here(&wire, pendings[1], "BINARY.SIZE[1]", "11");
    assert_failed(&wire, pendings[2], "BINARY.SIZE[1]", "NO [UNKNOWN-CTE] odd");
    assert_failed(&wire, pendings[3], "BINARY.SIZE[1]", "NO [UNKNOWN-CTE] odd");
    assert_here(&wire, pendings[4], "BINARY.SIZE[1]", "14");
    assert_here(&wire, pendings[5], "BINARY.SIZE[1]", "15");
    assert_false(is_found(&wire, 1, "BINARY.SIZE[1]")); /* came with a NO */
    assert_true(is_found(&wire, 5, "BINARY.SIZE[1]"));
    for (uint32_t uid = 1; uid <= 5; uid++) {
        release(&wire, pendings[uid]);
    }
    wire_close(&wire);
}

/* A server that refuses everything without saying why is not asked message by message. */
static void refusals_without_end_are_not_asked_for(void **state)
{
    (void)state;
    static const char *const answers[] = {"NO no", "NO [LIMIT] later", "NO [THROTTLED] later",
                                          "NO [NOPERM] not yours", "BAD what"};
    static const size_t commands[] = {4, 1, 1, 1, 1};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct wire wire;
        struct pending *pendings[200];
        wire_open(&wire);
        for (uint32_t uid = 1; uid <= 200; uid++) {
            pendings[uid - 1] = ask(&wire, uid, "BODYSTRUCTURE");
        }
        wire_rest(&wire);
        for (size_t k = 0; k < wire.commands_n; k++) {
            say(&wire, "%zu %s\r\n", k, answers[i]);
            wire_rest(&wire);
        }
        assert_true(wire.commands_n <= commands[i]);
        for (size_t k = 0; k < 200; k++) {
            assert_int_equal(state_of(&wire, pendings[k], "BODYSTRUCTURE"), VALUE_FAILED);
            release(&wire, pendings[k]);
        }
        wire_close(&wire);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_that_is_refused_harms_no_other),
        cmocka_unit_test(a_message_that_is_refused_harms_no_other),
        cmocka_unit_test(refusals_without_end_are_not_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
