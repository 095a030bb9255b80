/* A client's bytes through reader and command parser.  Nothing that parses holds what could end an
 * upstream command; tags are the grammar's; items asked again by their upstream text have the same
 * key. */
#include <string.h>

#include "fuzz.h"
#include "imap/command.h"
#include "imap/emit.h"
#include "imap/reader.h"

static void check_clean(struct slice text)
{
    MUST(slice_find(text, '\r') == text.len && slice_find(text, '\n') == text.len &&
         slice_find(text, '\0') == text.len);
}

static void check_items(const struct fetch_items *items, struct arena *arena)
{
    for (size_t i = 0; i < items->n; i++) {
        const struct fetch_item *item = &items->at[i];
        struct fetch_item again;
        struct fetch_name name;
        check_clean(item->key);
        check_clean(item->upstream);
        check_clean(item->label);
        enum status st = fetch_item_parse(item->upstream, arena, &again);
        MUST(st == OK || st == LIMIT);
        MUST(st != OK || (slice_eq(again.key, item->key) && !again.sets_seen));
        st = fetch_name_parse(item->label, arena, &name);
        MUST(st == OK || st == LIMIT);
        MUST(st != OK || slice_eq(name.key, item->key));
        MUST(st != OK || name.kind == item->kind);
        MUST(st != OK || name.offset == (item->has_partial ? item->offset : 0));
    }
}

static void check_set(const struct seqset *set)
{
    struct ranges out;
    ranges_init(&out, 0);
    MUST(seqset_resolve(set, 1000, &out) == OK);
    MUST((set->n == 0) == ranges_empty(&out));
    ranges_fini(&out);
}

static void check(const struct command *cmd, struct arena *arena)
{
    MUST(cmd->tag.len > 0 && cmd->tag.len <= LEXER_TAG_MAX &&
         slice_find(cmd->tag, '+') == cmd->tag.len);
    check_clean(cmd->tag);
    switch ((int)cmd->info->id) {
    case CMD_FETCH:
        check_items(&cmd->args.fetch.items, arena);
        check_set(&cmd->args.fetch.set);
        break;
    case CMD_STORE:
        check_set(&cmd->args.store.set);
        for (size_t i = 0; i < cmd->args.store.flags.keywords_n; i++) {
            MUST(lexer_is_atom(cmd->args.store.flags.keywords[i]));
        }
        break;
    case CMD_COPY:
    case CMD_MOVE:
        check_set(&cmd->args.copy.set);
        MUST(slice_find(cmd->args.copy.mailbox, '\0') == cmd->args.copy.mailbox.len);
        break;
    case CMD_APPEND:
        for (size_t i = 0; i < cmd->args.append.n; i++) {
            check_clean(cmd->args.append.messages[i].date);
        }
        break;
    case CMD_SORT:
        check_clean(cmd->args.search.sort_program);
        break;
    default:
        break;
    }
}

static void on_literal(struct reader *reader, struct arena *arena)
{
    struct command cmd;
    enum status st = command_parse_append(reader_unit(reader), arena, &cmd);
    if (st == OK) {
        reader_stream(reader);
    } else if (command_parse_head(reader_unit(reader), &cmd) == SYNTAX && reader->literal.is_sync) {
        reader_refuse(reader);
    } else {
        (void)reader_collect(reader);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader;
    struct reader_limits limits = {4096, 8192, 16};
    reader_init(&reader, READER_CLIENT, &limits);
    struct slice in = slice_of(data, size);
    size_t used = 0;
    enum reader_event event;
    while ((event = reader_feed(&reader, in, &used)) != READER_MORE) {
        struct arena arena;
        struct command cmd;
        arena_init(&arena, 256 * 1024);
        in = slice_sub(in, used, in.len);
        if (event == READER_LITERAL) {
            on_literal(&reader, &arena);
        } else if (event == READER_LINE) {
            if (command_parse(reader_unit(&reader), &arena, &cmd) == OK) {
                check(&cmd, &arena);
            } else {
                MUST(cmd.problem != NULL);
            }
            reader_next(&reader);
        } else if (event == READER_LIMIT) {
            if (reader.limit == READER_LIMIT_FRAMING) {
                arena_reset(&arena);
                break;
            }
            reader_next(&reader);
        }
        arena_reset(&arena);
    }
    reader_fini(&reader);
    return 0;
}
