#ifndef UPSTREAM_PROFILE_H
#define UPSTREAM_PROFILE_H
/* What is known of one kind of server, one table row each.  Found by words the server says of
 * itself: greeting, capabilities, ID.  A fact that was not measured takes the careful value:
 * slower, never wrong.  Rows are static and immutable. Thread: any. */
#include "base/slice.h"

struct link;

enum {
    PROFILE_MARKS_MAX = 4,
    PROFILE_SET_BYTES = 7000, /* RFC 7162 4 asks servers for lines of 8,192 */
};

/* Is the order that a SORT or THREAD by a text key tells right at once?  (account/orders_ahead.c) */
enum profile_order {
    ORDER_DOUBTFUL,    /* nobody knows */
    ORDER_RIGHT_LATER, /* at the second asking; what ESORT it offers, it has */
    ORDER_RIGHT,
};

struct profile {
    const char *name;
    /* Any of these words (letters without case) in what the server says means this row. */
    const char *marks[PROFILE_MARKS_MAX];
    uint32_t max_connections; /* per account, when the administrator sets none */
    uint32_t set_bytes;       /* of a set of UIDs in one command; 0: PROFILE_SET_BYTES */
    uint32_t fresh_ms;        /* a model is fresh this long after a round trip on its feed */
    /* Octets of the message that is told, with an OK, in place of one that cannot be read just now
     * (protocol T1); 0: none. */
    uint32_t standin_bytes;
    bool pushes_flags_in_idle;
    bool may_pipeline_after_done; /* commands behind DONE without waiting for IDLE's tagged OK */
    bool has_sound_qresync;       /* false: QRESYNC is not enabled although it is offered */
    bool is_sure_to_enable;       /* what it offers, ENABLE gives: nobody waits for its answer */
    enum profile_order order;
};

const struct profile *profile_generic(void);
/* @said: greeting, capability words and ID answer, in any order.  Never NULL. */
const struct profile *profile_detect(struct slice said);

/* The profile of the server at the other end; generic until the login has ended. */
const struct profile *link_profile(const struct link *link);

#endif
