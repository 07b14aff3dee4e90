/* SPDX-License-Identifier: Apache-2.0
 *
 * A preloaded library that makes calls fail. The rules lie in a file that the test maps too ($BELFRY_FAULT), so they can be
 * changed while the program runs, and the test sees how often each has struck. fault.py is the other side.
 *
 * A rule names calls, a pattern (fnmatch) and what happens: of the calls that match, `skip` pass, then `times` fail (or hang,
 * as on a network disk that is gone, until the rule is taken back). The
 * pattern is held against the path of the file; of sockets against "socket"; of allocations against the thread's name. Under
 * a sanitizer its own allocator comes first, so allocations do not fail there. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum op {
    OP_SYNC = 1,
    OP_WRITE = 2,
    OP_READ = 4,
    OP_OPEN = 8,
    OP_ACCEPT = 16,
    OP_SOCKET = 32,
    OP_ALLOC = 64,
    OP_CREATE = 128,
    OP_PATH = 256 /* what takes a path and gives no descriptor; only hangs */
};
enum { RULES = 8, PATTERN = 104, SHORT = 0, HANG = 4096 };

struct rule {
    _Atomic uint32_t ops; /* 0: not in use; written last */
    int32_t error;        /* errno; SHORT: half of it is done, at least one byte; HANG */
    uint32_t skip, times;
    _Atomic uint32_t seen, hits;
    char pattern[PATTERN];
};
struct control {
    _Atomic uint32_t ops; /* of all rules: the one word that is looked at when nothing is to fail */
    uint32_t pad[31];
    struct rule rules[RULES];
};

static struct control nothing;
static struct control *control = &nothing;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("BELFRY_FAULT");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED)
        control = p;
    (void)syscall(SYS_close, fd);
}

static bool wanted(unsigned op)
{
    return atomic_load_explicit(&control->ops, memory_order_relaxed) & op;
}

static void hang(const struct rule *r, unsigned op)
{
    struct timespec moment = {.tv_nsec = 10000000};
    while (atomic_load(&r->ops) & op && atomic_load(&control->ops) & op)
        (void)nanosleep(&moment, NULL);
}

/* 0: nothing happens; an errno; -1: short. */
static int struck(unsigned op, const char *what)
{
    for (struct rule *r = control->rules; r < control->rules + RULES; r++) {
        if (!(atomic_load(&r->ops) & op) || fnmatch(r->pattern, what, 0) != 0)
            continue;
        uint32_t n = atomic_fetch_add(&r->seen, 1);
        if (n < r->skip || n - r->skip >= r->times)
            continue;
        atomic_fetch_add(&r->hits, 1);
        if (r->error == HANG) {
            hang(r, op);
            return 0;
        }
        return r->error == SHORT ? -1 : r->error;
    }
    return 0;
}

static int struck_fd(unsigned op, int fd)
{
    char link[32], path[512];
    if (!wanted(op))
        return 0;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    long n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
    if (n <= 0)
        return 0;
    path[n] = 0;
    return struck(op, path);
}

static int struck_path(int dir, const char *name, bool creates)
{
    char path[1024];
    long n = 0;
    unsigned op = creates ? OP_OPEN | OP_CREATE : OP_OPEN;
    if (!wanted(op))
        return 0;
    if (dir != AT_FDCWD && name[0] != '/') {
        char link[32];
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
        n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) / 2);
        n = n < 0 ? 0 : n;
        path[n++] = '/';
    }
    (void)snprintf(path + n, sizeof(path) - (size_t)n, "%s", name);
    return struck(op, path);
}

static long failed(int error)
{
    errno = error;
    return -1;
}

static size_t half(int e, size_t n)
{
    return e == -1 && n > 1 ? (n + 1) / 2 : n;
}

/* --- syncing and writing --- */

int fsync(int fd)
{
    int e = struck_fd(OP_SYNC, fd);
    return e > 0 ? (int)failed(e) : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    int e = struck_fd(OP_SYNC, fd);
    return e > 0 ? (int)failed(e) : (int)syscall(SYS_fdatasync, fd);
}

ssize_t write(int fd, const void *p, size_t n)
{
    int e = struck_fd(OP_WRITE, fd);
    return e > 0 ? failed(e) : syscall(SYS_write, fd, p, half(e, n));
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
    int e = struck_fd(OP_WRITE, fd);
    return e > 0 ? failed(e) : syscall(SYS_pwrite64, fd, p, half(e, n), off);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t off)
{
    return pwrite(fd, p, n, off);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    int e = struck_fd(OP_WRITE, fd);
    if (e == -1 && n > 0)
        return syscall(SYS_write, fd, v[0].iov_base, half(e, v[0].iov_len));
    return e > 0 ? failed(e) : syscall(SYS_writev, fd, v, n);
}

