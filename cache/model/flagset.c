/* Two tables in one: keyword names (by name without case) and flag sets (by contents).  Both are
 * arrays by id with an open-addressing index of ids beside them. */
#include "model/flagset.h"

#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/check.h"

enum { INDEX_FIRST_CAP = 16, EMPTY = 0 }; /* an index slot holds id + 1 */

struct keyword {
    char *name;
    uint32_t len;
    uint32_t hash;
};

struct set {
    char *text; /* NULL: the id is free */
    uint16_t *keyword;
    uint32_t text_len;
    uint32_t refs;
    uint32_t hash;
    uint16_t keyword_n;
    uint8_t bits;
};

struct index {
    uint32_t *slot;
    size_t cap; /* power of two */
    size_t used;
};

struct flags {
    struct keyword *keyword;
    size_t keyword_n;
    size_t keyword_cap;
    struct index by_name;
    struct set *set;
    uint32_t set_end;
    uint32_t set_cap;
    uint32_t free_hint; /* no free id below */
    struct index by_contents;
    size_t bytes; /* of all sets */
};

static const struct {
    const char *name;
    uint8_t bit;
} SYSTEM_FLAGS[] = {
    {"\\Answered", FLAG_ANSWERED}, {"\\Flagged", FLAG_FLAGGED}, {"\\Deleted", FLAG_DELETED},
    {"\\Seen", FLAG_SEEN},         {"\\Draft", FLAG_DRAFT},
};
enum { SYSTEM_N = sizeof(SYSTEM_FLAGS) / sizeof(SYSTEM_FLAGS[0]) };

/* --- index ------------------------------------------------------------------------------------ */

static void index_insert(struct index *index, uint32_t hash, uint32_t id)
{
    size_t at = hash & (index->cap - 1);
    while (index->slot[at] != EMPTY) {
        at = (at + 1) & (index->cap - 1);
    }
    index->slot[at] = id + 1;
    index->used++;
}

/* Empty, with room for @n. */
static void index_renew(struct index *index, size_t n)
{
    size_t cap = INDEX_FIRST_CAP;
    while (cap < n * 2) {
        cap *= 2;
    }
    alloc_free(index->slot);
    *index = (struct index){.slot = alloc_array(cap, sizeof(uint32_t)), .cap = cap};
}

static bool index_is_full(const struct index *index)
{
    return (index->used + 1) * 2 > index->cap;
}

/* --- keywords --------------------------------------------------------------------------------- */

uint8_t flag_bit_named(struct slice name)
{
    for (size_t i = 0; i < SYSTEM_N; i++) {
        if (slice_eq_nocase(name, slice_str(SYSTEM_FLAGS[i].name))) {
            return SYSTEM_FLAGS[i].bit;
        }
    }
    return 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static uint32_t name_hash(struct slice name)
{
    char folded[FLAGS_KEYWORD_LEN];
    size_t len = name.len < sizeof(folded) ? name.len : sizeof(folded);
    for (size_t i = 0; i < len; i++) {
        folded[i] = lower(name.data[i]);
    }
    return (uint32_t)XXH3_64bits(folded, len);
}

/* Only what would break the list it is written back into is refused: upstreams do use octets
 * that the grammar of an atom excludes, and a client that sees them directly sees them here. */
static bool name_is_writable(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c <= ' ' || c == 0x7f || c == '(' || c == ')' || c == '"') {
            return false;
        }
    }
    return name.len > 0;
}

static bool find_keyword(const struct flags *flags, struct slice name, uint32_t hash,
                         uint16_t *id_out)
{
    const struct index *index = &flags->by_name;
    for (size_t at = hash & (index->cap - 1); index->slot[at] != EMPTY;
         at = (at + 1) & (index->cap - 1)) {
        uint32_t id = index->slot[at] - 1;
        const struct keyword *k = &flags->keyword[id];
        if (k->hash == hash && slice_eq_nocase(slice_of(k->name, k->len), name)) {
            *id_out = (uint16_t)id;
            return true;
        }
    }
    return false;
}

