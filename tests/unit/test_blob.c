/* SPDX-License-Identifier: Apache-2.0
 *
 * Blob files: what is written is read, damage of any byte is found and named, pins hold. */
#include "store_help.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "blob/blob_internal.h"

static char dir[64];
static struct blobs *blobs;

static int open_blobs(void **state)
{
    struct err e = {0};

    (void)state;
    make_dir(dir, sizeof dir);
    blobs = blobs_open(dir, false, &e);
    return blobs ? 0 : -1;
}

static int close_blobs(void **state)
{
    (void)state;
    blobs_close(blobs);
    remove_dir(dir);
    return 0;
}

static void write_blob(uint64_t id, size_t n, size_t piece)
{
    char *body = make_body(n, (unsigned)id);
    struct err e = {0};
    struct blob_writer *w = blob_create(blobs, id, &e);

    assert_non_null(w);
    for (size_t off = 0; off < n; off += piece)
        assert_true(blob_append(w, body + off, piece < n - off ? piece : n - off, &e));
    assert_true(blob_finish(w, &e));
    free(body);
}

static struct blob_reader *open_blob(uint64_t id)
{
    struct blob_reader *r;
    struct err e = {0};

    if (blob_open(blobs, id, &r, &e) != BLOB_OK)
        fail_msg("%s", e.text);
    return r;
}

static void assert_blob(uint64_t id, size_t n, unsigned seed)
{
    char *want = make_body(n, seed), *got = malloc(n + 1);
    struct blob_reader *r = open_blob(id);
    struct err e = {0};

    assert_int_equal(blob_size(r), n);
    assert_true(blob_read(r, 0, got, n, &e));
    assert_memory_equal(got, want, n);
    assert_true(blob_verify(r, 0, n, &e));
    assert_false(blob_read(r, 0, got, n + 1, &e));
    assert_false(blob_verify(r, 1, n, &e));
    for (unsigned i = 0; n && i < 50; i++) {
        size_t off = (size_t)(i * 7919) % n, len = (size_t)(i * 104729) % (n - off + 1);
        assert_true(blob_read(r, off, got, len, &e));
        assert_memory_equal(got, want + off, len);
        assert_true(blob_verify(r, off, len, &e));
    }
    blob_close(r);
    free(want);
    free(got);
}

static const size_t sizes[] = {0, 1, BLOB_BLOCK - 1, BLOB_BLOCK, BLOB_BLOCK + 1, 3 * BLOB_BLOCK, 2500000};

static void test_sizes(void **state)
{
    static const size_t pieces[] = {1000, 65536, 100000, 10000000};
    uint64_t id = 1000;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (size_t j = 0; j < COUNT_OF(pieces); j++) {
            write_blob(++id, sizes[i], pieces[j]);
            assert_blob(id, sizes[i], (unsigned)id);
        }
    }
}

static void test_copy(void **state)
{
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        write_blob(i + 1, sizes[i], 100000);
        struct blob_reader *r = open_blob(i + 1);
        assert_true(blob_copy(blobs, r, 100 + i, &e));
        assert_false(blob_copy(blobs, r, 100 + i, &e)); /* the id is taken: the finished one stays */
        blob_close(r);
        assert_int_equal(blob_remove(blobs, i + 1, &e), BLOB_REMOVED);
        assert_blob(100 + i, sizes[i], (unsigned)i + 1);
    }
}

/* More than one piece of the table: 1,024 entries are 64 MiB. A file of holes is as good as any. */
static void test_long_table(void **state)
{
    size_t n = (size_t)70 << 20;
    char *zeros = calloc(1, n), at_end[10];
    struct err e = {0};

    (void)state;
    struct blob_writer *w = blob_create(blobs, 7, &e);
    assert_true(blob_append(w, zeros, n - 5, &e) && blob_append(w, "abcde", 5, &e));
    assert_true(blob_finish(w, &e));
    struct blob_reader *r = open_blob(7);
    assert_true(blob_read(r, n - 10, at_end, 10, &e));
    assert_memory_equal(at_end, "\0\0\0\0\0abcde", 10);
    assert_true(blob_verify(r, 0, n, &e));
    assert_true(blob_read(r, 0, zeros, 100, &e));
    assert_true(blob_copy(blobs, r, 8, &e));
    blob_close(r);
    r = open_blob(8);
    assert_true(blob_verify(r, 0, n, &e));
    blob_close(r);
    free(zeros);
}

static void flip(uint64_t id, off_t off)
{
    char path[128], name[BLOB_NAME], c;

    blob_name(id, name);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    if (off < 0)
        off += lseek(fd, 0, SEEK_END);
    assert_int_equal(pread(fd, &c, 1, off), 1);
    c ^= 0x10;
    assert_int_equal(pwrite(fd, &c, 1, off), 1);
    close(fd);
}

static void test_damaged_block(void **state)
{
    static const struct {
        off_t at;
        const char *says;
    } rows[] = {{0, "block 0 of 5"},
                {2 * BLOB_BLOCK + 77, "block 2 of 5"},
                {4 * BLOB_BLOCK + 99, "block 4 of 5"},
                {-(off_t)BLOB_FOOTER - 4 * 5, "block 0 of 5"}, /* the table's entry */
                {-(off_t)BLOB_FOOTER - 1, "block 4 of 5"}};
    size_t n = 4 * BLOB_BLOCK + 100;
    char *got = malloc(n);

    (void)state;
    write_blob(1, n, n);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = {0}, e2 = {0}, e3 = {0};
        flip(1, rows[i].at);
        struct blob_reader *r = open_blob(1);
        assert_false(blob_read(r, 0, got, n, &e));
        assert_non_null(strstr(e.text, rows[i].says));
        assert_non_null(strstr(e.text, "01/0000000000000001"));
        assert_false(blob_verify(r, 0, n, &e2));
        assert_non_null(strstr(e2.text, rows[i].says));
        assert_false(blob_copy(blobs, r, 2, &e3));
        assert_true(blob_read(r, BLOB_BLOCK, got, BLOB_BLOCK, &e)); /* another block */
        blob_close(r);
        flip(1, rows[i].at);
    }
    struct blob_reader *r;
    struct err e = {0};
    assert_int_equal(blob_open(blobs, 2, &r, &e), BLOB_MISSING); /* no copy is left */
    assert_blob(1, n, 1);
    free(got);
}

