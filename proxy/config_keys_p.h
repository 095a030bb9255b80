#ifndef ROOT_CONFIG_KEYS_P_H
#define ROOT_CONFIG_KEYS_P_H
/* The one table of what a configuration file may say: section, key, kind of value, where it goes
 * and how large it may be.  A new setting is a row here, a member in base/settings.h and a line in
 * conf/imapcached.conf and its man page.                                         Thread: any. */
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/settings.h"

enum config_kind {
    CONFIG_TEXT,        /* const char * */
    CONFIG_FILE,        /* const char *, a file that can be read */
    CONFIG_URL,         /* upstream_settings: host, port, security */
    CONFIG_ADDRESS,     /* listener_settings: address, and allow_cleartext by default */
    CONFIG_TLS_MODE,    /* listener_settings: is_tls, has_starttls */
    CONFIG_BOOL,        /* bool */
    CONFIG_SHARE,       /* bool: "secret", "login" */
    CONFIG_LEVEL,       /* const char *, a log level */
    CONFIG_LIST,        /* const char *const * */
    CONFIG_COUNT,       /* uint32_t */
    CONFIG_DURATION_MS, /* uint32_t */
    CONFIG_DURATION_S,  /* uint32_t */
    CONFIG_SIZE32,      /* uint32_t */
    CONFIG_SIZE64,      /* uint64_t */
};

struct config_key {
    const char *section;
    const char *name;
    enum config_kind kind;
    size_t offset;  /* in the section's struct */
    uint64_t least; /* numbers: in the unit of the kind; both 0: any */
    uint64_t most;
};

enum { CONFIG_KEYS_MAX = 63 }; /* indices are bits of a mask */

/* Ends with a row whose section is NULL. */
const struct config_key *config_keys(void);
/* NULL when there is no such key in @section. */
const struct config_key *config_find_key(const char *section, const char *name);

/* Is @text a value of @key?  Numbers, booleans and modes come out in *number_out, texts stay as
 * they are.  False: what is expected, in @expected. */
bool config_check_value(const struct config_key *key, const char *text, long *number_out,
                        struct buf *expected);

#endif
