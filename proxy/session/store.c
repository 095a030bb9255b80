/* STORE and UID STORE (protocol T14): UID STOREs upstream, never silent, so that the model hears of it;
 * what this client is told follows its own .SILENT and CONDSTORE.
 *
 * A set that makes a longer line than the upstream takes goes in several commands, one behind the
 * other in one flight, answered as one.  STOREs behind STOREs are sent ahead in their order.  When
 * the link dies, what has no answer is sent again, the oldest first: those sent ahead of it are taken
 * back before, so that an older change is never made after a newer one (promise 2). */
#include "account/lists.h"
#include "base/alloc.h"
#include "write_p.h"

/* One command upstream. */
struct store_part {
    struct store_work *work;
    struct request *request; /* NULL: not sent, or over */
    struct ranges uids;
    bool has_answer;
};

struct store_work {
    struct write write; /* first: what the verbs of writes share */
    struct ranges uids;
    struct ranges modified; /* [MODIFIED]: UIDs */
    struct view_silent *silent;
    uint64_t modseq_before;
    struct store_part *parts;
    size_t parts_n;
    size_t open_n;       /* parts under way */
    enum status refused; /* OK: no part was */
    enum status lost;    /* why a part has no answer */
};

/* --- upstream ----------------------------------------------------------------------------------- */

static void take_modified(struct store_work *work, const struct response *tagged)
{
    struct ranges some;
    ranges_init(&some, SEQSET_PARTS_MAX);
    if (tagged->code == CODE_MODIFIED && respdata_modified(tagged, &some) == OK) {
        ranges_add_all(&work->modified, &some);
    }
    ranges_fini(&some);
}

