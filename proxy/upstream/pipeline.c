/* Commands of a link.
 *
 *   link_send -> queue -(pump, once a turn)-> flight ... tagged reply -> done
 *                  FILLING        WRITING <-> AWAIT_GO -> STREAMING -> WRITING -> SENT
 *
 * Only the last one in flight (`current`) may be other than SENT: at a synchronising literal it
 * waits for "+" and everything behind it waits in the queue.  Commands of the login stand before
 * others in the queue and alone go before READY.  Writing keeps to the room the connection has. RFC
 * 3501 5.5, 7.5; RFC 7888. */
#include <string.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "link_p.h"
#include "pipeline_p.h"

enum { WRITE_CHUNK = 64 * 1024 };

static void list_append(struct upcmd_list *list, struct upcmd *cmd)
{
    DL_APPEND(list->head, cmd);
    list->n++;
}

static void list_remove(struct upcmd_list *list, struct upcmd *cmd)
{
    DL_DELETE(list->head, cmd);
    list->n--;
}

static bool is_internal(const struct upcmd *cmd)
{
    return (cmd->flags & UPCMD__INTERNAL) != 0;
}

/* Does its streamed literal not end it? */
static bool is_open(const struct upcmd *cmd)
{
    return (cmd->flags & UPCMD_OPEN) != 0;
}

void pipeline__kick(struct link *link)
{
    if (!link__is_over(link)) {
        evloop_defer(link->env.loop, &link->pump, EVLOOP_SOON);
    }
}

bool pipeline__is_quiet(const struct link *link)
{
    return link->flight.n == 0 && link->queue.n == 0;
}

bool pipeline__has_internal(const struct link *link)
{
    return (link->flight.head != NULL && is_internal(link->flight.head)) ||
           (link->queue.head != NULL && is_internal(link->queue.head));
}

/* --- making and ending -------------------------------------------------------------------------
 */

struct upcmd *upcmd__create(struct link *link, unsigned flags, const struct upcmd_ops *ops,
                            void *arg)
{
    struct upcmd *cmd = alloc_zero(sizeof(*cmd));
    cmd->link = link;
    cmd->flags = flags;
    cmd->ops = ops;
    cmd->arg = arg;
    cmd->tag = ++link->last_tag;
    cmd->stream_stop = SIZE_MAX;
    outcmd_init(&cmd->parts);
    buf_init(&cmd->wire, 0);
    cmd->wire.is_secret = (flags & UPCMD__SECRET) != 0;
    buf_init(&cmd->filled, LINK__SMALL_STREAM_MAX);
    return cmd;
}

/* @cmd is out of every list. */
static void upcmd_finish(struct upcmd *cmd, enum status st, const struct response *tagged,
                         bool was_sent)
{
    struct link *link = cmd->link;
    if (link->literal_owner == cmd) {
        link->literal_owner = NULL;
    }
    if (link->current == cmd) {
        link->current = NULL;
    }
    if (link->alone == cmd) {
        link->alone = NULL;
    }
    cmd->stage = UPCMD_ENDED;
    if (cmd->ops != NULL && cmd->ops->done != NULL) {
        cmd->ops->done(cmd->arg, st, tagged, was_sent);
    }
    upcmd__destroy(cmd);
}

void pipeline__fail_all(struct link *link, enum status st)
{
    uint32_t last = link->last_tag; /* those sent meanwhile have to wait, or it might never end */
    while (!pipeline__is_quiet(link)) {
        bool is_flying = link->flight.head != NULL;
        struct upcmd *cmd = is_flying ? link->flight.head : link->queue.head;
        if (cmd->tag > last) {
            return;
        }
        /* Octets that conn still had may be among them: in that doubt it was sent. */
        bool was_sent = cmd->stage == UPCMD_SENT;
        list_remove(is_flying ? &link->flight : &link->queue, cmd);
        upcmd_finish(cmd, st, NULL, was_sent);
    }
}

/* --- queueing ----------------------------------------------------------------------------------
 */

void pipeline__add(struct link *link, struct upcmd *cmd)
{
    struct upcmd *before = link->queue.head;
    while (is_internal(cmd) && before != NULL && is_internal(before)) {
        before = before->next;
    }
    if (is_internal(cmd) && before != NULL) {
        DL_PREPEND_ELEM(link->queue.head, before, cmd);
        link->queue.n++;
    } else {
        list_append(&link->queue, cmd);
    }
    pipeline__kick(link);
}

