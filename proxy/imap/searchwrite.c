#include "searchkey_p.h"

/* Writing a tree for an upstream, and walking it.  Depth is bounded by the parser (SEARCH_NESTING_MAX). */

struct writer {
    struct outcmd *out;
    search_resolve_fn resolve;
    void *arg;
    bool *is_after_bare; /* an unknown key without arguments was written just now */
    bool is_guessed;     /* "(SEEN)" stays in parentheses: without it may be taken for an argument */
};

/* RFC 3501 has no key for "nothing"; an empty set cannot be written.  Its NOT is ALL: Courier refuses
 * NOT NOT ALL. */
static enum status write_set(const struct writer *w, const struct search_node *leaf,
                             bool is_negated)
{
    if (w->resolve == NULL) {
        return PROTOCOL;
    }
    struct ranges set;
    ranges_init(&set, 0);
    enum status st = w->resolve(w->arg, leaf, &set);
    if (st == OK && ranges_empty(&set)) {
        outcmd_str(w->out, is_negated ? "ALL" : "NOT ALL");
    } else if (st == OK) {
        outcmd_str(w->out, is_negated ? "NOT UID " : "UID ");
        outcmd_ranges(w->out, &set);
    }
    ranges_fini(&set);
    return st;
}

static bool is_set(const struct search_node *node)
{
    return node->key == SEARCH_SEQ || node->key == SEARCH_UID;
}

static enum status write_leaf(const struct writer *w, const struct search_node *leaf)
{
    const struct searchkey_row *row = searchkey__row(leaf);
    if (is_set(leaf)) {
        return write_set(w, leaf, false);
    }
    if (row == NULL) {
        return PROTOCOL;
    }
    outcmd_str(w->out, row->name);
    switch (row->args) {
    case SEARCHKEY_HEADER:
        outcmd_str(w->out, " ");
        outcmd_string(w->out, leaf->field);
        outcmd_str(w->out, " ");
        outcmd_string(w->out, leaf->text);
        break;
    case SEARCHKEY_TEXT:
        outcmd_str(w->out, " ");
        outcmd_string(w->out, leaf->text);
        break;
    case SEARCHKEY_ATOM:
        outcmd_str(w->out, " ");
        if (lexer_is_atom(leaf->text)) {
            outcmd_token(w->out, leaf->text);
        } else {
            outcmd_string(w->out, leaf->text);
        }
        break;
    case SEARCHKEY_DATE:
        outcmd_str(w->out, " ");
        outcmd_token(w->out, leaf->text);
        break;
    case SEARCHKEY_NUMBER:
    case SEARCHKEY_MODSEQ:
        outcmd_str(w->out, " ");
        outcmd_u64(w->out, leaf->number);
        break;
    case SEARCHKEY_NONE:
    case SEARCHKEY_SET:
        break;
    }
    return OK;
}

static enum status write_key(const struct writer *w, const struct search_node *node);

static enum status write_children(const struct writer *w, const struct search_node *node)
{
    for (const struct search_node *child = node->child; child != NULL; child = child->next) {
        TRY(write_key(w, child));
        if (child->next != NULL) {
            outcmd_str(w->out, " ");
        }
    }
    return OK;
}

/* OR takes two keys.  Halves, so that the upstream's parser need not go deeper than the client's
 * words made it go: a tree of n leaves is never flatter. */
static enum status write_or(const struct writer *w, const struct search_node *first, size_t n)
{
    const struct search_node *second = first;
    if (n == 1) {
        return write_key(w, first);
    }
    for (size_t i = 0; i < n / 2; i++) {
        second = second->next;
    }
    outcmd_str(w->out, "OR ");
    TRY(write_or(w, first, n / 2));
    outcmd_str(w->out, " ");
    return write_or(w, second, n - n / 2);
}

static size_t count(const struct search_node *first)
{
    size_t n = 0;
    for (; first != NULL; first = first->next) {
        n++;
    }
    return n;
}

/* Behind one without arguments it stands alone in parentheses: it would be taken for an argument. */
static enum status write_unknown(const struct writer *w, const struct search_node *node)
{
    bool is_apart = *w->is_after_bare;
    *w->is_after_bare = false;
    outcmd_str(w->out, is_apart ? "(" : "");
    outcmd_token(w->out, node->text);
    for (size_t i = 0; i < node->tokens_n; i++) {
        outcmd_str(w->out, " ");
        if (node->tokens[i].is_string) {
            outcmd_string(w->out, node->tokens[i].text);
        } else {
            outcmd_token(w->out, node->tokens[i].text);
        }
    }
    if (node->child != NULL) {
        outcmd_str(w->out, " ");
        TRY(write_key(w, node->child));
    }
    outcmd_str(w->out, is_apart ? ")" : "");
    *w->is_after_bare = !is_apart && node->tokens_n == 0 && node->child == NULL;
    return OK;
}

