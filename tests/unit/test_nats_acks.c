/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS Streaming's acks: when one that does not come is too late, and how many are awaited then. (Its words: test_nats_words.c;
 * against a real server: tests/integration/test_nats_streaming.py.) */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "receiver.h"
#include "target/nats.h"

#define PATIENCE 20000 /* ms; what does not come by then never does */
#define ACKS     8

static int64_t ahead_ns;
static int64_t (*true_clock)(void);
static int64_t clock_ahead(void)
{
    return true_clock() + ahead_ns;
}

struct rig {
    struct receiver r;
    struct arena arena;
    struct nats_conf *conf;
    void *self;
    struct event_ref ev[ACKS + 1];
    char why[ACKS + 1][SEND_WHY];
    enum send_result result[ACKS + 1];
    bool done[ACKS + 1];
    unsigned n_done;
    int64_t deadline_ms;
};

static int setup(void **state)
{
    struct rig *g = *state = x_calloc(1, sizeof(*g));
    struct err e = {0};
    char address[32];
    true_clock = clock_mono_ns;
    ahead_ns = 0;
    clock_mono_ns = clock_ahead;
    receiver_start_nats(&g->r);
    arena_init(&g->arena);
    g->conf = arena_zalloc(&g->arena, sizeof(*g->conf));
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", g->r.port);
    setenv("MINIO_NOTIFY_NATS_ADDRESS_t", address, 1);
    setenv("MINIO_NOTIFY_NATS_SUBJECT_t", "events", 1);
    setenv("MINIO_NOTIFY_NATS_STREAMING_t", "on", 1);
    setenv("MINIO_NOTIFY_NATS_STREAMING_ASYNC_t", "on", 1);
    setenv("MINIO_NOTIFY_NATS_STREAMING_CLUSTER_ID_t", "c", 1);
    setenv("MINIO_NOTIFY_NATS_STREAMING_MAX_PUB_ACKS_IN_FLIGHT_t", "8", 1);
    if (!config_load(target_nats.subsys, target_nats.keys, STR("t"), g->conf, &g->arena, &e))
        fail_msg("%s", e.text);
    g->self = target_nats.open(g->conf, "t", &e);
    assert_non_null(g->self);
    if (!target_nats.connect(g->self, clock_mono_ms() + PATIENCE, &e))
        fail_msg("%s", e.text);
    g->deadline_ms = clock_mono_ms() + 60000;
    return 0;
}

static int teardown(void **state)
{
    struct rig *g = *state;
    target_nats.disconnect(g->self);
    target_nats.close(g->self);
    arena_release(&g->arena);
    receiver_stop(&g->r);
    clock_mono_ns = true_clock;
    free(g);
    return 0;
}

/* Keys: "ok" is acknowledged at once, "mute" never. */
static void begin(struct rig *g, unsigned place, const char *key)
{
    g->ev[place] = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                      .bucket = STR("b"),
                                      .key = str_c(key),
                                      .record = STR("{\"n\":1}"),
                                      .sequencer = place + 1,
                                      .why = g->why[place]};
    g->done[place] = false;
    target_nats.begin(g->self, place, &g->ev[place], g->deadline_ms);
}

static void some(struct rig *g, int64_t until_ms)
{
    static struct send_done done[NATS_MAX_BATCH];
    size_t n = target_nats.poll(g->self, done, until_ms);
    for (size_t i = 0; i < n; i++) {
        assert_true(done[i].place <= ACKS && !g->done[done[i].place]);
        g->done[done[i].place] = true;
        g->result[done[i].place] = done[i].result;
        g->n_done++;
    }
}

static void await_done(struct rig *g, unsigned n)
{
    int64_t until = clock_mono_ms() + PATIENCE;
    while (g->n_done < n && clock_mono_ms() < until)
        some(g, clock_mono_ms() + 20);
    assert_int_equal(g->n_done, n);
}

static void advance(struct rig *g, int64_t seconds)
{
    ahead_ns += seconds * 1000000000;
    some(g, clock_mono_ms());
}

/* An ack may take long while others come: then the server is at work. */
static void test_at_work(void **state)
{
    struct rig *g = *state;
    begin(g, 0, "mute");
    for (unsigned i = 1; i <= 4; i++) {
        advance(g, 10);
        assert_int_equal(g->n_done, i - 1);
        begin(g, i, "ok");
        await_done(g, i);
        assert_int_equal(g->result[i], SEND_OK);
    }
    advance(g, 14);
    assert_int_equal(g->n_done, 4);
    advance(g, 2); /* 16 s without any */
    assert_int_equal(g->n_done, 5);
    assert_int_equal(g->result[0], SEND_RETRY);
    assert_non_null(strstr(g->why[0], "no answer in time"));
    begin(g, 5, "ok"); /* the time that it had nothing to say does not count */
    await_done(g, 6);
    assert_int_equal(g->result[5], SEND_OK);
}

/* A server that is slower than what is awaited of it is not asked the same for ever: half as much is awaited, until there is a
 * new connection. */
static void test_half_as_many(void **state)
{
    struct rig *g = *state;
    struct err e = {0};
    begin(g, 0, "mute");
    for (unsigned i = 1; i <= 5; i++) {
        advance(g, 10);
        begin(g, i, "ok");
        await_done(g, i);
    }
    advance(g, 11); /* its 60 s are over, but there was an ack */
    assert_int_equal(g->n_done, 6);
    assert_int_equal(g->result[0], SEND_RETRY);
    g->n_done = 0;
    g->deadline_ms = clock_mono_ms() + 60000;
    for (unsigned half = ACKS / 2; half <= ACKS; half *= 2) {
        for (unsigned i = 0; i < half; i++)
            begin(g, i, "mute");
        begin(g, ACKS, "ok"); /* one too many */
        for (int i = 0; i < 20; i++)
            some(g, clock_mono_ms() + 5);
        assert_int_equal(g->n_done, 0);
        target_nats.disconnect(g->self);
        assert_true(target_nats.connect(g->self, clock_mono_ms() + PATIENCE, &e));
    }
    for (unsigned i = 0; i < ACKS - 1; i++)
        begin(g, i, "mute");
    begin(g, ACKS, "ok");
    await_done(g, 1);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_at_work, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_as_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
