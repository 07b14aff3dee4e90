/* SPDX-License-Identifier: Apache-2.0
 *
 * Webhook's connections of our own, against a peer that the test plays itself, byte by byte: replies that come before the
 * request is whole, or that nobody asked for; a peer that takes little at a time; what is left open. And the same requests
 * as libcurl sends them. */
#include "unit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/thread.h"
#include "target/webhook_impl.h"

#define WITHIN_MS 10000
#define LARGE     1000000
#define OK        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define BUSY      "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
#define REFUSED   "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"

struct rig {
    int listener, fd; /* fd: the connection at hand; -1: none */
    unsigned port;
    struct arena arena;
    void *conf, *self;
    struct buf in; /* what came on it */
    char *record, why[SEND_WHY];
    struct event_ref ev;
    struct send_done done[512];
    bool judged; /* it has its outcome */
};

/* --- the peer ----------------------------------------------------------------------------------------------------- */

static bool listen_at(struct rig *rig, int family)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool six = family == AF_INET6;
    struct sockaddr *at = six ? (struct sockaddr *)&a6 : (struct sockaddr *)&a;
    socklen_t n = six ? sizeof(a6) : sizeof(a);
    rig->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (rig->listener < 0)
        return false;
    if (bind(rig->listener, at, n) != 0 || listen(rig->listener, 16) != 0 ||
        getsockname(rig->listener, at, &n) != 0) {
        (void)close(rig->listener);
        return false;
    }
    rig->port = ntohs(six ? a6.sin6_port : a.sin_port);
    return true;
}

/* Segments so small that the sender keeps little, and a window so small that it has to wait. */
static void listen_narrowly(struct rig *rig)
{
    int little = 16384, mss = 536;
    assert_int_equal(setsockopt(rig->listener, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)), 0);
    assert_int_equal(setsockopt(rig->listener, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)), 0);
}

static void leave(struct rig *rig)
{
    if (rig->fd >= 0)
        (void)close(rig->fd);
    rig->fd = -1;
    buf_reset(&rig->in);
}

