/* The evaluation of searches against a reference that tries everything: for each message all values
 * that the unknown parts may have.  A message matches for certain when it does under all of them;
 * it is to be asked about a part when there are values of the others under which this part decides.
 */
#include <stdlib.h>

#include "imap/searcheval.h"
#include "imaptest.h"

enum { MESSAGES = 24, FIRST_UID = 65530, PARTS = 6, LEAVES = 4, DEPTH = 5 };

/* Which messages match each leaf and part, for which the part is known; all random. */
struct world {
    unsigned seed;
    bool leaf[LEAVES][MESSAGES];
    bool value[PARTS][MESSAGES];
    bool known[PARTS][MESSAGES];
    bool in_universe[MESSAGES];
    const struct search_node *part[PARTS];
    size_t part_n;
    struct bitmap *known_set;
    struct bitmap *hit_set;
    enum status leaf_status;
    int leaves_asked;
};

static unsigned draw(struct world *world, unsigned below)
{
    return (unsigned)rand_r(&world->seed) % below;
}

static struct search_node *node_of(enum search_key key, unsigned classes, uint64_t number)
{
    struct search_node *node = arena_alloc(&test_arena, sizeof(*node));
    *node = (struct search_node){.key = key, .classes = classes, .number = number};
    return node;
}

static struct search_node *with_children(enum search_key key, struct search_node *first,
                                         struct search_node *second)
{
    unsigned classes = first->classes | (second != NULL ? second->classes : 0);
    struct search_node *node = node_of(key, classes, 0);
    node->child = first;
    first->next = second;
    return node;
}

/* --- random trees ------------------------------------------------------------------------------
 */

static struct search_node *draw_leaf(struct world *world)
{
    switch (draw(world, 5)) {
    case 0:
    case 1:
        return node_of(SEARCH_KEYWORD, SEARCH_IS_MUTABLE, draw(world, LEAVES));
    case 2:
        return draw(world, 4) == 0 ? node_of(SEARCH_ALL, SEARCH_IS_MUTABLE, 0)
                                   : node_of(SEARCH_YOUNGER, SEARCH_IS_VOLATILE, 0);
    default:
        return node_of(SEARCH_SUBJECT, SEARCH_IS_IMMUTABLE, 0);
    }
}

static struct search_node *draw_tree(struct world *world, unsigned depth)
{
    unsigned kind = depth == 0 ? 0 : draw(world, 6);
    if (kind == 0) {
        return draw_leaf(world);
    }
    struct search_node *child = draw_tree(world, depth - 1);
    if (kind == 1) {
        return with_children(SEARCH_NOT, child, NULL);
    }
    struct search_node *second = draw_tree(world, depth - 1);
    if (kind > 3) {
        second->next = draw_tree(world, depth - 1);
    }
    struct search_node *node = with_children(kind % 2 == 0 ? SEARCH_AND : SEARCH_OR, child, second);
    node->classes |= second->next != NULL ? second->next->classes : 0;
    return node;
}

/* Each place where the descent ends at a part is one of its own; false: more than there is room. */
static bool number_parts(struct world *world, struct search_node *node)
{
    if (search_is_part(node)) {
        if (world->part_n == PARTS) {
            return false;
        }
        node->number = world->part_n;
        world->part[world->part_n++] = node;
        return true;
    }
    for (struct search_node *child = node->child; child != NULL; child = child->next) {
        if (!number_parts(world, child)) {
            return false;
        }
    }
    return true;
}

static void draw_world(struct world *world)
{
    unsigned much = 1 + draw(world, 8);
    for (int m = 0; m < MESSAGES; m++) {
        world->in_universe[m] = draw(world, 8) != 0;
        for (int i = 0; i < LEAVES; i++) {
            world->leaf[i][m] = draw(world, 2);
        }
        for (int i = 0; i < PARTS; i++) {
            world->value[i][m] = draw(world, 2);
            world->known[i][m] = draw(world, 8) >= much;
        }
    }
}

/* --- the reference ------------------------------------------------------------------------------
 */

static bool value_of(const struct world *world, const struct search_node *node, int m,
                     unsigned values)
{
    if (node->key == SEARCH_NOT) {
        return !value_of(world, node->child, m, values);
    }
    if (search_is_part(node)) {
        return values >> node->number & 1;
    }
    if (node->key != SEARCH_AND && node->key != SEARCH_OR) {
        return node->key == SEARCH_ALL || world->leaf[node->number][m];
    }
    bool is_and = node->key == SEARCH_AND;
    bool value = is_and;
    for (const struct search_node *child = node->child; child != NULL; child = child->next) {
        bool one = value_of(world, child, m, values);
        value = is_and ? value && one : value || one;
    }
    return value;
}

