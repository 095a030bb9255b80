#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "everysplit.h"
#include "imap/lexer.h"
#include "imap/reader.h"

enum answer { ANSWER_COLLECT, ANSWER_STREAM, ANSWER_SKIP, ANSWER_REFUSE_SYNC };

struct setup {
    enum reader_leg leg;
    enum answer answer;
    struct reader_limits limits;
};

static const struct reader_limits roomy = {
    .max_line_bytes = 8192, .max_unit_bytes = 65536, .max_literals = 8};

static void trace_text(struct buf *trace, const struct reader *reader)
{
    struct unit unit = reader_unit(reader);
    buf_add(trace, unit.text);
    for (size_t i = 0; i < unit.holes_n; i++) {
        buf_printf(trace, "<hole %zu %llu>", unit.holes[i].offset,
                   (unsigned long long)unit.holes[i].size);
    }
    buf_add_char(trace, '|');
}

static void answer_literal(struct reader *reader, const struct setup *setup, struct buf *trace)
{
    buf_printf(trace, "LITERAL %llu%s%s:", (unsigned long long)reader->literal.size,
               reader->literal.is_sync ? " sync" : "", reader->literal.is_literal8 ? " 8" : "");
    trace_text(trace, reader);
    if (setup->answer == ANSWER_COLLECT) {
        if (!reader_collect(reader)) {
            buf_add_str(trace, "no room|");
        }
    } else if (setup->answer == ANSWER_STREAM) {
        reader_stream(reader);
        buf_add_str(trace, "DATA:");
    } else if (setup->answer == ANSWER_REFUSE_SYNC && reader->literal.is_sync) {
        reader_refuse(reader);
    } else {
        reader_skip(reader);
    }
}

/* Handle one event; true: feed on. */
static bool on_event(struct reader *reader, enum reader_event event, const struct setup *setup,
                     struct buf *trace)
{
    switch (event) {
    case READER_MORE:
        return false;
    case READER_LITERAL:
        answer_literal(reader, setup, trace);
        return true;
    case READER_LITERAL_DATA:
        buf_add(trace, reader->data);
        return true;
    case READER_LITERAL_END:
        buf_add_str(trace, "|END|");
        return true;
    case READER_LINE:
        buf_add_str(trace, "LINE:");
        trace_text(trace, reader);
        reader_next(reader);
        return true;
    case READER_LIMIT:
        buf_printf(trace, "LIMIT %d:", (int)reader->limit);
        trace_text(trace, reader);
        if (reader->limit == READER_LIMIT_FRAMING) {
            return false;
        }
        reader_next(reader);
        return true;
    }
    return false;
}

static void run_reader(void *arg, const struct slice *pieces, size_t n, struct buf *trace)
{
    const struct setup *setup = arg;
    struct reader reader;
    reader_init(&reader, setup->leg, &setup->limits);
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        size_t used;
        bool more = true;
        while (more && reader.limit != READER_LIMIT_FRAMING) {
            struct slice rest = slice_sub(pieces[i], at, pieces[i].len);
            enum reader_event event = reader_feed(&reader, rest, &used);
            at += used;
            more = on_event(&reader, event, setup, trace);
        }
    }
    buf_add_str(trace, reader_is_idle(&reader) ? "idle" : "busy");
    reader_fini(&reader);
}

static void expect(const struct setup *setup, struct slice input, const char *trace)
{
    struct setup copy = *setup;
    struct buf want;
    struct buf got;
    buf_init(&want, 0);
    buf_init(&got, 0);
    bool is_same = everysplit_same(run_reader, &copy, input, &want, &got);
    buf_add_char(&want, '\0');
    buf_add_char(&got, '\0');
    assert_string_equal(want.data, trace);
    if (!is_same) {
        assert_string_equal(got.data, want.data);
    }
    buf_fini(&want);
    buf_fini(&got);
}

#define EXPECT(leg, answer, input, trace)                                                          \
    expect(&(struct setup){leg, answer, roomy}, SLICE(input), trace)

static void lines_and_bare_lf(void **state)
{
    (void)state;
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a NOOP\r\n\r\nb IDLE\nDONE\r\nc",
           "LINE:a NOOP|LINE:|LINE:b IDLE|LINE:DONE|busy");
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a NO\rOP\r\r\n", "LINE:a NO\rOP\r|idle");
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "", "idle");
}

