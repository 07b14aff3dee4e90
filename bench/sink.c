/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry-sink: a webhook receiver that is as fast as one thread can be. It answers every POST at once, counts
 * the events and how many of them are different, and measures how long after its commit each one arrived:
 * `sequencer` in a record is the commit's wall clock in nanoseconds, taken before the sync, on the same
 * machine. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hist.h"
#include "message.h"

#define MAX_BODY (16u << 20)

struct conn {
    int fd;
    struct message m;
    char *body; /* of a body that did not arrive in one piece */
    size_t body_len, body_cap;
    struct conn *next, **link; /* all that are open */
};

/* Open addressing; 0 is an empty slot, and no sequencer is 0. */
struct number_set {
    uint64_t *slot;
    size_t cap, used;
};

struct stats {
    uint64_t events, refused, bytes, connections, without_sequencer, early;
    uint64_t first, last; /* arrival, ns of wall clock */
    struct hist latency;  /* arrival - sequencer */
};

struct sink {
    int epoll, listener, signals;
    int status;
    FILE *record;
    bool recorded;
    bool stop;
    struct stats stats;
    struct number_set seen;
    struct conn *open;
    char reply[160];
    size_t reply_len;
    char buffer[262144];
};

static void die(const char *what)
{
    fprintf(stderr, "belfry-sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void set_insert(struct number_set *set, uint64_t number)
{
    size_t at = (size_t)(number * 0x9E3779B97F4A7C15ULL) & (set->cap - 1);
    while (set->slot[at] != 0 && set->slot[at] != number)
        at = (at + 1) & (set->cap - 1);
    set->used += set->slot[at] == 0;
    set->slot[at] = number;
}

static void set_add(struct number_set *set, uint64_t number)
{
    if (2 * (set->used + 1) > set->cap) {
        struct number_set larger = {.cap = set->cap > 0 ? 2 * set->cap : 1u << 16};
        larger.slot = calloc(larger.cap, sizeof(uint64_t));
        if (larger.slot == NULL)
            die("memory");
        for (size_t i = 0; i < set->cap; i++)
            if (set->slot[i] != 0)
                set_insert(&larger, set->slot[i]);
        free(set->slot);
        *set = larger;
    }
    set_insert(set, number);
}

/* The record's sequencer, or 0. */
static uint64_t find_sequencer(const char *body, size_t n)
{
    static const char name[] = "\"sequencer\":\"";
    const char *at = memmem(body, n, name, sizeof(name) - 1);
    if (at == NULL)
        return 0;
    at += sizeof(name) - 1;
    uint64_t value = 0;
    for (; at < body + n && *at != '"'; at++) {
        unsigned c = (unsigned char)*at, digit = c <= '9' ? c - (unsigned)'0' : (c | 0x20u) - 'a' + 10;
        if (digit > 15)
            return 0;
        value = value << 4 | digit;
    }
    return value;
}

static void take_event(struct sink *k, const char *body, size_t n)
{
    struct stats *s = &k->stats;
    if (k->status < 200 || k->status > 299) {
        s->refused++;
        return;
    }
    uint64_t now = wall_clock(), sequencer = find_sequencer(body, n);
    if (s->events++ == 0)
        s->first = now;
    s->last = now;
    s->bytes += n;
    if (sequencer == 0) {
        s->without_sequencer++;
    } else {
        set_add(&k->seen, sequencer);
        s->early += now < sequencer;
        hist_add(&s->latency, now > sequencer ? now - sequencer : 0);
    }
    if (k->record != NULL) {
        fwrite(body, 1, n, k->record);
        fputc('\n', k->record);
        k->recorded = true;
    }
}

static size_t stats_json(const struct sink *k, char *out, size_t cap)
{
    const struct stats *s = &k->stats;
    const struct hist *h = &s->latency;
    double seconds = s->events > 1 ? (double)(s->last - s->first) / 1e9 : 0;
    int n = snprintf(
        out, cap,
        "{\"events\":%" PRIu64 ",\"distinct\":%zu,\"refused\":%" PRIu64 ",\"bytes\":%" PRIu64
        ",\"connections\":%" PRIu64 ",\"without_sequencer\":%" PRIu64 ",\"early\":%" PRIu64
        ",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64 ",\"seconds\":%.6f,\"rate\":%.1f,"
        "\"latency_us\":{\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}}\n",
        s->events, k->seen.used, s->refused, s->bytes, s->connections, s->without_sequencer, s->early,
        s->first, s->last, seconds, seconds > 0 ? (double)(s->events - 1) / seconds : 0.0,
        h->count > 0 ? (double)h->sum / (double)h->count / 1e3 : 0.0, (double)hist_percentile(h, 50) / 1e3,
        (double)hist_percentile(h, 90) / 1e3, (double)hist_percentile(h, 99) / 1e3, (double)h->max / 1e3);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

static void reset(struct sink *k)
{
    uint64_t connections = k->stats.connections;
    memset(&k->stats, 0, sizeof(k->stats));
    k->stats.connections = connections;
    free(k->seen.slot);
    k->seen = (struct number_set){0};
}

/* False if the peer is gone, or does not read its replies: they are a few bytes and always fit otherwise. */
static bool reply(int fd, const char *data, size_t n)
{
    return send(fd, data, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool reply_stats(struct sink *k, int fd)
{
    char json[1024], text[1200];
    size_t n = stats_json(k, json, sizeof(json));
    int len = snprintf(text, sizeof(text),
                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                       n, json);
    return reply(fd, text, (size_t)len);
}

/* A whole request is here. False closes the connection. */
static bool answer(struct sink *k, struct conn *c, const char *body, size_t n)
{
    bool keep = !c->m.close;
    if (strcmp(c->m.method, "POST") == 0 && strcmp(c->m.target, "/reset") == 0)
        reset(k);
    else if (strcmp(c->m.method, "POST") == 0)
        take_event(k, body, n);
    else if (strcmp(c->m.method, "GET") == 0 && strcmp(c->m.target, "/stats") == 0)
        return reply_stats(k, c->fd) && keep;
    return reply(c->fd, k->reply, k->reply_len) && keep;
}

static bool keep_piece(struct conn *c, const struct piece *piece)
{
    size_t want = c->body_len + piece->len;
    if (want > MAX_BODY)
        return false;
    if (want > c->body_cap) {
        size_t cap = want < 65536 ? 65536 : 2 * want;
        char *larger = realloc(c->body, cap);
        if (larger == NULL)
            return false;
        c->body = larger;
        c->body_cap = cap;
    }
    memcpy(c->body + c->body_len, piece->at, piece->len);
    c->body_len = want;
    return true;
}

/* Feeds what was read; answers every request that is complete. False closes the connection. */
static bool take_bytes(struct sink *k, struct conn *c, const char *data, size_t n)
{
    for (size_t at = 0; at < n;) {
        struct piece piece;
        at += message_feed(&c->m, data + at, n - at, &piece);
        bool done = c->m.phase == MESSAGE_DONE;
        if (c->m.phase == MESSAGE_BAD)
            return false;
        if (piece.len > 0 && !(done && c->body_len == 0) && !keep_piece(c, &piece))
            return false;
        if (c->m.expects && c->m.phase == MESSAGE_BODY) {
            c->m.expects = false;
            if (!reply(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25))
                return false;
        }
        if (!done)
            continue;
        if (c->body_len > 0)
            piece = (struct piece){c->body, c->body_len};
        if (!answer(k, c, piece.at, piece.len))
            return false;
        c->body_len = 0;
        message_begin_request(&c->m);
    }
    return true;
}

static void conn_close(struct conn *c)
{
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    close(c->fd);
    free(c->body);
    free(c);
}

static void conn_event(struct sink *k, struct conn *c)
{
    ssize_t n = recv(c->fd, k->buffer, sizeof(k->buffer), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || !take_bytes(k, c, k->buffer, (size_t)n))
        conn_close(c);
}

static void accept_all(struct sink *k)
{
    for (;;) {
        int fd = accept4(k->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        struct conn *c = calloc(1, sizeof(*c));
        if (c == NULL)
            die("memory");
        c->fd = fd;
        c->next = k->open;
        c->link = &k->open;
        if (c->next != NULL)
            c->next->link = &c->next;
        k->open = c;
        message_begin_request(&c->m);
        k->stats.connections++;
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(k->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
            conn_close(c);
    }
}

static void take_signal(struct sink *k)
{
    struct signalfd_siginfo info;
    char json[1024];
    if (read(k->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    fwrite(json, 1, stats_json(k, json, sizeof(json)), stdout);
    fflush(stdout);
    k->stop = info.ssi_signo != SIGUSR1;
}

static void watch(struct sink *k, int fd, void *tag)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = tag};
    if (epoll_ctl(k->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        die("epoll");
}

static void serve(struct sink *k)
{
    struct epoll_event events[256];
    while (!k->stop) {
        if (k->recorded) {
            fflush(k->record);
            k->recorded = false;
        }
        int n = epoll_wait(k->epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &k->listener)
                accept_all(k);
            else if (events[i].data.ptr == &k->signals)
                take_signal(k);
            else
                conn_event(k, events[i].data.ptr);
        }
    }
}

/* Listens on loopback and returns the port. */
static int listen_on(struct sink *k, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof(a);
    int one = 1;
    k->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (k->listener < 0)
        die("socket");
    setsockopt(k->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(k->listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(k->listener, 1024) < 0 ||
        getsockname(k->listener, (struct sockaddr *)&a, &n) < 0)
        die("listen");
    return ntohs(a.sin_port);
}

static int number(const char *text, int high)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 0 || value > high) {
        fprintf(stderr, "belfry-sink: not a number in range: %s\n", text);
        exit(1);
    }
    return (int)value;
}

static void parse(struct sink *k, int *port, int argc, char **argv)
{
    static const struct option options[] = {{"port", 1, NULL, 'p'},
                                            {"status", 1, NULL, 's'},
                                            {"record", 1, NULL, 'r'},
                                            {"help", 0, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int name;
    while ((name = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (name == 'p') {
            *port = number(optarg, 65535);
        } else if (name == 's') {
            k->status = number(optarg, 599);
        } else if (name == 'r') {
            k->record = fopen(optarg, "ae");
            if (k->record == NULL)
                die(optarg);
        } else {
            fputs("usage: belfry-sink [--port N (0 picks one)] [--status N] [--record FILE]\n"
                  "Prints its port, then counts POSTs. Statistics as JSON: GET /stats, SIGUSR1, and at the "
                  "end (SIGTERM).\n"
                  "POST /reset starts counting anew.\n",
                  name == 'h' ? stdout : stderr);
            exit(name == 'h' ? 0 : 1);
        }
    }
}

int main(int argc, char **argv)
{
    static struct sink k = {.status = 200};
    int port = 0;
    parse(&k, &port, argc, argv);
    k.reply_len = (size_t)snprintf(k.reply, sizeof(k.reply), "HTTP/1.1 %d %s\r\nContent-Length: 0\r\n\r\n",
                                   k.status, k.status < 300 ? "OK" : "Refused");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    k.epoll = epoll_create1(EPOLL_CLOEXEC);
    k.signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (k.epoll < 0 || k.signals < 0)
        die("start");
    port = listen_on(&k, port);
    watch(&k, k.listener, &k.listener);
    watch(&k, k.signals, &k.signals);
    printf("%d\n", port);
    fflush(stdout);
    serve(&k);
    while (k.open != NULL)
        conn_close(k.open);
    free(k.seen.slot);
    if (k.record != NULL)
        fclose(k.record);
    return 0;
}
