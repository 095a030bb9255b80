/* Attempts to log in, before the upstream hears of them.
 *
 *   account_login ── refused a moment ago ── REPEATED, as long as the upstream took ──> AUTH
 *       │  ^
 *       │  └── HELD, while there is no room for one more failure ── too long ─────────> LIMIT
 *       ├── a young proof ── DECIDED ─────────────────────────────────────────────────> OK
 *       └── VERIFIED, with others that say the same ─────────────────────────────────> OK, AUTH ...
 *
 * Nothing is compared with a proof or a running verification while there is no room for a failure:
 * else guesses could be tried here without end, and only the right one would be answered. */
#include <string.h>
#include <utlist.h>

#include "links_p.h"
#include "logins_p.h"
#include "base/alloc.h"
#include "base/log.h"
#include "net/netaddr.h"

_Static_assert((int)GUARD_HOST_MAX >= (int)NETADDR_TEXT_MAX, "the address fits");

static struct evloop *loop_of(const struct login_request *request)
{
    return request->accounts->env.loop;
}

/* --- ends ------------------------------------------------------------------------------------- */

static void forget_login(struct login_request *request)
{
    secret_destroy(&request->names);
    secret_destroy(&request->secret);
}

static void leave_held(struct login_request *request)
{
    if (request->stage == LOGIN_HELD) {
        DL_DELETE(request->accounts->held, request);
        request->accounts->held_n--;
        forget_login(request);
        request->stage = LOGIN_DECIDED;
    }
}

static void free_request(struct login_request *request)
{
    leave_held(request);
    evloop_cancel(loop_of(request), &request->task);
    if (request->timer != NULL) {
        timer_destroy(&request->timer);
    }
    secret_wipe(request->hash, sizeof(request->hash));
    buf_fini(&request->text);
    buf_fini(&request->challenge);
    alloc_free(request);
}

void logins__complete(struct login_request *request, const struct login_answer *answer)
{
    struct accounts *accounts = request->accounts;
    login_done_fn *done = request->done;
    void *arg = request->arg;
    bool is_ok = answer->status == OK;
    stats_add(accounts->env.stats, is_ok ? STAT_logins_ok : STAT_logins_refused, 1);
    if (is_ok) {
        guard_note_success(accounts->guard, answer->account->login_key, request->host,
                           evloop_now_ms(accounts->env.loop));
    }
    free_request(request);
    done(arg, answer);
}

static void complete_status(struct login_request *request, enum status st)
{
    const struct login_answer answer = {.status = st};
    logins__complete(request, &answer);
}

/* In this turn, but not inside the present call. */
static void decide(struct login_request *request, enum status st)
{
    leave_held(request);
    request->stage = LOGIN_DECIDED;
    request->status = st;
    evloop_defer(loop_of(request), &request->task, EVLOOP_SOON);
}

static void repeat_over(void *arg)
{
    struct login_request *request = arg;
    struct buf text = request->text, challenge = request->challenge;
    const struct login_answer answer = {
        .status = AUTH, .text = buf_slice(&text), .challenge = buf_slice(&challenge)};
    buf_init(&request->text, 0);
    buf_init(&request->challenge, 0);
    logins__complete(request, &answer);
    buf_fini(&text);
    buf_fini(&challenge);
}

static void set_timer(struct login_request *request, void (*fn)(void *arg), uint64_t ms)
{
    if (request->timer != NULL) {
        timer_destroy(&request->timer);
    }
    request->timer = timer_create_on(loop_of(request), fn, request);
    timer_set_ms(request->timer, ms);
}

/* As the upstream said it, and as late: how long it takes tells nothing of the secret. */
static void repeat(struct login_request *request, const struct guard_refusal *refusal)
{
    uint64_t ms = refusal->took_ms;
    leave_held(request);
    request->stage = LOGIN_REPEATED;
    buf_add(&request->text, refusal->text);
    buf_add(&request->challenge, refusal->challenge);
    stats_add(request->accounts->env.stats, STAT_logins_repeated, 1);
    set_timer(request, repeat_over, ms < LOGINS_REPEAT_MAX_MS ? ms : LOGINS_REPEAT_MAX_MS);
}

/* --- being held ------------------------------------------------------------------------------- */

static struct link_login held_login(const struct login_request *request)
{
    struct slice names = secret_bytes(request->names);
    return (struct link_login){.authzid = slice_sub(names, 0, request->authzid_len),
                               .authcid = slice_sub(names, request->authzid_len, names.len),
                               .password = secret_bytes(request->secret),
                               .mech = request->mech};
}

static bool may_hold(struct accounts *accounts, const struct link_login *login)
{
    size_t n = 0;
    struct login_request *other;
    DL_FOREACH(accounts->held, other) {
        n += slice_eq(held_login(other).authcid, login->authcid);
    }
    return accounts->held_n < LOGINS_HELD_MAX && n < LOGINS_HELD_OF_LOGIN_MAX;
}

static void held_over(void *arg)
{
    struct login_request *request = arg;
    logins__readmit(request->accounts);
}

static void copy_login(struct login_request *request, const struct link_login *login)
{
    struct buf names;
    buf_init(&names, 0);
    buf_add(&names, login->authzid);
    buf_add(&names, login->authcid);
    request->names = secret_create(buf_slice(&names));
    request->secret = secret_create(login->password);
    request->authzid_len = login->authzid.len;
    request->mech = login->mech;
    buf_fini(&names);
}

