#ifndef IMAP_RESPONSE_H
#define IMAP_RESPONSE_H
/* One complete response of an upstream.  Parsing looks only as deep as it must: data stays raw for
 * the helpers of respdata.h and respfetch.h.  Everything borrows from the unit.  Whatever an
 * upstream says gives a response or SYNTAX, never more (protocol T43).   Thread: any.   RFC 3501
 * section 7. */
#include "imap/lexer.h"

enum response_kind {
    RESPONSE_CONTINUE, /* "+": text */
    RESPONSE_TAGGED,   /* tag, cond, code, text */
    RESPONSE_STATE,    /* "* OK ..." and its like: cond, code, text */
    RESPONSE_CAPABILITY,
    RESPONSE_ENABLED,
    RESPONSE_FLAGS,
    RESPONSE_LIST,
    RESPONSE_LSUB,
    RESPONSE_XLIST,
    RESPONSE_STATUS,
    RESPONSE_SEARCH,
    RESPONSE_ESEARCH,
    RESPONSE_SORT,
    RESPONSE_THREAD,
    RESPONSE_NAMESPACE,
    RESPONSE_ID,
    RESPONSE_QUOTA,
    RESPONSE_QUOTAROOT,
    RESPONSE_ACL,
    RESPONSE_MYRIGHTS,
    RESPONSE_LISTRIGHTS,
    RESPONSE_METADATA,
    RESPONSE_VANISHED,
    RESPONSE_EXISTS,  /* number */
    RESPONSE_RECENT,  /* number */
    RESPONSE_EXPUNGE, /* number */
    RESPONSE_FETCH,   /* number */
    RESPONSE_OTHER    /* well-formed as far as we look, meaning unknown: data is all after "* " */
};

enum response_cond { COND_NONE, COND_OK, COND_NO, COND_BAD, COND_PREAUTH, COND_BYE };

/* Response codes we know; the table says which of them are passed on to clients. */
/* clang-format off */
#define RESPONSE_CODES(X) \
    X(ALERT, "ALERT") X(ALREADYEXISTS, "ALREADYEXISTS") X(APPENDUID, "APPENDUID") \
    X(AUTHENTICATIONFAILED, "AUTHENTICATIONFAILED") \
    X(AUTHORIZATIONFAILED, "AUTHORIZATIONFAILED") X(BADCHARSET, "BADCHARSET") \
    X(BADEVENT, "BADEVENT") X(BADURL, "BADURL") X(CANNOT, "CANNOT") \
    X(CAPABILITY, "CAPABILITY") X(CLIENTBUG, "CLIENTBUG") X(CLOSED, "CLOSED") \
    X(CONTACTADMIN, "CONTACTADMIN") X(COPYUID, "COPYUID") X(CORRUPTION, "CORRUPTION") \
    X(EXPIRED, "EXPIRED") X(EXPUNGEISSUED, "EXPUNGEISSUED") X(HASCHILDREN, "HASCHILDREN") \
    X(HIGHESTMODSEQ, "HIGHESTMODSEQ") X(INPROGRESS, "INPROGRESS") X(INUSE, "INUSE") \
    X(LIMIT, "LIMIT") X(MAILBOXID, "MAILBOXID") X(MESSAGELIMIT, "MESSAGELIMIT") \
    X(METADATA, "METADATA") X(MODIFIED, "MODIFIED") X(NOMODSEQ, "NOMODSEQ") \
    X(NONEXISTENT, "NONEXISTENT") X(NOPERM, "NOPERM") X(NOTSAVED, "NOTSAVED") \
    X(OVERQUOTA, "OVERQUOTA") X(PARSE, "PARSE") X(PERMANENTFLAGS, "PERMANENTFLAGS") \
    X(PRIVACYREQUIRED, "PRIVACYREQUIRED") X(READ_ONLY, "READ-ONLY") \
    X(READ_WRITE, "READ-WRITE") X(REFERRAL, "REFERRAL") X(SERVERBUG, "SERVERBUG") \
    X(THROTTLED, "THROTTLED") X(TOOBIG, "TOOBIG") X(TRYCREATE, "TRYCREATE") \
    X(UIDNEXT, "UIDNEXT") X(UIDNOTSTICKY, "UIDNOTSTICKY") X(UIDVALIDITY, "UIDVALIDITY") \
    X(UNAVAILABLE, "UNAVAILABLE") X(UNKNOWN_CTE, "UNKNOWN-CTE") X(UNSEEN, "UNSEEN") \
    X(USEATTR, "USEATTR")
/* clang-format on */

enum response_code {
    CODE_NONE,  /* no [ ] */
    CODE_OTHER, /* one we do not know: code_name */
#define RESPONSE_CODE_ENUM(id, name) CODE_##id,
    RESPONSE_CODES(RESPONSE_CODE_ENUM)
#undef RESPONSE_CODE_ENUM
        CODE_N
};

struct response {
    enum response_kind kind;
    enum response_cond cond;
    enum response_code code;
    uint32_t number;
    struct slice tag;
    struct slice code_name; /* as written */
    struct slice code_args; /* raw, after the space; may be empty */
    struct slice text;      /* human text, may hold anything but CR LF */
    struct unit data;       /* what follows the name: "(FLAGS ...)" of FETCH; holes moved along */
};

/* OK or SYNTAX. */
enum status response_parse(struct unit unit, struct response *out) MUST_USE;

/* "OK"; COND_NONE: "". */
const char *response_cond_name(enum response_cond cond);
/* "READ-ONLY"; CODE_NONE and CODE_OTHER: "". */
const char *response_code_name(enum response_code code);
enum response_code response_code_find(struct slice name);
/* May be passed on to a client (protocol.md 2.10, end). */
bool response_code_is_relayed(enum response_code code);
/* Is an OK with this code one for the whole of what was asked?  Else its answer is not kept. */
bool response_code_is_whole(enum response_code code);

#endif
