/* SPDX-License-Identifier: Apache-2.0
 *
 * NSQ's events on their way: commands that are out at once, what each answer means for them, and what goes again. nsqd is the
 * test itself, step by step, on the thread that calls the target. (Words and login: test_target_nsq.c; the contract:
 * test_target.c; against a real nsqd: tests/integration/test_nsq.py.) */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "target/nsq.h"

#define PLACES   NSQ_MAX_BATCH
#define COMMAND  (NSQ_MAX_BATCH / 2)
#define PATIENCE 20000 /* ms; what does not come by then never does */
#define EVENTS   20000

struct rig {
    int listener, fd; /* of nsqd; fd -1: nobody is connected */
    struct buf in;    /* what came */
    char address[32];
    struct nsq_conf conf;
    void *self;

    struct event_ref ev[PLACES];
    char why[PLACES][SEND_WHY], record[PLACES][32];
    unsigned number[PLACES]; /* of the event in the place */
    bool out[PLACES];
    int64_t deadline_ms;
    char *padding; /* of `padded` bytes: events are that large */
    size_t padded;

    unsigned n_begun, n_done, n_out;
    enum send_result result[EVENTS]; /* by number */
    bool done[EVENTS];
    char reason[SEND_WHY]; /* of the last that was not OK */
    struct send_done at_once[PLACES];
};

struct command {
    char name[8];
    unsigned n, number[PLACES];
    size_t bytes; /* of its body */
};

/* --- nsqd --------------------------------------------------------------------------------------------------------- */

static int listen_on(unsigned port, int buffer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_port = htons((uint16_t)port);
    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (buffer)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static unsigned port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t n = sizeof(a);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    return ntohs(a.sin_port);
}

static void say_bytes(struct rig *g, struct str bytes)
{
    assert_int_equal(send(g->fd, bytes.p, bytes.n, MSG_NOSIGNAL), (ssize_t)bytes.n);
}

static void put_frame(struct buf *b, unsigned kind, const char *text)
{
    buf_be32(b, (uint32_t)strlen(text) + 4);
    buf_be32(b, kind);
    buf_puts(b, text);
}

static void say(struct rig *g, unsigned kind, const char *text)
{
    struct buf b;
    buf_init(&b, 4096);
    put_frame(&b, kind, text);
    say_bytes(g, buf_view(&b));
    buf_release(&b);
}

/* OK, and behind it what comes in the same piece. */
static void say_two(struct rig *g, unsigned kind, const char *text)
{
    struct buf b;
    buf_init(&b, 4096);
    put_frame(&b, NSQ_RESPONSE, "OK");
    put_frame(&b, kind, text);
    say_bytes(g, buf_view(&b));
    buf_release(&b);
}

static void hang_up(struct rig *g)
{
    (void)close(g->fd);
    g->fd = -1;
    buf_reset(&g->in);
}

/* An error, which ends the connection. */
static void refuse(struct rig *g, const char *text)
{
    say(g, NSQ_ERROR, text);
    hang_up(g);
}

