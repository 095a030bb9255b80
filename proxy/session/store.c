/* STORE and UID STORE (protocol T14): one UID STORE upstream, never silent, so that the model hears of
 * it; what this client is told follows its own .SILENT and CONDSTORE. */
#include "write_p.h"

struct store_work {
    struct write write; /* first: write_cancel() takes job->work for it */
    struct ranges uids;
    struct ranges modified; /* [MODIFIED]: UIDs */
    struct view_silent *silent;
    uint64_t modseq_before;
};

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct store_work *work = arg;
    if (tagged != NULL && tagged->code == CODE_MODIFIED &&
        respdata_modified(tagged, &work->modified) != OK) {
        ranges_reset(&work->modified);
    }
    write_done(&work->write, st, tagged, was_sent);
}

static const struct upcmd_ops store_ops = {.done = on_done};

static void write_flags(const struct args_store *args, struct outcmd *cmd)
{
    struct buf flags;
    buf_init(&flags, 0);
    if (args->is_gm_labels) {
        outcmd_str(cmd, "X-GM-LABELS (");
        for (size_t i = 0; i < args->labels_n; i++) {
            outcmd_str(cmd, i > 0 ? " " : "");
            outcmd_string(cmd, args->labels[i]);
        }
        outcmd_str(cmd, ")");
    } else {
        emit_flags(&flags, &args->flags);
        outcmd_str(cmd, "FLAGS ");
        outcmd_token(cmd, buf_slice(&flags));
    }
    buf_fini(&flags);
}

static void send_store(struct session *session, struct job *job)
{
    struct store_work *work = job->work;
    const struct args_store *args = &job->parsed.args.store;
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID STORE ");
    outcmd_ranges(&cmd, &work->uids);
    if (args->has_unchangedsince) {
        outcmd_str(&cmd, " (UNCHANGEDSINCE ");
        outcmd_u64(&cmd, args->unchangedsince);
        outcmd_str(&cmd, ")");
    }
    outcmd_str(&cmd, args->mode == STORE_MODE_ADD      ? " +"
                     : args->mode == STORE_MODE_REMOVE ? " -"
                                                       : " ");
    write_flags(args, &cmd);
    write_send(&work->write, ROUTE_FEED, session->feed, &cmd, &store_ops);
}

/* False: there is a keyword that the mailbox does not have yet.  The table is the upstream's to fill,
 * not a client's. */
static bool flag_ids(struct session *session, const struct args_store *args, uint32_t *id_out)
{
    uint16_t known;
    struct flags *table = mailbox_flags(feed_mailbox(session->feed));
    struct flag_list list = {0};
    for (unsigned bit = 1; bit <= IMAP_FLAG_DRAFT; bit <<= 1) {
        if ((args->flags.system & bit) != 0 &&
            flag_list_add(&list, table, slice_str(flag_name((enum imap_flag)bit))) != OK) {
            return false;
        }
    }
    for (size_t i = 0; i < args->flags.keywords_n; i++) {
        if (!flags_find_keyword(table, args->flags.keywords[i], &known) ||
            flag_list_add(&list, table, args->flags.keywords[i]) != OK) {
            return false;
        }
    }
    return flags_intern(table, &list, id_out) == OK;
}

static void begin_silent(struct session *session, struct job *job)
{
    static const enum flag_op ops[] = {[STORE_MODE_SET] = FLAG_OP_SET,
                                       [STORE_MODE_ADD] = FLAG_OP_ADD,
                                       [STORE_MODE_REMOVE] = FLAG_OP_REMOVE};
    struct store_work *work = job->work;
    const struct args_store *args = &job->parsed.args.store;
    uint32_t id;
    if (args->is_silent && !args->is_gm_labels && flag_ids(session, args, &id)) {
        work->silent = view_silent_begin(session->view, &work->uids, ops[args->mode], id);
    }
}

static enum step start_store(struct session *session, struct job *job)
{
    struct store_work *work = job->work;
    const struct args_store *args = &job->parsed.args.store;
    bool is_uid = command_is_uid(&job->parsed);
    work->write.session = session;
    work->write.job = job;
    ranges_init(&work->uids, 0);
    ranges_init(&work->modified, SEQSET_PARTS_MAX);
    if (set_resolve(session, &args->set, is_uid, &work->uids) != OK) {
        job_finish_str(session, job, "BAD Invalid messageset");
        ranges_fini(&work->uids);
        return STEP_DONE;
    }
    (void)set_drop_vanished(session, &work->uids);
    if (args->has_unchangedsince) {
        session_enable_condstore(session);
    }
    if (ranges_empty(&work->uids)) {
        job_finish_str(session, job, "OK Store completed.");
        ranges_fini(&work->uids);
        return STEP_DONE;
    }
    work->modseq_before = mailbox_seen_modseq(feed_mailbox(session->feed));
    begin_silent(session, job);
    send_store(session, job);
    return STEP_WAIT;
}

