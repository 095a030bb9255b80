#ifndef ROOT_TLS_SET_H
#define ROOT_TLS_SET_H
/* The TLS contexts that one settings snapshot asks for: one for each listener with a certificate,
 * one for each CA file of the upstreams.  Immutable; a reload builds a new set.
 * Owner: the caller.                                                               Thread: loop. */
#include <stddef.h>

#include "base/settings.h"
#include "base/status.h"

struct tls_client;
struct tls_server;
struct tls_set;

/* IO or TLS with the file and the reason in @fail.  The set does not refer to @settings later. */
enum status tls_set_create(const struct settings *settings, struct tls_set **set_out,
                           struct fail *fail) MUST_USE;
void tls_set_destroy(struct tls_set **set);
/* The context of the settings' listener of that index; NULL: it has none. */
struct tls_server *tls_set_server(const struct tls_set *set, size_t listener);
/* The context for upstreams with that CA file (NULL: the system's); NULL when no upstream of the
 * settings has it. */
struct tls_client *tls_set_client(const struct tls_set *set, const char *ca_file);

#endif
