/* The links of an account.  A slot holds one link and a role: spare (no mailbox, for LIST and the
 * like, and to be taken by the next feed), feed, or bulk (bodies, uploads).  Links log in with any
 * proven secret; one that is refused is forgotten and the next is tried by whoever asks again. */
#include <string.h>
#include <utlist.h>

#include "feed_p.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

static void forget_login(struct slot *slot)
{
    secret_destroy(&slot->password);
}

static void unlink_slot(struct slot *slot)
{
    DL_DELETE(slot->account->slots, slot);
    slot->account->slots_n--;
    if (slot->account->utility == slot) {
        slot->account->utility = NULL;
    }
    budget__kick(slot->account);
    forget_login(slot);
    timer_destroy(&slot->idle);
    alloc_free(slot);
}

static void on_ready(void *owner, struct link *link)
{
    struct slot *slot = owner;
    struct account *account = slot->account;
    slot->is_ready = true;
    forget_login(slot);
    reach__link_ready(account);
    account->caps = *link_capabilities(link);
    account->profile = link_profile(link);
    proofs__link_accepted(account, slot->hash);
    if (slot->role == SLOT_FEED) {
        feed__slot_ready(slot->feed);
    } else {
        slot__rest(slot);
    }
    request__dispatch_all(account);
}

/* Servers do one EXAMINE after the other: what they say of a mailbox is of the oldest one that is
 * not answered yet, and that need not be the one sent last. */
static void examine_untagged(struct slot *slot, const struct response *response)
{
    const struct examine *oldest = slot->examines;
    struct feed *feed = oldest != NULL ? oldest->feed : slot->feed;
    uint32_t epoch = oldest != NULL ? oldest->epoch : slot->epoch;
    uint64_t number;
    if (feed == NULL || response->kind != RESPONSE_STATE ||
        !respdata_code_number(response, &number)) {
        return;
    }
    if (response->code == CODE_UIDNEXT && epoch == slot->epoch &&
        number > slot->known_uidnext && number <= UINT32_MAX) {
        slot->known_uidnext = (uint32_t)number;
    }
    if (response->code == CODE_UIDVALIDITY && number != mailbox_uidvalidity(feed->mailbox)) {
        slot->bad_epoch = epoch; /* nothing of this selection may be believed */
    }
}

static void on_untagged(void *owner, struct link *link, const struct response *response)
{
    struct slot *slot = owner;
    (void)link;
    if (slot->role == SLOT_FEED) {
        feed__untagged(slot->feed, response);
    } else if (slot->role == SLOT_BULK) {
        examine_untagged(slot, response);
    }
}

static void on_closed(void *owner, struct link *link, enum status why,
                      const struct response *refusal, const struct fail *fail)
{
    struct slot *slot = owner;
    struct account *account = slot->account;
    struct feed *feed = slot->role == SLOT_FEED ? slot->feed : NULL;
    bool was_ready = slot->is_ready;
    uint64_t begun_ms = slot->begun_ms;
    (void)link;
    LOG(was_ready ? LOG_INFO : LOG_WARN, "account",
        "msg=\"link closed\" account=%s peer=%s status=%s detail=%s", account->name,
        link_peer(link), status_name(why),
        LOG_Q(fail != NULL && fail->status != OK ? slice_str(fail->text) : SLICE("")));
    slot->link = NULL;
    account->awaits_enable = account->awaits_enable || link_presumed_wrongly(link);
    bool tries_another = why == AUTH && proofs__link_refused(account, slot->hash, refusal) &&
                         proofs__for_link(account) != NULL;
    unlink_slot(slot);
    if (!was_ready && !tries_another) {
        reach__link_failed(account, begun_ms);
    } else if (was_ready) {
        reach__link_lost(account);
    }
    if (feed != NULL) {
        feed__slot_lost(feed, was_ready);
    }
    request__dispatch_all(account);
}

static void on_idling(void *owner, struct link *link)
{
    (void)owner;
    (void)link;
}

