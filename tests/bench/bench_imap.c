/* The client side of the benchmarks: plain sockets, one thread, as little work per octet as possible, so that
 * what is measured is the server.  Knows nothing of imapcached: any two IMAP servers can be compared.
 *
 *   fetch   PORT/ID PORT/ID user mailbox clients rounds command
 *   latency PORT/ID PORT/ID user mailbox rounds command [command]      each round sends all, one after the other
 *   hold    PORT user mailbox sessions plain|tls                       IDLE until standard input ends
 *   newmail PORT user mailbox clients                                  IDLE; all read the first mail that comes
 *   office  PORT user mailbox headers bodies big_uid                   what a mail program does with a mailbox
 *   sync    PORT user mailbox messages                                 single fetches, all pipelined (mbsync)
 *   drive   PORT user mailbox                                          "rounds command" lines from standard input
 *
 * ID: the server's process or session id, for the CPU time its processes took; 0: not asked.  Password "pw".
 * Prints lines of "name value ..." for run.py. */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    RECEIVE_BYTES = 256 * 1024,
    LINE_KEPT = 512,
    CLIENTS_MAX = 2000,
    WAIT_MS = 120 * 1000,
};

struct client {
    int fd;
    SSL *ssl;
    bool is_waiting;
    unsigned tag;
    uint64_t octets; /* of the answer being received */
    char last[LINE_KEPT]; /* the end of what came */
    size_t last_n;
};

static char received[RECEIVE_BYTES];

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)fprintf(stderr, "bench_imap: ");
    (void)vfprintf(stderr, fmt, ap);
    (void)fprintf(stderr, "\n");
    va_end(ap);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- a server's CPU time ------------------------------------------------------------------------ */

static double task_cpu_s(const char *pid)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "/proc/%s/task", pid);
    DIR *tasks = opendir(path);
    double sum = 0;
    for (struct dirent *e; tasks != NULL && (e = readdir(tasks)) != NULL;) {
        char file[600];
        unsigned long long ns = 0;
        (void)snprintf(file, sizeof(file), "%s/%s/schedstat", path, e->d_name);
        FILE *in = e->d_name[0] != '.' ? fopen(file, "r") : NULL;
        if (in != NULL) {
            sum += fscanf(in, "%llu", &ns) == 1 ? (double)ns / 1e9 : 0;
            (void)fclose(in);
        }
    }
    if (tasks != NULL) {
        (void)closedir(tasks);
    }
    return sum;
}

static bool belongs(const char *pid, int id)
{
    char path[300], state;
    int session = 0, ignored;
    (void)snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    FILE *in = fopen(path, "r");
    if (in == NULL) {
        return false;
    }
    bool is_read = fscanf(in, "%d (%*[^)]) %c %d %d %d", &ignored, &state, &ignored, &ignored, &session) == 5;
    (void)fclose(in);
    return is_read && (session == id || atoi(pid) == id);
}

/* Of the process @id and of all in its session. */
static double cpu_s(int id)
{
    double sum = 0;
    DIR *proc = id != 0 ? opendir("/proc") : NULL;
    for (struct dirent *e; proc != NULL && (e = readdir(proc)) != NULL;) {
        if (e->d_name[0] >= '0' && e->d_name[0] <= '9' && belongs(e->d_name, id)) {
            sum += task_cpu_s(e->d_name);
        }
    }
    if (proc != NULL) {
        (void)closedir(proc);
    }
    return sum;
}

/* --- one connection ----------------------------------------------------------------------------- */

static void dial(struct client *c, int port, SSL_CTX *tls)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        die("port %d: %s", port, strerror(errno));
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (tls != NULL) {
        c->ssl = SSL_new(tls);
        if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1) {
            die("port %d: no TLS", port);
        }
    }
}

static size_t receive(struct client *c)
{
    ssize_t n = c->ssl != NULL ? SSL_read(c->ssl, received, sizeof(received))
                               : recv(c->fd, received, sizeof(received), 0);
    if (n <= 0) {
        die("connection lost while waiting for the answer to B%u", c->tag);
    }
    c->octets += (uint64_t)n;
    return (size_t)n;
}

static void transmit(struct client *c, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, text, (int)len) : send(c->fd, text, len, MSG_NOSIGNAL);
        if (n <= 0) {
            die("cannot send");
        }
        text += n;
        len -= (size_t)n;
    }
}