/* Reads what has come, after some ms at most. */
static bool hear(struct rig *g, int ms)
{
    struct pollfd p = {.fd = g->fd, .events = POLLIN};
    if (poll(&p, 1, ms) <= 0)
        return false;
    char *at = buf_reserve(&g->in, 1u << 16);
    ssize_t n = recv(g->fd, at, 1u << 16, 0);
    g->in.len += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* Bytes of the command that the buffer begins with; 0: not whole yet. */
static size_t whole(struct str in)
{
    uint32_t n;
    ptrdiff_t end = str_starts(in, STR("  V2")) ? 3 : str_chr(in, '\n');
    if (end < 0 || str_starts(in, STR("NOP")) || str_starts(in, STR("  V2")))
        return (size_t)(end + 1);
    struct str rest = str_from(in, (size_t)end + 1);
    return take_be32(&rest, &n) && rest.n >= n ? (size_t)end + 5 + n : 0;
}

/* What it says is what it is: the lengths fit, and there are as many events as it promises. */
static void read_command(struct str in, struct command *c)
{
    struct str word = in, message;
    uint32_t bytes, n = 1;
    size_t name = 0;
    memset(c, 0, sizeof(*c));
    while (name < 4 && in.p[name] != ' ' && in.p[name] != '\n')
        name++;
    memcpy(c->name, in.p, name);
    if (strcmp(c->name, "PUB") != 0 && strcmp(c->name, "MPUB") != 0)
        return;
    word = str_from(in, (size_t)str_chr(in, '\n') + 1);
    struct str body = word;
    assert_true(take_be32(&body, &bytes) && body.n == bytes);
    c->bytes = bytes;
    if (c->name[0] == 'M')
        assert_true(take_be32(&body, &n));
    else
        body = word;
    for (; c->n < n; c->n++) {
        uint32_t length;
        assert_true(take_be32(&body, &length) && take_bytes(&body, length, &message));
        ptrdiff_t at = str_find(message, STR("\"Records\":[{\"n\":"));
        assert_true(at >= 0 && c->n < PLACES);
        c->number[c->n] = (unsigned)strtoul(message.p + at + 16, NULL, 10);
    }
    assert_int_equal(body.n, 0);
}

/* --- the target --------------------------------------------------------------------------------------------------- */

/* One poll; every event has one outcome. */
static size_t poll_until(struct rig *g, int64_t until_ms)
{
    size_t n = target_nsq.poll(g->self, g->at_once, until_ms);
    for (size_t i = 0; i < n; i++) {
        unsigned at = g->at_once[i].place;
        assert_true(at < PLACES && g->out[at] && !g->done[g->number[at]]);
        g->out[at] = false;
        g->done[g->number[at]] = true;
        g->result[g->number[at]] = g->at_once[i].result;
        if (g->at_once[i].result != SEND_OK)
            (void)snprintf(g->reason, sizeof(g->reason), "%s", g->why[at]);
        else
            assert_string_equal(g->why[at], "");
        g->n_done++;
        g->n_out--;
    }
    return n;
}

static size_t step(struct rig *g)
{
    return poll_until(g, clock_mono_ms());
}

static void await_done(struct rig *g, unsigned n)
{
    int64_t until = clock_mono_ms() + PATIENCE;
    while (g->n_done < n && clock_mono_ms() < until)
        (void)poll_until(g, clock_mono_ms() + 20);
    if (g->n_done != n)
        fail_msg("%u events have an outcome, not %u: %s", g->n_done, n, g->reason);
}

static bool take_some(struct rig *g, struct command *c)
{
    size_t n = whole(buf_view(&g->in));
    if (n == 0)
        return false;
    read_command(str_head(buf_view(&g->in), n), c);
    buf_consume(&g->in, n);
    return true;
}

/* The next command, while the target goes on. */
static void take(struct rig *g, struct command *c)
{
    int64_t until = clock_mono_ms() + PATIENCE;
    while (!take_some(g, c)) {
        (void)step(g);
        (void)hear(g, 1);
        if (clock_mono_ms() >= until)
            fail_msg("no command comes (%zu bytes have)", g->in.len);
    }
}

static void take_named(struct rig *g, struct command *c, const char *name)
{
    take(g, c);
    assert_string_equal(c->name, name);
}

/* Those numbers, one after the other. */
static void take_events(struct rig *g, unsigned from, unsigned n)
{
    static struct command c;
    take_named(g, &c, n == 1 ? "PUB" : "MPUB");
    assert_int_equal(c.n, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(c.number[i], from + i);
}

/* The target has had its chance to say more, and has not. */
static void take_nothing(struct rig *g)
{
    (void)step(g);
    assert_false(hear(g, 0));
    assert_int_equal(g->in.len, 0);
}

static unsigned vacant(const struct rig *g)
{
    for (unsigned at = 0; at < PLACES; at++)
        if (!g->out[at])
            return at;
    fail_msg("no place is free");
    return 0;
}

static void begin_one(struct rig *g)
{
    unsigned at = vacant(g), number = g->n_begun++;
    (void)snprintf(g->record[at], sizeof(g->record[at]), "{\"n\":%u}", number);
    g->why[at][0] = 0;
    g->ev[at] = (struct event_ref){.event_name = STR("e"),
                                   .bucket = STR("b"),
                                   .key = STR("k"),
                                   .record = str_c(g->record[at]),
                                   .sequencer = number + 1,
                                   .why = g->why[at]};
    if (g->padded) { /* those are not many */
        int n = snprintf(g->padding, 32, "{\"n\":%u,\"x\":\"", number);
        g->padding[n] = '0';
        g->ev[at].record = str_n(g->padding, g->padded);
    }
    g->number[at] = number;
    g->out[at] = true;
    g->n_out++;
    assert_true(number < EVENTS);
    target_nsq.begin(g->self, at, &g->ev[at], g->deadline_ms);
}

static void begin(struct rig *g, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        begin_one(g);
}

static void assert_results(const struct rig *g, unsigned from, unsigned n, enum send_result r)
{
    for (unsigned i = from; i < from + n; i++)
        if (!g->done[i] || g->result[i] != r)
            fail_msg("event %u: %s, result %d", i, g->done[i] ? "done" : "out", (int)g->result[i]);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static bool take_connection(struct rig *g)
{
    int one = 1;
    g->fd = accept(g->listener, NULL, NULL);
    (void)setsockopt(g->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    buf_reset(&g->in);
    return g->fd >= 0;
}

/* While the target goes on. */
static void accept_one(struct rig *g)
{
    int64_t until = clock_mono_ms() + PATIENCE;
    struct pollfd p = {.fd = g->listener, .events = POLLIN};
    while (poll(&p, 1, 1) <= 0) {
        (void)step(g);
        if (clock_mono_ms() >= until)
            fail_msg("nobody connects");
    }
    assert_true(take_connection(g));
}

static bool take_in_time(struct rig *g, struct command *c)
{
    while (!take_some(g, c))
        if (!hear(g, PATIENCE))
            return false;
    return true;
}

/* Where the target waits for it. */
static void *welcome(void *arg)
{
    struct rig *g = arg;
    static struct command c;
    struct pollfd p = {.fd = g->listener, .events = POLLIN};
    if (poll(&p, 1, PATIENCE) > 0 && take_connection(g) && take_in_time(g, &c) && take_in_time(g, &c))
        say(g, NSQ_RESPONSE, "{}");
    return NULL;
}

static void connect_rig(struct rig *g)
{
    struct err e = {0};
    pthread_t t = thread_start("nsqd", welcome, g);
    bool ok = target_nsq.connect(g->self, clock_mono_ms() + PATIENCE, &e);
    thread_join(t);
    if (!ok)
        fail_msg("%s", e.text);
}

/* The login of a connection that the target makes by itself, while it goes on. */
static void welcome_again(struct rig *g)
{
    static struct command c;
    accept_one(g);
    take_named(g, &c, "");
    take_named(g, &c, "IDEN");
    say(g, NSQ_RESPONSE, "{}");
}

static struct rig *rig_with(int buffer)
{
    static char topic[] = "t", none[] = "";
    struct err e = {0};
    struct rig *g = x_calloc(1, sizeof(*g));
    g->fd = -1;
    g->listener = listen_on(0, buffer);
    buf_init(&g->in, 64u << 20);
    (void)snprintf(g->address, sizeof(g->address), "127.0.0.1:%u", port_of(g->listener));
    g->conf = (struct nsq_conf){.nsqd_address = g->address,
                                .topic = topic,
                                .auth_secret = none,
                                .client_cert = none,
                                .client_key = none};
    g->self = target_nsq.open(&g->conf, "t", &e);
    assert_non_null(g->self);
    g->deadline_ms = clock_mono_ms() + 60000;
    connect_rig(g);
    return g;
}

static struct rig *rig_open(void)
{
    return rig_with(0);
}

static void rig_close(struct rig *g)
{
    target_nsq.disconnect(g->self);
    target_nsq.close(g->self);
    if (g->fd >= 0)
        (void)close(g->fd);
    (void)close(g->listener);
    buf_release(&g->in);
    free(g->padding);
    free(g);
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

/* An event on a connection where nothing is out goes by itself, at once. */
static void test_single(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    for (unsigned i = 0; i < 3; i++) {
        begin(g, 1);
        take_events(g, i, 1);
        say(g, NSQ_RESPONSE, "OK");
        await_done(g, i + 1);
    }
    assert_results(g, 0, 3, SEND_OK);
    rig_close(g);
}

/* Two commands are out at once, and answered in their order; what comes meanwhile gathers for the next one. */
static void test_two_commands(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, PLACES);
    take_events(g, 0, COMMAND);
    take_events(g, COMMAND, COMMAND);
    take_nothing(g);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, COMMAND);
    assert_results(g, 0, COMMAND, SEND_OK);
    begin(g, 3);
    take_events(g, PLACES, 3);
    begin(g, 1);
    take_nothing(g);
    begin(g, 10);
    take_nothing(g);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, PLACES);
    assert_results(g, COMMAND, COMMAND, SEND_OK);
    take_events(g, PLACES + 3, 11);
    say(g, NSQ_RESPONSE, "OK");
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, PLACES + 14);
    assert_results(g, PLACES, 14, SEND_OK);
    rig_close(g);
}

/* All that was handed over before a poll goes out in it. */
static void test_one_poll(void **state)
{
    (void)state;
    static struct command c;
    struct rig *g = rig_open();
    begin(g, COMMAND + 7);
    (void)step(g);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(take_in_time(g, &c));
        assert_int_equal(c.n, i == 0 ? COMMAND : 7);
    }
    rig_close(g);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* An error is about the first command, and nothing of the second was taken. */
static void test_error_on_the_first(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, PLACES);
    take_events(g, 0, COMMAND);
    take_events(g, COMMAND, COMMAND);
    refuse(g, "E_MPUB_FAILED MPUB failed write: no space left on device");
    await_done(g, PLACES);
    assert_results(g, 0, PLACES, SEND_RETRY);
    assert_non_null(strstr(g->reason, "its disk"));
    begin(g, 1); /* before it is connected again */
    await_done(g, PLACES + 1);
    assert_results(g, PLACES, 1, SEND_RETRY);
    assert_non_null(strstr(g->reason, "its disk"));
    connect_rig(g);
    begin(g, 1);
    take_events(g, PLACES + 1, 1);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, PLACES + 2);
    assert_results(g, PLACES + 1, 1, SEND_OK);
    rig_close(g);
}

