#ifndef UPSTREAM_LINK_H
#define UPSTREAM_LINK_H
/* One upstream connection: connect, TLS, login, then a pipeline of tagged commands, and IDLE when
 * nothing else is to be said.  It knows the protocol of the wire (tags, literals, continuations,
 * IDLE/DONE) and nothing of mailboxes: untagged data goes to its owner and to the commands.
 * It does not reconnect; the owner makes a new link.
 * Owner of memory: the account (link_create .. link_close); commands belong to the link.
 * Completions never run inside the call that started the work.       Thread: loop.
 * RFC 3501/9051, 2177 (IDLE), 4959 (SASL-IR), 7628 (tokens), 7888 (LITERAL+), 2971 (ID), 5161 (ENABLE). */
#include "base/settings.h"
#include "base/slice.h"
#include "base/stats.h"
#include "base/status.h"
#include "imap/capability.h"
#include "imap/outcmd.h"
#include "imap/response.h"
#include "upstream/throttle.h"
#include "imap/sasl.h"

struct evloop;
struct resolver;
struct tls_client;
struct link;
struct upcmd;

/* What a login needs; borrowed by the link until its login has ended. */
struct link_login {
    struct slice authzid; /* usually empty */
    struct slice authcid;
    struct slice password; /* or the token */
    /* What it was accepted by; a token goes by the upstream's other mechanism for tokens when it has
     * only that. */
    enum sasl_mech mech;
};

/* Octets that went over the lines of somebody, TLS and all; counted by links. */
struct link_meter {
    uint64_t in, out;
};

struct link_env {
    struct evloop *loop;
    struct resolver *resolver;
    struct tls_client *tls;                   /* NULL only in tests without TLS */
    const struct upstream_settings *upstream; /* outlives the link */
    struct stats *stats;
    struct link_meter *meter; /* outlives the link; NULL: nobody's */
    bool awaits_enable; /* also of a server that is known to give what it offers */
};

struct link_ops {
    /* Logged in; capabilities known, CONDSTORE/QRESYNC enabled where offered. */
    void (*ready)(void *owner, struct link *link);
    /* Every untagged response, before the commands see it; nothing said before ready(), and not
     * the BYE, which is told by closed(). */
    void (*untagged)(void *owner, struct link *link, const struct response *response);
    /* IDLE was accepted: from now on the server pushes.  May be NULL. */
    void (*idling)(void *owner, struct link *link);
    /* The server says that it is asked too much.  May be NULL. */
    void (*throttled)(void *owner, struct link *link, const struct throttle *throttle);
    /* The link is gone: AUTH (login refused, see fail and *refusal), DENIED (it offers no way to log
     * in), TLS, NETWORK, TIMEOUT, END (BYE or end of stream), PROTOCOL.  All commands have completed
     * before.  refusal: the tagged NO of the login or the BYE, or NULL.  The link's memory goes
     * after this returns. */
    void (*closed)(void *owner, struct link *link, enum status why, const struct response *refusal,
                   const struct fail *fail);
};

/* What a command's owner hears.  Members may be NULL. */
struct upcmd_ops {
    unsigned flags; /* upcmd_flags of all such commands */
    /* An untagged response while the command is in flight; true: it was mine (later commands
     * are not asked).  Asked in order of sending. */
    bool (*untagged)(void *arg, const struct response *response);
    /* A literal is announced: @so_far is the response as the reader has it (reader_unit(): its
     * last hole is this literal, earlier ones were streamed), for respfetch_pending().
     * true: stream it to literal_data/literal_end; untagged() then comes with the rest, the
     * literal marked as streamed.  false: collected when <= LINK_COLLECT_MAX, else link lost.
     * A response with a streamed literal is shown to its owner and to whoever streamed it, to no
     * other command: for them it has a hole.  Further literals in it are offered only to the one
     * who streams. */
    bool (*literal)(void *arg, struct unit so_far, uint64_t size);
    void (*literal_data)(void *arg, struct slice bytes);
    void (*literal_end)(void *arg);
    /* The server asks for the streamed literal (LINK_STREAM part of the command): send with
     * link_stream_write(); called again whenever there is room for more. */
    void (*want_data)(void *arg, struct upcmd *cmd);
    /* Exactly once.  OK/DENIED/PROTOCOL (BAD) with the tagged response; NETWORK, TIMEOUT, END,
     * PROTOCOL (lost for that), CANCELED without; SYNTAX without, when outcmd_ok() was false.
     * The command is gone when this is called.  was_sent: the whole command including literals left
     * for the server or may have, so that without a tagged reply its outcome is unknown. */
    void (*done)(void *arg, enum status st, const struct response *tagged, bool was_sent);
};

enum {
    LINK_COLLECT_MAX = 1024 * 1024,  /* a literal that nobody streams */
    LINK_LINE_MAX = 8 * 1024 * 1024, /* one response with its collected literals */
    LINK_DETACHED_MAX = 8,
    LINK_FLIGHT_MAX = 256, /* commands that are answered one after the other: more do not come sooner */
};

