/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of a kafka target, and what the library is told because of them. */
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "target/kafka_impl.h"

bool kafka_check(const void *arg, struct err *e)
{
    const struct kafka_conf *c = arg;
    struct kafka_brokers brokers;
    struct kafka_version version;
    if (!kafka_parse_brokers(str_c(c->brokers), &brokers, e))
        return false;
    if (!c->topic[0])
        return err_set(e, "topic (MINIO_NOTIFY_KAFKA_TOPIC) is not set: it must be the name of a topic");
    if (!c->client_tls_cert[0] != !c->client_tls_key[0])
        return err_set(e, "client_tls_cert and client_tls_key (MINIO_NOTIFY_KAFKA_CLIENT_TLS_CERT and _KEY) "
                          "have to be set together");
    if (c->sasl && !c->sasl_username[0])
        return err_set(e, "sasl=on (MINIO_NOTIFY_KAFKA_SASL) needs sasl_username and sasl_password");
    if (!kafka_parse_version(str_c(c->version), &version))
        return err_set(e, "version is '%.40s': it must be like 2.2.0 or 0.10.2.1", c->version);
    if (version.no_idempotence && c->acks == KAFKA_ACKS_ALL)
        return err_set(e,
                       "version %.40s cannot recognise repeats, which acks=all needs: set acks=leader "
                       "(MINIO_NOTIFY_KAFKA_ACKS)",
                       c->version);
    if (!kafka_codec(str_c(c->compression_codec)))
        return err_set(e, "compression_codec is '%.40s': it must be none|snappy|gzip|lz4|zstd",
                       c->compression_codec);
    return true;
}

/* --- certificates ------------------------------------------------------------------------------------------------- */

/* Told of certificates, the library looks at no others: so the system's own stand beside ours. */
void kafka_trust(struct kafka *k)
{
    if (k->conf->common.ca_pem.n == 0)
        return;
    const char *path = getenv(X509_get_default_cert_file_env());
    FILE *f = fopen(path && *path ? path : X509_get_default_cert_file(), "re");
    if (!f && !(path && *path)) /* where Debian has them, if OpenSSL's own place is empty */
        f = fopen("/etc/ssl/certs/ca-certificates.crt", "re");
    buf_str(&k->ca, k->conf->common.ca_pem);
    buf_char(&k->ca, '\n');
    for (char *p; f && (p = buf_reserve(&k->ca, 65536));) {
        size_t n = fread(p, 1, 65536, f);
        if (n == 0)
            break;
        k->ca.len += n;
    }
    if (f)
        (void)fclose(f);
    buf_char(&k->ca, 0);
}

/* --- the library's configuration ---------------------------------------------------------------------------------- */

static const struct {
    const char *name, *value;
} fixed[] = {
    {"client.id", "belfry"},
    {"client.software.name", "belfry"},
    {"client.software.version", BELFRY_VERSION},
    /* So long may a message wait for company: without it requests carry few of them, and a backlog drains at half the speed. */
    {"linger.ms", "0.5"},
    {"message.timeout.ms", "120000"},
    {"request.timeout.ms", "10000"}, /* how long the leader waits for its replicas; below the next */
    {"socket.timeout.ms", "15000"},  /* no answer for so long: the connection is dead */
    {"socket.connection.setup.timeout.ms", "5000"},
    {"socket.keepalive.enable", "true"},
    {"socket.nagle.disable", "true"},
    {"reconnect.backoff.ms", "100"},
    {"reconnect.backoff.max.ms", "2000"},
    {"retry.backoff.ms", "100"},
    {"retry.backoff.max.ms", "1000"},
    {"topic.metadata.refresh.fast.interval.ms", "250"},
    {"topic.metadata.propagation.max.ms", "10000"}, /* how long a topic that is not there may still appear */
    {"allow.auto.create.topics", "true"},           /* if the brokers do */
    /* It is the brokers that judge the size of a message. Of a batch it is ours: theirs are 1 MiB by default. */
    {"message.max.bytes", "4000000"},
    {"batch.size", "1000000"},
};

static const char *const mechanisms[] = {[KAFKA_SASL_PLAIN] = "PLAIN",
                                         [KAFKA_SASL_SHA256] = "SCRAM-SHA-256",
                                         [KAFKA_SASL_SHA512] = "SCRAM-SHA-512"};

