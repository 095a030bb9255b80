/* The registry of accounts: found by (upstream, authzid, authcid), kept while sessions use them and
 * account_linger_ms after the last one has left, then closed and wiped. */
#include <string.h>
#include <utlist.h>

#include "feed_p.h"
#include "logins_p.h"
#include "shadow_p.h"
#include "twins_p.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

struct evloop *account__loop(const struct account *account)
{
    return account->accounts->env.loop;
}

static void end_of_turn(void *arg)
{
    struct accounts *accounts = arg;
    size_t n = accounts->stirred_n; /* what they stir themselves is for the next turn */
    while (n-- > 0 && accounts->stirred != NULL) {
        feed__end_of_turn(accounts->stirred);
    }
}

static void set_guard_limits(struct accounts *accounts)
{
    const struct guard_limits limits = {
        .per_login = accounts->settings->auth_failures_per_login,
        .per_address = accounts->settings->auth_failures_per_address,
        .refusal_ms = accounts->settings->auth_retry_ms,
    };
    guard_set_limits(accounts->guard, &limits);
}

struct accounts *accounts_create(const struct accounts_env *env, const struct settings *settings)
{
    struct accounts *accounts = alloc_zero(sizeof(*accounts));
    accounts->env = *env;
    accounts->settings = settings_hold(settings);
    secret_random(accounts->proof_key, sizeof(accounts->proof_key));
    accounts->orders.bytes_max = ORDERS_BYTES_MAX;
    accounts->guard = guard_create();
    set_guard_limits(accounts);
    task_init(&accounts->readmit, logins__readmit_all, accounts);
    offers__ask(accounts);
    meter__init(accounts);
    evloop_add_hook(env->loop, &accounts->hook, end_of_turn, accounts);
    return accounts;
}

void accounts_set_settings(struct accounts *accounts, const struct settings *settings)
{
    settings_release(&accounts->settings);
    accounts->settings = settings_hold(settings);
    set_guard_limits(accounts);
    offers__ask(accounts);
}

void accounts_destroy(struct accounts **accounts)
{
    struct accounts *all = *accounts;
    struct account *account, *next;
    all->is_ending = true;
    HASH_ITER(hh, all->by_key, account, next) {
        account__destroy(account);
    }
    while (all->held != NULL) {
        const struct login_answer answer = {.status = CANCELED};
        logins__complete(all->held, &answer);
    }
    evloop_cancel(all->env.loop, &all->readmit);
    offers__clear(all);
    meter__fini(all);
    guard_destroy(&all->guard);
    shadow__forget(all);
    evloop_remove_hook(all->env.loop, &all->hook);
    settings_release(&all->settings);
    secret_wipe(all->proof_key, sizeof(all->proof_key));
    alloc_free(all);
    *accounts = NULL;
}

static void append(char *key, size_t *at, struct slice part)
{
    if (part.len > 0) {
        memcpy(key + *at, part.data, part.len);
    }
    *at += part.len;
    key[(*at)++] = '\0';
}

/* A NUL in a login was refused by the session's parser. */
char *accounts__key(const struct upstream_settings *upstream, const struct link_login *login,
                    size_t *len_out)
{
    struct slice host = slice_str(upstream->host);
    char port[16];
    struct buf buf;
    buf_init(&buf, sizeof(port));
    buf_add_u64(&buf, upstream->port);
    size_t len = host.len + buf.len + login->authzid.len + login->authcid.len + 4;
    char *key = alloc_zero(len + SECRET_HASH_BYTES);
    size_t at = 0;
    append(key, &at, host);
    append(key, &at, buf_slice(&buf));
    append(key, &at, login->authzid);
    append(key, &at, login->authcid);
    buf_fini(&buf);
    *len_out = len;
    return key;
}

static bool is_used(const struct account *account)
{
    return account->users != NULL || account->verifications != NULL || account->arriving_n > 0;
}

static void linger_over(void *arg)
{
    struct account *account = arg;
    if (!is_used(account)) {
        LOG(LOG_INFO, "account", "msg=\"closed, unused\" account=%s", account->name);
        account__destroy(account);
    }
}

static char *make_name(const struct upstream_settings *upstream, struct slice authcid)
{
    char quoted[LOG_QUOTE_MAX];
    struct buf text;
    buf_init(&text, 0);
    buf_printf(&text, "\"%s/", upstream->name != NULL ? upstream->name : upstream->host);
    const char *login = log_quote(quoted, authcid);
    buf_add_str(&text, login + 1); /* the quote before it stands already */
    char *name = alloc_zero(text.len + 1);
    memcpy(name, text.data, text.len);
    buf_fini(&text);
    return name;
}

/* With auth.share = secret the hash of the secret is a part of the key, also of the store's: what
 * was kept is then found again neither by another secret nor after a restart, whose hashes have
 * another key. */