static void on_throttled(void *owner, struct link *link, const struct throttle *throttle)
{
    struct slot *slot = owner;
    (void)link;
    reach__throttled(slot->account, throttle);
}

static const struct link_ops slot_ops = {.ready = on_ready,
                                         .untagged = on_untagged,
                                         .idling = on_idling,
                                         .throttled = on_throttled,
                                         .closed = on_closed};

static void idle_over(void *arg)
{
    struct slot *slot = arg;
    if (slot->role == SLOT_FEED || !slot->is_ready) {
        return;
    }
    if (link_load(slot->link) == 0) {
        slot__close(slot, true);
    } else {
        slot__rest(slot); /* something nobody waits for any more is still being answered */
    }
}

static struct slot *new_slot(struct account *account, enum slot_role role)
{
    struct slot *slot = alloc_zero(sizeof(*slot));
    slot->account = account;
    slot->role = role;
    slot->begun_ms = evloop_now_ms(account__loop(account));
    slot->idle = timer_create_on(account__loop(account), idle_over, slot);
    DL_APPEND(account->slots, slot);
    account->slots_n++;
    return slot;
}

struct slot *slot__open(struct account *account, enum slot_role role, struct feed *feed)
{
    struct proof *proof = proofs__for_link(account);
    if (account->is_ending) {
        return NULL;
    }
    if (proof == NULL) {
        reach__link_failed(account, evloop_now_ms(account__loop(account)));
        return NULL;
    }
    reach__trying(account);
    struct slot *slot = new_slot(account, role);
    slot->feed = feed;
    struct link_login login = proofs__login(account, proof);
    slot->password = secret_create(login.password); /* the proof may go while the link logs in */
    login.password = secret_bytes(slot->password);
    memcpy(slot->hash, proofs__hash_of(proof), sizeof(slot->hash));
    const struct link_env env = account__link_env(account);
    slot->link = link_create(&env, &login, &slot_ops, slot);
    return slot;
}

struct slot *slot__adopt(struct account *account, struct link **link)
{
    if (account->is_ending || !budget__has_room(account)) {
        link_close(link, true);
        return NULL;
    }
    struct slot *slot = new_slot(account, SLOT_SPARE);
    slot->link = *link;
    slot->is_ready = true;
    *link = NULL;
    link_set_owner(slot->link, &slot_ops, slot);
    slot__rest(slot);
    reach__link_ready(account);
    return slot;
}

bool slot__is_ready(const struct slot *slot)
{
    return slot->is_ready && slot->link != NULL && link_is_ready(slot->link);
}

void slot__close_unused_bulk(struct account *account)
{
    struct slot *slot;
    DL_FOREACH(account->slots, slot) {
        if (slot->role == SLOT_BULK && slot__is_ready(slot) && link_load(slot->link) == 0) {
            slot__close(slot, true);
            return;
        }
    }
}

struct slot *slot__spare(struct account *account)
{
    struct slot *slot;
    DL_FOREACH(account->slots, slot) {
        if (slot->role == SLOT_SPARE && slot__is_ready(slot)) {
            return slot;
        }
    }
    return NULL;
}

void slot__set_role(struct slot *slot, enum slot_role role, struct feed *feed)
{
    timer_stop(slot->idle);
    slot->role = role;
    slot->feed = feed;
    slot->known_uidnext = 0;
    if (role != SLOT_FEED) {
        link_want_idle(slot->link, false);
        link_set_watched(slot->link, false);
        slot__rest(slot);
    }
}

void slot__close(struct slot *slot, bool polite)
{
    struct link *link = slot->link;
    request__leave_slot(slot);
    if (slot->role == SLOT_FEED && slot->feed != NULL) {
        slot->feed->slot = NULL;
    }
    slot->link = NULL;
    unlink_slot(slot);
    if (link != NULL) {
        link_close(&link, polite);
    }
}

void slot__rest(struct slot *slot)
{
    if (slot->role != SLOT_FEED) {
        timer_set_ms(slot->idle, slot->account->upstream->bulk_linger_ms);
    }
}