static uint64_t parts_stream_bytes(const struct outcmd *parts)
{
    for (size_t i = 0; i < parts->parts_n; i++) {
        if (parts->parts[i].kind == OUTCMD_STREAM) {
            return parts->parts[i].size;
        }
    }
    return 0;
}

struct upcmd *link_send(struct link *link, struct outcmd *cmd, unsigned flags,
                        uint64_t stream_bytes, const struct upcmd_ops *ops, void *arg)
{
    struct upcmd *upcmd = upcmd__create(link, flags | ops->flags, ops, arg);
    if ((flags & UPCMD_STREAM) != 0 && !cmd->has_stream) {
        outcmd_stream(cmd, stream_bytes, false);
    }
    upcmd->parts = *cmd;
    outcmd_init(cmd);
    upcmd->stream_left = parts_stream_bytes(&upcmd->parts);
    pipeline__add(link, upcmd);
    return upcmd;
}

size_t link_load(const struct link *link)
{
    return link->flight.n + link->queue.n;
}

void upcmd_detach(struct upcmd *cmd)
{
    struct link *link = cmd->link;
    bool has_stream = cmd->stream_left > 0 || is_open(cmd);
    cmd->ops = NULL;
    if (link->literal_owner == cmd) {
        link->literal_owner = NULL;
    }
    switch (cmd->stage) {
    case UPCMD_QUEUED:
    case UPCMD_FILLING:
        list_remove(&link->queue, cmd);
        upcmd__destroy(cmd);
        pipeline__kick(link);
        break;
    case UPCMD_WRITING:
    case UPCMD_AWAIT_GO:
    case UPCMD_STREAMING:
        if (has_stream) {
            link__lose(link, NETWORK, NULL, "an upload was abandoned");
        }
        break;
    case UPCMD_SENT:
    case UPCMD_ENDED:
        break;
    }
}

bool upcmd_is_begun(const struct upcmd *cmd)
{
    return cmd->stage != UPCMD_QUEUED && cmd->stage != UPCMD_FILLING;
}

/* --- sending -----------------------------------------------------------------------------------
 */

/* May commands that are not of the login be written now?  Ends IDLE for them. */
static bool may_send(struct link *link, const struct upcmd *cmd)
{
    switch (link->state) {
    case LINK_READY:
        return true;
    case LINK_IDLING:
        idle__end(link, "a command");
        return link->profile->may_pipeline_after_done && (cmd->flags & UPCMD_ALONE) == 0;
    case LINK_IDLE_DONE:
        return link->profile->may_pipeline_after_done && (cmd->flags & UPCMD_ALONE) == 0;
    case LINK_CONNECTING:
    case LINK_GREETING:
    case LINK_STARTTLS:
    case LINK_TLS:
    case LINK_CAPABILITY:
    case LINK_LOGIN:
    case LINK_ENABLE:
    case LINK_IDLE_ASKED:
    case LINK_CLOSING:
    case LINK_CLOSED:
    case LINK_STATE_N:
        break;
    }
    return false;
}

static bool needs_filling(const struct upcmd *cmd)
{
    return cmd->stream_left > 0 && !is_open(cmd) && cmd->stream_left <= LINK__SMALL_STREAM_MAX &&
           wire__is_free(&cmd->link->caps, cmd->stream_left);
}

/* The literal of a small upload is gathered and goes out with its command, without waiting for
 * "+"; false while it is not complete. */
static bool fill(struct upcmd *cmd)
{
    if (cmd->stage == UPCMD_FILLING) {
        return cmd->stream_left == 0;
    }
    if (!needs_filling(cmd)) {
        return true;
    }
    cmd->stage = UPCMD_FILLING;
    if (cmd->ops->want_data != NULL) {
        cmd->ops->want_data(cmd->arg, cmd);
    }
    return false; /* link_stream_write() has kicked when it is complete */
}

