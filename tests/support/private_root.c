/* Preloaded into the programs of a server that lies in a private root (conf/servers): what they have fixed at
 * compile time and no option changes.
 *   IMAPJUDGE_AUTHSOCKET   instead of Courier's socket of its password daemon
 *   IMAPJUDGE_SYSLOG       file that gets what they tell the system's log
 * Nothing is synced to disk: the mail of a test need not survive a power loss.
 * Thread: any.  Owns nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define COURIER_SOCKET "/run/courier/authdaemon/socket"

typedef int connect_function(int fd, const struct sockaddr *address, socklen_t length);

static int connect_really(int fd, const struct sockaddr *address, socklen_t length)
{
    connect_function *next = (connect_function *)dlsym(RTLD_NEXT, "connect");
    return next(fd, address, length);
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    const struct sockaddr_un *asked = (const struct sockaddr_un *)address;
    const char *mine = getenv("IMAPJUDGE_AUTHSOCKET");

    if (mine && address->sa_family == AF_UNIX && strcmp(asked->sun_path, COURIER_SOCKET) == 0) {
        struct sockaddr_un instead = {.sun_family = AF_UNIX};
        snprintf(instead.sun_path, sizeof(instead.sun_path), "%s", mine);
        return connect_really(fd, (const struct sockaddr *)&instead, sizeof(instead));
    }
    return connect_really(fd, address, length);
}

static void log_line(const char *format, va_list arguments)
{
    int error = errno; /* for %m */
    const char *path = getenv("IMAPJUDGE_SYSLOG");
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;

    if (fd >= 0) {
        dprintf(fd, "[%d] ", (int)getpid());
        errno = error;
        vdprintf(fd, format, arguments);
        dprintf(fd, "\n");
        close(fd);
    }
    errno = error;
}

void syslog(int priority, const char *format, ...)
{
    va_list arguments;

    if (LOG_PRI(priority) < LOG_DEBUG) {
        va_start(arguments, format);
        log_line(format, arguments);
        va_end(arguments);
    }
}

void __syslog_chk(int priority, int flag, const char *format, ...);
void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list arguments;

    (void)flag;
    if (LOG_PRI(priority) < LOG_DEBUG) {
        va_start(arguments, format);
        log_line(format, arguments);
        va_end(arguments);
    }
}

/* Answers go out as they are written: the other side's delayed acknowledgement would cost 40 ms each. */
int accept(int fd, struct sockaddr *address, socklen_t *length)
{
    typedef int accept_function(int fd, struct sockaddr *address, socklen_t *length);
    accept_function *next = (accept_function *)dlsym(RTLD_NEXT, "accept");
    int made = next(fd, address, length), on = 1;

    if (made >= 0) {
        int error = errno;
        setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* refused by a Unix socket */
        errno = error;
    }
    return made;
}

/* The user its package would have made. */
struct passwd *getpwnam(const char *name)
{
    typedef struct passwd *getpwnam_function(const char *name);
    getpwnam_function *next = (getpwnam_function *)dlsym(RTLD_NEXT, "getpwnam");
    struct passwd *found = next(name);

    return !found && strcmp(name, "courier") == 0 ? next("nobody") : found;
}

int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}
