#include "imap/reader.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

/*             LF, no literal                          reader_next()
 *   IN_LINE ------------------> DONE ----------------------------------> IN_LINE (empty)
 *      |  ^  `{n}` LF
 *      |  |  --------> ANNOUNCED -- collect -> COLLECT --.
 *      |  |                |------- stream --> STREAM ---|  all octets read
 *      |  |                `------- skip ----> SKIP -----|
 *      |  `----------------------------------------------'
 *      | too long            reader_next()
 *      `----------> OVER ------------------> IN_LINE or SKIP with is_swallowing, up to the end
 *                                            of the unit: nothing is kept but a tail of the line
 */
enum state { IN_LINE, ANNOUNCED, COLLECT, STREAM, SKIP, DONE, OVER };

enum {
    LITERAL_DIGITS_MAX = 20,
    TAIL_BYTES = 64,        /* kept of a swallowed line: more than the longest literal header */
    TAIL_TRIM_BYTES = 4096, /* trimmed to TAIL_BYTES when longer */
    HEADER_ROOM_BYTES = 2   /* the CRLF we add after a literal header */
};

/* Not an event: go on with the next state. */
#define STEP_ON ((enum reader_event)(READER_LIMIT + 1))

void reader_init(struct reader *reader, enum reader_leg leg, const struct reader_limits *limits)
{
    *reader = (struct reader){.leg = leg, .limits = *limits, .state = IN_LINE};
    size_t most = limits->max_unit_bytes + HEADER_ROOM_BYTES + TAIL_TRIM_BYTES;
    if (leg == READER_CLIENT) {
        buf_init_secret(&reader->text, most); /* it may be a password */
    } else {
        buf_init(&reader->text, most);
    }
}

void reader_fini(struct reader *reader)
{
    buf_fini(&reader->text);
    alloc_free(reader->holes);
    reader->holes = NULL;
    reader->holes_n = 0;
    reader->holes_cap = 0;
}

static void drop_text(struct reader *reader)
{
    buf_reset(&reader->text);
    reader->holes_n = 0;
    reader->line_start = 0;
    reader->in_quote = false;
    reader->in_escape = false;
}

/* A new unit begins. */
static void start_unit(struct reader *reader)
{
    drop_text(reader);
    reader->literals_n = 0;
    reader->is_swallowing = false;
    reader->is_text = false;
    reader->limit = READER_LIMIT_NONE;
    reader->state = IN_LINE;
}

struct unit reader_unit(const struct reader *reader)
{
    if (reader->is_swallowing) {
        return unit_of((struct slice){"", 0});
    }
    return (struct unit){
        .text = buf_slice(&reader->text), .holes = reader->holes, .holes_n = reader->holes_n};
}

bool reader_is_idle(const struct reader *reader)
{
    return reader->state == IN_LINE && reader->text.len == 0 && reader->literals_n == 0 &&
           !reader->is_swallowing;
}

static void add_hole(struct reader *reader)
{
    if (reader->holes_n == reader->holes_cap) {
        reader->holes_cap = reader->holes_cap > 0 ? reader->holes_cap * 2 : 4;
        reader->holes = alloc_resize(reader->holes, reader->holes_cap, sizeof(*reader->holes));
    }
    reader->holes[reader->holes_n++] = (struct unit_hole){reader->text.len, reader->literal.size};
}

static enum reader_event over(struct reader *reader, enum reader_limit limit)
{
    reader->limit = limit;
    reader->state = OVER;
    return READER_LIMIT;
}

