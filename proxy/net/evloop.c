/* A turn, in libev's terms:
 *
 *   prepare (lowest priority): soon tasks, hooks, late tasks, reaping -> poll -> check (highest
 *   priority): read the clock -> io, timers, asyncs -> next turn's prepare ...
 *
 * so "end of the turn" is libev's prepare, the last thing before it blocks.  When tasks remain, an
 * idle watcher keeps the poll from blocking. */
#include "evloop_p.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "net/iobuf.h"

enum { SOON_BUDGET = 1024 };

struct reaped {
    void *ptr;
    void (*destroy)(void *ptr);
};

struct evloop {
    struct ev_loop *ev;
    uint64_t now_ms;
    struct task soon; /* heads of circular lists */
    struct task next;
    struct task late;
    struct turn_hook *hooks;
    struct reaped *reaped;
    size_t reaped_n;
    size_t reaped_cap;
    struct iobuf_pool *pool;
    struct timeout_table *timeouts;
    struct conn *closing;
    char *scratch;
    ev_prepare end_of_turn;
    ev_check start_of_turn;
    ev_idle more;
    /* any thread */
    ev_async stop;
    _Atomic pthread_t owner;
};

/* --- tasks --- */

static void list_init(struct task *head)
{
    head->next = head;
    head->prev = head;
}

static bool list_is_empty(const struct task *head)
{
    return head->next == head;
}

static void list_push(struct task *head, struct task *task)
{
    task->prev = head->prev;
    task->next = head;
    head->prev->next = task;
    head->prev = task;
}

static void list_unlink(struct task *task)
{
    task->prev->next = task->next;
    task->next->prev = task->prev;
    task->next = NULL;
    task->prev = NULL;
}