ssize_t copy_file_range(int in, off64_t *in_off, int out, off64_t *out_off, size_t n, unsigned flags)
{
    int e = struck_fd(OP_WRITE, out);
    return e > 0 ? failed(e) : syscall(SYS_copy_file_range, in, in_off, out, out_off, half(e, n), flags);
}

int fallocate(int fd, int mode, off_t off, off_t n)
{
    int e = struck_fd(OP_WRITE, fd);
    return e > 0 ? (int)failed(e) : (int)syscall(SYS_fallocate, fd, mode, off, n);
}

int fallocate64(int fd, int mode, off64_t off, off64_t n)
{
    return fallocate(fd, mode, off, n);
}

/* --- reading --- */

ssize_t read(int fd, void *p, size_t n)
{
    int e = struck_fd(OP_READ, fd);
    return e > 0 ? failed(e) : syscall(SYS_read, fd, p, half(e, n));
}

ssize_t pread(int fd, void *p, size_t n, off_t off)
{
    int e = struck_fd(OP_READ, fd);
    return e > 0 ? failed(e) : syscall(SYS_pread64, fd, p, half(e, n), off);
}

ssize_t pread64(int fd, void *p, size_t n, off64_t off)
{
    return pread(fd, p, n, off);
}

ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
    int e = struck_fd(OP_READ, in);
    return e > 0 ? failed(e) : syscall(SYS_sendfile, out, in, off, half(e, n));
}

ssize_t sendfile64(int out, int in, off64_t *off, size_t n)
{
    return sendfile(out, in, off, n);
}

/* What fortified callers call. */
ssize_t __read_chk(int fd, void *p, size_t n, size_t room)
{
    return n > room ? (abort(), 0) : read(fd, p, n);
}

ssize_t __pread_chk(int fd, void *p, size_t n, off_t off, size_t room)
{
    return n > room ? (abort(), 0) : pread(fd, p, n, off);
}

ssize_t __pread64_chk(int fd, void *p, size_t n, off64_t off, size_t room)
{
    return n > room ? (abort(), 0) : pread(fd, p, n, off);
}

/* --- descriptors --- */

static int open_or_fail(int dir, const char *path, int flags, mode_t mode)
{
    int e = struck_path(dir, path, flags & O_CREAT);
    return e > 0 ? (int)failed(e) : (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define MODE_OF(flags, last) \
    mode_t mode = 0; \
    if (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE) { \
        va_list ap; \
        va_start(ap, last); \
        mode = (mode_t)va_arg(ap, int); \
        va_end(ap); \
    }

int open(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return open_or_fail(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return open_or_fail(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return open_or_fail(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return open_or_fail(dir, path, flags, mode);
}

int __open_2(const char *path, int flags)
{
    return open_or_fail(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return open_or_fail(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags)
{
    return open_or_fail(dir, path, flags, 0);
}

int __openat64_2(int dir, const char *path, int flags)
{
    return open_or_fail(dir, path, flags, 0);
}

/* --- paths --- */

static void path_call(int dir, const char *path)
{
    if (!wanted(OP_PATH))
        return;
    char link[32], at[1024];
    long n = 0;
    if (dir != AT_FDCWD && path[0] != '/') {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
        n = syscall(SYS_readlinkat, AT_FDCWD, link, at, sizeof(at) / 2);
        n = n < 0 ? 0 : n;
        at[n++] = '/';
    }
    (void)snprintf(at + n, sizeof(at) - (size_t)n, "%s", path);
    (void)struck(OP_PATH, at);
}

int mkdir(const char *path, mode_t mode)
{
    path_call(AT_FDCWD, path);
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int access(const char *path, int how)
{
    path_call(AT_FDCWD, path);
    return (int)syscall(SYS_faccessat, AT_FDCWD, path, how);
}

int unlink(const char *path)
{
    path_call(AT_FDCWD, path);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    path_call(dir, path);
    return (int)syscall(SYS_unlinkat, dir, path, flags);
}

/* --- sockets --- */

int accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
    int e = wanted(OP_ACCEPT) ? struck(OP_ACCEPT, "socket") : 0;
    return e > 0 ? (int)failed(e) : (int)syscall(SYS_accept4, fd, a, n, flags);
}

int socket(int domain, int type, int protocol)
{
    int e = wanted(OP_SOCKET) ? struck(OP_SOCKET, "socket") : 0;
    return e > 0 ? (int)failed(e) : (int)syscall(SYS_socket, domain, type, protocol);
}

/* --- memory --- */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

static bool no_memory(void)
{
    char name[17] = "";
    if (!wanted(OP_ALLOC))
        return false;
    (void)prctl(PR_GET_NAME, name);
    if (struck(OP_ALLOC, name) <= 0)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t n)
{
    return no_memory() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return no_memory() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return no_memory() ? NULL : __libc_realloc(p, n);
}

void *memalign(size_t align, size_t n)
{
    return no_memory() ? NULL : __libc_memalign(align, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    void *p = memalign(align, n);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}
