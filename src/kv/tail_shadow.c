/* SPDX-License-Identifier: Apache-2.0
 *
 * A log that is to be cut, of a store that is only to be read: RocksDB would apply what is behind a gap. So it is shown a folder
 * of links in which that log is short and younger ones are missing; and the MANIFEST is short, when that is to be cut. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "kv/tail.h"

static bool copy_front(int dir, const char *file, const char *to, uint64_t n)
{
    int in = openat(dir, file, O_RDONLY | O_CLOEXEC),
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = in >= 0 && out >= 0;
    while (ok && n > 0) {
        ssize_t done = sendfile(out, in, NULL, n);
        ok = done > 0;
        errno = done == 0 ? EIO : errno; /* it was longer a moment ago */
        n -= ok ? (size_t)done : 0;
    }
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return ok;
}

static bool show_files(DIR *d, const char *real, const struct tail_ends *ends, const char *shadow)
{
    uint64_t cut = ends->log.state == TAIL_WHOLE ? UINT64_MAX : wal_number(ends->log.at.file);
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(d));) {
        char from[PATH_MAX], to[PATH_MAX];
        uint64_t log = wal_number(entry->d_name);
        const struct tail_end *end = log == cut ? &ends->log : &ends->manifest;
        bool cut_here = end->state != TAIL_WHOLE && strcmp(entry->d_name, end->at.file) == 0;
        if (entry->d_name[0] == '.' || str_starts(str_c(entry->d_name), STR("LO")) || log > cut)
            continue; /* LOG and LOCK are RocksDB's own business */
        ok = snprintf(from, sizeof from, "%s/%s", real, entry->d_name) < PATH_MAX &&
             snprintf(to, sizeof to, "%s/%s", shadow, entry->d_name) < PATH_MAX &&
             (cut_here ? copy_front(dirfd(d), entry->d_name, to, end->at.offset) : symlink(from, to) == 0);
    }
    return ok;
}

bool tail_shadow(const char *dir, const struct tail_ends *ends, char **out, struct err *e)
{
    const char *temp = getenv("TMPDIR");
    char path[PATH_MAX], *real = realpath(dir, NULL);
    DIR *d = real ? opendir(real) : NULL;
    bool ok =
        snprintf(path, sizeof path, "%s/belfry-check-XXXXXX", temp && *temp ? temp : "/tmp") < PATH_MAX &&
        mkdtemp(path) != NULL;
    *out = ok ? x_strdup(path) : NULL;
    ok = ok && d && show_files(d, real, ends, path);
    if (!ok)
        err_errno(e, "cannot make a folder of links to %s below $TMPDIR, or copy its log there", dir);
    if (d)
        closedir(d);
    free(real);
    if (!ok) {
        tail_shadow_remove(*out);
        *out = NULL;
    }
    return ok;
}

void tail_shadow_remove(char *path)
{
    DIR *d = path ? opendir(path) : NULL;
    for (struct dirent *entry; d && (entry = readdir(d));)
        (void)unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
    if (path)
        (void)rmdir(path);
    free(path);
}
