/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings for the tests of kafka. */
#ifndef BELFRY_TESTS_KAFKA_CONF_H
#define BELFRY_TESTS_KAFKA_CONF_H

#include "target/kafka_impl.h"

static inline void kafka_conf_fill(struct kafka_conf *c)
{
    static char none[] = "", topic[] = "t", brokers[] = "127.0.0.1:1";
    *c = (struct kafka_conf){.topic = topic,
                             .brokers = brokers,
                             .sasl_username = none,
                             .sasl_password = none,
                             .client_tls_cert = none,
                             .client_tls_key = none,
                             .version = none,
                             .compression_codec = none};
}

#endif
