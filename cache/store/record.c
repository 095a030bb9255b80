#include "store/record.h"

#include <string.h>
#include <xxhash.h>
#ifdef IMAPCACHED_XXH_DISPATCH
#include <xxh_x86dispatch.h>
#endif

#include "format_p.h"
#include "op_p.h"

/* Tags stand on disk: append only, never renumber (else raise ENV_SCHEMA). */
static const char *const well_known[] = {
    "",         "ENVELOPE",      "BODYSTRUCTURE", "BODY",       "INTERNALDATE", "RFC822.SIZE",
    "EMAILID",  "THREADID",      "SAVEDATE",      "X-GM-MSGID", "X-GM-THRID",   "PREVIEW",
    "OBJECTID", "BODY[]",        "BODY[HEADER]",  "BODY[TEXT]", "BODY[1]",      "BODY[2]",
    "RFC822",   "RFC822.HEADER", "RFC822.TEXT",
};
enum { WELL_KNOWN_N = sizeof(well_known) / sizeof(well_known[0]) };

uint64_t format_sum(uint64_t id, uint32_t number, struct slice bytes)
{
    uint64_t seed = (id ^ (uint64_t)number << 32) * 0x9E3779B97F4A7C15U + number;
    return XXH3_64bits_withSeed(bytes.data, bytes.len, seed);
}

void format_begin(void)
{
    static const char zeros[1024];
    (void)format_sum(0, 0, slice_of(zeros, sizeof(zeros)));
}

bool format_open(uint64_t id, uint32_t number, struct slice value, struct slice *rest_out)
{
    uint64_t sum;
    if (value.len < SUM_BYTES) {
        return false;
    }
    memcpy(&sum, value.data, sizeof(sum));
    *rest_out = slice_of(value.data + SUM_BYTES, value.len - SUM_BYTES);
    return sum == format_sum(id, number, *rest_out);
}

struct record_key record_key_of(struct slice text)
{
    for (uint32_t i = 1; i < WELL_KNOWN_N; i++) {
        if (slice_eq(text, slice_str(well_known[i]))) {
            return (struct record_key){.tag = i, .text = text};
        }
    }
    uint32_t hash = (uint32_t)XXH3_64bits(text.data, text.len);
    return (struct record_key){.tag = hash | 0x80000000U, .text = text};
}

static bool is_well_known(uint32_t tag)
{
    return tag <= KEY_WELL_KNOWN_MAX;
}

struct entry entry_of(enum entry_kind kind, const struct record_key *key, struct slice value)
{
    struct slice none = {NULL, 0};
    return (struct entry){.kind = (uint8_t)kind,
                          .tag = key->tag,
                          .text = is_well_known(key->tag) ? none : key->text,
                          .value = value};
}

size_t entry_bytes(const struct entry *entry)
{
    return ENTRY_HEAD_BYTES + entry->text.len + entry->value.len;
}

struct entry_head {
    uint32_t tag;
    uint32_t value_len;
    uint16_t text_len;
    uint8_t kind;
    uint8_t zero;
};
_Static_assert(sizeof(struct entry_head) == ENTRY_HEAD_BYTES, "on disk");

void entry_write(char *to, const struct entry *entry)
{
    struct entry_head head = {.tag = entry->tag,
                              .value_len = (uint32_t)entry->value.len,
                              .text_len = (uint16_t)entry->text.len,
                              .kind = entry->kind};
    memcpy(to, &head, sizeof(head));
    to += sizeof(head);
    if (entry->text.len > 0) {
        memcpy(to, entry->text.data, entry->text.len);
    }
    if (entry->value.len > 0) {
        memcpy(to + entry->text.len, entry->value.data, entry->value.len);
    }
}

bool entry_next(struct slice *rest, struct entry *out)
{
    struct entry_head head;
    if (rest->len < sizeof(head)) {
        return false;
    }
    memcpy(&head, rest->data, sizeof(head));
    const char *text = rest->data + sizeof(head);
    size_t left = rest->len - sizeof(head);
    if (head.text_len > left || head.value_len > left - head.text_len) {
        return false;
    }
    out->kind = head.kind;
    out->tag = head.tag;
    out->text = slice_of(text, head.text_len);
    out->value = slice_of(text + head.text_len, head.value_len);
    size_t used = sizeof(head) + head.text_len + head.value_len;
    *rest = slice_of(rest->data + used, rest->len - used);
    return true;
}

