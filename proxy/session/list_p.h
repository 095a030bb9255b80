#ifndef LIST_P_H
#define LIST_P_H
/* What STATUS, LIST and NAMESPACE share. */
#include "account/lists.h"
#include "imap/respdata.h"
#include "session_p.h"

/* --- status.c --- */
/* The STATUS of one mailbox: of one with a model from the model, so that it never falls behind what a
 * session has been told; what a model does not know, and any other mailbox, from the upstream. */
struct status_ask {
    struct session *session;
    struct slice mailbox; /* borrowed from the job */
    unsigned items;
    unsigned upstream_items; /* of these, asked upstream */
    bool is_begun, is_refreshed;
    struct refresh_request *refresh;
    struct lists_request *request;
    enum status status; /* of the upstream's answer */
    struct buf tagged;  /* its words */
    struct buf data;    /* "mailbox (...)" as it said */
};

void status_ask_init(struct status_ask *ask, struct session *session, struct slice mailbox,
                     unsigned items);
/* True: answered; false: session_wake() will come. */
bool status_ask_is_over(struct status_ask *ask);
/* The line "* STATUS ...", if there is something to say. */
void status_ask_tell(struct status_ask *ask);
void status_ask_fini(struct status_ask *ask);

#endif
