/* SPDX-License-Identifier: Apache-2.0
 *
 * A small application behind http.h, and a blocking client, for the tests of http/. The application counts how each
 * request ended: every `head` must be followed by one `done` and one `gone`, whatever the client did. */
#ifndef BELFRY_TESTS_HTTP_RIG_H
#define BELFRY_TESTS_HTTP_RIG_H

#include "unit.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/http.h"

#define DEADLINE_MS 20000
#define FILE_SIZE   ((size_t)3 << 20)

struct rig {
    struct http_app app;
    struct http_server *server;
    struct work_pool *work;
    int file;
    _Atomic unsigned heads, dones, gones, cuts, ends, stops, not_ok, last_status;
    _Atomic uint64_t body_sent;
    _Atomic bool release; /* lets /held be answered */
};

/* Of one request. */
struct job {
    struct task task; /* to the worker and back */
    struct rig *rig;
    struct http_req *r;
    struct buf body;
    uint64_t total, sent;
    bool chunked, pause, file, silent;
    char mode;
};

static inline char pattern(uint64_t i)
{
    return (char)('a' + (i * 7 + i / 251) % 26);
}

static void back(struct task *t);

/* On a worker: hands the job back to its loop. */
static void away(struct task *t)
{
    struct job *j = CONTAINER_OF(t, struct job, task);
    t->fn = back;
    loop_post(j->r->loop, t);
}

static void go_away(struct job *j)
{
    http_hold(j->r);
    j->task.fn = away;
    work_submit(j->rig->work, &j->task);
}

static void produce(struct http_req *r)
{
    struct job *j = r->app;
    size_t n = j->total - j->sent < 50000 ? (size_t)(j->total - j->sent) : 50000;
    if (j->silent)
        return;
    if (n == 0) {
        http_push_end(r);
        return;
    }
    if (j->pause) { /* from a worker: more is called, the bytes come later */
        go_away(j);
        return;
    }
    uint64_t at = j->sent;
    j->sent += n;
    if (j->file) {
        http_push_file(r, j->rig->file, at, n);
        return;
    }
    char *p = malloc(n);
    for (size_t i = 0; i < n; i++)
        p[i] = pattern(at + i);
    if (j->sent / 50000 % 2) {
        http_push_pinned(r, str_n(p, n), free, p);
    } else {
        http_push(r, str_n(p, n));
        free(p);
    }
}

static void back(struct task *t)
{
    struct job *j = CONTAINER_OF(t, struct job, task);
    struct http_req *r = j->r;
    if (j->mode == 'p') {
        http_resume(r);
    } else if (j->mode == 's' && !r->gone) {
        j->pause = false;
        produce(r);
        j->pause = true;
    } else if (j->mode == 'h' && !j->rig->release && !r->gone) {
        t->fn = away;
        work_submit(j->rig->work, t);
        return;
    } else if (j->mode == 'h') {
        http_reply(r, 200, STR("X-Held: yes\r\n"), STR("late"));
    }
    http_release(r);
}

static void stop_producing(struct http_req *r)
{
    struct job *j = r->app;
    j->rig->stops++;
}

static bool sink_data(struct http_req *r, const char *p, size_t n)
{
    struct job *j = r->app;
    for (size_t i = 0; j->mode == 'p' && i < n; i++)
        j->chunked |= p[i] != pattern(j->total + i); /* here: damaged */
    j->total += n;
    if (j->mode == 'm') {
        http_reply(r, 400, STR(""), STR("mid"));
        return true;
    }
    if (j->mode == 'e')
        buf_put(&j->body, p, n);
    if (j->mode != 'p')
        return true;
    go_away(j);
    return false;
}

static void sink_end(struct http_req *r)
{
    struct job *j = r->app;
    char text[64];
    j->rig->ends++;
    if (j->mode == 'e') {
        http_reply(r, 200, STR("X-Echo: yes\r\n"), buf_view(&j->body));
        return;
    }
    int n = snprintf(text, sizeof text, "%llu %s", (unsigned long long)j->total,
                     j->chunked ? "damaged" : "whole");
    http_reply(r, 200, STR(""), str_n(text, (size_t)n));
}

static void sink_cut(struct http_req *r)
{
    struct job *j = r->app;
    j->rig->cuts++;
}

static const struct http_sink sink = {sink_data, sink_end, sink_cut};
static const struct http_producer producer = {produce, stop_producing};

