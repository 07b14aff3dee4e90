/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands in the logs of a store behind a damaged place: for the operator, who wants to know what is lost. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "kv/wal.h"
#include "kv/wal_record.h"

#define BATCH_MAX ((size_t)64 << 20) /* far above the committer's */

void wal_walk_init(struct wal_walk *w, void (*each)(void *ctx, struct str batch), void *ctx)
{
    *w = (struct wal_walk){.each = each, .ctx = ctx};
    buf_init(&w->batch, BATCH_MAX);
}

void wal_walk_release(struct wal_walk *w)
{
    buf_release(&w->batch);
}

static void add_fragment(struct wal_walk *w, const struct wal_record *r)
{
    if (r->type == WAL_FULL || r->type == WAL_FIRST) {
        buf_reset(&w->batch);
        w->open = r->type == WAL_FIRST;
    }
    if (r->type == WAL_FULL) {
        w->each(w->ctx, r->data);
        return;
    }
    if (!w->open)
        return; /* its beginning is damaged */
    buf_str(&w->batch, r->data);
    if (r->type == WAL_LAST) {
        w->open = false;
        if (!w->batch.failed)
            w->each(w->ctx, buf_view(&w->batch));
    }
}

void wal_walk_block(struct wal_walk *w, char *bytes, size_t n, size_t at)
{
    struct str block = str_n(bytes, n);
    struct wal_record r;
    size_t bit;
    while (true) {
        enum wal_state state = wal_record(block, at, &r);
        if ((state == WAL_BAD || state == WAL_LONGER) && wal_wrong_bit(block, at, &bit)) {
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
            state = wal_record(block, at, &r);
        }
        switch (state) {
        case WAL_SOUND:
            add_fragment(w, &r);
            at += WAL_HEADER + r.data.n;
            break;
        case WAL_END:
            return;
        default:
            w->open = false;
            if (!wal_next_sound(block, at + 1, &at))
                return;
            break;
        }
    }
}

static void read_file(struct wal_walk *w, int dir, const char *name, uint64_t from)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    char *block = x_malloc(WAL_BLOCK);
    off_t at = (off_t)(from - from % WAL_BLOCK);
    size_t skip = (size_t)(from % WAL_BLOCK);
    for (ssize_t n; (n = pread(fd, block, WAL_BLOCK, at)) > 0; at += n, skip = 0)
        if (skip < (size_t)n)
            wal_walk_block(w, block, (size_t)n, skip);
    w->open = false;
    free(block);
    close(fd);
}

/* The first of a block; WAL_LONGER too, which may be one that was cut short. */
static bool find_unsound(struct str block, size_t *at)
{
    struct wal_record r;
    enum wal_state state;
    for (*at = 0; (state = wal_record(block, *at, &r)) == WAL_SOUND;)
        *at += WAL_HEADER + r.data.n;
    return state != WAL_END;
}

bool wal_first_unsound(const char *dir, const char *file, uint64_t *offset)
{
    int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = folder < 0 ? -1 : openat(folder, file, O_RDONLY | O_CLOEXEC);
    char *block = x_malloc(WAL_BLOCK);
    bool found = false;
    off_t at = 0;
    for (ssize_t n; !found && fd >= 0 && (n = pread(fd, block, WAL_BLOCK, at)) > 0; at += n) {
        size_t in_block;
        found = find_unsound(str_n(block, (size_t)n), &in_block);
        *offset = (uint64_t)at + in_block;
    }
    free(block);
    if (fd >= 0)
        close(fd);
    if (folder >= 0)
        close(folder);
    return found;
}

static int is_log(const struct dirent *d)
{
    return wal_number(d->d_name) > 0;
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
    uint64_t x = wal_number((*a)->d_name), y = wal_number((*b)->d_name);
    return x < y ? -1 : x > y;
}

void wal_read_from(const char *dir, const struct wal_damage *from, const struct wal_reader *reader)
{
    struct wal_walk w;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    wal_walk_init(&w, reader->each, reader->ctx);
    struct dirent **logs = NULL;
    int n = scandir(dir, &logs, is_log, by_number);
    uint64_t first = wal_number(from->file);
    for (int i = 0; i < n; i++) {
        uint64_t number = wal_number(logs[i]->d_name);
        if (number >= first)
            read_file(&w, fd, logs[i]->d_name, number == first ? from->offset : 0);
        free(logs[i]);
    }
    free(logs);
    wal_walk_release(&w);
    close(fd);
}
