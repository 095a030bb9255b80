/* Secrets that were accepted.  For auth.ttl afterwards the same secret is compared here, by a keyed
 * hash.  While sessions hang on it, each is verified again with itself at least every
 * auth.reverify; links use any of them.
 *
 *   proven ── auth.reverify, a link's login, a session's login ──> proven again
 *      └── refused, in words that speak of the secret ──> suspect: no login is answered from it,
 *          its sessions go on; tried again after auth.retry ──> proven again
 *                                                       └─> refused again: it goes, BYE to its own
 * One frightening NO must not throw an office out. */
#include <string.h>
#include <utlist.h>

#include "links_p.h"
#include "logins_p.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "upstream/throttle.h"

static uint64_t now_ms(const struct account *account)
{
    return evloop_now_ms(account__loop(account));
}

/* The present ones, not those that the account was made with. */
static const struct settings *settings_of(const struct account *account)
{
    return account->accounts->settings;
}

void proofs__hash(const struct accounts *accounts, struct slice login_key, enum sasl_mech mech,
                  struct slice secret, unsigned char out[SECRET_HASH_BYTES])
{
    const struct slice fields[] = {login_key, slice_str(sasl_name(mech)), secret};
    secret_hash(accounts->proof_key, fields, 3, out);
}

struct proof *proofs__find(struct account *account, const unsigned char hash[SECRET_HASH_BYTES])
{
    struct proof *proof;
    DL_FOREACH(account->proofs, proof) {
        if (secret_hash_eq(proof->hash, hash)) {
            return proof;
        }
    }
    return NULL;
}

const unsigned char *proofs__hash_of(const struct proof *proof)
{
    return proof->hash;
}

struct link_login proofs__login(const struct account *account, const struct proof *proof)
{
    return (struct link_login){.authzid = account->authzid,
                               .authcid = account->authcid,
                               .password = secret_bytes(proof->secret),
                               .mech = proof->mech};
}

bool proofs__is_young(const struct account *account, const struct proof *proof)
{
    uint64_t age = now_ms(account) - proof->proven_ms;
    return proof->refused_ms == 0 && age < (uint64_t)settings_of(account)->auth_ttl_s * 1000;
}

/* --- coming and going ------------------------------------------------------------------------- */

static void schedule(struct account *account);

static void drop(struct account *account, struct proof *proof)
{
    DL_DELETE(account->proofs, proof);
    secret_destroy(&proof->secret);
    secret_wipe(proof, sizeof(*proof));
    alloc_free(proof);
}

void proofs__clear(struct account *account)
{
    while (account->proofs != NULL) {
        drop(account, account->proofs);
    }
}

/* More than anybody needs: those that nobody hangs on go, the oldest first. */
static void drop_surplus(struct account *account)
{
    size_t n = 0;
    struct proof *proof, *next;
    DL_FOREACH_SAFE(account->proofs, proof, next) {
        n += proof->users_n == 0;
        if (n > LOGINS_PROOFS_MAX && proof->users_n == 0) {
            drop(account, proof);
        }
    }
}

static void prove(struct account *account, struct proof *proof)
{
    proof->proven_ms = now_ms(account);
    proof->refused_ms = 0;
    proof->again_ms = 0;
    guard_forget_refusal(account->accounts->guard, proof->hash);
    schedule(account);
}

struct proof *proofs__accepted(struct account *account, const struct verification *verification,
                               struct secret **secret)
{
    struct proof *proof = proofs__find(account, verification->hash);
    if (proof == NULL) {
        proof = alloc_zero(sizeof(*proof));
        memcpy(proof->hash, verification->hash, sizeof(proof->hash));
        proof->secret = *secret;
        proof->mech = verification->mech;
        *secret = NULL;
        DL_PREPEND(account->proofs, proof);
        drop_surplus(account);
    } else {
        secret_destroy(secret);
    }
    prove(account, proof);
    return proof;
}

/* --- refusals --------------------------------------------------------------------------------- */

bool proofs__refusal_counts(const struct response *refusal)
{
    return refusal != NULL && refusal->kind == RESPONSE_TAGGED && refusal->cond == COND_NO &&
           (refusal->code == CODE_NONE || refusal->code == CODE_AUTHENTICATIONFAILED) &&
           throttle_of(refusal).kind == THROTTLE_NONE; /* said without a code, too */
}

/* Tokens expire as a matter of course, and a BYE costs their sessions no more than a new login: the
 * second try comes sooner. */
static uint64_t retry_ms(const struct account *account, const struct proof *proof)
{
    uint64_t retry = settings_of(account)->auth_retry_ms;
    return sasl_is_token(proof->mech) ? retry / LOGINS_TOKEN_HURRY : retry;
}

