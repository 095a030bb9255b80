#ifndef IMAP_ARGS_H
#define IMAP_ARGS_H
/* Arguments of each command, typed.  All text is decoded; strings borrow from the unit or the
 * command's arena.  Mailbox names: INBOX in any case is "INBOX", others exact octets.
 * Thread: any.   RFC 3501 section 6 and those of the extensions. */
#include "imap/fetchitem.h"
#include "imap/flags.h"
#include "imap/searchtree.h"
#include "imap/seqset.h"
#include "imap/statusitem.h"

enum { ARGS_LIST_MAX = 256 }; /* patterns, rights, entries, capabilities, ID fields */

struct args_login {
    struct slice user;
    struct slice password;
};

struct args_authenticate {
    struct slice mechanism; /* upper case is the caller's comparison: as written */
    bool has_initial;
    struct slice initial; /* base64 as written; "=" is given as an empty one */
};

/* ENABLE; also the field/value pairs of ID (value {NULL, 0} = NIL; n counts both). */
struct args_words {
    const struct slice *at;
    size_t n;
};

struct args_select { /* SELECT, EXAMINE */
    struct slice mailbox;
    bool is_condstore; /* CONDSTORE or QRESYNC given */
    bool is_qresync;
    uint32_t uidvalidity; /* the rest only with is_qresync */
    uint64_t modseq;
    struct seqset known_uids; /* n = 0: not given */
    struct seqset match_seqs; /* n = 0: not given */
    struct seqset match_uids;
};

struct args_create {
    struct slice mailbox;
    const struct slice *uses; /* USE (\Sent ...), RFC 6154 */
    size_t uses_n;
};

struct args_rename {
    struct slice from;
    struct slice to;
};

enum list_option {
    LIST_SELECT_SUBSCRIBED = 1,
    LIST_SELECT_REMOTE = 2,
    LIST_SELECT_RECURSIVEMATCH = 4,
    LIST_SELECT_SPECIAL_USE = 8,
    LIST_RETURN_SUBSCRIBED = 16,
    LIST_RETURN_CHILDREN = 32,
    LIST_RETURN_SPECIAL_USE = 64,
    LIST_RETURN_STATUS = 128,
    LIST_RETURN_MYRIGHTS = 256
};

struct args_list { /* LIST, LSUB, XLIST */
    struct slice reference;
    const struct slice *patterns;
    size_t patterns_n;
    bool is_extended; /* any option, several patterns, or a parenthesised one */
    unsigned options; /* enum list_option */
    unsigned status_items;
};

struct args_status {
    struct slice mailbox;
    unsigned items;
};

struct append_message {
    struct imap_flag_list flags;
    bool has_date;
    struct slice date; /* canonical, without quotes */
    uint64_t size;     /* of the literal */
    bool is_literal8;
    struct slice octets; /* data NULL: streamed, not in the text */
};

struct args_append {
    struct slice mailbox;
    struct append_message *messages; /* at least one; more than one: MULTIAPPEND, RFC 3502 */
    size_t n, cap;
};

enum thread_algorithm { THREAD_ORDEREDSUBJECT, THREAD_REFERENCES, THREAD_REFS };

struct args_search { /* SEARCH, SORT, THREAD; RETURN of SORT: RFC 5267 3 */
    bool has_return;
    unsigned returns; /* enum search_return; RETURN () is SEARCH_RETURN_ALL */
    /* SEARCH_RETURN_PARTIAL, RFC 9394 3.1: as written, the answer repeats it; "A range 500:400 is
     * the same as 400:500."  From the end: without the two "-". */
    bool has_partial;
    bool is_partial_from_end;
    uint32_t partial_first, partial_last;
    struct slice charset;      /* empty: not given.  SORT and THREAD: always given */
    struct slice sort_program; /* SORT: "REVERSE DATE SUBJECT", upper case, one space between */
    enum thread_algorithm algorithm;
    struct search_node *root;
};

struct args_fetch {
    struct seqset set;
    struct fetch_items items;
    bool has_changedsince;
    uint64_t changedsince;
    bool is_vanished;
    /* UID FETCH, RFC 9394 3.3: that slice of the messages the set names, in ascending order;
     * written as in args_search */
    bool has_partial;
    bool is_partial_from_end;
    uint32_t partial_first, partial_last;
};

enum store_mode { STORE_MODE_SET, STORE_MODE_ADD, STORE_MODE_REMOVE };

struct args_store {
    struct seqset set;
    enum store_mode mode;
    bool is_silent;
    struct imap_flag_list flags;
    bool has_unchangedsince;
    uint64_t unchangedsince;
    /* X-GM-LABELS instead of FLAGS: labels as decoded strings */
    bool is_gm_labels;
    const struct slice *labels;
    size_t labels_n;
};

struct args_copy { /* COPY, MOVE */
    struct seqset set;
    struct slice mailbox;
};

struct args_quota { /* SETQUOTA */
    struct slice root;
    const struct slice *resources; /* upper case */
    const uint64_t *limits;
    size_t n;
};

struct args_acl { /* SETACL, DELETEACL, LISTRIGHTS */
    struct slice mailbox;
    struct slice identifier;
    struct slice rights; /* SETACL: with its "+" or "-" */
};

struct args_metadata {    /* GETMETADATA, SETMETADATA */
    struct slice mailbox; /* empty: the server's */
    bool has_maxsize;
    uint64_t maxsize;
    struct slice depth; /* "0", "1", "infinity" or empty */
    const struct slice *entries;
    const struct slice *values; /* SETMETADATA; {NULL, 0} = NIL: remove */
    size_t n;
};

/* "INBOX" in any case -> "INBOX"; others unchanged. */
struct slice mailbox_canonical(struct slice name);

#endif
