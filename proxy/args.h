#ifndef ROOT_ARGS_H
#define ROOT_ARGS_H
/* The command line.  Strings in the result point into argv.    Thread: main (getopt is global). */
#include "base/buf.h"
#include "config.h"

enum args_action {
    ARGS_RUN,
    ARGS_CHECK,   /* --check-config */
    ARGS_VERSION, /* --version */
    ARGS_HELP,    /* --help */
    ARGS_BAD,     /* one line in errors */
};

enum args_action args_parse(int argc, char **argv, struct config_source *source_out,
                            struct buf *errors);
/* What --help prints. */
const char *args_help(void);

#endif
