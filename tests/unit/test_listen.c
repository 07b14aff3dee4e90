/* SPDX-License-Identifier: Apache-2.0
 *
 * The history and its readers: nothing is written without interest; a reader gets every event behind its place once and in
 * order, or its exact number; interest ends. (How long the history is: test_listen_history.c.) */
#include "listen_help.h"

static void test_nothing_without_interest(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 1000, 0);
    assert_false(listen_wants(b.l, EVENT_CREATED_PUT));
    assert_false(listen_wants(NULL, EVENT_CREATED_PUT));
    put(&b, 10);
    assert_int_equal(history(&b) + rows(&b, KV_META, "m.listen", "m.listeo"), 0);
    uint64_t generation = listen_generation(b.l);
    join(&b, &r, DELETES, NULL);
    assert_true(listen_generation(b.l) > generation);
    put(&b, 10); /* of no kind that anybody listens for */
    assert_int_equal(history(&b), 0);
    change(&b, EVENT_REMOVED_DELETE, "bkt", 3, 0);
    assert_int_equal(history(&b), 3);
    assert_int_equal(drain(&b, &r, 20), 3);
    part(&b, &r);
    close_bench(&b);
}

static void test_live_and_resume(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r, other;
    struct listen_position at;
    open_bench(&b, 100000, 0);
    put(&b, 5);
    join(&b, &r, PUTS, NULL);
    assert_int_equal(drain(&b, &r, 0), 0);
    put(&b, 3);
    change(&b, EVENT_CREATED_PUT, "other", 2, 0);
    assert_int_equal(drain(&b, &r, 5), 3);
    (void)missed(&b, &r, &at);
    b.next = 100;
    put(&b, 5000); /* the tail has fewer */
    join(&b, &other, PUTS, &at);
    assert_int_equal(drain(&b, &other, 100), 5000);
    assert_int_equal(drain(&b, &r, 100), 5000);
    assert_int_equal(missed(&b, &r, NULL) + missed(&b, &other, NULL), 0);
    part(&b, &other);
    part(&b, &r);
    reopen(&b, 100000);
    assert_true(listen_wants(b.l, EVENT_CREATED_PUT)); /* interest outlives the process */
    put(&b, 10);
    join(&b, &r, PUTS, &at);
    assert_int_equal(drain(&b, &r, 100), 5010);
    assert_int_equal(missed(&b, &r, NULL), 0);
    part(&b, &r);
    close_bench(&b);
}

/* However little of it a reader wants, one job for a worker looks at so many rows only. */
static void test_reads_are_bounded(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 100000, 0);
    join(&b, &r, PUTS, NULL);
    change(&b, EVENT_CREATED_PUT, "other", LISTEN_READ_ROWS + 2 * TAIL_EVENTS, 0);
    struct listen_read read = {.enough = 1};
    buf_init(&read.lines, 1 << 20);
    listen_read(b.l, &r, &read);
    assert_int_equal(read.lines.len, 0);
    assert_int_equal(read.to.count - read.from.count, LISTEN_READ_ROWS);
    buf_release(&read.lines);
    put(&b, 3);
    assert_int_equal(drain(&b, &r, b.next - 3), 3);
    assert_int_equal(missed(&b, &r, NULL), 0);
    part(&b, &r);
    close_bench(&b);
}

static void test_kinds_that_came_later(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r, both;
    struct listen_position start, later;
    open_bench(&b, 1000, 0);
    join(&b, &r, PUTS, NULL);
    (void)missed(&b, &r, &start);
    put(&b, 3);
    join(&b, &both, PUTS | DELETES, &start);
    assert_int_equal(missed(&b, &both, &later), 1); /* deletes may have been, before */
    assert_int_equal(drain(&b, &both, 0), 3);
    part(&b, &both);
    join(&b, &both, PUTS, &start);
    assert_int_equal(missed(&b, &both, NULL), 0);
    assert_int_equal(drain(&b, &both, 0), 3);
    (void)missed(&b, &both, &later);
    part(&b, &both);
    change(&b, EVENT_REMOVED_DELETE, "bkt", 2, 0);
    reopen(&b, 1000);
    join(&b, &both, PUTS | DELETES, &start);
    assert_int_equal(missed(&b, &both, NULL), 1);
    assert_int_equal(drain(&b, &both, 0), 5);
    part(&b, &both);
    close_bench(&b);
}

