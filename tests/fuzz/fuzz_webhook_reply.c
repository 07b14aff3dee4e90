/* SPDX-License-Identifier: Apache-2.0
 *
 * What a webhook's receiver says: Retry-After, a place to go to; and the settings around it: durations, URLs, tokens. */
#include "fuzz.h"

#include "target/http.h"
#include "target/webhook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size), rest = in, first;
    struct buf b;
    char why[SEND_WHY];
    int64_t ms;
    int64_t wait = http_retry_after(in, 1769941230);
    CHECK(wait >= 0 && wait <= 86400000);
    if (config_parse_duration(in, &ms))
        CHECK(ms >= 0);
    (void)http_is_loopback(in);
    (void)str_cut(&rest, '\n', &first);
    CHECK(http_same_origin(first, rest) == http_same_origin(rest, first));
    buf_init(&b, size * 2 + 100);
    http_shown(in, &b);
    CHECK(!b.failed && (!config_is_url(in) || str_chr(buf_view(&b), '?') < 0));
    buf_reset(&b);
    (void)webhook_authorization(in, &b);
    CHECK(!b.failed);
    static const long statuses[] = {200, 302, 400, 401, 404, 407, 429, 500};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        (void)webhook_outcome(statuses[i], "http://h", in, "_", why, sizeof(why));
    buf_release(&b);
    return 0;
}
