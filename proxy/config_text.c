#include "config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool config_text_read(const char *path, struct buf *text, struct buf *errors)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        buf_printf(errors, "%s: cannot be opened: %s\n", path, strerror(errno));
        return false;
    }
    ssize_t n = 0;
    do {
        char *room = buf_room(text, 4096);
        n = room == NULL ? -1 : read(fd, room, 4096);
        if (n > 0) {
            buf_grew(text, (size_t)n);
        }
    } while (n > 0);
    int read_errno = errno;
    (void)close(fd);
    if (n < 0) {
        buf_printf(errors, "%s: cannot be read: %s\n", path,
                   buf_ok(text) ? strerror(read_errno) : "larger than 1 MiB");
        return false;
    }
    if (text->len > 0 && memchr(text->data, '\0', text->len) != NULL) {
        buf_printf(errors, "%s: is not a text file\n", path);
        return false;
    }
    buf_add_char(text, '\0');
    return buf_ok(text);
}

struct scan {
    char *at;
    int line;
    int depth;
    int opened_line; /* of the outermost open brace */
    bool in_word;    /* libconfuse starts a comment with "//" only between words */
    const char *wrong;
    int wrong_line;
};

static void scan_fail(struct scan *scan, int line, const char *wrong)
{
    if (scan->wrong == NULL) {
        scan->wrong = wrong;
        scan->wrong_line = line;
    }
}

static void blank_line_comment(struct scan *scan)
{
    while (*scan->at != '\0' && *scan->at != '\n') {
        *scan->at++ = ' ';
    }
}

static void blank_block_comment(struct scan *scan)
{
    int opened = scan->line;
    memcpy(scan->at, "  ", 2);
    scan->at += 2;
    while (*scan->at != '\0' && strncmp(scan->at, "*/", 2) != 0) {
        scan->line += *scan->at == '\n';
        *scan->at = *scan->at == '\n' ? '\n' : ' ';
        scan->at++;
    }
    if (*scan->at == '\0') {
        scan_fail(scan, opened, "the comment opened here is not closed");
        return;
    }
    memcpy(scan->at, "  ", 2);
    scan->at += 2;
}

static void skip_quoted(struct scan *scan)
{
    char quote = *scan->at++;
    int opened = scan->line;
    while (*scan->at != '\0' && *scan->at != quote) {
        if (*scan->at == '\\' && scan->at[1] != '\0') {
            scan->at++;
        }
        if (*scan->at == '\n') {
            scan_fail(scan, opened, "the quoted text opened here is not closed on its line");
            return;
        }
        scan->at++;
    }
    if (*scan->at == '\0') {
        scan_fail(scan, opened, "the quoted text opened here is not closed");
        return;
    }
    scan->at++;
}

static void skip_variable(struct scan *scan)
{
    size_t len = strcspn(scan->at, "}\n");
    if (scan->at[len] != '}') {
        scan_fail(scan, scan->line, "the \"${\" opened here is not closed on its line");
    }
    scan->at += len + (scan->at[len] == '}');
}

static void scan_char(struct scan *scan)
{
    char c = *scan->at++;
    scan->in_word = strchr(" \t\r\n={}()+,", c) == NULL;
    if (c == '\n') {
        scan->line++;
    } else if (c == '*' || c == '\\') {
        scan_fail(scan, scan->line, "\"*\" and \"\\\" are allowed only inside quotes");
    } else if (c == '{') {
        if (scan->depth++ == 0) {
            scan->opened_line = scan->line;
        }
    } else if (c == '}' && --scan->depth < 0) {
        scan_fail(scan, scan->line, "this \"}\" closes nothing");
    }
}

static void scan_step(struct scan *scan)
{
    char c = scan->at[0];
    char next = scan->at[1];
    if (c == '#' || (c == '/' && next == '/' && !scan->in_word)) {
        blank_line_comment(scan);
    } else if (c == '/' && next == '*' && !scan->in_word) {
        blank_block_comment(scan);
    } else if (c == '"' || c == '\'') {
        skip_quoted(scan);
        scan->in_word = false;
    } else if (c == '$' && next == '{') {
        skip_variable(scan);
        scan->in_word = false;
    } else {
        scan_char(scan);
    }
}

bool config_text_prepare(const char *path, struct buf *text, struct buf *errors)
{
    struct scan scan = {.at = text->data, .line = 1};
    while (*scan.at != '\0' && scan.wrong == NULL) {
        scan_step(&scan);
    }
    if (scan.depth > 0) {
        scan_fail(&scan, scan.opened_line, "the \"{\" opened here is not closed");
    }
    if (scan.wrong != NULL) {
        buf_printf(errors, "%s:%d: %s\n", path, scan.wrong_line, scan.wrong);
        return false;
    }
    return true;
}
