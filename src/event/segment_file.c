/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of segments (segment.h): durable when they are named, and what is not there told apart from what cannot be seen. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/crash.h"
#include "event/segment.h"

#define READ_STEP (256u << 10)

/* --- limits ------------------------------------------------------------------------------------------------------- */

static struct segment_limits limits = {
    .rows = SEGMENT_ROWS, .keep = SEGMENT_KEEP, .after_ms = SEGMENT_AFTER_MS};

static void read_limits(void)
{
    const char *z = getenv("BELFRY_TEST_SEGMENTS");
    struct str rest = str_c(z), keep, after, rows;
    uint64_t k, a, r;
    if (z && str_cut(&rest, ':', &keep) && str_cut(&rest, ':', &after) && str_cut(&rest, ':', &rows) &&
        str_to_u64(keep, &k) && str_to_u64(after, &a) && str_to_u64(rows, &r) && r > 0 && r <= SEGMENT_ROWS &&
        k < INT32_MAX && a < INT32_MAX)
        limits = (struct segment_limits){.rows = (uint32_t)r, .keep = (int64_t)k, .after_ms = (int64_t)a};
}

const struct segment_limits *segment_limits(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, read_limits);
    return &limits;
}

/* --- folders ------------------------------------------------------------------------------------------------------ */

/* malloc'd: the path without its last piece. */
static char *parent_of(const char *path)
{
    char *p = x_strdup(path), *slash = strrchr(p, '/');
    if (slash && slash != p)
        *slash = 0;
    else if (slash)
        slash[1] = 0;
    return p;
}

static bool sync_folder(const char *folder, struct err *e)
{
#ifndef BELFRY_MUTATE_NO_SYNC_SEGMENT_DIR
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "%s cannot be opened", folder);
    bool ok = fsync(fd) == 0 || err_errno(e, "%s cannot be synced", folder);
    (void)close(fd);
    return ok;
#else
    (void)folder;
    (void)e;
    return true;
#endif
}

bool segment_folder_sync(const char *path, struct err *e)
{
    char *folder = parent_of(path);
    bool ok = sync_folder(folder, e);
    free(folder);
    return ok;
}

/* The folders above may be new as well, made by this process or one that was killed. Those that are not ours to open have
 * been there before. */
bool segment_folder_make(const char *folder, struct err *e)
{
    struct stat st;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return err_errno(e, "%s cannot be made", folder);
    if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(e, "%s is no folder", folder);
    char *above = parent_of(folder);
    bool ok = sync_folder(above, e);
    while (ok && strcmp(above, "/") != 0) {
        char *next = parent_of(above);
        free(above);
        above = next;
        (void)sync_folder(above, NULL);
    }
    free(above);
    return ok;
}

bool segment_room(const char *folder, int64_t reserve, int64_t *room, struct err *e)
{
    struct statvfs v;
    if (statvfs(folder, &v) != 0)
        return err_errno(e, "%s cannot be asked for its space", folder);
    int64_t total = (int64_t)(v.f_blocks * v.f_frsize), part = total / 20;
    if (reserve < 0)
        reserve = part < (1 << 30) ? part : 1 << 30;
    *room = (int64_t)(v.f_bavail * v.f_frsize) - reserve;
    return true;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static bool write_all(int fd, struct str text, const char *path, struct err *e)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return err_errno(e, "%s cannot be written", path);
        }
        text = str_from(text, (size_t)n);
    }
    return true;
}

static bool fill(int fd, struct str text, const char *path, struct err *e)
{
    if (!write_all(fd, str_head(text, text.n / 2), path, e))
        return false;
    crash_point(CRASH_SEGMENT_HALF);
    if (!write_all(fd, str_from(text, text.n / 2), path, e))
        return false;
    crash_point(CRASH_SEGMENT_BEFORE_SYNC);
#ifndef BELFRY_MUTATE_NO_SYNC_SEGMENT
    if (fdatasync(fd) != 0)
        return err_errno(e, "%s cannot be synced", path);
#endif
    return true;
}

bool segment_file_write(const char *path, struct str text, bool *left, struct err *e)
{
    *left = false;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, "%s cannot be made", path);
    bool ok = fill(fd, text, path, e);
    if (close(fd) != 0 && ok)
        ok = err_errno(e, "%s cannot be closed", path);
    if (ok && segment_folder_sync(path, e)) {
        crash_point(CRASH_SEGMENT_SYNCED);
        return true;
    }
    *left = !segment_file_remove(path, true, NULL);
    return false;
}

bool segment_file_remove(const char *path, bool sync, struct err *e)
{
    char *folder = parent_of(path);
    bool ok = access(folder, F_OK) == 0 || err_errno(e, "%s cannot be looked into", folder);
    if (ok && unlink(path) != 0 && errno != ENOENT)
        ok = err_errno(e, "%s cannot be removed", path);
    ok = ok && (!sync || sync_folder(folder, e));
    free(folder);
    return ok;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static enum segment_result not_opened(const char *path, struct err *e)
{
    int why = errno;
    char *folder = parent_of(path);
    struct stat st;
    enum segment_result r = SEGMENT_UNREADABLE;
    if (why == ENOENT && stat(folder, &st) == 0 && S_ISDIR(st.st_mode)) {
        r = SEGMENT_GONE;
    } else if (why == ENOENT || why == ENOTDIR) {
        (void)err_set(
            e,
            "%s, which holds queued events, is not there: is its disk mounted? Events wait for it; to "
            "give those in it up, make an empty folder of that name",
            folder);
    } else {
        errno = why;
        (void)err_errno(e, "%s, which holds queued events, cannot be opened", path);
    }
    free(folder);
    return r;
}

static enum segment_result open_file(const char *path, int *fd, struct err *e)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return *fd >= 0 ? SEGMENT_OK : not_opened(path, e);
}

static enum segment_result unreadable(const char *path, struct err *e)
{
    (void)err_errno(
        e,
        "%s, which holds queued events, cannot be read (look at the disk; removing the file gives its "
        "events up)",
        path);
    return SEGMENT_UNREADABLE;
}

enum segment_result segment_file_read(const char *path, struct buf *out, struct err *e)
{
    int fd;
    enum segment_result r = open_file(path, &fd, e);
    if (r != SEGMENT_OK)
        return r;
    ssize_t n = 1;
    while (n > 0 && out->len < SEGMENT_TEXT_MAX) { /* what is behind that, somebody else has put there */
        char *p = buf_reserve(out, READ_STEP);
        n = read(fd, p, READ_STEP);
        if (n > 0)
            out->len += (size_t)n;
        else if (n < 0 && errno == EINTR)
            n = 1;
    }
    if (n < 0)
        r = unreadable(path, e);
    (void)close(fd);
    return r;
}

enum segment_result segment_file_line(const char *path, uint64_t at, struct buf *out, struct err *e)
{
    int fd;
    enum segment_result r = open_file(path, &fd, e);
    if (r != SEGMENT_OK)
        return r;
    ptrdiff_t end = -1;
    ssize_t n = 1;
    while (end < 0 && n > 0 && out->len < SEGMENT_TEXT_MAX) {
        char *p = buf_reserve(out, 16384);
        n = pread(fd, p, 16384, (off_t)(at + out->len));
        if (n <= 0)
            break;
        end = str_chr(str_n(p, (size_t)n), '\n');
        out->len += end >= 0 ? (size_t)end : (size_t)n;
    }
    if (n < 0)
        r = unreadable(path, e);
    (void)close(fd);
    return r;
}

void segment_file_hint(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    (void)close(fd);
}
