/* Criteria of a client for the upstream: numbers become UIDs, \Recent becomes the UIDs it is on. */
#include "search_p.h"

struct prepare {
    struct session *session;
    struct job *job;
    struct search_sets *sets;
    enum status status;
    unsigned relayed; /* inside of a key whose argument only the upstream looks at (FUZZY) */
};

static struct ranges *add_set(struct prepare *prepare, const struct search_node *node)
{
    struct search_sets *sets = prepare->sets;
    if (sets->n == SEARCH_SETS_MAX) {
        prepare->status = LIMIT;
        return NULL;
    }
    sets->nodes[sets->n] = node;
    ranges_init(&sets->uids[sets->n], 0);
    return &sets->uids[sets->n++];
}

static struct search_node *new_node(struct prepare *prepare, enum search_key key)
{
    struct search_node *node = arena_alloc(&prepare->job->arena, sizeof(*node));
    if (node == NULL) {
        prepare->status = LIMIT;
        return NULL;
    }
    node->key = key;
    node->classes = SEARCH_IS_MUTABLE;
    return node;
}

/* Into the leaf itself, as it goes upstream: a set of none is "NOT ALL". */
static void write_out(struct prepare *prepare, struct search_node *node, const struct ranges *uids)
{
    struct seqset_part *parts;
    if (ranges_empty(uids)) {
        node->key = SEARCH_NOT;
        node->child = new_node(prepare, SEARCH_ALL);
        return;
    }
    parts = arena_alloc(&prepare->job->arena, uids->n * sizeof(*parts));
    if (parts == NULL) {
        prepare->status = LIMIT;
        return;
    }
    for (size_t i = 0; i < uids->n; i++) {
        parts[i] = (struct seqset_part){uids->at[i].first, uids->at[i].last};
    }
    node->key = SEARCH_UID;
    node->set = (struct seqset){.parts = parts,
                                .n = uids->n,
                                .is_sorted = true,
                                .highest = uids->at[uids->n - 1].last};
}

static struct search_node *recent_leaf(struct prepare *prepare)
{
    struct search_node *node = new_node(prepare, SEARCH_UID);
    struct ranges *uids = node != NULL ? add_set(prepare, node) : NULL;
    if (uids != NULL) {
        ranges_add_all(uids, view_recent_uids(prepare->session->view));
        view_clip(prepare->session->view, uids);
        if (prepare->relayed > 0) {
            write_out(prepare, node, uids);
        }
    }
    return node;
}

static void replace_recent(struct prepare *prepare, struct search_node *node)
{
    struct search_node *leaf = recent_leaf(prepare);
    struct search_node *seen = new_node(prepare, SEARCH_FLAG);
    struct search_node *unseen = new_node(prepare, SEARCH_NOT);
    if (leaf == NULL || seen == NULL || unseen == NULL) {
        return;
    }
    if (node->key == SEARCH_OLD) {
        node->key = SEARCH_NOT;
    } else if (node->key == SEARCH_NEW) {
        seen->flag = IMAP_FLAG_SEEN;
        unseen->child = seen;
        leaf->next = unseen;
        node->key = SEARCH_AND;
    } else {
        node->key = SEARCH_AND;
    }
    node->child = leaf;
}

static void prepare_set(struct prepare *prepare, struct search_node *node)
{
    struct ranges *uids = add_set(prepare, node);
    if (uids == NULL) {
        return;
    }
    prepare->status =
        set_resolve_criterion(prepare->session, &node->set, node->key == SEARCH_UID, uids);
    set_close_gaps(prepare->session, uids);
    if (prepare->status == OK && prepare->relayed > 0) {
        write_out(prepare, node, uids);
    }
}

static void prepare_node(struct prepare *prepare, struct search_node *node)
{
    bool is_relayed = node->key == SEARCH_FUZZY || node->key == SEARCH_UNKNOWN;
    if (prepare->status != OK) {
        return;
    }
    if (node->key == SEARCH_RECENT || node->key == SEARCH_NEW || node->key == SEARCH_OLD) {
        replace_recent(prepare, node);
        return;
    }
    if (node->key == SEARCH_SEQ || node->key == SEARCH_UID) {
        prepare_set(prepare, node);
        return;
    }
    prepare->relayed += is_relayed;
    for (struct search_node *child = node->child; child != NULL; child = child->next) {
        prepare_node(prepare, child);
    }
    prepare->relayed -= is_relayed;
}

enum status search_prepare(struct session *session, struct job *job, struct search_sets *sets)
{
    struct prepare prepare = {.session = session, .job = job, .sets = sets, .status = OK};
    prepare_node(&prepare, job->parsed.args.search.root);
    return prepare.status;
}

enum status search_bound(struct session *session, struct job *job, struct search_sets *sets,
                         uint32_t last)
{
    struct prepare prepare = {.session = session, .job = job, .sets = sets, .status = OK};
    struct search_node *root = job->parsed.args.search.root;
    struct search_node *both = new_node(&prepare, SEARCH_AND);
    struct search_node *leaf = new_node(&prepare, SEARCH_UID);
    struct ranges *uids = leaf != NULL ? add_set(&prepare, leaf) : NULL;
    if (both == NULL || uids == NULL) {
        return LIMIT;
    }
    ranges_add(uids, 1, last);
    both->classes |= root->classes;
    both->child = leaf;
    leaf->next = root;
    job->parsed.args.search.root = both;
    return OK;
}

void search_sets_fini(struct search_sets *sets)
{
    for (size_t i = 0; i < sets->n; i++) {
        ranges_fini(&sets->uids[i]);
    }
    sets->n = 0;
}

const struct ranges *search_set_of(const struct search_sets *sets, const struct search_node *leaf)
{
    for (size_t i = 0; i < sets->n; i++) {
        if (sets->nodes[i] == leaf) {
            return &sets->uids[i];
        }
    }
    return NULL;
}

static enum status resolve(void *arg, const struct search_node *leaf, struct ranges *out)
{
    const struct ranges *uids = search_set_of(arg, leaf);
    if (uids == NULL) {
        return PROTOCOL;
    }
    ranges_add_all(out, uids);
    return OK;
}

enum status search_write_criteria(const struct args_search *args, const struct search_sets *sets,
                                  bool is_search, struct outcmd *cmd)
{
    bool needs_charset = args->charset.len > 0 || (args->root->classes & SEARCH_USES_8BIT) != 0;
    struct slice charset = args->charset.len > 0 ? args->charset : SLICE("UTF-8");
    if (is_search && needs_charset) {
        outcmd_str(cmd, "CHARSET ");
    }
    if (!is_search || needs_charset) {
        outcmd_string(cmd, charset);
        outcmd_str(cmd, " ");
    }
    return search_write(args->root, resolve, (void *)(uintptr_t)sets, cmd);
}
