#ifndef IMAP_COMMAND_H
#define IMAP_COMMAND_H
/* The one table of commands, and the parser of a client's command.  Outside the table the answer is
 * BAD (design section 9).   Thread: any.   RFC 3501 section 6, 5.5; protocol.md T18, T33-T36. */
#include "imap/args.h"

enum command_id {
    CMD_CAPABILITY,
    CMD_NOOP,
    CMD_LOGOUT,
    CMD_ID,
    CMD_STARTTLS,
    CMD_AUTHENTICATE,
    CMD_LOGIN,
    CMD_COMPRESS, /* known so that it can be refused with a reason */
    CMD_ENABLE,
    CMD_SELECT,
    CMD_EXAMINE,
    CMD_CREATE,
    CMD_DELETE,
    CMD_RENAME,
    CMD_SUBSCRIBE,
    CMD_UNSUBSCRIBE,
    CMD_LIST,
    CMD_LSUB,
    CMD_XLIST,
    CMD_NAMESPACE,
    CMD_STATUS,
    CMD_APPEND,
    CMD_IDLE,
    CMD_GETQUOTA,
    CMD_GETQUOTAROOT,
    CMD_SETQUOTA,
    CMD_GETACL,
    CMD_SETACL,
    CMD_DELETEACL,
    CMD_LISTRIGHTS,
    CMD_MYRIGHTS,
    CMD_GETMETADATA,
    CMD_SETMETADATA,
    CMD_CHECK,
    CMD_CLOSE,
    CMD_UNSELECT,
    CMD_EXPUNGE,
    CMD_SEARCH,
    CMD_SORT,
    CMD_THREAD,
    CMD_FETCH,
    CMD_STORE,
    CMD_COPY,
    CMD_MOVE,
    CMD_N
};

enum command_state {
    COMMAND_STATE_NOT_AUTHENTICATED = 1,
    COMMAND_STATE_AUTHENTICATED = 2,
    COMMAND_STATE_SELECTED = 4,
    COMMAND_STATE_LOGOUT = 8
};

enum command_flag {
    COMMAND_USES_SEQ =
        1, /* names or is answered with message numbers: waits for BREAKS_SEQ before it */
    COMMAND_BREAKS_SEQ = 2,     /* EXPUNGE may be told while it runs */
    COMMAND_BREAKS_MAILBOX = 4, /* changes what is selected */
    COMMAND_WRITES = 8,         /* changes something upstream */
    COMMAND_UID_FORM = 16,      /* the row of "UID <name>" */
    COMMAND_NEEDS_RW = 32,      /* NO in an EXAMINE */
    COMMAND_STREAMS = 64,       /* its last literal is streamed (APPEND) */
    COMMAND_CHANGES_LIST = 128  /* changes which mailboxes there are */
};

struct command_info {
    const char *name; /* without "UID " */
    enum command_id id;
    unsigned states;
    unsigned flags;
    const char *rfc; /* "3501 6.3.1" */
};

/* NULL when there is none; letters without case. */
const struct command_info *command_find(struct slice name, bool is_uid);

struct command {
    struct slice tag;
    const struct command_info *info; /* NULL: unknown */
    const char *problem;             /* static, for the BAD text; NULL when OK */
    union {
        struct args_login login;
        struct args_authenticate authenticate;
        struct args_words words; /* ENABLE, ID */
        struct slice name; /* COMPRESS (mechanism) GETQUOTA (root); a mailbox: DELETE SUBSCRIBE
                              UNSUBSCRIBE GETQUOTAROOT GETACL MYRIGHTS */
        struct args_select select;
        struct args_create create;
        struct args_rename rename;
        struct args_list list;
        struct args_status status;
        struct args_append append;
        struct args_search search;
        struct args_fetch fetch;
        struct args_store store;
        struct args_copy copy;
        struct seqset set; /* UID EXPUNGE */
        struct args_quota quota;
        struct args_acl acl;
        struct args_metadata metadata;
    } args;
};

static inline bool command_is_uid(const struct command *cmd)
{
    return cmd->info != NULL && (cmd->info->flags & COMMAND_UID_FORM) != 0;
}

/* Parse a complete unit.  OK; SYNTAX (tag and info are set as far as they were read: an empty tag
 * means answer `* BAD`); NOT_FOUND (no such command); LIMIT (arena or a limit of a parser). The
 * unit and @arena must outlive @out. */
enum status command_parse(struct unit unit, struct arena *arena, struct command *out) MUST_USE;

/* At a READER_LITERAL event: what is this unit so far?  Gives tag and info only, like
 * command_parse() with the same results; says nothing about arguments. */
enum status command_parse_head(struct unit unit, struct command *out) MUST_USE;

/* At a READER_LITERAL event of an APPEND: OK, the announced literal is the last of the messages of
 * @out->args.append: reader_stream() or reader_collect() it; AGAIN: it belongs to the mailbox name:
 * reader_collect(); else it is wrong already.  After a stream the finished unit (holes in place)
 * goes to command_parse(). */
enum status command_parse_append(struct unit unit, struct arena *arena,
                                 struct command *out) MUST_USE;
/* At the next such event, after a streamed message: @rest is what came behind that one.  The new
 * message is added to @out, which command_parse_append() has made with the same arena. */
enum status command_parse_append_more(struct unit rest, struct arena *arena,
                                      struct command *out) MUST_USE;

#endif
