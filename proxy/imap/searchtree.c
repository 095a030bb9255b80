#include "imap/searchtree.h"

#include "grow_p.h"
#include "imap/date.h"
#include "lexer_p.h"
#include "searchkey_p.h"

/* Parsing.  Writing and walking are in searchwrite.c. */

struct parse {
    struct lexer *lx;
    struct arena *arena;
    size_t nodes;
};

static struct search_node *new_node(struct parse *p, enum search_key key)
{
    if (++p->nodes > SEARCH_NODES_MAX) {
        lexer_fail(p->lx, LIMIT);
        return NULL;
    }
    struct search_node *node = arena_alloc(p->arena, sizeof(*node));
    if (node == NULL) {
        lexer_fail(p->lx, LIMIT);
        return NULL;
    }
    node->key = key;
    node->classes = searchkey__classes(key);
    return node;
}

/* Courier refuses text with control octets in it. */
static void mark_text(struct search_node *node, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c > 127) {
            node->classes |= SEARCH_USES_8BIT;
        }
        if (c < ' ' || c == 127) {
            node->classes |= SEARCH_IS_ODD;
        }
    }
}

/* RFC 5322 2.2: printable, and no colon. */
static void mark_field(struct search_node *node)
{
    bool is_odd = node->field.len == 0;
    for (size_t i = 0; i < node->field.len; i++) {
        is_odd = is_odd || node->field.data[i] == ' ' || node->field.data[i] == ':';
    }
    node->classes |= is_odd ? SEARCH_IS_ODD : 0;
}

/* "%" and "*" are no part of an atom, but servers take them for it, and some clients do not quote a
 * Message-ID. */
static struct slice take_string(struct parse *p, struct search_node *node)
{
    struct slice text = lexer_list_mailbox(p->lx, p->arena);
    mark_text(node, text);
    return text;
}

/* Cyrus refuses the year 1, others may not know what was before theirs began. */
static bool is_usual_day(struct slice canonical)
{
    struct slice year = slice_sub(canonical, canonical.len - 4, canonical.len);
    return date_exists(canonical) && slice_cmp(year, SLICE("1970")) >= 0;
}

static void take_date(struct parse *p, struct search_node *node)
{
    char canonical[DATE_TEXT_MAX + 1];
    struct slice text = lexer_astring(p->lx, p->arena);
    if (!lexer_ok(p->lx) || !date_check(text, canonical)) {
        lexer_fail(p->lx, SYNTAX);
        return;
    }
    node->classes |= is_usual_day(slice_str(canonical)) ? 0 : SEARCH_IS_ODD;
    node->text = arena_copy(p->arena, slice_str(canonical));
    if (node->text.data == NULL) {
        lexer_fail(p->lx, LIMIT);
    }
}

/* RFC 7162 3.1.5: "If the server doesn't store internally separate mod-sequences for different
 * metadata items, it MUST ignore <entry-name> and <entry-type-req>."  So do we: ours are the
 * upstream's, one for each message. */
static void take_modseq(struct parse *p, struct search_node *node)
{
    if (lexer_peek(p->lx) == '"') {
        (void)lexer_string(p->lx, p->arena);
        lexer_sp(p->lx);
        if (!lexer_take_word(p->lx, "all") && !lexer_take_word(p->lx, "priv") &&
            !lexer_take_word(p->lx, "shared")) {
            lexer_fail(p->lx, SYNTAX);
        }
        lexer_sp(p->lx);
    }
    node->number = lexer_number64(p->lx);
}

static void take_set(struct parse *p, struct search_node *node)
{
    enum status st = seqset_parse(p->lx, p->arena, &node->set);
    if (st != OK) {
        lexer_fail(p->lx, st);
    }
    if (node->set.is_saved) {
        node->classes |= SEARCH_USES_SAVED;
    }
}

/* RFC 3501 9: a number has 32 bits.  Dovecot takes 64, Cyrus ends the session above 31. */
static void mark_size(struct search_node *node)
{
    bool is_size = node->key == SEARCH_LARGER || node->key == SEARCH_SMALLER;
    node->classes |= is_size && node->number > UINT32_MAX ? SEARCH_IS_ODD : 0;
}

