/* SPDX-License-Identifier: Apache-2.0
 *
 * Of each kind of target: an instance that sends to its receiver, and what has to become of what that answers. */
#ifndef BELFRY_TESTS_TARGET_RIGS_H
#define BELFRY_TESTS_TARGET_RIGS_H

#include "target_help.h"

/* target_rigs_brokers.c */
struct instance amqp_at(const struct receiver *r);
void amqp_cases_run(struct instance *in);
struct instance mqtt_at(const struct receiver *r);
void mqtt_cases_run(struct instance *in);
struct instance nsq_at(const struct receiver *r);
void nsq_cases_run(struct instance *in);
struct instance kafka_at(const struct receiver *r);
void kafka_cases_run(struct instance *in);
struct instance nats_at(const struct receiver *r);
void nats_cases_run(struct instance *in);

/* target_rigs_stores.c */
struct instance redis_at(const struct receiver *r);
void redis_cases_run(struct instance *in);
struct instance postgres_at(const struct receiver *r);
void postgres_cases_run(struct instance *in);
struct instance mysql_at(const struct receiver *r);
void mysql_cases_run(struct instance *in);

/* target_rigs_http.c */
struct instance webhook_at(const struct receiver *r);
void webhook_cases_run(struct instance *in);
struct instance elastic_at(const struct receiver *r);
void elastic_cases_run(struct instance *in);

/* one command for all of them: none is confirmed unless all are */
#define TOGETHER(key, result, why) \
    { \
        {"ok-1", result, why}, {key, result, why}, \
        { \
            "ok-2", result, why \
        } \
    }

#endif
