#include "write_p.h"

#include "account/lists.h"
#include "base/log.h"

void write_send(struct write *write, enum route route, struct feed *feed, struct outcmd *cmd,
                const struct upcmd_ops *ops)
{
    struct session *session = write->session;
    buf_init(&write->answer, WRITE_ANSWER_MAX);
    buf_init(&write->told, WRITE_ANSWER_MAX);
    write->is_sent = true;
    write->is_done = false;
    write->attempts++;
    const struct destination to = {.route = route, .feed = feed};
    write->request = account_request(session->account, to, cmd, ops, write);
    outcmd_fini(cmd);
}

/* Of which lists and counts what was said before is not said again. */
static unsigned topics_of(const struct command_info *info)
{
    bool may_show = info->id == CMD_SETACL || info->id == CMD_DELETEACL || info->id == CMD_SETMETADATA;
    if ((info->flags & COMMAND_WRITES) == 0) {
        return 0;
    }
    return may_show || (info->flags & COMMAND_CHANGES_LIST) != 0 ? LISTS_NAMES | LISTS_STATUS
                                                                : LISTS_STATUS;
}

void write_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct write *write = arg;
    lists_changed(write->session->account, topics_of(write->job->parsed.info));
    write->request = NULL;
    write->is_done = true;
    write->status = st;
    write->was_sent = was_sent;
    write->has_answer = tagged != NULL;
    if (tagged != NULL) {
        emit_relayed(&write->answer, tagged);
    }
    session_wake(write->session);
}

static void refreshed(void *arg, enum status st)
{
    struct write *write = arg;
    (void)st; /* it is written; a mailbox that cannot be refreshed now will be when it is */
    write->refresh = NULL;
    write->is_fresh = true;
    session_wake(write->session);
}

bool write_refresh_other(struct write *write, struct slice mailbox)
{
    if (write->is_fresh || write->refresh != NULL) {
        return write->is_fresh;
    }
    struct feed *feed = account_find_feed(write->session->account, mailbox);
    if (feed == NULL) {
        return true;
    }
    write->refresh = feed_refresh(feed, true, refreshed, write);
    return false;
}

bool write_is_lost(struct write *write)
{
    if (write->has_answer || !write->was_sent) {
        return false;
    }
    LOG(LOG_WARN, "session", "msg=\"outcome of a write unknown\" account=%s command=%s",
        account_name(write->session->account), write->job->parsed.info->name);
    session_bye(write->session,
                "[UNAVAILABLE] The mail server was lost before it confirmed the command");
    return true;
}

bool write_has_attempts(const struct write *write)
{
    return write->attempts < 2 || (write->status == AGAIN && write->attempts < WRITE_ATTEMPTS_MAX);
}

bool write_may_repeat(const struct write *write)
{
    return write->is_done && write->was_sent && !write->has_answer && !write->has_told &&
           write_has_attempts(write) && write->status != CANCELED;
}

void write_finish(struct write *write)
{
    if (write->has_answer && write->answer.len > 0 && buf_ok(&write->answer)) {
        job_finish_quoting(write->session, write->job, buf_slice(&write->answer));
    } else {
        job_finish_status(write->session, write->job, write->status);
    }
}

void write_fini(struct write *write)
{
    if (write->refresh != NULL) {
        feed_refresh_cancel(&write->refresh); /* something else has made the model fresh meanwhile */
    }
    buf_fini(&write->answer);
    buf_fini(&write->told);
}

void write_leave(struct write *write, const struct name_change *change)
{
    unsigned topics = write->request != NULL ? topics_of(write->job->parsed.info) : 0;
    if (topics != 0) {
        account_request_leave(&write->request, change, topics);
    } else if (write->request != NULL) {
        account_request_cancel(&write->request);
    }
    write_fini(write);
}

void write_cancel(struct session *session, struct job *job)
{
    const struct name_change none = {.verb = NAME_UNTOUCHED};
    (void)session;
    write_leave(job->work, &none);
}
