/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: the end of a table. Input: the size of the file (8 bytes, little-endian), the footer. */
#include "fuzz.h"
#include "kv/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t file_size = 0;
    for (size_t i = 0; i < 8 && i < size; i++)
        file_size |= (uint64_t)data[i] << (8 * i);
    struct str footer = size < 8 ? (struct str){0} : str_n(data + 8, size - 8);
    if (table_footer(footer, file_size)) {
        CHECK(footer.n == TABLE_FOOTER && file_size >= TABLE_FOOTER);
        CHECK(!table_footer(footer, TABLE_FOOTER - 1));
        CHECK(!table_footer(str_head(footer, TABLE_FOOTER - 1), file_size));
        CHECK(table_footer(footer, UINT64_MAX)); /* what fits into a file fits into a larger one */
    }
    return 0;
}
