/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP part on real loopback sockets: framing, bodies and replies in all their forms. */
#include "http_rig.h"

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_open(&rig, (struct http_options){0});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void test_keep_alive(void **state)
{
    (void)state;
    struct client c = dial(&rig);
    for (int i = 0; i < 200; i++)
        expect(&c, GET_HELLO, 200, "hello");
    say(&c, STR("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    struct answer a = listen_to(&c, false);
    assert_true(has_header(&a, "\r\nConnection: close\r\n") && has_header(&a, "\r\nServer: T\r\n"));
    assert_true(has_header(&a, "\r\nDate: ") && has_header(&a, "HTTP/1.1 200 OK\r\n"));
    expect_end(&c);
    buf_release(&a.body);
    hang_up(&c, false);
}

static void test_pipelining(void **state)
{
    (void)state;
    struct client c = dial(&rig);
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100; i++) {
        buf_str(&b, GET_HELLO);
        buf_printf(&b, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n%03d", i);
        buf_puts(&b, "GET /stream?n=10&slow HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    say(&c, buf_view(&b));
    for (int i = 0; i < 100; i++) {
        char want[8];
        (void)snprintf(want, sizeof want, "%03d", i);
        expect(&c, STR(""), 200, "hello");
        expect(&c, STR(""), 200, want);
        struct answer a = listen_to(&c, false);
        assert_true(a.status == 200 && a.body.len == 10 && is_pattern(&a.body));
        buf_release(&a.body);
    }
    buf_release(&b);
    hang_up(&c, false);
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    struct client c = dial(&rig);
    struct str raw = STR("\r\nPUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: v\r\n\r\n");
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < raw.n; i++)
            say(&c, str_n(raw.p + i, 1));
        expect(&c, STR(""), 200, "abcde");
    }
    hang_up(&c, false);
}

static void test_continue(void **state)
{
    (void)state;
    struct client c = dial(&rig);
    say(&c, STR("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"));
    struct answer a = listen_to(&c, false);
    assert_int_equal(a.status, 100);
    expect(&c, STR("body"), 200, "body");
    /* The body comes without waiting: no interim reply is needed. */
    expect(&c, STR("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody"),
           200, "body");
    /* A final reply instead: nobody can know whether the body follows, so the connection ends. */
    say(&c, STR("PUT /no HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"));
    a = listen_to(&c, false);
    assert_true(a.status == 403 && has_header(&a, "Connection: close"));
    expect_end(&c);
    buf_release(&a.body);
    hang_up(&c, false);
}

static void test_bodiless(void **state)
{
    (void)state;
    struct client c = dial(&rig);
    static const struct {
        const char *path, *header;
        int status;
    } rows[] = {
        {"HEAD /hello", "Content-Length: 5\r\n", 200}, {"HEAD /stream?n=77", "Content-Length: 77\r\n", 200},
        {"HEAD /stream?n=7&chunked", "X-Stream", 200}, {"GET /204", "ETag: x\r\n", 204},
        {"GET /304", "Content-Length: 99\r\n", 304},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char raw[200];
        int n = snprintf(raw, sizeof raw, "%s HTTP/1.1\r\nHost: h\r\n\r\n", rows[i].path);
        say(&c, str_n(raw, (size_t)n));
        struct answer a = listen_to(&c, true);
        assert_int_equal(a.status, rows[i].status);
        if (!has_header(&a, rows[i].header))
            fail_msg("%s: %s", rows[i].path, a.head);
        assert_true(rows[i].status != 204 || !has_header(&a, "Content-Length"));
        expect(&c, GET_HELLO, 200, "hello");
    }
    hang_up(&c, false);
}

static void test_http10(void **state)
{
    (void)state;
    struct client c = dial(&rig);
    say(&c, STR("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    struct answer a = listen_to(&c, false);
    assert_true(a.status == 200 && has_header(&a, "Connection: keep-alive"));
    buf_release(&a.body);
    say(&c, STR("GET /stream?n=200000&chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    a = listen_to(&c, false); /* no coding in 1.0: the end of the connection ends the body */
    assert_true(a.body.len == 200000 && is_pattern(&a.body) && !has_header(&a, "Transfer-Encoding"));
    buf_release(&a.body);
    hang_up(&c, false);
}

static void test_streams(void **state)
{
    (void)state;
    static const char *const forms[] = {"", "&chunked", "&file", "&file&chunked", "&slow", "&slow&chunked"};
    struct client c = dial(&rig);
    for (size_t i = 0; i < COUNT_OF(forms) * 2; i++) {
        size_t n = i % 2 ? 0 : FILE_SIZE;
        char raw[200];
        int k = snprintf(raw, sizeof raw, "GET /stream?n=%zu%s HTTP/1.1\r\nHost: h\r\n\r\n", n, forms[i / 2]);
        unsigned stops = rig.stops;
        say(&c, str_n(raw, (size_t)k));
        struct answer a = listen_to(&c, false);
        if (a.status != 200 || a.body.len != n || !is_pattern(&a.body) || a.ended)
            fail_msg("%s: %zu bytes", forms[i / 2], a.body.len);
        buf_release(&a.body);
        WAIT_FOR(rig.stops == stops + 1);
        if (n)
            assert_int_equal(rig.body_sent, n);
    }
    hang_up(&c, false);
}

static void test_upload_with_pauses(void **state)
{
    (void)state;
    const size_t n = 6 << 20;
    struct client c = dial(&rig);
    char *body = malloc(n), head[200];
    for (size_t i = 0; i < n; i++)
        body[i] = pattern(i);
    int k = snprintf(head, sizeof head, "PUT /pause HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n);
    say(&c, str_n(head, (size_t)k));
    say(&c, str_n(body, n));
    expect(&c, STR(""), 200, "6291456 whole");
    say(&c, STR("PUT /pause HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (size_t at = 0; at < n; at += 65536) {
        say(&c, STR("10000\r\n"));
        say(&c, str_n(body + at, 65536));
        say(&c, STR("\r\n"));
    }
    expect(&c, STR("0\r\n\r\n"), 200, "6291456 whole");
    expect(&c, STR("PUT /pause HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"), 200, "0 whole");
    free(body);
    hang_up(&c, false);
}

static void test_reply_in_mid_body(void **state)
{
    (void)state;
    struct client c = dial(&rig);
    char *body = calloc(1, 64 << 20);
    for (int i = 0; i < 3; i++) { /* a short rest is read and dropped, the connection goes on */
        say(&c, STR("PUT /mid HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"));
        say(&c, str_n(body, 100000));
        expect(&c, STR(""), 400, "mid");
        say(&c, STR("PUT /no HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"));
        expect(&c, STR("0\r\n\r\n"), 403, "refused");
    }
    say(&c, STR("PUT /mid HTTP/1.1\r\nHost: h\r\nContent-Length: 67108864\r\n\r\n"));
    (void)try_say(&c, str_n(body, 8 << 20)); /* a long one is not waited for, but the reply is seen */
    struct answer a = listen_to(&c, false);
    assert_true(a.status == 400 && has_header(&a, "Connection: close"));
    expect_end(&c);
    buf_release(&a.body);
    hang_up(&c, false);
    free(body);
}

static void test_problems(void **state)
{
    (void)state;
    static const char *const raws[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nHost: h\n\n",
        "\x16\x03\x01 hello",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "PUT /pause HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nbb\r\n",
    };
    unsigned cuts = rig.cuts;
    for (size_t i = 0; i < COUNT_OF(raws); i++) {
        struct client c = dial(&rig);
        say(&c, str_c(raws[i]));
        struct answer a = listen_to(&c, false);
        assert_int_equal(a.status, 400);
        assert_true(has_header(&a, "Connection: close") && has_header(&a, "application/xml"));
        assert_true(str_starts(buf_view(&a.body), STR("<Error>")));
        expect_end(&c);
        buf_release(&a.body);
        hang_up(&c, false);
    }
    assert_int_equal(rig.cuts, cuts + 2);
    assert_int_equal(stats_of(&rig).problems, COUNT_OF(raws));
}

static void test_half_close(void **state)
{
    (void)state;
    struct client c = dial(&rig);
    say(&c, STR("GET /stream?n=100000&slow HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    struct answer a = listen_to(&c, false);
    assert_true(a.status == 200 && a.body.len == 100000 && is_pattern(&a.body));
    expect_end(&c);
    buf_release(&a.body);
    hang_up(&c, false);
}

static void wait_quiet(void)
{
    WAIT_FOR(stats_of(&rig).connections == 0 && stats_of(&rig).requests_in_flight == 0);
    assert_int_equal(rig.heads, rig.gones);
    assert_int_equal(rig.heads, rig.dones);
}

/* The client goes away after each number of bytes it could have said. */
static void test_disconnect_while_sending(void **state)
{
    (void)state;
    static const char *const raws[] = {
        ("PUT /pause HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n"),
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n0123456789",
        "PUT /mid HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n01234567890123456789",
        "GET /stream?n=100&slow HTTP/1.1\r\nHost: h\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(raws); i++)
        for (size_t n = 0; n <= strlen(raws[i]); n++) {
            struct client c = dial(&rig);
            say(&c, str_n(raws[i], n));
            hang_up(&c, n % 2);
        }
    wait_quiet();
}

static void test_disconnect_while_reading(void **state)
{
    (void)state;
    static const char *const forms[] = {"", "&chunked", "&file", "&slow"};
    for (size_t i = 0; i < COUNT_OF(forms) * 24; i++) {
        struct client c = dial(&rig);
        char raw[200];
        int k =
            snprintf(raw, sizeof raw, "GET /stream?n=3000000%s HTTP/1.1\r\nHost: h\r\n\r\n", forms[i / 24]);
        say(&c, str_n(raw, (size_t)k));
        for (size_t want = i % 24 * 40000; c.in.len < want;)
            assert_true(hear(&c) > 0);
        hang_up(&c, i % 2);
    }
    wait_quiet();
}

static void test_disconnect_while_held(void **state)
{
    (void)state;
    rig.release = false;
    unsigned heads = rig.heads;
    for (int i = 0; i < 20; i++) {
        struct client c = dial(&rig);
        say(&c, STR("GET /held HTTP/1.1\r\nHost: h\r\n\r\n"));
        WAIT_FOR(rig.heads == heads + (unsigned)i + 1);
        hang_up(&c, i % 2);
    }
    rig.release = true;
    wait_quiet();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keep_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipelining, setup, teardown),
        cmocka_unit_test_setup_teardown(test_byte_by_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_continue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bodiless, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http10, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload_with_pauses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reply_in_mid_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_problems, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disconnect_while_sending, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disconnect_while_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disconnect_while_held, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
