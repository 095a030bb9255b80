/* One FETCH line per message (protocol F1-F12): UID, FLAGS, then the items as they were asked. */
#include "fetch_p.h"

#include "account/shadow.h"
#include "imap/emit.h"

void fetch__flush(struct fetch_work *work)
{
    if (work->out.len > 0) {
        session_write(work->session, buf_slice(&work->out));
        work->written += work->out.len;
        buf_reset(&work->out);
    }
}

/* --- where a value is ----------------------------------------------------------------------------- */

enum where { WHERE_CACHED, WHERE_PENDING, WHERE_ARRIVING, WHERE_ABSENT, WHERE_WAIT, WHERE_FAILED };

struct found {
    enum where where;
    struct lookup_value cached;
    const struct value *value;
};

static enum where where_pending(struct fetch_work *work, const struct value *value)
{
    switch (value->state) {
    case VALUE_WANTED:
        return WHERE_WAIT;
    case VALUE_ARRIVING:
        return WHERE_ARRIVING;
    case VALUE_HERE:
        return WHERE_PENDING;
    case VALUE_KEPT: /* and gone again: asked anew below */
        return WHERE_WAIT;
    case VALUE_ABSENT:
        return WHERE_ABSENT;
    case VALUE_FAILED:
        work->failed = value->why;
        work->words = value->words != NULL ? arena_string(&work->job->arena, slice_str(value->words))
                                           : NULL;
        return WHERE_FAILED;
    }
    return WHERE_WAIT;
}

/* Lost by our store, or gone over to it (and gone again): asked anew, it comes. */
static bool is_to_be_asked_anew(const struct value *value)
{
    return value->state == VALUE_KEPT || (value->state == VALUE_FAILED && value->is_lost);
}

/* As it was asked on the pending.  False: it was not, or has to be looked for elsewhere. */
static bool find_pending(struct fetch_work *work, const struct fetch_item *item,
                         struct found *found)
{
    const struct value *value =
        work->pending != NULL ? pending_value(work->pending, item) : NULL;
    if (value == NULL || is_to_be_asked_anew(value)) {
        return false;
    }
    found->value = value;
    found->where = where_pending(work, value);
    return true;
}

/* A list of header fields out of the longer one that was asked for.  False: that was not asked, or the
 * list itself has to be (*is_narrow_out): it cannot be taken out of what came, or none was given. */
static bool find_in_longer(struct fetch_work *work, size_t i, struct found *found,
                           bool *is_narrow_out)
{
    const struct fetch_item *longer = work->asked[i];
    const struct value *value = work->pending != NULL && longer != NULL
                                    ? pending_value(work->pending, longer)
                                    : NULL;
    *is_narrow_out = false;
    if (value == NULL || longer == &work->job->parsed.args.fetch.items.at[i]) {
        return false;
    }
    if (value->state == VALUE_FAILED && (value->why == DENIED || value->why == PROTOCOL)) {
        plan_narrow(feed_plan(work->session->feed));
        *is_narrow_out = true;
        return false;
    }
    if (value->state == VALUE_ARRIVING || value->state == VALUE_HERE) {
        bool is_plain = value->state == VALUE_HERE && !value->is_content && !value->is_nil &&
                        !value->is_literal8 && work->lookup.trust == LOOKUP_TRUSTS_ALL;
        *is_narrow_out =
            !is_plain || !lookup_extract(&work->lookup, i, value->token, &found->cached);
        found->where = WHERE_CACHED;
        return !*is_narrow_out;
    }
    return find_pending(work, longer, found);
}

static void ask(struct fetch_work *work, const struct fetch_item *item)
{
    if (work->pending == NULL) {
        work->pending = plan_ask(feed_plan(work->session->feed), work->message.uid, item);
    } else {
        pending_add(work->pending, item);
    }
}

static struct found find(struct fetch_work *work, size_t i)
{
    const struct fetch_item *item = &work->job->parsed.args.fetch.items.at[i];
    struct found found = {.where = WHERE_CACHED};
    bool is_narrow;
    if (find_pending(work, item, &found) || find_in_longer(work, i, &found, &is_narrow) ||
        lookup_get(&work->lookup, i, &found.cached)) {
        return found;
    }
    if (work->message.is_vanished || work->is_only_cached) {
        found.where = work->message.is_vanished ? WHERE_ABSENT : WHERE_FAILED;
        return found;
    }
    if (!is_narrow) {
        ask(work, fetch__asked(work, i));
        /* Joined, it may be here already, and then nothing will say so again. */
        if (find_pending(work, item, &found) || find_in_longer(work, i, &found, &is_narrow)) {
            return found;
        }
    }
    ask(work, item);
    found.where = WHERE_WAIT; /* KEPT and gone again */
    (void)find_pending(work, item, &found);
    return found;
}

