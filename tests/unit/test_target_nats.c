/* SPDX-License-Identifier: Apache-2.0
 *
 * What is nats' own, on a connection: JetStream's answers, and servers that do not answer while a connection is made, or do not
 * read. (Its words: test_nats_words.c; the contract: test_target.c; against real servers: tests/integration/test_nats*.py.) */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "receiver.h"
#include "target/nats.h"

struct rig {
    struct receiver r;
    struct arena arena;
    struct nats_conf *conf;
    void *self;
};

static void rig_open(struct rig *g, const char *info)
{
    struct err e = {0};
    char address[32];
    receiver_start_nats(&g->r);
    g->r.info = info;
    arena_init(&g->arena);
    g->conf = arena_zalloc(&g->arena, sizeof(*g->conf));
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", g->r.port);
    setenv("MINIO_NOTIFY_NATS_ADDRESS_t", address, 1);
    setenv("MINIO_NOTIFY_NATS_SUBJECT_t", "events", 1);
    setenv("MINIO_NOTIFY_NATS_JETSTREAM_t", "on", 1);
    if (!config_load(target_nats.subsys, target_nats.keys, STR("t"), g->conf, &g->arena, &e))
        fail_msg("%s", e.text);
    g->self = target_nats.open(g->conf, "t", &e);
    assert_non_null(g->self);
}

static void rig_close(struct rig *g)
{
    target_nats.disconnect(g->self);
    target_nats.close(g->self);
    arena_release(&g->arena);
    receiver_stop(&g->r);
}

struct expected {
    const char *key;
    enum send_result result;
    const char *why;
};

/* JetStream: every event has its own outcome. */
static void test_jetstream_answers(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        {"ok-1", SEND_OK, ""},
        {"nostream", SEND_RETRY, "no stream takes this subject"},
        {"again", SEND_OK, ""},
        {"full", SEND_RETRY, "maximum messages exceeded"},
        {"empty", SEND_RETRY, ""},
        {"toobig", SEND_REJECT, "max_msg_size"},
        {"text", SEND_RETRY, ""},
        {"nothing", SEND_RETRY, ""},
        {"silence", SEND_RETRY, "in time"},
        {"ok-2", SEND_OK, ""},
    };
    struct rig g;
    struct err e = {0};
    struct event_ref ev[COUNT_OF(cases)];
    struct send_done done[NATS_MAX_BATCH];
    char why[COUNT_OF(cases)][SEND_WHY] = {{0}};
    bool resolved[COUNT_OF(cases)] = {false};
    rig_open(&g, NULL);
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    int64_t deadline = clock_mono_ms() + 1000;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ev[i] = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                   .bucket = STR("b"),
                                   .key = str_c(cases[i].key),
                                   .record = STR("{\"n\":1}"),
                                   .sequencer = i + 1,
                                   .why = why[i]};
        target_nats.begin(g.self, (unsigned)(i + 100), &ev[i], deadline);
    }
    for (size_t open = COUNT_OF(cases); open > 0;) {
        size_t n = target_nats.poll(g.self, done, deadline);
        for (size_t k = 0; k < n; k++, open--) {
            size_t i = done[k].place - 100;
            assert_true(i < COUNT_OF(cases) && !resolved[i]);
            resolved[i] = true;
            if (done[k].result != cases[i].result || !strstr(why[i], cases[i].why))
                fail_msg("%s: result %d, why '%s'", cases[i].key, (int)done[k].result, why[i]);
        }
    }
    assert_non_null(receiver_find(&g.r, "Nats-Msg-Id: belfry-t-0000000000000001-"));
    rig_close(&g);
}

/* The one event that goes out from this place, and what becomes of it. */
static enum send_result outcome_of(struct rig *g, unsigned place, const char *key, int64_t span_ms)
{
    struct send_done done[NATS_MAX_BATCH] = {0};
    char why[SEND_WHY] = "";
    const struct event_ref ev = {.event_name = STR("s3:ObjectCreated:Put"),
                                 .bucket = STR("b"),
                                 .key = str_c(key),
                                 .record = STR("{\"n\":1}"),
                                 .sequencer = 1,
                                 .why = why};
    int64_t until = clock_mono_ms() + span_ms;
    size_t n = 0;
    target_nats.begin(g->self, place, &ev, until);
    while (n == 0 && clock_mono_ms() < until + 5000)
        n = target_nats.poll(g->self, done, until + 1000);
    assert_int_equal(n, 1);
    assert_int_equal(done[0].place, place);
    return done[0].result;
}

/* An ack that comes when its event was given up is not taken for that of the next event from the same place. */
static void test_late_ack(void **state)
{
    (void)state;
    struct rig g;
    struct err e = {0};
    rig_open(&g, NULL);
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    assert_int_equal(outcome_of(&g, 5, "late", 100), SEND_RETRY);
    assert_int_equal(outcome_of(&g, 5, "reuse", 300), SEND_RETRY);
    assert_int_equal(outcome_of(&g, 5, "ok-1", 5000), SEND_OK);
    rig_close(&g);
}

/* Servers that do not answer while the connection is made: the deadline holds, whatever they wait in. */
static void test_silent_servers(void **state)
{
    (void)state;
    static const char *const greetings[] = {
        "", "INFO {\"server_id\":\"T\"",
        "INFO {\"server_id\":\"T\",\"tls_required\":true,\"max_payload\":1048576}\r\n"};
    for (size_t i = 0; i < COUNT_OF(greetings); i++) {
        struct rig g;
        struct err e = {0};
        rig_open(&g, greetings[i]);
        int64_t begin = clock_mono_ms();
        assert_false(target_nats.connect(g.self, begin + 300, &e));
        if (!strstr(e.text, "no answer in time"))
            fail_msg("%zu: %s", i, e.text);
        assert_in_range(clock_mono_ms() - begin, 200, 1500);
        rig_close(&g);
    }
}

