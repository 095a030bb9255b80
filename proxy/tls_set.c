#include "tls_set.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/tls.h"

enum { EXPIRY_WARNING_S = 14 * 86400 };

struct client_entry {
    char *ca_file; /* NULL: the system's */
    struct tls_client *tls;
};

struct tls_set {
    struct tls_server **servers; /* by index of the listener */
    size_t servers_n;
    struct client_entry *clients;
    size_t clients_n;
};

static void warn_of_expiry(const struct tls_server *tls, const char *cert_file)
{
    int64_t left_s = tls_server_expires_s(tls) - clock_wall_s();
    if (left_s < EXPIRY_WARNING_S) {
        LOG(LOG_WARN, "tls", "msg=\"certificate %s\" file=%s days=%lld",
            left_s < 0 ? "has expired" : "expires soon", LOG_Q(slice_str(cert_file)),
            (long long)(left_s / 86400));
    }
}

static enum status create_servers(struct tls_set *set, const struct settings *settings,
                                  struct fail *fail)
{
    set->servers_n = settings->listeners_n;
    set->servers = alloc_array(set->servers_n, sizeof(struct tls_server *));
    for (size_t i = 0; i < set->servers_n; i++) {
        const struct listener_settings *listener = &settings->listeners[i];
        if (listener->cert_file == NULL) {
            continue;
        }
        TRY(tls_server_create(listener->cert_file, listener->key_file, &set->servers[i], fail));
        warn_of_expiry(set->servers[i], listener->cert_file);
    }
    return OK;
}

static bool same_file(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

struct tls_client *tls_set_client(const struct tls_set *set, const char *ca_file)
{
    for (size_t i = 0; i < set->clients_n; i++) {
        if (same_file(set->clients[i].ca_file, ca_file)) {
            return set->clients[i].tls;
        }
    }
    return NULL;
}

static enum status create_clients(struct tls_set *set, const struct settings *settings,
                                  struct fail *fail)
{
    set->clients = alloc_array(settings->upstreams_n, sizeof(struct client_entry));
    for (size_t i = 0; i < settings->upstreams_n; i++) {
        const char *ca_file = settings->upstreams[i].ca_file;
        if (tls_set_client(set, ca_file) != NULL) {
            continue;
        }
        struct tls_client *tls = NULL;
        TRY(tls_client_create(ca_file, &tls, fail));
        struct client_entry *entry = &set->clients[set->clients_n++];
        entry->tls = tls;
        entry->ca_file = ca_file != NULL ? alloc_string(ca_file) : NULL;
    }
    return OK;
}

enum status tls_set_create(const struct settings *settings, struct tls_set **set_out,
                           struct fail *fail)
{
    struct tls_set *set = alloc_zero(sizeof(*set));
    enum status st = create_servers(set, settings, fail);
    if (st == OK) {
        st = create_clients(set, settings, fail);
    }
    if (st != OK) {
        tls_set_destroy(&set);
        return st;
    }
    *set_out = set;
    return OK;
}

void tls_set_destroy(struct tls_set **set_p)
{
    struct tls_set *set = *set_p;
    *set_p = NULL;
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < set->servers_n; i++) {
        tls_server_destroy(&set->servers[i]);
    }
    for (size_t i = 0; i < set->clients_n; i++) {
        tls_client_destroy(&set->clients[i].tls);
        alloc_free(set->clients[i].ca_file);
    }
    alloc_free(set->servers);
    alloc_free(set->clients);
    alloc_free(set);
}

struct tls_server *tls_set_server(const struct tls_set *set, size_t listener)
{
    return listener < set->servers_n ? set->servers[listener] : NULL;
}
