#ifndef STORE_MAILBOX_P_H
#define STORE_MAILBOX_P_H
/* DBI_MAILBOXES: hash, uidvalidity -> sum, id, length of the account, account, name. */
#include "key_p.h"
#include "op_p.h"

struct mailbox_value {
    uint64_t id;
    struct slice account;
    struct slice name;
};

struct key mailbox_key(const unsigned char hash[NAME_HASH_BYTES], uint32_t uidvalidity);
bool mailbox_value_read(const struct key *key, struct slice value, struct mailbox_value *out);

#endif
