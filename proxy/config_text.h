#ifndef ROOT_CONFIG_TEXT_H
#define ROOT_CONFIG_TEXT_H
/* The text of a configuration file, made ready for libconfuse.  libconfuse 3.3 counts a comment's
 * line twice, takes the end of the file for a missing "}", and drops a "*" outside quotes without a
 * word; so comments are blanked here (lines stay where they are) and the rest is refused with its
 * own line number.                                                              Thread: any. */
#include <stdbool.h>

#include "base/buf.h"

enum { CONFIG_TEXT_MAX = 1024 * 1024 };

/* Read @path into @text (initialised, empty), NUL-terminated.  False: one line in @errors. */
bool config_text_read(const char *path, struct buf *text, struct buf *errors);
/* Blank the comments in @text; false: "path:line: what is wrong" in @errors. */
bool config_text_prepare(const char *path, struct buf *text, struct buf *errors);

#endif
