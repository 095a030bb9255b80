#ifndef STORE_SEARCH_H
#define STORE_SEARCH_H
/* Remembered searches: under a mailbox's id and a name (the criteria in one canonical form) octets
 * of the caller's own, which say which messages are known to match.  They may always go: they are
 * re-made by asking.  What is there is what was put last, or something put before it.
 * Limits: below; per mailbox store_options.searches_max and SEARCHES_BYTES_MAX (less in a small
 * cache), the least recently used go.  They go with their mailbox, and where room is made they
 * count as a week older than they are.  Expunged messages are the caller's affair: UIDs are not
 * used twice. Thread: loop. */
#include "store/store.h"

enum {
    STORE_SEARCH_NAME_MAX = 4096,
    STORE_SEARCH_BYTES_MAX = 1024 * 1024,        /* octets of one */
    STORE_SEARCHES_BYTES_MAX = 16 * 1024 * 1024, /* of one mailbox, with their names */
    STORE_SEARCHES_MAX = 200,                    /* of one mailbox, where the options say nothing */
};

/* name, octets: copied.  LIMIT: too long, also for a cache as small as this; what was there stays.
 */
enum status store_search_put(struct store *store, uint64_t mailbox_id, struct slice name,
                             struct slice octets) MUST_USE;
/* Between store_read_begin() and _end(); borrowed until the outermost end.  Counts as a use,
 * coarsely. A record that is damaged is dropped and counted: false. */
bool store_search_get(struct store *store, uint64_t mailbox_id, struct slice name,
                      struct slice *octets_out);
/* It was used without store_search_get(): cheap, told to the disk once an hour at most. */
void store_search_used(struct store *store, uint64_t mailbox_id, struct slice name);
/* They were seen to be wrong: gone for good, also when power fails after it was acknowledged.  Not
 * needed to keep their number down. */
void store_search_drop(struct store *store, uint64_t mailbox_id, struct slice name);
void store_searches_drop(struct store *store, uint64_t mailbox_id); /* all of the mailbox */

#endif
