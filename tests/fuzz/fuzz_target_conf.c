/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: addresses, subjects, keys and sizes in the settings of targets: what is taken fits where it is kept. */
#include "config/config.h"
#include "fuzz.h"
#include "target/nats.h"
#include "target/redis.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    struct target_address at;
    struct err e;
    int64_t n;
    if (redis_parse_address(in, &at, &e))
        CHECK(strlen(at.host) > 0 && strlen(at.port) > 0 && strlen(at.shown) > strlen(at.host));
    char key[NATS_KEY_MAX], why[SEND_WHY];
    if (nats_parse_address(in, &at, &e))
        CHECK(strlen(at.host) > 0 && strlen(at.port) > 0 && strlen(at.shown) > strlen(at.host));
    if (nats_subject_ok(in, &e))
        CHECK(in.n > 0 && str_chr(in, ' ') < 0 && in.p[0] != '.');
    if (nats_public_key(in, key, "nkey_seed", &e))
        CHECK(strlen(key) == NATS_KEY_MAX - 1 && key[0] == 'U');
    const struct nats_names names = {"h:4222", "x", "events"};
    nats_explain(&names, in, why, sizeof(why));
    CHECK(strlen(why) < sizeof(why));
    if (config_parse_size(in, &n))
        CHECK(n >= -1);
    return 0;
}
