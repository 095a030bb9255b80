/* mailbox log -- catch up -->  vanished, hidden, changed  -- view_sync -->  struct view_changes
 * Catching up never changes a number; view_sync() does. */
#include "model/view.h"

#include "base/alloc.h"
#include "base/check.h"
#include "view_p.h"

enum { KEEP_INTERVALS = 512 }; /* memory an idle view keeps: 4 KiB */

/* --- catching up ------------------------------------------------------------------------------ */

static void add_changed(struct view *view, const struct ranges *uids)
{
    if (uids->n == 0) {
        return;
    }
    if (uidset_empty(&view->hidden) && uids->at[uids->n - 1].last <= view->told) {
        ranges_unite(&view->changed, uids);
        return;
    }
    struct ranges seen;
    ranges_init(&seen, 0);
    ranges_copy(uids, &seen);
    ranges_clip(&seen, view->told);
    ranges_subtract(&seen, &view->hidden.set);
    ranges_unite(&view->changed, &seen);
    ranges_fini(&seen);
}

static void apply_vanished(struct view *view, const struct ranges *uids)
{
    struct ranges seen;
    ranges_init(&seen, 0);
    ranges_copy(uids, &seen);
    ranges_clip(&seen, view->told);
    ranges_subtract(&seen, &view->hidden.set);
    uidset_subtract(&view->hidden, uids);
    uidset_unite(&view->vanished, &seen);
    ranges_subtract(&view->changed, &seen);
    ranges_fini(&seen);
}

/* A UID at or below the highest of all time is there again, or was missed before. */
static void apply_appeared(struct view *view, const struct ranges *uids)
{
    struct ranges seen;
    struct ranges back;
    ranges_init(&seen, 0);
    ranges_init(&back, 0);
    ranges_copy(uids, &seen);
    ranges_clip(&seen, view->told);
    ranges_intersect(&seen, &view->vanished.set, &back);
    uidset_subtract(&view->vanished, &back);
    ranges_subtract(&seen, &back);
    uidset_unite(&view->hidden, &seen);
    ranges_unite(&view->changed, &back);
    ranges_fini(&seen);
    ranges_fini(&back);
}

static void apply(struct view *view, const struct digest *digest)
{
    if (digest->vanished.n > 0) {
        apply_vanished(view, &digest->vanished);
    }
    if (digest->appeared.n > 0) {
        apply_appeared(view, &digest->appeared);
    }
    add_changed(view, &digest->flags);
    add_changed(view, &digest->flapped);
    if ((view->options & VIEW_WANTS_MODSEQ) != 0) {
        add_changed(view, &digest->modseq);
    }
}

void view__catch_up(struct view *view)
{
    struct mailbox *mailbox = view->mailbox;
    if (view->cursor < mailbox->log.end) {
        apply(view, mailbox__digest(mailbox, view->cursor));
        view->cursor = mailbox->log.end;
    }
}

uint64_t view__lowest_cursor(const struct mailbox *mailbox)
{
    uint64_t lowest = mailbox->log.end;
    for (const struct view *view = mailbox->views; view != NULL; view = view->next) {
        lowest = view->cursor < lowest ? view->cursor : lowest;
    }
    return lowest;
}

void view__catch_up_all(struct mailbox *mailbox)
{
    for (struct view *view = mailbox->views; view != NULL; view = view->next) {
        view__catch_up(view);
    }
}

void view__apply_to_all(struct mailbox *mailbox, const struct digest *digest)
{
    for (struct view *view = mailbox->views; view != NULL; view = view->next) {
        apply(view, digest);
    }
}

/* --- opening and closing ---------------------------------------------------------------------- */

/* UIDs from the floor to what has been told are \Recent here, and for a SELECT nowhere else. */
static void take_recent(struct view *view)
{
    struct mailbox *mailbox = view->mailbox;
    if (view->told < mailbox->recent_floor) {
        return;
    }
    ranges_add(&view->recent, mailbox->recent_floor, view->told);
    if ((view->options & VIEW_CLAIMS_RECENT) != 0) {
        mailbox__raise_recent_floor(mailbox, view->told + 1);
    }
}

