#ifndef MODEL_FLAGSET_H
#define MODEL_FLAGSET_H
/* Interned flag sets of one mailbox: a message holds a 32-bit id, equal sets have equal ids, and
 * the text of a set, "(\Seen $Forwarded)", is made once.  Keywords compare without case (ASCII),
 * the first spelling stays.  \Recent is never in a set: it belongs to a view.  Vendor flags such as
 * \Junk are keywords, backslash included.
 * Limits: FLAGS_KEYWORDS_MAX keywords a mailbox, FLAGS_KEYWORD_LEN octets each, FLAGS_SET_MAX of
 * them on one message, FLAGS_BYTES_MAX for all sets; beyond, LIMIT.
 * An id lives while something refers to it, else until the next flags_sweep(),
 * which mailbox_sync_point() calls: whoever keeps an id over a loop turn takes a reference.
 * Owner: the mailbox.  Thread: loop.  RFC 9051 2.3.2, RFC 3501 2.3.2 */
#include "base/slice.h"
#include "base/status.h"

enum {
    FLAG_ANSWERED = 1,
    FLAG_FLAGGED = 2,
    FLAG_DELETED = 4,
    FLAG_SEEN = 8,
    FLAG_DRAFT = 16,
    FLAG_ALL_SYSTEM = 31
};

enum {
    FLAGS_KEYWORDS_MAX = 4096,
    FLAGS_KEYWORD_LEN = 512,
    FLAGS_SET_MAX = 256,
    FLAGS_BYTES_MAX = 64 * 1024 * 1024,
    FLAGS_NONE = 0 /* id of the empty set, always valid */
};

struct flags; /* the table */

/* A set being put together; zero it first.  Order and repetition do not matter. */
struct flag_list {
    uint8_t bits; /* FLAG_SEEN ... */
    uint16_t n;
    uint16_t keyword[FLAGS_SET_MAX];
};

enum flag_op { FLAG_OP_SET, FLAG_OP_ADD, FLAG_OP_REMOVE };

struct flags *flags_create(void);
void flags_destroy(struct flags **flags);

/* FLAG_SEEN for "\Seen" in any case ..., 0 for anything else ("\Recent", keywords). */
uint8_t flag_bit_named(struct slice name);
/* Id of a keyword, made when new.  LIMIT (too many, too long), SYNTAX (empty, or with octets that
 * cannot stand in a FLAGS list; otherwise more than an atom may hold, as upstreams do). */
enum status flags_keyword(struct flags *flags, struct slice name, uint16_t *id_out) MUST_USE;
/* Like flags_keyword, never making one. */
bool flags_find_keyword(const struct flags *flags, struct slice name, uint16_t *id_out);
size_t flags_keyword_n(const struct flags *flags);
/* First spelling; id < flags_keyword_n(). */
struct slice flags_keyword_name(const struct flags *flags, uint16_t id);

/* Add one flag as it stands in a FLAGS list: system flag, keyword, or \Recent (ignored). */
enum status flag_list_add(struct flag_list *list, struct flags *flags, struct slice flag) MUST_USE;

/* Id of the set; LIMIT when the table is full. */
enum status flags_intern(struct flags *flags, const struct flag_list *list,
                         uint32_t *id_out) MUST_USE;
/* Id of @id with @operand put in its place, added, or taken away. */
enum status flags_apply(struct flags *flags, uint32_t id, enum flag_op op, uint32_t operand,
                        uint32_t *id_out) MUST_USE;

uint8_t flags_bits(const struct flags *flags, uint32_t id);
bool flags_has_keyword(const struct flags *flags, uint32_t id, uint16_t keyword);
/* "(\Answered \Seen $Forwarded)"; system flags in the order of the bits, keywords by id.
 * Stays where it is as long as the id lives. */
struct slice flags_text(const struct flags *flags, uint32_t id);
/* Keyword ids, ascending; borrowed as long as the id lives. */
const uint16_t *flags_keywords_of(const struct flags *flags, uint32_t id, size_t *n_out);

/* Ids are < this. */
uint32_t flags_id_end(const struct flags *flags);
bool flags_is_live(const struct flags *flags, uint32_t id);
/* Keep an id over a sweep (the mailbox does so for each of its messages). */
void flags_ref(struct flags *flags, uint32_t id, uint32_t n);
void flags_unref(struct flags *flags, uint32_t id, uint32_t n);
/* Forget sets nobody refers to.  Every id not referred to is invalid afterwards. */
void flags_sweep(struct flags *flags);

#endif
