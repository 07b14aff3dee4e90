/* SPDX-License-Identifier: Apache-2.0
 *
 * What an outsider can use up, and what a stop does: deadlines, connections, descriptors, memory. */
#include "http_rig.h"

#include <sys/resource.h>

static struct rig rig;

/* Time-outs short enough to wait for. */
static const struct http_options hasty = {.idle_ms = 150, .head_ms = 200, .body_ms = 250, .write_ms = 300};

static void expect_problem(struct client *c, int status, enum http_problem p)
{
    char code[64];
    struct answer a = listen_to(c, false);
    assert_int_equal(a.status, status);
    (void)snprintf(code, sizeof code, "<Code>%d</Code>", (int)p);
    assert_true(str_find(buf_view(&a.body), str_c(code)) >= 0);
    buf_release(&a.body);
    expect_end(c);
}

static void test_deadlines(void **state)
{
    (void)state;
    rig_open(&rig, hasty);
    struct client c = dial(&rig);
    expect(&c, GET_HELLO, 200, "hello");
    expect_end(&c); /* idle: closed without a word */
    hang_up(&c, false);

    c = dial(&rig);
    say(&c, STR("GET /hello HT"));
    expect_problem(&c, 400, HTTP_REQUEST_TIMEOUT);
    hang_up(&c, false);

    c = dial(&rig);
    say(&c, STR("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"));
    expect_problem(&c, 400, HTTP_REQUEST_TIMEOUT);
    hang_up(&c, false);
    assert_int_equal(rig.cuts, 1);

    c = dial(&rig);
    say(&c, STR("\r\n"));
    expect_end(&c); /* no request, no reply */
    hang_up(&c, false);

    c = dial(&rig);
    say(&c, STR("GET /stream?n=400000000 HTTP/1.1\r\nHost: h\r\n\r\n"));
    WAIT_FOR(rig.not_ok == 1); /* we take nothing */
    hang_up(&c, false);
    rig_close(&rig);
}

/* A body that trickles in keeps the connection by no single byte's lateness, but is too slow as a whole. */
static void test_trickle(void **state)
{
    (void)state;
    rig_open(&rig, (struct http_options){.idle_ms = 5000, .head_ms = 5000, .body_ms = 250, .write_ms = 5000});
    struct client c = dial(&rig);
    say(&c, STR("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"));
    for (int64_t next = clock_mono_ms(); rig.cuts == 0; next += 20) {
        assert_true(try_say(&c, STR("x")));
        WAIT_FOR(clock_mono_ms() >= next + 20 || rig.cuts > 0);
    }
    hang_up(&c, false);
    rig_close(&rig);
}

/* A patient stream outlives its silence, and a reader that takes nothing for as long as it likes; it does not outlive
 * its peer, and what the peer sends meanwhile waits. */
static void test_patient_stream(void **state)
{
    (void)state;
    rig_open(&rig, hasty);
    struct client silent = dial(&rig), slow = dial(&rig), pipes = dial(&rig);
    say(&silent, STR("GET /stream?n=1&chunked&silent&patient HTTP/1.1\r\nHost: h\r\n\r\n"));
    say(&slow, STR("GET /stream?n=30000000&chunked&patient HTTP/1.1\r\nHost: h\r\n\r\n"));
    say(&pipes, STR("GET /stream?n=30000000&chunked&patient HTTP/1.1\r\nHost: h\r\n\r\n"));
    for (int i = 0; i < 20; i++)
        say(&pipes, GET_HELLO);
    WAIT_FOR(rig.heads == 3);
    int64_t start = clock_mono_ms();
    WAIT_FOR(clock_mono_ms() > start + 900);
    assert_int_equal(rig.dones, 0);
    struct client *readers[] = {&slow, &pipes};
    for (int i = 0; i < 2; i++) {
        struct answer a = listen_to(readers[i], false);
        assert_true(!a.ended && a.body.len == 30000000 && is_pattern(&a.body));
        buf_release(&a.body);
    }
    for (int i = 0; i < 20; i++) {
        struct answer a = listen_to(&pipes, false);
        assert_int_equal(a.status, 200);
        buf_release(&a.body);
    }
    assert_int_equal(rig.not_ok, 0);
    hang_up(&silent, false);
    WAIT_FOR(rig.not_ok == 1);
    hang_up(&slow, false);
    hang_up(&pipes, false);
    rig_close(&rig);
}

