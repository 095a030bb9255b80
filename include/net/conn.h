#ifndef NET_CONN_H
#define NET_CONN_H
/* One TCP connection, plain or TLS: owns the descriptor, its watchers and both queues, and reports
 * by one callback.  Events never come inside a call of this header, nothing comes after
 * conn_close(), which may be called anywhere, in the callback too (memory goes at the end of the
 * turn).  Reading goes on by itself until the input limit; writing never refuses bytes, the caller
 * asks conn_has_room() and waits for CONN_EV_DRAINED.  Bounded bytes per turn and connection.
 * Owner: the creator, until conn_close().  An idle connection holds no buffer.
 * Thread: loop.   Limits: input 64 KiB, output (soft) 256 KiB, see conn_set_limits(). */
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "net/netaddr.h"

struct conn;
struct evloop;
struct iobuf;
struct iobuf_shared;
struct resolver;
struct tls_client;
struct tls_server;

enum conn_event {
    CONN_EV_OPEN,      /* first event: connected (accepted too); with implicit TLS the handshake
                        * is still to come, and what is written waits for it */
    CONN_EV_TLS_READY, /* handshake done and, as a client, the peer verified */
    CONN_EV_DATA,      /* conn_input() has more than before */
    CONN_EV_DRAINED,   /* there was no room, and now output is down to a quarter of the limit */
    CONN_EV_EOF,       /* the peer ended its side, after the last DATA; conn_input() may still hold
                        * bytes not consumed.  Writing remains possible.  Once. */
    CONN_EV_TIMEOUT,   /* the deadline passed; the connection goes on.  Once per setting. */
    CONN_EV_FAILED,    /* last event: conn_fail() says why; input already here stays readable.
                        * The owner still closes. */
};

/* @conn: the one that reports, so that one function can serve two legs. */
typedef void conn_fn(void *arg, struct conn *conn, enum conn_event event);

/* --- making one --- */
struct conn_accept_opts {
    const struct netaddr *peer; /* copied; NULL: asked of the kernel */
    struct tls_server *tls;     /* implicit TLS; NULL: plain */
    uint32_t user_timeout_ms;   /* TCP_USER_TIMEOUT: unacknowledged output; 0: the kernel's */
};

/* Takes @fd (connected, non-blocking).  TCP_NODELAY and keep-alive are set.  Never fails: what goes
 * wrong comes as an event. */
struct conn *conn_accept(struct evloop *loop, int fd, const struct conn_accept_opts *opts,
                         conn_fn *fn, void *arg);

struct conn_dial_opts {
    struct resolver *resolver;
    const char *host; /* name or literal address; copied; also the name TLS verifies */
    uint16_t port;
    struct tls_client *tls;      /* implicit TLS; NULL: plain */
    uint32_t address_timeout_ms; /* for one address, then the next is tried; 0: 10 s */
    uint32_t total_timeout_ms;   /* resolve, connect and implicit TLS together; 0: 30 s */
    uint32_t user_timeout_ms;    /* as above */
};

/* Resolves, then tries the addresses in turn.  Failing comes as CONN_EV_FAILED: NOT_FOUND, NETWORK,
 * TIMEOUT or TLS. */
struct conn *conn_dial(struct evloop *loop, const struct conn_dial_opts *opts, conn_fn *fn,
                       void *arg);

enum conn_close {
    CONN_CLOSE_FLUSH, /* send what is queued, then end; at most 10 s, and no longer than the loop
                       * lives, then as ABORT */
    CONN_CLOSE_ABORT, /* now; output not sent is lost */
};

/* Nulls the pointer.  No event afterwards; input unread is dropped. */
void conn_close(struct conn **conn, enum conn_close how);

/* Hand the connection to another owner. */
void conn_set_handler(struct conn *conn, conn_fn *fn, void *arg);

/* --- input --- */
/* First contiguous bytes not consumed; valid until conn_consume() or the end of the callback, even
 * if it closes. */
struct slice conn_input(const struct conn *conn);
/* All bytes not consumed (conn_input() may be less). */
size_t conn_input_bytes(const struct conn *conn);
void conn_consume(struct conn *conn, size_t n);
/* Drop all input not consumed. */
void conn_discard_input(struct conn *conn);
/* Paused: nothing is read, DATA and EOF wait.  On resuming, DATA is reported again (not inside the
 * call) when there is input. */
void conn_set_paused(struct conn *conn, bool is_paused);
/* Has the peer ended its side and been read to the end (EOF reported or about to be)? */
bool conn_is_ended(const struct conn *conn);

/* --- output: queued, sent at the end of the turn; large writes go to the socket at once --- */
void conn_write(struct conn *conn, struct slice bytes);
void conn_write_shared(struct conn *conn, struct iobuf_shared *shared);
/* Takes the bytes out of @from without copying. */
void conn_write_iobuf(struct conn *conn, struct iobuf *from);
/* Queued and not yet given to the kernel. */
size_t conn_pending_out(const struct conn *conn);
/* Is less than the output limit pending?  After false, CONN_EV_DRAINED will come. */
bool conn_has_room(struct conn *conn);
void conn_set_limits(struct conn *conn, size_t input_bytes, size_t output_bytes);
/* Bytes are overwritten when they are consumed or sent, in both directions: a login is under way. */
void conn_set_secret(struct conn *conn, bool is_secret);

/* --- STARTTLS; the connection is open and plain ---
 * What is queued goes out in clear first, then the handshake; its end is CONN_EV_TLS_READY or
 * FAILED.  Nothing is read in clear any more from this call on.
 * PROTOCOL when plaintext input is unread: it was injected or pipelined, and must never be taken
 * for input inside TLS.  As a client: close.  As a server: close, or conn_discard_input() and call
 * again.   RFC 9051 11.1, RFC 8314. */
enum status conn_start_tls_server(struct conn *conn, struct tls_server *tls) MUST_USE;
/* @host: the name to verify; NULL: the one dialed. */
enum status conn_start_tls_client(struct conn *conn, struct tls_client *tls,
                                  const char *host) MUST_USE;

/* --- facts --- */
/* CONN_EV_TIMEOUT in @ms from now; 0: none.  O(1); few distinct values, see net/timer.h. */
void conn_set_deadline_ms(struct conn *conn, uint32_t ms);
/* After FAILED: why.  Before: NULL. */
const struct fail *conn_fail(const struct conn *conn);
/* Far end; after OPEN the one really connected. */
const struct netaddr *conn_peer(const struct conn *conn);
/* "192.0.2.1:143"; dialing: "host:port".  For logs; of a dialed one asked for before OPEN the text
 * is valid until the end of the turn, else as long as the connection. */
const char *conn_peer_name(const struct conn *conn);
bool conn_peer_is_loopback(const struct conn *conn);
/* TLS established (handshake done). */
bool conn_is_tls(const struct conn *conn);
bool conn_tls_was_resumed(const struct conn *conn);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384"; "-" when plain. */
const char *conn_tls_text(const struct conn *conn, char out[64]);
/* Application bytes read and written so far. */
uint64_t conn_bytes_in(const struct conn *conn);
uint64_t conn_bytes_out(const struct conn *conn);

#endif
