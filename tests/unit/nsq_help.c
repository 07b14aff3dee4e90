/* SPDX-License-Identifier: Apache-2.0
 *
 * An nsqd that the test plays itself. */
#include "nsq_help.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- nsqd --------------------------------------------------------------------------------------------------------- */

int listen_on(unsigned port, int buffer)
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

void say_bytes(struct rig *g, struct str bytes)
{
    assert_int_equal(send(g->fd, bytes.p, bytes.n, MSG_NOSIGNAL), (ssize_t)bytes.n);
}

void put_frame(struct buf *b, unsigned kind, const char *text)
{
    buf_be32(b, (uint32_t)strlen(text) + 4);
    buf_be32(b, kind);
    buf_puts(b, text);
}

void say(struct rig *g, unsigned kind, const char *text)
{
    struct buf b;
    buf_init(&b, 4096);
    put_frame(&b, kind, text);
    say_bytes(g, buf_view(&b));
    buf_release(&b);
}

/* OK, and behind it what comes in the same piece. */
void say_two(struct rig *g, unsigned kind, const char *text)
{
    struct buf b;
    buf_init(&b, 4096);
    put_frame(&b, NSQ_RESPONSE, "OK");
    put_frame(&b, kind, text);
    say_bytes(g, buf_view(&b));
    buf_release(&b);
}

void hang_up(struct rig *g)
{
    (void)close(g->fd);
    g->fd = -1;
    buf_reset(&g->in);
}

/* An error, which ends the connection. */
void refuse(struct rig *g, const char *text)
{
    say(g, NSQ_ERROR, text);
    hang_up(g);
}

/* Reads what has come, after some ms at most. */
bool hear(struct rig *g, int ms)
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
size_t poll_until(struct rig *g, int64_t until_ms)
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

size_t step(struct rig *g)
{
    return poll_until(g, clock_mono_ms());
}

void await_done(struct rig *g, unsigned n)
{
    int64_t until = clock_mono_ms() + PATIENCE;
    while (g->n_done < n && clock_mono_ms() < until)
        (void)poll_until(g, clock_mono_ms() + 20);
    if (g->n_done != n)
        fail_msg("%u events have an outcome, not %u: %s", g->n_done, n, g->reason);
}

bool take_some(struct rig *g, struct command *c)
{
    size_t n = whole(buf_view(&g->in));
    if (n == 0)
        return false;
    read_command(str_head(buf_view(&g->in), n), c);
    buf_consume(&g->in, n);
    return true;
}

/* The next command, while the target goes on. */
void take(struct rig *g, struct command *c)
{
    int64_t until = clock_mono_ms() + PATIENCE;
    while (!take_some(g, c)) {
        (void)step(g);
        (void)hear(g, 1);
        if (clock_mono_ms() >= until)
            fail_msg("no command comes (%zu bytes have)", g->in.len);
    }
}

void take_named(struct rig *g, struct command *c, const char *name)
{
    take(g, c);
    assert_string_equal(c->name, name);
}

/* Those numbers, one after the other. */
void take_events(struct rig *g, unsigned from, unsigned n)
{
    static struct command c;
    take_named(g, &c, n == 1 ? "PUB" : "MPUB");
    assert_int_equal(c.n, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(c.number[i], from + i);
}

/* The target has had its chance to say more, and has not. */
void take_nothing(struct rig *g)
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

void begin(struct rig *g, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        begin_one(g);
}

void assert_results(const struct rig *g, unsigned from, unsigned n, enum send_result r)
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
void accept_one(struct rig *g)
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

bool take_in_time(struct rig *g, struct command *c)
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

void connect_rig(struct rig *g)
{
    struct err e = {0};
    pthread_t t = thread_start("nsqd", welcome, g);
    bool ok = target_nsq.connect(g->self, clock_mono_ms() + PATIENCE, &e);
    thread_join(t);
    if (!ok)
        fail_msg("%s", e.text);
}

/* The login of a connection that the target makes by itself, while it goes on. */
void welcome_again(struct rig *g)
{
    static struct command c;
    accept_one(g);
    take_named(g, &c, "");
    take_named(g, &c, "IDEN");
    say(g, NSQ_RESPONSE, "{}");
}

struct rig *rig_with(int buffer)
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

void rig_close(struct rig *g)
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
