/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kafka's own: what becomes of messages when brokers fail, against the library's mock cluster. (Its settings and words:
 * test_kafka_words.c; the contract: test_target.c; against a real Kafka: tests/integration/test_kafka*.py.) */
#include "unit.h"

#include <rdkafka.h>
#include <rdkafka_mock.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kafka_conf.h"
#include "receiver.h"

#define TOPIC "t"
struct rig {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *cluster;
    struct kafka_conf conf;
    struct kafka *k;
    char brokers[200];
};

static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static void rig_open(struct rig *g, int brokers, int partitions)
{
    char text[200];
    struct err e = {0};
    memset(g, 0, sizeof(*g));
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(c, no_log);
    g->host = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof(text));
    assert_non_null(g->host);
    g->cluster = rd_kafka_mock_cluster_new(g->host, brokers);
    assert_non_null(g->cluster);
    assert_int_equal(rd_kafka_mock_topic_create(g->cluster, TOPIC, partitions, brokers), 0);
    (void)snprintf(g->brokers, sizeof(g->brokers), "%s", rd_kafka_mock_cluster_bootstraps(g->cluster));
    kafka_conf_fill(&g->conf);
    g->conf.brokers = g->brokers;
    g->k = kafka_open(&g->conf, "t", &e);
    assert_non_null(g->k);
}

static void rig_close(struct rig *g)
{
    kafka_close(g->k);
    rd_kafka_mock_cluster_destroy(g->cluster);
    rd_kafka_destroy(g->host);
}

static bool rig_connect(struct rig *g)
{
    struct err e = {0};
    bool ok = kafka_connect(g->k, clock_mono_ms() + 5000, &e);
    assert_int_equal(ok, e.text[0] == 0);
    if (!ok)
        print_message("%s\n", e.text);
    return ok;
}

/* Connected in the end, as the sender would be. */
static void rig_reconnect(struct rig *g)
{
    int64_t until = clock_mono_ms() + 20000;
    while (!rig_connect(g))
        assert_true(clock_mono_ms() < until);
}

#define N 20
static struct event_ref events[N];
static char keys[N][16], why[N][SEND_WHY];
static struct send_done done[KAFKA_PLACES];

/* Sends n events with numbers from `seq` on, whose keys tell the number; how many were OK. */
static unsigned rig_send(struct rig *g, uint64_t seq, unsigned n, int64_t within_ms)
{
    int64_t until = clock_mono_ms() + within_ms;
    unsigned oks = 0, open = n;
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "k%llu", (unsigned long long)(seq + i));
        why[i][0] = 0;
        events[i] = (struct event_ref){.event_name = STR("s3:Any"),
                                       .bucket = STR("b"),
                                       .key = str_c(keys[i]),
                                       .record = STR("{}"),
                                       .sequencer = seq + i,
                                       .why = why[i]};
        kafka_begin(g->k, i, &events[i], until);
    }
    while (open > 0) {
        size_t got = kafka_poll(g->k, done, until + 2000);
        assert_true(got > 0);
        open -= (unsigned)got;
        for (size_t i = 0; i < got; i++)
            oks += done[i].result == SEND_OK;
    }
    return oks;
}

/* Messages in all partitions. */
static int64_t rig_count(struct rig *g, int partitions)
{
    char text[200];
    int64_t n = 0;
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    assert_int_equal(rd_kafka_conf_set(c, "bootstrap.servers", g->brokers, text, sizeof(text)),
                     RD_KAFKA_CONF_OK);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof(text));
    for (int i = 0; i < partitions; i++) {
        int64_t low = 0, high = 0;
        assert_int_equal(rd_kafka_query_watermark_offsets(rk, TOPIC, i, &low, &high, 10000), 0);
        n += high - low;
    }
    rd_kafka_destroy(rk);
    return n;
}

static void test_leader_changes(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 3, 4);
    assert_true(rig_connect(&g));
    for (int round = 0; round < 6; round++) {
        rd_kafka_mock_partition_set_leader(g.cluster, TOPIC, round % 4, 1 + round % 3);
        assert_int_equal(rig_send(&g, (uint64_t)(1 + round * N), N, 20000), N);
    }
    assert_int_equal(rig_count(&g, 4), 6 * N);
    rig_close(&g);
}

static void test_errors_of_the_moment(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 1, 1);
    assert_true(rig_connect(&g));
    rd_kafka_mock_push_request_errors(
        g.cluster, 0, 4, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert_int_equal(rig_send(&g, 1, N, 20000), N);
    assert_int_equal(rig_count(&g, 1), N);
    rig_close(&g);
}

/* The broker goes away with events under way: they count as failed soon; when it is back and they are handed over again,
 * they are confirmed, and there is no second copy of any. */
