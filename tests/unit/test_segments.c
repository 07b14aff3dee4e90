/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments: a backlog that moves into files and comes back, in order. (Their lines and rows: test_segment_lines.c; files that
 * are damaged or gone: test_segments_damage.c.) */
#include "segments_help.h"

#include <fcntl.h>
#include <sys/stat.h>

static void test_there_and_back(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 2000, 7);
    /* all but the window, the newest, and less than a segment */
    assert_int_equal(in_files(b), 2000 - KEEP);
    assert_int_equal(each_file(f, NULL), 198);
    assert_int_equal(rows_with(b, 'q'), KEEP + 198);
    struct stat st;
    assert_int_equal(stat(f->folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    for (unsigned i = 0; i < 5; i++)
        put(b, i % 7);
    run_for(b, 60000);
    all_well(f, 2005);
}

static void test_not_yet(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    b->fake.down = true;
    for (unsigned i = 0; i < 500; i++)
        put(b, i % 7);
    run_for(b, AFTER / 2);
    assert_int_equal(in_files(b), 0);
    b->fake.down = false;
    run_for(b, 60000);
    assert_int_equal(queued(b), 0);
    /* few events stay where they are, however long it lasts; and so does all without a queue_dir */
    b->fake.down = true;
    for (unsigned i = 0; i < WINDOW_EVENTS + KEEP + ROWS - 1; i++)
        put(b, i % 7);
    run_for(b, 600000);
    assert_int_equal(in_files(b), 0);
    b->conf.queue_dir = NULL;
    for (unsigned i = 0; i < 100; i++)
        put(b, i % 7);
    run_for(b, 600000);
    assert_int_equal(in_files(b), 0);
}

/* Whenever it ends, the next process goes on where it was: nothing twice, nothing left out. */
static void test_restarts(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 1000, 9);
    restart(f);
    for (int i = 0; i < 2000 && queued(b) > 0; i++) {
        for (int k = 0; k < i % 4; k++)
            (void)sender_step(b->s, now_ms());
        assert_int_equal(check(b), 0);
        restart(f);
    }
    run_for(b, 60000);
    all_well(f, 1000);
}

/* It goes down again in the middle: what is read stays, more moves. */
static void test_again(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 1000, 9);
    while (b->fake.n_sent < 100) {
        advance(1000);
        (void)sender_step(b->s, now_ms());
    }
    assert_true(queued(b) > 500);
    b->fake.down = true;
    for (unsigned i = 0; i < 1000; i++)
        put(b, i % 9);
    run_for(b, 120000);
    assert_int_equal(check(b), 0);
    b->fake.down = false;
    run_for(b, 60000);
    (void)check_order(&b->fake);
    assert_int_equal(queued(b), 0);
    assert_int_equal(each_file(f, NULL), 0);
}

/* Keys that fail wait in lanes while the rest of all segments goes through; the last of them go afterwards. */
static void test_lanes(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 1000, 10);
    b->fake.answer = answer_by_key;
    for (unsigned k = 0; k < 10; k++)
        b->fake.key_answer[k] = k == 3 || k == 4 ? SEND_RETRY : SEND_OK;
    run_for(b, 60000);
    assert_int_equal(queued(b), 200);
    assert_true(in_files(b) > 100);
    assert_int_equal(check(b), 0);
    b->fake.key_answer[3] = SEND_OK;
    run_for(b, 120000);
    assert_int_equal(queued(b), 100);
    restart(f);
    b->fake.key_answer[4] = SEND_OK;
    run_for(b, 120000);
    all_well(f, 1000);
}

/* What is refused for good becomes a dead letter, out of a segment too. */
static void test_dead_letters(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 600, 10);
    b->fake.answer = answer_by_key;
    for (unsigned k = 0; k < 10; k++)
        b->fake.key_answer[k] = k == 3 ? SEND_REJECT : SEND_OK;
    run_for(b, 60000);
    all_well(f, 540);
    assert_int_equal(rows_with(b, 'd'), 60);
}

/* --- disks -------------------------------------------------------------------------------------------------------- */

static void test_cannot_write(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    int fd = open(f->folder, O_CREAT | O_WRONLY, 0600); /* a file where the folder should be */
    (void)close(fd);
    b->fake.down = true;
    for (unsigned i = 0; i < 1000; i++)
        put(b, i % 9);
    run_for(b, 120000);
    assert_int_equal(in_files(b), 0);
    assert_int_equal(queued(b), 1000);
    assert_int_equal(named_files(b), 0);
    assert_int_equal(unlink(f->folder), 0);
    run_for(b, 120000); /* moves as soon as it can */
    assert_true(in_files(b) > 0);
    b->fake.down = false;
    b->fake.n_sent = 0;
    run_for(b, 60000);
    all_well(f, 1000);
}

static void test_reserve(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    atomic_store(&b->delivery.disk_reserve, INT64_MAX / 2);
    b->fake.down = true;
    for (unsigned i = 0; i < 1000; i++)
        put(b, i % 9);
    run_for(b, 120000);
    assert_int_equal(in_files(b), 0);
    assert_int_equal(each_file(f, NULL), 0);
    b->fake.down = false;
    b->fake.n_sent = 0;
    run_for(b, 60000);
    all_well(f, 1000);
}

