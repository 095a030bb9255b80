#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H
/* What an administrator can set, as plain data.  One settings snapshot is immutable once built; a
 * reload builds a new one and swaps the pointer, and whoever needs an old one longer holds it with
 * settings_hold().  The program's root parses the file; every layer below only reads.
 * Sizes in bytes, times in milliseconds unless the name says seconds.         Thread: loop. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum upstream_security {
    UPSTREAM_TLS,      /* imaps:// */
    UPSTREAM_STARTTLS, /* imap://: STARTTLS, or cleartext when the connected address is loopback */
};

struct upstream_settings {
    const char *name; /* section title, in logs */
    const char *host;
    uint16_t port;
    enum upstream_security security;
    const char *ca_file;        /* NULL: the system's */
    const char *const *domains; /* of the login's part after '@'; NULL-terminated, empty: any */
    uint32_t max_connections;   /* per account; 0: the profile's default */
    uint32_t connect_timeout_ms;
    uint32_t command_timeout_ms;
    uint32_t idle_restart_ms;   /* IDLE is given again after this */
    uint32_t search_map_from;   /* a mailbox of so many messages is read by SEARCH, not FETCH; 0: never */
    uint32_t bulk_linger_ms;    /* an unused bulk link stays this long */
    uint32_t account_linger_ms; /* links, model and secret stay this long after the last session */
};

struct listener_settings {
    const char *name;    /* section title, in logs */
    const char *address; /* "127.0.0.1:1143", "[::1]:993" */
    bool is_tls;         /* implicit TLS */
    bool has_starttls;
    bool allow_cleartext; /* login without TLS */
    const char *cert_file; /* chain, PEM; NULL: that of section tls */
    const char *key_file;
};

struct limit_settings {
    uint32_t sessions;           /* in all */
    uint32_t sessions_per_address;
    uint32_t login_timeout_ms;   /* from accept to login */
    uint32_t idle_timeout_ms;    /* silent client, RFC 3501 5.4: at least 30 minutes */
    uint32_t line_bytes;         /* one command line */
    uint32_t command_bytes;      /* line and its literals, APPEND's message not counted */
    uint32_t literal_bytes;      /* one collected literal */
    uint64_t append_bytes;       /* one appended message; 0 = the upstream's limit alone */
    uint32_t pipelined_commands; /* planned ahead per session */
    uint32_t bad_commands;       /* in a row, then BYE */
    uint32_t mailbox_messages;   /* of one mailbox; a larger one cannot be opened */
};

struct settings {
    struct upstream_settings *upstreams;
    size_t upstreams_n;
    struct listener_settings *listeners;
    size_t listeners_n;
    struct limit_settings limits;
    const char *cache_dir;
    uint64_t cache_size_bytes;
    uint32_t verify_every; /* of so many cached answers one is compared with the upstream; 0: none */
    uint32_t auth_ttl_s;      /* a proof answers logins locally this long */
    uint32_t auth_reverify_ms; /* with sessions, a proof is verified again after this; 0: never */
    /* A refusal stands this long: it is repeated, and only a second one after this counts. */
    uint32_t auth_retry_ms;
    uint32_t auth_failures_per_login; /* a minute; 0: any number */
    uint32_t auth_failures_per_address;
    bool auth_share_secret; /* each secret of a login is an account of its own */
    uint32_t search_settle_ms; /* a message younger than this may not be in the upstream's index yet */
    uint32_t search_remember;  /* criteria per mailbox whose results are kept */
    const char *log_level;
    const char *tls_cert_file;
    const char *tls_key_file;
    _Atomic uint32_t holders;
    void (*destroy)(struct settings *settings); /* by the last holder */
};

/* The defaults of the limits, of logins, of searches and of an upstream; strings stay NULL. */
void settings_default_limits(struct limit_settings *limits);
void settings_default_auth(struct settings *settings);
void settings_default_search(struct settings *settings);
void settings_default_upstream(struct upstream_settings *upstream);

const struct settings *settings_hold(const struct settings *settings);
void settings_release(const struct settings **settings);

/* The upstream for @login by its domain: exact (case-insensitive) domain first, else the first one
 * without domains, else NULL. */
const struct upstream_settings *settings_upstream_for(const struct settings *settings,
                                                      const char *login, size_t login_len);

#endif
