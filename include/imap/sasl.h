#ifndef IMAP_SASL_H
#define IMAP_SASL_H
/* The mechanisms of AUTHENTICATE that carry a secret which can be used again: parsing what a client
 * says, writing what an upstream is told, and base64 of both.  Strict: whatever is not of the
 * grammar is SYNTAX.  Text borrows from the message but for sasl_parse_bearer(), whose name is
 * decoded in place.  The caller wipes.            Thread: any.
 * RFC 4616 (PLAIN), 6750, 7628 (OAUTHBEARER), 4648 4 (base64); XOAUTH2 as Google describes it. */
#include "base/buf.h"
#include "base/status.h"

enum sasl_mech {
    SASL_PLAIN, /* also what LOGIN, the command and the mechanism, comes to */
    SASL_LOGIN, /* two questions, obsolete */
    SASL_XOAUTH2,
    SASL_OAUTHBEARER,
    SASL_MECH_N /* none of them */
};

enum {
    SASL_NAME_MAX = 1024,         /* octets of a login name, decoded */
    SASL_SECRET_MAX = 16 * 1024,  /* of a password or token */
    SASL_MESSAGE_MAX = 20 * 1024, /* of a message, decoded */
};

struct sasl_login {
    struct slice authzid; /* PLAIN only; empty when it is the authcid said twice */
    struct slice authcid;
    struct slice secret; /* password or token */
};

/* "PLAIN" in any case; SASL_MECH_N. */
enum sasl_mech sasl_find(struct slice name);
const char *sasl_name(enum sasl_mech mech);
/* A secret that expires by itself. */
bool sasl_is_token(enum sasl_mech mech);

/* A whole message of PLAIN, XOAUTH2 or OAUTHBEARER.  @message is changed.  OK, SYNTAX or LIMIT; a
 * message that names nobody is SYNTAX.  Nothing in *out holds a NUL, CR or LF. */
enum status sasl_parse(enum sasl_mech mech, char *message, size_t len,
                       struct sasl_login *out) MUST_USE;
/* Are these what a login may consist of: a name, no NUL, not too long? */
enum status sasl_check(const struct sasl_login *login) MUST_USE;
/* The message for an upstream at @host. */
void sasl_write(enum sasl_mech mech, const struct sasl_login *login, struct slice host,
                uint16_t port, struct buf *out);
/* What a client says to the error that comes instead of success, in base64: nothing for XOAUTH2. */
const char *sasl_error_answer(enum sasl_mech mech);

void sasl_base64_encode(struct slice bytes, struct buf *out);
/* Padded, no white space, nothing behind the padding; false when it is not. */
bool sasl_base64_decode(struct slice text, struct buf *out);
/* Of that alphabet and length, so that it may stand in a "+" line. */
bool sasl_is_base64(struct slice text);

#endif
