/* SPDX-License-Identifier: Apache-2.0
 *
 * The ends of tables. */
#include "kv/table.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/encode.h"

/* Checksum type, places of two blocks, zeros; version, magic. */
enum { HANDLES = 1, VERSION = 41, MAGIC = 45 };
enum { OLDEST_VERSION = 1, NEWEST_VERSION = 5, LAST_CHECKSUM = 4, BLOCK_TRAILER = 5 };
#define MAGIC_NUMBER 0x88e241b785f4cff7ULL

static uint64_t le(const char *p, int bytes)
{
    uint64_t n = 0;
    while (bytes-- > 0)
        n = n << 8 | (uint8_t)p[bytes];
    return n;
}

/* A block lies before the footer. */
static bool take_place(struct str *in, uint64_t room)
{
    uint64_t at, n;
    return take_varint(in, &at) && take_varint(in, &n) && at <= room && n <= room - at &&
           room - at - n >= BLOCK_TRAILER;
}

bool table_footer(struct str footer, uint64_t file_size)
{
    if (footer.n != TABLE_FOOTER || file_size < TABLE_FOOTER)
        return false;
    struct str handles = str_n(footer.p + HANDLES, VERSION - HANDLES);
    uint64_t version = le(footer.p + VERSION, 4);
    return le(footer.p + MAGIC, 8) == MAGIC_NUMBER && version >= OLDEST_VERSION &&
           version <= NEWEST_VERSION && (uint8_t)footer.p[0] <= LAST_CHECKSUM &&
           take_place(&handles, file_size - TABLE_FOOTER) && take_place(&handles, file_size - TABLE_FOOTER);
}

static bool ends_well(int dir, const char *name, uint64_t *offset)
{
    char footer[TABLE_FOOTER];
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    bool known = fd >= 0 && fstat(fd, &st) == 0, ok = true;
    if (known) {
        off_t at = st.st_size < TABLE_FOOTER ? 0 : st.st_size - TABLE_FOOTER;
        ssize_t n = pread(fd, footer, sizeof footer, at);
        ok = n >= 0 && table_footer(str_n(footer, (size_t)n), (uint64_t)st.st_size);
        *offset = (uint64_t)at;
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

bool table_find_bad(const char *dir, struct wal_damage *out)
{
    DIR *d = opendir(dir);
    bool found = false;
    for (struct dirent *entry; d && !found && (entry = readdir(d));) {
        if (!str_ends(str_c(entry->d_name), STR(".sst")) || ends_well(dirfd(d), entry->d_name, &out->offset))
            continue;
        found = true;
        (void)snprintf(out->file, sizeof out->file, "%s", entry->d_name);
    }
    if (d)
        closedir(d);
    return found;
}