bool entry_is(const struct entry *entry, uint8_t kind, const struct record_key *key)
{
    return entry->tag == key->tag && entry->kind == kind &&
           (is_well_known(key->tag) || slice_eq(entry->text, key->text));
}

struct slice entry_key_text(const struct entry *entry)
{
    if (is_well_known(entry->tag)) {
        return entry->tag < WELL_KNOWN_N ? slice_str(well_known[entry->tag]) : SLICE("");
    }
    return entry->text;
}

void content_ref_write(char to[ENTRY_CONTENT_BYTES], const struct content_ref *ref)
{
    uint64_t words[2] = {ref->content_id, ref->size_bytes};
    memcpy(to, words, sizeof(words));
}

bool content_ref_read(struct slice value, struct content_ref *out)
{
    uint64_t words[2];
    if (value.len != sizeof(words)) {
        return false;
    }
    memcpy(words, value.data, sizeof(words));
    *out = (struct content_ref){.content_id = words[0], .size_bytes = words[1]};
    return true;
}

static const struct op_item *find_pending(const struct record *record, bool is_pointer,
                                          const struct record_key *key)
{
    for (const struct store_op *op = record->pending; op != NULL; op = op->older) {
        const struct op_item *item = (const struct op_item *)op;
        if (op_is_pointer(op->kind) == is_pointer && op->seq > record->floor && item->key.tag == key->tag &&
            (is_well_known(key->tag) || slice_eq(item->key.text, key->text))) {
            return item;
        }
    }
    return NULL;
}

static bool find_stored(const struct record *record, uint8_t kind, const struct record_key *key,
                        struct slice *value_out)
{
    struct slice rest = record->stored;
    struct entry entry;
    while (entry_next(&rest, &entry)) {
        if (entry_is(&entry, kind, key)) {
            *value_out = entry.value;
            return true;
        }
    }
    return false;
}

bool record_find(const struct record *record, const struct record_key *key, struct slice *value_out)
{
    const struct op_item *item = find_pending(record, false, key);
    if (item != NULL) {
        *value_out = item->value;
        return true;
    }
    return find_stored(record, ENTRY_ITEM, key, value_out);
}

bool record_find_content(const struct record *record, const struct record_key *section,
                         struct content_ref *out)
{
    const struct op_item *item = find_pending(record, true, section);
    if (item != NULL) {
        *out = item->content;
        return true;
    }
    struct slice value;
    return find_stored(record, ENTRY_CONTENT, section, &value) && content_ref_read(value, out);
}

static void iter_begin(const struct record *record, struct record_iter *iter)
{
    if (!iter->has_begun) {
        *iter = (struct record_iter){
            .rest = record->stored, .pending = record->pending, .has_begun = true};
    }
}

static const struct op_item *next_pending(const struct record *record, struct record_iter *iter,
                                          bool is_pointer)
{
    while (iter->pending != NULL) {
        const struct store_op *op = iter->pending;
        iter->pending = op->older;
        if (op_is_pointer(op->kind) == is_pointer && op->seq > record->floor) {
            return (const struct op_item *)op;
        }
    }
    return NULL;
}

bool record_next(const struct record *record, struct record_iter *iter, struct slice *key_out,
                 struct slice *value_out)
{
    iter_begin(record, iter);
    const struct op_item *item = next_pending(record, iter, false);
    if (item != NULL) {
        *key_out = item->key.text;
        *value_out = item->value;
        return true;
    }
    struct entry entry;
    while (entry_next(&iter->rest, &entry)) {
        if (entry.kind == ENTRY_ITEM) {
            *key_out = entry_key_text(&entry);
            *value_out = entry.value;
            return true;
        }
    }
    return false;
}

bool record_next_content(const struct record *record, struct record_iter *iter,
                         struct slice *section_out, struct content_ref *out)
{
    iter_begin(record, iter);
    const struct op_item *item = next_pending(record, iter, true);
    if (item != NULL) {
        *section_out = item->key.text;
        *out = item->content;
        return true;
    }
    struct entry entry;
    while (entry_next(&iter->rest, &entry)) {
        if (entry.kind == ENTRY_CONTENT && content_ref_read(entry.value, out)) {
            *section_out = entry_key_text(&entry);
            return true;
        }
    }
    return false;
}
