#include "base/settings.h"

#include <string.h>

#include "base/check.h"
#include "base/slice.h"

void settings_default_limits(struct limit_settings *limits)
{
    *limits = (struct limit_settings){
        .sessions = 10000,
        .sessions_per_address = 0,
        .login_timeout_ms = 60 * 1000,
        .idle_timeout_ms = 31 * 60 * 1000,
        .line_bytes = 64 * 1024,
        .command_bytes = 256 * 1024,
        .literal_bytes = 64 * 1024,
        .append_bytes = 0,
        .pipelined_commands = 512,
        .bad_commands = 20,
        .mailbox_messages = 10 * 1000 * 1000,
    };
}

void settings_default_auth(struct settings *settings)
{
    settings->auth_ttl_s = 10 * 60;
    settings->auth_reverify_ms = 60 * 60 * 1000;
    settings->auth_retry_ms = 60 * 1000;
    settings->auth_failures_per_login = 2;
    settings->auth_failures_per_address = 10;
    settings->auth_share_secret = false;
}

void settings_default_search(struct settings *settings)
{
    settings->search_settle_ms = 5 * 60 * 1000;
    settings->search_remember = 256;
}

void settings_default_upstream(struct upstream_settings *upstream)
{
    *upstream = (struct upstream_settings){
        .connect_timeout_ms = 20 * 1000,
        .command_timeout_ms = 5 * 60 * 1000,
        .idle_restart_ms = 9 * 60 * 1000,
        .search_map_from = 1000,
        .bulk_linger_ms = 20 * 1000,
        .account_linger_ms = 10 * 60 * 1000,
    };
}

const struct settings *settings_hold(const struct settings *settings)
{
    struct settings *held = (struct settings *)(uintptr_t)settings;
    (void)atomic_fetch_add_explicit(&held->holders, 1, memory_order_relaxed);
    return settings;
}

void settings_release(const struct settings **settings)
{
    struct settings *held = (struct settings *)(uintptr_t)*settings;
    *settings = NULL;
    if (held == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&held->holders, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1 && held->destroy != NULL) {
        held->destroy(held);
    }
}

static bool serves_domain(const struct upstream_settings *upstream, struct slice domain)
{
    for (const char *const *d = upstream->domains; d != NULL && *d != NULL; d++) {
        if (slice_eq_nocase(slice_str(*d), domain)) {
            return true;
        }
    }
    return false;
}

const struct upstream_settings *settings_upstream_for(const struct settings *settings,
                                                      const char *login, size_t login_len)
{
    struct slice domain = {login, login_len};
    size_t at;
    while ((at = slice_find(domain, '@')) < domain.len) {
        domain = slice_sub(domain, at + 1, domain.len);
    }
    bool has_domain = domain.len < login_len;
    const struct upstream_settings *any = NULL;
    for (size_t i = 0; i < settings->upstreams_n; i++) {
        const struct upstream_settings *upstream = &settings->upstreams[i];
        if (has_domain && serves_domain(upstream, domain)) {
            return upstream;
        }
        bool is_any = upstream->domains == NULL || upstream->domains[0] == NULL;
        if (any == NULL && is_any) {
            any = upstream;
        }
    }
    return any;
}
