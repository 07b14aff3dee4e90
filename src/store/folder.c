/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder DIR of a store: made when absent, taken only when empty or ours, locked by one process, marked
 * with the version of its format. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "store/store_internal.h"

#define FORMAT      "belfry 1\n"
#define FORMAT_FILE "format"
#define FORMAT_TEMP "format.tmp"
#define LOCK_FILE   "lock"

char *folder_path(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *p = x_malloc(n);
    snprintf(p, n, "%s/%s", dir, name);
    return p;
}

static bool sync_folder(const char *dir, struct err *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (!ok)
        err_errno(e, "cannot sync %s", dir);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Creates dir and what is missing above it; each new name is synced in its parent. */
static bool make_folder(const char *dir, struct err *e)
{
    struct stat st;

    if (stat(dir, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return true;
        return err_set(e, "%s is not a directory: name another one", dir);
    }
    char *parent = x_strdup(dir);
    char *end = parent + strlen(parent);
    while (end > parent + 1 && end[-1] == '/')
        *--end = 0;
    char *slash = strrchr(parent, '/');
    bool ok = true;
    const char *up = ".";
    if (slash == parent) {
        up = "/";
    } else if (slash) {
        *slash = 0;
        up = parent;
        ok = make_folder(up, e);
    }
    if (ok && mkdir(dir, 0777) != 0 && errno != EEXIST)
        ok = err_errno(e, "cannot create %s: name a directory that this user may write", dir);
#ifndef BELFRY_MUTATE_NO_SYNC_PARENT
    ok = ok && sync_folder(up, e);
#endif
    free(parent);
    return ok;
}

enum content { CONTENT_EMPTY, CONTENT_OURS, CONTENT_MINIO, CONTENT_OTHER, CONTENT_UNKNOWN };

static bool harmless(const char *name)
{
    static const char *const names[] = {".", "..", LOCK_FILE, FORMAT_TEMP, "lost+found"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static enum content look(const char *dir, char other[256], struct err *e)
{
    enum content c = CONTENT_EMPTY;
    struct dirent *ent;
    DIR *d = opendir(dir);

    if (!d) {
        err_errno(e, "cannot read %s", dir);
        return CONTENT_UNKNOWN;
    }
    while ((ent = readdir(d))) {
        if (strcmp(ent->d_name, FORMAT_FILE) == 0) {
            c = CONTENT_OURS;
            break;
        }
        if (strcmp(ent->d_name, ".minio.sys") == 0) {
            c = CONTENT_MINIO;
        } else if (c == CONTENT_EMPTY && !harmless(ent->d_name)) {
            c = CONTENT_OTHER;
            snprintf(other, 256, "%s", ent->d_name);
        }
    }
    closedir(d);
    return c;
}

static bool ours_or_empty(const char *dir, enum content *c, bool create, struct err *e)
{
    char other[256];

    *c = look(dir, other, e);
    switch (*c) {
    case CONTENT_OURS:
        return true;
    case CONTENT_EMPTY:
        return create || err_set(e, "%s is empty: there is no store in it", dir);
    case CONTENT_MINIO:
        return err_set(e,
                       "%s holds a MinIO store (.minio.sys), a format that Belfry does not read: start "
                       "Belfry on an empty "
                       "directory and copy the objects over, for example with mc mirror",
                       dir);
    case CONTENT_OTHER:
        return err_set(e,
                       "%s is not a Belfry store (it has no file 'format') and not empty (it holds %.60s): "
                       "name an empty "
                       "directory, or one that Belfry made",
                       dir, other);
    default:
        return false;
    }
}

static bool read_format(const char *dir, struct err *e)
{
    char *path = folder_path(dir, FORMAT_FILE), text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    bool ok = n >= 0 || err_errno(e, "cannot read %s", path);

    if (ok && !str_eq_c(str_n(text, (size_t)n), FORMAT)) {
        for (ssize_t i = 0; i < n; i++) /* it may be anything, and goes to a terminal */
            if (text[i] < ' ' || text[i] > '~')
                text[i] = text[i] == '\n' ? '\n' : '?';
        struct str got = str_trim(str_n(text, (size_t)n));
        ok =
            err_set(e,
                    "%s says '%.*s', this version of Belfry reads 'belfry 1': use the version that wrote it. "
                    "If no other "
                    "version was ever used here the file is damaged: write 'belfry 1' and a newline into it, "
                    "see docs/repair.md",
                    path, STR_FMT(str_head(got, 40)));
    }
    if (fd >= 0)
        close(fd);
    free(path);
    return ok;
}

/* Whole or not at all: written beside, synced, renamed. */
static bool write_format(const char *dir, struct err *e)
{
    char *temp = folder_path(dir, FORMAT_TEMP), *path = folder_path(dir, FORMAT_FILE);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool ok = fd >= 0 && write(fd, FORMAT, sizeof FORMAT - 1) == (ssize_t)(sizeof FORMAT - 1);

#ifndef BELFRY_MUTATE_NO_SYNC_FORMAT
    ok = ok && fsync(fd) == 0;
#endif
    if (fd >= 0)
        close(fd);
    crash_point(CRASH_FORMAT_WRITTEN);
    ok = ok && rename(temp, path) == 0;
    if (!ok)
        err_errno(e, "cannot write %s", path);
    free(temp);
    free(path);
#ifdef BELFRY_MUTATE_NO_SYNC_FORMAT_DIR
    return ok;
#endif
    return ok && sync_folder(dir, e);
}

static void name_holder(int fd, const char *dir, struct err *e)
{
    char text[32];
    uint64_t pid;
    ssize_t n = pread(fd, text, sizeof text, 0);

    if (n > 0 && str_to_u64(str_trim(str_n(text, (size_t)n)), &pid))
        err_set(e, "%s is in use by another Belfry process (pid %llu), which holds %s/%s: stop it first", dir,
                (unsigned long long)pid, dir, LOCK_FILE);
    else
        err_set(e, "%s is in use by another Belfry process, which holds %s/%s: stop it first", dir, dir,
                LOCK_FILE);
}

static bool take_lock(struct folder *f, bool create, struct err *e)
{
    char *path = folder_path(f->dir, LOCK_FILE), pid[32];
    /* Who only looks may look at what may not be written; a copy of a store may come without this file. */
    int fd = create ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (create || errno == ENOENT))
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    bool ok = fd >= 0;

    if (!ok)
        err_errno(e, "cannot open %s: the user that runs Belfry must be able to write %s", path, f->dir);
    if (ok && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ok = false;
        if (errno == EWOULDBLOCK)
            name_holder(fd, f->dir, e);
        else
            err_errno(e, "cannot lock %s", path);
    }
    if (ok && create) {
        int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n)
            ok = err_errno(e, "cannot write %s", path);
    }
    if (ok)
        f->lock = fd;
    else if (fd >= 0)
        close(fd);
    free(path);
    return ok;
}

bool folder_open(struct folder *f, const char *dir, bool create, struct err *e)
{
    enum content c;

    *f = (struct folder){.dir = x_strdup(dir), .lock = -1};
    bool ok = !create || make_folder(dir, e);
    ok = ok && ours_or_empty(dir, &c, create, e) && take_lock(f, create, e);
    /* Under the lock it is looked at again: another process may have made the store meanwhile. */
    ok = ok && ours_or_empty(dir, &c, create, e);
    if (ok && c == CONTENT_EMPTY)
        ok = write_format(dir, e);
    ok = ok && read_format(dir, e);
    if (!ok)
        folder_close(f);
    return ok;
}

void folder_close(struct folder *f)
{
    if (f->lock >= 0)
        close(f->lock);
    free(f->dir);
    *f = (struct folder){.lock = -1};
}
