#include "twins_p.h"

#include <xxhash.h>

#include "base/alloc.h"
#include "base/log.h"
#include "feed_p.h"
#include "share_p.h"

/* Where the content of an identity may be found; whether it is there, and whose it is, its record tells. */
struct twin {
    UT_hash_handle hh; /* in the order they were met */
    uint64_t id_hash;
    uint64_t store_id;
    uint32_t uid;
};

const char *twins__item(const struct account *account)
{
    if (capability_has(&account->caps, CAP_OBJECTID)) {
        return "EMAILID";
    }
    return capability_has(&account->caps, CAP_GMAIL) ? "X-GM-MSGID" : NULL;
}

static void forget(struct account *account, struct twin *twin)
{
    HASH_DEL(account->twins, twin);
    alloc_free(twin);
}

void twins__destroy(struct account *account)
{
    while (account->twins != NULL) {
        forget(account, account->twins);
    }
}

static struct twin *add(struct account *account, uint64_t id_hash)
{
    if (HASH_COUNT(account->twins) >= TWINS_MAX) {
        forget(account, account->twins);
    }
    struct twin *twin = alloc_zero(sizeof(*twin));
    twin->id_hash = id_hash;
    HASH_ADD(hh, account->twins, id_hash, sizeof(twin->id_hash), twin);
    return twin;
}

void twins__met(struct feed *feed, uint32_t uid, struct slice id)
{
    struct account *account = feed->account;
    struct store *store = account->accounts->env.store;
    const char *item = twins__item(account);
    uint64_t id_hash = XXH3_64bits(id.data, id.len);
    struct twin *twin = NULL;
    if (item == NULL || feed->store_id == 0) {
        return;
    }
    HASH_FIND(hh, account->twins, &id_hash, sizeof(id_hash), twin);
    if (twin != NULL && twin->store_id == feed->store_id && twin->uid == uid) {
        return;
    }
    const struct share_place from = {.mailbox_id = twin != NULL ? twin->store_id : 0,
                                     .uid = twin != NULL ? twin->uid : 0};
    const struct share_place to = {.mailbox_id = feed->store_id, .uid = uid};
    if (twin != NULL && share__is_source(store, from, slice_str(item), id)) {
        if (!share__is_draft(feed, uid)) {
            share__claim(store, from, to);
        }
        return;
    }
    twin = twin != NULL ? twin : add(account, id_hash);
    twin->store_id = feed->store_id;
    twin->uid = uid;
}
