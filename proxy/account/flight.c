/* One upstream command of a plan: how it is written, and what its end means for what it asked.
 *
 *   tagged OK           values are kept (T1: filler only when nothing was expunged meanwhile);
 *                       what got no data is asked once more, then absent (T2)
 *   OK [EXPUNGEISSUED]  nothing is kept
 *   NO, BAD             nothing is kept, what got no data has failed, or is asked in smaller commands
 *                       (flight_refused.c)
 *   link lost           nothing is kept, what is incomplete is asked on the next link */
#include <stdlib.h>
#include <utlist.h>

#include "plan_p.h"
#include "base/alloc.h"
#include "base/log.h"

/* --- the command -------------------------------------------------------------------------------- */

bool want__is_resumed(const struct want *want)
{
    return want->value.state == VALUE_ARRIVING && want__received(want) > 0;
}

uint64_t want__asked_offset(const struct want *want)
{
    uint64_t offset = want->has_part ? want->offset : 0;
    return want__is_resumed(want) ? offset + want__received(want) : offset;
}

static void write_part(const struct want *want, struct outcmd *cmd)
{
    bool is_resumed = want__is_resumed(want);
    if (!is_resumed && !want->has_part) {
        return;
    }
    outcmd_str(cmd, "<");
    outcmd_u64(cmd, want__asked_offset(want));
    outcmd_str(cmd, ".");
    outcmd_u64(cmd, is_resumed ? want->value.content.size_bytes - want__received(want)
                               : want->count);
    outcmd_str(cmd, ">");
}

static bool asks_size(const struct flight *flight)
{
    for (size_t i = 0; i < flight->columns_n; i++) {
        if (flight->cells[i]->kind == FETCH_RFC822_SIZE) {
            return true;
        }
    }
    return false;
}

static void write_command(const struct flight *flight, struct outcmd *cmd)
{
    struct ranges set;
    ranges_init(&set, 0);
    for (size_t i = 0; i < flight->rows_n; i++) {
        ranges_add(&set, flight->rows[i].uid, flight->rows[i].uid);
    }
    outcmd_init(cmd);
    outcmd_str(cmd, "UID FETCH ");
    outcmd_ranges(cmd, &set);
    outcmd_str(cmd, " (UID");
    for (size_t i = 0; i < flight->columns_n; i++) {
        outcmd_str(cmd, " ");
        outcmd_token(cmd, flight->cells[i]->upstream);
        write_part(flight->cells[i], cmd);
    }
    if (flight->standin_bytes != 0 && !asks_size(flight)) {
        outcmd_str(cmd, " RFC822.SIZE"); /* tells the stand-ins */
    }
    outcmd_str(cmd, ")");
    ranges_fini(&set);
}

static int row_order(const void *a, const void *b)
{
    uint32_t left = ((const struct row *)a)->uid;
    uint32_t right = ((const struct row *)b)->uid;
    return left < right ? -1 : left > right;
}

static struct flight *flight_create(struct plan *plan, struct want **cells, size_t rows_n,
                                    size_t columns_n)
{
    struct flight *flight = alloc_zero(sizeof(*flight));
    flight->plan = plan;
    flight->cells = cells;
    flight->rows_n = rows_n;
    flight->columns_n = columns_n;
    flight->rows = alloc_array(rows_n, sizeof(*flight->rows));
    for (size_t i = 0; i < rows_n; i++) {
        flight->rows[i].wants = &cells[i * columns_n];
        flight->rows[i].uid = cells[i * columns_n]->message->uid;
    }
    qsort(flight->rows, rows_n, sizeof(*flight->rows), row_order);
    flight->route = ROUTE_FEED;
    for (size_t i = 0; i < rows_n * columns_n; i++) {
        flight->route = cells[i]->is_bulk ? ROUTE_BULK : flight->route;
    }
    flight->standin_bytes = plan->env.ops->standin_bytes(plan->env.arg);
    return flight;
}

