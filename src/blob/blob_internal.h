/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of blob/ share. */
#ifndef BELFRY_BLOB_BLOB_INTERNAL_H
#define BELFRY_BLOB_BLOB_INTERNAL_H

#include <stdatomic.h>
#include <sys/types.h>

#include "base/thread.h"
#include "blob/blob.h"

#define BLOB_FOLDERS 256
#define BLOB_NAME    20 /* "ab/00000000000123ab" and NUL */
#define PIN_HEADS    256

struct pin {
    struct pin *next;
    uint64_t id;
    unsigned count;
    bool removing; /* blob_remove is unlinking it right now; count is 0 */
};

struct blobs {
    atomic_ullong damaged; /* reads */
    int root;
    char *dir;
    struct mutex mutex; /* RANK_PINS: what follows */
    struct cond removed;
    struct pin *pins[PIN_HEADS];
    bool touched[BLOB_FOLDERS]; /* a file was removed, folder not synced since */
    char why[256];              /* set before `failed` */
    atomic_bool failed;
};

struct blob_reader {
    struct blobs *blobs;
    uint64_t id, size, blocks;
    int fd;
    uint64_t ok_from, ok_to; /* blocks [from, to) were verified by the last calls */
    uint64_t part_first;     /* the piece of the table in memory: entries [first, first + n) */
    size_t part_n;
    uint8_t *part;
    uint8_t *scratch; /* one block */
};

/* Why the calling thread's last blob call failed. */
enum blob_why { BLOB_WHY_OTHER, BLOB_WHY_FULL, BLOB_WHY_DAMAGE };
void blob_set_why(enum blob_why why);
/* "ab/00000000000123ab" */
void blob_name(uint64_t id, char out[BLOB_NAME]);
/* Remembers for blob_err_is_full whether errno means 'no space'. Sets err with errno's text; returns false.
 */
bool blob_error(struct blobs *b, uint64_t id, const char *what, struct err *e);
/* The same for a sync, after which nothing is certain: the folder refuses writes from now on. */
bool blob_sync_error(struct blobs *b, uint64_t id, const char *what, struct err *e);
bool blob_sync_folder(struct blobs *b, unsigned folder, struct err *e);
/* Writes all of it at the file's position; false with errno. */
bool blob_write_all(int fd, const void *p, size_t n);
/* Reads all of it; false with errno (EIO at an early end). */
bool blob_read_all(int fd, void *p, size_t n, uint64_t off);
/* The checksum that the table names for a block. */
bool blob_table_get(struct blob_reader *r, uint64_t block, uint32_t *crc, struct err *e);

static inline uint64_t blob_block_length(const struct blob_reader *r, uint64_t block)
{
    uint64_t left = r->size - block * BLOB_BLOCK;
    return left < BLOB_BLOCK ? left : BLOB_BLOCK;
}
static inline void le32_put(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline void le64_put(uint8_t *p, uint64_t v)
{
    le32_put(p, (uint32_t)v);
    le32_put(p + 4, (uint32_t)(v >> 32));
}
static inline uint32_t le32_get(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t le64_get(const uint8_t *p)
{
    return le32_get(p) | (uint64_t)le32_get(p + 4) << 32;
}

#define BLOB_MAGIC   "BELFBLOB"
#define BLOB_VERSION 1

#endif