/* What was confirmed comes first, and by itself, though the end of the connection was there, too. */
static void test_error_on_the_second(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, PLACES);
    take_events(g, 0, COMMAND);
    take_events(g, COMMAND, COMMAND);
    say_two(g, NSQ_ERROR, "E_MPUB_FAILED MPUB failed write");
    hang_up(g);
    int64_t until = clock_mono_ms() + PATIENCE;
    assert_int_equal(poll_until(g, until), COMMAND);
    assert_results(g, 0, COMMAND, SEND_OK);
    assert_int_equal(poll_until(g, until), COMMAND);
    assert_results(g, COMMAND, COMMAND, SEND_RETRY);
    rig_close(g);
}

/* What nobody asked for, and what is no answer to a publish. */
static void test_wrong_answers(void **state)
{
    (void)state;
    static const struct {
        unsigned kind, ok; /* events that are taken before */
        const char *text, *why;
    } cases[] = {{NSQ_RESPONSE, 0, "FINE", "none of nsqd's"},
                 {NSQ_RESPONSE, 5, "OKAY", "none of nsqd's"},
                 {NSQ_MESSAGE, 5, "OK", "does not answer as nsqd does"},
                 {NSQ_ERROR, 5, "E_BAD_MESSAGE MPUB message too big", "--max-msg-size"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rig *g = rig_open();
        begin(g, 5);
        take_events(g, 0, 5);
        begin(g, 5);
        take_events(g, 5, 5);
        if (cases[i].ok)
            say(g, NSQ_RESPONSE, "OK");
        say(g, cases[i].kind, cases[i].text);
        await_done(g, 10);
        assert_results(g, 0, cases[i].ok, SEND_OK);
        assert_results(g, cases[i].ok, 10 - cases[i].ok, SEND_RETRY);
        if (!strstr(g->reason, cases[i].why))
            fail_msg("%zu: %s", i, g->reason);
        rig_close(g);
    }
}

static void test_unasked(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    struct err e = {0};
    assert_true(target_nsq.idle(g->self, clock_mono_ms() + PATIENCE, &e));
    begin(g, 1);
    take_events(g, 0, 1);
    say_two(g, NSQ_RESPONSE, "OK");
    await_done(g, 1);
    assert_results(g, 0, 1, SEND_OK);
    begin(g, 1);
    await_done(g, 2);
    assert_results(g, 1, 1, SEND_RETRY);
    assert_non_null(strstr(g->reason, "nobody asked for"));
    rig_close(g);
}

/* Answers, and heartbeats between them, however the network cuts them. */
static void test_split_answers(void **state)
{
    (void)state;
    unsigned seed = 1, beats = 0;
    static struct command c;
    struct rig *g = rig_open();
    struct buf b;
    buf_init(&b, 1u << 16);
    for (unsigned round = 0; round < 100; round++) {
        unsigned before = g->n_done;
        begin(g, 1 + (unsigned)rand_r(&seed) % 40);
        unsigned cut = g->n_begun;
        (void)step(g);
        begin(g, 1 + (unsigned)rand_r(&seed) % 40);
        take_events(g, before, cut - before);
        take_events(g, cut, g->n_begun - cut);
        buf_reset(&b);
        for (unsigned i = 0; i < 2; i++) {
            for (unsigned k = (unsigned)rand_r(&seed) % 3; k > 0; k--, beats++)
                put_frame(&b, NSQ_RESPONSE, "_heartbeat_");
            put_frame(&b, NSQ_RESPONSE, "OK");
        }
        for (size_t at = 0, n; at < b.len; at += n) {
            n = 1 + (size_t)rand_r(&seed) % 30;
            n = n < b.len - at ? n : b.len - at;
            say_bytes(g, str_n(b.p + at, n));
            (void)step(g);
        }
        await_done(g, g->n_begun);
        for (; beats > 0; beats--)
            take_named(g, &c, "NOP");
    }
    assert_results(g, 0, g->n_begun, SEND_OK);
    take_nothing(g);
    buf_release(&b);
    rig_close(g);
}

/* --- half of a command -------------------------------------------------------------------------------------------- */

/* Eight events of one MiB are handed over, and nsqd reads nothing: of the two commands, of 3 MiB each, no more goes than
 * sockets hold. */
static struct rig *rig_stuck(void)
{
    struct rig *g = rig_with(4096);
    g->padded = 1u << 20;
    g->padding = x_malloc(g->padded);
    memset(g->padding, '0', g->padded);
    begin(g, 8); /* they are one buffer, so all have the last one's number */
    (void)step(g);
    return g;
}

/* The answer to a heartbeat goes behind the command, not into it. */
static void test_nop_behind(void **state)
{
    (void)state;
    static struct command c;
    struct rig *g = rig_stuck();
    say(g, NSQ_RESPONSE, "_heartbeat_");
    for (unsigned i = 0; i < 10; i++)
        (void)poll_until(g, clock_mono_ms() + 1);
    for (unsigned i = 0; i < 2; i++) {
        take_named(g, &c, "MPUB");
        assert_int_equal(c.n, 3);
    }
    take_named(g, &c, "NOP");
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 3);
    take_named(g, &c, "MPUB");
    assert_int_equal(c.n, 2);
    say(g, NSQ_RESPONSE, "OK");
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 8);
    assert_results(g, 0, 8, SEND_OK);
    rig_close(g);
}

