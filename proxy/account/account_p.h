#ifndef ACCOUNT_P_H
#define ACCOUNT_P_H
/* What the files of the account layer share of accounts and proofs; links_p.h has their links and
 * requests, feed_p.h their mailboxes.  See account.h and feed.h for the contracts.
 *
 *   accounts ── account ── slots   (one link each: spare, feed or bulk)
 *                     ├── feeds   (one mailbox each; its slot while it has one)
 *                     ├── proofs  (secrets the upstream has accepted)
 *                     └── waiting (requests for which no link is up yet)
 * Thread: loop. */
#include <uthash.h>

#include "account/account.h"
#include "net/evloop.h"
#include "net/secret.h"
#include "net/timer.h"
#include "store/store.h"
#include "upstream/profile.h"

enum {
    ACCOUNT_PROOFS_MAX = 8,
    ACCOUNT_BULK_MAX = 2,
    ACCOUNT_UPLOADS_MAX = 4,
    ACCOUNT_UNUSED_FEEDS_MAX = 2,
    ACCOUNT_REFUSAL_MS = 60 * 1000, /* two refusals this far apart count (design section 8) */
};

struct proof {
    struct proof *next, *prev; /* newest first */
    unsigned char hash[SECRET_HASH_BYTES];
    struct secret *password;
    uint64_t proven_ms;
    uint64_t refused_ms; /* when a link was refused with it for the first time since; 0: not */
};

/* One login being tried at the upstream; several sessions with the same secret join. */
struct verification {
    struct verification *next, *prev;
    struct account *account;
    struct link *link;
    struct secret *password;
    unsigned char hash[SECRET_HASH_BYTES];
    struct login_request *requests;
};

struct login_request {
    struct login_request *next, *prev;
    struct accounts *accounts;
    struct verification *verification; /* NULL: answered from a proof, or refused at once */
    struct account *account;
    enum status status;
    login_done_fn *done;
    void *arg;
    struct task task;
};

struct account {
    UT_hash_handle hh;
    struct accounts *accounts;
    const struct settings *settings; /* held: upstream points into it */
    const struct upstream_settings *upstream;
    char *name; /* for logs */
    char *key;  /* upstream NUL authzid NUL authcid: what the store knows it by */
    size_t key_len;
    struct slice authzid; /* in key */
    struct slice authcid;
    struct proof *proofs;
    struct verification *verifications;
    struct account_user *users;
    struct slot *slots;
    size_t slots_n;
    struct slot *utility; /* one of slots: took the last ROUTE_ANY command; or NULL */
    struct feed *feeds; /* by name */
    struct request *waiting; /* ROUTE_ANY and ROUTE_BULK */
    struct request *sent;
    struct capabilities caps;
    const struct profile *profile; /* of the upstream, once a link is up */
    struct timer *linger;
    bool is_ending;
};

struct accounts {
    struct accounts_env env;
    const struct settings *settings;
    struct account *by_key;
    struct feed *stirred; /* those that the end of this turn looks at */
    size_t stirred_n;
    unsigned char proof_key[SECRET_KEY_BYTES];
    struct turn_hook hook;
    bool is_ending;
};

/* --- accounts.c --- */
struct evloop *account__loop(const struct account *account);
struct account *account__find(struct accounts *accounts, const struct upstream_settings *upstream,
                              const struct link_login *login, bool create);
void account__destroy(struct account *account);
/* Nobody uses it: start the linger clock; somebody does: stop it. */
void account__check_use(struct account *account);
/* --- proofs.c --- */
void proofs__hash(const struct account *account, struct slice password,
                  unsigned char out[SECRET_HASH_BYTES]);
struct proof *proofs__find(struct account *account, const unsigned char hash[SECRET_HASH_BYTES]);
void proofs__add(struct account *account, struct secret **password);
void proofs__drop(struct account *account, struct proof *proof);
void proofs__clear(struct account *account);
/* The newest that was not refused a moment ago, to log a link in with; NULL: none. */
struct proof *proofs__for_link(struct account *account);
/* A link was refused with it.  True: it counts, the proof is gone. */
bool proofs__refused(struct account *account, struct proof *proof);
void verification__destroy(struct verification *verification);
/* Does this refusal speak of the secret (design section 8)? */
bool proofs__refusal_counts(const struct response *refusal);

#endif