/* --- beside what else is there ------------------------------------------------------------------------------------ */

/* A file of MinIO's whose time lies within a segment comes behind it: the segment's events stand together. */
static void test_taken_in(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    struct err e = {0};
    struct segment_row row;
    char minio[200], path[220];
    static const char record[] =
        "{\"n\":9999,\"eventName\":\"s3:ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},"
        "\"object\":{\"key\":\"k63\"}}}";
    backlog(f, KEEP + 30, 5);
    struct row_key first = outbox_key(1, 0), end = outbox_key(2, 0);
    struct kv_scan *scan = kv_scan_open(b->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    uint64_t seq = 0;
    assert_true(kv_scan_next(scan, &key, &value) && outbox_key_seq(key, &seq));
    assert_true(segment_row_decode(value, seq, &row));
    uint64_t last = row.is.last;
    kv_scan_close(scan);

    (void)snprintf(minio, sizeof(minio), "%s/minio-fake-t", f->dir);
    (void)snprintf(path, sizeof(path), "%s/a.event", minio);
    assert_int_equal(mkdir(minio, 0700), 0);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, record, sizeof(record) - 1), sizeof(record) - 1);
    struct timespec at = {(time_t)((seq + 1) / 1000000000), (long)((seq + 1) % 1000000000)};
    assert_int_equal(futimens(fd, (struct timespec[]){at, at}), 0);
    (void)close(fd);
    assert_true(queue_dir_take(b->s, &e));
    assert_int_equal(rmdir(minio), 0);
    struct kv_value v = {0};
    struct row_key k = outbox_key(1, last + 1);
    assert_int_equal(kv_get(b->kv, KV_QUEUE, row_key_str(&k), 0, &v, &e), KV_FOUND);
    kv_value_release(&v);
    restart(f);
    run_for(b, 60000);
    assert_int_equal(b->fake.n_sent, KEEP + 31);
    assert_int_equal(queued(b), 0);
    assert_int_equal(check(b), 0);
}

struct counting {
    struct row_key key;
    int64_t by[KV_COUNTERS];
};
static bool count_txn(struct kv_txn *t, void *ctx)
{
    struct counting *c = ctx;
    kv_txn_add(t, row_key_str(&c->key), c->by);
    return true;
}

/* Counters of a queue without rows, and of one that never had any, are looked at, too. */
static void test_counters(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    struct counting cases[] = {{outbox_counter_key(1), {3, 100}}, {outbox_counter_key(1), {0, 1}},
                               {segment_counter_key(1), {0, 1}},  {segment_counter_key(1), {5, 0}},
                               {outbox_counter_key(7), {1, 50}},  {segment_counter_key(7), {1, 1}}};
    backlog(f, 200, 9);
    for (int empty = 0; empty < 2; empty++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            assert_int_equal(kv_commit_wait(b->kv, count_txn, &cases[i], 0), KV_COMMITTED);
            assert_int_equal(check(b), 1);
            for (size_t k = 0; k < KV_COUNTERS; k++)
                cases[i].by[k] = -cases[i].by[k];
            assert_int_equal(kv_commit_wait(b->kv, count_txn, &cases[i], 0), KV_COMMITTED);
            assert_int_equal(check(b), 0);
        }
        run_for(b, 60000);
    }
    all_well(f, 200);
}

struct naming {
    const char *path;
};
static bool name_txn(struct kv_txn *t, void *ctx)
{
    const struct naming *n = ctx;
    struct row_key k = segment_file_key(1, 77);
    kv_txn_put(t, KV_META, row_key_str(&k), str_c(n->path));
    return true;
}

/* What a process left that was killed: a file without events, named by a row. Its folder may be away. */
static void test_left_behind(void **state)
{
    struct files *f = *state;
    struct err e = {0};
    char path[200];
    struct naming n = {path};
    assert_int_equal(mkdir(f->folder, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/half.jsonl", f->folder);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    assert_int_equal(kv_commit_wait(f->b->kv, name_txn, &n, 0), KV_COMMITTED);
    assert_true(segments_clean_start(f->b->s, &e));
    assert_int_equal(each_file(f, NULL), 0);
    assert_int_equal(named_files(f->b), 0);
    (void)snprintf(path, sizeof(path), "%s/away/half.jsonl", f->folder);
    assert_int_equal(kv_commit_wait(f->b->kv, name_txn, &n, 0), KV_COMMITTED);
    assert_true(segments_clean_start(f->b->s, &e));
    assert_int_equal(named_files(f->b), 1);
}

int main(void)
{
#define WITH_FILES(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_FILES(test_there_and_back), WITH_FILES(test_not_yet),  WITH_FILES(test_restarts),
        WITH_FILES(test_again),          WITH_FILES(test_lanes),    WITH_FILES(test_dead_letters),
        WITH_FILES(test_cannot_write),   WITH_FILES(test_reserve),  WITH_FILES(test_left_behind),
        WITH_FILES(test_taken_in),       WITH_FILES(test_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