static void start(struct link *link, struct upcmd *cmd)
{
    list_remove(&link->queue, cmd);
    if (!is_internal(cmd) && !outcmd_ok(&cmd->parts)) {
        upcmd_finish(cmd, SYNTAX, NULL, false);
        return;
    }
    if (!is_internal(cmd)) {
        upcmd__build(cmd);
    }
    list_append(&link->flight, cmd);
    cmd->stage = UPCMD_WRITING;
    link->current = cmd;
    if ((cmd->flags & UPCMD_ALONE) != 0) {
        link->alone = cmd;
    }
    stats_add(link->env.stats, STAT_upstream_commands, 1);
    link__watch(link);
}

/* Would answers be taken for those of a command in flight? */
static bool is_ambiguous(const struct link *link, const struct upcmd *cmd)
{
    unsigned flags = 0, pair = link->has_told_esearch ? 0 : UPCMD_SEARCH_LINES | UPCMD_RETURNS;
    for (const struct upcmd *other = link->flight.head; other != NULL; other = other->next) {
        flags |= other->flags;
    }
    return (cmd->flags & flags & UPCMD_KINDS) != 0 ||
           ((cmd->flags & pair) != 0 && (flags & pair & ~cmd->flags) != 0);
}

/* After a long silence a NOOP goes before: its answer is due at once if there is still somebody, that
 * of a command may take its time. */
static bool must_ask(const struct link *link, const struct upcmd *cmd)
{
    uint32_t within = (cmd->flags & UPCMD_ONCE) != 0 ? LINK__SURE_MS : LINK__STALE_MS;
    return link->state == LINK_READY && link->flight.n == 0 && !link->is_asked &&
           !idle__was_heard(link, within);
}

/* What must not be given twice is not sent into the dark: DONE or NOOP is answered first. */
static bool is_held(const struct link *link, const struct upcmd *cmd)
{
    return (cmd->flags & UPCMD_ONCE) != 0 && !idle__was_heard(link, LINK__SURE_MS);
}

/* Has the server enough to do?  What is in the queue can still be taken back. */
static bool is_full(const struct link *link)
{
    size_t n = 0;
    for (const struct upcmd *cmd = link->flight.head; cmd != NULL; cmd = cmd->next) {
        n += cmd->ops == NULL && !is_internal(cmd);
    }
    return n >= LINK_DETACHED_MAX || link->flight.n >= LINK_FLIGHT_MAX;
}

/* Take the next command out of the queue; false when none may go. */
static bool start_next(struct link *link)
{
    struct upcmd *cmd = link->queue.head;
    if (cmd == NULL || link->alone != NULL) {
        return false;
    }
    if ((cmd->flags & UPCMD_ALONE) != 0 && link->flight.n > 0) {
        return false;
    }
    if (!is_internal(cmd) && must_ask(link, cmd)) {
        idle__ask(link);
        return true;
    }
    if (!is_internal(cmd) &&
        (is_ambiguous(link, cmd) || is_full(link) || !may_send(link, cmd) ||
         is_held(link, cmd) || !fill(cmd))) {
        return false;
    }
    if (!conn_has_room(link->conn)) {
        return false; /* DRAINED will come */
    }
    start(link, cmd);
    return true;
}

static size_t next_stop(const struct upcmd *cmd)
{
    return cmd->stop_at < cmd->stops_n ? cmd->stops[cmd->stop_at] : cmd->wire.len;
}

/* Write what the stage and the room allow; true when the command has been sent whole. */
static bool write_current(struct link *link)
{
    struct upcmd *cmd = link->current;
    if (cmd->stage != UPCMD_WRITING) {
        return false;
    }
    size_t stop = next_stop(cmd);
    while (cmd->wire_pos < stop) {
        if (!conn_has_room(link->conn)) {
            return false;
        }
        size_t n = stop - cmd->wire_pos < WRITE_CHUNK ? stop - cmd->wire_pos : WRITE_CHUNK;
        conn_write(link->conn, slice_sub(buf_slice(&cmd->wire), cmd->wire_pos, n));
        cmd->wire_pos += n;
    }
    if (cmd->stop_at < cmd->stops_n) {
        cmd->stage = UPCMD_AWAIT_GO;
        return false;
    }
    cmd->stage = UPCMD_SENT;
    link->current = NULL;
    if (cmd->is_answered) {
        link->alone = link->alone == cmd ? NULL : link->alone;
        list_remove(&link->flight, cmd);
        upcmd__destroy(cmd);
    }
    return true;
}

