#ifndef ROOT_SERVER_H
#define ROOT_SERVER_H
/* The running proxy: owns the loop, the resolver, the store, the accounts, the TLS contexts, the
 * listeners, and the list of sessions.  Ends in order: BYE to all sessions, links logged out, the
 * store closed, everything freed.
 * Owner: the caller.   Thread: created by any thread, then loop (the one in server_run()), but for
 * the requests and the counters. */
#include "base/settings.h"
#include "base/status.h"

struct server;

/* Opens store and listeners.  Holds @settings itself. */
enum status server_create(const struct settings *settings, struct server **server_out,
                          struct fail *fail) MUST_USE;
/* Until server_request_stop() has been obeyed. */
void server_run(struct server *server);
/* In the thread of server_run(), after it; or when it was never called. */
void server_destroy(struct server **server);

/* End in order.  Thread: any. */
void server_request_stop(struct server *server);
/* All counters into the log (level info).  The server must be there.                Thread: any. */
void server_log_counters(const struct server *server);
/* Go on with @settings (held by the server): new limits, certificates, upstreams and listeners;
 * sessions stay.  When certificates cannot be loaded everything stays as it was, with a log line.
 * The cache's place and size change only with a restart.                          Thread: any. */
void server_request_reload(struct server *server, const struct settings *settings);

/* Can certificates and CA files of @settings be used?  The reason in @fail. */
enum status server_check(const struct settings *settings, struct fail *fail) MUST_USE;

#endif