/* An answer to what it cannot have read is none. */
static void test_early_answer(void **state)
{
    (void)state;
    struct rig *g = rig_stuck();
    say(g, NSQ_RESPONSE, "OK");
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 8);
    assert_int_equal(g->result[7], SEND_RETRY);
    assert_non_null(strstr(g->reason, "before it has the whole command"));
    rig_close(g);
}

/* --- refused for its size ----------------------------------------------------------------------------------------- */

/* What fits goes again without what does not, behind a login that takes longer than the polls; nothing of it twice. */
static void test_slow_reconnect(void **state)
{
    (void)state;
    static struct command c;
    struct rig *g = rig_open();
    begin(g, 12);
    take_events(g, 0, 12); /* 10 and 11 have a digit more */
    begin(g, 3);
    take_events(g, 12, 3);
    refuse(g, "E_BAD_MESSAGE MPUB message too big 50 > 49");
    await_done(g, 2);
    assert_results(g, 10, 2, SEND_REJECT);
    assert_non_null(strstr(g->reason, "--max-msg-size"));
    accept_one(g);
    for (unsigned i = 0; i < 3; i++) { /* it keeps its times, and hears who wakes it */
        int64_t begin_ms = clock_mono_ms();
        assert_int_equal(poll_until(g, begin_ms + 30), 0);
        assert_in_range(clock_mono_ms() - begin_ms, 30, 5000);
    }
    target_nsq.wake(g->self);
    assert_int_equal(poll_until(g, clock_mono_ms() + 60000), 0);
    begin(g, 1);
    take_named(g, &c, "");
    take_named(g, &c, "IDEN");
    say(g, NSQ_RESPONSE, "{}");
    take_named(g, &c, "MPUB");
    assert_int_equal(c.n, 14);
    for (unsigned i = 0; i < 14; i++)
        assert_int_equal(c.number[i], i < 10 ? i : i + 2);
    take_nothing(g);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 16);
    assert_results(g, 0, 10, SEND_OK);
    assert_results(g, 12, 4, SEND_OK);
    rig_close(g);
}