/* The first refusal is what the client hears, else the last OK. */
static void take_answer(struct store_work *work, enum status st, const struct response *tagged)
{
    take_modified(work, tagged);
    if (work->refused == OK) {
        buf_reset(&work->write.answer);
        emit_relayed(&work->write.answer, tagged);
        work->refused = st;
    }
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct store_part *part = arg;
    struct store_work *work = part->work;
    struct write *write = &work->write;
    part->request = NULL;
    part->has_answer = tagged != NULL;
    write->has_answer = write->has_answer && tagged != NULL;
    write->was_sent = write->was_sent || was_sent || tagged != NULL;
    if (tagged != NULL) {
        take_answer(work, st, tagged);
    } else {
        work->lost = st;
    }
    lists_changed(write->session->account, LISTS_STATUS);
    if (--work->open_n == 0) {
        write->status = work->refused != OK ? work->refused : work->lost;
        write->is_done = true;
        session_wake(write->session);
    }
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

static void send_part(struct store_work *work, struct store_part *part)
{
    struct session *session = work->write.session;
    const struct args_store *args = &work->write.job->parsed.args.store;
    const struct destination to = {.route = ROUTE_FEED, .feed = session->feed};
    struct outcmd cmd;
    outcmd_init(&cmd);
    outcmd_str(&cmd, "UID STORE ");
    outcmd_ranges(&cmd, &part->uids);
    if (args->has_unchangedsince) {
        outcmd_str(&cmd, " (UNCHANGEDSINCE ");
        outcmd_u64(&cmd, args->unchangedsince);
        outcmd_str(&cmd, ")");
    }
    outcmd_str(&cmd, args->mode == STORE_MODE_ADD      ? " +"
                     : args->mode == STORE_MODE_REMOVE ? " -"
                                                       : " ");
    write_flags(args, &cmd);
    part->has_answer = false;
    part->request = account_request(session->account, to, &cmd, &store_ops, part);
    outcmd_fini(&cmd);
}

/* All parts, or those that have no answer yet. */
static void send_store(struct store_work *work)
{
    struct write *write = &work->write;
    bool is_first = !write->is_sent;
    write->is_sent = true;
    write->is_done = false;
    write->attempts++;
    write->was_sent = false;
    write->has_answer = true;
    work->lost = OK;
    if (is_first) {
        buf_init(&write->answer, WRITE_ANSWER_MAX);
    }
    for (size_t i = 0; i < work->parts_n; i++) {
        work->open_n += work->parts[i].has_answer ? 0 : 1;
    }
    for (size_t i = 0; i < work->parts_n; i++) {
        if (!work->parts[i].has_answer) {
            send_part(work, &work->parts[i]);
        }
    }
}

static void cut_into_parts(struct store_work *work)
{
    size_t line = account_line_bytes(work->write.session->account), at = 0;
    while (at < work->uids.n) {
        work->parts = alloc_resize(work->parts, work->parts_n + 1, sizeof(*work->parts));
        struct store_part *part = &work->parts[work->parts_n++];
        *part = (struct store_part){.work = work};
        ranges_init(&part->uids, 0);
        set_next_piece(&work->uids, &at, line, &part->uids);
    }
}

/* --- beginning ---------------------------------------------------------------------------------- */

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

static void fini_store(struct store_work *work)
{
    if (work->silent != NULL) {
        view_silent_cancel(&work->silent);
    }
    for (size_t i = 0; i < work->parts_n; i++) {
        if (work->parts[i].request != NULL) {
            account_request_cancel(&work->parts[i].request);
        }
        ranges_fini(&work->parts[i].uids);
    }
    alloc_free(work->parts);
    work->parts = NULL;
    work->parts_n = work->open_n = 0;
    ranges_fini(&work->uids);
    ranges_fini(&work->modified);
    write_fini(&work->write);
}

/* STEP_AGAIN: there is something to send. */
static enum step prepare(struct session *session, struct job *job)
{
    struct store_work *work = job->work;
    const struct args_store *args = &job->parsed.args.store;
    work->write.session = session;
    work->write.job = job;
    ranges_init(&work->uids, 0);
    ranges_init(&work->modified, SEQSET_PARTS_MAX);
    if (set_resolve(session, &args->set, command_is_uid(&job->parsed), &work->uids) != OK) {
        job_finish_str(session, job, "BAD Invalid messageset");
        fini_store(work);
        return STEP_DONE;
    }
    (void)set_drop_vanished(session, &work->uids);
    set_close_gaps(session, &work->uids);
    if (args->has_unchangedsince) {
        session_enable_condstore(session);
    }
    if (ranges_empty(&work->uids)) {
        job_finish_str(session, job, "OK Store completed.");
        fini_store(work);
        return STEP_DONE;
    }
    return STEP_AGAIN;
}

static void begin(struct session *session, struct job *job)
{
    struct store_work *work = job->work;
    work->modseq_before = mailbox_seen_modseq(feed_mailbox(session->feed));
    begin_silent(session, job);
    cut_into_parts(work);
    send_store(work);
}

/* --- sending ahead ------------------------------------------------------------------------------ */

static struct store_work *store_of(const struct job *job)
{
    struct store_work *work = job->verb == &verb_store ? job->work : NULL;
    return work != NULL && work->write.session != NULL ? work : NULL;
}

/* By UID, and on no condition: what it does does not hang on what is told in between.  And all before
 * it are writes that are under way: a FETCH shows the flags as they are when its turn comes, and
 * what is to be sent again goes first. */
static bool may_go_ahead(const struct session *session, const struct job *job)
{
    const struct args_store *args = &job->parsed.args.store;
    if (!command_is_uid(&job->parsed) || args->has_unchangedsince || args->set.is_saved) {
        return false;
    }
    for (const struct job *before = session->jobs; before != job; before = before->next) {
        const struct store_work *work = store_of(before);
        if (before->verb == &verb_store && (work == NULL || !work->write.is_sent ||
                                            (work->write.is_done && !work->write.has_answer))) {
            return false;
        }
        if (before->verb != &verb_store && before->verb != &verb_append) {
            return false;
        }
    }
    return true;
}

static bool plan_ahead(struct session *session, struct job *job)
{
    struct store_work *work = job->work;
    const struct args_store *args = &job->parsed.args.store;
    if (session->view == NULL || !may_go_ahead(session, job)) {
        return false;
    }
    work->write.session = session;
    work->write.job = job;
    ranges_init(&work->uids, 0);
    ranges_init(&work->modified, SEQSET_PARTS_MAX);
    if (set_resolve(session, &args->set, true, &work->uids) == OK) {
        (void)set_drop_vanished(session, &work->uids);
        set_close_gaps(session, &work->uids);
    }
    if (ranges_empty(&work->uids)) {
        fini_store(work);
        *work = (struct store_work){0}; /* says so itself, in its turn */
        return false;
    }
    begin(session, job);
    return true;
}

/* Take back what was sent ahead of @job.  False: one of them has been answered. */
static bool recall_later(struct job *job)
{
    for (struct job *later = job->next; later != NULL; later = later->next) {
        struct store_work *work = store_of(later);
        for (size_t i = 0; work != NULL && i < work->parts_n; i++) {
            if (work->parts[i].has_answer) {
                return false;
            }
        }
    }
    for (struct job *later = job->next; later != NULL; later = later->next) {
        struct store_work *work = store_of(later);
        if (work != NULL) {
            fini_store(work);
            *work = (struct store_work){0};
            later->is_planned = false;
        }
    }
    return true;
}

/* --- the answer --------------------------------------------------------------------------------- */

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

/* Setting flags twice is setting them once: repeated when the outcome is unknown (promise 2). */
static bool may_repeat(const struct store_work *work, const struct args_store *args)
{
    return !work->write.has_answer && !args->has_unchangedsince && write_has_attempts(&work->write) &&
           work->write.status != CANCELED && work->write.status != LIMIT;
}

static enum step finish(struct session *session, struct job *job)
{
    struct store_work *work = job->work;
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

static enum step run_store(struct session *session, struct job *job)
{
    struct store_work *work = job->work;
    const struct args_store *args = &job->parsed.args.store;
    if (work->write.session == NULL) {
        enum step step = prepare(session, job);
        if (step != STEP_AGAIN) {
            return step;
        }
        begin(session, job);
        return STEP_WAIT;
    }
    if (!work->write.is_done) {
        return STEP_WAIT;
    }
    /* A newer one that was answered: what the older did cannot be found out, nor done again. */
    bool is_doubtful = !work->write.has_answer && !recall_later(job);
    if (!is_doubtful && may_repeat(work, args)) {
        send_store(work);
        return STEP_WAIT;
    }
    if ((is_doubtful || args->has_unchangedsince) && write_is_lost(&work->write)) {
        return STEP_CLOSE;
    }
    return finish(session, job);
}

static void cancel_store(struct session *session, struct job *job)
{
    (void)session;
    fini_store(job->work);
}

const struct verb verb_store = {.work_size = sizeof(struct store_work),
                                .run = run_store,
                                .cancel = cancel_store,
                                .plan_ahead = plan_ahead};
