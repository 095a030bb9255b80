#ifndef ACCOUNT_LOGINS_P_H
#define ACCOUNT_LOGINS_P_H
/* Who may come in: secrets that were proven (proofs.c), proving them (verify.c), and what is asked
 * of the upstream at all (logins.c, guard.c).  Owner of memory: the accounts.  Thread: loop.
 * Design section 8 "Proofs", "Refusals", "Tokens". */
#include "account_p.h"
#include "guard_p.h"

enum {
    LOGINS_PROOFS_MAX = 8,   /* of an account, that no session hangs on */
    LOGINS_QUEUE_MAX = 8,    /* verifications of an account, the running one included */
    LOGINS_HELD_MAX = 256,   /* attempts that wait for room for a failure, of all accounts */
    LOGINS_HELD_OF_LOGIN_MAX = 4,
    LOGINS_HOLD_MS = 30 * 1000,     /* so long, then they are told to come again */
    LOGINS_REPEAT_MAX_MS = 30 * 1000, /* a repeated refusal takes no longer than this */
    LOGINS_TOKEN_HURRY = 6, /* a token's second try comes so many times sooner */
};

/* A secret that the upstream accepted for the account. */
struct proof {
    struct proof *next, *prev; /* newest first */
    unsigned char hash[SECRET_HASH_BYTES];
    struct secret *secret;
    enum sasl_mech mech;
    size_t users_n;      /* sessions that hang on it */
    uint64_t proven_ms;  /* when the upstream accepted it last */
    uint64_t refused_ms; /* when it was refused for the first time since; 0: not */
    uint64_t again_ms;   /* not to be verified before this: the upstream could not be asked */
};

/* One login being tried at the upstream; several sessions with the same secret join.  Those of an
 * account run one at a time, in order. */
struct verification {
    struct verification *next, *prev;
    struct account *account;
    struct link *link; /* NULL: not its turn yet */
    struct secret *secret;
    enum sasl_mech mech;
    unsigned char hash[SECRET_HASH_BYTES];
    uint64_t began_ms;
    struct guard_ticket ticket;
    struct login_request *requests;
};

/* Where an attempt is:
 *   DECIDED   its answer is known and comes with the task
 *   HELD      waits for room for one more failure
 *   REPEATED  was refused a moment ago; the timer says when it hears so again
 *   VERIFIED  in a verification */
enum login_stage { LOGIN_DECIDED, LOGIN_HELD, LOGIN_REPEATED, LOGIN_VERIFIED };

struct login_request {
    struct login_request *next, *prev; /* in a verification, or in accounts->held */
    struct accounts *accounts;
    enum login_stage stage;
    struct secret *names; /* authzid NUL authcid: not secret, but of its length and life */
    struct secret *secret;
    enum sasl_mech mech;
    size_t authzid_len;
    char host[GUARD_HOST_MAX];
    uint64_t began_ms;
    struct verification *verification;
    struct account *account; /* DECIDED and OK */
    unsigned char hash[SECRET_HASH_BYTES];
    enum status status;
    struct buf text, challenge; /* REPEATED */
    login_done_fn *done;
    void *arg;
    struct task task;
    struct timer *timer;
};

/* --- proofs.c --- */
/* @login_key: accounts__key(). */
void proofs__hash(const struct accounts *accounts, struct slice login_key, enum sasl_mech mech,
                  struct slice secret, unsigned char out[SECRET_HASH_BYTES]);
/* Proven less than auth.ttl ago and not refused since. */
bool proofs__is_young(const struct account *account, const struct proof *proof);
/* The upstream has just accepted it; takes *secret. */
struct proof *proofs__accepted(struct account *account, const struct verification *verification,
                               struct secret **secret);
/* It was refused, and that counts.  The second time, long enough after the first, the proof goes,
 * and the sessions that hang on it are told. */
void proofs__refused(struct account *account, struct proof *proof);
/* It could not be asked about. */
void proofs__postpone(struct account *account, struct proof *proof);
/* A session hangs on it, or no longer. */
void proofs__hold(struct account *account, struct proof *proof);
void proofs__let_go(struct account *account, struct proof *proof);
/* account->recheck is over. */
void proofs__recheck(void *account);

/* --- verify.c --- */
struct verification *verify__find(struct account *account,
                                  const unsigned char hash[SECRET_HASH_BYTES]);
/* NULL: too many wait already. */
struct verification *verify__add(struct account *account, enum sasl_mech mech, struct slice secret,
                                 const unsigned char hash[SECRET_HASH_BYTES]);
void verify__destroy(struct verification *verification);
/* Nobody waits for it any more: gone when it has not begun. */
void verify__check_use(struct verification *verification);

/* --- logins.c --- */
void logins__complete(struct login_request *request, const struct login_answer *answer);
/* There may be room for those that are held: look at them in this turn. */
void logins__readmit(struct accounts *accounts);
void logins__readmit_all(void *accounts);

/* --- offers.c --- */
void offers__note(struct accounts *accounts, const struct upstream_settings *upstream,
                  const struct link *link);
/* Ask the upstreams that nothing is known of. */
void offers__ask(struct accounts *accounts);
void offers__clear(struct accounts *accounts);

#endif