/* Where that fails, all of it is to be sent again, and is told why. */
static void test_failed_reconnect(void **state)
{
    (void)state;
    static struct command c;
    static const char *const whys[] = {"refused", "closed the connection", "E_INVALID", "no answer in time",
                                       "none of nsqd's to IDENTIFY"};
    for (size_t i = 0; i < COUNT_OF(whys); i++) {
        struct rig *g = rig_open();
        begin(g, 12);
        take_events(g, 0, 12);
        if (i == 3)
            g->deadline_ms = clock_mono_ms() + 200;
        begin(g, 3);
        if (i == 0)
            (void)close(g->listener);
        refuse(g, "E_BAD_MESSAGE MPUB message too big 50 > 49");
        if (i > 0) {
            await_done(g, 2);
            accept_one(g);
            take_named(g, &c, "");
            take_named(g, &c, "IDEN");
        }
        if (i == 1)
            hang_up(g);
        if (i == 2)
            refuse(g, "E_INVALID cannot IDENTIFY");
        if (i == 4)
            say(g, NSQ_RESPONSE, "OK");
        await_done(g, 15);
        assert_results(g, 0, 10, SEND_RETRY);
        assert_results(g, 10, 2, SEND_REJECT);
        assert_results(g, 12, 3, SEND_RETRY);
        if (!strstr(g->reason, whys[i]))
            fail_msg("%zu: %s", i, g->reason);
        if (i == 0)
            g->listener = listen_on(0, 0);
        rig_close(g);
    }
}

