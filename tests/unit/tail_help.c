/* SPDX-License-Identifier: Apache-2.0
 *
 * Helpers of the tests of the tail. */
#include "tail_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;)
        assert_int_equal(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

void cut_of(const char *from, struct cut *c)
{
    *c = (struct cut){.dir = "/tmp/belfry-tail-XXXXXX"};
    assert_non_null(mkdtemp(c->dir));
    DIR *d = opendir(from);
    for (struct dirent *e; (e = readdir(d));) {
        char a[400], b[400];
        if (e->d_name[0] == '.' || strcmp(e->d_name, "LOCK") == 0)
            continue;
        snprintf(a, sizeof a, "%s/%.200s", from, e->d_name);
        snprintf(b, sizeof b, "%s/%.200s", c->dir, e->d_name);
        copy_file(a, b);
    }
    closedir(d);
}

void end_cut(struct cut *c)
{
    if (c->kv)
        kv_close(c->kv);
    remove_dir(c->dir);
}

bool open_cut(struct cut *c, bool read_only, struct err *e)
{
    c->kv = kv_open(c->dir, &(struct kv_options){.read_only = read_only}, e);
    return c->kv != NULL;
}

void log_of(const char *dir, char out[400])
{
    DIR *d = opendir(dir);
    out[0] = 0;
    for (struct dirent *e; (e = readdir(d));)
        if (str_ends(str_c(e->d_name), STR(".log")) && strcmp(e->d_name, out) > 0)
            snprintf(out, 400, "%s/%.200s", dir, e->d_name);
    closedir(d);
    assert_true(out[0] != 0);
}

off_t log_size(const char *dir)
{
    char log[400];
    struct stat st;
    log_of(dir, log);
    assert_int_equal(stat(log, &st), 0);
    return st.st_size;
}

void manifest_of(const char *dir, char out[400])
{
    char path[400], name[64] = "";
    snprintf(path, sizeof path, "%.300s/CURRENT", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, name, sizeof name - 1) > 0);
    close(fd);
    name[strcspn(name, "\n")] = 0;
    snprintf(out, 400, "%.300s/%s", dir, name);
}

off_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

void overwrite(const char *dir, off_t from, off_t to, int with)
{
    char log[400];
    log_of(dir, log);
    int fd = open(log, O_WRONLY | O_CLOEXEC);
    for (off_t at = from; at < to; at++) {
        char c = (char)(with < 0 ? (at * 7919) >> 3 : with);
        assert_int_equal(pwrite(fd, &c, 1, at), 1);
    }
    close(fd);
}

void flip_byte(const char *path, off_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char c;
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (char)~c;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

void put_row(struct kv *kv, const char *key, size_t n, unsigned flags)
{
    char *value = x_malloc(n + 1);
    memset(value, 'v', n);
    value[n] = 0;
    assert_int_equal(run(kv, SCRIPT({PUT, KV_META, key, value}), flags), KV_COMMITTED);
    free(value);
}

static bool has(struct kv *kv, enum kv_space space, const char *key)
{
    struct kv_value v = {0};
    struct err e;
    enum kv_result r = kv_get(kv, space, str_c(key), 0, &v, &e);
    kv_value_release(&v);
    return r == KV_FOUND;
}

bool has_row(struct kv *kv, const char *key)
{
    return has(kv, KV_META, key);
}

bool has_each(struct kv *kv, enum kv_space space)
{
    return has(kv, space, "each");
}

void four_batches(struct fixture *f, size_t n, off_t at[5])
{
    const char *const keys[] = {"a", "b", "c", "d"};
    at[0] = log_size(f->dir);
    for (int i = 0; i < 4; i++) {
        put_row(f->kv, keys[i], n, i < 2 ? 0 : KV_NOSYNC);
        at[i + 1] = log_size(f->dir);
    }
}

void reopened(struct fixture *f)
{
    off_t at[5];
    four_batches(f, 500, at);
    reopen(f);
    put_row(f->kv, "e", 500, 0);
}

void remove_logs(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        if (str_ends(str_c(e->d_name), STR(".log")))
            assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    closedir(d);
}

struct tail_manifest read_manifest(const char *dir)
{
    static char bytes[100000];
    char path[400];
    struct tail_manifest m;
    manifest_of(dir, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    tail_read_manifest(str_n(bytes, (size_t)n), &m);
    assert_true(m.whole && m.last >= 4 && m.oldest_log > 0);
    return m;
}
