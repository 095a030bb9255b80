#include "args.h"

#include <getopt.h>

enum { ARG_UPSTREAM = 256, ARG_LISTEN, ARG_CACHE, ARG_CONFIG, ARG_CHECK, ARG_LOG, ARG_VERSION };

const char *args_help(void)
{
    return "imapcached " IMAPCACHED_VERSION ", an IMAP caching proxy\n"
           "usage: imapcached --upstream URL [options]\n"
           "       imapcached --config FILE [options]\n"
           "\n"
           "  --upstream URL       the mail provider: imaps://HOST[:PORT], or imap://HOST[:PORT]\n"
           "                       (STARTTLS; cleartext only when the address is loopback)\n"
           "  --listen ADDR:PORT   where mail programs connect; may be given several times\n"
           "                       (default " CONFIG_DEFAULT_LISTEN ")\n"
           "  --cache DIR          where the cache is kept (default " CONFIG_DEFAULT_CACHE_DIR ")\n"
           "  --config FILE        configuration file; options here win over it\n"
           "  --check-config       check configuration and certificates, then end\n"
           "  --log-level LEVEL    debug, info, warn or error (default info)\n"
           "  --version            print the version\n"
           "  --help               print this\n"
           "\n"
           "Runs in the foreground and logs to standard error.  SIGTERM ends it in order, SIGHUP\n"
           "reads configuration and certificates anew.  Exit status: 0 ended in order, 1 could "
           "not\n"
           "start or failed, 2 wrong configuration or command line.\n"
           "See imapcached(1) and imapcached.conf(5).\n";
}

static bool add_listen(struct config_source *source, const char *address, struct buf *errors)
{
    if (source->listen_n == CONFIG_LISTEN_MAX) {
        buf_printf(errors, "--listen %s: at most %d can be given here; use --config\n", address,
                   CONFIG_LISTEN_MAX);
        return false;
    }
    source->listen[source->listen_n++] = address;
    return true;
}

static enum args_action refuse(char **argv, int option, struct buf *errors)
{
    const char *word = argv[optind - 1];
    if (option == ':') {
        buf_printf(errors, "%s: a value is expected after it; see --help\n", word);
    } else {
        buf_printf(errors, "%s: unknown option; see --help\n", word);
    }
    return ARGS_BAD;
}

enum args_action args_parse(int argc, char **argv, struct config_source *source_out,
                            struct buf *errors)
{
    static const struct option options[] = {
        {"upstream", required_argument, NULL, ARG_UPSTREAM},
        {"listen", required_argument, NULL, ARG_LISTEN},
        {"cache", required_argument, NULL, ARG_CACHE},
        {"config", required_argument, NULL, ARG_CONFIG},
        {"check-config", no_argument, NULL, ARG_CHECK},
        {"log-level", required_argument, NULL, ARG_LOG},
        {"version", no_argument, NULL, ARG_VERSION},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    enum args_action action = ARGS_RUN;
    int option;
    *source_out = (struct config_source){0};
    optind = 0; /* glibc: start anew */
    while ((option = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
        switch (option) {
        case ARG_UPSTREAM:
            source_out->upstream_url = optarg;
            break;
        case ARG_LISTEN:
            if (!add_listen(source_out, optarg, errors)) {
                return ARGS_BAD;
            }
            break;
        case ARG_CACHE:
            source_out->cache_dir = optarg;
            break;
        case ARG_CONFIG:
            source_out->file = optarg;
            break;
        case ARG_CHECK:
            action = ARGS_CHECK;
            break;
        case ARG_LOG:
            source_out->log_level = optarg;
            break;
        case ARG_VERSION:
            return ARGS_VERSION;
        case 'h':
            return ARGS_HELP;
        default:
            return refuse(argv, option, errors);
        }
    }
    if (optind < argc) {
        buf_printf(errors, "%s: an option is expected; see --help\n", argv[optind]);
        return ARGS_BAD;
    }
    return action;
}
