/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of kinds of targets, and the envelope most of them send. */
#include "target/target.h"

#include "target/amqp.h"
#include "target/elastic.h"
#include "target/kafka.h"
#include "target/mqtt.h"
#include "target/mysql.h"
#include "target/nats.h"
#include "target/nsq.h"
#include "target/payload.h"
#include "target/postgres.h"
#include "target/redis.h"
#include "target/webhook.h"

const struct target_type *const target_types[] = {
    &target_amqp, &target_elasticsearch, &target_kafka, &target_mqtt,    &target_mysql, &target_nats,
    &target_nsq,  &target_postgres,      &target_redis, &target_webhook, NULL,
};

const struct target_type *target_type_find(struct str name)
{
    for (const struct target_type *const *t = target_types; *t; t++)
        if (str_eq_c(name, (*t)->name))
            return *t;
    return NULL;
}

void target_envelope(struct buf *b, const struct event_ref *ev)
{
    payload_envelope(b, ev, KEY_MINIO);
}
