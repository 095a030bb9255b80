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

static void names_leave(struct session *session, const struct command *parsed)
{
    if (parsed->info->id == CMD_DELETE) {
        account_name_leaving(session->account, parsed->args.name);
    } else if (parsed->info->id == CMD_RENAME) {
        account_name_leaving(session->account, parsed->args.rename.from);
    }
}

/* RENAME INBOX moves its messages and leaves it where it is (RFC 3501 6.3.5); on Dovecot a new one
 * takes its place, and whoever has the old one selected stays in that.  The job may be gone
 * after this: its session, too, may have been in that mailbox. */
static void names_changed(struct account *account, const struct command *parsed)
{
    struct buf to;
    buf_init(&to, 0);
    if (parsed->info->id == CMD_DELETE) {
        account_name_changed(account, parsed->args.name);
    } else if (parsed->info->id == CMD_CREATE) {
        account_name_changed(account, parsed->args.create.mailbox);
    } else if (parsed->info->id == CMD_RENAME) {
        buf_add(&to, parsed->args.rename.to);
        if (slice_eq(parsed->args.rename.from, SLICE("INBOX"))) {
            account_name_doubtful(account, parsed->args.rename.from);
        } else {
            account_name_changed(account, parsed->args.rename.from);
        }
        account_name_changed(account, buf_slice(&to));
    }
    buf_fini(&to);
}

/* Its outcome is not known. */
static void names_doubtful(struct account *account, const struct command *parsed)
{
    if (parsed->info->id == CMD_DELETE) {
        account_name_doubtful(account, parsed->args.name);
    } else if (parsed->info->id == CMD_CREATE) {
        account_name_doubtful(account, parsed->args.create.mailbox);
    } else if (parsed->info->id == CMD_RENAME) {
        account_name_doubtful(account, parsed->args.rename.to);
        account_name_doubtful(account, parsed->args.rename.from);
    }
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
    names_leave(session, &job->parsed);
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
    if (once && !write->has_answer && write->was_sent) {
        names_doubtful(session->account, &job->parsed); /* before the BYE, which frees the job */
    }
    if (once && write_is_lost(write)) {
        return STEP_CLOSE;
    }
    if (!once && write_may_repeat(write)) {
        return send_relay(session, job);
    }
    bool is_changed = write->status == OK;
    write_finish(write);
    write_fini(write);
    if (is_changed) {
        names_changed(session->account, &job->parsed);
    }
    return session->state == SESSION_CLOSING ? STEP_CLOSE : STEP_DONE;
}

const struct verb verb_relay = {
    .work_size = sizeof(struct write), .run = run_relay, .cancel = write_cancel};
