#ifndef ACCOUNT_ACCOUNT_H
#define ACCOUNT_ACCOUNT_H
/* Accounts: (upstream, authzid, authcid) with their proofs, links and mailboxes.  A session logs in
 * through account_login(), holds the account while it lives, and asks for everything else here or
 * at a mailbox.  Completions never run inside the call that started the work; a canceled request
 * completes no more.
 * Owner of memory: struct accounts owns accounts, an account its links and mailboxes.
 * Thread: loop.  Design sections 2, 8, 9. */
#include "base/settings.h"
#include "base/slice.h"
#include "base/stats.h"
#include "base/status.h"
#include "imap/capability.h"
#include "imap/outcmd.h"
#include "imap/response.h"
#include "upstream/link.h"

struct store;
struct accounts;
struct account;
struct netaddr;
struct proof;
struct feed;
struct login_request;
struct request;

struct accounts_env {
    struct evloop *loop;
    struct resolver *resolver;
    struct store *store;
    struct stats *stats;
    /* TLS context for an upstream; owned by the root, replaced on reload. */
    struct tls_client *(*tls_for)(void *arg, const struct upstream_settings *upstream);
    void *tls_arg;
};

struct accounts *accounts_create(const struct accounts_env *env, const struct settings *settings);
/* New settings (SIGHUP); accounts keep the upstream they have while it is unchanged. */
void accounts_set_settings(struct accounts *accounts, const struct settings *settings);
/* Persist what mailboxes know, close every link.  No session may hold an account any more. */
void accounts_destroy(struct accounts **accounts);

/* What went over the lines of each account since midnight (UTC), into the log. */
void accounts_log_meters(const struct accounts *accounts);
/* The store's backlog has drained (store_options.drained): paused downloads go on. */
void accounts_store_drained(struct accounts *accounts);

/* Mechanisms that clients may be offered before it is known which upstream they want: what any of
 * them was last seen to offer.  One that nothing is known of is asked, at most once a minute. */
struct login_offers {
    bool has_password; /* PLAIN, LOGIN; true while nothing is known */
    bool has_login_mechanism;
    bool has_xoauth2;
    bool has_oauthbearer;
};
struct login_offers accounts_offers(struct accounts *accounts);

/* --- login ------------------------------------------------------------------------------------ */
struct login_answer {
    /* OK; AUTH: the upstream refuses; NOT_FOUND: no upstream for this login; LIMIT: too many
     * failures, nobody was asked; DENIED: the upstream has no such mechanism; else why. */
    enum status status;
    struct account *account; /* OK: to be attached to in done() */
    struct proof *proof;     /* OK: what the session is let in by */
    struct slice text;       /* AUTH: "NO [CODE] words", sanitised; may be empty */
    struct slice challenge;  /* AUTH: what was said to a token first, base64; may be empty */
};
typedef void login_done_fn(void *arg, const struct login_answer *answer);
/* Prove (login, password) at the upstream, or by a proof younger than auth.ttl.  @from: the client's
 * address, for counting failures. */
struct login_request *account_login(struct accounts *accounts, const struct link_login *login,
                                    const struct netaddr *from, login_done_fn *done, void *arg);
void account_login_cancel(struct login_request **request);

/* A session's hold on the account and on the secret it came in by.  revoked(): that secret is no
 * longer accepted: say BYE with @text and detach, at once. */
struct account_user {
    struct account_user *next, *prev;
    struct account *account;
    struct proof *proof;
    void (*revoked)(struct account_user *user, const char *text);
};
void account_attach(struct account *account, struct proof *proof, struct account_user *user);
void account_detach(struct account_user *user);

/* The upstream's capabilities as last told after login. */
const struct capabilities *account_capabilities(const struct account *account);
/* Octets that a set of UIDs may take in one command: longer lines are refused by some servers. */
size_t account_line_bytes(const struct account *account);
/* "upstream/login", for logs. */
const char *account_name(const struct account *account);

