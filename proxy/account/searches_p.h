#ifndef SEARCHES_P_H
#define SEARCHES_P_H
/* The inside of a feed's searches.
 *
 *   searches ── entries: one per part, by its name; known and hit
 *                   ├── pieces: commands under way upstream about disjoint sets of UIDs
 *                   └── asks:   who waits; each for the UIDs that are left
 *
 * searches.c: entries, their caps; searches_ask.c: asks, pieces, answers; searches_write.c: sets and
 * commands; searches_settle.c: which messages are too young; searches_keep.c: the store.
 * Owner of memory: the feed.  Thread: loop. */
#include "account/searches.h"
#include "base/bitmap.h"
#include "feed_p.h"
#include "imap/searchcanon.h"

enum {
    SEARCHES_BULK_FROM = 500,   /* messages whose bodies are searched: on a link of their own */
    SEARCHES_REPEATS_MAX = 4,   /* for links that were lost by no fault of the command */
    SEARCHES_LEFT_MAX = 8,      /* commands under way that go on for nobody, but what is learnt */
    SEARCHES_WRITE_MS = 3000,   /* what is new is gathered so long */
    SEARCHES_TAIL = 100,        /* messages that may be young when the mailbox is opened */
    SEARCHES_YOUNG_MAX = 256,   /* runs of them told apart */
};

/* UIDs that were asked about. */
struct search_sifted {
    uint64_t sent_ms;    /* when */
    struct bitmap *keep; /* the link knew them, and they were old enough */
    struct bitmap *late; /* the link knew them; how old they are is not known yet */
};

struct search_entry {
    UT_hash_handle hh;
    struct search_entry *next, *prev; /* in searches->used, the least recently used first, or ->unlisted */
    struct searches *searches;
    bool is_listed; /* by name; else it is asked each time, and goes with its last ask */
    bool is_accepted; /* the upstream has answered OK */
    bool is_dirty; /* not all of it is kept */
    struct bitmap *known, *hit;
    /* Answered while it was not known how old the message is. */
    struct bitmap *late_hit;
    struct search_sifted late; /* keep is empty between calls */
    size_t bytes; /* as counted in searches->bytes */
    struct search_piece *pieces;
    struct search_ask *asks;
    size_t name_len;
    char name[];
};

/* One upstream command. */
struct search_piece {
    struct search_piece *next, *prev;
    struct search_entry *entry;
    struct request *request;
    struct outcmd plain;    /* to be sent again as */
    struct bitmap *asked, *hit;
    struct search_sifted sifted;
    uint64_t most;          /* messages there are of what was asked about, at most */
    bool is_extended;       /* ESEARCH was asked for */
    bool has_answer;        /* and came */
    bool is_garbled;        /* some of what came could not be read */
    bool has_died;          /* its link did */
    unsigned repeats_n;
};

struct search_ask {
    struct search_ask *next, *prev;
    struct evloop *loop;
    struct search_entry *entry; /* NULL: about to be told */
    struct bitmap *uids, *left, *hit;
    bool wants_word; /* whether it is accepted at all */
    enum status status;
    bool is_lost;
    struct buf refusal;
    search_done_fn *done;
    void *arg;
    struct task task;
};

/* UIDs that are too young until then. */
struct search_young {
    uint32_t first, last;
    uint64_t until_ms;
};

struct search_date {
    uint32_t uid;
    struct pending *pending;
};

struct search_settling {
    struct bitmap *suspects; /* there at the opening, how old is not known yet */
    uint64_t opened_ms;    /* when the feed became live first; 0: not yet */
    uint32_t kept_uidnext; /* of the model that was loaded; 0: none was */
    uint32_t met_uid; /* those up to it were looked at; above: is the feed not live yet? */
    struct search_young young[SEARCHES_YOUNG_MAX];
    size_t young_n;
    struct search_date dates[SEARCHES_TAIL]; /* asked for */
    size_t dates_n;
    struct plan *plan;    /* of whom */
    struct plan_waiter waiter;
    struct arena arena;
    struct fetch_item item;
};

struct searches {
    struct feed *feed;
    uint64_t store_id;
    struct search_entry *entries; /* by name */
    struct search_entry *used;
    struct search_entry *unlisted; /* those that are asked each time */
    size_t bytes;
    bool esearch_is_poor;
    struct timer *write_timer;
    struct task trim_task;
    struct search_settling settling;
};

/* --- searches.c --- */
/* The feed's store id is known, or is another one now. */
void searches__begin(struct feed *feed);
/* The feed or its store id goes: who waits is told CANCELED, later.  May be NULL. */
void searches__end(struct searches **searches, bool keeps);
/* UIDs may stand for other messages than they did: nothing is known any more. */
void searches__forget(struct feed *feed);
struct search_entry *searches__entry(struct searches *searches, const struct search_part *part,
                                     struct slice charset);
/* Learnt: of what was sifted those in @hit match. */
void searches__learn(struct search_entry *entry, const struct search_sifted *sifted,
                     const struct bitmap *hit);
/* It may be known now how old those are that were late. */
void searches__learn_late(struct search_entry *entry);
/* It has changed, and is to be kept. */
void searches__grew(struct search_entry *entry);
/* Nobody waits for it, perhaps: what has not been sent is not, and what has is learnt from unless there
 * is much of that.  Freed when nobody is to find it. */
void searches__let_go(struct search_entry *entry);
void searches__cancel_pieces(struct search_entry *entry, bool unsent_only);
void searches__complete(struct search_ask *ask, enum status st, struct slice refusal, bool is_lost);

/* --- searches_write.c --- */
/* Runs over @uids and over what does not exist between them. */
void searches__close(const struct feed *feed, const struct bitmap *uids, struct ranges *runs_out);
/* So many runs that their commands would repeat long criteria too often: one, over all of them. */
void searches__widen(const struct feed *feed, size_t criteria_bytes, struct ranges *runs);
/* Take the next set for one command off the front of @runs. */
void searches__cut(const struct feed *feed, struct ranges *runs, struct ranges *set_out);
enum status searches__command(const struct search_part *part, struct slice charset,
                              const struct ranges *set, bool is_extended, struct outcmd *out) MUST_USE;
bool searches__reads_bodies(const struct search_part *part);

/* --- searches_settle.c --- */
void searches__sifted_init(struct search_sifted *sifted, uint64_t now_ms);
void searches__sifted_fini(struct search_sifted *sifted);
void searches__settle_init(struct searches *searches);
void searches__settle_fini(struct searches *searches);
/* A kept model has been loaded. */
void searches__kept(struct feed *feed);
/* The feed became live; a message has arrived while it was. */
void searches__live(struct feed *feed);
void searches__arrived(struct feed *feed, uint32_t uid);
/* What may be remembered of @asked, which is about to be sent; how old the messages are is asked for. */
void searches__sift(struct searches *searches, const struct bitmap *asked,
                    struct search_sifted *out);
/* What was late is known by now, perhaps. */
void searches__resift(struct searches *searches, struct search_sifted *sifted);

/* --- searches_keep.c --- */
/* Read into a new entry what the store has. */
void searches__load(struct search_entry *entry);
/* It is in memory and was of use. */
void searches__used(const struct search_entry *entry);
/* May be NULL. */
void searches__write(struct searches *searches);
void searches__write_soon(struct searches *searches);
/* What the kept model knows of, after it has been told what it may be told now; 0: there is none. */
uint32_t searches__kept_uidnext(const struct searches *searches);
void searches__write_entry(struct search_entry *entry, uint32_t kept_uidnext, const struct bitmap *present);

#endif
