/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of links to the files of a store's rows: the log cut before its damage, a MANIFEST made anew where the old one
 * cannot be read. */
#include "kv/rescue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kv/rocks.h"
#include "kv/tail.h"
#include "kv/wal_record.h"

#define COPY_STEP  ((size_t)64 << 10)
#define DISK_BLOCK 4096 /* bytes that are given up where the disk does not give them */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void kv_rescue_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void note(char list[512], const char *file, uint64_t offset)
{
    struct buf b;
    buf_init(&b, 512);
    buf_printf(&b, "%s%s at byte %llu", list[0] ? ", " : "", file, (unsigned long long)offset);
    if (strlen(list) + b.len < 512)
        memcpy(list + strlen(list), b.p, b.len);
    buf_release(&b);
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* As much as there is at `at`, and zeros for what the disk does not give, which are no record. */
static ssize_t read_some(struct kv_rescue *r, const char *name, int in, char *buf, off_t at)
{
    ssize_t n = pread(in, buf, COPY_STEP, at);
    if (n < 0 && errno == EIO)
        n = pread(in, buf, DISK_BLOCK, at);
    if (n >= 0 || errno != EIO)
        return n;
    note(r->unread, name, (uint64_t)at);
    memset(buf, 0, DISK_BLOCK);
    return DISK_BLOCK;
}

static bool copy_file(struct kv_rescue *r, int from, int to, const char *name, struct err *e)
{
    struct stat st;
    int in = openat(from, name, O_RDONLY | O_CLOEXEC);
    int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    char *buf = x_malloc(COPY_STEP);
    bool ok = in >= 0 && out >= 0 && fstat(in, &st) == 0;
    for (off_t at = 0; ok && at < st.st_size;) {
        ssize_t got = read_some(r, name, in, buf, at);
        size_t left = (size_t)(st.st_size - at), n = got > 0 && (size_t)got > left ? left : (size_t)got;
        ok = got >= 0 && (got == 0 || write_all(out, buf, n));
        at = got > 0 ? at + (off_t)n : st.st_size;
    }
    if (!ok)
        err_errno(e, "cannot copy %s", name);
    free(buf);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return ok;
}

/* A link where the file system has them, else a copy. */
static bool link_one(struct kv_rescue *r, int from, int to, const char *name, struct err *e)
{
    return linkat(from, name, to, name, 0) == 0 || copy_file(r, from, to, name, e);
}

/* A log, or a MANIFEST: its bytes are not shared with the store's, so that wrong bits can be set right. */
static bool is_log(const char *name)
{
    return str_ends(str_c(name), STR(".log")) || str_starts(str_c(name), STR("MANIFEST-"));
}

static bool take_file(struct kv_rescue *r, int from, int to, const char *name, struct err *e)
{
    struct str n = str_c(name);
    if (str_eq(n, STR("LOCK")) || str_starts(n, STR("LOG")) || name[0] == '.')
        return true;
    return is_log(name) ? copy_file(r, from, to, name, e) : link_one(r, from, to, name, e);
}

static bool take_files(struct kv_rescue *r, struct err *e)
{
    DIR *d = opendir(r->dir);
    int to = d ? open(r->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool ok = to >= 0 || err_errno(e, "cannot open %s", d ? r->work : r->dir);
    for (struct dirent *entry; d && ok && (entry = readdir(d));)
        ok = take_file(r, dirfd(d), to, entry->d_name, e);
    if (d)
        closedir(d);
    if (to >= 0)
        close(to);
    return ok;
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

/* Where exactly one bit of a record is wrong, its checksum says which. False: more is. */
static bool mend_bit(const char *path, uint64_t offset)
{
    char *block = x_malloc(WAL_BLOCK);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t start = (off_t)(offset - offset % WAL_BLOCK);
    ssize_t n = fd < 0 ? -1 : pread(fd, block, WAL_BLOCK, start);
    size_t bit, at = (size_t)(offset % WAL_BLOCK);
    bool ok = n > (ssize_t)at && wal_wrong_bit(str_n(block, (size_t)n), at, &bit);
    if (ok) {
        block[bit / 8] = (char)(block[bit / 8] ^ 1 << bit % 8);
        ok = pwrite(fd, &block[bit / 8], 1, start + (off_t)(bit / 8)) == 1;
    }
    if (fd >= 0)
        close(fd);
    free(block);
    return ok;
}

static char *in_work(const struct kv_rescue *r, const char *name)
{
    size_t n = strlen(r->work) + strlen(name) + 2;
    char *path = x_malloc(n);
    (void)snprintf(path, n, "%s/%s", r->work, name);
    return path;
}

/* As long as it is single bits. */
static void mend(struct kv_rescue *r, const char *file)
{
    char *path = in_work(r, file);
    uint64_t offset;
    while (wal_first_unsound(r->work, file, &offset) && mend_bit(path, offset))
        note(r->mended, file, offset);
    free(path);
}

static void mend_logs(struct kv_rescue *r)
{
    DIR *d = opendir(r->work);
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (str_ends(str_c(entry->d_name), STR(".log")))
            mend(r, entry->d_name);
    if (d)
        closedir(d);
}

/* Up to the damage, without the logs behind it. */
static bool cut_logs(struct kv_rescue *r)
{
    DIR *d = opendir(r->work);
    char *path = in_work(r, r->at.file);
    bool ok = d && (r->missing || truncate(path, (off_t)r->at.offset) == 0);
    for (struct dirent *entry; ok && (entry = readdir(d));)
        if (wal_number(entry->d_name) > wal_number(r->at.file))
            ok = unlinkat(dirfd(d), entry->d_name, 0) == 0;
    if (d)
        closedir(d);
    free(path);
    return ok;
}

/* Single bits first: a wrong one in the last record looks torn, too. What a crash left may go without a word. */
static bool prepare_logs(struct kv_rescue *r, struct err *e)
{
    struct tail_ends ends;
    struct err why = {0};
    mend_logs(r);
    if (!tail_look(r->work, &ends, &why))
        return true; /* who opens it will say why */
    r->missing = ends.log.missing;
    r->cut = ends.log.state == TAIL_DAMAGED;
    if (!r->cut)
        return tail_cut(r->work, &ends, e);
    r->at = ends.log.at;
    return cut_logs(r) || err_errno(e, "cannot cut %s/%s", r->work, r->at.file);
}

/* --- which MANIFEST ----------------------------------------------------------------------------------------------- */

/* The name that CURRENT has, if it is one and that file is there. */
static bool read_current(int dir, char out[64])
{
    struct stat st;
    int fd = openat(dir, "CURRENT", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, 63);
    if (fd >= 0)
        close(fd);
    if (n < 10 || out[n - 1] != '\n')
        return false;
    out[n - 1] = 0;
    return str_starts(str_c(out), STR("MANIFEST-")) && strlen(out) == (size_t)n - 1 &&
           fstatat(dir, out, &st, 0) == 0;
}

bool rocks_manifest(const char *dir, char name[64])
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && read_current(fd, name);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Its number has six digits at least, so of two names the longer one is newer. */
static bool is_newer(const char *name, const char *than)
{
    size_t a = strlen(name), b = strlen(than);
    return a != b ? a > b : strcmp(name, than) > 0;
}

static bool newest_manifest(const char *dir, char name[64])
{
    DIR *d = opendir(dir);
    name[0] = 0;
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (str_starts(str_c(entry->d_name), STR("MANIFEST-")) && strlen(entry->d_name) < 64 &&
            is_newer(entry->d_name, name))
            (void)snprintf(name, 64, "%s", entry->d_name);
    if (d)
        closedir(d);
    return name[0] != 0;
}

static bool write_current(const char *work, const char *name)
{
    char text[80];
    int dir = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool gone = dir >= 0 && (unlinkat(dir, "CURRENT", 0) == 0 || errno == ENOENT);
    int fd = gone ? openat(dir, "CURRENT", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    int n = snprintf(text, sizeof text, "%s\n", name);
    bool ok = fd >= 0 && write(fd, text, (size_t)n) == n;
    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    return ok;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static bool put_and_remove(struct kv_txn *t, void *ctx)
{
    (void)ctx;
    for (int i = 0; i < KV_SPACES; i++) {
        kv_txn_put(t, (enum kv_space)i, STR("t"), STR(""));
        kv_txn_del(t, (enum kv_space)i, STR("t"));
    }
    return true;
}

/* The repair knows a space by its tables, and skips batches of the log with rows of one that has none. So each gets one, out of
 * a store made for that: it holds nothing but the removal of a row. */
static bool add_tables(struct kv_rescue *r, struct err *e)
{
    char name[64];
    char *path = in_work(r, "spaces");
    struct kv *kv = kv_open(path, NULL, e);
    bool ok = kv && kv_commit_wait(kv, put_and_remove, NULL, KV_PLAIN) == KV_COMMITTED;
    kv_close(kv);
    kv = ok ? kv_open(path, NULL, e) : NULL; /* makes tables of the log */
    kv_close(kv);
    DIR *d = kv ? opendir(path) : NULL;
    int work = open(r->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
    for (struct dirent *entry; d && work >= 0 && (entry = readdir(d));) {
        if (!str_ends(str_c(entry->d_name), STR(".sst")))
            continue;
        (void)snprintf(name, sizeof name, "%09d.sst", 900000000 + n++);
        ok = renameat(dirfd(d), entry->d_name, work, name) == 0 && ok;
    }
    if (d)
        closedir(d);
    if (work >= 0)
        close(work);
    kv_rescue_remove(path);
    free(path);
    return ok || err_set(e, "no tables could be made in %s", r->work);
}

/* RocksDB's own repair: every table that it can read becomes part of a new MANIFEST. */
static bool rebuild(struct kv_rescue *r, struct err *e)
{
    struct rocks_setup setup;
    char *error = NULL;
    bool ok = add_tables(r, e);
    ok = rocks_setup_init(&setup, (size_t)64 << 20, e) && ok;
    if (ok)
        rocksdb_repair_db(setup.db, r->work, &error);
    rocks_setup_release(&setup);
    if (error)
        rocks_error(error, e, "the tables cannot be put together again");
    if (!ok || error)
        return false;
    r->rebuilt = true;
    r->kv = kv_open(r->work, NULL, e); /* not read-only: a space without a table has to be made */
    return r->kv != NULL;
}

static bool make_work(struct kv_rescue *r, struct err *e)
{
    kv_rescue_remove(r->work);
    r->mended[0] = r->unread[0] = 0;
    r->cut = r->current = r->missing = false;
    return (mkdir(r->work, 0700) == 0 || err_errno(e, "cannot create %s", r->work)) && take_files(r, e);
}

static void prepare_manifest(struct kv_rescue *r)
{
    char name[64];
    bool known = rocks_manifest(r->work, name);
    if (!known && newest_manifest(r->work, name))
        known = r->current = write_current(r->work, name);
    if (known)
        mend(r, name);
}

/* What it says of the logs is not to be counted on, either. */
static bool forget_manifest(const struct kv_rescue *r, struct err *e)
{
    char *path = in_work(r, "CURRENT");
    bool ok = unlink(path) == 0 || errno == ENOENT || err_errno(e, "cannot remove %s", path);
    free(path);
    return ok;
}

/* As it is, or from the tables. */
static bool open_work(struct kv_rescue *r, struct err *e)
{
    if (!make_work(r, e))
        return false;
    prepare_manifest(r);
    if (!prepare_logs(r, e))
        return false;
    r->kv = kv_open(r->work, &(struct kv_options){.read_only = true, .lenient = true}, e);
    return r->kv || (make_work(r, e) && forget_manifest(r, e) && prepare_logs(r, e) && rebuild(r, e));
}

bool kv_rescue_open(struct kv_rescue *r, const char *dir, const char *work, struct err *e)
{
    *r = (struct kv_rescue){.dir = x_strdup(dir), .work = x_strdup(work)};
    bool ok = open_work(r, e);
    if (!ok)
        kv_rescue_close(r);
    return ok;
}

void kv_rescue_close(struct kv_rescue *r)
{
    kv_close(r->kv);
    if (r->work)
        kv_rescue_remove(r->work);
    free(r->dir);
    free(r->work);
    *r = (struct kv_rescue){0};
}