static void take_args(struct parse *p, const struct searchkey_row *row, struct search_node *node)
{
    if (row->args != SEARCHKEY_NONE) {
        lexer_sp(p->lx);
    }
    switch (row->args) {
    case SEARCHKEY_NONE:
        node->flag = row->flag;
        break;
    case SEARCHKEY_TEXT:
        node->text = take_string(p, node);
        break;
    case SEARCHKEY_HEADER:
        node->field = take_string(p, node);
        mark_field(node);
        lexer_sp(p->lx);
        node->text = take_string(p, node);
        break;
    case SEARCHKEY_ATOM: /* servers take a string, too */
        node->text = lexer__at_string(p->lx) ? take_string(p, node) : lexer_atom(p->lx);
        break;
    case SEARCHKEY_DATE:
        take_date(p, node);
        break;
    case SEARCHKEY_NUMBER:
        node->number = lexer_number64(p->lx);
        mark_size(node);
        break;
    case SEARCHKEY_MODSEQ:
        take_modseq(p, node);
        break;
    case SEARCHKEY_SET:
        take_set(p, node);
        break;
    }
}

/* @child stands below @node; of its own kind its children do, as far as depth is concerned. */
static void rise_above(struct parse *p, struct search_node *node, const struct search_node *child)
{
    bool is_flat = child->key == node->key && (node->key == SEARCH_AND || node->key == SEARCH_OR);
    unsigned height = child->height + (is_flat ? 0 : 1);
    node->height = height > node->height ? height : node->height;
    if (node->height >= SEARCH_DEPTH_MAX) {
        lexer_fail(p->lx, LIMIT);
    }
}

/* NOT around @child. */
static struct search_node *negate(struct parse *p, struct search_node *child)
{
    struct search_node *node = new_node(p, SEARCH_NOT);
    if (node != NULL && child != NULL) {
        node->child = child;
        node->classes = child->classes;
        rise_above(p, node, child);
    }
    return node;
}

/* @added comes behind @tail, the last child of @parent (NULL: it is the first).  A list in a list stays one:
 * what goes whole goes in the client's form. */
static struct search_node *append(struct parse *p, struct search_node *parent,
                                  struct search_node *tail, struct search_node *added)
{
    *(tail != NULL ? &tail->next : &parent->child) = added;
    parent->classes |= added->classes;
    rise_above(p, parent, added);
    return added;
}

static struct search_node *take_key(struct parse *p, size_t depth);

/* Keys up to ")" or the end, under an AND. */
static struct search_node *take_and(struct parse *p, size_t depth, bool is_list)
{
    struct search_node *node = new_node(p, SEARCH_AND);
    struct search_node *tail = NULL;
    bool more = node != NULL;
    while (more) {
        struct search_node *child = take_key(p, depth);
        if (child == NULL || !lexer_ok(p->lx)) {
            return NULL;
        }
        tail = append(p, node, tail, child);
        if (is_list) {
            more = lexer_list_more(p->lx);
        } else {
            more = !lexer_at_end(p->lx);
            if (more) {
                lexer_sp(p->lx);
            }
        }
    }
    return node;
}

static struct search_node *take_list(struct parse *p, size_t depth)
{
    lexer_expect(p->lx, '(');
    struct search_node *node = take_and(p, depth, true);
    lexer_expect(p->lx, ')');
    if (node != NULL && node->child != NULL && node->child->next == NULL) {
        node->child->lists++; /* "(SEEN)" is SEEN: one tree for one meaning */
        return node->child;
    }
    return node;
}

static struct search_node *take_or(struct parse *p, size_t depth)
{
    lexer_sp(p->lx);
    struct search_node *left = take_key(p, depth);
    lexer_sp(p->lx);
    struct search_node *right = take_key(p, depth);
    struct search_node *node = lexer_ok(p->lx) ? new_node(p, SEARCH_OR) : NULL;
    if (node != NULL && left != NULL && right != NULL) {
        (void)append(p, node, append(p, node, NULL, left), right);
    }
    return node;
}

static struct search_node *take_bare_set(struct parse *p)
{
    struct search_node *node = new_node(p, SEARCH_SEQ);
    if (node != NULL) {
        take_set(p, node);
    }
    return node;
}

/* A key whose child only the upstream looks at.  What the child uses of ours it still uses. */
static void adopt(struct parse *p, struct search_node *node, struct search_node *child)
{
    const unsigned ours = SEARCH_IS_MUTABLE | SEARCH_IS_IMMUTABLE | SEARCH_IS_VOLATILE;
    if (child != NULL) {
        node->child = child;
        node->classes |= child->classes & ~ours;
        rise_above(p, node, child);
    }
}

