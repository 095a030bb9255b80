#include "fieldlists_p.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

void fieldlists__fini(struct fieldlists *lists)
{
    for (size_t i = 0; i < lists->n; i++) {
        alloc_free(lists->at[i]);
    }
    lists->n = 0;
}

static void drop_oldest(struct fieldlists *lists)
{
    alloc_free(lists->at[0]);
    lists->n--;
    memmove(lists->at, lists->at + 1, lists->n * sizeof(lists->at[0]));
}

/* --- the union ---------------------------------------------------------------------------------- */

static int name_order(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

struct names {
    size_t n;
    struct slice at[FIELDLISTS_MAX * FIELDLISTS_NAMES_MAX];
};

static void add_names(struct names *names, struct slice list)
{
    while (list.len > 0 && names->n < sizeof(names->at) / sizeof(names->at[0])) {
        size_t len = slice_find(list, ' ');
        names->at[names->n++] = slice_sub(list, 0, len);
        list = slice_sub(list, len + 1, list.len);
    }
}

/* Sorted, each once; gives their octets as text. */
static size_t unite(const struct fieldlists *lists, struct names *names)
{
    size_t kept = 0, bytes = 0;
    names->n = 0;
    for (size_t i = 0; i < lists->n; i++) {
        add_names(names, slice_str(lists->at[i]));
    }
    qsort(names->at, names->n, sizeof(names->at[0]), name_order);
    for (size_t i = 0; i < names->n; i++) {
        if (kept == 0 || !slice_eq(names->at[kept - 1], names->at[i])) {
            names->at[kept++] = names->at[i];
            bytes += names->at[i].len + 1;
        }
    }
    names->n = kept;
    return bytes;
}

static bool is_too_much(const struct fieldlists *lists)
{
    struct names names;
    size_t bytes = unite(lists, &names);
    return bytes > FIELDLISTS_BYTES_MAX || names.n > FIELDLISTS_NAMES_MAX;
}

/* --- lists -------------------------------------------------------------------------------------- */

/* "DATE FROM"; NULL: not one to be widened. */
static char *text_of(const struct fetch_item *item)
{
    struct buf text;
    buf_init(&text, FIELDLISTS_BYTES_MAX);
    bool is_plain = item->fields_n > 0 && item->fields_n <= FIELDLISTS_NAMES_MAX;
    for (size_t i = 0; is_plain && i < item->fields_n; i++) {
        is_plain = lexer_is_atom(item->fields[i]) &&
                   slice_find(item->fields[i], ';') == item->fields[i].len;
        buf_add_str(&text, i > 0 ? " " : "");
        buf_add(&text, item->fields[i]);
    }
    buf_add_char(&text, '\0');
    char *copy = is_plain && buf_ok(&text) ? alloc_string(text.data) : NULL;
    buf_fini(&text);
    return copy;
}

bool fieldlists__note(struct fieldlists *lists, const struct fetch_item *item, bool *is_new_out)
{
    char *text = text_of(item);
    *is_new_out = false;
    if (text == NULL) {
        return false;
    }
    for (size_t i = 0; i < lists->n; i++) {
        if (strcmp(lists->at[i], text) == 0) {
            alloc_free(text);
            text = lists->at[i];
            memmove(&lists->at[i], &lists->at[i + 1], (lists->n - i - 1) * sizeof(text));
            lists->at[lists->n - 1] = text;
            return true;
        }
    }
    if (lists->n == FIELDLISTS_MAX) {
        drop_oldest(lists);
    }
    lists->at[lists->n++] = text;
    while (lists->n > 1 && is_too_much(lists)) {
        drop_oldest(lists);
    }
    *is_new_out = true;
    return true;
}

/* A list that was never noted, or was pushed out since (by others, or by the rest of its own command), is
 * not in the union: taken out of that it would lack fields. */
static bool has_all(const struct names *names, const struct fetch_item *item)
{
    size_t have = 0;
    for (size_t i = 0; i < names->n && have < item->fields_n; i++) {
        have += slice_eq(names->at[i], item->fields[have]); /* both sorted, each once */
    }
    return have == item->fields_n;
}

bool fieldlists__widen(const struct fieldlists *lists, const struct fetch_item *item,
                       struct arena *arena, struct fetch_item *out)
{
    struct names names;
    struct buf text;
    (void)unite(lists, &names);
    if (names.n <= item->fields_n || !has_all(&names, item)) {
        return false;
    }
    buf_init(&text, 0);
    buf_add_str(&text, "BODY.PEEK[HEADER.FIELDS");
    for (size_t i = 0; i < names.n; i++) {
        buf_add_str(&text, i > 0 ? " " : " (");
        buf_add(&text, names.at[i]);
    }
    buf_add_str(&text, ")]");
    struct slice copy = arena_copy(arena, buf_slice(&text)); /* what is parsed is borrowed from */
    buf_fini(&text);
    return copy.data != NULL && fetch_item_parse(copy, arena, out) == OK;
}

/* --- kept --------------------------------------------------------------------------------------- */

void fieldlists__write(const struct fieldlists *lists, struct buf *out)
{
    for (size_t i = 0; i < lists->n; i++) {
        buf_add_str(out, i > 0 ? ";" : "");
        buf_add_str(out, lists->at[i]);
    }
}

void fieldlists__read(struct fieldlists *lists, struct slice text)
{
    while (text.len > 0 && lists->n < FIELDLISTS_MAX) {
        size_t len = slice_find(text, ';');
        struct slice list = slice_sub(text, 0, len);
        text = slice_sub(text, len + 1, text.len);
        if (list.len == 0 || list.len > FIELDLISTS_BYTES_MAX) {
            continue;
        }
        char *copy = alloc_zero(list.len + 1);
        memcpy(copy, list.data, list.len);
        lists->at[lists->n++] = copy;
    }
    while (lists->n > 0 && is_too_much(lists)) {
        drop_oldest(lists);
    }
}
