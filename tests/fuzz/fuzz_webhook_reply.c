/* SPDX-License-Identifier: Apache-2.0
 *
 * What a webhook's receiver says: Retry-After, a place to go to; and the settings around it: durations, URLs, tokens. */
#include "fuzz.h"

#include "target/webhook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size), rest = in, first;
    struct buf b;
    char why[SEND_WHY];
    int64_t ms;
    int64_t wait = webhook_retry_after(in, 1769941230);
    CHECK(wait >= 0 && wait <= 86400000);
    if (config_parse_duration(in, &ms))
        CHECK(ms >= 0);
    (void)webhook_is_loopback(in);
    (void)str_cut(&rest, '\n', &first);
    CHECK(webhook_same_origin(first, rest) == webhook_same_origin(rest, first));
    buf_init(&b, size * 2 + 100);
    webhook_shown(in, &b);
    CHECK(!b.failed && (!config_is_url(in) || str_chr(buf_view(&b), '?') < 0));
    buf_reset(&b);
    (void)webhook_authorization(in, &b);
    CHECK(!b.failed);
    (void)webhook_outcome(302, "http://h", in, "_", why, sizeof(why));
    buf_release(&b);
    return 0;
}
