#ifndef STORE_SEARCH_P_H
#define STORE_SEARCH_P_H
/* DBI_SEARCHES: mailbox id, hash of the name -> sum, length of the name, name, octets.
 * DBI_SEARCHED, under the same key: when it was used last, and how long it is.     Thread: any. */
#include "key_p.h"
#include "op_p.h"

enum { SEARCH_HEAD_BYTES = 16 };

struct search_use {
    uint64_t stamp; /* rises with every use, also over starts */
    uint64_t bytes;
};

struct key search_key(uint64_t mailbox_id, const unsigned char hash[NAME_HASH_BYTES]);
/* @to has room for SEARCH_HEAD_BYTES and both. */
void search_value_write(char *to, const struct key *key, struct slice name, struct slice octets);
/* False: damaged.  Borrows from @value. */
bool search_value_read(const struct key *key, struct slice value, struct slice *name_out,
                       struct slice *octets_out);

#endif