/* Commands that are too large for it become smaller, and all events come in their order, none twice. */
static void test_smaller_commands(void **state)
{
    (void)state;
    static struct command c;
    struct rig *g = rig_open();
    begin(g, PLACES);
    take_events(g, 0, COMMAND);
    take_events(g, COMMAND, COMMAND);
    refuse(g, "E_BAD_BODY MPUB body too big 20000 > 10000");
    welcome_again(g);
    unsigned next = 0, commands = 0;
    while (next < PLACES) {
        take(g, &c);
        if (c.bytes > 10000) { /* what it says of the limit does not count what stands before the events */
            refuse(g, "E_BAD_BODY MPUB body too big 10004 > 10000");
            welcome_again(g);
            continue;
        }
        for (unsigned i = 0; i < c.n; i++)
            assert_int_equal(c.number[i], next++);
        say(g, NSQ_RESPONSE, "OK");
        commands++;
    }
    await_done(g, PLACES);
    assert_results(g, 0, PLACES, SEND_OK);
    assert_in_range(commands, 6, 12);
    rig_close(g);
}

/* It refuses the only event there is; the next finds a connection of its own. */
static void test_refused_alone(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, 1);
    take_events(g, 0, 1);
    refuse(g, "E_BAD_MESSAGE PUB message too big 49 > 48");
    await_done(g, 1);
    assert_results(g, 0, 1, SEND_REJECT);
    (void)step(g);
    begin(g, 1);
    (void)step(g);
    welcome_again(g);
    take_events(g, 1, 1);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 2);
    assert_results(g, 1, 1, SEND_OK);
    rig_close(g);
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static void *wake(void *arg)
{
    struct rig *g = arg;
    target_nsq.wake(g->self);
    return NULL;
}

static void test_wake(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    for (unsigned out = 0; out < 2; out++) {
        int64_t begin_ms = clock_mono_ms();
        target_nsq.wake(g->self);
        assert_int_equal(poll_until(g, begin_ms + 50000), 0);
        pthread_t t = thread_start("wake", wake, g);
        assert_int_equal(poll_until(g, begin_ms + 50000), 0);
        thread_join(t);
        assert_true(clock_mono_ms() < begin_ms + 20000);
        begin_ms = clock_mono_ms(); /* once is once */
        assert_int_equal(poll_until(g, begin_ms + 30), 0);
        assert_true(clock_mono_ms() >= begin_ms + 30);
        begin(g, 1);
    }
    rig_close(g);
}

