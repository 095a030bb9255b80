#include "searchorder_p.h"

#include "searchkey_p.h"

static struct slice word_of(const struct search_node *node)
{
    switch ((unsigned)node->key) {
    case SEARCH_AND:
        return SLICE("(");
    case SEARCH_OR:
        return SLICE("OR");
    case SEARCH_NOT:
        return SLICE("NOT");
    case SEARCH_FUZZY:
        return SLICE("FUZZY");
    case SEARCH_SEQ:
        return SLICE("");
    case SEARCH_UNKNOWN:
        return node->text;
    default:
        return slice_str(searchkey__row(node)->name);
    }
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_sets(const struct seqset *a, const struct seqset *b)
{
    int order = compare_numbers(a->is_saved, b->is_saved);
    for (size_t i = 0; i < a->n && i < b->n && order == 0; i++) {
        order = compare_numbers(a->parts[i].first, b->parts[i].first);
        order = order != 0 ? order : compare_numbers(a->parts[i].last, b->parts[i].last);
    }
    return order != 0 ? order : compare_numbers(a->n, b->n);
}

static int compare_tokens(const struct search_node *a, const struct search_node *b)
{
    int order = 0;
    for (size_t i = 0; i < a->tokens_n && i < b->tokens_n && order == 0; i++) {
        order = slice_cmp(a->tokens[i].text, b->tokens[i].text);
        order = order != 0 ? order
                           : compare_numbers(a->tokens[i].is_string, b->tokens[i].is_string);
    }
    return order != 0 ? order : compare_numbers(a->tokens_n, b->tokens_n);
}

int searchorder__compare_positive(const struct search_node *a, const struct search_node *b)
{
    int order = slice_cmp(word_of(a), word_of(b));
    order = order != 0 ? order : compare_numbers(a->key, b->key);
    order = order != 0 ? order : slice_cmp(a->field, b->field);
    order = order != 0 ? order : slice_cmp(a->text, b->text);
    order = order != 0 ? order : compare_numbers(a->number, b->number);
    order = order != 0 ? order : compare_sets(&a->set, &b->set);
    order = order != 0 ? order : compare_tokens(a, b);
    const struct search_node *left = a->child, *right = b->child;
    for (; order == 0 && left != NULL && right != NULL; left = left->next, right = right->next) {
        order = searchorder__compare(left, right);
    }
    return order != 0 ? order : compare_numbers(left != NULL, right != NULL);
}

const struct search_node *searchorder__positive(const struct search_node *node)
{
    return node->key == SEARCH_NOT ? node->child : node;
}

int searchorder__compare(const struct search_node *a, const struct search_node *b)
{
    int order = searchorder__compare_positive(searchorder__positive(a), searchorder__positive(b));
    return order != 0 ? order : compare_numbers(a->key == SEARCH_NOT, b->key == SEARCH_NOT);
}