static void keep_last(struct client *c, const char *bytes, size_t n)
{
    if (n >= LINE_KEPT) {
        memcpy(c->last, bytes + n - LINE_KEPT, LINE_KEPT);
        c->last_n = LINE_KEPT;
        return;
    }
    size_t old = c->last_n < LINE_KEPT - n ? c->last_n : LINE_KEPT - n;
    memmove(c->last, c->last + c->last_n - old, old);
    memcpy(c->last + old, bytes, n);
    c->last_n = old + n;
}

/* The last line that came, without its end; empty when it is not whole. */
static const char *last_line(const struct client *c, size_t *len_out)
{
    *len_out = 0;
    if (c->last_n < 2 || memcmp(c->last + c->last_n - 2, "\r\n", 2) != 0) {
        return c->last;
    }
    const char *end = c->last + c->last_n - 2;
    const char *line = end;
    while (line > c->last && line[-1] != '\n') {
        line--;
    }
    *len_out = (size_t)(end - line);
    return line;
}

/* Take what is there; true when the tagged reply stands at its end. */
static bool take(struct client *c)
{
    char head[32];
    size_t len;
    size_t n = receive(c);
    keep_last(c, received, n);
    const char *line = last_line(c, &len);
    size_t head_n = (size_t)snprintf(head, sizeof(head), "B%u ", c->tag);
    if (len < head_n + 2 || memcmp(line, head, head_n) != 0) {
        return false;
    }
    if (memcmp(line + head_n, "OK", 2) != 0) {
        die("refused: %.*s", (int)len, line);
    }
    return true;
}

static void begin(struct client *c, const char *command)
{
    char text[4096];
    int n = snprintf(text, sizeof(text), "B%u %s\r\n", ++c->tag, command);
    if (n < 0 || (size_t)n >= sizeof(text)) {
        die("command too long");
    }
    c->octets = 0;
    c->last_n = 0;
    c->is_waiting = true;
    transmit(c, text, (size_t)n);
}

static void await(struct client *c)
{
    while (!take(c)) {
    }
    c->is_waiting = false;
}

static void command(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void command(struct client *c, const char *fmt, ...)
{
    char text[4000];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    begin(c, text);
    await(c);
}

static void open_client(struct client *c, int port, SSL_CTX *tls, const char *user, const char *mailbox)
{
    dial(c, port, tls);
    (void)receive(c); /* greeting */
    command(c, "LOGIN %s pw", user);
    command(c, "SELECT %s", mailbox);
}

/* IDLE; returns when the server has said "+". */
static void idle(struct client *c)
{
    size_t len;
    begin(c, "IDLE");
    do {
        keep_last(c, received, receive(c));
    } while (last_line(c, &len)[0] != '+' || len == 0);
}

static void leave(struct client *c)
{
    if (c->ssl != NULL) {
        SSL_free(c->ssl);
    }
    (void)close(c->fd);
}

/* Wait until none of the clients waits. */
static void await_all(struct client *clients, size_t n)
{
    struct pollfd polls[CLIENTS_MAX];
    size_t left = n;
    while (left > 0) {
        for (size_t i = 0; i < n; i++) {
            polls[i] = (struct pollfd){.fd = clients[i].is_waiting ? clients[i].fd : -1, .events = POLLIN};
        }
        if (poll(polls, n, WAIT_MS) <= 0) {
            die("no answer for %d s", WAIT_MS / 1000);
        }
        for (size_t i = 0; i < n; i++) {
            if (polls[i].revents != 0 && take(&clients[i])) {
                clients[i].is_waiting = false;
                left--;
            }
        }
    }
}

/* --- measurements ------------------------------------------------------------------------------- */

struct target {
    int port;
    int id;
    struct client *clients;
};

static struct target target_of(const char *text)
{
    struct target target = {0};
    if (sscanf(text, "%d/%d", &target.port, &target.id) < 1) {
        die("PORT/ID expected: %s", text);
    }
    return target;
}

static size_t number(const char *text, size_t max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*end != '\0' || n == 0 || n > max) {
        die("a number of at most %zu expected: %s", max, text);
    }
    return n;
}

