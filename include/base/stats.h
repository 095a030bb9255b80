#ifndef BASE_STATS_H
#define BASE_STATS_H
/* Counters: one writer each, relaxed atomics, read by anybody.                Thread: any. */
#include <stdatomic.h>
#include <stdint.h>

#define STATS(X)                                                                                   \
    X(sessions_opened)                                                                             \
    X(sessions_closed)                                                                             \
    X(logins_ok)                                                                                   \
    X(logins_refused)                                                                              \
    X(logins_held)                                                                                 \
    X(logins_repeated)                                                                             \
    X(secrets_revoked)                                                                             \
    X(links_opened)                                                                                \
    X(links_lost)                                                                                  \
    X(upstream_commands)                                                                           \
    X(upstream_bytes_in)                                                                           \
    X(upstream_bytes_out)                                                                          \
    X(fetch_hits)                                                                                  \
    X(fetch_misses)                                                                                \
    X(fetch_joins)                                                                                 \
    X(search_hits)  /* SEARCHes of clients with criteria of the upstream, and nothing was asked */ \
    X(search_asks)  /* commands that were sent */                                                  \
    X(search_joins) /* asked for while it was under way */                                         \
    X(search_uids)  /* UIDs named in them */                                                       \
    X(verify_checks)                                                                               \
    X(verify_mismatches)                                                                           \
    X(store_commits)                                                                               \
    X(store_dropped_writes)                                                                        \
    X(store_bad_records)                                                                           \
    X(store_evicted_bytes)                                                                         \
    X(told_octets)                                                                                 \
    X(rendered_octets)                                                                             \
    X(limits_sessions)                                                                             \
    X(limits_input)                                                                                \
    X(limits_commands)                                                                             \
    X(resyncs)                                                                                     \
    X(feeds_parked)                                                                                \
    X(throttled)

enum stats_counter {
#define STATS_ENUM(name) STAT_##name,
    STATS(STATS_ENUM)
#undef STATS_ENUM
    STAT_N
};

struct stats {
    _Atomic uint64_t value[STAT_N];
};

void stats_add(struct stats *stats, enum stats_counter which, uint64_t n);
uint64_t stats_get(const struct stats *stats, enum stats_counter which);
const char *stats_name(enum stats_counter which);

#endif
