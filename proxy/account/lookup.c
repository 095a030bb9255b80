#include "account/lookup.h"

#include "account/derive.h"
#include "base/check.h"
#include "base/clock.h"
#include "imap/mimeparts.h"

/* A section is an item or a content; a literal8 one is content under another key. */
struct section_keys {
    struct record_key plain;
    struct record_key literal8;
};

struct lookup_item {
    const struct fetch_item *item;
    bool is_kept;
    bool is_octets;
    bool is_aging; /* kept for a while: PREVIEW */
    struct section_keys whole;
    struct section_keys part; /* item->has_partial: as it was asked */
    struct mime_fields fields;
    struct buf derived; /* for message number @derived_for of this lookup */
    uint64_t derived_for;
    /* Of the longer list that the last such value was found in: most likely the next message's too. */
    struct buf longer;
    struct record_key longer_key;
};

/* What sections are derived from. */
struct lookup_keys {
    struct section_keys body;
    struct section_keys header;
    struct record_key mark;
    struct record_key parts;
    struct record_key bodystructure;
    struct record_key structure; /* BODY, without extensions */
};

/* Parts of the present message. */
struct lookup_parts {
    bool is_known; /* looked at */
    bool is_usable;
    struct mimeparts tree;
};

/* --- the command's items ------------------------------------------------------------------------ */

static struct section_keys section_keys_of(struct slice key, struct arena *arena)
{
    struct section_keys keys = {.plain = record_key_of(key)};
    char *text = arena_alloc(arena, key.len + 1);
    if (text != NULL) {
        text[0] = '~';
        for (size_t i = 0; i < key.len; i++) {
            text[i + 1] = key.data[i];
        }
        keys.literal8 = record_key_of(slice_of(text, key.len + 1));
    }
    return keys;
}

static struct slice part_key(const struct fetch_item *item, struct arena *arena)
{
    struct buf text;
    buf_init(&text, 0);
    buf_add(&text, item->key);
    buf_printf(&text, "<%llu.%llu>", (unsigned long long)item->offset,
               (unsigned long long)item->count);
    struct slice key = arena_copy(arena, buf_slice(&text));
    buf_fini(&text);
    return key;
}

static bool is_list(const struct fetch_item *item)
{
    return item->kind == FETCH_SECTION &&
           (item->section == SECTION_FIELDS || item->section == SECTION_FIELDS_NOT);
}

static enum status prepare(struct lookup_item *to, const struct fetch_item *item,
                           struct arena *arena)
{
    unsigned traits = fetch_kind_traits(item->kind);
    to->item = item;
    to->is_kept = (traits & FETCH_IS_IMMUTABLE) != 0;
    to->is_octets = (traits & FETCH_IS_CONTENT) != 0;
    to->is_aging = item->kind == FETCH_PREVIEW;
    to->whole = section_keys_of(item->key, arena);
    buf_init(&to->derived, 0);
    buf_init(&to->longer, 0);
    if (item->has_partial) {
        to->part = section_keys_of(part_key(item, arena), arena);
    }
    if (is_list(item)) {
        TRY(mime_fields_init(&to->fields, arena, item->fields, item->fields_n));
    }
    return arena->failed ? LIMIT : OK;
}

enum status lookup_init(struct lookup *lookup, struct store *store, uint64_t mailbox_id,
                        const struct fetch_items *items, struct arena *arena, struct stats *stats)
{
    *lookup = (struct lookup){.store = store, .mailbox_id = mailbox_id, .stats = stats};
    buf_init(&lookup->header, MIME_HEADER_MAX);
    lookup->items = arena_array(arena, items->n, sizeof(*lookup->items));
    lookup->keys = arena_alloc(arena, sizeof(*lookup->keys));
    if (lookup->items == NULL || lookup->keys == NULL) {
        return LIMIT;
    }
    for (size_t i = 0; i < items->n; i++) {
        TRY(prepare(&lookup->items[i], &items->at[i], arena));
        if (items->at[i].part.len > 0 && lookup->parts == NULL) {
            lookup->parts = arena_alloc(arena, sizeof(*lookup->parts));
        }
        lookup->items_n++;
    }
    lookup->keys->body = section_keys_of(SLICE("BODY[]"), arena);
    lookup->keys->header = section_keys_of(SLICE("BODY[HEADER]"), arena);
    lookup->keys->mark = record_key_of(DERIVE_MARK_KEY);
    lookup->keys->parts = record_key_of(DERIVE_PARTS_KEY);
    lookup->keys->bodystructure = record_key_of(SLICE("BODYSTRUCTURE"));
    lookup->keys->structure = record_key_of(SLICE("BODY"));
    return arena->failed ? LIMIT : OK;
}

