#ifndef ACCOUNT_GUARD_P_H
#define ACCOUNT_GUARD_P_H
/* How often logins may fail, and what was refused lately.  To the provider a whole office is one
 * address, which it slows down or locks out when logins from there fail: so failures are counted
 * here, and an attempt is only looked at (compared with a proof, or sent upstream) while there is
 * room for one more failure.  Three kinds of buckets, all refilled evenly within a minute:
 *   - of a login and an address that it has come in from before: failures_per_login
 *   - of a login, for all other addresses together:              failures_per_login
 *   - of an address, for logins that have not come in from it:   failures_per_address
 * so that strangers cannot lock a user out, nor one user's mistakes the others of an address.
 * Refusals are known by the hash of login and secret; they are repeated without asking again.
 * Owner of memory: the guard.  Bounded: GUARD_*_MAX entries of each kind, the one used longest ago
 * goes.  Knows no clock: @now_ms is the caller's.  Thread: loop.  Design section 8 "Refusals". */
#include "base/slice.h"
#include "net/secret.h"

struct guard;

enum {
    GUARD_LOGINS_MAX = 4096,
    GUARD_ADDRESSES_MAX = 4096,
    GUARD_REFUSALS_MAX = 1024,
    GUARD_KNOWN_MAX = 16, /* addresses of one login */
    GUARD_HOST_MAX = 64,  /* netaddr_format_host() */
    GUARD_TEXT_MAX = 600,
    GUARD_PERIOD_MS = 60 * 1000,
};

struct guard_limits {
    uint32_t per_login; /* failures a minute; 0: any number */
    uint32_t per_address;
    uint32_t refusal_ms; /* how long a refusal is repeated */
};

/* Room that has been taken for one failure. */
struct guard_ticket {
    bool is_taken;
    bool was_known;
    char host[GUARD_HOST_MAX];
};

struct guard *guard_create(void);
void guard_destroy(struct guard **guard);
void guard_set_limits(struct guard *guard, const struct guard_limits *limits);

/* Take room for a failure of @login (any octets: upstream and names) from @host.  0: taken, *ticket
 * is to be given back or spent; else the milliseconds until there is room, nothing was taken. */
uint64_t guard_take(struct guard *guard, struct slice login, const char *host, uint64_t now_ms,
                    struct guard_ticket *ticket_out);
/* It was no failure. */
void guard_give_back(struct guard *guard, struct slice login, struct guard_ticket *ticket,
                     uint64_t now_ms);
/* @login has come in from @host. */
void guard_note_success(struct guard *guard, struct slice login, const char *host,
                        uint64_t now_ms);

struct guard_refusal {
    uint64_t took_ms; /* from the question to the answer */
    struct slice text;
    struct slice challenge;
};
/* A refusal of that hash less than refusal_ms ago; borrowed until the next call. */
bool guard_find_refusal(struct guard *guard, const unsigned char hash[SECRET_HASH_BYTES],
                        uint64_t now_ms, struct guard_refusal *out);
/* Copied; a text too long is cut, a challenge too long left out. */
void guard_note_refusal(struct guard *guard, const unsigned char hash[SECRET_HASH_BYTES],
                        uint64_t now_ms, const struct guard_refusal *refusal);
void guard_forget_refusal(struct guard *guard, const unsigned char hash[SECRET_HASH_BYTES]);

#endif
