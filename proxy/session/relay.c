/* Commands that need no mailbox selected and are answered by the upstream: parsed, written anew,
 * sent over any link; its data goes to the client as it comes, its tagged reply sanitised. */
#include "base/log.h"
#include "write_p.h"

struct kind_row {
    enum response_kind kind;
    const char *name;
};

/* Which untagged data answers which command; the first kind ends the row. */
static const struct kind_row kinds[CMD_N][4] = {
    [CMD_GETQUOTA] = {{RESPONSE_QUOTA, "QUOTA"}},
    [CMD_SETQUOTA] = {{RESPONSE_QUOTA, "QUOTA"}},
    [CMD_GETQUOTAROOT] = {{RESPONSE_QUOTA, "QUOTA"}, {RESPONSE_QUOTAROOT, "QUOTAROOT"}},
    [CMD_GETACL] = {{RESPONSE_ACL, "ACL"}},
    [CMD_MYRIGHTS] = {{RESPONSE_MYRIGHTS, "MYRIGHTS"}},
    [CMD_LISTRIGHTS] = {{RESPONSE_LISTRIGHTS, "LISTRIGHTS"}},
    [CMD_GETMETADATA] = {{RESPONSE_METADATA, "METADATA"}},
};

static bool on_untagged(void *arg, const struct response *response)
{
    struct write *write = arg;
    struct session *session = write->session;
    const struct kind_row *row = kinds[write->job->parsed.info->id];
    for (; row->name != NULL; row++) {
        if (row->kind == response->kind && !emit_may_relay(response->data.text)) {
            LOG(LOG_WARN, "session", "msg=\"not relayed\" line=%s", LOG_Q(response->data.text));
            return true;
        }
        if (row->kind == response->kind && response->data.holes_n == 0) {
            session_write(session, SLICE("* "));
            session_write(session, slice_str(row->name));
            session_write(session, SLICE(" "));
            session_write(session, response->data.text);
            session_write(session, SLICE("\r\n"));
            write->has_told = true;
            return true;
        }
    }
    return false;
}

static const struct upcmd_ops relay_ops = {
    .flags = UPCMD_LISTS, .untagged = on_untagged, .done = write_done};
static const struct upcmd_ops once_ops = {
    .flags = UPCMD_LISTS | UPCMD_ONCE, .untagged = on_untagged, .done = write_done};

/* CREATE, DELETE, RENAME: given twice they would be answered otherwise. */
static bool is_once(const struct command_info *info)
{
    return (info->flags & COMMAND_CHANGES_LIST) != 0 && info->id != CMD_SUBSCRIBE &&
           info->id != CMD_UNSUBSCRIBE;
}

/* --- writing the command ------------------------------------------------------------------------ */

static void add_words(struct outcmd *cmd, const struct slice *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        outcmd_str(cmd, i > 0 ? " " : "");
        outcmd_token(cmd, words[i]);
    }
}

static void write_create(struct outcmd *cmd, const struct args_create *args)
{
    outcmd_mailbox(cmd, args->mailbox);
    if (args->uses_n > 0) {
        outcmd_str(cmd, " (USE (");
        add_words(cmd, args->uses, args->uses_n);
        outcmd_str(cmd, "))");
    }
}

static void write_quota(struct outcmd *cmd, const struct args_quota *args)
{
    outcmd_string(cmd, args->root);
    outcmd_str(cmd, " (");
    for (size_t i = 0; i < args->n; i++) {
        outcmd_str(cmd, i > 0 ? " " : "");
        outcmd_token(cmd, args->resources[i]);
        outcmd_str(cmd, " ");
        outcmd_u64(cmd, args->limits[i]);
    }
    outcmd_str(cmd, ")");
}

static void write_acl(struct outcmd *cmd, const struct args_acl *args, bool has_rights)
{
    outcmd_mailbox(cmd, args->mailbox);
    outcmd_str(cmd, " ");
    outcmd_string(cmd, args->identifier);
    if (has_rights) {
        outcmd_str(cmd, " ");
        outcmd_string(cmd, args->rights);
    }
}

static void write_getmetadata(struct outcmd *cmd, const struct args_metadata *args)
{
    if (args->has_maxsize || args->depth.len > 0) {
        outcmd_str(cmd, "(");
        if (args->has_maxsize) {
            outcmd_str(cmd, "MAXSIZE ");
            outcmd_u64(cmd, args->maxsize);
        }
        if (args->depth.len > 0) {
            outcmd_str(cmd, args->has_maxsize ? " DEPTH " : "DEPTH ");
            outcmd_token(cmd, args->depth);
        }
        outcmd_str(cmd, ") ");
    }
    outcmd_mailbox(cmd, args->mailbox);
    outcmd_str(cmd, " (");
    for (size_t i = 0; i < args->n; i++) {
        outcmd_str(cmd, i > 0 ? " " : "");
        outcmd_string(cmd, args->entries[i]);
    }
    outcmd_str(cmd, ")");
}

static void write_setmetadata(struct outcmd *cmd, const struct args_metadata *args)
{
    outcmd_mailbox(cmd, args->mailbox);
    outcmd_str(cmd, " (");
    for (size_t i = 0; i < args->n; i++) {
        outcmd_str(cmd, i > 0 ? " " : "");
        outcmd_string(cmd, args->entries[i]);
        outcmd_str(cmd, " ");
        if (args->values[i].data == NULL) {
            outcmd_str(cmd, "NIL");
        } else {
            outcmd_string(cmd, args->values[i]);
        }
    }
    outcmd_str(cmd, ")");
}

