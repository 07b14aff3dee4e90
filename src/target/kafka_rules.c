/* SPDX-License-Identifier: Apache-2.0
 *
 * What kafka decides by looking at bytes and codes alone: addresses, versions, what errors mean. */
#include <rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "target/kafka.h"

/* --- settings ----------------------------------------------------------------------------------------------------- */

bool kafka_parse_brokers(struct str text, struct kafka_brokers *out, struct err *e)
{
    static const struct address_words words = {"brokers", "9092", "localhost:9092", ""};
    struct str one;
    out->n = 0;
    /* What is refused is not shown: a password may stand in it. */
    if (str_find(text, STR("://")) >= 0)
        return err_set(e,
                       "brokers must be host:port, without a scheme such as kafka:// (for TLS set tls=on)");
    while (str_cut(&text, ',', &one)) {
        one = str_trim(one);
        if (one.n == 0)
            continue;
        if (out->n == KAFKA_BROKERS_MAX)
            return err_set(e, "brokers names more than %d; some of a cluster's are enough",
                           KAFKA_BROKERS_MAX);
        if (!target_address_parse(one, &words, &out->v[out->n++], e))
            return err_set(e,
                           "brokers must be a list such as localhost:9092,localhost:9093 or [::1]:9092; "
                           "number %u of it is not",
                           out->n);
    }
    return out->n > 0 || err_set(e, "brokers is empty: it must be a list such as localhost:9092");
}

bool kafka_parse_version(struct str text, struct kafka_version *out)
{
    uint64_t v[4] = {0};
    unsigned n = 0;
    struct str one;
    *out = (struct kafka_version){0};
    if (text.n == 0)
        return true;
    for (; str_cut(&text, '.', &one); n++)
        if (n == 4 || !str_to_u64(one, &v[n]) || v[n] > 9999)
            return false;
    if (n < 3 || (v[0] == 0 && v[1] < 8))
        return false;
    out->old = v[0] == 0 && v[1] < 10;
    out->no_idempotence = v[0] == 0 && v[1] < 11;
    return true;
}

const char *kafka_codec(struct str text)
{
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    if (text.n == 0)
        return "none";
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        if (str_ieq(text, str_c(codecs[i])))
            return codecs[i];
    return NULL;
}

int kafka_level(struct str codec, int64_t level)
{
    int most = str_eq_c(codec, "gzip") ? 9 : str_eq_c(codec, "lz4") || str_eq_c(codec, "zstd") ? 12 : 0;
    return level <= 0 || most == 0 ? -1 : level < most ? (int)level : most;
}

/* --- errors ------------------------------------------------------------------------------------------------------- */

/* In `text`, %s is the topic. key: the setting to look at. */
static const struct rule {
    int code;
    const char *text, *key;
} rules[] = {
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
     "there is no topic '%s': create it, or set auto.create.topics.enable at the brokers", "TOPIC"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
     "there is no topic '%s': create it, or set auto.create.topics.enable at the brokers", "TOPIC"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID, "topic '%s' is another one now", NULL},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, "topic '%s' has lost a partition", NULL},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, "'%s' cannot be the name of a topic", "TOPIC"},
    {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, "topic '%s' has no leader at the moment", NULL},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
     "the user may not write to topic '%s': grant Write and Describe on it", "SASL_USERNAME"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
     "the user may not write as acks=all does: grant IdempotentWrite on the cluster, or set acks=leader",
     "ACKS"},
    {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, "the brokers are too old for acks=all: set acks=leader", "ACKS"},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
     "topic '%s' has fewer replicas in sync than its min.insync.replicas", NULL},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
     "topic '%s' has fewer replicas in sync than its min.insync.replicas", NULL},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, "the brokers do not take this compression",
     "PRODUCER_COMPRESSION_CODEC"},
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
     "topic '%s' does not take the time of this message: are the clocks right?", NULL},
    {RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, "a broker cannot write to its disk", NULL},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
     "the message is larger than topic '%s' takes (max.message.bytes; message.max.bytes of the brokers)",
     NULL},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, "the message is larger than a segment of topic '%s'", NULL},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, "topic '%s' does not take such a message", NULL},
};

