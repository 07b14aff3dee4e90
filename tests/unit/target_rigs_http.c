/* SPDX-License-Identifier: Apache-2.0
 *
 * The rigs of what speaks HTTP: webhook, Elasticsearch. */
#include "target_rigs.h"

#include "target/elastic.h"
#include "target/webhook.h"

/* --- webhook -------------------------------------------------------------------------------------------------------- */

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

struct instance webhook_at(const struct receiver *r)
{
    return webhook_with(r, "");
}

void webhook_cases_run(struct instance *in)
{
    expect(in, webhook_cases, COUNT_OF(webhook_cases), 10000);
    expect(in, webhook_hanging, COUNT_OF(webhook_hanging), 400);
    expect(in, webhook_endless, COUNT_OF(webhook_endless), 10000);
    expect(in, webhook_others, COUNT_OF(webhook_others), 10000);
}

/* --- Elasticsearch -------------------------------------------------------------------------------------------------- */

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

struct instance elastic_at(const struct receiver *r)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_ELASTICSEARCH_URL_t", url, 1);
    setenv("MINIO_NOTIFY_ELASTICSEARCH_INDEX_t", "events", 1);
    setenv("MINIO_NOTIFY_ELASTICSEARCH_FORMAT_t", "namespace", 1);
    return instance_of(&target_elasticsearch);
}

void elastic_cases_run(struct instance *in)
{
    expect(in, elastic_items, COUNT_OF(elastic_items), 10000);
    for (size_t i = 0; i < COUNT_OF(elastic_cases); i++)
        expect(in, elastic_cases[i], COUNT_OF(elastic_cases[i]), 10000);
    expect(in, elastic_hanging, COUNT_OF(elastic_hanging), 400);
}
