/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract of target.h, over every kind of target there is, against a receiver that misbehaves; and what is webhook's
 * own: headers, redirects, proxies. (What is kafka's, and redis' own: test_target_kafka.c, test_target_redis.c.) */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "receiver.h"
#include "target/amqp.h"
#include "target/elastic.h"
#include "target/http.h"
#include "target/kafka.h"
#include "target/mqtt.h"
#include "target/mysql.h"
#include "target/nats.h"
#include "target/nsq.h"
#include "target/postgres.h"
#include "target/redis.h"
#include "target/webhook.h"

/* --- an instance of each kind, told where the receiver is --------------------------------------------------------- */

struct instance {
    const struct target_type *type;
    struct arena arena;
    void *conf, *self;
};

/* With the settings that the environment holds for target t. */
static struct instance instance_of(const struct target_type *type)
{
    struct instance in = {.type = type};
    struct err e = {0};
    arena_init(&in.arena);
    in.conf = arena_zalloc(&in.arena, type->conf_size);
    if (!config_load(type->subsys, type->keys, STR("t"), in.conf, &in.arena, &e) || !type->check(in.conf, &e))
        fail_msg("%s", e.text);
    in.self = type->open(in.conf, "t", &e);
    assert_non_null(in.self);
    return in;
}

static struct instance instance_open(const struct target_type *type, const char *url, const char *token)
{
    setenv("MINIO_NOTIFY_WEBHOOK_ENDPOINT_t", url, 1);
    setenv("MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_t", token, 1);
    return instance_of(type);
}

static struct instance instance_at(const struct target_type *type, const struct receiver *r,
                                   const char *token)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook", r->port);
    return instance_open(type, url, token);
}

static void instance_close(struct instance *in)
{
    in->type->disconnect(in->self);
    in->type->close(in->self);
    arena_release(&in->arena);
}

static bool connect_within(struct instance *in, int64_t ms, struct err *e)
{
    *e = (struct err){0};
    return in->type->connect(in->self, clock_mono_ms() + ms, e);
}

#define BATCH 16
struct batch {
    struct event_ref ev[BATCH];
    enum send_result out[BATCH];
    char why[BATCH][SEND_WHY], key[BATCH][32];
    struct err e;
    int64_t took_ms;
};

/* A kind of the window form, used as one of the batch form. */
static void send_batch(struct instance *in, struct batch *b, size_t n, int64_t deadline_ms)
{
    struct send_done done[BATCH];
    size_t open = n;
    if (in->type->send) {
        in->type->send(in->self, b->ev, n, b->out, deadline_ms, &b->e);
        return;
    }
    for (size_t i = 0; i < n; i++)
        in->type->begin(in->self, (unsigned)i, &b->ev[i], deadline_ms);
    while (open > 0) {
        size_t got = in->type->poll(in->self, done, deadline_ms);
        for (size_t i = 0; i < got; i++, open--) {
            assert_true(done[i].place < n);
            b->out[done[i].place] = done[i].result;
            if (done[i].result != SEND_OK && !b->e.text[0])
                (void)err_set(&b->e, "%s", b->why[done[i].place]);
            if (done[i].retry_after_ms > b->e.retry_after_ms)
                b->e.retry_after_ms = done[i].retry_after_ms;
        }
    }
}

/* Sends one event per key; an answer that is forgotten would show as what `out` held before. */
static void send_keys(struct instance *in, struct batch *b, const char *const *keys, size_t n,
                      int64_t within_ms)
{
    memset(b, 0, sizeof(*b));
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(b->key[i], sizeof(b->key[i]), "%s", keys[i]);
        b->ev[i] = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                      .bucket = STR("b"),
                                      .key = str_c(b->key[i]),
                                      .record = STR("{\"eventName\":\"s3:ObjectCreated:Put\"}"),
                                      .event_time = STR("2026-02-01T10:20:30.123Z"),
                                      .sequencer = i + 1,
                                      .why = b->why[i]};
        b->out[i] = SEND_OK;
    }
    int64_t begin = clock_mono_ms();
    send_batch(in, b, n, begin + within_ms);
    b->took_ms = clock_mono_ms() - begin;
}

struct expected {
    const char *key;
    enum send_result result;
    const char *why; /* part of the reason */
};

static void expect(struct instance *in, const struct expected *x, size_t n, int64_t within_ms)
{
    const char *keys[BATCH];
    struct batch b;
    struct err e;
    for (size_t i = 0; i < n; i++)
        keys[i] = x[i].key;
    if (!connect_within(in, 5000, &e))
        fail_msg("%s", e.text);
    send_keys(in, &b, keys, n, within_ms);
    assert_true(b.took_ms < within_ms + 1500);
    for (size_t i = 0; i < n; i++) {
        if (b.out[i] != x[i].result || !strstr(b.why[i], x[i].why))
            fail_msg("%s: result %d, why '%s'", x[i].key, (int)b.out[i], b.why[i]);
        if (b.out[i] == SEND_OK)
            assert_string_equal(b.why[i], "");
    }
}

