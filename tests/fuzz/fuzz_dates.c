/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: the forms of dates: what is read is written and read again as the same time. */
#include "base/clock.h"
#include "fuzz.h"

#define NS INT64_C(1000000000)

static int64_t fixed_now(void)
{
    return INT64_C(1769941230) * NS;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    char text[CLOCK_HTTP_LEN];
    int64_t s, again;
    clock_real_ns = fixed_now;
    if (clock_parse_http(in, &s) && s > 0 && s < INT64_C(4102444800)) {
        clock_http(s * NS, text);
        CHECK(clock_parse_http(str_n(text, CLOCK_HTTP_LEN), &again) && again == s);
    }
    if (clock_parse_amz(in, &s) && s > 0 && s < INT64_C(4102444800)) {
        clock_amz(s * NS, text);
        CHECK(clock_parse_amz(str_n(text, CLOCK_AMZ_LEN), &again) && again == s);
    }
    if (clock_parse_iso(in, &s) && s > 0) {
        clock_iso_ms(s, text);
        CHECK(clock_parse_iso(str_n(text, CLOCK_ISO_MS_LEN), &again) && again == s - s % 1000000);
    }
    return 0;
}