static void write_modseq_only(const struct view_message *message, struct buf *out)
{
    buf_printf(out, "* %u FETCH (UID %u MODSEQ (%llu))\r\n", (unsigned)message->msn,
               (unsigned)message->uid, (unsigned long long)message->modseq);
}

/* The answer lines: all of the set where CONDSTORE is not in use (Thunderbird looks for them), else
 * what changed.  A .SILENT one tells the new modseq alone, RFC 7162 3.1.3. */
static void echo(struct session *session, struct job *job)
{
    struct store_work *work = job->work;
    const struct args_store *args = &job->parsed.args.store;
    bool has_condstore =
        (session->enabled & ENABLED_CONDSTORE) != 0 && session_has_modseq(session);
    bool is_uid = command_is_uid(&job->parsed) || (session->enabled & ENABLED_QRESYNC) != 0;
    struct view_iter iter;
    struct view_message message;
    struct buf *out = &session->scratch;
    if (args->is_silent && !has_condstore) {
        return;
    }
    buf_reset(out);
    view_iter_init(&iter, session->view, &work->uids);
    while (view_iter_next(&iter, &message)) {
        bool is_changed = message.modseq > work->modseq_before;
        if (message.is_vanished || ranges_has(&work->modified, message.uid) ||
            (has_condstore && !is_changed)) {
            continue;
        }
        if (args->is_silent) {
            write_modseq_only(&message, out);
        } else {
            update_write_flags(session, &message, is_uid, out);
            view_flags_told(session->view, message.uid);
        }
    }
    session_write(session, buf_slice(out));
}

static void finish_modified(struct session *session, struct job *job)
{
    struct store_work *work = job->work;
    struct buf text;
    struct ranges msns;
    buf_init(&text, 0);
    ranges_init(&msns, 0);
    buf_add_str(&text, work->write.status == OK ? "OK [MODIFIED " : "NO [MODIFIED ");
    if (command_is_uid(&job->parsed)) {
        ranges_format(&work->modified, &text);
    } else {
        view_msns_of(session->view, &work->modified, &msns);
        ranges_format(&msns, &text);
    }
    buf_add_str(&text, "] Conditional store failed.");
    job_finish(session, job, buf_slice(&text));
    ranges_fini(&msns);
    buf_fini(&text);
}

static void fini_store(struct store_work *work)
{
    if (work->silent != NULL) {
        view_silent_cancel(&work->silent);
    }
    ranges_fini(&work->uids);
    ranges_fini(&work->modified);
    write_fini(&work->write);
}

/* Setting flags twice is setting them once: repeated when the outcome is unknown (promise 2). */
static bool may_repeat(const struct store_work *work, const struct args_store *args)
{
    return !work->write.has_answer && !args->has_unchangedsince && work->write.attempts < 2 &&
           work->write.status != CANCELED && work->write.status != LIMIT;
}

static enum step run_store(struct session *session, struct job *job)
{
    struct store_work *work = job->work;
    const struct args_store *args = &job->parsed.args.store;
    if (work->write.session == NULL) {
        return start_store(session, job);
    }
    if (!work->write.is_done) {
        return STEP_WAIT;
    }
    if (may_repeat(work, args)) {
        write_fini(&work->write);
        send_store(session, job);
        return STEP_WAIT;
    }
    if (args->has_unchangedsince && write_is_lost(&work->write)) {
        return STEP_CLOSE;
    }
    if (work->write.status == OK) {
        if (work->silent != NULL) {
            view_silent_end(&work->silent);
        }
        echo(session, job);
    }
    if (work->write.has_answer && !ranges_empty(&work->modified)) {
        finish_modified(session, job);
    } else {
        write_finish(&work->write);
    }
    fini_store(work);
    return STEP_DONE;
}

static void cancel_store(struct session *session, struct job *job)
{
    struct store_work *work = job->work;
    if (work->write.session != NULL) {
        write_cancel(session, job);
        fini_store(work);
    }
}

const struct verb verb_store = {
    .work_size = sizeof(struct store_work), .run = run_store, .cancel = cancel_store};
