/* Bytes of the server to responses, responses to whoever they concern.
 *
 *   conn input -> reader -> LINE     -> "+"      idle.c or the command that waits for it
 *                                    -> tagged   the command of that tag
 *                                    -> "*"      login.c before READY; else the owner, then
 * commands
 *                        -> LITERAL  -> claimed: streamed to the claimer; else collected
 *
 * A response with a literal that somebody streamed is the owner's and the claimer's alone: for any
 * other command it has a hole.  Every callback may close the link: look before going on. */
#include "base/log.h"
#include "link_p.h"
#include "pipeline_p.h"

static void read_untagged(struct link *link, const struct response *r)
{
    if (r->kind == RESPONSE_STATE && r->cond == COND_BYE) {
        link__lose(link, END, r, "the server said BYE");
    } else if (link->state == LINK_GREETING) {
        login__greeting(link, r);
    } else if (link->state < LINK_READY || r->kind == RESPONSE_ID || r->kind == RESPONSE_ENABLED) {
        login__untagged(link, r);
    } else {
        link->has_told_esearch = link->has_told_esearch || r->kind == RESPONSE_ESEARCH;
        pipeline__untagged(link, r);
    }
}

/* Before the response itself, which may be the last thing the link hears. */
static void look_for_throttle(struct link *link, const struct response *r)
{
    bool is_state = r->kind == RESPONSE_TAGGED || r->kind == RESPONSE_STATE;
    if (!is_state || (r->cond == COND_OK && r->code != CODE_THROTTLED) ||
        link->ops->throttled == NULL) {
        return;
    }
    const struct throttle throttle = throttle_of(r);
    if (throttle.kind != THROTTLE_NONE) {
        link->ops->throttled(link->owner, link, &throttle);
    }
}

static void read_response(struct link *link, const struct response *r)
{
    look_for_throttle(link, r);
    if (r->kind == RESPONSE_TAGGED) {
        pipeline__tagged(link, r);
    } else if (r->kind != RESPONSE_CONTINUE) {
        read_untagged(link, r);
    } else if (link->state == LINK_IDLE_ASKED) {
        idle__accepted(link);
    } else if (link->state == LINK_LOGIN &&
               (link->current == NULL || link->current->stage != UPCMD_AWAIT_GO)) {
        login__challenge(link, r);
    } else {
        pipeline__go_ahead(link, r);
    }
}

static void read_line(struct link *link)
{
    struct response r;
    struct unit unit = reader_unit(&link->reader);
    if (unit.text.len == 0) {
        return;
    }
    if (response_parse(unit, &r) != OK) {
        /* What it would have told is not known: the link is no longer believed. */
        LOG(LOG_WARN, "link", "msg=\"cannot parse\" peer=%s line=%s", link->peer, LOG_Q(unit.text));
        link__lose(link, PROTOCOL, NULL, "a response that does not parse");
        return;
    }
    read_response(link, &r);
}

static void read_literal(struct link *link)
{
    struct reader *reader = &link->reader;
    uint64_t size = reader->literal.size;
    bool is_up = link->state >= LINK_READY;
    struct upcmd *claimer = NULL;
    if (is_up && (!link->has_streamed || link->literal_owner != NULL)) {
        claimer = pipeline__claim(link, reader_unit(reader), size);
        if (link__is_over(link)) {
            return;
        }
    }
    bool is_left = is_up && pipeline__has_detached(link) && size > LINK_COLLECT_MAX;
    if (claimer != NULL) {
        link->literal_owner = claimer;
        link->has_streamed = true;
        reader_stream(reader);
    } else if (is_left) {
        link->has_streamed = true; /* a hole, for everybody */
        reader_skip(reader);
    } else if (size <= (is_up ? (uint64_t)LINK_COLLECT_MAX : LINK__LOGIN_LITERAL_MAX)) {
        reader_collect(reader);
    } else if (link->has_streamed) {
        reader_skip(reader); /* whoever wanted this response is gone */
    } else {
        link__lose(link, PROTOCOL, NULL, "a literal of %llu octets that nobody asked for",
                   (unsigned long long)size);
    }
}

static void read_literal_data(struct link *link, bool is_end)
{
    struct upcmd *cmd = link->literal_owner;
    if (cmd == NULL) {
        return; /* detached meanwhile */
    }
    if (is_end && cmd->ops->literal_end != NULL) {
        cmd->ops->literal_end(cmd->arg);
    } else if (!is_end && cmd->ops->literal_data != NULL) {
        cmd->ops->literal_data(cmd->arg, link->reader.data);
    }
}

static void read_event(struct link *link, enum reader_event event)
{
    switch (event) {
    case READER_MORE:
        break;
    case READER_LITERAL:
        read_literal(link);
        break;
    case READER_LITERAL_DATA:
        read_literal_data(link, false);
        break;
    case READER_LITERAL_END:
        read_literal_data(link, true);
        break;
    case READER_LINE:
        read_line(link);
        link->literal_owner = NULL;
        link->has_streamed = false;
        break;
    case READER_LIMIT:
        link__lose(link, PROTOCOL, NULL, "a response too large (limit %d)",
                   (int)link->reader.limit);
        break;
    }
}

void link__read(struct link *link)
{
    while (!link->is_paused && link->state != LINK_TLS && !link__is_over(link)) {
        struct slice in = conn_input(link->conn);
        if (in.len == 0) {
            return;
        }
        size_t used = 0;
        enum reader_event event = reader_feed(&link->reader, in, &used);
        bool borrows = event == READER_LITERAL_DATA;
        if (!borrows) {
            /* First, so that STARTTLS sees whether anything was sent behind its OK. */
            conn_consume(link->conn, used);
        }
        read_event(link, event);
        if (link__is_over(link)) {
            return; /* the reader's text stays: the refusal is in it */
        }
        if (borrows) {
            conn_consume(link->conn, used);
        }
        if (event == READER_LINE) {
            reader_next(&link->reader);
        }
    }
}
