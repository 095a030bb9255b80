#include "imap/fetchitem.h"

#include "grow_p.h"
#include "section_p.h"

#define CONTENT (FETCH_IS_IMMUTABLE | FETCH_IS_CONTENT)

/* One row per kind, in the order of the enum. */
static const struct {
    struct slice name;
    unsigned traits;
} kinds[FETCH_KINDS] = {
    [FETCH_FLAGS] = {SLICE("FLAGS"), FETCH_IS_MODEL},
    [FETCH_UID] = {SLICE("UID"), FETCH_IS_MODEL},
    [FETCH_MODSEQ] = {SLICE("MODSEQ"), FETCH_IS_MODEL},
    [FETCH_INTERNALDATE] = {SLICE("INTERNALDATE"), FETCH_IS_IMMUTABLE},
    [FETCH_RFC822_SIZE] = {SLICE("RFC822.SIZE"), FETCH_IS_IMMUTABLE},
    [FETCH_ENVELOPE] = {SLICE("ENVELOPE"), FETCH_IS_IMMUTABLE},
    [FETCH_BODY] = {SLICE("BODY"), FETCH_IS_IMMUTABLE},
    [FETCH_BODYSTRUCTURE] = {SLICE("BODYSTRUCTURE"), FETCH_IS_IMMUTABLE},
    [FETCH_SECTION] = {{NULL, 0}, CONTENT},
    [FETCH_BINARY] = {{NULL, 0}, CONTENT | FETCH_IS_NSTRING8},
    [FETCH_BINARY_SIZE] = {{NULL, 0}, FETCH_IS_IMMUTABLE},
    [FETCH_EMAILID] = {SLICE("EMAILID"), FETCH_IS_IMMUTABLE},
    [FETCH_THREADID] = {SLICE("THREADID"), FETCH_IS_IMMUTABLE},
    [FETCH_SAVEDATE] = {SLICE("SAVEDATE"), FETCH_IS_IMMUTABLE},
    [FETCH_PREVIEW] = {SLICE("PREVIEW"), 0},
    [FETCH_GM_MSGID] = {SLICE("X-GM-MSGID"), FETCH_IS_IMMUTABLE},
    [FETCH_GM_THRID] = {SLICE("X-GM-THRID"), 0},
    [FETCH_GM_LABELS] = {SLICE("X-GM-LABELS"), 0},
    [FETCH_OTHER] = {{NULL, 0}, 0},
};

/* The names of IMAP2 for sections.  PEEK forms are not in any RFC, but are sent (protocol T36). */
static const struct {
    struct slice name;
    struct slice label;
    struct slice key;
    struct slice upstream;
    enum section_kind section;
    bool sets_seen;
} olds[] = {
    {SLICE("RFC822"), SLICE("RFC822"), SLICE("BODY[]"), SLICE("BODY.PEEK[]"), SECTION_WHOLE, true},
    {SLICE("RFC822.PEEK"), SLICE("RFC822"), SLICE("BODY[]"), SLICE("BODY.PEEK[]"), SECTION_WHOLE,
     false},
    {SLICE("RFC822.HEADER"), SLICE("RFC822.HEADER"), SLICE("BODY[HEADER]"),
     SLICE("BODY.PEEK[HEADER]"), SECTION_HEADER, false},
    {SLICE("RFC822.TEXT"), SLICE("RFC822.TEXT"), SLICE("BODY[TEXT]"), SLICE("BODY.PEEK[TEXT]"),
     SECTION_TEXT, true},
    {SLICE("RFC822.TEXT.PEEK"), SLICE("RFC822.TEXT"), SLICE("BODY[TEXT]"), SLICE("BODY.PEEK[TEXT]"),
     SECTION_TEXT, false},
};

/* Names before "[". */
static const struct {
    struct slice name;
    const char *key; /* also of the label */
    const char *upstream;
    enum fetch_kind kind;
    bool sets_seen;
} bracketed[] = {
    {SLICE("BODY"), "BODY", "BODY.PEEK", FETCH_SECTION, true},
    {SLICE("BODY.PEEK"), "BODY", "BODY.PEEK", FETCH_SECTION, false},
    {SLICE("BINARY"), "BINARY", "BINARY.PEEK", FETCH_BINARY, true},
    {SLICE("BINARY.PEEK"), "BINARY", "BINARY.PEEK", FETCH_BINARY, false},
    {SLICE("BINARY.SIZE"), "BINARY.SIZE", "BINARY.SIZE", FETCH_BINARY_SIZE, false},
};