/* No answer by its deadline: that ends the connection, for what came later would be taken for another's. */
static void test_deadline(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, 2);
    take_events(g, 0, 2);
    int64_t begin_ms = clock_mono_ms();
    g->deadline_ms = begin_ms + 100;
    begin(g, 1);
    take_events(g, 2, 1);
    assert_int_equal(poll_until(g, begin_ms + 50000), 3);
    assert_in_range(clock_mono_ms() - begin_ms, 100, 10000);
    assert_results(g, 0, 3, SEND_RETRY);
    assert_non_null(strstr(g->reason, "no answer in time"));
    while (hear(g, PATIENCE))
        ;
    char c;
    assert_int_equal(recv(g->fd, &c, 1, MSG_DONTWAIT), 0);
    rig_close(g);
}

/* An event that is in no command yet is given up by itself. */
static void test_deadline_in_line(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, 1);
    take_events(g, 0, 1);
    begin(g, 1);
    take_events(g, 1, 1);
    begin(g, 1);
    int64_t later = g->deadline_ms;
    g->deadline_ms = clock_mono_ms() + 50;
    begin(g, 1);
    g->deadline_ms = later;
    begin(g, 1);
    assert_int_equal(poll_until(g, later), 1);
    assert_results(g, 3, 1, SEND_RETRY);
    begin(g, 1);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 2);
    static struct command c;
    take_named(g, &c, "MPUB");
    assert_int_equal(c.n, 3);
    assert_int_equal(c.number[0], 2);
    assert_int_equal(c.number[1], 4);
    assert_int_equal(c.number[2], 5);
    say(g, NSQ_RESPONSE, "OK");
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 6);
    assert_results(g, 4, 2, SEND_OK);
    rig_close(g);
}

static void *hasten(void *arg)
{
    struct rig *g = arg;
    target_nsq.hasten(g->self, clock_mono_ms() + 50);
    return NULL;
}

static void test_hasten(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, 2);
    take_events(g, 0, 2);
    int64_t begin_ms = clock_mono_ms();
    pthread_t t = thread_start("hasten", hasten, g);
    assert_int_equal(poll_until(g, begin_ms + 50000), 2);
    thread_join(t);
    assert_true(clock_mono_ms() < begin_ms + 20000);
    assert_results(g, 0, 2, SEND_RETRY);
    rig_close(g);
}

/* What was out when the connection was given up gets no outcome, and its places are free. */
static void test_disconnect(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, PLACES);
    take_events(g, 0, COMMAND);
    target_nsq.disconnect(g->self);
    hang_up(g);
    assert_int_equal(poll_until(g, clock_mono_ms() + 20), 0);
    memset(g->out, 0, sizeof(g->out));
    connect_rig(g);
    begin(g, 4);
    take_events(g, PLACES, 4);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 4);
    assert_results(g, PLACES, 4, SEND_OK);
    take_nothing(g);
    rig_close(g);
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

/* Events come and are answered by chance; they are published in the order in which they came, each once. */
static void test_chance(void **state)
{
    (void)state;
    static struct command c;
    unsigned seed = 7, next = 0, unanswered = 0;
    struct rig *g = rig_open();
    while (g->n_done < EVENTS - PLACES) {
        unsigned room = PLACES - g->n_out, most = (unsigned)rand_r(&seed) % 4 == 0 ? 400 : 4;
        unsigned n = (unsigned)rand_r(&seed) % (most + 1);
        begin(g, n < room ? n : room);
        (void)step(g);
        (void)hear(g, 0);
        while (take_some(g, &c)) {
            for (unsigned i = 0; i < c.n; i++)
                assert_int_equal(c.number[i], next++);
            assert_true(++unanswered <= 2 && c.n <= COMMAND);
        }
        if (unanswered > 0 && (unsigned)rand_r(&seed) % 3 > 0) {
            say(g, NSQ_RESPONSE, "OK");
            unanswered--;
        }
    }
    assert_results(g, 0, g->n_done, SEND_OK);
    rig_close(g);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_two_commands),
        cmocka_unit_test(test_one_poll),
        cmocka_unit_test(test_error_on_the_first),
        cmocka_unit_test(test_error_on_the_second),
        cmocka_unit_test(test_wrong_answers),
        cmocka_unit_test(test_unasked),
        cmocka_unit_test(test_split_answers),
        cmocka_unit_test(test_nop_behind),
        cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_slow_reconnect),
        cmocka_unit_test(test_failed_reconnect),
        cmocka_unit_test(test_smaller_commands),
        cmocka_unit_test(test_refused_alone),
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_deadline_in_line),
        cmocka_unit_test(test_hasten),
        cmocka_unit_test(test_disconnect),
        cmocka_unit_test(test_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
