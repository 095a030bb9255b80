/* Wants, and the pendings that hold them. */
#include "account/plan.h"

#include <string.h>
#include <utlist.h>

#include "plan_p.h"
#include "base/alloc.h"
#include "base/check.h"

enum { PLAN_SCRATCH_BYTES = 1024 * 1024 };

/* --- the plan ----------------------------------------------------------------------------------- */

struct plan *plan_create(const struct plan_env *env)
{
    struct plan *plan = alloc_zero(sizeof(*plan));
    plan->env = *env;
    plan->waiters.next = plan->waiters.prev = &plan->waiters;
    buf_init(&plan->read_buf, PLAN_SPOOL_READ);
    arena_init(&plan->scratch, PLAN_SCRATCH_BYTES);
    return plan;
}

void plan_destroy(struct plan **plan)
{
    struct plan *gone = *plan;
    if (gone == NULL) {
        return;
    }
    CHECK(gone->waiters.next == &gone->waiters);
    struct flight *flight, *next;
    DL_FOREACH_SAFE(gone->flights, flight, next) {
        gone->env.ops->cancel(gone->env.arg, &flight->request);
        flight__destroy(flight);
    }
    CHECK(gone->messages == NULL);
    buf_fini(&gone->read_buf);
    fieldlists__fini(&gone->lists);
    arena_reset(&gone->scratch);
    alloc_free(gone);
    *plan = NULL;
}

void plan__wake(struct plan *plan)
{
    if (!plan->is_awake) {
        plan->is_awake = true;
        plan->env.ops->wake(plan->env.arg);
    }
}

void plan__moved(struct plan *plan)
{
    plan->has_moved = true;
    plan__wake(plan);
}

/* --- waiters ------------------------------------------------------------------------------------ */

static void ring_add(struct plan_waiter *ring, struct plan_waiter *waiter)
{
    waiter->prev = ring->prev;
    waiter->next = ring;
    ring->prev->next = waiter;
    ring->prev = waiter;
}

static void ring_remove(struct plan_waiter *waiter)
{
    waiter->prev->next = waiter->next;
    waiter->next->prev = waiter->prev;
    waiter->next = waiter->prev = NULL;
}

void plan_wait(struct plan *plan, struct plan_waiter *waiter)
{
    if (!waiter->is_linked) {
        waiter->is_linked = true;
        ring_add(&plan->waiters, waiter);
    }
}

void plan_unwait(struct plan *plan, struct plan_waiter *waiter)
{
    (void)plan;
    if (waiter->is_linked) {
        waiter->is_linked = false;
        ring_remove(waiter);
    }
}

/* Each waiter once: they go over to a ring of our own first, since a callback may take any of them
 * away and add others. */
static void tell_waiters(struct plan *plan)
{
    struct plan_waiter todo = {.next = &todo, .prev = &todo};
    if (plan->waiters.next != &plan->waiters) {
        todo.next = plan->waiters.next;
        todo.prev = plan->waiters.prev;
        todo.next->prev = todo.prev->next = &todo;
        plan->waiters.next = plan->waiters.prev = &plan->waiters;
    }
    while (todo.next != &todo) {
        struct plan_waiter *waiter = todo.next;
        ring_remove(waiter);
        ring_add(&plan->waiters, waiter);
        waiter->progress(waiter);
    }
}

void plan_flush(struct plan *plan)
{
    plan->is_awake = false;
    memset(plan->has_death, 0, sizeof(plan->has_death));
    if (plan->has_moved) {
        plan->has_moved = false;
        tell_waiters(plan);
    }
    if (!store_is_backlogged(plan->env.store)) {
        struct flight *flight;
        DL_FOREACH(plan->flights, flight) {
            flight__resume_reading(flight);
        }
    }
    plan__send_gathered(plan);
}

/* --- messages and wants ------------------------------------------------------------------------- */

struct message *plan__message_get(struct plan *plan, uint32_t uid)
{
    struct message *message = NULL;
    HASH_FIND(hh, plan->messages, &uid, sizeof(uid), message);
    if (message == NULL) {
        message = alloc_zero(sizeof(*message));
        message->uid = uid;
        HASH_ADD(hh, plan->messages, uid, sizeof(message->uid), message);
    }
    return message;
}