static const struct {
    const char *name;
    enum fetch_kind items[6]; /* FETCH_KINDS ends */
} macros[] = {
    {"FAST", {FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_RFC822_SIZE, FETCH_KINDS}},
    {"ALL", {FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_RFC822_SIZE, FETCH_ENVELOPE, FETCH_KINDS}},
    {"FULL",
     {FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_RFC822_SIZE, FETCH_ENVELOPE, FETCH_BODY, FETCH_KINDS}},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
enum { NOT_THERE = 1000, OTHER_NAME_MAX = 64 };

unsigned fetch_kind_traits(enum fetch_kind kind)
{
    return kinds[kind].traits;
}

const char *fetch_kind_name(enum fetch_kind kind)
{
    return kinds[kind].name.data;
}

static size_t find_old(struct slice name)
{
    for (size_t i = 0; i < COUNT(olds); i++) {
        if (slice_eq_nocase(name, olds[i].name)) {
            return i;
        }
    }
    return NOT_THERE;
}

static size_t find_bracketed(struct slice name)
{
    for (size_t i = 0; i < COUNT(bracketed); i++) {
        if (slice_eq_nocase(name, bracketed[i].name)) {
            return i;
        }
    }
    return NOT_THERE;
}

enum fetch_kind fetch_kind_find(struct slice name)
{
    struct slice word = slice_sub(name, 0, slice_find(name, '['));
    if (word.len < name.len) {
        size_t i = find_bracketed(word);
        return i == NOT_THERE ? FETCH_OTHER : bracketed[i].kind;
    }
    for (size_t i = 0; i < FETCH_KINDS; i++) {
        if (kinds[i].name.len == word.len && word.len > 0 && slice_eq_nocase(word, kinds[i].name)) {
            return (enum fetch_kind)i;
        }
    }
    return find_old(word) == NOT_THERE ? FETCH_OTHER : FETCH_SECTION;
}

/* --- a client's items ---------------------------------------------------------------------------
 */

static struct fetch_item simple_item(enum fetch_kind kind)
{
    struct slice name = kinds[kind].name;
    return (struct fetch_item){.kind = kind, .key = name, .upstream = name, .label = name};
}

/* Letters, digits, "." and "-": an item's name up to "[", "<" or its end. */
static struct slice take_name(struct lexer *lx)
{
    struct slice rest = lexer_rest(lx);
    size_t n = 0;
    while (n < rest.len && lexer_is_atom_char(rest.data[n]) && rest.data[n] != '[' &&
           rest.data[n] != '<') {
        n++;
    }
    if (n == 0) {
        lexer_fail(lx, SYNTAX);
    }
    for (size_t i = 0; i < n; i++) {
        lexer_expect(lx, rest.data[i]);
    }
    return slice_sub(rest, 0, n);
}

/* "<o.n>" of a client. */
static void take_partial(struct lexer *lx, struct fetch_item *item)
{
    if (!lexer_take(lx, '<')) {
        return;
    }
    item->has_partial = true;
    item->offset = lexer_number64(lx);
    lexer_expect(lx, '.');
    item->count = lexer_number64(lx);
    lexer_expect(lx, '>');
    if (item->count == 0) {
        lexer_fail(lx, SYNTAX);
    }
}

static void take_section(struct lexer *lx, struct arena *arena, size_t row, struct fetch_item *out)
{
    struct section section;
    section__parse(lx, arena, &section);
    out->kind = bracketed[row].kind;
    out->sets_seen = bracketed[row].sets_seen;
    out->section = section.kind;
    out->part = section.part;
    out->fields = section.fields;
    out->fields_n = section.fields_n;
    if (out->kind != FETCH_SECTION && section.kind != SECTION_PART &&
        section.kind != SECTION_WHOLE) {
        lexer_fail(lx, SYNTAX);
    }
    if (out->kind != FETCH_BINARY_SIZE) {
        take_partial(lx, out);
    }
    struct section_text text = {.before = bracketed[row].key, .section = &section};
    out->key = section__text(arena, &text);
    text.before = bracketed[row].upstream;
    out->upstream = section__text(arena, &text);
    text = (struct section_text){.before = bracketed[row].key,
                                 .section = &section,
                                 .as_written = true,
                                 .has_offset = out->has_partial,
                                 .offset = out->offset};
    out->label = section__text(arena, &text);
    if (out->key.data == NULL || out->upstream.data == NULL || out->label.data == NULL) {
        lexer_fail(lx, LIMIT);
    }
}

static void take_old(size_t row, struct fetch_item *out)
{
    *out = (struct fetch_item){.kind = FETCH_SECTION,
                               .sets_seen = olds[row].sets_seen,
                               .section = olds[row].section,
                               .key = olds[row].key,
                               .upstream = olds[row].upstream,
                               .label = olds[row].label};
}

static void take_other(struct lexer *lx, struct arena *arena, struct slice name,
                       struct fetch_item *out)
{
    char *upper = name.len <= OTHER_NAME_MAX ? arena_alloc(arena, name.len) : NULL;
    if (upper == NULL) {
        lexer_fail(lx, LIMIT);
        return;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        upper[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    out->kind = FETCH_OTHER;
    out->key = slice_of(upper, name.len);
    out->upstream = out->key;
    out->label = out->key;
}

/* RFC 8970: "PREVIEW" or "PREVIEW (LAZY)".  Bare items may be followed by modifiers in parentheses.
 */
static void take_lazy(struct lexer *lx, struct fetch_item *out)
{
    struct lexer ahead = *lx;
    lexer_sp(&ahead);
    lexer_expect(&ahead, '(');
    if (lexer_take_word(&ahead, "LAZY") && lexer_take(&ahead, ')')) {
        *lx = ahead;
        out->upstream = SLICE("PREVIEW (LAZY)");
    }
}

/* Outlook Express: "BODY.PEEK [HEADER]" */
static void skip_space_before_bracket(struct lexer *lx)
{
    struct slice rest = lexer_rest(lx);
    if (lx->mode == LEXER_LENIENT && rest.len > 1 && rest.data[0] == ' ' && rest.data[1] == '[') {
        lexer_expect(lx, ' ');
    }
}

static void take_item(struct lexer *lx, struct arena *arena, struct fetch_item *out)
{
    *out = (struct fetch_item){.kind = FETCH_OTHER};
    struct slice name = take_name(lx);
    size_t row = find_bracketed(name);
    if (row != NOT_THERE) {
        skip_space_before_bracket(lx);
    }
    if (lexer_peek(lx) == '[') {
        if (row == NOT_THERE) {
            lexer_fail(lx, SYNTAX);
            return;
        }
        take_section(lx, arena, row, out);
        return;
    }
    enum fetch_kind kind = fetch_kind_find(name);
    if (kind == FETCH_SECTION) {
        take_old(find_old(name), out);
    } else if (kind != FETCH_OTHER) {
        *out = simple_item(kind);
    } else if (row != NOT_THERE) {
        lexer_fail(lx, SYNTAX); /* BODY.PEEK, BINARY without a section */
    } else {
        take_other(lx, arena, name, out);
    }
    if (kind == FETCH_PREVIEW) {
        take_lazy(lx, out);
    }
}

struct item_list {
    struct fetch_item *at;
    size_t n;
    size_t cap;
};

static enum status add_item(struct item_list *list, struct arena *arena,
                            const struct fetch_item *item)
{
    for (size_t i = 0; i < list->n; i++) {
        if (slice_eq(list->at[i].label, item->label) && list->at[i].count == item->count) {
            list->at[i].sets_seen = list->at[i].sets_seen || item->sets_seen;
            if (item->kind == FETCH_PREVIEW && item->upstream.len < list->at[i].upstream.len) {
                list->at[i].upstream = item->upstream; /* one of them is not LAZY */
            }
            return OK;
        }
    }
    if (list->n == FETCH_ITEMS_MAX) {
        return LIMIT;
    }
    struct fetch_item *at = grow__array(arena, list->at, list->n, &list->cap, sizeof(*at));
    if (at == NULL) {
        return LIMIT;
    }
    at[list->n++] = *item;
    list->at = at;
    return OK;
}

static bool take_macro(struct lexer *lx, struct arena *arena, struct item_list *list)
{
    for (size_t i = 0; i < COUNT(macros); i++) {
        if (!lexer_take_word(lx, macros[i].name)) {
            continue;
        }
        for (size_t k = 0; macros[i].items[k] != FETCH_KINDS; k++) {
            struct fetch_item item = simple_item(macros[i].items[k]);
            if (add_item(list, arena, &item) != OK) {
                lexer_fail(lx, LIMIT);
            }
        }
        return true;
    }
    return false;
}

static bool is_macro(struct slice label)
{
    for (size_t i = 0; i < COUNT(macros); i++) {
        if (slice_eq(label, slice_str(macros[i].name))) {
            return true;
        }
    }
    return false;
}

static void take_items(struct lexer *lx, struct arena *arena, struct item_list *list)
{
    bool is_list = lexer_take(lx, '(');
    if (!is_list && take_macro(lx, arena, list)) {
        return;
    }
    do {
        struct fetch_item item;
        take_item(lx, arena, &item);
        if (is_macro(item.label)) {
            lexer_fail(lx, SYNTAX); /* macros stand alone */
        }
        enum status st = lexer_ok(lx) ? add_item(list, arena, &item) : OK;
        if (st != OK) {
            lexer_fail(lx, st);
        }
    } while (is_list && lexer_list_more(lx));
    if (is_list) {
        lexer_expect(lx, ')');
    }
}

enum status fetch_items_parse(struct lexer *lx, struct arena *arena, struct fetch_items *out)
{
    struct item_list list = {0};
    take_items(lx, arena, &list);
    *out = (struct fetch_items){.at = list.at, .n = list.n};
    for (size_t i = 0; i < list.n; i++) {
        out->sets_seen = out->sets_seen || list.at[i].sets_seen;
        out->has_modseq = out->has_modseq || list.at[i].kind == FETCH_MODSEQ;
    }
    return lexer_status(lx);
}

enum status fetch_item_parse(struct slice text, struct arena *arena, struct fetch_item *out)
{
    struct lexer lx;
    lexer_init(&lx, unit_of(text), LEXER_LENIENT);
    take_item(&lx, arena, out);
    lexer_end(&lx);
    return lexer_status(&lx);
}

/* --- an upstream's names ------------------------------------------------------------------------
 */

static enum status parse_bracketed_name(struct slice name, struct arena *arena,
                                        struct fetch_name *out)
{
    struct lexer lx;
    struct section section;
    lexer_init(&lx, unit_of(name), LEXER_LENIENT);
    size_t row = find_bracketed(take_name(&lx));
    if (row == NOT_THERE) {
        *out = (struct fetch_name){.kind = FETCH_OTHER, .key = name};
        return OK;
    }
    section__parse(&lx, arena, &section);
    if (lexer_take(&lx, '<')) {
        out->has_offset = true;
        out->offset = lexer_number64(&lx);
        if (lexer_take(&lx, '.')) {
            (void)lexer_number64(&lx);
        }
        lexer_expect(&lx, '>');
    }
    lexer_end(&lx);
    TRY(lexer_status(&lx));
    out->kind = bracketed[row].kind;
    struct section_text text = {.before = bracketed[row].key, .section = &section};
    out->key = section__text(arena, &text);
    return out->key.data != NULL ? OK : LIMIT;
}

enum status fetch_name_parse(struct slice name, struct arena *arena, struct fetch_name *out)
{
    *out = (struct fetch_name){.kind = FETCH_OTHER, .key = name};
    if (slice_find(name, '[') < name.len) {
        return parse_bracketed_name(name, arena, out);
    }
    out->kind = fetch_kind_find(name);
    if (out->kind == FETCH_SECTION) {
        out->key = olds[find_old(name)].key;
    } else if (out->kind != FETCH_OTHER) {
        out->key = kinds[out->kind].name;
    }
    return OK;
}

struct slice fetch_fields_key(struct arena *arena, const struct slice *names, size_t n, bool is_not)
{
    struct section section = {.kind = is_not ? SECTION_FIELDS_NOT : SECTION_FIELDS};
    if (!section__canonical_names(arena, names, n, &section)) {
        return (struct slice){NULL, 0};
    }
    struct section_text text = {.before = "BODY", .section = &section};
    return section__text(arena, &text);
}
