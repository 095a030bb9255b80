#ifndef ACCOUNT_ORDERS_H
#define ACCOUNT_ORDERS_H
/* What the upstream has said of the order of one mailbox's messages (SORT) and of their threads
 * (THREAD).  Sort keys never change, and what they leave open goes by message number (RFC 5256 3):
 * the order of a set serves each of its subsets, whatever the flags do.  Threads are remembered for
 * exactly the set they were made of, while the mailbox has the same messages.  Two that want the same
 * at one time are one question.  What was answered NO, BAD, in part only, or by a link that was lost
 * is not remembered; nor are programs whose keys may change, or are not known here.  Where a server
 * may tell an order wrongly at first, it is brought to tell it rightly (orders_ahead.c).
 * Belongs to one feed and one store id: another mailbox under the same name begins with none.
 * In memory only: ORDERS_MAX a mailbox, ORDERS_BYTES_MAX in the process; the least recently used go.
 * Owner of memory: the feed.  Thread: loop.  Design section 6; RFC 5256, 5957. */
#include "imap/capability.h"
#include "imap/outcmd.h"

struct bitmap;
struct feed;
struct orders;
struct order_ask;

enum { ORDERS_MAX = 32, ORDERS_NUMBERS_MAX = 4 * 1024 * 1024 };
enum { ORDERS_BYTES_MAX = 128 * 1024 * 1024 };

/* UIDs of a set in the order of a program: places[i] says which of @uids, counted upwards from 0, is
 * the i-th; each once. */
struct order {
    struct bitmap *uids;
    uint32_t *places;
    size_t n;
};
/* @numbers (an upstream's) as far as they are among @asked (NULL: all), each where it stands first. */
struct order *order_create(const uint32_t *numbers, size_t n, const struct bitmap *asked)
    __attribute__((malloc, returns_nonnull));
struct order *order_copy(const struct order *order) __attribute__((malloc, returns_nonnull));
/* Only those of @to stay. */
void order_narrow(struct order *order, const struct bitmap *to);
/* *order may be NULL; becomes NULL. */
void order_destroy(struct order **order);

struct order_question {
    bool is_thread;
    struct slice program; /* "REVERSE DATE SUBJECT"; THREAD: "REFERENCES" */
    /* The messages, of those in the model.  NULL: those that @criteria select. */
    const struct bitmap *uids;
    /* "charset criteria" that select them, for a UID command on the feed: sent when @uids is NULL, or
     * makes too long a line.  Not remembered unless they look at flags and sets alone: Dovecot 2.3
     * tells a wrong order of messages in which it has just searched for a header field [measured]. */
    const struct outcmd *criteria;
    bool is_by_flags;
};

struct order_answer {
    enum status status;        /* OK; DENIED, PROTOCOL: @refusal; NETWORK, TIMEOUT, CANCELED ... */
    const struct order *order; /* OK, SORT: of the messages asked for that there are, and of others */
    struct slice threads;      /* OK, THREAD: "(1 2)(3)", UIDs */
    const struct bitmap *uids; /* OK: those in it */
    bool is_selected;          /* OK: by the criteria; else by what was asked for */
    struct slice refusal;      /* the upstream's "NO [..] ..." or "BAD ...", sanitised; may be empty */
};
/* The answer is borrowed for the call. */
typedef void order_done_fn(void *arg, const struct order_answer *answer);

/* Never NULL while the feed is mapped. */
struct orders *feed_orders(struct feed *feed);
/* Are its answers remembered?  Of a sort program: has it only keys that never change? */
bool orders_remembers(const struct capabilities *caps, bool is_thread, struct slice program);
/* From what is remembered; @uids is not NULL.  Counts as a use.  Borrowed until the next call here or
 * the end of the turn. */
bool orders_find(struct orders *orders, const struct order_question *question,
                 struct order_answer *out);
/* Ask the upstream, or join who has.  Completes once, never inside the call.  Borrows @question for
 * the call. */
struct order_ask *orders_ask(struct orders *orders, const struct order_question *question,
                             order_done_fn *done, void *arg);
/* No call of its done; also when the feed is gone.  What is under way and may be remembered goes on,
 * while there is not much of it. */
void orders_cancel(struct order_ask **ask);

#endif
