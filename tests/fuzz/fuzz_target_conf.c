/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: addresses and sizes in the settings of targets: what is taken fits where it is kept. */
#include "config/config.h"
#include "fuzz.h"
#include "target/redis.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    struct redis_address at;
    struct err e;
    int64_t n;
    if (redis_parse_address(in, &at, &e))
        CHECK(strlen(at.host) > 0 && strlen(at.port) > 0 && strlen(at.shown) > strlen(at.host));
    if (config_parse_size(in, &n))
        CHECK(n >= -1);
    return 0;
}
