/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a blob: every byte that leaves here belongs to a block whose checksum was right. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "blob/blob_internal.h"

#define TABLE_PART 1024u /* entries held at a time: 4 KiB for 64 MiB of data */
#define READ_STEP  16u   /* blocks per read of whole blocks */

uint64_t blobs_damaged(struct blobs *b)
{
    return atomic_load(&b->damaged);
}

void blobs_count_damage(struct blobs *b)
{
    atomic_fetch_add(&b->damaged, 1);
}

static bool damaged(const struct blob_reader *r, const char *what, struct err *e)
{
    char name[BLOB_NAME];

    atomic_fetch_add(&r->blobs->damaged, 1);
    blob_name(r->id, name);
    blob_set_why(BLOB_WHY_DAMAGE);
    return err_set(e, "%s/%s is damaged: %s", r->blobs->dir, name, what);
}

/* An error of the disk: what is there cannot be had. */
static bool unreadable(const struct blob_reader *r, struct err *e)
{
    atomic_fetch_add(&r->blobs->damaged, 1);
    blob_error(r->blobs, r->id, "cannot read", e);
    blob_set_why(BLOB_WHY_DAMAGE);
    return false;
}

static bool read_footer(struct blob_reader *r, struct err *e)
{
    struct stat st;
    uint8_t f[BLOB_FOOTER];

    if (fstat(r->fd, &st) != 0)
        return unreadable(r, e);
    if (st.st_size < (off_t)sizeof f)
        return damaged(r, "too short for a footer", e);
    uint64_t size = (uint64_t)st.st_size;
    if (!blob_read_all(r->fd, f, sizeof f, size - sizeof f))
        return unreadable(r, e);
    if (memcmp(f, BLOB_MAGIC, 8) != 0 || le32_get(f + 36) != hash_crc32c(0, f, 36))
        return damaged(r, "the footer's checksum is wrong", e);
    if (le32_get(f + 8) != BLOB_VERSION || le32_get(f + 12) != BLOB_BLOCK)
        return damaged(r, "written by another version of this program", e);
#ifndef BELFRY_MUTATE_NO_BLOB_ID_CHECK
    if (le64_get(f + 24) != r->id)
        return damaged(r, "the footer names another blob", e);
#endif
    r->size = le64_get(f + 16);
    if (r->size > size)
        return damaged(r, "shorter than its footer says", e);
    r->blocks = (r->size + BLOB_BLOCK - 1) / BLOB_BLOCK;
    if (r->size + 4 * r->blocks + sizeof f != size)
        return damaged(r, "its length is not what its footer says", e);
    return true;
}

enum blob_result blob_open(struct blobs *b, uint64_t id, struct blob_reader **out, struct err *e)
{
    char name[BLOB_NAME];

    *out = NULL;
    blob_name(id, name);
    int fd = openat(b->root, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        bool missing = errno == ENOENT;
        blob_error(b, id, "cannot open", e);
        return missing ? BLOB_MISSING : BLOB_DAMAGED;
    }
    struct blob_reader *r = x_calloc(1, sizeof *r);
    *r = (struct blob_reader){.blobs = b, .id = id, .fd = fd};
    if (!read_footer(r, e)) {
        blob_close(r);
        return BLOB_DAMAGED;
    }
    *out = r;
    return BLOB_OK;
}

void blob_close(struct blob_reader *r)
{
    if (!r)
        return;
    close(r->fd);
    free(r->part);
    free(r->scratch);
    free(r);
}

uint64_t blob_size(const struct blob_reader *r)
{
    return r->size;
}

int blob_fd(const struct blob_reader *r)
{
    return r->fd;
}