/* A request that is worked on has no deadline of ours. */
static void test_no_deadline_while_held(void **state)
{
    (void)state;
    rig_open(&rig, hasty);
    struct client c = dial(&rig);
    say(&c, STR("GET /held HTTP/1.1\r\nHost: h\r\n\r\n"));
    int64_t start = clock_mono_ms();
    WAIT_FOR(clock_mono_ms() > start + 600);
    rig.release = true;
    expect(&c, STR(""), 200, "late");
    hang_up(&c, false);
    rig_close(&rig);
}

static void test_connection_limit(void **state)
{
    (void)state;
    struct client c[3];
    rig_open(&rig, (struct http_options){.max_connections = 2});
    for (int i = 0; i < 2; i++) {
        c[i] = dial(&rig);
        expect(&c[i], GET_HELLO, 200, "hello");
    }
    c[2] = dial(&rig);
    expect_problem(&c[2], 503, HTTP_TOO_MANY);
    hang_up(&c[2], false);
    hang_up(&c[0], false);
    WAIT_FOR(stats_of(&rig).connections < 2);
    c[2] = dial(&rig);
    expect(&c[2], GET_HELLO, 200, "hello");
    hang_up(&c[2], false);
    hang_up(&c[1], false);
    rig_close(&rig);
}

/* Without a free descriptor accepting pauses, and goes on by itself. */
static void test_descriptors_used_up(void **state)
{
    (void)state;
    struct rlimit before, low;
    rig_open(&rig, (struct http_options){.max_connections = 100});
    struct client first = dial(&rig), late = dial(&rig);
    expect(&first, GET_HELLO, 200, "hello");
    expect(&late, GET_HELLO, 200, "hello");
    hang_up(&late, false);
    WAIT_FOR(stats_of(&rig).connections == 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int spare = dup(first.fd), fill[64], n = 0;
    low = (struct rlimit){(rlim_t)spare + 8, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    close(spare);
    late = dial(&rig); /* takes the first free one; the server's side has not been accepted yet, or has */
    while (n < 64 && (fill[n] = dup(first.fd)) >= 0)
        n++;
    struct client starved = {.fd = -1};
    if (n > 0) {
        close(fill[--n]);
        starved = dial(&rig);
        say(&starved, GET_HELLO);
    }
    expect(&first, GET_HELLO, 200, "hello"); /* the others do not feel it */
    while (n > 0)
        close(fill[--n]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect(&late, GET_HELLO, 200, "hello");
    if (starved.fd >= 0) {
        expect(&starved, STR(""), 200, "hello");
        hang_up(&starved, false);
    }
    hang_up(&late, false);
    hang_up(&first, false);
    rig_close(&rig);
}

static void test_port_taken_and_addresses(void **state)
{
    (void)state;
    struct err e = {0};
    char address[64];
    rig_open(&rig, (struct http_options){0});
    (void)snprintf(address, sizeof address, ":%u", http_port(rig.server));
    assert_null(http_open(&(struct http_options){.address = address}, &rig.app, rig.work, &e));
    assert_non_null(strstr(e.text, "in use"));
    assert_null(
        http_open(&(struct http_options){.address = http_address(rig.server)}, &rig.app, rig.work, &e));
    static const char *const wrong[] = {"9000", "::1:9000", "h:port", "127.0.0.1:70000", "192.0.2.1:0", ""};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_null(http_open(&(struct http_options){.address = wrong[i]}, &rig.app, rig.work, &e));
    rig_close(&rig);
    static const char *const right[] = {":0", "0.0.0.0:0", "localhost:0"};
    for (size_t i = 0; i < COUNT_OF(right); i++) {
        rig_open(&rig, (struct http_options){.address = right[i]});
        struct client c = dial(&rig);
        expect(&c, STR("GET /peer HTTP/1.1\r\nHost: h\r\n\r\n"), 200, "127.0.0.1");
        hang_up(&c, false);
        rig_close(&rig);
    }
}

/* The reply is seen although the client is still sending when it is made. */
static void test_huge_heads(void **state)
{
    (void)state;
    static char big[2 << 20];
    memset(big, 'x', sizeof big);
    rig_open(&rig, (struct http_options){0});
    struct client c = dial(&rig);
    say(&c, STR("GET /hello HTTP/1.1\r\nHost: h\r\nX: "));
    (void)try_say(&c, str_n(big, sizeof big));
    expect_problem(&c, 400, HTTP_HEAD_TOO_LARGE);
    hang_up(&c, false);
    c = dial(&rig);
    say(&c, STR("GET /"));
    (void)try_say(&c, str_n(big, sizeof big));
    expect_problem(&c, 400, HTTP_URI_TOO_LONG);
    hang_up(&c, false);
    c = dial(&rig); /* the longest that is allowed */
    say(&c, STR("GET /hello?"));
    say(&c, str_n(big, 16000));
    say(&c, STR(" HTTP/1.1\r\nHost: h\r\nX: "));
    say(&c, str_n(big, 16000));
    expect(&c, STR("\r\n\r\n"), 200, "hello");
    hang_up(&c, false);
    rig_close(&rig);
}

static void *stop_server(void *arg)
{
    http_stop(rig.server, clock_mono_ms() + 10000);
    return arg;
}

static void test_stop(void **state)
{
    (void)state;
    rig_open(&rig, (struct http_options){0});
    struct client idle = dial(&rig), half = dial(&rig), held = dial(&rig);
    expect(&idle, GET_HELLO, 200, "hello");
    say(&half, STR("GET /hel"));
    say(&held, STR("GET /held HTTP/1.1\r\nHost: h\r\n\r\n"));
    WAIT_FOR(rig.heads == 2 && stats_of(&rig).connections == 3);
    pthread_t stopper = thread_start("stopper", stop_server, NULL);
    expect_end(&idle);
    expect_end(&half);
    rig.release = true;
    struct answer a = listen_to(&held, false);
    assert_true(a.status == 200 && has_header(&a, "Connection: close")); /* in hand: finished */
    thread_join(stopper);
    buf_release(&a.body);
    hang_up(&idle, false);
    hang_up(&half, false);
    hang_up(&held, false);
    rig_close(&rig);
}

static void test_stop_deadline(void **state)
{
    (void)state;
    rig_open(&rig, (struct http_options){0});
    struct client c = dial(&rig), stuck = dial(&rig);
    say(&c, STR("GET /held HTTP/1.1\r\nHost: h\r\n\r\n"));
    say(&stuck, STR("GET /stream?n=400000000 HTTP/1.1\r\nHost: h\r\n\r\n"));
    WAIT_FOR(rig.heads == 2);
    int64_t start = clock_mono_ms();
    http_stop(rig.server, start + 200);
    assert_true(clock_mono_ms() - start < 5000);
    hang_up(&c, false);
    hang_up(&stuck, false);
    rig_close(&rig);
}

static void test_idle_memory(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    enum { N = 2000 };
    static struct client c[N];
    rig_open(&rig, (struct http_options){0});
    struct client warm = dial(&rig);
    expect(&warm, GET_HELLO, 200, "hello");
    size_t before = resident();
    for (int i = 0; i < N; i++) {
        c[i] = dial(&rig);
        expect(&c[i], GET_HELLO, 200, "hello");
        buf_release(&c[i].in);
        /* A body has come and gone, too: nothing of it may stay. */
        expect(&c[i], STR("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"), 200, "body");
        buf_release(&c[i].in);
    }
    size_t each = (resident() - before) / N;
    print_message("an idle connection takes %zu bytes\n", each);
    assert_true(each <= 8192);
    for (int i = 0; i < N; i++)
        hang_up(&c[i], false);
    hang_up(&warm, false);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_memory), /* first, while the heap is small */
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_trickle),
        cmocka_unit_test(test_patient_stream),
        cmocka_unit_test(test_no_deadline_while_held),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_descriptors_used_up),
        cmocka_unit_test(test_port_taken_and_addresses),
        cmocka_unit_test(test_huge_heads),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stop_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