static void literals_are_collected(void **state)
{
    (void)state;
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a LOGIN {4}\r\njo\"n {3+}\r\n\r\n \r\nb NOOP\r\n",
           "LITERAL 4 sync:a LOGIN {4}\r\n<hole 13 4>|LITERAL 3:a LOGIN {4}\r\njo\"n {3+}\r\n"
           "<hole 24 3>|LINE:a LOGIN {4}\r\njo\"n {3+}\r\n\r\n |LINE:b NOOP|idle");
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a X ({0}\n)\n",
           "LITERAL 0 sync:a X ({0}\r\n<hole 10 0>|LINE:a X ({0}\r\n)|idle");
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a APPEND x ~{2-}\r\nab\r\n",
           "LITERAL 2 8:a APPEND x ~{2-}\r\n<hole 18 2>|LINE:a APPEND x ~{2-}\r\nab|idle");
}

static void literals_are_streamed_and_skipped(void **state)
{
    (void)state;
    EXPECT(READER_SERVER, ANSWER_STREAM, "* 1 FETCH (BODY[] {5}\r\n{2}\r\n UID 7)\r\n",
           "LITERAL 5 sync:* 1 FETCH (BODY[] {5}\r\n<hole 23 5>|DATA:{2}\r\n|END|"
           "LINE:* 1 FETCH (BODY[] {5}\r\n UID 7)<hole 23 5>|idle");
    EXPECT(READER_SERVER, ANSWER_STREAM, "* 1 FETCH (A {0}\r\n B {1}\r\nx)\r\n",
           "LITERAL 0 sync:* 1 FETCH (A {0}\r\n<hole 18 0>|DATA:|END|LITERAL 1 sync:"
           "* 1 FETCH (A {0}\r\n B {1}\r\n<hole 18 0><hole 26 1>|DATA:x|END|"
           "LINE:* 1 FETCH (A {0}\r\n B {1}\r\n)<hole 18 0><hole 26 1>|idle");
    EXPECT(READER_CLIENT, ANSWER_SKIP, "a APPEND x {4+}\r\nabcd\r\nb NOOP\r\n",
           "LITERAL 4:a APPEND x {4+}\r\n<hole 17 4>|LINE:a APPEND x {4+}\r\n<hole 17 4>|"
           "LINE:b NOOP|idle");
    EXPECT(READER_CLIENT, ANSWER_REFUSE_SYNC, "a APPEND x {4}\r\nb NOOP\r\n",
           "LITERAL 4 sync:a APPEND x {4}\r\n<hole 16 4>|LINE:b NOOP|idle");
}

static void what_looks_like_a_literal_and_is_none(void **state)
{
    (void)state;
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a LOGIN u \"p {5}\r\n", "LINE:a LOGIN u \"p {5}|idle");
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a LOGIN u \"p\\\" {5}\r\n",
           "LINE:a LOGIN u \"p\\\" {5}|idle");
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a LOGIN u \"p\\\\\" {1}\r\nx\r\n",
           "LITERAL 1 sync:a LOGIN u \"p\\\\\" {1}\r\n<hole 21 1>|"
           "LINE:a LOGIN u \"p\\\\\" {1}\r\nx|idle");
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a LOGIN u pass{5}\r\n", "LINE:a LOGIN u pass{5}|idle");
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a X {}\r\na X {+}\r\na X {5} \r\na X 5}\r\n",
           "LINE:a X {}|LINE:a X {+}|LINE:a X {5} |LINE:a X 5}|idle");
    EXPECT(READER_SERVER, ANSWER_COLLECT, "* OK blah {5}\r\nt1 NO blah {5}\r\n+ idling {5}\r\n",
           "LINE:* OK blah {5}|LINE:t1 NO blah {5}|LINE:+ idling {5}|idle");
    EXPECT(READER_SERVER, ANSWER_COLLECT, "* bye {5}\r\n* PREAUTH [X {1}]{2}\r\nA BAD {3}\r\n",
           "LINE:* bye {5}|LINE:* PREAUTH [X {1}]{2}|LINE:A BAD {3}|idle");
    EXPECT(READER_SERVER, ANSWER_COLLECT, "* LIST () NIL {2}\r\nOK\r\n",
           "LITERAL 2 sync:* LIST () NIL {2}\r\n<hole 19 2>|LINE:* LIST () NIL {2}\r\nOK|idle");
}

