#ifndef ACCOUNT_P_H
#define ACCOUNT_P_H
/* What the files of the account layer share of accounts; logins_p.h has their proofs and logins,
 * links_p.h their links and requests, feed_p.h their mailboxes.  See account.h and feed.h for the contracts.
 *
 *   accounts ── account ── slots   (one link each: spare, feed or bulk)
 *                     ├── feeds   (one mailbox each; its slot while it has one)
 *                     ├── proofs  (secrets the upstream has accepted)
 *                     ├── waiting (requests for which no link is up yet)
 *                     └── line    (mailboxes that need a link and have none, budget_p.h)
 * Thread: loop. */
#include <uthash.h>

#include "account/account.h"
#include "orders_p.h"
#include "net/evloop.h"
#include "net/secret.h"
#include "net/timer.h"
#include "store/store.h"
#include "upstream/profile.h"

enum {
    ACCOUNT_BULK_MAX = 2,
    ACCOUNT_UPLOADS_MAX = 4,
    ACCOUNT_UNUSED_FEEDS_MAX = 2,
};

struct account {
    UT_hash_handle hh;
    struct accounts *accounts;
    const struct settings *settings; /* held: upstream points into it */
    const struct upstream_settings *upstream;
    char *name; /* for logs */
    char *key;  /* what the store knows it by: that of the login, with auth.share = secret more */
    size_t key_len;
    struct slice login_key; /* in key: accounts__key() */
    struct slice authzid;   /* in key */
    struct slice authcid;
    struct proof *proofs;
    struct timer *recheck; /* when the next proof is due */
    struct verification *verifications; /* the first one runs */
    struct account_user *users;
    size_t arriving_n; /* logins that are let in and do not know it yet */
    struct slot *slots;
    size_t slots_n;
    struct slot *utility; /* one of slots: took the last ROUTE_ANY command; or NULL */
    struct feed *feeds; /* by name */
    struct request *waiting; /* ROUTE_ANY and ROUTE_BULK */
    struct request *sent;
    struct entry *lists; /* lists.c: answers of LIST and STATUS, asked or kept */
    struct left *left; /* names.c: commands whose sessions have gone */
    struct capabilities caps;
    const struct profile *profile; /* of the upstream, once a link is up */
    bool awaits_enable; /* a link has presumed wrongly what ENABLE would give */
    struct timer *linger;
    struct link_meter meter; /* since midnight (UTC), or since the account is known */
    struct shadow *shadow;
    struct twin *twins; /* twins.c */
    bool is_ending;
    /* budget.c */
    struct feed *line; /* need a link and have none, the most urgent first */
    struct task line_task;
    struct timer *line_timer;
    bool is_yielding; /* a mailbox was asked to give way */
    bool wants_side; /* an upload waits for a link, and all are mailboxes' */
    /* reach.c */
    struct timer *pause; /* until the next attempt to make a link */
    struct timer *patience;
    unsigned failed_n; /* attempts in a row */
    uint64_t failed_ms; /* when the last of them did */
    bool is_away;
    uint64_t away_ms; /* since when */
    struct timer *slow; /* the server asked to be left alone so long */
    uint32_t slow_ms;   /* how long the last time */
    uint64_t slowed_ms; /* when */
    uint64_t slow_until_ms;
    uint32_t most_links; /* that it bears, until then; 0: it did not complain */
    uint64_t most_until_ms;
};

struct accounts {
    struct accounts_env env;
    const struct settings *settings;
    struct account *by_key;
    struct feed *stirred; /* those that the end of this turn looks at */
    size_t stirred_n;
    struct distrusted *distrusted; /* by account key (shadow.c) */
    unsigned char proof_key[SECRET_KEY_BYTES];
    struct guard *guard;
    struct login_request *held; /* in order of coming */
    size_t held_n;
    struct task readmit;
    struct orders_pool orders; /* what all mailboxes remember of them */
    struct offer *offers; /* what upstreams are known to offer before a login */
    struct turn_hook hook;
    struct timer *midnight; /* UTC */
    bool is_ending;
};

/* --- meter.c --- */
void meter__init(struct accounts *accounts);
void meter__fini(struct accounts *accounts);
/* Into the log, unless there is nothing to tell. */
void meter__log(const struct account *account, const char *when);

/* --- accounts.c --- */
/* profile.h: of the stand-in that the upstream tells in place of a message; 0: none. */
uint32_t account__standin_bytes(const struct account *account);
struct evloop *account__loop(const struct account *account);
/* upstream NUL authzid NUL authcid NUL, to be freed. */
char *accounts__key(const struct upstream_settings *upstream, const struct link_login *login,
                    size_t *len_out);
/* The account for that login (and, with auth.share = secret, that secret's hash). */
struct account *account__find(struct accounts *accounts, const struct upstream_settings *upstream,
                              const struct link_login *login,
                              const unsigned char hash[SECRET_HASH_BYTES], bool create);
struct link_env account__link_env(struct account *account);
void account__destroy(struct account *account);
/* Nobody uses it: start the linger clock; somebody does: stop it. */
void account__check_use(struct account *account);
/* --- lists.c --- */
void lists__clear(struct account *account);
/* --- names.c --- */
void names__clear(struct account *account);
/* --- proofs.c --- */
struct proof *proofs__find(struct account *account, const unsigned char hash[SECRET_HASH_BYTES]);
void proofs__clear(struct account *account);
/* The newest that was not refused a moment ago, to log a link in with; NULL: none. */
struct proof *proofs__for_link(struct account *account);
/* A link has logged in with it. */
void proofs__link_accepted(struct account *account, const unsigned char hash[SECRET_HASH_BYTES]);
/* A link was refused with it.  True: that speaks of the secret, and another one may be tried. */
bool proofs__link_refused(struct account *account, const unsigned char hash[SECRET_HASH_BYTES],
                          const struct response *refusal);
/* What a link needs of it: secret, mechanism.  Borrowed from the proof. */
struct link_login proofs__login(const struct account *account, const struct proof *proof);
const unsigned char *proofs__hash_of(const struct proof *proof);
/* Does this refusal speak of the secret (design section 8)? */
bool proofs__refusal_counts(const struct response *refusal);

#endif
