/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of the MANIFEST after a power cut: garbage behind it is cut off, and no row is lost by that. */
#include "tail_help.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Garbage behind what was synced: cut, or not shown. */
static void test_manifest_torn(void **state)
{
    struct fixture *f = *state;
    reopened(f);
    for (int read_only = 1; read_only >= 0; read_only--) {
        struct cut c;
        struct err e = {0};
        char path[400];
        cut_of(f->dir, &c);
        manifest_of(c.dir, path);
        int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_int_equal(write(fd, "garbage, or an old block of another file", 40), 40);
        close(fd);
        off_t size = size_of(path);
        if (!open_cut(&c, read_only, &e))
            fail_msg("%s", e.text);
        assert_true(has_row(c.kv, "a") && has_row(c.kv, "d") && has_row(c.kv, "e"));
        if (read_only)
            assert_int_equal(size_of(path), size);
        end_cut(&c);
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
        cut_of(f->dir, &c);
        manifest_of(c.dir, path);
        flip_byte(path, at);
        if (open_cut(&c, false, &e)) {
            if (!has_row(c.kv, "a") || !has_row(c.kv, "d") || !has_row(c.kv, "e"))
                fail_msg("byte %ld: rows are lost", (long)at);
        } else {
            refused++;
            assert_int_equal(size_of(path), size); /* for who saves what is left */
        }
        end_cut(&c);
    }
    assert_true(refused > 0);
}

/* A flush, and what it made superfluous is gone; then a row, or none. */
static void flushed(struct fixture *f, const char *key)
{
    struct err e = {0};
    put_row(f->kv, key, 500, 0);
    assert_true(kv_reclaim(f->kv, &e));
}

/* Zeros in the last bytes of what was synced, where a batch behind it says so. */
static void test_manifest_marks(void **state)
{
    struct fixture *f = *state;
    reopened(f);
    flushed(f, "f");
    put_row(f->kv, "g", 500, 0);
    struct cut c;
    struct err e = {0};
    char path[400];
    cut_of(f->dir, &c);
    manifest_of(c.dir, path);
    off_t size = size_of(path);
    flip_byte(path, size - 1);
    flip_byte(path, size - 2);
    assert_false(open_cut(&c, false, &e));
    assert_non_null(strstr(e.text, path));
    assert_int_equal(size_of(path), size);
    end_cut(&c);
}

/* Where what is named up to the bad place is not all there, it is not cut: more of it had been synced. */
static void test_manifest_tables(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    char path[400], command[500];
    reopened(f);
    cut_of(f->dir, &c);
    manifest_of(c.dir, path);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "garbage, or a damaged record", 28), 28);
    close(fd);
    off_t size = size_of(path);
    snprintf(command, sizeof command, "rm $(ls %s/*.sst | head -1)", c.dir);
    assert_int_equal(system(command), 0);
    for (int read_only = 1; read_only >= 0; read_only--) {
        e.text[0] = 0;
        assert_false(open_cut(&c, read_only, &e));
        assert_non_null(strstr(e.text, path));
    }
    assert_int_equal(size_of(path), size);
    end_cut(&c);
}

/* Nor where the log is gone that was in use up to there, though nothing was written to the one after it. */
static void test_manifest_log(void **state)
{
    struct fixture *f = *state;
    char path[400];
    int refused = 0;
    reopened(f);
    manifest_of(f->dir, path);
    off_t opening = size_of(path);
    flushed(f, "f");
    for (off_t size = size_of(path), at = opening; at < size; at += 3) {
        struct cut c;
        struct err e = {0};
        cut_of(f->dir, &c);
        manifest_of(c.dir, path);
        flip_byte(path, at);
        if (!open_cut(&c, true, &e))
            refused++;
        else if (!has_row(c.kv, "a") || !has_row(c.kv, "e") || !has_row(c.kv, "f"))
            fail_msg("byte %ld: rows are lost", (long)at);
        end_cut(&c);
    }
    assert_true(refused > 0);
}

static void flip_each(const char *dir, bool e_too)
{
    char path[400];
    int opened = 0;
    manifest_of(dir, path);
    for (off_t at = 0, size = size_of(path); at < size; at += 3) {
        struct cut c;
        struct err e = {0};
        cut_of(dir, &c);
        manifest_of(c.dir, path);
        flip_byte(path, at);
        opened += open_cut(&c, true, &e);
        if (c.kv && ((e_too && !has_row(c.kv, "e")) || !has_each(c.kv, KV_META) ||
                     !has_each(c.kv, KV_QUEUE) || !has_each(c.kv, KV_DATA)))
            fail_msg("byte %ld: rows are lost", (long)at);
        end_cut(&c);
    }
    assert_int_equal(opened, 0);
}

/* An open makes a table for each family, and the log that they came from is gone: all of them must be named, also when nothing
 * was written since, and when the first of them is as young as the last. */
static void test_manifest_families(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        run(f->kv,
            SCRIPT({PUT, KV_DATA, "each", "3"}, {PUT, KV_QUEUE, "each", "2"}, {PUT, KV_META, "each", "1"}),
            0),
        KV_COMMITTED);
    reopen(f);
    flip_each(f->dir, false);
    put_row(f->kv, "e", 500, 0);
    flip_each(f->dir, true);
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

/* A store whose birth ends within a MANIFEST that names no spaces yet: they are made. */
static void test_manifest_birth(void **state)
{
    struct fixture *f = *state;
    int opened = 0;
    char path[400];
    manifest_of(f->dir, path);
    for (off_t size = size_of(path); size > 100; size -= 3) {
        struct cut c;
        struct err e = {0};
        cut_of(f->dir, &c);
        log_of(c.dir, path);
        assert_int_equal(truncate(path, 0), 0);
        manifest_of(c.dir, path);
        assert_int_equal(truncate(path, size), 0);
        if (open_cut(&c, false, &e))
            opened++;
        else if (!strstr(e.text, "damaged"))
            fail_msg("%ld: %s", (long)size, e.text);
        end_cut(&c);
    }
    assert_true(opened > 20);
}

static void test_no_current(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    char path[400];
    put_row(f->kv, "a", 100, 0);
    cut_of(f->dir, &c);
    snprintf(path, sizeof path, "%s/CURRENT", c.dir);
    assert_int_equal(unlink(path), 0);
    assert_false(open_cut(&c, false, &e));
    assert_non_null(strstr(e.text, "CURRENT does not name a MANIFEST"));
    end_cut(&c);
}

int main(void)
{
    if (!WITH_ROCKS)
        return 77; /* skipped, to Meson */
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_rocks, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_manifest_torn),     TEST(test_manifest_damaged), TEST(test_manifest_marks),
        TEST(test_manifest_tables),   TEST(test_no_current),       TEST(test_manifest_log),
        TEST(test_manifest_families), TEST(test_manifest_birth),   cmocka_unit_test(test_no_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