/* Values of the parts for message @m: the known ones, @guess for the others. */
static unsigned values_with(const struct world *world, int m, unsigned guess)
{
    unsigned values = 0;
    for (size_t i = 0; i < world->part_n; i++) {
        bool one = world->known[i][m] ? world->value[i][m] : guess >> i & 1;
        values |= (unsigned)one << i;
    }
    return values;
}

static void reference(const struct world *world, const struct search_node *root, int m,
                      bool *yes_out, bool needs_out[PARTS])
{
    *yes_out = world->in_universe[m];
    memset(needs_out, 0, PARTS * sizeof(*needs_out));
    for (unsigned guess = 0; world->in_universe[m] && guess < 1U << world->part_n; guess++) {
        unsigned values = values_with(world, m, guess);
        bool value = value_of(world, root, m, values);
        *yes_out = *yes_out && value;
        for (size_t i = 0; i < world->part_n; i++) {
            needs_out[i] = needs_out[i] || (!world->known[i][m] &&
                                            value_of(world, root, m, values ^ 1U << i) != value);
        }
    }
}

/* --- the evaluation -----------------------------------------------------------------------------
 */

static void fill(struct bitmap *set, const bool *members)
{
    for (uint32_t m = 0; m < MESSAGES; m++) {
        if (members[m]) {
            bitmap_add(set, FIRST_UID + m, FIRST_UID + m);
        }
    }
}

static enum status leaf_of(void *arg, const struct search_node *leaf, struct bitmap *out)
{
    struct world *world = arg;
    assert_true(bitmap_empty(out));
    world->leaves_asked++;
    if (leaf->key == SEARCH_KEYWORD) {
        fill(out, world->leaf[leaf->number]); /* also of messages that are not in the universe */
    }
    return world->leaf_status;
}

static void part_of(void *arg, const struct search_node *part, const struct bitmap **known,
                    const struct bitmap **hit)
{
    struct world *world = arg;
    assert_ptr_equal(world->part[part->number], part);
    bitmap_clear(world->known_set);
    bitmap_clear(world->hit_set);
    fill(world->known_set, world->known[part->number]);
    fill(world->hit_set, world->value[part->number]); /* also where it is not known */
    *known = bitmap_empty(world->known_set) && draw(world, 2) == 0 ? NULL : world->known_set;
    *hit = bitmap_empty(world->hit_set) && draw(world, 2) == 0 ? NULL : world->hit_set;
}

static const struct search_eval_ops ops = {.leaf = leaf_of, .part = part_of};

static void world_init(struct world *world, unsigned seed)
{
    *world = (struct world){.seed = seed};
    world->known_set = bitmap_create();
    world->hit_set = bitmap_create();
}

static void world_fini(struct world *world)
{
    bitmap_destroy(&world->known_set);
    bitmap_destroy(&world->hit_set);
}

static void evaluate(struct world *world, const struct search_node *root, struct bitmap *yes,
                     struct search_needs *needs)
{
    struct bitmap *universe = bitmap_create();
    fill(universe, world->in_universe);
    bitmap_add(yes, 7, 7); /* what was in it goes */
    assert_int_equal(search_eval(root, universe, &ops, world, yes, needs), OK);
    bitmap_destroy(&universe);
}

static bool is_needed(const struct search_needs *needs, const struct search_node *part,
                      uint32_t uid)
{
    for (size_t i = 0; i < needs->n; i++) {
        if (needs->at[i].part == part) {
            return bitmap_has(needs->at[i].uids, uid);
        }
    }
    return false;
}

/* Compare, and take the answers for what is needed into the world. */
static void compare(struct world *world, const struct search_node *root, const struct bitmap *yes,
                    const struct search_needs *needs)
{
    uint64_t yes_n = 0;
    uint64_t need_n = 0;
    for (int m = 0; m < MESSAGES; m++) {
        uint32_t uid = FIRST_UID + (uint32_t)m;
        bool is_yes;
        bool is_need[PARTS];
        reference(world, root, m, &is_yes, is_need);
        assert_int_equal(bitmap_has(yes, uid), is_yes);
        yes_n += is_yes;
        for (size_t i = 0; i < world->part_n; i++) {
            assert_int_equal(is_needed(needs, world->part[i], uid), is_need[i]);
            need_n += is_need[i];
            world->known[i][m] = world->known[i][m] || is_need[i];
        }
    }
    assert_int_equal(bitmap_count(yes), yes_n);
    for (size_t i = 0; i < needs->n; i++) {
        assert_false(bitmap_empty(needs->at[i].uids));
        need_n -= bitmap_count(needs->at[i].uids);
    }
    assert_int_equal(need_n, 0);
}

