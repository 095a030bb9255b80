/* Search programs: what is written for the upstream parses to the same tree, so writing it again
 * gives the same text; every set leaf has become UIDs. */
#include "fuzz.h"
#include "imap/searchtree.h"

static enum status resolve(void *arg, const struct search_node *leaf, struct ranges *out)
{
    (void)arg;
    return seqset_resolve(&leaf->set, 1000, out);
}

static enum status resolve_same(void *arg, const struct search_node *leaf, struct ranges *out)
{
    MUST(leaf->key == SEARCH_UID && !leaf->set.has_star && !leaf->set.is_saved);
    return resolve(arg, leaf, out);
}

static bool by_key(void *arg, const struct search_node *leaf)
{
    (void)arg;
    return leaf->key % 2 != 0;
}

static enum status parse(struct slice text, struct arena *arena, struct search_node **root)
{
    struct lexer lx;
    lexer_init(&lx, unit_of(text), LEXER_LENIENT);
    return search_parse(&lx, arena, root);
}

static enum status write(const struct search_node *root, search_resolve_fn fn, struct buf *out)
{
    struct outcmd cmd;
    outcmd_init(&cmd);
    enum status st = search_write(root, fn, NULL, &cmd);
    if (st == OK && !outcmd_ok(&cmd)) {
        st = LIMIT;
    }
    if (st == OK) {
        outcmd_inline(&cmd, out);
    }
    outcmd_fini(&cmd);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct buf first;
    struct buf second;
    struct search_node *root;
    struct search_node *again;
    arena_init(&arena, 1 << 20);
    buf_init(&first, 0);
    buf_init(&second, 0);
    if (parse(slice_of(data, size), &arena, &root) == OK && write(root, resolve, &first) == OK) {
        /* UNSEEN is written for NOT SEEN: one node more than its word, never deeper than it was */
        enum status st = parse(buf_slice(&first), &arena, &again);
        MUST(st == OK || st == LIMIT);
        if (st == OK) {
            MUST(write(again, resolve_same, &second) == OK);
            MUST(slice_eq(buf_slice(&first), buf_slice(&second)));
            bool uses_sets = (root->classes & (SEARCH_USES_SEQ | SEARCH_USES_SAVED)) != 0;
            MUST(uses_sets ||
                 search_match(root, by_key, NULL) == search_match(again, by_key, NULL));
        }
    }
    buf_fini(&first);
    buf_fini(&second);
    arena_reset(&arena);
    return 0;
}
