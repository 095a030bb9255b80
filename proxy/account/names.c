/* CREATE, DELETE and RENAME, as far as they concern others of the account: what is cached under a name,
 * what is live under it or below it.  A session that goes before its command is answered leaves it
 * here: what it has done is taken when the upstream says so. */
#include <ctype.h>
#include <utlist.h>

#include "account/lists.h"
#include "base/alloc.h"
#include "feed_sync_p.h"

/* --- one name ----------------------------------------------------------------------------------- */

/* Its feed lets go of it; views are told BYE once the upstream has said OK. */
static void leaving(struct account *account, struct slice name)
{
    struct feed *feed = NULL;
    HASH_FIND(hh, account->feeds, name.data, name.len, feed);
    if (feed != NULL && feed->users == NULL) {
        feed__destroy(feed);
    }
}

/* Mailboxes below @name, whatever the hierarchy's delimiter is: a RENAME takes them along. */
static void recheck_below(struct account *account, struct slice name)
{
    struct feed *feed, *next;
    HASH_ITER(hh, account->feeds, feed, next) {
        struct slice other = feed_name(feed);
        if (other.len > name.len && slice_eq(slice_sub(other, 0, name.len), name) &&
            ispunct((unsigned char)other.data[name.len])) {
            feed__recheck(feed);
        }
    }
}

static void doubtful(struct account *account, struct slice name)
{
    struct feed *feed = NULL;
    HASH_FIND(hh, account->feeds, name.data, name.len, feed);
    if (feed != NULL) {
        feed__recheck(feed);
    }
    recheck_below(account, name);
}

static void changed(struct account *account, struct slice name)
{
    struct feed *feed = NULL;
    store_mailbox_drop(account->accounts->env.store, slice_of(account->key, account->key_len),
                       name);
    recheck_below(account, name);
    if (name.len > 1 && ispunct((unsigned char)name.data[name.len - 1])) {
        doubtful(account, slice_sub(name, 0, name.len - 1)); /* CREATE a/ makes a */
    }
    /* Last: the name may be of a session that is in this mailbox and ends now.  Not before: a/ is
     * below a, and may have gone as such. */
    HASH_FIND(hh, account->feeds, name.data, name.len, feed);
    if (feed != NULL) {
        feed__end(feed, "[UNAVAILABLE] The mailbox was deleted or renamed");
    }
}

/* --- a command of them -------------------------------------------------------------------------- */

void account_names_leaving(struct account *account, const struct name_change *change)
{
    if (change->verb == NAME_DELETE || change->verb == NAME_RENAME) {
        leaving(account, change->name);
    }
}

/* RENAME INBOX moves its messages and leaves it where it is (RFC 3501 6.3.5); on Dovecot a new one
 * takes its place, and whoever has the old one selected stays in that. */
void account_names_changed(struct account *account, const struct name_change *change)
{
    bool is_inbox = change->verb == NAME_RENAME && slice_eq(change->name, SLICE("INBOX"));
    if (is_inbox) {
        doubtful(account, change->name);
    } else if (change->verb != NAME_UNTOUCHED) {
        changed(account, change->name);
    }
    if (change->verb == NAME_RENAME) {
        changed(account, change->to);
    }
}

void account_names_doubtful(struct account *account, const struct name_change *change)
{
    if (change->verb == NAME_RENAME) {
        doubtful(account, change->to);
    }
    if (change->verb != NAME_UNTOUCHED) {
        doubtful(account, change->name);
    }
}

void account_name_told(struct account *account, struct slice mailbox, const struct response *response)
{
    struct respdata_uidset told;
    bool is_told = response->code == CODE_APPENDUID ? respdata_appenduid(response, &told) == OK
                   : response->code == CODE_COPYUID && respdata_copyuid(response, &told) == OK;
    struct feed *feed = is_told ? account_find_feed(account, mailbox) : NULL;
    uint32_t uidvalidity = is_told && told.uidvalidity > 0 ? told.uidvalidity : 1;
    if (feed != NULL && uidvalidity != mailbox_uidvalidity(feed->mailbox)) {
        feed__doubt(feed, uidvalidity);
    }
}

/* --- left behind by a session ------------------------------------------------------------------- */

struct left {
    struct left *next, *prev;
    struct account *account;
    struct request *request; /* NULL: answered */
    bool is_done; /* the upstream has said OK; else nobody knows */
    unsigned topics;
    enum name_verb verb;
    struct buf name, to;
    struct task task;
};

static void forget(struct left *left)
{
    DL_DELETE(left->account->left, left);
    evloop_cancel(account__loop(left->account), &left->task);
    if (left->request != NULL) {
        account_request_cancel(&left->request);
    }
    buf_fini(&left->name);
    buf_fini(&left->to);
    alloc_free(left);
}

void names__clear(struct account *account)
{
    while (account->left != NULL) {
        forget(account->left);
    }
}

/* From the loop, not amid the answers of a link that may be closed by it. */
static void take(void *arg)
{
    struct left *left = arg;
    struct account *account = left->account;
    const struct name_change change = {
        .verb = left->verb, .name = buf_slice(&left->name), .to = buf_slice(&left->to)};
    if (left->is_done) {
        account_names_changed(account, &change);
    } else {
        account_names_doubtful(account, &change);
    }
    forget(left);
}

static void take_later(struct left *left, bool is_done)
{
    left->is_done = is_done;
    evloop_defer(account__loop(left->account), &left->task, EVLOOP_SOON);
}

static void answered(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct left *left = arg;
    (void)was_sent; /* a link that was given up does not say */
    left->request = NULL;
    if (st != OK && tagged != NULL) {
        left->verb = NAME_UNTOUCHED; /* refused */
    }
    lists_changed(left->account, left->topics);
    take_later(left, st == OK);
}

static const struct upcmd_ops left_ops = {.done = answered};

static struct left *new_left(struct account *account, const struct name_change *change,
                             unsigned topics)
{
    struct left *left = alloc_zero(sizeof(*left));
    left->account = account;
    left->topics = topics;
    left->verb = change->verb;
    buf_init(&left->name, 0);
    buf_init(&left->to, 0);
    buf_add(&left->name, change->name);
    buf_add(&left->to, change->to);
    task_init(&left->task, take, left);
    DL_APPEND(account->left, left);
    return left;
}

void account_names_left(struct account *account, const struct name_change *change, bool is_done)
{
    take_later(new_left(account, change, 0), is_done);
}

void account_request_leave(struct request **request, const struct name_change *change,
                           unsigned topics)
{
    struct request *gone = *request;
    if (gone->upcmd == NULL || gone->is_stream) {
        account_request_cancel(request); /* nothing has been sent, or not all */
        return;
    }
    *request = NULL;
    struct left *left = new_left(gone->account, change, topics);
    left->request = gone;
    account_request_pause(gone, false);
    gone->is_left = true;
    gone->ops = &left_ops;
    gone->arg = left;
}
