/* What a SEARCH tells: numbers, ESEARCH, MODSEQ; and what "$" is afterwards. */
#include "model/uidset.h"
#include "search_p.h"

static const struct args_search *args_of(const struct search_run *run)
{
    return &run->job->parsed.args.search;
}

/* --- the messages that count ------------------------------------------------------------------------- */

/* The slice of the results that was asked for (RFC 9394 3.1). */
static void take_partial(const struct args_search *args, const struct ranges *uids,
                         struct ranges *out)
{
    const struct set_slice slice = {.is_from_end = args->is_partial_from_end,
                                    .first = args->partial_first,
                                    .last = args->partial_last};
    set_take_slice(uids, slice, out);
}

/* RFC 4731 3.2, RFC 5182 2.4, RFC 9394 3.2 and 3.4: with MIN, MAX, PARTIAL and nothing else, it is
 * those messages whose highest modseq is told, and that are saved; else all of them. */
static void take_told(const struct args_search *args, const struct ranges *uids,
                      struct ranges *out)
{
    unsigned others = args->returns & ~(unsigned)SEARCH_RETURN_SAVE;
    unsigned whole = SEARCH_RETURN_ALL | SEARCH_RETURN_COUNT;
    ranges_reset(out);
    if (!args->has_return || others == 0 || (others & whole) != 0) {
        ranges_add_all(out, uids);
        return;
    }
    if ((others & SEARCH_RETURN_PARTIAL) != 0) {
        take_partial(args, uids, out);
    }
    if (uids->n > 0 && (others & SEARCH_RETURN_MIN) != 0) {
        ranges_add(out, uids->at[0].first, uids->at[0].first);
    }
    if (uids->n > 0 && (others & SEARCH_RETURN_MAX) != 0) {
        ranges_add(out, uids->at[uids->n - 1].last, uids->at[uids->n - 1].last);
    }
}

void search_answer_begin(struct search_answer_work *work, struct search_run *run)
{
    ranges_init(&work->uids, 0);
    ranges_init(&work->told, 0);
    bitmap_to_ranges(run->found, &work->uids);
    take_told(args_of(run), &work->uids, &work->told);
    work->is_begun = true;
}

void search_answer_fini(struct search_answer_work *work)
{
    if (work->is_begun) {
        ranges_fini(&work->uids);
        ranges_fini(&work->told);
    }
}

/* --- writing ----------------------------------------------------------------------------------------- */

uint64_t search_highest_modseq(struct session *session, const struct ranges *uids)
{
    struct view_iter iter;
    struct view_message message;
    uint64_t highest = 0;
    view_iter_init(&iter, session->view, uids);
    while (view_iter_next(&iter, &message)) {
        highest = message.modseq > highest ? message.modseq : highest;
    }
    return highest;
}

static void write_numbers(const struct ranges *numbers, struct buf *out)
{
    for (size_t i = 0; i < numbers->n; i++) {
        for (uint64_t n = numbers->at[i].first; n <= numbers->at[i].last; n++) {
            buf_add_char(out, ' ');
            buf_add_u64(out, n);
        }
    }
}

/* RFC 9394 3.1: "PARTIAL (-1:-100 <set>)", the range as it was asked for; NIL: nothing is there. */
static void write_partial(const struct args_search *args, const struct ranges *numbers,
                          struct buf *out)
{
    const char *sign = args->is_partial_from_end ? "-" : "";
    struct ranges slice;
    ranges_init(&slice, 0);
    take_partial(args, numbers, &slice);
    buf_printf(out, " PARTIAL (%s%u:%s%u ", sign, (unsigned)args->partial_first, sign,
               (unsigned)args->partial_last);
    if (ranges_empty(&slice)) {
        buf_add_str(out, "NIL");
    } else {
        ranges_format(&slice, out);
    }
    buf_add_char(out, ')');
    ranges_fini(&slice);
}

static void write_esearch(const struct job *job, const struct ranges *numbers, struct buf *out)
{
    const struct args_search *args = &job->parsed.args.search;
    unsigned returns = args->returns;
    buf_add_str(out, "* ESEARCH (TAG ");
    emit_string(out, job->parsed.tag);
    buf_add_str(out, command_is_uid(&job->parsed) ? ") UID" : ")");
    if (numbers->n > 0 && (returns & SEARCH_RETURN_MIN) != 0) {
        buf_printf(out, " MIN %u", (unsigned)numbers->at[0].first);
    }
    if (numbers->n > 0 && (returns & SEARCH_RETURN_MAX) != 0) {
        buf_printf(out, " MAX %u", (unsigned)numbers->at[numbers->n - 1].last);
    }
    if (numbers->n > 0 && (returns & SEARCH_RETURN_ALL) != 0) {
        buf_add_str(out, " ALL ");
        ranges_format(numbers, out);
    }
    if ((returns & SEARCH_RETURN_PARTIAL) != 0) {
        write_partial(args, numbers, out);
    }
    if ((returns & SEARCH_RETURN_COUNT) != 0) {
        buf_printf(out, " COUNT %llu", (unsigned long long)ranges_count(numbers));
    }
}

static void write_line(struct search_run *run, struct search_answer_work *work,
                       const struct ranges *numbers, struct buf *out)
{
    const struct args_search *args = args_of(run);
    if (args->has_return) {
        write_esearch(run->job, numbers, out);
    } else {
        buf_add_str(out, "* SEARCH");
        write_numbers(numbers, out);
    }
    if (run->has_modseq && !ranges_empty(&work->told)) {
        buf_printf(out, args->has_return ? " MODSEQ %llu" : " (MODSEQ %llu)",
                   (unsigned long long)search_highest_modseq(run->session, &work->told));
    }
    buf_add_str(out, "\r\n");
}

/* SAVE alone: nothing is told (RFC 5182 2.1). */
static void tell(struct search_run *run, struct search_answer_work *work)
{
    const struct args_search *args = args_of(run);
    struct ranges msns;
    struct buf out;
    if (args->has_return && args->returns == SEARCH_RETURN_SAVE) {
        return;
    }
    ranges_init(&msns, 0);
    buf_init(&out, 0);
    bool is_uid = command_is_uid(&run->job->parsed);
    if (!is_uid) {
        view_msns_of(run->session->view, &work->uids, &msns);
    }
    write_line(run, work, is_uid ? &work->uids : &msns, &out);
    session_write(run->session, buf_slice(&out));
    buf_fini(&out);
    ranges_fini(&msns);
}

void search_answer(struct search_answer_work *work, struct search_run *run)
{
    struct session *session = run->session;
    tell(run, work);
    if ((args_of(run)->returns & SEARCH_RETURN_SAVE) != 0) {
        ranges_swap(&session->saved, &work->told);
        job_finish_str(session, run->job, "OK Search completed, result saved.");
    } else {
        job_finish_str(session, run->job, "OK Search completed.");
    }
}
