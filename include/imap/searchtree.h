#ifndef IMAP_SEARCHTREE_H
#define IMAP_SEARCHTREE_H
/* SEARCH criteria as a tree in the command's arena.  A key that is not known here may be known to
 * the upstream: it becomes SEARCH_UNKNOWN, never an error.  Limits: below.   Thread: any.
 * RFC 3501 6.4.4, 4731, 5032 (WITHIN), 5466 (FILTER), 6203 (FUZZY), 7162 3.1.5, 8474, 8514, 9394. */
#include "imap/flags.h"
#include "imap/outcmd.h"
#include "imap/seqset.h"

/* The tree keeps the client's nesting (NESTING levels, and one for a key like UNSEEN).  DEPTH is what is left
 * of it when ANDs in ANDs and ORs in ORs are one: `OR a OR b c`, `(OR (OR a b) c)` are an OR of three. */
enum {
    SEARCH_DEPTH_MAX = 32,
    SEARCH_NESTING_MAX = 1024,
    SEARCH_NODES_MAX = 4096,
    SEARCH_TOKENS_MAX = 16
};

enum search_key {
    SEARCH_AND, /* also a parenthesised list, and the whole program; children; none an AND */
    SEARCH_OR,  /* children: two or more */
    SEARCH_NOT, /* one child */
    SEARCH_ALL,
    SEARCH_FLAG,    /* node->flag set (one bit); UNSEEN is NOT of it */
    SEARCH_KEYWORD, /* node->text */
    SEARCH_NEW,     /* RECENT UNSEEN: kept apart, \Recent is emulated */
    SEARCH_OLD,
    SEARCH_RECENT,
    SEARCH_SEQ,    /* node->set: message numbers */
    SEARCH_UID,    /* node->set */
    SEARCH_MODSEQ, /* node->number */
    SEARCH_BCC,    /* node->text, also the next ones */
    SEARCH_BODY,
    SEARCH_CC,
    SEARCH_FROM,
    SEARCH_SUBJECT,
    SEARCH_TEXT,
    SEARCH_TO,
    SEARCH_HEADER, /* node->field, node->text */
    SEARCH_BEFORE, /* node->text: canonical date, also the next ones */
    SEARCH_ON,
    SEARCH_SINCE,
    SEARCH_SENTBEFORE,
    SEARCH_SENTON,
    SEARCH_SENTSINCE,
    SEARCH_SAVEDBEFORE,
    SEARCH_SAVEDON,
    SEARCH_SAVEDSINCE,
    SEARCH_SAVEDATESUPPORTED,
    SEARCH_LARGER, /* node->number, also the next ones */
    SEARCH_SMALLER,
    SEARCH_OLDER,
    SEARCH_YOUNGER,
    SEARCH_EMAILID, /* node->text */
    SEARCH_THREADID,
    SEARCH_GM_RAW, /* X-GM-RAW: node->text, also X-GM-LABELS; X-GM-MSGID, -THRID: node->number */
    SEARCH_GM_LABELS,
    SEARCH_GM_MSGID,
    SEARCH_GM_THRID,
    SEARCH_FILTER,  /* node->text: a name */
    SEARCH_FUZZY,   /* one child, which only the upstream looks at: for us a leaf */
    SEARCH_UNKNOWN, /* node->text: its word; node->tokens; perhaps a child (a leaf all the same) */
    SEARCH_KEYS
};

/* What a leaf depends on; of an inner node: the union over its leaves. */
enum search_class {
    SEARCH_IS_MUTABLE = 1, /* the model answers: flags, keywords, MODSEQ, sets, ALL */
    SEARCH_IS_IMMUTABLE =
        2,                  /* text, dates, sizes: only the upstream answers; the set may be kept */
    SEARCH_IS_VOLATILE = 4, /* OLDER, FUZZY, X-GM-RAW, unknown: only the upstream; never kept */
    SEARCH_USES_SEQ = 8,    /* a message-number set is in it */
    SEARCH_USES_SAVED = 16, /* "$" */
    SEARCH_USES_MODSEQ = 32,
    SEARCH_USES_RECENT = 64,
    SEARCH_USES_8BIT = 128, /* a string is not ASCII */
    SEARCH_IS_ODD = 256,    /* a day that there is not, or before 1970, a size beyond 32 bits, control
                               octets, no header field's name: servers differ, one may refuse it */
    SEARCH_IS_TANGLED = 512, /* of a canonical tree: see imap/searchcanon.h */
    SEARCH_IS_GUESSED = 1024 /* of what an unknown key takes: sure is only the text as it was written */
};

/* An argument of an unknown key, written anew as what it was. */
struct search_token {
    struct slice text; /* decoded */
    bool is_string;    /* it was quoted or a literal; else an atom */
};

struct search_node {
    enum search_key key;
    unsigned classes;
    struct search_node *child; /* first */
    struct search_node *next;  /* sibling */
    unsigned height;           /* of what is below it, as parsed: see DEPTH */
    unsigned lists;            /* parentheses around it alone */
    unsigned flag;
    uint64_t number;
    struct slice field;
    struct slice text; /* decoded */
    struct seqset set;
    const struct search_token *tokens;
    size_t tokens_n;
};

/* Arguments of an unknown key: an atom that is no known key, a number, or none; then every quoted
 * string and literal that follows.  (ANNOTATION and INTHREAD have those of their documents.)  That is
 * guessed, so what such a tree is written as is all that is sure of it: the same words in the same order,
 * and all parentheses (but UNSEEN for NOT SEEN).
 * search-key *(SP search-key) up to the end; *root_out is an AND. */
enum status search_parse(struct lexer *lx, struct arena *arena,
                         struct search_node **root_out) MUST_USE;

/* Turns a set leaf (SEARCH_SEQ, SEARCH_UID; "*" and "$" inside) into UIDs.  @out is initialised. */
typedef enum status (*search_resolve_fn)(void *arg, const struct search_node *leaf,
                                         struct ranges *out);
/* Write the tree for an upstream that will be asked UID SEARCH, every set leaf as `UID <set>`; an
 * empty set as NOT ALL, which selects nothing; an OR of many as ORs of two, as deep as must be.  As it
 * was parsed it has the client's form, but for parentheses around one key, and UNSEEN for NOT SEEN.
 * Without charset: the caller writes CHARSET UTF-8 when classes has USES_8BIT.  @resolve may be
 * NULL when there is no set leaf. */
enum status search_write(const struct search_node *node, search_resolve_fn resolve, void *arg,
                         struct outcmd *out) MUST_USE;
/* The same text with its literals inline: canonical name of a subtree without set leaves (strings
 * as the client meant them, not as it quoted them; single-child AND is its child). */
enum status search_canonical(const struct search_node *node, struct buf *out) MUST_USE;

/* Evaluate AND, OR, NOT, ALL; @leaf answers for every other key (FUZZY is one). */
bool search_match(const struct search_node *node,
                  bool (*leaf)(void *arg, const struct search_node *leaf), void *arg);
/* Call @visit for every leaf. */
void search_visit(const struct search_node *node,
                  void (*visit)(void *arg, const struct search_node *leaf), void *arg);

/* RETURN options, RFC 4731, 5182 and 9394. */
enum search_return {
    SEARCH_RETURN_MIN = 1,
    SEARCH_RETURN_MAX = 2,
    SEARCH_RETURN_ALL = 4,
    SEARCH_RETURN_COUNT = 8,
    SEARCH_RETURN_SAVE = 16,
    SEARCH_RETURN_PARTIAL = 32
};

#endif
