#include "imap/respdata.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "imap/args.h"

#include "grow_p.h"

static struct lexer lexer_of(const struct response *r)
{
    struct lexer lx;
    lexer_init(&lx, r->data, LEXER_LENIENT);
    while (lexer_take(&lx, ' ')) {
    }
    return lx;
}

/* --- LIST, STATUS -------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    unsigned attr;
} list_attrs[] = {
    {"\\Noselect", LIST_ATTR_NOSELECT},       {"\\NoInferiors", LIST_ATTR_NOINFERIORS},
    {"\\Marked", LIST_ATTR_MARKED},           {"\\Unmarked", LIST_ATTR_UNMARKED},
    {"\\HasChildren", LIST_ATTR_HASCHILDREN}, {"\\HasNoChildren", LIST_ATTR_HASNOCHILDREN},
    {"\\NonExistent", LIST_ATTR_NONEXISTENT}, {"\\Subscribed", LIST_ATTR_SUBSCRIBED},
    {"\\Remote", LIST_ATTR_REMOTE},
};

static unsigned find_attr(struct slice name)
{
    for (size_t i = 0; i < sizeof(list_attrs) / sizeof(list_attrs[0]); i++) {
        if (slice_eq_nocase(name, slice_str(list_attrs[i].name))) {
            return list_attrs[i].attr;
        }
    }
    return 0;
}

static void take_attrs(struct lexer *lx, struct respdata_list *out)
{
    struct slice raw = lexer_value_raw(lx);
    if (raw.len < 2 || raw.data[0] != '(') {
        lexer_fail(lx, SYNTAX);
        return;
    }
    out->attrs_raw = slice_sub(raw, 1, raw.len - 2);
    struct slice rest = out->attrs_raw;
    struct slice word;
    while (respdata_word(&rest, &word)) {
        out->attrs |= find_attr(word);
    }
}

static void take_delimiter(struct lexer *lx, struct respdata_list *out)
{
    struct lexer_value value = lexer_value(lx);
    struct slice text = value.content;
    if (value.kind == VALUE_QUOTED && text.len > 1 && text.data[0] == '\\') {
        text = slice_sub(text, 1, text.len);
    }
    if (value.kind == VALUE_NIL || (value.kind == VALUE_QUOTED && text.len == 0)) {
        return;
    }
    if (text.len != 1 || value.kind == VALUE_LIST || text.data[0] < ' ' || text.data[0] == 127) {
        lexer_fail(lx, SYNTAX);
        return;
    }
    out->has_delimiter = true;
    out->delimiter = text.data[0];
}

/* Servers leave names unquoted that hold octets an atom has not: anything but a list will do. */
static struct slice take_mailbox(struct lexer *lx, struct arena *arena)
{
    struct lexer_value value = lexer_value(lx);
    struct slice name = value.kind == VALUE_NIL ? value.raw : value_text(&value, arena);
    if (lexer_ok(lx) && (value.kind == VALUE_LIST || value.kind == VALUE_STREAMED ||
                         slice_find(name, '\0') < name.len)) {
        lexer_fail(lx, SYNTAX);
    } else if (lexer_ok(lx) && name.data == NULL) {
        lexer_fail(lx, LIMIT);
    }
    return mailbox_canonical(name);
}

enum status respdata_list(const struct response *r, struct arena *arena, struct respdata_list *out)
{
    *out = (struct respdata_list){.attrs_raw = {"", 0}, .extended = {"", 0}};
    struct lexer lx = lexer_of(r);
    take_attrs(&lx, out);
    lexer_sp(&lx);
    take_delimiter(&lx, out);
    lexer_sp(&lx);
    out->mailbox = take_mailbox(&lx, arena);
    if (!lexer_at_end(&lx)) {
        lexer_sp(&lx);
        out->extended = lexer_value_raw(&lx);
    }
    lexer_end(&lx);
    return lexer_status(&lx);
}

enum status respdata_status(const struct response *r, struct arena *arena,
                            struct slice *mailbox_out, struct status_values *out)
{
    struct lexer lx = lexer_of(r);
    *mailbox_out = take_mailbox(&lx, arena);
    lexer_sp(&lx);
    enum status st = status_values_parse(&lx, out);
    lexer_end(&lx);
    return st != OK ? st : lexer_status(&lx);
}

/* --- numbers and sets ---------------------------------------------------------------------------
 */

/* Intervals in any order, sorted before they go into ranges: adding them one by one in descending
 * order would cost the square of what a hostile upstream sends. */
struct pile {
    struct range *at;
    size_t n;
    size_t cap;
    bool is_unsorted;
};

