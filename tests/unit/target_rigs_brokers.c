/* SPDX-License-Identifier: Apache-2.0
 *
 * The rigs of brokers: AMQP, MQTT, NSQ, Kafka, NATS. */
#include "target_rigs.h"

#include "target/amqp.h"
#include "target/kafka.h"
#include "target/mqtt.h"
#include "target/nats.h"
#include "target/nsq.h"

/* --- AMQP ----------------------------------------------------------------------------------------------------------- */

/* every event has its own confirm; what ends the connection is about those that were not confirmed before */
#define CUT_AT(key, why) \
    { \
        {"ok-1", SEND_OK, ""}, {key, SEND_RETRY, why}, \
        { \
            "ok-2", SEND_RETRY, why \
        } \
    }
static const struct expected amqp_cases[] = {
    {"ok-1", SEND_OK, ""},
    {"nack", SEND_RETRY, "basic.nack"},
    {"late-1", SEND_OK, ""},
    {"late-2", SEND_OK, ""},
    {"both", SEND_OK, ""},
    {"back", SEND_RETRY, "unroutable (NO_ROUTE)"},
    {"twice", SEND_OK, ""},
    {"ok-2", SEND_OK, ""},
    {"back-2", SEND_RETRY, "MANDATORY_t"},
};
static const struct expected amqp_cuts[][3] = {
    CUT_AT("close", "closed the connection"),
    CUT_AT("half", "closed the connection"),
    CUT_AT("garbage", "no frame of AMQP"),
    CUT_AT("future", "never sent"),
    CUT_AT("zero", "never sent"),
    CUT_AT("all", "never sent"),
    CUT_AT("gone", "EXCHANGE_TYPE_t"),
};
static const struct expected amqp_too_big[] = {{"ok-1", SEND_OK, ""},
                                               {"a-key-that-is-long", SEND_OK, ""},
                                               {"big-12345678901", SEND_REJECT, "max_message_size"},
                                               {"ok-2", SEND_RETRY, "406"}};
static const struct expected amqp_hanging[] = {
    {"ok-1", SEND_OK, ""}, {"hang-1", SEND_RETRY, "in time"}, {"ok-2", SEND_OK, ""}};
static const struct expected amqp_deaf[] = {{"ok-1", SEND_OK, ""}, {"deaf", SEND_RETRY, "in time"}};

struct instance amqp_at(const struct receiver *r)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "amqp://ann:secret@127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_AMQP_URL_t", url, 1);
    setenv("MINIO_NOTIFY_AMQP_EXCHANGE_t", "events", 1);
    setenv("MINIO_NOTIFY_AMQP_EXCHANGE_TYPE_t", "fanout", 1);
    setenv("MINIO_NOTIFY_AMQP_MANDATORY_t", "on", 1);
    return instance_of(&target_amqp);
}

void amqp_cases_run(struct instance *in)
{
    expect(in, amqp_cases, COUNT_OF(amqp_cases), 10000);
    for (size_t i = 0; i < COUNT_OF(amqp_cuts); i++) {
        expect(in, amqp_cuts[i], COUNT_OF(amqp_cuts[i]), 10000);
        in->type->disconnect(in->self);
    }
    expect(in, amqp_too_big, COUNT_OF(amqp_too_big), 10000);
    in->type->disconnect(in->self);
    expect(in, amqp_hanging, COUNT_OF(amqp_hanging), 400);
    expect(in, amqp_deaf, COUNT_OF(amqp_deaf), 400);
}

/* --- MQTT ----------------------------------------------------------------------------------------------------------- */

static const struct expected mqtt_cases[] = {{"ok-1", SEND_OK, ""},
                                             {"late-1", SEND_OK, ""},
                                             {"ok-2", SEND_OK, ""},
                                             {"late-2", SEND_OK, ""},
                                             {"ok-3", SEND_OK, ""}};
