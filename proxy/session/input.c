/* Bytes of the client into jobs.  Reading stops while the queue is full, so that a client cannot
 * pile up work; the literal of an APPEND is handed to its job as fast as that can pass it on. */
#include <utlist.h>

#include "base/alloc.h"
#include "base/log.h"
#include "session_p.h"

enum {
    QUEUE_BYTES = 1024 * 1024, /* of parsed commands; then reading waits */
    KEPT_MESSAGE_MAX = 64 * 1024, /* of an APPEND that is not streamed; a command may hold it */
    KEPT_SYNC_MESSAGE_MAX = 4096,
};

static const struct verb *const verbs[CMD_N] = {
    [CMD_CAPABILITY] = &verb_capability, [CMD_NOOP] = &verb_noop,
    [CMD_LOGOUT] = &verb_logout,         [CMD_ID] = &verb_id,
    [CMD_STARTTLS] = &verb_starttls,     [CMD_AUTHENTICATE] = &verb_authenticate,
    [CMD_LOGIN] = &verb_login,           [CMD_COMPRESS] = &verb_refused,
    [CMD_ENABLE] = &verb_enable,         [CMD_SELECT] = &verb_select,
    [CMD_EXAMINE] = &verb_select,        [CMD_CREATE] = &verb_relay,
    [CMD_DELETE] = &verb_relay,          [CMD_RENAME] = &verb_relay,
    [CMD_SUBSCRIBE] = &verb_relay,       [CMD_UNSUBSCRIBE] = &verb_relay,
    [CMD_LIST] = &verb_list,             [CMD_LSUB] = &verb_list,
    [CMD_NAMESPACE] = &verb_namespace,   [CMD_STATUS] = &verb_status,
    [CMD_APPEND] = &verb_append,         [CMD_IDLE] = &verb_idle,
    [CMD_GETQUOTA] = &verb_relay,        [CMD_GETQUOTAROOT] = &verb_relay,
    [CMD_SETQUOTA] = &verb_relay,        [CMD_GETACL] = &verb_relay,
    [CMD_SETACL] = &verb_relay,          [CMD_DELETEACL] = &verb_relay,
    [CMD_LISTRIGHTS] = &verb_relay,      [CMD_MYRIGHTS] = &verb_relay,
    [CMD_GETMETADATA] = &verb_relay,     [CMD_SETMETADATA] = &verb_relay,
    [CMD_CHECK] = &verb_check,           [CMD_CLOSE] = &verb_close,
    [CMD_UNSELECT] = &verb_unselect,     [CMD_EXPUNGE] = &verb_expunge,
    [CMD_SEARCH] = &verb_search,         [CMD_SORT] = &verb_sort,
    [CMD_THREAD] = &verb_thread,         [CMD_FETCH] = &verb_fetch,
    [CMD_STORE] = &verb_store,           [CMD_COPY] = &verb_copy,
    [CMD_MOVE] = &verb_move,
};

const struct verb *verb_find(enum command_id id)
{
    return verbs[id];
}

static struct job *new_job(void)
{
    struct job *job = alloc_zero(sizeof(*job));
    arena_init(&job->arena, JOB_ARENA_MAX);
    return job;
}

/* What the job keeps of the unit: the reader's text goes with the next one. */
static struct unit copy_unit(struct job *job, struct unit unit)
{
    struct unit copy = {.text = arena_copy(&job->arena, unit.text)};
    struct unit_hole *holes = arena_array(&job->arena, unit.holes_n, sizeof(*holes));
    for (size_t i = 0; holes != NULL && i < unit.holes_n; i++) {
        holes[i] = unit.holes[i];
        copy.holes_n = i + 1;
    }
    copy.holes = holes;
    return copy;
}

bool input__blocks(const struct job *job)
{
    const struct command_info *info = job->parsed.info;
    return info != NULL && (info->id == CMD_IDLE || info->id == CMD_AUTHENTICATE ||
                            info->id == CMD_STARTTLS);
}

static void queue(struct session *session, struct job *job)
{
    job->verb = job->parsed.info != NULL ? verb_find(job->parsed.info->id) : NULL;
    session->blocks_input = session->blocks_input || input__blocks(job);
    DL_APPEND(session->jobs, job);
    session->jobs_n++;
    job->queued_bytes = job->arena.used_bytes;
    session->jobs_bytes += job->queued_bytes;
}

static void take_command(struct session *session, struct unit unit)
{
    struct job *job = new_job();
    struct unit copy = copy_unit(job, unit);
    job->parse_status =
        job->arena.failed ? LIMIT : command_parse(copy, &job->arena, &job->parsed);
    queue(session, job);
}

static void take_line(struct session *session)
{
    struct unit unit = reader_unit(&session->reader);
    if (session->input_job != NULL && session->input_ops->line != NULL) {
        session->input_ops->line(session, session->input_job, unit.text);
    } else if (unit.text.len > 0) {
        take_command(session, unit);
    }
    if (session->state != SESSION_CLOSING) {
        reader_next(&session->reader);
    }
}