static void expect_limits(enum reader_leg leg, enum answer answer, struct slice input,
                          const char *trace)
{
    struct setup setup = {
        leg, answer, {.max_line_bytes = 16, .max_unit_bytes = 32, .max_literals = 2}};
    expect(&setup, input, trace);
}

static void too_long_is_told_and_swallowed(void **state)
{
    (void)state;
    expect_limits(READER_CLIENT, ANSWER_COLLECT, SLICE("a 345678901234\r\nb NOOP\r\n"),
                  "LINE:a 345678901234|LINE:b NOOP|idle");
    expect_limits(READER_CLIENT, ANSWER_COLLECT, SLICE("a 34567890123456\r\nb NOOP\r\n"),
                  "LIMIT 1:a 34567890123456|LINE:b NOOP|idle");
    /* a non-synchronising literal at the end of a swallowed line is on its way */
    expect_limits(READER_CLIENT, ANSWER_COLLECT,
                  SLICE("a 3456789012345678 {9+}\r\n\r\nb NOOP\r rest {3}\r\nc NOOP\r\n"),
                  "LIMIT 1:a 34567890123456|LINE:c NOOP|idle");
    /* a synchronising one is not */
    expect_limits(READER_CLIENT, ANSWER_COLLECT, SLICE("a 3456789012345678 {9}\r\nb NOOP\r\n"),
                  "LIMIT 1:a 34567890123456|LINE:b NOOP|idle");
    expect_limits(READER_SERVER, ANSWER_COLLECT,
                  SLICE("* LIST 78901234567 {4}\r\n\r\nab)\r\n* 1 EXISTS\r\n"),
                  "LIMIT 1:* LIST 789012345|LINE:* 1 EXISTS|idle");
    expect_limits(READER_SERVER, ANSWER_COLLECT, SLICE("* OK 4567890123456 {4}\r\n* BYE\r\n"),
                  "LIMIT 1:* OK 45678901234|LINE:* BYE|idle");
}

static void quotes_are_tracked_while_swallowing(void **state)
{
    (void)state;
    expect_limits(READER_CLIENT, ANSWER_COLLECT, SLICE("a X \"78901234567890 {9+}\r\nb NOOP\r\n"),
                  "LIMIT 1:a X \"78901234567|LINE:b NOOP|idle");
    struct buf input;
    buf_init(&input, 0);
    buf_add_str(&input, "a X \"");
    for (int i = 0; i < 9000; i++) {
        buf_add_str(&input, "\\\"");
    }
    buf_add_str(&input, " {9+}\r\nb \"");
    for (int i = 0; i < 9001; i++) {
        buf_add_str(&input, "y");
    }
    buf_add_str(&input, "\" {2+}\r\nb \r\nc NOOP\r\n");
    struct setup setup = {READER_CLIENT,
                          ANSWER_COLLECT,
                          {.max_line_bytes = 16, .max_unit_bytes = 32, .max_literals = 2}};
    struct buf trace;
    buf_init(&trace, 0);
    struct slice whole = buf_slice(&input);
    run_reader(&setup, &whole, 1, &trace);
    assert_true(slice_eq(buf_slice(&trace),
                         SLICE("LIMIT 1:a X \"\\\"\\\"\\\"\\\"\\\"\\|LIMIT 1:b \"yyyyyyyyyyyyy|"
                               "LINE:c NOOP|idle")));
    struct buf again;
    buf_init(&again, 0);
    for (size_t cut = 1; cut < 4000; cut += 997) {
        everysplit_one(run_reader, &setup, whole, cut, 5000 + cut, &again);
        assert_true(slice_eq(buf_slice(&trace), buf_slice(&again)));
    }
    buf_fini(&again);
    buf_fini(&trace);
    buf_fini(&input);
}