static const struct rule *rule_of(int code)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (rules[i].code == code)
            return &rules[i];
    return NULL;
}

bool kafka_blames_batch(int code)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
           code == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

/* " (MINIO_NOTIFY_KAFKA_TOPIC_id)" into text. */
static const char *variable(const struct kafka_names *names, const char *key, char text[120])
{
    bool named = strcmp(names->id, "_") != 0;
    text[0] = 0;
    if (key)
        (void)snprintf(text, 120, " (MINIO_NOTIFY_KAFKA_%s%s%.60s)", key, named ? "_" : "",
                       named ? names->id : "");
    return text;
}

static void explain_rule(const struct kafka_names *names, const struct rule *r, char *why, size_t why_n)
{
    char about[200], var[120];
    (void)snprintf(about, sizeof(about), r->text, names->topic);
    (void)snprintf(why, why_n, "%.60s: %s%s", names->shown, about, variable(names, r->key, var));
}

enum send_result kafka_outcome(const struct kafka_names *names, int code, bool alone, const char *trouble,
                               char *why, size_t why_n)
{
    const struct rule *r = rule_of(code);
    bool silence = code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT || code == RD_KAFKA_RESP_ERR__TIMED_OUT;
    why[0] = 0;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return SEND_OK;
    if (kafka_blames_batch(code) && !alone)
        (void)snprintf(why, why_n, "%.60s: a batch was refused (%s): sent in smaller ones", names->shown,
                       rd_kafka_err2name((rd_kafka_resp_err_t)code));
    else if (r)
        explain_rule(names, r, why, why_n);
    else if (trouble[0] && (silence || code == RD_KAFKA_RESP_ERR__FATAL))
        (void)snprintf(why, why_n, "%s", trouble);
    else if (silence)
        (void)snprintf(why, why_n, "%.60s: no answer in time", names->shown);
    else
        (void)snprintf(why, why_n, "%.60s: %s", names->shown, rd_kafka_err2str((rd_kafka_resp_err_t)code));
    return kafka_blames_batch(code) && alone ? SEND_REJECT : SEND_RETRY;
}

/* The library does not always say which of the two. */
#define UNTRUSTED \
    "its certificate is not trusted or does not name this host; put the certificate of its CA into " \
    "certs-dir/CAs"

/* What the library says of a connection, by parts of its text; code 0: whatever the code. The first that fits. */
static const struct cause {
    const char *part, *text, *key;
    bool closed; /* not more than that: kafka_explain_closed */
} causes[] = {
    {"hostname mismatch", "its certificate does not name this host", NULL, false},
    {"IP address mismatch", "its certificate does not name this address", NULL, false},
    {"certificate could not be verified", UNTRUSTED, NULL, false},
    {"certificate verify failed", UNTRUSTED, NULL, false},
    {"certificate required", "it asks for a client certificate", "CLIENT_TLS_CERT", false},
    {"bad certificate", "it asks for a client certificate, or does not take this one", "CLIENT_TLS_CERT",
     false},
    {"certificate unknown", "it does not take the client certificate", "CLIENT_TLS_CERT", false},
    {"unknown ca", "it does not trust the CA of the client certificate", "CLIENT_TLS_CERT", false},
    {"wrong version number", "it does not speak TLS", "TLS", false},
    {"connecting to a PLAINTEXT broker listener", "it does not speak TLS", "TLS", false},
    {"SSL connection closed by peer",
     "it closed the connection within the TLS handshake: does it speak TLS, does it ask for a client "
     "certificate?",
     "TLS", false},
    {"connecting to a SSL listener", NULL, NULL, true},
    {"might require SASL authentication", NULL, NULL, true},
    {"nsupported SASL mechanism", "it does not take this sasl_mechanism", "SASL_MECHANISM", false},
    {"Failed to resolve", "the address that this broker names (advertised.listeners) cannot be resolved here",
     NULL, false},
};

