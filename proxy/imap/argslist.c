#include "args_p.h"

#include "grow_p.h"

/* LIST, quota, access rights, metadata. */

struct option {
    const char *name;
    unsigned bit;
};

static const struct option selections[] = {
    {"SUBSCRIBED", LIST_SELECT_SUBSCRIBED},
    {"REMOTE", LIST_SELECT_REMOTE},
    {"RECURSIVEMATCH", LIST_SELECT_RECURSIVEMATCH},
    {"SPECIAL-USE", LIST_SELECT_SPECIAL_USE},
    {NULL, 0},
};

static const struct option returns[] = {
    {"SUBSCRIBED", LIST_RETURN_SUBSCRIBED},   {"CHILDREN", LIST_RETURN_CHILDREN},
    {"SPECIAL-USE", LIST_RETURN_SPECIAL_USE}, {"STATUS", LIST_RETURN_STATUS},
    {"MYRIGHTS", LIST_RETURN_MYRIGHTS},       {NULL, 0},
};

static unsigned take_option(const struct args *args, const struct option *options)
{
    struct slice name = lexer_atom(args->lx);
    for (size_t i = 0; options[i].name != NULL; i++) {
        if (slice_eq_nocase(name, slice_str(options[i].name))) {
            return options[i].bit;
        }
    }
    args__fail(args, "Unknown LIST option");
    return 0;
}

/* Options up to ")"; the "(" has been taken. */
static void take_options(const struct args *args, const struct option *options)
{
    struct args_list *out = &args->cmd->args.list;
    bool more = lexer_peek(args->lx) != ')';
    while (more && lexer_ok(args->lx)) {
        unsigned option = take_option(args, options);
        out->options |= option;
        if (option == LIST_RETURN_STATUS) {
            lexer_sp(args->lx);
            args__status(args, status_items_parse(args->lx, &out->status_items));
        }
        more = lexer_list_more(args->lx);
    }
    lexer_expect(args->lx, ')');
    out->is_extended = true;
}

static void add_pattern(const struct args *args, struct words *patterns)
{
    struct slice pattern = lexer_list_mailbox(args->lx, args->arena);
    args__status(args, words__add(patterns, args->arena, pattern, ARGS_LIST_MAX));
}

static void take_patterns(const struct args *args, struct words *patterns)
{
    if (!args__take_list(args)) {
        lexer_sp(args->lx);
        add_pattern(args, patterns);
        return;
    }
    do {
        add_pattern(args, patterns);
    } while (lexer_list_more(args->lx));
    lexer_expect(args->lx, ')');
    args->cmd->args.list.is_extended = true;
}

static void put_patterns(const struct args *args, const struct words *patterns)
{
    args->cmd->args.list.patterns = patterns->at;
    args->cmd->args.list.patterns_n = patterns->n;
}

void args__list(const struct args *args)
{
    struct args_list *out = &args->cmd->args.list;
    struct words patterns = {0};
    if (args__take_list(args)) {
        take_options(args, selections);
    }
    out->reference = args__astring(args);
    take_patterns(args, &patterns);
    put_patterns(args, &patterns);
    if (lexer_at_end(args->lx)) {
        return;
    }
    lexer_sp(args->lx);
    if (!lexer_take_word(args->lx, "RETURN") || !args__take_list(args)) {
        args__fail(args, "Unknown LIST argument");
        return;
    }
    take_options(args, returns);
    /* RFC 5258 3.1: RECURSIVEMATCH alone, or with REMOTE only, is an error */
    if ((out->options & LIST_SELECT_RECURSIVEMATCH) != 0 &&
        (out->options & (LIST_SELECT_SUBSCRIBED | LIST_SELECT_SPECIAL_USE)) == 0) {
        args__fail(args, "RECURSIVEMATCH needs another selection option");
    }
}

void args__lsub(const struct args *args)
{
    struct words patterns = {0};
    args->cmd->args.list.reference = args__astring(args);
    lexer_sp(args->lx);
    add_pattern(args, &patterns);
    put_patterns(args, &patterns);
}