static bool is_model(const struct fetch_item *item)
{
    return (fetch_kind_traits(item->kind) & FETCH_IS_MODEL) != 0;
}

/* Is everything there that the line needs to be begun?  *absent_out: something will never be. */
static enum emit check_items(struct fetch_work *work, bool *absent_out)
{
    const struct fetch_items *items = &work->job->parsed.args.fetch.items;
    enum emit result = EMIT_DONE;
    *absent_out = false;
    for (size_t i = 0; i < items->n; i++) {
        if (is_model(&items->at[i])) {
            continue;
        }
        enum where where = find(work, i).where;
        if (where == WHERE_FAILED) {
            return EMIT_FAIL;
        }
        *absent_out = *absent_out || where == WHERE_ABSENT;
        result = where == WHERE_WAIT ? EMIT_WAIT : result;
    }
    return result;
}

/* --- items of the model ----------------------------------------------------------------------------- */

static void add_name(struct fetch_work *work, struct slice name)
{
    if (work->has_items) {
        buf_add_char(&work->out, ' ');
    }
    work->has_items = true;
    buf_add(&work->out, name);
    buf_add_char(&work->out, ' ');
}

static void add_flags(struct fetch_work *work)
{
    struct flags *table = mailbox_flags(feed_mailbox(work->session->feed));
    uint32_t id = work->message.flags;
    if (fetch__becomes_seen(work, work->message.uid) &&
        flags_apply(table, id, FLAG_OP_ADD, work->seen_id, &id) != OK) {
        id = work->message.flags;
    }
    struct slice text = flags_text(table, id);
    add_name(work, SLICE("FLAGS"));
    if (work->message.is_recent) {
        buf_add(&work->out, slice_sub(text, 0, text.len - 1));
        buf_add(&work->out, text.len > 2 ? SLICE(" \\Recent)") : SLICE("\\Recent)"));
    } else {
        buf_add(&work->out, text);
    }
}

static void add_modseq(struct fetch_work *work)
{
    add_name(work, SLICE("MODSEQ"));
    buf_add_char(&work->out, '(');
    buf_add_u64(&work->out, work->message.modseq);
    buf_add_char(&work->out, ')');
}

static bool asks(const struct fetch_work *work, enum fetch_kind kind)
{
    const struct fetch_items *items = &work->job->parsed.args.fetch.items;
    for (size_t i = 0; i < items->n; i++) {
        if (items->at[i].kind == kind) {
            return true;
        }
    }
    return false;
}

static void begin_line(struct fetch_work *work)
{
    struct buf *out = &work->out;
    const struct args_fetch *args = &work->job->parsed.args.fetch;
    bool tells_flags =
        asks(work, FETCH_FLAGS) || fetch__becomes_seen(work, work->message.uid);
    work->in_line = true;
    work->has_items = false;
    work->item_at = 0;
    buf_add(out, SLICE("* "));
    buf_add_u64(out, work->message.msn);
    buf_add(out, SLICE(" FETCH ("));
    if (command_is_uid(&work->job->parsed) || asks(work, FETCH_UID)) {
        add_name(work, SLICE("UID"));
        buf_add_u64(out, work->message.uid);
    }
    if (tells_flags && !work->message.is_vanished) {
        add_flags(work);
    }
    if (args->has_changedsince && !args->items.has_modseq) {
        add_modseq(work); /* RFC 7162 3.1.4.1: implied */
    }
}

/* --- octets ------------------------------------------------------------------------------------------ */

enum { RESUMES_MAX = PLAN_STORE_LOSSES + 1 };

/* Cut [offset, offset+count) out of a value of @size octets that begins at @base of its section. */
static void cut(const struct fetch_item *item, uint64_t base, uint64_t size, uint64_t *at,
                uint64_t *end)
{
    *at = 0;
    *end = size;
    if (!item->has_partial) {
        return;
    }
    *at = item->offset > base ? item->offset - base : 0;
    *at = *at < size ? *at : size;
    *end = item->count < size - *at ? *at + item->count : size;
}

static void add_literal_header(struct fetch_work *work, uint64_t n, bool is_literal8)
{
    struct buf *out = &work->out;
    buf_add(out, is_literal8 ? SLICE("~{") : SLICE("{"));
    buf_add_u64(out, n);
    buf_add(out, SLICE("}\r\n"));
}

static void add_octets(struct fetch_work *work, const struct fetch_item *item, struct slice bytes,
                       uint64_t base, bool is_literal8)
{
    uint64_t at, end;
    cut(item, base, bytes.len, &at, &end);
    fetch__note_size(work, end - at);
    add_literal_header(work, end - at, is_literal8);
    buf_add(&work->out, slice_sub(bytes, (size_t)at, (size_t)(end - at)));
}

