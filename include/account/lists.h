#ifndef ACCOUNT_LISTS_H
#define ACCOUNT_LISTS_H
/* Answers of LIST, LSUB, NAMESPACE and STATUS, shared by the sessions of an account: two that ask the
 * same at once cause one upstream command, and an answer serves for a short while (LISTS_*_MS) who
 * asks the same again.  A write of the account (lists_changed()) ends that at once: whoever asks
 * after it is answered by a command begun after it.  A change from outside shows after that while.
 * Owner of memory: the account.  Limits: LISTS_ANSWER_MAX octets an answer, LISTS_KEPT_* of what is
 * kept.   Thread: loop.   Design section 9. */
#include "account/account.h"

enum {
    LISTS_NAMES_MS = 3000,
    LISTS_STATUS_MS = 2000,
    LISTS_ANSWER_MAX = 16 * 1024 * 1024,
    LISTS_KEPT_BYTES = 4 * 1024 * 1024,
    LISTS_KEPT_N = 128,
};

/* What an answer speaks of, and what a write changes. */
enum lists_topic {
    LISTS_NAMES = 1, /* which mailboxes there are, their attributes, subscriptions */
    LISTS_STATUS = 2 /* how many messages are in them */
};

struct lists_query {
    unsigned topics; /* enum lists_topic */
    unsigned kinds;  /* 1 << enum response_kind: the untagged data that belongs to it */
    struct slice mailbox; /* STATUS: of this mailbox alone; else empty.  For the call. */
};

struct lists_line {
    enum response_kind kind;
    struct slice text; /* behind the name: "(\\Noselect) ...", fit to be passed on */
};

struct lists_answer {
    enum status status;
    struct slice tagged; /* "OK words", sanitised; empty: there was none */
    const struct lists_line *lines;
    size_t n;
};

/* The answer is valid within the call. */
typedef void lists_fn(void *arg, const struct lists_answer *answer);
struct lists_request;
/* @cmd is emptied.  done() comes once, never inside this call. */
struct lists_request *lists_ask(struct account *account, const struct lists_query *query,
                                struct outcmd *cmd, lists_fn *done, void *arg);
void lists_cancel(struct lists_request **request);
/* A write of the account has been answered, or its outcome is not known. */
void lists_changed(struct account *account, unsigned topics);

#endif