static void say(struct rig *rig, const char *text)
{
    assert_int_equal(send(rig->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* --- the sender --------------------------------------------------------------------------------------------------- */

static void rig_load(struct rig *rig, const char *url)
{
    struct err e = {0};
    setenv("MINIO_NOTIFY_WEBHOOK_ENDPOINT_t", url, 1);
    arena_init(&rig->arena);
    rig->conf = arena_zalloc(&rig->arena, target_webhook.conf_size);
    if (!config_load(target_webhook.subsys, target_webhook.keys, STR("t"), rig->conf, &rig->arena, &e) ||
        !target_webhook.check(rig->conf, &e))
        fail_msg("%s", e.text);
    rig->self = target_webhook.open(rig->conf, "t", &e);
    assert_non_null(rig->self);
}

static void rig_connect(struct rig *rig)
{
    struct err e = {0};
    if (!target_webhook.connect(rig->self, clock_mono_ms() + WITHIN_MS, &e))
        fail_msg("%s", e.text);
    int fd = accept(rig->listener, NULL, NULL); /* the dial alone */
    assert_true(fd >= 0);
    (void)close(fd);
}

static struct rig *rig_open(bool narrow)
{
    struct rig *rig = x_calloc(1, sizeof(*rig));
    char url[64];
    rig->fd = -1;
    buf_init(&rig->in, 4u << 20);
    assert_true(listen_at(rig, AF_INET));
    if (narrow)
        listen_narrowly(rig);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook", rig->port);
    rig_load(rig, url);
    rig_connect(rig);
    return rig;
}

static void rig_close(struct rig *rig)
{
    target_webhook.disconnect(rig->self);
    target_webhook.close(rig->self);
    arena_release(&rig->arena);
    leave(rig);
    (void)close(rig->listener);
    buf_release(&rig->in);
    free(rig->record);
    free(rig);
}

static void begin(struct rig *rig, size_t size)
{
    free(rig->record);
    rig->record = x_malloc(size);
    memset(rig->record, ' ', size);
    rig->record[0] = '{';
    rig->record[size - 1] = '}';
    rig->why[0] = 0;
    rig->judged = false;
    rig->ev = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                 .bucket = STR("b"),
                                 .key = STR("k"),
                                 .event_time = STR("2026-02-01T10:20:30.123Z"),
                                 .record = str_n(rig->record, size),
                                 .why = rig->why};
    target_webhook.begin(rig->self, 0, &rig->ev, clock_mono_ms() + WITHIN_MS);
}

/* The sender goes on a little. */
static void step(struct rig *rig)
{
    if (!rig->judged)
        rig->judged = target_webhook.poll(rig->self, rig->done, clock_mono_ms() + 2) > 0;
}

static enum send_result outcome(struct rig *rig)
{
    int64_t end = clock_mono_ms() + 2 * WITHIN_MS;
    while (!rig->judged && clock_mono_ms() < end)
        step(rig);
    assert_true(rig->judged);
    assert_int_equal(rig->done[0].place, 0);
    return rig->done[0].result;
}

/* --- both --------------------------------------------------------------------------------------------------------- */

/* Another one; only then is the one at hand left, which is none of the sender's reasons. */
static void next_connection(struct rig *rig)
{
    int64_t end = clock_mono_ms() + WITHIN_MS;
    int fd;
    while ((fd = accept(rig->listener, NULL, NULL)) < 0) {
        assert_true(errno == EAGAIN && clock_mono_ms() < end && !rig->judged);
        step(rig);
    }
    leave(rig);
    rig->fd = fd;
}

/* Bytes of the whole request; 0: its head is not there yet. */
static size_t whole(struct rig *rig)
{
    if (rig->in.len == 0)
        return 0;
    char *head = memmem(rig->in.p, rig->in.len, "\r\n\r\n", 4),
         *length = memmem(rig->in.p, rig->in.len, "Content-Length: ", 16);
    return head ? (size_t)(head - rig->in.p) + 4 + (size_t)strtoul(length + 16, NULL, 10) : 0;
}

/* At least so many bytes of it; 0: all. */
static void take_request(struct rig *rig, size_t at_least)
{
    int64_t end = clock_mono_ms() + WITHIN_MS;
    while (at_least ? rig->in.len < at_least : (whole(rig) == 0 || rig->in.len < whole(rig))) {
        char *p = buf_reserve(&rig->in, 65536);
        assert_non_null(p);
        ssize_t n = recv(rig->fd, p, at_least ? at_least - rig->in.len : 65536, MSG_DONTWAIT);
        assert_true(n > 0 || (n < 0 && errno == EAGAIN));
        assert_true(clock_mono_ms() < end);
        rig->in.len += n > 0 ? (size_t)n : 0;
        if (n < 0)
            step(rig);
    }
}

/* One event that goes well; its connection is kept. */
static void warm_up(struct rig *rig)
{
    begin(rig, 10);
    next_connection(rig);
    take_request(rig, 0);
    say(rig, OK);
    assert_int_equal(outcome(rig), SEND_OK);
    buf_reset(&rig->in);
}

/* The sender can send no more for now. */
static void fill_up(struct rig *rig)
{
    int64_t end = clock_mono_ms() + 50;
    while (clock_mono_ms() < end)
        step(rig);
    assert_false(rig->judged);
}

/* --- the request is not whole yet --------------------------------------------------------------------------------- */

/* Where the rest of the request has to wait for the peer, it follows when there is room. */
static void test_little_at_a_time(void **state)
{
    (void)state;
    struct rig *rig = rig_open(true);
    begin(rig, LARGE);
    next_connection(rig);
    fill_up(rig);
    take_request(rig, 0);
    assert_int_equal(rig->in.len, whole(rig));
    assert_true(rig->in.len > LARGE);
    say(rig, OK);
    assert_int_equal(outcome(rig), SEND_OK);
    rig_close(rig);
}

/* Who says 200 to half an event and hangs up does not have it; an error it is in any case. */
static void test_early_and_gone(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum send_result want;
    } cases[] = {{OK, SEND_RETRY},
                 {"HTTP/1.1 200 OK\r\n\r\n", SEND_RETRY},
                 {BUSY, SEND_RETRY},
                 {REFUSED, SEND_REJECT}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rig *rig = rig_open(true);
        begin(rig, LARGE);
        next_connection(rig);
        take_request(rig, 1000);
        fill_up(rig);
        say(rig, cases[i].answer);
        leave(rig); /* with bytes unread, so the connection is reset */
        assert_int_equal(outcome(rig), cases[i].want);
        assert_true(rig->why[0]);
        rig_close(rig);
    }
}

/* Some answer by the head alone and take the body nevertheless: then it counts, as soon as they have it. */
static void test_early_success(void **state)
{
    (void)state;
    struct rig *rig = rig_open(true);
    begin(rig, LARGE);
    next_connection(rig);
    take_request(rig, 1000);
    say(rig, OK);
    fill_up(rig); /* no outcome yet */
    take_request(rig, 0);
    assert_int_equal(outcome(rig), SEND_OK);
    /* it is not kept: what follows would be of the same kind */
    begin(rig, 10);
    next_connection(rig);
    take_request(rig, 0);
    say(rig, REFUSED);
    assert_int_equal(outcome(rig), SEND_REJECT);
    rig_close(rig);
}

/* On a connection that was kept, an answer to half a request may be one to an earlier event: it counts for nothing, and as
 * the peer cannot have the event, the request goes elsewhere at once. */
static void test_late_word_meanwhile(void **state)
{
    (void)state;
    static const char *const late[] = {OK, REFUSED, OK OK};
    for (size_t i = 0; i < COUNT_OF(late); i++) {
        struct rig *rig = rig_open(true);
        warm_up(rig);
        begin(rig, LARGE);
        take_request(rig, 1000);
        say(rig, late[i]);
        next_connection(rig);
        take_request(rig, 0);
        say(rig, BUSY);
        assert_int_equal(outcome(rig), SEND_RETRY);
        assert_non_null(strstr(rig->why, "503"));
        rig_close(rig);
    }
}

/* Whatever the peer withholds: its window, or the rest of its reply, the outcome is there by the deadline, or by one that
 * became nearer meanwhile. */
static void test_deadlines(void **state)
{
    (void)state;
    static const char *const said[] = {"", OK, "HTTP/1.1 200 OK\r\nConte", "HTTP/1.1 100 Continue\r\n\r\n"};
    for (size_t i = 0; i < 2 * COUNT_OF(said); i++) {
        struct rig *rig = rig_open(true);
        begin(rig, LARGE);
        next_connection(rig);
        take_request(rig, 1000);
        say(rig, said[i / 2]);
        int64_t began = clock_mono_ms();
        if (i % 2 == 0) {
            target_webhook.hasten(rig->self, began + 100);
        } else {
            fill_up(rig);
            target_webhook.hasten(rig->self, began);
        }
        assert_int_equal(outcome(rig), SEND_RETRY);
        assert_true(clock_mono_ms() < began + 2000);
        assert_non_null(strstr(rig->why, "no answer in time"));
        rig_close(rig);
    }
}

/* --- replies too many --------------------------------------------------------------------------------------------- */

/* Two answers to one request: on a new connection the first is its own; on one that was kept, nobody can tell. */
static void test_two_answers(void **state)
{
    (void)state;
    static const struct {
        bool kept;
        const char *answers;
        enum send_result want;
    } cases[] = {{false, OK BUSY, SEND_OK},     {false, BUSY OK, SEND_RETRY},   {true, OK BUSY, SEND_RETRY},
                 {true, OK OK, SEND_RETRY},     {true, REFUSED OK, SEND_RETRY}, {true, OK, SEND_OK},
                 {true, OK "\r\n", SEND_RETRY}, {true, REFUSED, SEND_REJECT}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rig *rig = rig_open(false);
        if (cases[i].kept)
            warm_up(rig);
        begin(rig, 10);
        if (!cases[i].kept)
            next_connection(rig);
        take_request(rig, 0);
        say(rig, cases[i].answers);
        if (outcome(rig) != cases[i].want)
            fail_msg("%zu: %d, '%s'", i, (int)rig->done[0].result, rig->why);
        rig_close(rig);
    }
}

/* A body that was announced with a 204 is not the answer to the next event. */
static void test_body_without_right(void **state)
{
    (void)state;
    struct rig *rig = rig_open(false);
    char late[64];
    (void)snprintf(late, sizeof(late), "HTTP/1.1 204 No Content\r\nContent-Length: %zu\r\n\r\n", strlen(OK));
    begin(rig, 10);
    next_connection(rig);
    take_request(rig, 0);
    say(rig, late);
    assert_int_equal(outcome(rig), SEND_OK);
    begin(rig, 10);
    next_connection(rig);
    take_request(rig, 0);
    say(rig, BUSY);
    assert_int_equal(outcome(rig), SEND_RETRY);
    rig_close(rig);
}

/* --- what is left open -------------------------------------------------------------------------------------------- */

static unsigned open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

/* However an event ends, at most its one connection is open; and none after disconnect. */
static void test_no_file_is_left(void **state)
{
    (void)state;
    static const char *const ends[] = {OK,
                                       "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                                       BUSY,
                                       "no HTTP at all\r\n",
                                       "HTTP/1.1 200 OK\r\nConte",
                                       "",
                                       NULL};
    struct rig *rig = rig_open(false);
    unsigned before = 0;
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT_OF(ends); i++) {
            begin(rig, 10);
            next_connection(rig);
            take_request(rig, 0);
            if (ends[i]) {
                say(rig, ends[i]);
                leave(rig);
                (void)outcome(rig);
            } /* else it is left while it is out */
            target_webhook.disconnect(rig->self);
            leave(rig);
            if (round > 0)
                assert_int_equal(open_files(), before);
            before = open_files();
            rig_connect(rig);
        }
    }
    rig_close(rig);
}