bool blob_table_get(struct blob_reader *r, uint64_t block, uint32_t *crc, struct err *e)
{
    if (block < r->part_first || block >= r->part_first + r->part_n) {
        uint64_t first = block - block % TABLE_PART;
        uint64_t n = r->blocks - first < TABLE_PART ? r->blocks - first : TABLE_PART;
        if (!r->part)
            r->part = x_malloc((r->blocks < TABLE_PART ? r->blocks : TABLE_PART) * 4);
        r->part_n = 0;
        if (!blob_read_all(r->fd, r->part, (size_t)n * 4, r->size + 4 * first))
            return unreadable(r, e);
        r->part_first = first;
        r->part_n = (size_t)n;
    }
    *crc = le32_get(r->part + 4 * (block - r->part_first));
    return true;
}

static bool check_block(struct blob_reader *r, uint64_t block, const void *p, struct err *e)
{
    uint32_t want, crc = hash_crc32c(0, p, (size_t)blob_block_length(r, block));
    char what[96];

    if (!blob_table_get(r, block, &want, e))
        return false;
#ifndef BELFRY_MUTATE_NO_BLOCK_CHECK
    if (crc == want)
#endif
        return true;
    snprintf(what, sizeof what, "block %llu of %llu has CRC-32C %08x instead of %08x",
             (unsigned long long)block, (unsigned long long)r->blocks, crc, want);
    return damaged(r, what, e);
}

static bool load_block(struct blob_reader *r, uint64_t block, struct err *e)
{
    if (!r->scratch)
        r->scratch = x_malloc(BLOB_BLOCK);
    if (!blob_read_all(r->fd, r->scratch, (size_t)blob_block_length(r, block), block * BLOB_BLOCK))
        return unreadable(r, e);
    return check_block(r, block, r->scratch, e);
}

/* Whole blocks from `block` on straight into the caller's memory: how many bytes, 0 when none fits into n or
 * on failure. */
static size_t read_whole(struct blob_reader *r, uint64_t block, char *buf, size_t n, struct err *e)
{
    size_t bytes = 0;
    uint64_t count = 0;

    while (count < READ_STEP && block + count < r->blocks && blob_block_length(r, block + count) <= n - bytes)
        bytes += (size_t)blob_block_length(r, block + count++);
    if (!blob_read_all(r->fd, buf, bytes, block * BLOB_BLOCK)) {
        unreadable(r, e);
        return 0;
    }
    for (uint64_t i = 0; i < count; i++)
        if (!check_block(r, block + i, buf + i * BLOB_BLOCK, e))
            return 0;
    return bytes;
}

static bool range_ok(const struct blob_reader *r, uint64_t off, uint64_t n, struct err *e)
{
    if (off > r->size || n > r->size - off)
        return damaged(r, "shorter than the row that names it says", e);
    return true;
}

bool blob_read(struct blob_reader *r, uint64_t off, void *buf, size_t n, struct err *e)
{
    char *to = buf;

    if (!range_ok(r, off, n, e))
        return false;
    while (n) {
        uint64_t block = off / BLOB_BLOCK;
        size_t skip = (size_t)(off % BLOB_BLOCK), take;
        if (skip == 0 && blob_block_length(r, block) <= n) {
            take = read_whole(r, block, to, n, e);
            if (!take)
                return false;
        } else {
            if (!load_block(r, block, e))
                return false;
            take = (size_t)blob_block_length(r, block) - skip;
            if (take > n)
                take = n;
            memcpy(to, r->scratch + skip, take);
        }
        to += take;
        off += take;
        n -= take;
    }
    return true;
}

bool blob_verify(struct blob_reader *r, uint64_t off, uint64_t n, struct err *e)
{
    if (!range_ok(r, off, n, e))
        return false;
    if (n == 0)
        return true;
    for (uint64_t block = off / BLOB_BLOCK; block <= (off + n - 1) / BLOB_BLOCK; block++) {
        if (block >= r->ok_from && block < r->ok_to)
            continue;
        if (!load_block(r, block, e))
            return false;
        if (block != r->ok_to)
            r->ok_from = block;
        r->ok_to = block + 1;
    }
    return true;
}
