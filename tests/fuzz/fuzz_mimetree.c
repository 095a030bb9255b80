/* Part trees: cutting a message anywhere does not change its tree; parts lie within each other and
 * do not overlap; what was kept is taken up again; the structure written from a tree agrees with it,
 * one with other octets does not; every section lies within the message.
 * First octet: where to cut; then the message.  It is also read as a structure and as a kept tree. */
#include "fuzz.h"
#include "imap/mimetree.h"

static const struct mimeparts *scan(struct mimetree **tree, struct slice text, size_t cut)
{
    *tree = mimetree_create();
    mimetree_feed(*tree, slice_sub(text, 0, cut));
    mimetree_feed(*tree, slice_sub(text, cut, text.len));
    return mimetree_finish(*tree);
}

static void write_type(const struct mimepart *part, struct buf *out)
{
    size_t slash = slice_find(part->type, '/');
    buf_printf(out, "\"" SLICE_FMT "\" \"" SLICE_FMT "\"", SLICE_ARG(slice_sub(part->type, 0, slash)),
               SLICE_ARG(slice_sub(part->type, slash + 1, part->type.len)));
}

/* Writes part @at and what is in it; gives the index behind it. */
static size_t write_part(const struct mimeparts *parts, size_t at, uint64_t more, struct buf *out)
{
    const struct mimepart *part = &parts->at[at++];
    buf_add_char(out, '(');
    if (part->kind == MIMEPART_MULTIPART) {
        for (uint32_t i = 0; i < part->children_n; i++) {
            at = write_part(parts, at, more, out);
        }
        size_t slash = slice_find(part->type, '/');
        buf_printf(out, " \"" SLICE_FMT "\"",
                   SLICE_ARG(slice_sub(part->type, slash + 1, part->type.len)));
    } else {
        write_type(part, out);
        buf_printf(out, " NIL NIL NIL \"7BIT\" %llu",
                   (unsigned long long)(part->end - part->body + more));
    }
    if (part->kind == MIMEPART_MESSAGE) {
        buf_add_str(out, " (NIL) ");
        at = write_part(parts, at, more, out);
        buf_add_str(out, " 7");
    } else if (slice_starts_nocase(part->type, SLICE("text/"))) {
        buf_printf(out, " %llu", (unsigned long long)part->lines);
    }
    buf_add_str(out, " NIL)");
    return at;
}

static void check_structure(const struct mimeparts *parts)
{
    struct buf text;
    buf_init(&text, 0);
    MUST(write_part(parts, 0, 0, &text) == parts->n);
    MUST(mimeparts_agree(parts, buf_slice(&text)));
    buf_reset(&text);
    (void)write_part(parts, 0, 1, &text);
    MUST(!mimeparts_agree(parts, buf_slice(&text)));
    buf_fini(&text);
}

static void check_kept(const struct mimeparts *parts)
{
    struct mimeparts again;
    struct buf one, two;
    buf_init(&one, 0);
    buf_init(&two, 0);
    mimeparts_pack(parts, &one);
    MUST(mimeparts_unpack(buf_slice(&one), &again) == OK);
    mimeparts_pack(&again, &two);
    MUST(slice_eq(buf_slice(&one), buf_slice(&two)));
    buf_fini(&one);
    buf_fini(&two);
}

static void check_places(const struct mimeparts *parts, uint64_t size)
{
    MUST(parts->n > 0 && parts->at[0].head == 0 && parts->at[0].end == size);
    for (size_t i = 0; i < parts->n; i++) {
        const struct mimepart *part = &parts->at[i];
        MUST(part->head < part->body && part->body <= part->end && part->end <= size);
        MUST(i == 0 || part->head > parts->at[i - 1].head);
        bool is_within = i > 0 && part->head < parts->at[i - 1].end;
        MUST(i == 0 || (is_within ? part->end <= parts->at[i - 1].end
                                  : part->head > parts->at[i - 1].end));
    }
}

static void check_sections(const struct mimeparts *parts, struct slice numbers, uint64_t size)
{
    for (int section = SECTION_HEADER; section <= SECTION_PART; section++) {
        uint64_t offset, n;
        if (mimeparts_find(parts, numbers, (enum section_kind)section, &offset, &n)) {
            MUST(n > 0 && offset <= size && n <= size - offset);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const numbers[] = {"1", "2", "1.1", "1.2", "2.1", "1.1.1", "1.2.1", "3"};
    if (size < 1) {
        return 0;
    }
    struct slice text = slice_of(data + 1, size - 1);
    struct mimetree *whole, *cut;
    struct mimeparts any;
    const struct mimeparts *parts = scan(&whole, text, 0);
    const struct mimeparts *same = scan(&cut, text, data[0] < text.len ? data[0] : text.len);
    MUST((parts == NULL) == (same == NULL));
    if (parts != NULL) {
        check_places(parts, text.len);
        check_structure(parts);
        check_kept(parts);
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            check_sections(parts, slice_str(numbers[i]), text.len);
        }
        (void)mimeparts_agree(parts, text);
    }
    if (mimeparts_unpack(text, &any) == OK) {
        check_sections(&any, SLICE("1.1"), UINT64_MAX);
        (void)mimeparts_agree(&any, text);
    }
    mimetree_destroy(&whole);
    mimetree_destroy(&cut);
    return 0;
}
