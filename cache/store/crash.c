/* The handler runs on whatever thread faulted.  It reads only the slots below: written with atomics
 * by crash_cover() and friends, never freed, so that the handler needs no lock.  This is state of
 * the process, as signal handlers are; it is the one exception to "everything hangs on a struct".
 */
#include "store/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "env_p.h"

struct crash_slot {
    atomic_bool is_taken;
    atomic_bool is_covered;
    atomic_uintptr_t map_begin;
    atomic_uintptr_t map_end;
    _Atomic pthread_t inside[CRASH_THREADS]; /* a transaction now; 0: none */
    char marker_path[PATH_MAX];
    char suspect_path[PATH_MAX];
};

static struct crash_slot slots[STORE_CRASH_ENVS_MAX];
static atomic_bool is_crashing;

static bool is_in_map(struct crash_slot *slot, uintptr_t address)
{
    return atomic_load(&slot->is_covered) && address >= atomic_load(&slot->map_begin) &&
           address < atomic_load(&slot->map_end);
}

/* LMDB, misled, followed a wild pointer. */
static bool is_inside(struct crash_slot *slot)
{
    pthread_t self = pthread_self();
    bool is_here = false;
    for (int i = 0; i < CRASH_THREADS; i++) {
        is_here = is_here || self == atomic_load(&slot->inside[i]);
    }
    return is_here && atomic_load(&slot->is_covered);
}

static bool create(const char *path, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    return fd >= 0;
}

/* Not caught in the act: LMDB, misled by a damaged page, may have smashed our memory before [M].
 * Once may be somebody else's fault; twice without an orderly end in between is taken for this. */
static void suspect(const struct crash_slot *slot)
{
    if (!create(slot->suspect_path, O_EXCL) && errno == EEXIST) {
        (void)create(slot->marker_path, 0);
    }
}

static void on_crash(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (atomic_exchange(&is_crashing, true)) {
        for (;;) { /* the thread that came first ends us both, when its marker is written */
            (void)pause();
        }
    }
    static const char text[] = "level=fatal origin=store msg=\"crash in the cache, marked\"\n";
    uintptr_t address = (uintptr_t)info->si_addr;
    struct crash_slot *in_map = NULL;
    for (size_t i = 0; i < STORE_CRASH_ENVS_MAX; i++) {
        in_map = is_in_map(&slots[i], address) ? &slots[i] : in_map;
    }
    bool is_marked = false;
    for (size_t i = 0; i < STORE_CRASH_ENVS_MAX; i++) {
        if (in_map != NULL ? in_map == &slots[i] : is_inside(&slots[i])) {
            is_marked = create(slots[i].marker_path, 0) || is_marked;
        }
    }
    for (size_t i = 0; i < STORE_CRASH_ENVS_MAX && !is_marked; i++) {
        if (atomic_load(&slots[i].is_covered)) {
            suspect(&slots[i]);
        }
    }
    if (is_marked) {
        ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
        (void)ignored;
    }
    struct sigaction usual;
    memset(&usual, 0, sizeof(usual));
    usual.sa_handler = SIG_DFL;
    (void)sigaction(sig, &usual, NULL);
    (void)raise(sig); /* blocked until we return: then it kills in the usual way */
}

void store_install_crash_handler(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
    (void)sigaction(SIGABRT, &action, NULL); /* glibc, of a smashed heap */
}

/* Where the file behind @fd is mapped: LMDB does not tell. */
static bool find_mapping(int fd, uintptr_t *begin_out, uintptr_t *end_out)
{
    struct stat file;
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL || fstat(fd, &file) != 0) {
        if (maps != NULL) {
            (void)fclose(maps);
        }
        return false;
    }
    char line[PATH_MAX + 128];
    bool found = false;
    while (!found && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long begin;
        unsigned long end;
        unsigned major_no;
        unsigned minor_no;
        unsigned long inode;
        if (sscanf(line, "%lx-%lx %*s %*x %x:%x %lu", &begin, &end, &major_no, &minor_no, &inode) ==
                5 &&
            inode == file.st_ino && makedev(major_no, minor_no) == file.st_dev) {
            *begin_out = begin;
            *end_out = end;
            found = true;
        }
    }
    (void)fclose(maps);
    return found;
}

void crash_cover(struct env *env)
{
    int fd;
    uintptr_t begin = 0;
    uintptr_t end = 0;
    if (mdb_env_get_fd(env->mdb, &fd) != 0 || strlen(env->suspect_path) >= PATH_MAX) {
        return;
    }
    (void)find_mapping(fd, &begin, &end); /* without it the threads' own marks still work */
    for (size_t i = 0; i < STORE_CRASH_ENVS_MAX; i++) {
        struct crash_slot *slot = &slots[i];
        bool expected = false;
        if (atomic_compare_exchange_strong(&slot->is_taken, &expected, true)) {
            memcpy(slot->marker_path, env->marker_path, strlen(env->marker_path) + 1);
            memcpy(slot->suspect_path, env->suspect_path, strlen(env->suspect_path) + 1);
            atomic_store(&slot->map_begin, begin);
            atomic_store(&slot->map_end, end);
            atomic_store(&slot->is_covered, true);
            env->crash_slot = slot;
            return;
        }
    }
}

void crash_uncover(struct env *env)
{
    struct crash_slot *slot = env->crash_slot;
    if (slot != NULL) {
        atomic_store(&slot->is_covered, false);
        for (int i = 0; i < CRASH_THREADS; i++) {
            atomic_store(&slot->inside[i], 0);
        }
        atomic_store(&slot->is_taken, false);
        env->crash_slot = NULL;
    }
}

static void set_thread(struct env *env, enum crash_thread who, pthread_t thread)
{
    struct crash_slot *slot = env->crash_slot;
    if (slot != NULL) {
        atomic_store_explicit(&slot->inside[who], thread, memory_order_relaxed);
    }
}

void crash_enter(struct env *env, enum crash_thread who)
{
    set_thread(env, who, pthread_self());
}

void crash_leave(struct env *env, enum crash_thread who)
{
    set_thread(env, who, 0);
}
