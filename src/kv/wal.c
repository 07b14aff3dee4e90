/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks over write-ahead logs to find their first damage. */
#include "kv/wal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "kv/wal_record.h"

enum { HEADER = 7, TYPE_LAST = 4 };

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* RocksDB stores checksums rotated and shifted, so that a checksum over data with checksums in it stays good. */
static uint32_t masked(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

bool wal_block_sound(struct str block, size_t *bad)
{
    const uint8_t *p = (const uint8_t *)block.p;
    size_t at = 0;
    while (block.n - at >= HEADER) {
        uint32_t crc = le32(p + at);
        size_t length = (size_t)p[at + 4] | (size_t)p[at + 5] << 8;
        unsigned type = p[at + 6];
        if (type == 0 && length == 0)
            return true; /* space that was set aside and not used */
        if (at + HEADER + length > block.n) {
            *bad = at;
            /* Torn, when the file ends here; but a length of which one bit is wrong looks so, too. */
            size_t bit;
            return block.n < WAL_BLOCK && !wal_wrong_bit(block, at, &bit);
        }
        if (type > TYPE_LAST || masked(hash_crc32c(0, p + at + 6, length + 1)) != crc) {
            *bad = at;
            return false;
        }
        at += HEADER + length;
    }
    return true;
}

static bool find_in_file(int dir, struct wal_damage *out)
{
    int fd = openat(dir, out->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool found = false;
    char *block = x_malloc(WAL_BLOCK);
    off_t at = 0;
    for (ssize_t n; !found && (n = pread(fd, block, WAL_BLOCK, at)) > 0; at += n) {
        size_t bad;
        found = !wal_block_sound(str_n(block, (size_t)n), &bad);
        if (found)
            out->offset = (uint64_t)at + bad;
    }
    free(block);
    close(fd);
    return found;
}

static int is_log(const struct dirent *d)
{
    struct str name = str_c(d->d_name);
    return str_ends(name, STR(".log")) && name.n < sizeof(((struct wal_damage *)0)->file);
}

bool wal_find_damage(const char *dir, struct wal_damage *out)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct dirent **logs = NULL;
    int n = scandir(dir, &logs, is_log, alphasort); /* their numbers have leading zeros */
    bool found = false;
    for (int i = 0; i < n; i++) {
        if (!found) {
            snprintf(out->file, sizeof(out->file), "%s", logs[i]->d_name);
            found = find_in_file(fd, out);
        }
        free(logs[i]);
    }
    free(logs);
    close(fd);
    return found;
}

bool wal_file_damaged(const char *dir, const char *file, uint64_t *offset)
{
    struct wal_damage d = {0};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    snprintf(d.file, sizeof(d.file), "%s", file);
    bool found = find_in_file(fd, &d);
    *offset = d.offset;
    close(fd);
    return found;
}
