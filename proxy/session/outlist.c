#include "outlist_p.h"

struct option_row {
    unsigned bit;
    const char *name;
};

static void add_options(struct outcmd *cmd, unsigned options, const struct option_row *row,
                        bool *some)
{
    for (; row->name != NULL; row++) {
        if ((options & row->bit) != 0) {
            outcmd_str(cmd, *some ? " " : "");
            outcmd_str(cmd, row->name);
            *some = true;
        }
    }
}

static const struct option_row select_options[] = {
    {LIST_SELECT_SUBSCRIBED, "SUBSCRIBED"},   {LIST_SELECT_REMOTE, "REMOTE"},
    {LIST_SELECT_SPECIAL_USE, "SPECIAL-USE"}, {LIST_SELECT_RECURSIVEMATCH, "RECURSIVEMATCH"},
    {0, NULL}};
static const struct option_row return_options[] = {
    {LIST_RETURN_SUBSCRIBED, "SUBSCRIBED"},   {LIST_RETURN_CHILDREN, "CHILDREN"},
    {LIST_RETURN_SPECIAL_USE, "SPECIAL-USE"}, {LIST_RETURN_MYRIGHTS, "MYRIGHTS"},
    {0, NULL}};

static void write_patterns(struct outcmd *cmd, const struct args_list *args)
{
    outcmd_mailbox(cmd, args->reference);
    outcmd_str(cmd, args->patterns_n > 1 ? " (" : " ");
    for (size_t i = 0; i < args->patterns_n; i++) {
        outcmd_str(cmd, i > 0 ? " " : "");
        outcmd_string(cmd, args->patterns[i]);
    }
    outcmd_str(cmd, args->patterns_n > 1 ? ")" : "");
}

void outlist_write(struct outcmd *cmd, const struct args_list *args)
{
    enum { SELECTS = LIST_SELECT_SUBSCRIBED | LIST_SELECT_REMOTE | LIST_SELECT_RECURSIVEMATCH |
                     LIST_SELECT_SPECIAL_USE };
    bool some = false;
    outcmd_str(cmd, "LIST ");
    /* As an extended one "" is a name like any other, and there is none (RFC 5258 3). */
    if ((args->options & SELECTS) != 0 || args->is_extended) {
        outcmd_str(cmd, "(");
        add_options(cmd, args->options, select_options, &some);
        outcmd_str(cmd, ") ");
    }
    write_patterns(cmd, args);
    if ((args->options & ~(unsigned)SELECTS) == 0) {
        return;
    }
    some = false;
    outcmd_str(cmd, " RETURN (");
    add_options(cmd, args->options, return_options, &some);
    if ((args->options & LIST_RETURN_STATUS) != 0) {
        struct buf items;
        buf_init(&items, 0);
        status_items_write(args->status_items, &items);
        outcmd_str(cmd, some ? " STATUS (" : "STATUS (");
        outcmd_token(cmd, buf_slice(&items));
        outcmd_str(cmd, ")");
        buf_fini(&items);
    }
    outcmd_str(cmd, ")");
}
