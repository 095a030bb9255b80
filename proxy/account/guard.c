/* Tables in the order of last use: what is used goes to the end, what is first goes when a table is
 * full.  A full bucket of a login without known addresses says nothing, so entries of such logins
 * are the first to go whatever their age: otherwise a flood of names would make us forget which
 * addresses users come from. */
#include "guard_p.h"

#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "base/alloc.h"

enum { UNIT = GUARD_PERIOD_MS }; /* of one failure: what one a minute gains in a millisecond is 1 */

struct bucket {
    uint64_t level; /* in 1/UNIT failures that there is room for */
    uint64_t at_ms;
};

struct known {
    char host[GUARD_HOST_MAX]; /* empty: unused */
    struct bucket bucket;
    uint64_t used_ms;
};

struct login_entry {
    UT_hash_handle hh;
    char *key;
    size_t key_len;
    struct bucket strangers;
    struct known *known; /* GUARD_KNOWN_MAX of them, or NULL */
};

struct address_entry {
    UT_hash_handle hh;
    char host[GUARD_HOST_MAX];
    struct bucket bucket;
};

struct refusal_entry {
    UT_hash_handle hh;
    unsigned char hash[SECRET_HASH_BYTES];
    uint64_t at_ms, took_ms;
    size_t text_len, challenge_len;
    char said[]; /* text, challenge */
};

struct guard {
    struct guard_limits limits;
    struct login_entry *nobodies; /* logins without known addresses */
    struct login_entry *logins;
    struct address_entry *addresses;
    struct refusal_entry *refusals;
};

/* --- buckets ---------------------------------------------------------------------------------- */

static void refill(struct bucket *bucket, uint32_t most, uint64_t now_ms)
{
    uint64_t full = (uint64_t)most * UNIT;
    uint64_t past = now_ms - bucket->at_ms;
    uint64_t more = past >= GUARD_PERIOD_MS ? full : past * most;
    bucket->level = bucket->level + more > full ? full : bucket->level + more;
    bucket->at_ms = now_ms;
}

static uint64_t wait_ms(const struct bucket *bucket, uint32_t most)
{
    if (most == 0 || bucket->level >= UNIT) {
        return 0;
    }
    return (UNIT - bucket->level + most - 1) / most;
}

static void take(struct bucket *bucket, uint32_t most)
{
    if (most > 0) {
        bucket->level -= UNIT;
    }
}

static void give(struct bucket *bucket, uint32_t most)
{
    uint64_t full = (uint64_t)most * UNIT;
    if (most > 0) {
        bucket->level = bucket->level + UNIT > full ? full : bucket->level + UNIT;
    }
}

static struct bucket full_bucket(uint32_t most, uint64_t now_ms)
{
    return (struct bucket){.level = (uint64_t)most * UNIT, .at_ms = now_ms};
}

/* --- entries ---------------------------------------------------------------------------------- */

static void free_login(struct login_entry **table, struct login_entry *entry)
{
    HASH_DEL(*table, entry);
    alloc_free(entry->key);
    alloc_free(entry->known);
    alloc_free(entry);
}

static void put_last(struct login_entry **table, struct login_entry *entry)
{
    HASH_ADD_KEYPTR(hh, *table, entry->key, entry->key_len, entry);
    if (HASH_COUNT(*table) > GUARD_LOGINS_MAX) {
        free_login(table, *table); /* the head is the oldest */
    }
}

static struct login_entry *find_login(struct guard *guard, struct slice login)
{
    struct login_entry **tables[] = {&guard->logins, &guard->nobodies};
    for (size_t i = 0; i < 2; i++) {
        struct login_entry *entry = NULL;
        HASH_FIND(hh, *tables[i], login.data, login.len, entry);
        if (entry != NULL) {
            HASH_DEL(*tables[i], entry);
            put_last(tables[i], entry);
            return entry;
        }
    }
    return NULL;
}