/* --- the contract ------------------------------------------------------------------------------------------------- */

/* every event has its own outcome, whatever happens to its neighbours */
static const struct expected webhook_cases[] = {
    {"ok-1", SEND_OK, ""},
    {"s500", SEND_RETRY, "answered 500"},
    {"s400", SEND_REJECT, "answered 400"},
    {"close", SEND_RETRY, ""},
    {"half", SEND_RETRY, ""},
    {"garbage", SEND_RETRY, ""},
    {"cuthead", SEND_RETRY, ""},
    {"slow", SEND_OK, ""},
    {"trailer", SEND_OK, ""},
    {"s204", SEND_OK, ""},
    {"s415", SEND_REJECT, "415"},
    {"s422", SEND_REJECT, "422"},
    {"s403", SEND_RETRY, "AUTH_TOKEN_t"},
    {"s404", SEND_RETRY, "ENDPOINT_t"},
    {"ok-2", SEND_OK, ""},
};
static const struct expected webhook_hanging[] = {
    {"ok-1", SEND_OK, ""}, {"hang-1", SEND_RETRY, ""}, {"ok-2", SEND_OK, ""}, {"hang-2", SEND_RETRY, ""}};
static const struct expected webhook_endless[] = {
    {"endlesshead", SEND_RETRY, ""}, {"endlessbody", SEND_OK, ""}, {"ok", SEND_OK, ""}};
static const struct expected webhook_others[] = {{"s413", SEND_REJECT, "413"}};

/* one command for all of them: none is confirmed unless all are */
#define REDIS_CASE(key, result, why) \
    { \
        {"ok-1", result, why}, {key, result, why}, \
        { \
            "ok-2", result, why \
        } \
    }
static const struct expected redis_cases[][3] = {
    REDIS_CASE("ok", SEND_OK, ""),
    REDIS_CASE("close", SEND_RETRY, "closed the connection"),
    REDIS_CASE("half", SEND_RETRY, "closed the connection"),
    REDIS_CASE("garbage", SEND_RETRY, "does not answer as Redis does"),
    REDIS_CASE("slow", SEND_OK, ""),
    REDIS_CASE("wrongtype", SEND_RETRY, "MINIO_NOTIFY_REDIS_KEY_t"),
    REDIS_CASE("oom", SEND_RETRY, "maxmemory"),
    REDIS_CASE("readonly", SEND_RETRY, "MINIO_NOTIFY_REDIS_ADDRESS_t"),
    REDIS_CASE("loading", SEND_RETRY, "loading its data"),
    REDIS_CASE("odd", SEND_RETRY, "ODD something"),
    REDIS_CASE("text", SEND_RETRY, "none of Redis'"),
    REDIS_CASE("null", SEND_RETRY, "none of Redis'"),
    REDIS_CASE("minus", SEND_RETRY, "none of Redis'"),
    REDIS_CASE("many", SEND_RETRY, "does not answer as Redis does"),
    REDIS_CASE("deep", SEND_RETRY, "does not answer as Redis does"),
    REDIS_CASE("endless", SEND_RETRY, "bytes"),
    REDIS_CASE("twice", SEND_OK, ""),
};
static const struct expected redis_hanging[] = REDIS_CASE("hang", SEND_RETRY, "in time");

/* one request for all of them, and yet each has its own */
static const struct expected elastic_items[] = {
    {"ok-1", SEND_OK, ""},
    {"busy", SEND_RETRY, "too busy"},
    {"mapping", SEND_REJECT, "mapping does not take this record"},
    {"readonly", SEND_RETRY, "index.blocks.read_only"},
    {"closed", SEND_RETRY, "_open"},
    {"gone", SEND_RETRY, "MINIO_NOTIFY_ELASTICSEARCH_INDEX_t"},
    {"newer", SEND_OK, ""},
    {"odd", SEND_RETRY, "something new"},
    {"nostatus", SEND_RETRY, "something else"},
    {"another", SEND_RETRY, "something else"},
    {"both", SEND_RETRY, "and yet"},
    {"slow", SEND_OK, ""},
    {"ok-2", SEND_OK, ""},
};
#define ELASTIC_CASE(key, why) \
    { \
        {"ok-1", SEND_RETRY, why}, {key, SEND_RETRY, why}, \
        { \
            "ok-2", SEND_RETRY, why \
        } \
    }
/* every event has its own confirm; what ends the connection is about those that were not confirmed before */
#define AMQP_CUT(key, why) \
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
    AMQP_CUT("close", "closed the connection"),
    AMQP_CUT("half", "closed the connection"),
    AMQP_CUT("garbage", "no frame of AMQP"),
    AMQP_CUT("future", "never sent"),
    AMQP_CUT("zero", "never sent"),
    AMQP_CUT("all", "never sent"),
    AMQP_CUT("gone", "EXCHANGE_TYPE_t"),
};
static const struct expected amqp_too_big[] = {{"ok-1", SEND_OK, ""},
                                               {"a-key-that-is-long", SEND_OK, ""},
                                               {"big-12345678901", SEND_REJECT, "max_message_size"},
                                               {"ok-2", SEND_RETRY, "406"}};
