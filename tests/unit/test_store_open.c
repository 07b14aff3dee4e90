/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of a store: what is taken and what is refused, what a start finds after a process died, and belfry check. */
#include "store_help.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *path_of(const char *dir, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *dir, const char *name, const char *text)
{
    FILE *f = fopen(path_of(dir, name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static void assert_refused(const char *dir, const char *says)
{
    struct store_options o = {0};
    struct err e = {0};

    assert_null(store_open(dir, &o, &e));
    if (!strstr(e.text, says))
        fail_msg("'%s' does not say '%s'", e.text, says);
}

static void test_refused(void **state)
{
    char dir[64];

    (void)state;
    make_dir(dir, sizeof dir);
    write_file(dir, "holiday.jpg", "x");
    assert_refused(dir, "holds holiday.jpg");
    assert_int_equal(mkdir(path_of(dir, ".minio.sys"), 0700), 0);
    assert_refused(dir, "MinIO store");
    assert_int_not_equal(access(path_of(dir, "lock"), F_OK), 0); /* nothing was touched */
    write_file(dir, "format", "belfry 2\n");
    assert_refused(dir, "'belfry 2'");
    write_file(dir, "file", "");
    assert_refused(path_of(dir, "file"), "not a directory");
    assert_refused("/proc/nothing/here", "cannot create");
    remove_dir(dir);
}

/* Rows that are gone are not made anew: that would be an empty store, without a word. */
static void test_rows_lost(void **state)
{
    struct fixture *f = *state;
    char kv[128], gone[128];

    store_close(f->store);
    f->store = NULL;
    snprintf(kv, sizeof kv, "%s/kv", f->dir);
    snprintf(gone, sizeof gone, "%s/gone", f->dir);
    assert_int_equal(rename(kv, gone), 0);
    assert_refused(f->dir, "kv/CURRENT is missing");
    assert_int_not_equal(access(kv, F_OK), 0);
    assert_int_equal(rename(gone, kv), 0);
    reopen(f);
}

/* What an upload left and cannot be removed keeps nobody from the rest: its row stays, and the next start tries again. */
static void test_leftover(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char name[64];
    uint64_t id;

    assert_true(store_take_blob_id(f->store, &id, &e));
    store_close(f->store);
    f->store = NULL;
    snprintf(name, sizeof name, "blobs/%02x/%016llx", (unsigned)(id & 0xff), (unsigned long long)id);
    assert_int_equal(mkdir(path_of(f->dir, name), 0700), 0); /* no unlink removes that */
    reopen(f);
    assert_int_equal(count_rows(f->store, KV_META, "t"), 1);
    assert_int_equal(rmdir(path_of(f->dir, name)), 0);
    reopen(f);
    assert_int_equal(count_rows(f->store, KV_META, "t"), 0);
}

static void test_created(void **state)
{
    struct store_options o = {0};
    struct err e = {0};
    bool opened;
    char dir[64], deep[128], id[40];

    (void)state;
    make_dir(dir, sizeof dir);
    assert_int_equal(mkdir(path_of(dir, "lost+found"), 0700), 0);
    snprintf(deep, sizeof deep, "%s/a/b/", dir);
    struct store *s = store_open(deep, &o, &e), *again;
    assert_non_null(s);
    assert_int_equal(strlen(store_deployment_id(s)), 36);
    snprintf(id, sizeof id, "%s", store_deployment_id(s));
    assert_true(store_inline_max(s) > 0);

    char pid[32];
    snprintf(pid, sizeof pid, "(pid %ld)", (long)getpid());
    assert_refused(deep, pid);
    assert_false(store_check(deep, &opened, &e));
    assert_false(opened);
    assert_non_null(strstr(e.text, "in use"));
    store_close(s);

    again = store_open(deep, &o, &e);
    assert_non_null(again);
    assert_string_equal(store_deployment_id(again), id);
    store_close(again);
    assert_true(store_check(deep, &opened, &e));
    assert_true(opened);
    assert_false(store_check(dir, &opened, &e)); /* a/ is no store's */
    assert_false(opened);
    remove_dir(dir);
}

static void die_uploading(struct store *s)
{
    struct bucket *b = need_bucket(s, "b");
    char *body = make_body(200000, 1);
    enum store_result r;
    struct err e = {0};

    put(s, b, "kept", 200000, 1);
    put(s, b, "small", 20, 2);
    struct store_stage *half = stage_begin(s, 200000, &r, &e);
    assert_int_equal(stage_append(half, body, 100000, &e), STORE_OK);
    make_stage(s, body, 200000, 0, -1); /* finished, not committed */
    assert_int_equal(count_files(s), 3);
}

static void die_with_garbage(struct store *s)
{
    struct bucket *b = need_bucket(s, "b");

    for (unsigned i = 0; i < 10; i++)
        put(s, b, "k", 5000, i);
    put(s, b, "gone", 5000, 1);
    assert_int_equal(del(s, b, "gone"), STORE_OK);
    struct bucket *dead = need_bucket(s, "dead");
    for (unsigned i = 0; i < 10; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        put(s, dead, key, i % 2 ? 10 : 3000, i);
    }
    assert_int_equal(delete_bucket(s, "dead", true), STORE_OK);
}

/* This program again, as a process that works on the store and ends without closing it, as SIGKILL would end it. */
static const struct {
    const char *name;
    void (*fn)(struct store *s);
} lives[] = {{"uploading", die_uploading}, {"garbage", die_with_garbage}};

static int live_and_die(const char *name, const char *dir)
{
    struct store_options o = {.inline_max = INLINE_MAX};
    struct store *s = store_open(dir, &o, NULL);

    for (size_t i = 0; s && i < COUNT_OF(lives); i++)
        if (strcmp(lives[i].name, name) == 0)
            lives[i].fn(s);
    _exit(s ? 7 : 1);
}

static void in_dying_process(struct fixture *f, char *name)
{
    char *argv[] = {"test_store_open", name, f->dir, NULL};
    struct err e = {0};
    int status;
    pid_t pid;

    store_close(f->store);
    f->store = NULL;
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    f->store = store_open(f->dir, &f->options, &e);
    if (!f->store)
        fail_msg("%s", e.text);
}

static void test_died_uploading(void **state)
{
    struct fixture *f = *state;

    in_dying_process(f, "uploading");
    struct bucket *b = need_bucket(f->store, "b");
    assert_int_equal(count_files(f->store), 1);
    assert_int_equal(count_rows(f->store, KV_META, "t"), 0);
    assert_object(f->store, b, "kept", 200000, 1);
    assert_object(f->store, b, "small", 20, 2);
    assert_counters(f->store, b, 2, 200020);
    bucket_unref(b);
}

/* Whatever the janitor of the dead process had done, the next one finishes it. */
static void test_died_with_garbage(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    bool opened;

    in_dying_process(f, "garbage");
    struct bucket *b = need_bucket(f->store, "b");
    run_janitor(f->store);
    assert_int_equal(count_files(f->store), 1);
    assert_int_equal(count_rows(f->store, KV_META, "g"), 0);
    assert_int_equal(count_rows(f->store, KV_META, "o"), 1);
    assert_int_equal(count_rows(f->store, KV_DATA, ""), 0);
    assert_object(f->store, b, "k", 5000, 9);
    bucket_unref(b);
    store_close(f->store);
    f->store = NULL;
    assert_true(store_check(f->dir, &opened, &e));
}

/* Store a few objects, close, damage one thing, and let check say so. Its findings go to a file that is read back. */
static void check_says(struct fixture *f, const char *says)
{
    char out[8192] = "", file[80];
    struct err e = {0};

    snprintf(file, sizeof file, "%s.out", f->dir);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), to = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(saved >= 0 && to >= 0 && dup2(to, STDOUT_FILENO) >= 0);
    bool opened, ok = store_check(f->dir, &opened, &e);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    ssize_t n = pread(to, out, sizeof out - 1, 0);
    close(to);
    unlink(file);
    assert_true(n > 0);
    if (says ? (ok || !strstr(out, says)) : !ok)
        fail_msg("check says '%s' (%s) instead of '%s'", out, e.text, says ? says : "nothing");
}

static bool first_id(void *ctx, uint64_t id, uint64_t file_size)
{
    (void)file_size;
    *(uint64_t *)ctx = id;
    return false;
}

static bool spoil(struct kv_txn *t, void *ctx)
{
    const struct bucket *b = ctx;
    struct row_key k;

    kv_txn_put(t, KV_META, row_key_object(&k, b->id, STR("spoilt")), STR("\x02"));
    kv_txn_put(t, KV_META, row_key_object(&k, b->id + 1000, STR("homeless")), STR("\x01"));
    kv_txn_put(t, KV_DATA, row_key_data(&k, 77), STR("of nobody"));
    return true;
}

static void test_check(void **state)
{
    struct fixture *f = *state;
    char name[32], flipped;
    uint64_t id = 0;
    struct err e = {0};

    struct bucket *b = need_bucket(f->store, "b");
    put(f->store, b, "file", 200000, 1);
    put(f->store, b, "small", 20, 1);
    put(f->store, b, "empty", 0, 1);
    assert_true(blobs_each(f->store->blobs, first_id, &id, &e));
    assert_int_equal(id != 0, true);
    store_close(f->store);
    f->store = NULL;
    check_says(f, NULL);

    snprintf(name, sizeof name, "blobs/%02x/%016llx", (unsigned)(id & 0xff), (unsigned long long)id);
    int fd = open(path_of(f->dir, name), O_RDWR | O_CLOEXEC);
    assert_true(pread(fd, &flipped, 1, 70000) == 1);
    flipped ^= 1;
    assert_true(pwrite(fd, &flipped, 1, 70000) == 1);
    check_says(f, "object b/file: ");
    check_says(f, "block 1 of 4");
    flipped ^= 1;
    assert_true(pwrite(fd, &flipped, 1, 70000) == 1);
    close(fd);
    check_says(f, NULL);

    write_file(f->dir, "blobs/ab/00000000000000ab", "leaked");
    check_says(f, "blob 00000000000000ab (6 bytes) belongs to nothing");
    unlink(path_of(f->dir, "blobs/ab/00000000000000ab"));

    char moved[300];
    snprintf(moved, sizeof moved, "%s.moved", f->dir);
    assert_int_equal(rename(path_of(f->dir, name), moved), 0);
    check_says(f, "object b/file: cannot open");
    assert_int_equal(rename(moved, path_of(f->dir, name)), 0);

    f->store = store_open(f->dir, &f->options, &e);
    assert_non_null(f->store);
    assert_int_equal(kv_commit_wait(store_kv(f->store), spoil, b, 0), KV_COMMITTED);
    bucket_unref(b);
    store_close(f->store);
    f->store = NULL;
    check_says(f, "object b/spoilt: its row is damaged");
    check_says(f, "object homeless belongs to bucket");
    check_says(f, "inline body 000000000000004d (9 bytes) belongs to nothing");
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return live_and_die(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_created),
        cmocka_unit_test_setup_teardown(test_rows_lost, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(test_leftover, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(test_died_uploading, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(test_died_with_garbage, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(test_check, setup_rocks, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
