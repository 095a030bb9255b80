/* The reader says the same however its input is cut; its memory stays below its limits; what it
 * gives as a line can be lexed.  First octet: leg and answers; second: size of the pieces of the
 * second run. */
#include "fuzz.h"
#include "imap/lexer.h"
#include "imap/reader.h"

static const struct reader_limits limits = {
    .max_line_bytes = 64, .max_unit_bytes = 200, .max_literals = 3};

static void answer(struct reader *reader, unsigned how, struct buf *trace)
{
    switch (how % 4) {
    case 0:
        buf_add_str(trace, reader_collect(reader) ? "C" : "c");
        break;
    case 1:
        reader_stream(reader);
        break;
    case 2:
        reader_skip(reader);
        break;
    default:
        if (reader->leg == READER_CLIENT && reader->literal.is_sync) {
            reader_refuse(reader);
        } else {
            reader_skip(reader);
        }
        break;
    }
}

static void add_unit(struct buf *trace, const struct reader *reader)
{
    struct unit unit = reader_unit(reader);
    MUST(unit.text.len <= limits.max_unit_bytes + 2);
    buf_add(trace, unit.text);
    for (size_t i = 0; i < unit.holes_n; i++) {
        MUST(unit.holes[i].offset <= unit.text.len);
        buf_printf(trace, "<%zu>", unit.holes[i].offset);
    }
    struct lexer lx;
    lexer_init(&lx, unit, LEXER_LENIENT);
    while (lexer_ok(&lx) && !lexer_at_end(&lx)) {
        (void)lexer_value_raw(&lx);
        (void)lexer_take(&lx, ' ');
    }
}

/* False when the connection would be closed. */
static bool on_event(struct reader *reader, enum reader_event event, unsigned how,
                     struct buf *trace)
{
    if (event == READER_LITERAL_DATA) {
        buf_add(trace, reader->data);
        return true;
    }
    buf_printf(trace, "\n%d:", (int)event);
    if (event == READER_LITERAL) {
        add_unit(trace, reader);
        answer(reader, how, trace);
    } else if (event == READER_LINE) {
        add_unit(trace, reader);
        reader_next(reader);
    } else if (event == READER_LIMIT) {
        add_unit(trace, reader);
        if (reader->limit == READER_LIMIT_FRAMING) {
            return false;
        }
        reader_next(reader);
    }
    return true;
}

static void run(struct slice in, unsigned how, size_t piece, struct buf *trace)
{
    struct reader reader;
    reader_init(&reader, how & 1 ? READER_SERVER : READER_CLIENT, &limits);
    bool is_open = true;
    for (size_t from = 0; from < in.len && is_open; from += piece) {
        struct slice part = slice_sub(in, from, piece);
        size_t at = 0;
        enum reader_event event = READER_LINE;
        while (is_open && event != READER_MORE) {
            size_t used;
            struct slice rest = slice_sub(part, at, part.len);
            event = reader_feed(&reader, rest, &used);
            MUST(used <= rest.len);
            at += used;
            is_open = event == READER_MORE || on_event(&reader, event, how >> 1, trace);
        }
        MUST(!is_open || at == part.len);
    }
    reader_fini(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct slice in = slice_of(data + 2, size - 2);
    struct buf whole;
    struct buf cut;
    buf_init(&whole, 0);
    buf_init(&cut, 0);
    run(in, data[0], in.len > 0 ? in.len : 1, &whole);
    run(in, data[0], data[1] % 16 + 1u, &cut);
    MUST(slice_eq(buf_slice(&whole), buf_slice(&cut)));
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
