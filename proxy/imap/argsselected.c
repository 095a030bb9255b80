#include "args_p.h"

#include "grow_p.h"

/* The commands of the selected state. */

void args__expunge(const struct args *args)
{
    if (command_is_uid(args->cmd)) {
        args__set(args, &args->cmd->args.set);
    }
}

void args__copy(const struct args *args)
{
    args__set(args, &args->cmd->args.copy.set);
    args->cmd->args.copy.mailbox = args__mailbox(args);
}

/* --- FETCH, STORE -------------------------------------------------------------------------------
 */

static uint32_t partial_number(const struct args *args, bool is_from_end)
{
    if (is_from_end) {
        lexer_expect(args->lx, '-');
    }
    uint32_t number = lexer_number(args->lx);
    if (number == 0) {
        args__fail(args, "Invalid PARTIAL range");
    }
    return number;
}

void args__partial(const struct args *args, struct args_partial *out)
{
    lexer_sp(args->lx);
    out->is_from_end = lexer_peek(args->lx) == '-';
    out->first = partial_number(args, out->is_from_end);
    lexer_expect(args->lx, ':');
    out->last = partial_number(args, out->is_from_end);
}

static void fetch_partial(const struct args *args, struct args_fetch *out)
{
    struct args_partial partial;
    if (out->has_partial || !command_is_uid(args->cmd)) {
        args__fail(args, "One PARTIAL, and only in UID FETCH");
    }
    args__partial(args, &partial);
    out->has_partial = true;
    out->is_partial_from_end = partial.is_from_end;
    out->partial_first = partial.first;
    out->partial_last = partial.last;
}

void args__fetch(const struct args *args)
{
    struct args_fetch *out = &args->cmd->args.fetch;
    args__set(args, &out->set);
    lexer_sp(args->lx);
    args__status(args, fetch_items_parse(args->lx, args->arena, &out->items));
    if (!args__take_list(args)) {
        return;
    }
    do {
        if (lexer_take_word(args->lx, "CHANGEDSINCE")) {
            lexer_sp(args->lx);
            out->has_changedsince = true;
            out->changedsince = lexer_number64(args->lx);
        } else if (lexer_take_word(args->lx, "VANISHED")) {
            out->is_vanished = true;
        } else if (lexer_take_word(args->lx, "PARTIAL")) {
            fetch_partial(args, out);
        } else {
            args__fail(args, "Unknown FETCH modifier");
        }
    } while (lexer_list_more(args->lx));
    lexer_expect(args->lx, ')');
    /* RFC 7162 3.2.6: VANISHED needs CHANGEDSINCE, and only in UID FETCH */
    if (out->is_vanished && (!out->has_changedsince || !command_is_uid(args->cmd))) {
        args__fail(args, "VANISHED needs UID FETCH with CHANGEDSINCE");
    }
}

static void store_modifiers(const struct args *args, struct args_store *out)
{
    if (!args__take_list(args)) {
        return;
    }
    if (!lexer_take_word(args->lx, "UNCHANGEDSINCE")) {
        args__fail(args, "Unknown STORE modifier");
    }
    lexer_sp(args->lx);
    out->has_unchangedsince = true;
    out->unchangedsince = lexer_number64(args->lx);
    lexer_expect(args->lx, ')');
}

/* X-GM-LABELS: a list of astrings, or \Inbox-like flags. */
static void store_labels(const struct args *args, struct args_store *out)
{
    struct words labels = {0};
    bool is_list = lexer_take(args->lx, '(');
    bool more = !is_list || lexer_peek(args->lx) != ')';
    while (more && lexer_ok(args->lx)) {
        struct slice label = lexer_peek(args->lx) == '\\' ? lexer_flag(args->lx)
                                                          : lexer_astring(args->lx, args->arena);
        args__status(args, words__add(&labels, args->arena, label, ARGS_LIST_MAX));
        more = is_list && lexer_list_more(args->lx);
    }
    if (is_list) {
        lexer_expect(args->lx, ')');
    }
    out->labels = labels.at;
    out->labels_n = labels.n;
}

void args__store(const struct args *args)
{
    struct args_store *out = &args->cmd->args.store;
    args__set(args, &out->set);
    store_modifiers(args, out);
    lexer_sp(args->lx);
    out->mode = lexer_take(args->lx, '+')   ? STORE_MODE_ADD
                : lexer_take(args->lx, '-') ? STORE_MODE_REMOVE
                                            : STORE_MODE_SET;
    struct slice item = lexer_atom(args->lx);
    out->is_silent = slice_eq_nocase(item, SLICE("FLAGS.SILENT")) ||
                     slice_eq_nocase(item, SLICE("X-GM-LABELS.SILENT"));
    out->is_gm_labels = slice_starts_nocase(item, SLICE("X-GM-LABELS"));
    struct slice name = out->is_gm_labels ? SLICE("X-GM-LABELS") : SLICE("FLAGS");
    if (!slice_eq_nocase(item, name) && !out->is_silent) {
        args__fail(args, "Unknown STORE item");
    }
    lexer_sp(args->lx);
    if (out->is_gm_labels) {
        store_labels(args, out);
    } else if (lexer_ok(args->lx)) {
        enum status st = flags_parse_client(args->lx, args->arena, &out->flags);
        if (st == SYNTAX) {
            args__fail(args, "Invalid flag");
        }
        args__status(args, st);
    }
}

/* --- SEARCH, SORT, THREAD -----------------------------------------------------------------------
 */