static const struct expected amqp_hanging[] = {
    {"ok-1", SEND_OK, ""}, {"hang-1", SEND_RETRY, "in time"}, {"ok-2", SEND_OK, ""}};
static const struct expected amqp_deaf[] = {{"ok-1", SEND_OK, ""}, {"deaf", SEND_RETRY, "in time"}};
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

/* one transaction for all of them, but what is one row's fault is its own */
static const struct expected postgres_cases[][3] = {
    REDIS_CASE("ok", SEND_OK, ""),
    REDIS_CASE("close", SEND_RETRY, "the connection was lost"),
    REDIS_CASE("half", SEND_RETRY, "the connection was lost"),
    REDIS_CASE("garbage", SEND_RETRY, "127.0.0.1"),
    REDIS_CASE("slow", SEND_OK, ""),
    REDIS_CASE("e42501", SEND_RETRY, "MINIO_NOTIFY_POSTGRES_TABLE_t"),
    REDIS_CASE("e53100", SEND_RETRY, "disk is full"),
    REDIS_CASE("e57P01", SEND_RETRY, "shut down"),
    REDIS_CASE("eXX000", SEND_RETRY, "refused"),
    REDIS_CASE("e42P01", SEND_RETRY, "MINIO_NOTIFY_POSTGRES_TABLE_t"),
    {{"ok-1", SEND_OK, ""}, {"e23514", SEND_REJECT, "constraint"}, {"ok-2", SEND_OK, ""}},
    {{"e22001", SEND_REJECT, "cannot hold"}, {"e23514", SEND_REJECT, "constraint"}, {"ok-2", SEND_OK, ""}},
    {{"ok-1", SEND_OK, ""}, {"eP0001", SEND_RETRY, "trigger"}, {"e22001", SEND_REJECT, "cannot hold"}},
};
static const struct expected mysql_cases[][3] = {
    REDIS_CASE("ok", SEND_OK, ""),
    REDIS_CASE("close", SEND_RETRY, "the connection was lost"),
    REDIS_CASE("half", SEND_RETRY, "the connection was lost"),
    REDIS_CASE("garbage", SEND_RETRY, "127.0.0.1"),
    REDIS_CASE("e1142", SEND_RETRY, "MINIO_NOTIFY_MYSQL_TABLE_t"),
    REDIS_CASE("e1114", SEND_RETRY, "disk"),
    REDIS_CASE("e1053", SEND_RETRY, "shut down"),
    REDIS_CASE("e1999", SEND_RETRY, "refused"),
    REDIS_CASE("e1146", SEND_RETRY, "MINIO_NOTIFY_MYSQL_TABLE_t"),
    {{"ok-1", SEND_OK, ""}, {"e4025", SEND_REJECT, "constraint"}, {"ok-2", SEND_OK, ""}},
    REDIS_CASE("text", SEND_OK, ""),
    {{"e1406", SEND_REJECT, "cannot hold"}, {"e3819", SEND_REJECT, "constraint"}, {"ok-2", SEND_OK, ""}},
    {{"ok-1", SEND_OK, ""}, {"e1644", SEND_RETRY, "trigger"}, {"e1406", SEND_REJECT, "cannot hold"}},
};

static void postgres_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(postgres_cases); i++)
        expect(in, postgres_cases[i], COUNT_OF(postgres_cases[i]), 10000);
    expect(in, redis_hanging, COUNT_OF(redis_hanging), 400);
}

static void mysql_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(mysql_cases); i++)
        expect(in, mysql_cases[i], COUNT_OF(mysql_cases[i]), 10000);
    expect(in, redis_hanging, COUNT_OF(redis_hanging), 400);
}

/* one PONG for all of them */
static const struct expected nats_cases[][3] = {
    REDIS_CASE("ok", SEND_OK, ""),
    REDIS_CASE("close", SEND_RETRY, "closed the connection"),
    REDIS_CASE("half", SEND_RETRY, "closed the connection"),
    REDIS_CASE("garbage", SEND_RETRY, ""),
    REDIS_CASE("slow", SEND_OK, ""),
    REDIS_CASE("denied", SEND_RETRY, "MINIO_NOTIFY_NATS_SUBJECT_t"),
    REDIS_CASE("payload", SEND_RETRY, "max_payload"),
    REDIS_CASE("expired", SEND_RETRY, "MINIO_NOTIFY_NATS_USER_CREDENTIALS_t"),
    REDIS_CASE("odd", SEND_RETRY, "Odd something"),
    REDIS_CASE("chatter", SEND_OK, ""),
};
static const struct expected nats_hanging[] = REDIS_CASE("hang", SEND_RETRY, "in time");

