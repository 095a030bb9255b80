/* Criteria of a client for the upstream: numbers become UIDs, \Recent becomes the UIDs it is on. */
#include "search_p.h"

struct prepare {
    struct session *session;
    struct job *job;
    struct search_sets *sets;
    enum status status;
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

static struct search_node *recent_leaf(struct prepare *prepare)
{
    struct search_node *node = new_node(prepare, SEARCH_UID);
    struct ranges *uids = node != NULL ? add_set(prepare, node) : NULL;
    if (uids != NULL) {
        ranges_add_all(uids, view_recent_uids(prepare->session->view));
        view_clip(prepare->session->view, uids);
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

static void prepare_node(struct prepare *prepare, struct search_node *node)
{
    if (prepare->status != OK) {
        return;
    }
    if (node->key == SEARCH_RECENT || node->key == SEARCH_NEW || node->key == SEARCH_OLD) {
        replace_recent(prepare, node);
        return;
    }
    if (node->key == SEARCH_SEQ || node->key == SEARCH_UID) {
        struct ranges *uids = add_set(prepare, node);
        if (uids != NULL) {
            prepare->status =
                set_resolve_criterion(prepare->session, &node->set, node->key == SEARCH_UID, uids);
            set_close_gaps(prepare->session, uids);
        }
        return;
    }
    for (struct search_node *child = node->child; child != NULL; child = child->next) {
        prepare_node(prepare, child);
    }
}

enum status search_prepare(struct session *session, struct job *job, struct search_sets *sets)
{
    struct prepare prepare = {.session = session, .job = job, .sets = sets, .status = OK};
    prepare_node(&prepare, job->parsed.args.search.root);
    return prepare.status;
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
