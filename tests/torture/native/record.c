/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into a server: writes down everything that it does to the files under a folder, with the bytes, and every
 * sync. BELFRY_RECORD_ROOT names the folder, BELFRY_RECORD_LOG the file (outside of it) that entries are appended to.
 *
 * One mutex is held around each such call and its entry, so the entries are a total order of what happened: an entry's
 * call began after those before it ended. That takes away overlaps, not orders: any order that the server may choose can
 * still occur. Reads are not touched.
 *
 * SIGRTMIN + RECORD_KILL ends the process as SIGKILL does, but between two entries: a call that was made and not
 * written down would be a gap.
 *
 * What cannot be written down faithfully (a writable mapping, stdio's own writes, links) becomes an entry 'M', which
 * makes the run fail; and the replay of all entries must give the real folder byte for byte, which shows that nothing
 * slips past (torture/rows/power.py).
 *
 * Entries (op): S a process began; c file created; w bytes written at `at`; t length set to `at`; s fsync (flags 1:
 * fdatasync); d fsync of a folder; r rename; u unlink; m mkdir; x rmdir; M what must not be. */
#include "record.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_n;
static int out = -1;

#define REAL(name) ((__typeof__(&name))real(#name))

/* Looked up each time: a call of the disk costs far more. */
static void *real(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);
    if (!f)
        abort();
    return f;
}

static uint64_t now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A recording with a gap proves nothing. */
static void put(const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        long done = syscall(SYS_write, out, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            abort();
        at += done;
        n -= (size_t)done;
    }
}

struct entry {
    char op;
    uint8_t flags;
    uint64_t begin, ino, at;
    const char *path, *path2;
    const void *data;
    size_t data_n;
};

static void note(const struct entry *e)
{
    int saved = errno;
    struct record_head h = {.magic = RECORD_MAGIC,
                            .op = e->op,
                            .flags = e->flags,
                            .begin = e->begin,
                            .end = now(),
                            .ino = e->ino,
                            .at = e->at,
                            .data_n = (uint32_t)e->data_n};
    h.path_n = (uint16_t)(e->path ? strlen(e->path) : 0);
    h.path2_n = (uint16_t)(e->path2 ? strlen(e->path2) : 0);
    put(&h, sizeof h);
    put(e->path, h.path_n);
    put(e->path2, h.path2_n);
    put(e->data, e->data_n);
    errno = saved;
}

/* --- which files --- */

static void *killer(void *arg)
{
    sigset_t set = *(sigset_t *)arg;
    int number;
    while (sigwait(&set, &number) != 0)
        ;
    (void)pthread_mutex_lock(&lock);
    (void)kill(getpid(), SIGKILL);
    return NULL;
}

/* Before main: every other thread inherits that the signal is blocked; and this one blocks all, or it would take those that the
 * server waits for. */
static void wait_for_kill(void)
{
    static sigset_t set;
    sigset_t all, old;
    pthread_t thread;
    (void)sigfillset(&all);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGRTMIN + RECORD_KILL);
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0 || pthread_create(&thread, NULL, killer, &set) != 0 ||
        pthread_sigmask(SIG_SETMASK, &old, NULL) != 0 || pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        abort();
}

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("BELFRY_RECORD_ROOT"), *log = getenv("BELFRY_RECORD_LOG");
    if (!folder || !log || !realpath(folder, root))
        return;
    root_n = strlen(root);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    out = fcntl(fd, F_DUPFD_CLOEXEC, 500); /* out of the way of the server's own */
    (void)syscall(SYS_close, fd);
    if (out < 0)
        abort();
    note(&(struct entry){.op = 'S', .begin = now()});
    wait_for_kill();
}

/* The path below the root, without double slashes; NULL: another file. */
static const char *below(char *path)
{
    if (out < 0 || strncmp(path, root, root_n) != 0 || (path[root_n] != '/' && path[root_n] != 0))
        return NULL;
    char *to = path + root_n;
    while (*to == '/')
        to++;
    const char *begins = to;
    for (const char *from = to; *from; from++)
        if (*from != '/' || from[1] != '/')
            *to++ = *from;
    *to = 0;
    return begins;
}