/* Append all of @from to @to. */
static void list_splice(struct task *to, struct task *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

void task_init(struct task *task, void (*fn)(void *arg), void *arg)
{
    *task = (struct task){.fn = fn, .arg = arg};
}

bool task_is_queued(const struct task *task)
{
    return task->next != NULL;
}

void evloop_defer(struct evloop *loop, struct task *task, enum evloop_when when)
{
    DCHECK(evloop_is_self(loop));
    if (task_is_queued(task)) {
        return;
    }
    struct task *head = when == EVLOOP_SOON   ? &loop->soon
                        : when == EVLOOP_LATE ? &loop->late
                                              : &loop->next;
    list_push(head, task);
}

void evloop_cancel(struct evloop *loop, struct task *task)
{
    DCHECK(evloop_is_self(loop));
    (void)loop;
    if (task_is_queued(task)) {
        list_unlink(task);
    }
}

/* The task may be gone when this returns. */
static void run_first(struct task *head)
{
    struct task *task = head->next;
    list_unlink(task);
    task->fn(task->arg);
}

static void run_soon(struct evloop *loop)
{
    for (int n = 0; n < SOON_BUDGET && !list_is_empty(&loop->soon); n++) {
        run_first(&loop->soon);
    }
}

/* What late tasks defer as late waits for the next turn. */
static void run_late(struct evloop *loop)
{
    struct task now;
    list_init(&now);
    list_splice(&now, &loop->late);
    while (!list_is_empty(&now)) {
        run_first(&now);
    }
}

/* --- reaping and hooks --- */

void evloop_reap(struct evloop *loop, void *ptr, void (*destroy)(void *ptr))
{
    DCHECK(evloop_is_self(loop));
    if (loop->reaped_n == loop->reaped_cap) {
        loop->reaped_cap = loop->reaped_cap == 0 ? 16 : 2 * loop->reaped_cap;
        loop->reaped = alloc_resize(loop->reaped, loop->reaped_cap, sizeof(*loop->reaped));
    }
    loop->reaped[loop->reaped_n++] = (struct reaped){ptr, destroy};
}

/* A destructor may reap more. */
static void reap_all(struct evloop *loop)
{
    for (size_t i = 0; i < loop->reaped_n; i++) {
        struct reaped dead = loop->reaped[i];
        dead.destroy(dead.ptr);
    }
    loop->reaped_n = 0;
}

void evloop_add_hook(struct evloop *loop, struct turn_hook *hook, void (*fn)(void *arg), void *arg)
{
    DCHECK(evloop_is_self(loop));
    *hook = (struct turn_hook){.fn = fn, .arg = arg};
    struct turn_hook **at = &loop->hooks;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = hook;
}

void evloop_remove_hook(struct evloop *loop, struct turn_hook *hook)
{
    DCHECK(evloop_is_self(loop));
    for (struct turn_hook **at = &loop->hooks; *at != NULL; at = &(*at)->next) {
        if (*at == hook) {
            *at = hook->next;
            return;
        }
    }
}

static void run_hooks(struct evloop *loop)
{
    struct turn_hook *next;
    for (struct turn_hook *hook = loop->hooks; hook != NULL; hook = next) {
        next = hook->next; /* it may remove itself */
        hook->fn(hook->arg);
    }
}

/* --- turns --- */

static void on_start_of_turn(struct ev_loop *ev, ev_check *check, int revents)
{
    (void)check;
    (void)revents;
    struct evloop *loop = ev_userdata(ev);
    loop->now_ms = clock_mono_ms();
    list_splice(&loop->soon, &loop->next);
}

static void on_end_of_turn(struct ev_loop *ev, ev_prepare *prepare, int revents)
{
    (void)prepare;
    (void)revents;
    struct evloop *loop = ev_userdata(ev);
    run_soon(loop);
    run_hooks(loop);
    run_late(loop);
    reap_all(loop);
    if (list_is_empty(&loop->soon) && list_is_empty(&loop->next) && list_is_empty(&loop->late)) {
        ev_idle_stop(ev, &loop->more);
    } else {
        ev_idle_start(ev, &loop->more);
    }
}

/* Only there so that libev does not block. */
static void on_more(struct ev_loop *ev, ev_idle *idle, int revents)
{
    (void)ev;
    (void)idle;
    (void)revents;
}

static void on_stop(struct ev_loop *ev, ev_async *async, int revents)
{
    (void)async;
    (void)revents;
    ev_break(ev, EVBREAK_ONE);
}

struct evloop *evloop_create(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
    struct evloop *loop = alloc_zero(sizeof(*loop));
    loop->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    CHECK(loop->ev != NULL);
    ev_set_userdata(loop->ev, loop);
    loop->now_ms = clock_mono_ms();
    atomic_store(&loop->owner, pthread_self());
    list_init(&loop->soon);
    list_init(&loop->next);
    list_init(&loop->late);
    loop->pool = iobuf__pool_create();
    loop->timeouts = timeout__table_create(loop);
    loop->scratch = alloc_array(IOBUF_CHUNK_BYTES, 1);
    ev_prepare_init(&loop->end_of_turn, on_end_of_turn);
    ev_set_priority(&loop->end_of_turn, EV_MINPRI);
    ev_prepare_start(loop->ev, &loop->end_of_turn);
    ev_check_init(&loop->start_of_turn, on_start_of_turn);
    ev_set_priority(&loop->start_of_turn, EV_MAXPRI);
    ev_check_start(loop->ev, &loop->start_of_turn);
    ev_idle_init(&loop->more, on_more);
    ev_async_init(&loop->stop, on_stop);
    ev_async_start(loop->ev, &loop->stop);
    return loop;
}

void evloop_destroy(struct evloop **loop_p)
{
    struct evloop *loop = *loop_p;
    if (loop == NULL) {
        return;
    }
    *loop_p = NULL;
    atomic_store(&loop->owner, pthread_self());
    conn__end_closing(loop);
    reap_all(loop);
    timeout__table_destroy(&loop->timeouts);
    iobuf__pool_destroy(&loop->pool);
    ev_loop_destroy(loop->ev);
    alloc_free(loop->scratch);
    alloc_free(loop->reaped);
    alloc_free(loop);
}

void evloop_run(struct evloop *loop)
{
    atomic_store(&loop->owner, pthread_self());
    loop->now_ms = clock_mono_ms();
    (void)ev_run(loop->ev, 0);
    on_end_of_turn(loop->ev, &loop->end_of_turn, 0); /* ev_break() skips the last turn's end */
}

void evloop_stop(struct evloop *loop)
{
    ev_async_send(loop->ev, &loop->stop);
}

uint64_t evloop_now_ms(const struct evloop *loop)
{
    return loop->now_ms;
}

bool evloop_is_self(const struct evloop *loop)
{
    return pthread_equal(atomic_load_explicit(&loop->owner, memory_order_relaxed), pthread_self());
}

struct conn **evloop__closing(struct evloop *loop)
{
    return &loop->closing;
}

struct ev_loop *evloop__ev(const struct evloop *loop)
{
    return loop->ev;
}

struct iobuf_pool *evloop__pool(const struct evloop *loop)
{
    return loop->pool;
}

struct timeout_table *evloop__timeouts(const struct evloop *loop)
{
    return loop->timeouts;
}

char *evloop__scratch(const struct evloop *loop)
{
    return loop->scratch;
}

/* --- wake-ups --- */

struct wakeup {
    ev_async async;
    struct evloop *loop;
    void (*fn)(void *arg);
    void *arg;
};

static void on_wakeup(struct ev_loop *ev, ev_async *async, int revents)
{
    (void)ev;
    (void)revents;
    struct wakeup *wakeup = async->data;
    wakeup->fn(wakeup->arg);
}

struct wakeup *wakeup_create(struct evloop *loop, void (*fn)(void *arg), void *arg)
{
    DCHECK(evloop_is_self(loop));
    struct wakeup *wakeup = alloc_zero(sizeof(*wakeup));
    *wakeup = (struct wakeup){.loop = loop, .fn = fn, .arg = arg};
    ev_async_init(&wakeup->async, on_wakeup);
    wakeup->async.data = wakeup;
    ev_async_start(loop->ev, &wakeup->async);
    return wakeup;
}

void wakeup_destroy(struct wakeup **wakeup_p)
{
    struct wakeup *wakeup = *wakeup_p;
    if (wakeup == NULL) {
        return;
    }
    *wakeup_p = NULL;
    DCHECK(evloop_is_self(wakeup->loop));
    ev_async_stop(wakeup->loop->ev, &wakeup->async);
    alloc_free(wakeup);
}

void wakeup_signal(void *arg)
{
    struct wakeup *wakeup = arg;
    ev_async_send(wakeup->loop->ev, &wakeup->async);
}
