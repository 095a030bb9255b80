/* IDLE: begun when nothing was to be said for a moment, ended by whatever is to be said, given
 * again before servers and address translators forget us.  A link that is kept so busy that IDLE
 * never begins says NOOP now and then instead: servers need not tell news in the answer to another
 * command (Dovecot does not with STATUS).  RFC 2177: "clients using IDLE are
 * advised to terminate the IDLE and re-issue it at least every 29 minutes". */
#include <stdio.h>

#include "base/log.h"
#include "link_p.h"
#include "pipeline_p.h"

bool link_takes_idle(const struct link *link)
{
    return capability_has(&link->caps, CAP_IDLE) && link->idle_failures < LINK__IDLE_FAILURES_MAX;
}

static bool idle_is_possible(const struct link *link)
{
    return link->wants_idle && link_takes_idle(link);
}

uint32_t link_fresh_ms(const struct link *link)
{
    uint32_t ms = link->profile->fresh_ms;
    return link_takes_idle(link) || ms < LINK__FRESH_POLLED_MS ? ms : LINK__FRESH_POLLED_MS;
}

static void idle_start(struct link *link)
{
    char tag[LINK__TAG_MAX];
    char line[LINK__TAG_MAX + 16];
    link->idle_tag = ++link->last_tag;
    snprintf(line, sizeof(line), "%s IDLE\r\n", wire__tag(link->idle_tag, tag));
    link__goto(link, LINK_IDLE_ASKED, "quiet");
    conn_write(link->conn, slice_str(line));
    stats_add(link->env.stats, STAT_upstream_commands, 1);
    link__watch(link);
}

static void idle_on_timer(void *arg)
{
    struct link *link = arg;
    uint64_t now = evloop_now_ms(link->env.loop);
    bool is_silent = !idle__was_heard(link, LINK__PROBE_MS);
    if (link->state == LINK_IDLING && (now >= link->idle_end_ms || is_silent)) {
        idle__end(link, now >= link->idle_end_ms ? "given again" : "is it there?");
    } else if (link->state == LINK_IDLING) {
        idle__watch(link);
    } else if (link->state == LINK_READY && pipeline__is_quiet(link) && idle_is_possible(link)) {
        idle_start(link);
    }
}

bool idle__was_heard(const struct link *link, uint32_t within_ms)
{
    return evloop_now_ms(link->env.loop) - link->heard_ms < within_ms;
}

void idle__watch(struct link *link)
{
    uint32_t ms = link->env.upstream->idle_restart_ms;
    if (link->state == LINK_IDLING) {
        ms = link->is_watched && ms > LINK__PROBE_MS ? LINK__PROBE_MS : ms;
        timeout_start(link->env.loop, &link->idle_timer, ms);
    }
}

void idle__ask(struct link *link)
{
    static const struct upcmd_ops nobody = {.done = NULL};
    char tag[LINK__TAG_MAX];
    link->is_asked = true;
    struct upcmd *cmd = upcmd__create(link, UPCMD__INTERNAL | UPCMD__QUICK, &nobody, NULL);
    buf_printf(&cmd->wire, "%s NOOP\r\n", wire__tag(cmd->tag, tag));
    pipeline__add(link, cmd);
}

static bool has_own(const struct upcmd *cmd)
{
    while (cmd != NULL && (cmd->flags & UPCMD__INTERNAL) == 0) {
        cmd = cmd->next;
    }
    return cmd != NULL;
}

/* One at a time: of a server slower than the timer there would always be one under way, and no IDLE. */
static void idle_on_busy(void *arg)
{
    struct link *link = arg;
    if (link->state == LINK_READY && idle_is_possible(link) && !pipeline__is_quiet(link) &&
        !has_own(link->flight.head) && !has_own(link->queue.head)) {
        idle__ask(link);
    }
}

void idle__init(struct link *link)
{
    timeout_init(&link->idle_timer, idle_on_timer, link);
    timeout_init(&link->busy_timer, idle_on_busy, link);
}

void idle__consider(struct link *link)
{
    if (link->state == LINK_IDLING && !link->wants_idle) {
        idle__end(link, "not wanted");
    }
    if (link->state != LINK_READY) {
        return;
    }
    if (idle_is_possible(link) && !timeout_is_running(&link->busy_timer)) {
        timeout_start(link->env.loop, &link->busy_timer, LINK__BUSY_NOOP_MS);
    }
    if (!pipeline__is_quiet(link) || !idle_is_possible(link)) {
        timeout_stop(&link->idle_timer);
    } else if (!timeout_is_running(&link->idle_timer)) {
        timeout_start(link->env.loop, &link->idle_timer, LINK__IDLE_QUIET_MS);
    }
}

void idle__end(struct link *link, const char *why)
{
    timeout_stop(&link->idle_timer);
    link__goto(link, LINK_IDLE_DONE, why);
    conn_write(link->conn, SLICE("DONE\r\n"));
    link->idle_failures = 0;
    link__watch(link);
}

void idle__accepted(struct link *link)
{
    link__goto(link, LINK_IDLING, "+");
    link__watch(link);
    timeout_stop(&link->busy_timer);
    link->idle_end_ms = evloop_now_ms(link->env.loop) + link->env.upstream->idle_restart_ms;
    idle__watch(link);
    pipeline__kick(link); /* something may have come meanwhile */
    if (link->ops->idling != NULL) {
        link->ops->idling(link->owner, link);
    }
}

void idle__tagged(struct link *link, const struct response *r)
{
    link->idle_tag = 0;
    if (link->state == LINK_IDLE_ASKED) {
        LOG(LOG_INFO, "link", "msg=\"IDLE refused\" peer=%s text=%s", link->peer, LOG_Q(r->text));
        link->idle_failures = LINK__IDLE_FAILURES_MAX;
    } else if (link->state == LINK_IDLING) {
        link->idle_failures++; /* ended by the server; not for ever at 20 a second */
    }
    timeout_stop(&link->idle_timer);
    link__goto(link, LINK_READY, "IDLE ended");
    link__watch(link);
    pipeline__kick(link);
}
