/* header: 'M' version uidvalidity uidnext uid_high synced_modseq base_modseq recent_floor exists
 *         n { len keyword }  len FLAGS  len PERMANENTFLAGS  len MAILBOXID
 * block:  'B' version n  s { bits k { keyword } }  n { gap set modseq }
 * Numbers are varints.  gap: UIDs left out since the message before (or the start of the block);
 * set: index into the s flag sets of this block; modseq: difference to the one before, zigzag. */
#include "model/pack.h"

#include "base/alloc.h"
#include "base/check.h"
#include "mailbox_p.h"

enum { HEADER_MAGIC = 'M', BLOCK_MAGIC = 'B', VARINT_MAX = 10 };

/* --- varints ---------------------------------------------------------------------------------- */

static void put(struct buf *out, uint64_t value)
{
    char bytes[VARINT_MAX];
    size_t n = 0;
    do {
        bytes[n++] = (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    buf_add(out, slice_of(bytes, n));
}

static void put_bytes(struct buf *out, struct slice bytes)
{
    put(out, bytes.len);
    buf_add(out, bytes);
}

static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (difference >> 63 != 0 ? UINT64_MAX : 0);
}

static uint64_t unzigzag(uint64_t value)
{
    return value >> 1 ^ ((value & 1) != 0 ? UINT64_MAX : 0);
}

/* Sticky: after a bad byte everything reads as 0. */
struct reader {
    struct slice rest;
    bool bad;
};

static uint64_t get(struct reader *in)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_MAX && i < in->rest.len; i++) {
        uint64_t byte = (unsigned char)in->rest.data[i];
        if (i == VARINT_MAX - 1 && byte > 1) {
            break;
        }
        value |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            in->rest = slice_sub(in->rest, i + 1, in->rest.len);
            return in->bad ? 0 : value;
        }
    }
    in->bad = true;
    return 0;
}

/* A number <= max. */
static uint32_t get_u32(struct reader *in, uint32_t max)
{
    uint64_t value = get(in);
    in->bad = in->bad || value > max;
    return in->bad ? 0 : (uint32_t)value;
}

static struct slice get_bytes(struct reader *in)
{
    uint64_t len = get(in);
    if (in->bad || len > in->rest.len) {
        in->bad = true;
        return (struct slice){0};
    }
    struct slice bytes = slice_sub(in->rest, 0, (size_t)len);
    in->rest = slice_sub(in->rest, (size_t)len, in->rest.len);
    return bytes;
}

/* --- what has to be written ------------------------------------------------------------------- */

bool mailbox_header_dirty(const struct mailbox *mailbox)
{
    return mailbox->header_dirty || flags_keyword_n(mailbox->flags) != mailbox->packed_keywords;
}

const struct ranges *mailbox_dirty_blocks(const struct mailbox *mailbox)
{
    return &mailbox->dirty;
}

void mailbox_mark_clean(struct mailbox *mailbox)
{
    ranges_reset(&mailbox->dirty);
    mailbox->header_dirty = false;
    mailbox->packed_keywords = (uint16_t)flags_keyword_n(mailbox->flags);
}

void mailbox_mark_dirty(struct mailbox *mailbox)
{
    const struct messages *m = &mailbox->messages;
    mailbox->header_dirty = true;
    for (uint32_t i = 0; i < m->n; i++) {
        for (uint32_t j = 0; j < m->chunk[i].n; j++) {
            uint32_t block = m->chunk[i].uid[j] / PACK_BLOCK_UIDS;
            if (mailbox->dirty.n == 0 ||
                mailbox->dirty.at[mailbox->dirty.n - 1].last != block) {
                ranges_add(&mailbox->dirty, block, block);
            }
        }
    }
}

/* --- header ----------------------------------------------------------------------------------- */

void mailbox_pack_header(const struct mailbox *mailbox, struct buf *out)
{
    buf_add_char(out, HEADER_MAGIC);
    buf_add_char(out, PACK_VERSION);
    put(out, mailbox->uidvalidity);
    put(out, mailbox->uidnext);
    put(out, mailbox->uid_high);
    put(out, mailbox->synced_modseq);
    put(out, mailbox->base_modseq);
    put(out, mailbox->recent_floor);
    put(out, mailbox->messages.count);
    size_t n = flags_keyword_n(mailbox->flags);
    put(out, n);
    for (size_t i = 0; i < n; i++) {
        put_bytes(out, flags_keyword_name(mailbox->flags, (uint16_t)i));
    }
    put_bytes(out, buf_slice(&mailbox->flag_list));
    put_bytes(out, buf_slice(&mailbox->permanent_flags));
    put_bytes(out, buf_slice(&mailbox->id));
}

static void get_start(struct reader *in, char magic)
{
    in->bad = in->rest.len < 2 || in->rest.data[0] != magic || in->rest.data[1] != PACK_VERSION;
    in->rest = slice_sub(in->rest, 2, in->rest.len);
}

static void get_keywords(struct reader *in, struct flags *flags)
{
    uint32_t n = get_u32(in, FLAGS_KEYWORDS_MAX);
    for (uint32_t i = 0; i < n && !in->bad; i++) {
        uint16_t id;
        enum status st = flags_keyword(flags, get_bytes(in), &id);
        in->bad = in->bad || st != OK || id != i;
    }
}

static enum status refuse(struct mailbox *mailbox)
{
    mailbox_reset(mailbox, 0);
    return CORRUPT;
}

