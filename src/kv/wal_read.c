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

struct walk {
    struct wal_reader reader;
    struct buf batch; /* of fragments */
    bool open;        /* its beginning was there */
};

static void give(struct walk *w, struct str batch)
{
    w->reader.each(w->reader.ctx, batch);
}

static void add_fragment(struct walk *w, const struct wal_record *r)
{
    if (r->type == WAL_FULL || r->type == WAL_FIRST) {
        buf_reset(&w->batch);
        w->open = r->type == WAL_FIRST;
    }
    if (r->type == WAL_FULL) {
        give(w, r->data);
        return;
    }
    if (!w->open)
        return; /* its beginning is damaged */
    buf_str(&w->batch, r->data);
    if (r->type == WAL_LAST) {
        w->open = false;
        if (!w->batch.failed)
            give(w, buf_view(&w->batch));
    }
}

/* All sound records from `at` on. */
static void read_block(struct walk *w, char *bytes, size_t n, size_t at)
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

static void read_file(struct walk *w, int dir, const char *name, uint64_t from)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    char *block = x_malloc(WAL_BLOCK);
    off_t at = (off_t)(from - from % WAL_BLOCK);
    size_t skip = (size_t)(from % WAL_BLOCK);
    for (ssize_t n; (n = pread(fd, block, WAL_BLOCK, at)) > 0; at += n, skip = 0)
        if (skip < (size_t)n)
            read_block(w, block, (size_t)n, skip);
    w->open = false;
    free(block);
    close(fd);
}

static int is_log(const struct dirent *d)
{
    return str_ends(str_c(d->d_name), STR(".log"));
}

void wal_read_from(const char *dir, const struct wal_damage *from, const struct wal_reader *reader)
{
    struct walk w = {.reader = *reader};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    buf_init(&w.batch, BATCH_MAX);
    struct dirent **logs = NULL;
    int n = scandir(dir, &logs, is_log, alphasort);
    for (int i = 0; i < n; i++) {
        int order = strcmp(logs[i]->d_name, from->file);
        if (order >= 0)
            read_file(&w, fd, logs[i]->d_name, order == 0 ? from->offset : 0);
        free(logs[i]);
    }
    free(logs);
    buf_release(&w.batch);
    close(fd);
}