/* A webhook that cannot be opened closes nothing of others'. */
static void test_open_fails(void **state)
{
    (void)state;
    struct rig *rig = rig_open(false);
    struct err e = {0};
    struct rlimit few, was;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    int zero = fcntl(0, F_GETFD);
    if (zero < 0)
        assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
    few = was;
    few.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    void *self = target_webhook.open(rig->conf, "t", &e);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_null(self);
    assert_true(e.text[0]);
    assert_true(fcntl(0, F_GETFD) >= 0);
    rig_close(rig);
}

/* A connection that nothing went over for two minutes may be one in name only. */
static void test_idle_for_long(void **state)
{
    (void)state;
    struct rig *rig = rig_open(false);
    for (int64_t idle_ms = 100000; idle_ms <= 120000; idle_ms += 20000) {
        warm_up(rig);
        ((struct webhook *)rig->self)->flight[0].link.idle_since_ms -= idle_ms;
        begin(rig, 10);
        if (idle_ms > 118000)
            next_connection(rig);
        take_request(rig, 0);
        say(rig, BUSY); /* closes it */
        assert_int_equal(outcome(rig), SEND_RETRY);
    }
    rig_close(rig);
}

/* --- where the connection goes ------------------------------------------------------------------------------------ */

/* What "hook.test" stands for; NULL: the look-up hangs, until it is something. Before libc's own, for libcurl too. */
static _Atomic(const char *) address = "127.0.0.1";

