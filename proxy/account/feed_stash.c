/* SELECT ... (QRESYNC ...): what changed since comes with the answer, before it is known whether what is
 * kept is of this mailbox at all.  So it is laid aside, and taken into the model after the check. */
#include <string.h>

#include "feed_sync_p.h"
#include "imap/outcmd.h"

enum { STASH_MAX = 4 * 1024 * 1024 }; /* octets; more is asked for again */

/* In front of each line's data. */
struct stashed {
    uint32_t msn;
    uint32_t len;
};

void feed__stash_begin(struct feed *feed, struct outcmd *cmd)
{
    struct slot *slot = feed->slot;
    buf_fini(&feed->stash);
    buf_init(&feed->stash, STASH_MAX);
    /* Another mailbox that was selected before on this link may still be told of. */
    feed->is_qresync = link_has_qresync(slot->link) && feed->knows == FEED_KNOWS_FLAGS &&
                       mailbox_synced_modseq(feed->mailbox) > 0 && !slot->was_selected;
    slot->was_selected = true;
    if (!feed->is_qresync) {
        return;
    }
    outcmd_str(cmd, " (QRESYNC (");
    outcmd_u64(cmd, mailbox_uidvalidity(feed->mailbox));
    outcmd_str(cmd, " ");
    outcmd_u64(cmd, mailbox_synced_modseq(feed->mailbox));
    outcmd_str(cmd, "))");
}

void feed__stash(struct feed *feed, const struct response *response)
{
    const struct stashed head = {.msn = response->number, .len = (uint32_t)response->data.text.len};
    if (feed->is_qresync && response->kind == RESPONSE_VANISHED) {
        feed__vanished(feed, response); /* kept in feed->earlier */
    }
    if (!feed->is_qresync || response->kind != RESPONSE_FETCH || response->data.holes_n > 0) {
        return;
    }
    buf_add(&feed->stash, slice_of((const char *)&head, sizeof(head)));
    buf_add(&feed->stash, response->data.text);
}

bool feed__unstash(struct feed *feed)
{
    bool is_told = feed->stash.len > 0 || !ranges_empty(&feed->earlier);
    bool is_whole = feed->is_qresync && buf_ok(&feed->stash) && is_told;
    struct slice rest = buf_slice(&feed->stash);
    feed->is_qresync = false;
    feed->is_fetching_new = true; /* messages that are new may be taken from it */
    while (is_whole && rest.len > 0) {
        struct stashed head;
        memcpy(&head, rest.data, sizeof(head));
        const struct response response = {
            .kind = RESPONSE_FETCH,
            .number = head.msn,
            .data = {.text = slice_sub(rest, sizeof(head), head.len)},
        };
        feed__untagged(feed, &response);
        rest = slice_sub(rest, sizeof(head) + head.len, rest.len - sizeof(head) - head.len);
    }
    feed->is_fetching_new = false;
    buf_fini(&feed->stash);
    buf_init(&feed->stash, STASH_MAX);
    return is_whole;
}
