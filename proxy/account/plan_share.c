/* A message that a COPYUID said to be another one that is known (share_p.h): before its octets are asked
 * for, its size and envelope are, together with whatever else is asked of it; what has to wait for their
 * comparison waits here.
 *
 *   gathered wants --share__hold()--> claim unproven: size and envelope asked, octets held back
 *   their tagged OK, the next flush -> proven:  octets are VALUE_KEPT, the session looks them up
 *                                   -> or not:  octets are asked as ever */
#include "plan_p.h"

#include <utlist.h>

#include "base/alloc.h"
#include "share_p.h"

enum { PROOFS_MAX = 2 };

static const char *const proofs[] = {"RFC822.SIZE", "ENVELOPE"};
enum { PROOFS_N = sizeof(proofs) / sizeof(proofs[0]) };

/* Octets that may stand in the store under the other message. */
static bool is_holdable(const struct want *want)
{
    return want->step == WANT_GATHERED && want->is_bulk && want->is_kept &&
           want->value.state == VALUE_WANTED;
}

static bool is_on_its_way(const struct message *message, struct slice name)
{
    const struct want *want;
    LL_FOREACH(message->wants, want) {
        if (slice_eq(want->name, name) &&
            (want->step == WANT_GATHERED || want->step == WANT_ASKED)) {
            return true;
        }
    }
    return false;
}

static void ask(struct plan *plan, struct message *message, struct slice name)
{
    struct fetch_item item;
    arena_reset(&plan->scratch);
    if (!is_on_its_way(message, name) && fetch_item_parse(name, &plan->scratch, &item) == OK) {
        (void)plan__want_create(plan, message, &item);
    }
}

/* True: what the proof lacks is on its way now. */
static bool ask_proofs(struct plan *plan, struct message *message)
{
    size_t lacking = 0;
    for (size_t i = 0; i < PROOFS_N; i++) {
        struct slice name = slice_str(proofs[i]);
        if (share__has_item(plan->env.store, plan->env.mailbox_id, message->uid, name)) {
            continue;
        }
        if (!is_on_its_way(message, name)) {
            lacking++;
        }
    }
    if (lacking > 0 && message->proofs_n++ >= PROOFS_MAX) {
        share__deny(plan->env.store, plan->env.mailbox_id, message->uid);
        return false;
    }
    for (size_t i = 0; i < PROOFS_N; i++) {
        struct slice name = slice_str(proofs[i]);
        if (!share__has_item(plan->env.store, plan->env.mailbox_id, message->uid, name)) {
            ask(plan, message, name);
        }
    }
    return true;
}

static void keep_known(struct plan *plan, struct message *message)
{
    struct want *want;
    LL_FOREACH(message->wants, want) {
        if (is_holdable(want)) {
            want->step = WANT_OVER;
            want->value.state = VALUE_KEPT;
            plan__moved(plan);
        }
    }
}

/* Octets are to be downloaded, or will be: which message is it? */
static void ask_id(struct plan *plan, struct message *message)
{
    const char *item = plan->env.id_item;
    if (item != NULL && !message->is_id_asked) {
        message->is_id_asked = true;
        if (!share__has_item(plan->env.store, plan->env.mailbox_id, message->uid,
                             slice_str(item))) {
            ask(plan, message, slice_str(item));
        }
    }
}

/* Its identity was asked by an earlier command of small items, whose end may bring a claim: octets asked
 * meanwhile wait for that. */
static bool awaits_id(const struct plan *plan, const struct message *message)
{
    const struct want *want;
    bool is_asked = false;
    LL_FOREACH(message->wants, want) {
        if (want->step == WANT_ASKED && want->is_bulk) {
            return false; /* it is being downloaded */
        }
        is_asked = is_asked || (want->step == WANT_ASKED && plan->env.id_item != NULL &&
                                slice_eq(want->name, slice_str(plan->env.id_item)));
    }
    return is_asked;
}

void share__hold(struct plan *plan, struct message *message)
{
    struct want *want;
    ask_id(plan, message);
    enum share_state state =
        share__settle(plan->env.store, plan->env.mailbox_id, message->uid);
    if (state == SHARE_PROVEN) {
        keep_known(plan, message);
    }
    bool is_held = (state == SHARE_UNPROVEN && ask_proofs(plan, message)) ||
                   (state == SHARE_NONE && awaits_id(plan, message));
    LL_FOREACH(message->wants, want) {
        want->is_waiting = is_held && is_holdable(want);
    }
}

void plan_ask_likeness(struct plan *plan, const struct ranges *uids)
{
    bool has_asked = false;
    for (uint32_t uid = 0; ranges_next(uids, uid, &uid); uid++) {
        for (size_t i = 0; i < PROOFS_N; i++) {
            struct slice name = slice_str(proofs[i]);
            if (plan->env.ops->has_uid(plan->env.arg, uid) &&
                !share__has_item(plan->env.store, plan->env.mailbox_id, uid, name)) {
                ask(plan, plan__message_get(plan, uid), name);
                has_asked = true;
            }
        }
    }
    if (has_asked) {
        plan__send_gathered(plan);
    }
}