__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **out)
{
    int (*libc)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&libc, &found, sizeof(libc));
    if (!name || strcmp(name, "hook.test") != 0)
        return libc(name, service, hints, out);
    while (!atomic_load(&address))
        (void)poll(NULL, 0, 5);
    return libc(atomic_load(&address), service, hints, out);
}

static struct rig *rig_open_by_name(void)
{
    struct rig *rig = x_calloc(1, sizeof(*rig));
    char url[64];
    rig->fd = -1;
    atomic_store(&address, "127.0.0.1");
    buf_init(&rig->in, 4u << 20);
    assert_true(listen_at(rig, AF_INET));
    (void)snprintf(url, sizeof(url), "http://hook.test:%u/hook", rig->port);
    rig_load(rig, url);
    rig_connect(rig);
    return rig;
}

/* The receiver has moved: a second later the next connection goes to where its name leads now, and its old place gets
 * nothing, although somebody takes connections there. */
static void test_name_leads_elsewhere(void **state)
{
    (void)state;
    struct rig *rig = rig_open_by_name();
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)rig->port)};
    assert_int_equal(inet_pton(AF_INET, "127.0.0.2", &a.sin_addr), 1);
    warm_up(rig);
    leave(rig);
    int old = rig->listener;
    rig->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(rig->listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(rig->listener, 16), 0);
    atomic_store(&address, "127.0.0.2");
    time_t moved = time(NULL); /* libcurl counts whole seconds */
    while (time(NULL) < moved + 1)
        (void)poll(NULL, 0, 20);
    begin(rig, 10);
    next_connection(rig);
    take_request(rig, 0);
    say(rig, OK);
    assert_int_equal(outcome(rig), SEND_OK);
    assert_int_equal(accept(old, NULL, NULL), -1);
    (void)close(old);
    rig_close(rig);
}

