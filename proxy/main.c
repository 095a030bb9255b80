/* Two threads here: the loop thread runs the server, this one waits for signals and tells it.
 *   SIGTERM, SIGINT: end in order; a second one: at once (the store survives that).
 *   SIGHUP: read configuration and certificates anew.  SIGUSR2: counters into the log.
 *   SIGUSR1: the loop thread has got on. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args.h"
#include "base/log.h"
#include "net/secret.h"
#include "server.h"
#include "store/crash.h"

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_FORCED = 3 };

enum { ERRORS_MAX = 4096 };

static void print_errors(const struct buf *errors)
{
    (void)fprintf(stderr, SLICE_FMT, SLICE_ARG(buf_slice(errors)));
}

static void forbid_core_dumps(void)
{
    /* Secrets are in memory.  Debug builds stay attachable and may dump. */
#ifndef IMAPCACHED_DEBUG
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

static void allow_many_descriptors(const struct settings *settings)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < settings->limits.sessions + 256ULL) {
        LOG(LOG_WARN, "main",
            "msg=\"fewer descriptors than sessions\" descriptors=%llu sessions=%u",
            (unsigned long long)limit.rlim_cur, settings->limits.sessions);
    }
}

static void block_signals(sigset_t *set_out)
{
    (void)sigemptyset(set_out);
    (void)sigaddset(set_out, SIGTERM);
    (void)sigaddset(set_out, SIGINT);
    (void)sigaddset(set_out, SIGHUP);
    (void)sigaddset(set_out, SIGUSR1);
    (void)sigaddset(set_out, SIGUSR2);
    (void)pthread_sigmask(SIG_BLOCK, set_out, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

enum phase { PHASE_RUNNING, PHASE_ENDED, PHASE_FREED };

struct running {
    struct server *server;
    pthread_t main;
    _Atomic int phase; /* enum phase, set by the loop thread */
    sem_t may_free;    /* this thread will not touch the server any more */
};

static void get_on(struct running *running, enum phase phase)
{
    atomic_store(&running->phase, (int)phase);
    (void)pthread_kill(running->main, SIGUSR1);
}

static void *run_loop(void *arg)
{
    struct running *running = arg;
    server_run(running->server);
    get_on(running, PHASE_ENDED);
    while (sem_wait(&running->may_free) != 0) {
    }
    server_destroy(&running->server);
    get_on(running, PHASE_FREED);
    return NULL;
}

static void reload(struct server *server, const struct config_source *source)
{
    struct buf errors;
    buf_init(&errors, ERRORS_MAX);
    const struct settings *settings = config_load(source, &errors);
    if (settings == NULL) {
        LOG(LOG_ERROR, "main", "msg=\"configuration not taken over\" why=%s",
            LOG_Q(slice_sub(buf_slice(&errors), 0, errors.len - 1)));
    } else {
        server_request_reload(server, settings);
        settings_release(&settings);
    }
    buf_fini(&errors);
}

/* One signal; is_stopping: the end has begun, the server may be gone. */
static void obey(int got, struct running *running, const struct config_source *source,
                 bool *is_stopping)
{
    if (got == SIGUSR1) {
        if (atomic_load(&running->phase) == PHASE_ENDED) {
            *is_stopping = true;
            (void)sem_post(&running->may_free);
        }
    } else if (got == SIGHUP || got == SIGUSR2) {
        if (*is_stopping) {
            return;
        }
        if (got == SIGHUP) {
            reload(running->server, source);
        } else {
            server_log_counters(running->server);
        }
    } else if (*is_stopping) {
        LOG(LOG_WARN, "main", "msg=\"second signal, ending at once\"");
        _exit(EXIT_FORCED);
    } else {
        *is_stopping = true;
        server_request_stop(running->server);
    }
}

static void wait_for_signals(struct running *running, const struct config_source *source,
                             const sigset_t *set)
{
    bool is_stopping = false;
    while (atomic_load(&running->phase) != PHASE_FREED) {
        int got = 0;
        if (sigwait(set, &got) == 0) {
            obey(got, running, source, &is_stopping);
        }
    }
}

static enum exit_code serve(const struct settings *settings, const struct config_source *source)
{
    sigset_t signals;
    struct fail fail = {0};
    struct running running = {.main = pthread_self()};
    block_signals(&signals);
    allow_many_descriptors(settings);
    store_install_crash_handler();
    secret_heap_init();
    if (server_create(settings, &running.server, &fail) != OK) {
        LOG(LOG_ERROR, "main", "msg=\"cannot start\" why=%s", LOG_Q(slice_str(fail.text)));
        return EXIT_FAILED;
    }
    pthread_t loop;
    (void)sem_init(&running.may_free, 0, 0);
    int error = pthread_create(&loop, NULL, run_loop, &running);
    if (error != 0) {
        LOG(LOG_ERROR, "main", "msg=\"cannot start a thread\" why=\"%s\"", strerror(error));
        server_destroy(&running.server);
        return EXIT_FAILED;
    }
    LOG(LOG_INFO, "main", "msg=started version=" IMAPCACHED_VERSION);
    wait_for_signals(&running, source, &signals);
    (void)pthread_join(loop, NULL);
    (void)sem_destroy(&running.may_free);
    return EXIT_DONE;
}

static enum exit_code check(const struct settings *settings)
{
    struct fail fail = {0};
    if (server_check(settings, &fail) != OK) {
        (void)fprintf(stderr, "%s\n", fail.text);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < settings->upstreams_n; i++) {
        const struct upstream_settings *upstream = &settings->upstreams[i];
        (void)printf("upstream %s: %s %s port %u\n", upstream->name,
                     upstream->security == UPSTREAM_TLS ? "imaps" : "imap", upstream->host,
                     upstream->port);
    }
    for (size_t i = 0; i < settings->listeners_n; i++) {
        const struct listener_settings *listener = &settings->listeners[i];
        (void)printf("listener %s: %s, tls %s, cleartext login %s\n", listener->name,
                     listener->address,
                     listener->is_tls ? "implicit" : (listener->has_starttls ? "starttls" : "none"),
                     listener->allow_cleartext ? "allowed" : "refused");
    }
    (void)printf("cache %s: at most %llu bytes\nconfiguration is good\n", settings->cache_dir,
                 (unsigned long long)settings->cache_size_bytes);
    return EXIT_DONE;
}

static enum exit_code load_and(enum args_action action, const struct config_source *source,
                               struct buf *errors)
{
    const struct settings *settings = config_load(source, errors);
    if (settings == NULL) {
        print_errors(errors);
        return EXIT_USAGE;
    }
    enum exit_code code = action == ARGS_CHECK ? check(settings) : serve(settings, source);
    settings_release(&settings);
    return code;
}

/* Large buffers (an answer of a megabyte, the state of a large mailbox) go back to the system at once:
 * else the heap keeps the room of the largest ever freed. */
static void bound_heap(void)
{
    enum { LARGE = 256 * 1024 };
    (void)mallopt(M_MMAP_THRESHOLD, LARGE);
}

int main(int argc, char **argv)
{
    struct config_source source;
    struct buf errors;
    enum exit_code code = EXIT_DONE;
    buf_init(&errors, ERRORS_MAX);
    bound_heap();
    forbid_core_dumps();
    (void)umask(077);
    enum args_action action = args_parse(argc, argv, &source, &errors);
    switch (action) {
    case ARGS_HELP:
        (void)fputs(args_help(), stdout);
        break;
    case ARGS_VERSION:
        (void)puts("imapcached " IMAPCACHED_VERSION);
        break;
    case ARGS_BAD:
        print_errors(&errors);
        code = EXIT_USAGE;
        break;
    case ARGS_RUN:
    case ARGS_CHECK:
        code = load_and(action, &source, &errors);
        break;
    }
    buf_fini(&errors);
    return (int)code;
}
