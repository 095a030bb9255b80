/* Every change goes the same way: room in the log first (which may make laggards catch up, and they
 * must see the model as the log has it), then the messages, then log, version and dirty mark. */
#include "model/mailbox.h"

#include "base/alloc.h"
#include "base/check.h"
#include "mailbox_p.h"
#include "model/pack.h"

enum { SWEEP_SLACK = 256 };

struct mailbox *mailbox_create(size_t log_max)
{
    struct mailbox *mailbox = alloc_zero(sizeof(*mailbox));
    mailbox->flags = flags_create();
    messages_init(&mailbox->messages, mailbox->flags);
    changelog_init(&mailbox->log, log_max);
    digest_init(&mailbox->digest);
    buf_init(&mailbox->flag_list, MAILBOX_LIST_MAX);
    buf_init(&mailbox->permanent_flags, MAILBOX_LIST_MAX);
    buf_init(&mailbox->id, MAILBOX_ID_MAX);
    ranges_init(&mailbox->dirty, 0);
    mailbox_reset(mailbox, 0);
    return mailbox;
}

void mailbox_destroy(struct mailbox **mailbox_ptr)
{
    struct mailbox *mailbox = *mailbox_ptr;
    if (mailbox == NULL) {
        return;
    }
    CHECK(mailbox->views == NULL);
    messages_fini(&mailbox->messages);
    flags_destroy(&mailbox->flags);
    changelog_fini(&mailbox->log);
    digest_fini(&mailbox->digest);
    buf_fini(&mailbox->flag_list);
    buf_fini(&mailbox->permanent_flags);
    buf_fini(&mailbox->id);
    ranges_fini(&mailbox->dirty);
    alloc_free(mailbox);
    *mailbox_ptr = NULL;
}

void mailbox_reset(struct mailbox *mailbox, uint32_t uidvalidity)
{
    CHECK(mailbox->views == NULL);
    messages_fini(&mailbox->messages);
    flags_destroy(&mailbox->flags);
    mailbox->flags = flags_create();
    messages_init(&mailbox->messages, mailbox->flags);
    changelog_forget(&mailbox->log, mailbox->log.end);
    buf_reset(&mailbox->flag_list);
    buf_reset(&mailbox->permanent_flags);
    buf_reset(&mailbox->id);
    ranges_reset(&mailbox->dirty);
    mailbox->version++;
    mailbox->seen_modseq = 0;
    mailbox->synced_modseq = 0;
    mailbox->base_modseq = 0;
    mailbox->uidvalidity = uidvalidity;
    mailbox->uidnext = 1;
    mailbox->uid_high = 0;
    mailbox->recent_floor = 1;
    mailbox->sweep_at = SWEEP_SLACK;
    mailbox->announced = 0;
    mailbox->packed_keywords = 0;
    mailbox->header_dirty = true;
}

struct flags *mailbox_flags(struct mailbox *mailbox)
{
    return mailbox->flags;
}

/* --- facts ------------------------------------------------------------------------------------ */

static void changed_header(struct mailbox *mailbox)
{
    mailbox->header_dirty = true;
    mailbox->version++;
}

void mailbox_counts(const struct mailbox *mailbox, struct mailbox_counts *out)
{
    const struct messages *m = &mailbox->messages;
    *out = (struct mailbox_counts){
        .exists = m->count,
        .unseen = m->unseen,
        .deleted = m->deleted,
        .recent = m->count - mailbox_rank(mailbox, mailbox->recent_floor - 1),
        .first_unseen_uid = messages_first_unseen(m),
        .uidnext = mailbox->uidnext,
        .uidvalidity = mailbox->uidvalidity,
        .synced_modseq = mailbox->synced_modseq,
    };
}

uint32_t mailbox_exists(const struct mailbox *mailbox)
{
    return mailbox->messages.count;
}

uint32_t mailbox_uidvalidity(const struct mailbox *mailbox)
{
    return mailbox->uidvalidity;
}

uint32_t mailbox_uidnext(const struct mailbox *mailbox)
{
    return mailbox->uidnext;
}

void mailbox_raise_uidnext(struct mailbox *mailbox, uint32_t uidnext)
{
    if (uidnext > mailbox->uidnext) {
        mailbox->uidnext = uidnext;
        changed_header(mailbox);
    }
}

uint64_t mailbox_seen_modseq(const struct mailbox *mailbox)
{
    return mailbox->seen_modseq;
}

uint64_t mailbox_synced_modseq(const struct mailbox *mailbox)
{
    return mailbox->synced_modseq;
}

void mailbox_saw_modseq(struct mailbox *mailbox, uint64_t modseq)
{
    if (modseq > mailbox->seen_modseq) {
        mailbox->seen_modseq = modseq;
    }
}