static const struct expected mqtt_cuts[][3] = {
    CUT_AT("close", "closed the connection"),
    CUT_AT("half", "closed the connection"),
    CUT_AT("garbage", "does not answer as an MQTT broker does"),
    CUT_AT("http", "it speaks HTTP"),
    CUT_AT("future", "never sent"),
    CUT_AT("zero", "never sent"),
    CUT_AT("other", "never sent"),
    CUT_AT("again", "welcomes twice"),
    CUT_AT("pong", "never sent"),
};
static const struct expected mqtt_twice[] = {
    {"ok-1", SEND_OK, ""}, {"twice", SEND_OK, ""}, {"ok-2", SEND_RETRY, "never sent"}};

struct instance mqtt_at(const struct receiver *r)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_MQTT_BROKER_t", url, 1);
    setenv("MINIO_NOTIFY_MQTT_TOPIC_t", "minio", 1);
    setenv("MINIO_NOTIFY_MQTT_QOS_t", "1", 1);
    return instance_of(&target_mqtt);
}

void mqtt_cases_run(struct instance *in)
{
    expect(in, mqtt_cases, COUNT_OF(mqtt_cases), 10000);
    for (size_t i = 0; i < COUNT_OF(mqtt_cuts); i++)
        expect(in, mqtt_cuts[i], COUNT_OF(mqtt_cuts[i]), 10000);
    expect(in, mqtt_twice, COUNT_OF(mqtt_twice), 10000);
    expect(in, amqp_hanging, COUNT_OF(amqp_hanging), 400);
    expect(in, amqp_deaf, COUNT_OF(amqp_deaf), 400);
}

/* --- NSQ ------------------------------------------------------------------------------------------------------------ */

/* one OK for all of them, but for those that nsqd calls too large */
static const struct expected nsq_cases[][3] = {
    TOGETHER("ok", SEND_OK, ""),
    TOGETHER("close", SEND_RETRY, "closed the connection"),
    TOGETHER("half", SEND_RETRY, "closed the connection"),
    TOGETHER("garbage", SEND_RETRY, "does not answer as nsqd does"),
    TOGETHER("http", SEND_RETRY, "it speaks HTTP"),
    TOGETHER("message", SEND_RETRY, "does not answer as nsqd does"),
    TOGETHER("text", SEND_RETRY, "none of nsqd's"),
    TOGETHER("beat", SEND_OK, ""),
    TOGETHER("twice", SEND_OK, ""),
    TOGETHER("topic", SEND_RETRY, "MINIO_NOTIFY_NSQ_TOPIC_t"),
    TOGETHER("first", SEND_RETRY, "MINIO_NOTIFY_NSQ_AUTH_SECRET_t"),
    TOGETHER("unauth", SEND_RETRY, "MINIO_NOTIFY_NSQ_TOPIC_t"),
    TOGETHER("full", SEND_RETRY, "its disk"),
    TOGETHER("odd", SEND_RETRY, "E_ODD something nobody"),
    TOGETHER("limitless", SEND_RETRY, "--max-msg-size"),
    TOGETHER("huge", SEND_RETRY, "--max-msg-size"),
    {{"ok-1", SEND_OK, ""}, {"big-123456", SEND_REJECT, "--max-msg-size"}, {"ok-2", SEND_OK, ""}},
    TOGETHER("few", SEND_OK, ""),
};
static const struct expected nsq_hanging[] = TOGETHER("hang", SEND_RETRY, "in time");

struct instance nsq_at(const struct receiver *r)
{
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_NSQ_NSQD_ADDRESS_t", address, 1);
    setenv("MINIO_NOTIFY_NSQ_TOPIC_t", "minio", 1);
    return instance_of(&target_nsq);
}

void nsq_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(nsq_cases); i++)
        expect(in, nsq_cases[i], COUNT_OF(nsq_cases[i]), 10000);
    expect(in, nsq_hanging, COUNT_OF(nsq_hanging), 400);
}