static void literals_have_limits(void **state)
{
    (void)state;
    /* does not fit the unit: the owner is told before it asks for the octets */
    expect_limits(READER_CLIENT, ANSWER_COLLECT, SLICE("a X {30}\r\nb NOOP\r\n"),
                  "LITERAL 30 sync:a X {30}\r\n<hole 10 30>|no room|LIMIT 2:a X {30}\r\n|"
                  "LINE:b NOOP|idle");
    expect_limits(READER_CLIENT, ANSWER_COLLECT,
                  SLICE("a X {30+}\r\n012345678901234567890123456789 Y\r\nb NOOP\r\n"),
                  "LITERAL 30:a X {30+}\r\n<hole 11 30>|no room|LIMIT 2:a X {30+}\r\n|"
                  "LINE:b NOOP|idle");
    expect_limits(READER_SERVER, ANSWER_STREAM,
                  SLICE("* A {1}\r\nx {1}\r\ny {1}\r\nz w\r\n* BYE\r\n"),
                  "LITERAL 1 sync:* A {1}\r\n<hole 9 1>|DATA:x|END|LITERAL 1 sync:* A {1}\r\n {1}"
                  "\r\n<hole 9 1><hole 15 1>|DATA:y|END|LIMIT 3:* A {1}\r\n {1}\r\n {1}\r\n"
                  "<hole 9 1><hole 15 1>|LINE:* BYE|idle");
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a X {9223372036854775808}\r\nb NOOP\r\n",
           "LIMIT 4:a X {9223372036854775808}|busy");
    EXPECT(READER_CLIENT, ANSWER_COLLECT, "a X {0000000000000000000000001+}\r\nb NOOP\r\n",
           "LIMIT 4:a X {0000000000000000000000001+}|busy");
}

static void four_gigabytes_stream_in_constant_memory(void **state)
{
    (void)state;
    struct reader reader;
    reader_init(&reader, READER_SERVER, &roomy);
    size_t used;
    struct slice head = SLICE("* 1 FETCH (BODY[] {4294967296}\r\n");
    assert_int_equal(reader_feed(&reader, head, &used), READER_LITERAL);
    assert_int_equal(used, head.len);
    reader_stream(&reader);
    static char zeros[1 << 20];
    size_t cap = reader.text.cap;
    for (int i = 0; i < 4096; i++) {
        assert_int_equal(reader_feed(&reader, slice_of(zeros, sizeof(zeros)), &used),
                         READER_LITERAL_DATA);
        assert_ptr_equal(reader.data.data, zeros);
        assert_int_equal(reader.data.len, sizeof(zeros));
    }
    assert_int_equal(reader_feed(&reader, SLICE(")\r\n"), &used), READER_LITERAL_END);
    assert_int_equal(used, 0);
    assert_int_equal(reader_feed(&reader, SLICE(")\r\n"), &used), READER_LINE);
    assert_int_equal(reader.text.cap, cap);
    reader_fini(&reader);
}

static void events_repeat_until_answered(void **state)
{
    (void)state;
    struct reader reader;
    reader_init(&reader, READER_CLIENT, &roomy);
    size_t used;
    assert_int_equal(reader_feed(&reader, SLICE("a {1}\r\nx\r\n"), &used), READER_LITERAL);
    assert_int_equal(used, 7);
    assert_int_equal(reader_feed(&reader, SLICE("x\r\nq"), &used), READER_LITERAL);
    assert_int_equal(used, 0);
    assert_true(reader_collect(&reader));
    assert_int_equal(reader_feed(&reader, SLICE("x\r\nq"), &used), READER_LINE);
    assert_int_equal(used, 3);
    assert_int_equal(reader_feed(&reader, SLICE("q"), &used), READER_LINE);
    assert_int_equal(used, 0);
    reader_next(&reader);
    assert_true(reader_is_idle(&reader));
    reader_fini(&reader);
}

static void a_client_s_text_is_wiped(void **state)
{
    (void)state;
    struct reader reader;
    reader_init(&reader, READER_CLIENT, &roomy);
    size_t used;
    assert_int_equal(reader_feed(&reader, SLICE("a LOGIN u secret\r\n"), &used), READER_LINE);
    reader_next(&reader);
    assert_null(memmem(reader.text.data, reader.text.cap, "secret", 6));
    reader_fini(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_and_bare_lf),
        cmocka_unit_test(literals_are_collected),
        cmocka_unit_test(literals_are_streamed_and_skipped),
        cmocka_unit_test(what_looks_like_a_literal_and_is_none),
        cmocka_unit_test(too_long_is_told_and_swallowed),
        cmocka_unit_test(quotes_are_tracked_while_swallowing),
        cmocka_unit_test(literals_have_limits),
        cmocka_unit_test(four_gigabytes_stream_in_constant_memory),
        cmocka_unit_test(events_repeat_until_answered),
        cmocka_unit_test(a_client_s_text_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
