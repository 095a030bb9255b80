/* Asking ahead: everything that a window of messages lacks goes upstream in one flight. */
#include "base/alloc.h"
#include "fetch_p.h"
#include "search_p.h"

static size_t body_window(const struct session *session)
{
    if (session->body_bytes_mean == 0) {
        return FETCH_WINDOW_BODIES;
    }
    uint64_t n = FETCH_AHEAD_BYTES / session->body_bytes_mean;
    n = n > FETCH_WINDOW_BODIES_MIN ? n : FETCH_WINDOW_BODIES_MIN;
    return n < FETCH_WINDOW_BODIES_MAX ? (size_t)n : FETCH_WINDOW_BODIES_MAX;
}

static size_t window(const struct fetch_work *work)
{
    return work->wants_bodies ? body_window(work->session) : FETCH_WINDOW;
}

static bool is_body(const struct fetch_item *item)
{
    return item->kind == FETCH_BINARY ||
           (item->kind == FETCH_SECTION && item->section != SECTION_FIELDS &&
            item->section != SECTION_FIELDS_NOT && item->section != SECTION_MIME);
}

static bool is_at_limit(const struct session *session)
{
    return session->asked_bytes >= FETCH_AHEAD_MEMORY;
}

bool fetch__has_enough(const struct session *session, const struct args_fetch *args)
{
    bool wants_bodies = false;
    if (is_at_limit(session)) {
        return true;
    }
    for (size_t i = 0; i < args->items.n; i++) {
        wants_bodies = wants_bodies || is_body(&args->items.at[i]);
    }
    return wants_bodies && session->asked_n >= body_window(session);
}

void fetch__note_size(struct fetch_work *work, uint64_t size)
{
    uint64_t *mean = &work->session->body_bytes_mean;
    if (work->wants_bodies) {
        *mean = *mean == 0 ? size + 1 : (*mean * 7 + size) / 8 + 1;
    }
}

static void hold(struct fetch_work *work, struct pending *pending)
{
    struct held *held = &work->held;
    if (held->n == held->cap) {
        size_t cap = held->cap > 0 ? held->cap * 2 : 16;
        struct pending **ring = alloc_array(cap, sizeof(struct pending *));
        for (size_t i = 0; i < held->n; i++) {
            ring[i] = held->ring[(held->first + i) % held->cap];
        }
        alloc_free(held->ring);
        held->ring = ring;
        held->cap = cap;
        held->first = 0;
    }
    held->ring[(held->first + held->n) % held->cap] = pending;
    held->n++;
    work->session->asked_n++;
    work->session->asked_bytes += work->ask_bytes;
}

static bool is_whole_list(const struct fetch_item *item)
{
    return item->kind == FETCH_SECTION && item->section == SECTION_FIELDS && item->part.len == 0 &&
           !item->has_partial;
}

const struct fetch_item *fetch__asked(struct fetch_work *work, size_t i)
{
    const struct fetch_item *item = &work->job->parsed.args.fetch.items.at[i];
    if (!is_whole_list(item) || work->lookup.trust != LOOKUP_TRUSTS_ALL) {
        return item; /* what is taken out of a longer list is derived */
    }
    if (work->asked[i] == NULL) {
        struct arena *arena = &work->job->arena;
        struct fetch_item *wide = arena_alloc(arena, sizeof(*wide));
        bool is_wide = wide != NULL &&
                       plan_widen(feed_plan(work->session->feed), item, arena, wide);
        work->asked[i] = is_wide ? wide : item;
    }
    return work->asked[i];
}

struct pending *fetch__ask(struct fetch_work *work, uint32_t uid)
{
    const struct fetch_items *items = &work->job->parsed.args.fetch.items;
    struct plan *plan = feed_plan(work->session->feed);
    struct pending *pending = NULL;
    struct lookup_value found;
    lookup_to(&work->lookup, uid);
    for (size_t i = 0; i < items->n; i++) {
        const struct fetch_item *item = &items->at[i];
        if ((fetch_kind_traits(item->kind) & FETCH_IS_MODEL) != 0 ||
            lookup_get(&work->lookup, i, &found)) {
            continue;
        }
        item = fetch__asked(work, i);
        if (pending == NULL) {
            pending = plan_ask(plan, uid, item);
        } else {
            pending_add(pending, item);
        }
    }
    return pending;
}

