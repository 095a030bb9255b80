#ifndef BASE_MSGQ_H
#define BASE_MSGQ_H
/* Messages between threads: an intrusive first-in first-out queue with many senders and one
 * receiver.  The receiver is woken once per empty-to-non-empty edge, so it must always drain.
 * A message is freed by the thread that allocated it.   Thread: any, receiver calls noted. */
#include <pthread.h>
#include <stdbool.h>

struct msg {
    struct msg *next;
};

struct msgq {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct msg *head;
    struct msg **tail;
    void (*wake)(void *arg); /* NULL: the receiver blocks in msgq_wait() */
    void *wake_arg;
};

void msgq_init(struct msgq *q, void (*wake)(void *arg), void *wake_arg);
void msgq_fini(struct msgq *q);
void msgq_send(struct msgq *q, struct msg *msg);
/* Receiver: everything queued, oldest first; NULL when empty. */
struct msg *msgq_drain(struct msgq *q);
/* Receiver: like drain, blocking until there is something or timeout_ms passed (then NULL). */
struct msg *msgq_wait(struct msgq *q, int timeout_ms);

#endif
