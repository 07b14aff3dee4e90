/* SPDX-License-Identifier: Apache-2.0
 *
 * What is damaged, for who wants to save what is left: tail.h has what tells it from what a crash leaves. */
#include "kv/wal.h"

#include "kv/tail.h"

bool wal_find_damage(const char *dir, struct wal_damage *out)
{
    struct tail_ends ends;
    struct err ignored;
    bool found = tail_look(dir, &ends, &ignored) && ends.log.state == TAIL_DAMAGED;
    if (found)
        *out = ends.log.at;
    return found;
}

bool wal_file_damaged(const char *dir, const char *file, uint64_t *offset)
{
    struct tail_ends ends;
    struct err ignored;
    bool found = tail_look(dir, &ends, &ignored) && ends.manifest.state == TAIL_DAMAGED &&
                 strcmp(ends.manifest.at.file, file) == 0;
    if (found)
        *offset = ends.manifest.at.offset;
    return found;
}
