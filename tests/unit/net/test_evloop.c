#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/msgq.h"
#include "net/evloop.h"
#include "net/timer.h"

struct trace {
    struct evloop *loop;
    char text[64];
    size_t n;
    struct task a;
    struct task b;
    struct task late;
    struct task next;
};

static void mark(struct trace *t, char c)
{
    if (t->n < sizeof(t->text) - 1) {
        t->text[t->n++] = c;
    }
}

static void on_a(void *arg)
{
    struct trace *t = arg;
    mark(t, '(');
    evloop_defer(t->loop, &t->b, EVLOOP_SOON);
    mark(t, ')'); /* b has not run inside the call */
}

static void on_b(void *arg)
{
    mark(arg, 'b');
}

static void on_late(void *arg)
{
    mark(arg, 'l');
}

static void on_next(void *arg)
{
    struct trace *t = arg;
    mark(t, 'n');
    evloop_stop(t->loop);
}

static void on_hook(void *arg)
{
    mark(arg, 'h');
}

static void on_reap(void *ptr)
{
    mark(ptr, 'r');
}

static void trace_init(struct trace *t, struct evloop *loop)
{
    *t = (struct trace){.loop = loop};
    task_init(&t->a, on_a, t);
    task_init(&t->b, on_b, t);
    task_init(&t->late, on_late, t);
    task_init(&t->next, on_next, t);
}

static void a_turn_has_its_order(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    struct trace t;
    trace_init(&t, loop);
    struct turn_hook hook;
    evloop_add_hook(loop, &hook, on_hook, &t);
    evloop_reap(loop, &t, on_reap);
    evloop_defer(loop, &t.next, EVLOOP_NEXT_TURN);
    evloop_defer(loop, &t.late, EVLOOP_LATE);
    evloop_defer(loop, &t.a, EVLOOP_SOON);
    evloop_defer(loop, &t.a, EVLOOP_SOON); /* once */
    assert_true(task_is_queued(&t.a));
    evloop_run(loop);
    assert_int_equal(strncmp(t.text, "()bhlrnh", 8), 0);
    assert_false(task_is_queued(&t.a));
    evloop_remove_hook(loop, &hook);
    evloop_destroy(&loop);
    assert_null(loop);
}

static void canceled_tasks_do_not_run(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    struct trace t;
    trace_init(&t, loop);
    evloop_defer(loop, &t.b, EVLOOP_SOON);
    evloop_defer(loop, &t.late, EVLOOP_LATE);
    evloop_defer(loop, &t.next, EVLOOP_NEXT_TURN);
    evloop_cancel(loop, &t.b);
    evloop_cancel(loop, &t.late);
    evloop_cancel(loop, &t.late);
    evloop_run(loop);
    assert_string_equal(t.text, "n");
    evloop_destroy(&loop);
}

struct greedy {
    struct evloop *loop;
    struct task task;
    unsigned runs;
    unsigned runs_at_wakeup;
};

static void on_greedy(void *arg)
{
    struct greedy *g = arg;
    g->runs++;
    evloop_defer(g->loop, &g->task, EVLOOP_SOON);
}

static void on_greedy_wakeup(void *arg)
{
    struct greedy *g = arg;
    g->runs_at_wakeup = g->runs;
    evloop_stop(g->loop);
}

static void deferral_does_not_starve_events(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    struct greedy g = {.loop = loop};
    task_init(&g.task, on_greedy, &g);
    struct wakeup *wakeup = wakeup_create(loop, on_greedy_wakeup, &g);
    evloop_defer(loop, &g.task, EVLOOP_SOON);
    wakeup_signal(wakeup);
    evloop_run(loop);
    assert_in_range(g.runs_at_wakeup, 1, 1024);
    evloop_cancel(loop, &g.task);
    wakeup_destroy(&wakeup);
    evloop_destroy(&loop);
}

/* --- threads --- */

enum { MESSAGES = 20000 };

struct mail {
    struct msg msg; /* first */
    unsigned number;
};

struct post {
    struct evloop *loop;
    struct msgq q;
    struct mail mails[MESSAGES];
    unsigned next;
    bool is_in_order;
    bool is_foreign_self; /* what the other thread saw */
};

static void *send_all(void *arg)
{
    struct post *post = arg;
    post->is_foreign_self = evloop_is_self(post->loop);
    for (unsigned i = 0; i < MESSAGES; i++) {
        post->mails[i].number = i;
        msgq_send(&post->q, &post->mails[i].msg);
    }
    return NULL;
}

static void on_post(void *arg)
{
    struct post *post = arg;
    struct msg *next;
    for (struct msg *msg = msgq_drain(&post->q); msg != NULL; msg = next) {
        next = msg->next;
        post->is_in_order = post->is_in_order && ((struct mail *)msg)->number == post->next;
        post->next++;
    }
    if (post->next == MESSAGES) {
        evloop_stop(post->loop);
    }
}