static bool upper_word(const struct args *args, struct slice word, struct slice *out)
{
    char *copy = arena_alloc(args->arena, word.len);
    for (size_t i = 0; copy != NULL && i < word.len; i++) {
        char c = word.data[i];
        copy[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    *out = slice_of(copy, word.len);
    return copy != NULL;
}

void args__quota(const struct args *args)
{
    struct args_quota *out = &args->cmd->args.quota;
    struct words resources = {0};
    out->root = args__astring(args);
    uint64_t *limits = arena_array(args->arena, ARGS_LIST_MAX, sizeof(*limits));
    lexer_sp(args->lx);
    lexer_expect(args->lx, '(');
    bool more = limits != NULL && lexer_peek(args->lx) != ')';
    while (more && lexer_ok(args->lx)) {
        struct slice name;
        if (!upper_word(args, lexer_atom(args->lx), &name)) {
            lexer_fail(args->lx, LIMIT);
        }
        args__status(args, words__add(&resources, args->arena, name, ARGS_LIST_MAX));
        lexer_sp(args->lx);
        uint64_t limit = lexer_number64(args->lx);
        if (lexer_ok(args->lx)) {
            limits[resources.n - 1] = limit;
        }
        more = lexer_list_more(args->lx);
    }
    lexer_expect(args->lx, ')');
    out->resources = resources.at;
    out->limits = limits;
    out->n = resources.n;
}

/* RFC 4314 2.1: rights are lower-case letters and digits. */
static bool are_rights(struct slice rights)
{
    size_t i = rights.len > 0 && (rights.data[0] == '+' || rights.data[0] == '-') ? 1 : 0;
    for (; i < rights.len; i++) {
        char c = rights.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) {
            return false;
        }
    }
    return true;
}

void args__acl(const struct args *args)
{
    struct args_acl *out = &args->cmd->args.acl;
    out->mailbox = args__mailbox(args);
    out->identifier = args__astring(args);
    if (args->cmd->info->id == CMD_SETACL) {
        out->rights = args__astring(args);
        if (!are_rights(out->rights)) {
            args__fail(args, "Invalid rights");
        }
    }
}

static void metadata_option(const struct args *args)
{
    struct args_metadata *out = &args->cmd->args.metadata;
    if (lexer_take_word(args->lx, "MAXSIZE")) {
        lexer_sp(args->lx);
        out->has_maxsize = true;
        out->maxsize = lexer_number64(args->lx);
    } else if (lexer_take_word(args->lx, "DEPTH")) {
        lexer_sp(args->lx);
        out->depth = lexer_atom(args->lx);
        if (!slice_eq(out->depth, SLICE("0")) && !slice_eq(out->depth, SLICE("1")) &&
            !slice_eq_nocase(out->depth, SLICE("infinity"))) {
            args__fail(args, "Invalid DEPTH");
        }
    } else {
        args__fail(args, "Unknown GETMETADATA option");
    }
}

/* RFC 5464 4.2: GETMETADATA [(options)] mailbox entries */
void args__get_metadata(const struct args *args)
{
    struct args_metadata *out = &args->cmd->args.metadata;
    struct words entries = {0};
    if (args__take_list(args)) {
        do {
            metadata_option(args);
        } while (lexer_list_more(args->lx));
        lexer_expect(args->lx, ')');
    }
    out->mailbox = args__mailbox(args);
    bool is_list = args__take_list(args);
    if (!is_list) {
        lexer_sp(args->lx);
    }
    do {
        struct slice entry = lexer_astring(args->lx, args->arena);
        args__status(args, words__add(&entries, args->arena, entry, ARGS_LIST_MAX));
    } while (is_list && lexer_list_more(args->lx));
    if (is_list) {
        lexer_expect(args->lx, ')');
    }
    out->entries = entries.at;
    out->n = entries.n;
}

/* RFC 5464 4.3: SETMETADATA mailbox (entry value ...) */
void args__set_metadata(const struct args *args)
{
    struct args_metadata *out = &args->cmd->args.metadata;
    struct words entries = {0};
    struct words values = {0};
    out->mailbox = args__mailbox(args);
    lexer_sp(args->lx);
    lexer_expect(args->lx, '(');
    do {
        struct slice entry = lexer_astring(args->lx, args->arena);
        args__status(args, words__add(&entries, args->arena, entry, ARGS_LIST_MAX));
        lexer_sp(args->lx);
        struct slice value = lexer_nstring(args->lx, args->arena);
        args__status(args, words__add(&values, args->arena, value, ARGS_LIST_MAX));
    } while (lexer_list_more(args->lx));
    lexer_expect(args->lx, ')');
    out->entries = entries.at;
    out->values = values.at;
    out->n = entries.n < values.n ? entries.n : values.n;
}
