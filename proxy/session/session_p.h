#ifndef SESSION_P_H
#define SESSION_P_H
/* What the files of the session layer share.
 *
 *   conn ──bytes──> reader ──units──> jobs (a queue; the head runs, FETCHes behind it are planned
 *   ahead) ──> verb functions, one file each ──> account, feed, plan, view ──> session_write()
 *
 * A verb's run() is called when its job comes to the head of the queue and after each
 * session_wake(); it goes on from where job->work says and returns what it waits for.  It ends with
 * job_finish() (updates that may be told now, then the tagged reply) and STEP_DONE.
 * Thread: loop. */
#include "account/account.h"
#include "account/feed.h"
#include "imap/command.h"
#include "imap/emit.h"
#include "imap/reader.h"
#include "model/view.h"
#include "net/conn.h"
#include "net/evloop.h"
#include "net/timer.h"
#include "session/session.h"

struct job;

enum session_state {
    SESSION_GREETING, /* TLS handshake of an implicit listener */
    SESSION_NOT_AUTHENTICATED,
    SESSION_STARTTLS, /* handshake */
    SESSION_AUTHENTICATED,
    SESSION_SELECTED,
    SESSION_CLOSING, /* nothing is read any more */
    SESSION_STATE_N
};

enum step {
    STEP_DONE,  /* job_finish() was called */
    STEP_WAIT,  /* session_wake() will come */
    STEP_AGAIN, /* budget used up: call again next turn */
    STEP_CLOSE, /* session_bye() or session_abort() was called */
};

enum session_enabled { ENABLED_CONDSTORE = 1, ENABLED_QRESYNC = 2 };

enum {
    JOB_ARENA_MAX = 4 * 1024 * 1024,
    SESSION_OUT_BUDGET = 256 * 1024, /* octets written by one job in one turn */
    SESSION_STILL_HERE_MS = 2 * 60 * 1000,
};

struct verb {
    size_t work_size; /* of job->work: zeroed before the first run, freed after the job */
    enum step (*run)(struct session *session, struct job *job);
    /* The session ends, or the mailbox goes, with the job unfinished: cancel what is under way. */
    void (*cancel)(struct session *session, struct job *job);
    /* Part of a line has been written: nothing may be said before its end.  May be NULL. */
    bool (*is_in_line)(const struct job *job);
    /* Advisory: the job is queued behind jobs that have this too; ask for what it will need.  False:
     * enough is under way, ask me again later. */
    bool (*plan_ahead)(struct session *session, struct job *job);
    bool is_for_client; /* nothing remains of it but its answer: see on_leaving() of session.c */
};

/* One command. */
struct job {
    struct job *next, *prev;
    struct arena arena; /* what parsed borrows from */
    struct command parsed;
    const struct verb *verb;
    enum status parse_status; /* not OK: answered BAD when its turn comes */
    bool is_started, is_planned;
    size_t queued_bytes; /* of the arena, while in the queue */
    void *work;
};

struct session {
    struct session_link link;
    const struct session_env *env;
    const struct settings *settings; /* held */
    const struct session_ops *ops;
    void *root;
    struct netaddr peer;
    bool is_tls_listener, has_starttls, allow_cleartext;
    bool is_ended; /* the client has closed its side */
    struct tls_server *tls;

    struct conn *conn;
    struct reader reader;
    enum session_state state;
    struct task run_task, closed_task;
    struct timeout timeout, still_here, leaving; /* login, then silence; IDLE; is_ended */
    const struct job *leaving_job; /* was the head already when that was last looked at */
    struct buf scratch; /* for rendering; emptied by who uses it */
    unsigned bad_n;     /* in a row */

    struct job *jobs; /* head runs */
    size_t jobs_n, jobs_bytes;
    size_t asked_n;           /* messages asked for ahead by FETCHes, of all jobs */
    size_t asked_bytes; /* of memory, that those take */
    uint64_t body_bytes_mean; /* of the body sections told; 0: none yet */
    struct fetch_next *next;  /* read-ahead, fetch_next.c; NULL: no single body was read here */
    /* A job that takes the client's next octets itself: APPEND's literal, the lines of
     * AUTHENTICATE, DONE of IDLE.  Set by the verb, NULL otherwise. */
    struct job *input_job;
    const struct input_ops *input_ops;
    struct job *append_job; /* its literal is announced and not over */
    bool owes_go;      /* "+" for a literal, once the jobs before it are done */
    bool skips_unit;   /* the unit being read was answered already */
    bool blocks_input; /* a job is queued behind which nothing may be taken for a command */

