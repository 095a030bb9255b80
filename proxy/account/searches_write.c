/* What is sent: sets of UIDs, closed over what does not exist and cut to what a server takes in one
 * line, and the command around them. */
#include "searches_p.h"

enum { FLIGHT_BYTES_MAX = 4 * 1024 * 1024 }; /* of the criteria in all commands of one part */

/* Is there a message with a UID in first..last? */
static bool has_message(const struct feed *feed, uint32_t first, uint32_t last)
{
    return first <= last &&
           mailbox_rank(feed->mailbox, last) > mailbox_rank(feed->mailbox, first - 1);
}

void searches__close(const struct feed *feed, const struct bitmap *uids, struct ranges *runs_out)
{
    struct ranges runs;
    bool is_complete = feed_is_mapped(feed) && feed->knows >= FEED_KNOWS_NUMBERS;
    ranges_init(&runs, 0);
    bitmap_to_ranges(uids, &runs);
    for (size_t i = 0; i < runs.n; i++) {
        uint32_t first = runs.at[i].first;
        if (is_complete && i > 0 && !has_message(feed, runs.at[i - 1].last + 1, first - 1)) {
            first = runs.at[i - 1].last + 1;
        }
        ranges_add(runs_out, first, runs.at[i].last);
    }
    ranges_fini(&runs);
}

static size_t digits(uint32_t number)
{
    size_t n = 1;
    for (; number >= 10; number /= 10) {
        n++;
    }
    return n;
}

static size_t text_bytes(const struct range *run)
{
    return digits(run->first) + 1 + (run->first < run->last ? digits(run->last) + 1 : 0);
}

/* The last UID of @run that may still be named when so many messages may: RFC 9738. */
static uint32_t end_of(const struct feed *feed, const struct range *run, uint64_t messages)
{
    struct mailbox_entry entry;
    uint32_t before = mailbox_rank(feed->mailbox, run->first - 1);
    uint64_t within = mailbox_rank(feed->mailbox, run->last) - before;
    if (within <= messages || before + messages > UINT32_MAX ||
        !mailbox_at(feed->mailbox, before + (uint32_t)messages, &entry)) {
        return run->last;
    }
    return entry.uid >= run->first && entry.uid < run->last ? entry.uid : run->last;
}

void searches__cut(const struct feed *feed, struct ranges *runs, struct ranges *set_out)
{
    const struct account *account = feed->account;
    uint64_t messages = account->caps.messagelimit > 0 ? account->caps.messagelimit : UINT64_MAX;
    size_t room = account_line_bytes(account);
    ranges_reset(set_out);
    for (size_t i = 0; i < runs->n; i++) {
        struct range run = runs->at[i];
        size_t bytes = text_bytes(&run);
        if (i > 0 && (bytes > room || messages == 0)) {
            break;
        }
        run.last = messages < UINT64_MAX ? end_of(feed, &run, messages) : run.last;
        ranges_add(set_out, run.first, run.last);
        if (messages < UINT64_MAX) {
            uint64_t n = mailbox_rank(feed->mailbox, run.last) -
                         mailbox_rank(feed->mailbox, run.first - 1);
            messages = n < messages ? messages - n : 0;
        }
        room = bytes < room ? room - bytes : 0;
        if (run.last < runs->at[i].last) {
            break;
        }
    }
    ranges_remove(runs, 1, set_out->at[set_out->n - 1].last);
}

void searches__widen(const struct feed *feed, size_t criteria_bytes, struct ranges *runs)
{
    size_t bytes = 0;
    for (size_t i = 0; i < runs->n; i++) {
        bytes += text_bytes(&runs->at[i]);
    }
    size_t commands = 1 + bytes / account_line_bytes(feed->account);
    if (commands > 1 && commands * criteria_bytes > FLIGHT_BYTES_MAX) {
        ranges_add(runs, runs->at[0].first, runs->at[runs->n - 1].last);
    }
}

static void look_for_bodies(void *arg, const struct search_node *leaf)
{
    bool *found = arg;
    *found = *found || leaf->key == SEARCH_BODY || leaf->key == SEARCH_TEXT;
}

bool searches__reads_bodies(const struct search_part *part)
{
    bool found = false;
    search_visit(part->node, look_for_bodies, &found);
    return found;
}

/* A set in a part (of FUZZY) is of UIDs by now. */
static enum status resolve(void *arg, const struct search_node *leaf, struct ranges *out)
{
    (void)arg;
    if (leaf->key != SEARCH_UID || leaf->set.is_saved || leaf->set.has_star) {
        return PROTOCOL;
    }
    return seqset_resolve(&leaf->set, 0, out);
}

/* UTF-8 is what ASCII is, too: it is named only where it must be. */
static struct slice charset_of(const struct search_part *part, struct slice charset)
{
    bool is_ascii = (part->node->classes & SEARCH_USES_8BIT) == 0;
    bool is_usual = charset.len == 0 || slice_eq_nocase(charset, SLICE("UTF-8")) ||
                    slice_eq_nocase(charset, SLICE("US-ASCII"));
    return is_usual && is_ascii ? SLICE("") : charset.len == 0 ? SLICE("UTF-8") : charset;
}

enum status searches__command(const struct search_part *part, struct slice charset,
                              const struct ranges *set, bool is_extended, struct outcmd *out)
{
    struct slice named = charset_of(part, charset);
    outcmd_str(out, is_extended ? "UID SEARCH RETURN (ALL) " : "UID SEARCH ");
    if (named.len > 0) {
        outcmd_str(out, "CHARSET ");
        outcmd_string(out, named);
        outcmd_str(out, " ");
    }
    outcmd_str(out, "UID ");
    outcmd_ranges(out, set);
    outcmd_str(out, " ");
    TRY(search_write(part->node, resolve, NULL, out));
    return outcmd_ok(out) ? OK : LIMIT;
}