static struct login_entry *get_login(struct guard *guard, struct slice login, uint64_t now_ms)
{
    struct login_entry *entry = find_login(guard, login);
    if (entry == NULL) {
        entry = alloc_zero(sizeof(*entry));
        entry->key = alloc_zero(login.len + 1);
        memcpy(entry->key, login.data, login.len);
        entry->key_len = login.len;
        entry->strangers = full_bucket(guard->limits.per_login, now_ms);
        put_last(&guard->nobodies, entry);
    }
    return entry;
}

static struct known *find_known(struct login_entry *entry, const char *host)
{
    for (size_t i = 0; entry != NULL && entry->known != NULL && i < GUARD_KNOWN_MAX; i++) {
        if (strcmp(entry->known[i].host, host) == 0) {
            return &entry->known[i];
        }
    }
    return NULL;
}

static struct address_entry *get_address(struct guard *guard, const char *host, uint64_t now_ms)
{
    struct address_entry *entry = NULL;
    HASH_FIND_STR(guard->addresses, host, entry);
    if (entry != NULL) {
        HASH_DEL(guard->addresses, entry);
    } else {
        entry = alloc_zero(sizeof(*entry));
        (void)snprintf(entry->host, sizeof(entry->host), "%s", host);
        entry->bucket = full_bucket(guard->limits.per_address, now_ms);
    }
    HASH_ADD_STR(guard->addresses, host, entry);
    if (HASH_COUNT(guard->addresses) > GUARD_ADDRESSES_MAX) {
        struct address_entry *oldest = guard->addresses;
        HASH_DEL(guard->addresses, oldest);
        alloc_free(oldest);
    }
    return entry;
}

/* --- life ------------------------------------------------------------------------------------- */

struct guard *guard_create(void)
{
    return alloc_zero(sizeof(struct guard));
}

static void free_refusal(struct guard *guard, struct refusal_entry *entry)
{
    HASH_DEL(guard->refusals, entry);
    alloc_free(entry);
}

void guard_destroy(struct guard **guard_p)
{
    struct guard *guard = *guard_p;
    *guard_p = NULL;
    while (guard->logins != NULL) {
        free_login(&guard->logins, guard->logins);
    }
    while (guard->nobodies != NULL) {
        free_login(&guard->nobodies, guard->nobodies);
    }
    while (guard->addresses != NULL) {
        struct address_entry *entry = guard->addresses;
        HASH_DEL(guard->addresses, entry);
        alloc_free(entry);
    }
    while (guard->refusals != NULL) {
        free_refusal(guard, guard->refusals);
    }
    alloc_free(guard);
}

void guard_set_limits(struct guard *guard, const struct guard_limits *limits)
{
    guard->limits = *limits;
}

/* --- failures --------------------------------------------------------------------------------- */

uint64_t guard_take(struct guard *guard, struct slice login, const char *host, uint64_t now_ms,
                    struct guard_ticket *ticket_out)
{
    uint32_t per_login = guard->limits.per_login, per_address = guard->limits.per_address;
    struct login_entry *entry = get_login(guard, login, now_ms);
    struct known *known = find_known(entry, host);
    struct bucket *bucket = known != NULL ? &known->bucket : &entry->strangers;
    struct bucket *shared =
        known != NULL ? NULL : &get_address(guard, host, now_ms)->bucket;
    refill(bucket, per_login, now_ms);
    uint64_t wait = wait_ms(bucket, per_login);
    if (shared != NULL) {
        refill(shared, per_address, now_ms);
        uint64_t also = wait_ms(shared, per_address);
        wait = also > wait ? also : wait;
    }
    if (wait > 0) {
        return wait;
    }
    take(bucket, per_login);
    if (shared != NULL) {
        take(shared, per_address);
    }
    *ticket_out = (struct guard_ticket){.is_taken = true, .was_known = known != NULL};
    (void)snprintf(ticket_out->host, sizeof(ticket_out->host), "%s", host);
    return 0;
}