static void message_drop_if_empty(struct plan *plan, struct message *message)
{
    if (message->wants != NULL) {
        return;
    }
    if (message->is_gathered) {
        DL_DELETE(plan->gathered, message);
    }
    HASH_DELETE(hh, plan->messages, message);
    alloc_free(message);
}

void plan__gather(struct plan *plan, struct want *want)
{
    struct message *message = want->message;
    want->step = WANT_GATHERED;
    if (!message->is_gathered) {
        message->is_gathered = true;
        DL_APPEND(plan->gathered, message);
    }
    plan__wake(plan);
}

void plan__drop_want(struct plan *plan, struct want *want)
{
    if (want->refs > 0 || want->step == WANT_ASKED) {
        return;
    }
    struct message *message = want->message;
    LL_DELETE(message->wants, want);
    want__stream_abort(want);
    alloc_free(want->octets);
    alloc_free(want->words);
    alloc_free(want);
    message_drop_if_empty(plan, message);
}

void plan__fail_want(struct plan *plan, struct want *want, enum status why)
{
    want->step = want->step == WANT_ASKED ? WANT_ASKED : WANT_OVER;
    want->value.state = VALUE_FAILED;
    want->value.why = why;
    want->is_held = false;
    want__stream_abort(want);
    plan__moved(plan);
}

static struct slice append(char **at, struct slice text)
{
    struct slice copy = slice_of(*at, text.len);
    if (text.len > 0) {
        memcpy(*at, text.data, text.len);
    }
    *at += text.len;
    return copy;
}

/* What a want is called in the store. */
static void write_key(const struct fetch_item *item, struct buf *out)
{
    buf_init(out, 0);
    buf_add(out, item->key);
    if (item->has_partial) {
        buf_printf(out, "<%llu.%llu>", (unsigned long long)item->offset,
                   (unsigned long long)item->count);
    }
}

static void set_nature(struct want *want, const struct fetch_item *item)
{
    unsigned traits = fetch_kind_traits(item->kind);
    want->kind = item->kind;
    want->section = item->section;
    want->is_octets = (traits & FETCH_IS_CONTENT) != 0;
    want->is_kept = (traits & FETCH_IS_IMMUTABLE) != 0;
    want->has_part = item->has_partial;
    want->offset = item->offset;
    want->count = item->count;
    /* Lists of header fields are as small as an ENVELOPE: the feed can say them between two pushes. */
    want->is_bulk = want->is_octets && item->section != SECTION_FIELDS &&
                    item->section != SECTION_FIELDS_NOT && item->section != SECTION_MIME;
}

struct want *plan__want_create(struct plan *plan, struct message *message,
                               const struct fetch_item *item)
{
    struct buf key;
    write_key(item, &key);
    struct want *want = alloc_zero(sizeof(*want) + key.len + item->key.len + item->upstream.len);
    char *at = want->text;
    want->key = append(&at, buf_slice(&key));
    want->name = append(&at, item->key);
    want->upstream = append(&at, item->upstream);
    buf_fini(&key);
    set_nature(want, item);
    want->message = message;
    LL_PREPEND(message->wants, want);
    plan__gather(plan, want);
    return want;
}

/* --- joining ------------------------------------------------------------------------------------ */

static bool is_same(const struct want *want, const struct fetch_item *item)
{
    /* PREVIEW and PREVIEW (LAZY) are two questions with one name. */
    bool is_other = want->kind == FETCH_PREVIEW && !slice_eq(want->upstream, item->upstream);
    return !is_other && want->has_part == item->has_partial && slice_eq(want->name, item->key) &&
           (!item->has_partial ||
            (want->offset == item->offset && want->count == item->count));
}

static bool is_whole_of(const struct want *want, const struct fetch_item *item)
{
    return item->has_partial && !want->has_part && slice_eq(want->name, item->key);
}

/* Are all octets that have come still readable?  The store may have lost some of a value that is still
 * arriving, and nobody noticed. */
static bool is_readable(struct plan *plan, const struct want *want)
{
    bool is_begun = want->value.state == VALUE_HERE || want->value.state == VALUE_ARRIVING;
    if (!want->value.is_content || !is_begun) {
        return true;
    }
    if (want->writer != NULL || want->spool != NULL) {
        return want__is_sound(want);
    }
    store_read_begin(plan->env.store);
    enum status st = store_content_check(plan->env.store, &want->value.content);
    store_read_end(plan->env.store);
    return st != NOT_FOUND;
}

