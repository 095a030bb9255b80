#include "net/timer.h"

#include <stdbool.h>

#include "base/alloc.h"
#include "base/check.h"
#include "evloop_p.h"

/* --- timer --- */

struct timer {
    ev_timer watcher;
    struct evloop *loop;
    void (*fn)(void *arg);
    void *arg;
};

static void on_timer(struct ev_loop *ev, ev_timer *watcher, int revents)
{
    (void)ev;
    (void)revents;
    struct timer *timer = watcher->data;
    timer->fn(timer->arg);
}

/* libev counts from the start of the turn's poll, which may be long ago in a busy turn; a timer
 * must never fire early, so its own clock is brought up to date first. */
static double seconds_from_now(struct evloop *loop, uint64_t ms)
{
    ev_now_update(evloop__ev(loop));
    return (double)ms / 1000.0;
}

struct timer *timer_create_on(struct evloop *loop, void (*fn)(void *arg), void *arg)
{
    struct timer *timer = alloc_zero(sizeof(*timer));
    timer->loop = loop;
    timer->fn = fn;
    timer->arg = arg;
    ev_timer_init(&timer->watcher, on_timer, 0., 0.);
    timer->watcher.data = timer;
    return timer;
}

void timer_destroy(struct timer **timer_p)
{
    struct timer *timer = *timer_p;
    if (timer == NULL) {
        return;
    }
    *timer_p = NULL;
    timer_stop(timer);
    alloc_free(timer);
}

void timer_set_ms(struct timer *timer, uint64_t ms)
{
    DCHECK(evloop_is_self(timer->loop));
    timer_stop(timer);
    ev_timer_set(&timer->watcher, seconds_from_now(timer->loop, ms), 0.);
    ev_timer_start(evloop__ev(timer->loop), &timer->watcher);
}

void timer_stop(struct timer *timer)
{
    DCHECK(evloop_is_self(timer->loop));
    ev_timer_stop(evloop__ev(timer->loop), &timer->watcher);
}

bool timer_is_set(const struct timer *timer)
{
    return ev_is_active(&timer->watcher) || ev_is_pending(&timer->watcher);
}

/* --- timeout: lists in the order they fall due, since all of one list run equally long --- */

enum { CLASSES_EXACT = 32, CLASSES_MAX = CLASSES_EXACT + 33 /* powers of two up to 2^32 */ };

struct timeout_class {
    struct timeout list; /* circular; the first falls due first */
    ev_timer watcher;
    struct evloop *loop;
    uint64_t ms;
};

struct timeout_table {
    struct evloop *loop;
    struct timeout_class *classes[CLASSES_MAX];
    int n;
};

static bool class_is_empty(const struct timeout_class *class)
{
    return class->list.next == &class->list;
}

static void arm(struct timeout_class *class)
{
    struct ev_loop *ev = evloop__ev(class->loop);
    uint64_t now = evloop_now_ms(class->loop);
    uint64_t due = class->list.next->due_ms;
    ev_timer_stop(ev, &class->watcher);
    ev_timer_set(&class->watcher, seconds_from_now(class->loop, due > now ? due - now : 0), 0.);
    ev_timer_start(ev, &class->watcher);
}

/* Restarting a timeout does not move the watcher; so it may find nothing due, and goes on. */
static void on_class(struct ev_loop *ev, ev_timer *watcher, int revents)
{
    (void)ev;
    (void)revents;
    struct timeout_class *class = watcher->data;
    uint64_t now = evloop_now_ms(class->loop);
    while (!class_is_empty(class) && class->list.next->due_ms <= now) {
        struct timeout *timeout = class->list.next;
        timeout_stop(timeout);
        timeout->fn(timeout->arg);
    }
    if (!class_is_empty(class) && !ev_is_active(&class->watcher)) {
        arm(class);
    }
}

static struct timeout_class *class_create(struct timeout_table *table, uint64_t ms)
{
    struct timeout_class *class = alloc_zero(sizeof(*class));
    class->loop = table->loop;
    class->ms = ms;
    class->list.next = &class->list;
    class->list.prev = &class->list;
    ev_timer_init(&class->watcher, on_class, 0., 0.);
    class->watcher.data = class;
    CHECK(table->n < CLASSES_MAX);
    table->classes[table->n++] = class;
    return class;
}

static struct timeout_class *find(const struct timeout_table *table, uint64_t ms)
{
    for (int i = 0; i < table->n; i++) {
        if (table->classes[i]->ms == ms) {
            return table->classes[i];
        }
    }
    return NULL;
}

static struct timeout_class *find_unused(const struct timeout_table *table)
{
    for (int i = 0; i < table->n; i++) {
        if (class_is_empty(table->classes[i])) {
            return table->classes[i];
        }
    }
    return NULL;
}

static struct timeout_class *class_for(struct timeout_table *table, uint32_t ms)
{
    struct timeout_class *class = find(table, ms);
    if (class != NULL) {
        return class;
    }
    if (table->n < CLASSES_EXACT) {
        return class_create(table, ms);
    }
    class = find_unused(table);
    if (class != NULL) {
        ev_timer_stop(evloop__ev(table->loop), &class->watcher);
        class->ms = ms;
        return class;
    }
    uint64_t rounded = 1;
    while (rounded < ms) {
        rounded *= 2;
    }
    class = find(table, rounded);
    return class != NULL ? class : class_create(table, rounded);
}

void timeout_init(struct timeout *timeout, void (*fn)(void *arg), void *arg)
{
    *timeout = (struct timeout){.fn = fn, .arg = arg};
}

void timeout_start(struct evloop *loop, struct timeout *timeout, uint32_t ms)
{
    DCHECK(evloop_is_self(loop));
    timeout_stop(timeout);
    struct timeout_class *class = class_for(evloop__timeouts(loop), ms > 0 ? ms : 1);
    timeout->in = class;
    timeout->due_ms = evloop_now_ms(loop) + class->ms;
    timeout->prev = class->list.prev;
    timeout->next = &class->list;
    class->list.prev->next = timeout;
    class->list.prev = timeout;
    if (!ev_is_active(&class->watcher)) {
        arm(class);
    }
}

void timeout_stop(struct timeout *timeout)
{
    if (timeout->next == NULL) {
        return;
    }
    DCHECK(evloop_is_self(timeout->in->loop));
    timeout->prev->next = timeout->next;
    timeout->next->prev = timeout->prev;
    timeout->next = NULL;
    timeout->prev = NULL;
}

bool timeout_is_running(const struct timeout *timeout)
{
    return timeout->next != NULL;
}

struct timeout_table *timeout__table_create(struct evloop *loop)
{
    struct timeout_table *table = alloc_zero(sizeof(*table));
    table->loop = loop;
    return table;
}

void timeout__table_destroy(struct timeout_table **table_p)
{
    struct timeout_table *table = *table_p;
    *table_p = NULL;
    for (int i = 0; i < table->n; i++) {
        ev_timer_stop(evloop__ev(table->loop), &table->classes[i]->watcher);
        alloc_free(table->classes[i]);
    }
    alloc_free(table);
}
