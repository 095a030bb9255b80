#include "list_names_p.h"

#include <stdlib.h>

#include "base/alloc.h"

static enum status parse(const struct list_name *name, struct arena *arena,
                         struct respdata_list *out)
{
    const struct response response = {.kind = name->kind, .data = unit_of(name->text)};
    if (name->kind == RESPONSE_LIST || name->kind == RESPONSE_LSUB) {
        return respdata_list(&response, arena, out);
    }
    struct lexer lx;
    *out = (struct respdata_list){.attrs_raw = {"", 0}};
    lexer_init(&lx, response.data, LEXER_LENIENT);
    struct lexer_value value = lexer_value(&lx);
    out->mailbox = mailbox_canonical(value_text(&value, arena));
    return lexer_status(&lx);
}

void list_names_add(struct list_names *names, struct arena *arena, const struct lists_line *line)
{
    struct list_name name = {.kind = line->kind, .text = arena_copy(arena, line->text)};
    if (name.text.data == NULL || parse(&name, arena, &name.parsed) != OK) {
        return;
    }
    if (names->n == names->cap) {
        names->cap = names->cap > 0 ? names->cap * 2 : 16;
        names->at = alloc_resize(names->at, names->cap, sizeof(*names->at));
    }
    names->at[names->n++] = name;
}

void list_names_fini(struct list_names *names)
{
    alloc_free(names->at);
    *names = (struct list_names){0};
}

static int by_name(const void *a, const void *b)
{
    const struct list_name *left = a, *right = b;
    return slice_cmp(left->parsed.mailbox, right->parsed.mailbox);
}

void list_names_sort(struct list_names *names)
{
    if (names->n > 1) {
        qsort(names->at, names->n, sizeof(*names->at), by_name);
    }
    names->is_sorted = true;
}

/* The first that is not before @mailbox. */
static size_t lower_bound(const struct list_names *names, struct slice mailbox)
{
    size_t low = 0, high = names->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(names->at[middle].parsed.mailbox, mailbox) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct list_name *list_names_find(const struct list_names *names, struct slice mailbox)
{
    size_t at = lower_bound(names, mailbox);
    return at < names->n && slice_eq(names->at[at].parsed.mailbox, mailbox) ? &names->at[at] : NULL;
}

bool list_names_has_children(const struct list_names *names, const struct list_name *name)
{
    struct buf prefix;
    if (!name->parsed.has_delimiter) {
        return false;
    }
    buf_init(&prefix, 0);
    buf_add(&prefix, name->parsed.mailbox);
    buf_add_char(&prefix, name->parsed.delimiter);
    struct slice start = buf_slice(&prefix);
    size_t at = lower_bound(names, start);
    bool some = at < names->n && names->at[at].parsed.mailbox.len > start.len &&
                slice_eq(slice_sub(names->at[at].parsed.mailbox, 0, start.len), start);
    buf_fini(&prefix);
    return some;
}

static int by_pointer(const void *a, const void *b)
{
    const struct list_name *left = *(struct list_name *const *)a;
    const struct list_name *right = *(struct list_name *const *)b;
    int order = slice_cmp(left->parsed.mailbox, right->parsed.mailbox);
    return order != 0 ? order : (left > right) - (left < right);
}

void list_names_drop_twins(struct list_names *names)
{
    struct list_name **order = alloc_array(names->n > 0 ? names->n : 1, sizeof(struct list_name *));
    for (size_t i = 0; i < names->n; i++) {
        order[i] = &names->at[i];
    }
    qsort(order, names->n, sizeof(struct list_name *), by_pointer);
    for (size_t i = 1; i < names->n; i++) {
        if (slice_eq(order[i]->parsed.mailbox, order[i - 1]->parsed.mailbox)) {
            order[i]->is_dropped = true;
        }
    }
    alloc_free(order);
}
