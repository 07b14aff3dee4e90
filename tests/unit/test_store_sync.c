/* SPDX-License-Identifier: Apache-2.0
 *
 * What is synced, and in which order: a SIGKILL cannot show it, because the page cache outlives the process. fsync and
 * fdatasync of this program are its own: they note the path, and fail when told to. */
#include "store_help.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOTES 4096

static struct mutex mutex = MUTEX_INIT(RANK_LOG);
static char notes[NOTES][160];
static size_t n_notes;
static int fail_with; /* errno of the next sync of a path that holds fail_path; 0: none */
static const char *fail_path;

static int note(int fd, long call)
{
    char link[64], path[160];
    int why = 0;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    mutex_lock(&mutex);
    if (fail_with && strstr(path, fail_path)) {
        why = fail_with;
        fail_with = 0;
    }
    if (n_notes < NOTES)
        snprintf(notes[n_notes++], sizeof notes[0], "%s", path);
    mutex_unlock(&mutex);
    if (!why)
        return (int)syscall(call, fd);
    errno = why;
    return -1;
}

int fsync(int fd)
{
    return note(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return note(fd, SYS_fdatasync);
}

static void forget(void)
{
    mutex_lock(&mutex);
    n_notes = 0;
    mutex_unlock(&mutex);
}

static void fail_next(const char *path, int why)
{
    mutex_lock(&mutex);
    fail_path = path;
    fail_with = why;
    mutex_unlock(&mutex);
}

/* Index of the first note from `from` on that ends with `end` and holds `part`; NOTES when there is none. */
static size_t find(size_t from, const char *part, const char *end)
{
    size_t found = NOTES;

    mutex_lock(&mutex);
    for (size_t i = from; i < n_notes && found == NOTES; i++)
        if (str_ends(str_c(notes[i]), str_c(end)) && strstr(notes[i], part))
            found = i;
    mutex_unlock(&mutex);
    return found;
}

static bool synced(const char *path)
{
    return find(0, path, path) != NOTES;
}

/* File, then its folder, then the rows; and nothing is left to sync when the commit is told. */
static void test_put_order(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    char *body = make_body(200000, 1), file[32], folder[32];

    put(s, b, "warm", 200000, 1); /* t rows are written ahead */
    forget();
    struct store_stage *st = make_stage(s, body, 200000, 0, 200000);
    unsigned long long id = s->t_next - 1;
    snprintf(file, sizeof file, "/%016llx", id);
    snprintf(folder, sizeof folder, "/blobs/%02llx", id & 0xff);
    size_t of_file = find(0, "/blobs/", file), of_folder = find(0, folder, folder);
    assert_true(of_file < of_folder && of_folder < NOTES);
    forget();
    assert_int_equal(commit_put(s, b, "k", st), STORE_OK);
    assert_true(find(0, "/kv/", ".log") < NOTES);
    stage_committed(st);

    forget();
    put(s, b, "inline", 10, 1);
    assert_true(find(0, "/kv/", ".log") < NOTES);
    free(body);
    bucket_unref(b);
}

/* A file's name is gone for good before the row that names it goes. */
static void test_remove_order(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    char folder[32];

    put(s, b, "k", 200000, 1);
    snprintf(folder, sizeof folder, "/blobs/%02llx", (unsigned long long)(s->t_next - 1) & 0xff);
    assert_int_equal(del(s, b, "k"), STORE_OK);
    forget();
    run_janitor(s);
    assert_true(synced(folder));
    assert_int_equal(count_rows(s, KV_META, "g"), 0);
    bucket_unref(b);
}

/* Also when a start before made the folders and died before it synced them. */
static void test_folders(void **state)
{
    struct err e = {0};
    char dir[64], path[96];
    (void)state;

    make_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/blobs", dir);
    for (int i = 0; i < 2; i++) {
        forget();
        struct blobs *b = blobs_open(path, false, &e);
        assert_non_null(b);
        assert_true(synced(path));
        assert_true(synced(dir));
        blobs_close(b);
    }
    remove_dir(dir);
}

/* No space is no failure of the disk; any other error of a sync is. */
static void test_failures(void **state)
{
    struct fixture *f = *state;
    struct store *s = f->store;
    struct bucket *b = need_bucket(s, "b");
    char *body = make_body(200000, 1);
    enum store_result r;
    struct err e = {0};

    struct store_stage *st = stage_begin(s, 200000, &r, &e);
    assert_int_equal(stage_append(st, body, 200000, &e), STORE_OK);
    fail_next("/blobs/", ENOSPC);
    assert_int_equal(stage_finish(st, &e), STORE_FULL);
    stage_discard(st);
    assert_int_equal(count_files(s), 0);
    assert_int_equal(store_admit(s, 1), STORE_OK);
    put(s, b, "k", 200000, 1);
    assert_object(s, b, "k", 200000, 1);

    st = stage_begin(s, 200000, &r, &e);
    assert_int_equal(stage_append(st, body, 200000, &e), STORE_OK);
    fail_next("/blobs/", EIO);
    assert_int_equal(stage_finish(st, &e), STORE_FAILED);
    stage_discard(st);
    assert_int_equal(store_admit(s, 1), STORE_FAILED);
    assert_null(stage_begin(s, 200000, &r, &e));
    assert_int_equal(r, STORE_FAILED);
    assert_object(s, b, "k", 200000, 1);
    /* What needs no file is refused as well. */
    assert_true(kv_failed(store_kv(s), NULL));
    bucket_unref(b);
    free(body);
    reopen(f);
    assert_int_equal(store_admit(f->store, 1), STORE_OK);
    assert_int_equal(count_files(f->store), 1);
}

/* A failure is named after what it is, not after the one before it on that thread. */
static void test_damaged_copy(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    char *body = make_body(200000, 1), path[160];
    struct store_read from;
    enum store_result r;
    struct err e = {0};
    struct arena a;

    put(s, b, "k", 200000, 1);
    unsigned long long id = s->t_next - 1;
    snprintf(path, sizeof path, "%s/%02llx/%016llx", "", id & 0xff, id);
    int folder = open(((struct fixture *)*state)->dir, O_RDONLY | O_DIRECTORY);
    char below[200];
    snprintf(below, sizeof below, "blobs%s", path);
    int fd = openat(folder, below, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "damage", 6, 100000), 6);
    close(fd);
    close(folder);

    struct store_stage *st = stage_begin(s, 200000, &r, &e);
    assert_int_equal(stage_append(st, body, 200000, &e), STORE_OK);
    fail_next("/blobs/", ENOSPC);
    assert_int_equal(stage_finish(st, &e), STORE_FULL);
    stage_discard(st);

    arena_init(&a);
    assert_int_equal(store_read_open(s, b, STR("k"), false, &a, &from, &e), STORE_OK);
    assert_null(stage_copy(s, &from, &r, &e));
    assert_int_equal(r, STORE_DAMAGED);
    store_read_close(&from);
    arena_release(&a);
    assert_int_equal(count_files(s), 1);
    free(body);
    bucket_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_order, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(test_remove_order, setup_rocks, teardown),
        cmocka_unit_test(test_folders),
        cmocka_unit_test_setup_teardown(test_failures, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_copy, setup_rocks, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