static const char *path_of_fd(int fd, char buf[PATH_MAX])
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, buf, PATH_MAX - 1);
    if (n < 0)
        return NULL;
    buf[n] = 0;
    return below(buf);
}

/* The root is given without links in it; so are the paths that a server is given by the test. */
static const char *path_of(int dir, const char *path, char buf[PATH_MAX])
{
    char base[PATH_MAX] = "";
    if (out < 0)
        return NULL;
    if (path[0] != '/' && dir == AT_FDCWD && !getcwd(base, sizeof base))
        return NULL;
    if (path[0] != '/' && dir != AT_FDCWD) {
        char link[64];
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t n = readlink(link, base, sizeof base - 1);
        if (n < 0)
            return NULL;
        base[n] = 0;
    }
    int n =
        path[0] == '/' ? snprintf(buf, PATH_MAX, "%s", path) : snprintf(buf, PATH_MAX, "%s/%s", base, path);
    return n < PATH_MAX ? below(buf) : NULL;
}

/* Is fd a file (or folder) of ours? Sockets are asked about most often, and are told apart by one call. */
static bool ours(int fd, struct stat *st, char buf[PATH_MAX], const char **path)
{
    int saved = errno;
    bool yes = out >= 0 && fstat(fd, st) == 0 && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) &&
               (*path = path_of_fd(fd, buf)) != NULL;
    errno = saved;
    return yes;
}

/* --- opening --- */

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    char buf[PATH_MAX];
    const char *p = flags & (O_CREAT | O_TRUNC | O_TMPFILE) & ~O_DIRECTORY ? path_of(dir, path, buf) : NULL;
    if (!p)
        return (int)syscall(SYS_openat, dir, path, flags, mode);
    struct stat st = {0};
    (void)pthread_mutex_lock(&lock);
    uint64_t t = now();
    bool there = fstatat(dir, path, &st, 0) == 0;
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && fstat(fd, &st) == 0) {
        if (!there)
            note(&(struct entry){.op = 'c', .begin = t, .ino = st.st_ino, .path = p});
        else if (flags & O_TRUNC)
            note(&(struct entry){.op = 't', .begin = t, .ino = st.st_ino, .path = p});
    }
    (void)pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN_MODE(flags, mode) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list ap; \
        va_start(ap, flags); \
        mode = va_arg(ap, mode_t); \
        va_end(ap); \
    }

