/* Criteria that the model answers: flags, keywords, modseqs, sets. */
#include "base/alloc.h"
#include "model/uidset.h"
#include "search_p.h"

struct wanted_flag {
    uint8_t bit;
    uint16_t keyword;
};

static bool has_bit(const struct flags *flags, uint32_t id, const void *arg)
{
    const struct wanted_flag *wanted = arg;
    return (flags_bits(flags, id) & wanted->bit) != 0;
}

static bool has_keyword(const struct flags *flags, uint32_t id, const void *arg)
{
    const struct wanted_flag *wanted = arg;
    return flags_has_keyword(flags, id, wanted->keyword);
}

/* A message whose modseq is not known has none that could match, unless all do. */
static void find_modseq(const struct search_run *run, uint64_t least, struct bitmap *out)
{
    if (least == 0) {
        bitmap_or(out, run->universe);
    } else {
        mailbox_bitmap_modseq(feed_mailbox(run->session->feed), least - 1, out);
    }
}

static void evaluate(const struct search_run *run, const struct search_node *leaf,
                     struct bitmap *out)
{
    struct mailbox *mailbox = feed_mailbox(run->session->feed);
    struct wanted_flag wanted = {0};
    const struct ranges *uids;
    if (leaf->key == SEARCH_FLAG) {
        wanted.bit = flag_bit_named(slice_str(flag_name((enum imap_flag)leaf->flag)));
        mailbox_bitmap_flags(mailbox, has_bit, &wanted, out);
    } else if (leaf->key == SEARCH_KEYWORD) {
        if (flags_find_keyword(mailbox_flags(mailbox), leaf->text, &wanted.keyword)) {
            mailbox_bitmap_flags(mailbox, has_keyword, &wanted, out);
        }
    } else if (leaf->key == SEARCH_MODSEQ) {
        find_modseq(run, leaf->number, out);
    } else if (leaf->key == SEARCH_ALL) {
        bitmap_or(out, run->universe);
    } else if ((uids = search_set_of(&run->sets, leaf)) != NULL) {
        bitmap_add_ranges(out, uids);
    }
    bitmap_and(out, run->universe);
}

static bool says_the_same(const struct search_node *a, const struct search_node *b)
{
    bool is_scanned =
        a->key == SEARCH_FLAG || a->key == SEARCH_KEYWORD || a->key == SEARCH_MODSEQ;
    return a == b || (is_scanned && a->key == b->key && a->flag == b->flag &&
                      a->number == b->number && slice_eq_nocase(a->text, b->text));
}

static const struct bitmap *kept_leaf(const struct search_run *run, const struct search_node *leaf)
{
    for (size_t i = 0; i < run->leaves_n; i++) {
        if (says_the_same(run->leaves[i].node, leaf)) {
            return run->leaves[i].uids;
        }
    }
    return NULL;
}

static void keep_leaf(struct search_run *run, const struct search_node *leaf,
                      const struct bitmap *uids)
{
    if (run->leaves_n == SEARCH_LEAVES_MAX) {
        run->has_lost_leaves = true;
        return;
    }
    if (run->leaves == NULL) {
        run->leaves = alloc_array(SEARCH_LEAVES_MAX, sizeof(*run->leaves));
    }
    run->leaves[run->leaves_n++] = (struct search_leaf){leaf, bitmap_copy(uids)};
}

/* False: enough.  Of a set that is there already every message costs much less, but costs: there is one
 * operation or more for each leaf. */
static bool may_look(struct search_run *run, const struct search_node *leaf, bool is_kept)
{
    enum { FASTER = 32 };
    const struct ranges *set = search_set_of(&run->sets, leaf);
    uint32_t all = mailbox_exists(feed_mailbox(run->session->feed));
    if (is_kept) {
        run->looks_n += all / FASTER;
    } else {
        run->looks_n += set != NULL ? all / FASTER + set->n : all;
    }
    return run->looks_n <= SEARCH_LOOKS_MAX;
}

enum status search__leaf(void *arg, const struct search_node *leaf, struct bitmap *out)
{
    struct search_run *run = arg;
    const struct bitmap *kept = kept_leaf(run, leaf);
    if (!may_look(run, leaf, kept != NULL)) {
        return LIMIT;
    }
    if (kept != NULL) {
        bitmap_or(out, kept);
        return OK;
    }
    evaluate(run, leaf, out);
    keep_leaf(run, leaf, out);
    return OK;
}

void search__forget_leaves(struct search_run *run)
{
    for (size_t i = 0; i < run->leaves_n; i++) {
        bitmap_destroy(&run->leaves[i].uids);
    }
    alloc_free(run->leaves);
    run->leaves = NULL;
    run->leaves_n = 0;
}

static void note_flags(void *arg, const struct search_node *leaf)
{
    bool *uses = arg;
    *uses = *uses || leaf->key == SEARCH_FLAG || leaf->key == SEARCH_KEYWORD ||
            leaf->key == SEARCH_NEW || leaf->key == SEARCH_MODSEQ;
}

bool search__uses_flags(const struct search_node *root)
{
    bool uses = false;
    search_visit(root, note_flags, &uses);
    return uses;
}
