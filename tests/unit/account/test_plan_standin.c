/* Messages told in place of others (protocol T1): Courier says OK and gives one that says that the message is no longer
 * available, while another session renames its file. Nothing of it may be kept. */
#include "plan_fixture.h"

#define STANDIN "From: System Administrator <root@localhost>\r\nSubject: message unavailable\r\n\r\n" \
    "This message is no longer available on the server.\r\n"

static void standin_is_asked_again_on_a_link_that_looks_anew(void **state)
{
    struct wire wire;
    (void)state;
    wire_open(&wire);
    wire.standin_bytes = sizeof(STANDIN) - 1;
    struct pending *one = ask(&wire, 3, "BODY[]");
    struct pending *other = ask(&wire, 4, "BODY[]");
    wire_rest(&wire);
    assert_sent(&wire, 0, "UID FETCH 3:4 (UID BODY.PEEK[] RFC822.SIZE)");
    say(&wire, "* 3 FETCH (UID 3 BODY[] {129}\r\n" STANDIN " RFC822.SIZE 129)\r\n");
    say(&wire, "* 4 FETCH (UID 4 BODY[] {4}\r\nreal RFC822.SIZE 4)\r\n");
    wire_rest(&wire);
    assert_int_equal(state_of(&wire, one, "BODY[]"), VALUE_WANTED);
    assert_here(&wire, other, "BODY[]", "real");
    say(&wire, "0 OK done\r\n");
    wire_rest(&wire);
    assert_int_equal(state_of(&wire, one, "BODY[]"), VALUE_WANTED);
    assert_sent(&wire, 1, "UID FETCH 3 (UID BODY.PEEK[] RFC822.SIZE)");
    assert_int_equal(wire.commands[1].highest_uid, UINT32_MAX);
    say(&wire, "* 3 FETCH (UID 3 BODY[] {5}\r\nthere RFC822.SIZE 5)\r\n1 OK done\r\n");
    wire_rest(&wire);
    assert_here(&wire, one, "BODY[]", "there");
    assert_found(&wire, 3, "BODY[]", "there");
    assert_found(&wire, 4, "BODY[]", "real");
    release(&wire, one);
    release(&wire, other);
    wire_close(&wire);
}

/* Small items are of the stand-in too, whatever they look like; the second time on a bulk link. */
static void nothing_in_the_line_of_a_standin_is_believed(void **state)
{
    struct wire wire;
    (void)state;
    wire_open(&wire);
    wire.standin_bytes = 129;
    struct pending *one = ask(&wire, 3, "ENVELOPE");
    ask_more(&wire, one, "BODY[HEADER.FIELDS (X)]");
    ask_more(&wire, one, "RFC822.SIZE");
    wire_rest(&wire);
    assert_int_equal(wire.commands[0].route, ROUTE_FEED);
    say(&wire, "* 3 FETCH (BODY[HEADER.FIELDS (X)] {2}\r\n\r\n ENVELOPE (NIL \"message unavailable\" NIL "
               "NIL NIL NIL NIL NIL NIL NIL) RFC822.SIZE 129 UID 3)\r\n0 OK done\r\n");
    wire_rest(&wire);
    assert_int_equal(state_of(&wire, one, "ENVELOPE"), VALUE_WANTED);
    assert_int_equal(wire.commands_n, 2);
    assert_int_equal(wire.commands[1].route, ROUTE_BULK);
    assert_int_equal(wire.commands[1].highest_uid, UINT32_MAX);
    say(&wire, "* 3 FETCH (BODY[HEADER.FIELDS (X)] {2}\r\n\r\n ENVELOPE (NIL \"real\" NIL NIL NIL NIL NIL "
               "NIL NIL NIL) RFC822.SIZE 1300 UID 3)\r\n1 OK done\r\n");
    wire_rest(&wire);
    assert_here(&wire, one, "RFC822.SIZE", "1300");
    assert_found(&wire, 3, "RFC822.SIZE", "1300");
    release(&wire, one);
    wire_close(&wire);
}

/* Twice: what the upstream says is told, for it may be so, and not kept. */
static void standin_that_stays_is_told_and_not_kept(void **state)
{
    struct wire wire;
    (void)state;
    wire_open(&wire);
    wire.standin_bytes = sizeof(STANDIN) - 1;
    struct pending *one = ask(&wire, 3, "BODY[]");
    wire_rest(&wire);
    for (int turn = 0; turn < 2; turn++) {
        say(&wire, "* 3 FETCH (UID 3 BODY[] {129}\r\n" STANDIN " RFC822.SIZE 129)\r\n%d OK done\r\n", turn);
        wire_rest(&wire);
    }
    assert_here(&wire, one, "BODY[]", STANDIN);
    assert_false(is_found(&wire, 3, "BODY[]"));
    assert_int_equal(wire.commands_n, 2);
    release(&wire, one);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standin_is_asked_again_on_a_link_that_looks_anew),
        cmocka_unit_test(nothing_in_the_line_of_a_standin_is_believed),
        cmocka_unit_test(standin_that_stays_is_told_and_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