static void app_stream(struct http_req *r, struct job *j)
{
    uint64_t n = 0;
    struct headers q;
    struct str v;
    assert_true(query_parse(&r->arena, r->query, 8, &q));
    if (query_get(&q, STR("n"), &v))
        assert_true(str_to_u64(v, &n));
    j->total = n;
    j->file = str_find(r->query, STR("file")) >= 0;
    j->pause = str_find(r->query, STR("slow")) >= 0;
    j->silent = str_find(r->query, STR("silent")) >= 0;
    j->mode = 's';
    if (str_find(r->query, STR("patient")) >= 0)
        http_stream_patient(r);
    bool unknown = str_find(r->query, STR("chunked")) >= 0;
    http_reply_stream(r, 200, STR("X-Stream: yes\r\n"), unknown ? -1 : (int64_t)n, &producer);
}

static void app_head(void *ctx, struct http_req *r)
{
    struct rig *g = ctx;
    struct job *j = ARENA_NEW(&r->arena, struct job);
    g->heads++;
    r->app = j;
    j->rig = g;
    j->r = r;
    buf_init(&j->body, 64 << 20);
    if (str_eq_c(r->path, "/hello")) {
        http_reply(r, 200, STR("Server: T\r\n"), STR("hello"));
    } else if (str_eq_c(r->path, "/echo") || str_eq_c(r->path, "/mid") || str_eq_c(r->path, "/pause")) {
        j->mode = r->path.p[1];
        http_read_body(r, &sink);
    } else if (str_eq_c(r->path, "/stream")) {
        app_stream(r, j);
    } else if (str_eq_c(r->path, "/held")) {
        j->mode = 'h';
        go_away(j);
    } else if (str_eq_c(r->path, "/peer")) {
        http_reply(r, 200, STR(""), str_c(r->peer_ip));
    } else if (str_eq_c(r->path, "/204")) {
        http_reply_empty(r, 204, STR("ETag: x\r\n"), -1);
    } else if (str_eq_c(r->path, "/304")) {
        http_reply_empty(r, 304, STR("ETag: x\r\n"), 99);
    } else {
        http_reply(r, 403, STR(""), STR("refused"));
    }
}

static void app_problem(void *ctx, struct http_req *r, enum http_problem p, int *status, struct buf *headers,
                        struct buf *body)
{
    (void)ctx, (void)r;
    *status = p == HTTP_TOO_MANY ? 503 : 400;
    buf_puts(headers, "Content-Type: application/xml\r\n");
    buf_printf(body, "<Error><Code>%d</Code></Error>", (int)p);
}

static void app_done(void *ctx, struct http_req *r, int status, bool ok, uint64_t body_sent)
{
    struct rig *g = ctx;
    (void)r;
    g->dones++;
    g->not_ok += !ok;
    g->last_status = (unsigned)status;
    g->body_sent = body_sent;
}

static void app_gone(void *ctx, struct http_req *r)
{
    struct rig *g = ctx;
    struct job *j = r->app;
    buf_release(&j->body);
    g->gones++;
}

static inline void rig_open(struct rig *g, struct http_options o)
{
    struct err e = {0};
    memset(g, 0, sizeof *g);
    g->app = (struct http_app){g, app_head, app_problem, app_done, app_gone};
    g->file = memfd_create("rig", MFD_CLOEXEC);
    assert_true(g->file >= 0 && ftruncate(g->file, (off_t)FILE_SIZE) == 0);
    char *p = mmap(NULL, FILE_SIZE, PROT_WRITE, MAP_SHARED, g->file, 0);
    assert_true(p != MAP_FAILED);
    for (size_t i = 0; i < FILE_SIZE; i++)
        p[i] = pattern(i);
    munmap(p, FILE_SIZE);
    g->work = work_new(2);
    o.address = o.address ? o.address : "127.0.0.1:0";
    o.io_threads = o.io_threads ? o.io_threads : 2;
    g->server = http_open(&o, &g->app, g->work, &e);
    if (!g->server)
        fail_msg("%s", e.text);
    http_start(g->server);
}

/* Waits for a condition that another thread brings about. */
#define WAIT_FOR(cond) \
    do { \
        int64_t until_ = clock_mono_ms() + DEADLINE_MS; \
        while (!(cond)) { \
            if (clock_mono_ms() > until_) \
                fail_msg("never came: %s", #cond); \
            (void)usleep(500); \
        } \
    } while (0)

static inline struct http_stats stats_of(struct rig *g)
{
    struct http_stats s;
    http_get_stats(g->server, &s);
    return s;
}

/* Ends the server and checks the books. */
static inline void rig_close(struct rig *g)
{
    http_stop(g->server, clock_mono_ms() + 5000);
    work_free(g->work);
    http_free(g->server);
    close(g->file);
    assert_int_equal(g->heads, g->dones);
    assert_int_equal(g->heads, g->gones);
}

/* The client. */
struct client {
    int fd;
    SSL *ssl;
    struct buf in;
};

static inline struct client dial(const struct rig *g)
{
    struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)http_port(g->server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = DEADLINE_MS / 1000};
    assert_true(c.fd >= 0);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&a, sizeof a), 0);
    (void)setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    buf_init(&c.in, 256 << 20);
    return c;
}