bool flags_find_keyword(const struct flags *flags, struct slice name, uint16_t *id_out)
{
    return find_keyword(flags, name, name_hash(name), id_out);
}

static void index_keywords(struct flags *flags)
{
    index_renew(&flags->by_name, flags->keyword_n + 1);
    for (size_t i = 0; i < flags->keyword_n; i++) {
        index_insert(&flags->by_name, flags->keyword[i].hash, (uint32_t)i);
    }
}

static char *copy_bytes(const void *data, size_t len)
{
    char *copy = alloc_zero(len + 1);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

enum status flags_keyword(struct flags *flags, struct slice name, uint16_t *id_out)
{
    if (name.len > FLAGS_KEYWORD_LEN) {
        return LIMIT;
    }
    uint32_t hash = name_hash(name);
    if (find_keyword(flags, name, hash, id_out)) {
        return OK;
    }
    if (!name_is_writable(name)) {
        return SYNTAX;
    }
    if (flags->keyword_n == FLAGS_KEYWORDS_MAX) {
        return LIMIT;
    }
    if (flags->keyword_n == flags->keyword_cap) {
        flags->keyword_cap = flags->keyword_cap > 0 ? flags->keyword_cap * 2 : 8;
        flags->keyword = alloc_resize(flags->keyword, flags->keyword_cap,
                                      sizeof(*flags->keyword));
    }
    size_t id = flags->keyword_n++;
    flags->keyword[id] = (struct keyword){.name = copy_bytes(name.data, name.len),
                                          .len = (uint32_t)name.len,
                                          .hash = hash};
    if (index_is_full(&flags->by_name)) {
        index_keywords(flags);
    } else {
        index_insert(&flags->by_name, hash, (uint32_t)id);
    }
    *id_out = (uint16_t)id;
    return OK;
}

size_t flags_keyword_n(const struct flags *flags)
{
    return flags->keyword_n;
}

struct slice flags_keyword_name(const struct flags *flags, uint16_t id)
{
    CHECK(id < flags->keyword_n);
    return slice_of(flags->keyword[id].name, flags->keyword[id].len);
}

enum status flag_list_add(struct flag_list *list, struct flags *flags, struct slice flag)
{
    uint8_t bit = flag_bit_named(flag);
    if (bit != 0) {
        list->bits |= bit;
        return OK;
    }
    if (slice_eq_nocase(flag, SLICE("\\Recent"))) {
        return OK;
    }
    uint16_t id;
    TRY(flags_keyword(flags, flag, &id));
    for (size_t i = 0; i < list->n; i++) {
        if (list->keyword[i] == id) {
            return OK;
        }
    }
    if (list->n == FLAGS_SET_MAX) {
        return LIMIT;
    }
    list->keyword[list->n++] = id;
    return OK;
}

/* --- sets ------------------------------------------------------------------------------------- */

static uint32_t set_hash(const struct flag_list *list)
{
    return (uint32_t)XXH3_64bits_withSeed(list->keyword, list->n * sizeof(list->keyword[0]),
                                          list->bits);
}

static bool set_equals(const struct set *set, const struct flag_list *list)
{
    return set->bits == list->bits && set->keyword_n == list->n &&
           (list->n == 0 ||
            memcmp(set->keyword, list->keyword, list->n * sizeof(list->keyword[0])) == 0);
}

static void make_text(const struct flags *flags, const struct flag_list *list, struct buf *out)
{
    buf_add_char(out, '(');
    for (size_t i = 0; i < SYSTEM_N; i++) {
        if ((list->bits & SYSTEM_FLAGS[i].bit) != 0) {
            buf_add_str(out, out->len > 1 ? " " : "");
            buf_add_str(out, SYSTEM_FLAGS[i].name);
        }
    }
    for (size_t i = 0; i < list->n; i++) {
        buf_add_str(out, out->len > 1 ? " " : "");
        buf_add(out, flags_keyword_name(flags, list->keyword[i]));
    }
    buf_add_char(out, ')');
}

static size_t set_bytes(const struct set *set)
{
    return sizeof(*set) + set->text_len + set->keyword_n * sizeof(*set->keyword);
}

static uint32_t free_id(struct flags *flags)
{
    for (uint32_t id = flags->free_hint; id < flags->set_end; id++) {
        if (flags->set[id].text == NULL) {
            flags->free_hint = id + 1;
            return id;
        }
    }
    flags->free_hint = flags->set_end;
    if (flags->set_end == flags->set_cap) {
        flags->set_cap = flags->set_cap > 0 ? flags->set_cap * 2 : 8;
        flags->set = alloc_resize(flags->set, flags->set_cap, sizeof(*flags->set));
    }
    flags->free_hint++;
    return flags->set_end++;
}

static void index_sets(struct flags *flags)
{
    size_t n = 0;
    for (uint32_t id = 0; id < flags->set_end; id++) {
        n += flags->set[id].text != NULL;
    }
    index_renew(&flags->by_contents, n + 1);
    for (uint32_t id = 0; id < flags->set_end; id++) {
        if (flags->set[id].text != NULL) {
            index_insert(&flags->by_contents, flags->set[id].hash, id);
        }
    }
}

static enum status add_set(struct flags *flags, const struct flag_list *list, uint32_t hash,
                           uint32_t *id_out)
{
    struct buf text;
    buf_init(&text, 0);
    make_text(flags, list, &text);
    struct set set = {.text_len = (uint32_t)text.len,
                      .hash = hash,
                      .keyword_n = list->n,
                      .bits = list->bits};
    if (flags->bytes + set_bytes(&set) > FLAGS_BYTES_MAX) {
        buf_fini(&text);
        return LIMIT;
    }
    set.text = copy_bytes(text.data, text.len);
    buf_fini(&text);
    if (list->n > 0) {
        set.keyword = alloc_array(list->n, sizeof(*set.keyword));
        memcpy(set.keyword, list->keyword, list->n * sizeof(*set.keyword));
    }
    flags->bytes += set_bytes(&set);
    uint32_t id = free_id(flags);
    flags->set[id] = set;
    if (index_is_full(&flags->by_contents)) {
        index_sets(flags);
    } else {
        index_insert(&flags->by_contents, hash, id);
    }
    *id_out = id;
    return OK;
}

/* Ascending, each once: insertion sort, since lists are short and mostly sorted. */
static void normalise(struct flag_list *list)
{
    uint16_t n = 0;
    for (uint16_t i = 0; i < list->n; i++) {
        uint16_t id = list->keyword[i];
        uint16_t at = n;
        while (at > 0 && list->keyword[at - 1] > id) {
            at--;
        }
        if (at > 0 && list->keyword[at - 1] == id) {
            continue;
        }
        memmove(list->keyword + at + 1, list->keyword + at,
                (size_t)(n - at) * sizeof(list->keyword[0]));
        list->keyword[at] = id;
        n++;
    }
    list->n = n;
}

enum status flags_intern(struct flags *flags, const struct flag_list *given, uint32_t *id_out)
{
    CHECK(given->n <= FLAGS_SET_MAX);
    struct flag_list list;
    list.bits = given->bits & FLAG_ALL_SYSTEM;
    list.n = given->n;
    memcpy(list.keyword, given->keyword, given->n * sizeof(list.keyword[0]));
    normalise(&list);
    uint32_t hash = set_hash(&list);
    const struct index *index = &flags->by_contents;
    for (size_t at = hash & (index->cap - 1); index->slot[at] != EMPTY;
         at = (at + 1) & (index->cap - 1)) {
        uint32_t id = index->slot[at] - 1;
        if (flags->set[id].hash == hash && set_equals(&flags->set[id], &list)) {
            *id_out = id;
            return OK;
        }
    }
    return add_set(flags, &list, hash, id_out);
}

static const struct set *set_of(const struct flags *flags, uint32_t id)
{
    CHECK(id < flags->set_end && flags->set[id].text != NULL);
    return &flags->set[id];
}

static bool set_has(const struct set *set, uint16_t keyword)
{
    size_t low = 0;
    size_t high = set->keyword_n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (set->keyword[mid] < keyword) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < set->keyword_n && set->keyword[low] == keyword;
}

enum status flags_apply(struct flags *flags, uint32_t id, enum flag_op op, uint32_t operand,
                        uint32_t *id_out)
{
    const struct set *old = set_of(flags, id);
    const struct set *by = set_of(flags, operand);
    if (op == FLAG_OP_SET) {
        *id_out = operand;
        return OK;
    }
    struct flag_list list = {0};
    list.bits = op == FLAG_OP_ADD ? old->bits | by->bits : old->bits & (uint8_t)~by->bits;
    for (size_t i = 0; i < old->keyword_n; i++) {
        if (op == FLAG_OP_ADD || !set_has(by, old->keyword[i])) {
            list.keyword[list.n++] = old->keyword[i];
        }
    }
    for (size_t i = 0; op == FLAG_OP_ADD && i < by->keyword_n; i++) {
        if (set_has(old, by->keyword[i])) {
            continue;
        }
        if (list.n == FLAGS_SET_MAX) {
            return LIMIT;
        }
        list.keyword[list.n++] = by->keyword[i];
    }
    return flags_intern(flags, &list, id_out);
}

uint8_t flags_bits(const struct flags *flags, uint32_t id)
{
    return set_of(flags, id)->bits;
}

bool flags_has_keyword(const struct flags *flags, uint32_t id, uint16_t keyword)
{
    return set_has(set_of(flags, id), keyword);
}

struct slice flags_text(const struct flags *flags, uint32_t id)
{
    const struct set *set = set_of(flags, id);
    return slice_of(set->text, set->text_len);
}

const uint16_t *flags_keywords_of(const struct flags *flags, uint32_t id, size_t *n_out)
{
    const struct set *set = set_of(flags, id);
    *n_out = set->keyword_n;
    return set->keyword;
}

uint32_t flags_id_end(const struct flags *flags)
{
    return flags->set_end;
}

bool flags_is_live(const struct flags *flags, uint32_t id)
{
    return id < flags->set_end && flags->set[id].text != NULL;
}

void flags_ref(struct flags *flags, uint32_t id, uint32_t n)
{
    (void)set_of(flags, id);
    flags->set[id].refs += n;
}

void flags_unref(struct flags *flags, uint32_t id, uint32_t n)
{
    CHECK(set_of(flags, id)->refs >= n);
    flags->set[id].refs -= n;
}

static void free_set(struct flags *flags, uint32_t id)
{
    flags->bytes -= set_bytes(&flags->set[id]);
    alloc_free(flags->set[id].text);
    alloc_free(flags->set[id].keyword);
    flags->set[id] = (struct set){0};
}

void flags_sweep(struct flags *flags)
{
    for (uint32_t id = FLAGS_NONE + 1; id < flags->set_end; id++) {
        if (flags->set[id].text != NULL && flags->set[id].refs == 0) {
            free_set(flags, id);
        }
    }
    while (flags->set[flags->set_end - 1].text == NULL) {
        flags->set_end--;
    }
    flags->free_hint = 0;
    index_sets(flags);
}

struct flags *flags_create(void)
{
    struct flags *flags = alloc_zero(sizeof(*flags));
    index_renew(&flags->by_name, 1);
    index_renew(&flags->by_contents, 1);
    struct flag_list none = {0};
    uint32_t id;
    enum status st = flags_intern(flags, &none, &id);
    CHECK(st == OK && id == FLAGS_NONE);
    return flags;
}

void flags_destroy(struct flags **flags_ptr)
{
    struct flags *flags = *flags_ptr;
    if (flags == NULL) {
        return;
    }
    for (uint32_t id = 0; id < flags->set_end; id++) {
        if (flags->set[id].text != NULL) {
            free_set(flags, id);
        }
    }
    for (size_t i = 0; i < flags->keyword_n; i++) {
        alloc_free(flags->keyword[i].name);
    }
    alloc_free(flags->keyword);
    alloc_free(flags->set);
    alloc_free(flags->by_name.slot);
    alloc_free(flags->by_contents.slot);
    alloc_free(flags);
    *flags_ptr = NULL;
}