static void pile_add(struct pile *pile, struct range r)
{
    if (r.first > r.last) {
        r = (struct range){r.last, r.first};
    }
    if (pile->n == pile->cap) {
        pile->cap = pile->cap > 0 ? pile->cap * 2 : 16;
        pile->at = alloc_resize(pile->at, pile->cap, sizeof(*pile->at));
    }
    pile->is_unsorted = pile->is_unsorted || (pile->n > 0 && r.first < pile->at[pile->n - 1].first);
    pile->at[pile->n++] = r;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *left = a;
    const struct range *right = b;
    return (left->first > right->first) - (left->first < right->first);
}

/* Into @out, unless @st says that reading has failed; frees the pile. */
static enum status pile_end(struct pile *pile, enum status st, struct ranges *out)
{
    ranges_reset(out);
    if (pile->is_unsorted && st == OK) {
        qsort(pile->at, pile->n, sizeof(*pile->at), compare_ranges);
    }
    for (size_t i = 0; i < pile->n && st == OK; i++) {
        ranges_add(out, pile->at[i].first, pile->at[i].last);
    }
    alloc_free(pile->at);
    if (st != OK) {
        return st;
    }
    return ranges_ok(out) ? OK : LIMIT;
}

static bool parse_range(struct slice text, struct range *out)
{
    size_t colon = slice_find(text, ':');
    if (!slice_u32(slice_sub(text, 0, colon), &out->first) || out->first == 0) {
        return false;
    }
    out->last = out->first;
    return colon == text.len ||
           (slice_u32(slice_sub(text, colon + 1, text.len), &out->last) && out->last != 0);
}

static enum status parse_set(struct slice text, struct ranges *out)
{
    struct pile pile = {0};
    size_t from = 0;
    enum status st = OK;
    do {
        struct slice rest = slice_sub(text, from, text.len);
        size_t comma = slice_find(rest, ',');
        struct range r;
        if (parse_range(slice_sub(rest, 0, comma), &r)) {
            pile_add(&pile, r);
        } else {
            st = SYNTAX;
        }
        from += comma + 1;
    } while (st == OK && from <= text.len);
    return pile_end(&pile, st, out);
}

/* "(MODSEQ n)" at the end of SEARCH. */
static uint64_t take_modseq(struct lexer *lx)
{
    lexer_expect(lx, '(');
    if (!lexer_take_word(lx, "MODSEQ")) {
        lexer_fail(lx, SYNTAX);
    }
    lexer_sp(lx);
    uint64_t modseq = lexer_number64(lx);
    lexer_expect(lx, ')');
    return modseq;
}

/* The next number of SEARCH or SORT; false at the end, and at "(" which stays. */
static bool take_number(struct lexer *lx, uint32_t *out)
{
    while (lexer_take(lx, ' ')) {
    }
    if (lexer_at_end(lx) || lexer_peek(lx) == '(') {
        return false;
    }
    *out = lexer_number(lx);
    if (*out == 0 || (lexer_peek(lx) != ' ' && !lexer_at_end(lx))) {
        lexer_fail(lx, SYNTAX);
    }
    return lexer_ok(lx);
}

enum status respdata_search(const struct response *r, struct ranges *out, uint64_t *modseq_out)
{
    struct lexer lx = lexer_of(r);
    struct pile pile = {0};
    uint32_t number;
    *modseq_out = 0;
    while (take_number(&lx, &number)) {
        pile_add(&pile, (struct range){number, number});
    }
    if (lexer_peek(&lx) == '(') {
        *modseq_out = take_modseq(&lx);
    }
    lexer_end(&lx);
    return pile_end(&pile, lexer_status(&lx), out);
}

enum status respdata_numbers(const struct response *r, struct arena *arena, const uint32_t **at_out,
                             size_t *n_out)
{
    struct lexer lx = lexer_of(r);
    uint32_t *at = NULL;
    size_t cap = 0;
    size_t n = 0;
    uint32_t number;
    while (take_number(&lx, &number)) {
        at = grow__array(arena, at, n, &cap, sizeof(*at));
        if (at == NULL) {
            return LIMIT;
        }
        at[n++] = number;
    }
    if (lexer_peek(&lx) == '(') {
        (void)take_modseq(&lx);
    }
    lexer_end(&lx);
    *at_out = at;
    *n_out = n;
    return lexer_status(&lx);
}

static void take_correlator(struct lexer *lx, struct respdata_esearch *out)
{
    if (!lexer_take(lx, '(')) {
        return;
    }
    if (!lexer_take_word(lx, "TAG")) {
        lexer_fail(lx, SYNTAX);
    }
    lexer_sp(lx);
    out->tag = lexer_value(lx).content;
    lexer_expect(lx, ')');
    while (lexer_take(lx, ' ')) {
    }
}

struct slice respdata_esearch_tag(const struct response *r)
{
    struct respdata_esearch head = {.tag = {"", 0}};
    struct lexer lx = lexer_of(r);
    take_correlator(&lx, &head);
    return lexer_ok(&lx) ? head.tag : SLICE("");
}

