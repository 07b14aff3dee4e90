/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP replies: however the bytes are cut, the reply ends at the same place and says the same. */
#include "fuzz.h"

#include "target/http_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_reply whole, cut;
    struct str all = str_n(data, size), rest = all;
    enum http_fed a, b = HTTP_FED_MORE;
    http_reply_init(&whole);
    http_reply_init(&cut);
    a = http_reply_feed(&whole, &all, 1769941230);
    for (size_t step = size > 0 ? 1 + data[0] % 7 : 1; rest.n > 0 && b == HTTP_FED_MORE;) {
        struct str piece = str_head(rest, step);
        size_t n = piece.n;
        b = http_reply_feed(&cut, &piece, 1769941230);
        CHECK(b != HTTP_FED_MORE || piece.n == 0);
        rest = str_from(rest, n - piece.n);
    }
    CHECK(a == b);
    if (a == HTTP_FED_DONE)
        CHECK(all.n == rest.n && whole.status == cut.status && whole.last == cut.last &&
              whole.status >= 200 && str_eq(buf_view(&whole.location), buf_view(&cut.location)));
    if (a == HTTP_FED_MORE)
        CHECK(http_reply_ended(&whole) == http_reply_ended(&cut));
    http_reply_release(&whole);
    http_reply_release(&cut);
    return 0;
}
