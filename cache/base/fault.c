#include "base/fault.h"

#ifdef IMAPCACHED_DEBUG
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static const char *const names[FAULT_N] = {
#define FAULT_NAME(name) [FAULT_##name] = #name,
    FAULTS(FAULT_NAME)
#undef FAULT_NAME
};
static _Atomic unsigned long visits[FAULT_N];

/* Plans of before stay: another thread may be reading one. */
static struct plan {
    struct plan *older;
    char text[];
} *_Atomic newest;

void fault_plan(const char *text)
{
    size_t size = strlen(text) + 1;
    struct plan *plan = alloc_zero(sizeof(*plan) + size);
    memcpy(plan->text, text, size);
    plan->older = atomic_load(&newest);
    atomic_store(&newest, plan);
}

bool fault_hit(enum fault fault)
{
    const struct plan *given = atomic_load(&newest);
    const char *plan = given != NULL ? given->text : getenv("IMAPCACHED_FAULT");
    size_t len = strlen(names[fault]);
    if (plan == NULL || strncmp(plan, names[fault], len) != 0 || plan[len] != ':') {
        return false;
    }
    char *end;
    unsigned long at = strtoul(plan + len + 1, &end, 10);
    unsigned long visit = atomic_fetch_add(&visits[fault], 1) + 1;
    return *end == '+' ? visit >= at : visit == at;
}
#else
typedef int fault_unused; /* an empty translation unit is not C */
#endif