static void hold(struct login_request *request, const struct link_login *login, uint64_t wait_ms)
{
    struct accounts *accounts = request->accounts;
    uint64_t waited = evloop_now_ms(accounts->env.loop) - request->began_ms;
    bool is_held = request->stage == LOGIN_HELD;
    if (waited + wait_ms > LOGINS_HOLD_MS || (!is_held && !may_hold(accounts, login))) {
        LOG(LOG_WARN, "auth", "msg=\"too many failed logins\" login=%s from=%s",
            LOG_Q(login->authcid), request->host);
        decide(request, LIMIT);
        return;
    }
    if (!is_held) {
        copy_login(request, login);
        request->stage = LOGIN_HELD;
        DL_APPEND(accounts->held, request);
        accounts->held_n++;
        stats_add(accounts->env.stats, STAT_logins_held, 1);
    }
    set_timer(request, held_over, wait_ms);
}

/* --- being looked at -------------------------------------------------------------------------- */

struct attempt {
    const struct upstream_settings *upstream;
    const struct link_login *login;
    struct slice login_key;
    uint64_t now_ms;
};

static void verify(struct login_request *request, const struct attempt *at,
                   struct guard_ticket *ticket)
{
    struct accounts *accounts = request->accounts;
    struct account *account =
        account__find(accounts, at->upstream, at->login, request->hash, false);
    struct proof *proof = account != NULL ? proofs__find(account, request->hash) : NULL;
    struct verification *verification =
        account != NULL ? verify__find(account, request->hash) : NULL;
    if (proof != NULL && proofs__is_young(account, proof)) {
        guard_give_back(accounts->guard, at->login_key, ticket, at->now_ms);
        request->account = account;
        account->arriving_n++; /* the session attaches in its completion */
        account__check_use(account);
        decide(request, OK);
        return;
    }
    if (verification != NULL) {
        guard_give_back(accounts->guard, at->login_key, ticket, at->now_ms);
    } else {
        account = account__find(accounts, at->upstream, at->login, request->hash, true);
        verification =
            verify__add(account, at->login->mech, at->login->password, request->hash);
        if (verification == NULL) {
            guard_give_back(accounts->guard, at->login_key, ticket, at->now_ms);
            decide(request, LIMIT);
            return;
        }
        verification->ticket = *ticket;
    }
    leave_held(request); /* @at->login borrows from it until here */
    request->stage = LOGIN_VERIFIED;
    request->verification = verification;
    DL_APPEND(verification->requests, request);
    account__check_use(account);
}

static void admit(struct login_request *request, const struct link_login *login)
{
    struct accounts *accounts = request->accounts;
    struct attempt at = {.login = login, .now_ms = evloop_now_ms(accounts->env.loop)};
    at.upstream =
        settings_upstream_for(accounts->settings, login->authcid.data, login->authcid.len);
    if (at.upstream == NULL || accounts->is_ending) {
        decide(request, NOT_FOUND);
        return;
    }
    struct guard_refusal refusal;
    struct guard_ticket ticket = {0};
    char *key = accounts__key(at.upstream, login, &at.login_key.len);
    at.login_key.data = key;
    proofs__hash(accounts, at.login_key, login->mech, login->password, request->hash);
    if (guard_find_refusal(accounts->guard, request->hash, at.now_ms, &refusal)) {
        repeat(request, &refusal);
    } else {
        uint64_t wait =
            guard_take(accounts->guard, at.login_key, request->host, at.now_ms, &ticket);
        if (wait > 0) {
            hold(request, login, wait);
        } else {
            verify(request, &at, &ticket);
        }
    }
    alloc_free(key);
}

void logins__readmit_all(void *arg)
{
    struct accounts *accounts = arg;
    struct login_request *request, *next;
    DL_FOREACH_SAFE(accounts->held, request, next) {
        const struct link_login login = held_login(request);
        admit(request, &login);
    }
}

void logins__readmit(struct accounts *accounts)
{
    if (accounts->held != NULL) {
        evloop_defer(accounts->env.loop, &accounts->readmit, EVLOOP_SOON);
    }
}

/* The proof may have gone in this very turn. */
static void complete_decided(void *arg)
{
    struct login_request *request = arg;
    struct account *account = request->account;
    if (request->status != OK) {
        complete_status(request, request->status);
        return;
    }
    account->arriving_n--;
    struct login_answer answer = {.status = OK, .account = account};
    answer.proof = proofs__find(account, request->hash);
    if (answer.proof == NULL) {
        complete_status(request, AUTH);
    } else {
        logins__complete(request, &answer);
    }
    account__check_use(account);
}

struct login_request *account_login(struct accounts *accounts, const struct link_login *login,
                                    const struct netaddr *from, login_done_fn *done, void *arg)
{
    struct login_request *request = alloc_zero(sizeof(*request));
    request->accounts = accounts;
    request->done = done;
    request->arg = arg;
    request->began_ms = evloop_now_ms(accounts->env.loop);
    buf_init(&request->text, 0);
    buf_init(&request->challenge, 0);
    task_init(&request->task, complete_decided, request);
    (void)netaddr_format_host(from, request->host);
    admit(request, login);
    return request;
}

void account_login_cancel(struct login_request **request_p)
{
    struct login_request *request = *request_p;
    struct verification *verification = request->verification;
    struct account *account = request->account;
    *request_p = NULL;
    if (verification != NULL) {
        DL_DELETE(verification->requests, request);
        verify__check_use(verification);
    }
    free_request(request);
    if (account != NULL) {
        account->arriving_n--;
        account__check_use(account);
    }
}