/* Track quoted strings over @bytes; they cannot span lines. */
static void scan_quotes(struct reader *reader, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (reader->in_escape) {
            reader->in_escape = false;
        } else if (bytes[i] == '"') {
            reader->in_quote = !reader->in_quote;
        } else if (bytes[i] == '\\' && reader->in_quote) {
            reader->in_escape = true;
        }
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The first line of a unit: is it a status response or a continuation, whose end is human text? */
static bool is_text_line(const struct reader *reader)
{
    static const char *const conds[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
    if (reader->leg == READER_CLIENT || reader->literals_n > 0) {
        return false;
    }
    struct slice line = buf_slice(&reader->text);
    if (line.len > 0 && line.data[0] == '+') {
        return true;
    }
    size_t from = slice_find(line, ' ');
    while (from < line.len && line.data[from] == ' ') {
        from++;
    }
    line = slice_sub(line, from, line.len);
    struct slice word = slice_sub(line, 0, slice_find(line, ' '));
    for (size_t i = 0; i < sizeof(conds) / sizeof(conds[0]); i++) {
        if (slice_eq_nocase(word, slice_str(conds[i]))) {
            return true;
        }
    }
    return false;
}

enum found { FOUND_NONE, FOUND_LITERAL, FOUND_TOO_LARGE };

/* Does @line end in `{n}`, with what before it?  *at_out: where the header begins. */
static enum found match_header(struct slice line, struct reader_literal *out, size_t *at_out)
{
    size_t at = line.len;
    if (at < 3 || line.data[--at] != '}') {
        return FOUND_NONE;
    }
    out->is_sync = true;
    if (line.data[at - 1] == '+' || line.data[at - 1] == '-') {
        out->is_sync = false;
        at--;
    }
    size_t digits_end = at;
    while (at > 0 && is_digit(line.data[at - 1])) {
        at--;
    }
    struct slice digits = slice_sub(line, at, digits_end - at);
    if (digits.len == 0) {
        return FOUND_NONE;
    }
    if (digits.len > LITERAL_DIGITS_MAX && (at == 0 || line.data[at - 1] == '{')) {
        return FOUND_TOO_LARGE;
    }
    if (at == 0 || line.data[--at] != '{') {
        return FOUND_NONE;
    }
    out->is_literal8 = at > 0 && line.data[at - 1] == '~';
    *at_out = out->is_literal8 ? at - 1 : at;
    if (!slice_u64(digits, &out->size) || out->size > INT64_MAX) {
        return FOUND_TOO_LARGE;
    }
    return FOUND_LITERAL;
}

/* Does the line that ends the text announce a literal? */
static enum found find_literal(struct reader *reader)
{
    struct slice line = slice_sub(buf_slice(&reader->text), reader->line_start, SIZE_MAX);
    if (line.len == 0 || line.data[line.len - 1] != '}' || reader->is_text ||
        is_text_line(reader)) {
        return FOUND_NONE;
    }
    size_t at = 0;
    enum found found = match_header(line, &reader->literal, &at);
    if (found == FOUND_NONE) {
        return found;
    }
    /* A client that means a literal puts a space or "(" before it: `pass{5}` is a bad atom. */
    if (reader->leg == READER_CLIENT && at > 0 && line.data[at - 1] != ' ' &&
        line.data[at - 1] != '(') {
        return FOUND_NONE;
    }
    bool in_quote = reader->in_quote;
    bool in_escape = reader->in_escape;
    scan_quotes(reader, line.data, at);
    bool is_quoted = reader->in_quote;
    reader->in_quote = in_quote;
    reader->in_escape = in_escape;
    return is_quoted ? FOUND_NONE : found;
}

static enum reader_event announce(struct reader *reader)
{
    if (reader->is_swallowing) {
        bool comes = reader->leg == READER_SERVER || !reader->literal.is_sync;
        if (!comes) {
            start_unit(reader);
            return STEP_ON;
        }
        drop_text(reader);
        reader->is_text = false;
        reader->literals_n = 1; /* no first line any more */
        reader->literal_left = reader->literal.size;
        reader->state = SKIP;
        return STEP_ON;
    }
    buf_add(&reader->text, SLICE("\r\n"));
    reader->literal_left = reader->literal.size;
    if (++reader->literals_n > reader->limits.max_literals) {
        return over(reader, READER_LIMIT_LITERALS);
    }
    add_hole(reader);
    reader->state = ANNOUNCED;
    return READER_LITERAL;
}

/* The LF has been read; text ends in the line, perhaps with its CR. */
static enum reader_event end_line(struct reader *reader)
{
    struct buf *text = &reader->text;
    if (text->len > reader->line_start && text->data[text->len - 1] == '\r') {
        buf_truncate(text, text->len - 1);
    }
    switch (find_literal(reader)) {
    case FOUND_LITERAL:
        return announce(reader);
    case FOUND_TOO_LARGE:
        return over(reader, READER_LIMIT_FRAMING);
    case FOUND_NONE:
        break;
    }
    if (reader->is_swallowing) {
        start_unit(reader);
        return STEP_ON;
    }
    reader->state = DONE;
    return READER_LINE;
}

/* Swallowing: forget all but the tail of the line. */
static void trim_tail(struct reader *reader)
{
    if (reader->text.len > TAIL_TRIM_BYTES / 2) {
        size_t n = reader->text.len - TAIL_BYTES;
        scan_quotes(reader, reader->text.data, n);
        buf_consume(&reader->text, n);
        reader->line_start = 0;
    }
}

static enum reader_event swallow_line(struct reader *reader, struct slice in, size_t *used_out)
{
    size_t end = slice_find(in, '\n');
    struct slice line = slice_sub(in, 0, end);
    for (size_t at = 0; at < line.len; at += TAIL_TRIM_BYTES / 4) {
        buf_add(&reader->text, slice_sub(line, at, TAIL_TRIM_BYTES / 4));
        trim_tail(reader);
    }
    *used_out = line.len;
    if (end == in.len) {
        return READER_MORE;
    }
    ++*used_out;
    return end_line(reader);
}

static enum reader_event read_line(struct reader *reader, struct slice in, size_t *used_out)
{
    if (reader->is_swallowing) {
        return swallow_line(reader, in, used_out);
    }
    size_t line_len = reader->text.len - reader->line_start;
    size_t line_room = reader->limits.max_line_bytes - line_len;
    size_t unit_room = reader->limits.max_unit_bytes > reader->text.len
                           ? reader->limits.max_unit_bytes - reader->text.len
                           : 0;
    size_t room = line_room <= unit_room ? line_room : unit_room;
    /* One octet more than fits is enough to know that it is too long. */
    struct slice seen = slice_sub(in, 0, room < SIZE_MAX ? room + 1 : room);
    size_t end = slice_find(seen, '\n');
    if (end > room) {
        *used_out = room;
        buf_add(&reader->text, slice_sub(in, 0, room));
        return over(reader, line_room <= unit_room ? READER_LIMIT_LINE : READER_LIMIT_UNIT);
    }
    buf_add(&reader->text, slice_sub(in, 0, end));
    *used_out = end;
    if (end == seen.len) {
        return READER_MORE;
    }
    ++*used_out;
    return end_line(reader);
}

static void end_literal(struct reader *reader)
{
    reader->line_start = reader->text.len;
    reader->state = IN_LINE;
}

/* COLLECT, STREAM, SKIP. */
static enum reader_event read_literal(struct reader *reader, struct slice in, size_t *used_out)
{
    if (reader->literal_left == 0) {
        enum reader_event event = reader->state == STREAM ? READER_LITERAL_END : STEP_ON;
        end_literal(reader);
        return event;
    }
    if (in.len == 0) {
        return READER_MORE;
    }
    size_t n = in.len < reader->literal_left ? in.len : (size_t)reader->literal_left;
    *used_out = n;
    reader->literal_left -= n;
    if (reader->state == COLLECT) {
        buf_add(&reader->text, slice_sub(in, 0, n));
    } else if (reader->state == STREAM) {
        reader->data = slice_sub(in, 0, n);
        return READER_LITERAL_DATA;
    }
    return STEP_ON;
}

static enum reader_event step(struct reader *reader, struct slice in, size_t *used_out)
{
    *used_out = 0;
    switch ((enum state)reader->state) {
    case IN_LINE:
        return in.len > 0 ? read_line(reader, in, used_out) : READER_MORE;
    case ANNOUNCED:
        return READER_LITERAL;
    case COLLECT:
    case STREAM:
    case SKIP:
        return read_literal(reader, in, used_out);
    case DONE:
        return READER_LINE;
    case OVER:
        return READER_LIMIT;
    }
    return READER_LIMIT;
}

enum reader_event reader_feed(struct reader *reader, struct slice in, size_t *used_out)
{
    enum reader_event event;
    size_t used = 0;
    do {
        size_t n = 0;
        event = step(reader, slice_sub(in, used, in.len), &n);
        used += n;
    } while (event == STEP_ON);
    *used_out = used;
    return event;
}

bool reader_collect(struct reader *reader)
{
    CHECK(reader->state == ANNOUNCED);
    reader->holes_n--;
    size_t unit_room = reader->limits.max_unit_bytes > reader->text.len
                           ? reader->limits.max_unit_bytes - reader->text.len
                           : 0;
    if (reader->literal.size > unit_room) {
        (void)over(reader, READER_LIMIT_UNIT);
        return false;
    }
    reader->state = COLLECT;
    return true;
}

void reader_stream(struct reader *reader)
{
    CHECK(reader->state == ANNOUNCED);
    reader->state = STREAM;
}

void reader_skip(struct reader *reader)
{
    CHECK(reader->state == ANNOUNCED);
    reader->state = SKIP;
}

void reader_refuse(struct reader *reader)
{
    CHECK(reader->state == ANNOUNCED);
    start_unit(reader);
}

/* After LIMIT: swallow what is left of the unit. */
static void start_swallowing(struct reader *reader)
{
    enum reader_limit limit = reader->limit;
    bool is_at_literal =
        limit == READER_LIMIT_LITERALS || (limit == READER_LIMIT_UNIT && reader->literal_left > 0);
    reader->is_text = is_text_line(reader);
    reader->is_swallowing = true;
    reader->limit = READER_LIMIT_NONE;
    if (is_at_literal) {
        (void)announce(reader);
        return;
    }
    buf_consume(&reader->text, reader->line_start);
    reader->line_start = 0;
    reader->holes_n = 0;
    reader->literals_n = 1; /* is_text has answered for the first line */
    trim_tail(reader);
    reader->state = IN_LINE;
}

void reader_next(struct reader *reader)
{
    CHECK(reader->state == DONE || reader->state == OVER);
    if (reader->state == DONE) {
        start_unit(reader);
    } else if (reader->limit != READER_LIMIT_FRAMING) {
        start_swallowing(reader);
    }
}
