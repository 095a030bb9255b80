#ifndef MODEL_VIEW_P_H
#define MODEL_VIEW_P_H
/* The inside of a view.  Its truth is (told, vanished, hidden): the messages of the view are the
 * live ones <= told that are not hidden, and the vanished ones.  The log from cursor on is still to
 * be worked into it, which every function does first.                          Thread: loop. */
#include "mailbox_p.h"
#include "model/view.h"

struct view {
    struct mailbox *mailbox;
    struct view *prev;
    struct view *next;

    uint64_t cursor;        /* log position up to which all is in the sets below */
    uint32_t told;          /* highest UID told */
    unsigned options;
    struct uidset vanished; /* gone, not told; <= told */
    struct uidset hidden;   /* live and <= told, but appeared after higher ones had been told:
                               there is no number for them before the next SELECT */
    struct ranges changed;  /* flags to be told; live and in the view */
    struct ranges recent;   /* \Recent for this view; may run over gaps */
    uint32_t told_recent;
    uint64_t told_lists;    /* lists_version */
    uint64_t told_modseq;

    bool is_clean;          /* what is pending follows from clean_version alone */
    uint64_t clean_version; /* the mailbox version at which all was told */
    uint64_t syncs;         /* how often numbers may have changed */
};

/* Work the log into the sets. */
void view__catch_up(struct view *view);
/* Messages of the view with a UID <= uid; caught up already. */
uint32_t view__rank(struct view *view, uint32_t uid);

#endif