static void revoke(struct account *account, struct proof *proof)
{
    const char *text = sasl_is_token(proof->mech)
                           ? "[UNAVAILABLE] The token has expired, log in again"
                           : "[UNAVAILABLE] The mail server no longer accepts this login";
    struct account_user *user = account->users;
    LOG(LOG_WARN, "auth", "msg=\"a proven secret is refused for good\" account=%s sessions=%zu",
        account->name, proof->users_n);
    stats_add(account->accounts->env.stats, STAT_secrets_revoked, 1);
    while (user != NULL) {
        if (user->proof != proof) {
            user = user->next;
            continue;
        }
        user->revoked(user, text);
        CHECK(user->account == NULL);
        user = account->users; /* others may have left with it */
    }
    drop(account, proof);
}

void proofs__refused(struct account *account, struct proof *proof)
{
    uint64_t now = now_ms(account);
    if (proof->refused_ms == 0) {
        LOG(LOG_WARN, "auth", "msg=\"a proven secret is refused\" account=%s sessions=%zu",
            account->name, proof->users_n);
        proof->refused_ms = now;
    } else if (now - proof->refused_ms >= retry_ms(account, proof)) {
        revoke(account, proof);
    }
    schedule(account);
}

void proofs__postpone(struct account *account, struct proof *proof)
{
    proof->again_ms = now_ms(account) + settings_of(account)->auth_retry_ms;
    schedule(account);
}

/* --- verifying again -------------------------------------------------------------------------- */

/* UINT64_MAX: never. */
static uint64_t due_ms(const struct account *account, const struct proof *proof)
{
    uint64_t reverify = settings_of(account)->auth_reverify_ms;
    uint64_t due = UINT64_MAX;
    if (proof->refused_ms != 0) {
        due = proof->refused_ms + retry_ms(account, proof);
    } else if (proof->users_n > 0 && reverify > 0) {
        due = proof->proven_ms + reverify;
    }
    return due < proof->again_ms ? proof->again_ms : due;
}

static void schedule(struct account *account)
{
    uint64_t now = now_ms(account), next = UINT64_MAX;
    struct proof *proof;
    DL_FOREACH(account->proofs, proof) {
        uint64_t due = due_ms(account, proof);
        bool is_asked = due <= now && verify__find(account, proof->hash) != NULL;
        next = due < next && !is_asked ? due : next;
    }
    if (account->is_ending || next == UINT64_MAX) {
        timer_stop(account->recheck);
    } else {
        timer_set_ms(account->recheck, next > now ? next - now : 0);
    }
}

void proofs__recheck(void *arg)
{
    struct account *account = arg;
    uint64_t now = now_ms(account);
    struct proof *proof;
    DL_FOREACH(account->proofs, proof) {
        if (due_ms(account, proof) > now || verify__find(account, proof->hash) != NULL) {
            continue;
        }
        if (verify__add(account, proof->mech, secret_bytes(proof->secret), proof->hash) == NULL) {
            proof->again_ms = now + settings_of(account)->auth_retry_ms; /* a crowd at the door */
        }
    }
    account__check_use(account);
    schedule(account);
}

/* --- who uses it ------------------------------------------------------------------------------ */

void proofs__hold(struct account *account, struct proof *proof)
{
    proof->users_n++;
    schedule(account);
}

void proofs__let_go(struct account *account, struct proof *proof)
{
    CHECK(proof->users_n > 0);
    proof->users_n--;
    schedule(account);
}

/* One that was refused only when there is no other, and not at once. */
struct proof *proofs__for_link(struct account *account)
{
    uint64_t now = now_ms(account);
    struct proof *proof, *suspect = NULL;
    DL_FOREACH(account->proofs, proof) {
        if (proof->refused_ms == 0) {
            return proof;
        }
        if (suspect == NULL && now - proof->refused_ms >= retry_ms(account, proof)) {
            suspect = proof;
        }
    }
    return suspect;
}

void proofs__link_accepted(struct account *account, const unsigned char hash[SECRET_HASH_BYTES])
{
    struct proof *proof = proofs__find(account, hash);
    if (proof != NULL) {
        prove(account, proof);
    }
}

bool proofs__link_refused(struct account *account, const unsigned char hash[SECRET_HASH_BYTES],
                          const struct response *refusal)
{
    struct proof *proof = proofs__find(account, hash);
    if (!proofs__refusal_counts(refusal) || proof == NULL) {
        return false;
    }
    proofs__refused(account, proof);
    account__check_use(account);
    return true;
}
