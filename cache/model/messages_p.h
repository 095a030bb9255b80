#ifndef MODEL_MESSAGES_P_H
#define MODEL_MESSAGES_P_H
/* The messages of a mailbox as structures of arrays, in chunks of at most CHUNK_MAX, with a
 * directory for binary search by UID and by rank.  16 bytes a message.  Keeps counts and the
 * references to flag sets; knows nothing of logs or views.  A place is valid until the next change.
 * Owner: the mailbox.                                                          Thread: loop. */
#include "model/mailbox.h"

enum { CHUNK_MAX = 1024 };

struct chunk {
    uint64_t *modseq; /* one allocation: modseq, then uid, then flags */
    uint32_t *uid;
    uint32_t *flags;
    uint32_t n; /* > 0 */
    uint32_t cap;
    uint32_t unseen;
};

/* Ascending UIDs: where the first that is not below @uid stands among low..high-1; else @high. */
static inline uint32_t uid_lower(const uint32_t *uids, uint32_t low, uint32_t high, uint32_t uid)
{
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (uids[mid] < uid) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

struct messages {
    struct flags *flags; /* borrowed */
    struct chunk *chunk;
    uint32_t *last;  /* highest UID of each chunk */
    uint32_t *start; /* messages before each chunk */
    uint32_t n;      /* chunks */
    uint32_t cap;
    uint32_t count;
    uint32_t unseen;
    uint32_t deleted;
};

struct place {
    uint32_t chunk; /* == messages.n: the end */
    uint32_t index;
};

void messages_init(struct messages *m, struct flags *flags);
/* Gives the references back, too. */
void messages_fini(struct messages *m);
/* The first message with a UID >= uid. */
struct place messages_lower(const struct messages *m, uint32_t uid);
bool messages_find(const struct messages *m, uint32_t uid, struct place *out);
/* rank from 1, <= count */
struct place messages_at_rank(const struct messages *m, uint32_t rank);
/* Messages before the place. */
uint32_t messages_before(const struct messages *m, struct place place);
struct mailbox_entry messages_get(const struct messages *m, struct place place);
/* One further; true unless that is the end. */
bool messages_step(const struct messages *m, struct place *place);
/* entry: a UID not present. */
void messages_insert(struct messages *m, const struct mailbox_entry *entry);
/* first..last, above all that are there, without flags. */
void messages_append_run(struct messages *m, uint32_t first, uint32_t last);
void messages_set_flags(struct messages *m, struct place place, uint32_t flags);
void messages_remove(struct messages *m, struct place place);
/* removed_out: exactly those that were there. */
void messages_remove_set(struct messages *m, const struct ranges *uids,
                         struct ranges *removed_out);
uint32_t messages_first_unseen(const struct messages *m);

#endif