void mailbox_sync_point(struct mailbox *mailbox)
{
    if (mailbox->synced_modseq != mailbox->seen_modseq) {
        mailbox->synced_modseq = mailbox->seen_modseq;
        changed_header(mailbox);
    }
    if (flags_id_end(mailbox->flags) >= mailbox->sweep_at) {
        flags_sweep(mailbox->flags);
        mailbox->sweep_at = 2 * flags_id_end(mailbox->flags) + SWEEP_SLACK;
    }
}

uint64_t mailbox_base_modseq(const struct mailbox *mailbox)
{
    return mailbox->base_modseq;
}

void mailbox_set_base_modseq(struct mailbox *mailbox, uint64_t modseq)
{
    mailbox->base_modseq = modseq;
    mailbox->header_dirty = true;
}

uint32_t mailbox_recent_floor(const struct mailbox *mailbox)
{
    return mailbox->recent_floor;
}

void mailbox_set_recent_floor(struct mailbox *mailbox, uint32_t uid)
{
    uid = uid > 0 ? uid : 1;
    if (uid != mailbox->recent_floor) {
        mailbox->recent_floor = uid;
        changed_header(mailbox);
    }
}

void mailbox__raise_recent_floor(struct mailbox *mailbox, uint32_t uid)
{
    if (uid > mailbox->recent_floor) {
        mailbox->recent_floor = uid;
        mailbox->header_dirty = true; /* no news for any view: the version stays */
    }
}

static bool replace(struct buf *buf, struct slice text)
{
    if (slice_eq(buf_slice(buf), text)) {
        return false;
    }
    buf_reset(buf);
    buf_add(buf, text);
    return true;
}

enum status mailbox_set_flag_lists(struct mailbox *mailbox, struct slice flags,
                                   struct slice permanent)
{
    if (flags.len > MAILBOX_LIST_MAX || permanent.len > MAILBOX_LIST_MAX) {
        return LIMIT;
    }
    bool changed = replace(&mailbox->flag_list, flags);
    changed = replace(&mailbox->permanent_flags, permanent) || changed;
    if (changed) {
        changed_header(mailbox);
        mailbox->lists_version = mailbox->version;
    }
    return OK;
}

struct slice mailbox_flag_list(const struct mailbox *mailbox)
{
    return buf_slice(&mailbox->flag_list);
}

struct slice mailbox_permanent_flags(const struct mailbox *mailbox)
{
    return buf_slice(&mailbox->permanent_flags);
}

uint64_t mailbox_lists_version(const struct mailbox *mailbox)
{
    return mailbox->lists_version;
}

enum status mailbox_set_id(struct mailbox *mailbox, struct slice id)
{
    if (id.len > MAILBOX_ID_MAX) {
        return LIMIT;
    }
    if (replace(&mailbox->id, id)) {
        changed_header(mailbox);
    }
    return OK;
}

struct slice mailbox_id(const struct mailbox *mailbox)
{
    return buf_slice(&mailbox->id);
}

uint64_t mailbox_version(const struct mailbox *mailbox)
{
    return mailbox->version;
}

/* --- first filling ---------------------------------------------------------------------------- */

static void mark_block(struct mailbox *mailbox, uint32_t uid)
{
    uint32_t block = uid / PACK_BLOCK_UIDS;
    ranges_add(&mailbox->dirty, block, block);
}

void mailbox__append(struct mailbox *mailbox, const struct mailbox_entry *entry)
{
    messages_insert(&mailbox->messages, entry);
    mailbox->uid_high = entry->uid > mailbox->uid_high ? entry->uid : mailbox->uid_high;
    mailbox->uidnext = entry->uid >= mailbox->uidnext ? entry->uid + 1 : mailbox->uidnext;
    mailbox->header_dirty = true; /* it holds the count, too */
    mailbox_saw_modseq(mailbox, entry->modseq);
    mailbox->version++;
}

enum status mailbox_load(struct mailbox *mailbox, const struct mailbox_entry *entry)
{
    CHECK(mailbox->views == NULL);
    if (entry->uid == 0 || entry->uid == UINT32_MAX || entry->uid <= mailbox->uid_high) {
        return PROTOCOL;
    }
    mailbox__append(mailbox, entry);
    mark_block(mailbox, entry->uid);
    return OK;
}

enum status mailbox_load_uids(struct mailbox *mailbox, const struct ranges *uids, size_t max_n)
{
    if (ranges_count(uids) > max_n) {
        return LIMIT;
    }
    if (uids->n > 0 && (uids->at[0].first == 0 || uids->at[0].first <= mailbox->uid_high ||
                        uids->at[uids->n - 1].last == UINT32_MAX)) {
        return PROTOCOL;
    }
    for (size_t i = 0; i < uids->n; i++) {
        messages_append_run(&mailbox->messages, uids->at[i].first, uids->at[i].last);
        ranges_add(&mailbox->dirty, uids->at[i].first / PACK_BLOCK_UIDS,
                   uids->at[i].last / PACK_BLOCK_UIDS);
    }
    if (uids->n > 0) {
        mailbox_raise_uid_high(mailbox, uids->at[uids->n - 1].last);
    }
    mailbox->header_dirty = true;
    mailbox->version++;
    return OK;
}

