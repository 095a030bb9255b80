#ifndef NET_EVLOOP_H
#define NET_EVLOOP_H
/* One event loop and everything that hangs on it: deferred work, memory released at the end of a
 * turn, hooks, wake-ups from other threads.  A turn: events (sockets, timers, wake-ups), then tasks
 * EVLOOP_SOON, then the hooks, then tasks EVLOOP_LATE, then reaped memory, then the loop blocks.
 * Creating a loop makes the process ignore SIGPIPE.
 * Owner: the caller; whatever hangs on a loop is destroyed before it.  No limits of its own.
 * Thread: loop (the one that last called evloop_run(), before that the creator) unless noted. */
#include <stdbool.h>
#include <stdint.h>

struct evloop;

struct evloop *evloop_create(void);
void evloop_destroy(struct evloop **loop);
/* Runs until evloop_stop(); may be called again afterwards. */
void evloop_run(struct evloop *loop);
/* Ends the run after the present turn; asked for before the run, it ends it at once.
 * Thread: any. */
void evloop_stop(struct evloop *loop);
/* The clock of base/clock.h as read when this turn began. */
uint64_t evloop_now_ms(const struct evloop *loop);
/* Is the caller the loop's thread?  For DCHECK.  Thread: any. */
bool evloop_is_self(const struct evloop *loop);

/* --- deferred work: runs once, never inside the call that deferred it --- */
enum evloop_when {
    EVLOOP_SOON,      /* this turn, after the events, at most 1,024 a turn, the rest in the next */
    EVLOOP_NEXT_TURN, /* after sockets have been looked at again: for work out of its budget */
    EVLOOP_LATE,      /* this turn, after all soon tasks and hooks: for flushing output */
};

/* Caller-owned; must stay in place while queued. */
struct task {
    struct task *next; /* NULL: not queued */
    struct task *prev;
    void (*fn)(void *arg);
    void *arg;
};

void task_init(struct task *task, void (*fn)(void *arg), void *arg);
bool task_is_queued(const struct task *task);
/* Queue @task; one that is queued already stays where it is.  It may defer itself again. */
void evloop_defer(struct evloop *loop, struct task *task, enum evloop_when when);
/* Unqueue; nothing when it was not queued. */
void evloop_cancel(struct evloop *loop, struct task *task);

/* Call destroy(ptr) at the end of this turn, when no callback of the turn can still see it. */
void evloop_reap(struct evloop *loop, void *ptr, void (*destroy)(void *ptr));

/* Runs once every turn after the events and soon tasks, in the order of adding.  Caller-owned.
 * A hook may remove itself, not another. */
struct turn_hook {
    struct turn_hook *next;
    void (*fn)(void *arg);
    void *arg;
};

void evloop_add_hook(struct evloop *loop, struct turn_hook *hook, void (*fn)(void *arg), void *arg);
void evloop_remove_hook(struct evloop *loop, struct turn_hook *hook);

/* --- wake-ups from other threads --- */
struct wakeup;
/* fn(arg) runs on the loop after wakeup_signal(); several signals may cause one call, so drain. */
struct wakeup *wakeup_create(struct evloop *loop, void (*fn)(void *arg), void *arg);
/* No signal may be under way in another thread.  fn does not run any more. */
void wakeup_destroy(struct wakeup **wakeup);
/* @wakeup: a struct wakeup; of this type so that it can be struct msgq's wake.  Thread: any. */
void wakeup_signal(void *wakeup);

#endif
