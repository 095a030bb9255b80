#include "imap/flags.h"

#include "grow_p.h"

static const struct {
    struct slice name;
    enum imap_flag flag;
} system_flags[] = {
    {SLICE("\\Seen"), IMAP_FLAG_SEEN},       {SLICE("\\Answered"), IMAP_FLAG_ANSWERED},
    {SLICE("\\Flagged"), IMAP_FLAG_FLAGGED}, {SLICE("\\Deleted"), IMAP_FLAG_DELETED},
    {SLICE("\\Draft"), IMAP_FLAG_DRAFT},     {SLICE("\\Recent"), IMAP_FLAG_RECENT},
    {SLICE("\\*"), IMAP_FLAG_ANY},
};

enum { SYSTEM_FLAGS_N = sizeof(system_flags) / sizeof(system_flags[0]), CLIENT_KEYWORDS_MAX = 128 };

unsigned flag_find(struct slice text)
{
    for (size_t i = 0; i < SYSTEM_FLAGS_N; i++) {
        if (slice_eq_nocase(text, system_flags[i].name)) {
            return system_flags[i].flag;
        }
    }
    return 0;
}

const char *flag_name(enum imap_flag flag)
{
    for (size_t i = 0; i < SYSTEM_FLAGS_N; i++) {
        if (system_flags[i].flag == flag) {
            return system_flags[i].name.data;
        }
    }
    return "";
}

static bool has_word(const struct words *words, struct slice word)
{
    for (size_t i = 0; i < words->n; i++) {
        if (slice_eq_nocase(words->at[i], word)) {
            return true;
        }
    }
    return false;
}

static enum status add_client_flag(struct slice text, struct arena *arena,
                                   struct imap_flag_list *out, struct words *keywords)
{
    if (text.data[0] == '\\') {
        unsigned flag = flag_find(text);
        if (flag == 0 || flag == IMAP_FLAG_RECENT || flag == IMAP_FLAG_ANY) {
            return SYNTAX;
        }
        out->system |= flag;
        return OK;
    }
    if (text.len > IMAP_FLAGS_KEYWORD_LEN_MAX) {
        return LIMIT;
    }
    return has_word(keywords, text) ? OK : words__add(keywords, arena, text, CLIENT_KEYWORDS_MAX);
}

static enum status add_server_flag(struct slice text, struct arena *arena,
                                   struct imap_flag_list *out, struct words *keywords)
{
    unsigned flag = flag_find(text);
    out->system |= flag;
    return flag != 0 ? OK : words__add(keywords, arena, text, IMAP_FLAGS_KEYWORDS_MAX);
}

static enum status take_flag(struct lexer *lx, struct arena *arena, struct imap_flag_list *out,
                             struct words *keywords)
{
    struct slice text = lexer_flag(lx);
    TRY(lexer_status(lx));
    return add_client_flag(text, arena, out, keywords);
}

enum status flags_parse_client(struct lexer *lx, struct arena *arena, struct imap_flag_list *out)
{
    *out = (struct imap_flag_list){0};
    struct words keywords = {0};
    bool is_list = lexer_take(lx, '(');
    bool more = !is_list || !lexer_take(lx, ')');
    while (more) {
        TRY(take_flag(lx, arena, out, &keywords));
        if (is_list) {
            more = lexer_list_more(lx);
        } else {
            /* STORE 1 FLAGS \Seen \Draft: flags to the end of the line */
            more = !lexer_at_end(lx);
            if (more) {
                lexer_sp(lx);
            }
        }
        if (!more && is_list) {
            lexer_expect(lx, ')');
        }
    }
    out->keywords = keywords.at;
    out->keywords_n = keywords.n;
    return lexer_status(lx);
}

enum status flags_parse_server(struct lexer *lx, struct arena *arena, struct imap_flag_list *out)
{
    *out = (struct imap_flag_list){0};
    struct words keywords = {0};
    struct flag_iter it;
    unsigned system;
    struct slice name;
    flag_iter_init(&it, lexer_value_raw(lx));
    TRY(lexer_status(lx));
    enum status st;
    while ((st = flag_iter_next(&it, &system, &name)) == OK) {
        TRY(add_server_flag(name, arena, out, &keywords));
    }
    out->keywords = keywords.at;
    out->keywords_n = keywords.n;
    return st == END ? OK : st;
}

void flag_iter_init(struct flag_iter *it, struct slice list)
{
    lexer_init(&it->lx, unit_of(list), LEXER_LENIENT);
    lexer_expect(&it->lx, '(');
}

enum status flag_iter_next(struct flag_iter *it, unsigned *system_out, struct slice *name_out)
{
    struct lexer *lx = &it->lx;
    while (lexer_take(lx, ' ')) {
    }
    if (lexer_take(lx, ')')) {
        lexer_end(lx);
        TRY(lexer_status(lx));
        return END;
    }
    /* Not lexer_flag(): servers are known to use octets in keywords that the grammar does not have.
     */
    struct lexer_value value = lexer_value(lx);
    TRY(lexer_status(lx));
    if ((value.kind != VALUE_ATOM && value.kind != VALUE_NIL) ||
        value.raw.len > IMAP_FLAGS_KEYWORD_LEN_MAX) {
        return SYNTAX;
    }
    *name_out = value.raw;
    *system_out = flag_find(value.raw);
    return OK;
}
