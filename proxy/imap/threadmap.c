#include "imap/respdata.h"

#include "base/alloc.h"

/* THREAD responses, RFC 5256 section 4: "(2)(3 6 (4 23)(44 7 96))", where a thread without a root
 * is "((3)(5))".  The lists become a tree, every number is mapped, numbers that are gone leave
 * their children to their parent (at the top: to each other), and the tree is written again. */

enum { ROOT = 0, NODES_MAX = 1 << 20 };
#define NO_NODE SIZE_MAX

struct node {
    uint32_t number; /* 0: none, or gone */
    size_t parent;
    size_t first; /* children that are written, in order */
    size_t last;
    size_t next;
};

struct tree {
    struct node *at; /* at[ROOT] holds the threads; parents stand before their children */
    size_t n;
    size_t cap;
};

static size_t add_node(struct tree *tree, uint32_t number, size_t parent)
{
    if (tree->n == tree->cap) {
        tree->cap = tree->cap > 0 ? tree->cap * 2 : 32;
        tree->at = alloc_resize(tree->at, tree->cap, sizeof(*tree->at));
    }
    tree->at[tree->n] = (struct node){number, parent, NO_NODE, NO_NODE, NO_NODE};
    return tree->n++;
}

struct parse {
    struct lexer lx;
    size_t stack[LEXER_DEPTH_MAX]; /* of each open list: whose children its members are */
    size_t depth;
    size_t parent; /* of the next member */
    bool is_fresh; /* nothing yet in the innermost list */
};

static void open_list(struct parse *p, struct tree *tree)
{
    if (p->depth == LEXER_DEPTH_MAX || tree->n >= NODES_MAX) {
        lexer_fail(&p->lx, LIMIT);
        return;
    }
    if (p->is_fresh && p->depth > 0) {
        p->parent = add_node(tree, 0, p->parent); /* "((": a thread without a root */
    }
    p->stack[p->depth++] = p->parent;
    p->is_fresh = true;
}

static void close_list(struct parse *p)
{
    if (p->depth == 0) {
        lexer_fail(&p->lx, SYNTAX);
        return;
    }
    p->parent = p->stack[--p->depth];
    p->is_fresh = false;
}

static enum status parse_tree(struct parse *p, struct tree *tree,
                              uint32_t (*map)(void *arg, uint32_t number), void *arg)
{
    struct lexer *lx = &p->lx;
    while (lexer_ok(lx) && !lexer_at_end(lx)) {
        if (lexer_take(lx, '(')) {
            open_list(p, tree);
        } else if (lexer_take(lx, ')')) {
            close_list(p);
        } else if (p->depth == 1 && p->is_fresh && lexer_take_word(lx, "MODSEQ")) {
            lexer_sp(lx); /* Cyrus: "(MODSEQ n)" at the end, where the criteria name MODSEQ */
            (void)lexer_number64(lx);
        } else if (!lexer_take(lx, ' ')) {
            uint32_t number = lexer_number(lx);
            if (p->depth == 0 || number == 0) {
                lexer_fail(lx, SYNTAX);
            } else if (tree->n >= NODES_MAX) {
                lexer_fail(lx, LIMIT);
            } else {
                p->parent = add_node(tree, map(arg, number), p->parent);
                p->is_fresh = false;
            }
        }
    }
    if (p->depth > 0) {
        lexer_fail(lx, SYNTAX);
    }
    return lexer_status(lx);
}

static void push_front(struct tree *tree, size_t parent, size_t first, size_t last)
{
    struct node *node = &tree->at[parent];
    tree->at[last].next = node->first;
    node->first = first;
    if (node->last == NO_NODE) {
        node->last = last;
    }
}

/* From the leaves up (children stand behind their parents) every node finds its written parent. */
static void link_tree(struct tree *tree)
{
    for (size_t i = tree->n - 1; i > ROOT; i--) {
        struct node *node = &tree->at[i];
        bool has_several = node->first != node->last;
        if (node->number != 0 || (node->parent == ROOT && has_several)) {
            push_front(tree, node->parent, i, i);
        } else if (node->first != NO_NODE) {
            push_front(tree, node->parent, node->first, node->last);
        }
    }
}

/* Recursion only where threads fork, which the lists' depth bounds. */
static void write_thread(const struct tree *tree, size_t i, struct buf *out)
{
    for (;;) {
        const struct node *node = &tree->at[i];
        if (node->number != 0) {
            buf_add_u64(out, node->number);
        }
        if (node->first == NO_NODE) {
            return;
        }
        if (node->number != 0) {
            buf_add_char(out, ' ');
        }
        if (node->first != node->last) {
            break;
        }
        i = node->first;
    }
    for (size_t child = tree->at[i].first; child != NO_NODE; child = tree->at[child].next) {
        buf_add_char(out, '(');
        write_thread(tree, child, out);
        buf_add_char(out, ')');
        if (child == tree->at[i].last) {
            break;
        }
    }
}

enum status respdata_thread_map(const struct response *r,
                                uint32_t (*map)(void *arg, uint32_t number), void *arg,
                                struct buf *out)
{
    struct parse p = {.is_fresh = true};
    struct tree tree = {0};
    lexer_init(&p.lx, r->data, LEXER_LENIENT);
    p.parent = add_node(&tree, 0, NO_NODE);
    enum status st = parse_tree(&p, &tree, map, arg);
    if (st == OK) {
        link_tree(&tree);
        for (size_t i = tree.at[ROOT].first; i != NO_NODE; i = tree.at[i].next) {
            buf_add_char(out, '(');
            write_thread(&tree, i, out);
            buf_add_char(out, ')');
        }
        st = buf_ok(out) ? OK : LIMIT;
    }
    alloc_free(tree.at);
    return st;
}