static void write_rename(struct outcmd *cmd, const struct args_rename *args)
{
    outcmd_mailbox(cmd, args->from);
    outcmd_str(cmd, " ");
    outcmd_mailbox(cmd, args->to);
}

static void write_args(struct outcmd *cmd, const struct command *parsed)
{
    enum command_id id = parsed->info->id;
    if (id == CMD_CREATE) {
        write_create(cmd, &parsed->args.create);
    } else if (id == CMD_RENAME) {
        write_rename(cmd, &parsed->args.rename);
    } else if (id == CMD_SETQUOTA) {
        write_quota(cmd, &parsed->args.quota);
    } else if (id == CMD_SETACL || id == CMD_DELETEACL || id == CMD_LISTRIGHTS) {
        write_acl(cmd, &parsed->args.acl, id == CMD_SETACL);
    } else if (id == CMD_GETMETADATA) {
        write_getmetadata(cmd, &parsed->args.metadata);
    } else if (id == CMD_SETMETADATA) {
        write_setmetadata(cmd, &parsed->args.metadata);
    } else if (id == CMD_GETQUOTA) {
        outcmd_string(cmd, parsed->args.name);
    } else {
        outcmd_mailbox(cmd, parsed->args.name);
    }
}

/* --- running it --------------------------------------------------------------------------------- */

/* Whether the upstream has what the command belongs to; it is not offered otherwise. */
static bool is_offered(const struct session *session, enum command_id id)
{
    const struct capabilities *caps = account_capabilities(session->account);
    if (id == CMD_GETQUOTA || id == CMD_GETQUOTAROOT || id == CMD_SETQUOTA) {
        return capability_is_offered(caps, CAP_QUOTA);
    }
    if (id == CMD_GETACL || id == CMD_SETACL || id == CMD_DELETEACL || id == CMD_LISTRIGHTS ||
        id == CMD_MYRIGHTS) {
        return capability_is_offered(caps, CAP_ACL);
    }
    if (id == CMD_GETMETADATA || id == CMD_SETMETADATA) {
        return capability_is_offered(caps, CAP_METADATA) ||
               capability_is_offered(caps, CAP_METADATA_SERVER);
    }
    return true;
}

static struct name_change change_of(const struct command *parsed)
{
    enum command_id id = parsed->info->id;
    if (id == CMD_CREATE) {
        return (struct name_change){.verb = NAME_CREATE, .name = parsed->args.create.mailbox};
    }
    if (id == CMD_RENAME) {
        return (struct name_change){.verb = NAME_RENAME,
                                    .name = parsed->args.rename.from,
                                    .to = parsed->args.rename.to};
    }
    if (id == CMD_DELETE) {
        return (struct name_change){.verb = NAME_DELETE, .name = parsed->args.name};
    }
    return (struct name_change){.verb = NAME_UNTOUCHED};
}

/* The job may be gone after this: its session, too, may have been in such a mailbox. */
static void take_names(struct session *session, struct job *job)
{
    struct account *account = session->account;
    struct write *write = job->work;
    struct name_change change = change_of(&job->parsed);
    struct buf name, to;
    write->is_taken = true;
    if (write->status != OK || change.verb == NAME_UNTOUCHED) {
        return;
    }
    buf_init(&name, 0);
    buf_init(&to, 0);
    buf_add(&name, change.name);
    buf_add(&to, change.to);
    change.name = buf_slice(&name);
    change.to = buf_slice(&to);
    account_names_changed(account, &change);
    buf_fini(&name);
    buf_fini(&to);
}

static enum step send_relay(struct session *session, struct job *job)
{
    struct write *write = job->work;
    const struct command *parsed = &job->parsed;
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, parsed->info->name);
    outcmd_str(&cmd, " ");
    write_args(&cmd, parsed);
    if (!outcmd_ok(&cmd)) {
        outcmd_fini(&cmd);
        job_finish_str(session, job, "BAD Invalid argument");
        return STEP_DONE;
    }
    write_fini(write);
    write_send(write, ROUTE_ANY, NULL, &cmd, is_once(parsed->info) ? &once_ops : &relay_ops);
    return STEP_WAIT;
}

static enum step start_relay(struct session *session, struct job *job)
{
    struct write *write = job->work;
    if (!is_offered(session, job->parsed.info->id)) {
        job_finish_str(session, job, "BAD Unknown command");
        return STEP_DONE;
    }
    write->session = session;
    write->job = job;
    const struct name_change change = change_of(&job->parsed);
    account_names_leaving(session->account, &change);
    return send_relay(session, job);
}

static enum step run_relay(struct session *session, struct job *job)
{
    struct write *write = job->work;
    const struct command_info *info = job->parsed.info;
    if (write->session == NULL) {
        return start_relay(session, job);
    }
    if (!write->is_done) {
        return STEP_WAIT;
    }
    bool once = is_once(info);
    if (once && write_is_lost(write)) {
        return STEP_CLOSE; /* as for any session that goes: cancel_relay() */
    }
    if (!once && write_may_repeat(write)) {
        return send_relay(session, job);
    }
    write_finish(write);
    write_fini(write);
    take_names(session, job);
    return session->state == SESSION_CLOSING ? STEP_CLOSE : STEP_DONE;
}

static void cancel_relay(struct session *session, struct job *job)
{
    struct write *write = job->work;
    const struct name_change change = change_of(&job->parsed);
    bool is_unsure = !write->has_answer && write->was_sent;
    if (write->is_done && !write->is_taken && (is_unsure || write->status == OK)) {
        account_names_left(session->account, &change, write->status == OK);
    }
    write_leave(write, &change);
}

const struct verb verb_relay = {
    .work_size = sizeof(struct write), .run = run_relay, .cancel = cancel_relay};
