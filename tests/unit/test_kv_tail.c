/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of the log after a power cut: what was not synced is cut off, what was is not. A cut is a copy of the store's
 * folder while it is open, with the bytes changed that a disk may have lost. */
#include "kv_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kv/tail.h"

struct cut {
    char dir[64];
    struct kv *kv;
};

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

static void copy_dir(const char *from, struct cut *c)
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

static void end(struct cut *c)
{
    if (c->kv)
        kv_close(c->kv);
    remove_dir(c->dir);
}

/* The one log of a folder. */
static void log_of(const char *dir, char out[400])
{
    DIR *d = opendir(dir);
    out[0] = 0;
    for (struct dirent *e; (e = readdir(d));)
        if (str_ends(str_c(e->d_name), STR(".log")) && strcmp(e->d_name, out) > 0)
            snprintf(out, 400, "%s/%.200s", dir, e->d_name);
    closedir(d);
    assert_true(out[0] != 0);
}

static off_t log_size(const char *dir)
{
    char log[400];
    struct stat st;
    log_of(dir, log);
    assert_int_equal(stat(log, &st), 0);
    return st.st_size;
}

/* One row whose value fills about so many bytes of the log. */
static void put(struct kv *kv, const char *key, size_t n, unsigned flags)
{
    char *value = x_malloc(n + 1);
    memset(value, 'v', n);
    value[n] = 0;
    assert_int_equal(run(kv, SCRIPT({PUT, KV_META, key, value}), flags), KV_COMMITTED);
    free(value);
}

static bool has(struct kv *kv, const char *key)
{
    struct kv_value v = {0};
    struct err e;
    enum kv_result r = kv_get(kv, KV_META, str_c(key), 0, &v, &e);
    kv_value_release(&v);
    return r == KV_FOUND;
}

static void overwrite(const char *dir, off_t from, off_t to, int with)
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

static bool open_cut(struct cut *c, bool read_only, struct err *e)
{
    c->kv = kv_open(c->dir, &(struct kv_options){.read_only = read_only}, e);
    return c->kv != NULL;
}

/* Four batches, the first two synced; where each ends. */
static void four(struct fixture *f, size_t n, off_t at[5])
{
    const char *const keys[] = {"a", "b", "c", "d"};
    at[0] = log_size(f->dir);
    for (int i = 0; i < 4; i++) {
        put(f->kv, keys[i], n, i < 2 ? 0 : KV_NOSYNC);
        at[i + 1] = log_size(f->dir);
    }
}

struct loss {
    const char *what;
    size_t n;         /* bytes of each row */
    int from, to;     /* of the batches' ends: what is overwritten */
    int with;         /* -1: garbage */
    const char *left; /* keys that must be there after */
};
static const struct loss losses[] = {
    {"garbage behind the last sync", 500, 2, 4, -1, "ab"},
    {"zeros behind the last sync", 500, 2, 4, 0, "ab"},
    {"a hole before a batch that is there", 500, 2, 3, 0, "ab"},
    {"garbage before a batch that is there", 500, 2, 3, -1, "ab"},
    {"the last batch", 500, 3, 4, -1, "abc"},
    {"a hole of blocks before a batch that is there", 100000, 2, 3, 0, "ab"},
    {"garbage of blocks", 100000, 2, 4, -1, "ab"},
};

static void test_lost(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        const struct loss *l = &losses[i];
        off_t at[5];
        four(f, l->n, at);
        for (int read_only = 1; read_only >= 0; read_only--) {
            struct cut c;
            struct err e = {0};
            copy_dir(f->dir, &c);
            overwrite(c.dir, at[l->from], at[l->to], l->with);
            if (!open_cut(&c, read_only, &e))
                fail_msg("%s: %s", l->what, e.text);
            for (const char *k = "abcd"; *k; k++)
                if (has(c.kv, (char[]){*k, 0}) != (strchr(l->left, *k) != NULL))
                    fail_msg("%s: row %c", l->what, *k);
            end(&c);
        }
        teardown(state);
        setup_rocks(state);
        f = *state;
    }
}

/* Cutting is done once: the store goes on, and is cut again later, without taking the first cut for damage. */
static void test_goes_on(void **state)
{
    struct fixture *f = *state;
    struct cut c, again;
    struct err e = {0};
    off_t at[5];
    four(f, 500, at);
    copy_dir(f->dir, &c);
    overwrite(c.dir, at[2], at[3], -1);
    assert_true(open_cut(&c, false, &e));
    put(c.kv, "e", 500, 0);
    put(c.kv, "f", 500, KV_NOSYNC);
    off_t size = log_size(c.dir);
    copy_dir(c.dir, &again);
    overwrite(again.dir, size - 200, size, -1);
    if (!open_cut(&again, false, &e))
        fail_msg("%s", e.text);
    assert_true(has(again.kv, "b") && has(again.kv, "e") && !has(again.kv, "c") && !has(again.kv, "f"));
    end(&again);
    end(&c);
}

