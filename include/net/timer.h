#ifndef NET_TIMER_H
#define NET_TIMER_H
/* Two kinds of clockwork.  struct timer: a few, any duration, heap-created.  struct timeout: very
 * many with few different durations (a connection's deadline): the loop keeps one list and one
 * watcher per duration, so starting, moving and stopping are O(1) and a node is all it costs.
 * Callbacks run on the loop, never inside the calls below.  Owner: the caller.     Thread: loop. */
#include <stdbool.h>
#include <stdint.h>

struct evloop;

/* --- timer --- */
struct timer;
/* (timer_create() is POSIX's.) */
struct timer *timer_create_on(struct evloop *loop, void (*fn)(void *arg), void *arg);
void timer_destroy(struct timer **timer);
/* Fires once, in @ms from now; a timer that is set is set anew. */
void timer_set_ms(struct timer *timer, uint64_t ms);
void timer_stop(struct timer *timer);
bool timer_is_set(const struct timer *timer);

/* --- timeout --- */
struct timeout_class;
struct timeout {
    struct timeout *next; /* NULL: not running */
    struct timeout *prev;
    struct timeout_class *in;
    uint64_t due_ms; /* on the loop's clock */
    void (*fn)(void *arg);
    void *arg;
};

void timeout_init(struct timeout *timeout, void (*fn)(void *arg), void *arg);
/* Fires once, in @ms from the turn's clock; one that is running is started anew.  Durations are
 * meant to be constants of the configuration: beyond 32 distinct ones in use at the same time they
 * are rounded up to a power of two. */
void timeout_start(struct evloop *loop, struct timeout *timeout, uint32_t ms);
void timeout_stop(struct timeout *timeout);
bool timeout_is_running(const struct timeout *timeout);

#endif