static void open_literal(struct fetch_work *work, const struct fetch_item *item,
                         const struct found *found)
{
    struct literal *literal = &work->literal;
    bool is_cached = found->where == WHERE_CACHED;
    uint64_t size = is_cached ? found->cached.size : found->value->content.size_bytes;
    bool is_part = is_cached ? found->cached.is_part : found->value->is_part;
    uint64_t base = is_cached ? found->cached.base : found->value->base;
    *literal = (struct literal){.is_open = true,
                                .value = is_cached ? NULL : found->value,
                                .cached = found->cached,
                                .base = is_part ? base : 0,
                                .item = item};
    cut(item, literal->base, size, &literal->at, &literal->end);
    fetch__note_size(work, literal->end - literal->at);
    add_literal_header(work, literal->end - literal->at,
                       is_cached ? found->cached.is_literal8 : found->value->is_literal8);
}

/* Lost by our store: the octets are the same upstream.  What failed upstream (another message in its
 * place, a literal that did not fit) is not to be continued. */
static bool may_ask_rest(const struct literal *literal)
{
    const struct value *value = literal->value;
    return value == NULL || value->state != VALUE_FAILED || value->is_lost;
}

/* What was being written is not there any more: ask for the rest and go on in the same literal.  What was
 * lost a second time is not left to the store a third time. */
static enum emit ask_rest(struct fetch_work *work)
{
    struct literal *literal = &work->literal;
    struct plan *plan = feed_plan(work->session->feed);
    struct fetch_item item = *literal->item;
    struct pending *lost = work->rest;
    if (work->message.is_vanished || !may_ask_rest(literal) || literal->resumes_n == RESUMES_MAX ||
        shadow_was_wrong(work->session->feed, work->message.uid)) {
        return EMIT_ABORT;
    }
    item.has_partial = true;
    item.offset = literal->base + literal->at;
    item.count = literal->end - literal->at;
    work->rest = literal->resumes_n == 0 ? plan_ask(plan, work->message.uid, &item)
                                         : plan_ask_apart(plan, work->message.uid, &item);
    work->rest_item = item;
    literal->resumes_n++;
    literal->value = NULL;
    pending_release(plan, &lost); /* not before: the message is known to have been lost */
    return EMIT_ROOM; /* look at once: joined, it may be here already */
}

/* The value that carries the rest has come, or will. */
static enum emit take_rest(struct fetch_work *work)
{
    struct literal *literal = &work->literal;
    const struct value *value = pending_value(work->rest, &work->rest_item);
    if (value != NULL && is_to_be_asked_anew(value)) {
        return ask_rest(work);
    }
    if (value == NULL || value->state == VALUE_ABSENT || value->state == VALUE_FAILED) {
        return EMIT_ABORT; /* padding would be a lie */
    }
    if (value->state == VALUE_WANTED) {
        return EMIT_WAIT;
    }
    uint64_t base = value->is_part ? value->base : 0;
    uint64_t size = value->is_content ? value->content.size_bytes : value->token.len;
    uint64_t want = literal->base + literal->at;
    uint64_t left = literal->end - literal->at;
    if (want < base || want - base > size || size - (want - base) < left) {
        return EMIT_ABORT; /* not as many octets as were promised to the client */
    }
    literal->base = base;
    literal->at = want - base;
    literal->end = literal->at + left;
    literal->value = value;
    return EMIT_DONE;
}

static enum status read_piece(struct fetch_work *work, struct slice *piece)
{
    struct literal *literal = &work->literal;
    uint64_t left = literal->end - literal->at;
    size_t max = left < SESSION_OUT_BUDGET ? (size_t)left : SESSION_OUT_BUDGET;
    if (literal->value == NULL) {
        return lookup_read(&work->lookup, &literal->cached, literal->at, max, piece);
    }
    if (literal->value->state == VALUE_FAILED) {
        return NOT_FOUND;
    }
    if (!literal->value->is_content) {
        *piece = slice_sub(literal->value->token, (size_t)literal->at, max);
        return piece->len > 0 ? OK : NOT_FOUND;
    }
    return plan_read(feed_plan(work->session->feed), literal->value, literal->at, max, piece);
}