enum status mailbox_unpack_header(struct mailbox *mailbox, struct slice bytes)
{
    CHECK(mailbox->views == NULL && mailbox->messages.count == 0);
    mailbox_reset(mailbox, 0);
    struct reader in = {.rest = bytes};
    get_start(&in, HEADER_MAGIC);
    mailbox->uidvalidity = get_u32(&in, UINT32_MAX);
    mailbox->uidnext = get_u32(&in, UINT32_MAX);
    mailbox->uid_high = get_u32(&in, UINT32_MAX);
    mailbox->synced_modseq = get(&in);
    mailbox->base_modseq = get(&in);
    mailbox->recent_floor = get_u32(&in, UINT32_MAX);
    mailbox->announced = get_u32(&in, UINT32_MAX);
    get_keywords(&in, mailbox->flags);
    struct slice flag_list = get_bytes(&in);
    struct slice permanent_flags = get_bytes(&in);
    struct slice id = get_bytes(&in);
    if (in.bad || in.rest.len > 0 || mailbox->uid_high >= mailbox->uidnext ||
        mailbox->synced_modseq > INT64_MAX || mailbox->base_modseq > INT64_MAX ||
        mailbox->recent_floor == 0 ||
        mailbox->announced > mailbox->uid_high ||
        mailbox_set_flag_lists(mailbox, flag_list, permanent_flags) != OK ||
        mailbox_set_id(mailbox, id) != OK) {
        return refuse(mailbox);
    }
    mailbox->seen_modseq = mailbox->synced_modseq;
    return OK;
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* The flag sets of one block, by order of first use. */
struct block_sets {
    uint32_t id[PACK_BLOCK_UIDS];
    uint32_t n;
};

static uint32_t set_index(struct block_sets *sets, uint32_t id)
{
    for (uint32_t i = 0; i < sets->n; i++) {
        if (sets->id[i] == id) {
            return i;
        }
    }
    sets->id[sets->n] = id;
    return sets->n++;
}

static void put_sets(const struct mailbox *mailbox, const struct block_sets *sets,
                     struct buf *out)
{
    put(out, sets->n);
    for (uint32_t i = 0; i < sets->n; i++) {
        size_t n;
        const uint16_t *keyword = flags_keywords_of(mailbox->flags, sets->id[i], &n);
        put(out, flags_bits(mailbox->flags, sets->id[i]));
        put(out, n);
        for (size_t k = 0; k < n; k++) {
            put(out, keyword[k]);
        }
    }
}

void mailbox_pack_block(const struct mailbox *mailbox, uint32_t block, struct buf *out)
{
    struct block_sets sets = {.n = 0};
    struct buf messages;
    buf_init(&messages, 0);
    uint32_t expected = block * PACK_BLOCK_UIDS; /* next UID if there were no gap */
    uint64_t modseq = 0;
    uint32_t n = 0;
    struct mailbox_iter iter;
    struct mailbox_entry entry;
    mailbox_iter_init(&iter, mailbox, expected);
    while (mailbox_iter_next(&iter, &entry) && entry.uid / PACK_BLOCK_UIDS == block) {
        put(&messages, entry.uid - expected);
        put(&messages, set_index(&sets, entry.flags));
        put(&messages, zigzag(entry.modseq - modseq));
        expected = entry.uid + 1;
        modseq = entry.modseq;
        n++;
    }
    if (n > 0) {
        buf_add_char(out, BLOCK_MAGIC);
        buf_add_char(out, PACK_VERSION);
        put(out, n);
        put_sets(mailbox, &sets, out);
        buf_add(out, buf_slice(&messages));
    }
    buf_fini(&messages);
}

static uint32_t get_set(struct reader *in, struct flags *flags)
{
    struct flag_list list = {.bits = (uint8_t)get_u32(in, FLAG_ALL_SYSTEM)};
    list.n = (uint16_t)get_u32(in, FLAGS_SET_MAX);
    uint32_t keyword_n = (uint32_t)flags_keyword_n(flags);
    for (uint16_t i = 0; i < list.n && !in->bad; i++) {
        in->bad = in->bad || keyword_n == 0;
        list.keyword[i] = (uint16_t)get_u32(in, keyword_n - 1);
    }
    uint32_t id = FLAGS_NONE;
    in->bad = in->bad || flags_intern(flags, &list, &id) != OK;
    return id;
}

enum status mailbox_unpack_block(struct mailbox *mailbox, uint32_t block, struct slice bytes)
{
    struct reader in = {.rest = bytes};
    get_start(&in, BLOCK_MAGIC);
    uint32_t n = get_u32(&in, PACK_BLOCK_UIDS);
    struct block_sets sets = {.n = get_u32(&in, n)};
    for (uint32_t i = 0; i < sets.n && !in.bad; i++) {
        sets.id[i] = get_set(&in, mailbox->flags);
    }
    if (in.bad || sets.n == 0 || block > UINT32_MAX / PACK_BLOCK_UIDS) {
        return refuse(mailbox);
    }
    uint64_t uid = (uint64_t)block * PACK_BLOCK_UIDS; /* 64 bits: gaps may lie */
    uint64_t modseq = 0;
    for (uint32_t i = 0; i < n; i++) {
        uid += get_u32(&in, PACK_BLOCK_UIDS);
        uint32_t set = get_u32(&in, sets.n - 1);
        modseq += unzigzag(get(&in));
        struct mailbox_entry entry = {(uint32_t)uid, sets.id[set], modseq};
        if (in.bad || uid / PACK_BLOCK_UIDS != block || uid > mailbox->uid_high ||
            uid <= mailbox_last_uid(mailbox) || modseq > INT64_MAX) {
            return refuse(mailbox);
        }
        mailbox__append(mailbox, &entry);
        uid++;
    }
    return in.rest.len == 0 ? OK : refuse(mailbox);
}

enum status mailbox_unpack_end(struct mailbox *mailbox)
{
    if (mailbox->messages.count != mailbox->announced) {
        return refuse(mailbox);
    }
    mailbox_mark_clean(mailbox);
    return OK;
}
