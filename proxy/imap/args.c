#include "args_p.h"

#include "imap/date.h"

#include "grow_p.h"

/* Helpers, and the commands of the non-authenticated and authenticated states. */

struct slice mailbox_canonical(struct slice name)
{
    return slice_eq_nocase(name, SLICE("INBOX")) ? SLICE("INBOX") : name;
}

struct slice args__astring(const struct args *args)
{
    lexer_sp(args->lx);
    return lexer_astring(args->lx, args->arena);
}

struct slice args__mailbox(const struct args *args)
{
    return mailbox_canonical(args__astring(args));
}

void args__set(const struct args *args, struct seqset *out)
{
    lexer_sp(args->lx);
    args__status(args, seqset_parse(args->lx, args->arena, out));
}

bool args__take_list(const struct args *args)
{
    struct lexer ahead = *args->lx;
    lexer_sp(&ahead);
    if (!lexer_take(&ahead, '(')) {
        return false;
    }
    *args->lx = ahead;
    return true;
}

void args__fail(const struct args *args, const char *problem)
{
    if (lexer_ok(args->lx)) {
        args->cmd->problem = problem;
        lexer_fail(args->lx, SYNTAX);
    }
}

void args__status(const struct args *args, enum status st)
{
    if (st != OK) {
        lexer_fail(args->lx, st);
    }
}

void args__one_mailbox(const struct args *args)
{
    args->cmd->args.name = args__mailbox(args);
}

void args__one_name(const struct args *args)
{
    args->cmd->args.name = args__astring(args);
}

void args__login(const struct args *args)
{
    args->cmd->args.login.user = args__astring(args);
    args->cmd->args.login.password = args__astring(args);
}

static bool is_base64(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!lexer_is_atom_char(text.data[i])) {
            return false;
        }
    }
    return true;
}

void args__authenticate(const struct args *args)
{
    struct args_authenticate *out = &args->cmd->args.authenticate;
    lexer_sp(args->lx);
    out->mechanism = lexer_atom(args->lx);
    if (lexer_at_end(args->lx)) {
        return;
    }
    lexer_sp(args->lx);
    out->has_initial = true;
    out->initial = lexer_rest(args->lx);
    /* RFC 4959 3: "=" stands for an empty initial response */
    while (out->initial.len > 0 && out->initial.data[out->initial.len - 1] == ' ') {
        out->initial.len--;
    }
    (void)lexer_astring(args->lx, args->arena);
    if (!is_base64(out->initial)) {
        args__fail(args, "Invalid initial response");
    }
    if (slice_eq(out->initial, SLICE("="))) {
        out->initial.len = 0;
    }
}

static void put_words(struct args_words *out, const struct words *words)
{
    out->at = words->at;
    out->n = words->n;
}

void args__enable(const struct args *args)
{
    struct words words = {0};
    do {
        lexer_sp(args->lx);
        struct slice word = lexer_atom(args->lx);
        args__status(args, words__add(&words, args->arena, word, ARGS_LIST_MAX));
    } while (lexer_ok(args->lx) && !lexer_at_end(args->lx));
    put_words(&args->cmd->args.words, &words);
}

/* RFC 2971 3.3 allows 30 pairs of at most 1,024 octets; some mail programs send odd ones. */
void args__id(const struct args *args)
{
    struct words words = {0};
    struct lexer *lx = args->lx;
    lexer_sp(lx);
    if (lexer_nil(lx)) {
        return;
    }
    lexer_expect(lx, '(');
    bool more = lexer_peek(lx) != ')';
    while (more && lexer_ok(lx)) {
        struct slice field = lexer_string(lx, args->arena);
        args__status(args, words__add(&words, args->arena, field, ARGS_LIST_MAX));
        lexer_sp(lx);
        struct slice value = lexer_nstring(lx, args->arena);
        args__status(args, words__add(&words, args->arena, value, ARGS_LIST_MAX));
        more = lexer_list_more(lx);
    }
    lexer_expect(lx, ')');
    put_words(&args->cmd->args.words, &words);
}

static uint32_t nz_number(const struct args *args)
{
    uint32_t value = lexer_number(args->lx);
    if (value == 0) {
        lexer_fail(args->lx, SYNTAX);
    }
    return value;
}

/* A set of plain numbers: RFC 7162 allows no "*" here. */
static void known_set(const struct args *args, struct seqset *out)
{
    args__status(args, seqset_parse(args->lx, args->arena, out));
    if (out->has_star || out->is_saved) {
        lexer_fail(args->lx, SYNTAX);
    }
}

static void match_data(const struct args *args, struct args_select *out)
{
    known_set(args, &out->match_seqs);
    lexer_sp(args->lx);
    known_set(args, &out->match_uids);
    lexer_expect(args->lx, ')');
}

