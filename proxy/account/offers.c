/* What upstreams offer before a login, as last seen: a client chooses its mechanism before it says
 * who it is.  Every login tells; an upstream that nothing is known of, or that nobody has logged in
 * to for a while, is asked by a connection that does not log in: what is no longer offered is no
 * longer tried either.  One without TLS on a loopback address is not asked at first: that is a
 * server of the same machine or a tunnel, and the first login tells. */
#include <string.h>
#include <utlist.h>

#include "logins_p.h"
#include "base/alloc.h"
#include "base/log.h"
#include "net/netaddr.h"

enum {
    ASK_EVERY_MS = 60 * 1000,
    KNOWN_FOR_MS = 10 * 60 * 1000, /* since the last login that told */
};

struct offer {
    struct offer *next, *prev;
    struct accounts *accounts;
    char *host;
    uint16_t port;
    bool is_known;
    uint64_t capabilities; /* bits */
    uint64_t known_ms;
    struct link *probe;
    const struct settings *settings; /* held while the probe lives */
    uint64_t asked_ms;
};

static struct offer *get(struct accounts *accounts, const struct upstream_settings *upstream)
{
    struct offer *offer;
    DL_FOREACH(accounts->offers, offer) {
        if (offer->port == upstream->port && strcmp(offer->host, upstream->host) == 0) {
            return offer;
        }
    }
    offer = alloc_zero(sizeof(*offer));
    offer->accounts = accounts;
    offer->host = alloc_string(upstream->host);
    offer->port = upstream->port;
    DL_APPEND(accounts->offers, offer);
    return offer;
}

static bool note(struct offer *offer, const struct link *link)
{
    uint64_t bits;
    if (!link_offered(link, &bits)) {
        return false;
    }
    offer->is_known = true;
    offer->capabilities = bits;
    offer->known_ms = evloop_now_ms(offer->accounts->env.loop);
    return true;
}

void offers__note(struct accounts *accounts, const struct upstream_settings *upstream,
                  const struct link *link)
{
    note(get(accounts, upstream), link);
}

static void probe_closed(void *owner, struct link *link, enum status why,
                         const struct response *refusal, const struct fail *fail)
{
    struct offer *offer = owner;
    (void)refusal;
    if (!note(offer, link)) {
        LOG(LOG_WARN, "auth", "msg=\"cannot ask what is offered\" peer=%s status=%s detail=%s",
            link_peer(link), status_name(why), LOG_Q(slice_str(fail->text)));
    }
    offer->probe = NULL;
    settings_release(&offer->settings);
}

static void probe_untagged(void *owner, struct link *link, const struct response *response)
{
    (void)owner;
    (void)link;
    (void)response;
}

static const struct link_ops probe_ops = {.untagged = probe_untagged, .closed = probe_closed};

static bool is_near(const struct upstream_settings *upstream)
{
    struct netaddr addr;
    bool is_loopback = strcmp(upstream->host, "localhost") == 0 ||
                       (netaddr_parse_host(upstream->host, 0, &addr) && netaddr_is_loopback(&addr));
    return is_loopback && upstream->security != UPSTREAM_TLS;
}

static void ask(struct accounts *accounts, const struct upstream_settings *upstream)
{
    struct offer *offer = get(accounts, upstream);
    uint64_t now = evloop_now_ms(accounts->env.loop);
    bool is_soon = offer->asked_ms != 0 && now - offer->asked_ms < ASK_EVERY_MS;
    bool is_fresh = offer->is_known ? now - offer->known_ms < KNOWN_FOR_MS : is_near(upstream);
    if (is_fresh || is_soon || offer->probe != NULL) {
        return;
    }
    const struct link_env env = {
        .loop = accounts->env.loop,
        .resolver = accounts->env.resolver,
        .tls = accounts->env.tls_for(accounts->env.tls_arg, upstream),
        .upstream = upstream,
        .stats = accounts->env.stats,
    };
    offer->asked_ms = now;
    offer->settings = settings_hold(accounts->settings);
    offer->probe = link_create(&env, NULL, &probe_ops, offer);
}

void offers__ask(struct accounts *accounts)
{
    for (size_t i = 0; i < accounts->settings->upstreams_n && !accounts->is_ending; i++) {
        ask(accounts, &accounts->settings->upstreams[i]);
    }
}

void offers__clear(struct accounts *accounts)
{
    while (accounts->offers != NULL) {
        struct offer *offer = accounts->offers;
        DL_DELETE(accounts->offers, offer);
        if (offer->probe != NULL) {
            link_close(&offer->probe, false);
            settings_release(&offer->settings);
        }
        alloc_free(offer->host);
        alloc_free(offer);
    }
}

static bool has(const struct offer *offer, enum capability cap)
{
    return offer->is_known && (offer->capabilities >> (unsigned)cap & 1) != 0;
}

/* With several upstreams all that any of them has: a client that picks what its own has not is
 * refused, one that misses what its own has cannot come in at all. */
struct login_offers accounts_offers(struct accounts *accounts)
{
    struct login_offers all = {.has_password = accounts->settings->upstreams_n == 0};
    offers__ask(accounts);
    for (size_t i = 0; i < accounts->settings->upstreams_n; i++) {
        const struct offer *offer = get(accounts, &accounts->settings->upstreams[i]);
        all.has_password = all.has_password || !offer->is_known || has(offer, CAP_AUTH_PLAIN) ||
                           !has(offer, CAP_LOGINDISABLED);
        all.has_login_mechanism = all.has_login_mechanism || has(offer, CAP_AUTH_LOGIN);
        all.has_xoauth2 = all.has_xoauth2 || has(offer, CAP_AUTH_XOAUTH2);
        all.has_oauthbearer = all.has_oauthbearer || has(offer, CAP_AUTH_OAUTHBEARER);
    }
    return all;
}
