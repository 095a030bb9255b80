/* STORE .SILENT: what the client expects each message's flags to be afterwards, as runs of equal
 * expectation; at the end those that came true are struck from what is to be told. */
#include "base/alloc.h"
#include "view_p.h"

struct run {
    uint32_t first;
    uint32_t last;
    uint32_t flags;
};

struct view_silent {
    struct view *view;
    struct ranges uids; /* all asked for */
    uint64_t syncs;
    struct run *run;
    size_t n;
    size_t cap;
};

static void add_run(struct view_silent *silent, uint32_t uid, uint32_t flags)
{
    if (silent->n == silent->cap) {
        silent->cap = silent->cap > 0 ? silent->cap * 2 : 4;
        silent->run = alloc_resize(silent->run, silent->cap, sizeof(*silent->run));
    }
    flags_ref(mailbox_flags(silent->view->mailbox), flags, 1);
    silent->run[silent->n++] = (struct run){uid, uid, flags};
}

struct view_silent *view_silent_begin(struct view *view, const struct ranges *uids,
                                      enum flag_op op, uint32_t flags)
{
    struct view_silent *silent = alloc_zero(sizeof(*silent));
    silent->view = view;
    ranges_init(&silent->uids, 0);
    ranges_copy(uids, &silent->uids);
    struct view_iter iter;
    view_iter_init(&iter, view, uids);
    silent->syncs = view->syncs;
    uint32_t joins = 0; /* the number that continues the last run: a run has no message in it that
                           was not asked for */
    struct view_message message;
    while (view_iter_next(&iter, &message)) {
        uint32_t expected;
        if (message.is_vanished || ranges_has(&view->changed, message.uid) ||
            flags_apply(mailbox_flags(view->mailbox), message.flags, op, flags, &expected) != OK) {
            continue; /* it will be told */
        }
        if (message.msn == joins && silent->run[silent->n - 1].flags == expected) {
            silent->run[silent->n - 1].last = message.uid;
        } else {
            add_run(silent, message.uid, expected);
        }
        joins = message.msn + 1;
    }
    return silent;
}

/* The UIDs of a run whose flags are now as expected. */
static void add_fulfilled(const struct view_silent *silent, const struct run *run,
                          struct ranges *out)
{
    struct mailbox_iter iter;
    struct mailbox_entry entry;
    mailbox_iter_init(&iter, silent->view->mailbox, run->first);
    while (mailbox_iter_next(&iter, &entry) && entry.uid <= run->last) {
        if (entry.flags == run->flags) {
            ranges_append(out, entry.uid, entry.uid);
        }
    }
}

static void strike_fulfilled(struct view_silent *silent)
{
    struct view *view = silent->view;
    if (view->changed.n == 0) {
        return;
    }
    struct ranges fulfilled;
    ranges_init(&fulfilled, 0);
    for (size_t i = 0; i < silent->n; i++) {
        add_fulfilled(silent, &silent->run[i], &fulfilled);
    }
    ranges_subtract(&view->changed, &fulfilled);
    ranges_fini(&fulfilled);
}

/* Flags were told while the command ran: what the client made of both is not known, so tell all. */
static void tell_again(struct view_silent *silent)
{
    struct view *view = silent->view;
    struct ranges live;
    ranges_init(&live, 0);
    mailbox_scan_uids(view->mailbox, &silent->uids, &live);
    view_clip(view, &live);
    ranges_unite(&view->changed, &live);
    ranges_fini(&live);
}

void view_silent_end(struct view_silent **silent)
{
    struct view *view = (*silent)->view;
    view__catch_up(view);
    if (view->syncs == (*silent)->syncs) {
        strike_fulfilled(*silent);
    } else {
        tell_again(*silent);
    }
    view->is_clean = false;
    view_silent_cancel(silent);
}

void view_silent_cancel(struct view_silent **silent)
{
    struct flags *flags = mailbox_flags((*silent)->view->mailbox);
    for (size_t i = 0; i < (*silent)->n; i++) {
        flags_unref(flags, (*silent)->run[i].flags, 1);
    }
    ranges_fini(&(*silent)->uids);
    alloc_free((*silent)->run);
    alloc_free(*silent);
    *silent = NULL;
}