static inline void hang_up(struct client *c, bool reset)
{
    struct linger l = {.l_onoff = 1};
    if (reset)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    SSL_free(c->ssl);
    close(c->fd);
    buf_release(&c->in);
}

/* false: the peer has closed. */
static inline bool try_say(struct client *c, struct str s)
{
    while (s.n > 0) {
        size_t part = s.n < 1 << 20 ? s.n : 1 << 20;
        ssize_t n = c->ssl ? SSL_write(c->ssl, s.p, (int)part) : send(c->fd, s.p, part, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        s = str_from(s, (size_t)n);
    }
    return true;
}

static inline void say(struct client *c, struct str s)
{
    assert_true(try_say(c, s));
}

/* Reads some bytes; 0 at the end. */
static inline size_t hear(struct client *c)
{
    char *p = buf_reserve(&c->in, 65536);
    ssize_t n = c->ssl ? SSL_read(c->ssl, p, 65536) : recv(c->fd, p, 65536, 0);
    if (n <= 0)
        return 0;
    c->in.len += (size_t)n;
    return (size_t)n;
}

struct answer {
    int status;
    char head[2048];
    struct buf body;
    bool ended; /* the connection closed before the answer was whole */
};

static inline bool has_header(const struct answer *a, const char *line)
{
    return strstr(a->head, line) != NULL;
}

static inline void read_chunks(struct client *c, struct answer *a)
{
    for (;;) {
        ptrdiff_t nl;
        while ((nl = str_find(buf_view(&c->in), STR("\r\n"))) < 0)
            if (hear(c) == 0) {
                a->ended = true;
                return;
            }
        size_t n = strtoul(c->in.p, NULL, 16), all = (size_t)nl + 2 + n + 2;
        while (c->in.len < all)
            if (hear(c) == 0) {
                a->ended = true;
                return;
            }
        buf_put(&a->body, c->in.p + nl + 2, n);
        buf_consume(&c->in, all);
        if (n == 0)
            return;
    }
}

static inline void read_sized(struct client *c, struct answer *a, size_t n)
{
    while (c->in.len < n)
        if (hear(c) == 0) {
            a->ended = true;
            n = c->in.len;
        }
    buf_put(&a->body, c->in.p, n);
    buf_consume(&c->in, n);
}

static inline void read_to_end(struct client *c, struct answer *a)
{
    while (hear(c) > 0)
        ;
    read_sized(c, a, c->in.len);
}

/* One answer; with `bodiless` it is one to HEAD. status 0: the connection closed instead. */
static inline struct answer listen_to(struct client *c, bool bodiless)
{
    struct answer a = {0};
    ptrdiff_t end;
    buf_init(&a.body, 256 << 20);
    while ((end = str_find(buf_view(&c->in), STR("\r\n\r\n"))) < 0)
        if (hear(c) == 0) {
            a.ended = true;
            return a;
        }
    assert_true((size_t)end + 4 < sizeof a.head);
    memcpy(a.head, c->in.p, (size_t)end + 4);
    buf_consume(&c->in, (size_t)end + 4);
    a.status = (int)strtol(a.head + 9, NULL, 10);
    const char *len = strstr(a.head, "Content-Length: ");
    if (bodiless || a.status == 204 || a.status == 304 || a.status == 100)
        return a;
    if (strstr(a.head, "Transfer-Encoding: chunked"))
        read_chunks(c, &a);
    else if (len)
        read_sized(c, &a, strtoul(len + 16, NULL, 10));
    else
        read_to_end(c, &a);
    return a;
}

static inline bool is_pattern(const struct buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if (b->p[i] != pattern(i))
            return false;
    return true;
}

/* Says a request, expects an answer and its body. */
static inline void expect(struct client *c, struct str request, int status, const char *body)
{
    say(c, request);
    struct answer a = listen_to(c, false);
    assert_int_equal(a.status, status);
    assert_int_equal(a.body.len, strlen(body));
    assert_memory_equal(a.body.p ? a.body.p : "", body, a.body.len);
    buf_release(&a.body);
}

static inline void expect_end(struct client *c)
{
    assert_int_equal(c->in.len, 0);
    assert_int_equal(hear(c), 0);
}

/* Sanitizers keep freed memory: figures of memory mean nothing then. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static inline size_t resident(void)
{
    unsigned long all = 0, rss = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &all, &rss), 2);
    (void)fclose(f);
    return rss * (size_t)sysconf(_SC_PAGESIZE);
}

#define GET_HELLO STR("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n")

#endif