int open(const char *path, int flags, ...)
{
    OPEN_MODE(flags, mode)
    return open_at(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...)
{
    OPEN_MODE(flags, mode)
    return open_at(AT_FDCWD, path, flags, mode);
}
int openat(int dir, const char *path, int flags, ...)
{
    OPEN_MODE(flags, mode)
    return open_at(dir, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...)
{
    OPEN_MODE(flags, mode)
    return open_at(dir, path, flags, mode);
}

static void must_not(const char *what, const char *path)
{
    (void)pthread_mutex_lock(&lock);
    note(&(struct entry){.op = 'M', .begin = now(), .path = what, .path2 = path});
    (void)pthread_mutex_unlock(&lock);
}

static void see_stdio(const char *path, const char *mode)
{
    char buf[PATH_MAX];
    const char *p = path_of(AT_FDCWD, path, buf);
    if (p && strpbrk(mode, "wa+"))
        must_not("fopen", p);
}
FILE *fopen(const char *path, const char *mode)
{
    see_stdio(path, mode);
    return REAL(fopen)(path, mode);
}
FILE *fopen64(const char *path, const char *mode)
{
    see_stdio(path, mode);
    return REAL(fopen64)(path, mode);
}

/* --- bytes --- */

/* n bytes of v, from the front, as entries of their own. */
static void note_bytes(uint64_t t, uint64_t ino, uint64_t at, const char *path, const struct iovec *v,
                       size_t n)
{
    for (; n > 0; v++) {
        size_t step = v->iov_len < n ? v->iov_len : n;
        if (step > 0)
            note(&(struct entry){.op = 'w',
                                 .begin = t,
                                 .ino = ino,
                                 .at = at,
                                 .path = path,
                                 .data = v->iov_base,
                                 .data_n = step});
        at += step;
        n -= step;
    }
}

/* at < 0: at the file's own position. */
static ssize_t write_vector(int fd, const struct iovec *v, int count, off_t at)
{
    char buf[PATH_MAX];
    const char *path;
    struct stat st;
    bool mine = ours(fd, &st, buf, &path);
    if (mine)
        (void)pthread_mutex_lock(&lock);
    uint64_t t = mine ? now() : 0;
    off_t place = at;
    if (mine && at < 0)
        place = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    ssize_t n = at < 0 ? syscall(SYS_writev, fd, v, count) : syscall(SYS_pwritev, fd, v, count, at, 0L);
    if (mine) {
        if (n > 0)
            note_bytes(t, st.st_ino, (uint64_t)place, path, v, (size_t)n);
        (void)pthread_mutex_unlock(&lock);
    }
    return n;
}

ssize_t write(int fd, const void *p, size_t n)
{
    struct stat st;
    char buf[PATH_MAX];
    const char *path;
    if (!ours(fd, &st, buf, &path))
        return syscall(SYS_write, fd, p, n);
    return write_vector(fd, &(struct iovec){(void *)p, n}, 1, -1);
}
ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    return write_vector(fd, &(struct iovec){(void *)p, n}, 1, at);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
    return write_vector(fd, &(struct iovec){(void *)p, n}, 1, at);
}
ssize_t writev(int fd, const struct iovec *v, int count)
{
    return write_vector(fd, v, count, -1);
}
ssize_t pwritev(int fd, const struct iovec *v, int count, off_t at)
{
    return write_vector(fd, v, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *v, int count, off_t at)
{
    return write_vector(fd, v, count, at);
}

/* What was copied is read back: under the mutex nobody else changes it. */
ssize_t copy_file_range(int in, off_t *in_at, int to, off_t *to_at, size_t n, unsigned flags)
{
    char buf[PATH_MAX];
    const char *path;
    struct stat st;
    if (!ours(to, &st, buf, &path))
        return syscall(SYS_copy_file_range, in, in_at, to, to_at, n, flags);
    (void)pthread_mutex_lock(&lock);
    uint64_t t = now();
    off_t place = to_at ? *to_at : lseek(to, 0, SEEK_CUR), from = in_at ? *in_at : lseek(in, 0, SEEK_CUR);
    ssize_t done = syscall(SYS_copy_file_range, in, in_at, to, to_at, n, flags);
    int saved = errno;
    char *bytes = done > 0 ? malloc((size_t)done) : NULL;
    if (done > 0 && (!bytes || pread(in, bytes, (size_t)done, from) != done))
        abort();
    if (done > 0)
        note_bytes(t, st.st_ino, (uint64_t)place, path, &(struct iovec){bytes, (size_t)done}, (size_t)done);
    free(bytes);
    (void)pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}

/* --- lengths --- */

static int set_length(int fd, off_t n)
{
    char buf[PATH_MAX];
    const char *path;
    struct stat st;
    if (!ours(fd, &st, buf, &path))
        return (int)syscall(SYS_ftruncate, fd, n);
    (void)pthread_mutex_lock(&lock);
    uint64_t t = now();
    int r = (int)syscall(SYS_ftruncate, fd, n);
    if (r == 0)
        note(&(struct entry){.op = 't', .begin = t, .ino = st.st_ino, .at = (uint64_t)n, .path = path});
    (void)pthread_mutex_unlock(&lock);
    return r;
}
int ftruncate(int fd, off_t n)
{
    return set_length(fd, n);
}
int ftruncate64(int fd, off_t n)
{
    return set_length(fd, n);
}

/* Space set aside behind the end changes nothing that can be read. */
static int set_aside(int fd, int mode, off_t at, off_t n)
{
    char buf[PATH_MAX];
    const char *path;
    struct stat st;
    bool mine = ours(fd, &st, buf, &path);
    int r = (int)syscall(SYS_fallocate, fd, mode, at, n);
    if (mine && r == 0 && mode != FALLOC_FL_KEEP_SIZE && mode != (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
        must_not("fallocate", path);
    if (mine && r == 0 && (mode & FALLOC_FL_PUNCH_HOLE) && at < st.st_size)
        must_not("a hole", path);
    return r;
}
int fallocate(int fd, int mode, off_t at, off_t n)
{
    return set_aside(fd, mode, at, n);
}
int fallocate64(int fd, int mode, off_t at, off_t n)
{
    return set_aside(fd, mode, at, n);
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    char buf[PATH_MAX];
    const char *path;
    struct stat st;
    if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED) && ours(fd, &st, buf, &path))
        must_not("mmap", path);
    return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

/* --- syncs --- */

static int sync_fd(int fd, bool data_only)
{
    char buf[PATH_MAX];
    const char *path;
    struct stat st;
    long number = data_only ? SYS_fdatasync : SYS_fsync;
    if (!ours(fd, &st, buf, &path))
        return (int)syscall(number, fd);
    (void)pthread_mutex_lock(&lock);
    uint64_t t = now();
    int r = (int)syscall(number, fd);
    if (r == 0)
        note(&(struct entry){.op = S_ISDIR(st.st_mode) ? 'd' : 's',
                             .flags = data_only,
                             .begin = t,
                             .ino = st.st_ino,
                             .path = path});
    (void)pthread_mutex_unlock(&lock);
    return r;
}
int fsync(int fd)
{
    return sync_fd(fd, false);
}
int fdatasync(int fd)
{
    return sync_fd(fd, true);
}

/* --- names --- */

struct change {
    char op;
    int dir, dir2, flags;
    const char *path, *path2;
    mode_t mode;
};

static int make_change(const struct change *c)
{
    switch (c->op) {
    case 'u':
        return (int)syscall(SYS_unlinkat, c->dir, c->path, c->flags);
    case 'r':
        return (int)syscall(SYS_renameat, c->dir, c->path, c->dir2, c->path2);
    case 'l':
        return (int)syscall(SYS_linkat, c->dir, c->path, c->dir2, c->path2, c->flags);
    default:
        return (int)syscall(SYS_mkdirat, c->dir, c->path, c->mode);
    }
}

static int change(const struct change *c)
{
    char buf[PATH_MAX], buf2[PATH_MAX];
    const char *p = path_of(c->dir, c->path, buf), *p2 = c->path2 ? path_of(c->dir2, c->path2, buf2) : NULL;
    if (!p && !p2)
        return make_change(c);
    if (c->op == 'l' || (c->path2 && (!p || !p2)))
        must_not("a link, or a rename across", p ? p : p2);
    (void)pthread_mutex_lock(&lock);
    uint64_t t = now();
    int r = make_change(c);
    char op = c->op == 'u' && c->flags ? 'x' : c->op;
    if (r == 0)
        note(&(struct entry){.op = op, .begin = t, .path = p, .path2 = p2});
    (void)pthread_mutex_unlock(&lock);
    return r;
}

int unlink(const char *path)
{
    return change(&(struct change){.op = 'u', .dir = AT_FDCWD, .path = path});
}
int unlinkat(int dir, const char *path, int flags)
{
    return change(&(struct change){.op = 'u', .dir = dir, .path = path, .flags = flags});
}
int rmdir(const char *path)
{
    return change(&(struct change){.op = 'u', .dir = AT_FDCWD, .path = path, .flags = AT_REMOVEDIR});
}
int rename(const char *path, const char *path2)
{
    return change(
        &(struct change){.op = 'r', .dir = AT_FDCWD, .path = path, .dir2 = AT_FDCWD, .path2 = path2});
}
int renameat(int dir, const char *path, int dir2, const char *path2)
{
    return change(&(struct change){.op = 'r', .dir = dir, .path = path, .dir2 = dir2, .path2 = path2});
}
int link(const char *path, const char *path2)
{
    return change(
        &(struct change){.op = 'l', .dir = AT_FDCWD, .path = path, .dir2 = AT_FDCWD, .path2 = path2});
}
int linkat(int dir, const char *path, int dir2, const char *path2, int flags)
{
    return change(
        &(struct change){.op = 'l', .dir = dir, .path = path, .dir2 = dir2, .path2 = path2, .flags = flags});
}
int mkdir(const char *path, mode_t mode)
{
    return change(&(struct change){.op = 'm', .dir = AT_FDCWD, .path = path, .mode = mode});
}
int mkdirat(int dir, const char *path, mode_t mode)
{
    return change(&(struct change){.op = 'm', .dir = dir, .path = path, .mode = mode});
}
