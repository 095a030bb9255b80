/* Who may come in.  A login is proven by the upstream accepting it; for auth.ttl afterwards the same
 * secret is compared here, by a keyed hash.  Several sessions logging in at once with one secret
 * share one verification.  The connection that proved a secret becomes the account's first link.
 *
 *   account_login ── proof young enough ──────────────────────────────> done(OK)
 *                └── verification: link ── ready ── proof, adopt link ─> done(OK)
 *                                      └── closed(AUTH, refusal) ──────> done(AUTH, text) */
#include <string.h>
#include <utlist.h>

#include "links_p.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "imap/emit.h"

void proofs__hash(const struct account *account, struct slice password,
                  unsigned char out[SECRET_HASH_BYTES])
{
    const struct slice fields[] = {slice_of(account->key, account->key_len), password};
    secret_hash(account->accounts->proof_key, fields, 2, out);
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

void proofs__drop(struct account *account, struct proof *proof)
{
    DL_DELETE(account->proofs, proof);
    secret_destroy(&proof->password);
    secret_wipe(proof, sizeof(*proof));
    alloc_free(proof);
}

void proofs__clear(struct account *account)
{
    while (account->proofs != NULL) {
        proofs__drop(account, account->proofs);
    }
}

void proofs__add(struct account *account, struct secret **password)
{
    unsigned char hash[SECRET_HASH_BYTES];
    proofs__hash(account, secret_bytes(*password), hash);
    struct proof *proof = proofs__find(account, hash);
    if (proof != NULL) {
        secret_destroy(password);
        DL_DELETE(account->proofs, proof);
    } else {
        proof = alloc_zero(sizeof(*proof));
        memcpy(proof->hash, hash, sizeof(hash));
        proof->password = *password;
        *password = NULL;
    }
    proof->proven_ms = evloop_now_ms(account__loop(account));
    proof->refused_ms = 0;
    DL_PREPEND(account->proofs, proof);
    int n;
    struct proof *each;
    DL_COUNT(account->proofs, each, n);
    if (n > ACCOUNT_PROOFS_MAX) {
        proofs__drop(account, account->proofs->prev); /* utlist: the head's prev is the oldest */
    }
}

struct proof *proofs__for_link(struct account *account)
{
    uint64_t now = evloop_now_ms(account__loop(account));
    struct proof *proof;
    DL_FOREACH(account->proofs, proof) {
        if (proof->refused_ms == 0 || now - proof->refused_ms >= ACCOUNT_REFUSAL_MS) {
            return proof;
        }
    }
    return NULL;
}

bool proofs__refused(struct account *account, struct proof *proof)
{
    uint64_t now = evloop_now_ms(account__loop(account));
    if (proof->refused_ms == 0) {
        proof->refused_ms = now;
        return false;
    }
    if (now - proof->refused_ms < ACCOUNT_REFUSAL_MS) {
        return false;
    }
    proofs__drop(account, proof);
    return true;
}

bool proofs__refusal_counts(const struct response *refusal)
{
    return refusal != NULL && refusal->kind == RESPONSE_TAGGED && refusal->cond == COND_NO &&
           (refusal->code == CODE_NONE || refusal->code == CODE_AUTHENTICATIONFAILED);
}

/* --- verification ---------------------------------------------------------------------------- */

static void complete(struct login_request *request, enum status st, struct slice text)
{
    struct account *account = request->account;
    login_done_fn *done = request->done;
    void *arg = request->arg;
    struct stats *stats = request->accounts->env.stats;
    stats_add(stats, st == OK ? STAT_logins_ok : STAT_logins_refused, 1);
    evloop_cancel(request->accounts->env.loop, &request->task);
    alloc_free(request);
    done(arg, st, st == OK ? account : NULL, text);
}

static void complete_all(struct verification *verification, enum status st, struct slice text)
{
    while (verification->requests != NULL) {
        struct login_request *request = verification->requests;
        DL_DELETE(verification->requests, request);
        complete(request, st, text);
    }
}

void verification__destroy(struct verification *verification)
{
    struct account *account = verification->account;
    DL_DELETE(account->verifications, verification);
    if (verification->link != NULL) {
        link_close(&verification->link, false);
    }
    complete_all(verification, CANCELED, SLICE(""));
    secret_destroy(&verification->password);
    alloc_free(verification);
}

static void verified(void *owner, struct link *link)
{
    struct verification *verification = owner;
    struct account *account = verification->account;
    verification->link = NULL;
    proofs__add(account, &verification->password);
    account->caps = *link_capabilities(link);
    account->profile = link_profile(link);
    (void)slot__adopt(account, &link);
    DL_DELETE(account->verifications, verification);
    complete_all(verification, OK, SLICE(""));
    alloc_free(verification);
    account__check_use(account);
    request__dispatch_all(account);
}

static void refused(void *owner, struct link *link, enum status why,
                    const struct response *refusal, const struct fail *fail)
{
    (void)link;
    struct verification *verification = owner;
    struct account *account = verification->account;
    struct buf text;
    buf_init(&text, 2048);
    if (why == AUTH && refusal != NULL) {
        emit_relayed(&text, refusal);
    }
    LOG(LOG_INFO, "auth", "msg=\"login not accepted\" account=%s status=%s detail=%s",
        account->name, status_name(why),
        LOG_Q(fail != NULL && fail->status != OK ? slice_str(fail->text) : buf_slice(&text)));
    verification->link = NULL;
    DL_DELETE(account->verifications, verification);
    complete_all(verification, why, buf_slice(&text));
    buf_fini(&text);
    secret_destroy(&verification->password);
    alloc_free(verification);
    account__check_use(account);
}

static void ignore_untagged(void *owner, struct link *link, const struct response *response)
{
    (void)owner;
    (void)link;
    (void)response;
}

static const struct link_ops verification_ops = {
    .ready = verified, .untagged = ignore_untagged, .closed = refused};

static struct verification *start_verification(struct account *account,
                                               const unsigned char hash[SECRET_HASH_BYTES],
                                               struct slice password)
{
    struct verification *verification = alloc_zero(sizeof(*verification));
    struct accounts *accounts = account->accounts;
    verification->account = account;
    verification->password = secret_create(password);
    memcpy(verification->hash, hash, SECRET_HASH_BYTES);
    const struct link_env env = {
        .loop = accounts->env.loop,
        .resolver = accounts->env.resolver,
        .tls = accounts->env.tls_for(accounts->env.tls_arg, account->upstream),
        .upstream = account->upstream,
        .stats = accounts->env.stats,
    };
    const struct link_login login = {
        .authzid = account->authzid,
        .authcid = account->authcid,
        .password = secret_bytes(verification->password),
    };
    verification->link = link_create(&env, &login, &verification_ops, verification);
    DL_APPEND(account->verifications, verification);
    return verification;
}

static struct verification *find_verification(struct account *account,
                                              const unsigned char hash[SECRET_HASH_BYTES])
{
    struct verification *verification;
    DL_FOREACH(account->verifications, verification) {
        if (secret_hash_eq(verification->hash, hash)) {
            return verification;
        }
    }
    return NULL;
}

static void complete_local(void *arg)
{
    struct login_request *request = arg;
    struct account *account = request->account;
    complete(request, request->status, SLICE(""));
    if (account != NULL) {
        account__check_use(account);
    }
}

static bool is_young(const struct account *account, const struct proof *proof)
{
    uint64_t age = evloop_now_ms(account__loop(account)) - proof->proven_ms;
    return age < (uint64_t)account->settings->auth_ttl_s * 1000;
}

static void verify(struct login_request *request, const struct link_login *login)
{
    struct account *account = request->account;
    unsigned char hash[SECRET_HASH_BYTES];
    proofs__hash(account, login->password, hash);
    struct proof *proof = proofs__find(account, hash);
    if (proof != NULL && is_young(account, proof)) {
        timer_stop(account->linger); /* the session attaches in its completion */
        evloop_defer(account__loop(account), &request->task, EVLOOP_SOON);
        return;
    }
    struct verification *verification = find_verification(account, hash);
    if (verification == NULL) {
        verification = start_verification(account, hash, login->password);
    }
    request->verification = verification;
    DL_APPEND(verification->requests, request);
    account__check_use(account);
}

struct login_request *account_login(struct accounts *accounts, const struct link_login *login,
                                    login_done_fn *done, void *arg)
{
    struct login_request *request = alloc_zero(sizeof(*request));
    request->accounts = accounts;
    request->done = done;
    request->arg = arg;
    task_init(&request->task, complete_local, request);
    const struct upstream_settings *upstream =
        settings_upstream_for(accounts->settings, login->authcid.data, login->authcid.len);
    if (upstream == NULL || accounts->is_ending) {
        request->status = NOT_FOUND;
        evloop_defer(accounts->env.loop, &request->task, EVLOOP_SOON);
        return request;
    }
    request->account = account__find(accounts, upstream, login, true);
    verify(request, login);
    return request;
}

void account_login_cancel(struct login_request **request)
{
    struct login_request *gone = *request;
    *request = NULL;
    if (gone->verification != NULL) {
        DL_DELETE(gone->verification->requests, gone);
    }
    if (gone->account != NULL) {
        account__check_use(gone->account);
    }
    evloop_cancel(gone->accounts->env.loop, &gone->task);
    alloc_free(gone);
}