void fetch__ask_ahead(struct fetch_work *work)
{
    uint32_t from = work->asked_uid;
    struct view_iter iter;
    struct view_message message;
    struct ranges rest;
    if (from == UINT32_MAX || !work->wants_values || work->is_only_cached || work->held.n > window(work) / 2 ||
        is_at_limit(work->session)) {
        return;
    }
    ranges_init(&rest, 0);
    ranges_add_all(&rest, &work->uids);
    if (from > 0) {
        ranges_remove(&rest, 1, from);
    }
    view_iter_init(&iter, work->session->view, &rest);
    bool more = false;
    for (size_t n = 0; n < FETCH_SCAN_MAX && work->held.n < window(work) &&
                       !is_at_limit(work->session) && (more = view_iter_next(&iter, &message));
         n++) {
        struct pending *pending = message.is_vanished ? NULL : fetch__ask(work, message.uid);
        if (pending != NULL) {
            hold(work, pending);
        }
        work->asked_uid = message.uid;
    }
    if (!more && work->held.n < window(work)) {
        work->asked_uid = UINT32_MAX;
    }
    ranges_fini(&rest);
}

struct pending *fetch__take(struct fetch_work *work, uint32_t uid)
{
    struct plan *plan = feed_plan(work->session->feed);
    struct held *held = &work->held;
    while (held->n > 0) {
        struct pending *pending = held->ring[held->first];
        if (pending_uid(pending) > uid) {
            return NULL;
        }
        held->first = (held->first + 1) % held->cap;
        held->n--;
        work->session->asked_n--;
        work->session->asked_bytes -= work->ask_bytes;
        if (pending_uid(pending) == uid) {
            return pending;
        }
        pending_release(plan, &pending);
    }
    return NULL;
}

void fetch__release_all(struct fetch_work *work)
{
    struct session *session = work->session;
    struct plan *plan = session->feed != NULL ? feed_plan(session->feed) : NULL;
    if (plan != NULL) {
        (void)fetch__take(work, UINT32_MAX);
        if (work->pending != NULL) {
            pending_release(plan, &work->pending);
        }
        if (work->rest != NULL) {
            pending_release(plan, &work->rest);
        }
        plan_unwait(plan, &work->waiter);
    }
    session->asked_n -= work->held.n;
    session->asked_bytes -= work->held.n * work->ask_bytes;
    alloc_free(work->held.ring);
    work->held = (struct held){0};
}

static void on_progress(struct plan_waiter *waiter)
{
    struct fetch_work *work =
        (struct fetch_work *)((char *)waiter - offsetof(struct fetch_work, waiter));
    session_wake(work->session);
}

static size_t ask_bytes(const struct fetch_items *items)
{
    size_t bytes = 0;
    for (size_t i = 0; i < items->n; i++) {
        bytes += FETCH_ASK_BYTES + 2 * items->at[i].key.len + items->at[i].upstream.len;
    }
    return bytes;
}

static void note_lists(struct fetch_work *work)
{
    const struct fetch_items *items = &work->job->parsed.args.fetch.items;
    for (size_t i = 0; i < items->n; i++) {
        if (is_whole_list(&items->at[i])) {
            plan_note_list(feed_plan(work->session->feed), &items->at[i]);
        }
    }
}

/* Which messages, and what is needed of them.  False: the client's set is wrong. */
bool fetch__prepare(struct fetch_work *work)
{
    struct session *session = work->session;
    struct job *job = work->job;
    const struct args_fetch *args = &job->parsed.args.fetch;
    ranges_reset(&work->uids);
    if (set_resolve(session, &args->set, command_is_uid(&job->parsed), &work->uids) != OK) {
        return false;
    }
    if (args->has_partial) {
        const struct set_slice slice = {.is_from_end = args->is_partial_from_end,
                                        .first = args->partial_first,
                                        .last = args->partial_last};
        set_keep_slice(session, &work->uids, slice);
    }
    work->waiter.progress = on_progress;
    work->needs_model = args->has_changedsince;
    for (size_t i = 0; i < args->items.n; i++) {
        const struct fetch_item *item = &args->items.at[i];
        work->needs_model = work->needs_model || item->kind == FETCH_FLAGS ||
                            item->kind == FETCH_MODSEQ;
        work->wants_bodies = work->wants_bodies || is_body(item);
        work->wants_values =
            work->wants_values || (fetch_kind_traits(item->kind) & FETCH_IS_MODEL) == 0;
    }
    if (!work->has_lookup) {
        note_lists(work);
        work->ask_bytes = ask_bytes(&args->items);
        work->asked = arena_array(&job->arena, args->items.n, sizeof(*work->asked));
        work->has_lookup =
            work->asked != NULL &&
            lookup_init(&work->lookup, session->env->store, feed_store_id(session->feed),
                        &args->items, &job->arena, session->env->stats) == OK;
    }
    return work->has_lookup;
}
