/* SPDX-License-Identifier: Apache-2.0
 *
 * What a NATS server says: operations are within what came, and what JetStream and NATS Streaming answer is read. */
#include "fuzz.h"

#include "target/nats.h"

static bool within(struct str all, struct str part)
{
    return part.n == 0 || (part.p >= all.p && part.p + part.n <= all.p + all.n);
}

static void read_body(struct str status, struct str body)
{
    const struct nats_names names = {"host:4222", "x", "events"};
    struct stan_session s;
    struct str guid, error;
    char why[SEND_WHY] = "";
    if (nats_judge_ack(&names, status, body, why, sizeof(why)) == SEND_OK)
        CHECK(status.n == 0 && body.n > 0 && !why[0]);
    else
        CHECK(why[0] && strnlen(why, sizeof(why)) < sizeof(why));
    if (stan_read_connect(body, &s, &error) && error.n == 0)
        CHECK(s.publish[0] && strlen(s.publish) < sizeof(s.publish));
    if (stan_read_ack(body, &guid, &error))
        CHECK(guid.n > 0 && within(body, guid) && within(body, error));
    if (stan_read_pong(body, &error))
        CHECK(within(body, error));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size), all = in;
    struct nats_op op;
    struct nats_info info;
    (void)nats_read_info(in, &info);
    CHECK(within(all, nats_find_jwt(in)));
    read_body((struct str){0}, in);
    for (size_t before = in.n; nats_take_op(&in, &op) == NATS_WHOLE; before = in.n) {
        CHECK(in.n < before && op.body.n <= NATS_LINE_MAX);
        CHECK(within(all, op.subject) && within(all, op.reply) && within(all, op.status) &&
              within(all, op.body));
        if (op.kind == NATS_MSG)
            read_body(op.status, op.body);
        else if (op.kind == NATS_INFO)
            (void)nats_read_info(op.text, &info);
    }
    return 0;
}