/* Interest ends some time after the last listener; what was kept goes, and who comes back is told. */
static void test_interest_ends(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    struct listen_position start;
    open_bench(&b, 1000, 50);
    join(&b, &r, PUTS, NULL);
    (void)missed(&b, &r, &start);
    put(&b, 20);
    int64_t since = clock_mono_ms();
    WAIT_FOR(clock_mono_ms() > since + 120);
    assert_true(listen_wants(b.l, EVENT_CREATED_PUT)); /* somebody still listens */
    part(&b, &r);
    WAIT_FOR(!listen_wants(b.l, EVENT_CREATED_PUT));
    WAIT_FOR(history(&b) == 0);
    put(&b, 20);
    assert_int_equal(history(&b) + rows(&b, KV_META, "m.listen", "m.listeo"), 0);
    join(&b, &r, PUTS, &start);
    assert_true(missed(&b, &r, NULL) >= 1);
    put(&b, 4);
    assert_int_equal(drain(&b, &r, 40), 4);
    part(&b, &r);
    close_bench(&b);
}

static bool admit_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    bool again = false;
    assert_int_equal(emit_txn_admit(t, r, NULL, &again), S3E_NONE);
    r->read_seq = again;
    return false;
}

/* A change that was matched when nobody listened, and is committed when somebody does, has to be matched again: once. */
static void test_matched_before_interest(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader reader;
    open_bench(&b, 1000, 0);
    struct arena arena;
    struct header replica = {STR("x-minio-source-replication-request"), STR("true")};
    struct http_req http = {.headers = {&replica, 1}};
    struct s3 s3 = {.listen = b.l};
    struct s3_req r = {.s3 = &s3, .http = &http, .arena = &arena};
    arena_init(&arena);
    assert_null(emit_match(&r, EVENT_CREATED_PUT, STR("k")));
    assert_int_equal(kv_commit_wait(b.kv, admit_txn, &r, 0), KV_ABORTED);
    assert_int_equal(r.read_seq, false);
    join(&b, &reader, PUTS, NULL);
    for (int i = 0; i < 2; i++) { /* also for the closures behind it */
        assert_int_equal(kv_commit_wait(b.kv, admit_txn, &r, 0), KV_ABORTED);
        assert_int_equal(r.read_seq, true);
    }
    r.listen_generation = 0; /* s3_renew_bucket */
    assert_null(emit_match(&r, EVENT_CREATED_PUT, STR("k")));
    assert_int_equal(kv_commit_wait(b.kv, admit_txn, &r, 0), KV_ABORTED);
    assert_int_equal(r.read_seq, false);
    part(&b, &reader);
    arena_release(&arena);
    close_bench(&b);
}

static void test_one_message_per_station(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 1000, 0);
    join(&b, &r, PUTS, NULL);
    put(&b, 30);
    assert_true(b.station.posted && b.loop.first == &b.station.task && !b.loop.first->next);
    part(&b, &r);
    close_bench(&b);
}

static void test_damaged_state(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 1000, 0);
    join(&b, &r, PUTS, NULL);
    put(&b, 3);
    part(&b, &r);
    struct kv_value v;
    assert_int_equal(kv_get(b.kv, KV_META, LISTEN_STATE_KEY, 0, &v, NULL), KV_FOUND);
    struct listen *copy = calloc(1, sizeof *copy);
    bool kept;
    for (size_t n = 0; n < v.data.n; n++)
        (void)listen_decode_state(str_head(v.data, n), copy, &kept);
    assert_true(listen_decode_state(v.data, copy, &kept) && kept && copy->n_marks >= 1);
    free(copy);
    kv_value_release(&v);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_without_interest),
        cmocka_unit_test(test_live_and_resume),
        cmocka_unit_test(test_reads_are_bounded),
        cmocka_unit_test(test_kinds_that_came_later),
        cmocka_unit_test(test_interest_ends),
        cmocka_unit_test(test_matched_before_interest),
        cmocka_unit_test(test_one_message_per_station),
        cmocka_unit_test(test_damaged_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