static void test_handed_over_again(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 1, 1);
    assert_true(rig_connect(&g));
    assert_int_equal(rig_send(&g, 1, 1, 10000), 1);
    rd_kafka_mock_broker_set_down(g.cluster, 1);
    int64_t begun = clock_mono_ms();
    assert_int_equal(rig_send(&g, 2, N, 60000), 0);
    assert_true(clock_mono_ms() - begun < 10000);
    assert_true(why[0][0]);
    kafka_disconnect(g.k);
    assert_non_null(g.k->rk); /* it still has them */
    assert_false(rig_connect(&g));
    rd_kafka_mock_broker_set_up(g.cluster, 1);
    rig_reconnect(&g);
    assert_int_equal(rig_send(&g, 2, N, 20000), N);
    assert_int_equal(rig_send(&g, 2 + N, N, 20000), N);
    assert_int_equal(rig_count(&g, 1), 1 + 2 * N);
    assert_int_equal(g.k->n_under_way, 0);
    assert_int_equal(g.k->n_placeless, 0);
    kafka_disconnect(g.k);
    assert_null(g.k->rk); /* nothing is in doubt: a new one next time */
    rig_close(&g);
}

/* Confirmed only after the core has given up on it: known when it is handed over again. */
static void test_confirmed_late(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 1, 1);
    assert_true(rig_connect(&g));
    assert_int_equal(rig_send(&g, 1, 1, 10000), 1);
    rd_kafka_mock_broker_set_rtt(g.cluster, 1, 1500);
    assert_int_equal(rig_send(&g, 2, N, 200), 0);
    rd_kafka_mock_broker_set_rtt(g.cluster, 1, 0);
    kafka_disconnect(g.k);
    for (int64_t until = clock_mono_ms() + 10000; g.k->n_under_way > 0;) {
        assert_true(clock_mono_ms() < until);
        (void)kafka_poll(g.k, done, clock_mono_ms() + 20);
    }
    rig_reconnect(&g);
    assert_int_equal(rig_send(&g, 2, N, 1000), N);
    assert_int_equal(rig_count(&g, 1), 1 + N);
    rig_close(&g);
}

/* A batch that is refused is sent in smaller ones, and what is refused by itself is rejected. */
static void test_refused_batch(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 1, 1);
    assert_true(rig_connect(&g));
    rd_kafka_mock_push_request_errors(g.cluster, 0, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    unsigned oks = rig_send(&g, 1, N, 10000);
    assert_true(oks < N);
    assert_true(g.k->room < KAFKA_ROOM);
    g.k->room = 1;
    rd_kafka_mock_push_request_errors(g.cluster, 0, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    assert_int_equal(rig_send(&g, 100, N, 20000), N - 1); /* one after the other; the first was refused */
    assert_non_null(strstr(why[0], "max.message.bytes"));
    rig_close(&g);
}

/* A broker that lost track of this producer: the event is not confirmed, and another producer takes over. */
static void test_fatal(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 1, 1);
    assert_true(rig_connect(&g));
    assert_int_equal(rig_send(&g, 1, 1, 10000), 1);
    assert_int_equal(
        rd_kafka_test_fatal_error(g.k->rk, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "a test"), 0);
    assert_int_equal(rig_send(&g, 2, N, 10000), 0);
    assert_non_null(strstr(why[0], "a test"));
    kafka_disconnect(g.k);
    assert_null(g.k->rk);
    assert_true(rig_connect(&g));
    assert_int_equal(rig_send(&g, 2, N, 10000), N);
    rig_close(&g);
}

static void test_idle(void **state)
{
    (void)state;
    struct rig g;
    struct err e = {0};
    rig_open(&g, 1, 1);
    assert_true(rig_connect(&g));
    assert_true(kafka_idle(g.k, clock_mono_ms() + 5000, &e));
    rd_kafka_mock_broker_set_down(g.cluster, 1);
    assert_false(kafka_idle(g.k, clock_mono_ms() + 5000, &e));
    assert_true(e.text[0]);
    rig_close(&g);
}

static void *wake(void *arg)
{
    kafka_wake(arg);
    return NULL;
}

static void test_wake(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 1, 1);
    assert_true(rig_connect(&g));
    pthread_t t = thread_start("wake", wake, g.k);
    int64_t begun = clock_mono_ms();
    assert_int_equal(kafka_poll(g.k, done, begun + 20000), 0);
    assert_true(clock_mono_ms() - begun < 10000);
    thread_join(t);
    rig_close(&g);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leader_changes),
        cmocka_unit_test(test_errors_of_the_moment),
        cmocka_unit_test(test_handed_over_again),
        cmocka_unit_test(test_confirmed_late),
        cmocka_unit_test(test_refused_batch),
        cmocka_unit_test(test_fatal),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_wake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