void guard_give_back(struct guard *guard, struct slice login, struct guard_ticket *ticket,
                     uint64_t now_ms)
{
    if (!ticket->is_taken) {
        return;
    }
    ticket->is_taken = false;
    struct login_entry *entry = find_login(guard, login);
    struct known *known = find_known(entry, ticket->host);
    if (ticket->was_known && known != NULL) {
        give(&known->bucket, guard->limits.per_login);
    } else if (!ticket->was_known) {
        if (entry != NULL) {
            give(&entry->strangers, guard->limits.per_login);
        }
        give(&get_address(guard, ticket->host, now_ms)->bucket, guard->limits.per_address);
    }
}

void guard_note_success(struct guard *guard, struct slice login, const char *host,
                        uint64_t now_ms)
{
    struct login_entry *entry = get_login(guard, login, now_ms);
    struct known *known = find_known(entry, host);
    if (entry->known == NULL) {
        entry->known = alloc_array(GUARD_KNOWN_MAX, sizeof(*entry->known));
        HASH_DEL(guard->nobodies, entry);
        put_last(&guard->logins, entry);
    }
    for (size_t i = 0; known == NULL && i < GUARD_KNOWN_MAX; i++) {
        known = entry->known[i].host[0] == '\0' ? &entry->known[i] : NULL;
    }
    if (known == NULL) { /* no unused one: the one that nobody came from for longest */
        known = &entry->known[0];
        for (size_t i = 1; i < GUARD_KNOWN_MAX; i++) {
            known = entry->known[i].used_ms < known->used_ms ? &entry->known[i] : known;
        }
    }
    if (strcmp(known->host, host) != 0) {
        (void)snprintf(known->host, sizeof(known->host), "%s", host);
        known->bucket = full_bucket(guard->limits.per_login, now_ms);
    }
    known->used_ms = now_ms;
}

/* --- refusals --------------------------------------------------------------------------------- */

static struct refusal_entry *find_refusal(struct guard *guard,
                                          const unsigned char hash[SECRET_HASH_BYTES])
{
    struct refusal_entry *entry = NULL;
    HASH_FIND(hh, guard->refusals, hash, SECRET_HASH_BYTES, entry);
    return entry;
}

bool guard_find_refusal(struct guard *guard, const unsigned char hash[SECRET_HASH_BYTES],
                        uint64_t now_ms, struct guard_refusal *out)
{
    struct refusal_entry *entry = find_refusal(guard, hash);
    if (entry == NULL || now_ms - entry->at_ms >= guard->limits.refusal_ms) {
        return false;
    }
    out->took_ms = entry->took_ms;
    out->text = slice_of(entry->said, entry->text_len);
    out->challenge = slice_of(entry->said + entry->text_len, entry->challenge_len);
    return true;
}

void guard_forget_refusal(struct guard *guard, const unsigned char hash[SECRET_HASH_BYTES])
{
    struct refusal_entry *entry = find_refusal(guard, hash);
    if (entry != NULL) {
        free_refusal(guard, entry);
    }
}

void guard_note_refusal(struct guard *guard, const unsigned char hash[SECRET_HASH_BYTES],
                        uint64_t now_ms, const struct guard_refusal *refusal)
{
    struct slice text = slice_sub(refusal->text, 0, GUARD_TEXT_MAX);
    struct slice challenge = refusal->challenge;
    if (challenge.len > GUARD_TEXT_MAX) {
        challenge.len = 0;
    }
    guard_forget_refusal(guard, hash);
    struct refusal_entry *entry = alloc_zero(sizeof(*entry) + text.len + challenge.len);
    memcpy(entry->hash, hash, sizeof(entry->hash));
    entry->at_ms = now_ms;
    entry->took_ms = refusal->took_ms;
    entry->text_len = text.len;
    entry->challenge_len = challenge.len;
    if (text.len > 0) {
        memcpy(entry->said, text.data, text.len);
    }
    if (challenge.len > 0) {
        memcpy(entry->said + text.len, challenge.data, challenge.len);
    }
    HASH_ADD(hh, guard->refusals, hash, SECRET_HASH_BYTES, entry);
    if (HASH_COUNT(guard->refusals) > GUARD_REFUSALS_MAX) {
        free_refusal(guard, guard->refusals);
    }
}