static const struct {
    const char *name;
    unsigned bit;
} return_options[] = {
    {"MIN", SEARCH_RETURN_MIN},     {"MAX", SEARCH_RETURN_MAX},   {"ALL", SEARCH_RETURN_ALL},
    {"COUNT", SEARCH_RETURN_COUNT}, {"SAVE", SEARCH_RETURN_SAVE},
};

/* RFC 9394 3.1: "A single command MUST NOT contain more than one PARTIAL or ALL search return
 * option". */
static void return_partial(const struct args *args, struct args_search *out)
{
    struct args_partial partial;
    if (out->has_partial) {
        args__fail(args, "One PARTIAL only");
    }
    args__partial(args, &partial);
    out->has_partial = true;
    out->is_partial_from_end = partial.is_from_end;
    out->partial_first = partial.first;
    out->partial_last = partial.last;
}

static unsigned take_return_option(const struct args *args, struct args_search *out)
{
    struct slice word = lexer_atom(args->lx);
    if (slice_eq_nocase(word, SLICE("PARTIAL"))) {
        return_partial(args, out);
        return SEARCH_RETURN_PARTIAL;
    }
    for (size_t i = 0; i < sizeof(return_options) / sizeof(return_options[0]); i++) {
        if (slice_eq_nocase(word, slice_str(return_options[i].name))) {
            return return_options[i].bit;
        }
    }
    args__fail(args, "Unknown RETURN option");
    return 0;
}

/* [SP "RETURN" SP "(" ... ")"] */
static void search_return(const struct args *args, struct args_search *out)
{
    struct lexer ahead = *args->lx;
    lexer_sp(&ahead);
    if (!lexer_take_word(&ahead, "RETURN")) {
        return;
    }
    *args->lx = ahead;
    out->has_return = true;
    if (!args__take_list(args)) {
        args__fail(args, "Missing RETURN options");
        return;
    }
    bool more = lexer_peek(args->lx) != ')';
    while (more && lexer_ok(args->lx)) {
        out->returns |= take_return_option(args, out);
        more = lexer_list_more(args->lx);
    }
    lexer_expect(args->lx, ')');
    /* RFC 4731 3.1: "RETURN ()" is "RETURN (ALL)" */
    if (out->returns == 0) {
        out->returns = SEARCH_RETURN_ALL;
    }
    if (out->has_partial && (out->returns & SEARCH_RETURN_ALL) != 0) {
        args__fail(args, "PARTIAL or ALL, not both");
    }
}

static void search_program(const struct args *args, struct args_search *out)
{
    lexer_sp(args->lx);
    if (lexer_ok(args->lx)) {
        args__status(args, search_parse(args->lx, args->arena, &out->root));
    }
}

void args__search(const struct args *args)
{
    struct args_search *out = &args->cmd->args.search;
    search_return(args, out);
    struct lexer ahead = *args->lx;
    lexer_sp(&ahead);
    if (lexer_take_word(&ahead, "CHARSET")) {
        *args->lx = ahead;
        out->charset = args__astring(args);
    }
    search_program(args, out);
}

/* "(REVERSE DATE SUBJECT)" -> upper case, one space between.  Which keys there are (RFC 5256 3;
 * DISPLAYFROM and DISPLAYTO, RFC 5957; RELEVANCY, RFC 6203; others) the upstream knows. */
static void sort_program(const struct args *args, struct args_search *out)
{
    size_t room = lexer_rest(args->lx).len;
    char *text = arena_alloc(args->arena, room);
    size_t n = 0;
    bool is_reverse = false;
    lexer_sp(args->lx);
    lexer_expect(args->lx, '(');
    do {
        struct slice word = lexer_atom(args->lx);
        bool was_reverse = is_reverse;
        is_reverse = slice_eq_nocase(word, SLICE("REVERSE"));
        if (was_reverse && is_reverse) {
            args__fail(args, "REVERSE twice");
        }
        for (size_t i = 0; text != NULL && i < word.len; i++) {
            char c = word.data[i];
            text[n++] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
        }
        if (text != NULL && lexer_ok(args->lx)) {
            text[n++] = ' ';
        }
    } while (lexer_list_more(args->lx));
    lexer_expect(args->lx, ')');
    if (is_reverse) {
        args__fail(args, "REVERSE needs a sort key");
    }
    if (text == NULL) {
        lexer_fail(args->lx, LIMIT);
        return;
    }
    out->sort_program = slice_of(text, n > 0 ? n - 1 : 0);
}

void args__sort(const struct args *args)
{
    struct args_search *out = &args->cmd->args.search;
    search_return(args, out);
    sort_program(args, out);
    out->charset = args__astring(args);
    search_program(args, out);
}

void args__thread(const struct args *args)
{
    struct args_search *out = &args->cmd->args.search;
    lexer_sp(args->lx);
    struct slice name = lexer_atom(args->lx);
    if (slice_eq_nocase(name, SLICE("ORDEREDSUBJECT"))) {
        out->algorithm = THREAD_ORDEREDSUBJECT;
    } else if (slice_eq_nocase(name, SLICE("REFERENCES"))) {
        out->algorithm = THREAD_REFERENCES;
    } else if (slice_eq_nocase(name, SLICE("REFS"))) {
        out->algorithm = THREAD_REFS;
    } else {
        args__fail(args, "Unknown THREAD algorithm");
    }
    out->charset = args__astring(args);
    search_program(args, out);
}