static bool is_dead(struct plan *plan, const struct want *want)
{
    return want->value.state == VALUE_FAILED || want->value.state == VALUE_ABSENT ||
           want->value.state == VALUE_KEPT || !is_readable(plan, want);
}

static bool may_join(struct plan *plan, const struct want *want)
{
    /* A mutable item: an answer to an earlier question may be out of date. */
    bool is_new = want->step == WANT_GATHERED && want->deaths + want->losses + want->asks == 0;
    return !is_dead(plan, want) && (want->is_kept || is_new);
}

static struct want *find_joinable(struct plan *plan, const struct message *message,
                                  const struct fetch_item *item)
{
    struct want *whole = NULL, *want;
    LL_FOREACH(message->wants, want) {
        if (is_same(want, item) && may_join(plan, want)) {
            return want;
        }
        if (is_whole_of(want, item) && may_join(plan, want)) {
            whole = want;
        }
    }
    return whole;
}

static void count(struct plan *plan, enum stats_counter which)
{
    if (plan->env.stats != NULL) {
        stats_add(plan->env.stats, which, 1);
    }
}

static struct want *want_for(struct plan *plan, struct message *message,
                             const struct fetch_item *item)
{
    struct want *want = find_joinable(plan, message, item);
    if (want != NULL) {
        count(plan, STAT_fetch_joins);
    } else {
        want = plan__want_create(plan, message, item);
        count(plan, STAT_fetch_misses);
    }
    want->refs++;
    return want;
}

/* --- pendings ----------------------------------------------------------------------------------- */

struct pending *plan_ask(struct plan *plan, uint32_t uid, const struct fetch_item *item)
{
    struct pending *pending = alloc_zero(sizeof(*pending));
    pending->plan = plan;
    pending->message = plan__message_get(plan, uid);
    pending_add(pending, item);
    return pending;
}

static struct want **find_slot(const struct pending *pending, const struct fetch_item *item)
{
    struct want **whole = NULL;
    for (size_t i = 0; i < pending->n; i++) {
        if (is_same(pending->wants[i], item)) {
            return &pending->wants[i];
        }
        if (is_whole_of(pending->wants[i], item)) {
            whole = &pending->wants[i];
        }
    }
    return whole;
}

struct pending *plan_ask_apart(struct plan *plan, uint32_t uid, const struct fetch_item *item)
{
    struct pending *pending = alloc_zero(sizeof(*pending));
    pending->plan = plan;
    pending->message = plan__message_get(plan, uid);
    pending->wants = alloc_array(1, sizeof(*pending->wants));
    pending->wants[pending->n++] = plan__want_create(plan, pending->message, item);
    pending->wants[0]->is_spooled = true;
    pending->wants[0]->refs++;
    count(plan, STAT_fetch_misses);
    return pending;
}

void pending_add(struct pending *pending, const struct fetch_item *item)
{
    struct plan *plan = pending->plan;
    struct want **slot = find_slot(pending, item);
    bool is_same_again = slot != NULL && is_same(*slot, item);
    if (slot != NULL && !is_dead(plan, *slot)) {
        return;
    }
    struct want *want = want_for(plan, pending->message, item);
    if (is_same_again) {
        struct want *old = *slot;
        *slot = want;
        old->refs--;
        plan__drop_want(plan, old);
        return;
    }
    pending->wants = alloc_resize(pending->wants, pending->n + 1, sizeof(*pending->wants));
    pending->wants[pending->n++] = want;
}

const struct value *pending_value(const struct pending *pending, const struct fetch_item *item)
{
    struct want **slot = find_slot(pending, item);
    return slot != NULL ? &(*slot)->value : NULL;
}

uint32_t pending_uid(const struct pending *pending)
{
    return pending->message->uid;
}

void pending_release(struct plan *plan, struct pending **pending)
{
    struct pending *gone = *pending;
    if (gone == NULL) {
        return;
    }
    for (size_t i = 0; i < gone->n; i++) {
        struct want *want = gone->wants[i];
        want->refs--;
        plan__drop_want(plan, want);
    }
    alloc_free(gone->wants);
    alloc_free(gone);
    *pending = NULL;
}