void flight__destroy(struct flight *flight)
{
    flight__end_line(flight);
    for (size_t i = 0; i < flight->rows_n * flight->columns_n; i++) {
        struct want *want = flight->cells[i];
        if (want->step == WANT_ASKED) {
            want->step = WANT_OVER;
        }
        plan__drop_want(flight->plan, want);
    }
    DL_DELETE(flight->plan->flights, flight);
    alloc_free(flight->rows);
    alloc_free(flight->cells);
    alloc_free(flight);
}

void flight__resume_reading(struct flight *flight)
{
    if (flight->is_paused) {
        struct plan_env *env = &flight->plan->env;
        flight->is_paused = false;
        env->ops->pause(env->arg, flight->request, false);
    }
}

/* --- its end ------------------------------------------------------------------------------------ */

static void show(struct want *want, enum value_state state)
{
    want->is_held = false;
    want->value.state = state;
}

static bool is_complete(const struct want *want)
{
    return want->value.state == VALUE_ARRIVING &&
           want__received(want) == want->value.content.size_bytes;
}

/* The upstream said OK, and gave nothing that can be used. */
static void ask_again(struct flight *flight, struct want *want)
{
    struct plan_env *env = &flight->plan->env;
    bool is_begun = want->value.state == VALUE_ARRIVING;
    want->is_bulk = want->is_bulk || want->is_standin; /* on a link that looks into the mailbox anew */
    /* A literal came under a UID that could not be guessed; alone it can. */
    bool was_misread = want->is_alone && flight->rows_n > 1;
    if (!was_misread) {
        want->asks++;
    }
    if (want->asks < PLAN_ASKS_MAX && env->ops->has_uid(env->arg, want->message->uid)) {
        want->is_alone = want->is_alone || is_begun;
        if (want->refs > 0) {
            plan__gather(flight->plan, want);
        }
    } else if (is_begun) {
        plan__fail_want(flight->plan, want, STALE);
    } else {
        show(want, VALUE_ABSENT);
    }
}

/* Filler that the item of a message that is there hardly ever looks like: told as the upstream says
 * it, and asked again the next time. */
static bool is_never_kept(const struct want *want)
{
    return want->kind == FETCH_ENVELOPE || want->kind == FETCH_BODY ||
           want->kind == FETCH_BODYSTRUCTURE || want->kind == FETCH_INTERNALDATE ||
           want->kind == FETCH_RFC822_SIZE;
}

/* Filler-shaped: meant, or what a server says of a message that has gone (T1)? */
static void settle_held(struct flight *flight, struct want *want, bool is_doubtful)
{
    struct plan_env *env = &flight->plan->env;
    if (!is_doubtful) {
        show(want, VALUE_HERE);
        if (!is_never_kept(want)) {
            want__keep(flight->plan, want);
        }
    } else if (env->ops->has_uid(env->arg, want->message->uid) &&
               want->asks + 1 >= PLAN_ASKS_MAX) {
        show(want, VALUE_HERE); /* as the upstream says, but not kept */
    } else {
        want->is_held = false;
        ask_again(flight, want);
    }
}

static void settle_ok(struct flight *flight, struct want *want, bool has_issued)
{
    if (is_complete(want)) {
        show(want, VALUE_HERE);
    }
    if (want->is_held) {
        settle_held(flight, want, has_issued || flight->has_expunge || want->is_standin);
    } else if (want->value.state == VALUE_HERE) {
        if (!has_issued) {
            want__keep(flight->plan, want);
        }
    } else if (want->value.state != VALUE_FAILED) {
        ask_again(flight, want);
    }
}

static void settle_lost(struct flight *flight, struct want *want, bool is_guilty, enum status why)
{
    if (is_complete(want)) {
        show(want, VALUE_HERE);
    }
    want->is_held = false;
    if (want->value.state == VALUE_HERE || want->value.state == VALUE_FAILED || want->refs == 0) {
        return;
    }
    if (is_guilty) {
        want->deaths++;
    } else {
        want->losses++;
    }
    if (want->deaths >= PLAN_ATTEMPTS || want->losses >= PLAN_LOSSES_MAX) {
        plan__fail_want(flight->plan, want, why);
        return;
    }
    want->is_alone = want__is_resumed(want);
    plan__gather(flight->plan, want);
}

