/* SPDX-License-Identifier: Apache-2.0
 *
 * What every fuzz target shares: libFuzzer's entry point, and a check that stays on in every build. */
#ifndef BELFRY_TESTS_FUZZ_H
#define BELFRY_TESTS_FUZZ_H

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond) \
    do { \
        if (!(cond)) \
            abort(); \
    } while (0)

#endif
