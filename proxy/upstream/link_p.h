#ifndef UPSTREAM_LINK_P_H
#define UPSTREAM_LINK_P_H
/* What the files of this folder share.  link.c: life, states, connection events.  receive.c: bytes
 * to responses to whoever they concern.  login.c: greeting to READY.  pipeline.c: commands. wire.c:
 * one command as octets.  idle.c: IDLE.                                           Thread: loop. */
#include "base/buf.h"
#include "imap/outcmd.h"
#include "imap/reader.h"
#include "net/conn.h"
#include "net/evloop.h"
#include "net/timer.h"
#include "upstream/link.h"
#include "upstream/profile.h"

/* The order matters: what is before READY is login, what is from CLOSING on is over. */
enum link_state {
    LINK_CONNECTING,
    LINK_GREETING,   /* waiting for it */
    LINK_STARTTLS,   /* waiting for its tagged OK */
    LINK_TLS,        /* handshake, implicit or after STARTTLS */
    LINK_CAPABILITY, /* asked before STARTTLS or before the login */
    LINK_LOGIN,
    LINK_ENABLE, /* CAPABILITY, ID, ENABLE in flight */
    LINK_READY,
    LINK_IDLE_ASKED, /* no "+" yet */
    LINK_IDLING,
    LINK_IDLE_DONE, /* DONE sent; the tagged reply is to come */
    LINK_CLOSING,   /* lost; completions are to come */
    LINK_CLOSED,    /* nothing more comes; memory goes at the end of the turn */
    LINK_STATE_N
};

enum upcmd_stage {
    UPCMD_QUEUED,
    UPCMD_FILLING,   /* a small streamed literal is gathered first, nothing is sent yet */
    UPCMD_WRITING,   /* octets up to the next stop can be written */
    UPCMD_AWAIT_GO,  /* at a stop: "+" is to come */
    UPCMD_STREAMING, /* octets come from the owner */
    UPCMD_SENT,
    UPCMD_ENDED /* its done() is running */
};

enum {
    UPCMD__INTERNAL = 256, /* of the login: sent before READY */
    UPCMD__SECRET = 512,   /* its octets are wiped */
    UPCMD__QUICK = 1024,   /* costs the server nothing */

    LINK__SMALL_STREAM_MAX = 4096,
    LINK__SAID_MAX = 4096,
    LINK__LOGIN_LITERAL_MAX = 64 * 1024,
    LINK__CHALLENGE_MAX = 4096,
    LINK__LITERALS_MAX = 4096, /* in one response */
    LINK__IDLE_QUIET_MS = 50,
    LINK__BUSY_NOOP_MS = 1000, /* IDLE is wanted and commands leave no room for it */
    LINK__FRESH_POLLED_MS = 5000, /* nothing is told unasked (design section 7) */
    LINK__IDLE_FAILURES_MAX = 3,
    LINK__USER_TIMEOUT_MS = 30000,
    /* A peer that went without a word is found within half a minute by what is quick to answer: */
    LINK__STALE_MS = 16000,  /* silent for so long: is it still there, before a command is given? */
    /* In IDLE the kernel's keep-alive finds a peer that is gone; what keeps a connection open and passes
     * nothing on is looked for once a minute, not to burden the server. */
    LINK__PROBE_MS = 60 * 1000,
    LINK__SURE_MS = 2000,    /* heard within this: surely there, for what must not be given twice */
    LINK__ANSWER_MS = 12000, /* not an octet for so long, where an answer costs nothing: it is not */
    LINK__UPLOAD_STALL_MS = 120 * 1000, /* no octet from whoever uploads */
    LINK__TAG_MAX = 16, /* octets, NUL included */
};

