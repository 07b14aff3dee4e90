/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of logs. */
#include "kv/wal.h"

uint64_t wal_number(const char *file)
{
    struct str name = str_c(file);
    uint64_t n = 0;
    if (!str_ends(name, STR(".log")) || !str_to_u64(str_head(name, name.n - 4), &n))
        return 0;
    return n;
}
