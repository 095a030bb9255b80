#ifndef OUTLIST_P_H
#define OUTLIST_P_H
/* LIST for an upstream that has LIST-EXTENDED.   Thread: any. */
#include "imap/args.h"
#include "imap/outcmd.h"

/* "LIST (selections) reference patterns RETURN (options)". */
void outlist_write(struct outcmd *cmd, const struct args_list *args);

#endif