static bool is_login(int code)
{
    return code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
}

/* The name of a broker at the front of the library's texts: "sasl_ssl://host:9093/bootstrap: ...". */
static struct str broker_of(struct str text, struct str *rest)
{
    ptrdiff_t end = str_find(text, STR(": "));
    struct str name = end < 0 ? (struct str){0} : str_head(text, (size_t)end);
    *rest = end < 0 || str_chr(name, ' ') >= 0 ? text : str_from(text, (size_t)end + 2);
    if (rest->p == text.p)
        return (struct str){0};
    ptrdiff_t scheme = str_find(name, STR("://"));
    name = scheme < 0 ? name : str_from(name, (size_t)scheme + 3);
    ptrdiff_t slash = str_chr(name, '/');
    return slash < 0 ? name : str_head(name, (size_t)slash);
}

void kafka_explain_closed(const struct kafka_names *names, char *why, size_t why_n)
{
    char tls[120], sasl[120];
    (void)snprintf(why, why_n, "%s: it closed the connection", names->shown);
    size_t n = strlen(why);
    if (!names->tls && !names->sasl)
        (void)snprintf(why + n, why_n - n, ": if it expects TLS or a login, set tls=on or sasl=on%s%s",
                       variable(names, "TLS", tls), variable(names, "SASL", sasl));
    else if (!names->tls)
        (void)snprintf(why + n, why_n - n, ": if it expects TLS, set tls=on%s", variable(names, "TLS", tls));
    else if (!names->sasl)
        (void)snprintf(why + n, why_n - n, ": if it expects a login, set sasl=on%s",
                       variable(names, "SASL", sasl));
}

void kafka_explain(const struct kafka_names *names, int code, struct str text, char *why, size_t why_n)
{
    const struct rule *r = rule_of(code);
    struct str rest, broker = broker_of(text, &rest);
    char var[120];
    if (broker.n == 0)
        broker = str_c(names->shown);
    broker = str_head(broker, 60);
    if (r) {
        explain_rule(names, r, why, why_n);
        return;
    }
    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
        const struct cause *c = &causes[i];
        if (str_find(text, str_c(c->part)) < 0)
            continue;
        if (c->closed)
            kafka_explain_closed(names, why, why_n);
        else
            (void)snprintf(why, why_n, "%.*s: %s%s", STR_FMT(broker), c->text, variable(names, c->key, var));
        return;
    }
    if (is_login(code)) {
        (void)snprintf(why, why_n,
                       "%.*s: it refuses the login: check sasl_username, sasl_password and "
                       "sasl_mechanism%s",
                       STR_FMT(broker), variable(names, "SASL_USERNAME", var));
        return;
    }
    ptrdiff_t after = str_find(rest, STR(" (after "));
    rest = str_head(after < 0 ? rest : str_head(rest, (size_t)after), 150);
    (void)snprintf(why, why_n, "%.*s: %.*s", STR_FMT(broker), STR_FMT(rest));
}

void kafka_explain_setup(const struct kafka_conf *conf, const char *text, struct err *e)
{
    const char *reason = strrchr(text, ':');
    reason = reason ? reason + 1 : text;
    if (strstr(text, "ssl.certificate.location"))
        (void)err_set(e, "client_tls_cert %.100s cannot be used:%.100s", conf->client_tls_cert, reason);
    else if (strstr(text, "ssl.key.location"))
        (void)err_set(e, "client_tls_key %.100s cannot be used:%.100s", conf->client_tls_key, reason);
    else
        (void)err_set(e, "the Kafka library does not take the settings: %.300s", text);
}