static enum emit write_literal(struct fetch_work *work)
{
    struct literal *literal = &work->literal;
    if (literal->resumes_n > 0 && literal->value == NULL) {
        enum emit result = take_rest(work);
        if (result != EMIT_DONE) {
            return result;
        }
    }
    while (literal->at < literal->end) {
        struct slice piece;
        fetch__read_literal(work);
        enum status st = read_piece(work, &piece);
        if (st == AGAIN) {
            fetch__flush(work);
            return EMIT_WAIT;
        }
        if (st != OK) {
            return ask_rest(work);
        }
        fetch__flush(work);
        session_write(work->session, piece);
        work->written += piece.len;
        literal->at += piece.len;
        if (!session_has_room(work->session) || work->written >= SESSION_OUT_BUDGET) {
            return literal->at < literal->end ? EMIT_ROOM : EMIT_DONE;
        }
    }
    return EMIT_DONE;
}

static void close_literal(struct fetch_work *work)
{
    work->literal = (struct literal){0};
    if (work->rest != NULL) {
        pending_release(feed_plan(work->session->feed), &work->rest);
    }
    work->item_at++;
}

/* --- the line ---------------------------------------------------------------------------------------- */

static void add_pending(struct fetch_work *work, const struct fetch_item *item,
                        const struct value *value)
{
    bool is_octets = (fetch_kind_traits(item->kind) & FETCH_IS_CONTENT) != 0;
    if (is_octets && !value->is_nil) {
        add_octets(work, item, value->token, value->is_part ? value->base : 0,
                   value->is_literal8);
    } else if (value->is_nil) {
        buf_add(&work->out, SLICE("NIL"));
    } else {
        buf_add(&work->out, value->token);
    }
}

static void add_cached(struct fetch_work *work, const struct fetch_item *item,
                       const struct lookup_value *cached)
{
    if (cached->kind == LOOKUP_TOKEN) {
        buf_add(&work->out, cached->bytes);
    } else if (cached->is_nil) {
        buf_add(&work->out, SLICE("NIL"));
    } else {
        add_octets(work, item, cached->bytes, cached->is_part ? cached->base : 0,
                   cached->is_literal8);
    }
}

static enum emit add_item(struct fetch_work *work, const struct fetch_item *item)
{
    struct found found = find(work, work->item_at);
    switch (found.where) {
    case WHERE_ABSENT:
        work->item_at++;
        return EMIT_DONE;
    case WHERE_WAIT:
        return EMIT_WAIT;
    case WHERE_FAILED: /* it was there when the line was begun */
        return EMIT_ABORT;
    case WHERE_CACHED:
        shadow_served(work->session->feed, work->message.uid, item, found.cached.size);
        add_name(work, item->label);
        if (found.cached.kind == LOOKUP_CONTENT) {
            open_literal(work, item, &found);
            return EMIT_DONE;
        }
        add_cached(work, item, &found.cached);
        break;
    case WHERE_PENDING:
    case WHERE_ARRIVING:
        add_name(work, item->label);
        if (found.value->is_content) {
            open_literal(work, item, &found);
            return EMIT_DONE;
        }
        add_pending(work, item, found.value);
        break;
    }
    work->item_at++;
    return EMIT_DONE;
}

static enum emit write_items(struct fetch_work *work)
{
    const struct fetch_items *items = &work->job->parsed.args.fetch.items;
    while (work->item_at < items->n) {
        const struct fetch_item *item = &items->at[work->item_at];
        enum emit result = EMIT_DONE;
        if (work->literal.is_open) {
            result = write_literal(work);
            if (result == EMIT_DONE) {
                close_literal(work);
            }
        } else if (item->kind == FETCH_MODSEQ) {
            add_modseq(work);
            work->item_at++;
        } else if (is_model(item)) {
            work->item_at++;
        } else {
            result = add_item(work, item);
        }
        if (result != EMIT_DONE) {
            return result;
        }
    }
    buf_add(&work->out, SLICE(")\r\n"));
    work->in_line = false;
    return EMIT_DONE;
}

/* The model may have moved on while values were awaited. */
static void look_again(struct fetch_work *work)
{
    struct mailbox_entry entry;
    struct mailbox *mailbox = feed_mailbox(work->session->feed);
    if (work->message_version == mailbox_version(mailbox)) {
        return;
    }
    work->message_version = mailbox_version(mailbox);
    if (mailbox_get(mailbox, work->message.uid, &entry)) {
        work->message.flags = entry.flags;
        work->message.modseq = entry.modseq;
    } else {
        work->message.is_vanished = true;
    }
}

enum emit fetch__emit(struct fetch_work *work)
{
    bool is_absent = false;
    if (!work->in_line) {
        enum emit result = work->wants_values ? check_items(work, &is_absent) : EMIT_DONE;
        if (result != EMIT_DONE) {
            return result;
        }
        look_again(work);
        /* T20: of a message that is gone, only what needs no model, and only whole. */
        if (work->message.is_vanished && (is_absent || work->needs_model || !work->wants_values)) {
            work->is_incomplete = true;
            return EMIT_DONE;
        }
        begin_line(work);
    }
    return write_items(work);
}
