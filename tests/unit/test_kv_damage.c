/* SPDX-License-Identifier: Apache-2.0
 *
 * Damage on disk: what refuses the start, what is found by reading, what is only the torn tail of a crash. */
#include "kv_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "kv/table.h"
#include "kv/wal.h"

/* The largest file of that ending. */
static void largest(const char *dir, const char *ending, char *out, size_t size)
{
    DIR *d = opendir(dir);
    off_t most = -1;
    out[0] = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        char path[512];
        struct stat st;
        snprintf(path, sizeof(path), "%.100s/%.200s", dir, entry->d_name);
        if (str_ends(str_c(path), str_c(ending)) && stat(path, &st) == 0 && st.st_size > most) {
            most = st.st_size;
            snprintf(out, size, "%s", path);
        }
    }
    closedir(d);
    assert_true(most > 0);
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

static void count_bad(void *ctx, const char *what)
{
    (void)what;
    ++*(int *)ctx;
}

static void test_log_damaged(void **state)
{
    struct fixture *f = *state;
    write_many(f->kv, 300);
    shut(f);
    char log[512];
    largest(f->dir, ".log", log, sizeof(log));
    flip(log, size_of(log) / 2);
    struct err e = {0};
    f->kv = kv_open(f->dir, NULL, &e);
    assert_null(f->kv);
    assert_non_null(strstr(e.text, "damaged"));
    assert_non_null(strstr(e.text, log));
    assert_non_null(strstr(e.text, "at byte "));
    flip(log, size_of(log) / 2); /* the refusal changed nothing */
    f->kv = kv_open(f->dir, NULL, &e);
    assert_non_null(f->kv);
    assert_counters(f->kv, "n", 300, 0);
}

static void test_log_torn(void **state)
{
    struct fixture *f = *state;
    write_many(f->kv, 300);
    shut(f);
    char log[512];
    largest(f->dir, ".log", log, sizeof(log));
    assert_int_equal(truncate(log, size_of(log) - 500), 0);
    struct err e = {0};
    f->kv = kv_open(f->dir, NULL, &e);
    assert_non_null(f->kv);
    assert_counters(f->kv, "n", 299, 0);
    check_numbered(f->kv, "", 0);
}

static void damaged_file(struct fixture *f, const char *ending)
{
    write_many(f->kv, 300);
    reopen(f);
    shut(f);
    char file[512];
    largest(f->dir, ending, file, sizeof(file));
    flip(file, size_of(file) / 2);
    struct err e = {0};
    f->kv = kv_open(f->dir, NULL, &e);
    assert_non_null(f->kv);
    int bad = 0;
    assert_false(kv_verify(f->kv, count_bad, &bad));
    assert_true(bad >= 1);
    int damaged = 0;
    for (unsigned i = 0; i < 300; i++) {
        char key[16];
        struct kv_value v = {0};
        numbered_key(key, 'a', i);
        if (kv_get(f->kv, KV_DATA, str_c(key), 0, &v, &e) == KV_DAMAGED)
            damaged++;
        kv_value_release(&v);
    }
    assert_true(damaged > 0 || strcmp(ending, ".sst") == 0); /* another space may have the largest */
}

static void test_table_damaged(void **state)
{
    damaged_file(*state, ".sst");
}

/* The last bytes of a table, each changed: where RocksDB does not open it, the refusal names it. */
static void test_footer_damaged(void **state)
{
    struct fixture *f = *state;
    char file[512], footer[TABLE_FOOTER];
    unsigned refused = 0, named = 0;
    write_many(f->kv, 300);
    reopen(f);
    shut(f);
    largest(f->dir, ".sst", file, sizeof file);
    off_t size = size_of(file);
    for (off_t at = size - TABLE_FOOTER; at < size; at++) {
        struct err e = {0};
        struct wal_damage where;
        flip(file, at);
        struct kv *kv = kv_open(f->dir, &(struct kv_options){.read_only = true}, &e);
        if (!kv && (!strstr(e.text, file) || !strstr(e.text, "damaged")))
            fail_msg("byte %ld: %s", (long)at, e.text);
        refused += !kv;
        named += table_find_bad(f->dir, &where);
        kv_close(kv);
        flip(file, at);
    }
    assert_true(refused > 12 && named >= 12); /* version and magic number at least */
    struct wal_damage none;
    assert_false(table_find_bad(f->dir, &none));
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, footer, sizeof footer, size - TABLE_FOOTER), sizeof footer);
    close(fd);
    assert_true(table_footer(str_n(footer, sizeof footer), (uint64_t)size));
    assert_false(table_footer(str_n(footer, sizeof footer), 100)); /* its blocks do not fit in */
    for (size_t n = 0; n < sizeof footer; n++)
        assert_false(table_footer(str_n(footer, n), (uint64_t)size));
    memset(footer + 1, 0xff, 20); /* varints without an end */
    assert_false(table_footer(str_n(footer, sizeof footer), (uint64_t)size));
}

static void test_blob_damaged(void **state)
{
    damaged_file(*state, ".blob");
}

static void test_verify(void **state)
{
    struct fixture *f = *state;
    write_many(f->kv, 300);
    reopen(f);
    int bad = 0;
    assert_true(kv_verify(f->kv, count_bad, &bad));
    assert_int_equal(bad, 0);
}

int main(void)
{
    if (!WITH_ROCKS)
        return 77; /* skipped, to Meson */
#define TEST(t) \
    { \
#t, t, setup_rocks, teardown, NULL \
    }
    const struct CMUnitTest tests[] = {
        TEST(test_log_damaged),  TEST(test_log_torn),       TEST(test_table_damaged),
        TEST(test_blob_damaged), TEST(test_footer_damaged), TEST(test_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
