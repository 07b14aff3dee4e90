/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kafka's own: settings, what it makes of errors, and what becomes of messages when brokers fail, against the
 * library's mock cluster. (The contract: test_target.c; against a real Kafka: tests/integration/test_kafka*.py.) */
#include "unit.h"

#include <rdkafka.h>
#include <rdkafka_mock.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "receiver.h"
#include "target/kafka_impl.h"

/* --- settings ----------------------------------------------------------------------------------------------------- */

static void test_brokers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* as shown, joined with blanks; NULL: refused */
    } cases[] = {
        {"localhost", "localhost:9092"},
        {"localhost:9092,localhost:9093", "localhost:9092 localhost:9093"},
        {" a:1 , b ,", "a:1 b:9092"},
        {"[::1]:9095,[fe80::1]", "[::1]:9095 [fe80::1]:9092"},
        {"", NULL},
        {",", NULL},
        {"a:0", NULL},
        {"a:65536", NULL},
        {"a:", NULL},
        {":9092", NULL},
        {"a:b", NULL},
        {"::1", NULL},
        {"[]:1", NULL},
        {"[::1", NULL},
        {"[::1]x", NULL},
        {"a b:1", NULL},
        {"kafka://a:1", NULL},
        {"user:pw@a:1", NULL},
        {"a/b", NULL},
        {"a\\b", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kafka_brokers b;
        struct err e = {0};
        char got[600] = "";
        bool ok = kafka_parse_brokers(str_c(cases[i].text), &b, &e);
        for (unsigned k = 0; ok && k < b.n; k++)
            (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", k ? " " : "", b.v[k].shown);
        if (ok != (cases[i].want != NULL) || (ok && strcmp(got, cases[i].want) != 0))
            fail_msg("'%s': '%s' %s", cases[i].text, got, e.text);
        assert_int_equal(ok, e.text[0] == 0);
        assert_null(strstr(e.text, "pw"));
    }
    struct kafka_brokers b;
    struct err e = {0};
    char many[40 * 3] = "";
    for (int i = 0; i < 33; i++)
        memcpy(many + 2 * (size_t)i, "a,", 2);
    assert_false(kafka_parse_brokers(str_c(many), &b, &e));
}

static void test_versions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok, old, no_idempotence;
    } cases[] = {
        {"", true, false, false},         {"2.2.0", true, false, false},   {"0.10.2.1", true, false, true},
        {"0.11.0.0", true, false, false}, {"0.9.0.1", true, true, true},   {"4.1.0", true, false, false},
        {"2.2", false, false, false},     {"v2.2.0", false, false, false}, {"1.2.3.4.5", false, false, false},
        {"2.2.x", false, false, false},   {"0.7.0", false, false, false},  {"2..0", false, false, false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kafka_version v;
        assert_int_equal(kafka_parse_version(str_c(cases[i].text), &v), cases[i].ok);
        assert_int_equal(v.old, cases[i].old);
        assert_int_equal(v.no_idempotence, cases[i].no_idempotence);
    }
}

static void test_compression(void **state)
{
    (void)state;
    assert_string_equal(kafka_codec(STR("")), "none");
    assert_string_equal(kafka_codec(STR("ZStd")), "zstd");
    assert_null(kafka_codec(STR("brotli")));
    assert_int_equal(kafka_level(STR("gzip"), 0), -1);
    assert_int_equal(kafka_level(STR("gzip"), 100), 9);
    assert_int_equal(kafka_level(STR("zstd"), 7), 7);
    assert_int_equal(kafka_level(STR("snappy"), 7), -1);
}

static void fill(struct kafka_conf *c)
{
    static char none[] = "", topic[] = "t", brokers[] = "127.0.0.1:1";
    *c = (struct kafka_conf){.topic = topic,
                             .brokers = brokers,
                             .sasl_username = none,
                             .sasl_password = none,
                             .client_tls_cert = none,
                             .client_tls_key = none,
                             .version = none,
                             .compression_codec = none};
}

static void test_check(void **state)
{
    (void)state;
    struct kafka_conf c;
    struct err e = {0};
    fill(&c);
    assert_true(kafka_check(&c, &e));
    c.topic = (char[]){""};
    assert_false(kafka_check(&c, &e));
    fill(&c);
    c.client_tls_cert = (char[]){"/c"};
    assert_false(kafka_check(&c, &e));
    fill(&c);
    c.sasl = true;
    assert_false(kafka_check(&c, &e));
    c.sasl_username = (char[]){"u"};
    assert_true(kafka_check(&c, &e));
    c.version = (char[]){"0.10.0.0"};
    assert_false(kafka_check(&c, &e));
    assert_non_null(strstr(e.text, "MINIO_NOTIFY_KAFKA_ACKS"));
    c.acks = KAFKA_ACKS_LEADER;
    assert_true(kafka_check(&c, &e));
    c.compression_codec = (char[]){"rar"};
    assert_false(kafka_check(&c, &e));
}