struct account *account__find(struct accounts *accounts, const struct upstream_settings *upstream,
                              const struct link_login *login,
                              const unsigned char hash[SECRET_HASH_BYTES], bool create)
{
    size_t login_len;
    char *key = accounts__key(upstream, login, &login_len);
    size_t key_len = login_len;
    if (accounts->settings->auth_share_secret) {
        memcpy(key + login_len, hash, SECRET_HASH_BYTES);
        key_len += SECRET_HASH_BYTES;
    }
    struct account *account = NULL;
    HASH_FIND(hh, accounts->by_key, key, key_len, account);
    if (account != NULL || !create) {
        alloc_free(key);
        return account;
    }
    account = alloc_zero(sizeof(*account));
    account->accounts = accounts;
    account->settings = settings_hold(accounts->settings);
    account->upstream = upstream;
    account->key = key;
    account->key_len = key_len;
    account->login_key = slice_of(key, login_len);
    account->authzid = slice_of(key + login_len - login->authcid.len - login->authzid.len - 2,
                                login->authzid.len);
    account->authcid = slice_of(key + login_len - login->authcid.len - 1, login->authcid.len);
    account->name = make_name(upstream, login->authcid);
    account->linger = timer_create_on(accounts->env.loop, linger_over, account);
    account->recheck = timer_create_on(accounts->env.loop, proofs__recheck, account);
    account->shadow = shadow__create(account);
    budget__init(account);
    reach__init(account);
    HASH_ADD_KEYPTR(hh, accounts->by_key, account->key, account->key_len, account);
    return account;
}

struct link_env account__link_env(struct account *account)
{
    const struct accounts_env *env = &account->accounts->env;
    return (struct link_env){
        .loop = env->loop,
        .resolver = env->resolver,
        .tls = env->tls_for(env->tls_arg, account->upstream),
        .upstream = account->upstream,
        .stats = env->stats,
        .meter = &account->meter,
        .awaits_enable = account->awaits_enable,
    };
}

void account__destroy(struct account *account)
{
    account->is_ending = true;
    CHECK(account->users == NULL);
    lists__clear(account);
    names__clear(account);
    request__fail_waiting(&account->waiting, CANCELED);
    struct feed *feed, *next;
    HASH_ITER(hh, account->feeds, feed, next) {
        feed__destroy(feed);
    }
    shadow__destroy(&account->shadow);
    twins__destroy(account);
    while (account->slots != NULL) {
        slot__close(account->slots, true);
    }
    while (account->verifications != NULL) {
        verify__destroy(account->verifications);
    }
    meter__log(account, "left");
    proofs__clear(account);
    HASH_DEL(account->accounts->by_key, account);
    timer_destroy(&account->linger);
    timer_destroy(&account->recheck);
    budget__fini(account);
    reach__fini(account);
    settings_release(&account->settings);
    alloc_free(account->key);
    alloc_free(account->name);
    alloc_free(account);
}

void account__check_use(struct account *account)
{
    if (account->is_ending) {
        return;
    }
    if (!is_used(account)) {
        /* Nothing hangs on an account that nobody has proven: a login that was refused. */
        timer_set_ms(account->linger, account->proofs != NULL
                                          ? account->upstream->account_linger_ms
                                          : 0);
    } else {
        timer_stop(account->linger);
    }
}

void accounts_store_drained(struct accounts *accounts)
{
    struct account *account, *next;
    HASH_ITER(hh, accounts->by_key, account, next) {
        struct feed *feed, *next_feed;
        HASH_ITER(hh, account->feeds, feed, next_feed) {
            if (feed->plan != NULL) {
                plan_flush(feed->plan);
            }
        }
    }
}

void account_attach(struct account *account, struct proof *proof, struct account_user *user)
{
    user->account = account;
    user->proof = proof;
    DL_APPEND(account->users, user);
    proofs__hold(account, proof);
    account__check_use(account);
}

void account_detach(struct account_user *user)
{
    struct account *account = user->account;
    if (account == NULL) {
        return;
    }
    DL_DELETE(account->users, user);
    proofs__let_go(account, user->proof);
    user->account = NULL;
    user->proof = NULL;
    account__check_use(account);
}

const struct capabilities *account_capabilities(const struct account *account)
{
    return &account->caps;
}

size_t account_line_bytes(const struct account *account)
{
    const struct profile *profile = account->profile;
    return profile != NULL && profile->set_bytes != 0 ? profile->set_bytes : PROFILE_SET_BYTES;
}

uint32_t account__standin_bytes(const struct account *account)
{
    return account->profile != NULL ? account->profile->standin_bytes : 0;
}

const char *account_name(const struct account *account)
{
    return account->name;
}

struct feed *account_find_feed(struct account *account, struct slice name)
{
    struct feed *feed = NULL;
    HASH_FIND(hh, account->feeds, name.data, name.len, feed);
    bool is_used = feed != NULL && feed->state != FEED_ENDED &&
                   (feed->users != NULL ||
                    (feed->knows == FEED_KNOWS_FLAGS && feed->state != FEED_DOWN));
    return is_used ? feed : NULL;
}
