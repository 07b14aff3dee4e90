/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of kinds of targets, and the envelope most of them send. */
#include "target/target.h"

#include <stdio.h>

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

void target_name_place(const struct target_type *t, struct str id, struct err *e)
{
    static const char *const named[] = {"MINIO_", "certs-dir", "client_", "_PROXY"};
    char variable[80];
    size_t n = strlen(e->text);
    bool unnamed = str_eq(id, CONFIG_DEFAULT_ID);
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
        if (strstr(e->text, named[i]))
            return;
    if (!t->place || n == 0)
        return;
    (void)snprintf(variable, sizeof(variable), "MINIO_%s_%s", t->subsys, t->place);
    for (char *p = variable; *p; p++)
        if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - 'a' + 'A');
    (void)snprintf(e->text + n, sizeof(e->text) - n, " (check that it runs, and %s%s%.*s)", variable,
                   unnamed ? "" : "_", unnamed ? 0 : (int)id.n, id.p);
}

void target_envelope(struct buf *b, const struct event_ref *ev)
{
    payload_envelope(b, ev, KEY_MINIO);
}