/* --- Kafka ---------------------------------------------------------------------------------------------------------- */

/* In one partition, in this order, in one request or more. */
#define KAFKA_CASE(key, result, why) \
    { \
        {key, result, why}, \
        { \
            "ok-2", result, why \
        } \
    }
static const struct expected kafka_cases[][2] = {
    KAFKA_CASE("ok-1", SEND_OK, ""),
    KAFKA_CASE("slow", SEND_OK, ""),
    KAFKA_CASE("close", SEND_RETRY, "127.0.0.1"),
    KAFKA_CASE("half", SEND_RETRY, "127.0.0.1"),
    KAFKA_CASE("garbage", SEND_RETRY, "127.0.0.1"),
};
static const struct expected kafka_hanging[] = KAFKA_CASE("hang", SEND_RETRY, "in time");
static const struct expected kafka_alone[] = {
    {"large", SEND_REJECT, "max.message.bytes"},
    {"invalid", SEND_REJECT, "does not take such a message"},
    {"forbidden", SEND_RETRY, "MINIO_NOTIFY_KAFKA_SASL_USERNAME_t"},
    {"codec", SEND_RETRY, "MINIO_NOTIFY_KAFKA_PRODUCER_COMPRESSION_CODEC_t"},
    {"odd", SEND_RETRY, "Policy violation"},
};

struct instance kafka_at(const struct receiver *r)
{
    char brokers[32];
    (void)snprintf(brokers, sizeof(brokers), "127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_KAFKA_BROKERS_t", brokers, 1);
    setenv("MINIO_NOTIFY_KAFKA_TOPIC_t", "events", 1);
    return instance_of(&target_kafka);
}

/* A message that a broker never answers stays with its producer, so each case has one of its own. */
static void kafka_case(struct instance *in, const struct expected *x, size_t n, int64_t within_ms)
{
    struct err e = {0};
    expect(in, x, n, within_ms);
    in->type->disconnect(in->self);
    in->type->close(in->self);
    in->self = in->type->open(in->conf, "t", &e);
    assert_non_null(in->self);
}

void kafka_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(kafka_cases); i++)
        kafka_case(in, kafka_cases[i], COUNT_OF(kafka_cases[i]), 10000);
    kafka_case(in, kafka_hanging, COUNT_OF(kafka_hanging), 400);
    for (size_t i = 0; i < COUNT_OF(kafka_alone); i++)
        kafka_case(in, &kafka_alone[i], 1, 10000);
}

/* --- NATS ----------------------------------------------------------------------------------------------------------- */

/* one PONG for all of them */
static const struct expected nats_cases[][3] = {
    TOGETHER("ok", SEND_OK, ""),
    TOGETHER("close", SEND_RETRY, "closed the connection"),
    TOGETHER("half", SEND_RETRY, "closed the connection"),
    TOGETHER("garbage", SEND_RETRY, ""),
    TOGETHER("slow", SEND_OK, ""),
    TOGETHER("denied", SEND_RETRY, "MINIO_NOTIFY_NATS_SUBJECT_t"),
    TOGETHER("payload", SEND_RETRY, "max_payload"),
    TOGETHER("expired", SEND_RETRY, "MINIO_NOTIFY_NATS_USER_CREDENTIALS_t"),
    TOGETHER("odd", SEND_RETRY, "Odd something"),
    TOGETHER("chatter", SEND_OK, ""),
};
static const struct expected nats_hanging[] = TOGETHER("hang", SEND_RETRY, "in time");

struct instance nats_at(const struct receiver *r)
{
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_NATS_ADDRESS_t", address, 1);
    setenv("MINIO_NOTIFY_NATS_SUBJECT_t", "events", 1);
    return instance_of(&target_nats);
}

void nats_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(nats_cases); i++)
        expect(in, nats_cases[i], COUNT_OF(nats_cases[i]), 10000);
    expect(in, nats_hanging, COUNT_OF(nats_hanging), 400);
}