static void nats_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(nats_cases); i++)
        expect(in, nats_cases[i], COUNT_OF(nats_cases[i]), 10000);
    expect(in, nats_hanging, COUNT_OF(nats_hanging), 400);
}

static struct instance nats_at(const struct receiver *r)
{
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_NATS_ADDRESS_t", address, 1);
    setenv("MINIO_NOTIFY_NATS_SUBJECT_t", "events", 1);
    return instance_of(&target_nats);
}
static const struct expected elastic_cases[][3] = {
    ELASTIC_CASE("half", ""),
    ELASTIC_CASE("garbage", "https://"),
    ELASTIC_CASE("close", "https://"),
    ELASTIC_CASE("cuthead", ""),
    ELASTIC_CASE("endless", "bytes"),
    ELASTIC_CASE("endlesshead", ""),
    ELASTIC_CASE("nojson", "as Elasticsearch does"),
    ELASTIC_CASE("notes", "as Elasticsearch does"),
    ELASTIC_CASE("empty", "as Elasticsearch does"),
    ELASTIC_CASE("accepted", "as Elasticsearch does"),
    ELASTIC_CASE("moved", "MINIO_NOTIFY_ELASTICSEARCH_URL_t"),
    ELASTIC_CASE("login", "MINIO_NOTIFY_ELASTICSEARCH_USERNAME_t"),
    ELASTIC_CASE("forbidden", "MINIO_NOTIFY_ELASTICSEARCH_USERNAME_t"),
    ELASTIC_CASE("nothere", "MINIO_NOTIFY_ELASTICSEARCH_URL_t"),
    ELASTIC_CASE("large", "max_content_length"),
    ELASTIC_CASE("starting", "just starting"),
    ELASTIC_CASE("full", "short of memory"),
};
static const struct expected elastic_hanging[] = ELASTIC_CASE("hang", "time");

/* one OK for all of them, but for those that nsqd calls too large */
static const struct expected nsq_cases[][3] = {
    REDIS_CASE("ok", SEND_OK, ""),
    REDIS_CASE("close", SEND_RETRY, "closed the connection"),
    REDIS_CASE("half", SEND_RETRY, "closed the connection"),
    REDIS_CASE("garbage", SEND_RETRY, "does not answer as nsqd does"),
    REDIS_CASE("http", SEND_RETRY, "it speaks HTTP"),
    REDIS_CASE("message", SEND_RETRY, "does not answer as nsqd does"),
    REDIS_CASE("text", SEND_RETRY, "none of nsqd's"),
    REDIS_CASE("beat", SEND_OK, ""),
    REDIS_CASE("twice", SEND_OK, ""),
    REDIS_CASE("topic", SEND_RETRY, "MINIO_NOTIFY_NSQ_TOPIC_t"),
    REDIS_CASE("first", SEND_RETRY, "MINIO_NOTIFY_NSQ_AUTH_SECRET_t"),
    REDIS_CASE("unauth", SEND_RETRY, "MINIO_NOTIFY_NSQ_TOPIC_t"),
    REDIS_CASE("full", SEND_RETRY, "its disk"),
    REDIS_CASE("odd", SEND_RETRY, "E_ODD something nobody"),
    REDIS_CASE("limitless", SEND_RETRY, "--max-msg-size"),
    REDIS_CASE("huge", SEND_RETRY, "--max-msg-size"),
    {{"ok-1", SEND_OK, ""}, {"big-123456", SEND_REJECT, "--max-msg-size"}, {"ok-2", SEND_OK, ""}},
    REDIS_CASE("few", SEND_OK, ""),
};
static const struct expected nsq_hanging[] = REDIS_CASE("hang", SEND_RETRY, "in time");

static const struct expected mqtt_cases[] = {{"ok-1", SEND_OK, ""},
                                             {"late-1", SEND_OK, ""},
                                             {"ok-2", SEND_OK, ""},
                                             {"late-2", SEND_OK, ""},
                                             {"ok-3", SEND_OK, ""}};
static const struct expected mqtt_cuts[][3] = {
    AMQP_CUT("close", "closed the connection"),
    AMQP_CUT("half", "closed the connection"),
    AMQP_CUT("garbage", "does not answer as an MQTT broker does"),
    AMQP_CUT("http", "it speaks HTTP"),
    AMQP_CUT("future", "never sent"),
    AMQP_CUT("zero", "never sent"),
    AMQP_CUT("other", "never sent"),
    AMQP_CUT("again", "welcomes twice"),
    AMQP_CUT("pong", "never sent"),
};
static const struct expected mqtt_twice[] = {
    {"ok-1", SEND_OK, ""}, {"twice", SEND_OK, ""}, {"ok-2", SEND_RETRY, "never sent"}};

