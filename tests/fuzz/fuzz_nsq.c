/* SPDX-License-Identifier: Apache-2.0
 *
 * What an nsqd says: frames are within what came, and whatever it says can be shown on one line. */
#include "fuzz.h"

#include "target/nsq.h"

static void judge(struct str error)
{
    const struct nsq_names names = {"host:4150", "x", "t"};
    struct nsq_features f;
    uint64_t limit;
    char why[SEND_WHY];
    nsq_explain(&names, error, why, sizeof(why));
    size_t len = strnlen(why, sizeof(why));
    CHECK(len > 0 && len < sizeof(why));
    for (size_t i = 0; i < len; i++)
        CHECK((unsigned char)why[i] >= ' ' && why[i] != 0x7f);
    (void)nsq_judge(error, &limit);
    (void)nsq_read_features(error, &f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    struct target_address a;
    struct nsq_frame f;
    struct err e;
    (void)nsq_topic_ok(in);
    if (nsq_parse_address(in, &a, &e))
        CHECK(a.host[0] && a.port[0]);
    judge(in);
    for (size_t before = in.n; nsq_take_frame(&in, &f) == NSQ_WHOLE; before = in.n) {
        CHECK(in.n + 8 + f.data.n == before && f.data.n <= NSQ_FRAME_MAX);
        judge(f.data);
    }
    return 0;
}