static void open_target(struct target *target, size_t n, const char *user, const char *mailbox)
{
    target->clients = calloc(n, sizeof(struct client));
    for (size_t i = 0; target->clients != NULL && i < n; i++) {
        open_client(&target->clients[i], target->port, NULL, user, mailbox);
    }
}

/* All clients of a target at once: "seconds cpu_seconds octets". */
static void fetch_round(struct target *target, size_t n, const char *what, const char *name)
{
    uint64_t octets = 0;
    double cpu = cpu_s(target->id);
    double start = now_s();
    for (size_t i = 0; i < n; i++) {
        begin(&target->clients[i], what);
    }
    await_all(target->clients, n);
    double wall = now_s() - start;
    cpu = cpu_s(target->id) - cpu;
    for (size_t i = 0; i < n; i++) {
        octets += target->clients[i].octets;
    }
    (void)printf("%s %.6f %.6f %llu\n", name, wall, cpu, (unsigned long long)octets);
}

static void run_fetch(char **argv)
{
    struct target a = target_of(argv[0]), b = target_of(argv[1]);
    size_t n = number(argv[4], CLIENTS_MAX), rounds = number(argv[5], 1000);
    open_target(&a, n, argv[2], argv[3]);
    open_target(&b, n, argv[2], argv[3]);
    fetch_round(&a, n, argv[6], "warm");
    fetch_round(&b, n, argv[6], "warm");
    for (size_t i = 0; i < rounds; i++) {
        fetch_round(&a, n, argv[6], "a");
        fetch_round(&b, n, argv[6], "b");
    }
}

static void latency_round(struct target *target, const char *name, char **what)
{
    for (size_t i = 0; what[i] != NULL; i++) {
        double start = now_s();
        begin(target->clients, what[i]);
        await(target->clients);
        (void)printf("%s %.6f\n", name, now_s() - start);
    }
}

static void run_latency(char **argv)
{
    struct target a = target_of(argv[0]), b = target_of(argv[1]);
    size_t rounds = number(argv[4], 100000);
    open_target(&a, 1, argv[2], argv[3]);
    open_target(&b, 1, argv[2], argv[3]);
    for (size_t i = 0; i < rounds + 5; i++) {
        latency_round(&a, i < 5 ? "warm" : "a", argv + 5);
        latency_round(&b, i < 5 ? "warm" : "b", argv + 5);
    }
}

static void run_hold(char **argv)
{
    size_t n = number(argv[3], CLIENTS_MAX);
    SSL_CTX *tls = strcmp(argv[4], "tls") == 0 ? SSL_CTX_new(TLS_client_method()) : NULL;
    struct client *clients = calloc(n, sizeof(*clients));
    for (size_t i = 0; clients != NULL && i < n; i++) {
        open_client(&clients[i], atoi(argv[0]), tls, argv[1], argv[2]);
        idle(&clients[i]);
    }
    (void)printf("ready\n");
    (void)fflush(stdout);
    while (getchar() != EOF) {
    }
    for (size_t i = 0; clients != NULL && i < n; i++) {
        leave(&clients[i]);
    }
    SSL_CTX_free(tls);
    free(clients);
}

static void run_newmail(char **argv)
{
    size_t n = number(argv[3], CLIENTS_MAX);
    uint64_t octets = 0;
    struct client *clients = calloc(n, sizeof(*clients));
    for (size_t i = 0; clients != NULL && i < n; i++) {
        open_client(&clients[i], atoi(argv[0]), NULL, argv[1], argv[2]);
        idle(&clients[i]);
    }
    (void)printf("ready\n");
    (void)fflush(stdout);
    struct pollfd first = {.fd = clients != NULL ? clients[0].fd : -1, .events = POLLIN};
    if (poll(&first, 1, WAIT_MS) != 1) {
        die("no mail came");
    }
    double start = now_s();
    for (size_t i = 0; i < n; i++) {
        (void)receive(&clients[i]); /* EXISTS */
        transmit(&clients[i], "DONE\r\n", 6);
    }
    await_all(clients, n);
    for (size_t i = 0; i < n; i++) {
        begin(&clients[i], "FETCH * (UID FLAGS BODY.PEEK[])");
    }
    await_all(clients, n);
    for (size_t i = 0; i < n; i++) {
        octets += clients[i].octets;
    }
    (void)printf("read %.6f %llu\n", now_s() - start, (unsigned long long)octets);
    free(clients);
}

