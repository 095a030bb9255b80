#include "account/derive.h"

#include <stdio.h>

bool derive_is_item(enum section_kind section, uint64_t size)
{
    bool is_fields = section == SECTION_FIELDS || section == SECTION_FIELDS_NOT ||
                     section == SECTION_MIME;
    return size <= (is_fields ? DERIVE_FIELDS_MAX : DERIVE_ITEM_MAX);
}

struct slice derive_preview(struct slice item, int64_t now_s)
{
    uint64_t since;
    size_t n = slice_find(item, ' ');
    bool is_young = now_s > 0 && slice_u64(slice_sub(item, 0, n), &since) &&
                    (uint64_t)now_s >= since && (uint64_t)now_s - since < DERIVE_PREVIEW_S;
    return is_young ? slice_sub(item, n + 1, item.len) : (struct slice){NULL, 0};
}

void derive_check_begin(struct derive_check *check)
{
    derive_check_fini(check);
    check->tree = mimetree_create();
}

void derive_check_fini(struct derive_check *check)
{
    mimetree_destroy(&check->tree);
    *check = (struct derive_check){0};
}

void derive_check_feed(struct derive_check *check, struct slice piece)
{
    mime_octets_feed(&check->octets, piece);
    mimetree_feed(check->tree, piece);
}

bool derive_check_parts(const struct derive_check *check, struct buf *out)
{
    const struct mimeparts *parts =
        mime_octets_ok(&check->octets) ? mimetree_finish(check->tree) : NULL;
    if (parts != NULL) {
        mimeparts_pack(parts, out);
    }
    return parts != NULL;
}

struct slice derive_check_mark(const struct derive_check *check, struct slice prefix,
                               char out[DERIVE_MARK_MAX])
{
    size_t header_len = 0;
    if (!mime_octets_ok(&check->octets) || !mime_header_ok(prefix, &header_len)) {
        header_len = 0;
    }
    int n = snprintf(out, DERIVE_MARK_MAX, "%zu", header_len);
    return slice_of(out, (size_t)n);
}

size_t derive_mark_header(struct slice mark)
{
    uint32_t header_len;
    return slice_u32(mark, &header_len) ? header_len : 0;
}

/* Names between the parentheses of a kept key; false when it is no plain list. */
static bool key_fields(struct slice key, struct slice *names_out)
{
    struct slice head = SLICE("BODY[HEADER.FIELDS (");
    struct slice tail = SLICE(")]");
    if (key.len < head.len + tail.len || !slice_eq(slice_sub(key, 0, head.len), head) ||
        !slice_eq(slice_sub(key, key.len - tail.len, tail.len), tail)) {
        return false;
    }
    *names_out = slice_sub(key, head.len, key.len - head.len - tail.len);
    /* A quoted name may hold a space: rare enough to let it be. */
    return slice_find(*names_out, '"') == names_out->len;
}

bool derive_is_superset(struct slice key, const struct fetch_item *item)
{
    struct slice rest;
    if (!key_fields(key, &rest)) {
        return false;
    }
    size_t have = 0;
    /* Both lists are sorted, each name once. */
    while (have < item->fields_n && rest.len > 0) {
        size_t len = slice_find(rest, ' ');
        if (slice_eq(slice_sub(rest, 0, len), item->fields[have])) {
            have++;
        }
        rest = slice_sub(rest, len + 1, rest.len);
    }
    return item->fields_n > 0 && have == item->fields_n;
}