void lookup_fini(struct lookup *lookup)
{
    DCHECK(!lookup->is_begun);
    for (size_t i = 0; i < lookup->items_n; i++) {
        buf_fini(&lookup->items[i].derived);
        buf_fini(&lookup->items[i].longer);
    }
    lookup->items_n = 0;
    buf_fini(&lookup->header);
}

void lookup_begin(struct lookup *lookup)
{
    store_walk_begin(lookup->store, lookup->mailbox_id, &lookup->walk);
    lookup->is_begun = true;
    lookup->has_record = false;
}

void lookup_end(struct lookup *lookup)
{
    if (!lookup->is_begun) {
        return;
    }
    store_walk_end(&lookup->walk);
    lookup->is_begun = false;
    lookup->has_record = false;
    if (lookup->stats != NULL && lookup->hits_n > 0) {
        stats_add(lookup->stats, STAT_fetch_hits, lookup->hits_n);
    }
    lookup->hits_n = 0;
}

void lookup_to(struct lookup *lookup, uint32_t uid)
{
    lookup->has_record = store_walk_to(&lookup->walk, uid, &lookup->record);
    lookup->messages_n++;
    if (lookup->parts != NULL) {
        lookup->parts->is_known = false;
    }
}

/* --- as the upstream said it -------------------------------------------------------------------- */

static bool find_content(struct lookup *lookup, const struct record_key *key,
                         struct lookup_value *out)
{
    /* Staged ones (AGAIN) are the plan's: their command may yet end badly. */
    if (!record_find_content(&lookup->record, key, &out->content) ||
        store_content_check(lookup->store, &out->content) != OK) {
        return false;
    }
    out->kind = LOOKUP_CONTENT;
    out->size = out->content.size_bytes;
    return true;
}

static bool find_section(struct lookup *lookup, const struct section_keys *keys,
                         struct lookup_value *out)
{
    struct slice value;
    *out = (struct lookup_value){.kind = LOOKUP_NONE};
    if (record_find(&lookup->record, &keys->plain, &value) && value.len > 0) {
        out->kind = LOOKUP_BYTES;
        out->is_nil = value.data[0] == DERIVE_NIL;
        out->is_literal8 = value.data[0] == DERIVE_OCTETS8;
        out->bytes = slice_sub(value, 1, value.len);
        out->size = out->bytes.len;
        return true;
    }
    if (find_content(lookup, &keys->plain, out)) {
        return true;
    }
    out->is_literal8 = find_content(lookup, &keys->literal8, out);
    return out->is_literal8;
}

/* --- derived ------------------------------------------------------------------------------------ */

/* @len octets of a value from @from on, in one piece; NULL data when they cannot be had. */
static struct slice read_block(struct lookup *lookup, const struct lookup_value *value, size_t len)
{
    struct slice piece = {NULL, 0};
    if (len > MIME_HEADER_MAX || lookup_read(lookup, value, 0, len, &piece) != OK) {
        return (struct slice){NULL, 0};
    }
    if (piece.len == len) {
        return piece;
    }
    buf_reset(&lookup->header);
    buf_add(&lookup->header, piece);
    while (lookup->header.len < len) {
        size_t have = lookup->header.len;
        if (lookup_read(lookup, value, have, len - have, &piece) != OK) {
            return (struct slice){NULL, 0};
        }
        buf_add(&lookup->header, piece);
    }
    return buf_ok(&lookup->header) ? buf_slice(&lookup->header) : (struct slice){NULL, 0};
}

/* A well-formed BODY[]; *header_len_out: where TEXT begins. */
static bool find_message(struct lookup *lookup, struct lookup_value *out, size_t *header_len_out)
{
    struct slice mark;
    if (!record_find(&lookup->record, &lookup->keys->mark, &mark)) {
        return false;
    }
    *header_len_out = derive_mark_header(mark);
    return *header_len_out > 0 && find_section(lookup, &lookup->keys->body, out) &&
           !out->is_nil && *header_len_out <= out->size;
}

