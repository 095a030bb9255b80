#include "model/changelog.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum { LOG_DEFAULT_MAX = 65536, LOG_FIRST_CAP = 64, LOG_LIMIT = 1 << 24 };

static size_t round_up(size_t n)
{
    size_t power = 1;
    while (power < n) {
        power *= 2;
    }
    return power;
}

void changelog_init(struct changelog *log, size_t max)
{
    CHECK(max <= LOG_LIMIT);
    *log = (struct changelog){.max = round_up(max > 0 ? max : LOG_DEFAULT_MAX)};
}

void changelog_fini(struct changelog *log)
{
    alloc_free(log->ring);
    log->ring = NULL;
    log->cap = 0;
    log->first = log->end;
}

static void grow(struct changelog *log, size_t cap)
{
    uint64_t *ring = alloc_array(cap, sizeof(*ring));
    for (uint64_t p = log->first; p < log->end; p++) {
        ring[p & (cap - 1)] = log->ring[p & (log->cap - 1)];
    }
    alloc_free(log->ring);
    log->ring = ring;
    log->cap = cap;
}

bool changelog_reserve(struct changelog *log, size_t n)
{
    size_t need = (size_t)(log->end - log->first) + n;
    if (need > log->max || n > log->max) {
        return false;
    }
    if (need > log->cap) {
        size_t cap = round_up(need > LOG_FIRST_CAP ? need : LOG_FIRST_CAP);
        grow(log, cap < log->max ? cap : log->max);
    }
    return true;
}

void changelog_add(struct changelog *log, enum change change, uint32_t uid)
{
    CHECK(log->end - log->first < log->cap);
    log->ring[log->end & (log->cap - 1)] = (uint64_t)uid << 2 | (uint64_t)change;
    log->end++;
}

void changelog_forget(struct changelog *log, uint64_t before)
{
    if (before > log->first) {
        log->first = before < log->end ? before : log->end;
    }
}

static uint64_t entry_at(const struct changelog *log, uint64_t position)
{
    CHECK(position >= log->first && position < log->end);
    return log->ring[position & (log->cap - 1)];
}

uint32_t changelog_uid(const struct changelog *log, uint64_t position)
{
    return (uint32_t)(entry_at(log, position) >> 2);
}

enum change changelog_change(const struct changelog *log, uint64_t position)
{
    return (enum change)(entry_at(log, position) & 3);
}