void pipeline__pump(void *arg)
{
    struct link *link = arg;
    bool goes_on = true;
    while (goes_on && !link__is_over(link)) {
        goes_on = link->current != NULL ? write_current(link) : start_next(link);
    }
    if (!link__is_over(link)) {
        idle__consider(link);
    }
}

/* --- streamed literals and "+" -----------------------------------------------------------------
 */

static void want_data(struct upcmd *cmd)
{
    if (cmd->stage == UPCMD_STREAMING && cmd->ops != NULL && cmd->ops->want_data != NULL) {
        cmd->ops->want_data(cmd->arg, cmd);
    }
}

void pipeline__go_ahead(struct link *link, const struct response *r)
{
    struct upcmd *cmd = link->current;
    if (cmd == NULL || cmd->stage != UPCMD_AWAIT_GO) {
        LOG(LOG_DEBUG, "link", "msg=\"continuation for nobody\" peer=%s text=%s", link->peer,
            LOG_Q(r->text));
        return;
    }
    bool is_stream =
        cmd->stop_at == cmd->stream_stop && (cmd->stream_left > 0 || is_open(cmd));
    cmd->stop_at++;
    cmd->stage = is_stream ? UPCMD_STREAMING : UPCMD_WRITING;
    pipeline__kick(link);
    want_data(cmd);
}

void pipeline__drained(struct link *link)
{
    pipeline__kick(link);
    if (link->current != NULL) {
        want_data(link->current);
    }
}

static size_t stream_to_conn(struct upcmd *cmd, struct slice bytes)
{
    size_t taken = 0;
    while (taken < bytes.len && conn_has_room(cmd->link->conn)) {
        struct slice piece = slice_sub(bytes, taken, WRITE_CHUNK);
        conn_write(cmd->link->conn, piece);
        taken += piece.len;
    }
    return taken;
}

size_t link_stream_write(struct upcmd *cmd, struct slice bytes)
{
    struct link *link = cmd->link;
    size_t taken = 0;
    if (bytes.len > cmd->stream_left) {
        bytes.len = (size_t)cmd->stream_left;
    }
    if (link__is_over(link)) {
        return 0;
    }
    if (cmd->stage == UPCMD_FILLING) {
        buf_add(&cmd->filled, bytes);
        taken = bytes.len;
    } else if (cmd->stage == UPCMD_STREAMING) {
        taken = stream_to_conn(cmd, bytes);
    }
    cmd->stream_left -= taken;
    if (taken > 0 && cmd->stream_left == 0 && !is_open(cmd)) {
        cmd->stage = cmd->stage == UPCMD_STREAMING ? UPCMD_WRITING : cmd->stage;
        pipeline__kick(link);
    }
    return taken;
}

static void go_on(struct upcmd *cmd)
{
    cmd->stage = UPCMD_WRITING;
    pipeline__kick(cmd->link);
}

bool link_stream_more(struct upcmd *cmd, struct outcmd *more)
{
    CHECK(is_open(cmd) && cmd->stage == UPCMD_STREAMING && cmd->stream_left == 0);
    if (!outcmd_ok(more)) {
        return false;
    }
    outcmd_fini(&cmd->parts);
    cmd->parts = *more;
    outcmd_init(more);
    cmd->stream_left = parts_stream_bytes(&cmd->parts);
    upcmd__build_more(cmd);
    go_on(cmd);
    return true;
}

void link_stream_end(struct upcmd *cmd)
{
    CHECK(is_open(cmd) && cmd->stage == UPCMD_STREAMING && cmd->stream_left == 0);
    cmd->flags &= ~(unsigned)UPCMD_OPEN;
    buf_reset(&cmd->wire);
    cmd->wire_pos = cmd->stops_n = cmd->stop_at = 0;
    buf_add_str(&cmd->wire, "\r\n");
    go_on(cmd);
}

/* --- responses ---------------------------------------------------------------------------------
 */

static bool tag_parse(struct slice tag, uint32_t *number_out)
{
    return tag.len > 1 && tag.data[0] == 'A' &&
           slice_u32(slice_sub(tag, 1, tag.len - 1), number_out);
}

static enum status cond_status(enum response_cond cond)
{
    return cond == COND_OK ? OK : cond == COND_NO ? DENIED : PROTOCOL;
}