static void webhook_cases_run(struct instance *in)
{
    expect(in, webhook_cases, COUNT_OF(webhook_cases), 10000);
    expect(in, webhook_hanging, COUNT_OF(webhook_hanging), 400);
    expect(in, webhook_endless, COUNT_OF(webhook_endless), 10000);
    expect(in, webhook_others, COUNT_OF(webhook_others), 10000);
}

static void redis_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(redis_cases); i++)
        expect(in, redis_cases[i], COUNT_OF(redis_cases[i]), 10000);
    expect(in, redis_hanging, COUNT_OF(redis_hanging), 400);
}

static void amqp_cases_run(struct instance *in)
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

static void kafka_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(kafka_cases); i++)
        kafka_case(in, kafka_cases[i], COUNT_OF(kafka_cases[i]), 10000);
    kafka_case(in, kafka_hanging, COUNT_OF(kafka_hanging), 400);
    for (size_t i = 0; i < COUNT_OF(kafka_alone); i++)
        kafka_case(in, &kafka_alone[i], 1, 10000);
}

static void elastic_cases_run(struct instance *in)
{
    expect(in, elastic_items, COUNT_OF(elastic_items), 10000);
    for (size_t i = 0; i < COUNT_OF(elastic_cases); i++)
        expect(in, elastic_cases[i], COUNT_OF(elastic_cases[i]), 10000);
    expect(in, elastic_hanging, COUNT_OF(elastic_hanging), 400);
}

static void nsq_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(nsq_cases); i++)
        expect(in, nsq_cases[i], COUNT_OF(nsq_cases[i]), 10000);
    expect(in, nsq_hanging, COUNT_OF(nsq_hanging), 400);
}

static void mqtt_cases_run(struct instance *in)
{
    expect(in, mqtt_cases, COUNT_OF(mqtt_cases), 10000);
    for (size_t i = 0; i < COUNT_OF(mqtt_cuts); i++)
        expect(in, mqtt_cuts[i], COUNT_OF(mqtt_cuts[i]), 10000);
    expect(in, mqtt_twice, COUNT_OF(mqtt_twice), 10000);
    expect(in, amqp_hanging, COUNT_OF(amqp_hanging), 400);
    expect(in, amqp_deaf, COUNT_OF(amqp_deaf), 400);
}

static struct instance webhook_at(const struct receiver *r)
{
    return instance_at(&target_webhook, r, "");
}

static struct instance redis_at(const struct receiver *r)
{
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_REDIS_ADDRESS_t", address, 1);
    setenv("MINIO_NOTIFY_REDIS_KEY_t", "events", 1);
    setenv("MINIO_NOTIFY_REDIS_FORMAT_t", "namespace", 1);
    return instance_of(&target_redis);
}

static struct instance amqp_at(const struct receiver *r)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "amqp://ann:secret@127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_AMQP_URL_t", url, 1);
    setenv("MINIO_NOTIFY_AMQP_EXCHANGE_t", "events", 1);
    setenv("MINIO_NOTIFY_AMQP_EXCHANGE_TYPE_t", "fanout", 1);
    setenv("MINIO_NOTIFY_AMQP_MANDATORY_t", "on", 1);
    return instance_of(&target_amqp);
}

static struct instance kafka_at(const struct receiver *r)
{
    char brokers[32];
    (void)snprintf(brokers, sizeof(brokers), "127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_KAFKA_BROKERS_t", brokers, 1);
    setenv("MINIO_NOTIFY_KAFKA_TOPIC_t", "events", 1);
    return instance_of(&target_kafka);
}

static struct instance postgres_at(const struct receiver *r)
{
    char text[96];
    (void)snprintf(text, sizeof(text), "host=127.0.0.1 port=%u user=u dbname=d sslmode=disable", r->port);
    setenv("MINIO_NOTIFY_POSTGRES_CONNECTION_STRING_t", text, 1);
    setenv("MINIO_NOTIFY_POSTGRES_TABLE_t", "events", 1);
    return instance_of(&target_postgres);
}

static struct instance mysql_at(const struct receiver *r)
{
    char text[96];
    (void)snprintf(text, sizeof(text), "u:p@tcp(127.0.0.1:%u)/d", r->port);
    setenv("MINIO_NOTIFY_MYSQL_DSN_STRING_t", text, 1);
    setenv("MINIO_NOTIFY_MYSQL_TABLE_t", "events", 1);
    return instance_of(&target_mysql);
}

static struct instance elastic_at(const struct receiver *r)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_ELASTICSEARCH_URL_t", url, 1);
    setenv("MINIO_NOTIFY_ELASTICSEARCH_INDEX_t", "events", 1);
    setenv("MINIO_NOTIFY_ELASTICSEARCH_FORMAT_t", "namespace", 1);
    return instance_of(&target_elasticsearch);
}

static struct instance nsq_at(const struct receiver *r)
{
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_NSQ_NSQD_ADDRESS_t", address, 1);
    setenv("MINIO_NOTIFY_NSQ_TOPIC_t", "minio", 1);
    return instance_of(&target_nsq);
}