/* One bit in what was synced: the start is refused, with file and offset, and nothing is cut. */
static void test_damaged(void **state)
{
    struct fixture *f = *state;
    char log[400], place[40];
    off_t at[5];
    four(f, 500, at);
    for (int batch = 0; batch < 2; batch++) {
        for (off_t byte = at[batch]; byte < at[batch + 1]; byte += 23) {
            struct cut c;
            struct err e = {0};
            copy_dir(f->dir, &c);
            log_of(c.dir, log);
            int fd = open(log, O_RDWR | O_CLOEXEC);
            char b;
            assert_int_equal(pread(fd, &b, 1, byte), 1);
            b ^= 1;
            assert_int_equal(pwrite(fd, &b, 1, byte), 1);
            close(fd);
            if (open_cut(&c, false, &e))
                fail_msg("byte %ld was not noticed", (long)byte);
            snprintf(place, sizeof place, "at byte %ld", (long)at[batch]);
            assert_non_null(strstr(e.text, log));
            assert_non_null(strstr(e.text, place));
            assert_int_equal(log_size(c.dir), at[4]);
            end(&c);
        }
    }
}

/* After a clean stop all of the log is known to be synced, also what was written without one. */
static void test_damaged_after_a_stop(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    off_t at[5];
    four(f, 500, at);
    shut(f);
    copy_dir(f->dir, &c);
    overwrite(c.dir, at[3] + 50, at[3] + 51, 0x55);
    assert_false(open_cut(&c, false, &e));
    assert_non_null(strstr(e.text, "damaged"));
    end(&c);
}

/* --- the MANIFEST --- */

static void manifest_of(const char *dir, char out[400])
{
    char path[400], name[64] = "";
    snprintf(path, sizeof path, "%.300s/CURRENT", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, name, sizeof name - 1) > 0);
    close(fd);
    name[strcspn(name, "\n")] = 0;
    snprintf(out, 400, "%.300s/%s", dir, name);
}

static off_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char c;
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (char)~c;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

/* Opened twice: the log of the first time is a table, and gone. */
static void reopened(struct fixture *f)
{
    off_t at[5];
    four(f, 500, at);
    reopen(f);
    put(f->kv, "e", 500, 0);
}

/* Garbage behind what was synced: cut, or not shown. */
static void test_manifest_torn(void **state)
{
    struct fixture *f = *state;
    reopened(f);
    for (int read_only = 1; read_only >= 0; read_only--) {
        struct cut c;
        struct err e = {0};
        char path[400];
        copy_dir(f->dir, &c);
        manifest_of(c.dir, path);
        int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_int_equal(write(fd, "garbage, or an old block of another file", 40), 40);
        close(fd);
        off_t size = size_of(path);
        if (!open_cut(&c, read_only, &e))
            fail_msg("%s", e.text);
        assert_true(has(c.kv, "a") && has(c.kv, "d") && has(c.kv, "e"));
        if (read_only)
            assert_int_equal(size_of(path), size);
        end(&c);
    }
}

/* Other bits anywhere: refused with file and offset, or everything is there without what is behind them. */
static void test_manifest_damaged(void **state)
{
    struct fixture *f = *state;
    char path[400];
    int refused = 0;
    reopened(f);
    manifest_of(f->dir, path);
    for (off_t at = 0, size = size_of(path); at < size; at += 5) {
        struct cut c;
        struct err e = {0};
        copy_dir(f->dir, &c);
        manifest_of(c.dir, path);
        flip(path, at);
        if (open_cut(&c, false, &e)) {
            if (!has(c.kv, "a") || !has(c.kv, "d") || !has(c.kv, "e"))
                fail_msg("byte %ld: rows are lost", (long)at);
        } else {
            refused++;
        }
        end(&c);
    }
    assert_true(refused > 0);
}

static void test_no_manifest(void **state)
{
    struct tail_manifest m;
    (void)state;
    tail_read_manifest((struct str){0}, &m);
    assert_true(m.whole && !m.begun && m.oldest_log == 0);
    tail_read_manifest(STR("not a manifest, by far"), &m);
    assert_true(!m.whole && !m.begun && m.end == 0);
}

int main(void)
{
    if (!WITH_ROCKS)
        return 77; /* skipped, to Meson */
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_rocks, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_lost),
        TEST(test_goes_on),
        TEST(test_damaged),
        TEST(test_damaged_after_a_stop),
        TEST(test_manifest_torn),
        TEST(test_manifest_damaged),
        cmocka_unit_test(test_no_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
