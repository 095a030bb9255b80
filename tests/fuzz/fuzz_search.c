/* Search programs.  What is written for the upstream parses to the same tree, so writing it again
 * gives the same text.  The canonical form is one (made twice, or of what was written, it is the
 * same), means the same on a small model, and so does each part by its name; no part is tangled. */
#include "fuzz.h"
#include "imap/searchcanon.h"
#include "searchmodel.h"

static const uint32_t messages[] = {1, 2, 3, 4, 5, 17, 100, 500, 998, 999, 1000, 1001};

static enum status resolve_same(void *arg, const struct search_node *leaf, struct ranges *out)
{
    MUST(leaf->key == SEARCH_UID && !leaf->set.has_star && !leaf->set.is_saved);
    return searchmodel_resolve(arg, leaf, out);
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

static void same_text(const struct search_node *a, const struct search_node *b)
{
    struct buf first, second;
    buf_init(&first, 0);
    buf_init(&second, 0);
    enum status st = write(a, searchmodel_resolve, &first);
    MUST(write(b, searchmodel_resolve, &second) == st);
    MUST(slice_eq(buf_slice(&first), buf_slice(&second)));
    buf_fini(&first);
    buf_fini(&second);
}

static void same_meaning(const struct search_node *a, const struct search_node *b)
{
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        uint32_t message = messages[i];
        MUST(search_match(a, searchmodel_leaf, &message) ==
             search_match(b, searchmodel_leaf, &message));
    }
}

/* The tree that is written of @root and read again; NULL where that is too deep (UNSEEN is written
 * for NOT SEEN: one node more than its word) or too large. */
static struct search_node *read_back(const struct search_node *root, struct arena *arena,
                                     struct buf *text)
{
    struct search_node *again;
    enum status st = write(root, searchmodel_resolve, text);
    MUST(st == OK || st == LIMIT);
    st = st == OK ? parse(buf_slice(text), arena, &again) : st;
    MUST(st == OK || st == LIMIT);
    return st == OK ? again : NULL;
}

static void check_written(const struct search_node *root, struct arena *arena)
{
    struct buf first, second;
    buf_init(&first, 0);
    buf_init(&second, 0);
    const struct search_node *again = read_back(root, arena, &first);
    if (again != NULL) {
        MUST(write(again, resolve_same, &second) == OK);
        MUST(slice_eq(buf_slice(&first), buf_slice(&second)));
        same_meaning(root, again);
    }
    buf_fini(&first);
    buf_fini(&second);
}

static void check_part(const struct search_part *part, struct arena *arena)
{
    struct buf name;
    struct search_node *root, *again;
    buf_init(&name, 0);
    MUST(search_is_part(part->node) && !searchmodel_is_tangled(part->node));
    enum status st = search_part_name(part, SLICE("US-ASCII"), &name);
    MUST(st == OK || st == LIMIT || (st == PROTOCOL && part->is_volatile));
    size_t prefix = (part->node->classes & SEARCH_USES_8BIT) != 0 ? 9 : 0;
    if (st == OK && parse(slice_sub(buf_slice(&name), prefix, name.len), arena, &root) == OK &&
        search_normalize(root, arena, &again) == OK) {
        same_text(part->node, again);
        same_meaning(part->node, again);
    }
    buf_fini(&name);
}

static void check_parts(const struct search_node *canonical, struct arena *arena)
{
    struct search_part parts[SEARCH_PARTS_MAX];
    size_t n;
    if (search_parts(canonical, SLICE(""), parts, &n) == OK) {
        for (size_t i = 0; i < n; i++) {
            check_part(&parts[i], arena);
        }
    }
}

static void check_canonical(const struct search_node *root, struct arena *arena)
{
    struct search_node *canonical, *twice, *left, *right;
    struct buf first, second; /* what is read borrows from them */
    buf_init(&first, 0);
    buf_init(&second, 0);
    if (search_normalize(root, arena, &canonical) == OK) {
        MUST(searchmodel_is_canonical(canonical));
        same_meaning(root, canonical);
        if (search_normalize(canonical, arena, &twice) == OK) {
            same_text(canonical, twice);
        }
        const struct search_node *plain = read_back(root, arena, &first);
        const struct search_node *read = read_back(canonical, arena, &second);
        if (plain != NULL && read != NULL && search_normalize(plain, arena, &left) == OK &&
            search_normalize(read, arena, &right) == OK) {
            same_text(left, right);
        }
        check_parts(canonical, arena);
    }
    buf_fini(&first);
    buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct search_node *root;
    arena_init(&arena, 8 << 20);
    if (parse(slice_of(data, size), &arena, &root) == OK) {
        check_written(root, &arena);
        if ((root->classes & SEARCH_IS_GUESSED) == 0) { /* else it is never made canonical */
            check_canonical(root, &arena);
        }
    }
    arena_reset(&arena);
    return 0;
}
