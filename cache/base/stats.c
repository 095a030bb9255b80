#include "base/stats.h"

#include <stddef.h>

static const char *const names[STAT_N] = {
#define STATS_NAME(name) [STAT_##name] = #name,
    STATS(STATS_NAME)
#undef STATS_NAME
};

void stats_add(struct stats *stats, enum stats_counter which, uint64_t n)
{
    if (stats != NULL) {
        (void)atomic_fetch_add_explicit(&stats->value[which], n, memory_order_relaxed);
    }
}

uint64_t stats_get(const struct stats *stats, enum stats_counter which)
{
    return atomic_load_explicit(&stats->value[which], memory_order_relaxed);
}

const char *stats_name(enum stats_counter which)
{
    return names[which];
}