static bool set(rd_kafka_conf_t *c, const char *key, const char *name, const char *value, struct err *e)
{
    char text[300];
    if (rd_kafka_conf_set(c, name, value, text, sizeof(text)) == RD_KAFKA_CONF_OK)
        return true;
    if (!key) /* a value of ours, or a secret */
        return err_set(e, "the Kafka library does not take %s", name);
    return err_set(e, "%s: %s", key, text);
}

static bool configure_security(const struct kafka *k, rd_kafka_conf_t *c, struct err *e)
{
    const struct kafka_conf *f = k->conf;
    bool ok = set(c, NULL, "security.protocol",
                  f->sasl && f->tls ? "sasl_ssl"
                  : f->sasl         ? "sasl_plaintext"
                  : f->tls          ? "ssl"
                                    : "plaintext",
                  e);
    if (f->sasl)
        ok = ok && set(c, NULL, "sasl.mechanisms", mechanisms[f->sasl_mechanism], e) &&
             set(c, NULL, "sasl.username", f->sasl_username, e) &&
             set(c, NULL, "sasl.password", f->sasl_password, e);
    if (!f->tls)
        return ok;
    /* At this level OpenSSL speaks no TLS before 1.2, whatever openssl.cnf allows. */
    ok = ok && set(c, NULL, "ssl.cipher.suites", "DEFAULT:@SECLEVEL=2", e);
    if (f->tls_skip_verify)
        ok = ok && set(c, NULL, "enable.ssl.certificate.verification", "false", e) &&
             set(c, NULL, "ssl.endpoint.identification.algorithm", "none", e);
    else
        ok = ok && set(c, NULL, "ssl.endpoint.identification.algorithm", "https", e);
    if (k->ca.len > 0)
        ok = ok && set(c, "certificates in certs-dir/CAs", "ssl.ca.pem", k->ca.p, e);
    if (f->client_tls_cert[0])
        ok = ok && set(c, "client_tls_cert", "ssl.certificate.location", f->client_tls_cert, e) &&
             set(c, "client_tls_key", "ssl.key.location", f->client_tls_key, e);
    return ok;
}

static bool configure_delivery(const struct kafka_conf *f, rd_kafka_conf_t *c, struct err *e)
{
    char number[24];
    bool all = f->acks == KAFKA_ACKS_ALL;
    struct str codec = str_c(kafka_codec(str_c(f->compression_codec)));
    (void)snprintf(number, sizeof(number), "%d", kafka_level(codec, f->compression_level));
    bool ok =
        set(c, NULL, "acks", all ? "all" : "1", e) &&
        set(c, NULL, "enable.idempotence", all ? "true" : "false", e) &&
        set(c, NULL, "partitioner", f->partitioner == KAFKA_PARTITIONER_JAVA ? "murmur2" : "fnv1a", e) &&
        set(c, NULL, "compression.codec", codec.p, e) && set(c, NULL, "compression.level", number, e);
    if (f->batch_size > 0) {
        int64_t most = f->batch_size < 1000000 ? f->batch_size : 1000000;
        (void)snprintf(number, sizeof(number), "%lld", (long long)most);
        ok = ok && set(c, "batch_size", "batch.num.messages", number, e);
    }
    return ok;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level; /* what matters of it comes as an event */
    log_debug("kafka", "%s: %s", facility, text);
}

bool kafka_configure(const struct kafka *k, rd_kafka_conf_t *c, struct err *e)
{
    struct kafka_version version;
    struct buf servers;
    bool ok = kafka_parse_version(str_c(k->conf->version), &version);
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        ok = ok && set(c, NULL, fixed[i].name, fixed[i].value, e);
    buf_init(&servers, KAFKA_BROKERS_MAX * 300);
    for (unsigned i = 0; i < k->brokers.n; i++)
        buf_printf(&servers, "%s%s", i ? "," : "", k->brokers.v[i].shown);
    buf_char(&servers, 0);
    ok = ok && set(c, "brokers", "bootstrap.servers", servers.p, e);
    buf_release(&servers);
    if (k->conf->version[0])
        ok = ok && set(c, "version", "broker.version.fallback", k->conf->version, e);
    if (version.old)
        ok = ok && set(c, "version", "api.version.request", "false", e);
    rd_kafka_conf_set_log_cb(c, on_log);
    rd_kafka_conf_set_events(c, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    return ok && configure_delivery(k->conf, c, e) && configure_security(k, c, e);
}