static void test_damaged_footer(void **state)
{
    struct blob_reader *r;
    char path[128], other[128];

    (void)state;
    write_blob(1, 1000, 1000);
    for (unsigned i = 1; i <= BLOB_FOOTER; i++) {
        struct err e = {0};
        flip(1, -(off_t)i);
        assert_int_equal(blob_open(blobs, 1, &r, &e), BLOB_DAMAGED);
        assert_non_null(strstr(e.text, "footer"));
        flip(1, -(off_t)i);
    }
    assert_blob(1, 1000, 1);
    struct err e = {0};
    snprintf(path, sizeof path, "%s/01/0000000000000001", dir);
    snprintf(other, sizeof other, "%s/02/0000000000000002", dir);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(blob_open(blobs, 1, &r, &e), BLOB_MISSING);
    assert_int_equal(blob_open(blobs, 2, &r, &e), BLOB_DAMAGED);
    assert_non_null(strstr(e.text, "names another blob"));
    for (off_t n = 1000; n >= 0; n -= 100) {
        assert_int_equal(truncate(other, n), 0);
        assert_int_equal(blob_open(blobs, 2, &r, &e), BLOB_DAMAGED);
    }
}

static void test_discard_and_exclusive(void **state)
{
    struct blob_reader *r;
    struct err e = {0};

    (void)state;
    struct blob_writer *w = blob_create(blobs, 5, &e);
    assert_null(blob_create(blobs, 5, &e));
    assert_non_null(strstr(e.text, "05/0000000000000005"));
    assert_true(blob_append(w, "x", 1, &e));
    assert_int_equal(blob_open(blobs, 5, &r, &e), BLOB_DAMAGED); /* not finished */
    blob_discard(w);
    assert_int_equal(blob_open(blobs, 5, &r, &e), BLOB_MISSING);
    assert_true(blobs_sync_removed(blobs, &e));
}

static void test_pins(void **state)
{
    struct err e = {0};

    (void)state;
    write_blob(5, 10, 10);
    blob_pin(blobs, 5);
    blob_pin(blobs, 5);
    blob_pin(blobs, 5 + 256 * 257); /* the same chain */
    assert_int_equal(blob_remove(blobs, 5, &e), BLOB_BUSY);
    blob_unpin(blobs, 5);
    assert_int_equal(blob_remove(blobs, 5, &e), BLOB_BUSY);
    assert_blob(5, 10, 5);
    blob_unpin(blobs, 5);
    assert_int_equal(blob_remove(blobs, 5, &e), BLOB_REMOVED);
    assert_int_equal(blob_remove(blobs, 5, &e), BLOB_REMOVED); /* gone is as good */
    blob_unpin(blobs, 5 + 256 * 257);
    assert_true(blobs_sync_removed(blobs, &e));
}

/* Pin, look, unpin in one thread, remove and write again in the other: under a pin a file is there to the end, or not at
 * all. */
static atomic_bool stop;

static void *pin_loop(void *arg)
{
    unsigned *seen = arg;

    while (!atomic_load(&stop)) {
        struct blob_reader *r, *again;
        struct err e = {0};
        blob_pin(blobs, 9);
        if (blob_open(blobs, 9, &r, &e) == BLOB_OK) {
            ++*seen;
            assert_int_equal(blob_open(blobs, 9, &again, &e), BLOB_OK);
            blob_close(again);
            blob_close(r);
        }
        blob_unpin(blobs, 9);
    }
    return NULL;
}

static void test_pin_race(void **state)
{
    unsigned seen = 0, removed = 0;
    int64_t deadline = clock_mono_ms() + WAIT_MS;
    struct err e = {0};

    (void)state;
    atomic_store(&stop, false);
    pthread_t t = thread_start("pins", pin_loop, &seen);
    while (removed < 50 && clock_mono_ms() < deadline) {
        write_blob(9, 10, 10);
        while (blob_remove(blobs, 9, &e) == BLOB_BUSY)
            assert_true(clock_mono_ms() < deadline);
        removed++;
    }
    atomic_store(&stop, true);
    thread_join(t);
    assert_int_equal(removed, 50);
}

static bool add_id(void *ctx, uint64_t id, uint64_t file_size)
{
    uint64_t *sum = ctx;
    assert_int_equal(file_size, 10 + 4 + BLOB_FOOTER);
    *sum += id;
    return true;
}

static void test_each(void **state)
{
    uint64_t sum = 0, free_bytes, total;
    struct err e = {0};

    (void)state;
    for (uint64_t id = 1; id <= 30; id++)
        write_blob(id, 10, 10);
    assert_true(blobs_each(blobs, add_id, &sum, &e));
    assert_int_equal(sum, 30 * 31 / 2);
    assert_true(blobs_space(blobs, &free_bytes, &total, &e));
    assert_true(free_bytes > 0 && free_bytes < total);
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_blobs, close_blobs)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_sizes),         T(test_copy),           T(test_long_table),
        T(test_damaged_block), T(test_damaged_footer), T(test_discard_and_exclusive),
        T(test_pins),          T(test_pin_race),       T(test_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