static void wakes_for_messages_of_another_thread(void **state)
{
    (void)state;
    struct post *post = alloc_zero(sizeof(*post));
    post->loop = evloop_create();
    post->is_in_order = true;
    struct wakeup *wakeup = wakeup_create(post->loop, on_post, post);
    msgq_init(&post->q, wakeup_signal, wakeup);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_all, post), 0);
    evloop_run(post->loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(post->next, MESSAGES);
    assert_true(post->is_in_order);
    assert_false(post->is_foreign_self);
    assert_true(evloop_is_self(post->loop));
    wakeup_destroy(&wakeup);
    msgq_fini(&post->q);
    evloop_destroy(&post->loop);
    alloc_free(post);
}

static void *run_loop(void *arg)
{
    evloop_run(arg);
    return NULL;
}

static void stops_from_another_thread(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_loop, loop), 0);
    evloop_stop(loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    evloop_destroy(&loop);
}

/* --- clocks --- */

struct alarm {
    struct evloop *loop;
    struct timer *timer;
    uint64_t fired_ms;
    char *log;
    char name;
    bool stops;
};

static void on_alarm(void *arg)
{
    struct alarm *alarm = arg;
    alarm->fired_ms = clock_mono_ms();
    if (alarm->log != NULL) {
        (void)strncat(alarm->log, &alarm->name, 1);
    }
    if (alarm->stops) {
        evloop_stop(alarm->loop);
    }
}

static void timers_fire_in_order_and_not_early(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    char log[8] = "";
    struct alarm alarms[] = {{.loop = loop, .log = log, .name = 'c', .stops = true},
                             {.loop = loop, .log = log, .name = 'a'},
                             {.loop = loop, .log = log, .name = 'b'},
                             {.loop = loop, .log = log, .name = 'x'}};
    const uint64_t ms[] = {60, 0, 30, 10};
    uint64_t start = clock_mono_ms();
    for (int i = 0; i < 4; i++) {
        alarms[i].timer = timer_create_on(loop, on_alarm, &alarms[i]);
        timer_set_ms(alarms[i].timer, ms[i]);
    }
    timer_stop(alarms[3].timer);
    timer_set_ms(alarms[2].timer, 20); /* anew */
    evloop_run(loop);
    assert_string_equal(log, "abc");
    assert_true(alarms[2].fired_ms + 1 >= start + 20);
    assert_true(alarms[0].fired_ms + 1 >= start + 60);
    for (int i = 0; i < 4; i++) {
        timer_destroy(&alarms[i].timer);
    }
    evloop_destroy(&loop);
}

static void timeouts_of_one_class_move_and_stop(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    char log[8] = "";
    struct alarm alarms[] = {{.loop = loop, .log = log, .name = 'c', .stops = true},
                             {.loop = loop, .log = log, .name = 'a'},
                             {.loop = loop, .log = log, .name = 'b'},
                             {.loop = loop, .log = log, .name = 'x'}};
    struct timeout timeouts[4];
    uint64_t start = evloop_now_ms(loop);
    for (int i = 0; i < 4; i++) {
        timeout_init(&timeouts[i], on_alarm, &alarms[i]);
        timeout_start(loop, &timeouts[i], 40);
    }
    timeout_stop(&timeouts[3]);
    timeout_start(loop, &timeouts[0], 40); /* now behind a and b */
    evloop_run(loop);
    assert_string_equal(log, "abc");
    assert_true(alarms[1].fired_ms >= start + 40);
    assert_false(timeout_is_running(&timeouts[0]));
    evloop_destroy(&loop);
}

static void many_durations_are_rounded_up(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    enum { N = 100 };
    struct alarm alarms[N];
    struct timeout timeouts[N];
    uint64_t start = evloop_now_ms(loop);
    for (uint32_t i = 0; i < N; i++) {
        alarms[i] = (struct alarm){.loop = loop, .stops = i == N - 1};
        timeout_init(&timeouts[i], on_alarm, &alarms[i]);
        timeout_start(loop, &timeouts[i], i + 1);
    }
    evloop_run(loop);
    for (uint32_t i = 0; i < N; i++) {
        assert_true(alarms[i].fired_ms >= start + i + 1);
    }
    evloop_destroy(&loop);
}

static void on_self_restart(void *arg)
{
    struct alarm *alarm = arg;
    struct timeout *timeout = (struct timeout *)(void *)alarm->timer;
    if (++alarm->fired_ms == 3) {
        evloop_stop(alarm->loop);
        return;
    }
    timeout_start(alarm->loop, timeout, 0);
}

static void a_timeout_may_restart_itself(void **state)
{
    (void)state;
    struct evloop *loop = evloop_create();
    struct timeout timeout;
    struct alarm alarm = {.loop = loop, .timer = (struct timer *)(void *)&timeout};
    timeout_init(&timeout, on_self_restart, &alarm);
    timeout_start(loop, &timeout, 5);
    evloop_run(loop);
    assert_int_equal(alarm.fired_ms, 3);
    evloop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_has_its_order),
        cmocka_unit_test(canceled_tasks_do_not_run),
        cmocka_unit_test(deferral_does_not_starve_events),
        cmocka_unit_test(wakes_for_messages_of_another_thread),
        cmocka_unit_test(stops_from_another_thread),
        cmocka_unit_test(timers_fire_in_order_and_not_early),
        cmocka_unit_test(timeouts_of_one_class_move_and_stop),
        cmocka_unit_test(many_durations_are_rounded_up),
        cmocka_unit_test(a_timeout_may_restart_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