static struct search_node *take_fuzzy(struct parse *p, size_t depth)
{
    struct search_node *node = new_node(p, SEARCH_FUZZY);
    lexer_sp(p->lx);
    if (node != NULL) {
        adopt(p, node, take_key(p, depth));
    }
    return node;
}

/* --- unknown keys ------------------------------------------------------------------------------- */

struct tokens {
    struct search_token *at;
    size_t n;
    size_t cap;
};

static void take_token(struct parse *p, struct search_node *node, struct tokens *tokens)
{
    lexer_sp(p->lx);
    struct search_token token = {.is_string = lexer__at_string(p->lx)};
    token.text = lexer_list_mailbox(p->lx, p->arena);
    mark_text(node, token.text);
    struct search_token *at = tokens->n < SEARCH_TOKENS_MAX
                                  ? grow__array(p->arena, tokens->at, tokens->n, &tokens->cap,
                                                sizeof(token))
                                  : NULL;
    if (at == NULL) {
        lexer_fail(p->lx, LIMIT);
        return;
    }
    at[tokens->n++] = token;
    tokens->at = at;
}

/* Is an argument next, and not a key or a parenthesis? */
static bool has_token(const struct parse *p, bool may_be_atom)
{
    struct lexer ahead = *p->lx;
    if (lexer_peek(&ahead) != ' ' || lexer_at_end(&ahead)) {
        return false;
    }
    lexer_sp(&ahead);
    if (lexer__at_string(&ahead)) {
        return true;
    }
    if (!may_be_atom || !lexer_is_astring_char(lexer_peek(&ahead))) {
        return false;
    }
    return !searchkey__is_known(lexer_astring(&ahead, p->arena));
}

static struct search_node *take_unknown(struct parse *p, struct slice word, size_t depth)
{
    const struct searchkey_foreign *foreign = searchkey__foreign(word);
    struct search_node *node = lexer_ok(p->lx) ? new_node(p, SEARCH_UNKNOWN) : NULL;
    struct tokens tokens = {0};
    if (node == NULL) {
        return NULL;
    }
    node->text = word;
    node->classes |= foreign == NULL ? SEARCH_IS_GUESSED : 0;
    while (lexer_ok(p->lx) &&
           (foreign != NULL ? tokens.n < foreign->args : has_token(p, tokens.n == 0))) {
        take_token(p, node, &tokens);
    }
    node->tokens = tokens.at;
    node->tokens_n = tokens.n;
    if (foreign != NULL && foreign->has_key) {
        lexer_sp(p->lx);
        adopt(p, node, take_key(p, depth));
    }
    return node;
}

static struct search_node *take_word(struct parse *p, size_t depth)
{
    if (lexer_take_word(p->lx, "NOT")) {
        lexer_sp(p->lx);
        return negate(p, take_key(p, depth));
    }
    if (lexer_take_word(p->lx, "OR")) {
        return take_or(p, depth);
    }
    if (lexer_take_word(p->lx, "FUZZY")) {
        return take_fuzzy(p, depth);
    }
    struct slice word = lexer_atom(p->lx);
    const struct searchkey_row *row = searchkey__find(word);
    if (row == NULL) {
        return take_unknown(p, word, depth);
    }
    struct search_node *node = new_node(p, row->key);
    if (node == NULL) {
        return NULL;
    }
    take_args(p, row, node);
    return row->is_negated ? negate(p, node) : node;
}

static struct search_node *take_key(struct parse *p, size_t depth)
{
    char c = lexer_peek(p->lx);
    struct search_node *node;
    if (depth == SEARCH_NESTING_MAX) {
        lexer_fail(p->lx, LIMIT);
        return NULL;
    }
    if (c == '(') {
        node = take_list(p, depth + 1);
    } else if ((c >= '0' && c <= '9') || c == '*' || c == '$') {
        node = take_bare_set(p);
    } else {
        node = take_word(p, depth + 1);
    }
    return lexer_ok(p->lx) ? node : NULL;
}

enum status search_parse(struct lexer *lx, struct arena *arena, struct search_node **root_out)
{
    struct parse p = {.lx = lx, .arena = arena};
    *root_out = take_and(&p, 0, false);
    TRY(lexer_status(lx));
    return *root_out != NULL ? OK : SYNTAX;
}