static void write_parentheses(const struct writer *w, const char *which, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        outcmd_str(w->out, which);
        *w->is_after_bare = false;
    }
}

static unsigned lists_around(const struct writer *w, const struct search_node *node)
{
    return w->is_guessed ? node->lists : 0;
}

static enum status write_not(const struct writer *w, const struct search_node *child)
{
    bool is_bare = lists_around(w, child) == 0;
    if (is_bare && (child->key == SEARCH_FLAG || child->key == SEARCH_KEYWORD)) {
        outcmd_str(w->out, "UN"); /* UNSEEN, UNKEYWORD */
        return write_leaf(w, child);
    }
    if (is_bare && is_set(child)) {
        return write_set(w, child, true);
    }
    outcmd_str(w->out, "NOT ");
    return write_key(w, child);
}

/* An AND of several goes into parentheses. */
static enum status write_bare(const struct writer *w, const struct search_node *node)
{
    if (node->key == SEARCH_AND) {
        if (node->child != NULL && node->child->next == NULL) {
            return write_key(w, node->child);
        }
        write_parentheses(w, "(", 1);
        TRY(write_children(w, node));
        write_parentheses(w, ")", 1);
        return OK;
    }
    if (node->key == SEARCH_UNKNOWN) {
        return write_unknown(w, node);
    }
    *w->is_after_bare = false;
    if (node->key == SEARCH_OR) {
        return write_or(w, node->child, count(node->child));
    }
    if (node->key == SEARCH_FUZZY) {
        outcmd_str(w->out, "FUZZY ");
        return write_key(w, node->child);
    }
    return node->key == SEARCH_NOT ? write_not(w, node->child) : write_leaf(w, node);
}

/* One search-key. */
static enum status write_key(const struct writer *w, const struct search_node *node)
{
    unsigned lists = lists_around(w, node);
    write_parentheses(w, "(", lists);
    TRY(write_bare(w, node));
    write_parentheses(w, ")", lists);
    return OK;
}

static bool is_guessed(const struct search_node *root)
{
    return (root->classes & SEARCH_IS_GUESSED) != 0;
}

enum status search_write(const struct search_node *node, search_resolve_fn resolve, void *arg,
                         struct outcmd *out)
{
    bool is_after_bare = false;
    struct writer w = {out, resolve, arg, &is_after_bare, is_guessed(node)};
    return node->key == SEARCH_AND ? write_children(&w, node) : write_key(&w, node);
}

enum status search_canonical(const struct search_node *node, struct buf *out)
{
    struct outcmd text;
    outcmd_init(&text);
    bool is_after_bare = false;
    struct writer w = {&text, NULL, NULL, &is_after_bare, is_guessed(node)};
    enum status st = write_key(&w, node);
    if (st == OK && !outcmd_ok(&text)) {
        st = LIMIT;
    }
    if (st == OK) {
        outcmd_inline(&text, out);
    }
    outcmd_fini(&text);
    return st;
}

static bool match_all(const struct search_node *child,
                      bool (*leaf)(void *arg, const struct search_node *leaf), void *arg)
{
    for (; child != NULL; child = child->next) {
        if (!search_match(child, leaf, arg)) {
            return false;
        }
    }
    return true;
}

static bool match_any(const struct search_node *child,
                      bool (*leaf)(void *arg, const struct search_node *leaf), void *arg)
{
    for (; child != NULL; child = child->next) {
        if (search_match(child, leaf, arg)) {
            return true;
        }
    }
    return false;
}

bool search_match(const struct search_node *node,
                  bool (*leaf)(void *arg, const struct search_node *leaf), void *arg)
{
    if (node->key == SEARCH_AND) {
        return match_all(node->child, leaf, arg);
    }
    if (node->key == SEARCH_OR) {
        return match_any(node->child, leaf, arg);
    }
    if (node->key == SEARCH_NOT) {
        return !search_match(node->child, leaf, arg);
    }
    return node->key == SEARCH_ALL || leaf(arg, node);
}

void search_visit(const struct search_node *node,
                  void (*visit)(void *arg, const struct search_node *leaf), void *arg)
{
    if (node->key != SEARCH_AND && node->key != SEARCH_OR && node->key != SEARCH_NOT) {
        visit(arg, node);
        return;
    }
    for (const struct search_node *child = node->child; child != NULL; child = child->next) {
        search_visit(child, visit, arg);
    }
}
