/* SPDX-License-Identifier: Apache-2.0
 *
 * What a Redis says, through hiredis' reader: never more is confirmed than was asked for, and whatever it says can be shown
 * on one line. And the address in the settings. */
#include "fuzz.h"

#include <hiredis.h>

#include "target/redis.h"

static void one_line(const char *text, size_t n)
{
    size_t len = strnlen(text, n);
    CHECK(len > 0 && len < n);
    for (size_t i = 0; i < len; i++)
        CHECK((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
}

static void judge(const redisReply *reply)
{
    char why[SEND_WHY];
    for (int format = FORMAT_NAMESPACE; format <= FORMAT_ACCESS; format++) {
        const struct redis_names names = {"host:6379", "x", "key", (enum plan_format)format};
        if (redis_confirmed(&names, reply, 3, why, sizeof(why)))
            CHECK(reply->type == REDIS_REPLY_INTEGER && reply->integer >= (format == FORMAT_ACCESS ? 3 : 0));
        else
            one_line(why, sizeof(why));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct redis_names names = {"host:6379", "_", "key", FORMAT_ACCESS};
    struct str in = str_n(data, size);
    struct target_address address;
    struct err e;
    char why[SEND_WHY];
    redis_explain(&names, in, why, sizeof(why));
    one_line(why, sizeof(why));
    redis_explain_type(&names, in, why, sizeof(why));
    one_line(why, sizeof(why));
    if (redis_parse_address(in, &address, &e))
        CHECK(address.host[0] && address.port[0]);
    redisReader *reader = redisReaderCreate();
    reader->maxelements = 16; /* as redis_open.c does */
    for (size_t at = 0; at < size; at += 7) {
        void *reply = NULL;
        (void)redisReaderFeed(reader, in.p + at, size - at < 7 ? size - at : 7);
        while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
            judge(reply);
            freeReplyObject(reply);
            reply = NULL;
        }
    }
    redisReaderFree(reader);
    return 0;
}
