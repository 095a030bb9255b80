/* Lists of header fields are asked as the union of those that clients have asked for in the mailbox
 * (fieldlists_p.h), so that the next program finds its own list in the store.  The lists are kept there
 * too, with message 0, which no mailbox has. */
#include "plan_p.h"
#include "base/log.h"
#include "store/record.h"

#define LISTS_KEY SLICE("=LISTS")

static void load(struct plan *plan)
{
    struct store_walk walk;
    struct record record;
    struct record_key key = record_key_of(LISTS_KEY);
    struct slice text;
    plan->has_lists = true;
    store_read_begin(plan->env.store);
    store_walk_begin(plan->env.store, plan->env.mailbox_id, &walk);
    if (store_walk_to(&walk, 0, &record) && record_find(&record, &key, &text)) {
        fieldlists__read(&plan->lists, text);
    }
    store_walk_end(&walk);
    store_read_end(plan->env.store);
}

static void keep(struct plan *plan)
{
    struct buf text;
    buf_init(&text, 0);
    fieldlists__write(&plan->lists, &text);
    enum status st =
        store_item_put(plan->env.store, plan->env.mailbox_id, 0, LISTS_KEY, buf_slice(&text));
    if (st != OK) {
        LOG(LOG_DEBUG, "plan", "msg=\"lists of fields not kept\" why=%s", status_name(st));
    }
    buf_fini(&text);
}

void plan_note_list(struct plan *plan, const struct fetch_item *item)
{
    bool is_new;
    if (!plan->has_lists) {
        load(plan);
    }
    if (fieldlists__note(&plan->lists, item, &is_new) && is_new) {
        keep(plan);
    }
}

bool plan_widen(struct plan *plan, const struct fetch_item *item, struct arena *arena,
                struct fetch_item *out)
{
    return !plan->is_narrow && fieldlists__widen(&plan->lists, item, arena, out);
}

void plan_narrow(struct plan *plan)
{
    if (!plan->is_narrow) {
        LOG(LOG_INFO, "plan", "msg=\"lists of fields are asked as they come from now on\"");
    }
    plan->is_narrow = true;
}