/* What the library is told. */
static void test_configure(void **state)
{
    (void)state;
    struct kafka_conf c;
    struct err e = {0};
    char value[200];
    fill(&c);
    c.sasl = c.tls = c.tls_skip_verify = true;
    c.sasl_username = (char[]){"alice"};
    c.sasl_password = (char[]){"pa55"};
    c.sasl_mechanism = KAFKA_SASL_SHA512;
    c.partitioner = KAFKA_PARTITIONER_JAVA;
    c.compression_codec = (char[]){"GZIP"};
    c.compression_level = 4;
    c.batch_size = 10;
    c.batch_commit_timeout = 30000;
    c.version = (char[]){"0.9.0.1"};
    struct kafka *k = kafka_open(&c, "t", &e);
    assert_non_null(k);
    static const char *const want[][2] = {{"security.protocol", "sasl_ssl"},
                                          {"sasl.mechanisms", "SCRAM-SHA-512"},
                                          {"sasl.username", "alice"},
                                          {"sasl.password", "pa55"},
                                          {"enable.ssl.certificate.verification", "false"},
                                          {"ssl.endpoint.identification.algorithm", "none"},
                                          {"enable.idempotence", "true"},
                                          {"acks", "-1"},
                                          {"partitioner", "murmur2"},
                                          {"compression.codec", "gzip"},
                                          {"compression.level", "4"},
                                          {"batch.num.messages", "10"},
                                          {"linger.ms", "0.5"}, /* batch_commit_timeout delays nothing */
                                          {"api.version.request", "false"},
                                          {"bootstrap.servers", "127.0.0.1:1"}};
    rd_kafka_conf_t *rc = rd_kafka_conf_new();
    assert_true(kafka_configure(k, rc, &e));
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        size_t n = sizeof(value);
        assert_int_equal(rd_kafka_conf_get(rc, want[i][0], value, &n), RD_KAFKA_CONF_OK);
        assert_string_equal(value, want[i][1]);
    }
    rd_kafka_conf_destroy(rc);
    kafka_close(k);
}

/* --- errors ------------------------------------------------------------------------------------------------------- */

/* Every code there is: none but 0 is success, and only what is said of one message by itself refuses it. */
static void test_outcomes(void **state)
{
    (void)state;
    struct kafka_names names = {.shown = "h:9092", .id = "x", .topic = "events"};
    for (int code = -300; code < 300; code++)
        for (int alone = 0; alone < 2; alone++) {
            char why[SEND_WHY];
            bool refuses = code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
                           code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
                           code == RD_KAFKA_RESP_ERR_INVALID_RECORD;
            enum send_result want = code == 0 ? SEND_OK : refuses && alone ? SEND_REJECT : SEND_RETRY;
            assert_int_equal(kafka_outcome(&names, code, alone, "", why, sizeof(why)), want);
            assert_int_equal(why[0] == 0, code == 0);
        }
    char why[SEND_WHY];
    (void)kafka_outcome(&names, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, true, "", why, sizeof(why));
    assert_string_equal(why,
                        "h:9092: there is no topic 'events': create it, or set auto.create.topics.enable at "
                        "the brokers (MINIO_NOTIFY_KAFKA_TOPIC_x)");
    (void)kafka_outcome(&names, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, true, "h:9092: gone", why, sizeof(why));
    assert_string_equal(why, "h:9092: gone");
}

static void test_explanations(void **state)
{
    (void)state;
    static const struct {
        int code;
        bool tls;
        const char *text, *want;
    } cases[] = {
        {RD_KAFKA_RESP_ERR__TRANSPORT, false,
         "127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state "
         "CONNECT)",
         "127.0.0.1:9092: Connect to ipv4#127.0.0.1:9092 failed: Connection refused"},
        {RD_KAFKA_RESP_ERR__SSL, true,
         "ssl://localhost:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate "
         "verify failed: "
         "broker certificate could not be verified",
         "localhost:9093: its certificate is not trusted or does not name this host; put the certificate of "
         "its CA into "
         "certs-dir/CAs"},
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, false,
         "sasl_plaintext://h:1/bootstrap: SASL authentication error: Authentication failed: Invalid username",
         "h:1: it refuses the login: check sasl_username, sasl_password and sasl_mechanism "
         "(MINIO_NOTIFY_KAFKA_SASL_USERNAME)"},
        {RD_KAFKA_RESP_ERR__TRANSPORT, false,
         "h:1/bootstrap: Disconnected: requesting ApiVersion: might be caused by incorrect security.protocol "
         "configuration (connecting to a SSL listener?)",
         "shown: it closed the connection: if it expects TLS or a login, set tls=on or sasl=on "
         "(MINIO_NOTIFY_KAFKA_TLS) (MINIO_NOTIFY_KAFKA_SASL)"},
        {RD_KAFKA_RESP_ERR__RESOLVE, false,
         "kafka:9092/2: Failed to resolve 'kafka:9092': Name or service not known",
         "kafka:9092: the address that this broker names (advertised.listeners) cannot be resolved here"},
        {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, false, "anything",
         "shown: the user may not write as acks=all does: grant IdempotentWrite on the cluster, or set "
         "acks=leader "
         "(MINIO_NOTIFY_KAFKA_ACKS)"},
        {RD_KAFKA_RESP_ERR__FAIL, false, "", "shown: "},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char why[240];
        struct kafka_names names = {.shown = "shown", .id = "_", .topic = "t", .tls = cases[i].tls};
        kafka_explain(&names, cases[i].code, str_c(cases[i].text), why, sizeof(why));
        assert_string_equal(why, cases[i].want);
    }
}

/* --- brokers that fail -------------------------------------------------------------------------------------------- */

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
    fill(&g->conf);
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
        cmocka_unit_test(test_brokers),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_compression),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_configure),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_explanations),
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
