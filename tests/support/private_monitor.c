/* The file alteration monitor (FAM) that Courier's imapd asks, in its own process: it looks at what
 * it is to watch every LOOK_MS.  Preloaded with private_root.c.  In place of the daemon of Debian's
 * gamin, which under load loses the end of a lock; who waits for it then sits out 120 seconds.
 * A file: told when it is gone, or another.  A directory: when its time of change is another.
 * Owner of memory: this file; one connection per process.  Thread: any one. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 10, COARSE_MS = 20, WATCHES_MAX = 16, EVENTS_MAX = 64 };
enum { FAM_DELETED = 2, FAM_CREATED = 5, FAM_ACKNOWLEDGE = 7, FAM_EXISTS = 8, FAM_END_EXIST = 9 };

/* As the programs were compiled with. */
struct fam_connection {
    int fd;
    void *client;
};

struct fam_request {
    int number;
};

struct fam_event {
    struct fam_connection *connection;
    struct fam_request request;
    char *hostname;
    char filename[PATH_MAX];
    void *user_data;
    int code;
};

struct watch {
    int number; /* 0: free */
    bool is_directory, is_told;
    char path[PATH_MAX];
    struct timespec stamp;
    ino_t inode;
};

static struct watch watches[WATCHES_MAX];
static struct fam_event events[EVENTS_MAX];
static size_t events_n;
static int last_number;

int FAMOpen(struct fam_connection *connection);
int FAMClose(struct fam_connection *connection);
int FAMMonitorFile(struct fam_connection *connection, const char *path, struct fam_request *request, void *data);
int FAMMonitorDirectory(struct fam_connection *connection, const char *path, struct fam_request *request,
                        void *data);
int FAMCancelMonitor(struct fam_connection *connection, const struct fam_request *request);
int FAMPending(struct fam_connection *connection);
int FAMNextEvent(struct fam_connection *connection, struct fam_event *event);

static void tell(const struct watch *watch, int code)
{
    if (events_n < EVENTS_MAX) {
        struct fam_event *event = &events[events_n++];
        event->request.number = watch->number;
        event->code = code;
        snprintf(event->filename, sizeof(event->filename), "%s", watch->path);
    }
}

/* Two changes within the clock's coarse tick leave the same time. */
static bool is_fresh(const struct timespec *stamp)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec - stamp->tv_sec) * 1000 + (now.tv_nsec - stamp->tv_nsec) / 1000000 < COARSE_MS;
}

static void look_at(struct watch *watch)
{
    struct stat now;
    bool exists = stat(watch->path, &now) == 0;
    if (watch->is_told) {
        return;
    }
    if (!watch->is_directory) {
        if (!exists || now.st_ino != watch->inode) {
            tell(watch, FAM_DELETED);
            watch->is_told = true;
        }
    } else if (!exists || now.st_mtim.tv_sec != watch->stamp.tv_sec ||
               now.st_mtim.tv_nsec != watch->stamp.tv_nsec) {
        tell(watch, FAM_CREATED);
        watch->stamp = exists ? now.st_mtim : (struct timespec){0};
        watch->is_told = !exists;
    }
}

static int watch_begin(const char *path, struct fam_request *request, bool is_directory)
{
    struct stat now;
    for (size_t i = 0; i < WATCHES_MAX; i++) {
        struct watch *watch = &watches[i];
        if (watch->number == 0) {
            *watch = (struct watch){.number = ++last_number, .is_directory = is_directory};
            snprintf(watch->path, sizeof(watch->path), "%s", path);
            if (stat(path, &now) == 0) {
                watch->inode = now.st_ino;
                watch->stamp = now.st_mtim;
            }
            if (is_directory && is_fresh(&watch->stamp)) {
                watch->stamp = (struct timespec){0};
            }
            tell(watch, watch->inode != 0 ? FAM_EXISTS : FAM_DELETED);
            watch->is_told = watch->inode == 0;
            tell(watch, FAM_END_EXIST);
            request->number = watch->number;
            return 0;
        }
    }
    return -1;
}

int FAMOpen(struct fam_connection *connection)
{
    const struct itimerspec period = {
        .it_interval.tv_nsec = LOOK_MS * 1000000, .it_value.tv_nsec = LOOK_MS * 1000000};
    connection->client = NULL;
    connection->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return connection->fd < 0 ? -1 : timerfd_settime(connection->fd, 0, &period, NULL);
}

int FAMClose(struct fam_connection *connection)
{
    return close(connection->fd);
}

int FAMMonitorFile(struct fam_connection *connection, const char *path, struct fam_request *request, void *data)
{
    (void)connection;
    (void)data;
    return watch_begin(path, request, false);
}

int FAMMonitorDirectory(struct fam_connection *connection, const char *path, struct fam_request *request,
                        void *data)
{
    (void)connection;
    (void)data;
    return watch_begin(path, request, true);
}

int FAMCancelMonitor(struct fam_connection *connection, const struct fam_request *request)
{
    (void)connection;
    for (size_t i = 0; i < WATCHES_MAX; i++) {
        if (watches[i].number == request->number) {
            tell(&watches[i], FAM_ACKNOWLEDGE);
            watches[i].number = 0;
            return 0;
        }
    }
    return -1;
}

int FAMPending(struct fam_connection *connection)
{
    unsigned long long ticks;
    ssize_t n = read(connection->fd, &ticks, sizeof(ticks));
    (void)n;
    for (size_t i = 0; i < WATCHES_MAX; i++) {
        if (watches[i].number != 0) {
            look_at(&watches[i]);
        }
    }
    return events_n > 0;
}

int FAMNextEvent(struct fam_connection *connection, struct fam_event *event)
{
    if (events_n == 0) {
        return -1;
    }
    *event = events[0];
    event->connection = connection;
    events_n--;
    memmove(events, events + 1, events_n * sizeof(events[0]));
    return 1;
}
