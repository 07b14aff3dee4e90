/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of the write-ahead log: which are in use, where the first bad place is, cutting. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "kv/tail.h"

struct logs {
    const char *path;
    int dir;
    uint64_t *numbers; /* in order */
    size_t n, cap;
    unsigned manifests; /* that are there */
};

static void log_name(uint64_t number, char out[32])
{
    (void)snprintf(out, 32, "%06llu.log", (unsigned long long)number);
}

/* Read and not mapped: what the disk cannot give is an error then, and no signal. To be freed: unload. */
static bool load(const struct logs *l, const char *name, struct str *out, struct err *e)
{
    struct stat st = {0};
    int fd = openat(l->dir, name, O_RDONLY | O_CLOEXEC);
    *out = (struct str){0};
    bool ok = (fd >= 0 && fstat(fd, &st) == 0) || err_errno(e, "cannot read %s/%s", l->path, name);
    size_t size = ok && st.st_size > 0 ? (size_t)st.st_size : 0, n = 0;
    char *p = size ? x_malloc(size) : NULL;
    ssize_t got = 1;
    while (n < size && (got = pread(fd, p + n, size - n, (off_t)n)) != 0) {
        if (got > 0)
            n += (size_t)got;
        else if (errno != EINTR)
            break;
    }
    if (got < 0) {
        ok = err_errno(e, "the rows in %s are damaged: %s/%s cannot be read at byte %zu", l->path, l->path,
                       name, n);
        free(p);
    } else if (ok) {
        *out = str_n(p, n);
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

static void unload(struct str s)
{
    free((void *)s.p);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static bool find_logs(struct logs *l, const char *dir, struct err *e)
{
    uint64_t number;
    DIR *d = opendir(dir);
    if (!d)
        return err_errno(e, "cannot read %s", dir);
    errno = 0;
    for (struct dirent *entry; (entry = readdir(d)); errno = 0) {
        l->manifests += str_starts(str_c(entry->d_name), STR("MANIFEST-"));
        if ((number = wal_number(entry->d_name)) == 0)
            continue;
        if (l->n == l->cap) {
            l->cap = l->cap ? 2 * l->cap : 16;
            l->numbers = x_realloc(l->numbers, l->cap * sizeof *l->numbers);
        }
        l->numbers[l->n++] = number;
    }
    bool ok = errno == 0 || err_errno(e, "cannot read %s", dir);
    closedir(d);
    if (l->n > 0)
        qsort(l->numbers, l->n, sizeof *l->numbers, by_number);
    return ok;
}

/* Those before this one. */
static void leave_out(struct logs *l, uint64_t oldest)
{
    size_t first = 0;
    while (first < l->n && l->numbers[first] < oldest)
        first++;
    l->n -= first;
    if (l->n > 0)
        memmove(l->numbers, l->numbers + first, l->n * sizeof *l->numbers);
}

static void release_logs(struct logs *l)
{
    if (l->dir >= 0)
        close(l->dir);
    free(l->numbers);
}

static void set_end(struct tail_end *end, enum tail_state state, const char *file, size_t at)
{
    end->state = state;
    end->at.offset = at;
    if (file != end->at.file)
        (void)snprintf(end->at.file, sizeof end->at.file, "%s", file);
}

/* The logs after one that has a bad place (or before which there is a gap). */
struct looking {
    struct tail_walk walk;
    struct tail_end *end;
    uint64_t span;    /* bytes since the bad place */
    uint64_t damaged; /* byte of its bad record */
    char empty[32];   /* the first log without a batch, before there was any; else "" */
};

static bool gap_before(struct looking *l, uint64_t batches_end)
{
    return l->empty[0] && batches_end > 0;
}

/* From its first bad place on, a log may prove that this was synced. */
static void look_behind(struct looking *l, struct str log, size_t place)
{
    l->span += log.n - place;
    if (tail_proves(log, place, l->span, &l->walk))
        set_end(l->end, TAIL_DAMAGED, l->end->at.file, l->damaged);
}

static void look_at_log(struct looking *l, const char *name, struct str log)
{
    bool fresh = l->walk.wanted == 0;
    size_t place = 0, bad = 0;
    if (l->end->state != TAIL_WHOLE) {
        look_behind(l, log, 0);
        return;
    }
    bool whole = tail_follow(log, &l->walk, &place, &bad);
    if (fresh && gap_before(l, place)) { /* as if nothing of this one had been followed */
        l->walk.wanted = l->walk.writer = 0;
        set_end(l->end, TAIL_TORN, l->empty, 0);
        look_behind(l, log, 0);
    } else if (!whole) {
        set_end(l->end, TAIL_TORN, name, place);
        l->damaged = bad;
        look_behind(l, log, place);
    } else if (fresh && place == 0 && !l->empty[0]) {
        memcpy(l->empty, name, sizeof l->empty);
    }
}

/* `last`: the sequence number that the MANIFEST has. What is not used any more may be gone in any order: without a sound
 * MANIFEST the logs need not follow each other (`apart`). walk->oldest_log: the highest that a mark names. */
static bool look_at_logs(const struct logs *l, uint64_t last, bool apart, struct tail_end *end,
                         struct tail_walk *walk, struct err *e)
{
    struct looking looking = {.walk.most = last + 1, .end = end};
    for (size_t i = 0; i < l->n && end->state != TAIL_DAMAGED; i++) {
        struct str log;
        char name[32] = "";
        log_name(l->numbers[i], name);
        if (!load(l, name, &log, e))
            return false;
        if (apart && end->state == TAIL_WHOLE) {
            looking.walk.wanted = looking.walk.writer = 0;
            looking.walk.most = UINT64_MAX;
            looking.empty[0] = 0;
        }
        look_at_log(&looking, name, log);
        unload(log);
    }
    *walk = looking.walk;
    return true;
}

/* CURRENT names a MANIFEST that is there; and a folder without CURRENT is new. */
static bool look_at_current(const struct logs *l, struct tail_end *end)
{
    struct str text;
    struct stat st;
    struct err ignored;
    if (!load(l, "CURRENT", &text, &ignored)) {
        if (l->n > 0)
            set_end(end, TAIL_DAMAGED, "CURRENT", 0);
        return false;
    }
    struct str name = str_trim(text);
    bool ok = text.p && text.n > 0 && text.p[text.n - 1] == '\n' && str_starts(name, STR("MANIFEST-")) &&
              name.n < sizeof end->at.file && !memchr(name.p, 0, name.n);
    if (ok)
        (void)snprintf(end->at.file, sizeof end->at.file, "%.*s", STR_FMT(name));
    unload(text);
    if (!ok || fstatat(l->dir, end->at.file, &st, 0) != 0) {
        set_end(end, TAIL_DAMAGED, "CURRENT", 0);
        return false;
    }
    return true;
}

static bool look_at_manifest(const struct logs *l, struct tail_end *end, struct tail_manifest *m,
                             struct err *e)
{
    struct str bytes;
    *m = (struct tail_manifest){.whole = true};
    if (!look_at_current(l, end))
        return true;
    if (!load(l, end->at.file, &bytes, e))
        return false;
    tail_read_manifest(bytes, m);
    unload(bytes);
    if (!m->whole)
        set_end(end, m->begun ? TAIL_TORN : TAIL_DAMAGED, end->at.file, m->end);
    return true;
}

/* The number in the name of a MANIFEST. */
static uint64_t manifest_number(const char *manifest)
{
    uint64_t number = 0;
    (void)str_to_u64(str_c(manifest + sizeof "MANIFEST-" - 1), &number);
    return number;
}

/* A log that is in use is there. The oldest one in use is one that was written to, or that an opening names: the number after the
 * last one that it read, and then it is the log that this opening made, before its MANIFEST. */
static bool in_use_is_there(const struct logs *l, const struct tail_manifest *m, const char *manifest)
{
    return l->n > 0 && (l->numbers[0] == m->oldest_log || l->numbers[0] < manifest_number(manifest));
}

/* A sound MANIFEST names a log, and no crash took it (kv/tail.h): none is left at all, or younger ones are there. `any`: before
 * those that are not used any more were left out. */
static bool is_missing(const struct logs *l, bool any, const struct tail_manifest *m,
                       const struct tail_end *manifest)
{
    if (manifest->state != TAIL_WHOLE || !m->begun || m->oldest_log == 0)
        return false;
    return any ? l->n > 0 && !in_use_is_there(l, m, manifest->at.file) : l->manifests == 1;
}

bool tail_look(const char *dir, struct tail_ends *ends, struct err *e)
{
    struct logs l = {.path = dir, .dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct tail_walk walk = {0};
    struct tail_manifest m = {0};
    bool lacks = false;
    *ends = (struct tail_ends){0};
    if (l.dir < 0)
        return true; /* a new one, or RocksDB will say why */
    bool ok = find_logs(&l, dir, e) && look_at_manifest(&l, &ends->manifest, &m, e);
    bool any = l.n > 0;
    leave_out(&l, m.oldest_log);
    if (ok && is_missing(&l, any, &m, &ends->manifest)) {
        log_name(m.oldest_log, ends->log.at.file);
        ends->log.state = TAIL_DAMAGED;
        ends->log.missing = true;
    } else if (ok) {
        lacks = !in_use_is_there(&l, &m, ends->manifest.at.file);
        ok = look_at_logs(&l, m.last, ends->manifest.state == TAIL_DAMAGED, &ends->log, &walk, e);
    }
    /* What is left of it does not go together with the logs: more of it had been synced, and they are judged without it. */
    lacks |= walk.oldest_log > m.oldest_log || ends->log.state == TAIL_DAMAGED;
    if (ok && ends->manifest.state == TAIL_TORN && lacks) {
        ends->manifest.state = TAIL_DAMAGED;
        ends->log = (struct tail_end){0};
        walk = (struct tail_walk){0};
        ok = look_at_logs(&l, m.last, true, &ends->log, &walk, e);
    }
    release_logs(&l);
    return ok;
}

/* Needs no sync: until RocksDB has synced a MANIFEST that needs this file no more, whoever opens the folder after a power cut
 * is at the same place again. */
static bool cut_file(int dir, const char *name, off_t length, struct err *e)
{
    int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
    bool ok = (fd >= 0 && ftruncate(fd, length) == 0) ||
              err_errno(e, "cannot cut %s at byte %lld", name, (long long)length);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* From the last one back to the log at the bad place: as long as that is not cut, the others are behind a bad place. */
static bool cut_logs(const struct logs *l, const struct wal_damage *at, struct err *e)
{
    bool ok = true;
    for (size_t i = l->n; ok && i-- > 0;) {
        char name[32];
        log_name(l->numbers[i], name);
        ok = cut_file(l->dir, name, strcmp(name, at->file) == 0 ? (off_t)at->offset : 0, e);
    }
    return ok;
}

bool tail_cut(const char *dir, const struct tail_ends *ends, struct err *e)
{
    const struct wal_damage *m = &ends->manifest.at, *at = &ends->log.at;
    struct logs l = {.path = dir, .dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    bool ok = l.dir >= 0 || err_errno(e, "cannot open %s", dir);
    if (ok && ends->manifest.state == TAIL_TORN) {
        log_warn("kv",
                 "%s/%s: what is behind byte %llu is cut off: it was written but not synced when the server "
                 "ended; nothing was built on it",
                 dir, m->file, (unsigned long long)m->offset);
        ok = cut_file(l.dir, m->file, (off_t)m->offset, e);
    }
    if (ok && ends->log.state == TAIL_TORN) {
        log_info("kv",
                 "%s/%s: what is behind byte %llu is cut off: it was written but not synced when the server "
                 "ended; nothing in it was acknowledged",
                 dir, at->file, (unsigned long long)at->offset);
        ok = find_logs(&l, dir, e);
        leave_out(&l, wal_number(at->file));
        ok = ok && cut_logs(&l, at, e);
    }
    release_logs(&l);
    return ok;
}
