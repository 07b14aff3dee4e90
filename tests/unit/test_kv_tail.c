/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of the log after a power cut: what was not synced is cut off, what was is not. (That of the MANIFEST:
 * test_kv_tail_manifest.c; logs made by hand: test_kv_tail_made.c.) */
#include "tail_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "kv/wal_record.h"

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
        four_batches(f, l->n, at);
        for (int read_only = 1; read_only >= 0; read_only--) {
            struct cut c;
            struct err e = {0};
            cut_of(f->dir, &c);
            overwrite(c.dir, at[l->from], at[l->to], l->with);
            if (!open_cut(&c, read_only, &e))
                fail_msg("%s: %s", l->what, e.text);
            for (const char *k = "abcd"; *k; k++)
                if (has_row(c.kv, (char[]){*k, 0}) != (strchr(l->left, *k) != NULL))
                    fail_msg("%s: row %c", l->what, *k);
            end_cut(&c);
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
    four_batches(f, 500, at);
    cut_of(f->dir, &c);
    overwrite(c.dir, at[2], at[3], -1);
    assert_true(open_cut(&c, false, &e));
    put_row(c.kv, "e", 500, 0);
    put_row(c.kv, "f", 500, KV_NOSYNC);
    off_t size = log_size(c.dir);
    cut_of(c.dir, &again);
    overwrite(again.dir, size - 200, size, -1);
    if (!open_cut(&again, false, &e))
        fail_msg("%s", e.text);
    assert_true(has_row(again.kv, "b") && has_row(again.kv, "e") && !has_row(again.kv, "c") &&
                !has_row(again.kv, "f"));
    end_cut(&again);
    end_cut(&c);
}

/* One bit in what was synced: the start is refused, with file and offset, and nothing is cut. */
static void test_damaged(void **state)
{
    struct fixture *f = *state;
    char log[400], place[40];
    off_t at[5];
    four_batches(f, 500, at);
    for (int batch = 0; batch < 2; batch++) {
        for (off_t byte = at[batch]; byte < at[batch + 1]; byte += 23) {
            struct cut c;
            struct err e = {0};
            cut_of(f->dir, &c);
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
            end_cut(&c);
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
    four_batches(f, 500, at);
    shut(f);
    cut_of(f->dir, &c);
    overwrite(c.dir, at[3] + 50, at[3] + 51, 0x55);
    assert_false(open_cut(&c, false, &e));
    assert_non_null(strstr(e.text, "damaged"));
    end_cut(&c);
}

/* Born, and lost but for its names: the empty log that is left is not missed by the ones that come after it. */
static void test_born_again(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    char log[400];
    cut_of(f->dir, &c);
    log_of(c.dir, log);
    assert_int_equal(truncate(log, 0), 0);
    for (int i = 0; i < 3; i++) {
        if (!open_cut(&c, false, &e))
            fail_msg("%d: %s", i, e.text);
        put_row(c.kv, (char[]){(char)('a' + i), 0}, 100, 0);
        if (i > 0)
            assert_true(has_row(c.kv, "a"));
        kv_close(c.kv);
        c.kv = NULL;
    }
    end_cut(&c);
}

/* A look at a torn log makes a folder of links, with a copy of that log in it. When that fails it is said, and nothing is left. */
static void test_no_room_to_look(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    struct rlimit was = {0}, small = {.rlim_cur = 100};
    char temp[80], command[100];
    off_t at[5];
    four_batches(f, 500, at);
    cut_of(f->dir, &c);
    overwrite(c.dir, at[2], at[4], -1);
    snprintf(temp, sizeof temp, "%.60s/temp", f->dir);
    assert_int_equal(mkdir(temp, 0700), 0);
    char *outer = getenv("TMPDIR") ? x_strdup(getenv("TMPDIR")) : NULL;
    assert_int_equal(setenv("TMPDIR", temp, 1), 0);
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit(RLIMIT_FSIZE, &was) == 0);
    small.rlim_max = was.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool opened = open_cut(&c, true, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_false(opened);
    assert_non_null(strstr(e.text, "$TMPDIR"));
    snprintf(command, sizeof command, "rmdir %s", temp); /* nothing is in it */
    assert_int_equal(system(command), 0);
    assert_int_equal(outer ? setenv("TMPDIR", outer, 1) : unsetenv("TMPDIR"), 0);
    free(outer);
    end_cut(&c);
}

/* A backup that left out *.log, or somebody who tidied up: the newest changes are gone, and that is said. While the MANIFEST
 * before is still there it may have been a crash of an opening. */
static void test_no_log(void **state)
{
    struct fixture *f = *state;
    reopened(f);
    for (int more = 0; more < 2; more++) {
        struct cut c;
        struct err e = {0};
        char path[400];
        cut_of(f->dir, &c);
        remove_logs(c.dir);
        if (more) {
            snprintf(path, sizeof path, "%s/MANIFEST-000001", c.dir);
            close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        }
        for (int read_only = 1; read_only >= 0; read_only--) {
            assert_int_equal(open_cut(&c, read_only, &e), more);
            kv_close(c.kv);
            c.kv = NULL;
            if (!more && !strstr(e.text, ".log, or a log after it, is missing"))
                fail_msg("%s", e.text);
        }
        end_cut(&c);
    }
}

/* The oldest log that is in use, and how many there are. */
static unsigned count_logs(const char *dir, char oldest[32])
{
    unsigned n = 0;
    uint64_t oldest_log = read_manifest(dir).oldest_log;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));) {
        uint64_t number = wal_number(e->d_name);
        if (number >= oldest_log && (n++ == 0 || number < wal_number(oldest)))
            snprintf(oldest, 32, "%.30s", e->d_name);
    }
    closedir(d);
    return n;
}

/* The tables have come further than where the second log begins, but the rows of one space are in the first log only. */
static void test_old_log_gone(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    char oldest[32], path[400];
    shut(f);
    f->kv = kv_open(f->dir, &(struct kv_options){.memory = 4 << 20}, &e);
    assert_int_equal(run(f->kv, SCRIPT({PUT, KV_QUEUE, "each", "in the first log"}), 0), KV_COMMITTED);
    manifest_of(f->dir, path);
    off_t size = size_of(path);
    for (int i = 0; i < 11; i++) /* a quarter of the memory for one space; of all together, less than half */
        put_row(f->kv, (char[]){(char)('a' + i), 0}, 100000, 0);
    for (int64_t deadline = clock_mono_ms() + WAIT_MS; size_of(path) == size && clock_mono_ms() < deadline;)
        put_row(f->kv, "z", 1, 0);
    put_row(f->kv, "y", 1, 0);
    for (int gone = 0; gone < 2; gone++) {
        cut_of(f->dir, &c);
        assert_true(count_logs(c.dir, oldest) >= 2);
        snprintf(path, sizeof path, "%s/%s", c.dir, oldest);
        if (gone)
            assert_int_equal(unlink(path), 0);
        if (open_cut(&c, false, &e) == gone)
            fail_msg("without %s: %d %s", oldest, gone, e.text);
        if (!gone)
            assert_true(has_each(c.kv, KV_QUEUE));
        end_cut(&c);
    }
    assert_non_null(strstr(e.text, "or a log after it, is missing"));
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
        TEST(test_no_room_to_look),
        TEST(test_no_log),
        TEST(test_old_log_gone),
        TEST(test_born_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
