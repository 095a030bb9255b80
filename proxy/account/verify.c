/* Asking the upstream whether it accepts a secret: by a connection of its own, outside the budget
 * of links, one at a time for an account.  The connection that proved a secret becomes the account's
 * first link. */
#include <string.h>
#include <utlist.h>

#include "links_p.h"
#include "logins_p.h"
#include "base/alloc.h"
#include "base/log.h"
#include "imap/emit.h"

enum { TEXT_MAX = 2048 };

struct verification *verify__find(struct account *account,
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

static void begin_next(struct account *account);

/* Out of the list, its link is gone; its requests are completed with @answer, then it is freed. */
static void finish(struct verification *verification, const struct login_answer *answer)
{
    struct account *account = verification->account;
    uint64_t now = evloop_now_ms(account__loop(account));
    guard_give_back(account->accounts->guard, account->login_key, &verification->ticket, now);
    while (verification->requests != NULL) {
        struct login_request *request = verification->requests;
        DL_DELETE(verification->requests, request);
        request->verification = NULL;
        logins__complete(request, answer);
    }
    secret_destroy(&verification->secret);
    secret_wipe(verification->hash, sizeof(verification->hash));
    alloc_free(verification);
}

/* --- its link --------------------------------------------------------------------------------- */

static void on_ready(void *owner, struct link *link)
{
    struct verification *verification = owner;
    struct account *account = verification->account;
    struct accounts *accounts = account->accounts;
    offers__note(accounts, account->upstream, link);
    account->caps = *link_capabilities(link);
    account->profile = link_profile(link);
    verification->link = NULL;
    DL_DELETE(account->verifications, verification);
    struct login_answer answer = {.status = OK, .account = account};
    answer.proof = proofs__accepted(account, verification, &verification->secret);
    if (verification->requests == NULL && account->slots != NULL) {
        link_close(&link, true); /* it was only to be asked */
    } else {
        (void)slot__adopt(account, &link);
    }
    finish(verification, &answer);
    begin_next(account);
    account__check_use(account);
    request__dispatch_all(account);
    logins__readmit(accounts);
}

/* Did the server look at the secret, and did not like it?  Then it counts as a failure; what it
 * says of itself does not. */
static bool is_failure(enum status why, const struct response *refusal)
{
    return why == AUTH && refusal != NULL && refusal->code != CODE_UNAVAILABLE &&
           refusal->code != CODE_LIMIT && refusal->code != CODE_INUSE &&
           refusal->code != CODE_SERVERBUG;
}

/* A proof hears of it; what has none is remembered, so that the same secret is not sent again and
 * again.  A secret that worked is not shut out by one refusal. */
static void note_refusal(struct verification *verification, const struct response *refusal,
                         const struct login_answer *answer)
{
    struct account *account = verification->account;
    struct proof *proof = proofs__find(account, verification->hash);
    uint64_t now = evloop_now_ms(account__loop(account));
    bool counts = answer->status == AUTH && proofs__refusal_counts(refusal);
    if (proof != NULL && counts) {
        proofs__refused(account, proof);
    } else if (proof != NULL) {
        proofs__postpone(account, proof);
    } else if (counts) {
        const struct guard_refusal said = {.took_ms = now - verification->began_ms,
                                           .text = answer->text,
                                           .challenge = answer->challenge};
        guard_note_refusal(account->accounts->guard, verification->hash, now, &said);
    }
}

static void on_closed(void *owner, struct link *link, enum status why,
                      const struct response *refusal, const struct fail *fail)
{
    struct verification *verification = owner;
    struct account *account = verification->account;
    struct accounts *accounts = account->accounts;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    if (why == AUTH && refusal != NULL) {
        emit_relayed(&text, refusal);
    }
    LOG(LOG_INFO, "auth", "msg=\"login not accepted\" account=%s status=%s detail=%s",
        account->name, status_name(why),
        LOG_Q(fail != NULL && fail->status != OK ? slice_str(fail->text) : buf_slice(&text)));
    const struct login_answer answer = {
        .status = why, .text = buf_slice(&text), .challenge = link_challenge(link)};
    offers__note(accounts, account->upstream, link);
    verification->link = NULL;
    DL_DELETE(account->verifications, verification);
    note_refusal(verification, refusal, &answer);
    if (is_failure(why, refusal)) {
        verification->ticket.is_taken = false; /* spent */
    }
    finish(verification, &answer);
    buf_fini(&text);
    begin_next(account);
    account__check_use(account);
    logins__readmit(accounts);
}

static void ignore_untagged(void *owner, struct link *link, const struct response *response)
{
    (void)owner;
    (void)link;
    (void)response;
}

static const struct link_ops ops = {
    .ready = on_ready, .untagged = ignore_untagged, .closed = on_closed};

/* --- the queue -------------------------------------------------------------------------------- */

static void begin_next(struct account *account)
{
    struct verification *verification = account->verifications;
    if (verification == NULL || verification->link != NULL || account->is_ending) {
        return;
    }
    const struct link_env env = account__link_env(account);
    const struct link_login login = {.authzid = account->authzid,
                                     .authcid = account->authcid,
                                     .password = secret_bytes(verification->secret),
                                     .mech = verification->mech};
    verification->began_ms = evloop_now_ms(account__loop(account));
    verification->link = link_create(&env, &login, &ops, verification);
}

struct verification *verify__add(struct account *account, enum sasl_mech mech, struct slice secret,
                                 const unsigned char hash[SECRET_HASH_BYTES])
{
    struct verification *verification;
    size_t n;
    DL_COUNT(account->verifications, verification, n);
    if (n >= LOGINS_QUEUE_MAX || account->is_ending) {
        return NULL;
    }
    verification = alloc_zero(sizeof(*verification));
    verification->account = account;
    verification->secret = secret_create(secret);
    verification->mech = mech;
    memcpy(verification->hash, hash, SECRET_HASH_BYTES);
    DL_APPEND(account->verifications, verification);
    begin_next(account);
    return verification;
}

void verify__destroy(struct verification *verification)
{
    const struct login_answer answer = {.status = CANCELED};
    struct account *account = verification->account;
    DL_DELETE(account->verifications, verification);
    if (verification->link != NULL) {
        link_close(&verification->link, false);
    }
    finish(verification, &answer);
}

void verify__check_use(struct verification *verification)
{
    struct account *account = verification->account;
    bool is_recheck = proofs__find(account, verification->hash) != NULL;
    if (verification->link == NULL && verification->requests == NULL && !is_recheck) {
        verify__destroy(verification);
    }
    account__check_use(account);
}
