/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: tokens for metrics. Nothing but the one below is signed with this secret. */
#include "admin/token.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    CHECK(!token_ok(in, STR("itestroot"), STR("a secret that no input is signed with"), 1));
    (void)token_ok(in, STR("itestroot"), STR("itest-secret-1"), 1);
    return 0;
}
