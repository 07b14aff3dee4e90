/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a blob: blocks are gathered so that the file sees whole blocks only, their checksums go behind the
 * data, and blob_finish makes file and name durable. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crash.h"
#include "base/hash.h"
#include "blob/blob_internal.h"

#define BLOB_TABLE_MAX (256u << 20) /* 4 TiB of data */
#define BLOB_WRITEBACK \
    ((uint64_t)8 << 20) /* dirty bytes after which the kernel is asked to begin writing   \
                                            */
#define BLOB_COPY_STEP ((uint64_t)128 * BLOB_BLOCK)

struct blob_writer {
    struct blobs *blobs;
    uint64_t id;
    int fd;           /* -1: closed, all of it is in the file */
    uint64_t length;  /* bytes of data taken so far */
    uint64_t started; /* up to here writeback was begun */
    uint32_t crc;     /* of the block at hand */
    struct buf table;
    size_t pending; /* bytes of the block at hand */
    char block[BLOB_BLOCK];
};

struct blob_writer *blob_create(struct blobs *b, uint64_t id, struct err *e)
{
    char name[BLOB_NAME];

    if (blobs_failed(b, e)) {
        blob_set_why(BLOB_WHY_OTHER);
        return NULL;
    }
    blob_name(id, name);
    int fd = openat(b->root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        blob_error(b, id, "cannot create", e);
        return NULL;
    }
    crash_point(CRASH_BLOB_CREATED);
    struct blob_writer *w = x_malloc(sizeof *w);
    *w = (struct blob_writer){.blobs = b, .id = id, .fd = fd};
    buf_init(&w->table, BLOB_TABLE_MAX);
    return w;
}

static void table_add(struct blob_writer *w)
{
    uint8_t le[4];

    le32_put(le, w->crc);
    buf_put(&w->table, le, sizeof le);
    w->crc = 0;
}

static void add_checksums(struct blob_writer *w, const char *p, size_t n)
{
    while (n) {
        size_t room = BLOB_BLOCK - (size_t)(w->length % BLOB_BLOCK);
        size_t take = n < room ? n : room;
        w->crc = hash_crc32c(w->crc, p, take);
        w->length += take;
        if (take == room)
            table_add(w);
        p += take;
        n -= take;
    }
}

static bool write_data(struct blob_writer *w, const void *p, size_t n, struct err *e)
{
    if (!blob_write_all(w->fd, p, n))
        return blob_error(w->blobs, w->id, "cannot write", e);
    crash_point(CRASH_BLOB_HALF);
    return true;
}

/* Spreads the disk's work over the upload, so that the sync at the end has little left to do. Only a hint. */
static void begin_writeback(struct blob_writer *w)
{
    if (w->length - w->started < BLOB_WRITEBACK)
        return;
    uint64_t n = w->length - w->started - w->length % BLOB_BLOCK;
    (void)sync_file_range(w->fd, (off_t)w->started, (off_t)n, SYNC_FILE_RANGE_WRITE);
    w->started += n;
}

bool blob_append(struct blob_writer *w, const void *p, size_t n, struct err *e)
{
    const char *at = p;

    add_checksums(w, at, n);
    while (n) {
        if (w->pending == 0 && n >= BLOB_BLOCK) {
            size_t whole = n - n % BLOB_BLOCK;
            if (!write_data(w, at, whole, e))
                return false;
            at += whole;
            n -= whole;
            continue;
        }
        size_t room = sizeof w->block - w->pending;
        size_t take = n < room ? n : room;
        memcpy(w->block + w->pending, at, take);
        w->pending += take;
        at += take;
        n -= take;
        if (w->pending == sizeof w->block) {
            w->pending = 0;
            if (!write_data(w, w->block, sizeof w->block, e))
                return false;
        }
    }
    begin_writeback(w);
    return true;
}

static void make_footer(const struct blob_writer *w, uint8_t out[BLOB_FOOTER])
{
    memcpy(out, BLOB_MAGIC, 8);
    le32_put(out + 8, BLOB_VERSION);
    le32_put(out + 12, BLOB_BLOCK);
    le64_put(out + 16, w->length);
    le64_put(out + 24, w->id);
    le32_put(out + 32, 0);
    le32_put(out + 36, hash_crc32c(0, out, 36));
}

