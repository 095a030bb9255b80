#ifndef NET_CONN_P_H
#define NET_CONN_P_H
/* A connection's parts, shared by conn.c (life, events), conn_io.c (bytes), conn_dial.c and
 * conn_tls.c.                                                                      Thread: loop. */
#include "evloop_p.h"
#include "net/conn.h"
#include "net/iobuf.h"
#include "net/timer.h"
#include "stream_p.h"

enum conn_state {
    CONN_RESOLVING,
    CONN_CONNECTING,
    CONN_OPENING,     /* connected; OPEN not told yet */
    CONN_UPGRADING,   /* STARTTLS: what was written before goes out in clear */
    CONN_HANDSHAKING, /* TLS */
    CONN_OPEN,
    CONN_BROKEN,    /* a write failed; what the peer said before is read, then FAILED */
    CONN_LINGERING, /* closed by the owner, all sent, waiting for the peer's end */
    CONN_FAILED,
    CONN_CLOSED, /* memory goes at the end of the turn */
};

/* Events not told yet, in the order they are told. */
enum conn_due {
    DUE_OPEN = 1 << CONN_EV_OPEN,
    DUE_TLS_READY = 1 << CONN_EV_TLS_READY,
    DUE_DATA = 1 << CONN_EV_DATA,
    DUE_DRAINED = 1 << CONN_EV_DRAINED,
    DUE_EOF = 1 << CONN_EV_EOF,
    DUE_TIMEOUT = 1 << CONN_EV_TIMEOUT,
    DUE_FAILED = 1 << CONN_EV_FAILED,
};

/* Only while there is need of it. */
struct conn_dialing;
struct conn_upgrade {
    SSL *ssl;
    struct iobuf clear; /* to be sent before the handshake */
};

struct conn {
    ev_io watcher;
    struct evloop *loop;
    struct conn *closing_next; /* while the owner has closed and it is not ended */
    struct conn *closing_prev;
    conn_fn *fn; /* NULL: the owner has closed, the rest is being sent */
    void *arg;
    struct stream stream;
    enum conn_state state;
    uint8_t due;
    int read_wait;  /* EV_READ or EV_WRITE that the last try waits for; 0: not known to wait */
    int write_wait; /* the same; in a handshake read_wait alone counts */
    bool is_paused;
    bool is_ended;       /* the peer's end was read */
    bool has_asked_room; /* and there was none: DRAINED is owed */
    struct iobuf in;
    struct iobuf out;
    size_t in_limit;
    size_t out_limit;
    uint64_t bytes_in;
    uint64_t bytes_out;
    struct task step;  /* advance without an event of the socket */
    struct task flush; /* at the end of the turn */
    struct timeout deadline;
    struct netaddr peer;
    uint16_t port; /* dialed */
    char *host;    /* dialed; NULL: accepted */
    char *name;    /* made when asked for */
    struct fail *fail;
    struct conn_upgrade *upgrade;
    struct conn_dialing *dialing;
};

/* The one place that starts and stops the watcher, from the facts. */
void conn__update(struct conn *c);
/* Tell what is due; the connection may be closed afterwards (then fn is NULL). */
void conn__tell(struct conn *c);
/* End with FAILED; fail is copied. */
void conn__fail(struct conn *c, const struct fail *fail);
void conn__destroy(struct conn *c);
/* Wants the connection the step task to run? */
void conn__defer_step(struct conn *c, enum evloop_when when);

/* conn_io.c */
bool conn__wants_read(const struct conn *c);
void conn__read(struct conn *c);
/* Send from the queue in use, then @more; n_out: how much of @more is gone. */
void conn__write(struct conn *c, struct slice more, size_t *n_out);
void conn__read_rest(struct conn *c);
void conn__linger(struct conn *c);
void conn__on_flush(void *conn);
/* Nothing more to send after a close? then say so to the peer. */
void conn__finish_closing(struct conn *c);

/* conn_tls.c */
void conn__handshake(struct conn *c);
void conn__start_handshake(struct conn *c, SSL *ssl);
void conn__upgrade_free(struct conn *c);

/* conn_dial.c */
void conn__dial_on_writable(struct conn *c);
void conn__dial_free(struct conn *c);
/* Set up a socket's options. */
void conn__set_options(int fd, uint32_t user_timeout_ms);

struct conn *conn__create(struct evloop *loop, conn_fn *fn, void *arg);

#endif