struct upcmd {
    struct upcmd *next, *prev;
    struct link *link;
    const struct upcmd_ops *ops; /* NULL: detached */
    void *arg;
    unsigned flags;
    enum upcmd_stage stage;
    uint32_t tag;
    struct outcmd parts; /* until the wire text is made */
    struct buf wire;     /* octets with tag and CRLF, without a streamed literal */
    size_t wire_pos;     /* written so far */
    size_t *stops;       /* ascending offsets in wire where "+" must come first */
    size_t stops_n;
    size_t stop_at;     /* the next one */
    size_t stream_stop; /* index of the stop where the streamed literal stands, or SIZE_MAX */
    uint64_t stream_left;
    bool is_answered; /* NO came while its last octets are being written: they must go all the same */
    struct buf filled; /* FILLING: the streamed literal */
};

struct upcmd_list {
    struct upcmd *head;
    size_t n;
};

struct link {
    struct link_env env;
    struct link_login login; /* borrowed; not read after the login */
    const struct link_ops *ops;
    void *owner;
    char peer[96];

    enum link_state state; /* written by link__goto() alone */
    struct conn *conn;     /* NULL from CLOSING on */
    struct timeout deadline;
    uint32_t patience_ms;    /* of the deadline that runs */
    uint64_t deadline_bytes; /* moved in both directions when it was set */
    struct task pump;
    struct task tear_down;
    bool is_paused;
    uint64_t counted_in, counted_out;

    struct reader reader;
    struct upcmd *literal_owner; /* claimed a literal of the present response */
    bool has_streamed;           /* the present response has a streamed literal */

    struct capabilities caps;
    bool has_caps; /* of the present stage */
    uint64_t offered; /* before the login */
    bool is_probe, has_offered, was_challenged;
    struct buf challenge;
    bool asked_id, asked_enable;
    bool has_qresync, has_condstore;
    bool is_given_qresync, is_given_condstore; /* said by ENABLED */
    bool has_told_esearch;
    bool presumes, presumed_wrongly;           /* READY before the answer to ENABLE */
    struct buf said; /* for profile_detect() */
    const struct profile *profile;

    struct upcmd_list flight; /* from its first octet to its tagged reply, in order of sending */
    struct upcmd_list queue;
    struct upcmd *current; /* the last of flight while it is not SENT */
    struct upcmd *alone;   /* in flight with UPCMD_ALONE */
    uint32_t last_tag;
    uint64_t last_tagged_ms;

    bool wants_idle;
    unsigned idle_failures; /* LINK__IDLE_FAILURES_MAX: no more IDLE on this link */
    uint32_t idle_tag;
    uint64_t heard_ms;    /* when the server last said something */
    uint64_t idle_end_ms; /* when this IDLE is to be given again */
    bool is_asked;        /* a NOOP is to show whether it is there */
    bool is_watched;      /* somebody waits for what IDLE brings */
    struct timeout idle_timer, busy_timer;

    struct fail fail;
    struct response refusal_copy;
    const struct response *refusal; /* NULL or &refusal_copy; borrows from reader */
};

/* --- link.c --- */
void link__goto(struct link *link, enum link_state next, const char *why);
bool link__is_over(const struct link *link);
/* The link is no more: marks it, ends the connection, completes everything in this turn but not
 * inside this call.  Nothing when it is over already.  @refusal borrows from the reader or is NULL.
 */
void link__lose(struct link *link, enum status why, const struct response *refusal, const char *fmt,
                ...) __attribute__((format(printf, 4, 5)));
/* Start or stop the deadline of the commands, by what is awaited. */
void link__watch(struct link *link);

/* --- receive.c --- */
void link__read(struct link *link);

/* --- login.c --- */
enum login_way { LOGIN_PLAINTEXT, LOGIN_STARTTLS, LOGIN_REFUSE };
/* How to go on from a connection that is not encrypted. */
enum login_way login__choose(const struct upstream_settings *upstream, bool is_loopback,
                             const struct capabilities *caps);
void login__greeting(struct link *link, const struct response *r);
void login__tls_ready(struct link *link);
void login__untagged(struct link *link, const struct response *r);
/* "+" in the login that no literal of ours waits for: why a token is refused. */
void login__challenge(struct link *link, const struct response *r);

#endif