static void test_wrong_greetings(void **state)
{
    (void)state;
    static const char *const greetings[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "INFO {\r\n", "\r\n",
                                            "INFO {}}}\r\n"};
    for (size_t i = 0; i < COUNT_OF(greetings); i++) {
        struct rig g;
        struct err e = {0};
        rig_open(&g, greetings[i]);
        int64_t begin = clock_mono_ms();
        assert_false(target_nats.connect(g.self, begin + 3000, &e));
        assert_true(clock_mono_ms() - begin < 4500 && e.text[0]);
        rig_close(&g);
    }
}

/* A dead peer is noticed without work. */
static void test_idle(void **state)
{
    (void)state;
    struct rig g;
    struct err e = {0};
    rig_open(&g, NULL);
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    assert_true(target_nats.idle(g.self, clock_mono_ms() + 5000, &e));
    receiver_stop(&g.r);
    assert_false(target_nats.idle(g.self, clock_mono_ms() + 5000, &e));
    assert_true(e.text[0]);
    receiver_start_nats(&g.r); /* for rig_close */
    rig_close(&g);
}

/* While events are out the server is asked as often as the settings say. */
static void test_ping_interval(void **state)
{
    (void)state;
    struct rig g;
    struct err e = {0};
    struct send_done done[NATS_MAX_BATCH];
    char why[SEND_WHY];
    const struct event_ref ev = {.event_name = STR("s3:ObjectCreated:Put"),
                                 .bucket = STR("b"),
                                 .key = STR("silence"),
                                 .record = STR("{\"n\":1}"),
                                 .sequencer = 1,
                                 .why = why};
    setenv("MINIO_NOTIFY_NATS_PING_INTERVAL_t", "50ms", 1);
    rig_open(&g, NULL);
    unsetenv("MINIO_NOTIFY_NATS_PING_INTERVAL_t");
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    unsigned before = receiver_requests(&g.r);
    int64_t deadline = clock_mono_ms() + 5000;
    target_nats.begin(g.self, 0, &ev, deadline + 60000);
    while (receiver_requests(&g.r) < before + 5 && clock_mono_ms() < deadline)
        assert_int_equal(target_nats.poll(g.self, done, clock_mono_ms() + 20), 0);
    assert_true(receiver_requests(&g.r) >= before + 5); /* the event, and four PINGs */
    rig_close(&g);
}

static void *hasten_when_stuck(void *arg)
{
    struct rig *g = arg;
    if (receiver_await(&g->r, 4)) /* CONNECT, PING, SUB, and the first event */
        target_nats.hasten(g->self, clock_mono_ms() + 200);
    return NULL;
}

/* A server that does not read any more: what cannot be written waits, and is given up when the time is over. */
static void test_stuck_write(void **state)
{
    (void)state;
    enum { N = 64, SIZE = 900000 };
    static struct event_ref ev[N];
    static struct send_done done[NATS_MAX_BATCH];
    static char why[N][SEND_WHY];
    struct rig g;
    struct err e = {0};
    char *record = x_malloc(SIZE);
    memset(record, '1', SIZE);
    rig_open(&g, NULL);
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    pthread_t t = thread_start("hasten", hasten_when_stuck, &g);
    int64_t begin = clock_mono_ms();
    for (size_t i = 0; i < N; i++) {
        ev[i] = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                   .bucket = STR("b"),
                                   .key = STR("hang"),
                                   .record = str_n(record, SIZE),
                                   .sequencer = i + 1,
                                   .why = why[i]};
        target_nats.begin(g.self, (unsigned)i, &ev[i], begin + 60000);
    }
    size_t n = 0;
    while (n < N) {
        size_t got = target_nats.poll(g.self, done, begin + 60000);
        for (size_t i = 0; i < got; i++)
            assert_int_equal(done[i].result, SEND_RETRY);
        n += got;
    }
    assert_true(clock_mono_ms() - begin < 8000);
    thread_join(t);
    rig_close(&g);
    free(record);
}

/* Events that could never be published, as nothing can be written, are given up one after the other, and others wait in
 * their places. */
static void test_stuck_line(void **state)
{
    (void)state;
    enum { N = 64, ROUNDS = 20, SIZE = 900000 };
    static struct event_ref ev[N];
    static struct send_done done[NATS_MAX_BATCH];
    static char why[N][SEND_WHY];
    struct rig g;
    struct err e = {0};
    char *record = x_malloc(SIZE);
    memset(record, '1', SIZE);
    rig_open(&g, NULL);
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    for (size_t round = 0; round < ROUNDS; round++) {
        int64_t begin = clock_mono_ms();
        for (size_t i = 0; i < N; i++) {
            ev[i] = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                       .bucket = STR("b"),
                                       .key = STR("hang"),
                                       .record = str_n(record, SIZE),
                                       .sequencer = i + 1,
                                       .why = why[i]};
            target_nats.begin(g.self, (unsigned)i, &ev[i], begin + 20);
        }
        for (size_t n = 0; n < N && clock_mono_ms() < begin + 5000;) {
            size_t got = target_nats.poll(g.self, done, begin + 5000);
            for (size_t i = 0; i < got; i++)
                assert_int_equal(done[i].result, SEND_RETRY);
            n += got;
        }
    }
    rig_close(&g);
    free(record);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jetstream_answers),
        cmocka_unit_test(test_late_ack),
        cmocka_unit_test(test_silent_servers),
        cmocka_unit_test(test_wrong_greetings),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_ping_interval),
        cmocka_unit_test(test_stuck_write),
        cmocka_unit_test(test_stuck_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
