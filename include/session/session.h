#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H
/* One client connection: stream, parser, IMAP state, at most one view.  Made by the root for each
 * accepted connection; lives until the client or the root ends it, then tells the root once.
 * Owner of memory: itself; the root holds a pointer until closed().     Thread: loop.
 * RFC 3501/9051 section 3. */
#include "account/account.h"
#include "base/settings.h"
#include "base/stats.h"
#include "net/netaddr.h"

struct evloop;
struct fanout;
struct session;
struct tls_server;

/* What all sessions of a server share; outlives them. */
struct session_env {
    struct evloop *loop;
    struct accounts *accounts;
    struct stats *stats;
    struct store *store;
    struct fanout *fanout; /* may be NULL: everybody renders for himself */
    const struct settings *settings; /* the present snapshot; replaced by the root on reload */
};

struct session_listener {
    const struct listener_settings *settings; /* copied values are taken at creation */
    struct tls_server *tls;                   /* NULL: none; current one, for STARTTLS too */
};

struct session_ops {
    /* The session has ended and frees itself; called once, never inside a call of this header. */
    void (*closed)(void *root, struct session *session);
};

/* Takes @fd.  Greets at once (after the handshake on an implicit TLS listener). */
struct session *session_create(const struct session_env *env, int fd, const struct netaddr *peer,
                               const struct session_listener *listener,
                               const struct session_ops *ops, void *root);
/* "* BYE text" and end, after what is queued has been sent (bounded). */
void session_bye(struct session *session, const char *text);
/* End now. */
void session_abort(struct session *session);
/* Intrusive list of the root. */
struct session_link {
    struct session *next, *prev;
};
struct session_link *session_list_link(struct session *session);
/* For logs and the log-free counting of sessions per address. */
const struct netaddr *session_peer(const struct session *session);

#endif