static void *hasten_soon(void *arg)
{
    struct rig *rig = arg;
    (void)poll(NULL, 0, 30);
    target_webhook.hasten(rig->self, clock_mono_ms());
    return NULL;
}

/* What was given up is over: the next event has a dial of its own. */
static void goes_on(struct rig *rig)
{
    int fd;
    assert_int_equal(listen(rig->listener, 16), 0);
    while ((fd = accept(rig->listener, NULL, NULL)) >= 0)
        (void)close(fd);
    target_webhook.hasten(rig->self, INT64_MAX);
    begin(rig, 10);
    next_connection(rig);
    take_request(rig, 0);
    say(rig, OK);
    assert_int_equal(outcome(rig), SEND_OK);
}

/* An event whose dial hangs, in the look-up or because nobody takes the connection: shutdown does not wait for it, nor does
 * disconnect. */
static void test_hanging_dials(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool lookup = i & 1, disconnect = i & 2;
        struct rig *rig = rig_open_by_name();
        int full[2];
        int64_t began = clock_mono_ms();
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)rig->port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        assert_int_equal(listen(rig->listener, 0), 0);
        for (unsigned k = 0; k < COUNT_OF(full); k++) {
            full[k] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            (void)connect(full[k], (struct sockaddr *)&a, sizeof(a));
        }
        atomic_store(&address, lookup ? NULL : "127.0.0.1");
        begin(rig, 10);
        fill_up(rig);
        if (disconnect) {
            target_webhook.disconnect(rig->self);
        } else {
            pthread_t t = thread_start("hasten", hasten_soon, rig);
            rig->judged = target_webhook.poll(rig->self, rig->done, began + WITHIN_MS) > 0;
            thread_join(t);
            assert_true(rig->judged);
            assert_int_equal(rig->done[0].result, SEND_RETRY);
            assert_non_null(strstr(rig->why, "in time"));
        }
        assert_true(clock_mono_ms() < began + 3000);
        for (unsigned k = 0; k < COUNT_OF(full); k++)
            (void)close(full[k]);
        atomic_store(&address, "127.0.0.1");
        if (!disconnect)
            goes_on(rig);
        rig_close(rig);
    }
}

/* --- as libcurl sends it ------------------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The request line, then the fields in the alphabet's order, then the body. */
static char *sorted(const struct rig *rig)
{
    char *text = str_dupz(buf_view(&rig->in)), *body = strstr(text, "\r\n\r\n"), *lines[32], *at = text;
    size_t n = 0;
    struct buf b;
    assert_non_null(body);
    body[2] = 0;
    body += 4;
    for (char *end; (end = strstr(at, "\r\n")); at = end + 2) {
        assert_true(n < COUNT_OF(lines));
        *end = 0;
        lines[n++] = at;
    }
    qsort(lines + 1, n - 1, sizeof(lines[0]), by_text);
    buf_init(&b, 1u << 20);
    for (size_t i = 0; i < n; i++) {
        char *signature = strstr(lines[i], "X-Belfry-Signature: t=");
        if (signature) /* the second in it may be the next one */
            signature[strlen("X-Belfry-Signature: t=")] = 0;
        buf_puts(&b, lines[i]);
        buf_puts(&b, "\n");
    }
    buf_puts(&b, body);
    buf_char(&b, 0);
    free(text);
    return b.p;
}

