#ifndef IMAP_CAPABILITY_H
#define IMAP_CAPABILITY_H
/* Capabilities of an upstream as bits, and the list that clients are offered: computed from one
 * table, never copied (design section 9, protocol.md section 1).   Thread: any.   RFC 3501 6.1.1.
 */
#include "base/buf.h"
#include "base/status.h"

/* X(id, text, offer): offer is one of enum capability_offer; one edit here switches a row. */
#define CAPABILITIES(X)                                                                            \
    X(IMAP4REV1, "IMAP4rev1", ALWAYS)                                                              \
    X(SASL_IR, "SASL-IR", ALWAYS)                                                                  \
    X(LITERAL_PLUS, "LITERAL+", ALWAYS)                                                            \
    X(ID, "ID", ALWAYS)                                                                            \
    X(ENABLE, "ENABLE", ALWAYS)                                                                    \
    X(IDLE, "IDLE", ALWAYS)                                                                        \
    X(STARTTLS, "STARTTLS", LISTENER)                                                              \
    X(LOGINDISABLED, "LOGINDISABLED", LISTENER)                                                    \
    X(AUTH_PLAIN, "AUTH=PLAIN", LISTENER)                                                          \
    X(AUTH_LOGIN, "AUTH=LOGIN", LISTENER)                                                          \
    X(AUTH_XOAUTH2, "AUTH=XOAUTH2", LISTENER)                                                      \
    X(AUTH_OAUTHBEARER, "AUTH=OAUTHBEARER", LISTENER)                                              \
    X(UNSELECT, "UNSELECT", OURS)                                                                  \
    X(CHILDREN, "CHILDREN", OURS)                                                                  \
    X(NAMESPACE, "NAMESPACE", OURS)                                                                \
    X(UIDPLUS, "UIDPLUS", UPSTREAM)                                                                \
    X(MOVE, "MOVE", UPSTREAM)                                                                      \
    X(CONDSTORE, "CONDSTORE", UPSTREAM)                                                            \
    X(QRESYNC, "QRESYNC", UPSTREAM)                                                                \
    X(ESEARCH, "ESEARCH", OURS)                                                                    \
    X(SEARCHRES, "SEARCHRES", OURS)                                                                \
    X(PARTIAL, "PARTIAL", OURS)                                                                    \
    X(WITHIN, "WITHIN", UPSTREAM)                                                                  \
    X(SORT, "SORT", UPSTREAM)                                                                      \
    X(SORT_DISPLAY, "SORT=DISPLAY", UPSTREAM)                                                      \
    X(ESORT, "ESORT", OURS)                                                                        \
    X(THREAD_ORDEREDSUBJECT, "THREAD=ORDEREDSUBJECT", UPSTREAM)                                    \
    X(THREAD_REFERENCES, "THREAD=REFERENCES", UPSTREAM)                                            \
    X(THREAD_REFS, "THREAD=REFS", UPSTREAM)                                                        \
    X(LIST_EXTENDED, "LIST-EXTENDED", UPSTREAM)                                                    \
    X(LIST_STATUS, "LIST-STATUS", OURS)                                                            \
    X(LIST_MYRIGHTS, "LIST-MYRIGHTS", UPSTREAM)                                                    \
    X(SPECIAL_USE, "SPECIAL-USE", UPSTREAM)                                                        \
    X(CREATE_SPECIAL_USE, "CREATE-SPECIAL-USE", UPSTREAM)                                          \
    X(STATUS_SIZE, "STATUS=SIZE", UPSTREAM)                                                        \
    X(BINARY, "BINARY", UPSTREAM)                                                                  \
    X(OBJECTID, "OBJECTID", UPSTREAM)                                                              \
    X(SAVEDATE, "SAVEDATE", UPSTREAM)                                                              \
    X(PREVIEW, "PREVIEW", UPSTREAM)                                                                \
    X(QUOTA, "QUOTA", UPSTREAM)                                                                    \
    X(QUOTASET, "QUOTASET", UPSTREAM)                                                              \
    X(ACL, "ACL", UPSTREAM)                                                                        \
    X(METADATA, "METADATA", UPSTREAM)                                                              \
    X(METADATA_SERVER, "METADATA-SERVER", UPSTREAM)                                                \
    X(I18NLEVEL_1, "I18NLEVEL=1", UPSTREAM)                                                        \
    X(GMAIL, "X-GM-EXT-1", UPSTREAM)                                                               \
    X(XLIST, "XLIST", NEVER)                                                                       \
    X(LITERAL_MINUS, "LITERAL-", NEVER)                                                            \
    X(COMPRESS_DEFLATE, "COMPRESS=DEFLATE", NEVER)                                                 \
    X(NOTIFY, "NOTIFY", NEVER)                                                                     \
    X(MULTIAPPEND, "MULTIAPPEND", UPSTREAM)                                                        \
    X(UTF8_ACCEPT, "UTF8=ACCEPT", NEVER)                                                           \
    X(UTF8_ONLY, "UTF8=ONLY", NEVER)                                                               \
    X(IMAP4REV2, "IMAP4rev2", NEVER)                                                               \
    X(UIDONLY, "UIDONLY", NEVER)                                                                   \
    X(UNAUTHENTICATE, "UNAUTHENTICATE", NEVER)

enum capability {
#define CAPABILITY_ENUM(id, text, offer) CAP_##id,
    CAPABILITIES(CAPABILITY_ENUM)
#undef CAPABILITY_ENUM
        CAP_N
};

enum capability_offer {
    CAPABILITY_NEVER,
    CAPABILITY_ALWAYS,   /* before and after login */
    CAPABILITY_LISTENER, /* before login, as the listener's state allows */
    CAPABILITY_OURS,     /* after login, whatever the upstream has */
    CAPABILITY_UPSTREAM  /* after login, when the upstream has it */
};

enum { CAPABILITY_PASSED_MAX = 512 };

struct capabilities {
    uint64_t bits;         /* 1 << enum capability */
    uint64_t appendlimit;  /* APPENDLIMIT=n; 0: not said */
    uint64_t messagelimit; /* MESSAGELIMIT=n (RFC 9738); 0: none */
    bool has_appendlimit;
    /* RIGHTS=..., QUOTA=RES-...: passed on as they are, each preceded by a space */
    char passed[CAPABILITY_PASSED_MAX];
    size_t passed_len;
};

static inline bool capability_has(const struct capabilities *caps, enum capability cap)
{
    return (caps->bits >> (unsigned)cap & 1) != 0;
}

/* Words separated by spaces ("IMAP4rev1 IDLE ..."); replaces @out.  Unknown words are passed over.
 */
void capability_parse(struct slice words, struct capabilities *out);
/* Bit of a name, or CAP_N. */
enum capability capability_find(struct slice name);
const char *capability_name(enum capability cap);

struct capability_listener {
    bool can_starttls; /* TLS is configured and not yet on */
    bool can_login;    /* TLS is on, or this listener allows cleartext login */
    /* What an upstream takes, as far as is known; only with can_login. */
    bool has_login_mechanism, has_xoauth2, has_oauthbearer;
    bool is_token_only; /* no upstream takes a password */
};
/* The list before login, without "CAPABILITY ". */
void capability_offer_before_login(const struct capability_listener *listener, struct buf *out);
/* The list after login.  append_max: octets of one message that we take; 0: as many as upstream. */
void capability_offer(const struct capabilities *upstream, uint64_t append_max, struct buf *out);
/* Is it in that list? (What ENABLE or a command may use.) */
bool capability_is_offered(const struct capabilities *upstream, enum capability cap);

#endif
