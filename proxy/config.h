#ifndef ROOT_CONFIG_H
#define ROOT_CONFIG_H
/* Builds a settings snapshot out of defaults, a configuration file and the command line; the
 * command line wins.  Reads the files it must (configuration; that certificates and CA files can be
 * opened), opens no socket.
 * Owner: the caller holds the settings returned, settings_release() frees them.
 * Thread: any, one call at a time (libconfuse's lexer is one per process). */
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/settings.h"

enum { CONFIG_LISTEN_MAX = 16 };

#define CONFIG_DEFAULT_LISTEN "127.0.0.1:1143"
#define CONFIG_DEFAULT_CACHE_DIR "/var/cache/imapcached"

/* What the command line said; strings are borrowed. */
struct config_source {
    const char *file;         /* --config; NULL: none */
    const char *upstream_url; /* --upstream, instead of the file's upstreams */
    const char *cache_dir;
    const char *log_level;
    const char *listen[CONFIG_LISTEN_MAX]; /* --listen, instead of the file's listeners */
    size_t listen_n;
};

/* NULL: @errors (initialised by the caller) has a line "file:line: what is wrong, what is
 * expected", or one that begins with the option's name. */
const struct settings *config_load(const struct config_source *source, struct buf *errors);

#endif
