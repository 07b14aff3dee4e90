/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies straight out of RocksDB's blob files: where the MANIFEST is lost, nothing else leads to them. A file: a header of 30
 * bytes, then records of lengths of key and value and an expiration (8 bytes each, little-endian), the masked CRC-32C of those
 * 24 bytes, that of key and value, key, value; at the end a footer, which is no such record. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "kv/rescue.h"

#define FILE_HEADER   30
#define RECORD_HEADER 32
#define FILE_MAX      ((off_t)1 << 30) /* the committer's are of 64 MiB and a body */

static uint64_t le(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static uint32_t masked(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* The record at `at`; its length, or 0 when none stands there. */
static size_t record_at(struct str file, size_t at, struct str *key, struct str *value)
{
    const uint8_t *p = (const uint8_t *)file.p + at;
    if (file.n - at < RECORD_HEADER || masked(hash_crc32c(0, p, 24)) != le(p + 24, 4))
        return 0;
    uint64_t key_n = le(p, 8), value_n = le(p + 8, 8), room = file.n - at - RECORD_HEADER;
    if (key_n > room || value_n > room - key_n)
        return 0;
    *key = str_n(file.p + at + RECORD_HEADER, (size_t)key_n);
    *value = str_n(key->p + key_n, (size_t)value_n);
    if (masked(hash_crc32c(0, key->p, (size_t)(key_n + value_n))) != le(p + 28, 4))
        *value = (struct str){0}; /* this one is damaged, the next begins where it should */
    return (size_t)(RECORD_HEADER + key_n + value_n);
}

void kv_rescue_bodies_in(struct str file, bool found,
                         void (*each)(void *ctx, struct str key, struct str value), void *ctx)
{
    struct str key, value;
    bool searching = false;
    for (size_t at = FILE_HEADER, step; at < file.n && (found || !searching); at += step) {
        step = record_at(file, at, &key, &value);
        if (step && value.p && found == searching)
            each(ctx, key, value);
        searching |= step == 0;
        step = step ? step : 1;
    }
}

static void read_file(int dir, const char *name, bool found,
                      void (*each)(void *ctx, struct str key, struct str value), void *ctx)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size > FILE_HEADER && st.st_size < FILE_MAX) {
        char *bytes = x_malloc((size_t)st.st_size);
        ssize_t n = pread(fd, bytes, (size_t)st.st_size, 0);
        kv_rescue_bodies_in(str_n(bytes, n < 0 ? 0 : (size_t)n), found, each, ctx);
        free(bytes);
    }
    close(fd);
}

void kv_rescue_bodies(const struct kv_rescue *r, void (*each)(void *ctx, struct str key, struct str value),
                      void *ctx)
{
    for (int found = 1; found >= 0; found--) {
        DIR *d = opendir(r->dir);
        for (struct dirent *entry; d && (entry = readdir(d));)
            if (str_ends(str_c(entry->d_name), STR(".blob")))
                read_file(dirfd(d), entry->d_name, found, each, ctx);
        if (d)
            closedir(d);
    }
}
