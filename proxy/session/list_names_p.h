#ifndef LIST_NAMES_P_H
#define LIST_NAMES_P_H
/* Lines of LIST, LSUB and what comes with them, parsed.  Text is the caller's arena's.   Thread: loop. */
#include "list_p.h"

struct list_name {
    enum response_kind kind;
    struct slice text;           /* as the upstream said it, behind "LIST " */
    struct respdata_list parsed; /* of STATUS, MYRIGHTS: the mailbox alone */
    unsigned adds;               /* enum list_attr that we add */
    bool is_dropped;
};

struct list_names {
    struct list_name *at;
    size_t n, cap;
    bool is_sorted; /* by name */
};

/* What cannot be parsed is left out.  A full arena shows in @arena. */
void list_names_add(struct list_names *names, struct arena *arena, const struct lists_line *line);
void list_names_fini(struct list_names *names);
void list_names_sort(struct list_names *names);
/* Of sorted ones; NULL: there is none. */
const struct list_name *list_names_find(const struct list_names *names, struct slice mailbox);
/* Is there one below @name in the sorted @names? */
bool list_names_has_children(const struct list_names *names, const struct list_name *name);
/* Of several lines for one mailbox the first stays. */
void list_names_drop_twins(struct list_names *names);

#endif