static void agrees_with_trying_everything(void **state)
{
    (void)state;
    struct world world;
    size_t with_needs = 0;
    world_init(&world, 1);
    for (int round = 0; round < 6000; round++) {
        struct search_needs needs = {.n = 0};
        struct search_needs none = {.n = 0};
        world.part_n = 0;
        struct search_node *root = draw_tree(&world, 1 + draw(&world, DEPTH));
        if (!number_parts(&world, root)) {
            arena_reset(&test_arena);
            continue;
        }
        draw_world(&world);
        struct bitmap *yes = bitmap_create();
        evaluate(&world, root, yes, &needs);
        compare(&world, root, yes, &needs);
        with_needs += needs.n > 0;
        evaluate(&world, root, yes, &none); /* what was needed is known now */
        assert_int_equal(none.n, 0);
        compare(&world, root, yes, &none);
        search_needs_fini(&needs);
        search_needs_fini(&none);
        bitmap_destroy(&yes);
        arena_reset(&test_arena);
    }
    assert_true(with_needs > 1000);
    world_fini(&world);
}

/* --- from the client's text to the answer -------------------------------------------------------
 */

/* Text at random: what is mutable, immutable and volatile, nested. */
static void draw_text(unsigned *seed, unsigned depth, struct buf *out)
{
    static const char *const keys[] = {"SEEN",      "UNSEEN",    "FLAGGED",     "KEYWORD k",
                                       "ALL",       "SUBJECT a", "SUBJECT b",   "BODY a",
                                       "LARGER 10", "YOUNGER 5", "X-GM-RAW raw"};
    unsigned kind = depth == 0 ? 0 : (unsigned)rand_r(seed) % 7;
    if (kind < 2) {
        buf_add_str(out, keys[(unsigned)rand_r(seed) % COUNT(keys)]);
        return;
    }
    buf_add_str(out, kind == 2 ? "NOT " : kind < 5 ? "OR " : "(");
    draw_text(seed, depth - 1, out);
    if (kind > 2) {
        buf_add_str(out, " ");
        draw_text(seed, depth - 1, out);
    }
    if (kind >= 5) {
        buf_add_str(out, ")");
    }
}

struct plain_world {
    uint32_t uid;
    struct search_part part[SEARCH_PARTS_MAX];
    struct bitmap *known[SEARCH_PARTS_MAX];
    struct bitmap *hit[SEARCH_PARTS_MAX];
    size_t part_n;
};

/* Does the message match the leaf?  By chance, but always the same. */
static bool has_leaf(void *arg, const struct search_node *leaf)
{
    const struct plain_world *world = arg;
    uint32_t sum = (uint32_t)leaf->key * 31 + leaf->flag * 7 + (uint32_t)leaf->number;
    for (size_t i = 0; i < leaf->text.len; i++) {
        sum = sum * 131 + (unsigned char)leaf->text.data[i];
    }
    return ((sum * 2654435761U ^ world->uid * 2246822519U) >> 13 & 1) != 0;
}

static enum status plain_leaf(void *arg, const struct search_node *leaf, struct bitmap *out)
{
    struct plain_world world = *(const struct plain_world *)arg;
    for (world.uid = 1; world.uid <= MESSAGES; world.uid++) {
        if (has_leaf(&world, leaf)) {
            bitmap_add(out, world.uid, world.uid);
        }
    }
    return OK;
}

static size_t part_index(const struct plain_world *world, const struct search_node *part)
{
    size_t i = 0;
    while (i < world->part_n && world->part[i].node != part) {
        i++;
    }
    assert_true(i < world->part_n); /* search_parts() names what the evaluation asks for */
    return i;
}

static void plain_part(void *arg, const struct search_node *part, const struct bitmap **known,
                       const struct bitmap **hit)
{
    struct plain_world *world = arg;
    *known = world->known[part_index(world, part)];
    *hit = world->hit[part_index(world, part)];
}

static void answer_needs(struct plain_world *world, const struct search_needs *needs)
{
    for (size_t i = 0; i < needs->n; i++) {
        size_t at = part_index(world, needs->at[i].part);
        bitmap_or(world->known[at], needs->at[i].uids);
        for (world->uid = 1; world->uid <= MESSAGES; world->uid++) {
            if (bitmap_has(needs->at[i].uids, world->uid) &&
                search_match(needs->at[i].part, has_leaf, world)) {
                bitmap_add(world->hit[at], world->uid, world->uid);
            }
        }
    }
}