void mailbox_raise_uid_high(struct mailbox *mailbox, uint32_t uid)
{
    if (uid > mailbox->uid_high && uid < UINT32_MAX) {
        mailbox->uid_high = uid;
        mailbox->header_dirty = true;
        mailbox->uidnext = uid >= mailbox->uidnext ? uid + 1 : mailbox->uidnext;
    }
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Room for n entries.  false: nobody listens, or there are more than the log ever holds (then all
 * views have caught up and the caller tells them directly). */
static bool log_begin(struct mailbox *mailbox, size_t n)
{
    struct changelog *log = &mailbox->log;
    if (mailbox->views == NULL) {
        changelog_fini(log);
        return false;
    }
    if (log->end - log->first + n > log->cap) {
        changelog_forget(log, view__lowest_cursor(mailbox));
    }
    if (changelog_reserve(log, n)) {
        return true;
    }
    view__catch_up_all(mailbox);
    changelog_forget(log, log->end);
    return changelog_reserve(log, n);
}

enum status mailbox_add(struct mailbox *mailbox, const struct mailbox_entry *entry)
{
    if (entry->uid == 0 || entry->uid == UINT32_MAX) {
        return PROTOCOL;
    }
    if (mailbox_has(mailbox, entry->uid)) {
        return STALE;
    }
    bool is_ordinary = entry->uid > mailbox->uid_high;
    bool logs = !is_ordinary && log_begin(mailbox, 1);
    mailbox__append(mailbox, entry);
    if (logs) {
        changelog_add(&mailbox->log, CHANGE_APPEARED, entry->uid);
    }
    if (!is_ordinary) {
        mailbox->appeared_version = mailbox->version;
    }
    mark_block(mailbox, entry->uid);
    return OK;
}

/* flags and modseq are what they become; 0: modseq stays. */
static bool set_entry(struct mailbox *mailbox, uint32_t uid, uint32_t flags, uint64_t modseq)
{
    struct messages *m = &mailbox->messages;
    bool logs = log_begin(mailbox, 1);
    struct place place = messages_lower(m, uid);
    struct mailbox_entry old = messages_get(m, place);
    bool is_other = flags != old.flags;
    modseq = modseq > 0 ? modseq : old.modseq;
    if (!is_other && modseq == old.modseq) {
        return false;
    }
    if (is_other) {
        messages_set_flags(m, place, flags);
    }
    m->chunk[place.chunk].modseq[place.index] = modseq;
    mailbox_saw_modseq(mailbox, modseq);
    mailbox->version++;
    mark_block(mailbox, uid);
    uint64_t base = mailbox->base_modseq;
    bool is_learnt = old.modseq == 0 && (base == 0 || modseq <= base);
    if (logs && (is_other || !is_learnt)) { /* to learn a modseq is no news */
        changelog_add(&mailbox->log, is_other ? CHANGE_FLAGS : CHANGE_MODSEQ, uid);
    }
    return is_other;
}

enum status mailbox_set_flags(struct mailbox *mailbox, uint32_t uid, uint32_t flags,
                              uint64_t modseq, bool *changed_out)
{
    if (!mailbox_has(mailbox, uid)) {
        return NOT_FOUND;
    }
    bool changed = set_entry(mailbox, uid, flags, modseq);
    if (changed_out != NULL) {
        *changed_out = changed;
    }
    return OK;
}

enum status mailbox_set_modseq(struct mailbox *mailbox, uint32_t uid, uint64_t modseq)
{
    struct mailbox_entry entry;
    if (!mailbox_get(mailbox, uid, &entry)) {
        return NOT_FOUND;
    }
    (void)set_entry(mailbox, uid, entry.flags, modseq);
    return OK;
}

enum status mailbox_learn_flags(struct mailbox *mailbox, uint32_t uid, uint32_t flags,
                                uint64_t modseq)
{
    struct place place;
    if (!messages_find(&mailbox->messages, uid, &place)) {
        return NOT_FOUND;
    }
    messages_set_flags(&mailbox->messages, place, flags);
    if (modseq > 0) {
        mailbox->messages.chunk[place.chunk].modseq[place.index] = modseq;
        mailbox_saw_modseq(mailbox, modseq);
    }
    mailbox->version++;
    mark_block(mailbox, uid);
    return OK;
}

static void went(struct mailbox *mailbox)
{
    mailbox->header_dirty = true;
    mailbox->version++;
    mailbox->vanished_version = mailbox->version;
}

bool mailbox_remove(struct mailbox *mailbox, uint32_t uid)
{
    struct place place;
    if (!messages_find(&mailbox->messages, uid, &place)) {
        return false;
    }
    bool logs = log_begin(mailbox, 1);
    messages_remove(&mailbox->messages, place);
    if (logs) {
        changelog_add(&mailbox->log, CHANGE_VANISHED, uid);
    }
    mark_block(mailbox, uid);
    went(mailbox);
    return true;
}

static uint32_t count_within(const struct mailbox *mailbox, const struct ranges *uids)
{
    uint32_t n = 0;
    for (size_t i = 0; i < uids->n; i++) {
        uint32_t first = uids->at[i].first;
        n += mailbox_rank(mailbox, uids->at[i].last) -
             (first > 0 ? mailbox_rank(mailbox, first - 1) : 0);
    }
    return n;
}

static void log_removed(struct mailbox *mailbox, const struct ranges *removed)
{
    for (size_t i = 0; i < removed->n; i++) {
        for (uint32_t uid = removed->at[i].first; uid <= removed->at[i].last; uid++) {
            changelog_add(&mailbox->log, CHANGE_VANISHED, uid);
        }
    }
}

uint32_t mailbox_remove_set(struct mailbox *mailbox, const struct ranges *uids)
{
    uint32_t n = count_within(mailbox, uids);
    if (n == 0) {
        return 0;
    }
    bool logs = log_begin(mailbox, n);
    struct digest digest;
    digest_init(&digest);
    messages_remove_set(&mailbox->messages, uids, &digest.vanished);
    if (logs) {
        log_removed(mailbox, &digest.vanished);
    } else {
        view__apply_to_all(mailbox, &digest);
    }
    for (size_t i = 0; i < digest.vanished.n; i++) {
        ranges_add(&mailbox->dirty, digest.vanished.at[i].first / PACK_BLOCK_UIDS,
                   digest.vanished.at[i].last / PACK_BLOCK_UIDS);
    }
    digest_fini(&digest);
    went(mailbox);
    return n;
}

uint32_t mailbox_retain(struct mailbox *mailbox, const struct ranges *alive, uint32_t below)
{
    if (below <= 1) {
        return 0;
    }
    struct ranges gone;
    ranges_init(&gone, 0);
    ranges_add(&gone, 1, below - 1);
    ranges_subtract(&gone, alive);
    uint32_t n = mailbox_remove_set(mailbox, &gone);
    ranges_fini(&gone);
    return n;
}

/* --- questions -------------------------------------------------------------------------------- */

bool mailbox_get(const struct mailbox *mailbox, uint32_t uid, struct mailbox_entry *out)
{
    struct place place;
    if (!messages_find(&mailbox->messages, uid, &place)) {
        return false;
    }
    *out = messages_get(&mailbox->messages, place);
    return true;
}

bool mailbox_has(const struct mailbox *mailbox, uint32_t uid)
{
    struct place place;
    return messages_find(&mailbox->messages, uid, &place);
}

bool mailbox_at(const struct mailbox *mailbox, uint32_t rank, struct mailbox_entry *out)
{
    if (rank == 0 || rank > mailbox->messages.count) {
        return false;
    }
    *out = messages_get(&mailbox->messages, messages_at_rank(&mailbox->messages, rank));
    return true;
}

uint32_t mailbox_rank(const struct mailbox *mailbox, uint32_t uid)
{
    if (uid == UINT32_MAX) {
        return mailbox->messages.count;
    }
    return messages_before(&mailbox->messages, messages_lower(&mailbox->messages, uid + 1));
}

uint32_t mailbox_last_uid(const struct mailbox *mailbox)
{
    const struct messages *m = &mailbox->messages;
    return m->n > 0 ? m->last[m->n - 1] : 0;
}

void mailbox_iter_init(struct mailbox_iter *iter, const struct mailbox *mailbox, uint32_t from)
{
    *iter = (struct mailbox_iter){.mailbox = mailbox,
                                  .version = mailbox->version - 1,
                                  .next_uid = from > 0 ? from : 1};
}

bool mailbox_iter_next(struct mailbox_iter *iter, struct mailbox_entry *out)
{
    const struct messages *m = &iter->mailbox->messages;
    if (iter->next_uid == 0) {
        return false;
    }
    struct place place = {iter->chunk, iter->index};
    if (iter->version != iter->mailbox->version) {
        place = messages_lower(m, iter->next_uid);
        iter->version = iter->mailbox->version;
    }
    if (place.chunk == m->n) {
        iter->chunk = place.chunk;
        return false;
    }
    *out = messages_get(m, place);
    iter->next_uid = out->uid + 1;
    (void)messages_step(m, &place);
    iter->chunk = place.chunk;
    iter->index = place.index;
    return true;
}
