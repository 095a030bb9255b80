#include "base/msgq.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "base/check.h"

void msgq_init(struct msgq *q, void (*wake)(void *arg), void *wake_arg)
{
    pthread_condattr_t attr;
    CHECK(pthread_mutex_init(&q->lock, NULL) == 0);
    CHECK(pthread_condattr_init(&attr) == 0);
    CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&q->filled, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    q->head = NULL;
    q->tail = &q->head;
    q->wake = wake;
    q->wake_arg = wake_arg;
}

void msgq_fini(struct msgq *q)
{
    (void)pthread_mutex_destroy(&q->lock);
    (void)pthread_cond_destroy(&q->filled);
}

void msgq_send(struct msgq *q, struct msg *msg)
{
    msg->next = NULL;
    (void)pthread_mutex_lock(&q->lock);
    bool was_empty = q->head == NULL;
    *q->tail = msg;
    q->tail = &msg->next;
    if (was_empty && q->wake == NULL) {
        (void)pthread_cond_signal(&q->filled);
    }
    (void)pthread_mutex_unlock(&q->lock);
    if (was_empty && q->wake != NULL) {
        q->wake(q->wake_arg);
    }
}

static struct msg *take_all(struct msgq *q)
{
    struct msg *all = q->head;
    q->head = NULL;
    q->tail = &q->head;
    return all;
}

struct msg *msgq_drain(struct msgq *q)
{
    (void)pthread_mutex_lock(&q->lock);
    struct msg *all = take_all(q);
    (void)pthread_mutex_unlock(&q->lock);
    return all;
}

struct msg *msgq_wait(struct msgq *q, int timeout_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&q->lock);
    int rc = 0;
    while (q->head == NULL && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&q->filled, &q->lock, &until);
    }
    struct msg *all = take_all(q);
    (void)pthread_mutex_unlock(&q->lock);
    return all;
}