/* False: it goes whole. */
static bool plain_evaluate(struct plain_world *world, const struct search_node *parsed,
                           const struct search_node *canonical)
{
    const struct search_eval_ops plain = {.leaf = plain_leaf, .part = plain_part};
    struct search_needs needs;
    if (search_parts(canonical, SLICE(""), world->part, &world->part_n) == LIMIT) {
        return false;
    }
    struct bitmap *universe = bitmap_create();
    struct bitmap *yes = bitmap_create();
    bitmap_add(universe, 1, MESSAGES);
    for (size_t i = 0; i < world->part_n; i++) {
        world->known[i] = bitmap_create();
        world->hit[i] = bitmap_create();
    }
    assert_int_equal(search_eval(canonical, universe, &plain, world, yes, &needs), OK);
    answer_needs(world, &needs);
    search_needs_fini(&needs);
    assert_int_equal(search_eval(canonical, universe, &plain, world, yes, &needs), OK);
    assert_int_equal(needs.n, 0);
    for (world->uid = 1; world->uid <= MESSAGES; world->uid++) {
        assert_int_equal(bitmap_has(yes, world->uid), search_match(parsed, has_leaf, world));
    }
    for (size_t i = 0; i < world->part_n; i++) {
        bitmap_destroy(&world->known[i]);
        bitmap_destroy(&world->hit[i]);
    }
    bitmap_destroy(&universe);
    bitmap_destroy(&yes);
    return true;
}

static void a_search_is_answered_as_it_was_meant(void **state)
{
    (void)state;
    unsigned seed = 6, answered = 0;
    struct buf text;
    buf_init(&text, 0);
    for (int round = 0; round < 3000; round++) {
        struct plain_world world = {.part_n = 0};
        struct lexer lx;
        struct search_node *parsed;
        struct search_node *canonical;
        buf_reset(&text);
        draw_text(&seed, 1 + (unsigned)rand_r(&seed) % 6, &text);
        lexer_init(&lx, unit_of(buf_slice(&text)), LEXER_LENIENT);
        assert_int_equal(search_parse(&lx, &test_arena, &parsed), OK);
        assert_int_equal(search_normalize(parsed, &test_arena, &canonical), OK);
        answered += plain_evaluate(&world, parsed, canonical);
        arena_reset(&test_arena);
    }
    assert_true(answered > 2000);
    buf_fini(&text);
}

/* --- single cases -------------------------------------------------------------------------------
 */

static void all_unknown(struct world *world, struct search_node *root)
{
    world->part_n = 0;
    assert_true(number_parts(world, root));
    memset(world->known, 0, sizeof(world->known));
    memset(world->in_universe, 1, sizeof(world->in_universe));
    memset(world->leaf, 0, sizeof(world->leaf));
}

/* FLAGGED BODY x: asked about the flagged alone.  SEEN is nobody: BODY is not asked about at all.
 */
static void a_flag_narrows_what_is_asked(void **state)
{
    (void)state;
    struct world world;
    struct search_needs needs;
    struct bitmap *yes = bitmap_create();
    world_init(&world, 2);
    struct search_node *body = node_of(SEARCH_BODY, SEARCH_IS_IMMUTABLE, 0);
    struct search_node *root =
        with_children(SEARCH_AND, node_of(SEARCH_KEYWORD, SEARCH_IS_MUTABLE, 0), body);
    all_unknown(&world, root);
    world.leaf[0][3] = true;
    evaluate(&world, root, yes, &needs);
    assert_int_equal(needs.n, 1);
    assert_ptr_equal(needs.at[0].part, body);
    assert_int_equal(bitmap_count(needs.at[0].uids), 1);
    assert_true(bitmap_has(needs.at[0].uids, FIRST_UID + 3));
    search_needs_fini(&needs);
    search_needs_fini(&needs);
    world.leaf[0][3] = false;
    evaluate(&world, root, yes, &needs);
    assert_int_equal(needs.n, 0);
    assert_true(bitmap_empty(yes));
    bitmap_destroy(&yes);
    world_fini(&world);
}