enum upcmd_flags {
    UPCMD_ALONE = 1,  /* nothing before it in flight when sent, nothing sent until it completes */
    UPCMD_STREAM = 2, /* ends with a literal given by link_stream_write() */
    /* Untagged answers that do not say whose they are.  Servers may answer out of order (a quick
     * SEARCH overtakes a slow one on Dovecot), and a detached command is answered all the same: of
     * each kind one is in flight at a time. */
    UPCMD_SEARCHES = 4, /* SEARCH, SORT, THREAD */
    UPCMD_COPIES = 8,   /* an untagged COPYUID */
    UPCMD_LISTS = 16,   /* LIST, NAMESPACE, QUOTA and the like */
    /* With UPCMD_STREAM: the literal is not the end (MULTIAPPEND); link_stream_more() or
     * link_stream_end() says what is, once the literal has been written whole. */
    UPCMD_OPEN = 32,
    /* Must not be given twice: after a long silence it is sent only when the server was heard. */
    UPCMD_ONCE = 64,
    /* SEARCH without and with RETURN.  The answer to the latter is told by its tag, if the server does
     * as it offers: until it has told an ESEARCH on the link, the two are not in flight together. */
    UPCMD_SEARCH_LINES = 128,
    UPCMD_RETURNS = 4096,
    UPCMD_KINDS = UPCMD_SEARCHES | UPCMD_COPIES | UPCMD_LISTS,
};

/* @login: NULL to learn only what the server offers: closed() follows, ready() never. */
struct link *link_create(const struct link_env *env, const struct link_login *login,
                         const struct link_ops *ops, void *owner);
/* Abort or say LOGOUT first (polite); commands complete with CANCELED before this returns, closed()
 * is not called, and nothing is called afterwards.  May be called in any callback. */
void link_close(struct link **link, bool polite);

/* Hand the link to another owner (of a verification to the account); its commands stay theirs. */
void link_set_owner(struct link *link, const struct link_ops *ops, void *owner);

/* Logged in and not lost.  False already while the commands of a lost link complete: what is sent
 * then completes too, unsent, right after closed(). */
bool link_is_ready(const struct link *link);
/* "1.2.3.4:993", for logs. */
const char *link_peer(const struct link *link);
const struct capabilities *link_capabilities(const struct link *link);
/* What the server offered before the login, TLS on: bits of enum capability.  False: it did not
 * come to that. */
bool link_offered(const struct link *link, uint64_t *capabilities_out);
/* In closed() with AUTH: what the server said to a token before it refused it, in base64; may be
 * empty.  RFC 7628 3.2.2. */
struct slice link_challenge(const struct link *link);
bool link_has_qresync(const struct link *link);   /* enabled */
bool link_has_condstore(const struct link *link); /* enabled */
/* ready() was told when ENABLE had been sent, and then it was not given: the link is lost for that,
 * the next one to this server is to wait (link_env.awaits_enable). */
bool link_presumed_wrongly(const struct link *link);
/* Commands queued or in flight, IDLE not counted. */
size_t link_load(const struct link *link);

/* Queue a command.  @cmd (text without tag and CRLF; emptied by the call) may hold literals: sent
 * with "{n+}" where the server has LITERAL+, else each waits for its "+".
 * stream_bytes: with UPCMD_STREAM the size of the literal that follows the text ("{n}" is written
 * by the link, always synchronising above 4 KiB, so that the server can refuse early).
 * Returns the command, valid until its done(). */
struct upcmd *link_send(struct link *link, struct outcmd *cmd, unsigned flags,
                        uint64_t stream_bytes, const struct upcmd_ops *ops, void *arg);
/* The owner of @cmd is gone or no longer interested: no call of its ops after this.  A command not
 * yet sent is dropped; a streamed literal that cannot be completed costs the link.  Behind
 * LINK_DETACHED_MAX that were sent nothing is, until the server has answered one of them: it does not
 * get more work than somebody waits for, however many come, ask and go. */
void upcmd_detach(struct upcmd *cmd);
/* Some of it has been written, or it has been answered: detached, it would be answered all the same. */
bool upcmd_is_begun(const struct upcmd *cmd);
/* Is this its tag?  (ESEARCH names whose answer it is.) */
bool upcmd_has_tag(const struct upcmd *cmd, struct slice tag);
/* Bytes of the streamed literal; takes what there is room for. */
size_t link_stream_write(struct upcmd *cmd, struct slice bytes);
/* Of an UPCMD_OPEN command whose literal has been written whole: @more follows, which ends with
 * outcmd_stream() (emptied; want_data() will come), or nothing follows.  False: @more is not sound. */
bool link_stream_more(struct upcmd *cmd, struct outcmd *more);
void link_stream_end(struct upcmd *cmd);

/* IDLE is offered, and was not refused. */
bool link_takes_idle(const struct link *link);
/* How long after a round trip what the link has told counts as fresh: the profile's time, a short one
 * where the server takes no IDLE. */
uint32_t link_fresh_ms(const struct link *link);
/* IDLE when nothing has been in flight for a short while; DONE goes out with the next command. */
void link_want_idle(struct link *link, bool wanted);
/* Somebody waits for what IDLE brings: a server that is gone without a word is to be found soon. */
void link_set_watched(struct link *link, bool watched);
/* Stop and go on reading (flow control while the store's backlog is long). */
void link_set_paused(struct link *link, bool paused);
/* When the last complete round trip ended (a tagged OK, or a byte while idling counts not). */
uint64_t link_last_tagged_ms(const struct link *link);

#endif