/* The rest is a literal that the server swallows (RFC 7888 4), as it does not know that we know. */
static void write_the_rest(struct upcmd *cmd, const struct response *r)
{
    const struct upcmd_ops *ops = cmd->ops;
    cmd->is_answered = true;
    cmd->ops = NULL;
    if (ops != NULL && ops->done != NULL) {
        ops->done(cmd->arg, cond_status(r->cond), r, false);
    }
}

/* NO or BAD before the command was complete.  Where the server waits for us to go on after "+" it
 * has not got our literal and never will; where all that is left goes without "+" it is written;
 * anywhere else the rest of the command would be taken for a command. */
static void answered_early(struct link *link, struct upcmd *cmd, const struct response *r)
{
    bool is_clean = cmd->stage == UPCMD_AWAIT_GO;
    if (r->cond == COND_OK) {
        link__lose(link, PROTOCOL, NULL, "OK to a command that was not complete");
        return;
    }
    if (cmd->stage == UPCMD_WRITING && cmd->stop_at == cmd->stops_n && cmd->stops_n == 0 &&
        !cmd->is_answered) {
        write_the_rest(cmd, r);
        return;
    }
    list_remove(&link->flight, cmd);
    upcmd_finish(cmd, cond_status(r->cond), r, false);
    if (!is_clean) {
        link__lose(link, PROTOCOL, NULL, "a reply in the middle of a command");
    }
}

static struct upcmd *find_in_flight(struct link *link, uint32_t tag)
{
    struct upcmd *cmd = link->flight.head;
    while (cmd != NULL && cmd->tag != tag) {
        cmd = cmd->next;
    }
    return cmd;
}

void pipeline__tagged(struct link *link, const struct response *r)
{
    uint32_t tag = 0;
    bool is_ours = tag_parse(r->tag, &tag);
    if (is_ours && tag == link->idle_tag && link->state >= LINK_IDLE_ASKED) {
        idle__tagged(link, r);
        return;
    }
    struct upcmd *cmd = is_ours ? find_in_flight(link, tag) : NULL;
    if (cmd == NULL) {
        LOG(LOG_WARN, "link", "msg=\"unknown tag\" peer=%s tag=%s", link->peer, LOG_Q(r->tag));
        link__lose(link, PROTOCOL, NULL, "a reply to no command of ours");
        return;
    }
    if (cmd->stage != UPCMD_SENT) {
        answered_early(link, cmd, r);
    } else {
        if (r->cond == COND_OK) {
            link->last_tagged_ms = evloop_now_ms(link->env.loop);
        }
        list_remove(&link->flight, cmd);
        upcmd_finish(cmd, cond_status(r->cond), r, true);
    }
    pipeline__kick(link);
}

void pipeline__untagged(struct link *link, const struct response *r)
{
    struct upcmd *only = link->literal_owner;
    link->ops->untagged(link->owner, link, r);
    if (link__is_over(link)) {
        return;
    }
    if (link->has_streamed) {
        /* @only is still there unless it has been detached by the owner just now. */
        if (only != NULL && link->literal_owner == only && only->ops->untagged != NULL) {
            (void)only->ops->untagged(only->arg, r);
        }
        return;
    }
    for (struct upcmd *cmd = link->flight.head; cmd != NULL; cmd = cmd->next) {
        bool is_asked = cmd->ops != NULL && cmd->ops->untagged != NULL;
        if (is_asked && cmd->ops->untagged(cmd->arg, r)) {
            return;
        }
        if (link__is_over(link)) {
            return;
        }
    }
}

bool pipeline__has_detached(const struct link *link)
{
    const struct upcmd *cmd = link->flight.head;
    while (cmd != NULL && (cmd->ops != NULL || is_internal(cmd))) {
        cmd = cmd->next;
    }
    return cmd != NULL;
}

struct upcmd *pipeline__claim(struct link *link, struct unit text, uint64_t size)
{
    struct upcmd *only = link->literal_owner;
    for (struct upcmd *cmd = link->flight.head; cmd != NULL; cmd = cmd->next) {
        bool is_asked = cmd->ops != NULL && cmd->ops->literal != NULL;
        if (is_asked && (only == NULL || cmd == only) && cmd->ops->literal(cmd->arg, text, size)) {
            return cmd->ops != NULL ? cmd : NULL;
        }
        if (link__is_over(link)) {
            return NULL;
        }
    }
    return NULL;
}
