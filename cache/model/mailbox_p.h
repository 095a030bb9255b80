#ifndef MODEL_MAILBOX_P_H
#define MODEL_MAILBOX_P_H
/* The inside of a mailbox, for the files of this folder only.                  Thread: loop. */
#include "messages_p.h"
#include "model/changelog.h"
#include "model/uidset.h"

struct view;

/* What happened to whom between two log positions, as sets: worked out once, applied to every view
 * that stands at `from`. */
struct digest {
    uint64_t from;
    uint64_t to; /* == from: nothing worked out */
    struct ranges vanished; /* was there, is gone */
    struct ranges flapped;  /* was there, went, is there again */
    struct ranges appeared; /* was not there, is now, below the highest UID of all time */
    struct ranges flags;
    struct ranges modseq;
};

struct mailbox {
    struct flags *flags;
    struct messages messages;
    struct changelog log;
    struct digest digest;
    struct view *views; /* all open ones, doubly linked */

    uint64_t version;
    uint64_t vanished_version; /* version after the last such change */
    uint64_t appeared_version;
    uint64_t lists_version;

    uint64_t seen_modseq;
    uint64_t synced_modseq;
    uint64_t base_modseq; /* what is not known is at most this */
    uint32_t uidvalidity;
    uint32_t uidnext;
    uint32_t uid_high; /* the highest UID that ever was in the model */
    uint32_t recent_floor;
    uint32_t sweep_at; /* sweep flag sets when ids reach this */
    uint32_t announced; /* messages the unpacked header promised */

    struct buf flag_list;
    struct buf permanent_flags;
    struct buf id;

    struct ranges dirty; /* block numbers */
    bool header_dirty;
    uint16_t packed_keywords; /* how many keywords the stored header knows */
};

/* view.c: what the mailbox asks of its views. */
uint64_t view__lowest_cursor(const struct mailbox *mailbox);
void view__catch_up_all(struct mailbox *mailbox);
void view__apply_to_all(struct mailbox *mailbox, const struct digest *digest);

/* digest.c */
void digest_init(struct digest *digest);
void digest_fini(struct digest *digest);
/* The digest of the log from @from to its end, kept until another is asked for. */
const struct digest *mailbox__digest(struct mailbox *mailbox, uint64_t from);

/* mailbox.c */
void mailbox__raise_recent_floor(struct mailbox *mailbox, uint32_t uid);
/* Put in a message above all others: nothing logged or marked. */
void mailbox__append(struct mailbox *mailbox, const struct mailbox_entry *entry);

#endif