/* All is told: what comes from here on is the same for every such view. */
static void all_told(struct view *view)
{
    const struct mailbox *mailbox = view->mailbox;
    if (!uidset_empty(&view->vanished) || !uidset_empty(&view->hidden)) {
        view->is_clean = false;
        return;
    }
    if (mailbox->synced_modseq > view->told_modseq) { /* less while the model is not complete */
        view->told_modseq = mailbox->synced_modseq;
    }
    view->is_clean = view->recent.n == 0 && view->told == mailbox->uid_high;
    view->clean_version = mailbox->version;
}

static struct view *open_bare(struct mailbox *mailbox, unsigned options)
{
    struct view *view = alloc_zero(sizeof(*view));
    view->mailbox = mailbox;
    view->options = options;
    view->next = mailbox->views;
    if (view->next != NULL) {
        view->next->prev = view;
    }
    mailbox->views = view;
    view->cursor = mailbox->log.end;
    view->told = mailbox->uid_high;
    uidset_init(&view->vanished);
    uidset_init(&view->hidden);
    ranges_init(&view->changed, 0);
    ranges_init(&view->recent, 0);
    return view;
}

struct view *view_open_at(struct mailbox *mailbox, unsigned options, uint32_t uidnext)
{
    struct view *view = open_bare(mailbox, options);
    if (uidnext > 0 && uidnext - 1 < view->told) {
        view->told = uidnext - 1;
    }
    take_recent(view);
    view->told_recent = view_recent(view);
    view->told_lists = mailbox->lists_version;
    all_told(view);
    return view;
}

/* Up to which UID are the first @n messages?  All: whatever was there beyond is gone untold. */
static uint32_t told_up_to(struct view *view, uint32_t n)
{
    return n == view_count(view) ? view->told : n == 0 ? 0 : view_uid_of(view, n);
}

struct view *view_open_told(struct mailbox *mailbox, unsigned options, const struct view_told *told)
{
    if (told->gone->n > 0) { /* also those that never came into the model */
        mailbox_raise_uid_high(mailbox, told->gone->at[told->gone->n - 1].last);
    }
    struct view *view = open_bare(mailbox, options);
    struct ranges present;
    ranges_init(&present, 0);
    mailbox_scan_uids(mailbox, told->gone, &present);
    uidset_unite(&view->vanished, told->gone);
    uidset_subtract(&view->vanished, &present);
    ranges_fini(&present);
    if (view_count(view) < told->exists) {
        view_close(&view);
        return NULL;
    }
    view->told = told_up_to(view, told->exists);
    ranges_clip(&view->vanished.set, view->told);
    view->vanished.ranked = false;
    if (told->modseq > 0) {
        mailbox_scan_modseq(mailbox, NULL, told->modseq, &view->changed);
        ranges_clip(&view->changed, view->told);
    }
    take_recent(view);
    view->told_recent = told->recent;
    view->told_lists = told->lists_version;
    view->told_modseq = told->modseq;
    return view;
}

struct view *view_open(struct mailbox *mailbox, unsigned options)
{
    return view_open_at(mailbox, options, UINT32_MAX);
}

void view_close(struct view **view_ptr)
{
    struct view *view = *view_ptr;
    if (view == NULL) {
        return;
    }
    if (view->prev != NULL) {
        view->prev->next = view->next;
    } else {
        view->mailbox->views = view->next;
    }
    if (view->next != NULL) {
        view->next->prev = view->prev;
    }
    uidset_fini(&view->vanished);
    uidset_fini(&view->hidden);
    ranges_fini(&view->changed);
    ranges_fini(&view->recent);
    alloc_free(view);
    *view_ptr = NULL;
}

struct mailbox *view_mailbox(const struct view *view)
{
    return view->mailbox;
}

void view_set_option(struct view *view, unsigned option)
{
    if ((view->options & option) != option) {
        view__catch_up(view); /* under the old ones */
        view->options |= option;
        view->is_clean = false;
    }
}

/* --- telling ---------------------------------------------------------------------------------- */

void view_changes_init(struct view_changes *changes)
{
    *changes = (struct view_changes){0};
    ranges_init(&changes->expunged_msns, 0);
    ranges_init(&changes->vanished, 0);
    ranges_init(&changes->flags, 0);
}

void view_changes_fini(struct view_changes *changes)
{
    ranges_fini(&changes->expunged_msns);
    ranges_fini(&changes->vanished);
    ranges_fini(&changes->flags);
}

bool view_changes_empty(const struct view_changes *changes)
{
    return changes->vanished.n == 0 && changes->flags.n == 0 && !changes->tells_exists &&
           !changes->tells_recent && !changes->tells_flag_lists;
}

