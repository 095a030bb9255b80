#ifndef IMAP_ARGS_P_H
#define IMAP_ARGS_P_H
/* Parsers of arguments; each begins behind the command's name and leaves failures in the lexer. */
#include "imap/command.h"

struct args {
    struct lexer *lx;
    struct arena *arena;
    struct command *cmd;
};

typedef void (*args_parse_fn)(const struct args *args);

/* SP astring. */
struct slice args__astring(const struct args *args);
/* SP mailbox. */
struct slice args__mailbox(const struct args *args);
/* SP sequence-set. */
void args__set(const struct args *args, struct seqset *out);
/* SP partial-range: two numbers, both from the beginning or both ("-1:-100") from the end. */
struct args_partial {
    bool is_from_end;
    uint32_t first, last;
};
void args__partial(const struct args *args, struct args_partial *out);
/* Does " (" follow?  Takes both. */
bool args__take_list(const struct args *args);
/* Fail with the words the client is told. */
void args__fail(const struct args *args, const char *problem);
/* Fail with @st unless it is OK. */
void args__status(const struct args *args, enum status st);

void args__list(const struct args *args);
void args__lsub(const struct args *args);
void args__search(const struct args *args);
void args__sort(const struct args *args);
void args__thread(const struct args *args);
void args__fetch(const struct args *args);
void args__store(const struct args *args);
void args__copy(const struct args *args);
void args__expunge(const struct args *args);
void args__quota(const struct args *args);
void args__acl(const struct args *args);
void args__get_metadata(const struct args *args);
void args__set_metadata(const struct args *args);
void args__login(const struct args *args);
void args__authenticate(const struct args *args);
void args__enable(const struct args *args);
void args__id(const struct args *args);
void args__select(const struct args *args);
void args__create(const struct args *args);
void args__rename(const struct args *args);
void args__box_status(const struct args *args);
void args__append(const struct args *args);
/* Messages behind the mailbox, or behind those that were read before. */
void args__append_messages(const struct args *args);
/* One mailbox, one other name. */
void args__one_mailbox(const struct args *args);
void args__one_name(const struct args *args);

#endif