static void cut(struct lookup_value *value, uint64_t from, uint64_t size)
{
    if (value->kind == LOOKUP_BYTES) {
        value->bytes = slice_sub(value->bytes, (size_t)from, (size_t)size);
    } else if (size == 0) {
        *value = (struct lookup_value){.kind = LOOKUP_BYTES, .bytes = SLICE("")};
    }
    value->offset += from;
    value->size = size;
}

/* HEADER or TEXT. */
static bool derive_half(struct lookup *lookup, bool is_header, struct lookup_value *out)
{
    size_t header_len;
    if (!find_message(lookup, out, &header_len)) {
        return false;
    }
    if (is_header) {
        cut(out, 0, header_len);
    } else {
        cut(out, header_len, out->size - header_len);
    }
    return true;
}

/* A header block that field lists may be taken from. */
static struct slice find_block(struct lookup *lookup)
{
    struct lookup_value value;
    size_t header_len;
    struct slice block = {NULL, 0};
    if (find_message(lookup, &value, &header_len)) {
        block = read_block(lookup, &value, header_len);
    }
    if (block.data == NULL && find_section(lookup, &lookup->keys->header, &value) &&
        !value.is_nil && value.size > 0 && value.size <= MIME_HEADER_MAX) {
        block = read_block(lookup, &value, (size_t)value.size);
        if (block.data != NULL && !mime_block_ok(block)) {
            block.data = NULL;
        }
    }
    return block;
}

static bool is_usable_list(struct slice value)
{
    return value.len > 1 && value.data[0] == DERIVE_BLOCK;
}

/* The answer to a longer list. */
static struct slice find_longer_list(struct lookup *lookup, struct lookup_item *of)
{
    const struct fetch_item *item = of->item;
    struct record_iter iter = {.has_begun = false};
    struct slice key, value;
    if (item->section != SECTION_FIELDS || item->part.len > 0) {
        return (struct slice){NULL, 0};
    }
    if (of->longer.len > 0 && record_find(&lookup->record, &of->longer_key, &value) &&
        is_usable_list(value)) {
        return slice_sub(value, 1, value.len);
    }
    while (record_next(&lookup->record, &iter, &key, &value)) {
        if (derive_is_superset(key, item) && is_usable_list(value)) {
            buf_reset(&of->longer);
            buf_add(&of->longer, key);
            of->longer_key = record_key_of(buf_slice(&of->longer));
            return slice_sub(value, 1, value.len);
        }
    }
    return (struct slice){NULL, 0};
}

/* The list of @of out of a header block; NULL data: there is none. */
static bool extract_fields(struct lookup_item *of, struct slice block, struct lookup_value *out)
{
    if (block.data == NULL) {
        return false;
    }
    of->derived_for = 0;
    buf_reset(&of->derived);
    mime_fields_extract(&of->fields, of->item->section == SECTION_FIELDS_NOT, block,
                        &of->derived);
    *out = (struct lookup_value){.kind = LOOKUP_BYTES, .bytes = buf_slice(&of->derived)};
    out->size = out->bytes.len;
    return true;
}

static bool derive_fields(struct lookup *lookup, struct lookup_item *of, struct lookup_value *out)
{
    if (of->derived_for == lookup->messages_n) { /* asked before for this message */
        *out = (struct lookup_value){.kind = LOOKUP_BYTES, .bytes = buf_slice(&of->derived)};
        out->size = out->bytes.len;
        return true;
    }
    struct slice block = find_longer_list(lookup, of);
    if (block.data == NULL) {
        block = find_block(lookup);
    }
    bool is_there = extract_fields(of, block, out);
    of->derived_for = is_there ? lookup->messages_n : 0;
    return is_there;
}

/* The double rule of design 5.5: our reading of the octets and the upstream's own structure. */
static bool are_parts_usable(struct lookup *lookup, struct mimeparts *tree)
{
    struct slice packed, structure;
    return record_find(&lookup->record, &lookup->keys->parts, &packed) &&
           (record_find(&lookup->record, &lookup->keys->bodystructure, &structure) ||
            record_find(&lookup->record, &lookup->keys->structure, &structure)) &&
           mimeparts_unpack(packed, tree) == OK && mimeparts_agree(tree, structure);
}