/* A redirect to the very same place makes libcurl send the very same request. (But for a "?" with nothing behind it, which
 * libcurl keeps, and a Location loses.) */
static void compare_at(const char *host, const char *rest, int family)
{
    struct rig *rig = x_calloc(1, sizeof(*rig));
    char url[256], again[512];
    rig->fd = -1;
    buf_init(&rig->in, 4u << 20);
    assert_true(listen_at(rig, family));
    (void)snprintf(url, sizeof(url), "http://%s:%u%s", host, rig->port, rest);
    rig_load(rig, url);
    rig_connect(rig);
    begin(rig, 100);
    next_connection(rig);
    take_request(rig, 0);
    char *ours = sorted(rig);
    (void)snprintf(again, sizeof(again), "HTTP/1.1 307 There\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
                   url);
    say(rig, again);
    next_connection(rig);
    take_request(rig, 0);
    char *libcurls = sorted(rig);
    assert_string_equal(ours, libcurls);
    assert_int_equal(strncmp(ours, "POST /", 6), 0);
    say(rig, OK);
    assert_int_equal(outcome(rig), SEND_OK);
    free(ours);
    free(libcurls);
    rig_close(rig);
}

static bool has_ipv6(void)
{
    struct rig rig;
    bool has = listen_at(&rig, AF_INET6);
    if (has)
        (void)close(rig.listener);
    return has;
}

static void test_same_as_libcurl(void **state)
{
    (void)state;
    static const char *const rests[] = {"",
                                        "/",

                                        "?q=1&r=%20%2f",

                                        "/a%20b/%c3%bc",
                                        "/a/../b/./c",
                                        "/p?q#part",
                                        "/p#part",
                                        "//a;b,c'd\"e|f"};
    static const char *const hosts[] = {"127.0.0.1", "LocalHost", "127.1", "%31%32%37.0.0.1"};
    static const struct {
        const char *name, *value;
    } settings[] = {{"AUTH_TOKEN_t", "one"},
                    {"AUTH_TOKEN_t", "Basic two"},
                    {"PAYLOAD_t", "cloudevents"},
                    {"SIGNATURE_SECRET_t", "secret"}};
    for (size_t i = 0; i < COUNT_OF(rests); i++)
        compare_at("127.0.0.1", rests[i], AF_INET);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        compare_at(hosts[i], "/hook", AF_INET);
    if (has_ipv6())
        compare_at("[::1]", "/hook", AF_INET6);
    for (size_t i = 0; i < COUNT_OF(settings); i++) { /* one beside the other, in the end all */
        char name[64];
        (void)snprintf(name, sizeof(name), "MINIO_NOTIFY_WEBHOOK_%s", settings[i].name);
        setenv(name, settings[i].value, 1);
        compare_at("127.0.0.1", "/hook", AF_INET);
    }
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "MINIO_NOTIFY_WEBHOOK_%s", settings[i].name);
        unsetenv(name);
    }
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_DFL); /* whoever raises it ends the test */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_little_at_a_time),
        cmocka_unit_test(test_early_and_gone),
        cmocka_unit_test(test_early_success),
        cmocka_unit_test(test_late_word_meanwhile),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_two_answers),
        cmocka_unit_test(test_body_without_right),
        cmocka_unit_test(test_no_file_is_left),
        cmocka_unit_test(test_open_fails),
        cmocka_unit_test(test_idle_for_long),
        cmocka_unit_test(test_name_leads_elsewhere),
        cmocka_unit_test(test_hanging_dials),
        cmocka_unit_test(test_same_as_libcurl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
