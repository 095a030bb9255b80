/* What comes while a command is in flight: responses and streamed literals.  A response is ours when
 * its UID is in the command's set and it carries an item that was asked. */
#include "plan_p.h"
#include "imap/respfetch.h"

/* --- whose is it? ------------------------------------------------------------------------------- */

static struct row *find_row(struct flight *flight, uint64_t uid)
{
    size_t low = 0, high = flight->rows_n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (flight->rows[middle].uid < uid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_there = low < flight->rows_n && flight->rows[low].uid == uid;
    return is_there ? &flight->rows[low] : NULL;
}

static bool has_plain_name(enum fetch_kind kind)
{
    return kind != FETCH_SECTION && kind != FETCH_BINARY && kind != FETCH_BINARY_SIZE &&
           kind != FETCH_OTHER;
}

static bool fits(const struct want *want, const struct fetch_name *name)
{
    bool is_part = want->has_part || want__is_resumed(want);
    return is_part == name->has_offset && (!is_part || name->offset == want__asked_offset(want));
}

/* The want of @row that an item of that name answers.  One that is being resumed is given also when
 * the offset does not fit: the caller refuses it. */
static struct want *find_want(struct flight *flight, const struct row *row, enum fetch_kind kind,
                              struct slice text)
{
    struct want *resumed = NULL;
    struct fetch_name name = {.kind = kind};
    bool is_plain = has_plain_name(kind);
    arena_reset(&flight->plan->scratch);
    if (!is_plain && fetch_name_parse(text, &flight->plan->scratch, &name) != OK) {
        return NULL;
    }
    for (size_t i = 0; i < flight->columns_n; i++) {
        struct want *want = row->wants[i];
        if (want->kind != name.kind || (!is_plain && !slice_eq(want->name, name.key))) {
            continue;
        }
        if (is_plain || fits(want, &name)) {
            return want;
        }
        resumed = want__is_resumed(want) ? want : resumed;
    }
    return resumed;
}

static bool resume_fits(struct flight *flight, const struct want *want, struct slice text,
                        uint64_t size)
{
    struct fetch_name name;
    arena_reset(&flight->plan->scratch);
    return fetch_name_parse(text, &flight->plan->scratch, &name) == OK && fits(want, &name) &&
           size == want->value.content.size_bytes - want__received(want);
}

/* Nothing has come for it in this flight yet. */
static bool is_open(const struct want *want)
{
    return !want->is_held &&
           (want->value.state == VALUE_WANTED || want->value.state == VALUE_ARRIVING);
}

/* --- values in the line ------------------------------------------------------------------------- */

static void resume_inline(struct flight *flight, struct want *want,
                          const struct respfetch_item *item, struct slice octets)
{
    enum status st = PROTOCOL;
    if (item->value.kind != VALUE_NIL && resume_fits(flight, want, item->name, octets.len)) {
        st = want__stream_append(flight->plan, want, octets);
    }
    if (st != OK) {
        plan__fail_want(flight->plan, want, st);
    } else {
        want->value.state = VALUE_HERE;
    }
}

/* A section's octets; false when that is no way to say them. */
static bool take_octets(const struct respfetch_item *item, struct arena *arena, struct slice *out)
{
    switch (item->value.kind) {
    case VALUE_NIL:
        *out = SLICE("");
        return true;
    case VALUE_QUOTED:
    case VALUE_LITERAL:
        *out = value_text(&item->value, arena);
        return !arena->failed;
    case VALUE_ATOM:
    case VALUE_STREAMED:
    case VALUE_LIST:
        break;
    }
    return false;
}

static void take_inline(struct flight *flight, struct want *want,
                        const struct respfetch_item *item, bool is_standin)
{
    struct slice token = item->value.raw;
    bool is_begun = want->value.state == VALUE_ARRIVING;
    if (!is_open(want) || item->value.kind == VALUE_STREAMED || (is_standin && is_begun)) {
        return;
    }
    arena_reset(&flight->plan->scratch);
    if (want->is_octets && !take_octets(item, &flight->plan->scratch, &token)) {
        return;
    }
    plan__moved(flight->plan);
    if (is_begun) {
        resume_inline(flight, want, item, token);
        return;
    }
    if (want->has_part && token.len > want->count) {
        return;
    }
    want->value.is_nil = item->value.kind == VALUE_NIL;
    want->value.is_literal8 = item->value.is_literal8;
    want->value.is_part = want->has_part;
    want->value.base = want->has_part ? want->offset : 0;
    want__set_inline(want, token);
    want->is_standin = is_standin;
    if (is_standin || respfetch_is_filler(item)) {
        want->is_held = true;
    } else {
        want->value.state = VALUE_HERE;
    }
}

/* --- streamed values ---------------------------------------------------------------------------- */

static void show_stream(struct flight *flight, struct want *want)
{
    want->value.is_content = true;
    want->value.is_part = want->has_part;
    want->value.base = want->has_part ? want->offset : 0;
    want->value.state = VALUE_ARRIVING;
    plan__moved(flight->plan);
}

/* Get @want ready for the octets; false: they are of no use. */
static bool begin_stream(struct flight *flight, struct want *want,
                         const struct respfetch_pending *literal, bool is_bound)
{
    if (!is_open(want)) {
        return false;
    }
    if (want->value.state == VALUE_ARRIVING) {
        if (resume_fits(flight, want, literal->name, literal->size)) {
            return true;
        }
        plan__fail_want(flight->plan, want, PROTOCOL);
        return false;
    }
    if (want->writer != NULL || want->spool != NULL ||
        (want->has_part && literal->size > want->count)) {
        return false;
    }
    enum status st =
        want__stream_begin(flight->plan, want, literal->size, literal->is_literal8);
    if (st != OK) {
        plan__fail_want(flight->plan, want, st);
        return false;
    }
    if (is_bound) {
        show_stream(flight, want);
    }
    return true;
}

/* The UID is to come after the literal: most servers answer in ascending order. */
static struct row *guess_row(struct flight *flight, const struct respfetch_pending *literal)
{
    for (size_t i = 0; i < flight->rows_n; i++) {
        struct want *want =
            find_want(flight, &flight->rows[i], literal->kind, literal->name);
        if (want != NULL && is_open(want) && want->writer == NULL && want->spool == NULL) {
            return &flight->rows[i];
        }
    }
    return NULL;
}

bool flight__on_literal(void *arg, struct unit so_far, uint64_t size)
{
    struct flight *flight = arg;
    struct respfetch_pending literal;
    if (size <= PLAN_INLINE_MAX || flight->line_n == PLAN_LINE_STREAMS ||
        respfetch_pending(so_far, &literal) != OK) {
        return false;
    }
    bool is_bound = literal.uid != 0;
    struct row *row =
        is_bound ? find_row(flight, literal.uid) : guess_row(flight, &literal);
    struct want *want =
        row != NULL ? find_want(flight, row, literal.kind, literal.name) : NULL;
    if (want == NULL || !want->is_octets) {
        return false;
    }
    bool is_useful = begin_stream(flight, want, &literal, is_bound);
    struct stream *stream = &flight->line[flight->line_n++];
    *stream = (struct stream){.want = is_useful ? want : NULL, .is_bound = is_bound};
    return true;
}

/* A guess was wrong, or cannot be followed up: asked again, alone, it cannot be mistaken. */
static void misread(struct plan *plan, struct want *guess)
{
    if (guess->value.state == VALUE_ARRIVING) {
        plan__fail_want(plan, guess, PROTOCOL); /* octets of another message were appended */
        return;
    }
    want__stream_abort(guess);
    guess->value.is_lost = false; /* it has not failed */
    guess->is_alone = true;
}

/* The link waits for the store's writer. */
static void spare_store(struct flight *flight)
{
    struct plan_env *env = &flight->plan->env;
    if (!flight->is_paused && flight->request != NULL && store_is_backlogged(env->store)) {
        flight->is_paused = true;
        env->ops->pause(env->arg, flight->request, true);
    }
}

void flight__on_literal_data(void *arg, struct slice bytes)
{
    struct flight *flight = arg;
    struct plan *plan = flight->plan;
    struct stream *stream = &flight->line[flight->line_n - 1];
    if (stream->want == NULL) {
        return;
    }
    enum status st = want__stream_append(plan, stream->want, bytes);
    if (st != OK && !stream->is_bound) {
        misread(plan, stream->want);
        stream->want = NULL;
    } else if (st != OK) {
        plan__fail_want(plan, stream->want, st);
        stream->want = NULL;
    } else if (stream->is_bound) {
        plan__moved(plan);
    }
    spare_store(flight);
}

void flight__on_literal_end(void *arg)
{
    struct flight *flight = arg;
    struct stream *stream = &flight->line[flight->line_n - 1];
    struct want *want = stream->want;
    if (want != NULL && stream->is_bound &&
        want__received(want) == want->value.content.size_bytes) {
        want->value.state = VALUE_HERE;
        plan__moved(flight->plan);
    }
}

/* The line has said its UID: was the guess right? */
static void bind_stream(struct flight *flight, struct stream *stream, struct want *want)
{
    struct want *guess = stream->want;
    stream->want = NULL;
    if (guess == NULL || stream->is_bound) {
        return;
    }
    if (guess == want && want__received(want) == want->value.content.size_bytes) {
        show_stream(flight, want);
        want->value.state = VALUE_HERE;
        return;
    }
    misread(flight->plan, guess);
    if (want != NULL && is_open(want)) {
        want->is_alone = true;
    }
}

void flight__end_line(struct flight *flight)
{
    for (size_t i = 0; i < flight->line_n; i++) {
        bind_stream(flight, &flight->line[i], NULL);
    }
    flight->line_n = 0;
}

/* --- responses ---------------------------------------------------------------------------------- */

/* The row whose UID the response says; NULL when it is none of ours, or broken. */
static struct row *row_of(struct flight *flight, const struct response *response)
{
    struct respfetch it;
    struct respfetch_item item;
    uint64_t uid = 0;
    respfetch_init(&it, response);
    while (uid == 0 && respfetch_next(&it, &item) == OK) {
        if (item.kind == FETCH_UID && !respfetch_number(&item, &uid)) {
            return NULL;
        }
    }
    return uid != 0 ? find_row(flight, uid) : NULL;
}

static bool is_well_formed(const struct response *response)
{
    struct respfetch it;
    struct respfetch_item item;
    enum status st;
    respfetch_init(&it, response);
    while ((st = respfetch_next(&it, &item)) == OK) {
    }
    return st == END;
}

/* Is all that this line says of another message, told in place of one that cannot be read (T1)? */
static bool is_of_standin(const struct flight *flight, const struct response *response)
{
    struct respfetch it;
    struct respfetch_item item;
    bool is_standin = false;
    respfetch_init(&it, response);
    while (respfetch_next(&it, &item) == OK) {
        is_standin = is_standin || respfetch_is_standin(&item, flight->standin_bytes);
    }
    return is_standin;
}

static bool take_response(struct flight *flight, const struct response *response)
{
    struct row *row = row_of(flight, response);
    struct respfetch it;
    struct respfetch_item item;
    size_t streamed_n = 0;
    bool is_ours = flight->line_n > 0;
    bool is_standin = is_of_standin(flight, response);
    if (row == NULL || !is_well_formed(response)) {
        return is_ours;
    }
    respfetch_init(&it, response);
    while (respfetch_next(&it, &item) == OK) {
        struct want *want = find_want(flight, row, item.kind, item.name);
        is_ours = is_ours || want != NULL;
        if (item.value.kind == VALUE_STREAMED && streamed_n < flight->line_n) {
            bind_stream(flight, &flight->line[streamed_n++], want);
        } else if (want != NULL) {
            take_inline(flight, want, &item, is_standin);
        }
    }
    return is_ours;
}

bool flight__on_untagged(void *arg, const struct response *response)
{
    struct flight *flight = arg;
    if (response->kind == RESPONSE_EXPUNGE || response->kind == RESPONSE_VANISHED) {
        flight->has_expunge = true;
        return false;
    }
    if (response->kind != RESPONSE_FETCH) {
        return false;
    }
    bool is_ours = take_response(flight, response);
    flight__end_line(flight);
    spare_store(flight);
    return is_ours;
}