static struct instance mqtt_at(const struct receiver *r)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_MQTT_BROKER_t", url, 1);
    setenv("MINIO_NOTIFY_MQTT_TOPIC_t", "minio", 1);
    setenv("MINIO_NOTIFY_MQTT_QOS_t", "1", 1);
    return instance_of(&target_mqtt);
}

/* Of each kind: its receiver, an instance that sends there, and what has to become of what that answers. */
static const struct rig {
    const struct target_type *type;
    void (*start)(struct receiver *r);
    struct instance (*at)(const struct receiver *r);
    void (*run)(struct instance *in);
    unsigned login; /* requests of a connect */
} rigs[] = {{&target_amqp, receiver_start_amqp, amqp_at, amqp_cases_run, 7},
            {&target_mqtt, receiver_start_mqtt, mqtt_at, mqtt_cases_run, 1},
            {&target_nsq, receiver_start_nsq, nsq_at, nsq_cases_run, 2},
            {&target_webhook, receiver_start, webhook_at, webhook_cases_run, 0},
            {&target_redis, receiver_start_redis, redis_at, redis_cases_run, 2},
            {&target_kafka, receiver_start_kafka, kafka_at, kafka_cases_run, 2},
            {&target_postgres, receiver_start_postgres, postgres_at, postgres_cases_run, 4},
            {&target_mysql, receiver_start_mysql, mysql_at, mysql_cases_run, 6},
            {&target_nats, receiver_start_nats, nats_at, nats_cases_run, 2},
            {&target_elasticsearch, receiver_start_elastic, elastic_at, elastic_cases_run, 1}};

/* One kind, another server. */
static const struct rig rig_mariadb = {&target_mysql, receiver_start_mariadb, mysql_at, mysql_cases_run, 6};

static const struct rig *rig_of(const struct target_type *type)
{
    for (size_t i = 0; i < COUNT_OF(rigs); i++)
        if (rigs[i].type == type)
            return &rigs[i];
    fail_msg("%s has no receiver here", type->name);
    return NULL;
}

static void contract(const struct rig *rig)
{
    struct receiver r;
    rig->start(&r);
    struct instance in = rig->at(&r);
    rig->run(&in);
    /* and it works again afterwards */
    static const struct expected fine[] = {{"ok-1", SEND_OK, ""}, {"ok-2", SEND_OK, ""}};
    expect(&in, fine, COUNT_OF(fine), 10000);
    instance_close(&in);
    receiver_stop(&r);
}

static void contract_nobody_there(const struct rig *rig)
{
    struct receiver r;
    struct err e;
    struct batch b;
    rig->start(&r);
    struct instance in = rig->at(&r);
    assert_true(connect_within(&in, 5000, &e));
    receiver_stop(&r);
    send_keys(&in, &b, (const char *const[]){"ok"}, 1, 5000);
    assert_int_equal(b.out[0], SEND_RETRY);
    assert_true(b.e.text[0]);
    in.type->disconnect(in.self);
    assert_false(connect_within(&in, 5000, &e));
    assert_true(e.text[0]);
    instance_close(&in);
}

struct hastening {
    struct instance *in;
    struct receiver *r;
    unsigned requests;
};

static void *hasten(void *arg)
{
    struct hastening *h = arg;
    if (receiver_await(h->r, h->requests))
        h->in->type->hasten(h->in->self, clock_mono_ms() + 50);
    return NULL;
}

static void contract_stop(const struct rig *rig)
{
    struct receiver r;
    struct err e;
    struct batch b;
    rig->start(&r);
    struct instance in = rig->at(&r);
    assert_true(connect_within(&in, 5000, &e));
    struct hastening h = {&in, &r, rig->login + 1};
    pthread_t t = thread_start("hasten", hasten, &h);
    send_keys(&in, &b, (const char *const[]){"hang"}, 1, 60000);
    thread_join(t);
    assert_int_equal(b.out[0], SEND_RETRY);
    assert_true(b.took_ms < 10000);
    instance_close(&in);
    receiver_stop(&r);
}

static void test_contract(void **state)
{
    (void)state;
    for (const struct target_type *const *t = target_types; *t; t++) {
        assert_ptr_equal(target_type_find(str_c((*t)->name)), *t);
        assert_true((*t)->conf_size >= sizeof(struct target_common) && (*t)->max_batch >= 1);
        const struct rig *rig = rig_of(*t);
        contract(rig);
        contract_nobody_there(rig);
        contract_stop(rig);
    }
}

static void test_contract_mariadb(void **state)
{
    (void)state;
    contract(&rig_mariadb);
    contract_nobody_there(&rig_mariadb);
    contract_stop(&rig_mariadb);
}