    struct account *account; /* from login on */
    struct account_user account_user;
    unsigned enabled; /* enum session_enabled */

    struct feed *feed; /* while selected */
    struct feed_user feed_user;
    struct view *view;
    bool is_read_only, is_idling; /* idling: updates are told as they come */
    bool is_examine, is_waiting; /* waiting: for messages or flags to be known, early.c */
    bool told_modseq; /* HIGHESTMODSEQ was told for this mailbox (T24) */
    struct ranges saved; /* "$": UIDs of the last SEARCH RETURN (SAVE) (RFC 5182) */
};

/* What a job that has taken the input hears.  See session->input_job. */
struct input_ops {
    /* A line that is not a command (AUTHENTICATE, IDLE). */
    void (*line)(struct session *session, struct job *job, struct slice text);
    /* Octets of the streamed literal; how many may be given now (0: wait for session_wake()). */
    size_t (*room)(struct session *session, struct job *job);
    void (*data)(struct session *session, struct job *job, struct slice bytes);
    void (*data_end)(struct session *session, struct job *job);
    /* Behind it another message is announced; it was added to the job's arguments. */
    void (*more)(struct session *session, struct job *job);
};

/* --- session.c --- */
void session__hang_up(struct session *session);
void session__goto(struct session *session, enum session_state next, const char *why);
/* Run jobs and read input later in this turn. */
void session_wake(struct session *session);
void session_write(struct session *session, struct slice bytes);
void session_printf(struct session *session, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* False: output is long; return STEP_WAIT, the session is woken when it has drained. */
bool session_has_room(struct session *session);
/* Tell the updates that this command allows, then "tag text".  text: "OK ...", "NO ...", "BAD ...";
 * written as it is, so nothing of a peer may be in it but what emit_relayed() made. */
void job_finish(struct session *session, struct job *job, struct slice text);
void job_finish_str(struct session *session, struct job *job, const char *text);
/* text: of emit_relayed(); a refusal names the client's command in place of what was sent for it. */
void job_finish_quoting(struct session *session, struct job *job, struct slice text);
/* By the table of base/status.h. */
void job_finish_status(struct session *session, struct job *job, enum status st);
/* The upstream's tagged reply, sanitised; st's table text when there is none. */
void job_finish_relayed(struct session *session, struct job *job, enum status st,
                        const struct response *tagged);
/* Leave the mailbox: cancels nothing, the view goes. */
void session__unselect(struct session *session);
/* Has the mailbox modseqs to tell? */
bool session_has_modseq(const struct session *session);
/* MODSEQ in use on this session; tells HIGHESTMODSEQ the first time in a mailbox (T24). */
void session_enable_condstore(struct session *session);
bool session_is_tls(const struct session *session);

/* --- input.c --- */
/* Take what the connection has: units into jobs, octets to the job that has taken the input. */
void input__read(struct session *session);
/* Lines behind it may not be commands (IDLE, AUTHENTICATE), or must not be read (STARTTLS). */
bool input__blocks(const struct job *job);
/* The APPEND whose literal was announced has been answered without it. */
void input__drop_append(struct session *session);

/* --- update.c --- */
/* Tell what is pending; expunges only when allowed.  is_uid: the running command is a UID command. */
void update_tell(struct session *session, bool allow_expunge, bool is_uid);
/* The lines FLAGS and PERMANENTFLAGS. */
void update_write_flag_lists(struct session *session, struct buf *out);
/* "* n FETCH (UID u FLAGS (...) MODSEQ (m))" as the session's state wants it, for one message of
 * the view, into @out. */
void update_write_flags(struct session *session, const struct view_message *message, bool with_uid,
                        struct buf *out);

/* --- auth.c --- */
/* The capability list before login. */
void auth_offer_before_login(struct session *session, struct buf *out);

/* --- set.c --- */
/* A set of the client's (numbers, or UIDs with is_uid) as UIDs of the view, into initialised @out.
 * PROTOCOL: a number beyond the view.  Vanished messages are included. */
enum status set_resolve(struct session *session, const struct seqset *set, bool is_uid,
                        struct ranges *out) MUST_USE;
/* Take the messages that have vanished upstream out of @uids; true when there were some. */
bool set_drop_vanished(struct session *session, struct ranges *uids);
/* The same messages in fewer parts: runs go over UIDs that no message has.  Long sets only. */
void set_close_gaps(struct session *session, struct ranges *uids);
/* The parts of @uids from index *at on that make a text of about @bytes, at least one, into @out. */
void set_next_piece(const struct ranges *uids, size_t *at, size_t bytes, struct ranges *out);

#include "verbs_p.h"

#endif
