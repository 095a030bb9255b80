/* What is written is read back: strings for clients, commands for upstreams, names in modified
 * UTF-7, flags, dates and sets.  The input is cut into texts at its line feeds. */
#include <string.h>

#include "fuzz.h"
#include "imap/date.h"
#include "imap/emit.h"
#include "imap/outcmd.h"
#include "imap/reader.h"
#include "imap/seqset.h"
#include "imap/utf7.h"

static void check_string(struct slice text, struct arena *arena)
{
    struct buf out;
    struct lexer lx;
    buf_init(&out, 0);
    emit_astring(&out, text);
    buf_add_char(&out, ' ');
    emit_nstring(&out, text);
    lexer_init(&lx, unit_of(buf_slice(&out)), LEXER_STRICT);
    bool has_nul = slice_find(text, '\0') < text.len;
    if (has_nul) {
        struct lexer_value value = lexer_value(&lx);
        MUST(value.kind == VALUE_LITERAL && slice_eq(value.content, text));
    } else {
        MUST(slice_eq(lexer_astring(&lx, arena), text));
        lexer_sp(&lx);
        MUST(slice_eq(lexer_nstring(&lx, arena), text));
        lexer_end(&lx);
        MUST(lexer_ok(&lx));
    }
    buf_fini(&out);
}

/* A command of strings is one unit for a reader, and gives the strings again. */
static void check_command(const struct slice *texts, size_t n, struct arena *arena)
{
    struct outcmd cmd;
    struct buf flat;
    struct reader reader;
    struct reader_limits limits = {1 << 20, 1 << 20, 64};
    size_t used;
    outcmd_init(&cmd);
    buf_init(&flat, 0);
    outcmd_str(&cmd, "t X");
    for (size_t i = 0; i < n; i++) {
        outcmd_str(&cmd, " ");
        outcmd_string(&cmd, texts[i]);
    }
    if (outcmd_ok(&cmd)) {
        outcmd_inline(&cmd, &flat);
        buf_add_str(&flat, "\r\n");
        reader_init(&reader, READER_CLIENT, &limits);
        struct slice in = buf_slice(&flat);
        enum reader_event event;
        while ((event = reader_feed(&reader, in, &used)) == READER_LITERAL) {
            in = slice_sub(in, used, in.len);
            MUST(reader_collect(&reader));
        }
        MUST(event == READER_LINE && used == in.len);
        struct lexer lx;
        lexer_init(&lx, reader_unit(&reader), LEXER_STRICT);
        MUST(lexer_tag(&lx).len == 1);
        MUST(lexer_take(&lx, ' ') && lexer_take(&lx, 'X'));
        for (size_t i = 0; i < n; i++) {
            lexer_sp(&lx);
            MUST(slice_eq(lexer_string(&lx, arena), texts[i]));
        }
        lexer_end(&lx);
        MUST(lexer_ok(&lx));
        reader_fini(&reader);
    }
    buf_fini(&flat);
    outcmd_fini(&cmd);
}

static void check_names(struct slice text)
{
    struct buf utf7;
    struct buf utf8;
    buf_init(&utf7, 0);
    buf_init(&utf8, 0);
    if (utf7_from_utf8(text, &utf7) == OK) {
        MUST(utf7_to_utf8(buf_slice(&utf7), &utf8) == OK);
        MUST(slice_eq(buf_slice(&utf8), text));
    }
    buf_reset(&utf7);
    buf_reset(&utf8);
    if (utf7_to_utf8(text, &utf8) == OK) {
        MUST(utf7_from_utf8(buf_slice(&utf8), &utf7) == OK);
    }
    buf_fini(&utf7);
    buf_fini(&utf8);
}

static void check_small(struct slice text, struct arena *arena)
{
    char day[DATE_TEXT_MAX + 1];
    char again[DATE_TEXT_MAX + 1];
    char time[DATE_TIME_TEXT_MAX + 1];
    char time_again[DATE_TIME_TEXT_MAX + 1];
    if (date_check(text, day)) {
        MUST(date_check(slice_str(day), again) && strcmp(day, again) == 0);
    }
    if (date_time_check(text, time)) {
        MUST(date_time_check(slice_str(time), time_again) && strcmp(time, time_again) == 0);
    }
    struct seqset set;
    struct ranges out;
    struct ranges parsed;
    struct buf formatted;
    ranges_init(&out, 0);
    ranges_init(&parsed, 0);
    buf_init(&formatted, 0);
    if (seqset_parse_text(text, arena, &set) == OK && seqset_resolve(&set, 7, &out) == OK &&
        !ranges_empty(&out)) {
        ranges_format(&out, &formatted);
        MUST(ranges_parse(&parsed, buf_slice(&formatted)) == OK);
        MUST(ranges_count(&parsed) == ranges_count(&out));
        MUST(seqset_parse_text(buf_slice(&formatted), arena, &set) == OK && set.is_sorted);
    }
    buf_fini(&formatted);
    ranges_fini(&parsed);
    ranges_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size);
    struct slice texts[16];
    struct arena arena;
    size_t n = 0;
    arena_init(&arena, 4 << 20);
    check_string(rest, &arena);
    while (rest.len > 0 && n < 16) {
        size_t end = slice_find(rest, '\n');
        texts[n] = slice_sub(rest, 0, end);
        check_string(texts[n], &arena);
        check_names(texts[n]);
        check_small(texts[n], &arena);
        rest = slice_sub(rest, end + 1, rest.len);
        n++;
    }
    check_command(texts, n, &arena);
    arena_reset(&arena);
    return 0;
}