bool view_has_pending(const struct view *view, bool allow_expunge)
{
    const struct mailbox *mailbox = view->mailbox;
    return view->cursor != mailbox->log.end || view->told != mailbox->uid_high ||
           view->told_lists != mailbox->lists_version || view->changed.n > 0 ||
           (allow_expunge && !uidset_empty(&view->vanished));
}

static void forget_changed(struct view *view)
{
    if (view->changed.cap > KEEP_INTERVALS) {
        ranges_fini(&view->changed);
    }
    ranges_reset(&view->changed);
}

static void tell_vanished(struct view *view, struct view_changes *out)
{
    if (uidset_empty(&view->vanished)) {
        return;
    }
    const struct ranges *set = &view->vanished.set;
    for (size_t i = 0; i < set->n; i++) {
        /* Consecutive UIDs that are all in the view have consecutive numbers. */
        uint32_t msn = view__rank(view, set->at[i].first);
        ranges_append(&out->expunged_msns, msn, msn + (set->at[i].last - set->at[i].first));
    }
    ranges_swap(&view->vanished.set, &out->vanished);
    uidset_reset(&view->vanished);
}

static void tell_new(struct view *view, struct view_changes *out)
{
    uint32_t before = view__rank(view, view->told);
    view->told = view->mailbox->uid_high;
    out->exists = view__rank(view, view->told);
    out->tells_exists = out->exists != before;
    take_recent(view);
    out->recent = view_recent(view);
    out->tells_recent = out->recent != view->told_recent;
    view->told_recent = out->recent;
    if (out->recent == 0) {
        ranges_reset(&view->recent);
    }
}

void view_sync(struct view *view, bool allow_expunge, struct view_changes *out)
{
    view__catch_up(view);
    view->syncs++;
    ranges_reset(&out->expunged_msns);
    ranges_reset(&out->vanished);
    ranges_reset(&out->flags);
    if (allow_expunge) {
        tell_vanished(view, out);
    }
    tell_new(view, out);
    out->tells_flag_lists = view->told_lists != view->mailbox->lists_version;
    view->told_lists = view->mailbox->lists_version;
    ranges_swap(&view->changed, &out->flags);
    forget_changed(view);
    all_told(view);
    out->modseq = view->told_modseq;
}

bool view_key(struct view *view, bool allow_expunge, struct view_key *out)
{
    const struct mailbox *mailbox = view->mailbox;
    bool news_are_recent = mailbox->uid_high > view->told &&
                           mailbox->recent_floor <= mailbox->uid_high;
    if (!view->is_clean || news_are_recent || mailbox->appeared_version > view->clean_version ||
        (!allow_expunge && mailbox->vanished_version > view->clean_version)) {
        return false;
    }
    *out = (struct view_key){.from = view->clean_version,
                             .to = mailbox->version,
                             .with_modseq = (view->options & VIEW_WANTS_MODSEQ) != 0};
    return true;
}

bool view_key_equal(const struct view_key *a, const struct view_key *b)
{
    return a->from == b->from && a->to == b->to && a->with_modseq == b->with_modseq;
}

void view_sync_same(struct view *view, const struct view_key *key)
{
    const struct mailbox *mailbox = view->mailbox;
    CHECK(view->is_clean && key->from == view->clean_version && key->to == mailbox->version);
    view->syncs++;
    view->cursor = mailbox->log.end;
    view->told = mailbox->uid_high;
    view->told_lists = mailbox->lists_version;
    uidset_reset(&view->vanished);
    forget_changed(view);
    all_told(view);
}

/* --- what the session itself has told --------------------------------------------------------- */

void view_flags_told(struct view *view, uint32_t uid)
{
    view__catch_up(view);
    if (view->changed.n > 0 && ranges_has(&view->changed, uid)) {
        ranges_remove(&view->changed, uid, uid);
        view->is_clean = false;
    }
}

uint32_t view_recent(struct view *view)
{
    uint32_t n = 0;
    for (size_t i = 0; i < view->recent.n; i++) {
        n += view__rank(view, view->recent.at[i].last) -
             view__rank(view, view->recent.at[i].first - 1);
    }
    return n;
}

bool view_is_recent(const struct view *view, uint32_t uid)
{
    return view->recent.n > 0 && ranges_has(&view->recent, uid);
}

const struct ranges *view_recent_uids(const struct view *view)
{
    return &view->recent;
}