static const struct mimeparts *find_parts(struct lookup *lookup)
{
    struct lookup_parts *parts = lookup->parts;
    if (!parts->is_known) {
        parts->is_known = true;
        parts->is_usable = are_parts_usable(lookup, &parts->tree);
    }
    return parts->is_usable ? &parts->tree : NULL;
}

static bool derive_part(struct lookup *lookup, struct lookup_item *of, struct lookup_value *out)
{
    const struct fetch_item *item = of->item;
    const struct mimeparts *parts = find_parts(lookup);
    uint64_t offset, size;
    size_t header_len;
    if (parts == NULL || !mimeparts_find(parts, item->part, item->section, &offset, &size) ||
        !find_message(lookup, out, &header_len) || out->size != parts->at[0].end) {
        return false;
    }
    cut(out, offset, size);
    if (!is_list(item)) {
        return true;
    }
    struct slice block = size <= MIME_HEADER_MAX ? read_block(lookup, out, (size_t)size)
                                                 : (struct slice){NULL, 0};
    return extract_fields(of, block, out);
}

static bool derive(struct lookup *lookup, struct lookup_item *of, struct lookup_value *out)
{
    const struct fetch_item *item = of->item;
    if (item->kind != FETCH_SECTION) {
        return false;
    }
    if (item->part.len > 0) {
        return derive_part(lookup, of, out);
    }
    switch (item->section) {
    case SECTION_HEADER:
    case SECTION_TEXT:
        return derive_half(lookup, item->section == SECTION_HEADER, out);
    case SECTION_FIELDS:
    case SECTION_FIELDS_NOT:
        return derive_fields(lookup, of, out);
    case SECTION_WHOLE:
    case SECTION_MIME:
    case SECTION_PART:
        break;
    }
    return false;
}

/* --- questions ---------------------------------------------------------------------------------- */

static bool get_section(struct lookup *lookup, struct lookup_item *of, struct lookup_value *out)
{
    if (find_section(lookup, &of->whole, out)) {
        return true;
    }
    if (of->item->has_partial && find_section(lookup, &of->part, out)) {
        out->is_part = true;
        out->base = of->item->offset;
        return true;
    }
    return lookup->trust == LOOKUP_TRUSTS_ALL && derive(lookup, of, out);
}

static bool get_aging(struct lookup *lookup, struct lookup_item *of, struct lookup_value *out)
{
    struct slice kept;
    *out = (struct lookup_value){.kind = LOOKUP_TOKEN};
    if (!record_find(&lookup->record, &of->whole.plain, &kept)) {
        return false;
    }
    out->bytes = derive_preview(kept, clock_wall_s());
    out->size = out->bytes.len;
    return out->bytes.data != NULL;
}

bool lookup_get(struct lookup *lookup, size_t index, struct lookup_value *out)
{
    struct lookup_item *of = &lookup->items[index];
    bool found = false;
    if (of->is_octets && lookup->trust == LOOKUP_TRUSTS_ITEMS) {
        found = false;
    } else if (of->is_kept && lookup->has_record && of->is_octets) {
        found = get_section(lookup, of, out);
    } else if (of->is_kept && lookup->has_record) {
        *out = (struct lookup_value){.kind = LOOKUP_TOKEN};
        found = record_find(&lookup->record, &of->whole.plain, &out->bytes);
        out->size = out->bytes.len;
    } else if (of->is_aging && lookup->has_record) {
        found = get_aging(lookup, of, out);
    }
    if (!found) {
        *out = (struct lookup_value){.kind = LOOKUP_NONE};
    }
    lookup->hits_n += found;
    return found;
}

bool lookup_extract(struct lookup *lookup, size_t index, struct slice block,
                    struct lookup_value *out)
{
    return mime_block_ok(block) && extract_fields(&lookup->items[index], block, out);
}

enum status lookup_read(struct lookup *lookup, const struct lookup_value *value, uint64_t offset,
                        size_t max, struct slice *out)
{
    if (offset >= value->size) {
        return END;
    }
    if (value->kind != LOOKUP_CONTENT) {
        *out = slice_sub(value->bytes, (size_t)offset, max);
        return OK;
    }
    uint64_t left = value->size - offset;
    return store_content_read(lookup->store, &value->content, value->offset + offset,
                              left < max ? (size_t)left : max, out);
}
