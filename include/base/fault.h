#ifndef BASE_FAULT_H
#define BASE_FAULT_H
/* Faults for tests: a build with IMAPCACHED_DEBUG reads IMAPCACHED_FAULT=name:n from the
 * environment, and FAULT(name) is true at the n-th visit (name:n+ from then on).  Release builds
 * compile it away.                                                            Thread: any. */
#include <stdbool.h>

#define FAULTS(X)                                                                                  \
    X(store_commit)                                                                                \
    X(store_full)                                                                                  \
    X(store_put)                                                                                   \
    X(store_kill)                                                                                  \
    X(store_open)                                                                                  \
    X(store_sync)                                                                                  \
    X(link_connect)

enum fault {
#define FAULT_ENUM(name) FAULT_##name,
    FAULTS(FAULT_ENUM)
#undef FAULT_ENUM
    FAULT_N
};

#ifdef IMAPCACHED_DEBUG
bool fault_hit(enum fault fault);
/* From now on this instead of the environment, which other threads may be reading; "": none.  One
 * thread plans.  Never freed. */
void fault_plan(const char *text);
#define FAULT(name) fault_hit(FAULT_##name)
#else
#define fault_plan(text) ((void)(text))
#define FAULT(name) false
#endif

#endif
