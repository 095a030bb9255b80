#include "args_p.h"

/* A client's command: tag SP ["UID" SP] name arguments. */

static void parse_nothing(const struct args *args)
{
    (void)args;
}

static args_parse_fn parser_of(enum command_id id)
{
    static const args_parse_fn parsers[CMD_N] = {
        [CMD_CAPABILITY] = parse_nothing,
        [CMD_NOOP] = parse_nothing,
        [CMD_LOGOUT] = parse_nothing,
        [CMD_ID] = args__id,
        [CMD_STARTTLS] = parse_nothing,
        [CMD_AUTHENTICATE] = args__authenticate,
        [CMD_LOGIN] = args__login,
        [CMD_COMPRESS] = args__one_name,
        [CMD_ENABLE] = args__enable,
        [CMD_SELECT] = args__select,
        [CMD_EXAMINE] = args__select,
        [CMD_CREATE] = args__create,
        [CMD_DELETE] = args__one_mailbox,
        [CMD_RENAME] = args__rename,
        [CMD_SUBSCRIBE] = args__one_mailbox,
        [CMD_UNSUBSCRIBE] = args__one_mailbox,
        [CMD_LIST] = args__list,
        [CMD_LSUB] = args__lsub,
        [CMD_XLIST] = args__lsub,
        [CMD_NAMESPACE] = parse_nothing,
        [CMD_STATUS] = args__box_status,
        [CMD_APPEND] = args__append,
        [CMD_IDLE] = parse_nothing,
        [CMD_GETQUOTA] = args__one_name,
        [CMD_GETQUOTAROOT] = args__one_mailbox,
        [CMD_SETQUOTA] = args__quota,
        [CMD_GETACL] = args__one_mailbox,
        [CMD_SETACL] = args__acl,
        [CMD_DELETEACL] = args__acl,
        [CMD_LISTRIGHTS] = args__acl,
        [CMD_MYRIGHTS] = args__one_mailbox,
        [CMD_GETMETADATA] = args__get_metadata,
        [CMD_SETMETADATA] = args__set_metadata,
        [CMD_CHECK] = parse_nothing,
        [CMD_CLOSE] = parse_nothing,
        [CMD_UNSELECT] = parse_nothing,
        [CMD_EXPUNGE] = args__expunge,
        [CMD_SEARCH] = args__search,
        [CMD_SORT] = args__sort,
        [CMD_THREAD] = args__thread,
        [CMD_FETCH] = args__fetch,
        [CMD_STORE] = args__store,
        [CMD_COPY] = args__copy,
        [CMD_MOVE] = args__copy,
    };
    return parsers[id];
}

static enum status fail(struct command *cmd, enum status st, const char *problem)
{
    if (st != OK && cmd->problem == NULL) {
        cmd->problem = st == LIMIT ? "Command is too large" : problem;
    }
    return st;
}

/* Tag and name; @lx stands behind the name. */
static enum status parse_head(struct lexer *lx, struct command *out)
{
    *out = (struct command){.tag = {"", 0}};
    struct slice tag = lexer_tag(lx);
    if (!lexer_ok(lx)) {
        return fail(out, SYNTAX, "Invalid tag");
    }
    out->tag = tag;
    lexer_sp(lx);
    bool is_uid = lexer_take_word(lx, "UID");
    if (is_uid) {
        lexer_sp(lx);
    }
    struct slice name = lexer_atom(lx);
    if (!lexer_ok(lx)) {
        return fail(out, SYNTAX, "Missing command");
    }
    out->info = command_find(name, is_uid);
    return out->info != NULL ? OK : fail(out, NOT_FOUND, "Unknown command");
}

enum status command_parse_head(struct unit unit, struct command *out)
{
    struct lexer lx;
    lexer_init(&lx, unit, LEXER_LENIENT);
    return parse_head(&lx, out);
}

enum status command_parse(struct unit unit, struct arena *arena, struct command *out)
{
    struct lexer lx;
    lexer_init(&lx, unit, LEXER_LENIENT);
    TRY(parse_head(&lx, out));
    struct args args = {&lx, arena, out};
    parser_of(out->info->id)(&args);
    lexer_end(&lx);
    return fail(out, lexer_status(&lx), "Invalid arguments");
}

enum status command_parse_append(struct unit unit, struct arena *arena, struct command *out)
{
    struct lexer lx;
    lexer_init(&lx, unit, LEXER_LENIENT);
    TRY(parse_head(&lx, out));
    if (out->info->id != CMD_APPEND || unit.holes_n == 0) {
        return fail(out, SYNTAX, "Invalid arguments");
    }
    /* A literal mailbox name that is still to come: `tag APPEND {n}CRLF` and nothing more. */
    struct lexer ahead = lx;
    uint64_t size;
    bool is_literal8;
    lexer_sp(&ahead);
    if (lexer_streamed(&ahead, &size, &is_literal8) && lexer_at_end(&ahead)) {
        return AGAIN;
    }
    struct args args = {&lx, arena, out};
    args__append(&args);
    lexer_end(&lx);
    return fail(out, lexer_status(&lx), "Invalid arguments");
}

enum status command_parse_append_more(struct unit rest, struct arena *arena, struct command *out)
{
    struct lexer lx;
    lexer_init(&lx, rest, LEXER_LENIENT);
    struct args args = {&lx, arena, out};
    args__append_messages(&args);
    lexer_end(&lx);
    return fail(out, lexer_status(&lx), "Invalid arguments");
}
