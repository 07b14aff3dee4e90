/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: the list of brokers and the version in the settings of a kafka target, and what the library says of a connection,
 * which may quote what a broker sent. First byte: which of them; of the last, two more for the code. */
#include "fuzz.h"
#include "target/kafka.h"

static void brokers(struct str in)
{
    static struct kafka_brokers b;
    struct err e = {0};
    if (!kafka_parse_brokers(in, &b, &e)) {
        CHECK(e.text[0]);
        return;
    }
    CHECK(b.n > 0 && b.n <= KAFKA_BROKERS_MAX);
    for (unsigned i = 0; i < b.n; i++)
        CHECK(strlen(b.v[i].host) > 0 && strlen(b.v[i].port) > 0 &&
              strlen(b.v[i].shown) > strlen(b.v[i].host) && !strchr(b.v[i].shown, ','));
}

static void explain(struct str in, bool tls)
{
    struct kafka_names names = {.shown = "h:9092", .id = "x", .topic = "t", .tls = tls};
    char why[240] = "";
    if (in.n < 2)
        return;
    int code = (signed char)in.p[0] * 2 + (in.p[1] & 1);
    kafka_explain(&names, code, str_from(in, 2), why, sizeof(why));
    CHECK(why[0] && strlen(why) < sizeof(why));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kafka_version v;
    if (size == 0)
        return 0;
    struct str in = str_n(data + 1, size - 1);
    if (data[0] % 4 == 0)
        brokers(in);
    else if (data[0] % 4 == 1)
        (void)(kafka_parse_version(in, &v) && kafka_codec(in));
    else
        explain(in, data[0] % 4 == 2);
    return 0;
}