/* QRESYNC (uidvalidity modseq [known-uids] [(seqs uids)]), RFC 7162 3.2.5 */
static void qresync(const struct args *args, struct args_select *out)
{
    struct lexer *lx = args->lx;
    out->is_qresync = true;
    lexer_sp(lx);
    lexer_expect(lx, '(');
    out->uidvalidity = nz_number(args);
    lexer_sp(lx);
    out->modseq = lexer_number64(lx);
    if (lexer_list_more(lx) && lexer_peek(lx) != '(') {
        known_set(args, &out->known_uids);
        (void)lexer_list_more(lx);
    }
    if (lexer_take(lx, '(')) {
        match_data(args, out);
    }
    lexer_expect(lx, ')');
}

void args__select(const struct args *args)
{
    struct args_select *out = &args->cmd->args.select;
    out->mailbox = args__mailbox(args);
    if (!args__take_list(args)) {
        return;
    }
    do {
        out->is_condstore = true;
        if (lexer_take_word(args->lx, "QRESYNC")) {
            qresync(args, out);
        } else if (!lexer_take_word(args->lx, "CONDSTORE")) {
            args__fail(args, "Unknown SELECT parameter");
        }
    } while (lexer_list_more(args->lx));
    lexer_expect(args->lx, ')');
}

/* CREATE mailbox [(USE (\Sent ...))], RFC 6154 3 */
void args__create(const struct args *args)
{
    struct args_create *out = &args->cmd->args.create;
    struct words uses = {0};
    out->mailbox = args__mailbox(args);
    if (!args__take_list(args)) {
        return;
    }
    if (!lexer_take_word(args->lx, "USE")) {
        args__fail(args, "Unknown CREATE parameter");
    }
    lexer_sp(args->lx);
    lexer_expect(args->lx, '(');
    if (!lexer_take(args->lx, ')')) { /* RFC 6154 6: there may be none */
        do {
            struct slice use = lexer_flag(args->lx);
            args__status(args, words__add(&uses, args->arena, use, ARGS_LIST_MAX));
        } while (lexer_list_more(args->lx));
        lexer_expect(args->lx, ')');
    }
    lexer_expect(args->lx, ')');
    out->uses = uses.at;
    out->uses_n = uses.n;
}

void args__rename(const struct args *args)
{
    args->cmd->args.rename.from = args__mailbox(args);
    args->cmd->args.rename.to = args__mailbox(args);
}

void args__box_status(const struct args *args)
{
    args->cmd->args.status.mailbox = args__mailbox(args);
    lexer_sp(args->lx);
    args__status(args, status_items_parse(args->lx, &args->cmd->args.status.items));
}

static void append_date(const struct args *args, struct append_message *out)
{
    char canonical[DATE_TIME_TEXT_MAX + 1];
    struct slice text = lexer_string(args->lx, args->arena);
    if (!lexer_ok(args->lx) || !date_time_check(text, canonical)) {
        args__fail(args, "Invalid internal date");
        return;
    }
    out->has_date = true;
    out->date = arena_copy(args->arena, slice_str(canonical));
    if (out->date.data == NULL) {
        lexer_fail(args->lx, LIMIT);
    }
}

static void append_literal(const struct args *args, struct append_message *out)
{
    struct lexer ahead = *args->lx;
    if (lexer_streamed(&ahead, &out->size, &out->is_literal8)) {
        *args->lx = ahead;
        return;
    }
    struct lexer_value value = lexer_value(args->lx);
    if (value.kind != VALUE_LITERAL) {
        args__fail(args, "Missing message");
        return;
    }
    out->size = value.size;
    out->is_literal8 = value.is_literal8;
    out->octets = value.content;
}

static void append_message(const struct args *args)
{
    struct args_append *out = &args->cmd->args.append;
    struct append_message *at =
        grow__array(args->arena, out->messages, out->n, &out->cap, sizeof(*at));
    if (at == NULL) {
        lexer_fail(args->lx, LIMIT);
        return;
    }
    out->messages = at;
    at += out->n;
    *at = (struct append_message){.octets = {NULL, 0}};
    lexer_sp(args->lx);
    if (lexer_peek(args->lx) == '(') {
        args__status(args, flags_parse_client(args->lx, args->arena, &at->flags));
        lexer_sp(args->lx);
    }
    if (lexer_peek(args->lx) == '"') {
        append_date(args, at);
        lexer_sp(args->lx);
    }
    append_literal(args, at);
    out->n += lexer_ok(args->lx) ? 1 : 0;
}

void args__append_messages(const struct args *args)
{
    do {
        append_message(args);
    } while (lexer_ok(args->lx) && !lexer_at_end(args->lx));
}

/* CATENATE (RFC 4469) is not offered: every message is a literal. */
void args__append(const struct args *args)
{
    args->cmd->args.append.mailbox = args__mailbox(args);
    args__append_messages(args);
}
