/* The octets of a want: inline, or a stream into the store (or, where that cannot take it, into a
 * spool); and what is kept of it for later sessions. */
#include <string.h>

#include "plan_p.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/record.h"

static bool is_message(const struct want *want)
{
    return want->kind == FETCH_SECTION && !want->has_part && slice_eq(want->name, SLICE("BODY[]"));
}

static void content_key(const struct want *want, bool is_literal8, struct buf *out)
{
    buf_init(out, 0);
    buf_add_str(out, is_literal8 ? "~" : "");
    buf_add(out, want->key);
}

static enum status create_content(struct plan *plan, const struct want *want, uint64_t size,
                                  bool is_literal8, struct content_writer **out)
{
    struct buf key;
    content_key(want, is_literal8, &key);
    enum status st = store_content_create(plan->env.store, plan->env.mailbox_id,
                                          want->message->uid, buf_slice(&key), size, out);
    buf_fini(&key);
    return st;
}

uint64_t want__received(const struct want *want)
{
    if (want->writer != NULL) {
        return store_content_received(want->writer);
    }
    return want->spool != NULL ? spool__received(want->spool) : 0;
}

void want__set_inline(struct want *want, struct slice token)
{
    alloc_free(want->octets);
    want->octets = alloc_zero(token.len + 1);
    if (token.len > 0) {
        memcpy(want->octets, token.data, token.len);
    }
    want->value.token = slice_of(want->octets, token.len);
    want->value.is_content = false;
}

enum status want__stream_begin(struct plan *plan, struct want *want, uint64_t size,
                               bool is_literal8)
{
    if (is_message(want)) {
        derive_check_begin(&want->check);
    }
    want->value.is_literal8 = is_literal8;
    enum status st = LIMIT;
    uint8_t losses_n = want->message->losses_n;
    if (want->is_spooled || losses_n > 0) {
        /* The store has had its chance: somebody waits for these octets for the second time. */
    } else if (plan->shuns_n > 0) {
        plan->shuns_n--;
    } else if (want->is_kept) {
        st = create_content(plan, want, size, is_literal8, &want->writer);
    }
    if (st == OK) {
        want->value.content = store_content_ref(want->writer);
        return OK;
    }
    st = losses_n > 1 ? spool__create(NULL, size, &want->spool) : LIMIT; /* the disk fails */
    if (st != OK) {
        TRY(spool__create(plan->env.spool_dir, size, &want->spool));
    }
    want->value.content = (struct content_ref){.size_bytes = size};
    return OK;
}

/* Where the message's next streams go, tells its losses_n; nobody asks for ever. */
static enum status note_loss(struct plan *plan, struct want *want, enum status why)
{
    uint8_t *losses_n = &want->message->losses_n;
    if (want->writer != NULL) {
        plan->shuns_n = PLAN_SHUN_STREAMS;
        *losses_n = *losses_n > 0 ? *losses_n : 1; /* several at once are one */
        want->value.is_lost = true;
        return why;
    }
    if (*losses_n < PLAN_STORE_LOSSES) {
        ++*losses_n;
    }
    want->value.is_lost = *losses_n < PLAN_STORE_LOSSES;
    return want->value.is_lost ? why : LIMIT;
}

enum status want__stream_append(struct plan *plan, struct want *want, struct slice bytes)
{
    if (is_message(want)) {
        derive_check_feed(&want->check, bytes);
    }
    if (want->writer == NULL && want->spool == NULL) {
        return CANCELED;
    }
    enum status st = want->writer != NULL ? store_content_append(want->writer, bytes)
                                          : spool__append(want->spool, bytes);
    return st == FULL || st == IO || st == CORRUPT ? note_loss(plan, want, st) : st;
}

bool want__is_sound(const struct want *want)
{
    /* The writer's failure is sticky. */
    return want->writer == NULL || store_content_append(want->writer, SLICE("")) == OK;
}

void want__stream_abort(struct want *want)
{
    store_content_abort(&want->writer);
    spool__destroy(&want->spool);
    derive_check_fini(&want->check);
}

enum status plan_read(struct plan *plan, const struct value *value, uint64_t offset, size_t max,
                      struct slice *out)
{
    const struct want *want =
        (const struct want *)((const char *)value - offsetof(struct want, value));
    if (value->state != VALUE_ARRIVING && value->state != VALUE_HERE) {
        return value->state == VALUE_WANTED ? AGAIN : NOT_FOUND;
    }
    if (want->spool != NULL) {
        return spool__read(want->spool, offset, max, &plan->read_buf, out);
    }
    if (value->is_content) {
        return store_content_read(plan->env.store, &value->content, offset, max, out);
    }
    if (offset >= value->token.len) {
        return END;
    }
    *out = slice_sub(value->token, (size_t)offset, max);
    return OK;
}

/* --- keeping ------------------------------------------------------------------------------------ */

static void put_item(struct plan *plan, const struct want *want, struct slice key,
                     struct slice value)
{
    enum status st = store_item_put(plan->env.store, plan->env.mailbox_id, want->message->uid,
                                    key, value);
    if (st != OK) {
        LOG(LOG_DEBUG, "plan", "msg=\"item not kept\" uid=%u key=%s why=%s", want->message->uid,
            LOG_Q(key), status_name(st));
    }
}

