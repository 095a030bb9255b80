#ifndef IMAP_RESPDATA_H
#define IMAP_RESPDATA_H
/* The data of untagged responses other than FETCH, and the arguments of response codes.
 * Sets go into initialised ranges, whose max_n bounds a hostile upstream (LIMIT).
 * Thread: any.   RFC 3501 7.2, 4731, 4315, 5258, 7162. */
#include "base/ranges.h"
#include "imap/response.h"
#include "imap/statusitem.h"

/* LIST, LSUB, XLIST. */
enum list_attr {
    LIST_ATTR_NOSELECT = 1,
    LIST_ATTR_NOINFERIORS = 2,
    LIST_ATTR_MARKED = 4,
    LIST_ATTR_UNMARKED = 8,
    LIST_ATTR_HASCHILDREN = 16,
    LIST_ATTR_HASNOCHILDREN = 32,
    LIST_ATTR_NONEXISTENT = 64,
    LIST_ATTR_SUBSCRIBED = 128,
    LIST_ATTR_REMOTE = 256
};

struct respdata_list {
    unsigned attrs;         /* enum list_attr */
    struct slice attrs_raw; /* between the parentheses, special uses and unknown ones too */
    bool has_delimiter;     /* false: NIL */
    char delimiter;
    struct slice mailbox;  /* decoded, in the arena if it must be; INBOX canonical */
    struct slice extended; /* raw "(...)" (RFC 5258), or empty */
};
enum status respdata_list(const struct response *r, struct arena *arena,
                          struct respdata_list *out) MUST_USE;

/* STATUS. */
enum status respdata_status(const struct response *r, struct arena *arena,
                            struct slice *mailbox_out, struct status_values *out) MUST_USE;

/* SEARCH and SORT: the numbers.  *modseq_out 0 when there was none. */
enum status respdata_search(const struct response *r, struct ranges *out,
                            uint64_t *modseq_out) MUST_USE;
/* In the order said (SORT), into the arena. */
enum status respdata_numbers(const struct response *r, struct arena *arena, const uint32_t **at_out,
                             size_t *n_out) MUST_USE;

struct respdata_esearch {
    struct slice tag; /* empty: no correlator */
    bool is_uid;
    bool has_min, has_max, has_count, has_all, has_modseq;
    uint32_t min, max;
    uint64_t count, modseq;
};
/* @all: replaced; ALL without any other item is the empty set. */
/* The tag alone, empty when there is none: whose answer is it? */
struct slice respdata_esearch_tag(const struct response *r);
enum status respdata_esearch(const struct response *r, struct respdata_esearch *out,
                             struct ranges *all) MUST_USE;
/* Does it tell all that were found?  None are told by leaving ALL out, unless something else says that
 * there are some. */
bool respdata_esearch_is_whole(const struct respdata_esearch *answer);

/* VANISHED [(EARLIER)] set. */
enum status respdata_vanished(const struct response *r, bool *is_earlier_out,
                              struct ranges *out) MUST_USE;

/* Words of CAPABILITY, ENABLED (also the arguments of a CAPABILITY code): NULL @rest->data ends. */
bool respdata_word(struct slice *rest, struct slice *word_out);

/* Arguments of codes.  COPYUID: the sets in the order said, as they pair up. */
struct respdata_uidset {
    uint32_t uidvalidity;
    struct slice source; /* COPYUID only */
    struct slice dest;   /* APPENDUID: the UID or set */
};
enum status respdata_appenduid(const struct response *r, struct respdata_uidset *out) MUST_USE;
enum status respdata_copyuid(const struct response *r, struct respdata_uidset *out) MUST_USE;
/* UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ: one number. */
bool respdata_code_number(const struct response *r, uint64_t *value_out);
/* MODIFIED: the set. */
enum status respdata_modified(const struct response *r, struct ranges *out) MUST_USE;

/* THREAD: copy the nested list, every number given to @map; a number mapped to 0 goes away, its
 * children stay.  "(MODSEQ n)" is passed over.  At most LEXER_DEPTH_MAX nested, a million
 * numbers. */
enum status respdata_thread_map(const struct response *r,
                                uint32_t (*map)(void *arg, uint32_t number), void *arg,
                                struct buf *out) MUST_USE;

#endif