static void tell_step(const char *name, double *since)
{
    double now = now_s();
    (void)printf("%s %.6f\n", name, now - *since);
    *since = now;
}

static void run_office(char **argv)
{
    static const char *const searches[] = {"UID SEARCH SUBJECT \"invoice\"", "UID SEARCH FROM \"anna\" UNSEEN",
                                           "UID SEARCH BODY \"kitchen\"", "UID SEARCH TEXT \"bridge\""};
    struct client c;
    unsigned headers = (unsigned)number(argv[3], 1000000), bodies = (unsigned)number(argv[4], 1000000);
    double since = now_s();
    open_client(&c, atoi(argv[0]), NULL, argv[1], argv[2]);
    tell_step("open", &since);
    command(&c, "UID FETCH 1:%u (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)", headers);
    tell_step("headers", &since);
    for (unsigned uid = 1; uid <= bodies; uid++) {
        command(&c, "UID FETCH %u (UID BODY.PEEK[])", uid);
    }
    tell_step("bodies", &since);
    command(&c, "UID FETCH %s (UID BODY.PEEK[])", argv[5]);
    tell_step("big", &since);
    for (size_t i = 0; i < sizeof(searches) / sizeof(searches[0]); i++) {
        command(&c, "%s", searches[i]);
    }
    tell_step("searches", &since);
    leave(&c);
}

/* Answers are read while commands are sent, as mbsync does; the tags stand in order. */
static void run_sync(char **argv)
{
    struct client c;
    unsigned messages = (unsigned)number(argv[3], 1000000);
    double since = now_s();
    open_client(&c, atoi(argv[0]), NULL, argv[1], argv[2]);
    command(&c, "UID FETCH 1:* (UID FLAGS)");
    tell_step("open", &since);
    char *text = malloc((size_t)messages * 64 + 1);
    size_t len = 0, sent = 0;
    for (unsigned uid = 1; text != NULL && uid <= messages; uid++) {
        len += (size_t)snprintf(text + len, 64, "B%u UID FETCH %u (BODY.PEEK[])\r\n", ++c.tag, uid);
    }
    c.octets = 0;
    for (bool is_over = false; !is_over;) {
        short events = (short)(POLLIN | (sent < len ? POLLOUT : 0));
        struct pollfd p = {.fd = c.fd, .events = events};
        if (poll(&p, 1, WAIT_MS) <= 0) {
            die("no answer");
        }
        if ((p.revents & POLLOUT) != 0) {
            ssize_t n = send(c.fd, text + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            sent += n > 0 ? (size_t)n : 0;
        }
        is_over = (p.revents & ~POLLOUT) != 0 && take(&c);
    }
    tell_step("bodies", &since);
    (void)printf("octets %llu\n", (unsigned long long)c.octets);
    free(text);
    leave(&c);
}

/* For each line: the octets of one answer, and the seconds of each round. */
static void run_drive(char **argv)
{
    char line[4000], *text;
    struct client c;
    open_client(&c, atoi(argv[0]), NULL, argv[1], argv[2]);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        unsigned long rounds = strtoul(line, &text, 10);
        for (unsigned long i = 0; i < rounds; i++) {
            double start = now_s();
            command(&c, "%s", text + (*text == ' '));
            double seconds = now_s() - start;
            if (i == 0) {
                (void)printf("%llu", (unsigned long long)c.octets);
            }
            (void)printf(" %.6f", seconds);
        }
        (void)printf("\n");
        (void)fflush(stdout);
    }
    leave(&c);
}

static const struct mode {
    const char *name;
    int args_min;
    void (*run)(char **argv);
} modes[] = {
    {"fetch", 7, run_fetch},     {"latency", 6, run_latency}, {"hold", 5, run_hold},
    {"newmail", 4, run_newmail}, {"office", 6, run_office},   {"sync", 4, run_sync},
    {"drive", 3, run_drive},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(argv[1], modes[i].name) == 0 && argc - 2 >= modes[i].args_min) {
            modes[i].run(argv + 2);
            return 0;
        }
    }
    die("see the head of bench_imap.c for how to call it");
}