/* --- commands that go upstream ----------------------------------------------------------------- */
enum route {
    ROUTE_ANY,  /* needs no mailbox: LIST, STATUS, CREATE ... */
    ROUTE_FEED, /* on the link that has @feed's mailbox selected, read-write */
    ROUTE_BULK, /* on a bulk link; with @feed's mailbox EXAMINEd when one is given */
};

enum { DESTINATION_AHEAD_MAX = 2 };

struct destination {
    enum route route;
    struct feed *feed;    /* may be NULL, but for ROUTE_FEED */
    bool is_by_uid; /* ROUTE_FEED, a search: no message number is in it or its answer, so that it may go
                       before they are known (feed_may_ask_early(); by ESEARCH when its ops have no
                       UPCMD_SEARCHES) */
    /* ROUTE_BULK without a feed: over the same link as what is under way with the same token, so that
     * it is done after that (uploads in the order a client gave them); or NULL. */
    const void *order;
    uint32_t highest_uid; /* ROUTE_BULK: the highest UID the command names, the link is brought past
                             it first (design 5.8); else 0 */
    /* Goes out right before the command, on the same link, so many times; what it is answered nobody
     * hears, and canceled it is with the command.  NULL: nothing does.  Borrowed while the request
     * lives. */
    const struct outcmd *ahead;
    unsigned ahead_n;     /* DESTINATION_AHEAD_MAX at most */
    unsigned ahead_flags; /* of its own: upcmd_flags */
};

/* Send @cmd over the link that @to names, waiting for one when none is up.  ops and arg as for
 * link_send(); done() with NETWORK/TIMEOUT/LIMIT when no link can be had, was_sent then false. */
struct request *account_request(struct account *account, struct destination to,
                                struct outcmd *cmd, const struct upcmd_ops *ops, void *arg);
/* The same with a streamed literal (APPEND), on a bulk link.  want_data()'s command is used with
 * link_stream_write(). */
struct request *account_request_stream(struct account *account, struct outcmd *cmd,
                                       uint64_t literal_bytes, const struct upcmd_ops *ops,
                                       void *arg);
/* No more calls of its ops. */
void account_request_cancel(struct request **request);
/* Is it the command of that tag on its link? */
bool account_request_has_tag(const struct request *request, struct slice tag);
/* Stop or go on reading the link that carries the request (flow control; nothing while it waits for
 * one).  A pause ends by itself with the request, also a canceled one. */
void account_request_pause(struct request *request, bool paused);

/* --- mailboxes --------------------------------------------------------------------------------- */
/* The mailbox of that name that is live or in use, or NULL. */
struct feed *account_find_feed(struct account *account, struct slice name);
/* What a command does to the names of mailboxes. */
enum name_verb { NAME_UNTOUCHED, NAME_CREATE, NAME_DELETE, NAME_RENAME };
struct name_change {
    enum name_verb verb;
    struct slice name, to; /* to: RENAME's */
};
/* Names are about to be deleted or renamed: an unused feed lets go of its name. */
void account_names_leaving(struct account *account, const struct name_change *change);
/* It succeeded: cached records of the names go, who has one of them open is told BYE, and what is live
 * below is selected anew. */
void account_names_changed(struct account *account, const struct name_change *change);
/* What was answered to a write into @mailbox: an APPENDUID or COPYUID with another UIDVALIDITY than that of
 * its model shows that others have made the name another mailbox's; it is selected anew. */
void account_name_told(struct account *account, struct slice mailbox, const struct response *response);
/* It may have succeeded. */
void account_names_doubtful(struct account *account, const struct name_change *change);
/* Either of both (is_done: it succeeded), but later: sessions do not end within this call. */
void account_names_left(struct account *account, const struct name_change *change, bool is_done);
/* Instead of canceling it: the session that asked goes.  Sent already, it will be answered; then its names
 * are what they are, and of @topics (lists.h) nothing said before is said again. */
void account_request_leave(struct request **request, const struct name_change *change,
                           unsigned topics);

#endif