/* A literal is kept with its command; one that is too long is not asked for, LIMIT follows.  "+"
 * goes out when what was asked before has been answered: in the middle of a FETCH it would stand in
 * the octets of a mail. */
static void collect_literal(struct session *session)
{
    bool is_sync = session->reader.literal.is_sync;
    session->owes_go = reader_collect(&session->reader) && is_sync;
}

/* False: the literal is not asked for yet. */
static bool pay_go(struct session *session)
{
    if (session->owes_go && session->jobs == NULL) {
        session->owes_go = false;
        session_write(session, SLICE("+ OK\r\n"));
    }
    return !session->owes_go;
}

/* The end of an APPEND's unit: what stands after its literal must be nothing. */
static void take_append_end(struct session *session)
{
    struct job *job = session->append_job;
    struct command again;
    session->append_job = NULL;
    if (command_parse(reader_unit(&session->reader), &job->arena, &again) != OK) {
        job->parse_status = SYNTAX;
    }
    reader_next(&session->reader);
    session->input_ops->data_end(session, job);
}

/* A literal that nobody wants: a synchronising one is not asked for, another is swallowed. */
static void refuse_literal(struct session *session)
{
    if (session->reader.literal.is_sync) {
        reader_refuse(&session->reader);
    } else {
        reader_skip(&session->reader);
        session->skips_unit = true;
    }
}

void input__drop_append(struct session *session)
{
    session->append_job = NULL;
    refuse_literal(session);
}

/* Behind the message of an APPEND something came that may not be there. */
static void spoil_append(struct session *session)
{
    struct job *job = session->append_job;
    session->append_job = NULL;
    job->parse_status = SYNTAX;
    session->input_ops->data_end(session, job);
}

/* A small message is kept with its command where the client does not wait for a "+"; a very small one
 * also where it does, but only when the upstream would get it unasked as well: no early NO is lost. */
static bool may_keep_message(const struct session *session, const struct job *job)
{
    const struct reader_literal *literal = &session->reader.literal;
    const struct capabilities *caps = account_capabilities(session->account);
    size_t so_far = reader_unit(&session->reader).text.len;
    bool is_free = capability_has(caps, CAP_LITERAL_PLUS) || capability_has(caps, CAP_LITERAL_MINUS);
    size_t half = session->settings->limits.command_bytes / 2; /* the command has to hold it */
    size_t room = half < KEPT_MESSAGE_MAX ? half : KEPT_MESSAGE_MAX;
    size_t most = !literal->is_sync ? room : is_free ? KEPT_SYNC_MESSAGE_MAX : 0;
    const struct args_append *args = &job->parsed.args.append;
    if (args->n > 1 && !capability_is_offered(caps, CAP_MULTIAPPEND)) {
        return false;
    }
    return literal->size > 0 && literal->size <= most && so_far + literal->size <= room;
}

static void free_new_job(struct job *job)
{
    arena_reset(&job->arena);
    alloc_free(job);
}

static void take_append(struct session *session)
{
    struct job *job = new_job();
    struct unit copy = copy_unit(job, reader_unit(&session->reader));
    enum status st =
        job->arena.failed ? LIMIT : command_parse_append(copy, &job->arena, &job->parsed);
    if (st == AGAIN || (st == OK && may_keep_message(session, job))) {
        free_new_job(job); /* the mailbox's name, or parsed again with its literal */
        collect_literal(session);
        return;
    }
    job->parse_status = st;
    queue(session, job);
    if (st == OK) {
        session->append_job = job; /* the literal waits until the job asks for it */
    } else {
        refuse_literal(session);
    }
}

/* Behind a streamed message: another one, or something that may not be there.  False: that. */
static bool take_append_more(struct session *session)
{
    struct job *job = session->append_job;
    struct unit unit = reader_unit(&session->reader);
    bool is_offered = capability_is_offered(account_capabilities(session->account), CAP_MULTIAPPEND);
    if (!is_offered || unit.holes_n < 2) {
        return false;
    }
    struct unit_hole hole = unit.holes[unit.holes_n - 1];
    size_t from = unit.holes[unit.holes_n - 2].offset;
    struct slice text = arena_copy(&job->arena, slice_sub(unit.text, from, unit.text.len));
    struct unit rest = {.text = text, .base = from, .holes = &hole, .holes_n = 1};
    if (text.data == NULL || command_parse_append_more(rest, &job->arena, &job->parsed) != OK) {
        return false;
    }
    session->input_ops->more(session, job);
    return true;
}

/* It is not in a command: a job takes the lines itself (IDLE, AUTHENTICATE), and this one is wrong
 * whatever follows. */