static bool any_request_has(const struct receiver *r, const char *part)
{
    for (unsigned i = 0; i < r->n_requests; i++)
        if (memmem(r->request[i], r->bytes[i], part, strlen(part)))
            return true;
    return false;
}

/* As a text to MySQL; to MariaDB as arrays of values, their statement is prepared once. */
static void test_arrays(void **state)
{
    (void)state;
    static const char *const keys[] = {"ok-1", "it's"};
    static const struct {
        void (*start)(struct receiver *r);
        const char *there, *not_there;
        unsigned requests;
    } cases[] = {{receiver_start_mysql, "'b/it\\'s'", "(?,?)", 6 + 2},
                 {receiver_start_mariadb, "{\"Records\":[{\"eventName\":\"", "'b/", 6 + 1 + 2}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct receiver r;
        struct batch b;
        struct err e;
        cases[i].start(&r);
        struct instance in = mysql_at(&r);
        assert_true(connect_within(&in, 5000, &e));
        for (int k = 0; k < 2; k++) {
            send_keys(&in, &b, keys, 2, 5000);
            assert_int_equal(b.out[0], SEND_OK);
            assert_int_equal(b.out[1], SEND_OK);
        }
        assert_int_equal(receiver_requests(&r), cases[i].requests);
        assert_true(any_request_has(&r, cases[i].there));
        assert_false(any_request_has(&r, cases[i].not_there));
        instance_close(&in);
        receiver_stop(&r);
    }
}

/* It reads no more in the middle of a batch: the deadline holds, and what the library had made for it is freed. */
static void test_deaf_database(void **state)
{
    (void)state;
    static char record[PLAN_EVENT_MAX];
    memset(record, 'x', sizeof(record));
    for (int maria = 0; maria < 2; maria++) {
        struct receiver r;
        struct batch b;
        struct err e;
        (maria ? receiver_start_mariadb : receiver_start_mysql)(&r);
        struct instance in = mysql_at(&r);
        assert_true(connect_within(&in, 5000, &e));
        send_keys(&in, &b, (const char *const[]){"deaf"}, 1, 5000);
        assert_int_equal(b.out[0], SEND_OK);
        for (size_t i = 0; i < BATCH; i++) {
            (void)snprintf(b.key[i], sizeof(b.key[i]), "%zu", i);
            b.ev[i] = b.ev[0];
            b.ev[i].key = str_c(b.key[i]);
            b.ev[i].record = str_n(record, sizeof(record));
            b.ev[i].why = b.why[i];
        }
        int64_t begin = clock_mono_ms();
        send_batch(&in, &b, BATCH, begin + 300);
        assert_true(clock_mono_ms() - begin <
                    10000); /* nobody ever answers; 16 MiB are made into a statement first */
        for (size_t i = 0; i < BATCH; i++) {
            assert_int_equal(b.out[i], SEND_RETRY);
            assert_non_null(strstr(b.why[i], "in time"));
        }
        instance_close(&in);
        receiver_stop(&r);
    }
}

/* --- webhook ------------------------------------------------------------------------------------------------------ */

static void test_request(void **state)
{
    (void)state;
    struct receiver r;
    struct err e;
    struct batch b;
    receiver_start(&r);
    struct instance in = instance_at(&target_webhook, &r, "secret-token");
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
    struct instance in = instance_at(&target_webhook, &r, "");
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
    struct instance in = instance_at(&target_webhook, &r, "Basic abc");
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
    struct instance in = instance_open(&target_webhook, url, "");
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
    struct instance in = instance_at(&target_webhook, &r, "");
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
    struct instance in = instance_at(&target_webhook, &r, "");
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
    struct send_done done[BATCH];
    receiver_start(&r);
    struct instance in = instance_at(&target_webhook, &r, "");
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
    struct send_done done[BATCH];
    char *record = x_malloc(SIZE);
    receiver_start(&r);
    struct instance in = instance_at(&target_webhook, &r, "");
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
    struct instance in = instance_at(&target_webhook, &r, "");
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
    struct instance in = instance_open(&target_webhook, "http://receiver.invalid/hook", "");
    assert_true(connect_within(&in, 5000, &e));
    send_keys(&in, &b, (const char *const[]){"ok"}, 1, 5000);
    assert_int_equal(b.out[0], SEND_OK);
    assert_non_null(receiver_find(&proxy, "POST http://receiver.invalid/hook HTTP/1.1\r\n"));
    instance_close(&in);
    /* never for this machine */
    unsigned before = receiver_requests(&proxy);
    struct receiver r;
    receiver_start(&r);
    in = instance_at(&target_webhook, &r, "");
    assert_true(connect_within(&in, 5000, &e));
    send_keys(&in, &b, (const char *const[]){"ok"}, 1, 5000);
    assert_int_equal(b.out[0], SEND_OK);
    assert_int_equal(receiver_requests(&proxy), before);
    instance_close(&in);
    unsetenv("HTTP_PROXY");
    receiver_stop(&r);
    receiver_stop(&proxy);
}