/* Data that is left, table and footer: one write for all but huge files. */
static bool write_end(struct blob_writer *w, struct err *e)
{
    uint8_t footer[BLOB_FOOTER];
    struct buf end;

    if (w->length % BLOB_BLOCK)
        table_add(w);
    make_footer(w, footer);
    buf_init(&end, BLOB_TABLE_MAX + BLOB_BLOCK + BLOB_FOOTER);
    buf_put(&end, w->block, w->pending);
    buf_str(&end, buf_view(&w->table));
    buf_put(&end, footer, sizeof footer);
    bool ok;
    blob_set_why(BLOB_WHY_OTHER);
    if (w->table.failed || end.failed)
        ok = err_set(e, "a blob cannot hold more than 4 TiB");
    else
        ok = blob_write_all(w->fd, end.p, end.len) || blob_error(w->blobs, w->id, "cannot write", e);
    buf_release(&end);
    return ok;
}

/* No space at this moment is no failed sync: the file was not named by anybody and is removed. Anything else
 * leaves pages in an unknown state that the kernel reports only once. */
static bool sync_file(struct blob_writer *w, struct err *e)
{
#ifdef BELFRY_MUTATE_NO_SYNC_FILE
    return true;
#endif
    if (fdatasync(w->fd) == 0)
        return true;
    if (errno == ENOSPC || errno == EDQUOT)
        return blob_error(w->blobs, w->id, "cannot sync", e);
    return blob_sync_error(w->blobs, w->id, "cannot sync", e);
}

bool blob_finish(struct blob_writer *w, struct err *e)
{
    if (!write_end(w, e))
        return false;
    crash_point(CRASH_BLOB_BEFORE_SYNC);
    if (!sync_file(w, e))
        return false;
#ifndef BELFRY_MUTATE_NO_SYNC_DIR
    if (!blob_sync_folder(w->blobs, (unsigned)(w->id & 0xff), e))
        return false;
#endif
    /* The kernel tells of a folder that was not written once. Who syncs it after that is told that all is well. */
    if (blobs_failed(w->blobs, e)) {
        blob_set_why(BLOB_WHY_OTHER);
        return false;
    }
    crash_point(CRASH_BLOB_SYNCED);
    close(w->fd);
    buf_release(&w->table);
    free(w);
    return true;
}

void blob_discard(struct blob_writer *w)
{
    char name[BLOB_NAME];

    if (!w)
        return;
    close(w->fd);
    blob_name(w->id, name);
    (void)unlinkat(w->blobs->root, name, 0);
    mutex_lock(&w->blobs->mutex);
    w->blobs->touched[w->id & 0xff] = true;
    mutex_unlock(&w->blobs->mutex);
    buf_release(&w->table);
    free(w);
}

/* Bytes by reading and writing them, where the file system has nothing better. */
static bool copy_by_hand(struct blob_reader *from, struct blob_writer *w, uint64_t off, uint64_t n,
                         struct err *e)
{
    while (n) {
        size_t step = n < sizeof w->block ? (size_t)n : sizeof w->block;
        if (!blob_read(from, off, w->block, step, e))
            return false;
        if (!blob_write_all(w->fd, w->block, step))
            return blob_error(w->blobs, w->id, "cannot write", e);
        off += step;
        n -= step;
    }
    return true;
}

/* The bytes were verified a moment ago, so what the kernel copies out of its page cache is what was verified.
 */
static bool copy_step(struct blob_reader *from, struct blob_writer *w, uint64_t off, uint64_t n,
                      struct err *e)
{
    while (n) {
        off_t in = (off_t)off;
        ssize_t done = copy_file_range(from->fd, &in, w->fd, NULL, n, 0);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
            return blob_error(w->blobs, w->id, "cannot copy into", e);
        if (done <= 0)
            return copy_by_hand(from, w, off, n, e);
        off += (uint64_t)done;
        n -= (uint64_t)done;
    }
    return true;
}

static bool copy_table(struct blob_reader *from, struct blob_writer *w, struct err *e)
{
    for (uint64_t i = 0; i < from->blocks; i++) {
        if (!blob_table_get(from, i, &w->crc, e))
            return false;
        if (i + 1 < from->blocks || from->size % BLOB_BLOCK == 0)
            table_add(w); /* the last, short one is added by write_end */
    }
    return true;
}

bool blob_copy(struct blobs *b, struct blob_reader *from, uint64_t new_id, struct err *e)
{
    struct blob_writer *w = blob_create(b, new_id, e);
    bool ok = w != NULL;

    for (uint64_t off = 0; ok && off < from->size; off += BLOB_COPY_STEP) {
        uint64_t n = from->size - off < BLOB_COPY_STEP ? from->size - off : BLOB_COPY_STEP;
        ok = blob_verify(from, off, n, e) && copy_step(from, w, off, n, e);
        if (ok) {
            w->length += n;
            begin_writeback(w);
            crash_point(CRASH_BLOB_HALF);
        }
    }
    ok = ok && copy_table(from, w, e) && blob_finish(w, e);
    if (!ok)
        blob_discard(w);
    return ok;
}
