/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: aws-chunked bodies. First byte: form and size of the pieces; whole and in pieces must agree. */
#include "auth/chunked.h"
#include "fuzz.h"

static void collect(void *ctx, struct str data)
{
    buf_str(ctx, data);
}

static enum chunked_result decode(const struct auth_payload *p, struct str in, size_t piece, struct buf *out)
{
    enum chunked_result r = CHUNKED_MORE;
    struct chunked *c = chunked_new(p);
    while (in.n) {
        r = chunked_feed(c, str_head(in, piece), collect, out);
        in = str_from(in, piece);
    }
    if (r == CHUNKED_DONE)
        CHECK(out->len == p->decoded_length);
    CHECK(out->len <= p->decoded_length);
    chunked_free(c);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    static const enum auth_payload_mode modes[] = {
        PAYLOAD_STREAMING_UNSIGNED_TRAILER, PAYLOAD_STREAMING_SIGNED, PAYLOAD_STREAMING_UNSIGNED_TRAILER,
        PAYLOAD_STREAMING_SIGNED_TRAILER};
    struct auth_payload p = {.mode = modes[data[0] & 3],
                             .decoded_length = data[1],
                             .scope = STR("20130524/us-east-1/s3/aws4_request"),
                             .trailer_names = STR("x-amz-checksum-crc32, x-a")};
    struct str in = str_n(data + 2, size - 2);
    struct buf whole, pieces;
    buf_init(&whole, 1 << 16);
    buf_init(&pieces, 1 << 16);
    enum chunked_result r = decode(&p, in, in.n, &whole);
    CHECK(r == decode(&p, in, (data[0] >> 1) + 1u, &pieces));
    CHECK(str_eq(buf_view(&whole), buf_view(&pieces)));
    buf_release(&whole);
    buf_release(&pieces);
    return 0;
}
