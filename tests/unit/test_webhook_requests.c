/* SPDX-License-Identifier: Apache-2.0
 *
 * What is webhook's own, on the wire: headers, kept connections, redirects, proxies, replies that nobody asked for. (Its rules:
 * test_webhook_rules.c; batch=on: test_target_webhook.c; the contract: test_target.c.) */
#include "target_help.h"

#include <signal.h>

#include "target/webhook.h"

static void test_request(void **state)
{
    (void)state;
    struct receiver r;
    struct err e;
    struct batch b;
    receiver_start(&r);
    struct instance in = webhook_with(&r, "secret-token");
    assert_true(connect_within(&in, 5000, &e));
    assert_int_equal(receiver_requests(&r), 0); /* a connection alone is no request */
    send_keys(&in, &b, (const char *const[]){"a b/<\xc3\xbc>"}, 1, 5000);
    assert_int_equal(b.out[0], SEND_OK);
    char want[600];
    static const char body[] =
        "{\"EventName\":\"s3:ObjectCreated:Put\",\"Key\":\"b/a b/\\u003c\xc3\xbc\\u003e\",\"Records\":["
        "{\"eventName\":\"s3:ObjectCreated:Put\"}]}";
    (void)snprintf(want, sizeof(want),
                   "POST /hook HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
                   "User-Agent: Belfry/" BELFRY_VERSION "\r\nAuthorization: Bearer secret-token\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   r.port, strlen(body), body);
    assert_string_equal(receiver_find(&r, "POST"), want);
    instance_close(&in);
    receiver_stop(&r);
}

static void test_connections_are_kept(void **state)
{
    (void)state;
    struct receiver r;
    struct err e;
    struct batch b;
    static const char *const keys[BATCH] = {"1", "2",  "3",  "4",  "5",  "6",  "7",  "8",
                                            "9", "10", "11", "12", "13", "14", "15", "16"};
    receiver_start(&r);
    struct instance in = webhook_with(&r, "");
    assert_true(connect_within(&in, 5000, &e));
    for (int i = 0; i < 100; i++) {
        send_keys(&in, &b, keys, BATCH, 10000);
        for (int k = 0; k < BATCH; k++)
            assert_int_equal(b.out[k], SEND_OK);
    }
    assert_int_equal(receiver_requests(&r), 1600);
    assert_in_range(r.n_connections, 2, 17); /* 16, and the dial of connect */
    instance_close(&in);
    receiver_stop(&r);
}

static void test_redirects(void **state)
{
    (void)state;
    struct receiver r, other;
    char moved[64];
    receiver_start(&r);
    receiver_start(&other);
    r.elsewhere = &other;
    struct instance in = webhook_with(&r, "Basic abc");
    (void)snprintf(moved, sizeof(moved), "it moved to http://127.0.0.1:%u/moved", r.port);
    const struct expected cases[] = {{"r307", SEND_OK, ""},
                                     {"r308", SEND_OK, ""},
                                     {"r301", SEND_RETRY, moved},
                                     {"r302", SEND_RETRY, moved},
                                     {"r303", SEND_RETRY, moved},
                                     {"loop", SEND_RETRY, "more than 5 times"},
                                     {"lost", SEND_RETRY, "/moved answered 404"},
                                     {"other", SEND_OK, ""}};
    expect(&in, cases, COUNT_OF(cases), 10000);
    /* followed as the same POST with its body; the token only to the same place */
    const char *again = receiver_find(&r, "POST /moved");
    assert_non_null(again);
    assert_non_null(strstr(again, "Authorization: Basic abc\r\n"));
    assert_non_null(strstr(again, "\"Records\":["));
    const char *there = receiver_find(&other, "POST /moved");
    assert_non_null(there);
    assert_null(strstr(there, "Authorization"));
    assert_non_null(strstr(there, "b/other"));
    assert_null(receiver_find(&r, "GET "));
    unsigned loops = 0;
    for (unsigned i = 0; i < r.n_requests; i++)
        loops += strstr(r.request[i], "b/loop") != NULL;
    assert_int_equal(loops, 6);
    instance_close(&in);
    receiver_stop(&other);
    receiver_stop(&r);
}

/* What stands in the URL beside the place is nobody's business who reads the log, nor another host's. */
static void test_secrets_of_the_url(void **state)
{
    (void)state;
    struct receiver r, other;
    char url[96];
    receiver_start(&r);
    receiver_start(&other);
    r.elsewhere = &other;
    (void)snprintf(url, sizeof(url), "http://user:pa55word@127.0.0.1:%u/hook", r.port);
    struct instance in = webhook_of(url, "");
    const struct expected cases[] = {
        {"rel302", SEND_RETRY, "/moved"}, {"other", SEND_OK, ""}, {"r307", SEND_OK, ""}};
    const char *keys[] = {"rel302"};
    struct batch b;
    expect(&in, cases, COUNT_OF(cases), 10000);
    send_keys(&in, &b, keys, 1, 10000);
    assert_null(strstr(b.why[0], "pa55word"));
    assert_null(strstr(b.why[0], "T0KEN"));
    assert_non_null(strstr(receiver_find(&r, "POST /hook"), "Authorization: Basic"));
    assert_non_null(strstr(receiver_find(&r, "POST /moved"), "b/r307"));
    assert_null(strstr(receiver_find(&other, "POST /moved"), "Authorization"));
    instance_close(&in);
    receiver_stop(&other);
    receiver_stop(&r);
}

/* A reply that nobody asked for is not the answer to the next event. */
static void test_unasked_reply(void **state)
{
    (void)state;
    struct receiver r;
    struct err e;
    struct batch b;
    receiver_start(&r);
    struct instance in = webhook_with(&r, "");
    assert_true(connect_within(&in, 5000, &e));
    for (unsigned i = 0; i < 3; i++) {
        send_keys(&in, &b, (const char *const[]){"twice"}, 1, 5000);
        assert_int_equal(b.out[0], SEND_OK);
        assert_true(receiver_await_unasked(&r, i + 1));
        send_keys(&in, &b, (const char *const[]){"s500"}, 1, 5000);
        assert_int_equal(b.out[0], SEND_RETRY);
        send_keys(&in, &b, (const char *const[]){"s400"}, 1, 5000);
        assert_int_equal(b.out[0], SEND_REJECT);
    }
    instance_close(&in);
    receiver_stop(&r);
}

/* Who closes a kept connection has not served the request that was on its way: it goes over a new one, once. */
static void test_closed_meanwhile(void **state)
{
    (void)state;
    struct receiver r;
    struct err e;
    struct batch b;
    receiver_start(&r);
    struct instance in = webhook_with(&r, "");
    assert_true(connect_within(&in, 5000, &e));
    for (unsigned i = 0; i < 20; i++) {
        static const char *const keys[] = {"bye", "fickle", "fickle", "close"};
        send_keys(&in, &b, &keys[i % COUNT_OF(keys)], 1, 5000);
        assert_int_equal(b.out[0], i % COUNT_OF(keys) == 3 ? SEND_RETRY : SEND_OK);
        if (i % COUNT_OF(keys) == 0)
            assert_true(receiver_await_unasked(&r, i / COUNT_OF(keys) + 1));
    }
    /* "fickle" after another "fickle" came twice, and so did "close" */
    assert_int_equal(receiver_requests(&r), 20 + 5 + 5);
    instance_close(&in);
    receiver_stop(&r);
}

/* What was out when the connection was left is forgotten with it; and what has been answered is taken by a poll that may not
 * wait. */
static void test_left_and_taken_up(void **state)
{
    (void)state;
    struct receiver r;
    struct err e;
    struct send_done done[BATCH] = {0};
    receiver_start(&r);
    struct instance in = webhook_with(&r, "");
    for (unsigned i = 0; i < 3; i++) {
        const struct event_ref hangs = {.bucket = STR("b"), .key = STR("hang"), .record = STR("{}")},
                               goes = {.bucket = STR("b"), .key = STR("ok"), .record = STR("{}")};
        assert_true(connect_within(&in, 5000, &e));
        target_webhook.begin(in.self, 0, &goes, clock_mono_ms() + 5000);
        target_webhook.begin(in.self, 1, &hangs, clock_mono_ms() + 5000);
        size_t n = 0;
        int64_t end = clock_mono_ms() + 4000;
        while (n == 0 && clock_mono_ms() < end)
            n = target_webhook.poll(in.self, done, clock_mono_ms());
        assert_int_equal(n, 1);
        assert_int_equal(done[0].place, 0);
        assert_int_equal(done[0].result, SEND_OK);
        assert_true(receiver_await(&r, 2 * (i + 1)));
        target_webhook.disconnect(in.self);
    }
    instance_close(&in);
    receiver_stop(&r);
}

/* Nearly as large as a request may be. (A receiver that takes it slowly: test_webhook_plain.) */
static void test_large_event(void **state)
{
    (void)state;
    enum { SIZE = 1000000 };
    struct receiver r;
    struct err e;
    struct send_done done[BATCH] = {0};
    char *record = x_malloc(SIZE);
    receiver_start(&r);
    struct instance in = webhook_with(&r, "");
    assert_true(connect_within(&in, 5000, &e));
    memset(record, ' ', SIZE);
    record[0] = '{';
    record[SIZE - 1] = '}';
    struct event_ref ev = {.event_name = STR("s3:ObjectCreated:Put"),
                           .bucket = STR("b"),
                           .key = STR("large"),
                           .record = str_n(record, SIZE)};
    target_webhook.begin(in.self, 0, &ev, clock_mono_ms() + 5000);
    assert_int_equal(target_webhook.poll(in.self, done, clock_mono_ms() + 5000), 1);
    assert_int_equal(done[0].result, SEND_OK);
    const char *request = receiver_find(&r, "b/large");
    assert_non_null(request);
    assert_int_equal(
        strlen(strstr(request, "\r\n\r\n")),
        4 + strlen("{\"EventName\":\"s3:ObjectCreated:Put\",\"Key\":\"b/large\",\"Records\":[]}") + SIZE);
    free(record);
    instance_close(&in);
    receiver_stop(&r);
}

static void test_retry_after_is_told(void **state)
{
    (void)state;
    struct receiver r;
    struct err e;
    struct batch b;
    receiver_start(&r);
    struct instance in = webhook_with(&r, "");
    assert_true(connect_within(&in, 5000, &e));
    send_keys(&in, &b, (const char *const[]){"ok", "busy"}, 2, 5000);
    assert_int_equal(b.out[0], SEND_OK);
    assert_int_equal(b.out[1], SEND_RETRY);
    assert_int_equal(b.e.retry_after_ms, 7000);
    instance_close(&in);
    receiver_stop(&r);
}

static void test_proxy(void **state)
{
    (void)state;
    struct receiver proxy;
    struct err e;
    struct batch b;
    char url[64];
    receiver_start(&proxy);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", proxy.port);
    setenv("HTTP_PROXY", url, 1);
    struct instance in = webhook_of("http://receiver.invalid/hook", "");
    assert_true(connect_within(&in, 5000, &e));
    send_keys(&in, &b, (const char *const[]){"ok"}, 1, 5000);
    assert_int_equal(b.out[0], SEND_OK);
    assert_non_null(receiver_find(&proxy, "POST http://receiver.invalid/hook HTTP/1.1\r\n"));
    instance_close(&in);
    /* never for this machine */
    unsigned before = receiver_requests(&proxy);
    struct receiver r;
    receiver_start(&r);
    in = webhook_with(&r, "");
    assert_true(connect_within(&in, 5000, &e));
    send_keys(&in, &b, (const char *const[]){"ok"}, 1, 5000);
    assert_int_equal(b.out[0], SEND_OK);
    assert_int_equal(receiver_requests(&proxy), before);
    instance_close(&in);
    unsetenv("HTTP_PROXY");
    receiver_stop(&r);
    receiver_stop(&proxy);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_connections_are_kept),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_secrets_of_the_url),
        cmocka_unit_test(test_unasked_reply),
        cmocka_unit_test(test_closed_meanwhile),
        cmocka_unit_test(test_left_and_taken_up),
        cmocka_unit_test(test_large_event),
        cmocka_unit_test(test_retry_after_is_told),
        cmocka_unit_test(test_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