static void take_stray_literal(struct session *session)
{
    if (session->append_job != NULL && take_append_more(session)) {
        return;
    }
    if (session->append_job != NULL) {
        spoil_append(session);
    } else {
        session->input_ops->line(session, session->input_job,
                                 reader_unit(&session->reader).text);
    }
    refuse_literal(session);
}

static void take_literal(struct session *session)
{
    struct command head = {0};
    if (session->append_job != NULL || session->input_job != NULL) {
        take_stray_literal(session);
        return;
    }
    const struct reader_literal *literal = &session->reader.literal;
    enum status st = command_parse_head(reader_unit(&session->reader), &head);
    bool is_append = st == OK && (head.info->flags & COMMAND_STREAMS) != 0;
    if (is_append && session->state != SESSION_NOT_AUTHENTICATED) {
        take_append(session);
        return;
    }
    if (literal->size <= session->settings->limits.literal_bytes && st == OK) {
        collect_literal(session);
        return;
    }
    struct job *job = new_job();
    job->parsed.tag = arena_copy(&job->arena, head.tag);
    job->parsed.info = head.info;
    job->parse_status = st == OK ? LIMIT : st;
    queue(session, job);
    refuse_literal(session);
}

static void take_limit(struct session *session)
{
    struct command head = {0};
    stats_add(session->env->stats, STAT_limits_input, 1);
    if (session->reader.limit == READER_LIMIT_FRAMING) {
        session_bye(session, "[LIMIT] Literal size too large");
        return;
    }
    if (session->skips_unit) {
        session->skips_unit = false; /* answered already */
        reader_next(&session->reader);
        return;
    }
    if (session->append_job != NULL) {
        spoil_append(session);
        reader_next(&session->reader);
        return;
    }
    if (session->input_job != NULL) {
        session->input_ops->line(session, session->input_job, SLICE(""));
        reader_next(&session->reader);
        return;
    }
    struct job *job = new_job();
    (void)!command_parse_head(reader_unit(&session->reader), &head);
    job->parsed.tag = arena_copy(&job->arena, head.tag);
    job->parsed.info = head.info;
    job->parse_status = LIMIT;
    queue(session, job);
    reader_next(&session->reader);
}

static void take(struct session *session, enum reader_event event)
{
    switch (event) {
    case READER_LINE:
        if (session->skips_unit) { /* was answered when its literal was announced */
            session->skips_unit = false;
            reader_next(&session->reader);
        } else if (session->append_job != NULL) {
            take_append_end(session);
        } else {
            take_line(session);
        }
        break;
    case READER_LITERAL:
        if (session->skips_unit && session->reader.literal.is_sync) {
            session->skips_unit = false; /* it will not come: nobody asks for it */
            reader_refuse(&session->reader);
        } else if (session->skips_unit) {
            reader_skip(&session->reader);
        } else {
            take_literal(session);
        }
        break;
    case READER_LITERAL_DATA:
        session->input_ops->data(session, session->append_job, session->reader.data);
        break;
    case READER_LIMIT:
        take_limit(session);
        break;
    case READER_LITERAL_END:
    case READER_MORE:
        break;
    }
}

/* How many octets may be looked at now; 0: reading waits. */
static size_t room(struct session *session)
{
    if (session->append_job != NULL) {
        return session->input_job == session->append_job
                   ? session->input_ops->room(session, session->append_job)
                   : 0;
    }
    if (session->input_job != NULL) {
        return SIZE_MAX;
    }
    if (!pay_go(session) || session->blocks_input || session->jobs_bytes >= QUEUE_BYTES ||
        session->jobs_n >= session->settings->limits.pipelined_commands) {
        return 0;
    }
    return SIZE_MAX;
}

/* Whether an APPEND is streamed depends on the login that is under way. */
static bool waits_for_login(const struct session *session)
{
    return session->state == SESSION_NOT_AUTHENTICATED && session->jobs != NULL &&
           session->input_job == NULL && !session->skips_unit;
}

static bool is_readable(const struct session *session)
{
    return session->state == SESSION_NOT_AUTHENTICATED ||
           session->state == SESSION_AUTHENTICATED || session->state == SESSION_SELECTED;
}

void input__read(struct session *session)
{
    size_t most;
    while (is_readable(session) && (most = room(session)) > 0) {
        struct slice in = slice_sub(conn_input(session->conn), 0, most);
        size_t used = 0;
        enum reader_event event = reader_feed(&session->reader, in, &used);
        if (event == READER_MORE && used == 0 && in.len == 0) {
            break;
        }
        if (event == READER_LITERAL && waits_for_login(session)) {
            conn_consume(session->conn, used);
            break;
        }
        take(session, event);
        if (session->state == SESSION_CLOSING) {
            return;
        }
        conn_consume(session->conn, used);
    }
    bool waits_for_client =
        session->jobs == NULL || session->input_job != NULL || session->append_job != NULL;
    if (is_readable(session) && session->is_ended && waits_for_client &&
        conn_input_bytes(session->conn) == 0) {
        session__hang_up(session);
    }
}