/* One part in two places is one need. */
static void a_part_in_two_places_is_asked_once(void **state)
{
    (void)state;
    struct world world;
    struct search_needs needs;
    struct bitmap *yes = bitmap_create();
    world_init(&world, 3);
    struct search_node *part = node_of(SEARCH_BODY, SEARCH_IS_IMMUTABLE, 0);
    struct search_node *first = with_children(SEARCH_NOT, part, NULL);
    struct search_node *second = with_children(SEARCH_NOT, part, NULL);
    struct search_node *left =
        with_children(SEARCH_AND, node_of(SEARCH_KEYWORD, SEARCH_IS_MUTABLE, 0), first);
    struct search_node *right =
        with_children(SEARCH_AND, node_of(SEARCH_KEYWORD, SEARCH_IS_MUTABLE, 1), second);
    struct search_node *root = with_children(SEARCH_OR, left, right);
    all_unknown(&world, root);
    world.part[0] = part;
    part->number = 0;
    world.leaf[0][1] = true;
    world.leaf[1][2] = true;
    evaluate(&world, root, yes, &needs);
    assert_int_equal(needs.n, 1);
    assert_int_equal(bitmap_count(needs.at[0].uids), 2);
    search_needs_fini(&needs);
    bitmap_destroy(&yes);
    world_fini(&world);
}

/* What the rest decides is not worked out: nobody is asked for a leaf behind nothing or all. */
static void what_is_decided_is_not_worked_out(void **state)
{
    (void)state;
    struct world world;
    struct search_needs needs;
    struct bitmap *yes = bitmap_create();
    world_init(&world, 4);
    struct search_node *all = node_of(SEARCH_ALL, SEARCH_IS_MUTABLE, 0);
    struct search_node *leaf = node_of(SEARCH_KEYWORD, SEARCH_IS_MUTABLE, 0);
    struct search_node *root = with_children(SEARCH_OR, all, leaf);
    all_unknown(&world, root);
    evaluate(&world, root, yes, &needs);
    assert_int_equal(bitmap_count(yes), MESSAGES);
    assert_int_equal(world.leaves_asked, 0);
    root = with_children(SEARCH_AND, with_children(SEARCH_NOT, all, NULL), leaf);
    all->next = NULL;
    evaluate(&world, root, yes, &needs);
    assert_true(bitmap_empty(yes));
    assert_int_equal(world.leaves_asked, 0);
    bitmap_destroy(&yes);
    world_fini(&world);
}

/* OR of n bodies, after which one leaf fails when told to. */
static struct search_node *many_parts(size_t n)
{
    struct search_node *root = node_of(SEARCH_OR, SEARCH_IS_MUTABLE | SEARCH_IS_IMMUTABLE, 0);
    struct search_node **end = &root->child;
    for (size_t i = 0; i < n; i++) {
        *end = node_of(SEARCH_BODY, SEARCH_IS_IMMUTABLE, 0);
        end = &(*end)->next;
    }
    *end = node_of(SEARCH_KEYWORD, SEARCH_IS_MUTABLE, 0);
    return root;
}

static void nothing_known(void *arg, const struct search_node *part, const struct bitmap **known,
                          const struct bitmap **hit)
{
    (void)arg;
    (void)part;
    (void)known;
    (void)hit;
}

static void failures_leave_nothing_behind(void **state)
{
    (void)state;
    const struct search_eval_ops blank = {.leaf = leaf_of, .part = nothing_known};
    struct world world;
    struct search_needs needs;
    struct bitmap *yes = bitmap_create();
    struct bitmap *universe = bitmap_create();
    world_init(&world, 5);
    bitmap_add(universe, 1, 100000);
    struct search_node *root = many_parts(SEARCH_PARTS_MAX);
    assert_int_equal(search_eval(root, universe, &blank, &world, yes, &needs), OK);
    assert_int_equal(needs.n, SEARCH_PARTS_MAX);
    search_needs_fini(&needs);
    root = many_parts(SEARCH_PARTS_MAX + 1);
    assert_int_equal(search_eval(root, universe, &blank, &world, yes, &needs), LIMIT);
    assert_int_equal(needs.n, 0);
    world.leaf_status = DENIED;
    root = with_children(SEARCH_NOT, many_parts(3), NULL);
    assert_int_equal(search_eval(root, universe, &blank, &world, yes, &needs), DENIED);
    assert_int_equal(needs.n, 0);
    assert_true(bitmap_empty(yes));
    bitmap_destroy(&yes);
    bitmap_destroy(&universe);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(agrees_with_trying_everything),     TEST(a_search_is_answered_as_it_was_meant),
        TEST(a_flag_narrows_what_is_asked),      TEST(a_part_in_two_places_is_asked_once),
        TEST(what_is_decided_is_not_worked_out), TEST(failures_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
