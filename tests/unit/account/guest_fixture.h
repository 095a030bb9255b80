#ifndef GUEST_FIXTURE_H
#define GUEST_FIXTURE_H
/* Sessions of a test of the account layer: up to three guests that log in to one account, open
 * mailboxes, refresh them and send commands; what came of it stands in the guest. */
#include "account_fixture.h"

#include "model/view.h"

/* --- a session of the test --- */

struct guest {
    struct account_user account_user;
    struct feed_user feed_user;
    struct login_request *login;
    struct open_request *open;
    struct refresh_request *refresh;
    struct request *request;
    struct account *account;
    const char *from; /* the address it logs in from; NULL: the same for all */
    struct view *view;
    char text[256];
    enum status login_st, open_st, refresh_st, request_st;
    bool opened_early;
    int progress_n;
    int logins_n, opens_n, refreshes_n, requests_n, changes_n, gone_n, revoked_n;
};

static struct guest guest[3];

static inline void on_login(void *arg, const struct login_answer *answer)
{
    struct guest *g = arg;
    g->login = NULL;
    g->login_st = answer->status;
    g->logins_n++;
    snprintf(g->text, sizeof(g->text), SLICE_FMT, SLICE_ARG(answer->text));
    if (answer->status == OK) {
        g->account = answer->account;
        account_attach(answer->account, answer->proof, &g->account_user);
    }
}

static inline void leave(struct guest *g)
{
    if (g->view != NULL) {
        view_close(&g->view);
    }
    feed_detach(&g->feed_user);
}

static inline struct guest *of_feed_user(struct feed_user *user)
{
    return (struct guest *)((char *)user - offsetof(struct guest, feed_user));
}

static inline void on_changed(struct feed_user *user)
{
    of_feed_user(user)->changes_n++;
}

static inline void on_gone(struct feed_user *user, const char *text)
{
    struct guest *g = of_feed_user(user);
    (void)text;
    g->gone_n++;
    leave(g);
}

/* Numbers are known: the view of what was told before. */
static inline void on_progress(struct feed_user *user)
{
    struct guest *g = of_feed_user(user);
    g->progress_n++;
    if (g->view == NULL && feed_is_mapped(user->feed)) {
        g->view = feed_open_view(user, VIEW_CLAIMS_RECENT);
        g->gone_n += g->view == NULL;
    }
}

static inline bool on_holds_dead(struct feed_user *user)
{
    struct guest *g = of_feed_user(user);
    return g->view == NULL || view_has_pending(g->view, true);
}

static inline void on_revoked(struct account_user *user, const char *text)
{
    struct guest *g = (struct guest *)((char *)user - offsetof(struct guest, account_user));
    (void)text;
    g->revoked_n++;
    leave(g);
    account_detach(&g->account_user);
    g->account = NULL;
}

static inline void on_open(void *arg, enum status st, struct feed *feed, struct slice text)
{
    struct guest *g = arg;
    g->open = NULL;
    g->open_st = st;
    g->opens_n++;
    snprintf(g->text, sizeof(g->text), SLICE_FMT, SLICE_ARG(text));
    if (st == OK) {
        feed_attach(feed, &g->feed_user);
        g->opened_early = g->feed_user.is_early;
        if (feed_is_mapped(feed)) {
            g->view = feed_open_view(&g->feed_user, VIEW_CLAIMS_RECENT);
        }
    }
}

static inline void on_refresh(void *arg, enum status st)
{
    struct guest *g = arg;
    g->refresh = NULL;
    g->refresh_st = st;
    g->refreshes_n++;
}

static inline void on_request(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct guest *g = arg;
    (void)tagged;
    (void)was_sent;
    g->request = NULL;
    g->request_st = st;
    g->requests_n++;
}

static const struct upcmd_ops request_ops = {.done = on_request};

static inline void login_with(struct office *office, struct guest *g, const char *password)
{
    const struct link_login login = {.authcid = SLICE("joe"), .password = slice_str(password)};
    g->account_user.revoked = on_revoked;
    g->feed_user.changed = on_changed;
    g->feed_user.progress = on_progress;
    g->feed_user.gone = on_gone;
    g->feed_user.holds_dead = on_holds_dead;
    struct netaddr from;
    assert_true(netaddr_parse(g->from != NULL ? g->from : "192.0.2.1:1000", &from));
    g->login = account_login(office->accounts, &login, &from, on_login, g);
}

static inline void ask(struct guest *g, enum route route, struct feed *feed, const char *text)
{
    struct outcmd cmd;
    const struct destination to = {.route = route, .feed = feed};
    outcmd_init(&cmd);
    outcmd_str(&cmd, text);
    g->request = account_request(g->account, to, &cmd, &request_ops, g);
    outcmd_fini(&cmd);
}

/* --- what is waited for --- */

static inline bool logged_in(struct office *office)
{
    (void)office;
    return guest[0].logins_n > 0;
}

static inline bool opened(struct office *office)
{
    (void)office;
    return guest[0].opens_n > 0;
}

/* Opened for good, not only answered. */
static inline bool complete(struct office *office)
{
    (void)office;
    bool is_known = guest[0].feed_user.feed != NULL && guest[0].view != NULL &&
                    feed_knows(guest[0].feed_user.feed) == FEED_KNOWS_FLAGS;
    return guest[0].opens_n > 0 && (guest[0].open_st != OK || is_known || guest[0].gone_n > 0);
}

static inline bool refreshed(struct office *office)
{
    (void)office;
    return guest[0].refreshes_n > 0;
}

static inline bool requested(struct office *office)
{
    (void)office;
    return guest[0].requests_n > 0;
}

static inline bool gone(struct office *office)
{
    (void)office;
    return guest[0].gone_n > 0;
}

static inline void begin(struct office *office)
{
    office_open(office);
    memset(guest, 0, sizeof(guest));
}

static inline void login(struct office *office)
{
    login_with(office, &guest[0], "pw");
    office_run(office, logged_in);
    assert_int_equal(guest[0].login_st, OK);
}

static inline void open_box(struct office *office)
{
    guest[0].opens_n = 0;
    guest[0].open = feed_open(guest[0].account, SLICE("INBOX"), on_open, &guest[0]);
    office_run(office, complete);
}

static inline struct mailbox *box(void)
{
    return feed_mailbox(guest[0].feed_user.feed);
}

/* A round trip on the feed, so that all that was pushed before has been taken. */
static inline void refresh(struct office *office)
{
    guest[0].refreshes_n = 0;
    guest[0].refresh = feed_refresh(guest[0].feed_user.feed, true, on_refresh, &guest[0]);
    office_run(office, refreshed);
}

static inline void close_guest(struct guest *g)
{
    if (g->request != NULL) {
        account_request_cancel(&g->request);
    }
    if (g->refresh != NULL) {
        feed_refresh_cancel(&g->refresh);
    }
    if (g->open != NULL) {
        feed_open_cancel(&g->open);
    }
    if (g->login != NULL) {
        account_login_cancel(&g->login);
    }
    leave(g);
    account_detach(&g->account_user);
}

static inline void end(struct office *office)
{
    for (size_t i = 0; i < 3; i++) {
        close_guest(&guest[i]);
    }
    office_close(office);
}

#endif
