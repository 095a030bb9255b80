#ifndef ACCOUNT_FEED_SYNC_P_H
#define ACCOUNT_FEED_SYNC_P_H
/* How a feed's model becomes true: what the files that do it share; see feed_p.h for the struct.
 * Owner of memory: the feed.  Thread: loop. */
#include "feed_p.h"

/* One UID SEARCH RETURN (ALL) of a flight. */
struct search {
    bool is_all;    /* which messages there are */
    uint32_t flags; /* flag set asked for, referred to */
    bool has_answer;
    struct ranges uids;
};

/* A flight of them, see feed_map.c. */
struct map {
    struct search *searches;
    size_t n;
    size_t open_n;         /* commands not answered yet */
    bool has_failed;       /* flags have to be fetched */
    bool is_plain;         /* SEARCH ALL, answered without a tag */
    struct ranges touched; /* told of by FETCH meanwhile: known better */
};

/* A message that has gone from the link since SELECT: by number, or (0) by UIDs. */
struct gone {
    uint32_t msn;
    struct range uids;
};

/* --- feed_data.c --- */
void feed__vanished(struct feed *feed, const struct response *response);
void feed__remove_unseen(struct feed *feed);
/* What CHANGEDSINCE ... VANISHED named, unless EXISTS contradicts. */
void feed__remove_earlier(struct feed *feed);
/* --- feed_sync.c --- */
void feed__select(struct feed *feed);
void feed__fetch_new(struct feed *feed);
void feed__probe(struct feed *feed);
struct feed_cmd *feed__send(struct feed *feed, struct outcmd *text, unsigned flags,
                            feed_done_fn *done);
void feed__give_up(struct feed *feed, enum status why, const struct response *tagged);
void feed__after_scan(struct feed *feed);
/* Flags (and which messages there are) by FETCH, in one command or in windows. */
void feed__fetch_all(struct feed *feed);
/* After SELECT, once the model is the one that goes with it. */
void feed__go_on(struct feed *feed);
/* The model is of another mailbox; false: the feed is gone with those who looked at it. */
bool feed__forget_model(struct feed *feed);
/* --- feed_map.c --- */
/* Ask for numbers and flags by SEARCH; false: that cannot be had here. */
bool feed__map(struct feed *feed);
void feed__drop_map(struct feed *feed);
/* An ESEARCH for @search; the command's end. */
/* The same of a SEARCH without tags. */
bool feed__map_plain(struct feed *feed, struct search *search, const struct response *response);
void feed__map_answer(struct feed *feed, struct search *search, const struct response *response);
/* --- feed_runs.c --- */
/* The model has more messages than there are: find out which have gone, by a few numbers.  False: that
 * does not pay, or was tried. */
bool feed__find_runs(struct feed *feed);
void feed__drop_runs(struct feed *feed);
/* A FETCH with a UID while that is under way. */
void feed__runs_answer(struct feed *feed, uint32_t msn, uint32_t uid);
/* --- feed_stash.c --- */
/* SELECT asks for what has changed since, where the server can tell. */
void feed__stash_begin(struct feed *feed, struct outcmd *cmd);
/* A response that came before the end of that SELECT. */
void feed__stash(struct feed *feed, const struct response *response);
/* Into the model; false: nothing was told, or not all could be kept. */
bool feed__unstash(struct feed *feed);
/* --- feed_check.c --- */
/* Ask whether what is kept is of this mailbox; false: there is nothing to look at. */
bool feed__check_identity(struct feed *feed);
/* The same of a model that is true already, before it is live. */
bool feed__last_check(struct feed *feed);
void feed__check_answer(struct feed *feed, const struct response *response);
void feed__drop_records(struct feed *feed);
/* Its link may be in another mailbox than its name is of: it is selected anew when nothing is under way.
 * So it seems by a UIDVALIDITY that was named for it; by an untagged NO or BAD. */
void feed__doubt(struct feed *feed, uint32_t uidvalidity);
void feed__complained(struct feed *feed, const struct response *response);
bool feed__has_doubts(const struct feed *feed);
void feed__check_doubts(struct feed *feed);
/* SELECT is about to settle them. */
void feed__forget_doubts(struct feed *feed);
/* --- feed_early.c --- */
/* Snapshot of what SELECT has answered. */
void feed__answered(struct feed *feed);
/* May those who open the mailbox now be answered with it? */
bool feed__can_be_early(const struct feed *feed);
/* For users who were answered before numbers were known: it has gone. */
void feed__note_gone(struct feed *feed, const struct gone *gone);
void feed__open_early(struct feed *feed);
/* The link that told them is lost. */
void feed__set_adrift(struct feed *feed);
/* The UIDVALIDITY is @uidvalidity now: who was told another one, or has a view when @views, goes. */
void feed__send_away(struct feed *feed, uint32_t uidvalidity, bool views);
#endif
