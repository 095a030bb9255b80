#ifndef VERBS_P_H
#define VERBS_P_H
/* The verbs, by file.  Included by session_p.h.   Thread: loop. */
#include "session_p.h"

const struct verb *verb_find(enum command_id id);
extern const struct verb verb_capability, verb_noop, verb_logout, verb_id, verb_enable,
    verb_starttls, verb_check;                       /* basic.c */
extern const struct verb verb_login, verb_authenticate;       /* auth.c */
extern const struct verb verb_select, verb_close, verb_unselect; /* select.c */
extern const struct verb verb_idle;                           /* idle.c */
extern const struct verb verb_fetch;                          /* fetch.c */
extern const struct verb verb_store;                          /* store.c */
extern const struct verb verb_copy, verb_move;                /* copy.c */
extern const struct verb verb_expunge;                        /* expunge.c */
extern const struct verb verb_append;                         /* append.c */
extern const struct verb verb_search, verb_sort, verb_thread; /* search.c, sort.c */
extern const struct verb verb_status;                         /* status.c */
extern const struct verb verb_list, verb_namespace;           /* list.c, namespace.c */
extern const struct verb verb_relay;                          /* relay.c: CREATE, ACL ... */
extern const struct verb verb_refused;                        /* COMPRESS */

#endif