static char form_of(const struct want *want)
{
    if (want->value.is_nil) {
        return DERIVE_NIL;
    }
    if (want->value.is_literal8) {
        return DERIVE_OCTETS8;
    }
    bool is_block = want->section == SECTION_FIELDS && !want->has_part &&
                    mime_block_ok(want->value.token);
    return is_block ? DERIVE_BLOCK : DERIVE_OCTETS;
}

/* One octet that says what it is, then the octets. */
static void keep_as_item(struct plan *plan, const struct want *want)
{
    struct buf item;
    buf_init(&item, 0);
    buf_add_char(&item, form_of(want));
    buf_add(&item, want->value.token);
    put_item(plan, want, want->key, buf_slice(&item));
    buf_fini(&item);
}

static enum status keep_inline_as_content(struct plan *plan, const struct want *want)
{
    struct content_writer *writer;
    struct slice token = want->value.token;
    TRY(create_content(plan, want, token.len, want->value.is_literal8, &writer));
    enum status st = store_content_append(writer, token);
    if (st == OK) {
        st = store_content_commit(&writer);
    }
    store_content_abort(&writer);
    return st;
}

static enum status keep_octets(struct plan *plan, struct want *want)
{
    if (want->value.is_content) {
        /* A spooled one is not kept; after a refused commit the staged octets stay readable as long
         * as somebody holds the want. */
        return want->writer != NULL ? store_content_commit(&want->writer) : LIMIT;
    }
    if (want->value.is_nil || derive_is_item(want->section, want->value.token.len)) {
        keep_as_item(plan, want);
        return OK;
    }
    return keep_inline_as_content(plan, want);
}

/* Beside a well-formed BODY[]: where its parts lie. */
static void keep_parts(struct plan *plan, const struct want *want)
{
    struct buf parts;
    buf_init(&parts, STORE_ITEM_MAX);
    if (derive_check_parts(&want->check, &parts) && buf_ok(&parts)) {
        put_item(plan, want, DERIVE_PARTS_KEY, buf_slice(&parts));
    }
    buf_fini(&parts);
}

/* Beside a BODY[]: what may be derived from it.  A stream was looked at as it came. */
static void keep_mark(struct plan *plan, struct want *want)
{
    char text[DERIVE_MARK_MAX];
    struct slice prefix = want->value.token;
    if (!want->value.is_content) {
        derive_check_begin(&want->check);
        derive_check_feed(&want->check, prefix);
    }
    store_read_begin(plan->env.store);
    enum status st = OK;
    if (want->value.is_content) {
        st = store_content_read(plan->env.store, &want->value.content, 0, MIME_HEADER_MAX, &prefix);
    }
    if (st == OK) {
        struct slice mark = derive_check_mark(&want->check, prefix, text);
        put_item(plan, want, DERIVE_MARK_KEY, mark);
        if (derive_mark_header(mark) > 0) {
            keep_parts(plan, want);
        }
    }
    store_read_end(plan->env.store);
    derive_check_fini(&want->check);
}

/* A message or a header without an octet is one the upstream could not read rather than one that is
 * empty: to ask for it again costs little, to believe it for ever costs the mail. */
static bool is_void(const struct want *want)
{
    uint64_t size = want->value.is_content ? want->value.content.size_bytes : want->value.token.len;
    bool is_whole = slice_eq(want->name, SLICE("BODY[]")) ||
                    slice_eq(want->name, SLICE("BODY[HEADER]"));
    return want->kind == FETCH_SECTION && !want->has_part && is_whole && size == 0;
}

/* For a while; "not yet" (NIL) is no preview. */
static void keep_preview(struct plan *plan, const struct want *want)
{
    struct buf item;
    if (slice_eq_nocase(want->value.token, SLICE("NIL"))) {
        return;
    }
    buf_init(&item, 0);
    buf_printf(&item, "%lld ", (long long)clock_wall_s());
    buf_add(&item, want->value.token);
    put_item(plan, want, want->key, buf_slice(&item));
    buf_fini(&item);
}

void want__keep(struct plan *plan, struct want *want)
{
    if (want->kind == FETCH_PREVIEW) {
        keep_preview(plan, want);
        return;
    }
    if (!want->is_kept || is_void(want)) {
        return;
    }
    if (!want->is_octets) {
        put_item(plan, want, want->key, want->value.token);
        if (plan->env.id_item != NULL && slice_eq(want->key, slice_str(plan->env.id_item))) {
            plan->env.met_id(plan->env.arg, want->message->uid, want->value.token);
        }
        return;
    }
    enum status st = keep_octets(plan, want);
    if (st != OK) {
        LOG(LOG_DEBUG, "plan", "msg=\"content not kept\" uid=%u key=%s why=%s",
            want->message->uid, LOG_Q(want->key), status_name(st));
    } else if (is_message(want) && !want->value.is_nil) {
        keep_mark(plan, want);
    }
}