static void take_result(struct lexer *lx, struct respdata_esearch *out, struct slice *all)
{
    struct slice name = lexer_atom(lx);
    lexer_sp(lx);
    if (slice_eq_nocase(name, SLICE("MIN"))) {
        out->has_min = true;
        out->min = lexer_number(lx);
    } else if (slice_eq_nocase(name, SLICE("MAX"))) {
        out->has_max = true;
        out->max = lexer_number(lx);
    } else if (slice_eq_nocase(name, SLICE("COUNT"))) {
        out->has_count = true;
        out->count = lexer_number64(lx);
    } else if (slice_eq_nocase(name, SLICE("MODSEQ"))) {
        out->has_modseq = true;
        out->modseq = lexer_number64(lx);
    } else if (slice_eq_nocase(name, SLICE("ALL"))) {
        out->has_all = true;
        *all = lexer_set_text(lx);
    } else {
        (void)lexer_value(lx);
    }
}

enum status respdata_esearch(const struct response *r, struct respdata_esearch *out,
                             struct ranges *all)
{
    *out = (struct respdata_esearch){.tag = {"", 0}};
    ranges_reset(all);
    struct lexer lx = lexer_of(r);
    struct slice set = {"", 0};
    take_correlator(&lx, out);
    out->is_uid = lexer_take_word(&lx, "UID");
    while (lexer_take(&lx, ' ')) {
    }
    while (lexer_ok(&lx) && !lexer_at_end(&lx)) {
        take_result(&lx, out, &set);
        while (lexer_take(&lx, ' ')) {
        }
    }
    TRY(lexer_status(&lx));
    return out->has_all ? parse_set(set, all) : OK;
}

bool respdata_esearch_is_whole(const struct respdata_esearch *answer)
{
    bool has_some = answer->has_min || answer->has_max || (answer->has_count && answer->count > 0);
    return answer->has_all || !has_some;
}

enum status respdata_vanished(const struct response *r, bool *is_earlier_out, struct ranges *out)
{
    struct lexer lx = lexer_of(r);
    *is_earlier_out = lexer_take(&lx, '(');
    if (*is_earlier_out) {
        if (!lexer_take_word(&lx, "EARLIER")) {
            lexer_fail(&lx, SYNTAX);
        }
        lexer_expect(&lx, ')');
        lexer_sp(&lx);
    }
    struct slice set = lexer_set_text(&lx);
    lexer_end(&lx);
    TRY(lexer_status(&lx));
    return parse_set(set, out);
}

/* --- words and codes ----------------------------------------------------------------------------
 */

bool respdata_word(struct slice *rest, struct slice *word_out)
{
    size_t from = 0;
    while (from < rest->len && rest->data[from] == ' ') {
        from++;
    }
    struct slice text = slice_sub(*rest, from, rest->len);
    *word_out = slice_sub(text, 0, slice_find(text, ' '));
    *rest = slice_sub(text, word_out->len, text.len);
    return word_out->len > 0;
}

static bool is_plain_set(struct slice text)
{
    size_t from = 0;
    do {
        struct slice rest = slice_sub(text, from, text.len);
        size_t comma = slice_find(rest, ',');
        struct range r;
        if (!parse_range(slice_sub(rest, 0, comma), &r)) {
            return false;
        }
        from += comma + 1;
    } while (from <= text.len);
    return true;
}

static enum status uid_code(const struct response *r, enum response_code code, size_t sets_n,
                            struct respdata_uidset *out)
{
    struct slice rest = r->code_args;
    struct slice word;
    *out = (struct respdata_uidset){.source = {"", 0}, .dest = {"", 0}};
    if (r->code != code) {
        return NOT_FOUND;
    }
    if (!respdata_word(&rest, &word) || !slice_u32(word, &out->uidvalidity)) {
        return SYNTAX;
    }
    if (sets_n == 2 && (!respdata_word(&rest, &out->source) || !is_plain_set(out->source))) {
        return SYNTAX;
    }
    if (!respdata_word(&rest, &out->dest) || !is_plain_set(out->dest) ||
        respdata_word(&rest, &word)) {
        return SYNTAX;
    }
    return OK;
}

enum status respdata_appenduid(const struct response *r, struct respdata_uidset *out)
{
    return uid_code(r, CODE_APPENDUID, 1, out);
}

enum status respdata_copyuid(const struct response *r, struct respdata_uidset *out)
{
    return uid_code(r, CODE_COPYUID, 2, out);
}

bool respdata_code_number(const struct response *r, uint64_t *value_out)
{
    struct slice rest = r->code_args;
    struct slice word;
    return respdata_word(&rest, &word) && slice_u64(word, value_out);
}

enum status respdata_modified(const struct response *r, struct ranges *out)
{
    ranges_reset(out);
    if (r->code != CODE_MODIFIED) {
        return NOT_FOUND;
    }
    return parse_set(r->code_args, out);
}