static void test_check(void **state)
{
    (void)state;
    struct webhook_conf c = {.endpoint = (char[]){"http://h"},
                             .auth_token = (char[]){""},
                             .client_cert = (char[]){"/c"},
                             .client_key = (char[]){""}};
    struct err e = {0};
    assert_false(target_webhook.check(&c, &e));
    assert_string_equal(
        e.text,
        "client_cert and client_key (MINIO_NOTIFY_WEBHOOK_CLIENT_CERT and _KEY) have to be set together");
    c.client_cert = (char[]){""};
    assert_true(target_webhook.check(&c, &e));
    c.auth_token = (char[]){"a\r\nX: y"};
    assert_false(target_webhook.check(&c, &e));
}

/* --- its rules ---------------------------------------------------------------------------------------------------- */

static void test_authorization(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"abc", "Bearer abc"},
                                           {" abc\t", "Bearer abc"},
                                           {"Basic abc", "Basic abc"},
                                           {"Basic  abc", "Basic  abc"},
                                           {"", NULL},
                                           {"  ", NULL},
                                           {"a b c", NULL}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_int_equal(webhook_authorization(str_c(cases[i][0]), &b), cases[i][1] != NULL);
        if (cases[i][1])
            assert_true(str_eq_c(buf_view(&b), cases[i][1]));
        buf_release(&b);
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {{"5", 5000},
                 {" 120 \r\n", 120000},
                 {"0", 0},
                 {"-1", 0},
                 {"soon", 0},
                 {"", 0},
                 {"1.5", 0},
                 {"99999999999999999999", 0},
                 {"9999999", 86400000},
                 {"Sun, 01 Feb 2026 10:20:40 GMT", 10000},
                 {"Sun, 01 Feb 2026 10:20:20 GMT", 0},
                 {"Sun, 01 Feb 2099 10:20:20 GMT", 86400000}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(http_retry_after(str_c(cases[i].text), 1769941230), cases[i].want);
}

static void test_outcomes(void **state)
{
    (void)state;
    char why[SEND_WHY];
    for (long status = 100; status < 600; status++) {
        bool refused = status == 400 || status == 413 || status == 415 || status == 422;
        enum send_result want = status >= 200 && status < 300 ? SEND_OK : refused ? SEND_REJECT : SEND_RETRY;
        assert_int_equal(webhook_outcome(status, "http://h/p", STR(""), "_", why, sizeof(why)), want);
        assert_int_equal(why[0] != 0, want != SEND_OK);
    }
    assert_int_equal(webhook_outcome(403, "http://h/p", STR(""), "_", why, sizeof(why)), SEND_RETRY);
    assert_string_equal(why, "http://h/p answered 403: check MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN");
    assert_int_equal(webhook_outcome(407, "http://h/p", STR(""), "_", why, sizeof(why)), SEND_RETRY);
    assert_string_equal(why,
                        "the proxy before http://h/p answered 407: check user and password in HTTP_PROXY");
    assert_int_equal(webhook_outcome(302, "http://h/p", STR("http://n/"), "x", why, sizeof(why)), SEND_RETRY);
    assert_string_equal(
        why,
        "http://h/p answered 302, it moved to http://n/: set MINIO_NOTIFY_WEBHOOK_ENDPOINT_x to where it is");
}

static void test_urls(void **state)
{
    (void)state;
    static const char *const shown[][2] = {{"http://user:pw@h:80/p?token=x#f", "http://h:80/p"},
                                           {"https://[::1]:9/x", "https://[::1]:9/x"},
                                           {"http://h", "http://h"},
                                           {"http://h?x", "http://h"}};
    for (size_t i = 0; i < COUNT_OF(shown); i++) {
        struct buf b;
        buf_init(&b, 100);
        http_shown(str_c(shown[i][0]), &b);
        assert_true(str_eq_c(buf_view(&b), shown[i][1]));
        buf_release(&b);
    }
    assert_true(http_same_origin(STR("http://H/a"), STR("HTTP://h:80/b")));
    assert_true(http_same_origin(STR("https://u:p@h/a"), STR("https://h:443")));
    assert_false(http_same_origin(STR("https://h/"), STR("http://h/")));
    assert_false(http_same_origin(STR("http://h/"), STR("http://h:81/")));
    assert_false(http_same_origin(STR("http://h/"), STR("http://h.evil/")));
    assert_true(http_is_loopback(STR("http://localhost:1/")));
    assert_true(http_is_loopback(STR("http://127.1.2.3/")));
    assert_true(http_is_loopback(STR("https://[::1]/")));
    assert_false(http_is_loopback(STR("http://127.example.com/")));
    assert_false(http_is_loopback(STR("http://10.0.0.1/")));
    assert_false(http_is_loopback(STR("http://127.0.0.1.evil/")));
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contract),
        cmocka_unit_test(test_contract_mariadb),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_deaf_database),
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
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_authorization),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