/* The message the server was at when the link was lost: the first that is not here whole. */
static uint32_t suspect_uid(const struct flight *flight)
{
    for (size_t i = 0; i < flight->rows_n; i++) {
        for (size_t k = 0; k < flight->columns_n; k++) {
            const struct want *want = flight->rows[i].wants[k];
            if (want->value.state != VALUE_HERE && want->value.state != VALUE_FAILED &&
                !is_complete(want)) {
                return flight->rows[i].uid;
            }
        }
    }
    return 0;
}

/* Of the commands that end with their link only the first can be what killed it.  One that was not
 * even sent found no link: twice is enough. */
static bool is_guilty(struct flight *flight, enum status st, bool was_sent)
{
    if (st == AGAIN) {
        return false; /* another mailbox's, or a session's, was before it */
    }
    bool is_first = !flight->plan->has_death[flight->route];
    flight->plan->has_death[flight->route] = true;
    return is_first || !was_sent;
}

static void on_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct flight *flight = arg;
    struct plan *plan = flight->plan;
    bool is_refused = st == DENIED || st == PROTOCOL;
    bool has_issued = tagged != NULL && tagged->code == CODE_EXPUNGEISSUED;
    bool guilty = st != OK && !is_refused && is_guilty(flight, st, was_sent);
    uint32_t suspect = guilty && was_sent ? suspect_uid(flight) : 0;
    flight->request = NULL;
    flight__end_line(flight);
    for (size_t i = 0; i < flight->rows_n * flight->columns_n; i++) {
        struct want *want = flight->cells[i];
        want->step = WANT_OVER;
        if (st == OK) {
            settle_ok(flight, want, has_issued);
        } else if (!is_refused) {
            bool blames = guilty && (!was_sent || want->message->uid == suspect);
            settle_lost(flight, want, blames, st);
            want->is_alone = want->is_alone || (blames && was_sent);
        }
    }
    if (is_refused) {
        flight__settle_refused(flight, st, tagged);
    }
    if (st != OK) {
        LOG(LOG_INFO, "plan", "msg=\"fetch failed\" why=%s messages=%zu uid=%u", status_name(st),
            flight->rows_n, flight->rows[0].uid);
    }
    plan__moved(plan);
    flight__destroy(flight);
}

static const struct upcmd_ops flight_ops = {
    .untagged = flight__on_untagged,
    .literal = flight__on_literal,
    .literal_data = flight__on_literal_data,
    .literal_end = flight__on_literal_end,
    .done = on_done,
};

/* The UID that the link has to know of (struct destination). */
static uint32_t highest_of(const struct flight *flight)
{
    uint32_t highest = flight->route == ROUTE_BULK ? flight->rows[flight->rows_n - 1].uid : 0;
    for (size_t i = 0; i < flight->rows_n * flight->columns_n; i++) {
        highest = flight->cells[i]->is_standin ? UINT32_MAX : highest; /* a fresh look */
    }
    return highest;
}

void flight__send(struct plan *plan, struct want **cells, size_t rows_n, size_t columns_n)
{
    struct flight *flight = flight_create(plan, cells, rows_n, columns_n);
    struct outcmd cmd;
    write_command(flight, &cmd);
    DL_APPEND(plan->flights, flight);
    for (size_t i = 0; i < rows_n * columns_n; i++) {
        cells[i]->step = WANT_ASKED;
        cells[i]->is_alone = false;
    }
    if (outcmd_ok(&cmd)) {
        uint32_t highest = highest_of(flight);
        flight->request = plan->env.ops->send(plan->env.arg, flight->route, highest, &cmd,
                                              &flight_ops, flight);
    } else {
        for (size_t i = 0; i < rows_n * columns_n; i++) {
            plan__fail_want(plan, cells[i], LIMIT);
        }
        flight__destroy(flight);
    }
    outcmd_fini(&cmd);
}
