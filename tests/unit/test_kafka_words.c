/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kafka's own, as values: settings, and what it makes of errors. */
#include "unit.h"

#include <rdkafka.h>

#include "kafka_conf.h"

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

static void test_check(void **state)
{
    (void)state;
    struct kafka_conf c;
    struct err e = {0};
    kafka_conf_fill(&c);
    assert_true(kafka_check(&c, &e));
    c.topic = (char[]){""};
    assert_false(kafka_check(&c, &e));
    kafka_conf_fill(&c);
    c.client_tls_cert = (char[]){"/c"};
    assert_false(kafka_check(&c, &e));
    kafka_conf_fill(&c);
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
    kafka_conf_fill(&c);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brokers),      cmocka_unit_test(test_versions),
        cmocka_unit_test(test_compression),  cmocka_unit_test(test_check),
        cmocka_unit_test(test_configure),    cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_explanations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
