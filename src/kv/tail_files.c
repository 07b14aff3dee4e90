/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of the write-ahead log: which are in use, where the first bad place is, cutting. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "kv/tail.h"

struct logs {
    int dir;
    uint64_t *numbers; /* in order */
    size_t n, cap;
};

static void log_name(uint64_t number, char out[32])
{
    (void)snprintf(out, 32, "%06llu.log", (unsigned long long)number);
}

static bool map(int dir, const char *name, struct str *out, struct err *e)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    void *p = NULL;
    bool ok = fd >= 0 && fstat(fd, &st) == 0;
    if (ok && st.st_size > 0)
        ok = (p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) != MAP_FAILED;
    if (!ok)
        err_errno(e, "cannot read %s", name);
    else
        *out = str_n(p, (size_t)st.st_size);
    if (fd >= 0)
        close(fd);
    return ok;
}

static void unmap(struct str s)
{
    if (s.n > 0)
        (void)munmap((void *)s.p, s.n);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Those from the oldest that is in use on. */
static bool find_logs(struct logs *l, const char *dir, uint64_t oldest, struct err *e)
{
    uint64_t number;
    DIR *d = opendir(dir);
    if (!d)
        return err_errno(e, "cannot read %s", dir);
    for (struct dirent *entry; (entry = readdir(d));) {
        struct str name = str_c(entry->d_name);
        if (!str_ends(name, STR(".log")) || !str_to_u64(str_head(name, name.n - 4), &number) ||
            number < oldest)
            continue;
        if (l->n == l->cap) {
            l->cap = l->cap ? 2 * l->cap : 16;
            l->numbers = x_realloc(l->numbers, l->cap * sizeof *l->numbers);
        }
        l->numbers[l->n++] = number;
    }
    closedir(d);
    if (l->n > 0)
        qsort(l->numbers, l->n, sizeof *l->numbers, by_number);
    return true;
}

static void release_logs(struct logs *l)
{
    if (l->dir >= 0)
        close(l->dir);
    free(l->numbers);
}

/* Batch after batch, each where the one before it ended. False: *at is a place where none is, or not the right one; *wanted
 * stays the sequence number that should be there. */
static bool follow(struct str log, size_t *at, uint64_t *wanted, uint64_t *oldest_log)
{
    for (;;) {
        struct tail_batch b;
        size_t next = *at;
        enum tail_next r = tail_next(log, &next, &b);
        if (r == TAIL_END)
            return true;
        if (r == TAIL_BAD || (*wanted && b.first != *wanted))
            return false;
        *wanted = b.first + b.rows;
        if (b.oldest_log > *oldest_log)
            *oldest_log = b.oldest_log;
        *at = next;
    }
}

static enum tail_state damaged(const char *dir, const struct wal_damage *at, struct err *e)
{
    err_set(e, "the rows in %s are damaged: %s/%s at byte %llu", dir, dir, at->file,
            (unsigned long long)at->offset);
    return TAIL_DAMAGED;
}

/* *oldest_log: the highest that a mark names. */
static enum tail_state look_at_logs(const char *dir, const struct logs *l, struct wal_damage *at,
                                    uint64_t *oldest_log, struct err *e)
{
    uint64_t wanted = 0;
    enum tail_state state = TAIL_WHOLE;
    for (size_t i = 0; i < l->n && state != TAIL_DAMAGED; i++) {
        struct str log;
        char name[32];
        size_t place = 0;
        log_name(l->numbers[i], name);
        if (!map(l->dir, name, &log, e))
            return TAIL_DAMAGED;
        if (state == TAIL_WHOLE && !follow(log, &place, &wanted, oldest_log)) {
            state = TAIL_TORN;
            (void)snprintf(at->file, sizeof at->file, "%s", name);
            at->offset = place;
        }
        if (state == TAIL_TORN && tail_proves(log, place, &wanted, oldest_log))
            state = damaged(dir, at, e);
        unmap(log);
    }
    return state;
}

/* RocksDB has the word when CURRENT names no MANIFEST: in a new folder, or one that was damaged. */
static enum tail_state look_at_manifest(const char *dir, const struct logs *l, struct wal_damage *at,
                                        uint64_t *oldest_log, struct err *e)
{
    struct str current, bytes;
    struct tail_manifest m;
    struct err ignored;
    if (!map(l->dir, "CURRENT", &current, &ignored))
        return TAIL_WHOLE;
    struct str name = str_trim(current);
    if (name.n < sizeof at->file)
        (void)snprintf(at->file, sizeof at->file, "%.*s", STR_FMT(name));
    unmap(current);
    if (!at->file[0] || !map(l->dir, at->file, &bytes, &ignored)) {
        at->file[0] = 0;
        return TAIL_WHOLE;
    }
    tail_read_manifest(bytes, &m);
    unmap(bytes);
    *oldest_log = m.oldest_log;
    at->offset = m.end;
    if (!m.whole)
        return m.begun ? TAIL_TORN : damaged(dir, at, e);
    at->file[0] = 0;
    return TAIL_WHOLE;
}

enum tail_state tail_look(const char *dir, struct tail_ends *ends, struct err *e)
{
    struct logs l = {.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    uint64_t oldest = 0, needed = 0;
    *ends = (struct tail_ends){0};
    if (l.dir < 0)
        return TAIL_WHOLE; /* a new one, or RocksDB will say why */
    enum tail_state manifest = look_at_manifest(dir, &l, &ends->manifest, &oldest, e), log = TAIL_DAMAGED;
    if (manifest != TAIL_DAMAGED && find_logs(&l, dir, oldest, e))
        log = look_at_logs(dir, &l, &ends->log, &needed, e);
    release_logs(&l);
    if (log != TAIL_DAMAGED && manifest == TAIL_TORN && needed > oldest)
        return damaged(dir, &ends->manifest, e);
    return log == TAIL_WHOLE ? manifest : log;
}

static bool cut_file(int dir, const char *name, off_t length, struct err *e)
{
    int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && ftruncate(fd, length) == 0;
#ifndef BELFRY_MUTATE_NO_SYNC_CUT
    ok = ok && fsync(fd) == 0;
#endif
    if (!ok)
        err_errno(e, "cannot cut %s at byte %lld", name, (long long)length);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* From the log at the bad place on. */
static bool cut_logs(const struct logs *l, const struct wal_damage *at, struct err *e)
{
    bool ok = true;
    for (size_t i = 0; ok && i < l->n; i++) {
        char name[32];
        log_name(l->numbers[i], name);
        ok = cut_file(l->dir, name, strcmp(name, at->file) == 0 ? (off_t)at->offset : 0, e);
    }
    return ok;
}

bool tail_cut(const char *dir, const struct tail_ends *ends, struct err *e)
{
    const struct wal_damage *m = &ends->manifest, *at = &ends->log;
    struct logs l = {.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct str name = str_c(at->file);
    uint64_t first;
    bool ok = l.dir >= 0 || err_errno(e, "cannot open %s", dir);
    if (ok && m->file[0]) {
        log_warn("kv",
                 "%s/%s: what is behind byte %llu is cut off: it was written but not synced when the server "
                 "ended; nothing "
                 "was built on it",
                 dir, m->file, (unsigned long long)m->offset);
        ok = cut_file(l.dir, m->file, (off_t)m->offset, e);
    }
    if (ok && at->file[0]) {
        log_info("kv",
                 "%s/%s: what is behind byte %llu is cut off: it was written but not synced when the server "
                 "ended; "
                 "nothing in it was acknowledged",
                 dir, at->file, (unsigned long long)at->offset);
        ok = str_to_u64(str_head(name, name.n - 4), &first) && find_logs(&l, dir, first, e) &&
             cut_logs(&l, at, e);
    }
    release_logs(&l);
    return ok;
}
