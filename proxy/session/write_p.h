#ifndef WRITE_P_H
#define WRITE_P_H
/* What STORE, COPY, MOVE, EXPUNGE and APPEND have in common: one command upstream, whose outcome may
 * stay unknown, and a mailbox that must be up to date before the client hears OK. */
#include "imap/respdata.h"
#include "session_p.h"

/* COPYUID names every message: with many of them its sets are long. */
enum { WRITE_ANSWER_MAX = 4 * 1024 * 1024, WRITE_ATTEMPTS_MAX = 8 };

struct write {
    struct session *session;
    struct job *job;
    struct request *request;
    struct refresh_request *refresh;
    struct feed *other; /* being refreshed */
    bool is_sent;  /* write_send() was called */
    bool is_done;  /* the upstream has answered, or will not */
    bool is_fresh; /* the other mailbox knows what was written to it */
    bool was_sent; /* without an answer: the outcome is unknown */
    bool has_answer;
    bool has_told; /* untagged data went to the client already */
    bool is_taken; /* what it did to names of mailboxes */
    unsigned attempts;
    enum status status;
    struct buf answer; /* "OK [COPYUID ...] words": the tagged reply, sanitised */
    struct buf told;   /* untagged lines for the client, whole */
};

/* @cmd is emptied. */
void write_send(struct write *write, enum route route, struct feed *feed, struct outcmd *cmd,
                const struct upcmd_ops *ops);
/* For upcmd_ops of a verb: keeps the tagged reply and wakes the session. */
void write_done(void *arg, enum status st, const struct response *tagged, bool was_sent);
/* Before the OK: the model of the mailbox written to, if there is one, hears of it.
 * True: go on now; false: STEP_WAIT. */
bool write_refresh_other(struct write *write, struct slice mailbox);
/* The outcome is unknown: the session has been ended (design section 1, promise 2). */
bool write_is_lost(struct write *write);
/* Its link died before anything of an answer went to the client: what may be done twice is sent a
 * second time. */
/* It was not given twice, or did not kill its link (AGAIN). */
bool write_has_attempts(const struct write *write);
bool write_may_repeat(const struct write *write);
/* The upstream's words, or the status's. */
void write_finish(struct write *write);
void write_fini(struct write *write);
/* The session goes: what is under way will be answered all the same. */
void write_leave(struct write *write, const struct name_change *change);
void write_cancel(struct session *session, struct job *job);

#endif
