/* SPDX-License-Identifier: Apache-2.0
 *
 * The Kafka target: one message per event, delivered when its delivery report says that the brokers have it. Here its
 * settings and the parts of it that are pure. Formats: notifications.md 2.6 and 2.8. */
#ifndef BELFRY_TARGET_KAFKA_H
#define BELFRY_TARGET_KAFKA_H

#include "target/address.h"
#include "target/payload.h"
#include "target/target.h"

enum kafka_sasl { KAFKA_SASL_PLAIN, KAFKA_SASL_SHA256, KAFKA_SASL_SHA512 };
enum kafka_acks { KAFKA_ACKS_ALL, KAFKA_ACKS_LEADER };
enum kafka_partitioner { KAFKA_PARTITIONER_MINIO, KAFKA_PARTITIONER_JAVA };

struct kafka_conf {
    struct target_common common;
    char *topic, *brokers, *sasl_username, *sasl_password, *client_tls_cert, *client_tls_key, *version,
        *compression_codec;
    int sasl_mechanism, acks, partitioner; /* the enums above */
    int payload;                           /* enum payload */
    bool sasl, tls, tls_skip_verify;
    int64_t tls_client_auth; /* means something at servers only */
    int64_t batch_size, batch_commit_timeout, compression_level;
};

extern const struct target_type target_kafka;

#define KAFKA_PLACES      1000
#define KAFKA_BROKERS_MAX 32
#define KAFKA_EVENT_MAX   (1u << 20) /* bytes of a message's value */

struct kafka_brokers {
    struct target_address v[KAFKA_BROKERS_MAX];
    unsigned n;
};
/* "host:port,host,[IPv6]:port"; blanks around each are ignored, the port is 9092 where none is named. False and err. */
bool kafka_parse_brokers(struct str text, struct kafka_brokers *out, struct err *e);

/* "2.2.0" or "0.10.2.1"; empty: the brokers are asked. old: from before 0.10, which cannot be asked; no_idempotence: from
 * before 0.11. False when it is no version. */
struct kafka_version {
    bool old, no_idempotence;
};
bool kafka_parse_version(struct str text, struct kafka_version *out);
/* none, gzip, snappy, lz4, zstd in any case, and nothing, which is none: the library's name of it; NULL: none of these. */
const char *kafka_codec(struct str text);
/* The level as the library takes it: -1 is the codec's own. */
int kafka_level(struct str codec, int64_t level);

/* Who answers, for messages. */
struct kafka_names {
    char shown[104]; /* its brokers, cut */
    const char *id;  /* of the target, for the names of variables */
    const char *topic;
    bool tls, sasl;
};
/* What a message's error means (code: rd_kafka_resp_err_t), with what to do about it. alone: no other message was under way
 * with it, so that what is said of the batch is said of it. trouble: what the library said last, "": nothing. */
enum send_result kafka_outcome(const struct kafka_names *names, int code, bool alone, const char *trouble,
                               char *why, size_t why_n);
/* Is it about the size or the content of what went in one request, so that it is tried again by itself? */
bool kafka_blames_batch(int code);
/* What went wrong with a connection, in the library's words (text) and ours. */
void kafka_explain(const struct kafka_names *names, int code, struct str text, char *why, size_t why_n);
/* The library makes no producer of the settings; text: its words. */
void kafka_explain_setup(const struct kafka_conf *conf, const char *text, struct err *e);
/* A broker hung up without a word. */
void kafka_explain_closed(const struct kafka_names *names, char *why, size_t why_n);

#endif
